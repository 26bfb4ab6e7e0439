#include "query/window_order.h"

#include <math.h>
#include <string.h>

#include "query/quantile.h"

enum err_code window_order_init(struct window_order *order, struct work *work, const double *column,
                                size_t widest, struct err *err) {
    *order = (struct window_order){.column = column};
    order->sorted = work_alloc(work, widest + 1, sizeof(*order->sorted), err);
    return order->sorted != NULL ? ERR_OK : ERR_LIMIT;
}

/* How many of the values are before x, or (with_equal) not behind it. Without branches: where x
 * belongs cannot be foretold. */
static ALWAYS_INLINE size_t rank_of(const double *sorted, size_t n, double x, bool with_equal) {
    size_t low = 0;
    if (isnan(x) && !with_equal) {
        return 0;
    }
    while (n > 0) {
        const size_t half = (n + 1) / 2;
        const double at = sorted[low + half - 1];
        /* a NaN there is before any x but a NaN */
        const bool right = isnan(x) ? isnan(at) : with_equal ? !(at > x) : !(at >= x);
        low += right ? half : 0;
        n = right ? n - half : half - 1;
    }
    return low;
}

static void leave(double *sorted, size_t n, double x) {
    const size_t at = rank_of(sorted, n, x, false);
    memmove(sorted + at, sorted + at + 1, (n - at - 1) * sizeof(*sorted));
}

static void come(double *sorted, size_t n, double x) {
    const size_t at = rank_of(sorted, n, x, true);
    memmove(sorted + at + 1, sorted + at, (n - at) * sizeof(*sorted));
    sorted[at] = x;
}

/* One leaves, then one comes: only what lies between their places moves. */
static void exchange(double *sorted, size_t n, double old, double new) {
    const size_t from = rank_of(sorted, n, old, false);
    const size_t to = rank_of(sorted, n, new, true); /* old is counted if it is not behind new */
    if (to > from) {
        memmove(sorted + from, sorted + from + 1, (to - 1 - from) * sizeof(*sorted));
        sorted[to - 1] = new;
    } else {
        memmove(sorted + to + 1, sorted + to, (from - to) * sizeof(*sorted));
        sorted[to] = new;
    }
}

const double *window_order_slide(struct window_order *order, size_t low, size_t high) {
    enum { ALWAYS_SLIDE = 64 }; /* so few are inserted faster than sorted */
    const size_t n = high - low;
    size_t have = order->high - order->low;
    const size_t left = low < order->high ? low - order->low : have;
    const size_t came = low < order->high ? high - order->high : n;
    if (left + came > n && n > ALWAYS_SLIDE) {
        memcpy(order->sorted, order->column + low, n * sizeof(*order->sorted));
        quantile_sort(order->sorted, n);
    } else {
        const size_t both = left == have ? 0 : left < came ? left : came;
        const double *oldest = order->column + order->low;
        const double *newest = order->column + high - came;
        for (size_t i = 0; i < both; i++) {
            exchange(order->sorted, have, oldest[i], newest[i]);
        }
        for (size_t i = both; i < left && left < have; i++) {
            leave(order->sorted, have - (i - both), oldest[i]);
        }
        have -= left - both;
        for (size_t i = both; i < came; i++) {
            come(order->sorted, have++, newest[i]);
        }
    }
    order->low = low;
    order->high = high;
    return order->sorted;
}
