/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_blocks.c - which blocks of a partial file are there, for downloads by Xet.
 *
 * For:     xet_download.c.
 * Owns:    the format of "<name>.journal" beside a partial file that came by Xet.
 * Threads: none of its own; the caller holds its lock.
 * Truth:   a hint, never a proof: the finished file is hashed whatever the journal said.
 *
 * Layout, little-endian:
 *   0   8  "SNUGXETP"     8  4  version (1)       12  4  bytes of a block
 *  16   8  size          24 128 etag, zero-filled
 * 152  32  file hash    184  .  a bit for each block, the lowest bit of a byte first
 *   .   8  first bytes of the SHA-256 of everything before */
#include <stdlib.h>

#include "remote/remote_int.h"

enum { HEAD_SIZE = 184, CHECK_SIZE = 8, VERSION = 1 };

/* Blocks grow with the file, so that there are never too many of them. */
void remote_blocks_plan(remote_blocks *b, snug_slice etag, const xet_hash *file, uint64_t size)
{
    uint64_t block = REMOTE_XET_BLOCK;
    while (size / block >= REMOTE_BLOCKS_MAX) block *= 2;
    *b = (remote_blocks){.size = size, .file = *file, .block = (uint32_t)block};
    SNUG_ASSERT(block <= UINT32_MAX / 2 && etag.len <= REMOTE_ETAG_MAX);
    memcpy(b->etag, etag.ptr, etag.len);
    b->count = (uint32_t)((size + block - 1) / block);
    b->done = snug_zalloc(b->count / 8 + 1);
}

static void put_u(snug_buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) snug_buf_putc(out, (char)(v >> (8 * i)));
}

void remote_blocks_put(const remote_blocks *b, snug_buf *out)
{
    snug_buf_puts(out, "SNUGXETP");
    put_u(out, VERSION, 4);
    put_u(out, b->block, 4);
    put_u(out, b->size, 8);
    snug_buf_put(out, b->etag, REMOTE_ETAG_MAX);
    snug_buf_put(out, b->file.b, sizeof b->file.b);
    snug_buf_put(out, b->done, (b->count + 7) / 8);
    snug_sha256 sum = snug_sha256_of(snug_buf_slice(out));
    snug_buf_put(out, sum.b, CHECK_SIZE);
}

snug_status remote_blocks_read(snug_slice bytes, remote_blocks *b, snug_err *err)
{
    snug_rd    r = snug_rd_init(bytes);
    size_t     bits = (b->count + 7) / 8;
    bool       ok = bytes.len == HEAD_SIZE + bits + CHECK_SIZE;
    snug_slice tag = snug_rd_bytes(&r, 8);
    ok = ok && snug_eq_str(tag, "SNUGXETP") && snug_rd_u32le(&r) == VERSION;
    ok = ok && snug_rd_u32le(&r) == b->block && snug_rd_u64le(&r) == b->size;
    ok = ok && snug_eq(snug_rd_bytes(&r, REMOTE_ETAG_MAX), snug_slice_of(b->etag, REMOTE_ETAG_MAX));
    ok = ok && snug_eq(snug_rd_bytes(&r, 32), snug_slice_of(b->file.b, 32));
    if (ok) {
        snug_slice  map = snug_rd_bytes(&r, bits), check = snug_rd_bytes(&r, CHECK_SIZE);
        snug_sha256 sum = snug_sha256_of(snug_sub(bytes, 0, bytes.len - CHECK_SIZE));
        ok = !r.bad && memcmp(sum.b, check.ptr, CHECK_SIZE) == 0;
        if (ok) memcpy(b->done, map.ptr, bits);
    }
    return ok ? SNUG_OK
              : snug_fail(err, SNUG_ECORRUPT,
                          "the journal of a download is damaged or belongs to another file");
}
