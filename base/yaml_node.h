/* YAML documents as a tree with positions: libyaml's event API behind one header. Depth at most
 * 64, 16 MiB, aliases expand to at most a million nodes. Scalars keep text and style, so that
 * the binder can decide what "yes", 0x10 or ~ mean by YAML 1.1 as go-yaml v2 does. */
#ifndef BASE_YAML_NODE_H
#define BASE_YAML_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Limits of one document. libyaml's scanner does work for every open flow level at every token,
 * so the depth is what bounds its time. */
enum {
    YAML_TEXT_MAX = 16 * 1024 * 1024,
    YAML_DEPTH_MAX = 64,
    YAML_NODES_MAX = 1000000, /* with aliases expanded */
    YAML_ANCHORS_MAX = 4096,
    YAML_DIRECTIVES_MAX = 64,
};

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    int line, column;         /* 1-based */
    struct str text;          /* scalar */
    bool plain;               /* scalar without quotes */
    bool flow;                /* sequence or mapping in brackets */
    struct str tag;           /* explicit tag such as !!str, else "" */
    struct yaml_node **items; /* sequence: values; mapping: key, value, key, value ... */
    size_t count;             /* items */
};

/* Parses the first document into arena; *out is NULL for an empty one. ERR_INVALID as
 * "yaml: line 3: did not find expected key"; ERR_LIMIT beyond a limit above or the arena's budget.
 * *out_more (may be NULL): another document follows. An alias is the node of its anchor, so the
 * tree shares nodes but has no cycles. */
MUST_CHECK enum err_code yaml_parse(struct arena *arena, struct str text, struct yaml_node **out,
                                    bool *out_more, struct err *err);

bool yaml_is_null(const struct yaml_node *node); /* NULL, ~, null, empty plain scalar */

/* Writes the tree as go-yaml v2 does: two spaces, sequences at their parent's column, lines folded
 * at 80. Scalars that are plain are written as they are; others are strings and get quotes or
 * block style where they need them to stay strings. root must be a mapping or a sequence. */
MUST_CHECK enum err_code yaml_format(struct buf *to, const struct yaml_node *root, struct err *err);

/* Value of a key in a mapping, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);

#endif
