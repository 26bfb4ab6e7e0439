/* Any bytes as a page: no crash, progress at every entry, slices inside the page, and the value
 * of every accepted sample is the double of its text, bit for bit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
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
    free(page);
    free(p);
    return 0;
}
