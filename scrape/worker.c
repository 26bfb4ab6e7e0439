#include "scrape/worker.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/mutex.h"

struct worker {
    worker_done_fn *done;
    void *ctx;
    struct job_scratch scratch;
    bool threaded;
    struct thread thread;

    struct mutex mu; /* guards what follows */
    struct cond wake;
    struct scrape_job *first;
    struct scrape_job **last;
    bool busy; /* a job runs: whoever set this owns the scratch memory and the shard's groups */
    bool stop;
};

/* The next job, and the shard with it; NULL when there is none and will be none. */
static struct scrape_job *take(struct worker *w) {
    mutex_lock(&w->mu);
    while (w->busy || (w->first == NULL && !w->stop)) {
        cond_wait(&w->wake, &w->mu);
    }
    struct scrape_job *const job = w->first;
    if (job != NULL) {
        w->first = job->next;
        w->last = w->first == NULL ? &w->first : w->last;
        w->busy = true;
    }
    mutex_unlock(&w->mu);
    return job;
}

/* Runs a job of the busy worker. */
static void run_job(struct worker *w, struct scrape_job *job) {
    scrape_job_run(job, &w->scratch);
    mutex_lock(&w->mu);
    w->busy = false;
    if (w->first != NULL || w->stop) {
        cond_signal(&w->wake);
    }
    mutex_unlock(&w->mu);
}

bool worker_try(struct worker *w, struct scrape_job *job) {
    mutex_lock(&w->mu);
    const bool idle = !w->busy && w->first == NULL;
    w->busy |= idle;
    mutex_unlock(&w->mu);
    if (idle) {
        run_job(w, job);
    }
    return idle;
}

static void run(void *ctx) {
    struct worker *const w = ctx;
    for (struct scrape_job *job = take(w); job != NULL; job = take(w)) {
        run_job(w, job);
        w->done(w->ctx, job);
    }
}

struct worker *worker_new(unsigned shard, bool threaded, worker_done_fn *done, void *ctx) {
    struct worker *const w = mem_zalloc(sizeof(*w));
    w->done = done;
    w->ctx = ctx;
    w->threaded = threaded;
    w->last = &w->first;
    job_scratch_init(&w->scratch);
    mutex_init(&w->mu);
    cond_init(&w->wake);
    if (threaded) {
        char name[16];
        (void)snprintf(name, sizeof(name), "scrape-%u", shard % 10000);
        thread_start(&w->thread, name, run, w);
    }
    return w;
}

void worker_push(struct worker *w, struct scrape_job *job) {
    if (!w->threaded) {
        scrape_job_run(job, &w->scratch);
        w->done(w->ctx, job);
        return;
    }
    job->next = NULL;
    mutex_lock(&w->mu);
    *w->last = job;
    w->last = &job->next;
    cond_signal(&w->wake);
    mutex_unlock(&w->mu);
}

void worker_free(struct worker *w) {
    if (w == NULL) {
        return;
    }
    if (w->threaded) {
        mutex_lock(&w->mu);
        w->stop = true;
        cond_signal(&w->wake);
        mutex_unlock(&w->mu);
        thread_join(&w->thread);
    }
    cond_release(&w->wake);
    mutex_release(&w->mu);
    job_scratch_release(&w->scratch);
    mem_free(w);
}
