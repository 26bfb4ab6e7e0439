/* Self-metrics.
 *
 * A family keeps its series sorted by their rendered labels: registering searches in halves, and
 * rendering walks. Series are allocated one by one, so that the pointers that modules hold stay
 * when the arrays grow. A histogram keeps a count per bucket, not cumulative, so that observing
 * touches one bucket and the sum; rendering adds up.
 *
 * CONCURRENCY. mu guards the families and the arrays in them. Values are relaxed atomics and are
 * written without it. */
#include "base/metric.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/number.h"
#include "base/summary.h"

struct metric_histogram {
    _Atomic uint64_t sum_bits; /* of a double */
    size_t bound_count;
    double *bounds; /* ascending, without +Inf */
    _Atomic uint64_t *counts;
};

struct metric_summary {
    struct clock *clock; /* NULL: of no registry, observes nothing */
    struct summary summary;
    size_t quantile_count;
    double quantiles[SUMMARY_QUANTILES_MAX];
};

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM, FAMILY_SUMMARY };

struct series {
    struct metric metric;
    struct metric_histogram histogram; /* of a histogram family */
    struct metric_summary *summary;    /* of a summary family */
    char *labels;                      /* rendered: a="b",c="d"; "" for none */
    uint32_t holds;                    /* owners beside those that did not say so */
};

struct family {
    char *name;
    char *help;
    enum family_type type;
    struct series **series; /* sorted by labels */
    size_t count;
    size_t capacity;
};

struct collector {
    void (*collect)(void *ctx);
    void *ctx;
};

struct metric_registry {
    struct clock *clock;
    struct mutex mu;
    /* guarded by mu */
    struct family **families; /* sorted by name */
    size_t count;
    size_t capacity;
    struct collector *collectors;
    size_t collector_count;
    size_t collector_capacity;
};

/* Longest rendered label set; labels are ours or names from the configuration. */
enum { LABELS_TEXT_MAX = 64 * 1024 };

static uint64_t bits_of(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static double double_of(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void atomic_add_double(_Atomic uint64_t *to, double v) {
    uint64_t old = atomic_load_explicit(to, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(to, &old, bits_of(double_of(old) + v),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void metric_add(struct metric *m, double v) {
    atomic_add_double(&m->bits, v);
}

void metric_set(struct metric *m, double v) {
    atomic_store_explicit(&m->bits, bits_of(v), memory_order_relaxed);
}

double metric_get(const struct metric *m) {
    return double_of(atomic_load_explicit(&m->bits, memory_order_relaxed));
}

void metric_observe(struct metric_histogram *h, double v) {
    size_t bucket = 0;
    while (bucket < h->bound_count && !(v <= h->bounds[bucket])) { /* NaN goes to +Inf */
        bucket++;
    }
    atomic_fetch_add_explicit(&h->counts[bucket], 1, memory_order_relaxed);
    atomic_add_double(&h->sum_bits, v);
}

void metric_summarize(struct metric_summary *s, double v) {
    if (s->clock != NULL) {
        summary_observe(&s->summary, clock_mono_ns(s->clock), v);
    }
}

struct metric_registry *metric_registry_new(void) {
    struct metric_registry *r = mem_zalloc(sizeof(*r));
    r->clock = clock_system();
    mutex_init(&r->mu);
    return r;
}

void metric_registry_use_clock(struct metric_registry *r, struct clock *clock) {
    r->clock = clock;
}

static void series_free(struct series *s) {
    if (s->summary != NULL) {
        summary_release(&s->summary->summary);
        mem_free(s->summary);
    }
    mem_free(s->histogram.bounds);
    mem_free((void *)s->histogram.counts);
    mem_free(s->labels);
    mem_free(s);
}

static void family_free(struct family *f) {
    for (size_t i = 0; i < f->count; i++) {
        series_free(f->series[i]);
    }
    mem_free(f->series);
    mem_free(f->name);
    mem_free(f->help);
    mem_free(f);
}

void metric_registry_free(struct metric_registry *r) {
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        family_free(r->families[i]);
    }
    mem_free(r->families);
    mem_free(r->collectors);
    mutex_release(&r->mu);
    mem_free(r);
}

/* Label values: \ " and line feed. HELP texts: the same without the quote. */
static void append_escaped(struct buf *to, struct str s, bool quote) {
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (c == '\\') {
            buf_append_cstr(to, "\\\\");
        } else if (c == '\n') {
            buf_append_cstr(to, "\\n");
        } else if (c == '"' && quote) {
            buf_append_cstr(to, "\\\"");
        } else {
            buf_append_char(to, c);
        }
    }
}

/* Sorted by name, as every client library of Prometheus writes them; n is small. */
static char *render_labels(const struct label *labels, size_t n) {
    struct buf text;
    buf_init(&text, LABELS_TEXT_MAX);
    struct str previous = STR("");
    for (size_t done = 0; done < n; done++) {
        const struct label *next = NULL;
        for (size_t i = 0; i < n; i++) {
            if (str_cmp(labels[i].name, previous) > 0 &&
                (next == NULL || str_cmp(labels[i].name, next->name) < 0)) {
                next = &labels[i];
            }
        }
        ASSERT(next != NULL); /* a name twice, or an empty one */
        buf_append_cstr(&text, done > 0 ? "," : "");
        buf_append_str(&text, next->name);
        buf_append_cstr(&text, "=\"");
        append_escaped(&text, next->value, true);
        buf_append_char(&text, '"');
        previous = next->name;
    }
    char *taken = buf_take(&text, NULL);
    ASSERT(taken != NULL);
    return taken;
}

static size_t find_family_locked(const struct metric_registry *r, const char *name, bool *out_found)
    REQUIRES(r->mu) {
    size_t low = 0;
    size_t high = r->count;
    *out_found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int c = strcmp(r->families[middle]->name, name);
        if (c == 0) {
            *out_found = true;
            return middle;
        }
        if (c < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct family *family_locked(struct metric_registry *r, const char *name, const char *help,
                                    enum family_type type) REQUIRES(r->mu) {
    bool found = false;
    const size_t at = find_family_locked(r, name, &found);
    if (found) {
        ASSERT(r->families[at]->type == type);
        return r->families[at];
    }
    if (r->count == r->capacity) {
        r->capacity = mem_grow(r->capacity, r->count + 1);
        r->families = mem_resize(r->families, r->capacity, sizeof(struct family *));
    }
    memmove(&r->families[at + 1], &r->families[at], (r->count - at) * sizeof(struct family *));
    struct family *f = mem_zalloc(sizeof(*f));
    f->name = mem_strdup(name);
    f->help = mem_strdup(help);
    f->type = type;
    r->families[at] = f;
    r->count++;
    return f;
}

static size_t find_series(const struct family *f, const char *labels, bool *out_found) {
    size_t low = 0;
    size_t high = f->count;
    *out_found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int c = strcmp(f->series[middle]->labels, labels);
        if (c == 0) {
            *out_found = true;
            return middle;
        }
        if (c < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void histogram_init(struct metric_histogram *h, const double *bounds, size_t bound_count) {
    for (size_t i = 1; i < bound_count; i++) {
        ASSERT(bounds[i - 1] < bounds[i]);
    }
    h->bound_count = bound_count;
    h->bounds = mem_array(bound_count, sizeof(double));
    if (bound_count > 0) {
        memcpy(h->bounds, bounds, bound_count * sizeof(double));
    }
    h->counts = mem_zalloc((bound_count + 1) * sizeof(h->counts[0]));
}

static struct metric_summary *summary_new(struct clock *clock, const double *quantiles, size_t n) {
    ASSERT(n <= SUMMARY_QUANTILES_MAX);
    struct metric_summary *const s = mem_zalloc(sizeof(*s));
    s->clock = clock;
    summary_init(&s->summary);
    s->quantile_count = n;
    for (size_t i = 0; i < n; i++) {
        s->quantiles[i] = quantiles[i];
    }
    return s;
}

/* bounds: of a histogram, or the quantiles of a summary. */
static struct series *register_series(struct metric_registry *r, const char *name, const char *help,
                                      enum family_type type, const struct label *labels, size_t n,
                                      const double *bounds, size_t bound_count) {
    char *text = render_labels(labels, n);
    mutex_lock(&r->mu);
    struct family *f = family_locked(r, name, help, type);
    bool found = false;
    const size_t at = find_series(f, text, &found);
    if (found) {
        mem_free(text);
    } else {
        if (f->count == f->capacity) {
            f->capacity = mem_grow(f->capacity, f->count + 1);
            f->series = mem_resize(f->series, f->capacity, sizeof(struct series *));
        }
        memmove(&f->series[at + 1], &f->series[at], (f->count - at) * sizeof(struct series *));
        struct series *s = mem_zalloc(sizeof(*s));
        s->labels = text;
        if (type == FAMILY_HISTOGRAM) {
            histogram_init(&s->histogram, bounds, bound_count);
        } else if (type == FAMILY_SUMMARY) {
            s->summary = summary_new(r->clock, bounds, bound_count);
        }
        f->series[at] = s;
        f->count++;
    }
    struct series *result = f->series[at];
    mutex_unlock(&r->mu);
    return result;
}

/* Where updates go that nobody renders. */
static struct metric *sink(void) {
    static struct metric metric;
    return &metric;
}

struct metric *metric_counter(struct metric_registry *r, const char *name, const char *help,
                              const struct label *labels, size_t n) {
    return r == NULL ? sink()
                     : &register_series(r, name, help, FAMILY_COUNTER, labels, n, NULL, 0)->metric;
}

struct metric *metric_gauge(struct metric_registry *r, const char *name, const char *help,
                            const struct label *labels, size_t n) {
    return r == NULL ? sink()
                     : &register_series(r, name, help, FAMILY_GAUGE, labels, n, NULL, 0)->metric;
}

struct metric_histogram *metric_histogram(struct metric_registry *r, const char *name,
                                          const char *help, const struct label *labels, size_t n,
                                          const double *bounds, size_t bound_count) {
    static _Atomic uint64_t sink_counts[1];
    static struct metric_histogram sink_histogram = {.counts = sink_counts};
    return r == NULL
               ? &sink_histogram
               : &register_series(r, name, help, FAMILY_HISTOGRAM, labels, n, bounds, bound_count)
                      ->histogram;
}

struct metric_summary *metric_summary(struct metric_registry *r, const char *name, const char *help,
                                      const struct label *labels, size_t n, const double *quantiles,
                                      size_t quantile_count) {
    static struct metric_summary sink_summary;
    return r == NULL ? &sink_summary
                     : register_series(r, name, help, FAMILY_SUMMARY, labels, n, quantiles,
                                       quantile_count)
                           ->summary;
}

/* The series of a metric, a histogram or a summary, as its maker got it; NULL when it is not there. */
static struct series *find_owned_locked(struct metric_registry *r, const void *what,
                                        struct family **out_family, size_t *out_at)
    REQUIRES(r->mu) {
    for (size_t i = 0; i < r->count; i++) {
        struct family *const f = r->families[i];
        for (size_t at = 0; at < f->count; at++) {
            struct series *const s = f->series[at];
            if (what == &s->metric || what == &s->histogram || what == s->summary) {
                *out_family = f;
                *out_at = at;
                return s;
            }
        }
    }
    return NULL;
}

void metric_hold(struct metric_registry *r, const void *what) {
    if (r == NULL) {
        return;
    }
    struct family *f = NULL;
    size_t at = 0;
    mutex_lock(&r->mu);
    struct series *const s = find_owned_locked(r, what, &f, &at);
    ASSERT(s != NULL);
    s->holds++;
    mutex_unlock(&r->mu);
}

static void remove_series(struct metric_registry *r, const void *what) {
    if (r == NULL || what == NULL) {
        return;
    }
    struct family *f = NULL;
    size_t at = 0;
    mutex_lock(&r->mu);
    struct series *const s = find_owned_locked(r, what, &f, &at);
    ASSERT(s != NULL);
    if (s->holds > 1) {
        s->holds--;
    } else {
        series_free(s);
        f->count--;
        memmove(&f->series[at], &f->series[at + 1], (f->count - at) * sizeof(struct series *));
    }
    mutex_unlock(&r->mu);
}

void metric_remove(struct metric_registry *r, struct metric *m) {
    remove_series(r, m);
}

void metric_remove_histogram(struct metric_registry *r, struct metric_histogram *h) {
    remove_series(r, h);
}

void metric_remove_summary(struct metric_registry *r, struct metric_summary *s) {
    remove_series(r, s);
}

void metric_on_collect(struct metric_registry *r, void (*collect)(void *ctx), void *ctx) {
    if (r == NULL) {
        return;
    }
    mutex_lock(&r->mu);
    if (r->collector_count == r->collector_capacity) {
        r->collector_capacity = mem_grow(r->collector_capacity, r->collector_count + 1);
        r->collectors = mem_resize(r->collectors, r->collector_capacity, sizeof(*r->collectors));
    }
    r->collectors[r->collector_count++] = (struct collector){collect, ctx};
    mutex_unlock(&r->mu);
}

static void append_sample(struct buf *to, const char *name, const char *suffix, const char *labels,
                          double v) {
    buf_append_cstr(to, name);
    buf_append_cstr(to, suffix);
    if (labels[0] != '\0') {
        buf_append_char(to, '{');
        buf_append_cstr(to, labels);
        buf_append_char(to, '}');
    }
    buf_append_char(to, ' ');
    buf_append_number_g(to, v);
    buf_append_char(to, '\n');
}

/* A sample with one more label: le or quantile. value NULL: +Inf. */
static void append_sample_of(struct buf *to, const char *name, const char *labels,
                             const char *label, const double *value, double v) {
    buf_append_cstr(to, name);
    buf_append_char(to, '{');
    buf_append_cstr(to, labels);
    buf_append_cstr(to, labels[0] != '\0' ? "," : "");
    buf_append_cstr(to, label);
    buf_append_cstr(to, "=\"");
    if (value != NULL) {
        buf_append_number_g(to, *value);
    } else {
        buf_append_cstr(to, "+Inf");
    }
    buf_append_cstr(to, "\"} ");
    buf_append_number_g(to, v);
    buf_append_char(to, '\n');
}

static void render_histogram(struct buf *to, const char *name, const struct series *s) {
    const struct metric_histogram *h = &s->histogram;
    uint64_t total = 0;
    for (size_t i = 0; i <= h->bound_count; i++) {
        total += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        buf_append_cstr(to, name);
        append_sample_of(to, "_bucket", s->labels, "le", i < h->bound_count ? &h->bounds[i] : NULL,
                         (double)total);
    }
    const double sum = double_of(atomic_load_explicit(&h->sum_bits, memory_order_relaxed));
    append_sample(to, name, "_sum", s->labels, sum);
    append_sample(to, name, "_count", s->labels, (double)total);
}

static void render_summary(struct buf *to, const char *name, const struct series *s) {
    struct metric_summary *const m = s->summary;
    struct summary_view view;
    summary_read(&m->summary, clock_mono_ns(m->clock), m->quantiles, m->quantile_count, &view);
    for (size_t i = 0; i < m->quantile_count; i++) {
        append_sample_of(to, name, s->labels, "quantile", &m->quantiles[i], view.quantiles[i]);
    }
    append_sample(to, name, "_sum", s->labels, view.sum);
    append_sample(to, name, "_count", s->labels, (double)view.count);
}

static void render_family(struct buf *to, const struct family *f) {
    static const char *const type_names[] = {
        [FAMILY_COUNTER] = "counter",
        [FAMILY_GAUGE] = "gauge",
        [FAMILY_HISTOGRAM] = "histogram",
        [FAMILY_SUMMARY] = "summary",
    };
    buf_append_cstr(to, "# HELP ");
    buf_append_cstr(to, f->name);
    buf_append_char(to, ' ');
    append_escaped(to, str_of(f->help), false);
    buf_append_cstr(to, "\n# TYPE ");
    buf_append_cstr(to, f->name);
    buf_append_char(to, ' ');
    buf_append_cstr(to, type_names[f->type]);
    buf_append_char(to, '\n');
    for (size_t i = 0; i < f->count; i++) {
        if (f->type == FAMILY_HISTOGRAM) {
            render_histogram(to, f->name, f->series[i]);
        } else if (f->type == FAMILY_SUMMARY) {
            render_summary(to, f->name, f->series[i]);
        } else {
            append_sample(to, f->name, "", f->series[i]->labels, metric_get(&f->series[i]->metric));
        }
    }
}

/* Collectors run without the lock: they may register what they find. */
static void run_collectors(struct metric_registry *r) {
    mutex_lock(&r->mu);
    const size_t count = r->collector_count;
    struct collector *copy = mem_array(count, sizeof(*copy));
    if (count > 0) {
        memcpy(copy, r->collectors, count * sizeof(*copy));
    }
    mutex_unlock(&r->mu);
    for (size_t i = 0; i < count; i++) {
        copy[i].collect(copy[i].ctx);
    }
    mem_free(copy);
}

void metric_render(struct metric_registry *r, struct buf *to) {
    run_collectors(r);
    mutex_lock(&r->mu);
    for (size_t i = 0; i < r->count; i++) {
        if (r->families[i]->count > 0) {
            render_family(to, r->families[i]);
        }
    }
    mutex_unlock(&r->mu);
}
