/* Parsing in tests: an arena and the result in one, and printers onto C strings. */
#ifndef TESTS_UNIT_QUERY_PARSE_FIXTURE_H
#define TESTS_UNIT_QUERY_PARSE_FIXTURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "query/parse.h"
#include "tests/support/check_err.h"

static const struct parse_options ALL = {true, true, true};
static const struct parse_options PLAIN = {false, false, false};

enum { TEST_PRINT_MAX = 1 << 22 };

struct parsed {
    struct arena arena;
    enum err_code code;
    struct err err;
    struct node *node;
};

static inline void parsed_init(struct parsed *p, struct str text,
                               const struct parse_options *options) {
    arena_init(&p->arena, 0);
    p->node = NULL;
    p->code = parse_expr(&p->arena, text, options, &p->node, &p->err);
}

static inline void parsed_ok(struct parsed *p, struct str text) {
    parsed_init(p, text, &ALL);
    assert_ok(p->code, &p->err);
    assert_non_null(p->node);
}

static inline void parsed_release(struct parsed *p) {
    arena_release(&p->arena);
}

/* The text must parse and print as wanted, and what was printed must parse and print the same. */
static inline void assert_prints(struct str text, const char *want,
                                 void (*print)(struct buf *to, const struct node *node)) {
    struct parsed first;
    parsed_ok(&first, text);
    struct buf printed;
    buf_init(&printed, TEST_PRINT_MAX);
    print(&printed, first.node);
    if (want != NULL) {
        assert_str(buf_str(&printed), want);
    }
    struct parsed second;
    parsed_ok(&second, buf_str(&printed));
    struct buf again;
    buf_init(&again, TEST_PRINT_MAX);
    print(&again, second.node);
    assert_str(buf_str(&again), printed.ptr);
    buf_release(&again);
    buf_release(&printed);
    parsed_release(&second);
    parsed_release(&first);
}

#endif
