/* SPDX-License-Identifier: Apache-2.0 */
/* store/links.c - which LFS object belongs to which repository; download statistics.
 *
 * For:     hub/lfs.c, hub/commit.c, hub/stats.c.
 * Owns:    the tables lfs_links and downloads.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a link is a permission: without one a blob cannot be read through a repository. */
#include "store/store_int.h"

snug_status store_link_lfs(db_txn *tx, int64_t repo, snug_slice oid_hex, uint64_t size,
                           int64_t now_ms, snug_err *err)
{
    static const db_query q = {"INSERT INTO lfs_links (repo_id, oid, size, created_ms) "
                               "VALUES ($1, $2, $3, $4) ON CONFLICT (repo_id, oid) DO NOTHING"};
    db_val args[] = {db_int(repo), db_text(oid_hex), db_int((int64_t)size), db_int(now_ms)};
    char   name[STORE_MARK_NAME];
    bool   was;
    store_mark_of_link(repo, oid_hex, name);
    snug_status st = store_unmark(tx, STORE_MARK_LINK, snug_str(name), &was, err);
    return st == SNUG_OK ? db_exec(tx, q, args, 4, NULL, err) : st;
}

snug_status store_has_lfs(db_txn *tx, snug_arena *a, int64_t repo, snug_slice oid_hex,
                          uint64_t *size, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT size FROM lfs_links WHERE repo_id = $1 AND oid = $2"};
    const db_val         *cols;
    db_val                args[] = {db_int(repo), db_text(oid_hex)};
    snug_status           st = db_one(tx, a, q, args, 2, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) *size = (uint64_t)cols[0].i;
    return st;
}

snug_status store_lfs_readable(db_txn *tx, snug_arena *a, snug_slice oid_hex, int sees,
                               snug_slice me, bool *yes, snug_err *err)
{
    static const db_query q = {
        "SELECT r.id FROM lfs_links l JOIN repos r ON r.id = l.repo_id WHERE l.oid = $1 AND "
        "r.state = 1 AND r.disabled = 0 AND " STORE_READABLE("$2", "$3") " LIMIT 1"};
    const db_val *cols;
    db_val        args[] = {db_text(oid_hex), db_int(sees), db_text(store_lower(a, me))};
    snug_status   st = db_one(tx, a, q, args, 3, &cols, err);
    *yes = st == SNUG_OK && cols != NULL;
    return st;
}

snug_status store_lfs_bytes(db_txn *tx, snug_arena *a, int64_t repo, uint64_t *out, snug_err *err)
{
    static const db_query q = {
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM lfs_links WHERE repo_id = $1"};
    const db_val *cols;
    db_val        arg = db_int(repo);
    snug_status   st = db_one(tx, a, q, &arg, 1, &cols, err);
    if (st == SNUG_OK) *out = cols == NULL ? 0 : (uint64_t)cols[0].i;
    return st;
}

/* ---- downloads ---- */

snug_status store_add_downloads(db_txn *tx, int64_t repo, int64_t day, uint64_t n, snug_err *err)
{
    static const db_query sum = {"UPDATE repos SET downloads = downloads + $2, downloads_all = "
                                 "downloads_all + $2, trending = trending + $2 WHERE id = $1"};
    static const db_query put = {
        "INSERT INTO downloads (repo_id, day, count) VALUES ($1, $2, $3) "
        "ON CONFLICT (repo_id, day) DO UPDATE SET count = downloads.count + excluded.count"};
    snug_status st = SNUG_OK;
    uint64_t    changed = 0;
    db_val      args[] = {db_int(repo), db_int(day), db_int((int64_t)n)};
    db_val      add[] = {args[0], args[2]};

    SNUG_TRY(db_exec(tx, sum, add, 2, &changed, err));
    if (changed == 0) goto done; /* deleted meanwhile: leave no orphan */
    SNUG_TRY(db_exec(tx, put, args, 3, NULL, err));
done:
    return st;
}

snug_status store_roll_downloads(db_txn *tx, int64_t today, bool *rolled, snug_err *err)
{
    static const db_query mark = {
        "UPDATE counters SET value = $1 WHERE name = 'downloads_day' AND value < $1"};
    static const db_query roll = {"UPDATE repos SET downloads = COALESCE((SELECT CAST(SUM(d.count) "
                                  "AS BIGINT) FROM downloads d WHERE "
                                  "d.repo_id = repos.id AND d.day > $1), 0), trending = "
                                  "COALESCE((SELECT CAST(SUM(d.count) AS BIGINT) FROM "
                                  "downloads d WHERE d.repo_id = repos.id AND d.day > $2), 0) "
                                  "WHERE downloads <> 0 OR trending <> 0"};
    snug_status           st = SNUG_OK;
    uint64_t              changed = 0;
    db_val                day = db_int(today);
    db_val from[] = {db_int(today - STORE_DOWNLOAD_DAYS), db_int(today - STORE_TRENDING_DAYS)};

    *rolled = false;
    SNUG_TRY(db_exec(tx, mark, &day, 1, &changed, err));
    if (changed == 0) goto done;
    SNUG_TRY(db_exec(tx, roll, from, 2, NULL, err));
    *rolled = true;
done:
    return st;
}
