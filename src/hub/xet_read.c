/* SPDX-License-Identifier: Apache-2.0 */
/* hub/xet_read.c - the bytes of an object, in whichever form it is stored.
 *
 * For:     api/ (resolve, LFS, reconstructions), xet_shard.c (to hash what it registers).
 * Owns:    two buffers per reader: memory does not grow with the file.
 * Threads: a reader belongs to one thread at a time.
 * Truth:   stored whole or in chunks, the bytes and the SHA-256 are the same. */
#include "hub/hub_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { STORED_PIECE = 512 << 10, RAW_PIECE = 1 << 20 };

/* ---- finding ---- */

static snug_status fill_xet(hub_object *o, snug_arena *a, const store_xet_file *f, snug_err *err)
{
    o->is_xet = true;
    o->size = f->size;
    if (!xet_hash_parse(f->hash, &o->file))
        return snug_fail(err, SNUG_ECORRUPT, "the row of a file is damaged");
    return hub_unpack_terms(a, f->terms, &o->terms, &o->term_count, err);
}

static snug_status find_object(hub *h, int64_t repo_row, const blob_id *oid, snug_arena *a,
                               hub_object *out, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_xet_file f;
    uint64_t       linked;
    bool           may = false, found = false, shown = false;
    char           hex[65];

    *out = (hub_object){.oid = *oid};
    blob_id_hex(oid, hex);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_has_lfs(tx, a, repo_row, snug_str(hex), &linked, &may, err));
    if (may)
        SNUG_TRY(store_find_xet_sha256(tx, a, repo_row, snug_str(hex), &f, &found, &shown, err));
    db_rollback(tx);
    tx = NULL;
    if (found) SNUG_TRY(fill_xet(out, a, &f, err));
    out->is_named = shown;
    if (may) out->is_blob = blob_exists(h->blobs, oid, &out->size);
    if (!out->is_blob && !out->is_xet)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "the object %s is not stored here", hex);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_find_object(hub *h, int64_t repo_row, const blob_id *oid, snug_arena *a,
                            hub_object *out, snug_err *err)
{
    snug_status st = find_object(h, repo_row, oid, a, out, err);
    if (st != SNUG_ENOTFOUND) return st;
    snug_err_clear(err); /* it may have changed its form between the two looks */
    return find_object(h, repo_row, oid, a, out, err);
}

bool hub_find_xet_hash(hub *h, int64_t repo_row, const blob_id *oid, xet_hash *out)
{
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    snug_slice  text;
    bool        found = false;
    snug_err    err = {0};
    char        hex[65];

    blob_id_hex(oid, hex);
    snug_status st = db_begin(h->db, DB_READ, &tx, &err);
    if (st == SNUG_OK) st = store_xet_hash_in(tx, a, repo_row, snug_str(hex), &text, &found, &err);
    db_rollback(tx);
    if (st != SNUG_OK) snug_log_err(SNUG_ERROR, "hub.xet_hash", &err);
    found = st == SNUG_OK && found && xet_hash_parse(text, out);
    snug_arena_free(a);
    return found;
}

/* ---- reading ---- */

struct hub_reader {
    hub           *h;
    hub_object     o;
    uint64_t       at, end; /* the next byte to give, and where to stop */
    size_t         term;    /* the next one to open */
    uint64_t       term_at; /* where in the file that one begins */
    hub_xorb      *x;       /* of the open term; NULL: none is */
    uint32_t       chunk, chunk_end;
    uint64_t       chunk_at; /* where in the file `chunk` begins */
    int            fd;
    unsigned char *stored, *raw;
};

static void take_terms(hub_reader *r, const xet_term *terms, size_t n)
{
    if (n == 0) return;
    r->o.terms = snug_alloc(n * sizeof *terms);
    memcpy(r->o.terms, terms, n * sizeof *terms);
    r->o.term_count = n;
    r->stored = snug_alloc(STORED_PIECE);
}

hub_reader *hub_reader_new(hub *h, const hub_object *o, uint64_t first, uint64_t len)
{
    hub_reader *r = snug_zalloc(sizeof *r);
    r->h = h;
    r->o = *o;
    r->fd = -1;
    r->o.terms = NULL;
    r->o.term_count = 0;
    if (!o->is_blob) take_terms(r, o->terms, o->term_count);
    r->at = first < o->size ? first : o->size;
    r->end = len < o->size - r->at ? r->at + len : o->size;
    r->raw = snug_alloc(RAW_PIECE);
    return r;
}

static void close_term(hub_reader *r)
{
    hub_xorb_unref(r->x);
    r->x = NULL;
    if (r->fd >= 0) (void)close(r->fd);
    r->fd = -1;
}

void hub_reader_free(hub_reader *r)
{
    if (r == NULL) return;
    close_term(r);
    free(r->o.terms);
    free(r->stored);
    free(r->raw);
    free(r);
}

/* The whole copy went while we were on our way to it, because the file is kept in chunks now: go on
 * with those. */
static snug_status switch_over(hub_reader *r, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    db_txn        *tx = NULL;
    store_xet_file f;
    hub_object     o = {.oid = r->o.oid};
    bool           found;
    char           hex[65];

    blob_id_hex(&r->o.oid, hex);
    SNUG_TRY(db_begin(r->h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_content(tx, a, snug_str(hex), &f, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_ENOTFOUND, "the object %s is not stored here", hex);
    SNUG_TRY(fill_xet(&o, a, &f, err));
    if (o.size != r->o.size) SNUG_FAIL(err, SNUG_ECORRUPT, "the row of a file is damaged");
    r->o.is_blob = false;
    take_terms(r, o.terms, o.term_count);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status read_blob(hub_reader *r, snug_slice *piece, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = r->end - r->at < RAW_PIECE ? (size_t)(r->end - r->at) : RAW_PIECE;
    if (r->fd >= 0)
        SNUG_TRY(snug_pread_all(r->fd, r->raw, n, r->at, err));
    else
        SNUG_TRY(blob_read_at(r->h->blobs, &r->o.oid, r->at, r->raw, n, err));
    r->at += n;
    *piece = snug_slice_of(r->raw, n);
done:
    return st;
}

static uint32_t stored_start(const xet_xorb *x, uint32_t chunk)
{
    return chunk == 0 ? 0 : x->chunks[chunk - 1].stored_end;
}

/* Opens the term that holds byte `at`, and goes to the chunk that does. */
static snug_status open_term(hub_reader *r, snug_err *err)
{
    snug_status st = SNUG_OK;
    close_term(r);
    while (r->term < r->o.term_count && r->term_at + r->o.terms[r->term].raw_size <= r->at)
        r->term_at += r->o.terms[r->term++].raw_size;
    if (r->term == r->o.term_count)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the parts of a file end before it does");
    const xet_term *t = &r->o.terms[r->term++];
    SNUG_TRY(hub_xorb_get(r->h, &t->xorb, &r->x, err));
    if (t->start >= t->end || t->end > r->x->x.count)
        SNUG_FAIL(err, SNUG_ECORRUPT, "a file names chunks that do not exist");
    r->chunk = t->start;
    r->chunk_end = t->end;
    r->chunk_at = r->term_at;
    r->term_at += t->raw_size;
    while (r->chunk < r->chunk_end && r->chunk_at + r->x->x.chunks[r->chunk].raw_size <= r->at)
        r->chunk_at += r->x->x.chunks[r->chunk++].raw_size;
    if (r->chunk == r->chunk_end)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the sizes of a file's parts do not add up");
    r->fd = blob_open_fd(r->h->blobs, &r->x->blob);
done:
    return st;
}

/* How many of the coming chunks to fetch at once. */
static uint32_t plan_piece(const hub_reader *r)
{
    const xet_xorb *x = &r->x->x;
    uint32_t        n = 0, from = stored_start(x, r->chunk), raw = 0;
    uint64_t        at = r->chunk_at;
    for (uint32_t i = r->chunk; i < r->chunk_end && at < r->end; i++, n++) {
        raw += x->chunks[i].raw_size;
        if (n > 0 && (x->chunks[i].stored_end - from > STORED_PIECE || raw > RAW_PIECE)) break;
        at += x->chunks[i].raw_size;
    }
    return n;
}

/* Decodes `count` chunks into raw; *size is what they hold. */
static snug_status decode_piece(hub_reader *r, uint32_t count, size_t *size, snug_err *err)
{
    snug_status     st = SNUG_OK;
    const xet_xorb *x = &r->x->x;
    uint32_t   from = stored_start(x, r->chunk), to = x->chunks[r->chunk + count - 1].stored_end;
    snug_slice rest = snug_slice_of(r->stored, to - from);

    *size = 0;
    if (to - from > STORED_PIECE) SNUG_FAIL(err, SNUG_ECORRUPT, "the index of a xorb is damaged");
    if (r->fd >= 0)
        SNUG_TRY(snug_pread_all(r->fd, r->stored, to - from, from, err));
    else
        SNUG_TRY(blob_read_at(r->h->blobs, &r->x->blob, from, r->stored, to - from, err));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t raw, stored;
        SNUG_TRY(xet_record_decode(rest, r->raw + *size, &raw, &stored, err));
        if (raw != x->chunks[r->chunk + i].raw_size)
            SNUG_FAIL(err, SNUG_ECORRUPT, "a stored chunk is damaged");
        *size += raw;
        rest = snug_sub(rest, stored, rest.len);
    }
done:
    return st;
}

static snug_status read_chunks(hub_reader *r, snug_slice *piece, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      size;

    if (r->x == NULL || r->chunk == r->chunk_end) SNUG_TRY(open_term(r, err));
    uint32_t count = plan_piece(r);
    SNUG_TRY(decode_piece(r, count, &size, err));
    size_t   skip = (size_t)(r->at - r->chunk_at);
    uint64_t stop = r->chunk_at + size < r->end ? r->chunk_at + size : r->end;
    *piece = snug_slice_of(r->raw + skip, (size_t)(stop - r->at));
    r->chunk += count;
    r->chunk_at += size;
    r->at = stop;
done:
    return st;
}

snug_status hub_reader_next(hub_reader *r, snug_slice *piece, snug_err *err)
{
    *piece = SNUG_EMPTY;
    if (r->at == r->end) return SNUG_OK;
    if (r->o.is_blob && r->fd < 0) {
        r->fd = blob_open_fd(r->h->blobs, &r->o.oid);
        if (r->fd < 0 && !blob_exists(r->h->blobs, &r->o.oid, NULL)) {
            snug_status st = switch_over(r, err);
            if (st != SNUG_OK) return st;
        }
    }
    return r->o.is_blob ? read_blob(r, piece, err) : read_chunks(r, piece, err);
}

snug_status hub_read_object(hub *h, const hub_object *o, uint64_t off, void *buf, size_t n,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  piece;
    char       *p = buf;
    if (off > o->size || n > o->size - off)
        return snug_fail(err, SNUG_ERANGE, "the object has only %" PRIu64 " bytes", o->size);
    hub_reader *r = hub_reader_new(h, o, off, n);
    for (size_t got = 0; got < n; got += piece.len) {
        SNUG_TRY(hub_reader_next(r, &piece, err));
        memcpy(p + got, piece.ptr, piece.len);
    }
done:
    hub_reader_free(r);
    return st;
}

/* ---- planning what a client fetches itself ---- */

typedef struct finder {
    hub      *h;
    hub_xorb *last; /* what was found last stays until the next one */
    snug_err  err;
} finder;

static const xet_xorb *find_for_plan(void *arg, const xet_hash *name)
{
    finder *f = arg;
    if (f->last != NULL && xet_hash_eq(&f->last->x.hash, name)) return &f->last->x;
    hub_xorb_unref(f->last);
    f->last = NULL;
    if (hub_xorb_get(f->h, name, &f->last, &f->err) != SNUG_OK) {
        snug_log_err(SNUG_ERROR, "hub.plan", &f->err);
        return NULL;
    }
    return &f->last->x;
}

snug_status hub_plan_file(hub *h, const hub_ticket *t, const xet_hash *file, uint64_t first,
                          uint64_t last, snug_arena *a, xet_plan *out, uint64_t *size,
                          snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_xet_file f;
    uint64_t       linked;
    bool           found = false, may = false;
    char           text[65];
    hub_object     o = {.size = 0};
    finder         find = {.h = h};

    xet_hash_text(file, text);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_xet_file_in(tx, a, t->repo_row, snug_str(text), &f, &found, err));
    if (found) SNUG_TRY(store_has_lfs(tx, a, t->repo_row, f.sha256, &linked, &may, err));
    db_rollback(tx);
    tx = NULL;
    if (!may) SNUG_FAIL(err, SNUG_ENOTFOUND, "no file %s in this repository", text);
    SNUG_TRY(fill_xet(&o, a, &f, err));
    *size = o.size;
    *out = (xet_plan){.length = 0};
    if (first > 0 && first >= o.size)
        SNUG_FAIL(err, SNUG_ERANGE, "the file has only %" PRIu64 " bytes", o.size);
    if (o.size > 0)
        SNUG_TRY(
            xet_plan_range(a, o.terms, o.term_count, first, last, find_for_plan, &find, out, err));
done:
    hub_xorb_unref(find.last);
    db_rollback(tx);
    return st;
}
