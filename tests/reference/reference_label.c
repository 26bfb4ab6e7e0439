/* label_replace, label_join, sort_by_label and info (spec sections 7, 20 and 21). The regular
 * expressions are the C library's: the generated ones mean the same in both. */
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#include "base/value.h"
#include "tests/reference/reference.h"

enum { GROUPS_MAX = 8 };

static struct str part(struct ref *r, struct str a, struct str b) {
    return arena_printf(r->arena, "%.*s%.*s", STR_ARG(a), STR_ARG(b));
}

/* $1 and ${1}; names are groups that nobody made. */
static struct str expand(struct ref *r, struct str text, const char *value,
                         const regmatch_t *groups) {
    struct str out = STR("");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '$' || i + 1 == text.len) {
            out = part(r, out, str_sub(text, i, 1));
            continue;
        }
        if (text.ptr[i + 1] == '$') {
            out = part(r, out, STR("$"));
            i++;
            continue;
        }
        const bool braces = text.ptr[i + 1] == '{';
        size_t from = i + 1 + braces;
        size_t to = from;
        while (to < text.len && (isalnum((unsigned char)text.ptr[to]) || text.ptr[to] == '_')) {
            to++;
        }
        char *end = NULL;
        char *name = arena_cstr(r->arena, str_sub(text, from, to - from));
        const unsigned long group = strtoul(name, &end, 10);
        if (*name != '\0' && *end == '\0' && group < GROUPS_MAX && groups[group].rm_so >= 0) {
            const struct str all = str_of(value);
            out = part(r, out,
                       str_sub(all, (size_t)groups[group].rm_so,
                               (size_t)(groups[group].rm_eo - groups[group].rm_so)));
        }
        i = to - 1 + braces;
    }
    return out;
}

/* Before the vector is evaluated. */
void ref_check_label_replace(struct ref *r, const struct call *c) {
    regex_t re;
    const char *pattern = arena_cstr(r->arena, c->args[4]->string);
    if (regcomp(&re, pattern, REG_EXTENDED) != 0) {
        ref_fail(r, "invalid regular expression in label_replace()");
        return;
    }
    regfree(&re);
    if (c->args[1]->string.len == 0) {
        ref_fail(r, "invalid destination label name in label_replace()");
    }
}

struct ref_value ref_label_replace(struct ref *r, const struct ref_value *args) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const char *pattern = arena_printf(r->arena, "^(%.*s)$", STR_ARG(args[4].string)).ptr;
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED) != 0) {
        ref_beyond(r, true, "a pattern");
        return out;
    }
    for (size_t i = 0; i < args[0].vector.count; i++) {
        struct ref_sample s = args[0].vector.items[i];
        const char *value = arena_cstr(r->arena, labels_get(s.labels, args[3].string));
        regmatch_t groups[GROUPS_MAX + 1];
        if (regexec(&re, value, GROUPS_MAX + 1, groups, 0) == 0) {
            const struct str text = expand(r, args[2].string, value, groups + 1);
            /* group 0 of the language is all of the value, as group 1 of the pattern is */
            s.labels = ref_set_label(r, s.labels, args[1].string, text);
            s.drops_name = s.drops_name && !str_eq(args[1].string, LABEL_NAME);
        }
        ref_push(r, &out.vector, s);
    }
    regfree(&re);
    ref_check_unique(r, &out.vector);
    return out;
}

struct ref_value ref_label_join(struct ref *r, const struct ref_value *args, size_t n) {
    struct ref_value out = {.type = VALUE_VECTOR};
    for (size_t i = 0; i < args[0].vector.count; i++) {
        struct ref_sample s = args[0].vector.items[i];
        struct str text = STR("");
        for (size_t k = 3; k < n; k++) {
            text = k > 3 ? part(r, text, args[2].string) : text;
            text = part(r, text, labels_get(s.labels, args[k].string));
        }
        s.labels = ref_set_label(r, s.labels, args[1].string, text);
        s.drops_name = s.drops_name && !str_eq(args[1].string, LABEL_NAME);
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

/* ---- sort_by_label ---- */

static struct str take_run(struct str *text) {
    size_t n = 0;
    const bool digits = text->len > 0 && isdigit((unsigned char)text->ptr[0]);
    while (n < text->len && (isdigit((unsigned char)text->ptr[n]) != 0) == digits) {
        n++;
    }
    const struct str run = str_sub(*text, 0, n);
    *text = str_from(*text, n);
    return run;
}

static bool is_number(struct ref *r, struct str run, long long *out) {
    if (run.len == 0 || !isdigit((unsigned char)run.ptr[0])) {
        return false;
    }
    errno = 0;
    *out = strtoll(arena_cstr(r->arena, run), NULL, 10);
    return errno == 0;
}

static bool natural_before(struct ref *r, struct str a, struct str b) {
    while (a.len > 0) {
        if (b.len == 0) {
            return false;
        }
        const struct str run_a = take_run(&a);
        const struct str run_b = take_run(&b);
        long long x = 0;
        long long y = 0;
        if (is_number(r, run_a, &x) && is_number(r, run_b, &y)) {
            if (x != y) {
                return x < y;
            }
        } else if (!str_eq(run_a, run_b)) {
            return str_cmp(run_a, run_b) < 0;
        }
        if (a.len == 0) {
            return true;
        }
        if (b.len == 0) {
            return false;
        }
    }
    return false;
}

struct ref_value ref_sort_by_label(struct ref *r, const struct node *call,
                                   const struct ref_value *args, bool descending) {
    struct ref_value out = {.type = VALUE_VECTOR};
    if (r->grid.start_ms != r->grid.end_ms) {
        ref_warn(
            r, call->pos.start,
            "sort is ineffective for range queries since results are always ordered by labels");
        return args[0];
    }
    for (size_t i = 0; i < args[0].vector.count; i++) {
        ref_push(r, &out.vector, args[0].vector.items[i]);
    }
    struct ref_sample *s = out.vector.items;
    for (size_t i = 1; i < out.vector.count; i++) {
        for (size_t k = i; k > 0; k--) {
            const struct labels a = s[k - 1].labels;
            const struct labels b = s[k].labels;
            bool swap = labels_cmp(b, a) < 0;
            for (size_t l = 1; l < call->call.arg_count; l++) {
                const struct str x = labels_get(a, args[l].string);
                const struct str y = labels_get(b, args[l].string);
                if (!str_eq(x, y)) {
                    swap = natural_before(r, y, x);
                    r->inexact |= x.len == 0 || y.len == 0; /* where those go is open */
                    break;
                }
            }
            if (swap == descending) {
                break;
            }
            const struct ref_sample x = s[k];
            s[k] = s[k - 1];
            s[k - 1] = x;
        }
    }
    return out;
}
