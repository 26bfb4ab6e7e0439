/* relabel_configs as they are written in the file (spec/config.md section 6). Lives in the
 * binder's arena, compiled expressions too. */
#ifndef CONFIG_RELABEL_H
#define CONFIG_RELABEL_H

#include "base/labels.h"
#include "base/relabel.h"
#include "config_bind.h"

struct name_list {
    const struct str *names;
    size_t count;
    bool set; /* written, if only as an empty list */
};

struct regex_option {
    struct regex *regex; /* NULL when it was not written: (.*) */
    bool set;
};

struct action_option {
    enum relabel_action action;
    bool empty; /* null */
};

struct relabel_options {
    bool is_null; /* the list element */
    struct name_list source_labels;
    struct str separator;
    struct regex_option regex;
    uint64_t modulus;
    struct str target_label, replacement;
    struct action_option action;
};

struct relabel_list {
    struct relabel_options *items;
    size_t count;
};

extern const struct bind_table relabel_options_table;

/* ERR_INVALID with text when an element is null. */
MUST_CHECK enum err_code relabel_list_check_null(const struct relabel_list *list, const char *text,
                                                 struct err *err);
/* Checks the rules with the scheme and makes them; out lives in the binder's arena. */
MUST_CHECK enum err_code relabel_list_convert(struct binder *b, const struct relabel_list *list,
                                              enum name_scheme scheme, struct relabel_rules *out,
                                              struct err *err);

#endif
