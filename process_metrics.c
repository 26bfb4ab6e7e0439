#include "process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"

struct process_metrics {
    struct metric *cpu, *resident, *virtual, *open_fds, *max_fds, *threads;
};

/* Field n (0-based) of a line of numbers, as /proc/self/statm has it. */
static double statm_pages(int n) {
    char text[256];
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    const ssize_t got = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    struct str rest = {text, got > 0 ? (size_t)got : 0};
    for (; n > 0; n--) {
        const ptrdiff_t space = str_find_char(rest, ' ');
        rest = str_from(rest, space < 0 ? rest.len : (size_t)space + 1);
    }
    const ptrdiff_t end = str_find_char(rest, ' ');
    uint64_t pages = 0;
    if (number_parse_u64(str_sub(rest, 0, end < 0 ? rest.len : (size_t)end), &pages) != NUMBER_OK) {
        return 0;
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double count_entries(const char *path) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    double count = -3;             /* ".", ".." and, for fd, the folder itself */
    while (readdir(dir) != NULL) { // NOLINT(concurrency-mt-unsafe): the stream is ours alone
        count++;
    }
    (void)closedir(dir);
    return count;
}

static void collect(void *ctx) {
    struct process_metrics *p = ctx;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        metric_set(p->cpu, (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    }
    metric_set(p->virtual, statm_pages(0));
    metric_set(p->resident, statm_pages(1));
    metric_set(p->open_fds, count_entries("/proc/self/fd"));
    metric_set(p->threads, count_entries("/proc/self/task") + 1);
}

struct process_metrics *process_metrics_new(struct metric_registry *r, int64_t start_unix_ns) {
    struct process_metrics *p = mem_zalloc(sizeof(*p));
    p->cpu = metric_counter(r, "process_cpu_seconds_total",
                            "Total user and system CPU time spent in seconds.", NULL, 0);
    p->resident =
        metric_gauge(r, "process_resident_memory_bytes", "Resident memory size in bytes.", NULL, 0);
    p->virtual = metric_gauge(r, "process_virtual_memory_bytes", "Virtual memory size in bytes.",
                              NULL, 0);
    p->open_fds = metric_gauge(r, "process_open_fds", "Number of open file descriptors.", NULL, 0);
    p->max_fds =
        metric_gauge(r, "process_max_fds", "Maximum number of open file descriptors.", NULL, 0);
    p->threads = metric_gauge(r, "process_threads", "Number of threads of the process.", NULL, 0);
    metric_set(metric_gauge(r, "process_start_time_seconds",
                            "Start time of the process since unix epoch in seconds.", NULL, 0),
               (double)(start_unix_ns / 10000000) / 100);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metric_set(p->max_fds, (double)limit.rlim_cur);
    }
    if (getrlimit(RLIMIT_AS, &limit) == 0) {
        metric_set(metric_gauge(r, "process_virtual_memory_max_bytes",
                                "Maximum amount of virtual memory available in bytes.", NULL, 0),
                   (double)limit.rlim_cur);
    }
    const struct label build[] = {
        {STR("branch"), STR("HEAD")},
        {STR("goarch"), STR("amd64")},
        {STR("goos"), STR("linux")},
        {STR("goversion"), STR("none")},
        {STR("revision"), STR("brasa-" BRASA_VERSION)},
        {STR("tags"), STR("c17")},
        {STR("version"), STR("3.14.0")},
    };
    metric_set(metric_gauge(r, "prometheus_build_info",
                            "A metric with a constant '1' value labeled by version, revision, "
                            "branch, goversion from which prometheus was "
                            "built, and the goos and goarch for the build.",
                            build, COUNT_OF(build)),
               1);
    metric_on_collect(r, collect, p);
    return p;
}

void process_metrics_free(struct process_metrics *p) {
    mem_free(p);
}
