#include "query/annotation.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/parse.h"

enum { TEXT_MAX = 1024 };

void annotations_init(struct annotations *a, struct work *work) {
    *a = (struct annotations){.work = work};
}

static struct annotation *find(struct annotations *a, enum annotation_level level,
                               struct str text) {
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].level == level && str_eq(a->items[i].text, text)) {
            return &a->items[i];
        }
    }
    return NULL;
}

static struct annotation *append(struct annotations *a) {
    if (a->count == ANNOTATIONS_MAX) {
        return NULL;
    }
    if (a->count == a->capacity) {
        const size_t capacity = a->capacity == 0 ? 8 : a->capacity * 2;
        struct annotation *items = work_alloc(a->work, capacity, sizeof(*items), NULL);
        if (items == NULL) {
            a->failed = ERR_LIMIT;
            return NULL;
        }
        if (a->count > 0) {
            memcpy(items, a->items, a->count * sizeof(*items));
        }
        a->items = items;
        a->capacity = capacity;
    }
    return &a->items[a->count++];
}

static struct annotation *find_or_append(struct annotations *a, enum annotation_level level,
                                         struct str text, bool *out_new) {
    struct annotation *item = find(a, level, text);
    a->touched++;
    *out_new = item == NULL;
    if (item == NULL) {
        item = append(a);
        if (item != NULL) {
            *item = (struct annotation){.level = level, .text = arena_str(&a->work->arena, text)};
        }
    }
    return item;
}

void annotations_add(struct annotations *a, enum annotation_level level, struct pos_range pos,
                     const char *fmt, ...) {
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    const size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    bool is_new = false;
    struct annotation *item = find_or_append(a, level, (struct str){text, len}, &is_new);
    if (item != NULL) {
        item->pos = pos;
    }
}

void annotations_add_forced(struct annotations *a, struct pos_range pos, struct str name,
                            const struct forced_monotonic *forced) {
    char text[TEXT_MAX];
    const struct str suffix = annotation_for_name(a, name);
    const int n = snprintf(text, sizeof(text),
                           "input to histogram_quantile needed to be fixed for monotonicity (see "
                           "https://prometheus.io/docs/prometheus/latest/querying/functions/"
                           "#histogram_quantile)%.*s",
                           STR_ARG(suffix));
    const size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    bool is_new = false;
    struct annotation *item = find_or_append(a, ANNOTATION_INFO, (struct str){text, len}, &is_new);
    if (item == NULL) {
        return;
    }
    if (is_new) {
        item->pos = pos;
        item->is_forced = true;
        item->forced = *forced;
        return;
    }
    struct forced_monotonic *to = &item->forced;
    to->min_bucket = fmin(to->min_bucket, forced->min_bucket);
    to->max_bucket = fmax(to->max_bucket, forced->max_bucket);
    to->max_diff = fmax(to->max_diff, forced->max_diff);
    to->count += forced->count;
    to->first_ms = forced->first_ms < to->first_ms ? forced->first_ms : to->first_ms;
    to->last_ms = forced->last_ms > to->last_ms ? forced->last_ms : to->last_ms;
}

void annotations_add_overlap(struct annotations *a, struct pos_range pos, struct str name) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_append_cstr(
        &text, "sample has start time that overlaps with previous sample timestamp for metric ");
    utf8_quote(&text, name);
    bool is_new = false;
    struct annotation *item = find_or_append(a, ANNOTATION_WARNING, buf_str(&text), &is_new);
    if (item != NULL) {
        item->pos = is_new ? pos : item->pos;
        item->occurrences++;
    }
    buf_release(&text);
}

struct str annotation_for_name(struct annotations *a, struct str name) {
    if (name.len == 0) {
        return STR("");
    }
    struct buf quoted;
    buf_init(&quoted, TEXT_MAX);
    buf_append_cstr(&quoted, " for metric name ");
    utf8_quote(&quoted, name);
    const struct str text =
        buf_ok(&quoted) ? arena_str(&a->work->arena, buf_str(&quoted)) : STR("");
    buf_release(&quoted);
    return text;
}

static void append_g(struct buf *to, double v, int precision) {
    char text[NUMBER_TEXT_MAX];
    const size_t n =
        precision < 0 ? number_format_g(v, text) : number_format_g_prec(v, precision, text);
    buf_append(to, text, n);
}

/* RFC3339 in whole seconds. */
static void append_time(struct buf *to, int64_t ms) {
    const int64_t s = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
    int64_t ns = 0;
    if (!__builtin_mul_overflow(s, NS_PER_S, &ns)) {
        time_format_rfc3339_ns(to, ns);
    }
}

static void append_forced(struct buf *to, const struct forced_monotonic *f) {
    buf_append_cstr(to, ", from buckets ");
    append_g(to, f->min_bucket, -1);
    buf_append_cstr(to, " to ");
    append_g(to, f->max_bucket, -1);
    buf_append_cstr(to, ", with a max diff of ");
    append_g(to, f->max_diff, 2);
    buf_append_cstr(to, ", over ");
    buf_append_u64(to, f->count);
    buf_append_cstr(to, " samples from ");
    append_time(to, f->first_ms);
    buf_append_cstr(to, " to ");
    append_time(to, f->last_ms);
}

static void render_one(struct buf *to, const struct annotation *item, struct str query) {
    buf_clear(to);
    buf_append_cstr(to, item->level == ANNOTATION_WARNING ? "PromQL warning: " : "PromQL info: ");
    buf_append_str(to, item->text);
    if (item->is_forced) {
        append_forced(to, &item->forced);
    }
    if (item->occurrences > 1) {
        buf_append_cstr(to, " (");
        buf_append_u64(to, item->occurrences);
        buf_append_cstr(to, " occurrences)");
    }
    buf_append_cstr(to, " (");
    print_position(to, query, item->pos.start);
    buf_append_char(to, ')');
}

enum err_code annotations_render(const struct annotations *a, enum annotation_level level,
                                 struct str query, struct arena *arena, struct str **out,
                                 size_t *out_count, struct err *err) {
    struct str *texts = arena_try_alloc(arena, a->count + 1, sizeof(*texts));
    if (texts == NULL || a->failed != ERR_OK) {
        return err_set(err, ERR_LIMIT, "no memory left for the warnings of the query");
    }
    struct buf text;
    buf_init(&text, 4 * TEXT_MAX);
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].level == level) {
            render_one(&text, &a->items[i], query);
            texts[n++] = arena_str(arena, buf_str(&text));
        }
    }
    buf_release(&text);
    *out = texts;
    *out_count = n;
    return ERR_OK;
}
