/* Escapes and character classes of the gate. The order of attempts is RE2's and decides which
 * error a bad pattern gets. */
#include "base/regex_ast.h"
#include "base/utf8.h"

enum { LONG_S = 0x17F, KELVIN_SIGN = 0x212A };

enum err_code regex_syntax_error(const struct regex_reader *r, const char *what, struct str text) {
    return err_set(r->err, ERR_INVALID, "error parsing regexp: %s: `%.*s`", what, STR_ARG(text));
}

/* What was taken since start. */
static struct str taken(const struct regex_reader *r, struct str start) {
    return str_sub(start, 0, start.len - r->rest.len);
}

static bool next_is(const struct regex_reader *r, char c) {
    return r->rest.len > 0 && r->rest.ptr[0] == c;
}

enum err_code regex_take_rune(struct regex_reader *r, uint32_t *out) {
    size_t n = 0;
    const uint32_t rune = utf8_rune(r->rest, &n);
    if (rune == 0xFFFD && n == 1) {
        return regex_syntax_error(r, "invalid UTF-8", r->rest);
    }
    r->rest = str_from(r->rest, n);
    *out = rune;
    return ERR_OK;
}

/* As regex_take_rune, but the end of the pattern yields a rune that fits nowhere. */
static enum err_code take_rune_or_end(struct regex_reader *r, uint32_t *out) {
    if (r->rest.len == 0) {
        *out = 0xFFFD;
        return ERR_OK;
    }
    return regex_take_rune(r, out);
}

static int hex_value(uint32_t c) {
    if (c >= '0' && c <= '9') {
        return (int)(c - '0');
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)(c - 'a') + 10 : -1;
}

/* Behind \x: two digits, or any number in braces. *out_ok is false for a bad form. */
static enum err_code take_hex(struct regex_reader *r, uint32_t *out, bool *out_ok) {
    uint32_t c = 0;
    *out_ok = false;
    if (r->rest.len == 0) {
        return ERR_OK;
    }
    enum err_code code = regex_take_rune(r, &c);
    if (code != ERR_OK) {
        return code;
    }
    if (c != '{') {
        uint32_t second = 0;
        code = take_rune_or_end(r, &second);
        const int high = hex_value(c);
        const int low = hex_value(second);
        *out_ok = high >= 0 && low >= 0;
        *out = (uint32_t)(high * 16 + low);
        return code;
    }
    uint32_t value = 0;
    for (int digits = 0; r->rest.len > 0; digits++) {
        code = regex_take_rune(r, &c);
        if (code != ERR_OK) {
            return code;
        }
        if (c == '}') {
            *out_ok = digits > 0;
            *out = value;
            return ERR_OK;
        }
        const int digit = hex_value(c);
        if (digit < 0) {
            return ERR_OK;
        }
        value = value * 16 + (uint32_t)digit;
        if (value > REGEX_RUNE_MAX) {
            return ERR_OK;
        }
    }
    return ERR_OK;
}

static bool is_octal(const struct regex_reader *r) {
    return r->rest.len > 0 && r->rest.ptr[0] >= '0' && r->rest.ptr[0] <= '7';
}

static uint32_t take_octal(struct regex_reader *r, uint32_t first) {
    uint32_t value = first - '0';
    for (int i = 1; i < 3 && is_octal(r); i++) {
        value = value * 8 + (uint32_t)(r->rest.ptr[0] - '0');
        r->rest = str_from(r->rest, 1);
    }
    return value;
}

static bool is_alnum(uint32_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

enum err_code regex_take_escape(struct regex_reader *r, uint32_t *out) {
    static const char names[] = "afnrtv";
    static const char values[] = "\a\f\n\r\t\v";
    const struct str start = r->rest;
    r->rest = str_from(r->rest, 1);
    if (r->rest.len == 0) {
        return regex_syntax_error(r, "trailing backslash at end of expression", STR(""));
    }
    uint32_t c = 0;
    enum err_code code = regex_take_rune(r, &c);
    if (code != ERR_OK) {
        return code;
    }
    if (c < 0x80 && !is_alnum(c)) {
        *out = c;
        return ERR_OK;
    }
    /* a single non-zero digit would be a back-reference */
    if (c == '0' || (c >= '1' && c <= '7' && is_octal(r))) {
        *out = take_octal(r, c);
        return ERR_OK;
    }
    const char *name = c < 0x80 ? strchr(names, (int)c) : NULL;
    if (name != NULL) {
        *out = (uint32_t)values[name - names];
        return ERR_OK;
    }
    bool ok = false;
    if (c == 'x') {
        code = take_hex(r, out, &ok);
    }
    return code != ERR_OK || ok ? code
                                : regex_syntax_error(r, "invalid escape sequence", taken(r, start));
}

/* classes */

static void add_range(struct arena *arena, struct regex_class *class, uint32_t low, uint32_t high) {
    if (class->range_count == class->range_capacity) {
        const size_t capacity = class->range_capacity == 0 ? 4 : class->range_capacity * 2;
        struct regex_range *grown = arena_alloc(arena, capacity * sizeof(*grown));
        if (class->range_count > 0) {
            memcpy(grown, class->ranges, class->range_count * sizeof(*grown));
        }
        class->ranges = grown;
        class->range_capacity = capacity;
    }
    class->ranges[class->range_count++] = (struct regex_range){low, high};
}

static void add_property(struct arena *arena, struct regex_class *class,
                         struct regex_property property) {
    if (class->property_count == class->property_capacity) {
        const size_t capacity = class->property_capacity == 0 ? 4 : class->property_capacity * 2;
        struct regex_property *grown = arena_alloc(arena, capacity * sizeof(*grown));
        if (class->property_count > 0) {
            memcpy(grown, class->properties, class->property_count * sizeof(*grown));
        }
        class->properties = grown;
        class->property_capacity = capacity;
    }
    class->properties[class->property_count++] = property;
}

/* All runes that are not in the ASCII set, except the two that fold into ASCII, long s
 * and the Kelvin sign, when their letters are in it. */
static void add_complement(struct arena *arena, struct regex_class *class, const bool in[128],
                           bool fold) {
    uint32_t from = 0;
    for (uint32_t c = 0; c < 128; c++) {
        if (in[c]) {
            if (from < c) {
                add_range(arena, class, from, c - 1);
            }
            from = c + 1;
        }
    }
    if (fold && in['s']) {
        add_range(arena, class, from, LONG_S - 1);
        from = LONG_S + 1;
    }
    if (fold && in['k']) {
        add_range(arena, class, from, KELVIN_SIGN - 1);
        from = KELVIN_SIGN + 1;
    }
    add_range(arena, class, from, REGEX_RUNE_MAX);
}

/* Pairs of low and high in ASCII, or all that is in none of them. Ignoring case comes before the
 * negation: (?i)\W has no letter in it. */
static void add_pairs(const struct regex_reader *r, struct regex_class *class, struct str pairs,
                      bool negated) {
    bool in[128] = {false};
    for (size_t i = 0; i + 1 < pairs.len; i += 2) {
        const uint8_t low = (uint8_t)pairs.ptr[i];
        const uint8_t high = (uint8_t)pairs.ptr[i + 1];
        if (!negated) {
            add_range(r->arena, class, low, high);
        }
        for (unsigned c = low; c <= high; c++) {
            in[c] = true;
        }
    }
    if (!negated) {
        return;
    }
    for (unsigned c = 'a'; r->fold && c <= 'z'; c++) {
        in[c] = in[c - 0x20] = in[c] || in[c - 0x20];
    }
    add_complement(r->arena, class, in, r->fold);
}

struct named_class {
    struct str name;
    struct str pairs;
};

static const struct named_class posix_classes[] = {
    {STR_INIT("alnum"), STR_INIT("09AZaz")},
    {STR_INIT("alpha"), STR_INIT("AZaz")},
    {STR_INIT("ascii"), STR_INIT("\x00\x7F")},
    {STR_INIT("blank"), STR_INIT("\t\t  ")},
    {STR_INIT("cntrl"), STR_INIT("\x00\x1F\x7F\x7F")},
    {STR_INIT("digit"), STR_INIT("09")},
    {STR_INIT("graph"), STR_INIT("!~")},
    {STR_INIT("lower"), STR_INIT("az")},
    {STR_INIT("print"), STR_INIT(" ~")},
    {STR_INIT("punct"), STR_INIT("!/:@[`{~")},
    {STR_INIT("space"), STR_INIT("\t\r  ")},
    {STR_INIT("upper"), STR_INIT("AZ")},
    {STR_INIT("word"), STR_INIT("09AZ__az")},
    {STR_INIT("xdigit"), STR_INIT("09AFaf")},
};

/* [:name:] inside a class; *out_taken is false when the rest is no such thing. */
static enum err_code take_posix(struct regex_reader *r, struct regex_class *class,
                                bool *out_taken) {
    *out_taken = false;
    if (r->rest.len <= 2 || !str_starts(r->rest, STR("[:"))) {
        return ERR_OK;
    }
    const ptrdiff_t end = str_find(str_from(r->rest, 2), STR(":]"));
    if (end < 0) {
        return ERR_OK;
    }
    struct str name = str_sub(r->rest, 2, (size_t)end);
    const bool negated = str_starts(name, STR("^"));
    name = negated ? str_from(name, 1) : name;
    for (size_t i = 0; i < COUNT_OF(posix_classes); i++) {
        if (str_eq(posix_classes[i].name, name)) {
            add_pairs(r, class, posix_classes[i].pairs, negated);
            r->rest = str_from(r->rest, (size_t)end + 4);
            *out_taken = true;
            return ERR_OK;
        }
    }
    return regex_syntax_error(r, "invalid character class range",
                              str_sub(r->rest, 0, (size_t)end + 4));
}

static bool take_perl(struct regex_reader *r, struct regex_class *class) {
    if (r->rest.len < 2 || r->rest.ptr[0] != '\\') {
        return false;
    }
    const char c = r->rest.ptr[1];
    const bool negated = c >= 'A' && c <= 'Z';
    switch (c | 0x20) {
    case 'd':
        add_pairs(r, class, STR("09"), negated);
        break;
    case 's':
        add_pairs(r, class, STR("\t\n\f\r  "), negated);
        break;
    case 'w':
        add_pairs(r, class, STR("09AZ__az"), negated);
        break;
    default:
        return false;
    }
    r->rest = str_from(r->rest, 2);
    return true;
}

static void add_named_property(struct regex_reader *r, struct regex_class *class, struct str name,
                               bool negated) {
    if (str_eq_nocase(name, STR("any"))) {
        if (!negated) {
            add_range(r->arena, class, 0, REGEX_RUNE_MAX);
        }
    } else if (str_eq_nocase(name, STR("ascii"))) {
        add_pairs(r, class, STR("\x00\x7F"), negated);
    } else {
        add_property(r->arena, class, (struct regex_property){name, negated});
    }
}

/* \pL, \PL, \p{Greek}, \p{^Greek} */
static enum err_code take_property(struct regex_reader *r, struct regex_class *class,
                                   bool *out_taken) {
    *out_taken = false;
    if (!str_starts(r->rest, STR("\\p")) && !str_starts(r->rest, STR("\\P"))) {
        return ERR_OK;
    }
    const struct str start = r->rest;
    bool negated = start.ptr[1] == 'P';
    r->rest = str_from(r->rest, 2);
    uint32_t c = 0;
    enum err_code code = take_rune_or_end(r, &c);
    if (code != ERR_OK) {
        return code;
    }
    struct str name = str_from(taken(r, start), 2);
    if (c == '{') {
        const ptrdiff_t end = str_find_char(r->rest, '}');
        const struct str inside = end < 0 ? r->rest : str_sub(r->rest, 0, (size_t)end);
        if (!utf8_valid(inside)) {
            return regex_syntax_error(r, "invalid UTF-8", end < 0 ? start : inside);
        }
        if (end < 0) {
            return regex_syntax_error(r, "invalid character class range", start);
        }
        name = inside;
        r->rest = str_from(r->rest, (size_t)end + 1);
    }
    if (str_starts(name, STR("^"))) {
        negated = !negated;
        name = str_from(name, 1);
    }
    const struct str engine_name = regex_property_name(name, r->arena);
    if (engine_name.len == 0) {
        return regex_syntax_error(r, "invalid character class range", taken(r, start));
    }
    add_named_property(r, class, engine_name, negated);
    *out_taken = true;
    return ERR_OK;
}

enum err_code regex_take_class_escape(struct regex_reader *r, struct regex_class **out) {
    *out = NULL;
    if (r->rest.len < 2 || r->rest.ptr[0] != '\\' || strchr("dDsSwWpP", r->rest.ptr[1]) == NULL ||
        r->rest.ptr[1] == '\0') {
        return ERR_OK;
    }
    struct regex_class *class = arena_zalloc(r->arena, sizeof(*class));
    bool is_property = false;
    const enum err_code code = take_property(r, class, &is_property);
    if (code != ERR_OK) {
        return code;
    }
    if (is_property || take_perl(r, class)) {
        *out = class;
    }
    return ERR_OK;
}

static enum err_code take_class_rune(struct regex_reader *r, struct str whole, uint32_t *out) {
    if (r->rest.len == 0) {
        return regex_syntax_error(r, "missing closing ]", whole);
    }
    return next_is(r, '\\') ? regex_take_escape(r, out) : regex_take_rune(r, out);
}

static enum err_code take_range(struct regex_reader *r, struct str whole,
                                struct regex_class *class) {
    const struct str start = r->rest;
    uint32_t low = 0;
    enum err_code code = take_class_rune(r, whole, &low);
    uint32_t high = low;
    if (code == ERR_OK && r->rest.len >= 2 && r->rest.ptr[0] == '-' && r->rest.ptr[1] != ']') {
        r->rest = str_from(r->rest, 1);
        code = take_class_rune(r, whole, &high);
        if (code == ERR_OK && high < low) {
            code = regex_syntax_error(r, "invalid character class range", taken(r, start));
        }
    }
    if (code == ERR_OK) {
        add_range(r->arena, class, low, high);
    }
    return code;
}

enum err_code regex_take_class(struct regex_reader *r, struct regex_class **out) {
    const struct str whole = r->rest;
    struct regex_class *class = arena_zalloc(r->arena, sizeof(*class));
    r->rest = str_from(r->rest, 1);
    if (next_is(r, '^')) {
        class->negated = true;
        r->rest = str_from(r->rest, 1);
    }
    for (bool first = true; first || !next_is(r, ']'); first = false) {
        bool was_taken = false;
        enum err_code code = take_posix(r, class, &was_taken);
        if (code == ERR_OK && !was_taken) {
            code = take_property(r, class, &was_taken);
        }
        if (code == ERR_OK && !was_taken && !take_perl(r, class)) {
            code = take_range(r, whole, class);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    r->rest = str_from(r->rest, 1);
    *out = class;
    return ERR_OK;
}
