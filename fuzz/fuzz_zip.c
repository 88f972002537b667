/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - an archive that opens has entries inside the file that share no byte, each found by
 * its name and unpacked to exactly its size. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_zip   z;
    if (codec_zip_open(a, snug_slice_of(data, size), &z, &err) == SNUG_OK) {
        uint64_t end = 0;
        for (size_t i = 0; i < z.count; i++) {
            const codec_zip_entry *e = &z.entries[i];
            snug_slice             bytes;
            SNUG_ASSERT(e->start >= end && e->offset > e->start && e->offset <= size &&
                        e->packed <= size - e->offset);
            end = e->offset + e->packed;
            SNUG_ASSERT(codec_zip_find(&z, e->name) == e);
            if (codec_zip_read(a, &z, e, 1 << 20, &bytes, &err) == SNUG_OK)
                SNUG_ASSERT(bytes.len == e->size);
            else
                SNUG_ASSERT(err.msg[0] != '\0');
        }
    } else {
        SNUG_ASSERT(err.msg[0] != '\0');
    }
    snug_arena_free(a);
    return 0;
}
