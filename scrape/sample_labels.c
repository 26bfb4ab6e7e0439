#include "scrape/sample_labels.h"

#include "base/check.h"
#include "base/utf8.h"

/* Runes of a name or value that an error text shows. */
enum { SHOWN_RUNES = 50 };

#define EXPORTED_PREFIX "exported_"

/* A label that a target label pushed aside. */
struct conflict {
    struct label label;
    struct conflict *next;
};

static struct str first_runes(struct str s, size_t count) {
    size_t at = 0;
    for (size_t i = 0; i < count && at < s.len; i++) {
        size_t bytes = 0;
        (void)utf8_rune(str_from(s, at), &bytes);
        at += bytes;
    }
    return str_sub(s, 0, at);
}

static const struct label *find(const struct label *labels, size_t n, struct str name) {
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int c = str_cmp(labels[mid].name, name);
        if (c == 0) {
            return &labels[mid];
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

/* Keeps the list ordered by length of the name; equal lengths in order of arrival. */
static void conflict_insert(struct conflict **list, struct conflict *conflict) {
    while (*list != NULL && (*list)->label.name.len <= conflict->label.name.len) {
        list = &(*list)->next;
    }
    conflict->next = *list;
    *list = conflict;
}

static void conflicts_resolve(struct labels_builder *b, const struct conflict *list) {
    for (; list != NULL; list = list->next) {
        struct str name = list->label.name;
        do {
            name = arena_printf(b->arena, EXPORTED_PREFIX "%.*s", STR_ARG(name));
        } while (labels_builder_get(b, name).len != 0);
        labels_builder_set(b, name, list->label.value);
    }
}

static void merge_target(struct labels_builder *b, struct labels target, bool honor,
                         const struct label *exposed, size_t n) {
    struct conflict *conflicts = NULL;
    struct label label;
    for (struct labels_iter it = labels_begin(target); labels_next(&it, &label);) {
        const struct label *const mine = find(exposed, n, label.name);
        if (honor) {
            if (mine == NULL) {
                labels_builder_set(b, label.name, label.value);
            }
            continue;
        }
        if (mine != NULL && mine->value.len != 0) {
            struct conflict *const conflict = arena_alloc(b->arena, sizeof(*conflict));
            conflict->label = *mine;
            conflict_insert(&conflicts, conflict);
        }
        labels_builder_set(b, label.name, label.value);
    }
    conflicts_resolve(b, conflicts);
}

/* The first name that is exposed twice, or an empty slice. */
static struct str repeated_name(const struct label *labels, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (str_eq(labels[i - 1].name, labels[i].name)) {
            return labels[i].name;
        }
    }
    return STR("");
}

static bool all_valid(struct labels labels, enum name_scheme scheme) {
    struct label label;
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        const bool is_name = str_eq(label.name, LABEL_NAME);
        const bool ok = is_name ? metric_name_valid(label.value, scheme)
                                : label_name_valid(label.name, scheme) && utf8_valid(label.value);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static enum err_code check_valid(struct labels labels, enum name_scheme scheme, struct err *err) {
    if (!labels_has(labels, LABEL_NAME)) {
        return err_set(err, ERR_INVALID, "missing metric name (__name__ label)");
    }
    if (all_valid(labels, scheme)) {
        return ERR_OK;
    }
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    labels_format(&text, labels);
    const enum err_code code = err_set(err, ERR_INVALID, "invalid metric name or label names: %.*s",
                                       STR_ARG(buf_str(&text)));
    buf_release(&text);
    return code;
}

static enum err_code fail_value_length(struct str metric, struct label label, uint64_t limit,
                                       struct err *err) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, first_runes(label.value, SHOWN_RUNES));
    const enum err_code code =
        err_set(err, ERR_LIMIT,
                "label_value_length_limit exceeded (metric: %.*s, label name: %.*s, value: %.*s, "
                "length: %zu, limit: %llu)",
                STR_ARG(metric), STR_ARG(first_runes(label.name, SHOWN_RUNES)),
                STR_ARG(buf_str(&quoted)), label.value.len, (unsigned long long)limit);
    buf_release(&quoted);
    return code;
}

static enum err_code check_limits(const struct scrape_config *config, struct labels labels,
                                  struct err *err) {
    const struct str metric = first_runes(labels_get(labels, LABEL_NAME), SHOWN_RUNES);
    if (config->label_limit != 0 && labels_count(labels) > config->label_limit) {
        return err_set(err, ERR_LIMIT,
                       "label_limit exceeded (metric: %.*s, number of labels: %zu, limit: %llu)",
                       STR_ARG(metric), labels_count(labels),
                       (unsigned long long)config->label_limit);
    }
    const uint64_t name_limit = config->label_name_length_limit;
    const uint64_t value_limit = config->label_value_length_limit;
    if (name_limit == 0 && value_limit == 0) {
        return ERR_OK;
    }
    struct label label;
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        if (name_limit != 0 && label.name.len > name_limit) {
            return err_set(err, ERR_LIMIT,
                           "label_name_length_limit exceeded (metric: %.*s, label name: %.*s, "
                           "length: %zu, limit: %llu)",
                           STR_ARG(metric), STR_ARG(first_runes(label.name, SHOWN_RUNES)),
                           label.name.len, (unsigned long long)name_limit);
        }
        if (value_limit != 0 && label.value.len > value_limit) {
            return fail_value_length(metric, label, value_limit, err);
        }
    }
    return ERR_OK;
}

enum err_code sample_labels_make(const struct scrape_config *config, struct labels target,
                                 const struct label *exposed, size_t n, struct arena *arena,
                                 struct labels *out, bool *out_keep, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < n; i++) {
        labels_builder_set(&b, exposed[i].name, exposed[i].value);
    }
    merge_target(&b, target, config->honor_labels, exposed, n);
    bool keep = true;
    enum err_code code = relabel_run(&config->metric_relabel, &b, &keep, err);
    if (code != ERR_OK || !keep || b.count == 0) {
        *out_keep = false;
        return code;
    }
    struct labels labels;
    code = labels_builder_finish(&b, &labels, err);
    code = code == ERR_OK ? check_valid(labels, config->name_scheme, err) : code;
    code = code == ERR_OK ? check_limits(config, labels, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    const struct str twice = repeated_name(exposed, n);
    if (twice.len != 0 && labels_has(labels, twice)) {
        return err_set(err, ERR_INVALID, "label name \"%.*s\" is not unique: invalid sample",
                       STR_ARG(first_runes(twice, SHOWN_RUNES)));
    }
    *out = labels;
    *out_keep = true;
    return ERR_OK;
}

static void report_labels(struct labels_builder *builder, struct arena *arena, struct str name,
                          struct labels target) {
    struct labels_iter it = labels_begin(target);
    struct label label;
    labels_builder_init(builder, arena);
    labels_builder_set(builder, LABEL_NAME, name);
    /* In the order of names each takes its exported_ name from a label that came before. */
    while (labels_next(&it, &label)) {
        labels_builder_set(
            builder, arena_printf(arena, EXPORTED_PREFIX "%.*s", STR_ARG(label.name)), STR(""));
        labels_builder_set(builder, label.name, label.value);
    }
}

static struct labels finish(struct labels_builder *builder) {
    struct labels out;
    const enum err_code code = labels_builder_finish(builder, &out, NULL);
    ASSERT(code == ERR_OK); /* a target's labels are sound */
    return out;
}

struct labels sample_labels_report(struct arena *arena, struct str name, struct labels target) {
    struct labels_builder builder;
    report_labels(&builder, arena, name, target);
    return finish(&builder);
}

struct labels sample_labels_reason(struct arena *arena, struct str reason, struct labels target) {
    struct labels_builder builder;
    report_labels(&builder, arena, STR("scrape_failure_reason"), target);
    labels_builder_set(&builder, STR("reason"), reason);
    return finish(&builder);
}
