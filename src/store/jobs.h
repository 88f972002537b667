/* SPDX-License-Identifier: Apache-2.0 */
/* store/jobs.h - rows of work to be done later. Part of store.h; include that one.
 *
 * A job is claimed with a lease: whoever holds it must renew it, or another one takes the job over.
 * `attempts` grows with every claim, so (id, attempts) names one holder and a late one is told. */
#ifndef SNUG_STORE_JOBS_H
#define SNUG_STORE_JOBS_H

#include "base/base.h"
#include "db/db.h"

typedef enum store_job_state {
    STORE_JOB_WAITING,
    STORE_JOB_RUNNING,
    STORE_JOB_DONE,
    STORE_JOB_FAILED /* kept until somebody looks: store_retry_job or store_prune_jobs */
} store_job_state;

typedef struct store_job {
    int64_t         id;
    snug_slice      kind;
    snug_slice      key;  /* may be empty */
    snug_slice      args; /* a JSON object */
    store_job_state state;
    int64_t         due_ms, lease_ms;
    unsigned        attempts;
    snug_slice      error; /* of the last attempt */
    int64_t         created_ms, done_ms;
} store_job;

enum { STORE_JOB_ARGS_MAX = 64 * 1024 };

/* Adds work in the transaction that makes it necessary. With a key, a job of this kind and key that
 * is still waiting stands for the new one (the earlier due time and its own arguments hold). */
snug_status store_add_job(db_txn *tx, const char *kind, snug_slice key, snug_slice args,
                          int64_t due_ms, snug_err *err) SNUG_MUST_USE;
/* The job of this kind that is due the longest, or whose holder's lease ran out; now ours. */
snug_status store_claim_job(db_txn *tx, snug_arena *a, snug_slice kind, int64_t now_ms,
                            int64_t lease_ms, store_job *out, bool *found,
                            snug_err *err) SNUG_MUST_USE;
/* *held: still ours. */
snug_status store_renew_job(db_txn *tx, int64_t id, unsigned attempts, int64_t lease_ms, bool *held,
                            snug_err *err) SNUG_MUST_USE;
/* The attempt is over. WAITING: again at due_ms. Does nothing when the job is no longer ours. */
snug_status store_end_job(db_txn *tx, const store_job *j, store_job_state state, snug_slice error,
                          int64_t due_ms, int64_t now_ms, snug_err *err) SNUG_MUST_USE;
/* Leases of a process that is known to be gone. */
snug_status store_release_jobs(db_txn *tx, snug_err *err) SNUG_MUST_USE;
/* When something of this kind may be claimed; INT64_MAX: nothing waits. */
snug_status store_next_job_due(db_txn *tx, snug_slice kind, int64_t *due_ms,
                               snug_err *err) SNUG_MUST_USE;
/* Newest first, ids below `before` (0: all). state -1: any. */
snug_status store_list_jobs(db_txn *tx, snug_arena *a, int state, int64_t before, size_t limit,
                            store_job **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* Those of a kind that wait, oldest first. */
snug_status store_list_waiting(db_txn *tx, snug_arena *a, const char *kind, size_t limit,
                               store_job **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* One that waits is not needed any more. *found false: it is done, or being done. */
snug_status store_drop_job(db_txn *tx, const char *kind, snug_slice key, bool *found,
                           snug_err *err) SNUG_MUST_USE;
/* A failed job waits again. */
snug_status store_retry_job(db_txn *tx, int64_t id, int64_t now_ms, bool *found,
                            snug_err *err) SNUG_MUST_USE;
/* Forgets what ended before then: done jobs, and failed ones too when `failed`. */
snug_status store_prune_jobs(db_txn *tx, int64_t before_ms, bool failed,
                             snug_err *err) SNUG_MUST_USE;

#endif
