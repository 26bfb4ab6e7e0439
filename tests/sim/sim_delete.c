/* Deleting what is stored of some series, and cleaning behind it. A deletion that failed may have
 * reached the disk: what it was about may be there or not. */
#include "sim_life.h"

static void delete_range(struct sim *p, size_t number, const struct sim_series *only, int64_t mint,
                         int64_t maxt) {
    struct arena arena;
    struct matcher m[2];
    struct err err;
    char job[8];
    size_t n = 1;
    sim_job_name(number, job);
    arena_init(&arena, 0);
    enum err_code code = matcher_init(&arena, MATCH_EQUAL, STR("job"), str_of(job), &m[0], &err);
    if (code == ERR_OK && only != NULL) {
        code = matcher_init(&arena, MATCH_EQUAL, LABEL_NAME, str_of(only->name), &m[n++], &err);
    }
    if (code == ERR_OK) {
        code = storage_delete_series(p->st, m, n, mint, maxt, &err);
    }
    sim_note_failures(p);
    if (code != ERR_OK && !p->dirty && !p->dying) {
        sim_fail(p, "a deletion failed on a good disk: %s", err.text);
    }
    for (size_t i = 0; i < SIM_SERIES; i++) {
        struct sim_series *s = &p->model.series[i];
        if ((only == NULL || only == s) && str_eq(labels_get(s->labels, STR("job")), str_of(job))) {
            sim_delete(s, mint, maxt, code == ERR_OK && !p->dying);
        }
    }
    p->totals->deleted++;
    sim_say(p, "delete %s of %s, %lld to %lld: code %d", only != NULL ? only->name : "all", job,
            (long long)mint, (long long)maxt, code);
    arena_release(&arena);
}

static struct sim_series *any_series(struct sim *p, size_t number) {
    if (number < SIM_GROUPS) {
        return sim_series_of(&p->model, number, rng_below(&p->rng, SIM_SLOTS));
    }
    return &p->model.series[SIM_SCRAPED + 2 * rng_below(&p->rng, SIM_PUSHED / 2) +
                            (SIM_SCRAPED + number - SIM_GROUPS) % 2];
}

static void clean(struct sim *p) {
    struct err err;
    const enum err_code code = storage_clean_tombstones(p->st, &err);
    sim_note_failures(p);
    if (code != ERR_OK && !p->dirty && !p->dying) {
        sim_fail(p, "cleaning failed on a good disk: %s", err.text);
    }
    sim_say(p, "cleaned: code %d", code);
}

void sim_step_delete(struct sim *p) {
    if (sim_chance(p, 3)) {
        clean(p);
        return;
    }
    const size_t number = rng_below(&p->rng, SIM_JOBS);
    const struct sim_series *only = sim_chance(p, 4) ? NULL : any_series(p, number);
    int64_t maxt = p->now_ms - (int64_t)rng_below(&p->rng, 2000000);
    int64_t mint = maxt - (int64_t)rng_below(&p->rng, 600000);
    if (sim_chance(p, 3)) {
        maxt = INT64_MAX;
    }
    if (sim_chance(p, 4)) {
        mint = INT64_MIN;
    }
    delete_range(p, number, only, mint, maxt);
}
