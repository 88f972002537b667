/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/t5.c - T5, mT5 and UMT5: RMS norms before each branch, a bias of relative positions
 * that all layers share (UMT5: each has its own), scores without a scale.
 *
 * Original models have a relu MLP and divide the tied logits by the root of the width; later ones a
 * gated tanh-GELU and often a head of their own.
 *
 * B batch, S times read, T times written, E width, H heads, D head width, V vocabulary. */
#include "model/seq2seq_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct t5_layer {
    nn_norm      before_self, before_cross, before_mlp;
    nn_attention self, cross;
    nn_mlp       mlp;
    nn_buckets   relative; /* table absent: that of the layers before */
} t5_layer;

typedef struct t5_stack {
    t5_layer *layers;
    size_t    count;
    nn_norm   norm;
    bool      writes; /* the decoder */
} t5_stack;

typedef struct t5 {
    tensor    words; /* [V, E] */
    t5_stack  encoder, decoder;
    nn_linear head;
} t5;

static snug_status parse_mlp(snug_json config, model_shape *s, snug_err *err)
{
    snug_slice  name;
    snug_status st = cfg_text(config, "feed_forward_proj", "relu", &name, err);
    if (st != SNUG_OK) return st;
    s->gated = snug_starts_with(name, "gated-");
    if (snug_eq_str(name, "gated-gelu"))
        s->act = TENSOR_ACT_GELU_TANH; /* by convention: the name means the tanh form here */
    else if (snug_eq_str(name, "relu"))
        s->act = TENSOR_ACT_RELU;
    else if (snug_eq_str(name, "gated-silu") || snug_eq_str(name, "silu"))
        s->act = TENSOR_ACT_SILU;
    else if (snug_eq_str(name, "gelu"))
        s->act = TENSOR_ACT_GELU;
    else
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "config.json: \"feed_forward_proj\" \"%.*s\" is not supported",
                         SNUG_SLICE(name));
    return SNUG_OK;
}

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 32128, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"d_model", "hidden_size", 512, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"d_kv", NULL, 64, 1, MODEL_HEAD_DIM_MAX}, &s->head_dim, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"d_ff", NULL, 2048, 1, MODEL_INNER_MAX}, &s->inner, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"num_layers", NULL, 6, 1, MODEL_LAYERS_MAX}, &s->layers, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_decoder_layers", NULL, s->layers, 1, MODEL_LAYERS_MAX},
                      &s->decoder_layers, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"num_heads", NULL, 8, 1, MODEL_HEADS_MAX}, &s->heads, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"relative_attention_num_buckets", NULL, 32, 8, 1 << 16},
                      &s->buckets, err));
    SNUG_TRY(cfg_size(
        config,
        (cfg_range){"relative_attention_max_distance", NULL, 128, s->buckets, MODEL_POSITIONS_MAX},
        &s->distance_max, err));
    s->kv_heads = s->decoder_heads = s->heads;
    s->relative = true;
    SNUG_TRY(cfg_size(config, (cfg_range){"n_positions", NULL, 512, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_real(config, "layer_norm_epsilon", 1e-6, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(parse_mlp(config, s, err));
    /* T5 says by one of two keys whether it scales; mT5 never does, UMT5 always. */
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    SNUG_TRY(cfg_bool(config, "scale_decoder_outputs", s->tied, &s->scale_logits, err));
    if (strcmp(s->arch->model_type, "t5") != 0)
        s->scale_logits = strcmp(s->arch->model_type, "umt5") == 0;
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_start_token_id", NULL, 0, 0, s->vocab - 1},
                      &s->start, err));
done:
    return st;
}

static snug_status bind_attention(const binder *b, const char *path, bool causal, nn_attention *a)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &b->m->shape;
    size_t             inner = s->heads * s->head_dim;
    char               name[64];
    *a = (nn_attention){.heads = s->heads,
                        .kv_heads = s->heads,
                        .width = s->head_dim,
                        .scale = 1.0f,
                        .causal = causal};
    (void)snprintf(name, sizeof name, "%s.q", path);
    SNUG_TRY(bind_linear(b, &a->q, s->hidden, inner, false, name));
    (void)snprintf(name, sizeof name, "%s.k", path);
    SNUG_TRY(bind_linear(b, &a->k, s->hidden, inner, false, name));
    (void)snprintf(name, sizeof name, "%s.v", path);
    SNUG_TRY(bind_linear(b, &a->v, s->hidden, inner, false, name));
    (void)snprintf(name, sizeof name, "%s.o", path);
    SNUG_TRY(bind_linear(b, &a->o, inner, s->hidden, false, name));
done:
    return st;
}

static snug_status norm_of(const binder *b, nn_norm *out, const char *name)
{
    const model_shape *s = &b->m->shape;
    return bind_norm_weight(b, out, NN_RMS_NORM, s->hidden, s->eps, name);
}

static snug_status bind_layer(const binder *b, bool writes, t5_layer *l)
{
    static const char *const table = "layer.0.SelfAttention.relative_attention_bias.weight";
    snug_status              st = SNUG_OK;
    const model_shape       *s = &b->m->shape;
    char                     name[64];
    int                      last = writes ? 2 : 1;
    SNUG_TRY(norm_of(b, &l->before_self, "layer.0.layer_norm"));
    SNUG_TRY(bind_attention(b, "layer.0.SelfAttention", writes, &l->self));
    if (bind_has(b, table)) {
        l->relative = (nn_buckets){.distance_max = s->distance_max, .both_ways = !writes};
        SNUG_TRY(bind_tensor(b, &l->relative.table, TENSOR_DIMS(s->buckets, s->heads), table));
    }
    if (writes) {
        SNUG_TRY(norm_of(b, &l->before_cross, "layer.1.layer_norm"));
        SNUG_TRY(bind_attention(b, "layer.1.EncDecAttention", false, &l->cross));
    }
    (void)snprintf(name, sizeof name, "layer.%d.layer_norm", last);
    SNUG_TRY(norm_of(b, &l->before_mlp, name));
    l->mlp.act = s->act;
    if (s->gated) {
        (void)snprintf(name, sizeof name, "layer.%d.DenseReluDense.wi_0", last);
        SNUG_TRY(bind_linear(b, &l->mlp.gate, s->hidden, s->inner, false, name));
    }
    (void)snprintf(name, sizeof name, "layer.%d.DenseReluDense.wi%s", last, s->gated ? "_1" : "");
    SNUG_TRY(bind_linear(b, &l->mlp.up, s->hidden, s->inner, false, name));
    (void)snprintf(name, sizeof name, "layer.%d.DenseReluDense.wo", last);
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, s->hidden, false, name));
done:
    return st;
}

static snug_status bind_stack(const binder *top, const char *name, size_t count, bool writes,
                              t5_stack *out)
{
    snug_status st = SNUG_OK;
    char        list[32], norm[48];
    *out = (t5_stack){.count = count, .writes = writes};
    out->layers = snug_arena_array_try(top->m->arena, count, sizeof *out->layers);
    if (out->layers == NULL)
        return snug_fail(top->err, SNUG_ENOMEM, "no memory for %zu layers", count);
    (void)snprintf(list, sizeof list, "%s.block", name);
    (void)snprintf(norm, sizeof norm, "%s.final_layer_norm", name);
    for (size_t i = 0; i < count; i++) {
        binder b = bind_scope(top, list, i);
        SNUG_TRY(bind_layer(&b, writes, &out->layers[i]));
    }
    if (!tensor_present(&out->layers[0].relative.table))
        SNUG_FAIL(top->err, SNUG_ECORRUPT, "%s has no bias of relative positions", name);
    SNUG_TRY(norm_of(top, &out->norm, norm));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             top = {m, w, "", err, ""};
    t5                *n = SNUG_NEW(m->arena, t5);
    m->net = n;
    SNUG_TRY(bind_tensor(&top, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         bind_has(&top, "shared.weight") ? "shared.weight"
                                                         : "encoder.embed_tokens.weight"));
    SNUG_TRY(bind_stack(&top, "encoder", s->layers, false, &n->encoder));
    if (s->head != MODEL_HEAD_SEQ2SEQ) return SNUG_OK;
    SNUG_TRY(bind_stack(&top, "decoder", s->decoder_layers, true, &n->decoder));
    if (bind_has(&top, "lm_head.weight")) /* a file with a head of its own means it */
        SNUG_TRY(bind_linear(&top, &n->head, s->hidden, s->vocab, false, "lm_head"));
    else
        n->head.w = n->words;
done:
    return st;
}

/* ids [B, T] through a stack: x [B, T, E]. mem NULL: the encoder. */
static snug_status run_stack(model *m, const t5_stack *k, const int32_t *host, size_t B, size_t T,
                             const tensor *mask, nn_kv *kv, const model_memory *mem, tensor *x,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    nn_ctx      c = model_ctx(m);
    const t5   *n = m->net;
    size_t      held = kv == NULL ? 0 : nn_kv_count(kv);
    tensor      ids, h, y, bias;
    SNUG_TRY(nn_upload(&c, host, TENSOR_DIMS(B, T), &ids, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, m->shape.hidden), x, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, m->shape.hidden), &h, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, x, err));
    for (size_t i = 0; i < k->count; i++) {
        const t5_layer *l = &k->layers[i];
        if (tensor_present(&l->relative.table)) /* outlives the layer */
            SNUG_TRY(nn_buckets_run(&c, &l->relative, B, held, T, &bias, err));
        tensor_mark mark = tensor_space_mark(c.space);
        nn_step     step = {.mask = mask, .bias = &bias, .kv = kv, .layer = i};
        SNUG_TRY(nn_norm_run(&c, &l->before_self, x, &h, err));
        SNUG_TRY(nn_attention_run(&c, &l->self, &h, &step, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, x, &y, x, err));
        if (mem != NULL) {
            SNUG_TRY(nn_norm_run(&c, &l->before_cross, x, &h, err));
            SNUG_TRY(seq2seq_cross(&c, &l->cross, &h, mem, i, &y, err)); /* [B, T, E] */
            SNUG_TRY(tensor_add(c.dev, x, &y, x, err));
        }
        SNUG_TRY(nn_norm_run(&c, &l->before_mlp, x, &h, err));
        SNUG_TRY(nn_mlp_run(&c, &l->mlp, &h, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, x, &y, x, err));
        tensor_space_release(c.space, mark);
    }
    SNUG_TRY(nn_norm_run(&c, &k->norm, x, x, err));
done:
    return st;
}

static snug_status encode(model *m, const model_batch *in, model_memory *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    const t5   *n = m->net;
    nn_ctx      c = model_ctx(m);
    tensor      mask = TENSOR_NONE;
    if (in->mask != NULL)
        SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(in->batch, in->times), &mask, err));
    SNUG_TRY(run_stack(m, &n->encoder, in->ids, in->batch, in->times, &mask, NULL, NULL,
                       &out->states, err));
    for (size_t i = 0; i < n->decoder.count; i++)
        SNUG_TRY(seq2seq_read(&c, &n->decoder.layers[i].cross, &out->states, &out->k[i], &out->v[i],
                              err));
done:
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status         st = SNUG_OK;
    const model_shape  *s = &m->shape;
    const t5           *n = m->net;
    nn_ctx              c = model_ctx(m);
    model_memory        own = {0};
    const model_memory *mem = in->memory;
    size_t              T = in->memory != NULL ? in->times : in->decoder_times;
    const int32_t      *ids = in->memory != NULL ? in->ids : in->decoder_ids;
    tensor              x, logits;
    if (mem == NULL) {
        SNUG_TRY(seq2seq_memory(m, in, &own, err));
        mem = &own;
        SNUG_TRY(encoder_give(
            out, s->head == MODEL_HEAD_NONE ? "last_hidden_state" : "encoder_last_hidden_state",
            own.states));
        if (s->head == MODEL_HEAD_NONE) goto done;
    }
    SNUG_TRY(run_stack(m, &n->decoder, ids, in->batch, T, NULL, in->kv, mem, &x, err));
    if (in->last_only) x = tensor_slice(&x, 1, T - 1, 1);
    SNUG_TRY(nn_linear_run(&c, &n->head, &x, &logits, err)); /* [B, T, V] */
    if (s->scale_logits)
        SNUG_TRY(tensor_scale(c.dev, &logits, 1.0f / sqrtf((float)s->hidden), 0.0f, &logits, err));
    SNUG_TRY(encoder_give(out, "logits", logits));
done:
    free(own.k);
    free(own.v);
    return st;
}

#define CLASSES(Name)                                                                              \
    (const struct model_class[])                                                                   \
    {                                                                                              \
        {#Name "ForConditionalGeneration", MODEL_HEAD_SEQ2SEQ},                                    \
            {#Name "EncoderModel", MODEL_HEAD_NONE}, {NULL, MODEL_HEAD_NONE},                      \
    }
#define ROW(type, Name)                                                                            \
    {                                                                                              \
        .model_type = type, .prefix = "", .classes = CLASSES(Name), .parse = parse, .bind = bind,  \
        .forward = forward, .encode = encode,                                                      \
    }

const model_arch arch_t5[] = {ROW("t5", T5), ROW("mt5", MT5), ROW("umt5", UMT5), {0}};
