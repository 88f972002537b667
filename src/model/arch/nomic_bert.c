/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/nomic_bert.c - Nomic's BERT: norms after each branch, rotary positions, a gated MLP
 * and no biases in the linears.
 *
 * Configs come in the words of transformers 5 and in those of the first releases (n_embd, n_inner).
 *
 * B batch, T time, E hidden, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct nomic {
    tensor         words, types; /* [V, E], [types, E] */
    nn_norm        norm;
    encoder_layer *layers;
    encoder_head   head;
} nomic;

static const encoder_names names = {.pooler = NULL};

static snug_status parse_sizes(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 30528, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", "n_embd", 768, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size", "n_inner", 3072, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", "n_layer", 12, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", "n_head", 12, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"max_position_embeddings", "n_positions", 2048, 1, MODEL_POSITIONS_MAX},
        &s->positions_max, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"type_vocab_size", NULL, 2, 0, MODEL_LABELS_MAX},
                      &s->types, err));
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"head_dim", NULL, s->head_dim, 1, MODEL_HEAD_DIM_MAX},
                      &s->head_dim, err));
    SNUG_TRY(cfg_real(config, "layer_norm_epsilon", 1e-12, 0.0, 1.0, &eps, err));
    SNUG_TRY(cfg_real(config, "layer_norm_eps", eps, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
done:
    return st;
}

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"prenorm",
                                          "parallel_block",
                                          "rotary_emb_interleaved",
                                          "rotary_scaling_factor",
                                          "use_rms_norm",
                                          "rotary_emb_scale_base",
                                          "qkv_proj_bias",
                                          "mlp_fc1_bias",
                                          "mlp_fc2_bias",
                                          "moe_every_n_layers",
                                          "causal",
                                          NULL};
    snug_status              st = SNUG_OK;
    double                   theta;
    snug_slice               act;
    SNUG_TRY(parse_sizes(config, s, err));
    SNUG_TRY(cfg_refuse(config, refused, err));
    SNUG_TRY(cfg_text(config, "activation_function", "swiglu", &act, err));
    if (!snug_eq_str(act, "swiglu"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"activation_function\" \"%.*s\" is not supported",
                  SNUG_SLICE(act));
    SNUG_TRY(cfg_act(config, "hidden_act", "silu", &s->act, err));
    SNUG_TRY(cfg_real(config, "rotary_emb_base", 1000.0, 1.0001, 1e12, &theta, err));
    SNUG_TRY(cfg_rope(
        config,
        (cfg_rotary){.width = s->head_dim, .positions_max = s->positions_max, .theta = theta},
        &s->rope, err));
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, encoder_layer *l)
{
    snug_status st = SNUG_OK;
    nn_linear   fused;
    size_t      e = s->hidden, q = s->heads * s->head_dim;
    l->attention = (nn_attention){.heads = s->heads,
                                  .kv_heads = s->heads,
                                  .width = s->head_dim,
                                  .scale = 1.0f / sqrtf((float)s->head_dim)};
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &fused, e, 3 * q, false, "attn.Wqkv"));
    l->attention.q = bind_rows(&fused, 0, q);
    l->attention.k = bind_rows(&fused, q, q);
    l->attention.v = bind_rows(&fused, 2 * q, q);
    SNUG_TRY(bind_linear(b, &l->attention.o, q, e, false, "attn.out_proj"));
    SNUG_TRY(bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, s->eps, "norm1"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, false, "mlp.fc11"));
    SNUG_TRY(bind_linear(b, &l->mlp.gate, e, s->inner, false, "mlp.fc12"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, false, "mlp.fc2"));
    SNUG_TRY(bind_norm(b, &l->after_mlp, NN_LAYER_NORM, e, s->eps, "norm2"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    nomic             *n = SNUG_NEW(m->arena, nomic);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         "embeddings.word_embeddings.weight"));
    if (s->types > 0)
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
    const nomic       *n = m->net;
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
    if (s->types > 0) SNUG_TRY(encoder_add_rows(&c, &n->types, in->types, B, T, &x, err));
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
    {"NomicBertModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_nomic[] = {{.model_type = "nomic_bert",
                                  .prefix = "bert.",
                                  .classes = classes,
                                  .parse = parse,
                                  .bind = bind,
                                  .forward = forward},
                                 {0}};
