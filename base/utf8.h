/* UTF-8: strict (no surrogates, no overlong forms, <= U+10FFFF). Pure. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

bool utf8_valid(struct str s);
/* First rune and its length in bytes (1 and U+FFFD for an invalid byte). s must not be empty. */
uint32_t utf8_rune(struct str s, size_t *out_bytes);
/* Writes 1..4 bytes, returns how many. */
size_t utf8_encode(uint32_t rune, char out[4]);
/* Go's strconv.Quote (%q): double quotes, \n \t \\ \" \xHH \uHHHH for what is not printable. */
void utf8_quote(struct buf *to, struct str s);

#endif
