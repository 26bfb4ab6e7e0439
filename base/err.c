#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts an over-long text before a UTF-8 continuation byte, so that JSON stays valid. */
static void cut_at_rune(char *text, size_t size) {
    size_t n = size - 1;
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) {
        n--;
    }
    text[n] = '\0';
}

static PRINTF_LIKE(3, 0) void format_text(char *text, size_t size, const char *fmt, va_list args) {
    const int n = vsnprintf(text, size, fmt, args);
    if (n >= (int)size) {
        const size_t last = size - 2;
        if ((unsigned char)text[last] >= 0x80) {
            size_t start = last;
            while (start > 0 && ((unsigned char)text[start] & 0xC0) == 0x80) {
                start--;
            }
            text[start] = '\0';
        }
    }
}

enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        err->sys_errno = 0;
        format_text(err->text, sizeof(err->text), fmt, args);
        va_end(args);
    }
    return code;
}

static enum err_code code_of_errno(int sys_errno) {
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

enum err_code err_set_errno(struct err *err, int sys_errno, const char *fmt, ...) {
    const enum err_code code = code_of_errno(sys_errno);
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        err->sys_errno = sys_errno;
        format_text(err->text, sizeof(err->text), fmt, args);
        va_end(args);

        const size_t used = strlen(err->text);
        char reason[128];
        const char *text = strerror_r(sys_errno, reason, sizeof(reason));
        (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", text);
    }
    return code;
}

enum err_code err_wrap(struct err *err, const char *fmt, ...) {
    if (err == NULL) {
        return ERR_INVALID;
    }
    char prefix[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    format_text(prefix, sizeof(prefix), fmt, args);
    va_end(args);

    char whole[2 * ERR_TEXT_MAX + 4];
    (void)snprintf(whole, sizeof(whole), "%s: %s", prefix, err->text);
    if (strlen(whole) >= sizeof(err->text)) {
        cut_at_rune(whole, sizeof(err->text));
    }
    memcpy(err->text, whole, strlen(whole) + 1);
    return err->code;
}

const char *err_code_name(enum err_code code) {
    static const char *const names[ERR_CODE_COUNT] = {
        [ERR_OK] = "ok",
        [ERR_INVALID] = "invalid",
        [ERR_CORRUPT] = "corrupt",
        [ERR_LIMIT] = "limit",
        [ERR_IO] = "io",
        [ERR_NO_SPACE] = "no_space",
        [ERR_NOT_FOUND] = "not_found",
        [ERR_EXISTS] = "exists",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELED] = "canceled",
        [ERR_UNAVAILABLE] = "unavailable",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_NETWORK] = "network",
        [ERR_EXECUTION] = "execution",
        [ERR_OUT_OF_ORDER] = "out_of_order",
        [ERR_DUPLICATE] = "duplicate",
        [ERR_TOO_OLD] = "too_old",
        [ERR_OUT_OF_BOUNDS] = "out_of_bounds",
    };
    return (unsigned)code < ERR_CODE_COUNT ? names[code] : "unknown";
}
