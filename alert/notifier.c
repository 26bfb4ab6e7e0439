/* Alerts to Alertmanagers: a queue per endpoint, batches by POST (spec/rules-alerts.md section 4).
 *
 * CONCURRENCY. One thread owns the transport and everything that touches it; mu guards sets,
 * endpoints and queues, which rules (notifier_send), discovery (notifier_update) and the API reach
 * from their threads. Requests end on the notifier's thread. Nothing waits under mu.
 *
 * RELOAD. A set whose configuration means the same goes on with its endpoints and queues; the HTTP
 * client keeps the generation it was made from.
 *
 * ENDING. An endpoint that left discovery, a set that left the configuration and the whole
 * notifier at shutdown first send what is queued (drain_on_shutdown), within the sets' timeouts. */
#include "alert/alert.h"
#include "alert/alert_config_equal.h"
#include "alert/alert_target.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/mutex.h"

enum {
    PAYLOAD_MAX_BYTES = 64 * 1024 * 1024,
    RESPONSE_MAX_BYTES = 1024 * 1024,
    STOP_GRACE_MS = 10000,
    QUEUE_START = 16,
};

/* One alert on its way; shared by the queues of several endpoints. */
struct message {
    size_t refs; /* under mu */
    struct arena arena;
    struct alert_message alert;
};

struct alertmanager_set;

struct endpoint {
    struct notifier *notifier;
    struct alertmanager_set *set;
    char *url;
    struct message **queue; /* ring */
    size_t head, count, capacity;
    struct transport_request *running;
    size_t in_flight; /* alerts of the running request */
    int64_t started_mono_ns;
    bool seen;  /* in the discovery update that is being applied */
    bool ended; /* left discovery or configuration */
    struct metric *latency, *errors, *sent, *dropped, *length;
};

struct alertmanager_set {
    const struct alertmanager_config *config; /* lives in generation */
    struct generation *generation;
    struct transport_client *client; /* of the notifier's thread */
    struct endpoint **endpoints;
    size_t endpoint_count;
    struct arena dropped_arena;
    struct str *dropped; /* URLs that relabelling dropped */
    size_t dropped_count;
    bool ended;
    struct alertmanager_set *next;
};

struct notifier {
    struct notifier_options options;
    struct mutex mu;
    struct thread thread;
    bool started;
    struct metric *discovered;
    /* under mu */
    struct alertmanager_set *sets;
    struct generation *generation; /* of the two below */
    struct relabel_rules alert_relabel;
    struct labels external_labels;
    bool stopping;
    int64_t stop_deadline_mono_ns;
};

struct notifier *notifier_new(const struct notifier_options *options) {
    struct notifier *n = mem_zalloc(sizeof(*n));
    n->options = *options;
    mutex_init(&n->mu);
    n->discovered =
        metric_gauge(options->registry, "prometheus_notifications_alertmanagers_discovered",
                     "The number of alertmanagers discovered and active.", NULL, 0);
    metric_set(metric_gauge(options->registry, "prometheus_notifications_queue_capacity",
                            "The capacity of the alert notifications queue.", NULL, 0),
               (double)options->queue_capacity);
    return n;
}

/* ---- messages and queues ---- */

static struct message *message_new(const struct alert_message *alert, struct labels labels) {
    struct message *m = mem_zalloc(sizeof(*m));
    arena_init(&m->arena, 0);
    m->alert = *alert;
    m->alert.labels = labels_copy(&m->arena, labels);
    m->alert.annotations = labels_copy(&m->arena, alert->annotations);
    m->alert.generator_url = arena_str(&m->arena, alert->generator_url);
    m->refs = 1;
    return m;
}

static void message_unref(struct message *m) {
    if (--m->refs == 0) {
        arena_release(&m->arena);
        mem_free(m);
    }
}

static void queue_grow(struct endpoint *e) {
    const size_t capacity = e->capacity == 0 ? QUEUE_START : 2 * e->capacity;
    struct message **ring = mem_array(capacity, sizeof(struct message *));
    for (size_t i = 0; i < e->count; i++) {
        ring[i] = e->queue[(e->head + i) % e->capacity];
    }
    mem_free(e->queue);
    e->queue = ring;
    e->head = 0;
    e->capacity = capacity;
}

static struct message *dequeue(struct endpoint *e) {
    struct message *m = e->queue[e->head];
    e->head = (e->head + 1) % e->capacity;
    e->count--;
    return m;
}

static void drop_oldest(struct endpoint *e, size_t count) {
    for (size_t i = 0; i < count && e->count > 0; i++) {
        message_unref(dequeue(e));
        metric_inc(e->dropped);
    }
    metric_set(e->length, (double)e->count);
}

/* Returns the number of older messages that had to go. */
static size_t enqueue(struct endpoint *e, struct message *m) {
    const bool full = e->count >= e->notifier->options.queue_capacity;
    if (full) {
        drop_oldest(e, 1);
    }
    if (e->count == e->capacity) {
        queue_grow(e);
    }
    m->refs++;
    e->queue[(e->head + e->count++) % e->capacity] = m;
    metric_set(e->length, (double)e->count);
    return full;
}

/* The message of one set: relabelled by its own rules; NULL when they drop it. */
static struct message *message_of_set(const struct notifier *n, const struct alertmanager_set *set,
                                      struct message *m) {
    if (set->config->alert_relabel.count == 0) {
        m->refs++;
        return m;
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    bool kept = false;
    struct labels labels;
    struct err err;
    struct message *own = NULL;
    if (alert_message_relabel(&set->config->alert_relabel, m->alert.labels,
                              (struct labels){NULL, 0}, &scratch, &kept, &labels, &err) != ERR_OK) {
        log_error(n->options.log, "notifier", "relabelling an alert failed", log_err(&err));
    } else if (kept) {
        own = message_new(&m->alert, labels);
    }
    arena_release(&scratch);
    return own;
}

static size_t send_to_set_locked(struct notifier *n, struct alertmanager_set *set,
                                 struct message *m) REQUIRES(n->mu) {
    struct message *own = message_of_set(n, set, m);
    if (own == NULL) {
        return 0;
    }
    size_t dropped = 0;
    for (size_t i = 0; i < set->endpoint_count; i++) {
        if (!set->endpoints[i]->ended) {
            dropped += enqueue(set->endpoints[i], own);
        }
    }
    message_unref(own);
    return dropped;
}

void notifier_send(struct notifier *n, const struct alert_message *alerts, size_t count) {
    struct arena scratch;
    arena_init(&scratch, 0);
    size_t dropped = 0;
    mutex_lock(&n->mu);
    for (size_t i = 0; i < count; i++) {
        bool kept = false;
        struct labels labels;
        struct err err;
        if (alert_message_relabel(&n->alert_relabel, alerts[i].labels, n->external_labels, &scratch,
                                  &kept, &labels, &err) != ERR_OK) {
            log_error(n->options.log, "notifier", "relabelling an alert failed", log_err(&err));
            continue;
        }
        if (!kept) {
            continue;
        }
        struct message *m = message_new(&alerts[i], labels);
        for (struct alertmanager_set *set = n->sets; set != NULL; set = set->next) {
            if (!set->ended) {
                dropped += send_to_set_locked(n, set, m);
            }
        }
        message_unref(m);
    }
    mutex_unlock(&n->mu);
    arena_release(&scratch);
    if (dropped > 0) {
        log_warn(n->options.log, "notifier",
                 count > n->options.queue_capacity
                     ? "Alert batch larger than queue capacity, dropping alerts"
                     : "Alert notification queue full, dropping alerts",
                 log_u64("count", dropped));
    }
    transport_wake(n->options.transport);
}

/* ---- sending, on the notifier's thread ---- */

static void on_sent(void *ctx, struct http_response *response) {
    struct endpoint *e = ctx;
    struct notifier *n = e->notifier;
    const double seconds = (double)(clock_mono_ns(n->options.clock) - e->started_mono_ns) / 1e9;
    struct err err = response->err;
    enum err_code code = response->code;
    if (code == ERR_OK && response->status / 100 != 2) {
        code = err_set(&err, ERR_NETWORK, "bad response status %d %.*s", response->status,
                       STR_ARG(response->reason));
    }
    mutex_lock(&n->mu);
    if (code == ERR_OK) {
        metric_add(e->sent, (double)e->in_flight);
        metric_set(e->latency, seconds);
    } else {
        metric_add(e->errors, (double)e->in_flight);
        metric_add(e->dropped, (double)e->in_flight);
        log_error(n->options.log, "notifier", "Error sending alerts",
                  log_text("alertmanager", e->url), log_u64("count", e->in_flight), log_err(&err));
    }
    e->running = NULL;
    e->in_flight = 0;
    mutex_unlock(&n->mu);
}

/* Takes a batch off the queue as a JSON array. */
static size_t take_batch(struct endpoint *e, struct buf *payload) {
    struct json_out j;
    json_out_init(&j, payload);
    json_array_begin(&j);
    size_t count = 0;
    while (e->count > 0 && count < e->notifier->options.batch_size) {
        struct message *m = dequeue(e);
        alert_message_json(&j, &m->alert);
        message_unref(m);
        count++;
    }
    json_array_end(&j);
    metric_set(e->length, (double)e->count);
    return count;
}

static void start_batch(struct notifier *n, struct endpoint *e) {
    struct buf payload;
    buf_init(&payload, PAYLOAD_MAX_BYTES);
    e->in_flight = take_batch(e, &payload);
    static const struct str headers[] = {STR_INIT("Content-Type: application/json")};
    const struct http_request request = {
        .method = "POST",
        .url = str_of(e->url),
        .headers = headers,
        .header_count = COUNT_OF(headers),
        .body = buf_str(&payload),
        .timeout_ms = e->set->config->timeout_ms,
        .max_body_bytes = RESPONSE_MAX_BYTES,
    };
    e->started_mono_ns = clock_mono_ns(n->options.clock);
    struct err err;
    if (!buf_ok(&payload) || transport_start(n->options.transport, e->set->client, &request,
                                             on_sent, e, &e->running, &err) != ERR_OK) {
        metric_add(e->errors, (double)e->in_flight);
        metric_add(e->dropped, (double)e->in_flight);
        log_error(n->options.log, "notifier", "Error sending alerts",
                  log_text("alertmanager", e->url),
                  log_text("err", buf_ok(&payload) ? err.text : "batch too large"));
        e->in_flight = 0;
        e->running = NULL;
    }
    buf_release(&payload);
}

static bool ensure_client(struct notifier *n, struct alertmanager_set *set) {
    if (set->client != NULL) {
        return true;
    }
    struct err err;
    if (transport_client_new(n->options.transport, &set->config->http, set->generation,
                             &set->client, &err) != ERR_OK) {
        log_error(n->options.log, "notifier", "HTTP client of an Alertmanager set cannot be made",
                  log_str("set", set->config->sd.name), log_err(&err));
        set->client = NULL;
        return false;
    }
    return true;
}

/* Endpoints of one URL in several sets, or of an old and a new set, share their metrics. */
static bool url_is_shared(const struct endpoint *e) {
    for (const struct alertmanager_set *set = e->notifier->sets; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->endpoint_count; i++) {
            const struct endpoint *other = set->endpoints[i];
            if (other != NULL && other != e && str_eq(str_of(other->url), str_of(e->url))) {
                return true;
            }
        }
    }
    return false;
}

static void endpoint_free(struct endpoint *e) {
    struct metric_registry *r = e->notifier->options.registry;
    drop_oldest(e, e->count);
    if (!url_is_shared(e)) {
        metric_remove(r, e->latency);
        metric_remove(r, e->errors);
        metric_remove(r, e->sent);
        metric_remove(r, e->dropped);
        metric_remove(r, e->length);
    }
    mem_free(e->queue);
    mem_free(e->url);
    mem_free(e);
}

/* Starts what can be started and frees what has ended; true while anything is queued or running. */
static bool serve_set_locked(struct notifier *n, struct alertmanager_set *set) REQUIRES(n->mu) {
    bool busy = false;
    size_t kept = 0;
    for (size_t i = 0; i < set->endpoint_count; i++) {
        struct endpoint *e = set->endpoints[i];
        if (e->ended && !n->options.drain_on_shutdown) {
            drop_oldest(e, e->count);
        }
        if (e->running == NULL && e->count > 0) {
            if (ensure_client(n, set)) {
                start_batch(n, e);
            } else {
                metric_add(e->errors, (double)e->count);
                drop_oldest(e, e->count);
            }
        }
        if (e->ended && e->running == NULL && e->count == 0) {
            set->endpoints[i] = NULL;
            endpoint_free(e);
            continue;
        }
        busy = busy || e->running != NULL || e->count > 0;
        set->endpoints[kept++] = e;
    }
    set->endpoint_count = kept;
    return busy;
}

static void set_free(struct notifier *n, struct alertmanager_set *set) {
    for (size_t i = 0; i < set->endpoint_count; i++) {
        struct endpoint *e = set->endpoints[i];
        if (e->running != NULL) {
            transport_cancel(n->options.transport, e->running);
        }
        set->endpoints[i] = NULL;
        endpoint_free(e);
    }
    transport_client_free(n->options.transport, set->client);
    mem_free(set->endpoints);
    mem_free(set->dropped);
    arena_release(&set->dropped_arena);
    generation_unref(set->generation);
    mem_free(set);
}

static bool serve_locked(struct notifier *n) REQUIRES(n->mu) {
    bool busy = false;
    struct alertmanager_set **at = &n->sets;
    while (*at != NULL) {
        struct alertmanager_set *set = *at;
        const bool set_busy = serve_set_locked(n, set);
        busy = busy || set_busy;
        if (set->ended && set->endpoint_count == 0) {
            *at = set->next;
            set_free(n, set);
        } else {
            at = &set->next;
        }
    }
    return busy;
}

static void run(void *ctx) {
    struct notifier *n = ctx;
    for (;;) {
        mutex_lock(&n->mu);
        const bool stopping = n->stopping;
        const bool late = stopping && clock_mono_ns(n->options.clock) > n->stop_deadline_mono_ns;
        const bool busy = (!stopping || (n->options.drain_on_shutdown && !late)) && serve_locked(n);
        mutex_unlock(&n->mu);
        if (stopping && !busy) {
            return;
        }
        transport_poll(n->options.transport, stopping ? 100 * NS_PER_MS : NS_PER_S);
    }
}

void notifier_start(struct notifier *n) {
    n->started = true;
    thread_start(&n->thread, "notifier", run, n);
}

void notifier_free(struct notifier *n) {
    if (n == NULL) {
        return;
    }
    mutex_lock(&n->mu);
    n->stopping = true;
    n->stop_deadline_mono_ns = clock_mono_ns(n->options.clock) + STOP_GRACE_MS * NS_PER_MS;
    mutex_unlock(&n->mu);
    transport_wake(n->options.transport);
    if (n->started) {
        thread_join(&n->thread);
    }
    while (n->sets != NULL) {
        struct alertmanager_set *set = n->sets;
        n->sets = set->next;
        set_free(n, set);
    }
    transport_free(n->options.transport);
    generation_unref(n->generation);
    mutex_release(&n->mu);
    mem_free(n);
}

/* ---- configuration and discovery ---- */

static void end_set_locked(struct notifier *n, struct alertmanager_set *set) REQUIRES(n->mu) {
    (void)n;
    set->ended = true;
    for (size_t i = 0; i < set->endpoint_count; i++) {
        set->endpoints[i]->ended = true;
    }
}

static void set_config(struct alertmanager_set *set, const struct alertmanager_config *config,
                       struct generation *g) {
    generation_unref(set->generation);
    set->generation = generation_ref(g);
    set->config = config;
}

/* A living set of the old configuration that means the same and is not taken yet. */
static struct alertmanager_set *equal_set_locked(struct notifier *n, const struct generation *g,
                                                 const struct alertmanager_config *config)
    REQUIRES(n->mu) {
    for (struct alertmanager_set *set = n->sets; set != NULL; set = set->next) {
        if (!set->ended && set->generation != g && alertmanager_config_equal(set->config, config)) {
            return set;
        }
    }
    return NULL;
}

static size_t active_count_locked(const struct notifier *n) REQUIRES(n->mu) {
    size_t count = 0;
    for (const struct alertmanager_set *set = n->sets; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->endpoint_count; i++) {
            count += !set->endpoints[i]->ended;
        }
    }
    return count;
}

enum err_code notifier_apply(struct notifier *n, struct generation *g,
                             const struct alerting_config *config, struct labels external_labels,
                             struct err *err) {
    (void)err;
    mutex_lock(&n->mu);
    struct alertmanager_set *fresh = NULL;
    for (size_t i = 0; i < config->alertmanager_count; i++) {
        struct alertmanager_set *set = equal_set_locked(n, g, &config->alertmanagers[i]);
        if (set == NULL) {
            set = mem_zalloc(sizeof(*set));
            arena_init(&set->dropped_arena, 0);
            set->next = fresh;
            fresh = set;
        }
        set_config(set, &config->alertmanagers[i], g);
    }
    struct alertmanager_set **last = &n->sets;
    for (; *last != NULL; last = &(*last)->next) {
        if ((*last)->generation != g) {
            end_set_locked(n, *last);
        }
    }
    *last = fresh;
    generation_unref(n->generation);
    n->generation = generation_ref(g);
    n->alert_relabel = config->alert_relabel;
    n->external_labels = external_labels;
    metric_set(n->discovered, (double)active_count_locked(n));
    mutex_unlock(&n->mu);
    transport_wake(n->options.transport);
    return ERR_OK;
}

static struct endpoint *endpoint_new(struct notifier *n, struct alertmanager_set *set,
                                     struct str url) {
    struct endpoint *e = mem_zalloc(sizeof(*e));
    e->notifier = n;
    e->set = set;
    e->url = mem_strndup(url.ptr, url.len);
    const struct label label = {STR("alertmanager"), url};
    struct metric_registry *r = n->options.registry;
    e->latency = metric_gauge(r, "prometheus_notifications_latency_seconds",
                              "Latency of the last notification batch.", &label, 1);
    e->errors = metric_counter(r, "prometheus_notifications_errors_total",
                               "Total number of sent alerts affected by errors.", &label, 1);
    e->sent = metric_counter(r, "prometheus_notifications_sent_total",
                             "Total number of alerts sent.", &label, 1);
    e->dropped = metric_counter(
        r, "prometheus_notifications_dropped_total",
        "Total number of alerts dropped due to errors when sending to Alertmanager.", &label, 1);
    e->length = metric_gauge(r, "prometheus_notifications_queue_length",
                             "The number of alert notifications in the queue.", &label, 1);
    return e;
}

static void see_endpoint(struct notifier *n, struct alertmanager_set *set, struct str url) {
    for (size_t i = 0; i < set->endpoint_count; i++) {
        if (str_eq(str_of(set->endpoints[i]->url), url)) {
            set->endpoints[i]->seen = true;
            set->endpoints[i]->ended = false;
            return;
        }
    }
    set->endpoints = mem_resize(set->endpoints, set->endpoint_count + 1, sizeof(struct endpoint *));
    struct endpoint *e = endpoint_new(n, set, url);
    e->seen = true;
    set->endpoints[set->endpoint_count++] = e;
}

/* A group with a bad address is left out whole, as in Prometheus. */
static void see_group(struct notifier *n, struct alertmanager_set *set,
                      const struct sd_group *group) {
    struct arena scratch;
    arena_init(&scratch, 0);
    struct str *urls = arena_alloc(&scratch, (group->target_count + 1) * sizeof(*urls));
    size_t count = 0;
    for (size_t i = 0; i < group->target_count; i++) {
        bool kept = false;
        struct labels before;
        struct err err;
        if (alert_target_url(set->config, group->targets[i], group->labels, &scratch, &kept,
                             &urls[count], &before, &err) != ERR_OK) {
            log_error(n->options.log, "notifier", "Creating targets failed",
                      log_str("group", group->source), log_err(&err));
            count = 0;
            break;
        }
        if (kept) {
            count++;
            continue;
        }
        const struct str url = arena_printf(&set->dropped_arena, "%.*s://%.*s%.*s",
                                            STR_ARG(labels_get(before, STR("__scheme__"))),
                                            STR_ARG(labels_get(before, STR("__address__"))),
                                            STR_ARG(labels_get(before, STR("__alerts_path__"))));
        set->dropped = mem_resize(set->dropped, set->dropped_count + 1, sizeof(*set->dropped));
        set->dropped[set->dropped_count++] = url;
    }
    for (size_t i = 0; i < count; i++) {
        see_endpoint(n, set, urls[i]);
    }
    arena_release(&scratch);
}

static void update_set_locked(struct notifier *n, struct alertmanager_set *set,
                              const struct sd_update *update) REQUIRES(n->mu) {
    arena_reset(&set->dropped_arena);
    set->dropped_count = 0;
    for (size_t i = 0; i < set->endpoint_count; i++) {
        set->endpoints[i]->seen = false;
    }
    size_t group_count = 0;
    const struct sd_group *groups = sd_update_groups(update, &group_count);
    for (size_t i = 0; i < group_count; i++) {
        see_group(n, set, &groups[i]);
    }
    for (size_t i = 0; i < set->endpoint_count; i++) {
        set->endpoints[i]->ended = !set->endpoints[i]->seen;
    }
}

void notifier_update(void *notifier, struct sd_update *update) {
    struct notifier *n = notifier;
    mutex_lock(&n->mu);
    for (struct alertmanager_set *set = n->sets; set != NULL; set = set->next) {
        if (!set->ended && str_eq(set->config->sd.name, sd_update_set_name(update))) {
            update_set_locked(n, set, update);
        }
    }
    metric_set(n->discovered, (double)active_count_locked(n));
    mutex_unlock(&n->mu);
    transport_wake(n->options.transport);
}

void notifier_alertmanagers(struct notifier *n, struct arena *arena, struct str **active,
                            size_t *active_count, struct str **dropped, size_t *dropped_count) {
    mutex_lock(&n->mu);
    size_t total_dropped = 0;
    for (const struct alertmanager_set *set = n->sets; set != NULL; set = set->next) {
        total_dropped += set->ended ? 0 : set->dropped_count;
    }
    *active = arena_alloc(arena, (active_count_locked(n) + 1) * sizeof(**active));
    *dropped = arena_alloc(arena, (total_dropped + 1) * sizeof(**dropped));
    *active_count = 0;
    *dropped_count = 0;
    for (const struct alertmanager_set *set = n->sets; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->endpoint_count; i++) {
            if (!set->endpoints[i]->ended) {
                (*active)[(*active_count)++] = arena_str(arena, str_of(set->endpoints[i]->url));
            }
        }
        for (size_t i = 0; i < set->dropped_count && !set->ended; i++) {
            (*dropped)[(*dropped_count)++] = arena_str(arena, set->dropped[i]);
        }
    }
    mutex_unlock(&n->mu);
}
