/* Rules under test: the groups of some files, evaluated when the caller says so. Scheduling,
 * notifications and restoring are left out; the rules are those that the manager runs. */
#include "alert/alert.h"
#include "alert/rule_group.h"
#include "base/mem.h"

enum { SESSION_FILE_BYTES_MAX = 1 << 30 };

struct rule_session {
    struct rule_env env;
    struct mutex mu;
    int64_t interval_ms;
    struct rule_group **groups;
    size_t group_count, group_capacity;
};

struct rule_session *rule_session_new(const struct rule_session_options *options) {
    struct rule_session *s = mem_zalloc(sizeof(*s));
    mutex_init(&s->mu);
    cancel_init(&s->env.cancel, options->clock, 0);
    s->env.mu = &s->mu;
    s->env.options = (struct rule_options){.storage = options->storage,
                                           .engine = options->engine,
                                           .vfs = options->vfs,
                                           .clock = options->clock};
    s->env.external_labels = options->external_labels;
    s->env.external_url = options->external_url;
    s->env.rule_seconds = metric_histogram(NULL, "", "", NULL, 0, NULL, 0);
    s->env.group_seconds = metric_histogram(NULL, "", "", NULL, 0, NULL, 0);
    s->env.rule_summary = metric_summary(NULL, "", "", NULL, 0, NULL, 0);
    s->env.group_summary = metric_summary(NULL, "", "", NULL, 0, NULL, 0);
    s->interval_ms = options->interval_ms;
    return s;
}

void rule_session_free(struct rule_session *s) {
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->group_count; i++) {
        rule_group_free(s->groups[i]);
    }
    mem_free(s->groups);
    mem_free(s);
}

static void add_group(struct rule_session *s, struct generation *file,
                      const struct rule_group_spec *spec) {
    if (s->group_count == s->group_capacity) {
        s->group_capacity = mem_grow(s->group_capacity, s->group_count + 1);
        s->groups = mem_resize(s->groups, s->group_capacity, sizeof(struct rule_group *));
    }
    struct rule_group *g = rule_group_new(file, spec, s->interval_ms, 0, true, 0);
    rule_group_metrics_init(&g->metrics, NULL, spec->file, spec->name);
    s->groups[s->group_count++] = g;
}

bool rule_session_load(struct rule_session *s, const char *path,
                       void (*on_error)(void *ctx, struct str text), void *ctx) {
    struct generation *file = generation_new(SESSION_FILE_BYTES_MAX);
    struct rule_group_spec *specs = NULL;
    size_t count = 0;
    const bool ok = rule_file_load(generation_arena(file), s->env.options.engine,
                                   s->env.options.vfs, path, on_error, ctx, &specs, &count, NULL);
    for (size_t i = 0; ok && i < count; i++) {
        add_group(s, file, &specs[i]);
    }
    generation_unref(file); /* the groups hold their own */
    return ok;
}

static size_t order_of(const struct rule_group *g, const struct str *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (str_eq(g->spec->name, names[i])) {
            return i;
        }
    }
    return 0;
}

/* An insertion sort: few groups, and equal ones must stay as they are. */
void rule_session_order(struct rule_session *s, const struct str *names, size_t count) {
    for (size_t i = 1; i < s->group_count; i++) {
        struct rule_group *g = s->groups[i];
        const size_t order = order_of(g, names, count);
        size_t at = i;
        for (; at > 0 && order_of(s->groups[at - 1], names, count) > order; at--) {
            s->groups[at] = s->groups[at - 1];
        }
        s->groups[at] = g;
    }
}

void rule_session_evaluate(struct rule_session *s, int64_t ts_ms, rule_session_error_fn *on_error,
                           void *ctx) {
    for (size_t i = 0; i < s->group_count; i++) {
        rule_group_evaluate(s->groups[i], &s->env, ts_ms);
    }
    for (size_t i = 0; i < s->group_count; i++) {
        const struct rule_group *g = s->groups[i];
        for (size_t k = 0; k < g->spec->rule_count; k++) {
            if (g->rules[k].last_error != NULL) {
                on_error(ctx, g->spec->rules[k].name, str_of(g->rules[k].last_error));
            }
        }
    }
}

static void add_firing(const struct rule_state *rule, struct arena *arena, struct alert_info *out,
                       size_t *count) {
    for (size_t i = 0; i < rule->alerts.count; i++) {
        const struct alert *a = rule->alerts.items[i];
        if (a->state == ALERT_FIRING) {
            out[(*count)++] = (struct alert_info){.labels = labels_copy(arena, a->labels),
                                                  .annotations = labels_copy(arena, a->annotations),
                                                  .state = a->state,
                                                  .active_at_ms = a->active_at_ms,
                                                  .value = a->value};
        }
    }
}

void rule_session_firing(const struct rule_session *s, struct str alertname, struct arena *arena,
                         struct alert_info **out, size_t *out_count) {
    size_t max = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        *out = arena_alloc(arena, (max + 1) * sizeof(**out));
        *out_count = 0;
        for (size_t i = 0; i < s->group_count; i++) {
            const struct rule_group *g = s->groups[i];
            for (size_t k = 0; k < g->spec->rule_count; k++) {
                if (!g->spec->rules[k].alerting || !str_eq(g->spec->rules[k].name, alertname)) {
                    continue;
                }
                if (pass == 0) {
                    max += g->rules[k].alerts.count;
                } else {
                    add_firing(&g->rules[k], arena, *out, out_count);
                }
            }
        }
    }
}
