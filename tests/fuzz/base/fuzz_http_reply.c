/* Any lines of a response head are taken or refused; what is kept lies within what came, and the
 * status has at most three digits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/http_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct http_reply reply;
    struct str rest = {(const char *)data, size};
    http_reply_init(&reply);
    while (rest.len > 0) {
        const ptrdiff_t end = str_find_char(rest, '\n');
        const size_t n = end < 0 ? rest.len : (size_t)end + 1;
        if (!http_reply_line(&reply, str_sub(rest, 0, n))) {
            break;
        }
        rest = str_from(rest, n);
    }
    size_t kept = 0;
    for (unsigned i = 0; i < REPLY_FIELD_COUNT; i++) {
        kept += http_reply_get(&reply, (enum http_reply_field)i).len;
    }
    if (reply.status < 0 || reply.status > 999 || kept > reply.head_bytes ||
        reply.head_bytes > HTTP_HEAD_BYTES_MAX || !buf_ok(&reply.text)) {
        abort();
    }
    http_reply_release(&reply);
    return 0;
}
