#include "base/relabel.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/number.h"
#include "base/utf8.h"

static const char *const action_names[RELABEL_ACTION_COUNT] = {
    [RELABEL_REPLACE] = "replace",
    [RELABEL_KEEP] = "keep",
    [RELABEL_DROP] = "drop",
    [RELABEL_KEEP_EQUAL] = "keepequal",
    [RELABEL_DROP_EQUAL] = "dropequal",
    [RELABEL_HASHMOD] = "hashmod",
    [RELABEL_LABELMAP] = "labelmap",
    [RELABEL_LABELDROP] = "labeldrop",
    [RELABEL_LABELKEEP] = "labelkeep",
    [RELABEL_LOWERCASE] = "lowercase",
    [RELABEL_UPPERCASE] = "uppercase",
};

const char *relabel_action_name(enum relabel_action action) {
    ASSERT((unsigned)action < RELABEL_ACTION_COUNT);
    return action_names[action];
}

/* "<quoted text><rest>", as an error. */
static enum err_code quoted_error(struct err *err, const char *before, struct str text,
                                  const char *after) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, str_sub(text, 0, ERR_TEXT_MAX / 8));
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s%.*s%s", before, STR_ARG(buf_str(&quoted)), after);
    buf_release(&quoted);
    return code;
}

enum err_code relabel_action_parse(struct str text, enum relabel_action *out, struct err *err) {
    if (text.len == 0) {
        return err_set(err, ERR_INVALID, "relabel action cannot be empty");
    }
    for (int i = 0; i < RELABEL_ACTION_COUNT; i++) {
        if (str_eq_nocase(text, str_of(action_names[i]))) {
            *out = (enum relabel_action)i;
            return ERR_OK;
        }
    }
    return quoted_error(err, "unknown relabel action ", text, "");
}

/* validation */

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Bytes of a reference $name or ${name} at the start of text, or 0. */
static size_t reference_bytes(struct str text) {
    const bool braced = text.len > 1 && text.ptr[1] == '{';
    size_t n = braced ? 2 : 1;
    const size_t first = n;
    while (n < text.len && is_word(text.ptr[n])) {
        n++;
    }
    if (n == first || (braced && (n == text.len || text.ptr[n] != '}'))) {
        return 0;
    }
    return n + (braced ? 1 : 0);
}

/* A label name in which references may stand for any part. */
static bool template_valid(struct str text, enum name_scheme scheme) {
    if (scheme == NAMES_UTF8) {
        return label_name_valid(text, scheme);
    }
    for (size_t at = 0; at < text.len;) {
        const char c = text.ptr[at];
        const size_t n = c == '$' ? reference_bytes(str_from(text, at)) : is_word(c) ? 1 : 0;
        if (n == 0 || (at == 0 && c >= '0' && c <= '9')) {
            return false;
        }
        at += n;
    }
    return text.len > 0;
}

enum { USES_TARGET = 1, FIXED_TARGET = 2, NO_REPLACEMENT = 4, ONLY_SOURCE = 8, ONLY_REGEX = 16 };

static unsigned traits(enum relabel_action action) {
    static const uint8_t of[RELABEL_ACTION_COUNT] = {
        [RELABEL_REPLACE] = USES_TARGET,
        [RELABEL_KEEP_EQUAL] = USES_TARGET | FIXED_TARGET | NO_REPLACEMENT | ONLY_SOURCE,
        [RELABEL_DROP_EQUAL] = USES_TARGET | FIXED_TARGET | NO_REPLACEMENT | ONLY_SOURCE,
        [RELABEL_HASHMOD] = USES_TARGET | FIXED_TARGET,
        [RELABEL_LABELDROP] = ONLY_REGEX,
        [RELABEL_LABELKEEP] = ONLY_REGEX,
        [RELABEL_LOWERCASE] = USES_TARGET | FIXED_TARGET | NO_REPLACEMENT,
        [RELABEL_UPPERCASE] = USES_TARGET | FIXED_TARGET | NO_REPLACEMENT,
    };
    return of[action];
}

static bool target_valid(const struct relabel_rule *rule) {
    const bool is_template =
        rule->action == RELABEL_REPLACE && str_find_char(rule->target_label, '$') >= 0;
    return is_template ? template_valid(rule->target_label, rule->scheme)
                       : label_name_valid(rule->target_label, rule->scheme);
}

static bool plain_fields_default(const struct relabel_rule *rule) {
    return rule->modulus == 0 && str_eq(rule->separator, STR(";")) &&
           str_eq(rule->replacement, STR("$1"));
}

enum err_code relabel_rule_check(const struct relabel_rule *rule, struct err *err) {
    const char *action = relabel_action_name(rule->action);
    const unsigned t = traits(rule->action);
    char after[64];
    if (rule->action == RELABEL_HASHMOD && rule->modulus == 0) {
        return err_set(err, ERR_INVALID,
                       "relabel configuration for hashmod requires non-zero modulus");
    }
    if ((t & USES_TARGET) != 0 && rule->target_label.len == 0) {
        return err_set(err, ERR_INVALID,
                       "relabel configuration for %s action requires 'target_label' value", action);
    }
    if ((t & USES_TARGET) != 0 && rule->action != RELABEL_HASHMOD && !target_valid(rule)) {
        (void)snprintf(after, sizeof(after), " is invalid 'target_label' for %s action", action);
        return quoted_error(err, "", rule->target_label, after);
    }
    if ((t & NO_REPLACEMENT) != 0 && !str_eq(rule->replacement, STR("$1"))) {
        return err_set(err, ERR_INVALID, "'replacement' can not be set for %s action", action);
    }
    if (rule->action == RELABEL_LABELMAP && !template_valid(rule->replacement, rule->scheme)) {
        return quoted_error(err, "", rule->replacement,
                            " is invalid 'replacement' for labelmap action");
    }
    if (rule->action == RELABEL_HASHMOD && !target_valid(rule)) {
        return quoted_error(err, "", rule->target_label,
                            " is invalid 'target_label' for hashmod action");
    }
    if ((t & ONLY_SOURCE) != 0 && (rule->has_regex || !plain_fields_default(rule))) {
        return err_set(err, ERR_INVALID,
                       "%s action requires only 'source_labels' and `target_label`, and no other "
                       "fields",
                       action);
    }
    if ((t & ONLY_REGEX) != 0 &&
        (rule->has_source_labels || rule->target_label.len != 0 || !plain_fields_default(rule))) {
        return err_set(err, ERR_INVALID, "%s action requires only 'regex', and no other fields",
                       action);
    }
    return ERR_OK;
}

/* running */

/* The values of the source labels with the separator in between. */
static enum err_code join_sources(const struct relabel_rule *rule, struct labels_builder *b,
                                  struct str *out, struct err *err) {
    if (rule->source_count == 0) {
        *out = STR("");
        return ERR_OK;
    }
    if (rule->source_count == 1) {
        *out = labels_builder_get(b, rule->source_labels[0]);
        return ERR_OK;
    }
    size_t size = (rule->source_count - 1) * rule->separator.len;
    for (size_t i = 0; i < rule->source_count; i++) {
        size += labels_builder_get(b, rule->source_labels[i]).len;
    }
    char *text = size <= LABEL_STRING_MAX ? arena_try_alloc(b->arena, size, 1) : NULL;
    if (text == NULL) {
        return err_set(err, ERR_LIMIT, "relabelling: source labels of %zu bytes are too long",
                       size);
    }
    char *to = text;
    for (size_t i = 0; i < rule->source_count; i++) {
        const struct str value = labels_builder_get(b, rule->source_labels[i]);
        const struct str separator = i > 0 ? rule->separator : STR("");
        if (separator.len > 0) {
            memcpy(to, separator.ptr, separator.len);
        }
        if (value.len > 0) {
            memcpy(to + separator.len, value.ptr, value.len);
        }
        to += separator.len + value.len;
    }
    *out = (struct str){text, size};
    return ERR_OK;
}

/* The content of text in the arena; text is released. */
static enum err_code keep_text(struct labels_builder *b, struct buf *text, struct str *out,
                               struct err *err) {
    enum err_code code = ERR_OK;
    char *copy = buf_ok(text) ? arena_try_alloc(b->arena, text->len, 1) : NULL;
    if (copy == NULL) {
        code = err_set(err, ERR_LIMIT, "relabelling: a label gets too long");
    } else {
        if (text->len > 0) {
            memcpy(copy, text->ptr, text->len);
        }
        *out = (struct str){copy, text->len};
    }
    buf_release(text);
    return code;
}

/* A template filled from the match of value. Without references it stays what it is. */
static enum err_code fill(const struct relabel_rule *rule, struct labels_builder *b,
                          struct str value, struct str template_text, bool *out_matched,
                          struct str *out, struct err *err) {
    if (str_find_char(template_text, '$') < 0) {
        *out = template_text;
        return regex_match(rule->regex, value, out_matched, err);
    }
    struct buf text;
    buf_init(&text, LABEL_STRING_MAX);
    const enum err_code code =
        regex_expand(rule->regex, value, template_text, &text, out_matched, err);
    if (code != ERR_OK) {
        buf_release(&text);
        return code;
    }
    return keep_text(b, &text, out, err);
}

static enum err_code run_replace(const struct relabel_rule *rule, struct labels_builder *b,
                                 struct str value, struct err *err) {
    bool matched = false;
    struct str result;
    enum err_code code = fill(rule, b, value, rule->replacement, &matched, &result, err);
    if (code != ERR_OK || !matched) {
        return code;
    }
    struct str target = rule->target_label;
    if (str_find_char(target, '$') >= 0) {
        code = fill(rule, b, value, rule->target_label, &matched, &target, err);
    }
    if (code == ERR_OK && label_name_valid(target, rule->scheme)) {
        labels_builder_set(b, target, result);
    }
    return code;
}

static enum err_code run_labelmap(const struct relabel_rule *rule, struct labels_builder *b,
                                  struct err *err) {
    const size_t count = b->count;
    struct label *before = arena_try_alloc(b->arena, count, sizeof(*before));
    if (before == NULL) {
        return err_set(err, ERR_LIMIT, "relabelling: no memory left for %zu labels", count);
    }
    if (count > 0) {
        memcpy(before, b->items, count * sizeof(*before));
    }
    for (size_t i = 0; i < count; i++) {
        bool matched = false;
        struct str name = before[i].name;
        enum err_code code = regex_match(rule->regex, name, &matched, err);
        if (code == ERR_OK && matched) {
            struct buf text;
            buf_init(&text, LABEL_STRING_MAX);
            code = regex_replace_all(rule->regex, before[i].name, rule->replacement, &text, err);
            if (code == ERR_OK) {
                code = keep_text(b, &text, &name, err);
            } else {
                buf_release(&text);
            }
            if (code == ERR_OK) {
                labels_builder_set(b, name, before[i].value);
            }
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* labeldrop and labelkeep: removes the labels whose name matches, or the others. */
static enum err_code run_filter(const struct relabel_rule *rule, struct labels_builder *b,
                                bool remove_matching, struct err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        bool matched = false;
        const enum err_code code = regex_match(rule->regex, b->items[i].name, &matched, err);
        if (code != ERR_OK) {
            return code;
        }
        if (matched != remove_matching) {
            b->items[kept++] = b->items[i];
        }
    }
    b->count = kept;
    return ERR_OK;
}

static void run_hashmod(const struct relabel_rule *rule, struct labels_builder *b,
                        struct str value) {
    uint8_t digest[16];
    hash_md5(value.ptr, value.len, digest);
    char text[20];
    const uint64_t bucket = rule->modulus != 0 ? load_u64be(digest + 8) % rule->modulus : 0;
    const size_t n = number_format_u64(bucket, text);
    labels_builder_set(b, rule->target_label, arena_str(b->arena, (struct str){text, n}));
}

static enum err_code run_case(const struct relabel_rule *rule, struct labels_builder *b,
                              struct str value, struct err *err) {
    struct buf text;
    buf_init(&text, LABEL_STRING_MAX);
    if (rule->action == RELABEL_LOWERCASE) {
        utf8_lower(&text, value);
    } else {
        utf8_upper(&text, value);
    }
    struct str result;
    const enum err_code code = keep_text(b, &text, &result, err);
    if (code == ERR_OK) {
        labels_builder_set(b, rule->target_label, result);
    }
    return code;
}

enum err_code relabel_step(const struct relabel_rule *rule, struct labels_builder *b,
                           bool *out_keep, struct err *err) {
    struct str value;
    enum err_code code = join_sources(rule, b, &value, err);
    if (code != ERR_OK) {
        return code;
    }
    bool keep = true;
    bool matched = false;
    switch (rule->action) {
    case RELABEL_REPLACE:
        code = run_replace(rule, b, value, err);
        break;
    case RELABEL_KEEP:
    case RELABEL_DROP:
        code = regex_match(rule->regex, value, &matched, err);
        keep = matched == (rule->action == RELABEL_KEEP);
        break;
    case RELABEL_KEEP_EQUAL:
    case RELABEL_DROP_EQUAL:
        matched = str_eq(labels_builder_get(b, rule->target_label), value);
        keep = matched == (rule->action == RELABEL_KEEP_EQUAL);
        break;
    case RELABEL_HASHMOD:
        run_hashmod(rule, b, value);
        break;
    case RELABEL_LABELMAP:
        code = run_labelmap(rule, b, err);
        break;
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP:
        code = run_filter(rule, b, rule->action == RELABEL_LABELDROP, err);
        break;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE:
        code = run_case(rule, b, value, err);
        break;
    case RELABEL_ACTION_COUNT:
        UNREACHABLE("no such action");
    }
    if (code == ERR_OK) {
        *out_keep = keep;
    }
    return code;
}

enum err_code relabel_run(const struct relabel_rules *rules, struct labels_builder *b,
                          bool *out_keep, struct err *err) {
    bool keep = true;
    for (size_t i = 0; i < rules->count && keep; i++) {
        const enum err_code code = relabel_step(&rules->rules[i], b, &keep, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out_keep = keep;
    return ERR_OK;
}

/* ---- comparing ---- */

static bool rule_equal(const struct relabel_rule *a, const struct relabel_rule *b) {
    return a->action == b->action &&
           str_list_eq(a->source_labels, a->source_count, b->source_labels, b->source_count) &&
           str_eq(a->separator, b->separator) &&
           str_eq(regex_pattern(a->regex), regex_pattern(b->regex)) && a->modulus == b->modulus &&
           str_eq(a->target_label, b->target_label) && str_eq(a->replacement, b->replacement) &&
           a->scheme == b->scheme;
}

bool relabel_rules_equal(const struct relabel_rules *a, const struct relabel_rules *b) {
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!rule_equal(&a->rules[i], &b->rules[i])) {
            return false;
        }
    }
    return true;
}
