/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: xet - xet_shard_parse on hostile bytes; what it accepts is written and read back alike. */
#include "xet/xet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena *a = snug_arena_new();
    xet_shard   s, again;
    snug_err    err;
    if (xet_shard_parse(a, snug_slice_of(data, size), &s, &err) == SNUG_OK) {
        snug_buf b = snug_buf_init(2 * size + 4096), c = snug_buf_init(2 * size + 4096);
        xet_shard_write(&s, NULL, &b);
        SNUG_ASSERT(xet_shard_parse(a, snug_buf_slice(&b), &again, &err) == SNUG_OK);
        xet_shard_write(&again, NULL, &c);
        SNUG_ASSERT(snug_eq(snug_buf_slice(&b), snug_buf_slice(&c)));
        snug_buf_deinit(&b);
        snug_buf_deinit(&c);
    }
    snug_arena_free(a);
    return 0;
}
