/* SPDX-License-Identifier: Apache-2.0 */
/* xet/chunk.c - content-defined chunking with a gear hash.
 *
 * For:     uploads, the background chunker, benches.
 * Threads: a chunker belongs to its caller.
 * Truth:   the cuts do not depend on how the input is split into buffers.
 *
 * The hash forgets a byte after 64 shifts, and no cut happens below XET_CHUNK_MIN, so the first
 * MIN - 65 bytes of a chunk need not be hashed. Matches in the 65 bytes before MIN are no cuts:
 * they come from a hash that has not seen 64 bytes yet. */
#include "xet/gear.h"
#include "xet/xet.h"

static const uint64_t CUT_MASK = 0xffff000000000000u;

enum { WINDOW = 64, STRIDE = 4096 };

static inline bool cuts(uint64_t h) { return __builtin_expect((h & CUT_MASK) == 0, 0); }

/* Hashes [p, end) and stops behind the first byte that cuts, or NULL. */
static const unsigned char *find_cut(uint64_t *hash, const unsigned char *p,
                                     const unsigned char *end)
{
    uint64_t h = *hash;
    while (end - p >= 4) {
        uint64_t h1 = (h << 1) + xet_gear[p[0]];
        uint64_t h2 = (h1 << 1) + xet_gear[p[1]];
        uint64_t h3 = (h2 << 1) + xet_gear[p[2]];
        uint64_t h4 = (h3 << 1) + xet_gear[p[3]];
        if (cuts(h1)) return *hash = h1, p + 1;
        if (cuts(h2)) return *hash = h2, p + 2;
        if (cuts(h3)) return *hash = h3, p + 3;
        if (cuts(h4)) return *hash = h4, p + 4;
        h = h4;
        p += 4;
    }
    for (; p < end; p++) {
        h = (h << 1) + xet_gear[*p];
        if (cuts(h)) return *hash = h, p + 1;
    }
    *hash = h;
    return NULL;
}

/* The later half cuts at `hit`; what counts is whether the earlier half, of which [p, mid) is left,
 * does so before. */
static const unsigned char *earlier(uint64_t *hash, uint64_t h, const unsigned char *p,
                                    const unsigned char *mid, uint64_t hit_hash,
                                    const unsigned char *hit)
{
    *hash = h;
    const unsigned char *first = find_cut(hash, p, mid);
    if (first != NULL) return first;
    *hash = hit_hash;
    return hit;
}

/* The same on two halves of a stretch at once: each step of a hash waits for the one before, so the
 * processor has room for a second one. The later half starts from the 64 bytes before it, which
 * are all a hash remembers; they must lie in front of `p + STRIDE`. */
static const unsigned char *find_cut_fast(uint64_t *hash, const unsigned char *p,
                                          const unsigned char *end)
{
    uint64_t a = *hash;
    while (end - p >= 2 * STRIDE) {
        const unsigned char *mid = p + STRIDE, *q = mid;
        uint64_t             b = 0;
        for (int i = -WINDOW; i < 0; i++) b = (b << 1) + xet_gear[q[i]];
        for (; p < mid; p += 4, q += 4) {
            uint64_t a1 = (a << 1) + xet_gear[p[0]], b1 = (b << 1) + xet_gear[q[0]];
            uint64_t a2 = (a1 << 1) + xet_gear[p[1]], b2 = (b1 << 1) + xet_gear[q[1]];
            uint64_t a3 = (a2 << 1) + xet_gear[p[2]], b3 = (b2 << 1) + xet_gear[q[2]];
            a = (a3 << 1) + xet_gear[p[3]];
            b = (b3 << 1) + xet_gear[q[3]];
            if (cuts(a1)) return *hash = a1, p + 1;
            if (cuts(a2)) return *hash = a2, p + 2;
            if (cuts(a3)) return *hash = a3, p + 3;
            if (cuts(a)) return *hash = a, p + 4;
            if (cuts(b1)) return earlier(hash, a, p + 4, mid, b1, q + 1);
            if (cuts(b2)) return earlier(hash, a, p + 4, mid, b2, q + 2);
            if (cuts(b3)) return earlier(hash, a, p + 4, mid, b3, q + 3);
            if (cuts(b)) return earlier(hash, a, p + 4, mid, b, q + 4);
        }
        a = b;
        p = q;
    }
    *hash = a;
    return find_cut(hash, p, end);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t xet_chunker_next(xet_chunker *c, const void *p, size_t n, bool *cut)
{
    const unsigned char *start = p, *at = start, *end = start + n;
    *cut = false;
    if (c->len + WINDOW < XET_CHUNK_MIN) {
        size_t jump = smaller(XET_CHUNK_MIN - c->len - WINDOW - 1, n);
        at += jump;
        c->len += jump;
    }
    /* Bytes MIN - 64 ... MIN - 1: hashed without a test. */
    if (c->len + 1 < XET_CHUNK_MIN) {
        size_t quiet = smaller(XET_CHUNK_MIN - 1 - c->len, (size_t)(end - at));
        for (size_t i = 0; i < quiet; i++) c->h = (c->h << 1) + xet_gear[at[i]];
        at += quiet;
        c->len += quiet;
    }
    if (at == end) return n;
    size_t               room = smaller(XET_CHUNK_MAX - c->len, (size_t)(end - at));
    const unsigned char *hit = find_cut_fast(&c->h, at, at + room);
    const unsigned char *stop = hit != NULL ? hit : at + room;
    c->len += (size_t)(stop - at);
    if (hit != NULL || c->len == XET_CHUNK_MAX) {
        *cut = true;
        c->h = 0;
        c->len = 0;
    }
    return (size_t)(stop - start);
}
