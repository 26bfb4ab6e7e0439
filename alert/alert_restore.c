/* After a restart the "for" clocks of alerts go on where ALERTS_FOR_STATE left them
 * (spec/rules-alerts.md section 3, "Restore"). */
#include "alert/rule_group.h"

enum { RESTORE_MEMORY_MAX = 256 * 1024 * 1024 };

struct restore {
    struct rule_env *env;
    struct arena arena;
    int64_t now_ms;
    /* the found series, last sample each */
    struct labels *labels;
    int64_t *active_at_s, *down_at_s;
    size_t count;
};

/* alertname and the static labels of the rule pick its series. */
static enum err_code make_matchers(struct restore *r, const struct rule *rule, struct matcher **out,
                                   size_t *out_count, struct err *err) {
    struct matcher *m = arena_alloc(&r->arena, (rule->label_count + 2) * sizeof(*m));
    size_t n = 0;
    enum err_code code =
        matcher_init(&r->arena, MATCH_EQUAL, LABEL_NAME, STR("ALERTS_FOR_STATE"), &m[n++], err);
    if (code == ERR_OK) {
        code = matcher_init(&r->arena, MATCH_EQUAL, STR("alertname"), rule->name, &m[n++], err);
    }
    for (size_t i = 0; i < rule->label_count && code == ERR_OK; i++) {
        const struct rule_template *t = &rule->label_templates[i];
        if (t->parsed == NULL && t->parse_error.len == 0 && t->text.len != 0) {
            code = matcher_init(&r->arena, MATCH_EQUAL, t->name, t->text, &m[n++], err);
        }
    }
    *out = m;
    *out_count = n;
    return code;
}

static enum err_code find_series(struct restore *r, const struct rule *rule, struct err *err) {
    struct storage *st = r->env->options.storage;
    struct matcher *matchers = NULL;
    size_t matcher_count = 0;
    enum err_code code = make_matchers(r, rule, &matchers, &matcher_count, err);
    struct storage_querier *q = NULL;
    struct storage_selection *sel = NULL;
    const int64_t from_ms = r->now_ms - r->env->options.outage_tolerance_ms;
    if (code == ERR_OK) {
        code = storage_querier_open(st, from_ms, r->now_ms, &r->arena, NULL, &q, err);
    }
    if (code == ERR_OK) {
        code = storage_select(st, q, matchers, matcher_count, NULL, &sel, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    size_t count = 0;
    const struct storage_series *series = storage_selection_series(st, sel, &count);
    struct storage_samples *samples = arena_try_alloc(&r->arena, count + 1, sizeof(*samples));
    r->labels = arena_try_alloc(&r->arena, count + 1, sizeof(*r->labels));
    r->active_at_s = arena_try_alloc(&r->arena, count + 1, sizeof(*r->active_at_s));
    r->down_at_s = arena_try_alloc(&r->arena, count + 1, sizeof(*r->down_at_s));
    if (samples == NULL || r->labels == NULL || r->active_at_s == NULL || r->down_at_s == NULL) {
        return err_set(err, ERR_LIMIT, "%zu alert states are too many to restore", count);
    }
    code = storage_read(st, q, sel, 0, count, from_ms, r->now_ms, &r->arena, samples, err);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        const size_t n = samples[i].count;
        if (n == 0 || f64_is_stale(samples[i].values[n - 1]) ||
            !(samples[i].values[n - 1] > -1e15 && samples[i].values[n - 1] < 1e15)) {
            continue;
        }
        static const struct str name[] = {STR_INIT("__name__")};
        const struct labels whole =
            labels_merge(&r->arena, storage_set_labels(st, q, series[i].target_set),
                         storage_set_labels(st, q, series[i].metric_set));
        r->labels[r->count] = labels_drop(&r->arena, whole, name, 1);
        r->active_at_s[r->count] = (int64_t)samples[i].values[n - 1];
        r->down_at_s[r->count++] = samples[i].ts[n - 1] / 1000;
    }
    return code;
}

static void restore_alert(const struct restore *r, size_t i, struct alert *a, int64_t for_ms) {
    const int64_t grace_ms = r->env->options.grace_period_ms;
    const int64_t spent_ms = (r->down_at_s[i] - r->active_at_s[i]) * 1000;
    const int64_t remaining_ms = for_ms - spent_ms;
    if (remaining_ms <= 0) {
        a->active_at_ms = r->active_at_s[i] * 1000;
    } else if (remaining_ms < grace_ms) {
        a->active_at_ms = r->now_ms + grace_ms - for_ms;
    } else {
        a->active_at_ms = r->active_at_s[i] * 1000 + (r->now_ms - r->down_at_s[i] * 1000);
    }
}

static void restore_rule(struct rule_state *state, struct rule_env *env, int64_t now_ms) {
    struct restore r = {.env = env, .now_ms = now_ms};
    arena_init(&r.arena, RESTORE_MEMORY_MAX);
    struct err err;
    if (find_series(&r, state->rule, &err) != ERR_OK) {
        log_error(env->options.log, "rule manager", "Failed to restore 'for' state",
                  log_str("alert", state->rule->name), log_err(&err));
        r.count = 0;
    }
    mutex_lock(env->mu);
    for (size_t i = 0; i < r.count; i++) {
        struct alert *a = alert_set_find(&state->alerts, r.labels[i]);
        if (a != NULL) {
            restore_alert(&r, i, a, state->rule->for_ms);
        }
    }
    mutex_unlock(env->mu);
    arena_release(&r.arena);
}

void rule_group_restore(struct rule_group *g, struct rule_env *env, int64_t now_ms) {
    const int64_t start_ns = clock_mono_ns(env->options.clock);
    for (size_t i = 0; i < g->spec->rule_count; i++) {
        struct rule_state *state = &g->rules[i];
        if (state->rule->alerting && !state->restored &&
            state->rule->for_ms >= env->options.grace_period_ms) {
            restore_rule(state, env, now_ms);
        }
        state->restored = true;
    }
    rule_group_metrics_restored(&g->metrics, clock_mono_ns(env->options.clock) - start_ns);
}
