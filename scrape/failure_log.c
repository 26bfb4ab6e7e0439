#include "scrape/failure_log.h"

#include <stdbool.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/json_out.h"
#include "base/mem.h"

/* Of URL, job and error; escaping makes a byte six at most. */
enum { LINE_BYTES_MAX = 1024 * 1024 };

struct failure_file {
    char *path;
    struct vfs_file *file; /* NULL: could not be opened, or failed */
};

struct failure_log {
    struct vfs *vfs;
    struct log *log;
    struct failure_file *files;
    size_t count;
    struct buf line;
};

struct failure_log *failure_log_new(struct vfs *vfs, struct log *log) {
    struct failure_log *const fl = mem_zalloc(sizeof(*fl));
    fl->vfs = vfs;
    fl->log = log;
    buf_init(&fl->line, LINE_BYTES_MAX);
    return fl;
}

void failure_log_reopen(struct failure_log *fl) {
    for (size_t i = 0; i < fl->count; i++) {
        vfs_file_close(fl->files[i].file);
        mem_free(fl->files[i].path);
    }
    mem_free(fl->files);
    fl->files = NULL;
    fl->count = 0;
}

void failure_log_free(struct failure_log *fl) {
    if (fl != NULL) {
        failure_log_reopen(fl);
        buf_release(&fl->line);
        mem_free(fl);
    }
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
    struct failure_file *const file = open_file(fl, path);
    if (file->file == NULL) {
        return;
    }
    struct buf *const line = &fl->line;
    struct err err;
    uint64_t end = 0;
    buf_clear(line);
    write_line(line, unix_ns, job, url, error);
    if (!buf_ok(line)) {
        return; /* an absurd URL */
    }
    /* The end is asked for each time: whoever rotates logs may have cut the file. */
    enum err_code code = vfs_file_size(file->file, &end, &err);
    if (code == ERR_OK) {
        code = vfs_file_pwrite(file->file, line->ptr, line->len, end, &err);
    }
    if (code != ERR_OK) {
        give_up(fl, file, &err);
    }
}
