#include "base/mutex.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

enum { THREAD_STACK_BYTES = 1024 * 1024, THREAD_NAME_MAX = 16 };

static void must(int rc) {
    ASSERT(rc == 0);
}

void mutex_init(struct mutex *mu) {
    pthread_mutexattr_t attr;
    must(pthread_mutexattr_init(&attr));
#ifndef NDEBUG
    /* Locking twice and unlocking what another thread holds become errors, which abort. */
    must(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
#endif
    must(pthread_mutex_init(&mu->handle, &attr));
    must(pthread_mutexattr_destroy(&attr));
}

void mutex_release(struct mutex *mu) {
    must(pthread_mutex_destroy(&mu->handle));
}

void mutex_lock(struct mutex *mu) NO_THREAD_SAFETY {
    must(pthread_mutex_lock(&mu->handle));
}

void mutex_unlock(struct mutex *mu) NO_THREAD_SAFETY {
    must(pthread_mutex_unlock(&mu->handle));
}

void cond_init(struct cond *c) {
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr));
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    must(pthread_cond_init(&c->handle, &attr));
    must(pthread_condattr_destroy(&attr));
}

void cond_release(struct cond *c) {
    must(pthread_cond_destroy(&c->handle));
}

void cond_wait(struct cond *c, struct mutex *mu) {
    must(pthread_cond_wait(&c->handle, &mu->handle));
}

bool cond_wait_until(struct cond *c, struct mutex *mu, int64_t deadline_mono_ns) {
    if (deadline_mono_ns < 0) {
        deadline_mono_ns = 0;
    }
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_mono_ns / NS_PER_S),
                                      .tv_nsec = (long)(deadline_mono_ns % NS_PER_S)};
    const int rc = pthread_cond_timedwait(&c->handle, &mu->handle, &deadline);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void cond_signal(struct cond *c) {
    must(pthread_cond_signal(&c->handle));
}

void cond_broadcast(struct cond *c) {
    must(pthread_cond_broadcast(&c->handle));
}

struct thread_plan {
    void (*run)(void *ctx);
    void *ctx;
    char name[THREAD_NAME_MAX];
};

static void *thread_main(void *arg) {
    struct thread_plan plan = *(struct thread_plan *)arg;
    mem_free(arg);
    (void)pthread_setname_np(pthread_self(), plan.name);
    plan.run(plan.ctx);
    return NULL;
}

void thread_start(struct thread *t, const char *name, void (*run)(void *ctx), void *ctx) {
    struct thread_plan *plan = mem_alloc(sizeof(*plan));
    plan->run = run;
    plan->ctx = ctx;
    (void)snprintf(plan->name, sizeof(plan->name), "%.15s", name);

    /* A thread inherits the mask of its creator: block around the creation, so that there is no
     * moment in which it could take a signal. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    pthread_attr_t attr;
    must(pthread_attr_init(&attr));
    must(pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES));
    must(pthread_create(&t->handle, &attr, thread_main, plan));
    must(pthread_attr_destroy(&attr));
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
}

void thread_join(struct thread *t) {
    must(pthread_join(t->handle, NULL));
}
