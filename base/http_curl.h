/* What the files of the HTTP client share: its objects, and what each file does with them. See
 * http_client.c for the whole; base/transport.h is what others use. One thread. */
#ifndef BASE_HTTP_CURL_H
#define BASE_HTTP_CURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/curl_library.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/http_auth.h"
#include "base/http_config.h"
#include "base/http_oauth2.h"
#include "base/http_plain.h"
#include "base/http_reply.h"
#include "base/str.h"
#include "base/timer_heap.h"
#include "base/transport.h"
#include "base/url.h"

enum { SHARD_COUNT_MAX = 64, OPENED_MAX = 4, ADDRESS_TEXT_MAX = 128, SPARE_BODY_COUNT = 8 };

struct curl_transport {
    struct transport base;
    struct str user_agent;
    int epoll_fd;
    int wake_fd;
    bool has_curl;              /* libcurl is loaded, and counts this as a user */
    struct http_shard **shards; /* by id; NULL = free */
    size_t shard_count;
    size_t client_count;
    struct plain_table plain;
    struct timer_heap deadlines; /* of requests on plain connections */
    int *parted;                 /* sockets that libcurl is done with, to be kept or closed */
    size_t parted_count;
    struct buf request_text;
    struct buf spare_bodies[SPARE_BODY_COUNT]; /* for the next answers; the last was used last */
    size_t spare_body_count;
    size_t spare_body_bytes;
    struct http_shard *armed;              /* those whose timer runs */
    struct transport_request *ready_first; /* finished, callback not run yet */
    struct transport_request *ready_last;
};

/* One multi handle of a client. */
struct http_shard {
    struct curl_transport *t;
    CURLM *multi;
    uint32_t id;
    int64_t timer_mono_ns; /* when libcurl wants to be called; -1 = not, and not in the list */
    size_t running_count;
    struct http_shard *armed_next;
    struct http_shard *armed_prev;
    struct http_shard *retired_next;
};

/* What a change of a file with certificates or a key is known by. */
struct tls_files {
    struct {
        int64_t mtime_ns;
        int64_t size_bytes;
        uint64_t inode;
    } of[3];
};

struct transport_client {
    struct curl_transport *t;
    size_t ref_count;     /* one for the owner, one for each request not on the idle list */
    size_t running_count; /* requests whose callback has not run yet */
    struct http_shard *shards[SHARD_COUNT_MAX]; /* NULL = not needed yet */
    size_t shard_count;
    struct http_shard *retired;       /* replaced, but with requests that run */
    size_t connection_count;          /* open, idle ones included */
    const struct http_config *config; /* NULL = defaults */
    struct generation *generation;
    struct arena arena;
    struct http_lines fixed_lines; /* when no secret file is involved */
    bool reads_files;
    struct http_oauth2 *oauth2; /* NULL = no tokens */
    struct tls_files tls_files; /* as they were when connections were made */
    struct plain_pool *plain;   /* NULL: this client's requests are not for it */
    struct http_lines proxy_lines;
    struct curl_slist *proxy_headers; /* of those lines, once libcurl has seen a request */
    char *no_proxy;
    int ca_fd, cert_fd, key_fd; /* inline PEM as an anonymous file; -1 = none */
    size_t expected_body_bytes; /* length of the last body */
    struct transport_request *idle;
    size_t idle_count;
};

struct request_trace {
    struct http_trace seen;
    struct buf head;
};

struct transport_request {
    struct timer deadline; /* first: the heap hands it back; on a plain connection only */
    struct transport_client *client;
    struct http_shard *shard;           /* of the current hop */
    struct transport_request *next;     /* in the idle, ready or waiting list */
    struct transport_request *previous; /* in the waiting list */
    CURL *easy;                         /* NULL until one is needed */
    struct plain_conn *plain;           /* the connection that it runs on, else libcurl has it */
    struct str authority;               /* of the URL; "" = nothing for a plain connection */
    struct str target;
    int opened[OPENED_MAX]; /* sockets that libcurl opened for it: the last few */
    unsigned opened_count;
    http_done_fn *done; /* NULL: cancelled while on the ready list */
    void *ctx;
    struct arena arena; /* of everything below that is text */
    const char *method;
    struct str url;       /* of the current hop */
    struct str first_url; /* of the first */
    struct str unix_socket;
    struct str *headers;
    size_t header_count;
    struct str body_out;
    struct http_lines config_lines;
    int64_t deadline_mono_ns; /* INT64_MAX = none */
    size_t max_body_bytes;
    unsigned request_count; /* of this redirect chain */
    bool credentials_dropped;
    bool running; /* added to the multi */
    bool waits_for_token;
    bool deny_link_local;
    bool address_denied; /* of the hop */
    int dial_errno;      /* of the hop: why no plain connection came about */
    bool body_started;
    struct request_trace *trace; /* owned; NULL: nobody asked */
    /* the hop's answer */
    struct curl_slist *header_list;
    struct curl_slist *connect_to;
    struct http_reply reply;
    struct buf body;
    bool body_too_large;
    bool head_too_large;
    bool head_done; /* the empty line behind the final head was seen */
    size_t trailer_bytes;
    CURLcode result;
    enum http_failure failure;
    struct err err; /* of the whole request, once it is on the ready list */
    enum err_code code;
    char peer[ADDRESS_TEXT_MAX]; /* last address tried: "tcp 127.0.0.1:80", "unix /path" */
    char detail[CURL_ERROR_SIZE];
};

static inline int64_t http_now_ns(void) {
    return clock_mono_ns(clock_system());
}

/* Options and calls that fail only for lack of memory or by our mistake. */
static inline void must(CURLcode rc) {
    ASSERT(rc == CURLE_OK);
}

static inline void must_multi(CURLMcode rc) {
    ASSERT(rc == CURLM_OK);
}

static inline void append_line(struct curl_slist **list, const char *line) {
    struct curl_slist *grown = curl_slist_append(*list, line);
    ASSERT(grown != NULL);
    *list = grown;
}

/* The same text, another reaction. */
static inline enum err_code http_recode(struct err *err, enum err_code code) {
    if (err != NULL) {
        err->code = code;
    }
    return code;
}

static inline void close_fd(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* ---- http_client.c ---- */

/* Starts a request that waited, now that its lines are complete; a failure is an answer. */
void http_request_resume(struct transport_request *r);
/* The end of a request that waited. */
void http_request_fail(struct transport_request *r, enum http_failure failure,
                       const struct err *why);
/* Memory for the body of an answer that begins to arrive. */
void http_body_begin(struct transport_request *r);

/* ---- http_shard.c ---- */

void http_shard_free(struct http_shard *shard); /* NULL is fine */
/* libcurl need not be called by time, or is about to be. */
void http_shard_disarm(struct http_shard *shard);
/* New connections from now on; those in use end with their requests. */
void http_shard_retire_all(struct transport_client *client);
/* Those that were replaced and have no request left. */
void http_shard_free_retired(struct transport_client *client);
/* Requests to one host and port share a multi, and so its connections. */
struct http_shard *http_shard_of(struct transport_client *client, const struct url *url);

/* ---- http_settings.c ---- */

/* Whether the client's configuration can work, and what is derived from it. ERR_INVALID,
 * ERR_UNSUPPORTED, or the error of a file. */
MUST_CHECK enum err_code http_settings_check(struct transport_client *client, struct err *err);

/* Whether files with certificates or a key changed since the last call. */
MUST_CHECK bool http_settings_files_changed(struct transport_client *client);

/* ---- http_easy.c ---- */

/* Sets the request's easy handle up for its URL, whose parts are given. */
MUST_CHECK enum err_code http_easy_set_up(struct transport_request *r, const struct url *url,
                                          bool https, struct err *err);

/* ---- http_kept.c ---- */

/* Decides once a request whether plain connections are for it. */
void http_kept_choose(struct transport_request *r);
/* On a kept connection, or anew. False when there is none, and none that is made here: then it is for
 * libcurl. */
MUST_CHECK bool http_kept_start(struct transport_request *r, bool anew);
/* The request's exchange has ended. */
void http_kept_leave(struct transport_request *r);
/* The socket that libcurl used for a request that went well serves the next ones. */
void http_kept_adopt(struct transport_request *r);
/* Closes the sockets that libcurl is done with and nobody took over. */
void http_kept_close_parted(struct curl_transport *t);

/* ---- http_hop.c ---- */

/* Forgets what an earlier hop left. */
void http_hop_clear(struct transport_request *r);
/* Hands the request for its current URL to libcurl. */
MUST_CHECK enum err_code http_hop_start(struct transport_request *r, struct err *err);
/* Takes it back from whoever has it; fine when nobody has. */
void http_hop_stop(struct transport_request *r);
/* Whether the answer leads on. */
bool http_hop_is_redirect(const struct transport_request *r);
/* Starts the next hop. Any error is the end of the request. */
MUST_CHECK enum err_code http_hop_follow(struct transport_request *r, struct err *err);

/* Adds what libcurl knows of the hop that ended to the trace. */
void http_hop_trace(struct transport_request *r);

/* ---- http_failure.c ---- */

/* Notes the address for error texts: libcurl tells the peer of a connection only once it stands. */
void http_note_peer(struct transport_request *r, const struct sockaddr *address);
/* Puts the operation and URL before an error: Get "http://h/metrics": ... */
enum err_code http_failure_wrap(const struct transport_request *r, struct err *err);
/* What kind of failure libcurl's result is. */
enum http_failure http_failure_kind(const struct transport_request *r);
/* The error of a hop that libcurl's result says has failed. */
enum err_code http_failure_of(const struct transport_request *r, struct err *err);

#endif
