#include "scrape/metadata.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "scrape/expo.h"

/* A HELP, TYPE or UNIT line; of several for one family and field the last holds. */
struct meta_line {
    struct str family;
    size_t order;
    enum expo_kind kind;
    struct str text;
    enum expo_type type;
};

struct meta_lines {
    struct meta_line *items;
    size_t count, capacity;
};

static int by_family(const void *a, const void *b) {
    const struct meta_line *const x = a;
    const struct meta_line *const y = b;
    const int c = str_cmp(x->family, y->family);
    return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

static void read_lines(struct str comments, enum expo_format format, struct str family,
                       struct meta_lines *lines) {
    struct expo_parser *const parser = mem_alloc(sizeof(*parser));
    struct expo_entry entry;
    expo_init(parser, format, comments);
    /* The comments were read once without error. Should they fail now, what came before counts;
     * those of OpenMetrics do, as no "# EOF" is among them. */
    while (expo_next(parser, &entry, NULL) == ERR_OK && entry.kind != EXPO_END) {
        const bool is_meta =
            entry.kind == EXPO_HELP || entry.kind == EXPO_TYPE || entry.kind == EXPO_UNIT;
        if (!is_meta || (family.len != 0 && !str_eq(entry.family, family))) {
            continue;
        }
        if (lines->count == lines->capacity) {
            lines->capacity = mem_grow(lines->capacity, lines->count + 1);
            lines->items = mem_resize(lines->items, lines->capacity, sizeof(lines->items[0]));
        }
        lines->items[lines->count] = (struct meta_line){.family = entry.family,
                                                        .order = lines->count,
                                                        .kind = entry.kind,
                                                        .text = entry.text,
                                                        .type = parser->type};
        lines->count++;
    }
    mem_free(parser);
}

bool metadata_each(struct str comments, enum expo_format format, struct labels target,
                   struct str family, struct arena *arena,
                   bool (*fn)(void *ctx, const struct metric_metadata *md), void *ctx) {
    struct meta_lines lines = {0};
    read_lines(comments, format, family, &lines);
    if (lines.count > 0) {
        qsort(lines.items, lines.count, sizeof(lines.items[0]), by_family);
    }
    bool go_on = true;
    for (size_t i = 0; i < lines.count && go_on;) {
        struct metric_metadata md = {.family = lines.items[i].family,
                                     .type = str_of(expo_type_name(EXPO_UNKNOWN)),
                                     .target = target};
        for (; i < lines.count && str_eq(lines.items[i].family, md.family); i++) {
            const struct meta_line *const line = &lines.items[i];
            if (line->kind == EXPO_TYPE) {
                md.type = str_of(expo_type_name(line->type));
            } else if (line->kind == EXPO_UNIT) {
                md.unit = line->text;
            } else {
                md.help = expo_help_unescape(arena, format, line->text);
            }
        }
        go_on = fn(ctx, &md);
    }
    mem_free(lines.items);
    return go_on;
}
