/* Regular expressions: gate, literal analysis, then PCRE2 for what is left.
 *
 * WHY NOT pcre2_match for everything: it backtracks, and a pattern such as (a+)+$ costs it
 * exponential time. pcre2_dfa_match follows all alternatives at once; it gives no captures, so
 * those come from pcre2_match, under limits. WHY NOT the JIT: its memory faults in the past were
 * reachable by a pattern alone, and it serves the backtracking matcher only.
 *
 * CONCURRENCY. A regex is immutable but for its spare scratch space, which calls take and give
 * back by an atomic exchange; a call that finds none makes its own. */
#include "base/regex.h"

#include <stdatomic.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/regex_ast.h"
#include "base/utf8.h"

enum {
    EMITTED_MAX = 4 * 1024 * 1024,
    NEST_MAX = 4 * REGEX_DEPTH_MAX,
    MATCH_LIMIT = 200000, /* steps of the backtracking matcher */
    DEPTH_LIMIT = 20000,
    HEAP_LIMIT_KIB = 16 * 1024,
    WORKSPACE_INTS = 8192,       /* states alive at once, times about six */
    COPY_MAX = 64 * 1024 * 1024, /* subject with its invalid bytes replaced */
};

struct scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    int workspace[WORKSPACE_INTS];
};

struct regex {
    struct str pattern;
    struct regex_analysis analysis;
    struct regex_ends ends;
    struct arena arena; /* owns all text above and below */
    int group_count;
    struct str *group_names;
    pcre2_code *code; /* NULL: shape or ends say it all and there are no groups */
    _Atomic(struct scratch *) spare;
};

/* scratch */

static void scratch_free(struct scratch *s) {
    if (s != NULL) {
        pcre2_match_data_free(s->match);
        pcre2_match_context_free(s->context);
        mem_free(s);
    }
}

static struct scratch *scratch_new(const struct regex *re) {
    struct scratch *s = mem_alloc(sizeof(*s));
    s->match = pcre2_match_data_create((uint32_t)re->group_count + 1, NULL);
    s->context = pcre2_match_context_create(NULL);
    ASSERT(s->match != NULL && s->context != NULL);
    (void)pcre2_set_match_limit(s->context, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(s->context, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
    return s;
}

static struct scratch *scratch_take(const struct regex *re) {
    struct scratch *s = atomic_exchange(&((struct regex *)re)->spare, NULL);
    return s != NULL ? s : scratch_new(re);
}

static void scratch_give(const struct regex *re, struct scratch *s) {
    scratch_free(atomic_exchange(&((struct regex *)re)->spare, s));
}

/* making */

static enum err_code compile(struct regex *re, const struct regex_node *root, struct err *err) {
    struct buf text;
    buf_init(&text, EMITTED_MAX);
    regex_emit(&text, root);
    int problem = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    ASSERT(context != NULL);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    (void)pcre2_set_parens_nest_limit(context, NEST_MAX);
    if (buf_ok(&text)) {
        re->code = pcre2_compile((PCRE2_SPTR)buf_str(&text).ptr, text.len,
                                 PCRE2_UTF | PCRE2_DOTALL | PCRE2_MULTILINE | PCRE2_ALT_CIRCUMFLEX |
                                     PCRE2_NEVER_BACKSLASH_C,
                                 &problem, &at, context);
    }
    pcre2_compile_context_free(context);
    buf_release(&text);
    if (re->code == NULL) {
        char reason[128] = "pattern is too long";
        if (problem != 0) {
            (void)pcre2_get_error_message(problem, (PCRE2_UCHAR *)reason, sizeof(reason));
        }
        return err_set(err, ERR_LIMIT, "regexp is too large for the engine (%s): `%.*s`", reason,
                       STR_ARG(re->pattern));
    }
    return ERR_OK;
}

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
    return compile(re, root, err);
}

enum err_code regex_new(struct str pattern, enum regex_mode mode, struct regex **out,
                        struct err *err) {
    if (pattern.len > REGEX_PATTERN_MAX) {
        return err_set(err, ERR_LIMIT, "regexp of %zu bytes is longer than %d: `%.*s...`",
                       pattern.len, REGEX_PATTERN_MAX, STR_ARG(str_sub(pattern, 0, 64)));
    }
    struct regex *re = mem_zalloc(sizeof(*re));
    arena_init(&re->arena, 0);
    atomic_init(&re->spare, NULL);
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
    scratch_free(atomic_load(&re->spare));
    pcre2_code_free(re->code);
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

static COLD enum err_code engine_error(const struct regex *re, int result, struct err *err) {
    char reason[128] = "unknown";
    (void)pcre2_get_error_message(result, (PCRE2_UCHAR *)reason, sizeof(reason));
    return err_set(err, ERR_LIMIT, "regexp is too expensive (%s): `%.*s`", reason,
                   STR_ARG(re->pattern));
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

static enum err_code match_engine(const struct regex *re, struct str subject, bool *out,
                                  struct err *err) {
    struct buf copy;
    const enum err_code code = valid_subject(&subject, &copy, err);
    if (code != ERR_OK) {
        return code;
    }
    struct scratch *s = scratch_take(re);
    const int result = pcre2_dfa_match(re->code, (PCRE2_SPTR)(subject.len != 0 ? subject.ptr : ""),
                                       subject.len, 0, PCRE2_NO_UTF_CHECK | PCRE2_DFA_SHORTEST,
                                       s->match, s->context, s->workspace, WORKSPACE_INTS);
    scratch_give(re, s);
    buf_release(&copy);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        return engine_error(re, result, err);
    }
    *out = result >= 0;
    return ERR_OK;
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
    return match_engine(re, subject, out, err);
}

/* captures */

/* Positions of group i are at[2 * i] and at[2 * i + 1]; PCRE2_UNSET when it took no part. */
struct captures {
    struct str subject;
    const PCRE2_SIZE *at;
    int count;
};

static struct str capture(const struct captures *c, int i) {
    if (i >= c->count || c->at[2 * i] == PCRE2_UNSET) {
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
        if (i < c->count && c->at[2 * i] != PCRE2_UNSET && str_eq(re->group_names[i], name)) {
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

/* The first match at or behind offset: its group count, 0 for none, negative for an error. */
static int find_captures(const struct regex *re, struct scratch *s, struct str subject,
                         size_t offset) {
    const int result = pcre2_match(re->code, (PCRE2_SPTR)(subject.len != 0 ? subject.ptr : ""),
                                   subject.len, offset, PCRE2_NO_UTF_CHECK, s->match, s->context);
    return result == PCRE2_ERROR_NOMATCH ? 0 : result;
}

/* Without groups and with a shape, the match is the whole subject or nothing. */
static enum err_code match_whole(const struct regex *re, struct str subject,
                                 struct str template_text, struct buf *to, bool *out_matched,
                                 struct err *err) {
    const enum err_code code = regex_match(re, subject, out_matched, err);
    if (code == ERR_OK && *out_matched) {
        const PCRE2_SIZE at[2] = {0, subject.len};
        expand(re, &(struct captures){subject, at, 1}, template_text, to);
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
    if (re->code == NULL) {
        const enum err_code code = match_whole(re, subject, template_text, to, out_matched, err);
        return code == ERR_OK ? check_output(re, to, err) : code;
    }
    bool possible = true;
    if (re->analysis.shape != REGEX_SHAPE_ENGINE || re->analysis.literal.len != 0) {
        const enum err_code code = regex_match(re, subject, &possible, err);
        if (code != ERR_OK || !possible) {
            *out_matched = false;
            return code;
        }
    }
    struct buf copy;
    enum err_code code = valid_subject(&subject, &copy, err);
    if (code != ERR_OK) {
        return code;
    }
    struct scratch *s = scratch_take(re);
    const int count = find_captures(re, s, subject, 0);
    if (count > 0) {
        const struct captures c = {subject, pcre2_get_ovector_pointer(s->match), count};
        expand(re, &c, template_text, to);
        code = check_output(re, to, err);
    } else if (count < 0) {
        code = engine_error(re, count, err);
    }
    if (code == ERR_OK) {
        *out_matched = count > 0;
    }
    scratch_give(re, s);
    buf_release(&copy);
    return code;
}

/* Go's rule: matches from left to right, none of an empty string right behind another one. */
static int replace_matches(const struct regex *re, struct scratch *s, struct str subject,
                           struct str template_text, struct buf *to) {
    size_t copied = 0;
    size_t search = 0;
    while (search <= subject.len) {
        const int count = find_captures(re, s, subject, search);
        if (count <= 0) {
            if (count < 0) {
                return count;
            }
            break;
        }
        const struct captures c = {subject, pcre2_get_ovector_pointer(s->match), count};
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
    return 0;
}

enum err_code regex_replace_all(const struct regex *re, struct str subject,
                                struct str template_text, struct buf *to, struct err *err) {
    if (re->code == NULL) {
        bool matched = false;
        const enum err_code code = match_whole(re, subject, template_text, to, &matched, err);
        if (code == ERR_OK && !matched) {
            buf_append_str(to, subject);
        }
        return code == ERR_OK ? check_output(re, to, err) : code;
    }
    struct buf copy;
    enum err_code code = valid_subject(&subject, &copy, err);
    if (code != ERR_OK) {
        return code;
    }
    struct scratch *s = scratch_take(re);
    const int result = replace_matches(re, s, subject, template_text, to);
    scratch_give(re, s);
    buf_release(&copy);
    return result < 0 ? engine_error(re, result, err) : check_output(re, to, err);
}
