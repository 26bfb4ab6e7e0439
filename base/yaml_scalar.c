/* The resolver follows http://yaml.org/type/ with go-yaml v2's choices: the first byte decides
 * which readings are tried, base 60 numbers are strings when read and quoted when written. */
#include "base/yaml_scalar.h"

#include <math.h>

#include "base/number.h"

struct word {
    struct str text;
    struct yaml_value value;
};

#define WORD_BOOL(text, value)                                                                     \
    {                                                                                              \
        STR_INIT(text), {                                                                          \
            .type = YAML_TYPE_BOOL, .as.b = (value)                                                \
        }                                                                                          \
    }
#define WORD_FLOAT(text, value)                                                                    \
    {                                                                                              \
        STR_INIT(text), {                                                                          \
            .type = YAML_TYPE_FLOAT, .as.f = (value)                                               \
        }                                                                                          \
    }
#define WORD(text, kind)                                                                           \
    {                                                                                              \
        STR_INIT(text), {                                                                          \
            .type = (kind)                                                                         \
        }                                                                                          \
    }

static const struct word words[] = {
    WORD_BOOL("y", true),           WORD_BOOL("Y", true),           WORD_BOOL("yes", true),
    WORD_BOOL("Yes", true),         WORD_BOOL("YES", true),         WORD_BOOL("true", true),
    WORD_BOOL("True", true),        WORD_BOOL("TRUE", true),        WORD_BOOL("on", true),
    WORD_BOOL("On", true),          WORD_BOOL("ON", true),          WORD_BOOL("n", false),
    WORD_BOOL("N", false),          WORD_BOOL("no", false),         WORD_BOOL("No", false),
    WORD_BOOL("NO", false),         WORD_BOOL("false", false),      WORD_BOOL("False", false),
    WORD_BOOL("FALSE", false),      WORD_BOOL("off", false),        WORD_BOOL("Off", false),
    WORD_BOOL("OFF", false),        WORD("", YAML_TYPE_NULL),       WORD("~", YAML_TYPE_NULL),
    WORD("null", YAML_TYPE_NULL),   WORD("Null", YAML_TYPE_NULL),   WORD("NULL", YAML_TYPE_NULL),
    WORD("<<", YAML_TYPE_MERGE),    WORD_FLOAT(".nan", NAN),        WORD_FLOAT(".NaN", NAN),
    WORD_FLOAT(".NAN", NAN),        WORD_FLOAT(".inf", INFINITY),   WORD_FLOAT(".Inf", INFINITY),
    WORD_FLOAT(".INF", INFINITY),   WORD_FLOAT("+.inf", INFINITY),  WORD_FLOAT("+.Inf", INFINITY),
    WORD_FLOAT("+.INF", INFINITY),  WORD_FLOAT("-.inf", -INFINITY), WORD_FLOAT("-.Inf", -INFINITY),
    WORD_FLOAT("-.INF", -INFINITY),
};

enum { WORD_LONGEST = 5, NUMBER_LONGEST = 128 };

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static struct yaml_value value_of(enum yaml_type type) {
    return (struct yaml_value){.type = type};
}

static bool word_find(struct str text, struct yaml_value *out) {
    if (text.len > WORD_LONGEST) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq(words[i].text, text)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

/* ---- numbers ---- */

static int digit_of(char c) {
    if (is_digit(c)) {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

static bool parse_digits(struct str digits, unsigned base, uint64_t *out) {
    uint64_t value = 0;
    if (digits.len == 0) {
        return false;
    }
    for (size_t i = 0; i < digits.len; i++) {
        const unsigned digit = (unsigned)digit_of(digits.ptr[i]);
        if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

/* 10, -5, 0x1F, 0o17, 017, 0b11: strconv.ParseInt with base 0. */
static bool parse_integer(struct str text, struct yaml_value *out) {
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    const bool sign = negative || (text.len > 0 && text.ptr[0] == '+');
    struct str digits = str_from(text, sign ? 1 : 0);
    unsigned base = 10;
    if (digits.len > 1 && digits.ptr[0] == '0') {
        const char kind = (char)(digits.ptr[1] | 0x20);
        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        digits = str_from(digits, kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1);
    }
    uint64_t magnitude = 0;
    if (!parse_digits(digits, base, &magnitude)) {
        return false;
    }
    if (negative) {
        if (magnitude > (uint64_t)INT64_MAX + 1) {
            return false;
        }
        *out = (struct yaml_value){.type = YAML_TYPE_INT, .as.i = (int64_t)(0 - magnitude)};
    } else if (magnitude <= INT64_MAX) {
        *out = (struct yaml_value){.type = YAML_TYPE_INT, .as.i = (int64_t)magnitude};
    } else if (!sign) { /* as strconv.ParseUint, which takes no sign */
        *out = (struct yaml_value){.type = YAML_TYPE_UINT, .as.u = magnitude};
    } else {
        return false;
    }
    return true;
}

static size_t skip_digits(struct str text, size_t at) {
    while (at < text.len && is_digit(text.ptr[at])) {
        at++;
    }
    return at;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_like_float(struct str text) {
    const char *p = text.ptr;
    const size_t n = text.len;
    const size_t begin = n > 0 && (p[0] == '-' || p[0] == '+') ? 1 : 0;
    size_t at = skip_digits(text, begin);
    const bool has_whole = at > begin;
    if (at < n && p[at] == '.') {
        const size_t fraction = ++at;
        at = skip_digits(text, at);
        if (!has_whole && at == fraction) {
            return false;
        }
    } else if (!has_whole) {
        return false;
    }
    if (at < n && (p[at] == 'e' || p[at] == 'E')) {
        at++;
        if (at < n && (p[at] == '-' || p[at] == '+')) {
            at++;
        }
        const size_t exponent = at;
        at = skip_digits(text, at);
        return at == n && at > exponent;
    }
    return at == n;
}

/* ---- timestamps ---- */

/* One to two digits within a range; advances *at. */
static bool take_two(struct str text, size_t *at, int low, int high) {
    int value = 0;
    size_t n = 0;
    while (n < 2 && *at < text.len && is_digit(text.ptr[*at])) {
        value = value * 10 + (text.ptr[(*at)++] - '0');
        n++;
    }
    return n > 0 && value >= low && value <= high;
}

static bool take_char(struct str text, size_t *at, char c) {
    if (*at < text.len && text.ptr[*at] == c) {
        ++*at;
        return true;
    }
    return false;
}

static bool take_clock(struct str text, size_t *at) {
    if (!take_two(text, at, 0, 23) || !take_char(text, at, ':') || !take_two(text, at, 0, 59) ||
        !take_char(text, at, ':') || !take_two(text, at, 0, 59)) {
        return false;
    }
    if (take_char(text, at, '.')) {
        const size_t begin = *at;
        while (*at < text.len && is_digit(text.ptr[*at])) {
            ++*at;
        }
        return *at > begin;
    }
    return true;
}

/* 2006-1-2, 2006-1-2 15:4:5[.9], 2006-1-2T15:4:5[.9](Z|+07:00) */
static bool looks_like_timestamp(struct str text) {
    size_t at = 0;
    while (at < text.len && is_digit(text.ptr[at])) {
        at++;
    }
    if (at != 4 || !take_char(text, &at, '-') || !take_two(text, &at, 1, 12) ||
        !take_char(text, &at, '-') || !take_two(text, &at, 1, 31)) {
        return false;
    }
    if (at == text.len) {
        return true;
    }
    if (take_char(text, &at, ' ')) {
        return take_clock(text, &at) && at == text.len;
    }
    if ((!take_char(text, &at, 'T') && !take_char(text, &at, 't')) || !take_clock(text, &at)) {
        return false;
    }
    if (!take_char(text, &at, 'Z')) {
        if ((!take_char(text, &at, '+') && !take_char(text, &at, '-')) ||
            !take_two(text, &at, 0, 23) || !take_char(text, &at, ':') ||
            !take_two(text, &at, 0, 59)) {
            return false;
        }
    }
    return at == text.len;
}

static struct yaml_value resolve_number(struct str text) {
    if (looks_like_timestamp(text)) {
        return value_of(YAML_TYPE_TIMESTAMP);
    }
    char plain[NUMBER_LONGEST];
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '_') {
            continue;
        }
        if (n == sizeof(plain)) {
            return value_of(YAML_TYPE_STR);
        }
        plain[n++] = text.ptr[i];
    }
    const struct str digits = {plain, n};
    struct yaml_value value = value_of(YAML_TYPE_STR);
    if (parse_integer(digits, &value)) {
        return value;
    }
    double number = 0;
    if (looks_like_float(digits) && number_parse_double(digits, &number) == NUMBER_OK) {
        return (struct yaml_value){.type = YAML_TYPE_FLOAT, .as.f = number};
    }
    return value_of(YAML_TYPE_STR);
}

struct yaml_value yaml_resolve_plain(struct str text) {
    struct yaml_value value = value_of(YAML_TYPE_STR);
    if (word_find(text, &value)) {
        return value;
    }
    const char first = text.ptr[0];
    if (is_digit(first) || first == '-' || first == '+') {
        return resolve_number(text);
    }
    double number = 0;
    if (first == '.' && number_parse_double(text, &number) == NUMBER_OK) {
        return (struct yaml_value){.type = YAML_TYPE_FLOAT, .as.f = number};
    }
    return value;
}

struct yaml_value yaml_resolve(const struct yaml_node *scalar) {
    if (scalar->tag.len == 0) {
        return scalar->plain ? yaml_resolve_plain(scalar->text) : value_of(YAML_TYPE_STR);
    }
    if (str_eq(scalar->tag, STR("!!str"))) {
        return value_of(YAML_TYPE_STR);
    }
    if (str_eq(scalar->tag, STR("!!binary"))) {
        return value_of(YAML_TYPE_BINARY);
    }
    const struct yaml_value value = yaml_resolve_plain(scalar->text);
    if (str_eq(scalar->tag, STR("!!float")) && value.type == YAML_TYPE_INT) {
        return (struct yaml_value){.type = YAML_TYPE_FLOAT, .as.f = (double)value.as.i};
    }
    return value;
}

const char *yaml_tag_name(const struct yaml_node *node) {
    static const char *const names[] = {
        [YAML_TYPE_NULL] = "!!null",   [YAML_TYPE_BOOL] = "!!bool",
        [YAML_TYPE_INT] = "!!int",     [YAML_TYPE_UINT] = "!!int",
        [YAML_TYPE_FLOAT] = "!!float", [YAML_TYPE_TIMESTAMP] = "!!timestamp",
        [YAML_TYPE_MERGE] = "!!merge", [YAML_TYPE_BINARY] = "!!binary",
        [YAML_TYPE_STR] = "!!str",
    };
    if (node->tag.len != 0) {
        return node->tag.ptr;
    }
    switch (node->kind) {
    case YAML_SEQUENCE:
        return "!!seq";
    case YAML_MAPPING:
        return "!!map";
    case YAML_SCALAR:
        break;
    }
    return names[yaml_resolve(node).type];
}

/* ---- strings ---- */

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (is_digit(c)) {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padded base64; line breaks are skipped. out has room for 3/4 of text. */
static bool base64_decode(struct str text, char *out, size_t *out_len) {
    uint32_t bits = 0;
    size_t have = 0;
    size_t pads = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '\n' || c == '\r') {
            continue;
        }
        const int value = c == '=' ? 0 : base64_value(c);
        if (value < 0 || (pads > 0 && c != '=') || (c == '=' && have < 2)) {
            return false;
        }
        pads += c == '=';
        bits = bits << 6 | (uint32_t)value;
        if (++have == 4) {
            for (size_t k = 0; k < 3 - pads; k++) {
                out[n++] = (char)(bits >> (16 - 8 * k));
            }
            if (pads > 0) {
                /* nothing may follow the padding but line breaks */
                text = str_trim(str_from(text, i + 1));
                *out_len = n;
                return text.len == 0;
            }
            have = 0;
            bits = 0;
        }
    }
    *out_len = n;
    return have == 0;
}

enum err_code yaml_string(struct arena *arena, const struct yaml_node *scalar, struct str *out,
                          struct err *err) {
    if (!str_eq(scalar->tag, STR("!!binary"))) {
        *out = scalar->text;
        return ERR_OK;
    }
    char *bytes = arena_try_alloc(arena, scalar->text.len + 4, 1);
    size_t n = 0;
    if (bytes == NULL) {
        return err_set(err, ERR_LIMIT, "yaml: document needs too much memory");
    }
    if (!base64_decode(scalar->text, bytes, &n)) {
        return err_set(err, ERR_INVALID, "yaml: !!binary value contains invalid base64 data");
    }
    bytes[n] = '\0';
    *out = (struct str){bytes, n};
    return ERR_OK;
}

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?: YAML 1.1 readers take it for a number. */
static bool looks_like_base60(struct str text) {
    size_t i = 0;
    if (i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+')) {
        i++;
    }
    if (i == text.len || !is_digit(text.ptr[i])) {
        return false;
    }
    while (i < text.len && (is_digit(text.ptr[i]) || text.ptr[i] == '_')) {
        i++;
    }
    size_t groups = 0;
    while (i < text.len && text.ptr[i] == ':') {
        i++;
        size_t digits = 0;
        while (i < text.len && is_digit(text.ptr[i]) && digits < 2) {
            i++;
            digits++;
        }
        if (digits == 0 || (digits == 2 && text.ptr[i - 2] > '5')) {
            return false;
        }
        groups++;
    }
    if (i < text.len && text.ptr[i] == '.') {
        i++;
        while (i < text.len && (is_digit(text.ptr[i]) || text.ptr[i] == '_')) {
            i++;
        }
    }
    return groups > 0 && i == text.len;
}

bool yaml_needs_quotes(struct str text) {
    return yaml_resolve_plain(text).type != YAML_TYPE_STR || looks_like_base60(text);
}
