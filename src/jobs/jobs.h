/* SPDX-License-Identifier: Apache-2.0 */
/* jobs/jobs.h - durable work in the background: rows with leases, run by a few threads.
 *
 * Work is added with store_add_job() in the transaction that makes it necessary, and then runs at
 * least once, here or after a restart: every kind is safe to run twice. A job that fails comes
 * again with growing pauses until attempts_max, and is then kept as failed with its error. */
#ifndef SNUG_JOBS_JOBS_H
#define SNUG_JOBS_JOBS_H

#include "base/base.h"
#include "base/json.h"
#include "db/db.h"

typedef struct jobs     jobs;
typedef struct jobs_ctx jobs_ctx; /* one attempt; lives while run() runs */

enum { JOBS_KINDS_MAX = 32 };

typedef struct jobs_kind {
    const char *name;         /* "xet-chunk"; the kind of store_add_job() */
    unsigned    attempts_max; /* then it has failed; 0: never gives up */
    unsigned    parallel_max; /* of this kind at once; 0: as many as there are threads */
    unsigned    timeout_s;    /* then jobs_stopping() says so; 0: none */
    unsigned    pause_s;      /* before the second attempt, doubled up to an hour; 0: 10 */
    unsigned    every_s;      /* > 0: runs by itself, so long after it last ended */
    /* args: what store_add_job() was given ({} for periodic ones), on the attempt's arena. */
    snug_status (*run)(jobs_ctx *c, snug_json args, snug_err *err);
} jobs_kind;

typedef struct jobs_opts {
    db              *db;    /* borrowed until jobs_close() */
    const jobs_kind *kinds; /* likewise */
    size_t           kind_count;
    void            *app;     /* what jobs_app() gives */
    unsigned         threads; /* 0: 4 */
    bool             alone;   /* no other process serves this database: leases found are void */
} jobs_opts;

/* Starts the threads. *out: jobs_close(). */
snug_status jobs_open(const jobs_opts *o, jobs **out, snug_err *err) SNUG_MUST_USE;
/* Asks running jobs to stop and waits for them; those come again at the next start. NULL is fine.
 */
void jobs_close(jobs *j);
/* Something was added: look now instead of within a second. Any thread. */
void jobs_wake(jobs *j);

void       *jobs_app(const jobs_ctx *c);
snug_arena *jobs_arena(jobs_ctx *c); /* freed after the attempt */
/* Ask often in long work, and return SNUG_EBUSY when true: the server stops (the job then comes
 * again at the next start, however often it was tried), the time is over, or the lease was lost. */
bool jobs_stopping(const jobs_ctx *c);
/* Instead of the usual pause, if this attempt fails. */
void jobs_retry_after(jobs_ctx *c, uint64_t pause_ms);

#endif
