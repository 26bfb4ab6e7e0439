/* All of a partition in order: what merging, verifying and dumping walk. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/id_list.h"
#include "tsdb/partition_page.h"
#include "tsdb/storage.h"

/* ---- timelines ---- */

enum err_code partition_timeline(struct partition *p, uint32_t timeline, struct arena *arena,
                                 struct partition_timeline *out, struct err *err) {
    struct partition_ts_block *blocks;
    uint32_t count;
    ASSERT(timeline < p->info.timeline_count);
    const enum err_code code = partition_ts_blocks(p, timeline, arena, &blocks, &count, err);
    if (code != ERR_OK) {
        return code;
    }
    uint32_t rows = 0;
    for (uint32_t i = 0; i < count; i++) {
        rows += blocks[i].rows;
    }
    uint32_t *block_rows = arena_try_alloc(arena, count, sizeof(*block_rows));
    int64_t *ts = arena_try_alloc(arena, rows + (size_t)8, sizeof(*ts));
    if (block_rows == NULL || ts == NULL) {
        return err_set(err, ERR_LIMIT, "not enough memory for the times of a partition");
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct partition_ts_block *b = &blocks[i];
        if (ts_column_decode(b->bytes, b->size, b->rows, ts + at) != ERR_OK ||
            ts[at] != b->min_ts_ms || ts[at + b->rows - 1] != b->max_ts_ms) {
            return partition_bad_timeline(p, timeline, err);
        }
        block_rows[i] = b->rows;
        at += b->rows;
    }
    *out = (struct partition_timeline){block_rows, ts, count, rows};
    return ERR_OK;
}

/* ---- the cursor ---- */

struct partition_cursor {
    struct partition *p;
    uint32_t next; /* series */
    struct partition_series_block block;
    struct arena page_arena;
    struct partition_page page;
    bool page_open;
    struct arena series_arena; /* of the current series: keys, blocks */
    const struct page_series *series;
    uint32_t current;
    uint32_t timeline;
    struct arena timeline_arena;
    struct partition_ts_block *ts_blocks; /* of timeline */
    uint32_t ts_block_count;
    bool has_timeline;
    struct arena labels_arena[2];
    uint32_t sets[2];
    struct labels labels[2];
    uint32_t *repeats; /* ascending */
    size_t repeat_count;
    size_t repeat_at;
    bool repeats_known;
    struct block_ints ints; /* scratch */
};

static const struct column_key float_key = {0};

struct partition_cursor *partition_cursor_new(struct partition *p) {
    struct partition_cursor *c = mem_zalloc(sizeof(*c));
    const uint32_t capacity = block_decode_capacity(BLOCK_ROWS_MAX);
    c->p = p;
    partition_series_block_init(&c->block);
    arena_init(&c->page_arena, 0);
    arena_init(&c->series_arena, 0);
    arena_init(&c->timeline_arena, 0);
    for (size_t i = 0; i < 2; i++) {
        arena_init(&c->labels_arena[i], 0);
        c->sets[i] = UINT32_MAX;
    }
    c->ints.m = mem_array(capacity, sizeof(*c->ints.m));
    c->ints.stale = mem_array(capacity, sizeof(*c->ints.stale));
    c->ints.rows = mem_array(capacity, sizeof(*c->ints.rows));
    return c;
}

void partition_cursor_free(struct partition_cursor *c) {
    if (c == NULL) {
        return;
    }
    arena_release(&c->page_arena);
    arena_release(&c->series_arena);
    arena_release(&c->timeline_arena);
    arena_release(&c->labels_arena[0]);
    arena_release(&c->labels_arena[1]);
    mem_free(c->ints.m);
    mem_free(c->ints.stale);
    mem_free(c->ints.rows);
    mem_free(c->repeats);
    mem_free(c);
}

static enum err_code load_repeats(struct partition_cursor *c, struct err *err) {
    struct cursor from;
    const enum err_code code = partition_repeats(c->p, &from, err);
    if (code != ERR_OK || c->repeats_known) {
        return code;
    }
    struct id_list_iter it;
    uint32_t start;
    uint32_t end;
    size_t capacity = 0;
    id_list_begin(&from, c->p->info.series_count, &it);
    while (id_list_next(&it, &start, &end)) {
        for (uint32_t i = start; i < end; i++) {
            if (c->repeat_count == capacity) {
                capacity = mem_grow(capacity, c->repeat_count + 1);
                c->repeats = mem_resize(c->repeats, capacity, sizeof(*c->repeats));
            }
            c->repeats[c->repeat_count++] = i;
        }
    }
    c->repeats_known = true;
    return it.from.failed ? partition_bad_index(c->p, SECTION_REPEATS, 0, err) : ERR_OK;
}

static bool is_repeat(struct partition_cursor *c, uint32_t series) {
    while (c->repeat_at < c->repeat_count && c->repeats[c->repeat_at] < series) {
        c->repeat_at++;
    }
    return c->repeat_at < c->repeat_count && c->repeats[c->repeat_at] == series;
}

static enum err_code open_page(struct partition_cursor *c, struct partition_skipped *skipped,
                               struct err *err) {
    const struct page_place *place = &c->page.place;
    if (c->page_open && c->next - place->first_series < place->series_count) {
        return ERR_OK;
    }
    uint32_t number;
    partition_page_close(&c->page);
    arena_reset(&c->page_arena);
    c->page_open = false;
    enum err_code code = partition_page_of(c->p, c->next, &number, err);
    if (code != ERR_OK) {
        return code;
    }
    memset(&c->page.place, 0, sizeof(c->page.place));
    code = partition_page_load(c->p, number, NULL, NULL, &c->page_arena, &c->page, err);
    c->page_open = code == ERR_OK;
    if (code == ERR_CORRUPT && place->series_count != 0) {
        skipped->count = place->first_series + place->series_count - c->next;
    }
    return code;
}

static enum err_code load_timeline(struct partition_cursor *c, uint32_t timeline, struct err *err) {
    if (c->has_timeline && c->timeline == timeline) {
        return ERR_OK;
    }
    arena_reset(&c->timeline_arena);
    c->has_timeline = false;
    const enum err_code code = partition_ts_blocks(c->p, timeline, &c->timeline_arena,
                                                   &c->ts_blocks, &c->ts_block_count, err);
    c->has_timeline = code == ERR_OK;
    c->timeline = timeline;
    return code;
}

static enum err_code load_labels(struct partition_cursor *c, enum partition_space space,
                                 uint32_t set, struct err *err) {
    if (c->sets[space] == set) {
        return ERR_OK;
    }
    c->sets[space] = UINT32_MAX;
    arena_reset(&c->labels_arena[space]);
    const enum err_code code =
        partition_set_labels(c->p, space, set, &c->labels_arena[space], &c->labels[space], err);
    if (code == ERR_OK) {
        c->sets[space] = set;
    }
    return code;
}

static enum err_code fill_blocks(struct partition_cursor *c, struct partition_series *out,
                                 struct err *err) {
    const struct page_series *s = c->series;
    const size_t n = (size_t)s->column_count * c->ts_block_count;
    if (s->first_block + (uint64_t)s->block_count > c->ts_block_count) {
        (void)err_set(err, ERR_CORRUPT,
                      "partition file %s: series %" PRIu32 " does not fit its timeline, page at "
                      "offset %" PRIu64,
                      c->p->data_path, c->current, c->page.place.offset);
        return ERR_CORRUPT;
    }
    struct partition_bytes *blocks = arena_try_alloc(&c->series_arena, n + 1, sizeof(*blocks));
    if (blocks == NULL) {
        return err_set(err, ERR_LIMIT, "not enough memory for a series of a partition");
    }
    for (uint32_t column = 0; column < s->column_count; column++) {
        for (uint32_t b = 0; b < c->ts_block_count; b++) {
            struct partition_bytes *to = &blocks[(size_t)column * c->ts_block_count + b];
            const enum err_code code =
                partition_page_block(&c->page, s, column, b, &to->ptr, &to->n, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    out->blocks = blocks;
    return ERR_OK;
}

static enum err_code load_series(struct partition_cursor *c, struct partition_series *out,
                                 struct partition_skipped *skipped, struct err *err) {
    enum err_code code = open_page(c, skipped, err);
    code = code == ERR_OK ? load_repeats(c, err) : code;
    code = code == ERR_OK ? partition_series_block_load(c->p, c->next, &c->block, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    const uint32_t i = c->next - c->block.first;
    c->current = c->next;
    code = partition_page_series(&c->page, c->next - c->page.place.first_series, &c->series, err);
    code = code == ERR_OK ? load_timeline(c, c->block.timelines[i], err) : code;
    code = code == ERR_OK ? load_labels(c, PARTITION_TARGETS, c->block.targets[i], err) : code;
    code = code == ERR_OK ? load_labels(c, PARTITION_METRICS, c->block.metrics[i], err) : code;
    if (code != ERR_OK) {
        return code;
    }
    *out = (struct partition_series){
        .series = c->next,
        .target_set = c->block.targets[i],
        .metric_set = c->block.metrics[i],
        .timeline = c->block.timelines[i],
        .repeat = is_repeat(c, c->next),
        .column_count = c->series->column_count,
        .keys = c->series->keys != NULL ? c->series->keys : &float_key,
        .block_count = c->ts_block_count,
        .target = c->labels[PARTITION_TARGETS],
        .metric = c->labels[PARTITION_METRICS],
    };
    return fill_blocks(c, out, err);
}

enum err_code partition_cursor_next(struct partition_cursor *c, struct partition_series *out,
                                    bool *out_more, struct partition_skipped *out_skipped,
                                    struct err *err) {
    *out_skipped = (struct partition_skipped){c->next, 0};
    *out_more = c->next < c->p->info.series_count;
    if (!*out_more) {
        return ERR_OK;
    }
    arena_reset(&c->series_arena);
    out_skipped->count = 1;
    const enum err_code code = load_series(c, out, out_skipped, err);
    if (code == ERR_CORRUPT || code == ERR_OK) {
        c->next += out_skipped->count;
    }
    if (code == ERR_OK) {
        out_skipped->count = 0;
    }
    return code;
}

uint32_t partition_cursor_rows(const struct partition_cursor *c, uint32_t block) {
    ASSERT(block < c->ts_block_count);
    return c->ts_blocks[block].rows;
}

enum err_code partition_cursor_decode(struct partition_cursor *c, uint32_t column, uint32_t block,
                                      struct num *values, uint8_t *states, struct err *err) {
    ASSERT(column < c->series->column_count && block < c->ts_block_count);
    struct block_ints *v = &c->ints;
    const uint32_t rows = c->ts_blocks[block].rows;
    const enum err_code code =
        partition_page_ints(&c->page, c->series, column, block, rows, v, err);
    if (code != ERR_OK) {
        return code;
    }
    memset(states, SLOT_ABSENT, rows);
    for (uint32_t i = 0; i < v->count; i++) {
        const uint32_t row = v->dense ? i : v->rows[i];
        const bool stale = v->has_stale && v->stale[i] != 0;
        states[row] = stale ? SLOT_STALE : SLOT_VALUE;
        values[row] = (struct num){.m = stale ? 0 : v->m[i],
                                   .scale = v->decimal ? v->scale : 0,
                                   .kind = v->decimal ? NUM_DECIMAL : NUM_RAW};
    }
    return ERR_OK;
}
