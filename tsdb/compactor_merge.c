/* Merging partitions: a walk through all of them in the order of series.
 *
 * IN A ROW. Windows that follow each other have no time in common. The timelines of a series in them
 * become one, a chain, whose blocks are copied as they are; only small neighbours are joined (up to
 * PARTITION_BLOCK_ROWS rows) and blocks that build on others are encoded again. Series that lack
 * one of the timelines use the chain all the same, so that a group goes on sharing its times. Series of
 * several places are merged place by place: the places of one series keep their order.
 *
 * OVERLAPPING. Late data: all places of a series are decoded, and where several have a sample at one
 * time, that of the earliest place counts: of what came in order before what came out of order, then
 * of the older partition, then of the earlier place in it. Queries follow the same order.
 *
 * Memory: the times of the chains, and one series of all partitions. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/compactor_merge.h"
#include "tsdb/merge_plan.h"

/* What is merged to more than half a day is packed: dashboards rarely look at the most of it. Windows
 * that do are long, and find summaries. */
enum { PACK_FROM_MS = 12 * 3600 * 1000 };

/* ---- planning ---- */

/* Writes the numbers to be merged; 0 = none. */
static size_t plan(struct compactor *c, uint32_t *out) {
    struct tsdb *db = c->db;
    const int64_t max_ms =
        merge_span_max_ms(db->options.partition_max_ms, compactor_retention_ms(c));
    const struct merge_ranges ranges = merge_ranges_of(db->options.partition_ms, max_ms);
    struct merge_item *items = mem_array(c->live_count + 1, sizeof(*items));
    for (size_t i = 0; i < c->live_count; i++) {
        const struct manifest_partition *p = &c->live[i]->info;
        items[i] = (struct merge_item){.number = p->number,
                                       .start_ms = p->start_ms,
                                       .end_ms = p->end_ms,
                                       .series = p->series,
                                       .tombstones = c->live[i]->tombstones,
                                       .failed = c->live[i]->merge_failed};
    }
    const size_t n = merge_plan(&ranges, items, c->live_count, out);
    mem_free(items);
    return n < PARTITION_PARENTS_MAX ? n : PARTITION_PARENTS_MAX;
}
/* ---- the whole ---- */

static bool has_deleted(struct merge *m, const struct partition_series *s) {
    return tombstones_find_pair(m->tombstones, s->target, s->metric, &m->arena) != NULL;
}

static enum err_code merge_series(struct merge *m, struct err *err) {
    enum { SERIES_BYTES_MAX = 1 << 30 };
    uint32_t *which = mem_array(m->count, sizeof(*which));
    enum err_code code = ERR_OK;
    uint32_t n;
    arena_init(&m->arena, SERIES_BYTES_MAX);
    while (code == ERR_OK && (n = merge_first_series(m, which)) != 0) {
        code = m->overlapping || has_deleted(m, &m->inputs[which[0]].series)
                   ? merge_overlapping(m, which, n, err)
                   : merge_in_row(m, which, n, err);
        code = code != ERR_OK ? code : compactor_breathe(m->c, &m->since_ns, err);
        compactor_note_memory(m->c, m->arena.used_bytes);
        arena_reset(&m->arena);
    }
    arena_release(&m->arena);
    mem_free(which);
    return code;
}

static enum err_code write_merged(struct merge *m, const uint32_t *numbers, uint32_t n,
                                  struct err *err) {
    m->options = (struct partition_writer_options){
        .out_of_order = true,
        .start_ms = INT64_MAX,
        .end_ms = INT64_MIN,
        .parents = numbers,
        .parent_count = n,
    };
    enum err_code code = merge_open_inputs(m, numbers, n, err);
    for (uint32_t i = 0; i < n; i++) {
        const struct partition_info *info = m->inputs[i].info;
        struct partition_writer_options *o = &m->options;
        o->level = info->level >= o->level && info->level < UINT8_MAX / 4
                       ? (uint8_t)(info->level + 1)
                       : o->level;
        o->out_of_order &= info->out_of_order;
        o->start_ms = info->start_ms < o->start_ms ? info->start_ms : o->start_ms;
        o->end_ms = info->end_ms > o->end_ms ? info->end_ms : o->end_ms;
    }
    m->options.pack = code == ERR_OK && m->options.end_ms - m->options.start_ms > PACK_FROM_MS;
    m->options.summaries = m->options.pack;
    code = code != ERR_OK ? code : compactor_begin(m->c, &m->options, &m->writer, err);
    return code != ERR_OK ? code : merge_series(m, err);
}

static int by_number(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void note_failed(struct compactor *c, const uint32_t *numbers, size_t n) {
    for (size_t i = 0; i < c->live_count; i++) {
        for (size_t k = 0; k < n; k++) {
            c->live[i]->merge_failed |= c->live[i]->info.number == numbers[k];
        }
    }
}

static void note_clean(struct compactor *c, uint32_t number, uint64_t clean_of) {
    for (size_t i = 0; i < c->live_count; i++) {
        if (c->live[i]->info.number == number) {
            c->live[i]->clean_of = clean_of;
            c->live[i]->tombstones = 0;
        }
    }
}

enum err_code compactor_merge_numbers(struct compactor *c, const uint32_t *numbers, size_t n,
                                      bool rewrite, struct err *err) {
    struct merge *m = mem_zalloc(sizeof(*m));
    m->c = c;
    m->tombstones = tsdb_tombstones(c->db);
    const uint64_t clean_of = tombstones_number(m->tombstones);
    m->since_ns = clock_mono_ns(c->db->options.clock);
    enum err_code code = write_merged(m, numbers, (uint32_t)n, err);
    if (m->overlapping) {
        metric_inc(c->metrics.vertical);
    }
    merge_close_inputs(m);
    if (code == ERR_OK && (!rewrite || m->deleted != 0)) {
        code = compactor_commit(c,
                                &(struct compactor_change){.writer = m->writer,
                                                           .options = &m->options,
                                                           .replaced = numbers,
                                                           .replaced_count = n,
                                                           .clean_of = clean_of},
                                err);
    } else {
        if (code == ERR_OK) { /* only rows of other series are in the intervals */
            note_clean(c, numbers[0], clean_of);
        }
        partition_writer_free(m->writer);
    }
    tombstones_unref(m->tombstones);
    mem_free(m);
    return code;
}

enum err_code compactor_merge(struct compactor *c, bool *out_merged, struct err *err) {
    uint32_t *numbers = mem_array(c->live_count + 1, sizeof(*numbers));
    const size_t n = plan(c, numbers);
    enum err_code code = ERR_OK;
    *out_merged = n != 0;
    if (n != 0) {
        qsort(numbers, n, sizeof(*numbers), by_number);
        code = compactor_merge_numbers(c, numbers, n, false, err);
        if (code == ERR_CORRUPT) {
            note_failed(c, numbers, n); /* the others go on without them */
        }
    }
    mem_free(numbers);
    return code;
}
