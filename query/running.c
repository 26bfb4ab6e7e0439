#include "query/running.h"

/* Of a text, in the list: enough to know the query by. */
enum { SHOWN_TEXT_MAX = 4096 };

void running_list_init(struct running_list *list) {
    mutex_init(&list->mu);
    list->newest = NULL;
    list->last_id = 0;
}

void running_list_release(struct running_list *list) {
    mutex_release(&list->mu);
}

void running_begin(struct running_list *list, struct running *r, struct clock *clock) {
    r->start_unix_ms = clock_unix_ms(clock);
    r->start_mono_ns = clock_mono_ns(clock);
    r->killed = false;
    atomic_init(&r->evaluating, false);
    atomic_init(&r->samples, 0);
    atomic_init(&r->bytes, 0);
    mutex_lock(&list->mu);
    r->id = ++list->last_id;
    r->previous = NULL;
    r->next = list->newest;
    if (r->next != NULL) {
        r->next->previous = r;
    }
    list->newest = r;
    mutex_unlock(&list->mu);
}

bool running_end(struct running_list *list, struct running *r) {
    mutex_lock(&list->mu);
    if (r->next != NULL) {
        r->next->previous = r->previous;
    }
    if (r->previous != NULL) {
        r->previous->next = r->next;
    } else {
        list->newest = r->next;
    }
    const bool killed = r->killed;
    mutex_unlock(&list->mu);
    return killed;
}

static struct str shown_text(struct arena *arena, struct str text) {
    return arena_str(arena, text.len > SHOWN_TEXT_MAX ? str_sub(text, 0, SHOWN_TEXT_MAX) : text);
}

static struct query_running copy_one(const struct running *r, int64_t now_ns, struct arena *arena) {
    const struct query *q = r->query;
    const struct query_origin *origin = q->origin;
    return (struct query_running){
        .id = r->id,
        .text = shown_text(arena, q->text),
        .client = origin != NULL ? shown_text(arena, origin->client) : STR(""),
        .rule_group = origin != NULL ? shown_text(arena, origin->rule_group) : STR(""),
        .start_ms = q->start_ms,
        .end_ms = q->end_ms,
        .step_ms = q->step_ms,
        .since_unix_ms = r->start_unix_ms,
        .age_ns = now_ns - r->start_mono_ns,
        .evaluating = atomic_load_explicit(&r->evaluating, memory_order_relaxed),
        .killed = r->killed,
        .samples = atomic_load_explicit(&r->samples, memory_order_relaxed),
        .bytes = atomic_load_explicit(&r->bytes, memory_order_relaxed),
    };
}

void running_list_copy(struct running_list *list, struct clock *clock, struct arena *arena,
                       struct query_running **out, size_t *out_count) {
    const int64_t now_ns = clock_mono_ns(clock);
    mutex_lock(&list->mu);
    size_t count = 0;
    for (const struct running *r = list->newest; r != NULL; r = r->next) {
        count++;
    }
    /* An entry ends under the same lock, so texts must be copied here; the gate and the web's
     * workers bound how many there are. */
    struct query_running *copies = arena_alloc(arena, (count + 1) * sizeof(*copies));
    size_t at = count;
    for (const struct running *r = list->newest; r != NULL; r = r->next) {
        copies[--at] = copy_one(r, now_ns, arena);
    }
    mutex_unlock(&list->mu);
    *out = copies;
    *out_count = count;
}

bool running_list_kill(struct running_list *list, uint64_t id) {
    bool found = false;
    mutex_lock(&list->mu);
    for (struct running *r = list->newest; r != NULL && !found; r = r->next) {
        if (r->id == id) {
            r->killed = true;
            cancel_raise(r->cancel);
            found = true;
        }
    }
    mutex_unlock(&list->mu);
    return found;
}
