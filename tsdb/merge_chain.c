/* Merging windows that follow each other: blocks are copied, times are chained. */
#include <string.h>

#include "base/histogram.h"
#include "base/mem.h"
#include "tsdb/chunk/block.h"
#include "tsdb/compactor_merge.h"

enum { JOIN_ROWS = PARTITION_BLOCK_ROWS / 2 };

/* ---- in a row ---- */

static struct merge_chain *add_chain(struct merge *m) {
    if (m->chain_count == m->chain_capacity) {
        m->chain_capacity = (uint32_t)mem_grow(m->chain_capacity, m->chain_count + (size_t)1);
        m->chains = mem_resize(m->chains, m->chain_capacity, sizeof(*m->chains));
    }
    struct merge_chain *chain = &m->chains[m->chain_count++];
    *chain = (struct merge_chain){.timelines = mem_array(m->count, sizeof(uint32_t))};
    return chain;
}

/* Appends the blocks of an input's timeline; small ones of the input are joined. */
static void add_blocks(struct merge_chain *chain, uint32_t input,
                       const struct partition_timeline *t) {
    chain->blocks = mem_resize(chain->blocks, chain->block_count + (size_t)t->block_count + 1,
                               sizeof(*chain->blocks));
    uint32_t row = chain->rows;
    struct merge_block *last = NULL;
    for (uint32_t i = 0; i < t->block_count; i++) {
        const uint32_t rows = t->block_rows[i];
        if (last != NULL && last->rows + rows <= PARTITION_BLOCK_ROWS &&
            (last->rows < JOIN_ROWS || rows < JOIN_ROWS)) {
            last->rows += rows;
            last->count++;
        } else {
            last = &chain->blocks[chain->block_count++];
            *last = (struct merge_block){row, rows, input, i, 1};
        }
        row += rows;
    }
    chain->rows = row;
}

static enum err_code write_chain(struct merge *m, struct merge_chain *chain, struct err *err) {
    struct arena arena;
    enum err_code code = ERR_OK;
    int64_t *ts = NULL;
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < m->count && code == ERR_OK; i++) {
        struct partition_timeline t;
        const uint32_t row = chain->rows;
        if (chain->timelines[i] == MERGE_NONE) {
            continue;
        }
        code = partition_timeline(m->inputs[i].p, chain->timelines[i], &arena, &t, err);
        if (code == ERR_OK) {
            add_blocks(chain, i, &t);
            ts = mem_resize(ts, chain->rows, sizeof(*ts));
            memcpy(ts + row, t.ts, t.rows * sizeof(*ts));
        }
    }
    if (code == ERR_OK) {
        uint32_t *rows = mem_array(chain->block_count + (size_t)1, sizeof(*rows));
        for (uint32_t i = 0; i < chain->block_count; i++) {
            rows[i] = chain->blocks[i].rows;
        }
        code = partition_writer_timeline(m->writer, ts, chain->rows, rows, chain->block_count,
                                         &chain->number, err);
        mem_free(rows);
    }
    mem_free(ts);
    arena_release(&arena);
    return code;
}

/* The chain for the timelines of a series in some of the inputs. */
static enum err_code chain_for(struct merge *m, const uint32_t *which, uint32_t n,
                               struct merge_chain **out, struct err *err) {
    const struct merge_input *first = &m->inputs[which[0]];
    const uint32_t known = first->chain_of[first->series.timeline];
    bool fits = known != MERGE_NONE;
    for (uint32_t i = 0; i < n && fits; i++) {
        fits = m->chains[known].timelines[which[i]] == m->inputs[which[i]].series.timeline;
    }
    if (fits) {
        *out = &m->chains[known];
        return ERR_OK;
    }
    const uint32_t number = m->chain_count;
    struct merge_chain *chain = add_chain(m);
    for (uint32_t i = 0; i < m->count; i++) {
        chain->timelines[i] = known != MERGE_NONE ? m->chains[known].timelines[i] : MERGE_NONE;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct merge_input *in = &m->inputs[which[i]];
        chain->timelines[which[i]] = in->series.timeline;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        if (chain->timelines[i] != MERGE_NONE) {
            m->inputs[i].chain_of[chain->timelines[i]] = number;
        }
    }
    *out = chain;
    return write_chain(m, chain, err);
}

/* One block of the output from those of the input that it joins; decode: not as it is. */
static enum err_code fill_block(struct merge *m, struct merge_input *in, uint32_t column,
                                const struct merge_chain *chain, uint32_t number, bool decode,
                                struct row_column *to, struct err *err) {
    const struct merge_block *b = &chain->blocks[number];
    const struct partition_bytes *from =
        &in->series.blocks[(size_t)column * in->series.block_count + b->first];
    bool any = false;
    for (uint32_t i = 0; i < b->count; i++) {
        any |= from[i].n != 0;
    }
    if (!any) {
        return ERR_OK;
    }
    if (b->count == 1 && !decode && block_reference(from->ptr, from->n) == 0) {
        to->blocks[number] = (struct partition_block){.bytes = from->ptr, .n = from->n};
        return ERR_OK;
    }
    enum err_code code = merge_start_column(m, to, chain->rows, err);
    uint32_t row = b->row;
    struct arena arena;
    struct partition_timeline t;
    arena_init(&arena, 0);
    if (code == ERR_OK && b->count > 1) {
        code = partition_timeline(in->p, in->series.timeline, &arena, &t, err);
    }
    for (uint32_t i = 0; i < b->count && code == ERR_OK; i++) {
        const uint32_t rows = b->count == 1 ? b->rows : t.block_rows[b->first + i];
        if (from[i].n != 0) {
            code = partition_cursor_decode(in->cursor, column, b->first + i, to->values + row,
                                           to->states + row, err);
            if (code == ERR_CORRUPT) {
                merge_report(m, err);
                memset(to->states + row, SLOT_ABSENT, rows);
                code = ERR_OK;
            }
        }
        row += rows;
    }
    arena_release(&arena);
    to->blocks[number].encode = code == ERR_OK;
    return code;
}

/* In the block there is the column's first hint behind another input; true: it was found. What is before it
 * now may not be what it was compared with: late samples have places of their own. */
static bool forget_first_hint(struct row_column *column, const struct merge_block *b) {
    for (uint32_t row = b->row; row < b->row + b->rows; row++) {
        if (column->states[row] == SLOT_VALUE) {
            if (num_double(column->values[row]) == HINT_NOT_RESET) {
                column->values[row] = num_of_i64(HINT_UNKNOWN);
            }
            return true;
        }
    }
    return false;
}

/* is_first: nothing of the series is before the input. */
static enum err_code fill_columns(struct merge *m, const struct merge_chain *chain,
                                  struct merge_input *in, uint32_t input, bool is_first,
                                  const struct column_list *list, struct row_column *columns,
                                  struct err *err) {
    for (uint32_t k = 0; k < in->series.column_count; k++) {
        const uint32_t to = merge_column_of(m, in, in->series.keys[k], list);
        bool forgets = !is_first && in->series.keys[k].kind == COLUMN_HINT;
        for (uint32_t b = 0; b < chain->block_count && to != MERGE_NONE; b++) {
            if (chain->blocks[b].input != input) {
                continue;
            }
            struct row_column *column = &columns[to];
            const enum err_code code = fill_block(m, in, k, chain, b, forgets, column, err);
            if (code != ERR_OK) {
                return code;
            }
            if (forgets && column->blocks[b].encode) {
                forgets = !forget_first_hint(column, &chain->blocks[b]);
            }
        }
    }
    return ERR_OK;
}

static enum err_code list_columns(struct merge *m, const uint32_t *which, uint32_t n,
                                  struct column_list *list) {
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += m->inputs[which[i]].series.column_count;
    }
    list->count = 0;
    list->keys = arena_alloc(&m->arena, (total + 1) * sizeof(*list->keys));
    for (uint32_t i = 0; i < n; i++) {
        struct merge_input *in = &m->inputs[which[i]];
        merge_add_keys(m, in, in->series.keys, in->series.column_count, list);
    }
    list->count = merge_unique_keys(list->keys, list->count);
    return ERR_OK;
}

enum err_code merge_in_row(struct merge *m, const uint32_t *which, uint32_t n, struct err *err) {
    struct merge_chain *chain = NULL;
    struct column_list list;
    enum err_code code = chain_for(m, which, n, &chain, err);
    code = code != ERR_OK ? code : list_columns(m, which, n, &list);
    if (code != ERR_OK) {
        return code;
    }
    struct row_column *columns =
        arena_zalloc(&m->arena, (list.count + (size_t)1) * sizeof(*columns));
    for (uint32_t i = 0; i < list.count; i++) {
        columns[i].blocks =
            arena_zalloc(&m->arena, (chain->block_count + (size_t)1) * sizeof(*columns->blocks));
    }
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        code = fill_columns(m, chain, &m->inputs[which[i]], which[i], i == 0, &list, columns, err);
    }
    if (code == ERR_OK && list.count != 0) {
        code =
            merge_write_columns(m, &m->inputs[which[0]].series, chain->number, &list, columns, err);
    }
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        code = merge_step(m, &m->inputs[which[i]], err);
    }
    return code;
}
