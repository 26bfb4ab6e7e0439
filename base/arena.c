#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/check.h"
#include "base/mem.h"

enum { ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 1024 * 1024 };
/* Of an arena, never refused by its pool: what is small goes on while others hold all there is. */
enum { POOL_FREE_BYTES = 32 * 1024 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t bytes;
    _Alignas(ALIGN) char data[];
};

struct arena_link {
    struct arena_link *older;
    void (*release)(void *object);
    void *object;
};

void arena_init(struct arena *arena, size_t budget_bytes) {
    *arena = (struct arena){.budget_bytes = budget_bytes};
}

static void run_links(struct arena *arena) {
    for (struct arena_link *link = arena->links; link != NULL; link = link->older) {
        link->release(link->object);
    }
    arena->links = NULL;
}

static void free_chunks(struct arena_chunk *chunk) {
    while (chunk != NULL) {
        struct arena_chunk *older = chunk->older;
        mem_free(chunk);
        chunk = older;
    }
}

void arena_reset(struct arena *arena) {
    run_links(arena);
    free_chunks(arena->chunks);
    free_chunks(arena->spare);
    struct budget *pool = arena->pool;
    if (pool != NULL) {
        budget_give(pool, arena->used_bytes);
    }
    arena_init(arena, arena->budget_bytes);
    arena->pool = pool;
}

void arena_release(struct arena *arena) {
    arena_reset(arena);
}

void arena_rewind(struct arena *arena, size_t keep_bytes) {
    run_links(arena);
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->older;
        if (arena->spare_bytes + chunk->bytes <= keep_bytes) {
            chunk->older = arena->spare;
            arena->spare = chunk;
            arena->spare_bytes += chunk->bytes;
            continue;
        }
        arena->used_bytes -= chunk->bytes;
        if (arena->pool != NULL) {
            budget_give(arena->pool, chunk->bytes);
        }
        mem_free(chunk);
    }
    arena->next = NULL;
    arena->end = NULL;
}

/* A spare chunk with room for bytes, taken out; or NULL. */
static struct arena_chunk *take_spare(struct arena *arena, size_t bytes) {
    for (struct arena_chunk **at = &arena->spare; *at != NULL; at = &(*at)->older) {
        struct arena_chunk *chunk = *at;
        if (chunk->bytes - sizeof(*chunk) >= bytes) {
            *at = chunk->older;
            arena->spare_bytes -= chunk->bytes;
            return chunk;
        }
    }
    return NULL;
}

static void drop_spare(struct arena *arena) {
    free_chunks(arena->spare);
    if (arena->pool != NULL) {
        budget_give(arena->pool, arena->spare_bytes);
    }
    arena->used_bytes -= arena->spare_bytes;
    arena->spare_bytes = 0;
    arena->spare = NULL;
}

/* Chunks grow with the arena (a quarter of what is used) so that many small arenas stay small
 * and a large one needs few chunks. */
static size_t chunk_size(const struct arena *arena, size_t bytes) {
    size_t size = arena->used_bytes / 4;
    if (size < CHUNK_MIN) {
        size = CHUNK_MIN;
    }
    if (size > CHUNK_MAX) {
        size = CHUNK_MAX;
    }
    const size_t need = bytes + sizeof(struct arena_chunk);
    return need > size ? need : size;
}

static bool over_budget(const struct arena *arena, size_t more) {
    return arena->budget_bytes != 0 &&
           (more > arena->budget_bytes || arena->used_bytes > arena->budget_bytes - more);
}

/* Makes room for size bytes within the arena's budget and the pool. */
static bool admit(struct arena *arena, size_t size, bool must) {
    if (!must && over_budget(arena, size)) {
        arena->pool_refused = false;
        return false;
    }
    if (arena->pool == NULL) {
        return true;
    }
    if (must || arena->used_bytes + size <= POOL_FREE_BYTES) {
        arena->pool_refused = false;
        budget_force(arena->pool, size);
        return true;
    }
    arena->pool_refused = !budget_take(arena->pool, size);
    return !arena->pool_refused;
}

/* A new chunk with room for bytes; spare ones must not keep it from being had. */
static struct arena_chunk *take_chunk(struct arena *arena, size_t bytes, bool must) {
    size_t size = chunk_size(arena, bytes);
    if (!admit(arena, size, false)) {
        drop_spare(arena);
        size = bytes + sizeof(struct arena_chunk);
        if (!admit(arena, size, must)) {
            return NULL;
        }
    }
    struct arena_chunk *chunk = mem_alloc(size);
    chunk->bytes = size;
    arena->used_bytes += size;
    return chunk;
}

static void *take(struct arena *arena, size_t bytes, bool must) {
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    const size_t rounded = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    /* No chunk yet: not even a block of no bytes may be NULL, which means "over budget". */
    if (arena->next == NULL || rounded > (size_t)(arena->end - arena->next)) {
        struct arena_chunk *chunk = take_spare(arena, rounded);
        if (chunk == NULL) {
            chunk = take_chunk(arena, rounded, must);
        }
        if (chunk == NULL) {
            return NULL;
        }
        chunk->older = arena->chunks;
        arena->chunks = chunk;
        arena->next = chunk->data;
        arena->end = (char *)chunk + chunk->bytes;
    }
    void *ptr = arena->next;
    arena->next += rounded;
    return ptr;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    void *ptr = take(arena, bytes, true);
    ASSERT(ptr != NULL);
    return ptr;
}

void *arena_zalloc(struct arena *arena, size_t bytes) {
    return memset(arena_alloc(arena, bytes), 0, bytes);
}

void *arena_try_alloc(struct arena *arena, size_t count, size_t bytes) {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        return NULL;
    }
    return take(arena, total, false);
}

char *arena_cstr(struct arena *arena, struct str s) {
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    copy[s.len] = '\0';
    return copy;
}

struct str arena_str(struct arena *arena, struct str s) {
    return (struct str){arena_cstr(arena, s), s.len};
}

struct str arena_printf(struct arena *arena, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    char *text = arena_alloc(arena, (size_t)n + 1);
    (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct str){text, (size_t)n};
}

void arena_link(struct arena *arena, void (*release)(void *object), void *object) {
    struct arena_link *link = arena_alloc(arena, sizeof(*link));
    *link = (struct arena_link){.older = arena->links, .release = release, .object = object};
    arena->links = link;
}
