/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/pack.c - many objects as one pack file and its index, version 2 of both.
 *
 *   pack   "PACK" be32 2  be32 count  entries...  SHA-1 of all before
 *   entry  size and type in 4 + 7 + 7 ... bits, then zlib(content); no deltas
 *   index  ff 't' 'O' 'c' be32 2
 *          256 x be32: ids whose first byte is <= i
 *          count x 20: ids, sorted     count x be32: CRC-32 of the entry
 *          count x be32: offset, or 2^31 + position among the be64 offsets that follow
 *          pack's SHA-1, SHA-1 of all before
 *
 * The file grows as objects come, so a commit of many large files needs no memory for them. The
 * count is known at the end only: the head is written then, and the sum taken over the whole file,
 * which the page cache still holds.
 *
 * Truth: <pack>.idx appears last, after both files are on disk; without it git sees no pack. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PACK_LEVEL = 3, PACK_HEAD = 12, CHUNK = 64 << 10, PACK_COUNT_MAX = 1 << 26 };

static void put_be32(unsigned char *p, uint32_t v)
{
    p[0] = (unsigned char)(v >> 24);
    p[1] = (unsigned char)(v >> 16);
    p[2] = (unsigned char)(v >> 8);
    p[3] = (unsigned char)v;
}

snug_status vcs_pack_begin(vcs_repo *r, snug_err *err)
{
    vcs_pending *p = &r->pending;
    SNUG_ASSERT(p->fd < 0);
    (void)snprintf(p->path, sizeof p->path, "%s/objects/pack/tmp_pack_%016llx", r->path,
                   (unsigned long long)snug_random_u64());
    p->fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (p->fd < 0) return snug_fail_sys(err, errno, "create %s", p->path);
    static const unsigned char blank[PACK_HEAD];
    snug_status                st = snug_write_all(p->fd, blank, sizeof blank, err);
    p->off = PACK_HEAD;
    p->z = snug_zalloc(sizeof *p->z);
    SNUG_ASSERT(deflateInit(p->z, PACK_LEVEL) == Z_OK);
    return st;
}

/* ---- entries ---- */

static snug_status emit(vcs_pending *p, vcs_object *o, const unsigned char *bytes, size_t n,
                        snug_err *err)
{
    o->crc = (uint32_t)crc32(o->crc, bytes, (uInt)n);
    p->off += n;
    return snug_write_all(p->fd, bytes, n, err);
}

static snug_status begin_entry(vcs_pending *p, vcs_object *o, snug_err *err)
{
    unsigned char head[16];
    size_t        n = 0;
    uint64_t      left = o->size >> 4;
    unsigned      first = ((unsigned)o->type << 4) | (unsigned)(o->size & 15u);
    while (left > 0) {
        head[n++] = (unsigned char)(first | 0x80u);
        first = (unsigned)(left & 0x7fu);
        left >>= 7;
    }
    head[n++] = (unsigned char)first;
    SNUG_ASSERT(deflateReset(p->z) == Z_OK);
    o->pack_off = p->off;
    o->crc = (uint32_t)crc32(0, NULL, 0);
    return emit(p, o, head, n, err);
}

/* Feeds one piece of content; `last` closes the stream. */
static snug_status feed(vcs_pending *p, vcs_object *o, snug_slice piece, bool last, snug_err *err)
{
    unsigned char out[CHUNK];
    SNUG_ASSERT(piece.len <= UINT32_MAX);
    p->z->next_in = (const unsigned char *)piece.ptr;
    p->z->avail_in = (uInt)piece.len;
    int rc = Z_OK;
    do {
        p->z->next_out = out;
        p->z->avail_out = sizeof out;
        rc = deflate(p->z, last ? Z_FINISH : Z_NO_FLUSH);
        SNUG_ASSERT(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
        size_t n = sizeof out - p->z->avail_out;
        if (n > 0) {
            snug_status st = emit(p, o, out, n, err);
            if (st != SNUG_OK) return st;
        }
    } while (last ? rc != Z_STREAM_END : p->z->avail_out == 0);
    return SNUG_OK;
}

snug_status vcs_pack_add(vcs_repo *r, vcs_object *o, snug_slice bytes, snug_err *err)
{
    enum { PIECE = 1 << 30 }; /* zlib counts in 32 bits */
    vcs_pending *p = &r->pending;
    snug_status  st = SNUG_OK;
    if (p->count >= PACK_COUNT_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "a commit may hold at most %d objects",
                         (int)PACK_COUNT_MAX);
    }
    SNUG_TRY(begin_entry(p, o, err));
    while (bytes.len > PIECE) {
        SNUG_TRY(feed(p, o, snug_sub(bytes, 0, PIECE), false, err));
        bytes = snug_sub(bytes, PIECE, bytes.len);
    }
    SNUG_TRY(feed(p, o, bytes, true, err));
done:
    return st;
}

snug_status vcs_pack_add_fd(vcs_repo *r, vcs_object *o, int fd, snug_err *err)
{
    snug_status    st = SNUG_OK;
    vcs_pending   *p = &r->pending;
    unsigned char *piece = snug_alloc(CHUNK);
    snug_hasher   *h = snug_hasher_new(SNUG_HASH_SHA1);
    char           head[48];

    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)o->size);
    snug_hasher_update(h, head, (size_t)n + 1);
    SNUG_TRY(begin_entry(p, o, err));
    for (uint64_t at = 0; at < o->size;) {
        size_t want = o->size - at < CHUNK ? (size_t)(o->size - at) : CHUNK;
        SNUG_TRY(snug_pread_all(fd, piece, want, at, err));
        snug_hasher_update(h, piece, want);
        at += want;
        SNUG_TRY(feed(p, o, snug_slice_of(piece, want), at == o->size, err));
    }
    snug_hasher_finish(h, o->id.id);
done:
    snug_hasher_free(h);
    free(piece);
    return st;
}

/* ---- reading back what was packed but not committed ---- */

snug_status vcs_pack_read(vcs_repo *r, const vcs_object *o, unsigned char *out, snug_err *err)
{
    vcs_pending  *p = &r->pending;
    unsigned char piece[4096];
    uint64_t      at = o->pack_off;
    z_stream      z = {0};
    snug_status   st = SNUG_OK;
    bool          in_head = true;

    SNUG_ASSERT(inflateInit(&z) == Z_OK);
    z.next_out = out;
    uint64_t left = o->size;
    int      rc = Z_OK;
    while (rc != Z_STREAM_END) {
        size_t n = p->off - at < sizeof piece ? (size_t)(p->off - at) : sizeof piece;
        if (n == 0) SNUG_FAIL(err, SNUG_EINTERNAL, "a pending object is cut off");
        SNUG_TRY(snug_pread_all(p->fd, piece, n, at, err));
        at += n;
        size_t skip = 0;
        while (in_head && skip < n) in_head = (piece[skip++] & 0x80u) != 0;
        z.next_in = piece + skip;
        z.avail_in = (uInt)(n - skip);
        while (z.avail_in > 0 && rc != Z_STREAM_END) {
            uInt room = left < CHUNK ? (uInt)left : CHUNK;
            z.avail_out = room;
            rc = inflate(&z, Z_NO_FLUSH);
            left -= room - z.avail_out;
            if (rc != Z_OK && rc != Z_STREAM_END) {
                SNUG_FAIL(err, SNUG_EINTERNAL, "a pending object does not inflate");
            }
        }
    }
    if (left != 0) SNUG_FAIL(err, SNUG_EINTERNAL, "a pending object is too short");
done:
    (void)inflateEnd(&z);
    return st;
}

/* ---- finishing ---- */

/* Writes the head and the closing SHA-1 of the pack, and syncs it. */
static snug_status seal_pack(vcs_pending *p, unsigned char sum[20], snug_err *err)
{
    snug_status    st = SNUG_OK;
    unsigned char *piece = snug_alloc(CHUNK);
    snug_hasher   *h = snug_hasher_new(SNUG_HASH_SHA1);
    unsigned char  head[PACK_HEAD] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};

    put_be32(head + 8, (uint32_t)p->count);
    if (pwrite(p->fd, head, sizeof head, 0) != (ssize_t)sizeof head) {
        st = snug_fail_sys(err, errno, "write %s", p->path);
        goto done;
    }
    for (uint64_t at = 0; at < p->off;) {
        size_t n = p->off - at < CHUNK ? (size_t)(p->off - at) : CHUNK;
        SNUG_TRY(snug_pread_all(p->fd, piece, n, at, err));
        snug_hasher_update(h, piece, n);
        at += n;
    }
    snug_hasher_finish(h, sum);
    SNUG_TRY(snug_write_all(p->fd, sum, 20, err));
    if (fsync(p->fd) != 0) st = snug_fail_sys(err, errno, "fsync %s", p->path);
done:
    snug_hasher_free(h);
    free(piece);
    return st;
}

static int by_id(const void *a, const void *b)
{
    const vcs_object *x = a, *y = b;
    return memcmp(x->id.id, y->id.id, sizeof x->id.id);
}

static void put_u32(snug_buf *b, uint32_t v)
{
    unsigned char p[4];
    put_be32(p, v);
    snug_buf_put(b, p, sizeof p);
}

/* The index of the objects, sorted by id already. */
static void build_index(const vcs_pending *p, const unsigned char sum[20], snug_buf *b)
{
    uint32_t large = 0, seen = 0;
    snug_buf_put(b, "\377tOc\0\0\0\2", 8);
    for (unsigned first = 0; first < 256; first++) {
        while (seen < p->count && p->v[seen].id.id[0] <= first) seen++;
        put_u32(b, seen);
    }
    for (size_t i = 0; i < p->count; i++) snug_buf_put(b, p->v[i].id.id, 20);
    for (size_t i = 0; i < p->count; i++) put_u32(b, p->v[i].crc);
    for (size_t i = 0; i < p->count; i++) {
        uint64_t off = p->v[i].pack_off;
        put_u32(b, off < 0x80000000u ? (uint32_t)off : 0x80000000u + large++);
    }
    for (size_t i = 0; i < p->count; i++) {
        uint64_t off = p->v[i].pack_off;
        if (off < 0x80000000u) continue;
        put_u32(b, (uint32_t)(off >> 32));
        put_u32(b, (uint32_t)off);
    }
    snug_buf_put(b, sum, 20);
    snug_sha1 own = snug_sha1_of(snug_buf_slice(b));
    snug_buf_put(b, own.b, sizeof own.b);
}

static snug_status write_index(const char *path, snug_slice bytes, snug_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0) return snug_fail_sys(err, errno, "create %s", path);
    snug_status st = snug_write_all(fd, bytes.ptr, bytes.len, err);
    if (st == SNUG_OK && fsync(fd) != 0) st = snug_fail_sys(err, errno, "fsync %s", path);
    (void)close(fd);
    return st;
}

snug_status vcs_pack_finish(vcs_repo *r, snug_err *err)
{
    snug_status   st = SNUG_OK;
    vcs_pending  *p = &r->pending;
    unsigned char sum[20];
    char          hex[41], folder[VCS_PATH_MAX];
    char          pack[VCS_PATH_MAX + 64], idx[VCS_PATH_MAX + 64], tmp[VCS_PATH_MAX + 8];
    SNUG_AUTO(snug_buf) index = snug_buf_init(SIZE_MAX);

    (void)snprintf(tmp, sizeof tmp, "%s.idx", p->path);
    SNUG_TRY(seal_pack(p, sum, err));
    qsort(p->v, p->count, sizeof *p->v, by_id);
    build_index(p, sum, &index);
    SNUG_TRY(write_index(tmp, snug_buf_slice(&index), err));

    snug_hex(sum, sizeof sum, hex);
    (void)snprintf(folder, sizeof folder, "%s/objects/pack", r->path);
    (void)snprintf(pack, sizeof pack, "%s/pack-%s.pack", folder, hex);
    (void)snprintf(idx, sizeof idx, "%s/pack-%s.idx", folder, hex);
    if (rename(p->path, pack) != 0) {
        st = snug_fail_sys(err, errno, "rename to %s", pack);
        goto done;
    }
    if (SNUG_FAULT("vcs.pack.rename")) {
        st = snug_fail_sys(err, errno, "rename to %s", idx);
        goto done;
    }
    if (rename(tmp, idx) != 0) {
        st = snug_fail_sys(err, errno, "rename to %s", idx);
        goto done;
    }
    SNUG_TRY(snug_fsync_dir(folder, err));
    if (git_odb_refresh(r->odb) != 0) st = vcs_fail_git(err, "refreshing the object store");
done:
    if (st != SNUG_OK) (void)unlink(tmp);
    return st;
}
