/* Mutexes, condition variables and threads: pthreads that abort on misuse, with clang's lock
 * annotations. A struct with a mutex lists under it what it guards; lock order is one list in
 * ARCHITECTURE.md. */
#ifndef BASE_MUTEX_H
#define BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct CAPABILITY("mutex") mutex {
    pthread_mutex_t handle;
};

struct cond {
    pthread_cond_t handle; /* on CLOCK_MONOTONIC */
};

void mutex_init(struct mutex *mu);
void mutex_release(struct mutex *mu);
void mutex_lock(struct mutex *mu) ACQUIRES(*mu);
void mutex_unlock(struct mutex *mu) RELEASES(*mu);

void cond_init(struct cond *c);
void cond_release(struct cond *c);
void cond_wait(struct cond *c, struct mutex *mu) REQUIRES(*mu);
/* False when the monotonic deadline passed. */
bool cond_wait_until(struct cond *c, struct mutex *mu, int64_t deadline_mono_ns) REQUIRES(*mu);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

struct thread {
    pthread_t handle;
};

/* name shows in ps and gdb, at most 15 bytes. Aborts when the system has no thread left. All
 * signals are blocked in it: main alone handles them. stack is 1 MiB. */
void thread_start(struct thread *t, const char *name, void (*run)(void *ctx), void *ctx);
void thread_join(struct thread *t);

#endif
