/* SPDX-License-Identifier: Apache-2.0 */
/* model/model.h - a checkpoint folder as something that can run: configuration, weights, forward.
 *
 * A folder holds config.json and model.safetensors, or model.safetensors.index.json and its shards.
 * A GGUF file holds both in one; its metadata becomes what config.json would say.
 * Weights are mapped, bounds checked, and used where they are when the device can. Nothing in a
 * folder is trusted: sizes are compared with the limits below before anything is allocated.
 *
 * A model belongs to one thread at a time, as its device does. */
#ifndef SNUG_MODEL_MODEL_H
#define SNUG_MODEL_MODEL_H

#include "base/json.h"
#include "codec/codec.h"
#include "nn/nn.h"

enum {
    MODEL_CONFIG_BYTES_MAX = 16 << 20,
    MODEL_INDEX_BYTES_MAX = 64 << 20,
    MODEL_SHARDS_MAX = 4096,
    MODEL_HIDDEN_MAX = 1 << 17,
    MODEL_INNER_MAX = 1 << 20,
    MODEL_LAYERS_MAX = 1024,
    MODEL_HEADS_MAX = 4096,
    MODEL_HEAD_DIM_MAX = 4096,
    MODEL_VOCAB_MAX = 1 << 24,
    MODEL_LABELS_MAX = 1 << 20,
    MODEL_POSITIONS_MAX = 1 << 24, /* the last integer float32 can count to */
    MODEL_BATCH_TOKENS_MAX = 1 << 20,
    MODEL_OUT_MAX = 4
};

typedef struct model        model;
typedef struct model_memory model_memory;
typedef struct weight_map   weight_map;
typedef struct model_arch   model_arch;

/* What a class puts on top of the body. */
typedef enum model_head {
    MODEL_HEAD_NONE,      /* last_hidden_state */
    MODEL_HEAD_CAUSAL_LM, /* logits for the next token */
    MODEL_HEAD_MASKED_LM, /* logits for each token */
    MODEL_HEAD_CLASSES,   /* logits for each label */
    MODEL_HEAD_TOKENS,    /* logits for each label of each token */
    MODEL_HEAD_SPAN,      /* start_logits and end_logits for each token */
    MODEL_HEAD_SEQ2SEQ    /* logits for the next token of a second text */
} model_head;

/* What a model's recurrent layers are made of. */
typedef struct model_mixer {
    nn_mix_kind kind;
    const char *path; /* of their weights inside a layer */
    size_t      heads, width, n, groups, rank, taps;
    bool        bias, out_bias, conv_bias; /* of the projections; of the convolution */
    bool        norms, norms_weightless;   /* mamba: of dt, B and C */
    bool        normed, norm_first;        /* mamba 2 */
    bool        packed;                    /* delta: rows by key head */
    size_t      norm_groups;
    float       norms_eps, dt_low, dt_high;
    float       scale[5]; /* mamba 2: of gate, x, B, C and dt; 0: one */
    tensor_act  act;
} model_mixer;

/* What tells decoders apart. Names are those of weights inside a layer; NULL: there is none. */
typedef struct model_decoder {
    const char  *before_attention, *after_attention, *before_mlp, *after_mlp; /* norms */
    const char  *last_norm, *q_norm, *k_norm, *qkv, *o, *gate, *up, *gate_up, *down;
    nn_norm_kind norm;
    nn_head_norm head_norm;
    bool         norm_bias, norm_plus_one; /* weights are stored less one */
    bool         norm_bare;                /* no weights at all */
    bool         norm_after_turn, norm_weightless;
    bool         head_norm_listed; /* a weight per head, each under its own name */
    bool         head_norm_shared; /* layer norms of one weight for all heads, with a bias */
    bool         qkv_bias, o_bias, head_bias;
    bool         parallel;        /* attention and MLP read the same x */
    bool         both_ways;       /* not causal */
    bool         clip_after_norm; /* q, k and v are clipped once q and k are normed */
    bool         sinks, scale_by_layer;
    const char  *xielu; /* an activation with a learned shape; NULL: none */
    float        embed_scale, residual_scale, logit_scale; /* 0: one */
    float        logit_cap, attention_cap, clip;           /* 0: none */
    float        attention_scale;                          /* 0: 1 / sqrt(head_dim) */
    uint64_t     unturned[MODEL_LAYERS_MAX / 64];          /* layers without positions */
    bool         sliding_own_turn;                         /* sliding layers turn by rope_local */
    bool         chunked;                                  /* `window` is a chunk */
    double       temper; /* queries grow by 1 + temper * log(1 + floor(position / temper_every)) */
    size_t       temper_every, temper_first;
    bool         temper_unturned; /* only in layers without positions */

    uint64_t    sparse[MODEL_LAYERS_MAX / 64];                         /* layers with experts */
    const char *block, *router, *choice, *shared, *shared_gate, *list; /* experts: names */
    const char *expert_gate, *expert_up, *expert_down;
    bool        stacked, stacked_in_out, interleaved; /* experts as one tensor, how it lies */
    bool        expert_bias, router_bias, normalise;
    bool        choice_row; /* stored as [1, experts] */
    size_t      experts, experts_used, expert_inner, shared_inner, groups, groups_used;
    nn_route    route;
    float       route_scale, jitter, limit;

    /* Layers without attention, with a recurrent mixer, without an MLP. */
    uint64_t unattended[MODEL_LAYERS_MAX / 64], mixing[MODEL_LAYERS_MAX / 64],
        bare[MODEL_LAYERS_MAX / 64];
    model_mixer mixer;
    bool        attention_gated; /* queries come with a gate per head, which scales what is seen */
    const char *embed, *attention, *shared_gate_up, *shared_down;
    const char *head; /* logits; NULL: "lm_head" */
    float       mixer_in, mixer_out, attention_in, attention_out, gate_scale, mlp_out; /* 0: one */

    size_t latent_q, latent_kv, nope_dim, rope_dim, v_dim; /* latent attention; latent_kv 0: none */
} model_decoder;

/* What Gemma 3n and 4 have beside a decoder. */
typedef struct model_gemma {
    size_t side_width, side_vocab; /* inputs of each layer of its own; width 0: none */
    size_t keyless;                /* the last so many layers read the keys of others */
    size_t wide_head, wide_keys;   /* width and number of key heads in layers that do not slide */
    size_t streams, active, rank;  /* 3n: copies of x; the one layers work on; of the side path */
    bool   correct_scale;
    bool   value_is_key; /* 4: in layers that do not slide */
    bool   wide_mlp;     /* 4: layers without keys have MLPs of twice the width */
} model_gemma;

/* A configuration that was checked: every size is within its limit and fits the others. */
typedef struct model_shape {
    const model_arch *arch;
    const char       *class_name; /* "LlamaForCausalLM" */
    const char       *wrapper;    /* "Gemma3ForConditionalGeneration": its text; NULL: none */
    model_head        head;
    size_t        hidden, inner, layers, heads, kv_heads, head_dim, vocab, positions_max, labels;
    size_t        decoder_layers, decoder_inner, decoder_heads, start; /* encoder-decoders */
    size_t        value_dim;                                           /* 0: head_dim */
    size_t        groups, group_layers;                                /* albert */
    size_t        buckets, distance_max;                               /* relative positions */
    size_t        taps, period;                                        /* convolution; layers */
    size_t        window;                                              /* of sliding layers */
    size_t        keys_max; /* more would be picked from, which is not computed; 0: no limit */
    uint64_t      sliding[MODEL_LAYERS_MAX / 64]; /* a bit per layer */
    size_t        embed_width;                    /* of an encoder's embeddings */
    size_t        position_first; /* ids of learned positions start here: fewer tokens fit */
    size_t        eos;            /* of classifiers that read the end of a text */
    size_t        pad, types;     /* padding id; token types, 0: none */
    float         eps;
    tensor_act    act;
    bool          attention_bias, mlp_bias, tied;
    bool          norm_bias, head_bias, word_bias, mean_pooling; /* modernbert */
    bool          norm_before, no_last_norm;                     /* opt */
    bool          grouped, two_norms;                            /* falcon */
    bool          gated, scale_logits, scale_embed;              /* encoder-decoders */
    float         alibi;                                         /* mpt, falcon */
    bool          alibi_scaled;                                  /* falcon */
    bool          c2p, p2c, share_keys, learned_positions, norm_distances, bucketed; /* deberta */
    tensor_act    head_act, conv_act;
    nn_rope       rope_local; /* of sliding layers */
    model_decoder decoder;
    model_gemma   gemma;
    bool          relative; /* positions are neither rotary nor from a table: no limit */
    nn_rope       rope;     /* width 0: learned positions */
} model_shape;

static inline bool model_layer_is(const uint64_t *bits, size_t layer)
{
    return (bits[layer / 64] >> layer % 64 & 1u) != 0;
}
static inline void model_layer_set(uint64_t *bits, size_t layer, bool on)
{
    bits[layer / 64] &= ~((uint64_t)1 << layer % 64);
    bits[layer / 64] |= (uint64_t)on << layer % 64;
}

/* One step for `batch` rows of `times` tokens each. Arrays are row-major, on the host. */
typedef struct model_batch {
    size_t         batch, times;
    const int32_t *ids;       /* [batch, times] */
    const int32_t *positions; /* [batch, times]; NULL: counted on from what kv holds */
    const int32_t *types;     /* [batch, times]; NULL: all 0 */
    const int32_t *mask;      /* [batch, held + times], 0 hides a key; NULL: all are seen */
    bool           unpadded;  /* encoders may skip hidden tokens at the ends of rows: their results
                               * are zero then, and not what the model would make of padding */
    /* Encoder-decoders. Without memory ids are the encoder's and decoder_ids the decoder's; with it
     * ids are the decoder's, and batch may be a multiple of the memory's rows. */
    const int32_t      *decoder_ids; /* [batch, decoder_times] */
    size_t              decoder_times;
    const model_memory *memory;
    nn_kv              *kv;        /* NULL: none; only for models that generate */
    bool                last_only; /* generating models: logits of the last time only */
} model_batch;

/* Named results ("logits", "last_hidden_state"), float32, valid until the next call
 * on the model. */
typedef struct model_out {
    size_t count;
    struct {
        const char *name;
        tensor      value;
    } item[MODEL_OUT_MAX];
} model_out;

/* A new architecture: one file in arch/ that exports this, and a row in arch_table.c. */
struct model_arch {
    const char *model_type; /* config.json's "model_type" */
    const char *prefix;     /* of body weights inside a class with a head: "model." */
    const void *dialect;    /* what tells apart architectures that share a file */
    const struct model_class {
        const char *name;
        model_head  head;
    } * classes; /* ends with a NULL name */
    snug_status (*parse)(snug_json config, model_shape *out, snug_err *err);
    snug_status (*bind)(model *m, const weight_map *w, snug_err *err);
    snug_status (*forward)(model *m, const model_batch *in, model_out *out, snug_err *err);
    /* What each layer keeps of a sequence; NULL: all keep keys and values alike. */
    void (*keeps)(const model *m, nn_keep *each);
    /* Encoder-decoders: what the decoder reads of a text; NULL for the others. */
    snug_status (*encode)(model *m, const model_batch *in, model_memory *out, snug_err *err);
};
const model_arch *model_arch_at(size_t index); /* NULL past the end */

/* Checks a configuration. class_name empty: the first of "architectures". Classes, switches and
 * values this build does not compute are refused by name: SNUG_EUNSUPPORTED. */
snug_status model_parse(snug_json config, snug_slice class_name, model_shape *out,
                        snug_err *err) SNUG_MUST_USE;

/* What config.json of a folder says, of the class it names. */
snug_status model_peek(snug_arena *a, const char *dir, model_shape *out,
                       snug_err *err) SNUG_MUST_USE;

/* Loads a folder or a GGUF file (any part of a split one) onto a device, which outlives the model.
 * class_name empty: as the config says. */
snug_status model_open(const char *path, snug_slice class_name, tensor_dev *d, model **out,
                       snug_err *err) SNUG_MUST_USE;
void        model_close(model *m); /* NULL is fine */

/* The same with an adapter folder over its weights (LoRA, rsLoRA, DoRA; NULL: none). */
snug_status model_open_adapted(const char *path, const char *adapter, snug_slice class_name,
                               tensor_dev *d, model **out, snug_err *err) SNUG_MUST_USE;
/* Writes a folder of safetensors with an adapter merged into it: weights in the types they had, in
 * files of at most shard_bytes (a larger weight has a file of its own) with an index when there are
 * several, config.json, and the other files of the folder as they are. `out` must not exist or be
 * empty. */
typedef struct model_merged {
    size_t   tensors, files;
    uint64_t bytes;
} model_merged;
snug_status model_merge(const char *path, const char *adapter, uint64_t shard_bytes,
                        const char *out, model_merged *report, snug_err *err) SNUG_MUST_USE;
/* The GGUF file that model_open reads for a path; NULL: it is a folder of safetensors. */
const char *model_find_gguf(snug_arena *a, const char *path);

const model_shape *model_shape_of(const model *m);
snug_json          model_config(const model *m); /* config.json or what GGUF says; with the model */
tensor_dev        *model_dev(const model *m);
size_t             model_weight_bytes(const model *m); /* bound, tied ones counted once */

/* A cache for `batch` rows of at most positions_max positions: nn_kv_free(), before model_close().
 * Caches of a model take their pages from one pool. */
snug_status model_new_kv(const model *m, size_t batch, size_t positions_max, nn_kv **out,
                         snug_err *err) SNUG_MUST_USE;
/* All caches together hold at most this many bytes, at first three quarters of the machine's memory;
 * beyond, model_forward fails with SNUG_ELIMIT. */
void model_limit_kv(model *m, size_t bytes_max);
/* Validates a step and runs it. With a cache, its positions count afterwards. */
snug_status model_forward(model *m, const model_batch *in, model_out *out,
                          snug_err *err) SNUG_MUST_USE;
/* Reads a text for a decoder that will look at it step by step: model_memory_free(). */
snug_status model_encode(model *m, const model_batch *in, model_memory **out,
                         snug_err *err) SNUG_MUST_USE;
void        model_memory_free(model_memory *mem); /* NULL is fine */

/* ---- GGUF files written ---- */

typedef struct model_quantize_opts {
    snug_slice           type; /* "Q4_K_M": see model_quantize_type */
    const codec_gguf_kv *kvs;  /* more metadata: the tokenizer's, over what the model says */
    size_t               kv_count;
    bool (*progress)(void *arg, size_t done, size_t tensors); /* NULL: none; false: stop */
    void *progress_arg;
} model_quantize_opts;
typedef struct model_quantized {
    size_t   tensors;
    uint64_t bytes;
} model_quantized;
/* Writes a folder, or another GGUF file, as a GGUF file of a type; `out` appears when it is whole.
 * SNUG_EUNSUPPORTED names the class or the weight such a file has no place for. */
snug_status model_quantize(const char *path, const model_quantize_opts *o, const char *out,
                           model_quantized *report, snug_err *err) SNUG_MUST_USE;
const char *model_quantize_type(size_t index); /* NULL past the end */

/* A result by name, or NULL. */
const tensor *model_out_find(const model_out *out, const char *name);

#endif
