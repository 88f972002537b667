/* SPDX-License-Identifier: Apache-2.0 */
/* store/locks.c - Git LFS file locks: "I am working on this path, please wait".
 *
 * For:     hub/locks_lfs.c.
 * Owns:    the table lfs_locks.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a path of a repository has at most one lock. */
#include "store/store_int.h"

const char store_schema_locks[] =
    "INSERT INTO counters (name, value) VALUES ('lfs_locks', 0);"
    "CREATE TABLE lfs_locks ("
    " id INTEGER PRIMARY KEY,"
    " repo_id INTEGER NOT NULL,"
    " path TEXT NOT NULL,"
    " ref TEXT NOT NULL," /* what the locker was on; told to others, compared with nothing */
    " owner_id INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " UNIQUE (repo_id, path));";

#define LOCK_COLS "l.id, l.repo_id, l.path, l.ref, l.owner_id, u.name, l.created_ms"
#define LOCK_FROM " FROM lfs_locks l JOIN users u ON u.id = l.owner_id "

static void read_lock(snug_arena *a, const db_val *c, store_lock *out)
{
    *out = (store_lock){.id = c[0].i,
                        .repo_id = c[1].i,
                        .path = snug_arena_dup(a, c[2].s),
                        .ref = snug_arena_dup(a, c[3].s),
                        .owner_id = c[4].i,
                        .owner = snug_arena_dup(a, c[5].s),
                        .created_ms = c[6].i};
}

snug_status store_add_lock(db_txn *tx, const store_lock *l, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO lfs_locks (id, repo_id, path, ref, owner_id, created_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6)"};
    snug_status st = store_next_id(tx, "lfs_locks", id, err);
    if (st != SNUG_OK) return st;
    db_val args[] = {db_int(*id),     db_int(l->repo_id),  db_text(l->path),
                     db_text(l->ref), db_int(l->owner_id), db_int(l->created_ms)};
    return db_exec(tx, q, args, 6, NULL, err);
}

static snug_status find(db_txn *tx, snug_arena *a, db_query q, const db_val args[2],
                        store_lock *out, bool *found, snug_err *err)
{
    const db_val *cols;
    snug_status   st = db_one(tx, a, q, args, 2, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) read_lock(a, cols, out);
    return st;
}

snug_status store_find_lock(db_txn *tx, snug_arena *a, int64_t repo, int64_t id, store_lock *out,
                            bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " LOCK_COLS LOCK_FROM "WHERE l.repo_id = $1 AND l.id = $2"};
    db_val                args[] = {db_int(repo), db_int(id)};
    return find(tx, a, q, args, out, found, err);
}

snug_status store_find_lock_of(db_txn *tx, snug_arena *a, int64_t repo, snug_slice path,
                               store_lock *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " LOCK_COLS LOCK_FROM
                               "WHERE l.repo_id = $1 AND l.path = $2"};
    db_val                args[] = {db_int(repo), db_text(path)};
    return find(tx, a, q, args, out, found, err);
}

snug_status store_list_locks(db_txn *tx, snug_arena *a, int64_t repo, int64_t after, size_t n,
                             store_lock **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " LOCK_COLS LOCK_FROM
                               "WHERE l.repo_id = $1 AND l.id > $2 ORDER BY l.id LIMIT $3"};
    snug_status           st = SNUG_OK;
    db_rows              *rows = NULL;
    const db_val         *cols;
    db_val                args[] = {db_int(repo), db_int(after), db_int((int64_t)n)};

    *count = 0;
    *out = snug_arena_array_try(a, n > 0 ? n : 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(db_run(tx, q, args, 3, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL) break;
        SNUG_ASSERT(*count < n);
        read_lock(a, cols, &(*out)[(*count)++]);
    }
done:
    db_rows_close(rows);
    return st;
}

snug_status store_count_locks(db_txn *tx, snug_arena *a, int64_t repo, uint64_t *out, snug_err *err)
{
    static const db_query q = {"SELECT COUNT(*) FROM lfs_locks WHERE repo_id = $1"};
    const db_val         *cols;
    db_val                arg = db_int(repo);
    snug_status           st = db_one(tx, a, q, &arg, 1, &cols, err);
    if (st == SNUG_OK) *out = cols == NULL ? 0 : (uint64_t)cols[0].i;
    return st;
}

snug_status store_delete_lock(db_txn *tx, int64_t repo, int64_t id, snug_err *err)
{
    static const db_query q = {"DELETE FROM lfs_locks WHERE repo_id = $1 AND id = $2"};
    db_val                args[] = {db_int(repo), db_int(id)};
    return db_exec(tx, q, args, 2, NULL, err);
}
