/* Regular expressions: gate, literal analysis, then PCRE2 for what is left, and a machine of our own
 * for what would keep PCRE2 busy for more than some milliseconds, or is beyond its limits.
 *
 * WHY NOT that machine for everything: an ordinary pattern on an ordinary label is faster in PCRE2.
 *
 * CONCURRENCY. A regex is immutable; see regex_engine.c for its engine. */
#include "base/regex.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/regex_ast.h"
#include "base/regex_engine.h"
#include "base/regex_program.h"
#include "base/regex_walk.h"
#include "base/utf8.h"

/* PCRE2's matcher of all alternatives compares the states that are alive with one another, for each
 * byte: where the square of the pattern's size times the subject stays below this, it takes some
 * milliseconds at most. Its backtracking matcher may run over the subject at every step. */
enum { ENGINE_COST_MAX = 4 * 1024 * 1024, ENGINE_FIND_BYTES_MAX = 16 * 1024 };
enum { FIND_STEPS_MIN = 1000, FIND_STEPS_MAX = 200 * 1000 };
/* For those who cannot be stopped: some 0.1 s. */
enum { WALK_STEPS_MAX = 50 * 1000 * 1000 };
enum { COPY_MAX = 64 * 1024 * 1024 }; /* subject with its invalid bytes replaced */

struct regex {
    struct str pattern;
    struct regex_analysis analysis;
    struct regex_ends ends;
    struct arena arena; /* owns all text above and below */
    int group_count;
    struct str *group_names;
    struct regex_engine *engine; /* NULL: shape or ends say it all and there are no groups */
    struct regex_program *program;
};

/* making */

/* ^ root $ */
static struct regex_node *anchored(struct arena *arena, struct regex_node *root) {
    struct regex_node *nodes = arena_zalloc(arena, 3 * sizeof(*nodes));
    struct regex_node *begin = &nodes[0];
    struct regex_node *end = &nodes[1];
    begin->op = REGEX_BEGIN_TEXT;
    end->op = REGEX_END_TEXT;
    begin->next = root;
    root->next = end;
    nodes[2] = (struct regex_node){.op = REGEX_CONCAT, .first = begin, .last = end};
    return &nodes[2];
}

static struct str copy_str(struct arena *arena, struct str s) {
    return s.len != 0 ? arena_str(arena, s) : STR("");
}

static void keep_analysis(struct regex *re, const struct regex_analysis *found) {
    re->analysis = *found;
    re->analysis.literal = copy_str(&re->arena, found->literal);
    struct str *set = arena_alloc(&re->arena, found->set_count * sizeof(*set));
    for (size_t i = 0; i < found->set_count; i++) {
        set[i] = copy_str(&re->arena, found->set[i]);
    }
    re->analysis.set = set;
}

static void keep_groups(struct regex *re, const struct regex_tree *tree) {
    re->group_count = tree->group_count;
    re->group_names =
        arena_alloc(&re->arena, ((size_t)tree->group_count + 1) * sizeof(*re->group_names));
    for (int i = 0; i <= tree->group_count; i++) {
        re->group_names[i] = copy_str(&re->arena, tree->group_names[i]);
    }
}

/* A pattern may hold NUL bytes, which printf would take for its end. */
static struct str wrapped(struct arena *arena, struct str pattern) {
    static const char before[] = "^(?s:";
    static const char behind[] = ")$";
    const size_t from = sizeof(before) - 1;
    char *const text = arena_alloc(arena, from + pattern.len + sizeof(behind));
    memcpy(text, before, from);
    if (pattern.len > 0) {
        memcpy(text + from, pattern.ptr, pattern.len);
    }
    memcpy(text + from + pattern.len, behind, sizeof(behind));
    return (struct str){text, from + pattern.len + sizeof(behind) - 1};
}

static enum err_code build(struct regex *re, struct arena *scratch, enum regex_mode mode,
                           struct err *err) {
    struct str text = re->pattern;
    if (mode == REGEX_WRAPPED) {
        text = wrapped(scratch, text);
    }
    struct regex_tree tree;
    const enum err_code code = regex_parse(scratch, text, mode == REGEX_ANCHORED, &tree, err);
    if (code != ERR_OK) {
        return code;
    }
    struct regex_node *root = mode == REGEX_ANCHORED ? anchored(scratch, tree.root) : tree.root;
    struct regex_analysis found;
    regex_find_shape(scratch, root, &found);
    keep_analysis(re, &found);
    keep_groups(re, &tree);
    regex_find_ends(scratch, root, &re->ends);
    re->ends.prefix = copy_str(&re->arena, re->ends.prefix);
    re->ends.suffix = copy_str(&re->arena, re->ends.suffix);
    const bool decided = found.shape != REGEX_SHAPE_ENGINE || re->ends.decide;
    if (decided && re->group_count == 0) {
        return ERR_OK;
    }
    const enum err_code made =
        regex_engine_new(root, re->group_count, re->pattern, &re->engine, err);
    return made == ERR_OK ? regex_program_new(scratch, root, re->pattern, &re->program, err) : made;
}

enum err_code regex_new(struct str pattern, enum regex_mode mode, struct regex **out,
                        struct err *err) {
    if (pattern.len > REGEX_PATTERN_MAX) {
        return err_set(err, ERR_LIMIT, "regexp of %zu bytes is longer than %d: `%.*s...`",
                       pattern.len, REGEX_PATTERN_MAX, STR_ARG(str_sub(pattern, 0, 64)));
    }
    struct regex *re = mem_zalloc(sizeof(*re));
    arena_init(&re->arena, 0);
    re->pattern = copy_str(&re->arena, pattern);
    struct arena scratch;
    arena_init(&scratch, 0);
    const enum err_code code = build(re, &scratch, mode, err);
    arena_release(&scratch);
    if (code != ERR_OK) {
        regex_free(re);
        return code;
    }
    *out = re;
    return ERR_OK;
}

void regex_free(struct regex *re) {
    if (re == NULL) {
        return;
    }
    regex_engine_free(re->engine);
    regex_program_free(re->program);
    arena_release(&re->arena);
    mem_free(re);
}

struct str regex_pattern(const struct regex *re) {
    return re->pattern;
}

const struct regex_analysis *regex_analyze(const struct regex *re) {
    return &re->analysis;
}

/* matching */

static COLD enum err_code too_expensive(const struct regex *re, enum err_code code,
                                        struct err *err) {
    return code != ERR_LIMIT
               ? code
               : err_wrap(err, "regexp is too expensive: `%.*s`", STR_ARG(re->pattern));
}

static bool engine_is_quick(const struct regex *re, struct str subject) {
    const uint64_t size = re->program->inst_count;
    return size * size <= ENGINE_COST_MAX / (subject.len + 1);
}

/* The subject as the engine needs it: valid UTF-8. An invalid byte becomes U+FFFD, as which Go
 * would read it. copy is the caller's to release. */
static enum err_code valid_subject(struct str *subject, struct buf *copy, struct err *err) {
    buf_init(copy, COPY_MAX);
    if (LIKELY(utf8_valid(*subject))) {
        return ERR_OK;
    }
    for (size_t at = 0, n = 0; at < subject->len; at += n) {
        char bytes[4];
        const uint32_t rune = utf8_rune(str_from(*subject, at), &n);
        buf_append(copy, bytes, utf8_encode(rune, bytes));
    }
    if (!buf_ok(copy)) {
        return err_set(err, ERR_LIMIT, "text of %zu bytes is too long for a regexp", subject->len);
    }
    *subject = buf_str(copy);
    return ERR_OK;
}

static struct regex_patience patience_of(const struct cancel *cancel) {
    return (struct regex_patience){cancel, cancel != NULL ? UINT64_MAX : WALK_STEPS_MAX};
}

static enum err_code match_walk(const struct regex *re, struct str subject,
                                const struct cancel *cancel, bool *out, struct err *err) {
    struct regex_patience patience = patience_of(cancel);
    return too_expensive(re, regex_walk(re->program, subject, 0, 0, &patience, NULL, out, err),
                         err);
}

static enum err_code match_engine(const struct regex *re, struct str subject,
                                  const struct cancel *cancel, bool *out, struct err *err) {
    if (!engine_is_quick(re, subject)) {
        return match_walk(re, subject, cancel, out, err);
    }
    struct buf copy;
    struct str valid = subject;
    enum err_code code = valid_subject(&valid, &copy, err);
    if (code == ERR_OK) {
        code = regex_engine_match(re->engine, valid, out, NULL);
        code = code == ERR_LIMIT ? match_walk(re, subject, cancel, out, err) : code;
    }
    buf_release(&copy);
    return code;
}

static bool in_set(const struct regex_analysis *a, struct str subject) {
    size_t low = 0;
    size_t high = a->set_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int c = str_cmp(a->set[mid], subject);
        if (c == 0) {
            return true;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

enum err_code regex_match(const struct regex *re, struct str subject, bool *out, struct err *err) {
    return regex_match_until(re, subject, NULL, out, err);
}

enum err_code regex_match_until(const struct regex *re, struct str subject,
                                const struct cancel *cancel, bool *out, struct err *err) {
    const struct regex_analysis *a = &re->analysis;
    const bool long_enough = subject.len >= a->literal.len + a->min_rest;
    switch (a->shape) {
    case REGEX_SHAPE_ANY:
        *out = true;
        return ERR_OK;
    case REGEX_SHAPE_NONEMPTY:
        *out = subject.len > 0;
        return ERR_OK;
    case REGEX_SHAPE_SET:
        *out = in_set(a, subject);
        return ERR_OK;
    case REGEX_SHAPE_PREFIX:
        *out = long_enough && str_starts(subject, a->literal);
        return ERR_OK;
    case REGEX_SHAPE_SUFFIX:
        *out = long_enough && str_ends(subject, a->literal);
        return ERR_OK;
    case REGEX_SHAPE_CONTAINS:
        *out = str_find(subject, a->literal) >= 0;
        return ERR_OK;
    case REGEX_SHAPE_ENGINE:
        break;
    }
    if (re->ends.decide) {
        const struct regex_ends *e = &re->ends;
        *out = subject.len >= e->prefix.len + e->min_middle + e->suffix.len &&
               str_starts(subject, e->prefix) && str_ends(subject, e->suffix);
        return ERR_OK;
    }
    if (!str_starts(subject, a->literal)) {
        *out = false;
        return ERR_OK;
    }
    return match_engine(re, subject, cancel, out, err);
}

/* captures */

/* Positions of group i are at[2 * i] and at[2 * i + 1]; REGEX_UNSET when it took no part. */
struct captures {
    struct str subject;
    size_t at[2 * (REGEX_GROUPS_MAX + 1)];
    int count;
};

static struct str capture(const struct captures *c, int i) {
    if (i >= c->count || c->at[2 * i] == REGEX_UNSET) {
        return STR("");
    }
    return str_sub(c->subject, c->at[2 * i], c->at[2 * i + 1] - c->at[2 * i]);
}

/* Length of the rune at the start of text if it may be in a reference: Go takes letters and digits
 * of all scripts there, though no group can have such a name. */
static size_t name_bytes(struct str text) {
    size_t n = 0;
    const uint32_t rune = utf8_rune(text, &n);
    const bool word = (rune >= '0' && rune <= '9') || rune == '_' || (rune >= 'a' && rune <= 'z') ||
                      (rune >= 'A' && rune <= 'Z');
    return word || (rune >= 0x80 && n > 1 && utf8_rune_prints(rune)) ? n : 0;
}

/* A group name or number at the start of text: its name and what follows, or false. */
static bool take_reference(struct str text, struct str *out_name, struct str *out_rest) {
    const bool braced = str_starts(text, STR("{"));
    text = braced ? str_from(text, 1) : text;
    size_t n = 0;
    while (n < text.len && name_bytes(str_from(text, n)) > 0) {
        n += name_bytes(str_from(text, n));
    }
    if (n == 0 || (braced && (n == text.len || text.ptr[n] != '}'))) {
        return false;
    }
    *out_name = str_sub(text, 0, n);
    *out_rest = str_from(text, n + (braced ? 1 : 0));
    return true;
}

static struct str referenced(const struct regex *re, const struct captures *c, struct str name) {
    int number = 0;
    for (size_t i = 0; i < name.len && number >= 0; i++) {
        const bool digit = name.ptr[i] >= '0' && name.ptr[i] <= '9';
        number = digit && number <= REGEX_GROUPS_MAX ? number * 10 + (name.ptr[i] - '0') : -1;
    }
    if (number >= 0 && (name.ptr[0] != '0' || name.len == 1)) {
        return capture(c, number);
    }
    for (int i = 1; i <= re->group_count; i++) {
        if (i < c->count && c->at[2 * i] != REGEX_UNSET && str_eq(re->group_names[i], name)) {
            return capture(c, i);
        }
    }
    return STR("");
}

static void expand(const struct regex *re, const struct captures *c, struct str template_text,
                   struct buf *to) {
    for (;;) {
        const ptrdiff_t dollar = str_find_char(template_text, '$');
        if (dollar < 0) {
            buf_append_str(to, template_text);
            return;
        }
        buf_append(to, template_text.ptr, (size_t)dollar);
        template_text = str_from(template_text, (size_t)dollar + 1);
        struct str name;
        if (str_starts(template_text, STR("$"))) {
            buf_append_char(to, '$');
            template_text = str_from(template_text, 1);
        } else if (take_reference(template_text, &name, &template_text)) {
            buf_append_str(to, referenced(re, c, name));
        } else {
            buf_append_char(to, '$');
        }
    }
}

/* The first match at or behind offset of a valid subject. */
static enum err_code find_captures(const struct regex *re, size_t offset,
                                   struct regex_patience *patience, struct captures *c, bool *out,
                                   struct err *err) {
    const struct str subject = c->subject;
    c->count = re->group_count + 1;
    if (subject.len <= ENGINE_FIND_BYTES_MAX) {
        const size_t steps = ENGINE_COST_MAX * 4 / (subject.len + 16);
        const uint32_t max_steps = steps < FIND_STEPS_MIN   ? FIND_STEPS_MIN
                                   : steps > FIND_STEPS_MAX ? FIND_STEPS_MAX
                                                            : (uint32_t)steps;
        if (regex_engine_find(re->engine, subject, offset, max_steps, c->at, out, NULL) == ERR_OK) {
            return ERR_OK;
        }
    }
    return too_expensive(
        re,
        regex_walk(re->program, subject, offset, 2 * (size_t)c->count, patience, c->at, out, err),
        err);
}

/* Without groups and with a shape, the match is the whole subject or nothing. */
static enum err_code match_whole(const struct regex *re, struct str subject,
                                 struct str template_text, struct buf *to, bool *out_matched,
                                 struct err *err) {
    const enum err_code code = regex_match(re, subject, out_matched, err);
    if (code == ERR_OK && *out_matched) {
        const struct captures c = {subject, {0, subject.len}, 1};
        expand(re, &c, template_text, to);
    }
    return code;
}

static enum err_code check_output(const struct regex *re, const struct buf *to, struct err *err) {
    if (buf_ok(to)) {
        return ERR_OK;
    }
    return err_set(err, ERR_LIMIT, "replacement for a match of regexp `%.*s` is over %zu bytes",
                   STR_ARG(re->pattern), to->max_bytes);
}

enum err_code regex_expand(const struct regex *re, struct str subject, struct str template_text,
                           struct buf *to, bool *out_matched, struct err *err) {
    return regex_expand_until(re, subject, template_text, NULL, to, out_matched, err);
}

enum err_code regex_expand_until(const struct regex *re, struct str subject,
                                 struct str template_text, const struct cancel *cancel,
                                 struct buf *to, bool *out_matched, struct err *err) {
    if (re->engine == NULL) {
        const enum err_code code = match_whole(re, subject, template_text, to, out_matched, err);
        return code == ERR_OK ? check_output(re, to, err) : code;
    }
    bool possible = true;
    if (re->analysis.shape != REGEX_SHAPE_ENGINE || re->analysis.literal.len != 0) {
        const enum err_code code = regex_match_until(re, subject, cancel, &possible, err);
        if (code != ERR_OK || !possible) {
            *out_matched = false;
            return code;
        }
    }
    struct buf copy;
    struct captures c;
    struct regex_patience patience = patience_of(cancel);
    enum err_code code = valid_subject(&subject, &copy, err);
    if (code == ERR_OK) {
        c.subject = subject;
        code = find_captures(re, 0, &patience, &c, out_matched, err);
    }
    if (code == ERR_OK && *out_matched) {
        expand(re, &c, template_text, to);
        code = check_output(re, to, err);
    }
    buf_release(&copy);
    return code;
}

/* Go's rule: matches from left to right, none of an empty string right behind another one. */
static enum err_code replace_matches(const struct regex *re, struct str subject,
                                     struct str template_text, struct buf *to, struct err *err) {
    struct captures c = {.subject = subject};
    struct regex_patience patience = patience_of(NULL);
    size_t copied = 0;
    size_t search = 0;
    while (search <= subject.len) {
        bool found = false;
        const enum err_code code = find_captures(re, search, &patience, &c, &found, err);
        if (code != ERR_OK) {
            return code;
        }
        if (!found) {
            break;
        }
        const size_t from = c.at[0];
        const size_t end = c.at[1];
        buf_append(to, subject.ptr + copied, from - copied);
        if (end > copied || from == 0) {
            expand(re, &c, template_text, to);
        }
        copied = end;
        size_t step = 1;
        if (search < subject.len) {
            (void)utf8_rune(str_from(subject, search), &step);
        }
        search = search + step > end ? search + step : end;
    }
    buf_append_str(to, str_from(subject, copied));
    return ERR_OK;
}

enum err_code regex_replace_all(const struct regex *re, struct str subject,
                                struct str template_text, struct buf *to, struct err *err) {
    if (re->engine == NULL) {
        bool matched = false;
        const enum err_code code = match_whole(re, subject, template_text, to, &matched, err);
        if (code == ERR_OK && !matched) {
            buf_append_str(to, subject);
        }
        return code == ERR_OK ? check_output(re, to, err) : code;
    }
    struct buf copy;
    enum err_code code = valid_subject(&subject, &copy, err);
    if (code == ERR_OK) {
        code = replace_matches(re, subject, template_text, to, err);
    }
    buf_release(&copy);
    return code == ERR_OK ? check_output(re, to, err) : code;
}
