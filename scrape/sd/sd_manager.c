/* The discovery manager: which providers run, which sets they feed, when subscribers hear of it.
 *
 * CONCURRENCY. Everything but the pending configuration and the stop flag belongs to the
 * discovery thread. sd_manager_apply leaves the new sets under mu and wakes the thread. Updates
 * are immutable and counted atomically, groups too: subscribers may keep them. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "scrape/config_equal.h"
#include "scrape/sd/sd_provider.h"

#define UPDATE_INTERVAL_NS (5 * NS_PER_S)

static sd_provider_new_fn *const constructors[SD_KIND_COUNT] = {
    [SD_STATIC] = sd_static_new,
    [SD_FILE] = sd_file_new,
    [SD_DOCKER] = sd_docker_new,
};

struct sd_update {
    _Atomic uint32_t refs;
    char *name;
    struct sd_boxes boxes;   /* keeps the groups alive */
    struct sd_group *groups; /* copies of the structs, in the same order */
};

/* A config set and the providers that feed it. */
struct sd_set {
    char *name; /* owned */
    struct sd_provider **providers;
    size_t provider_count;
    bool dirty;     /* something changed since the last update */
    bool forced;    /* an apply wants one, whenever the last was */
    bool completed; /* an update went out in which every provider had its first say */
    bool sent;
    int64_t sent_mono_ns;
    struct metric *targets, *last_update;
};

struct sd_pending {
    struct generation *generation; /* a reference */
    struct sd_config_set *sets;
    size_t count;
};

struct sd_manager {
    struct sd_env env;
    const char *name;
    sd_update_fn *on_update;
    void *ctx;
    int64_t update_interval_ns;
    bool started;
    struct thread thread;
    struct sd_provider **providers; /* all, each once */
    size_t provider_count;
    struct sd_set *sets;
    size_t set_count;
    struct metric *failed_configs, *received, *updates, *delayed;

    struct mutex mu; /* guards what follows */
    bool stop;
    struct sd_pending *pending;
};

/* ---- updates ---- */

struct str sd_update_set_name(const struct sd_update *u) {
    return str_of(u->name);
}

const struct sd_group *sd_update_groups(const struct sd_update *u, size_t *out_count) {
    *out_count = u->boxes.count;
    return u->groups;
}

struct sd_update *sd_update_ref(struct sd_update *u) {
    atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
    return u;
}

void sd_update_unref(struct sd_update *u) {
    if (u != NULL && atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) == 1) {
        sd_boxes_release(&u->boxes);
        mem_free(u->groups);
        mem_free(u->name);
        mem_free(u);
    }
}

static struct sd_update *make_update(const struct sd_set *set) {
    struct sd_update *const u = mem_zalloc(sizeof(*u));
    atomic_init(&u->refs, 1);
    u->name = mem_strdup(set->name);
    for (size_t i = 0; i < set->provider_count; i++) {
        const struct sd_boxes *const groups = &set->providers[i]->groups;
        for (size_t g = 0; g < groups->count; g++) {
            sd_boxes_add(&u->boxes, sd_box_ref(groups->items[g]));
        }
    }
    u->groups = mem_array(u->boxes.count, sizeof(u->groups[0]));
    for (size_t i = 0; i < u->boxes.count; i++) {
        u->groups[i] = u->boxes.items[i]->group;
    }
    return u;
}

static size_t target_count(const struct sd_update *u) {
    size_t n = 0;
    for (size_t i = 0; i < u->boxes.count; i++) {
        n += u->groups[i].target_count;
    }
    return n;
}

static bool all_published(const struct sd_set *set) {
    for (size_t i = 0; i < set->provider_count; i++) {
        if (!set->providers[i]->published) {
            return false;
        }
    }
    return true;
}

static void send(struct sd_manager *m, struct sd_set *set, int64_t now) {
    struct sd_update *const u = make_update(set);
    set->dirty = false;
    set->forced = false;
    set->completed = all_published(set);
    set->sent = true;
    set->sent_mono_ns = now;
    metric_set(set->targets, (double)target_count(u));
    metric_set(set->last_update, (double)clock_unix_ns(m->env.clock) / 1e9);
    metric_inc(m->updates);
    m->on_update(m->ctx, u);
    sd_update_unref(u);
}

/* Sends what may be sent; the time of the next one that may not yet. */
static int64_t send_updates(struct sd_manager *m) {
    const int64_t now = clock_mono_ns(m->env.clock);
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < m->set_count; i++) {
        struct sd_set *const set = &m->sets[i];
        if (!set->dirty) {
            continue;
        }
        const int64_t allowed = set->sent_mono_ns + m->update_interval_ns;
        /* The first complete picture of a set need not wait for its turn. */
        if (set->forced || !set->sent || now >= allowed ||
            (!set->completed && all_published(set))) {
            send(m, set, now);
        } else {
            metric_inc(m->delayed);
            due = allowed < due ? allowed : due;
        }
    }
    return due;
}

/* ---- configuration ---- */

static void set_release(struct sd_manager *m, struct sd_set *set) {
    metric_remove(m->env.registry, set->targets);
    metric_remove(m->env.registry, set->last_update);
    mem_free(set->providers);
    mem_free(set->name);
}

static void pending_free(struct sd_pending *pending) {
    if (pending != NULL) {
        generation_unref(pending->generation);
        mem_free(pending->sets);
        mem_free(pending);
    }
}

void sd_manager_apply(struct sd_manager *m, struct generation *g, const struct sd_config_set *sets,
                      size_t n) {
    struct sd_pending *const pending = mem_zalloc(sizeof(*pending));
    pending->generation = g != NULL ? generation_ref(g) : NULL;
    pending->sets = mem_array(n, sizeof(sets[0]));
    pending->count = n;
    if (n > 0) {
        memcpy(pending->sets, sets, n * sizeof(sets[0]));
    }
    mutex_lock(&m->mu);
    struct sd_pending *const old = m->pending;
    m->pending = pending;
    mutex_unlock(&m->mu);
    pending_free(old);
    if (m->started) {
        transport_wake(m->env.transport);
    }
}

struct sd_providers {
    struct sd_provider **items;
    size_t count;
};

static struct sd_provider *find_provider(struct sd_provider *const *list, size_t n,
                                         const struct sd_config *config) {
    for (size_t i = 0; i < n; i++) {
        if (list[i] != NULL && sd_config_equal(list[i]->config, config)) {
            return list[i];
        }
    }
    return NULL;
}

static void providers_add(struct sd_providers *list, struct sd_provider *p) {
    list->items = mem_resize(list->items, list->count + 1, sizeof(struct sd_provider *));
    list->items[list->count++] = p;
}

/* The provider for a config: one that this apply has already, one that ran before, or a new one.
 * NULL when it cannot be made. */
static struct sd_provider *get_provider(struct sd_manager *m, struct sd_providers *now,
                                        struct generation *g, const struct sd_config *config,
                                        struct str set) {
    struct sd_provider *p = find_provider(now->items, now->count, config);
    if (p != NULL) {
        return p;
    }
    p = find_provider(m->providers, m->provider_count, config);
    if (p != NULL) {
        for (size_t i = 0; i < m->provider_count; i++) {
            m->providers[i] = m->providers[i] == p ? NULL : m->providers[i];
        }
        providers_add(now, p);
        return p;
    }
    struct err err;
    if (constructors[config->kind](&m->env, g, config, set, &p, &err) != ERR_OK) {
        log_error(m->env.log, "discovery manager", "Cannot create service discovery",
                  log_text("type", sd_kind_name(config->kind)), log_str("config", set),
                  log_err(&err));
        return NULL;
    }
    providers_add(now, p);
    return p;
}

static struct sd_set *find_set(struct sd_manager *m, struct str name) {
    for (size_t i = 0; i < m->set_count; i++) {
        if (str_eq(str_of(m->sets[i].name), name)) {
            return &m->sets[i];
        }
    }
    return NULL;
}

static void init_set(struct sd_manager *m, struct sd_set *set, struct str name) {
    const struct label labels[] = {{STR("config"), name}, {STR("name"), str_of(m->name)}};
    set->name = mem_strndup(name.ptr, name.len);
    set->targets = metric_gauge(m->env.registry, "prometheus_sd_discovered_targets",
                                "Current number of discovered targets.", labels, COUNT_OF(labels));
    set->last_update = metric_gauge(m->env.registry, "prometheus_sd_last_update_timestamp_seconds",
                                    "Timestamp of the last update sent to the SD consumers.",
                                    labels, COUNT_OF(labels));
}

/* A set as it is to be: of an older one of the same name only its times matter. */
static size_t build_set(struct sd_manager *m, struct sd_set *set,
                        const struct sd_config_set *config, struct generation *g,
                        struct sd_providers *now) {
    const struct sd_set *const old = find_set(m, config->name);
    size_t failed = 0;
    init_set(m, set, config->name);
    set->sent = old != NULL && old->sent;
    set->sent_mono_ns = old != NULL ? old->sent_mono_ns : 0;
    set->dirty = true;
    set->forced = true;
    set->providers = mem_array(config->config_count, sizeof(struct sd_provider *));
    for (size_t i = 0; i < config->config_count; i++) {
        struct sd_provider *const p = get_provider(m, now, g, &config->configs[i], config->name);
        if (p == NULL) {
            failed++;
        } else {
            set->providers[set->provider_count++] = p;
        }
    }
    return failed;
}

/* Sets that stay keep their metrics: equal names give equal objects, so a release must not take
 * them away. */
static void release_old_sets(struct sd_manager *m, struct sd_set *sets, size_t n) {
    for (size_t i = 0; i < m->set_count; i++) {
        struct sd_set *const old = &m->sets[i];
        bool stays = false;
        for (size_t j = 0; j < n; j++) {
            stays |= strcmp(sets[j].name, old->name) == 0;
        }
        if (stays) {
            mem_free(old->providers);
            mem_free(old->name);
        } else {
            set_release(m, old);
        }
    }
    mem_free(m->sets);
}

static void apply_pending(struct sd_manager *m) {
    mutex_lock(&m->mu);
    struct sd_pending *const pending = m->pending;
    m->pending = NULL;
    mutex_unlock(&m->mu);
    if (pending == NULL) {
        return;
    }
    struct sd_providers now = {0};
    size_t failed = 0;
    struct sd_set *const sets = mem_zalloc((pending->count + 1) * sizeof(sets[0]));
    for (size_t i = 0; i < pending->count; i++) {
        failed += build_set(m, &sets[i], &pending->sets[i], pending->generation, &now);
    }
    for (size_t i = 0; i < m->provider_count; i++) {
        if (m->providers[i] != NULL) { /* no set wants it any more */
            m->providers[i]->ops->free(m->providers[i]);
        }
    }
    mem_free(m->providers);
    release_old_sets(m, sets, pending->count);
    m->providers = now.items;
    m->provider_count = now.count;
    m->sets = sets;
    m->set_count = pending->count;
    metric_set(m->failed_configs, (double)failed);
    pending_free(pending);
}

/* ---- running ---- */

static void mark_dirty(struct sd_manager *m, const struct sd_provider *p) {
    for (size_t i = 0; i < m->set_count; i++) {
        for (size_t j = 0; j < m->sets[i].provider_count; j++) {
            m->sets[i].dirty |= m->sets[i].providers[j] == p;
        }
    }
}

static int64_t step_providers(struct sd_manager *m) {
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < m->provider_count; i++) {
        struct sd_provider *const p = m->providers[i];
        const int64_t next = p->ops->step(p);
        due = next < due ? next : due;
        if (p->changed) {
            p->changed = false;
            metric_inc(m->received);
            mark_dirty(m, p);
        }
    }
    return due;
}

/* All that can be done without waiting; the time of the next thing to do. */
static int64_t work(struct sd_manager *m) {
    apply_pending(m);
    const int64_t providers = step_providers(m);
    const int64_t updates = send_updates(m);
    return providers < updates ? providers : updates;
}

int64_t sd_manager_step(struct sd_manager *m) {
    (void)work(m);
    transport_poll(m->env.transport, 0);
    return work(m);
}

static bool stopping(struct sd_manager *m) {
    mutex_lock(&m->mu);
    const bool stop = m->stop;
    mutex_unlock(&m->mu);
    return stop;
}

static void run(void *ctx) {
    struct sd_manager *const m = ctx;
    while (!stopping(m)) {
        const int64_t due = work(m);
        const int64_t now = clock_mono_ns(m->env.clock);
        transport_poll(m->env.transport, due == INT64_MAX ? -1 : due > now ? due - now : 0);
    }
}

struct sd_manager *sd_manager_new(const struct sd_options *options) {
    struct sd_manager *const m = mem_zalloc(sizeof(*m));
    const struct label label = {STR("name"), str_of(options->name)};
    m->env = (struct sd_env){options->vfs, options->clock, options->transport, options->log,
                             options->registry};
    m->name = options->name;
    m->on_update = options->on_update;
    m->ctx = options->ctx;
    m->update_interval_ns =
        options->update_interval_ns != 0 ? options->update_interval_ns : UPDATE_INTERVAL_NS;
    m->failed_configs = metric_gauge(
        options->registry, "prometheus_sd_failed_configs",
        "Current number of service discovery configurations that failed to load.", &label, 1);
    m->received =
        metric_counter(options->registry, "prometheus_sd_received_updates_total",
                       "Total number of update events received from the SD providers.", &label, 1);
    m->updates =
        metric_counter(options->registry, "prometheus_sd_updates_total",
                       "Total number of update events sent to the SD consumers.", &label, 1);
    m->delayed = metric_counter(options->registry, "prometheus_sd_updates_delayed_total",
                                "Total number of update events that couldn't be sent immediately.",
                                &label, 1);
    struct metric *read_errors = NULL;
    struct metric *watcher_errors = NULL;
    struct metric_summary *scans = NULL;
    sd_file_metrics(options->registry, &read_errors, &watcher_errors, &scans);
    mutex_init(&m->mu);
    return m;
}

void sd_manager_start(struct sd_manager *m) {
    m->started = true;
    thread_start(&m->thread, m->name, run, m);
}

void sd_manager_free(struct sd_manager *m) {
    if (m == NULL) {
        return;
    }
    if (m->started) {
        mutex_lock(&m->mu);
        m->stop = true;
        mutex_unlock(&m->mu);
        transport_wake(m->env.transport);
        thread_join(&m->thread);
    }
    for (size_t i = 0; i < m->provider_count; i++) {
        m->providers[i]->ops->free(m->providers[i]);
    }
    for (size_t i = 0; i < m->set_count; i++) {
        set_release(m, &m->sets[i]);
    }
    mem_free(m->providers);
    mem_free(m->sets);
    pending_free(m->pending);
    transport_free(m->env.transport);
    mutex_release(&m->mu);
    mem_free(m);
}
