/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/deberta.c - DeBERTa v2 and v3: attention that looks at content and distance apart.
 *
 * The score of query i for key j is q_i k_j + q_i K_r(i-j) + k_j Q_r(j-i), over the root of the
 * width times the number of terms. K_r and Q_r are projections of one table of distances, by the
 * layer's own key and query weights (share_att_key) or by others. Distances past half of
 * position_buckets fall in logarithmic buckets. Positions and token types may be added to words,
 * and usually are not. A convolution over neighbours may run beside the first layer.
 *
 * A padding token sees nothing, not even itself: it takes the mean over all.
 *
 * B batch, T time, E hidden, H heads, D head width, R distances, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

enum { TAPS_MAX = 31 };

typedef struct deberta_layer {
    encoder_layer e;
    nn_linear     pos_k, pos_q; /* of distances */
} deberta_layer;

typedef struct deberta {
    tensor         words, positions, types, distances; /* [V, W], [P, W], [types, W], [R, E] */
    nn_norm        norm, distance_norm, conv_norm;
    nn_linear      project; /* w absent: W is E */
    nn_linear      taps[TAPS_MAX];
    tensor         conv_bias; /* [E] */
    deberta_layer *layers;
    encoder_head   head;
    encoder_names  names;
} deberta;

static const encoder_names base_names = {.class_pool = "pooler.dense",
                                         .classes = "classifier",
                                         .tokens = "classifier",
                                         .span = "qa_outputs",
                                         .word_dense = "cls.predictions.transform.dense",
                                         .word_norm = "cls.predictions.transform.LayerNorm",
                                         .word_bias = "cls.predictions.bias",
                                         .word_decoder = "cls.predictions.decoder"};

/* pos_att_type is a list, or a string with bars. */
static snug_status parse_terms(snug_json config, model_shape *s, snug_err *err)
{
    snug_json  v = snug_json_get(config, "pos_att_type");
    snug_slice text, term;
    size_t     n = snug_json_is(v, SNUG_JSON_ARRAY) ? snug_json_count(v) : 1;
    for (size_t i = 0; i < n; i++) {
        if (!snug_json_to_str(snug_json_is(v, SNUG_JSON_ARRAY) ? snug_json_at(v, i) : v, &text))
            continue;
        while (snug_split(&text, '|', &term)) {
            term = snug_trim(term);
            if (snug_eq_str(term, "c2p"))
                s->c2p = true;
            else if (snug_eq_str(term, "p2c"))
                s->p2c = true;
            else if (term.len > 0)
                return snug_fail(err, SNUG_EUNSUPPORTED,
                                 "config.json: \"pos_att_type\" \"%.*s\" is not supported",
                                 SNUG_SLICE(term));
        }
    }
    return SNUG_OK;
}

static snug_status parse_distances(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        relative;
    int64_t     span = snug_json_i64_or(config, "max_relative_positions", -1),
            buckets = snug_json_i64_or(config, "position_buckets", -1);
    snug_slice norm;
    SNUG_TRY(cfg_bool(config, "relative_attention", false, &relative, err));
    SNUG_TRY(cfg_bool(config, "share_att_key", false, &s->share_keys, err));
    SNUG_TRY(cfg_bool(config, "position_biased_input", true, &s->learned_positions, err));
    s->relative = !s->learned_positions;
    SNUG_TRY(cfg_text(config, "norm_rel_ebd", "none", &norm, err));
    s->norm_distances = snug_find(norm, SNUG_LIT("layer_norm")) != SIZE_MAX;
    if (!relative) return SNUG_OK;
    SNUG_TRY(parse_terms(config, s, err));
    s->distance_max = span < 1 ? s->positions_max : (size_t)span;
    s->buckets = buckets > 0 ? (size_t)buckets : s->distance_max;
    s->bucketed = buckets > 0;
    if (s->distance_max > MODEL_POSITIONS_MAX || s->buckets > MODEL_POSITIONS_MAX ||
        (s->bucketed && (s->buckets < 4 || s->distance_max <= s->buckets / 2 + 1)))
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu buckets for distances up to %zu", s->buckets,
                  s->distance_max);
done:
    return st;
}

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"attention_head_size", "conv_groups", NULL};
    snug_status              st = SNUG_OK;
    bool                     legacy;
    SNUG_TRY(encoder_parse(config, s, 1e-7, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"type_vocab_size", NULL, 0, 0, MODEL_LABELS_MAX},
                      &s->types, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"embedding_size", NULL, s->hidden, 1, MODEL_HIDDEN_MAX},
                      &s->embed_width, err));
    SNUG_TRY(parse_distances(config, s, err));
    SNUG_TRY(cfg_act(config, "pooler_hidden_act", "gelu", &s->head_act, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"conv_kernel_size", NULL, 0, 0, TAPS_MAX}, &s->taps, err));
    if (s->taps > 0) SNUG_TRY(cfg_act(config, "conv_act", "tanh", &s->conv_act, err));
    if (s->taps % 2 == 0 && s->taps > 0)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"conv_kernel_size\" %zu is even", s->taps);
    int64_t groups = snug_json_i64_or(config, "conv_groups", 1);
    if (s->taps > 0 && groups != 1) SNUG_TRY(cfg_refuse(config, refused, err));
    SNUG_TRY(cfg_refuse(config, (const char *const[]){"attention_head_size", NULL}, err));
    SNUG_TRY(cfg_bool(config, "legacy", true, &legacy, err));
    if (s->head == MODEL_HEAD_MASKED_LM && !legacy)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"legacy\" false is not supported");
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, deberta_layer *layer)
{
    snug_status    st = SNUG_OK;
    size_t         e = s->hidden;
    encoder_layer *l = &layer->e;
    size_t         terms = 1 + (size_t)s->c2p + (size_t)s->p2c;
    l->attention = (nn_attention){.heads = s->heads,
                                  .kv_heads = s->heads,
                                  .width = s->head_dim,
                                  .scale = 1.0f / sqrtf((float)(s->head_dim * terms))};
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &l->attention.q, e, e, true, "attention.self.query_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.k, e, e, true, "attention.self.key_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.v, e, e, true, "attention.self.value_proj"));
    layer->pos_k = l->attention.k;
    layer->pos_q = l->attention.q;
    if (!s->share_keys && s->c2p)
        SNUG_TRY(bind_linear(b, &layer->pos_k, e, e, true, "attention.self.pos_key_proj"));
    if (!s->share_keys && s->p2c)
        SNUG_TRY(bind_linear(b, &layer->pos_q, e, e, true, "attention.self.pos_query_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, true, "attention.output.dense"));
    SNUG_TRY(
        bind_norm(b, &l->after_attention, NN_LAYER_NORM, e, s->eps, "attention.output.LayerNorm"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "intermediate.dense"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "output.dense"));
    SNUG_TRY(bind_norm(b, &l->after_mlp, NN_LAYER_NORM, e, s->eps, "output.LayerNorm"));
done:
    return st;
}

/* The kernel [E, E, taps] as one matrix per tap. */
static snug_status bind_conv(const binder *b, const model_shape *s, deberta *n)
{
    snug_status st = SNUG_OK;
    tensor      kernel;
    size_t      e = s->hidden;
    SNUG_TRY(bind_tensor(b, &kernel, TENSOR_DIMS(e, e, s->taps), "encoder.conv.conv.weight"));
    SNUG_TRY(bind_tensor(b, &n->conv_bias, TENSOR_DIMS(e), "encoder.conv.conv.bias"));
    for (size_t k = 0; k < s->taps; k++) {
        tensor tap = tensor_slice(&kernel, 2, k, 1);
        tap.rank = 2; /* [E, E], elements `taps` apart */
        SNUG_TRY(bind_copy(b, &tap, kernel.dtype, &n->taps[k].w));
    }
    n->taps[0].b = n->conv_bias;
    SNUG_TRY(bind_norm(b, &n->conv_norm, NN_LAYER_NORM, e, s->eps, "encoder.conv.LayerNorm"));
done:
    return st;
}

static snug_status bind_embeddings(const binder *body, const model_shape *s, deberta *n)
{
    snug_status st = SNUG_OK;
    size_t      width = s->embed_width;
    SNUG_TRY(bind_tensor(body, &n->words, TENSOR_DIMS(s->vocab, width),
                         "embeddings.word_embeddings.weight"));
    if (s->learned_positions)
        SNUG_TRY(bind_tensor(body, &n->positions, TENSOR_DIMS(s->positions_max, width),
                             "embeddings.position_embeddings.weight"));
    if (s->types > 0)
        SNUG_TRY(bind_tensor(body, &n->types, TENSOR_DIMS(s->types, width),
                             "embeddings.token_type_embeddings.weight"));
    if (width != s->hidden)
        SNUG_TRY(bind_linear(body, &n->project, width, s->hidden, false, "embeddings.embed_proj"));
    SNUG_TRY(bind_norm(body, &n->norm, NN_LAYER_NORM, s->hidden, s->eps, "embeddings.LayerNorm"));
    if (s->buckets == 0) return SNUG_OK;
    SNUG_TRY(bind_tensor(body, &n->distances, TENSOR_DIMS(2 * s->buckets, s->hidden),
                         "encoder.rel_embeddings.weight"));
    if (s->norm_distances)
        SNUG_TRY(bind_norm(body, &n->distance_norm, NN_LAYER_NORM, s->hidden, s->eps,
                           "encoder.LayerNorm"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""};
    deberta           *n = SNUG_NEW(m->arena, deberta);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(bind_embeddings(&body, s, n));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "encoder.layer", i);
        SNUG_TRY(bind_layer(&layer, s, &n->layers[i]));
    }
    if (s->taps > 0) SNUG_TRY(bind_conv(&body, s, n));
    n->names = base_names;
    n->names.class_act = s->head_act;
    SNUG_TRY(encoder_bind_head(&body, &n->names, &n->words, &n->head));
done:
    return st;
}

/* ---- distances ---- */

/* i - j as an index from -buckets to buckets. */
static int64_t bucket(const model_shape *s, int64_t distance)
{
    int64_t mid = (int64_t)s->buckets / 2, size = distance < 0 ? -distance : distance;
    if (!s->bucketed || size <= mid) return distance;
    float whole = logf((float)((double)(s->distance_max - 1) / (double)mid));
    float far = ceilf(logf((float)size / (float)mid) / whole * (float)(mid - 1)) + (float)mid;
    return distance < 0 ? -(int64_t)far : (int64_t)far;
}

static int32_t clamp_index(const model_shape *s, int64_t at)
{
    int64_t most = 2 * (int64_t)s->buckets - 1;
    return (int32_t)(at < 0 ? 0 : at > most ? most : at);
}

/* Rows of the table for (query, key) and for (key, query): [T, T] each. */
static snug_status upload_distances(const nn_ctx *c, const model_shape *s, size_t T, tensor *c2p,
                                    tensor *p2c, snug_err *err)
{
    snug_status st = SNUG_OK;
    int32_t    *host = snug_alloc_try(T * T * sizeof *host);
    if (host == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu distances", T * T);
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < T; j++)
            host[i * T + j] =
                clamp_index(s, bucket(s, (int64_t)i - (int64_t)j) + (int64_t)s->buckets);
    SNUG_TRY(nn_upload(c, host, TENSOR_DIMS(T, T), c2p, err));
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < T; j++)
            host[i * T + j] =
                clamp_index(s, (int64_t)s->buckets - bucket(s, (int64_t)i - (int64_t)j));
    SNUG_TRY(nn_upload(c, host, TENSOR_DIMS(T, T), p2c, err));
done:
    free(host);
    return st;
}

/* x [B, T, H, D] against the projected distances: out, seen as [B, H, T, R]. */
static snug_status against_distances(const nn_ctx *c, const nn_linear *l, const tensor *distances,
                                     const tensor *x, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      rows;
    size_t      B = x->shape[0], T = x->shape[1], H = x->shape[2], D = x->shape[3],
           R = distances->shape[0];
    SNUG_TRY(nn_linear_run(c, l, distances, &rows, err)); /* [R, H * D] */
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(H, B, T, R), out, err));
    for (size_t h = 0; h < H; h++) {
        tensor head = tensor_slice(x, 2, h, 1), part = tensor_slice(out, 0, h, 1);
        tensor keys = tensor_slice(&rows, 1, h * D, D);
        head.rank = 3; /* [B, T, D] */
        head.shape[2] = D, head.stride[2] = 1;
        part = tensor_view(&part, TENSOR_DIMS(B, T, R));
        SNUG_TRY(tensor_linear(c->dev, &head, &keys, NULL, &part, err));
    }
    *out = tensor_swap(out, 0, 1);
done:
    return st;
}

/* What one forward pass gives to every layer. */
typedef struct step {
    tensor distances, c2p, p2c; /* [R, E], [T, T], [T, T] */
    tensor hide;                /* [B, T, T], a large negative number where nothing may be seen */
} step;

static snug_status add_hidden(const nn_ctx *c, const step *p, const tensor *bias, snug_err *err)
{
    size_t B = bias->shape[0], H = bias->shape[1], T = bias->shape[2];
    for (size_t b = 0; tensor_present(&p->hide) && b < B; b++) {
        tensor row = tensor_slice(bias, 0, b, 1), hide = tensor_slice(&p->hide, 0, b, 1);
        row = tensor_view(&row, TENSOR_DIMS(H, T, T));
        hide = tensor_view(&hide, TENSOR_DIMS(T, T));
        snug_status st = tensor_add(c->dev, &row, &hide, &row, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static snug_status bias_of(const nn_ctx *c, const model_shape *s, const deberta_layer *l,
                           const step *p, const tensor *q, const tensor *k, tensor *bias,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      scores, more;
    size_t      B = q->shape[0], T = q->shape[1], H = q->shape[2];
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, H, T, T), bias, err));
    SNUG_TRY(tensor_scale(c->dev, bias, 0.0f, 0.0f, bias, err));
    if (s->c2p) {
        SNUG_TRY(against_distances(c, &l->pos_k, &p->distances, q, &scores, err));
        SNUG_TRY(tensor_gather(c->dev, &scores, &p->c2p, false, bias, err));
    }
    if (s->p2c) {
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, H, T, T), &more, err));
        SNUG_TRY(against_distances(c, &l->pos_q, &p->distances, k, &scores, err));
        SNUG_TRY(tensor_gather(c->dev, &scores, &p->p2c, true, &more, err));
        SNUG_TRY(tensor_add(c->dev, bias, &more, bias, err));
    }
    SNUG_TRY(tensor_scale(c->dev, bias, l->e.attention.scale, 0.0f, bias, err));
    SNUG_TRY(add_hidden(c, p, bias, err));
done:
    return st;
}

/* x = norm(x + attention(x)), x = norm(x + mlp(x)). */
static snug_status run_layer(const nn_ctx *c, const model_shape *s, const deberta_layer *l,
                             const step *p, const tensor *x, snug_err *err)
{
    snug_status         st = SNUG_OK;
    tensor              q, k, v, bias, y, mixed;
    const nn_attention *a = &l->e.attention;
    tensor_mark         mark = tensor_space_mark(c->space);
    SNUG_TRY(nn_heads_run(c, &a->q, x, s->heads, &q, err)); /* [B, T, H, D] */
    SNUG_TRY(nn_heads_run(c, &a->k, x, s->heads, &k, err));
    SNUG_TRY(nn_heads_run(c, &a->v, x, s->heads, &v, err));
    SNUG_TRY(bias_of(c, s, l, p, &q, &k, &bias, err)); /* [B, H, T, T] */
    SNUG_TRY(nn_attention_mix(c, a, &q, &k, &v, &(nn_step){.bias = &bias}, &mixed, err));
    SNUG_TRY(nn_linear_run(c, &a->o, &mixed, &y, err)); /* [B, T, E] */
    SNUG_TRY(tensor_add(c->dev, x, &y, x, err));
    SNUG_TRY(nn_norm_run(c, &l->e.after_attention, x, x, err));
    SNUG_TRY(nn_mlp_run(c, &l->e.mlp, x, &y, err));
    SNUG_TRY(tensor_add(c->dev, x, &y, x, err));
    SNUG_TRY(nn_norm_run(c, &l->e.after_mlp, x, x, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

/* Makes the rows of padding zero: x [B, T, E]. */
static snug_status clear_padding(const nn_ctx *c, const model_batch *in, const tensor *x,
                                 snug_err *err)
{
    for (size_t i = 0; in->mask != NULL && i < in->batch * in->times; i++) {
        if (in->mask[i] != 0) continue;
        tensor row = tensor_view(x, TENSOR_DIMS(in->batch * in->times, x->shape[2]));
        row = tensor_slice(&row, 0, i, 1);
        snug_status st = tensor_scale(c->dev, &row, 0.0f, 0.0f, &row, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

/* first [B, T, E], what the first layer read: x = norm(x + act(conv(first))). */
static snug_status run_conv(const nn_ctx *c, const model_shape *s, const deberta *n,
                            const model_batch *in, const tensor *first, const tensor *x,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      wide, sum, y;
    size_t      B = in->batch, T = in->times, e = s->hidden, side = s->taps / 2;
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(T + 2 * side, e), &wide, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, e), &sum, err));
    SNUG_TRY(tensor_scale(c->dev, &wide, 0.0f, 0.0f, &wide, err));
    for (size_t b = 0; b < B; b++) {
        tensor middle = tensor_slice(&wide, 0, side, T), from = tensor_slice(first, 0, b, 1),
               to = tensor_slice(&sum, 0, b, 1);
        from = tensor_view(&from, TENSOR_DIMS(T, e));
        to = tensor_view(&to, TENSOR_DIMS(T, e));
        SNUG_TRY(tensor_copy(c->dev, &from, &middle, err));
        for (size_t k = 0; k < s->taps; k++) {
            tensor shifted = tensor_slice(&wide, 0, k, T);
            SNUG_TRY(nn_linear_run(c, &n->taps[k], &shifted, k == 0 ? &y : &from, err));
            if (k > 0) SNUG_TRY(tensor_add(c->dev, &y, &from, &y, err));
        }
        SNUG_TRY(tensor_copy(c->dev, &y, &to, err));
    }
    SNUG_TRY(clear_padding(c, in, &sum, err));
    SNUG_TRY(tensor_activate(c->dev, &sum, s->conv_act, &sum, err));
    SNUG_TRY(tensor_add(c->dev, x, &sum, x, err));
    SNUG_TRY(nn_norm_run(c, &n->conv_norm, x, x, err));
    SNUG_TRY(clear_padding(c, in, x, err));
done:
    return st;
}

static snug_status embed(const nn_ctx *c, const model_shape *s, const deberta *n,
                         const model_batch *in, tensor *x, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      ids, narrow;
    size_t      B = in->batch, T = in->times;
    int32_t    *positions = encoder_positions(s, in);
    SNUG_TRY(nn_upload(c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, s->embed_width), x, err));
    SNUG_TRY(tensor_embed(c->dev, &n->words, &ids, x, err)); /* [B, T, W] */
    if (s->learned_positions) SNUG_TRY(encoder_add_rows(c, &n->positions, positions, B, T, x, err));
    if (s->types > 0) SNUG_TRY(encoder_add_rows(c, &n->types, in->types, B, T, x, err));
    narrow = *x;
    if (tensor_present(&n->project.w)) SNUG_TRY(nn_linear_run(c, &n->project, &narrow, x, err));
    SNUG_TRY(nn_norm_run(c, &n->norm, x, x, err));
    SNUG_TRY(clear_padding(c, in, x, err));
done:
    free(positions);
    return st;
}

static snug_status prepare(const nn_ctx *c, const model_shape *s, const deberta *n,
                           const model_batch *in, step *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      B = in->batch, T = in->times;
    float      *host = NULL;
    *p = (step){0};
    if (s->buckets > 0) {
        SNUG_TRY(
            tensor_space_take(c->space, TENSOR_F32, 2, n->distances.shape, &p->distances, err));
        SNUG_TRY(tensor_copy(c->dev, &n->distances, &p->distances, err));
        SNUG_TRY(nn_norm_run(c, &n->distance_norm, &p->distances, &p->distances, err));
        SNUG_TRY(upload_distances(c, s, T, &p->c2p, &p->p2c, err));
    }
    if (in->mask == NULL) goto done;
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, T), &p->hide, err));
    host = snug_alloc_try(tensor_size(&p->hide));
    if (host == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for a mask of %zu tokens", T);
    for (size_t i = 0; i < B * T * T; i++) {
        const int32_t *row = in->mask + i / (T * T) * T;
        host[i] = row[i / T % T] != 0 && row[i % T] != 0 ? 0.0f : -3e38f;
    }
    SNUG_TRY(tensor_put(&p->hide, host, tensor_size(&p->hide), err));
done:
    free(host);
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const deberta     *n = m->net;
    nn_ctx             c = model_ctx(m);
    tensor             x, first;
    step               p;
    SNUG_TRY(embed(&c, s, n, in, &x, err)); /* [B, T, E] */
    SNUG_TRY(prepare(&c, s, n, in, &p, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, 3, x.shape, &first, err));
    SNUG_TRY(tensor_copy(c.dev, &x, &first, err));
    for (size_t i = 0; i < s->layers; i++) {
        SNUG_TRY(run_layer(&c, s, &n->layers[i], &p, &x, err));
        if (i == 0 && s->taps > 0) SNUG_TRY(run_conv(&c, s, n, in, &first, &x, err));
    }
    SNUG_TRY(encoder_run_head(&c, s, &n->head, &x, out, err));
done:
    return st;
}

static const struct model_class classes[] = {
    {"DebertaV2Model", MODEL_HEAD_NONE},
    {"DebertaV2ForMaskedLM", MODEL_HEAD_MASKED_LM},
    {"DebertaV2ForSequenceClassification", MODEL_HEAD_CLASSES},
    {"DebertaV2ForTokenClassification", MODEL_HEAD_TOKENS},
    {"DebertaV2ForQuestionAnswering", MODEL_HEAD_SPAN},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_deberta[] = {{.model_type = "deberta-v2",
                                    .prefix = "deberta.",
                                    .classes = classes,
                                    .parse = parse,
                                    .bind = bind,
                                    .forward = forward},
                                   {0}};
