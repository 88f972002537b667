/* SPDX-License-Identifier: Apache-2.0 */
/* hub/fsck.c - everything stored, read again and compared with what its names promise.
 *
 *   blobs  SHA-256 of every byte                      xorbs  every chunk decoded and hashed, the
 * root, files  both hashes of what the chunks give                and the row that lists them
 *   links, refs  (fsck_rows.c)
 *
 * For:     `snug fsck`.
 * Owns:    nothing; with `repair`, rows that follow from bytes and refs are written anew.
 * Threads: beside a running server: before something is called damaged its row is asked for again,
 *          for it may have been removed while it was read.
 * Truth:   bytes are never changed. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "hub/fsck_int.h"

enum { PAGE = 64, PIECE = 1 << 20 };

void fsck_tell(fsck *f, const char *kind, snug_slice name, bool derived, bool repaired,
               const char *fmt, ...)
{
    char    text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    if (repaired)
        f->r->repaired++;
    else
        f->r->damaged++;
    hub_fsck_item item = {.kind = kind,
                          .name = name,
                          .text = snug_str(text),
                          .repaired = repaired,
                          .derived = derived};
    if (f->o->item != NULL) f->o->item(f->o->arg, &item);
}

void fsck_progress(fsck *f, const char *what, uint64_t done)
{
    if (f->o->progress != NULL) f->o->progress(f->o->arg, what, done);
}

snug_status fsck_go_on(const fsck *f, snug_err *err)
{
    if (f->o->stop == NULL || !f->o->stop(f->o->arg)) return SNUG_OK;
    return snug_fail(err, SNUG_ECANCELED, "stopped");
}

/* ---- blobs ---- */

typedef struct blob_walk {
    fsck       *f;
    snug_err   *err;
    snug_status st;
    hub_set    *xorbs; /* blobs of xorbs: read by the other step */
} blob_walk;

static bool see_blob(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms)
{
    blob_walk *w = arg;
    char       hex[65];
    snug_err   err = {0};
    (void)mtime_ms;

    w->st = fsck_go_on(w->f, w->err);
    if (w->st != SNUG_OK) return false;
    if (hub_set_has(w->xorbs, id, NULL)) return true;
    w->f->r->blobs++;
    fsck_progress(w->f, "blobs", w->f->r->blobs);
    if (w->f->o->quick) return true;
    blob_id_hex(id, hex);
    snug_status st = blob_verify(w->f->h->blobs, id, &err);
    w->f->r->bytes_read += size;
    if (st != SNUG_OK && blob_exists(w->f->h->blobs, id, NULL))
        fsck_tell(w->f, "blob", snug_str(hex), false, false, "%s", err.msg);
    return true;
}

static snug_status check_blobs(fsck *f, hub_set *xorbs, snug_err *err)
{
    blob_walk   w = {.f = f, .err = err, .xorbs = xorbs};
    snug_status st = blob_each(f->h->blobs, see_blob, &w, err);
    return st == SNUG_OK ? w.st : st;
}

/* ---- xorbs ---- */

/* Reads all records and both hashes. */
static snug_status read_xorb(fsck *f, const blob_id *blob, uint64_t size, const xet_hash *name,
                             snug_arena *a, xet_xorb *out, snug_err *err)
{
    snug_status    st = SNUG_OK;
    xet_checker   *check = xet_checker_new(NULL, NULL);
    snug_hasher   *sha = snug_hasher_new(SNUG_HASH_SHA256);
    unsigned char *buf = snug_alloc(PIECE);
    snug_sha256    got;

    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        SNUG_TRY(blob_read_at(f->h->blobs, blob, at, buf, n, err));
        snug_hasher_update(sha, buf, n);
        SNUG_TRY(xet_checker_feed(check, snug_slice_of(buf, n), err));
        at += n;
    }
    SNUG_TRY(xet_checker_finish(check, a, name, out, err));
    snug_hasher_finish(sha, got.b);
    if (memcmp(&got, &blob->sha256, sizeof got) != 0)
        SNUG_FAIL(err, SNUG_ECORRUPT, "its records have another SHA-256 than their name");
done:
    free(buf);
    snug_hasher_free(sha);
    xet_checker_free(check);
    return st;
}

static snug_status still_there(fsck *f, snug_slice hash, bool *yes, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_xorb  row;
    snug_status st = db_begin(f->h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_find_xorb(tx, a, hash, &row, yes, err);
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status rewrite_index(fsck *f, const store_xorb *row, const xet_xorb *x, snug_arena *a,
                                 snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    xet_hash    name = x->hash;
    SNUG_TRY(db_begin(f->h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_xorb_index(tx, row->id, hub_pack_chunks(a, x), x->body_size,
                                  x->chunks[x->count - 1].raw_end, err));
    st = db_end(tx, true, err);
    tx = NULL;
    hub_xorb_forget(f->h, &name);
done:
    db_rollback(tx);
    return st;
}

/* The row against the bytes. */
static snug_status compare_row(fsck *f, const store_xorb *row, const xet_xorb *x, snug_arena *a,
                               snug_err *err)
{
    snug_slice packed = hub_pack_chunks(a, x);
    bool       same = snug_eq(packed, row->chunks) && row->stored_size == x->body_size &&
                row->raw_size == x->chunks[x->count - 1].raw_end;
    if (same) return SNUG_OK;
    snug_status st = f->o->repair ? rewrite_index(f, row, x, a, err) : SNUG_OK;
    if (st == SNUG_OK)
        fsck_tell(f, "index", row->hash, true, f->o->repair,
                  "the row of the xorb lists other chunks than its bytes hold");
    return st;
}

static snug_status check_xorb(fsck *f, const store_xorb *row, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    xet_hash    name;
    xet_xorb    x;
    blob_id     blob;
    uint64_t    size;
    bool        there;
    snug_err    why = {0};

    SNUG_TRY(fsck_go_on(f, err));
    f->r->xorbs++;
    fsck_progress(f, "xorbs", f->r->xorbs);
    if (!xet_hash_parse(row->hash, &name) || !blob_id_parse(row->blob, &blob)) {
        fsck_tell(f, "xorb", row->hash, false, false, "its row is damaged");
        goto done;
    }
    if (!blob_exists(f->h->blobs, &blob, &size)) {
        SNUG_TRY(still_there(f, row->hash, &there, err));
        if (there)
            fsck_tell(f, "xorb", row->hash, false, false, "its bytes are missing (blob %.*s)",
                      SNUG_SLICE(row->blob));
        goto done;
    }
    if (f->o->quick) goto done;
    f->r->bytes_read += size;
    if (read_xorb(f, &blob, size, &name, a, &x, &why) == SNUG_OK) {
        SNUG_TRY(compare_row(f, row, &x, a, err));
        goto done;
    }
    SNUG_TRY(still_there(f, row->hash, &there, err));
    if (there)
        fsck_tell(f, "xorb", row->hash, false, false, "%s (blob %.*s)", why.msg,
                  SNUG_SLICE(row->blob));
done:
    snug_arena_free(a);
    return st;
}

static snug_status check_xorbs(fsck *f, hub_set *blobs, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_xorb *rows = NULL;
        n = 0;
        st = db_begin(f->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_xorbs(tx, a, after, PAGE, true, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            blob_id blob;
            bool    fresh;
            if (blob_id_parse(rows[i].blob, &blob)) (void)hub_set_add(blobs, &blob, &fresh);
            st = check_xorb(f, &rows[i], err);
            after = rows[i].id;
        }
        snug_arena_free(a);
    }
    return st;
}

/* ---- files ---- */

/* The name that the chunks listed for the xorbs give. */
static snug_status name_of_terms(fsck *f, const xet_term *terms, size_t n, uint64_t *size,
                                 xet_hash *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_merkle *tree = xet_merkle_new();
    hub_xorb   *x = NULL;

    *size = 0;
    *out = (xet_hash){{0}};
    for (size_t i = 0; i < n; i++) {
        hub_xorb_unref(x);
        x = NULL;
        SNUG_TRY(hub_xorb_get(f->h, &terms[i].xorb, &x, err));
        if (terms[i].start >= terms[i].end || terms[i].end > x->x.count)
            SNUG_FAIL(err, SNUG_ECORRUPT, "it names chunks that do not exist");
        uint64_t raw = 0;
        for (uint32_t k = terms[i].start; k < terms[i].end; k++) {
            xet_merkle_add(tree, &x->x.chunks[k].hash, x->x.chunks[k].raw_size);
            raw += x->x.chunks[k].raw_size;
        }
        if (raw != terms[i].raw_size)
            SNUG_FAIL(err, SNUG_ECORRUPT, "the sizes of its parts do not add up");
        *size += raw;
    }
    xet_hash root = xet_merkle_finish(tree);
    tree = NULL;
    if (n > 0) *out = xet_file_hash_of_root(&root);
done:
    hub_xorb_unref(x);
    if (tree != NULL) (void)xet_merkle_finish(tree);
    return st;
}

static snug_status hash_file(fsck *f, xet_term *terms, size_t n, uint64_t size, snug_sha256 *out,
                             snug_err *err)
{
    snug_status  st = SNUG_OK;
    hub_object   o = {.size = size, .is_xet = true, .terms = terms, .term_count = n};
    hub_reader  *r = hub_reader_new(f->h, &o, 0, size);
    snug_hasher *sha = snug_hasher_new(SNUG_HASH_SHA256);
    snug_slice   piece;
    do {
        SNUG_TRY(hub_reader_next(r, &piece, err));
        snug_hasher_update(sha, piece.ptr, piece.len);
    } while (piece.len > 0);
    snug_hasher_finish(sha, out->b);
    f->r->bytes_read += size;
done:
    snug_hasher_free(sha);
    hub_reader_free(r);
    return st;
}

/* SNUG_ECORRUPT and others: what is wrong with it. */
static snug_status verify_file(fsck *f, const store_xet_file *row, snug_arena *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_term   *terms;
    size_t      n;
    uint64_t    size;
    xet_hash    name;
    snug_sha256 sha;
    char        text[65];

    SNUG_TRY(hub_unpack_terms(a, row->terms, &terms, &n, err));
    SNUG_TRY(name_of_terms(f, terms, n, &size, &name, err));
    xet_hash_text(&name, text);
    if (!snug_eq_str(row->hash, text))
        SNUG_FAIL(err, SNUG_ECORRUPT, "its chunks make the file %s", text);
    if (size != row->size)
        SNUG_FAIL(err, SNUG_ECORRUPT, "its chunks have %" PRIu64 " bytes and not %" PRIu64, size,
                  row->size);
    if (f->o->quick) goto done;
    SNUG_TRY(hash_file(f, terms, n, size, &sha, err));
    snug_hex(sha.b, sizeof sha.b, text);
    if (!snug_eq_str(row->sha256, text))
        SNUG_FAIL(err, SNUG_ECORRUPT, "its chunks give bytes of SHA-256 %s and not %.*s", text,
                  SNUG_SLICE(row->sha256));
done:
    return st;
}

/* A damaged layout of a file that is also stored whole and sound can go: the file is cut anew. */
static snug_status drop_layout(fsck *f, const store_xet_file *row, bool *dropped, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    blob_id     id;

    *dropped = false;
    if (!f->o->repair || !blob_id_parse(row->sha256, &id) ||
        blob_verify(f->h->blobs, &id, NULL) != SNUG_OK)
        goto done;
    SNUG_TRY(db_begin(f->h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_delete_layout(tx, row->id, err));
    st = db_end(tx, true, err);
    tx = NULL;
    *dropped = st == SNUG_OK;
done:
    db_rollback(tx);
    return st;
}

static snug_status check_file(fsck *f, const store_xet_file *row, snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    db_txn      *tx = NULL;
    store_layout again;
    bool         there, dropped;
    snug_err     why = {0};

    SNUG_TRY(fsck_go_on(f, err));
    f->r->files++;
    fsck_progress(f, "files", f->r->files);
    if (verify_file(f, row, a, &why) == SNUG_OK) goto done;
    SNUG_TRY(db_begin(f->h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_layout(tx, a, row->id, &again, &there, err));
    db_rollback(tx);
    tx = NULL;
    if (!there) goto done;
    SNUG_TRY(drop_layout(f, row, &dropped, err));
    fsck_tell(f, "file", row->hash, dropped, dropped, "%s (SHA-256 %.*s)", why.msg,
              SNUG_SLICE(row->sha256));
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status check_files(fsck *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena   *a = snug_arena_new();
        db_txn       *tx = NULL;
        store_layout *rows = NULL;
        n = 0;
        st = db_begin(f->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_layouts(tx, a, after, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = check_file(f, &rows[i].file, err);
            after = rows[i].file.id;
        }
        snug_arena_free(a);
    }
    return st;
}

snug_status hub_fsck(hub *h, const hub_fsck_opts *o, hub_fsck_report *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_set    *xorb_blobs = hub_set_new();
    fsck        f = {.h = h, .o = o, .r = out};

    *out = (hub_fsck_report){0};
    if (h->read_only && o->repair) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(check_xorbs(&f, xorb_blobs, err)); /* first: their rows are read by the rest */
    SNUG_TRY(check_blobs(&f, xorb_blobs, err));
    SNUG_TRY(check_files(&f, err));
    SNUG_TRY(fsck_rows(&f, err));
done:
    hub_set_free(xorb_blobs);
    return st;
}
