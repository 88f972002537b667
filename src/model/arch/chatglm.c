/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/chatglm.c - ChatGLM 2, 3 and GLM-4 9B as their own code wrote them.
 *
 * What GLM in transformers computes (mixed.c), under other keys and names: half of each head turns,
 * in neighbouring dimensions; query, key and value are one projection, gate and up another. */
#include "model/decoder_int.h"

/* Switches that no released model turns the other way. */
static snug_status check_switches(snug_json config, snug_err *err)
{
    static const char *const refused[] = {"add_bias_linear",
                                          "apply_residual_connection_post_layernorm", "pre_seq_len",
                                          "quantization_bit", NULL};
    snug_status              st = SNUG_OK;
    bool                     rms, last;
    SNUG_TRY(cfg_refuse(config, refused, err));
    SNUG_TRY(cfg_bool(config, "rmsnorm", true, &rms, err));
    SNUG_TRY(cfg_bool(config, "post_layer_norm", true, &last, err));
    if (!rms || !last)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"%s\" false is not supported",
                  rms ? "post_layer_norm" : "rmsnorm");
done:
    return st;
}

static snug_status parse_sizes(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        grouped;
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"padded_vocab_size", "vocab_size", 65024, 1, MODEL_VOCAB_MAX},
                      &s->vocab, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 4096, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"ffn_hidden_size", NULL, 13696, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_layers", NULL, 28, 1, MODEL_LAYERS_MAX}, &s->layers,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 32, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"kv_channels", NULL, 128, 4, MODEL_HEAD_DIM_MAX},
                      &s->head_dim, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"seq_length", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_bool(config, "multi_query_attention", false, &grouped, err));
    s->kv_heads = s->heads;
    if (grouped)
        SNUG_TRY(cfg_size(config, (cfg_range){"multi_query_group_num", NULL, 1, 1, MODEL_HEADS_MAX},
                          &s->kv_heads, err));
    if (s->heads % s->kv_heads != 0 || s->head_dim % 4 != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu heads of %zu over %zu key heads", s->heads,
                  s->head_dim, s->kv_heads);
done:
    return st;
}

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps, ratio;
    s->decoder = (model_decoder){.before_attention = "input_layernorm",
                                 .before_mlp = "post_attention_layernorm",
                                 .last_norm = "final_layernorm",
                                 .embed = "transformer.embedding.word_embeddings",
                                 .head = "transformer.output_layer",
                                 .attention = "self_attention",
                                 .qkv = "self_attention.query_key_value",
                                 .o = "self_attention.dense",
                                 .gate_up = "mlp.dense_h_to_4h",
                                 .down = "mlp.dense_4h_to_h",
                                 .norm = NN_RMS_NORM};
    SNUG_TRY(check_switches(config, err));
    SNUG_TRY(parse_sizes(config, s, err));
    SNUG_TRY(cfg_real(config, "layernorm_epsilon", 1e-5, 0.0, 1.0, &eps, err));
    SNUG_TRY(cfg_real(config, "rope_ratio", 1.0, 1e-3, 1e6, &ratio, err)); /* of the base */
    SNUG_TRY(cfg_bool(config, "add_qkv_bias", false, &s->decoder.qkv_bias, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", false, &s->tied, err));
    s->eps = (float)eps;
    s->act = TENSOR_ACT_SILU;
    s->rope = (nn_rope){.width = s->head_dim / 2,
                        .positions_max = s->positions_max,
                        .theta = 10000.0 * ratio,
                        .interleaved = true};
done:
    return st;
}

static const struct model_class classes[] = {
    {"ChatGLMModel", MODEL_HEAD_CAUSAL_LM}, /* what released configs name; it generates */
    {"ChatGLMForConditionalGeneration", MODEL_HEAD_CAUSAL_LM},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_chatglm[] = {{.model_type = "chatglm",
                                    .prefix = "transformer.encoder.",
                                    .classes = classes,
                                    .parse = parse,
                                    .bind = decoder_bind,
                                    .forward = decoder_forward,
                                    .keeps = decoder_keeps},
                                   {0}};
