/* SPDX-License-Identifier: Apache-2.0 */
/* hub/xet_shard.c - registering which files are made of which chunks.
 *
 * For:     api/xet.c.
 * Threads: any.
 * Truth:   nothing of a shard is written before all of it proved right: for each file every range
 *          of chunks lies in a stored xorb the sender may know of, and its range hash shows that
 *          the sender has the chunks; the hash of all chunks is the file's name; the SHA-256 is
 *          taken from the bytes. So a layout never holds anybody's claim. What is
 *          known counts only as far as the sender may see it, also in how long it takes. */
#include "hub/hub_int.h"

#include <inttypes.h>
#include <stdlib.h>

enum { KNOWN_SLOTS = 64, TELL_EVERY = 8 << 20 };

typedef struct file_fact { /* what was found out about a file of the shard */
    const xet_shard_file *f;
    uint64_t              size;
    xet_hash              first; /* chunk: clients ask for it */
    snug_sha256           sha256;
    bool                  known; /* to the sender: layout `id` */
    int64_t               id;
} file_fact;

typedef struct job {
    hub                *h;
    const hub_ticket   *t;
    snug_arena         *a;
    xet_shard           shard;
    file_fact          *facts;
    size_t              fact_count;
    xet_hash            known[KNOWN_SLOTS]; /* xorbs found readable, by their second byte */
    xet_hash           *hashes;             /* of one range */
    uint64_t            done, total;        /* bytes hashed */
    hub_shard_progress *tell;
    void               *arg;
} job;

static const char *text_of(const xet_hash *h, char out[65])
{
    xet_hash_text(h, out);
    return out;
}

/* ---- xorbs ---- */

static snug_status need_readable(job *j, const xet_hash *name, snug_err *err)
{
    snug_status  st = SNUG_OK;
    db_txn      *tx = NULL;
    snug_arena  *a = NULL;
    int64_t      id;
    bool         yes;
    char         text[65];
    xet_hash    *slot = &j->known[name->b[1] % KNOWN_SLOTS];
    store_reader who = hub_reader_of(&j->t->who);

    if (xet_hash_eq(slot, name) && !xet_hash_is_zero(name)) goto done;
    a = snug_arena_new();
    SNUG_TRY(db_begin(j->h->db, DB_READ, &tx, err));
    SNUG_TRY(store_xorb_readable(tx, a, snug_str(text_of(name, text)), &who, &id, &yes, err));
    if (!yes) SNUG_FAIL(err, SNUG_EINVAL, "the xorb %s is not stored", text);
    SNUG_TRY(hub_keep_xorb(j->h, name, err));
    *slot = *name;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status check_xorb_block(job *j, const xet_shard_xorb *b, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_xorb   *x = NULL;
    uint32_t    at = 0;
    char        text[65];

    SNUG_TRY(need_readable(j, &b->hash, err));
    SNUG_TRY(hub_xorb_get(j->h, &b->hash, &x, err));
    bool same = b->count == x->x.count;
    for (uint32_t i = 0; same && i < b->count; i++) {
        const xet_xorb_chunk *c = &x->x.chunks[i];
        same = xet_hash_eq(&b->chunks[i].hash, &c->hash) && b->chunks[i].raw_size == c->raw_size &&
               b->chunks[i].raw_offset == at;
        at += c->raw_size;
    }
    if (!same)
        SNUG_FAIL(err, SNUG_EINVAL, "the chunks listed for the xorb %s are not those it has",
                  text_of(&b->hash, text));
done:
    hub_xorb_unref(x);
    return st;
}

/* ---- files ---- */

static snug_status check_term(job *j, const xet_term *t, xet_merkle *tree, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_xorb   *x = NULL;
    uint64_t    raw = 0;
    char        text[65];

    SNUG_TRY(need_readable(j, &t->xorb, err));
    SNUG_TRY(hub_xorb_get(j->h, &t->xorb, &x, err));
    if (t->start >= t->end || t->end > x->x.count)
        SNUG_FAIL(err, SNUG_EINVAL, "chunks %u to %u are not in the xorb %s, which has %u",
                  t->start, t->end, text_of(&t->xorb, text), x->x.count);
    for (uint32_t i = t->start; i < t->end; i++) {
        const xet_xorb_chunk *c = &x->x.chunks[i];
        j->hashes[i - t->start] = c->hash;
        raw += c->raw_size;
        xet_merkle_add(tree, &c->hash, c->raw_size);
    }
    if (raw != t->raw_size)
        SNUG_FAIL(err, SNUG_EINVAL, "chunks %u to %u of the xorb %s have another size than stated",
                  t->start, t->end, text_of(&t->xorb, text));
    xet_hash proof = xet_range_hash(j->hashes, t->end - t->start);
    if (!xet_hash_eq(&proof, &t->range_hash))
        SNUG_FAIL(err, SNUG_EINVAL, "the proof for chunks %u to %u of the xorb %s is wrong",
                  t->start, t->end, text_of(&t->xorb, text));
done:
    hub_xorb_unref(x);
    return st;
}

static snug_status check_file(job *j, const xet_shard_file *f, file_fact *fact, snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_merkle *tree = xet_merkle_new();
    xet_hash    zero = {{0}}, name;
    char        text[65];

    *fact = (file_fact){.f = f};
    if (f->count > 0 && !f->has_proofs)
        SNUG_FAIL(err, SNUG_EINVAL, "the file %s comes without proofs", text_of(&f->hash, text));
    for (uint32_t i = 0; i < f->count; i++) {
        SNUG_TRY(check_term(j, &f->terms[i], tree, err));
        if (i == 0) fact->first = j->hashes[0];
        fact->size += f->terms[i].raw_size;
        if (fact->size > j->h->lfs_file_max)
            SNUG_FAIL(err, SNUG_EINVAL, "the file %s is larger than this server takes",
                      text_of(&f->hash, text));
    }
    xet_hash root = xet_merkle_finish(tree);
    tree = NULL;
    name = f->count == 0 ? zero : xet_file_hash_of_root(&root);
    if (!xet_hash_eq(&name, &f->hash))
        SNUG_FAIL(err, SNUG_EINVAL, "the chunks listed for the file %s make another one",
                  text_of(&f->hash, text));
done:
    if (tree != NULL) (void)xet_merkle_finish(tree);
    return st;
}

static snug_status keep_layout(job *j, int64_t id, snug_err *err)
{
    char name[24];
    (void)snprintf(name, sizeof name, "%" PRId64, id);
    return hub_unmark(j->h, STORE_MARK_LAYOUT, snug_str(name), err);
}

/* What the layout he may see says, which was computed when it was made. */
static snug_status look_up(job *j, file_fact *fact, snug_err *err)
{
    db_txn        *tx = NULL;
    store_xet_file row;
    char           text[65];
    store_reader   who = hub_reader_of(&j->t->who);
    snug_status    st = db_begin(j->h->db, DB_READ, &tx, err);
    if (st == SNUG_OK)
        st = store_find_xet_file(tx, j->a, snug_str(text_of(&fact->f->hash, text)), &who, &row,
                                 &fact->known, err);
    db_rollback(tx);
    if (st != SNUG_OK || !fact->known) return st;
    fact->id = row.id;
    st = keep_layout(j, row.id, err);
    if (st != SNUG_OK) return st;
    if (!snug_unhex(row.sha256, fact->sha256.b, 32))
        return snug_fail(err, SNUG_ECORRUPT, "the row of a file is damaged");
    return SNUG_OK;
}

static bool keep_going(job *j, size_t more)
{
    uint64_t before = j->done / TELL_EVERY;
    j->done += more;
    return j->tell == NULL || j->done / TELL_EVERY == before || j->tell(j->arg, j->done, j->total);
}

static snug_status hash_bytes(job *j, file_fact *fact, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_object  o = {
         .size = fact->size, .is_xet = true, .terms = fact->f->terms, .term_count = fact->f->count};
    hub_reader  *r = hub_reader_new(j->h, &o, 0, fact->size);
    snug_hasher *hasher = snug_hasher_new(SNUG_HASH_SHA256);
    snug_slice   piece;

    do {
        SNUG_TRY(hub_reader_next(r, &piece, err));
        snug_hasher_update(hasher, piece.ptr, piece.len);
        if (!keep_going(j, piece.len)) SNUG_FAIL(err, SNUG_ECANCELED, "the client went away");
    } while (piece.len > 0);
    snug_hasher_finish(hasher, fact->sha256.b);
done:
    snug_hasher_free(hasher);
    hub_reader_free(r);
    return st;
}

static snug_status find_sha256(job *j, file_fact *fact, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        text[65];
    if (!fact->known) SNUG_TRY(hash_bytes(j, fact, err));
    if (fact->f->has_sha256 && memcmp(&fact->f->sha256, &fact->sha256, sizeof fact->sha256) != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "the SHA-256 given for the file %s is not that of its bytes",
                  text_of(&fact->f->hash, text));
done:
    return st;
}

/* ---- writing ---- */

static snug_status row_of_xorb(job *j, db_txn *tx, const xet_hash *name, int64_t *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_xorb  row;
    bool        found;
    char        text[65];
    SNUG_TRY(store_find_xorb(tx, j->a, snug_str(text_of(name, text)), &row, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_EINVAL, "the xorb %s is no longer stored", text);
    *id = row.id;
done:
    return st;
}

/* A file of this shard that has chunks in the xorb, by its hash; most shards are about one file. */
static snug_slice file_of_xorb(const job *j, const xet_hash *xorb, char text[65])
{
    enum { TERMS_LOOKED_AT = 4096 };
    size_t looked = 0;
    for (size_t i = 0; i < j->fact_count; i++) {
        const xet_shard_file *f = j->facts[i].f;
        for (uint32_t k = 0; k < f->count && looked < TERMS_LOOKED_AT; k++, looked++) {
            if (xet_hash_eq(&f->terms[k].xorb, xorb)) return snug_str(text_of(&f->hash, text));
        }
    }
    return SNUG_LIT("");
}

static snug_status add_block_lookups(job *j, db_txn *tx, const xet_shard_xorb *b, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     id;
    char        text[65];
    snug_slice  file = file_of_xorb(j, &b->hash, text);
    SNUG_TRY(row_of_xorb(j, tx, &b->hash, &id, err));
    for (uint32_t i = 0; i < b->count; i++) {
        bool told = b->chunks[i].dedup || xet_hash_is_dedup(&b->chunks[i].hash);
        if (!told && !hub_chunk_is_indexed(&b->chunks[i].hash)) continue;
        SNUG_TRY(store_add_lookup(tx, hub_chunk_key(&b->chunks[i].hash), id, i,
                                  told ? file : SNUG_EMPTY, err));
    }
done:
    return st;
}

/* All of them, in the transaction that makes them needed. */
static snug_status need_xorbs(job *j, db_txn *tx, const xet_shard_file *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     id;
    for (uint32_t i = 0; i < f->count; i++) {
        if (i > 0 && xet_hash_eq(&f->terms[i].xorb, &f->terms[i - 1].xorb)) continue;
        SNUG_TRY(row_of_xorb(j, tx, &f->terms[i].xorb, &id, err));
    }
done:
    return st;
}

static snug_status add_file(job *j, db_txn *tx, const file_fact *fact, bool *fresh, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        name[65], sha[65];
    int64_t     now = snug_now_ms(), layout = fact->id;

    snug_hex(fact->sha256.b, sizeof fact->sha256.b, sha);
    store_xet_file row = {.hash = snug_str(text_of(&fact->f->hash, name)),
                          .sha256 = snug_str(sha),
                          .size = fact->size,
                          .created_ms = now,
                          .terms = hub_pack_terms(j->a, fact->f->terms, fact->f->count)};
    if (fact->known) { /* let go of while we hashed: the sender starts again */
        store_layout still;
        bool         there;
        SNUG_TRY(store_find_layout(tx, j->a, layout, &still, &there, err));
        if (!there) SNUG_FAIL(err, SNUG_EBUSY, "the file %s was removed; try again", name);
    }
    if (!fact->known) SNUG_TRY(need_xorbs(j, tx, fact->f, err));
    if (!fact->known) SNUG_TRY(store_add_xet_file(tx, &row, &layout, err));
    if (!fact->known) *fresh = true;
    SNUG_TRY(store_link_xet_file(tx, j->t->repo_row, layout, err));
    /* Also when nothing of the file is new: this repository needs its own right to it. */
    SNUG_TRY(store_link_lfs(tx, j->t->repo_row, snug_str(sha), fact->size, now, err));
    if (fact->f->count > 0) {
        const xet_term *t = &fact->f->terms[0];
        int64_t         id;
        SNUG_TRY(row_of_xorb(j, tx, &t->xorb, &id, err));
        SNUG_TRY(store_add_lookup(tx, hub_chunk_key(&fact->first), id, t->start, row.hash, err));
    }
done:
    return st;
}

static snug_status write_all(job *j, bool *fresh, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;

    HUB_FAULT("xet.shard", err, st);
    SNUG_TRY(db_begin(j->h->db, DB_WRITE, &tx, err));
    for (size_t i = 0; i < j->fact_count; i++) SNUG_TRY(add_file(j, tx, &j->facts[i], fresh, err));
    for (size_t i = 0; i < j->shard.xorb_count; i++)
        SNUG_TRY(add_block_lookups(j, tx, &j->shard.xorbs[i], err));
    HUB_FAULT("xet.shard_commit", err, st);
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

static int by_hash(const void *pa, const void *pb)
{
    const file_fact *a = pa, *b = pb;
    return xet_hash_cmp(&a->f->hash, &b->f->hash);
}

/* A file named twice is registered once. */
static void drop_repeats(job *j)
{
    size_t kept = 0;
    qsort(j->facts, j->fact_count, sizeof *j->facts, by_hash);
    for (size_t i = 0; i < j->fact_count; i++) {
        if (kept > 0 && by_hash(&j->facts[kept - 1], &j->facts[i]) == 0) continue;
        j->facts[kept++] = j->facts[i];
    }
    j->fact_count = kept;
}

static snug_status check_all(job *j, snug_err *err)
{
    snug_status st = SNUG_OK;
    j->facts = snug_arena_array_try(j->a, j->shard.file_count + 1, sizeof *j->facts);
    if (j->facts == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    for (size_t i = 0; i < j->shard.xorb_count; i++)
        SNUG_TRY(check_xorb_block(j, &j->shard.xorbs[i], err));
    for (; j->fact_count < j->shard.file_count; j->fact_count++)
        SNUG_TRY(check_file(j, &j->shard.files[j->fact_count], &j->facts[j->fact_count], err));
    drop_repeats(j);
    for (size_t i = 0; i < j->fact_count; i++) {
        SNUG_TRY(look_up(j, &j->facts[i], err));
        if (!j->facts[i].known) j->total += j->facts[i].size;
    }
    for (size_t i = 0; i < j->fact_count; i++) SNUG_TRY(find_sha256(j, &j->facts[i], err));
done:
    return st;
}

snug_status hub_register_shard(hub *h, const hub_ticket *t, snug_slice shard,
                               hub_shard_progress *tell, void *arg, bool *fresh, snug_err *err)
{
    snug_status st = SNUG_OK;
    job        *j = snug_zalloc(sizeof *j);
    SNUG_AUTO(hub_hold) hold = {-1};

    *fresh = false;
    st = hub_hold_begin(h, &hold, err);
    if (st != SNUG_OK) {
        free(j);
        return st;
    }
    j->h = h;
    j->t = t;
    j->a = snug_arena_new();
    j->tell = tell;
    j->arg = arg;
    j->hashes = snug_alloc(XET_XORB_CHUNKS_MAX * sizeof *j->hashes);
    st = xet_shard_parse(j->a, shard, &j->shard, err);
    if (st == SNUG_ECORRUPT || st == SNUG_ELIMIT) {
        if (err != NULL) err->status = SNUG_EINVAL;
        st = SNUG_EINVAL;
    }
    if (st == SNUG_OK) st = check_all(j, err);
    if (st == SNUG_OK) st = write_all(j, fresh, err);
    snug_arena_free(j->a);
    free(j->hashes);
    free(j);
    return st;
}
