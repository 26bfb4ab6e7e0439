/* Merge sort from the bottom up, of pointers; then the items follow their pointers in cycles. */
#include "base/sort.h"

#include <stdint.h>
#include <string.h>

#include "base/check.h"

/* An order may read labels of kilobytes. */
enum { RUN = 8, COMPARES_BETWEEN_CHECKS = 128 };

struct sorting {
    int (*order)(const void *a, const void *b);
    const struct cancel *cancel;
    size_t until_check;
};

static void sort_run(const struct sorting *s, void **p, size_t n) {
    for (size_t i = 1; i < n; i++) {
        void *x = p[i];
        size_t at = i;
        while (at > 0 && s->order(p[at - 1], x) > 0) {
            p[at] = p[at - 1];
            at--;
        }
        p[at] = x;
    }
}

static enum err_code look(struct sorting *s, size_t compares) {
    if (s->until_check > compares) {
        s->until_check -= compares;
        return ERR_OK;
    }
    s->until_check = COMPARES_BETWEEN_CHECKS;
    return cancel_check(s->cancel);
}

/* from[0 .. middle) and from[middle .. n), each sorted, to to. */
static enum err_code merge(struct sorting *s, void **from, size_t middle, size_t n, void **to) {
    if (middle >= n || s->order(from[middle - 1], from[middle]) <= 0) {
        memcpy(to, from, n * sizeof(*to));
        return look(s, 1);
    }
    size_t a = 0;
    size_t b = middle;
    for (size_t out = 0; out < n; out++) {
        const bool first = b == n || (a < middle && s->order(from[a], from[b]) <= 0);
        to[out] = first ? from[a++] : from[b++];
        if (look(s, 1) != ERR_OK) {
            return cancel_check(s->cancel);
        }
    }
    return ERR_OK;
}

static enum err_code merge_all(struct sorting *s, void **p, size_t n, void **other,
                               void ***out_sorted) {
    for (size_t width = RUN; width < n; width *= 2) {
        for (size_t at = 0; at < n; at += 2 * width) {
            const size_t left = n - at;
            const enum err_code code = merge(s, p + at, left < width ? left : width,
                                             left < 2 * width ? left : 2 * width, other + at);
            if (code != ERR_OK) {
                return code;
            }
        }
        void **sorted = other;
        other = p;
        p = sorted;
    }
    *out_sorted = p;
    return ERR_OK;
}

/* Item i becomes what sorted[i] points at. */
static void follow(char *items, size_t bytes, void **sorted, size_t n) {
    char first[SORT_ITEM_BYTES_MAX];
    for (size_t start = 0; start < n; start++) {
        if (sorted[start] == NULL || sorted[start] == items + start * bytes) {
            continue;
        }
        memcpy(first, items + start * bytes, bytes);
        size_t at = start;
        for (;;) {
            const size_t from = (size_t)((char *)sorted[at] - items) / bytes;
            sorted[at] = NULL;
            if (from == start) {
                break;
            }
            memcpy(items + at * bytes, items + from * bytes, bytes);
            at = from;
        }
        memcpy(items + at * bytes, first, bytes);
    }
}

enum err_code sort_items(void *items, size_t count, size_t item_bytes,
                         int (*order)(const void *a, const void *b), void **scratch,
                         const struct cancel *cancel) {
    ASSERT(item_bytes <= SORT_ITEM_BYTES_MAX);
    struct sorting s = {.order = order, .cancel = cancel, .until_check = COMPARES_BETWEEN_CHECKS};
    void **sorted = scratch;
    for (size_t i = 0; i < count; i++) {
        scratch[i] = (char *)items + i * item_bytes;
    }
    for (size_t at = 0; at < count; at += RUN) {
        sort_run(&s, scratch + at, count - at < RUN ? count - at : RUN);
        if (look(&s, (size_t)RUN * RUN / 4) != ERR_OK) {
            return cancel_check(cancel);
        }
    }
    const enum err_code code = merge_all(&s, scratch, count, scratch + count, &sorted);
    if (code == ERR_OK) {
        follow(items, item_bytes, sorted, count);
    }
    return code;
}
