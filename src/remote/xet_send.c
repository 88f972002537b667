/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_send.c - xorbs to the store, side by side, and then the shards that name them.
 *
 * For:     xet_upload.c.
 * Owns:    the parcels that wait.
 * Threads: one packer hands over, several senders take; the pace says how many send at once.
 * Truth:   a shard goes only after every xorb it names was accepted. A xorb that was accepted is
 *          remembered at once, so it is not sent again after a kill. */
#include <stdlib.h>

#include "remote/xet_pack.h"

enum {
    WAIT_MS = 100,
    LINE_MAX_SIZE = 1 << 20,
    SHARD_PART = 24 << 20, /* of chunk lists; a shard may have 64 MiB */
    SHARD_STALL_MS = 600000,
    QUICK_MS = 2000,  /* a xorb that took less may be larger, */
    SLOW_MS = 8000,   /* one that took longer should be smaller */
    BREAKS_MAX = 20,  /* of one xorb under way */
    MOVED_MIN = 65536 /* less is no sign of life */
};

/* ---- the queue ---- */

/* One that is large enough; smaller ones make room. */
static bool take_spare_locked(pack_session *s, size_t want, snug_buf *out)
{
    while (s->spare_count > 0) {
        *out = s->spare[--s->spare_count];
        if (out->cap >= want) return true;
        s->held -= out->cap;
        snug_buf_deinit(out);
    }
    return false;
}

snug_buf pack_take_buffer(pack_session *s, uint64_t raw)
{
    size_t   want = (size_t)raw + PACK_SLACK;
    snug_buf b;
    snug_lock(&s->lock);
    while (s->spare_count == 0 && s->held + want > PACK_MEMORY_MAX && !atomic_load(&s->c->stop))
        (void)snug_cond_wait_ms(&s->moved, &s->lock, WAIT_MS);
    if (!take_spare_locked(s, want, &b)) {
        b = snug_buf_init(XET_XORB_BODY_MAX);
        (void)snug_buf_reserve(&b, want);
        s->held += b.cap;
    }
    snug_unlock(&s->lock);
    return b;
}

static void free_parcel(pack_session *s, parcel *p)
{
    bool kept = false;
    snug_buf_clear(&p->body);
    snug_lock(&s->lock);
    if (s->spare_count < PACK_SPARE_MAX) {
        s->spare[s->spare_count++] = p->body;
        kept = true;
    } else {
        s->held -= p->body.cap;
    }
    snug_cond_broadcast(&s->moved);
    snug_unlock(&s->lock);
    if (!kept) snug_buf_deinit(&p->body);
    free(p);
}

snug_status pack_hand_over(pack_session *s, parcel *p, snug_err *err)
{
    snug_lock(&s->lock);
    while (s->waiting >= PACK_WAITING_MAX && !atomic_load(&s->c->stop))
        (void)snug_cond_wait_ms(&s->moved, &s->lock, WAIT_MS);
    *s->tail = p;
    s->tail = &p->next;
    s->waiting++;
    snug_cond_broadcast(&s->moved);
    snug_unlock(&s->lock);
    if (atomic_load(&s->c->stop)) return snug_fail(err, SNUG_ECANCELED, "canceled");
    return SNUG_OK;
}

void pack_close_queue(pack_session *s)
{
    snug_lock(&s->lock);
    s->closed = true;
    snug_cond_broadcast(&s->moved);
    snug_unlock(&s->lock);
}

/* NULL: nothing will come any more. */
static parcel *take_parcel(pack_session *s)
{
    snug_lock(&s->lock);
    while (s->head == NULL && !s->closed && !atomic_load(&s->c->stop))
        (void)snug_cond_wait_ms(&s->moved, &s->lock, WAIT_MS);
    parcel *p = atomic_load(&s->c->stop) ? NULL : s->head;
    if (p != NULL) {
        s->head = p->next;
        if (s->head == NULL) s->tail = &s->head;
        s->waiting--;
        snug_cond_broadcast(&s->moved);
    }
    snug_unlock(&s->lock);
    return p;
}

/* ---- one xorb ---- */

typedef struct source {
    pack_session *s;
    snug_slice    bytes;
    size_t        at;
    uint64_t      raw, counted; /* what travels twice counts once */
} source;

static snug_status pull(void *arg, void *to, size_t n, size_t *got, snug_err *err)
{
    source *src = arg;
    *got = 0;
    if (atomic_load(&src->s->c->stop)) return snug_fail(err, SNUG_ECANCELED, "canceled");
    snug_slice part = snug_sub(src->bytes, src->at, n);
    if (part.len == 0) return SNUG_OK;
    memcpy(to, part.ptr, part.len);
    src->at += part.len;
    *got = part.len;
    atomic_fetch_add(&src->s->c->network, part.len);
    remote_pace_moved(&src->s->pace, part.len);
    uint64_t have = (uint64_t)((double)src->raw * (double)src->at / (double)src->bytes.len);
    if (src->at == src->bytes.len) have = src->raw;
    if (have > src->counted) {
        if (!src->s->again) atomic_fetch_add(&src->s->c->done, have - src->counted);
        src->counted = have;
    }
    return SNUG_OK;
}

static void rewind_source(void *arg) { ((source *)arg)->at = 0; }

static void resize(pack_session *s, bool broke, uint64_t ms)
{
    uint32_t now = atomic_load(&s->pack_max);
    if (broke || ms > SLOW_MS)
        now /= 2;
    else if (ms < QUICK_MS)
        now *= 2;
    if (now < PACK_RAW_MIN) now = PACK_RAW_MIN;
    atomic_store(&s->pack_max, now < PACK_RAW_MAX ? now : PACK_RAW_MAX);
}

static snug_status send_parcel(pack_session *s, parcel *p, snug_err *err)
{
    snug_status     st;
    unsigned        breaks = 0;
    char            text[65];
    source          src = {.s = s, .bytes = snug_buf_slice(&p->body), .raw = p->raw};
    remote_patience w = {.crew = s->c, .pace = &s->pace};
    xet_hash_text(&p->name, text);
    for (;;) {
        snug_arena *a = snug_arena_new();
        http_answer ans;
        remote_ask  q = {.method = "POST",
                         .media = "application/octet-stream",
                         .pull = pull,
                         .pull_arg = &src,
                         .pull_length = src.bytes.len,
                         .rewind = rewind_source};
        uint64_t    began = snug_mono_ms();
        snug_err_clear(err);
        st = remote_door_ask(s->door, s->c, &q,
                             snug_arena_printf(a, "/v1/xorbs/default/%s", text).ptr, a, &ans, err);
        bool broke = st != SNUG_OK && ans.status == 0 && src.at > MOVED_MIN;
        resize(s, broke, snug_mono_ms() - began);
        if (broke && ++breaks < BREAKS_MAX) remote_patience_reset(&w);
        bool again = st != SNUG_OK && remote_patience_again(&w, st, &ans, err);
        snug_arena_free(a);
        if (!again) break;
    }
    if (st == SNUG_OK) remote_known_keep(s->known, p->xorb);
    return st;
}

snug_status pack_send(pack_session *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (parcel *p; st == SNUG_OK && (p = take_parcel(s)) != NULL;) {
        st = snug_buf_check(&p->body, "a xorb", err);
        if (st == SNUG_OK && !remote_pace_enter(&s->pace, &s->c->stop)) {
            st = snug_fail(err, SNUG_ECANCELED, "canceled");
        } else if (st == SNUG_OK) {
            st = send_parcel(s, p, err);
            remote_pace_leave(&s->pace);
        }
        free_parcel(s, p);
    }
    return st;
}

/* ---- shards ---- */

snug_status pack_read_line(snug_slice line, bool *end, bool *retry, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    snug_json   v;
    snug_slice  type = SNUG_EMPTY;
    snug_status st = snug_json_parse(a, line, NULL, &v, NULL);
    *end = *retry = false;
    if (st != SNUG_OK) {
        st = snug_fail(err, SNUG_EREMOTE, "the Xet store's answer to a shard is not JSON");
        goto done;
    }
    (void)snug_json_to_str(snug_json_get(v, "type"), &type);
    *end = snug_eq_str(type, "result") || snug_eq_str(type, "error");
    if (snug_eq_str(type, "error")) {
        snug_slice text = snug_json_str_or(v, "message", SNUG_LIT("the shard was refused"));
        *retry = snug_json_bool_or(v, "retryable", false);
        st = snug_fail(err, *retry ? SNUG_EBUSY : SNUG_EINVAL, "%.*s",
                       (int)(text.len > 300 ? 300 : text.len), text.ptr);
    }
done:
    snug_arena_free(a);
    return st;
}

typedef struct lines {
    snug_buf    line;
    bool        ended, retry;
    snug_status st;
} lines;

static snug_status take_lines(void *arg, int status, snug_slice part, snug_err *err)
{
    lines *l = arg;
    (void)status;
    while (part.len > 0 && !l->ended) {
        size_t cut = snug_index(part, '\n');
        snug_buf_put_slice(&l->line, snug_sub(part, 0, cut));
        if (l->line.full) return snug_fail(err, SNUG_EREMOTE, "a line of the store's never ends");
        if (cut == SIZE_MAX) break;
        part = snug_sub(part, cut + 1, SIZE_MAX);
        if (snug_trim(snug_buf_slice(&l->line)).len > 0)
            l->st = pack_read_line(snug_buf_slice(&l->line), &l->ended, &l->retry, err);
        snug_buf_clear(&l->line);
        if (l->st != SNUG_OK) return l->st;
    }
    return SNUG_OK;
}

static snug_status post_v2(pack_session *s, snug_slice shard, snug_arena *a, http_answer *ans,
                           snug_err *err)
{
    lines       l = {.line = snug_buf_init(LINE_MAX_SIZE), .st = SNUG_OK};
    remote_ask  q = {.method = "POST",
                     .media = "application/octet-stream",
                     .body = shard,
                     .push = take_lines,
                     .push_arg = &l,
                     .stall_ms = SHARD_STALL_MS};
    snug_status st = remote_door_ask(s->door, s->c, &q, "/v2/shards", a, ans, err);
    if (l.st != SNUG_OK) {
        st = l.st;
        ans->status = l.retry ? 503 : 400;
    } else if (st == SNUG_OK && !l.ended) {
        ans->status = 0;
        st = snug_fail(err, SNUG_EREMOTE, "the store's answer to a shard ended early");
    }
    snug_buf_deinit(&l.line);
    return st;
}

static snug_status post_shard(pack_session *s, snug_slice shard, snug_err *err)
{
    snug_status     st;
    remote_patience w = {.crew = s->c};
    atomic_bool    *old = remote_door_old_shards(s->door);
    remote_ask      v1 = {.method = "POST",
                          .media = "application/octet-stream",
                          .body = shard,
                          .stall_ms = SHARD_STALL_MS};
    for (;;) {
        snug_arena *a = snug_arena_new();
        http_answer ans = {0};
        snug_err_clear(err);
        st = SNUG_ENOTFOUND;
        if (!atomic_load(old)) st = post_v2(s, shard, a, &ans, err);
        if (atomic_load(old) || ans.status == 404 || ans.status == 501) {
            atomic_store(old, true);
            snug_err_clear(err);
            st = remote_door_ask(s->door, s->c, &v1, "/v1/shards", a, &ans, err);
        }
        atomic_fetch_add(&s->c->network, shard.len);
        bool again = st != SNUG_OK && remote_patience_again(&w, st, &ans, err);
        snug_arena_free(a);
        if (!again) return st;
    }
}

static void fill_file(pack_session *s, const pack_file *f, snug_arena *a, xet_shard_file *out)
{
    *out = (xet_shard_file){
        .hash = f->hash, .count = f->count, .has_proofs = true, .has_sha256 = true};
    SNUG_ASSERT(snug_unhex(snug_str(f->o->oid), out->sha256.b, 32));
    out->terms = snug_arena_alloc(a, (f->count + 1) * sizeof *out->terms);
    for (uint32_t i = 0; i < f->count; i++) {
        const pack_term *t = &f->terms[i];
        out->terms[i] = (xet_term){.xorb = remote_known_hash(s->known, t->xorb),
                                   .range_hash = t->proof,
                                   .raw_size = t->raw_size,
                                   .start = t->start,
                                   .end = t->end};
    }
}

static void fill_xorb(pack_session *s, uint32_t xorb, snug_arena *a, xet_shard_xorb *out)
{
    uint32_t n = remote_known_count(s->known, xorb), at = 0;
    *out = (xet_shard_xorb){.hash = remote_known_hash(s->known, xorb), .count = n};
    out->chunks = snug_arena_zalloc(a, n * sizeof *out->chunks);
    for (uint32_t i = 0; i < n; i++) {
        xet_shard_chunk *c = &out->chunks[i];
        remote_known_chunk(s->known, xorb, i, &c->hash, &c->raw_size);
        c->raw_offset = at;
        at += c->raw_size;
    }
    out->raw_size = at;
}

/* Both lists in parts that fit a shard; one shard for nearly every upload. */
static snug_status post_part(pack_session *s, size_t *xorb, size_t *file, snug_err *err)
{
    size_t          size = 0;
    snug_arena     *a = snug_arena_new();
    snug_buf        bytes = snug_buf_init(XET_SHARD_MAX);
    xet_shard       shard = {0};
    xet_shard_xorb *xorbs = snug_arena_alloc(a, (s->made_count - *xorb + 1) * sizeof *xorbs);
    xet_shard_file *files = snug_arena_alloc(a, (s->count - *file + 1) * sizeof *files);
    for (; *xorb < s->made_count && size < SHARD_PART; ++*xorb) {
        fill_xorb(s, s->made[*xorb], a, &xorbs[shard.xorb_count]);
        size += 48 * ((size_t)xorbs[shard.xorb_count++].count + 1);
    }
    for (; *xorb == s->made_count && *file < s->count && size < SHARD_PART; ++*file) {
        fill_file(s, &s->files[*file], a, &files[shard.file_count]);
        size += 96 * ((size_t)files[shard.file_count++].count + 1);
    }
    shard.xorbs = xorbs;
    shard.files = files;
    xet_shard_write(&shard, NULL, &bytes);
    snug_status st = snug_buf_check(&bytes, "the list of a file's parts", err);
    if (st == SNUG_OK) st = post_shard(s, snug_buf_slice(&bytes), err);
    snug_buf_deinit(&bytes);
    snug_arena_free(a);
    return st;
}

snug_status pack_register(pack_session *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      xorb = 0, file = 0;
    remote_crew_what(s->c, "registering what was sent");
    while (st == SNUG_OK && (xorb < s->made_count || file < s->count))
        st = post_part(s, &xorb, &file, err);
    return st;
}
