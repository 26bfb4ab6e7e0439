#include "web/api.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"

static const struct {
    const char *name;
    int status;
} error_types[] = {
    [API_BAD_DATA] = {"bad_data", 400},
    [API_EXECUTION] = {"execution", 422},
    [API_CANCELED] = {"canceled", 499},
    [API_TIMEOUT] = {"timeout", 503},
    [API_INTERNAL] = {"internal", 500},
    [API_NOT_FOUND] = {"not_found", 404},
    [API_NOT_ACCEPTABLE] = {"not_acceptable", 406},
    [API_UNAVAILABLE] = {"unavailable", 500},
};

void api_init(struct api *api, struct web *web, struct http_incoming *in,
              struct http_outgoing *out) {
    *api = (struct api){.web = web, .in = in, .out = out};
    out->content_type = "application/json";
    out->compress = true;
    out->status = 200;
}

void api_begin(struct api *api) {
    buf_clear(&api->out->body);
    json_out_init(&api->json, &api->out->body);
    json_object_begin(&api->json);
    json_key(&api->json, "status");
    json_str(&api->json, STR("success"));
    json_key(&api->json, "data");
}

static void write_annotations(struct api *api, const char *key, const char *what,
                              const struct str *texts, size_t count) {
    if (count == 0) {
        return;
    }
    json_key(&api->json, key);
    json_array_begin(&api->json);
    for (size_t i = 0; i < count && i < API_ANNOTATIONS_MAX; i++) {
        json_str(&api->json, texts[i]);
    }
    if (count > API_ANNOTATIONS_MAX) {
        json_str(&api->json, arena_printf(&api->in->arena, "%zu more %s annotations omitted",
                                          count - API_ANNOTATIONS_MAX, what));
    }
    json_array_end(&api->json);
}

void api_end(struct api *api) {
    write_annotations(api, "warnings", "warning", api->warnings, api->warning_count);
    write_annotations(api, "infos", "info", api->infos, api->info_count);
    json_object_end(&api->json);
    if (!buf_ok(&api->out->body)) {
        api_fail(api, API_EXECUTION, "the answer is larger than %zu bytes, narrow the query",
                 HTTP_RESPONSE_MAX);
    }
}

static void fail_str(struct api *api, enum api_error type, struct str text) {
    buf_clear(&api->out->body);
    json_out_init(&api->json, &api->out->body);
    json_object_begin(&api->json);
    json_key(&api->json, "status");
    json_str(&api->json, STR("error"));
    json_key(&api->json, "errorType");
    json_str(&api->json, str_of(error_types[type].name));
    json_key(&api->json, "error");
    json_str(&api->json, text);
    json_object_end(&api->json);
    api->out->status = error_types[type].status;
}

void api_fail(struct api *api, enum api_error type, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char text[2 * ERR_TEXT_MAX];
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fail_str(api, type, str_of(text));
}

void api_bad_param(struct api *api, const char *name, const char *text) {
    api_fail(api, API_BAD_DATA, "invalid parameter \"%s\": %s", name, text);
}

void api_fail_err(struct api *api, enum err_code code, const struct err *err) {
    switch (code) {
    case ERR_INVALID:
        api_bad_param(api, "query", err->text);
        return;
    case ERR_EXECUTION:
    case ERR_LIMIT:
    case ERR_UNSUPPORTED:
        api_fail(api, API_EXECUTION, "%s", err->text);
        return;
    case ERR_TIMEOUT:
        api->in->timed_out = api->in->tentative;
        api_fail(api, API_TIMEOUT, "%s", err->text);
        return;
    case ERR_CANCELED:
        api_fail(api, API_CANCELED, "%s", err->text);
        return;
    case ERR_UNAVAILABLE:
        api_fail(api, API_UNAVAILABLE, "%s", err->text);
        return;
    case ERR_NOT_FOUND:
        api_fail(api, API_NOT_FOUND, "%s", err->text);
        return;
    case ERR_OK:
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_EXISTS:
    case ERR_NETWORK:
    case ERR_OUT_OF_ORDER:
    case ERR_DUPLICATE:
    case ERR_TOO_OLD:
    case ERR_OUT_OF_BOUNDS:
    case ERR_CODE_COUNT:
        break;
    }
    api_fail(api, API_INTERNAL, "%s", err->text);
}

bool api_time(struct api *api, const char *name, bool required, int64_t otherwise_ms,
              int64_t *out_ms) {
    const struct str text = http_param(api->in, name);
    if (text.len == 0 && !required) {
        *out_ms = otherwise_ms;
        return true;
    }
    struct err err;
    if (time_parse_api_ms(text, out_ms, &err) == ERR_OK) {
        return true;
    }
    if (!required) {
        (void)err_wrap(&err, "invalid time value for '%s'", name);
    }
    api_bad_param(api, name, err.text);
    return false;
}

bool api_limit(struct api *api, const char *name, uint64_t *out) {
    const struct str text = http_param(api->in, name);
    *out = 0;
    if (text.len == 0) {
        return true;
    }
    int64_t n = 0;
    const enum number_result result = number_parse_i64(text, &n);
    if (result == NUMBER_OK && n >= 0) {
        *out = (uint64_t)n;
        return true;
    }
    if (result == NUMBER_OK) {
        api_bad_param(api, name, "limit must be non-negative");
        return false;
    }
    struct buf why;
    buf_init(&why, ERR_TEXT_MAX);
    buf_append_cstr(&why, "strconv.Atoi: parsing ");
    utf8_quote(&why, text);
    buf_append_cstr(&why, result == NUMBER_RANGE ? ": value out of range" : ": invalid syntax");
    api_bad_param(api, name, arena_str(&api->in->arena, buf_str(&why)).ptr);
    buf_release(&why);
    return false;
}

bool api_bool(struct api *api, const char *name, bool *out) {
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"", "0", "f", "F", "FALSE", "false", "False"};
    const struct str text = http_param(api->in, name);
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (str_eq(text, str_of(yes[i]))) {
            *out = true;
            return true;
        }
    }
    for (size_t i = 0; i < COUNT_OF(no); i++) {
        if (str_eq(text, str_of(no[i]))) {
            *out = false;
            return true;
        }
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, text);
    api_fail(api, API_BAD_DATA,
             "invalid parameter \"%s\": error converting %s: strconv.ParseBool: parsing %.*s: "
             "invalid syntax",
             name, name, STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return false;
}

static bool any_nonempty(const struct api_matchers *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (!matcher_accepts_empty(&set->matchers[i])) {
            return true;
        }
    }
    return false;
}

bool api_match_sets(struct api *api, bool plain_error, bool allow_empty, struct api_matchers **out,
                    size_t *out_count) {
    size_t count = 0;
    const struct str *texts = http_param_all(api->in, "match[]", &count);
    struct api_matchers *sets = arena_alloc(&api->in->arena, (count + 1) * sizeof(*sets));
    for (size_t i = 0; i < count; i++) {
        struct err err;
        if (query_parse_selector(&api->in->arena, texts[i], &sets[i].matchers, &sets[i].count,
                                 &err) != ERR_OK) {
            if (plain_error) {
                api_fail(api, API_BAD_DATA, "%s", err.text);
            } else {
                api_bad_param(api, "match[]", err.text);
            }
            return false;
        }
        if (!allow_empty && !any_nonempty(&sets[i])) {
            if (plain_error) {
                api_fail(api, API_BAD_DATA, "match[] must contain at least one non-empty matcher");
            } else {
                api_bad_param(api, "match[]",
                              "match[] must contain at least one non-empty matcher");
            }
            return false;
        }
    }
    *out = sets;
    *out_count = count;
    return true;
}
