/* A client of the HTTP server that sends what it is given, byte for byte, and reads what comes. */
#ifndef TESTS_UNIT_WEB_RAW_CLIENT_H
#define TESTS_UNIT_WEB_RAW_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* A server that is silent for so long has failed the test. */
enum { RAW_TIMEOUT_MS = 20000 };

struct raw_answer {
    int status; /* 0: the server closed without one */
    struct buf raw;
    struct str head, body; /* of raw */
};

int raw_dial(uint16_t port);
void raw_send(int fd, const char *text);
/* Appends what comes next; false once the server has closed. */
bool raw_receive(int fd, struct buf *to);
/* One answer, whose raw the caller releases; what follows it in the stream stays in rest. no_body: it
 * answers a HEAD. False once the server has closed. */
bool raw_read(int fd, struct buf *rest, bool no_body, struct raw_answer *out);
/* Value of a header, name with its colon; "" if absent. */
struct str raw_header(const struct raw_answer *a, const char *name);
/* A connection of its own for one request. */
struct raw_answer raw_ask(uint16_t port, const char *request);
void raw_check_status(uint16_t port, const char *request, int status);

#endif
