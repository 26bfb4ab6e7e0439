#include "config_relabel.h"

#include "base/utf8.h"

/* ---- fields with forms of their own ---- */

static enum err_code names_bind(struct binder *b, const struct yaml_node *node, void *field,
                                struct err *err) {
    struct name_list *list = field;
    *list = (struct name_list){.set = !yaml_is_null(node)};
    const enum err_code code =
        bind_strings(b, node, "model.LabelNames", "string", &list->names, &list->count, err);
    for (size_t i = 0; code == ERR_OK && i < list->count; i++) {
        if (list->names[i].len == 0 || !utf8_valid(list->names[i])) {
            return err_set(err, ERR_INVALID, "%s is not a valid label name",
                           bind_quote(b->arena, list->names[i]));
        }
    }
    return code;
}

static struct yaml_node *names_print(struct arena *arena, const void *field) {
    const struct name_list *list = field;
    if (list->count == 0) {
        return NULL;
    }
    struct yaml_node *node = print_strs(arena, list->names, list->count);
    node->flow = true;
    return node;
}

static const struct bind_custom names_custom = {.bind = names_bind, .print = names_print};

static void regex_release(void *regex) {
    regex_free(regex);
}

static enum err_code regex_compile(struct binder *b, struct str pattern, struct regex **out,
                                   struct err *err) {
    const enum err_code code = regex_new(pattern, REGEX_ANCHORED, out, err);
    if (code == ERR_OK) {
        arena_link(b->arena, regex_release, *out);
    }
    return code;
}

/* null is the empty expression, not the default one. */
static enum err_code regex_bind(struct binder *b, const struct yaml_node *node, void *field,
                                struct err *err) {
    struct regex_option *option = field;
    struct str pattern;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "string", &pattern, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    option->set = true;
    return regex_compile(b, pattern, &option->regex, err);
}

static struct yaml_node *regex_print(struct arena *arena, const void *field) {
    const struct regex_option *option = field;
    return option->set ? print_str(arena, regex_pattern(option->regex)) : NULL;
}

static const struct bind_custom regex_custom = {.bind = regex_bind, .print = regex_print};

static enum err_code action_bind(struct binder *b, const struct yaml_node *node, void *field,
                                 struct err *err) {
    struct action_option *option = field;
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "string", &text, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    option->empty = yaml_is_null(node);
    return option->empty ? ERR_OK : relabel_action_parse(text, &option->action, err);
}

static struct yaml_node *action_print(struct arena *arena, const void *field) {
    const struct action_option *option = field;
    return print_str(arena, str_of(relabel_action_name(option->action)));
}

static const struct bind_custom action_custom = {.bind = action_bind, .print = action_print};

/* ---- rules ---- */

static const struct bind_field relabel_fields[] = {
    BIND_OWN("source_labels", relabel_options, source_labels, &names_custom),
    BIND_ALWAYS(BIND_STR, "separator", relabel_options, separator),
    BIND_OWN("regex", relabel_options, regex, &regex_custom),
    BIND_AT(BIND_UINT64, "modulus", relabel_options, modulus),
    BIND_AT(BIND_STR, "target_label", relabel_options, target_label),
    BIND_ALWAYS(BIND_STR, "replacement", relabel_options, replacement),
    BIND_OWN("action", relabel_options, action, &action_custom),
};

static void relabel_defaults(void *self) {
    struct relabel_options *options = self;
    *options = (struct relabel_options){
        .separator = STR(";"),
        .replacement = STR("$1"),
        .action.action = RELABEL_REPLACE,
    };
}

const struct bind_table relabel_options_table = {
    .type_name = "relabel.plain",
    .list_name = "[]*relabel.Config",
    .size = sizeof(struct relabel_options),
    .fields = relabel_fields,
    .field_count = COUNT_OF(relabel_fields),
    .null_offset = offsetof(struct relabel_options, is_null),
    .defaults = relabel_defaults,
};

enum err_code relabel_list_check_null(const struct relabel_list *list, const char *text,
                                      struct err *err) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].is_null) {
            return err_set(err, ERR_INVALID, "%s", text);
        }
    }
    return ERR_OK;
}

static enum err_code rule_make(struct binder *b, const struct relabel_options *options,
                               enum name_scheme scheme, struct relabel_rule *out, struct err *err) {
    if (options->action.empty) {
        return err_set(err, ERR_INVALID, "relabel action cannot be empty");
    }
    *out = (struct relabel_rule){
        .action = options->action.action,
        .source_labels = options->source_labels.names,
        .source_count = options->source_labels.count,
        .separator = options->separator,
        .regex = options->regex.regex,
        .modulus = options->modulus,
        .target_label = options->target_label,
        .replacement = options->replacement,
        .scheme = scheme,
        .has_source_labels = options->source_labels.set,
        .has_regex = options->regex.set,
    };
    if (!options->regex.set) {
        if (b->default_regex == NULL) {
            const enum err_code code = regex_compile(b, STR("(.*)"), &b->default_regex, err);
            if (code != ERR_OK) {
                return code;
            }
        }
        out->regex = b->default_regex;
    }
    return relabel_rule_check(out, err);
}

enum err_code relabel_list_convert(struct binder *b, const struct relabel_list *list,
                                   enum name_scheme scheme, struct relabel_rules *out,
                                   struct err *err) {
    struct relabel_rule *rules = bind_alloc(b, list->count, sizeof(*rules), err);
    if (rules == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < list->count; i++) {
        const enum err_code code = rule_make(b, &list->items[i], scheme, &rules[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = (struct relabel_rules){rules, list->count};
    return ERR_OK;
}
