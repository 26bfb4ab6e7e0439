/* Any rule that passes the check runs without harm: what comes out is a sound label set, and a
 * second run of the same rule on the same input gives the same set. And it is the set that a slow
 * relabeller makes, which is written from the specification (config, section 6) over a plain list.
 * Input: action byte, scheme byte, then lines: regex, target, replacement, separator, values. */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/number.h"
#include "base/relabel.h"
#include "base/utf8.h"

static struct str take_line(struct str *rest) {
    const ptrdiff_t cut = str_find_char(*rest, '\n');
    const struct str line = str_sub(*rest, 0, cut < 0 ? rest->len : (size_t)cut);
    *rest = cut < 0 ? STR("") : str_from(*rest, (size_t)cut + 1);
    return line;
}

static bool run(const struct relabel_rule *rule, struct arena *arena, struct str a, struct str b,
                struct labels *out) {
    struct labels_builder builder;
    bool keep = false;
    labels_builder_init(&builder, arena);
    labels_builder_set(&builder, STR("__name__"), STR("up"));
    labels_builder_set(&builder, STR("a"), a);
    labels_builder_set(&builder, STR("b"), b);
    const struct relabel_rules rules = {rule, 1};
    *out = (struct labels){NULL, 0};
    if (relabel_run(&rules, &builder, &keep, NULL) != ERR_OK || !keep) {
        return false;
    }
    ASSERT(labels_builder_finish(&builder, out, NULL) == ERR_OK);
    return true;
}

/* ---- the slow relabeller ---- */

enum { SLOW_MAX = 16, SLOW_INPUT_MAX = 512, SLOW_TEXT_MAX = 1 << 20 };

struct slow_set { /* in no order; a label without a value is none */
    struct label items[SLOW_MAX];
    size_t count;
};

static struct str slow_get(const struct slow_set *set, struct str name) {
    for (size_t i = 0; i < set->count; i++) {
        if (str_eq(set->items[i].name, name)) {
            return set->items[i].value;
        }
    }
    return STR("");
}

static void slow_set(struct slow_set *set, struct str name, struct str value) {
    for (size_t i = 0; i < set->count; i++) {
        if (str_eq(set->items[i].name, name)) {
            set->items[i].value = value;
            return;
        }
    }
    ASSERT(set->count < SLOW_MAX);
    set->items[set->count++] = (struct label){name, value};
}

/* The template filled from a match of text, in the arena. False: no match. */
static bool slow_expand(const struct relabel_rule *rule, struct arena *arena, struct str text,
                        struct str template_text, struct str *out) {
    struct buf filled;
    bool matched = false;
    buf_init(&filled, SLOW_TEXT_MAX);
    ASSERT(regex_expand(rule->regex, text, template_text, &filled, &matched, NULL) == ERR_OK);
    ASSERT(buf_ok(&filled));
    *out = arena_str(arena, buf_str(&filled));
    buf_release(&filled);
    return matched;
}

static bool slow_match(const struct relabel_rule *rule, struct str text) {
    bool matched = false;
    ASSERT(regex_match(rule->regex, text, &matched, NULL) == ERR_OK);
    return matched;
}

static struct str slow_hash(struct arena *arena, struct str text, uint64_t modulus) {
    uint8_t digest[16];
    hash_md5(text.ptr, text.len, digest);
    uint64_t last = 0;
    for (size_t i = 8; i < 16; i++) {
        last = last << 8 | digest[i];
    }
    return arena_printf(arena, "%llu", (unsigned long long)(last % modulus));
}

static struct str slow_case(struct arena *arena, struct str text, bool lower) {
    struct buf to;
    buf_init(&to, SLOW_TEXT_MAX);
    if (lower) {
        utf8_lower(&to, text);
    } else {
        utf8_upper(&to, text);
    }
    ASSERT(buf_ok(&to));
    const struct str out = arena_str(arena, buf_str(&to));
    buf_release(&to);
    return out;
}

static void slow_rename(const struct relabel_rule *rule, struct arena *arena,
                        struct slow_set *set) {
    const struct slow_set before = *set;
    for (size_t i = 0; i < before.count; i++) {
        if (before.items[i].value.len == 0 || !slow_match(rule, before.items[i].name)) {
            continue;
        }
        struct buf name; /* every match is replaced: a pattern may close the group around it */
        buf_init(&name, SLOW_TEXT_MAX);
        ASSERT(regex_replace_all(rule->regex, before.items[i].name, rule->replacement, &name,
                                 NULL) == ERR_OK);
        slow_set(set, arena_str(arena, buf_str(&name)), before.items[i].value);
        buf_release(&name);
    }
}

static void slow_remove(const struct relabel_rule *rule, struct slow_set *set, bool matching) {
    for (size_t i = 0; i < set->count; i++) {
        if (slow_match(rule, set->items[i].name) == matching) {
            set->items[i].value = STR("");
        }
    }
}

/* False: dropped. */
static bool slow_run(const struct relabel_rule *rule, struct arena *arena, struct slow_set *set) {
    struct buf joined;
    buf_init(&joined, SLOW_TEXT_MAX);
    for (size_t i = 0; i < rule->source_count; i++) {
        buf_append_str(&joined, i > 0 ? rule->separator : STR(""));
        buf_append_str(&joined, slow_get(set, rule->source_labels[i]));
    }
    const struct str value = arena_str(arena, buf_str(&joined));
    buf_release(&joined);
    struct str target;
    struct str text;
    switch (rule->action) {
    case RELABEL_REPLACE:
        if (slow_expand(rule, arena, value, rule->target_label, &target) &&
            slow_expand(rule, arena, value, rule->replacement, &text) &&
            label_name_valid(target, rule->scheme)) {
            slow_set(set, target, text);
        }
        return true;
    case RELABEL_KEEP:
        return slow_match(rule, value);
    case RELABEL_DROP:
        return !slow_match(rule, value);
    case RELABEL_KEEP_EQUAL:
        return str_eq(slow_get(set, rule->target_label), value);
    case RELABEL_DROP_EQUAL:
        return !str_eq(slow_get(set, rule->target_label), value);
    case RELABEL_HASHMOD:
        slow_set(set, rule->target_label, slow_hash(arena, value, rule->modulus));
        return true;
    case RELABEL_LABELMAP:
        slow_rename(rule, arena, set);
        return true;
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP:
        slow_remove(rule, set, rule->action == RELABEL_LABELDROP);
        return true;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE:
        slow_set(set, rule->target_label,
                 slow_case(arena, value, rule->action == RELABEL_LOWERCASE));
        return true;
    case RELABEL_ACTION_COUNT:
        break;
    }
    UNREACHABLE("an action");
}

static void compare_with_slow(const struct relabel_rule *rule, struct arena *arena, struct str a,
                              struct str b, bool kept, struct labels got) {
    struct slow_set set = {.count = 0};
    slow_set(&set, STR("__name__"), STR("up"));
    slow_set(&set, STR("a"), a);
    slow_set(&set, STR("b"), b);
    ASSERT(slow_run(rule, arena, &set) == kept);
    if (!kept) {
        return;
    }
    size_t left = 0;
    for (size_t i = 0; i < set.count; i++) {
        left += set.items[i].value.len > 0;
    }
    struct label label;
    for (struct labels_iter it = labels_begin(got); labels_next(&it, &label); left--) {
        ASSERT(left > 0 && str_eq(slow_get(&set, label.name), label.value));
    }
    ASSERT(left == 0);
}

static void check_rule(const struct relabel_rule *rule, struct str a, struct str b) {
    struct arena arena;
    struct labels first;
    struct labels second;
    arena_init(&arena, 0);
    const bool kept = run(rule, &arena, a, b, &first);
    ASSERT(run(rule, &arena, a, b, &second) == kept);
    ASSERT(labels_eq(first, second));
    struct label label;
    struct str previous = STR("");
    for (struct labels_iter it = labels_begin(first); labels_next(&it, &label);) {
        ASSERT(label.value.len > 0);
        ASSERT(previous.len == 0 || str_cmp(previous, label.name) < 0);
        /* labelmap alone may make names that are not checked */
        ASSERT(rule->action == RELABEL_LABELMAP || label_name_valid(label.name, NAMES_UTF8));
        previous = label.name;
    }
    compare_with_slow(rule, &arena, a, b, kept, first);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    static const struct str sources[] = {STR_INIT("a"), STR_INIT("b"), STR_INIT("missing")};
    struct str rest = {(const char *)data + 2, size - 2};
    struct regex *regex = NULL;
    if (regex_new(take_line(&rest), REGEX_WRAPPED, &regex, NULL) != ERR_OK) {
        return 0;
    }
    struct relabel_rule rule = {
        .action = (enum relabel_action)(data[0] % RELABEL_ACTION_COUNT),
        .source_labels = sources,
        .source_count = data[1] % 4,
        .regex = regex,
        .modulus = data[0] / RELABEL_ACTION_COUNT,
        .scheme = (data[1] & 4) != 0 ? NAMES_LEGACY : NAMES_UTF8,
    };
    rule.target_label = take_line(&rest);
    rule.replacement = take_line(&rest);
    rule.separator = take_line(&rest);
    const struct str value = take_line(&rest);
    if (relabel_rule_check(&rule, NULL) == ERR_OK && size < SLOW_INPUT_MAX) {
        check_rule(&rule, value, rest);
    }
    regex_free(regex);
    return 0;
}
