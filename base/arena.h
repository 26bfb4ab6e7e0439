/* Arena: memory of one lifetime (a query, a request, a config generation), released at once.
 *
 * The budget counts every byte taken from the system. arena_try_alloc returns NULL when it
 * would be passed: for everything whose size somebody else chooses. arena_alloc is for small
 * fixed things and may pass the budget by at most one chunk rather than fail. Several arenas may
 * share a pool beside their own budgets, with the same rules; it refuses none its first 32 KiB. An arena also
 * holds linked references: callbacks that run, newest first, when it is reset or released
 * (unpin a block, unref a config). One thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct arena_chunk;
struct arena_link;
struct budget;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *next;
    char *end;
    struct arena_link *links;
    struct arena_chunk *spare; /* kept by arena_rewind, not in use */
    size_t spare_bytes;
    size_t used_bytes;   /* taken from the system, spare ones as well */
    size_t budget_bytes; /* 0 = no limit */
    struct budget *pool; /* may be NULL; set between arena_init and the first allocation */
    bool pool_refused;   /* the last failure was the pool's */
};

void arena_init(struct arena *arena, size_t budget_bytes);
/* Runs the links and frees everything; the arena is as after arena_init. */
void arena_reset(struct arena *arena);
void arena_release(struct arena *arena);
/* As arena_reset, but about keep_bytes of its memory at most stay with it for what comes next. */
void arena_rewind(struct arena *arena, size_t keep_bytes);

/* 16-byte aligned, not zeroed. */
void *arena_alloc(struct arena *arena, size_t bytes) __attribute__((returns_nonnull));
void *arena_zalloc(struct arena *arena, size_t bytes) __attribute__((returns_nonnull));
/* count * bytes; NULL when the budget or SIZE_MAX would be passed. */
MUST_CHECK void *arena_try_alloc(struct arena *arena, size_t count, size_t bytes);
struct str arena_str(struct arena *arena, struct str s); /* copy, NUL behind it */
char *arena_cstr(struct arena *arena, struct str s);     /* copy with NUL */
struct str arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* release(object) runs when the arena ends. */
void arena_link(struct arena *arena, void (*release)(void *object), void *object);

#endif
