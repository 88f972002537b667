/* SPDX-License-Identifier: Apache-2.0 */
/* infer/sentence.c - from the states of tokens to the vector of a text.
 *
 *   modules.json: a list of {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
 *     Transformer  sentence_bert_config.json: max_seq_length, do_lower_case
 *     Pooling      config.json: cls, max, mean, mean_sqrt_len, weightedmean, lasttoken; several are
 *                  put one behind the other in this order
 *     Dense        config.json, model.safetensors: linear.weight [out, in], linear.bias [out]
 *     Normalize    length 1
 *   config_sentence_transformers.json: prompts, default_prompt_name
 *
 * For:     task/features.c, task/ranking.c.
 * Owns:    the modules' weights, copied to the host: they are small beside the encoder's.
 * Threads: as the context.
 * Source:  sentence-transformers 5.1. */
#include "infer/sentence.h"

#include <math.h>
#include <stdlib.h>

#include "codec/codec.h"

enum { MODULES_MAX = 16, DENSE_BYTES_MAX = 1 << 30, WIDTH_MAX = 1 << 17 };

typedef enum pool_bit {
    POOL_CLS = 1,
    POOL_MAX = 2,
    POOL_MEAN = 4,
    POOL_MEAN_SQRT = 8,
    POOL_WEIGHTED = 16,
    POOL_LAST = 32
} pool_bit;

typedef struct module {
    enum { MODULE_POOL, MODULE_DENSE, MODULE_NORMALIZE } kind;
    unsigned modes; /* of pool_bit */
    bool     with_prompt;
    size_t   in, out;
    float   *weight, *bias; /* [out, in], [out] */
    enum { DENSE_IDENTITY, DENSE_TANH, DENSE_RELU, DENSE_GELU, DENSE_SIGMOID } act;
} module;

struct sentence {
    module     list[MODULES_MAX];
    size_t     count;
    size_t     tokens_max; /* 0: not said */
    snug_json  prompts;
    snug_slice default_prompt;
};

/* ---- reading a folder ---- */

static bool is_plain_path(snug_slice s)
{
    return s.len < 200 && snug_find(s, SNUG_LIT("..")) == SIZE_MAX && !snug_starts_with(s, "/") &&
           snug_index(s, '\0') == SIZE_MAX;
}

static snug_status read_pool(snug_arena *a, const char *dir, module *m, snug_err *err)
{
    static const struct {
        const char *key, *mode;
        pool_bit    bit;
    } modes[] = {{"pooling_mode_cls_token", "cls", POOL_CLS},
                 {"pooling_mode_max_tokens", "max", POOL_MAX},
                 {"pooling_mode_mean_tokens", "mean", POOL_MEAN},
                 {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", POOL_MEAN_SQRT},
                 {"pooling_mode_weightedmean_tokens", "weightedmean", POOL_WEIGHTED},
                 {"pooling_mode_lasttoken", "lasttoken", POOL_LAST}};
    snug_json   v;
    snug_slice  one;
    snug_status st = infer_read_json(a, dir, "config.json", &v, err);
    if (st != SNUG_OK) return st;
    m->kind = MODULE_POOL;
    m->with_prompt = snug_json_bool_or(v, "include_prompt", true);
    bool named = snug_json_to_str(snug_json_get(v, "pooling_mode"), &one);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (named ? snug_eq_str(one, modes[i].mode) : snug_json_bool_or(v, modes[i].key, false))
            m->modes |= (unsigned)modes[i].bit;
    if (m->modes == 0) return snug_fail(err, SNUG_EUNSUPPORTED, "a pooling without a known mode");
    return SNUG_OK;
}

static snug_status read_act(snug_slice name, module *m, snug_err *err)
{
    static const struct {
        const char *end;
        int         act;
    } acts[] = {{"Identity", DENSE_IDENTITY},
                {"Tanh", DENSE_TANH},
                {"ReLU", DENSE_RELU},
                {"GELU", DENSE_GELU},
                {"Sigmoid", DENSE_SIGMOID}};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (!snug_ends_with(name, acts[i].end)) continue;
        m->act = acts[i].act;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "a dense layer with the activation \"%.*s\"",
                     SNUG_SLICE(name));
}

static snug_status take_tensor(snug_slice file, const codec_safetensors *st, const char *name,
                               size_t count, float **out, snug_err *err)
{
    const codec_tensor *t = codec_safetensors_find(st, snug_str(name));
    uint64_t            n = t == NULL ? 0 : 1;
    for (unsigned i = 0; t != NULL && i < t->rank; i++) n *= t->shape[i];
    if (t == NULL || n != count)
        return snug_fail(err, SNUG_ECORRUPT, "%s of a dense layer does not hold %zu numbers", name,
                         count);
    *out = snug_alloc_try(count * sizeof **out);
    if (*out == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a dense layer");
    codec_to_f32(t->dtype, file.ptr + st->data_offset + t->offset, 0, count, *out);
    return SNUG_OK;
}

static snug_status read_dense(snug_arena *a, const char *dir, module *m, snug_err *err)
{
    snug_status       st = SNUG_OK;
    snug_json         v;
    uint64_t          in = 0, out = 0;
    snug_slice        file;
    codec_safetensors weights;
    m->kind = MODULE_DENSE;
    SNUG_TRY(infer_read_json(a, dir, "config.json", &v, err));
    SNUG_TRY(snug_json_need_u64(v, "in_features", &in, err));
    SNUG_TRY(snug_json_need_u64(v, "out_features", &out, err));
    if (in == 0 || out == 0 || in > WIDTH_MAX || out > WIDTH_MAX ||
        in * out > DENSE_BYTES_MAX / sizeof(float))
        SNUG_FAIL(err, SNUG_ELIMIT, "a dense layer of %llu x %llu", (unsigned long long)out,
                  (unsigned long long)in);
    m->in = (size_t)in;
    m->out = (size_t)out;
    SNUG_TRY(read_act(snug_json_str_or(v, "activation_function", SNUG_LIT("Tanh")), m, err));
    SNUG_TRY(snug_read_file(a, snug_arena_printf(a, "%s/model.safetensors", dir).ptr,
                            DENSE_BYTES_MAX, &file, err));
    SNUG_TRY(codec_safetensors_parse(a, file, file.len, &weights, err));
    SNUG_TRY(take_tensor(file, &weights, "linear.weight", m->in * m->out, &m->weight, err));
    if (snug_json_bool_or(v, "bias", true))
        SNUG_TRY(take_tensor(file, &weights, "linear.bias", m->out, &m->bias, err));
done:
    return st;
}

static snug_status read_module(snug_arena *a, const char *dir, snug_json v, sentence *s,
                               const char **body, snug_err *err)
{
    snug_slice  type = snug_json_str_or(v, "type", SNUG_EMPTY);
    snug_slice  path = snug_json_str_or(v, "path", SNUG_EMPTY);
    const char *at =
        snug_arena_printf(a, "%s%s%.*s", dir, path.len > 0 ? "/" : "", SNUG_SLICE(path)).ptr;
    if (!is_plain_path(path))
        return snug_fail(err, SNUG_ECORRUPT, "modules.json leads outside its folder");
    if (snug_ends_with(type, ".Transformer")) {
        *body = at;
        return SNUG_OK;
    }
    if (s->count == MODULES_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d modules", MODULES_MAX);
    module *m = &s->list[s->count++];
    if (snug_ends_with(type, ".Pooling")) return read_pool(a, at, m, err);
    if (snug_ends_with(type, ".Dense")) return read_dense(a, at, m, err);
    if (snug_ends_with(type, ".Normalize")) {
        m->kind = MODULE_NORMALIZE;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "the module %.*s is not computed here",
                     SNUG_SLICE(type));
}

static void free_sentence(void *p)
{
    sentence *s = p;
    for (size_t i = 0; i < s->count; i++) {
        free(s->list[i].weight);
        free(s->list[i].bias);
    }
}

static snug_status read_settings(snug_arena *a, const char *dir, const char *body, sentence *s,
                                 snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   v;
    uint64_t    most = 0;
    SNUG_TRY(infer_read_json(a, body, "sentence_bert_config.json", &v, err));
    if (snug_json_to_u64(snug_json_get(v, "max_seq_length"), &most) && most <= MODEL_POSITIONS_MAX)
        s->tokens_max = (size_t)most;
    if (snug_json_bool_or(v, "do_lower_case", false))
        SNUG_FAIL(
            err, SNUG_EUNSUPPORTED,
            "sentence_bert_config.json asks for `do_lower_case`, which only tokenizers do here");
    SNUG_TRY(infer_read_json(a, dir, "config_sentence_transformers.json", &v, err));
    s->prompts = snug_json_get(v, "prompts");
    s->default_prompt = snug_json_str_or(v, "default_prompt_name", SNUG_EMPTY);
done:
    return st;
}

snug_status sentence_open(snug_arena *a, const char *dir, sentence **out, const char **body,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   modules;
    *out = NULL;
    *body = dir;
    SNUG_TRY(infer_read_json(a, dir, "modules.json", &modules, err));
    if (!snug_json_is(modules, SNUG_JSON_ARRAY)) goto done;
    sentence *s = snug_arena_zalloc(a, sizeof *s);
    snug_arena_on_free(a, free_sentence, s);
    for (size_t i = 0; i < snug_json_count(modules); i++)
        SNUG_TRY(read_module(a, dir, snug_json_at(modules, i), s, body, err));
    SNUG_TRY(read_settings(a, dir, *body, s, err));
    *out = s;
done:
    return st;
}

/* ---- one text ---- */

snug_status sentence_need_body(const infer_ctx *c, snug_err *err)
{
    const model_shape *s = model_shape_of(c->model);
    if (s->head == MODEL_HEAD_NONE) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "%s gives no vectors: it has a head of its own",
                     s->class_name);
}

static size_t tokens_max(const infer_ctx *c)
{
    size_t most = infer_context_max(c);
    return c->sentence != NULL && c->sentence->tokens_max > 0 && c->sentence->tokens_max < most
               ? c->sentence->tokens_max
               : most;
}

static snug_status find_prompt(const infer_ctx *c, const sentence_opts *o, snug_slice *out,
                               snug_err *err)
{
    snug_slice name = o->prompt;
    *out = SNUG_EMPTY;
    if (name.len == 0 && c->sentence != NULL) name = c->sentence->default_prompt;
    if (name.len == 0) return SNUG_OK;
    if (c->sentence != NULL &&
        snug_json_to_str(snug_json_get_slice(c->sentence->prompts, name), out))
        return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "this model has no prompt named \"%.*s\"", SNUG_SLICE(name));
}

/* prompt_tokens: how many of the first tokens are the prompt's, special ones at the start included.
 */
static snug_status encode(infer_ctx *c, const sentence_opts *o, snug_slice text, tok_windows *out,
                          size_t *prompt_tokens, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(INFER_TEXT_BYTES_MAX);
    size_t         most = tokens_max(c);
    tok_truncation rule = {.strategy = TOK_LONGEST_FIRST,
                           .left = o->cut_left,
                           .length_max = (uint32_t)(most < UINT32_MAX ? most : UINT32_MAX)};
    snug_status    st = SNUG_OK;
    snug_slice     prompt;
    *prompt_tokens = 0;
    SNUG_TRY(find_prompt(c, o, &prompt, err));
    snug_buf_put_slice(&b, prompt);
    snug_buf_put_slice(&b, text);
    SNUG_TRY(snug_buf_check(&b, "a text with its prompt", err));
    SNUG_TRY(
        tok_encode_windows(c->tok, snug_buf_slice(&b), NULL, TOK_ADD_SPECIAL, &rule, out, err));
    if (out->count > 1 && !o->cut)
        SNUG_FAIL(
            err, SNUG_EINVAL,
            "the text has more than the %zu tokens this model reads (\"truncate\": true cuts it)",
            most);
    if (out->count == 0 || out->items[0].count == 0)
        SNUG_FAIL(err, SNUG_EINVAL, "the text has no tokens");
    if (prompt.len > 0) { /* the prompt alone, less the special token at its end */
        tok_ids ids = {0};
        st = tok_encode(c->tok, prompt, TOK_ADD_SPECIAL, &ids, err);
        size_t n = ids.count;
        while (st == SNUG_OK && n > 0 && ids.special[n - 1] != 0) n--;
        *prompt_tokens = n;
        tok_ids_deinit(&ids);
    }
done:
    return st;
}

static snug_status run_states(infer_ctx *c, const tok_ids *ids, float **out, size_t *width,
                              snug_err *err)
{
    static const char *const name = "last_hidden_state";
    tensor                   shape;
    snug_status              st = task_run(c, ids, &name, 1, out, &shape, err);
    if (st == SNUG_OK) *width = tensor_count(&shape) / ids->count;
    return st;
}

snug_status sentence_states(infer_ctx *c, const sentence_opts *o, snug_slice text, float **out,
                            size_t *times, size_t *width, snug_err *err)
{
    snug_status st = SNUG_OK;
    tok_windows parts = {0};
    size_t      prompt;
    SNUG_TRY(encode(c, o, text, &parts, &prompt, err));
    SNUG_TRY(run_states(c, &parts.items[0], out, width, err));
    *times = parts.items[0].count;
done:
    tok_windows_deinit(&parts);
    return st;
}

/* ---- the modules ---- */

/* One mode over the tokens from `first` on, added to the end of `out`. */
static void pool_one(pool_bit mode, const float *x, size_t first, size_t times, size_t width,
                     float *out)
{
    double weights = 0;
    if (mode == POOL_CLS || mode == POOL_LAST) {
        size_t at = mode == POOL_CLS ? first : times - 1;
        memcpy(out, x + at * width, width * sizeof *out);
        return;
    }
    for (size_t k = 0; k < width; k++) {
        double sum = 0, most = -INFINITY;
        weights = 0;
        for (size_t i = first; i < times; i++) {
            double w = mode == POOL_WEIGHTED ? (double)(i + 1) : 1.0;
            sum += w * (double)x[i * width + k];
            most = fmax(most, (double)x[i * width + k]);
            weights += w;
        }
        double by = mode == POOL_MEAN_SQRT ? sqrt(weights) : weights;
        out[k] = (float)(mode == POOL_MAX ? most : sum / fmax(by, 1e-9));
    }
}

static snug_status pool(const module *m, float **x, size_t prompt, size_t times, size_t *width,
                        snug_err *err)
{
    size_t first = m->with_prompt || prompt >= times ? 0 : prompt, n = 0, w = *width;
    for (unsigned bit = 1; bit <= POOL_LAST; bit *= 2) n += (m->modes & bit) != 0;
    float *out = snug_alloc_try(n * w * sizeof *out); /* both are bounded by the model's shape */
    if (out == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory to pool %zu tokens", times);
    n = 0;
    for (unsigned bit = 1; bit <= POOL_LAST; bit *= 2)
        if ((m->modes & bit) != 0) pool_one((pool_bit)bit, *x, first, times, w, out + w * n++);
    free(*x);
    *x = out;
    *width = n * w;
    return SNUG_OK;
}

static double activate(const module *m, double v)
{
    switch (m->act) {
    case DENSE_TANH: return tanh(v);
    case DENSE_RELU: return fmax(v, 0);
    case DENSE_GELU: return 0.5 * v * (1 + erf(v / sqrt(2)));
    case DENSE_SIGMOID: return 1 / (1 + exp(-v));
    case DENSE_IDENTITY: break;
    }
    return v;
}

static snug_status dense(const module *m, float **x, size_t *width, snug_err *err)
{
    if (*width != m->in)
        return snug_fail(err, SNUG_ECORRUPT, "a dense layer reads %zu numbers, but is given %zu",
                         m->in, *width);
    float *out = snug_alloc_try(m->out * sizeof *out);
    if (out == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu numbers", m->out);
    for (size_t o = 0; o < m->out; o++) {
        double sum = m->bias == NULL ? 0 : (double)m->bias[o];
        for (size_t i = 0; i < m->in; i++)
            sum += (double)m->weight[o * m->in + i] * (double)(*x)[i];
        out[o] = (float)activate(m, sum);
    }
    free(*x);
    *x = out;
    *width = m->out;
    return SNUG_OK;
}

static void normalize(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    double by = fmax(sqrt(sum), 1e-12);
    for (size_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / by);
}

/* States of one text, x [times, *width], to its vector, x [*width]. */
static snug_status through_modules(infer_ctx *c, const sentence_opts *o, size_t prompt,
                                   size_t times, float **x, size_t *width, snug_err *err)
{
    static const module mean = {.kind = MODULE_POOL, .modes = POOL_MEAN, .with_prompt = true};
    snug_status         st = SNUG_OK;
    const module       *list = c->sentence == NULL ? &mean : c->sentence->list;
    size_t              count = c->sentence == NULL ? 1 : c->sentence->count;
    bool                pooled = false;
    for (size_t i = 0; i < count; i++) {
        if (!pooled && list[i].kind != MODULE_POOL)
            SNUG_FAIL(err, SNUG_EUNSUPPORTED, "a module before the pooling is not computed here");
        if (list[i].kind == MODULE_POOL) SNUG_TRY(pool(&list[i], x, prompt, times, width, err));
        if (list[i].kind == MODULE_DENSE) SNUG_TRY(dense(&list[i], x, width, err));
        if (list[i].kind == MODULE_NORMALIZE) normalize(*x, *width);
        pooled = true;
    }
    if (o->dimensions > 0 && o->dimensions < *width) *width = (size_t)o->dimensions;
    if (o->normalize) normalize(*x, *width);
done:
    return st;
}

snug_status sentence_embed_all(infer_ctx *c, const sentence_opts *o, const snug_slice *texts,
                               size_t count, float **out, size_t *n, snug_err *err)
{
    snug_status     st = SNUG_OK;
    tok_windows    *parts = snug_zalloc((count + 1) * sizeof *parts); /* <= INFER_INPUTS_MAX */
    const tok_ids **ids = snug_zalloc((count + 1) * sizeof *ids);
    size_t         *prompts = snug_zalloc((count + 1) * sizeof *prompts),
           *sizes = snug_zalloc((count + 1) * sizeof *sizes);
    for (size_t i = 0; i < count; i++) out[i] = NULL;
    for (size_t i = 0; i < count; i++) {
        SNUG_TRY(encode(c, o, texts[i], &parts[i], &prompts[i], err));
        ids[i] = &parts[i].items[0];
    }
    for (size_t i = 0, pass; i < count; i += pass) { /* states are pooled before the next pass */
        pass = task_pass(c, ids + i, count - i);
        SNUG_TRY(task_run_pass(c, ids + i, pass, "last_hidden_state", out + i, sizes, err));
        for (size_t k = 0; k < pass; k++) {
            *n = sizes[k] / ids[i + k]->count;
            SNUG_TRY(through_modules(c, o, prompts[i + k], ids[i + k]->count, &out[i + k], n, err));
        }
    }
done:
    for (size_t i = 0; i < count && st != SNUG_OK; i++) {
        free(out[i]);
        out[i] = NULL;
    }
    for (size_t i = 0; i < count; i++) tok_windows_deinit(&parts[i]);
    free(parts), free(ids), free(prompts), free(sizes);
    return st;
}

snug_status sentence_embed(infer_ctx *c, const sentence_opts *o, snug_slice text, float **out,
                           size_t *n, snug_err *err)
{
    return sentence_embed_all(c, o, &text, 1, out, n, err);
}
