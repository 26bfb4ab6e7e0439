/* WHY NOT pcre2_match for everything: it backtracks, and a pattern such as (a+)+$ costs it
 * exponential time. pcre2_dfa_match follows all alternatives at once; it gives no captures, so
 * those come from pcre2_match, under limits. WHY NOT the JIT: its memory faults in the past were
 * reachable by a pattern alone, and it serves the backtracking matcher only.
 *
 * CONCURRENCY. An engine is immutable but for its spare scratch space, which calls take and give
 * back by an atomic exchange; a call that finds none makes its own. */
#include "base/regex_engine.h"

#include <stdatomic.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "base/mem.h"

_Static_assert(REGEX_UNSET == PCRE2_UNSET, "offsets are handed out as they are");

enum {
    EMITTED_MAX = 4 * 1024 * 1024,
    NEST_MAX = 4 * REGEX_DEPTH_MAX,
    DEPTH_LIMIT = 20000,
    HEAP_LIMIT_KIB = 16 * 1024,
    WORKSPACE_INTS = 8192, /* states alive at once, times about six */
};

struct scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    int workspace[WORKSPACE_INTS];
};

struct regex_engine {
    pcre2_code *code;
    int group_count;
    _Atomic(struct scratch *) spare;
};

static void scratch_free(struct scratch *s) {
    if (s != NULL) {
        pcre2_match_data_free(s->match);
        pcre2_match_context_free(s->context);
        mem_free(s);
    }
}

static struct scratch *scratch_new(const struct regex_engine *engine) {
    struct scratch *s = mem_alloc(sizeof(*s));
    s->match = pcre2_match_data_create((uint32_t)engine->group_count + 1, NULL);
    s->context = pcre2_match_context_create(NULL);
    ASSERT(s->match != NULL && s->context != NULL);
    (void)pcre2_set_depth_limit(s->context, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
    return s;
}

static struct scratch *scratch_take(const struct regex_engine *engine) {
    struct scratch *s = atomic_exchange(&((struct regex_engine *)engine)->spare, NULL);
    return s != NULL ? s : scratch_new(engine);
}

static void scratch_give(const struct regex_engine *engine, struct scratch *s) {
    scratch_free(atomic_exchange(&((struct regex_engine *)engine)->spare, s));
}

static pcre2_code *compile(const struct regex_node *root, int *out_problem) {
    struct buf text;
    buf_init(&text, EMITTED_MAX);
    regex_emit(&text, root);
    PCRE2_SIZE at = 0;
    pcre2_code *code = NULL;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    ASSERT(context != NULL);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    (void)pcre2_set_parens_nest_limit(context, NEST_MAX);
    if (buf_ok(&text)) {
        code = pcre2_compile((PCRE2_SPTR)buf_str(&text).ptr, text.len,
                             PCRE2_UTF | PCRE2_DOTALL | PCRE2_MULTILINE | PCRE2_ALT_CIRCUMFLEX |
                                 PCRE2_NEVER_BACKSLASH_C,
                             out_problem, &at, context);
    }
    pcre2_compile_context_free(context);
    buf_release(&text);
    return code;
}

enum err_code regex_engine_new(const struct regex_node *root, int group_count, struct str pattern,
                               struct regex_engine **out, struct err *err) {
    int problem = 0;
    pcre2_code *code = compile(root, &problem);
    if (code == NULL) {
        char reason[128] = "pattern is too long";
        if (problem != 0) {
            (void)pcre2_get_error_message(problem, (PCRE2_UCHAR *)reason, sizeof(reason));
        }
        return err_set(err, ERR_LIMIT, "regexp is too large for the engine (%s): `%.*s`", reason,
                       STR_ARG(pattern));
    }
    struct regex_engine *engine = mem_zalloc(sizeof(*engine));
    engine->code = code;
    engine->group_count = group_count;
    atomic_init(&engine->spare, NULL);
    *out = engine;
    return ERR_OK;
}

void regex_engine_free(struct regex_engine *engine) {
    if (engine != NULL) {
        scratch_free(atomic_load(&engine->spare));
        pcre2_code_free(engine->code);
        mem_free(engine);
    }
}

static COLD enum err_code over_limit(int result, struct err *err) {
    char reason[128] = "unknown";
    (void)pcre2_get_error_message(result, (PCRE2_UCHAR *)reason, sizeof(reason));
    return err_set(err, ERR_LIMIT, "regexp engine: %s", reason);
}

static PCRE2_SPTR bytes_of(struct str subject) {
    return (PCRE2_SPTR)(subject.len != 0 ? subject.ptr : "");
}

enum err_code regex_engine_match(const struct regex_engine *engine, struct str subject, bool *out,
                                 struct err *err) {
    struct scratch *s = scratch_take(engine);
    const int result = pcre2_dfa_match(engine->code, bytes_of(subject), subject.len, 0,
                                       PCRE2_NO_UTF_CHECK | PCRE2_DFA_SHORTEST, s->match,
                                       s->context, s->workspace, WORKSPACE_INTS);
    scratch_give(engine, s);
    *out = result >= 0;
    return result >= 0 || result == PCRE2_ERROR_NOMATCH ? ERR_OK : over_limit(result, err);
}

enum err_code regex_engine_find(const struct regex_engine *engine, struct str subject,
                                size_t offset, uint32_t max_steps, size_t *at, bool *out,
                                struct err *err) {
    struct scratch *s = scratch_take(engine);
    (void)pcre2_set_match_limit(s->context, max_steps);
    const int result = pcre2_match(engine->code, bytes_of(subject), subject.len, offset,
                                   PCRE2_NO_UTF_CHECK, s->match, s->context);
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(s->match);
    for (int i = 0; i < 2 * (engine->group_count + 1); i++) {
        at[i] = i < 2 * result ? found[i] : REGEX_UNSET;
    }
    scratch_give(engine, s);
    *out = result > 0;
    return result > 0 || result == PCRE2_ERROR_NOMATCH ? ERR_OK : over_limit(result, err);
}
