/* info(): adds labels of info series (target_info and the like) to the series of the same instance
 * and job (spec/promql.md section 21). An info series counts at a step when it is the newest of its
 * name and identity there; a row whose info series change over time becomes several. */
#include <string.h>

#include "query/bits.h"
#include "query/eval_call.h"

/* Sorted, as labels_keep wants them. */
static const struct str IDENTITY[] = {STR_INIT("instance"), STR_INIT("job")};
static const struct str NAMED_IDENTITY[] = {STR_INIT("__name__"), STR_INIT("instance"),
                                            STR_INIT("job")};
static const uint32_t NOBODY = UINT32_MAX;

struct joining {
    struct eval *ev;
    const struct plan_info *info;
    const struct grid *grid;
    struct work *tmp;
    struct matrix base;
    struct matrix times; /* of the info series: their samples' times in seconds */
    bool *apart;         /* by base row: an info series itself, passed through */
    /* Info series of one name and identity: which of them counts at each step. */
    struct label_index keys;
    struct label_index identities; /* the keys without their names */
    uint32_t *first_key;           /* by identity; NOBODY ends a list */
    uint32_t *next_key;            /* by key */
    uint32_t **winner;             /* by key and step: row of times, or NOBODY */
    struct matrix out;
    struct label_index out_index;
};

/* ---- which info series count ---- */

static enum err_code set_apart(struct joining *j, struct err *err) {
    j->apart = work_zalloc(j->tmp, j->base.count + 1, sizeof(*j->apart), err);
    if (j->apart == NULL) {
        return ERR_LIMIT;
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < j->base.count && code == ERR_OK; i++) {
        code = matchers_match(j->info->names, j->info->name_count, j->base.rows[i].labels,
                              &j->apart[i], err);
        if (code == ERR_OK) {
            code = eval_worked(j->ev, WORK_ROW, err);
        }
    }
    return code;
}

/* Values that the base series have for one identifying label. */
static enum err_code values_of(struct joining *j, const struct str *name, struct label_index *out,
                               struct err *err) {
    enum err_code code = label_index_init(out, j->tmp, 16, err);
    for (size_t i = 0; i < j->base.count && code == ERR_OK; i++) {
        const struct labels value = labels_keep(&j->tmp->arena, j->base.rows[i].labels, name, 1);
        uint32_t at = 0;
        code = eval_worked(j->ev, WORK_ROW, err);
        if (code == ERR_OK && !j->apart[i] && value.size > 0) {
            code = label_index_find_or_add(out, value, &at, err);
        }
    }
    return code == ERR_OK ? work_check(j->tmp, err) : code;
}

static bool asked_for(struct joining *j, struct labels labels, const struct label_index *values,
                      const struct str *name) {
    uint32_t at = 0;
    return values->count == 0 ||
           label_index_find(values, labels_keep(&j->tmp->arena, labels, name, 1), &at);
}

static enum err_code duplicate(const struct joining *j, uint32_t old, uint32_t new, size_t step,
                               struct err *err) {
    struct buf texts[2];
    const uint32_t rows[2] = {old, new};
    for (size_t i = 0; i < 2; i++) {
        buf_init(&texts[i], ERR_TEXT_MAX);
        labels_format(&texts[i], j->times.rows[rows[i]].labels);
    }
    const long long at_ms = (long long)(j->times.rows[old].values[step] * 1000);
    const enum err_code code =
        err_set(err, ERR_EXECUTION,
                "found duplicate series for info metric: existing %.*s @ %lld, new %.*s @ %lld",
                STR_ARG(buf_str(&texts[0])), at_ms, STR_ARG(buf_str(&texts[1])), at_ms);
    buf_release(&texts[0]);
    buf_release(&texts[1]);
    return code;
}

static enum err_code not_info(const struct row *row, struct err *err) {
    struct buf text;
    buf_init(&text, ERR_TEXT_MAX);
    labels_format(&text, row->labels);
    const enum err_code code =
        err_set(err, ERR_EXECUTION, "this should be an info metric, with float samples: %.*s",
                STR_ARG(buf_str(&text)));
    buf_release(&text);
    return code;
}

static enum err_code offer(struct joining *j, uint32_t key, uint32_t row, struct err *err) {
    const struct row *times = &j->times.rows[row];
    uint32_t *winner = j->winner[key];
    for (size_t step = bits_next(times->present, j->grid->count, 0); step < j->grid->count;
         step = bits_next(times->present, j->grid->count, step + 1)) {
        if (row_histogram(times, step) != NULL) {
            return not_info(times, err);
        }
        if (winner[step] != NOBODY) {
            const double old = j->times.rows[winner[step]].values[step];
            if (old == times->values[step]) {
                return duplicate(j, winner[step], row, step, err);
            }
            if (old > times->values[step]) {
                continue;
            }
        }
        winner[step] = row;
    }
    return eval_worked(j->ev, j->grid->count, err);
}

static enum err_code chain_key(struct joining *j, uint32_t key, struct labels identity,
                               struct err *err) {
    uint32_t at = 0;
    const uint32_t before = j->identities.count;
    const enum err_code code = label_index_find_or_add(&j->identities, identity, &at, err);
    if (code == ERR_OK) {
        j->next_key[key] = at < before ? j->first_key[at] : NOBODY;
        j->first_key[at] = key;
    }
    return code;
}

static enum err_code add_info(struct joining *j, uint32_t row, struct err *err) {
    const struct labels labels = j->times.rows[row].labels;
    struct arena *arena = &j->tmp->arena;
    uint32_t key = 0;
    const uint32_t before = j->keys.count;
    const struct labels named =
        labels_keep(arena, labels, NAMED_IDENTITY, COUNT_OF(NAMED_IDENTITY));
    enum err_code code = label_index_find_or_add(&j->keys, named, &key, err);
    if (code != ERR_OK) {
        return code;
    }
    if (key == before) {
        code = chain_key(j, key, labels_keep(arena, labels, IDENTITY, COUNT_OF(IDENTITY)), err);
        if (code != ERR_OK) {
            return code;
        }
        j->winner[key] = work_alloc(j->tmp, j->grid->count, sizeof(**j->winner), err);
        if (j->winner[key] == NULL) {
            return ERR_LIMIT;
        }
        memset(j->winner[key], 0xFF, j->grid->count * sizeof(**j->winner));
    }
    return offer(j, key, row, err);
}

static enum err_code find_winners(struct joining *j, struct err *err) {
    struct label_index instances;
    struct label_index jobs;
    enum err_code code = values_of(j, &IDENTITY[0], &instances, err);
    if (code == ERR_OK) {
        code = values_of(j, &IDENTITY[1], &jobs, err);
    }
    if (code == ERR_OK) {
        code = label_index_init(&j->keys, j->tmp, j->times.count, err);
    }
    if (code == ERR_OK) {
        code = label_index_init(&j->identities, j->tmp, j->times.count, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const size_t most = j->times.count + 1;
    j->first_key = work_alloc(j->tmp, most, 2 * sizeof(*j->first_key), err);
    j->winner = j->first_key != NULL ? work_alloc(j->tmp, most, sizeof(*j->winner), err) : NULL;
    if (j->winner == NULL) {
        return ERR_LIMIT;
    }
    j->next_key = j->first_key + most;
    if (instances.count + jobs.count == 0) {
        return ERR_OK;
    }
    for (uint32_t i = 0; i < j->times.count && code == ERR_OK; i++) {
        const struct labels labels = j->times.rows[i].labels;
        code = eval_worked(j->ev, WORK_ROW, err);
        if (code == ERR_OK && asked_for(j, labels, &instances, &IDENTITY[0]) &&
            asked_for(j, labels, &jobs, &IDENTITY[1])) {
            code = add_info(j, i, err);
        }
    }
    return code;
}

/* ---- labels ---- */

static bool is_data_label(const struct plan_info *info, struct str name) {
    for (size_t i = 0; i < info->data_count; i++) {
        if (str_eq(info->data[i].name, name)) {
            return true;
        }
    }
    return info->data_count == 0;
}

static bool empty_is_fine(const struct plan_info *info) {
    for (size_t i = 0; i < info->data_count; i++) {
        if (!matcher_accepts_empty(&info->data[i])) {
            return false;
        }
    }
    return true;
}

static enum err_code add_labels(struct joining *j, struct labels base, struct labels info,
                                struct labels_builder *b, struct err *err) {
    struct labels_iter it = labels_begin(info);
    struct label label;
    while (labels_next(&it, &label)) {
        if (str_eq(label.name, LABEL_NAME) || !is_data_label(j->info, label.name) ||
            labels_has(base, label.name)) {
            continue;
        }
        const struct str old = labels_builder_get(b, label.name);
        if (old.len > 0 && !str_eq(old, label.value)) {
            return err_set(err, ERR_EXECUTION, "conflicting label: %.*s", STR_ARG(label.name));
        }
        labels_builder_set(b, label.name, label.value);
    }
    return ERR_OK;
}

/* The output row for these winners; *out is NOBODY when the series is dropped. */
static enum err_code row_for(struct joining *j, const struct row *base, const uint32_t *winners,
                             size_t count, uint32_t *out, struct err *err) {
    struct labels_builder b;
    struct labels labels;
    bool any = false;
    labels_builder_init(&b, work_lasting(j->tmp));
    labels_builder_reset(&b, base->labels);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        if (winners[i] != NOBODY) {
            any = true;
            code = add_labels(j, base->labels, j->times.rows[winners[i]].labels, &b, err);
        }
    }
    *out = NOBODY;
    if (code != ERR_OK || (!any && !empty_is_fine(j->info))) {
        return code;
    }
    code = labels_builder_finish(&b, &labels, err);
    if (code == ERR_OK) {
        code = label_index_find_or_add(&j->out_index, labels, out, err);
    }
    if (code == ERR_OK && *out == j->out.count) {
        struct row *row = matrix_reserve(&j->out, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = labels;
        j->out.count++;
    }
    return code == ERR_OK ? work_check(j->tmp, err) : code;
}

static enum err_code put(struct joining *j, uint32_t at, const struct row *base, size_t step,
                         struct err *err) {
    if (at == NOBODY) {
        return ERR_OK;
    }
    struct row *row = &j->out.rows[at];
    if (bits_get(row->present, step)) {
        return err_set(err, ERR_EXECUTION, "vector cannot contain metrics with the same labelset");
    }
    row->drop_name = row->drop_name || base->drop_name;
    row->values[step] = base->values[step];
    if (base->histograms != NULL) {
        if (row_add_histograms(row, j->tmp, j->grid->count, err) != ERR_OK) {
            return ERR_LIMIT;
        }
        row->histograms[step] = base->histograms[step];
    }
    bits_set(row->present, step);
    return ERR_OK;
}

/* keys: those of the row's identity. */
static enum err_code join_row(struct joining *j, size_t index, const uint32_t *keys, size_t count,
                              uint32_t *winners, struct err *err) {
    const struct row *base = &j->base.rows[index];
    uint32_t at = NOBODY;
    bool known = false;
    enum err_code code = ERR_OK;
    for (size_t step = bits_next(base->present, j->grid->count, 0);
         step < j->grid->count && code == ERR_OK;
         step = bits_next(base->present, j->grid->count, step + 1)) {
        for (size_t i = 0; i < count; i++) {
            const uint32_t now = j->winner[keys[i]][step];
            known = known && winners[i] == now;
            winners[i] = now;
        }
        if (!known) {
            code = row_for(j, base, winners, count, &at, err);
            known = true;
        }
        if (code == ERR_OK) {
            code = put(j, at, base, step, err);
        }
    }
    return code == ERR_OK ? eval_worked(j->ev, j->grid->count + WORK_ROW, err) : code;
}

static enum err_code join_rows(struct joining *j, struct err *err) {
    uint32_t *keys = work_alloc(j->tmp, (size_t)j->keys.count + 1, 2 * sizeof(*keys), err);
    if (keys == NULL) {
        return ERR_LIMIT;
    }
    uint32_t *winners = keys + j->keys.count + 1;
    enum err_code code = label_index_init(&j->out_index, j->tmp, j->base.count, err);
    for (size_t i = 0; i < j->base.count && code == ERR_OK; i++) {
        const struct row *base = &j->base.rows[i];
        size_t n = 0;
        if (j->apart[i]) {
            uint32_t at = 0;
            const struct plan_info *info = j->info;
            const struct plan_info nothing_asked = {.data_count = 0};
            j->info = &nothing_asked;
            code = row_for(j, base, NULL, 0, &at, err);
            j->info = info;
            for (size_t step = bits_next(base->present, j->grid->count, 0);
                 step < j->grid->count && code == ERR_OK;
                 step = bits_next(base->present, j->grid->count, step + 1)) {
                code = put(j, at, base, step, err);
            }
            continue;
        }
        const struct labels identity =
            labels_keep(&j->tmp->arena, base->labels, IDENTITY, COUNT_OF(IDENTITY));
        uint32_t at = 0;
        if (label_index_find(&j->identities, identity, &at)) {
            for (uint32_t k = j->first_key[at]; k != NOBODY; k = j->next_key[k]) {
                keys[n++] = k;
            }
        }
        code = join_row(j, i, keys, n, winners, err);
    }
    return code;
}

static enum err_code join(struct joining *j, const struct plan_node *node, struct row_sink *sink,
                          struct err *err) {
    struct matrix_collect collect;
    matrix_init(&j->times, j->tmp, j->grid->count);
    matrix_init(&j->out, j->tmp, j->grid->count);
    matrix_collect_init(&collect, &j->times);
    enum err_code code = eval_matrix(j->ev, node->call.args[0], j->grid, j->tmp, &j->base, err);
    if (code == ERR_OK) {
        code = set_apart(j, err);
    }
    if (code == ERR_OK) {
        code = eval_selector(j->ev, j->info->series, j->grid, SAMPLE_TIME, &collect.sink, err);
    }
    if (code == ERR_OK) {
        code = find_winners(j, err);
    }
    if (code == ERR_OK) {
        code = join_rows(j, err);
    }
    return code == ERR_OK ? matrix_replay(&j->out, sink, err) : code;
}

enum err_code call_info(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                        struct row_sink *sink, struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct joining j = {.ev = ev, .info = node->call.info, .grid = grid, .tmp = &tmp};
    const uint64_t before = ev->samples_now;
    const enum err_code code = join(&j, node, sink, err);
    ev->samples_now = before;
    work_end(&tmp);
    return code;
}
