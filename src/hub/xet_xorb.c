/* SPDX-License-Identifier: Apache-2.0 */
/* hub/xet_xorb.c - receiving xorbs, and answering who may know of one.
 *
 * For:     api/xet.c.
 * Owns:    a writer of the blob store per upload; memory for one chunk and the list of chunks.
 * Threads: an upload belongs to the thread that began it.
 * Truth:   records go to a temporary file as they prove sound; it becomes a blob after the root of
 *          all chunks equals the name, and the name is written down after the blob is durable.
 *          Footers are not stored: they say nothing that the records do not. */
#include "hub/hub_int.h"

#include <stdlib.h>

struct hub_xorb_in {
    hub         *h;
    hub_ticket   t; /* its slices are not used */
    xet_hash     name;
    uint64_t     taken;
    bool         have; /* nothing is written */
    xet_checker *check;
    blob_writer *w;
};

static snug_status put_record(void *arg, snug_slice record, snug_err *err)
{
    hub_xorb_in *in = arg;
    if (in->w == NULL) return SNUG_OK;
    return blob_put_write(in->w, record.ptr, record.len, err);
}

/* What arrived is not what it should be: the sender's mistake, and no damage of ours. */
static snug_status blame_sender(snug_status st, snug_err *err)
{
    if (st != SNUG_ECORRUPT) return st;
    if (err != NULL) err->status = SNUG_EINVAL;
    return SNUG_EINVAL;
}

static snug_status may_know(hub *h, const hub_ticket *t, const xet_hash *name, int64_t *id,
                            bool *yes, snug_err *err)
{
    snug_arena  *a = snug_arena_new();
    db_txn      *tx = NULL;
    char         text[65];
    store_reader who = hub_reader_of(&t->who);

    xet_hash_text(name, text);
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_xorb_readable(tx, a, snug_str(text), &who, id, yes, err);
    db_rollback(tx);
    snug_arena_free(a);
    /* Who is told that it is here builds on it. */
    return st == SNUG_OK && *yes ? hub_keep_xorb(h, name, err) : st;
}

snug_status hub_xorb_begin(hub *h, const hub_ticket *t, const xet_hash *name, hub_xorb_in **out,
                           bool *have, snug_err *err)
{
    snug_status  st = SNUG_OK;
    int64_t      id;
    hub_xorb_in *in = snug_zalloc(sizeof *in);

    in->h = h;
    in->t = *t;
    in->name = *name;
    in->check = xet_checker_new(put_record, in);
    SNUG_TRY(may_know(h, t, name, &id, &in->have, err));
    if (in->have) SNUG_TRY(hub_xorb_is_stored(h, name, &in->have, err)); /* lost bytes come again */
    if (!in->have) SNUG_TRY(blob_put_begin(h->blobs, &in->w, err));
    *have = in->have;
    *out = in;
    in = NULL;
done:
    hub_xorb_abort(in);
    return st;
}

snug_status hub_xorb_write(hub_xorb_in *in, snug_slice bytes, snug_err *err)
{
    in->taken += bytes.len;
    if (in->taken > XET_XORB_BODY_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a xorb has at most %d bytes", XET_XORB_BODY_MAX);
    return blame_sender(xet_checker_feed(in->check, bytes, err), err);
}

void hub_xorb_abort(hub_xorb_in *in)
{
    if (in == NULL) return;
    blob_put_abort(in->w);
    xet_checker_free(in->check);
    free(in);
}

/* A row whose bytes were lost gets those of this copy, which are right. */
static snug_status mend_row(hub *h, db_txn *tx, const store_xorb *row, int64_t id, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    store_xorb  have;
    blob_id     blob;
    bool        found;

    SNUG_TRY(store_find_xorb(tx, a, row->hash, &have, &found, err));
    if (!found || (blob_id_parse(have.blob, &blob) && blob_exists(h->blobs, &blob, NULL)))
        goto done;
    SNUG_TRY(store_set_xorb_blob(tx, id, row->blob, err));
    SNUG_TRY(store_set_xorb_index(tx, id, row->chunks, row->stored_size, row->raw_size, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_put_xorb_row(hub *h, db_txn *tx, const store_xorb *row, int64_t *id, snug_err *err)
{
    bool        added;
    snug_status st = store_add_xorb(tx, row, id, &added, err);
    return st == SNUG_OK && !added ? mend_row(h, tx, row, *id, err) : st;
}

/* The row, unless another upload of the same xorb was faster, and the link of this repository. */
static snug_status write_rows(hub_xorb_in *in, const store_xorb *row, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    int64_t     id;

    HUB_FAULT("xet.xorb", err, st);
    SNUG_TRY(db_begin(in->h->db, DB_WRITE, &tx, err));
    SNUG_TRY(hub_put_xorb_row(in->h, tx, row, &id, err));
    SNUG_TRY(store_link_xorb(tx, id, in->t.repo_row, in->t.who.user_id, row->created_ms, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

/* What is remembered says little: another process may have removed it. */
snug_status hub_xorb_is_stored(hub *h, const xet_hash *name, bool *yes, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_xorb  row;
    blob_id     blob;
    char        text[65];

    xet_hash_text(name, text);
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_find_xorb(tx, a, snug_str(text), &row, yes, err);
    db_rollback(tx);
    *yes = st == SNUG_OK && *yes && blob_id_parse(row.blob, &blob) &&
           blob_exists(h->blobs, &blob, NULL);
    snug_arena_free(a);
    return st;
}

snug_status hub_xorb_commit(hub_xorb_in *in, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    xet_xorb    x;
    blob_id     blob = {{{0}}};
    char        hash[65], hex[65];
    SNUG_AUTO(hub_hold) hold = {-1};

    SNUG_TRY(blame_sender(xet_checker_finish(in->check, a, &in->name, &x, err), err));
    SNUG_TRY(hub_hold_begin(in->h, &hold, err));
    SNUG_TRY(hub_keep_xorb(in->h, &in->name, err));
    /* Somebody else's copy may be packed differently; the first one stays. */
    bool here;
    SNUG_TRY(hub_xorb_is_stored(in->h, &in->name, &here, err));
    if (!here && in->w == NULL)
        SNUG_FAIL(err, SNUG_EBUSY, "the xorb was removed while it was sent; send it again");
    if (!here) {
        blob_writer *w = in->w;
        in->w = NULL;
        SNUG_TRY(hub_name_blob(in->h, w, NULL, x.body_size, &blob, err));
    }
    xet_hash_text(&x.hash, hash);
    blob_id_hex(&blob, hex);
    store_xorb row = {.hash = snug_str(hash),
                      .blob = snug_str(hex),
                      .stored_size = x.body_size,
                      .raw_size = x.chunks[x.count - 1].raw_end,
                      .created_ms = snug_now_ms(),
                      .chunks = hub_pack_chunks(a, &x)};
    SNUG_TRY(write_rows(in, &row, err));
done:
    hub_xorb_abort(in);
    snug_arena_free(a);
    return st;
}

snug_status hub_xorb_size(hub *h, const hub_ticket *t, const xet_hash *name, uint64_t *size,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_xorb   *x = NULL;
    int64_t     id;
    bool        yes;

    SNUG_TRY(may_know(h, t, name, &id, &yes, err));
    if (!yes) SNUG_FAIL(err, SNUG_ENOTFOUND, "this xorb is not stored");
    SNUG_TRY(hub_xorb_get(h, name, &x, err));
    *size = x->x.body_size;
done:
    hub_xorb_unref(x);
    return st;
}

snug_status hub_xorb_open_fd(hub *h, const xet_hash *name, int *fd, uint64_t *size, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_xorb   *x = NULL;

    *fd = -1;
    SNUG_TRY(hub_xorb_get(h, name, &x, err));
    *size = x->x.body_size;
    *fd = blob_open_fd(h->blobs, &x->blob);
    if (*fd < 0) SNUG_FAIL(err, SNUG_EIO, "a stored xorb cannot be opened");
done:
    hub_xorb_unref(x);
    return st;
}
