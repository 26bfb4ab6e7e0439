/* One rule group: its rules' states and one evaluation of them (spec/rules-alerts.md sections 2
 * and 3). Private to alert/.
 *
 * One thread evaluates a group at a time. What snapshots read is changed under env->mu only. */
#ifndef ALERT_RULE_GROUP_H
#define ALERT_RULE_GROUP_H

#include "alert/alert_state.h"
#include "alert/rule_file.h"
#include "alert/rule_metrics.h"
#include "alert/series_list.h"
#include "base/generation.h"
#include "base/mutex.h"

/* What evaluations need; owned by the manager. */
struct rule_env {
    struct rule_options options;
    struct mutex *mu;
    struct cancel cancel; /* raised when the manager stops */
    /* of the configuration; changed while no group is evaluated */
    struct labels external_labels;
    struct str external_url;
    /* metrics of all groups */
    struct metric_histogram *rule_seconds, *group_seconds;
    struct metric_summary *rule_summary, *group_summary; /* the same durations */
};

struct rule_state {
    const struct rule *rule;
    struct alert_set alerts;
    struct series_list previous; /* sorted */
    bool restored;               /* ALERTS series may be written */
    /* shown by the API */
    enum rule_health health;
    char *last_error; /* NULL: none */
    int64_t evaluation_ns, last_evaluation_unix_ns;
};

struct rule_group {
    struct generation *file; /* the parsed file that spec lives in */
    const struct rule_group_spec *spec;
    struct rule_state *rules;
    int64_t interval_ns, query_offset_ms, offset_ns;
    int64_t slot_unix_ns; /* of the last, or coming first, evaluation */
    int64_t next_unix_ns;
    uint64_t evaluation_count;
    bool running;
    bool ended; /* left the configuration: its series are ended when next_unix_ns comes */
    struct series_list orphans; /* of rules that a reload took away */
    int64_t evaluation_ns, last_evaluation_unix_ns;
    struct rule_group_metrics metrics; /* while it is part of the configuration */
};

/* Where in its interval a group is evaluated, so that not all are at once. */
int64_t rule_group_offset_ns(struct str file, struct str name, int64_t interval_ns);

/* spec lives in file, which is referenced. */
struct rule_group *rule_group_new(struct generation *file, const struct rule_group_spec *spec,
                                  int64_t interval_ms, int64_t query_offset_ms, bool restored,
                                  int64_t now_unix_ns);
void rule_group_free(struct rule_group *g);
/* True when nothing that matters differs: the old group then simply goes on. */
bool rule_group_same(const struct rule_group *a, const struct rule_group *b);
/* Takes over alerts and series of equal rules; what is left becomes orphans. */
void rule_group_take_state(struct rule_group *to, struct rule_group *from);
/* Moves to the slot that now lies in and sets the next due time; counts missed slots. A clock that
 * was set back moves the slot back. */
void rule_group_schedule(struct rule_group *g, int64_t now_unix_ns);
void rule_group_evaluate(struct rule_group *g, struct rule_env *env, int64_t ts_ms);
/* Stale markers for all series of a group that ended. */
void rule_group_end_series(struct rule_group *g, struct rule_env *env, int64_t ts_ms);

/* alert_restore.c: "for" state from ALERTS_FOR_STATE after a restart. */
void rule_group_restore(struct rule_group *g, struct rule_env *env, int64_t now_ms);

/* rule_eval.c. Returns the number of samples that the rule produced. */
size_t rule_evaluate(struct rule_group *g, struct rule_state *state, struct rule_env *env,
                     int64_t ts_ms);
/* Writes stale markers for what is in gone but not in current (NULL: none). Errors are ignored. */
void rule_end_series(struct storage *st, struct storage_appender *a, const struct series_list *gone,
                     const struct series_list *current, int64_t ts_ms);

#endif
