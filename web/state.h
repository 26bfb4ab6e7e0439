/* The web server's state, private to web/: what handlers may use. */
#ifndef WEB_STATE_H
#define WEB_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mutex.h"
#include "base/queue.h"
#include "base/regex.h"
#include "web/web.h"

enum web_phase { WEB_STARTING, WEB_READY, WEB_STOPPING };

struct http_server;
struct remote_write;

struct web {
    struct web_options options; /* strings borrowed from main for the web's life */
    struct str prefix;          /* "" or "/prefix" */
    _Atomic int phase;          /* enum web_phase */
    struct regex *cors;         /* NULL: no CORS */
    struct http_server *server;
    struct remote_write *remote_write;
    struct metric *requests_in_flight;
};

#endif
