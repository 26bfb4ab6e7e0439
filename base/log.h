/* Logging: a constant message and typed fields, as logfmt or JSON, to stderr.
 *
 *   log_info(log, "tsdb", "wal tail dropped", log_str("segment", name), log_u64("bytes", n));
 *   time=2026-06-03T17:03:39.621Z level=INFO component=tsdb msg="wal tail dropped" segment=00000002 bytes=17
 *
 * The encoder alone quotes. error = someone must act, warn = we coped, info = state changed,
 * debug = free when off. One line is one write. Thread-safe. NULL as log writes nothing. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

struct log;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

enum log_field_type {
    LOG_FIELD_END,
    LOG_FIELD_STR,
    LOG_FIELD_I64,
    LOG_FIELD_U64,
    LOG_FIELD_F64,
    LOG_FIELD_BOOL,
    LOG_FIELD_DURATION_NS
};

struct log_field {
    enum log_field_type type;
    const char *key;
    union {
        struct str s;
        int64_t i;
        uint64_t u;
        double f;
    } as;
};

struct log *log_new(struct clock *clock, int fd, enum log_level level, enum log_format format);
void log_free(struct log *log);
bool log_enabled(const struct log *log, enum log_level level);
/* fields end with LOG_FIELD_END; use the macros. */
void log_write(struct log *log, enum log_level level, const char *component, const char *msg,
               const struct log_field *fields);

#define LOG_FIELDS(...)                                                                            \
    ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.type = LOG_FIELD_END}})
#define log_debug(log, component, msg, ...)                                                        \
    log_write(log, LOG_DEBUG, component, msg, LOG_FIELDS(__VA_ARGS__))
#define log_info(log, component, msg, ...)                                                         \
    log_write(log, LOG_INFO, component, msg, LOG_FIELDS(__VA_ARGS__))
#define log_warn(log, component, msg, ...)                                                         \
    log_write(log, LOG_WARN, component, msg, LOG_FIELDS(__VA_ARGS__))
#define log_error(log, component, msg, ...)                                                        \
    log_write(log, LOG_ERROR, component, msg, LOG_FIELDS(__VA_ARGS__))

static inline struct log_field log_str(const char *key, struct str s) {
    return (struct log_field){.type = LOG_FIELD_STR, .key = key, .as.s = s};
}

static inline struct log_field log_text(const char *key, const char *text) {
    return log_str(key, str_of(text));
}

static inline struct log_field log_err(const struct err *err) {
    return log_str("err", str_of(err->text));
}

static inline struct log_field log_i64(const char *key, int64_t v) {
    return (struct log_field){.type = LOG_FIELD_I64, .key = key, .as.i = v};
}

static inline struct log_field log_u64(const char *key, uint64_t v) {
    return (struct log_field){.type = LOG_FIELD_U64, .key = key, .as.u = v};
}

static inline struct log_field log_f64(const char *key, double v) {
    return (struct log_field){.type = LOG_FIELD_F64, .key = key, .as.f = v};
}

static inline struct log_field log_bool(const char *key, bool v) {
    return (struct log_field){.type = LOG_FIELD_BOOL, .key = key, .as.u = v};
}

static inline struct log_field log_duration_ns(const char *key, int64_t ns) {
    return (struct log_field){.type = LOG_FIELD_DURATION_NS, .key = key, .as.i = ns};
}

#endif
