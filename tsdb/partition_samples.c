/* Blocks to samples: floats straight to the array that is handed out, histograms by way of
 * hist_columns.h. */
#include "tsdb/partition_samples.h"

#include <string.h>

#include "base/check.h"

struct sampler {
    struct sample_rows *rows;
    struct partition_page *page;
    const struct page_series *series;
    struct sample_scratch *scratch;
    struct arena *arena;
    struct err *err;
};

struct decoded { /* a column in the range */
    double *values;
    size_t count;
    const uint64_t *present; /* bits by row of sample_rows; NULL: all rows of the range */
    bool has_stale;
};

static enum err_code over_budget(struct sampler *s) {
    return err_set(s->err, ERR_LIMIT, "query needs more memory than its budget to read samples");
}

static size_t word_count(const struct sample_rows *r) {
    return (size_t)r->rows / 64 + 1;
}

static enum err_code prepare(struct sampler *s) {
    struct sample_scratch *scratch = s->scratch;
    const uint32_t capacity = block_decode_capacity(BLOCK_ROWS_MAX);
    const size_t words = word_count(s->rows);
    if (scratch->column.values == NULL) {
        scratch->column.values =
            arena_try_alloc(s->arena, capacity, sizeof(*scratch->column.values));
        scratch->column.rows = arena_try_alloc(s->arena, capacity, sizeof(*scratch->column.rows));
        if (scratch->column.values == NULL || scratch->column.rows == NULL) {
            scratch->column.values = NULL;
            return over_budget(s);
        }
    }
    if (scratch->words < words) {
        scratch->present = arena_try_alloc(s->arena, words, sizeof(*scratch->present));
        if (scratch->present == NULL) {
            return over_budget(s);
        }
        scratch->words = words;
    }
    return ERR_OK;
}

/* ---- times ---- */

/* The times of the marked rows, shared with series that have the same ones. */
static enum err_code shared_times(struct sampler *s, const uint64_t *present, size_t count,
                                  const int64_t **out) {
    struct sample_rows *r = s->rows;
    const size_t words = word_count(r);
    for (const struct row_pattern *p = r->patterns; p != NULL; p = p->next) {
        if (memcmp(p->present, present, words * sizeof(*present)) == 0) {
            *out = p->ts;
            return ERR_OK;
        }
    }
    struct row_pattern *p = arena_try_alloc(s->arena, 1, sizeof(*p));
    uint64_t *copy = arena_try_alloc(s->arena, words, sizeof(*copy));
    int64_t *ts = arena_try_alloc(s->arena, count + 1, sizeof(*ts));
    if (p == NULL || copy == NULL || ts == NULL) {
        return over_budget(s);
    }
    memcpy(copy, present, words * sizeof(*copy));
    size_t n = 0;
    for (size_t w = 0; w < words; w++) {
        for (uint64_t word = present[w]; word != 0; word &= word - 1) {
            ts[n++] = r->ts[w * 64 + (size_t)__builtin_ctzll(word)];
        }
    }
    ASSERT(n == count);
    *p = (struct row_pattern){.present = copy, .ts = ts, .next = r->patterns};
    r->patterns = p;
    *out = ts;
    return ERR_OK;
}

/* ---- one column ---- */

struct filling { /* a column while its parts are decoded */
    double *values;
    size_t count;      /* values kept */
    uint32_t row;      /* rows of the parts before */
    uint64_t *present; /* NULL: all rows so far are there, values[i] is of row i */
    bool has_stale;
};

/* From now on only rows in the range are kept, and marked. */
static void begin_gaps(struct sampler *s, struct filling *f) {
    const struct sample_rows *r = s->rows;
    f->present = s->scratch->present;
    memset(f->present, 0, word_count(r) * sizeof(*f->present));
    const uint32_t from = r->from < f->row ? r->from : f->row;
    const uint32_t to = r->to < f->row ? r->to : f->row;
    for (uint32_t row = from; row < to; row++) {
        f->present[row / 64] |= UINT64_C(1) << row % 64;
    }
    f->values += from;
    f->count = to > from ? to - from : 0;
}

static void keep(const struct sample_rows *r, struct filling *f, const struct block_column *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        const uint32_t row = f->row + (c->dense ? i : c->rows[i]);
        if (row >= r->from && row < r->to) {
            f->values[f->count++] = c->values[i];
            f->present[row / 64] |= UINT64_C(1) << row % 64;
        }
    }
}

/* values: sample_rows_room elements, or NULL, which is an error. */
static enum err_code decode_column(struct sampler *s, uint32_t column, double *values,
                                   struct decoded *out) {
    const struct sample_rows *r = s->rows;
    struct filling f = {.values = values};
    if (f.values == NULL) {
        return over_budget(s);
    }
    for (uint32_t i = 0; i < r->part_count; f.row += r->part_rows[i++]) {
        const uint32_t rows = r->part_rows[i];
        struct block_column c = s->scratch->column;
        if (f.present == NULL) {
            c.values = f.values + f.row;
        }
        const enum err_code code =
            partition_page_column(s->page, s->series, column, r->first_block + i, rows, &c, s->err);
        if (code != ERR_OK) {
            return code;
        }
        f.has_stale |= c.has_stale;
        if (f.present == NULL && !(c.dense && c.count == rows)) {
            begin_gaps(s, &f);
        }
        if (f.present != NULL) {
            keep(r, &f, &c);
        }
    }
    *out = (struct decoded){.values = f.present == NULL ? f.values + r->from : f.values,
                            .count = f.present == NULL ? r->to - r->from : f.count,
                            .present = f.present,
                            .has_stale = f.has_stale};
    return ERR_OK;
}

static enum err_code read_float(struct sampler *s, struct sample_room *room,
                                struct storage_samples *out) {
    struct decoded d;
    double *to = sample_room_begin(room, s->arena, sample_rows_room(s->rows));
    enum err_code code = decode_column(s, 0, to, &d);
    if (code != ERR_OK || d.count == 0) {
        return code;
    }
    sample_room_end(room, d.values + d.count);
    out->values = d.values;
    out->has_stale = d.has_stale;
    out->count = d.count;
    if (d.present == NULL) {
        out->ts = s->rows->ts + s->rows->from;
        return ERR_OK;
    }
    code = shared_times(s, d.present, d.count, &out->ts);
    if (code != ERR_OK) {
        out->count = 0;
    }
    return code;
}

/* ---- histograms ---- */

/* A column with the rows of the range, counted from its start. */
static enum err_code decode_rows(struct sampler *s, uint32_t column, struct arena *scratch,
                                 struct hist_column *out, bool *io_stale) {
    struct decoded d;
    double *to = arena_try_alloc(scratch, sample_rows_room(s->rows), sizeof(*to));
    enum err_code code = decode_column(s, column, to, &d);
    if (code != ERR_OK) {
        return code;
    }
    const struct column_key key =
        s->series->keys != NULL ? s->series->keys[column] : (struct column_key){0};
    *out = (struct hist_column){.key = key, .values = d.values, .count = (uint32_t)d.count};
    *io_stale |= d.has_stale;
    if (key.layout != 0) {
        code = partition_layout(s->page->p, key.layout, &out->layout, s->err);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (d.present == NULL) {
        return ERR_OK;
    }
    uint32_t *rows = arena_try_alloc(scratch, d.count + 1, sizeof(*rows));
    if (rows == NULL) {
        return over_budget(s);
    }
    size_t n = 0;
    for (size_t w = 0; w < word_count(s->rows); w++) {
        for (uint64_t word = d.present[w]; word != 0; word &= word - 1) {
            rows[n++] = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(word) - s->rows->from;
        }
    }
    out->rows = rows;
    return ERR_OK;
}

static const struct hist_column *column_of(const struct hist_column *columns, size_t n,
                                           enum column_kind kind) {
    for (size_t i = 0; i < n; i++) {
        if (columns[i].key.kind == kind) {
            return &columns[i];
        }
    }
    return NULL;
}

static bool column_has(const struct hist_column *c, uint32_t *at, uint32_t row, double *out) {
    if (c == NULL) {
        return false;
    }
    while (c->rows != NULL && *at < c->count && c->rows[*at] < row) {
        ++*at;
    }
    *at = c->rows == NULL ? row : *at;
    if (*at >= c->count || (c->rows != NULL && c->rows[*at] != row)) {
        return false;
    }
    *out = c->values[*at];
    return true;
}

struct mixed { /* what a sample of either kind may have */
    double *values;
    const struct histogram **histograms;
    int64_t *start_ts;
    uint64_t *present;
    size_t count;
};

static bool mixed_alloc(struct sampler *s, struct mixed *m, bool has_starts) {
    const size_t rows = s->rows->to - s->rows->from;
    *m = (struct mixed){.present = s->scratch->present};
    m->values = arena_try_alloc(s->arena, rows, sizeof(*m->values));
    m->histograms = arena_try_alloc(s->arena, rows, sizeof(struct histogram *));
    m->start_ts = has_starts ? arena_try_alloc(s->arena, rows, sizeof(*m->start_ts)) : NULL;
    memset(m->present, 0, word_count(s->rows) * sizeof(*m->present));
    return m->values != NULL && m->histograms != NULL && (!has_starts || m->start_ts != NULL);
}

static bool start_of(double v, int64_t *out) {
    if (!(v > -9e15 && v < 9e15)) {
        return false;
    }
    *out = (int64_t)v;
    return true;
}

static enum err_code mix(struct sampler *s, const struct hist_column *columns, size_t n,
                         struct histogram *const *histograms, struct mixed *m) {
    const struct hist_column *floats = column_of(columns, n, COLUMN_FLOAT);
    const struct hist_column *starts = column_of(columns, n, COLUMN_START);
    uint32_t float_at = 0;
    uint32_t start_at = 0;
    if (!mixed_alloc(s, m, starts != NULL)) {
        return over_budget(s);
    }
    for (uint32_t row = 0; row < s->rows->to - s->rows->from; row++) {
        double v = 0;
        double start;
        const struct histogram *h = histograms != NULL ? histograms[row] : NULL;
        if (!column_has(floats, &float_at, row, &v) && h == NULL) {
            continue;
        }
        const uint32_t bit = row + s->rows->from;
        m->present[bit / 64] |= UINT64_C(1) << bit % 64;
        m->values[m->count] = h != NULL && hist_is_stale(h) ? f64_stale() : v;
        m->histograms[m->count] = h;
        if (m->start_ts != NULL) {
            m->start_ts[m->count] = 0;
            if (column_has(starts, &start_at, row, &start) &&
                !start_of(start, &m->start_ts[m->count])) {
                return err_set(s->err, ERR_CORRUPT, "partition: bad start timestamp");
            }
        }
        m->count++;
    }
    return ERR_OK;
}

static bool has_histograms(const struct hist_column *columns, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (columns[i].key.kind == COLUMN_COUNT && columns[i].count != 0) {
            return true;
        }
    }
    return false;
}

static enum err_code read_mixed(struct sampler *s, struct arena *scratch,
                                struct storage_samples *out) {
    const uint32_t n = s->series->column_count;
    struct hist_column *columns = arena_try_alloc(scratch, n, sizeof(*columns));
    struct histogram **histograms = NULL;
    struct mixed m;
    if (columns == NULL) {
        return over_budget(s);
    }
    bool stale = false;
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        code = decode_rows(s, i, scratch, &columns[i], &stale);
    }
    const bool any = code == ERR_OK && has_histograms(columns, n);
    if (any) {
        const uint32_t rows = s->rows->to - s->rows->from;
        histograms = arena_try_alloc(scratch, rows, sizeof(struct histogram *));
        code = histograms == NULL ? over_budget(s)
                                  : hist_assemble(s->arena, columns, n, rows, histograms, s->err);
    }
    code = code == ERR_OK ? mix(s, columns, n, histograms, &m) : code;
    if (code != ERR_OK || m.count == 0) {
        return code;
    }
    code = shared_times(s, m.present, m.count, &out->ts);
    if (code == ERR_OK) {
        out->values = m.values;
        out->count = m.count;
        out->has_stale = stale;
        out->histograms = any ? m.histograms : NULL;
        out->start_ts = m.start_ts;
    }
    return code;
}

enum err_code sample_rows_read(struct sample_rows *rows, struct partition_page *page,
                               const struct page_series *series, struct sample_scratch *scratch,
                               struct arena *arena, struct sample_room *room,
                               struct storage_samples *out, struct err *err) {
    struct sampler s = {.rows = rows,
                        .page = page,
                        .series = series,
                        .scratch = scratch,
                        .arena = arena,
                        .err = err};
    enum err_code code = prepare(&s);
    if (code != ERR_OK) {
        return code;
    }
    if (series->keys == NULL) {
        return read_float(&s, room, out);
    }
    struct arena columns;
    arena_init(&columns, arena->budget_bytes);
    code = read_mixed(&s, &columns, out);
    arena_release(&columns);
    if (code == ERR_CORRUPT) {
        partition_page_report(page->p, page->number, err);
    }
    return code;
}
