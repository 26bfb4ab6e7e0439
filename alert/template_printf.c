/* fmt.Sprintf as far as templates use it: %v %s %q %d %x %X %o %b %c %U %t %e %f %g %% with flags,
 * width and precision. */
#include <math.h>
#include <stdio.h>

#include "alert/template_value.h"
#include "base/number.h"
#include "base/utf8.h"

enum { WIDTH_MAX = 1000, PRECISION_MAX = 500 };

struct verb {
    bool minus, plus, sharp, space, zero;
    int width, precision; /* -1: not given */
    char letter;
};

static int read_number(struct str s, size_t *at) {
    int n = -1;
    while (*at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9' && n < 100000) {
        n = (n < 0 ? 0 : n) * 10 + (s.ptr[*at] - '0');
        (*at)++;
    }
    return n;
}

/* at stands behind the '%' */
static struct verb read_verb(struct str s, size_t *at) {
    struct verb v = {.width = -1, .precision = -1};
    for (; *at < s.len; (*at)++) {
        const char c = s.ptr[*at];
        if (c == '-') {
            v.minus = true;
        } else if (c == '+') {
            v.plus = true;
        } else if (c == '#') {
            v.sharp = true;
        } else if (c == ' ') {
            v.space = true;
        } else if (c == '0') {
            v.zero = true;
        } else {
            break;
        }
    }
    v.width = read_number(s, at);
    if (*at < s.len && s.ptr[*at] == '.') {
        (*at)++;
        v.precision = read_number(s, at);
        v.precision = v.precision < 0 ? 0 : v.precision;
    }
    v.width = v.width > WIDTH_MAX ? WIDTH_MAX : v.width;
    v.precision = v.precision > PRECISION_MAX ? PRECISION_MAX : v.precision;
    v.letter = *at < s.len ? s.ptr[(*at)++] : '\0';
    return v;
}

static size_t rune_count(struct str s) {
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++) {
        count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}

static void pad(struct buf *to, struct str text, const struct verb *v, bool numeric) {
    const size_t runes = rune_count(text);
    const size_t fill = v->width > 0 && (size_t)v->width > runes ? (size_t)v->width - runes : 0;
    const bool zeros = v->zero && !v->minus && numeric;
    if (!v->minus && !zeros) {
        for (size_t i = 0; i < fill; i++) {
            buf_append_char(to, ' ');
        }
    }
    if (zeros && fill > 0) {
        const bool sign =
            text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+' || text.ptr[0] == ' ');
        buf_append(to, text.ptr, sign);
        for (size_t i = 0; i < fill; i++) {
            buf_append_char(to, '0');
        }
        text = str_from(text, sign);
    }
    buf_append_str(to, text);
    for (size_t i = 0; v->minus && i < fill; i++) {
        buf_append_char(to, ' ');
    }
}

static void bad_verb(struct buf *to, const struct verb *v, const struct template_value *arg) {
    buf_printf(to, "%%!%c(%s=", v->letter, template_type_name(arg));
    template_print(to, arg);
    buf_append_char(to, ')');
}

static void put_integer(struct buf *to, const struct verb *v, int64_t value) {
    const int base = v->letter == 'x' || v->letter == 'X' ? 16
                     : v->letter == 'o'                   ? 8
                     : v->letter == 'b'                   ? 2
                                                          : 10;
    const char *digits = v->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[80];
    size_t at = sizeof(text);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        text[--at] = digits[left % (unsigned)base];
        left /= (unsigned)base;
    } while (left != 0);
    if (v->sharp && base == 16) {
        text[--at] = v->letter;
        text[--at] = '0';
    }
    if (value < 0 || v->plus || v->space) {
        text[--at] = value < 0 ? '-' : v->plus ? '+' : ' ';
    }
    pad(to, (struct str){text + at, sizeof(text) - at}, v, true);
}

static void put_float(struct buf *to, const struct verb *v, double value) {
    char text[NUMBER_TEXT_MAX + PRECISION_MAX + 8];
    size_t n = 0;
    const char letter = v->letter == 'v' ? 'g' : v->letter == 'F' ? 'f' : v->letter;
    if (!isfinite(value)) {
        n = number_format_g(value, text);
        struct verb plain = *v;
        plain.zero = false;
        pad(to, (struct str){text, n}, &plain, false);
        return;
    }
    if (letter == 'g' && v->precision < 0) {
        n = number_format_g(value, text);
    } else if (letter == 'g') {
        n = number_format_g_prec(value, v->precision == 0 ? 1 : v->precision, text);
    } else {
        /* C's conversion rounds exactly as Go's; the locale is never set */
        const int precision = v->precision < 0 ? 6 : v->precision;
        n = (size_t)snprintf(text, sizeof(text),
                             letter == 'f'   ? "%.*f"
                             : letter == 'E' ? "%.*E"
                                             : "%.*e",
                             precision, value);
    }
    if ((v->plus || v->space) && text[0] != '-') {
        memmove(text + 1, text, n);
        text[0] = v->plus ? '+' : ' ';
        n++;
    }
    pad(to, (struct str){text, n}, v, true);
}

static void put_text(struct buf *to, const struct verb *v, struct str text) {
    if (v->precision >= 0) {
        size_t at = 0;
        for (int runes = 0; at < text.len && runes < v->precision; runes++) {
            size_t bytes = 0;
            (void)utf8_rune(str_from(text, at), &bytes);
            at += bytes;
        }
        text = str_sub(text, 0, at);
    }
    struct buf shown;
    buf_init(&shown, TEMPLATE_OUTPUT_MAX);
    if (v->letter == 'q') {
        utf8_quote(&shown, text);
    } else if (v->letter == 'x' || v->letter == 'X') {
        for (size_t i = 0; i < text.len; i++) {
            buf_printf(&shown, v->letter == 'x' ? "%02x" : "%02X", (unsigned char)text.ptr[i]);
        }
    } else {
        buf_append_str(&shown, text);
    }
    pad(to, buf_str(&shown), v, false);
    buf_release(&shown);
}

static void put_rune(struct buf *to, const struct verb *v, int64_t rune) {
    char text[4];
    const size_t n = utf8_encode(rune >= 0 && rune <= 0x10FFFF ? (uint32_t)rune : 0xFFFD, text);
    pad(to, (struct str){text, n}, v, false);
}

static void put(struct buf *to, const struct verb *v, const struct template_value *arg) {
    const char c = v->letter;
    if (arg->type == TEMPLATE_INT && memchr("dxXobv", c, 6) != NULL) {
        put_integer(to, v, arg->i);
    } else if (arg->type == TEMPLATE_INT && c == 'c') {
        put_rune(to, v, arg->i);
    } else if (arg->type == TEMPLATE_FLOAT && memchr("eEfFgGv", c, 7) != NULL) {
        put_float(to, v, arg->f);
    } else if (arg->type == TEMPLATE_STRING && memchr("svqxX", c, 5) != NULL) {
        put_text(to, v, arg->s);
    } else if (c == 'v' || (arg->type == TEMPLATE_BOOL && c == 't') ||
               (c == 's' && (arg->type == TEMPLATE_TIME || arg->type == TEMPLATE_DURATION ||
                             arg->type == TEMPLATE_LABELS))) {
        struct buf text;
        buf_init(&text, TEMPLATE_OUTPUT_MAX);
        template_print(&text, arg);
        pad(to, buf_str(&text), v, false);
        buf_release(&text);
    } else {
        bad_verb(to, v, arg);
    }
}

enum err_code template_printf(const struct template_call *c, struct template_value *out,
                              struct err *err) {
    if (c->args[0].type != TEMPLATE_STRING) {
        return err_set(err, ERR_INVALID, "wrong type for value; expected string; got %s",
                       template_type_name(&c->args[0]));
    }
    const struct str format = c->args[0].s;
    struct buf text;
    buf_init(&text, TEMPLATE_OUTPUT_MAX);
    size_t used = 1;
    for (size_t at = 0; at < format.len;) {
        if (format.ptr[at] != '%') {
            buf_append_char(&text, format.ptr[at++]);
            continue;
        }
        at++;
        const struct verb v = read_verb(format, &at);
        if (v.letter == '%') {
            buf_append_char(&text, '%');
        } else if (v.letter == '\0') {
            buf_append_cstr(&text, "%!(NOVERB)");
        } else if (used >= c->count) {
            buf_printf(&text, "%%!%c(MISSING)", v.letter);
        } else {
            put(&text, &v, &c->args[used++]);
        }
    }
    if (used < c->count) {
        buf_append_cstr(&text, "%!(EXTRA ");
        for (size_t i = used; i < c->count; i++) {
            buf_printf(&text, "%s%s=", i > used ? ", " : "", template_type_name(&c->args[i]));
            template_print(&text, &c->args[i]);
        }
        buf_append_char(&text, ')');
    }
    if (!buf_ok(&text)) {
        return err_set(err, ERR_LIMIT, "text is larger than %d bytes", TEMPLATE_OUTPUT_MAX);
    }
    *out = template_string(arena_str(c->arena, buf_str(&text)));
    buf_release(&text);
    return ERR_OK;
}
