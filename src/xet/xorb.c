/* SPDX-License-Identifier: Apache-2.0 */
/* xet/xorb.c - one record of a xorb: packing a chunk, and getting it back; the footer.
 *
 * For:     check.c, readers of ranges, and whoever builds xorbs.
 * Threads: any.
 * Truth:   decoding gives exactly the bytes the header promises, or fails.
 *
 *     record:  version 0 (1)  stored size (3)  scheme (1)  raw size (3)  payload (stored size) */
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#include "xet/xet.h"

enum { RECORD_HEADER = 8, FOOTER_V1_FIXED = 92 };

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

snug_status xet_record_view(snug_slice records, unsigned char *room, snug_slice *bytes,
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
    const unsigned char *payload = p + RECORD_HEADER, *out = room;
    bool                 ok = false;
    switch (p[4]) {
    case XET_NONE:
        ok = stored == raw;
        out = payload;
        break;
    case XET_LZ4: ok = lz4_unpack(payload, stored, room, raw); break;
    case XET_BG4_LZ4: {
        unsigned char *grouped = snug_alloc(raw);
        ok = lz4_unpack(payload, stored, grouped, raw);
        if (ok) bg4_join(grouped, raw, room);
        free(grouped);
        break;
    }
    default: return snug_fail(err, SNUG_ECORRUPT, "chunk compression scheme %u is unknown", p[4]);
    }
    if (!ok)
        return snug_fail(err, SNUG_ECORRUPT, "a chunk does not decode to its stated %u bytes", raw);
    *bytes = snug_slice_of(out, raw);
    *stored_size = RECORD_HEADER + stored;
    return SNUG_OK;
}

snug_status xet_record_decode(snug_slice records, unsigned char *out, uint32_t *raw_size,
                              uint32_t *stored_size, snug_err *err)
{
    snug_slice  bytes;
    snug_status st = xet_record_view(records, out, &bytes, stored_size, err);
    if (st != SNUG_OK) return st;
    if ((const unsigned char *)bytes.ptr != out) memcpy(out, bytes.ptr, bytes.len);
    *raw_size = (uint32_t)bytes.len;
    return SNUG_OK;
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
    enum { STRETCH = 512, APART = 8192 };
    uint32_t lanes = 0, neighbours = 0, looked = 0;
    for (uint32_t from = 4; from < n; from += APART) {
        uint32_t to = n - from < STRETCH ? n : from + STRETCH;
        for (uint32_t i = from; i < to; i++) {
            lanes += p[i] == p[i - 4];
            neighbours += p[i] == p[i - 1];
        }
        looked += to - from;
    }
    return lanes > neighbours + looked / 21;
}

static void fill_header(unsigned char *head, unsigned scheme, size_t stored, uint32_t raw)
{
    const unsigned char bytes[RECORD_HEADER] = {0,
                                                (unsigned char)stored,
                                                (unsigned char)(stored >> 8),
                                                (unsigned char)(stored >> 16),
                                                (unsigned char)scheme,
                                                (unsigned char)raw,
                                                (unsigned char)(raw >> 8),
                                                (unsigned char)(raw >> 16)};
    memcpy(head, bytes, sizeof bytes);
}

static size_t pack_payload(const unsigned char *raw, uint32_t n, bool numbers, unsigned char *out,
                           size_t cap)
{
    if (!numbers) return lz4_pack(raw, n, out, cap);
    unsigned char *grouped = snug_alloc(n);
    bg4_split(raw, n, grouped);
    size_t stored = lz4_pack(grouped, n, out, cap);
    free(grouped);
    return stored;
}

/* Packed where it is to lie; what does not shrink is laid over it as it is. */
void xet_record_put(snug_buf *body, snug_slice chunk)
{
    SNUG_ASSERT(chunk.len > 0 && chunk.len <= XET_CHUNK_MAX);
    const unsigned char *raw = (const unsigned char *)chunk.ptr;
    uint32_t             n = (uint32_t)chunk.len;
    bool                 numbers = looks_like_numbers(raw, n);
    size_t               cap = LZ4F_compressFrameBound(n, NULL) + 64;
    if (!snug_buf_reserve(body, RECORD_HEADER + cap)) return;
    unsigned char *head = (unsigned char *)body->ptr + body->len;
    unsigned       scheme = numbers ? XET_BG4_LZ4 : XET_LZ4;
    size_t         stored = pack_payload(raw, n, numbers, head + RECORD_HEADER, cap);
    if (stored >= n) {
        memcpy(head + RECORD_HEADER, raw, n);
        scheme = XET_NONE;
        stored = n;
    }
    fill_header(head, scheme, stored, n);
    body->len += RECORD_HEADER + stored;
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
