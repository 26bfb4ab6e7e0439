/* Quantiles and fractions of histograms (spec/promql.md sections 7 and 17): of classic ones, series
 * with a label le that are grouped and sorted by it once, then each step takes the buckets present;
 * and of native ones, row by row, which come first. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/histogram_rank.h"

static const double SMALL_DELTA = 1e-12;

struct bucket {
    double upper;
    double count;
};

/* ---- one histogram ---- */

static bool almost_equal(double a, double b, double epsilon) {
    if (a == b || (isnan(a) && isnan(b))) {
        return true;
    }
    const double sum = fabs(a) + fabs(b);
    const double difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN) {
        return difference < epsilon * DBL_MIN;
    }
    return difference / fmin(sum, DBL_MAX) < epsilon;
}

/* Adds up buckets with the same bound; returns how many are left. */
static size_t merge_equal_bounds(struct bucket *b, size_t n) {
    size_t last = 0;
    for (size_t i = 1; i < n; i++) {
        if (b[i].upper == b[last].upper) {
            b[last].count += b[i].count;
        } else {
            b[++last] = b[i];
        }
    }
    return last + 1;
}

/* Cumulative counts must not fall. Differences in the last bits come from rate and are levelled
 * silently; others are told. True when anything was told. */
static bool make_monotonic(struct bucket *b, size_t n, struct forced_monotonic *out) {
    bool forced = false;
    double before = b[0].count;
    for (size_t i = 1; i < n; i++) {
        const double count = b[i].count;
        if (count == before) {
            continue;
        }
        if (almost_equal(before, count, SMALL_DELTA)) {
            b[i].count = before;
        } else if (count < before) {
            if (!forced) {
                *out = (struct forced_monotonic){
                    .min_bucket = b[i].upper, .max_bucket = b[i].upper, .count = 1};
                forced = true;
            }
            out->min_bucket = fmin(out->min_bucket, b[i].upper);
            out->max_bucket = fmax(out->max_bucket, b[i].upper);
            out->max_diff = fmax(out->max_diff, before - count);
            b[i].count = before;
        } else {
            before = count;
        }
    }
    return forced;
}

static size_t first_reaching(const struct bucket *b, size_t n, double rank) {
    size_t low = 0;
    size_t high = n - 1;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (b[mid].count >= rank) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

/* b sorted by bound, n > 0; repaired in place. */
static double bucket_quantile(double phi, struct bucket *b, size_t n, bool *out_forced,
                              struct forced_monotonic *forced) {
    *out_forced = false;
    if (isnan(phi)) {
        return NAN;
    }
    if (phi < 0) {
        return -INFINITY;
    }
    if (phi > 1) {
        return INFINITY;
    }
    if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0)) {
        return NAN;
    }
    n = merge_equal_bounds(b, n);
    *out_forced = make_monotonic(b, n, forced);
    if (n < 2 || b[n - 1].count == 0) {
        return NAN;
    }
    double rank = phi * b[n - 1].count;
    const size_t at = first_reaching(b, n, rank);
    if (at == n - 1) {
        return b[n - 2].upper;
    }
    if (at == 0 && b[0].upper <= 0) {
        return b[0].upper;
    }
    double start = 0;
    double count = b[at].count;
    if (at > 0) {
        start = b[at - 1].upper;
        count -= b[at - 1].count;
        rank -= b[at - 1].count;
    }
    return start + (b[at].upper - start) * (rank / count);
}

/* The rank at bound, if this bucket decides it. */
static bool rank_at(double bound, double lower, double upper, double rank, double count,
                    double *out) {
    if (lower >= bound) {
        *out = rank;
        return true;
    }
    if (upper > bound) {
        *out = isinf(lower) ? count : rank + (count - rank) * (bound - lower) / (upper - lower);
        return true;
    }
    return false;
}

static double bucket_fraction(double lower, double upper, struct bucket *b, size_t n) {
    if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0)) {
        return NAN;
    }
    n = merge_equal_bounds(b, n);
    const double total = b[n - 1].count;
    if (total == 0 || isnan(lower) || isnan(upper)) {
        return NAN;
    }
    if (lower >= upper) {
        return 0;
    }
    double low_rank = 0;
    double high_rank = 0;
    bool low_set = false;
    bool high_set = false;
    double rank = 0;
    double start = b[0].upper > 0 ? 0 : -INFINITY;
    for (size_t i = 0; i < n && !(low_set && high_set); i++) {
        low_set = low_set || rank_at(lower, start, b[i].upper, rank, b[i].count, &low_rank);
        high_set = high_set || rank_at(upper, start, b[i].upper, rank, b[i].count, &high_rank);
        rank = b[i].count;
        start = b[i].upper;
    }
    low_rank = !low_set || low_rank > total ? total : low_rank;
    high_rank = !high_set || high_rank > total ? total : high_rank;
    return (high_rank - low_rank) / total;
}

/* ---- all of them ---- */

struct bucket_row {
    double upper;
    uint32_t group;
    uint32_t index; /* of the row, among equals the input order */
};

enum { KIND_CLASSIC = 1, KIND_NATIVE = 2 };

struct histograms {
    struct eval *ev;
    const struct grid *grid;
    struct pos_range vector_pos;
    struct matrix rows;
    struct label_groups groups; /* without le, with names */
    struct bucket_row *buckets; /* by group, bound, input order */
    size_t bucket_count;
    uint32_t *natives; /* rows with histograms, by group, input order */
    uint32_t *native_groups;
    size_t native_count;
    uint8_t *kinds; /* by group: KIND_CLASSIC, KIND_NATIVE, or both, which is rare */
    struct bucket *scratch;
};

static int by_group_and_bound(const void *left, const void *right) {
    const struct bucket_row *a = left;
    const struct bucket_row *b = right;
    if (a->group != b->group) {
        return a->group < b->group ? -1 : 1;
    }
    if (a->upper != b->upper) {
        /* NaN bounds behind everything */
        if (isnan(a->upper) || isnan(b->upper)) {
            return isnan(a->upper) - isnan(b->upper);
        }
        return a->upper < b->upper ? -1 : 1;
    }
    return (a->index > b->index) - (a->index < b->index);
}

/* How warnings name a series: names that the function drops at once are gone by then. */
static struct str shown_name(const struct histograms *h, struct str name) {
    return h->ev->delayed_names ? name : STR("");
}

static void note_bad_bound(struct histograms *h, const struct row *row, struct str text) {
    struct buf quoted;
    buf_init(&quoted, 1024);
    utf8_quote(&quoted, text);
    const struct str suffix = annotation_for_name(&h->ev->notes, shown_name(h, row_name(row)));
    annotations_add(&h->ev->notes, ANNOTATION_WARNING, h->vector_pos,
                    "bucket label \"le\" is missing or has a malformed value of %.*s%.*s",
                    STR_ARG(buf_str(&quoted)), STR_ARG(suffix));
    buf_release(&quoted);
}

/* A native histogram's group has all its labels; le of a classic bucket is no label of its group. */
static enum err_code add_native(struct histograms *h, uint32_t index, struct err *err) {
    const struct row all = {.labels = h->rows.rows[index].labels};
    uint32_t group = 0;
    const enum err_code code = label_index_find_or_add(&h->groups.keys, all.labels, &group, err);
    h->natives[h->native_count] = index;
    h->native_groups[h->native_count++] = group;
    return code;
}

static bool has_float(const struct histograms *h, const struct row *row) {
    for (size_t i = bits_next(row->present, h->grid->count, 0); i < h->grid->count;
         i = bits_next(row->present, h->grid->count, i + 1)) {
        if (row_histogram(row, i) == NULL) {
            return true;
        }
    }
    return false;
}

static enum err_code add_bucket(struct histograms *h, uint32_t index, struct err *err) {
    const struct row *row = &h->rows.rows[index];
    if (row->histograms != NULL) {
        const enum err_code code = add_native(h, index, err);
        if (code != ERR_OK || !has_float(h, row)) {
            return code;
        }
    }
    const struct str le = labels_get(row->labels, STR("le"));
    struct bucket_row *bucket = &h->buckets[h->bucket_count];
    if (number_parse_double(le, &bucket->upper) != NUMBER_OK) {
        note_bad_bound(h, row, le);
        return ERR_OK;
    }
    bucket->index = index;
    h->bucket_count++;
    return label_groups_of(&h->groups, row, &bucket->group, err);
}

static enum err_code gather(struct histograms *h, const struct plan_node *vector, struct work *tmp,
                            struct err *err) {
    enum err_code code = eval_matrix(h->ev, vector, h->grid, tmp, &h->rows, err);
    if (code == ERR_OK) {
        const struct str le = STR("le");
        code = label_groups_init(&h->groups, tmp, &le, 1, GROUP_DROP, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    h->buckets = work_alloc(tmp, h->rows.count + 1, sizeof(*h->buckets), err);
    h->scratch =
        h->buckets != NULL ? work_alloc(tmp, h->rows.count + 1, sizeof(*h->scratch), err) : NULL;
    h->natives = h->scratch != NULL
                     ? work_alloc(tmp, h->rows.count + 1, 2 * sizeof(*h->natives), err)
                     : NULL;
    if (h->natives == NULL) {
        return ERR_LIMIT;
    }
    h->native_groups = h->natives + h->rows.count + 1;
    for (size_t i = 0; i < h->rows.count && code == ERR_OK; i++) {
        code = add_bucket(h, (uint32_t)i, err);
        if (code == ERR_OK) {
            code = eval_worked(h->ev, WORK_ROW, err);
        }
    }
    if (code != ERR_OK) {
        return code;
    }
    code = work_sort(tmp, h->buckets, h->bucket_count, sizeof(*h->buckets), by_group_and_bound,
                     h->ev->cancel, err);
    if (code != ERR_OK) {
        return code;
    }
    h->kinds = work_zalloc(tmp, (size_t)h->groups.keys.count + 1, sizeof(*h->kinds), err);
    if (h->kinds == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < h->bucket_count; i++) {
        h->kinds[h->buckets[i].group] |= KIND_CLASSIC;
    }
    for (size_t i = 0; i < h->native_count; i++) {
        h->kinds[h->native_groups[i]] |= KIND_NATIVE;
    }
    return ERR_OK;
}

/* The buckets of one group that are there at a step, sorted. */
static size_t buckets_at(const struct histograms *h, size_t first, size_t end, size_t step) {
    size_t n = 0;
    for (size_t i = first; i < end; i++) {
        const struct row *row = &h->rows.rows[h->buckets[i].index];
        if (bits_get(row->present, step) && row_histogram(row, step) == NULL) {
            h->scratch[n++] = (struct bucket){h->buckets[i].upper, row->values[step]};
        }
    }
    return n;
}

/* What is asked of each histogram. */
struct question {
    bool fraction;
    struct scalar_column a; /* phi, or the lower bound */
    struct scalar_column b; /* the upper bound */
};

static double answer(struct histograms *h, const struct question *q, struct str name, size_t n,
                     size_t step) {
    if (q->fraction) {
        return bucket_fraction(scalar_at(&q->a, step), scalar_at(&q->b, step), h->scratch, n);
    }
    bool was_forced = false;
    struct forced_monotonic forced;
    const double v = bucket_quantile(scalar_at(&q->a, step), h->scratch, n, &was_forced, &forced);
    if (was_forced) {
        forced.first_ms = forced.last_ms = grid_time(h->grid, step);
        annotations_add_forced(&h->ev->notes, h->vector_pos, shown_name(h, name), &forced);
    }
    return v;
}

static void note_nans(struct histograms *h, enum nan_effect effect, struct str name) {
    const struct str suffix = annotation_for_name(&h->ev->notes, shown_name(h, name));
    switch (effect) {
    case NAN_NONE:
        break;
    case NAN_RESULT_IS_NAN:
        annotations_add(&h->ev->notes, ANNOTATION_INFO, h->vector_pos,
                        "input to histogram_quantile has NaN observations, result is NaN%.*s",
                        STR_ARG(suffix));
        break;
    case NAN_SKEWS_HIGHER:
        annotations_add(&h->ev->notes, ANNOTATION_INFO, h->vector_pos,
                        "input to histogram_quantile has NaN observations, result is skewed "
                        "higher%.*s",
                        STR_ARG(suffix));
        break;
    case NAN_EXCLUDED:
        annotations_add(&h->ev->notes, ANNOTATION_INFO, h->vector_pos,
                        "input to histogram_fraction has NaN observations, which are excluded "
                        "from all fractions%.*s",
                        STR_ARG(suffix));
        break;
    }
}

static double answer_native(struct histograms *h, const struct question *q, struct str name,
                            const struct histogram *native, size_t step) {
    enum nan_effect effect = NAN_NONE;
    const double a = scalar_at(&q->a, step);
    const double v = q->fraction ? histogram_fraction_of(a, scalar_at(&q->b, step), native, &effect)
                                 : histogram_quantile_of(a, native, &effect);
    note_nans(h, effect, name);
    return v;
}

/* The classic buckets of the same labels at a step: then neither counts. */
static bool has_classic(const struct histograms *h, uint32_t group, size_t step) {
    for (size_t i = 0; i < h->bucket_count && (h->kinds[group] & KIND_CLASSIC) != 0; i++) {
        const struct row *row = &h->rows.rows[h->buckets[i].index];
        if (h->buckets[i].group == group && bits_get(row->present, step) &&
            row_histogram(row, step) == NULL) {
            return true;
        }
    }
    return false;
}

static bool has_native(const struct histograms *h, uint32_t group, size_t step) {
    for (size_t i = 0; i < h->native_count && (h->kinds[group] & KIND_NATIVE) != 0; i++) {
        const struct row *row = &h->rows.rows[h->natives[i]];
        if (h->native_groups[i] == group && bits_get(row->present, step) &&
            row_histogram(row, step) != NULL) {
            return true;
        }
    }
    return false;
}

static void note_both(struct histograms *h, struct str name) {
    const struct str suffix = annotation_for_name(&h->ev->notes, shown_name(h, name));
    annotations_add(&h->ev->notes, ANNOTATION_WARNING, h->vector_pos,
                    "vector contains a mix of classic and native histograms%.*s", STR_ARG(suffix));
}

static void finish_row(struct histograms *h, struct row *row, struct str label,
                       struct str label_value) {
    struct arena *arena = &h->ev->base.arena;
    row_drop_name(row, h->ev->delayed_names, arena);
    if (label.len > 0) {
        const struct label pair = {label, label_value};
        row->labels = labels_merge(arena, row->labels, labels_of(arena, &pair, 1));
    }
}

static enum err_code answer_natives(struct histograms *h, const struct question *q,
                                    struct str label, struct str label_value, struct matrix *out,
                                    struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < h->native_count && code == ERR_OK; i++) {
        const struct row *from = &h->rows.rows[h->natives[i]];
        struct row *row = matrix_reserve(out, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = from->labels;
        row->drop_name = from->drop_name;
        const struct str name = labels_get(row->labels, LABEL_NAME);
        for (size_t step = bits_next(from->present, h->grid->count, 0); step < h->grid->count;
             step = bits_next(from->present, h->grid->count, step + 1)) {
            if (from->histograms[step] == NULL) {
                continue;
            }
            if (has_classic(h, h->native_groups[i], step)) {
                note_both(h, name);
                continue;
            }
            row->values[step] = answer_native(h, q, name, from->histograms[step], step);
            bits_set(row->present, step);
        }
        finish_row(h, row, label, label_value);
        out->count += bits_any(row->present, h->grid->count);
        code = eval_worked(h->ev, 8 * h->grid->count + WORK_ROW, err);
    }
    return code;
}

static enum err_code answer_group(struct histograms *h, const struct question *q, size_t first,
                                  size_t end, struct str label, struct str label_value,
                                  struct matrix *out, struct err *err) {
    struct row *row = matrix_reserve(out, err);
    if (row == NULL) {
        return ERR_LIMIT;
    }
    const uint32_t group = h->buckets[first].group;
    row->labels = h->groups.keys.sets[group];
    for (size_t i = first; i < end; i++) {
        row->drop_name = row->drop_name || h->rows.rows[h->buckets[i].index].drop_name;
    }
    const struct str name = labels_get(row->labels, LABEL_NAME);
    for (size_t step = 0; step < h->grid->count; step++) {
        const size_t n = buckets_at(h, first, end, step);
        if (n > 0 && !has_native(h, group, step)) {
            row->values[step] = answer(h, q, name, n, step);
            bits_set(row->present, step);
        }
    }
    finish_row(h, row, label, label_value);
    out->count += bits_any(row->present, h->grid->count);
    return eval_worked(h->ev, (end - first) * h->grid->count + WORK_ROW, err);
}

static enum err_code answer_all(struct histograms *h, const struct question *q, struct str label,
                                struct str label_value, struct matrix *out, struct err *err) {
    enum err_code code = answer_natives(h, q, label, label_value, out, err);
    for (size_t first = 0; first < h->bucket_count && code == ERR_OK;) {
        size_t end = first + 1;
        while (end < h->bucket_count && h->buckets[end].group == h->buckets[first].group) {
            end++;
        }
        code = answer_group(h, q, first, end, label, label_value, out, err);
        first = end;
    }
    return code;
}

static enum err_code hand_on(struct eval *ev, uint64_t before, struct matrix *out,
                             struct row_sink *sink, struct err *err) {
    enum err_code code = matrix_merge(out, MERGE_DISJOINT, err);
    if (code == ERR_OK) {
        uint64_t n = 0;
        code = matrix_samples(out, &n, err);
        if (code == ERR_OK) {
            code = eval_hold(ev, n, err);
        }
        ev->samples_now = before + n;
    }
    return code == ERR_OK ? matrix_replay(out, sink, err) : code;
}

static void note_phi(struct eval *ev, const struct scalar_column *phi, const struct grid *grid,
                     struct pos_range pos) {
    for (size_t i = 0; i < grid->count; i++) {
        const double v = scalar_at(phi, i);
        if (isnan(v) || v < 0 || v > 1) {
            eval_note_quantile(ev, pos, v);
        }
        if (phi->steps == NULL) {
            return;
        }
    }
}

static enum err_code quantile_rows(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct work *tmp, struct row_sink *sink,
                                   struct err *err) {
    struct plan_node *const *args = node->call.args;
    const bool fraction = node->call.arg_count == 3;
    const struct plan_node *vector = args[fraction ? 2 : 1];
    struct question q = {.fraction = fraction};
    struct histograms h = {.ev = ev, .grid = grid, .vector_pos = vector->pos};
    struct matrix out;
    matrix_init(&out, tmp, grid->count);
    const uint64_t before = ev->samples_now;
    enum err_code code = eval_scalar(ev, args[0], grid, tmp, &q.a, err);
    if (code == ERR_OK && fraction) {
        code = eval_scalar(ev, args[1], grid, tmp, &q.b, err);
    }
    if (code == ERR_OK) {
        code = gather(&h, vector, tmp, err);
    }
    if (code == ERR_OK) {
        if (!fraction) {
            note_phi(ev, &q.a, grid, args[0]->pos);
        }
        code = answer_all(&h, &q, STR(""), STR(""), &out, err);
    }
    return code == ERR_OK ? hand_on(ev, before, &out, sink, err) : code;
}

static enum err_code quantiles_rows(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct work *tmp,
                                    struct row_sink *sink, struct err *err) {
    struct plan_node *const *args = node->call.args;
    struct histograms h = {.ev = ev, .grid = grid, .vector_pos = args[0]->pos};
    struct matrix out;
    matrix_init(&out, tmp, grid->count);
    const uint64_t before = ev->samples_now;
    enum err_code code = gather(&h, args[0], tmp, err);
    for (size_t i = 2; i < node->call.arg_count && code == ERR_OK; i++) {
        struct question q = {.fraction = false};
        code = eval_scalar(ev, args[i], grid, tmp, &q.a, err);
        if (code == ERR_OK && q.a.steps != NULL) {
            return err_set(err, ERR_UNSUPPORTED,
                           "histogram_quantiles() with a quantile that is not constant is not "
                           "supported by this version of Brasa");
        }
        if (code == ERR_OK) {
            char text[NUMBER_TEXT_MAX];
            const size_t n = number_format_openmetrics(q.a.constant, text);
            note_phi(ev, &q.a, grid, args[i]->pos);
            code = answer_all(&h, &q, args[1]->string, (struct str){text, n}, &out, err);
        }
    }
    return code == ERR_OK ? hand_on(ev, before, &out, sink, err) : code;
}

enum err_code call_histogram_quantile(struct eval *ev, const struct plan_node *node,
                                      const struct grid *grid, struct row_sink *sink,
                                      struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const enum err_code code = quantile_rows(ev, node, grid, &tmp, sink, err);
    work_end(&tmp);
    return code;
}

enum err_code call_histogram_fraction(struct eval *ev, const struct plan_node *node,
                                      const struct grid *grid, struct row_sink *sink,
                                      struct err *err) {
    return call_histogram_quantile(ev, node, grid, sink, err);
}

enum err_code call_histogram_quantiles(struct eval *ev, const struct plan_node *node,
                                       const struct grid *grid, struct row_sink *sink,
                                       struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const enum err_code code = quantiles_rows(ev, node, grid, &tmp, sink, err);
    work_end(&tmp);
    return code;
}
