/* SPDX-License-Identifier: Apache-2.0 */
/* hub/lfs.c - which LFS object may be read through which repository.
 *
 * For:     the LFS doors (after an upload), resolve (before a download), commits.
 * Owns:    nothing; the links are rows.
 * Threads: any.
 * Truth:   that an object exists in the store is nobody's permission to read it. A link is made
 *          when somebody uploaded the bytes for this repository, or could read them elsewhere. */
#include "hub/hub_int.h"

snug_status hub_link_lfs(hub *h, int64_t repo_row, const blob_id *id, uint64_t size, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    char        hex[65];

    blob_id_hex(id, hex);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_link_lfs(tx, repo_row, snug_str(hex), size, snug_now_ms(), err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

bool hub_has_lfs(hub *h, int64_t repo_row, const blob_id *id, uint64_t *size)
{
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    snug_err    err = {0};
    bool        found = false;
    uint64_t    linked = 0;
    char        hex[65];

    blob_id_hex(id, hex);
    snug_status st = db_begin(h->db, DB_READ, &tx, &err);
    if (st == SNUG_OK) st = store_has_lfs(tx, a, repo_row, snug_str(hex), &linked, &found, &err);
    db_rollback(tx);
    if (st != SNUG_OK) snug_log_err(SNUG_ERROR, "hub.has_lfs", &err); /* no answer is no right */
    if (found && size != NULL) *size = linked;
    snug_arena_free(a);
    return found;
}

/* The link, and what readers of the source are shown of how the object is stored. */
static snug_status borrow(hub *h, const hub_actor *who, int64_t row, snug_slice hex, uint64_t size,
                          snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    db_txn      *tx = NULL;
    store_reader reader = hub_reader_of(who);

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_link_lfs(tx, row, hex, size, snug_now_ms(), err));
    SNUG_TRY(store_borrow_xet_files(tx, a, row, hex, &reader, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_borrow_lfs(hub *h, const hub_actor *who, int64_t row, const blob_id *id,
                           uint64_t *size, bool *ok, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    db_txn        *tx = NULL;
    char           hex[65];
    bool           linked, readable = false, found, shown;
    uint64_t       recorded;
    store_xet_file packed;

    *ok = false;
    blob_id_hex(id, hex);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    if (!blob_exists(h->blobs, id, size)) {
        SNUG_TRY(store_find_xet_sha256(tx, a, row, snug_str(hex), &packed, &found, &shown, err));
        if (!found) goto done;
        *size = packed.size;
    }
    SNUG_TRY(store_has_lfs(tx, a, row, snug_str(hex), &recorded, &linked, err));
    if (!linked)
        SNUG_TRY(store_lfs_readable(tx, a, snug_str(hex), hub_sees(who), hub_own_ns(who), &readable,
                                    err));
    db_rollback(tx);
    tx = NULL;
    if (!linked && readable) SNUG_TRY(borrow(h, who, row, snug_str(hex), *size, err));
    *ok = linked || readable;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
