/* Flags may stand anywhere, as --name=v, --name v, -xv or -x v; "--" ends them. Error texts are
 * kingpin's, which promtool's users know. */
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"
#include "base/str.h"
#include "tools.h"

static const struct tool_flag COMMON_FLAGS[] = {
    {.name = "help", .letter = 'h', .type = TOOL_SWITCH, .help = "Show this text."},
    {.name = "experimental", .type = TOOL_SWITCH, .help = "Allow experimental commands."},
    {.name = "enable-feature",
     .type = TOOL_LIST,
     .help = "Features of the language to switch on, comma-separated."},
};

/* the value of a switch that is on */
static const char ON[] = "true";

size_t tool_flag_count(const struct tool_command *command) {
    return command->flag_count + COUNT_OF(COMMON_FLAGS);
}

const struct tool_flag *tool_flag_at(const struct tool_command *command, size_t i) {
    return i < command->flag_count ? &command->flags[i] : &COMMON_FLAGS[i - command->flag_count];
}

static bool complain(const struct tool_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool complain(const struct tool_call *call, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)fprintf(call->io.err, "brasa: error: ");
    (void)vfprintf(call->io.err, fmt, args);
    (void)fprintf(call->io.err, ", try --help\n");
    va_end(args);
    return false;
}

/* ---- flags ---- */

static bool is_choice(const char *choices, const char *value) {
    const size_t n = strlen(value);
    while (choices != NULL) {
        const size_t len = strcspn(choices, ",");
        if (len == n && strncmp(choices, value, n) == 0) {
            return true;
        }
        if (choices[len] == '\0') {
            return false;
        }
        choices += len + 1;
    }
    return true;
}

/* items has room for argc values. */
static bool add_value(struct tool_call *call, size_t index, const char *value) {
    const struct tool_flag *flag = tool_flag_at(call->command, index);
    struct tool_values *values = &call->flags[index];
    if (flag->type == TOOL_TEXT && values->count > 0) {
        return complain(call, "flag '%s' cannot be repeated", flag->name);
    }
    if (!is_choice(flag->choices, value)) {
        return complain(call, "enum value must be one of %s, got '%s'", flag->choices, value);
    }
    if (flag->pair && strchr(value, '=') == NULL) {
        return complain(call, "expected KEY=VALUE got '%s'", value);
    }
    values->items[values->count++] = value;
    return true;
}

/* One flag at argv[*i]; *i moves to its value if that is an argument of its own. */
static bool read_long_flag(struct tool_call *call, int argc, char *const *argv, int *i) {
    const char *text = argv[*i] + 2;
    const char *equals = strchr(text, '=');
    const struct str name =
        equals != NULL ? (struct str){text, (size_t)(equals - text)} : str_of(text);
    for (size_t k = 0; k < tool_flag_count(call->command); k++) {
        const struct tool_flag *flag = tool_flag_at(call->command, k);
        const bool off = flag->type == TOOL_SWITCH && str_starts(name, STR("no-")) &&
                         str_eq(str_from(name, 3), str_of(flag->name));
        if (!off && !str_eq(str_of(flag->name), name)) {
            continue;
        }
        if (flag->type == TOOL_SWITCH) {
            if (equals != NULL) {
                return complain(call, "unexpected %s", equals + 1);
            }
            call->flags[k].items[0] = ON;
            call->flags[k].count = off ? 0 : 1;
            return true;
        }
        if (equals == NULL && *i + 1 >= argc) {
            return complain(call, "expected argument for flag '%s'", argv[*i]);
        }
        return add_value(call, k, equals != NULL ? equals + 1 : argv[++*i]);
    }
    return complain(call, "unknown long flag '--%.*s'", STR_ARG(name));
}

static bool read_short_flag(struct tool_call *call, int argc, char *const *argv, int *i) {
    const char letter = argv[*i][1];
    const char *rest = argv[*i] + 2;
    for (size_t k = 0; k < tool_flag_count(call->command); k++) {
        const struct tool_flag *flag = tool_flag_at(call->command, k);
        if (flag->letter != letter || letter == 0) {
            continue;
        }
        if (flag->type == TOOL_SWITCH) {
            call->flags[k].items[0] = ON;
            call->flags[k].count = 1;
            return true;
        }
        if (rest[0] == '\0' && *i + 1 >= argc) {
            return complain(call, "expected argument for flag '-%c'", letter);
        }
        return add_value(call, k, rest[0] != '\0' ? rest : argv[++*i]);
    }
    return complain(call, "unknown short flag '-%c'", letter);
}

/* ---- arguments ---- */

static bool check_file(const struct tool_call *call, const char *path) {
    struct vfs_stat st;
    if (vfs_stat(call->io.vfs, path, &st, NULL) != ERR_OK) {
        return complain(call, "path '%s' does not exist", path);
    }
    return !st.is_dir || complain(call, "'%s' is a directory", path);
}

static bool add_arg(struct tool_call *call, size_t *at, const char *value) {
    const struct tool_command *command = call->command;
    if (*at >= command->arg_count) {
        return complain(call, "unexpected %s", value);
    }
    const struct tool_arg *arg = &command->args[*at];
    if (arg->file && !check_file(call, value)) {
        return false;
    }
    struct tool_values *values = &call->args[*at];
    values->items[values->count++] = value;
    *at += arg->repeated ? 0 : 1;
    return true;
}

static bool check_required(const struct tool_call *call) {
    const struct tool_command *command = call->command;
    for (size_t i = 0; i < command->flag_count; i++) {
        if (command->flags[i].required && call->flags[i].count == 0) {
            return complain(call, "required flag --%s not provided", command->flags[i].name);
        }
    }
    for (size_t i = 0; i < command->arg_count; i++) {
        if (command->args[i].required && call->args[i].count == 0) {
            return complain(call, "required argument '%s' not provided", command->args[i].name);
        }
    }
    return true;
}

bool tool_args_read(struct tool_call *call, size_t word_count, int argc, char *const *argv) {
    ASSERT(tool_flag_count(call->command) <= TOOL_FLAGS_MAX);
    ASSERT(call->command->arg_count <= TOOL_ARGS_MAX);
    for (size_t i = 0; i < TOOL_FLAGS_MAX; i++) {
        call->flags[i].items = arena_alloc(call->arena, ((size_t)argc + 1) * sizeof(char *));
    }
    for (size_t i = 0; i < TOOL_ARGS_MAX; i++) {
        call->args[i].items = arena_alloc(call->arena, ((size_t)argc + 1) * sizeof(char *));
    }
    bool ok = true;
    bool flags_ended = false;
    size_t at = 0;
    for (int i = 0; ok && i < argc; i++) {
        if (!flags_ended && strcmp(argv[i], "--") == 0) {
            flags_ended = true;
        } else if (!flags_ended && strncmp(argv[i], "--", 2) == 0) {
            ok = read_long_flag(call, argc, argv, &i);
        } else if (!flags_ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            ok = read_short_flag(call, argc, argv, &i);
        } else if (word_count > 0) {
            word_count--;
        } else {
            ok = add_arg(call, &at, argv[i]);
        }
    }
    return ok && check_required(call);
}

/* ---- what commands read ---- */

static size_t index_of(const struct tool_call *call, const char *name) {
    for (size_t i = 0; i < tool_flag_count(call->command); i++) {
        if (strcmp(tool_flag_at(call->command, i)->name, name) == 0) {
            return i;
        }
    }
    UNREACHABLE("a flag that the command does not have");
}

const char *tool_text(const struct tool_call *call, const char *flag) {
    const size_t i = index_of(call, flag);
    return call->flags[i].count > 0 ? call->flags[i].items[0]
                                    : tool_flag_at(call->command, i)->preset;
}

bool tool_is_on(const struct tool_call *call, const char *flag) {
    return call->flags[index_of(call, flag)].count > 0;
}

struct tool_values tool_list(const struct tool_call *call, const char *flag) {
    return call->flags[index_of(call, flag)];
}

const char *tool_arg(const struct tool_call *call, size_t index) {
    return call->args[index].count > 0 ? call->args[index].items[0] : NULL;
}

bool tool_feature(const struct tool_call *call, const char *name) {
    const struct tool_values lists = tool_list(call, "enable-feature");
    for (size_t i = 0; i < lists.count; i++) {
        if (is_choice(lists.items[i], name)) {
            return true;
        }
    }
    return false;
}

/* ---- durations ---- */

static int64_t go_unit_ns(struct str unit) {
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},
                 {"us", 1000},
                 {"\xC2\xB5s", 1000},
                 {"\xCE\xBCs", 1000},
                 {"ms", 1000000},
                 {"s", 1000000000},
                 {"m", 60 * INT64_C(1000000000)},
                 {"h", 3600 * INT64_C(1000000000)}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (str_eq(unit, str_of(units[i].name))) {
            return units[i].ns;
        }
    }
    return 0;
}

static size_t digits_at(struct str s) {
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9') {
        n++;
    }
    return n;
}

/* "1.5h" at the front of *rest, added to *ns. */
static enum err_code add_go_part(struct str whole, struct str *rest, int64_t *ns, struct err *err) {
    size_t n = digits_at(*rest);
    size_t digits = n;
    if (n < rest->len && rest->ptr[n] == '.') {
        const size_t more = digits_at(str_from(*rest, n + 1));
        digits += more;
        n += more + 1;
    }
    double number = 0;
    if (digits == 0 || number_parse_double(str_sub(*rest, 0, n), &number) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "time: invalid duration \"%.*s\"", STR_ARG(whole));
    }
    *rest = str_from(*rest, n);
    size_t unit = 0;
    while (unit < rest->len && rest->ptr[unit] != '.' &&
           (rest->ptr[unit] < '0' || rest->ptr[unit] > '9')) {
        unit++;
    }
    if (unit == 0) {
        return err_set(err, ERR_INVALID, "time: missing unit in duration \"%.*s\"", STR_ARG(whole));
    }
    const int64_t unit_ns = go_unit_ns(str_sub(*rest, 0, unit));
    if (unit_ns == 0) {
        return err_set(err, ERR_INVALID, "time: unknown unit \"%.*s\" in duration \"%.*s\"",
                       (int)unit, rest->ptr, STR_ARG(whole));
    }
    *rest = str_from(*rest, unit);
    const double part_ns = number * (double)unit_ns;
    int64_t sum = 0;
    if (part_ns >= 9.2e18 || __builtin_add_overflow(*ns, (int64_t)part_ns, &sum)) {
        return err_set(err, ERR_INVALID, "time: invalid duration \"%.*s\"", STR_ARG(whole));
    }
    *ns = sum;
    return ERR_OK;
}

enum err_code tool_parse_go_duration(struct str text, int64_t *out_ns, struct err *err) {
    struct str rest = text;
    const bool negative = rest.len > 0 && rest.ptr[0] == '-';
    if (rest.len > 0 && (rest.ptr[0] == '-' || rest.ptr[0] == '+')) {
        rest = str_from(rest, 1);
    }
    if (rest.len == 0) {
        return err_set(err, ERR_INVALID, "time: invalid duration \"%.*s\"", STR_ARG(text));
    }
    int64_t ns = 0;
    if (str_eq(rest, STR("0"))) {
        *out_ns = 0;
        return ERR_OK;
    }
    while (rest.len > 0) {
        const enum err_code code = add_go_part(text, &rest, &ns, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out_ns = negative ? -ns : ns;
    return ERR_OK;
}
