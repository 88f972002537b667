/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/jina.c - Jina embeddings v3 as transformers 5 writes them: XLM-RoBERTa with rotary
 * positions in place of learned ones. Their files keep the names of the model's own code. Adapters
 * for its tasks are folders of their own.
 *
 * B batch, T time, E hidden, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct jina {
    tensor         words, types; /* [V, E], [types, E] */
    nn_norm        norm;
    encoder_layer *layers;
    encoder_head   head;
} jina;

static const encoder_names names = {.pooler = "pooler.dense",
                                    .class_pool = "classifier.dense",
                                    .class_act = TENSOR_ACT_TANH,
                                    .classes = "classifier.out_proj",
                                    .tokens = "classifier",
                                    .span = "qa_outputs",
                                    .word_dense = "lm_head.dense",
                                    .word_norm = "lm_head.layer_norm",
                                    .word_bias = "lm_head.bias",
                                    .word_decoder = "lm_head.decoder",
                                    .word_act_gelu = true};

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"is_decoder", "lora_adaptations", NULL};
    snug_status              st = SNUG_OK;
    double                   eps;
    SNUG_TRY(cfg_refuse(config, refused, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 250002, 1, MODEL_VOCAB_MAX},
                      &s->vocab, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 1024, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size", NULL, 4096, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", NULL, 24, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 16, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 8194, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"type_vocab_size", NULL, 1, 1, MODEL_LABELS_MAX},
                      &s->types, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"pad_token_id", NULL, 1, 0, MODEL_VOCAB_MAX}, &s->pad, err));
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_real(config, "layer_norm_eps", 1e-5, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, "hidden_act", "gelu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    SNUG_TRY(cfg_labels(config, &s->labels, err));
    SNUG_TRY(cfg_rope(
        config,
        (cfg_rotary){.width = s->head_dim, .positions_max = s->positions_max, .theta = 20000.0},
        &s->rope, err));
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, encoder_layer *l)
{
    snug_status   st = SNUG_OK;
    size_t        e = s->hidden;
    nn_attention *a = &l->attention;
    nn_linear     fused;
    *a = (nn_attention){.heads = s->heads,
                        .kv_heads = s->heads,
                        .width = s->head_dim,
                        .scale = 1.0f / sqrtf((float)s->head_dim)};
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &fused, e, 3 * e, true, "mixer.Wqkv"));
    a->q = bind_rows(&fused, 0, e);
    a->k = bind_rows(&fused, e, e);
    a->v = bind_rows(&fused, 2 * e, e);
    SNUG_TRY(bind_linear(b, &a->o, e, e, true, "mixer.out_proj"));
    SNUG_TRY(bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, s->eps, "norm1"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "mlp.fc1"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "mlp.fc2"));
    SNUG_TRY(bind_norm(b, &l->after_mlp, NN_LAYER_NORM, e, s->eps, "norm2"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    jina              *n = SNUG_NEW(m->arena, jina);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         "embeddings.word_embeddings.weight"));
    SNUG_TRY(bind_tensor(&body, &n->types, TENSOR_DIMS(s->types, s->hidden),
                         "embeddings.token_type_embeddings.weight"));
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, s->hidden, s->eps, "emb_ln"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "encoder.layers", i);
        SNUG_TRY(bind_layer(&layer, s, &n->layers[i]));
    }
    SNUG_TRY(encoder_bind_head(&body, &names, &n->words, &n->head));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const jina        *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    tensor             ids, mask = TENSOR_NONE, x;
    nn_turn            turn;
    int32_t           *positions = encoder_positions(s, in);

    SNUG_TRY(nn_upload(&c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    if (in->mask != NULL) SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(B, T), &mask, err));
    SNUG_TRY(nn_rope_turn(&c, &s->rope, positions, B, T, &turn, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &x, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, &x, err)); /* [B, T, E] */
    SNUG_TRY(encoder_add_rows(&c, &n->types, in->types, B, T, &x, err));
    SNUG_TRY(nn_norm_run(&c, &n->norm, &x, &x, err));
    for (size_t i = 0; i < s->layers; i++)
        SNUG_TRY(encoder_run_layer(&c, &n->layers[i], &x, &(nn_step){.mask = &mask, .turn = &turn},
                                   err));
    SNUG_TRY(encoder_run_head(&c, s, &n->head, &x, out, err));
done:
    free(positions);
    return st;
}

static const struct model_class classes[] = {
    {"JinaEmbeddingsV3Model", MODEL_HEAD_NONE},
    {"JinaEmbeddingsV3ForMaskedLM", MODEL_HEAD_MASKED_LM},
    {"JinaEmbeddingsV3ForSequenceClassification", MODEL_HEAD_CLASSES},
    {"JinaEmbeddingsV3ForTokenClassification", MODEL_HEAD_TOKENS},
    {"JinaEmbeddingsV3ForQuestionAnswering", MODEL_HEAD_SPAN},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_jina[] = {{.model_type = "jina_embeddings_v3",
                                 .prefix = "roberta.",
                                 .classes = classes,
                                 .parse = parse,
                                 .bind = bind,
                                 .forward = forward},
                                {0}};
