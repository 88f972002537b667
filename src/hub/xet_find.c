/* SPDX-License-Identifier: Apache-2.0 */
/* hub/xet_find.c - "is this chunk here?", answered with what else is there.
 *
 * A client asks for the first chunk of a file and for one in 1024 others. The answer lists the
 * chunks of the xorb that has it and, because whoever has one chunk of a file is likely to have
 * the rest, those of the file's other xorbs, as far as the asker may know of them.
 *
 * For:     api/xet.c.
 * Threads: any.
 * Truth:   chunk hashes leave the server only under a key of their own for each answer: they can
 *          be recognised by somebody who has the chunk, and tell nothing to others. */
#include "hub/hub_int.h"

enum { ANSWER_SECONDS = 3600, ANSWER_XORBS = 64, ANSWER_CHUNKS = 65536 };

typedef struct answer {
    hub             *h;
    const hub_actor *who;
    snug_arena      *a;
    hub_xorb        *xorbs[ANSWER_XORBS];
    size_t           count, chunks;
} answer;

int64_t hub_chunk_key(const xet_hash *h)
{
    uint64_t v = 0;
    for (unsigned i = 8; i-- > 0;) v = v << 8 | h->b[i];
    return (int64_t)v;
}

/* ---- which xorbs ---- */

static bool has_xorb(const answer *w, const xet_hash *name)
{
    for (size_t i = 0; i < w->count; i++) {
        if (xet_hash_eq(&w->xorbs[i]->x.hash, name)) return true;
    }
    return false;
}

static snug_status add_xorb(answer *w, hub_xorb *x_owned, snug_err *err)
{
    bool fits = w->count < ANSWER_XORBS && w->chunks + x_owned->x.count <= ANSWER_CHUNKS;
    if (!fits) {
        hub_xorb_unref(x_owned);
        return SNUG_OK;
    }
    w->xorbs[w->count++] = x_owned;
    w->chunks += x_owned->x.count;
    return hub_keep_xorb(w->h, &x_owned->x.hash, err); /* he is going to build on it */
}

static snug_status is_readable(answer *w, const xet_hash *name, bool *yes, snug_err *err)
{
    db_txn      *tx = NULL;
    store_reader who = hub_reader_of(w->who);
    int64_t      id;
    char         text[65];
    xet_hash_text(name, text);
    snug_status st = db_begin(w->h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_xorb_readable(tx, w->a, snug_str(text), &who, &id, yes, err);
    db_rollback(tx);
    return st;
}

static snug_status add_rest_of_file(answer *w, snug_slice file, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_xet_file row;
    xet_term      *terms;
    size_t         n;
    bool           found;

    if (file.len == 0) goto done;
    SNUG_TRY(db_begin(w->h->db, DB_READ, &tx, err));
    store_reader who = hub_reader_of(w->who);
    SNUG_TRY(store_find_xet_file(tx, w->a, file, &who, &row, &found, err));
    db_rollback(tx);
    tx = NULL;
    if (!found) goto done;
    SNUG_TRY(hub_unpack_terms(w->a, row.terms, &terms, &n, err));
    for (size_t i = 0; i < n && w->count < ANSWER_XORBS; i++) {
        hub_xorb *x;
        bool      may = false;
        if (has_xorb(w, &terms[i].xorb)) continue;
        SNUG_TRY(is_readable(w, &terms[i].xorb, &may, err));
        if (!may) continue;
        SNUG_TRY(hub_xorb_get(w->h, &terms[i].xorb, &x, err));
        SNUG_TRY(add_xorb(w, x, err));
    }
done:
    db_rollback(tx);
    return st;
}

/* ---- the shard ---- */

static void fill_block(const answer *w, const xet_xorb *x, const unsigned char key[32],
                       const xet_hash *asked, xet_shard_xorb *out)
{
    uint32_t at = 0;
    *out = (xet_shard_xorb){.hash = x->hash, .count = x->count, .stored_size = x->body_size};
    out->chunks = snug_arena_alloc(w->a, x->count * sizeof *out->chunks);
    for (uint32_t i = 0; i < x->count; i++) {
        const xet_xorb_chunk *c = &x->chunks[i];
        out->chunks[i] =
            (xet_shard_chunk){.hash = xet_hmac(key, &c->hash),
                              .raw_offset = at,
                              .raw_size = c->raw_size,
                              .dedup = xet_hash_eq(&c->hash, asked) || xet_hash_is_dedup(&c->hash)};
        at += c->raw_size;
    }
    out->raw_size = at;
}

static void put_answer(answer *w, const xet_hash *asked, snug_buf *out)
{
    xet_shard_footer foot = {.created_s = (uint64_t)snug_now_ms() / 1000};
    xet_shard_xorb  *blocks = snug_arena_alloc(w->a, w->count * sizeof *blocks);

    snug_random(foot.hmac_key, sizeof foot.hmac_key);
    foot.expires_s = foot.created_s + ANSWER_SECONDS;
    for (size_t i = 0; i < w->count; i++)
        fill_block(w, &w->xorbs[i]->x, foot.hmac_key, asked, &blocks[i]);
    xet_shard s = {.xorbs = blocks, .xorb_count = w->count};
    xet_shard_write(&s, &foot, out);
}

/* The first of the places that really holds the chunk: the key is a part of its hash only. */
static snug_status pick(answer *w, const store_lookup *at, size_t n, const xet_hash *chunk,
                        snug_slice *file, snug_err *err)
{
    for (size_t i = 0; i < n; i++) {
        xet_hash  name;
        hub_xorb *x;
        if (!xet_hash_parse(at[i].xorb_hash, &name)) continue;
        snug_status st = hub_xorb_get(w->h, &name, &x, err);
        if (st != SNUG_OK) return st;
        if (at[i].chunk_index < x->x.count &&
            xet_hash_eq(&x->x.chunks[at[i].chunk_index].hash, chunk)) {
            *file = at[i].file;
            return add_xorb(w, x, err);
        }
        hub_xorb_unref(x);
    }
    return snug_fail(err, SNUG_ENOTFOUND, "no such chunk");
}

snug_status hub_find_chunk(hub *h, const hub_ticket *t, const xet_hash *chunk, snug_buf *shard,
                           snug_err *err)
{
    snug_status  st = SNUG_OK;
    db_txn      *tx = NULL;
    store_lookup at[STORE_LOOKUP_MAX];
    size_t       n = 0;
    snug_slice   file;
    store_reader who = hub_reader_of(&t->who);
    answer       w = {.h = h, .who = &t->who, .a = snug_arena_new()};

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_lookup(tx, w.a, hub_chunk_key(chunk), &who, at, &n, err));
    db_rollback(tx);
    tx = NULL;
    SNUG_TRY(pick(&w, at, n, chunk, &file, err));
    SNUG_TRY(add_rest_of_file(&w, file, err));
    put_answer(&w, chunk, shard);
done:
    db_rollback(tx);
    for (size_t i = 0; i < w.count; i++) hub_xorb_unref(w.xorbs[i]);
    snug_arena_free(w.a);
    return st;
}
