/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/hybrid.c - decoders that mix attention with recurrent layers: Jamba, Falcon-H1,
 * Granite 4 (hybrid), LFM2, Nemotron-H.
 *
 * Jamba: Mamba in most layers, attention without positions in some, experts in every other.
 * Falcon-H1: Mamba 2 and attention side by side in every layer, with multipliers everywhere.
 * Granite: Mamba 2 or attention, experts and a shared MLP. LFM2: gated short convolutions or
 * attention. Nemotron-H: a layer is one of Mamba 2, attention without positions, an MLP or experts,
 * alone. */
#include "model/decoder_int.h"

#include <math.h>

/* Mamba 2 under the names of the hybrids: mamba_n_heads, mamba_d_head, .. */
static snug_status parse_mamba2(snug_json config, model_shape *s, size_t heads, size_t inner,
                                snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_mixer *x = &s->decoder.mixer;
    x->kind = NN_MIX_MAMBA2;
    x->path = "mamba";
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_n_heads", NULL, heads, 1, MODEL_INNER_MAX},
                      &x->heads, err));
    SNUG_TRY(decoder_auto_size(config, "mamba_d_head", inner / x->heads, MODEL_HEAD_DIM_MAX,
                               &x->width, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_n_groups", NULL, 1, 1, 4096}, &x->groups, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_d_state", NULL, 256, 1, 4096}, &x->n, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_d_conv", NULL, 4, 1, 64}, &x->taps, err));
    SNUG_TRY(cfg_bool(config, "mamba_conv_bias", true, &x->conv_bias, err));
    SNUG_TRY(cfg_bool(config, "mamba_proj_bias", false, &x->bias, err));
    SNUG_TRY(decoder_step_limit(config, "time_step_limit", x, err));
    SNUG_TRY(decoder_check_heads(x, inner, err));
    x->out_bias = x->bias;
    x->act = s->act;
    x->norms_eps = s->eps;
done:
    return st;
}

static void no_positions(model_shape *s)
{
    s->rope = (nn_rope){0};
    s->relative = true;
}

/* ---- Jamba ---- */

/* Layers with i % period == offset. */
static snug_status parse_period(snug_json config, const char *period_key, const char *offset_key,
                                size_t period, size_t offset, size_t out[2], snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(
        cfg_size(config, (cfg_range){period_key, NULL, period, 1, MODEL_LAYERS_MAX}, &out[0], err));
    SNUG_TRY(cfg_size(config, (cfg_range){offset_key, NULL, offset, 0, out[0] - 1}, &out[1], err));
done:
    return st;
}

static snug_status jamba_mixer(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_mixer *x = &s->decoder.mixer;
    size_t       expand;
    x->kind = NN_MIX_MAMBA;
    x->path = "mamba";
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_expand", NULL, 2, 1, 64}, &expand, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_d_state", NULL, 16, 1, 4096}, &x->n, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_d_conv", NULL, 4, 1, 64}, &x->taps, err));
    SNUG_TRY(decoder_auto_size(config, "mamba_dt_rank", (s->hidden + 15) / 16, MODEL_HIDDEN_MAX,
                               &x->rank, err));
    SNUG_TRY(cfg_bool(config, "mamba_conv_bias", true, &x->conv_bias, err));
    SNUG_TRY(cfg_bool(config, "mamba_proj_bias", false, &x->bias, err));
    x->out_bias = x->bias;
    x->heads = expand * s->hidden;
    x->width = x->groups = 1;
    x->norms = true;
    x->norms_eps = s->eps;
    x->dt_high = INFINITY;
    x->act = s->act;
done:
    return st;
}

static snug_status jamba(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         attends[2], experts[2];
    SNUG_TRY(jamba_mixer(config, s, err));
    SNUG_TRY(parse_period(config, "attn_layer_period", "attn_layer_offset", 8, 4, attends, err));
    SNUG_TRY(
        parse_period(config, "expert_layer_period", "expert_layer_offset", 2, 1, experts, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_experts", NULL, 16, 1, NN_EXPERTS_MAX}, &d->experts,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_experts_per_tok", NULL, 2, 1, NN_EXPERTS_USED_MAX},
                      &d->experts_used, err));
    if (d->experts_used > d->experts) d->experts_used = d->experts;
    for (size_t i = 0; i < s->layers; i++) {
        decoder_set_layer(s, i, i % attends[0] == attends[1]);
        model_layer_set(d->sparse, i, d->experts > 1 && i % experts[0] == experts[1]);
    }
    d->qkv_bias = d->o_bias = s->mlp_bias = false;
    d->last_norm = "final_layernorm";
    d->before_mlp = "pre_ff_layernorm";
    d->gate = "feed_forward.gate_proj";
    d->up = "feed_forward.up_proj";
    d->down = "feed_forward.down_proj";
    d->block = "feed_forward";
    d->router = "router";
    d->list = "experts";
    d->expert_gate = "gate_proj", d->expert_up = "up_proj", d->expert_down = "down_proj";
    d->expert_inner = s->inner;
    d->route = NN_ROUTE_SOFTMAX;
    no_positions(s);
done:
    return st;
}

/* ---- Falcon-H1 ---- */

/* Factors, `n` of them under one key; absent: all one. */
static snug_status parse_factors(snug_json config, const char *key, size_t n, float *out,
                                 snug_err *err)
{
    snug_json list = snug_json_get(config, key);
    bool      given = !snug_json_is(list, SNUG_JSON_ABSENT) && !snug_json_is(list, SNUG_JSON_NULL);
    if (given && snug_json_count(list) != n)
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must hold %zu numbers", key, n);
    for (size_t i = 0; i < n; i++) {
        double v = 1.0;
        if (given && (!snug_json_to_f64(snug_json_at(list, i), &v) || !(fabs(v) <= 1e6)))
            return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\"[%zu] is no factor", key, i);
        out[i] = (float)v;
    }
    return SNUG_OK;
}

static snug_status parse_multipliers(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    double         embed, head, key, in, out, ssm_in, ssm_out;
    float          mlp[2];
    SNUG_TRY(cfg_real(config, "embedding_multiplier", 1.0, -1e6, 1e6, &embed, err));
    SNUG_TRY(cfg_real(config, "lm_head_multiplier", 1.0, -1e6, 1e6, &head, err));
    SNUG_TRY(cfg_real(config, "key_multiplier", 1.0, -1e6, 1e6, &key, err));
    SNUG_TRY(cfg_real(config, "attention_in_multiplier", 1.0, -1e6, 1e6, &in, err));
    SNUG_TRY(cfg_real(config, "attention_out_multiplier", 1.0, -1e6, 1e6, &out, err));
    SNUG_TRY(cfg_real(config, "ssm_in_multiplier", 1.0, -1e6, 1e6, &ssm_in, err));
    SNUG_TRY(cfg_real(config, "ssm_out_multiplier", 1.0, -1e6, 1e6, &ssm_out, err));
    SNUG_TRY(parse_factors(config, "mlp_multipliers", 2, mlp, err));
    SNUG_TRY(parse_factors(config, "ssm_multipliers", 5, d->mixer.scale, err));
    if (embed == 0.0 || head == 0.0 || key == 0.0 || in == 0.0 || out == 0.0 || ssm_in == 0.0 ||
        ssm_out == 0.0 || mlp[0] == 0.0f || mlp[1] == 0.0f)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: a multiplier of 0 is not supported");
    d->embed_scale = (float)embed;
    d->logit_scale = (float)head;
    d->attention_scale = (float)key / sqrtf((float)s->head_dim); /* keys times it: scores too */
    d->attention_in = (float)in, d->attention_out = (float)out;
    d->mixer_in = (float)ssm_in, d->mixer_out = (float)ssm_out;
    d->gate_scale = mlp[0], d->mlp_out = mlp[1];
done:
    return st;
}

static snug_status falcon_h1(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    model_mixer   *x = &d->mixer;
    size_t         expand, inner;
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_expand", NULL, 2, 1, 64}, &expand, err));
    bool null = snug_json_is(snug_json_get(config, "mamba_d_ssm"), SNUG_JSON_NULL);
    SNUG_TRY(cfg_size(
        config,
        (cfg_range){"mamba_d_ssm", NULL, null ? expand * s->hidden : 1024, 1, MODEL_INNER_MAX},
        &inner, err));
    SNUG_TRY(parse_mamba2(config, s, 128, inner, err));
    SNUG_TRY(cfg_bool(config, "mamba_rms_norm", false, &x->normed, err));
    SNUG_TRY(cfg_bool(config, "mamba_norm_before_gate", true, &x->norm_first, err));
    SNUG_TRY(cfg_bool(config, "projectors_bias", false, &x->out_bias, err));
    x->norm_groups = x->groups;
    SNUG_TRY(parse_multipliers(config, s, err));
    for (size_t i = 0; i < s->layers; i++) model_layer_set(d->mixing, i, true); /* beside it */
    d->before_mlp = "pre_ff_layernorm";
    d->last_norm = "final_layernorm";
    d->gate = "feed_forward.gate_proj";
    d->up = "feed_forward.up_proj";
    d->down = "feed_forward.down_proj";
done:
    return st;
}

/* ---- Granite 4 ---- */

/* The experts of GraniteMoE beside an MLP all tokens see; without experts that MLP alone. */
static snug_status granite_experts(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         shared;
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"shared_intermediate_size", NULL, 1024, 1, MODEL_INNER_MAX},
                      &shared, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_local_experts", NULL, 8, 0, NN_EXPERTS_MAX},
                      &d->experts, err));
    if (d->experts == 0) {
        d->gate_up = "shared_mlp.input_linear";
        d->down = "shared_mlp.output_linear";
        s->inner = shared;
        s->mlp_bias = false;
        return SNUG_OK;
    }
    SNUG_TRY(cfg_size(config, (cfg_range){"num_experts_per_tok", NULL, 2, 1, NN_EXPERTS_USED_MAX},
                      &d->experts_used, err));
    if (d->experts_used > d->experts)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu experts per token of %zu", d->experts_used,
                  d->experts);
    d->block = "block_sparse_moe";
    d->router = "router.layer";
    d->stacked = true;
    d->expert_gate = "input_linear.weight";
    d->expert_down = "output_linear.weight";
    d->expert_inner = s->inner;
    d->route = NN_ROUTE_TOP_SOFTMAX;
    d->shared_gate_up = "shared_mlp.input_linear";
    d->shared_down = "shared_mlp.output_linear";
    d->shared_inner = shared;
done:
    return st;
}

static snug_status granite_hybrid(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         expand;
    snug_slice     positions;
    SNUG_TRY(decoder_granite(config, s, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_expand", NULL, 2, 1, 64}, &expand, err));
    SNUG_TRY(parse_mamba2(config, s, 128, expand * s->hidden, err));
    d->mixer.normed = true;
    SNUG_TRY(cfg_text(config, "position_embedding_type", "nope", &positions, err));
    if (snug_eq_str(positions, "nope"))
        no_positions(s);
    else if (!snug_eq_str(positions, "rope"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"position_embedding_type\" \"%.*s\" is not supported",
                  SNUG_SLICE(positions));
    for (size_t i = 0; i < s->layers; i++) decoder_set_layer(s, i, false);
    SNUG_TRY(decoder_block_types(snug_json_get(config, "layers_block_type"), "layers_block_type", s,
                                 err));
    SNUG_TRY(decoder_block_types(snug_json_get(config, "layer_types"), "layer_types", s, err));
    SNUG_TRY(granite_experts(config, s, err));
    for (size_t i = 0; i < s->layers; i++) model_layer_set(d->sparse, i, true);
done:
    return st;
}

/* ---- LFM2 ---- */

/* The width an MLP has in the end: two thirds, times a factor, up to the next multiple. */
static snug_status lfm2_inner(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        adjust;
    size_t      multiple;
    double      factor;
    SNUG_TRY(cfg_size(config, (cfg_range){"block_ff_dim", NULL, s->inner, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_bool(config, "block_auto_adjust_ff_dim", true, &adjust, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"block_multiple_of", NULL, 256, 1, MODEL_INNER_MAX},
                      &multiple, err));
    SNUG_TRY(cfg_real(config, "block_ffn_dim_multiplier", 1.0, 1e-3, 1e3, &factor, err));
    if (!adjust) return SNUG_OK;
    s->inner = 2 * s->inner / 3;
    if (!snug_json_is(snug_json_get(config, "block_ffn_dim_multiplier"), SNUG_JSON_NULL)) {
        double wide = factor * (double)s->inner;
        if (wide > MODEL_INNER_MAX - (double)multiple)
            SNUG_FAIL(err, SNUG_ELIMIT, "config.json: MLPs wider than %d", MODEL_INNER_MAX);
        s->inner = ((size_t)wide + multiple - 1) / multiple * multiple;
    }
    if (s->inner == 0) SNUG_FAIL(err, SNUG_EINVAL, "config.json: MLPs of no width");
done:
    return st;
}

static snug_status lfm2_layers(snug_json config, model_shape *s, snug_err *err)
{
    snug_json list = snug_json_get(config, "full_attn_idxs");
    bool      given = snug_json_is(list, SNUG_JSON_ARRAY);
    for (size_t i = 0; i < s->layers; i++) decoder_set_layer(s, i, !given);
    for (size_t i = 0; given && i < snug_json_count(list); i++) {
        uint64_t layer;
        if (!snug_json_to_u64(snug_json_at(list, i), &layer) || layer >= s->layers)
            return snug_fail(err, SNUG_EINVAL, "config.json: \"full_attn_idxs\"[%zu] is no layer",
                             i);
        decoder_set_layer(s, (size_t)layer, true);
    }
    return decoder_block_types(snug_json_get(config, "layer_types"), "layer_types", s, err);
}

static snug_status lfm2_common(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    model_mixer   *x = &d->mixer;
    SNUG_TRY(lfm2_layers(config, s, err));
    SNUG_TRY(cfg_bool(config, "tie_embedding", s->tied, &s->tied, err));
    x->kind = NN_MIX_CONV;
    x->path = "conv";
    SNUG_TRY(cfg_size(config, (cfg_range){"conv_L_cache", NULL, 3, 1, 64}, &x->taps, err));
    SNUG_TRY(cfg_bool(config, "conv_bias", false, &x->bias, err));
    x->conv_bias = x->out_bias = x->bias;
    s->act = TENSOR_ACT_SILU;
    d->qkv_bias = d->o_bias = s->mlp_bias = false;
    d->head_norm = NN_HEADS_EACH;
    d->q_norm = "self_attn.q_layernorm";
    d->k_norm = "self_attn.k_layernorm";
    d->o = "self_attn.out_proj";
    d->before_attention = "operator_norm";
    d->before_mlp = "ffn_norm";
    d->last_norm = "embedding_norm";
    d->gate = "feed_forward.w1", d->up = "feed_forward.w3", d->down = "feed_forward.w2";
done:
    return st;
}

static snug_status lfm2(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = lfm2_inner(config, s, err);
    return st != SNUG_OK ? st : lfm2_common(config, s, err);
}

static snug_status lfm2_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         dense;
    double         scale;
    bool           corrected;
    SNUG_TRY(lfm2_common(config, s, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_experts", NULL, 32, 1, NN_EXPERTS_MAX}, &d->experts,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_experts_per_tok", NULL, 4, 1, NN_EXPERTS_USED_MAX},
                      &d->experts_used, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 1792, 1, MODEL_INNER_MAX},
                      &d->expert_inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_dense_layers", NULL, 2, 0, MODEL_LAYERS_MAX}, &dense,
                      err));
    SNUG_TRY(cfg_bool(config, "use_expert_bias", true, &corrected, err));
    SNUG_TRY(cfg_bool(config, "norm_topk_prob", true, &d->normalise, err));
    SNUG_TRY(cfg_real(config, "routed_scaling_factor", 1.0, 0.0, 1e6, &scale, err));
    if (d->experts_used > d->experts)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu experts per token of %zu", d->experts_used,
                  d->experts);
    d->route_scale = (float)scale;
    d->route = NN_ROUTE_SIGMOID;
    d->block = "feed_forward";
    d->router = "gate";
    d->choice = corrected ? "expert_bias" : NULL;
    d->list = "experts";
    d->expert_gate = "w1", d->expert_up = "w3", d->expert_down = "w2";
    for (size_t i = 0; i < s->layers; i++) model_layer_set(d->sparse, i, i >= dense);
done:
    return st;
}

/* ---- Nemotron-H ---- */

/* The old way to name layers: a letter each. */
static snug_status nemotron_pattern(snug_slice pattern, model_shape *s, snug_err *err)
{
    if (pattern.len == 0 || pattern.len > MODEL_LAYERS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "config.json: \"hybrid_override_pattern\" of %zu layers",
                         pattern.len);
    s->layers = pattern.len;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c != 'M' && c != '*' && c != '-' && c != 'E')
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "config.json: layers of type \"%c\" are not supported", c);
        model_layer_set(s->decoder.unattended, i, c != '*');
        model_layer_set(s->decoder.mixing, i, c == 'M');
        model_layer_set(s->decoder.sparse, i, c == 'E');
    }
    return SNUG_OK;
}

static snug_status nemotron_layers(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    snug_json      list = snug_json_get(config, "layers_block_type");
    snug_slice     pattern;
    if (!snug_json_is(list, SNUG_JSON_ARRAY)) list = snug_json_get(config, "layer_types");
    if (snug_json_is(list, SNUG_JSON_ARRAY)) { /* the list says how many */
        s->layers = snug_json_count(list);
        if (s->layers == 0 || s->layers > MODEL_LAYERS_MAX)
            SNUG_FAIL(err, SNUG_ELIMIT, "config.json: %zu layers", s->layers);
        SNUG_TRY(decoder_block_types(list, "layers_block_type", s, err));
    } else {
        SNUG_TRY(cfg_text(config, "hybrid_override_pattern", "", &pattern, err));
        SNUG_TRY(nemotron_pattern(pattern, s, err));
    }
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(d->bare, i,
                        !model_layer_is(d->unattended, i) || model_layer_is(d->mixing, i));
done:
    return st;
}

static snug_status nemotron_mixer(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_mixer *x = &s->decoder.mixer;
    double       low;
    x->kind = NN_MIX_MAMBA2;
    x->path = "mixer";
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_num_heads", NULL, 128, 1, MODEL_INNER_MAX},
                      &x->heads, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"mamba_head_dim", NULL, 64, 1, MODEL_HEAD_DIM_MAX},
                      &x->width, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_groups", NULL, 8, 1, 4096}, &x->groups, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"ssm_state_size", NULL, 128, 1, 4096}, &x->n, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"conv_kernel", NULL, 4, 1, 64}, &x->taps, err));
    SNUG_TRY(cfg_bool(config, "use_conv_bias", true, &x->conv_bias, err));
    SNUG_TRY(cfg_bool(config, "use_bias", false, &x->bias, err));
    SNUG_TRY(cfg_act(config, "mamba_hidden_act", "silu", &x->act, err));
    SNUG_TRY(cfg_real(config, "time_step_min", 0.001, 0.0, 1e6, &low, err));
    x->dt_low = (float)low; /* the reference does not look at time_step_limit */
    x->dt_high = INFINITY;
    SNUG_TRY(decoder_check_heads(x, x->heads * x->width, err));
    x->out_bias = x->bias;
    x->normed = true;
    x->norm_groups = x->groups;
    x->norms_eps = s->eps;
done:
    return st;
}

static snug_status nemotron_h(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"moe_latent_size", "sliding_window", "attention_bias",
                                          NULL};
    snug_status              st = SNUG_OK;
    model_decoder           *d = &s->decoder;
    size_t                   shared;
    SNUG_TRY(cfg_refuse(config, refused, err));
    SNUG_TRY(decoder_deepseek_experts(config, s, 1, 1, 1.0, MODEL_LAYERS_MAX, err));
    SNUG_TRY(nemotron_layers(config, s, err));
    SNUG_TRY(nemotron_mixer(config, s, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"moe_shared_expert_intermediate_size", NULL, 7688, 1, MODEL_INNER_MAX},
        &shared, err));
    d->shared_inner = shared;
    d->embed = "embeddings";
    d->before_attention = d->before_mlp = "norm"; /* the one norm of a layer */
    d->last_norm = "norm_f";
    d->attention = "mixer";
    d->o = "mixer.o_proj";
    d->qkv_bias = d->o_bias = false;
    d->gate = NULL, d->up = "mixer.up_proj", d->down = "mixer.down_proj";
    d->block = "mixer";
    d->expert_gate = NULL;
    no_positions(s);
done:
    return st;
}

static const decoder_family
    jamba_family = {{65536, 4096, 14336, 32, 32, 8, 0, 262144, .eps = 1e-6, .theta = 1e4}, jamba},
    falcon_family = {{128000, 4096, 14336, 32, 32, 8, 0, 8192, .eps = 1e-5, .theta = 1e4},
                     falcon_h1},
    granite_family = {{32000, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-6, .theta = 1e4},
                      granite_hybrid},
    lfm2_family = {{65536, 2560, 12288, 32, 32, 8, 0, 128000, .eps = 1e-5, .theta = 1e6,
                    .eps_key = "norm_eps", .tied = true},
                   lfm2},
    lfm2_moe_family = {{65536, 2048, 7168, 32, 32, 8, 0, 128000, .eps = 1e-5, .theta = 1e6,
                        .eps_key = "norm_eps", .tied = true},
                       lfm2_moe},
    nemotron_family = {{131072, 4096, 21504, 52, 32, 8, 128, 4096, .eps = 1e-5, .theta = 1e4,
                        .eps_key = "layer_norm_epsilon", .act_key = "mlp_hidden_act",
                        .act = "relu2"},
                       nemotron_h};

const model_arch arch_hybrid[] = {
    DECODER_ROW("jamba", Jamba, jamba_family),
    DECODER_ROW("falcon_h1", FalconH1, falcon_family),
    DECODER_ROW("granitemoehybrid", GraniteMoeHybrid, granite_family),
    DECODER_ROW("lfm2", Lfm2, lfm2_family),
    DECODER_ROW("lfm2_moe", Lfm2Moe, lfm2_moe_family),
    {.model_type = "nemotron_h",
     .prefix = "backbone.",
     .dialect = &nemotron_family,
     .classes = DECODER_CLASSES(NemotronH),
     .parse = decoder_parse,
     .bind = decoder_bind,
     .forward = decoder_forward,
     .keeps = decoder_keeps},
    {0},
};
