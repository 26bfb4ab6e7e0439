/* What a YAML scalar means: YAML 1.1 as go-yaml v2 resolves it ("yes" is true, 0x10 and 0o20 are
 * 16, ~ is null, quoted text is a string), and which strings need quotes to stay strings. Pure. */
#ifndef BASE_YAML_SCALAR_H
#define BASE_YAML_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/yaml_node.h"

enum yaml_type {
    YAML_TYPE_NULL,
    YAML_TYPE_BOOL,
    YAML_TYPE_INT,  /* fits int64_t: as.i */
    YAML_TYPE_UINT, /* only uint64_t: as.u */
    YAML_TYPE_FLOAT,
    YAML_TYPE_TIMESTAMP, /* a string that looks like a date */
    YAML_TYPE_MERGE,     /* << */
    YAML_TYPE_BINARY,    /* base64 text */
    YAML_TYPE_STR,
};

struct yaml_value {
    enum yaml_type type;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double f;
    } as;
};

/* The node must be a scalar. */
struct yaml_value yaml_resolve(const struct yaml_node *scalar);
/* Plain text without a tag. */
struct yaml_value yaml_resolve_plain(struct str text);
/* "!!int" for error texts: the explicit tag, or that of the resolved value; !!map and !!seq for
 * the other kinds. */
const char *yaml_tag_name(const struct yaml_node *node);
/* The text of a scalar that is wanted as a string: decoded for !!binary (into arena), else the
 * node's own. ERR_INVALID: yaml: !!binary value contains invalid base64 data. */
MUST_CHECK enum err_code yaml_string(struct arena *arena, const struct yaml_node *scalar,
                                     struct str *out, struct err *err);
/* Would plain text be read back as something else than this string? */
bool yaml_needs_quotes(struct str text);

#endif
