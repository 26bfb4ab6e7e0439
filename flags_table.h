/* The table behind flags.h; private to flags*.c. */
#ifndef FLAGS_TABLE_H
#define FLAGS_TABLE_H

#include "flags.h"

enum flag_type {
    FLAG_BOOL,
    FLAG_STR,
    FLAG_STRS,         /* repeatable: struct str_list */
    FLAG_DURATION,     /* model.Duration: int64_t ms */
    FLAG_DURATION_ANY, /* the same with Go's fractions left out: int64_t ns */
    FLAG_INT,          /* int64_t; 5e7 is a number too */
    FLAG_FLOAT,
    FLAG_SIZE, /* int64_t bytes */
    FLAG_LOG_LEVEL,
    FLAG_LOG_FORMAT,
};

enum flag_effect {
    FLAG_WORKS,
    FLAG_NO_EFFECT, /* accepted; ignoring it changes nothing that matters */
    FLAG_REFUSED,   /* any value but the default is an error: ignoring it would harm */
};

struct flag {
    const char *name;
    enum flag_type type;
    enum flag_effect effect;
    bool hidden;
    size_t offset;             /* in struct flags */
    const char *default_value; /* NULL: zero */
    const char *placeholder;   /* in the help, for flags without a default */
    const char *const *values; /* NULL-terminated choices, or NULL */
    const char *help;
};

extern const struct flag flag_table[];
extern const size_t flag_count;

#endif
