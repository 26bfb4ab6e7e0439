/* Protobuf pages. Any bytes (behind one that holds the settings): no crash, and a target that knows
 * the page already reads from it what a fresh one reads. And: the bytes as a recipe for families,
 * which are written in protobuf and in text and must give the same rows. And a slow reader of the
 * messages finds the same families and samples up to the same end or error. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "expo_proto_slow.h"
#include "scrape/expo_proto.h"
#include "scrape/ingest.h"
#include "tests/support/proto_writer.h"
#include "tests/support/row_storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- one target ---- */

struct reader {
    struct row_storage *rows;
    struct ingest *ingest;
    struct ingest_scratch *scratch;
    struct ingest_scrape scrape;
    struct err err;
};

static void reader_init(struct reader *r) {
    r->rows = row_storage_new(true);
    r->ingest = ingest_new(row_storage_as_storage(r->rows), 0);
    r->scratch = ingest_scratch_new();
}

static void reader_release(struct reader *r) {
    ingest_free(r->ingest);
    ingest_scratch_free(r->scratch);
    row_storage_free(r->rows);
}

enum { NATIVE = 1, CLASSIC_TOO = 2, CONVERT = 4, LIMITED = 8, STARTS = 16, ZEROS = 32 };

static enum err_code read_page(struct reader *r, struct str body, enum expo_format format,
                               unsigned settings, int64_t ts_ms) {
    const struct scrape_config config = {
        .honor_timestamps = true,
        .native_histogram_bucket_limit = (settings & LIMITED) != 0 ? 3 : 0,
        .native_histogram_min_bucket_factor = (settings & LIMITED) != 0 ? 1.5 : 0,
    };
    const struct ingest_report report = {.up = true};
    char *const page = malloc(body.len + 1); /* of exact size but for one */
    memcpy(page, body.ptr, body.len);
    r->err.text[0] = '\0';
    r->scrape = (struct ingest_scrape){
        .config = &config,
        .clock = clock_system(),
        .format = format,
        .ts_ms = ts_ms,
        .now_ms = ts_ms,
        .histograms = {.native = (settings & NATIVE) != 0,
                       .classic_too = (settings & CLASSIC_TOO) != 0,
                       .convert = (settings & CONVERT) != 0},
        .features = SCRAPE_EXEMPLARS | ((settings & STARTS) != 0 ? SCRAPE_START_STORE : 0U) |
                    ((settings & ZEROS) != 0 ? SCRAPE_START_ZERO : 0U),
    };
    ingest_begin(r->ingest, r->scratch);
    const enum err_code code =
        ingest_page(r->ingest, r->scratch, &r->scrape, (struct str){page, body.len}, 1, &r->err);
    struct err err;
    const enum err_code committed = ingest_commit(r->ingest, r->scratch, &r->scrape, &report, &err);
    ASSERT(committed == ERR_OK);
    free(page);
    return code;
}

/* ---- any bytes ---- */

static void read_any(struct str body, unsigned settings) {
    struct reader known;
    struct reader fresh;
    reader_init(&known);
    reader_init(&fresh);
    const unsigned no_zeros = settings & ~(unsigned)ZEROS; /* a past has written them already */
    (void)read_page(&known, body, EXPO_FORMAT_PROTOBUF, settings, 1000);
    (void)row_storage_take(known.rows, false);
    const enum err_code code = read_page(&known, body, EXPO_FORMAT_PROTOBUF, no_zeros, 2000);
    const enum err_code want = read_page(&fresh, body, EXPO_FORMAT_PROTOBUF, no_zeros, 2000);
    ASSERT(code == want);
    ASSERT(strcmp(known.err.text, fresh.err.text) == 0);
    ASSERT(known.scrape.scraped == fresh.scrape.scraped);
    ASSERT(known.scrape.added == fresh.scrape.added);
    ASSERT(known.scrape.duplicates == fresh.scrape.duplicates);
    if (code == ERR_OK) {
        struct buf a;
        buf_init(&a, 1 << 28);
        buf_append_cstr(&a, row_storage_take(known.rows, false));
        const char *const b = row_storage_take(fresh.rows, false);
        ASSERT(strcmp(a.ptr != NULL ? a.ptr : "", b) == 0);
        buf_release(&a);
    }
    reader_release(&fresh);
    reader_release(&known);
}

/* ---- the slow reader ---- */

static bool write_sample(const struct expo_proto *p, const struct expo_entry *entry,
                         struct arena *arena, struct buf *to) {
    const struct label *labels = NULL;
    size_t n = 0;
    if (expo_proto_labels(p, arena, &labels, &n, NULL) != ERR_OK) {
        return false;
    }
    struct label *const copy = arena_alloc(arena, n * sizeof(*copy));
    memcpy(copy, labels, n * sizeof(*copy));
    ASSERT(entry->has_timestamp == (entry->timestamp_ms != 0));
    slow_proto_sample(to, num_double(entry->value), entry->timestamp_ms, entry->start_ts_ms, copy,
                      n);
    return true;
}

static void write_entries(struct str body, struct buf *to) {
    struct expo_proto p;
    struct expo_entry entry = {.kind = EXPO_COMMENT};
    struct arena arena;
    bool good = true;
    arena_init(&arena, 0);
    expo_proto_init(&p, body, (struct scrape_histograms){0}, false, true, &arena);
    while (good && entry.kind != EXPO_END) {
        good = expo_proto_next(&p, &entry, NULL) == ERR_OK;
        if (good && entry.kind == EXPO_TYPE) {
            slow_proto_family(to, p.name, p.help, p.unit, p.kind);
        } else if (good && entry.kind == EXPO_SAMPLE) {
            good = write_sample(&p, &entry, &arena, to);
        }
    }
    buf_append_cstr(to, good ? "end\n" : "bad\n");
    expo_proto_release(&p);
    arena_release(&arena);
}

static void compare_with_slow(struct str body) {
    enum { COMPARED_MAX = 16384 };
    struct buf got;
    struct buf want;
    if (body.len > COMPARED_MAX) {
        return;
    }
    buf_init(&got, 1 << 28);
    buf_init(&want, 1 << 28);
    write_entries(body, &got);
    slow_proto_read(body, &want);
    ASSERT(buf_ok(&want) && str_eq(buf_str(&got), buf_str(&want)));
    buf_release(&want);
    buf_release(&got);
}

/* ---- both formats ---- */

struct recipe {
    const uint8_t *at, *end;
    struct buf text, page;
};

static unsigned take(struct recipe *r, unsigned below) {
    return r->at < r->end ? *r->at++ % below : 0;
}

static double take_double(struct recipe *r) {
    static const double values[] = {0, 1, -1.5, 1e-7, 17, 0.1, 1e300, 123456789};
    return values[take(r, COUNT_OF(values))];
}

struct series {
    unsigned id, label_count;
    bool has_time;
    unsigned time_ms;
};

static void text_sample(struct recipe *r, const struct series *s, const char *suffix,
                        const char *bound_name, double bound, double value) {
    static const char *const labels[] = {"a=\"x\"", "b=\"\\\"\\\\\\n\""};
    buf_printf(&r->text, "f%u%s{id=\"%u\"", s->id, suffix, s->id);
    for (unsigned i = 0; i < s->label_count; i++) {
        buf_printf(&r->text, ",%s", labels[i]);
    }
    if (bound_name != NULL) {
        buf_printf(&r->text, ",%s=\"", bound_name);
        buf_append_number_g(&r->text, bound);
        buf_append_char(&r->text, '"');
    }
    buf_append_cstr(&r->text, "} ");
    buf_append_number_g(&r->text, value);
    if (s->has_time) {
        buf_printf(&r->text, " %u", s->time_ms);
    }
    buf_append_char(&r->text, '\n');
}

static void proto_label(struct buf *metric, struct str name, struct str value) {
    struct buf pair;
    buf_init(&pair, 1 << 10);
    pb_bytes(&pair, 1, name);
    pb_bytes(&pair, 2, value);
    pb_message(metric, 1, &pair);
    buf_release(&pair);
}

/* Quantiles (field 3, rank and value) or buckets (field 3, count and bound). */
static void write_bounds(struct recipe *r, const struct series *s, bool summary, double count,
                         struct buf *value) {
    struct buf inner;
    buf_init(&inner, 1 << 10);
    const unsigned n = take(r, 4);
    for (unsigned i = 0; i < n; i++) {
        const double bound = (double)(i + 1) / 4;
        const double v = summary ? take_double(r) : take(r, 100);
        if (summary) {
            pb_double(&inner, 1, bound);
            pb_double(&inner, 2, v);
        } else {
            pb_uint(&inner, 1, (uint64_t)v);
            pb_double(&inner, 2, bound);
        }
        pb_message(value, 3, &inner);
        text_sample(r, s, summary ? "" : "_bucket", summary ? "quantile" : "le", bound, v);
    }
    if (!summary) {
        text_sample(r, s, "_bucket", "le", (double)INFINITY, count);
    }
    buf_release(&inner);
}

static void write_value(struct recipe *r, const struct series *s, unsigned kind,
                        struct buf *value) {
    if (kind == 2 || kind == 4) {
        const unsigned count = take(r, 200);
        const double sum = take_double(r);
        pb_uint(value, 1, count);
        pb_double(value, 2, sum);
        text_sample(r, s, "_count", NULL, 0, count);
        text_sample(r, s, "_sum", NULL, 0, sum);
        write_bounds(r, s, kind == 2, count, value);
    } else {
        const double v = take_double(r);
        pb_double(value, 1, v);
        text_sample(r, s, "", NULL, 0, v);
    }
}

static void write_family(struct recipe *r, unsigned id) {
    static const char *const types[] = {"counter", "gauge", "summary", "untyped", "histogram"};
    static const uint32_t fields[] = {3, 2, 4, 5, 7};
    struct buf family;
    struct buf metric;
    struct buf value;
    buf_init(&family, 1 << 16);
    buf_init(&metric, 1 << 12);
    buf_init(&value, 1 << 12);
    const unsigned kind = take(r, COUNT_OF(types));
    char name[16];
    (void)snprintf(name, sizeof(name), "f%u", id);
    pb_bytes(&family, 1, str_of(name));
    pb_uint(&family, 3, kind);
    buf_printf(&r->text, "# TYPE %s %s\n", name, types[kind]);
    const unsigned time = take(r, 256);
    const struct series s = {id, take(r, 3), time % 4 == 0, time + 1};
    proto_label(&metric, STR("id"), str_from(str_of(name), 1));
    if (s.label_count > 0) {
        proto_label(&metric, STR("a"), STR("x"));
    }
    if (s.label_count > 1) {
        proto_label(&metric, STR("b"), STR("\"\\\n"));
    }
    write_value(r, &s, kind, &value);
    pb_message(&metric, fields[kind], &value);
    if (s.has_time) {
        pb_uint(&metric, 6, s.time_ms);
    }
    pb_message(&family, 4, &metric);
    pb_varint(&r->page, family.len);
    buf_append_str(&r->page, buf_str(&family));
    buf_release(&value);
    buf_release(&metric);
    buf_release(&family);
}

static void write_and_compare(const uint8_t *data, size_t size) {
    struct recipe recipe = {.at = data, .end = data + size};
    struct reader text;
    struct reader proto;
    buf_init(&recipe.text, 1 << 20);
    buf_init(&recipe.page, 1 << 20);
    for (unsigned id = 0; recipe.at < recipe.end && id < 64; id++) {
        write_family(&recipe, id);
    }
    reader_init(&text);
    reader_init(&proto);
    for (int64_t ts_ms = 1000; ts_ms <= 2000; ts_ms += 1000) {
        enum err_code code = read_page(&text, buf_str(&recipe.text), EXPO_FORMAT_TEXT, 0, ts_ms);
        ASSERT(code == ERR_OK);
        code = read_page(&proto, buf_str(&recipe.page), EXPO_FORMAT_PROTOBUF, 0, ts_ms);
        ASSERT(code == ERR_OK);
        ASSERT(text.scrape.scraped == proto.scrape.scraped);
        const char *const want = row_storage_take(text.rows, false);
        ASSERT(strcmp(want, row_storage_take(proto.rows, false)) == 0);
    }
    reader_release(&proto);
    reader_release(&text);
    buf_release(&recipe.page);
    buf_release(&recipe.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0) {
        read_any((struct str){(const char *)data + 1, size - 1}, data[0]);
        compare_with_slow((struct str){(const char *)data + 1, size - 1});
        write_and_compare(data, size);
    }
    return 0;
}
