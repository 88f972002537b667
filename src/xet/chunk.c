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

enum { WINDOW = 64 };

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
        if ((h1 & CUT_MASK) == 0) return *hash = h1, p + 1;
        if ((h2 & CUT_MASK) == 0) return *hash = h2, p + 2;
        if ((h3 & CUT_MASK) == 0) return *hash = h3, p + 3;
        if ((h4 & CUT_MASK) == 0) return *hash = h4, p + 4;
        h = h4;
        p += 4;
    }
    for (; p < end; p++) {
        h = (h << 1) + xet_gear[*p];
        if ((h & CUT_MASK) == 0) return *hash = h, p + 1;
    }
    *hash = h;
    return NULL;
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
    const unsigned char *hit = find_cut(&c->h, at, at + room);
    const unsigned char *stop = hit != NULL ? hit : at + room;
    c->len += (size_t)(stop - at);
    if (hit != NULL || c->len == XET_CHUNK_MAX) {
        *cut = true;
        c->h = 0;
        c->len = 0;
    }
    return (size_t)(stop - start);
}
