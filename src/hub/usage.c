/* SPDX-License-Identifier: Apache-2.0 */
/* hub/usage.c - what large files take: sizes added up against bytes on disk, and who shares them.
 *
 * A chunk counts once for a repository, however many of its files hold it. What a chunk takes is
 * its record in the xorb. A file stored whole takes its size.
 *
 * For:     api/storage.c, `snug storage`, settings pages.
 * Owns:    a bit for each chunk of the xorbs that are looked at.
 * Threads: any.
 * Truth:   the sums of a repository say only what its own files take, so they are the same whatever
 *          others keep; those who share are named only to who may read them. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { PAGE = 64, SHARERS_MAX = 50, READERS_MAX = 50, LAYOUTS_LOOKED_AT = 500000 };

/* Chunks of a repository, each counted once. */
typedef struct chunk_use {
    hub_set   *xorbs;
    uint64_t **bits; /* by the number of the xorb; heap */
    size_t     cap;
    uint64_t   bytes;
} chunk_use;

typedef struct sharer {
    store_repo repo;
    chunk_use  common;
    uint64_t   whole; /* bytes of files stored whole that both have */
} sharer;

typedef struct tally {
    hub         *h;
    store_reader who;
    int64_t      row;
    snug_arena  *a;
    chunk_use    ours;
    hub_storage *out;
    sharer      *sharers; /* SHARERS_MAX */
    size_t       sharer_count;
} tally;

static void use_init(chunk_use *u) { *u = (chunk_use){.xorbs = hub_set_new()}; }

static void use_deinit(chunk_use *u)
{
    for (size_t i = 0; u->xorbs != NULL && i < hub_set_count(u->xorbs); i++) free(u->bits[i]);
    free(u->bits);
    hub_set_free(u->xorbs);
}

static uint64_t *bits_of(chunk_use *u, const hub_xorb *x)
{
    bool     fresh;
    uint32_t n = hub_set_add(u->xorbs, &x->x.hash, &fresh);
    if (n >= u->cap) {
        u->cap = u->cap == 0 ? 64 : 2 * u->cap;
        u->bits = snug_realloc(u->bits, u->cap * sizeof *u->bits);
    }
    if (fresh) u->bits[n] = snug_zalloc((x->x.count + 63) / 64 * sizeof **u->bits);
    return u->bits[n];
}

static uint32_t stored_size(const xet_xorb *x, uint32_t chunk)
{
    return x->chunks[chunk].stored_end - (chunk == 0 ? 0 : x->chunks[chunk - 1].stored_end);
}

/* Counts chunks [start, end); with `also`, only those that are counted there. */
static void count_range(chunk_use *u, const hub_xorb *x, uint32_t start, uint32_t end,
                        chunk_use *also)
{
    uint64_t *bits = bits_of(u, x), *other = also == NULL ? NULL : bits_of(also, x);
    for (uint32_t i = start; i < end && i < x->x.count; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);
        if ((bits[i / 64] & bit) != 0 || (other != NULL && (other[i / 64] & bit) == 0)) continue;
        bits[i / 64] |= bit;
        u->bytes += stored_size(&x->x, i);
    }
}

static snug_status count_terms(tally *t, chunk_use *u, const xet_term *terms, size_t n,
                               chunk_use *also, snug_err *err)
{
    for (size_t i = 0; i < n; i++) {
        hub_xorb *x;
        if (also != NULL && !hub_set_has(also->xorbs, &terms[i].xorb, NULL)) continue;
        snug_status st = hub_xorb_get(t->h, &terms[i].xorb, &x, err);
        if (st != SNUG_OK) return st;
        count_range(u, x, terms[i].start, terms[i].end, also);
        hub_xorb_unref(x);
    }
    return SNUG_OK;
}

/* ---- others ---- */

static sharer *find_sharer(tally *t, const store_repo *r)
{
    for (size_t i = 0; i < t->sharer_count; i++)
        if (t->sharers[i].repo.id == r->id) return &t->sharers[i];
    if (t->sharer_count == SHARERS_MAX) return NULL;
    sharer *s = &t->sharers[t->sharer_count++];
    *s = (sharer){.repo = *r};
    use_init(&s->common);
    return s;
}

static snug_status name_sharers(tally *t, snug_slice oid, const xet_term *terms, size_t n,
                                uint64_t whole, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_repo *repos;
    size_t      count = 0;

    SNUG_TRY(db_begin(t->h->db, DB_READ, &tx, err));
    SNUG_TRY(
        store_readers_of_lfs(tx, t->a, oid, &t->who, t->row, READERS_MAX, &repos, &count, err));
    db_rollback(tx); /* before others are begun: readers are few */
    tx = NULL;
    for (size_t i = 0; i < count; i++) {
        sharer *s = find_sharer(t, &repos[i]);
        if (s == NULL) continue;
        s->whole += whole;
        SNUG_TRY(count_terms(t, &s->common, terms, n, &t->ours, err));
    }
done:
    db_rollback(tx);
    return st;
}

static bool shares_xorb(const tally *t, const xet_term *terms, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (hub_set_has(t->ours.xorbs, &terms[i].xorb, NULL)) return true;
    return false;
}

static snug_status see_layout(tally *t, const store_layout *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    xet_term   *terms;
    size_t      n;
    SNUG_TRY(hub_unpack_terms(a, l->file.terms, &terms, &n, err));
    if (l->linked && shares_xorb(t, terms, n))
        SNUG_TRY(name_sharers(t, l->file.sha256, terms, n, 0, err));
done:
    snug_arena_free(a);
    return st;
}

static snug_status see_all_layouts(tally *t, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    size_t      n = PAGE, seen = 0;

    while (st == SNUG_OK && n == PAGE && seen < LAYOUTS_LOOKED_AT) {
        snug_arena   *a = snug_arena_new();
        db_txn       *tx = NULL;
        store_layout *rows = NULL;
        n = 0;
        st = db_begin(t->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_layouts(tx, a, after, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = see_layout(t, &rows[i], err);
            after = rows[i].file.id;
        }
        snug_arena_free(a);
        seen += n;
    }
    return st;
}

static int by_bytes(const void *pa, const void *pb)
{
    const hub_sharer *a = pa, *b = pb;
    return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : strcmp(a->id.name, b->id.name);
}

static void list_sharers(tally *t)
{
    hub_storage *o = t->out;
    o->sharers = snug_arena_zalloc(t->a, (t->sharer_count + 1) * sizeof *o->sharers);
    for (size_t i = 0; i < t->sharer_count; i++) {
        hub_repo_info info;
        uint64_t      bytes = t->sharers[i].common.bytes + t->sharers[i].whole;
        if (bytes == 0) continue;
        hub_info_of_row(&t->sharers[i].repo, &info);
        o->sharers[o->sharer_count++] = (hub_sharer){info.id, bytes};
    }
    qsort(o->sharers, o->sharer_count, sizeof *o->sharers, by_bytes);
}

/* ---- ours ---- */

static snug_status see_object(tally *t, const store_used *u, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    xet_term   *terms;
    size_t      n;
    blob_id     id;
    uint64_t    size = u->size;

    t->out->objects++;
    t->out->logical += u->size;
    bool whole = blob_id_parse(u->oid, &id) && blob_exists(t->h->blobs, &id, &size);
    if (u->packed) {
        t->out->packed++;
        SNUG_TRY(hub_unpack_terms(a, u->terms, &terms, &n, err));
        SNUG_TRY(count_terms(t, &t->ours, terms, n, NULL, err));
    } else if (whole) {
        t->out->whole++;
        t->out->stored += size;
        SNUG_TRY(name_sharers(t, u->oid, NULL, 0, size, err));
    }
done:
    snug_arena_free(a);
    return st;
}

static snug_status see_objects(tally *t, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  after = SNUG_EMPTY;
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_used *rows = NULL;
        n = 0;
        st = db_begin(t->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_used(tx, a, t->row, after, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) st = see_object(t, &rows[i], err);
        if (st == SNUG_OK && n > 0) after = snug_arena_dup(t->a, rows[n - 1].oid);
        snug_arena_free(a);
    }
    return st;
}

snug_status hub_repo_storage(hub *h, const hub_actor *who, hub_repo *r, snug_arena *a,
                             hub_storage *out, snug_err *err)
{
    snug_status   st = SNUG_OK;
    hub_repo_info again;
    tally         t = {.h = h, .who = hub_reader_of(who), .row = r->info.row, .a = a, .out = out};

    *out = (hub_storage){0};
    use_init(&t.ours);
    t.sharers = snug_zalloc(SHARERS_MAX * sizeof *t.sharers);
    if (!hub_can_write(who, &r->info)) { /* also with a token that only reads, of a writer */
        if (hub_role_in(who, snug_str(r->info.id.ns)) < HUB_ROLE_WRITE)
            SNUG_FAIL(err, SNUG_EFORBIDDEN, "Only those who can write to a repository see this");
    }
    SNUG_TRY(hub_find_repo(h, who, &r->info.id, HUB_ROLE_READ, a, &again, err));
    SNUG_TRY(see_objects(&t, err));
    out->stored += t.ours.bytes;
    if (out->packed > 0) SNUG_TRY(see_all_layouts(&t, err));
    list_sharers(&t);
done:
    for (size_t i = 0; i < t.sharer_count; i++) use_deinit(&t.sharers[i].common);
    free(t.sharers);
    use_deinit(&t.ours);
    return st;
}

/* ---- the server ---- */

static bool add_blob(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms)
{
    hub_store_sums *s = arg;
    (void)id, (void)mtime_ms;
    s->blobs++;
    s->stored += size;
    return true;
}

snug_status hub_server_storage(hub *h, hub_store_sums *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_sums  s;

    *out = (hub_store_sums){0};
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_sum_storage(tx, a, &s, err));
    db_rollback(tx);
    tx = NULL;
    SNUG_TRY(blob_each(h->blobs, add_blob, out, err));
    out->objects = s.objects;
    out->logical = s.logical_bytes;
    out->xorbs = s.xorbs;
    out->xorb_bytes = s.xorb_bytes;
    out->xorb_raw = s.xorb_raw_bytes;
    out->files = s.layouts;
    out->blobs -= s.xorbs < out->blobs ? s.xorbs : out->blobs; /* of files stored whole */
    out->blob_bytes = out->stored > s.xorb_bytes ? out->stored - s.xorb_bytes : 0;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
