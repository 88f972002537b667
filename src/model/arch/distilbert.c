/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/distilbert.c - DistilBERT: an encoder with learned positions, norms after each branch.
 *
 * x = norm(word + position); per layer x = norm(x + attention(x)), x = norm(x + mlp(x)).
 * Heads: classes from the first token (linear, relu, linear); masked words (linear, act, norm, word
 * embeddings as the last matrix, with a bias of its own). No token types, no pooler.
 *
 * B batch, T time, E dim, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct distil_layer {
    nn_attention attention;
    nn_norm      after_attention, after_mlp;
    nn_mlp       mlp;
} distil_layer;

typedef struct distilbert {
    tensor        words, positions; /* [V, E], [P, E] */
    nn_norm       norm;
    distil_layer *layers;
    nn_linear     first, last; /* of the head */
    nn_norm       head_norm;
} distilbert;

static const float EPS = 1e-12f; /* fixed in this family, not in the config */

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        cross;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 30522, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"dim", "hidden_size", 768, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_dim", NULL, 3072, 1, MODEL_INNER_MAX}, &s->inner,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_layers", "num_hidden_layers", 6, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_heads", "num_attention_heads", 12, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 512, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    if (s->hidden % s->heads != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"dim\" %zu is no multiple of \"n_heads\" %zu",
                  s->hidden, s->heads);
    s->kv_heads = s->heads;
    s->head_dim = s->hidden / s->heads;
    if (s->head_dim > MODEL_HEAD_DIM_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "config.json: heads of %zu dimensions; at most %d", s->head_dim,
                  MODEL_HEAD_DIM_MAX);
    s->eps = EPS;
    SNUG_TRY(cfg_act(config, "activation", "gelu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    SNUG_TRY(cfg_bool(config, "add_cross_attention", false, &cross, err));
    if (cross)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"add_cross_attention\" is not supported");
    if (s->head == MODEL_HEAD_CLASSES) SNUG_TRY(cfg_labels(config, &s->labels, err));
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, distil_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden;
    l->attention = (nn_attention){.heads = s->heads,
                                  .kv_heads = s->heads,
                                  .width = s->head_dim,
                                  .scale = 1.0f / sqrtf((float)s->head_dim)};
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &l->attention.q, e, e, true, "attention.q_lin"));
    SNUG_TRY(bind_linear(b, &l->attention.k, e, e, true, "attention.k_lin"));
    SNUG_TRY(bind_linear(b, &l->attention.v, e, e, true, "attention.v_lin"));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, true, "attention.out_lin"));
    SNUG_TRY(bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, EPS, "sa_layer_norm"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "ffn.lin1"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "ffn.lin2"));
    SNUG_TRY(bind_norm(b, &l->after_mlp, NN_LAYER_NORM, e, EPS, "output_layer_norm"));
done:
    return st;
}

static snug_status bind_head(model *m, const weight_map *w, distilbert *n, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             top = {m, w, "", err, ""};
    size_t             e = s->hidden;
    if (s->head == MODEL_HEAD_CLASSES) {
        SNUG_TRY(bind_linear(&top, &n->first, e, e, true, "pre_classifier"));
        SNUG_TRY(bind_linear(&top, &n->last, e, s->labels, true, "classifier"));
    } else if (s->head == MODEL_HEAD_MASKED_LM) {
        SNUG_TRY(bind_linear(&top, &n->first, e, e, true, "vocab_transform"));
        SNUG_TRY(bind_norm(&top, &n->head_norm, NN_LAYER_NORM, e, EPS, "vocab_layer_norm"));
        if (s->tied) {
            n->last.w = n->words;
            SNUG_TRY(bind_tensor(&top, &n->last.b, TENSOR_DIMS(s->vocab), "vocab_projector.bias"));
        } else {
            SNUG_TRY(bind_linear(&top, &n->last, e, s->vocab, true, "vocab_projector"));
        }
    }
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    distilbert        *n = SNUG_NEW(m->arena, distilbert);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         "embeddings.word_embeddings.weight"));
    SNUG_TRY(bind_tensor(&body, &n->positions, TENSOR_DIMS(s->positions_max, s->hidden),
                         "embeddings.position_embeddings.weight"));
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, s->hidden, EPS, "embeddings.LayerNorm"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "transformer.layer", i);
        SNUG_TRY(bind_layer(&layer, s, &n->layers[i]));
    }
    SNUG_TRY(bind_head(m, w, n, err));
done:
    return st;
}

/* x [B, T, E] += the learned positions. */
static snug_status add_positions(const nn_ctx *c, const distilbert *n, const model_batch *in,
                                 const tensor *x, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      ids, rows;
    size_t      T = in->times, e = x->shape[2];
    int32_t    *counted = NULL;
    if (in->positions != NULL) {
        SNUG_TRY(nn_upload(c, in->positions, TENSOR_DIMS(in->batch, T), &ids, err));
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(in->batch, T, e), &rows, err));
    } else { /* the same for every row of the batch: [T, E] */
        counted = snug_alloc(T * sizeof *counted);
        for (size_t i = 0; i < T; i++) counted[i] = (int32_t)i;
        SNUG_TRY(nn_upload(c, counted, TENSOR_DIMS(T), &ids, err));
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(T, e), &rows, err));
    }
    SNUG_TRY(tensor_embed(c->dev, &n->positions, &ids, &rows, err));
    SNUG_TRY(tensor_add(c->dev, x, &rows, x, err));
done:
    free(counted);
    return st;
}

/* x [B, T, E] -> logits. */
static snug_status run_head(const nn_ctx *c, const model_shape *s, const distilbert *n,
                            const tensor *x, tensor *logits, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      in = *x, h;
    if (s->head == MODEL_HEAD_CLASSES) { /* the first token: [B, E], rows T * E apart */
        in = tensor_slice(&in, 1, 0, 1);
        in.rank = 2;
        in.shape[1] = s->hidden;
        in.stride[1] = 1;
    }
    SNUG_TRY(nn_linear_run(c, &n->first, &in, &h, err));
    SNUG_TRY(tensor_activate(c->dev, &h, s->head == MODEL_HEAD_CLASSES ? TENSOR_ACT_RELU : s->act,
                             &h, err));
    if (s->head == MODEL_HEAD_MASKED_LM) SNUG_TRY(nn_norm_run(c, &n->head_norm, &h, &h, err));
    SNUG_TRY(nn_linear_run(c, &n->last, &h, logits, err)); /* [B, labels] or [B, T, V] */
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const distilbert  *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    tensor             ids, mask = TENSOR_NONE, x, y, logits;

    SNUG_TRY(nn_upload(&c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    if (in->mask != NULL) SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(B, T), &mask, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &x, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, &x, err)); /* [B, T, E] */
    SNUG_TRY(add_positions(&c, n, in, &x, err));
    SNUG_TRY(nn_norm_run(&c, &n->norm, &x, &x, err));
    for (size_t i = 0; i < s->layers; i++) {
        const distil_layer *l = &n->layers[i];
        tensor_mark         mark = tensor_space_mark(c.space);
        SNUG_TRY(nn_attention_run(&c, &l->attention, &x, &(nn_step){.mask = &mask}, &y,
                                  err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, &x, &y, &x, err));
        SNUG_TRY(nn_norm_run(&c, &l->after_attention, &x, &x, err));
        SNUG_TRY(nn_mlp_run(&c, &l->mlp, &x, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, &x, &y, &x, err));
        SNUG_TRY(nn_norm_run(&c, &l->after_mlp, &x, &x, err));
        tensor_space_release(c.space, mark);
    }
    if (s->head == MODEL_HEAD_NONE) {
        out->item[out->count].name = "last_hidden_state";
        out->item[out->count++].value = x;
        goto done;
    }
    SNUG_TRY(run_head(&c, s, n, &x, &logits, err));
    out->item[out->count].name = "logits";
    out->item[out->count++].value = logits;
done:
    return st;
}

static const struct model_class classes[] = {
    {"DistilBertForSequenceClassification", MODEL_HEAD_CLASSES},
    {"DistilBertForMaskedLM", MODEL_HEAD_MASKED_LM},
    {"DistilBertModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_distilbert[] = {{.model_type = "distilbert",
                                       .prefix = "distilbert.",
                                       .classes = classes,
                                       .parse = parse,
                                       .bind = bind,
                                       .forward = forward},
                                      {0}};
