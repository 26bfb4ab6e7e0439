/* CONCURRENCY. The discovery thread hands over each complete picture of the job under mu; the
 * command's thread sleeps until the time is over and reads the last one. */
#include "cmd_check_sd.h"

#include <unistd.h>

#include "base/json_out.h"
#include "base/mutex.h"
#include "config.h"
#include "scrape/page_report.h"
#include "scrape/sd.h"

enum { TEXT_BYTES_MAX = 64 * 1024 * 1024, UPDATE_INTERVAL_MS = 100 };

struct latest {
    struct mutex mu;
    struct cond changed;
    struct sd_update *update; /* a reference under mu; NULL before the first */
};

/* What becomes of one discovered target. */
struct sd_result {
    struct labels discovered, labels;
    bool failed;
};

/* The array as it is printed. */
struct sd_report {
    const struct tool_io *io;
    struct arena *arena;
    const struct scrape_config *job;
    struct buf text; /* of one string */
    size_t printed;
};

/* ---- discovering ---- */

static void keep_latest(void *ctx, struct sd_update *update) {
    struct latest *latest = ctx;
    mutex_lock(&latest->mu);
    sd_update_unref(latest->update);
    latest->update = sd_update_ref(update);
    cond_signal(&latest->changed);
    mutex_unlock(&latest->mu);
}

static bool is_static(const struct scrape_config *job) {
    for (size_t i = 0; i < job->sd.config_count; i++) {
        if (job->sd.configs[i].kind != SD_STATIC) {
            return false;
        }
    }
    return true;
}

/* NULL: nothing was found in time. */
static struct sd_update *wait_for_update(struct latest *latest, bool first_is_last,
                                         int64_t timeout_ns) {
    const int64_t deadline = clock_mono_ns(clock_system()) + timeout_ns;
    mutex_lock(&latest->mu);
    while (!(first_is_last && latest->update != NULL) &&
           cond_wait_until(&latest->changed, &latest->mu, deadline)) {
    }
    struct sd_update *update = latest->update;
    latest->update = NULL;
    mutex_unlock(&latest->mu);
    return update;
}

static struct sd_update *discover(struct vfs *vfs, const struct config *config,
                                  const struct scrape_config *job, int64_t timeout_ns) {
    struct latest latest = {.update = NULL};
    mutex_init(&latest.mu);
    cond_init(&latest.changed);
    struct log *log = log_new(clock_system(), STDERR_FILENO, LOG_WARN, LOG_LOGFMT);
    struct metric_registry *registry = metric_registry_new();
    const struct sd_options options = {.name = "check",
                                       .vfs = vfs,
                                       .clock = clock_system(),
                                       .transport = transport_curl_new(STR("promtool/3.14.0")),
                                       .log = log,
                                       .registry = registry,
                                       .on_update = keep_latest,
                                       .ctx = &latest,
                                       .update_interval_ns = UPDATE_INTERVAL_MS * NS_PER_MS};
    struct sd_manager *manager = sd_manager_new(&options);
    sd_manager_apply(manager, config->generation, &job->sd, 1);
    sd_manager_start(manager);
    struct sd_update *update = wait_for_update(&latest, is_static(job), timeout_ns);
    sd_manager_free(manager);
    sd_update_unref(latest.update); /* one that came since */
    metric_registry_free(registry);
    log_free(log);
    cond_release(&latest.changed);
    mutex_release(&latest.mu);
    return update;
}

/* ---- what is found ---- */

static void make_result(struct sd_report *r, struct labels own, struct labels group,
                        struct sd_result *out) {
    struct page_target target;
    struct err err;
    const struct labels given = labels_merge(r->arena, group, own);
    enum err_code code = page_target_discovered(r->job, given, r->arena, &out->discovered, &err);
    if (code == ERR_OK) {
        code = page_target_make(r->job, given, r->arena, &target, &err);
    }
    out->failed = code != ERR_OK;
    out->labels = out->failed ? (struct labels){NULL, 0} : target.all;
    if (out->failed) {
        const struct str address = labels_get(given, STR("__address__"));
        (void)fprintf(r->io->err, "target \"%.*s\": %s\n", STR_ARG(address), err.text);
    }
}

static bool is_known(const struct sd_result *results, size_t count, const struct sd_result *one) {
    for (size_t i = 0; i < count; i++) {
        if (results[i].failed == one->failed && labels_eq(results[i].discovered, one->discovered) &&
            labels_eq(results[i].labels, one->labels)) {
            return true;
        }
    }
    return false;
}

static void print_string(struct sd_report *r, struct str s) {
    struct json_out json;
    buf_clear(&r->text);
    json_out_init(&json, &r->text);
    json_str(&json, s);
    (void)fprintf(r->io->out, "%.*s", STR_ARG(buf_str(&r->text)));
}

static void print_labels(struct sd_report *r, const char *key, struct labels labels) {
    FILE *out = r->io->out;
    (void)fprintf(out, "    \"%s\": {", key);
    struct labels_iter it = labels_begin(labels);
    struct label label;
    bool any = false;
    while (labels_next(&it, &label)) {
        (void)fprintf(out, "%s\n      ", any ? "," : "");
        print_string(r, label.name);
        (void)fprintf(out, ": ");
        print_string(r, label.value);
        any = true;
    }
    (void)fprintf(out, any ? "\n    }" : "}");
}

static void print_result(struct sd_report *r, const struct sd_result *result) {
    (void)fprintf(r->io->out, "%s\n  {\n", r->printed++ > 0 ? "," : "");
    print_labels(r, "discoveredLabels", result->discovered);
    (void)fprintf(r->io->out, ",\n");
    print_labels(r, "labels", result->labels);
    (void)fprintf(r->io->out, "%s\n  }", result->failed ? ",\n    \"error\": {}" : "");
}

static void print_group(struct sd_report *r, const struct sd_group *group) {
    struct sd_result *results = arena_alloc(r->arena, (group->target_count + 1) * sizeof(*results));
    size_t count = 0;
    for (size_t i = 0; i < group->target_count; i++) {
        make_result(r, group->targets[i], group->labels, &results[count]);
        if (!is_known(results, count, &results[count])) {
            print_result(r, &results[count++]);
        }
    }
}

static void print_update(struct tool_call *call, const struct scrape_config *job,
                         const struct sd_update *update) {
    struct sd_report r = {.io = &call->io, .arena = call->arena, .job = job};
    size_t count = 0;
    const struct sd_group *groups = update != NULL ? sd_update_groups(update, &count) : NULL;
    buf_init(&r.text, TEXT_BYTES_MAX);
    (void)fputc('[', call->io.out);
    for (size_t i = 0; i < count; i++) {
        print_group(&r, &groups[i]);
    }
    (void)fprintf(call->io.out, r.printed > 0 ? "\n]" : "]");
    buf_release(&r.text);
}

/* ---- the command ---- */

static const struct scrape_config *find_job(const struct config *config, const char *name,
                                            FILE *errors) {
    for (size_t i = 0; i < config->scrape_count; i++) {
        if (str_eq(config->scrapes[i].job_name, str_of(name))) {
            return &config->scrapes[i];
        }
    }
    (void)fprintf(errors, "Job %s not found. Select one of:\n", name);
    for (size_t i = 0; i < config->scrape_count; i++) {
        (void)fprintf(errors, "\t%.*s\n", STR_ARG(config->scrapes[i].job_name));
    }
    return NULL;
}

int cmd_check_service_discovery(struct tool_call *call) {
    int64_t timeout_ns = 0;
    struct config *config = NULL;
    struct err err;
    if (tool_parse_go_duration(str_of(tool_text(call, "timeout")), &timeout_ns, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "brasa: error: %s, try --help\n", err.text);
        return TOOL_FAILED;
    }
    if (config_load(call->io.vfs, tool_arg(call, 0), NULL, &config, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "Cannot load config %s\n", err.text);
        return TOOL_FAILED;
    }
    const struct scrape_config *job = find_job(config, tool_arg(call, 1), call->io.err);
    if (job != NULL) {
        struct sd_update *update = discover(call->io.vfs, config, job, timeout_ns);
        print_update(call, job, update);
        sd_update_unref(update);
    }
    config_unref(config);
    return job != NULL ? TOOL_OK : TOOL_FAILED;
}
