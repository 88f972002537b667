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
    bool        queued;

    blob_id_hex(id, hex);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_link_lfs(tx, repo_row, snug_str(hex), size, snug_now_ms(), err));
    SNUG_TRY(hub_queue_chunking(h, tx, snug_str(hex), size, &queued, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK && queued) hub_wake_jobs(h);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_finish_lfs(hub *h, int64_t repo_row, blob_writer *w_owned, const blob_id *id,
                           uint64_t size, snug_err *err)
{
    snug_status st = SNUG_OK;
    blob_id     got;
    SNUG_AUTO(hub_hold) hold = {-1};

    st = hub_hold_begin(h, &hold, err);
    if (st != SNUG_OK) {
        blob_put_abort(w_owned);
        goto done;
    }
    SNUG_TRY(hub_name_blob(h, w_owned, id, size, &got, err));
    SNUG_TRY(hub_link_lfs(h, repo_row, id, size, err));
done:
    return st;
}

/* Is it in the store, in any form? */
static snug_status is_here(hub *h, const blob_id *id, uint64_t *size, bool *here, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    db_txn        *tx = NULL;
    store_xet_file packed;
    char           hex[65];

    *here = blob_exists(h->blobs, id, size);
    if (*here) goto done;
    blob_id_hex(id, hex);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_content(tx, a, snug_str(hex), &packed, here, err));
    if (*here) *size = packed.size;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_finish_lfs_parts(hub *h, int64_t repo_row, snug_slice token, const blob_id *id,
                                 uint64_t size, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        hex[65];
    uint64_t    stored;
    bool        here = false;
    SNUG_AUTO(hub_hold) hold = {-1};

    blob_id_hex(id, hex);
    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(hub_unmark(h, STORE_MARK_BLOB, snug_str(hex), err));
    st = blob_part_finish(h->blobs, token, id, size, err);
    /* Said twice, and packed meanwhile: only who finished it before has the right. */
    if (st == SNUG_ENOTFOUND && hub_has_lfs(h, repo_row, id, NULL)) {
        SNUG_TRY(is_here(h, id, &stored, &here, err));
        if (here && stored == size) st = SNUG_OK;
    }
    if (st == SNUG_OK) st = hub_link_lfs(h, repo_row, id, size, err);
done:
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
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    char        hex[65];
    bool        linked, readable = false, found;
    uint64_t    recorded;

    *ok = false;
    blob_id_hex(id, hex);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_has_lfs(tx, a, row, snug_str(hex), &recorded, &linked, err));
    if (!linked)
        SNUG_TRY(store_lfs_readable(tx, a, snug_str(hex), hub_sees(who), hub_own_ns(who), &readable,
                                    err));
    db_rollback(tx);
    tx = NULL;
    if (!linked && !readable) goto done;
    if (linked) SNUG_TRY(hub_keep_lfs(h, row, id, err));
    /* Asked last: what is here now stays, since the mark is off or the link is about to be. */
    SNUG_TRY(is_here(h, id, size, &found, err));
    if (!found) goto done;
    if (!linked && readable) SNUG_TRY(borrow(h, who, row, snug_str(hex), *size, err));
    *ok = linked || readable;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
