/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - a safetensors header that parses must describe its data part exactly, and the
 * header written from it must read back the same. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena       *a = snug_arena_new();
    codec_safetensors st, again;
    snug_err          err = {0};
    if (codec_safetensors_parse(a, snug_slice_of(data, size), size, &st, &err) == SNUG_OK) {
        snug_buf out = snug_buf_init(1 << 24);
        uint64_t sum = 0;
        for (size_t i = 0; i < st.count; i++) {
            const codec_tensor *t = &st.tensors[i];
            sum += t->size;
            SNUG_ASSERT(t->offset + t->size <= st.data_size);
            SNUG_ASSERT(codec_safetensors_find(&st, t->name) == t);
            float f;
            if (t->size >= 8) codec_to_f32(t->dtype, data + st.data_offset + t->offset, 0, 1, &f);
        }
        SNUG_ASSERT(sum == st.data_size);
        if (codec_safetensors_write_header(st.tensors, st.count, st.metadata, &out, &err) ==
            SNUG_OK) {
            uint64_t file = out.len + st.data_size;
            SNUG_ASSERT(codec_safetensors_parse(a, snug_buf_slice(&out), file, &again, &err) ==
                        SNUG_OK);
            SNUG_ASSERT(again.count == st.count);
        }
        snug_buf_deinit(&out);
    }
    snug_arena_free(a);
    return 0;
}
