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

static bool is_before(double a, double b) {
    return isnan(a) ? !isnan(b) : a < b;
}

/* How many of the values are before x, or (with_equal) not behind it. */
static size_t rank_of(const double *sorted, size_t n, double x, bool with_equal) {
    size_t low = 0;
    while (n > 0) {
        const size_t half = n / 2;
        const double at = sorted[low + half];
        const bool right = with_equal ? !is_before(x, at) : is_before(at, x);
        low = right ? low + half + 1 : low;
        n = right ? n - half - 1 : half;
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
        for (size_t i = 0; i < left && left < have; i++) {
            leave(order->sorted, have - i, order->column[order->low + i]);
        }
        have -= left;
        for (size_t i = high - came; i < high; i++) {
            come(order->sorted, have++, order->column[i]);
        }
    }
    order->low = low;
    order->high = high;
    return order->sorted;
}
