/* SPDX-License-Identifier: Apache-2.0 */
/* remote/journal.c - which bytes of an .incomplete file are there, so that a killed download
 * goes on where it stopped.
 *
 * For:     fetch.c.
 * Owns:    the format of "<name>.journal".
 * Threads: segments advance through atomics; everything else belongs to one thread.
 * Truth:   a journal is a hint, never a proof: the finished file is hashed whatever it said. A
 *          journal that is torn, foreign or made for other content is thrown away with its file.
 *
 * Layout, little-endian:
 *   0   8  "SNUGPART"          8  4  version (1)         12  4  count of segments, 1..16
 *  16   8  size of the file   24 128 etag, zero-filled
 * 152  24  per segment: first, end (exclusive), next (first <= next <= end)
 *   .   8  first bytes of the SHA-256 of everything before */
#include "remote/remote_int.h"

enum { HEAD_SIZE = 24 + REMOTE_ETAG_MAX, SEGMENT_SIZE = 24, CHECK_SIZE = 8, VERSION = 1 };

void remote_journal_plan(remote_journal *j, snug_slice etag, uint64_t size, unsigned segments)
{
    uint64_t most = size / REMOTE_SEGMENT_MIN;
    if (segments > REMOTE_SEGMENTS_MAX) segments = REMOTE_SEGMENTS_MAX;
    if (segments > most) segments = (unsigned)most;
    if (segments == 0) segments = 1;
    memset(j, 0, sizeof *j);
    j->size = size;
    j->count = segments;
    SNUG_ASSERT(etag.len <= REMOTE_ETAG_MAX);
    memcpy(j->etag, etag.ptr, etag.len);
    uint64_t each = size / segments;
    for (unsigned i = 0; i < segments; i++) {
        j->seg[i].first = i * each;
        j->seg[i].end = i + 1 == segments ? size : (i + 1) * each;
        atomic_store(&j->seg[i].next, j->seg[i].first);
    }
}

static unsigned char *put_u(unsigned char *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) *p++ = (unsigned char)(v >> (8 * i));
    return p;
}

size_t remote_journal_put(const remote_journal *j, unsigned char out[REMOTE_JOURNAL_MAX])
{
    unsigned char *p = out;
    memcpy(p, "SNUGPART", 8);
    p = put_u(p + 8, VERSION, 4);
    p = put_u(p, j->count, 4);
    p = put_u(p, j->size, 8);
    memcpy(p, j->etag, REMOTE_ETAG_MAX);
    p += REMOTE_ETAG_MAX;
    for (unsigned i = 0; i < j->count; i++) {
        p = put_u(p, j->seg[i].first, 8);
        p = put_u(p, j->seg[i].end, 8);
        p = put_u(p, atomic_load(&j->seg[i].next), 8);
    }
    snug_sha256 sum = snug_sha256_of(snug_slice_of(out, (size_t)(p - out)));
    memcpy(p, sum.b, CHECK_SIZE);
    return (size_t)(p - out) + CHECK_SIZE;
}

/* Segments must cover [0, size) in order and without gaps. */
static bool read_segments(snug_rd *r, remote_journal *j)
{
    uint64_t at = 0;
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t first = snug_rd_u64le(r), end = snug_rd_u64le(r), next = snug_rd_u64le(r);
        if (r->bad || first != at || end < first || next < first || next > end) return false;
        j->seg[i].first = first;
        j->seg[i].end = end;
        atomic_store(&j->seg[i].next, next);
        at = end;
    }
    return at == j->size;
}

snug_status remote_journal_read(snug_slice bytes, snug_slice etag, uint64_t size, remote_journal *j,
                                snug_err *err)
{
    snug_rd    r = snug_rd_init(bytes);
    bool       ok = snug_eq_str(snug_rd_bytes(&r, 8), "SNUGPART") && snug_rd_u32le(&r) == VERSION;
    snug_slice name;
    memset(j, 0, sizeof *j);
    j->count = snug_rd_u32le(&r);
    j->size = snug_rd_u64le(&r);
    name = snug_rd_bytes(&r, REMOTE_ETAG_MAX);
    ok = ok && !r.bad && j->count >= 1 && j->count <= REMOTE_SEGMENTS_MAX && j->size == size;
    ok = ok && bytes.len == (size_t)HEAD_SIZE + j->count * SEGMENT_SIZE + CHECK_SIZE;
    if (ok) memcpy(j->etag, name.ptr, REMOTE_ETAG_MAX);
    ok = ok && snug_eq(snug_str(j->etag), etag) && read_segments(&r, j);
    if (ok) {
        snug_sha256 sum = snug_sha256_of(snug_sub(bytes, 0, bytes.len - CHECK_SIZE));
        ok = memcmp(sum.b, bytes.ptr + bytes.len - CHECK_SIZE, CHECK_SIZE) == 0;
    }
    return ok ? SNUG_OK
              : snug_fail(err, SNUG_ECORRUPT,
                          "the journal of a download is damaged or belongs to another file");
}

uint64_t remote_journal_done(const remote_journal *j)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < j->count; i++) n += atomic_load(&j->seg[i].next) - j->seg[i].first;
    return n;
}
