/* SPDX-License-Identifier: Apache-2.0 */
/* xet/xorb.c - records of chunks back to back, with or without a footer.
 *
 * For:     the server (checking uploads, serving ranges) and the client (building, decoding).
 * Truth:   a xorb has a name only after every byte of it was decoded and hashed.
 *
 *     record:  version 0 (1)  stored size (3)  scheme (1)  raw size (3)  payload (stored size) */
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#include "xet/xet.h"

enum { RECORD_HEADER = 8, FOOTER_V1_FIXED = 92, FOOTER_V0_FIXED = 60 };

static const char footer_tag[7] = {'X', 'E', 'T', 'B', 'L', 'O', 'B'};

static uint32_t u24(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* Group i of byte grouping: how many of n positions p have p mod 4 == i. */
static uint32_t lane_size(uint32_t n, uint32_t i) { return n / 4 + (i < n % 4 ? 1u : 0u); }

static void bg4_split(const unsigned char *raw, uint32_t n, unsigned char *out)
{
    for (uint32_t lane = 0; lane < 4; lane++) {
        uint32_t size = lane_size(n, lane);
        for (uint32_t i = 0; i < size; i++) *out++ = raw[4 * i + lane];
    }
}

static void bg4_join(const unsigned char *grouped, uint32_t n, unsigned char *out)
{
    for (uint32_t lane = 0; lane < 4; lane++) {
        uint32_t size = lane_size(n, lane);
        for (uint32_t i = 0; i < size; i++) out[4 * i + lane] = *grouped++;
    }
}

/* One LZ4 frame that must give exactly n bytes and end where the payload ends. */
static bool lz4_unpack(const unsigned char *in, size_t in_size, unsigned char *out, uint32_t n)
{
    LZ4F_dctx *ctx = NULL;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION))) return false;
    size_t done = 0, used = 0, hint = 1;
    while (used < in_size && hint != 0) {
        size_t put = n - done, take = in_size - used;
        hint = LZ4F_decompress(ctx, out + done, &put, in + used, &take, NULL);
        if (LZ4F_isError(hint) || (put == 0 && take == 0)) break;
        done += put;
        used += take;
    }
    bool ok = hint == 0 && done == n && used == in_size;
    (void)LZ4F_freeDecompressionContext(ctx);
    return ok;
}

snug_status xet_record_decode(snug_slice records, unsigned char *out, uint32_t *raw_size,
                              uint32_t *stored_size, snug_err *err)
{
    const unsigned char *p = (const unsigned char *)records.ptr;
    if (records.len < RECORD_HEADER)
        return snug_fail(err, SNUG_ECORRUPT, "a chunk header is cut off");
    uint32_t stored = u24(p + 1), raw = u24(p + 5);
    if (p[0] != 0) return snug_fail(err, SNUG_ECORRUPT, "chunk version %u is unknown", p[0]);
    if (raw == 0 || raw > XET_CHUNK_MAX || stored == 0 || stored > XET_CHUNK_STORED_MAX)
        return snug_fail(err, SNUG_ECORRUPT,
                         "a chunk of %u bytes (%u stored) is outside the limits", raw, stored);
    if (records.len - RECORD_HEADER < stored)
        return snug_fail(err, SNUG_ECORRUPT, "a chunk's payload is cut off");
    const unsigned char *payload = p + RECORD_HEADER;
    bool                 ok = false;
    switch (p[4]) {
    case XET_NONE:
        ok = stored == raw;
        if (ok) memcpy(out, payload, raw);
        break;
    case XET_LZ4: ok = lz4_unpack(payload, stored, out, raw); break;
    case XET_BG4_LZ4: {
        unsigned char *grouped = snug_alloc(raw);
        ok = lz4_unpack(payload, stored, grouped, raw);
        if (ok) bg4_join(grouped, raw, out);
        free(grouped);
        break;
    }
    default: return snug_fail(err, SNUG_ECORRUPT, "chunk compression scheme %u is unknown", p[4]);
    }
    if (!ok)
        return snug_fail(err, SNUG_ECORRUPT, "a chunk does not decode to its stated %u bytes", raw);
    *raw_size = raw;
    *stored_size = RECORD_HEADER + stored;
    return SNUG_OK;
}

/* ---- checking a whole xorb ---- */

static bool at_footer(snug_slice rest)
{
    return rest.len >= sizeof footer_tag && memcmp(rest.ptr, footer_tag, sizeof footer_tag) == 0;
}

/* How many records there are, by their headers alone; bounds the allocation that follows. */
static snug_status count_records(snug_slice body, uint32_t *count, snug_err *err)
{
    size_t at = 0;
    *count = 0;
    while (at < body.len && !at_footer(snug_sub(body, at, body.len))) {
        if (body.len - at < RECORD_HEADER)
            return snug_fail(err, SNUG_ECORRUPT, "a chunk header is cut off");
        at += RECORD_HEADER + u24((const unsigned char *)body.ptr + at + 1);
        if (at > body.len) return snug_fail(err, SNUG_ECORRUPT, "a chunk's payload is cut off");
        if (++*count > XET_XORB_CHUNKS_MAX)
            return snug_fail(err, SNUG_ECORRUPT, "a xorb holds at most %d chunks",
                             XET_XORB_CHUNKS_MAX);
    }
    if (*count == 0) return snug_fail(err, SNUG_ECORRUPT, "a xorb holds at least one chunk");
    return SNUG_OK;
}

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

static snug_status decode_all(snug_slice body, xet_xorb *x, snug_err *err)
{
    snug_status    st = SNUG_OK;
    unsigned char *raw = snug_alloc(XET_CHUNK_MAX);
    xet_leaf      *leaves = snug_alloc(x->count * sizeof *leaves);
    uint32_t       at = 0, raw_end = 0;
    for (uint32_t i = 0; i < x->count; i++) {
        uint32_t raw_size, stored;
        SNUG_TRY(xet_record_decode(snug_sub(body, at, body.len), raw, &raw_size, &stored, err));
        at += stored;
        raw_end += raw_size; /* 8192 chunks of 128 KiB: exactly 2^30 */
        xet_hash hash = xet_chunk_hash(snug_slice_of(raw, raw_size));
        x->chunks[i] = (xet_xorb_chunk){hash, raw_size, raw_end, at};
        leaves[i] = (xet_leaf){hash, raw_size};
    }
    x->body_size = at;
    x->hash = xet_merkle_root(leaves, x->count);
done:
    free(leaves);
    free(raw);
    return st;
}

snug_status xet_xorb_check(snug_arena *a, snug_slice body, const xet_hash *expect, xet_xorb *out,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_xorb    x = {.count = 0};
    if (body.len > XET_XORB_BODY_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a xorb has at most %d bytes", XET_XORB_BODY_MAX);
    SNUG_TRY(count_records(body, &x.count, err));
    x.chunks = snug_arena_array_try(a, x.count, sizeof *x.chunks);
    if (x.chunks == NULL) return snug_fail(err, SNUG_ENOMEM, "out of memory checking a xorb");
    SNUG_TRY(decode_all(body, &x, err));
    if (expect != NULL && !xet_hash_eq(&x.hash, expect)) {
        char text[65];
        xet_hash_text(&x.hash, text);
        return snug_fail(err, SNUG_ECORRUPT, "the xorb's content has the hash %s", text);
    }
    if (x.body_size < body.len)
        SNUG_TRY(check_footer(snug_sub(body, x.body_size, body.len), &x, err));
    *out = x;
done:
    return st;
}

/* ---- building ---- */

static size_t lz4_pack(const unsigned char *in, uint32_t n, unsigned char *out, size_t cap)
{
    LZ4F_preferences_t prefs;
    memset(&prefs, 0, sizeof prefs);
    prefs.frameInfo.blockMode = LZ4F_blockIndependent;
    prefs.frameInfo.blockSizeID = n <= 65536 ? LZ4F_max64KB : LZ4F_max256KB;
    size_t size = LZ4F_compressFrame(out, cap, in, n, &prefs);
    return LZ4F_isError(size) ? SIZE_MAX : size;
}

/* Numbers of four bytes show in their lanes: the high bytes of neighbours are alike. Compares how
 * often a byte equals the one four before it with how often it equals its neighbour. */
static bool looks_like_numbers(const unsigned char *p, uint32_t n)
{
    uint32_t lanes = 0, neighbours = 0;
    for (uint32_t i = 4; i < n; i += 3) {
        lanes += p[i] == p[i - 4];
        neighbours += p[i] == p[i - 1];
    }
    return lanes > neighbours + n / 64;
}

static void put_record(snug_buf *body, unsigned scheme, const void *payload, size_t stored,
                       uint32_t raw)
{
    unsigned char head[RECORD_HEADER] = {0,
                                         (unsigned char)stored,
                                         (unsigned char)(stored >> 8),
                                         (unsigned char)(stored >> 16),
                                         (unsigned char)scheme,
                                         (unsigned char)raw,
                                         (unsigned char)(raw >> 8),
                                         (unsigned char)(raw >> 16)};
    snug_buf_put(body, head, sizeof head);
    snug_buf_put(body, payload, stored);
}

void xet_record_put(snug_buf *body, snug_slice chunk)
{
    SNUG_ASSERT(chunk.len > 0 && chunk.len <= XET_CHUNK_MAX);
    const unsigned char *raw = (const unsigned char *)chunk.ptr;
    uint32_t             n = (uint32_t)chunk.len;
    size_t               cap = LZ4F_compressFrameBound(n, NULL) + 64;
    unsigned char       *packed = snug_alloc(cap);
    unsigned             scheme = XET_LZ4;
    size_t               stored;
    if (looks_like_numbers(raw, n)) {
        unsigned char *grouped = snug_alloc(n);
        bg4_split(raw, n, grouped);
        stored = lz4_pack(grouped, n, packed, cap);
        scheme = XET_BG4_LZ4;
        free(grouped);
    } else {
        stored = lz4_pack(raw, n, packed, cap);
    }
    if (stored < n) {
        put_record(body, scheme, packed, stored, n);
    } else {
        put_record(body, XET_NONE, raw, n, n);
    }
    free(packed);
}

static void put_u32(snug_buf *b, uint32_t v)
{
    unsigned char le[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                           (unsigned char)(v >> 24)};
    snug_buf_put(b, le, 4);
}

void xet_footer_put(snug_buf *body, const xet_xorb *x)
{
    static const unsigned char reserved[16];
    uint32_t                   n = x->count;
    snug_buf_put(body, "XETBLOB\1", 8);
    snug_buf_put(body, x->hash.b, 32);
    snug_buf_put(body, "XBLBHSH\0", 8);
    put_u32(body, n);
    for (uint32_t i = 0; i < n; i++) snug_buf_put(body, x->chunks[i].hash.b, 32);
    snug_buf_put(body, "XBLBBND\1", 8);
    put_u32(body, n);
    for (uint32_t i = 0; i < n; i++) put_u32(body, x->chunks[i].stored_end);
    for (uint32_t i = 0; i < n; i++) put_u32(body, x->chunks[i].raw_end);
    put_u32(body, n);
    put_u32(body, 52 + 40 * n);
    put_u32(body, 40 + 8 * n);
    snug_buf_put(body, reserved, sizeof reserved);
    put_u32(body, FOOTER_V1_FIXED + 40 * n);
}
