/* Slots that have samples but no definition: it was lost with power or by damage.
 *
 * A series of which only the samples are left is not found, which is a loss and nothing else. A column of
 * a histogram is a part of a sample: without it the sample would be another one. Nobody knows any more whose
 * column the slot was, so in each row in which it has something no histogram of the group is believed.
 * Such a slot is given to another series or column when its rows have left the head, as any other
 * (head_collect.c). None is lost later: the list is made once and only gets shorter. */
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"

/* Hidden slots, and those of series that ended, are without labels too. */
static uint32_t list_unlabelled(struct head_group *g, uint32_t **out) {
    struct index *index = &g->shard->db->index;
    uint32_t count = 0;
    mutex_lock(&index->mu);
    const struct index_group *known = &index->live->groups[g->id];
    uint32_t *slots = mem_array(known->slot_count + (size_t)1, sizeof(*slots));
    for (uint32_t slot = 0; slot < known->slot_count; slot++) {
        if (known->slots[slot] == INDEX_SLOT_LOST) {
            slots[count++] = slot;
        }
    }
    mutex_unlock(&index->mu);
    *out = slots;
    return count;
}

void head_find_lost_slots(struct head_group *g) {
    if (g->columns == NULL) {
        return; /* no histogram of which a part could be missing */
    }
    uint32_t *slots;
    const uint32_t count = list_unlabelled(g, &slots);
    uint32_t lost = 0;
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < count; i++) {
        if (!group_columns_hides(g->columns, slots[i])) {
            slots[lost++] = slots[i];
        }
    }
    mem_free(g->lost_slots);
    g->lost_slots = NULL;
    g->lost_count = lost;
    if (lost != 0) {
        g->lost_slots = mem_resize(slots, lost, sizeof(*slots));
        slots = NULL;
    }
    mutex_unlock(&g->mu);
    mem_free(slots);
}

void head_forget_lost_slots(struct head_group *g) {
    const struct head_lives *l = &g->lives;
    uint32_t kept = 0;
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < g->lost_count; i++) {
        const uint32_t slot = g->lost_slots[i];
        if (slot >= l->capacity || l->states[slot] != SLOT_FREE) {
            g->lost_slots[kept++] = slot;
        }
    }
    g->lost_count = kept;
    mutex_unlock(&g->mu);
}
