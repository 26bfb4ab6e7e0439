#include "tests/bench/bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

void bench_must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static int64_t bench_unix(struct clock *clock) {
    return ((struct bench_clock *)clock)->unix_ns;
}

static int64_t bench_mono(struct clock *clock) {
    (void)clock;
    return clock_mono_ns(clock_system());
}

static void open_group(struct bench_store *b, uint32_t t) {
    const struct bench_shape *shape = &b->shape;
    struct arena scratch;
    struct err err;
    arena_init(&scratch, 0);
    const struct label target[] = {{STR("instance"), arena_printf(&scratch, "node-%u:9100", t)},
                                   {STR("job"), arena_printf(&scratch, "job-%u", t % shape->jobs)}};
    bench_must(storage_group_open(b->st, 0, labels_of(&scratch, target, 2), &b->groups[t], &err),
               &err);
    for (uint32_t i = 0; i < shape->per_target; i++) {
        const struct label all[] = {{STR("__name__"), str_of(shape->names[i % 2])},
                                    target[0],
                                    target[1],
                                    {STR("n"), arena_printf(&scratch, "%u", i)}};
        uint32_t slot = 0;
        bench_must(
            storage_group_series(b->st, b->groups[t], labels_of(&scratch, all, 4), &slot, &err),
            &err);
    }
    arena_release(&scratch);
}

void bench_store_open(struct bench_store *b, const char *path, const struct bench_shape *shape) {
    static const struct clock_ops clock_ops = {bench_unix, bench_mono};
    struct tsdb_options options;
    struct err err;
    *b = (struct bench_store){
        .clock = {.clock.ops = &clock_ops, .unix_ns = INT64_C(1795344000) * NS_PER_S},
        .shape = *shape};
    tsdb_options_default(&options);
    options.path = path;
    options.clock = &b->clock.clock;
    options.shard_count = 1;
    options.no_background = true;
    bench_must(tsdb_open(&options, &b->db, NULL, &err), &err);
    b->st = tsdb_storage(b->db);
    b->values = mem_zalloc(shape->per_target * sizeof(*b->values));
    b->states = mem_zalloc(shape->per_target);
    memset(b->states, SLOT_VALUE, shape->per_target);
    b->groups = mem_array(shape->targets, sizeof(*b->groups));
    for (uint32_t t = 0; t < shape->targets; t++) {
        open_group(b, t);
    }
}

uint64_t bench_store_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed;
}

void bench_store_row(struct bench_store *b, int64_t interval_s) {
    struct err err;
    b->clock.unix_ns += interval_s * NS_PER_S;
    for (uint32_t t = 0; t < b->shape.targets; t++) {
        const struct storage_row r = {.ts_ms = b->clock.unix_ns / NS_PER_MS + t,
                                      .slot_count = b->shape.per_target,
                                      .values = b->values,
                                      .states = b->states};
        struct storage_row_result result;
        bench_must(storage_group_commit(b->st, b->groups[t], &r, &result, &err), &err);
        b->samples += result.accepted;
    }
}

void bench_store_close(struct bench_store *b) {
    for (uint32_t t = 0; t < b->shape.targets; t++) {
        storage_group_close(b->st, b->groups[t]);
    }
    tsdb_close(b->db);
    mem_free(b->groups);
    mem_free(b->values);
    mem_free(b->states);
}
