/* SPDX-License-Identifier: Apache-2.0 */
/* model/weights_int.h - the map of names to weights, for those who fill and read it as a whole. */
#ifndef SNUG_MODEL_WEIGHTS_INT_H
#define SNUG_MODEL_WEIGHTS_INT_H

#include "model/model_int.h"

/* One tensor of a file. Its bytes are mapped, or live in the arena of the load. */
typedef struct weight {
    snug_slice   name;
    bool         blocks; /* `dtype` says how it is stored; else `stored` does */
    tensor_dtype dtype;
    codec_dtype  stored;
    unsigned     rank;
    uint64_t     shape[TENSOR_RANK_MAX]; /* the first ones */
    uint64_t     size;                   /* bytes */
    const char  *data;
} weight;

struct weight_map {
    weight *items; /* sorted by name */
    size_t  count;
    bool    turned; /* linear weights are [n, in] even where a class's own files turn them over */
    bool    apart; /* fused projections are all queries, all keys, all values, not group by group */
};

const weight *weight_find(const weight_map *w, const char *name); /* NULL: none */
/* After the last item was added. SNUG_ECORRUPT: a name is there twice. */
snug_status weight_map_sort(weight_map *w, snug_err *err) SNUG_MUST_USE;
/* n elements of a weight from `first` on as float32, scales of 8-bit floats not applied. Blocks:
 * whole ones. False: a type that is no number of ours. */
bool weight_to_f32(const weight *w, uint64_t first, uint64_t n, float *out);

/* Models that also see or hear, for texts (nested.c). The text's configuration takes the place of
 * the whole one; *wrapper names the class around it, NULL: there is none. */
snug_status nested_config(snug_arena *a, snug_json *config, const char **wrapper,
                          snug_err *err) SNUG_MUST_USE;
/* The text's weights under the names it has on its own; towers leave the map. */
snug_status nested_weights(snug_arena *a, model_shape *s, weight_map *w,
                           snug_err *err) SNUG_MUST_USE;

const weight *bind_find(const binder *b, const char *name); /* by its full name; NULL: none */
/* Bytes that were made while loading: copied. */
snug_status bind_made(const binder *b, tensor_dtype dtype, unsigned rank, const size_t *shape,
                      const void *bytes, tensor *out) SNUG_MUST_USE;

/* The scales of a weight of 8-bit floats, as a grid over its last two dimensions. */
typedef struct weight_scales {
    const weight *w;          /* NULL: one, for all */
    uint64_t      rows, cols; /* how many of the weight's each scale covers */
} weight_scales;
snug_status weight_find_scales(const weight_map *map, const weight *w, snug_json config,
                               weight_scales *out, snug_err *err) SNUG_MUST_USE;
/* Multiplies n elements from `first` on. */
void weight_apply_scales(const weight *w, const weight_scales *s, uint64_t first, uint64_t n,
                         float *x);

#endif
