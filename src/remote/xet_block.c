/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_block.c - one block of a file: ask what it is made of, fetch that, put it in place.
 *
 *     reconstruction of [first, first + want) -> spans of xorbs -> records -> chunks -> pwrite
 *
 * For:     xet_download.c.
 * Owns:    a record and a chunk in memory; a span when it is kept for the chunk cache.
 * Threads: a block belongs to one thread; blocks of a file run side by side.
 * Truth:   every byte of the block was written when SNUG_OK comes back; whether they are right the
 *          hash of the whole file decides. What arrived before a loss is not asked for again. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "remote/xet_span.h"

enum { RECORD_HEADER = 8, KEEP_LOOK = 1 << 20, KEEP_ENTRY = 4 << 20 };

typedef struct block {
    remote_xjob    *jb;
    uint64_t        first, want; /* of the file */
    snug_arena     *a;           /* of the answer in hand; NULL: none */
    bool            stale;       /* its addresses have expired */
    remote_recon    rc;
    uint64_t       *sent;  /* for each term: bytes of it seen so far */
    size_t          span;  /* under way */
    uint32_t        chunk; /* of it, next */
    uint64_t        at;    /* stored byte of it, next */
    uint64_t        counted, written;
    unsigned char  *raw;     /* XET_CHUNK_MAX */
    snug_buf        pending; /* a record that has not come whole */
    bool            looked;  /* into the cache, for this span */
    remote_patience wait;
    /* what is kept of the span under way for the chunk cache */
    bool     keep;
    uint32_t kept_first;
    uint64_t kept_ms;
    snug_buf kept, kept_hashes, kept_ends;
} block;

/* ---- one chunk into the file ---- */

static snug_status write_at(block *b, const unsigned char *p, size_t n, uint64_t at, snug_err *err)
{
    while (n > 0) {
        ssize_t put = SNUG_FAULT("remote.write") ? -1 : pwrite(b->jb->fd, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return remote_fail_file(err, errno, "write", b->jb->f->label);
        p += put;
        n -= (size_t)put;
        at += (uint64_t)put;
    }
    return SNUG_OK;
}

/* `from` is where the chunk lies, counted from the start of the first term. */
static snug_status put_piece(block *b, uint64_t from, snug_slice raw, snug_err *err)
{
    uint64_t low = b->rc.skip, high = b->rc.skip + b->want, to = from + raw.len;
    uint64_t a = from > low ? from : low, z = to < high ? to : high;
    if (a >= z) return SNUG_OK;
    snug_status st = write_at(b, (const unsigned char *)raw.ptr + (a - from), (size_t)(z - a),
                              b->first + (a - low), err);
    if (st != SNUG_OK) return st;
    b->written += z - a;
    if (b->written > b->counted) {
        if (!b->jb->again) atomic_fetch_add(&b->jb->c->done, b->written - b->counted);
        b->counted = b->written;
    }
    return SNUG_OK;
}

/* Chunk `index` of the span under way: into every term that has it. */
static snug_status take_chunk(void *arg, uint32_t index, snug_slice raw, snug_err *err)
{
    block *b = arg;
    if (atomic_load(&b->jb->c->stop) || atomic_load(&b->jb->failed))
        return snug_fail(err, SNUG_ECANCELED, "canceled");
    for (size_t i = 0; i < b->rc.term_count; i++) {
        const remote_term *t = &b->rc.terms[i];
        if (t->span != b->span || index < t->start || index >= t->end) continue;
        if (b->sent[i] + raw.len > t->raw_size)
            return snug_fail(err, SNUG_ECORRUPT, "%s: a part is longer than the store said",
                             b->jb->f->label);
        snug_status st = put_piece(b, t->at + b->sent[i], raw, err);
        if (st != SNUG_OK) return st;
        b->sent[i] += raw.len;
    }
    b->chunk = index + 1;
    return SNUG_OK;
}

/* ---- keeping for later ---- */

static void begin_keeping(block *b)
{
    b->keep = b->jb->x->chunks != NULL && !b->jb->again;
    b->kept_first = b->chunk;
    b->kept_ms = snug_mono_ms();
    snug_buf_clear(&b->kept);
    snug_buf_clear(&b->kept_hashes);
    snug_buf_clear(&b->kept_ends);
}

static void keep_record(block *b, snug_slice record, snug_slice raw)
{
    if (!b->keep) return;
    xet_hash h = xet_chunk_hash(raw);
    snug_buf_put_slice(&b->kept, record);
    snug_buf_put(&b->kept_hashes, h.b, sizeof h.b);
    uint32_t end = (uint32_t)b->kept.len;
    snug_buf_put(&b->kept_ends, &end, sizeof end);
    b->keep = !b->kept.full &&
              (b->kept.len < KEEP_LOOK ||
               remote_chunks_wants(b->jb->x->chunks, b->kept.len, snug_mono_ms() - b->kept_ms));
}

static void end_keeping(block *b)
{
    uint32_t n = b->chunk - b->kept_first;
    if (b->keep && n > 0 &&
        remote_chunks_wants(b->jb->x->chunks, b->kept.len, snug_mono_ms() - b->kept_ms)) {
        remote_chunks_put(b->jb->x->chunks, &b->rc.spans[b->span].xorb, b->kept_first, n,
                          (const xet_hash *)b->kept_hashes.ptr, (const uint32_t *)b->kept_ends.ptr,
                          snug_buf_slice(&b->kept));
    }
    b->keep = false;
}

/* ---- records as they arrive ---- */

static snug_status take_record(block *b, snug_slice record, snug_err *err)
{
    const remote_span *s = &b->rc.spans[b->span];
    uint32_t           raw, stored;
    snug_status        st = SNUG_OK;
    if (b->chunk >= s->end)
        SNUG_FAIL(err, SNUG_ECORRUPT, "%s: the store sent more parts than it promised",
                  b->jb->f->label);
    SNUG_TRY(xet_record_decode(record, b->raw, &raw, &stored, err));
    uint32_t index = b->chunk;
    SNUG_TRY(take_chunk(b, index, snug_slice_of(b->raw, raw), err));
    b->at += stored;
    keep_record(b, record, snug_slice_of(b->raw, raw));
    if (b->keep && b->kept.len >= KEEP_ENTRY) {
        end_keeping(b);
        begin_keeping(b);
    }
done:
    return st;
}

static size_t record_size(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return RECORD_HEADER + ((size_t)u[1] | (size_t)u[2] << 8 | (size_t)u[3] << 16);
}

static snug_status take_bytes(void *arg, int status, snug_slice part, snug_err *err)
{
    block       *b = arg;
    remote_span *s = &b->rc.spans[b->span];
    (void)status;
    if (part.len > s->to - b->at - b->pending.len)
        return snug_fail(err, SNUG_ECORRUPT, "%s: the store sent more than was asked for",
                         b->jb->f->label);
    atomic_fetch_add(&b->jb->c->network, part.len);
    remote_pace_moved(&b->jb->x->pace, part.len);
    while (part.len > 0) {
        snug_status st;
        size_t      size = part.len >= RECORD_HEADER ? record_size(part.ptr) : SIZE_MAX;
        if (b->pending.len == 0 && part.len >= size) { /* whole, where it lies */
            st = take_record(b, snug_sub(part, 0, size), err);
            if (st != SNUG_OK) return st;
            part = snug_sub(part, size, SIZE_MAX);
            continue;
        }
        size = b->pending.len < RECORD_HEADER ? RECORD_HEADER : record_size(b->pending.ptr);
        size_t take = size - b->pending.len < part.len ? size - b->pending.len : part.len;
        snug_buf_put(&b->pending, part.ptr, take);
        part = snug_sub(part, take, SIZE_MAX);
        if (b->pending.full)
            return snug_fail(err, SNUG_ECORRUPT, "%s: a part is larger than can be",
                             b->jb->f->label);
        if (b->pending.len < RECORD_HEADER || b->pending.len < record_size(b->pending.ptr))
            continue;
        st = take_record(b, snug_buf_slice(&b->pending), err);
        snug_buf_clear(&b->pending);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

/* ---- one span ---- */

static snug_status fetch_span(block *b, http_answer *ans, snug_err *err)
{
    snug_status  st = SNUG_OK;
    remote_span *s = &b->rc.spans[b->span];
    snug_arena  *a = snug_arena_new();
    uint64_t     began = b->at;
    remote_ask   q = {.method = "GET",
                      .url = s->url,
                      .anonymous = true,
                      .single = true,
                      .identity = true,
                      .stay = true,
                      .push = take_bytes,
                      .push_arg = b,
                      .with_range = true,
                      .range_first = b->at,
                      .range_last = s->to - 1,
                      .cancel = &b->jb->c->stop};
    snug_buf_clear(&b->pending);
    begin_keeping(b);
    SNUG_TRY(remote_exchange(b->jb->f->r, &q, a, ans, err));
    if (ans->status >= 300)
        SNUG_FAIL(err, SNUG_EREMOTE, "the Xet store redirects, which it must not");
    if (b->at < s->to) {
        int status = ans->status;
        ans->status = 0; /* not the refusal it would look like */
        if (status == 206 || ans->body_bytes > 0)
            SNUG_FAIL(err, SNUG_EREMOTE, "%s: the connection ended early", b->jb->f->label);
        SNUG_FAIL(err, SNUG_EREMOTE, "%s: the store sent nothing", b->jb->f->label);
    }
    if (b->chunk != s->end)
        SNUG_FAIL(err, SNUG_ECORRUPT, "%s: the store sent fewer parts than it promised",
                  b->jb->f->label);
done:
    if (b->at > began) remote_patience_reset(&b->wait);
    end_keeping(b);
    if (ans->headers != NULL) { /* they lie in the arena; only Retry-After outlives it */
        uint64_t   s_after;
        snug_slice after = http_answer_header(ans, "Retry-After");
        ans->header_count = 0;
        if (ans->status >= 400 && snug_parse_u64(after, &s_after) && b->a != NULL) {
            ans->headers = snug_arena_alloc(b->a, sizeof *ans->headers);
            ans->headers[0] = (http_header){SNUG_LIT("Retry-After"), snug_arena_dup(b->a, after)};
            ans->header_count = 1;
        }
    }
    snug_arena_free(a);
    return st;
}

static snug_status next_span(block *b, http_answer *ans, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const remote_span *s = &b->rc.spans[b->span];
    *ans = (http_answer){0};
    if (!b->looked) {
        uint32_t next = s->start;
        uint64_t before = b->written;
        b->looked = true;
        b->chunk = s->start;
        b->at = s->from;
        if (!b->jb->again)
            SNUG_TRY(remote_chunks_get(b->jb->x->chunks, &s->xorb, s->start, s->end, take_chunk, b,
                                       &next, err));
        /* A part of a span has no address of its own in stored bytes: only the whole helps. */
        if (next == s->end) b->at = s->to;
        if (next != s->end && next != s->start) {
            b->written = before;
            b->chunk = s->start;
            for (size_t i = 0; i < b->rc.term_count; i++)
                if (b->rc.terms[i].span == b->span) b->sent[i] = 0;
        }
    }
    if (b->at < s->to) SNUG_TRY(fetch_span(b, ans, err));
    b->span++;
    b->looked = false;
done:
    return st;
}

/* ---- what it is made of ---- */

static void drop_answer(block *b)
{
    snug_arena_free(b->a);
    b->a = NULL;
    b->stale = false;
    b->span = 0;
    b->looked = false;
    b->written = 0;
}

static snug_status ask_version(block *b, unsigned version, snug_arena *a, snug_buf *body,
                               http_answer *ans, snug_err *err)
{
    char text[65];
    xet_hash_text(&b->jb->f->xet, text);
    remote_ask q = {.method = "GET",
                    .accept = "application/json",
                    .into = body,
                    .with_range = true,
                    .range_first = b->first,
                    .range_last = b->first + b->want - 1};
    return remote_door_ask(b->jb->x->door, b->jb->c, &q,
                           snug_arena_printf(a, "/v%u/reconstructions/%s", version, text).ptr, a,
                           ans, err);
}

static bool same_parts(const remote_recon *x, const remote_recon *y)
{
    bool same =
        x->skip == y->skip && x->term_count == y->term_count && x->span_count == y->span_count;
    for (size_t i = 0; same && i < x->term_count; i++) {
        const remote_term *s = &x->terms[i], *t = &y->terms[i];
        same = xet_hash_eq(&s->xorb, &t->xorb) && s->start == t->start && s->end == t->end &&
               s->raw_size == t->raw_size && s->span == t->span;
    }
    for (size_t i = 0; same && i < x->span_count; i++) {
        const remote_span *s = &x->spans[i], *t = &y->spans[i];
        same = xet_hash_eq(&s->xorb, &t->xorb) && s->start == t->start && s->end == t->end &&
               s->from == t->from && s->to == t->to;
    }
    return same;
}

/* The same parts under new addresses: it goes on where it was. Others: from the start. */
static void take_plan(block *b, snug_arena *a_owned, const remote_recon *rc)
{
    uint64_t *sent = snug_arena_zalloc(a_owned, (rc->term_count + 1) * sizeof *sent);
    if (b->a != NULL && same_parts(&b->rc, rc)) {
        memcpy(sent, b->sent, rc->term_count * sizeof *sent);
        snug_arena_free(b->a);
        b->stale = false;
    } else {
        drop_answer(b);
    }
    b->rc = *rc;
    b->sent = sent;
    b->a = a_owned;
}

static snug_status ask_plan(block *b, http_answer *ans, snug_err *err)
{
    snug_status  st = SNUG_OK;
    remote_recon rc;
    snug_arena  *a = snug_arena_new();
    snug_buf     body = snug_buf_init(64u << 20);
    snug_json    v;
    atomic_bool *old = remote_door_old_plans(b->jb->x->door);
    bool         secure = strncmp(b->jb->f->r->endpoint, "https:", 6) == 0;
    st = ask_version(b, atomic_load(old) ? 1 : 2, a, &body, ans, err);
    if (st != SNUG_OK && (ans->status == 404 || ans->status == 501) && !atomic_load(old)) {
        snug_err_clear(err);
        snug_buf_clear(&body);
        st = ask_version(b, 1, a, &body, ans, err);
        if (st == SNUG_OK) atomic_store(old, true);
    }
    if (ans->status == 404 || ans->status == 501 || (st == SNUG_ENOTFOUND && ans->status == 0))
        st = SNUG_EUNSUPPORTED;
    if (st != SNUG_OK) goto done;
    if (snug_json_parse(a, snug_buf_slice(&body), NULL, &v, err) != SNUG_OK)
        SNUG_FAIL(err, SNUG_EREMOTE, "the Xet store's answer is not JSON");
    SNUG_TRY(remote_recon_read(v, a, b->want, secure, &rc, err));
    take_plan(b, a, &rc);
    a = NULL; /* lives as long as the answer */
done:
    if (a != NULL) *ans = (http_answer){.status = ans->status};
    snug_arena_free(a);
    snug_buf_deinit(&body);
    return st;
}

/* ---- the block ---- */

static snug_status check_terms(const block *b, snug_err *err)
{
    for (size_t i = 0; i < b->rc.term_count; i++) {
        if (b->sent[i] != b->rc.terms[i].raw_size)
            return snug_fail(err, SNUG_ECORRUPT, "%s: a part is shorter than the store said",
                             b->jb->f->label);
    }
    return SNUG_OK;
}

/* As far as it goes without a loss. *expired: the addresses have to be asked for anew. */
static snug_status go_on(block *b, http_answer *ans, bool *expired, snug_err *err)
{
    snug_status st = SNUG_OK;
    *expired = false;
    *ans = (http_answer){0};
    if (b->a == NULL || b->stale) SNUG_TRY(ask_plan(b, ans, err));
    while (b->span < b->rc.span_count) {
        st = next_span(b, ans, err);
        *expired = st != SNUG_OK && ans->status == 403;
        if (st != SNUG_OK) goto done;
    }
    *ans = (http_answer){0};
    SNUG_TRY(check_terms(b, err));
done:
    return st;
}

snug_status remote_block_fetch(remote_xjob *jb, uint32_t index, snug_err *err)
{
    snug_status st;
    uint64_t    first = (uint64_t)index * jb->b.block, left = jb->b.size - first;
    block       b = {.jb = jb,
                     .first = first,
                     .want = left < jb->b.block ? left : jb->b.block,
                     .wait = {.crew = jb->c, .pace = &jb->x->pace},
                     .pending = snug_buf_init(RECORD_HEADER + XET_CHUNK_STORED_MAX),
                     .kept = snug_buf_init(XET_XORB_BODY_MAX),
                     .kept_hashes = snug_buf_init(32u * REMOTE_CHUNKS_ASKED_MAX),
                     .kept_ends = snug_buf_init(4u * REMOTE_CHUNKS_ASKED_MAX)};
    uint64_t    renewed_at = 0;
    b.raw = snug_alloc(XET_CHUNK_MAX);
    for (unsigned expirations = 0, damages = 0;;) {
        http_answer ans;
        bool        expired;
        snug_err_clear(err);
        st = go_on(&b, &ans, &expired, err);
        if (st == SNUG_OK || atomic_load(&jb->failed)) break;
        if (expired && b.written > renewed_at) expirations = 0; /* short-lived, but of use */
        if (expired && ++expirations <= 3) {
            remote_crew_why(jb->c, "the store's link expired and is being renewed");
            renewed_at = b.written;
            b.stale = true;
            continue;
        }
        if (st == SNUG_ECORRUPT && ++damages <= 3) {
            remote_crew_why(jb->c, "the data arrives damaged");
            remote_pace_hurt(&jb->x->pace);
            drop_answer(&b);
            continue;
        }
        if (!remote_patience_again(&b.wait, st, &ans, err)) break;
    }
    snug_arena_free(b.a);
    snug_buf_deinit(&b.pending);
    snug_buf_deinit(&b.kept);
    snug_buf_deinit(&b.kept_hashes);
    snug_buf_deinit(&b.kept_ends);
    free(b.raw);
    return st;
}
