/* Lines of text or OpenMetrics, where histograms are converted or start timestamps wanted.
 *
 * Conversion (spec/scrape.md 5.4) collects the lines of one classic histogram and gives one native
 * histogram for them as soon as something else comes.
 *
 * A start timestamp (5.2) stands in a "_created" line behind the samples. The first such line that
 * follows a sample within its family decides, so one look ahead serves all samples up to it. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/utf8.h"
#include "scrape/histogram_make.h"
#include "scrape/ingest_entries.h"
#include "scrape/start_synthesis.h"

/* Scratch memory that may gather before it is given back. */
enum { LINE_ARENA_BYTES = 256 * 1024 };

/* Exemplars that a converted histogram keeps. */
enum { EXEMPLARS_MAX = 1024 };

struct collation {
    bool open;
    struct classic_histogram classic;
    struct arena arena;   /* of the labels */
    struct label *labels; /* without le, the name's suffix and empty ones; sorted */
    size_t label_count;
    struct str base; /* the name without suffix */
    /* of the line that opened it, as they stand there; le left out */
    struct str raw_base;
    struct expo_label *raw;
    size_t raw_count, raw_capacity;
    struct buf key;
    bool has_timestamp; /* of the last line */
    int64_t timestamp_ms;
    int64_t start_ts_ms; /* of the first */
    struct storage_exemplar *exemplars;
    size_t exemplar_count, exemplar_capacity;
};

/* What the look ahead found. */
struct created {
    struct expo_parser *look; /* NULL: start timestamps are not wanted */
    size_t from, until;       /* for samples in between */
    bool found;
    uint64_t series; /* whose */
    int64_t ts_ms;
    uint64_t last_series; /* the one that had a start timestamp last */
    int64_t last_ts_ms;   /* 0: none had */
};

struct line_reader {
    struct entries *e;
    struct expo_parser *parser;
    struct str family; /* of the last TYPE line */
    enum expo_type type;
    struct str meta_family; /* of the last line of metadata */
    struct arena arena;     /* of a line's labels */
    const struct label *labels;
    size_t label_count;
    bool skip_created; /* "_created" lines are no samples */
    bool makes_starts; /* where there are none: st-synthesis */
    struct collation collation;
    struct created created;
};

/* ---- a series of a classic histogram ---- */

static struct str strip(struct str name, struct str suffix) {
    return str_ends(name, suffix) ? str_sub(name, 0, name.len - suffix.len) : name;
}

/* The name without the suffix of a histogram's series, and which one: 'b', 's', 'c' or 0. */
static char base_name(struct str name, struct str *out) {
    static const struct {
        struct str suffix;
        char part;
    } suffixes[] = {{STR_INIT("_bucket"), 'b'}, {STR_INIT("_sum"), 's'}, {STR_INIT("_count"), 'c'}};
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (str_ends(name, suffixes[i].suffix)) {
            *out = strip(name, suffixes[i].suffix);
            return suffixes[i].part;
        }
    }
    *out = name;
    return 0;
}

static struct str label_of(const struct line_reader *l, struct str name) {
    for (size_t i = 0; i < l->label_count; i++) {
        if (str_eq(l->labels[i].name, name)) {
            return l->labels[i].value;
        }
    }
    return STR("");
}

static bool tells_series_apart(const struct label *label) {
    return label->value.len > 0 && !str_eq(label->name, STR("le")) &&
           !str_eq(label->name, LABEL_NAME);
}

/* Whether the line belongs to the histogram that is being collected. */
static bool continues(const struct line_reader *l) {
    const struct collation *const c = &l->collation;
    struct str base;
    size_t at = 1; /* behind the name */
    (void)base_name(label_of(l, LABEL_NAME), &base);
    if (l->type != EXPO_HISTOGRAM || !str_eq(base, c->base)) {
        return false;
    }
    for (size_t i = 0; i < l->label_count; i++) {
        if (!tells_series_apart(&l->labels[i])) {
            continue;
        }
        if (at >= c->label_count || !str_eq(c->labels[at].name, l->labels[i].name) ||
            !str_eq(c->labels[at].value, l->labels[i].value)) {
            return false;
        }
        at++;
    }
    return at == c->label_count;
}

static void keep_raw(struct collation *c, const struct expo_parser *p) {
    (void)base_name(p->name, &c->raw_base);
    c->raw_count = 0;
    if (p->label_count > c->raw_capacity) {
        c->raw_capacity = mem_grow(c->raw_capacity, p->label_count);
        c->raw = mem_resize(c->raw, c->raw_capacity, sizeof(c->raw[0]));
    }
    for (size_t i = 0; i < p->label_count; i++) {
        if (!str_eq(p->labels[i].name, STR("le"))) {
            c->raw[c->raw_count++] = p->labels[i];
        }
    }
}

/* labels[0] is the name here; put in order only for a new series. */
static void open_collation(struct line_reader *l, struct str base, const struct expo_entry *first) {
    struct collation *const c = &l->collation;
    arena_reset(&c->arena);
    classic_reset(&c->classic);
    c->open = true;
    /* Prometheus looks for a start timestamp here, whether one is wanted or not, and from then on
     * leaves "_created" lines out. */
    l->skip_created |= l->parser->format == EXPO_FORMAT_OPENMETRICS;
    c->start_ts_ms = first->start_ts_ms;
    c->exemplar_count = 0;
    c->base = arena_str(&c->arena, base);
    c->labels = arena_alloc(&c->arena, (l->label_count + 1) * sizeof(c->labels[0]));
    c->labels[0] = (struct label){LABEL_NAME, c->base};
    c->label_count = 1;
    buf_clear(&c->key);
    buf_append_str(&c->key, base);
    for (size_t i = 0; i < l->label_count; i++) {
        const struct label *const from = &l->labels[i];
        if (!tells_series_apart(from)) {
            continue;
        }
        buf_append_char(&c->key, c->label_count == 1 ? '{' : ',');
        buf_append_str(&c->key, from->name);
        buf_append_char(&c->key, '=');
        utf8_quote(&c->key, from->value);
        c->labels[c->label_count++] =
            (struct label){arena_str(&c->arena, from->name), arena_str(&c->arena, from->value)};
    }
    if (c->label_count > 1) {
        buf_append_char(&c->key, '}');
    }
    keep_raw(c, l->parser);
}

static void keep_exemplars(struct collation *c, const struct expo_entry *line) {
    for (size_t i = 0; i < line->exemplar_count && c->exemplar_count < EXEMPLARS_MAX; i++) {
        if (c->exemplar_count == c->exemplar_capacity) {
            c->exemplar_capacity = mem_grow(c->exemplar_capacity, c->exemplar_count + 1);
            c->exemplars = mem_resize(c->exemplars, c->exemplar_capacity, sizeof(c->exemplars[0]));
        }
        c->exemplars[c->exemplar_count++] = line->exemplars[i];
    }
}

static void add_line(struct collation *c, char part, double le, const struct expo_entry *line) {
    const double value = num_double(line->value);
    c->has_timestamp = line->has_timestamp;
    c->timestamp_ms = line->timestamp_ms;
    keep_exemplars(c, line);
    if (part == 'b') {
        classic_bucket(&c->classic, le, value);
    } else if (part == 'c') {
        classic_count(&c->classic, value);
    } else {
        classic_sum(&c->classic, value);
    }
}

/* Most lines read like the one that opened the collation, but for suffix and le: then they go into
 * it without work on labels. False says nothing about the line. */
static bool collate_alike(struct line_reader *l, const struct expo_entry *line) {
    struct collation *const c = &l->collation;
    const struct expo_parser *const p = l->parser;
    struct str base;
    double le = 0;
    size_t at = 0;
    bool has_le = false;
    const char part = base_name(p->name, &base);
    if (!c->open || part == 0 || !str_eq(base, c->raw_base)) {
        return false;
    }
    for (size_t i = 0; i < p->label_count; i++) {
        if (str_eq(p->labels[i].name, STR("le"))) {
            if (has_le || number_parse_double(p->labels[i].value, &le) != NUMBER_OK || isnan(le)) {
                return false;
            }
            has_le = true;
        } else if (at == c->raw_count || !str_eq(p->labels[i].name, c->raw[at].name) ||
                   !str_eq(p->labels[i].value, c->raw[at].value)) {
            return false;
        } else {
            at++;
        }
    }
    if (at != c->raw_count || (part == 'b' && !has_le)) {
        return false;
    }
    add_line(c, part, le, line);
    return true;
}

/* Whether the line went into the collation. */
static bool collate(struct line_reader *l, const struct expo_entry *line) {
    struct collation *const c = &l->collation;
    struct str base;
    double le = 0;
    const char part = base_name(label_of(l, LABEL_NAME), &base);
    if (l->type != EXPO_HISTOGRAM || part == 0 || !str_eq(base, l->family)) {
        return false;
    }
    if (part == 'b' &&
        (number_parse_double(label_of(l, STR("le")), &le) != NUMBER_OK || isnan(le))) {
        return false;
    }
    if (!c->open) {
        open_collation(l, base, line);
    }
    add_line(c, part, le, line);
    return true;
}

static enum err_code collation_labels(void *ctx, struct arena *arena, const struct label **out,
                                      size_t *out_count, struct err *err) {
    const struct collation *const c = ctx;
    struct label *const labels = arena_alloc(arena, c->label_count * sizeof(labels[0]));
    (void)err;
    memcpy(labels, c->labels, c->label_count * sizeof(labels[0]));
    expo_sort_labels(labels, c->label_count);
    *out = labels;
    *out_count = c->label_count;
    return ERR_OK;
}

/* The converted histogram, if one was being collected and is a sound one. next: the line that ends
 * it, whose timestamp becomes the histogram's (as in Prometheus), or NULL. */
static enum err_code close_collation(struct line_reader *l, const struct expo_entry *next,
                                     struct err *err) {
    struct collation *const c = &l->collation;
    struct arena *const arena = &l->e->r->s->row_arena;
    struct histogram *h = NULL;
    struct err wrong;
    bool floats = false;
    if (!c->open) {
        return ERR_OK;
    }
    c->open = false;
    enum err_code code = classic_convert(&c->classic, arena, &h, &floats, &wrong);
    if (code == ERR_LIMIT) {
        *err = wrong;
        return code;
    }
    if (code != ERR_OK || histogram_validate(h, floats, &wrong) != ERR_OK) {
        return ERR_OK;
    }
    struct expo_entry sample = {
        .kind = EXPO_SAMPLE,
        .series = buf_str(&c->key),
        .has_timestamp = next != NULL ? next->has_timestamp : c->has_timestamp,
        .timestamp_ms = next != NULL ? next->timestamp_ms : c->timestamp_ms,
        .histogram = h,
        .float_histogram = floats,
        .start_ts_ms = c->start_ts_ms,
        .cumulative = true,
        .exemplars = c->exemplars,
        .exemplar_count = c->exemplar_count,
    };
    if (!buf_ok(&c->key) || c->key.len > EXPO_LINE_MAX) {
        return err_set(err, ERR_LIMIT, "series of more than %d bytes", EXPO_LINE_MAX);
    }
    return entries_take(l->e, &sample, collation_labels, c, err);
}

/* ---- start timestamps ---- */

static bool has_starts(enum expo_type type) {
    return type == EXPO_COUNTER || type == EXPO_HISTOGRAM || type == EXPO_SUMMARY;
}

/* A series but for le of a histogram and quantile of a summary; in another order, labels make
 * another one. */
static uint64_t series_id(const struct expo_parser *p, enum expo_type type, struct str name) {
    const struct str skipped = type == EXPO_HISTOGRAM ? STR("le") : STR("quantile");
    uint64_t id = hash_keyed(name.ptr, name.len, 1);
    for (size_t i = 0; i < p->label_count; i++) {
        const struct expo_label *const label = &p->labels[i];
        if (type == EXPO_COUNTER || !str_eq(label->name, skipped)) {
            id = hash_keyed(label->name.ptr, label->name.len, id);
            id = hash_keyed(label->value.ptr, label->value.len, id);
        }
    }
    return id;
}

/* Fills in what holds for samples from at on. */
static void look_ahead(struct line_reader *l, size_t at) {
    struct created *const c = &l->created;
    struct expo_entry entry;
    c->from = at;
    c->found = false;
    expo_seek(c->look, at, l->type);
    for (;;) {
        const enum err_code code = expo_next(c->look, &entry, NULL);
        c->until = code == ERR_OK ? c->look->at : SIZE_MAX;
        if (code != ERR_OK || entry.kind != EXPO_SAMPLE) {
            return;
        }
        const struct str name = c->look->name;
        if (str_ends(name, STR("_created"))) {
            c->found = true;
            c->series = series_id(c->look, l->type, strip(name, STR("_created")));
            c->ts_ms = expo_seconds_to_ms(num_double(entry.value));
            return;
        }
    }
}

/* Of the parser's sample; 0 when there is none. */
static int64_t start_of(struct line_reader *l) {
    struct created *const c = &l->created;
    if (!has_starts(l->type)) {
        c->last_ts_ms = 0;
        return 0;
    }
    const uint64_t series = series_id(l->parser, l->type, l->meta_family);
    if (c->last_ts_ms > 0 && c->last_series == series) {
        return c->last_ts_ms;
    }
    if (l->parser->at < c->from || l->parser->at >= c->until) {
        look_ahead(l, l->parser->at);
    }
    c->last_series = series;
    c->last_ts_ms = c->found && c->series == series ? c->ts_ms : 0;
    return c->last_ts_ms;
}

/* ---- lines ---- */

static enum err_code parser_labels(void *ctx, struct arena *arena, const struct label **out,
                                   size_t *out_count, struct err *err) {
    (void)err;
    *out = expo_labels(ctx, arena, out_count);
    return ERR_OK;
}

/* Whether the line went into a histogram; the one before it is given when the line ends it. */
static enum err_code convert(struct line_reader *l, const struct expo_entry *line, bool *out_taken,
                             struct err *err) {
    *out_taken = collate_alike(l, line);
    if (*out_taken || (l->type != EXPO_HISTOGRAM && !l->collation.open)) {
        return ERR_OK;
    }
    if (l->arena.used_bytes > LINE_ARENA_BYTES) {
        arena_reset(&l->arena);
    }
    l->labels = expo_labels(l->parser, &l->arena, &l->label_count);
    if (l->collation.open && !continues(l)) {
        const enum err_code code = close_collation(l, line, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out_taken = collate(l, line);
    return ERR_OK;
}

static enum err_code read_sample(struct line_reader *l, struct expo_entry *line, struct err *err) {
    const struct scrape_histograms histograms = l->e->r->scrape->histograms;
    bool taken = false;
    if (l->skip_created && has_starts(l->type) && str_ends(l->parser->name, STR("_created"))) {
        return ERR_OK;
    }
    if (l->created.look != NULL) {
        line->start_ts_ms = start_of(l);
    }
    if (l->makes_starts) {
        const enum expo_type type = str_eq(l->meta_family, l->family) ? l->type : EXPO_UNKNOWN;
        line->cumulative = start_synthesis_wants(l->parser->name, l->meta_family, type);
    }
    page_take_exemplar(l->e->r, line);
    const enum err_code code = histograms.convert ? convert(l, line, &taken, err) : ERR_OK;
    if (code != ERR_OK || (taken && !histograms.classic_too)) {
        return code;
    }
    line->exemplar_count = taken ? 0 : line->exemplar_count; /* the histogram has them */
    return entries_take(l->e, line, parser_labels, l->parser, err);
}

/* Metadata stands in the template as it stands on the page. */
static void keep_meta(struct line_reader *l, const struct expo_entry *line) {
    struct buf *const comments = &l->e->r->s->comments;
    const struct str body = l->parser->body;
    const size_t end = l->parser->at < body.len ? l->parser->at : body.len;
    if (line->kind == EXPO_TYPE) {
        l->family = line->family;
        l->type = l->parser->type;
    }
    l->meta_family = line->family;
    buf_append_str(comments, str_sub(body, line->begin, end - line->begin));
    if (comments->len > 0 && comments->ptr[comments->len - 1] != '\n') {
        buf_append_char(comments, '\n');
    }
}

static enum err_code read_lines(struct line_reader *l, struct err *err) {
    struct expo_entry line;
    enum err_code code = ERR_OK;
    do {
        code = expo_next(l->parser, &line, err);
        if (code == ERR_OK && line.kind == EXPO_SAMPLE) {
            code = read_sample(l, &line, err);
        } else if (code == ERR_OK) {
            code = close_collation(l, NULL, err);
            if (line.kind != EXPO_END && line.kind != EXPO_COMMENT) {
                keep_meta(l, &line);
            }
        }
    } while (code == ERR_OK && line.kind != EXPO_END);
    return code;
}

enum err_code entries_read_lines(struct entries *e, struct err *err) {
    const struct ingest_scrape *const scrape = e->r->scrape;
    struct line_reader l = {.e = e, .parser = &e->r->s->parser, .type = EXPO_UNKNOWN};
    const bool starts = scrape->format == EXPO_FORMAT_OPENMETRICS &&
                        (scrape->features & (SCRAPE_START_ZERO | SCRAPE_START_STORE)) != 0;
    arena_init(&l.arena, 0);
    arena_init(&l.collation.arena, 0);
    buf_init(&l.collation.key, 8 * EXPO_LINE_MAX);
    l.skip_created = starts;
    l.makes_starts = (scrape->features & SCRAPE_START_MAKE) != 0;
    if (starts) {
        l.created.look = mem_alloc(sizeof(*l.created.look));
        expo_init(l.created.look, scrape->format, e->r->body);
    }
    const enum err_code code = read_lines(&l, err);
    mem_free(l.created.look);
    mem_free(l.collation.exemplars);
    mem_free(l.collation.raw);
    classic_release(&l.collation.classic);
    buf_release(&l.collation.key);
    arena_release(&l.collation.arena);
    arena_release(&l.arena);
    return code;
}
