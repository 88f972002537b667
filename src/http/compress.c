/* SPDX-License-Identifier: Apache-2.0 */
/* http/compress.c - choosing a content coding and applying it to an answer held in memory.
 *
 * For:     reply.c.
 * Threads: pure functions.
 * Truth:   a coded body is always smaller than the plain one, else the plain one is sent. */
#include <zlib.h>
#include <zstd.h>

#include "http/http_int.h"

enum {
    GZIP_LEVEL = 5,
    ZSTD_LEVEL = 3,
    ZSTD_LEVEL_LARGE = 1,
    LARGE_BYTES = 1 << 20,
    QUALITY_ONE = 1000
};

/* "q=0.5" in thousandths; without one, or unreadable: 1. */
static unsigned parse_quality(snug_slice params)
{
    snug_slice one;
    while (snug_split(&params, ';', &one)) {
        one = snug_trim(one);
        if (one.len < 3 || (one.ptr[0] | 32) != 'q' || one.ptr[1] != '=') continue;
        if (one.ptr[2] != '0') return QUALITY_ONE;
        unsigned q = 0, unit = QUALITY_ONE / 10;
        for (size_t i = 4; i < one.len && unit > 0 && one.ptr[i] >= '0' && one.ptr[i] <= '9';
             i++, unit /= 10)
            q += (unsigned)(one.ptr[i] - '0') * unit;
        return q;
    }
    return QUALITY_ONE;
}

http_coding http_pick_coding(snug_slice accept_encoding)
{
    int        gzip = -1, zstd = -1, any = 0; /* -1: not named */
    snug_slice one;
    while (snug_split(&accept_encoding, ',', &one)) {
        size_t     semi = snug_index(one, ';');
        snug_slice name = snug_trim(semi == SIZE_MAX ? one : snug_sub(one, 0, semi));
        int        q =
            (int)(semi == SIZE_MAX ? QUALITY_ONE : parse_quality(snug_sub(one, semi + 1, one.len)));
        if (snug_eq_nocase(name, SNUG_LIT("gzip")) || snug_eq_nocase(name, SNUG_LIT("x-gzip")))
            gzip = q;
        if (snug_eq_nocase(name, SNUG_LIT("zstd"))) zstd = q;
        if (snug_eq_str(name, "*")) any = q;
    }
    if (gzip < 0) gzip = any;
    if (zstd < 0) zstd = any;
    if (zstd > 0 && zstd >= gzip) return HTTP_CODING_ZSTD;
    return gzip > 0 ? HTTP_CODING_GZIP : HTTP_CODING_IDENTITY;
}

bool http_media_compresses(snug_slice media)
{
    size_t     semi = snug_index(media, ';');
    snug_slice m = snug_trim(semi == SIZE_MAX ? media : snug_sub(media, 0, semi));
    if (snug_eq_str(m, "text/event-stream")) return false;
    static const char *const heads[] = {
        "text/",           "application/json",     "application/javascript",
        "application/xml", "application/x-ndjson", "image/svg+xml"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (snug_starts_with(m, heads[i])) return true;
    }
    return snug_ends_with(m, "+json") || snug_ends_with(m, "+xml");
}

static bool pack_gzip(snug_slice in, char *out, size_t room, size_t *n)
{
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    z.next_in = (Bytef *)(uintptr_t)in.ptr;
    z.avail_in = (uInt)in.len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    bool ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
    *n = (size_t)z.total_out;
    (void)deflateEnd(&z);
    return ok;
}

static bool pack_zstd(snug_slice in, char *out, size_t room, size_t *n)
{
    size_t got = ZSTD_compress(out, room, in.ptr, in.len,
                               in.len > LARGE_BYTES ? ZSTD_LEVEL_LARGE : ZSTD_LEVEL);
    if (ZSTD_isError(got)) return false;
    *n = got;
    return true;
}

/* The room is one byte less than the input, so a body that does not shrink is not sent coded. */
bool http_compress(http_coding coding, snug_slice in, snug_buf *out)
{
    if (coding == HTTP_CODING_IDENTITY || in.len < 2 || in.len > HTTP_COMPRESS_MAX) return false;
    size_t n = 0, room = in.len - 1;
    *out = snug_buf_init(in.len);
    if (!snug_buf_reserve(out, room)) return false;
    bool ok = coding == HTTP_CODING_ZSTD ? pack_zstd(in, out->ptr, room, &n)
                                         : pack_gzip(in, out->ptr, room, &n);
    if (!ok) {
        snug_buf_deinit(out);
        return false;
    }
    out->len = n;
    return true;
}
