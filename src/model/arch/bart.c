/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/bart.c - BART, mBART, Blenderbot, Marian, Pegasus and M2M-100 (NLLB): one
 * encoder-decoder with norms before or after each branch, learned or sinusoidal positions.
 *
 *             norms    after embeddings  last norm  positions
 *   BART      after    norm              none       learned, from 2
 *   mBART     before   norm              norm       learned, from 2
 *   Blenderbot before  none              norm       learned, from 0
 *     -small  after    norm              none       learned, from 0, after the norm when writing
 *   Marian    after    none              none       sine half, cosine half
 *   Pegasus   before   none              norm       sine half, cosine half
 *   M2M-100   before   none              norm       the same by other steps, from 2, padding not
 * counted
 *
 * B batch, S times read, T times written, E width, H heads, D head width, V vocabulary. */
#include "model/seq2seq_int.h"

#include <math.h>
#include <stdlib.h>

typedef enum positions { LEARNED, LEARNED_FROM_0, SINES, SINES_AFTER_PAD } positions;

typedef struct dialect {
    bool      norm_before, embed_norm, last_norm;
    positions positions;
    bool      words_normed; /* the decoder norms words before it adds positions */
} dialect;

typedef struct bart_layer {
    nn_norm      self_norm, cross_norm, mlp_norm;
    nn_attention self, cross;
    nn_mlp       mlp;
} bart_layer;

typedef struct bart_stack {
    bart_layer *layers;
    size_t      count;
    tensor      positions; /* [P, E] */
    nn_norm     embed_norm, last_norm;
} bart_stack;

typedef struct bart {
    tensor     words; /* [V, E] */
    bart_stack encoder, decoder;
    nn_linear  head, first; /* first: of a head for classes */
} bart;

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    const dialect *d = s->arch->dialect;
    size_t         decoder_inner;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50265, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"d_model", "hidden_size", 1024, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"encoder_ffn_dim", NULL, 4096, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_ffn_dim", NULL, 4096, 1, MODEL_INNER_MAX},
                      &decoder_inner, err));
    s->decoder_inner = decoder_inner;
    SNUG_TRY(cfg_size(config, (cfg_range){"encoder_layers", NULL, 12, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_layers", NULL, 12, 1, MODEL_LAYERS_MAX},
                      &s->decoder_layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"encoder_attention_heads", NULL, 16, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"decoder_attention_heads", NULL, s->heads, 1, MODEL_HEADS_MAX},
                      &s->decoder_heads, err));
    if (s->decoder_heads != s->heads)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: %zu heads to read and %zu to write are not supported", s->heads,
                  s->decoder_heads);
    SNUG_TRY(cfg_size(
        config, (cfg_range){"max_position_embeddings", NULL, 1024, 1, MODEL_POSITIONS_MAX - 2},
        &s->positions_max, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"pad_token_id", NULL, 1, 0, s->vocab - 1}, &s->pad, err));
    SNUG_TRY(cfg_heads(s, err));
    s->eps = 1e-5f;
    SNUG_TRY(cfg_act(config, "activation_function", "gelu", &s->act, err));
    SNUG_TRY(
        cfg_bool(config, "scale_embedding", d->positions == SINES_AFTER_PAD, &s->scale_embed, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_start_token_id", NULL, 2, 0, s->vocab - 1},
                      &s->start, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"eos_token_id", NULL, 2, 0, s->vocab - 1}, &s->eos, err));
    if (d->positions == SINES_AFTER_PAD && s->pad > 0) s->position_first = s->pad - 1;
    if (s->position_first >= s->positions_max)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu positions leave no room after %zu",
                  s->positions_max, s->pad);
    if (s->head == MODEL_HEAD_CLASSES) SNUG_TRY(cfg_labels(config, &s->labels, err));
    size_t other;
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_vocab_size", NULL, s->vocab, 1, MODEL_VOCAB_MAX},
                      &other, err));
    if (other != s->vocab)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"decoder_vocab_size\" %zu beside a vocabulary of %zu is not "
                  "supported",
                  other, s->vocab);
    bool shared;
    SNUG_TRY(cfg_bool(config, "share_encoder_decoder_embeddings", true, &shared, err));
    if (!shared)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"share_encoder_decoder_embeddings\" false is not supported");
done:
    return st;
}

static snug_status bind_attention(const binder *b, const char *path, bool causal, nn_attention *a)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &b->m->shape;
    size_t             e = s->hidden;
    char               name[64];
    *a = (nn_attention){.heads = s->heads,
                        .kv_heads = s->heads,
                        .width = s->head_dim,
                        .scale = 1.0f / sqrtf((float)s->head_dim),
                        .causal = causal};
    (void)snprintf(name, sizeof name, "%s.q_proj", path);
    SNUG_TRY(bind_linear(b, &a->q, e, e, true, name));
    (void)snprintf(name, sizeof name, "%s.k_proj", path);
    SNUG_TRY(bind_linear(b, &a->k, e, e, true, name));
    (void)snprintf(name, sizeof name, "%s.v_proj", path);
    SNUG_TRY(bind_linear(b, &a->v, e, e, true, name));
    (void)snprintf(name, sizeof name, "%s.out_proj", path);
    SNUG_TRY(bind_linear(b, &a->o, e, e, true, name));
done:
    return st;
}

static snug_status norm_of(const binder *b, nn_norm *out, const char *name)
{
    return bind_norm(b, out, NN_LAYER_NORM, b->m->shape.hidden, b->m->shape.eps, name);
}

static snug_status bind_layer(const binder *b, bool writes, bart_layer *l)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &b->m->shape;
    size_t             inner = writes ? s->decoder_inner : s->inner;
    SNUG_TRY(bind_attention(b, "self_attn", writes, &l->self));
    SNUG_TRY(norm_of(b, &l->self_norm, "self_attn_layer_norm"));
    if (writes) {
        SNUG_TRY(bind_attention(b, "encoder_attn", false, &l->cross));
        SNUG_TRY(norm_of(b, &l->cross_norm, "encoder_attn_layer_norm"));
    }
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &l->mlp.up, s->hidden, inner, true, "fc1"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, inner, s->hidden, true, "fc2"));
    SNUG_TRY(norm_of(b, &l->mlp_norm, "final_layer_norm"));
done:
    return st;
}

/* The table of positions: the file's, or sines in the first half and cosines in the second. */
static snug_status bind_positions(const binder *b, const char *name, tensor *out)
{
    const model_shape *s = &b->m->shape;
    const dialect     *d = s->arch->dialect;
    bool               learned = d->positions == LEARNED || d->positions == LEARNED_FROM_0;
    size_t             rows =
               s->positions_max + (d->positions == SINES || d->positions == LEARNED_FROM_0 ? 0 : 2),
           e = s->hidden, half = e / 2;
    if (learned || bind_has(b, name)) return bind_tensor(b, out, TENSOR_DIMS(rows, e), name);
    if (e < 4 || e % 2 != 0)
        return snug_fail(b->err, SNUG_EUNSUPPORTED, "sinusoidal positions of width %zu", e);
    float *host = snug_alloc_try(rows * e * sizeof *host); /* both within their limits */
    if (host == NULL) return snug_fail(b->err, SNUG_ENOMEM, "no memory for %zu positions", rows);
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < half; k++) {
            double angle =
                d->positions == SINES
                    ? (double)i / pow(10000.0, 2.0 * (double)k / (double)e)
                    : (double)((float)i *
                               expf((float)k * (float)-(log(10000.0) / (double)(half - 1))));
            host[i * e + k] = (float)sin(angle);
            host[i * e + half + k] = (float)cos(angle);
        }
    }
    tensor      made;
    snug_status st =
        tensor_new_from(b->m->dev, TENSOR_F32, TENSOR_DIMS(rows, e), host, false, &made, b->err);
    free(host);
    if (st != SNUG_OK) return st;
    st = bind_copy(b, &made, TENSOR_F32, out);
    tensor_free(&made);
    return st;
}

static snug_status bind_stack(const binder *body, const char *name, size_t count, bool writes,
                              bart_stack *out)
{
    snug_status    st = SNUG_OK;
    const dialect *d = body->m->shape.arch->dialect;
    char           path[64];
    *out = (bart_stack){.count = count};
    out->layers = snug_arena_array_try(body->m->arena, count, sizeof *out->layers);
    if (out->layers == NULL)
        return snug_fail(body->err, SNUG_ENOMEM, "no memory for %zu layers", count);
    (void)snprintf(path, sizeof path, "%s.embed_positions.weight", name);
    SNUG_TRY(bind_positions(body, path, &out->positions));
    (void)snprintf(path, sizeof path, "%s.layernorm_embedding", name);
    if (d->embed_norm) SNUG_TRY(norm_of(body, &out->embed_norm, path));
    (void)snprintf(path, sizeof path, "%s.layer_norm", name);
    if (d->last_norm) SNUG_TRY(norm_of(body, &out->last_norm, path));
    (void)snprintf(path, sizeof path, "%s.layers", name);
    for (size_t i = 0; i < count; i++) {
        binder b = bind_scope(body, path, i);
        SNUG_TRY(bind_layer(&b, writes, &out->layers[i]));
    }
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    bart              *n = SNUG_NEW(m->arena, bart);
    m->net = n;
    SNUG_TRY(bind_tensor(&body, &n->words, TENSOR_DIMS(s->vocab, s->hidden),
                         bind_has(&body, "shared.weight") ? "shared.weight"
                                                          : "encoder.embed_tokens.weight"));
    SNUG_TRY(bind_stack(&body, "encoder", s->layers, false, &n->encoder));
    SNUG_TRY(bind_stack(&body, "decoder", s->decoder_layers, true, &n->decoder));
    if (s->head == MODEL_HEAD_CLASSES) {
        SNUG_TRY(
            bind_linear(&top, &n->first, s->hidden, s->hidden, true, "classification_head.dense"));
        return bind_linear(&top, &n->head, s->hidden, s->labels, true,
                           "classification_head.out_proj");
    }
    if (s->tied)
        n->head.w = n->words;
    else
        SNUG_TRY(bind_linear(&top, &n->head, s->hidden, s->vocab, false, "lm_head"));
    if (!bind_has(&top, "final_logits_bias")) goto done;
    SNUG_TRY(bind_tensor(&top, &n->head.b, TENSOR_DIMS(1, s->vocab), "final_logits_bias"));
    n->head.b = tensor_view(&n->head.b, TENSOR_DIMS(s->vocab));
done:
    return st;
}

/* Rows of the table of positions for ids at positions held and up. */
static int32_t *place(const model_shape *s, const int32_t *ids, size_t B, size_t T, size_t held)
{
    const dialect *d = s->arch->dialect;
    int32_t       *out = snug_alloc(B * T * sizeof *out); /* <= MODEL_BATCH_TOKENS_MAX */
    for (size_t i = 0, seen = 0; i < B * T; i++) {
        if (i % T == 0) seen = held;
        bool padding = (size_t)ids[i] == s->pad;
        if (d->positions == SINES_AFTER_PAD)
            out[i] = (int32_t)(padding ? s->pad : s->pad + 1 + seen++);
        else
            out[i] = (int32_t)(held + i % T + (d->positions == LEARNED ? 2 : 0));
    }
    return out;
}

static snug_status embed(model *m, const bart_stack *k, const int32_t *host, size_t B, size_t T,
                         size_t held, tensor *x, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const bart        *n = m->net;
    const dialect     *d = s->arch->dialect;
    nn_ctx             c = model_ctx(m);
    tensor             ids;
    int32_t           *at = place(s, host, B, T, held);
    SNUG_TRY(nn_upload(&c, host, TENSOR_DIMS(B, T), &ids, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), x, err));
    SNUG_TRY(tensor_embed(c.dev, &n->words, &ids, x, err));
    if (s->scale_embed) SNUG_TRY(tensor_scale(c.dev, x, sqrtf((float)s->hidden), 0.0f, x, err));
    bool early = d->words_normed && k == &n->decoder;
    if (early) SNUG_TRY(nn_norm_run(&c, &k->embed_norm, x, x, err));
    SNUG_TRY(encoder_add_rows(&c, &k->positions, at, B, T, x, err));
    if (d->positions == SINES_AFTER_PAD) /* padding has no position: take its row away again */
        for (size_t i = 0; i < B * T; i++) {
            if ((size_t)host[i] != s->pad) continue;
            tensor rows = tensor_view(x, TENSOR_DIMS(B * T, s->hidden)), row, one;
            rows = tensor_slice(&rows, 0, i, 1);
            SNUG_TRY(nn_upload(&c, &host[i], TENSOR_DIMS(1), &one, err));
            SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, 2, rows.shape, &row, err));
            SNUG_TRY(tensor_embed(c.dev, &n->words, &one, &row, err));
            SNUG_TRY(tensor_scale(c.dev, &row, s->scale_embed ? sqrtf((float)s->hidden) : 1.0f,
                                  0.0f, &rows, err));
        }
    if (d->embed_norm && !early) SNUG_TRY(nn_norm_run(&c, &k->embed_norm, x, x, err));
done:
    free(at);
    return st;
}

/* One branch: x += branch(norm(x)), or x = norm(x + branch(x)). */
typedef struct branch {
    const nn_norm *norm;
    snug_status (*run)(const nn_ctx *c, const void *arg, const tensor *h, tensor *y, snug_err *err);
    const void *arg;
} branch;

typedef struct self_arg {
    const nn_attention *a;
    nn_step             step;
} self_arg;
typedef struct cross_arg {
    const nn_attention *a;
    const model_memory *mem;
    size_t              layer;
} cross_arg;

static snug_status run_self(const nn_ctx *c, const void *arg, const tensor *h, tensor *y,
                            snug_err *err)
{
    const self_arg *s = arg;
    return nn_attention_run(c, s->a, h, &s->step, y, err);
}

static snug_status run_cross(const nn_ctx *c, const void *arg, const tensor *h, tensor *y,
                             snug_err *err)
{
    const cross_arg *x = arg;
    return seq2seq_cross(c, x->a, h, x->mem, x->layer, y, err);
}

static snug_status run_mlp(const nn_ctx *c, const void *arg, const tensor *h, tensor *y,
                           snug_err *err)
{
    return nn_mlp_run(c, arg, h, y, err);
}

static snug_status run_branch(const nn_ctx *c, bool before, branch b, const tensor *x,
                              const tensor *h, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      y;
    tensor_mark mark = tensor_space_mark(c->space);
    if (before) SNUG_TRY(nn_norm_run(c, b.norm, x, h, err));
    SNUG_TRY(b.run(c, b.arg, before ? h : x, &y, err)); /* [B, T, E] */
    SNUG_TRY(tensor_add(c->dev, x, &y, x, err));
    if (!before) SNUG_TRY(nn_norm_run(c, b.norm, x, x, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

/* mem NULL: the encoder. */
static snug_status run_stack(model *m, const bart_stack *k, const int32_t *ids, size_t B, size_t T,
                             const tensor *mask, nn_kv *kv, const model_memory *mem, tensor *x,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    nn_ctx      c = model_ctx(m);
    bool        before = ((const dialect *)m->shape.arch->dialect)->norm_before;
    tensor      h;
    SNUG_TRY(embed(m, k, ids, B, T, kv == NULL ? 0 : nn_kv_count(kv), x, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, 3, x->shape, &h, err));
    for (size_t i = 0; i < k->count; i++) {
        const bart_layer *l = &k->layers[i];
        self_arg          self = {&l->self, {.mask = mask, .kv = kv, .layer = i}};
        cross_arg         cross = {&l->cross, mem, i};
        SNUG_TRY(run_branch(&c, before, (branch){&l->self_norm, run_self, &self}, x, &h, err));
        if (mem != NULL)
            SNUG_TRY(
                run_branch(&c, before, (branch){&l->cross_norm, run_cross, &cross}, x, &h, err));
        SNUG_TRY(run_branch(&c, before, (branch){&l->mlp_norm, run_mlp, &l->mlp}, x, &h, err));
    }
    if (k->last_norm.kind != NN_NO_NORM) SNUG_TRY(nn_norm_run(&c, &k->last_norm, x, x, err));
done:
    return st;
}

static snug_status encode(model *m, const model_batch *in, model_memory *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    const bart *n = m->net;
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

/* Classes: the decoder reads the text moved right by one; its state at the last end-of-text counts.
 */
static snug_status classify(model *m, const model_batch *in, const model_memory *mem,
                            model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const bart        *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t             B = in->batch, T = in->times;
    int32_t *moved = snug_alloc(B * T * sizeof *moved), *ends = snug_alloc(B * sizeof *ends);
    tensor   x, rows, at, picked, h, logits;
    for (size_t i = 0; i < B * T; i++) moved[i] = i % T == 0 ? (int32_t)s->start : in->ids[i - 1];
    for (size_t b = 0; b < B; b++) {
        size_t end = T;
        for (size_t i = 0; i < T; i++)
            if ((size_t)in->ids[b * T + i] == s->eos) end = i;
        if (end == T)
            SNUG_FAIL(err, SNUG_EINVAL, "row %zu has no end-of-text token (%zu)", b, s->eos);
        ends[b] = (int32_t)(b * T + end);
    }
    SNUG_TRY(run_stack(m, &n->decoder, moved, B, T, NULL, NULL, mem, &x, err));
    rows = tensor_view(&x, TENSOR_DIMS(B * T, s->hidden));
    SNUG_TRY(nn_upload(&c, ends, TENSOR_DIMS(B), &at, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, s->hidden), &picked, err));
    SNUG_TRY(tensor_embed(c.dev, &rows, &at, &picked, err)); /* [B, E] */
    SNUG_TRY(nn_linear_run(&c, &n->first, &picked, &h, err));
    SNUG_TRY(tensor_activate(c.dev, &h, TENSOR_ACT_TANH, &h, err));
    SNUG_TRY(nn_linear_run(&c, &n->head, &h, &logits, err));
    SNUG_TRY(encoder_give(out, "logits", logits));
done:
    free(moved);
    free(ends);
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status         st = SNUG_OK;
    const bart         *n = m->net;
    nn_ctx              c = model_ctx(m);
    model_memory        own = {0};
    const model_memory *mem = in->memory;
    size_t              T = in->memory != NULL ? in->times : in->decoder_times;
    const int32_t      *ids = in->memory != NULL ? in->ids : in->decoder_ids;
    tensor              x, logits;
    if (mem == NULL) {
        SNUG_TRY(seq2seq_memory(m, in, &own, err));
        mem = &own;
        if (m->shape.head == MODEL_HEAD_CLASSES) {
            st = classify(m, in, mem, out, err);
            goto done;
        }
        SNUG_TRY(encoder_give(out, "encoder_last_hidden_state", own.states));
    }
    SNUG_TRY(run_stack(m, &n->decoder, ids, in->batch, T, NULL, in->kv, mem, &x, err));
    if (in->last_only) x = tensor_slice(&x, 1, T - 1, 1);
    SNUG_TRY(nn_linear_run(&c, &n->head, &x, &logits, err)); /* [B, T, V] */
    SNUG_TRY(encoder_give(out, "logits", logits));
done:
    free(own.k);
    free(own.v);
    return st;
}

static const dialect
    bart_dialect = {.embed_norm = true},
    mbart_dialect = {.norm_before = true, .embed_norm = true, .last_norm = true},
    blender_dialect = {.norm_before = true, .last_norm = true, .positions = LEARNED_FROM_0},
    small_dialect = {.embed_norm = true, .words_normed = true, .positions = LEARNED_FROM_0},
    marian_dialect = {.positions = SINES},
    pegasus_dialect = {.norm_before = true, .last_norm = true, .positions = SINES},
    m2m_dialect = {.norm_before = true, .last_norm = true, .positions = SINES_AFTER_PAD};

#define CLASSES(...)                                                                               \
    (const struct model_class[])                                                                   \
    {                                                                                              \
        __VA_ARGS__, { NULL, MODEL_HEAD_NONE }                                                     \
    }
#define ROW(type, how, ...)                                                                        \
    {                                                                                              \
        .model_type = type, .prefix = "model.", .dialect = &how, .classes = CLASSES(__VA_ARGS__),  \
        .parse = parse, .bind = bind, .forward = forward, .encode = encode,                        \
    }

const model_arch arch_bart[] = {
    ROW("bart", bart_dialect, {"BartForConditionalGeneration", MODEL_HEAD_SEQ2SEQ},
        {"BartForSequenceClassification", MODEL_HEAD_CLASSES}),
    ROW("mbart", mbart_dialect, {"MBartForConditionalGeneration", MODEL_HEAD_SEQ2SEQ}),
    ROW("blenderbot", blender_dialect, {"BlenderbotForConditionalGeneration", MODEL_HEAD_SEQ2SEQ}),
    ROW("blenderbot-small", small_dialect,
        {"BlenderbotSmallForConditionalGeneration", MODEL_HEAD_SEQ2SEQ}),
    ROW("marian", marian_dialect, {"MarianMTModel", MODEL_HEAD_SEQ2SEQ}),
    ROW("pegasus", pegasus_dialect, {"PegasusForConditionalGeneration", MODEL_HEAD_SEQ2SEQ}),
    ROW("m2m_100", m2m_dialect, {"M2M100ForConditionalGeneration", MODEL_HEAD_SEQ2SEQ}),
    {0},
};
