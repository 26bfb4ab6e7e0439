/* Samples of such pages have no line in the body that could be compared with the last page's. What
 * stands for the page in the template is made here: the key of each sample, and the comments of
 * its families as text in scratch->comments, where metadata is read from. */
#include "scrape/ingest_entries.h"

#include "base/check.h"
#include "scrape/expo_proto.h"
#include "scrape/histogram_make.h"

enum { START_FEATURES = SCRAPE_START_ZERO | SCRAPE_START_STORE };

bool page_by_entries(const struct ingest_scrape *scrape) {
    if ((scrape->features & SCRAPE_START_MAKE) != 0) {
        return true;
    }
    switch (scrape->format) {
    case EXPO_FORMAT_PROTOBUF:
        return true;
    case EXPO_FORMAT_OPENMETRICS:
        return scrape->histograms.convert || (scrape->features & START_FEATURES) != 0;
    case EXPO_FORMAT_TEXT:
        return scrape->histograms.convert;
    }
    UNREACHABLE("a page of no format");
}

/* ---- samples ---- */

static struct str all_comments(const struct entries *e) {
    const struct str comments = buf_str(&e->r->s->comments);
    return comments.len != 0 ? comments : STR("");
}

/* What is wrong with a histogram is told when it reaches the storage, not before. */
static enum err_code prepare_histogram(struct entries *e, struct expo_entry *sample,
                                       struct err *err) {
    struct page_reader *const r = e->r;
    struct err wrong;
    const enum err_code code = histogram_limit(&r->s->row_arena, e->max_schema,
                                               r->scrape->config->native_histogram_bucket_limit,
                                               &sample->histogram, &sample->over_bucket_limit, err);
    if (code != ERR_OK || sample->over_bucket_limit) {
        return code;
    }
    if (histogram_validate(sample->histogram, sample->float_histogram, &wrong) != ERR_OK) {
        struct err *const kept = arena_alloc(&r->s->row_arena, sizeof(*kept));
        *kept = wrong;
        sample->invalid = kept;
    }
    return ERR_OK;
}

enum err_code entries_take(struct entries *e, struct expo_entry *sample, page_labels_fn *labels,
                           void *ctx, struct err *err) {
    struct page_reader *const r = e->r;
    if (!buf_ok(&r->s->comments)) {
        return err_set(err, ERR_LIMIT, "the metadata of the page is too large");
    }
    if (sample->histogram != NULL) {
        const enum err_code code = prepare_histogram(e, sample, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    r->body = all_comments(e);
    r->labels = labels;
    r->labels_ctx = ctx;
    const struct str comment = str_from(r->body, e->comment_at);
    e->comment_at = r->body.len;
    return page_take_sample(r, comment, LINE_TYPE_NONE, sample, err);
}

/* ---- protobuf ---- */

static enum err_code proto_labels(void *ctx, struct arena *arena, const struct label **out,
                                  size_t *out_count, struct err *err) {
    return expo_proto_labels(ctx, arena, out, out_count, err);
}

static bool proto_is_cumulative(const struct expo_proto *p) {
    const enum expo_type type = expo_proto_type(p);
    return type == EXPO_COUNTER || type == EXPO_HISTOGRAM ||
           (type == EXPO_SUMMARY && (p->given == PART_COUNT || p->given == PART_SUM));
}

static enum err_code read_proto(struct entries *e, struct err *err) {
    const struct ingest_scrape *const scrape = e->r->scrape;
    struct ingest_scratch *const s = e->r->s;
    struct expo_proto p;
    struct expo_entry entry;
    expo_proto_init(&p, e->r->body, scrape->histograms, (scrape->features & SCRAPE_EXEMPLARS) != 0,
                    (scrape->features & START_FEATURES) != 0, &s->row_arena);
    p.meta_labels = (scrape->features & SCRAPE_META_LABELS) != 0;
    enum err_code code = ERR_OK;
    do {
        code = expo_proto_next(&p, &entry, err);
        if (code == ERR_OK && entry.kind == EXPO_TYPE) {
            expo_proto_comment(&p, &s->comments);
        } else if (code == ERR_OK && entry.kind == EXPO_SAMPLE) {
            entry.cumulative = proto_is_cumulative(&p);
            code = entries_take(e, &entry, proto_labels, &p, err);
        }
    } while (code == ERR_OK && entry.kind != EXPO_END);
    expo_proto_release(&p);
    return code;
}

enum err_code page_read_entries(struct page_reader *r, struct err *err) {
    struct entries e = {
        .r = r,
        .max_schema = histogram_max_schema(r->scrape->config->native_histogram_min_bucket_factor)};
    const enum err_code code = r->scrape->format == EXPO_FORMAT_PROTOBUF
                                   ? read_proto(&e, err)
                                   : entries_read_lines(&e, err);
    r->body = all_comments(&e);
    r->s->tail = str_from(r->body, e.comment_at);
    return code;
}
