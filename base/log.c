#include "base/log.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/number.h"
#include "base/utf8.h"

/* A value that a peer sized is cut, so that a line stays one line of a log viewer. */
enum { VALUE_BYTES_MAX = 8 * 1024, LINE_BYTES_MAX = 1024 * 1024 };

struct log {
    struct clock *clock;
    int fd;
    enum log_level level;
    enum log_format format;
    struct mutex mu; /* held around the write: long lines to a pipe would mix otherwise */
};

static const char *level_name(enum log_level level) {
    switch (level) {
    case LOG_DEBUG:
        return "DEBUG";
    case LOG_INFO:
        return "INFO";
    case LOG_WARN:
        return "WARN";
    case LOG_ERROR:
        return "ERROR";
    }
    return "UNKNOWN";
}

struct log *log_new(struct clock *clock, int fd, enum log_level level, enum log_format format) {
    struct log *log = mem_zalloc(sizeof(*log));
    log->clock = clock;
    log->fd = fd;
    log->level = level;
    log->format = format;
    mutex_init(&log->mu);
    return log;
}

void log_free(struct log *log) {
    if (log != NULL) {
        mutex_release(&log->mu);
        mem_free(log);
    }
}

bool log_enabled(const struct log *log, enum log_level level) {
    return log != NULL && level >= log->level;
}

static struct str cut(struct str s) {
    if (s.len <= VALUE_BYTES_MAX) {
        return s;
    }
    size_t n = VALUE_BYTES_MAX;
    while (n > 0 && ((uint8_t)s.ptr[n] & 0xC0) == 0x80) {
        n--;
    }
    return str_sub(s, 0, n);
}

/* logfmt as Go's slog writes it: quoted when empty or when anything in it is a space, '=', '"' or
 * not printable; a backslash alone is no reason. */
static void append_logfmt(struct buf *to, struct str s) {
    bool quote = s.len == 0;
    bool ascii = true;
    for (size_t i = 0; i < s.len && !quote; i++) {
        const uint8_t c = (uint8_t)s.ptr[i];
        quote = c <= ' ' || c == '=' || c == '"';
        ascii = ascii && c < 0x80;
    }
    if (!quote && ascii) {
        buf_append_str(to, s);
        return;
    }
    struct buf quoted;
    buf_init(&quoted, 16 * VALUE_BYTES_MAX);
    utf8_quote(&quoted, s);
    /* Quoting that changed nothing shows that all runes are printable. */
    if (!quote && quoted.len == s.len + 2) {
        buf_append_str(to, s);
    } else {
        buf_append_str(to, buf_str(&quoted));
    }
    buf_release(&quoted);
}

static void logfmt_text(struct buf *line, const char *key, struct str value) {
    buf_append_char(line, ' ');
    buf_append_cstr(line, key);
    buf_append_char(line, '=');
    append_logfmt(line, value);
}

/* The text of a field that is not a string. */
static void append_value(struct buf *to, const struct log_field *f) {
    switch (f->type) {
    case LOG_FIELD_I64:
        buf_append_i64(to, f->as.i);
        break;
    case LOG_FIELD_U64:
        buf_append_u64(to, f->as.u);
        break;
    case LOG_FIELD_F64:
        buf_append_number_g(to, f->as.f);
        break;
    case LOG_FIELD_BOOL:
        buf_append_cstr(to, f->as.u != 0 ? "true" : "false");
        break;
    case LOG_FIELD_DURATION_NS:
        duration_format_go_ns(to, f->as.i);
        break;
    case LOG_FIELD_STR:
    case LOG_FIELD_END:
        break;
    }
}

static void logfmt_line(struct buf *line, struct str time, enum log_level level,
                        const char *component, const char *msg, const struct log_field *fields) {
    buf_append_cstr(line, "time=");
    buf_append_str(line, time);
    logfmt_text(line, "level", str_of(level_name(level)));
    if (component != NULL) {
        logfmt_text(line, "component", str_of(component));
    }
    logfmt_text(line, "msg", str_of(msg));
    for (const struct log_field *f = fields; f->type != LOG_FIELD_END; f++) {
        if (f->type == LOG_FIELD_STR) {
            logfmt_text(line, f->key, cut(f->as.s));
        } else {
            buf_append_char(line, ' ');
            buf_append_cstr(line, f->key);
            buf_append_char(line, '=');
            append_value(line, f);
        }
    }
}

/* Plain where it is valid, so that a URL stays readable. */
static void json_text(struct json_out *j, struct str s) {
    if (utf8_valid(s)) {
        json_label_str(j, s);
    } else {
        json_str(j, s);
    }
}

static void json_field(struct json_out *j, const struct log_field *f) {
    json_key(j, f->key);
    switch (f->type) {
    case LOG_FIELD_STR:
        json_text(j, cut(f->as.s));
        break;
    case LOG_FIELD_I64:
        json_i64(j, f->as.i);
        break;
    case LOG_FIELD_U64:
        json_u64(j, f->as.u);
        break;
    case LOG_FIELD_F64:
        json_f64(j, f->as.f);
        break;
    case LOG_FIELD_BOOL:
        json_bool(j, f->as.u != 0);
        break;
    case LOG_FIELD_DURATION_NS: {
        struct buf text;
        buf_init(&text, 64);
        append_value(&text, f);
        json_str(j, buf_str(&text));
        buf_release(&text);
        break;
    }
    case LOG_FIELD_END:
        json_null(j);
        break;
    }
}

static void json_line(struct buf *line, struct str time, enum log_level level,
                      const char *component, const char *msg, const struct log_field *fields) {
    struct json_out j;
    json_out_init(&j, line);
    json_object_begin(&j);
    json_key(&j, "time");
    json_str(&j, time);
    json_key(&j, "level");
    json_str(&j, str_of(level_name(level)));
    if (component != NULL) {
        json_key(&j, "component");
        json_text(&j, str_of(component));
    }
    json_key(&j, "msg");
    json_text(&j, str_of(msg));
    for (const struct log_field *f = fields; f->type != LOG_FIELD_END; f++) {
        json_field(&j, f);
    }
    json_object_end(&j);
}

/* Whoever reads the log decides how fast we may write it: there is nowhere to report a failure,
 * and a log that cannot be written must not stop the server. */
static void write_line(struct log *log, struct str line) {
    mutex_lock(&log->mu);
    while (line.len > 0) {
        const ssize_t put = write(log->fd, line.ptr, line.len);
        if (put > 0) {
            line = str_from(line, (size_t)put);
        } else if (errno != EINTR) {
            break;
        }
    }
    mutex_unlock(&log->mu);
}

void log_write(struct log *log, enum log_level level, const char *component, const char *msg,
               const struct log_field *fields) {
    if (!log_enabled(log, level)) {
        return;
    }
    struct buf time;
    buf_init(&time, 64);
    time_format_rfc3339_ms(&time, clock_unix_ms(log->clock));
    struct buf line;
    buf_init(&line, LINE_BYTES_MAX);
    if (log->format == LOG_JSON) {
        json_line(&line, buf_str(&time), level, component, msg, fields);
    } else {
        logfmt_line(&line, buf_str(&time), level, component, msg, fields);
    }
    buf_append_char(&line, '\n');
    write_line(log, buf_str(&line));
    buf_release(&line);
    buf_release(&time);
}
