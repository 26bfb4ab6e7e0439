#include "alert/alert_target.h"

#include "base/duration.h"

/* /<prefix>/api/v2/alerts with single slashes */
static struct str api_path(struct arena *arena, struct str prefix) {
    struct buf path;
    buf_init(&path, 64 * 1024);
    buf_append_char(&path, '/');
    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.ptr[i] != '/' || buf_str(&path).ptr[path.len - 1] != '/') {
            buf_append_char(&path, prefix.ptr[i]);
        }
    }
    if (path.len == 0 || path.ptr[path.len - 1] != '/') {
        buf_append_char(&path, '/');
    }
    buf_append_cstr(&path, "api/v2/alerts");
    const struct str result = arena_str(arena, buf_str(&path));
    buf_release(&path);
    return result;
}

enum err_code alert_target_url(const struct alertmanager_config *config, struct labels target,
                               struct labels group, struct arena *arena, bool *out_kept,
                               struct str *out_url, struct labels *out_before, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, target);
    labels_builder_set(&b, STR("__scheme__"), config->scheme);
    labels_builder_set(&b, STR("__alerts_path__"), api_path(arena, config->path_prefix));
    struct labels_iter it = labels_begin(group);
    struct label l;
    while (labels_next(&it, &l)) {
        if (!labels_has(target, l.name)) {
            labels_builder_set(&b, l.name, l.value);
        }
    }
    enum err_code code = labels_builder_finish(&b, out_before, err);
    if (code == ERR_OK) {
        code = relabel_run(&config->relabel, &b, out_kept, err);
    }
    if (code != ERR_OK || !*out_kept) {
        *out_url = STR("");
        return code;
    }
    const struct str address = labels_builder_get(&b, STR("__address__"));
    if (str_find_char(address, '/') >= 0) {
        return err_set(err, ERR_INVALID, "\"%.*s\" is not a valid hostname", STR_ARG(address));
    }
    *out_url =
        arena_printf(arena, "%.*s://%.*s%.*s", STR_ARG(labels_builder_get(&b, STR("__scheme__"))),
                     STR_ARG(address), STR_ARG(labels_builder_get(&b, STR("__alerts_path__"))));
    return ERR_OK;
}

static void json_time(struct json_out *j, const char *key, int64_t unix_ms) {
    struct buf text;
    buf_init(&text, 64);
    time_format_rfc3339_ms(&text, unix_ms);
    json_key(j, key);
    json_str(j, buf_str(&text));
    buf_release(&text);
}

void alert_message_json(struct json_out *j, const struct alert_message *alert) {
    json_object_begin(j);
    if (alert->annotations.size != 0) {
        json_key(j, "annotations");
        json_labels(j, alert->annotations);
    }
    json_time(j, "endsAt", alert->ends_at_ms);
    json_time(j, "startsAt", alert->starts_at_ms);
    json_key(j, "generatorURL");
    json_str(j, alert->generator_url);
    json_key(j, "labels");
    json_labels(j, alert->labels);
    json_object_end(j);
}

enum err_code alert_message_relabel(const struct relabel_rules *rules, struct labels labels,
                                    struct labels external, struct arena *arena, bool *out_kept,
                                    struct labels *out, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, labels);
    struct labels_iter it = labels_begin(external);
    struct label l;
    while (labels_next(&it, &l)) {
        if (labels_builder_get(&b, l.name).len == 0) {
            labels_builder_set(&b, l.name, l.value);
        }
    }
    const enum err_code code = relabel_run(rules, &b, out_kept, err);
    if (code != ERR_OK || !*out_kept) {
        return code;
    }
    return labels_builder_finish(&b, out, err);
}
