/* /rules, /alerts, /alertmanagers (spec/http-api.md section 4). */
#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"
#include "web/api.h"
#include "web/handlers.h"
#include "web/sha256.h"

static void write_time(struct json_out *j, int64_t unix_ns) {
    if (unix_ns == 0) {
        json_str(j, STR("0001-01-01T00:00:00Z"));
        return;
    }
    struct buf text;
    buf_init(&text, 64);
    time_format_rfc3339_ns(&text, unix_ns);
    json_str(j, buf_str(&text));
    buf_release(&text);
}

static const char *state_name(enum alert_state state) {
    static const char *const names[] = {[ALERT_UNKNOWN] = "unknown",
                                        [ALERT_INACTIVE] = "inactive",
                                        [ALERT_PENDING] = "pending",
                                        [ALERT_FIRING] = "firing"};
    return names[state];
}

static void write_alert(struct json_out *j, const struct alert_info *a) {
    json_object_begin(j);
    json_key(j, "labels");
    json_labels(j, a->labels);
    json_key(j, "annotations");
    json_labels(j, a->annotations);
    json_key(j, "state");
    json_str(j, str_of(state_name(a->state)));
    json_key(j, "activeAt");
    write_time(j, a->active_at_ms * NS_PER_MS);
    if (a->keep_firing_since_ms != 0) {
        json_key(j, "keepFiringSince");
        write_time(j, a->keep_firing_since_ms * NS_PER_MS);
    }
    json_key(j, "value");
    char text[NUMBER_TEXT_MAX];
    json_str(j, (struct str){text, number_format_e(a->value, text)});
    json_object_end(j);
}

static void write_alerting(struct json_out *j, const struct rule_info *r, bool with_alerts) {
    json_key(j, "state");
    json_str(j, str_of(state_name(r->state)));
    json_key(j, "name");
    json_str(j, r->name);
    json_key(j, "query");
    json_str(j, r->query);
    json_key(j, "duration");
    json_f64(j, (double)r->for_ms / 1000);
    json_key(j, "keepFiringFor");
    json_f64(j, (double)r->keep_firing_for_ms / 1000);
    json_key(j, "labels");
    json_labels(j, r->labels);
    json_key(j, "annotations");
    json_labels(j, r->annotations);
    json_key(j, "alerts");
    if (!with_alerts) {
        json_null(j);
        return;
    }
    json_array_begin(j);
    for (size_t i = 0; i < r->alert_count; i++) {
        write_alert(j, &r->alerts[i]);
    }
    json_array_end(j);
}

static void write_rule(struct json_out *j, const struct rule_info *r, bool with_alerts) {
    static const char *const health[] = {
        [RULE_UNKNOWN] = "unknown", [RULE_OK] = "ok", [RULE_ERR] = "err"};
    json_object_begin(j);
    if (r->alerting) {
        write_alerting(j, r, with_alerts);
    } else {
        json_key(j, "name");
        json_str(j, r->name);
        json_key(j, "query");
        json_str(j, r->query);
        json_key(j, "labels");
        json_labels(j, r->labels);
    }
    json_key(j, "health");
    json_str(j, str_of(health[r->health]));
    if (r->last_error.len != 0) {
        json_key(j, "lastError");
        json_str(j, r->last_error);
    }
    json_key(j, "evaluationTime");
    json_f64(j, (double)r->evaluation_ns / 1e9);
    json_key(j, "lastEvaluation");
    write_time(j, r->last_evaluation_unix_ns);
    json_key(j, "type");
    json_str(j, str_of(r->alerting ? "alerting" : "recording"));
    json_object_end(j);
}

struct rule_filter {
    bool alerting, recording, with_alerts;
    const struct str *names, *groups, *files;
    size_t name_count, group_count, file_count;
    struct api_matchers *sets;
    size_t set_count;
    int64_t page_groups;   /* 0 = no pages */
    struct str page_token; /* of the first group of the page, "" = the first page */
};

static bool in_list(const struct str *list, size_t n, struct str s) {
    for (size_t i = 0; i < n; i++) {
        if (str_eq(list[i], s)) {
            return true;
        }
    }
    return n == 0;
}

static bool wanted(const struct rule_filter *f, const struct rule_info *r) {
    if (!(r->alerting ? f->alerting : f->recording) || !in_list(f->names, f->name_count, r->name)) {
        return false;
    }
    for (size_t i = 0; i < f->set_count; i++) {
        bool match = false;
        if (matchers_match(f->sets[i].matchers, f->sets[i].count, r->labels, &match, NULL) ==
                ERR_OK &&
            match) {
            return true;
        }
    }
    return f->set_count == 0;
}

static bool group_wanted(const struct rule_filter *f, const struct rule_group_info *g) {
    if (!in_list(f->groups, f->group_count, g->name) ||
        !in_list(f->files, f->file_count, g->file)) {
        return false;
    }
    for (size_t i = 0; i < g->rule_count; i++) {
        if (wanted(f, &g->rules[i])) {
            return true;
        }
    }
    return false;
}

static void write_group(struct json_out *j, const struct rule_group_info *g,
                        const struct rule_filter *f) {
    json_object_begin(j);
    json_key(j, "name");
    json_str(j, g->name);
    json_key(j, "file");
    json_str(j, g->file);
    json_key(j, "rules");
    json_array_begin(j);
    for (size_t i = 0; i < g->rule_count; i++) {
        if (wanted(f, &g->rules[i])) {
            write_rule(j, &g->rules[i], f->with_alerts);
        }
    }
    json_array_end(j);
    json_key(j, "interval");
    json_f64(j, (double)g->interval_ms / 1000);
    json_key(j, "limit");
    json_i64(j, g->limit);
    json_key(j, "evaluationTime");
    json_f64(j, (double)g->evaluation_ns / 1e9);
    json_key(j, "lastEvaluation");
    write_time(j, g->last_evaluation_unix_ns);
    json_object_end(j);
}

/* ---- pages ---- */

static struct str group_token(struct arena *arena, const struct rule_group_info *g) {
    const struct str text = arena_printf(arena, "%.*s;%.*s", STR_ARG(g->file), STR_ARG(g->name));
    uint8_t hash[SHA256_BYTES];
    sha256(text.ptr, text.len, hash);
    char *hex = arena_alloc(arena, 2 * SHA256_BYTES);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    return (struct str){hex, 2 * SHA256_BYTES};
}

static bool read_page(struct api *api, struct rule_filter *f) {
    const struct str limit = http_param(api->in, "group_limit");
    f->page_token = http_param(api->in, "group_next_token");
    if (limit.len == 0) {
        if (f->page_token.len != 0) {
            api_bad_param(api, "group_next_token",
                          "group_limit needs to be present in order to paginate over the groups");
            return false;
        }
        return true;
    }
    const enum number_result result = number_parse_i64(limit, &f->page_groups);
    const bool too_large =
        result == NUMBER_RANGE ||
        (result == NUMBER_OK && (f->page_groups > INT32_MAX || f->page_groups < INT32_MIN));
    if (result == NUMBER_OK && !too_large && f->page_groups > 0) {
        return true;
    }
    if (result == NUMBER_OK && !too_large) {
        api_bad_param(api, "group_limit", "group_limit needs to be greater than 0");
        return false;
    }
    struct buf why;
    buf_init(&why, ERR_TEXT_MAX);
    buf_append_cstr(&why, "group_limit needs to be a valid number: strconv.ParseInt: parsing ");
    utf8_quote(&why, limit);
    buf_append_cstr(&why, too_large ? ": value out of range" : ": invalid syntax");
    api_bad_param(api, "group_limit", arena_str(&api->in->arena, buf_str(&why)).ptr);
    buf_release(&why);
    return false;
}

/* Position of the page's first group; false when the token names none. */
static bool find_page(struct api *api, const struct rule_filter *f,
                      const struct rule_group_info *groups, size_t count, size_t *out_at) {
    *out_at = 0;
    if (f->page_token.len == 0) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (str_eq(group_token(&api->in->arena, &groups[i]), f->page_token)) {
            *out_at = i;
            return true;
        }
    }
    api_bad_param(api, "group_next_token",
                  arena_printf(&api->in->arena,
                               "invalid group_next_token '%.*s'. were rule groups changed?",
                               STR_ARG(f->page_token))
                      .ptr);
    return false;
}

static void write_groups(struct api *api, const struct rule_filter *f,
                         const struct rule_group_info *groups, size_t count, size_t first) {
    struct str next = STR("");
    int64_t written = 0;
    json_key(&api->json, "groups");
    json_array_begin(&api->json);
    for (size_t i = first; i < count; i++) {
        if (!group_wanted(f, &groups[i])) {
            continue;
        }
        if (f->page_groups > 0 && written == f->page_groups) {
            next = group_token(&api->in->arena, &groups[i]);
            break;
        }
        write_group(&api->json, &groups[i], f);
        written++;
    }
    json_array_end(&api->json);
    if (next.len != 0) {
        json_key(&api->json, "groupNextToken");
        json_str(&api->json, next);
    }
}

static bool read_filter(struct api *api, struct rule_filter *f) {
    struct http_incoming *in = api->in;
    const struct str type = http_param(in, "type");
    const bool alerts_only = str_eq_nocase(type, STR("alert"));
    const bool records_only = str_eq_nocase(type, STR("record"));
    if (type.len != 0 && !alerts_only && !records_only) {
        struct buf why;
        buf_init(&why, ERR_TEXT_MAX);
        buf_append_cstr(&why, "not supported value ");
        struct buf lower;
        buf_init(&lower, HTTP_BODY_MAX);
        utf8_lower(&lower, type);
        utf8_quote(&why, buf_str(&lower));
        buf_release(&lower);
        api_bad_param(api, "type", arena_str(&in->arena, buf_str(&why)).ptr);
        buf_release(&why);
        return false;
    }
    f->alerting = !records_only;
    f->recording = !alerts_only;
    f->names = http_param_all(in, "rule_name[]", &f->name_count);
    f->groups = http_param_all(in, "rule_group[]", &f->group_count);
    f->files = http_param_all(in, "file[]", &f->file_count);
    bool exclude = false;
    if (!api_bool(api, "exclude_alerts", &exclude)) {
        return false;
    }
    f->with_alerts = !exclude;
    return read_page(api, f) && api_match_sets(api, true, true, &f->sets, &f->set_count);
}

void api_rules(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct rule_filter filter = {.alerting = true};
    if (!read_filter(&api, &filter)) {
        return;
    }
    struct rule_group_info *groups = NULL;
    size_t count = 0;
    rule_groups(web->options.rules, &in->arena, &groups, &count);
    size_t first = 0;
    if (!find_page(&api, &filter, groups, count, &first)) {
        return;
    }
    api_begin(&api);
    json_object_begin(&api.json);
    write_groups(&api, &filter, groups, count, first);
    json_object_end(&api.json);
    api_end(&api);
}

void api_alerts(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct rule_group_info *groups = NULL;
    size_t count = 0;
    rule_groups(web->options.rules, &in->arena, &groups, &count);
    api_begin(&api);
    json_object_begin(&api.json);
    json_key(&api.json, "alerts");
    json_array_begin(&api.json);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < groups[i].rule_count; k++) {
            const struct rule_info *r = &groups[i].rules[k];
            for (size_t a = 0; a < r->alert_count; a++) {
                write_alert(&api.json, &r->alerts[a]);
            }
        }
    }
    json_array_end(&api.json);
    json_object_end(&api.json);
    api_end(&api);
}

static void write_urls(struct json_out *j, const char *key, const struct str *urls, size_t count) {
    json_key(j, key);
    json_array_begin(j);
    for (size_t i = 0; i < count; i++) {
        json_object_begin(j);
        json_key(j, "url");
        json_str(j, urls[i]);
        json_object_end(j);
    }
    json_array_end(j);
}

void api_alertmanagers(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct str *active = NULL;
    struct str *dropped = NULL;
    size_t active_count = 0;
    size_t dropped_count = 0;
    notifier_alertmanagers(web->options.notifier, &in->arena, &active, &active_count, &dropped,
                           &dropped_count);
    api_begin(&api);
    json_object_begin(&api.json);
    write_urls(&api.json, "activeAlertmanagers", active, active_count);
    write_urls(&api.json, "droppedAlertmanagers", dropped, dropped_count);
    json_object_end(&api.json);
    api_end(&api);
}
