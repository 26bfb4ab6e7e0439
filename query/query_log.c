#include "query/query_log.h"

#include "base/buf.h"
#include "base/duration.h"
#include "query/parse.h"

/* A query's text is bounded; escaping makes a byte six at most. */
enum { LINE_BYTES_MAX = 6 * PARSE_TEXT_MAX + 1024 * 1024 };

void query_log_init(struct query_log *log) {
    atomic_init(&log->on, false);
    mutex_init(&log->mu);
    log->file = NULL;
    log->end = 0;
    log->failed = false;
}

void query_log_release(struct query_log *log) {
    vfs_file_close(log->file);
    mutex_release(&log->mu);
}

static enum err_code open_end(struct vfs *vfs, const char *path, struct vfs_file **out,
                              uint64_t *out_end, struct err *err) {
    enum err_code code = vfs_open(vfs, path, VFS_WRITE | VFS_CREATE, out, err);
    if (code == ERR_OK) {
        code = vfs_file_size(*out, out_end, err);
        if (code != ERR_OK) {
            vfs_file_close(*out);
        }
    }
    return code;
}

enum err_code query_log_set(struct query_log *log, struct vfs *vfs, const char *path,
                            struct err *err) {
    struct vfs_file *file = NULL;
    uint64_t end = 0;
    enum err_code code = ERR_OK;
    if (path != NULL && path[0] != '\0') {
        code = open_end(vfs, path, &file, &end, err);
        if (code != ERR_OK) {
            file = NULL;
            (void)err_wrap(err, "query_log_file %s", path);
        }
    }
    mutex_lock(&log->mu);
    struct vfs_file *old = log->file;
    log->file = file;
    log->end = end;
    log->failed = false;
    atomic_store_explicit(&log->on, file != NULL, memory_order_relaxed);
    mutex_unlock(&log->mu);
    vfs_file_close(old);
    return code;
}

/* ---- a line ---- */

/* 2006-01-02T15:04:05.000Z */
static void json_date(struct json_out *j, const char *key, int64_t unix_ms) {
    struct buf text;
    buf_init(&text, 64);
    time_format_rfc3339_ms(&text, unix_ms);
    json_key(j, key);
    json_str(j, buf_str(&text));
    buf_release(&text);
}

/* Of texts: < > & stand as they are, as Go's log writes them. */
static void json_member(struct json_out *j, const char *key, struct str value) {
    json_key(j, key);
    json_label_str(j, value);
}

static void write_params(struct json_out *j, const struct query *q) {
    json_key(j, "params");
    json_object_begin(j);
    json_date(j, "end", q->step_ms == 0 ? q->start_ms : q->end_ms);
    json_member(j, "query", q->text);
    json_date(j, "start", q->start_ms);
    json_key(j, "step");
    json_i64(j, q->step_ms / 1000);
    json_object_end(j);
}

static void write_origin(struct json_out *j, const struct query_origin *o) {
    if (o == NULL) {
        return;
    }
    const bool rule = o->rule_group.len != 0;
    json_key(j, rule ? "ruleGroup" : "httpRequest");
    json_object_begin(j);
    if (rule) {
        json_member(j, "file", o->rule_file);
        json_member(j, "name", o->rule_group);
    } else {
        json_member(j, "clientIP", o->client);
        json_member(j, "method", o->method);
        json_member(j, "path", o->path);
    }
    json_object_end(j);
}

static void write_line(struct json_out *j, int64_t unix_ms, const struct query *query,
                       const struct query_stats *stats, const struct err *error) {
    json_object_begin(j);
    json_date(j, "time", unix_ms);
    json_member(j, "level", STR("INFO"));
    json_member(j, "source", STR("query_log.c"));
    json_member(j, "msg", STR("promql query logged"));
    write_params(j, query);
    if (error != NULL) {
        json_member(j, "error", str_of(error->text));
    }
    json_key(j, "stats");
    query_stats_json(j, stats);
    json_member(j, "spanID", STR("0000000000000000"));
    json_member(j, "traceID", STR("00000000000000000000000000000000"));
    write_origin(j, query->origin);
    json_object_end(j);
}

static void append_locked(struct query_log *log, struct log *reports, struct str line)
    REQUIRES(log->mu) {
    struct err err;
    if (log->file == NULL || log->failed) {
        metric_add(log->failures, log->failed);
        return;
    }
    if (vfs_file_pwrite(log->file, line.ptr, line.len, log->end, &err) == ERR_OK) {
        log->end += line.len;
        return;
    }
    log->failed = true;
    metric_inc(log->failures);
    log_error(reports, "query", "the query log is not written any more", log_err(&err));
}

void query_log_write(struct query_log *log, struct log *reports, int64_t unix_ms,
                     const struct query *query, const struct query_stats *stats,
                     const struct err *error) {
    struct buf line;
    struct json_out j;
    buf_init(&line, LINE_BYTES_MAX);
    json_out_init(&j, &line);
    write_line(&j, unix_ms, query, stats, error);
    buf_append_char(&line, '\n');
    if (buf_ok(&line)) {
        mutex_lock(&log->mu);
        append_locked(log, reports, buf_str(&line));
        mutex_unlock(&log->mu);
    }
    buf_release(&line);
}
