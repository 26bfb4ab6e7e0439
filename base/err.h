/* Errors: a code that says how to react, and a message that says what happened.
 *
 * The one that notices a failure writes the message with its facts (err_set, err_set_errno);
 * each caller that knows more prefixes it (err_wrap); the owner of the thread logs it, once.
 * Reporting never allocates. A struct err is a plain value on the caller's stack; every
 * function here accepts NULL for "nobody wants the text". Thread-safe: no shared state. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#include "base/attr.h"

/* Codes differ where the reaction differs. */
enum err_code {
    ERR_OK = 0,
    ERR_INVALID,       /* the input is wrong: refuse it, tell the sender */
    ERR_CORRUPT,       /* bytes that we once wrote are damaged: drop them, report file and offset */
    ERR_LIMIT,         /* a budget, size or count is exceeded: refuse, state is unchanged */
    ERR_IO,            /* the system failed a read, write or sync */
    ERR_NO_SPACE,      /* the disk is full: go read-only, resume later */
    ERR_NOT_FOUND,     /* there is no such thing */
    ERR_EXISTS,        /* there is one already, or another process holds it */
    ERR_TIMEOUT,       /* a deadline passed */
    ERR_CANCELED,      /* somebody asked to stop */
    ERR_UNAVAILABLE,   /* not now: starting, stopping, switched off */
    ERR_UNSUPPORTED,   /* legal, but not supported by this version */
    ERR_NETWORK,       /* connect, TLS, protocol */
    ERR_EXECUTION,     /* a query failed while it ran, by PromQL's rules */
    ERR_OUT_OF_ORDER,  /* sample older than the newest of its series */
    ERR_DUPLICATE,     /* other value for a timestamp that is stored already */
    ERR_TOO_OLD,       /* sample older than what is still accepted */
    ERR_OUT_OF_BOUNDS, /* sample too far in the future, or before the head's range */
    ERR_CODE_COUNT
};

/* Long enough for PromQL's duplicate-series texts with two label sets; longer ones are cut
 * at a UTF-8 boundary. */
enum { ERR_TEXT_MAX = 1024 };

struct err {
    enum err_code code;
    int sys_errno; /* 0 when the system was not involved */
    char text[ERR_TEXT_MAX];
};

/* Sets code and message; returns code, so that a caller can "return err_set(...)". */
enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": <strerror>" appended. ENOSPC and EDQUOT give ERR_NO_SPACE, ENOENT gives
 * ERR_NOT_FOUND, else ERR_IO. */
enum err_code err_set_errno(struct err *err, int sys_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Prefixes the message with "<fmt...>: " and returns the unchanged code. */
enum err_code err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A constant name of the code for logs and metric labels, e.g. "corrupt". */
const char *err_code_name(enum err_code code);

#endif
