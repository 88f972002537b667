/* SPDX-License-Identifier: Apache-2.0 */
/* store/xet.c - deduplicated storage: xorbs, the chunks that may be asked for, files made of them.
 *
 * For:     hub/xet_*.c, which packs and unpacks the byte columns and decides who may see what.
 * Owns:    the tables xorbs, xorb_links, xorb_lookup and xet_files.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a row names bytes that were verified before: xorbs by their chunks' hashes, files by
 *          both of their hashes. */
#include "store/store_int.h"

/* A reader ($2 sees, $3 own namespace, $4 user) may know of the xorb of link l. */
#define READABLE_LINK                                                                              \
    "EXISTS (SELECT 1 FROM xorb_links l LEFT JOIN repos r ON r.id = l.repo_id WHERE l.xorb_id = "  \
    "x.id AND (($4 <> 0 AND l.user_id = $4) OR (r.state = 1 AND r.disabled = 0 AND "               \
    STORE_READABLE("$2", "$3") ")))"

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

snug_status store_add_xet_file(db_txn *tx, const store_xet_file *f, bool *added, snug_err *err)
{
    static const db_query have = {"SELECT id FROM xet_files WHERE hash = $1"};
    static const db_query q = {"INSERT INTO xet_files (id, hash, sha256, size, created_ms, terms) "
                               "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hash) DO NOTHING"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    const db_val         *cols;
    db_val                key = db_text(f->hash);
    int64_t               id;
    uint64_t              changed;

    *added = false;
    SNUG_TRY(db_one(tx, a, have, &key, 1, &cols, err));
    if (cols != NULL) goto done;
    SNUG_TRY(store_next_id(tx, "xet_files", &id, err));
    db_val args[] = {db_int(id),
                     db_text(f->hash),
                     db_text(f->sha256),
                     db_int((int64_t)f->size),
                     db_int(f->created_ms),
                     db_blob(f->terms)};
    SNUG_TRY(db_exec(tx, q, args, 6, &changed, err));
    *added = changed > 0;
done:
    snug_arena_free(a);
    return st;
}

static snug_status one_file(db_txn *tx, snug_arena *a, db_query q, snug_slice key,
                            store_xet_file *out, bool *found, snug_err *err)
{
    const db_val *c;
    db_val        arg = db_text(key);
    snug_status   st = db_one(tx, a, q, &arg, 1, &c, err);
    *found = st == SNUG_OK && c != NULL;
    if (*found) *out = (store_xet_file){c[0].i, c[1].s, c[2].s, (uint64_t)c[3].i, c[4].i, c[5].s};
    return st;
}

snug_status store_find_xet_file(db_txn *tx, snug_arena *a, snug_slice hash, store_xet_file *out,
                                bool *found, snug_err *err)
{
    static const db_query q = {
        "SELECT id, hash, sha256, size, created_ms, terms FROM xet_files WHERE hash = $1"};
    return one_file(tx, a, q, hash, out, found, err);
}

snug_status store_find_xet_sha256(db_txn *tx, snug_arena *a, snug_slice sha256, store_xet_file *out,
                                  bool *found, snug_err *err)
{
    static const db_query q = {"SELECT id, hash, sha256, size, created_ms, terms FROM xet_files "
                               "WHERE sha256 = $1 ORDER BY id LIMIT 1"};
    return one_file(tx, a, q, sha256, out, found, err);
}

snug_status store_xet_hash_in(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                              snug_slice *hash, bool *found, snug_err *err)
{
    static const db_query q = {
        "SELECT f.hash FROM lfs_links l JOIN xet_files f ON f.sha256 = l.oid "
        "WHERE l.repo_id = $1 AND l.oid = $2 ORDER BY f.id LIMIT 1"};
    const db_val *cols;
    db_val        args[] = {db_int(repo), db_text(sha256)};
    snug_status   st = db_one(tx, a, q, args, 2, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) *hash = cols[0].s;
    return st;
}
