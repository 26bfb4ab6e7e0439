/* A parsed template: lists of nodes with pipelines. Private to alert/template*. */
#ifndef ALERT_TEMPLATE_TREE_H
#define ALERT_TEMPLATE_TREE_H

#include "alert/template_value.h"

enum operand_type {
    OPERAND_DOT,
    OPERAND_FIELDS,   /* .A.B on dot */
    OPERAND_VARIABLE, /* $x.A.B */
    OPERAND_CONSTANT,
    OPERAND_NIL,
    OPERAND_FUNCTION,
    OPERAND_PIPE, /* ( pipeline ).A.B */
};

struct template_pipe;

struct template_operand {
    enum operand_type type;
    size_t pos;
    struct str source; /* for error texts */
    struct str name;   /* variable with $, function */
    const struct template_function *function;
    struct template_value constant;
    struct template_pipe *pipe;
    struct str *fields;
    size_t field_count;
};

struct template_command {
    struct template_operand *operands;
    size_t count;
    size_t pos;
    struct str source;
};

struct template_pipe {
    struct str variables[2]; /* declared or assigned, with $ */
    size_t variable_count;
    bool assign; /* = rather than := */
    struct template_command *commands;
    size_t command_count;
    size_t pos;
    struct str source;
};

enum template_node_type {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_CALL,
    NODE_BREAK,
    NODE_CONTINUE
};

struct template_node;

struct template_nodes {
    struct template_node *first, **last;
};

struct template_node {
    enum template_node_type type;
    size_t pos;
    struct str text; /* NODE_TEXT; NODE_CALL: the template's name */
    struct str source;
    struct template_pipe *pipe; /* may be NULL for NODE_CALL */
    struct template_nodes body, otherwise;
    struct template_node *next;
};

struct template_definition {
    struct str name;
    struct template_nodes body;
    struct template_definition *next;
};

struct template {
    struct str name;
    struct str text; /* with the predefined variables in front */
    struct template_nodes body;
    struct template_definition *definitions;
};

#endif
