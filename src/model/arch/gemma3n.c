/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/gemma3n.c - Gemma 3n (text).
 *
 * x lives in several streams (AltUp). A layer predicts all of them from their mixture, works on
 * one, and corrects each by a share of what the work changed. Work: attention beside a narrow
 * learned path (Laurel), then an MLP whose first layers keep only gates that stand out of their
 * row. What the layer's own input says goes to the other streams. Attention, side inputs:
 * gemma_share.c. */
#include "model/gemma_int.h"

#include <math.h>
#include <stdlib.h>

enum { STREAMS_MAX = 8 };

typedef struct layer_own {
    nn_linear left, right; /* Laurel */
    nn_norm   laurel_norm;
    nn_linear router, predict, correct; /* AltUp: E -> N, N -> N * N, N -> N */
    nn_norm   router_norm;
    tensor    out_scale; /* [E] F32 */
    float     cutoff;    /* deviations above the mean; 0: all gates count */
    bool      sparse;
} layer_own;

typedef struct net_own {
    nn_linear up[STREAMS_MAX], down[STREAMS_MAX]; /* [0] is not used */
} net_own;

/* ---- configuration ---- */

static bool is_list(snug_json v) { return snug_json_is(v, SNUG_JSON_ARRAY); }

/* A number for each layer, as a list or one for all. */
static snug_status check_list(snug_json config, const char *key, const model_shape *s, double min,
                              double max, snug_err *err)
{
    snug_json v = snug_json_get(config, key);
    double    n;
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (is_list(v) && snug_json_count(v) < s->layers)
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must name %zu layers", key,
                         s->layers);
    for (size_t i = 0; i < s->layers; i++)
        if (!snug_json_to_f64(is_list(v) ? snug_json_at(v, i) : v, &n) || !(n >= min && n <= max))
            return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\"[%zu] must lie in [%g, %g]", key,
                             i, min, max);
    return SNUG_OK;
}

static double listed(snug_json config, const char *key, size_t i, double dflt)
{
    snug_json v = snug_json_get(config, key);
    double    n = dflt;
    (void)snug_json_to_f64(is_list(v) ? snug_json_at(v, i) : v, &n);
    return n;
}

static snug_status gemma3n(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_gemma *g = &s->gemma;
    g->keyless = s->layers > 15 ? 15 : 0;
    SNUG_TRY(gemma_parse(config, s, 5, 512, 30.0, err));
    g->wide_head = s->head_dim;
    g->wide_keys = s->kv_heads;
    if (g->side_width == 0)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"hidden_size_per_layer_input\" 0 is not supported");
    SNUG_TRY(cfg_size(config, (cfg_range){"altup_num_inputs", NULL, 4, 1, STREAMS_MAX}, &g->streams,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"altup_active_idx", NULL, 0, 0, g->streams - 1},
                      &g->active, err));
    SNUG_TRY(cfg_bool(config, "altup_correct_scale", true, &g->correct_scale, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"laurel_rank", NULL, 64, 1, MODEL_HIDDEN_MAX}, &g->rank, err));
    SNUG_TRY(check_list(config, "intermediate_size", s, 1, MODEL_INNER_MAX, err));
    SNUG_TRY(check_list(config, "activation_sparsity_pattern", s, 0, 0.999999, err));
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->head_dim,
                                   .positions_max = s->positions_max,
                                   .theta = 10000.0,
                                   .layer_type = "sliding_attention",
                                   .theta_key = "rope_local_base_freq",
                                   .plain = true},
                      &s->rope_local, err));
done:
    return st;
}

/* ---- weights ---- */

static size_t inner_of(const model *m, size_t layer)
{
    return (size_t)listed(m->config, "intermediate_size", layer, (double)m->shape.inner);
}

/* The point below which a normal distribution has a share p, by halving: p in (0, 1). */
static float normal_point(double p)
{
    double low = -9.0, high = 9.0;
    for (int i = 0; i < 80; i++) {
        double mid = (low + high) / 2.0;
        if (0.5 * erfc(-mid / sqrt(2.0)) < p)
            low = mid;
        else
            high = mid;
    }
    return (float)low;
}

static snug_status bind_own(const binder *b, size_t index, gemma_layer *l)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &b->m->shape;
    size_t             e = s->hidden, n = s->gemma.streams;
    layer_own         *o = SNUG_NEW(b->m->arena, layer_own);
    l->own = o;
    SNUG_TRY(bind_linear(b, &o->left, e, s->gemma.rank, false, "laurel.linear_left"));
    SNUG_TRY(bind_linear(b, &o->right, s->gemma.rank, e, false, "laurel.linear_right"));
    SNUG_TRY(
        bind_norm_weight(b, &o->laurel_norm, NN_RMS_NORM, e, s->eps, "laurel.post_laurel_norm"));
    SNUG_TRY(bind_linear(b, &o->router, e, n, false, "altup.modality_router"));
    SNUG_TRY(bind_linear(b, &o->predict, n, n * n, false, "altup.prediction_coefs"));
    SNUG_TRY(bind_linear(b, &o->correct, n, n, false, "altup.correction_coefs"));
    SNUG_TRY(bind_norm_weight(b, &o->router_norm, NN_RMS_NORM, e, s->eps, "altup.router_norm"));
    if (s->gemma.correct_scale) {
        tensor stored;
        SNUG_TRY(bind_tensor(b, &stored, TENSOR_DIMS(e), "altup.correct_output_scale"));
        SNUG_TRY(bind_copy(b, &stored, TENSOR_F32, &o->out_scale));
    }
    double share = listed(b->m->config, "activation_sparsity_pattern", index,
                          s->layers > 10 && index < 10 ? 0.95 : 0.0);
    o->sparse = share > 0.0;
    if (o->sparse) o->cutoff = normal_point((double)(float)share);
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    gemma_net         *n;
    net_own           *o = SNUG_NEW(m->arena, net_own);
    SNUG_TRY(gemma_bind(m, w, inner_of, bind_own, &n, err));
    n->own = o;
    for (size_t k = 1; k < s->gemma.streams; k++) {
        char name[64];
        (void)snprintf(name, sizeof name, "altup_projections.%zu", k - 1);
        SNUG_TRY(bind_linear(&body, &o->up[k], s->hidden, s->hidden, false, name));
        (void)snprintf(name, sizeof name, "altup_unembed_projections.%zu", k - 1);
        SNUG_TRY(bind_linear(&body, &o->down[k], s->hidden, s->hidden, false, name));
    }
done:
    return st;
}

/* ---- one step ---- */

typedef struct streams {
    tensor x[STREAMS_MAX], next[STREAMS_MAX]; /* [B, T, E] each */
    tensor rows;                              /* [B * T] I32: 0, 1, .. */
} streams;

/* tanh(router(norm(x) / E)) through `to`, as one row per coefficient: [n, B * T]. */
static snug_status coefficients(gemma_pass *p, const layer_own *o, const nn_linear *to,
                                const tensor *x, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      h, modes, each;
    size_t      rows = x->shape[0] * x->shape[1], n = to->w.shape[0];
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, x->rank, x->shape, &h, err));
    SNUG_TRY(nn_norm_run(&p->c, &o->router_norm, x, &h, err));
    SNUG_TRY(tensor_scale(p->c.dev, &h, 1.0f / (float)p->s->hidden, 0.0f, &h, err));
    SNUG_TRY(nn_linear_run(&p->c, &o->router, &h, &modes, err)); /* [B, T, N] */
    SNUG_TRY(tensor_activate(p->c.dev, &modes, TENSOR_ACT_TANH, &modes, err));
    SNUG_TRY(nn_linear_run(&p->c, to, &modes, &each, err)); /* [B, T, n] */
    each = tensor_view(&each, TENSOR_DIMS(rows, n));
    each = tensor_swap(&each, 0, 1);
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(n, rows), out, err));
    SNUG_TRY(tensor_copy(p->c.dev, &each, out, err));
done:
    return st;
}

/* out [B, T, E] += x, each token times its coefficient. */
static snug_status add_times(gemma_pass *p, const streams *a, const tensor *x, const tensor *all,
                             size_t which, const tensor *out, snug_err *err)
{
    size_t rows = x->shape[0] * x->shape[1], e = x->shape[2];
    tensor weight = tensor_slice(all, 0, which, 1), from = tensor_view(x, TENSOR_DIMS(rows, e)),
           to = tensor_view(out, TENSOR_DIMS(rows, e));
    weight.rank = 1, weight.shape[0] = rows, weight.stride[0] = 1; /* [1, rows] as [rows] */
    return tensor_scatter(p->c.dev, &from, &a->rows, &weight, &to, err);
}

/* next_j = x_j + sum_i coefficient[j, i] x_i. */
static snug_status predict(gemma_pass *p, const layer_own *o, streams *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = p->s->gemma.streams;
    tensor      all;
    SNUG_TRY(coefficients(p, o, &o->predict, &a->x[p->s->gemma.active], &all, err));
    for (size_t j = 0; j < n; j++) {
        SNUG_TRY(tensor_copy(p->c.dev, &a->x[j], &a->next[j], err));
        for (size_t i = 0; i < n; i++)
            SNUG_TRY(add_times(p, a, &a->x[i], &all, j * n + i, &a->next[j], err));
    }
done:
    return st;
}

/* x_j = next_j + (1 + coefficient[j]) (worked - next_active). */
static snug_status correct(gemma_pass *p, const layer_own *o, streams *a, const tensor *worked,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      all, change;
    SNUG_TRY(coefficients(p, o, &o->correct, worked, &all, err)); /* [N, B * T] */
    SNUG_TRY(tensor_scale(p->c.dev, &all, 1.0f, 1.0f, &all, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, worked->rank, worked->shape, &change, err));
    SNUG_TRY(tensor_scale(p->c.dev, &a->next[p->s->gemma.active], -1.0f, 0.0f, &change, err));
    SNUG_TRY(tensor_add(p->c.dev, &change, worked, &change, err));
    for (size_t j = 0; j < p->s->gemma.streams; j++) {
        SNUG_TRY(tensor_copy(p->c.dev, &a->next[j], &a->x[j], err));
        SNUG_TRY(add_times(p, a, &change, &all, j, &a->x[j], err));
    }
done:
    return st;
}

/* down(act(gate) * up), with gates cut off where the layer says so. */
static snug_status run_mlp(gemma_pass *p, const gemma_layer *l, const tensor *h, tensor *y,
                           snug_err *err)
{
    snug_status      st = SNUG_OK;
    const layer_own *o = l->own;
    tensor           gate, up;
    if (!o->sparse) return nn_mlp_run(&p->c, &l->mlp, h, y, err);
    SNUG_TRY(nn_linear_run(&p->c, &l->mlp.gate, h, &gate, err)); /* [B, T, inner] */
    SNUG_TRY(nn_linear_run(&p->c, &l->mlp.up, h, &up, err));
    SNUG_TRY(tensor_cutoff(p->c.dev, &gate, o->cutoff, &gate, err));
    SNUG_TRY(tensor_glu(p->c.dev, &gate, &up, l->mlp.act, &gate, err));
    SNUG_TRY(nn_linear_run(&p->c, &l->mlp.down, &gate, y, err));
done:
    return st;
}

/* What a layer makes of one stream: x [B, T, E], replaced. */
static snug_status work(gemma_pass *p, size_t i, const tensor *x, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const gemma_layer *l = &p->n->layers[i];
    const layer_own   *o = l->own;
    tensor             h, low, side, y;
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, x->rank, x->shape, &h, err));
    SNUG_TRY(nn_norm_run(&p->c, &l->before_attention, x, &h, err));
    SNUG_TRY(nn_linear_run(&p->c, &o->left, &h, &low, err)); /* [B, T, rank] */
    SNUG_TRY(nn_linear_run(&p->c, &o->right, &low, &side, err));
    SNUG_TRY(nn_norm_run(&p->c, &o->laurel_norm, &side, &side, err));
    SNUG_TRY(tensor_add(p->c.dev, &side, &h, &side, err));
    SNUG_TRY(gemma_attend(p, i, &h, &y, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&p->c, &l->after_attention, &y, &y, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &side, x, err));
    SNUG_TRY(tensor_scale(p->c.dev, x, sqrtf(0.5f), 0.0f, x, err));
    SNUG_TRY(nn_norm_run(&p->c, &l->before_mlp, x, &h, err));
    SNUG_TRY(run_mlp(p, l, &h, &y, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&p->c, &l->after_mlp, &y, &y, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
done:
    return st;
}

static snug_status run_layer(gemma_pass *p, size_t i, streams *a, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const gemma_layer *l = &p->n->layers[i];
    const layer_own   *o = l->own;
    tensor             x, said;
    size_t             active = p->s->gemma.active;
    SNUG_TRY(predict(p, o, a, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, a->x[0].rank, a->x[0].shape, &x, err));
    SNUG_TRY(tensor_copy(p->c.dev, &a->next[active], &x, err));
    SNUG_TRY(work(p, i, &x, err));
    SNUG_TRY(correct(p, o, a, &x, err));
    SNUG_TRY(tensor_copy(p->c.dev, &a->x[active], &x, err));
    if (tensor_present(&o->out_scale)) SNUG_TRY(tensor_mul(p->c.dev, &x, &o->out_scale, &x, err));
    SNUG_TRY(gemma_side(p, i, &x, &said, err)); /* [B, T, E] */
    for (size_t k = 1; k < p->s->gemma.streams; k++)
        SNUG_TRY(tensor_add(p->c.dev, &a->x[k], &said, &a->x[k], err));
done:
    return st;
}

static const float LEVEL_FLOOR = 1e-5f; /* of a mean square */

/* Stream 0 is x; the others are projections of it at its level. */
static snug_status open_streams(gemma_pass *p, const tensor *x, streams *a, snug_err *err)
{
    snug_status    st = SNUG_OK;
    const net_own *o = p->n->own;
    size_t         n = x->shape[0] * x->shape[1];
    int32_t       *rows = snug_alloc(n * sizeof *rows); /* <= MODEL_BATCH_TOKENS_MAX */
    for (size_t i = 0; i < n; i++) rows[i] = (int32_t)i;
    st = nn_upload(&p->c, rows, TENSOR_DIMS(n), &a->rows, err);
    free(rows);
    if (st != SNUG_OK) return st;
    a->x[0] = *x;
    for (size_t k = 0; k < p->s->gemma.streams; k++) {
        SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, x->rank, x->shape, &a->next[k], err));
        if (k == 0) continue;
        SNUG_TRY(nn_linear_run(&p->c, &o->up[k], x, &a->x[k], err));
        SNUG_TRY(tensor_match(p->c.dev, &a->x[k], x, LEVEL_FLOOR, &a->x[k], err));
    }
done:
    return st;
}

/* The mean of stream 0 and of the others, projected back and at its level: into stream 0. */
static snug_status close_streams(gemma_pass *p, streams *a, snug_err *err)
{
    snug_status    st = SNUG_OK;
    const net_own *o = p->n->own;
    tensor         y, sum = a->next[0];
    SNUG_TRY(tensor_copy(p->c.dev, &a->x[0], &sum, err));
    for (size_t k = 1; k < p->s->gemma.streams; k++) {
        SNUG_TRY(nn_linear_run(&p->c, &o->down[k], &a->x[k], &y, err));
        SNUG_TRY(tensor_match(p->c.dev, &y, &a->x[0], LEVEL_FLOOR, &y, err));
        SNUG_TRY(tensor_add(p->c.dev, &sum, &y, &sum, err));
    }
    SNUG_TRY(tensor_scale(p->c.dev, &sum, 1.0f / (float)p->s->gemma.streams, 0.0f, &a->x[0], err));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      x;
    streams     a;
    gemma_pass  p = {.c = model_ctx(m), .s = &m->shape, .n = m->net, .in = in};
    SNUG_TRY(gemma_begin(&p, &x, err)); /* [B, T, E] */
    SNUG_TRY(open_streams(&p, &x, &a, err));
    for (size_t i = 0; i < p.s->layers; i++) {
        tensor_mark mark = tensor_space_mark(p.c.space);
        SNUG_TRY(run_layer(&p, i, &a, err));
        if (!p.n->layers[i].lends) tensor_space_release(p.c.space, mark);
    }
    SNUG_TRY(close_streams(&p, &a, err));
    SNUG_TRY(gemma_finish(&p, &a.x[0], out, err));
done:
    return st;
}

static const decoder_family family = {{262400, 2048, 16384, 35, 8, 2, 256, 32768, .eps = 1e-6,
                                       .theta = 1e6, .tied = true, .act_key = "hidden_activation",
                                       .act = "gelu_pytorch_tanh", .layered = true,
                                       .inner_listed = true},
                                      gemma3n};

static const struct model_class classes[] = {
    {"Gemma3nForCausalLM", MODEL_HEAD_CAUSAL_LM},
    {"Gemma3nTextModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_gemma3n[] = {
    {.model_type = "gemma3n_text",
     .prefix = "model.",
     .dialect = &family,
     .classes = classes,
     .parse = decoder_parse,
     .bind = bind,
     .forward = forward,
     .keeps = gemma_keeps},
    {0},
};
