/* A config generation: an arena that everything parsed from one version of the configuration
 * lives in, shared by reference count. Whoever keeps a pointer into it holds a reference; the
 * last unref frees the arena (which runs its links: compiled regexes and the like).
 * ref/unref are thread-safe; the arena is written only before the generation is published. */
#ifndef BASE_GENERATION_H
#define BASE_GENERATION_H

#include <stddef.h>

#include "base/arena.h"

struct generation;

struct generation *generation_new(size_t budget_bytes);
struct arena *generation_arena(struct generation *g);
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g); /* NULL is fine */

#endif
