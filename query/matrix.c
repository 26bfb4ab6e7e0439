#include "query/matrix.h"

#include <string.h>

#include "base/histogram.h"
#include "query/bits.h"
#include "query/label_ops.h"

void matrix_init(struct matrix *m, struct work *work, size_t steps) {
    *m = (struct matrix){.work = work, .steps = steps};
}

static enum err_code grow_rows(struct matrix *m, struct err *err) {
    const size_t capacity = m->capacity < 8 ? 8 : m->capacity * 2;
    struct row *rows = work_alloc(m->work, capacity, sizeof(*rows), err);
    if (rows == NULL) {
        return ERR_LIMIT;
    }
    memset(rows, 0, capacity * sizeof(*rows));
    if (m->count > 0) {
        memcpy(rows, m->rows, m->count * sizeof(*rows));
    }
    m->rows = rows;
    m->capacity = capacity;
    return ERR_OK;
}

struct row *matrix_reserve(struct matrix *m, struct err *err) {
    if (m->count == m->capacity && grow_rows(m, err) != ERR_OK) {
        return NULL;
    }
    struct row *row = &m->rows[m->count];
    if (row->values == NULL) {
        const size_t words = bits_words(m->steps);
        double *values = work_alloc(m->work, m->steps + words, sizeof(double), err);
        if (values == NULL) {
            return NULL;
        }
        _Static_assert(sizeof(double) == sizeof(uint64_t), "columns share one allocation");
        *row = (struct row){.values = values, .present = (uint64_t *)(void *)(values + m->steps)};
    } else {
        *row = (struct row){.values = row->values, .present = row->present};
    }
    bits_zero(row->present, m->steps);
    return row;
}

struct row *matrix_reserve_in(struct matrix *m, const struct row *columns, struct err *err) {
    if (m->count == m->capacity && grow_rows(m, err) != ERR_OK) {
        return NULL;
    }
    struct row *row = &m->rows[m->count];
    *row = (struct row){.values = columns->values, .present = columns->present};
    return row;
}

/* ---- histograms ---- */

enum err_code row_add_histograms(struct row *row, struct work *work, size_t steps,
                                 struct err *err) {
    if (row->histograms == NULL) {
        row->histograms = work_zalloc(work, steps, sizeof(struct histogram *), err);
    }
    return row->histograms != NULL ? ERR_OK : ERR_LIMIT;
}

void row_drop_histograms(struct row *row, size_t steps) {
    if (row->histograms == NULL) {
        return;
    }
    for (size_t i = 0; i < steps; i++) {
        if (row->histograms[i] != NULL) {
            bits_clear(row->present, i);
        }
    }
    row->histograms = NULL;
}

uint64_t row_weight(const struct row *row, size_t steps) {
    uint64_t n = bits_count(row->present, steps);
    for (size_t i = 0; i < steps && row->histograms != NULL; i++) {
        if (row->histograms[i] != NULL && bits_get(row->present, i)) {
            n += histogram_size_bytes(row->histograms[i]) / 16;
        }
    }
    return n;
}

enum err_code matrix_samples(const struct matrix *m, uint64_t *out, struct err *err) {
    uint64_t n = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < m->count && code == ERR_OK; i++) {
        const struct row *row = &m->rows[i];
        n += row_weight(row, m->steps);
        code =
            work_did(m->work->budget, row->histograms != NULL ? m->steps : 1 + m->steps / 64, err);
    }
    *out = n;
    return code;
}

/* Copies the row's histograms to the matrix's memory. */
static enum err_code own_histograms(struct matrix *m, struct row *row, struct err *err) {
    const struct histogram **from = row->histograms;
    row->histograms = NULL;
    if (row_add_histograms(row, m->work, m->steps, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    for (size_t i = bits_next(row->present, m->steps, 0); i < m->steps;
         i = bits_next(row->present, m->steps, i + 1)) {
        if (from[i] == NULL) {
            continue;
        }
        /* neighbours of a step-invariant value are the same one */
        if (i > 0 && from[i] == from[i - 1] && row->histograms[i - 1] != NULL) {
            row->histograms[i] = row->histograms[i - 1];
            continue;
        }
        work_grant(m->work);
        row->histograms[i] = histogram_copy(&m->work->arena, from[i]);
        if (row->histograms[i] == NULL) {
            return work_over(m->work, err);
        }
    }
    return ERR_OK;
}

enum err_code matrix_keep(struct matrix *m, struct row *row, struct err *err) {
    if (row->histograms != NULL && own_histograms(m, row, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    m->count++;
    return work_check(m->work, err);
}

static int by_labels(const void *left, const void *right) {
    const struct row *a = left;
    const struct row *b = right;
    return labels_cmp(a->labels, b->labels);
}

enum err_code matrix_sort(struct matrix *m, const struct cancel *cancel, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 1; i < m->count && code == ERR_OK; i++) {
        if (by_labels(&m->rows[i - 1], &m->rows[i]) > 0) {
            return work_sort(m->work, m->rows, m->count, sizeof(*m->rows), by_labels, cancel, err);
        }
        code = work_did(m->work->budget, WORK_ROW / 4, err);
    }
    return code;
}

static bool share_a_step(const struct row *a, const struct row *b, size_t steps) {
    for (size_t w = 0; w < bits_words(steps); w++) {
        if ((a->present[w] & b->present[w]) != 0) {
            return true;
        }
    }
    return false;
}

/* Moves b's samples to a; both are rows of m. */
static enum err_code absorb(struct matrix *m, struct row *a, const struct row *b, struct err *err) {
    const size_t steps = m->steps;
    if (b->histograms != NULL && row_add_histograms(a, m->work, steps, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    for (size_t i = bits_next(b->present, steps, 0); i < steps;
         i = bits_next(b->present, steps, i + 1)) {
        a->values[i] = b->values[i];
        if (a->histograms != NULL) {
            a->histograms[i] = row_histogram(b, i);
        }
        bits_set(a->present, i);
    }
    a->drop_name = a->drop_name || b->drop_name;
    return ERR_OK;
}

enum err_code matrix_merge(struct matrix *m, enum merge_rule rule, struct err *err) {
    if (m->count < 2) {
        return ERR_OK;
    }
    struct work tmp;
    work_begin(&tmp, m->work->budget);
    struct label_index index;
    enum err_code code = label_index_init(&index, &tmp, m->count, err);
    size_t kept = 0;
    for (size_t i = 0; i < m->count && code == ERR_OK; i++) {
        uint32_t at = 0;
        code = label_index_find_or_add(&index, m->rows[i].labels, &at, err);
        if (code == ERR_OK) {
            code = work_did(tmp.budget, WORK_ROW, err);
        }
        if (code != ERR_OK) {
            break;
        }
        if (at < kept) {
            if (rule == MERGE_NEVER || share_a_step(&m->rows[at], &m->rows[i], m->steps)) {
                code = err_set(err, ERR_EXECUTION,
                               "vector cannot contain metrics with the same labelset");
            } else {
                code = absorb(m, &m->rows[at], &m->rows[i], err);
            }
            continue;
        }
        if (kept != i) {
            /* swap, so that every column buffer stays owned by exactly one slot */
            const struct row moved = m->rows[i];
            m->rows[i] = m->rows[kept];
            m->rows[kept] = moved;
        }
        kept++;
    }
    if (code == ERR_OK) {
        m->count = kept;
    }
    work_end(&tmp);
    return code;
}

static struct row *collect_begin(struct row_sink *sink, struct err *err) {
    struct matrix_collect *c = (struct matrix_collect *)sink;
    return matrix_reserve(c->out, err);
}

static enum err_code collect_end(struct row_sink *sink, struct row *row, struct err *err) {
    struct matrix_collect *c = (struct matrix_collect *)sink;
    row_spell(row, work_lasting(c->out->work));
    const enum err_code code = matrix_keep(c->out, row, err);
    return code == ERR_OK ? work_did(c->out->work->budget, c->out->steps + WORK_ROW, err) : code;
}

void matrix_collect_init(struct matrix_collect *c, struct matrix *out) {
    c->sink = (struct row_sink){.begin = collect_begin, .end = collect_end};
    c->out = out;
}

enum err_code matrix_replay(const struct matrix *m, struct row_sink *to, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < m->count && code == ERR_OK; i++) {
        const struct row *from = &m->rows[i];
        if (!bits_any(from->present, m->steps)) {
            code = work_did(m->work->budget, 1 + m->steps / 64, err);
            continue;
        }
        struct row *row = to->begin(to, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = from->labels;
        row->drop_name = from->drop_name;
        row->histograms = from->histograms;
        memcpy(row->values, from->values, m->steps * sizeof(*row->values));
        memcpy(row->present, from->present, bits_words(m->steps) * sizeof(*row->present));
        code = work_did(m->work->budget, m->steps + WORK_ROW, err);
        if (code == ERR_OK) {
            code = to->end(to, row, err);
        }
    }
    return code;
}
