/* The loop over known lines, compiled once for each kernel: the file that includes this names it
 * KNOWN_LINES and has been compiled for what line_kernel.h may use. Private to known_lines*.c. */
#include "base/attr.h"
#include "base/bytes.h"
#include "base/value.h"
#include "scrape/ingest_row.h"
#include "scrape/known_lines.h"
#include "scrape/line_kernel.h"
#include "scrape/page_reader.h"

/* Bytes that may be read behind a key: the blank, the value and a word behind it. */
enum { READ_AHEAD = 1 + KERNEL_VALUE_BYTES + 7 };

/* ---- numbers ---- */

/* The number of the first n digits of a word, 1 to 8; -1 when they are not digits. All at once, after
 * Lemire, "Quickly parsing eight digits" (2018). */
static ALWAYS_INLINE int64_t digits_word(uint64_t word, unsigned n) {
    const unsigned unused = 64 - 8 * n;
    const uint64_t digits = (word ^ UINT64_C(0x3030303030303030)) << unused;
    if ((((digits + UINT64_C(0x7676767676767676)) | digits) & UINT64_C(0x8080808080808080)) != 0) {
        return -1;
    }
    const uint64_t pairs = digits * 10 + (digits >> 8);
    const uint64_t low = UINT64_C(0x000000FF000000FF);
    return (int64_t)(((pairs & low) * (100 + (UINT64_C(1000000) << 32)) +
                      (pairs >> 16 & low) * (1 + (UINT64_C(10000) << 32))) >>
                     32);
}

/* The number of n digits in the first two words of a text; -1 for anything else. 16 digits may pass
 * the limit of a mantissa. */
static ALWAYS_INLINE int64_t digits_words(uint64_t first, uint64_t second, size_t n) {
    if (n - 1 < 8) {
        return digits_word(first, (unsigned)n);
    }
    if (n - 9 >= 7) {
        return -1;
    }
    const unsigned shift = 8 * ((unsigned)n - 8);
    const int64_t high = digits_word(first, (unsigned)n - 8);
    const int64_t low = digits_word(first >> shift | second << (64 - shift), 8);
    return high < 0 || low < 0 ? -1 : high * 100000000 + low;
}

/* Which byte of the word is c; 8 when none is. */
static ALWAYS_INLINE size_t find_byte(uint64_t word, char c) {
    const uint64_t x = word ^ (uint8_t)c * UINT64_C(0x0101010101010101);
    const uint64_t hit = (x - UINT64_C(0x0101010101010101)) & ~x & UINT64_C(0x8080808080808080);
    return hit != 0 ? (size_t)__builtin_ctzll(hit) / 8 : 8;
}

/* "12.5", and with an exponent "1.25e+09" or "2.5e-05": the digits without the point are one number.
 * False leaves anything else to num_parse; both give the same. */
static ALWAYS_INLINE bool read_decimal(const char *p, size_t n, uint64_t first, uint64_t second,
                                       struct num *out) {
    int exponent = 0;
    if (n > 4 && p[n - 4] == 'e' && (p[n - 3] == '+' || p[n - 3] == '-')) {
        const unsigned tens = (unsigned)(p[n - 2] - '0');
        const unsigned ones = (unsigned)(p[n - 1] - '0');
        if (tens > 9 || ones > 9) {
            return false;
        }
        exponent = (int)(tens * 10 + ones);
        exponent = p[n - 3] == '-' ? -exponent : exponent;
        n -= 4;
    }
    const size_t point = find_byte(first, '.');
    if (point < 8 && point < n) {
        if (n < 2) {
            return false;
        }
        const uint64_t before = (UINT64_C(1) << 8 * point) - 1;
        first = (first & before) | ((first >> 8 | second << 56) & ~before);
        second >>= 8;
        n--;
        exponent -= (int)(n - point);
    }
    const int64_t digits = digits_words(first, second, n);
    if (digits <= 0 || exponent > 0 || exponent < -NUM_SCALE_MAX) {
        static const int64_t powers[] = {1,      10,      100,      1000,      10000,
                                         100000, 1000000, 10000000, 100000000, 1000000000};
        if (digits <= 0 || exponent < 0 || exponent >= (int)COUNT_OF(powers) ||
            digits >= NUM_MANTISSA_LIMIT / powers[exponent]) {
            return false;
        }
        *out = num_of_i64(digits * powers[exponent]);
        return true;
    }
    *out = (struct num){.m = digits, .scale = (uint8_t)-exponent, .kind = NUM_DECIMAL};
    return true;
}

/* Most values are integers of a few digits. KERNEL_VALUE_BYTES may be read. */
static ALWAYS_INLINE bool read_value(const char *p, size_t n, struct num *out) {
    const uint64_t first = load_u64(p);
    const uint64_t second = load_u64(p + 8);
    const int64_t integer = digits_words(first, second, n);
    if (LIKELY(integer >= 0)) {
        *out = num_of_i64(integer);
        return true;
    }
    if (n <= 16 + 4 && read_decimal(p, n, first, second, out)) {
        return true;
    }
    struct num odd;
    if (num_parse((struct str){p, n}, &odd) != NUMBER_OK) {
        return false;
    }
    out->m = odd.m;
    out->scale = odd.scale;
    out->kind = odd.kind;
    return true;
}

/* ---- lines ---- */

/* Does the page go on with this entry at at? */
static bool line_is(const struct page_reader *r, struct line_entry entry, const char *at) {
    const size_t n = (size_t)entry.comment_bytes + entry.key_bytes;
    return (size_t)(r->readable_end - at) >= n + READ_AHEAD &&
           kernel_same_bytes(r->ig->lines.text + entry.text_at, at, n) && at[n] == ' ';
}

/* Lines that vanished with what was before them unchanged: the entry with which the page goes on
 * at at, or LINE_NONE. */
static uint32_t skip_vanished(struct page_reader *r, uint32_t next, const char *at) {
    const struct line_template *const lines = &r->ig->lines;
    for (uint32_t i = next + 1; i < lines->count && i < next + PAGE_LOOK_AHEAD; i++) {
        if (line_is(r, lines->entries[i], at)) {
            r->next = next;
            page_start_noting(r);
            return i;
        }
    }
    return LINE_NONE;
}

/* Every line from entry next on that needs nothing but a comparison, a number and a store; the
 * entry of the first other one. Values stay in registers: one that is put together in memory and
 * then copied as a whole waits for its parts. */
HOT static uint32_t quick_lines(struct page_reader *r, uint32_t next, const char **io_at) {
    struct ingest_scratch *const s = r->s;
    const struct line_entry *const entries = r->ig->lines.entries;
    const char *const text = r->ig->lines.text;
    const uint32_t *const slots = r->ig->slots;
    const char *const readable_end = r->readable_end;
    const char *const end = r->body.ptr + r->body.len;
    struct num *const values = s->values;
    uint8_t *const states = s->states;
    uint8_t *const seen = s->seen;
    const uint64_t left = r->sample_limit > r->reached ? r->sample_limit - r->reached : 0;
    const uint32_t count = r->ig->lines.count;
    const uint32_t last = left < count - next ? next + (uint32_t)left : count;
    const bool noting = s->deviates;
    const uint8_t mark = noting ? SEEN | NOTED : SEEN;
    struct line_seen *const order = noting ? page_reserve_notes(s, last - next) : NULL;
    const uint32_t first = next;
    const char *at = *io_at;
    uint8_t type = LINE_TYPE_NONE;
    for (; next < last; next++) {
        const struct line_entry entry = entries[next];
        const size_t known = (size_t)entry.comment_bytes + entry.key_bytes;
        if ((size_t)(readable_end - at) < known + READ_AHEAD ||
            !kernel_same_bytes(text + entry.text_at, at, known) || at[known] != ' ') {
            break;
        }
        const char *const value_at = at + known + 1;
        const size_t length = kernel_value_length(value_at);
        const uint32_t slot = slots[next];
        if (value_at + length >= end || value_at[length] != '\n' || slot > LINE_SLOT_MAX ||
            (seen[next] | states[slot]) != 0) {
            break;
        }
        struct num value;
        if (!read_value(value_at, length, &value)) {
            break;
        }
        values[slot].m = value.m;
        values[slot].scale = value.scale;
        values[slot].kind = value.kind;
        states[slot] = SLOT_VALUE;
        seen[next] = mark;
        if (noting) {
            order[next - first] = (struct line_seen){.entry = next, .comment_at = LINE_NONE};
        }
        type = entry.type != LINE_TYPE_NONE ? (uint8_t)entry.type : type;
        at = value_at + length + 1;
    }
    const uint32_t stored = next - first;
    r->type = type != LINE_TYPE_NONE ? (enum expo_type)type : r->type;
    r->reached += stored;
    r->scrape->scraped += stored;
    r->scrape->added += stored;
    s->seen_count += stored;
    s->order_count += noting ? stored : 0;
    *io_at = at;
    return next;
}

/* A line that needs more; false leaves it to the parser. */
static bool slow_line(struct page_reader *r, uint32_t next, const char **io_at) {
    struct ingest_scratch *const s = r->s;
    const struct line_entry entry = r->ig->lines.entries[next];
    const char *const line = *io_at + entry.comment_bytes;
    const char *line_end = line + entry.key_bytes + 1;
    const size_t length = kernel_value_length(line_end);
    struct expo_entry sample = {.kind = EXPO_SAMPLE};
    if (line_end + length >= r->body.ptr + r->body.len ||
        !read_value(line_end, length, &sample.value)) {
        return false;
    }
    line_end += length;
    s->parser.exemplar.present = false;
    if (*line_end == ' ') {
        const size_t more = known_line_end(r, line, line_end, &sample);
        if (more == 0) {
            return false;
        }
        line_end += more;
    }
    if (!known_line_take(r, next, &sample)) {
        return false;
    }
    if (entry.type != LINE_TYPE_NONE) {
        r->type = (enum expo_type)entry.type;
    }
    *io_at = line_end + 1;
    return true;
}

void KNOWN_LINES(struct page_reader *r) {
    const uint32_t count = r->ig->lines.count;
    const char *at = r->body.ptr + r->at;
    uint32_t next = r->next;
    if (r->at >= r->body.len || r->ig->mixed) {
        return;
    }
    while (next < count) {
        next = quick_lines(r, next, &at);
        if (next == count) {
            break;
        }
        if (!line_is(r, r->ig->lines.entries[next], at)) {
            const uint32_t found = skip_vanished(r, next, at);
            if (found == LINE_NONE) {
                break;
            }
            next = found;
            continue;
        }
        if (!slow_line(r, next, &at)) {
            break;
        }
        next++;
    }
    r->at = (size_t)(at - r->body.ptr);
    r->next = next;
}
