/* Marks of L0 segments; see segment_mark.h. */
#include "tsdb/segment_mark.h"

#include <string.h>

#include "base/bytes.h"
#include "base/cursor.h"
#include "base/mem.h"

void segment_mark_release(struct segment_mark *mark) {
    mem_free(mark->voids);
    *mark = (struct segment_mark){0};
}

/* Number of the first void that is not before the run. */
static size_t find_void(const struct segment_mark *mark, struct segment_place run) {
    size_t low = 0;
    size_t high = mark->void_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (segment_place_before(mark->voids[middle], run)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool segment_mark_is_void(const struct segment_mark *mark, struct segment_place run) {
    const size_t at = find_void(mark, run);
    return at < mark->void_count && !segment_place_before(run, mark->voids[at]);
}

void segment_mark_add_void(struct segment_mark *mark, struct segment_place run) {
    const size_t at = find_void(mark, run);
    if (at < mark->void_count && !segment_place_before(run, mark->voids[at])) {
        return;
    }
    if (mark->void_count == mark->void_capacity) {
        mark->void_capacity = mem_grow(mark->void_capacity, mark->void_count + 1);
        mark->voids = mem_resize(mark->voids, mark->void_capacity, sizeof(*mark->voids));
    }
    memmove(mark->voids + at + 1, mark->voids + at, (mark->void_count - at) * sizeof(*mark->voids));
    mark->voids[at] = run;
    mark->void_count++;
}

void segment_mark_forget(struct segment_mark *mark, uint32_t oldest_file) {
    const size_t gone = find_void(mark, (struct segment_place){.file = oldest_file});
    if (gone != 0) {
        mark->void_count -= gone;
        memmove(mark->voids, mark->voids + gone, mark->void_count * sizeof(*mark->voids));
    }
}

size_t segment_mark_bytes_max(const struct segment_mark *mark) {
    return (1 + mark->void_count) * 2 * UVARINT_MAX;
}

static uint8_t *put_place(uint8_t *to, struct segment_place place) {
    to = put_uvarint(to, place.file);
    return put_uvarint(to, place.offset);
}

uint8_t *segment_mark_write(const struct segment_mark *mark, uint8_t *to) {
    to = put_place(to, mark->place);
    for (size_t i = 0; i < mark->void_count; i++) {
        to = put_place(to, mark->voids[i]);
    }
    return to;
}

static bool take_place(struct cursor *from, struct segment_place *out) {
    const uint64_t file = cursor_uvarint(from);
    const uint64_t offset = cursor_uvarint(from);
    *out = (struct segment_place){(uint32_t)file, (uint32_t)offset};
    return !from->failed && file <= UINT32_MAX && offset <= UINT32_MAX;
}

enum err_code segment_mark_parse(struct segment_mark *mark, struct segment_place at,
                                 const uint8_t *payload, size_t size) {
    struct cursor from = cursor_of(payload, size);
    struct segment_mark made = {0};
    bool good = take_place(&from, &made.place) && !segment_place_before(at, made.place);
    while (good && cursor_left(&from) != 0) {
        struct segment_place run;
        const size_t count = made.void_count;
        good = count < SEGMENT_VOIDS_MAX && take_place(&from, &run) &&
               segment_place_before(run, at) &&
               (count == 0 || segment_place_before(made.voids[count - 1], run));
        if (good) {
            segment_mark_add_void(&made, run);
        }
    }
    if (!good) {
        segment_mark_release(&made);
        return ERR_CORRUPT;
    }
    segment_mark_release(mark);
    *mark = made;
    return ERR_OK;
}
