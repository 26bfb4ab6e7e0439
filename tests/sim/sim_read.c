/* What the database holds, compared with the model. */
#include <stdio.h>

#include "base/mem.h"
#include "sim_life.h"

enum { QUERY_BUDGET_BYTES = 256 << 20 };

static struct sim_series *find_series(struct sim *p, struct labels a, struct labels b,
                                      struct arena *arena) {
    const struct labels all = labels_merge(arena, a, b);
    for (size_t i = 0; i < SIM_SERIES; i++) {
        if (labels_cmp(all, p->model.series[i].labels) == 0) {
            return &p->model.series[i];
        }
    }
    return NULL;
}

static void compare_one(struct sim *p, struct sim_series *s, const struct storage_samples *got,
                        const struct sim_reading *r) {
    const int64_t kept_from_ms = p->retention_ms != 0 ? p->now_ms - p->retention_ms : INT64_MIN;
    const char *wrong = sim_compare(s, got, r->mint, r->maxt, kept_from_ms, r->promise);
    if (wrong != NULL) {
        char job[64];
        const struct str value = labels_get(s->labels, STR("job"));
        (void)snprintf(job, sizeof(job), "%.*s", (int)value.len, value.ptr);
        sim_fail(p, "series %s of %s, promise %d: %s", s->name, job, r->promise, wrong);
    } else if (r->settle) {
        sim_settle(&p->model, s, got, r->kept);
    }
}

static void read_selection(struct sim *p, struct storage_querier *q, struct storage_selection *sel,
                           struct arena *arena, const char *job, const struct sim_reading *r) {
    struct err err;
    size_t n = 0;
    const struct storage_series *series = storage_selection_series(p->st, sel, &n);
    struct storage_samples *got = mem_array(n + 1, sizeof(*got));
    bool seen[SIM_SERIES] = {false};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i += r->damaged ? 1 : n) {
        code = storage_read(p->st, q, sel, i, r->damaged ? 1 : n, r->mint, r->maxt, arena, got + i,
                            &err);
        if (r->damaged && code == ERR_CORRUPT) {
            got[i] = (struct storage_samples){0};
            code = ERR_OK;
        }
    }
    if (sim_may_be_unread(p, code)) {
        sim_note_failures(p);
        p->unread = true; /* it said so; nothing is known of what is there */
        mem_free(got);
        return;
    }
    if (code != ERR_OK) {
        sim_fail(p, "reading %s: %s", job, err.text);
    }
    for (size_t i = 0; i < n && !p->failed; i++) {
        struct sim_series *s =
            find_series(p, storage_set_labels(p->st, q, series[i].target_set),
                        storage_set_labels(p->st, q, series[i].metric_set), arena);
        if (s == NULL || seen[s - p->model.series]) {
            sim_fail(p, "a series of %s %s", job, s == NULL ? "is unknown" : "came twice");
        } else {
            seen[s - p->model.series] = true;
            compare_one(p, s, &got[i], r);
        }
    }
    for (size_t i = 0; i < SIM_SERIES && !p->failed; i++) {
        if (!seen[i] && str_eq(labels_get(p->model.series[i].labels, STR("job")), str_of(job))) {
            compare_one(p, &p->model.series[i], &(struct storage_samples){0}, r);
        }
    }
    mem_free(got);
}

void sim_read_job(struct sim *p, size_t number, const struct sim_reading *r) {
    struct arena arena;
    struct matcher m;
    struct err err;
    struct storage_querier *q = NULL;
    struct storage_selection *sel = NULL;
    char job[8];
    sim_job_name(number, job);
    arena_init(&arena, QUERY_BUDGET_BYTES);
    enum err_code code = matcher_init(&arena, MATCH_EQUAL, STR("job"), str_of(job), &m, &err);
    if (code == ERR_OK) {
        code = storage_querier_open(p->st, r->mint, r->maxt, &arena, NULL, &q, &err);
    }
    if (code == ERR_OK) {
        code = storage_select(p->st, q, &m, 1, NULL, &sel, &err);
    }
    if (code == ERR_OK) {
        read_selection(p, q, sel, &arena, job, r);
    } else if (sim_may_be_unread(p, code)) {
        p->unread = true;
    } else {
        sim_fail(p, "query of %s: %s", job, err.text);
    }
    p->totals->queries++;
    arena_release(&arena);
}

void sim_read_all(struct sim *p, const struct sim_reading *r) {
    for (size_t i = 0; i < SIM_JOBS && !p->failed; i++) {
        sim_read_job(p, i, r);
    }
    if (p->mode.notes && !p->failed) {
        sim_read_notes(p, r);
    }
}

void sim_step_query(struct sim *p) {
    const int64_t length = (int64_t)rng_below(&p->rng, 600000);
    const int64_t maxt = p->now_ms - (int64_t)rng_below(&p->rng, 600000);
    struct sim_reading r = {.mint = maxt - length, .maxt = maxt, .promise = SIM_IN_MEMORY};
    if (sim_chance(p, 3)) {
        r.mint = INT64_MIN;
        r.maxt = INT64_MAX;
    }
    sim_read_job(p, rng_below(&p->rng, SIM_JOBS), &r);
}
