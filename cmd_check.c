#include "cmd_check.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "config.h"
#include "config_glob.h"
#include "config_sd.h"

/* One configuration file under check. */
struct check {
    const struct check_io *io;
    const struct config *config;
    struct arena arena;
    bool syntax_only;
    struct str *rule_files;
    size_t rule_file_count;
};

/* ---- arguments ---- */

/* Linting is not done here; its flags are taken so that scripts for promtool run. */
static bool known_flag(const char *arg, bool *out_syntax_only) {
    if (strcmp(arg, "--syntax-only") == 0) {
        *out_syntax_only = true;
        return true;
    }
    return strcmp(arg, "--lint=none") == 0 || strcmp(arg, "--lint-fatal") == 0 ||
           strcmp(arg, "--no-lint-fatal") == 0 || strcmp(arg, "--no-syntax-only") == 0;
}

bool check_arguments(const struct check_io *io, int *argc, char **argv, bool *out_syntax_only) {
    int count = 0;
    for (int i = 0; i < *argc; i++) {
        struct vfs_stat st;
        if (argv[i][0] != '-') {
            if (vfs_stat(io->vfs, argv[i], &st, NULL) != ERR_OK) {
                (void)fprintf(io->err, "brasa: error: path '%s' does not exist, try --help\n",
                              argv[i]);
                return false;
            }
            if (st.is_dir) {
                (void)fprintf(io->err, "brasa: error: '%s' is a directory, try --help\n", argv[i]);
                return false;
            }
            argv[count++] = argv[i];
        } else if (!known_flag(argv[i], out_syntax_only)) {
            (void)fprintf(io->err, "brasa: error: unknown long flag '%s', try --help\n", argv[i]);
            return false;
        }
    }
    *argc = count;
    return true;
}

/* ---- rule files ---- */

static enum err_code add_rule_files(struct check *c, const struct str *paths, size_t count) {
    struct str *all = arena_alloc(&c->arena, (c->rule_file_count + count + 1) * sizeof(struct str));
    if (c->rule_file_count != 0) {
        memcpy(all, c->rule_files, c->rule_file_count * sizeof(struct str));
    }
    if (count != 0) {
        memcpy(all + c->rule_file_count, paths, count * sizeof(struct str));
    }
    c->rule_files = all;
    c->rule_file_count += count;
    return ERR_OK;
}

static enum err_code find_rule_files(struct check *c, struct err *err) {
    const struct rules_config *rules = &c->config->rules;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < rules->file_count; i++) {
        struct str *paths = NULL;
        size_t count = 0;
        code = config_glob(c->io->vfs, &c->arena, rules->files[i], &paths, &count, err);
        if (code == ERR_OK && count == 0 && str_find_char(rules->files[i], '*') < 0) {
            return err_set(err, ERR_NOT_FOUND, "\"%.*s\" does not point to an existing file",
                           STR_ARG(rules->files[i]));
        }
        if (code == ERR_OK) {
            code = add_rule_files(c, paths, count);
        }
    }
    return code;
}

/* ---- files that a configuration names ---- */

static enum err_code must_exist(struct check *c, struct str path, const char *what,
                                struct err *err) {
    struct vfs_stat st;
    if (path.len == 0 || c->syntax_only ||
        vfs_stat(c->io->vfs, arena_cstr(&c->arena, path), &st, err) == ERR_OK) {
        return ERR_OK;
    }
    return err_wrap(err, "error checking %s \"%.*s\"", what, STR_ARG(path));
}

static enum err_code check_http(struct check *c, const struct http_config *http, struct err *err) {
    enum err_code code = must_exist(c, http->credentials_file,
                                    "authorization credentials or bearer token file", err);
    if (code == ERR_OK) {
        code = must_exist(c, http->tls.cert_file, "client cert file", err);
    }
    return code == ERR_OK ? must_exist(c, http->tls.key_file, "client key file", err) : code;
}

static enum err_code check_sd_file(struct check *c, struct str pattern, const char *owner,
                                   struct err *err) {
    struct str *paths = NULL;
    size_t count = 0;
    enum err_code code = config_glob(c->io->vfs, &c->arena, pattern, &paths, &count, err);
    if (code == ERR_OK && count == 0) {
        (void)fprintf(c->io->out, "  WARNING: file \"%.*s\" for file_sd in %s does not exist\n",
                      STR_ARG(pattern), owner);
    }
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        code = discovery_check_file(c->io->vfs, arena_cstr(&c->arena, paths[i]), err);
    }
    return code == ERR_OK ? code : err_wrap(err, "checking SD file \"%.*s\"", STR_ARG(pattern));
}

static enum err_code check_discovery(struct check *c, const struct sd_config_set *set,
                                     const char *owner, struct err *err) {
    if (c->syntax_only) {
        return ERR_OK;
    }
    for (size_t i = 0; i < set->config_count; i++) {
        for (size_t k = 0; k < set->configs[i].file_count; k++) {
            const enum err_code code = check_sd_file(c, set->configs[i].files[k], owner, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

static enum err_code check_sections(struct check *c, struct err *err) {
    const struct config *config = c->config;
    enum err_code code = c->syntax_only ? ERR_OK : find_rule_files(c, err);
    for (size_t i = 0; code == ERR_OK && i < config->scrape_count; i++) {
        const struct scrape_config *scrape = &config->scrapes[i];
        const struct str owner =
            arena_printf(&c->arena, "scrape job \"%.*s\"", STR_ARG(scrape->job_name));
        code = check_http(c, &scrape->http, err);
        if (code == ERR_OK) {
            code = check_discovery(c, &scrape->sd, owner.ptr, err);
        }
    }
    for (size_t i = 0; code == ERR_OK && i < config->alerting.alertmanager_count; i++) {
        code =
            check_discovery(c, &config->alerting.alertmanagers[i].sd, "alertmanager config", err);
    }
    return code;
}

/* ---- one file ---- */

static bool check_rule_files(struct check *c, check_rule_file_fn *rules) {
    bool ok = true;
    for (size_t i = 0; rules != NULL && i < c->rule_file_count; i++) {
        ok = rules(c->io, arena_cstr(&c->arena, c->rule_files[i])) && ok;
        (void)fflush(c->io->out);
    }
    return ok;
}

static bool check_file(const struct check_io *io, const char *path, bool syntax_only,
                       check_rule_file_fn *rules) {
    const struct config_defaults defaults = {.syntax_only = syntax_only};
    struct check c = {.io = io, .syntax_only = syntax_only};
    struct config *config = NULL;
    struct err err;
    arena_init(&c.arena, 0);
    (void)fprintf(io->out, "Checking %s\n", path);
    enum err_code code = config_load_with(io->vfs, path, &defaults, NULL, &config, &err);
    if (code == ERR_OK) {
        c.config = config;
        code = check_sections(&c, &err);
    }
    if (code != ERR_OK) {
        (void)fflush(io->out);
        (void)fprintf(io->err, "  FAILED: %s\n", err.text);
    } else {
        if (c.rule_file_count > 0) {
            (void)fprintf(io->out, "  SUCCESS: %zu rule files found\n", c.rule_file_count);
        }
        (void)fprintf(io->out, " SUCCESS: %s is valid prometheus config file syntax\n", path);
    }
    (void)fprintf(io->out, "\n");
    (void)fflush(io->out);
    const bool ok = code == ERR_OK && check_rule_files(&c, rules);
    config_unref(config);
    arena_release(&c.arena);
    return ok;
}

int check_config(const struct check_io *io, int argc, char *const *argv,
                 check_rule_file_fn *rules) {
    char **files = mem_array((size_t)argc + 1, sizeof(*files));
    bool syntax_only = false;
    memcpy(files, argv, (size_t)argc * sizeof(*files));
    bool ok = check_arguments(io, &argc, files, &syntax_only);
    if (ok && argc == 0) {
        (void)fprintf(io->err, "brasa: error: required argument 'config-files' not provided, try "
                               "--help\n");
        ok = false;
    }
    const bool checked = ok;
    for (int i = 0; checked && i < argc; i++) {
        ok = check_file(io, files[i], syntax_only, rules) && ok;
    }
    mem_free(files);
    return ok ? CHECK_OK : CHECK_FAILED;
}
