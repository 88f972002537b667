/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: xet - xet_xorb_check on hostile bytes; what it accepts must decode again chunk by chunk. */
#include "xet/xet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char raw[XET_CHUNK_MAX];
    snug_arena          *a = snug_arena_new();
    snug_slice           body = snug_slice_of(data, size);
    xet_xorb             x;
    snug_err             err;
    if (xet_xorb_check(a, body, NULL, &x, &err) == SNUG_OK) {
        uint32_t at = 0;
        for (uint32_t i = 0; i < x.count; i++) {
            uint32_t n, stored;
            SNUG_ASSERT(xet_record_decode(snug_sub(body, at, size), raw, &n, &stored, &err) == SNUG_OK);
            at += stored;
            SNUG_ASSERT(at == x.chunks[i].stored_end && n == x.chunks[i].raw_size);
        }
    }
    snug_arena_free(a);
    return 0;
}
