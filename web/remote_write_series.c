#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "web/remote_write.h"

enum {
    ERROR_LABELS_MAX = 16 * 1024, /* bytes of labels that an error text may show */
};

/* ---- labels ---- */

void write_labels_clear(struct write_scratch *scratch) {
    scratch->label_count = 0;
    scratch->label_bytes = 0;
}

/* What a label takes at most when it is packed. */
static size_t packed_bytes(struct label label) {
    return label.name.len + label.value.len + 8;
}

bool write_labels_add(struct write_scratch *scratch, struct label label) {
    if (UNLIKELY(scratch->label_count == scratch->label_capacity)) {
        scratch->label_capacity = mem_grow(scratch->label_capacity, scratch->label_count + 16);
        scratch->labels =
            mem_resize(scratch->labels, scratch->label_capacity, sizeof(*scratch->labels));
    }
    const size_t bytes = packed_bytes(label);
    if (LIKELY(scratch->label_count <= WRITE_LABELS_MAX)) {
        scratch->labels[scratch->label_count++] = label;
        scratch->label_bytes += bytes;
    }
    scratch->all_label_bytes += bytes;
    return scratch->all_label_bytes <= WRITE_ALL_LABEL_BYTES_MAX;
}

static bool is_ascii(struct str s) {
    uint64_t bits = 0;
    size_t at = 0;
    for (; s.len - at >= 8; at += 8) {
        bits |= load_u64(s.ptr + at);
    }
    for (; at < s.len; at++) {
        bits |= (uint8_t)s.ptr[at];
    }
    return (bits & UINT64_C(0x8080808080808080)) == 0;
}

static bool is_text(struct str s) {
    return LIKELY(is_ascii(s)) || utf8_valid(s);
}

static uint8_t *put_string(uint8_t *to, struct str s) {
    if (LIKELY(s.len < 0xFF)) {
        *to++ = (uint8_t)s.len;
    } else {
        *to++ = 0xFF;
        *to++ = (uint8_t)s.len;
        *to++ = (uint8_t)(s.len >> 8);
        *to++ = (uint8_t)(s.len >> 16);
    }
    if (s.len > 0) {
        memcpy(to, s.ptr, s.len);
    }
    return to + s.len;
}

static int by_name(const void *a, const void *b) {
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static void sort_labels(struct write_scratch *s) {
    for (size_t i = 1; i < s->label_count; i++) {
        if (UNLIKELY(str_cmp(s->labels[i - 1].name, s->labels[i].name) > 0)) {
            qsort(s->labels, s->label_count, sizeof(*s->labels), by_name);
            return;
        }
    }
}

/* Are these the labels of a series? They are sorted. */
static enum write_labels check_labels(const struct write_scratch *s, struct str *out_duplicate) {
    bool has_name = false;
    bool duplicate = false;
    for (size_t i = 0; i < s->label_count; i++) {
        const struct label *l = &s->labels[i];
        if (l->name.len == 0 || !is_text(l->name) || !is_text(l->value)) {
            return WRITE_LABELS_INVALID;
        }
        has_name = has_name || (l->value.len != 0 && str_eq(l->name, LABEL_NAME));
        if (UNLIKELY(i > 0 && !duplicate && str_eq(l->name, s->labels[i - 1].name))) {
            duplicate = true;
            *out_duplicate = l->name;
        }
    }
    return !has_name ? WRITE_LABELS_INVALID : duplicate ? WRITE_LABELS_DUPLICATE : WRITE_LABELS_OK;
}

enum write_labels write_labels_pack(struct write_scratch *scratch, struct labels *out,
                                    struct str *out_duplicate) {
    if (scratch->label_count > WRITE_LABELS_MAX || scratch->label_bytes > WRITE_LABEL_BYTES_MAX) {
        return WRITE_LABELS_INVALID;
    }
    sort_labels(scratch);
    const enum write_labels found = check_labels(scratch, out_duplicate);
    if (found != WRITE_LABELS_OK) {
        return found;
    }
    if (UNLIKELY(scratch->label_bytes > scratch->packed_capacity)) {
        scratch->packed_capacity = mem_grow(scratch->packed_capacity, scratch->label_bytes);
        scratch->packed = mem_resize(scratch->packed, scratch->packed_capacity, 1);
    }
    uint8_t *to = scratch->packed;
    for (size_t i = 0; i < scratch->label_count; i++) {
        const struct label *l = &scratch->labels[i];
        if (LIKELY(l->value.len != 0)) { /* an empty value is no label */
            to = put_string(to, l->name);
            to = put_string(to, l->value);
        }
    }
    *out = (struct labels){scratch->packed, (size_t)(to - scratch->packed)};
    return WRITE_LABELS_OK;
}

/* ---- errors ---- */

/* The labels as they came, empty and doubled ones too. */
static COLD void put_labels(const struct write_scratch *s, struct buf *to) {
    struct buf packed;
    buf_init(&packed, ERROR_LABELS_MAX);
    bool fits = true;
    for (size_t i = 0; i < s->label_count && fits; i++) {
        const struct label *l = &s->labels[i];
        const size_t bytes = packed_bytes(*l);
        fits = bytes <= ERROR_LABELS_MAX - packed.len;
        char *at = fits ? buf_reserve(&packed, bytes) : NULL;
        if (at != NULL) {
            uint8_t *end = put_string(put_string((uint8_t *)at, l->name), l->value);
            packed.len += (size_t)(end - (uint8_t *)at);
        }
    }
    if (fits) {
        labels_format(to, (struct labels){(const uint8_t *)buf_str(&packed).ptr, packed.len});
    } else {
        buf_printf(to, "of %zu labels", s->label_count);
    }
    buf_release(&packed);
}

bool write_errors_full(const struct write_batch *b) {
    return b->errors.len > WRITE_ERRORS_BYTES_MAX / 2; /* one more may be long */
}

void write_error(struct write_batch *b, const char *before, bool with_labels, struct str behind) {
    if (write_errors_full(b)) {
        b->more_errors++;
        return;
    }
    if (b->errors.len != 0) {
        buf_append_char(&b->errors, '\n');
    }
    buf_append_cstr(&b->errors, before);
    if (with_labels) {
        put_labels(b->scratch, &b->errors);
    }
    buf_append_str(&b->errors, str_sub(behind, 0, ERROR_LABELS_MAX));
}

/* ---- samples ---- */

bool write_read_sample(struct proto *outer, struct str bytes, double *out_value, int64_t *out_ts_ms,
                       int64_t *out_start_ms) {
    enum { VALUE = 1, TIMESTAMP = 2, START_TIMESTAMP = 3 };
    struct proto p = proto_of(bytes);
    struct proto_field f;
    *out_value = 0;
    *out_ts_ms = 0;
    *out_start_ms = 0;
    while (proto_next(&p, &f)) {
        if (f.number == VALUE && proto_want(&p, &f, PROTO_FIXED64)) {
            *out_value = proto_double(&f);
        } else if (f.number == TIMESTAMP && proto_want(&p, &f, PROTO_VARINT)) {
            *out_ts_ms = (int64_t)f.value;
        } else if (f.number == START_TIMESTAMP && proto_want(&p, &f, PROTO_VARINT)) {
            *out_start_ms = (int64_t)f.value;
        }
    }
    return proto_ok(&p) || proto_fail(outer, p.error);
}

/* Prometheus' words for what the sender should not repeat; NULL: another failure. */
static const char *refusal_text(enum err_code code) {
    return code == ERR_OUT_OF_ORDER    ? "out of order sample"
           : code == ERR_DUPLICATE     ? "duplicate sample for timestamp"
           : code == ERR_TOO_OLD       ? "too old sample"
           : code == ERR_OUT_OF_BOUNDS ? "out of bounds"
           : code == ERR_INVALID       ? "invalid labels"
                                       : NULL;
}

COLD void write_refuse(struct write_batch *b, enum err_code code, const char *text) {
    if (text != NULL && b->partial) {
        char before[96];
        (void)snprintf(before, sizeof(before), "%s for series ", text);
        write_error(b, before, true, STR(""));
        return;
    }
    b->failure = code;
    buf_clear(&b->errors);
    buf_append_cstr(&b->errors, text != NULL        ? text
                                : code == ERR_LIMIT ? "the limit of active series is reached"
                                                    : "the storage failed");
}

static bool may_store(struct write_batch *b, int64_t ts_ms) {
    if (UNLIKELY(b->failure != ERR_OK)) {
        return false;
    }
    if (UNLIKELY(ts_ms > b->max_ts_ms)) {
        write_refuse(b, ERR_OUT_OF_BOUNDS, "out of bounds: timestamp is too far in the future");
        return false;
    }
    return true;
}

bool write_sample(struct write_batch *b, struct labels labels, int64_t ts_ms, double value) {
    if (!may_store(b, ts_ms)) {
        return false;
    }
    const enum err_code code = storage_append(b->storage, b->appender, labels, ts_ms, value);
    if (UNLIKELY(code != ERR_OK)) {
        write_refuse(b, code, refusal_text(code));
        return false;
    }
    b->samples++;
    return true;
}

bool write_expected_sample(struct write_batch *b, int64_t ts_ms, double value) {
    const size_t i = b->expected_at++;
    if (!may_store(b, ts_ms)) {
        return false;
    }
    const enum err_code code = storage_append_expected(b->storage, b->appender, i, ts_ms, value);
    if (UNLIKELY(code != ERR_OK)) {
        write_refuse(b, code, refusal_text(code));
        return false;
    }
    b->samples++;
    return true;
}

void write_expected_row(struct write_batch *b, int64_t ts_ms, const double *values, size_t n) {
    size_t taken = 0;
    if (n != 0 && may_store(b, ts_ms)) {
        taken =
            storage_append_expected_row(b->storage, b->appender, b->expected_at, ts_ms, values, n);
        b->samples += taken;
        b->expected_at += taken;
    }
    for (; taken < n; taken++) {
        (void)write_expected_sample(b, ts_ms, values[taken]);
    }
}

bool write_whole_sample(struct write_batch *b, struct labels labels,
                        const struct storage_sample *sample) {
    if (!may_store(b, sample->ts_ms)) {
        return false;
    }
    const enum err_code code = storage_append_sample(b->storage, b->appender, labels, sample);
    if (UNLIKELY(code != ERR_OK)) {
        write_refuse(b, code, refusal_text(code));
        return false;
    }
    *(sample->histogram != NULL ? &b->histograms : &b->samples) += 1;
    return true;
}

void write_scratch_release(struct write_scratch *scratch) {
    buf_release(&scratch->plain);
    arena_reset(&scratch->arena);
    write_forms_release(&scratch->forms);
    mem_free(scratch->labels);
    mem_free(scratch->packed);
    mem_free(scratch->symbols);
    scratch->labels = NULL;
    scratch->packed = NULL;
    scratch->symbols = NULL;
    scratch->label_capacity = scratch->packed_capacity = scratch->symbol_capacity = 0;
}
