/* The only file that includes yaml.h.
 *
 * Parsing reads libyaml's events and builds the tree with an explicit stack, so a document cannot
 * use our C stack. Limits: depth while events are read (a flow level costs the scanner work at
 * every token; it looks ahead at most 1024 characters beyond what we accepted, so it cannot run
 * away first), nodes with aliases expanded, %-directives (libyaml compares each new one with all
 * before it), and the arena's budget.
 *
 * Aliases share the node of their anchor. Anchors remember the size and height of their tree as
 * a reader sees it, so that "billion laughs" and deep chains of aliases are refused here and
 * whoever walks the tree needs no limits of its own. */
#include "base/yaml_node.h"

#include <yaml.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/yaml_scalar.h"

static const char TAG_PREFIX[] = "tag:yaml.org,2002:";

enum { ANCHOR_BUCKETS = 256, TAG_LONGEST = 256 };

struct anchor {
    struct str name;
    struct yaml_node *node;
    size_t node_count; /* of its tree, itself included; 0 while it is open */
    unsigned height;   /* levels of its tree; a scalar has 0 */
    struct anchor *next;
};

/* A sequence or mapping that is being read. */
struct level {
    struct yaml_node *node;
    struct anchor *anchor;
    size_t first_item;  /* in builder.items */
    size_t nodes_above; /* builder.node_count when it began */
    unsigned height;
};

struct builder {
    struct arena *arena;
    yaml_parser_t parser;
    struct level levels[YAML_DEPTH_MAX];
    unsigned depth;
    struct yaml_node **items; /* children of all open levels, innermost last */
    size_t item_count, item_capacity;
    size_t node_count;
    struct anchor *anchors[ANCHOR_BUCKETS];
    size_t anchor_count;
    struct yaml_node *root;
};

static enum err_code fail_at(struct err *err, enum err_code code, size_t line0, const char *what) {
    return err_set(err, code, "yaml: line %zu: %s", line0 + 1, what);
}

static enum err_code fail_memory(struct err *err) {
    return err_set(err, ERR_LIMIT, "yaml: document needs too much memory");
}

/* go-yaml's text for a parser error: its line is 0-based unless the scanner noticed, and 0 means
 * that nothing is known. */
static enum err_code fail_parser(const yaml_parser_t *parser, struct err *err) {
    const char *problem =
        parser->problem != NULL ? parser->problem : "unknown problem parsing YAML content";
    size_t line = 0;
    if (parser->problem_mark.line != 0) {
        line = parser->problem_mark.line + (parser->error == YAML_SCANNER_ERROR);
    } else if (parser->context_mark.line != 0) {
        line = parser->context_mark.line;
    }
    if (parser->error == YAML_MEMORY_ERROR) {
        return fail_memory(err);
    }
    if (line == 0) {
        return err_set(err, ERR_INVALID, "yaml: %s", problem);
    }
    return err_set(err, ERR_INVALID, "yaml: line %zu: %s", line, problem);
}

/* ---- anchors ---- */

static struct anchor **anchor_bucket(struct builder *b, struct str name) {
    return &b->anchors[hash_fnv1a64(FNV1A64_INIT, name.ptr, name.len) % ANCHOR_BUCKETS];
}

static struct anchor *anchor_find(struct builder *b, struct str name) {
    for (struct anchor *a = *anchor_bucket(b, name); a != NULL; a = a->next) {
        if (str_eq(a->name, name)) {
            return a;
        }
    }
    return NULL;
}

/* Redefining an anchor is legal; the newest wins. */
static enum err_code anchor_add(struct builder *b, const yaml_char_t *text, struct yaml_node *node,
                                struct anchor **out, struct err *err) {
    *out = NULL;
    if (text == NULL) {
        return ERR_OK;
    }
    if (b->anchor_count++ == YAML_ANCHORS_MAX) {
        return fail_at(err, ERR_LIMIT, (size_t)node->line - 1, "too many anchors");
    }
    const struct str name = str_of((const char *)text);
    char *copy = arena_try_alloc(b->arena, name.len + 1, 1);
    struct anchor *anchor = arena_try_alloc(b->arena, 1, sizeof(*anchor));
    if (copy == NULL || anchor == NULL) {
        return fail_memory(err);
    }
    memcpy(copy, name.ptr, name.len + 1);
    struct anchor **bucket = anchor_bucket(b, name);
    *anchor = (struct anchor){.name = {copy, name.len}, .node = node, .next = *bucket};
    *bucket = anchor;
    *out = anchor;
    return ERR_OK;
}

/* ---- the tree ---- */

static enum err_code copy_text(struct builder *b, const void *text, size_t n, struct str *out,
                               struct err *err) {
    char *copy = arena_try_alloc(b->arena, n + 1, 1);
    if (copy == NULL) {
        return fail_memory(err);
    }
    if (n != 0) {
        memcpy(copy, text, n);
    }
    copy[n] = '\0';
    *out = (struct str){copy, n};
    return ERR_OK;
}

/* "tag:yaml.org,2002:str" becomes "!!str". */
static enum err_code copy_tag(struct builder *b, const yaml_char_t *tag, struct str *out,
                              struct err *err) {
    *out = STR("");
    if (tag == NULL) {
        return ERR_OK;
    }
    struct str text = str_of((const char *)tag);
    char shortened[TAG_LONGEST];
    if (str_starts(text, str_of(TAG_PREFIX)) && text.len < TAG_LONGEST) {
        const struct str rest = str_from(text, sizeof(TAG_PREFIX) - 1);
        shortened[0] = shortened[1] = '!';
        memcpy(shortened + 2, rest.ptr, rest.len);
        text = (struct str){shortened, rest.len + 2};
    }
    return copy_text(b, text.ptr, text.len, out, err);
}

static enum err_code count_nodes(struct builder *b, size_t more, size_t line0, struct err *err) {
    if (more > YAML_NODES_MAX - b->node_count) {
        return fail_at(err, ERR_LIMIT, line0,
                       "document contains excessive aliasing or too many nodes");
    }
    b->node_count += more;
    return ERR_OK;
}

static enum err_code node_new(struct builder *b, const yaml_event_t *event, enum yaml_kind kind,
                              struct yaml_node **out, struct err *err) {
    const enum err_code code = count_nodes(b, 1, event->start_mark.line, err);
    if (code != ERR_OK) {
        return code;
    }
    struct yaml_node *node = arena_try_alloc(b->arena, 1, sizeof(*node));
    if (node == NULL) {
        return fail_memory(err);
    }
    *node = (struct yaml_node){
        .kind = kind,
        .line = (int)event->start_mark.line + 1,
        .column = (int)event->start_mark.column + 1,
        .text = STR(""),
        .tag = STR(""),
    };
    *out = node;
    return ERR_OK;
}

/* Adds a finished or just opened node to the innermost open level, or makes it the root. */
static void attach(struct builder *b, struct yaml_node *node, unsigned height) {
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    if (b->item_count == b->item_capacity) {
        b->item_capacity = mem_grow(b->item_capacity, b->item_count + 1);
        b->items = mem_resize(b->items, b->item_capacity, sizeof(struct yaml_node *));
    }
    b->items[b->item_count++] = node;
    struct level *level = &b->levels[b->depth - 1];
    if (level->height < height + 1) {
        level->height = height + 1;
    }
}

static enum err_code read_scalar(struct builder *b, const yaml_event_t *event, struct err *err) {
    struct yaml_node *node = NULL;
    struct anchor *anchor = NULL;
    enum err_code code = node_new(b, event, YAML_SCALAR, &node, err);
    if (code == ERR_OK) {
        code = copy_text(b, event->data.scalar.value, event->data.scalar.length, &node->text, err);
    }
    if (code == ERR_OK) {
        code = copy_tag(b, event->data.scalar.tag, &node->tag, err);
    }
    if (code == ERR_OK) {
        code = anchor_add(b, event->data.scalar.anchor, node, &anchor, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    node->plain = event->data.scalar.plain_implicit != 0;
    if (anchor != NULL) {
        anchor->node_count = 1;
    }
    attach(b, node, 0);
    return ERR_OK;
}

static enum err_code open_level(struct builder *b, const yaml_event_t *event, struct err *err) {
    const bool is_map = event->type == YAML_MAPPING_START_EVENT;
    if (b->depth == YAML_DEPTH_MAX) {
        return fail_at(err, ERR_LIMIT, event->start_mark.line, "exceeded max depth of 64");
    }
    struct yaml_node *node = NULL;
    struct anchor *anchor = NULL;
    const size_t nodes_above = b->node_count;
    enum err_code code = node_new(b, event, is_map ? YAML_MAPPING : YAML_SEQUENCE, &node, err);
    if (code == ERR_OK) {
        code = copy_tag(b, is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag,
                        &node->tag, err);
    }
    if (code == ERR_OK) {
        code = anchor_add(
            b, is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, node,
            &anchor, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    node->flow = is_map ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                        : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    b->levels[b->depth++] = (struct level){
        .node = node,
        .anchor = anchor,
        .first_item = b->item_count,
        .nodes_above = nodes_above,
    };
    return ERR_OK;
}

static enum err_code close_level(struct builder *b, struct err *err) {
    const struct level level = b->levels[b->depth - 1];
    const size_t count = b->item_count - level.first_item;
    level.node->items = arena_try_alloc(b->arena, count + 1, sizeof(struct yaml_node *));
    if (level.node->items == NULL) {
        return fail_memory(err);
    }
    if (count != 0) {
        memcpy(level.node->items, b->items + level.first_item, count * sizeof(struct yaml_node *));
    }
    level.node->count = count;
    if (level.anchor != NULL) {
        level.anchor->node_count = b->node_count - level.nodes_above;
        level.anchor->height = level.height;
    }
    b->item_count = level.first_item;
    b->depth--;
    attach(b, level.node, level.height);
    return ERR_OK;
}

static enum err_code read_alias(struct builder *b, const yaml_event_t *event, struct err *err) {
    const struct str name = str_of((const char *)event->data.alias.anchor);
    const struct anchor *anchor = anchor_find(b, name);
    if (anchor == NULL) {
        return err_set(err, ERR_INVALID, "yaml: unknown anchor '%.*s' referenced", STR_ARG(name));
    }
    if (anchor->node_count == 0) {
        return err_set(err, ERR_INVALID, "yaml: anchor '%.*s' value contains itself",
                       STR_ARG(name));
    }
    if (b->depth + anchor->height > YAML_DEPTH_MAX) {
        return fail_at(err, ERR_LIMIT, event->start_mark.line, "exceeded max depth of 64");
    }
    const enum err_code code = count_nodes(b, anchor->node_count, event->start_mark.line, err);
    if (code == ERR_OK) {
        attach(b, anchor->node, anchor->height);
    }
    return code;
}

static enum err_code read_event(struct builder *b, const yaml_event_t *event, struct err *err) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(b, event, err);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return open_level(b, event, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_level(b, err);
    case YAML_ALIAS_EVENT:
        return read_alias(b, event, err);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return ERR_OK;
}

/* Reads to the end of the first document, or of the stream. */
static enum err_code read_document(struct builder *b, struct err *err) {
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            return fail_parser(&b->parser, err);
        }
        const enum err_code code = read_event(b, &event, err);
        const bool end =
            event.type == YAML_DOCUMENT_END_EVENT || event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (code != ERR_OK || end) {
            return code;
        }
    }
}

static enum err_code another_follows(struct builder *b, bool *out, struct err *err) {
    yaml_event_t event;
    if (b->root == NULL) {
        *out = false;
        return ERR_OK;
    }
    if (!yaml_parser_parse(&b->parser, &event)) {
        return fail_parser(&b->parser, err);
    }
    *out = event.type == YAML_DOCUMENT_START_EVENT;
    yaml_event_delete(&event);
    return ERR_OK;
}

static enum err_code check_text(struct str text, struct err *err) {
    if (text.len > YAML_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "yaml: document of %zu bytes is larger than %d", text.len,
                       YAML_TEXT_MAX);
    }
    size_t directives = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%' && (i == 0 || text.ptr[i - 1] == '\n' || text.ptr[i - 1] == '\r') &&
            ++directives > YAML_DIRECTIVES_MAX) {
            return err_set(err, ERR_LIMIT, "yaml: too many directives");
        }
    }
    return ERR_OK;
}

enum err_code yaml_parse(struct arena *arena, struct str text, struct yaml_node **out,
                         bool *out_more, struct err *err) {
    enum err_code code = check_text(text, err);
    if (code != ERR_OK) {
        return code;
    }
    struct builder *b = mem_zalloc(sizeof(*b));
    b->arena = arena;
    bool more = false;
    if (!yaml_parser_initialize(&b->parser)) {
        code = fail_memory(err);
        goto out;
    }
    yaml_parser_set_input_string(&b->parser,
                                 (const yaml_char_t *)(text.ptr != NULL ? text.ptr : ""), text.len);
    code = read_document(b, err);
    if (code == ERR_OK && out_more != NULL) {
        code = another_follows(b, &more, err);
    }
    if (code == ERR_OK) {
        *out = b->root;
        if (out_more != NULL) {
            *out_more = more;
        }
    }
out:
    yaml_parser_delete(&b->parser);
    mem_free(b->items);
    mem_free(b);
    return code;
}

bool yaml_is_null(const struct yaml_node *node) {
    return node == NULL || (node->kind == YAML_SCALAR && yaml_resolve(node).type == YAML_TYPE_NULL);
}

struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key) {
    if (mapping == NULL || mapping->kind != YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i + 1 < mapping->count; i += 2) {
        const struct yaml_node *name = mapping->items[i];
        if (name->kind == YAML_SCALAR && str_eq(name->text, str_of(key))) {
            return mapping->items[i + 1];
        }
    }
    return NULL;
}

/* ---- writing ---- */

struct formatter {
    yaml_emitter_t emitter;
    struct buf *to;
    bool failed;
};

static int write_chunk(void *ctx, unsigned char *bytes, size_t n) {
    struct buf *to = ctx;
    buf_append(to, bytes, n);
    return buf_ok(to) ? 1 : 0;
}

/* The emitter owns the event from here on, also when it fails. */
static void emit(struct formatter *f, int initialized, yaml_event_t *event) {
    if (!initialized) {
        f->failed = true;
        return;
    }
    if (f->failed) {
        yaml_event_delete(event);
    } else if (!yaml_emitter_emit(&f->emitter, event)) {
        f->failed = true;
    }
}

static void base64_encode(struct buf *to, struct str bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        const struct str group = str_sub(bytes, i, 3);
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) {
            bits = bits << 8 | (k < group.len ? (uint8_t)group.ptr[k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_append_char(to, k <= group.len ? digits[bits >> (18 - 6 * k) & 63] : '=');
        }
    }
}

static void format_scalar(struct formatter *f, const struct yaml_node *node) {
    yaml_event_t event;
    /* an empty plain scalar would get quotes in brackets and stop being null */
    struct str text = node->plain && node->text.len == 0 ? STR("null") : node->text;
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    const char *tag = NULL;
    struct buf encoded;
    buf_init(&encoded, YAML_TEXT_MAX);
    if (!utf8_valid(text)) {
        base64_encode(&encoded, text);
        text = buf_str(&encoded);
        tag = "tag:yaml.org,2002:binary";
    }
    if (memchr(text.len != 0 ? text.ptr : "", '\n', text.len) != NULL) {
        style = YAML_LITERAL_SCALAR_STYLE;
    } else if (!node->plain && tag == NULL && yaml_needs_quotes(text)) {
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    }
    emit(f,
         yaml_scalar_event_initialize(&event, NULL, (const yaml_char_t *)tag,
                                      (const yaml_char_t *)(text.ptr != NULL ? text.ptr : ""),
                                      (int)text.len, tag == NULL, tag == NULL, style),
         &event);
    buf_release(&encoded);
}

/* Depth is bounded: the trees are yaml_parse's or our own. */
static void format_node(struct formatter *f, const struct yaml_node *node) {
    yaml_event_t event;
    switch (node->kind) {
    case YAML_SCALAR:
        format_scalar(f, node);
        return;
    case YAML_SEQUENCE:
        emit(f,
             yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                                  node->flow ? YAML_FLOW_SEQUENCE_STYLE
                                                             : YAML_BLOCK_SEQUENCE_STYLE),
             &event);
        break;
    case YAML_MAPPING:
        emit(f,
             yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                                 node->flow ? YAML_FLOW_MAPPING_STYLE
                                                            : YAML_BLOCK_MAPPING_STYLE),
             &event);
        break;
    }
    for (size_t i = 0; i < node->count; i++) {
        format_node(f, node->items[i]);
    }
    if (node->kind == YAML_SEQUENCE) {
        emit(f, yaml_sequence_end_event_initialize(&event), &event);
    } else {
        emit(f, yaml_mapping_end_event_initialize(&event), &event);
    }
}

enum err_code yaml_format(struct buf *to, const struct yaml_node *root, struct err *err) {
    struct formatter f = {.to = to};
    yaml_event_t event;
    if (!yaml_emitter_initialize(&f.emitter)) {
        return fail_memory(err);
    }
    yaml_emitter_set_output(&f.emitter, write_chunk, to);
    yaml_emitter_set_unicode(&f.emitter, 1);
    emit(&f, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);
    emit(&f, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event);
    format_node(&f, root);
    emit(&f, yaml_document_end_event_initialize(&event, 1), &event);
    emit(&f, yaml_stream_end_event_initialize(&event), &event);
    if (!f.failed && !yaml_emitter_flush(&f.emitter)) {
        f.failed = true;
    }
    const bool bad_text = f.failed && f.emitter.error == YAML_EMITTER_ERROR;
    yaml_emitter_delete(&f.emitter);
    if (bad_text) {
        return err_set(err, ERR_INVALID, "yaml: cannot write the document");
    }
    return f.failed || !buf_ok(to) ? err_set(err, ERR_LIMIT, "yaml: text is too large") : ERR_OK;
}
