/* info(): labels of info series (spec section 21). */
#include "base/value.h"
#include "tests/reference/reference.h"

/* When info series are read: at a time, or at the step less the offset. */
struct info_time {
    bool fixed;
    int64_t at_ms, offset_ms;
};

static bool of_modifiers(struct ref *r, const struct time_modifiers *m, struct info_time *out) {
    out->fixed = m->at != AT_NONE;
    out->at_ms = m->at == AT_TIME ? m->at_ms : m->at == AT_START ? r->start_ms : r->end_ms;
    out->offset_ms = ref_duration_ms(r, m->offset_ns, m->offset_expr, false);
    return true;
}

/* Of the first selector; offsets of subqueries around it count until one has an @. */
static bool first_time(struct ref *r, const struct node *n, struct info_time *out) {
    struct info_time around;
    n = ref_bare(n);
    switch (n->type) {
    case NODE_VECTOR_SELECTOR:
        return of_modifiers(r, &n->vector.time, out);
    case NODE_MATRIX_SELECTOR:
        return of_modifiers(r, &n->matrix.selector->vector.time, out);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            if (first_time(r, n->call.args[i], out)) {
                return true;
            }
        }
        return false;
    case NODE_AGGREGATE:
        return first_time(r, n->aggregate.expr, out);
    case NODE_BINARY:
        return first_time(r, n->binary.lhs, out) || first_time(r, n->binary.rhs, out);
    case NODE_UNARY:
        return first_time(r, n->unary.expr, out);
    case NODE_SUBQUERY:
        if (!first_time(r, n->subquery.expr, out)) {
            return false;
        }
        if (!out->fixed) {
            (void)of_modifiers(r, &n->subquery.time, &around);
            around.offset_ms += out->offset_ms;
            *out = around;
        }
        return true;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    return false;
}

struct info {
    struct matcher *names, *data;
    size_t name_count, data_count;
    const struct ref_value *base; /* at all steps */
    size_t step_count;
    struct ref_vector series; /* the newest sample of each key */
};

static bool accepts(struct ref *r, const struct matcher *m, size_t n, struct labels labels) {
    bool yes = true;
    struct err err;
    for (size_t i = 0; i < n && yes; i++) {
        ref_beyond(r, matchers_match(&m[i], 1, labels, &yes, &err) != ERR_OK, "a pattern");
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

/* Values of an identifying label among the base series, at any step: those that info series must
 * have. */
static bool identified(struct ref *r, const struct info *info, struct labels labels,
                       struct str name, bool *any) {
    bool values = false;
    bool found = false;
    for (size_t k = 0; k < info->step_count; k++) {
        const struct ref_vector *base = &info->base[k].vector;
        for (size_t i = 0; i < base->count; i++) {
            const struct str value = labels_get(base->items[i].labels, name);
            if (value.len > 0 && !accepts_name(r, info, base->items[i].labels)) {
                values = true;
                found |= str_eq(value, labels_get(labels, name));
            }
        }
    }
    *any |= values;
    return !values || found;
}

static void collect_info(struct ref *r, struct info *info, int64_t t) {
    for (size_t i = 0; i < r->series_count; i++) {
        const struct ref_series *s = &r->series[i];
        bool any = false;
        const bool instance = identified(r, info, s->labels, STR("instance"), &any);
        const bool job = identified(r, info, s->labels, STR("job"), &any);
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

struct ref_value ref_info(struct ref *r, const struct node *call, int64_t t) {
    struct ref_value out = {.type = VALUE_VECTOR};
    struct info info = {0};
    struct info_time at = {0};
    info.base = ref_keep_steps(r, call, &info.step_count);
    if (ref_over(r)) {
        return out;
    }
    const int64_t step = r->grid.step_ms > 0 ? r->grid.step_ms : 1;
    const struct ref_vector *base = &info.base[(t - r->grid.start_ms) / step].vector;
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
    const bool timed = first_time(r, call->call.args[0], &at);
    ref_beyond(r, r->in_param && timed && at.fixed, "info at a time below a parameter");
    collect_info(r, &info, (timed && at.fixed ? at.at_ms : t) - at.offset_ms);
    for (size_t i = 0; i < base->count && r->error == NULL; i++) {
        struct ref_sample s = base->items[i];
        if (accepts_name(r, &info, s.labels) || enrich(r, &info, &s)) {
            ref_push(r, &out.vector, s);
        }
    }
    ref_check_unique(r, &out.vector);
    return out;
}
