#include "base/histogram_text.h"

#include "base/number.h"

void histogram_format(struct buf *to, const struct histogram *h) {
    buf_append_cstr(to, "{count:");
    buf_append_number_g(to, h->count);
    buf_append_cstr(to, ", sum:");
    buf_append_number_g(to, h->sum);
    struct histogram_walk walk = histogram_walk_up(h);
    walk.cut = false;
    struct histogram_bucket b;
    while (histogram_walk_next(&walk, &b)) {
        if (b.count == 0) {
            continue;
        }
        buf_append_cstr(to, b.lower_inclusive ? ", [" : ", (");
        buf_append_number_g(to, b.lower);
        buf_append_char(to, ',');
        buf_append_number_g(to, b.upper);
        buf_append_cstr(to, b.upper_inclusive ? "]:" : "):");
        buf_append_number_g(to, b.count);
    }
    buf_append_char(to, '}');
}

static void append_item(struct buf *to, const char *key, double v) {
    if (v != 0) {
        buf_append_char(to, ' ');
        buf_append_cstr(to, key);
        buf_append_number_g(to, v);
    }
}

/* From the first to the last index, gaps filled. */
static void append_side(struct buf *to, const struct histogram_side *side, const char *offset_key,
                        const char *buckets_key) {
    struct histogram_cursor c = histogram_cursor_of(side);
    int32_t index = 0;
    double count = 0;
    int64_t next = 0;
    for (bool first = true; histogram_cursor_next(&c, &index, &count); first = false) {
        if (first) {
            append_item(to, offset_key, index);
            buf_append_cstr(to, buckets_key);
            next = index;
        }
        for (; next < index && buf_ok(to); next++) {
            buf_append_cstr(to, "0 ");
        }
        buf_append_number_g(to, count);
        next = (int64_t)index + 1;
        buf_append_char(to, c.left > 0 ? ' ' : ']');
    }
}

void histogram_format_expression(struct buf *to, const struct histogram *h) {
    static const char *const HINTS[] = {"", "reset", "not_reset", "gauge"};
    struct buf items;
    buf_init(&items, to->max_bytes);
    append_item(&items, "schema:", h->schema);
    append_item(&items, "count:", h->count);
    append_item(&items, "sum:", h->sum);
    append_item(&items, "z_bucket:", h->zero_count);
    append_item(&items, "z_bucket_w:", h->zero_threshold);
    for (uint32_t i = 0; i < h->bound_count; i++) {
        buf_append_cstr(&items, i == 0 ? " custom_values:[" : " ");
        buf_append_number_g(&items, h->bounds[i]);
    }
    if (h->bound_count > 0) {
        buf_append_char(&items, ']');
    }
    if (h->hint != HINT_UNKNOWN) {
        buf_append_cstr(&items, " counter_reset_hint:");
        buf_append_cstr(&items, HINTS[h->hint]);
    }
    append_side(&items, &h->positive, "offset:", " buckets:[");
    append_side(&items, &h->negative, "n_offset:", " n_buckets:[");
    const struct str text = buf_str(&items);
    buf_append_cstr(to, "{{");
    buf_append_str(to, text.len > 0 ? str_from(text, 1) : text);
    buf_append_cstr(to, "}}");
    buf_release(&items);
}
