/* Any bytes are a request or are refused, in both versions. What an accepted request stored is what
 * a second, plain decoder finds in it: one that keeps whole lists and looks nothing up twice. The
 * first byte chooses the version. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tests/support/push_storage.h"
#include "web/remote_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST_MAX = 4096 };

/* ---- the plain decoder: every field of a message, in a list ---- */

struct message {
    struct proto_field *fields;
    size_t count;
    bool ok;
};

static struct message decode(struct arena *arena, struct str bytes) {
    struct message m = {.fields = arena_alloc(arena, (bytes.len + 1) * sizeof(*m.fields))};
    struct proto p = proto_of(bytes);
    while (proto_next(&p, &m.fields[m.count])) {
        m.count++;
    }
    m.ok = proto_ok(&p);
    return m;
}

static struct str last_bytes(const struct message *m, uint32_t number) {
    struct str found = STR("");
    for (size_t i = 0; i < m->count; i++) {
        found = m->fields[i].number == number ? m->fields[i].bytes : found;
    }
    return found;
}

static uint64_t last_value(const struct message *m, uint32_t number) {
    uint64_t found = 0;
    for (size_t i = 0; i < m->count; i++) {
        found = m->fields[i].number == number ? m->fields[i].value : found;
    }
    return found;
}

/* Pairs in any order to labels that a series may have; false: it may not have them. */
static bool make_labels(struct arena *arena, const struct label *pairs, size_t n,
                        struct labels *out) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].name.len == 0 || !utf8_valid(pairs[i].name) || !utf8_valid(pairs[i].value)) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (str_eq(pairs[i].name, pairs[k].name)) {
                return false;
            }
        }
        labels_builder_set(&b, pairs[i].name, pairs[i].value);
    }
    struct err err;
    return labels_builder_get(&b, LABEL_NAME).len != 0 &&
           labels_builder_finish(&b, out, &err) == ERR_OK;
}

static size_t v1_pairs(struct arena *arena, const struct message *series, struct label *pairs) {
    size_t n = 0;
    for (size_t i = 0; i < series->count; i++) {
        if (series->fields[i].number == 1) {
            const struct message label = decode(arena, series->fields[i].bytes);
            pairs[n++] = (struct label){last_bytes(&label, 1), last_bytes(&label, 2)};
        }
    }
    return n;
}

/* False: a reference is outside, or one has no partner. */
static bool v2_pairs(struct arena *arena, const struct message *request,
                     const struct message *series, struct label *pairs, size_t *out_n) {
    struct str *symbols = arena_alloc(arena, (request->count + 1) * sizeof(*symbols));
    size_t symbol_count = 0;
    for (size_t i = 0; i < request->count; i++) {
        if (request->fields[i].number == 4) {
            symbols[symbol_count++] = request->fields[i].bytes;
        }
    }
    struct str names[LIST_MAX];
    size_t n = 0;
    for (size_t i = 0; i < series->count; i++) {
        const struct proto_field *f = &series->fields[i];
        if (f->number != 1) {
            continue;
        }
        struct proto packed = proto_of(f->bytes);
        uint64_t ref = f->value;
        while (f->wire == PROTO_VARINT || packed.at < packed.end) {
            if ((f->wire != PROTO_VARINT && !proto_varint(&packed, &ref)) || n == LIST_MAX ||
                (uint32_t)ref >= symbol_count) {
                return false;
            }
            names[n++] = symbols[(uint32_t)ref];
            if (f->wire == PROTO_VARINT) {
                break;
            }
        }
    }
    for (size_t i = 0; i + 1 < n; i += 2) {
        pairs[i / 2] = (struct label){names[i], names[i + 1]};
    }
    *out_n = n / 2;
    return n % 2 == 0;
}

static bool metadata_fits(struct arena *arena, const struct message *request,
                          const struct message *series) {
    uint64_t symbols = 0;
    for (size_t i = 0; i < request->count; i++) {
        symbols += request->fields[i].number == 4;
    }
    for (size_t i = 0; i < series->count; i++) {
        if (series->fields[i].number == 5) {
            const struct message m = decode(arena, series->fields[i].bytes);
            for (size_t k = 0; k < m.count; k++) {
                const struct proto_field *f = &m.fields[k];
                if ((f->number == 3 || f->number == 4) && f->value != 0 && f->value >= symbols) {
                    return false;
                }
            }
        }
    }
    return true;
}

static void store_plainly(struct arena *arena, struct storage *storage, struct str body, bool v2) {
    struct storage_appender *a = NULL;
    struct err err;
    ASSERT(storage_appender_begin(storage, &a, &err) == ERR_OK);
    const struct message request = decode(arena, body);
    for (size_t i = 0; i < request.count; i++) {
        if (request.fields[i].number != (v2 ? 5U : 1U)) {
            continue;
        }
        const struct message series = decode(arena, request.fields[i].bytes);
        struct label *pairs = arena_alloc(arena, (series.count + LIST_MAX) * sizeof(*pairs));
        size_t n = 0;
        struct labels labels;
        if (v2 ? !v2_pairs(arena, &request, &series, pairs, &n) ||
                     !metadata_fits(arena, &request, &series)
               : (n = v1_pairs(arena, &series, pairs)) == 0) {
            continue;
        }
        if (!make_labels(arena, pairs, n, &labels)) {
            continue;
        }
        for (size_t k = 0; k < series.count; k++) {
            if (series.fields[k].number == 2) {
                const struct message s = decode(arena, series.fields[k].bytes);
                const struct proto_field value = {.value = last_value(&s, 1)};
                const enum err_code code = storage_append(
                    storage, a, labels, (int64_t)last_value(&s, 2), proto_double(&value));
                ASSERT(code == ERR_OK || v2);
            }
        }
    }
    ASSERT(storage_appender_commit(storage, a, &err) == ERR_OK);
}

/* ---- one series held against another ---- */

enum { PAIRS_MAX = 8, SLACK_MAX = 16 };

/* Every other label to the target's. */
static struct storage_expected part_labels(struct arena *arena, struct labels labels,
                                           struct labels *metric) {
    uint8_t *bytes[2] = {arena_alloc(arena, labels.size + SLACK_MAX),
                         arena_alloc(arena, labels.size + SLACK_MAX)};
    size_t used[2] = {0, 0};
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    const uint8_t *from = it.at;
    for (size_t i = 0; labels_next(&it, &pair); i++, from = it.at) {
        memcpy(bytes[i % 2] + used[i % 2], from, (size_t)(it.at - from));
        used[i % 2] += (size_t)(it.at - from);
    }
    *metric = (struct labels){bytes[1], used[1]};
    return (struct storage_expected){.target = {bytes[0], used[0]}, .metrics = metric, .count = 1};
}

/* What is taken for a series whose labels are remembered has them, and its value and time; the series from
 * which they were learned is taken, unless its time is millions of years away. */
static void match_forms(struct write_scratch *scratch, struct str learned, struct str found,
                        struct str run, bool equal) {
    enum { TIME_MAX_BITS = 49 };
    struct write_forms forms = {0};
    write_forms_learn(&forms, 7, learned, run);
    struct buf request;
    uint8_t front[1 + UVARINT_MAX] = {0x0A};
    buf_init(&request, WRITE_BODY_MAX);
    buf_append(&request, front, (size_t)(put_uvarint(front + 1, found.len) - front));
    buf_append_str(&request, found);
    const size_t bytes = request.len;
    buf_append(&request, "0123456789abcdef", SLACK_MAX);
    struct proto from = proto_of(buf_str(&request));
    const uint8_t *begin = from.at;
    const uint32_t set = 7;
    int64_t ts_ms;
    double value;
    const size_t taken = write_forms_take(&forms, &from, &set, 1, run, &ts_ms, &value);
    ASSERT(taken == 0 ? from.at == begin : from.at == begin + bytes && equal);
    struct labels packed;
    int64_t usual_ts_ms;
    double usual_value;
    if (write_read_usual(scratch, found, &packed, &usual_value, &usual_ts_ms)) {
        const bool fits =
            usual_ts_ms >= 0 && usual_ts_ms >> TIME_MAX_BITS == 0 && found.len < 1 << 14;
        const bool whole = taken == 0 || (ts_ms == usual_ts_ms &&
                                          memcmp(&value, &usual_value, sizeof(value)) == 0);
        ASSERT(whole);
        ASSERT(taken != 0 || found.ptr != learned.ptr || !fits || forms.used == 0);
    }
    write_forms_release(&forms);
    buf_release(&request);
}

/* What is taken for an expected series has its labels, and what is that series is taken for it. */
static void match_pairs(struct arena *arena, struct write_scratch *scratch) {
    const struct message request = decode(arena, buf_str(&scratch->plain));
    struct str series[PAIRS_MAX];
    struct labels labels[PAIRS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < request.count && n < PAIRS_MAX; i++) {
        const struct message m = decode(arena, request.fields[i].bytes);
        struct label *pairs = arena_alloc(arena, (m.count + 1) * sizeof(*pairs));
        if (make_labels(arena, pairs, v1_pairs(arena, &m, pairs), &labels[n])) {
            series[n++] = request.fields[i].bytes;
        }
    }
    for (size_t i = 0; i < n * n; i++) {
        const struct str found = series[i / n];
        struct labels metric;
        const struct storage_expected expected = part_labels(arena, labels[i % n], &metric);
        struct labels packed;
        double value = 0;
        double usual_value = 0;
        int64_t ts_ms = 0;
        int64_t usual_ts_ms = 0;
        size_t at = 0;
        const bool usual = write_read_usual(scratch, found, &packed, &usual_value, &usual_ts_ms);
        const bool equal = labels_eq(labels[i / n], labels[i % n]);
        struct str run = STR(""); /* as a series of the same target left it, or not */
        const bool own =
            write_read_expected(scratch, series[i % n], &expected, &at, &run, &value, &ts_ms);
        const bool again =
            write_read_expected(scratch, series[i % n], &expected, &at, &run, &value, &ts_ms);
        ASSERT(own == again);
        const bool taken =
            write_read_expected(scratch, found, &expected, &at, &run, &value, &ts_ms);
        ASSERT(!taken || equal);
        if (own && (run.len != 0 || expected.target.size == 0)) {
            match_forms(scratch, series[i % n], found, run, equal);
        }
        ASSERT(taken || !usual || !equal);
        ASSERT(!taken || !usual ||
               (memcmp(&value, &usual_value, sizeof(value)) == 0 && ts_ms == usual_ts_ms));
    }
}

/* ---- the receiver's ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > LIST_MAX) {
        return 0;
    }
    const bool v2 = (data[0] & 1) != 0;
    struct push_storage *ps = push_storage_new();
    struct push_storage *plain = push_storage_new();
    struct write_scratch scratch = {0};
    buf_init(&scratch.plain, WRITE_BODY_MAX);
    buf_append(&scratch.plain, data + 1, size - 1);
    struct write_batch b = {
        .scratch = &scratch,
        .storage = push_storage_as_storage(ps),
        .max_ts_ms = INT64_MAX,
        .partial = v2,
    };
    buf_init(&b.errors, WRITE_ERRORS_BYTES_MAX);
    struct err err;
    ASSERT(storage_appender_begin(b.storage, &b.appender, &err) == ERR_OK);
    const enum err_code code = v2 ? write_decode_v2(&b, &err) : write_decode_v1(&b, &err);
    ASSERT(code == ERR_OK || code == ERR_INVALID);
    ASSERT(buf_ok(&b.errors));
    if (code == ERR_OK && b.failure == ERR_OK) {
        ASSERT(storage_appender_commit(b.storage, b.appender, &err) == ERR_OK);
        struct arena arena;
        arena_init(&arena, 0);
        store_plainly(&arena, push_storage_as_storage(plain), buf_str(&scratch.plain), v2);
        ASSERT(strcmp(push_storage_take(ps), push_storage_take(plain)) == 0);
        if (!v2) {
            match_pairs(&arena, &scratch);
        }
        arena_release(&arena);
    } else {
        storage_appender_rollback(b.storage, b.appender);
    }
    buf_release(&b.errors);
    write_scratch_release(&scratch);
    push_storage_free(ps);
    push_storage_free(plain);
    return 0;
}
