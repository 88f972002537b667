/* SPDX-License-Identifier: Apache-2.0 */
/* xet/check.c - validates a xorb while it arrives.
 *
 *     [record][record]...[record]            then nothing, or a footer of version 0 or 1
 *
 * For:     the server, which stores records as they prove sound; tests and fuzzing of whole bodies.
 * Owns:    one record (or the footer) and the list of chunks: no more than 1 MB, whatever arrives.
 * Threads: a checker belongs to its caller.
 * Truth:   a record is handed on only after it was decoded and hashed; a xorb has a name only after
 *          the last of them. A chunk header begins with a zero byte and a footer does not, so there
 *          is no doubt where the records end. */
#include <stdlib.h>
#include <string.h>

#include "xet/xet.h"

enum { RECORD_HEADER = 8, FOOTER_V1_FIXED = 92, FOOTER_V0_FIXED = 60 };
enum { FOOTER_MAX = FOOTER_V1_FIXED + 40 * XET_XORB_CHUNKS_MAX + 4 };

static const char footer_tag[7] = {'X', 'E', 'T', 'B', 'L', 'O', 'B'};

struct xet_checker {
    unsigned char  *raw;     /* XET_CHUNK_MAX: the chunk being hashed */
    snug_buf        pending; /* a record, or the footer, that has not come whole yet */
    bool            in_footer;
    xet_xorb_chunk *chunks;
    uint32_t        count, cap, raw_end, stored_end;
    xet_merkle     *tree;
    xet_record_fn  *put;
    void           *arg;
};

xet_checker *xet_checker_new(xet_record_fn *put_or_null, void *arg)
{
    xet_checker *c = snug_zalloc(sizeof *c);
    c->raw = snug_alloc(XET_CHUNK_MAX);
    c->pending = snug_buf_init(FOOTER_MAX + RECORD_HEADER);
    c->tree = xet_merkle_new();
    c->put = put_or_null;
    c->arg = arg;
    return c;
}

void xet_checker_free(xet_checker *c)
{
    if (c == NULL) return;
    if (c->tree != NULL) (void)xet_merkle_finish(c->tree);
    snug_buf_deinit(&c->pending);
    free(c->chunks);
    free(c->raw);
    free(c);
}

/* ---- records ---- */

static void add_chunk(xet_checker *c, const xet_hash *hash, uint32_t raw, uint32_t stored)
{
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 256 : c->cap * 2;
        c->chunks = snug_realloc(c->chunks, c->cap * sizeof *c->chunks);
    }
    c->raw_end += raw; /* 8192 chunks of 128 KiB: exactly 2^30 */
    c->stored_end += stored;
    c->chunks[c->count++] = (xet_xorb_chunk){*hash, raw, c->raw_end, c->stored_end};
    xet_merkle_add(c->tree, hash, raw);
}

static snug_status take_record(xet_checker *c, snug_slice record, snug_err *err)
{
    snug_status st = SNUG_OK;
    uint32_t    stored;
    snug_slice  bytes;
    if (c->count == XET_XORB_CHUNKS_MAX)
        SNUG_FAIL(err, SNUG_ECORRUPT, "a xorb holds at most %d chunks", XET_XORB_CHUNKS_MAX);
    SNUG_TRY(xet_record_view(record, c->raw, &bytes, &stored, err));
    xet_hash hash = xet_chunk_hash(bytes);
    add_chunk(c, &hash, (uint32_t)bytes.len, stored);
    if (c->put != NULL) SNUG_TRY(c->put(c->arg, record, err));
done:
    return st;
}

/* How long the record is whose first eight bytes are here; 0: it is the footer that begins. */
static snug_status record_size(const unsigned char *head, size_t *size, snug_err *err)
{
    uint32_t stored = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16;
    *size = 0;
    if (memcmp(head, footer_tag, sizeof footer_tag) == 0) return SNUG_OK;
    if (head[0] != 0) return snug_fail(err, SNUG_ECORRUPT, "chunk version %u is unknown", head[0]);
    if (stored == 0 || stored > XET_CHUNK_STORED_MAX)
        return snug_fail(err, SNUG_ECORRUPT, "a chunk of %u stored bytes is outside the limits",
                         stored);
    *size = RECORD_HEADER + stored;
    return SNUG_OK;
}

/* Takes bytes until `pending` holds `want` of them; true when it does. */
static bool collect(xet_checker *c, snug_slice *bytes, size_t want)
{
    size_t have = c->pending.len, take = want - have < bytes->len ? want - have : bytes->len;
    snug_buf_put(&c->pending, bytes->ptr, take);
    *bytes = snug_sub(*bytes, take, bytes->len);
    return c->pending.len == want;
}

/* One record, straight from the input when it lies there whole. */
static snug_status next_record(xet_checker *c, snug_slice *bytes, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      size;
    bool        direct = c->pending.len == 0 && bytes->len >= RECORD_HEADER;

    if (!direct && c->pending.len < RECORD_HEADER && !collect(c, bytes, RECORD_HEADER)) goto done;
    const char *head = direct ? bytes->ptr : c->pending.ptr;
    SNUG_TRY(record_size((const unsigned char *)head, &size, err));
    if (size == 0) {
        c->in_footer = true;
    } else if (direct && bytes->len >= size) {
        SNUG_TRY(take_record(c, snug_sub(*bytes, 0, size), err));
        *bytes = snug_sub(*bytes, size, bytes->len);
    } else if (collect(c, bytes, size)) {
        st = take_record(c, snug_buf_slice(&c->pending), err);
        snug_buf_clear(&c->pending);
    }
done:
    return st;
}

snug_status xet_checker_feed(xet_checker *c, snug_slice bytes, snug_err *err)
{
    snug_status st = SNUG_OK;
    while (bytes.len > 0 && !c->in_footer) SNUG_TRY(next_record(c, &bytes, err));
    if (bytes.len == 0) goto done;
    if (bytes.len > FOOTER_MAX - c->pending.len)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the xorb's footer is longer than any");
    snug_buf_put_slice(&c->pending, bytes);
done:
    return st;
}

/* ---- the footer ---- */

static bool take_tag(snug_rd *r, const char *tag, uint8_t version)
{
    snug_slice s = snug_rd_bytes(r, 7);
    return snug_rd_u8(r) == version && !r->bad && memcmp(s.ptr, tag, 7) == 0;
}

static bool take_hash(snug_rd *r, const xet_hash *want)
{
    snug_slice s = snug_rd_bytes(r, 32);
    return !r->bad && memcmp(s.ptr, want->b, 32) == 0;
}

static bool check_v1(snug_rd *r, const xet_xorb *x)
{
    uint32_t n = x->count;
    if (!take_hash(r, &x->hash) || !take_tag(r, "XBLBHSH", 0) || snug_rd_u32le(r) != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_hash(r, &x->chunks[i].hash)) return false;
    }
    if (!take_tag(r, "XBLBBND", 1) || snug_rd_u32le(r) != n) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (snug_rd_u32le(r) != x->chunks[i].stored_end) return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (snug_rd_u32le(r) != x->chunks[i].raw_end) return false;
    }
    if (snug_rd_u32le(r) != n || snug_rd_u32le(r) != 52 + 40 * n || snug_rd_u32le(r) != 40 + 8 * n)
        return false;
    (void)snug_rd_bytes(r, 16);
    return snug_rd_u32le(r) == FOOTER_V1_FIXED + 40 * n && !r->bad && snug_rd_left(r) == 0;
}

static bool check_v0(snug_rd *r, const xet_xorb *x)
{
    uint32_t n = x->count;
    if (!take_hash(r, &x->hash) || snug_rd_u32le(r) != n) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (snug_rd_u32le(r) != x->chunks[i].stored_end) return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!take_hash(r, &x->chunks[i].hash)) return false;
    }
    (void)snug_rd_bytes(r, 16);
    return snug_rd_u32le(r) == FOOTER_V0_FIXED + 36 * n && !r->bad && snug_rd_left(r) == 0;
}

static snug_status check_footer(snug_slice footer, const xet_xorb *x, snug_err *err)
{
    snug_rd r = snug_rd_init(footer);
    (void)snug_rd_bytes(&r, sizeof footer_tag);
    uint8_t version = snug_rd_u8(&r);
    bool    ok = version == 1 ? check_v1(&r, x) : version == 0 && check_v0(&r, x);
    if (!ok)
        return snug_fail(err, SNUG_ECORRUPT, "the xorb's footer does not agree with its chunks");
    return SNUG_OK;
}

/* ---- the end ---- */

snug_status xet_checker_finish(xet_checker *c, snug_arena *a, const xet_hash *expect, xet_xorb *out,
                               snug_err *err)
{
    xet_xorb x = {.count = c->count, .body_size = c->stored_end};
    if (!c->in_footer && c->pending.len > 0)
        return snug_fail(err, SNUG_ECORRUPT, "a chunk is cut off");
    if (c->count == 0) return snug_fail(err, SNUG_ECORRUPT, "a xorb holds at least one chunk");
    x.hash = xet_merkle_finish(c->tree);
    c->tree = NULL;
    if (expect != NULL && !xet_hash_eq(&x.hash, expect)) {
        char text[65];
        xet_hash_text(&x.hash, text);
        return snug_fail(err, SNUG_ECORRUPT, "the xorb's content has the hash %s", text);
    }
    x.chunks = snug_arena_array_try(a, x.count, sizeof *x.chunks);
    if (x.chunks == NULL) return snug_fail(err, SNUG_ENOMEM, "out of memory checking a xorb");
    memcpy(x.chunks, c->chunks, x.count * sizeof *x.chunks);
    if (c->in_footer) {
        snug_status st = check_footer(snug_buf_slice(&c->pending), &x, err);
        if (st != SNUG_OK) return st;
    }
    *out = x;
    return SNUG_OK;
}

snug_status xet_xorb_check(snug_arena *a, snug_slice body, const xet_hash *expect, xet_xorb *out,
                           snug_err *err)
{
    if (body.len > XET_XORB_BODY_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a xorb has at most %d bytes", XET_XORB_BODY_MAX);
    xet_checker *c = xet_checker_new(NULL, NULL);
    snug_status  st = xet_checker_feed(c, body, err);
    if (st == SNUG_OK) st = xet_checker_finish(c, a, expect, out, err);
    xet_checker_free(c);
    return st;
}
