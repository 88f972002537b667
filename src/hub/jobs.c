/* SPDX-License-Identifier: Apache-2.0 */
/* hub/jobs.c - work in the background, as far as the hub knows of it.
 *
 * For:     cli/ (the operator's list), and what adds work and wants it looked at soon.
 * Owns:    nothing; the rows are store/jobs.c's, running them is jobs/'.
 * Threads: any; the waker is set before there are others. */
#include "hub/hub_int.h"

void hub_on_jobs(hub *h, void (*wake)(void *arg), void *arg)
{
    h->wake_jobs = wake;
    h->wake_arg = arg;
}

void hub_wake_jobs(hub *h)
{
    if (h->wake_jobs != NULL) h->wake_jobs(h->wake_arg);
}

static const char *const state_names[] = {
    [STORE_JOB_WAITING] = "waiting",
    [STORE_JOB_RUNNING] = "running",
    [STORE_JOB_DONE] = "done",
    [STORE_JOB_FAILED] = "failed",
};

static snug_status parse_state(const char *name, int *out, snug_err *err)
{
    *out = -1;
    if (name == NULL) return SNUG_OK;
    for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
        if (snug_eq_str(snug_str(name), state_names[i])) *out = (int)i;
    if (*out >= 0) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "a job is waiting, running, done or failed, not \"%s\"",
                     name);
}

snug_status hub_list_jobs(hub *h, const char *state, int64_t before, size_t limit, snug_arena *a,
                          hub_job **out, size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_job  *rows;
    int         which;

    *count = 0;
    SNUG_TRY(parse_state(state, &which, err));
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_jobs(tx, a, which, before, limit, &rows, count, err));
    *out = snug_arena_zalloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (hub_job){.id = rows[i].id,
                              .due_ms = rows[i].due_ms,
                              .created_ms = rows[i].created_ms,
                              .done_ms = rows[i].done_ms,
                              .kind = rows[i].kind,
                              .args = rows[i].args,
                              .error = rows[i].error,
                              .state = state_names[rows[i].state],
                              .attempts = rows[i].attempts};
done:
    db_rollback(tx);
    return st;
}

snug_status hub_retry_job(hub *h, int64_t id, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    bool        found;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_retry_job(tx, id, snug_now_ms(), &found, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK && !found)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "there is no failed job %lld", (long long)id);
    hub_wake_jobs(h);
done:
    db_rollback(tx);
    return st;
}
