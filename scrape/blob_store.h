/* Equal bytes kept once: the shapes of pages, which thousands of targets have in common.
 *
 * A blob is found by its content and never changes; who wants another takes a copy and interns
 * that. The content is chosen by strangers, so the hash is keyed and the bytes are compared.
 *
 * Owner: the manager. All calls from any thread; the lock is a leaf. Bounded by what its users
 * hold: a blob goes with its last reference. */
#ifndef SCRAPE_BLOB_STORE_H
#define SCRAPE_BLOB_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct blob_store;

struct blob_store *blob_store_new(void);
void blob_store_free(struct blob_store *store); /* NULL is fine; no blob may be left */

/* A reference to a blob of these bytes, made if there is none; aligned for any type. */
const void *blob_intern(struct blob_store *store, const void *bytes, size_t n);
void blob_unref(struct blob_store *store, const void *blob); /* NULL is fine */

/* The blob's memory divided by its references: what each of them costs. */
size_t blob_share_bytes(struct blob_store *store, const void *blob);
size_t blob_store_count(struct blob_store *store);

#endif
