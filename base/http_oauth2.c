/* The life of a client's token.
 *
 * STATES. No token --a request comes--> FETCHING: that request and all that come after it wait
 * --answer--> the waiting ones go on with the token, or fail with the text of why there is none;
 * the next request tries again. A token counts as expired EARLY_S before its server says so. When
 * the file that holds the secret has another content, the token is dropped.
 *
 * Servers want client_id and secret in a header or in the form, and there is no way to know which
 * but to try: as Go's client does, the header first, then the form, and what worked from then on. */
#include "base/http_oauth2.h"

#include <string.h>

#include "base/http_curl.h"
#include "base/http_token.h"
#include "base/mem.h"
#include "base/vfs.h"

enum { EARLY_S = 10, FETCH_TIMEOUT_MS = 30 * 1000, FORM_BYTES_MAX = 1024 * 1024 };

struct http_oauth2 {
    struct transport *transport;
    const struct oauth2_config *config;
    struct http_config http; /* of the token client */
    struct transport_client *client;
    struct transport_request *fetch; /* NULL: none runs */
    struct arena arena;              /* of the fetch */
    struct str fetch_secret;         /* in arena */
    bool in_params, style_known;
    char *line;              /* NULL: no token */
    char *secret;            /* that the token was given for */
    int64_t expires_mono_ns; /* INT64_MAX = never */
    struct transport_request *waiting_first, *waiting_last;
};

enum err_code http_oauth2_new(struct transport *t, const struct http_config *config,
                              struct generation *g, struct http_oauth2 **out, struct err *err) {
    const struct oauth2_config *own = &config->oauth2;
    struct http_oauth2 *oauth2 = mem_zalloc(sizeof(*oauth2));
    oauth2->transport = t;
    oauth2->config = own;
    oauth2->http = (struct http_config){
        .has_tls = true,
        .tls = own->tls,
        .follow_redirects = true,
        .enable_http2 = config->enable_http2,
        .proxy_url = own->proxy_url,
        .no_proxy = own->no_proxy,
        .proxy_from_environment = own->proxy_from_environment,
        .proxy_connect_headers = own->proxy_connect_headers,
        .proxy_connect_header_count = own->proxy_connect_header_count,
    };
    arena_init(&oauth2->arena, 0);
    const enum err_code code = transport_client_new(t, &oauth2->http, g, &oauth2->client, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "oauth2");
        http_oauth2_free(oauth2);
        return code;
    }
    *out = oauth2;
    return ERR_OK;
}

void http_oauth2_free(struct http_oauth2 *oauth2) {
    if (oauth2 == NULL) {
        return;
    }
    ASSERT(oauth2->waiting_first == NULL);
    transport_cancel(oauth2->transport, oauth2->fetch);
    transport_client_free(oauth2->transport, oauth2->client);
    arena_release(&oauth2->arena);
    mem_free(oauth2->line);
    mem_free(oauth2->secret);
    mem_free(oauth2);
}

/* ---- those who wait ---- */

static void join(struct http_oauth2 *oauth2, struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    http_hop_clear(r);
    r->waits_for_token = true;
    r->next = NULL;
    r->previous = oauth2->waiting_last;
    if (r->previous != NULL) {
        r->previous->next = r;
    } else {
        oauth2->waiting_first = r;
    }
    oauth2->waiting_last = r;
    if (r->deadline_mono_ns != INT64_MAX) {
        timer_heap_set(&t->deadlines, &r->deadline, r->deadline_mono_ns);
    }
}

void http_oauth2_leave(struct http_oauth2 *oauth2, struct transport_request *r) {
    ASSERT(r->waits_for_token);
    timer_heap_remove(&r->client->t->deadlines, &r->deadline);
    if (r->previous != NULL) {
        r->previous->next = r->next;
    } else {
        oauth2->waiting_first = r->next;
    }
    if (r->next != NULL) {
        r->next->previous = r->previous;
    } else {
        oauth2->waiting_last = r->previous;
    }
    r->previous = NULL;
    r->next = NULL;
    r->waits_for_token = false;
}

/* In front of the other lines, where Authorization stands. */
static void add_line(const struct http_oauth2 *oauth2, struct transport_request *r) {
    const struct http_lines old = r->config_lines;
    struct str *lines = arena_alloc(&r->arena, (old.count + 1) * sizeof(struct str));
    lines[0] = arena_str(&r->arena, str_of(oauth2->line));
    if (old.count > 0) {
        memcpy(&lines[1], old.lines, old.count * sizeof(struct str));
    }
    r->config_lines =
        (struct http_lines){.lines = lines, .count = old.count + 1, .has_authorization = true};
}

/* All who wait now go on or fail. None of their callbacks runs from here. */
static void end_wait(struct http_oauth2 *oauth2, enum err_code code, const struct err *why) {
    while (oauth2->waiting_first != NULL) {
        struct transport_request *r = oauth2->waiting_first;
        http_oauth2_leave(oauth2, r);
        if (code == ERR_OK) {
            add_line(oauth2, r);
            http_request_resume(r);
        } else {
            http_request_fail(r, HTTP_FAILURE_TOKEN, why);
        }
    }
}

/* ---- the fetch ---- */

static void on_answer(void *ctx, struct http_response *response);

static enum err_code basic_line(struct http_oauth2 *oauth2, struct str *out, struct err *err) {
    struct buf id;
    struct buf secret;
    buf_init(&id, FORM_BYTES_MAX);
    buf_init(&secret, FORM_BYTES_MAX);
    url_query_escape(&id, oauth2->config->client_id);
    url_query_escape(&secret, oauth2->fetch_secret);
    const struct http_config basic = {
        .has_basic_auth = true, .username = buf_str(&id), .password = {buf_str(&secret)}};
    struct http_lines lines = {0};
    const enum err_code code = http_auth_lines(&basic, vfs_system(), &oauth2->arena, &lines, err);
    if (code == ERR_OK) {
        *out = lines.lines[0];
    }
    buf_release(&id);
    buf_release(&secret);
    return code;
}

static enum err_code start_fetch(struct http_oauth2 *oauth2, struct err *err) {
    struct str headers[2] = {STR("Content-Type: application/x-www-form-urlencoded")};
    struct buf form;
    buf_init(&form, FORM_BYTES_MAX);
    enum err_code code =
        http_token_form(oauth2->config, oauth2->fetch_secret, oauth2->in_params, &form, err);
    if (code == ERR_OK && !oauth2->in_params) {
        code = basic_line(oauth2, &headers[1], err);
    }
    if (code == ERR_OK) {
        const struct http_request request = {
            .method = "POST",
            .url = oauth2->config->token_url,
            .headers = headers,
            .header_count = oauth2->in_params ? 1 : 2,
            .body = buf_str(&form),
            .timeout_ms = FETCH_TIMEOUT_MS,
            .max_body_bytes = TOKEN_ANSWER_BYTES_MAX,
        };
        code = transport_start(oauth2->transport, oauth2->client, &request, on_answer, oauth2,
                               &oauth2->fetch, err);
    }
    buf_release(&form);
    return code;
}

static void keep_token(struct http_oauth2 *oauth2, const struct http_token *token) {
    mem_free(oauth2->line);
    mem_free(oauth2->secret);
    oauth2->line = mem_strndup(token->line.ptr, token->line.len);
    oauth2->secret = mem_strndup(oauth2->fetch_secret.ptr, oauth2->fetch_secret.len);
    oauth2->expires_mono_ns =
        token->life_s == 0 ? INT64_MAX : http_now_ns() + (token->life_s - EARLY_S) * NS_PER_S;
    oauth2->style_known = true;
}

/* The other place for the secret, if it is not known yet which one the server wants. */
static bool try_params(struct http_oauth2 *oauth2) {
    struct err ignored;
    if (oauth2->style_known || oauth2->in_params) {
        return false;
    }
    oauth2->in_params = true;
    return start_fetch(oauth2, &ignored) == ERR_OK;
}

static void on_answer(void *ctx, struct http_response *response) {
    struct http_oauth2 *oauth2 = ctx;
    struct http_token token = {0};
    struct err err = response->err;
    enum err_code code = response->code;
    oauth2->fetch = NULL;
    if (code == ERR_OK) {
        code = http_token_read(&oauth2->arena, response->status, response->reason,
                               response->content_type, buf_str(response->body), &token, &err);
        if (code != ERR_OK && try_params(oauth2)) {
            return;
        }
    }
    if (code == ERR_OK) {
        keep_token(oauth2, &token);
    } else if (!oauth2->style_known) {
        oauth2->in_params = false;
    }
    end_wait(oauth2, code, &err);
    arena_reset(&oauth2->arena);
    oauth2->fetch_secret = STR("");
}

/* ---- requests ---- */

/* The secret as it is now, in the request's arena. */
static enum err_code read_secret(const struct http_oauth2 *oauth2, struct arena *arena,
                                 struct str *out, struct err *err) {
    *out = oauth2->config->client_secret.reveal;
    if (oauth2->config->client_secret_file.len == 0) {
        return ERR_OK;
    }
    const enum err_code code =
        http_auth_read_secret(vfs_system(), arena, oauth2->config->client_secret_file, out, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read oauth2 client secret");
    }
    return code;
}

static bool is_valid(const struct http_oauth2 *oauth2, struct str secret) {
    return oauth2->line != NULL && str_eq(str_of(oauth2->secret), secret) &&
           http_now_ns() < oauth2->expires_mono_ns;
}

enum err_code http_oauth2_authorize(struct http_oauth2 *oauth2, struct transport_request *r,
                                    bool *out_waits, struct err *err) {
    struct str secret = STR("");
    enum err_code code = read_secret(oauth2, &r->arena, &secret, err);
    *out_waits = false;
    if (code != ERR_OK) {
        return code;
    }
    if (is_valid(oauth2, secret)) {
        add_line(oauth2, r);
        return ERR_OK;
    }
    if (oauth2->fetch == NULL) {
        oauth2->fetch_secret = arena_str(&oauth2->arena, secret);
        code = start_fetch(oauth2, err);
    }
    if (code == ERR_OK) {
        join(oauth2, r);
        *out_waits = true;
    }
    return code;
}
