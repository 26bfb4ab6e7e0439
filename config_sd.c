#include "config_sd.h"

#include "base/mem.h"
#include "base/utf8.h"

static const size_t TARGET_FILE_BUDGET_BYTES = (size_t)256 * 1024 * 1024;

/* ---- labels ---- */

static enum err_code label_add(struct binder *b, struct label_options *labels, struct str name,
                               struct str value, struct err *err) {
    /* a power of two is full: twice the room */
    if ((labels->count & (labels->count - 1)) == 0) {
        struct label *items =
            bind_alloc(b, labels->count != 0 ? 2 * labels->count : 1, sizeof(*items), err);
        if (items == NULL) {
            return ERR_LIMIT;
        }
        if (labels->count != 0) {
            memcpy(items, labels->items, labels->count * sizeof(*items));
        }
        labels->items = items;
    }
    labels->items[labels->count++] = (struct label){name, value};
    return ERR_OK;
}

static enum err_code label_pair(struct binder *b, void *ctx, struct str name,
                                const struct yaml_node *value, struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, value, "string", &text, &ok, err);
    return code == ERR_OK && ok ? label_add(b, ctx, name, text, err) : code;
}

/* As label_pair for model.LabelSet, whose names are checked while they are read. */
static enum err_code checked_label_pair(struct binder *b, void *ctx, struct str name,
                                        const struct yaml_node *value, struct err *err) {
    if (name.len == 0 || !utf8_valid(name)) {
        return err_set(err, ERR_INVALID, "%s is not a valid label name",
                       bind_quote(b->arena, name));
    }
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, value, "model.LabelValue", &text, &ok, err);
    return code == ERR_OK && ok ? label_add(b, ctx, name, text, err) : code;
}

static enum err_code labels_bind(struct binder *b, const struct yaml_node *node, void *field,
                                 struct err *err) {
    *(struct label_options *)field = (struct label_options){0};
    return bind_pairs(b, node, "map[string]string", label_pair, field, err);
}

static enum err_code label_set_bind(struct binder *b, const struct yaml_node *node, void *field,
                                    struct err *err) {
    *(struct label_options *)field = (struct label_options){0};
    return bind_pairs(b, node, "model.LabelSet", checked_label_pair, field, err);
}

static struct yaml_node *labels_print(struct arena *arena, const void *field) {
    const struct label_options *labels = field;
    if (labels->count == 0) {
        return NULL;
    }
    struct yaml_node *mapping = print_mapping(arena, labels->count);
    for (size_t i = 0; i < labels->count; i++) {
        print_pair(mapping, print_str(arena, labels->items[i].name),
                   print_str(arena, labels->items[i].value));
    }
    print_sort(mapping);
    return mapping;
}

const struct bind_custom labels_custom = {.bind = labels_bind, .print = labels_print};
static const struct bind_custom label_set_custom = {.bind = label_set_bind, .print = labels_print};

enum err_code labels_convert(struct binder *b, const struct label_options *options,
                             struct labels *out, struct err *err) {
    struct labels_builder builder;
    labels_builder_init(&builder, b->arena);
    for (size_t i = 0; i < options->count; i++) {
        labels_builder_set(&builder, options->items[i].name, options->items[i].value);
    }
    return labels_builder_finish(&builder, out, err);
}

/* ---- static_configs ---- */

static const struct bind_field static_fields[] = {
    {
        .key = "targets",
        .type = BIND_STR_LIST,
        .always = true,
        .offset = offsetof(struct static_options, targets),
        .count_offset = offsetof(struct static_options, target_count),
    },
    BIND_OWN("labels", static_options, labels, &label_set_custom),
};

static const struct bind_table static_table = {
    .type_name = "struct { Targets []string \"yaml:\\\"targets\\\"\"; Labels model.LabelSet "
                 "\"yaml:\\\"labels\\\"\" }",
    .list_name = "[]*targetgroup.Group",
    .size = sizeof(struct static_options),
    .fields = static_fields,
    .field_count = COUNT_OF(static_fields),
    .null_offset = offsetof(struct static_options, is_null),
};

/* ---- file_sd_configs ---- */

static const struct bind_field file_fields[] = {
    {
        .key = "files",
        .type = BIND_PATH_LIST,
        .always = true,
        .offset = offsetof(struct file_options, files),
        .count_offset = offsetof(struct file_options, file_count),
    },
    BIND_AT(BIND_DURATION, "refresh_interval", file_options, refresh_interval_ms),
};

static void file_defaults(void *self) {
    *(struct file_options *)self = (struct file_options){.refresh_interval_ms = 5 * 60 * 1000};
}

/* ^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$ */
static bool file_name_ok(struct str name) {
    static const struct str endings[] = {STR_INIT(".json"), STR_INIT(".yml"), STR_INIT(".yaml"),
                                         STR_INIT(".JSON"), STR_INIT(".YML"), STR_INIT(".YAML")};
    const ptrdiff_t star = str_find_char(name, '*');
    if (star >= 0 && str_find_char(str_from(name, (size_t)star), '/') >= 0) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        if (str_ends(name, endings[i])) {
            return true;
        }
    }
    return false;
}

static enum err_code file_check(struct binder *b, void *self, struct err *err) {
    const struct file_options *file = self;
    if (file->file_count == 0) {
        return err_set(err, ERR_INVALID,
                       "file service discovery config must contain at least one path name");
    }
    for (size_t i = 0; i < file->file_count; i++) {
        if (!file_name_ok(file->files[i])) {
            return err_set(err, ERR_INVALID, "path name %s is not valid for file discovery",
                           bind_quote(b->arena, file->files[i]));
        }
    }
    return ERR_OK;
}

static const struct bind_table file_table = {
    .type_name = "file.plain",
    .list_name = "[]*file.SDConfig",
    .size = sizeof(struct file_options),
    .fields = file_fields,
    .field_count = COUNT_OF(file_fields),
    .null_offset = offsetof(struct file_options, is_null),
    .defaults = file_defaults,
    .check = file_check,
};

/* ---- docker_sd_configs ---- */

static const struct bind_field filter_fields[] = {
    BIND_ALWAYS(BIND_STR, "name", filter_options, name),
    {
        .key = "values",
        .type = BIND_STR_LIST,
        .always = true,
        .offset = offsetof(struct filter_options, values),
        .count_offset = offsetof(struct filter_options, value_count),
    },
};

static const struct bind_table filter_table = {
    .type_name = "moby.Filter",
    .list_name = "[]moby.Filter",
    .size = sizeof(struct filter_options),
    .fields = filter_fields,
    .field_count = COUNT_OF(filter_fields),
    .null_offset = offsetof(struct filter_options, is_null),
};

static const struct bind_field docker_fields[] = {
    BIND_TABLE(BIND_INLINE, "", docker_options, http, http, &http_options_table),
    BIND_ALWAYS(BIND_STR, "host", docker_options, host),
    BIND_ALWAYS(BIND_INT, "port", docker_options, port),
    {
        .key = "filters",
        .type = BIND_LIST,
        .always = true,
        .offset = offsetof(struct docker_options, filters),
        .count_offset = offsetof(struct docker_options, filter_count),
        .table = &filter_table,
    },
    BIND_ALWAYS(BIND_STR, "host_networking_host", docker_options, host_networking_host),
    BIND_ALWAYS(BIND_DURATION, "refresh_interval", docker_options, refresh_interval_ms),
    BIND_ALWAYS(BIND_BOOL, "match_first_network", docker_options, match_first_network),
};

static void docker_defaults(void *self) {
    struct docker_options *docker = self;
    *docker = (struct docker_options){
        .host_networking_host = STR("localhost"),
        .port = 80,
        .refresh_interval_ms = 60 * 1000,
        .match_first_network = true,
    };
    http_options_defaults(&docker->http);
}

static enum err_code docker_check(struct binder *b, void *self, struct err *err) {
    struct docker_options *docker = self;
    if (docker->host.len == 0) {
        return err_set(err, ERR_INVALID, "host missing");
    }
    if (docker->port < 0 || docker->port > UINT16_MAX) {
        return err_set(err, ERR_INVALID, "docker_sd_configs: invalid port %lld",
                       (long long)docker->port);
    }
    const enum err_code code = url_option_check(b->arena, docker->host, err);
    return code == ERR_OK ? http_options_check(b, &docker->http, err) : code;
}

static const struct bind_table docker_table = {
    .type_name = "moby.plain",
    .list_name = "[]*moby.DockerSDConfig",
    .size = sizeof(struct docker_options),
    .fields = docker_fields,
    .field_count = COUNT_OF(docker_fields),
    .null_offset = offsetof(struct docker_options, is_null),
    .defaults = docker_defaults,
    .check = docker_check,
};

/* ---- all kinds ---- */

static const struct bind_field discovery_fields[] = {
    BIND_TABLE(BIND_LIST, "docker_sd_configs", discovery_options, dockers, docker_count,
               &docker_table),
    BIND_TABLE(BIND_LIST, "file_sd_configs", discovery_options, files, file_count, &file_table),
    BIND_TABLE(BIND_LIST, "static_configs", discovery_options, statics, static_count,
               &static_table),
    BIND_REFUSE("aws_sd_configs"),
    BIND_REFUSE("azure_sd_configs"),
    BIND_REFUSE("consul_sd_configs"),
    BIND_REFUSE("digitalocean_sd_configs"),
    BIND_REFUSE("dns_sd_configs"),
    BIND_REFUSE("dockerswarm_sd_configs"),
    BIND_REFUSE("ec2_sd_configs"),
    BIND_REFUSE("ecs_sd_configs"),
    BIND_REFUSE("elasticache_sd_configs"),
    BIND_REFUSE("eureka_sd_configs"),
    BIND_REFUSE("gce_sd_configs"),
    BIND_REFUSE("hetzner_sd_configs"),
    BIND_REFUSE("http_sd_configs"),
    BIND_REFUSE("ionos_sd_configs"),
    BIND_REFUSE("kubernetes_sd_configs"),
    BIND_REFUSE("kuma_sd_configs"),
    BIND_REFUSE("lightsail_sd_configs"),
    BIND_REFUSE("linode_sd_configs"),
    BIND_REFUSE("marathon_sd_configs"),
    BIND_REFUSE("msk_sd_configs"),
    BIND_REFUSE("nerve_sd_configs"),
    BIND_REFUSE("nomad_sd_configs"),
    BIND_REFUSE("oci_sd_configs"),
    BIND_REFUSE("openstack_sd_configs"),
    BIND_REFUSE("outscale_sd_configs"),
    BIND_REFUSE("ovhcloud_sd_configs"),
    BIND_REFUSE("puppetdb_sd_configs"),
    BIND_REFUSE("rds_sd_configs"),
    BIND_REFUSE("scaleway_sd_configs"),
    BIND_REFUSE("serverset_sd_configs"),
    BIND_REFUSE("stackit_sd_configs"),
    BIND_REFUSE("triton_sd_configs"),
    BIND_REFUSE("uyuni_sd_configs"),
    BIND_REFUSE("vultr_sd_configs"),
};

const struct bind_table discovery_options_table = {
    .type_name = "discovery.Configs",
    .size = sizeof(struct discovery_options),
    .fields = discovery_fields,
    .field_count = COUNT_OF(discovery_fields),
};

static enum err_code null_section(const char *key, struct err *err) {
    return err_set(err, ERR_INVALID, "empty or null section in %s", key);
}

enum err_code discovery_check(const struct discovery_options *sd, struct err *err) {
    for (size_t i = 0; i < sd->docker_count; i++) {
        if (sd->dockers[i].is_null) {
            return null_section("docker_sd_configs", err);
        }
    }
    for (size_t i = 0; i < sd->file_count; i++) {
        if (sd->files[i].is_null) {
            return null_section("file_sd_configs", err);
        }
    }
    for (size_t i = 0; i < sd->static_count; i++) {
        if (sd->statics[i].is_null) {
            return null_section("static_configs", err);
        }
    }
    return ERR_OK;
}

enum err_code discovery_check_targets(struct binder *b, const struct discovery_options *sd,
                                      struct err *err) {
    for (size_t i = 0; i < sd->static_count; i++) {
        for (size_t k = 0; k < sd->statics[i].target_count; k++) {
            const struct str target = sd->statics[i].targets[k];
            if (str_find_char(target, '/') >= 0) {
                return err_set(err, ERR_INVALID, "%s is not a valid hostname",
                               bind_quote(b->arena, target));
            }
        }
    }
    return ERR_OK;
}

static enum err_code docker_convert(struct binder *b, const struct docker_options *docker,
                                    struct sd_config *out, struct err *err) {
    struct sd_filter *filters = bind_alloc(b, docker->filter_count, sizeof(*filters), err);
    if (filters == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < docker->filter_count; i++) {
        filters[i] = (struct sd_filter){
            .name = docker->filters[i].name,
            .values = docker->filters[i].values,
            .value_count = docker->filters[i].value_count,
        };
    }
    *out = (struct sd_config){
        .kind = SD_DOCKER,
        .refresh_interval_ms = docker->refresh_interval_ms,
        .host = docker->host,
        .port = (uint16_t)docker->port,
        .host_networking_host = docker->host_networking_host,
        .match_first_network = docker->match_first_network,
        .filters = filters,
        .filter_count = docker->filter_count,
    };
    http_options_convert(&docker->http, &out->http);
    return ERR_OK;
}

static enum err_code static_convert(struct binder *b, const struct discovery_options *sd,
                                    struct sd_config *out, struct err *err) {
    struct sd_static_group *groups = bind_alloc(b, sd->static_count, sizeof(*groups), err);
    if (groups == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < sd->static_count; i++) {
        groups[i].targets = sd->statics[i].targets;
        groups[i].target_count = sd->statics[i].target_count;
        const enum err_code code =
            labels_convert(b, &sd->statics[i].labels, &groups[i].labels, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = (struct sd_config){
        .kind = SD_STATIC,
        .groups = groups,
        .group_count = sd->static_count,
    };
    return ERR_OK;
}

enum err_code discovery_convert(struct binder *b, const struct discovery_options *sd,
                                struct str set_name, struct sd_config_set *out, struct err *err) {
    const size_t count = sd->docker_count + sd->file_count + (sd->static_count != 0);
    struct sd_config *configs = bind_alloc(b, count, sizeof(*configs), err);
    size_t n = 0;
    if (configs == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < sd->docker_count; i++) {
        const enum err_code code = docker_convert(b, &sd->dockers[i], &configs[n++], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < sd->file_count; i++) {
        configs[n++] = (struct sd_config){
            .kind = SD_FILE,
            .refresh_interval_ms = sd->files[i].refresh_interval_ms,
            .files = sd->files[i].files,
            .file_count = sd->files[i].file_count,
        };
    }
    if (sd->static_count != 0) {
        const enum err_code code = static_convert(b, sd, &configs[n++], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = (struct sd_config_set){.name = set_name, .configs = configs, .config_count = n};
    return ERR_OK;
}

/* ---- files of targets ---- */

struct target_file {
    struct static_options *groups;
    size_t group_count;
};

static const struct bind_field target_file_fields[] = {
    BIND_TABLE(BIND_LIST, "groups", target_file, groups, group_count, &static_table),
};

/* The file is the bare list. */
static const struct bind_table target_file_table = {
    .type_name = "[]*targetgroup.Group",
    .size = sizeof(struct target_file),
    .fields = target_file_fields,
    .field_count = COUNT_OF(target_file_fields),
};

/* JSON is read as the YAML that it is. */
static enum err_code check_target_text(struct str text, struct err *err) {
    struct arena arena;
    struct binder b;
    struct yaml_node *node = NULL;
    struct target_file file = {0};
    arena_init(&arena, TARGET_FILE_BUDGET_BYTES);
    binder_init(&b, &arena);
    enum err_code code = yaml_parse(&arena, text, &node, NULL, err);
    if (code == ERR_OK) {
        code = bind_member(&b, node, &target_file_table, 0, &file, err);
    }
    if (code == ERR_OK) {
        code = bind_finish(&b, err);
    }
    for (size_t i = 0; code == ERR_OK && i < file.group_count; i++) {
        if (file.groups[i].is_null) {
            code = err_set(err, ERR_INVALID, "nil target group item found (index %zu)", i);
        }
    }
    arena_release(&arena);
    return code;
}

enum err_code discovery_check_file(struct vfs *vfs, const char *path, struct err *err) {
    char *text = NULL;
    size_t len = 0;
    enum err_code code = vfs_read_file(vfs, path, YAML_TEXT_MAX, &text, &len, err);
    if (code == ERR_OK) {
        code = check_target_text((struct str){text, len}, err);
    }
    mem_free(text);
    return code;
}
