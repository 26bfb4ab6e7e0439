#include "config_environment.h"

#include <stdlib.h>

#include "base/buf.h"

struct str environment_get(struct arena *arena, struct str name) {
    const char *value = getenv(arena_cstr(arena, name)); /* NOLINT(concurrency-mt-unsafe) */
    return str_of(value != NULL ? value : "");
}

static bool is_special(char c) {
    return strchr("*#$@!?-0123456789", c) != NULL && c != '\0';
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The name after a "$" and how many bytes it takes with its braces (Go's os.Expand). "" for a "$"
 * that is followed by no name: it stays, unless *out_swallow says that it is bad syntax and goes. */
static size_t variable_name(struct str rest, struct str *out_name, bool *out_swallow) {
    *out_swallow = false;
    *out_name = STR("");
    if (rest.len > 0 && rest.ptr[0] == '{') {
        if (rest.len > 2 && is_special(rest.ptr[1]) && rest.ptr[2] == '}') {
            *out_name = str_sub(rest, 1, 1);
            return 3;
        }
        const ptrdiff_t end = str_find_char(rest, '}');
        *out_swallow = end <= 1;
        if (end < 0) {
            return 1; /* "${": both go */
        }
        *out_name = str_sub(rest, 1, (size_t)end - 1);
        return (size_t)end + 1;
    }
    if (rest.len > 0 && is_special(rest.ptr[0])) {
        *out_name = str_sub(rest, 0, 1);
        return 1;
    }
    size_t n = 0;
    while (n < rest.len && is_word(rest.ptr[n])) {
        n++;
    }
    *out_name = str_sub(rest, 0, n);
    return n;
}

static void expand(struct arena *arena, struct str text, struct log *log, struct buf *to) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '$' || i + 1 == text.len) {
            buf_append_char(to, text.ptr[i]);
            continue;
        }
        struct str name;
        bool swallow = false;
        const size_t width = variable_name(str_from(text, i + 1), &name, &swallow);
        i += width;
        if (swallow) {
            continue;
        }
        if (name.len == 0) {
            buf_append_char(to, '$');
        } else if (str_eq(name, STR("$"))) {
            buf_append_char(to, '$');
        } else {
            const struct str value = environment_get(arena, name);
            if (value.len == 0) {
                log_warn(log, "config", "Empty environment variable", log_str("name", name));
            }
            buf_append_str(to, value);
        }
    }
}

/* Labels that are empty after expansion stay in the text unless all are. */
enum err_code environment_expand(struct binder *b, struct label_options *labels, struct log *log,
                                 struct err *err) {
    struct label *expanded = bind_alloc(b, labels->count, sizeof(*expanded), err);
    if (expanded == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < labels->count; i++) {
        struct buf value;
        buf_init(&value, LABEL_STRING_MAX);
        expand(b->arena, labels->items[i].value, log, &value);
        if (!buf_ok(&value)) {
            buf_release(&value);
            return err_set(err, ERR_LIMIT, "external label %.*s is too long after expansion",
                           STR_ARG(labels->items[i].name));
        }
        expanded[i] = (struct label){labels->items[i].name, arena_str(b->arena, buf_str(&value))};
        buf_release(&value);
    }
    labels->items = expanded;
    return ERR_OK;
}
