/* Function calls other than those of ranges (spec sections 7, 17 and 20). */
#include <math.h>

#include "tests/reference/reference.h"

static double go_max(double a, double b) {
    if (isinf(a) || isinf(b)) {
        if (a == (double)INFINITY || b == (double)INFINITY) {
            return INFINITY;
        }
    }
    if (isnan(a) || isnan(b)) {
        return NAN;
    }
    if (a == 0 && b == 0) {
        return signbit(a) ? b : a;
    }
    return a > b ? a : b;
}

static double go_min(double a, double b) {
    return -go_max(-a, -b);
}

static double sign_of(double v) {
    return v > 0 ? 1 : v < 0 ? -1 : v;
}

static double round_to(double v, double to) {
    const double inverse = 1 / to;
    return floor(v * inverse + 0.5) / inverse;
}

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Go counts seconds modulo 2^64 from the Monday that began the year of CALENDAR_BEGIN; what is no
 * 64-bit second is the lowest one. Then it is the calendar, a year and a month at a time. */
static double date_part(enum function_id id, double v) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const int64_t CALENDAR_BEGIN = INT64_C(-292277022399);
    const int64_t unix_s = v > -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
    const uint64_t since_s = (uint64_t)unix_s + UINT64_C(9223372028715321600);
    const uint64_t since_days = since_s / 86400;
    int64_t year = CALENDAR_BEGIN + 400 * (int64_t)(since_days / 146097);
    int day = (int)(since_days % 146097);
    while (day >= 365 + is_leap(year)) {
        day -= 365 + is_leap(year++);
    }
    const int day_of_year = day;
    int month = 0;
    while (day >= DAYS[month] + (month == 1 && is_leap(year))) {
        day -= DAYS[month] + (month == 1 && is_leap(year));
        month++;
    }
    switch ((int)id) {
    case FN_MINUTE:
        return (double)(since_s / 60 % 60);
    case FN_HOUR:
        return (double)(since_s / 3600 % 24);
    case FN_DAY_OF_WEEK:
        return (double)((since_days + 1) % 7);
    case FN_DAY_OF_MONTH:
        return day + 1;
    case FN_DAY_OF_YEAR:
        return day_of_year + 1;
    case FN_DAYS_IN_MONTH:
        return DAYS[month] + (month == 1 && is_leap(year));
    case FN_MONTH:
        return month + 1;
    default:
        return (double)year;
    }
}

/* Of one float; false: not such a function. */
static bool of_float(enum function_id id, double v, const double *p, double *out) {
    switch ((int)id) {
    case FN_ABS:
        *out = fabs(v);
        return true;
    case FN_CEIL:
        *out = ceil(v);
        return true;
    case FN_FLOOR:
        *out = floor(v);
        return true;
    case FN_SQRT:
        *out = sqrt(v);
        return true;
    case FN_EXP:
        *out = exp(v);
        return true;
    case FN_LN:
        *out = log(v);
        return true;
    case FN_LOG2:
        *out = log2(v);
        return true;
    case FN_LOG10:
        *out = log10(v);
        return true;
    case FN_SIN:
        *out = sin(v);
        return true;
    case FN_COS:
        *out = cos(v);
        return true;
    case FN_TAN:
        *out = tan(v);
        return true;
    case FN_ASIN:
        *out = asin(v);
        return true;
    case FN_ACOS:
        *out = acos(v);
        return true;
    case FN_ATAN:
        *out = atan(v);
        return true;
    case FN_SINH:
        *out = sinh(v);
        return true;
    case FN_COSH:
        *out = cosh(v);
        return true;
    case FN_TANH:
        *out = tanh(v);
        return true;
    case FN_ASINH:
        *out = asinh(v);
        return true;
    case FN_ACOSH:
        *out = acosh(v);
        return true;
    case FN_ATANH:
        *out = atanh(v);
        return true;
    case FN_DEG:
        *out = v * 180 / M_PI;
        return true;
    case FN_RAD:
        *out = v * M_PI / 180;
        return true;
    case FN_SGN:
        *out = sign_of(v);
        return true;
    case FN_ROUND:
        *out = round_to(v, p[0]);
        return true;
    case FN_CLAMP:
        *out = go_max(p[0], go_min(p[1], v));
        return true;
    case FN_CLAMP_MIN:
        *out = go_max(p[0], v);
        return true;
    case FN_CLAMP_MAX:
        *out = go_min(p[0], v);
        return true;
    case FN_MINUTE:
    case FN_HOUR:
    case FN_DAY_OF_WEEK:
    case FN_DAY_OF_MONTH:
    case FN_DAY_OF_YEAR:
    case FN_DAYS_IN_MONTH:
    case FN_MONTH:
    case FN_YEAR:
        *out = date_part(id, v);
        return true;
    default:
        return false;
    }
}

static struct ref_value absent(struct ref *r, const struct node *arg, bool empty) {
    struct ref_value out = {.type = VALUE_VECTOR};
    struct labels_builder b;
    struct err err;
    arg = ref_bare(arg);
    arg = arg->type == NODE_MATRIX_SELECTOR ? arg->matrix.selector : arg;
    if (!empty) {
        return out;
    }
    labels_builder_init(&b, r->arena);
    for (size_t i = 0; arg->type == NODE_VECTOR_SELECTOR && i < arg->vector.matcher_count; i++) {
        const struct matcher *m = &arg->vector.matchers[i];
        bool seen = false;
        for (size_t k = 0; k < i; k++) {
            const struct matcher *before = &arg->vector.matchers[k];
            seen |= before->type == MATCH_EQUAL && str_eq(before->name, m->name);
        }
        if (str_eq(m->name, LABEL_NAME)) {
            continue;
        }
        labels_builder_set(&b, m->name, m->type == MATCH_EQUAL && !seen ? m->value : STR(""));
    }
    struct ref_sample s = {.v = 1};
    ref_beyond(r, labels_builder_finish(&b, &s.labels, &err) != ERR_OK, "labels");
    ref_push(r, &out.vector, s);
    return out;
}

/* ---- calls ---- */

static bool has_float(const struct ref_series *w) {
    for (size_t i = 0; i < w->count; i++) {
        if (w->points[i].h == NULL) {
            return true;
        }
    }
    return false;
}

static void inform_no_counter(struct ref *r, uint32_t pos, struct labels labels) {
    const struct str name = labels_get(labels, LABEL_NAME);
    if (name.len > 0 && !str_ends(name, STR("_total")) && !str_ends(name, STR("_sum")) &&
        !str_ends(name, STR("_count")) && !str_ends(name, STR("_bucket"))) {
        ref_inform(r, pos,
                   "metric might not be a counter, name does not end in "
                   "_total/_sum/_count/_bucket: %s",
                   ref_name(r, labels));
    }
}

/* anchored and smoothed go with few functions; whether they do is seen before there is data. */
static void check_extended(struct ref *r, const struct call *c) {
    const enum function_id id = (enum function_id)c->function->id;
    const bool rates = id == FN_DELTA || id == FN_INCREASE || id == FN_RATE;
    for (size_t i = 0; i < c->arg_count; i++) {
        const struct node *arg = ref_bare(c->args[i]);
        if (arg->type != NODE_MATRIX_SELECTOR) {
            continue;
        }
        const struct vector_selector *s = &arg->matrix.selector->vector;
        if (s->smoothed && !rates) {
            ref_fail(r, "smoothed modifier can only be used with");
        }
        if (s->anchored && !rates && id != FN_CHANGES && id != FN_RESETS) {
            ref_fail(r, "anchored modifier can only be used with");
        }
    }
}

void ref_check_tree(struct ref *r, const struct node *n) {
    switch (n->type) {
    case NODE_CALL:
        check_extended(r, &n->call);
        for (size_t i = 0; i < n->call.arg_count; i++) {
            ref_check_tree(r, n->call.args[i]);
        }
        break;
    case NODE_AGGREGATE:
        ref_check_tree(r, n->aggregate.expr);
        if (n->aggregate.param != NULL) {
            ref_check_tree(r, n->aggregate.param);
        }
        break;
    case NODE_BINARY:
        ref_check_tree(r, n->binary.lhs);
        ref_check_tree(r, n->binary.rhs);
        break;
    case NODE_SUBQUERY:
        ref_check_tree(r, n->subquery.expr);
        break;
    case NODE_UNARY:
        ref_check_tree(r, n->unary.expr);
        break;
    case NODE_PAREN:
        ref_check_tree(r, n->paren);
        break;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_DURATION:
        break;
    }
}

static struct ref_value over_range(struct ref *r, const struct node *n,
                                   const struct ref_value *args, int64_t t) {
    const enum function_id id = (enum function_id)n->call.function->id;
    struct ref_value out = {.type = VALUE_VECTOR};
    const size_t range_at = id == FN_QUANTILE_OVER_TIME ? 1 : 0;
    const double params[] = {
        n->call.arg_count > 1 ? args[1 - range_at].scalar : 0,
        n->call.arg_count > 2 ? args[2].scalar : 0,
    };
    if (id == FN_DOUBLE_EXPONENTIAL_SMOOTHING && args[0].matrix.count > 0) {
        if (params[0] <= 0 || params[0] >= 1) {
            ref_fail(r, "invalid smoothing factor. Expected: 0 < sf < 1, got: ");
        } else if (params[1] <= 0 || params[1] >= 1) {
            ref_fail(r, "invalid trend factor. Expected: 0 < tf < 1, got: ");
        }
    }
    const struct ref_matrix *m = &args[range_at].matrix;
    for (size_t i = 0; i < m->count; i++) {
        struct ref_sample s = {.labels = m->items[i].labels, .drops_name = m->items[i].drops_name};
        if (id == FN_QUANTILE_OVER_TIME && has_float(&m->items[i])) {
            ref_warn_phi(r, n->call.args[0]->pos.start, params[0]);
        }
        if (m->items[i].count > 0 && ref_over_time(r, n, &m->items[i], params, t, &s)) {
            if (id != FN_LAST_OVER_TIME && id != FN_FIRST_OVER_TIME) {
                ref_drop_name(r, &s);
            }
            if ((id == FN_RATE || id == FN_INCREASE) && s.h == NULL) {
                inform_no_counter(r, ref_range_pos(n->call.args[0]), m->items[i].labels);
            }
            ref_push(r, &out.vector, s);
        }
    }
    ref_check_unique(r, &out.vector);
    return out;
}

static bool is_native(enum function_id id) {
    return id == FN_HISTOGRAM_COUNT || id == FN_HISTOGRAM_SUM || id == FN_HISTOGRAM_AVG ||
           id == FN_HISTOGRAM_STDDEV || id == FN_HISTOGRAM_STDVAR;
}

static double native_part(struct ref *r, enum function_id id, const struct ref_histogram *h) {
    switch ((int)id) {
    case FN_HISTOGRAM_COUNT:
        return h->count.s;
    case FN_HISTOGRAM_SUM:
        return h->sum.s;
    case FN_HISTOGRAM_AVG:
        return h->sum.s / h->count.s;
    case FN_HISTOGRAM_STDVAR:
        return ref_native_variance(r, h);
    default:
        return sqrt(ref_native_variance(r, h));
    }
}

static struct ref_value element_wise(struct ref *r, const struct node *n,
                                     const struct ref_value *args, int64_t t) {
    const enum function_id id = (enum function_id)n->call.function->id;
    struct ref_value in = args[0];
    struct ref_value out = {.type = VALUE_VECTOR};
    const bool given = n->call.arg_count > 1;
    const double params[] = {given            ? args[1].scalar
                             : id == FN_ROUND ? 1.0
                                              : 0.0,
                             n->call.arg_count > 2 ? args[2].scalar : 0};
    const bool native = is_native(id);
    const struct str name = LABEL_NAME;
    if (n->call.arg_count == 0) {
        ref_push(r, &in.vector, (struct ref_sample){.v = (double)t / 1000});
    }
    if (id == FN_CLAMP && params[1] < params[0]) {
        return out;
    }
    for (size_t i = 0; i < in.vector.count; i++) {
        const struct ref_sample *s = &in.vector.items[i];
        struct ref_sample made = {.labels = s->labels};
        if (native && !r->delayed_names) {
            made.labels = labels_drop(r->arena, s->labels, &name, 1);
        } else {
            ref_drop_name(r, &made);
        }
        if (native != (s->h != NULL)) {
            continue;
        }
        if (native) {
            made.v = native_part(r, id, s->h);
        } else if (!of_float(id, s->v, params, &made.v)) {
            ref_beyond(r, true, "a function");
        }
        ref_push(r, &out.vector, made);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

static struct ref_value number(double v) {
    return (struct ref_value){.type = VALUE_SCALAR, .scalar = v};
}

static struct ref_value to_scalar(const struct ref_vector *v) {
    double found = NAN;
    size_t floats = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (v->items[i].h == NULL) {
            found = v->items[i].v;
            floats++;
        }
    }
    return number(floats == 1 ? found : (double)NAN);
}

static struct ref_value timestamps(struct ref *r, const struct node *arg,
                                   const struct ref_vector *in, int64_t t) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const bool own = ref_bare(arg)->type == NODE_VECTOR_SELECTOR;
    for (size_t i = 0; i < in->count; i++) {
        const int64_t at = own ? in->items[i].own_t : t;
        struct ref_sample s = {.labels = in->items[i].labels, .v = (double)at / 1000};
        ref_drop_name(r, &s);
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

static struct ref_value start_timestamps(struct ref *r, const struct node *arg,
                                         const struct ref_vector *in) {
    struct ref_value out = {.type = VALUE_VECTOR};
    if (!r->start_timestamps || ref_bare(arg)->type != NODE_VECTOR_SELECTOR) {
        return out;
    }
    for (size_t i = 0; i < in->count; i++) {
        struct ref_sample s = {.labels = in->items[i].labels,
                               .v = (double)in->items[i].own_start / 1000};
        ref_drop_name(r, &s);
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

static struct ref_value floats_of(struct ref *r, const struct ref_vector *in) {
    struct ref_value out = {.type = VALUE_VECTOR};
    for (size_t i = 0; i < in->count; i++) {
        if (in->items[i].h == NULL) {
            ref_push(r, &out.vector, in->items[i]);
        }
    }
    return out;
}

/* Not a number: last in either direction. */
static struct ref_value sorted(struct ref *r, const struct node *call, const struct ref_vector *in,
                               bool descending) {
    struct ref_value out = floats_of(r, in);
    struct ref_sample *s = out.vector.items;
    const bool steps = r->grid.start_ms != r->grid.end_ms;
    if (steps) {
        ref_warn(
            r, call->pos.start,
            "sort is ineffective for range queries since results are always ordered by labels");
    }
    for (size_t i = 1; !steps && i < out.vector.count; i++) {
        for (size_t k = i; k > 0; k--) {
            const double a = s[k - 1].v;
            const double b = s[k].v;
            if (isnan(b) || (!isnan(a) && (descending ? a >= b : a <= b))) {
                break;
            }
            const struct ref_sample x = s[k];
            s[k] = s[k - 1];
            s[k - 1] = x;
        }
    }
    return out;
}

static struct ref_value quantiles(struct ref *r, const struct node *n, const struct ref_value *args,
                                  int64_t t) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const struct call *c = &n->call;
    if ((enum function_id)c->function->id == FN_HISTOGRAM_QUANTILE) {
        ref_warn_phi(r, c->args[0]->pos.start, args[0].scalar);
        ref_histogram_quantile(r, args[0].scalar, &args[1].vector, c->args[1]->pos.start, STR(""),
                               t, &out.vector);
    }
    for (size_t i = 2;
         (enum function_id)c->function->id == FN_HISTOGRAM_QUANTILES && i < c->arg_count; i++) {
        ref_warn_phi(r, c->args[i]->pos.start, args[i].scalar);
        ref_histogram_quantile(r, args[i].scalar, &args[0].vector, c->args[0]->pos.start,
                               args[1].string, t, &out.vector);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

/* What asks for a selector's own times does not smooth it. */
static const struct node *own_times_of(struct ref *r, enum function_id id, const struct node *arg) {
    const struct node *bare = ref_bare(arg);
    if ((id != FN_TIMESTAMP && id != FN_START_TIMESTAMP) || bare->type != NODE_VECTOR_SELECTOR ||
        !bare->vector.smoothed) {
        return arg;
    }
    struct node *plain = arena_alloc(r->arena, sizeof(*plain));
    *plain = *bare;
    plain->vector.smoothed = false;
    return plain;
}

struct ref_value ref_call(struct ref *r, const struct node *n, int64_t t) {
    const struct call *c = &n->call;
    const enum function_id id = (enum function_id)c->function->id;
    struct ref_value *args = arena_zalloc(r->arena, (c->arg_count + 1) * sizeof(*args));
    const bool statistics =
        id == FN_HISTOGRAM_COUNT || id == FN_HISTOGRAM_SUM || id == FN_HISTOGRAM_AVG;
    const bool buckets =
        id == FN_HISTOGRAM_QUANTILE || id == FN_HISTOGRAM_QUANTILES || id == FN_HISTOGRAM_FRACTION;
    if (id == FN_LABEL_REPLACE) {
        ref_check_label_replace(r, c);
    }
    r->statistics += statistics;
    r->buckets += buckets;
    for (size_t i = 0; i < c->arg_count && id != FN_INFO; i++) {
        args[i] = ref_eval(r, own_times_of(r, id, c->args[i]), t);
    }
    r->statistics -= statistics;
    r->buckets -= buckets;
    if (ref_over(r)) {
        return (struct ref_value){.type = VALUE_VECTOR};
    }
    if (ref_is_over_time(id)) {
        return over_range(r, n, args, t);
    }
    switch ((int)id) {
    case FN_TIME:
        return number((double)t / 1000);
    case FN_PI:
        return number(M_PI);
    case FN_START:
        return number((double)r->start_ms / 1000);
    case FN_END:
        return number((double)r->end_ms / 1000);
    case FN_RANGE:
        return number((double)(r->end_ms - r->start_ms) / 1000);
    case FN_STEP:
        return number(r->start_ms == r->end_ms ? 0 : (double)r->step_ms / 1000);
    case FN_MAX_OF:
        return number(go_max(args[0].scalar, args[1].scalar));
    case FN_MIN_OF:
        return number(go_min(args[0].scalar, args[1].scalar));
    case FN_SCALAR:
        return to_scalar(&args[0].vector);
    case FN_TIMESTAMP:
        return timestamps(r, c->args[0], &args[0].vector, t);
    case FN_ABSENT:
        return absent(r, c->args[0], args[0].vector.count == 0);
    case FN_ABSENT_OVER_TIME:
        return absent(r, c->args[0], args[0].matrix.count == 0);
    case FN_LABEL_JOIN:
        return ref_label_join(r, args, c->arg_count);
    case FN_LABEL_REPLACE:
        return ref_label_replace(r, args);
    case FN_SORT_BY_LABEL:
        return ref_sort_by_label(r, n, args, false);
    case FN_SORT_BY_LABEL_DESC:
        return ref_sort_by_label(r, n, args, true);
    case FN_INFO:
        return ref_info(r, n, t);
    case FN_START_TIMESTAMP:
        return start_timestamps(r, c->args[0], &args[0].vector);
    case FN_HISTOGRAM_FRACTION:
        return ref_histogram_fraction(r, args[0].scalar, args[1].scalar, &args[2].vector,
                                      c->args[2]->pos.start);
    case FN_HISTOGRAM_QUANTILE:
    case FN_HISTOGRAM_QUANTILES:
        return quantiles(r, n, args, t);
    case FN_SORT:
        return sorted(r, n, &args[0].vector, false);
    case FN_SORT_DESC:
        return sorted(r, n, &args[0].vector, true);
    case FN_VECTOR: {
        struct ref_value out = {.type = VALUE_VECTOR};
        ref_push(r, &out.vector, (struct ref_sample){.v = args[0].scalar});
        return out;
    }
    default:
        return element_wise(r, n, args, t);
    }
}
