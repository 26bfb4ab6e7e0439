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
/* Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space. */
bool utf8_rune_prints(uint32_t rune);
/* Go's strings.ToLower / ToUpper: the simple case mapping of every rune of Unicode 14 (no locale,
 * no one-to-many mapping); an invalid byte becomes U+FFFD. */
void utf8_lower(struct buf *to, struct str s);
void utf8_upper(struct buf *to, struct str s);

#endif
