/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/gpt2.c - GPT-2 and GPT-BigCode (SantaCoder, StarCoder): learned positions, norms
 * before each branch, biases everywhere, logits tied.
 *
 * GPT-2 stores matrices as [in, out]; they are turned over once while loading. BigCode shares one
 * key and one value head, or splits its fused rows per head. */
#include "model/decoder_int.h"

#include <math.h>

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"add_cross_attention", NULL};
    snug_status              st = SNUG_OK;
    double                   eps;
    bool                     weighed, one_key = false, by_layer;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50257, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_embd", "hidden_size", 768, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_inner", NULL, 4 * s->hidden, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_layer", "num_hidden_layers", 12, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_head", "num_attention_heads", 12, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"n_positions", "max_position_embeddings", 1024, 1, MODEL_POSITIONS_MAX},
        &s->positions_max, err));
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_real(config, "layer_norm_epsilon", 1e-5, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    bool bigcode = s->arch->dialect != NULL;
    SNUG_TRY(cfg_act(config, "activation_function", bigcode ? "gelu_pytorch_tanh" : "gelu_new",
                     &s->act, err));
    SNUG_TRY(cfg_bool(config, "scale_attn_weights", true, &weighed, err));
    SNUG_TRY(cfg_bool(config, "scale_attn_by_inverse_layer_idx", false, &by_layer, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    if (bigcode) SNUG_TRY(cfg_bool(config, "multi_query", true, &one_key, err));
    if (one_key) s->kv_heads = 1;
    s->decoder.attention_scale = weighed ? 0.0f : 1.0f;
    s->decoder.scale_by_layer = by_layer;
    SNUG_TRY(cfg_refuse(config, refused, err));
done:
    return st;
}

/* <name>.weight as a file holds it -> [n, in]. */
static snug_status linear_of(const binder *b, nn_linear *out, size_t in, size_t n, const char *name)
{
    char weight[96], bias[96];
    if (b->m->shape.arch->dialect != NULL || bind_is_turned(b))
        return bind_linear(b, out, in, n, true, name);
    tensor stored, turned;
    (void)snprintf(weight, sizeof weight, "%s.weight", name);
    (void)snprintf(bias, sizeof bias, "%s.bias", name);
    snug_status st = bind_tensor(b, &stored, TENSOR_DIMS(in, n), weight);
    if (st != SNUG_OK) return st;
    turned = tensor_swap(&stored, 0, 1);
    st = bind_copy(b, &turned, stored.dtype, &out->w);
    return st != SNUG_OK ? st : bind_tensor(b, &out->b, TENSOR_DIMS(n), bias);
}

static snug_status bind_layer(const binder *b, const model_shape *s, size_t i, decoder_layer *l)
{
    snug_status   st = SNUG_OK;
    nn_attention *a = &l->attention;
    nn_linear     fused = {0};
    size_t        e = s->hidden, kv = s->kv_heads * s->head_dim;
    *a = decoder_attention(s, i);
    if (s->decoder.scale_by_layer) a->scale /= (float)(i + 1);
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_LAYER_NORM, e, s->eps, "ln_1"));
    SNUG_TRY(linear_of(b, &fused, e, e + 2 * kv, "attn.c_attn"));
    if (s->arch->dialect != NULL && s->kv_heads > 1) {
        SNUG_TRY(bind_grouped(b, &fused, a));
    } else {
        a->q = bind_rows(&fused, 0, e);
        a->k = bind_rows(&fused, e, kv);
        a->v = bind_rows(&fused, e + kv, kv);
    }
    SNUG_TRY(linear_of(b, &a->o, e, e, "attn.c_proj"));
    SNUG_TRY(bind_norm(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "ln_2"));
    SNUG_TRY(linear_of(b, &l->mlp.up, e, s->inner, "mlp.c_fc"));
    SNUG_TRY(linear_of(b, &l->mlp.down, s->inner, e, "mlp.c_proj"));
    l->mlp.act = s->act;
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    decoder           *n;
    SNUG_TRY(decoder_new(m, &n, err));
    SNUG_TRY(bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), "wte.weight"));
    SNUG_TRY(
        bind_tensor(&body, &n->positions, TENSOR_DIMS(s->positions_max, s->hidden), "wpe.weight"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "h", i);
        SNUG_TRY(bind_layer(&layer, s, i, &n->layers[i]));
    }
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, s->hidden, s->eps, "ln_f"));
    SNUG_TRY(decoder_bind_head(&top, n, "lm_head"));
done:
    return st;
}

static const struct model_class gpt2_classes[] = {
    {"GPT2LMHeadModel", MODEL_HEAD_CAUSAL_LM},
    {"GPT2Model", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};
static const struct model_class bigcode_classes[] = {
    {"GPTBigCodeForCausalLM", MODEL_HEAD_CAUSAL_LM},
    {"GPTBigCodeModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_gpt2[] = {
    {.model_type = "gpt2",
     .prefix = "transformer.",
     .classes = gpt2_classes,
     .parse = parse,
     .bind = bind,
     .forward = decoder_forward},
    {.model_type = "gpt_bigcode",
     .prefix = "transformer.",
     .dialect = "bigcode",
     .classes = bigcode_classes,
     .parse = parse,
     .bind = bind,
     .forward = decoder_forward},
    {0},
};
