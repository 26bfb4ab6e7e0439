/* Whatever a token server answers: a token that is accepted is one header line, of bounded length
 * and life; all else is an error with a text. The first byte chooses status and type. */
#include <stdint.h>
#include <stdlib.h>

#include "base/http_auth.h"
#include "base/http_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    const struct str body = {(const char *)data + 1, size - 1};
    const struct str type = (data[0] & 1) != 0 ? STR("text/plain") : STR("application/json");
    const int status = (data[0] & 2) != 0 ? 400 : 200;
    struct arena arena;
    struct http_token token = {0};
    struct err err;
    arena_init(&arena, 0);
    const enum err_code code =
        http_token_read(&arena, status, STR("Reason"), type, body, &token, &err);
    if (code == ERR_OK &&
        (status != 200 || !str_starts(token.line, STR("Authorization: ")) ||
         !http_line_safe(token.line) || token.line.len > 2 * TOKEN_BYTES_MAX + 32 ||
         token.life_s < 0 || token.life_s > TOKEN_LIFE_S_MAX)) {
        abort();
    }
    if (code != ERR_OK && (code != ERR_NETWORK || err.text[0] == '\0' || token.line.len != 0)) {
        abort();
    }
    arena_release(&arena);
    return 0;
}
