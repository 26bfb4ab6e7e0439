/* Histograms, floats and start timestamps against a model: what each series has, as text.
 *
 * Random rows and transactions of series that take turns between floats and histograms of changing
 * layouts, with sealing, maintenance, clean and unclean restarts between; random queries must give
 * what the model gives. Hints are left to the tests with written results, since they depend on
 * where windows end. A failure prints the seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "storage_world.h"
#include "tests/support/check_err.h"

enum { SLOTS = 5, PUSHED = 4, SERIES = SLOTS + PUSHED, SAMPLES_MAX = 4000 };

struct model_sample {
    int64_t ts_ms;
    char *text;
};

struct model_series {
    char text[48];
    struct labels labels;
    struct model_sample samples[SAMPLES_MAX];
    size_t count;
    bool was_histogram;    /* the newest sample */
    struct histogram *now; /* grows from sample to sample */
    bool float_counts;
};

struct play {
    struct world w;
    struct rng rng;
    struct model_series *series;
    struct storage_group *group;
    uint32_t slots[SLOTS];
    int64_t now_ms;
    struct arena arena;
};

/* ---- random histograms ---- */

static void new_side(struct play *p, struct histogram_side *side) {
    side->spans = arena_zalloc(&p->arena, 2 * sizeof(*side->spans));
    side->span_count = 2;
    side->spans[0] = (struct histogram_span){.offset = (int32_t)rng_below(&p->rng, 8),
                                             .length = 1 + (uint32_t)rng_below(&p->rng, 5)};
    side->spans[1] = (struct histogram_span){.offset = 1 + (int32_t)rng_below(&p->rng, 3),
                                             .length = (uint32_t)rng_below(&p->rng, 5)};
    side->count = side->spans[0].length + side->spans[1].length;
    side->counts = arena_zalloc(&p->arena, side->count * sizeof(double));
}

static struct histogram *new_histogram(struct play *p) {
    struct histogram *h = arena_zalloc(&p->arena, sizeof(*h));
    if (rng_below(&p->rng, 3) == 0) {
        h->schema = HISTOGRAM_SCHEMA_CUSTOM;
        h->bound_count = 20;
        h->bounds = arena_zalloc(&p->arena, h->bound_count * sizeof(double));
        for (uint32_t i = 0; i < h->bound_count; i++) {
            h->bounds[i] = i + (double)rng_below(&p->rng, 2) / 2;
        }
        new_side(p, &h->positive);
        return h;
    }
    h->schema = (int32_t)rng_below(&p->rng, 3);
    h->zero_threshold = 0.25 * (double)rng_below(&p->rng, 2);
    new_side(p, &h->positive);
    if (rng_below(&p->rng, 2) == 0) {
        new_side(p, &h->negative);
    }
    h->hint = rng_below(&p->rng, 5) == 0 ? HINT_GAUGE : HINT_UNKNOWN;
    return h;
}

static void grow(struct play *p, struct histogram *h) {
    for (uint32_t i = 0; i < h->positive.count; i++) {
        h->positive.counts[i] += (double)rng_below(&p->rng, 3);
    }
    for (uint32_t i = 0; i < h->negative.count; i++) {
        h->negative.counts[i] += (double)rng_below(&p->rng, 2);
    }
    h->zero_count += histogram_is_custom(h) ? 0 : (double)rng_below(&p->rng, 2);
    h->count += (double)rng_below(&p->rng, 10);
    h->sum += (double)rng_below(&p->rng, 100) / 4;
}

/* ---- one sample ---- */

struct made {
    uint8_t state;
    double value;
    const struct histogram *h;
    int64_t start_ms;
};

static struct made random_sample(struct play *p, struct model_series *s, bool may_be_absent) {
    struct made m = {.start_ms = rng_below(&p->rng, 3) != 0 ? 900000000 + p->now_ms / 500 % 7 : 0};
    const uint64_t kind = rng_below(&p->rng, 100);
    if (kind < 4 && may_be_absent) {
        m.state = SLOT_ABSENT;
    } else if (kind < 8) {
        m.state = SLOT_STALE;
    } else if (kind < 20) {
        m.state = SLOT_VALUE;
        m.value = (double)rng_below(&p->rng, 1000) / 8;
    } else {
        if (s->now == NULL || kind < 24) {
            s->now = new_histogram(p);
            s->float_counts = rng_below(&p->rng, 2) == 0;
        }
        grow(p, s->now);
        m.state = s->float_counts ? SLOT_FLOAT_HISTOGRAM : SLOT_HISTOGRAM;
        m.h = histogram_copy(&p->arena, s->now);
    }
    return m;
}

static void remember(struct model_series *s, int64_t ts_ms, const struct made *m) {
    struct buf text;
    buf_init(&text, 1 << 16);
    if (m->h != NULL) {
        struct histogram h = *m->h;
        h.hint = h.hint == HINT_GAUGE ? HINT_GAUGE : HINT_UNKNOWN;
        world_dump_histogram(&text, &h);
    } else if (m->state == SLOT_STALE) {
        buf_append_cstr(&text, s->was_histogram ? "{stale}" : "stale");
    } else {
        buf_append_number_g(&text, m->value);
    }
    if (m->start_ms != 0 && m->state != SLOT_STALE) {
        buf_printf(&text, "@%lld", (long long)m->start_ms);
    }
    s->was_histogram = m->state == SLOT_STALE ? s->was_histogram : m->h != NULL;
    assert_true(s->count < SAMPLES_MAX);
    s->samples[s->count++] =
        (struct model_sample){.ts_ms = ts_ms, .text = mem_strndup(text.ptr, text.len)};
    buf_release(&text);
}

/* ---- steps ---- */

static void play_row(struct play *p) {
    enum { WIDE = 4096 };
    static struct num values[WIDE];
    static uint8_t states[WIDE];
    static const struct histogram *histograms[WIDE];
    static int64_t starts[WIDE];
    struct made made[SLOTS];
    uint32_t count = 0;
    memset(states, 0, sizeof(states));
    p->now_ms += 1 + (int64_t)rng_below(&p->rng, 30);
    for (uint32_t i = 0; i < SLOTS; i++) {
        const uint32_t slot = p->slots[i];
        assert_true(slot < WIDE);
        made[i] = random_sample(p, &p->series[i], true);
        states[slot] = made[i].state;
        values[slot] = num_of_double(made[i].value);
        histograms[slot] = made[i].h;
        starts[slot] = made[i].start_ms;
        count += made[i].state != SLOT_ABSENT;
        if (made[i].state != SLOT_ABSENT) {
            remember(&p->series[i], p->now_ms, &made[i]);
        }
    }
    const struct storage_row row = {.ts_ms = p->now_ms,
                                    .slot_count = p->slots[SLOTS - 1] + 1,
                                    .values = values,
                                    .states = states,
                                    .histograms = histograms,
                                    .start_ts_ms = starts};
    struct storage_row_result result;
    struct err err;
    assert_ok(storage_group_commit(p->w.st, p->group, &row, &result, &err), &err);
    assert_int_equal(result.accepted, count);
}

static void play_push(struct play *p) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(p->w.st, &a, &err), &err);
    p->now_ms += 1 + (int64_t)rng_below(&p->rng, 20);
    const size_t n = 1 + rng_below(&p->rng, 6);
    for (size_t i = 0; i < n; i++) {
        struct model_series *s = &p->series[SLOTS + rng_below(&p->rng, PUSHED)];
        const int64_t ts_ms = p->now_ms - (int64_t)rng_below(&p->rng, 40);
        const int64_t newest = s->count != 0 ? s->samples[s->count - 1].ts_ms : INT64_MIN;
        if (ts_ms <= newest) {
            const struct storage_sample late = {.ts_ms = newest - 1, .histogram = s->now};
            const enum err_code code = storage_append_sample(p->w.st, a, s->labels, &late);
            assert_int_equal(code, ERR_OUT_OF_ORDER);
            continue;
        }
        /* A series that moves to another group forgets how it went on: no ends here. */
        struct made m = random_sample(p, s, false);
        if (m.state == SLOT_STALE) {
            m.state = SLOT_VALUE;
        }
        const struct storage_sample sample = {.ts_ms = ts_ms,
                                              .value = m.value,
                                              .histogram = m.h,
                                              .float_histogram = m.state == SLOT_FLOAT_HISTOGRAM,
                                              .start_ts_ms = m.start_ms};
        assert_int_equal(storage_append_sample(p->w.st, a, s->labels, &sample), ERR_OK);
        assert_int_equal(storage_append_sample(p->w.st, a, s->labels, &sample), ERR_OK);
        remember(s, ts_ms, &m);
    }
    assert_ok(storage_appender_commit(p->w.st, a, &err), &err);
}

static void open_group(struct play *p) {
    p->group = world_group(&p->w, "job=g");
    for (uint32_t i = 0; i < SLOTS; i++) {
        p->slots[i] = world_slot(&p->w, p->group, p->series[i].text);
    }
}

static void play_restart(struct play *p) {
    storage_group_close(p->w.st, p->group);
    if (rng_below(&p->rng, 2) == 0) {
        world_crash(&p->w);
    } else {
        world_close(&p->w);
    }
    p->w.options.shard_count = 1 + (uint32_t)rng_below(&p->rng, 3);
    world_open(&p->w);
    assert_int_equal(p->w.replayed.damaged_records, 0);
    open_group(p);
}

static const char *model_dump(struct play *p, const struct model_series *s, int64_t mint,
                              int64_t maxt) {
    struct buf text;
    buf_init(&text, 1 << 26);
    for (size_t i = 0; i < s->count; i++) {
        if (s->samples[i].ts_ms >= mint && s->samples[i].ts_ms <= maxt) {
            if (text.len == 0) {
                labels_format_metric(&text, s->labels);
            }
            buf_printf(&text, " %lld:%s", (long long)s->samples[i].ts_ms, s->samples[i].text);
        }
    }
    if (text.len != 0) {
        buf_append_char(&text, '\n');
    }
    const char *out = arena_cstr(&p->w.arena, buf_str(&text));
    buf_release(&text);
    return out;
}

/* Hints other than of gauges go away. */
static void drop_hints(char *text) {
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (strncmp(at, ",same,", 6) == 0) {
            *to++ = ',';
            at += 4;
            continue;
        }
        *to++ = *at;
    }
    *to = '\0';
}

static void play_query(struct play *p) {
    const struct model_series *s = &p->series[rng_below(&p->rng, SERIES)];
    char matcher[64];
    snprintf(matcher, sizeof(matcher), "__name__=%.*s", (int)strcspn(s->text, " "), s->text);
    const int64_t begin = 1000000000 + (int64_t)rng_below(&p->rng, 20000) - 2000;
    const int64_t mint = rng_below(&p->rng, 3) == 0 ? INT64_MIN : begin;
    const int64_t maxt =
        rng_below(&p->rng, 3) == 0 ? INT64_MAX : begin + (int64_t)rng_below(&p->rng, 5000);
    const char *want = model_dump(p, s, mint, maxt);
    char *got = arena_cstr(&p->w.arena, str_of(world_dump(&p->w, matcher, mint, maxt)));
    drop_hints(got);
    if (strcmp(got, want) != 0) {
        size_t at = 0;
        while (got[at] == want[at]) {
            at++;
        }
        at = at > 80 ? at - 80 : 0;
        print_message("%s, range %lld %lld\nmodel: %.600s\nstore: %.600s\n", s->text,
                      (long long)mint, (long long)maxt, want + at, got + at);
    }
    assert_true(strcmp(got, want) == 0);
}

/* All of it becomes a partition, another one with what comes then, and one of both; and restarts. */
static void play_compaction(struct play *p) {
    for (int i = 0; i < 3; i++) {
        struct err err;
        for (int row = 0; row < 40 && i < 2; row++) {
            play_row(p);
        }
        assert_ok(tsdb_compact(p->w.db, true, &err), &err);
        for (int query = 0; query < 6; query++) {
            play_query(p);
        }
        play_restart(p);
        for (int query = 0; query < 6; query++) {
            play_query(p);
        }
    }
}

static void play_seed(uint64_t seed) {
    struct play *p = mem_zalloc(sizeof(*p));
    p->series = mem_zalloc(SERIES * sizeof(*p->series));
    p->rng = rng_seeded(seed);
    p->now_ms = 1000000000;
    arena_init(&p->arena, 0);
    world_init(&p->w);
    world_open(&p->w);
    for (size_t i = 0; i < SERIES; i++) {
        struct model_series *s = &p->series[i];
        snprintf(s->text, sizeof(s->text), "m%zu job=%s", i, i < SLOTS ? "g" : "p");
        s->labels = world_labels(&p->w, s->text);
    }
    open_group(p);
    for (int step = 0; step < 900; step++) {
        const uint64_t kind = rng_below(&p->rng, 200);
        if (kind < 110) {
            play_row(p);
        } else if (kind < 165) {
            play_push(p);
        } else if (kind < 190) {
            play_query(p);
        } else if (kind < 197) {
            tsdb_maintain(p->w.db);
        } else {
            play_restart(p);
        }
    }
    play_compaction(p);
    storage_group_close(p->w.st, p->group);
    for (size_t i = 0; i < SERIES; i++) {
        for (size_t k = 0; k < p->series[i].count; k++) {
            mem_free(p->series[i].samples[k].text);
        }
    }
    world_release(&p->w);
    arena_release(&p->arena);
    mem_free(p->series);
    mem_free(p);
}

static void random_histograms_match_the_model(void **state) {
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histograms_match_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
