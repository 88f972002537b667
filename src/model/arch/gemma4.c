/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/gemma4.c - Gemma 4 (text), dense and sparse.
 *
 * Five sliding layers to one that sees everything, whose heads are wider and whose values may be
 * its keys. Norms on both sides of each branch, an input of each layer's own, and a factor at the
 * end of a layer. The sparse ones have experts beside the MLP: both read the same x, each has its
 * norms. Attention, side inputs: gemma_share.c. */
#include "model/gemma_int.h"

#include <math.h>

typedef struct layer_own {
    float   scale;                    /* of the whole layer */
    nn_moe *moe;                      /* NULL: none */
    nn_norm after_own, after_experts; /* of MLP and experts, when there are both */
} layer_own;

/* ---- configuration ---- */

/* Widths of single layers. All that do not slide must agree, and all that do. */
static snug_status read_layers(snug_json config, model_shape *s, snug_err *err)
{
    model_gemma *g = &s->gemma;
    size_t       first[2] = {MODEL_LAYERS_MAX, MODEL_LAYERS_MAX}, head[2], keys[2];
    snug_json    all = snug_json_get(config, "per_layer_config");
    for (size_t i = 0; i < s->layers; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "%zu", i);
        snug_json   own = snug_json_get(all, key);
        bool        slides = model_layer_is(s->sliding, i);
        size_t      h = s->head_dim, k = s->kv_heads;
        snug_status st =
            cfg_size(own, (cfg_range){"head_dim", NULL, h, 1, MODEL_HEAD_DIM_MAX}, &h, err);
        if (st == SNUG_OK)
            st = cfg_size(own, (cfg_range){"num_key_value_heads", NULL, k, 1, s->heads}, &k, err);
        if (st != SNUG_OK) return st;
        for (snug_json_iter it = snug_json_iter_of(own); snug_json_next(&it);)
            if (!snug_eq_str(it.key, "head_dim") && !snug_eq_str(it.key, "num_key_value_heads"))
                return snug_fail(err, SNUG_EUNSUPPORTED,
                                 "config.json: \"%.*s\" of a single layer is not supported",
                                 SNUG_SLICE(it.key));
        if (first[slides] == MODEL_LAYERS_MAX)
            first[slides] = i, head[slides] = h, keys[slides] = k;
        if (head[slides] != h || keys[slides] != k)
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "config.json: heads of layer %zu differ from those of layer %zu", i,
                             first[slides]);
    }
    if (first[1] != MODEL_LAYERS_MAX) s->head_dim = head[1], s->kv_heads = keys[1];
    g->wide_head = first[0] != MODEL_LAYERS_MAX ? head[0] : s->head_dim;
    g->wide_keys = first[0] != MODEL_LAYERS_MAX ? keys[0] : s->kv_heads;
    return SNUG_OK;
}

/* The form of the published files: one width for all layers that do not slide. */
static snug_status read_wide(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_gemma *g = &s->gemma;
    SNUG_TRY(cfg_size(config, (cfg_range){"global_head_dim", NULL, 512, 1, MODEL_HEAD_DIM_MAX},
                      &g->wide_head, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_global_key_value_heads", NULL, s->kv_heads, 1, s->heads},
                      &g->wide_keys, err));
    if (!g->value_is_key) g->wide_keys = s->kv_heads;
done:
    return st;
}

static snug_status read_rope(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->head_dim,
                                   .positions_max = s->positions_max,
                                   .theta = 10000.0,
                                   .layer_type = "sliding_attention",
                                   .plain = true},
                      &s->rope_local, err));
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->gemma.wide_head,
                                   .positions_max = s->positions_max,
                                   .theta = 1e6,
                                   .layer_type = "full_attention"},
                      &s->rope, err));
    if (snug_json_count(snug_json_get(config, "rope_parameters")) == 0) { /* the class's own */
        s->rope.kind = NN_ROPE_PROPORTIONAL;
        s->rope.turning = s->gemma.wide_head / 8;
        s->rope.factor = 1.0;
    }
done:
    return st;
}

static snug_status read_experts(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    bool           on;
    SNUG_TRY(cfg_bool(config, "enable_moe_block", false, &on, err));
    if (!on) return SNUG_OK;
    SNUG_TRY(
        cfg_size(config, (cfg_range){"num_experts", NULL, 0, 1, NN_EXPERTS_MAX}, &d->experts, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"top_k_experts", NULL, 0, 1, NN_EXPERTS_USED_MAX},
                      &d->experts_used, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 0, 1, MODEL_INNER_MAX},
                      &d->expert_inner, err));
    if (d->experts_used > d->experts)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu experts per token of %zu", d->experts_used,
                  d->experts);
    d->stacked = true;
    d->router = "proj";
    d->expert_gate = "gate_up_proj";
    d->expert_down = "down_proj";
    d->route = NN_ROUTE_SOFTMAX;
    d->normalise = true;
done:
    return st;
}

static snug_status gemma4(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_gemma *g = &s->gemma;
    snug_slice   both;
    SNUG_TRY(gemma_parse(config, s, 6, 512, 0.0, err));
    model_layer_set(s->sliding, s->layers - 1, false); /* the last one always sees everything */
    SNUG_TRY(cfg_bool(config, "attention_k_eq_v", false, &g->value_is_key, err));
    SNUG_TRY(cfg_bool(config, "use_double_wide_mlp", false, &g->wide_mlp, err));
    if (g->wide_mlp && s->inner > MODEL_INNER_MAX / 2)
        SNUG_FAIL(err, SNUG_ELIMIT, "config.json: MLPs wider than %d", MODEL_INNER_MAX);
    bool listed = snug_json_is(snug_json_get(config, "per_layer_config"), SNUG_JSON_OBJECT);
    SNUG_TRY((listed ? read_layers : read_wide)(config, s, err));
    if (s->heads % s->kv_heads != 0 || s->heads % g->wide_keys != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu heads are no multiple of the key heads",
                  s->heads);
    SNUG_TRY(read_rope(config, s, err));
    SNUG_TRY(read_experts(config, s, err));
    SNUG_TRY(cfg_text(config, "use_bidirectional_attention", "", &both, err));
    if (both.len > 0 && !snug_eq_str(both, "vision") && !snug_eq_str(both, "all"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: this \"use_bidirectional_attention\" is not supported");
    s->decoder.both_ways = snug_eq_str(both, "all"); /* "vision" is about pictures */
    if (s->decoder.both_ways) s->window = s->window / 2 + 1;
done:
    return st;
}

/* ---- weights ---- */

static size_t inner_of(const model *m, size_t layer)
{
    const model_shape *s = &m->shape;
    bool               wide = s->gemma.wide_mlp && layer >= s->layers - s->gemma.keyless;
    return wide ? 2 * s->inner : s->inner;
}

/* The router reads rms(x) * scale / sqrt(E); the experts read a norm of their own. */
static snug_status bind_sparse(const binder *b, const model_shape *s, layer_own *o)
{
    snug_status st = SNUG_OK;
    tensor      stored;
    size_t      e = s->hidden;
    SNUG_TRY(bind_experts_at(b, "experts", "router.proj", &o->moe));
    o->moe->router_norm = (nn_norm){.kind = NN_RMS_NORM, .eps = s->eps};
    SNUG_TRY(bind_tensor(b, &stored, TENSOR_DIMS(e), "router.scale"));
    SNUG_TRY(bind_copy(b, &stored, TENSOR_F32, &o->moe->router_norm.w));
    SNUG_TRY(tensor_scale(b->m->dev, &o->moe->router_norm.w, 1.0f / sqrtf((float)e), 0.0f,
                          &o->moe->router_norm.w, b->err));
    SNUG_TRY(bind_tensor(b, &stored, TENSOR_DIMS(s->decoder.experts), "router.per_expert_scale"));
    SNUG_TRY(bind_copy(b, &stored, TENSOR_F32, &o->moe->expert_scale));
    SNUG_TRY(bind_norm_weight(b, &o->moe->expert_norm, NN_RMS_NORM, e, s->eps,
                              "pre_feedforward_layernorm_2"));
    SNUG_TRY(
        bind_norm_weight(b, &o->after_own, NN_RMS_NORM, e, s->eps, "post_feedforward_layernorm_1"));
    SNUG_TRY(bind_norm_weight(b, &o->after_experts, NN_RMS_NORM, e, s->eps,
                              "post_feedforward_layernorm_2"));
done:
    return st;
}

static snug_status bind_own(const binder *b, size_t index, gemma_layer *l)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &b->m->shape;
    layer_own         *o = SNUG_NEW(b->m->arena, layer_own);
    tensor             stored, wide;
    (void)index;
    l->own = o;
    SNUG_TRY(bind_tensor(b, &stored, TENSOR_DIMS(1), "layer_scalar"));
    SNUG_TRY(bind_copy(b, &stored, TENSOR_F32, &wide));
    SNUG_TRY(tensor_get(&wide, &o->scale, sizeof o->scale, b->err));
    if (s->decoder.experts > 0) SNUG_TRY(bind_sparse(b, s, o));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    gemma_net *n;
    return gemma_bind(m, w, inner_of, bind_own, &n, err);
}

/* ---- one step ---- */

/* h = norm(x) -> y: the MLP, and the experts on x when there are any. */
static snug_status run_mlp(gemma_pass *p, const gemma_layer *l, const tensor *x, const tensor *h,
                           tensor *y, snug_err *err)
{
    snug_status      st = SNUG_OK;
    const layer_own *o = l->own;
    tensor           z;
    SNUG_TRY(nn_mlp_run(&p->c, &l->mlp, h, y, err)); /* [B, T, E] */
    if (o->moe == NULL) return SNUG_OK;
    SNUG_TRY(nn_norm_run(&p->c, &o->after_own, y, y, err));
    SNUG_TRY(nn_moe_run(&p->c, o->moe, x, &z, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&p->c, &o->after_experts, &z, &z, err));
    SNUG_TRY(tensor_add(p->c.dev, y, &z, y, err));
done:
    return st;
}

static snug_status run_layer(gemma_pass *p, size_t i, const tensor *x, const tensor *h,
                             snug_err *err)
{
    snug_status        st = SNUG_OK;
    const gemma_layer *l = &p->n->layers[i];
    const layer_own   *o = l->own;
    tensor             y;
    SNUG_TRY(nn_norm_run(&p->c, &l->before_attention, x, h, err));
    SNUG_TRY(gemma_attend(p, i, h, &y, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&p->c, &l->after_attention, &y, &y, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
    SNUG_TRY(nn_norm_run(&p->c, &l->before_mlp, x, h, err));
    SNUG_TRY(run_mlp(p, l, x, h, &y, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&p->c, &l->after_mlp, &y, &y, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
    if (p->s->gemma.side_width > 0) {
        SNUG_TRY(gemma_side(p, i, x, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
    }
    SNUG_TRY(tensor_scale(p->c.dev, x, o->scale, 0.0f, x, err));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      x, h;
    gemma_pass  p = {.c = model_ctx(m), .s = &m->shape, .n = m->net, .in = in};
    SNUG_TRY(gemma_begin(&p, &x, err)); /* [B, T, E] */
    SNUG_TRY(tensor_space_take(p.c.space, TENSOR_F32, x.rank, x.shape, &h, err));
    for (size_t i = 0; i < p.s->layers; i++) {
        tensor_mark mark = tensor_space_mark(p.c.space);
        SNUG_TRY(run_layer(&p, i, &x, &h, err));
        if (!p.n->layers[i].lends) tensor_space_release(p.c.space, mark);
    }
    SNUG_TRY(gemma_finish(&p, &x, out, err));
done:
    return st;
}

static const decoder_family family = {{262144, 2304, 9216, 30, 8, 4, 256, 131072, .eps = 1e-6,
                                       .theta = 1e6, .tied = true, .act_key = "hidden_activation",
                                       .act = "gelu_pytorch_tanh", .layered = true},
                                      gemma4};

static const struct model_class classes[] = {
    {"Gemma4ForCausalLM", MODEL_HEAD_CAUSAL_LM},
    {"Gemma4TextModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_gemma4[] = {
    {.model_type = "gemma4_text",
     .prefix = "model.",
     .dialect = &family,
     .classes = classes,
     .parse = decoder_parse,
     .bind = bind,
     .forward = forward,
     .keeps = gemma_keeps},
    {0},
};
