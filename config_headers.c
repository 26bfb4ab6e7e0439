#include "config_headers.h"

static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const struct bind_field header_fields[] = {
    BIND_COUNTED(BIND_STR_LIST, "values", http_header, values, value_count),
    BIND_COUNTED(BIND_SECRET_LIST, "secrets", http_header, secrets, secret_count),
    BIND_COUNTED(BIND_PATH_LIST, "files", http_header, files, file_count),
};

static const struct bind_table header_table = {
    .type_name = "config.Header",
    .size = sizeof(struct http_header),
    .fields = header_fields,
    .field_count = COUNT_OF(header_fields),
};

static const struct bind_field connect_header_fields[] = {
    BIND_COUNTED(BIND_SECRET_LIST, "secrets", http_header, secrets, secret_count),
};

/* A connect header is a bare list: bound as if it were the "secrets" of a header. */
static const struct bind_table connect_header_table = {
    .type_name = "[]config.Secret",
    .size = sizeof(struct http_header),
    .fields = connect_header_fields,
    .field_count = COUNT_OF(connect_header_fields),
};

static struct http_header *header_add(struct binder *b, struct header_options *headers,
                                      struct err *err) {
    /* a power of two is full: twice the room */
    if ((headers->count & (headers->count - 1)) == 0) {
        struct http_header *items =
            bind_alloc(b, headers->count != 0 ? 2 * headers->count : 1, sizeof(*items), err);
        if (items == NULL) {
            return NULL;
        }
        if (headers->count != 0) {
            memcpy(items, headers->items, headers->count * sizeof(*items));
        }
        headers->items = items;
    }
    return &headers->items[headers->count++];
}

static enum err_code header_pair(struct binder *b, void *ctx, struct str name,
                                 const struct yaml_node *value, struct err *err) {
    struct http_header *header = header_add(b, ctx, err);
    if (header == NULL) {
        return ERR_LIMIT;
    }
    const enum err_code code = bind_value(b, value, &header_table, header, err);
    header->name = name;
    return code;
}

static enum err_code headers_bind(struct binder *b, const struct yaml_node *node, void *field,
                                  struct err *err) {
    struct header_options *headers = field;
    *headers = (struct header_options){.set = !yaml_is_null(node)};
    return bind_pairs(b, node, "config.Headers", header_pair, headers, err);
}

static struct yaml_node *headers_print(struct arena *arena, const void *field) {
    const struct header_options *headers = field;
    if (!headers->set) {
        return NULL;
    }
    struct yaml_node *mapping = print_mapping(arena, headers->count);
    for (size_t i = 0; i < headers->count; i++) {
        print_pair(mapping, print_str(arena, headers->items[i].name),
                   bind_print(arena, &header_table, &headers->items[i]));
    }
    print_sort(mapping);
    return mapping;
}

static void headers_join(struct arena *arena, struct str dir, void *field) {
    const struct header_options *headers = field;
    for (size_t i = 0; i < headers->count; i++) {
        bind_join(arena, dir, &header_table, &headers->items[i]);
    }
}

const struct bind_custom headers_custom = {
    .bind = headers_bind,
    .print = headers_print,
    .join = headers_join,
};

static enum err_code connect_header_pair(struct binder *b, void *ctx, struct str name,
                                         const struct yaml_node *value, struct err *err) {
    struct http_header *header = header_add(b, ctx, err);
    if (header == NULL) {
        return ERR_LIMIT;
    }
    header->name = name;
    return bind_member(b, value, &connect_header_table, 0, header, err);
}

static enum err_code connect_headers_bind(struct binder *b, const struct yaml_node *node,
                                          void *field, struct err *err) {
    struct header_options *headers = field;
    *headers = (struct header_options){0};
    return bind_pairs(b, node, "config.ProxyHeader", connect_header_pair, headers, err);
}

static struct yaml_node *connect_headers_print(struct arena *arena, const void *field) {
    const struct header_options *headers = field;
    if (headers->count == 0) {
        return NULL;
    }
    struct yaml_node *mapping = print_mapping(arena, headers->count);
    for (size_t i = 0; i < headers->count; i++) {
        print_pair(mapping, print_str(arena, headers->items[i].name),
                   print_member(arena, &connect_header_table, 0, &headers->items[i]));
    }
    print_sort(mapping);
    return mapping;
}

const struct bind_custom connect_headers_custom = {.bind = connect_headers_bind,
                                                   .print = connect_headers_print};

static bool is_token_char(char c) {
    return is_alpha(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Go's CanonicalHeaderKey: "user-AGENT" to "User-Agent"; what is no token stays as it is. */
static struct str header_canonical(struct arena *arena, struct str name) {
    char *out = arena_cstr(arena, name);
    bool upper = true;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_token_char(out[i])) {
            return name;
        }
        if (is_alpha(out[i])) {
            out[i] = (char)(upper ? out[i] & ~0x20 : out[i] | 0x20);
        }
        upper = out[i] == '-';
    }
    return (struct str){out, name.len};
}

enum err_code headers_check(struct binder *b, const struct header_options *headers,
                            struct err *err) {
    static const char *const reserved[] = {
        "Authorization",
        "Host",
        "Content-Encoding",
        "Content-Length",
        "Content-Type",
        "User-Agent",
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Www-Authenticate",
        "Accept-Encoding",
        "X-Prometheus-Remote-Write-Version",
        "X-Prometheus-Remote-Read-Version",
        "X-Prometheus-Scrape-Timeout-Seconds",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "X-Amz-Content-Sha256",
    };
    for (size_t i = 0; i < headers->count; i++) {
        const struct str name = header_canonical(b->arena, headers->items[i].name);
        for (size_t k = 0; k < COUNT_OF(reserved); k++) {
            if (str_eq(name, str_of(reserved[k]))) {
                return err_set(err, ERR_INVALID, "setting header %s is not allowed",
                               bind_quote(b->arena, name));
            }
        }
    }
    return ERR_OK;
}
