/* Two passes over the YAML tree, as in Prometheus: binding (types, unknown keys, durations), whose
 * errors end the file, then the rules' own checks, whose errors are all collected. */
#include "alert/rule_file.h"

#include <stdlib.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/yaml_node.h"
#include "base/yaml_scalar.h"
#include "query/query.h"

enum { TYPE_ERRORS_MAX = 32 };

struct loader {
    struct arena *arena;
    struct query_engine *engine;
    struct str file;
    rule_error_fn *on_error;
    void *ctx;
    struct str fatal;       /* an error of a duration: the only one of its file */
    struct buf type_errors; /* "\n  line N: ..." */
    size_t type_error_count;
    bool any_fields;
    bool failed;
};

/* where a rule's fields stand, for error texts; NULL when absent */
struct rule_nodes {
    const struct yaml_node *record, *alert, *expr;
};

/* What has no name is told of without one. */
static void report(struct loader *l, struct str text) {
    const bool named = l->file.len != 0;
    l->failed = true;
    l->on_error(l->ctx, named
                            ? arena_printf(l->arena, "%.*s: %.*s", STR_ARG(l->file), STR_ARG(text))
                            : text);
}

/* ---- binding ---- */

static void type_error(struct loader *l, const struct yaml_node *node, struct str text) {
    if (l->type_error_count++ < TYPE_ERRORS_MAX) {
        buf_printf(&l->type_errors, "\n  line %d: %.*s", node->line, STR_ARG(text));
    }
}

static void mismatch(struct loader *l, const struct yaml_node *node, const char *into) {
    if (node->kind != YAML_SCALAR) {
        type_error(
            l, node,
            arena_printf(l->arena, "cannot unmarshal %s into %s", yaml_tag_name(node), into));
        return;
    }
    const bool cut = node->text.len > 10;
    const struct str shown = cut ? str_sub(node->text, 0, 7) : node->text;
    type_error(l, node,
               arena_printf(l->arena, "cannot unmarshal %s `%.*s%s` into %s", yaml_tag_name(node),
                            STR_ARG(shown), cut ? "..." : "", into));
}

static struct str bind_string(struct loader *l, const struct yaml_node *node) {
    struct str text = STR("");
    if (node->kind != YAML_SCALAR) {
        mismatch(l, node, "string");
    } else if (!yaml_is_null(node) && yaml_string(l->arena, node, &text, NULL) != ERR_OK) {
        mismatch(l, node, "string");
    }
    if (text.len > LABEL_STRING_MAX) {
        type_error(l, node,
                   arena_printf(l->arena, "string is longer than %d bytes", LABEL_STRING_MAX));
        text = STR("");
    }
    return text;
}

static int64_t bind_duration_ms(struct loader *l, const struct yaml_node *node) {
    const struct str text = bind_string(l, node);
    int64_t ms = 0;
    struct err err;
    if (node->kind == YAML_SCALAR && !yaml_is_null(node) &&
        duration_parse_ms(text, &ms, &err) != ERR_OK) {
        l->fatal = l->fatal.len == 0 ? arena_str(l->arena, str_of(err.text)) : l->fatal;
    }
    return ms;
}

static int64_t bind_int(struct loader *l, const struct yaml_node *node) {
    if (yaml_is_null(node)) {
        return 0;
    }
    if (node->kind == YAML_SCALAR) {
        const struct yaml_value value = yaml_resolve(node);
        if (value.type == YAML_TYPE_INT) {
            return value.as.i;
        }
    }
    mismatch(l, node, "int");
    return 0;
}

static int by_key(const void *a, const void *b) {
    const struct yaml_node *x = *(struct yaml_node *const *)a;
    const struct yaml_node *y = *(struct yaml_node *const *)b;
    const int c = str_cmp(x->text, y->text);
    return c != 0 ? c : (x->line != y->line ? x->line - y->line : x->column - y->column);
}

/* A key that is there twice spoils its whole mapping. */
static bool keys_unique(struct loader *l, const struct yaml_node *mapping) {
    const size_t n = mapping->count / 2;
    struct yaml_node **keys = arena_alloc(l->arena, (n + 1) * sizeof(struct yaml_node *));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (mapping->items[2 * i]->kind == YAML_SCALAR) {
            keys[count++] = mapping->items[2 * i];
        }
    }
    qsort(keys, count, sizeof(struct yaml_node *), by_key);
    bool unique = true;
    for (size_t first = 0, i = 1; i < count; i++) {
        if (!str_eq(keys[first]->text, keys[i]->text)) {
            first = i;
            continue;
        }
        unique = false;
        struct buf quoted;
        buf_init(&quoted, ERR_TEXT_MAX);
        utf8_quote(&quoted, keys[i]->text);
        type_error(l, keys[i],
                   arena_printf(l->arena, "mapping key %.*s already defined at line %d",
                                STR_ARG(buf_str(&quoted)), keys[first]->line));
        buf_release(&quoted);
    }
    return unique;
}

/* A string map, in document order. */
static struct label *bind_map(struct loader *l, const struct yaml_node *node, size_t *out_count) {
    *out_count = 0;
    if (yaml_is_null(node)) {
        return NULL;
    }
    if (node->kind != YAML_MAPPING) {
        mismatch(l, node, "map[string]string");
        return NULL;
    }
    if (!keys_unique(l, node)) {
        return NULL;
    }
    struct label *pairs = arena_alloc(l->arena, (node->count / 2 + 1) * sizeof(*pairs));
    for (size_t i = 0; i + 1 < node->count; i += 2) {
        pairs[(*out_count)++] =
            (struct label){bind_string(l, node->items[i]), bind_string(l, node->items[i + 1])};
    }
    return pairs;
}

/* Calls bind per key of a mapping; false from it means an unknown field. */
typedef bool bind_key_fn(struct loader *l, void *self, struct str key,
                         const struct yaml_node *value);

static void bind_mapping(struct loader *l, const struct yaml_node *node, const char *type,
                         bind_key_fn *bind, void *self) {
    if (yaml_is_null(node)) {
        return;
    }
    if (node->kind != YAML_MAPPING) {
        mismatch(l, node, type);
        return;
    }
    if (!keys_unique(l, node)) {
        return;
    }
    for (size_t i = 0; i + 1 < node->count; i += 2) {
        const struct str key = bind_string(l, node->items[i]);
        if (!bind(l, self, key, node->items[i + 1]) && !l->any_fields) {
            type_error(
                l, node->items[i],
                arena_printf(l->arena, "field %.*s not found in type %s", STR_ARG(key), type));
        }
    }
}

struct raw_rule {
    struct rule_nodes nodes;
    struct str record, alert, expr;
    int64_t for_ms, keep_firing_for_ms;
    struct label *labels, *annotations;
    size_t label_count, annotation_count;
};

struct raw_group {
    struct str name;
    int64_t interval_ms, query_offset_ms, limit;
    struct label *labels;
    size_t label_count;
    struct raw_rule *rules;
    size_t rule_count;
};

struct raw_file {
    struct raw_group *groups;
    size_t group_count;
};

static bool bind_rule_key(struct loader *l, void *self, struct str key,
                          const struct yaml_node *value) {
    struct raw_rule *r = self;
    if (str_eq(key, STR("record"))) {
        r->record = bind_string(l, value);
        r->nodes.record = value;
    } else if (str_eq(key, STR("alert"))) {
        r->alert = bind_string(l, value);
        r->nodes.alert = value;
    } else if (str_eq(key, STR("expr"))) {
        r->expr = bind_string(l, value);
        r->nodes.expr = value;
    } else if (str_eq(key, STR("for"))) {
        r->for_ms = bind_duration_ms(l, value);
    } else if (str_eq(key, STR("keep_firing_for"))) {
        r->keep_firing_for_ms = bind_duration_ms(l, value);
    } else if (str_eq(key, STR("labels"))) {
        r->labels = bind_map(l, value, &r->label_count);
    } else if (str_eq(key, STR("annotations"))) {
        r->annotations = bind_map(l, value, &r->annotation_count);
    } else {
        return false;
    }
    return true;
}

static void bind_rules(struct loader *l, struct raw_group *g, const struct yaml_node *node) {
    if (yaml_is_null(node)) {
        return;
    }
    if (node->kind != YAML_SEQUENCE) {
        mismatch(l, node, "[]rulefmt.Rule");
        return;
    }
    g->rules = arena_zalloc(l->arena, (node->count + 1) * sizeof(*g->rules));
    g->rule_count = node->count;
    for (size_t i = 0; i < node->count; i++) {
        bind_mapping(l, node->items[i], "rulefmt.Rule", bind_rule_key, &g->rules[i]);
    }
}

static bool bind_group_key(struct loader *l, void *self, struct str key,
                           const struct yaml_node *value) {
    struct raw_group *g = self;
    if (str_eq(key, STR("name"))) {
        g->name = bind_string(l, value);
    } else if (str_eq(key, STR("interval"))) {
        g->interval_ms = bind_duration_ms(l, value);
    } else if (str_eq(key, STR("query_offset"))) {
        g->query_offset_ms = bind_duration_ms(l, value);
    } else if (str_eq(key, STR("limit"))) {
        g->limit = bind_int(l, value);
    } else if (str_eq(key, STR("labels"))) {
        g->labels = bind_map(l, value, &g->label_count);
    } else if (str_eq(key, STR("rules"))) {
        bind_rules(l, g, value);
    } else {
        return false;
    }
    return true;
}

static bool bind_file_key(struct loader *l, void *self, struct str key,
                          const struct yaml_node *value) {
    struct raw_file *f = self;
    if (!str_eq(key, STR("groups"))) {
        return false;
    }
    if (yaml_is_null(value)) {
        return true;
    }
    if (value->kind != YAML_SEQUENCE) {
        mismatch(l, value, "[]rulefmt.RuleGroup");
        return true;
    }
    f->groups = arena_zalloc(l->arena, (value->count + 1) * sizeof(*f->groups));
    f->group_count = value->count;
    for (size_t i = 0; i < value->count; i++) {
        f->groups[i].query_offset_ms = -1;
        bind_mapping(l, value->items[i], "rulefmt.RuleGroup", bind_group_key, &f->groups[i]);
    }
    return true;
}

/* ---- checks ---- */

struct place {
    struct loader *l;
    const struct raw_group *group;
    size_t number; /* of the rule, 1-based */
    const struct raw_rule *rule;
};

static struct str position(struct arena *arena, const struct yaml_node *node) {
    return arena_printf(arena, "%d:%d: ", node != NULL ? node->line : 0,
                        node != NULL ? node->column : 0);
}

static struct str rule_title(const struct place *p) {
    const struct str name = p->rule->alert.len != 0 ? p->rule->alert : p->rule->record;
    return arena_printf(p->l->arena,
                        "group \"%.*s\", rule %zu, \"%.*s\": ", STR_ARG(p->group->name), p->number,
                        STR_ARG(name));
}

static void rule_error(const struct place *p, struct str positions, struct str text) {
    report(p->l, arena_printf(p->l->arena, "%.*s%.*s%.*s", STR_ARG(positions),
                              STR_ARG(rule_title(p)), STR_ARG(text)));
}

static void check_kind(const struct place *p) {
    const struct raw_rule *r = p->rule;
    struct arena *arena = p->l->arena;
    const struct str both =
        arena_printf(arena, "%.*s%.*s", STR_ARG(position(arena, r->nodes.record)),
                     STR_ARG(position(arena, r->nodes.alert)));
    if (r->record.len != 0 && r->alert.len != 0) {
        rule_error(p, both, STR("only one of 'record' and 'alert' must be set"));
    }
    if (r->record.len == 0 && r->alert.len == 0) {
        rule_error(p, both, STR("one of 'record' or 'alert' must be set"));
    }
}

static struct str check_expr(const struct place *p) {
    const struct raw_rule *r = p->rule;
    struct arena *arena = p->l->arena;
    if (r->expr.len == 0) {
        rule_error(p, position(arena, r->nodes.expr), STR("field 'expr' must be set in rule"));
        return STR("");
    }
    struct query_expr *expr = NULL;
    struct err err;
    if (query_parse(p->l->engine, arena, r->expr, &expr, &err) != ERR_OK) {
        rule_error(p, position(arena, r->nodes.expr),
                   arena_printf(arena, "could not parse expression: %s", err.text));
        return STR("");
    }
    return query_print(arena, expr);
}

static void check_recording(const struct place *p) {
    const struct raw_rule *r = p->rule;
    struct arena *arena = p->l->arena;
    const struct str at = position(arena, r->nodes.record);
    if (r->annotation_count != 0) {
        rule_error(p, at, STR("invalid field 'annotations' in recording rule"));
    }
    if (r->for_ms != 0) {
        rule_error(p, at, STR("invalid field 'for' in recording rule"));
    }
    if (r->keep_firing_for_ms != 0) {
        rule_error(p, at, STR("invalid field 'keep_firing_for' in recording rule"));
    }
    if (!metric_name_valid(r->record, NAMES_UTF8)) {
        rule_error(p, at,
                   arena_printf(arena, "invalid recording rule name: %.*s", STR_ARG(r->record)));
    }
    if (str_find_char(r->record, '{') >= 0 || str_find_char(r->record, '}') >= 0) {
        rule_error(
            p, at,
            arena_printf(arena,
                         "braces present in the recording rule name; should it be in expr?: %.*s",
                         STR_ARG(r->record)));
    }
}

static void check_labels(const struct place *p) {
    const struct raw_rule *r = p->rule;
    struct arena *arena = p->l->arena;
    for (size_t i = 0; i < r->label_count; i++) {
        if (!label_name_valid(r->labels[i].name, NAMES_UTF8) ||
            str_eq(r->labels[i].name, LABEL_NAME)) {
            rule_error(p, STR(""),
                       arena_printf(arena, "invalid label name: %.*s", STR_ARG(r->labels[i].name)));
        }
        if (!utf8_valid(r->labels[i].value)) {
            rule_error(
                p, STR(""),
                arena_printf(arena, "invalid label value: %.*s", STR_ARG(r->labels[i].value)));
        }
    }
    for (size_t i = 0; i < r->annotation_count; i++) {
        if (!label_name_valid(r->annotations[i].name, NAMES_UTF8)) {
            rule_error(p, STR(""),
                       arena_printf(arena, "invalid annotation name: %.*s",
                                    STR_ARG(r->annotations[i].name)));
        }
    }
}

static struct rule_template *parse_templates(struct arena *arena, struct str template_name,
                                             const struct label *pairs, size_t count) {
    struct rule_template *list = arena_zalloc(arena, (count + 1) * sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct rule_template){.name = pairs[i].name, .text = pairs[i].value};
        struct err err;
        if (str_find(pairs[i].value, STR("{{")) >= 0 &&
            template_parse(arena, template_name, pairs[i].value, &list[i].parsed, &err) != ERR_OK) {
            list[i].parse_error = arena_str(arena, str_of(err.text));
        }
    }
    return list;
}

/* Errors of the rule's own labels and annotations; the parser's own message alone. */
static void check_templates(const struct place *p, const char *what,
                            const struct rule_template *list, size_t count, const struct label *own,
                            size_t own_count) {
    for (size_t i = 0; i < own_count; i++) {
        size_t at = 0;
        while (at < count && !str_eq(list[at].name, own[i].name)) {
            at++;
        }
        if (at == count || list[at].parse_error.len == 0) {
            continue;
        }
        const struct str text = list[at].parse_error;
        const ptrdiff_t start = str_find(text, STR(": template: "));
        rule_error(p, STR(""),
                   arena_printf(p->l->arena, "%s \"%.*s\": %.*s", what, STR_ARG(own[i].name),
                                STR_ARG(str_from(text, start < 0 ? 0 : (size_t)start + 2))));
    }
}

/* Group labels overlaid by the rule's own. */
static struct label *overlay(struct arena *arena, const struct raw_group *g,
                             const struct raw_rule *r, size_t *out_count) {
    struct label *all = arena_alloc(arena, (g->label_count + r->label_count + 1) * sizeof(*all));
    size_t count = 0;
    for (size_t i = 0; i < g->label_count; i++) {
        bool overridden = false;
        for (size_t k = 0; k < r->label_count; k++) {
            overridden = overridden || str_eq(g->labels[i].name, r->labels[k].name);
        }
        if (!overridden) {
            all[count++] = g->labels[i];
        }
    }
    for (size_t i = 0; i < r->label_count; i++) {
        all[count++] = r->labels[i];
    }
    *out_count = count;
    return all;
}

static void check_rule(const struct place *p, struct rule *out) {
    const struct raw_rule *r = p->rule;
    struct arena *arena = p->l->arena;
    check_kind(p);
    out->expr = check_expr(p);
    out->alerting = r->record.len == 0;
    out->name = out->alerting ? r->alert : r->record;
    out->for_ms = r->for_ms;
    out->keep_firing_for_ms = r->keep_firing_for_ms;
    if (!out->alerting) {
        check_recording(p);
    }
    check_labels(p);
    size_t label_count = 0;
    struct label *labels = overlay(arena, p->group, r, &label_count);
    if (r->alert.len != 0) {
        const struct str name = arena_printf(arena, "__alert_%.*s", STR_ARG(r->alert));
        out->label_templates = parse_templates(arena, name, labels, label_count);
        out->label_count = label_count;
        out->annotation_templates =
            parse_templates(arena, name, r->annotations, r->annotation_count);
        out->annotation_count = r->annotation_count;
        check_templates(p, "label", out->label_templates, label_count, r->labels, r->label_count);
        check_templates(p, "annotation", out->annotation_templates, r->annotation_count,
                        r->annotations, r->annotation_count);
    }
    out->labels = labels_of(arena, labels, label_count);
    out->annotations = labels_of(arena, r->annotations, r->annotation_count);
}

static void check_group(struct loader *l, const struct raw_file *f, size_t at,
                        struct rule_group_spec *out) {
    const struct raw_group *g = &f->groups[at];
    if (g->name.len == 0) {
        report(l, STR("0:0: Groupname must not be empty"));
    }
    for (size_t i = 0; i < at; i++) {
        if (str_eq(f->groups[i].name, g->name)) {
            report(l,
                   arena_printf(l->arena, "0:0: groupname: \"%.*s\" is repeated in the same file",
                                STR_ARG(g->name)));
            break;
        }
    }
    for (size_t i = 0; i < g->label_count; i++) {
        if (!label_name_valid(g->labels[i].name, NAMES_UTF8) ||
            str_eq(g->labels[i].name, LABEL_NAME)) {
            report(l,
                   arena_printf(l->arena, "invalid label name: %.*s", STR_ARG(g->labels[i].name)));
        }
    }
    *out = (struct rule_group_spec){
        .name = g->name,
        .file = l->file,
        .interval_ms = g->interval_ms,
        .query_offset_ms = g->query_offset_ms,
        .limit = g->limit,
        .rules = arena_zalloc(l->arena, (g->rule_count + 1) * sizeof(struct rule)),
        .rule_count = g->rule_count,
    };
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct place place = {l, g, i + 1, &g->rules[i]};
        check_rule(&place, &out->rules[i]);
    }
}

static void parse_into(struct loader *l, struct str text, struct rule_group_spec **out,
                       size_t *out_count, bool *out_more) {
    struct yaml_node *root = NULL;
    struct err err;
    if (yaml_parse(l->arena, text, &root, out_more, &err) != ERR_OK) {
        report(l, arena_str(l->arena, str_of(err.text)));
        return;
    }
    struct raw_file file = {.group_count = 0};
    if (root != NULL) {
        bind_mapping(l, root, "rulefmt.RuleGroups", bind_file_key, &file);
    }
    if (l->fatal.len != 0) {
        report(l, l->fatal);
        return;
    }
    if (l->type_error_count != 0) {
        report(l, arena_printf(l->arena, "yaml: unmarshal errors:%.*s",
                               STR_ARG(buf_str(&l->type_errors))));
        return;
    }
    struct rule_group_spec *groups =
        arena_zalloc(l->arena, (file.group_count + 1) * sizeof(*groups));
    for (size_t i = 0; i < file.group_count; i++) {
        check_group(l, &file, i, &groups[i]);
    }
    *out = groups;
    *out_count = file.group_count;
}

bool rule_file_parse_with(const struct rule_parsing *parsing, struct arena *arena, struct str name,
                          struct str text, rule_error_fn *on_error, void *ctx,
                          struct rule_group_spec **out, size_t *out_count, bool *out_more) {
    struct loader l = {.arena = arena,
                       .engine = parsing->engine,
                       .any_fields = parsing->any_fields,
                       .file = arena_str(arena, name),
                       .on_error = on_error,
                       .ctx = ctx};
    buf_init(&l.type_errors, (size_t)TYPE_ERRORS_MAX * ERR_TEXT_MAX);
    *out_count = 0;
    parse_into(&l, text, out, out_count, out_more);
    buf_release(&l.type_errors);
    return !l.failed;
}

bool rule_file_parse(struct arena *arena, struct query_engine *engine, struct str name,
                     struct str text, rule_error_fn *on_error, void *ctx,
                     struct rule_group_spec **out, size_t *out_count, bool *out_more) {
    const struct rule_parsing parsing = {.engine = engine};
    return rule_file_parse_with(&parsing, arena, name, text, on_error, ctx, out, out_count,
                                out_more);
}

bool rule_file_load_with(const struct rule_parsing *parsing, struct arena *arena, struct vfs *vfs,
                         const char *path, rule_error_fn *on_error, void *ctx,
                         struct rule_group_spec **out, size_t *out_count, bool *out_more) {
    char *text = NULL;
    size_t size = 0;
    struct err err;
    *out_count = 0;
    if (vfs_read_file(vfs, path, RULE_FILE_MAX_BYTES, &text, &size, &err) != ERR_OK) {
        on_error(ctx, arena_printf(arena, "%s: %s", path, err.text));
        return false;
    }
    /* the tree borrows the text: keep it as long as the arena */
    const struct str kept = arena_str(arena, (struct str){text, size});
    mem_free(text);
    return rule_file_parse_with(parsing, arena, str_of(path), kept, on_error, ctx, out, out_count,
                                out_more);
}

bool rule_file_load(struct arena *arena, struct query_engine *engine, struct vfs *vfs,
                    const char *path, rule_error_fn *on_error, void *ctx,
                    struct rule_group_spec **out, size_t *out_count, bool *out_more) {
    const struct rule_parsing parsing = {.engine = engine};
    return rule_file_load_with(&parsing, arena, vfs, path, on_error, ctx, out, out_count, out_more);
}
