/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_write_int.h - writing GGUF files: mixes of types, and the plan of a file. */
#ifndef SNUG_MODEL_GGUF_WRITE_INT_H
#define SNUG_MODEL_GGUF_WRITE_INT_H

#include "model/gguf_int.h"

/* ---- mixes (gguf_mix.c) ---- */

typedef struct gguf_mix {
    const char  *name;
    unsigned     file_type; /* general.file_type */
    tensor_dtype type;      /* of most matrices */
} gguf_mix;
const gguf_mix *gguf_mix_at(size_t index);    /* NULL past the end */
const gguf_mix *gguf_mix_of(snug_slice name); /* NULL: none */

/* What the choice depends on; the counters run as tensors are asked for in the order of layers. */
typedef struct gguf_mix_state {
    const gguf_mix *mix;
    size_t          layers, experts, queries_per_key;
    size_t          values; /* how many attn_v.weight and attn_qkv.weight there are */
    bool            has_output;
    size_t          values_seen, downs_seen;
} gguf_mix_state;
bool         gguf_is_mixed(const char *name, unsigned rank);
tensor_dtype gguf_mix_pick(gguf_mix_state *s, const char *name, unsigned rank, size_t width);

/* ---- the plan (gguf_plan.c) ---- */

/* One tensor of the file to be: rows of weights, of all experts in turn, in the order GGUF wants.
 */
typedef struct gguf_out {
    char           name[GGUF_NAME_BYTES];
    const weight **list; /* one weight, or one per expert */
    size_t         count;
    unsigned       rank;
    uint64_t       dims[CODEC_GGUF_RANK_MAX];
    size_t         pair_heads;   /* rows go into neighbouring pairs, head by head; 0: they stay */
    size_t         groups, each; /* fused rows, grouped: so many of each queries, a key, a value */
    bool           turned, plus_one;
    tensor_dtype   type;
    const float   *values; /* in place of weights */
} gguf_out;

typedef struct gguf_plan {
    snug_arena     *arena;
    weight_map     *map;
    snug_json       config;
    const gguf_mix *mix;
    gguf_mix_state  state;
    gguf_out       *outs;
    size_t          count, cap;
    codec_gguf_kv  *kvs;
    size_t          kv_count, kv_cap;
} gguf_plan;

/* A folder, or another GGUF file: tensors with their types, and the metadata of the network. */
snug_status gguf_plan_folder(gguf_plan *p, const char *dir, snug_err *err) SNUG_MUST_USE;
snug_status gguf_plan_file(gguf_plan *p, const char *path, snug_err *err) SNUG_MUST_USE;
/* A key is there once: a later value takes the place of an earlier one. */
void gguf_put(gguf_plan *p, snug_slice key, codec_gguf_value v);
void gguf_put_u32(gguf_plan *p, const char *key, uint64_t v);
void gguf_put_f32(gguf_plan *p, const char *key, double v);
void gguf_put_bool(gguf_plan *p, const char *key, bool v);
void gguf_put_str(gguf_plan *p, const char *key, snug_slice v);
/* What a shape says, under "<arch>." (gguf_keys.c); may add tensors of factors. */
snug_status gguf_put_shape(gguf_plan *p, const gguf_row *r, const model_shape *s,
                           snug_err *err) SNUG_MUST_USE;
gguf_out   *gguf_add_out(gguf_plan *p, const char *name);

#endif
