#include "alert/series_list.h"

#include <stdlib.h>

#include "base/mem.h"

void series_list_init(struct series_list *list) {
    *list = (struct series_list){.count = 0};
    arena_init(&list->arena, 0);
}

void series_list_release(struct series_list *list) {
    arena_release(&list->arena);
    mem_free(list->items);
    series_list_init(list);
}

void series_list_add(struct series_list *list, struct labels labels) {
    if (list->count == list->capacity) {
        list->capacity = mem_grow(list->capacity, list->count + 1);
        list->items = mem_resize(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = labels_copy(&list->arena, labels);
}

static int by_labels(const void *a, const void *b) {
    return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

void series_list_sort(struct series_list *list) {
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof(*list->items), by_labels);
    }
}

bool series_list_has_duplicates(const struct series_list *list) {
    for (size_t i = 1; i < list->count; i++) {
        if (labels_eq(list->items[i - 1], list->items[i])) {
            return true;
        }
    }
    return false;
}

bool series_list_has(const struct series_list *list, struct labels labels) {
    return list->count != 0 &&
           bsearch(&labels, list->items, list->count, sizeof(labels), by_labels) != NULL;
}

void series_list_take(struct series_list *to, struct series_list *from) {
    for (size_t i = 0; i < from->count; i++) {
        series_list_add(to, from->items[i]);
    }
    series_list_release(from);
}
