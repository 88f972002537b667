/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/albert.c - ALBERT: BERT's block, the same weights in every layer of a group, and
 * embeddings narrower than the layers.
 *
 * B batch, T time, E hidden, W width of embeddings, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct albert {
    tensor         words, positions, types; /* [V, W], [P, W], [types, W] */
    nn_norm        norm;
    nn_linear      project;
    encoder_layer *groups; /* groups times layers inside one */
    encoder_head   head;
} albert;

static const encoder_names names = {.pooler = "pooler",
                                    .class_pool = "pooler",
                                    .class_pool_in_body = true,
                                    .class_act = TENSOR_ACT_TANH,
                                    .classes = "classifier",
                                    .tokens = "classifier",
                                    .span = "qa_outputs",
                                    .word_dense = "predictions.dense",
                                    .word_norm = "predictions.LayerNorm",
                                    .word_bias = "predictions.bias",
                                    .word_decoder = "predictions.decoder"};

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(encoder_parse(config, s, 1e-12, err));
    SNUG_TRY(cfg_act(config, "hidden_act", "gelu_new", &s->act, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"embedding_size", NULL, 128, 1, MODEL_HIDDEN_MAX},
                      &s->embed_width, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"num_hidden_groups", NULL, 1, 1, s->layers}, &s->groups, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"inner_group_num", NULL, 1, 1, MODEL_LAYERS_MAX},
                      &s->group_layers, err));
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
    SNUG_TRY(bind_linear(b, &l->attention.q, e, e, true, "attention.query"));
    SNUG_TRY(bind_linear(b, &l->attention.k, e, e, true, "attention.key"));
    SNUG_TRY(bind_linear(b, &l->attention.v, e, e, true, "attention.value"));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, true, "attention.dense"));
    SNUG_TRY(bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, s->eps, "attention.LayerNorm"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "ffn"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "ffn_output"));
    SNUG_TRY(bind_norm(b, &l->after_mlp, NN_LAYER_NORM, e, s->eps, "full_layer_layer_norm"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    albert            *n = SNUG_NEW(m->arena, albert);
    size_t             width = s->embed_width, kinds = s->groups * s->group_layers;
    m->net = n;
    n->groups = snug_arena_array_try(m->arena, kinds, sizeof *n->groups);
    if (n->groups == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", kinds);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, width),
                         "embeddings.word_embeddings.weight"));
    SNUG_TRY(bind_tensor(&body, &n->positions, TENSOR_DIMS(s->positions_max, width),
                         "embeddings.position_embeddings.weight"));
    if (s->types > 0)
        SNUG_TRY(bind_tensor(&body, &n->types, TENSOR_DIMS(s->types, width),
                             "embeddings.token_type_embeddings.weight"));
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, width, s->eps, "embeddings.LayerNorm"));
    SNUG_TRY(bind_linear(&body, &n->project, width, s->hidden, true,
                         "encoder.embedding_hidden_mapping_in"));
    for (size_t g = 0; g < s->groups; g++) {
        for (size_t i = 0; i < s->group_layers; i++) {
            char list[64];
            (void)snprintf(list, sizeof list, "encoder.albert_layer_groups.%zu.albert_layers", g);
            binder layer = bind_scope(&body, list, i);
            SNUG_TRY(bind_layer(&layer, s, &n->groups[g * s->group_layers + i]));
        }
    }
    SNUG_TRY(encoder_bind_head(&body, &names, &n->words, &n->head));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const albert      *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    tensor             ids, mask = TENSOR_NONE, narrow, x;
    int32_t           *positions = encoder_positions(s, in);

    SNUG_TRY(nn_upload(&c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    if (in->mask != NULL) SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(B, T), &mask, err));
    SNUG_TRY(
        tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->embed_width), &narrow, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, &narrow, err)); /* [B, T, W] */
    if (s->types > 0) SNUG_TRY(encoder_add_rows(&c, &n->types, in->types, B, T, &narrow, err));
    SNUG_TRY(encoder_add_rows(&c, &n->positions, positions, B, T, &narrow, err));
    SNUG_TRY(nn_norm_run(&c, &n->norm, &narrow, &narrow, err));
    SNUG_TRY(nn_linear_run(&c, &n->project, &narrow, &x, err)); /* [B, T, E] */
    for (size_t i = 0; i < s->layers; i++) {
        const encoder_layer *group = &n->groups[i * s->groups / s->layers * s->group_layers];
        for (size_t k = 0; k < s->group_layers; k++)
            SNUG_TRY(encoder_run_layer(&c, &group[k], &x, &(nn_step){.mask = &mask}, err));
    }
    SNUG_TRY(encoder_run_head(&c, s, &n->head, &x, out, err));
done:
    free(positions);
    return st;
}

static const struct model_class classes[] = {
    {"AlbertModel", MODEL_HEAD_NONE},
    {"AlbertForMaskedLM", MODEL_HEAD_MASKED_LM},
    {"AlbertForSequenceClassification", MODEL_HEAD_CLASSES},
    {"AlbertForTokenClassification", MODEL_HEAD_TOKENS},
    {"AlbertForQuestionAnswering", MODEL_HEAD_SPAN},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_albert[] = {{.model_type = "albert",
                                   .prefix = "albert.",
                                   .classes = classes,
                                   .parse = parse,
                                   .bind = bind,
                                   .forward = forward},
                                  {0}};
