/* SPDX-License-Identifier: Apache-2.0 */
/* codec/zip_int.h - inflating, for the archive reader and for scanning what it refuses. */
#ifndef SNUG_CODEC_ZIP_INT_H
#define SNUG_CODEC_ZIP_INT_H

#include "codec/codec.h"

typedef enum codec_deflate {
    CODEC_DEFLATE_RAW,
    CODEC_DEFLATE_ZLIB,
    CODEC_DEFLATE_GZIP
} codec_deflate;

/* Inflates at most max bytes into the arena. *used: bytes of `in` that the stream took. False: the
 * stream is broken or longer than max; *out is then what came out before. */
bool codec_inflate(snug_arena *a, snug_slice in, codec_deflate kind, uint64_t max, snug_slice *out,
                   size_t *used);

#endif
