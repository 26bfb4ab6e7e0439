/* What lists of ids cost: nanoseconds per id added to the head's postings and walked, and encoded
 * and walked as a partition keeps them; bytes per id.
 *
 *     bench_postings [IDS]
 *
 * IDS (1000000) in three shapes: runs of about 100 neighbours, as series of one exporter are; one
 * in about 50, as one label value of many; one in two. The measured_ functions are not inlined:
 * scripts/bench -i counts the instructions in them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tsdb/id_list.h"
#include "tsdb/postings.h"

static const size_t LIST_MAX = 1 << 30;

struct shape {
    const char *name;
    uint32_t *ids;
    size_t count;
    struct postings postings;
    struct buf list;
    uint64_t sum; /* of the ids that a walk found */
};

static int64_t cpu_ns(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

NOINLINE static void measured_add(struct shape *s) {
    for (size_t i = 0; i < s->count; i++) {
        postings_add(&s->postings, s->ids[i]);
    }
}

NOINLINE static void measured_walk(struct shape *s) {
    struct postings_iter it = postings_begin(&s->postings);
    uint32_t start;
    uint32_t end;
    while (postings_next_run(&it, &start, &end)) {
        for (uint32_t id = start; id < end; id++) {
            s->sum += id;
        }
    }
}

NOINLINE static void measured_encode(struct shape *s) {
    id_list_encode(&s->list, s->ids, s->count);
}

NOINLINE static void measured_decode(struct shape *s) {
    struct cursor from = cursor_of(s->list.ptr, s->list.len);
    struct id_list_iter it;
    uint32_t start;
    uint32_t end;
    id_list_begin(&from, UINT32_MAX, &it);
    while (id_list_next(&it, &start, &end)) {
        for (uint32_t id = start; id < end; id++) {
            s->sum += id;
        }
    }
    ASSERT(!it.from.failed);
}

static void measure(struct shape *s, const char *what, void (*work)(struct shape *), size_t bytes) {
    const int64_t start = cpu_ns();
    work(s);
    (void)printf("%-9s %-7s %zu ids, %6.2f ns each", s->name, what, s->count,
                 (double)(cpu_ns() - start) / (double)s->count);
    if (bytes != 0) {
        (void)printf(", %.3f B each", (double)bytes / (double)s->count);
    }
    (void)printf("\n");
}

static void run(struct shape *s) {
    uint64_t want = 0;
    for (size_t i = 0; i < s->count; i++) {
        want += s->ids[i];
    }
    buf_init(&s->list, LIST_MAX);
    measure(s, "add", measured_add, 0);
    measure(s, "walk", measured_walk, postings_bytes(&s->postings));
    ASSERT(s->sum == want);
    measure(s, "encode", measured_encode, 0);
    measure(s, "decode", measured_decode, s->list.len);
    ASSERT(s->sum == 2 * want);
    postings_release(&s->postings);
    buf_release(&s->list);
}

/* Gaps before an id: mostly the next one, or up to 2 * gap. */
static void fill(struct shape *s, struct rng *rng, uint32_t run_length, uint32_t gap) {
    uint32_t id = 0;
    for (size_t i = 0; i < s->count; i++) {
        const bool next = run_length != 0 && rng_below(rng, run_length) != 0;
        id += next ? 1 : 1 + (uint32_t)rng_below(rng, 2 * (uint64_t)gap);
        s->ids[i] = id;
    }
}

int main(int argc, char **argv) {
    const size_t count = argc > 1 ? (size_t)atol(argv[1]) : 1000000;
    ASSERT(count >= 1 && count <= 10000000);
    struct rng rng = rng_seeded(9);
    uint32_t *ids = mem_array(count, sizeof(*ids));
    const struct {
        const char *name;
        uint32_t run_length;
        uint32_t gap;
    } shapes[] = {{"runs", 100, 1000}, {"scattered", 0, 49}, {"dense", 0, 1}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct shape s = {.name = shapes[i].name, .ids = ids, .count = count};
        fill(&s, &rng, shapes[i].run_length, shapes[i].gap);
        run(&s);
    }
    static const char *const measured[] = {"add", "walk", "encode", "decode"};
    for (size_t i = 0; i < COUNT_OF(measured); i++) {
        (void)printf("in measured_%s: %zu\n", measured[i], COUNT_OF(shapes) * count);
    }
    mem_free(ids);
    return 0;
}
