/* SPDX-License-Identifier: Apache-2.0 */
/* model/weights.c - names to weights over one safetensors file or many, and binding them.
 *
 * For:     the architectures' bind functions.
 * Owns:    the mappings, through the arena of the model load.
 * Threads: one load, one thread.
 * Truth:   a weight that is handed out has exactly the shape the configuration asks for, and its
 *          bytes lie inside a mapped file. */
#include "model/model_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct weight {
    snug_slice          name;
    const codec_tensor *info;
    const char         *data;
} weight;

struct weight_map {
    weight *items; /* sorted by name */
    size_t  count;
};

static int by_name(const void *a, const void *b)
{
    return snug_cmp(((const weight *)a)->name, ((const weight *)b)->name);
}

static const weight *find(const weight_map *w, const char *name)
{
    weight key = {.name = snug_str(name)};
    return w->count == 0 ? NULL : bsearch(&key, w->items, w->count, sizeof key, by_name);
}

/* ---- opening ---- */

typedef struct shard {
    snug_slice        name;
    snug_map          map;
    codec_safetensors st;
} shard;

static void close_map(void *p) { snug_map_deinit(p); }

static snug_status open_shard(snug_arena *a, const char *dir, snug_slice name, shard *out,
                              snug_err *err)
{
    snug_slice  path = snug_arena_printf(a, "%s/%.*s", dir, SNUG_SLICE(name));
    snug_status st = snug_map_open(path.ptr, &out->map, err);
    if (st == SNUG_OK) {
        snug_map *kept = SNUG_NEW(a, snug_map);
        *kept = out->map;
        snug_arena_on_free(a, close_map, kept);
        out->name = name;
        st = codec_safetensors_parse(a, snug_slice_of(out->map.ptr, out->map.len), out->map.len,
                                     &out->st, err);
    }
    if (st != SNUG_OK) snug_note(err, "%.*s", SNUG_SLICE(name));
    return st;
}

static void add(weight_map *w, const shard *s, const codec_tensor *t)
{
    w->items[w->count++] = (weight){t->name, t, s->map.ptr + s->st.data_offset + t->offset};
}

static snug_status open_single(snug_arena *a, const char *dir, weight_map *w, snug_err *err)
{
    shard       s;
    snug_status st = open_shard(a, dir, SNUG_LIT("model.safetensors"), &s, err);
    if (st != SNUG_OK) return st;
    w->items = snug_arena_array_try(a, s.st.count, sizeof *w->items);
    if (w->items == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu weights", s.st.count);
    for (size_t i = 0; i < s.st.count; i++) add(w, &s, &s.st.tensors[i]);
    return SNUG_OK;
}

/* A shard is a file of the same folder: nothing in a name may lead elsewhere. */
static bool plain_name(snug_slice s)
{
    return s.len > 0 && s.len < 256 && s.ptr[0] != '.' && snug_index(s, '/') == SIZE_MAX &&
           snug_index(s, '\0') == SIZE_MAX;
}

static snug_status shard_named(snug_arena *a, const char *dir, snug_slice name, shard *shards,
                               size_t *count, const shard **out, snug_err *err)
{
    for (size_t i = *count;
         i-- > 0;) { /* names come sorted or grouped: the last one is the likely one */
        if (!snug_eq(shards[i].name, name)) continue;
        *out = &shards[i];
        return SNUG_OK;
    }
    if (!plain_name(name))
        return snug_fail(err, SNUG_ECORRUPT, "the index names a file \"%.*s\"", SNUG_SLICE(name));
    if (*count == MODEL_SHARDS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d weight files", MODEL_SHARDS_MAX);
    snug_status st = open_shard(a, dir, name, &shards[*count], err);
    if (st != SNUG_OK) return st;
    *out = &shards[(*count)++];
    return SNUG_OK;
}

static snug_status open_sharded(snug_arena *a, const char *dir, weight_map *w, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text, file;
    snug_json   index;
    shard      *shards = NULL;
    size_t      count = 0;
    SNUG_TRY(snug_read_file(a, snug_arena_printf(a, "%s/model.safetensors.index.json", dir).ptr,
                            MODEL_INDEX_BYTES_MAX, &text, err));
    SNUG_TRY(snug_json_parse(a, text,
                             &(snug_json_opts){.flags = SNUG_JSON_BORROW | SNUG_JSON_UNIQUE,
                                               .size_max = MODEL_INDEX_BYTES_MAX},
                             &index, err));
    snug_json map = snug_json_get(index, "weight_map");
    if (!snug_json_is(map, SNUG_JSON_OBJECT))
        SNUG_FAIL(err, SNUG_ECORRUPT, "model.safetensors.index.json has no \"weight_map\"");
    w->items = snug_arena_array_try(a, snug_json_count(map), sizeof *w->items);
    shards = snug_arena_array_try(a, MODEL_SHARDS_MAX, sizeof *shards);
    if (w->items == NULL || shards == NULL)
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu weights", snug_json_count(map));
    for (snug_json_iter it = snug_json_iter_of(map); snug_json_next(&it);) {
        const shard *s = NULL;
        if (!snug_json_to_str(it.value, &file))
            SNUG_FAIL(err, SNUG_ECORRUPT, "the index gives no file for \"%.*s\"",
                      SNUG_SLICE(it.key));
        SNUG_TRY(shard_named(a, dir, file, shards, &count, &s, err));
        const codec_tensor *t = codec_safetensors_find(&s->st, it.key);
        if (t == NULL)
            SNUG_FAIL(err, SNUG_ECORRUPT, "%.*s does not hold \"%.*s\", as the index says",
                      SNUG_SLICE(file), SNUG_SLICE(it.key));
        add(w, s, t);
    }
done:
    return st;
}

snug_status weight_map_open(snug_arena *a, const char *dir, weight_map **out, snug_err *err)
{
    weight_map *w = SNUG_NEW(a, weight_map);
    bool        single = access(snug_arena_printf(a, "%s/model.safetensors", dir).ptr, F_OK) == 0;
    if (!single &&
        access(snug_arena_printf(a, "%s/model.safetensors.index.json", dir).ptr, F_OK) != 0)
        return snug_fail(err, SNUG_ENOTFOUND,
                         "no model.safetensors and no model.safetensors.index.json");
    snug_status st = single ? open_single(a, dir, w, err) : open_sharded(a, dir, w, err);
    if (st != SNUG_OK) return st;
    if (w->count > 0) qsort(w->items, w->count, sizeof *w->items, by_name);
    *out = w;
    return SNUG_OK;
}

/* ---- binding ---- */

enum { NAME_MAX_BYTES = 256 };

static const weight *lookup(const binder *b, const char *name, const char *part)
{
    char full[NAME_MAX_BYTES];
    int  n = snprintf(full, sizeof full, "%s%s%s%s", b->prefix, b->scope, name, part);
    SNUG_ASSERT(n > 0 && n < (int)sizeof full);
    const weight *w = find(b->w, full);
    return w != NULL ? w : find(b->w, full + strlen(b->prefix));
}

static bool shape_fits(const codec_tensor *t, unsigned rank, const size_t *shape)
{
    if (t->rank != rank) return false;
    for (unsigned i = 0; i < rank; i++)
        if (t->shape[i] != shape[i]) return false;
    return true;
}

static snug_status wrong_shape(const binder *b, const weight *w, unsigned rank, const size_t *shape)
{
    char   want[TENSOR_SHAPE_TEXT], have[256] = "";
    size_t n = 0;
    tensor t = {.rank = rank};
    memcpy(t.shape, shape, rank * sizeof *shape);
    for (unsigned i = 0; i < w->info->rank && n < sizeof have; i++)
        n += (size_t)snprintf(have + n, sizeof have - n, "%s%llu", i == 0 ? "" : ", ",
                              (unsigned long long)w->info->shape[i]);
    return snug_fail(b->err, SNUG_ECORRUPT,
                     "the weight %.*s is [%s]; the configuration asks for %s", SNUG_SLICE(w->name),
                     have, tensor_shape_text(&t, want));
}

/* Puts a weight on the device, in the type it is stored in when the operations know that. */
static snug_status place(const binder *b, const weight *w, unsigned rank, const size_t *shape,
                         tensor *out)
{
    model       *m = b->m;
    snug_status  st;
    tensor_dtype dtype = TENSOR_F32;
    switch (w->info->dtype) {
    case CODEC_F32: dtype = TENSOR_F32; break;
    case CODEC_F16: dtype = TENSOR_F16; break;
    case CODEC_BF16: dtype = TENSOR_BF16; break;
    case CODEC_F64: { /* rare: made float32 once */
        size_t n = (size_t)(w->info->size / sizeof(double));
        float *wide = snug_alloc_try(n * sizeof *wide);
        if (wide == NULL)
            return snug_fail(b->err, SNUG_ENOMEM, "no memory for the weight %.*s",
                             SNUG_SLICE(w->name));
        codec_to_f32(CODEC_F64, w->data, 0, n, wide);
        st = tensor_new_from(m->dev, TENSOR_F32, rank, shape, wide, false, out, b->err);
        free(wide);
        return st;
    }
    default:
        return snug_fail(b->err, SNUG_EUNSUPPORTED,
                         "the weight %.*s is stored as %s, which is not supported",
                         SNUG_SLICE(w->name), codec_dtype_name(w->info->dtype));
    }
    return tensor_new_from(m->dev, dtype, rank, shape, w->data, true, out, b->err);
}

static void own(const binder *b, const tensor *t)
{
    struct owned *o = SNUG_NEW(b->m->arena, struct owned);
    *o = (struct owned){b->m->owned, *t};
    b->m->owned = o;
}

static snug_status bind_weight(const binder *b, const weight *w, unsigned rank, const size_t *shape,
                               tensor *out)
{
    if (!shape_fits(w->info, rank, shape)) return wrong_shape(b, w, rank, shape);
    snug_status st = place(b, w, rank, shape, out);
    if (st != SNUG_OK) return st;
    own(b, out);
    b->m->weight_bytes += tensor_size(out);
    return SNUG_OK;
}

static snug_status bind_named(const binder *b, const char *name, const char *part, unsigned rank,
                              const size_t *shape, tensor *out)
{
    const weight *w = lookup(b, name, part);
    if (w == NULL)
        return snug_fail(b->err, SNUG_ECORRUPT, "the weight %s%s%s%s is missing", b->prefix,
                         b->scope, name, part);
    return bind_weight(b, w, rank, shape, out);
}

binder bind_scope(const binder *b, const char *list, size_t index)
{
    binder inner = *b;
    int    n = snprintf(inner.scope, sizeof inner.scope, "%s.%zu.", list, index);
    SNUG_ASSERT(n > 0 && n < (int)sizeof inner.scope);
    return inner;
}

snug_status bind_tensor(const binder *b, tensor *out, unsigned rank, const size_t *shape,
                        const char *name)
{
    return bind_named(b, name, "", rank, shape, out);
}

snug_status bind_linear(const binder *b, nn_linear *out, size_t in, size_t n, bool bias,
                        const char *name)
{
    *out = (nn_linear){0};
    snug_status st = bind_named(b, name, ".weight", TENSOR_DIMS(n, in), &out->w);
    return st != SNUG_OK || !bias ? st : bind_named(b, name, ".bias", TENSOR_DIMS(n), &out->b);
}

snug_status bind_norm(const binder *b, nn_norm *out, nn_norm_kind kind, size_t n, float eps,
                      const char *name)
{
    *out = (nn_norm){.kind = kind, .eps = eps};
    bool        old = lookup(b, name, ".gamma") != NULL;
    snug_status st = bind_named(b, name, old ? ".gamma" : ".weight", TENSOR_DIMS(n), &out->w);
    if (st != SNUG_OK || kind == NN_RMS_NORM) return st;
    return bind_named(b, name, old ? ".beta" : ".bias", TENSOR_DIMS(n), &out->b);
}

snug_status bind_norm_weight(const binder *b, nn_norm *out, nn_norm_kind kind, size_t n, float eps,
                             const char *name)
{
    *out = (nn_norm){.kind = kind, .eps = eps};
    return bind_named(b, name, ".weight", TENSOR_DIMS(n), &out->w);
}

bool bind_has(const binder *b, const char *name) { return lookup(b, name, "") != NULL; }

snug_status bind_copy(const binder *b, const tensor *view, tensor_dtype dtype, tensor *out)
{
    tensor      from = *view; /* out may be the same variable */
    snug_status st = tensor_new(b->m->dev, dtype, from.rank, from.shape, out, b->err);
    if (st != SNUG_OK) return st;
    own(b, out);
    return tensor_copy(b->m->dev, &from, out, b->err);
}

nn_linear bind_rows(const nn_linear *fused, size_t from, size_t n)
{
    nn_linear part = {.w = tensor_slice(&fused->w, 0, from, n)};
    if (tensor_present(&fused->b)) part.b = tensor_slice(&fused->b, 0, from, n);
    return part;
}

snug_status bind_norm_plus_one(const binder *b, nn_norm *n)
{
    tensor      wide;
    snug_status st = bind_copy(b, &n->w, TENSOR_F32, &wide);
    if (st != SNUG_OK) return st;
    n->w = wide;
    return tensor_scale(b->m->dev, &wide, 1.0f, 1.0f, &wide, b->err);
}
