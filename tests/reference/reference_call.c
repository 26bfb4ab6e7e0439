/* Function calls other than those of ranges (spec sections 7, 17 and 20). */
#include <math.h>
#include <time.h>

#include "base/number.h"
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

static double date_part(enum function_id id, double v) {
    struct tm date;
    const time_t unix_s = (time_t)v;
    (void)gmtime_r(&unix_s, &date);
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = date.tm_year + 1900;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    switch ((int)id) {
    case FN_MINUTE:
        return date.tm_min;
    case FN_HOUR:
        return date.tm_hour;
    case FN_DAY_OF_WEEK:
        return date.tm_wday;
    case FN_DAY_OF_MONTH:
        return date.tm_mday;
    case FN_DAY_OF_YEAR:
        return date.tm_yday + 1;
    case FN_DAYS_IN_MONTH:
        return DAYS[date.tm_mon] + (leap && date.tm_mon == 1);
    case FN_MONTH:
        return date.tm_mon + 1;
    default:
        return year;
    }
}

/* Of one float; false: not such a function. */
static bool of_float(struct ref *r, enum function_id id, double v, const double *p, double *out) {
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
        if (!(fabs(v) < 1e15)) {
            r->unsupported = true; /* no date of the C library */
            return true;
        }
        *out = date_part(id, v);
        return true;
    default:
        return false;
    }
}

static const struct node *bare(const struct node *n) {
    while (n->type == NODE_PAREN) {
        n = n->paren;
    }
    return n;
}

static struct ref_value absent(struct ref *r, const struct node *arg, bool empty) {
    struct ref_value out = {.type = VALUE_VECTOR};
    struct labels_builder b;
    struct err err;
    arg = bare(arg);
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
    r->unsupported |= labels_builder_finish(&b, &s.labels, &err) != ERR_OK;
    ref_push(r, &out.vector, s);
    return out;
}

static struct ref_value label_join(struct ref *r, const struct ref_value *args, size_t n) {
    struct ref_value out = {.type = VALUE_VECTOR};
    for (size_t i = 0; i < args[0].vector.count; i++) {
        struct ref_sample s = args[0].vector.items[i];
        struct labels_builder b;
        struct err err;
        struct str text = STR("");
        for (size_t k = 3; k < n; k++) {
            const struct str part = labels_get(s.labels, args[k].string);
            text = arena_printf(r->arena, "%.*s%.*s%.*s", STR_ARG(text),
                                k > 3 ? (int)args[2].string.len : 0, args[2].string.ptr,
                                STR_ARG(part));
        }
        labels_builder_init(&b, r->arena);
        labels_builder_reset(&b, s.labels);
        labels_builder_set(&b, args[1].string, text);
        r->unsupported |= labels_builder_finish(&b, &s.labels, &err) != ERR_OK;
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

/* ---- classic histograms ---- */

struct ref_le {
    double le, count;
};

static bool almost(double a, double b) {
    const double sum = fabs(a) + fabs(b);
    if (a == b) {
        return true;
    }
    if (a == 0 || b == 0 || sum < 2.2250738585072014e-308) {
        return fabs(a - b) < 1e-12 * 2.2250738585072014e-308;
    }
    return fabs(a - b) / fmin(sum, 1.7976931348623157e308) < 1e-12;
}

static double classic_quantile(double phi, struct ref_le *b, size_t n) {
    if (isnan(phi)) {
        return NAN;
    }
    if (phi < 0 || phi > 1) {
        return phi < 0 ? -INFINITY : INFINITY;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i; k > 0 && b[k].le < b[k - 1].le; k--) {
            const struct ref_le x = b[k];
            b[k] = b[k - 1];
            b[k - 1] = x;
        }
    }
    if (b[n - 1].le != (double)INFINITY) {
        return NAN;
    }
    size_t merged = 0;
    for (size_t i = 1; i < n; i++) {
        if (b[i].le == b[merged].le) {
            b[merged].count += b[i].count;
        } else {
            b[++merged] = b[i];
        }
    }
    n = merged + 1;
    for (size_t i = 1; i < n; i++) {
        if (almost(b[i].count, b[i - 1].count) || b[i].count < b[i - 1].count) {
            b[i].count = b[i - 1].count;
        }
    }
    const double total = b[n - 1].count;
    if (n < 2 || total == 0) {
        return NAN;
    }
    double rank = phi * total;
    size_t at = 0;
    while (at < n - 1 && !(b[at].count >= rank)) {
        at++;
    }
    if (at == n - 1) {
        return b[n - 2].le;
    }
    if (at == 0 && b[0].le <= 0) {
        return b[0].le;
    }
    const double start = at > 0 ? b[at - 1].le : 0;
    const double before = at > 0 ? b[at - 1].count : 0;
    rank -= before;
    return start + (b[at].le - start) * (rank / (b[at].count - before));
}

struct ref_value ref_histogram_quantile(struct ref *r, double phi, const struct ref_vector *v) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const struct str le_name = STR("le");
    bool *done = arena_zalloc(r->arena, v->count + 1);
    for (size_t i = 0; i < v->count; i++) {
        const struct ref_sample *s = &v->items[i];
        struct labels of = s->labels;
        double le = 0;
        if (s->h != NULL) {
            const struct ref_sample native = {.labels = ref_drop_name(r, of),
                                              .v = ref_native_quantile(phi, s->h)};
            ref_push(r, &out.vector, native);
            continue;
        }
        const struct str text = labels_get(of, le_name);
        if (done[i] || text.len == 0) {
            continue;
        }
        of = labels_drop(r->arena, of, &le_name, 1);
        struct ref_le *buckets = arena_alloc(r->arena, v->count * sizeof(*buckets));
        size_t n = 0;
        for (size_t k = i; k < v->count; k++) {
            const struct str bound = labels_get(v->items[k].labels, le_name);
            if (v->items[k].h != NULL || bound.len == 0 ||
                !labels_eq(labels_drop(r->arena, v->items[k].labels, &le_name, 1), of)) {
                continue;
            }
            done[k] = true;
            if (str_eq(bound, STR("+Inf"))) {
                le = INFINITY;
            } else if (number_parse_double(bound, &le) != NUMBER_OK) {
                r->unsupported = true;
            }
            buckets[n++] = (struct ref_le){le, v->items[k].v};
        }
        const struct ref_sample classic = {.labels = ref_drop_name(r, of),
                                           .v = classic_quantile(phi, buckets, n)};
        ref_push(r, &out.vector, classic);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

/* ---- calls ---- */

static struct ref_value over_range(struct ref *r, const struct node *n,
                                   const struct ref_value *args, int64_t t) {
    const enum function_id id = (enum function_id)n->call.function->id;
    struct ref_value out = {.type = VALUE_VECTOR};
    const size_t range_at = id == FN_QUANTILE_OVER_TIME ? 1 : 0;
    const double params[] = {
        n->call.arg_count > 1 ? args[1 - range_at].scalar : 0,
        n->call.arg_count > 2 ? args[2].scalar : 0,
    };
    if (id == FN_DOUBLE_EXPONENTIAL_SMOOTHING &&
        (!(params[0] > 0 && params[0] < 1) || !(params[1] > 0 && params[1] < 1))) {
        r->unsupported = true;
        return out;
    }
    const struct ref_matrix *m = &args[range_at].matrix;
    for (size_t i = 0; i < m->count; i++) {
        struct ref_sample s = {.labels = m->items[i].labels};
        if (m->items[i].count > 0 && ref_over_time(r, n, &m->items[i], params, t, &s)) {
            if (id != FN_LAST_OVER_TIME && id != FN_FIRST_OVER_TIME) {
                s.labels = ref_drop_name(r, s.labels);
            }
            ref_push(r, &out.vector, s);
        }
    }
    ref_check_unique(r, &out.vector);
    return out;
}

static bool native_part(enum function_id id, const struct ref_histogram *h, double *out) {
    *out = id == FN_HISTOGRAM_COUNT ? h->count
           : id == FN_HISTOGRAM_SUM ? h->sum
                                    : h->sum / h->count;
    return id == FN_HISTOGRAM_COUNT || id == FN_HISTOGRAM_SUM || id == FN_HISTOGRAM_AVG;
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
    const bool native =
        id == FN_HISTOGRAM_COUNT || id == FN_HISTOGRAM_SUM || id == FN_HISTOGRAM_AVG;
    if (n->call.arg_count == 0) {
        ref_push(r, &in.vector, (struct ref_sample){.v = (double)t / 1000});
    }
    if (id == FN_CLAMP && params[1] < params[0]) {
        return out;
    }
    for (size_t i = 0; i < in.vector.count; i++) {
        const struct ref_sample *s = &in.vector.items[i];
        struct ref_sample made = {.labels = ref_drop_name(r, s->labels)};
        if (native != (s->h != NULL)) {
            continue;
        }
        if (native ? !native_part(id, s->h, &made.v) : !of_float(r, id, s->v, params, &made.v)) {
            r->unsupported = true;
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
    const bool own = bare(arg)->type == NODE_VECTOR_SELECTOR;
    for (size_t i = 0; i < in->count; i++) {
        const int64_t at = own ? in->items[i].own_t : t;
        const struct labels labels = ref_drop_name(r, in->items[i].labels);
        ref_push(r, &out.vector, (struct ref_sample){.labels = labels, .v = (double)at / 1000});
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
static struct ref_value sorted(struct ref *r, const struct ref_vector *in, bool descending) {
    struct ref_value out = floats_of(r, in);
    struct ref_sample *s = out.vector.items;
    for (size_t i = 1; r->step_ms == 0 && i < out.vector.count; i++) {
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

struct ref_value ref_call(struct ref *r, const struct node *n, int64_t t) {
    const struct call *c = &n->call;
    const enum function_id id = (enum function_id)c->function->id;
    struct ref_value *args = arena_zalloc(r->arena, (c->arg_count + 1) * sizeof(*args));
    for (size_t i = 0; i < c->arg_count; i++) {
        args[i] = ref_eval(r, c->args[i], t);
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
        return label_join(r, args, c->arg_count);
    case FN_HISTOGRAM_QUANTILE:
        return ref_histogram_quantile(r, args[0].scalar, &args[1].vector);
    case FN_SORT:
        return sorted(r, &args[0].vector, false);
    case FN_SORT_DESC:
        return sorted(r, &args[0].vector, true);
    case FN_VECTOR: {
        struct ref_value out = {.type = VALUE_VECTOR};
        ref_push(r, &out.vector, (struct ref_sample){.v = args[0].scalar});
        return out;
    }
    default:
        return element_wise(r, n, args, t);
    }
}
