/* Escaping and unescaping a query value gives the value back; any text is unescaped, parsed,
 * resolved and redacted or refused; a parsed http URL has a host; what was resolved is a URL; and
 * libcurl, which makes the requests, finds the same parts where it takes the URL at all. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
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

static void require_part(CURLU *theirs, CURLUPart which, unsigned flags, struct str ours) {
    char *text = NULL;
    const CURLUcode rc = curl_url_get(theirs, which, &text, flags);
    require(str_eq(rc == CURLUE_OK ? str_of(text) : STR(""), ours));
    curl_free(text);
}

/* libcurl writes addresses anew: "127.1" as "127.0.0.1", "[::0]" as "[::]". */
static void require_host(CURLU *theirs, struct str ours) {
    char *text = NULL;
    struct in_addr address;
    require(curl_url_get(theirs, CURLUPART_HOST, &text, 0) == CURLUE_OK);
    if (text[0] == '[') {
        require(ours.ptr[0] == '[');
    } else if (inet_pton(AF_INET, text, &address) == 1) {
        char *copy = mem_strndup(ours.ptr, ours.len);
        struct in_addr same;
        require(inet_aton(copy, &same) != 0 && same.s_addr == address.s_addr);
        mem_free(copy);
    } else {
        require(str_eq_nocase(str_of(text), ours));
    }
    curl_free(text);
}

static void compare(struct str in, const struct url *ours) {
    char *text = mem_strndup(in.ptr, in.len);
    CURLU *theirs = curl_url();
    if (curl_url_set(theirs, CURLUPART_URL, text, CURLU_PATH_AS_IS) == CURLUE_OK) {
        require_part(theirs, CURLUPART_SCHEME, 0, ours->scheme);
        require_part(theirs, CURLUPART_USER, CURLU_URLDECODE, ours->user);
        require_part(theirs, CURLUPART_PASSWORD, CURLU_URLDECODE, ours->password);
        require_host(theirs, ours->host);
        require_part(theirs, CURLUPART_PORT, 0, ours->port);
        require_part(theirs, CURLUPART_PATH, 0, ours->path);
        require_part(theirs, CURLUPART_QUERY, 0, ours->query);
        require_part(theirs, CURLUPART_FRAGMENT, 0, ours->fragment);
    }
    curl_url_cleanup(theirs);
    mem_free(text);
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
        if (http) {
            compare(in, &url);
        }
    } else {
        require(err.text[0] != '\0');
    }
    if (url_resolve(&arena, STR("http://h:1/a/b?q"), in, &resolved, &err) == ERR_OK) {
        /* Only a control character hidden in a user's name is found later. */
        require(url_parse(&arena, resolved, &url, &err) == ERR_OK ||
                strstr(err.text, "invalid userinfo") != NULL);
    }
    if (url_with_host(&arena, STR("https://u:p@h:1/x"), in, &resolved, &err) == ERR_OK) {
        require(url_parse(&arena, resolved, &url, &err) == ERR_OK);
        require(str_eq(url.user, STR("u")) && str_eq(url.port, STR("1")) &&
                str_eq(url.path, STR("/x")));
    }
    struct buf shown;
    buf_init(&shown, size + 16);
    url_redact(&shown, in);
    require(buf_ok(&shown));
    buf_release(&shown);
    arena_release(&arena);
    return 0;
}
