/* SPDX-License-Identifier: Apache-2.0 */
/* tests/xet/xet_build.h - xorbs and shards made by hand, as a client would, or as it should not. */
#ifndef SNUG_TESTS_XET_BUILD_H
#define SNUG_TESTS_XET_BUILD_H

#include "xet/xet.h"

typedef struct built_xorb {
    snug_slice body; /* records, no footer */
    xet_xorb   x;
} built_xorb;

/* `n` bytes that nothing else repeats. */
static inline snug_slice noise_of(snug_arena *a, size_t n, uint64_t seed)
{
    unsigned char *p = snug_arena_alloc(a, n + 8);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (unsigned char)(seed >> 56);
    }
    return snug_slice_of(p, n);
}

/* A xorb of `count` chunks of `size` bytes each, cut from data. */
static inline built_xorb build_xorb(snug_arena *a, snug_slice data, size_t size)
{
    built_xorb b;
    snug_err   err = {0};
    snug_buf   out = snug_buf_init(XET_XORB_BODY_MAX);
    for (size_t at = 0; at < data.len; at += size) xet_record_put(&out, snug_sub(data, at, size));
    b.body = snug_arena_dup(a, snug_buf_slice(&out));
    snug_buf_deinit(&out);
    if (xet_xorb_check(a, b.body, NULL, &b.x, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return b;
}

/* A term over chunks [start, end) with everything right. */
static inline xet_term build_term(const built_xorb *b, uint32_t start, uint32_t end)
{
    xet_term t = {.xorb = b->x.hash, .start = start, .end = end};
    xet_hash hashes[XET_XORB_CHUNKS_MAX];
    for (uint32_t i = start; i < end; i++) {
        hashes[i - start] = b->x.chunks[i].hash;
        t.raw_size += b->x.chunks[i].raw_size;
    }
    t.range_hash = xet_range_hash(hashes, end - start);
    return t;
}

/* The file made of these whole xorbs, one term each; sha NULL: none is given. */
static inline xet_shard_file build_file(snug_arena *a, const built_xorb *const *xorbs, uint32_t n,
                                        const snug_sha256 *sha)
{
    xet_shard_file f = {.count = n, .has_proofs = true, .has_sha256 = sha != NULL};
    size_t         leaves = 0;
    xet_leaf      *list = snug_arena_zalloc(a, (n * XET_XORB_CHUNKS_MAX + 1) * sizeof *list);
    f.terms = snug_arena_zalloc(a, (n + 1) * sizeof *f.terms);
    for (uint32_t i = 0; i < n; i++) {
        f.terms[i] = build_term(xorbs[i], 0, xorbs[i]->x.count);
        for (uint32_t k = 0; k < xorbs[i]->x.count; k++)
            list[leaves++] = (xet_leaf){xorbs[i]->x.chunks[k].hash, xorbs[i]->x.chunks[k].raw_size};
    }
    f.hash = xet_file_hash(list, leaves);
    if (sha != NULL) f.sha256 = *sha;
    return f;
}

static inline xet_shard_xorb build_block(snug_arena *a, const built_xorb *b)
{
    xet_shard_xorb s = {.hash = b->x.hash, .count = b->x.count, .stored_size = b->x.body_size};
    s.chunks = snug_arena_zalloc(a, s.count * sizeof *s.chunks);
    for (uint32_t i = 0; i < s.count; i++) {
        s.chunks[i] = (xet_shard_chunk){.hash = b->x.chunks[i].hash,
                                        .raw_offset = s.raw_size,
                                        .raw_size = b->x.chunks[i].raw_size};
        s.raw_size += b->x.chunks[i].raw_size;
    }
    return s;
}

static inline snug_slice write_shard(snug_arena *a, const xet_shard *s)
{
    snug_buf b = snug_buf_init(XET_SHARD_MAX);
    xet_shard_write(s, NULL, &b);
    snug_slice out = snug_arena_dup(a, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    return out;
}

#endif
