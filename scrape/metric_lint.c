#include "scrape/metric_lint.h"

#include <stdlib.h>
#include <string.h>

#include "scrape/metric_family.h"

struct lint {
    struct arena *arena;
    struct metric_problem *problems;
    size_t count, capacity;
};

static void report(struct lint *l, const struct metric_family *f, struct str text) {
    if (l->count == l->capacity) {
        const size_t capacity = l->capacity == 0 ? 64 : l->capacity * 2;
        struct metric_problem *longer = arena_alloc(l->arena, capacity * sizeof(*longer));
        if (l->count > 0) {
            memcpy(longer, l->problems, l->count * sizeof(*longer));
        }
        l->problems = longer;
        l->capacity = capacity;
    }
    l->problems[l->count++] = (struct metric_problem){f->name, text};
}

static struct str lower(struct arena *arena, struct str s) {
    const struct str copy = arena_str(arena, s);
    char *p = (char *)(uintptr_t)copy.ptr;
    for (size_t i = 0; i < copy.len; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z') {
            p[i] = (char)(p[i] - 'A' + 'a');
        }
    }
    return copy;
}

/* ---- names ---- */

/* Is word a part of name between underscores, behind at least one? */
static bool has_part(struct str name, struct str word) {
    for (size_t i = 0; i + word.len < name.len; i++) {
        const size_t end = i + 1 + word.len;
        if (name.ptr[i] == '_' && memcmp(name.ptr + i + 1, word.ptr, word.len) == 0 &&
            (end == name.len || name.ptr[end] == '_')) {
            return true;
        }
    }
    return false;
}

static bool is_camel(struct str name) {
    for (size_t i = 1; i < name.len; i++) {
        const char a = name.ptr[i - 1];
        const char b = name.ptr[i];
        if (a >= 'a' && a <= 'z' && b >= 'A' && b <= 'Z') {
            return true;
        }
    }
    return false;
}

/* ---- units ---- */

static const char *const UNITS[][2] = {
    {"amperes", "amperes"},    {"bytes", "bytes"},     {"celsius", "celsius"},
    {"grams", "grams"},        {"joules", "joules"},   {"kelvin", "kelvin"},
    {"kelvins", "kelvin"},     {"meters", "meters"},   {"metres", "metres"},
    {"seconds", "seconds"},    {"volts", "volts"},     {"minutes", "seconds"},
    {"hours", "seconds"},      {"days", "seconds"},    {"weeks", "seconds"},
    {"fahrenheit", "celsius"}, {"rankine", "celsius"}, {"inches", "meters"},
    {"yards", "meters"},       {"miles", "meters"},    {"bits", "bytes"},
    {"calories", "joules"},    {"pounds", "grams"},    {"ounces", "grams"},
};
static const char *const PREFIXES[] = {
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo",
    "kibi", "mega", "mibi",  "giga",  "gibi",  "tera", "tebi", "peta",  "pebi",
};
static const char *const SHORT_UNITS[] = {"s",  "ms", "us", "ns", "sec", "b", "kb",
                                          "mb", "gb", "tb", "pb", "m",   "h", "d"};

static const char *base_of(struct str unit) {
    for (size_t i = 0; i < COUNT_OF(UNITS); i++) {
        if (str_eq(unit, str_of(UNITS[i][0]))) {
            return UNITS[i][1];
        }
    }
    return NULL;
}

static const char *base_of_part(struct str part) {
    const char *base = base_of(part);
    for (size_t i = 0; base == NULL && i < COUNT_OF(PREFIXES); i++) {
        const struct str prefix = str_of(PREFIXES[i]);
        if (str_starts(part, prefix)) {
            base = base_of((struct str){part.ptr + prefix.len, part.len - prefix.len});
        }
    }
    return base;
}

static void check_unit(struct lint *l, const struct metric_family *f) {
    struct str rest = f->name;
    for (;;) {
        const ptrdiff_t bar = str_find_char(rest, '_');
        const struct str part = {rest.ptr, bar < 0 ? rest.len : (size_t)bar};
        const char *base = base_of_part(part);
        if (base != NULL) {
            if (!str_eq(part, str_of(base))) {
                report(l, f,
                       arena_printf(l->arena, "use base unit \"%s\" instead of \"%.*s\"", base,
                                    STR_ARG(part)));
            }
            return;
        }
        if (bar < 0) {
            return;
        }
        rest = (struct str){rest.ptr + bar + 1, rest.len - (size_t)bar - 1};
    }
}

/* ---- suffixes and labels ---- */

static void check_counter(struct lint *l, const struct metric_family *f) {
    const bool total = str_ends(f->name, STR("_total"));
    if (f->type == EXPO_COUNTER && !total) {
        report(l, f, STR("counter metrics should have \"_total\" suffix"));
    } else if (f->type != EXPO_COUNTER && f->type != EXPO_UNKNOWN && total) {
        report(l, f, STR("non-counter metrics should not have \"_total\" suffix"));
    }
}

static void check_reserved(struct lint *l, const struct metric_family *f) {
    const bool histogram = f->type == EXPO_HISTOGRAM;
    const bool summary = f->type == EXPO_SUMMARY;
    if (f->type == EXPO_UNKNOWN) {
        return;
    }
    if (!histogram && str_ends(f->name, STR("_bucket"))) {
        report(l, f, STR("non-histogram metrics should not have \"_bucket\" suffix"));
    }
    if (!histogram && !summary && str_ends(f->name, STR("_count"))) {
        report(l, f,
               STR("non-histogram and non-summary metrics should not have \"_count\" suffix"));
    }
    if (!histogram && !summary && str_ends(f->name, STR("_sum"))) {
        report(l, f, STR("non-histogram and non-summary metrics should not have \"_sum\" suffix"));
    }
    for (const struct metric_item *item = f->first; item != NULL; item = item->next) {
        for (size_t i = 0; i < item->label_count; i++) {
            const struct str name = item->labels[i].name;
            if (!histogram && str_eq(name, STR("le"))) {
                report(l, f, STR("non-histogram metrics should not have \"le\" label"));
            }
            if (!summary && str_eq(name, STR("quantile"))) {
                report(l, f, STR("non-summary metrics should not have \"quantile\" label"));
            }
        }
    }
}

static void check_name(struct lint *l, const struct metric_family *f) {
    const struct str name = lower(l->arena, f->name);
    if (f->type != EXPO_UNKNOWN && has_part(name, str_of(expo_type_name(f->type)))) {
        report(l, f,
               arena_printf(l->arena, "metric name should not include type '%s'",
                            expo_type_name(f->type)));
    }
    if (str_find_char(f->name, ':') >= 0) {
        report(l, f, STR("metric names should not contain ':'"));
    }
    if (is_camel(f->name)) {
        report(l, f, STR("metric names should be written in 'snake_case' not 'camelCase'"));
    }
    for (size_t i = 0; i < COUNT_OF(SHORT_UNITS); i++) {
        if (has_part(name, str_of(SHORT_UNITS[i]))) {
            report(l, f, STR("metric names should not contain abbreviated units"));
        }
    }
    for (const struct metric_item *item = f->first; item != NULL; item = item->next) {
        for (size_t i = 0; i < item->label_count; i++) {
            if (is_camel(item->labels[i].name)) {
                report(l, f, STR("label names should be written in 'snake_case' not 'camelCase'"));
            }
        }
    }
}

/* ---- twice the same ---- */

static int by_labels(const void *a, const void *b) {
    const struct metric_item *x = *(const struct metric_item *const *)a;
    const struct metric_item *y = *(const struct metric_item *const *)b;
    const size_t n = x->label_count < y->label_count ? x->label_count : y->label_count;
    for (size_t i = 0; i < n; i++) {
        int order = str_cmp(x->labels[i].name, y->labels[i].name);
        order = order != 0 ? order : str_cmp(x->labels[i].value, y->labels[i].value);
        if (order != 0) {
            return order;
        }
    }
    return (x->label_count > y->label_count) - (x->label_count < y->label_count);
}

/* Each metric that there is another one of is reported. */
static void check_unique(struct lint *l, const struct metric_family *f) {
    const struct metric_item **items = arena_alloc(l->arena, f->item_count * sizeof(*items));
    size_t n = 0;
    for (const struct metric_item *item = f->first; item != NULL; item = item->next) {
        items[n++] = item;
    }
    qsort(items, n, sizeof(*items), by_labels);
    for (size_t i = 0; i < n; i++) {
        if ((i > 0 && by_labels(&items[i - 1], &items[i]) == 0) ||
            (i + 1 < n && by_labels(&items[i], &items[i + 1]) == 0)) {
            report(l, f, STR("metric not unique"));
        }
    }
}

/* ---- the page ---- */

static uint64_t series_of(const struct metric_family *f) {
    const bool grouped = f->type == EXPO_HISTOGRAM || f->type == EXPO_SUMMARY;
    return f->item_count * (grouped ? 2 + f->first->parts : 1);
}

static int by_text(const void *a, const void *b) {
    const struct metric_problem *x = a;
    const struct metric_problem *y = b;
    const int order = str_cmp(x->metric, y->metric);
    return order != 0 ? order : str_cmp(x->text, y->text);
}

static int by_series(const void *a, const void *b) {
    const struct metric_cardinality *x = a;
    const struct metric_cardinality *y = b;
    if (x->series != y->series) {
        return x->series < y->series ? 1 : -1;
    }
    return str_cmp(x->metric, y->metric);
}

enum err_code metric_lint(struct str page, struct arena *arena, struct metric_lint *out,
                          struct err *err) {
    struct metric_family *families = NULL;
    const enum err_code code = metric_families(page, arena, &families, err);
    if (code != ERR_OK) {
        return code;
    }
    struct lint l = {.arena = arena};
    size_t n = 0;
    for (const struct metric_family *f = families; f != NULL; f = f->next) {
        n += f->item_count > 0 ? 1 : 0;
    }
    *out = (struct metric_lint){.families = arena_alloc(arena, (n + 1) * sizeof(*out->families))};
    for (const struct metric_family *f = families; f != NULL; f = f->next) {
        if (f->item_count == 0) {
            continue; /* comments of nothing */
        }
        if (!f->has_help) {
            report(&l, f, STR("no help text"));
        }
        check_unit(&l, f);
        check_counter(&l, f);
        check_reserved(&l, f);
        check_name(&l, f);
        check_unique(&l, f);
        out->families[out->family_count++] = (struct metric_cardinality){f->name, series_of(f)};
        out->series_count += series_of(f);
    }
    if (l.count > 0) {
        qsort(l.problems, l.count, sizeof(*l.problems), by_text);
    }
    qsort(out->families, out->family_count, sizeof(*out->families), by_series);
    out->problems = l.problems;
    out->problem_count = l.count;
    return ERR_OK;
}
