/* Rule files under check: nothing is run. */
#include <stdlib.h>

#include "alert/alert.h"
#include "alert/rule_file.h"

static int by_name_and_labels(const void *a, const void *b) {
    const struct rule_duplicate *x = a;
    const struct rule_duplicate *y = b;
    const int names = str_cmp(x->name, y->name);
    return names != 0 ? names : labels_cmp(x->labels, y->labels);
}

/* Those of the sorted list that have an equal neighbour, once each, moved to its front. */
static size_t keep_duplicates(struct rule_duplicate *rules, size_t count) {
    size_t kept = 0;
    for (size_t first = 0; first < count;) {
        size_t last = first + 1;
        while (last < count && by_name_and_labels(&rules[first], &rules[last]) == 0) {
            last++;
        }
        if (last - first > 1) {
            rules[kept++] = rules[first];
        }
        first = last;
    }
    return kept;
}

static void find_duplicates(struct arena *arena, const struct rule_group_spec *groups, size_t count,
                            struct rule_check_result *out) {
    struct rule_duplicate *rules = arena_alloc(arena, (out->rule_count + 1) * sizeof(*rules));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < groups[i].rule_count; k++) {
            rules[n++] =
                (struct rule_duplicate){groups[i].rules[k].name, groups[i].rules[k].labels};
        }
    }
    if (n > 1) {
        qsort(rules, n, sizeof(*rules), by_name_and_labels);
    }
    out->duplicates = rules;
    out->duplicate_count = keep_duplicates(rules, n);
}

bool rule_check_run(const struct rule_checking *check, struct arena *arena,
                    void (*on_error)(void *ctx, struct str text), void *ctx,
                    struct rule_check_result *out) {
    const struct rule_parsing parsing = {.engine = check->engine, .any_fields = check->any_fields};
    struct rule_group_spec *groups = NULL;
    size_t count = 0;
    const bool ok = check->path != NULL
                        ? rule_file_load_with(&parsing, arena, check->vfs, check->path, on_error,
                                              ctx, &groups, &count, NULL)
                        : rule_file_parse_with(&parsing, arena, STR(""), check->text, on_error, ctx,
                                               &groups, &count, NULL);
    *out = (struct rule_check_result){.rule_count = 0};
    if (!ok) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        out->rule_count += groups[i].rule_count;
    }
    find_duplicates(arena, groups, count, out);
    return true;
}

bool rule_files_check(struct vfs *vfs, struct query_engine *engine, const char *path,
                      void (*on_error)(void *ctx, struct str text), void *ctx, size_t *out_rules) {
    const struct rule_checking check = {.engine = engine, .vfs = vfs, .path = path};
    struct rule_check_result result;
    struct arena arena;
    arena_init(&arena, 0);
    const bool ok = rule_check_run(&check, &arena, on_error, ctx, &result);
    *out_rules = result.rule_count;
    arena_release(&arena);
    return ok;
}
