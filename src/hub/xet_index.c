/* SPDX-License-Identifier: Apache-2.0 */
/* hub/xet_index.c - what xorbs hold: the packed columns of their rows, and a table of those seen
 * lately.
 *
 *     chunks of a xorb:  hash 32 | raw size u32 | record size u32          each, in order
 *     terms of a file:   xorb hash 32 | first chunk u32 | end u32 | bytes u32
 *
 * For:     xet_*.c.
 * Owns:    the table: at most SLOTS xorbs of at most 360 kB, usually 45.
 * Threads: any; one mutex, never held over SQL. A hub_xorb is counted and never changes.
 * Truth:   the columns can be made again from the stored records. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { CHUNK_BYTES = 40, TERM_BYTES = 44, SLOTS = 256 };

struct hub_xorbs {
    snug_mutex lock; /* guards the slots */
    hub_xorb  *slot[SLOTS];
};

hub_xorbs *hub_xorbs_new(void)
{
    hub_xorbs *c = snug_zalloc(sizeof *c);
    snug_mutex_init(&c->lock, "hub-xorbs", HUB_RANK_XORBS);
    return c;
}

void hub_xorbs_free(hub_xorbs *c)
{
    if (c == NULL) return;
    for (size_t i = 0; i < SLOTS; i++) hub_xorb_unref(c->slot[i]);
    snug_mutex_deinit(&c->lock);
    free(c);
}

void hub_xorb_unref(hub_xorb *x)
{
    if (x == NULL || atomic_fetch_sub(&x->refs, 1) != 1) return;
    free(x->x.chunks);
    free(x);
}

store_reader hub_reader_of(const hub_actor *who)
{
    return (store_reader){hub_sees(who), hub_own_ns(who), who->user_id};
}

/* ---- packing ---- */

static char *put_u32(char *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) *p++ = (char)(v >> 8 * i);
    return p;
}

static char *put_hash(char *p, const xet_hash *h)
{
    memcpy(p, h->b, sizeof h->b);
    return p + sizeof h->b;
}

static xet_hash take_hash(snug_rd *r)
{
    xet_hash   h = {{0}};
    snug_slice s = snug_rd_bytes(r, sizeof h.b);
    if (s.len == sizeof h.b) memcpy(h.b, s.ptr, sizeof h.b);
    return h;
}

snug_slice hub_pack_chunks(snug_arena *a, const xet_xorb *x)
{
    char    *start = snug_arena_alloc(a, (size_t)x->count * CHUNK_BYTES + 1), *p = start;
    uint32_t before = 0;
    for (uint32_t i = 0; i < x->count; i++) {
        p = put_hash(p, &x->chunks[i].hash);
        p = put_u32(p, x->chunks[i].raw_size);
        p = put_u32(p, x->chunks[i].stored_end - before);
        before = x->chunks[i].stored_end;
    }
    return (snug_slice){start, (size_t)(p - start)};
}

static snug_status unpack_chunks(snug_slice packed, xet_xorb *x, snug_err *err)
{
    snug_rd  r = snug_rd_init(packed);
    uint32_t raw_end = 0, stored_end = 0;
    if (packed.len == 0 || packed.len % CHUNK_BYTES != 0 ||
        packed.len / CHUNK_BYTES > XET_XORB_CHUNKS_MAX)
        return snug_fail(err, SNUG_ECORRUPT, "the index of a xorb is damaged");
    x->count = (uint32_t)(packed.len / CHUNK_BYTES);
    x->chunks = snug_alloc(x->count * sizeof *x->chunks);
    for (uint32_t i = 0; i < x->count; i++) {
        xet_xorb_chunk *c = &x->chunks[i];
        c->hash = take_hash(&r);
        c->raw_size = snug_rd_u32le(&r);
        stored_end += snug_rd_u32le(&r);
        raw_end += c->raw_size;
        c->raw_end = raw_end;
        c->stored_end = stored_end;
    }
    x->body_size = stored_end;
    return SNUG_OK;
}

snug_slice hub_pack_terms(snug_arena *a, const xet_term *terms, size_t n)
{
    char *start = snug_arena_alloc(a, n * TERM_BYTES + 1), *p = start;
    for (size_t i = 0; i < n; i++) {
        p = put_hash(p, &terms[i].xorb);
        p = put_u32(p, terms[i].start);
        p = put_u32(p, terms[i].end);
        p = put_u32(p, terms[i].raw_size);
    }
    return (snug_slice){start, (size_t)(p - start)};
}

snug_status hub_unpack_terms(snug_arena *a, snug_slice packed, xet_term **out, size_t *n,
                             snug_err *err)
{
    snug_rd r = snug_rd_init(packed);
    *n = packed.len / TERM_BYTES;
    *out = snug_arena_array_try(a, *n + 1, sizeof **out);
    if (*out == NULL) return snug_fail(err, SNUG_ENOMEM, "out of memory");
    for (size_t i = 0; i < *n; i++) {
        xet_term *t = &(*out)[i];
        t->xorb = take_hash(&r);
        t->start = snug_rd_u32le(&r);
        t->end = snug_rd_u32le(&r);
        t->raw_size = snug_rd_u32le(&r);
    }
    if (packed.len % TERM_BYTES != 0)
        return snug_fail(err, SNUG_ECORRUPT, "the list of a file's parts is damaged");
    return SNUG_OK;
}

/* ---- the table ---- */

static size_t slot_of(const xet_hash *h) { return h->b[1] % SLOTS; }

static hub_xorb *find_cached(hub_xorbs *c, const xet_hash *name)
{
    snug_lock(&c->lock);
    hub_xorb *x = c->slot[slot_of(name)];
    if (x != NULL && xet_hash_eq(&x->x.hash, name))
        atomic_fetch_add(&x->refs, 1);
    else
        x = NULL;
    snug_unlock(&c->lock);
    return x;
}

static void remember(hub_xorbs *c, hub_xorb *x)
{
    size_t i = slot_of(&x->x.hash);
    atomic_fetch_add(&x->refs, 1);
    snug_lock(&c->lock);
    hub_xorb *old = c->slot[i];
    c->slot[i] = x;
    snug_unlock(&c->lock);
    hub_xorb_unref(old);
}

void hub_xorb_forget(hub *h, const xet_hash *name)
{
    size_t i = slot_of(name);
    snug_lock(&h->xorbs->lock);
    hub_xorb *old = h->xorbs->slot[i];
    if (old != NULL && !xet_hash_eq(&old->x.hash, name)) old = NULL;
    if (old != NULL) h->xorbs->slot[i] = NULL;
    snug_unlock(&h->xorbs->lock);
    hub_xorb_unref(old);
}

static snug_status load(hub *h, const xet_hash *name, hub_xorb *x, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_xorb  row;
    bool        found;
    char        text[65];

    xet_hash_text(name, text);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_xorb(tx, a, snug_str(text), &row, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_ENOTFOUND, "the xorb %s is not stored", text);
    x->x.hash = *name;
    SNUG_TRY(unpack_chunks(row.chunks, &x->x, err));
    if (!blob_id_parse(row.blob, &x->blob))
        SNUG_FAIL(err, SNUG_ECORRUPT, "the row of the xorb %s is damaged", text);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_xorb_get(hub *h, const xet_hash *name, hub_xorb **out, snug_err *err)
{
    *out = find_cached(h->xorbs, name);
    if (*out != NULL && blob_exists(h->blobs, &(*out)->blob, NULL)) return SNUG_OK;
    /* Collected, and perhaps brought again in another packing: what is remembered is of no use. */
    if (*out != NULL) hub_xorb_forget(h, name);
    hub_xorb_unref(*out);
    *out = NULL;
    hub_xorb *x = snug_zalloc(sizeof *x);
    atomic_init(&x->refs, 1);
    snug_status st = load(h, name, x, err);
    if (st != SNUG_OK) {
        hub_xorb_unref(x);
        return st;
    }
    remember(h->xorbs, x);
    *out = x;
    return SNUG_OK;
}
