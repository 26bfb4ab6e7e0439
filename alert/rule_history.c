/* Rules as questions about the past. */
#include "alert/rule_file.h"
#include "alert/rule_group.h"
#include "base/mem.h"

struct rule_history *rule_history_load(struct arena *arena, struct vfs *vfs,
                                       struct query_engine *engine, const char *path,
                                       int64_t interval_ms,
                                       void (*on_error)(void *ctx, struct str text), void *ctx,
                                       size_t *out_count) {
    struct rule_group_spec *groups = NULL;
    size_t group_count = 0;
    size_t n = 0;
    if (!rule_file_load(arena, engine, vfs, path, on_error, ctx, &groups, &group_count, NULL)) {
        return NULL;
    }
    for (size_t i = 0; i < group_count; i++) {
        n += groups[i].rule_count;
    }
    struct rule_history *rules = arena_alloc(arena, (n + 1) * sizeof(*rules));
    n = 0;
    for (size_t i = 0; i < group_count; i++) {
        const struct rule_group_spec *g = &groups[i];
        const int64_t interval_ns =
            (g->interval_ms != 0 ? g->interval_ms : interval_ms) * NS_PER_MS;
        const int64_t offset_ns = rule_group_offset_ns(g->file, g->name, interval_ns);
        for (size_t k = 0; k < g->rule_count; k++) {
            rules[n++] = (struct rule_history){.name = g->rules[k].name,
                                               .expr = g->rules[k].expr,
                                               .labels = g->rules[k].labels,
                                               .interval_ns = interval_ns,
                                               .offset_ns = offset_ns};
        }
    }
    *out_count = n;
    return rules;
}
