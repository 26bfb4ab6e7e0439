/* A thread that runs the jobs of one storage shard, in the order of their arrival; while it has
 * none, whoever would push a job may run it instead (worker_try): a page is parsed in less time
 * than it takes to wake a thread and be woken by it. Either way the shard's jobs run one at a time.
 *
 * The list is not bounded by itself: a target has at most one job, and the manager holds back new
 * requests while too many bodies wait. Without a thread, jobs run inside worker_push. */
#ifndef SCRAPE_WORKER_H
#define SCRAPE_WORKER_H

#include <stdbool.h>

#include "base/attr.h"
#include "scrape/scrape_job.h"

struct worker;

/* Called on the worker with a job that was run; it passes on. */
typedef void worker_done_fn(void *ctx, struct scrape_job *job);

struct worker *worker_new(unsigned shard, bool threaded, worker_done_fn *done, void *ctx);
void worker_push(struct worker *w, struct scrape_job *job);
/* Runs the job on the caller's thread if no other runs or waits, without calling done. False, and
 * nothing done, if one does. */
MUST_CHECK bool worker_try(struct worker *w, struct scrape_job *job);
/* Runs what is left, joins and frees. */
void worker_free(struct worker *w);

#endif
