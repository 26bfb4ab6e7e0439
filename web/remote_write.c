#include "web/remote_write.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/number.h"
#include "base/snappy.h"
#include "web/handlers.h"

enum { SCRATCH_KEEP_BYTES = 8 << 20 }; /* what a rare large request took is given back */

#define MEDIA_TYPE "application/x-protobuf"
#define TYPE_V1 "prometheus.WriteRequest"
#define TYPE_V2 "io.prometheus.write.v2.Request"

struct remote_write {
    struct mutex mu;
    struct write_scratch *spare; /* under mu */
    struct metric *invalid;
    struct metric *without_metadata;
};

/* ---- life ---- */

struct remote_write *remote_write_new(struct metric_registry *registry) {
    struct remote_write *receiver = mem_zalloc(sizeof(*receiver));
    mutex_init(&receiver->mu);
    receiver->invalid = metric_counter(
        registry, "prometheus_api_remote_write_invalid_labels_samples_total",
        "The total number of received remote write samples and histogram samples which were "
        "rejected due to invalid labels.",
        NULL, 0);
    receiver->without_metadata = metric_counter(
        registry, "prometheus_api_remote_write_without_metadata_appended_samples_total",
        "The total number of received remote write samples (and histogram samples) which were "
        "ingested without corresponding metadata.",
        NULL, 0);
    return receiver;
}

void remote_write_free(struct remote_write *receiver) {
    if (receiver == NULL) {
        return;
    }
    for (struct write_scratch *s = receiver->spare; s != NULL;) {
        struct write_scratch *next = s->next;
        write_scratch_release(s);
        mem_free(s);
        s = next;
    }
    mutex_release(&receiver->mu);
    mem_free(receiver);
}

static struct write_scratch *take_scratch(struct remote_write *receiver) {
    mutex_lock(&receiver->mu);
    struct write_scratch *s = receiver->spare;
    if (s != NULL) {
        receiver->spare = s->next;
    }
    mutex_unlock(&receiver->mu);
    if (s == NULL) {
        s = mem_zalloc(sizeof(*s));
        buf_init(&s->plain, WRITE_BODY_MAX);
        arena_init(&s->arena, WRITE_ARENA_MAX);
    }
    buf_clear(&s->plain);
    s->symbol_count = 0;
    s->all_label_bytes = 0;
    return s;
}

static void give_scratch(struct remote_write *receiver, struct write_scratch *s) {
    const size_t bytes = s->plain.capacity + s->packed_capacity +
                         s->label_capacity * sizeof(*s->labels) +
                         s->symbol_capacity * sizeof(*s->symbols) + write_forms_bytes(&s->forms);
    if (bytes > SCRATCH_KEEP_BYTES) {
        write_scratch_release(s);
    }
    arena_reset(&s->arena);
    mutex_lock(&receiver->mu);
    s->next = receiver->spare;
    receiver->spare = s;
    mutex_unlock(&receiver->mu);
}

/* ---- what the request is ---- */

enum write_version { WRITE_V1, WRITE_V2 };

static bool fail_type(struct http_outgoing *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool fail_type(struct http_outgoing *out, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    http_text(out, 415, text);
    buf_append_char(&out->body, '\n');
    return false;
}

static bool read_message_type(struct str type, struct str content_type, enum write_version *out,
                              struct http_outgoing *response) {
    if (str_eq(type, STR(TYPE_V1))) {
        *out = WRITE_V1;
        return true;
    }
    if (str_eq(type, STR(TYPE_V2))) {
        *out = WRITE_V2;
        return true;
    }
    return fail_type(response,
                     "got %.*s content type; unknown type for remote write protobuf message %.*s, "
                     "supported: " TYPE_V1 ", " TYPE_V2,
                     STR_ARG(str_sub(content_type, 0, 256)), STR_ARG(str_sub(type, 0, 256)));
}

static struct str take_part(struct str *rest) {
    const ptrdiff_t at = str_find_char(*rest, ';');
    const struct str part = at < 0 ? *rest : str_sub(*rest, 0, (size_t)at);
    *rest = at < 0 ? STR("") : str_from(*rest, (size_t)at + 1);
    return part;
}

/* On false the answer is written. */
static bool read_content_type(struct str content_type, enum write_version *out,
                              struct http_outgoing *response) {
    const struct str whole = str_trim(content_type);
    struct str rest = whole;
    *out = WRITE_V1;
    if (whole.len == 0) {
        return true;
    }
    if (!str_eq(take_part(&rest), STR(MEDIA_TYPE))) {
        return fail_type(response,
                         "expected " MEDIA_TYPE " as the first (media) part, got %.*s content-type",
                         STR_ARG(str_sub(whole, 0, 512)));
    }
    while (rest.len != 0) {
        const struct str part = take_part(&rest);
        const ptrdiff_t equals = str_find_char(part, '=');
        const struct str value = equals < 0 ? STR("") : str_from(part, (size_t)equals + 1);
        if (equals < 0 || str_find_char(value, '=') >= 0) {
            return fail_type(response,
                             "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected "
                             "parameters to be key-values, got %.*s in %.*s content-type",
                             STR_ARG(str_sub(part, 0, 256)), STR_ARG(str_sub(whole, 0, 256)));
        }
        if (str_eq(str_sub(part, 0, (size_t)equals), STR("proto"))) {
            return read_message_type(value, whole, out, response);
        }
    }
    return true;
}

/* On false the answer is written. */
static bool unpack(const struct http_incoming *in, struct buf *to, struct http_outgoing *out) {
    if (in->content_encoding.len != 0 && !str_eq(in->content_encoding, STR("snappy"))) {
        return fail_type(out,
                         "%.*s encoding (compression) is not accepted by this server; only snappy "
                         "is acceptable",
                         STR_ARG(str_sub(in->content_encoding, 0, 256)));
    }
    if (in->body_too_large) {
        http_text(out, 413, "request body exceeds the 33554432 bytes limit\n");
        return false;
    }
    struct err err;
    const enum err_code code = snappy_unpack(buf_str(&in->body), to, &err);
    if (code == ERR_OK) {
        return true;
    }
    http_text(out, 400,
              code == ERR_LIMIT ? "decoded size exceeds the 33554432 bytes limit" : err.text);
    buf_append_char(&out->body, '\n');
    return false;
}

/* ---- storing and answering ---- */

static void add_count(struct http_incoming *in, struct http_outgoing *out, const char *name,
                      uint64_t count) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_i64((int64_t)count, text);
    http_add_header(out, name, arena_str(&in->arena, (struct str){text, n}));
}

static void add_counts(struct http_incoming *in, struct http_outgoing *out,
                       const struct write_batch *b, bool stored) {
    add_count(in, out, "X-Prometheus-Remote-Write-Samples-Written", stored ? b->samples : 0);
    add_count(in, out, "X-Prometheus-Remote-Write-Histograms-Written", stored ? b->histograms : 0);
    add_count(in, out, "X-Prometheus-Remote-Write-Exemplars-Written", stored ? b->exemplars : 0);
}

static void fail_text(struct http_outgoing *out, int status, struct str text) {
    http_text(out, status, "");
    buf_append_str(&out->body, text);
    buf_append_char(&out->body, '\n');
}

static bool is_refusal(enum err_code code) {
    return code == ERR_OUT_OF_ORDER || code == ERR_DUPLICATE || code == ERR_TOO_OLD ||
           code == ERR_OUT_OF_BOUNDS || code == ERR_INVALID;
}

/* What was taken is committed: the rest of the answer. */
static void answer_committed(struct write_batch *b, struct http_outgoing *out) {
    if (b->more_errors != 0) {
        buf_printf(&b->errors, "\n%llu more errors", (unsigned long long)b->more_errors);
    }
    if (b->partial && b->errors.len != 0) {
        fail_text(out, 400, buf_str(&b->errors));
    } else if (b->unsupported != 0) {
        http_text(out, 400, WRITE_NO_HISTOGRAMS "\n");
    } else {
        http_text(out, 204, "");
    }
}

/* Decodes and stores in one transaction; false: nothing is stored. */
static bool store(struct write_batch *b, enum write_version version, struct http_outgoing *out) {
    struct err err;
    enum err_code code = storage_appender_begin(b->storage, &b->appender, &err);
    if (code != ERR_OK) {
        fail_text(out, 500, str_of(err.text));
        return false;
    }
    code = version == WRITE_V2 ? write_decode_v2(b, &err) : write_decode_v1(b, &err);
    if (code != ERR_OK || b->failure != ERR_OK) {
        storage_appender_rollback(b->storage, b->appender);
        if (code != ERR_OK) {
            fail_text(out, 400, str_of(err.text));
        } else {
            fail_text(out, is_refusal(b->failure) ? 400 : 500, buf_str(&b->errors));
        }
        return false;
    }
    code = storage_appender_commit(b->storage, b->appender, &err);
    if (code != ERR_OK) {
        fail_text(out, 500, str_of(err.text));
        return false;
    }
    answer_committed(b, out);
    return true;
}

static void note_invalid(struct web *web, const struct write_batch *b) {
    if (b->invalid != 0) {
        metric_add(web->remote_write->invalid, (double)b->invalid);
        log_warn(web->options.log, "web", "Remote write: series with invalid labels were left out",
                 log_u64("count", b->invalid));
    }
    metric_add(web->remote_write->without_metadata, (double)b->without_metadata);
}

void remote_write(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    if (!web->options.enable_remote_write) {
        http_text(out, 404,
                  "remote write receiver needs to be enabled with "
                  "--web.enable-remote-write-receiver\n");
        return;
    }
    struct write_scratch *scratch = take_scratch(web->remote_write);
    enum write_version version;
    if (unpack(in, &scratch->plain, out) && read_content_type(in->content_type, &version, out)) {
        struct write_batch b = {
            .scratch = scratch,
            .storage = web->options.storage,
            .max_ts_ms = clock_unix_ms(web->options.clock) + WRITE_FUTURE_MAX_MS,
            .partial = version == WRITE_V2,
            .keep_start = web->options.keep_start_timestamps,
            .meta_labels = web->options.type_and_unit_labels,
        };
        buf_init(&b.errors, WRITE_ERRORS_BYTES_MAX);
        const bool stored = store(&b, version, out);
        if (version == WRITE_V2) {
            add_counts(in, out, &b, stored);
        }
        note_invalid(web, &b);
        buf_release(&b.errors);
    }
    give_scratch(web->remote_write, scratch);
}
