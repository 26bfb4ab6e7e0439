/* Queries that are refused, with the text that says why. */
#ifndef TESTS_UNIT_QUERY_PARSE_ERROR_CASE_H
#define TESTS_UNIT_QUERY_PARSE_ERROR_CASE_H

#include <string.h>

#include "tests/unit/query/parse_fixture.h"

struct error_case {
    const char *text;
    const char *want;
    const struct parse_options *options;
};

static void assert_errors(const struct error_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct parsed p;
        parsed_init(&p, str_of(cases[i].text), cases[i].options);
        if (p.code != ERR_INVALID || strcmp(p.err.text, cases[i].want) != 0) {
            fail_msg("%s\n  gives  %s\n  wanted %s", cases[i].text,
                     p.code == ERR_OK ? "no error" : p.err.text, cases[i].want);
        }
        parsed_release(&p);
    }
}

#endif
