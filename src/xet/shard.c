/* SPDX-License-Identifier: Apache-2.0 */
/* xet/shard.c - metadata in records of 48 bytes: which files are made of which chunks of which
 * xorbs.
 *
 *     header | file blocks ... bookend | xorb blocks ... bookend | (footer, 200 bytes)
 *     file block:  file hash, flags, count | terms | range hashes (flag 31) | SHA-256 (flag 30)
 *     xorb block:  xorb hash, flags, count, raw bytes, stored bytes | chunks */
#include <string.h>

#include "xet/xet.h"

enum { RECORD = 48, FOOTER = 200 };
#define FLAG_PROOFS 0x80000000u /* of a file */
#define FLAG_SHA256 0x40000000u
#define FLAG_DEDUP 0x80000000u /* of a chunk */

static const unsigned char shard_tag[32] = {'H', 'F', 'R', 'e', 'p', 'o', 'M', 'e', 't', 'a', 'D',
                                            'a', 't', 'a', 0,   85,  105, 103, 69,  106, 123, 129,
                                            87,  131, 165, 189, 217, 92,  205, 209, 74,  169};

/* ---- reading ---- */

static xet_hash take_hash(snug_rd *r)
{
    snug_slice s = snug_rd_bytes(r, 32);
    xet_hash   h = {{0}};
    if (s.len == 32) memcpy(h.b, s.ptr, 32);
    return h;
}

static bool is_bookend(const xet_hash *h)
{
    for (unsigned i = 0; i < 32; i++) {
        if (h->b[i] != 0xff) return false;
    }
    return true;
}

/* The digest is stored as four u64, so each group of eight bytes is reversed. */
static void flip_sha(const unsigned char *in, unsigned char *out)
{
    for (unsigned i = 0; i < 32; i++) out[i] = in[(i & ~7u) + 7 - (i & 7)];
}

static void read_terms(snug_rd *r, xet_shard_file *f, uint32_t flags)
{
    for (uint32_t i = 0; i < f->count; i++) {
        xet_term *t = &f->terms[i];
        t->xorb = take_hash(r);
        (void)snug_rd_u32le(r);
        t->raw_size = snug_rd_u32le(r);
        t->start = snug_rd_u32le(r);
        t->end = snug_rd_u32le(r);
    }
    f->has_proofs = (flags & FLAG_PROOFS) != 0;
    for (uint32_t i = 0; f->has_proofs && i < f->count; i++) {
        f->terms[i].range_hash = take_hash(r);
        (void)snug_rd_bytes(r, 16);
    }
    f->has_sha256 = (flags & FLAG_SHA256) != 0;
    if (f->has_sha256) {
        xet_hash h = take_hash(r);
        flip_sha(h.b, f->sha256.b);
        (void)snug_rd_bytes(r, 16);
        f->has_sha256 = !xet_hash_is_zero(&h); /* zeros say "unknown" */
    }
}

static void read_chunks(snug_rd *r, xet_shard_xorb *x)
{
    for (uint32_t i = 0; i < x->count; i++) {
        xet_shard_chunk *c = &x->chunks[i];
        c->hash = take_hash(r);
        c->raw_offset = snug_rd_u32le(r);
        c->raw_size = snug_rd_u32le(r);
        c->dedup = (snug_rd_u32le(r) & FLAG_DEDUP) != 0;
        (void)snug_rd_u32le(r);
    }
}

/* Walks one section by its counts alone; *blocks is how many, the cursor ends behind the bookend.
 */
static bool count_blocks(snug_rd *r, bool files, size_t *blocks)
{
    for (*blocks = 0;; ++*blocks) {
        xet_hash h = take_hash(r);
        uint32_t flags = snug_rd_u32le(r), count = snug_rd_u32le(r);
        (void)snug_rd_bytes(r, 8);
        if (r->bad) return false;
        if (is_bookend(&h)) return true;
        uint64_t records = count;
        if (files && (flags & FLAG_PROOFS) != 0) records *= 2;
        if (files && (flags & FLAG_SHA256) != 0) records++;
        (void)snug_rd_bytes(r, records * RECORD);
    }
}

static void read_file(snug_rd *r, snug_arena *a, xet_shard_file *f)
{
    f->hash = take_hash(r);
    uint32_t flags = snug_rd_u32le(r);
    f->count = snug_rd_u32le(r); /* count_blocks saw that many records */
    (void)snug_rd_bytes(r, 8);
    f->terms = snug_arena_zalloc(a, f->count * sizeof *f->terms);
    read_terms(r, f, flags);
}

static void read_xorb(snug_rd *r, snug_arena *a, xet_shard_xorb *x)
{
    x->hash = take_hash(r);
    (void)snug_rd_u32le(r);
    x->count = snug_rd_u32le(r);
    x->raw_size = snug_rd_u32le(r);
    x->stored_size = snug_rd_u32le(r);
    x->chunks = snug_arena_zalloc(a, x->count * sizeof *x->chunks);
    read_chunks(r, x);
}

snug_status xet_shard_parse(snug_arena *a, snug_slice bytes, xet_shard *out, snug_err *err)
{
    if (bytes.len > XET_SHARD_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a shard has at most %d bytes", XET_SHARD_MAX);
    snug_rd    r = snug_rd_init(bytes);
    snug_slice tag = snug_rd_bytes(&r, sizeof shard_tag);
    uint64_t   version = snug_rd_u64le(&r);
    (void)snug_rd_u64le(&r);
    if (r.bad || memcmp(tag.ptr, shard_tag, sizeof shard_tag) != 0)
        return snug_fail(err, SNUG_ECORRUPT, "not a shard");
    if (version != 2)
        return snug_fail(err, SNUG_ECORRUPT, "shard version %llu is unknown",
                         (unsigned long long)version);
    xet_shard s = {.file_count = 0};
    snug_rd   scan = r;
    if (!count_blocks(&scan, true, &s.file_count) || !count_blocks(&scan, false, &s.xorb_count))
        return snug_fail(err, SNUG_ECORRUPT, "the shard ends inside a block");
    s.files = snug_arena_array_try(a, s.file_count, sizeof *s.files);
    s.xorbs = snug_arena_array_try(a, s.xorb_count, sizeof *s.xorbs);
    if (s.files == NULL || s.xorbs == NULL)
        return snug_fail(err, SNUG_ENOMEM, "out of memory reading a shard");
    for (size_t i = 0; i < s.file_count; i++) read_file(&r, a, &s.files[i]);
    (void)snug_rd_bytes(&r, RECORD);
    for (size_t i = 0; i < s.xorb_count; i++) read_xorb(&r, a, &s.xorbs[i]);
    SNUG_ASSERT(!r.bad);
    *out = s;
    return SNUG_OK;
}

/* ---- writing ---- */

static void put_u32(snug_buf *b, uint32_t v)
{
    unsigned char le[4];
    for (unsigned i = 0; i < 4; i++) le[i] = (unsigned char)(v >> 8 * i);
    snug_buf_put(b, le, sizeof le);
}

static void put_u64(snug_buf *b, uint64_t v)
{
    put_u32(b, (uint32_t)v);
    put_u32(b, (uint32_t)(v >> 32));
}

static void put_zeros(snug_buf *b, size_t n)
{
    static const unsigned char zeros[48];
    SNUG_ASSERT(n <= sizeof zeros);
    snug_buf_put(b, zeros, n);
}

static void put_bookend(snug_buf *b)
{
    unsigned char ones[32];
    memset(ones, 0xff, sizeof ones);
    snug_buf_put(b, ones, sizeof ones);
    put_zeros(b, 16);
}

static void put_file(snug_buf *b, const xet_shard_file *f)
{
    snug_buf_put(b, f->hash.b, 32);
    put_u32(b, (f->has_proofs ? FLAG_PROOFS : 0) | (f->has_sha256 ? FLAG_SHA256 : 0));
    put_u32(b, f->count);
    put_zeros(b, 8);
    for (uint32_t i = 0; i < f->count; i++) {
        snug_buf_put(b, f->terms[i].xorb.b, 32);
        put_u32(b, 0);
        put_u32(b, f->terms[i].raw_size);
        put_u32(b, f->terms[i].start);
        put_u32(b, f->terms[i].end);
    }
    for (uint32_t i = 0; f->has_proofs && i < f->count; i++) {
        snug_buf_put(b, f->terms[i].range_hash.b, 32);
        put_zeros(b, 16);
    }
    if (f->has_sha256) {
        unsigned char flipped[32];
        flip_sha(f->sha256.b, flipped);
        snug_buf_put(b, flipped, 32);
        put_zeros(b, 16);
    }
}

static void put_xorb(snug_buf *b, const xet_shard_xorb *x)
{
    snug_buf_put(b, x->hash.b, 32);
    put_u32(b, 0);
    put_u32(b, x->count);
    put_u32(b, x->raw_size);
    put_u32(b, x->stored_size);
    for (uint32_t i = 0; i < x->count; i++) {
        snug_buf_put(b, x->chunks[i].hash.b, 32);
        put_u32(b, x->chunks[i].raw_offset);
        put_u32(b, x->chunks[i].raw_size);
        put_u32(b, x->chunks[i].dedup ? FLAG_DEDUP : 0);
        put_u32(b, 0);
    }
}

static void put_footer(snug_buf *b, const xet_shard *s, const xet_shard_footer *f,
                       uint64_t xorb_offset, uint64_t start)
{
    uint64_t stored = 0, files = 0, raw = 0;
    for (size_t i = 0; i < s->xorb_count; i++) {
        stored += s->xorbs[i].stored_size;
        raw += s->xorbs[i].raw_size;
    }
    for (size_t i = 0; i < s->file_count; i++) {
        for (uint32_t t = 0; t < s->files[i].count; t++) files += s->files[i].terms[t].raw_size;
    }
    put_u64(b, 1);
    put_u64(b, RECORD);
    put_u64(b, xorb_offset);
    for (unsigned table = 0; table < 3; table++) { /* no look-up tables: empty, at the footer */
        put_u64(b, start);
        put_u64(b, 0);
    }
    snug_buf_put(b, f->hmac_key, 32);
    put_u64(b, f->created_s);
    put_u64(b, f->expires_s);
    put_zeros(b, 48);
    put_u64(b, stored);
    put_u64(b, files);
    put_u64(b, raw);
    put_u64(b, start);
}

void xet_shard_write(const xet_shard *s, const xet_shard_footer *footer_or_null, snug_buf *out)
{
    size_t start = out->len;
    snug_buf_put(out, shard_tag, sizeof shard_tag);
    put_u64(out, 2);
    put_u64(out, footer_or_null == NULL ? 0 : FOOTER);
    for (size_t i = 0; i < s->file_count; i++) put_file(out, &s->files[i]);
    put_bookend(out);
    uint64_t xorbs_at = out->len - start;
    for (size_t i = 0; i < s->xorb_count; i++) put_xorb(out, &s->xorbs[i]);
    put_bookend(out);
    if (footer_or_null != NULL) put_footer(out, s, footer_or_null, xorbs_at, out->len - start);
}
