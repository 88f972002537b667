/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_pack.c - files into chunks, and chunks nobody has into xorbs.
 *
 *     read 8 MiB -> cut -> hash all -> ask about a few -> for each chunk:
 *         follows the run | known elsewhere -> a new run | unknown -> into the xorb being filled
 *
 * For:     xet_upload.c.
 * Owns:    one window of a file and the xorb being filled.
 * Threads: one; finished xorbs go to the senders by a short queue.
 * Truth:   a file's chunks, in order, are its terms; each term carries the proof that we have the
 *          bytes. What an old log says is used only after the store confirmed it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "remote/xet_pack.h"

enum {
    WINDOW = 8 << 20,
    CHUNKS = WINDOW / XET_CHUNK_MIN + 2,
    ASK_FAILURES_MAX = 3,
    ASK_FIRST_MIN = 512 << 10, /* a smaller file is sent sooner than asked about */
    RUN_MAX = REMOTE_CHUNKS_ASKED_MAX
};

typedef struct packer {
    pack_session  *s;
    unsigned char *window;
    size_t         have; /* bytes in it */
    xet_chunker    cutter;
    size_t         scanned; /* of them seen by the cutter */
    size_t         start;   /* of the chunk being cut */
    snug_slice     chunks[CHUNKS];
    xet_hash       hashes[CHUNKS];
    size_t         n;
    /* the xorb being filled */
    uint32_t    xorb, xorb_chunks;
    uint64_t    xorb_raw, xorb_max;
    bool        filling;
    snug_buf    body;
    xet_merkle *tree;
    /* the file */
    pack_file  *f;
    xet_merkle *file_tree;
    bool        first; /* chunk of the file comes next */
    xet_runs    runs;
    snug_buf    run; /* hashes of the term being extended */
    unsigned    ask_failures;
} packer;

/* ---- the xorb being filled ---- */

static void note_made(pack_session *s, uint32_t xorb)
{
    if (s->made_count == s->made_cap) {
        s->made_cap = s->made_cap == 0 ? 64 : 2 * s->made_cap;
        s->made = snug_realloc(s->made, s->made_cap * sizeof *s->made);
    }
    s->made[s->made_count++] = xorb;
}

static snug_status flush_xorb(packer *p, snug_err *err)
{
    if (!p->filling) return SNUG_OK;
    parcel *out = snug_zalloc(sizeof *out);
    *out = (parcel){.xorb = p->xorb, .name = xet_merkle_finish(p->tree), .raw = p->xorb_raw};
    out->body = p->body;
    p->tree = NULL;
    p->filling = false;
    remote_known_name(p->s->known, p->xorb, &out->name);
    note_made(p->s, p->xorb);
    return pack_hand_over(p->s, out, err);
}

static void begin_xorb(packer *p)
{
    p->xorb = remote_known_new_xorb(p->s->known);
    p->xorb_chunks = 0;
    p->xorb_raw = 0;
    p->xorb_max = atomic_load(&p->s->pack_max);
    p->tree = xet_merkle_new();
    p->body = pack_take_buffer(p->s, p->xorb_max);
    p->filling = true;
}

static snug_status add_chunk(packer *p, snug_slice raw, const xet_hash *hash, remote_place *at,
                             snug_err *err)
{
    if (p->filling &&
        (p->xorb_raw + raw.len > p->xorb_max || p->xorb_chunks == XET_XORB_CHUNKS_MAX)) {
        snug_status st = flush_xorb(p, err);
        if (st != SNUG_OK) return st;
    }
    if (!p->filling) begin_xorb(p);
    xet_record_put(&p->body, raw);
    remote_known_add(p->s->known, p->xorb, hash, (uint32_t)raw.len);
    xet_merkle_add(p->tree, hash, raw.len);
    *at = (remote_place){p->xorb, p->xorb_chunks++};
    p->xorb_raw += raw.len;
    return SNUG_OK;
}

/* ---- the file's terms ---- */

static void close_term(packer *p)
{
    if (p->run.len == 0) return;
    pack_term *t = &p->f->terms[p->f->count - 1];
    t->proof = xet_range_hash((const xet_hash *)p->run.ptr, p->run.len / sizeof(xet_hash));
    snug_buf_clear(&p->run);
}

static void open_term(packer *p, remote_place at)
{
    pack_file *f = p->f;
    close_term(p);
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 16 : 2 * f->cap;
        f->terms = snug_realloc(f->terms, f->cap * sizeof *f->terms);
    }
    f->terms[f->count++] = (pack_term){.xorb = at.xorb, .start = at.chunk, .end = at.chunk};
}

static void extend(packer *p, remote_place at, const xet_hash *hash, size_t size)
{
    pack_term *t = p->f->count > 0 ? &p->f->terms[p->f->count - 1] : NULL;
    if (p->run.len == 0 || t == NULL || t->xorb != at.xorb || t->end != at.chunk ||
        t->raw_size > UINT32_MAX / 2 || p->run.len / sizeof(xet_hash) >= RUN_MAX) {
        open_term(p, at);
        t = &p->f->terms[p->f->count - 1];
    }
    t->end++;
    t->raw_size += (uint32_t)size;
    snug_buf_put(&p->run, hash->b, sizeof hash->b);
}

/* ---- what the store has ---- */

/* One request for each xorb of earlier uploads, when its first chunk comes up. */
static bool is_there(packer *p, uint32_t xorb)
{
    pack_session *s = p->s;
    if (!remote_known_is_old(s->known, xorb)) return true;
    snug_arena *a = snug_arena_new();
    char        text[65];
    http_answer ans;
    remote_ask  q = {.method = "HEAD"};
    xet_hash    name = remote_known_hash(s->known, xorb);
    xet_hash_text(&name, text);
    const char *path = snug_arena_printf(a, "/v1/xorbs/default/%s", text).ptr;
    bool        there = remote_door_ask(s->door, s->c, &q, path, a, &ans, NULL) == SNUG_OK;
    snug_arena_free(a);
    remote_known_confirm(s->known, xorb, there);
    if (there) atomic_store(&s->used_old, true);
    return there;
}

/* Any failure is a miss; a store that keeps failing is not asked any more. */
static void ask_about(packer *p, const xet_hash *chunk)
{
    pack_session *s = p->s;
    snug_arena   *a = snug_arena_new();
    snug_buf      body = snug_buf_init(XET_SHARD_MAX);
    char          text[65];
    http_answer   ans;
    remote_ask    q = {.method = "GET", .into = &body};
    xet_hash_text(chunk, text);
    const char *path = snug_arena_printf(a, "/v1/chunks/default/%s", text).ptr;
    snug_status st = remote_door_ask(s->door, s->c, &q, path, a, &ans, NULL);
    if (st == SNUG_OK) st = remote_known_answer(s->known, snug_buf_slice(&body), NULL);
    if (st == SNUG_OK || ans.status == 404)
        p->ask_failures = 0;
    else
        p->ask_failures++;
    snug_buf_deinit(&body);
    snug_arena_free(a);
}

static void ask_store(packer *p)
{
    remote_place at;
    for (size_t i = 0; i < p->n; i++) {
        bool first = i == 0 && p->first && p->f->o->size >= ASK_FIRST_MIN;
        if (!first && !xet_hash_is_dedup(&p->hashes[i])) continue;
        if (p->ask_failures >= ASK_FAILURES_MAX || atomic_load(&p->s->c->stop)) return;
        if (!remote_known_find(p->s->known, &p->hashes[i], &at)) ask_about(p, &p->hashes[i]);
    }
}

/* ---- chunks of the window ---- */

static bool find_place(packer *p, const xet_hash *hash, remote_place *at)
{
    if (p->run.len > 0) { /* the run goes on: no look-up needed */
        const pack_term *t = &p->f->terms[p->f->count - 1];
        remote_place     last = {t->xorb, t->end - 1};
        if (remote_known_follows(p->s->known, last, hash)) {
            *at = (remote_place){t->xorb, t->end};
            return true;
        }
    }
    while (remote_known_find(p->s->known, hash, at)) {
        if (is_there(p, at->xorb)) return true;
    }
    return false;
}

/* A known chunk that would tear the file into pieces is sent again. */
static bool is_taken(packer *p, size_t i, remote_place *at)
{
    if (!find_place(p, &p->hashes[i], at)) return false;
    const pack_file *f = p->f;
    bool             jumps = f->count > 0 && f->terms[f->count - 1].xorb != at->xorb;
    return !jumps || xet_runs_may_jump(&p->runs);
}

static snug_status place_chunk(packer *p, size_t i, snug_err *err)
{
    snug_status  st = SNUG_OK;
    remote_place at;
    snug_slice   raw = p->chunks[i];
    if (!is_taken(p, i, &at))
        st = add_chunk(p, raw, &p->hashes[i], &at, err);
    else if (!p->s->again)
        atomic_fetch_add(&p->s->c->done, raw.len);
    if (st != SNUG_OK) return st;
    const pack_file *f = p->f;
    xet_runs_add(&p->runs, f->count > 0 && f->terms[f->count - 1].xorb == at.xorb);
    extend(p, at, &p->hashes[i], raw.len);
    xet_merkle_add(p->file_tree, &p->hashes[i], raw.len);
    return SNUG_OK;
}

/* Cuts what the window holds; at the end of the file the rest is a chunk too. */
static void cut_window(packer *p, bool end)
{
    p->n = 0;
    while (p->scanned < p->have) {
        bool cut;
        p->scanned +=
            xet_chunker_next(&p->cutter, p->window + p->scanned, p->have - p->scanned, &cut);
        if (!cut && !(end && p->scanned == p->have)) continue;
        p->chunks[p->n++] = snug_slice_of(p->window + p->start, p->scanned - p->start);
        p->start = p->scanned;
    }
}

static snug_status use_window(packer *p, bool end, snug_err *err)
{
    snug_status st = SNUG_OK;
    cut_window(p, end);
    xet_chunk_hash_many(p->chunks, p->n, p->hashes);
    ask_store(p);
    for (size_t i = 0; i < p->n; i++) SNUG_TRY(place_chunk(p, i, err));
    if (p->n > 0) p->first = false;
    memmove(p->window, p->window + p->start, p->have - p->start); /* less than a chunk */
    p->have -= p->start;
    p->scanned -= p->start;
    p->start = 0;
done:
    return st;
}

/* ---- files ---- */

static snug_status read_file(packer *p, int fd, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const remote_object *o = p->f->o;
    for (uint64_t at = 0; at < o->size;) {
        if (atomic_load(&p->s->c->stop)) SNUG_FAIL(err, SNUG_ECANCELED, "canceled");
        size_t  room = WINDOW - p->have, left = o->size - at < room ? (size_t)(o->size - at) : room;
        ssize_t n = pread(fd, p->window + p->have, left, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            st = remote_fail_file(err, errno, "read", o->label);
            goto done;
        }
        if (n == 0)
            SNUG_FAIL(err, SNUG_ESTALE, "%s became shorter while it was being sent", o->label);
        at += (uint64_t)n;
        p->have += (size_t)n;
        if (p->have == WINDOW || at == o->size) SNUG_TRY(use_window(p, at == o->size, err));
    }
done:
    return st;
}

static snug_status pack_file_of(packer *p, pack_file *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    int         fd = open(f->o->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return remote_fail_file(err, errno, "read", f->o->label);
    remote_crew_what(p->s->c, "sending %s", f->o->label);
    p->f = f;
    p->file_tree = xet_merkle_new();
    p->cutter = (xet_chunker){0, 0};
    p->runs = (xet_runs){.count = 0};
    p->have = p->scanned = p->start = 0;
    p->first = true;
    st = read_file(p, fd, err);
    close_term(p);
    xet_hash root = xet_merkle_finish(p->file_tree);
    f->hash = f->count == 0 ? (xet_hash){{0}} : xet_file_hash_of_root(&root);
    (void)close(fd);
    return st;
}

snug_status pack_files(pack_session *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    packer     *p = snug_zalloc(sizeof *p);
    p->s = s;
    p->window = snug_alloc(WINDOW);
    p->run = snug_buf_init(((size_t)RUN_MAX + 1) * sizeof(xet_hash));
    for (size_t i = 0; i < s->count; i++) {
        s->files[i].o = &s->objs[i];
        SNUG_TRY(pack_file_of(p, &s->files[i], err));
    }
    SNUG_TRY(flush_xorb(p, err));
done:
    if (p->filling) snug_buf_deinit(&p->body);
    if (p->tree != NULL) (void)xet_merkle_finish(p->tree);
    snug_buf_deinit(&p->run);
    free(p->window);
    free(p);
    return st;
}
