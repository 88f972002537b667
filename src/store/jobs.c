/* SPDX-License-Identifier: Apache-2.0 */
/* store/jobs.c - work to be done later, in rows that survive a crash.
 *
 * For:     jobs/ for claiming and ending; hub/ for adding, in the transaction of the change.
 * Owns:    the table jobs.
 * Threads: any; a transaction stays with its thread.
 * Truth:   of one kind and key at most one job waits (a partial unique index says so), and a job is
 *          ended by the holder of its last claim or by nobody. */
#include "store/store_int.h"

const char store_schema_jobs[] =
    "INSERT INTO counters (name, value) VALUES ('jobs', 0);"
    "CREATE TABLE jobs ("
    " id INTEGER PRIMARY KEY,"
    " kind TEXT NOT NULL,"
    " job_key TEXT NOT NULL,"
    " args TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " due_ms BIGINT NOT NULL,"
    " lease_ms BIGINT NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " error TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " done_ms BIGINT NOT NULL);"
    "CREATE INDEX jobs_due ON jobs (kind, state, due_ms);"
    "CREATE INDEX jobs_ended ON jobs (state, done_ms);"
    "CREATE UNIQUE INDEX jobs_waiting ON jobs (kind, job_key) WHERE state = 0 AND job_key <> '';";

#define COLS                                                                                       \
    "id, kind, job_key, args, state, due_ms, lease_ms, attempts, error, created_ms, done_ms"

static void read_job(snug_arena *a, const db_val *c, void *item)
{
    store_job *j = item;
    *j = (store_job){
        .id = c[0].i,
        .kind = snug_arena_dup(a, c[1].s),
        .key = snug_arena_dup(a, c[2].s),
        .args = snug_arena_dup(a, c[3].s),
        .state = (store_job_state)c[4].i,
        .due_ms = c[5].i,
        .lease_ms = c[6].i,
        .attempts = (unsigned)c[7].i,
        .error = snug_arena_dup(a, c[8].s),
        .created_ms = c[9].i,
        .done_ms = c[10].i,
    };
}

snug_status store_add_job(db_txn *tx, const char *kind, snug_slice key, snug_slice args,
                          int64_t due_ms, snug_err *err)
{
    static const db_query add = {
        "INSERT INTO jobs (" COLS ") VALUES ($1, $2, $3, $4, 0, $5, 0, 0, '', $6, 0) "
        "ON CONFLICT (kind, job_key) WHERE state = 0 AND job_key <> '' DO UPDATE SET due_ms = "
        "CASE WHEN jobs.due_ms < excluded.due_ms THEN jobs.due_ms ELSE excluded.due_ms END"};
    snug_status st = SNUG_OK;
    int64_t     id;

    SNUG_ASSERT(args.len <= STORE_JOB_ARGS_MAX);
    SNUG_TRY(store_next_id(tx, "jobs", &id, err));
    db_val v[] = {db_int(id),    db_text(snug_str(kind)), db_text(key),
                  db_text(args), db_int(due_ms),          db_int(snug_now_ms())};
    SNUG_TRY(db_exec(tx, add, v, sizeof v / sizeof v[0], NULL, err));
done:
    return st;
}

static snug_status one_job(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                           store_job *out, bool *found, snug_err *err)
{
    void       *rows = NULL;
    size_t      count = 0;
    snug_status st = store_rows(tx, a, q, args, n, 1, sizeof *out, read_job, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_job *)rows;
    return st;
}

/* A holder that vanished goes first: its work was begun, and somebody waits for it. */
snug_status store_claim_job(db_txn *tx, snug_arena *a, snug_slice kind, int64_t now_ms,
                            int64_t lease_ms, store_job *out, bool *found, snug_err *err)
{
    static const db_query lost = {
        "UPDATE jobs SET lease_ms = $3, attempts = attempts + 1 WHERE id = (SELECT j.id FROM jobs "
        "j WHERE j.kind = $1 AND j.state = 1 AND j.lease_ms <= $2 ORDER BY j.due_ms LIMIT 1) "
        "RETURNING " COLS};
    static const db_query due = {
        "UPDATE jobs SET state = 1, lease_ms = $3, attempts = attempts + 1 WHERE id = (SELECT j.id "
        "FROM jobs j WHERE j.kind = $1 AND j.state = 0 AND j.due_ms <= $2 ORDER BY j.due_ms, j.id "
        "LIMIT 1) RETURNING " COLS};
    snug_status st = SNUG_OK;
    db_val      v[] = {db_text(kind), db_int(now_ms), db_int(lease_ms)};
    SNUG_TRY(one_job(tx, a, lost, v, 3, out, found, err));
    if (!*found) SNUG_TRY(one_job(tx, a, due, v, 3, out, found, err));
done:
    return st;
}

snug_status store_renew_job(db_txn *tx, int64_t id, unsigned attempts, int64_t lease_ms, bool *held,
                            snug_err *err)
{
    static const db_query q = {
        "UPDATE jobs SET lease_ms = $3 WHERE id = $1 AND attempts = $2 AND state = 1"};
    db_val      v[] = {db_int(id), db_int(attempts), db_int(lease_ms)};
    uint64_t    n = 0;
    snug_status st = db_exec(tx, q, v, 3, &n, err);
    *held = n > 0;
    return st;
}

snug_status store_end_job(db_txn *tx, const store_job *j, store_job_state state, snug_slice error,
                          int64_t due_ms, int64_t now_ms, snug_err *err)
{
    static const db_query drop = {
        "DELETE FROM jobs WHERE id = $1 AND attempts = $2 AND state = 1 AND job_key <> '' AND "
        "EXISTS (SELECT 1 FROM jobs o WHERE o.kind = $3 AND o.job_key = $4 AND o.state = 0)"};
    static const db_query end = {
        "UPDATE jobs SET state = $3, error = $4, due_ms = $5, done_ms = $6 WHERE id = $1 AND "
        "attempts = $2 AND state = 1"};
    snug_status st = SNUG_OK;
    uint64_t    n = 0;

    SNUG_ASSERT(state != STORE_JOB_RUNNING);
    if (state == STORE_JOB_WAITING) { /* one that was added meanwhile stands for the second try */
        db_val v[] = {db_int(j->id), db_int(j->attempts), db_text(j->kind), db_text(j->key)};
        SNUG_TRY(db_exec(tx, drop, v, 4, &n, err));
        if (n > 0) goto done;
    }
    db_val v[] = {db_int(j->id),  db_int(j->attempts),
                  db_int(state),  db_text(error),
                  db_int(due_ms), db_int(state == STORE_JOB_WAITING ? 0 : now_ms)};
    SNUG_TRY(db_exec(tx, end, v, 6, NULL, err));
done:
    return st;
}

snug_status store_release_jobs(db_txn *tx, snug_err *err)
{
    static const db_query q = {"UPDATE jobs SET lease_ms = 0 WHERE state = 1"};
    return db_exec(tx, q, NULL, 0, NULL, err);
}

snug_status store_next_job_due(db_txn *tx, snug_slice kind, int64_t *due_ms, snug_err *err)
{
    static const db_query waiting = {"SELECT MIN(due_ms) FROM jobs WHERE kind = $1 AND state = 0"};
    static const db_query held = {"SELECT MIN(lease_ms) FROM jobs WHERE kind = $1 AND state = 1"};
    snug_status           st = SNUG_OK;
    db_val                v = db_text(kind);
    int64_t               a, b;
    SNUG_TRY(store_number(tx, waiting, &v, 1, INT64_MAX, &a, err));
    SNUG_TRY(store_number(tx, held, &v, 1, INT64_MAX, &b, err));
    *due_ms = a < b ? a : b;
done:
    return st;
}

snug_status store_list_jobs(db_txn *tx, snug_arena *a, int state, int64_t before, size_t limit,
                            store_job **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " COLS
                               " FROM jobs WHERE ($1 < 0 OR state = $1) AND id < $2 ORDER BY id "
                               "DESC LIMIT $3"};
    db_val v[] = {db_int(state), db_int(before > 0 ? before : INT64_MAX), db_int((int64_t)limit)};
    void  *rows = NULL;
    snug_status st = store_rows(tx, a, q, v, 3, limit, sizeof **out, read_job, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_list_waiting(db_txn *tx, snug_arena *a, const char *kind, size_t limit,
                               store_job **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " COLS " FROM jobs WHERE kind = $1 AND state = 0 ORDER BY "
                               "id LIMIT $2"};
    db_val                v[] = {db_text(snug_str(kind)), db_int((int64_t)limit)};
    void                 *rows = NULL;
    snug_status st = store_rows(tx, a, q, v, 2, limit, sizeof **out, read_job, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_drop_job(db_txn *tx, const char *kind, snug_slice key, bool *found, snug_err *err)
{
    static const db_query q = {"DELETE FROM jobs WHERE kind = $1 AND job_key = $2 AND state = 0"};
    db_val                v[] = {db_text(snug_str(kind)), db_text(key)};
    uint64_t              n = 0;
    snug_status           st = db_exec(tx, q, v, 2, &n, err);
    *found = n > 0;
    return st;
}

snug_status store_retry_job(db_txn *tx, int64_t id, int64_t now_ms, bool *found, snug_err *err)
{
    static const db_query q = {
        "UPDATE jobs SET state = 0, due_ms = $2, attempts = 0, done_ms = 0 WHERE id = $1 AND state "
        "= 3 AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.kind = jobs.kind AND o.job_key = "
        "jobs.job_key AND o.state = 0 AND o.job_key <> '')"};
    db_val      v[] = {db_int(id), db_int(now_ms)};
    uint64_t    n = 0;
    snug_status st = db_exec(tx, q, v, 2, &n, err);
    *found = n > 0;
    return st;
}

snug_status store_prune_jobs(db_txn *tx, int64_t before_ms, bool failed, snug_err *err)
{
    static const db_query q = {
        "DELETE FROM jobs WHERE (state = 2 OR (state = 3 AND $2 = 1)) AND done_ms < $1"};
    db_val v[] = {db_int(before_ms), store_bool(failed)};
    return db_exec(tx, q, v, 2, NULL, err);
}
