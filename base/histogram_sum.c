/* INVARIANTS of a list: index strictly ascends; n <= capacity; lost is all zeros unless the sum is
 * compensated. */
#include "base/histogram_sum.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/value.h"

/* Kahan's increment with Neumaier's improvement (spec section 19), or a plain addition. */
static void add_to(double *sum, double *lost, double x, bool compensated) {
    const double t = *sum + x;
    if (compensated) {
        if (isinf(t)) {
            *lost = 0;
        } else if (fabs(*sum) >= fabs(x)) {
            *lost += (*sum - t) + x;
        } else {
            *lost += (x - t) + *sum;
        }
    }
    *sum = t;
}

/* ---- lists ---- */

static bool list_grow(struct arena *arena, struct histogram_list *list, uint32_t need) {
    if (need <= list->capacity) {
        return true;
    }
    const uint32_t capacity = need + need / 2 + 8;
    double *counts = arena_try_alloc(arena, capacity, 2 * sizeof(*counts));
    int32_t *indices = arena_try_alloc(arena, capacity, sizeof(*indices));
    if (counts == NULL || indices == NULL) {
        return false;
    }
    if (list->n > 0) {
        memcpy(counts, list->count, list->n * sizeof(*counts));
        memcpy(counts + capacity, list->lost, list->n * sizeof(*counts));
        memcpy(indices, list->index, list->n * sizeof(*indices));
    }
    list->count = counts;
    list->lost = counts + capacity;
    list->index = indices;
    list->capacity = capacity;
    return true;
}

static struct histogram_cursor list_cursor(const struct histogram_list *list) {
    return (struct histogram_cursor){
        .indices = list->index, .counts = list->count, .left = list->n};
}

/* Behind the last, or into it when it has that index. */
static void list_append(struct histogram_list *list, int32_t index, double count) {
    if (list->n > 0 && list->index[list->n - 1] == index) {
        list->count[list->n - 1] += count;
        return;
    }
    list->index[list->n] = index;
    list->count[list->n] = count;
    list->lost[list->n++] = 0;
}

static bool unpack(struct arena *arena, const struct histogram_side *side, int32_t shift,
                   struct histogram_list *out) {
    out->n = 0;
    if (!list_grow(arena, out, side->count)) {
        return false;
    }
    struct histogram_cursor c = histogram_cursor_of(side);
    int32_t index = 0;
    double count = 0;
    while (histogram_cursor_next(&c, &index, &count)) {
        list_append(out, histogram_coarser_index(index, shift), count);
    }
    return true;
}

static void drop_unpopulated(struct histogram_list *list) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->count[i] != 0) {
            list->index[kept] = list->index[i];
            list->count[kept] = list->count[i];
            list->lost[kept++] = list->lost[i];
        }
    }
    list->n = kept;
}

static void coarsen(struct histogram_list *list, int32_t shift, bool compensated) {
    uint32_t to = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const int32_t index = histogram_coarser_index(list->index[i], shift);
        if (to > 0 && list->index[to - 1] == index) {
            add_to(&list->count[to - 1], &list->lost[to - 1], list->count[i], compensated);
            list->lost[to - 1] += list->lost[i];
            continue;
        }
        list->index[to] = index;
        list->count[to] = list->count[i];
        list->lost[to++] = list->lost[i];
    }
    list->n = to;
}

/* Adds from, which has the same schema. Buckets that are new here make room from the end. */
static bool merge_lists(struct histogram_sum *s, struct histogram_list *to,
                        const struct histogram_list *from, double sign) {
    uint32_t missing = 0;
    for (uint32_t i = 0, k = 0; i < from->n; i++) {
        while (k < to->n && to->index[k] < from->index[i]) {
            k++;
        }
        missing += k == to->n || to->index[k] != from->index[i];
    }
    if (!list_grow(s->arena, to, to->n + missing)) {
        return false;
    }
    uint32_t at = to->n + missing;
    uint32_t k = to->n;
    to->n = at;
    for (uint32_t i = from->n; i > 0;) {
        const double x = sign * from->count[i - 1];
        if (k > 0 && to->index[k - 1] >= from->index[i - 1]) {
            const bool same = to->index[k - 1] == from->index[i - 1];
            k--;
            at--;
            to->index[at] = to->index[k];
            to->count[at] = to->count[k];
            to->lost[at] = to->lost[k];
            if (same) {
                add_to(&to->count[at], &to->lost[at], x, s->compensated);
                i--;
            }
            continue;
        }
        at--;
        to->index[at] = from->index[i - 1];
        to->count[at] = x;
        to->lost[at] = 0;
        i--;
    }
    return true;
}

/* ---- zero buckets ---- */

static void trim_side(struct histogram_sum *s, struct histogram_list *list) {
    for (uint32_t i = 0; i < list->n; i++) {
        if (histogram_exponential_bound(s->schema, (int64_t)list->index[i] - 1) >=
            s->zero_threshold) {
            break;
        }
        s->zero_lost += list->lost[i];
        list->count[i] = list->lost[i] = 0;
    }
    drop_unpopulated(list);
}

static void widen_zero(struct histogram_sum *s, double threshold) {
    s->zero_count = histogram_zero_count(s->schema, s->zero_count, &threshold,
                                         list_cursor(&s->positive), list_cursor(&s->negative));
    s->zero_threshold = threshold;
    trim_side(s, &s->positive);
    trim_side(s, &s->negative);
}

/* Makes both zero buckets equally wide; returns h's count in it. */
static double reconcile_zero(struct histogram_sum *s, const struct histogram *h) {
    double count = h->zero_count;
    double threshold = h->zero_threshold;
    while (threshold != s->zero_threshold) {
        if (s->zero_threshold > threshold) {
            threshold = s->zero_threshold;
            count = histogram_zero_count(h->schema, h->zero_count, &threshold,
                                         histogram_cursor_of(&h->positive),
                                         histogram_cursor_of(&h->negative));
        }
        if (threshold > s->zero_threshold) {
            widen_zero(s, threshold);
        }
        if (isnan(threshold) || isnan(s->zero_threshold)) {
            break; /* never equal */
        }
    }
    return count;
}

static void drop_inside_zero(const struct histogram_sum *s, struct histogram_list *list) {
    uint32_t first = 0;
    while (first < list->n &&
           histogram_exponential_bound(s->schema, list->index[first]) <= s->zero_threshold) {
        first++;
    }
    if (first > 0) {
        list->n -= first;
        memmove(list->index, list->index + first, list->n * sizeof(*list->index));
        memmove(list->count, list->count + first, list->n * sizeof(*list->count));
    }
}

/* ---- custom bounds ---- */

/* Each bucket goes to the first of the new bounds that is not below its own. */
static void move_to_bounds(struct histogram_list *list, const double *old, uint32_t old_count,
                           const double *bounds, uint32_t bound_count, bool compensated) {
    uint32_t to = 0;
    uint32_t target = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const uint32_t from = (uint32_t)list->index[i];
        if (from >= old_count) {
            target = bound_count;
        }
        while (target < bound_count && bounds[target] < old[from]) {
            target++;
        }
        if (to > 0 && list->index[to - 1] == (int32_t)target) {
            add_to(&list->count[to - 1], &list->lost[to - 1], list->count[i], true);
            list->lost[to - 1] += list->lost[i];
            continue;
        }
        list->index[to] = (int32_t)target;
        list->count[to] = list->count[i];
        list->lost[to++] = list->lost[i];
    }
    list->n = to;
    for (uint32_t i = 0; i < to && !compensated; i++) {
        list->count[i] += list->lost[i];
        list->lost[i] = 0;
    }
}

static bool reconcile_bounds(struct histogram_sum *s, const struct histogram *h) {
    double *common = arena_try_alloc(s->arena, (size_t)s->bound_count + 1, sizeof(*common));
    if (common == NULL) {
        return false;
    }
    uint32_t n = 0;
    for (uint32_t i = 0, k = 0; i < s->bound_count; i++) {
        while (k < h->bound_count && h->bounds[k] < s->bounds[i]) {
            k++;
        }
        if (k < h->bound_count && h->bounds[k] == s->bounds[i]) {
            common[n++] = s->bounds[i];
        }
    }
    move_to_bounds(&s->positive, s->bounds, s->bound_count, common, n, s->compensated);
    move_to_bounds(&s->scratch, h->bounds, h->bound_count, common, n, false);
    s->bounds = common;
    s->bound_count = n;
    s->reconciled = true;
    return true;
}

/* ---- sums ---- */

bool histogram_sum_init(struct histogram_sum *s, struct arena *arena, const struct histogram *first,
                        bool compensated) {
    *s = (struct histogram_sum){
        .arena = arena,
        .schema = first->schema,
        .hint = first->hint,
        .zero_threshold = first->zero_threshold,
        .zero_count = first->zero_count,
        .count = first->count,
        .sum = first->sum,
        .compensated = compensated,
        .bound_count = first->bound_count,
    };
    if (first->bound_count > 0) {
        s->bounds = arena_try_alloc(arena, first->bound_count, sizeof(*s->bounds));
        if (s->bounds == NULL) {
            return false;
        }
        memcpy(s->bounds, first->bounds, first->bound_count * sizeof(*s->bounds));
    }
    return unpack(arena, &first->positive, 0, &s->positive) &&
           unpack(arena, &first->negative, 0, &s->negative);
}

static bool same_bounds(const struct histogram_sum *s, const struct histogram *h) {
    const struct histogram mine = {.bounds = s->bounds, .bound_count = s->bound_count};
    return histogram_same_bounds(&mine, h);
}

static bool combine_custom(struct histogram_sum *s, const struct histogram *h, double sign) {
    if (!unpack(s->arena, &h->positive, 0, &s->scratch)) {
        return false;
    }
    const bool same = same_bounds(s, h);
    if (!same && !reconcile_bounds(s, h)) {
        return false;
    }
    if (!merge_lists(s, &s->positive, &s->scratch, sign)) {
        return false;
    }
    if (!same) {
        drop_unpopulated(&s->positive);
    }
    return true;
}

static bool combine_side(struct histogram_sum *s, const struct histogram *h,
                         const struct histogram_side *side, struct histogram_list *list,
                         double sign) {
    const int32_t shift = h->schema > s->schema ? h->schema - s->schema : 0;
    if (!unpack(s->arena, side, shift, &s->scratch)) {
        return false;
    }
    drop_inside_zero(s, &s->scratch);
    return merge_lists(s, list, &s->scratch, sign);
}

static bool combine(struct histogram_sum *s, const struct histogram *h, double sign) {
    ASSERT((s->schema == HISTOGRAM_SCHEMA_CUSTOM) == histogram_is_custom(h));
    const bool custom = histogram_is_custom(h);
    s->combined = true;
    s->hint = histogram_sum_hint(s->hint, h->hint, &s->hint_conflict);
    if (!custom) {
        add_to(&s->zero_count, &s->zero_lost, sign * reconcile_zero(s, h), s->compensated);
    }
    add_to(&s->count, &s->count_lost, sign * h->count, s->compensated);
    add_to(&s->sum, &s->sum_lost, sign * h->sum, s->compensated);
    if (custom) {
        return combine_custom(s, h, sign);
    }
    if (h->schema < s->schema) {
        coarsen(&s->positive, s->schema - h->schema, s->compensated);
        coarsen(&s->negative, s->schema - h->schema, s->compensated);
        s->schema = h->schema;
    }
    return combine_side(s, h, &h->positive, &s->positive, sign) &&
           combine_side(s, h, &h->negative, &s->negative, sign);
}

bool histogram_sum_add(struct histogram_sum *s, const struct histogram *h) {
    return combine(s, h, 1);
}

bool histogram_sum_subtract(struct histogram_sum *s, const struct histogram *h) {
    return combine(s, h, -1);
}

static void scale_list(struct histogram_list *list, double by, bool divide) {
    for (uint32_t i = 0; i < list->n; i++) {
        list->count[i] = divide ? list->count[i] / by : list->count[i] * by;
        list->lost[i] = divide ? list->lost[i] / by : list->lost[i] * by;
    }
}

static void scale(struct histogram_sum *s, double by, bool divide) {
    double *const fields[] = {&s->zero_count, &s->zero_lost, &s->count,
                              &s->count_lost, &s->sum,       &s->sum_lost};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        *fields[i] = divide ? *fields[i] / by : *fields[i] * by;
    }
    scale_list(&s->positive, by, divide);
    scale_list(&s->negative, by, divide);
}

void histogram_sum_multiply(struct histogram_sum *s, double factor) {
    scale(s, factor, false);
}

void histogram_sum_divide(struct histogram_sum *s, double divisor) {
    scale(s, divisor, true);
}

static bool clone_list(struct arena *arena, const struct histogram_list *from,
                       struct histogram_list *to) {
    *to = (struct histogram_list){.n = 0};
    if (!list_grow(arena, to, from->n)) {
        return false;
    }
    if (from->n > 0) {
        memcpy(to->index, from->index, from->n * sizeof(*to->index));
        memcpy(to->count, from->count, from->n * sizeof(*to->count));
        memcpy(to->lost, from->lost, from->n * sizeof(*to->lost));
    }
    to->n = from->n;
    return true;
}

bool histogram_sum_clone(const struct histogram_sum *s, struct histogram_sum *out) {
    *out = *s; /* bounds are replaced, never changed */
    out->scratch = (struct histogram_list){.n = 0};
    return clone_list(s->arena, &s->positive, &out->positive) &&
           clone_list(s->arena, &s->negative, &out->negative);
}

static double list_most(const struct histogram_list *list, double most) {
    for (uint32_t i = 0; i < list->n; i++) {
        most = fmax(most, fabs(list->count[i]));
    }
    return most;
}

static double sum_most(const struct histogram_sum *s) {
    double most = fmax(fmax(fabs(s->zero_count), fabs(s->count)), fabs(s->sum));
    most = list_most(&s->positive, most);
    return list_most(&s->negative, most);
}

bool histogram_sum_overflowed(const struct histogram_sum *s) {
    return isinf(sum_most(s));
}

bool histogram_sum_has_room(const struct histogram_sum *s, const struct histogram *h) {
    /* Every field of the result is a sum of fields of both; 2^20 buckets may merge to one. */
    const double safe = DBL_MAX / (4.0 * HISTOGRAM_BUCKETS_MAX);
    double most = fmax(fmax(fabs(h->zero_count), fabs(h->count)), fabs(h->sum));
    for (uint32_t i = 0; i < h->positive.count; i++) {
        most = fmax(most, fabs(h->positive.counts[i]));
    }
    for (uint32_t i = 0; i < h->negative.count; i++) {
        most = fmax(most, fabs(h->negative.counts[i]));
    }
    return most < safe && sum_most(s) < safe;
}

/* What was never added to keeps its bits: -0 stays -0. */
static double settled(const struct histogram_sum *s, double sum, double lost) {
    return s->compensated && s->combined ? sum + lost : sum;
}

static bool pack(const struct histogram_sum *s, struct arena *arena,
                 const struct histogram_list *list, struct histogram_side *out) {
    *out = (struct histogram_side){.count = list->n};
    for (uint32_t i = 0; i < list->n; i++) {
        out->span_count += i == 0 || list->index[i] != list->index[i - 1] + 1;
    }
    if (list->n == 0) {
        return true;
    }
    out->spans = arena_try_alloc(arena, out->span_count, sizeof(*out->spans));
    out->counts = arena_try_alloc(arena, list->n, sizeof(*out->counts));
    if (out->spans == NULL || out->counts == NULL) {
        return false;
    }
    struct histogram_span *span = NULL;
    for (uint32_t i = 0; i < list->n; i++) {
        if (i == 0 || list->index[i] != list->index[i - 1] + 1) {
            span = span == NULL ? out->spans : span + 1;
            const int32_t behind = i == 0 ? 0 : list->index[i - 1] + 1;
            *span = (struct histogram_span){.offset = list->index[i] - behind};
        }
        span->length++;
        out->counts[i] = settled(s, list->count[i], list->lost[i]);
    }
    return true;
}

struct histogram *histogram_sum_finish(const struct histogram_sum *s, struct arena *arena) {
    struct histogram *out = arena_try_alloc(arena, 1, sizeof(*out));
    if (out == NULL) {
        return NULL;
    }
    *out = (struct histogram){
        .schema = s->schema,
        .hint = s->hint,
        .zero_threshold = s->zero_threshold,
        .zero_count = settled(s, s->zero_count, s->zero_lost),
        .count = settled(s, s->count, s->count_lost),
        .sum = settled(s, s->sum, s->sum_lost),
        .bound_count = s->bound_count,
    };
    if (s->bound_count > 0) {
        out->bounds = arena_try_alloc(arena, s->bound_count, sizeof(*out->bounds));
        if (out->bounds == NULL) {
            return NULL;
        }
        memcpy(out->bounds, s->bounds, s->bound_count * sizeof(*out->bounds));
    }
    return pack(s, arena, &s->positive, &out->positive) &&
                   pack(s, arena, &s->negative, &out->negative)
               ? out
               : NULL;
}

/* ---- of two ---- */

static struct histogram *of_two(struct arena *arena, const struct histogram *a,
                                const struct histogram *b, double sign,
                                struct histogram_flags *flags) {
    struct histogram_sum s;
    if (!histogram_sum_init(&s, arena, a, false) || !combine(&s, b, sign)) {
        return NULL;
    }
    flags->reconciled = flags->reconciled || s.reconciled;
    flags->hint_conflict = flags->hint_conflict || s.hint_conflict;
    return histogram_sum_finish(&s, arena);
}

struct histogram *histogram_add(struct arena *arena, const struct histogram *a,
                                const struct histogram *b, struct histogram_flags *flags) {
    return of_two(arena, a, b, 1, flags);
}

struct histogram *histogram_subtract(struct arena *arena, const struct histogram *a,
                                     const struct histogram *b, struct histogram_flags *flags) {
    return of_two(arena, a, b, -1, flags);
}

struct histogram *histogram_reduce(struct arena *arena, const struct histogram *h, int32_t schema) {
    struct histogram_sum s;
    if (!histogram_sum_init(&s, arena, h, false)) {
        return NULL;
    }
    ASSERT(schema <= h->schema);
    coarsen(&s.positive, h->schema - schema, false);
    coarsen(&s.negative, h->schema - schema, false);
    s.schema = schema;
    return histogram_sum_finish(&s, arena);
}
