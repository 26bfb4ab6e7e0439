/* YAML documents as a tree with positions: libyaml's event API behind one header. Depth at most
 * 64, 16 MiB, aliases expand to at most a million nodes. Scalars keep text and style, so that
 * the binder can decide what "yes", 0x10 or ~ mean by YAML 1.1 as go-yaml v2 does. */
#ifndef BASE_YAML_NODE_H
#define BASE_YAML_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    int line, column;         /* 1-based */
    struct str text;          /* scalar */
    bool plain;               /* scalar without quotes */
    struct str tag;           /* explicit tag such as !!str, else "" */
    struct yaml_node **items; /* sequence: values; mapping: key, value, key, value ... */
    size_t count;             /* items */
};

/* Parses the first document into arena; *out is NULL for an empty one. ERR_INVALID as
 * "yaml: line 3: did not find expected key". *out_more (may be NULL): another document follows. */
MUST_CHECK enum err_code yaml_parse(struct arena *arena, struct str text, struct yaml_node **out,
                                    bool *out_more, struct err *err);

bool yaml_is_null(const struct yaml_node *node); /* NULL, ~, null, empty plain scalar */
/* Value of a key in a mapping, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);

#endif
