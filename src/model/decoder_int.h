/* SPDX-License-Identifier: Apache-2.0 */
/* model/decoder_int.h - the decoder that most language models are: arch/ says what differs. */
#ifndef SNUG_MODEL_DECODER_INT_H
#define SNUG_MODEL_DECODER_INT_H

#include "model/model_int.h"

/* Attention over a compressed cache, DeepSeek's: keys and values grow out of one narrow row. */
typedef struct decoder_latent {
    nn_linear q_down, q_up; /* q_up alone: no compression of queries */
    nn_norm   q_norm, kv_norm;
    nn_linear kv_down, kv_up;
    size_t    nope, rope, v;
} decoder_latent;

typedef struct decoder_layer {
    nn_norm         before_attention, after_attention, before_mlp, after_mlp; /* may be none */
    nn_attention    attention;
    decoder_latent *latent; /* NULL: plain attention */
    nn_mlp          mlp;
    nn_moe         *moe;              /* NULL: mlp */
    nn_mixer       *mixer;            /* NULL: none; with attention, both read the same x */
    bool            unattended, bare; /* no attention; neither mlp nor moe */
    bool            turned, turned_locally, tempered;
} decoder_layer;

typedef struct decoder {
    tensor         embed, positions; /* [V, W], [P, E] when positions are learned */
    size_t         position_first;
    nn_alibi       alibi;
    nn_norm        embed_norm;
    nn_linear      project_in, project_out; /* when W is not E */
    decoder_layer *layers;
    nn_norm        norm;
    nn_linear      head;       /* [V, W] */
    bool           norm_after; /* a layer's norms follow the additions */
} decoder;

/* Defaults of a class for what a config leaves out. */
typedef struct decoder_dflt {
    size_t      vocab, hidden, inner, layers, heads, kv_heads, head_dim, positions; /* 0: derived */
    double      eps, theta, partial;
    const char *act, *act_key, *eps_key;
    bool        tied, interleaved;
    bool        layered;      /* rope_parameters has an object per type of layer */
    bool        sections;     /* rotary parameters may name the sections of M-RoPE */
    bool        inner_listed; /* intermediate_size may be a list: the family reads it */
} decoder_dflt;

/* A family: its defaults, and what it changes in the plan that decoder_parse made. */
typedef struct decoder_family {
    decoder_dflt dflt;
    snug_status (*adjust)(snug_json config, model_shape *s, snug_err *err);
} decoder_family;

/* For rows whose dialect is a decoder_family; the plan starts as Llama's. */
snug_status decoder_parse(snug_json config, model_shape *s, snug_err *err) SNUG_MUST_USE;
snug_status decoder_bind(model *m, const weight_map *w, snug_err *err) SNUG_MUST_USE;
snug_status decoder_forward(model *m, const model_batch *in, model_out *out,
                            snug_err *err) SNUG_MUST_USE;

/* A decoder with room for its layers, set as the model's net. */
snug_status decoder_new(model *m, decoder **out, snug_err *err) SNUG_MUST_USE;
/* Scale, causality, window of one layer. */
nn_attention decoder_attention(const model_shape *s, size_t layer);
/* The head: tied to the embeddings or a weight of its own. */
snug_status decoder_bind_head(const binder *top, decoder *n, const char *name) SNUG_MUST_USE;
/* "sliding_window" when it is set; else 0. */
snug_status decoder_window(snug_json config, const char *key, size_t dflt, size_t *out,
                           snug_err *err) SNUG_MUST_USE;
void decoder_slide(model_shape *s, size_t period); /* all but every period-th; 0: all layers */
/* Qwen's window over the upper layers; Granite's multipliers: their sparse kin share them. */
snug_status decoder_qwen_window(snug_json config, model_shape *s, snug_err *err) SNUG_MUST_USE;
snug_status decoder_granite(snug_json config, model_shape *s, snug_err *err) SNUG_MUST_USE;
/* Experts as DeepSeek names them; V3's rule unless the caller changes it. */
snug_status decoder_deepseek_experts(snug_json config, model_shape *s, size_t groups,
                                     size_t groups_used, double scale, size_t dense_first,
                                     snug_err *err) SNUG_MUST_USE;
/* Splits a fused projection whose rows are [groups, heads per group + 2, width]: each group has its
 * queries, then a key, then a value. */
snug_status bind_grouped(const binder *b, const nn_linear *fused, nn_attention *a) SNUG_MUST_USE;
/* The recurrent mixer of a layer, by the plan's names (hybrid.c). */
snug_status bind_mixer(const binder *layer, nn_mixer **out) SNUG_MUST_USE;
/* As model_arch says. */
void decoder_keeps(const model *m, nn_keep *each);
/* Marks what each layer is from a list of names ("mamba", "attention", "mlp", ..); absent: as it
 * was. */
snug_status decoder_block_types(snug_json list, const char *key, model_shape *s,
                                snug_err *err) SNUG_MUST_USE;
/* A layer either attends or mixes. */
void decoder_set_layer(model_shape *s, size_t layer, bool attends);
/* "auto" or a whole number. */
snug_status decoder_auto_size(snug_json config, const char *key, size_t dflt, size_t max,
                              size_t *out, snug_err *err) SNUG_MUST_USE;
/* Heads of a scan share `inner` channels and B and C evenly, or it is refused. */
snug_status decoder_check_heads(const model_mixer *x, size_t inner, snug_err *err) SNUG_MUST_USE;
/* [low, high] of the steps of a scan. */
snug_status decoder_step_limit(snug_json config, const char *key, model_mixer *x,
                               snug_err *err) SNUG_MUST_USE;
snug_status bind_experts(const binder *layer, const char *path, nn_moe **out) SNUG_MUST_USE;
/* The same with a router that lies elsewhere: its path inside the layer. */
snug_status bind_experts_at(const binder *layer, const char *path, const char *router,
                            nn_moe **out) SNUG_MUST_USE;

#define DECODER_CLASSES(Name)                                                                      \
    (const struct model_class[])                                                                   \
    {                                                                                              \
        {#Name "ForCausalLM", MODEL_HEAD_CAUSAL_LM}, {#Name "Model", MODEL_HEAD_NONE},             \
            {NULL, MODEL_HEAD_NONE},                                                               \
    }
#define DECODER_ROW(type, Name, family)                                                            \
    {                                                                                              \
        .model_type = type, .prefix = "model.", .dialect = &family,                                \
        .classes = DECODER_CLASSES(Name), .parse = decoder_parse, .bind = decoder_bind,            \
        .forward = decoder_forward, .keeps = decoder_keeps,                                        \
    }

#endif
