/* file_sd_configs: lists of targets in files that others write (spec/discovery.md section 3).
 *
 * All files are looked at again at every refresh interval and when anything changes in their
 * folders; those whose size and time of change are what they were are not read again, and a text
 * that is what it was is not parsed again. A file that cannot be read keeps its last targets; a file that is gone loses them.
 *
 * The inotify descriptor is asked once a second rather than waited for: the transport's poll is
 * the only wait of the discovery thread, and updates leave it at most every five seconds. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/vfs.h"
#include "scrape/sd/sd_provider.h"

enum { FILES_MAX = 100000 };

#define EVENT_POLL_NS NS_PER_S

/* A file that was read so soon after a change may have changed again within one tick of its file
 * system's clock: it is read once more. */
#define SETTLED_NS (3 * NS_PER_S)

/* What a change of targets can look like; a change of rights alone is none. */
#define EVENT_MASK                                                                                 \
    (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_DELETE_SELF | IN_MOVE_SELF)

struct sd_target_file {
    char *path; /* owned */
    struct sd_boxes groups;
    struct metric *mtime; /* NULL: none yet */
    struct vfs_stat stat; /* before it was read */
    bool settled;         /* stat tells whether it is the one that was read */
    bool read;            /* groups are those of a text with the hash */
    uint64_t text_hash;
    bool taken; /* by a later list of files */
};

struct sd_files {
    struct sd_target_file *items;
    size_t count, capacity;
};

struct sd_file_provider {
    struct sd_provider base;
    int inotify; /* -1: not to be had; the interval must do */
    struct sd_files files;
    int64_t refresh_due_ns;
    struct metric *read_errors, *watcher_errors;
    struct metric_summary *scan_duration;
};

void sd_file_metrics(struct metric_registry *registry, struct metric **out_read_errors,
                     struct metric **out_watcher_errors, struct metric_summary **out_scans) {
    static const double quantiles[] = {0.5, 0.9, 0.99};
    *out_read_errors = metric_counter(registry, "prometheus_sd_file_read_errors_total",
                                      "The number of File-SD read errors.", NULL, 0);
    *out_watcher_errors = metric_counter(
        registry, "prometheus_sd_file_watcher_errors_total",
        "The number of File-SD errors caused by filesystem watch failures.", NULL, 0);
    *out_scans = metric_summary(registry, "prometheus_sd_file_scan_duration_seconds",
                                "The duration of the File-SD scan in seconds.", NULL, 0, quantiles,
                                COUNT_OF(quantiles));
}

/* ---- patterns to paths ---- */

struct glob {
    struct sd_files *out;
    struct str dir;
    const char *pattern; /* of the last element */
};

static void add_path(struct sd_files *files, char *path) {
    if (files->count == files->capacity) {
        files->capacity = mem_grow(files->capacity, files->count + 1);
        files->items = mem_resize(files->items, files->capacity, sizeof(files->items[0]));
    }
    files->items[files->count++] = (struct sd_target_file){.path = path};
}

static bool add_match(void *ctx, const char *name) {
    struct glob *const g = ctx;
    if (fnmatch(g->pattern, name, 0) == 0) {
        const size_t n = strlen(name);
        char *const path = mem_alloc(g->dir.len + n + 1);
        memcpy(path, g->dir.ptr, g->dir.len);
        memcpy(path + g->dir.len, name, n + 1);
        add_path(g->out, path);
    }
    return g->out->count < FILES_MAX;
}

/* With its slash; "" for a bare file name. */
static struct str folder_of(struct str path) {
    return str_sub(path, 0, (size_t)(str_rfind_char(path, '/') + 1));
}

static char *folder_path(struct str path) {
    const struct str dir = folder_of(path);
    return dir.len == 0 ? mem_strdup("./") : mem_strndup(dir.ptr, dir.len);
}

static void expand(struct sd_file_provider *p, struct str pattern, struct sd_files *out) {
    char *const folder = folder_path(pattern);
    char *const whole = mem_strndup(pattern.ptr, pattern.len);
    struct glob g = {out, folder_of(pattern), whole + folder_of(pattern).len};
    struct err err;
    /* A folder that is not there holds no files. */
    const enum err_code code = vfs_list(p->base.env->vfs, folder, add_match, &g, &err);
    if (code != ERR_OK && code != ERR_NOT_FOUND) {
        log_warn(p->base.env->log, "discovery manager", "Error expanding file glob",
                 log_str("glob", pattern), log_err(&err));
    }
    mem_free(whole);
    mem_free(folder);
}

static int by_path(const void *a, const void *b) {
    const struct sd_target_file *const x = a;
    const struct sd_target_file *const y = b;
    return strcmp(x->path, y->path);
}

static void files_release(struct sd_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        mem_free(files->items[i].path);
        sd_boxes_release(&files->items[i].groups);
    }
    mem_free(files->items);
    *files = (struct sd_files){0};
}

/* All files of all patterns, sorted, each once. */
static void list_files(struct sd_file_provider *p, struct sd_files *out) {
    for (size_t i = 0; i < p->base.config->file_count; i++) {
        expand(p, p->base.config->files[i], out);
    }
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof(out->items[0]), by_path);
    }
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++) {
        if (kept > 0 && strcmp(out->items[kept - 1].path, out->items[i].path) == 0) {
            mem_free(out->items[i].path);
        } else {
            out->items[kept++] = out->items[i];
        }
    }
    out->count = kept;
}

/* ---- reading ---- */

/* The groups of the file: those of old, moved, if the text is the same. */
static enum err_code read_file(struct sd_file_provider *p, struct sd_target_file *file,
                               struct sd_target_file *old, struct err *err) {
    char *text = NULL;
    size_t n = 0;
    enum err_code code = vfs_read_file(p->base.env->vfs, file->path, SD_TEXT_MAX, &text, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct str name = str_of(file->path);
    const bool is_json = name.len >= 5 && str_eq_nocase(str_from(name, name.len - 5), STR(".json"));
    file->text_hash = hash_keyed(text, n, n);
    if (old->read && old->text_hash == file->text_hash) {
        file->groups = old->groups;
        old->groups = (struct sd_boxes){0};
    } else {
        code = sd_list_parse((struct str){text, n}, is_json, name, STR("__meta_filepath"),
                             &file->groups, err);
    }
    file->read = code == ERR_OK;
    mem_free(text);
    return code;
}

static struct metric *mtime_metric(struct sd_file_provider *p, const char *path) {
    struct metric_registry *const registry = p->base.env->registry;
    const struct label label = {STR("filename"), str_of(path)};
    struct metric *const metric = metric_gauge(
        registry, "prometheus_sd_file_mtime_seconds",
        "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.", &label, 1);
    metric_hold(registry, metric); /* another job may read the file as well */
    return metric;
}

/* What was known of the path, moved. */
static struct sd_target_file take_old(struct sd_file_provider *p, const char *path) {
    struct sd_target_file known = {.path = (char *)(uintptr_t)path};
    struct sd_target_file *const old =
        p->files.count == 0
            ? NULL
            : bsearch(&known, p->files.items, p->files.count, sizeof(p->files.items[0]), by_path);
    if (old != NULL) {
        known = *old;
        old->taken = true;
        old->mtime = NULL;
        old->groups = (struct sd_boxes){0};
    }
    return known;
}

static bool same_file(const struct vfs_stat *a, const struct vfs_stat *b) {
    return a->mtime_ns == b->mtime_ns && a->size_bytes == b->size_bytes;
}

/* Whether its targets may be others than before. */
static bool load(struct sd_file_provider *p, struct sd_target_file *file) {
    struct err err;
    struct sd_target_file old = take_old(p, file->path);
    const bool seen = vfs_stat(p->base.env->vfs, file->path, &file->stat, NULL) == ERR_OK;
    const int64_t now_ns = clock_unix_ns(p->base.env->clock);
    file->mtime = old.mtime;
    if (seen && old.settled && same_file(&old.stat, &file->stat)) {
        file->groups = old.groups;
        file->read = true;
        file->text_hash = old.text_hash;
        file->settled = true;
        return false;
    }
    const enum err_code code = read_file(p, file, &old, &err);
    if (seen) {
        file->mtime = file->mtime != NULL ? file->mtime : mtime_metric(p, file->path);
        metric_set(file->mtime, (double)file->stat.mtime_ns / 1e9);
    }
    if (code != ERR_OK) {
        file->groups = old.groups;
        metric_inc(p->read_errors);
        log_error(p->base.env->log, "discovery manager", "Error reading file",
                  log_text("path", file->path), log_err(&err));
        return false;
    }
    const bool changed = !old.read || old.text_hash != file->text_hash;
    sd_boxes_release(&old.groups);
    file->settled = seen && now_ns - file->stat.mtime_ns > SETTLED_NS;
    return changed;
}

/* Of files that no later list has; whether there are any. */
static bool drop_gone(struct sd_file_provider *p) {
    bool any = false;
    for (size_t i = 0; i < p->files.count; i++) {
        any |= !p->files.items[i].taken;
        if (p->files.items[i].mtime != NULL) {
            metric_remove(p->base.env->registry, p->files.items[i].mtime);
        }
    }
    return any;
}

static void publish(struct sd_file_provider *p) {
    struct sd_boxes all = {0};
    for (size_t i = 0; i < p->files.count; i++) {
        for (size_t g = 0; g < p->files.items[i].groups.count; g++) {
            sd_boxes_add(&all, sd_box_ref(p->files.items[i].groups.items[g]));
        }
    }
    sd_provider_publish(&p->base, &all);
}

static void refresh(struct sd_file_provider *p) {
    const int64_t start_ns = clock_mono_ns(p->base.env->clock);
    struct sd_files files = {0};
    list_files(p, &files);
    bool changed = !p->base.published;
    for (size_t i = 0; i < files.count; i++) {
        changed |= load(p, &files.items[i]);
    }
    changed |= drop_gone(p);
    files_release(&p->files);
    p->files = files;
    if (changed) {
        publish(p);
    }
    metric_summarize(p->scan_duration,
                     (double)(clock_mono_ns(p->base.env->clock) - start_ns) / 1e9);
}

/* ---- watching ---- */

/* Folders may have come into being since; adding a watch twice is harmless. */
static void watch_folders(struct sd_file_provider *p) {
    for (size_t i = 0; i < p->base.config->file_count && p->inotify >= 0; i++) {
        char *const folder = folder_path(p->base.config->files[i]);
        if (inotify_add_watch(p->inotify, folder, EVENT_MASK) < 0 && errno != ENOENT) {
            metric_inc(p->watcher_errors);
        }
        mem_free(folder);
    }
}

/* Takes all events; true if there was any. */
static bool take_events(struct sd_file_provider *p) {
    _Alignas(struct inotify_event) char events[4096];
    bool any = false;
    while (p->inotify >= 0 && read(p->inotify, events, sizeof(events)) > 0) {
        any = true;
    }
    return any;
}

static int64_t step(struct sd_provider *base) {
    struct sd_file_provider *const p = (struct sd_file_provider *)base;
    const int64_t now = clock_mono_ns(base->env->clock);
    if (take_events(p) || now >= p->refresh_due_ns) {
        watch_folders(p); /* first, so that no change falls between */
        refresh(p);
        p->refresh_due_ns = now + base->config->refresh_interval_ms * NS_PER_MS;
    }
    const int64_t poll = now + EVENT_POLL_NS;
    return poll < p->refresh_due_ns ? poll : p->refresh_due_ns;
}

static void free_provider(struct sd_provider *base) {
    struct sd_file_provider *const p = (struct sd_file_provider *)base;
    (void)drop_gone(p);
    files_release(&p->files);
    if (p->inotify >= 0) {
        (void)close(p->inotify);
    }
    sd_provider_release(base);
    mem_free(p);
}

enum err_code sd_file_new(struct sd_env *env, struct generation *g, const struct sd_config *config,
                          struct str set, struct sd_provider **out, struct err *err) {
    static const struct sd_provider_ops ops = {.step = step, .free = free_provider};
    (void)set;
    (void)err;
    struct sd_file_provider *const p = mem_zalloc(sizeof(*p));
    sd_provider_init(&p->base, &ops, env, g, config);
    sd_file_metrics(env->registry, &p->read_errors, &p->watcher_errors, &p->scan_duration);
    p->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->inotify < 0) {
        metric_inc(p->watcher_errors);
    }
    *out = &p->base;
    return ERR_OK;
}
