/* HOPS: a request and the redirects it leads to.
 *
 * REDIRECTS are followed here and not by libcurl: it would send configured headers to every host.
 * Credentials and configured headers go to the first host and its subdomains, never from https to
 * http, and once they were left out they stay out for the rest of the chain. As in Go's client
 * the eleventh request is refused. */
#include "base/http_curl.h"

#include <stdio.h>
#include <string.h>

enum { REQUEST_COUNT_MAX = 10 /* of one chain */ };

void http_hop_clear(struct transport_request *r) {
    http_reply_clear(&r->reply);
    buf_clear(&r->body);
    r->body_started = false;
    r->head_done = false;
    r->body_too_large = false;
    r->head_too_large = false;
    r->trailer_bytes = 0;
    r->detail[0] = '\0';
    r->peer[0] = '\0';
    r->opened_count = 0;
    r->address_denied = false;
    r->dial_errno = 0;
}

/* The first request of a transport that is not for a plain connection brings libcurl in. */
static enum err_code need_curl(struct curl_transport *t, struct err *err) {
    if (t->has_curl) {
        return ERR_OK;
    }
    const enum err_code code = curl_library_load(NULL, err);
    if (code == ERR_OK) {
        must(curl_global_init(CURL_GLOBAL_DEFAULT)); /* counted, and thread-safe since 7.84 */
        t->has_curl = true;
    }
    return code;
}

enum err_code http_hop_start(struct transport_request *r, struct err *err) {
    struct url url;
    enum err_code code = url_parse(&r->arena, r->url, &url, err);
    if (code != ERR_OK) {
        return code;
    }
    const bool https = str_eq(url.scheme, STR("https"));
    if (!https && !str_eq(url.scheme, STR("http"))) {
        return err_set(err, ERR_INVALID, "unsupported protocol scheme \"%.*s\"",
                       STR_ARG(url.scheme));
    }
    code = need_curl(r->client->t, err);
    if (code != ERR_OK) {
        return code;
    }
    http_hop_clear(r);
    r->request_count++;
    code = http_easy_set_up(r, &url, https, err);
    if (code != ERR_OK) {
        return code;
    }
    r->shard = http_shard_of(r->client, &url);
    must_multi(curl_multi_add_handle(r->shard->multi, r->easy));
    r->shard->running_count++;
    r->running = true;
    return ERR_OK;
}

void http_hop_stop(struct transport_request *r) {
    if (r->plain != NULL) {
        plain_stop(r->plain);
        http_kept_leave(r);
    }
    if (r->waits_for_token) {
        http_oauth2_leave(r->client->oauth2, r);
    }
    if (r->running) {
        must_multi(curl_multi_remove_handle(r->shard->multi, r->easy));
        r->shard->running_count--;
        r->running = false;
    }
}

void http_hop_trace(struct transport_request *r) {
    struct http_trace *seen = &r->trace->seen;
    const struct {
        CURLINFO info;
        int64_t *to;
    } times[] = {
        {CURLINFO_NAMELOOKUP_TIME_T, &seen->lookup_us},
        {CURLINFO_CONNECT_TIME_T, &seen->connect_us},
        {CURLINFO_APPCONNECT_TIME_T, &seen->tls_us},
        {CURLINFO_STARTTRANSFER_TIME_T, &seen->first_byte_us},
        {CURLINFO_TOTAL_TIME_T, &seen->total_us},
    };
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        curl_off_t us = 0;
        must(curl_easy_getinfo(r->easy, times[i].info, &us));
        *times[i].to = us;
    }
    const char *ip = NULL;
    long port = 0;
    if (r->peer[0] == '\0' && curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK &&
        ip != NULL && ip[0] != '\0' &&
        curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_PORT, &port) == CURLE_OK) {
        (void)snprintf(r->peer, sizeof(r->peer), "tcp %s:%ld", ip, port); /* a kept connection */
    }
    seen->peer = str_of(r->peer);
    seen->hop_count++;
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether credentials for the first URL may go to the next one. */
static bool may_keep_credentials(const struct url *first, const struct url *next) {
    if (str_eq(first->scheme, STR("https")) && !str_eq(next->scheme, STR("https"))) {
        return false;
    }
    if (str_eq_nocase(first->host, next->host)) {
        return true;
    }
    const bool is_address = str_find_char(next->host, ':') >= 0;
    return !is_address && next->host.len > first->host.len &&
           next->host.ptr[next->host.len - first->host.len - 1] == '.' &&
           str_eq_nocase(str_from(next->host, next->host.len - first->host.len), first->host);
}

/* Starts the next hop. Any error is the end of the request. */
enum err_code http_hop_follow(struct transport_request *r, struct err *err) {
    if (r->request_count >= REQUEST_COUNT_MAX) {
        return err_set(err, ERR_NETWORK, "stopped after 10 redirects");
    }
    const int status = r->reply.status;
    struct str next = STR("");
    struct url first_url;
    struct url next_url;
    enum err_code code =
        url_resolve(&r->arena, r->url, http_reply_get(&r->reply, REPLY_LOCATION), &next, err);
    if (code == ERR_OK) {
        code = url_parse(&r->arena, r->first_url, &first_url, err);
    }
    if (code == ERR_OK) {
        code = url_parse(&r->arena, next, &next_url, err);
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "failed to parse Location header");
        return http_recode(err, ERR_NETWORK);
    }
    if (!may_keep_credentials(&first_url, &next_url)) {
        r->credentials_dropped = true;
    }
    if (status > 303 && r->credentials_dropped && r->body_out.len > 0) {
        return err_set(err, ERR_NETWORK, "redirect to another host: the body is not sent there");
    }
    if (status <= 303 && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
        r->method = "GET";
        r->body_out = STR("");
    }
    r->url = next;
    r->authority = STR("");
    code = http_hop_start(r, err);
    return code == ERR_OK ? code : http_recode(err, ERR_NETWORK);
}

bool http_hop_is_redirect(const struct transport_request *r) {
    const bool follows = r->client->config == NULL || r->client->config->follow_redirects;
    return r->result == CURLE_OK && follows && is_redirect(r->reply.status) &&
           http_reply_get(&r->reply, REPLY_LOCATION).len > 0;
}
