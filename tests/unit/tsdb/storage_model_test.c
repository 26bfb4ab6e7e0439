/* The database against a model: a list of samples per series.
 *
 * Random rows, pushed transactions, sealing, maintenance, clean and unclean restarts; after each
 * round of them random queries must give what the model gives, and each append must be judged as
 * the model judges it. A failure prints the seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/value.h"
#include "storage_world.h"
#include "tests/support/check_err.h"

enum { GROUPS = 3, SLOTS = 6, PUSHED = 6, SERIES = GROUPS * SLOTS + PUSHED, SAMPLES_MAX = 8000 };

struct model_series {
    char text[64];
    char job[8];
    struct labels labels;
    int64_t ts[SAMPLES_MAX];
    double values[SAMPLES_MAX];
    size_t count;
};

struct play {
    struct world w;
    struct rng rng;
    struct model_series *series;
    struct storage_group *groups[GROUPS];
    uint32_t slots[GROUPS]; /* known so far */
    int64_t now_ms;
};

static void remember(struct model_series *s, int64_t ts, double v) {
    assert_true(s->count < SAMPLES_MAX);
    s->ts[s->count] = ts;
    s->values[s->count++] = v;
}

static double random_value(struct play *p, double last) {
    switch (rng_below(&p->rng, 12)) {
    case 0:
        return (double)rng_below(&p->rng, 1000) / 100;
    case 1:
        return f64_of_bits(rng_u64(&p->rng) >> 2); /* any double, no NaN */
    case 2:
        return -(double)rng_below(&p->rng, 100000);
    case 3:
        return last + (double)rng_below(&p->rng, 5000);
    case 4:
        return f64_stale();
    case 5:
        return ABSENT;
    default:
        return f64_is_stale(last) || f64_same_bits(last, ABSENT) ? 0 : last;
    }
}

static void play_row(struct play *p, uint32_t number) {
    double values[SLOTS];
    if (p->slots[number] < SLOTS && rng_below(&p->rng, 10) == 0) {
        p->slots[number]++;
    }
    p->now_ms += 1 + (int64_t)rng_below(&p->rng, 30);
    const uint32_t n = p->slots[number] - (rng_below(&p->rng, 20) == 0 ? 1U : 0U);
    for (uint32_t i = 0; i < n; i++) {
        struct model_series *s = &p->series[number * SLOTS + i];
        assert_int_equal(world_slot(&p->w, p->groups[number], s->text), i);
        const double last = s->count != 0 ? s->values[s->count - 1] : 0;
        values[i] = random_value(p, last);
        if (!f64_same_bits(values[i], ABSENT)) {
            remember(s, p->now_ms, values[i]);
        }
    }
    const struct storage_row_result r = world_row(&p->w, p->groups[number], p->now_ms, values, n);
    assert_int_equal(r.out_of_order + r.duplicate + r.out_of_bounds + r.too_old, 0);
}

static enum err_code judge(const struct model_series *s, int64_t ts, double v) {
    if (s->count == 0 || ts > s->ts[s->count - 1]) {
        return ERR_OK;
    }
    if (ts < s->ts[s->count - 1]) {
        return ERR_OUT_OF_ORDER;
    }
    return f64_same_bits(v, s->values[s->count - 1]) ? ERR_EXISTS : ERR_DUPLICATE;
}

static void play_push(struct play *p) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(p->w.st, &a, &err), &err);
    p->now_ms += 1 + (int64_t)rng_below(&p->rng, 20);
    const size_t n = 1 + rng_below(&p->rng, 12);
    for (size_t i = 0; i < n; i++) {
        struct model_series *s = &p->series[GROUPS * SLOTS + rng_below(&p->rng, PUSHED)];
        const int64_t ts = p->now_ms - (int64_t)rng_below(&p->rng, 60);
        double v = random_value(p, s->count != 0 ? s->values[s->count - 1] : 0);
        v = f64_same_bits(v, ABSENT) || f64_is_stale(v) ? 7 : v;
        const enum err_code want = judge(s, ts, v);
        const enum err_code got = storage_append(p->w.st, a, s->labels, ts, v);
        assert_int_equal(got, want == ERR_EXISTS ? ERR_OK : want);
        if (want == ERR_OK) {
            remember(s, ts, v);
        }
    }
    assert_ok(storage_appender_commit(p->w.st, a, &err), &err);
}

static void play_restart(struct play *p) {
    for (uint32_t i = 0; i < GROUPS; i++) {
        storage_group_close(p->w.st, p->groups[i]);
    }
    if (rng_below(&p->rng, 2) == 0) {
        world_crash(&p->w);
    } else {
        world_close(&p->w);
    }
    p->w.options.shard_count = 1 + (uint32_t)rng_below(&p->rng, 3);
    world_open(&p->w);
    assert_int_equal(p->w.replayed.damaged_records, 0);
    for (uint32_t i = 0; i < GROUPS; i++) {
        char target[16];
        snprintf(target, sizeof(target), "job=g%u", i);
        p->groups[i] = world_group(&p->w, target);
    }
}

static int by_labels(const void *a, const void *b) {
    const struct model_series *const *x = a;
    const struct model_series *const *y = b;
    return labels_cmp((*x)->labels, (*y)->labels);
}

static char *model_dump(struct play *p, const char *job, int64_t mint, int64_t maxt) {
    const struct model_series *order[SERIES];
    for (size_t i = 0; i < SERIES; i++) {
        order[i] = &p->series[i];
    }
    qsort(order, SERIES, sizeof(order[0]), by_labels);
    struct buf text;
    buf_init(&text, 1 << 28);
    for (size_t i = 0; i < SERIES; i++) {
        const struct model_series *s = order[i];
        bool first = true;
        for (size_t k = 0; k < s->count && strcmp(s->job, job) == 0; k++) {
            if (s->ts[k] < mint || s->ts[k] > maxt) {
                continue;
            }
            if (first) {
                labels_format_metric(&text, s->labels);
                first = false;
            }
            buf_printf(&text, " %lld:", (long long)s->ts[k]);
            if (f64_is_stale(s->values[k])) {
                buf_append_cstr(&text, "stale");
            } else {
                buf_append_number_g(&text, s->values[k]);
            }
        }
        if (!first) {
            buf_append_char(&text, '\n');
        }
    }
    char *out = mem_strndup(buf_str(&text).ptr, text.len);
    buf_release(&text);
    return out;
}

static void play_query(struct play *p) {
    static const char *const jobs[] = {"g0", "g1", "g2", "p0", "p1"};
    const char *job = jobs[rng_below(&p->rng, COUNT_OF(jobs))];
    char matcher[16];
    snprintf(matcher, sizeof(matcher), "job=%s", job);
    const int64_t begin = 1000000000 + (int64_t)rng_below(&p->rng, 60000) - 5000;
    const int64_t mint = rng_below(&p->rng, 4) == 0 ? INT64_MIN : begin;
    const int64_t maxt =
        rng_below(&p->rng, 4) == 0 ? INT64_MAX : begin + (int64_t)rng_below(&p->rng, 10000);
    char *want = model_dump(p, job, mint, maxt);
    const char *got = world_dump(&p->w, matcher, mint, maxt);
    if (strcmp(got, want) != 0) {
        print_message("range %lld %lld\nmodel: %.3000s\nstore: %.3000s\n", (long long)mint,
                      (long long)maxt, want, got);
    }
    assert_true(strcmp(got, want) == 0);
    mem_free(want);
}

static void name_series(struct play *p) {
    for (size_t i = 0; i < SERIES; i++) {
        struct model_series *s = &p->series[i];
        const bool pushed = i >= GROUPS * SLOTS;
        snprintf(s->job, sizeof(s->job), "%c%zu", pushed ? 'p' : 'g', pushed ? i % 2 : i / SLOTS);
        snprintf(s->text, sizeof(s->text), "m%zu job=%s zone=z", pushed ? i : i % SLOTS, s->job);
        s->labels = world_labels(&p->w, s->text);
    }
}

/* All of it becomes a partition, another one with what comes then, and one of both; and restarts. */
static void play_compaction(struct play *p) {
    for (int i = 0; i < 3; i++) {
        struct err err;
        for (int row = 0; row < 40 && i < 2; row++) {
            play_row(p, (uint32_t)rng_below(&p->rng, GROUPS));
        }
        assert_ok(tsdb_compact(p->w.db, true, &err), &err);
        for (int query = 0; query < 10; query++) {
            play_query(p);
        }
        play_restart(p);
        for (int query = 0; query < 10; query++) {
            play_query(p);
        }
    }
}

static void play_seed(uint64_t seed) {
    struct play *p = mem_zalloc(sizeof(*p));
    p->series = mem_zalloc(SERIES * sizeof(*p->series));
    p->rng = rng_seeded(seed);
    p->now_ms = 1000000000;
    world_init(&p->w);
    name_series(p);
    world_open(&p->w);
    for (uint32_t i = 0; i < GROUPS; i++) {
        char target[16];
        snprintf(target, sizeof(target), "job=g%u", i);
        p->groups[i] = world_group(&p->w, target);
        p->slots[i] = 1;
    }
    for (int step = 0; step < 1500; step++) {
        const uint64_t kind = rng_below(&p->rng, 200);
        if (kind < 110) {
            play_row(p, (uint32_t)rng_below(&p->rng, GROUPS));
        } else if (kind < 170) {
            play_push(p);
        } else if (kind < 190) {
            play_query(p);
        } else if (kind < 198) {
            tsdb_maintain(p->w.db);
        } else {
            play_restart(p);
        }
    }
    play_compaction(p);
    for (uint32_t i = 0; i < GROUPS; i++) {
        storage_group_close(p->w.st, p->groups[i]);
    }
    world_release(&p->w);
    mem_free(p->series);
    mem_free(p);
}

static void random_histories_match_the_model(void **state) {
    (void)state;
    const char *only = getenv("BRASA_SEED");
    const uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    const uint64_t last = only != NULL ? first : 8;
    for (uint64_t seed = first; seed <= last; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        play_seed(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories_match_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
