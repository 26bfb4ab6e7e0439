/* Merging places of a series that have times in common, or of which something is deleted: all is
 * decoded, and the rows that count are written anew. */
#include <string.h>

#include "base/histogram.h"
#include "base/mem.h"
#include "tsdb/compactor_merge.h"

/* ---- overlapping ---- */

struct place { /* a series of one input, decoded */
    struct place *next;
    struct merge_input *input;
    struct partition_timeline times;
    uint32_t column_count;
    struct column_key *keys;
    struct num *values; /* [column * rows + row] */
    uint8_t *states;
    uint32_t at; /* the row that is looked at */
};

static enum err_code decode_place(struct merge *m, struct merge_input *in, struct place **out,
                                  struct err *err) {
    const struct partition_series *s = &in->series;
    struct place *p = arena_zalloc(&m->arena, sizeof(*p));
    enum err_code code = partition_timeline(in->p, s->timeline, &m->arena, &p->times, err);
    if (code != ERR_OK) {
        return code;
    }
    const size_t cells = (size_t)s->column_count * p->times.rows;
    p->input = in;
    p->column_count = s->column_count;
    p->keys = arena_try_alloc(&m->arena, s->column_count, sizeof(*p->keys));
    p->values = arena_try_alloc(&m->arena, cells, sizeof(*p->values));
    p->states = arena_try_alloc(&m->arena, cells, 1);
    if (p->keys == NULL || p->values == NULL || p->states == NULL) {
        return err_set(err, ERR_LIMIT, "a series is too large to be merged");
    }
    memcpy(p->keys, s->keys, s->column_count * sizeof(*p->keys));
    memset(p->states, SLOT_ABSENT, cells);
    for (uint32_t k = 0; k < s->column_count; k++) {
        size_t row = (size_t)k * p->times.rows;
        for (uint32_t b = 0; b < s->block_count; b++) {
            const uint32_t rows = p->times.block_rows[b];
            if (s->blocks[(size_t)k * s->block_count + b].n != 0 &&
                partition_cursor_decode(in->cursor, k, b, p->values + row, p->states + row, err) !=
                    ERR_OK) {
                merge_report(m, err);
                memset(p->states + row, SLOT_ABSENT, rows);
            }
            row += rows;
        }
    }
    *out = p;
    return ERR_OK;
}

/* All places of the first series, by rank; the inputs are behind it afterwards. */
static enum err_code decode_places(struct merge *m, const uint32_t *which, uint32_t n,
                                   struct place **out, struct labels *target, struct labels *metric,
                                   struct err *err) {
    const struct partition_series *s = &m->inputs[which[0]].series;
    uint8_t *bytes = arena_alloc(&m->arena, s->target.size + s->metric.size + (size_t)1);
    if (s->target.size != 0) {
        memcpy(bytes, s->target.data, s->target.size);
    }
    if (s->metric.size != 0) {
        memcpy(bytes + s->target.size, s->metric.data, s->metric.size);
    }
    *target = (struct labels){bytes, s->target.size};
    *metric = (struct labels){bytes + s->target.size, s->metric.size};
    struct place **tail = out;
    for (uint32_t i = 0; i < n; i++) {
        struct merge_input *in = &m->inputs[which[i]];
        do {
            enum err_code code = decode_place(m, in, tail, err);
            if (code == ERR_OK) {
                tail = &(*tail)->next;
                code = merge_step(m, in, err);
            }
            if (code != ERR_OK) {
                return code;
            }
        } while (in->has &&
                 partition_series_cmp(in->series.target, in->series.metric, *target, *metric) == 0);
    }
    *tail = NULL;
    return ERR_OK;
}

static bool has_sample(const struct place *p, uint32_t row) {
    for (uint32_t k = 0; k < p->column_count; k++) {
        if (p->states[(size_t)k * p->times.rows + row] != SLOT_ABSENT) {
            return true;
        }
    }
    return false;
}

/* The next time at which any place has a sample, and the place that counts; NULL: the end. */
static struct place *next_row(struct place *places, int64_t *out_ts, uint32_t *out_row) {
    struct place *best = NULL;
    for (struct place *p = places; p != NULL; p = p->next) {
        while (p->at < p->times.rows && !has_sample(p, p->at)) {
            p->at++;
        }
        if (p->at < p->times.rows && (best == NULL || p->times.ts[p->at] < *out_ts)) {
            best = p;
            *out_ts = p->times.ts[p->at];
        }
    }
    if (best == NULL) {
        return NULL;
    }
    *out_row = best->at;
    for (struct place *p = places; p != NULL; p = p->next) {
        if (p->at < p->times.rows && p->times.ts[p->at] == *out_ts) {
            p->at++;
        }
    }
    return best;
}

/* A timeline with these times, one of the last ones again if it is the same: series of a name that
 * come together. */
static enum err_code timeline_of(struct merge *m, const int64_t *ts, uint32_t rows,
                                 uint32_t *out_number, struct err *err) {
    struct merge_timelines *known = &m->known;
    for (uint32_t i = 0; i < KNOWN_TIMELINES; i++) {
        if (known->rows[i] == rows && memcmp(known->ts[i], ts, rows * sizeof(*ts)) == 0) {
            *out_number = known->numbers[i];
            return ERR_OK;
        }
    }
    const enum err_code code =
        partition_writer_timeline(m->writer, ts, rows, NULL, 0, out_number, err);
    if (code == ERR_OK) {
        const uint32_t i = known->next++ % KNOWN_TIMELINES;
        known->ts[i] = mem_resize(known->ts[i], rows, sizeof(*ts));
        memcpy(known->ts[i], ts, rows * sizeof(*ts));
        known->rows[i] = rows;
        known->numbers[i] = *out_number;
    }
    return code;
}

/* The rows that stay, in time order; how many. deleted: NULL, or what is left out. */
static uint32_t merge_rows(struct merge *m, struct place *places, const struct tombstone *deleted,
                           const struct column_list *list, struct row_column *columns,
                           int64_t *ts) {
    uint32_t rows = 0;
    uint32_t row;
    struct place *p;
    const struct place *before = places; /* of the row before; NULL: that one was deleted */
    while ((p = next_row(places, &ts[rows], &row)) != NULL) {
        if (deleted != NULL && tombstone_covers(deleted, ts[rows])) {
            m->deleted++;
            before = NULL;
            continue;
        }
        const bool follows = before == p || (rows == 0 && before != NULL);
        before = p;
        for (uint32_t k = 0; k < p->column_count; k++) {
            const size_t cell = (size_t)k * p->times.rows + row;
            const uint32_t to = merge_column_of(m, p->input, p->keys[k], list);
            if (to != MERGE_NONE) {
                const bool hints = !follows && p->states[cell] == SLOT_VALUE &&
                                   p->keys[k].kind == COLUMN_HINT &&
                                   num_double(p->values[cell]) == HINT_NOT_RESET;
                columns[to].values[rows] = hints ? num_of_i64(HINT_UNKNOWN) : p->values[cell];
                columns[to].states[rows] = p->states[cell];
            }
        }
        rows++;
    }
    return rows;
}

static enum err_code merge_places(struct merge *m, struct place *places, struct labels target,
                                  struct labels metric, struct err *err) {
    struct column_list list = {0};
    size_t rows_max = 0;
    size_t keys_max = 0;
    for (struct place *p = places; p != NULL; p = p->next) {
        rows_max += p->times.rows;
        keys_max += p->column_count;
    }
    list.keys = arena_alloc(&m->arena, (keys_max + 1) * sizeof(*list.keys));
    for (struct place *p = places; p != NULL; p = p->next) {
        merge_add_keys(m, p->input, p->keys, p->column_count, &list);
    }
    list.count = merge_unique_keys(list.keys, list.count);
    int64_t *ts = arena_try_alloc(&m->arena, rows_max, sizeof(*ts));
    struct row_column *columns =
        arena_zalloc(&m->arena, (list.count + (size_t)1) * sizeof(*columns));
    enum err_code code = ts != NULL ? ERR_OK : err_set(err, ERR_LIMIT, "a series is too large");
    for (uint32_t i = 0; i < list.count && code == ERR_OK; i++) {
        code = merge_start_column(m, &columns[i], (uint32_t)rows_max, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const uint32_t rows =
        merge_rows(m, places, tombstones_find_pair(m->tombstones, target, metric, &m->arena), &list,
                   columns, ts);
    if (rows == 0 || list.count == 0) {
        return ERR_OK;
    }
    uint32_t number;
    code = timeline_of(m, ts, rows, &number, err);
    const struct partition_series labels = {.target = target, .metric = metric};
    return code != ERR_OK ? code : merge_write_columns(m, &labels, number, &list, columns, err);
}

enum err_code merge_overlapping(struct merge *m, const uint32_t *which, uint32_t n,
                                struct err *err) {
    struct place *places = NULL;
    struct labels target;
    struct labels metric;
    const enum err_code code = decode_places(m, which, n, &places, &target, &metric, err);
    return code != ERR_OK ? code : merge_places(m, places, target, metric, err);
}
