/* Values of templates at run time, and how they print and compare. Private to alert/template*. */
#ifndef ALERT_TEMPLATE_VALUE_H
#define ALERT_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "alert/template.h"
#include "base/buf.h"

enum template_type {
    TEMPLATE_NIL,
    TEMPLATE_BOOL,
    TEMPLATE_INT,
    TEMPLATE_FLOAT,
    TEMPLATE_STRING,
    TEMPLATE_LABELS,    /* map[string]string */
    TEMPLATE_SAMPLE,    /* .Labels .Value */
    TEMPLATE_SAMPLES,   /* what query returns */
    TEMPLATE_ARGS,      /* args a b: map arg0, arg1 ... */
    TEMPLATE_TIME,      /* Unix ns */
    TEMPLATE_DURATION,  /* ns */
    TEMPLATE_ROOT,      /* the template's data */
    TEMPLATE_TOO_LARGE, /* a constant over int64: an error when it is used; its text in s */
};

struct template_value;

struct template_list {
    const struct template_value *items;
    size_t count;
};

struct template_value {
    enum template_type type;
    union {
        bool b;
        int64_t i; /* INT, TIME, DURATION */
        double f;
        struct str s;
        struct labels labels;
        const struct template_sample *sample;
        struct {
            const struct template_sample *items;
            size_t count;
        } samples;
        struct template_list args;
        const struct template_data *root;
    };
};

static inline struct template_value template_string(struct str s) {
    return (struct template_value){.type = TEMPLATE_STRING, .s = s};
}

static inline struct template_value template_float(double f) {
    return (struct template_value){.type = TEMPLATE_FLOAT, .f = f};
}

static inline struct template_value template_int(int64_t i) {
    return (struct template_value){.type = TEMPLATE_INT, .i = i};
}

static inline struct template_value template_bool(bool b) {
    return (struct template_value){.type = TEMPLATE_BOOL, .b = b};
}

/* Go's name of the type, for error texts: "int", "map[string]string", "template.sample" ... */
const char *template_type_name(const struct template_value *v);
/* Go's truth: false, 0, "", empty maps and lists and nil are not true. */
bool template_truth(const struct template_value *v);
/* As print writes it (%v). */
void template_print(struct buf *to, const struct template_value *v);
/* As an action writes it: pointers are followed, nil is "<no value>". */
void template_print_action(struct buf *to, const struct template_value *v);
/* humanize functions and such take floats, numeric strings and integers. ERR_INVALID: can't
 * convert ... to float. */
MUST_CHECK enum err_code template_to_float(const struct template_value *v, double *out,
                                           struct err *err);
/* Field or key of a value; a missing map key is "". */
MUST_CHECK enum err_code template_field(const struct template_value *v, struct str name,
                                        struct template_value *out, struct err *err);

/* ---- functions ---- */

struct template_call {
    const struct template_data *data;
    struct arena *arena;
    const struct template_value *args;
    size_t count;
};

/* args: a letter per argument, 's' string, 'q' query result, 'p' sample, 'd' duration, 'v' anything;
 * '*' at the end repeats the last letter any number of times, none included. The executor has checked
 * count and types when run is called. */
struct template_function {
    const char *name;
    const char *args;
    enum err_code (*run)(const struct template_call *call, struct template_value *out,
                         struct err *err);
};

/* The method of a time or duration, or NULL; its receiver is args[0] of the call
 * (template_method.c). */
const struct template_function *template_method_find(enum template_type receiver, struct str name);
/* NULL when there is none. and, or, not are operators of the executor and are found here too. */
const struct template_function *template_function_find(struct str name);
const struct template_function *template_function_prometheus(struct str name); /* template_prom.c */
const struct template_function *template_function_text(struct str name);       /* template_text.c */
/* fmt.Sprintf as far as templates need it (template_printf.c). */
MUST_CHECK enum err_code template_printf(const struct template_call *call,
                                         struct template_value *out, struct err *err);

#endif
