/* One evaluation of one rule: query, results to samples and alerts, write, end what is gone. The
 * query runs without a lock; the state that the API shows changes under env->mu in one go. */
#include "alert/rule_group.h"
#include "base/mem.h"
#include "base/url.h"

enum { EVAL_MEMORY_MAX = 1 << 30 };

struct sample {
    struct labels labels;
    double value;
    const struct histogram *histogram; /* NULL: value */
};

struct evaluation {
    struct rule_group *group;
    struct rule_state *state;
    struct rule_env *env;
    struct arena arena;
    int64_t ts_ms;        /* of the evaluation */
    int64_t sample_ts_ms; /* ts - query_offset */
    struct query_result result;
    struct sample *samples; /* to write */
    size_t sample_count;
};

/* ---- results ---- */

static struct query_origin origin_of(const struct evaluation *e) {
    return (struct query_origin){.rule_group = e->group->spec->name,
                                 .rule_file = e->group->spec->file};
}

static enum err_code run_query(struct evaluation *e, struct err *err) {
    const struct query_origin origin = origin_of(e);
    const struct query query = {.origin = &origin,
                                .text = e->state->rule->expr,
                                .start_ms = e->sample_ts_ms,
                                .end_ms = e->sample_ts_ms,
                                .cancel = &e->env->cancel};
    const enum err_code code = query_run(e->env->options.engine, e->env->options.storage, &query,
                                         &e->arena, &e->result, err);
    if (code != ERR_OK) {
        return code;
    }
    if (e->result.type == RESULT_SCALAR) {
        struct result_series *one = arena_zalloc(&e->arena, sizeof(*one));
        double *value = arena_alloc(&e->arena, sizeof(*value));
        int64_t *ts = arena_alloc(&e->arena, sizeof(*ts));
        *value = e->result.scalar;
        *ts = e->result.ts_ms;
        *one = (struct result_series){.ts = ts, .values = value, .count = 1};
        e->result.type = RESULT_VECTOR;
        e->result.series = one;
        e->result.series_count = 1;
    }
    if (e->result.type != RESULT_VECTOR) {
        return err_set(err, ERR_EXECUTION, "rule result is not a vector or scalar");
    }
    return ERR_OK;
}

static const struct histogram *histogram_of(const struct result_series *s) {
    return s->histograms != NULL ? s->histograms[0] : NULL;
}

/* An alert of a histogram has the value 0, as with Prometheus. */
static double value_of(const struct result_series *s) {
    return histogram_of(s) == NULL ? s->values[0] : 0;
}

static enum err_code no_duplicates(const struct sample *samples, size_t count, const char *after,
                                   struct err *err) {
    struct series_list list;
    series_list_init(&list);
    for (size_t i = 0; i < count; i++) {
        series_list_add(&list, samples[i].labels);
    }
    series_list_sort(&list);
    const bool twice = series_list_has_duplicates(&list);
    series_list_release(&list);
    return twice
               ? err_set(err, ERR_EXECUTION,
                         "vector contains metrics with the same labelset after applying %s labels",
                         after)
               : ERR_OK;
}

static enum err_code record(struct evaluation *e, struct err *err) {
    const struct rule *rule = e->state->rule;
    const size_t count = e->result.series_count;
    e->samples = arena_try_alloc(&e->arena, count + 1, sizeof(*e->samples));
    if (e->samples == NULL) {
        return err_set(err, ERR_LIMIT, "rule result with %zu series is too large", count);
    }
    struct labels_builder b;
    labels_builder_init(&b, &e->arena);
    for (size_t i = 0; i < count; i++) {
        labels_builder_reset(&b, e->result.series[i].labels);
        labels_builder_set(&b, LABEL_NAME, rule->name);
        struct labels_iter it = labels_begin(rule->labels);
        struct label l;
        while (labels_next(&it, &l)) {
            labels_builder_set(&b, l.name, l.value);
        }
        const enum err_code code = labels_builder_finish(&b, &e->samples[i].labels, err);
        if (code != ERR_OK) {
            return code;
        }
        e->samples[i].value = value_of(&e->result.series[i]);
        e->samples[i].histogram = histogram_of(&e->result.series[i]);
    }
    const enum err_code code = no_duplicates(e->samples, count, "rule", err);
    if (code != ERR_OK) {
        return code;
    }
    if (e->group->spec->limit > 0 && count > (uint64_t)e->group->spec->limit) {
        return err_set(err, ERR_EXECUTION, "exceeded limit of %lld with %zu series",
                       (long long)e->group->spec->limit, count);
    }
    e->sample_count = count;
    return ERR_OK;
}

/* ---- alerts ---- */

static enum err_code template_query(void *ctx, struct str expr, int64_t ts_ms, struct arena *arena,
                                    struct template_sample **out, size_t *out_count,
                                    struct err *err) {
    struct evaluation *e = ctx;
    const struct query_origin origin = origin_of(e);
    const struct query query = {.text = expr,
                                .start_ms = ts_ms,
                                .end_ms = ts_ms,
                                .cancel = &e->env->cancel,
                                .origin = &origin};
    struct query_result result;
    const enum err_code code =
        query_run(e->env->options.engine, e->env->options.storage, &query, arena, &result, err);
    if (code != ERR_OK) {
        return code;
    }
    if (result.type != RESULT_VECTOR && result.type != RESULT_SCALAR) {
        return err_set(err, ERR_EXECUTION, "query result is not a vector or scalar");
    }
    const size_t count = result.type == RESULT_SCALAR ? 1 : result.series_count;
    struct template_sample *list = arena_try_alloc(arena, count + 1, sizeof(*list));
    if (list == NULL) {
        return err_set(err, ERR_LIMIT, "query result with %zu series is too large", count);
    }
    for (size_t i = 0; i < count; i++) {
        list[i] =
            result.type == RESULT_SCALAR
                ? (struct template_sample){.value = result.scalar}
                : (struct template_sample){result.series[i].labels, value_of(&result.series[i])};
    }
    *out = list;
    *out_count = count;
    return ERR_OK;
}

static struct str expand(struct evaluation *e, const struct rule_template *t,
                         const struct template_data *data) {
    struct str text;
    struct err err;
    if (t->parse_error.len != 0) {
        return arena_printf(&e->arena, "<error expanding template: %.*s>", STR_ARG(t->parse_error));
    }
    if (t->parsed == NULL) {
        return t->text;
    }
    if (template_expand(t->parsed, data, &e->arena, &text, &err) != ERR_OK) {
        log_warn(e->env->options.log, "rule manager", "Expanding alert template failed",
                 log_str("alert", e->state->rule->name), log_err(&err));
        return arena_printf(&e->arena, "<error expanding template: %s>", err.text);
    }
    return text;
}

struct instance {
    struct labels labels, annotations;
    double value;
};

static enum err_code make_instance(struct evaluation *e, const struct result_series *s,
                                   struct labels_builder *b, struct instance *out,
                                   struct err *err) {
    const struct rule *rule = e->state->rule;
    const struct template_data data = {
        .labels = s->labels,
        .external_labels = e->env->external_labels,
        .external_url = e->env->external_url,
        .value = value_of(s),
        .ts_ms = e->ts_ms,
        .query = template_query,
        .query_ctx = e,
    };
    labels_builder_reset(b, s->labels);
    labels_builder_del(b, LABEL_NAME);
    for (size_t i = 0; i < rule->label_count; i++) {
        labels_builder_set(b, rule->label_templates[i].name,
                           expand(e, &rule->label_templates[i], &data));
    }
    labels_builder_set(b, STR("alertname"), rule->name);
    enum err_code code = labels_builder_finish(b, &out->labels, err);
    if (code != ERR_OK) {
        return code;
    }
    labels_builder_reset(b, (struct labels){NULL, 0});
    for (size_t i = 0; i < rule->annotation_count; i++) {
        labels_builder_set(b, rule->annotation_templates[i].name,
                           expand(e, &rule->annotation_templates[i], &data));
    }
    out->value = value_of(s);
    return labels_builder_finish(b, &out->annotations, err);
}

static enum err_code make_instances(struct evaluation *e, struct instance **out, struct err *err) {
    const size_t count = e->result.series_count;
    struct instance *list = arena_try_alloc(&e->arena, count + 1, sizeof(*list));
    struct sample *keys = arena_try_alloc(&e->arena, count + 1, sizeof(*keys));
    if (list == NULL || keys == NULL) {
        return err_set(err, ERR_LIMIT, "rule result with %zu series is too large", count);
    }
    struct labels_builder b;
    labels_builder_init(&b, &e->arena);
    for (size_t i = 0; i < count; i++) {
        const enum err_code code = make_instance(e, &e->result.series[i], &b, &list[i], err);
        if (code != ERR_OK) {
            return code;
        }
        keys[i].labels = list[i].labels;
    }
    *out = list;
    return no_duplicates(keys, count, "alert", err);
}

/* The rule's raw labels overlaid by the alert's, then the name. */
static enum err_code alert_sample(struct evaluation *e, const struct alert *a, const char *name,
                                  const char *state, double value, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, &e->arena);
    labels_builder_reset(&b, labels_merge(&e->arena, e->state->rule->labels, a->labels));
    labels_builder_set(&b, LABEL_NAME, str_of(name));
    labels_builder_set(&b, STR("alertname"), e->state->rule->name);
    if (state != NULL) {
        labels_builder_set(&b, STR("alertstate"), str_of(state));
    }
    struct sample *s = &e->samples[e->sample_count];
    const enum err_code code = labels_builder_finish(&b, &s->labels, err);
    if (code == ERR_OK) {
        s->value = value;
        s->histogram = NULL;
        e->sample_count++;
    }
    return code;
}

static struct str generator_url(struct evaluation *e) {
    struct buf text;
    buf_init(&text, EVAL_MEMORY_MAX);
    buf_append_str(&text, e->env->external_url);
    buf_append_cstr(&text, "/graph?g0.expr=");
    url_query_escape(&text, e->state->rule->expr);
    buf_append_cstr(&text, "&g0.tab=1");
    const struct str url = arena_str(&e->arena, buf_str(&text));
    buf_release(&text);
    return url;
}

/* Copies what has to be sent now, and notes that it was. */
static size_t collect_messages_locked(struct evaluation *e, struct alert_message *messages)
    REQUIRES(*e->env->mu) {
    const int64_t resend_ms = e->env->options.resend_delay_ms;
    const int64_t interval_ms = e->group->interval_ns / NS_PER_MS;
    const struct str url = generator_url(e);
    size_t count = 0;
    for (size_t i = 0; i < e->state->alerts.count; i++) {
        struct alert *a = e->state->alerts.items[i];
        if (!alert_needs_sending(a, e->ts_ms, resend_ms)) {
            continue;
        }
        a->last_sent_at_ms = e->ts_ms;
        a->valid_until_ms = e->ts_ms + 4 * (interval_ms > resend_ms ? interval_ms : resend_ms);
        messages[count++] = (struct alert_message){
            .labels = labels_copy(&e->arena, a->labels),
            .annotations = labels_copy(&e->arena, a->annotations),
            .starts_at_ms = a->fired_at_ms,
            .ends_at_ms = a->resolved_at_ms != 0 ? a->resolved_at_ms : a->valid_until_ms,
            .generator_url = url,
        };
    }
    return count;
}

static enum err_code update_alerts_locked(struct evaluation *e, const struct instance *list,
                                          struct alert_message **messages, size_t *message_count,
                                          struct err *err) REQUIRES(*e->env->mu) {
    const struct rule *rule = e->state->rule;
    struct alert_set *set = &e->state->alerts;
    for (size_t i = 0; i < e->result.series_count; i++) {
        alert_set_returned(set, list[i].labels, list[i].annotations, list[i].value, e->ts_ms);
    }
    const size_t active = alert_set_advance(set, e->ts_ms, rule->for_ms, rule->keep_firing_for_ms);
    const int64_t limit = e->group->spec->limit;
    if (limit > 0 && active > (uint64_t)limit) {
        alert_set_clear(set);
        return err_set(err, ERR_EXECUTION, "exceeded limit of %lld with %zu alerts",
                       (long long)limit, active);
    }
    e->samples = arena_try_alloc(&e->arena, 2 * set->count + 1, sizeof(*e->samples));
    *messages = arena_try_alloc(&e->arena, set->count + 1, sizeof(**messages));
    if (e->samples == NULL || *messages == NULL) {
        return err_set(err, ERR_LIMIT, "%zu alerts are too many", set->count);
    }
    for (size_t i = 0; e->state->restored && i < set->count; i++) {
        const struct alert *a = set->items[i];
        if (a->state == ALERT_INACTIVE) {
            continue;
        }
        enum err_code code =
            alert_sample(e, a, "ALERTS", a->state == ALERT_FIRING ? "firing" : "pending", 1, err);
        if (code == ERR_OK) {
            code =
                alert_sample(e, a, "ALERTS_FOR_STATE", NULL, (double)(a->active_at_ms / 1000), err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    *message_count = collect_messages_locked(e, *messages);
    return ERR_OK;
}

static enum err_code alert(struct evaluation *e, struct err *err) {
    struct instance *list = NULL;
    enum err_code code = make_instances(e, &list, err);
    if (code != ERR_OK) {
        return code;
    }
    struct alert_message *messages = NULL;
    size_t message_count = 0;
    mutex_lock(e->env->mu);
    code = update_alerts_locked(e, list, &messages, &message_count, err);
    mutex_unlock(e->env->mu);
    if (code == ERR_OK && message_count != 0 && e->env->options.notifier != NULL) {
        notifier_send(e->env->options.notifier, messages, message_count);
    }
    return code;
}

/* ---- writing ---- */

void rule_end_series(struct storage *st, struct storage_appender *a, const struct series_list *gone,
                     const struct series_list *current, int64_t ts_ms) {
    storage_appender_in_order_only(st, a);
    for (size_t i = 0; i < gone->count; i++) {
        if (current == NULL || !series_list_has(current, gone->items[i])) {
            /* a newer sample may have come from another writer: then there is nothing to end */
            const enum err_code ignored = storage_append(st, a, gone->items[i], ts_ms, f64_stale());
            (void)ignored;
        }
    }
}

static const char *rejection(enum err_code code) {
    switch ((int)code) {
    case ERR_OUT_OF_ORDER:
        return "out of order sample";
    case ERR_DUPLICATE:
        return "duplicate sample for timestamp";
    case ERR_TOO_OLD:
        return "too old sample";
    case ERR_OUT_OF_BOUNDS:
        return "out of bounds";
    default:
        return "sample could not be stored";
    }
}

static enum err_code append(struct storage *st, struct storage_appender *a, const struct sample *s,
                            int64_t ts_ms) {
    if (s->histogram == NULL) {
        return storage_append(st, a, s->labels, ts_ms, s->value);
    }
    const struct storage_sample sample = {
        .ts_ms = ts_ms, .histogram = s->histogram, .float_histogram = true};
    return storage_append_sample(st, a, s->labels, &sample);
}

/* *out_rejected: the error is of samples that were left out, the others were written. */
static enum err_code write_samples(struct evaluation *e, bool *out_rejected, struct err *err) {
    struct storage *st = e->env->options.storage;
    struct storage_appender *a = NULL;
    enum err_code code = storage_appender_begin(st, &a, err);
    if (code != ERR_OK) {
        return code;
    }
    storage_appender_in_order_only(st, a);
    enum err_code bad = ERR_OK;
    size_t bad_count = 0;
    struct series_list current;
    series_list_init(&current);
    for (size_t i = 0; i < e->sample_count; i++) {
        code = append(st, a, &e->samples[i], e->sample_ts_ms);
        if (code == ERR_OK) {
            series_list_add(&current, e->samples[i].labels);
        } else {
            bad = code;
            bad_count++;
        }
    }
    series_list_sort(&current);
    rule_end_series(st, a, &e->state->previous, &current, e->sample_ts_ms);
    code = storage_appender_commit(st, a, err);
    if (code != ERR_OK) {
        series_list_release(&current);
        return code;
    }
    series_list_release(&e->state->previous);
    e->state->previous = current;
    if (bad != ERR_OK) {
        log_warn(e->env->options.log, "rule manager",
                 "Error on ingesting results from rule evaluation",
                 log_text("reason", rejection(bad)), log_u64("num_dropped", bad_count));
        *out_rejected = true;
        return err_set(err, bad, "%s", rejection(bad));
    }
    return ERR_OK;
}

/* counted: the evaluation as a whole failed */
static void finish(struct evaluation *e, enum err_code code, bool counted, const struct err *err,
                   int64_t took_ns) {
    mutex_lock(e->env->mu);
    struct rule_state *s = e->state;
    s->evaluation_ns = took_ns;
    s->last_evaluation_unix_ns = e->ts_ms * NS_PER_MS;
    s->health = code == ERR_OK ? RULE_OK : RULE_ERR;
    mem_free(s->last_error);
    s->last_error = code == ERR_OK ? NULL : mem_strdup(err->text);
    mutex_unlock(e->env->mu);
    metric_inc(e->group->metrics.items[GROUP_EVALUATIONS]);
    metric_observe(e->env->rule_seconds, (double)took_ns / 1e9);
    metric_summarize(e->env->rule_summary, (double)took_ns / 1e9);
    if (!counted) {
        return;
    }
    metric_inc(e->group->metrics.items[GROUP_FAILURES]);
    if (code != ERR_CANCELED) {
        log_warn(e->env->options.log, "rule manager", "Evaluating rule failed",
                 log_str("rule", e->state->rule->name), log_str("group", e->group->spec->name),
                 log_str("file", e->group->spec->file), log_err(err));
    }
}

size_t rule_evaluate(struct rule_group *g, struct rule_state *state, struct rule_env *env,
                     int64_t ts_ms) {
    struct evaluation e = {.group = g,
                           .state = state,
                           .env = env,
                           .ts_ms = ts_ms,
                           .sample_ts_ms = ts_ms - g->query_offset_ms};
    arena_init(&e.arena, EVAL_MEMORY_MAX);
    const int64_t start_ns = clock_mono_ns(env->options.clock);
    struct err err;
    bool rejected = false;
    enum err_code code = run_query(&e, &err);
    if (code == ERR_OK) {
        code = state->rule->alerting ? alert(&e, &err) : record(&e, &err);
    }
    if (code == ERR_OK) {
        code = write_samples(&e, &rejected, &err);
    }
    finish(&e, code, code != ERR_OK && !rejected, &err,
           clock_mono_ns(env->options.clock) - start_ns);
    arena_release(&e.arena);
    return e.sample_count;
}
