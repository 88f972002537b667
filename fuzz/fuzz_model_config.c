/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: model - config.json from anywhere: refused, or a shape within every limit. */
#include "base/base.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const model_shape *s)
{
    SNUG_ASSERT(s->arch != NULL && s->class_name != NULL);
    SNUG_ASSERT(s->hidden >= 1 && s->hidden <= MODEL_HIDDEN_MAX && s->inner >= 1 &&
                s->inner <= MODEL_INNER_MAX);
    SNUG_ASSERT(s->layers >= 1 && s->layers <= MODEL_LAYERS_MAX && s->vocab >= 1 &&
                s->vocab <= MODEL_VOCAB_MAX);
    SNUG_ASSERT(s->heads >= 1 && s->heads <= MODEL_HEADS_MAX && s->kv_heads >= 1 &&
                s->heads % s->kv_heads == 0);
    SNUG_ASSERT(s->head_dim >= 1 && s->head_dim <= MODEL_HEAD_DIM_MAX);
    SNUG_ASSERT(s->positions_max >= 1 && s->positions_max <= MODEL_POSITIONS_MAX &&
                s->act < TENSOR_ACT_COUNT);
    SNUG_ASSERT(s->eps >= 0 && s->eps <= 1);
    if (s->rope.width == 0) return;
    float  freqs[MODEL_HEAD_DIM_MAX / 2];
    size_t widest = s->head_dim > s->gemma.wide_head ? s->head_dim : s->gemma.wide_head;
    SNUG_ASSERT(s->rope.width <= widest && widest <= MODEL_HEAD_DIM_MAX && s->rope.width % 2 == 0);
    float scale = nn_rope_freqs(&s->rope, s->positions_max * 2, freqs);
    SNUG_ASSERT(scale == scale);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const classes[] = {"",
                                          "LlamaForCausalLM",
                                          "LlamaModel",
                                          "DistilBertForSequenceClassification",
                                          "DistilBertModel",
                                          "Gemma3ForCausalLM",
                                          "DeepseekV3ForCausalLM",
                                          "Llama4ForCausalLM",
                                          "DebertaV2Model",
                                          "ModernBertModel",
                                          "T5ForConditionalGeneration",
                                          "MambaForCausalLM",
                                          "Mamba2ForCausalLM",
                                          "JambaForCausalLM",
                                          "FalconH1ForCausalLM",
                                          "GraniteMoeHybridForCausalLM",
                                          "Lfm2MoeForCausalLM",
                                          "NemotronHForCausalLM",
                                          "Qwen3NextForCausalLM",
                                          "Gemma3nForCausalLM",
                                          "Gemma4ForCausalLM",
                                          "MiniMaxM2ForCausalLM"};
    snug_arena              *a = snug_arena_new();
    snug_json                config;
    model_shape              s;
    if (snug_json_parse(a, snug_slice_of(data, size),
                        &(snug_json_opts){.flags = SNUG_JSON_NONFINITE}, &config, NULL) == SNUG_OK)
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
            if (model_parse(config, snug_str(classes[i]), &s, NULL) == SNUG_OK) check(&s);
    snug_arena_free(a);
    return 0;
}
