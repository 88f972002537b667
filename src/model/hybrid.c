/* SPDX-License-Identifier: Apache-2.0 */
/* model/hybrid.c - recurrent layers of decoders: which layers they are, their weights, what they
 * keep.
 *
 * For:     decoder.c, and the files of arch/ whose plans have a model_mixer.
 * Owns:    nothing; mixers live in the model's arena.
 * Threads: as the model load. */
#include "model/decoder_int.h"

#include <math.h>
#include <stdlib.h>

/* ---- configuration ---- */

void decoder_set_layer(model_shape *s, size_t layer, bool attends)
{
    model_layer_set(s->decoder.unattended, layer, !attends);
    model_layer_set(s->decoder.mixing, layer, !attends);
}

snug_status decoder_block_types(snug_json list, const char *key, model_shape *s, snug_err *err)
{
    static const struct {
        const char *name;
        bool        attends, mixes, mlp, sparse;
    } kinds[] = {
        {"attention", true, false, true, false},
        {"full_attention", true, false, true, false},
        {"linear_attention", false, true, true, false},
        {"mamba", false, true, true, false},
        {"mamba2", false, true, true, false},
        {"conv", false, true, true, false},
        {"mlp", false, false, true, false},
        {"moe", false, false, true, true},
    };
    if (snug_json_is(list, SNUG_JSON_ABSENT) || snug_json_is(list, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) < s->layers)
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must name %zu layers", key,
                         s->layers);
    for (size_t i = 0; i < s->layers; i++) {
        snug_slice name = SNUG_EMPTY;
        size_t     k = 0, n = sizeof kinds / sizeof kinds[0];
        (void)snug_json_to_str(snug_json_at(list, i), &name);
        while (k < n && !snug_eq_str(name, kinds[k].name)) k++;
        if (k == n)
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "config.json: layers of type \"%.*s\" are not supported",
                             SNUG_SLICE(name));
        model_layer_set(s->decoder.unattended, i, !kinds[k].attends);
        model_layer_set(s->decoder.mixing, i, kinds[k].mixes);
        model_layer_set(s->decoder.sparse, i, kinds[k].sparse);
    }
    return SNUG_OK;
}

snug_status decoder_auto_size(snug_json config, const char *key, size_t dflt, size_t max,
                              size_t *out, snug_err *err)
{
    snug_slice text;
    *out = dflt;
    if (snug_json_to_str(snug_json_get(config, key), &text) && snug_eq_str(text, "auto"))
        return SNUG_OK;
    return cfg_size(config, (cfg_range){key, NULL, dflt, 1, max}, out, err);
}

snug_status decoder_check_heads(const model_mixer *x, size_t inner, snug_err *err)
{
    if (x->heads * x->width != inner || inner > MODEL_INNER_MAX) /* both are far below overflow */
        return snug_fail(err, SNUG_EINVAL,
                         "config.json: %zu heads of %zu channels; the layers have %zu", x->heads,
                         x->width, inner);
    if (x->heads % x->groups != 0)
        return snug_fail(err, SNUG_EINVAL, "config.json: %zu heads are no multiple of %zu groups",
                         x->heads, x->groups);
    return SNUG_OK;
}

/* A bound: a number, or infinity in either of the ways it is written. */
static bool read_bound(snug_json v, double *out)
{
    snug_slice text = SNUG_EMPTY;
    if (snug_json_to_f64(v, out)) return true;
    if (!snug_json_to_str(snug_json_get(v, "__float__"), &text)) (void)snug_json_to_str(v, &text);
    *out = INFINITY;
    return snug_eq_str(text, "Infinity") || snug_eq_str(text, "inf");
}

snug_status decoder_step_limit(snug_json config, const char *key, model_mixer *x, snug_err *err)
{
    snug_json list = snug_json_get(config, key);
    double    low = 0.0, high = INFINITY;
    x->dt_low = 0.0f;
    x->dt_high = INFINITY;
    if (snug_json_is(list, SNUG_JSON_ABSENT) || snug_json_is(list, SNUG_JSON_NULL)) return SNUG_OK;
    if (snug_json_count(list) != 2 || !read_bound(snug_json_at(list, 0), &low) ||
        !read_bound(snug_json_at(list, 1), &high) || !(low >= 0.0 && low <= high))
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must be [low, high]", key);
    x->dt_low = (float)low;
    x->dt_high = (float)high;
    return SNUG_OK;
}

/* ---- weights ---- */

static const char *path_of(char out[160], const model_mixer *x, const char *part)
{
    (void)snprintf(out, 160, "%s.%s", x->path, part);
    return out;
}

/* A small vector or matrix as float32 of its own, through a function (NULL: as it is). */
static snug_status bind_values(const binder *b, tensor *out, unsigned rank, const size_t *shape,
                               const char *name, float (*f)(float))
{
    snug_status st = SNUG_OK;
    tensor      stored;
    float      *p = NULL;
    SNUG_TRY(bind_tensor(b, &stored, rank, shape, name));
    SNUG_TRY(bind_copy(b, &stored, TENSOR_F32, out));
    if (f == NULL) return SNUG_OK;
    size_t n = tensor_count(out);
    p = snug_alloc_try(tensor_size(out) + 1);
    if (p == NULL) SNUG_FAIL(b->err, SNUG_ENOMEM, "no memory for the weight %s", name);
    SNUG_TRY(tensor_get(out, p, tensor_size(out), b->err));
    for (size_t i = 0; i < n; i++) p[i] = f(p[i]);
    SNUG_TRY(tensor_put(out, p, tensor_size(out), b->err));
done:
    free(p);
    return st;
}

static float rate_of(float log_rate) { return -expf(log_rate); }

/* A value per head for each of its channels: [H] -> [H * width]. */
static snug_status bind_spread(const binder *b, const model_mixer *x, const char *name, tensor *out)
{
    snug_status st = SNUG_OK;
    tensor      each;
    SNUG_TRY(bind_tensor(b, &each, TENSOR_DIMS(x->heads), name));
    tensor wide = each; /* [H, width]: a stride of 0 repeats */
    wide.rank = 2;
    wide.shape[1] = x->width;
    wide.stride[1] = 0;
    SNUG_TRY(bind_copy(b, &wide, TENSOR_F32, out));
    *out = tensor_view(out, TENSOR_DIMS(x->heads * x->width));
done:
    return st;
}

/* "<path>.<name>.weight" [channels, 1, taps], seen as [channels, taps]. */
static snug_status bind_conv(const binder *b, const model_mixer *x, size_t channels,
                             const char *name, nn_conv *out)
{
    snug_status st = SNUG_OK;
    char        part[64], full[160];
    tensor      w;
    (void)snprintf(part, sizeof part, "%s.weight", name);
    SNUG_TRY(bind_tensor(b, &w, TENSOR_DIMS(channels, 1, x->taps), path_of(full, x, part)));
    out->w = tensor_view(&w, TENSOR_DIMS(channels, x->taps));
    (void)snprintf(part, sizeof part, "%s.bias", name);
    if (x->conv_bias)
        SNUG_TRY(bind_tensor(b, &out->b, TENSOR_DIMS(channels), path_of(full, x, part)));
done:
    return st;
}

static snug_status bind_short_conv(const binder *b, const model_mixer *x, size_t e, nn_mixer *m)
{
    snug_status st = SNUG_OK;
    char        full[160];
    SNUG_TRY(bind_linear(b, &m->in, e, 3 * e, x->bias, path_of(full, x, "in_proj")));
    SNUG_TRY(bind_conv(b, x, e, "conv", &m->conv));
    SNUG_TRY(bind_linear(b, &m->out, e, e, x->out_bias, path_of(full, x, "out_proj")));
done:
    return st;
}

/* Norms of dt, B and C: with weights (Jamba) or without (Falcon Mamba). */
static snug_status bind_inner_norms(const binder *b, const model_mixer *x, nn_mixer *m)
{
    snug_status st = SNUG_OK;
    char        full[160];
    nn_norm     bare = {.kind = NN_RMS_NORM, .eps = x->norms_eps};
    if (!x->norms) return SNUG_OK;
    m->dt_norm = m->b_norm = m->c_norm = bare;
    if (x->norms_weightless) return SNUG_OK;
    SNUG_TRY(bind_norm_weight(b, &m->dt_norm, NN_RMS_NORM, x->rank, x->norms_eps,
                              path_of(full, x, "dt_layernorm")));
    SNUG_TRY(bind_norm_weight(b, &m->b_norm, NN_RMS_NORM, x->n, x->norms_eps,
                              path_of(full, x, "b_layernorm")));
    SNUG_TRY(bind_norm_weight(b, &m->c_norm, NN_RMS_NORM, x->n, x->norms_eps,
                              path_of(full, x, "c_layernorm")));
done:
    return st;
}

static snug_status bind_mamba(const binder *b, const model_mixer *x, size_t e, nn_mixer *m)
{
    snug_status st = SNUG_OK;
    char        full[160];
    size_t      inner = x->heads;
    SNUG_TRY(bind_linear(b, &m->in, e, 2 * inner, x->bias, path_of(full, x, "in_proj")));
    SNUG_TRY(bind_conv(b, x, inner, "conv1d", &m->conv));
    SNUG_TRY(
        bind_linear(b, &m->choose, inner, x->rank + 2 * x->n, false, path_of(full, x, "x_proj")));
    SNUG_TRY(bind_inner_norms(b, x, m));
    SNUG_TRY(bind_linear(b, &m->steps, x->rank, inner, false, path_of(full, x, "dt_proj")));
    SNUG_TRY(
        bind_values(b, &m->dt_bias, TENSOR_DIMS(inner), path_of(full, x, "dt_proj.bias"), NULL));
    SNUG_TRY(
        bind_values(b, &m->rate, TENSOR_DIMS(inner, x->n), path_of(full, x, "A_log"), rate_of));
    SNUG_TRY(bind_values(b, &m->skip, TENSOR_DIMS(inner), path_of(full, x, "D"), NULL));
    SNUG_TRY(bind_linear(b, &m->out, inner, e, x->out_bias, path_of(full, x, "out_proj")));
done:
    return st;
}

/* Factors of the parts of what `in` gives, as one row. */
static snug_status make_in_scale(const binder *b, const model_mixer *x, size_t rows, tensor *out)
{
    snug_status st = SNUG_OK;
    size_t      inner = x->heads * x->width, gn = x->groups * x->n,
           size[5] = {inner, inner, gn, gn, x->heads}, at = 0;
    bool   any = false;
    tensor row;
    float *p = NULL;
    for (size_t i = 0; i < 5; i++) any |= x->scale[i] != 0.0f && x->scale[i] != 1.0f;
    if (!any) return SNUG_OK;
    p = snug_alloc_try(rows * sizeof *p);
    if (p == NULL) SNUG_FAIL(b->err, SNUG_ENOMEM, "no memory for %zu factors", rows);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < size[i]; k++) p[at++] = x->scale[i];
    SNUG_TRY(tensor_new_from(b->m->dev, TENSOR_F32, TENSOR_DIMS(rows), p, false, &row, b->err));
    st = bind_copy(b, &row, TENSOR_F32, out); /* the model's */
    tensor_free(&row);
done:
    free(p);
    return st;
}

static snug_status bind_mamba2(const binder *b, const model_mixer *x, size_t e, nn_mixer *m)
{
    snug_status st = SNUG_OK;
    char        full[160];
    size_t      inner = x->heads * x->width, mixed = inner + 2 * x->groups * x->n,
           rows = inner + mixed + x->heads;
    SNUG_TRY(bind_linear(b, &m->in, e, rows, x->bias, path_of(full, x, "in_proj")));
    SNUG_TRY(make_in_scale(b, x, rows, &m->in_scale));
    SNUG_TRY(bind_conv(b, x, mixed, "conv1d", &m->conv));
    SNUG_TRY(bind_values(b, &m->dt_bias, TENSOR_DIMS(x->heads), path_of(full, x, "dt_bias"), NULL));
    SNUG_TRY(bind_values(b, &m->rate, TENSOR_DIMS(x->heads), path_of(full, x, "A_log"), rate_of));
    m->rate = tensor_view(&m->rate, TENSOR_DIMS(x->heads, 1));
    SNUG_TRY(bind_spread(b, x, path_of(full, x, "D"), &m->skip));
    if (x->normed) {
        SNUG_TRY(bind_norm_weight(b, &m->norm, NN_RMS_NORM, inner, x->norms_eps,
                                  path_of(full, x, "norm")));
        if (x->norm_groups > 1) /* an elementwise product: float32 */
            SNUG_TRY(bind_copy(b, &m->norm.w, TENSOR_F32, &m->norm.w));
    }
    SNUG_TRY(bind_linear(b, &m->out, inner, e, x->out_bias, path_of(full, x, "out_proj")));
done:
    return st;
}

static snug_status bind_delta(const binder *b, const model_mixer *x, size_t e, nn_mixer *m)
{
    snug_status st = SNUG_OK;
    char        full[160];
    size_t      keys = x->groups * x->n, values = x->heads * x->width;
    if (x->packed) {
        SNUG_TRY(bind_linear(b, &m->in, e, 2 * keys + 2 * values, false,
                             path_of(full, x, "in_proj_qkvz")));
        SNUG_TRY(bind_linear(b, &m->ba, e, 2 * x->heads, false, path_of(full, x, "in_proj_ba")));
    } else {
        SNUG_TRY(
            bind_linear(b, &m->in, e, 2 * keys + values, false, path_of(full, x, "in_proj_qkv")));
        SNUG_TRY(bind_linear(b, &m->gate, e, values, false, path_of(full, x, "in_proj_z")));
        SNUG_TRY(bind_linear(b, &m->choose, e, x->heads, false, path_of(full, x, "in_proj_b")));
        SNUG_TRY(bind_linear(b, &m->steps, e, x->heads, false, path_of(full, x, "in_proj_a")));
    }
    SNUG_TRY(bind_conv(b, x, 2 * keys + values, "conv1d", &m->conv));
    SNUG_TRY(bind_values(b, &m->dt_bias, TENSOR_DIMS(x->heads), path_of(full, x, "dt_bias"), NULL));
    SNUG_TRY(bind_values(b, &m->rate, TENSOR_DIMS(x->heads), path_of(full, x, "A_log"), rate_of));
    SNUG_TRY(bind_norm_weight(b, &m->norm, NN_RMS_NORM, x->width, x->norms_eps,
                              path_of(full, x, "norm")));
    SNUG_TRY(bind_linear(b, &m->out, values, e, false, path_of(full, x, "out_proj")));
done:
    return st;
}

snug_status bind_mixer(const binder *b, nn_mixer **out)
{
    static snug_status (*const bind[])(const binder *, const model_mixer *, size_t, nn_mixer *) = {
        [NN_MIX_CONV] = bind_short_conv,
        [NN_MIX_MAMBA] = bind_mamba,
        [NN_MIX_MAMBA2] = bind_mamba2,
        [NN_MIX_DELTA] = bind_delta,
    };
    const model_mixer *x = &b->m->shape.decoder.mixer;
    nn_mixer          *m = SNUG_NEW(b->m->arena, nn_mixer);
    *m = (nn_mixer){.kind = x->kind,
                    .heads = x->heads,
                    .width = x->width,
                    .n = x->n,
                    .groups = x->groups,
                    .rank = x->rank,
                    .act = x->act,
                    .norm_first = x->norm_first,
                    .norm_groups = x->norm_groups,
                    .dt_low = x->dt_low,
                    .dt_high = x->dt_high};
    *out = m;
    return bind[x->kind](b, x, b->m->shape.hidden, m);
}

void decoder_keeps(const model *m, nn_keep *each)
{
    const model_shape *s = &m->shape;
    const decoder     *n = m->net;
    for (size_t i = 0; i < s->layers; i++) {
        const decoder_layer *l = &n->layers[i];
        each[i] = (nn_keep){0};
        if (l->mixer != NULL) each[i] = nn_mixer_keeps(l->mixer);
        if (l->unattended) continue;
        each[i].heads = s->kv_heads;
        each[i].k_width = s->head_dim;
        each[i].v_width = s->value_dim == 0 ? s->head_dim : s->value_dim;
    }
}
