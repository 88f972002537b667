/* SPDX-License-Identifier: Apache-2.0 */
/* hub/chunk.c - a file that came whole is cut into chunks, and stored as those.
 *
 *   read ─▶ cut ─▶ hash ─▶ known? ─▶ a term that names where it is
 *                             └ new ─▶ the xorb being filled ─▶ blob, row (64 MiB each)
 *   SHA-256 right? ─▶ read all of it back from the xorbs ─▶ right? ─▶ layout row ─▶ drop the whole
 *
 * For:     work/xet_chunk.c; it does not matter by which door the file came.
 * Owns:    one xorb in memory, and a table of chunks known of: memory does not grow with the file.
 * Threads: one at a time for an object is enough; two do no harm.
 * Truth:   before the layout's row nothing is changed for anybody. A kill leaves xorbs that the
 * next run finds and uses. The whole copy goes last, after the bytes were read back. */
#include <inttypes.h>
#include <stdlib.h>

#include "hub/hub_int.h"

enum {
    READ_PIECE = 1 << 20,
    KNOWN_XORBS_MAX = 256, /* then the table begins anew */
    KNOWN_MAX = 1 << 18,   /* chunks: about 10 MB */
    OURS = UINT32_MAX,     /* "in the xorb being filled" */
    TURN_WAIT_MS = 10000,
    DUE_MS = 2000 /* an upload's commit comes first */
};

typedef struct place {
    uint32_t xorb, chunk; /* in known[]; OURS */
} place;

typedef struct cutter {
    hub         *h;
    blob_id      oid;
    char         hex[65];
    snug_arena  *a;
    hub_stop    *stop;
    void        *arg;
    hub_chunked *out;

    xet_chunker    cut;
    unsigned char *chunk; /* XET_CHUNK_MAX */
    size_t         used;
    xet_merkle    *tree;
    snug_hasher   *sha;
    xet_hash       first; /* chunk of the file */
    uint64_t       size;

    uint32_t  last_xorb; /* of the chunk before */
    xet_runs  runs;
    xet_term *terms; /* heap; a zero xorb hash: in the one being filled */
    size_t    count, cap;

    snug_buf        body; /* of the xorb being filled */
    xet_xorb_chunk *chunks;
    uint32_t        filled, raw;
    bool           *starts;    /* of the xorb's chunks: a run of new ones begins here */
    bool            was_known; /* the chunk before */

    hub_set  *names; /* of chunks known of; places[number] */
    place    *places;
    hub_xorb *known[KNOWN_XORBS_MAX];
    uint32_t  known_count;
} cutter;

/* ---- what is known ---- */

static void note_chunk(cutter *c, const xet_hash *h, uint32_t xorb, uint32_t chunk)
{
    bool     fresh;
    uint32_t n = hub_set_add(c->names, h, &fresh);
    if (fresh) c->places[n] = (place){xorb, chunk};
}

static void forget_all(cutter *c)
{
    hub_set_free(c->names);
    c->names = hub_set_new();
    for (uint32_t i = 0; i < c->known_count; i++) hub_xorb_unref(c->known[i]);
    c->known_count = 0;
    for (uint32_t i = 0; i < c->filled; i++) note_chunk(c, &c->chunks[i].hash, OURS, i);
}

static void note_xorb(cutter *c, hub_xorb *x_owned)
{
    if (c->known_count == KNOWN_XORBS_MAX || hub_set_count(c->names) + x_owned->x.count > KNOWN_MAX)
        forget_all(c);
    c->known[c->known_count] = x_owned;
    for (uint32_t i = 0; i < x_owned->x.count; i++)
        note_chunk(c, &x_owned->x.chunks[i].hash, c->known_count, i);
    c->known_count++;
}

static snug_status try_place(cutter *c, const store_lookup *at, const xet_hash *chunk, bool *found,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_hash    name;
    hub_xorb   *x = NULL;

    if (!xet_hash_parse(at->xorb_hash, &name)) goto done;
    st = hub_xorb_get(c->h, &name, &x, err);
    if (st == SNUG_ENOTFOUND) { /* collected a moment ago */
        snug_err_clear(err);
        st = SNUG_OK;
        goto done;
    }
    if (st != SNUG_OK) goto done;
    *found = at->chunk_index < x->x.count &&
             xet_hash_eq(&x->x.chunks[at->chunk_index].hash, chunk) &&
             blob_exists(c->h->blobs, &x->blob, NULL);
    if (!*found) goto done;
    SNUG_TRY(hub_keep_xorb(c->h, &name, err));
    note_xorb(c, x);
    x = NULL;
done:
    hub_xorb_unref(x);
    return st;
}

/* Asks the index; with one chunk come all others of its xorb. */
static snug_status ask_index(cutter *c, const xet_hash *chunk, bool *found, snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    db_txn      *tx = NULL;
    store_lookup at[STORE_LOOKUP_MAX];
    size_t       n = 0;

    *found = false;
    SNUG_TRY(db_begin(c->h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_shared(tx, a, hub_chunk_key(chunk), snug_str(c->hex), at, &n, err));
    db_rollback(tx);
    tx = NULL;
    for (size_t i = 0; i < n && !*found; i++) SNUG_TRY(try_place(c, &at[i], chunk, found, err));
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- terms ---- */

static xet_hash xorb_name(const cutter *c, uint32_t xorb)
{
    return xorb == OURS ? (xet_hash){{0}} : c->known[xorb]->x.hash;
}

static void add_term(cutter *c, place p, uint32_t size)
{
    xet_hash  name = xorb_name(c, p.xorb);
    xet_term *last = c->count == 0 ? NULL : &c->terms[c->count - 1];
    if (last != NULL && xet_hash_eq(&last->xorb, &name) && last->end == p.chunk &&
        last->raw_size <= UINT32_MAX - size) {
        last->end++;
        last->raw_size += size;
        return;
    }
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 64 : 2 * c->cap;
        c->terms = snug_realloc(c->terms, c->cap * sizeof *c->terms);
    }
    c->terms[c->count++] =
        (xet_term){.xorb = name, .start = p.chunk, .end = p.chunk + 1, .raw_size = size};
}

/* ---- the xorb being filled ---- */

static snug_status store_bytes(cutter *c, const xet_hash *name, blob_id *blob, snug_err *err)
{
    snug_status  st = SNUG_OK;
    blob_writer *w = NULL;
    bool         here;

    *blob = (blob_id){{{0}}};
    SNUG_TRY(hub_keep_xorb(c->h, name, err));
    SNUG_TRY(hub_xorb_is_stored(c->h, name, &here, err));
    if (here) goto done; /* by a run that was killed, or by somebody with the same file */
    SNUG_TRY(blob_put_begin(c->h->blobs, &w, err));
    st = blob_put_write(w, c->body.ptr, c->body.len, err);
    if (st != SNUG_OK) {
        blob_put_abort(w);
        goto done;
    }
    SNUG_TRY(hub_name_blob(c->h, w, NULL, c->body.len, blob, err));
    c->out->stored += c->body.len;
done:
    return st;
}

static snug_status add_lookups(cutter *c, db_txn *tx, int64_t id, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (uint32_t i = 0; i < c->filled && st == SNUG_OK; i++) {
        const xet_hash *name = &c->chunks[i].hash;
        if (hub_chunk_is_indexed(name) || c->starts[i])
            st = store_add_lookup(tx, hub_chunk_key(name), id, i, SNUG_EMPTY, err);
    }
    return st;
}

static snug_status write_rows(cutter *c, const store_xorb *row, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    int64_t     id;

    HUB_FAULT("chunk.xorb", err, st);
    SNUG_TRY(db_begin(c->h->db, DB_WRITE, &tx, err));
    SNUG_TRY(hub_put_xorb_row(c->h, tx, row, &id, err));
    SNUG_TRY(store_share_xorb(tx, id, snug_str(c->hex), row->created_ms, err));
    SNUG_TRY(add_lookups(c, tx, id, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

/* Terms that said "the one being filled" learn its name; so does the table. */
static snug_status settle(cutter *c, const xet_hash *name, snug_err *err)
{
    hub_xorb   *x;
    snug_status st = hub_xorb_get(c->h, name, &x, err);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; i < c->count; i++)
        if (xet_hash_is_zero(&c->terms[i].xorb)) c->terms[i].xorb = *name;
    c->filled = c->raw = 0;
    snug_buf_clear(&c->body);
    if (c->known_count == KNOWN_XORBS_MAX) {
        forget_all(c);
    } else {
        size_t n = hub_set_count(c->names);
        for (size_t i = 0; i < n; i++)
            if (c->places[i].xorb == OURS) c->places[i].xorb = c->known_count;
    }
    c->known[c->known_count++] = x;
    return SNUG_OK;
}

static snug_status flush_xorb(cutter *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        hash[65], hex[65];
    blob_id     blob;

    if (c->filled == 0) return SNUG_OK;
    xet_leaf *leaves = snug_alloc(c->filled * sizeof *leaves);
    for (uint32_t i = 0; i < c->filled; i++)
        leaves[i] = (xet_leaf){c->chunks[i].hash, c->chunks[i].raw_size};
    xet_xorb x = {xet_merkle_root(leaves, c->filled), c->chunks, c->filled, (uint32_t)c->body.len};
    free(leaves);
    SNUG_TRY(snug_buf_check(&c->body, "a xorb", err));
    SNUG_TRY(store_bytes(c, &x.hash, &blob, err));
    xet_hash_text(&x.hash, hash);
    blob_id_hex(&blob, hex);
    store_xorb row = {.hash = snug_str(hash),
                      .blob = snug_str(hex),
                      .stored_size = c->body.len,
                      .raw_size = c->raw,
                      .created_ms = snug_now_ms(),
                      .chunks = hub_pack_chunks(c->a, &x)};
    SNUG_TRY(write_rows(c, &row, err));
    SNUG_TRY(settle(c, &x.hash, err));
done:
    return st;
}

static snug_status append_chunk(cutter *c, const xet_hash *h, place *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (c->filled == XET_XORB_CHUNKS_MAX || c->raw + c->used > XET_XORB_RAW_MAX)
        SNUG_TRY(flush_xorb(c, err));
    if (hub_set_count(c->names) >= KNOWN_MAX) forget_all(c);
    xet_record_put(&c->body, snug_slice_of(c->chunk, c->used));
    c->raw += (uint32_t)c->used;
    c->chunks[c->filled] = (xet_xorb_chunk){*h, (uint32_t)c->used, c->raw, (uint32_t)c->body.len};
    *out = (place){OURS, c->filled};
    c->starts[c->filled] = c->was_known;
    note_chunk(c, h, OURS, c->filled++);
done:
    return st;
}

/* ---- chunks ---- */

static snug_status end_chunk(cutter *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_hash    h = xet_chunk_hash(snug_slice_of(c->chunk, c->used));
    uint32_t    n;
    bool        known = hub_set_has(c->names, &h, &n);
    place       p;

    if (c->out->chunks == 0) c->first = h;
    /* Where a file begins to differ from what is known, others may have differed the same way. */
    if (!known && (c->out->chunks == 0 || c->was_known || hub_chunk_is_indexed(&h))) {
        SNUG_TRY(ask_index(c, &h, &known, err));
        if (known) known = hub_set_has(c->names, &h, &n);
    }
    if (known) p = c->places[n];
    if (known && c->count > 0 && p.xorb != c->last_xorb) known = xet_runs_may_jump(&c->runs);
    if (!known) SNUG_TRY(append_chunk(c, &h, &p, err));
    xet_runs_add(&c->runs, c->count > 0 && p.xorb == c->last_xorb);
    c->last_xorb = p.xorb;
    add_term(c, p, (uint32_t)c->used);
    xet_merkle_add(c->tree, &h, c->used);
    c->out->chunks++;
    if (known) c->out->known++;
    c->was_known = known;
    c->size += c->used;
    c->used = 0;
done:
    return st;
}

static snug_status feed(cutter *c, snug_slice piece, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_hasher_update(c->sha, piece.ptr, piece.len);
    while (piece.len > 0) {
        bool   cut;
        size_t n = xet_chunker_next(&c->cut, piece.ptr, piece.len, &cut);
        SNUG_ASSERT(c->used + n <= XET_CHUNK_MAX);
        memcpy(c->chunk + c->used, piece.ptr, n);
        c->used += n;
        piece = snug_sub(piece, n, piece.len);
        if (cut) SNUG_TRY(end_chunk(c, err));
    }
done:
    return st;
}

static snug_status may_go_on(const cutter *c, snug_err *err)
{
    if (c->stop == NULL || !c->stop(c->arg)) return SNUG_OK;
    return snug_fail(err, SNUG_EBUSY, "stopped while chunking %s", c->hex);
}

static snug_status cut_all(cutter *c, uint64_t size, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_object  o = {.oid = c->oid, .size = size, .is_blob = true};
    hub_reader *r = hub_reader_new(c->h, &o, 0, size);
    snug_sha256 sha;
    snug_slice  piece;

    for (;;) {
        SNUG_TRY(may_go_on(c, err));
        SNUG_TRY(hub_reader_next(r, &piece, err));
        if (piece.len == 0) break;
        SNUG_TRY(feed(c, piece, err));
    }
    if (c->used > 0) SNUG_TRY(end_chunk(c, err));
    snug_hasher_finish(c->sha, sha.b);
    if (memcmp(&sha, &c->oid.sha256, sizeof sha) != 0)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the stored bytes of %s are damaged", c->hex);
    SNUG_TRY(flush_xorb(c, err));
done:
    hub_reader_free(r);
    return st;
}

/* ---- proof ---- */

/* Reads the file back through its chunks and compares the SHA-256. */
static snug_status read_back(cutter *c, const xet_term *terms, size_t n, uint64_t size,
                             snug_err *err)
{
    snug_status  st = SNUG_OK;
    hub_object   o = {.oid = c->oid, .size = size, .is_xet = true, .term_count = n};
    snug_hasher *sha = snug_hasher_new(SNUG_HASH_SHA256);
    snug_sha256  got;
    snug_slice   piece;
    xet_term    *copy = snug_alloc((n + 1) * sizeof *copy);

    if (n > 0) memcpy(copy, terms, n * sizeof *copy);
    o.terms = copy;
    hub_reader *r = hub_reader_new(c->h, &o, 0, size);
    do {
        SNUG_TRY(may_go_on(c, err));
        SNUG_TRY(hub_reader_next(r, &piece, err));
        snug_hasher_update(sha, piece.ptr, piece.len);
    } while (piece.len > 0);
    snug_hasher_finish(sha, got.b);
    if (memcmp(&got, &c->oid.sha256, sizeof got) != 0)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the chunks of %s give other bytes", c->hex);
done:
    hub_reader_free(r);
    free(copy);
    snug_hasher_free(sha);
    return st;
}

static snug_status need_rows(cutter *c, db_txn *tx, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_xorb  row;
    bool        found;
    char        text[65];
    for (size_t i = 0; i < c->count; i++) {
        if (i > 0 && xet_hash_eq(&c->terms[i].xorb, &c->terms[i - 1].xorb)) continue;
        xet_hash_text(&c->terms[i].xorb, text);
        SNUG_TRY(store_find_xorb(tx, c->a, snug_str(text), &row, &found, err));
        if (!found) SNUG_FAIL(err, SNUG_EBUSY, "the xorb %s was removed; try again", text);
        if (i == 0)
            SNUG_TRY(store_add_lookup(tx, hub_chunk_key(&c->first), row.id, c->terms[0].start,
                                      SNUG_EMPTY, err));
    }
done:
    return st;
}

static snug_status write_layout(cutter *c, const xet_hash *name, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_xet_file have;
    bool           found;
    int64_t        id;
    char           text[65];

    HUB_FAULT("chunk.layout", err, st);
    xet_hash_text(name, text);
    store_xet_file row = {.hash = snug_str(text),
                          .sha256 = snug_str(c->hex),
                          .size = c->size,
                          .created_ms = snug_now_ms(),
                          .terms = hub_pack_terms(c->a, c->terms, c->count)};
    SNUG_TRY(db_begin(c->h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_content(tx, c->a, row.sha256, &have, &found, err));
    if (!found) {
        SNUG_TRY(need_rows(c, tx, err));
        SNUG_TRY(store_add_xet_file(tx, &row, &id, err));
        SNUG_TRY(store_show_layout(tx, id, row.sha256, err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

static cutter *cutter_new(hub *h, const blob_id *oid, hub_stop *stop, void *arg, hub_chunked *out)
{
    cutter *c = snug_zalloc(sizeof *c);
    *c = (cutter){.h = h, .oid = *oid, .stop = stop, .arg = arg, .out = out};
    blob_id_hex(oid, c->hex);
    c->a = snug_arena_new();
    c->chunk = snug_alloc(XET_CHUNK_MAX);
    c->tree = xet_merkle_new();
    c->sha = snug_hasher_new(SNUG_HASH_SHA256);
    c->body = snug_buf_init(XET_XORB_BODY_MAX);
    c->chunks = snug_alloc(XET_XORB_CHUNKS_MAX * sizeof *c->chunks);
    c->starts = snug_zalloc(XET_XORB_CHUNKS_MAX * sizeof *c->starts);
    c->places = snug_alloc((KNOWN_MAX + XET_XORB_CHUNKS_MAX) * sizeof *c->places);
    c->names = hub_set_new();
    return c;
}

static void cutter_free(cutter *c)
{
    for (uint32_t i = 0; i < c->known_count; i++) hub_xorb_unref(c->known[i]);
    if (c->tree != NULL) (void)xet_merkle_finish(c->tree);
    snug_hasher_free(c->sha);
    snug_buf_deinit(&c->body);
    hub_set_free(c->names);
    snug_arena_free(c->a);
    free(c->places);
    free(c->starts);
    free(c->chunks);
    free(c->chunk);
    free(c->terms);
    free(c);
}

/* *found: it is in chunks already, and those give the right bytes. */
static snug_status check_packed(cutter *c, bool *found, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_xet_file f;
    xet_term      *terms;
    size_t         n;

    SNUG_TRY(db_begin(c->h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_content(tx, c->a, snug_str(c->hex), &f, found, err));
    db_rollback(tx);
    tx = NULL;
    if (!*found) goto done;
    SNUG_TRY(hub_unpack_terms(c->a, f.terms, &terms, &n, err));
    SNUG_TRY(read_back(c, terms, n, f.size, err));
done:
    db_rollback(tx);
    return st;
}

static snug_status is_linked(cutter *c, bool *yes, snug_err *err)
{
    db_txn     *tx = NULL;
    bool        xorb;
    snug_status st = db_begin(c->h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_blob_used(tx, c->a, snug_str(c->hex), yes, &xorb, err);
    db_rollback(tx);
    return st;
}

/* Under a hold: what is found or made here is not collected before its row stands. */
static snug_status pack(cutter *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    size;
    bool        linked;
    xet_hash    name = {{0}};
    SNUG_AUTO(hub_hold) hold = {-1};

    SNUG_TRY(hub_hold_begin(c->h, &hold, err));
    SNUG_TRY(is_linked(c, &linked, err));
    if (!linked || !blob_exists(c->h->blobs, &c->oid, &size)) goto done;
    c->out->size = size;
    SNUG_TRY(check_packed(c, &c->out->packed, err));
    if (c->out->packed) goto done;
    SNUG_TRY(cut_all(c, size, err));
    xet_hash root = xet_merkle_finish(c->tree);
    c->tree = NULL;
    if (c->count > 0) name = xet_file_hash_of_root(&root);
    SNUG_TRY(read_back(c, c->terms, c->count, c->size, err));
    SNUG_TRY(write_layout(c, &name, err));
    c->out->packed = true;
done:
    return st;
}

snug_status hub_chunk_object(hub *h, const blob_id *oid, hub_stop *stop, void *arg,
                             hub_chunked *out, snug_err *err)
{
    *out = (hub_chunked){0};
    cutter     *c = cutter_new(h, oid, stop, arg, out);
    snug_status st = pack(c, err);
    cutter_free(c);
    if (st == SNUG_OK && out->packed) st = hub_drop_whole(h, oid, &out->dropped, err);
    if (out->dropped) hub_touch(h, NULL); /* listings may name it now */
    return st;
}

/* ---- the whole copy ---- */

static snug_status drop_if_packed(hub *h, const blob_id *oid, snug_slice hex, bool *gone,
                                  snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    db_txn        *tx = NULL;
    store_xet_file f;
    bool           found, was, linked, xorb;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_unmark(tx, STORE_MARK_BLOB, hex, &was, err));
    SNUG_TRY(store_find_content(tx, a, hex, &f, &found, err));
    SNUG_TRY(store_blob_used(tx, a, hex, &linked, &xorb, err));
    *gone = was && found && !xorb;
    HUB_FAULT("chunk.drop", err, st);
    if (*gone) SNUG_TRY(blob_remove(h->blobs, oid, err));
    HUB_FAULT("chunk.dropped", err, st);
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status mark_blob(hub *h, snug_slice hex, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_WRITE, &tx, err);
    if (st == SNUG_OK) st = store_put_mark(tx, STORE_MARK_BLOB, hex, snug_now_ms(), err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, err);
        tx = NULL;
    }
    db_rollback(tx);
    return st;
}

/* By the collector's rules, for somebody may be naming the same bytes for another reason. When it
 * cannot be had now, the copy stays until the next time. */
snug_status hub_drop_whole(hub *h, const blob_id *oid, bool *gone, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        hex[65];
    SNUG_AUTO(snug_fd) turn = {-1};

    *gone = false;
    blob_id_hex(oid, hex);
    SNUG_TRY(hub_collector_begin(h, &turn.fd, err));
    SNUG_TRY(mark_blob(h, snug_str(hex), err));
    SNUG_TRY(hub_collector_turn(turn.fd, TURN_WAIT_MS, err));
    SNUG_TRY(drop_if_packed(h, oid, snug_str(hex), gone, err));
done:
    return st;
}

/* ---- which ---- */

void     hub_set_chunk_min(hub *h, uint64_t size_min) { h->chunk_min = size_min; }
uint64_t hub_chunk_min(const hub *h) { return h->chunk_min; }

snug_status hub_queue_chunking(hub *h, db_txn *tx, snug_slice oid, uint64_t size, bool *added,
                               snug_err *err)
{
    char args[96];
    *added = h->chunk_min > 0 && size >= h->chunk_min;
    if (!*added) return SNUG_OK;
    (void)snprintf(args, sizeof args, "{\"oid\":\"%.*s\"}", SNUG_SLICE(oid));
    return store_add_job(tx, "xet-chunk", oid, snug_str(args), snug_now_ms() + DUE_MS, err);
}

snug_status hub_list_whole(hub *h, uint64_t size_min, blob_id *after, size_t limit, snug_arena *a,
                           blob_id **out, size_t *count, bool *more, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_link *links;
    size_t      n;
    char        hex[65];

    *count = 0;
    blob_id_hex(after, hex);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_walk_links(tx, a, snug_str(hex), INT64_MAX, limit, &links, &n, err));
    db_rollback(tx);
    tx = NULL;
    *out = snug_arena_alloc(a, (n + 1) * sizeof **out);
    for (size_t i = 0; i < n; i++) {
        blob_id id;
        if (!blob_id_parse(links[i].oid, &id)) continue;
        bool again = blob_id_eq(&id, after);
        *after = id;
        if (!again && links[i].size >= size_min && blob_exists(h->blobs, &id, NULL))
            (*out)[(*count)++] = id;
    }
    *more = n == limit;
done:
    db_rollback(tx);
    return st;
}

static snug_status queue_page(hub *h, const blob_id *ids, size_t n, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    char        hex[65], args[96];

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    for (size_t i = 0; i < n; i++) {
        blob_id_hex(&ids[i], hex);
        (void)snprintf(args, sizeof args, "{\"oid\":\"%s\"}", hex);
        SNUG_TRY(store_add_job(tx, "xet-chunk", snug_str(hex), snug_str(args), snug_now_ms(), err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_queue_whole(hub *h, uint64_t size_min, hub_stop *stop, void *arg, uint64_t *count,
                            snug_err *err)
{
    enum { PAGE = 500 };
    snug_status st = SNUG_OK;
    blob_id     after = {{{0}}};
    bool        more = true;

    *count = 0;
    while (st == SNUG_OK && more && (stop == NULL || !stop(arg))) {
        snug_arena *a = snug_arena_new();
        blob_id    *ids = NULL;
        size_t      n = 0;
        st = hub_list_whole(h, size_min, &after, PAGE, a, &ids, &n, &more, err);
        if (st == SNUG_OK && n > 0) st = queue_page(h, ids, n, err);
        *count += n;
        snug_arena_free(a);
    }
    if (*count > 0) hub_wake_jobs(h);
    return st;
}
