/* SPDX-License-Identifier: Apache-2.0 */
/* store/xet.c - deduplicated storage: xorbs, the chunks that may be asked for, files made of them.
 *
 * For:     hub/xet_*.c, which packs and unpacks the byte columns and decides who may see what.
 * Owns:    the tables xorbs, xorb_links, xorb_lookup, xet_layouts and xet_links.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a row names bytes that were verified before: xorbs by their chunks' hashes, files by
 *          both of their hashes. */
#include "store/store_int.h"

/* A reader ($2 sees, $3 own namespace, $4 user) may know of the xorb of link l. */
#define READABLE_LINK                                                                              \
    "EXISTS (SELECT 1 FROM xorb_links l LEFT JOIN repos r ON r.id = l.repo_id WHERE l.xorb_id = "  \
    "x.id AND (($4 <> 0 AND l.user_id = $4) OR (r.state = 1 AND r.disabled = 0 "                   \
    "AND " STORE_READABLE("$2", "$3") ")))"

snug_status store_add_xorb(db_txn *tx, const store_xorb *x, int64_t *id, bool *added, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO xorbs (id, hash, blob, stored_size, raw_size, created_ms, chunks) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (hash) DO NOTHING"};
    static const db_query have = {"SELECT id FROM xorbs WHERE hash = $1"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    const db_val         *cols;
    db_val                key = db_text(x->hash);
    uint64_t              changed;

    *added = false;
    SNUG_TRY(db_one(tx, a, have, &key, 1, &cols, err));
    if (cols != NULL) {
        *id = cols[0].i;
        goto done;
    }
    SNUG_TRY(store_next_id(tx, "xorbs", id, err));
    db_val args[] = {db_int(*id),
                     db_text(x->hash),
                     db_text(x->blob),
                     db_int((int64_t)x->stored_size),
                     db_int((int64_t)x->raw_size),
                     db_int(x->created_ms),
                     db_blob(x->chunks)};
    SNUG_TRY(db_exec(tx, q, args, 7, &changed, err));
    *added = changed > 0;
done:
    snug_arena_free(a);
    return st;
}

snug_status store_find_xorb(db_txn *tx, snug_arena *a, snug_slice hash, store_xorb *out,
                            bool *found, snug_err *err)
{
    static const db_query q = {"SELECT id, hash, blob, stored_size, raw_size, created_ms, chunks "
                               "FROM xorbs WHERE hash = $1"};
    const db_val         *c;
    db_val                arg = db_text(hash);
    snug_status           st = db_one(tx, a, q, &arg, 1, &c, err);

    *found = st == SNUG_OK && c != NULL;
    if (*found)
        *out = (store_xorb){c[0].i,           c[1].s, c[2].s, (uint64_t)c[3].i,
                            (uint64_t)c[4].i, c[5].i, c[6].s};
    return st;
}

snug_status store_link_xorb(db_txn *tx, int64_t xorb, int64_t repo, int64_t user, int64_t now_ms,
                            snug_err *err)
{
    static const db_query q = {"INSERT INTO xorb_links (xorb_id, repo_id, user_id, created_ms) "
                               "VALUES ($1, $2, $3, $4) "
                               "ON CONFLICT (xorb_id, repo_id, user_id) DO NOTHING"};
    db_val                args[] = {db_int(xorb), db_int(repo), db_int(user), db_int(now_ms)};
    return db_exec(tx, q, args, 4, NULL, err);
}

snug_status store_xorb_readable(db_txn *tx, snug_arena *a, snug_slice hash, const store_reader *who,
                                int64_t *id, bool *yes, snug_err *err)
{
    static const db_query q = {"SELECT x.id FROM xorbs x WHERE x.hash = $1 AND " READABLE_LINK};
    const db_val         *cols;
    db_val      args[] = {db_text(hash), db_int(who->sees), db_text(store_lower(a, who->me)),
                          db_int(who->user)};
    snug_status st = db_one(tx, a, q, args, 4, &cols, err);
    *yes = st == SNUG_OK && cols != NULL;
    if (*yes) *id = cols[0].i;
    return st;
}

/* ---- chunks that may be asked for ---- */

snug_status store_add_lookup(db_txn *tx, int64_t chunk, int64_t xorb, uint32_t chunk_index,
                             snug_slice file, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO xorb_lookup (chunk, xorb_id, chunk_index, file) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (chunk, xorb_id, chunk_index) DO NOTHING"};
    db_val args[] = {db_int(chunk), db_int(xorb), db_int(chunk_index), db_text(file)};
    return db_exec(tx, q, args, 4, NULL, err);
}

snug_status store_find_lookup(db_txn *tx, snug_arena *a, int64_t chunk, const store_reader *who,
                              store_lookup out[STORE_LOOKUP_MAX], size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT x.hash, k.chunk_index, k.file FROM xorb_lookup k JOIN xorbs x ON x.id = k.xorb_id "
        "WHERE k.chunk = $1 AND " READABLE_LINK " ORDER BY k.xorb_id DESC LIMIT 16"};
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *cols;
    db_val        args[] = {db_int(chunk), db_int(who->sees), db_text(store_lower(a, who->me)),
                            db_int(who->user)};

    *count = 0;
    SNUG_TRY(db_run(tx, q, args, 4, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL || *count == STORE_LOOKUP_MAX) break;
        out[(*count)++] = (store_lookup){snug_arena_dup(a, cols[0].s), snug_arena_dup(a, cols[2].s),
                                         (uint32_t)cols[1].i};
    }
done:
    db_rows_close(rows);
    return st;
}

/* ---- files ---- */

/* A reader ($2 sees, $3 own namespace) may be shown layout f. */
#define SHOWN_LAYOUT                                                                               \
    "EXISTS (SELECT 1 FROM xet_links l JOIN repos r ON r.id = l.repo_id WHERE l.layout_id = f.id " \
    "AND r.state = 1 AND r.disabled = 0 AND " STORE_READABLE("$2", "$3") ")"
#define LAYOUT_COLS "f.id, f.hash, f.sha256, f.size, f.created_ms, f.terms"

const char store_schema_layouts[] =
    "CREATE TABLE xet_layouts ("
    " id INTEGER PRIMARY KEY,"
    " hash TEXT NOT NULL,"
    " sha256 TEXT NOT NULL," /* computed by us from the bytes, never taken on trust */
    " size BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " terms BYTEA NOT NULL);"
    "INSERT INTO xet_layouts (id, hash, sha256, size, created_ms, terms) "
    "SELECT id, hash, sha256, size, created_ms, terms FROM xet_files;"
    "CREATE INDEX xet_layouts_by_hash ON xet_layouts (hash);"
    "CREATE INDEX xet_layouts_by_sha256 ON xet_layouts (sha256);"
    "CREATE TABLE xet_links ("
    " repo_id INTEGER NOT NULL,"
    " layout_id INTEGER NOT NULL,"
    " PRIMARY KEY (repo_id, layout_id));"
    "CREATE INDEX xet_links_by_layout ON xet_links (layout_id);"
    "INSERT INTO xet_links (repo_id, layout_id) "
    "SELECT l.repo_id, f.id FROM xet_files f JOIN lfs_links l ON l.oid = f.sha256;"
    "DROP TABLE xet_files;";

snug_status store_add_xet_file(db_txn *tx, const store_xet_file *f, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO xet_layouts (id, hash, sha256, size, created_ms, terms) "
        "VALUES ($1, $2, $3, $4, $5, $6)"};
    snug_status st = SNUG_OK;
    SNUG_TRY(store_next_id(tx, "xet_files", id, err));
    db_val args[] = {db_int(*id),           db_text(f->hash),
                     db_text(f->sha256),    db_int((int64_t)f->size),
                     db_int(f->created_ms), db_blob(f->terms)};
    SNUG_TRY(db_exec(tx, q, args, 6, NULL, err));
done:
    return st;
}

snug_status store_link_xet_file(db_txn *tx, int64_t repo, int64_t id, snug_err *err)
{
    static const db_query q = {"INSERT INTO xet_links (repo_id, layout_id) VALUES ($1, $2) "
                               "ON CONFLICT (repo_id, layout_id) DO NOTHING"};
    db_val                args[] = {db_int(repo), db_int(id)};
    return db_exec(tx, q, args, 2, NULL, err);
}

static snug_status one_file(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                            store_xet_file *out, bool *found, bool *extra, snug_err *err)
{
    const db_val *c;
    snug_status   st = db_one(tx, a, q, args, n, &c, err);
    *found = st == SNUG_OK && c != NULL;
    if (!*found) return st;
    *out = (store_xet_file){c[0].i, c[1].s, c[2].s, (uint64_t)c[3].i, c[4].i, c[5].s};
    if (extra != NULL) *extra = c[6].i != 0;
    return st;
}

snug_status store_find_xet_file(db_txn *tx, snug_arena *a, snug_slice hash, const store_reader *who,
                                store_xet_file *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " LAYOUT_COLS
                               " FROM xet_layouts f WHERE f.hash = $1 AND " SHOWN_LAYOUT
                               " ORDER BY f.id LIMIT 1"};
    db_val args[] = {db_text(hash), db_int(who->sees), db_text(store_lower(a, who->me))};
    return one_file(tx, a, q, args, 3, out, found, NULL, err);
}

snug_status store_find_xet_file_in(db_txn *tx, snug_arena *a, int64_t repo, snug_slice hash,
                                   store_xet_file *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " LAYOUT_COLS " FROM xet_layouts f JOIN xet_links l ON "
                               "l.layout_id = f.id WHERE f.hash = $1 AND l.repo_id = $2 "
                               "ORDER BY f.id LIMIT 1"};
    db_val                args[] = {db_text(hash), db_int(repo)};
    return one_file(tx, a, q, args, 2, out, found, NULL, err);
}

snug_status store_find_xet_sha256(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                                  store_xet_file *out, bool *found, bool *shown, snug_err *err)
{
    static const db_query q = {
        "SELECT " LAYOUT_COLS ", CASE WHEN l.repo_id IS NULL THEN 0 ELSE 1 END FROM xet_layouts f "
        "LEFT JOIN xet_links l ON l.layout_id = f.id AND l.repo_id = $2 WHERE f.sha256 = $1 "
        "ORDER BY 7 DESC, f.id LIMIT 1"};
    db_val args[] = {db_text(sha256), db_int(repo)};
    *shown = false;
    return one_file(tx, a, q, args, 2, out, found, shown, err);
}

snug_status store_xet_hash_in(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                              snug_slice *hash, bool *found, snug_err *err)
{
    static const db_query q = {
        "SELECT f.hash FROM xet_layouts f JOIN xet_links x ON x.layout_id = f.id "
        "JOIN lfs_links l ON l.repo_id = x.repo_id AND l.oid = f.sha256 "
        "WHERE f.sha256 = $2 AND x.repo_id = $1 ORDER BY f.id LIMIT 1"};
    const db_val *cols;
    db_val        args[] = {db_int(repo), db_text(sha256)};
    snug_status   st = db_one(tx, a, q, args, 2, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) *hash = cols[0].s;
    return st;
}

snug_status store_borrow_xet_files(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                                   const store_reader *who, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO xet_links (repo_id, layout_id) SELECT CAST($4 AS INTEGER), f.id "
        "FROM xet_layouts f WHERE f.sha256 = $1 AND " SHOWN_LAYOUT
        " ON CONFLICT (repo_id, layout_id) DO NOTHING"};
    db_val args[] = {db_text(sha256), db_int(who->sees), db_text(store_lower(a, who->me)),
                     db_int(repo)};
    return db_exec(tx, q, args, 4, NULL, err);
}
