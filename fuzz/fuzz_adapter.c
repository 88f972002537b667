/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: model
 * fuzz/fuzz_adapter.c - an adapter folder from anywhere over a small model: refused, or weights of
 * the shapes they had. An input is a byte of switches, adapter_config.json, a byte 0, and the
 * bytes of adapter_model.safetensors. */
#include "model/adapter_int.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TIED = 1, GPT2 = 2, TURNED = 4 };

static char dir[] = "/tmp/snug-fuzz-adapter-XXXXXX";
static bool made;

static void clean_up(void)
{
    if (snug_remove_tree(dir, NULL) != SNUG_OK) (void)fprintf(stderr, "%s stays behind\n", dir);
}

static void write_file(snug_arena *a, const char *name, snug_slice bytes)
{
    FILE *f = fopen(snug_arena_printf(a, "%s/%s", dir, name).ptr, "wb");
    SNUG_ASSERT(f != NULL);
    SNUG_ASSERT(fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len);
    SNUG_ASSERT(fclose(f) == 0);
}

static const struct {
    const char *name;
    codec_dtype stored;
    unsigned    rank;
    uint64_t    shape[2];
} like[] = {
    {"lm_head.weight", CODEC_F32, 2, {6, 4}},
    {"model.embed_tokens.weight", CODEC_BF16, 2, {6, 4}},
    {"model.layers.0.mlp.up_proj.weight", CODEC_F8_E4M3, 2, {8, 4}},
    {"model.layers.0.self_attn.q_proj.bias", CODEC_F16, 1, {4, 0}},
    {"model.layers.0.self_attn.q_proj.weight", CODEC_F32, 2, {4, 4}},
    {"transformer.h.0.attn.c_attn.bias", CODEC_F32, 1, {12, 0}},
    {"transformer.h.0.attn.c_attn.weight", CODEC_F32, 2, {4, 12}},
};
enum { LIKE = sizeof like / sizeof *like };

static weight_map small_map(snug_arena *a, bool headless, bool turned)
{
    static const char zeros[256];
    weight_map m = {.items = snug_arena_array_try(a, LIKE, sizeof(weight)), .turned = turned};
    for (size_t i = headless ? 1 : 0; i < LIKE; i++) {
        weight  *w = &m.items[m.count++];
        uint64_t n = like[i].shape[0] * (like[i].rank == 2 ? like[i].shape[1] : 1);
        *w = (weight){.name = snug_str(like[i].name), .stored = like[i].stored};
        w->rank = like[i].rank;
        memcpy(w->shape, like[i].shape, sizeof like[i].shape);
        w->size = n * (codec_dtype_bits(like[i].stored) / 8);
        w->data = zeros;
    }
    return m;
}

/* Each weight is as long as its shape says, and can be read to its end. */
static void check(const weight_map *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const weight *w = &m->items[i];
        uint64_t      n = 1;
        float         values[64];
        for (unsigned k = 0; k < w->rank; k++) n *= w->shape[k];
        SNUG_ASSERT(!w->blocks && w->size == n * (codec_dtype_bits(w->stored) / 8));
        SNUG_ASSERT(n <= sizeof values / sizeof *values && weight_to_f32(w, 0, n, values));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const configs[] = {
        "{\"model_type\":\"llama\",\"hidden_size\":4,\"intermediate_size\":8,"
        "\"num_hidden_layers\":1,\"num_attention_heads\":1,\"vocab_size\":6}",
        "{\"model_type\":\"gpt2\",\"n_embd\":4,\"n_layer\":1,\"n_head\":1,\"vocab_size\":6}"};
    snug_slice  in = snug_slice_of(data, size);
    unsigned    flags = size > 0 ? data[0] : 0;
    bool        gpt2 = (flags & GPT2) != 0;
    size_t      end = snug_index(in, '\0');
    snug_json   config;
    model_shape s;
    if (size == 0 || end == SIZE_MAX || end == 0) return 0;
    if (!made) {
        SNUG_ASSERT(mkdtemp(dir) != NULL);
        (void)atexit(clean_up);
        made = true;
    }
    snug_arena *a = snug_arena_new();
    write_file(a, "adapter_config.json", snug_sub(in, 1, end - 1));
    write_file(a, "adapter_model.safetensors", snug_sub(in, end + 1, SIZE_MAX));
    SNUG_ASSERT(snug_json_parse(a, snug_str(configs[gpt2]), NULL, &config, NULL) == SNUG_OK);
    SNUG_ASSERT(model_parse(config,
                            gpt2 ? SNUG_LIT("GPT2LMHeadModel") : SNUG_LIT("LlamaForCausalLM"), &s,
                            NULL) == SNUG_OK);
    s.tied = (flags & TIED) != 0;
    weight_map m = small_map(a, s.tied, (flags & TURNED) != 0);
    if (adapter_apply(a, dir, config, &s, &m, NULL) == SNUG_OK) check(&m);
    snug_arena_free(a);
    return 0;
}
