/* SPDX-License-Identifier: Apache-2.0 */
/* model/decoder.c - the decoder most language models are: how it is read, bound and run.
 *
 * For:     arch/llama.c, gemma.c, olmo.c, cohere.c, phi.c and so on. Families with the names of
 * Llama's weights say what differs in a plan (model_decoder); the others bind a `decoder`
 * themselves. Owns:    nothing; the net lives in the model's arena. Threads: as the model.
 *
 * Per layer: x += attention(norm(x)), x += mlp(norm(x)), with norms before, after or on both sides
 * of a branch, or both branches from one x.
 *
 * B batch, T time of this step, S positions so far, E hidden, W width of embeddings, H heads, G key
 * heads, D head width, V vocabulary. */
#include "model/decoder_int.h"

#include <math.h>
#include <stdlib.h>

/* ---- configuration ---- */

static snug_status parse_sizes(snug_json config, const decoder_dflt *d, model_shape *s,
                               snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, d->vocab, 1, MODEL_VOCAB_MAX},
                      &s->vocab, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, d->hidden, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    s->inner = d->inner;
    if (!d->inner_listed)
        SNUG_TRY(cfg_size(config,
                          (cfg_range){"intermediate_size", NULL, d->inner, 1, MODEL_INNER_MAX},
                          &s->inner, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_hidden_layers", NULL, d->layers, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_attention_heads", NULL, d->heads, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    /* Null means one key head per head; absent means what the class says. */
    snug_json kv = snug_json_get(config, "num_key_value_heads");
    size_t kv_dflt = d->kv_heads == 0 || snug_json_is(kv, SNUG_JSON_NULL) ? s->heads : d->kv_heads;
    SNUG_TRY(cfg_size(config, (cfg_range){"num_key_value_heads", NULL, kv_dflt, 1, MODEL_HEADS_MAX},
                      &s->kv_heads, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"max_position_embeddings", NULL, d->positions, 1, MODEL_POSITIONS_MAX},
        &s->positions_max, err));
    snug_json head = snug_json_get(config, "head_dim");
    bool      derived = d->head_dim == 0 || snug_json_is(head, SNUG_JSON_NULL);
    if (derived && s->hidden % s->heads != 0 && !snug_json_is(head, SNUG_JSON_INT))
        SNUG_FAIL(err, SNUG_EINVAL,
                  "config.json: \"hidden_size\" %zu is no multiple of \"num_attention_heads\" %zu",
                  s->hidden, s->heads);
    if (s->heads % s->kv_heads != 0)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "config.json: \"num_attention_heads\" %zu is no multiple of "
                  "\"num_key_value_heads\" %zu",
                  s->heads, s->kv_heads);
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"head_dim", NULL, derived ? s->hidden / s->heads : d->head_dim, 1,
                                  MODEL_HEAD_DIM_MAX},
                      &s->head_dim, err));
done:
    return st;
}

snug_status decoder_parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status           st = SNUG_OK;
    const decoder_family *f = s->arch->dialect;
    const decoder_dflt   *d = &f->dflt;
    double                eps;
    s->decoder = (model_decoder){.before_attention = "input_layernorm",
                                 .before_mlp = "post_attention_layernorm",
                                 .last_norm = "norm",
                                 .embed = "embed_tokens",
                                 .attention = "self_attn",
                                 .o = "self_attn.o_proj",
                                 .gate = "mlp.gate_proj",
                                 .up = "mlp.up_proj",
                                 .down = "mlp.down_proj",
                                 .norm = NN_RMS_NORM};
    SNUG_TRY(parse_sizes(config, d, s, err));
    SNUG_TRY(cfg_real(config, d->eps_key == NULL ? "rms_norm_eps" : d->eps_key, d->eps, 0.0, 1.0,
                      &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, d->act_key == NULL ? "hidden_act" : d->act_key,
                     d->act == NULL ? "silu" : d->act, &s->act, err));
    SNUG_TRY(cfg_bool(config, "attention_bias", false, &s->attention_bias, err));
    SNUG_TRY(cfg_bool(config, "mlp_bias", false, &s->mlp_bias, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", d->tied, &s->tied, err));
    s->decoder.qkv_bias = s->decoder.o_bias = s->attention_bias;
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->head_dim,
                                   .positions_max = s->positions_max,
                                   .theta = d->theta,
                                   .partial = d->partial,
                                   .layer_type = d->layered ? "full_attention" : NULL,
                                   .interleaved = d->interleaved,
                                   .sections = d->sections},
                      &s->rope, err));
    if (f->adjust != NULL) SNUG_TRY(f->adjust(config, s, err));
done:
    return st;
}

snug_status decoder_window(snug_json config, const char *key, size_t dflt, size_t *out,
                           snug_err *err)
{
    if (snug_json_is(snug_json_get(config, key), SNUG_JSON_NULL)) dflt = 0;
    return cfg_size(config, (cfg_range){key, NULL, dflt, 0, MODEL_POSITIONS_MAX}, out, err);
}

void decoder_slide(model_shape *s, size_t period)
{
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(s->sliding, i, period == 0 || (i + 1) % period != 0);
}

/* ---- weights ---- */

snug_status decoder_new(model *m, decoder **out, snug_err *err)
{
    decoder *n = SNUG_NEW(m->arena, decoder);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, m->shape.layers, sizeof *n->layers);
    if (n->layers == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu layers", m->shape.layers);
    *out = n;
    return SNUG_OK;
}

nn_attention decoder_attention(const model_shape *s, size_t layer)
{
    const model_decoder *d = &s->decoder;
    bool                 slides = s->window > 0 && model_layer_is(s->sliding, layer);
    nn_attention         a = {.heads = s->heads,
                              .kv_heads = s->kv_heads,
                              .width = s->head_dim,
                              .scale = d->attention_scale != 0.0f ? d->attention_scale
                                                                  : 1.0f / sqrtf((float)s->head_dim),
                              .cap = d->attention_cap,
                              .causal = !d->both_ways,
                              .clip = d->clip,
                              .clip_after_norm = d->clip_after_norm,
                              .head_norm = d->head_norm,
                              .norm_after_turn = d->norm_after_turn};
    if (slides && d->chunked) a.chunk = s->window;
    if (slides && !d->chunked) a.window = s->window;
    if (slides && d->both_ways) a.ahead = s->window;
    return a;
}

static snug_status norm_of(const binder *b, nn_norm *out, size_t n, const char *name)
{
    const model_shape   *s = &b->m->shape;
    const model_decoder *d = &s->decoder;
    if (name == NULL) return SNUG_OK;
    if (d->norm_bare) {
        *out = (nn_norm){.kind = d->norm, .eps = s->eps};
        return SNUG_OK;
    }
    snug_status st =
        (d->norm_bias ? bind_norm : bind_norm_weight)(b, out, d->norm, n, s->eps, name);
    return st != SNUG_OK || !d->norm_plus_one ? st : bind_norm_plus_one(b, out);
}

/* "<list>.<i>.weight" [D] of every head as one tensor [heads, D]. */
static snug_status bind_norm_list(const binder *b, const char *list, size_t heads, nn_norm *out)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &b->m->shape;
    *out = (nn_norm){.kind = NN_LAYER_NORM, .eps = s->eps};
    for (size_t i = 0; i < heads; i++) {
        char   name[128];
        tensor one;
        (void)snprintf(name, sizeof name, "%s.%zu.weight", list, i);
        SNUG_TRY(bind_tensor(b, &one, TENSOR_DIMS(s->head_dim), name));
        if (i == 0) { /* room for all, made by repeating the first */
            tensor wide = one;
            wide.rank = 2, wide.shape[0] = heads, wide.stride[0] = 0;
            wide.shape[1] = s->head_dim, wide.stride[1] = 1;
            SNUG_TRY(bind_copy(b, &wide, TENSOR_F32, &out->w));
        }
        tensor row = tensor_slice(&out->w, 0, i, 1);
        row.rank = 1, row.shape[0] = s->head_dim, row.stride[0] = 1;
        SNUG_TRY(tensor_copy(b->m->dev, &one, &row, b->err));
    }
done:
    return st;
}

/* Head norms: a weight per width, per joined row, or per head and width. */
static snug_status bind_head_norms(const binder *b, const model_shape *s, nn_attention *a)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &s->decoder;
    size_t               q = s->heads * s->head_dim, k = s->kv_heads * s->head_dim;
    nn_norm              bare = {.kind = d->norm, .eps = s->eps};
    if (d->head_norm == NN_HEADS_RAW) return SNUG_OK;
    if (d->norm_weightless) {
        a->q_norm = a->k_norm = bare;
        return SNUG_OK;
    }
    if (d->head_norm_shared) {
        SNUG_TRY(bind_norm(b, &a->q_norm, NN_LAYER_NORM, s->head_dim, s->eps, d->q_norm));
        return bind_norm(b, &a->k_norm, NN_LAYER_NORM, s->head_dim, s->eps, d->k_norm);
    }
    if (d->head_norm_listed) {
        SNUG_TRY(bind_norm_list(b, d->q_norm, s->heads, &a->q_norm));
        return bind_norm_list(b, d->k_norm, s->kv_heads, &a->k_norm);
    }
    if (d->norm == NN_LAYER_NORM) {
        char name[128];
        a->q_norm = a->k_norm = bare;
        (void)snprintf(name, sizeof name, "%s.weight", d->q_norm);
        SNUG_TRY(bind_tensor(b, &a->q_norm.w, TENSOR_DIMS(s->heads, s->head_dim), name));
        (void)snprintf(name, sizeof name, "%s.weight", d->k_norm);
        SNUG_TRY(bind_tensor(b, &a->k_norm.w, TENSOR_DIMS(s->kv_heads, s->head_dim), name));
        if (a->q_norm.w.dtype != TENSOR_F32) { /* elementwise work is float32 */
            SNUG_TRY(bind_copy(b, &a->q_norm.w, TENSOR_F32, &a->q_norm.w));
            SNUG_TRY(bind_copy(b, &a->k_norm.w, TENSOR_F32, &a->k_norm.w));
        }
        return SNUG_OK;
    }
    bool joined = d->head_norm == NN_HEADS_JOINED;
    SNUG_TRY(norm_of(b, &a->q_norm, joined ? q : s->head_dim, d->q_norm));
    SNUG_TRY(norm_of(b, &a->k_norm, joined ? k : s->head_dim, d->k_norm));
done:
    return st;
}

static snug_status bind_attention(const binder *b, const model_shape *s, size_t index,
                                  nn_attention *a)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &s->decoder;
    size_t               e = s->hidden, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    *a = decoder_attention(s, index);
    if (d->qkv != NULL) {
        nn_linear fused;
        SNUG_TRY(bind_linear(b, &fused, e, q + 2 * kv, d->qkv_bias, d->qkv));
        a->q = bind_rows(&fused, 0, q);
        a->k = bind_rows(&fused, q, kv);
        a->v = bind_rows(&fused, q + kv, kv);
    } else {
        char name[128];
        (void)snprintf(name, sizeof name, "%s.q_proj", d->attention);
        SNUG_TRY(bind_linear(b, &a->q, e, d->attention_gated ? 2 * q : q, d->qkv_bias, name));
        (void)snprintf(name, sizeof name, "%s.k_proj", d->attention);
        SNUG_TRY(bind_linear(b, &a->k, e, kv, d->qkv_bias, name));
        (void)snprintf(name, sizeof name, "%s.v_proj", d->attention);
        SNUG_TRY(bind_linear(b, &a->v, e, kv, d->qkv_bias, name));
    }
    SNUG_TRY(bind_linear(b, &a->o, q, e, d->o_bias, d->o));
    if (d->sinks) SNUG_TRY(bind_tensor(b, &a->sinks, TENSOR_DIMS(s->heads), "self_attn.sinks"));
    SNUG_TRY(bind_head_norms(b, s, a));
done:
    return st;
}

static const float LATENT_EPS = 1e-6f; /* of these norms, whatever the config says of others */

static snug_status bind_latent(const binder *b, const model_shape *s, size_t index,
                               decoder_layer *l)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &s->decoder;
    size_t               e = s->hidden, h = s->heads, head = d->nope_dim + d->rope_dim;
    decoder_latent      *a = SNUG_NEW(b->m->arena, decoder_latent);
    l->attention = decoder_attention(s, index);
    l->latent = a;
    a->nope = d->nope_dim, a->rope = d->rope_dim, a->v = d->v_dim;
    if (d->latent_q > 0) {
        SNUG_TRY(bind_linear(b, &a->q_down, e, d->latent_q, d->qkv_bias, "self_attn.q_a_proj"));
        SNUG_TRY(norm_of(b, &a->q_norm, d->latent_q, "self_attn.q_a_layernorm"));
        a->q_norm.eps = LATENT_EPS;
        SNUG_TRY(bind_linear(b, &a->q_up, d->latent_q, h * head, false, "self_attn.q_b_proj"));
    } else {
        SNUG_TRY(bind_linear(b, &a->q_up, e, h * head, false, "self_attn.q_proj"));
    }
    SNUG_TRY(bind_linear(b, &a->kv_down, e, d->latent_kv + a->rope, d->qkv_bias,
                         "self_attn.kv_a_proj_with_mqa"));
    SNUG_TRY(norm_of(b, &a->kv_norm, d->latent_kv, "self_attn.kv_a_layernorm"));
    a->kv_norm.eps = LATENT_EPS;
    SNUG_TRY(bind_linear(b, &a->kv_up, d->latent_kv, h * (a->nope + a->v), false,
                         "self_attn.kv_b_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.o, h * a->v, e, d->o_bias, d->o));
done:
    return st;
}

/* One part of every group, as rows in one piece. */
static snug_status group_part(const binder *b, const tensor *all, size_t from, size_t n,
                              tensor *out)
{
    tensor      part = tensor_slice(all, 1, from, n);
    snug_status st = bind_copy(b, &part, all->dtype, out);
    if (st != SNUG_OK) return st;
    tensor_freeze(out);
    size_t rows = all->shape[0] * n * all->shape[2];
    *out = all->rank == 3 ? tensor_view(out, TENSOR_DIMS(rows))
                          : tensor_view(out, TENSOR_DIMS(rows, all->shape[3]));
    return SNUG_OK;
}

snug_status bind_grouped(const binder *b, const nn_linear *fused, nn_attention *a)
{
    snug_status st = SNUG_OK;
    size_t      each = a->heads / a->kv_heads, q = a->heads * a->width, kv = a->kv_heads * a->width;
    if (bind_is_apart(b)) {
        a->q = bind_rows(fused, 0, q);
        a->k = bind_rows(fused, q, kv);
        a->v = bind_rows(fused, q + kv, kv);
        return SNUG_OK;
    }
    tensor w =
        tensor_view(&fused->w, TENSOR_DIMS(a->kv_heads, each + 2, a->width, fused->w.shape[1]));
    SNUG_TRY(group_part(b, &w, 0, each, &a->q.w));
    SNUG_TRY(group_part(b, &w, each, 1, &a->k.w));
    SNUG_TRY(group_part(b, &w, each + 1, 1, &a->v.w));
    if (!tensor_present(&fused->b)) return SNUG_OK;
    tensor bias = tensor_view(&fused->b, TENSOR_DIMS(a->kv_heads, each + 2, a->width));
    SNUG_TRY(group_part(b, &bias, 0, each, &a->q.b));
    SNUG_TRY(group_part(b, &bias, each, 1, &a->k.b));
    SNUG_TRY(group_part(b, &bias, each + 1, 1, &a->v.b));
done:
    return st;
}

/* [softplus(alpha_p), beta + softplus(alpha_n), beta, eps], the last two as stored. */
static snug_status bind_xielu(const binder *b, const char *path, tensor *out)
{
    static const struct {
        const char *name;
        unsigned    rank;
    } parts[4] = {{"alpha_p", 1}, {"alpha_n", 1}, {"beta", 0}, {"eps", 0}};
    snug_status st = SNUG_OK;
    float       v[4] = {0.0f};
    tensor      stored, wide, made;
    for (size_t i = 0; i < 4; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s.%s", path, parts[i].name);
        SNUG_TRY(bind_tensor(b, &stored, parts[i].rank, (const size_t[]){1}, name));
        SNUG_TRY(bind_copy(b, &stored, TENSOR_F32, &wide));
        SNUG_TRY(tensor_get(&wide, &v[i], sizeof v[i], b->err));
        if (i < 2) v[i] = v[i] > 20.0f ? v[i] : log1pf(expf(v[i]));
    }
    v[1] += v[2];
    SNUG_TRY(tensor_new_from(b->m->dev, TENSOR_F32, TENSOR_DIMS(4), v, false, &made, b->err));
    st = bind_copy(b, &made, TENSOR_F32, out);
    tensor_free(&made);
done:
    return st;
}

static snug_status bind_mlp(const binder *b, const model_shape *s, nn_mlp *m)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &s->decoder;
    m->act = s->act;
    m->gate_scale = d->gate_scale;
    if (d->xielu != NULL) SNUG_TRY(bind_xielu(b, d->xielu, &m->xielu));
    if (d->gate_up != NULL) {
        nn_linear fused;
        SNUG_TRY(bind_linear(b, &fused, s->hidden, 2 * s->inner, s->mlp_bias, d->gate_up));
        m->gate = bind_rows(&fused, 0, s->inner);
        m->up = bind_rows(&fused, s->inner, s->inner);
    } else {
        if (d->gate != NULL)
            SNUG_TRY(bind_linear(b, &m->gate, s->hidden, s->inner, s->mlp_bias, d->gate));
        SNUG_TRY(bind_linear(b, &m->up, s->hidden, s->inner, s->mlp_bias, d->up));
    }
    SNUG_TRY(bind_linear(b, &m->down, s->inner, s->hidden, s->mlp_bias, d->down));
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, size_t i, decoder_layer *l)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &s->decoder;
    bool                 slides = model_layer_is(s->sliding, i);
    l->turned = s->rope.width > 0 && !model_layer_is(d->unturned, i);
    l->turned_locally = l->turned && slides && d->sliding_own_turn;
    l->tempered = d->temper != 0.0 && (!d->temper_unturned || !l->turned);
    l->unattended = model_layer_is(d->unattended, i);
    l->bare = model_layer_is(d->bare, i);
    bool mixes = model_layer_is(d->mixing, i);
    if (!l->unattended || mixes) {
        SNUG_TRY(norm_of(b, &l->before_attention, s->hidden, d->before_attention));
        SNUG_TRY(norm_of(b, &l->after_attention, s->hidden, d->after_attention));
    }
    if (!l->bare) {
        SNUG_TRY(norm_of(b, &l->before_mlp, s->hidden, d->before_mlp));
        SNUG_TRY(norm_of(b, &l->after_mlp, s->hidden, d->after_mlp));
    }
    if (mixes) SNUG_TRY(bind_mixer(b, &l->mixer));
    if (l->unattended)
        l->attention = (nn_attention){0};
    else if (d->latent_kv > 0)
        SNUG_TRY(bind_latent(b, s, i, l));
    else
        SNUG_TRY(bind_attention(b, s, i, &l->attention));
    if (!l->turned && d->norm_weightless) l->attention.head_norm = NN_HEADS_RAW;
    if (l->bare) return SNUG_OK;
    if (d->experts > 0 && model_layer_is(d->sparse, i))
        SNUG_TRY(bind_experts(b, d->block, &l->moe));
    else
        SNUG_TRY(bind_mlp(b, s, &l->mlp));
done:
    return st;
}

snug_status decoder_bind_head(const binder *top, decoder *n, const char *name)
{
    const model_shape *s = &top->m->shape;
    char               bias[128];
    if (s->head == MODEL_HEAD_NONE) return SNUG_OK;
    if (!s->tied)
        return bind_linear(top, &n->head, n->embed.shape[1], s->vocab, s->decoder.head_bias, name);
    n->head.w = n->embed; /* a stored copy is ignored */
    if (!s->decoder.head_bias) return SNUG_OK;
    (void)snprintf(bias, sizeof bias, "%s.bias", name);
    return bind_tensor(top, &n->head.b, TENSOR_DIMS(s->vocab), bias);
}

snug_status decoder_bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    decoder           *n;
    char               embed[128];
    (void)snprintf(embed, sizeof embed, "%s.weight", s->decoder.embed);
    SNUG_TRY(decoder_new(m, &n, err));
    SNUG_TRY(bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), embed));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "layers", i);
        SNUG_TRY(bind_layer(&layer, s, i, &n->layers[i]));
    }
    SNUG_TRY(norm_of(&body, &n->norm, s->hidden, s->decoder.last_norm));
    SNUG_TRY(decoder_bind_head(&top, n, s->decoder.head == NULL ? "lm_head" : s->decoder.head));
done:
    return st;
}

/* ---- one step ---- */

typedef struct pass {
    nn_ctx             c;
    const model_shape *s;
    const decoder     *n;
    const model_batch *in;
    int32_t           *positions; /* [B, T] */
    nn_turn            turn, local, tempered;
    tensor             mask, bias;
    nn_seen            seen;
} pass;

/* cos times a factor per position: queries that grow with it. Unturned layers get angles of zero.
 */
static snug_status temper_turn(pass *p, bool turned, nn_turn *out, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &p->s->decoder;
    size_t               n = p->in->batch * p->in->times,
           pairs = turned ? p->s->rope.width / 2 : p->s->head_dim / 2;
    float *cos = snug_alloc_try(n * pairs * sizeof *cos), *sin = NULL;
    if (cos == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu angles", n * pairs);
    sin = snug_alloc_try(n * pairs * sizeof *sin);
    if (sin == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu angles", n * pairs);
    if (turned) {
        *out = p->turn;
        SNUG_TRY(tensor_get(&p->turn.cos, cos, n * pairs * sizeof *cos, err));
        SNUG_TRY(tensor_get(&p->turn.sin, sin, n * pairs * sizeof *sin, err));
    } else {
        for (size_t i = 0; i < n * pairs; i++) cos[i] = 1.0f, sin[i] = 0.0f;
    }
    for (size_t i = 0; i < n; i++) {
        double at = (double)p->positions[i] + (double)d->temper_first;
        float  grow = (float)(1.0 + d->temper * log1p(floor(at / (double)d->temper_every)));
        for (size_t k = 0; k < pairs; k++) cos[i * pairs + k] *= grow, sin[i * pairs + k] *= grow;
    }
    size_t shape[3] = {p->in->batch, p->in->times, pairs};
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, 3, shape, &out->cos, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, 3, shape, &out->sin, err));
    SNUG_TRY(tensor_put(&out->cos, cos, n * pairs * sizeof *cos, err));
    SNUG_TRY(tensor_put(&out->sin, sin, n * pairs * sizeof *sin, err));
done:
    free(cos);
    free(sin);
    return st;
}

/* Which tokens of this step count, when some do not and a layer reads all of them. */
static snug_status begin_seen(pass *p, size_t held, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_batch *in = p->in;
    size_t             B = in->batch, T = in->times, hidden = 0;
    int32_t           *rows = NULL;
    float             *weights = NULL;
    for (size_t i = 0; in->mask != NULL && i < B * T; i++)
        hidden += in->mask[i / T * (held + T) + held + i % T] == 0;
    if (hidden == 0) return SNUG_OK;
    rows = snug_alloc(B * T * sizeof *rows); /* <= MODEL_BATCH_TOKENS_MAX */
    weights = snug_alloc(B * T * sizeof *weights);
    for (size_t i = 0; i < B * T; i++) {
        rows[i] = (int32_t)i;
        weights[i] = in->mask[i / T * (held + T) + held + i % T] == 0 ? 0.0f : 1.0f;
    }
    SNUG_TRY(nn_upload(&p->c, rows, TENSOR_DIMS(B * T), &p->seen.rows, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(B * T), &p->seen.weights, err));
    SNUG_TRY(tensor_put(&p->seen.weights, weights, B * T * sizeof *weights, err));
done:
    free(rows);
    free(weights);
    return st;
}

/* Positions of this step, and what they do to heads and scores. */
static snug_status begin(pass *p, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const model_batch   *in = p->in;
    const model_decoder *d = &p->s->decoder;
    size_t B = in->batch, T = in->times, held = in->kv == NULL ? 0 : nn_kv_count(in->kv);
    p->positions = snug_alloc(B * T * sizeof *p->positions); /* <= MODEL_BATCH_TOKENS_MAX */
    for (size_t i = 0; i < B * T; i++)
        p->positions[i] = in->positions != NULL ? in->positions[i] : (int32_t)(held + i % T);
    if (in->mask != NULL)
        SNUG_TRY(nn_upload(&p->c, in->mask, TENSOR_DIMS(B, held + T), &p->mask, err));
    SNUG_TRY(begin_seen(p, held, err));
    if (p->s->rope.width > 0)
        SNUG_TRY(nn_rope_turn(&p->c, &p->s->rope, p->positions, B, T, &p->turn, err));
    if (d->sliding_own_turn)
        SNUG_TRY(nn_rope_turn(&p->c, &p->s->rope_local, p->positions, B, T, &p->local, err));
    if (d->temper != 0.0) SNUG_TRY(temper_turn(p, !d->temper_unturned, &p->tempered, err));
    if (p->n->alibi.bias_max != 0.0f)
        SNUG_TRY(
            nn_alibi_run(&p->c, p->s->heads, &p->n->alibi, in->mask, B, held, T, &p->bias, err));
done:
    return st;
}

static snug_status embed(pass *p, tensor *x, snug_err *err)
{
    snug_status    st = SNUG_OK;
    const decoder *n = p->n;
    size_t         B = p->in->batch, T = p->in->times;
    tensor         ids, narrow;
    SNUG_TRY(nn_upload(&p->c, p->in->ids, TENSOR_DIMS(B, T), &ids, err));
    SNUG_TRY(
        tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(B, T, n->embed.shape[1]), x, err));
    SNUG_TRY(tensor_embed(p->c.dev, &n->embed, &ids, x, err)); /* [B, T, W] */
    if (p->s->decoder.embed_scale != 0.0f)
        SNUG_TRY(tensor_scale(p->c.dev, x, p->s->decoder.embed_scale, 0.0f, x, err));
    narrow = *x;
    if (tensor_present(&n->project_in.w))
        SNUG_TRY(nn_linear_run(&p->c, &n->project_in, &narrow, x, err));
    if (tensor_present(&n->positions)) {
        for (size_t i = 0; i < B * T; i++) p->positions[i] += (int32_t)n->position_first;
        SNUG_TRY(encoder_add_rows(&p->c, &n->positions, p->positions, B, T, x, err));
    }
    if (n->embed_norm.kind != NN_NO_NORM) SNUG_TRY(nn_norm_run(&p->c, &n->embed_norm, x, x, err));
done:
    return st;
}

/* h [B, T, E] -> *out through keys and values that grow out of one row of latent_kv. The cache
 * holds keys and values as attention reads them. */
static snug_status run_latent(pass *p, const decoder_layer *l, const nn_step *step, const tensor *h,
                              tensor *out, snug_err *err)
{
    snug_status           st = SNUG_OK;
    const decoder_latent *a = l->latent;
    size_t                B = h->shape[0], T = h->shape[1], H = p->s->heads;
    tensor                q, low = *h, row, wide, k, v, mixed;
    if (tensor_present(&a->q_down.w)) {
        SNUG_TRY(nn_linear_run(&p->c, &a->q_down, h, &low, err));
        SNUG_TRY(nn_norm_run(&p->c, &a->q_norm, &low, &low, err));
    }
    SNUG_TRY(nn_heads_run(&p->c, &a->q_up, &low, H, &q, err)); /* [B, T, H, nope + rope] */
    SNUG_TRY(nn_linear_run(&p->c, &a->kv_down, h, &row, err)); /* [B, T, latent + rope] */
    size_t latent = row.shape[2] - a->rope;
    tensor compressed = tensor_slice(&row, 2, 0, latent);
    SNUG_TRY(nn_norm_run(&p->c, &a->kv_norm, &compressed, &compressed, err));
    SNUG_TRY(nn_linear_run(&p->c, &a->kv_up, &compressed, &wide, err));
    wide = tensor_view(&wide, TENSOR_DIMS(B, T, H, a->nope + a->v));
    v = tensor_slice(&wide, 3, a->nope, a->v);
    /* Keys: the part without positions per head, the turned part the same for all heads. */
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(B, T, H, a->nope + a->rope), &k,
                               err));
    tensor k_nope = tensor_slice(&k, 3, 0, a->nope), from = tensor_slice(&wide, 3, 0, a->nope);
    SNUG_TRY(tensor_copy(p->c.dev, &from, &k_nope, err));
    tensor shared = tensor_view(&row, TENSOR_DIMS(B, T, 1, latent + a->rope)),
           q_rope = tensor_slice(&q, 3, a->nope, a->rope),
           k_rope = tensor_slice(&k, 3, a->nope, a->rope);
    shared = tensor_slice(&shared, 3, latent, a->rope);
    SNUG_TRY(tensor_rope(p->c.dev, &q_rope, &p->turn.cos, &p->turn.sin, p->turn.interleaved,
                         &q_rope, err));
    SNUG_TRY(tensor_rope(p->c.dev, &shared, &p->turn.cos, &p->turn.sin, p->turn.interleaved,
                         &shared, err));
    shared.shape[2] = H, shared.stride[2] = 0; /* one row for every head */
    SNUG_TRY(tensor_copy(p->c.dev, &shared, &k_rope, err));
    tensor keys = k, values = v;
    if (step->kv != NULL)
        SNUG_TRY(nn_kv_append(step->kv, step->layer, &k, &v, &keys, &values, err));
    SNUG_TRY(nn_attention_mix(&p->c, &l->attention, &q, &keys, &values, step, &mixed, err));
    SNUG_TRY(nn_linear_run(&p->c, &l->attention.o, &mixed, out, err)); /* [B, T, E] */
done:
    return st;
}

/* Attention whose queries bring a gate: what a head sees is scaled by sigmoid(gate). */
static snug_status run_gated(pass *p, const decoder_layer *l, const nn_step *step, const tensor *h,
                             tensor *out, snug_err *err)
{
    snug_status         st = SNUG_OK;
    const nn_attention *a = &l->attention;
    size_t              B = h->shape[0], T = h->shape[1], H = a->heads, D = a->width;
    tensor              both, q, gate, k, v, mixed;
    SNUG_TRY(nn_heads_run(&p->c, &a->q, h, H, &both, err));        /* [B, T, H, 2D] */
    SNUG_TRY(nn_heads_run(&p->c, &a->k, h, a->kv_heads, &k, err)); /* [B, T, G, D] */
    SNUG_TRY(nn_heads_run(&p->c, &a->v, h, a->kv_heads, &v, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(B, T, H, D), &q, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(B, T, H, D), &gate, err));
    tensor first = tensor_slice(&both, 3, 0, D), second = tensor_slice(&both, 3, D, D);
    SNUG_TRY(tensor_copy(p->c.dev, &first, &q, err));
    SNUG_TRY(tensor_copy(p->c.dev, &second, &gate, err));
    SNUG_TRY(nn_norm_run(&p->c, &a->q_norm, &q, &q, err));
    SNUG_TRY(nn_norm_run(&p->c, &a->k_norm, &k, &k, err));
    SNUG_TRY(tensor_rope(p->c.dev, &q, &step->turn->cos, &step->turn->sin, step->turn->interleaved,
                         &q, err));
    SNUG_TRY(tensor_rope(p->c.dev, &k, &step->turn->cos, &step->turn->sin, step->turn->interleaved,
                         &k, err));
    tensor keys = k, values = v;
    if (step->kv != NULL)
        SNUG_TRY(nn_kv_append(step->kv, step->layer, &k, &v, &keys, &values, err));
    SNUG_TRY(nn_attention_mix(&p->c, a, &q, &keys, &values, step, &mixed, err)); /* [B, T, HD] */
    gate = tensor_view(&gate, TENSOR_DIMS(B, T, H * D));
    SNUG_TRY(tensor_glu(p->c.dev, &gate, &mixed, TENSOR_ACT_SIGMOID, &mixed, err));
    SNUG_TRY(nn_linear_run(&p->c, &a->o, &mixed, out, err)); /* [B, T, E] */
done:
    return st;
}

static snug_status run_attention(pass *p, size_t i, const tensor *h, tensor *y, snug_err *err)
{
    const decoder_layer *l = &p->n->layers[i];
    const nn_turn       *turn = l->turned_locally ? &p->local : l->turned ? &p->turn : NULL;
    nn_step              step = {.turn = turn,
                                 .q_turn = l->tempered ? &p->tempered : NULL,
                                 .mask = &p->mask,
                                 .bias = &p->bias,
                                 .kv = p->in->kv,
                                 .layer = i};
    if (p->s->decoder.attention_gated) return run_gated(p, l, &step, h, y, err);
    return l->latent != NULL ? run_latent(p, l, &step, h, y, err)
                             : nn_attention_run(&p->c, &l->attention, h, &step, y, err);
}

/* h times a factor, when there is one: h itself is read by others. */
static snug_status scaled(pass *p, const tensor *h, float factor, tensor *out, snug_err *err)
{
    tensor from = *h; /* out may be the same variable */
    *out = from;
    if (factor == 0.0f || factor == 1.0f) return SNUG_OK;
    snug_status st = tensor_space_take(p->c.space, TENSOR_F32, from.rank, from.shape, out, err);
    return st != SNUG_OK ? st : tensor_scale(p->c.dev, &from, factor, 0.0f, out, err);
}

/* What a layer does before its MLP: attention, a recurrent mixer, or both from one h and summed. */
static snug_status run_mixing(pass *p, size_t i, const tensor *h, tensor *y, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const decoder_layer *l = &p->n->layers[i];
    const model_decoder *d = &p->s->decoder;
    nn_step              step = {.seen = &p->seen, .kv = p->in->kv, .layer = i};
    tensor               in, z;
    if (l->mixer == NULL) return run_attention(p, i, h, y, err);
    SNUG_TRY(scaled(p, h, d->mixer_in, &in, err));
    SNUG_TRY(nn_mixer_run(&p->c, l->mixer, &in, &step, y, err)); /* [B, T, E] */
    if (l->unattended) return SNUG_OK;
    SNUG_TRY(scaled(p, y, d->mixer_out, y, err));
    SNUG_TRY(scaled(p, h, d->attention_in, &in, err));
    SNUG_TRY(run_attention(p, i, &in, &z, err));
    SNUG_TRY(scaled(p, &z, d->attention_out, &z, err));
    SNUG_TRY(tensor_add(p->c.dev, y, &z, y, err));
done:
    return st;
}

static snug_status run_mlp(pass *p, const decoder_layer *l, const tensor *h, tensor *y,
                           snug_err *err)
{
    return l->moe != NULL ? nn_moe_run(&p->c, l->moe, h, y, err)
                          : nn_mlp_run(&p->c, &l->mlp, h, y, err);
}

/* x += scale * after(y). */
static snug_status join(pass *p, const nn_norm *after, const tensor *y, const tensor *x,
                        snug_err *err)
{
    snug_status st = SNUG_OK;
    float       scale = p->s->decoder.residual_scale;
    if (after->kind != NN_NO_NORM) SNUG_TRY(nn_norm_run(&p->c, after, y, y, err));
    if (scale != 0.0f) SNUG_TRY(tensor_scale(p->c.dev, y, scale, 0.0f, y, err));
    SNUG_TRY(tensor_add(p->c.dev, x, y, x, err));
done:
    return st;
}

/* Both branches from one x: x += attention(norm(x)) + mlp(norm(x)), with one norm or two. */
static snug_status run_parallel(pass *p, size_t i, const tensor *x, const tensor *h, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const decoder_layer *l = &p->n->layers[i];
    tensor               y, z;
    SNUG_TRY(nn_norm_run(&p->c, &l->before_attention, x, h, err));
    SNUG_TRY(run_attention(p, i, h, &y, err)); /* [B, T, E] */
    if (l->before_mlp.kind != NN_NO_NORM) SNUG_TRY(nn_norm_run(&p->c, &l->before_mlp, x, h, err));
    SNUG_TRY(run_mlp(p, l, h, &z, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
    SNUG_TRY(tensor_add(p->c.dev, x, &z, x, err));
done:
    return st;
}

static snug_status run_layer(pass *p, size_t i, const tensor *x, const tensor *h, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const decoder_layer *l = &p->n->layers[i];
    tensor               y;
    if (p->s->decoder.parallel) return run_parallel(p, i, x, h, err);
    if (p->n->norm_after) { /* x = norm(x + branch(x)) */
        SNUG_TRY(run_attention(p, i, x, &y, err));
        SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
        SNUG_TRY(nn_norm_run(&p->c, &l->before_attention, x, x, err));
        SNUG_TRY(run_mlp(p, l, x, &y, err));
        SNUG_TRY(tensor_add(p->c.dev, x, &y, x, err));
        SNUG_TRY(nn_norm_run(&p->c, &l->before_mlp, x, x, err));
        return SNUG_OK;
    }
    if (!l->unattended || l->mixer != NULL) {
        SNUG_TRY(nn_norm_run(&p->c, &l->before_attention, x, h, err));
        SNUG_TRY(run_mixing(p, i, h, &y, err)); /* [B, T, E] */
        SNUG_TRY(join(p, &l->after_attention, &y, x, err));
    }
    if (l->bare) return SNUG_OK;
    SNUG_TRY(nn_norm_run(&p->c, &l->before_mlp, x, h, err));
    SNUG_TRY(run_mlp(p, l, h, &y, err)); /* [B, T, E] */
    SNUG_TRY(scaled(p, &y, p->s->decoder.mlp_out, &y, err));
    SNUG_TRY(join(p, &l->after_mlp, &y, x, err));
done:
    return st;
}

/* x [B, T, E] -> logits [B, T, V]. */
static snug_status run_head(pass *p, const tensor *x, tensor *logits, snug_err *err)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &p->s->decoder;
    tensor               in = *x;
    if (tensor_present(&p->n->project_out.w))
        SNUG_TRY(nn_linear_run(&p->c, &p->n->project_out, x, &in, err));
    SNUG_TRY(nn_linear_run(&p->c, &p->n->head, &in, logits, err));
    if (d->logit_scale != 0.0f)
        SNUG_TRY(tensor_scale(p->c.dev, logits, d->logit_scale, 0.0f, logits, err));
    if (d->logit_cap != 0.0f) {
        SNUG_TRY(tensor_scale(p->c.dev, logits, 1.0f / d->logit_cap, 0.0f, logits, err));
        SNUG_TRY(tensor_activate(p->c.dev, logits, TENSOR_ACT_TANH, logits, err));
        SNUG_TRY(tensor_scale(p->c.dev, logits, d->logit_cap, 0.0f, logits, err));
    }
done:
    return st;
}

snug_status decoder_forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      x, h, logits;
    pass        p = {.c = model_ctx(m), .s = &m->shape, .n = m->net, .in = in};
    SNUG_TRY(begin(&p, err));
    SNUG_TRY(embed(&p, &x, err)); /* [B, T, E] */
    SNUG_TRY(tensor_space_take(p.c.space, TENSOR_F32, 3, x.shape, &h, err));
    for (size_t i = 0; i < p.s->layers; i++) {
        tensor_mark mark = tensor_space_mark(p.c.space);
        SNUG_TRY(run_layer(&p, i, &x, &h, err));
        tensor_space_release(p.c.space, mark);
    }
    if (in->last_only) { /* [B, 1, E] */
        x = tensor_slice(&x, 1, in->times - 1, 1);
        h = tensor_slice(&h, 1, in->times - 1, 1);
    }
    SNUG_TRY(nn_norm_run(&p.c, &p.n->norm, &x, &h, err));
    if (p.s->head == MODEL_HEAD_NONE) {
        st = encoder_give(out, "last_hidden_state", h);
        goto done;
    }
    SNUG_TRY(run_head(&p, &h, &logits, err));
    st = encoder_give(out, "logits", logits);
done:
    free(p.positions);
    return st;
}
