#include "query/crew.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"

enum { NICENESS = 5 };

void crew_init(struct crew *crew, uint32_t size) {
    *crew = (struct crew){.size = size < CREW_MAX ? size : CREW_MAX};
    mutex_init(&crew->mu);
    cond_init(&crew->posted);
    cond_init(&crew->done);
}

uint32_t crew_default_size(void) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors <= 1) {
        return 0;
    }
    return processors > CREW_MAX ? CREW_MAX : (uint32_t)processors - 1;
}

static void unlink_task(struct crew *crew, struct crew_task *task) REQUIRES(crew->mu) {
    if (task->before != NULL) {
        task->before->next = task->next;
    } else {
        crew->first = task->next;
    }
    if (task->next != NULL) {
        task->next->before = task->before;
    } else {
        crew->last = task->before;
    }
    task->next = NULL;
    task->before = NULL;
}

static void work_on(void *ctx) {
    struct crew *crew = ctx;
    /* of this thread alone, as Linux has it; ingestion goes first */
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
    mutex_lock(&crew->mu);
    while (!crew->ending) {
        struct crew_task *task = crew->first;
        if (task == NULL) {
            cond_wait(&crew->posted, &crew->mu);
            continue;
        }
        unlink_task(crew, task);
        task->state = CREW_RUNNING;
        mutex_unlock(&crew->mu);
        task->run(task->ctx);
        mutex_lock(&crew->mu);
        task->state = CREW_DONE;
        cond_broadcast(&crew->done);
    }
    mutex_unlock(&crew->mu);
}

void crew_release(struct crew *crew) {
    mutex_lock(&crew->mu);
    ASSERT(crew->first == NULL);
    crew->ending = true;
    const bool started = crew->started;
    cond_broadcast(&crew->posted);
    mutex_unlock(&crew->mu);
    for (uint32_t i = 0; started && i < crew->size; i++) {
        thread_join(&crew->threads[i]);
    }
    cond_release(&crew->done);
    cond_release(&crew->posted);
    mutex_release(&crew->mu);
}

static void start_threads(struct crew *crew) REQUIRES(crew->mu) {
    crew->started = true;
    for (uint32_t i = 0; i < crew->size; i++) {
        thread_start(&crew->threads[i], "query-crew", work_on, crew);
    }
}

void crew_post(struct crew *crew, struct crew_task *task) {
    mutex_lock(&crew->mu);
    ASSERT(task->state == CREW_IDLE && !crew->ending);
    if (!crew->started) {
        start_threads(crew);
    }
    task->state = CREW_POSTED;
    task->before = crew->last;
    task->next = NULL;
    if (crew->last != NULL) {
        crew->last->next = task;
    } else {
        crew->first = task;
    }
    crew->last = task;
    cond_signal(&crew->posted);
    mutex_unlock(&crew->mu);
}

bool crew_take_back(struct crew *crew, struct crew_task *task) {
    mutex_lock(&crew->mu);
    const bool posted = task->state == CREW_POSTED;
    if (posted) {
        unlink_task(crew, task);
        task->state = CREW_IDLE;
    }
    mutex_unlock(&crew->mu);
    return posted;
}

bool crew_is_done(struct crew *crew, struct crew_task *task) {
    mutex_lock(&crew->mu);
    const bool done = task->state == CREW_DONE;
    mutex_unlock(&crew->mu);
    return done;
}

void crew_settle(struct crew *crew, struct crew_task *task) {
    mutex_lock(&crew->mu);
    ASSERT(task->state != CREW_POSTED);
    while (task->state == CREW_RUNNING) {
        cond_wait(&crew->done, &crew->mu);
    }
    task->state = CREW_IDLE;
    mutex_unlock(&crew->mu);
}
