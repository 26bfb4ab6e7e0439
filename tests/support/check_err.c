#include "tests/support/check_err.h"

#include <string.h>

void check_ok(enum err_code code, const struct err *err, const char *file, int line) {
    if (code != ERR_OK) {
        print_error("%s:%d: %s: %s\n", file, line, err_code_name(code),
                    err != NULL ? err->text : "");
        fail();
    }
}

void check_err(enum err_code code, enum err_code want, const char *want_text, const struct err *err,
               const char *file, int line) {
    if (code != want) {
        print_error("%s:%d: got %s, want %s: %s\n", file, line, err_code_name(code),
                    err_code_name(want), err != NULL && code != ERR_OK ? err->text : "");
        fail();
    }
    if (want_text != NULL && strstr(err->text, want_text) == NULL) {
        print_error("%s:%d: got \"%s\", want \"%s\" in it\n", file, line, err->text, want_text);
        fail();
    }
}

void check_str(struct str got, const char *want, const char *file, int line) {
    if (!str_eq(got, str_of(want))) {
        print_error("%s:%d: got \"%.*s\", want \"%s\"\n", file, line, STR_ARG(got), want);
        fail();
    }
}
