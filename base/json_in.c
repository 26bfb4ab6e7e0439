/* JSON documents on jansson. A struct json is a json_t under another name: pointers are cast,
 * never followed, outside this file.
 *
 * Depth is counted before jansson sees the text, because its parser recurses and allows 2048. */
#include "base/json_in.h"

/* Two constructors of jansson have names of ours (json_in.h); they are not called here. */
#define json_string jansson_string
#define json_true jansson_true
#include <jansson.h>
#undef json_string
#undef json_true
#undef json_is_object
#undef json_is_array
#undef json_is_string
#undef json_is_null

#include "base/mem.h"

struct json_doc {
    json_t *root;
};

static const json_t *value_of(const struct json *j) {
    return (const json_t *)j;
}

static const struct json *json_of(const json_t *value) {
    return (const struct json *)value;
}

/* The deepest nesting of brackets outside strings; right for valid documents, and an upper bound
 * of what a parser follows in others. */
static unsigned depth_of(struct str text) {
    unsigned depth = 0;
    unsigned deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '"') {
            quoted = !quoted;
        } else if (quoted) {
            i += c == '\\' ? 1 : 0;
        } else if (c == '{' || c == '[') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

enum err_code json_parse(struct str text, struct json_doc **out, struct err *err) {
    if (text.len > JSON_IN_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "JSON document of %zu bytes, at most %d are accepted",
                       text.len, JSON_IN_BYTES_MAX);
    }
    if (depth_of(text) > JSON_IN_DEPTH_MAX) {
        return err_set(err, ERR_INVALID, "JSON document is nested deeper than %d levels",
                       JSON_IN_DEPTH_MAX);
    }
    json_error_t fault;
    json_t *root = json_loadb(text.len > 0 ? text.ptr : "", text.len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
    if (root == NULL) {
        return err_set(err, ERR_INVALID, "JSON line %d column %d: %s", fault.line, fault.column,
                       fault.text);
    }
    struct json_doc *doc = mem_alloc(sizeof(*doc));
    doc->root = root;
    *out = doc;
    return ERR_OK;
}

void json_doc_free(struct json_doc *doc) {
    if (doc != NULL) {
        json_decref(doc->root);
        mem_free(doc);
    }
}

const struct json *json_root(const struct json_doc *doc) {
    return json_of(doc->root);
}

static bool has_type(const struct json *j, json_type type) {
    return j != NULL && json_typeof(value_of(j)) == type;
}

bool json_is_object(const struct json *j) {
    return has_type(j, JSON_OBJECT);
}

bool json_is_array(const struct json *j) {
    return has_type(j, JSON_ARRAY);
}

bool json_is_string(const struct json *j) {
    return has_type(j, JSON_STRING);
}

bool json_is_null(const struct json *j) {
    return has_type(j, JSON_NULL);
}

const struct json *json_get(const struct json *j, const char *key) {
    return json_is_object(j) ? json_of(json_object_get(value_of(j), key)) : NULL;
}

size_t json_length(const struct json *j) {
    return json_is_array(j) ? json_array_size(value_of(j)) : 0;
}

const struct json *json_at(const struct json *j, size_t i) {
    return json_is_array(j) ? json_of(json_array_get(value_of(j), i)) : NULL;
}

struct str json_string(const struct json *j) {
    if (!json_is_string(j)) {
        return STR("");
    }
    return (struct str){json_string_value(value_of(j)), json_string_length(value_of(j))};
}

int64_t json_int(const struct json *j, int64_t otherwise) {
    return has_type(j, JSON_INTEGER) ? (int64_t)json_integer_value(value_of(j)) : otherwise;
}

double json_number(const struct json *j, double otherwise) {
    const bool is_number = has_type(j, JSON_INTEGER) || has_type(j, JSON_REAL);
    return is_number ? json_number_value(value_of(j)) : otherwise;
}

bool json_true(const struct json *j) {
    return has_type(j, JSON_TRUE);
}

/* *it holds jansson's iterator, which is a pointer to the member last returned, so that a walk
 * costs one step a member. */
bool json_next_member(const struct json *j, size_t *it, struct str *key,
                      const struct json **value) {
    if (!json_is_object(j) || *it == SIZE_MAX) {
        return false;
    }
    /* jansson's iterators are not const; nothing is changed through this one. */
    json_t *object = (json_t *)value_of(j);
    void *member =
        *it == 0 ? json_object_iter(object) : json_object_iter_next(object, (void *)(uintptr_t)*it);
    if (member == NULL) {
        *it = SIZE_MAX;
        return false;
    }
    *it = (size_t)(uintptr_t)member;
    *key = (struct str){json_object_iter_key(member), json_object_iter_key_len(member)};
    *value = json_of(json_object_iter_value(member));
    return true;
}
