/* The label sets that a rule wrote at one evaluation, to end those that are missing at the next.
 * Private to alert/. */
#ifndef ALERT_SERIES_LIST_H
#define ALERT_SERIES_LIST_H

#include <stddef.h>

#include "base/arena.h"
#include "base/labels.h"

struct series_list {
    struct arena arena;
    struct labels *items; /* sorted by labels_cmp after series_list_sort */
    size_t count, capacity;
};

void series_list_init(struct series_list *list);
void series_list_release(struct series_list *list);
/* Copies the labels. */
void series_list_add(struct series_list *list, struct labels labels);
void series_list_sort(struct series_list *list);
/* Two equal label sets next to each other in a sorted list? */
bool series_list_has_duplicates(const struct series_list *list);
/* In a sorted list. */
bool series_list_has(const struct series_list *list, struct labels labels);
/* Moves everything of from to to; from is empty afterwards. */
void series_list_take(struct series_list *to, struct series_list *from);

#endif
