#include "base/http_token.h"

#include <stdlib.h>

#include "base/http_auth.h"
#include "base/json_in.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/url.h"

/* ---- the question ---- */

struct pair {
    struct str name, value;
    size_t place;
};

static int by_name(const void *a, const void *b) {
    const struct pair *x = a;
    const struct pair *y = b;
    const int c = str_cmp(x->name, y->name);
    return c != 0 ? c : (x->place > y->place) - (x->place < y->place);
}

static void append_scopes(const struct oauth2_config *config, struct buf *to) {
    for (size_t i = 0; i < config->scope_count; i++) {
        buf_append_cstr(to, i > 0 ? " " : "");
        buf_append_str(to, config->scopes[i]);
    }
}

/* Adds the pair unless the name is there; grant_type alone may be replaced. */
static enum err_code add_param(struct pair *pairs, size_t *count, struct str name, struct str value,
                               struct err *err) {
    for (size_t i = 0; i < *count; i++) {
        if (!str_eq(pairs[i].name, name)) {
            continue;
        }
        if (str_eq(name, STR("grant_type"))) {
            pairs[i].value = value;
            return ERR_OK;
        }
        return err_set(err, ERR_INVALID, "oauth2: cannot overwrite parameter \"%.*s\"",
                       STR_ARG(name));
    }
    pairs[*count] = (struct pair){name, value, *count};
    (*count)++;
    return ERR_OK;
}

enum err_code http_token_form(const struct oauth2_config *config, struct str secret, bool in_params,
                              struct buf *to, struct err *err) {
    struct pair *pairs = mem_array(config->endpoint_param_count / 2 + 4, sizeof(*pairs));
    struct buf scopes;
    size_t count = 0;
    buf_init(&scopes, TOKEN_ANSWER_BYTES_MAX);
    append_scopes(config, &scopes);
    pairs[count++] = (struct pair){STR("grant_type"), STR("client_credentials"), 0};
    if (config->scope_count > 0) {
        pairs[count] = (struct pair){STR("scope"), buf_str(&scopes), count};
        count++;
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i + 1 < config->endpoint_param_count && code == ERR_OK; i += 2) {
        code = add_param(pairs, &count, config->endpoint_params[i], config->endpoint_params[i + 1],
                         err);
    }
    if (in_params) {
        pairs[count] = (struct pair){STR("client_id"), config->client_id, count};
        count++;
        pairs[count] = (struct pair){STR("client_secret"), secret, count};
        count += secret.len > 0;
    }
    qsort(pairs, count, sizeof(*pairs), by_name);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        buf_append_cstr(to, i > 0 ? "&" : "");
        url_query_escape(to, pairs[i].name);
        buf_append_char(to, '=');
        url_query_escape(to, pairs[i].value);
    }
    if (code == ERR_OK && (!buf_ok(to) || !buf_ok(&scopes))) {
        code = err_set(err, ERR_LIMIT, "oauth2: the request for a token is too long");
    }
    buf_release(&scopes);
    mem_free(pairs);
    return code;
}

/* ---- the answer ---- */

struct fields {
    struct str access_token, token_type, expires_in, error, error_description, error_uri;
};

static struct str *field_of(struct fields *f, struct str name) {
    const struct {
        struct str name;
        struct str *at;
    } table[] = {
        {STR("access_token"), &f->access_token}, {STR("token_type"), &f->token_type},
        {STR("expires_in"), &f->expires_in},     {STR("error"), &f->error},
        {STR("error_uri"), &f->error_uri},       {STR("error_description"), &f->error_description},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (str_eq(table[i].name, name)) {
            return table[i].at;
        }
    }
    return NULL;
}

/* Values are copied, as the document is freed. */
static enum err_code read_json(struct arena *arena, struct str body, struct fields *out,
                               struct err *err) {
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(body, &doc, err);
    if (code == ERR_OK && !json_is_object(json_root(doc))) {
        code = err_set(err, ERR_INVALID, "not an object");
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "oauth2: cannot parse json");
        json_doc_free(doc);
        return code;
    }
    size_t it = 0;
    struct str key;
    const struct json *value = NULL;
    while (json_next_member(json_root(doc), &it, &key, &value)) {
        struct str *field = field_of(out, key);
        if (field != NULL && json_is_string(value)) {
            *field = arena_str(arena, json_string(value));
        } else if (field == &out->expires_in) { /* some servers send a string, most a number */
            const double s = json_number(value, 0);
            *field = arena_printf(arena, "%lld", s > 0 && s < 1e15 ? (long long)s : 0LL);
        }
    }
    json_doc_free(doc);
    return ERR_OK;
}

static enum err_code unescape(struct arena *arena, struct str in, struct str *out,
                              struct err *err) {
    struct buf text;
    buf_init(&text, TOKEN_ANSWER_BYTES_MAX);
    const enum err_code code = url_query_unescape(&text, in, err);
    *out = arena_str(arena, buf_str(&text));
    buf_release(&text);
    return code;
}

/* name=value&...: what servers sent before RFC 6749 asked for JSON, and some still do. */
static enum err_code read_form(struct arena *arena, struct str body, struct fields *out,
                               struct err *err) {
    while (body.len > 0) {
        const ptrdiff_t end = str_find_char(body, '&');
        const struct str pair = end >= 0 ? str_sub(body, 0, (size_t)end) : body;
        body = end >= 0 ? str_from(body, (size_t)end + 1) : STR("");
        const ptrdiff_t equals = str_find_char(pair, '=');
        struct str name;
        struct str value = STR("");
        enum err_code code =
            unescape(arena, equals >= 0 ? str_sub(pair, 0, (size_t)equals) : pair, &name, err);
        if (code == ERR_OK && equals >= 0) {
            code = unescape(arena, str_from(pair, (size_t)equals + 1), &value, err);
        }
        if (code != ERR_OK) {
            return err_wrap(err, "oauth2: cannot parse response");
        }
        struct str *field = field_of(out, name);
        if (field != NULL && field->len == 0) {
            *field = value;
        }
    }
    return ERR_OK;
}

static bool is_form(struct str content_type) {
    const ptrdiff_t end = str_find_char(content_type, ';');
    const struct str type =
        str_trim(end >= 0 ? str_sub(content_type, 0, (size_t)end) : content_type);
    return str_eq_nocase(type, STR("application/x-www-form-urlencoded")) ||
           str_eq_nocase(type, STR("text/plain"));
}

static enum err_code refusal(int status, struct str reason, struct str body, const struct fields *f,
                             struct err *err) {
    if (f->error.len == 0) {
        return err_set(err, ERR_NETWORK, "oauth2: cannot fetch token: %d%s%.*s\nResponse: %.*s",
                       status, reason.len > 0 ? " " : "", STR_ARG(reason), STR_ARG(body));
    }
    const bool described = f->error_description.len > 0;
    const bool located = f->error_uri.len > 0;
    return err_set(err, ERR_NETWORK, "oauth2: \"%.*s\"%s%.*s%s%s%.*s%s", STR_ARG(f->error),
                   described ? " \"" : "", STR_ARG(f->error_description), described ? "\"" : "",
                   located ? " \"" : "", STR_ARG(f->error_uri), located ? "\"" : "");
}

/* The scheme as servers want to see it, whatever case the token's server wrote. */
static struct str scheme_of(struct str type) {
    static const struct str known[] = {STR_INIT("Bearer"), STR_INIT("MAC"), STR_INIT("Basic")};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_eq_nocase(type, known[i])) {
            return known[i];
        }
    }
    return type.len > 0 ? type : known[0];
}

static enum err_code make_token(struct arena *arena, const struct fields *f, struct http_token *out,
                                struct err *err) {
    if (f->access_token.len == 0) {
        return err_set(err, ERR_NETWORK, "oauth2: server response missing access_token");
    }
    if (f->access_token.len > TOKEN_BYTES_MAX || f->token_type.len > TOKEN_BYTES_MAX) {
        return err_set(err, ERR_NETWORK, "oauth2: access_token is longer than %d bytes",
                       TOKEN_BYTES_MAX);
    }
    if (!http_line_safe(f->access_token) || !http_line_safe(f->token_type)) {
        return err_set(err, ERR_NETWORK,
                       "net/http: invalid header field value for \"Authorization\"");
    }
    int64_t life_s = 0;
    if (f->expires_in.len > 0 && number_parse_i64(f->expires_in, &life_s) != NUMBER_OK) {
        return err_set(err, ERR_NETWORK, "oauth2: cannot parse response: expires_in \"%.*s\"",
                       STR_ARG(str_sub(f->expires_in, 0, 64)));
    }
    out->life_s = life_s < 0 ? 0 : life_s < TOKEN_LIFE_S_MAX ? life_s : TOKEN_LIFE_S_MAX;
    out->line = arena_printf(arena, "Authorization: %.*s %.*s", STR_ARG(scheme_of(f->token_type)),
                             STR_ARG(f->access_token));
    return ERR_OK;
}

enum err_code http_token_read(struct arena *arena, int status, struct str reason,
                              struct str content_type, struct str body, struct http_token *out,
                              struct err *err) {
    struct fields f = {0};
    const bool refused = status < 200 || status > 299;
    enum err_code code =
        is_form(content_type) ? read_form(arena, body, &f, err) : read_json(arena, body, &f, err);
    if (refused || (code == ERR_OK && f.error.len > 0)) {
        return refusal(status, reason, body, &f, err);
    }
    if (code != ERR_OK) {
        if (err != NULL) {
            err->code = ERR_NETWORK;
        }
        return ERR_NETWORK;
    }
    return make_token(arena, &f, out, err);
}
