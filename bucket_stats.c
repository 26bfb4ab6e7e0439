/* A series is a native histogram when it has histograms only, else one of floats: a bucket of a
 * classic one or nothing that is looked at. */
#include "bucket_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"

enum { SAMPLES_MIN = 2 };
/* Several times what an answer can be long. */
#define NAME_BYTES_MAX ((size_t)64 << 30)

/* Of one histogram over its samples. */
struct populated {
    int64_t min, max, sum;
    int64_t total; /* buckets that any of the samples has */
};

/* ---- numbers ---- */

static void count_sample(struct populated *p, int64_t buckets) {
    p->min = buckets < p->min ? buckets : p->min;
    p->max = buckets > p->max ? buckets : p->max;
    p->sum += buckets;
}

static void distribution_add(struct bucket_distribution *d, int64_t number) {
    d->min = number < d->min ? number : d->min;
    d->max = number > d->max ? number : d->max;
    d->count++;
    d->avg += (double)number / (double)d->count - d->avg / (double)d->count;
}

static void print_distribution(struct buf *to, const char *title,
                               const struct bucket_distribution *d) {
    buf_printf(to, "- %s: %lld/%.3f/%lld\n", title, (long long)d->min, d->avg, (long long)d->max);
}

static bool same_distribution(const struct bucket_distribution *a,
                              const struct bucket_distribution *b) {
    return a->min == b->min && a->max == b->max && !(a->avg < b->avg) && !(a->avg > b->avg);
}

static void print_histogram(struct bucket_stats *s, struct str name, const char *kind,
                            const struct populated *p, size_t sample_count,
                            struct bucket_totals *totals) {
    const double avg = (double)p->sum / (double)sample_count;
    buf_append_cstr(s->to, "- ");
    buf_append_str(s->to, name);
    buf_printf(s->to, " (%s): %lld/%.3f/%lld", kind, (long long)p->min, avg, (long long)p->max);
    if (p->max != p->total) {
        buf_printf(s->to, "/%lld", (long long)p->total);
    }
    buf_append_char(s->to, '\n');
    distribution_add(&totals->min_populated, p->min);
    distribution_add(&totals->avg_populated, (int64_t)avg);
    distribution_add(&totals->max_populated, p->max);
    distribution_add(&totals->total, p->total);
}

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "the answer is too large to analyze");
}

/* ---- native histograms ---- */

static int compare_numbers(double a, double b) {
    return (a > b) - (a < b);
}

static int by_bounds(const void *a, const void *b) {
    const struct answer_bucket *x = *(const struct answer_bucket *const *)a;
    const struct answer_bucket *y = *(const struct answer_bucket *const *)b;
    if (x->boundaries != y->boundaries) {
        return x->boundaries < y->boundaries ? -1 : 1;
    }
    const int lower = compare_numbers(x->lower, y->lower);
    return lower != 0 ? lower : compare_numbers(x->upper, y->upper);
}

/* How many different buckets the samples have together. */
static enum err_code count_bounds(struct bucket_stats *s, const struct answer_series *series,
                                  int64_t sum, int64_t *out, struct err *err) {
    const struct answer_bucket **all = arena_try_alloc(s->arena, (size_t)sum + 1, sizeof(*all));
    size_t count = 0;
    if (all == NULL) {
        return over_budget(err);
    }
    for (size_t i = 0; i < series->count; i++) {
        const struct answer_histogram *h = series->points[i].histogram;
        for (size_t k = 0; k < h->bucket_count; k++) {
            all[count++] = &h->buckets[k];
        }
    }
    if (count > 1) {
        qsort(all, count, sizeof(struct answer_bucket *), by_bounds);
    }
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        *out += i == 0 || by_bounds(&all[i - 1], &all[i]) != 0;
    }
    return ERR_OK;
}

static enum err_code add_native(struct bucket_stats *s, const struct answer_series *series,
                                struct err *err) {
    struct populated p = {.min = INT64_MAX};
    if (series->count < SAMPLES_MIN) {
        return ERR_OK;
    }
    for (size_t i = 0; i < series->count; i++) {
        count_sample(&p, (int64_t)series->points[i].histogram->bucket_count);
    }
    const enum err_code code = count_bounds(s, series, p.sum, &p.total, err);
    if (code == ERR_OK) {
        struct buf name;
        buf_init(&name, NAME_BYTES_MAX);
        labels_format_metric(&name, series->metric);
        print_histogram(s, buf_str(&name), "native", &p, series->count, &s->native);
        buf_release(&name);
    }
    return code;
}

/* ---- classic histograms ---- */

struct bucket_series {
    struct str histogram; /* name and labels without le */
    double le;
    const struct answer_series *series;
    size_t value_count; /* floats, which stand before histograms */
};

static int by_histogram(const void *a, const void *b) {
    const struct bucket_series *x = a;
    const struct bucket_series *y = b;
    const int names = str_cmp(x->histogram, y->histogram);
    if (names != 0) {
        return names;
    }
    const int bounds = compare_numbers(x->le, y->le);
    return bounds != 0 ? bounds : (x->series > y->series) - (x->series < y->series);
}

static size_t count_values(const struct answer_series *series) {
    size_t n = 0;
    while (n < series->count && series->points[n].histogram == NULL) {
        n++;
    }
    return n;
}

/* false: no bucket of a classic histogram. */
static bool is_bucket(const struct answer_series *series) {
    const struct str name = labels_get(series->metric, LABEL_NAME);
    return labels_has(series->metric, STR("le")) && str_ends(name, STR("_bucket"));
}

static struct bucket_series bucket_of(struct bucket_stats *s, const struct answer_series *series) {
    static const struct str dropped[] = {STR_INIT("__name__"), STR_INIT("le")};
    struct bucket_series bucket = {.series = series, .value_count = count_values(series)};
    struct buf text;
    buf_init(&text, NAME_BYTES_MAX);
    buf_append_str(&text, labels_get(series->metric, LABEL_NAME));
    labels_format(&text, labels_drop(s->arena, series->metric, dropped, COUNT_OF(dropped)));
    bucket.histogram = arena_str(s->arena, buf_str(&text));
    buf_release(&text);
    if (number_parse_double(labels_get(series->metric, STR("le")), &bucket.le) != NUMBER_OK ||
        isnan(bucket.le)) {
        bucket.le = 0; /* so that all have an order */
    }
    return bucket;
}

/* At least one whole observation; what is no number counts as some. */
static bool is_populated(double observations) {
    return !(observations < 1 && observations > -1);
}

/* Buckets count what is below them as well: what lies between two is populated when they differ.
 * Buckets beyond one that has no sample at a place count as empty there. */
static enum err_code count_populated(const struct bucket_series *buckets, size_t count, size_t at,
                                     int64_t *out, struct err *err) {
    *out = is_populated(buckets[0].series->points[at].value);
    for (size_t i = 1; i < count && at < buckets[i].value_count; i++) {
        const struct answer_point *below = &buckets[i - 1].series->points[at];
        const struct answer_point *point = &buckets[i].series->points[at];
        if (point->ts_ms != below->ts_ms) {
            return err_set(err, ERR_INVALID, "matrix result is not time aligned");
        }
        *out += is_populated(point->value - below->value);
    }
    return ERR_OK;
}

static enum err_code add_classic(struct bucket_stats *s, const struct bucket_series *buckets,
                                 size_t count, struct err *err) {
    struct populated p = {.min = INT64_MAX, .total = (int64_t)count};
    const size_t sample_count = buckets[0].value_count;
    if (sample_count < SAMPLES_MIN) {
        return ERR_OK;
    }
    for (size_t at = 0; at < sample_count; at++) {
        int64_t populated = 0;
        const enum err_code code = count_populated(buckets, count, at, &populated, err);
        if (code != ERR_OK) {
            return code;
        }
        count_sample(&p, populated);
    }
    print_histogram(s, buckets[0].histogram, "classic", &p, sample_count, &s->classic);
    return ERR_OK;
}

static enum err_code add_all_classic(struct bucket_stats *s, struct bucket_series *buckets,
                                     size_t count, struct err *err) {
    enum err_code code = ERR_OK;
    if (count > 1) {
        qsort(buckets, count, sizeof(*buckets), by_histogram);
    }
    for (size_t first = 0; code == ERR_OK && first < count;) {
        size_t last = first + 1;
        while (last < count && str_eq(buckets[last].histogram, buckets[first].histogram)) {
            last++;
        }
        code = add_classic(s, &buckets[first], last - first, err);
        first = last;
    }
    return code;
}

/* ---- the whole ---- */

void bucket_stats_begin(struct bucket_stats *s, struct arena *arena, struct buf *to) {
    static const struct bucket_distribution none = {.min = INT64_MAX};
    const struct bucket_totals totals = {none, none, none, none};
    *s = (struct bucket_stats){.arena = arena, .to = to, .native = totals, .classic = totals};
    buf_append_cstr(to, "Bucket stats for each histogram series over time\n"
                        "------------------------------------------------\n"
                        "Populated buckets as min/avg/max over the samples of the series, then how "
                        "many\nbuckets it has in all where that is more, as in most classic "
                        "histograms.\n\n");
}

enum err_code bucket_stats_add(struct bucket_stats *s, const struct answer *matrix,
                               struct err *err) {
    struct bucket_series *buckets =
        arena_try_alloc(s->arena, matrix->series_count + 1, sizeof(*buckets));
    size_t bucket_count = 0;
    enum err_code code = buckets != NULL ? ERR_OK : over_budget(err);
    for (size_t i = 0; code == ERR_OK && i < matrix->series_count; i++) {
        const struct answer_series *series = &matrix->series[i];
        if (series->count == 0) {
            continue;
        }
        if (series->points[0].histogram != NULL) {
            code = add_native(s, series, err);
        } else if (is_bucket(series)) {
            buckets[bucket_count++] = bucket_of(s, series);
        }
    }
    return code == ERR_OK ? add_all_classic(s, buckets, bucket_count, err) : code;
}

static void print_totals(struct buf *to, const char *kind, const struct bucket_totals *t) {
    if (t->total.count == 0) {
        return;
    }
    buf_printf(to, "\n%s histogram series (%llu in total):\n", kind,
               (unsigned long long)t->total.count);
    print_distribution(to, "min populated", &t->min_populated);
    print_distribution(to, "avg populated", &t->avg_populated);
    print_distribution(to, "max populated", &t->max_populated);
    if (!same_distribution(&t->max_populated, &t->total)) {
        print_distribution(to, "total", &t->total);
    }
}

void bucket_stats_end(struct bucket_stats *s) {
    buf_append_cstr(s->to, "\nAggregated bucket stats\n"
                           "-----------------------\n"
                           "Each line is min/avg/max over the series above.\n");
    print_totals(s->to, "Native", &s->native);
    print_totals(s->to, "Classic", &s->classic);
}
