/* SPDX-License-Identifier: Apache-2.0 */
/* store/care.c - the questions of those who keep the byte store: what is used, what is there.
 *
 * For:     hub/gc*.c, hub/chunk.c, hub/fsck*.c, hub/usage.c.
 * Owns:    the table gc_marks and the counter xet_generation.
 * Threads: any; a transaction stays with its thread.
 * Truth:   every question is asked of the rows as they are in this transaction. */
#include "store/store_int.h"

#include <inttypes.h>

const char store_schema_care[] =
    "CREATE TABLE gc_marks (" /* nobody is known to use it, since then */
    " kind INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " since_ms BIGINT NOT NULL,"
    " PRIMARY KEY (kind, name));"
    "CREATE TABLE lfs_dropped (" /* let go of on purpose: no damage */
    " repo_id INTEGER NOT NULL,"
    " oid TEXT NOT NULL,"
    " PRIMARY KEY (repo_id, oid));"
    "CREATE INDEX xorbs_by_blob ON xorbs (blob);"
    "CREATE INDEX xorb_lookup_by_xorb ON xorb_lookup (xorb_id);"
    "CREATE INDEX xorb_links_by_repo ON xorb_links (repo_id);"
    "INSERT INTO counters (name, value) VALUES ('xet_generation', 0);";

/* ---- marks ---- */

void store_mark_of_link(int64_t repo, snug_slice oid, char out[STORE_MARK_NAME])
{
    (void)snprintf(out, STORE_MARK_NAME, "%" PRId64 "/%.*s", repo,
                   SNUG_SLICE(snug_sub(oid, 0, 64)));
}

snug_status store_put_mark(db_txn *tx, store_mark kind, snug_slice name, int64_t since_ms,
                           snug_err *err)
{
    static const db_query q = {"INSERT INTO gc_marks (kind, name, since_ms) VALUES ($1, $2, $3) "
                               "ON CONFLICT (kind, name) DO NOTHING"};
    db_val                args[] = {db_int(kind), db_text(name), db_int(since_ms)};
    return db_exec(tx, q, args, 3, NULL, err);
}

snug_status store_find_mark(db_txn *tx, snug_arena *a, store_mark kind, snug_slice name,
                            int64_t *since_ms, snug_err *err)
{
    static const db_query q = {"SELECT since_ms FROM gc_marks WHERE kind = $1 AND name = $2"};
    db_val                args[] = {db_int(kind), db_text(name)};
    const db_val         *c;
    snug_status           st = db_one(tx, a, q, args, 2, &c, err);
    *since_ms = st == SNUG_OK && c != NULL ? c[0].i : 0;
    return st;
}

snug_status store_unmark(db_txn *tx, store_mark kind, snug_slice name, bool *was, snug_err *err)
{
    static const db_query q = {"DELETE FROM gc_marks WHERE kind = $1 AND name = $2"};
    db_val                args[] = {db_int(kind), db_text(name)};
    uint64_t              n = 0;
    snug_status           st = db_exec(tx, q, args, 2, &n, err);
    *was = n > 0;
    return st;
}

static void read_name(snug_arena *a, const db_val *c, void *item)
{
    *(snug_slice *)item = snug_arena_dup(a, c[0].s);
}

snug_status store_list_marks(db_txn *tx, snug_arena *a, store_mark kind, snug_slice after,
                             size_t limit, snug_slice **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT name FROM gc_marks WHERE kind = $1 AND name > $2 ORDER BY name LIMIT $3"};
    db_val      args[] = {db_int(kind), db_text(after), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 3, limit, sizeof **out, read_name, &rows, count, err);
    *out = rows;
    return st;
}

/* ---- who uses what ---- */

static void read_id(snug_arena *a, const db_val *c, void *item)
{
    (void)a;
    *(int64_t *)item = c[0].i;
}

snug_status store_repos_of_lfs(db_txn *tx, snug_arena *a, snug_slice oid, size_t limit,
                               int64_t **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT repo_id FROM lfs_links WHERE oid = $1 ORDER BY repo_id LIMIT $2"};
    db_val      args[] = {db_text(oid), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st = store_rows(tx, a, q, args, 2, limit, sizeof **out, read_id, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_blob_used(db_txn *tx, snug_arena *a, snug_slice blob, bool *linked, bool *xorb,
                            snug_err *err)
{
    static const db_query q = {
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM lfs_links WHERE oid = $1) THEN 1 ELSE 0 END, "
        "CASE WHEN EXISTS (SELECT 1 FROM xorbs WHERE blob = $1) THEN 1 ELSE 0 END"};
    db_val        arg = db_text(blob);
    const db_val *c;
    snug_status   st = db_one(tx, a, q, &arg, 1, &c, err);
    *linked = st == SNUG_OK && c != NULL && c[0].i != 0;
    *xorb = st == SNUG_OK && c != NULL && c[1].i != 0;
    return st;
}

#define LAYOUT                                                                                     \
    "SELECT f.id, f.hash, f.sha256, f.size, f.created_ms, f.terms, "                               \
    "CASE WHEN EXISTS (SELECT 1 FROM lfs_links l WHERE l.oid = f.sha256) THEN 1 ELSE 0 END, "      \
    "CASE WHEN NOT EXISTS (SELECT 1 FROM xet_links x WHERE x.layout_id = f.id) AND EXISTS "        \
    "(SELECT 1 FROM xet_layouts o JOIN xet_links y ON y.layout_id = o.id WHERE o.sha256 = "        \
    "f.sha256 AND o.id <> f.id) THEN 1 ELSE 0 END FROM xet_layouts f "

static void read_layout(snug_arena *a, const db_val *c, void *item)
{
    store_layout *l = item;
    *l = (store_layout){{c[0].i, snug_arena_dup(a, c[1].s), snug_arena_dup(a, c[2].s),
                         (uint64_t)c[3].i, c[4].i, snug_arena_dup(a, c[5].s)},
                        c[6].i != 0,
                        c[7].i != 0};
}

snug_status store_walk_layouts(db_txn *tx, snug_arena *a, int64_t after, size_t limit,
                               store_layout **out, size_t *count, snug_err *err)
{
    static const db_query q = {LAYOUT "WHERE f.id > $1 ORDER BY f.id LIMIT $2"};
    db_val                args[] = {db_int(after), db_int((int64_t)limit)};
    void                 *rows = NULL;
    snug_status           st =
        store_rows(tx, a, q, args, 2, limit, sizeof **out, read_layout, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_find_layout(db_txn *tx, snug_arena *a, int64_t id, store_layout *out, bool *found,
                              snug_err *err)
{
    static const db_query q = {LAYOUT "WHERE f.id = $1"};
    db_val                arg = db_int(id);
    void                 *rows = NULL;
    size_t                n = 0;
    snug_status st = store_rows(tx, a, q, &arg, 1, 1, sizeof *out, read_layout, &rows, &n, err);
    *found = st == SNUG_OK && n == 1;
    if (*found) *out = *(store_layout *)rows;
    return st;
}

snug_status store_find_content(db_txn *tx, snug_arena *a, snug_slice sha256, store_xet_file *out,
                               bool *found, snug_err *err)
{
    static const db_query q = {LAYOUT "WHERE f.sha256 = $1 ORDER BY f.id LIMIT 1"};
    db_val                arg = db_text(sha256);
    void                 *rows = NULL;
    size_t                n = 0;
    snug_status           st =
        store_rows(tx, a, q, &arg, 1, 1, sizeof(store_layout), read_layout, &rows, &n, err);
    *found = st == SNUG_OK && n == 1;
    if (*found) *out = ((store_layout *)rows)->file;
    return st;
}

static snug_status exec_all(db_txn *tx, const db_query *q, size_t n, int64_t id, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_val      arg = db_int(id);
    for (size_t i = 0; i < n && st == SNUG_OK; i++) st = db_exec(tx, q[i], &arg, 1, NULL, err);
    return st;
}

snug_status store_delete_layout(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query all[] = {{"DELETE FROM xet_links WHERE layout_id = $1"},
                                   {"DELETE FROM xet_layouts WHERE id = $1"}};
    return exec_all(tx, all, 2, id, err);
}

snug_status store_drop_stale_shows(db_txn *tx, uint64_t *dropped, snug_err *err)
{
    static const db_query q = {
        "DELETE FROM xet_links WHERE NOT EXISTS (SELECT 1 FROM xet_layouts f JOIN lfs_links l ON "
        "l.oid = f.sha256 WHERE f.id = xet_links.layout_id AND l.repo_id = xet_links.repo_id)"};
    return db_exec(tx, q, NULL, 0, dropped, err);
}

static void read_xorb(snug_arena *a, const db_val *c, void *item)
{
    store_xorb *x = item;
    *x = (store_xorb){c[0].i,
                      snug_arena_dup(a, c[1].s),
                      snug_arena_dup(a, c[2].s),
                      (uint64_t)c[3].i,
                      (uint64_t)c[4].i,
                      c[5].i,
                      snug_arena_dup(a, c[6].s)};
}

snug_status store_walk_xorbs(db_txn *tx, snug_arena *a, int64_t after, size_t limit, bool chunks,
                             store_xorb **out, size_t *count, snug_err *err)
{
    static const db_query full = {
        "SELECT id, hash, blob, stored_size, raw_size, created_ms, chunks "
        "FROM xorbs WHERE id > $1 ORDER BY id LIMIT $2"};
    static const db_query heads = {"SELECT id, hash, blob, stored_size, raw_size, created_ms, '' "
                                   "FROM xorbs WHERE id > $1 ORDER BY id LIMIT $2"};
    db_val                args[] = {db_int(after), db_int((int64_t)limit)};
    void                 *rows = NULL;
    snug_status st = store_rows(tx, a, chunks ? full : heads, args, 2, limit, sizeof **out,
                                read_xorb, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_delete_xorb(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query all[] = {{"DELETE FROM xorb_lookup WHERE xorb_id = $1"},
                                   {"DELETE FROM xorb_links WHERE xorb_id = $1"},
                                   {"DELETE FROM xorbs WHERE id = $1"}};
    return exec_all(tx, all, 3, id, err);
}

snug_status store_set_xorb_index(db_txn *tx, int64_t id, snug_slice chunks, uint64_t stored_size,
                                 uint64_t raw_size, snug_err *err)
{
    static const db_query q = {
        "UPDATE xorbs SET chunks = $2, stored_size = $3, raw_size = $4 WHERE id = $1"};
    db_val args[] = {db_int(id), db_blob(chunks), db_int((int64_t)stored_size),
                     db_int((int64_t)raw_size)};
    return db_exec(tx, q, args, 4, NULL, err);
}

snug_status store_set_xorb_blob(db_txn *tx, int64_t id, snug_slice blob, snug_err *err)
{
    static const db_query q = {"UPDATE xorbs SET blob = $2 WHERE id = $1"};
    db_val                args[] = {db_int(id), db_text(blob)};
    return db_exec(tx, q, args, 2, NULL, err);
}

/* ---- links ---- */

static void read_link(snug_arena *a, const db_val *c, void *item)
{
    *(store_link *)item = (store_link){c[0].i, snug_arena_dup(a, c[1].s), (uint64_t)c[2].i};
}

snug_status store_walk_links(db_txn *tx, snug_arena *a, snug_slice oid, int64_t repo, size_t limit,
                             store_link **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT repo_id, oid, size FROM lfs_links WHERE oid > $1 OR (oid = $1 AND repo_id > $2) "
        "ORDER BY oid, repo_id LIMIT $3"};
    db_val      args[] = {db_text(oid), db_int(repo), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 3, limit, sizeof **out, read_link, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_set_link_size(db_txn *tx, int64_t repo, snug_slice oid, uint64_t size,
                                snug_err *err)
{
    static const db_query q = {"UPDATE lfs_links SET size = $3 WHERE repo_id = $1 AND oid = $2"};
    db_val                args[] = {db_int(repo), db_text(oid), db_int((int64_t)size)};
    return db_exec(tx, q, args, 3, NULL, err);
}

snug_status store_note_dropped(db_txn *tx, int64_t repo, snug_slice oid, snug_err *err)
{
    static const db_query q = {"INSERT INTO lfs_dropped (repo_id, oid) VALUES ($1, $2) "
                               "ON CONFLICT (repo_id, oid) DO NOTHING"};
    db_val                args[] = {db_int(repo), db_text(oid)};
    return db_exec(tx, q, args, 2, NULL, err);
}

snug_status store_was_dropped(db_txn *tx, int64_t repo, snug_slice oid, bool *yes, snug_err *err)
{
    static const db_query q = {"SELECT 1 FROM lfs_dropped WHERE repo_id = $1 AND oid = $2"};
    db_val                args[] = {db_int(repo), db_text(oid)};
    int64_t               n = 0;
    snug_status           st = store_number(tx, q, args, 2, 0, &n, err);
    *yes = n != 0;
    return st;
}

/* ---- chunks for the background ---- */

/* All who may read repository q may know what was brought to repository r. Gates let in one by one,
 * so a gated repository vouches for nobody but itself. */
#define VOUCHES                                                                                    \
    "r.state = 1 AND r.disabled = 0 AND (r.id = q.id OR (r.gated = 0 AND (r.visibility = 0 OR "    \
    "(r.visibility = 2 AND q.visibility <> 0) OR (r.visibility = 1 AND q.visibility = 1 AND "      \
    "r.ns_key = q.ns_key))))"

snug_status store_find_shared(db_txn *tx, snug_arena *a, int64_t chunk, snug_slice oid,
                              store_lookup out[STORE_LOOKUP_MAX], size_t *count, snug_err *err)
{
    static const db_query find = {
        "SELECT x.hash, k.chunk_index, k.file FROM xorb_lookup k JOIN xorbs x ON x.id = k.xorb_id "
        "WHERE k.chunk = $1 AND NOT EXISTS (SELECT 1 FROM lfs_links f JOIN repos q ON q.id = "
        "f.repo_id WHERE f.oid = $2 AND q.state = 1 AND NOT EXISTS (SELECT 1 FROM xorb_links l "
        "JOIN repos r ON r.id = l.repo_id WHERE l.xorb_id = x.id AND " VOUCHES ")) "
        "ORDER BY k.xorb_id DESC LIMIT 16"};
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *cols;
    db_val        args[] = {db_int(chunk), db_text(oid)};

    *count = 0;
    SNUG_TRY(db_run(tx, find, args, 2, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL || *count == STORE_LOOKUP_MAX) break;
        out[(*count)++] =
            (store_lookup){snug_arena_dup(a, cols[0].s), SNUG_EMPTY, (uint32_t)cols[1].i};
    }
done:
    db_rows_close(rows);
    return st;
}

snug_status store_share_xorb(db_txn *tx, int64_t xorb, snug_slice oid, int64_t now_ms,
                             snug_err *err)
{
    static const db_query q = {
        "INSERT INTO xorb_links (xorb_id, repo_id, user_id, created_ms) "
        "SELECT CAST($1 AS INTEGER), l.repo_id, 0, CAST($3 AS BIGINT) FROM lfs_links l WHERE "
        "l.oid = $2 ON CONFLICT (xorb_id, repo_id, user_id) DO NOTHING"};
    db_val args[] = {db_int(xorb), db_text(oid), db_int(now_ms)};
    return db_exec(tx, q, args, 3, NULL, err);
}

snug_status store_show_layout(db_txn *tx, int64_t layout, snug_slice oid, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO xet_links (repo_id, layout_id) SELECT l.repo_id, CAST($1 AS INTEGER) FROM "
        "lfs_links l WHERE l.oid = $2 ON CONFLICT (repo_id, layout_id) DO NOTHING"};
    db_val args[] = {db_int(layout), db_text(oid)};
    return db_exec(tx, q, args, 2, NULL, err);
}

snug_status store_count_lookups(db_txn *tx, snug_arena *a, int64_t xorb, uint64_t *out,
                                snug_err *err)
{
    static const db_query q = {"SELECT COUNT(*) FROM xorb_lookup WHERE xorb_id = $1"};
    db_val                arg = db_int(xorb);
    const db_val         *c;
    snug_status           st = db_one(tx, a, q, &arg, 1, &c, err);
    *out = st == SNUG_OK && c != NULL ? (uint64_t)c[0].i : 0;
    return st;
}

snug_status store_drop_stale_lookups(db_txn *tx, uint64_t *dropped, snug_err *err)
{
    static const db_query q = {"DELETE FROM xorb_lookup WHERE NOT EXISTS (SELECT 1 FROM xorbs x "
                               "WHERE x.id = xorb_lookup.xorb_id)"};
    return db_exec(tx, q, NULL, 0, dropped, err);
}

/* ---- sums ---- */

snug_status store_sum_storage(db_txn *tx, snug_arena *a, store_sums *out, snug_err *err)
{
    static const db_query links = {
        "SELECT COUNT(*), CAST(COALESCE(SUM(l.size), 0) AS BIGINT) FROM lfs_links l "
        "JOIN repos r ON r.id = l.repo_id WHERE r.state = 1"};
    static const db_query xorbs = {
        "SELECT COUNT(*), CAST(COALESCE(SUM(stored_size), 0) AS BIGINT), "
        "CAST(COALESCE(SUM(raw_size), 0) AS BIGINT) FROM xorbs"};
    static const db_query layouts = {"SELECT COUNT(*) FROM xet_layouts"};
    snug_status           st = SNUG_OK;
    const db_val         *c;

    *out = (store_sums){0};
    SNUG_TRY(db_one(tx, a, links, NULL, 0, &c, err));
    out->objects = (uint64_t)c[0].i;
    out->logical_bytes = (uint64_t)c[1].i;
    SNUG_TRY(db_one(tx, a, xorbs, NULL, 0, &c, err));
    out->xorbs = (uint64_t)c[0].i;
    out->xorb_bytes = (uint64_t)c[1].i;
    out->xorb_raw_bytes = (uint64_t)c[2].i;
    SNUG_TRY(db_one(tx, a, layouts, NULL, 0, &c, err));
    out->layouts = (uint64_t)c[0].i;
done:
    return st;
}

static void read_used(snug_arena *a, const db_val *c, void *item)
{
    *(store_used *)item = (store_used){snug_arena_dup(a, c[0].s), (uint64_t)c[1].i,
                                       snug_arena_dup(a, c[2].s), c[3].i != 0};
}

snug_status store_walk_used(db_txn *tx, snug_arena *a, int64_t repo, snug_slice after, size_t limit,
                            store_used **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT l.oid, l.size, f.terms, CASE WHEN f.id IS NULL THEN 0 ELSE 1 END FROM lfs_links l "
        "LEFT JOIN xet_layouts f ON f.id = (SELECT MIN(g.id) FROM xet_layouts g WHERE g.sha256 = "
        "l.oid) WHERE l.repo_id = $1 AND l.oid > $2 ORDER BY l.oid LIMIT $3"};
    db_val      args[] = {db_int(repo), db_text(after), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 3, limit, sizeof **out, read_used, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_readers_of_lfs(db_txn *tx, snug_arena *a, snug_slice oid, const store_reader *who,
                                 int64_t except, size_t limit, store_repo **out, size_t *count,
                                 snug_err *err)
{
    static const db_query q = {"SELECT " STORE_REPO_COLS
                               " FROM repos r JOIN lfs_links l ON l.repo_id = r.id WHERE l.oid = "
                               "$1 AND r.id <> $4 AND r.state = 1 AND r.disabled = 0 "
                               "AND " STORE_READABLE("$2", "$3") " ORDER BY r.id LIMIT $5"};
    db_val args[] = {db_text(oid), db_int(who->sees), db_text(store_lower(a, who->me)),
                     db_int(except), db_int((int64_t)limit)};
    return store_many_repos(tx, a, q, args, 5, limit, out, count, err);
}

/* ---- counters ---- */

snug_status store_next_generation(db_txn *tx, int64_t *out, snug_err *err)
{
    return store_next_id(tx, "xet_generation", out, err);
}

snug_status store_generation(db_txn *tx, int64_t *out, snug_err *err)
{
    static const db_query q = {"SELECT value FROM counters WHERE name = 'xet_generation'"};
    return store_number(tx, q, NULL, 0, 0, out, err);
}
