/* A series of histograms, or with start timestamps: its hidden columns, put together again.
 *
 * Part by part (a sealed run, or the open window): decode the columns, assemble the rows'
 * histograms, and note per row what the series has there. In the end the rows without a sample are
 * taken out. */
#include <string.h>

#include "base/check.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/head_read.h"

/* What the series has in each row. */
struct by_row {
    double *values;
    struct histogram **histograms; /* NULL while there is none */
    int64_t *start_ts;             /* NULL while none is known */
    bool was_left_out;             /* a histogram behind the newest that was taken */
};

static enum err_code reserve_buffer(struct group_read *r, struct read_buffer *b) {
    if (b->values == NULL) {
        const uint32_t capacity = block_decode_capacity(r->rows_max);
        b->values = arena_try_alloc(r->read->arena, capacity, sizeof(*b->values));
        b->rows = arena_try_alloc(r->read->arena, capacity, sizeof(*b->rows));
    }
    return b->values != NULL && b->rows != NULL ? ERR_OK : read_over_budget(r);
}

/* Values of the part's rows; rows of out count from the part's first. */
static enum err_code decode_sealed(struct group_read *r, const struct read_part *p, uint32_t slot,
                                   struct read_buffer *b, struct hist_column *out) {
    struct block_column c = {.values = b->values, .rows = r->column.rows};
    const enum err_code code = segment_run_column(p->run, slot, &c, r->err);
    if (code != ERR_OK) {
        return code;
    }
    out->count = 0;
    if (c.dense) {
        const uint32_t end = c.count < p->to ? c.count : p->to;
        out->rows = NULL;
        out->values = b->values + (end > p->from ? p->from : 0);
        out->count = end > p->from ? end - p->from : 0;
        return ERR_OK;
    }
    for (uint32_t i = 0; i < c.count; i++) {
        if (c.rows[i] >= p->from && c.rows[i] < p->to) {
            b->values[out->count] = c.values[i];
            b->rows[out->count++] = c.rows[i] - p->from;
        }
    }
    out->values = b->values;
    out->rows = b->rows;
    return ERR_OK;
}

static void decode_open(const struct read_part *p, const struct open_slot *slot,
                        struct read_buffer *b, struct hist_column *out) {
    struct open_chunk_iter it;
    struct open_chunk_span span;
    bool more = false;
    const uint32_t rows = slot->rows < p->to ? slot->rows : p->to;
    out->count = 0;
    enum err_code code = open_chunk_begin(&it, slot->bytes, slot->len, slot->last, rows);
    while (code == ERR_OK && (code = open_chunk_next(&it, &span, &more)) == ERR_OK && more) {
        if (span.state == SLOT_ABSENT || span.end <= p->from) {
            continue;
        }
        const double v = span.state == SLOT_STALE ? f64_stale() : num_double(span.value);
        for (uint32_t row = span.begin < p->from ? p->from : span.begin; row < span.end; row++) {
            b->values[out->count] = v;
            b->rows[out->count++] = row - p->from;
        }
    }
    ASSERT(code == ERR_OK); /* memory that we wrote */
    out->values = b->values;
    out->rows = b->rows;
}

static enum err_code decode(struct group_read *r, const struct read_part *p, uint32_t slot,
                            size_t open, size_t buffer, struct hist_column *out) {
    enum err_code code = reserve_buffer(r, &r->buffers[buffer]);
    if (code == ERR_OK && p->run != NULL) {
        code = decode_sealed(r, p, slot, &r->buffers[buffer], out);
    } else if (code == ERR_OK) {
        decode_open(p, &r->open[open], &r->buffers[buffer], out);
    }
    return code;
}

static void take_floats(struct group_read *r, const struct read_part *p,
                        const struct hist_column *c, struct by_row *to,
                        struct storage_samples *out) {
    for (uint32_t i = 0; i < c->count; i++) {
        const size_t row = p->at + (c->rows != NULL ? c->rows[i] : i);
        to->values[row] = c->values[i];
        out->has_stale |= f64_is_stale(c->values[i]);
        read_mark(r, row);
    }
}

static enum err_code take_starts(struct group_read *r, const struct read_part *p,
                                 const struct hist_column *c, struct by_row *to) {
    if (c->count != 0 && to->start_ts == NULL) {
        to->start_ts = arena_try_alloc(r->read->arena, r->rows, sizeof(*to->start_ts));
        if (to->start_ts == NULL) {
            return read_over_budget(r);
        }
        memset(to->start_ts, 0, r->rows * sizeof(*to->start_ts));
    }
    for (uint32_t i = 0; i < c->count; i++) {
        const double v = c->values[i];
        const bool whole = v > -0x1p63 && v < 0x1p63;
        to->start_ts[p->at + (c->rows != NULL ? c->rows[i] : i)] = whole ? (int64_t)v : 0;
    }
    return ERR_OK;
}

/* Marks the rows of the part in which a slot without a definition has something. */
static enum err_code find_doubted(struct group_read *r, struct read_part *p, size_t open) {
    const size_t words = (p->to - p->from + (size_t)63) / 64;
    if (r->lost_count == 0 || p->doubted != NULL) {
        return ERR_OK;
    }
    uint64_t *marks = arena_try_alloc(r->read->arena, words, sizeof(*marks));
    if (marks == NULL) {
        return read_over_budget(r);
    }
    memset(marks, 0, words * sizeof(*marks));
    for (size_t i = 0; i < r->lost_count; i++) {
        struct hist_column c = {.count = 0};
        const enum err_code code = decode(r, p, r->lost[i], open + i, 0, &c);
        if (code == ERR_CORRUPT) {
            memset(marks, 0xff, words * sizeof(*marks)); /* it may have been anywhere */
        } else if (code != ERR_OK) {
            return code;
        }
        for (uint32_t k = 0; k < c.count && code == ERR_OK; k++) {
            const uint32_t row = c.rows != NULL ? c.rows[k] : k;
            marks[row / 64] |= UINT64_C(1) << row % 64;
        }
    }
    p->doubted = marks;
    return ERR_OK;
}

static bool is_doubted(const struct read_part *p, uint32_t row) {
    return p->doubted != NULL && (p->doubted[row / 64] >> row % 64 & 1) != 0;
}

static enum err_code take_histograms(struct group_read *r, const struct read_part *p, size_t n,
                                     struct by_row *to, struct storage_samples *out) {
    struct arena *arena = r->read->arena;
    if (n == 0) {
        return ERR_OK;
    }
    if (to->histograms == NULL) {
        to->histograms = arena_try_alloc(arena, r->rows, sizeof(struct histogram *));
        if (to->histograms == NULL) {
            return read_over_budget(r);
        }
        memset(to->histograms, 0, r->rows * sizeof(struct histogram *));
    }
    const uint32_t rows = p->to - p->from;
    struct histogram **made = to->histograms + p->at;
    const enum err_code code = hist_assemble(arena, r->hist, n, rows, made, r->err);
    for (uint32_t row = 0; row < rows && code == ERR_OK; row++) {
        if (made[row] == NULL) {
            continue;
        }
        if (is_doubted(p, row)) {
            made[row] = NULL;
            to->was_left_out = true;
            continue;
        }
        if (to->was_left_out && made[row]->hint == HINT_NOT_RESET) {
            made[row]->hint = HINT_UNKNOWN; /* it was compared with one that is left out */
        }
        to->was_left_out = false;
        const bool ends = hist_is_stale(made[row]);
        to->values[p->at + row] = ends ? f64_stale() : 0;
        out->has_stale |= ends;
        read_mark(r, p->at + row);
    }
    return code;
}

/* The columns of one layout; those of a layout that no row has are not decoded. */
static enum err_code decode_layout(struct group_read *r, const struct read_part *p, size_t first,
                                   size_t end, size_t open, size_t *io_count) {
    const struct hist_layout *layout =
        hist_layouts_get(r->read->db->layouts, r->columns[first].key.layout);
    for (size_t i = first; i < end && layout != NULL; i++) {
        struct hist_column *c = &r->hist[*io_count];
        *c = (struct hist_column){.key = r->columns[i].key, .layout = layout};
        const enum err_code code = decode(r, p, r->columns[i].slot, open + i, *io_count, c);
        if (code != ERR_OK || (i == first && c->count == 0)) {
            return code;
        }
        *io_count += c->count != 0 ? 1 : 0;
    }
    return ERR_OK;
}

static enum err_code read_part(struct group_read *r, struct read_part *p, uint32_t slot,
                               size_t wanted, size_t open, struct by_row *to,
                               struct storage_samples *out) {
    const struct read_bundle *b = &r->bundles[wanted];
    const size_t end = (size_t)b->first + b->count;
    struct hist_column column;
    size_t n = 0;
    enum err_code code = find_doubted(r, p, open + r->column_count);
    code = code != ERR_OK ? code : decode(r, p, slot, wanted, 0, &column);
    if (code == ERR_OK) {
        take_floats(r, p, &column, to, out);
    }
    for (size_t i = b->first; i < end && code == ERR_OK;) {
        if (r->columns[i].key.kind == COLUMN_START) {
            code = decode(r, p, r->columns[i].slot, open + i, 0, &column);
            if (code == ERR_OK) {
                code = take_starts(r, p, &column, to);
            }
            i++;
            continue;
        }
        size_t behind = i + 1;
        while (behind < end && r->columns[behind].key.layout == r->columns[i].key.layout) {
            behind++;
        }
        code = decode_layout(r, p, i, behind, open, &n);
        i = behind;
    }
    return code == ERR_OK ? take_histograms(r, p, n, to, out) : code;
}

/* Rows without a sample go away. */
static void compact(const struct group_read *r, struct by_row *rows, struct storage_samples *out) {
    size_t n = 0;
    for (size_t row = 0; row < r->rows; row++) {
        if ((r->present[row / 64] >> row % 64 & 1) == 0) {
            continue;
        }
        rows->values[n] = rows->values[row];
        if (rows->histograms != NULL) {
            rows->histograms[n] = rows->histograms[row];
        }
        if (rows->start_ts != NULL) {
            rows->start_ts[n] = rows->start_ts[row];
        }
        n++;
    }
    out->values = rows->values;
    out->histograms = (const struct histogram *const *)rows->histograms;
    out->start_ts = rows->start_ts;
    out->count = n;
}

enum err_code read_bundle(struct group_read *r, uint32_t slot, size_t wanted, size_t wanted_count,
                          struct storage_samples *out) {
    *out = (struct storage_samples){0};
    struct by_row rows = {.values = arena_try_alloc(r->read->arena, r->rows, sizeof(*rows.values))};
    if (rows.values == NULL) {
        return read_over_budget(r);
    }
    memset(r->present, 0, (r->rows + 63) / 64 * sizeof(*r->present));
    for (size_t i = 0; i < r->part_count; i++) {
        const enum err_code code =
            read_part(r, &r->parts[i], slot, wanted, wanted_count, &rows, out);
        if (code != ERR_OK) {
            return code;
        }
    }
    compact(r, &rows, out);
    return read_choose_column(r, out);
}
