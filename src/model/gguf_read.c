/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_read.c - a GGUF file as what a folder would be: a configuration and named weights.
 *
 * For:     model_open, and `snug quantize` from one GGUF file to another.
 * Owns:    nothing; mappings belong to the arena of the load.
 * Threads: one load, one thread.
 * Truth:   the metadata becomes the members of config.json that the same model would have, and goes
 *          through the same checks; a key that is needed is named when it is missing, a tensor that
 *          is not known is refused by name. */
#include "model/gguf_int.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>

enum { PARTS_MAX = 512, CONFIG_BYTES_MAX = 1 << 20, KEY_BYTES = 160 };

/* ---- opening ---- */

static void close_map(void *p) { snug_map_deinit(p); }

static snug_status open_part(gguf_src *g, const char *path, size_t index, snug_err *err)
{
    snug_map   *map = SNUG_NEW(g->arena, snug_map);
    snug_status st = snug_map_open(path, map, err);
    if (st == SNUG_OK) {
        snug_arena_on_free(g->arena, close_map, map);
        g->files[index] = map->ptr;
        st = codec_gguf_parse(g->arena, snug_slice_of(map->ptr, map->len), map->len,
                              &g->parts[index], err);
    }
    if (st != SNUG_OK) snug_note(err, "%s", path);
    return st;
}

static snug_status open_all(gguf_src *g, const char *path, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  all = snug_str(path), name = all, prefix;
    unsigned    number, count = 1;
    size_t      slash = snug_rindex(all, '/'), from = slash == SIZE_MAX ? 0 : slash + 1;
    name = snug_sub(all, from, all.len);
    bool split = codec_gguf_split_name(name, &prefix, &number, &count);
    if (count > PARTS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a model in %u files; at most %d", count, PARTS_MAX);
    g->count = split ? count : 1;
    g->parts = snug_arena_array_try(g->arena, g->count, sizeof *g->parts);
    g->files = snug_arena_array_try(g->arena, g->count, sizeof *g->files);
    if (g->parts == NULL || g->files == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory");
    if (!split) return open_part(g, path, 0, err);
    const codec_gguf **list =
        snug_arena_zalloc(g->arena, g->count * sizeof *list); /* <= PARTS_MAX */
    for (size_t i = 0; i < g->count; i++) {
        snug_slice part = snug_arena_printf(g->arena, "%.*s%.*s-%05zu-of-%05zu.gguf", (int)from,
                                            path, SNUG_SLICE(prefix), i + 1, g->count);
        SNUG_TRY(open_part(g, part.ptr, i, err));
        list[i] = &g->parts[i];
    }
    SNUG_TRY(codec_gguf_check_splits(list, g->count, err));
done:
    return st;
}

snug_status gguf_take(snug_arena *a, codec_gguf *parts, const char **files, size_t count,
                      gguf_src *out, snug_err *err)
{
    uint64_t experts = 0;
    *out = (gguf_src){.arena = a, .parts = parts, .files = files, .count = count};
    if (!codec_gguf_to_str(gguf_get(out, "general.architecture"), &out->arch))
        return snug_fail(err, SNUG_ECORRUPT, "the file does not say its general.architecture");
    (void)codec_gguf_to_u64(gguf_get_own(out, "expert_count"), &experts);
    out->row = gguf_row_of(out->arch, experts > 0);
    uint64_t window = 0;
    (void)codec_gguf_to_u64(gguf_get_own(out, "attention.sliding_window"), &window);
    if (window > 0 && experts == 0 && snug_eq_str(out->arch, "llama"))
        out->row = gguf_row_named("mistral");
    if (out->row != NULL && ((out->row->flags & GGUF_EXPERTS) != 0) == (experts > 0))
        return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED,
                     "GGUF models of the architecture \"%.*s\"%s are not "
                     "supported",
                     SNUG_SLICE(snug_sub(out->arch, 0, 64)), experts > 0 ? " with experts" : "");
}

snug_status gguf_open(snug_arena *a, const char *path, gguf_src *out, snug_err *err)
{
    gguf_src    g = {.arena = a};
    snug_status st = open_all(&g, path, err);
    return st != SNUG_OK ? st : gguf_take(a, g.parts, g.files, g.count, out, err);
}

const codec_gguf_value *gguf_get(const gguf_src *g, const char *key)
{
    return codec_gguf_find(&g->parts[0], snug_str(key));
}

const codec_gguf_value *gguf_get_own(const gguf_src *g, const char *key)
{
    char full[KEY_BYTES];
    int  n = snprintf(full, sizeof full, "%.*s.%s", SNUG_SLICE(g->arch), key);
    return n > 0 && n < (int)sizeof full ? gguf_get(g, full) : NULL;
}

const codec_gguf_tensor *gguf_find_tensor(const gguf_src *g, const char *name, const char **data)
{
    for (size_t i = 0; i < g->count; i++) {
        const codec_gguf_tensor *t = codec_gguf_find_tensor(&g->parts[i], snug_str(name));
        if (t == NULL) continue;
        if (data != NULL && g->files != NULL)
            *data = g->files[i] + g->parts[i].data_offset + t->offset;
        return t;
    }
    return NULL;
}

static bool has(const gguf_src *g, const char *name)
{
    return gguf_find_tensor(g, name, NULL) != NULL;
}

bool gguf_type_of(const codec_ggml_type *t, tensor_dtype *out)
{
    for (unsigned i = 0; i < TENSOR_DTYPE_COUNT; i++) {
        tensor_dtype d = (tensor_dtype)i;
        if (!tensor_dtype_is_float(d) && !tensor_dtype_is_quant(d)) continue;
        if (strcmp(tensor_dtype_name(d), t->name) != 0) continue;
        *out = d;
        return true;
    }
    return false;
}

/* ---- numbers of the metadata ---- */

/* One number, or an array that says the same for every layer. */
static snug_status read_size(const gguf_src *g, const char *key, uint64_t *out, bool *found,
                             snug_err *err)
{
    const codec_gguf_value *v = gguf_get_own(g, key);
    *found = v != NULL;
    if (v == NULL || codec_gguf_to_u64(v, out)) return SNUG_OK;
    if (v->kind != CODEC_GGUF_ARRAY || v->count == 0)
        return snug_fail(err, SNUG_ECORRUPT, "%.*s.%s is no whole number", SNUG_SLICE(g->arch),
                         key);
    for (uint64_t i = 0; i < v->count; i++) {
        codec_gguf_value one = codec_gguf_at(v, i);
        uint64_t         n;
        if (!codec_gguf_to_u64(&one, &n))
            return snug_fail(err, SNUG_ECORRUPT, "%.*s.%s holds what is no whole number",
                             SNUG_SLICE(g->arch), key);
        if (i > 0 && n != *out)
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "%.*s.%s differs from layer to layer, which is not supported",
                             SNUG_SLICE(g->arch), key);
        *out = n;
    }
    return SNUG_OK;
}

static snug_status need_size(const gguf_src *g, const char *key, uint64_t *out, snug_err *err)
{
    bool        found;
    snug_status st = read_size(g, key, out, &found, err);
    if (st == SNUG_OK && !found)
        st = snug_fail(err, SNUG_ECORRUPT, "the file lacks %.*s.%s", SNUG_SLICE(g->arch), key);
    return st;
}

static snug_status size_or(const gguf_src *g, const char *key, uint64_t dflt, uint64_t *out,
                           snug_err *err)
{
    bool        found;
    snug_status st = read_size(g, key, out, &found, err);
    if (!found) *out = dflt;
    return st;
}

static bool real_of(const gguf_src *g, const char *key, double *out)
{
    return codec_gguf_to_f64(gguf_get_own(g, key), out);
}

/* ---- the configuration ---- */

typedef struct conf {
    const gguf_src *g;
    snug_json_out   o;
    snug_err       *err;
    uint64_t        layers, hidden, heads, kv_heads, head, context, inner;
} conf;

static snug_status put_common(conf *c)
{
    snug_status     st = SNUG_OK;
    const gguf_src *g = c->g;
    uint64_t        value, skipped;
    double          eps;
    char            key[KEY_BYTES];
    SNUG_TRY(need_size(g, "block_count", &c->layers, c->err));
    SNUG_TRY(need_size(g, "embedding_length", &c->hidden, c->err));
    SNUG_TRY(need_size(g, "attention.head_count", &c->heads, c->err));
    SNUG_TRY(need_size(g, "context_length", &c->context, c->err));
    SNUG_TRY(size_or(g, "feed_forward_length", 0, &c->inner, c->err));
    SNUG_TRY(size_or(g, "attention.head_count_kv", c->heads, &c->kv_heads, c->err));
    if (c->heads == 0)
        SNUG_FAIL(c->err, SNUG_ECORRUPT, "%.*s.attention.head_count is 0", SNUG_SLICE(g->arch));
    SNUG_TRY(size_or(g, "attention.key_length", c->hidden / c->heads, &c->head, c->err));
    SNUG_TRY(size_or(g, "attention.value_length", c->head, &value, c->err));
    SNUG_TRY(size_or(g, "nextn_predict_layers", 0, &skipped, c->err));
    if (value != c->head)
        SNUG_FAIL(c->err, SNUG_EUNSUPPORTED, "heads whose values are %llu wide and keys %llu",
                  (unsigned long long)value, (unsigned long long)c->head);
    if (skipped >= c->layers && skipped > 0)
        SNUG_FAIL(c->err, SNUG_ECORRUPT, "%llu of %llu layers predict further tokens",
                  (unsigned long long)skipped, (unsigned long long)c->layers);
    c->layers -= skipped;
    (void)snprintf(key, sizeof key, "attention.%s", g->row->eps_key);
    if (!real_of(g, key, &eps))
        SNUG_FAIL(c->err, SNUG_ECORRUPT, "the file lacks %.*s.%s", SNUG_SLICE(g->arch), key);
    /* The same number under each name a class may know it by. */
    static const char *const eps_names[] = {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon",
                                            "norm_epsilon", "norm_eps"};
    for (size_t i = 0; i < sizeof eps_names / sizeof *eps_names; i++)
        snug_jo_kf64(&c->o, eps_names[i], eps);
done:
    return st;
}

static void put_sizes(conf *c)
{
    const struct {
        const char *names[3];
        uint64_t    v;
    } sizes[] = {{{"num_hidden_layers", "n_layer", "num_layers"}, c->layers},
                 {{"hidden_size", "n_embd", "d_model"}, c->hidden},
                 {{"num_attention_heads", "n_head", "num_heads"}, c->heads},
                 {{"num_key_value_heads"}, c->kv_heads},
                 {{"head_dim", "d_kv"}, c->head},
                 {{"max_position_embeddings", "n_positions"}, c->context},
                 {{"intermediate_size", "n_inner", "d_ff"}, c->inner}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < 3 && sizes[i].names[k] != NULL && sizes[i].v > 0; k++)
            snug_jo_ku64(&c->o, sizes[i].names[k], sizes[i].v);
}

/* Rows of the embeddings; the count of tokens when there is none. */
static snug_status put_vocab(conf *c)
{
    const codec_gguf_tensor *t = gguf_find_tensor(c->g, "token_embd.weight", NULL);
    if (t == NULL || t->rank != 2)
        return snug_fail(c->err, SNUG_ECORRUPT, "the file has no matrix token_embd.weight");
    snug_jo_ku64(&c->o, "vocab_size", t->dims[1]);
    return SNUG_OK;
}

/* ---- rotary positions ---- */

static snug_status put_factors(conf *c, const char *key, const char *tensor_name, uint64_t pairs)
{
    const char              *data = NULL;
    const codec_gguf_tensor *t = gguf_find_tensor(c->g, tensor_name, &data);
    if (t == NULL || t->rank != 1 || t->dims[0] != pairs || strcmp(t->type->name, "F32") != 0)
        return snug_fail(c->err, SNUG_ECORRUPT, "%s does not hold %llu numbers", tensor_name,
                         (unsigned long long)pairs);
    if (data == NULL) return snug_fail(c->err, SNUG_EAGAIN, "%s was not read", tensor_name);
    snug_jo_key(&c->o, key);
    snug_jo_begin_array(&c->o);
    for (uint64_t i = 0; i < pairs; i++) {
        float f;
        memcpy(&f, data + i * sizeof f, sizeof f);
        snug_jo_f64(&c->o, (double)f);
    }
    snug_jo_end_array(&c->o);
    return SNUG_OK;
}

/* Divisors per pair, as Llama 3 has them and Phi 3's two lists. */
static snug_status put_long_factors(conf *c, uint64_t pairs, bool two)
{
    snug_status st = SNUG_OK;
    double      grow = 1.0;
    uint64_t    original;
    (void)real_of(c->g, "rope.scaling.attn_factor", &grow);
    SNUG_TRY(size_or(c->g, "rope.scaling.original_context_length", c->context, &original, c->err));
    snug_jo_kcstr(&c->o, "rope_type", "longrope");
    SNUG_TRY(put_factors(c, "short_factor", two ? "rope_factors_short.weight" : "rope_freqs.weight",
                         pairs));
    SNUG_TRY(put_factors(c, "long_factor", two ? "rope_factors_long.weight" : "rope_freqs.weight",
                         pairs));
    snug_jo_kf64(&c->o, "factor", 1.0);
    snug_jo_kf64(&c->o, "attention_factor", two ? grow : 1.0);
    snug_jo_ku64(&c->o, "original_max_position_embeddings", two ? original : c->context);
done:
    return st;
}

static snug_status put_yarn(conf *c, double factor)
{
    static const struct {
        const char *key, *name;
    } reals[] = {{"rope.scaling.yarn_beta_fast", "beta_fast"},
                 {"rope.scaling.yarn_beta_slow", "beta_slow"}};
    snug_status st = SNUG_OK;
    uint64_t    original;
    double      v;
    SNUG_TRY(need_size(c->g, "rope.scaling.original_context_length", &original, c->err));
    snug_jo_kcstr(&c->o, "rope_type", "yarn");
    snug_jo_kf64(&c->o, "factor", factor);
    snug_jo_ku64(&c->o, "original_max_position_embeddings", original);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (real_of(c->g, reals[i].key, &v)) snug_jo_kf64(&c->o, reals[i].name, v);
    /* What the programs that read this format do with the growth of the angles. */
    if (real_of(c->g, "rope.scaling.attn_factor", &v) && v > 0 && factor > 1)
        snug_jo_kf64(&c->o, "attention_factor", v * (0.1 * log(factor) + 1.0));
    if (strcmp(c->g->row->arch, "gpt-oss") == 0) snug_jo_kbool(&c->o, "truncate", false);
done:
    return st;
}

static snug_status put_scaling(conf *c, uint64_t turned)
{
    snug_status     st = SNUG_OK;
    const gguf_src *g = c->g;
    snug_slice      type = SNUG_LIT("none");
    double          factor = 1.0;
    bool            known = codec_gguf_to_str(gguf_get_own(g, "rope.scaling.type"), &type);
    if (!real_of(g, "rope.scaling.factor", &factor) && real_of(g, "rope.scale_linear", &factor) &&
        !known)
        type = SNUG_LIT("linear");
    if (has(g, "rope_factors_long.weight")) return put_long_factors(c, turned / 2, true);
    if (has(g, "rope_freqs.weight")) return put_long_factors(c, turned / 2, false);
    if (snug_eq_str(type, "yarn")) return put_yarn(c, factor);
    if (snug_eq_str(type, "none") || factor == 1.0) return SNUG_OK;
    if (!snug_eq_str(type, "linear"))
        SNUG_FAIL(c->err, SNUG_EUNSUPPORTED, "rotary positions scaled by \"%.*s\"",
                  SNUG_SLICE(snug_sub(type, 0, 64)));
    snug_jo_kcstr(&c->o, "rope_type", "linear");
    snug_jo_kf64(&c->o, "factor", factor);
done:
    return st;
}

static snug_status put_rope(conf *c)
{
    snug_status     st = SNUG_OK;
    const gguf_src *g = c->g;
    uint64_t        turned;
    double          theta = 10000.0, local = 10000.0;
    SNUG_TRY(size_or(g, "rope.dimension_count", c->head, &turned, c->err));
    if (turned > c->head || c->head == 0)
        SNUG_FAIL(c->err, SNUG_ECORRUPT, "%.*s.rope.dimension_count is %llu in heads of %llu",
                  SNUG_SLICE(g->arch), (unsigned long long)turned, (unsigned long long)c->head);
    (void)real_of(g, "rope.freq_base", &theta);
    (void)real_of(g, "rope.freq_base_swa", &local);
    if (turned != c->head || strcmp(c->g->row->arch, "gptneox") == 0)
        snug_jo_kf64(&c->o, "partial_rotary_factor", (double)turned / (double)c->head);
    snug_jo_key(&c->o, "rope_parameters");
    snug_jo_begin_object(&c->o);
    if ((g->row->flags & GGUF_LAYERED) != 0) {
        snug_jo_key(&c->o, "sliding_attention");
        snug_jo_begin_object(&c->o);
        snug_jo_kf64(&c->o, "rope_theta", local);
        snug_jo_end_object(&c->o);
        snug_jo_key(&c->o, "full_attention");
        snug_jo_begin_object(&c->o);
    }
    snug_jo_kf64(&c->o, "rope_theta", theta);
    SNUG_TRY(put_scaling(c, turned));
    if ((g->row->flags & GGUF_LAYERED) != 0) snug_jo_end_object(&c->o);
    snug_jo_end_object(&c->o);
done:
    return st;
}

/* ---- what only some architectures have ---- */

static void put_layer_types(conf *c, uint64_t period)
{
    const codec_gguf_value *list = gguf_get_own(c->g, "attention.sliding_window_pattern");
    snug_jo_key(&c->o, "layer_types");
    snug_jo_begin_array(&c->o);
    for (uint64_t i = 0; i < c->layers && c->layers <= MODEL_LAYERS_MAX; i++) {
        bool slides = period == 0 || (i + 1) % period != 0;
        if (list != NULL && list->kind == CODEC_GGUF_ARRAY && i < list->count) {
            codec_gguf_value one = codec_gguf_at(list, i);
            (void)codec_gguf_to_bool(&one, &slides);
        }
        snug_jo_cstr(&c->o, slides ? "sliding_attention" : "full_attention");
    }
    snug_jo_end_array(&c->o);
}

static snug_status put_window(conf *c)
{
    snug_status st = SNUG_OK;
    uint64_t    window, period;
    SNUG_TRY(size_or(c->g, "attention.sliding_window", 0, &window, c->err));
    period = c->g->row->window_period;
    const codec_gguf_value *pattern = gguf_get_own(c->g, "attention.sliding_window_pattern");
    if (pattern != NULL) (void)codec_gguf_to_u64(pattern, &period);
    if (window == 0) {
        snug_jo_key(&c->o, "sliding_window");
        snug_jo_null(&c->o);
        return SNUG_OK;
    }
    snug_jo_ku64(&c->o, "sliding_window", window);
    if (c->g->row->window_period > 0 || pattern != NULL) put_layer_types(c, period);
done:
    return st;
}

static snug_status put_experts(conf *c)
{
    snug_status     st = SNUG_OK;
    const gguf_src *g = c->g;
    uint64_t        count, used, inner, shared;
    bool            sums = false;
    if ((g->row->flags & GGUF_EXPERTS) == 0) return SNUG_OK;
    SNUG_TRY(need_size(g, "expert_count", &count, c->err));
    SNUG_TRY(need_size(g, "expert_used_count", &used, c->err));
    SNUG_TRY(size_or(g, "expert_feed_forward_length", c->inner, &inner, c->err));
    SNUG_TRY(size_or(g, "expert_shared_feed_forward_length", c->inner, &shared, c->err));
    snug_jo_ku64(&c->o, "num_local_experts", count);
    snug_jo_ku64(&c->o, "num_experts", count);
    snug_jo_ku64(&c->o, "num_experts_per_tok", used);
    snug_jo_ku64(&c->o, "moe_intermediate_size", inner);
    snug_jo_ku64(&c->o, "shared_expert_intermediate_size", shared);
    if (c->inner == 0) c->inner = inner;
    /* Left out means what the architecture's readers take for granted. */
    if (!codec_gguf_to_bool(gguf_get_own(g, "expert_weights_norm"), &sums))
        sums = strcmp(g->row->arch, "qwen3moe") == 0;
    snug_jo_kbool(&c->o, "norm_topk_prob", sums);
done:
    return st;
}

static void put_switches(conf *c)
{
    static const struct {
        const char *key, *name;
    } reals[] = {{"attn_logit_softcapping", "attn_logit_softcapping"},
                 {"final_logit_softcapping", "final_logit_softcapping"},
                 {"embedding_scale", "embedding_multiplier"},
                 {"residual_scale", "residual_multiplier"},
                 {"attention.scale", "attention_multiplier"},
                 {"logit_scale", "logits_scaling"},
                 {"logit_scale", "logit_scale"}};
    const gguf_src *g = c->g;
    double          v;
    bool            on;
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (real_of(g, reals[i].key, &v)) snug_jo_kf64(&c->o, reals[i].name, v);
    if (real_of(g, "attention.scale", &v) && v > 0)
        snug_jo_kf64(&c->o, "query_pre_attn_scalar", 1.0 / (v * v));
    else if ((g->row->flags & GGUF_PLUS_ONE) != 0) /* 27B models count the width, not the head's */
        snug_jo_kf64(&c->o, "query_pre_attn_scalar",
                     c->layers == (strcmp(g->row->arch, "gemma2") == 0 ? 46 : 62)
                         ? (double)c->hidden / (double)c->heads
                         : (double)c->head);
    if (codec_gguf_to_bool(gguf_get_own(g, "use_parallel_residual"), &on))
        snug_jo_kbool(&c->o, "use_parallel_residual", on);
    else if (strcmp(g->row->arch, "stablelm") == 0)
        snug_jo_kbool(&c->o, "use_parallel_residual", !has(g, "blk.0.ffn_norm.weight"));
}

static snug_status put_t5(conf *c)
{
    snug_status st = SNUG_OK;
    uint64_t    n;
    bool        gated = has(c->g, "enc.blk.0.ffn_gate.weight");
    if (strcmp(c->g->row->model_type, "t5") != 0) return SNUG_OK;
    SNUG_TRY(need_size(c->g, "attention.relative_buckets_count", &n, c->err));
    snug_jo_ku64(&c->o, "relative_attention_num_buckets", n);
    SNUG_TRY(size_or(c->g, "decoder_start_token_id", 0, &n, c->err));
    snug_jo_ku64(&c->o, "decoder_start_token_id", n);
    SNUG_TRY(size_or(c->g, "decoder_block_count", c->layers, &n, c->err));
    snug_jo_ku64(&c->o, "num_decoder_layers", n);
    snug_jo_kcstr(&c->o, "feed_forward_proj", gated ? "gated-gelu" : "relu");
done:
    return st;
}

static void put_bert(conf *c)
{
    const codec_gguf_tensor *t = gguf_find_tensor(c->g, "token_types.weight", NULL);
    if (strcmp(c->g->row->arch, "bert") != 0) return;
    snug_jo_ku64(&c->o, "type_vocab_size", t == NULL || t->rank != 2 ? 1 : t->dims[1]);
    snug_jo_kcstr(&c->o, "hidden_act", "gelu");
}

/* Ids that generation and padding need: those of the tokenizer in the file. */
static void put_ids(conf *c)
{
    static const struct {
        const char *key, *name;
    } ids[] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
               {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    uint64_t                 id;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (codec_gguf_to_u64(gguf_get(c->g, ids[i].key), &id) && id <= INT32_MAX)
            snug_jo_ku64(&c->o, ids[i].name, id);
    snug_jo_key(&c->o, "eos_token_id");
    snug_jo_begin_array(&c->o);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (codec_gguf_to_u64(gguf_get(c->g, ends[i]), &id) && id <= INT32_MAX)
            snug_jo_u64(&c->o, id);
    snug_jo_end_array(&c->o);
}

snug_status gguf_config(const gguf_src *g, snug_json *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_AUTO(snug_buf) text = snug_buf_init(CONFIG_BYTES_MAX);
    conf c = {.g = g, .o = snug_json_out_init(&text), .err = err};
    snug_jo_begin_object(&c.o);
    snug_jo_key(&c.o, "architectures");
    snug_jo_begin_array(&c.o);
    snug_jo_cstr(&c.o, g->row->class_name);
    snug_jo_end_array(&c.o);
    snug_jo_kcstr(&c.o, "model_type", g->row->model_type);
    SNUG_TRY(put_common(&c));
    SNUG_TRY(put_vocab(&c));
    SNUG_TRY(put_rope(&c));
    SNUG_TRY(put_window(&c));
    SNUG_TRY(put_experts(&c));
    put_sizes(&c);
    put_switches(&c);
    SNUG_TRY(put_t5(&c));
    put_bert(&c);
    if (strcmp(g->row->arch, "falcon") == 0) snug_jo_kbool(&c.o, "multi_query", c.kv_heads == 1);
    snug_jo_kbool(&c.o, "tie_word_embeddings", !has(g, "output.weight"));
    snug_jo_kbool(&c.o, "use_qkv_bias", has(g, "blk.0.attn_q.bias"));
    put_ids(&c);
    snug_jo_end_object(&c.o);
    SNUG_TRY(snug_buf_check(&text, "the configuration", err));
    SNUG_TRY(snug_json_parse(g->arena, snug_buf_slice(&text), NULL, out, err));
done:
    return st;
}

void gguf_adjust(const gguf_src *g, model_shape *s)
{
    model_decoder *d = &s->decoder;
    unsigned       flags = g->row->flags;
    if ((flags & GGUF_PAIRS) != 0) s->rope.interleaved = true;
    if ((flags & GGUF_PLUS_ONE) != 0) d->norm_plus_one = false;
    if (d->stacked) { /* each expert has matrices of its own here */
        d->stacked = d->stacked_in_out = d->interleaved = false;
        d->list = "experts", d->expert_gate = "gate_proj", d->expert_up = "up_proj";
        d->expert_down = "down_proj";
    }
    if (d->o == NULL) return; /* no decoder with a plan */
    d->qkv_bias = has(g, d->qkv != NULL ? "blk.0.attn_qkv.bias" : "blk.0.attn_q.bias");
    d->o_bias = has(g, "blk.0.attn_output.bias");
    s->mlp_bias = has(g, "blk.0.ffn_up.bias");
    d->head_bias = has(g, "output.bias");
}

/* ---- weights ---- */

/* What carries no weight of the network. */
static bool is_passed_over(snug_slice name)
{
    static const char *const names[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                        "rope_factors_short.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (snug_eq_str(name, names[i])) return true;
    return snug_ends_with(name, ".rope_freqs.weight") ||
           snug_ends_with(name, ".attn_rot_embd.weight");
}

static snug_status put_weight(const gguf_src *g, const codec_gguf_tensor *t, const char *data,
                              const char *own, unsigned rank, uint64_t size, weight *out,
                              snug_err *err)
{
    *out = (weight){.name = snug_arena_dup(g->arena, snug_str(own)),
                    .blocks = true,
                    .rank = rank,
                    .size = size,
                    .data = data};
    for (unsigned i = 0; i < rank; i++) out->shape[i] = t->dims[rank - 1 - i];
    if (gguf_type_of(t->type, &out->dtype)) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "%.*s is stored as %s, which is not supported",
                     SNUG_SLICE(t->name), t->type->name);
}

/* One tensor, or one per expert of a stack. */
static snug_status put_tensor(const gguf_src *g, const codec_gguf_tensor *t, const char *data,
                              bool plain_mlp, weight_map *w, snug_err *err)
{
    char   own[GGUF_NAME_BYTES];
    bool   stacked;
    size_t count = 1;
    if (is_passed_over(t->name)) return SNUG_OK;
    if (t->rank == 0 || !gguf_name_in(g->row, t->name, 0, &stacked, own))
        return snug_fail(err, SNUG_EUNSUPPORTED, "%.*s: the tensor %.*s is not known",
                         SNUG_SLICE(g->arch), SNUG_SLICE(t->name));
    if (stacked) count = t->rank < 2 ? 0 : (size_t)t->dims[t->rank - 1];
    if (count == 0 || count > NN_EXPERTS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%.*s is a stack of %zu; at most %d",
                         SNUG_SLICE(t->name), count, NN_EXPERTS_MAX);
    for (size_t i = 0; i < count; i++) {
        (void)gguf_name_in(g->row, t->name, i, &stacked, own);
        size_t n = strlen(own);
        if (plain_mlp && n > 14 && strcmp(own + n - 11, "wi_1.weight") == 0)
            memcpy(own + n - 9, ".weight", 8);
        snug_status st = put_weight(g, t, data + i * (t->size / count), own, t->rank - stacked,
                                    t->size / count, &w->items[w->count++], err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

snug_status gguf_weights(const gguf_src *g, weight_map **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      total = 0;
    weight_map *w = SNUG_NEW(g->arena, weight_map);
    for (size_t p = 0; p < g->count; p++)
        for (size_t i = 0; i < g->parts[p].tensor_count; i++) {
            const codec_gguf_tensor *t = &g->parts[p].tensors[i];
            bool     stack = t->rank > 1 && snug_find(t->name, SNUG_LIT("_exps.")) != SIZE_MAX;
            uint64_t n = stack ? t->dims[t->rank - 1] : 1;
            total += n > NN_EXPERTS_MAX ? 1 : (size_t)n;
        }
    w->turned = (g->row->flags & GGUF_TURNED) != 0;
    w->apart = (g->row->flags & GGUF_APART) != 0;
    w->items = snug_arena_array_try(g->arena, total, sizeof *w->items);
    if (w->items == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu weights", total);
    bool plain_mlp = !has(g, "enc.blk.0.ffn_gate.weight");
    for (size_t p = 0; p < g->count; p++)
        for (size_t i = 0; i < g->parts[p].tensor_count; i++) {
            const codec_gguf_tensor *t = &g->parts[p].tensors[i];
            SNUG_TRY(put_tensor(g, t, g->files[p] + g->parts[p].data_offset + t->offset, plain_mlp,
                                w, err));
        }
    SNUG_TRY(weight_map_sort(w, err));
    *out = w;
done:
    return st;
}

/* ---- in a folder ---- */

const char *gguf_first_part(snug_arena *a, const char *path)
{
    snug_slice all = snug_str(path), prefix;
    unsigned   number, count;
    size_t     slash = snug_rindex(all, '/'), from = slash == SIZE_MAX ? 0 : slash + 1;
    if (!codec_gguf_split_name(snug_sub(all, from, all.len), &prefix, &number, &count)) return path;
    return snug_arena_printf(a, "%.*s%.*s-00001-of-%05u.gguf", (int)from, path, SNUG_SLICE(prefix),
                             count)
        .ptr;
}

static bool holds_nocase(snug_slice s, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= s.len; i++)
        if (snug_eq_nocase(snug_sub(s, i, n), snug_str(what))) return true;
    return false;
}

/* Q4_K_M first, as hubs choose; projectors of images and importance tables are no models. */
const char *gguf_in_folder(snug_arena *a, const char *dir)
{
    struct dirent **names;
    const char     *best = NULL;
    bool            best_fits = false;
    int             n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        snug_slice name = snug_str(names[i]->d_name), prefix;
        unsigned   number = 1, count;
        bool       fits = holds_nocase(name, "Q4_K_M");
        bool       whole = snug_ends_with(name, ".gguf") && !holds_nocase(name, "mmproj") &&
                     !holds_nocase(name, "imatrix") && name.ptr[0] != '.';
        (void)codec_gguf_split_name(name, &prefix, &number, &count);
        if (whole && number == 1 && (best == NULL || (fits && !best_fits))) {
            best = snug_arena_printf(a, "%s/%.*s", dir, SNUG_SLICE(name)).ptr;
            best_fits = fits;
        }
        free(names[i]);
    }
    if (n >= 0) free(names);
    return best;
}
