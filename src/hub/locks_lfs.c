/* SPDX-License-Identifier: Apache-2.0 */
/* hub/locks_lfs.c - Git LFS file locks: who asked the others to leave a path alone.
 *
 * A lock is a request among people: git-lfs makes the file read-only for the others and warns them
 * before they push. No door of this server refuses a change because of one, since an emergency must
 * not wait for somebody's holiday.
 *
 * For:     api/locks.c.
 * Owns:    nothing; the locks are rows.
 * Threads: any; a look and the write that follows it are one transaction. */
#include "hub/hub_int.h"

enum { LOCKS_PER_REPO_MAX = 10000, LOCK_REF_MAX = 512 };

static void take(const hub_actor *who, const store_lock *l, hub_lfs_lock *out)
{
    *out = (hub_lfs_lock){.id = l->id,
                          .path = l->path,
                          .ref = l->ref,
                          .owner = l->owner,
                          .ours = who->user_id == l->owner_id,
                          .created_ms = l->created_ms};
}

snug_status hub_lock_path(hub *h, const hub_actor *who, int64_t row, snug_slice path,
                          snug_slice ref, snug_arena *a, hub_lfs_lock *out, bool *made,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_lock  l = {.repo_id = row,
                     .path = path,
                     .ref = ref,
                     .owner_id = who->user_id,
                     .owner = who->name,
                     .created_ms = snug_now_ms()};
    bool        found;
    uint64_t    count;

    SNUG_TRY(vcs_check_path(path, err));
    if (ref.len > LOCK_REF_MAX) SNUG_FAIL(err, SNUG_EPAYLOAD, "the name of the ref is too long");
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_lock_of(tx, a, row, path, &l, &found, err));
    *made = !found;
    if (!found) {
        SNUG_TRY(store_count_locks(tx, a, row, &count, err));
        if (count >= LOCKS_PER_REPO_MAX)
            SNUG_FAIL(err, SNUG_EFORBIDDEN, "a repository has at most %d locks",
                      (int)LOCKS_PER_REPO_MAX);
        SNUG_TRY(store_add_lock(tx, &l, &l.id, err));
    }
    take(who, &l, out);
    st = db_end(tx, *made, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_list_locks(hub *h, const hub_actor *who, int64_t row, const hub_lock_query *q,
                           snug_arena *a, hub_lfs_lock **out, size_t *count, bool *more,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_lock *list = NULL, one;
    size_t      n = 0;
    bool        found = false;

    *more = false;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    if (q->path.len > 0) {
        SNUG_TRY(store_find_lock_of(tx, a, row, q->path, &one, &found, err));
        found = found && (q->id == 0 || q->id == one.id);
    } else if (q->id != 0) {
        SNUG_TRY(store_find_lock(tx, a, row, q->id, &one, &found, err));
    } else {
        SNUG_TRY(store_list_locks(tx, a, row, q->after, q->limit + 1, &list, &n, err));
    }
    if (found) {
        list = &one;
        n = 1;
    }
    *more = n > q->limit;
    *count = *more ? q->limit : n;
    *out = snug_arena_array_try(a, *count + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    for (size_t i = 0; i < *count; i++) take(who, &list[i], &(*out)[i]);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_unlock_path(hub *h, const hub_actor *who, int64_t row, int64_t id, bool force,
                            snug_arena *a, hub_lfs_lock *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_lock  l;
    bool        found;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_lock(tx, a, row, id, &l, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no such lock");
    if (l.owner_id != who->user_id && !force)
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "%.*s holds this lock: use --force to remove it",
                  SNUG_SLICE(l.owner));
    SNUG_TRY(store_delete_lock(tx, row, id, err));
    take(who, &l, out);
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}
