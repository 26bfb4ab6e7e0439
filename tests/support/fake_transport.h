/* A transport that answers from a script, on a fake clock.
 *
 * transport_poll moves the clock: to the next answer that is due within its timeout, or by the
 * whole timeout. So a loop that polls with the time to its next deadline runs through a day in
 * milliseconds, in the same order each time: answers come by due time, then by start.
 *
 * When the loop runs on a thread of its own, the test holds the time: the clock does not pass the
 * limit, and poll waits there (for a wake or a new limit) instead of racing on.
 *   fake_transport_run_to(ft, t)   lets the loop run and returns when it waits at time t.
 *
 * Scripting and asking are thread-safe; the transport itself is for one thread, as every one. */
#ifndef TESTS_SUPPORT_FAKE_TRANSPORT_H
#define TESTS_SUPPORT_FAKE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/transport.h"
#include "tests/support/fake_clock.h"

struct fake_answer {
    const char *url;    /* whole URL */
    int64_t delay_ns;   /* from the start of the request */
    bool hang;          /* no answer: only the request's timeout ends it */
    const char *error;  /* ERR_NETWORK: Get "<url>": <error> */
    int status;         /* 0 = 200 */
    const char *reason; /* NULL = "OK" for 200, else "" */
    const char *content_type, *content_encoding, *api_version, *retry_after; /* NULL = "" */
    struct str body;                                                         /* copied */
    size_t times; /* 0 = for ever; else the next answer of the URL follows */
};

struct fake_request { /* what was started; borrowed until fake_transport_free */
    const char *method, *url, *headers /* lines joined by \n */, *unix_socket;
    struct str body;
    int64_t start_mono_ns, timeout_ms;
};

struct fake_transport;

/* No limit at first: for tests with one thread. */
struct fake_transport *fake_transport_new(struct fake_clock *clock);
/* By the test; transport_free, which the user under test may call, does nothing. */
void fake_transport_free(struct fake_transport *ft);
struct transport *fake_transport_base(struct fake_transport *ft);

/* Answers of a URL are used in the order they were added. A URL without one is refused:
 * "dial tcp: connect: connection refused". */
void fake_transport_answer(struct fake_transport *ft, const struct fake_answer *answer);
/* Forgets the answers of a URL, so that new ones replace them. */
void fake_transport_forget(struct fake_transport *ft, const char *url);

void fake_transport_set_limit(struct fake_transport *ft, int64_t mono_ns);
void fake_transport_run_to(struct fake_transport *ft, int64_t mono_ns);

size_t fake_transport_request_count(struct fake_transport *ft);
struct fake_request fake_transport_request(struct fake_transport *ft, size_t i);

#endif
