/* SPDX-License-Identifier: Apache-2.0 */
/* model/model.c - opening a checkpoint folder, and the gate in front of every forward pass.
 *
 * For:     infer/.
 * Owns:    the model's arena, weights and workspace; the device is the caller's.
 * Threads: one at a time, as the device.
 * Truth:   an architecture's forward sees ids inside the vocabulary and positions inside the
 *          limits. */
#include "model/adapter_int.h"
#include "model/gguf_int.h"

#include <stdlib.h>
#include <unistd.h>

/* Of one forward pass; a limit against runaway inputs, not a plan. */
#define ACTIVATION_BYTES_MAX ((size_t)1 << 38)
#define KV_BYTES_MAX ((size_t)1 << 34) /* when the machine does not say how much it has */

snug_status model_read_json(snug_arena *a, const char *dir, snug_json *config, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text;
    SNUG_TRY(snug_read_file(a, snug_arena_printf(a, "%s/config.json", dir).ptr,
                            MODEL_CONFIG_BYTES_MAX, &text, err));
    /* Python writes NaN and Infinity into configs now and then. */
    SNUG_TRY(
        snug_json_parse(a, text, &(snug_json_opts){.flags = SNUG_JSON_NONFINITE}, config, err));
done:
    return st;
}

snug_status model_read_config(snug_arena *a, const char *dir, snug_slice class_name,
                              snug_json *config, model_shape *shape, snug_err *err)
{
    snug_status st = SNUG_OK;
    const char *wrapper;
    SNUG_TRY(model_read_json(a, dir, config, err));
    SNUG_TRY(nested_config(a, config, &wrapper, err));
    if (wrapper != NULL && snug_eq_str(class_name, wrapper)) class_name = SNUG_EMPTY;
    SNUG_TRY(model_parse(*config, class_name, shape, err));
    shape->wrapper = wrapper;
done:
    return st;
}

snug_status model_peek(snug_arena *a, const char *dir, model_shape *out, snug_err *err)
{
    snug_json config;
    return model_read_config(a, dir, SNUG_EMPTY, &config, out, err);
}

static snug_status open_folder(model *m, const char *dir, snug_slice class_name, weight_map **w,
                               snug_err *err)
{
    snug_status st = model_read_config(m->arena, dir, class_name, &m->config, &m->shape, err);
    return st != SNUG_OK ? st : weight_map_open(m->arena, dir, w, err);
}

static snug_status open_gguf(model *m, const char *path, snug_slice class_name, weight_map **w,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    gguf_src    g;
    SNUG_TRY(gguf_open(m->arena, path, &g, err));
    SNUG_TRY(gguf_config(&g, &m->config, err));
    SNUG_TRY(model_parse(m->config, class_name, &m->shape, err));
    gguf_adjust(&g, &m->shape);
    SNUG_TRY(gguf_weights(&g, w, err));
done:
    return st;
}

const char *model_find_gguf(snug_arena *a, const char *path)
{
    snug_slice s = snug_str(path);
    if (snug_ends_with(s, ".gguf")) return gguf_first_part(a, path);
    if (access(snug_arena_printf(a, "%s/model.safetensors", path).ptr, F_OK) == 0 ||
        access(snug_arena_printf(a, "%s/model.safetensors.index.json", path).ptr, F_OK) == 0)
        return NULL;
    return gguf_in_folder(a, path);
}

static void make_pool(model *m);

snug_status model_open(const char *path, snug_slice class_name, tensor_dev *d, model **out,
                       snug_err *err)
{
    return model_open_adapted(path, NULL, class_name, d, out, err);
}

snug_status model_open_adapted(const char *path, const char *adapter, snug_slice class_name,
                               tensor_dev *d, model **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    weight_map *w = NULL;
    snug_arena *a = snug_arena_new();
    model      *m = SNUG_NEW(a, model);
    *m = (model){.arena = a, .dev = d, .space = tensor_space_new(d, ACTIVATION_BYTES_MAX)};
    *out = NULL;

    const char *gguf = model_find_gguf(a, path);
    SNUG_TRY(gguf != NULL ? open_gguf(m, gguf, class_name, &w, err)
                          : open_folder(m, path, class_name, &w, err));
    if (adapter != NULL) SNUG_TRY(adapter_apply(a, adapter, m->config, &m->shape, w, err));
    SNUG_TRY(nested_weights(a, &m->shape, w, err));
    SNUG_TRY(m->shape.arch->bind(m, w, err));
    make_pool(m);
    *out = m;
    m = NULL; /* moved to the caller */
done:
    if (st != SNUG_OK) snug_note(err, "loading %s", path);
    model_close(m);
    return st;
}

void model_close(model *m)
{
    if (m == NULL) return;
    for (struct owned *o = m->owned; o != NULL; o = o->next) tensor_free(&o->t);
    tensor_space_free(m->space);
    nn_pool_free(m->pool);
    snug_arena_free(m->arena); /* m lives in it */
}

const model_shape *model_shape_of(const model *m) { return &m->shape; }
snug_json          model_config(const model *m) { return m->config; }
tensor_dev        *model_dev(const model *m) { return m->dev; }
size_t             model_weight_bytes(const model *m) { return m->weight_bytes; }

/* What each layer keeps for the positions seen. */
static size_t layers_kept(const model *m, nn_keep **each)
{
    const model_shape *s = &m->shape;
    bool               reads = s->head == MODEL_HEAD_SEQ2SEQ;
    size_t             layers = reads ? s->decoder_layers : s->layers;
    *each = snug_zalloc(layers * sizeof **each); /* <= MODEL_LAYERS_MAX */
    for (size_t i = 0; i < layers; i++)
        (*each)[i] = (nn_keep){.heads = reads ? s->decoder_heads : s->kv_heads,
                               .k_width = s->head_dim,
                               .v_width = s->value_dim == 0 ? s->head_dim : s->value_dim};
    if (s->arch->keeps != NULL) s->arch->keeps(m, *each);
    return layers;
}

static void make_pool(model *m)
{
    long     pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    nn_keep *each;
    if (m->shape.head != MODEL_HEAD_CAUSAL_LM && m->shape.head != MODEL_HEAD_SEQ2SEQ) return;
    size_t memory = pages > 0 && size > 0 ? (size_t)pages * (size_t)size : KV_BYTES_MAX;
    size_t layers = layers_kept(m, &each);
    m->pool = nn_pool_new(m->dev, each, layers, memory / 4 * 3);
    free(each);
}

void model_limit_kv(model *m, size_t bytes_max)
{
    if (m->pool != NULL) nn_pool_limit(m->pool, bytes_max);
}

snug_status model_new_kv(const model *m, size_t batch, size_t positions_max, nn_kv **out,
                         snug_err *err)
{
    nn_keep *each;
    if (m->pool == NULL)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not generate", m->shape.class_name);
    nn_kv_conf conf = {.layers = layers_kept(m, &each),
                       .batch = batch,
                       .positions_max = positions_max,
                       .pool = m->pool,
                       .dtype = TENSOR_F32};
    conf.each = each;
    snug_status st = nn_kv_new(m->dev, &conf, out, err);
    free(each);
    return st;
}

static snug_status check_positions(const model_shape *s, const model_batch *in, size_t held,
                                   snug_err *err)
{
    bool   table = s->rope.width == 0 && !s->relative;
    size_t limit = table ? s->positions_max : MODEL_POSITIONS_MAX,
           room = table ? limit - s->position_first : limit;
    if (in->positions == NULL && held + in->times > room)
        return snug_fail(err, SNUG_EINVAL, "%zu tokens; %s reads at most %zu", held + in->times,
                         s->class_name, room);
    if (s->keys_max > 0 && held + in->times > s->keys_max)
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "%zu tokens; past %zu %s attends to some of them, which is not supported",
                         held + in->times, s->keys_max, s->class_name);
    for (size_t i = 0; in->positions != NULL && i < in->batch * in->times; i++)
        if (in->positions[i] < 0 || (size_t)in->positions[i] >= limit)
            return snug_fail(err, SNUG_EINVAL, "position %d is outside [0, %zu)",
                             (int)in->positions[i], limit);
    return SNUG_OK;
}

static snug_status check_batch(const model *m, const model_batch *in, snug_err *err)
{
    const model_shape *s = &m->shape;
    size_t             tokens, held = in->kv == NULL ? 0 : nn_kv_count(in->kv);
    if (in->batch == 0 || in->times == 0) return snug_fail(err, SNUG_EINVAL, "no tokens");
    if (snug_mul(in->batch, in->times, &tokens) || tokens > MODEL_BATCH_TOKENS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d tokens in one step",
                         MODEL_BATCH_TOKENS_MAX);
    if (in->kv != NULL && nn_kv_batch(in->kv) != in->batch)
        return snug_fail(err, SNUG_EINVAL, "a batch of %zu with a cache for %zu", in->batch,
                         nn_kv_batch(in->kv));
    if (in->memory != NULL && (s->arch->encode == NULL || in->batch % in->memory->batch != 0))
        return snug_fail(err, SNUG_EINVAL, "%s cannot use what was read", s->class_name);
    if (s->head == MODEL_HEAD_SEQ2SEQ && in->memory == NULL) {
        if (in->decoder_ids == NULL || in->decoder_times == 0)
            return snug_fail(err, SNUG_EINVAL, "%s wants decoder_input_ids", s->class_name);
        size_t n;
        if (snug_mul(in->batch, in->decoder_times, &n) || n > MODEL_BATCH_TOKENS_MAX)
            return snug_fail(err, SNUG_ELIMIT, "more than %d tokens in one step",
                             MODEL_BATCH_TOKENS_MAX);
        for (size_t i = 0; i < n; i++)
            if (in->decoder_ids[i] < 0 || (size_t)in->decoder_ids[i] >= s->vocab)
                return snug_fail(err, SNUG_EINVAL, "token id %d is outside the vocabulary of %zu",
                                 (int)in->decoder_ids[i], s->vocab);
        if (!s->relative && in->decoder_times > s->positions_max - s->position_first)
            return snug_fail(err, SNUG_EINVAL, "%zu tokens; %s reads at most %zu",
                             in->decoder_times, s->class_name,
                             s->positions_max - s->position_first);
    } else if (in->decoder_ids != NULL) {
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s takes no decoder_input_ids", s->class_name);
    }
    if (in->kv != NULL && s->head != MODEL_HEAD_CAUSAL_LM && in->memory == NULL)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s takes no cache", s->class_name);
    for (size_t i = 0; i < tokens; i++)
        if (in->ids[i] < 0 || (size_t)in->ids[i] >= s->vocab)
            return snug_fail(err, SNUG_EINVAL, "token id %d is outside the vocabulary of %zu",
                             (int)in->ids[i], s->vocab);
    for (size_t i = 0; in->types != NULL && i < tokens; i++)
        if (in->types[i] < 0 || (size_t)in->types[i] >= (s->types == 0 ? 1 : s->types))
            return snug_fail(err, SNUG_EINVAL, "token type %d; %s knows %zu", (int)in->types[i],
                             s->class_name, s->types);
    return check_positions(s, in, held, err);
}

snug_status model_forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    *out = (model_out){0};
    snug_status st = check_batch(m, in, err);
    if (st != SNUG_OK) return st;
    tensor_space_reset(m->space);
    st = m->shape.arch->forward(m, in, out, err);
    if (st == SNUG_OK) st = tensor_sync(m->dev, err);
    if (st == SNUG_OK && in->kv != NULL) nn_kv_advance(in->kv, in->times);
    return st;
}

/* ---- what an encoder read ---- */

void model_memory_free(model_memory *mem)
{
    if (mem == NULL) return;
    for (size_t i = 0; mem->owned && i < mem->layers; i++) {
        tensor_free(&mem->k[i]);
        tensor_free(&mem->v[i]);
    }
    if (mem->owned) tensor_free(&mem->mask);
    free(mem->k);
    free(mem->v);
    free(mem);
}

/* The workspace is reused by the next step: what stays moves out of it. */
static snug_status keep(model *m, const tensor *from, tensor *out, snug_err *err)
{
    snug_status st = tensor_new(m->dev, TENSOR_F32, from->rank, from->shape, out, err);
    return st != SNUG_OK ? st : tensor_copy(m->dev, from, out, err);
}

snug_status model_encode(model *m, const model_batch *in, model_memory **out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_memory read = {0}, *mem = snug_zalloc(sizeof *mem);
    int32_t      start = (int32_t)m->shape.start;
    model_batch  checked = *in;
    *out = NULL;
    if (m->shape.arch->encode == NULL || m->shape.head != MODEL_HEAD_SEQ2SEQ)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s has no encoder to read with", m->shape.class_name);
    for (size_t i = 0; i < in->batch;
         i++) { /* the rows one by one: the gate wants a decoder's too */
        checked = *in;
        checked.batch = 1, checked.ids += i * in->times;
        checked.decoder_ids = &start, checked.decoder_times = 1;
        SNUG_TRY(check_batch(m, &checked, err));
    }
    tensor_space_reset(m->space);
    *mem =
        (model_memory){.batch = in->batch, .times = in->times, .layers = m->shape.decoder_layers};
    mem->k = snug_zalloc(mem->layers * sizeof *mem->k); /* <= MODEL_LAYERS_MAX */
    mem->v = snug_zalloc(mem->layers * sizeof *mem->v);
    mem->owned = true;
    read = *mem;
    read.k = snug_zalloc(mem->layers * sizeof *read.k);
    read.v = snug_zalloc(mem->layers * sizeof *read.v);
    SNUG_TRY(m->shape.arch->encode(m, in, &read, err));
    for (size_t i = 0; i < mem->layers; i++) {
        SNUG_TRY(keep(m, &read.k[i], &mem->k[i], err));
        SNUG_TRY(keep(m, &read.v[i], &mem->v[i], err));
    }
    if (in->mask != NULL)
        SNUG_TRY(tensor_new_from(m->dev, TENSOR_I32, TENSOR_DIMS(in->batch, in->times), in->mask,
                                 false, &mem->mask, err));
    SNUG_TRY(tensor_sync(m->dev, err));
    *out = mem;
    mem = NULL; /* moved to the caller */
done:
    free(read.k);
    free(read.v);
    model_memory_free(mem);
    return st;
}

const tensor *model_out_find(const model_out *out, const char *name)
{
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->item[i].name, name) == 0) return &out->item[i].value;
    return NULL;
}
