/* Any pattern is refused with a text or gives the same answer three ways: by the shape that the
 * literal analysis found, by the engine on its own, and by the matcher that yields captures.
 * Input: pattern, a newline, subject. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/regex.h"
#include "base/utf8.h"

/* The pattern so that the analysis sees nothing in it: with a branch that matches no subject. */
static struct regex *opaque(struct str pattern) {
    struct buf text;
    struct regex *re = NULL;
    buf_init(&text, 2 * REGEX_PATTERN_MAX);
    buf_append_cstr(&text, "\\A(?s:");
    buf_append_str(&text, pattern);
    buf_append_cstr(&text, ")\\z|[^\\x00-\\x{10FFFF}]");
    if (regex_new(buf_str(&text), REGEX_SEARCH, &re, NULL) != ERR_OK) {
        re = NULL;
    }
    buf_release(&text);
    return re;
}

static void check_answers(struct regex *re, struct str pattern, struct str subject) {
    struct err err;
    bool matched = false;
    const enum err_code code = regex_match(re, subject, &matched, &err);
    ASSERT(code == ERR_OK || code == ERR_LIMIT);
    if (code != ERR_OK) {
        return;
    }
    struct regex *engine = opaque(pattern);
    bool by_engine = false;
    if (engine != NULL && regex_match(engine, subject, &by_engine, &err) == ERR_OK) {
        ASSERT(by_engine == matched);
    }
    regex_free(engine);
    struct buf text;
    bool expanded = false;
    buf_init(&text, 1 << 20);
    if (regex_expand(re, subject, STR("$0"), &text, &expanded, &err) == ERR_OK) {
        ASSERT(expanded == matched);
        ASSERT(!matched || !utf8_valid(subject) || str_eq(buf_str(&text), subject));
    }
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str all = {(const char *)data, size};
    const ptrdiff_t cut = str_find_char(all, '\n');
    const struct str pattern = str_sub(all, 0, cut < 0 ? size : (size_t)cut);
    const struct str subject = cut < 0 ? STR("") : str_from(all, (size_t)cut + 1);
    struct regex *re = NULL;
    struct err err;
    const enum err_code code = regex_new(pattern, REGEX_ANCHORED, &re, &err);
    if (code != ERR_OK) {
        ASSERT(code == ERR_LIMIT || str_starts(str_of(err.text), STR("error parsing regexp: ")));
        return 0;
    }
    check_answers(re, pattern, subject);
    const struct regex_analysis *a = regex_analyze(re);
    for (size_t i = 0; i < a->set_count; i++) {
        ASSERT(i == 0 || str_cmp(a->set[i - 1], a->set[i]) < 0);
    }
    if (a->set_count > 0 && a->set_count <= 8) {
        for (size_t i = 0; i < a->set_count; i++) {
            check_answers(re, pattern, a->set[i]);
        }
    }
    regex_free(re);
    return 0;
}
