/* label_replace, label_join, sort_by_label and info (spec sections 7, 20 and 21). The regular
 * expressions are the C library's: the generated ones mean the same in both. */
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#include "base/value.h"
#include "tests/reference/reference.h"

enum { GROUPS_MAX = 8 };

static struct str part(struct ref *r, struct str a, struct str b) {
    return arena_printf(r->arena, "%.*s%.*s", STR_ARG(a), STR_ARG(b));
}

/* $1 and ${1}; names are groups that nobody made. */
static struct str expand(struct ref *r, struct str text, const char *value,
                         const regmatch_t *groups) {
    struct str out = STR("");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '$' || i + 1 == text.len) {
            out = part(r, out, str_sub(text, i, 1));
            continue;
        }
        if (text.ptr[i + 1] == '$') {
            out = part(r, out, STR("$"));
            i++;
            continue;
        }
        const bool braces = text.ptr[i + 1] == '{';
        size_t from = i + 1 + braces;
        size_t to = from;
        while (to < text.len && (isalnum((unsigned char)text.ptr[to]) || text.ptr[to] == '_')) {
            to++;
        }
        char *end = NULL;
        char *name = arena_cstr(r->arena, str_sub(text, from, to - from));
        const unsigned long group = strtoul(name, &end, 10);
        if (*name != '\0' && *end == '\0' && group < GROUPS_MAX && groups[group].rm_so >= 0) {
            const struct str all = str_of(value);
            out = part(r, out,
                       str_sub(all, (size_t)groups[group].rm_so,
                               (size_t)(groups[group].rm_eo - groups[group].rm_so)));
        }
        i = to - 1 + braces;
    }
    return out;
}

struct ref_value ref_label_replace(struct ref *r, const struct ref_value *args) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const char *pattern = arena_printf(r->arena, "^(%.*s)$", STR_ARG(args[4].string)).ptr;
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED) != 0) {
        ref_fail(r, "invalid regular expression in label_replace()");
        return out;
    }
    for (size_t i = 0; i < args[0].vector.count; i++) {
        struct ref_sample s = args[0].vector.items[i];
        const char *value = arena_cstr(r->arena, labels_get(s.labels, args[3].string));
        regmatch_t groups[GROUPS_MAX + 1];
        if (regexec(&re, value, GROUPS_MAX + 1, groups, 0) == 0) {
            const struct str text = expand(r, args[2].string, value, groups + 1);
            /* group 0 of the language is all of the value, as group 1 of the pattern is */
            s.labels = ref_set_label(r, s.labels, args[1].string, text);
        }
        ref_push(r, &out.vector, s);
    }
    regfree(&re);
    ref_check_unique(r, &out.vector);
    return out;
}

struct ref_value ref_label_join(struct ref *r, const struct ref_value *args, size_t n) {
    struct ref_value out = {.type = VALUE_VECTOR};
    for (size_t i = 0; i < args[0].vector.count; i++) {
        struct ref_sample s = args[0].vector.items[i];
        struct str text = STR("");
        for (size_t k = 3; k < n; k++) {
            text = k > 3 ? part(r, text, args[2].string) : text;
            text = part(r, text, labels_get(s.labels, args[k].string));
        }
        s.labels = ref_set_label(r, s.labels, args[1].string, text);
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

/* ---- sort_by_label ---- */

static struct str take_run(struct str *text) {
    size_t n = 0;
    const bool digits = text->len > 0 && isdigit((unsigned char)text->ptr[0]);
    while (n < text->len && (isdigit((unsigned char)text->ptr[n]) != 0) == digits) {
        n++;
    }
    const struct str run = str_sub(*text, 0, n);
    *text = str_from(*text, n);
    return run;
}

static bool is_number(struct ref *r, struct str run, long long *out) {
    if (run.len == 0 || !isdigit((unsigned char)run.ptr[0])) {
        return false;
    }
    errno = 0;
    *out = strtoll(arena_cstr(r->arena, run), NULL, 10);
    return errno == 0;
}

static bool natural_before(struct ref *r, struct str a, struct str b) {
    while (a.len > 0) {
        if (b.len == 0) {
            return false;
        }
        const struct str run_a = take_run(&a);
        const struct str run_b = take_run(&b);
        long long x = 0;
        long long y = 0;
        if (is_number(r, run_a, &x) && is_number(r, run_b, &y)) {
            if (x != y) {
                return x < y;
            }
        } else if (!str_eq(run_a, run_b)) {
            return str_cmp(run_a, run_b) < 0;
        }
        if (a.len == 0) {
            return true;
        }
        if (b.len == 0) {
            return false;
        }
    }
    return false;
}

struct ref_value ref_sort_by_label(struct ref *r, const struct node *call,
                                   const struct ref_value *args, bool descending) {
    struct ref_value out = {.type = VALUE_VECTOR};
    if (r->grid.start_ms != r->grid.end_ms) {
        ref_warn(
            r, call->pos.start,
            "sort is ineffective for range queries since results are always ordered by labels");
        return args[0];
    }
    for (size_t i = 0; i < args[0].vector.count; i++) {
        ref_push(r, &out.vector, args[0].vector.items[i]);
    }
    struct ref_sample *s = out.vector.items;
    for (size_t i = 1; i < out.vector.count; i++) {
        for (size_t k = i; k > 0; k--) {
            const struct labels a = s[k - 1].labels;
            const struct labels b = s[k].labels;
            bool swap = labels_cmp(b, a) < 0;
            for (size_t l = 1; l < call->call.arg_count; l++) {
                const struct str x = labels_get(a, args[l].string);
                const struct str y = labels_get(b, args[l].string);
                if (!str_eq(x, y)) {
                    swap = natural_before(r, y, x);
                    r->inexact |= x.len == 0 || y.len == 0; /* where those go is open */
                    break;
                }
            }
            if (swap == descending) {
                break;
            }
            const struct ref_sample x = s[k];
            s[k] = s[k - 1];
            s[k - 1] = x;
        }
    }
    return out;
}

/* ---- info ---- */

static const struct time_modifiers *first_time(const struct node *n) {
    n = ref_bare(n);
    const struct time_modifiers *found = NULL;
    switch (n->type) {
    case NODE_VECTOR_SELECTOR:
        return &n->vector.time;
    case NODE_MATRIX_SELECTOR:
        return &n->matrix.selector->vector.time;
    case NODE_CALL:
        for (size_t i = 0; found == NULL && i < n->call.arg_count; i++) {
            found = first_time(n->call.args[i]);
        }
        return found;
    case NODE_AGGREGATE:
        return first_time(n->aggregate.expr);
    case NODE_BINARY:
        found = first_time(n->binary.lhs);
        return found != NULL ? found : first_time(n->binary.rhs);
    case NODE_UNARY:
        return first_time(n->unary.expr);
    case NODE_SUBQUERY: /* its own offset counts as well */
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    return NULL;
}

static bool has_subquery(const struct node *n) {
    n = ref_bare(n);
    bool found = n->type == NODE_SUBQUERY;
    for (size_t i = 0; n->type == NODE_CALL && i < n->call.arg_count; i++) {
        found |= has_subquery(n->call.args[i]);
    }
    return found || (n->type == NODE_AGGREGATE && has_subquery(n->aggregate.expr)) ||
           (n->type == NODE_UNARY && has_subquery(n->unary.expr)) ||
           (n->type == NODE_BINARY && (has_subquery(n->binary.lhs) || has_subquery(n->binary.rhs)));
}

static bool has_smoothed(const struct node *n) {
    n = ref_bare(n);
    bool found = (n->type == NODE_VECTOR_SELECTOR && n->vector.smoothed) ||
                 (n->type == NODE_MATRIX_SELECTOR && n->matrix.selector->vector.smoothed);
    for (size_t i = 0; n->type == NODE_CALL && i < n->call.arg_count; i++) {
        found |= has_smoothed(n->call.args[i]);
    }
    return found || (n->type == NODE_AGGREGATE && has_smoothed(n->aggregate.expr)) ||
           (n->type == NODE_UNARY && has_smoothed(n->unary.expr)) ||
           (n->type == NODE_BINARY && (has_smoothed(n->binary.lhs) || has_smoothed(n->binary.rhs)));
}

struct info {
    struct matcher *names, *data;
    size_t name_count, data_count;
    struct ref_vector series; /* the newest sample of each key */
};

static bool accepts(struct ref *r, const struct matcher *m, size_t n, struct labels labels) {
    bool yes = true;
    struct err err;
    for (size_t i = 0; i < n && yes; i++) {
        r->unsupported |= matchers_match(&m[i], 1, labels, &yes, &err) != ERR_OK;
    }
    return yes;
}

static bool accepts_name(struct ref *r, const struct info *info, struct labels labels) {
    bool negative = true;
    for (size_t i = 0; i < info->name_count; i++) {
        negative &=
            info->names[i].type == MATCH_NOT_EQUAL || info->names[i].type == MATCH_NOT_REGEX;
    }
    const struct str name = labels_get(labels, LABEL_NAME);
    if (info->name_count == 0) {
        return str_eq(name, STR("target_info"));
    }
    return (!negative || (name.len > 5 && str_ends(name, STR("_info")))) &&
           accepts(r, info->names, info->name_count, labels);
}

static bool same_key(struct labels a, struct labels b, bool names) {
    return str_eq(labels_get(a, STR("instance")), labels_get(b, STR("instance"))) &&
           str_eq(labels_get(a, STR("job")), labels_get(b, STR("job"))) &&
           (!names || str_eq(labels_get(a, LABEL_NAME), labels_get(b, LABEL_NAME)));
}

/* Values of an identifying label among the base series: those that info series must have. */
static bool identified(struct ref *r, const struct info *info, const struct ref_vector *base,
                       struct labels labels, struct str name, bool *any) {
    bool values = false;
    bool found = false;
    for (size_t i = 0; i < base->count; i++) {
        const struct str value = labels_get(base->items[i].labels, name);
        if (value.len > 0 && !accepts_name(r, info, base->items[i].labels)) {
            values = true;
            found |= str_eq(value, labels_get(labels, name));
        }
    }
    *any |= values;
    return !values || found;
}

static void collect_info(struct ref *r, struct info *info, const struct ref_vector *base,
                         int64_t t) {
    for (size_t i = 0; i < r->series_count; i++) {
        const struct ref_series *s = &r->series[i];
        bool any = false;
        const bool instance = identified(r, info, base, s->labels, STR("instance"), &any);
        const bool job = identified(r, info, base, s->labels, STR("job"), &any);
        if (!any || !instance || !job || !accepts_name(r, info, s->labels) ||
            !accepts(r, info->data, info->data_count, s->labels)) {
            continue;
        }
        const struct ref_point *newest = NULL;
        for (size_t k = 0; k < s->count; k++) {
            const struct ref_point *p = &s->points[k];
            newest = p->t <= t && p->t > t - r->lookback_ms ? p : newest;
        }
        if (newest == NULL || (newest->h == NULL && f64_is_stale(newest->v))) {
            continue;
        }
        if (newest->h != NULL) {
            ref_fail(r, "this should be an info metric, with float samples");
        }
        size_t at = 0;
        while (at < info->series.count &&
               !same_key(info->series.items[at].labels, s->labels, true)) {
            at++;
        }
        const struct ref_sample made = {.labels = s->labels, .own_t = newest->t};
        if (at == info->series.count) {
            ref_push(r, &info->series, made);
        } else if (info->series.items[at].own_t == newest->t) {
            ref_fail(r, "found duplicate series for info metric");
        } else if (info->series.items[at].own_t < newest->t) {
            info->series.items[at] = made;
        }
    }
}

static bool wanted(const struct info *info, struct str name) {
    bool yes = info->data_count == 0;
    for (size_t i = 0; i < info->data_count; i++) {
        yes |= str_eq(info->data[i].name, name);
    }
    return yes && !str_eq(name, LABEL_NAME);
}

/* False: it has no info and must have one. */
static bool enrich(struct ref *r, const struct info *info, struct ref_sample *s) {
    struct labels added = {0};
    bool matched = false;
    for (size_t i = 0; i < info->series.count; i++) {
        const struct labels of = info->series.items[i].labels;
        struct label label;
        if (!same_key(of, s->labels, false)) {
            continue;
        }
        matched = true;
        for (struct labels_iter it = labels_begin(of); labels_next(&it, &label);) {
            if (!wanted(info, label.name) || labels_has(s->labels, label.name)) {
                continue;
            }
            const struct str before = labels_get(added, label.name);
            if (before.len > 0 && !str_eq(before, label.value)) {
                ref_fail(r, "conflicting label");
            }
            added = ref_set_label(r, added, label.name, label.value);
        }
    }
    struct label label;
    for (struct labels_iter it = labels_begin(added); labels_next(&it, &label);) {
        s->labels = ref_set_label(r, s->labels, label.name, label.value);
    }
    bool empty = true;
    for (size_t i = 0; i < info->data_count; i++) {
        empty &= matcher_accepts_empty(&info->data[i]);
    }
    return matched || empty;
}

struct ref_value ref_info(struct ref *r, const struct node *call, const struct ref_value *base,
                          int64_t t) {
    struct ref_value out = {.type = VALUE_VECTOR};
    struct info info = {0};
    const struct node *with = call->call.arg_count > 1 ? call->call.args[1] : NULL;
    const size_t n = with != NULL ? with->vector.matcher_count : 0;
    info.names = arena_alloc(r->arena, (n + 1) * sizeof(struct matcher));
    info.data = arena_alloc(r->arena, (n + 1) * sizeof(struct matcher));
    for (size_t i = 0; i < n; i++) {
        const struct matcher m = with->vector.matchers[i];
        if (str_eq(m.name, LABEL_NAME)) {
            info.names[info.name_count++] = m;
        } else {
            info.data[info.data_count++] = m;
        }
    }
    const struct time_modifiers *time = first_time(call->call.args[0]);
    r->unsupported |= has_subquery(call->call.args[0]) || has_smoothed(call->call.args[0]);
    r->unsupported |= r->grid.start_ms != r->grid.end_ms; /* labels are looked for at all steps */
    collect_info(r, &info, &base->vector, time != NULL ? ref_time_of(r, time, t) : t);
    for (size_t i = 0; i < base->vector.count && r->error == NULL; i++) {
        struct ref_sample s = base->vector.items[i];
        if (accepts_name(r, &info, s.labels) || enrich(r, &info, &s)) {
            ref_push(r, &out.vector, s);
        }
    }
    ref_check_unique(r, &out.vector);
    return out;
}
