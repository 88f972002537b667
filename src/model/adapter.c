/* SPDX-License-Identifier: Apache-2.0 */
/* model/adapter.c - LoRA, rsLoRA and DoRA adapters as peft writes them, over a model's weights.
 *
 * Teacher. A linear of weight W [n, in] with A [r, in] and B [n, r] computes with
 *   LoRA    W + s B A            s = alpha / r, rsLoRA alpha / sqrt(r)
 *   DoRA    m (W + s B A) / |W + s B A|      row by row, m [n] the magnitudes
 * (Hu et al. 2021, Kalajdzievski 2023, Liu et al. 2024). An embedding [V, E] adds s (B A)'. Modules
 * to save and biases are stored whole.
 *
 * For:     model_open and model_merge.
 * Owns:    what it makes, in the arena of the load.
 * Threads: as the model load.
 * Truth:   every tensor of the file changes a weight, or the adapter is refused; so is a switch of
 *          its configuration that would change a number and is not known here. */
#include "model/adapter_int.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/pattern.h"

enum { CONFIG_BYTES_MAX = 1 << 20, NAME_MAX_BYTES = 512, RANK_MAX = 1 << 16 };

typedef struct adapter {
    snug_arena       *a;
    snug_json         config, base; /* adapter_config.json; the model's config.json */
    snug_map          map;
    codec_safetensors st;
    bool             *used; /* per tensor of the file */
    bool              dora, root, conv1d;
    double            alpha;
    model_shape      *shape;
    weight_map       *w;
    snug_err         *err;
} adapter;

/* ---- configuration ---- */

static bool is_off(snug_json v)
{
    bool       on = true;
    snug_slice text;
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return true;
    if (snug_json_to_bool(v, &on)) return !on;
    if (snug_json_to_str(v, &text)) return text.len == 0;
    return (snug_json_is(v, SNUG_JSON_OBJECT) || snug_json_is(v, SNUG_JSON_ARRAY)) &&
           snug_json_count(v) == 0;
}

static snug_status check_keys(const adapter *x)
{
    static const char *const known[] = {"alpha_pattern",
                                        "auto_mapping",
                                        "base_model_name_or_path",
                                        "bias",
                                        "corda_config",
                                        "ensure_weight_tying",
                                        "eva_config",
                                        "exclude_modules",
                                        "fan_in_fan_out",
                                        "inference_mode",
                                        "init_lora_weights",
                                        "layers_pattern",
                                        "layers_to_transform",
                                        "loftq_config",
                                        "lora_alpha",
                                        "lora_bias",
                                        "lora_dropout",
                                        "lora_ga_config",
                                        "megatron_config",
                                        "megatron_core",
                                        "modules_to_save",
                                        "peft_type",
                                        "peft_version",
                                        "qalora_group_size",
                                        "r",
                                        "rank_pattern",
                                        "revision",
                                        "runtime_config",
                                        "target_modules",
                                        "task_type",
                                        "use_dora",
                                        "use_rslora"};
    for (snug_json_iter it = snug_json_iter_of(x->config); snug_json_next(&it);) {
        bool found = is_off(it.value);
        for (size_t i = 0; !found && i < sizeof known / sizeof *known; i++)
            found = snug_eq_str(it.key, known[i]);
        if (!found)
            return snug_fail(x->err, SNUG_EUNSUPPORTED,
                             "adapter_config.json: \"%.*s\" is not supported", SNUG_SLICE(it.key));
    }
    return SNUG_OK;
}

/* Some ways to begin an adapter change the model's weights too, which its file does not say. */
static snug_status check_start(const adapter *x)
{
    static const char *const fine[] = {"gaussian", "eva", "orthogonal"};
    snug_slice               how;
    if (!snug_json_to_str(snug_json_get(x->config, "init_lora_weights"), &how)) return SNUG_OK;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (snug_eq_str(how, fine[i])) return SNUG_OK;
    return snug_fail(x->err, SNUG_EUNSUPPORTED,
                     "adapter_config.json: \"init_lora_weights\" \"%.*s\" is not supported: save "
                     "the adapter as a plain LoRA",
                     SNUG_SLICE(how));
}

static snug_status read_config(adapter *x, const char *dir)
{
    snug_status st = SNUG_OK;
    snug_slice  text, type;
    snug_err   *err = x->err;
    SNUG_TRY(snug_read_file(x->a, snug_arena_printf(x->a, "%s/adapter_config.json", dir).ptr,
                            CONFIG_BYTES_MAX, &text, err));
    SNUG_TRY(snug_json_parse(x->a, text, &(snug_json_opts){.flags = SNUG_JSON_NONFINITE},
                             &x->config, err));
    type = snug_json_str_or(x->config, "peft_type", SNUG_LIT("unnamed"));
    if (!snug_eq_str(type, "LORA"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "adapters of type \"%.*s\" are not supported",
                  SNUG_SLICE(type));
    SNUG_TRY(check_keys(x));
    SNUG_TRY(check_start(x));
    SNUG_TRY(cfg_bool(x->config, "use_dora", false, &x->dora, err));
    SNUG_TRY(cfg_bool(x->config, "use_rslora", false, &x->root, err));
    SNUG_TRY(cfg_real(x->config, "lora_alpha", 8.0, -1e9, 1e9, &x->alpha, err));
done:
    if (st != SNUG_OK) snug_note(err, "adapter_config.json");
    return st;
}

/* s of a module: alpha, or the alpha of the first pattern that fits its name, over its rank. */
static snug_status scale_of(const adapter *x, snug_slice module, size_t rank, float *out)
{
    double    alpha = x->alpha;
    snug_json patterns = snug_json_get(x->config, "alpha_pattern");
    for (snug_json_iter it = snug_json_iter_of(patterns); snug_json_next(&it);) {
        bool        hit;
        snug_status st = pattern_match(it.key, module, true, &hit, x->err);
        if (st != SNUG_OK) return st;
        if (!hit) continue;
        if (!snug_json_to_f64(it.value, &alpha))
            return snug_fail(x->err, SNUG_EINVAL,
                             "adapter_config.json: \"alpha_pattern\" holds no number for "
                             "\"%.*s\"",
                             SNUG_SLICE(it.key));
        break;
    }
    *out = (float)(x->root ? alpha / sqrt((double)rank) : alpha / (double)rank);
    return SNUG_OK;
}

/* ---- the adapter's tensors and the model's ---- */

static void close_map(void *p) { snug_map_deinit(p); }

static snug_status open_file(adapter *x, const char *dir)
{
    snug_status st = SNUG_OK;
    snug_err   *err = x->err;
    const char *path = snug_arena_printf(x->a, "%s/adapter_model.safetensors", dir).ptr;
    if (access(path, F_OK) != 0)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "%s holds no adapter_model.safetensors", dir);
    SNUG_TRY(snug_map_open(path, &x->map, err));
    snug_map *kept = SNUG_NEW(x->a, snug_map);
    *kept = x->map;
    snug_arena_on_free(x->a, close_map, kept);
    SNUG_TRY(codec_safetensors_parse(x->a, snug_slice_of(x->map.ptr, x->map.len), x->map.len,
                                     &x->st, err));
    x->used = snug_arena_array_try(x->a, x->st.count + 1, sizeof *x->used);
    if (x->used == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu tensors", x->st.count);
    for (size_t i = 0; i < x->st.count; i++) x->used[i] = false;
done:
    return st;
}

/* A tensor of the file as float32 in the arena. */
static snug_status read_floats(const adapter *x, const codec_tensor *t, size_t count, float **out)
{
    bool fine = t->dtype == CODEC_F32 || t->dtype == CODEC_F16 || t->dtype == CODEC_BF16 ||
                t->dtype == CODEC_F64;
    if (!fine)
        return snug_fail(x->err, SNUG_EUNSUPPORTED, "%.*s is stored as %s", SNUG_SLICE(t->name),
                         codec_dtype_name(t->dtype));
    *out = snug_arena_array_try(x->a, count + 1, sizeof **out);
    if (*out == NULL)
        return snug_fail(x->err, SNUG_ENOMEM, "no memory for %.*s", SNUG_SLICE(t->name));
    codec_to_f32(t->dtype, x->map.ptr + x->st.data_offset + t->offset, 0, count, *out);
    return SNUG_OK;
}

/* "<head><part>", with or without the adapter's name between: marks it used. */
static const codec_tensor *find_part(const adapter *x, snug_slice head, const char *part,
                                     const char *end)
{
    static const char *const names[] = {"", ".default"};
    for (size_t i = 0; i < 2; i++) {
        snug_slice full =
            snug_arena_printf(x->a, "%.*s%s%s%s", SNUG_SLICE(head), part, names[i], end);
        const codec_tensor *t = codec_safetensors_find(&x->st, full);
        if (t == NULL) continue;
        x->used[t - x->st.tensors] = true;
        return t;
    }
    return NULL;
}

/* The model's weight by the name a library gives it, which may have another prefix in the file. */
static weight *find_weight(const adapter *x, snug_slice module, const char *part)
{
    char        name[NAME_MAX_BYTES];
    const char *prefix = x->shape->arch->prefix;
    snug_slice  bare = module;
    if (snug_starts_with(bare, "model.")) bare = snug_sub(bare, 6, SIZE_MAX);
    const struct {
        const char *before;
        snug_slice  rest;
    } ways[] = {{"", module}, {"", bare}, {prefix, module}, {prefix, bare}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int n =
            snprintf(name, sizeof name, "%s%.*s%s", ways[i].before, SNUG_SLICE(ways[i].rest), part);
        if (n <= 0 || n >= (int)sizeof name) continue;
        const weight *w = weight_find(x->w, name);
        if (w != NULL) return &x->w->items[w - x->w->items];
    }
    return NULL;
}

static snug_status no_weight(const adapter *x, snug_slice module, const char *part)
{
    return snug_fail(x->err, SNUG_ECORRUPT,
                     "the adapter changes %.*s%s, which the model does not have",
                     SNUG_SLICE(module), part);
}

static void replace(weight *w, const float *values, uint64_t count)
{
    w->blocks = false;
    w->stored = CODEC_F32;
    w->size = count * sizeof *values;
    w->data = (const char *)values;
}

/* A weight of the model as float32 that may be changed. */
static snug_status widen(const adapter *x, weight *w, float **out)
{
    snug_status   st = SNUG_OK;
    weight_scales scales;
    uint64_t      count = 1;
    snug_err     *err = x->err;
    for (unsigned i = 0; i < w->rank && i < TENSOR_RANK_MAX; i++) count *= w->shape[i];
    *out = count > TENSOR_BYTES_MAX / sizeof **out
               ? NULL
               : snug_arena_array_try(x->a, (size_t)count + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %.*s", SNUG_SLICE(w->name));
    SNUG_TRY(weight_find_scales(x->w, w, x->base, &scales, err));
    if (!weight_to_f32(w, 0, count, *out))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%.*s holds no numbers an adapter can change",
                  SNUG_SLICE(w->name));
    weight_apply_scales(w, &scales, 0, count, *out);
    replace(w, *out, count);
done:
    return st;
}

/* Another weight in the map. */
static snug_status add_weight(const adapter *x, const weight *like, const char *name, weight **out)
{
    weight *items = snug_arena_array_try(x->a, x->w->count + 1, sizeof *items);
    if (items == NULL)
        return snug_fail(x->err, SNUG_ENOMEM, "no memory for %zu weights", x->w->count + 1);
    weight copy = *like;
    memcpy(items, x->w->items, x->w->count * sizeof *items);
    copy.name = snug_arena_printf(x->a, "%s", name);
    items[x->w->count] = copy;
    x->w->items = items;
    x->w->count++;
    snug_status   st = weight_map_sort(x->w, x->err);
    const weight *made = st == SNUG_OK ? weight_find(x->w, name) : NULL;
    if (out != NULL && made != NULL) *out = &x->w->items[made - x->w->items];
    return st;
}

static bool is_embedding(snug_slice module)
{
    return snug_ends_with(module, "embed_tokens") || snug_ends_with(module, "wte") ||
           snug_ends_with(module, "embed_in") || snug_ends_with(module, "embeddings") ||
           snug_ends_with(module, "word_embeddings");
}

/* In a model whose head is its embeddings, an adapter changes one of them: they part, and the head
 * gets a weight of its own, before that. */
static snug_status part_head(adapter *x, snug_slice module)
{
    static const char *const tables[] = {"embed_tokens.weight", "wte.weight", "embed_in.weight",
                                         "embeddings.weight", "word_embeddings.weight"};
    bool                     head = snug_eq_str(module, "lm_head"), together;
    snug_status st = cfg_bool(x->config, "ensure_weight_tying", false, &together, x->err);
    if (st != SNUG_OK || !x->shape->tied || x->shape->head != MODEL_HEAD_CAUSAL_LM ||
        !(head || is_embedding(module)) || together)
        return st;
    x->shape->tied = false;
    const weight *table = NULL;
    for (size_t i = 0; table == NULL && i < x->w->count; i++)
        for (size_t k = 0; k < sizeof tables / sizeof *tables; k++)
            if (snug_ends_with(x->w->items[i].name, tables[k]) && x->w->items[i].rank == 2)
                table = &x->w->items[i];
    if (table == NULL) return no_weight(x, module, ".weight");
    weight *own = find_weight(x, SNUG_LIT("lm_head"), ".weight"); /* a copy that was ignored */
    if (own == NULL) return add_weight(x, table, "lm_head.weight", NULL);
    snug_slice name = own->name;
    *own = *table;
    own->name = name;
    return SNUG_OK;
}

/* ---- what a module's tensors do ---- */

typedef struct low_rank {
    size_t n, in, rank; /* B [n, rank], A [rank, in] */
    float *a, *b, scale;
} low_rank;

static snug_status read_low_rank(const adapter *x, snug_slice module, const codec_tensor *ta,
                                 const codec_tensor *tb, low_rank *out)
{
    snug_status st = SNUG_OK;
    snug_err   *err = x->err;
    if (ta == NULL || tb == NULL || ta->rank != 2 || tb->rank != 2 ||
        ta->shape[0] != tb->shape[1] || ta->shape[0] == 0 || ta->shape[0] > RANK_MAX)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the adapter's matrices for %.*s do not fit each other",
                  SNUG_SLICE(module));
    *out = (low_rank){
        .n = (size_t)tb->shape[0], .in = (size_t)ta->shape[1], .rank = (size_t)ta->shape[0]};
    SNUG_TRY(read_floats(x, ta, out->rank * out->in, &out->a)); /* their bytes are in the file */
    SNUG_TRY(read_floats(x, tb, out->n * out->rank, &out->b));
    SNUG_TRY(scale_of(x, module, out->rank, &out->scale));
done:
    return st;
}

/* values [n, in], or turned over [in, n], += s B A. */
static void add_product(const low_rank *l, bool turned, float *values, float *row)
{
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < l->in; k++) row[k] = 0.0f;
        for (size_t r = 0; r < l->rank; r++) {
            float        f = l->b[i * l->rank + r];
            const float *a = l->a + r * l->in;
            for (size_t k = 0; k < l->in; k++) row[k] += f * a[k];
        }
        for (size_t k = 0; k < l->in; k++)
            values[turned ? k * l->n + i : i * l->in + k] += l->scale * row[k];
    }
}

/* Each output's weights at the length of its magnitude. */
static snug_status set_magnitudes(const adapter *x, snug_slice head, const low_rank *l, bool turned,
                                  float *values)
{
    static const char *const ends[] = {".weight", ""};
    const codec_tensor      *t = NULL;
    float                   *m;
    for (size_t i = 0; t == NULL && i < 2; i++)
        t = find_part(x, head, ".lora_magnitude_vector", ends[i]);
    if (t == NULL || t->rank != 1 || t->shape[0] != l->n)
        return snug_fail(x->err, SNUG_ECORRUPT, "%.*s has no magnitudes that fit",
                         SNUG_SLICE(head));
    snug_status st = read_floats(x, t, l->n, &m);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; i < l->n; i++) {
        double squares = 0.0;
        for (size_t k = 0; k < l->in; k++) {
            float v = values[turned ? k * l->n + i : i * l->in + k];
            squares += (double)v * (double)v;
        }
        float f = m[i] / (float)sqrt(squares);
        for (size_t k = 0; k < l->in; k++) values[turned ? k * l->n + i : i * l->in + k] *= f;
    }
    return SNUG_OK;
}

/* lora_bias: the base's bias += s times that of B. */
static snug_status add_bias(const adapter *x, snug_slice head, snug_slice module, const low_rank *l)
{
    const codec_tensor *t = find_part(x, head, ".lora_B", ".bias");
    float              *extra, *values;
    if (t == NULL) return SNUG_OK;
    weight *base = find_weight(x, module, ".bias");
    if (base == NULL || base->rank != 1 || base->shape[0] != l->n || t->rank != 1 ||
        t->shape[0] != l->n || x->dora)
        return snug_fail(x->err, SNUG_EUNSUPPORTED,
                         "a LoRA bias for %.*s, which has none, is not supported",
                         SNUG_SLICE(module));
    snug_status st = read_floats(x, t, l->n, &extra);
    if (st == SNUG_OK) st = widen(x, base, &values);
    for (size_t i = 0; st == SNUG_OK && i < l->n; i++) values[i] += l->scale * extra[i];
    return st;
}

/* "base_model.model.<module>", without what peft's wrappers put in between. */
static snug_slice module_of(const adapter *x, snug_slice head)
{
    static const char *const inner[] = {".base_layer", ".modules_to_save.default",
                                        ".modules_to_save"};
    if (snug_starts_with(head, "base_model.model.")) head = snug_sub(head, 17, SIZE_MAX);
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        if (snug_ends_with(head, inner[i])) head = snug_sub(head, 0, head.len - strlen(inner[i]));
    return snug_arena_printf(x->a, "%.*s", SNUG_SLICE(head));
}

static snug_status apply_linear(adapter *x, snug_slice head)
{
    snug_status st = SNUG_OK;
    snug_err   *err = x->err;
    snug_slice  module = module_of(x, head);
    low_rank    l;
    float      *values, *row;
    SNUG_TRY(part_head(x, module));
    SNUG_TRY(read_low_rank(x, module, find_part(x, head, ".lora_A", ".weight"),
                           find_part(x, head, ".lora_B", ".weight"), &l));
    weight *w = find_weight(x, module, ".weight");
    if (w == NULL) return no_weight(x, module, ".weight");
    bool turned = x->conv1d && !snug_eq_str(module, "lm_head");
    if (w->rank != 2 || w->shape[turned ? 1 : 0] != l.n || w->shape[turned ? 0 : 1] != l.in)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the adapter's matrices do not fit %.*s",
                  SNUG_SLICE(w->name));
    SNUG_TRY(widen(x, w, &values));
    row = snug_arena_array_try(x->a, l.in + 1, sizeof *row);
    if (row == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for a row of %zu", l.in);
    add_product(&l, turned, values, row);
    if (x->dora) SNUG_TRY(set_magnitudes(x, head, &l, turned, values));
    SNUG_TRY(add_bias(x, head, module, &l));
done:
    return st;
}

/* Embeddings keep A [r, V] and B [E, r] without ".weight". */
static snug_status apply_embedding(adapter *x, snug_slice head)
{
    snug_status st = SNUG_OK;
    snug_err   *err = x->err;
    snug_slice  module = module_of(x, head);
    low_rank    l;
    float      *values, *row;
    if (x->dora)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "DoRA over %.*s is not supported", SNUG_SLICE(module));
    SNUG_TRY(part_head(x, module));
    SNUG_TRY(read_low_rank(x, module, find_part(x, head, ".lora_embedding_A", ""),
                           find_part(x, head, ".lora_embedding_B", ""), &l));
    weight *w = find_weight(x, module, ".weight");
    if (w == NULL) return no_weight(x, module, ".weight");
    if (w->rank != 2 || w->shape[0] != l.in || w->shape[1] != l.n)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the adapter's matrices do not fit %.*s",
                  SNUG_SLICE(w->name));
    SNUG_TRY(widen(x, w, &values));
    row = snug_arena_array_try(x->a, l.in + 1, sizeof *row);
    if (row == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for a row of %zu", l.in);
    add_product(&l, true, values, row);
done:
    return st;
}

/* A tensor stored whole: a module to save, or a bias. */
static snug_status apply_whole(adapter *x, size_t index)
{
    snug_status         st = SNUG_OK;
    const codec_tensor *t = &x->st.tensors[index];
    const char         *part = snug_ends_with(t->name, ".bias") ? ".bias" : ".weight";
    uint64_t            count = 1;
    float              *values;
    if (!snug_ends_with(t->name, part) || t->rank > TENSOR_RANK_MAX)
        return snug_fail(x->err, SNUG_EUNSUPPORTED, "the adapter's tensor %.*s is not supported",
                         SNUG_SLICE(t->name));
    snug_slice module = module_of(x, snug_sub(t->name, 0, t->name.len - strlen(part)));
    if (part[1] == 'w') SNUG_TRY(part_head(x, module));
    weight *w = find_weight(x, module, part);
    if (w == NULL) return no_weight(x, module, part);
    bool fits = w->rank == t->rank;
    for (unsigned i = 0; fits && i < t->rank; i++) {
        fits = w->shape[i] == t->shape[i];
        count *= t->shape[i];
    }
    if (!fits)
        return snug_fail(x->err, SNUG_ECORRUPT,
                         "the adapter's %.*s has another shape than the "
                         "model's",
                         SNUG_SLICE(t->name));
    SNUG_TRY(read_floats(x, t, (size_t)count, &values));
    replace(w, values, count);
    x->used[index] = true;
done:
    return st;
}

/* The part of a name before `mark`; empty: it has none. */
static snug_slice before(snug_slice name, const char *mark)
{
    size_t n = strlen(mark);
    for (size_t i = 0; i + n <= name.len; i++)
        if (memcmp(name.ptr + i, mark, n) == 0) return snug_sub(name, 0, i);
    return SNUG_EMPTY;
}

snug_status adapter_apply(snug_arena *a, const char *dir, snug_json config, model_shape *shape,
                          weight_map *w, snug_err *err)
{
    snug_status st = SNUG_OK;
    adapter     x = {.a = a, .base = config, .shape = shape, .w = w, .err = err};
    snug_slice  type = snug_json_str_or(config, "model_type", SNUG_EMPTY);
    x.conv1d = snug_eq_str(type, "gpt2") && !w->turned; /* weights [in, n] */
    SNUG_TRY(read_config(&x, dir));
    SNUG_TRY(open_file(&x, dir));
    /* Whole tensors first: a LoRA over a saved module would be over the saved one. */
    for (size_t i = 0; i < x.st.count; i++)
        if (before(x.st.tensors[i].name, ".lora_").len == 0) SNUG_TRY(apply_whole(&x, i));
    for (size_t i = 0; i < x.st.count; i++) {
        snug_slice name = x.st.tensors[i].name, linear = before(name, ".lora_A"),
                   rows = before(name, ".lora_embedding_A");
        if (x.used[i]) continue;
        if (linear.len > 0) SNUG_TRY(apply_linear(&x, linear));
        if (rows.len > 0) SNUG_TRY(apply_embedding(&x, rows));
    }
    for (size_t i = 0; i < x.st.count; i++)
        if (!x.used[i])
            SNUG_FAIL(err, SNUG_ECORRUPT, "the adapter's tensor %.*s belongs to nothing",
                      SNUG_SLICE(x.st.tensors[i].name));
done:
    if (st != SNUG_OK) snug_note(err, "the adapter %s", dir);
    return st;
}
