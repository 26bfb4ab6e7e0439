/* Every kind of file that a data directory may have (tsdb/FORMAT.md, the table at its beginning): what damage
 * to it may cost. Whoever adds a kind adds it to the table there, to the one in damage_kinds.c, and to the
 * directory of damage_world.h: crash_damage_test fails until all three agree. */
#ifndef TESTS_CRASH_DAMAGE_KINDS_H
#define TESTS_CRASH_DAMAGE_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum damage_loss {
    LOSS_NONE,      /* no sample, no exemplar */
    LOSS_NOTE,      /* no sample; an exemplar or what is known of a family */
    LOSS_NOTES,     /* no sample */
    LOSS_ROWS,      /* of one group, at most 64 rows that are in no partition */
    LOSS_HEAD,      /* what is in no partition */
    LOSS_PARTITION, /* samples of the file's partition */
};

struct damage_kind {
    const char *path;                           /* as FORMAT.md has it: <...> stands for any name */
    const char *variant;                        /* in words; "" when there is one */
    bool (*is)(const uint8_t *bytes, size_t n); /* of this variant? NULL: any is */
    enum damage_loss flip;                      /* what one changed byte may cost */
    enum damage_loss whole; /* what the file may cost: cut, overwritten, gone, ... */
    bool verified;          /* `verify` reads it, and has a word of each changed byte */
};

extern const struct damage_kind damage_kinds[];
extern const size_t damage_kind_count;

/* Is the file, by its path in the data directory, of the kind? */
bool damage_kind_has(const struct damage_kind *kind, const char *path, const uint8_t *bytes,
                     size_t n);

/* The window of the partition whose index this is; false when that cannot be read. */
bool damage_partition_window(const uint8_t *index, size_t n, int64_t *out_start, int64_t *out_end);

#endif
