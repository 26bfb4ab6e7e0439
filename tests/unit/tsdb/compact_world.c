#include "compact_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/value.h"
#include "tests/support/check_err.h"
#include "tsdb/head.h"
#include "tsdb/partition.h"

enum { SLOTS = 7 };

void compact_world_init(struct world *w) {
    world_init(w);
    w->options.partition_ms = COMPACT_WINDOW_MS;
    w->options.no_compaction = false;
    w->options.shard_count = 2;
}

/* ---- playing ---- */

void compact_play_begin(struct compact_play *p, struct world *w, uint64_t seed) {
    *p = (struct compact_play){
        .w = w, .rng = rng_seeded(seed), .now_ms = COMPACT_BASE_MS, .step_ms = 200};
    p->groups[0] = world_group(w, "job=a");
    p->groups[1] = world_group(w, "job=b");
    p->groups[2] = world_group(w, "job=b other=1");
    for (int g = 0; g < COMPACT_GROUPS; g++) {
        for (int i = 0; i < SLOTS; i++) {
            char text[64];
            (void)snprintf(text, sizeof(text), "m%d job=%s zone=%d", i / 2, g == 0 ? "a" : "b", i);
            assert_int_equal(world_slot(w, p->groups[g], text), i);
        }
    }
}

static double random_value(struct compact_play *p, int slot) {
    switch (rng_below(&p->rng, slot == 0 ? 40 : 10)) {
    case 0:
        return ABSENT;
    case 1:
        return f64_stale();
    case 2:
        return f64_of_bits(rng_u64(&p->rng) >> 2);
    case 3:
        return -(double)rng_below(&p->rng, 100000) / 100;
    case 4:
        return (double)(p->now_ms - COMPACT_BASE_MS);
    default:
        return slot;
    }
}

static void play_row(struct compact_play *p) {
    const uint32_t g = (uint32_t)rng_below(&p->rng, COMPACT_GROUPS);
    double values[SLOTS];
    const uint32_t n = SLOTS - (rng_below(&p->rng, 30) == 0);
    for (uint32_t i = 0; i < n; i++) {
        values[i] = random_value(p, (int)i);
    }
    world_row(p->w, p->groups[g], p->now_ms, values, n);
}

/* Up to two windows late; what the storage refuses, it refuses always. */
static void play_push(struct compact_play *p) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(p->w->st, &a, &err), &err);
    const size_t n = 1 + rng_below(&p->rng, 5);
    for (size_t i = 0; i < n; i++) {
        char text[64];
        const uint64_t series = rng_below(&p->rng, 40);
        (void)snprintf(text, sizeof(text), "p%d job=p%d n=%d", (int)series % 3, (int)series % 4,
                       (int)series);
        const int64_t late =
            rng_below(&p->rng, 4) == 0 ? (int64_t)rng_below(&p->rng, 2 * COMPACT_WINDOW_MS) : 0;
        (void)!world_append(p->w, a, text, p->now_ms - late, (double)rng_below(&p->rng, 1000));
    }
    assert_ok(storage_appender_commit(p->w->st, a, &err), &err);
}

void compact_play_for(struct compact_play *p, int64_t ms) {
    const int64_t end_ms = p->now_ms + ms;
    while (p->now_ms < end_ms) {
        p->now_ms += 1 + (int64_t)rng_below(&p->rng, p->step_ms);
        if (rng_below(&p->rng, 4) == 0) {
            play_push(p);
        } else {
            play_row(p);
        }
    }
}

void compact_play_end(struct compact_play *p) {
    for (int g = 0; g < COMPACT_GROUPS; g++) {
        storage_group_close(p->w->st, p->groups[g]);
        p->groups[g] = NULL;
    }
}

/* ---- text ---- */

struct line {
    char *labels;
    int64_t ts;
    uint64_t bits;
    uint32_t source; /* the partition's number, or UINT32_MAX: at equal times the lowest counts */
};

struct lines {
    struct line *items;
    size_t count;
    size_t capacity;
};

static void add_samples(struct lines *lines, struct world *w, struct labels labels,
                        const struct storage_samples *s, uint32_t source) {
    struct buf text;
    buf_init(&text, 1 << 20);
    labels_format_metric(&text, labels);
    char *name = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    for (size_t i = 0; i < s->count; i++) {
        if (lines->count == lines->capacity) {
            lines->capacity = mem_grow(lines->capacity, lines->count + 1);
            lines->items = mem_resize(lines->items, lines->capacity, sizeof(*lines->items));
        }
        lines->items[lines->count++] =
            (struct line){name, s->ts[i], f64_bits(s->values[i]), source};
    }
}

static void add_partition(struct lines *lines, struct world *w, struct partition *p) {
    struct arena arena;
    struct err err;
    struct partition_hit *hits;
    size_t n;
    arena_init(&arena, 0);
    assert_ok(partition_select(p, NULL, 0, INT64_MIN, INT64_MAX, &arena, NULL, &hits, &n, &err),
              &err);
    for (size_t i = 0; i < n; i++) {
        struct storage_samples samples;
        struct labels target;
        struct labels metric;
        assert_ok(
            partition_set_labels(p, PARTITION_TARGETS, hits[i].target_set, &arena, &target, &err),
            &err);
        assert_ok(
            partition_set_labels(p, PARTITION_METRICS, hits[i].metric_set, &arena, &metric, &err),
            &err);
        assert_ok(partition_read(p, &hits[i].series, 1, INT64_MIN, INT64_MAX, &arena, NULL,
                                 &samples, &err),
                  &err);
        add_samples(lines, w, labels_merge(&arena, target, metric), &samples,
                    partition_info(p)->number);
    }
    arena_release(&arena);
}

static size_t add_partitions(struct lines *lines, struct world *w) {
    struct view *view = view_ref_newest(&w->db->views);
    const size_t n = view->partition_count;
    for (size_t i = 0; i < n; i++) {
        add_partition(lines, w, view->partitions[i]->reader);
    }
    view_unref(view);
    return n;
}

static void add_queried(struct lines *lines, struct world *w) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w->st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_select(w->st, q, NULL, 0, NULL, &sel, &err), &err);
    size_t count;
    const struct storage_series *series = storage_selection_series(w->st, sel, &count);
    struct storage_samples *samples = arena_try_alloc(&arena, count + 1, sizeof(*samples));
    assert_ok(storage_read(w->st, q, sel, 0, count, INT64_MIN, INT64_MAX, &arena, samples, &err),
              &err);
    for (size_t i = 0; i < count; i++) {
        add_samples(lines, w,
                    labels_merge(&arena, storage_set_labels(w->st, q, series[i].target_set),
                                 storage_set_labels(w->st, q, series[i].metric_set)),
                    &samples[i], UINT32_MAX);
    }
    arena_release(&arena);
}

static int by_sample(const void *a, const void *b) {
    const struct line *x = a;
    const struct line *y = b;
    const int order = strcmp(x->labels, y->labels);
    if (order != 0) {
        return order;
    }
    if (x->ts != y->ts) {
        return x->ts < y->ts ? -1 : 1;
    }
    return (x->source > y->source) - (x->source < y->source);
}

static const char *text_of(struct lines *lines, struct world *w) {
    struct buf text;
    buf_init(&text, 1 << 28);
    if (lines->count != 0) {
        qsort(lines->items, lines->count, sizeof(*lines->items), by_sample);
    }
    const struct line *last = NULL;
    for (size_t i = 0; i < lines->count; i++) {
        const struct line *line = &lines->items[i];
        const bool same = last != NULL && strcmp(last->labels, line->labels) == 0;
        if (same && last->ts == line->ts) {
            continue;
        }
        if (!same) {
            buf_printf(&text, "%s%s", last != NULL ? "\n" : "", line->labels);
        }
        buf_printf(&text, " %lld:", (long long)line->ts);
        if (line->bits == STALE_NAN_BITS) {
            buf_append_cstr(&text, "stale");
        } else {
            buf_append_number_g(&text, f64_of_bits(line->bits));
        }
        last = line;
    }
    const char *out = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    mem_free(lines->items);
    return out;
}

const char *compact_dump(struct world *w) {
    struct lines lines = {0};
    add_queried(&lines, w);
    return text_of(&lines, w);
}

const char *compact_dump_partitions(struct world *w, size_t *out_count) {
    struct lines lines = {0};
    *out_count = add_partitions(&lines, w);
    return text_of(&lines, w);
}

void compact_assert_same(const char *got, const char *want) {
    if (strcmp(got, want) != 0) {
        size_t at = 0;
        while (got[at] == want[at]) {
            at++;
        }
        const size_t from = at < 200 ? 0 : at - 200;
        print_message("differs at %zu\ngot  ...%.400s\nwant ...%.400s\n", at, got + from,
                      want + from);
        fail();
    }
}
