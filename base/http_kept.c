/* Requests that go over plain connections (http_plain.h) and not through libcurl: which they
 * are, what is sent, and how a connection comes from libcurl.
 *
 * To an IPv4 address a connection is made here. A request to a name is made by libcurl with
 * "forbid reuse": at its end libcurl has the socket closed by on_part_socket, which only puts it on
 * a list. If all went well it is taken from there. */
#include "base/http_curl.h"

#include <string.h>

#include "base/http_dial.h"
#include "base/ip_address.h"
#include "base/mem.h"

/* Header lines that libcurl would not send as they are, or would leave something out for. */
static bool line_is_special(struct str line) {
    static const struct str names[] = {STR_INIT("Host"),       STR_INIT("User-Agent"),
                                       STR_INIT("Connection"), STR_INIT("Content-Length"),
                                       STR_INIT("TE"),         STR_INIT("Transfer-Encoding"),
                                       STR_INIT("Upgrade"),    STR_INIT("Expect")};
    bool special = str_find_char(line, ':') <= 0;
    for (size_t i = 0; i < COUNT_OF(names) && !special; i++) {
        special = http_line_has_name(line, names[i]);
    }
    return special;
}

/* A GET of a simple URL, the first of its chain, whose headers say nothing about connections. */
static bool is_plain(const struct transport_request *r) {
    if (r->client->plain == NULL || r->unix_socket.len > 0 || r->body_out.len > 0 ||
        strcmp(r->method, "GET") != 0) {
        return false;
    }
    for (size_t i = 0; i < r->header_count; i++) {
        if (line_is_special(r->headers[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < r->config_lines.count; i++) {
        if (line_is_special(r->config_lines.lines[i])) {
            return false;
        }
    }
    return true;
}

/* Decides once a request whether plain connections are for it. */
void http_kept_choose(struct transport_request *r) {
    struct str authority;
    struct str target;
    r->authority = STR("");
    if (r->trace == NULL && is_plain(r) && plain_url_split(r->url, &authority, &target) &&
        plain_pool_wants(r->client->plain, authority, http_now_ns())) {
        r->authority = authority;
        r->target = target;
    }
}

static void append_request_line(struct buf *to, struct str line, bool *accept) {
    *accept = *accept || http_line_has_name(line, STR("Accept"));
    while (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t')) {
        line.len--; /* "Name: " is an empty value */
    }
    buf_append_str(to, line);
    buf_append_cstr(to, "\r\n");
}

static void write_request(const struct transport_request *r, struct buf *to) {
    bool own_authorization = false;
    bool accept = false;
    buf_clear(to);
    buf_append_cstr(to, "GET ");
    buf_append_str(to, r->target);
    buf_append_cstr(to, " HTTP/1.1\r\nHost: ");
    buf_append_str(to, r->authority);
    buf_append_cstr(to, "\r\nUser-Agent: ");
    buf_append_str(to, r->client->t->user_agent);
    buf_append_cstr(to, "\r\n");
    for (size_t i = 0; i < r->header_count; i++) {
        own_authorization =
            own_authorization || http_line_has_name(r->headers[i], STR("Authorization"));
        append_request_line(to, r->headers[i], &accept);
    }
    const size_t skip = r->config_lines.has_authorization && own_authorization ? 1 : 0;
    for (size_t i = skip; i < r->config_lines.count; i++) {
        append_request_line(to, r->config_lines.lines[i], &accept);
    }
    buf_append_cstr(to, accept ? "\r\n" : "Accept: */*\r\n\r\n");
}

/* A new connection, where its address says by itself that it may be made. */
static struct plain_conn *connect_to(struct transport_request *r,
                                     const struct plain_exchange *exchange) {
    struct sockaddr_in to;
    if (!dial_address(r->authority, &to) ||
        (r->deny_link_local && ip_is_link_local((const struct sockaddr *)&to))) {
        return NULL;
    }
    http_note_peer(r, (const struct sockaddr *)&to);
    return plain_connect(r->client->plain, r->authority, &to, exchange, http_now_ns());
}

/* False when there is no connection, and none that is made here: then it is for libcurl. */
bool http_kept_start(struct transport_request *r, bool anew) {
    struct curl_transport *t = r->client->t;
    if (r->authority.len == 0) {
        return false;
    }
    write_request(r, &t->request_text);
    if (!buf_ok(&t->request_text)) {
        return false;
    }
    http_hop_clear(r);
    const struct plain_exchange exchange = {
        .owner = r,
        .request = buf_str(&t->request_text),
        .reply = &r->reply,
        .body = &r->body,
        .max_body_bytes = r->max_body_bytes,
        .room = r->client->expected_body_bytes,
    };
    r->plain = anew ? NULL : plain_start(r->client->plain, r->authority, &exchange);
    if (r->plain == NULL) {
        r->plain = connect_to(r, &exchange);
    }
    if (r->plain != NULL && r->deadline_mono_ns != INT64_MAX) {
        timer_heap_set(&t->deadlines, &r->deadline, r->deadline_mono_ns);
    }
    r->request_count = r->plain != NULL;
    return r->plain != NULL;
}

void http_kept_leave(struct transport_request *r) {
    timer_heap_remove(&r->client->t->deadlines, &r->deadline);
    r->plain = NULL;
}

/* The socket that libcurl used for a request that went well serves the next ones. */
void http_kept_adopt(struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    for (size_t i = t->parted_count; i-- > 0;) {
        for (unsigned k = 0; k < r->opened_count && k < OPENED_MAX; k++) {
            if (t->parted[i] == r->opened[k]) {
                plain_pool_adopt(r->client->plain, r->authority, t->parted[i], http_now_ns());
                t->parted[i] = t->parted[--t->parted_count];
                return;
            }
        }
    }
}

void http_kept_close_parted(struct curl_transport *t) {
    while (t->parted_count > 0) {
        (void)close(t->parted[--t->parted_count]);
    }
}
