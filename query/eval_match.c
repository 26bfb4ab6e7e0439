#include "query/eval_match.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *left, const void *right) {
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

/* Sorted, each once; one is added when it is not "". */
static enum err_code sorted_names(struct work *tmp, const struct str *names, size_t count,
                                  struct str one, const struct str **out, size_t *out_count,
                                  struct err *err) {
    struct str *sorted = work_alloc(tmp, count + 1, sizeof(*sorted), err);
    if (sorted == NULL) {
        return ERR_LIMIT;
    }
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        sorted[n++] = names[i];
    }
    if (one.len > 0) {
        sorted[n++] = one;
    }
    qsort(sorted, n, sizeof(*sorted), by_text);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !str_eq(sorted[kept - 1], sorted[i])) {
            sorted[kept++] = sorted[i];
        }
    }
    *out = sorted;
    *out_count = kept;
    return ERR_OK;
}

static enum err_code sign_rows(struct match_side *side, const struct str *dropped,
                               size_t dropped_count, struct work *tmp, struct err *err) {
    const size_t rows = side->rows.count;
    side->signature = work_alloc(tmp, rows + 1, sizeof(*side->signature), err);
    enum err_code code =
        side->signature != NULL ? label_index_init(&side->index, tmp, rows, err) : ERR_LIMIT;
    for (size_t i = 0; i < rows && code == ERR_OK; i++) {
        const struct labels labels = side->rows.rows[i].labels;
        struct labels key = {0};
        if (side->on == NULL) {
            key = labels_drop(&tmp->arena, labels, dropped, dropped_count);
        } else if (side->on_count > 0) {
            key = labels_keep(&tmp->arena, labels, side->on, side->on_count);
        }
        code = label_index_find_or_add(&side->index, key, &side->signature[i], err);
        if (code == ERR_OK) {
            code = work_did(tmp->budget, WORK_ROW + labels.size / 16, err);
        }
        if (code == ERR_OK) {
            code = work_check(tmp, err);
        }
    }
    return code;
}

static enum err_code list_members(struct match_side *side, struct work *tmp, struct err *err) {
    const size_t rows = side->rows.count;
    const size_t count = side->index.count;
    side->first = work_zalloc(tmp, count + 2, sizeof(*side->first), err);
    side->members =
        side->first != NULL ? work_alloc(tmp, rows + 1, sizeof(*side->members), err) : NULL;
    if (side->members == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < rows; i++) {
        side->first[side->signature[i] + 2]++;
    }
    for (size_t s = 2; s < count + 2; s++) {
        side->first[s] += side->first[s - 1];
    }
    for (size_t i = 0; i < rows; i++) {
        side->members[side->first[side->signature[i] + 1]++] = (uint32_t)i;
    }
    return ERR_OK;
}

enum err_code match_side_eval(struct match_side *side, struct eval *ev,
                              const struct plan_node *node, const struct grid *grid,
                              const struct vector_matching *matching, struct work *tmp,
                              struct err *err) {
    *side = (struct match_side){.on_count = 0};
    const struct str *dropped = NULL;
    size_t dropped_count = 0;
    enum err_code code = eval_matrix(ev, node, grid, tmp, &side->rows, err);
    if (code == ERR_OK && matching->on) {
        code = sorted_names(tmp, matching->labels, matching->label_count, STR(""), &side->on,
                            &side->on_count, err);
    } else if (code == ERR_OK) {
        code = sorted_names(tmp, matching->labels, matching->label_count, STR(""), &side->ignored,
                            &side->ignored_count, err);
        if (code == ERR_OK) {
            code = sorted_names(tmp, matching->labels, matching->label_count, LABEL_NAME, &dropped,
                                &dropped_count, err);
        }
    }
    if (code == ERR_OK) {
        code = sign_rows(side, dropped, dropped_count, tmp, err);
    }
    return code == ERR_OK ? list_members(side, tmp, err) : code;
}

struct labels match_one_to_one_labels(const struct match_side *side, struct labels labels,
                                      struct arena *arena) {
    if (side->on == NULL) {
        return labels_drop(arena, labels, side->ignored, side->ignored_count);
    }
    if (side->on_count == 0) {
        return (struct labels){0};
    }
    return labels_keep(arena, labels, side->on, side->on_count);
}
