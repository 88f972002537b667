/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/bert.c - BERT, RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA: one encoder, learned
 * positions and token types, a norm after each branch.
 *
 * x = norm(word + position + type); per layer x = norm(x + attention(x)), x = norm(x + mlp(x)).
 * The line of RoBERTa counts positions from pad + 1 over tokens that are no padding. ELECTRA's
 * embeddings may be narrower than its layers and are then projected.
 *
 * B batch, T time, E hidden, W width of embeddings, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct dialect {
    encoder_names names;
    bool          positions_after_pad, narrow_embeddings;
    double        eps;
} dialect;

typedef struct bert {
    tensor         words, positions, types; /* [V, W], [P, W], [types, W] */
    nn_norm        norm;
    nn_linear      project; /* w absent: W is E */
    encoder_layer *layers;
    encoder_head   head;
} bert;

static const dialect bert_dialect = {
    .names = {.pooler = "pooler.dense",
              .class_pool = "pooler.dense",
              .class_pool_in_body = true,
              .class_act = TENSOR_ACT_TANH,
              .classes = "classifier",
              .tokens = "classifier",
              .span = "qa_outputs",
              .word_dense = "cls.predictions.transform.dense",
              .word_norm = "cls.predictions.transform.LayerNorm",
              .word_bias = "cls.predictions.bias",
              .word_decoder = "cls.predictions.decoder"},
    .eps = 1e-12,
};

static const dialect roberta_dialect = {
    .names = {.pooler = "pooler.dense",
              .class_pool = "classifier.dense",
              .class_act = TENSOR_ACT_TANH,
              .classes = "classifier.out_proj",
              .tokens = "classifier",
              .span = "qa_outputs",
              .word_dense = "lm_head.dense",
              .word_norm = "lm_head.layer_norm",
              .word_bias = "lm_head.bias",
              .word_decoder = "lm_head.decoder",
              .word_act_gelu = true},
    .positions_after_pad = true,
    .eps = 1e-12, /* the class default; every checkpoint says 1e-5 */
};

static const dialect electra_dialect = {
    .names = {.class_pool = "classifier.dense",
              .class_act = TENSOR_ACT_GELU,
              .classes = "classifier.out_proj",
              .tokens = "classifier",
              .span = "qa_outputs",
              .word_dense = "generator_predictions.dense",
              .word_norm = "generator_predictions.LayerNorm",
              .word_bias = "generator_lm_head.bias",
              .word_decoder = "generator_lm_head",
              .word_act_gelu = true},
    .narrow_embeddings = true,
    .eps = 1e-12,
};

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    const dialect *d = s->arch->dialect;
    snug_status    st = encoder_parse(config, s, d->eps, err);
    if (st != SNUG_OK) return st;
    if (d->positions_after_pad) {
        snug_json pad = snug_json_get(config, "pad_token_id"); /* this line's default is 1 */
        if (snug_json_is(pad, SNUG_JSON_ABSENT) || snug_json_is(pad, SNUG_JSON_NULL)) s->pad = 1;
        s->position_first = s->pad + 1;
        if (s->position_first >= s->positions_max)
            return snug_fail(err, SNUG_EINVAL, "config.json: %zu positions leave no room after %zu",
                             s->positions_max, s->pad);
    }
    s->embed_width = s->hidden;
    if (!d->narrow_embeddings) return SNUG_OK;
    return cfg_size(config, (cfg_range){"embedding_size", NULL, 128, 1, MODEL_HIDDEN_MAX},
                    &s->embed_width, err);
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
    SNUG_TRY(bind_linear(b, &l->attention.q, e, e, true, "attention.self.query"));
    SNUG_TRY(bind_linear(b, &l->attention.k, e, e, true, "attention.self.key"));
    SNUG_TRY(bind_linear(b, &l->attention.v, e, e, true, "attention.self.value"));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, true, "attention.output.dense"));
    SNUG_TRY(
        bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, s->eps, "attention.output.LayerNorm"));
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
    const dialect     *d = s->arch->dialect;
    binder             body = {m, w, s->arch->prefix, err, ""};
    bert              *n = SNUG_NEW(m->arena, bert);
    size_t             width = s->embed_width;
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, width),
                         "embeddings.word_embeddings.weight"));
    SNUG_TRY(bind_tensor(&body, &n->positions, TENSOR_DIMS(s->positions_max, width),
                         "embeddings.position_embeddings.weight"));
    if (s->types > 0)
        SNUG_TRY(bind_tensor(&body, &n->types, TENSOR_DIMS(s->types, width),
                             "embeddings.token_type_embeddings.weight"));
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, width, s->eps, "embeddings.LayerNorm"));
    if (width != s->hidden)
        SNUG_TRY(bind_linear(&body, &n->project, width, s->hidden, true, "embeddings_project"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "encoder.layer", i);
        SNUG_TRY(bind_layer(&layer, s, &n->layers[i]));
    }
    SNUG_TRY(encoder_bind_head(&body, &d->names, &n->words, &n->head));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const bert        *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    tensor             ids, mask = TENSOR_NONE, x;
    int32_t           *positions = encoder_positions(s, in), *at = positions;
    encoder_flat       flat;
    model_batch        one = *in;
    nn_step            step = {.mask = &mask};

    bool flattened = encoder_flatten(in, positions, &flat);
    if (flattened) {
        one = (model_batch){.ids = flat.ids, .types = flat.types};
        at = flat.positions;
        B = 1;
        T = flat.total;
        step.lengths = flat.lengths;
        step.texts = in->batch;
    }
    SNUG_TRY(nn_upload(&c, one.ids, TENSOR_DIMS(B, T), &ids, err));
    if (one.mask != NULL) SNUG_TRY(nn_upload(&c, one.mask, TENSOR_DIMS(B, T), &mask, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->embed_width), &x, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, &x, err)); /* [B, T, W] */
    if (s->types > 0) SNUG_TRY(encoder_add_rows(&c, &n->types, one.types, B, T, &x, err));
    SNUG_TRY(encoder_add_rows(&c, &n->positions, at, B, T, &x, err));
    SNUG_TRY(nn_norm_run(&c, &n->norm, &x, &x, err));
    if (tensor_present(&n->project.w)) {
        tensor narrow = x;
        SNUG_TRY(nn_linear_run(&c, &n->project, &narrow, &x, err)); /* [B, T, E] */
    }
    for (size_t i = 0; i < s->layers; i++)
        SNUG_TRY(encoder_run_layer(&c, &n->layers[i], &x, &step, err));
    if (flattened) {
        tensor row = x;
        SNUG_TRY(encoder_unflatten(&c, &flat, in->batch, in->times, &row, &x, err));
    }
    SNUG_TRY(encoder_run_head(&c, s, &n->head, &x, out, err));
done:
    free(positions);
    free(flat.ids);
    return st;
}

#define CLASSES(Name)                                                                              \
    (const struct model_class[])                                                                   \
    {                                                                                              \
        {#Name "Model", MODEL_HEAD_NONE}, {#Name "ForMaskedLM", MODEL_HEAD_MASKED_LM},             \
            {#Name "ForSequenceClassification", MODEL_HEAD_CLASSES},                               \
            {#Name "ForTokenClassification", MODEL_HEAD_TOKENS},                                   \
            {#Name "ForQuestionAnswering", MODEL_HEAD_SPAN}, {NULL, MODEL_HEAD_NONE},              \
    }
#define ROW(type, weights, Name, how)                                                              \
    {                                                                                              \
        .model_type = type, .prefix = weights, .dialect = &how, .classes = CLASSES(Name),          \
        .parse = parse, .bind = bind, .forward = forward,                                          \
    }

const model_arch arch_bert[] = {
    ROW("bert", "bert.", Bert, bert_dialect),
    ROW("roberta", "roberta.", Roberta, roberta_dialect),
    ROW("xlm-roberta", "roberta.", XLMRoberta, roberta_dialect),
    ROW("camembert", "roberta.", Camembert, roberta_dialect),
    ROW("electra", "electra.", Electra, electra_dialect),
    {0},
};
