/* JSON documents (discovery answers, API bodies): jansson behind one header, with size and depth
 * caps. Values are borrowed from the document. jansson exports functions called json_string and
 * json_true and calls them itself, so ours are linked under other names. */
#ifndef BASE_JSON_IN_H
#define BASE_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

enum { JSON_IN_DEPTH_MAX = 64, JSON_IN_BYTES_MAX = 64 * 1024 * 1024 };

struct json_doc;
struct json; /* any value; NULL stands for "absent" everywhere below */

/* ERR_INVALID with line and column, or when nested too deep; ERR_LIMIT when too long. */
MUST_CHECK enum err_code json_parse(struct str text, struct json_doc **out, struct err *err);
void json_doc_free(struct json_doc *doc);
const struct json *json_root(const struct json_doc *doc);

bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
bool json_is_string(const struct json *j);
bool json_is_null(const struct json *j);
const struct json *json_get(const struct json *j,
                            const char *key); /* NULL unless an object with it */
size_t json_length(const struct json *j);     /* of an array, else 0 */
const struct json *json_at(const struct json *j, size_t i);
struct str json_string(const struct json *j)
    LINK_NAME("brasa_json_string"); /* "" unless a string */
int64_t json_int(const struct json *j, int64_t otherwise);
double json_number(const struct json *j, double otherwise);
bool json_true(const struct json *j) LINK_NAME("brasa_json_true");
/* Members of an object in document order; start with it = 0. */
bool json_next_member(const struct json *j, size_t *it, struct str *key, const struct json **value);

#endif
