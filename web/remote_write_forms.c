/* Labels as they came before. The series of most requests are those of the request before, in the same
 * order: the storage tells the numbers of the sets that it expects, and here is what the labels of a
 * number looked like on the wire when it was seen last,
 *
 *     labels in front of the target's | [the target's] | labels behind
 *
 * without those of the target, which all series of a row have in common. So a series is known by comparing
 * its bytes in three pieces and is never taken apart, whatever the number of its labels. All targets of one
 * shape share their forms. Senders that put labels between those of the target have no forms.
 *
 * A form is found by its number, in a table with one place for it; a number whose place has another's is
 * read in the other way. Bytes are only added. When there is no more room, all is forgotten, but not before
 * so much was read in the other way that learning all again does not count. */
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "web/remote_write.h"
#include "web/remote_write_wire.h"

enum {
    TABLE_MIN = 1 << 10,
    TABLE_MAX = 1 << 15,
    BYTES_MAX = 2 << 20,
    FORM_BYTES_MAX = 1 << 12,
    VAIN_MAX = 4 * TABLE_MAX,
};

#define SET_FREE (UINT32_MAX - 1) /* no number of a set, and not STORAGE_SET_NONE */

/* ---- what is remembered ---- */

void write_forms_release(struct write_forms *forms) {
    mem_free(forms->table);
    mem_free(forms->bytes);
    *forms = (struct write_forms){0};
}

size_t write_forms_bytes(const struct write_forms *forms) {
    const size_t places = forms->table != NULL ? (size_t)forms->mask + 1 : 0;
    return forms->capacity + places * sizeof(*forms->table);
}

static void make_table(struct write_forms *forms, uint32_t places) {
    forms->table = mem_array(places, sizeof(*forms->table));
    forms->mask = places - 1;
    for (uint32_t i = 0; i < places; i++) {
        forms->table[i] = (struct write_form){.set = SET_FREE};
    }
}

/* Numbers are dense: twice as many places keep two apart that met. */
static void grow_table(struct write_forms *forms) {
    struct write_form *before = forms->table;
    const uint32_t places = forms->mask + 1;
    make_table(forms, 2 * places);
    for (uint32_t i = 0; i < places; i++) {
        if (before[i].set != SET_FREE) {
            forms->table[before[i].set & forms->mask] = before[i];
        }
    }
    mem_free(before);
}

/* A form has no room. */
static void note_vain(struct write_forms *forms) {
    if (++forms->vain >= VAIN_MAX) {
        write_forms_release(forms);
    }
}

/* The place of a number, or NULL: another one is there. */
static struct write_form *place_of(struct write_forms *forms, uint32_t set) {
    if (forms->table == NULL) {
        make_table(forms, TABLE_MIN);
    }
    const uint32_t places = forms->mask + 1;
    if (forms->count > places / 2 && places < TABLE_MAX) {
        grow_table(forms);
    }
    struct write_form *place = &forms->table[set & forms->mask];
    return place->set == set || place->set == SET_FREE ? place : NULL;
}

static void put(struct write_forms *forms, const uint8_t *from, size_t n) {
    const size_t room = forms->used + n + WIRE_SLACK_BYTES;
    if (room > forms->capacity) {
        const size_t most = BYTES_MAX + WIRE_SLACK_BYTES;
        const size_t grown = mem_grow(forms->capacity, room);
        forms->capacity = grown < most ? grown : most;
        forms->bytes = mem_resize(forms->bytes, forms->capacity, 1);
    }
    memcpy(forms->bytes + forms->used, from, n);
    forms->used += n;
}

/* Where the labels of a series end, and where in them those of the target begin; NULL: they are not in
 * one piece there, or not as usual. */
static const uint8_t *find_run(struct str series, struct str run, const uint8_t **out_run) {
    const uint8_t *at = (const uint8_t *)series.ptr;
    const uint8_t *end = at + series.len;
    *out_run = run.len == 0 ? at : NULL;
    while (at != NULL && wire_is_label(at, end)) {
        struct wire_label label;
        if (*out_run == NULL && (size_t)(end - at) >= run.len &&
            memcmp(at, run.ptr, run.len) == 0) {
            *out_run = at;
            at += run.len;
        } else {
            at = wire_take_label(at, end, &label);
        }
    }
    return *out_run != NULL ? at : NULL;
}

void write_forms_learn(struct write_forms *forms, uint32_t set, struct str series, struct str run) {
    const uint8_t *begin = (const uint8_t *)series.ptr;
    const uint8_t *target;
    const uint8_t *end = find_run(series, run, &target);
    if (end == NULL || end - begin > FORM_BYTES_MAX) {
        return;
    }
    const size_t before = (size_t)(target - begin);
    const uint8_t *behind = target + run.len;
    const size_t behind_bytes = (size_t)(end - behind);
    struct write_form *form = place_of(forms, set);
    if (form == NULL || before + behind_bytes > BYTES_MAX - forms->used) {
        note_vain(forms);
        return;
    }
    if (form->set != set) {
        forms->count++;
    } else if (form->before == before && form->behind == behind_bytes &&
               memcmp(forms->bytes + form->at, begin, before) == 0 &&
               memcmp(forms->bytes + form->at + before, behind, behind_bytes) == 0) {
        return; /* it was something else why it came here */
    }
    *form = (struct write_form){
        .set = set,
        .at = (uint32_t)forms->used,
        .before = (uint16_t)before,
        .behind = (uint16_t)behind_bytes,
    };
    put(forms, begin, before);
    put(forms, behind, behind_bytes);
}

/* ---- rows ---- */

/* A series that begins at at; returns where its bytes are, or NULL. They end before limit. */
static ALWAYS_INLINE const uint8_t *series_at(const uint8_t *at, const uint8_t *limit,
                                              const uint8_t **out_end) {
    if (limit - at < 3 || at[0] != WIRE_TAG_FIRST) {
        return NULL;
    }
    size_t n = at[1];
    at += 2;
    if (n > WIRE_SHORT_MAX) {
        if (*at > WIRE_SHORT_MAX) {
            return NULL;
        }
        n = (n & WIRE_SHORT_MAX) | (size_t)*at++ << 7;
    }
    *out_end = at + n;
    return n <= (size_t)(limit - at) ? at : NULL;
}

/* What a sample's bytes look like but for its value. */
struct tail {
    size_t bytes;
    uint32_t front;
    uint64_t time; /* its tag first */
    uint64_t time_mask;
};

static ALWAYS_INLINE bool is_sample(const uint8_t *at, const uint8_t *end,
                                    const struct tail *tail) {
    return (size_t)(end - at) == tail->bytes && ((load_u32(at) ^ tail->front) & 0xFFFFFF) == 0 &&
           ((load_u64(at + WIRE_TIME_AT - 1) ^ tail->time) & tail->time_mask) == 0;
}

/* The first sample of a row; the others must look like it. Times of eight bytes are millions of years from
 * now. */
static bool learn_tail(const uint8_t *at, const uint8_t *end, struct tail *out,
                       int64_t *out_ts_ms) {
    enum { TIME_BYTES_MAX = 7 };
    double value;
    if (end - at > WIRE_TIME_AT + TIME_BYTES_MAX || !wire_take_sample(at, end, &value, out_ts_ms)) {
        return false;
    }
    *out = (struct tail){
        .bytes = (size_t)(end - at),
        .front = load_u32(at),
        .time = load_u64(at + WIRE_TIME_AT - 1),
        .time_mask = UINT64_MAX >> 8 * (WIRE_TIME_AT + TIME_BYTES_MAX - (end - at)),
    };
    return true;
}

size_t write_forms_take(const struct write_forms *forms, struct proto *from, const uint32_t *sets,
                        size_t n, struct str run, int64_t *out_ts_ms, double *values) {
    if (forms->table == NULL || from->end - from->at <= WIRE_SLACK_BYTES) {
        return 0;
    }
    const uint8_t *limit = from->end - WIRE_SLACK_BYTES;
    const uint8_t *at = from->at;
    const uint8_t *target = run.len != 0 ? (const uint8_t *)run.ptr : at; /* 16 bytes can be read */
    struct tail tail = {0};
    size_t taken = 0;
    while (taken < n) {
        const uint8_t *end;
        const uint8_t *begin = series_at(at, limit, &end);
        const struct write_form *form = &forms->table[sets[taken] & forms->mask];
        const size_t labels_bytes = form->before + run.len + form->behind;
        if (begin == NULL || form->set != sets[taken] || (size_t)(end - begin) < labels_bytes) {
            break;
        }
        const uint8_t *known = forms->bytes + form->at;
        const uint8_t *sample = begin + labels_bytes;
        if (!wire_same_bytes(begin, known, form->before) ||
            !wire_same_bytes(begin + form->before, target, run.len) ||
            !wire_same_bytes(sample - form->behind, known + form->before, form->behind)) {
            break;
        }
        if (taken != 0 ? !is_sample(sample, end, &tail)
                       : !learn_tail(sample, end, &tail, out_ts_ms)) {
            break;
        }
        memcpy(&values[taken++], sample + WIRE_VALUE_AT, sizeof(*values));
        at = end;
    }
    from->at = at;
    return taken;
}
