/* From the text of a page to the row.
 *
 * A page is read by two loops that hand over to each other. known_lines.c runs while the page is
 * what the template says: one comparison for comment and key, one number, one store. At the
 * first line it does not recognise at once, other_line reads one sample with the parser, finds
 * its entry (a few places ahead, then by the index) or resolves a new series, and lets
 * known_lines go on behind that entry. Whatever known_lines cannot do in its few steps (odd
 * blanks, values it cannot read, the last bytes of the body) it leaves to other_line, which alone
 * reports errors: both must agree on every page, and tests compare them.
 *
 * From the first deviation on, lines are noted in scratch->order; a successful scrape that met new
 * or moved lines rebuilds the template from them, so that the next page is known again. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "scrape/ingest.h"
#include "scrape/ingest_row.h"
#include "scrape/page_reader.h"

struct line_seen *page_reserve_notes(struct ingest_scratch *s, uint32_t n) {
    if (s->order_count + n >= s->order_capacity) {
        s->order_capacity = mem_grow(s->order_capacity, s->order_count + n + 1);
        s->order = mem_resize(s->order, s->order_capacity, sizeof(s->order[0]));
    }
    return s->order + s->order_count;
}

void page_note_line(struct ingest_scratch *s, struct line_seen line) {
    if ((s->seen[line.entry] & NOTED) == 0) {
        s->seen[line.entry] |= NOTED;
        *page_reserve_notes(s, 1) = line;
        s->order_count++;
    }
}

void page_start_noting(struct page_reader *r) {
    if (!r->s->deviates) {
        r->s->deviates = true;
        for (uint32_t i = 0; i < r->next; i++) {
            page_note_line(r->s, (struct line_seen){.entry = i, .comment_at = LINE_NONE});
        }
    }
}
static uint32_t find_line(struct page_reader *r, struct str key) {
    const struct line_template *const lines = &r->ig->lines;
    struct ingest_scratch *const s = r->s;
    for (uint32_t i = r->next; i < lines->count && i < r->next + PAGE_LOOK_AHEAD; i++) {
        if (str_eq(line_template_key(lines, i), key)) {
            return i;
        }
    }
    if (lines->count == 0) {
        return LINE_NONE;
    }
    if (!s->indexed) {
        line_index_build(&s->index, lines);
        s->indexed = true;
    }
    return line_index_find(&s->index, lines, key);
}

/* Parses up to the next sample or the end. *out_type: of the last TYPE line passed. */
static enum err_code next_sample(struct page_reader *r, struct expo_entry *out, uint32_t *out_type,
                                 struct err *err) {
    struct expo_parser *const parser = &r->s->parser;
    *out_type = LINE_TYPE_NONE;
    expo_seek(parser, r->at, r->type);
    for (;;) {
        const enum err_code code = expo_next(parser, out, err);
        if (code != ERR_OK || out->kind == EXPO_SAMPLE || out->kind == EXPO_END) {
            return code;
        }
        if (out->kind == EXPO_TYPE) {
            *out_type = parser->type;
        }
    }
}

static enum err_code other_line(struct page_reader *r, bool *out_end, struct err *err) {
    struct ingest_scratch *const s = r->s;
    struct expo_entry sample;
    uint32_t type = LINE_TYPE_NONE;
    enum err_code code = next_sample(r, &sample, &type, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct str comment = str_sub(r->body, r->at, sample.begin - r->at);
    if (sample.kind == EXPO_END) {
        s->tail = comment;
        *out_end = true;
        return ERR_OK;
    }
    page_take_exemplar(r, &sample);
    code = page_take_sample(r, comment, type, &sample, err);
    r->type = s->parser.type;
    r->at = s->parser.at;
    return code;
}

enum err_code page_take_sample(struct page_reader *r, struct str comment, uint32_t type,
                               struct expo_entry *sample, struct err *err) {
    struct ingest_scratch *const s = r->s;
    uint32_t line = find_line(r, sample->series);
    enum err_code code = ERR_OK;
    const bool again = line != LINE_NONE && s->seen[line] != 0;
    const uint32_t count_before = r->ig->lines.count;
    const bool as_expected = line == r->next && line != LINE_NONE &&
                             str_eq(comment, line_template_comment(&r->ig->lines, line));
    if (!as_expected) {
        page_start_noting(r);
    }
    if (line != LINE_NONE && r->ig->slots[line] != LINE_UNRESOLVED) {
        code = page_known_sample(r, line, sample, err);
    } else {
        code = page_new_sample(r, comment, type, sample, &line, err);
    }
    if (code != ERR_OK || line == LINE_NONE) {
        return code;
    }
    if (!again) {
        const bool is_new = line == count_before;
        const bool moved = line < r->next || line >= r->next + PAGE_LOOK_AHEAD;
        s->changed |= moved || !str_eq(comment, line_template_comment(&r->ig->lines, line));
        if (s->deviates) {
            page_note_line(s,
                           (struct line_seen){.entry = line,
                                              .comment_at = (uint32_t)(comment.ptr - r->body.ptr),
                                              .comment_bytes = (uint32_t)comment.len,
                                              .type = type});
        }
        /* A new line among known ones does not say where the page goes on. */
        r->next = is_new && r->next != line ? r->next : line + 1;
    }
    return ERR_OK;
}

/* The comments of a template are those of one format: a page of the other is read by other_line
 * alone, and the template is made anew from it. */
static void take_format(struct page_reader *r) {
    struct ingest *const ig = r->ig;
    const enum expo_format format = r->scrape->format;
    if (ig->format == format && !ig->mixed) {
        return;
    }
    mutex_lock(&ig->mu);
    ig->mixed = ig->lines.count > 0;
    ig->format = ig->mixed ? ig->format : format;
    mutex_unlock(&ig->mu);
    if (ig->mixed) {
        page_start_noting(r);
        r->s->changed = true;
    }
}

static enum err_code read_page(struct page_reader *r, struct err *err) {
    take_format(r);
    if (page_by_entries(r->scrape)) {
        const enum err_code code = page_read_entries(r, err);
        if (code != ERR_OK) {
            return code;
        }
    } else {
        for (bool end = false; !end;) {
            r->s->known_lines(r);
            const enum err_code code = other_line(r, &end, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    if (r->next != r->ig->lines.count) {
        page_start_noting(r);
    }
    if (!str_eq(r->s->tail, line_template_tail(&r->ig->lines))) {
        page_start_noting(r);
        r->s->changed = true;
    }
    if (r->scrape->sample_limit_hit) {
        return err_set(err, ERR_LIMIT, "sample limit exceeded");
    }
    if (r->scrape->bucket_limit_hit) {
        return err_set(err, ERR_LIMIT, "histogram bucket limit exceeded");
    }
    return ERR_OK;
}

enum err_code ingest_page(struct ingest *ig, struct ingest_scratch *s, struct ingest_scrape *scrape,
                          struct str body, size_t readable_bytes, struct err *err) {
    ASSERT(!s->page_ok && !s->page_failed);
    enum err_code code = ingest_open_group(ig, scrape->target, err);
    if (code == ERR_OK && body.len >= UINT32_MAX) {
        code = err_set(err, ERR_LIMIT, "body size limit exceeded");
    }
    struct str text = body;
    if (code == ERR_OK) {
        const uint64_t limit = scrape->config->sample_limit;
        struct page_reader r = {
            .ig = ig,
            .s = s,
            .scrape = scrape,
            .body = body,
            .readable_end = body.ptr + body.len + readable_bytes,
            .sample_limit = limit != 0 ? limit : UINT64_MAX,
            .type = EXPO_UNKNOWN,
            .unit = STR(""),
        };
        expo_init(&s->parser, scrape->format, body);
        s->parser.meta_labels = (scrape->features & SCRAPE_META_LABELS) != 0;
        ingest_scratch_reach_line(s, ig->lines.count);
        code = read_page(&r, err);
        text = r.body;
    }
    s->page_ok = code == ERR_OK;
    s->page_failed = !s->page_ok;
    if (s->page_ok) {
        ingest_flush(ig, s, text);
    } else if (ingest_must_flush(ig)) {
        scrape->flush_forced = true;
        ingest_flush(ig, s, text);
    }
    return code;
}
