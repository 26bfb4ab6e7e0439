/* cmocka with everything it wants included, and assertions on struct err. */
#ifndef TESTS_SUPPORT_CHECK_ERR_H
#define TESTS_SUPPORT_CHECK_ERR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

/* Fails with the error's text. */
void check_ok(enum err_code code, const struct err *err, const char *file, int line);
void check_err(enum err_code code, enum err_code want, const char *want_text, const struct err *err,
               const char *file, int line);
void check_str(struct str got, const char *want, const char *file, int line);

#define assert_ok(call, err) check_ok((call), (err), __FILE__, __LINE__)
/* The code, and a text that the message contains (NULL: any). */
#define assert_err(call, want, text, err)                                                          \
    check_err((call), (want), (text), (err), __FILE__, __LINE__)
#define assert_str(got, want) check_str((got), (want), __FILE__, __LINE__)

#endif
