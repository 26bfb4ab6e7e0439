/* Whatever is written by the JSON writer is JSON: an independent parser reads it, and a string
 * that was valid UTF-8 comes back as it was. Inputs drive the writer: each byte picks a call. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_in.h"
#include "base/json_out.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MAX = 40, CALL_KINDS = 12 };

struct driver {
    struct json_out out;
    const uint8_t *at;
    const uint8_t *end;
    bool is_object[DEPTH_MAX + 2]; /* of each open level; level 0 is an array */
    unsigned depth;
};

static uint64_t take(struct driver *d, size_t n) {
    uint64_t v = 0;
    while (n-- > 0 && d->at < d->end) {
        v = v << 8 | *d->at++;
    }
    return v;
}

static struct str take_str(struct driver *d) {
    const size_t left = (size_t)(d->end - d->at);
    size_t n = (size_t)take(d, 1) % 32;
    n = left > 0 && n > left - 1 ? left - 1 : n;
    n = left == 0 ? 0 : n;
    const struct str s = {(const char *)d->at, n};
    d->at += n;
    /* The label writer copies bytes: its caller has checked them. */
    return s;
}

static struct str valid_or_empty(struct str s) {
    return utf8_valid(s) ? s : STR("");
}

static void open_level(struct driver *d, bool object) {
    if (d->depth >= DEPTH_MAX) {
        json_null(&d->out);
        return;
    }
    d->is_object[++d->depth] = object;
    if (object) {
        json_object_begin(&d->out);
    } else {
        json_array_begin(&d->out);
    }
}

static void close_level(struct driver *d) {
    if (d->is_object[d->depth--]) {
        json_object_end(&d->out);
    } else {
        json_array_end(&d->out);
    }
}

static void write_value(struct driver *d, unsigned kind) {
    double f = 0;
    const uint64_t bits = kind >= 2 && kind <= 6 ? take(d, 8) : 0;
    memcpy(&f, &bits, sizeof(f));
    switch (kind) {
    case 0:
        json_str(&d->out, take_str(d));
        break;
    case 1:
        json_label_str(&d->out, valid_or_empty(take_str(d)));
        break;
    case 2:
        json_i64(&d->out, (int64_t)bits);
        break;
    case 3:
        json_u64(&d->out, bits >> 1); /* the parser's integers are signed */
        break;
    case 4:
        /* The parser refuses integers beyond 64 bits, which these would look like. */
        json_f64(&d->out, fabs(f) >= 9e18 && fabs(f) < 1e21 ? f * 1e-6 : f);
        break;
    case 5:
        json_sample_value(&d->out, f);
        break;
    case 6:
        json_timestamp_ms(&d->out, (int64_t)bits);
        break;
    case 7:
        json_bool(&d->out, true);
        break;
    case 8:
        open_level(d, true);
        break;
    case 9:
        open_level(d, false);
        break;
    default:
        json_null(&d->out);
        break;
    }
}

static void check_string(struct str s) {
    struct buf buf;
    struct json_out out;
    struct json_doc *doc = NULL;
    struct err err;
    buf_init(&buf, 64 * 1024 * 1024);
    json_out_init(&out, &buf);
    json_str(&out, s);
    if (json_parse(buf_str(&buf), &doc, &err) != ERR_OK ||
        (utf8_valid(s) && !str_eq(json_string(json_root(doc)), s))) {
        abort();
    }
    json_doc_free(doc);
    buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1 << 20) {
        return 0;
    }
    check_string((struct str){(const char *)data, size});
    struct buf buf;
    struct driver d = {.at = data, .end = data + size};
    buf_init(&buf, 64 * 1024 * 1024);
    json_out_init(&d.out, &buf);
    json_array_begin(&d.out);
    while (d.at < d.end) {
        const unsigned kind = (unsigned)take(&d, 1) % CALL_KINDS;
        if (kind == CALL_KINDS - 1 && d.depth > 0) {
            close_level(&d);
            continue;
        }
        if (d.is_object[d.depth]) {
            json_key_str(&d.out, STR("k"));
        }
        write_value(&d, kind);
    }
    while (d.depth > 0) {
        close_level(&d);
    }
    json_array_end(&d.out);
    struct json_doc *doc = NULL;
    struct err err;
    if (json_parse(buf_str(&buf), &doc, &err) != ERR_OK || d.out.depth != 0) {
        abort();
    }
    json_doc_free(doc);
    buf_release(&buf);
    return 0;
}
