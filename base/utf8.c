#include "base/utf8.h"

#include "base/bytes.h"
#include "base/unicode_table.h"

enum { RUNE_ERROR = 0xFFFD };

static size_t ascii_prefix(const uint8_t *p, size_t n) {
    size_t at = 0;
    while (n - at >= 8 && (load_u64(p + at) & 0x8080808080808080ULL) == 0) {
        at += 8;
    }
    while (at < n && p[at] < 0x80) {
        at++;
    }
    return at;
}

/* Length and rune of the sequence at p, or 0 when there is no valid one. The ranges of the
 * second byte are table 3-7 of the Unicode standard: they keep out overlong forms, surrogates
 * and what lies beyond U+10FFFF. */
static size_t decode(const uint8_t *p, size_t n, uint32_t *out_rune) {
    const uint8_t b0 = p[0];
    if (b0 < 0x80) {
        *out_rune = b0;
        return 1;
    }
    if (b0 < 0xC2 || b0 > 0xF4) {
        return 0;
    }
    const size_t want = b0 < 0xE0 ? 2 : b0 < 0xF0 ? 3 : 4;
    if (n < want) {
        return 0;
    }
    const uint8_t low = b0 == 0xE0 ? 0xA0 : b0 == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = b0 == 0xED ? 0x9F : b0 == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    uint32_t rune = (uint32_t)(b0 & (0x7F >> want)) << 6 | (p[1] & 0x3F);
    for (size_t i = 2; i < want; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        rune = rune << 6 | (p[i] & 0x3F);
    }
    *out_rune = rune;
    return want;
}

bool utf8_valid(struct str s) {
    const uint8_t *p = (const uint8_t *)s.ptr;
    size_t at = 0;
    while (at < s.len) {
        at += ascii_prefix(p + at, s.len - at);
        if (at < s.len) {
            uint32_t rune = 0;
            const size_t n = decode(p + at, s.len - at, &rune);
            if (n == 0) {
                return false;
            }
            at += n;
        }
    }
    return true;
}

uint32_t utf8_rune(struct str s, size_t *out_bytes) {
    uint32_t rune = RUNE_ERROR;
    const size_t n = decode((const uint8_t *)s.ptr, s.len, &rune);
    *out_bytes = n != 0 ? n : 1;
    return n != 0 ? rune : RUNE_ERROR;
}

size_t utf8_encode(uint32_t rune, char out[4]) {
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    if (rune < 0x800) {
        out[0] = (char)(0xC0 | rune >> 6);
        out[1] = (char)(0x80 | (rune & 0x3F));
        return 2;
    }
    if (rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000)) {
        rune = RUNE_ERROR;
    }
    if (rune < 0x10000) {
        out[0] = (char)(0xE0 | rune >> 12);
        out[1] = (char)(0x80 | (rune >> 6 & 0x3F));
        out[2] = (char)(0x80 | (rune & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | rune >> 18);
    out[1] = (char)(0x80 | (rune >> 12 & 0x3F));
    out[2] = (char)(0x80 | (rune >> 6 & 0x3F));
    out[3] = (char)(0x80 | (rune & 0x3F));
    return 4;
}

bool utf8_rune_prints(uint32_t rune) {
    if (rune < 0x7F) {
        return rune >= 0x20;
    }
    size_t low = 0;
    size_t high = unicode_print_edge_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (unicode_print_edges[mid] <= rune) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low % 2 == 1;
}

static const char hex_digits[] = "0123456789abcdef";

static void quote_hex(struct buf *to, const char *prefix, uint32_t v, int digits) {
    char text[12];
    size_t n = 0;
    text[n++] = '\\';
    text[n++] = prefix[0];
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        text[n++] = hex_digits[v >> shift & 15];
    }
    buf_append(to, text, n);
}

static void quote_rune(struct buf *to, uint32_t rune, struct str bytes) {
    static const char short_names[] = "abtnvfr"; /* U+0007 .. U+000D */
    if (rune == '"' || rune == '\\') {
        buf_append_char(to, '\\');
        buf_append_char(to, (char)rune);
    } else if (utf8_rune_prints(rune)) {
        buf_append_str(to, bytes);
    } else if (rune >= 7 && rune <= 13) {
        buf_append_char(to, '\\');
        buf_append_char(to, short_names[rune - 7]);
    } else if (rune < 0x20 || rune == 0x7F) {
        quote_hex(to, "x", rune, 2);
    } else if (rune < 0x10000) {
        quote_hex(to, "u", rune, 4);
    } else {
        quote_hex(to, "U", rune, 8);
    }
}

static bool is_plain(uint8_t c) {
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void utf8_quote(struct buf *to, struct str s) {
    buf_append_char(to, '"');
    size_t at = 0;
    while (at < s.len) {
        size_t end = at;
        while (end < s.len && is_plain((uint8_t)s.ptr[end])) {
            end++;
        }
        buf_append(to, s.ptr + at, end - at);
        at = end;
        if (at < s.len) {
            uint32_t rune = RUNE_ERROR;
            const size_t n = decode((const uint8_t *)s.ptr + at, s.len - at, &rune);
            if (n == 0) {
                quote_hex(to, "x", (uint8_t)s.ptr[at], 2);
                at++;
            } else {
                quote_rune(to, rune, str_sub(s, at, n));
                at += n;
            }
        }
    }
    buf_append_char(to, '"');
}

static uint32_t map_rune(uint32_t rune, const struct unicode_run *runs, size_t count) {
    for (size_t i = 0; i < count && runs[i].low <= rune; i++) {
        if (rune <= runs[i].high && (rune - runs[i].low) % runs[i].step == 0) {
            return (uint32_t)((int32_t)rune + runs[i].delta);
        }
    }
    return rune;
}

static void map_text(struct buf *to, struct str s, char first, const struct unicode_run *runs,
                     size_t count) {
    char *ascii = buf_reserve(to, s.len);
    if (ascii == NULL) {
        return;
    }
    size_t at = 0;
    for (; at < s.len && (uint8_t)s.ptr[at] < 0x80; at++) {
        const char c = s.ptr[at];
        ascii[at] = c >= first && c < first + 26 ? (char)(c ^ 0x20) : c;
    }
    ascii[at] = '\0';
    to->len += at;
    while (at < s.len) {
        size_t n = 0;
        const uint32_t rune = utf8_rune(str_from(s, at), &n);
        char bytes[4];
        buf_append(to, bytes, utf8_encode(map_rune(rune, runs, count), bytes));
        at += n;
    }
}

void utf8_lower(struct buf *to, struct str s) {
    map_text(to, s, 'A', unicode_lower_runs, unicode_lower_runs_count);
}

void utf8_upper(struct buf *to, struct str s) {
    map_text(to, s, 'a', unicode_upper_runs, unicode_upper_runs_count);
}
