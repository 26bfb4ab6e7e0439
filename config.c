/* Loading: YAML tree, bound and checked section by section (config_bind.h), inherited values
 * filled in, relative paths joined, then turned into the forms that the modules use. The tree
 * lives in an arena of its own that ends with the load; the rest is in the generation. */
#include "config.h"

#include <limits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/yaml_node.h"
#include "config_alerting.h"
#include "config_bind.h"
#include "config_environment.h"
#include "config_glob.h"
#include "config_scrape.h"
#include "config_storage.h"

static const size_t GENERATION_BUDGET_BYTES = (size_t)512 * 1024 * 1024;
static const size_t TREE_BUDGET_BYTES = (size_t)512 * 1024 * 1024;
static const size_t TEXT_MAX_BYTES = (size_t)64 * 1024 * 1024;

enum { DEFAULT_GOGC = 75 };

/* There is no garbage collector to tune; the value is kept because it is shown. */
static int64_t default_gogc(struct arena *arena) {
    const struct str text = environment_get(arena, STR("GOGC"));
    int64_t percent = 0;
    if (str_eq(text, STR("off"))) {
        return -1;
    }
    return number_parse_i64(text, &percent) == NUMBER_OK ? percent : DEFAULT_GOGC;
}

/* ---- the whole file ---- */

struct file_options_root {
    struct global_options global;
    struct runtime_options runtime;
    struct alerting_options alerting;
    const struct str *rule_files;
    size_t rule_file_count;
    const struct str *scrape_config_files;
    size_t scrape_config_file_count;
    struct scrape_options_list scrapes;
    struct storage_options storage;
};

static const struct bind_field root_fields[] = {
    {
        .key = "global",
        .type = BIND_SECTION,
        .always = true,
        .offset = offsetof(struct file_options_root, global),
        .table = &global_options_table,
    },
    BIND_TABLE(BIND_SECTION, "runtime", file_options_root, runtime, runtime,
               &runtime_options_table),
    BIND_TABLE(BIND_SECTION, "alerting", file_options_root, alerting, alerting,
               &alerting_options_table),
    BIND_COUNTED(BIND_PATH_LIST, "rule_files", file_options_root, rule_files, rule_file_count),
    BIND_COUNTED(BIND_PATH_LIST, "scrape_config_files", file_options_root, scrape_config_files,
                 scrape_config_file_count),
    BIND_TABLE(BIND_LIST, "scrape_configs", file_options_root, scrapes.items, scrapes.count,
               &scrape_options_table),
    BIND_TABLE(BIND_SECTION, "storage", file_options_root, storage, storage,
               &storage_options_table),
    BIND_REFUSE("tracing"),
    BIND_REFUSE("remote_write"),
    BIND_REFUSE("remote_read"),
    BIND_REFUSE("otlp"),
};

static void root_defaults(void *self) {
    struct file_options_root *root = self;
    global_options_defaults(&root->global);
}

/* ^[^*]*(\*[^/]*)?$: a star only in the last element */
static bool pattern_ok(struct str pattern) {
    const ptrdiff_t star = str_find_char(pattern, '*');
    return star < 0 || str_find_char(str_from(pattern, (size_t)star), '/') < 0;
}

static enum err_code patterns_check(struct binder *b, const struct str *patterns, size_t count,
                                    const char *what, struct err *err) {
    for (size_t i = 0; i < count; i++) {
        if (!pattern_ok(patterns[i])) {
            return err_set(err, ERR_INVALID, "invalid %s file path %s", what,
                           bind_quote(b->arena, patterns[i]));
        }
    }
    return ERR_OK;
}

/* Who has a job name: where it was first found, for the error text. */
struct job_names {
    struct job {
        struct str name;
        const char *where; /* NULL: the main file */
    } * items;
    size_t count, capacity;
};

static int job_cmp(const void *a, const void *b) {
    return str_cmp(((const struct job *)a)->name, ((const struct job *)b)->name);
}

/* Sorted; looking up is a binary search, adding moves the rest. Scrape configs are thousands at
 * most, and each costs far more than the move. */
static const struct job *job_add(struct job_names *jobs, struct str name, const char *where) {
    size_t low = 0;
    size_t high = jobs->count;
    const struct job wanted = {name, where};
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int cmp = job_cmp(&jobs->items[mid], &wanted);
        if (cmp == 0) {
            return &jobs->items[mid];
        }
        if (cmp < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (jobs->count == jobs->capacity) {
        jobs->capacity = mem_grow(jobs->capacity, jobs->count + 1);
        jobs->items = mem_resize(jobs->items, jobs->capacity, sizeof(*jobs->items));
    }
    memmove(jobs->items + low + 1, jobs->items + low, (jobs->count - low) * sizeof(*jobs->items));
    jobs->items[low] = wanted;
    jobs->count++;
    return NULL;
}

static enum err_code scrapes_check(struct binder *b, const struct global_options *global,
                                   struct scrape_options_list *scrapes, struct job_names *jobs,
                                   const char *where, struct err *err) {
    for (size_t i = 0; i < scrapes->count; i++) {
        struct scrape_file_options *scrape = &scrapes->items[i];
        const enum err_code code = scrape_options_inherit(b, global, scrape, err);
        if (code != ERR_OK) {
            return code;
        }
        const struct job *first = job_add(jobs, scrape->job_name, where);
        if (first == NULL) {
            continue;
        }
        const char *name = bind_quote(b->arena, scrape->job_name);
        if (where == NULL) {
            return err_set(err, ERR_INVALID, "found multiple scrape configs with job name %s",
                           name);
        }
        return err_set(err, ERR_INVALID,
                       "found multiple scrape configs with job name %s, first found in %s", name,
                       first->where != NULL ? bind_quote(b->arena, str_of(first->where))
                                            : "main config file");
    }
    return ERR_OK;
}

static const struct bind_table root_table = {
    .type_name = "config.plain",
    .size = sizeof(struct file_options_root),
    .fields = root_fields,
    .field_count = COUNT_OF(root_fields),
    .defaults = root_defaults,
};

/* ---- loading ---- */

/* One load on its way to a generation. */
struct loader {
    struct binder binder;
    struct arena tree;
    struct vfs *vfs; /* NULL: no other files are read */
    struct log *log;
    struct config_defaults defaults;
    struct file_options_root *root;
    struct scrape_options_list all; /* of the main file and of included ones */
    struct job_names jobs;
    struct config *config;
};

static enum err_code parse_into(struct loader *l, struct str text, const struct bind_table *table,
                                void *self, struct err *err) {
    struct yaml_node *node = NULL;
    arena_reset(&l->tree);
    const enum err_code code = yaml_parse(&l->tree, text, &node, NULL, err);
    if (code != ERR_OK) {
        return code;
    }
    binder_init(&l->binder, l->binder.arena);
    return bind_document(&l->binder, node, table, self, err);
}

static enum err_code main_check(struct loader *l, struct err *err) {
    struct file_options_root *root = l->root;
    struct binder *b = &l->binder;
    if (root->global.scrape_interval_ms == 0) { /* null: as if it were not there */
        global_options_defaults(&root->global);
    }
    if (root->runtime.gogc == 0) {
        root->runtime.gogc = default_gogc(b->arena);
    }
    if (!root->storage.has_tsdb || !root->storage.tsdb.has_retention) {
        const struct config_retention *from = &l->defaults.retention;
        root->storage.has_tsdb = true;
        root->storage.tsdb.has_retention = true;
        root->storage.tsdb.retention =
            (struct retention_options){from->time_ms, from->size_bytes, from->percent};
    }
    enum err_code code = patterns_check(b, root->rule_files, root->rule_file_count, "rule", err);
    if (code == ERR_OK) {
        code = patterns_check(b, root->scrape_config_files, root->scrape_config_file_count,
                              "scrape config", err);
    }
    if (code == ERR_OK) {
        code = scrapes_check(b, &root->global, &root->scrapes, &l->jobs, NULL, err);
    }
    if (code == ERR_OK) {
        code = alerting_options_check(b, &root->alerting, name_scheme_of(root->global.validation),
                                      err);
    }
    if (code == ERR_OK) {
        code = environment_expand(b, &root->global.external_labels, l->log, err);
    }
    return code;
}

static enum err_code load_main(struct loader *l, struct str text, struct str dir, struct err *err) {
    l->root = bind_alloc(&l->binder, 1, sizeof(*l->root), err);
    if (l->root == NULL) {
        return ERR_LIMIT;
    }
    root_defaults(l->root);
    enum err_code code = parse_into(l, text, &root_table, l->root, err);
    if (code == ERR_OK) {
        code = main_check(l, err);
    }
    if (code == ERR_OK) {
        bind_join(l->binder.arena, dir, &root_table, l->root);
        l->all = l->root->scrapes;
    }
    return code;
}

/* ---- scrape_config_files ---- */

struct included_options {
    struct scrape_options_list scrapes;
};

static const struct bind_field included_fields[] = {
    BIND_TABLE(BIND_LIST, "scrape_configs", included_options, scrapes.items, scrapes.count,
               &scrape_options_table),
};

static const struct bind_table included_table = {
    .type_name = "config.ScrapeConfigs",
    .size = sizeof(struct included_options),
    .fields = included_fields,
    .field_count = COUNT_OF(included_fields),
};

static struct str folder_of(struct arena *arena, struct str path) {
    const ptrdiff_t slash = str_rfind_char(path, '/');
    if (slash < 0) {
        return STR(".");
    }
    return arena_str(arena, str_sub(path, 0, slash == 0 ? 1 : (size_t)slash));
}

static const char *absolute(struct arena *arena, struct str path) {
    char cwd[PATH_MAX];
    if (getcwd(cwd, sizeof(cwd)) == NULL) {
        return arena_cstr(arena, path);
    }
    return arena_cstr(arena, path_join(arena, str_of(cwd), path));
}

static enum err_code append_scrapes(struct loader *l, const struct scrape_options_list *more,
                                    struct err *err) {
    const size_t count = l->all.count + more->count;
    struct scrape_file_options *items = bind_alloc(&l->binder, count, sizeof(*items), err);
    if (items == NULL) {
        return ERR_LIMIT;
    }
    if (l->all.count != 0) {
        memcpy(items, l->all.items, l->all.count * sizeof(*items));
    }
    memcpy(items + l->all.count, more->items, more->count * sizeof(*items));
    l->all = (struct scrape_options_list){items, count};
    return ERR_OK;
}

static enum err_code load_included(struct loader *l, struct str path, struct err *err) {
    struct included_options included = {0};
    struct arena *arena = l->binder.arena;
    const char *where = absolute(arena, path);
    char *text = NULL;
    size_t len = 0;
    enum err_code code =
        vfs_read_file(l->vfs, arena_cstr(arena, path), YAML_TEXT_MAX, &text, &len, err);
    if (code == ERR_OK) {
        code = parse_into(l, (struct str){text, len}, &included_table, &included, err);
    }
    if (code == ERR_OK) {
        code = scrapes_check(&l->binder, &l->root->global, &included.scrapes, &l->jobs, where, err);
    }
    if (code == ERR_OK && included.scrapes.count != 0) {
        bind_join(arena, folder_of(arena, path), &included_table, &included);
        code = append_scrapes(l, &included.scrapes, err);
    }
    mem_free(text);
    return code == ERR_OK ? code : err_wrap(err, "%s", bind_quote(arena, str_of(where)));
}

static enum err_code load_all_included(struct loader *l, struct err *err) {
    for (size_t i = 0; i < l->root->scrape_config_file_count; i++) {
        struct str *paths = NULL;
        size_t count = 0;
        enum err_code code = config_glob(l->vfs, l->binder.arena, l->root->scrape_config_files[i],
                                         &paths, &count, err);
        for (size_t k = 0; code == ERR_OK && k < count; k++) {
            code = load_included(l, paths[k], err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- the result ---- */

static enum err_code print_text(struct binder *b, const struct bind_table *table, const void *self,
                                struct str *out, struct err *err) {
    struct arena scratch;
    struct buf text;
    arena_init(&scratch, 0);
    buf_init(&text, TEXT_MAX_BYTES);
    enum err_code code = yaml_format(&text, bind_print(&scratch, table, self), err);
    if (code == ERR_OK) {
        char *copy = bind_alloc(b, text.len + 1, 1, err);
        code = copy != NULL ? ERR_OK : ERR_LIMIT;
        if (copy != NULL) {
            memcpy(copy, text.ptr, text.len);
            *out = (struct str){copy, text.len};
        }
    }
    buf_release(&text);
    arena_release(&scratch);
    return code;
}

static enum err_code convert_scrapes(struct loader *l, struct err *err) {
    struct binder *b = &l->binder;
    struct scrape_config *scrapes = bind_alloc(b, l->all.count, sizeof(*scrapes), err);
    if (scrapes == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < l->all.count; i++) {
        const struct scrape_file_options *from = &l->all.items[i];
        enum err_code code = scrape_options_convert(b, from, &scrapes[i], err);
        if (code == ERR_OK) {
            code = print_text(b, &scrape_options_table, from, &scrapes[i].yaml, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    l->config->scrapes = scrapes;
    l->config->scrape_count = l->all.count;
    return ERR_OK;
}

static enum err_code convert(struct loader *l, struct err *err) {
    struct config *config = l->config;
    const struct file_options_root *root = l->root;
    const struct tsdb_options *tsdb = &root->storage.tsdb;
    config->scrape_interval_ms = root->global.scrape_interval_ms;
    config->scrape_timeout_ms = root->global.scrape_timeout_ms;
    config->evaluation_interval_ms = root->global.evaluation_interval_ms;
    config->query_log_file = root->global.query_log_file;
    config->out_of_order_window_ms = tsdb->out_of_order_window_ms;
    config->max_exemplars =
        root->storage.has_exemplars ? root->storage.exemplars.max_exemplars : EXEMPLARS_DEFAULT;
    config->retention = (struct config_retention){
        .time_ms = tsdb->retention.time_ms,
        .size_bytes = tsdb->retention.size_bytes,
        .percent = tsdb->retention.percent,
    };
    enum err_code code =
        labels_convert(&l->binder, &root->global.external_labels, &config->external_labels, err);
    if (code == ERR_OK) {
        code = convert_scrapes(l, err);
    }
    if (code == ERR_OK) {
        code = alerting_options_convert(&l->binder, &root->alerting, &config->alerting, err);
    }
    if (code == ERR_OK) {
        code = print_text(&l->binder, &root_table, root, &config->text, err);
    }
    config->rules = (struct rules_config){
        .files = root->rule_files,
        .file_count = root->rule_file_count,
        .evaluation_interval_ms = config->evaluation_interval_ms,
        .query_offset_ms = root->global.rule_query_offset_ms,
        .external_labels = config->external_labels,
        .external_url = STR(""),
    };
    return code;
}

static enum err_code load(struct vfs *vfs, struct str text, const char *name, struct str dir,
                          const struct config_defaults *defaults, struct log *log,
                          struct config **out, struct err *err) {
    struct generation *generation = generation_new(GENERATION_BUDGET_BYTES);
    struct loader *l = mem_zalloc(sizeof(*l));
    binder_init(&l->binder, generation_arena(generation));
    arena_init(&l->tree, TREE_BUDGET_BYTES);
    l->vfs = vfs;
    l->log = log;
    if (defaults != NULL) {
        l->defaults = *defaults;
    }
    l->config = arena_zalloc(generation_arena(generation), sizeof(*l->config));
    l->config->generation = generation;
    enum err_code code = load_main(l, text, dir, err);
    if (code != ERR_OK) {
        code = err_wrap(err, "parsing YAML file %s", name);
    }
    if (code == ERR_OK && vfs != NULL && !l->defaults.syntax_only) {
        code = load_all_included(l, err);
    }
    if (code == ERR_OK) {
        code = convert(l, err);
    }
    if (code == ERR_OK) {
        *out = l->config;
    } else {
        generation_unref(generation);
    }
    arena_release(&l->tree);
    mem_free(l->jobs.items);
    mem_free(l);
    return code;
}

enum err_code config_load_with(struct vfs *vfs, const char *path,
                               const struct config_defaults *defaults, struct log *log,
                               struct config **out, struct err *err) {
    char *text = NULL;
    size_t len = 0;
    struct arena scratch;
    enum err_code code = vfs_read_file(vfs, path, YAML_TEXT_MAX, &text, &len, err);
    if (code != ERR_OK) {
        return code;
    }
    arena_init(&scratch, 0);
    code = load(vfs, (struct str){text, len}, path, folder_of(&scratch, str_of(path)), defaults,
                log, out, err);
    arena_release(&scratch);
    mem_free(text);
    return code;
}

enum err_code config_load(struct vfs *vfs, const char *path, struct log *log, struct config **out,
                          struct err *err) {
    return config_load_with(vfs, path, NULL, log, out, err);
}

enum err_code config_parse(struct str text, const char *name, const char *dir, struct log *log,
                           struct config **out, struct err *err) {
    return load(NULL, text, name, str_of(dir), NULL, log, out, err);
}

void config_unref(struct config *config) {
    if (config != NULL) {
        generation_unref(config->generation);
    }
}
