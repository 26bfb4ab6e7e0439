#include <arpa/inet.h>
#include <stdlib.h>

#include "base/json_in.h"
#include "base/mem.h"
#include "scrape/sd/sd_docker.h"

#define META "__meta_docker_"

/* Containers that share the network of another one may form a chain; a longer one is a loop. */
enum { NETWORK_MODE_HOPS_MAX = 32 };

/* Networks of one container; more are left out. */
enum { NETWORKS_MAX = 64 };

struct docker_reader {
    const struct sd_config *config;
    const struct json *containers, *networks;
    struct sd_box *box;
    struct labels *targets;
    size_t capacity;
};

struct attachment {
    struct str name;
    const struct json *settings;
};

static bool is_ip(struct str text) {
    char copy[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, &address) == 1 || inet_pton(AF_INET6, copy, &address) == 1;
}

static struct str attachment_ip(const struct json *settings) {
    const struct str v4 = json_string(json_get(settings, "IPAddress"));
    const struct str v6 = json_string(json_get(settings, "GlobalIPv6Address"));
    return is_ip(v4) ? v4 : is_ip(v6) ? v6 : STR("");
}

/* ---- labels ---- */

static void set(struct labels_builder *b, const char *name, struct str value) {
    labels_builder_set(b, str_of(name), value);
}

static void set_user_labels(struct labels_builder *b, const char *prefix,
                            const struct json *labels) {
    struct str name;
    const struct json *value = NULL;
    for (size_t it = 0; json_next_member(labels, &it, &name, &value);) {
        labels_builder_set(b, sd_label_name(b->arena, prefix, name), json_string(value));
    }
}

static struct str true_or_false(const struct json *value) {
    return json_true(value) ? STR("true") : STR("false");
}

static void set_container_labels(struct labels_builder *b, const struct json *container) {
    set(b, META "container_id", json_string(json_get(container, "Id")));
    set(b, META "container_name", json_string(json_at(json_get(container, "Names"), 0)));
    set(b, META "container_network_mode",
        json_string(json_get(json_get(container, "HostConfig"), "NetworkMode")));
    set(b, META "container_image", json_string(json_get(container, "Image")));
    set(b, META "container_image_id", json_string(json_get(container, "ImageID")));
    set_user_labels(b, META "container_label_", json_get(container, "Labels"));
}

static void set_network_labels(struct labels_builder *b, const struct docker_reader *r,
                               const struct json *settings) {
    const struct str id = json_string(json_get(settings, "NetworkID"));
    set(b, META "network_ip", attachment_ip(settings));
    for (size_t i = 0; i < json_length(r->networks); i++) {
        const struct json *const network = json_at(r->networks, i);
        if (!str_eq(json_string(json_get(network, "Id")), id)) {
            continue;
        }
        set(b, META "network_id", id);
        set(b, META "network_name", json_string(json_get(network, "Name")));
        set(b, META "network_scope", json_string(json_get(network, "Scope")));
        set(b, META "network_ingress", true_or_false(json_get(network, "Ingress")));
        set(b, META "network_internal", true_or_false(json_get(network, "Internal")));
        set_user_labels(b, META "network_label_", json_get(network, "Labels"));
        return;
    }
}

static enum err_code add_target(struct docker_reader *r, struct labels_builder *b,
                                struct str address, struct err *err) {
    struct sd_group *const group = &r->box->group;
    if (group->target_count == SD_TARGETS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d targets", SD_TARGETS_MAX);
    }
    if (group->target_count == r->capacity) {
        r->capacity = mem_grow(r->capacity, group->target_count + 1);
        r->targets = mem_resize(r->targets, r->capacity, sizeof(r->targets[0]));
    }
    set(b, "__address__", address);
    return labels_builder_finish(b, &r->targets[group->target_count++], err);
}

/* ---- containers ---- */

/* The port as written; 0 when it is none. */
static unsigned port_of(const struct json *value) {
    const int64_t port = json_int(value, 0);
    return port > 0 && port <= UINT16_MAX ? (unsigned)port : 0;
}

static enum err_code add_port(struct docker_reader *r, struct labels common,
                              const struct json *port, struct str ip, struct err *err) {
    struct arena *const arena = &r->box->arena;
    const unsigned private_port = port_of(json_get(port, "PrivatePort"));
    const unsigned public_port = port_of(json_get(port, "PublicPort"));
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, common);
    set(&b, META "port_private", arena_printf(arena, "%u", private_port));
    if (public_port > 0) {
        set(&b, META "port_public", arena_printf(arena, "%u", public_port));
        set(&b, META "port_public_ip", json_string(json_get(port, "IP")));
    }
    return add_target(r, &b, sd_address(arena, ip, private_port), err);
}

static enum err_code add_network(struct docker_reader *r, const struct json *container,
                                 const struct json *settings, struct err *err) {
    struct labels_builder b;
    const struct str ip = attachment_ip(settings);
    const struct json *const ports = json_get(container, "Ports");
    size_t added = 0;
    labels_builder_init(&b, &r->box->arena);
    set_container_labels(&b, container);
    set_network_labels(&b, r, settings);
    struct labels common;
    enum err_code code = labels_builder_finish(&b, &common, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < json_length(ports); i++) {
        const struct json *const port = json_at(ports, i);
        if (!str_eq(json_string(json_get(port, "Type")), STR("tcp"))) {
            continue;
        }
        code = add_port(r, common, port, ip, err);
        if (code != ERR_OK) {
            return code;
        }
        added++;
    }
    if (added > 0) {
        return ERR_OK;
    }
    const struct str mode = json_string(json_get(json_get(container, "HostConfig"), "NetworkMode"));
    const struct str address = str_eq(mode, STR("host")) ? r->config->host_networking_host
                                                         : sd_address(b.arena, ip, r->config->port);
    return add_target(r, &b, address, err);
}

static const struct json *networks_of(const struct json *container) {
    return json_get(json_get(container, "NetworkSettings"), "Networks");
}

static bool has_members(const struct json *object) {
    struct str name;
    const struct json *value = NULL;
    size_t it = 0;
    return json_next_member(object, &it, &name, &value);
}

static const struct json *find_container(const struct docker_reader *r, struct str id) {
    for (size_t i = 0; i < json_length(r->containers); i++) {
        const struct json *const container = json_at(r->containers, i);
        if (str_eq(json_string(json_get(container, "Id")), id)) {
            return container;
        }
    }
    return NULL;
}

/* The networks of the container, or of the one whose network it uses. */
static const struct json *follow_networks(const struct docker_reader *r,
                                          const struct json *container) {
    const struct str prefix = STR("container:");
    for (int hops = 0; hops < NETWORK_MODE_HOPS_MAX && container != NULL; hops++) {
        const struct json *const networks = networks_of(container);
        const struct str mode =
            json_string(json_get(json_get(container, "HostConfig"), "NetworkMode"));
        if (has_members(networks) || !str_starts(mode, prefix)) {
            return networks;
        }
        container = find_container(r, str_from(mode, prefix.len));
    }
    return NULL;
}

static int by_name(const void *a, const void *b) {
    const struct attachment *const x = a;
    const struct attachment *const y = b;
    return str_cmp(x->name, y->name);
}

static enum err_code add_container(struct docker_reader *r, const struct json *container,
                                   struct err *err) {
    struct attachment list[NETWORKS_MAX];
    size_t n = 0;
    struct attachment one;
    const struct json *const networks = follow_networks(r, container);
    for (size_t it = 0; json_next_member(networks, &it, &one.name, &one.settings);) {
        if (json_is_object(one.settings) && n < NETWORKS_MAX) {
            list[n++] = one;
        }
    }
    if (n > 1) {
        qsort(list, n, sizeof(list[0]), by_name);
    }
    n = r->config->match_first_network && n > 1 ? 1 : n;
    for (size_t i = 0; i < n; i++) {
        const enum err_code code = add_network(r, container, list[i].settings, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code read_containers(struct docker_reader *r, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < json_length(r->containers) && code == ERR_OK; i++) {
        const struct json *const container = json_at(r->containers, i);
        if (json_length(json_get(container, "Names")) > 0) {
            code = add_container(r, container, err);
        }
    }
    struct sd_group *const group = &r->box->group;
    struct labels *const targets =
        arena_alloc(&r->box->arena, (group->target_count + 1) * sizeof(targets[0]));
    if (group->target_count > 0) {
        memcpy(targets, r->targets, group->target_count * sizeof(targets[0]));
    }
    group->targets = targets;
    group->source = STR("Docker");
    mem_free(r->targets);
    return code;
}

static enum err_code parse_list(struct str text, const char *what, struct json_doc **out,
                                struct err *err) {
    if (json_parse(text, out, err) != ERR_OK) {
        return err_wrap(err, "%s", what);
    }
    const struct json *const root = json_root(*out);
    if (!json_is_array(root) && !json_is_null(root)) {
        return err_set(err, ERR_INVALID, "%s: answer is not a list", what);
    }
    return ERR_OK;
}

enum err_code docker_targets(const struct sd_config *config, struct str containers,
                             struct str networks, struct sd_boxes *out, struct err *err) {
    struct json_doc *container_doc = NULL;
    struct json_doc *network_doc = NULL;
    enum err_code code =
        parse_list(containers, "error while listing containers", &container_doc, err);
    if (code == ERR_OK) {
        code = parse_list(networks, "error while computing network labels", &network_doc, err);
    }
    if (code == ERR_OK) {
        struct docker_reader r = {.config = config,
                                  .containers = json_root(container_doc),
                                  .networks = json_root(network_doc),
                                  .box = sd_box_new()};
        code = read_containers(&r, err);
        if (code == ERR_OK) {
            sd_boxes_add(out, r.box);
        } else {
            sd_box_unref(r.box);
        }
    }
    json_doc_free(network_doc);
    json_doc_free(container_doc);
    return code;
}
