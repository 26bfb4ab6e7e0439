/* A series as nearly all are (remote_write_wire.h): "n name" and "n value" are then what packed labels
 * consist of. When it is one of the series that the storage expects next, its labels are compared where
 * they are, and nothing else is to be known of them. Else, when they are in order and ASCII, one pass checks
 * and packs them. Anything else is left to the general decoder. */
#include "base/bytes.h"
#include "base/mem.h"
#include "web/remote_write.h"
#include "web/remote_write_wire.h"

enum {
    SERIES_BYTES_MAX = 64 * 1024,
    SKIP_MAX = 4, /* expected series that the sender may leave out */
};

#define KEY_NAME UINT64_C(0x5F5F6E616D655F5F) /* "__name__" */

/* ---- labels ---- */

/* Takes the label in front of packed labels from both; false: another one, or none, is there. What the
 * bytes should be is known from the packed ones, so that no step waits for a length that came. */
static ALWAYS_INLINE bool take_known(const uint8_t **io_at, const uint8_t *end,
                                     struct labels *from) {
    const uint8_t *at = *io_at;
    const uint8_t *name = from->data;
    if (from->size == 0 || *name + 2U > from->size) {
        return false;
    }
    const size_t name_len = *name;
    const uint8_t *value = name + 1 + name_len;
    const size_t all = name_len + *value + 4; /* of strings of 255 bytes and more *name says so */
    const uint32_t front =
        WIRE_TAG_FIRST | (uint32_t)all << 8 | WIRE_TAG_FIRST << 16 | (uint32_t)name_len << 24;
    if (all > WIRE_SHORT_MAX || (size_t)(end - at) < all + 2 || load_u32(at) != front ||
        !wire_same_bytes(at + 4, name + 1, name_len) || at[4 + name_len] != WIRE_TAG_SECOND ||
        !wire_same_bytes(at + 5 + name_len, value, (size_t)*value + 1)) {
        return false;
    }
    const size_t packed = all - 2;
    *from = (struct labels){name + packed, from->size - packed};
    *io_at = at + all + 2;
    return true;
}

/* Takes the labels of the target as they were in the series before, where they were side by side. */
static ALWAYS_INLINE bool take_run(const uint8_t **io_at, const uint8_t *end, struct str run) {
    if (run.len == 0 || (size_t)(end - *io_at) < run.len ||
        !wire_same_bytes(*io_at, (const uint8_t *)run.ptr, run.len)) {
        return false;
    }
    *io_at += run.len;
    return true;
}

/* Are the labels those of two sets together? Each set has its own in order, so that any order of the
 * two is the same series. Returns where they end, or NULL. *io_run: the target's. */
static const uint8_t *match_labels(const uint8_t *at, const uint8_t *end, struct labels target,
                                   struct labels metric, struct str *io_run) {
    const size_t target_bytes = target.size;
    const uint8_t *run_begin = NULL;
    const uint8_t *run_end = NULL;
    bool parted = false;
    while (wire_is_label(at, end)) {
        if (LIKELY(take_known(&at, end, &metric))) {
            continue;
        }
        if (LIKELY(target.size == target_bytes && take_run(&at, end, *io_run))) {
            target.size = 0;
            continue;
        }
        const uint8_t *begin = at;
        if (!take_known(&at, end, &target)) {
            return NULL;
        }
        run_begin = run_begin != NULL ? run_begin : begin;
        parted = parted || (run_end != NULL && run_end != begin);
        run_end = at;
    }
    if (metric.size != 0 || target.size != 0) {
        return NULL;
    }
    if (UNLIKELY(run_begin != NULL && !parted)) {
        *io_run = (struct str){(const char *)run_begin, (size_t)(run_end - run_begin)};
    }
    return at;
}

/* The first eight bytes so that they compare as the names do; the rest as zeros. */
static uint64_t name_key(const uint8_t *name, size_t n) {
    const uint64_t key = load_u64be(name);
    return n >= 8 ? key : key & ~(UINT64_MAX >> (8 * n));
}

static bool is_ascii(const uint8_t *at, size_t n) {
    uint64_t bits = 0;
    for (; n >= 8; at += 8, n -= 8) {
        bits |= load_u64(at);
    }
    for (; n > 0; at++, n--) {
        bits |= *at;
    }
    return (bits & WIRE_HIGH_BITS) == 0;
}

/* Copies in steps of 16: both sides must have that much behind the end. */
static uint8_t *copy(uint8_t *to, const uint8_t *from, size_t n) {
    for (size_t at = 0; at < n; at += WIRE_SLACK_BYTES) {
        memcpy(to + at, from + at, WIRE_SLACK_BYTES);
    }
    return to + n;
}

/* Packs the labels; returns where they end, or NULL. */
static const uint8_t *pack_labels(const uint8_t *at, const uint8_t *end, uint8_t *to,
                                  size_t *out_bytes) {
    const uint8_t *begin = at;
    const uint8_t *to_begin = to;
    struct str last = {NULL, 0};
    uint64_t last_key = 0;
    bool has_name = false;
    while (wire_is_label(at, end)) {
        struct wire_label l;
        at = wire_take_label(at, end, &l);
        if (at == NULL) {
            return NULL;
        }
        const struct str name = {(const char *)l.name + 1, *l.name};
        const uint64_t key = name_key(l.name + 1, name.len);
        if (key <= last_key && last.ptr != NULL && (key < last_key || str_cmp(last, name) >= 0)) {
            return NULL;
        }
        last = name;
        last_key = key;
        has_name = has_name || (key == KEY_NAME && name.len == 8);
        to = copy(to, l.name, name.len + 1);
        to = copy(to, l.value, (size_t)*l.value + 1);
    }
    if (!has_name || !is_ascii(begin, (size_t)(at - begin))) {
        return NULL;
    }
    *out_bytes = (size_t)(to - to_begin);
    return at;
}

/* ---- a series ---- */

static bool has_slack(const struct write_scratch *scratch, struct str series) {
    const struct str plain = buf_str(&scratch->plain);
    return series.len <= SERIES_BYTES_MAX &&
           plain.ptr + plain.len - (series.ptr + series.len) >= WIRE_SLACK_BYTES;
}

bool write_read_expected(const struct write_scratch *scratch, struct str series,
                         const struct storage_expected *expected, size_t *io_at, struct str *io_run,
                         double *out_value, int64_t *out_ts_ms) {
    const uint8_t *begin = (const uint8_t *)series.ptr;
    const uint8_t *end = begin + series.len;
    if (!has_slack(scratch, series)) {
        return false;
    }
    for (size_t i = *io_at; i < expected->count && i - *io_at <= SKIP_MAX; i++) {
        const struct labels metric = expected->metrics[i];
        const uint8_t *at =
            metric.data != NULL ? match_labels(begin, end, expected->target, metric, io_run) : NULL;
        if (at != NULL) {
            *io_at = i;
            return wire_take_sample(at, end, out_value, out_ts_ms);
        }
    }
    return false;
}

bool write_read_usual(struct write_scratch *scratch, struct str series, struct labels *out_labels,
                      double *out_value, int64_t *out_ts_ms) {
    const uint8_t *at = (const uint8_t *)series.ptr;
    const uint8_t *end = at + series.len;
    if (!has_slack(scratch, series)) {
        return false;
    }
    if (UNLIKELY(scratch->packed_capacity < series.len + WIRE_SLACK_BYTES)) {
        scratch->packed_capacity =
            mem_grow(scratch->packed_capacity, series.len + WIRE_SLACK_BYTES);
        scratch->packed = mem_resize(scratch->packed, scratch->packed_capacity, 1);
    }
    size_t bytes = 0;
    at = pack_labels(at, end, scratch->packed, &bytes);
    if (at == NULL || !wire_take_sample(at, end, out_value, out_ts_ms)) {
        return false;
    }
    *out_labels = (struct labels){scratch->packed, bytes};
    return true;
}
