/* Snappy's block format, read. Source: the format's description that comes with Google's snappy.
 *
 *     uvarint size | elements to the end
 *
 * An element is a byte, whose two lower bits are its kind, and what follows:
 *
 *     0  literal: the upper six bits are its length - 1; from 60 on that is in 1 .. 4 bytes behind
 *     1  copy of 4 + 3 bits, from 11 bits (three here, eight behind) before
 *     2  copy of 1 + 6 bits, from so far before as two bytes behind say
 *     3  the same with four bytes
 *
 * A copy may reach into what it writes. Nearly all elements are at most 64 bytes: while input and output have
 * that much left, 64 bytes are moved whatever the length, in steps that need no other instruction. (Choosing
 * between literal and copy without a branch costs more: requests are regular, the branch is foreseen.)
 *
 * Every element is checked against both ends before its first byte is written. */
#include <string.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/snappy_unpack.h"

enum {
    KIND_LITERAL = 0,
    KIND_NEAR = 1,
    KIND_MIDDLE = 2,
    KIND_MASK = 3,
    SHORT_LITERAL_MAX = 60, /* longer ones have their length behind */
    STEP = 16,
    SHORT_MAX = SNAPPY_SLACK_BYTES,
};

struct unpacker {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t *begin;
    uint8_t *to;
    uint8_t *to_end; /* where the content ends; slack may be behind */
};

/* ---- any element ---- */

static uint32_t load_upto_4(const uint8_t *at, size_t n) {
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v |= (uint32_t)at[i] << (8 * i);
    }
    return v;
}

static bool take_literal(struct unpacker *u, uint8_t tag) {
    size_t n = tag >> 2;
    if (n >= SHORT_LITERAL_MAX) {
        const size_t more = n - SHORT_LITERAL_MAX + 1;
        if ((size_t)(u->end - u->at) < more) {
            return false;
        }
        n = load_upto_4(u->at, more);
        u->at += more;
    }
    n++;
    if (n > (size_t)(u->end - u->at) || n > (size_t)(u->to_end - u->to)) {
        return false;
    }
    memcpy(u->to, u->at, n);
    u->at += n;
    u->to += n;
    return true;
}

static bool copy_before(struct unpacker *u, size_t n, size_t before) {
    if (before == 0 || before > (size_t)(u->to - u->begin) || n > (size_t)(u->to_end - u->to)) {
        return false;
    }
    if (before >= n) {
        memcpy(u->to, u->to - before, n);
    } else {
        const uint8_t *from = u->to - before;
        for (size_t i = 0; i < n; i++) {
            u->to[i] = from[i];
        }
    }
    u->to += n;
    return true;
}

static bool take_any(struct unpacker *u) {
    const uint8_t tag = *u->at++;
    const unsigned kind = tag & KIND_MASK;
    if (kind == KIND_LITERAL) {
        return take_literal(u, tag);
    }
    const size_t behind = kind == KIND_NEAR ? 1 : kind == KIND_MIDDLE ? 2 : 4;
    if ((size_t)(u->end - u->at) < behind) {
        return false;
    }
    size_t before = load_upto_4(u->at, behind);
    size_t n = (size_t)(tag >> 2) + 1;
    if (kind == KIND_NEAR) {
        before |= (size_t)(tag & 0xE0) << 3;
        n = 4 + (tag >> 2 & 7);
    }
    u->at += behind;
    return copy_before(u, n, before);
}

/* ---- short elements ---- */

typedef uint64_t step __attribute__((vector_size(STEP)));

static ALWAYS_INLINE void move_step(uint8_t *to, const uint8_t *from) {
    step bytes;
    memcpy(&bytes, from, sizeof(bytes));
    memcpy(to, &bytes, sizeof(bytes));
}

/* In order, so that a copy may reach into what it writes but for the last STEP bytes. */
static ALWAYS_INLINE void move_short(uint8_t *to, const uint8_t *from) {
    _Static_assert(SHORT_MAX == 4 * STEP, "four steps"); /* a loop would stay one */
    move_step(to, from);
    move_step(to + STEP, from + STEP);
    move_step(to + 2 * STEP, from + 2 * STEP);
    move_step(to + 3 * STEP, from + 3 * STEP);
}

/* Elements for which both sides have room for 64 bytes, up to one that is not short or not sound. */
static void take_short(struct unpacker *u) {
    const uint8_t *at = u->at;
    uint8_t *to = u->to;
    while (u->end - at > SHORT_MAX && u->to_end - to >= SHORT_MAX) {
        const unsigned tag = *at;
        const unsigned kind = tag & KIND_MASK;
        size_t n = (size_t)(tag >> 2) + 1;
        if (kind == KIND_LITERAL) {
            if (UNLIKELY(n > SHORT_LITERAL_MAX)) {
                break;
            }
            move_short(to, at + 1);
            at += n + 1;
            to += n;
            continue;
        }
        size_t before;
        size_t behind;
        if (kind == KIND_NEAR) {
            n = 4 + (tag >> 2 & 7);
            before = (size_t)(tag & 0xE0) << 3 | at[1];
            behind = 1;
        } else {
            before = load_u16(at + 1);
            behind = 2;
            if (UNLIKELY(kind != KIND_MIDDLE)) {
                break;
            }
        }
        if (UNLIKELY((before < STEP) | (before > (size_t)(to - u->begin)))) {
            break;
        }
        move_short(to, to - before);
        at += behind + 1;
        to += n;
    }
    u->at = at;
    u->to = to;
}

bool snappy_unpack_elements(const uint8_t *packed, size_t n, uint8_t *to, size_t size) {
    struct unpacker u = {
        .at = packed, .end = packed + n, .begin = to, .to = to, .to_end = to + size};
    while (u.at < u.end) {
        take_short(&u);
        if (u.at < u.end && !take_any(&u)) {
            return false;
        }
    }
    return u.to == u.to_end;
}
