/* Schedules rule groups on a few worker threads.
 *
 * CONCURRENCY. mu guards the list of groups, their schedule and whatever the API shows. A group
 * that runs is marked running and is evaluated without mu, by one worker; apply waits until none
 * runs. Lock order: mu is a leaf; no query, append or file access happens under it. */
#include <glob.h>
#include <stdlib.h>

#include "alert/rule_group.h"
#include "base/mem.h"

enum { WORKER_COUNT = 2, FILES_MAX = 10000 };

struct rule_manager {
    struct rule_env env;
    struct mutex mu;
    struct cond changed;
    struct thread workers[WORKER_COUNT];
    bool threads_run;
    struct arena config_arena; /* external labels and URL */
    /* under mu */
    struct rule_group **groups;
    size_t group_count;
    struct rule_group **ended;
    size_t ended_count;
    bool applied, stopping, pausing;
};

struct rule_manager *rule_manager_new(const struct rule_options *options) {
    struct rule_manager *m = mem_zalloc(sizeof(*m));
    m->env.options = *options;
    m->env.mu = &m->mu;
    cancel_init(&m->env.cancel, options->clock, 0);
    mutex_init(&m->mu);
    cond_init(&m->changed);
    arena_init(&m->config_arena, 0);
    static const double bounds[] = {.01, .1, 1, 10};
    m->env.rule_seconds =
        metric_histogram(options->registry, "prometheus_rule_evaluation_duration_histogram_seconds",
                         "The duration for a rule to execute.", NULL, 0, bounds, COUNT_OF(bounds));
    m->env.group_seconds = metric_histogram(
        options->registry, "prometheus_rule_group_duration_histogram_seconds",
        "The duration of rule group evaluations.", NULL, 0, bounds, COUNT_OF(bounds));
    static const double quantiles[] = {0.01, 0.05, 0.5, 0.9, 0.99};
    m->env.rule_summary =
        metric_summary(options->registry, "prometheus_rule_evaluation_duration_seconds",
                       "The duration for a rule to execute.", NULL, 0, quantiles + 2, 3);
    m->env.group_summary = metric_summary(
        options->registry, "prometheus_rule_group_duration_seconds",
        "The duration of rule group evaluations.", NULL, 0, quantiles, COUNT_OF(quantiles));
    return m;
}

/* ---- running ---- */

static struct rule_group *due_locked(struct rule_manager *m, int64_t now_ns, int64_t *next_ns)
    REQUIRES(m->mu) {
    struct rule_group *due = NULL;
    *next_ns = INT64_MAX;
    for (size_t i = 0; i < m->group_count + m->ended_count; i++) {
        struct rule_group *g = i < m->group_count ? m->groups[i] : m->ended[i - m->group_count];
        if (g->running) {
            continue;
        }
        /* a clock that was set back must not stop the rules until it has caught up */
        const bool set_back = now_ns < g->slot_unix_ns;
        if ((g->next_unix_ns <= now_ns || set_back) &&
            (due == NULL || g->next_unix_ns < due->next_unix_ns)) {
            due = g;
        }
        if (g->next_unix_ns < *next_ns) {
            *next_ns = g->next_unix_ns;
        }
    }
    return due;
}

static void forget_ended_locked(struct rule_manager *m, struct rule_group *g) REQUIRES(m->mu) {
    for (size_t i = 0; i < m->ended_count; i++) {
        if (m->ended[i] == g) {
            m->ended[i] = m->ended[--m->ended_count];
            break;
        }
    }
}

/* Runs one due group, with mu released meanwhile. */
static void run_locked(struct rule_manager *m, struct rule_group *g, int64_t now_ns)
    REQUIRES(m->mu) {
    g->running = true;
    if (!g->ended) {
        rule_group_schedule(g, now_ns);
    }
    const int64_t slot_ms = g->slot_unix_ns / NS_PER_MS;
    mutex_unlock(&m->mu);
    if (g->ended) {
        rule_group_end_series(g, &m->env, g->slot_unix_ns / NS_PER_MS);
    } else {
        rule_group_evaluate(g, &m->env, slot_ms);
        if (g->evaluation_count == 2) {
            rule_group_restore(g, &m->env, clock_unix_ms(m->env.options.clock));
        }
    }
    mutex_lock(&m->mu);
    g->running = false;
    if (g->ended) {
        forget_ended_locked(m, g);
        rule_group_free(g);
    }
    cond_broadcast(&m->changed);
}

static void work(void *ctx) {
    struct rule_manager *m = ctx;
    struct clock *clock = m->env.options.clock;
    mutex_lock(&m->mu);
    while (!m->stopping) {
        const int64_t now_ns = clock_unix_ns(clock);
        int64_t next_ns = INT64_MAX;
        struct rule_group *g = m->pausing ? NULL : due_locked(m, now_ns, &next_ns);
        if (g != NULL) {
            run_locked(m, g, now_ns);
            continue;
        }
        if (m->pausing || next_ns == INT64_MAX) {
            cond_wait(&m->changed, &m->mu);
            continue;
        }
        /* at most a second at a time, so that a jump of the wall clock is noticed */
        const int64_t wait_ns = next_ns - now_ns < NS_PER_S ? next_ns - now_ns : NS_PER_S;
        (void)cond_wait_until(&m->changed, &m->mu, clock_mono_ns(clock) + wait_ns);
    }
    mutex_unlock(&m->mu);
}

void rule_manager_start(struct rule_manager *m) {
    if (m->env.options.no_threads) {
        return;
    }
    m->threads_run = true;
    for (size_t i = 0; i < WORKER_COUNT; i++) {
        thread_start(&m->workers[i], "rules", work, m);
    }
}

int64_t rule_manager_step(struct rule_manager *m) {
    mutex_lock(&m->mu);
    int64_t next_ns = INT64_MAX;
    for (;;) {
        const int64_t now_ns = clock_unix_ns(m->env.options.clock);
        struct rule_group *g = due_locked(m, now_ns, &next_ns);
        if (g == NULL) {
            break;
        }
        run_locked(m, g, now_ns);
    }
    mutex_unlock(&m->mu);
    return next_ns;
}

/* ---- configuration ---- */

struct load {
    struct rule_manager *m;
    const struct rules_config *config;
    struct rule_group **groups;
    size_t count, capacity;
    bool restored;
    bool failed;
    struct buf errors;
};

static void note_error(void *ctx, struct str text) {
    struct load *load = ctx;
    load->failed = true;
    if (load->errors.len != 0) {
        buf_append_char(&load->errors, '\n');
    }
    buf_append_str(&load->errors, text);
    log_error(load->m->env.options.log, "rule manager", "loading groups failed",
              log_str("err", text));
}

static void add_group(struct load *load, struct rule_group *g) {
    if (load->count == load->capacity) {
        load->capacity = mem_grow(load->capacity, load->count + 1);
        load->groups = mem_resize(load->groups, load->capacity, sizeof(struct rule_group *));
    }
    load->groups[load->count++] = g;
}

/* The groups of a file share what was parsed; the last one to go frees it. */
static void load_file(struct load *load, const char *path) {
    const struct rule_options *o = &load->m->env.options;
    struct generation *file = generation_new(0);
    struct rule_group_spec *specs = NULL;
    size_t count = 0;
    bool more = false;
    if (!rule_file_load(generation_arena(file), o->engine, o->vfs, path, note_error, load, &specs,
                        &count, &more)) {
        count = 0;
    }
    if (more) {
        log_warn(o->log, "rule manager",
                 "Multiple document yaml rules files are not supported, only the first document "
                 "is processed",
                 log_text("file", path));
    }
    for (size_t i = 0; i < count; i++) {
        add_group(load, rule_group_new(file, &specs[i], load->config->evaluation_interval_ms,
                                       load->config->query_offset_ms, load->restored,
                                       clock_unix_ns(o->clock)));
    }
    generation_unref(file);
}

static int by_path(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void load_pattern(struct load *load, struct str pattern) {
    struct arena scratch;
    arena_init(&scratch, 0);
    glob_t found = {.gl_pathc = 0};
    const int rc = glob(arena_cstr(&scratch, pattern), GLOB_NOSORT, NULL, &found);
    if (rc != 0 && rc != GLOB_NOMATCH) {
        note_error(load, arena_printf(&scratch, "%.*s: cannot be searched", STR_ARG(pattern)));
    } else if (rc == 0) {
        qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), by_path);
        for (size_t i = 0; i < found.gl_pathc && i < FILES_MAX; i++) {
            load_file(load, found.gl_pathv[i]);
        }
    }
    globfree(&found);
    arena_release(&scratch);
}

static bool same_key(const struct rule_group *a, const struct rule_group *b) {
    return str_eq(a->spec->file, b->spec->file) && str_eq(a->spec->name, b->spec->name);
}

static void set_group_metrics(struct rule_manager *m, struct rule_group *g) {
    if (g->metrics.key == NULL) {
        rule_group_metrics_init(&g->metrics, m->env.options.registry, g->spec->file, g->spec->name);
    }
    metric_set(g->metrics.items[GROUP_INTERVAL_SECONDS], (double)g->interval_ns / 1e9);
    metric_set(g->metrics.items[GROUP_RULES], (double)g->spec->rule_count);
}

/* Old groups are kept where nothing changed, give their state to their successor, or end. */
static void swap_locked(struct rule_manager *m, struct load *load) REQUIRES(m->mu) {
    for (size_t i = 0; i < m->group_count; i++) {
        struct rule_group *old = m->groups[i];
        size_t at = 0;
        while (at < load->count && !same_key(load->groups[at], old)) {
            at++;
        }
        if (at == load->count) {
            rule_group_metrics_release(&old->metrics, true);
            old->ended = true;
            old->slot_unix_ns = clock_unix_ns(m->env.options.clock);
            old->next_unix_ns = old->slot_unix_ns + 2 * old->interval_ns;
            m->ended = mem_resize(m->ended, m->ended_count + 1, sizeof(struct rule_group *));
            m->ended[m->ended_count++] = old;
        } else if (rule_group_same(load->groups[at], old)) {
            rule_group_free(load->groups[at]);
            load->groups[at] = old;
        } else {
            rule_group_take_state(load->groups[at], old);
            rule_group_free(old);
        }
    }
    for (size_t i = 0; i < load->count; i++) {
        set_group_metrics(m, load->groups[i]);
    }
    mem_free(m->groups);
    m->groups = load->groups;
    m->group_count = load->count;
    load->groups = NULL;
    load->count = 0;
}

static bool any_running_locked(const struct rule_manager *m) REQUIRES(m->mu) {
    for (size_t i = 0; i < m->group_count + m->ended_count; i++) {
        const struct rule_group *g =
            i < m->group_count ? m->groups[i] : m->ended[i - m->group_count];
        if (g->running) {
            return true;
        }
    }
    return false;
}

static void publish(struct rule_manager *m, struct load *load) {
    mutex_lock(&m->mu);
    m->pausing = true;
    while (any_running_locked(m)) {
        cond_wait(&m->changed, &m->mu);
    }
    arena_reset(&m->config_arena);
    m->env.external_labels = labels_copy(&m->config_arena, load->config->external_labels);
    m->env.external_url = arena_str(&m->config_arena, load->config->external_url);
    swap_locked(m, load);
    m->applied = true;
    m->pausing = false;
    cond_broadcast(&m->changed);
    mutex_unlock(&m->mu);
}

enum err_code rule_manager_apply(struct rule_manager *m, const struct rules_config *config,
                                 struct err *err) {
    mutex_lock(&m->mu);
    const bool first = !m->applied;
    mutex_unlock(&m->mu);
    struct load load = {.m = m, .config = config, .restored = !first};
    buf_init(&load.errors, ERR_TEXT_MAX);
    for (size_t i = 0; i < config->file_count; i++) {
        load_pattern(&load, config->files[i]);
    }
    enum err_code code = ERR_OK;
    if (load.failed) {
        code = err_set(err, ERR_INVALID, "error loading rules, previous rule set restored: %.*s",
                       STR_ARG(buf_str(&load.errors)));
    } else {
        publish(m, &load);
    }
    for (size_t i = 0; i < load.count; i++) {
        rule_group_free(load.groups[i]);
    }
    mem_free(load.groups);
    buf_release(&load.errors);
    return code;
}

void rule_manager_free(struct rule_manager *m) {
    if (m == NULL) {
        return;
    }
    mutex_lock(&m->mu);
    m->stopping = true;
    cancel_raise(&m->env.cancel);
    cond_broadcast(&m->changed);
    mutex_unlock(&m->mu);
    for (size_t i = 0; m->threads_run && i < WORKER_COUNT; i++) {
        thread_join(&m->workers[i]);
    }
    for (size_t i = 0; i < m->group_count; i++) {
        rule_group_free(m->groups[i]);
    }
    for (size_t i = 0; i < m->ended_count; i++) {
        rule_group_free(m->ended[i]);
    }
    mem_free(m->groups);
    mem_free(m->ended);
    arena_release(&m->config_arena);
    cond_release(&m->changed);
    mutex_release(&m->mu);
    mem_free(m);
}

/* ---- what the API shows ---- */

static enum alert_state rule_alert_state(const struct rule_state *s) {
    if (s->last_evaluation_unix_ns == 0) {
        return ALERT_UNKNOWN;
    }
    enum alert_state state = ALERT_INACTIVE;
    for (size_t i = 0; i < s->alerts.count; i++) {
        state = s->alerts.items[i]->state > state ? s->alerts.items[i]->state : state;
    }
    return state;
}

static void copy_rule(struct arena *arena, const struct rule_state *s, struct rule_info *out) {
    *out = (struct rule_info){
        .alerting = s->rule->alerting,
        .name = arena_str(arena, s->rule->name),
        .query = arena_str(arena, s->rule->expr),
        .labels = labels_copy(arena, s->rule->labels),
        .annotations = labels_copy(arena, s->rule->annotations),
        .for_ms = s->rule->for_ms,
        .keep_firing_for_ms = s->rule->keep_firing_for_ms,
        .state = rule_alert_state(s),
        .health = s->health,
        .last_error = s->last_error != NULL ? arena_str(arena, str_of(s->last_error)) : STR(""),
        .evaluation_ns = s->evaluation_ns,
        .last_evaluation_unix_ns = s->last_evaluation_unix_ns,
        .alerts = arena_alloc(arena, (s->alerts.count + 1) * sizeof(struct alert_info)),
    };
    for (size_t i = 0; i < s->alerts.count; i++) {
        const struct alert *a = s->alerts.items[i];
        if (a->state != ALERT_INACTIVE) {
            out->alerts[out->alert_count++] = (struct alert_info){
                .labels = labels_copy(arena, a->labels),
                .annotations = labels_copy(arena, a->annotations),
                .state = a->state,
                .active_at_ms = a->active_at_ms,
                .keep_firing_since_ms = a->keep_firing_since_ms,
                .value = a->value,
            };
        }
    }
}

static int by_file_and_name(const void *a, const void *b) {
    const struct rule_group_info *x = a;
    const struct rule_group_info *y = b;
    const int c = str_cmp(x->file, y->file);
    return c != 0 ? c : str_cmp(x->name, y->name);
}

void rule_groups(struct rule_manager *m, struct arena *arena, struct rule_group_info **out,
                 size_t *out_count) {
    mutex_lock(&m->mu);
    struct rule_group_info *list = arena_alloc(arena, (m->group_count + 1) * sizeof(*list));
    for (size_t i = 0; i < m->group_count; i++) {
        const struct rule_group *g = m->groups[i];
        list[i] = (struct rule_group_info){
            .name = arena_str(arena, g->spec->name),
            .file = arena_str(arena, g->spec->file),
            .interval_ms = g->interval_ns / NS_PER_MS,
            .limit = g->spec->limit,
            .evaluation_ns = g->evaluation_ns,
            .last_evaluation_unix_ns = g->last_evaluation_unix_ns,
            .rules = arena_alloc(arena, (g->spec->rule_count + 1) * sizeof(struct rule_info)),
            .rule_count = g->spec->rule_count,
        };
        for (size_t k = 0; k < g->spec->rule_count; k++) {
            copy_rule(arena, &g->rules[k], &list[i].rules[k]);
        }
    }
    *out = list;
    *out_count = m->group_count;
    mutex_unlock(&m->mu);
    qsort(list, *out_count, sizeof(*list), by_file_and_name);
}
