/* What a discovery mechanism is to the manager, and the tools that mechanisms share.
 *
 * A provider runs one sd_config for all sets that contain an equal one. It lives on the discovery
 * thread: provider_step is called when its time has come or something may have happened, does
 * what it can without waiting, and says when it wants to be called again. When it knows its
 * groups it calls sd_provider_publish; on an error it says nothing, so the last groups stay. */
#ifndef SCRAPE_SD_SD_PROVIDER_H
#define SCRAPE_SD_SD_PROVIDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/metric.h"
#include "scrape/sd.h"

/* Largest file or answer that a mechanism reads, and most targets of one source. */
enum { SD_TEXT_MAX = 64 * 1024 * 1024, SD_TARGETS_MAX = 1000000 };

/* A group in memory of its own; immutable once it is published, shared by reference count. */
struct sd_box {
    _Atomic uint32_t refs;
    struct arena arena;
    struct sd_group group;
};

struct sd_box *sd_box_new(void);
struct sd_box *sd_box_ref(struct sd_box *box);
void sd_box_unref(struct sd_box *box); /* NULL is fine */

struct sd_boxes {
    struct sd_box **items;
    size_t count, capacity;
};

void sd_boxes_add(struct sd_boxes *boxes, struct sd_box *box); /* takes the reference */
void sd_boxes_release(struct sd_boxes *boxes);

struct sd_env {
    struct vfs *vfs;
    struct clock *clock;
    struct transport *transport;
    struct log *log;
    struct metric_registry *registry;
};

struct sd_provider;

struct sd_provider_ops {
    /* Returns the monotonic time of the next call; INT64_MAX: only after an event. */
    int64_t (*step)(struct sd_provider *p);
    void (*free)(struct sd_provider *p);
};

struct sd_provider {
    const struct sd_provider_ops *ops;
    struct sd_env *env;
    struct generation *generation; /* a reference; config lives in it */
    const struct sd_config *config;
    struct sd_boxes groups;
    bool published; /* at least once */
    bool changed;   /* groups the manager has not seen yet */
    int64_t due_mono_ns;
    struct metric *refresh_failures; /* NULL: not a refreshing mechanism */
    struct metric_summary *refresh_duration;
    struct metric_histogram *refresh_histogram;
};

/* One function per mechanism; ERR_INVALID when the configuration proves unusable only now. On
 * success the provider owns a reference of g. set: the set that it was first made for. */
typedef enum err_code sd_provider_new_fn(struct sd_env *env, struct generation *g,
                                         const struct sd_config *config, struct str set,
                                         struct sd_provider **out, struct err *err);
sd_provider_new_fn sd_static_new;
sd_provider_new_fn sd_file_new;
sd_provider_new_fn sd_docker_new;

/* The metrics that all providers of files share; there from the start, whoever uses files. */
void sd_file_metrics(struct metric_registry *registry, struct metric **out_read_errors,
                     struct metric **out_watcher_errors, struct metric_summary **out_scans);

/* For constructors and destructors. */
void sd_provider_init(struct sd_provider *p, const struct sd_provider_ops *ops, struct sd_env *env,
                      struct generation *g, const struct sd_config *config);
void sd_provider_init_refresh(struct sd_provider *p, struct str set);
void sd_provider_release(struct sd_provider *p);

/* Replaces the provider's groups (taken); those without targets are left out. */
void sd_provider_publish(struct sd_provider *p, struct sd_boxes *groups);
/* Accounts for one refresh; logs err unless code is ERR_OK. */
void sd_provider_refreshed(struct sd_provider *p, int64_t start_mono_ns, enum err_code code,
                           const struct err *err);

/* Meta label from a name of the outside world: each character that no label name may have
 * becomes one '_'. */
struct str sd_label_name(struct arena *arena, const char *prefix, struct str name);
/* "host:port", an IPv6 host in brackets. */
struct str sd_address(struct arena *arena, struct str host, unsigned port);

/* The list of {targets, labels} of file (and HTTP) discovery, one box per element in their order;
 * sources are "<path>:<index>". ERR_INVALID for what is not such a list. */
MUST_CHECK enum err_code sd_list_parse(struct str text, bool is_json, struct str path,
                                       struct str meta_label, struct sd_boxes *out,
                                       struct err *err);

/* Runs what is due without waiting; the monotonic time of the next thing to do. The discovery
 * thread's own step, for tests that have no thread. */
int64_t sd_manager_step(struct sd_manager *m);

#endif
