/* What series that end cost: hours of scrapes on a fake clock, with instances that are replaced and without,
 * each in a process of its own.
 *
 *     bench_churn DATA [INSTANCES] [SERIES] [PERCENT] [TIMES] [HOURS]
 *
 * DATA is an empty folder. INSTANCES (100) of SERIES (500) each are scraped every 15 s for HOURS (6);
 * PERCENT (50) of them are replaced TIMES (20). A tenth of the series has a label of which each instance has
 * values of its own, as containers do. A third of the values changes with each row. Background work runs
 * once a minute. Prints memory (the anonymous part of the resident set: at the end, its greatest at a minute's
 * end, and the peak within background work above what was there before), series of the head, what is on disk,
 * and how long the values of the label instance take. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/labels.h"
#include "base/mem.h"
#include "base/value.h"
#include "base/vfs.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { INTERVAL_S = 15, OWN_EVERY = 10, MINUTE_ROWS = 60 / INTERVAL_S };

struct plan {
    const char *path;
    uint32_t instances;
    uint32_t series;
    uint32_t percent;
    uint32_t times;
    uint32_t hours;
};

struct fake_clock {
    struct clock clock;
    int64_t now_ns;
};

struct churn {
    struct plan plan;
    struct fake_clock clock;
    struct tsdb *db;
    struct storage *st;
    struct storage_group **groups;
    uint32_t next_instance;
    uint32_t next_replaced;
    struct num *values;
    uint8_t *states;
    uint64_t samples;
    double base_bytes;
    double worst_bytes; /* at the end of a minute */
    double worst_peak;  /* of a minute's background work, above what was before it */
};

static int64_t fake_now(struct clock *clock) {
    return ((struct fake_clock *)clock)->now_ns;
}

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench_churn: %s\n", err->text);
        exit(1);
    }
}

/* ---- memory ---- */

static double status_bytes(const char *key) {
    struct err err;
    char *text;
    size_t len;
    must(vfs_read_file(vfs_system(), "/proc/self/status", 1 << 16, &text, &len, &err), &err);
    const char *at = strstr(text, key);
    const double bytes = at != NULL ? (double)strtoll(at + strlen(key), NULL, 10) * 1024 : 0;
    mem_free(text);
    return bytes;
}

/* VmHWM begins anew. */
static void reset_peak(void) {
    const int fd = open("/proc/self/clear_refs", O_WRONLY);
    if (fd >= 0) {
        const ssize_t ignored = write(fd, "5", 1);
        (void)ignored;
        (void)close(fd);
    }
}

/* ---- instances ---- */

static struct labels make_labels(struct arena *arena, uint32_t instance, uint32_t series,
                                 bool whole) {
    char name[32];
    char host[32];
    char own[48];
    (void)snprintf(host, sizeof(host), "pod-%08x:8080", instance * 2654435761U);
    (void)snprintf(name, sizeof(name), "metric_%u_total", series / 8);
    (void)snprintf(own, sizeof(own), "%u-%08x", series % 8, instance * 2246822519U);
    char path[16];
    (void)snprintf(path, sizeof(path), "/path/%u", series % 8);
    const bool has_own = series % OWN_EVERY == 0;
    const struct label pairs[] = {{LABEL_NAME, str_of(name)},
                                  {STR("container"), has_own ? str_of(own) : STR("main")},
                                  {STR("instance"), str_of(host)},
                                  {STR("job"), STR("pods")},
                                  {STR("path"), str_of(path)}};
    return whole ? labels_of(arena, pairs, 5) : labels_of(arena, pairs + 2, 2);
}

static void start_instance(struct churn *c, uint32_t place) {
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    const uint32_t instance = ++c->next_instance;
    struct storage_group **g = &c->groups[place];
    must(storage_group_open(c->st, place % storage_shard_count(c->st),
                            make_labels(&arena, instance, 0, false), g, &err),
         &err);
    for (uint32_t i = 0; i < c->plan.series; i++) {
        uint32_t slot;
        must(storage_group_series(c->st, *g, make_labels(&arena, instance, i, true), &slot, &err),
             &err);
        ASSERT(slot == i);
    }
    arena_release(&arena);
}

static void commit(struct churn *c, uint32_t place, bool ends) {
    struct storage_row_result result;
    struct err err;
    memset(c->states, ends ? SLOT_STALE : SLOT_VALUE, c->plan.series);
    const struct storage_row row = {.ts_ms = c->clock.now_ns / NS_PER_MS + place % 5,
                                    .slot_count = c->plan.series,
                                    .values = c->values,
                                    .states = c->states};
    must(storage_group_commit(c->st, c->groups[place], &row, &result, &err), &err);
    c->samples += result.accepted;
}

static void replace(struct churn *c) {
    const uint32_t count = (uint32_t)((uint64_t)c->plan.instances * c->plan.percent / 100);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t place = c->next_replaced++ % c->plan.instances;
        commit(c, place, true);
        storage_group_close(c->st, c->groups[place]);
        start_instance(c, place);
    }
}

/* ---- time ---- */

static void work(struct churn *c) {
    reset_peak();
    const double before = status_bytes("VmRSS:");
    tsdb_maintain(c->db);
    const double peak = status_bytes("VmHWM:") - before;
    mem_give_back();
    const double now = status_bytes("RssAnon:") - c->base_bytes;
    c->worst_peak = peak > c->worst_peak ? peak : c->worst_peak;
    c->worst_bytes = now > c->worst_bytes ? now : c->worst_bytes;
}

static void scrape(struct churn *c, uint32_t row) {
    for (uint32_t i = 0; i < c->plan.series; i++) {
        const uint32_t step = i % 3 == 0 ? row : i % 3 == 1 ? row / 100 : 0;
        c->values[i] = num_of_double((double)i * 1000 + (double)step * (1 + i % 17));
    }
    for (uint32_t place = 0; place < c->plan.instances; place++) {
        commit(c, place, false);
    }
}

static double label_values_ms(struct churn *c, size_t *out_count) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct str *values;
    arena_init(&arena, 0);
    const int64_t start = clock_mono_ns(clock_system());
    must(storage_querier_open(c->st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    must(storage_label_values(c->st, q, STR("instance"), NULL, 0, 0, &values, out_count, &err),
         &err);
    const double ms = (double)(clock_mono_ns(clock_system()) - start) / 1e6;
    arena_release(&arena);
    return ms;
}

static void report(struct churn *c) {
    struct storage_stats stats;
    size_t values = 0;
    mem_give_back();
    storage_stats(c->st, &stats);
    const double bytes = status_bytes("RssAnon:") - c->base_bytes;
    const double series = (double)c->plan.instances * c->plan.series;
    (void)label_values_ms(c, &values);
    const double ms = label_values_ms(c, &values);
    printf("%3u%% replaced %2u times: %.1f MB at the end (%.0f B per active series), greatest %.1f "
           "MB, "
           "peak of background work %+.1f MB; %" PRIu64
           " series in the head, %.3f B/sample on disk, %zu "
           "instances listed in %.2f ms\n",
           c->plan.percent, c->plan.times, bytes / 1e6, bytes / series, c->worst_bytes / 1e6,
           c->worst_peak / 1e6, stats.series_count, (double)stats.disk_bytes / (double)c->samples,
           values, ms);
}

static void run(const struct plan *plan) {
    static const struct clock_ops ops = {fake_now, fake_now};
    struct churn c = {.plan = *plan, .clock = {{.ops = &ops}, INT64_C(1795348800) * NS_PER_S}};
    struct tsdb_options options;
    struct err err;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%u", plan->path, plan->percent);
    c.values = mem_array(plan->series, sizeof(*c.values));
    c.states = mem_array(plan->series, 1);
    c.groups = mem_array(plan->instances, sizeof(struct storage_group *));
    c.base_bytes = status_bytes("RssAnon:");
    tsdb_options_default(&options);
    options.path = path;
    options.clock = &c.clock.clock;
    options.no_background = true;
    must(tsdb_open(&options, &c.db, NULL, &err), &err);
    c.st = tsdb_storage(c.db);
    for (uint32_t i = 0; i < plan->instances; i++) {
        start_instance(&c, i);
    }
    const uint32_t rows = plan->hours * 3600 / INTERVAL_S;
    for (uint32_t row = 0; row < rows; row++) {
        c.clock.now_ns += INTERVAL_S * NS_PER_S;
        scrape(&c, row);
        if (plan->times != 0 && row % (rows / plan->times + 1) == rows / plan->times / 2) {
            replace(&c);
        }
        if (row % MINUTE_ROWS == 0) {
            work(&c);
        }
    }
    report(&c);
    for (uint32_t i = 0; i < plan->instances; i++) {
        storage_group_close(c.st, c.groups[i]);
    }
    tsdb_close(c.db);
    mem_free(c.values);
    mem_free(c.states);
    mem_free(c.groups);
}

static uint32_t number(int argc, char **argv, int at, uint32_t standard) {
    return argc > at ? (uint32_t)strtoul(argv[at], NULL, 10) : standard;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        (void)fprintf(stderr,
                      "usage: bench_churn DATA [INSTANCES] [SERIES] [PERCENT] [TIMES] [HOURS]\n");
        return 2;
    }
    const struct plan plan = {.path = argv[1],
                              .instances = number(argc, argv, 2, 100),
                              .series = number(argc, argv, 3, 500),
                              .percent = number(argc, argv, 4, 50),
                              .times = number(argc, argv, 5, 20),
                              .hours = number(argc, argv, 6, 6)};
    for (int with = 0; with < 2; with++) {
        (void)fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            struct plan mine = plan;
            mine.percent = with ? plan.percent : 0;
            run(&mine);
            return 0;
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            return 1;
        }
    }
    return 0;
}
