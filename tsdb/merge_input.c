/* Inputs of a merge, read in the order of series, and the columns of its output. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor_merge.h"
#include "tsdb/hist_columns.h"

void merge_report(struct merge *m, const struct err *err) {
    m->damaged++;
    atomic_fetch_add(&m->c->db->damage_count, 1);
    metric_inc(m->c->db->metrics.wal_corruptions);
    log_error(m->c->db->options.log, "tsdb", "damaged samples are left behind", log_err(err));
}

enum err_code merge_step(struct merge *m, struct merge_input *in, struct err *err) {
    struct partition_skipped skipped = {0};
    enum err_code code;
    while ((code = partition_cursor_next(in->cursor, &in->series, &in->has, &skipped, err)) ==
           ERR_CORRUPT) {
        merge_report(m, err);
    }
    return code;
}

static int by_time(const void *a, const void *b) {
    const struct merge_input *x = a;
    const struct merge_input *y = b;
    return (x->info->start_ms > y->info->start_ms) - (x->info->start_ms < y->info->start_ms);
}

static int by_rank(const void *a, const void *b) {
    const struct merge_input *x = a;
    const struct merge_input *y = b;
    if (x->info->out_of_order != y->info->out_of_order) {
        return x->info->out_of_order ? 1 : -1;
    }
    return (x->info->number > y->info->number) - (x->info->number < y->info->number);
}

enum err_code merge_open_inputs(struct merge *m, const uint32_t *numbers, uint32_t n,
                                struct err *err) {
    m->inputs = mem_zalloc(n * sizeof(*m->inputs));
    for (size_t i = 0; i < m->c->live_count; i++) {
        for (uint32_t k = 0; k < n; k++) {
            if (m->c->live[i]->info.number == numbers[k]) {
                struct merge_input *in = &m->inputs[m->count++];
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
        struct merge_input *in = &m->inputs[i];
        in->layouts = mem_zalloc((in->info->layout_count + (size_t)1) * sizeof(*in->layouts));
        in->chain_of = mem_array(in->info->timeline_count + (size_t)1, sizeof(*in->chain_of));
        memset(in->chain_of, 0xff, (in->info->timeline_count + (size_t)1) * sizeof(*in->chain_of));
        in->cursor = partition_cursor_new(in->p);
        code = merge_step(m, in, err);
    }
    return code;
}

void merge_close_inputs(struct merge *m) {
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
static bool map_key(struct merge *m, struct merge_input *in, struct column_key *key) {
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
            merge_report(m, &err);
        }
    }
    key->layout = *known;
    return *known != 0;
}

static int series_cmp(const struct partition_series *a, const struct partition_series *b) {
    return partition_series_cmp(a->target, a->metric, b->target, b->metric);
}

/* The inputs whose next series is the first of all; count 0: the end. */
uint32_t merge_first_series(struct merge *m, uint32_t *out) {
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
static int by_key(const void *a, const void *b) {
    return column_key_cmp(*(const struct column_key *)a, *(const struct column_key *)b);
}

uint32_t merge_unique_keys(struct column_key *keys, uint32_t n) {
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

/* Number of the key in the list; MERGE_NONE when its layout is lost. */
uint32_t merge_column_of(struct merge *m, struct merge_input *in, struct column_key key,
                         const struct column_list *list) {
    if (!map_key(m, in, &key)) {
        return MERGE_NONE;
    }
    const struct column_key *found =
        bsearch(&key, list->keys, list->count, sizeof(*list->keys), by_key);
    return found != NULL ? (uint32_t)(found - list->keys) : MERGE_NONE;
}

void merge_add_keys(struct merge *m, struct merge_input *in, const struct column_key *keys,
                    uint32_t n, struct column_list *list) {
    for (uint32_t i = 0; i < n; i++) {
        struct column_key key = keys[i];
        if (map_key(m, in, &key)) {
            list->keys[list->count++] = key;
        }
    }
}

enum err_code merge_start_column(struct merge *m, struct row_column *to, uint32_t rows,
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

enum err_code merge_write_columns(struct merge *m, const struct partition_series *labels,
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
