/* Any bytes as a page: no crash, progress at every entry, slices inside the page, and the value
 * of every accepted sample is the double of its text, bit for bit. And a slow reader of the grammar
 * finds the same samples up to the same end or error. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
#include "expo_text_slow.h"
#include "scrape/expo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct str body, struct str s) {
    ASSERT(s.len == 0 || (s.ptr >= body.ptr && s.ptr + s.len <= body.ptr + body.len));
}

/* The value as it stands behind the series. */
static void check_value(struct str body, const struct expo_entry *entry) {
    struct str rest = str_from(body, (size_t)(entry->series.ptr + entry->series.len - body.ptr));
    while (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t')) {
        rest = str_from(rest, 1);
    }
    size_t n = 0;
    while (n < rest.len && strchr(" \t\n{", rest.ptr[n]) == NULL) {
        n++;
    }
    double want = 0;
    const enum number_result result = number_parse_double(str_sub(rest, 0, n), &want);
    ASSERT(result == NUMBER_OK);
    if (want != want) { /* NaN */
        want = f64_of_bits(NORMAL_NAN_BITS);
    }
    ASSERT(f64_same_bits(num_double(entry->value), want));
}

static void check_labels(const struct expo_parser *p) {
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, 0);
    const struct label *const labels = expo_labels(p, &arena, &n);
    ASSERT(n == p->label_count + 1);
    for (size_t i = 0; i < n; i++) {
        ASSERT(i == 0 || str_cmp(labels[i - 1].name, labels[i].name) <= 0);
    }
    arena_release(&arena);
}

static enum slow_result next_of(struct expo_parser *p, struct expo_entry *out) {
    struct err err;
    do {
        if (expo_next(p, out, &err) != ERR_OK) {
            return SLOW_BAD;
        }
    } while (out->kind != EXPO_SAMPLE && out->kind != EXPO_END);
    return out->kind == EXPO_SAMPLE ? SLOW_SAMPLE : SLOW_END;
}

static void check_same_sample(const struct expo_parser *p, const struct expo_entry *entry,
                              const struct slow_reader *slow) {
    ASSERT(str_eq(entry->series, slow->series) && str_eq(p->name, slow->name));
    ASSERT(p->label_count == slow->label_count);
    for (size_t i = 0; i < p->label_count; i++) {
        ASSERT(str_eq(p->labels[i].name, slow->label_names[i]));
        ASSERT(str_eq(p->labels[i].value, slow->label_values[i]));
    }
    const double v = num_double(entry->value);
    ASSERT(slow->value != slow->value ? v != v : f64_same_bits(v, slow->value));
    ASSERT(entry->has_timestamp == slow->has_timestamp);
    ASSERT(!entry->has_timestamp || entry->timestamp_ms == slow->timestamp_ms);
}

static void compare_with_slow(struct expo_parser *p, const uint8_t *data, size_t size) {
    enum { COMPARED_MAX = 4096 };
    if (size > COMPARED_MAX || memchr(data, '\0', size) != NULL) {
        return;
    }
    struct slow_reader *const slow = malloc(sizeof(*slow));
    char *const text = malloc(size + 2);
    memcpy(text, data, size);
    memcpy(text + size, "\n", 2);
    struct expo_entry entry;
    enum slow_result result;
    expo_init(p, EXPO_FORMAT_TEXT, (struct str){text, size});
    slow_init(slow, text);
    do {
        result = slow_next(slow);
        ASSERT(next_of(p, &entry) == result);
        if (result == SLOW_SAMPLE) {
            check_same_sample(p, &entry, slow);
        }
    } while (result == SLOW_SAMPLE);
    free(text);
    free(slow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct expo_parser *const p = malloc(sizeof(*p));
    char *const page = malloc(size + 1);
    memcpy(page, data, size);
    const struct str body = {page, size};
    struct expo_entry entry;
    struct err err;
    size_t last = 0;
    expo_init(p, EXPO_FORMAT_TEXT, body);
    while (expo_next(p, &entry, &err) == ERR_OK && entry.kind != EXPO_END) {
        ASSERT(p->at > last && p->at <= size + 1);
        last = p->at;
        check_inside(body, entry.series);
        check_inside(body, entry.family);
        check_inside(body, entry.text);
        if (entry.kind == EXPO_SAMPLE) {
            check_value(body, &entry);
            check_labels(p);
        }
    }
    compare_with_slow(p, data, size);
    free(page);
    free(p);
    return 0;
}
