/* The list of {targets, labels} of file discovery, from JSON or strict YAML. Unknown fields and
 * null elements are refused; JSON keys match in any case, as Go's decoder does it. */
#include "base/json_in.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/yaml_node.h"
#include "scrape/sd/sd_provider.h"

/* Memory of one group, and of a YAML tree, relative to what may be read. */
enum { TREE_BYTES_MAX = 512 * 1024 * 1024 };

static enum err_code add_target(struct sd_box *box, struct labels *targets, struct str address,
                                struct err *err) {
    if (address.len > LABEL_STRING_MAX) {
        return err_set(err, ERR_LIMIT, "target address of %zu bytes", address.len);
    }
    const struct label label = {STR("__address__"), arena_str(&box->arena, address)};
    targets[box->group.target_count++] = labels_of(&box->arena, &label, 1);
    return ERR_OK;
}

static enum err_code add_label(struct labels_builder *b, struct str name, struct str value,
                               struct err *err) {
    if (!label_name_valid(name, NAMES_UTF8)) {
        struct buf quoted;
        buf_init(&quoted, ERR_TEXT_MAX * 4);
        utf8_quote(&quoted, str_sub(name, 0, 256));
        const enum err_code code =
            err_set(err, ERR_INVALID, "%.*s is not a valid label name", STR_ARG(buf_str(&quoted)));
        buf_release(&quoted);
        return code;
    }
    labels_builder_set(b, name, value);
    return ERR_OK;
}

static enum err_code too_many(size_t n, struct err *err) {
    return err_set(err, ERR_LIMIT, "%zu targets in a group, at most %d are accepted", n,
                   SD_TARGETS_MAX);
}

/* ---- JSON ---- */

static enum err_code json_targets(const struct json *list, struct sd_box *box, struct err *err) {
    const size_t n = json_length(list);
    if (!json_is_array(list) && !json_is_null(list)) {
        return err_set(err, ERR_INVALID, "targets is not a list");
    }
    if (n > SD_TARGETS_MAX) {
        return too_many(n, err);
    }
    struct labels *const targets = arena_alloc(&box->arena, (n + 1) * sizeof(targets[0]));
    box->group.targets = targets;
    for (size_t i = 0; i < n; i++) {
        const struct json *const address = json_at(list, i);
        if (!json_is_string(address)) {
            return err_set(err, ERR_INVALID, "target %zu is not a string", i);
        }
        const enum err_code code = add_target(box, targets, json_string(address), err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code json_labels_of(const struct json *object, struct labels_builder *b,
                                    struct err *err) {
    if (!json_is_object(object) && !json_is_null(object)) {
        return err_set(err, ERR_INVALID, "labels is not a map");
    }
    struct str name;
    const struct json *value = NULL;
    for (size_t it = 0; json_next_member(object, &it, &name, &value);) {
        if (!json_is_string(value)) {
            return err_set(err, ERR_INVALID, "value of label %.*s is not a string",
                           STR_ARG(str_sub(name, 0, 256)));
        }
        const enum err_code code = add_label(b, name, json_string(value), err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code json_group(const struct json *element, struct sd_box *box,
                                struct labels_builder *b, struct err *err) {
    if (json_is_null(element)) {
        return err_set(err, ERR_INVALID, "nil target group item found");
    }
    if (!json_is_object(element)) {
        return err_set(err, ERR_INVALID, "target group is not an object");
    }
    struct str key;
    const struct json *value = NULL;
    for (size_t it = 0; json_next_member(element, &it, &key, &value);) {
        enum err_code code = ERR_OK;
        if (str_eq_nocase(key, STR("targets"))) {
            box->group.target_count = 0;
            code = json_targets(value, box, err);
        } else if (str_eq_nocase(key, STR("labels"))) {
            code = json_labels_of(value, b, err);
        } else {
            code =
                err_set(err, ERR_INVALID, "unknown field \"%.*s\"", STR_ARG(str_sub(key, 0, 256)));
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- YAML ---- */

static enum err_code yaml_targets(const struct yaml_node *list, struct sd_box *box,
                                  struct err *err) {
    if (yaml_is_null(list)) {
        return ERR_OK;
    }
    if (list->kind != YAML_SEQUENCE) {
        return err_set(err, ERR_INVALID, "line %d: targets is not a list", list->line);
    }
    if (list->count > SD_TARGETS_MAX) {
        return too_many(list->count, err);
    }
    struct labels *const targets = arena_alloc(&box->arena, (list->count + 1) * sizeof(targets[0]));
    box->group.targets = targets;
    for (size_t i = 0; i < list->count; i++) {
        const struct yaml_node *const address = list->items[i];
        if (address->kind != YAML_SCALAR) {
            return err_set(err, ERR_INVALID, "line %d: target is not a string", address->line);
        }
        const enum err_code code =
            add_target(box, targets, yaml_is_null(address) ? STR("") : address->text, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code yaml_labels(const struct yaml_node *map, struct labels_builder *b,
                                 struct err *err) {
    if (yaml_is_null(map)) {
        return ERR_OK;
    }
    if (map->kind != YAML_MAPPING) {
        return err_set(err, ERR_INVALID, "line %d: labels is not a map", map->line);
    }
    for (size_t i = 0; i + 1 < map->count; i += 2) {
        const struct yaml_node *const name = map->items[i];
        const struct yaml_node *const value = map->items[i + 1];
        if (name->kind != YAML_SCALAR || value->kind != YAML_SCALAR) {
            return err_set(err, ERR_INVALID, "line %d: label is not a string", name->line);
        }
        const enum err_code code =
            add_label(b, name->text, yaml_is_null(value) ? STR("") : value->text, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code yaml_group(const struct yaml_node *element, struct sd_box *box,
                                struct labels_builder *b, struct err *err) {
    if (yaml_is_null(element)) {
        return err_set(err, ERR_INVALID, "nil target group item found");
    }
    if (element->kind != YAML_MAPPING) {
        return err_set(err, ERR_INVALID, "line %d: target group is not a map", element->line);
    }
    bool has_targets = false;
    bool has_labels = false;
    for (size_t i = 0; i + 1 < element->count; i += 2) {
        const struct yaml_node *const key = element->items[i];
        const bool is_targets = str_eq(key->text, STR("targets"));
        const bool is_labels = str_eq(key->text, STR("labels"));
        enum err_code code = ERR_OK;
        if ((is_targets && has_targets) || (is_labels && has_labels)) {
            code = err_set(err, ERR_INVALID, "line %d: field %.*s already set", key->line,
                           STR_ARG(key->text));
        } else if (is_targets) {
            code = yaml_targets(element->items[i + 1], box, err);
        } else if (is_labels) {
            code = yaml_labels(element->items[i + 1], b, err);
        } else {
            code = err_set(err, ERR_INVALID, "line %d: field %.*s not found", key->line,
                           STR_ARG(str_sub(key->text, 0, 256)));
        }
        if (code != ERR_OK) {
            return code;
        }
        has_targets = has_targets || is_targets;
        has_labels = has_labels || is_labels;
    }
    return ERR_OK;
}

/* ---- the list ---- */

struct list_reader {
    struct str path, meta_label;
    struct sd_boxes *out;
};

/* One element, which is one of the two. */
static enum err_code read_element(const struct list_reader *r, size_t index,
                                  const struct json *json, const struct yaml_node *yaml,
                                  struct err *err) {
    struct sd_box *const box = sd_box_new();
    struct labels_builder b;
    labels_builder_init(&b, &box->arena);
    enum err_code code =
        yaml != NULL ? yaml_group(yaml, box, &b, err) : json_group(json, box, &b, err);
    const struct str path = arena_str(&box->arena, r->path);
    labels_builder_set(&b, r->meta_label, path);
    code = code == ERR_OK ? labels_builder_finish(&b, &box->group.labels, err) : code;
    if (code != ERR_OK) {
        sd_box_unref(box);
        return err_wrap(err, "target group %zu", index);
    }
    box->group.source = arena_printf(&box->arena, "%.*s:%zu", STR_ARG(path), index);
    sd_boxes_add(r->out, box);
    return ERR_OK;
}

static enum err_code read_json(const struct list_reader *r, struct str text, struct err *err) {
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(text, &doc, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct json *const root = json_root(doc);
    if (!json_is_array(root) && !json_is_null(root)) {
        code = err_set(err, ERR_INVALID, "not a list of target groups");
    }
    for (size_t i = 0; i < json_length(root) && code == ERR_OK; i++) {
        code = read_element(r, i, json_at(root, i), NULL, err);
    }
    json_doc_free(doc);
    return code;
}

static enum err_code read_yaml(const struct list_reader *r, struct str text, struct err *err) {
    struct arena arena;
    struct yaml_node *root = NULL;
    arena_init(&arena, TREE_BYTES_MAX);
    enum err_code code = yaml_parse(&arena, text, &root, NULL, err);
    if (code == ERR_OK && !yaml_is_null(root)) {
        if (root->kind != YAML_SEQUENCE) {
            code = err_set(err, ERR_INVALID, "not a list of target groups");
        }
        for (size_t i = 0; code == ERR_OK && i < root->count; i++) {
            code = read_element(r, i, NULL, root->items[i], err);
        }
    }
    arena_release(&arena);
    return code;
}

enum err_code sd_list_parse(struct str text, bool is_json, struct str path, struct str meta_label,
                            struct sd_boxes *out, struct err *err) {
    struct sd_boxes boxes = {0};
    const struct list_reader r = {path, meta_label, &boxes};
    const enum err_code code = is_json ? read_json(&r, text, err) : read_yaml(&r, text, err);
    if (code != ERR_OK) {
        sd_boxes_release(&boxes);
        return code;
    }
    for (size_t i = 0; i < boxes.count; i++) {
        sd_boxes_add(out, boxes.items[i]);
    }
    mem_free(boxes.items);
    return ERR_OK;
}
