/* SPDX-License-Identifier: Apache-2.0 */
/* model/weights.c - names to weights over one safetensors file or many, and binding them.
 *
 * For:     the architectures' bind functions.
 * Owns:    the mappings, through the arena of the model load.
 * Threads: one load, one thread.
 * Truth:   a weight that is handed out has exactly the shape the configuration asks for, and its
 *          bytes lie inside a mapped file. */
#include "model/weights_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int by_name(const void *a, const void *b)
{
    return snug_cmp(((const weight *)a)->name, ((const weight *)b)->name);
}

const weight *weight_find(const weight_map *w, const char *name)
{
    weight key = {.name = snug_str(name)};
    return w->count == 0 ? NULL : bsearch(&key, w->items, w->count, sizeof key, by_name);
}

snug_status weight_map_sort(weight_map *w, snug_err *err)
{
    if (w->count > 0) qsort(w->items, w->count, sizeof *w->items, by_name);
    for (size_t i = 1; i < w->count; i++)
        if (snug_eq(w->items[i].name, w->items[i - 1].name))
            return snug_fail(err, SNUG_ECORRUPT, "the weight %.*s is there twice",
                             SNUG_SLICE(w->items[i].name));
    return SNUG_OK;
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
    weight *x = &w->items[w->count++];
    *x = (weight){.name = t->name,
                  .stored = t->dtype,
                  .rank = t->rank,
                  .size = t->size,
                  .data = s->map.ptr + s->st.data_offset + t->offset};
    for (unsigned i = 0; i < t->rank && i < TENSOR_RANK_MAX; i++) x->shape[i] = t->shape[i];
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
    *out = w;
    return weight_map_sort(w, err);
}

/* ---- numbers ---- */

static bool is_eight_bits(const weight *w)
{
    return !w->blocks && (w->stored == CODEC_F8_E4M3 || w->stored == CODEC_F8_E5M2);
}

/* What a stored type is in the tensor engine; false: nothing. */
static bool type_of(const weight *w, tensor_dtype *out)
{
    if (w->blocks) *out = w->dtype;
    if (w->blocks) return true;
    switch (w->stored) {
    case CODEC_F32: *out = TENSOR_F32; return true;
    case CODEC_F16: *out = TENSOR_F16; return true;
    case CODEC_BF16: *out = TENSOR_BF16; return true;
    default: return false;
    }
}

bool weight_to_f32(const weight *w, uint64_t first, uint64_t n, float *out)
{
    tensor_dtype t;
    if (w->blocks && tensor_dtype_is_quant(w->dtype)) {
        tensor_dequantize(w->dtype, w->data + tensor_dtype_size(w->dtype, (size_t)first), (size_t)n,
                          out);
        return true;
    }
    codec_dtype from = w->stored;
    if (w->blocks)
        from = w->dtype == TENSOR_F32 ? CODEC_F32 : w->dtype == TENSOR_F16 ? CODEC_F16 : CODEC_BF16;
    else if (!type_of(w, &t) && w->stored != CODEC_F64 && !is_eight_bits(w))
        return false;
    codec_to_f32(from, w->data, first, n, out);
    return true;
}

static uint64_t dim_or(const weight *w, unsigned from_last)
{
    return w->rank > from_last ? w->shape[w->rank - 1 - from_last] : 1;
}

/* "weight_block_size": [128, 128] */
static uint64_t block_side(snug_json config, size_t which)
{
    snug_json list =
        snug_json_get(snug_json_get(config, "quantization_config"), "weight_block_size");
    uint64_t n = 128;
    (void)snug_json_to_u64(snug_json_at(list, which), &n);
    return n == 0 ? 128 : n;
}

/* A scale for all, for each row, or for each block of rows and columns; matrices that are stacked
 * have a grid each. */
snug_status weight_find_scales(const weight_map *map, const weight *w, snug_json config,
                               weight_scales *out, snug_err *err)
{
    static const char *const ends[] = {"_scale_inv", "_scale"};
    char                     name[512];
    float                    probe;
    *out = (weight_scales){NULL, UINT64_MAX, UINT64_MAX};
    if (!is_eight_bits(w) || w->rank < 2 || w->rank > TENSOR_RANK_MAX) return SNUG_OK;
    for (size_t i = 0; i < 2 && out->w == NULL; i++) {
        int n = snprintf(name, sizeof name, "%.*s%s", SNUG_SLICE(w->name), ends[i]);
        if (n > 0 && n < (int)sizeof name) out->w = weight_find(map, name);
    }
    const weight *s = out->w;
    if (s == NULL) return SNUG_OK;
    uint64_t count = 1, n = dim_or(w, 1), in = dim_or(w, 0), grid, all = 1;
    for (unsigned i = 0; i < s->rank && i < TENSOR_RANK_MAX; i++) count *= s->shape[i];
    for (unsigned i = 0; i + 2 < w->rank; i++) all *= w->shape[i];
    if (!weight_to_f32(s, 0, 0, &probe) || s->rank > TENSOR_RANK_MAX || is_eight_bits(s))
        return snug_fail(err, SNUG_EUNSUPPORTED, "the scales %.*s are no floats",
                         SNUG_SLICE(s->name));
    uint64_t high = block_side(config, 0), wide = block_side(config, 1);
    grid = (n / high + (n % high != 0)) * (in / wide + (in % wide != 0));
    if (count == 1) return SNUG_OK;
    out->rows = 1;
    if (count == all) out->rows = n;
    if (count == all || (count == all * n && (s->rank == 1 || dim_or(s, 0) == 1))) return SNUG_OK;
    out->rows = high, out->cols = wide;
    if (count == all * grid) return SNUG_OK;
    return snug_fail(err, SNUG_ECORRUPT, "%.*s holds %llu scales, which do not fit its weight",
                     SNUG_SLICE(s->name), (unsigned long long)count);
}

void weight_apply_scales(const weight *w, const weight_scales *s, uint64_t first, uint64_t n,
                         float *x)
{
    uint64_t in = dim_or(w, 0), rows = dim_or(w, 1);
    float    one = 1.0f;
    if (s->w == NULL || n == 0) return;
    if (s->rows == UINT64_MAX) (void)weight_to_f32(s->w, 0, 1, &one);
    uint64_t wide = s->cols > in ? in : s->cols, across = (in + wide - 1) / wide;
    uint64_t high = s->rows > rows ? rows : s->rows, down = (rows + high - 1) / high;
    for (uint64_t i = 0; i < n;) {
        uint64_t row = (first + i) / in, col = (first + i) % in;
        uint64_t end = (col / wide + 1) * wide < in ? (col / wide + 1) * wide : in;
        uint64_t many = end - col < n - i ? end - col : n - i;
        uint64_t at = (row / rows * down + row % rows / high) * across + col / wide;
        if (s->rows != UINT64_MAX) (void)weight_to_f32(s->w, at, 1, &one);
        for (uint64_t k = 0; k < many; k++) x[i + k] *= one;
        i += many;
    }
}

/* ---- binding ---- */

enum { NAME_MAX_BYTES = 256 };

static const weight *lookup(const binder *b, const char *name, const char *part)
{
    char full[NAME_MAX_BYTES];
    int  n = snprintf(full, sizeof full, "%s%s%s%s", b->prefix, b->scope, name, part);
    SNUG_ASSERT(n > 0 && n < (int)sizeof full);
    const weight *w = weight_find(b->w, full);
    return w != NULL ? w : weight_find(b->w, full + strlen(b->prefix));
}

static bool shape_fits(const weight *t, unsigned rank, const size_t *shape)
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
    for (unsigned i = 0; i < w->rank && i < TENSOR_RANK_MAX && n < sizeof have; i++)
        n += (size_t)snprintf(have + n, sizeof have - n, "%s%llu", i == 0 ? "" : ", ",
                              (unsigned long long)w->shape[i]);
    return snug_fail(b->err, SNUG_ECORRUPT,
                     "the weight %.*s is [%s]; the configuration asks for %s", SNUG_SLICE(w->name),
                     have, tensor_shape_text(&t, want));
}

/* What no operation reads as it is stored becomes float32 once: F64, 8-bit floats with their
 * scales, quantized vectors. */
static snug_status place_wide(const binder *b, const weight *w, unsigned rank, const size_t *shape,
                              tensor *out)
{
    snug_status   st = SNUG_OK;
    weight_scales scales;
    size_t        n = 1;
    float        *wide = NULL;
    for (unsigned i = 0; i < rank; i++) n *= shape[i]; /* fits: each element has bytes in a file */
    SNUG_TRY(weight_find_scales(b->w, w, b->m->config, &scales, b->err));
    wide = n > TENSOR_BYTES_MAX / sizeof *wide ? NULL : snug_alloc_try(n * sizeof *wide);
    if (wide == NULL)
        SNUG_FAIL(b->err, SNUG_ENOMEM, "no memory for the weight %.*s", SNUG_SLICE(w->name));
    (void)weight_to_f32(w, 0, n, wide);
    weight_apply_scales(w, &scales, 0, n, wide);
    SNUG_TRY(tensor_new_from(b->m->dev, TENSOR_F32, rank, shape, wide, false, out, b->err));
done:
    free(wide);
    return st;
}

/* Puts a weight on the device, in the type it is stored in when the operations know that. */
static snug_status place(const binder *b, const weight *w, unsigned rank, const size_t *shape,
                         tensor *out)
{
    tensor_dtype dtype;
    if (type_of(w, &dtype) && (rank > 1 || !tensor_dtype_is_quant(dtype)))
        return tensor_new_from(b->m->dev, dtype, rank, shape, w->data, true, out, b->err);
    float probe;
    if (!weight_to_f32(w, 0, 0, &probe))
        return snug_fail(b->err, SNUG_EUNSUPPORTED,
                         "the weight %.*s is stored as %s, which is not supported",
                         SNUG_SLICE(w->name), codec_dtype_name(w->stored));
    return place_wide(b, w, rank, shape, out);
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
    if (!shape_fits(w, rank, shape)) return wrong_shape(b, w, rank, shape);
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

snug_status bind_made(const binder *b, tensor_dtype dtype, unsigned rank, const size_t *shape,
                      const void *bytes, tensor *out)
{
    snug_status st = tensor_new_from(b->m->dev, dtype, rank, shape, bytes, false, out, b->err);
    if (st != SNUG_OK) return st;
    own(b, out);
    b->m->weight_bytes += tensor_size(out);
    return SNUG_OK;
}

const weight *bind_find(const binder *b, const char *name) { return lookup(b, name, ""); }

bool bind_is_turned(const binder *b) { return b->w->turned; }

bool bind_is_apart(const binder *b) { return b->w->apart; }

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
