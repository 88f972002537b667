/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/mpnet.c - MPNet: BERT's block with a bias of relative positions that all layers share.
 *
 * Positions count from pad + 1, as RoBERTa's; there are no token types.
 *
 * B batch, T time, E hidden, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct mpnet {
    tensor         words, positions; /* [V, E], [P, E] */
    nn_buckets     relative;
    nn_norm        norm;
    encoder_layer *layers;
    encoder_head   head;
} mpnet;

enum { DISTANCE_MAX = 128 }; /* fixed in this family */

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
    snug_status st = SNUG_OK;
    SNUG_TRY(encoder_parse(config, s, 1e-12, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"pad_token_id", NULL, 1, 0, MODEL_VOCAB_MAX}, &s->pad, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"relative_attention_num_buckets", NULL, 32, 4, 4 * DISTANCE_MAX - 4},
        &s->buckets, err));
    s->types = 0;
    s->position_first = s->pad + 1;
    if (s->position_first >= s->positions_max)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu positions leave no room after %zu",
                  s->positions_max, s->pad);
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, encoder_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden;
    l->attention = (nn_attention){.heads = s->heads,
                                  .kv_heads = s->heads,
                                  .width = s->head_dim,
                                  .scale = 1.0f / sqrtf((float)s->head_dim)};
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &l->attention.q, e, e, true, "attention.attn.q"));
    SNUG_TRY(bind_linear(b, &l->attention.k, e, e, true, "attention.attn.k"));
    SNUG_TRY(bind_linear(b, &l->attention.v, e, e, true, "attention.attn.v"));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, true, "attention.attn.o"));
    SNUG_TRY(bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, s->eps, "attention.LayerNorm"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "intermediate.dense"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "output.dense"));
    SNUG_TRY(bind_norm(b, &l->after_mlp, NN_LAYER_NORM, e, s->eps, "output.LayerNorm"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    mpnet             *n = SNUG_NEW(m->arena, mpnet);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         "embeddings.word_embeddings.weight"));
    SNUG_TRY(bind_tensor(&body, &n->positions, TENSOR_DIMS(s->positions_max, s->hidden),
                         "embeddings.position_embeddings.weight"));
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, s->hidden, s->eps, "embeddings.LayerNorm"));
    n->relative = (nn_buckets){.distance_max = DISTANCE_MAX, .both_ways = true};
    SNUG_TRY(bind_tensor(&body, &n->relative.table, TENSOR_DIMS(s->buckets, s->heads),
                         "encoder.relative_attention_bias.weight"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "encoder.layer", i);
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
    const mpnet       *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    tensor             ids, mask = TENSOR_NONE, bias, x;
    int32_t           *positions = encoder_positions(s, in);

    SNUG_TRY(nn_upload(&c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    if (in->mask != NULL) SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(B, T), &mask, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &x, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, &x, err)); /* [B, T, E] */
    SNUG_TRY(encoder_add_rows(&c, &n->positions, positions, B, T, &x, err));
    SNUG_TRY(nn_norm_run(&c, &n->norm, &x, &x, err));
    SNUG_TRY(nn_buckets_run(&c, &n->relative, B, 0, T, &bias, err)); /* [B, H, T, T] */
    for (size_t i = 0; i < s->layers; i++)
        SNUG_TRY(encoder_run_layer(&c, &n->layers[i], &x, &(nn_step){.mask = &mask, .bias = &bias},
                                   err));
    SNUG_TRY(encoder_run_head(&c, s, &n->head, &x, out, err));
done:
    free(positions);
    return st;
}

static const struct model_class classes[] = {
    {"MPNetModel", MODEL_HEAD_NONE},
    {"MPNetForMaskedLM", MODEL_HEAD_MASKED_LM},
    {"MPNetForSequenceClassification", MODEL_HEAD_CLASSES},
    {"MPNetForTokenClassification", MODEL_HEAD_TOKENS},
    {"MPNetForQuestionAnswering", MODEL_HEAD_SPAN},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_mpnet[] = {{.model_type = "mpnet",
                                  .prefix = "mpnet.",
                                  .classes = classes,
                                  .parse = parse,
                                  .bind = bind,
                                  .forward = forward},
                                 {0}};
