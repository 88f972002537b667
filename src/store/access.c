/* SPDX-License-Identifier: Apache-2.0 */
/* store/access.c - who asked to read the files of a gated repository, and what came of it.
 *
 * For:     hub/gating.c.
 * Owns:    the table access_requests.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a user has one request for a repository; STORE_READABLE asks the same rows in SQL. */
#include "store/store_int.h"

static void read_request(snug_arena *a, const db_val *c, void *item)
{
    store_access_request *q = item;
    *q = (store_access_request){.id = c[0].i,
                                .repo_id = c[1].i,
                                .user_id = c[2].i,
                                .status = (store_access)c[3].i,
                                .granted = c[4].i != 0,
                                .fields = snug_arena_dup(a, c[5].s),
                                .reason = snug_arena_dup(a, c[6].s),
                                .created_ms = c[7].i,
                                .user = snug_arena_dup(a, c[8].s),
                                .fullname = snug_arena_dup(a, c[9].s),
                                .email = snug_arena_dup(a, c[10].s)};
}

#define ACCESS                                                                                     \
    "SELECT q.id, q.repo_id, q.user_id, q.status, q.granted, q.fields, q.reason, q.created_ms, "   \
    "u.name, u.fullname, u.email FROM access_requests q JOIN users u ON u.id = q.user_id WHERE "

snug_status store_put_access(db_txn *tx, const store_access_request *q, snug_err *err)
{
    static const db_query put = {
        "INSERT INTO access_requests (id, repo_id, user_id, status, granted, fields, reason, "
        "created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (repo_id, user_id) DO "
        "UPDATE SET status = excluded.status, granted = excluded.granted, fields = "
        "excluded.fields, reason = excluded.reason, created_ms = excluded.created_ms"};
    snug_status st = SNUG_OK;
    int64_t     id;

    SNUG_TRY(store_next_id(tx, "access_requests", &id, err));
    db_val args[] = {db_int(id),         db_int(q->repo_id),     db_int(q->user_id),
                     db_int(q->status),  store_bool(q->granted), db_text(q->fields),
                     db_text(q->reason), db_int(q->created_ms)};
    SNUG_TRY(db_exec(tx, put, args, 8, NULL, err));
done:
    return st;
}

static snug_status one_request(db_txn *tx, snug_arena *a, db_query q, const db_val *args,
                               store_access_request *out, bool *found, snug_err *err)
{
    void       *rows;
    size_t      count;
    snug_status st =
        store_rows(tx, a, q, args, 2, 1, sizeof *out, read_request, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_access_request *)rows;
    return st;
}

snug_status store_get_access(db_txn *tx, snug_arena *a, int64_t repo, int64_t id,
                             store_access_request *out, bool *found, snug_err *err)
{
    static const db_query q = {ACCESS "q.repo_id = $1 AND q.id = $2"};
    db_val                args[] = {db_int(repo), db_int(id)};
    return one_request(tx, a, q, args, out, found, err);
}

snug_status store_find_access(db_txn *tx, snug_arena *a, int64_t repo, int64_t user,
                              store_access_request *out, bool *found, snug_err *err)
{
    static const db_query q = {ACCESS "q.repo_id = $1 AND q.user_id = $2"};
    db_val                args[] = {db_int(repo), db_int(user)};
    return one_request(tx, a, q, args, out, found, err);
}

snug_status store_list_access(db_txn *tx, snug_arena *a, int64_t repo, store_access status,
                              int64_t after, size_t limit, store_access_request **out,
                              size_t *count, snug_err *err)
{
    static const db_query q = {
        ACCESS "q.repo_id = $1 AND q.status = $2 AND q.id > $3 ORDER BY q.id LIMIT $4"};
    db_val      args[] = {db_int(repo), db_int(status), db_int(after), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 4, limit, sizeof **out, read_request, &rows, count, err);
    *out = rows;
    return st;
}
