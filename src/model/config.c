/* SPDX-License-Identifier: Apache-2.0 */
/* model/config.c - reading config.json, in the dialects of transformers 4 and 5.
 *
 * For:     model_parse and the architectures' parse functions.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   a value that would change what a model computes is either understood or refused by name;
 *          what only matters for training or for other programs is passed over. */
#include "model/model_int.h"

#include <math.h>

snug_status cfg_size(snug_json config, cfg_range r, size_t *out, snug_err *err)
{
    snug_json   v = snug_json_get(config, r.key);
    const char *key = r.key;
    if (r.alias != NULL && (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL))) {
        v = snug_json_get(config, r.alias);
        if (!snug_json_is(v, SNUG_JSON_ABSENT)) key = r.alias;
    }
    uint64_t n = r.dflt; /* may be derived from other members, so it is checked too */
    if (!snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL) &&
        !snug_json_to_u64(v, &n))
        return snug_fail(err, SNUG_EINVAL,
                         "config.json: \"%s\" must be a whole number, not negative", key);
    if (n < r.min || n > r.max)
        return snug_fail(err, SNUG_ELIMIT,
                         "config.json: \"%s\" is %llu; it must lie between %zu and %zu", key,
                         (unsigned long long)n, r.min, r.max);
    *out = (size_t)n;
    return SNUG_OK;
}

snug_status cfg_real(snug_json obj, const char *key, double dflt, double min, double max,
                     double *out, snug_err *err)
{
    snug_json v = snug_json_get(obj, key);
    *out = dflt;
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_f64(v, out))
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must be a number", key);
    if (!(*out >= min && *out <= max))
        return snug_fail(err, SNUG_ELIMIT,
                         "config.json: \"%s\" is %g; it must lie between %g and %g", key, *out, min,
                         max);
    return SNUG_OK;
}

snug_status cfg_bool(snug_json config, const char *key, bool dflt, bool *out, snug_err *err)
{
    snug_json v = snug_json_get(config, key);
    *out = dflt;
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_bool(v, out))
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must be true or false", key);
    return SNUG_OK;
}

snug_status cfg_text(snug_json config, const char *key, const char *dflt, snug_slice *out,
                     snug_err *err)
{
    snug_json v = snug_json_get(config, key);
    *out = snug_str(dflt);
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_str(v, out))
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must be a string", key);
    return SNUG_OK;
}

snug_status cfg_act(snug_json config, const char *key, const char *dflt, tensor_act *out,
                    snug_err *err)
{
    static const struct {
        const char *name;
        tensor_act  act;
    } names[] = {
        {"silu", TENSOR_ACT_SILU},
        {"swish", TENSOR_ACT_SILU},
        {"gelu", TENSOR_ACT_GELU},
        {"gelu_python", TENSOR_ACT_GELU},
        {"gelu_new", TENSOR_ACT_GELU_TANH},
        {"gelu_pytorch_tanh", TENSOR_ACT_GELU_TANH},
        {"gelu_fast", TENSOR_ACT_GELU_TANH},
        {"gelu_python_tanh", TENSOR_ACT_GELU_TANH},
        {"quick_gelu", TENSOR_ACT_QUICK_GELU},
        {"relu", TENSOR_ACT_RELU},
        {"tanh", TENSOR_ACT_TANH},
        {"sigmoid", TENSOR_ACT_SIGMOID},
        {"relu2", TENSOR_ACT_RELU2},
    };
    snug_slice  name;
    snug_status st = cfg_text(config, key, dflt, &name, err);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!snug_eq_str(name, names[i].name)) continue;
        *out = names[i].act;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "config.json: \"%s\" \"%.*s\" is not supported", key,
                     SNUG_SLICE(name));
}

snug_status cfg_refuse(snug_json config, const char *const *keys, snug_err *err)
{
    for (; *keys != NULL; keys++) {
        snug_json  v = snug_json_get(config, *keys);
        bool       on = true;
        double     n;
        snug_slice text;
        if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) continue;
        if (snug_json_to_bool(v, &on) && !on) continue;
        if (snug_json_to_f64(v, &n) && n == 0) continue;
        if (snug_json_to_str(v, &text) && text.len == 0) continue;
        return snug_fail(err, SNUG_EUNSUPPORTED, "config.json: \"%s\" is not supported", *keys);
    }
    return SNUG_OK;
}

snug_status cfg_heads(model_shape *s, snug_err *err)
{
    if (s->hidden % s->heads != 0)
        return snug_fail(err, SNUG_EINVAL,
                         "config.json: a width of %zu is no multiple of %zu heads", s->hidden,
                         s->heads);
    s->kv_heads = s->heads;
    s->head_dim = s->hidden / s->heads;
    if (s->head_dim > MODEL_HEAD_DIM_MAX)
        return snug_fail(err, SNUG_ELIMIT, "config.json: heads of %zu dimensions; at most %d",
                         s->head_dim, MODEL_HEAD_DIM_MAX);
    return SNUG_OK;
}

snug_status cfg_layer_types(snug_json config, model_shape *s, snug_err *err)
{
    snug_json list = snug_json_get(config, "layer_types");
    if (snug_json_is(list, SNUG_JSON_ABSENT) || snug_json_is(list, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) < s->layers)
        return snug_fail(err, SNUG_EINVAL, "config.json: \"layer_types\" must name %zu layers",
                         s->layers);
    for (size_t i = 0; i < s->layers; i++) {
        snug_slice name = SNUG_EMPTY;
        (void)snug_json_to_str(snug_json_at(list, i), &name);
        bool sliding =
            snug_eq_str(name, "sliding_attention") || snug_eq_str(name, "chunked_attention");
        if (!sliding && !snug_eq_str(name, "full_attention"))
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "config.json: layers of type \"%.*s\" are not supported",
                             SNUG_SLICE(name));
        model_layer_set(s->sliding, i, sliding);
    }
    return SNUG_OK;
}

snug_status cfg_labels(snug_json config, size_t *out, snug_err *err)
{
    snug_json names = snug_json_get(config, "id2label");
    size_t    dflt = 2;
    if (snug_json_is(names, SNUG_JSON_OBJECT)) dflt = snug_json_count(names);
    return cfg_size(config, (cfg_range){"num_labels", NULL, dflt, 1, MODEL_LABELS_MAX}, out, err);
}

/* ---- rotary positions ---- */

/* A key whose meaning is not known could change every angle. */
static snug_status refuse_unknown_rope(snug_json rope, bool sections, snug_err *err)
{
    static const char *const known[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "original_max_position_embeddings",
                                        "attention_factor",
                                        "beta_fast",
                                        "beta_slow",
                                        "mscale",
                                        "mscale_all_dim",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "truncate",
                                        "partial_rotary_factor",
                                        "max_position_embeddings",
                                        "short_factor",
                                        "long_factor",
                                        "llama_4_scaling_beta"};
    for (snug_json_iter it = snug_json_iter_of(rope); snug_json_next(&it);) {
        /* A text has one stream of positions: the sections of three turn alike. */
        bool found = sections && (snug_eq_str(it.key, "mrope_section") ||
                                  snug_eq_str(it.key, "mrope_interleaved"));
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= snug_eq_str(it.key, known[i]);
        if (!found)
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "config.json: rotary parameter \"%.*s\" is not supported",
                             SNUG_SLICE(it.key));
    }
    return SNUG_OK;
}

static snug_status rope_kind(snug_json rope, bool sections, nn_rope_kind *out, snug_err *err)
{
    snug_slice  name, type;
    snug_status st = cfg_text(rope, "type", "default", &type, err);
    if (st == SNUG_OK) st = cfg_text(rope, "rope_type", "", &name, err);
    if (st != SNUG_OK) return st;
    if (name.len == 0) name = type;
    if (sections && snug_eq_str(name, "mrope")) name = SNUG_LIT("default");
    if (nn_rope_kind_parse(name, out)) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED,
                     "config.json: rotary positions of type \"%.*s\" are not supported",
                     SNUG_SLICE(name));
}

/* The numbers a kind cannot do without. */
static snug_status need_rope(const nn_rope *r, snug_err *err)
{
    if (r->kind != NN_ROPE_DEFAULT && r->factor == 0)
        return snug_fail(err, SNUG_EINVAL, "config.json: rotary scaling without a \"factor\"");
    if (r->kind == NN_ROPE_LLAMA3 &&
        !(r->low_freq_factor > 0 && r->high_freq_factor > r->low_freq_factor))
        return snug_fail(err, SNUG_EINVAL,
                         "config.json: \"high_freq_factor\" must be above \"low_freq_factor\", and "
                         "that above 0");
    if (r->kind == NN_ROPE_DYNAMIC && r->width <= 2)
        return snug_fail(err, SNUG_EINVAL,
                         "config.json: dynamic rotary positions need heads wider than 2");
    return SNUG_OK;
}

/* The object that describes rotary positions, of one kind of layer when there are several. Version
 * 4 wrote rope_scaling beside rope_theta, 5 writes rope_parameters. Either may be null. */
static snug_status rope_object(snug_json config, const char *layer_type, snug_json *out, bool *own,
                               snug_err *err)
{
    static const char *const names[] = {"rope_scaling", "rope_parameters"};
    *out = (snug_json){NULL};
    *own = false;
    for (size_t i = 0; i < 2; i++) {
        snug_json v = snug_json_get(config, names[i]);
        if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) continue;
        if (!snug_json_is(v, SNUG_JSON_OBJECT))
            return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must be an object", names[i]);
        *own = layer_type != NULL && snug_json_is(snug_json_get(v, layer_type), SNUG_JSON_OBJECT);
        if (*own) v = snug_json_get(v, layer_type);
        *out = v;
        if (snug_json_count(v) > 0) break;
    }
    return SNUG_OK;
}

static snug_status rope_factors(snug_json rope, const char *key, size_t pairs, float *out,
                                snug_err *err)
{
    snug_json list = snug_json_get(rope, key);
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) != pairs)
        return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\" must be a list of %zu numbers", key,
                         pairs);
    for (size_t i = 0; i < pairs; i++) {
        double v;
        if (!snug_json_to_f64(snug_json_at(list, i), &v) || !(v >= 1e-6 && v <= 1e6))
            return snug_fail(err, SNUG_EINVAL, "config.json: \"%s\"[%zu] is no factor", key, i);
        out[i] = (float)v;
    }
    return SNUG_OK;
}

static snug_status read_longrope(snug_json rope, nn_rope *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (out->width / 2 > NN_ROPE_FACTORS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "config.json: longrope over %zu dimensions; at most %d",
                         out->width, 2 * NN_ROPE_FACTORS_MAX);
    SNUG_TRY(rope_factors(rope, "short_factor", out->width / 2, out->short_factor, err));
    SNUG_TRY(rope_factors(rope, "long_factor", out->width / 2, out->long_factor, err));
done:
    return st;
}

static snug_status rope_numbers(snug_json config, snug_json rope, nn_rope *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(cfg_size(rope,
                      (cfg_range){"original_max_position_embeddings", NULL, out->positions_max, 1,
                                  MODEL_POSITIONS_MAX},
                      &out->original_max, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"original_max_position_embeddings", NULL, out->original_max, 1,
                                  MODEL_POSITIONS_MAX},
                      &out->original_max, err));
    bool   derived = out->kind == NN_ROPE_YARN || out->kind == NN_ROPE_LONGROPE;
    double factor = derived ? (double)out->positions_max / (double)out->original_max
                    : out->kind == NN_ROPE_PROPORTIONAL ? 1.0
                                                        : 0.0;
    SNUG_TRY(cfg_real(rope, "factor", factor, 1e-6, 1e6, &out->factor, err));
    SNUG_TRY(cfg_real(rope, "low_freq_factor", 0, 0, 1e6, &out->low_freq_factor, err));
    SNUG_TRY(cfg_real(rope, "high_freq_factor", 0, 0, 1e6, &out->high_freq_factor, err));
    SNUG_TRY(cfg_real(rope, "beta_fast", 0, 0, 1e6, &out->beta_fast, err));
    SNUG_TRY(cfg_real(rope, "beta_slow", 0, 0, 1e6, &out->beta_slow, err));
    SNUG_TRY(cfg_real(rope, "attention_factor", 0, 0, 1e6, &out->attention_factor, err));
    SNUG_TRY(cfg_real(rope, "mscale", 0, 0, 1e6, &out->mscale, err));
    SNUG_TRY(cfg_real(rope, "mscale_all_dim", 0, 0, 1e6, &out->mscale_all_dim, err));
    SNUG_TRY(cfg_bool(rope, "truncate", true, &out->truncate, err));
    if (out->kind == NN_ROPE_LONGROPE) SNUG_TRY(read_longrope(rope, out, err));
    SNUG_TRY(need_rope(out, err));
done:
    return st;
}

snug_status cfg_rope(snug_json config, cfg_rotary rule, nn_rope *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      partial, outer, usual = rule.partial == 0.0 ? 1.0 : rule.partial;
    snug_json   rope;
    const char *theta_key = rule.theta_key == NULL ? "rope_theta" : rule.theta_key;
    bool        own;
    SNUG_TRY(rope_object(config, rule.layer_type, &rope, &own, err));
    *out = (nn_rope){.positions_max = rule.positions_max, .interleaved = rule.interleaved};
    if (rule.plain && !own) { /* what stretches the other layers is not for these */
        if (rule.theta_key == NULL)
            SNUG_TRY(cfg_real(rope, "rope_theta", rule.theta, 1.0001, 1e12, &rule.theta, err));
        rope = (snug_json){NULL};
    }
    SNUG_TRY(refuse_unknown_rope(rope, rule.sections, err));
    SNUG_TRY(rope_kind(rope, rule.sections, &out->kind, err));
    SNUG_TRY(cfg_real(config, theta_key, rule.theta, 1.0001, 1e12, &outer, err));
    SNUG_TRY(cfg_real(rope, "rope_theta", outer, 1.0001, 1e12, &out->theta, err));
    SNUG_TRY(cfg_real(config, "partial_rotary_factor", usual, 0.0, 1.0, &outer, err));
    SNUG_TRY(cfg_real(rope, "partial_rotary_factor", outer, 0.0, 1.0, &partial, err));
    if (rule.partial == 0.0 && partial != 1.0 && out->kind != NN_ROPE_PROPORTIONAL)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"partial_rotary_factor\" %g is not supported for this class",
                  partial);
    out->width = (size_t)((double)rule.width * partial);
    if (out->kind == NN_ROPE_PROPORTIONAL) { /* of the whole head, only some pairs turn */
        out->turning = (size_t)((double)rule.width * partial) / 2;
        out->width = rule.width;
    }
    if (out->width < 2 || out->width % 2 != 0)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "config.json: rotary positions need an even head width, not %zu", out->width);
    SNUG_TRY(rope_numbers(config, rope, out, err));
done:
    return st;
}

/* ---- which class ---- */

static snug_status find_class(snug_slice name, model_shape *out, snug_err *err)
{
    for (size_t i = 0; model_arch_at(i) != NULL; i++) {
        const model_arch *arch = model_arch_at(i);
        for (const struct model_class *c = arch->classes; c->name != NULL; c++) {
            if (!snug_eq_str(name, c->name)) continue;
            out->arch = arch;
            out->class_name = c->name;
            out->head = c->head;
            return SNUG_OK;
        }
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "the architecture \"%.*s\" is not supported",
                     SNUG_SLICE(name));
}

/* Weights stored in fewer bits: 8-bit floats with scales, and blocks of 4-bit floats. What they say
 * of activations is passed over: those stay float32. */
static snug_status check_quantization(snug_json quant, snug_err *err)
{
    static const char *const known[] = {"fp8", "fbgemm_fp8", "mxfp4"};
    if (snug_json_is(quant, SNUG_JSON_ABSENT) || snug_json_is(quant, SNUG_JSON_NULL))
        return SNUG_OK;
    snug_slice method = snug_json_str_or(quant, "quant_method", SNUG_LIT("unnamed"));
    snug_slice format = snug_json_str_or(quant, "format", SNUG_EMPTY);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (snug_eq_str(method, known[i])) return SNUG_OK;
    if (snug_eq_str(method, "compressed-tensors") && snug_eq_str(format, "float-quantized"))
        return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "weights quantised by \"%.*s\" are not supported",
                     SNUG_SLICE(method));
}

snug_status model_parse(snug_json config, snug_slice class_name, model_shape *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  type;
    *out = (model_shape){0};
    if (!snug_json_is(config, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "config.json must hold an object");
    if (class_name.len == 0 &&
        !snug_json_to_str(snug_json_at(snug_json_get(config, "architectures"), 0), &class_name))
        return snug_fail(err, SNUG_EINVAL, "config.json: \"architectures\" does not name a class");
    SNUG_TRY(find_class(class_name, out, err));
    SNUG_TRY(cfg_text(config, "model_type", out->arch->model_type, &type, err));
    if (!snug_eq_str(type, out->arch->model_type))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: class %s with model type \"%.*s\" is not supported",
                  out->class_name, SNUG_SLICE(type));
    SNUG_TRY(check_quantization(snug_json_get(config, "quantization_config"), err));
    SNUG_TRY(out->arch->parse(config, out, err));
done:
    return st;
}
