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

void sim_add(struct sim_series *s, int64_t ts_ms, double value, enum sim_promise promise) {
    ASSERT(s->count == 0 || ts_ms > s->samples[s->count - 1].ts_ms);
    if (s->count == s->capacity) {
        s->capacity = mem_grow(s->capacity, s->count + 1);
        s->samples = mem_resize(s->samples, s->capacity, sizeof(*s->samples));
    }
    s->samples[s->count++] = (struct sim_sample){ts_ms, value, (uint8_t)promise};
}

void sim_insert(struct sim_series *s, int64_t ts_ms, double value, enum sim_promise promise) {
    if (s->count == 0 || ts_ms > s->samples[s->count - 1].ts_ms) {
        sim_add(s, ts_ms, value, promise);
        return;
    }
    const struct sim_sample newest = s->samples[s->count - 1];
    sim_add(s, newest.ts_ms + 1, 0, promise); /* makes room */
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
            if (s->samples[k].promise < promise && s->samples[k].promise != SIM_MAYBE) {
                s->samples[k].promise = (uint8_t)promise;
            }
        }
    }
}

const char *sim_compare(const struct sim_series *s, const struct storage_samples *got, int64_t mint,
                        int64_t maxt, int64_t kept_from_ms, enum sim_promise promise) {
    static char text[256];
    size_t at = 0;
    for (size_t i = 0; i <= got->count; i++) {
        const int64_t until = i < got->count ? got->ts[i] : maxt;
        for (; at < s->count && s->samples[at].ts_ms <= until; at++) {
            const struct sim_sample *want = &s->samples[at];
            const bool here = i < got->count && want->ts_ms == until;
            if (here && !f64_same_bits(want->value, got->values[i])) {
                (void)snprintf(text, sizeof(text), "at %lld: %.17g instead of %.17g",
                               (long long)until, got->values[i], want->value);
                return text;
            }
            if (here) {
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
        at++;
    }
    return NULL;
}

void sim_settle(struct sim_model *m, struct sim_series *s, const struct storage_samples *got,
                enum sim_promise promise) {
    size_t at = 0;
    for (size_t i = 0; i < got->count; i++) {
        while (s->samples[at].ts_ms != got->ts[i]) {
            at++;
        }
        s->samples[i] = s->samples[at++];
        if (s->samples[i].promise < promise) {
            s->samples[i].promise = (uint8_t)promise;
        }
    }
    m->lost += s->count - got->count;
    s->count = got->count;
}
