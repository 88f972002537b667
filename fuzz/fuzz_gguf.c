/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - a GGUF header that parses has tensors inside the file, needs no more than its own
 * bytes, and comes back equal when written. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touch(const codec_gguf_value *v)
{
    uint64_t sum = v->count;
    for (uint64_t i = 0; v->kind == CODEC_GGUF_ARRAY && i < v->count; i++) {
        codec_gguf_value e = codec_gguf_at(v, i);
        sum += touch(&e);
    }
    return sum;
}

static void again(const codec_gguf *g, snug_arena *a)
{
    snug_buf   out = snug_buf_init(1 << 26);
    snug_err   err = {0};
    codec_gguf back;
    if (codec_gguf_write_header(g->kvs, g->kv_count, g->tensors, g->tensor_count, &out, &err) ==
        SNUG_OK) {
        SNUG_ASSERT(codec_gguf_parse(a, snug_buf_slice(&out), out.len + g->data_size, &back,
                                     &err) == SNUG_OK);
        SNUG_ASSERT(back.kv_count == g->kv_count && back.tensor_count == g->tensor_count);
        SNUG_ASSERT(back.alignment == g->alignment);
    }
    snug_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_gguf  g;
    uint64_t    header;
    snug_slice  file = snug_slice_of(data, size);
    if (codec_gguf_parse(a, file, size, &g, &err) == SNUG_OK) {
        uint64_t sum = 0;
        for (size_t i = 0; i < g.kv_count; i++) {
            SNUG_ASSERT(codec_gguf_find(&g, g.kvs[i].key) == &g.kvs[i].value);
            sum += touch(&g.kvs[i].value);
        }
        for (size_t i = 0; i < g.tensor_count; i++) {
            const codec_gguf_tensor *t = &g.tensors[i];
            SNUG_ASSERT(codec_gguf_find_tensor(&g, t->name) == t);
            SNUG_ASSERT(t->size == 0 ||
                        (t->offset < g.data_size && t->size <= g.data_size - t->offset));
        }
        SNUG_ASSERT(sum <= size);
        SNUG_ASSERT(codec_gguf_header_size(file, size, &header, &err) == SNUG_OK);
        SNUG_ASSERT(header <= g.data_offset);
        again(&g, a);
    } else {
        SNUG_ASSERT(err.msg[0] != '\0');
    }
    if (codec_gguf_header_size(file, (uint64_t)1 << 40, &header, &err) == SNUG_EAGAIN)
        SNUG_ASSERT(header > size);
    snug_arena_free(a);
    return 0;
}
