/* The files of manifests: partitions/MANIFEST-<n> and partitions/MANIFEST-<n>.copy say the same, each
 * in one record with a checksum of its own.
 *
 * A change writes both files of the next number beside those there are and keeps the number before.
 *
 * DAMAGE. One file of the newest manifest may be damaged, cut, replaced or gone: the other counts, and
 * costs nothing. When neither can be read, the marks of the number before still hold, but its list
 * may name what is merged and gone: the caller then takes the list from the partitions themselves
 * (all that is whole, without the parents of others). Runs that are in a partition as well do no
 * harm: samples of equal time are one; deleted ones may come back.
 *
 * Bytes: FORMAT.md section 12. Threads: of the folder's owner, the compactor. Private to tsdb/. */
#ifndef TSDB_MANIFEST_FILE_H
#define TSDB_MANIFEST_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"
#include "tsdb/manifest.h"

enum { MANIFEST_FILES = 2 }; /* of one number: itself and the copy */

struct manifest_found {
    uint32_t number;            /* the newest, readable or not; 0 = there is none */
    bool lacks[MANIFEST_FILES]; /* its files that are missing or of no use; manifest_repair */
    bool is_damaged;            /* both are: what was read is the number before, or nothing */
    struct err damage;          /* of a file of the newest, what and where; ERR_OK: none */
    bool is_alone; /* the number before is not there, or there is none: a newer one may be gone */
};

/* Reads the newest manifest in the folder to out, which is empty. Damage is no error: see above.
 * ERR_IO: no file of it is whole and one cannot be read; ERR_UNSUPPORTED: another version. */
MUST_CHECK enum err_code manifest_load(struct vfs *vfs, const char *dir, struct manifest *out,
                                       struct manifest_found *found, struct err *err);
/* Writes the file that the newest lacks, durable on ERR_OK. m is what was read from the other one. */
MUST_CHECK enum err_code manifest_repair(struct vfs *vfs, const char *dir, const struct manifest *m,
                                         const struct manifest_found *found, struct err *err);

/* What is wrong with a file, and where. Borrowed for the call. */
typedef void manifest_damage_fn(void *ctx, const struct err *damage);

/* Reads all files of manifests that are there, in the order of their numbers, and calls fn for each
 * that is damaged, cannot be read or says something else than the one with its number. ERR_IO: the
 * folder cannot be listed. */
MUST_CHECK enum err_code manifest_verify(struct vfs *vfs, const char *dir, manifest_damage_fn *fn,
                                         void *ctx, struct err *err);
/* Writes both files of the number, durable on ERR_OK, and removes those of numbers before number - 1
 * (what cannot be removed stays for the next time). ERR_LIMIT: larger than MANIFEST_BYTES_MAX;
 * ERR_NO_SPACE: also when number is UINT32_MAX, which is no manifest's. After
 * a failure *out_in_doubt says that a restart may find it or not: then nothing that only one of the
 * two states needs may be removed before a higher number was stored. */
MUST_CHECK enum err_code manifest_store(struct vfs *vfs, const char *dir, const struct manifest *m,
                                        uint32_t number, bool *out_in_doubt, struct err *err);

#endif
