/* A thread that runs the jobs of one storage shard, in the order of their arrival.
 *
 * The list is not bounded by itself: a target has at most one job, and the manager holds back new
 * requests while too many bodies wait. Without a thread, jobs run inside worker_push. */
#ifndef SCRAPE_WORKER_H
#define SCRAPE_WORKER_H

#include <stdbool.h>

#include "scrape/scrape_job.h"

struct worker;

/* Called on the worker with a job that was run; it passes on. */
typedef void worker_done_fn(void *ctx, struct scrape_job *job);

struct worker *worker_new(unsigned shard, bool threaded, worker_done_fn *done, void *ctx);
void worker_push(struct worker *w, struct scrape_job *job);
/* Runs what is left, joins and frees. */
void worker_free(struct worker *w);

#endif
