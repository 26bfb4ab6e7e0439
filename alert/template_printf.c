/* fmt.Sprintf as far as templates use it: %v %s %q %d %x %X %o %O %b %c %U %t %T %e %f %g %% with
 * flags, width, precision, "*" and [n]. */
#include <math.h>
#include <stdio.h>

#include "alert/template_value.h"
#include "base/number.h"
#include "base/utf8.h"

enum { WIDTH_MAX = 1000, PRECISION_MAX = 500, ARGUMENT_MAX = 1000000 };

struct verb {
    bool minus, plus, sharp, space, zero;
    int width, precision; /* -1: not given */
    uint32_t letter;
    struct str text; /* of the letter */
};

struct formatter {
    struct buf *to;
    struct str format;
    size_t at;
    const struct template_value *args;
    size_t count;
    size_t next; /* argument */
    bool reordered, bad_index;
    bool after_index; /* [n] stands right before */
};

static size_t rune_count(struct str s) {
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++) {
        count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}

static void pad(struct buf *to, struct str text, const struct verb *v) {
    const size_t runes = rune_count(text);
    const size_t fill = v->width > 0 && (size_t)v->width > runes ? (size_t)v->width - runes : 0;
    for (size_t i = 0; i < fill && !v->minus; i++) {
        buf_append_char(to, v->zero ? '0' : ' ');
    }
    buf_append_str(to, text);
    for (size_t i = 0; i < fill && v->minus; i++) {
        buf_append_char(to, ' ');
    }
}

/* Zeros go between sign and digits. */
static void pad_number(struct buf *to, struct str text, const struct verb *v) {
    const bool sign = text.len > 0 && memchr("+- ", text.ptr[0], 3) != NULL;
    struct verb rest = *v;
    if (v->zero && !v->minus && sign) {
        buf_append_char(to, text.ptr[0]);
        text = str_from(text, 1);
        rest.width--;
    }
    pad(to, text, &rest);
}

static void put(struct buf *to, const struct verb *v, const struct template_value *arg);

static void bad_verb(struct buf *to, const struct verb *v, const struct template_value *arg) {
    buf_printf(to, "%%!%.*s(", STR_ARG(v->text));
    if (arg->type == TEMPLATE_NIL) {
        buf_append_cstr(to, "<nil>)");
        return;
    }
    buf_printf(to, "%s=", template_type_name(arg));
    struct verb plain = *v;
    plain.letter = 'v';
    plain.text = STR("v");
    put(to, &plain, arg);
    buf_append_char(to, ')');
}

/* ---- kinds of values ---- */

static void put_integer(struct buf *to, const struct verb *v, int64_t value) {
    const unsigned base = v->letter == 'x' || v->letter == 'X'   ? 16
                          : v->letter == 'o' || v->letter == 'O' ? 8
                          : v->letter == 'b'                     ? 2
                                                                 : 10;
    const char *digits = v->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[WIDTH_MAX + 80];
    size_t at = sizeof(text);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (v->precision == 0 && value == 0) {
        struct verb blank = *v;
        blank.zero = false;
        pad(to, STR(""), &blank);
        return;
    }
    do {
        text[--at] = digits[left % base];
        left /= base;
    } while (left != 0);
    const bool sign = value < 0 || (v->letter != 'v' && (v->plus || v->space));
    /* zeros by width are digits: a prefix stands before them */
    int wanted = v->precision;
    if (wanted < 0 && v->zero && !v->minus && v->width > 0) {
        wanted = v->width - (sign ? 1 : 0);
    }
    while (wanted > 0 && sizeof(text) - at < (size_t)wanted) {
        text[--at] = '0';
    }
    if (v->sharp && base == 16) {
        text[--at] = v->letter == 'X' ? 'X' : 'x';
        text[--at] = '0';
    } else if (v->sharp && v->letter == 'o' && text[at] != '0') {
        text[--at] = '0';
    } else if (v->sharp && base == 2) {
        text[--at] = 'b';
        text[--at] = '0';
    } else if (v->letter == 'O') {
        text[--at] = 'o';
        text[--at] = '0';
    }
    if (sign) {
        text[--at] = value < 0 ? '-' : v->plus ? '+' : ' ';
    }
    struct verb blank = *v;
    blank.zero = false;
    pad(to, (struct str){text + at, sizeof(text) - at}, &blank);
}

static void put_float(struct buf *to, const struct verb *v, double value) {
    char text[NUMBER_TEXT_MAX + PRECISION_MAX + 8];
    size_t n = 0;
    struct verb own = *v;
    const char letter = v->letter == 'v' ? 'g' : v->letter == 'F' ? 'f' : (char)v->letter;
    if (!isfinite(value)) {
        n = number_format_g(value, text);
        own.zero = false;
    } else if (letter == 'g' || letter == 'G') {
        n = v->precision < 0
                ? number_format_g(value, text)
                : number_format_g_prec(value, v->precision == 0 ? 1 : v->precision, text);
    } else {
        /* C's conversion rounds exactly as Go's; the locale is never set */
        n = (size_t)snprintf(text, sizeof(text),
                             letter == 'f'   ? "%.*f"
                             : letter == 'E' ? "%.*E"
                                             : "%.*e",
                             v->precision < 0 ? 6 : v->precision, value);
    }
    for (size_t i = 0; letter == 'G' && i < n; i++) {
        text[i] = text[i] == 'e' ? 'E' : text[i];
    }
    const bool has_sign = text[0] == '-' || text[0] == '+';
    const bool plus = v->plus && v->letter != 'v';
    if (text[0] == '+' && !plus) { /* +Inf, which Go shows with its sign always */
        own.space = false;
    } else if (!has_sign && (plus || v->space)) {
        memmove(text + 1, text, n);
        text[0] = plus ? '+' : ' ';
        n++;
    }
    pad_number(to, (struct str){text, n}, &own);
}

static struct str cut_runes(struct str text, int runes) {
    size_t at = 0;
    for (int i = 0; at < text.len && i < runes; i++) {
        size_t bytes = 0;
        (void)utf8_rune(str_from(text, at), &bytes);
        at += bytes;
    }
    return str_sub(text, 0, at);
}

static void put_hex(struct buf *to, const struct verb *v, struct str text) {
    const char *set = v->letter == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
    const char *prefix = !v->sharp ? "" : v->letter == 'x' ? "0x" : "0X";
    const size_t n =
        v->precision >= 0 && (size_t)v->precision < text.len ? (size_t)v->precision : text.len;
    for (size_t i = 0; i < n; i++) {
        if (v->space && i > 0) {
            buf_append_char(to, ' ');
        }
        if (i == 0 || v->space) {
            buf_append_cstr(to, prefix);
        }
        buf_append_char(to, set[(unsigned char)text.ptr[i] >> 4]);
        buf_append_char(to, set[(unsigned char)text.ptr[i] & 15]);
    }
}

static bool can_backquote(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == '`' || c == 0x7F) {
            return false;
        }
    }
    return utf8_valid(s);
}

/* Runes beyond ASCII as \u, in what is quoted already. */
static void put_ascii(struct buf *to, struct str quoted) {
    for (size_t i = 0; i < quoted.len;) {
        size_t bytes = 0;
        const uint32_t rune = utf8_rune(str_from(quoted, i), &bytes);
        if (rune < 0x80) {
            buf_append_char(to, (char)rune);
        } else {
            buf_printf(to, rune > 0xFFFF ? "\\U%08x" : "\\u%04x", rune);
        }
        i += bytes;
    }
}

static void put_quoted(struct buf *to, const struct verb *v, struct str text) {
    if (v->sharp && v->letter == 'q' && can_backquote(text)) {
        buf_append_char(to, '`');
        buf_append_str(to, text);
        buf_append_char(to, '`');
        return;
    }
    struct buf quoted;
    buf_init(&quoted, TEMPLATE_OUTPUT_MAX);
    utf8_quote(&quoted, text);
    if (v->plus) {
        put_ascii(to, buf_str(&quoted));
    } else {
        buf_append_str(to, buf_str(&quoted));
    }
    buf_release(&quoted);
}

static void put_text(struct buf *to, const struct verb *v, struct str text) {
    struct buf shown;
    buf_init(&shown, TEMPLATE_OUTPUT_MAX);
    if (v->letter == 'x' || v->letter == 'X') {
        put_hex(&shown, v, text);
    } else {
        if (v->precision >= 0) {
            text = cut_runes(text, v->precision);
        }
        if (v->letter == 'q' || (v->letter == 'v' && v->sharp)) {
            put_quoted(&shown, v, text);
        } else {
            buf_append_str(&shown, text);
        }
    }
    if (!buf_ok(&shown)) {
        to->failed = true;
    }
    pad(to, buf_str(&shown), v);
    buf_release(&shown);
}

static void put_rune(struct buf *to, const struct verb *v, int64_t value) {
    const uint32_t rune = value >= 0 && value <= 0x10FFFF ? (uint32_t)value : 0xFFFD;
    char utf8[4];
    const struct str text = {utf8, utf8_encode(rune, utf8)};
    if (v->letter == 'c') {
        pad(to, text, v);
        return;
    }
    struct buf shown;
    buf_init(&shown, 256);
    if (v->letter == 'U') {
        buf_printf(&shown, "U+%04llX", (unsigned long long)value);
        if (v->sharp && utf8_rune_prints(rune)) {
            buf_printf(&shown, " '%.*s'", STR_ARG(text));
        }
    } else {
        /* 'x': as in "x", but the other quote is escaped */
        struct buf quoted;
        buf_init(&quoted, 64);
        utf8_quote(&quoted, text);
        const struct str inner = str_sub(buf_str(&quoted), 1, quoted.len - 2);
        buf_append_char(&shown, '\'');
        if (rune == '\'') {
            buf_append_cstr(&shown, "\\'");
        } else if (rune == '"') {
            buf_append_char(&shown, '"');
        } else if (v->plus) {
            put_ascii(&shown, inner);
        } else {
            buf_append_str(&shown, inner);
        }
        buf_append_char(&shown, '\'');
        buf_release(&quoted);
    }
    struct verb own = *v;
    own.zero = false;
    pad(to, buf_str(&shown), &own);
    buf_release(&shown);
}

static void put_labels(struct buf *to, const struct verb *v, struct labels labels) {
    buf_append_cstr(to, "map[");
    struct labels_iter it = labels_begin(labels);
    struct label l;
    for (bool first = true; labels_next(&it, &l); first = false) {
        if (!first) {
            buf_append_char(to, ' ');
        }
        put_text(to, v, l.name);
        buf_append_char(to, ':');
        put_text(to, v, l.value);
    }
    buf_append_char(to, ']');
}

/* %v of a struct and its like goes down into each part. */
static void put_composite(struct buf *to, const struct verb *v, const struct template_value *arg) {
    if (arg->type == TEMPLATE_LABELS) {
        put_labels(to, v, arg->labels);
    } else if (arg->type == TEMPLATE_SAMPLE) {
        const struct template_value value = template_float(arg->sample->value);
        buf_append_cstr(to, "&{");
        put_labels(to, v, arg->sample->labels);
        buf_append_char(to, ' ');
        put(to, v, &value);
        buf_append_char(to, '}');
    } else {
        struct buf text;
        buf_init(&text, TEMPLATE_OUTPUT_MAX);
        template_print(&text, arg);
        pad(to, buf_str(&text), v);
        buf_release(&text);
    }
}

static bool is_one(uint32_t letter, const char *set) {
    return letter != 0 && letter < 0x80 && strchr(set, (char)letter) != NULL;
}

static void put(struct buf *to, const struct verb *v, const struct template_value *arg) {
    const uint32_t c = v->letter;
    if (c == 'T') {
        pad(to, str_of(arg->type == TEMPLATE_NIL ? "<nil>" : template_type_name(arg)), v);
    } else if (arg->type == TEMPLATE_INT && is_one(c, "dxXobOv")) {
        put_integer(to, v, arg->i);
    } else if (arg->type == TEMPLATE_INT && is_one(c, "cqU")) {
        put_rune(to, v, arg->i);
    } else if (arg->type == TEMPLATE_FLOAT && is_one(c, "eEfFgGv")) {
        put_float(to, v, arg->f);
    } else if (arg->type == TEMPLATE_STRING && is_one(c, "svqxX")) {
        put_text(to, v, arg->s);
    } else if ((arg->type == TEMPLATE_LABELS || arg->type == TEMPLATE_SAMPLE) &&
               is_one(c, "svqxX")) {
        put_composite(to, v, arg);
    } else if (c == 'v' || (arg->type == TEMPLATE_BOOL && c == 't') ||
               (c == 's' && (arg->type == TEMPLATE_TIME || arg->type == TEMPLATE_DURATION))) {
        put_composite(to, v, arg);
    } else {
        bad_verb(to, v, arg);
    }
}

/* ---- the format ---- */

static char peek(const struct formatter *f) {
    return f->at < f->format.len ? f->format.ptr[f->at] : '\0';
}

static int read_number(struct formatter *f) {
    int n = -1;
    while (peek(f) >= '0' && peek(f) <= '9') {
        n = (n < 0 ? 0 : n) * 10 + (peek(f) - '0');
        n = n > ARGUMENT_MAX ? ARGUMENT_MAX : n;
        f->at++;
    }
    return n;
}

/* [n] names the next argument */
static void read_index(struct formatter *f) {
    f->after_index = false;
    if (peek(f) != '[') {
        return;
    }
    f->reordered = true;
    f->at++;
    const int n = read_number(f);
    const ptrdiff_t close = str_find_char(str_from(f->format, f->at), ']');
    if (n < 1 || close != 0 || (size_t)n >= f->count) {
        f->bad_index = true;
        f->at += close >= 0 ? (size_t)close + 1 : 0;
        return;
    }
    f->at++;
    f->next = (size_t)n;
    f->after_index = true;
}

/* A width or precision that is an argument. False: it is none. */
static bool take_int(struct formatter *f, int *out) {
    const bool fits = f->next < f->count && f->args[f->next].type == TEMPLATE_INT &&
                      f->args[f->next].i >= -ARGUMENT_MAX && f->args[f->next].i <= ARGUMENT_MAX;
    *out = fits ? (int)f->args[f->next].i : -1;
    f->next += f->next < f->count;
    return fits;
}

static void read_flags(struct formatter *f, struct verb *v) {
    for (; f->at < f->format.len; f->at++) {
        switch (peek(f)) {
        case '-':
            v->minus = true;
            break;
        case '+':
            v->plus = true;
            break;
        case '#':
            v->sharp = true;
            break;
        case ' ':
            v->space = true;
            break;
        case '0':
            v->zero = true;
            break;
        default:
            return;
        }
    }
}

static void read_width(struct formatter *f, struct verb *v) {
    read_index(f);
    if (peek(f) == '*') {
        f->at++;
        if (!take_int(f, &v->width)) {
            buf_append_cstr(f->to, "%!(BADWIDTH)");
        } else if (v->width < 0) {
            v->width = -v->width;
            v->minus = true;
        }
        f->after_index = false;
        return;
    }
    v->width = read_number(f);
    f->bad_index = f->bad_index || (f->after_index && v->width >= 0);
}

static void read_precision(struct formatter *f, struct verb *v) {
    if (peek(f) != '.') {
        return;
    }
    f->at++;
    f->bad_index = f->bad_index || f->after_index;
    read_index(f);
    if (peek(f) == '*') {
        f->at++;
        if (!take_int(f, &v->precision)) {
            buf_append_cstr(f->to, "%!(BADPREC)");
        } else if (v->precision < 0) {
            v->precision = -1;
            buf_append_cstr(f->to, "%!(BADPREC)");
        }
        f->after_index = false;
        return;
    }
    v->precision = read_number(f);
    v->precision = v->precision < 0 ? 0 : v->precision;
}

static void format_verb(struct formatter *f) {
    struct verb v = {.width = -1, .precision = -1};
    f->bad_index = false;
    f->after_index = false;
    read_flags(f, &v);
    read_width(f, &v);
    read_precision(f, &v);
    if (!f->after_index) {
        read_index(f);
    }
    if (f->at >= f->format.len) {
        buf_append_cstr(f->to, "%!(NOVERB)");
        return;
    }
    v.width = v.width > WIDTH_MAX ? WIDTH_MAX : v.width;
    v.precision = v.precision > PRECISION_MAX ? PRECISION_MAX : v.precision;
    v.zero = v.zero && !v.minus;
    size_t bytes = 0;
    v.letter = utf8_rune(str_from(f->format, f->at), &bytes);
    v.text = str_sub(f->format, f->at, bytes);
    f->at += bytes;
    if (v.letter == '%') {
        buf_append_char(f->to, '%');
    } else if (f->bad_index) {
        buf_printf(f->to, "%%!%.*s(BADINDEX)", STR_ARG(v.text));
    } else if (f->next >= f->count) {
        buf_printf(f->to, "%%!%.*s(MISSING)", STR_ARG(v.text));
    } else {
        const struct template_value *arg = &f->args[f->next++];
        if (arg->type == TEMPLATE_NIL && v.letter != 'v' && v.letter != 'T') {
            bad_verb(f->to, &v, arg);
        } else {
            put(f->to, &v, arg);
        }
    }
}

static void put_extra(struct formatter *f) {
    buf_append_cstr(f->to, "%!(EXTRA ");
    for (size_t i = f->next; i < f->count; i++) {
        buf_append_cstr(f->to, i > f->next ? ", " : "");
        if (f->args[i].type == TEMPLATE_NIL) {
            buf_append_cstr(f->to, "<nil>");
        } else {
            buf_printf(f->to, "%s=", template_type_name(&f->args[i]));
            template_print(f->to, &f->args[i]);
        }
    }
    buf_append_char(f->to, ')');
}

enum err_code template_printf(const struct template_call *c, struct template_value *out,
                              struct err *err) {
    struct buf text;
    buf_init(&text, TEMPLATE_OUTPUT_MAX);
    struct formatter f = {
        .to = &text, .format = c->args[0].s, .args = c->args, .count = c->count, .next = 1};
    while (f.at < f.format.len) {
        if (f.format.ptr[f.at++] == '%') {
            format_verb(&f);
        } else {
            buf_append_char(&text, f.format.ptr[f.at - 1]);
        }
    }
    if (!f.reordered && f.next < f.count) {
        put_extra(&f);
    }
    if (!buf_ok(&text)) {
        return err_set(err, ERR_LIMIT, "text is larger than %d bytes", TEMPLATE_OUTPUT_MAX);
    }
    *out = template_string(arena_str(c->arena, buf_str(&text)));
    buf_release(&text);
    return ERR_OK;
}
