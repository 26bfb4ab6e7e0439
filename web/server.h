/* libmicrohttpd behind four functions: listeners, requests in, responses out. Cheap routes are
 * answered on the listener's thread; ROUTE_WORKER ones suspend their connection and run on the
 * worker threads. */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include "web/state.h"

/* ERR_EXISTS: "listen tcp 127.0.0.1:9090: bind: address already in use". */
MUST_CHECK enum err_code http_server_start(struct web *web, struct http_server **out,
                                           struct err *err);
uint16_t http_server_port(const struct http_server *server, size_t listener);
/* Lets running requests end (their queries are cancelled), closes everything. */
void http_server_stop(struct http_server *server);

#endif
