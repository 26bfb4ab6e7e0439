#include "sim_model.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/value.h"

void sim_job_name(size_t job, char to[8]) {
    const bool pushed = job >= SIM_GROUPS;
    (void)snprintf(to, 8, "%c%u", pushed ? 'p' : 'g', (unsigned)(pushed ? job - SIM_GROUPS : job));
}

struct sim_series *sim_series_of(struct sim_model *m, size_t group, size_t slot) {
    return &m->series[group * SIM_SLOTS + slot];
}

void sim_model_init(struct sim_model *m) {
    *m = (struct sim_model){.lost = 0};
    arena_init(&m->arena, 0);
    for (size_t i = 0; i < SIM_SERIES; i++) {
        const bool pushed = i >= SIM_SCRAPED;
        const size_t number = pushed ? i : i % SIM_SLOTS;
        char job[8];
        struct labels_builder b;
        struct err err;
        m->series[i].deleted_min_ms = INT64_MAX;
        m->series[i].deleted_max_ms = INT64_MIN;
        sim_job_name(pushed ? SIM_GROUPS + i % 2 : i / SIM_SLOTS, job);
        (void)snprintf(m->series[i].name, sizeof(m->series[i].name), "m%u", (unsigned)number);
        labels_builder_init(&b, &m->arena);
        labels_builder_set(&b, LABEL_NAME, str_of(m->series[i].name));
        labels_builder_set(&b, STR("job"), str_of(job));
        labels_builder_set(&b, STR("zone"), STR("z"));
        const enum err_code code = labels_builder_finish(&b, &m->series[i].labels, &err);
        ASSERT(code == ERR_OK);
    }
}

void sim_model_release(struct sim_model *m) {
    for (size_t i = 0; i < SIM_SERIES; i++) {
        mem_free(m->series[i].samples);
    }
    arena_release(&m->arena);
}

void sim_add(struct sim_series *s, int64_t ts_ms, struct sim_value value,
             enum sim_promise promise) {
    ASSERT(s->count == 0 || ts_ms > s->samples[s->count - 1].ts_ms);
    if (s->count == s->capacity) {
        s->capacity = mem_grow(s->capacity, s->count + 1);
        s->samples = mem_resize(s->samples, s->capacity, sizeof(*s->samples));
    }
    s->samples[s->count++] = (struct sim_sample){ts_ms, value, (uint8_t)promise};
}

void sim_insert(struct sim_series *s, int64_t ts_ms, struct sim_value value,
                enum sim_promise promise) {
    if (s->count == 0 || ts_ms > s->samples[s->count - 1].ts_ms) {
        sim_add(s, ts_ms, value, promise);
        return;
    }
    const struct sim_sample newest = s->samples[s->count - 1];
    sim_add(s, newest.ts_ms + 1, value, promise); /* makes room */
    s->samples[s->count - 1] = newest;
    size_t at = s->count - 1;
    for (; at != 0 && s->samples[at - 1].ts_ms > ts_ms; at--) {
        s->samples[at] = s->samples[at - 1];
    }
    ASSERT(at == 0 || s->samples[at - 1].ts_ms < ts_ms);
    s->samples[at] = (struct sim_sample){ts_ms, value, (uint8_t)promise};
}

bool sim_has(const struct sim_series *s, int64_t ts_ms) {
    for (size_t i = s->count; i-- > 0 && s->samples[i].ts_ms >= ts_ms;) {
        if (s->samples[i].ts_ms == ts_ms) {
            return true;
        }
    }
    return false;
}

void sim_promise_all(struct sim_model *m, enum sim_promise promise) {
    for (size_t i = 0; i < SIM_SERIES; i++) {
        struct sim_series *s = &m->series[i];
        for (size_t k = 0; k < s->count; k++) {
            if (s->samples[k].promise < promise && s->samples[k].promise > SIM_MAYBE) {
                s->samples[k].promise = (uint8_t)promise;
            }
        }
    }
}

bool sim_value_is_stale(const struct sim_value *v) {
    return v->histogram == NULL && f64_is_stale(v->number);
}

void sim_delete(struct sim_series *s, int64_t mint, int64_t maxt, bool sure) {
    for (size_t i = 0; i < s->count; i++) {
        struct sim_sample *sample = &s->samples[i];
        if (sample->ts_ms < mint || sample->ts_ms > maxt || sample->promise == SIM_GONE) {
            continue;
        }
        sample->promise = sure && sample->promise != SIM_MAYBE ? SIM_GONE : SIM_MAYBE;
        s->deleted_min_ms = sample->ts_ms < s->deleted_min_ms ? sample->ts_ms : s->deleted_min_ms;
        s->deleted_max_ms = sample->ts_ms > s->deleted_max_ms ? sample->ts_ms : s->deleted_max_ms;
    }
}

/* ---- comparing ---- */

/* One sample that was read, and the one before it in the model if that was read too. */
struct seen {
    const struct sim_sample *want;
    const struct sim_sample *before; /* NULL: not read */
    double number;
    const struct histogram *histogram;
    int64_t start_ms;
    bool may_lose_start; /* nothing was promised of the sample: its start may have become unknown */
};

/* A hint that says how the counter went on must be true of the sample before. */
static bool hint_is_true(const struct seen *x) {
    const enum histogram_hint hint = x->histogram->hint;
    const struct histogram *want = x->want->value.histogram;
    if (hint == HINT_GAUGE || want->hint == HINT_GAUGE) {
        return hint == want->hint;
    }
    if (hint != HINT_NOT_RESET || x->before == NULL || x->before->value.histogram == NULL) {
        return true;
    }
    struct histogram plain = *want;
    plain.hint = HINT_UNKNOWN;
    return !histogram_detect_reset(&plain, x->before->value.histogram);
}

static const char *differs(const struct seen *x) {
    const struct sim_value *want = &x->want->value;
    const bool ends =
        x->histogram != NULL ? f64_is_stale(x->histogram->sum) : f64_is_stale(x->number);
    if (x->want->promise == SIM_GONE) {
        return "was deleted and is there";
    }
    if (ends || sim_value_is_stale(want)) {
        return ends && sim_value_is_stale(want) ? NULL : "one is an end, the other is not";
    }
    if ((x->histogram == NULL) != (want->histogram == NULL)) {
        return "one is a histogram, the other is not";
    }
    if (x->start_ms != want->start_ms && (x->start_ms != 0 || !x->may_lose_start)) {
        return "another start timestamp";
    }
    if (want->histogram == NULL) {
        return f64_same_bits(want->number, x->number) ? NULL : "another value";
    }
    if (!histogram_equal(x->histogram, want->histogram)) {
        return "another histogram";
    }
    if (x->histogram->float_counts != want->histogram->float_counts) {
        return "another kind of counts";
    }
    return hint_is_true(x) ? NULL : "the hint is wrong";
}

static const char *compare_sample(const struct sim_series *s, size_t at, bool after_before,
                                  const struct storage_samples *got, size_t i,
                                  enum sim_promise promise) {
    static char text[256];
    const struct seen x = {
        .want = &s->samples[at],
        .before = after_before ? &s->samples[at - 1] : NULL,
        .number = got->values[i],
        .histogram = got->histograms != NULL ? got->histograms[i] : NULL,
        .start_ms = got->start_ts != NULL ? got->start_ts[i] : 0,
        .may_lose_start = s->samples[at].promise < promise,
    };
    const char *wrong = differs(&x);
    if (wrong == NULL) {
        return NULL;
    }
    (void)snprintf(text, sizeof(text),
                   "at %lld: %s: %.17g, start %lld, hint %d; written %.17g, start %lld",
                   (long long)got->ts[i], wrong, x.number, (long long)x.start_ms,
                   x.histogram != NULL ? (int)x.histogram->hint : -1, x.want->value.number,
                   (long long)x.want->value.start_ms);
    return text;
}

const char *sim_compare(const struct sim_series *s, const struct storage_samples *got, int64_t mint,
                        int64_t maxt, int64_t kept_from_ms, enum sim_promise promise) {
    static char text[256];
    size_t at = 0;
    size_t read = SIZE_MAX; /* the newest that was */
    for (size_t i = 0; i <= got->count; i++) {
        const int64_t until = i < got->count ? got->ts[i] : maxt;
        for (; at < s->count && s->samples[at].ts_ms <= until; at++) {
            const struct sim_sample *want = &s->samples[at];
            if (i < got->count && want->ts_ms == until) {
                break;
            }
            if (want->ts_ms >= mint && want->ts_ms >= kept_from_ms && want->promise >= promise) {
                (void)snprintf(text, sizeof(text), "sample %zu of %zu at %lld is missing", at,
                               s->count, (long long)want->ts_ms);
                return text;
            }
        }
        if (i == got->count) {
            return NULL;
        }
        if (at == s->count || s->samples[at].ts_ms != until || until < mint || until > maxt) {
            (void)snprintf(text, sizeof(text), "at %lld: %.17g was never written", (long long)until,
                           got->values[i]);
            return text;
        }
        const char *wrong = compare_sample(s, at, at != 0 && read == at - 1, got, i, promise);
        if (wrong != NULL) {
            return wrong;
        }
        read = at++;
    }
    return NULL;
}

void sim_settle(struct sim_model *m, struct sim_series *s, const struct storage_samples *got,
                enum sim_promise promise) {
    size_t i = 0;
    size_t kept = 0;
    for (size_t at = 0; at < s->count; at++) {
        struct sim_sample sample = s->samples[at];
        if (i < got->count && got->ts[i] == sample.ts_ms) {
            sample.promise = sample.promise < promise ? (uint8_t)promise : sample.promise;
            sample.value.start_ms = got->start_ts != NULL ? got->start_ts[i] : 0;
            i++;
        } else if (sample.promise != SIM_GONE) {
            m->lost++;
            continue;
        }
        s->samples[kept++] = sample;
    }
    s->count = kept;
}
