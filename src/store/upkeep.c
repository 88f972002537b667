/* SPDX-License-Identifier: Apache-2.0 */
/* store/upkeep.c - what belongs to a namespace or a repository, listed for its keepers; tags.
 *
 * For:     hub/upkeep.c.
 * Owns:    nothing; lfs_links is links.c's, the tags are repos.c's.
 * Threads: any; a transaction stays with its thread. */
#include "store/store_int.h"

snug_status store_list_owned(db_txn *tx, snug_arena *a, snug_slice ns, int64_t after, size_t limit,
                             store_repo **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " STORE_REPO_COLS
                               " FROM repos r WHERE r.ns_key = $1 AND r.state = 1 AND r.id < $2 "
                               "ORDER BY r.id DESC LIMIT $3"};
    db_val args[] = {db_text(store_lower(a, ns)), db_int(after > 0 ? after : INT32_MAX),
                     db_int((int64_t)limit)};
    return store_many_repos(tx, a, q, args, 3, limit, out, count, err);
}

static void read_lfs(snug_arena *a, const db_val *c, void *item)
{
    store_lfs_row *l = item;
    *l = (store_lfs_row){
        .oid = snug_arena_dup(a, c[0].s), .size = (uint64_t)c[1].i, .created_ms = c[2].i};
}

snug_status store_list_lfs(db_txn *tx, snug_arena *a, int64_t repo, snug_slice after, size_t limit,
                           store_lfs_row **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT oid, size, created_ms FROM lfs_links WHERE repo_id = $1 AND "
                               "oid > $2 ORDER BY oid LIMIT $3"};
    db_val                args[] = {db_int(repo), db_text(after), db_int((int64_t)limit)};
    void                 *rows = NULL;
    snug_status           st =
        store_rows(tx, a, q, args, 3, limit, sizeof **out, read_lfs, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_unlink_lfs(db_txn *tx, int64_t repo, snug_slice oid_hex, bool *found,
                             snug_err *err)
{
    static const db_query q = {"DELETE FROM lfs_links WHERE repo_id = $1 AND oid = $2"};
    db_val                args[] = {db_int(repo), db_text(oid_hex)};
    uint64_t              n = 0;
    snug_status           st = db_exec(tx, q, args, 2, &n, err);
    *found = n > 0;
    return st;
}

static void read_tag(snug_arena *a, const db_val *c, void *item)
{
    store_tag *t = item;
    *t = (store_tag){snug_arena_dup(a, c[0].s), (uint64_t)c[1].i};
}

snug_status store_list_tags(db_txn *tx, snug_arena *a, int type, size_t limit, store_tag **out,
                            size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT tag, count FROM tag_counts WHERE type = $1 AND count > 0 "
                               "ORDER BY count DESC, tag DESC LIMIT $2"};
    db_val                args[] = {db_int(type), db_int((int64_t)limit)};
    void                 *rows = NULL;
    snug_status           st =
        store_rows(tx, a, q, args, 2, limit, sizeof **out, read_tag, &rows, count, err);
    *out = rows;
    return st;
}
