/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - an array that parses can be copied out whole, by parts to the same bytes, and they
 * are as many as its storage has. */
#include <stdlib.h>

#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_err  err = {0};
    codec_npy npy;
    uint64_t  count;
    if (codec_npy_parse(snug_slice_of(data, size), &npy, &err) == SNUG_OK && !npy.pickled) {
        unsigned width = codec_dtype_bits(npy.view.tensor.dtype) / 8;
        SNUG_ASSERT(codec_view_check(&npy.view, &count, &err) == SNUG_OK);
        SNUG_ASSERT(count * width == npy.view.storage.len && npy.view.storage.len < size);
        unsigned char *whole = snug_alloc((size_t)count * width + 1),
                      *part = snug_alloc((size_t)count * width + 1);
        codec_view_copy(&npy.view, 0, count, whole);
        for (uint64_t at = 0; at < count; at += 7)
            codec_view_copy(&npy.view, at, count - at < 7 ? count - at : 7, part + at * width);
        SNUG_ASSERT(memcmp(whole, part, (size_t)count * width) == 0);
        free(whole);
        free(part);
    } else {
        SNUG_ASSERT(npy.pickled || err.msg[0] != '\0');
    }
    return 0;
}
