/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_keys.c - the metadata of a network, out of a shape that was checked.
 *
 * For:     gguf_plan.c.
 * Owns:    nothing.
 * Threads: pure functions over the caller's plan.
 * Truth:   gguf_read.c makes the same shape of it again; llama.cpp finds the keys it asks for. */
#include <math.h>
#include <stdlib.h>

#include "model/gguf_write_int.h"

void gguf_put(gguf_plan *p, snug_slice key, codec_gguf_value v)
{
    for (size_t i = 0; i < p->kv_count; i++) {
        if (!snug_eq(p->kvs[i].key, key)) continue;
        p->kvs[i].value = v;
        return;
    }
    if (p->kv_count == p->kv_cap) {
        size_t         cap = p->kv_cap == 0 ? 64 : 2 * p->kv_cap;
        codec_gguf_kv *grown = snug_arena_alloc(p->arena, cap * sizeof *grown); /* keys of a head */
        if (p->kv_count > 0) memcpy(grown, p->kvs, p->kv_count * sizeof *grown);
        p->kvs = grown;
        p->kv_cap = cap;
    }
    p->kvs[p->kv_count++] = (codec_gguf_kv){snug_arena_dup(p->arena, key), v};
}

void gguf_put_u32(gguf_plan *p, const char *key, uint64_t v)
{
    gguf_put(p, snug_str(key), (codec_gguf_value){.kind = CODEC_GGUF_U32, .v.u = v});
}

void gguf_put_f32(gguf_plan *p, const char *key, double v)
{
    gguf_put(p, snug_str(key), (codec_gguf_value){.kind = CODEC_GGUF_F32, .v.f = v});
}

void gguf_put_bool(gguf_plan *p, const char *key, bool v)
{
    gguf_put(p, snug_str(key), (codec_gguf_value){.kind = CODEC_GGUF_BOOL, .v.u = v});
}

void gguf_put_str(gguf_plan *p, const char *key, snug_slice v)
{
    gguf_put(p, snug_str(key), (codec_gguf_value){.kind = CODEC_GGUF_STRING, .v.str = v});
}

/* ---- keys under the architecture's name ---- */

typedef struct keys {
    gguf_plan      *p;
    const gguf_row *r;
    char            key[128];
} keys;

static const char *own(keys *k, const char *name)
{
    (void)snprintf(k->key, sizeof k->key, "%s.%s", k->r->arch, name);
    return k->key;
}

static void put_u(keys *k, const char *name, uint64_t v) { gguf_put_u32(k->p, own(k, name), v); }
static void put_f(keys *k, const char *name, double v) { gguf_put_f32(k->p, own(k, name), v); }

static bool is(const keys *k, const char *arch) { return strcmp(k->r->arch, arch) == 0; }

static void put_factors(keys *k, const char *name, const float *values, size_t n)
{
    float    *copy = snug_arena_alloc(k->p->arena, n * sizeof *copy); /* <= MODEL_HEAD_DIM_MAX */
    gguf_out *o = gguf_add_out(k->p, name);
    memcpy(copy, values, n * sizeof *copy);
    o->rank = 1;
    o->dims[0] = n;
    o->type = TENSOR_F32;
    o->values = copy;
}

/* Llama 3's stretching as divisors of the plain frequencies. */
static void put_llama3(keys *k, const nn_rope *r)
{
    float   plain[MODEL_HEAD_DIM_MAX / 2], now[MODEL_HEAD_DIM_MAX / 2];
    nn_rope dflt = *r;
    dflt.kind = NN_ROPE_DEFAULT;
    (void)nn_rope_freqs(&dflt, 1, plain);
    (void)nn_rope_freqs(r, 1, now);
    for (size_t i = 0; i < r->width / 2; i++) plain[i] /= now[i];
    put_factors(k, "rope_freqs.weight", plain, r->width / 2);
}

static snug_status put_rope(keys *k, const nn_rope *r, snug_err *err)
{
    float freqs[MODEL_HEAD_DIM_MAX / 2];
    if (r->width == 0) return SNUG_OK;
    put_u(k, "rope.dimension_count", r->width);
    put_f(k, "rope.freq_base", r->theta);
    double grow = (double)nn_rope_freqs(r, 1, freqs);
    switch (r->kind) {
    case NN_ROPE_DEFAULT: return SNUG_OK;
    case NN_ROPE_LLAMA3: put_llama3(k, r); return SNUG_OK;
    case NN_ROPE_LINEAR:
        gguf_put_str(k->p, own(k, "rope.scaling.type"), SNUG_LIT("linear"));
        put_f(k, "rope.scaling.factor", r->factor);
        return SNUG_OK;
    case NN_ROPE_YARN: {
        double usual = r->factor > 1 ? 0.1 * log(r->factor) + 1.0 : 1.0;
        gguf_put_str(k->p, own(k, "rope.scaling.type"), SNUG_LIT("yarn"));
        put_f(k, "rope.scaling.factor", r->factor);
        put_u(k, "rope.scaling.original_context_length", r->original_max);
        if (r->beta_fast > 0) put_f(k, "rope.scaling.yarn_beta_fast", r->beta_fast);
        if (r->beta_slow > 0) put_f(k, "rope.scaling.yarn_beta_slow", r->beta_slow);
        if (fabs(grow / usual - 1.0) > 1e-6) put_f(k, "rope.scaling.attn_factor", grow / usual);
        return SNUG_OK;
    }
    case NN_ROPE_LONGROPE:
        put_u(k, "rope.scaling.original_context_length", r->original_max);
        put_f(k, "rope.scaling.attn_factor", grow);
        put_factors(k, "rope_factors_long.weight", r->long_factor, r->width / 2);
        put_factors(k, "rope_factors_short.weight", r->short_factor, r->width / 2);
        return SNUG_OK;
    default:
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "GGUF has no words for rotary positions that depend on the length");
    }
}

static void put_experts(keys *k, const model_decoder *d)
{
    if (d->experts == 0) return;
    put_u(k, "expert_count", d->experts);
    put_u(k, "expert_used_count", d->experts_used);
    put_u(k, "expert_feed_forward_length", d->expert_inner);
    if (d->shared_inner > 0) put_u(k, "expert_shared_feed_forward_length", d->shared_inner);
    if (!is(k, "llama")) gguf_put_bool(k->p, own(k, "expert_weights_norm"), d->normalise);
}

static void put_scales(keys *k, const model_shape *s)
{
    const model_decoder *d = &s->decoder;
    float                usual = 1.0f / sqrtf((float)s->head_dim);
    if (d->attention_cap != 0.0f) put_f(k, "attn_logit_softcapping", (double)d->attention_cap);
    if (d->logit_cap != 0.0f) put_f(k, "final_logit_softcapping", (double)d->logit_cap);
    if (d->attention_scale != 0.0f && fabsf(d->attention_scale / usual - 1.0f) > 1e-6f)
        put_f(k, "attention.scale", (double)d->attention_scale);
    if (is(k, "granite")) {
        put_f(k, "embedding_scale", d->embed_scale == 0.0f ? 1.0 : (double)d->embed_scale);
        put_f(k, "residual_scale", d->residual_scale == 0.0f ? 1.0 : (double)d->residual_scale);
        put_f(k, "attention.scale", (double)d->attention_scale);
        put_f(k, "logit_scale", d->logit_scale == 0.0f ? 1.0 : 1.0 / (double)d->logit_scale);
    } else if (d->logit_scale != 0.0f) {
        put_f(k, "logit_scale", (double)d->logit_scale);
    }
}

static void put_t5(keys *k, const model_shape *s)
{
    if (strcmp(k->r->model_type, "t5") != 0) return;
    put_f(k, "attention.layer_norm_epsilon", (double)s->eps);
    put_u(k, "attention.relative_buckets_count", s->buckets);
    if (s->head != MODEL_HEAD_SEQ2SEQ) return;
    put_u(k, "decoder_start_token_id", s->start);
    put_u(k, "decoder_block_count", s->decoder_layers);
}

/* Readers know which layers slide by the architecture alone. */
static bool slides_as_usual(const gguf_row *r, const model_shape *s)
{
    for (size_t i = 0; s->window > 0 && r->window_period > 0 && i < s->layers; i++)
        if (model_layer_is(s->sliding, i) != ((i + 1) % r->window_period != 0)) return false;
    return true;
}

/* What a shape may say that neither keys nor readers of the format know. */
static snug_status refuse_unsaid(const gguf_row *r, const model_shape *s, snug_err *err)
{
    const model_decoder *d = &s->decoder;
    const char          *what = NULL;
    if (d->both_ways) what = "attention both ways";
    if (d->temper != 0.0) what = "queries that grow with the position";
    if (d->chunked) what = "attention in chunks";
    if (strcmp(r->arch, "falcon") == 0 && (s->alibi != 0.0f || !d->parallel || s->mlp_bias))
        what = "Falcon with ALiBi, branches in turn or biases";
    if (!slides_as_usual(r, s)) what = "this order of sliding layers";
    if (d->scale_by_layer) what = "scores scaled by layer";
    if (s->relative && strcmp(r->model_type, "t5") == 0 && s->distance_max != 128)
        what = "relative positions past 128";
    if (what == NULL) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "GGUF files of the architecture %s cannot say: %s",
                     r->arch, what);
}

snug_status gguf_put_shape(gguf_plan *p, const gguf_row *r, const model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    keys        k = {.p = p, .r = r};
    char        eps[64];
    SNUG_TRY(refuse_unsaid(r, s, err));
    put_u(&k, "vocab_size", s->vocab);
    put_u(&k, "context_length", s->positions_max - s->position_first);
    put_u(&k, "embedding_length", s->hidden);
    put_u(&k, "block_count", s->layers);
    put_u(&k, "feed_forward_length", s->inner);
    put_u(&k, "attention.head_count", s->heads);
    put_u(&k, "attention.head_count_kv", s->kv_heads);
    put_u(&k, "attention.key_length", s->head_dim);
    put_u(&k, "attention.value_length", s->head_dim);
    (void)snprintf(eps, sizeof eps, "attention.%s", r->eps_key);
    put_f(&k, eps, (double)s->eps);
    SNUG_TRY(put_rope(&k, &s->rope, err));
    if (s->window > 0) put_u(&k, "attention.sliding_window", s->window);
    if ((r->flags & GGUF_LAYERED) != 0) put_f(&k, "rope.freq_base_swa", s->rope_local.theta);
    put_experts(&k, &s->decoder);
    put_scales(&k, s);
    if (is(&k, "stablelm") || is(&k, "gptneox"))
        gguf_put_bool(p, own(&k, "use_parallel_residual"), s->decoder.parallel);
    if (is(&k, "bert")) {
        gguf_put_bool(p, own(&k, "attention.causal"), false);
        gguf_put_u32(p, "tokenizer.ggml.token_type_count", s->types);
    }
    put_t5(&k, s);
done:
    return st;
}
