/* The engine's threads: they run tasks that a query posts, beside the thread that runs the query.
 * A query never depends on them: a task that nobody has begun is taken back and run by its owner,
 * so that any number of queries share any number of threads, even none.
 *
 * Owner: the engine. Threads start with the first task, run at a lower priority than those that
 * ingest, and end with the crew. Any thread may post; a task belongs to its poster again once
 * crew_take_back was true or crew_settle returned. */
#ifndef QUERY_CREW_H
#define QUERY_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mutex.h"

enum { CREW_MAX = 16 };

enum crew_state { CREW_IDLE, CREW_POSTED, CREW_RUNNING, CREW_DONE };

struct crew_task {
    void (*run)(void *ctx);
    void *ctx;
    enum crew_state state; /* guarded by the crew's mu while posted, as the links */
    struct crew_task *next;
    struct crew_task *before;
};

struct crew {
    struct mutex mu;
    struct cond posted;
    struct cond done;
    struct thread threads[CREW_MAX];
    uint32_t size; /* constant */
    bool started;  /* guarded by mu, as the rest */
    bool ending;
    struct crew_task *first;
    struct crew_task *last;
};

/* size 0: tasks wait until they are taken back. At most CREW_MAX. */
void crew_init(struct crew *crew, uint32_t size);
/* No task may be posted any more. */
void crew_release(struct crew *crew);
/* One thread less than the machine has processors, at most CREW_MAX. */
uint32_t crew_default_size(void);

void crew_post(struct crew *crew, struct crew_task *task);
/* True: nobody began it and nobody will; it is idle again. */
bool crew_take_back(struct crew *crew, struct crew_task *task);
bool crew_is_done(struct crew *crew, struct crew_task *task);
/* Waits for a task that somebody began; it is idle then. Idle ones stay so. */
void crew_settle(struct crew *crew, struct crew_task *task);

#endif
