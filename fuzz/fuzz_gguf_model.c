/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: model - the head of a GGUF file from anywhere: refused, or a configuration that is checked
 * like any other and weights that lie inside the file. */
#include "base/base.h"
#include "model/gguf_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every weight's bytes belong to the file; reading the last element proves it under ASan. */
static void check_weights(const gguf_src *g, snug_slice file)
{
    weight_map *w = NULL;
    float       block[256];
    if (gguf_weights(g, &w, NULL) != SNUG_OK) return;
    for (size_t i = 0; i < w->count; i++) {
        const weight *x = &w->items[i];
        SNUG_ASSERT(x->data >= file.ptr && x->size <= file.len &&
                    (size_t)(x->data - file.ptr) <= file.len - (size_t)x->size);
        uint64_t n = tensor_dtype_block(x->dtype);
        if (x->size >= tensor_dtype_bytes(x->dtype)) SNUG_ASSERT(weight_to_f32(x, 0, n, block));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena *a = snug_arena_new();
    snug_slice  file = snug_slice_of(data, size);
    const char *files[1] = {file.ptr};
    codec_gguf  parts[1];
    gguf_src    g;
    snug_json   config;
    model_shape s;
    char        own[GGUF_NAME_BYTES], back[GGUF_NAME_BYTES];
    if (codec_gguf_parse(a, file, size, &parts[0], NULL) != SNUG_OK) goto done;
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        if (gguf_take(a, parts, with_bytes ? files : NULL, 1, &g, NULL) != SNUG_OK) goto done;
        if (gguf_config(&g, &config, NULL) != SNUG_OK) continue;
        if (model_parse(config, SNUG_EMPTY, &s, NULL) != SNUG_OK) continue;
        gguf_adjust(&g, &s);
        SNUG_ASSERT(s.layers <= MODEL_LAYERS_MAX && s.vocab <= MODEL_VOCAB_MAX &&
                    s.heads % s.kv_heads == 0);
        if (with_bytes) check_weights(&g, file);
    }
    for (size_t i = 0; i < parts[0].tensor_count; i++) {
        bool   stacked;
        size_t expert = 0;
        if (gguf_name_in(g.row, parts[0].tensors[i].name, 0, &stacked, own))
            (void)gguf_name_out(g.row, snug_str(own), &expert, back);
    }
done:
    snug_arena_free(a);
    return 0;
}
