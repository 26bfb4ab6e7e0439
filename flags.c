#include "flags_table.h"

#include <stdlib.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/number.h"
#include "config_size.h"

/* Arguments after @files are read, and how many files may be read: a file may name itself. */
enum { ARGS_MAX = 10000, ARG_FILES_MAX = 100, ARG_FILE_MAX_BYTES = 1024 * 1024 };

struct parser {
    struct arena *arena;
    struct vfs *vfs;
    struct flags *flags;
    struct str *args; /* still to read, next first */
    size_t arg_count;
    size_t file_count;
    bool only_arguments; /* after "--" */
    bool *given;         /* by index in flag_table */
    enum flags_wish wish;
};

/* ---- the arguments ---- */

static size_t count_lines(struct str text) {
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n';
    }
    return lines;
}

/* Puts the lines of text before the arguments that are left; lines with # are comments. */
static enum err_code prepend_lines(struct parser *p, struct str text, struct err *err) {
    const size_t capacity = count_lines(text) + p->arg_count;
    if (capacity > ARGS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d arguments", ARGS_MAX);
    }
    struct str *args = arena_alloc(p->arena, capacity * sizeof(*args));
    size_t count = 0;
    while (text.len > 0) {
        const ptrdiff_t end = str_find_char(text, '\n');
        struct str line = end < 0 ? text : str_sub(text, 0, (size_t)end);
        text = end < 0 ? STR("") : str_from(text, (size_t)end + 1);
        if (str_ends(line, STR("\r"))) {
            line.len--;
        }
        if (!str_starts(line, STR("#"))) {
            args[count++] = line;
        }
    }
    if (p->arg_count != 0) {
        memcpy(args + count, p->args, p->arg_count * sizeof(*args));
    }
    p->args = args;
    p->arg_count += count;
    return ERR_OK;
}

static enum err_code expand_file(struct parser *p, struct str path, struct err *err) {
    char *text = NULL;
    size_t len = 0;
    const char *name = arena_cstr(p->arena, path);
    if (p->file_count++ == ARG_FILES_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d argument files", ARG_FILES_MAX);
    }
    if (vfs_read_file(p->vfs, name, ARG_FILE_MAX_BYTES, &text, &len, err) != ERR_OK) {
        return err_wrap(err, "failed to open arguments file \"%s\"", name);
    }
    const enum err_code code = prepend_lines(p, arena_str(p->arena, (struct str){text, len}), err);
    mem_free(text);
    return code;
}

/* Makes p->args[0] the next argument with @files expanded; *out is false at the end. */
static enum err_code peek(struct parser *p, bool *out, struct err *err) {
    while (p->arg_count > 0 && !p->only_arguments && p->args[0].len > 0 &&
           p->args[0].ptr[0] == '@') {
        const struct str path = str_from(*p->args++, 1);
        p->arg_count--;
        const enum err_code code = expand_file(p, path, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = p->arg_count > 0;
    return ERR_OK;
}

static struct str take(struct parser *p) {
    p->arg_count--;
    return *p->args++;
}

/* ---- values ---- */

static void list_add(struct arena *arena, struct str_list *list, struct str value) {
    struct str *items = arena_alloc(arena, (list->count + 1) * sizeof(*items));
    if (list->count != 0) {
        memcpy(items, list->items, list->count * sizeof(*items));
    }
    items[list->count] = value;
    *list = (struct str_list){items, list->count + 1};
}

static void list_add_split(struct arena *arena, struct str_list *list, struct str value) {
    while (value.len > 0) {
        const ptrdiff_t comma = str_find_char(value, ',');
        const struct str item = comma < 0 ? value : str_sub(value, 0, (size_t)comma);
        value = comma < 0 ? STR("") : str_from(value, (size_t)comma + 1);
        if (item.len > 0) {
            list_add(arena, list, item);
        }
    }
}

static enum err_code set_number(const struct flag *flag, void *field, struct str text,
                                struct err *err) {
    double value = 0;
    if (number_parse_double(text, &value) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                       STR_ARG(text));
    }
    if (flag->type == FLAG_FLOAT) {
        *(double *)field = value;
        return ERR_OK;
    }
    if (!(value > -0x1p63 && value < 0x1p63)) {
        return err_set(err, ERR_INVALID, "\"%.*s\" is out of range", STR_ARG(text));
    }
    *(int64_t *)field = (int64_t)value;
    return ERR_OK;
}

static enum err_code choice_check(const struct flag *flag, struct str text, size_t *out_index,
                                  struct err *err) {
    for (size_t i = 0; flag->values[i] != NULL; i++) {
        if (str_eq(text, str_of(flag->values[i]))) {
            *out_index = i;
            return ERR_OK;
        }
    }
    if (flag->type == FLAG_LOG_LEVEL) {
        return err_set(err, ERR_INVALID, "unrecognized log level \"%.*s\"", STR_ARG(text));
    }
    if (flag->type == FLAG_LOG_FORMAT) {
        return err_set(err, ERR_INVALID, "unrecognized log format \"%.*s\"", STR_ARG(text));
    }
    return err_set(err, ERR_INVALID, "enum value must be one of %s,%s, got '%.*s'", flag->values[0],
                   flag->values[1], STR_ARG(text));
}

static enum err_code set_value(struct arena *arena, struct flags *flags, const struct flag *flag,
                               struct str text, struct err *err) {
    void *field = (char *)flags + flag->offset;
    size_t choice = 0;
    if (flag->values != NULL) {
        const enum err_code code = choice_check(flag, text, &choice, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    switch (flag->type) {
    case FLAG_BOOL:
        *(bool *)field = str_eq(text, STR("true"));
        return ERR_OK;
    case FLAG_STR:
        *(struct str *)field = text;
        return ERR_OK;
    case FLAG_STRS:
        list_add_split(arena, field, text);
        return ERR_OK;
    case FLAG_DURATION:
        return duration_parse_ms(text, field, err);
    case FLAG_DURATION_ANY:
        return duration_parse_ns(text, field, err);
    case FLAG_INT:
    case FLAG_FLOAT:
        return set_number(flag, field, text, err);
    case FLAG_SIZE:
        return size_parse(text, field, err);
    case FLAG_LOG_LEVEL:
        *(enum log_level *)field = (enum log_level)(LOG_DEBUG + choice);
        return ERR_OK;
    case FLAG_LOG_FORMAT:
        *(enum log_format *)field = (enum log_format)(LOG_LOGFMT + choice);
        return ERR_OK;
    }
    return ERR_OK;
}

static enum err_code set_defaults(struct parser *p, struct err *err) {
    for (size_t i = 0; i < flag_count; i++) {
        const struct flag *flag = &flag_table[i];
        if (p->given[i] || flag->default_value == NULL) {
            continue;
        }
        const enum err_code code =
            set_value(p->arena, p->flags, flag, str_of(flag->default_value), err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- flags ---- */

static const struct flag *flag_find(struct str name) {
    for (size_t i = 0; i < flag_count; i++) {
        if (str_eq(name, str_of(flag_table[i].name))) {
            return &flag_table[i];
        }
    }
    return NULL;
}

/* A flag that works in Prometheus and not here must not be lost in silence. */
static enum err_code note_effect(struct parser *p, const struct flag *flag, struct str value,
                                 struct err *err) {
    const struct str off = str_of(flag->default_value != NULL ? flag->default_value
                                  : flag->type == FLAG_BOOL   ? "false"
                                                              : "");
    if (flag->effect == FLAG_REFUSED && !str_eq(value, off)) {
        return err_set(err, ERR_UNSUPPORTED, "--%s is not supported by this version of Brasa",
                       flag->name);
    }
    if (flag->effect == FLAG_NO_EFFECT) {
        list_add(p->arena, &p->flags->without_effect, arena_printf(p->arena, "--%s", flag->name));
    }
    return ERR_OK;
}

/* The argument behind "--name". */
static enum err_code take_value(struct parser *p, const struct flag *flag, struct str *out,
                                struct err *err) {
    bool more = false;
    const enum err_code code = peek(p, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!more || (p->args[0].len > 1 && p->args[0].ptr[0] == '-')) {
        return err_set(err, ERR_INVALID, "expected argument for flag '--%s'", flag->name);
    }
    *out = take(p);
    return ERR_OK;
}

static enum err_code set_flag(struct parser *p, const struct flag *flag, struct str value,
                              struct err *err) {
    bool *given = &p->given[flag - flag_table];
    if (*given && flag->type != FLAG_STRS) {
        return err_set(err, ERR_INVALID, "flag '%s' cannot be repeated", flag->name);
    }
    enum err_code code = *given ? ERR_OK : note_effect(p, flag, value, err);
    *given = true;
    if (code == ERR_OK && set_value(p->arena, p->flags, flag, value, err) != ERR_OK) {
        code = err_wrap(err, "--%s", flag->name);
    }
    return code;
}

static bool wishes_help(struct str name) {
    return str_eq(name, STR("help")) || str_eq(name, STR("help-long")) ||
           str_eq(name, STR("help-man"));
}

static enum err_code unknown_long(struct str name, struct err *err) {
    return err_set(err, ERR_INVALID, "unknown long flag '--%.*s'", STR_ARG(name));
}

static enum err_code parse_long(struct parser *p, struct str argument, struct err *err) {
    const ptrdiff_t equals = str_find_char(argument, '=');
    const struct str name = equals < 0 ? argument : str_sub(argument, 0, (size_t)equals);
    const struct flag *flag = flag_find(name);
    bool invert = false;
    if (wishes_help(name) || str_eq(name, STR("version"))) {
        p->wish = wishes_help(name) ? FLAGS_HELP : FLAGS_VERSION;
        return ERR_OK;
    }
    if (flag == NULL && str_starts(name, STR("no-"))) {
        flag = flag_find(str_from(name, 3));
        invert = true;
    }
    if (flag == NULL || (invert && flag->type != FLAG_BOOL)) {
        return unknown_long(name, err);
    }
    struct str value = invert ? STR("false") : STR("true");
    enum err_code code = ERR_OK;
    if (flag->type == FLAG_BOOL && equals >= 0) {
        return err_set(err, ERR_INVALID, "unexpected %.*s",
                       STR_ARG(str_from(argument, (size_t)equals + 1)));
    }
    if (flag->type != FLAG_BOOL && equals >= 0) {
        value = str_from(argument, (size_t)equals + 1);
    } else if (flag->type != FLAG_BOOL) {
        code = take_value(p, flag, &value, err);
    }
    return code == ERR_OK ? set_flag(p, flag, value, err) : code;
}

static enum err_code parse_argument(struct parser *p, struct str argument, struct err *err) {
    if (p->only_arguments || argument.len < 2 || argument.ptr[0] != '-') {
        return err_set(err, ERR_INVALID, "unexpected %.*s", STR_ARG(argument));
    }
    if (str_eq(argument, STR("--"))) {
        p->only_arguments = true;
        return ERR_OK;
    }
    if (argument.ptr[1] == '-') {
        return parse_long(p, str_from(argument, 2), err);
    }
    if (str_eq(argument, STR("-h"))) {
        p->wish = FLAGS_HELP;
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID, "unknown short flag '-%c'", argument.ptr[1]);
}

enum err_code flags_parse(struct arena *arena, struct vfs *vfs, int argc, char *const *argv,
                          struct flags *out, enum flags_wish *out_wish, struct err *err) {
    struct flags flags = {.agent = false};
    struct parser p = {.arena = arena, .vfs = vfs, .flags = &flags, .wish = FLAGS_RUN};
    if (argc > ARGS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d arguments", ARGS_MAX);
    }
    p.args = arena_alloc(arena, ((size_t)argc + 1) * sizeof(*p.args));
    p.arg_count = (size_t)argc;
    for (int i = 0; i < argc; i++) {
        p.args[i] = arena_str(arena, str_of(argv[i]));
    }
    p.given = arena_zalloc(arena, flag_count * sizeof(*p.given));
    while (p.wish == FLAGS_RUN) {
        bool more = false;
        enum err_code code = peek(&p, &more, err);
        if (code == ERR_OK && more) {
            code = parse_argument(&p, take(&p), err);
        }
        if (code != ERR_OK) {
            return code;
        }
        if (!more) {
            break;
        }
    }
    const enum err_code code = set_defaults(&p, err);
    if (code == ERR_OK) {
        *out = flags;
        *out_wish = p.wish;
    }
    return code;
}

/* ---- help ---- */

enum { HELP_INDENT = 33, HELP_WIDTH = 80 };

static void pad(struct buf *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_append_char(to, ' ');
    }
}

/* Text from the help column on, broken at spaces. */
static void wrap(struct buf *to, const char *text) {
    struct str rest = str_of(text);
    size_t column = HELP_INDENT;
    while (rest.len > 0) {
        const ptrdiff_t space = str_find_char(rest, ' ');
        const struct str word = space < 0 ? rest : str_sub(rest, 0, (size_t)space);
        rest = space < 0 ? STR("") : str_from(rest, (size_t)space + 1);
        if (column > HELP_INDENT && column + word.len + 1 > HELP_WIDTH) {
            buf_append_char(to, '\n');
            pad(to, HELP_INDENT);
            column = HELP_INDENT;
        }
        if (column > HELP_INDENT) {
            buf_append_char(to, ' ');
            column++;
        }
        buf_append_str(to, word);
        column += word.len;
    }
    buf_append_char(to, '\n');
}

static void usage_line(struct buf *to, const char *left, const char *help) {
    buf_append_cstr(to, left);
    const size_t width = strlen(left);
    if (width + 2 > HELP_INDENT) {
        buf_append_char(to, '\n');
        pad(to, HELP_INDENT);
    } else {
        pad(to, HELP_INDENT - width);
    }
    wrap(to, help);
}

static void flag_usage(struct buf *to, const struct flag *flag) {
    struct buf left;
    buf_init(&left, 4096);
    buf_printf(&left, "      --%s%s", flag->type == FLAG_BOOL ? "[no-]" : "", flag->name);
    if (flag->type != FLAG_BOOL) {
        const bool quoted = flag->type == FLAG_STR || flag->type == FLAG_STRS;
        if (flag->default_value == NULL) {
            buf_printf(&left, "=%s", flag->placeholder != NULL ? flag->placeholder : "...");
        } else {
            buf_printf(&left, quoted ? "=\"%s\"" : "=%s", flag->default_value);
        }
    }
    usage_line(to, left.ptr, flag->help);
    buf_release(&left);
}

void flags_usage(struct buf *to) {
    buf_append_cstr(to, "usage: brasa [<flags>]\n"
                        "       brasa check config|rules ...\n\n"
                        "The Brasa monitoring server\n\nFlags:\n");
    usage_line(to, "  -h, --help", "Show this help.");
    usage_line(to, "      --version", "Show the version.");
    for (size_t i = 0; i < flag_count; i++) {
        if (!flag_table[i].hidden) {
            flag_usage(to, &flag_table[i]);
        }
    }
}

/* ---- values as shown ---- */

static void format_list(struct buf *to, const struct str_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        buf_append_cstr(to, i == 0 ? "" : ",");
        buf_append_str(to, list->items[i]);
    }
}

static void format_value(struct buf *to, const struct flags *flags, const struct flag *flag) {
    const void *field = (const char *)flags + flag->offset;
    switch (flag->type) {
    case FLAG_BOOL:
        buf_append_cstr(to, *(const bool *)field ? "true" : "false");
        break;
    case FLAG_STR:
        buf_append_str(to, *(const struct str *)field);
        break;
    case FLAG_STRS:
        format_list(to, field);
        break;
    case FLAG_DURATION:
        duration_format_ms(to, *(const int64_t *)field);
        break;
    case FLAG_DURATION_ANY:
        duration_format_go_ns(to, *(const int64_t *)field);
        break;
    case FLAG_INT:
        buf_append_i64(to, *(const int64_t *)field);
        break;
    case FLAG_FLOAT:
        buf_append_number_g(to, *(const double *)field);
        break;
    case FLAG_SIZE:
        size_format(to, *(const int64_t *)field);
        break;
    case FLAG_LOG_LEVEL:
        buf_append_cstr(to, flag->values[*(const enum log_level *)field - LOG_DEBUG]);
        break;
    case FLAG_LOG_FORMAT:
        buf_append_cstr(to, flag->values[*(const enum log_format *)field - LOG_LOGFMT]);
        break;
    }
}

static int value_cmp(const void *a, const void *b) {
    return str_cmp(((const struct flag_value *)a)->name, ((const struct flag_value *)b)->name);
}

const struct flag_value *flags_list(const struct flags *flags, struct arena *arena,
                                    size_t *out_count) {
    struct flag_value *values = arena_alloc(arena, flag_count * sizeof(*values));
    struct buf text;
    buf_init(&text, ARG_FILE_MAX_BYTES);
    for (size_t i = 0; i < flag_count; i++) {
        buf_clear(&text);
        format_value(&text, flags, &flag_table[i]);
        values[i] =
            (struct flag_value){str_of(flag_table[i].name), arena_str(arena, buf_str(&text))};
    }
    buf_release(&text);
    qsort(values, flag_count, sizeof(*values), value_cmp);
    *out_count = flag_count;
    return values;
}
