/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/modernbert.c - ModernBERT: norms before each branch, rotary positions, gated MLP, and
 * most layers looking at their neighbourhood only.
 *
 * x = norm(words); per layer x += attention(norm(x)), x += down(act(first) * second); then a norm.
 * The first layer has no norm before its attention. Local layers see keys at most local_attention /
 * 2 away and turn by a base of their own. Every head is dense, act, norm, linear.
 *
 * B batch, T time, E hidden, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct modern_layer {
    nn_norm      before_attention, before_mlp; /* none in the first layer */
    nn_attention attention;
    nn_mlp       mlp;
} modern_layer;

typedef struct modernbert {
    tensor        words; /* [V, E] */
    nn_norm       norm, last_norm, head_norm;
    modern_layer *layers;
    nn_linear     dense, last;
} modernbert;

static snug_status parse_numbers(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps;
    size_t      local;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50368, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 768, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size", NULL, 1152, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", NULL, 22, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 12, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 8192, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"local_attention", NULL, 128, 1, MODEL_POSITIONS_MAX},
                      &local, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"global_attn_every_n_layers", NULL, 3, 1, MODEL_LAYERS_MAX},
                      &s->period, err));
    s->window = local / 2 + 1; /* keys less than this away */
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_real(config, "norm_eps", 1e-5, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, "hidden_activation", "gelu", &s->act, err));
    SNUG_TRY(cfg_act(config, "classifier_activation", "gelu", &s->head_act, err));
    SNUG_TRY(cfg_bool(config, "attention_bias", false, &s->attention_bias, err));
    SNUG_TRY(cfg_bool(config, "mlp_bias", false, &s->mlp_bias, err));
    SNUG_TRY(cfg_bool(config, "norm_bias", false, &s->norm_bias, err));
    SNUG_TRY(cfg_bool(config, "classifier_bias", false, &s->head_bias, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
done:
    return st;
}

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  pooling;
    bool        bias;
    SNUG_TRY(parse_numbers(config, s, err));
    for (size_t i = 0; i < s->layers; i++) model_layer_set(s->sliding, i, i % s->period != 0);
    SNUG_TRY(cfg_layer_types(config, s, err));
    SNUG_TRY(cfg_bool(config, "decoder_bias", true, &bias, err));
    s->word_bias = bias;
    SNUG_TRY(cfg_text(config, "classifier_pooling", "cls", &pooling, err));
    s->mean_pooling = snug_eq_str(pooling, "mean");
    if (!s->mean_pooling && !snug_eq_str(pooling, "cls"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"classifier_pooling\" \"%.*s\" is not supported",
                  SNUG_SLICE(pooling));
    cfg_rotary rule = {.width = s->head_dim,
                       .positions_max = s->positions_max,
                       .theta = 160000.0,
                       .layer_type = "full_attention",
                       .theta_key = "global_rope_theta"};
    SNUG_TRY(cfg_rope(config, rule, &s->rope, err));
    rule.theta = 10000.0;
    rule.layer_type = "sliding_attention";
    rule.theta_key = "local_rope_theta";
    SNUG_TRY(cfg_rope(config, rule, &s->rope_local, err));
    if (s->head == MODEL_HEAD_CLASSES || s->head == MODEL_HEAD_TOKENS)
        SNUG_TRY(cfg_labels(config, &s->labels, err));
    if (s->head == MODEL_HEAD_SPAN) s->labels = 2;
done:
    return st;
}

static snug_status norm_of(const binder *b, nn_norm *out, const char *name)
{
    const model_shape *s = &b->m->shape;
    return (s->norm_bias ? bind_norm : bind_norm_weight)(b, out, NN_LAYER_NORM, s->hidden, s->eps,
                                                         name);
}

static snug_status bind_layer(const binder *b, const model_shape *s, size_t index, modern_layer *l)
{
    snug_status st = SNUG_OK;
    nn_linear   fused;
    size_t      e = s->hidden;
    bool        local = model_layer_is(s->sliding, index);
    l->attention = (nn_attention){.heads = s->heads,
                                  .kv_heads = s->heads,
                                  .width = s->head_dim,
                                  .scale = 1.0f / sqrtf((float)s->head_dim),
                                  .window = local ? s->window : 0,
                                  .ahead = local ? s->window : 0};
    l->mlp.act = s->act;
    if (index > 0) SNUG_TRY(norm_of(b, &l->before_attention, "attn_norm"));
    SNUG_TRY(bind_linear(b, &fused, e, 3 * e, s->attention_bias, "attn.Wqkv"));
    l->attention.q = bind_rows(&fused, 0, e);
    l->attention.k = bind_rows(&fused, e, e);
    l->attention.v = bind_rows(&fused, 2 * e, e);
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, s->attention_bias, "attn.Wo"));
    SNUG_TRY(norm_of(b, &l->before_mlp, "mlp_norm"));
    SNUG_TRY(bind_linear(b, &fused, e, 2 * s->inner, s->mlp_bias, "mlp.Wi"));
    l->mlp.gate = bind_rows(&fused, 0, s->inner);
    l->mlp.up = bind_rows(&fused, s->inner, s->inner);
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, s->mlp_bias, "mlp.Wo"));
done:
    return st;
}

static snug_status bind_head(const binder *top, modernbert *n)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &top->m->shape;
    if (s->head == MODEL_HEAD_NONE) return SNUG_OK;
    SNUG_TRY(bind_linear(top, &n->dense, s->hidden, s->hidden, s->head_bias, "head.dense"));
    SNUG_TRY(norm_of(top, &n->head_norm, "head.norm"));
    if (s->head != MODEL_HEAD_MASKED_LM)
        return bind_linear(top, &n->last, s->hidden, s->labels, true, "classifier");
    if (!s->tied) return bind_linear(top, &n->last, s->hidden, s->vocab, s->word_bias, "decoder");
    n->last.w = n->words;
    if (s->word_bias) SNUG_TRY(bind_tensor(top, &n->last.b, TENSOR_DIMS(s->vocab), "decoder.bias"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    modernbert        *n = SNUG_NEW(m->arena, modernbert);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         "embeddings.tok_embeddings.weight"));
    SNUG_TRY(norm_of(&body, &n->norm, "embeddings.norm"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "layers", i);
        SNUG_TRY(bind_layer(&layer, s, i, &n->layers[i]));
    }
    SNUG_TRY(norm_of(&body, &n->last_norm, "final_norm"));
    SNUG_TRY(bind_head(&top, n));
done:
    return st;
}

/* x [B, T, E] -> the mean of the tokens a mask shows: [B, E]. */
static snug_status pool_mean(const nn_ctx *c, const model_batch *in, const tensor *x, tensor *out,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      T = in->times, n = in->batch * T;
    tensor      ids, weights, rows = tensor_view(x, TENSOR_DIMS(n, x->shape[2]));
    int32_t    *home = snug_alloc(n * sizeof *home);
    float      *share = snug_alloc(n * sizeof *share);
    for (size_t b = 0; b < in->batch; b++) {
        size_t seen = 0;
        for (size_t i = 0; i < T; i++) seen += in->mask == NULL || in->mask[b * T + i] != 0;
        for (size_t i = 0; i < T; i++) {
            bool counts = in->mask == NULL || in->mask[b * T + i] != 0;
            home[b * T + i] = (int32_t)b;
            share[b * T + i] = counts ? 1.0f / (float)seen : 0.0f;
        }
    }
    SNUG_TRY(
        tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(in->batch, x->shape[2]), out, err));
    SNUG_TRY(tensor_scale(c->dev, out, 0.0f, 0.0f, out, err));
    SNUG_TRY(nn_upload(c, home, TENSOR_DIMS(n), &ids, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(n), &weights, err));
    SNUG_TRY(tensor_put(&weights, share, n * sizeof *share, err));
    SNUG_TRY(tensor_scatter(c->dev, &rows, &ids, &weights, out, err));
done:
    free(home);
    free(share);
    return st;
}

static snug_status run_head(const nn_ctx *c, const model_shape *s, const modernbert *n,
                            const model_batch *in, const tensor *x, model_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      pooled = *x, h, logits;
    if (s->head == MODEL_HEAD_NONE) return encoder_give(out, "last_hidden_state", *x);
    if (s->head == MODEL_HEAD_CLASSES && s->mean_pooling)
        SNUG_TRY(pool_mean(c, in, x, &pooled, err));
    else if (s->head == MODEL_HEAD_CLASSES)
        pooled = encoder_first(x); /* [B, E] */
    SNUG_TRY(nn_linear_run(c, &n->dense, &pooled, &h, err));
    SNUG_TRY(tensor_activate(c->dev, &h, s->head_act, &h, err));
    SNUG_TRY(nn_norm_run(c, &n->head_norm, &h, &h, err));
    SNUG_TRY(nn_linear_run(c, &n->last, &h, &logits, err));
    if (s->head == MODEL_HEAD_SPAN) return encoder_give_span(c, &logits, out, err);
    SNUG_TRY(encoder_give(out, "logits", logits));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const modernbert  *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    tensor             ids, mask = TENSOR_NONE, x, h, y;
    nn_turn            global, local;
    int32_t           *positions = encoder_positions(s, in);

    SNUG_TRY(nn_upload(&c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    if (in->mask != NULL) SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(B, T), &mask, err));
    SNUG_TRY(nn_rope_turn(&c, &s->rope, positions, B, T, &global, err));
    SNUG_TRY(nn_rope_turn(&c, &s->rope_local, positions, B, T, &local, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &x, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &h, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, &x, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&c, &n->norm, &x, &x, err));
    for (size_t i = 0; i < s->layers; i++) {
        const modern_layer *l = &n->layers[i];
        tensor_mark         mark = tensor_space_mark(c.space);
        nn_step step = {.mask = &mask, .turn = model_layer_is(s->sliding, i) ? &local : &global};
        SNUG_TRY(nn_norm_run(&c, &l->before_attention, &x, &h, err));
        SNUG_TRY(nn_attention_run(&c, &l->attention, &h, &step, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, &x, &y, &x, err));
        SNUG_TRY(nn_norm_run(&c, &l->before_mlp, &x, &h, err));
        SNUG_TRY(nn_mlp_run(&c, &l->mlp, &h, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, &x, &y, &x, err));
        tensor_space_release(c.space, mark);
    }
    SNUG_TRY(nn_norm_run(&c, &n->last_norm, &x, &x, err));
    SNUG_TRY(run_head(&c, s, n, in, &x, out, err));
done:
    free(positions);
    return st;
}

static const struct model_class classes[] = {
    {"ModernBertModel", MODEL_HEAD_NONE},
    {"ModernBertForMaskedLM", MODEL_HEAD_MASKED_LM},
    {"ModernBertForSequenceClassification", MODEL_HEAD_CLASSES},
    {"ModernBertForTokenClassification", MODEL_HEAD_TOKENS},
    {"ModernBertForQuestionAnswering", MODEL_HEAD_SPAN},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_modernbert[] = {{.model_type = "modernbert",
                                       .prefix = "model.",
                                       .classes = classes,
                                       .parse = parse,
                                       .bind = bind,
                                       .forward = forward},
                                      {0}};
