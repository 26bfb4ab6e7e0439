/* Slices of a cut: so many series that their blocks, still compressed, have room. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/mem.h"
#include "tsdb/compactor_cut.h"

enum { RUN_ARENA_BYTES = 1 << 30 };

/* ---- slices ---- */

struct piece { /* a block, then the block that it builds on, in the slice's bytes */
    uint32_t at;
    uint16_t bytes;
    uint16_t reference_bytes;
};

struct slice {
    struct cut *cut;
    const struct cut_series *series;
    size_t count;
    uint32_t *order;       /* by timeline, then slot */
    uint32_t *first_piece; /* of each series: by column, one per run */
    struct piece *pieces;
    size_t piece_count;
    bool is_written; /* or in part */
    struct buf bytes;
    size_t most_bytes;       /* there; only one series alone may have more */
    size_t expected_bytes;   /* by the average sizes of blocks */
    size_t blocks_per_mille; /* what the slice before had of that */
    /* of one series: */
    struct num *values;
    uint8_t *states;
    size_t capacity; /* of both */
    struct partition_column *columns;
    size_t column_capacity;
    struct block_ints ints;
    struct block_ints reference;
};

static int by_place(const void *a, const void *b, void *ctx) {
    const struct slice *slice = ctx;
    const struct cut_series *x = &slice->series[*(const uint32_t *)a];
    const struct cut_series *y = &slice->series[*(const uint32_t *)b];
    const uint32_t t = cut_timeline_of(x);
    const uint32_t u = cut_timeline_of(y);
    if (t != u) {
        return t < u ? -1 : 1;
    }
    const uint32_t place = cut_slot_bits(slice->cut, x);
    const uint32_t other = cut_slot_bits(slice->cut, y);
    return (place > other) - (place < other);
}

static enum err_code take_piece(struct slice *slice, struct segment_run *run, uint32_t slot,
                                struct piece *to, struct err *err) {
    const uint8_t *block;
    const uint8_t *reference = NULL;
    size_t n;
    size_t m = 0;
    enum err_code code = segment_run_block(run, slot, &block, &n, err);
    const unsigned back = code == ERR_OK ? block_reference(block, n) : 0;
    if (back != 0) {
        code = back > slot ? err_set(err, ERR_CORRUPT, "a block builds on none")
                           : segment_run_block(run, slot - back, &reference, &m, err);
    }
    if (code != ERR_OK || n == 0) {
        return code;
    }
    if (slice->bytes.len + n + m > slice->most_bytes && slice->count > 1) {
        return err_set(err, ERR_LIMIT, "a slice is larger than it should be");
    }
    *to = (struct piece){(uint32_t)slice->bytes.len, (uint16_t)n, (uint16_t)m};
    buf_append(&slice->bytes, block, n);
    if (m != 0) {
        buf_append(&slice->bytes, reference, m);
    }
    return ERR_OK;
}

/* Run number i of all columns of a series. Damage keeps only what the series has with it: its floats, or
 * its histograms, which would be others without a column. */
static enum err_code take_pieces(struct slice *slice, struct segment_run *run, uint32_t number,
                                 uint32_t run_count, uint32_t i, struct err *err) {
    const struct cut_series *s = &slice->series[number];
    const struct cut_extra *extra = cut_extra_of(slice->cut, s);
    struct piece *pieces = slice->pieces + slice->first_piece[number] + i;
    enum err_code code = take_piece(slice, run, cut_slot(slice->cut, s), pieces, err);
    enum err_code taken = ERR_OK;
    const bool goes_on = code == ERR_OK || cut_is_damage(code);
    for (uint32_t k = 0; goes_on && k < extra->column_count && taken == ERR_OK; k++) {
        const uint32_t slot = slice->cut->columns[extra->first_column + k].slot;
        struct err other;
        taken = take_piece(slice, run, slot, pieces + (size_t)(k + 1) * run_count, &other);
        if (taken != ERR_OK) {
            code = taken;
            *err = other;
        }
    }
    for (uint32_t k = 0; k < extra->column_count && cut_is_damage(taken); k++) {
        pieces[(size_t)(k + 1) * run_count] = (struct piece){0};
    }
    return code;
}

static void note_slice_memory(const struct slice *slice, const struct arena *run) {
    compactor_note_memory(slice->cut->c,
                          slice->bytes.capacity + run->used_bytes +
                              slice->piece_count * sizeof(*slice->pieces) +
                              slice->count * (sizeof(*slice->order) + sizeof(*slice->first_piece)));
}

static void doubt(struct cut_timeline *t, uint32_t from, uint32_t to) {
    for (uint32_t row = from; row < to; row++) {
        t->doubted[row / 64] |= UINT64_C(1) << row % 64;
    }
}

/* Marks the run's rows in which a slot without a definition has something. Once per run, in their order. */
static enum err_code judge_run(struct slice *slice, struct cut_timeline *t, uint32_t i,
                               struct segment_run *run, struct err *err) {
    if (t->lost_count == 0 || t->judged_runs != i) {
        return ERR_OK;
    }
    for (uint32_t k = 0; k < t->lost_count; k++) {
        struct block_ints c = slice->ints; /* scratch */
        const enum err_code code = segment_run_ints(run, t->lost[k], &c, err);
        const uint32_t first = t->judged_rows;
        if (cut_is_damage(code)) {
            doubt(t, first, first + segment_run_info(run)->rows); /* it may have been anywhere */
        } else if (code != ERR_OK) {
            return code;
        }
        for (uint32_t n = 0; n < c.count && code == ERR_OK; n++) {
            const uint32_t row = first + (c.dense ? n : c.rows[n]);
            doubt(t, row, row + 1);
        }
    }
    return ERR_OK;
}

/* The blocks of order[from .. to - 1], all of one timeline, from its run number i. */
static enum err_code take_run(struct slice *slice, size_t from, size_t to, uint32_t i,
                              struct err *err) {
    struct cut *cut = slice->cut;
    struct cut_timeline *t = &cut->timelines[cut_timeline_of(&slice->series[slice->order[from]])];
    const struct cut_run *at = &cut->runs[t->first_run + i];
    struct arena arena;
    struct segment_run *run = NULL;
    bool reported = false;
    if (at->rows == 0) {
        return ERR_OK;
    }
    arena_init(&arena, RUN_ARENA_BYTES);
    enum err_code code = segment_run_open(at->store, at->at, &arena, &run, err);
    if (code == ERR_OK) {
        code = judge_run(slice, t, i, run, err);
    }
    for (size_t k = from; k < to && code == ERR_OK; k++) {
        code = take_pieces(slice, run, slice->order[k], t->run_count, i, err);
        if (cut_is_damage(code)) {
            if (!reported) {
                cut_report(cut, err);
            }
            reported = true;
            code = ERR_OK;
        }
        if (arena.used_bytes > cut->memory_bytes / 2) { /* pages of a very large run */
            note_slice_memory(slice, &arena);
            segment_run_close(run);
            run = NULL;
            arena_reset(&arena);
            if (code == ERR_OK) {
                code = segment_run_open(at->store, at->at, &arena, &run, err);
            }
        }
    }
    note_slice_memory(slice, &arena);
    segment_run_close(run);
    arena_release(&arena);
    if (cut_is_damage(code)) {
        cut_report(cut, err);
        code = ERR_OK;
    }
    return code;
}

static enum err_code fill_slice(struct slice *slice, struct err *err) {
    struct cut *cut = slice->cut;
    enum err_code code = ERR_OK;
    for (size_t from = 0; from < slice->count && code == ERR_OK;) {
        const uint32_t timeline = cut_timeline_of(&slice->series[slice->order[from]]);
        size_t to = from + 1;
        while (to < slice->count && cut_timeline_of(&slice->series[slice->order[to]]) == timeline) {
            to++;
        }
        struct cut_timeline *t = &cut->timelines[timeline];
        for (uint32_t i = 0; i < t->run_count && code == ERR_OK; i++) {
            code = take_run(slice, from, to, i, err);
            if (code == ERR_OK && t->judged_runs == i) {
                t->judged_runs++;
                t->judged_rows += cut->runs[t->first_run + i].rows;
            }
        }
        code = code != ERR_OK ? code : compactor_breathe(cut->c, &cut->since_ns, err);
        from = to;
    }
    return code;
}

/* ---- one series ---- */

static void put_rows(const struct block_ints *ints, struct num *values, uint8_t *states) {
    for (uint32_t i = 0; i < ints->count; i++) {
        const uint32_t row = ints->dense ? i : ints->rows[i];
        const bool stale = ints->has_stale && ints->stale[i] != 0;
        states[row] = stale ? SLOT_STALE : SLOT_VALUE;
        values[row] = (struct num){.m = ints->m[i],
                                   .scale = ints->decimal ? ints->scale : 0,
                                   .kind = ints->decimal ? NUM_DECIMAL : NUM_RAW};
    }
}

static enum err_code decode_piece(struct slice *slice, const struct piece *piece, uint32_t rows) {
    const uint8_t *bytes = (const uint8_t *)slice->bytes.ptr + piece->at;
    const struct block_ints *reference = NULL;
    if (piece->reference_bytes != 0) {
        const enum err_code code = block_decode_ints(bytes + piece->bytes, piece->reference_bytes,
                                                     rows, NULL, &slice->reference);
        if (code != ERR_OK) {
            return code;
        }
        reference = &slice->reference;
    }
    return block_decode_ints(bytes, piece->bytes, rows, reference, &slice->ints);
}

/* Values and states of a column over all rows of its timeline; false: it has none. */
static bool decode_column(struct slice *slice, const struct cut_timeline *t,
                          const struct piece *pieces, struct num *values, uint8_t *states) {
    struct cut *cut = slice->cut;
    uint32_t row = 0;
    bool any = false;
    memset(states, SLOT_ABSENT, t->rows);
    for (uint32_t i = 0; i < t->run_count; i++) {
        const struct cut_run *run = &cut->runs[t->first_run + i];
        if (pieces[i].bytes != 0 && decode_piece(slice, &pieces[i], run->rows) == ERR_OK) {
            put_rows(&slice->ints, values + row, states + row);
            any = true;
        } else if (pieces[i].bytes != 0) {
            struct err err;
            (void)err_set(&err, ERR_CORRUPT,
                          "damaged block of group %" PRIu32 ", segment %" PRIu32
                          ", run at offset %" PRIu32,
                          t->group, run->at.file, run->at.offset);
            cut_report(cut, &err);
        }
        row += run->rows;
    }
    return any;
}

/* Room for all columns of a series over the rows of its timeline. */
static void reserve_columns(struct slice *slice, uint32_t column_count, uint32_t rows) {
    const size_t columns = (size_t)column_count + 1;
    if (columns > slice->column_capacity) {
        slice->column_capacity = mem_grow(slice->column_capacity, columns);
        slice->columns =
            mem_resize(slice->columns, slice->column_capacity, sizeof(*slice->columns));
    }
    if (columns * rows > slice->capacity) {
        slice->capacity = mem_grow(slice->capacity, columns * rows);
        mem_free(slice->values);
        mem_free(slice->states);
        slice->values = mem_array(slice->capacity, sizeof(*slice->values));
        slice->states = mem_alloc(slice->capacity);
    }
}

/* With the partition's number of its layout; false when it cannot be written. */
static bool column_key_of(struct cut *cut, struct column_key *key, struct err *err) {
    if (key->layout == 0) {
        return true;
    }
    const struct hist_layout *layout = hist_layouts_get(cut->db->layouts, key->layout);
    key->layout = layout != NULL ? partition_writer_layout(cut->writer, layout) : 0;
    if (key->layout == 0) {
        (void)err_set(err, ERR_LIMIT, "too many layouts of histograms, or one that is lost");
    }
    return key->layout != 0;
}

static int by_key(const void *a, const void *b) {
    return column_key_cmp(((const struct partition_column *)a)->key,
                          ((const struct partition_column *)b)->key);
}

static bool any_present(const struct slice *slice, uint32_t columns, uint32_t rows, uint32_t row) {
    for (uint32_t k = 0; k < columns; k++) {
        if (slice->states[(size_t)k * rows + row] != SLOT_ABSENT) {
            return true;
        }
    }
    return false;
}

/* In a row whose histogram was not compared with the one that is now before it. */
static void forget_hint(const struct partition_column *column, struct num *value, uint8_t state) {
    if (state == SLOT_VALUE && column->key.kind == COLUMN_HINT &&
        num_double(*value) == HINT_NOT_RESET) {
        *value = num_of_i64(HINT_UNKNOWN);
    }
}

/* Takes out what is deleted of the series' columns; false: nothing is left. A histogram behind a deleted
 * sample was not compared with the one that is now before it. */
static bool erase(struct slice *slice, const struct tombstone *deleted,
                  const struct cut_timeline *t, uint32_t columns) {
    bool left = false;
    bool was_deleted = false;
    for (uint32_t row = 0; row < t->rows; row++) {
        if (!any_present(slice, columns, t->rows, row)) {
            continue;
        }
        const bool goes = tombstone_covers(deleted, t->ts[row]);
        for (uint32_t k = 0; k < columns; k++) {
            const size_t cell = (size_t)k * t->rows + row;
            if (goes) {
                slice->states[cell] = SLOT_ABSENT;
            } else if (was_deleted) {
                forget_hint(&slice->columns[k], &slice->values[cell], slice->states[cell]);
            }
        }
        was_deleted = goes;
        left |= !goes;
    }
    return left;
}

static bool has_histogram(const struct slice *slice, uint32_t rows, uint32_t columns,
                          uint32_t row) {
    for (uint32_t k = 0; k < columns; k++) {
        if (slice->columns[k].key.kind >= COLUMN_COUNT &&
            slice->states[(size_t)k * rows + row] != SLOT_ABSENT) {
            return true;
        }
    }
    return false;
}

static void report_doubt(struct slice *slice, struct cut_timeline *t) {
    struct err err;
    if (!t->is_reported) {
        (void)err_set(&err, ERR_CORRUPT,
                      "histograms of group %" PRIu32 " may lack a part, whose definition was lost",
                      t->group);
        cut_report(slice->cut, &err);
        t->is_reported = true;
    }
}

/* Takes out the histograms of rows that are in doubt. The one behind them was compared with one of them. */
static void leave_doubted(struct slice *slice, struct cut_timeline *t, uint32_t columns) {
    bool was_left = false;
    for (uint32_t row = 0; row < t->rows && t->doubted != NULL; row++) {
        if (!has_histogram(slice, t->rows, columns, row)) {
            continue;
        }
        const bool goes = (t->doubted[row / 64] >> row % 64 & 1) != 0;
        for (uint32_t k = 0; k < columns; k++) {
            const size_t cell = (size_t)k * t->rows + row;
            if (goes) {
                slice->states[cell] = SLOT_ABSENT;
            } else if (was_left) {
                forget_hint(&slice->columns[k], &slice->values[cell], slice->states[cell]);
            }
        }
        was_left = goes;
        if (goes) {
            report_doubt(slice, t);
        }
    }
}

static enum err_code write_series_of(struct slice *slice, size_t number, struct err *err) {
    struct cut *cut = slice->cut;
    const struct cut_series *s = &slice->series[number];
    const struct cut_extra *extra = cut_extra_of(cut, s);
    struct cut_timeline *t = &cut->timelines[cut_timeline_of(s)];
    uint32_t n = 0;
    if (extra->deleted != NULL) {
        const enum err_code code = cut_load_times(cut, t, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    reserve_columns(slice, extra->column_count, t->rows);
    for (uint32_t k = 0; k <= extra->column_count; k++) {
        struct column_key key = {0};
        struct num *values = slice->values + (size_t)n * t->rows;
        uint8_t *states = slice->states + (size_t)n * t->rows;
        const struct piece *pieces =
            slice->pieces + slice->first_piece[number] + (size_t)k * t->run_count;
        if (!decode_column(slice, t, pieces, values, states)) {
            continue;
        }
        if (k != 0) {
            key = cut->columns[extra->first_column + k - 1].key;
            if (!column_key_of(cut, &key, err)) {
                cut_report(cut, err);
                continue;
            }
        }
        slice->columns[n++] =
            (struct partition_column){.key = key, .values = values, .states = states};
    }
    leave_doubted(slice, t, n);
    if (n == 0 || (extra->deleted != NULL && !erase(slice, extra->deleted, t, n))) {
        return ERR_OK;
    }
    qsort(slice->columns, n, sizeof(*slice->columns), by_key);
    cut->writing = t;
    return partition_writer_series(cut->writer, cut_target(cut, s), cut_metric(s), t->number,
                                   slice->columns, n, err);
}

static enum err_code write_slice(struct slice *slice, struct err *err) {
    struct cut *cut = slice->cut;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < slice->count && code == ERR_OK; i++) {
        code = write_series_of(slice, i, err);
        if (code == ERR_OK && i % 64 == 0) {
            code = compactor_breathe(cut->c, &cut->since_ns, err);
        }
    }
    return code;
}

static struct block_ints new_ints(uint32_t rows) {
    const uint32_t capacity = block_decode_capacity(rows);
    return (struct block_ints){.m = mem_array(capacity, sizeof(int64_t)),
                               .stale = mem_alloc(capacity),
                               .rows = mem_array(capacity, sizeof(uint16_t))};
}

static void free_ints(struct block_ints *ints) {
    mem_free(ints->m);
    mem_free(ints->stale);
    mem_free(ints->rows);
}

/* Of a series' blocks, by their average over its timeline. */
static size_t average_bytes(const struct cut *cut, const struct cut_series *s) {
    return ((size_t)cut_extra_of(cut, s)->column_count + 1) *
           cut->timelines[cut_timeline_of(s)].slot_bytes;
}

/* How many series from first on are a slice. Neighbours are much alike, so the slice before tells by how much
 * their blocks are larger or smaller than the average. */
static size_t slice_count(const struct slice *slice, size_t first) {
    const struct cut *cut = slice->cut;
    size_t bytes = 0;
    size_t n = 0;
    while (first + n < cut->series_count && (n == 0 || bytes < cut->memory_bytes)) {
        const struct cut_series *s = &cut->series[first + n];
        const size_t columns = (size_t)cut_extra_of(cut, s)->column_count + 1;
        bytes += columns * cut->timelines[cut_timeline_of(s)].run_count * sizeof(struct piece) +
                 average_bytes(cut, s) * slice->blocks_per_mille / 1000 + 2 * sizeof(uint32_t);
        n++;
    }
    return n;
}

static void learn_size(struct slice *slice) {
    enum { LEAST = 250, MOST = 8000 };
    const size_t found = slice->bytes.len * 1000 / slice->expected_bytes;
    slice->blocks_per_mille = found < LEAST ? LEAST : found > MOST ? MOST : found;
}

static enum err_code cut_slice(struct slice *slice, size_t first, size_t count, struct err *err) {
    struct cut *cut = slice->cut;
    size_t pieces = 0;
    slice->series = cut->series + first;
    slice->count = count;
    slice->order = mem_array(count, sizeof(*slice->order));
    slice->first_piece = mem_array(count, sizeof(*slice->first_piece));
    for (uint32_t i = 0; i < count; i++) {
        slice->order[i] = i;
        slice->first_piece[i] = (uint32_t)pieces;
        pieces += ((size_t)cut_extra_of(cut, &slice->series[i])->column_count + 1) *
                  cut->timelines[cut_timeline_of(&slice->series[i])].run_count;
    }
    slice->expected_bytes = 1;
    for (size_t i = 0; i < count; i++) {
        slice->expected_bytes += average_bytes(cut, &slice->series[i]);
    }
    slice->pieces = mem_zalloc((pieces + 1) * sizeof(*slice->pieces));
    slice->piece_count = pieces;
    buf_clear(&slice->bytes);
    qsort_r(slice->order, count, sizeof(*slice->order), by_place, slice);
    enum err_code code = fill_slice(slice, err);
    slice->is_written = code == ERR_OK;
    if (code == ERR_OK) {
        learn_size(slice);
    }
    code = code != ERR_OK ? code : write_slice(slice, err);
    mem_free(slice->order);
    mem_free(slice->first_piece);
    mem_free(slice->pieces);
    return code;
}

enum err_code cut_write_series(struct cut *cut, struct err *err) {
    enum { SLICE_BYTES_MAX = 1 << 30 };
    struct slice slice = {.cut = cut,
                          .ints = new_ints(BLOCK_ROWS_MAX),
                          .reference = new_ints(BLOCK_ROWS_MAX),
                          .most_bytes = cut->memory_bytes + cut->memory_bytes / 4,
                          .blocks_per_mille = 1000};
    enum err_code code = ERR_OK;
    buf_init(&slice.bytes, SLICE_BYTES_MAX);
    /* Once, for growing would take more. It is virtual until it is written to. */
    (void)!buf_reserve(&slice.bytes, slice.most_bytes);
    for (size_t first = 0; first < cut->series_count && code == ERR_OK;) {
        size_t count = slice_count(&slice, first);
        while ((code = cut_slice(&slice, first, count, err)) == ERR_LIMIT && count > 1 &&
               !slice.is_written) {
            count /= 2; /* the blocks are larger than most */
        }
        first += count;
        if (code == ERR_OK) {
            cut_release_series(cut, first);
        }
    }
    buf_release(&slice.bytes);
    mem_free(slice.values);
    mem_free(slice.states);
    mem_free(slice.columns);
    free_ints(&slice.ints);
    free_ints(&slice.reference);
    return code;
}
