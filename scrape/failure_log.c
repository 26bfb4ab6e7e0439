#include "scrape/failure_log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/queue.h"

/* Of URL, job and error; escaping makes a byte six at most. */
enum { LINE_BYTES_MAX = 1024 * 1024 };

struct failure_file {
    char *path;
    struct vfs_file *file; /* NULL: could not be opened, or failed */
};

/* A line on its way to the writer. */
struct failure_line {
    size_t path_bytes, line_bytes;
    char text[]; /* path and line */
};

struct failure_log {
    struct vfs *vfs;
    struct log *log;
    struct metric *dropped;
    bool threaded;
    /* io thread */
    bool started;
    struct buf line;
    struct thread thread;
    /* both */
    struct queue *waiting; /* of struct failure_line */
    _Atomic size_t waiting_bytes;
    _Atomic uint32_t reopened; /* how often */
    /* the writer */
    uint32_t seen_reopened;
    struct failure_file *files;
    size_t count;
};

struct failure_log *failure_log_new(struct vfs *vfs, struct log *log,
                                    struct metric_registry *registry, bool threaded) {
    struct failure_log *const fl = mem_zalloc(sizeof(*fl));
    fl->vfs = vfs;
    fl->log = log;
    fl->threaded = threaded;
    fl->waiting = queue_new(FAILURE_LOG_LINES_MAX);
    fl->dropped = metric_counter(
        registry, "brasa_scrape_failure_log_dropped_lines_total",
        "Lines of scrape failure logs that were dropped because the disk was too slow.", NULL, 0);
    buf_init(&fl->line, LINE_BYTES_MAX);
    return fl;
}

static void close_files(struct failure_log *fl) {
    for (size_t i = 0; i < fl->count; i++) {
        vfs_file_close(fl->files[i].file);
        mem_free(fl->files[i].path);
    }
    mem_free(fl->files);
    fl->files = NULL;
    fl->count = 0;
}

void failure_log_reopen(struct failure_log *fl) {
    atomic_fetch_add(&fl->reopened, 1);
}

void failure_log_free(struct failure_log *fl) {
    if (fl == NULL) {
        return;
    }
    queue_close(fl->waiting);
    if (fl->started) {
        thread_join(&fl->thread);
    }
    queue_free(fl->waiting);
    close_files(fl);
    buf_release(&fl->line);
    mem_free(fl);
}

static void give_up(struct failure_log *fl, struct failure_file *file, const struct err *err) {
    log_error(fl->log, "scrape manager", "Scrape failure log cannot be written",
              log_text("file", file->path), log_err(err));
    vfs_file_close(file->file);
    file->file = NULL;
}

static struct failure_file *open_file(struct failure_log *fl, struct str path) {
    for (size_t i = 0; i < fl->count; i++) {
        if (str_eq(str_of(fl->files[i].path), path)) {
            return &fl->files[i];
        }
    }
    fl->files = mem_resize(fl->files, fl->count + 1, sizeof(fl->files[0]));
    struct failure_file *const file = &fl->files[fl->count++];
    struct err err;
    *file = (struct failure_file){.path = mem_strndup(path.ptr, path.len)};
    if (vfs_open(fl->vfs, file->path, VFS_WRITE | VFS_CREATE, &file->file, &err) != ERR_OK) {
        file->file = NULL;
        give_up(fl, file, &err);
    }
    return file;
}

/* The end is asked for each time: whoever rotates logs may have cut the file. */
static void write_to_file(struct failure_log *fl, struct str path, struct str line) {
    const uint32_t reopened = atomic_load(&fl->reopened);
    if (fl->seen_reopened != reopened) {
        fl->seen_reopened = reopened;
        close_files(fl);
    }
    struct failure_file *const file = open_file(fl, path);
    if (file->file == NULL) {
        return;
    }
    struct err err;
    uint64_t end = 0;
    enum err_code code = vfs_file_size(file->file, &end, &err);
    if (code == ERR_OK) {
        code = vfs_file_pwrite(file->file, line.ptr, line.len, end, &err);
    }
    if (code != ERR_OK) {
        give_up(fl, file, &err);
    }
}

/* ---- the writer's thread ---- */

static void run(void *ctx) {
    struct failure_log *const fl = ctx;
    for (struct failure_line *item = queue_pop(fl->waiting); item != NULL;
         item = queue_pop(fl->waiting)) {
        const struct str path = {item->text, item->path_bytes};
        const struct str line = {item->text + item->path_bytes, item->line_bytes};
        write_to_file(fl, path, line);
        atomic_fetch_sub(&fl->waiting_bytes, item->line_bytes);
        mem_free(item);
    }
}

static void hand_over(struct failure_log *fl, struct str path, struct str line) {
    if (!fl->started) {
        fl->started = true;
        thread_start(&fl->thread, "failure-log", run, fl);
    }
    if (atomic_load(&fl->waiting_bytes) + line.len > FAILURE_LOG_BYTES_MAX) {
        metric_inc(fl->dropped);
        return;
    }
    struct failure_line *const item = mem_alloc(sizeof(*item) + path.len + line.len);
    item->path_bytes = path.len;
    item->line_bytes = line.len;
    memcpy(item->text, path.ptr, path.len);
    memcpy(item->text + path.len, line.ptr, line.len);
    atomic_fetch_add(&fl->waiting_bytes, line.len);
    if (!queue_try_push(fl->waiting, item)) {
        atomic_fetch_sub(&fl->waiting_bytes, line.len);
        metric_inc(fl->dropped);
        mem_free(item);
    }
}

/* ---- lines ---- */

static void member(struct json_out *j, const char *key, struct str value) {
    json_key(j, key);
    json_label_str(j, value);
}

/* In the order of Prometheus' own log; the place in the source is ours. */
static void write_line(struct buf *to, int64_t unix_ns, struct str job, struct str url,
                       struct str error) {
    struct json_out *const j = mem_alloc(sizeof(*j));
    struct buf time;
    buf_init(&time, 64);
    time_format_rfc3339_ns(&time, unix_ns);
    json_out_init(j, to);
    json_object_begin(j);
    member(j, "time", buf_str(&time));
    member(j, "level", STR("ERROR"));
    member(j, "source", STR("failure_log.c"));
    member(j, "msg", error);
    member(j, "job_name", job);
    member(j, "target", url);
    json_object_end(j);
    buf_append_char(to, '\n');
    buf_release(&time);
    mem_free(j);
}

void failure_log_write(struct failure_log *fl, struct str path, int64_t unix_ns, struct str job,
                       struct str url, struct str error) {
    struct buf *const line = &fl->line;
    buf_clear(line);
    write_line(line, unix_ns, job, url, error);
    if (!buf_ok(line)) { /* an absurd URL */
        return;
    }
    if (fl->threaded) {
        hand_over(fl, path, buf_str(line));
    } else {
        write_to_file(fl, path, buf_str(line));
    }
}
