/* SPDX-License-Identifier: Apache-2.0 */
/* model/model_int.h - what the architectures share: reading configs, binding weights. */
#ifndef SNUG_MODEL_MODEL_INT_H
#define SNUG_MODEL_MODEL_INT_H

#include "base/base.h"
#include "codec/codec.h"
#include "model/model.h"

struct model {
    snug_arena   *arena; /* the config, the net, and what must be undone on close */
    model_shape   shape;
    snug_json     config;
    tensor_dev   *dev;
    tensor_space *space; /* activations */
    void         *net;   /* the architecture's weights */
    struct owned {
        struct owned *next;
        tensor        t;
    } * owned;
    size_t   weight_bytes;
    nn_pool *pool; /* keys and values of all caches; NULL: does not generate */
};

/* What a decoder keeps of the text an encoder read. */
struct model_memory {
    size_t  batch, times, layers;
    tensor  states, mask; /* [B, S, E], [B, S] I32 or none */
    tensor *k, *v;        /* of each decoder layer: [B, S, H, D] */
    bool    owned;        /* tensors have memory of their own */
};

static inline nn_ctx model_ctx(const model *m) { return (nn_ctx){m->dev, m->space}; }

/* ---- configuration (config.c): absent and null mean the default ---- */

typedef struct cfg_range {
    const char *key, *alias; /* alias may be NULL */
    size_t      dflt, min, max;
} cfg_range;
snug_status cfg_size(snug_json config, cfg_range r, size_t *out, snug_err *err) SNUG_MUST_USE;
snug_status cfg_real(snug_json obj, const char *key, double dflt, double min, double max,
                     double *out, snug_err *err) SNUG_MUST_USE;
snug_status cfg_bool(snug_json config, const char *key, bool dflt, bool *out,
                     snug_err *err) SNUG_MUST_USE;
snug_status cfg_act(snug_json config, const char *key, const char *dflt, tensor_act *out,
                    snug_err *err) SNUG_MUST_USE;
snug_status cfg_text(snug_json config, const char *key, const char *dflt, snug_slice *out,
                     snug_err *err) SNUG_MUST_USE;
/* Refuses by name every key of a NULL-terminated list that is set to something. */
snug_status cfg_refuse(snug_json config, const char *const *keys, snug_err *err) SNUG_MUST_USE;
/* kv_heads and head_dim of a model whose heads split its width evenly. */
snug_status cfg_heads(model_shape *s, snug_err *err) SNUG_MUST_USE;

/* How a class reads rope_parameters, or rope_theta and rope_scaling. */
typedef struct cfg_rotary {
    size_t      width, positions_max; /* of a head */
    double      theta, partial;       /* defaults; partial 0: the class turns whole heads */
    const char *layer_type;           /* NULL: one kind of layer; else the key of its own object */
    const char *theta_key; /* NULL: rope_theta; the old name of this layer type's theta */
    bool        plain;     /* scaling written without layer types is not for these layers */
    bool        interleaved;
    bool        sections; /* may name the sections of M-RoPE */
} cfg_rotary;
snug_status cfg_rope(snug_json config, cfg_rotary rule, nn_rope *out, snug_err *err) SNUG_MUST_USE;
/* layer_types, when the config has them, over what `sliding` says already. */
snug_status cfg_layer_types(snug_json config, model_shape *s, snug_err *err) SNUG_MUST_USE;
snug_status cfg_labels(snug_json config, size_t *out, snug_err *err) SNUG_MUST_USE;

/* ---- weights (weights.c) ---- */

/* config.json of a folder as it is. */
snug_status model_read_json(snug_arena *a, const char *dir, snug_json *config,
                            snug_err *err) SNUG_MUST_USE;
/* config.json of a folder (of a model that also sees: its text's), and what it says. */
snug_status model_read_config(snug_arena *a, const char *dir, snug_slice class_name,
                              snug_json *config, model_shape *shape, snug_err *err) SNUG_MUST_USE;
snug_status weight_map_open(snug_arena *a, const char *dir, weight_map **out,
                            snug_err *err) SNUG_MUST_USE;

/* Finds weights under a prefix, with or without it; a scope ("layers.3.") follows the prefix. */
typedef struct binder {
    model            *m;
    const weight_map *w;
    const char       *prefix;
    snug_err         *err;
    char              scope[64];
} binder;
binder      bind_scope(const binder *b, const char *list, size_t index); /* "<list>.<index>." */
snug_status bind_tensor(const binder *b, tensor *out, unsigned rank, const size_t *shape,
                        const char *name) SNUG_MUST_USE;
/* <name>.weight [n, in], <name>.bias [n] */
snug_status bind_linear(const binder *b, nn_linear *out, size_t in, size_t n, bool bias,
                        const char *name) SNUG_MUST_USE;
/* <name>.weight and .bias [n]; old checkpoints say gamma and beta */
snug_status bind_norm(const binder *b, nn_norm *out, nn_norm_kind kind, size_t n, float eps,
                      const char *name) SNUG_MUST_USE;

/* As bind_norm, without a bias. */
snug_status bind_norm_weight(const binder *b, nn_norm *out, nn_norm_kind kind, size_t n, float eps,
                             const char *name) SNUG_MUST_USE;
bool        bind_has(const binder *b, const char *name); /* the full name of a weight */
bool        bind_is_turned(const binder *b); /* matrices are [n, in] in a file, for every class */
bool        bind_is_apart(const binder *b);  /* fused projections are not grouped in this file */
/* A copy of a view that belongs to the model: what a file lays out as no operation reads it. */
snug_status bind_copy(const binder *b, const tensor *view, tensor_dtype dtype,
                      tensor *out) SNUG_MUST_USE;
/* Rows [from, from + n) of a fused linear. */
nn_linear bind_rows(const nn_linear *fused, size_t from, size_t n);
/* Adds one to a norm's weight: families that store it less one. */
snug_status bind_norm_plus_one(const binder *b, nn_norm *n) SNUG_MUST_USE;

/* ---- encoders (encoder.c): the parts of the BERT line that its members share ---- */

typedef struct encoder_layer {
    nn_attention attention;
    nn_norm      after_attention, after_mlp;
    nn_mlp       mlp;
} encoder_layer;

/* Where a class keeps what it puts on top, and how it works. */
typedef struct encoder_names {
    const char *pooler;     /* first token -> tanh, given out by the bare model; NULL: none */
    const char *class_pool; /* first token -> act, before the labels; NULL: none */
    bool        class_pool_in_body;
    tensor_act  class_act;
    const char *classes, *tokens, *span;
    const char *word_dense, *word_norm, *word_bias, *word_decoder;
    bool        word_act_gelu; /* whatever the config's activation is */
} encoder_names;

typedef struct encoder_head {
    const encoder_names *names;
    nn_linear            pool, dense, last;
    nn_norm              norm;
    tensor_act           pool_act, dense_act;
} encoder_head;

/* words [V, width]: the embeddings a masked-word head is tied to. */
snug_status encoder_bind_head(const binder *body, const encoder_names *names, const tensor *words,
                              encoder_head *out) SNUG_MUST_USE;
/* x [B, T, E] -> the outputs of the class. */
snug_status encoder_run_head(const nn_ctx *c, const model_shape *s, const encoder_head *h,
                             const tensor *x, model_out *out, snug_err *err) SNUG_MUST_USE;
snug_status encoder_give(model_out *out, const char *name, tensor value);
/* logits [B, T, 2] as start_logits and end_logits [B, T]. */
snug_status encoder_give_span(const nn_ctx *c, const tensor *logits, model_out *out,
                              snug_err *err) SNUG_MUST_USE;
/* x = norm(x + attention(x)), x = norm(x + mlp(x)), in place. */
snug_status encoder_run_layer(const nn_ctx *c, const encoder_layer *l, const tensor *x,
                              const nn_step *step, snug_err *err) SNUG_MUST_USE;
/* x [B, T, E] += rows of a table by ids [B, T]; ids NULL: row 0. */
snug_status encoder_add_rows(const nn_ctx *c, const tensor *table, const int32_t *ids, size_t batch,
                             size_t times, const tensor *x, snug_err *err) SNUG_MUST_USE;
/* Positions of learned tables: 0, 1, ..; or, with first > 0, counted from it over tokens that are
 * no padding, which gets first - 1. *owned: free(). */
int32_t *encoder_positions(const model_shape *s, const model_batch *in);
/* A padded batch as one row of all its tokens: owned by `ids`, free() it. */
typedef struct encoder_flat {
    size_t  *lengths; /* of each text */
    size_t   total;
    int32_t *ids, *positions, *types; /* types NULL as in the batch */
} encoder_flat;
/* True when the batch asks for it and has padding, at the ends of rows only. */
bool encoder_flatten(const model_batch *in, const int32_t *positions, encoder_flat *out);
/* x [1, total, E] -> *out [B, T, E], zero where nothing was. */
snug_status encoder_unflatten(const nn_ctx *c, const encoder_flat *f, size_t batch, size_t times,
                              const tensor *x, tensor *out, snug_err *err) SNUG_MUST_USE;
/* First token of each row: [B, E]. */
tensor encoder_first(const tensor *x);
/* What every encoder's config says in the same words. */
snug_status encoder_parse(snug_json config, model_shape *s, double eps_dflt,
                          snug_err *err) SNUG_MUST_USE;

/* Each file of arch/ exports its rows, the last with a NULL model_type. */
extern const model_arch arch_llama[], arch_gemma[], arch_olmo[], arch_cohere[], arch_phi[],
    arch_mixed[], arch_moe[], arch_deepseek[], arch_gpt2[], arch_neox[], arch_opt[], arch_bloom[],
    arch_distilbert[], arch_bert[], arch_albert[], arch_mpnet[], arch_deberta[], arch_modernbert[],
    arch_nomic[], arch_t5[], arch_bart[], arch_mamba[], arch_hybrid[], arch_qwen_next[],
    arch_gemma3n[], arch_gemma4[], arch_jina[], arch_chatglm[];

#endif
