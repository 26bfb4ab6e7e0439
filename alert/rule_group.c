#include "alert/rule_group.h"

#include "base/mem.h"

static int64_t slot_of(const struct rule_group *g, int64_t unix_ns) {
    const int64_t shifted = unix_ns - g->offset_ns;
    return shifted - shifted % g->interval_ns + g->offset_ns;
}

int64_t rule_group_offset_ns(struct str file, struct str name, int64_t interval_ns) {
    struct arena scratch;
    arena_init(&scratch, 0);
    const struct label key[] = {{STR("file"), file}, {STR("name"), name}};
    const uint64_t hash = labels_hash(labels_of(&scratch, key, 2));
    arena_release(&scratch);
    return (int64_t)(hash % (uint64_t)interval_ns);
}

struct rule_group *rule_group_new(struct generation *file, const struct rule_group_spec *spec,
                                  int64_t interval_ms, int64_t query_offset_ms, bool restored,
                                  int64_t now_unix_ns) {
    struct rule_group *g = mem_zalloc(sizeof(*g));
    g->file = generation_ref(file);
    g->spec = spec;
    g->interval_ns = (spec->interval_ms != 0 ? spec->interval_ms : interval_ms) * NS_PER_MS;
    g->query_offset_ms = spec->query_offset_ms >= 0 ? spec->query_offset_ms : query_offset_ms;
    g->rules = mem_zalloc((spec->rule_count + 1) * sizeof(*g->rules));
    for (size_t i = 0; i < spec->rule_count; i++) {
        g->rules[i].rule = &spec->rules[i];
        g->rules[i].restored = restored;
        series_list_init(&g->rules[i].previous);
    }
    series_list_init(&g->orphans);

    g->offset_ns = rule_group_offset_ns(spec->file, spec->name, g->interval_ns);
    g->slot_unix_ns = slot_of(g, now_unix_ns);
    g->next_unix_ns = g->slot_unix_ns + g->interval_ns;
    return g;
}

void rule_group_free(struct rule_group *g) {
    if (g == NULL) {
        return;
    }
    for (size_t i = 0; i < g->spec->rule_count; i++) {
        alert_set_release(&g->rules[i].alerts);
        series_list_release(&g->rules[i].previous);
        mem_free(g->rules[i].last_error);
    }
    mem_free(g->rules);
    series_list_release(&g->orphans);
    rule_group_metrics_release(&g->metrics, false);
    generation_unref(g->file);
    mem_free(g);
}

static bool same_rule(const struct rule *a, const struct rule *b) {
    return a->alerting == b->alerting && str_eq(a->name, b->name) && str_eq(a->expr, b->expr) &&
           a->for_ms == b->for_ms && a->keep_firing_for_ms == b->keep_firing_for_ms &&
           labels_eq(a->labels, b->labels) && labels_eq(a->annotations, b->annotations);
}

bool rule_group_same(const struct rule_group *a, const struct rule_group *b) {
    if (!str_eq(a->spec->file, b->spec->file) || !str_eq(a->spec->name, b->spec->name) ||
        a->interval_ns != b->interval_ns || a->query_offset_ms != b->query_offset_ms ||
        a->spec->limit != b->spec->limit || a->spec->rule_count != b->spec->rule_count) {
        return false;
    }
    for (size_t i = 0; i < a->spec->rule_count; i++) {
        if (!same_rule(&a->spec->rules[i], &b->spec->rules[i])) {
            return false;
        }
    }
    return true;
}

void rule_group_take_state(struct rule_group *to, struct rule_group *from) {
    bool *used = mem_zalloc(from->spec->rule_count + 1);
    for (size_t i = 0; i < to->spec->rule_count; i++) {
        for (size_t k = 0; k < from->spec->rule_count; k++) {
            if (used[k] || !str_eq(to->rules[i].rule->name, from->rules[k].rule->name) ||
                !labels_eq(to->rules[i].rule->labels, from->rules[k].rule->labels)) {
                continue;
            }
            used[k] = true;
            series_list_release(&to->rules[i].previous);
            to->rules[i].previous = from->rules[k].previous;
            series_list_init(&from->rules[k].previous);
            to->rules[i].alerts = from->rules[k].alerts;
            from->rules[k].alerts = (struct alert_set){.count = 0};
            break;
        }
    }
    for (size_t k = 0; k < from->spec->rule_count; k++) {
        series_list_take(&to->orphans, &from->rules[k].previous);
    }
    series_list_take(&to->orphans, &from->orphans);
    mem_free(used);
}

void rule_group_schedule(struct rule_group *g, int64_t now_unix_ns) {
    if (now_unix_ns < g->slot_unix_ns) {
        g->slot_unix_ns = slot_of(g, now_unix_ns);
    } else {
        const int64_t missed = (now_unix_ns - g->slot_unix_ns) / g->interval_ns - 1;
        if (missed > 0) {
            metric_add(g->metrics.items[GROUP_MISSED], (double)missed);
            metric_add(g->metrics.items[GROUP_ITERATIONS], (double)missed);
        }
        g->slot_unix_ns += (missed + 1) * g->interval_ns;
    }
    g->next_unix_ns = g->slot_unix_ns + g->interval_ns;
}

static void end_orphans(struct rule_group *g, struct rule_env *env, int64_t ts_ms) {
    if (g->orphans.count == 0) {
        return;
    }
    struct storage *st = env->options.storage;
    struct storage_appender *a = NULL;
    struct err err;
    if (storage_appender_begin(st, &a, &err) != ERR_OK) {
        log_warn(env->options.log, "rule manager",
                 "Stale marker append for previous configuration failed", log_err(&err));
        return;
    }
    /* a series that a rule of the group writes again goes on */
    for (size_t i = 0; i < g->spec->rule_count; i++) {
        for (size_t k = 0; k < g->orphans.count; k++) {
            if (series_list_has(&g->rules[i].previous, g->orphans.items[k])) {
                g->orphans.items[k] = g->orphans.items[--g->orphans.count];
                k--;
            }
        }
    }
    rule_end_series(st, a, &g->orphans, NULL, ts_ms);
    if (storage_appender_commit(st, a, &err) != ERR_OK) {
        log_warn(env->options.log, "rule manager",
                 "Stale marker append for previous configuration failed", log_err(&err));
        return;
    }
    series_list_release(&g->orphans);
}

static void count_evaluation(struct rule_group *g, struct rule_env *env, int64_t ts_ms,
                             int64_t took_ns, size_t sample_count) {
    int64_t rules_ns = 0;
    for (size_t i = 0; i < g->spec->rule_count; i++) {
        rules_ns += g->rules[i].evaluation_ns;
    }
    struct metric *const *m = g->metrics.items;
    metric_inc(m[GROUP_ITERATIONS]);
    metric_set(m[GROUP_LAST_DURATION_SECONDS], (double)took_ns / 1e9);
    metric_set(m[GROUP_LAST_EVALUATION_SECONDS], (double)ts_ms / 1e3);
    metric_set(m[GROUP_LAST_RULES_SECONDS], (double)rules_ns / 1e9);
    metric_set(m[GROUP_LAST_SAMPLES], (double)sample_count);
    metric_observe(env->group_seconds, (double)took_ns / 1e9);
    metric_summarize(env->group_summary, (double)took_ns / 1e9);
}

void rule_group_evaluate(struct rule_group *g, struct rule_env *env, int64_t ts_ms) {
    const int64_t start_ns = clock_mono_ns(env->options.clock);
    size_t sample_count = 0;
    for (size_t i = 0; i < g->spec->rule_count && cancel_check(&env->cancel) == ERR_OK; i++) {
        sample_count += rule_evaluate(g, &g->rules[i], env, ts_ms);
    }
    end_orphans(g, env, ts_ms - g->query_offset_ms);
    const int64_t took_ns = clock_mono_ns(env->options.clock) - start_ns;
    mutex_lock(env->mu);
    g->evaluation_ns = took_ns;
    g->last_evaluation_unix_ns = ts_ms * NS_PER_MS;
    g->evaluation_count++;
    mutex_unlock(env->mu);
    count_evaluation(g, env, ts_ms, took_ns, sample_count);
}

void rule_group_end_series(struct rule_group *g, struct rule_env *env, int64_t ts_ms) {
    for (size_t i = 0; i < g->spec->rule_count; i++) {
        series_list_take(&g->orphans, &g->rules[i].previous);
    }
    end_orphans(g, env, ts_ms - g->query_offset_ms);
}
