#include "query/eval_aggregate_native.h"

#include "query/bits.h"
#include "query/histogram_note.h"

enum err_code native_column_init(const struct native_context *c, struct native_column *column,
                                 struct err *err) {
    column->sums = work_zalloc(c->work, c->steps, sizeof(*column->sums), err);
    column->dropped = column->sums != NULL ? work_zalloc(c->work, bits_words(c->steps),
                                                         sizeof(*column->dropped), err)
                                           : NULL;
    return column->dropped != NULL ? ERR_OK : ERR_LIMIT;
}

static enum err_code add_one(const struct native_context *c, struct native_column *column,
                             const struct row *row, size_t step, struct err *err) {
    const struct histogram *h = row->histograms[step];
    struct native_sum *sum = column->sums[step];
    if (sum == NULL) {
        sum = work_alloc(c->work, 1, sizeof(*sum), err);
        column->sums[step] = sum;
        return sum != NULL ? native_sum_init(sum, c->work, h, c->mean, err) : ERR_LIMIT;
    }
    if (!native_sum_fits(sum, h)) {
        note_mixed_buckets(c->ev, c->pos, row_name(row));
        bits_set(column->dropped, step);
        return ERR_OK;
    }
    return native_sum_add(sum, h, err);
}

enum err_code native_column_add(const struct native_context *c, struct native_column *column,
                                const uint64_t *floats, struct row *row, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = bits_next(row->present, c->steps, 0); i < c->steps && code == ERR_OK;
         i = bits_next(row->present, c->steps, i + 1)) {
        const bool native = row_histogram(row, i) != NULL;
        if (bits_get(column->dropped, i)) {
            bits_clear(row->present, i);
        } else if (native ? bits_get(floats, i) : column->sums[i] != NULL) {
            note_mixed_aggregation(c->ev, c->pos);
            bits_set(column->dropped, i);
            bits_clear(row->present, i);
        } else if (native) {
            code = add_one(c, column, row, i, err);
            bits_clear(row->present, i);
        }
    }
    row->histograms = NULL;
    return code;
}

enum err_code native_column_emit(const struct native_context *c, const struct native_column *column,
                                 struct row *row, struct err *err) {
    if (row_add_histograms(row, c->work, c->steps, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < c->steps; i++) {
        if (bits_get(column->dropped, i)) {
            bits_clear(row->present, i);
            continue;
        }
        if (column->sums[i] == NULL) {
            continue;
        }
        native_sum_note(column->sums[i], c->ev, c->pos);
        work_grant(c->work);
        const struct histogram *sum = native_sum_finish(column->sums[i], &c->work->arena);
        sum = sum != NULL ? histogram_compact(&c->work->arena, sum) : NULL;
        if (sum == NULL) {
            return work_over(c->work, err);
        }
        row->histograms[i] = sum;
        bits_set(row->present, i);
    }
    return ERR_OK;
}
