/* Runs one group of rule unit tests: input series into a storage in memory, rules evaluated step by
 * step, alerts and expressions compared (spec/rules-alerts.md section 6). One thread. */
#ifndef RULE_TEST_RUN_H
#define RULE_TEST_RUN_H

#include "base/arena.h"
#include "base/vfs.h"
#include "rule_test_file.h"

/* What did not come out as expected, as promtool words it; in arena. */
struct rule_test_errors {
    struct arena *arena;
    struct str *items;
    size_t count, capacity;
};

/* rule_files: existing paths. delayed_name_removal: a feature of the language. */
struct rule_test_options {
    struct vfs *vfs;
    const struct str *rule_files;
    size_t rule_file_count;
    bool delayed_name_removal;
};

void rule_test_run(const struct rule_test_options *options, const struct rule_test_file *file,
                   const struct rule_test_group *group, struct rule_test_errors *errors);
void rule_test_errors_add(struct rule_test_errors *errors, struct str text);

#endif
