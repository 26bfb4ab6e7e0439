#include "base/matcher.h"

#include "base/utf8.h"

static void release_regex(void *object) {
    regex_free(object);
}

enum err_code matcher_init(struct arena *arena, enum matcher_type type, struct str name,
                           struct str value, struct matcher *out, struct err *err) {
    struct regex *regex = NULL;
    if (type == MATCH_REGEX || type == MATCH_NOT_REGEX) {
        const enum err_code code = regex_new(value, REGEX_ANCHORED, &regex, err);
        if (code != ERR_OK) {
            return code;
        }
        arena_link(arena, release_regex, regex);
    }
    *out = (struct matcher){
        .type = type,
        .name = arena_str(arena, name),
        .value = arena_str(arena, value),
        .regex = regex,
    };
    return ERR_OK;
}

enum err_code matcher_match(const struct matcher *m, struct str value, bool *out, struct err *err) {
    return matcher_match_until(m, value, NULL, out, err);
}

enum err_code matcher_match_until(const struct matcher *m, struct str value,
                                  const struct cancel *cancel, bool *out, struct err *err) {
    bool matched = false;
    switch (m->type) {
    case MATCH_EQUAL:
    case MATCH_NOT_EQUAL:
        *out = str_eq(m->value, value) == (m->type == MATCH_EQUAL);
        return ERR_OK;
    case MATCH_REGEX:
    case MATCH_NOT_REGEX:
        break;
    }
    const enum err_code code = regex_match_until(m->regex, value, cancel, &matched, err);
    if (code == ERR_OK) {
        *out = matched == (m->type == MATCH_REGEX);
    }
    return code;
}

bool matcher_accepts_empty(const struct matcher *m) {
    bool matched = false;
    /* the engine cannot pass a limit on an empty subject */
    return matcher_match(m, STR(""), &matched, NULL) == ERR_OK && matched;
}

enum err_code matchers_match(const struct matcher *m, size_t n, struct labels labels, bool *out,
                             struct err *err) {
    bool matched = true;
    for (size_t i = 0; i < n && matched; i++) {
        const enum err_code code =
            matcher_match(&m[i], labels_get(labels, m[i].name), &matched, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = matched;
    return ERR_OK;
}

void matcher_format(struct buf *to, const struct matcher *m) {
    static const char *const operators[] = {
        [MATCH_EQUAL] = "=",
        [MATCH_NOT_EQUAL] = "!=",
        [MATCH_REGEX] = "=~",
        [MATCH_NOT_REGEX] = "!~",
    };
    if (label_name_legacy(m->name)) {
        buf_append_str(to, m->name);
    } else {
        utf8_quote(to, m->name);
    }
    buf_append_cstr(to, operators[m->type]);
    utf8_quote(to, m->value);
}
