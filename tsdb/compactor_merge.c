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
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/chunk/block.h"
#include "tsdb/compactor_impl.h"
#include "tsdb/hist_columns.h"
#include "tsdb/merge_plan.h"

enum { NONE = UINT32_MAX, JOIN_ROWS = PARTITION_BLOCK_ROWS / 2, KNOWN_TIMELINES = 16 };

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
                                       .failed = c->live[i]->merge_failed};
    }
    const size_t n = merge_plan(&ranges, items, c->live_count, out);
    mem_free(items);
    return n < PARTITION_PARENTS_MAX ? n : PARTITION_PARENTS_MAX;
}

/* ---- inputs ---- */

struct input {
    struct partition *p;
    const struct partition_info *info;
    struct partition_cursor *cursor;
    struct partition_series series; /* the next one */
    bool has;
    uint32_t *layouts;  /* the output's numbers of its layouts; 0 = not asked yet */
    uint32_t *chain_of; /* by timeline: the newest chain that has it, or NONE */
};

struct out_block { /* of a chain */
    uint32_t row;
    uint32_t rows;
    uint32_t input;
    uint32_t first; /* blocks of the input's timeline: one is copied, several are joined */
    uint32_t count;
};

struct chain {
    uint32_t number;     /* of the output's timeline */
    uint32_t *timelines; /* by input, or NONE */
    struct out_block *blocks;
    uint32_t block_count;
    uint32_t rows;
};

struct known_timelines { /* of overlapping ones */
    int64_t *ts[KNOWN_TIMELINES];
    uint32_t rows[KNOWN_TIMELINES];
    uint32_t numbers[KNOWN_TIMELINES];
    uint32_t next;
};

struct merge {
    struct compactor *c;
    struct partition_writer *writer;
    struct partition_writer_options options;
    struct input *inputs; /* in a row: by time; overlapping: by rank */
    uint32_t count;
    bool overlapping;
    struct tombstones *tombstones; /* NULL: nothing is deleted */
    uint64_t deleted;              /* rows that were left out */
    struct chain *chains;
    uint32_t chain_count;
    uint32_t chain_capacity;
    struct known_timelines known;
    struct arena arena; /* of the series that is written */
    int64_t since_ns;
    uint64_t damaged;
};

static void report(struct merge *m, const struct err *err) {
    m->damaged++;
    atomic_fetch_add(&m->c->db->damage_count, 1);
    metric_inc(m->c->db->metrics.wal_corruptions);
    log_error(m->c->db->options.log, "tsdb", "damaged samples are left behind", log_err(err));
}

static enum err_code step(struct merge *m, struct input *in, struct err *err) {
    struct partition_skipped skipped = {0};
    enum err_code code;
    while ((code = partition_cursor_next(in->cursor, &in->series, &in->has, &skipped, err)) ==
           ERR_CORRUPT) {
        report(m, err);
    }
    return code;
}

static int by_time(const void *a, const void *b) {
    const struct input *x = a;
    const struct input *y = b;
    return (x->info->start_ms > y->info->start_ms) - (x->info->start_ms < y->info->start_ms);
}

static int by_rank(const void *a, const void *b) {
    const struct input *x = a;
    const struct input *y = b;
    if (x->info->out_of_order != y->info->out_of_order) {
        return x->info->out_of_order ? 1 : -1;
    }
    return (x->info->number > y->info->number) - (x->info->number < y->info->number);
}

static enum err_code open_inputs(struct merge *m, const uint32_t *numbers, uint32_t n,
                                 struct err *err) {
    m->inputs = mem_zalloc(n * sizeof(*m->inputs));
    for (size_t i = 0; i < m->c->live_count; i++) {
        for (uint32_t k = 0; k < n; k++) {
            if (m->c->live[i]->info.number == numbers[k]) {
                struct input *in = &m->inputs[m->count++];
                in->p = m->c->live[i]->reader;
                in->info = partition_info(in->p);
            }
        }
    }
    ASSERT(m->count == n);
    qsort(m->inputs, n, sizeof(*m->inputs), by_time);
    for (uint32_t i = 1; i < n; i++) {
        m->overlapping |= m->inputs[i].info->start_ms < m->inputs[i - 1].info->end_ms;
    }
    if (m->overlapping) {
        qsort(m->inputs, n, sizeof(*m->inputs), by_rank);
    }
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        struct input *in = &m->inputs[i];
        in->layouts = mem_zalloc((in->info->layout_count + (size_t)1) * sizeof(*in->layouts));
        in->chain_of = mem_array(in->info->timeline_count + (size_t)1, sizeof(*in->chain_of));
        memset(in->chain_of, 0xff, (in->info->timeline_count + (size_t)1) * sizeof(*in->chain_of));
        in->cursor = partition_cursor_new(in->p);
        code = step(m, in, err);
    }
    return code;
}

static void close_inputs(struct merge *m) {
    for (uint32_t i = 0; i < m->count; i++) {
        partition_cursor_free(m->inputs[i].cursor);
        mem_free(m->inputs[i].layouts);
        mem_free(m->inputs[i].chain_of);
    }
    for (uint32_t i = 0; i < m->chain_count; i++) {
        mem_free(m->chains[i].timelines);
        mem_free(m->chains[i].blocks);
    }
    for (uint32_t i = 0; i < KNOWN_TIMELINES; i++) {
        mem_free(m->known.ts[i]);
    }
    mem_free(m->chains);
    mem_free(m->inputs);
}

/* The output's key of an input's column; false when its layout is lost. */
static bool map_key(struct merge *m, struct input *in, struct column_key *key) {
    if (key->layout == 0) {
        return true;
    }
    const struct hist_layout *layout = NULL;
    struct err err;
    uint32_t *known = &in->layouts[key->layout];
    if (*known == 0) {
        if (partition_layout(in->p, key->layout, &layout, &err) == ERR_OK) {
            *known = partition_writer_layout(m->writer, layout);
        }
        if (*known == 0) {
            if (layout != NULL) {
                (void)err_set(&err, ERR_LIMIT, "too many layouts of histograms");
            }
            report(m, &err);
        }
    }
    key->layout = *known;
    return *known != 0;
}

static int series_cmp(const struct partition_series *a, const struct partition_series *b) {
    return partition_series_cmp(a->target, a->metric, b->target, b->metric);
}

/* The inputs whose next series is the first of all; count 0: the end. */
static uint32_t first_series(struct merge *m, uint32_t *out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        if (!m->inputs[i].has) {
            continue;
        }
        const int order = n == 0 ? -1 : series_cmp(&m->inputs[i].series, &m->inputs[out[0]].series);
        if (order < 0) {
            n = 0;
        }
        if (order <= 0) {
            out[n++] = i;
        }
    }
    return n;
}

/* ---- columns of the output ---- */

struct column_list {
    struct column_key *keys; /* ascending */
    uint32_t count;
};

static int by_key(const void *a, const void *b) {
    return column_key_cmp(*(const struct column_key *)a, *(const struct column_key *)b);
}

static uint32_t unique_keys(struct column_key *keys, uint32_t n) {
    uint32_t kept = 0;
    if (n != 0) {
        qsort(keys, n, sizeof(*keys), by_key);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (kept == 0 || column_key_cmp(keys[kept - 1], keys[i]) != 0) {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

/* Number of the key in the list; NONE when its layout is lost. */
static uint32_t column_of(struct merge *m, struct input *in, struct column_key key,
                          const struct column_list *list) {
    if (!map_key(m, in, &key)) {
        return NONE;
    }
    const struct column_key *found =
        bsearch(&key, list->keys, list->count, sizeof(*list->keys), by_key);
    return found != NULL ? (uint32_t)(found - list->keys) : NONE;
}

static void add_keys(struct merge *m, struct input *in, const struct column_key *keys, uint32_t n,
                     struct column_list *list) {
    for (uint32_t i = 0; i < n; i++) {
        struct column_key key = keys[i];
        if (map_key(m, in, &key)) {
            list->keys[list->count++] = key;
        }
    }
}

/* ---- in a row ---- */

static struct chain *add_chain(struct merge *m) {
    if (m->chain_count == m->chain_capacity) {
        m->chain_capacity = (uint32_t)mem_grow(m->chain_capacity, m->chain_count + (size_t)1);
        m->chains = mem_resize(m->chains, m->chain_capacity, sizeof(*m->chains));
    }
    struct chain *chain = &m->chains[m->chain_count++];
    *chain = (struct chain){.timelines = mem_array(m->count, sizeof(uint32_t))};
    return chain;
}

/* Appends the blocks of an input's timeline; small ones of the input are joined. */
static void add_blocks(struct chain *chain, uint32_t input, const struct partition_timeline *t) {
    chain->blocks = mem_resize(chain->blocks, chain->block_count + (size_t)t->block_count + 1,
                               sizeof(*chain->blocks));
    uint32_t row = chain->rows;
    struct out_block *last = NULL;
    for (uint32_t i = 0; i < t->block_count; i++) {
        const uint32_t rows = t->block_rows[i];
        if (last != NULL && last->rows + rows <= PARTITION_BLOCK_ROWS &&
            (last->rows < JOIN_ROWS || rows < JOIN_ROWS)) {
            last->rows += rows;
            last->count++;
        } else {
            last = &chain->blocks[chain->block_count++];
            *last = (struct out_block){row, rows, input, i, 1};
        }
        row += rows;
    }
    chain->rows = row;
}

static enum err_code write_chain(struct merge *m, struct chain *chain, struct err *err) {
    struct arena arena;
    enum err_code code = ERR_OK;
    int64_t *ts = NULL;
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < m->count && code == ERR_OK; i++) {
        struct partition_timeline t;
        const uint32_t row = chain->rows;
        if (chain->timelines[i] == NONE) {
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
                               struct chain **out, struct err *err) {
    const struct input *first = &m->inputs[which[0]];
    const uint32_t known = first->chain_of[first->series.timeline];
    bool fits = known != NONE;
    for (uint32_t i = 0; i < n && fits; i++) {
        fits = m->chains[known].timelines[which[i]] == m->inputs[which[i]].series.timeline;
    }
    if (fits) {
        *out = &m->chains[known];
        return ERR_OK;
    }
    const uint32_t number = m->chain_count;
    struct chain *chain = add_chain(m);
    for (uint32_t i = 0; i < m->count; i++) {
        chain->timelines[i] = known != NONE ? m->chains[known].timelines[i] : NONE;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct input *in = &m->inputs[which[i]];
        chain->timelines[which[i]] = in->series.timeline;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        if (chain->timelines[i] != NONE) {
            m->inputs[i].chain_of[chain->timelines[i]] = number;
        }
    }
    *out = chain;
    return write_chain(m, chain, err);
}

struct row_column { /* being put together */
    struct num *values;
    uint8_t *states;
    struct partition_block *blocks;
};

static enum err_code start_column(struct merge *m, struct row_column *to, uint32_t rows,
                                  struct err *err) {
    if (to->values == NULL) {
        to->values = arena_try_alloc(&m->arena, rows, sizeof(*to->values));
        to->states = arena_try_alloc(&m->arena, rows, 1);
        if (to->values == NULL || to->states == NULL) {
            return err_set(err, ERR_LIMIT, "a series is too large to be merged");
        }
        memset(to->states, SLOT_ABSENT, rows);
    }
    return ERR_OK;
}

/* One block of the output from those of the input that it joins. */
static enum err_code fill_block(struct merge *m, struct input *in, uint32_t column,
                                const struct chain *chain, uint32_t number, struct row_column *to,
                                struct err *err) {
    const struct out_block *b = &chain->blocks[number];
    const struct partition_bytes *from =
        &in->series.blocks[(size_t)column * in->series.block_count + b->first];
    bool any = false;
    for (uint32_t i = 0; i < b->count; i++) {
        any |= from[i].n != 0;
    }
    if (!any) {
        return ERR_OK;
    }
    if (b->count == 1 && block_reference(from->ptr, from->n) == 0) {
        to->blocks[number] = (struct partition_block){.bytes = from->ptr, .n = from->n};
        return ERR_OK;
    }
    enum err_code code = start_column(m, to, chain->rows, err);
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
                report(m, err);
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

static enum err_code fill_columns(struct merge *m, const struct chain *chain, struct input *in,
                                  uint32_t input, const struct column_list *list,
                                  struct row_column *columns, struct err *err) {
    for (uint32_t k = 0; k < in->series.column_count; k++) {
        const uint32_t to = column_of(m, in, in->series.keys[k], list);
        for (uint32_t b = 0; b < chain->block_count && to != NONE; b++) {
            if (chain->blocks[b].input == input) {
                const enum err_code code = fill_block(m, in, k, chain, b, &columns[to], err);
                if (code != ERR_OK) {
                    return code;
                }
            }
        }
    }
    return ERR_OK;
}

static enum err_code write_columns(struct merge *m, const struct partition_series *labels,
                                   uint32_t timeline, const struct column_list *list,
                                   const struct row_column *columns, struct err *err) {
    struct partition_column *out =
        arena_try_alloc(&m->arena, list->count + (size_t)1, sizeof(*out));
    if (out == NULL) {
        return err_set(err, ERR_LIMIT, "a series is too large to be merged");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        out[i] = (struct partition_column){.key = list->keys[i],
                                           .values = columns[i].values,
                                           .states = columns[i].states,
                                           .blocks = columns[i].blocks};
    }
    return partition_writer_series(m->writer, labels->target, labels->metric, timeline, out,
                                   list->count, err);
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
        struct input *in = &m->inputs[which[i]];
        add_keys(m, in, in->series.keys, in->series.column_count, list);
    }
    list->count = unique_keys(list->keys, list->count);
    return ERR_OK;
}

static enum err_code merge_row(struct merge *m, const uint32_t *which, uint32_t n,
                               struct err *err) {
    struct chain *chain = NULL;
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
        code = fill_columns(m, chain, &m->inputs[which[i]], which[i], &list, columns, err);
    }
    if (code == ERR_OK && list.count != 0) {
        code = write_columns(m, &m->inputs[which[0]].series, chain->number, &list, columns, err);
    }
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        code = step(m, &m->inputs[which[i]], err);
    }
    return code;
}

/* ---- overlapping ---- */

struct place { /* a series of one input, decoded */
    struct place *next;
    struct input *input;
    struct partition_timeline times;
    uint32_t column_count;
    struct column_key *keys;
    struct num *values; /* [column * rows + row] */
    uint8_t *states;
    uint32_t at; /* the row that is looked at */
};

static enum err_code decode_place(struct merge *m, struct input *in, struct place **out,
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
                report(m, err);
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
        struct input *in = &m->inputs[which[i]];
        do {
            enum err_code code = decode_place(m, in, tail, err);
            if (code == ERR_OK) {
                tail = &(*tail)->next;
                code = step(m, in, err);
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
    struct known_timelines *known = &m->known;
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
    while ((p = next_row(places, &ts[rows], &row)) != NULL) {
        if (deleted != NULL && tombstone_covers(deleted, ts[rows])) {
            m->deleted++;
            continue;
        }
        for (uint32_t k = 0; k < p->column_count; k++) {
            const size_t cell = (size_t)k * p->times.rows + row;
            const uint32_t to = column_of(m, p->input, p->keys[k], list);
            if (to != NONE) {
                columns[to].values[rows] = p->values[cell];
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
        add_keys(m, p->input, p->keys, p->column_count, &list);
    }
    list.count = unique_keys(list.keys, list.count);
    int64_t *ts = arena_try_alloc(&m->arena, rows_max, sizeof(*ts));
    struct row_column *columns =
        arena_zalloc(&m->arena, (list.count + (size_t)1) * sizeof(*columns));
    enum err_code code = ts != NULL ? ERR_OK : err_set(err, ERR_LIMIT, "a series is too large");
    for (uint32_t i = 0; i < list.count && code == ERR_OK; i++) {
        code = start_column(m, &columns[i], (uint32_t)rows_max, err);
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
    return code != ERR_OK ? code : write_columns(m, &labels, number, &list, columns, err);
}

static enum err_code merge_overlapping(struct merge *m, const uint32_t *which, uint32_t n,
                                       struct err *err) {
    struct place *places = NULL;
    struct labels target;
    struct labels metric;
    const enum err_code code = decode_places(m, which, n, &places, &target, &metric, err);
    return code != ERR_OK ? code : merge_places(m, places, target, metric, err);
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
    while (code == ERR_OK && (n = first_series(m, which)) != 0) {
        code = m->overlapping || has_deleted(m, &m->inputs[which[0]].series)
                   ? merge_overlapping(m, which, n, err)
                   : merge_row(m, which, n, err);
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
    enum err_code code = open_inputs(m, numbers, n, err);
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

/* Writes partitions (numbers ascend) as one. rewrite: only if something of them is deleted. */
static enum err_code merge_numbers(struct compactor *c, const uint32_t *numbers, size_t n,
                                   bool rewrite, struct err *err) REQUIRES(c->mu) {
    struct merge *m = mem_zalloc(sizeof(*m));
    m->c = c;
    m->tombstones = tsdb_tombstones(c->db);
    m->since_ns = clock_mono_ns(c->db->options.clock);
    enum err_code code = write_merged(m, numbers, (uint32_t)n, err);
    if (m->overlapping) {
        metric_inc(c->metrics.vertical);
    }
    close_inputs(m);
    if (code == ERR_OK && (!rewrite || m->deleted != 0)) {
        code = compactor_commit(c,
                                &(struct compactor_change){.writer = m->writer,
                                                           .options = &m->options,
                                                           .replaced = numbers,
                                                           .replaced_count = n},
                                err);
    } else {
        partition_writer_free(m->writer);
    }
    tombstones_unref(m->tombstones);
    mem_free(m);
    return code;
}

/* Has a series of the partition a deleted sample, as far as labels and times say? */
static enum err_code wants_rewrite(struct compactor *c, uint32_t number, const struct tombstones *t,
                                   bool *out, struct err *err) REQUIRES(c->mu) {
    *out = false;
    struct partition *p = NULL;
    for (size_t i = 0; i < c->live_count; i++) {
        p = c->live[i]->info.number == number ? c->live[i]->reader : p;
    }
    if (p == NULL) {
        return ERR_OK;
    }
    struct partition_cursor *cursor = partition_cursor_new(p);
    struct partition_series s;
    struct partition_skipped skipped = {0};
    bool has = true;
    enum err_code code = ERR_OK;
    struct arena scratch;
    arena_init(&scratch, 0);
    while (has && !*out && (code == ERR_OK || code == ERR_CORRUPT)) {
        code = partition_cursor_next(cursor, &s, &has, &skipped, err);
        *out =
            code == ERR_OK && has && tombstones_find_pair(t, s.target, s.metric, &scratch) != NULL;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    partition_cursor_free(cursor);
    return code == ERR_CORRUPT ? ERR_OK : code;
}

enum err_code compactor_rewrite(struct compactor *c, uint32_t number, struct err *err) {
    struct tombstones *t = tsdb_tombstones(c->db);
    bool wanted = false;
    enum err_code code = t != NULL ? wants_rewrite(c, number, t, &wanted, err) : ERR_OK;
    tombstones_unref(t);
    return code == ERR_OK && wanted ? merge_numbers(c, &number, 1, true, err) : code;
}

enum err_code compactor_merge(struct compactor *c, bool *out_merged, struct err *err) {
    uint32_t *numbers = mem_array(c->live_count + 1, sizeof(*numbers));
    const size_t n = plan(c, numbers);
    enum err_code code = ERR_OK;
    *out_merged = n != 0;
    if (n != 0) {
        qsort(numbers, n, sizeof(*numbers), by_number);
        code = merge_numbers(c, numbers, n, false, err);
        if (code == ERR_CORRUPT) {
            note_failed(c, numbers, n); /* the others go on without them */
        }
    }
    mem_free(numbers);
    return code;
}
