/* Views: a list from the oldest that is held to the newest.
 *
 * CONCURRENCY. list->mu guards the list and the counts; nothing is closed under it. The newest view
 * is held by the list. A view in the middle goes only when it has no reference, wherever it stands;
 * view_is_oldest looks at those that are left. */
#include "tsdb/view.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/partition.h"

struct view_partition *view_partition_new(struct partition *reader,
                                          const struct manifest_partition *info) {
    struct view_partition *p = mem_zalloc(sizeof(*p));
    atomic_init(&p->refs, 1);
    p->reader = reader;
    p->info = *info;
    p->info.parents = NULL;
    p->info.parent_count = 0;
    return p;
}

struct view_partition *view_partition_ref(struct view_partition *p) {
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void view_partition_unref(struct view_partition *p) {
    if (p != NULL && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1) {
        partition_close(p->reader);
        mem_free(p);
    }
}

static void view_free(struct view *view) {
    for (size_t i = 0; i < view->partition_count; i++) {
        view_partition_unref(view->partitions[i]);
    }
    mem_free(view->partitions);
    mem_free(view->marks);
    mem_free(view);
}

void view_list_init(struct view_list *list) {
    *list = (struct view_list){.next_number = 1};
    mutex_init(&list->mu);
    view_publish(list, NULL, 0, NULL, 0);
}

void view_list_release(struct view_list *list) {
    if (list->newest != NULL) {
        ASSERT(list->oldest == list->newest && list->newest->refs == 1);
        view_free(list->newest);
        mutex_release(&list->mu);
        *list = (struct view_list){0};
    }
}

struct view *view_ref_newest(struct view_list *list) {
    mutex_lock(&list->mu);
    struct view *view = list->newest;
    view->refs++;
    mutex_unlock(&list->mu);
    return view;
}

static void unlink_locked(struct view_list *list, const struct view *view) REQUIRES(list->mu) {
    struct view **at = &list->oldest;
    while (*at != view) {
        at = &(*at)->newer;
    }
    *at = view->newer;
}

void view_unref(struct view *view) {
    struct view_list *list = view->list;
    mutex_lock(&list->mu);
    const bool last = --view->refs == 0;
    if (last) {
        ASSERT(view != list->newest);
        unlink_locked(list, view);
    }
    mutex_unlock(&list->mu);
    if (last) {
        view_free(view);
    }
}

uint64_t view_publish(struct view_list *list, struct view_partition **partitions,
                      size_t partition_count, const struct manifest_mark *marks,
                      size_t mark_count) {
    struct view *view = mem_zalloc(sizeof(*view));
    view->list = list;
    view->refs = 1;
    view->partitions = partitions;
    view->partition_count = partition_count;
    view->marks = mem_array(mark_count + 1, sizeof(*view->marks));
    view->mark_count = mark_count;
    if (mark_count != 0) {
        memcpy(view->marks, marks, mark_count * sizeof(*marks));
    }
    mutex_lock(&list->mu);
    struct view *before = list->newest;
    const uint64_t number = list->next_number++;
    view->number = number;
    list->newest = view;
    if (before != NULL) {
        before->newer = view;
    } else {
        list->oldest = view;
    }
    mutex_unlock(&list->mu);
    if (before != NULL) {
        view_unref(before);
    }
    return number;
}

bool view_is_oldest(struct view_list *list, uint64_t number) {
    mutex_lock(&list->mu);
    const bool oldest = list->oldest->number >= number;
    mutex_unlock(&list->mu);
    return oldest;
}

bool view_covers_run(const struct view *view, uint32_t shard, int64_t min_ts_ms,
                     struct segment_location at) {
    const struct manifest_mark *mark =
        manifest_mark_at(view->marks, view->mark_count, shard, min_ts_ms);
    return mark != NULL && at.file < mark->l0_file;
}
