#include "scrape/histogram_make.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/number.h"

/* Buckets among which one is put into its place as it comes; more are sorted at the end. */
enum { INSERTED_MAX = 256 };

static COLD enum err_code too_large(struct err *err) {
    return err_set(err, ERR_LIMIT, "the histograms of the page are too large");
}

/* ---- resolution ---- */

int histogram_max_schema(double min_bucket_factor) {
    if (!(min_bucket_factor > 1)) {
        return HISTOGRAM_SCHEMA_MAX;
    }
    const double schema = floor(-log2(log2(min_bucket_factor)));
    if (schema <= HISTOGRAM_SCHEMA_MIN) {
        return HISTOGRAM_SCHEMA_MIN;
    }
    return schema >= HISTOGRAM_SCHEMA_MAX ? HISTOGRAM_SCHEMA_MAX : (int)schema;
}

static uint64_t bucket_count(const struct histogram *h) {
    return (uint64_t)h->positive.count + h->negative.count;
}

enum err_code histogram_limit(struct arena *arena, int max_schema, uint64_t bucket_limit,
                              const struct histogram **h, bool *out_over, struct err *err) {
    enum { ANY_SCHEMA_MAX = 52 };
    const bool custom = histogram_is_custom(*h);
    struct histogram *lower = NULL;
    enum err_code code = ERR_OK;
    *out_over = false;
    if (!custom && max_schema < HISTOGRAM_SCHEMA_MAX && (*h)->schema > max_schema &&
        (*h)->schema <= ANY_SCHEMA_MAX) {
        code = histogram_tidy(arena, *h, (*h)->schema - max_schema, 0, &lower, err);
        *h = code == ERR_OK ? lower : *h;
    }
    while (code == ERR_OK && bucket_limit != 0 && bucket_count(*h) > bucket_limit) {
        if (custom || (*h)->schema <= HISTOGRAM_SCHEMA_MIN) {
            *out_over = true;
            break;
        }
        code = histogram_tidy(arena, *h, 1, 0, &lower, err);
        *h = code == ERR_OK ? lower : *h;
    }
    return code;
}

/* ---- classic histograms ---- */

void classic_release(struct classic_histogram *c) {
    mem_free(c->buckets);
    *c = (struct classic_histogram){0};
}

void classic_reset(struct classic_histogram *c) {
    *c = (struct classic_histogram){.buckets = c->buckets, .capacity = c->capacity};
}

/* "<what><a><between><b>" with numbers as %g writes them. */
static void fail(struct classic_histogram *c, const char *what, double a, const char *between,
                 double b) {
    struct buf text;
    buf_init(&text, 256);
    buf_append_cstr(&text, what);
    buf_append_number_g(&text, a);
    buf_append_cstr(&text, between);
    if (between[0] != '\0') {
        buf_append_number_g(&text, b);
    }
    c->code = err_set(&c->err, ERR_INVALID, "%.*s", STR_ARG(buf_str(&text)));
    buf_release(&text);
}

static void fail_cumulative(struct classic_histogram *c, double less, double than) {
    fail(c, "count is not cumulative: ", less, " < ", than);
}

/* Room for one more. */
static void reserve_bucket(struct classic_histogram *c) {
    if (c->bucket_count == c->capacity) {
        c->capacity = mem_grow(c->capacity, c->bucket_count + 1);
        c->buckets = mem_resize(c->buckets, c->capacity, sizeof(c->buckets[0]));
    }
}

/* A bucket below the last one, into its place. */
static void insert_bucket(struct classic_histogram *c, double le, double count) {
    size_t at = c->bucket_count - 1;
    while (at > 0 && c->buckets[at - 1].le >= le) {
        at--;
    }
    if (c->buckets[at].le == le) {
        return;
    }
    if (at > 0 && count < c->buckets[at - 1].count) {
        fail_cumulative(c, count, c->buckets[at - 1].count);
        return;
    }
    if (count > c->buckets[at].count) {
        fail(c, "count is not cumulative: ", count, " > ", c->buckets[at].count);
        return;
    }
    reserve_bucket(c);
    memmove(c->buckets + at + 1, c->buckets + at, (c->bucket_count - at) * sizeof(c->buckets[0]));
    c->buckets[at] = (struct classic_bucket){le, count};
    c->bucket_count++;
}

void classic_bucket(struct classic_histogram *c, double le, double count) {
    if (c->code != ERR_OK) {
        return;
    }
    if (isnan(le)) {
        c->code = err_set(&c->err, ERR_INVALID, "bucket boundary must not be NaN");
        return;
    }
    if (count < 0) {
        fail(c, "bucket count must be non-negative: le=", le, ", count=", count);
        return;
    }
    if (c->bucket_count >= HISTOGRAM_BUCKETS_MAX) {
        c->code = err_set(&c->err, ERR_LIMIT, "histogram has more than %d buckets",
                          (int)HISTOGRAM_BUCKETS_MAX);
        return;
    }
    const struct classic_bucket *const last =
        c->bucket_count > 0 ? &c->buckets[c->bucket_count - 1] : NULL;
    if (last != NULL && last->le == le) {
        return;
    }
    if (last != NULL && last->le > le && c->bucket_count <= INSERTED_MAX) {
        insert_bucket(c, le, count);
        return;
    }
    if (last != NULL && last->le > le) {
        c->unsorted = true;
    } else if (last != NULL && !c->unsorted && count < last->count) {
        fail_cumulative(c, count, last->count);
        return;
    }
    reserve_bucket(c);
    c->buckets[c->bucket_count++] = (struct classic_bucket){le, count};
}

void classic_count(struct classic_histogram *c, double count) {
    if (c->code != ERR_OK) {
        return;
    }
    if (count < 0) {
        fail(c, "count must be non-negative: count=", count, "", 0);
        return;
    }
    c->count = count;
    c->has_count = true;
}

void classic_sum(struct classic_histogram *c, double sum) {
    c->sum = c->code == ERR_OK ? sum : c->sum;
}

/* Of equal bounds the one with the lower count first: the other is left out. */
static int by_bound(const void *a, const void *b) {
    const struct classic_bucket *const x = a;
    const struct classic_bucket *const y = b;
    if (x->le != y->le) {
        return x->le < y->le ? -1 : 1;
    }
    return (x->count > y->count) - (x->count < y->count);
}

static void sort_buckets(struct classic_histogram *c) {
    size_t n = 0;
    qsort(c->buckets, c->bucket_count, sizeof(c->buckets[0]), by_bound);
    for (size_t i = 0; i < c->bucket_count && c->code == ERR_OK; i++) {
        const struct classic_bucket *const last = n > 0 ? &c->buckets[n - 1] : NULL;
        if (last != NULL && last->le == c->buckets[i].le) {
            continue;
        }
        if (last != NULL && c->buckets[i].count < last->count) {
            fail_cumulative(c, c->buckets[i].count, last->count);
        }
        c->buckets[n++] = c->buckets[i];
    }
    c->bucket_count = n;
    c->unsorted = false;
}

static bool is_integral(double v) {
    return v == rint(v) && fabs(v) < 9223372036854775808.0;
}

static bool all_integral(const struct classic_histogram *c) {
    bool integral = is_integral(c->count);
    for (size_t i = 0; i < c->bucket_count && integral; i++) {
        integral = is_integral(c->buckets[i].count);
    }
    return integral;
}

/* Buckets get the count of +Inf, what is missing is added. */
static enum err_code complete(struct classic_histogram *c) {
    if (c->unsorted) {
        sort_buckets(c);
    }
    if (c->code != ERR_OK) {
        return c->code;
    }
    const size_t n = c->bucket_count;
    if (!c->has_count && n > 0) {
        c->count = c->buckets[n - 1].count;
    }
    if (n == 0 || c->buckets[n - 1].le != INFINITY) {
        classic_bucket(c, INFINITY, c->count);
    }
    const double total = c->code == ERR_OK ? c->buckets[c->bucket_count - 1].count : c->count;
    if (c->code == ERR_OK && !(total == c->count)) {
        struct buf text;
        buf_init(&text, 256);
        buf_append_cstr(&text, "count mismatch: count=");
        buf_append_number_g(&text, c->count);
        buf_append_cstr(&text, " != le=+Inf count=");
        buf_append_number_g(&text, total);
        c->code = err_set(&c->err, ERR_INVALID, "%.*s", STR_ARG(buf_str(&text)));
        buf_release(&text);
    }
    return c->code;
}

enum err_code classic_convert(struct classic_histogram *c, struct arena *arena,
                              struct histogram **out, bool *out_floats, struct err *err) {
    if (complete(c) != ERR_OK) {
        *err = c->err;
        return c->code;
    }
    const size_t n = c->bucket_count;
    double *const counts = arena_try_alloc(arena, n, sizeof(counts[0]));
    double *const bounds = arena_try_alloc(arena, n, sizeof(bounds[0]));
    if (counts == NULL || bounds == NULL) {
        return too_large(err);
    }
    double before = 0;
    for (size_t i = 0; i < n; i++) {
        bounds[i] = c->buckets[i].le;
        counts[i] = c->buckets[i].count - before;
        before = c->buckets[i].count;
    }
    struct histogram_span span = {.offset = 0, .length = (uint32_t)n};
    const struct histogram h = {
        .schema = HISTOGRAM_SCHEMA_CUSTOM,
        .count = c->count,
        .sum = c->sum,
        .positive = {.spans = &span, .counts = counts, .span_count = 1, .count = (uint32_t)n},
        .bounds = bounds,
        .bound_count = (uint32_t)n - 1,
    };
    const bool floats = !all_integral(c);
    const enum err_code code =
        histogram_tidy(arena, &h, 0, floats ? 0 : HISTOGRAM_DENSE_GAP, out, err);
    *out_floats = code == ERR_OK ? floats : *out_floats;
    return code;
}
