#include "query/window_edge.h"

#include <stdbool.h>

/* First index in [from, count] behind which all ts are > limit; guess, in the same range, is mostly
 * right. */
static size_t first_behind(const int64_t *ts, size_t count, size_t from, size_t guess,
                           int64_t limit) {
    size_t low = from;
    if (guess == from || ts[guess - 1] <= limit) {
        if (guess == count || ts[guess] > limit) {
            return guess;
        }
        low = guess;
    }
    size_t jump = 1;
    while (low + jump < count && ts[low + jump] <= limit) {
        low += jump;
        jump *= 2;
    }
    size_t high = low + jump < count ? low + jump : count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (ts[mid] <= limit) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

size_t window_edge_at(const int64_t *ts, size_t count, int64_t limit) {
    return first_behind(ts, count, 0, 0, limit);
}

static uint64_t distance(int64_t later, int64_t earlier) {
    return (uint64_t)later - (uint64_t)earlier;
}

/* The first index in [i, most) whose successor is not d behind it, or most. */
static size_t skip_even(const int64_t *ts, size_t i, size_t most, uint64_t d) {
    enum { AT_ONCE = 8 };
    for (; most - i >= AT_ONCE; i += AT_ONCE) {
        uint64_t other = 0;
        for (size_t k = i; k < i + AT_ONCE; k++) {
            other |= distance(ts[k + 1], ts[k]) ^ d;
        }
        if (other != 0) {
            break;
        }
    }
    while (i < most && distance(ts[i + 1], ts[i]) == d) {
        i++;
    }
    return i;
}

/* The last index that is reached from at - 1 by equal distances; known, or at most most. */
static size_t even_until(struct even_times *even, const int64_t *ts, size_t at, size_t most) {
    if (at - 1 < even->from || at > even->last) {
        *even = (struct even_times){.from = at - 1, .last = at};
    }
    if (even->last < most) {
        even->last = skip_even(ts, even->last, most, distance(ts[at], ts[at - 1]));
    }
    return even->last;
}

static size_t fill(uint32_t *out, size_t from, size_t to, size_t at) {
    for (size_t i = from; i < to; i++) {
        out[i] = (uint32_t)at;
    }
    return to;
}

/* Edges before the first time, or from the last one on. */
static size_t fill_outside(const struct window_edge *edge, const int64_t *ts, size_t count,
                           int64_t limit, size_t from, size_t to, uint32_t *out) {
    if (edge->at == count) {
        return fill(out, from, to, count);
    }
    const uint64_t steps = (distance(ts[0], limit) - 1) / (uint64_t)edge->step_ms;
    return fill(out, from, steps < to - from ? from + (size_t)steps : to, 0);
}

/* Edges whose distance is so many times that of the times: what lies around one lies around all. */
static size_t fill_in_step(struct window_edge *edge, size_t stride, size_t last, size_t from,
                           size_t to, uint32_t *out) {
    const size_t reached = (last - edge->at) / stride;
    const size_t end = reached < to - from ? from + reached : to;
    size_t at = edge->at;
    for (size_t i = from; i < end; i++) {
        at += stride;
        out[i] = (uint32_t)at;
    }
    edge->went = stride;
    edge->at = at;
    return end;
}

/* Edges after one at limit that lie between neighbours as far apart as the two around that one: index
 * and the way left to the next time go on by one division. */
static size_t fill_even(struct window_edge *edge, const int64_t *ts, size_t count, int64_t limit,
                        size_t from, size_t to, uint32_t *out) {
    const uint64_t d = distance(ts[edge->at], ts[edge->at - 1]);
    const size_t room = count - 1 - edge->at;
    if (d == 0 || (uint64_t)edge->step_ms / d > room) {
        return from;
    }
    const size_t stride = (size_t)((uint64_t)edge->step_ms / d);
    const uint64_t rest = (uint64_t)edge->step_ms % d;
    const uint64_t ahead = (stride + 1) * (to - from); /* may wrap: less is known then */
    const size_t last =
        even_until(edge->even, ts, edge->at, ahead < room ? edge->at + (size_t)ahead : count - 1);
    if (rest == 0) {
        return fill_in_step(edge, stride, last, from, to, out);
    }
    size_t at = edge->at;
    size_t i = from;
    uint64_t past = distance(limit, ts[at - 1]); /* < d */
    for (; i < to; i++) {
        const uint64_t left = d - past; /* to the next time; sums cannot overflow */
        const bool crosses = rest >= left;
        const size_t next = at + stride + crosses;
        if (next > last) {
            break;
        }
        past = crosses ? rest - left : past + rest;
        edge->went = next - at;
        at = next;
        out[i] = (uint32_t)at;
    }
    edge->at = at;
    return i;
}

void window_edge_find(struct window_edge *edge, const int64_t *ts, size_t count, size_t from,
                      size_t to, uint32_t *out) {
    for (size_t i = from; i < to;) {
        const int64_t limit =
            (int64_t)((uint64_t)edge->first_ms + (uint64_t)i * (uint64_t)edge->step_ms);
        const size_t guess = edge->went < count - edge->at ? edge->at + edge->went : count;
        const size_t at = first_behind(ts, count, edge->at, guess, limit);
        edge->went = at - edge->at;
        edge->at = at;
        out[i++] = (uint32_t)at;
        if (i < to) {
            i = at == 0 || at == count ? fill_outside(edge, ts, count, limit, i, to, out)
                                       : fill_even(edge, ts, count, limit, i, to, out);
        }
    }
}
