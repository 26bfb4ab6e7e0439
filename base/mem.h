/* Heap memory. What is small and fixed in size cannot fail: mem_alloc aborts instead of
 * returning NULL (a 64-byte failure on Linux cannot be handled usefully and its branches would
 * rot untested). What a user, peer or file sizes goes through struct buf or struct arena,
 * which have a budget and return ERR_LIMIT. Thread-safe. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/attr.h"

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
/* count * bytes, checked for overflow (which aborts); not zeroed. */
void *mem_array(size_t count, size_t bytes)
    __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
/* Resizes to count * bytes; ptr may be NULL. */
void *mem_resize(void *ptr, size_t count, size_t bytes)
    __attribute__((returns_nonnull, alloc_size(2, 3)));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
/* n bytes plus a NUL. */
char *mem_strndup(const char *text, size_t n) __attribute__((malloc, returns_nonnull));
void mem_free(void *ptr);

/* For large arrays that will be filled and looked at anywhere: MEM_HUGE_BYTES for mem_free, aligned, as one page
 * of memory where the system has such, so that they cost one page fault and one entry of the TLB, not 512.
 * All of it counts as used from the first byte on. */
enum { MEM_HUGE_BYTES = 2 << 20 };
void *mem_alloc_huge(void) __attribute__((malloc, returns_nonnull));

/* Zeros that take memory only where they are written to, in whole pages; NULL: the system has no room for them.
 * For mem_unreserve. */
void *mem_reserve(size_t bytes);
void mem_unreserve(void *ptr, size_t bytes); /* NULL is fine */

/* Gives memory that was freed back to the system, as far as it is whole pages: what a large query used
 * would else stay with the process. Takes some 10 us for each MB that is free; other threads that
 * allocate wait for part of that. */
void mem_give_back(void);

/* Capacity to grow to so that need elements fit: the old one times 1.5, at least need and 8. */
size_t mem_grow(size_t capacity, size_t need);

#endif
