/* SPDX-License-Identifier: Apache-2.0 */
/* nn/nn.h - the blocks of a network over tensor operations: linear, norm, MLP, rotary positions,
 * attention and its key/value cache. A block holds weights it does not own; what it computes comes
 * out of a workspace and lives as long as that says. Dimensions in comments: B batch, T time of
 * this step, S positions so far, H query heads, G key heads, D head width. */
#ifndef SNUG_NN_NN_H
#define SNUG_NN_NN_H

#include "tensor/tensor.h"

/* Where a forward pass computes. */
typedef struct nn_ctx {
    tensor_dev   *dev;
    tensor_space *space;
} nn_ctx;

/* Host integers as a tensor of the workspace. */
snug_status nn_upload(const nn_ctx *c, const int32_t *data, unsigned rank, const size_t *shape,
                      tensor *out, snug_err *err) SNUG_MUST_USE;

/* ---- linear, norm, MLP ---- */

typedef struct nn_linear {
    tensor w, b;
} nn_linear; /* w [out, in]; b absent: none */
/* x [.., in] -> *out [.., out], from the workspace. */
snug_status nn_linear_run(const nn_ctx *c, const nn_linear *l, const tensor *x, tensor *out,
                          snug_err *err) SNUG_MUST_USE;

typedef enum nn_norm_kind { NN_NO_NORM, NN_LAYER_NORM, NN_RMS_NORM } nn_norm_kind;
typedef struct nn_norm {
    nn_norm_kind kind;
    tensor       w, b; /* absent: one, zero */
    float        eps;
} nn_norm;
/* out has x's shape and may be x. NN_NO_NORM copies. */
snug_status nn_norm_run(const nn_ctx *c, const nn_norm *n, const tensor *x, const tensor *out,
                        snug_err *err) SNUG_MUST_USE;

/* down(act(gate(x)) * up(x)); without a gate down(act(up(x))). With a limit the gate is cut to at
 * most that, up to [-limit, limit], and up + 1 takes up's place. */
typedef struct nn_mlp {
    nn_linear  gate, up, down; /* gate.w absent: plain */
    tensor_act act;
    tensor     xielu;      /* [4] F32: in act's place, in a plain MLP; absent: act */
    float      limit;      /* 0: none */
    float      gate_scale; /* 0: one; times the gate before act */
} nn_mlp;
snug_status nn_mlp_run(const nn_ctx *c, const nn_mlp *m, const tensor *x, tensor *out,
                       snug_err *err) SNUG_MUST_USE;
/* The same plus `add`, of the result's shape; NULL: nothing. */
snug_status nn_mlp_run_add(const nn_ctx *c, const nn_mlp *m, const tensor *x, const tensor *add,
                           tensor *out, snug_err *err) SNUG_MUST_USE;

/* ---- rotary positions ---- */

/* X(constant, name in configs) */
#define NN_ROPE_LIST(X)                                                                            \
    X(DEFAULT, "default")                                                                          \
    X(LINEAR, "linear")                                                                            \
    X(DYNAMIC, "dynamic") X(YARN, "yarn") X(LLAMA3, "llama3") X(LONGROPE, "longrope")              \
        X(PROPORTIONAL, "proportional")

typedef enum nn_rope_kind {
#define X(id, name) NN_ROPE_##id,
    NN_ROPE_LIST(X)
#undef X
        NN_ROPE_COUNT
} nn_rope_kind;
bool nn_rope_kind_parse(snug_slice name, nn_rope_kind *out);

enum { NN_ROPE_FACTORS_MAX = 256 };

typedef struct nn_rope {
    nn_rope_kind kind;
    size_t       width;         /* dimensions that turn: even, at least 2 (4 for dynamic) */
    size_t       positions_max; /* the length the model was made for */
    size_t       turning;      /* proportional: the first so many of width / 2 pairs; others stay */
    size_t       original_max; /* yarn, llama3: the length before scaling */
    double       theta, factor;
    double       low_freq_factor, high_freq_factor;                        /* llama3 */
    double beta_fast, beta_slow, attention_factor, mscale, mscale_all_dim; /* yarn; 0: derive */
    bool   truncate;    /* yarn: whole dimensions */
    bool   interleaved; /* pairs (2i, 2i+1) instead of (i, i + width/2) */
    float  short_factor[NN_ROPE_FACTORS_MAX], long_factor[NN_ROPE_FACTORS_MAX]; /* longrope */
} nn_rope;

/* Whether keys that were turned while `held` positions were known are wrong at `length`. */
bool nn_rope_stale(const nn_rope *r, size_t held, size_t length);

/* The width/2 frequencies for a sequence that is `length` positions long so far (dynamic depends on
 * it); returns what cos and sin are multiplied by. */
float nn_rope_freqs(const nn_rope *r, size_t length, float *freqs);

/* cos and sin [B, T, width/2] of one step. */
typedef struct nn_turn {
    tensor cos, sin;
    bool   interleaved;
} nn_turn;
snug_status nn_rope_turn(const nn_ctx *c, const nn_rope *r, const int32_t *positions, size_t batch,
                         size_t times, nn_turn *out, snug_err *err) SNUG_MUST_USE;

/* ---- key/value cache ---- */

typedef struct nn_kv nn_kv;

/* What one layer keeps of a sequence: keys and values, and what recurrent layers carry. */
typedef struct nn_keep {
    size_t heads, k_width, v_width;             /* heads 0: no keys and values */
    size_t taps, channels;                      /* a convolution: the last taps - 1 rows */
    size_t state_heads, state_rows, state_cols; /* state_heads 0: no state */
} nn_keep;

/* Pages of TENSOR_PAGE positions of all layers, for any number of caches of one model (pool.c).
 * What caches give back stays with the pool for the next one. */
typedef struct nn_pool nn_pool;
/* each [layers] is copied. */
nn_pool *nn_pool_new(tensor_dev *d, const nn_keep *each, size_t layers, size_t bytes_max);
void     nn_pool_free(nn_pool *p);                    /* after its caches; NULL is fine */
void     nn_pool_limit(nn_pool *p, size_t bytes_max); /* pages in use stay */
/* Bytes that caches use now, a page that several rows share counted once; bytes held for them. */
size_t nn_pool_used(const nn_pool *p);
size_t nn_pool_held(const nn_pool *p);

typedef struct nn_kv_conf {
    size_t         layers, batch, heads, k_width, v_width;
    const nn_keep *each; /* [layers], copied; NULL: all keep heads * (k_width + v_width) alike */
    size_t         positions_max; /* SNUG_ELIMIT beyond */
    nn_pool       *pool; /* borrowed, made for these layers; NULL: one of its own without a limit */
    tensor_dtype   dtype; /* TENSOR_F32 today: what attention reads */
} nn_kv_conf;
snug_status nn_kv_new(tensor_dev *d, const nn_kv_conf *conf, nn_kv **out,
                      snug_err *err) SNUG_MUST_USE;
void        nn_kv_free(nn_kv *kv);        /* NULL is fine */
size_t      nn_kv_count(const nn_kv *kv); /* positions held */
size_t      nn_kv_batch(const nn_kv *kv);
/* Puts k, v [B, T, G, D] behind what is held for a layer; *keys, *values are [B, S+T, G, D], paged,
 * good until the next step, reorder or rewind. The new positions count once nn_kv_advance is
 * called, after the last layer; all layers of a step append alike. SNUG_ELIMIT: the pool is used
 * up. */
snug_status nn_kv_append(nn_kv *kv, size_t layer, const tensor *k, const tensor *v, tensor *keys,
                         tensor *values, snug_err *err) SNUG_MUST_USE;
/* What a recurrent layer carries, to be replaced in place by a step of `times` positions: *before
 * [B, taps - 1, channels] and *state [B, heads, rows, cols], absent where it keeps none. All zero
 * before the first position. SNUG_EINVAL when the layer's state is not that of nn_kv_count. */
snug_status nn_kv_state(nn_kv *kv, size_t layer, size_t times, tensor *before, tensor *state,
                        snug_err *err) SNUG_MUST_USE;
void        nn_kv_advance(nn_kv *kv, size_t times);
/* Forgets all positions past count. Recurrent layers can only forget all: with them, a step after a
 * rewind to anything but 0 fails. */
void nn_kv_rewind(nn_kv *kv, size_t count);
/* Row b becomes what row from[b] was: beams that survive. Nothing is copied: rows share pages, and
 * the last one is parted when they write on. */
snug_status nn_kv_reorder(nn_kv *kv, const size_t *from, snug_err *err) SNUG_MUST_USE;

/* ---- attention ---- */

typedef enum nn_head_norm {
    NN_HEADS_RAW,   /* q_norm and k_norm are not used */
    NN_HEADS_EACH,  /* each head by itself; a weight [H, D] has a row per head */
    NN_HEADS_JOINED /* all heads of a token as one row */
} nn_head_norm;

typedef struct nn_attention {
    nn_linear    q, k, v, o;
    nn_norm      q_norm, k_norm;
    nn_head_norm head_norm;
    bool         norm_after_turn; /* head norms follow the rotary turn */
    size_t       heads, kv_heads, width;
    float        scale, cap; /* cap 0: none */
    bool         causal;
    size_t       window, ahead, chunk; /* 0: none; see tensor_op */
    float        clip;                 /* 0: none; q, k and v are cut to [-clip, clip] */
    bool         clip_after_norm;      /* when queries and keys are normed already */
    tensor       sinks;                /* [H], absent: none */
} nn_attention;

/* Which tokens of a step count, for layers that read all of them. */
typedef struct nn_seen {
    tensor rows, weights; /* [B * T] I32: 0, 1, ..; F32: 1 or 0; absent: all count */
} nn_seen;

/* What one step gives to every layer of a kind. */
typedef struct nn_step {
    const nn_turn *turn;    /* NULL: positions are not rotary */
    const nn_turn *q_turn;  /* NULL: as turn; else that of the queries alone */
    const tensor  *mask;    /* [B, S+T] I32; NULL: all are seen */
    const tensor  *bias;    /* [B, H, T, S+T] F32; NULL: none */
    const nn_seen *seen;    /* for nn_mixer_run; NULL: all count */
    const tensor  *add;     /* added to the result; NULL: none */
    const size_t  *lengths; /* NULL: none; else x is one row [1, T, E] of texts of these lengths, */
    size_t         texts;   /* which do not see each other; no mask, bias or cache then */
    nn_kv         *kv;      /* NULL: this step is all there is */
    size_t         layer;   /* of kv */
} nn_step;

/* x [B, T, in] -> *out [B, T, out]. */
snug_status nn_attention_run(const nn_ctx *c, const nn_attention *a, const tensor *x,
                             const nn_step *s, tensor *out, snug_err *err) SNUG_MUST_USE;
/* Scores and values only: q [B, T, H, D], k, v [B, S, G, D] -> *out [B, T, H * D]. */
snug_status nn_attention_mix(const nn_ctx *c, const nn_attention *a, const tensor *q,
                             const tensor *k, const tensor *v, const nn_step *s, tensor *out,
                             snug_err *err) SNUG_MUST_USE;
/* x projected to [B, T, heads, width]. */
snug_status nn_heads_run(const nn_ctx *c, const nn_linear *l, const tensor *x, size_t heads,
                         tensor *out, snug_err *err) SNUG_MUST_USE;

/* ---- layers with a state in place of keys and values ---- */

typedef enum nn_mix_kind {
    NN_MIX_CONV,   /* a gated short convolution (LFM2) */
    NN_MIX_MAMBA,  /* selective scan, a head per channel */
    NN_MIX_MAMBA2, /* selective scan, heads of several channels */
    NN_MIX_DELTA   /* gated delta rule */
} nn_mix_kind;

typedef struct nn_conv {
    tensor w, b;
} nn_conv; /* w [channels, taps], b [channels] or absent */

typedef struct nn_mixer {
    nn_mix_kind kind;
    nn_linear   in, out;
    nn_linear   choose, steps; /* mamba: dt, B, C of x; dt of its narrow form. delta: b, a */
    nn_linear   gate, ba;      /* delta: z; b and a by key head, when `in` has all else so */
    nn_conv     conv;
    tensor      rate, dt_bias, skip; /* F32: < 0, [H, N], [H, 1], delta [H]; [H]; [H * width] */
    tensor      in_scale;            /* mamba 2: times what `in` gives; absent: one */
    nn_norm     norm, dt_norm, b_norm, c_norm; /* may be none */
    size_t      norm_groups;
    bool        norm_first;                    /* before the gate */
    size_t      heads, width, n, groups, rank; /* H, P or V, N or K, of B and C or of keys, of dt */
    tensor_act  act;
    float       dt_low, dt_high;
} nn_mixer;
nn_keep nn_mixer_keeps(const nn_mixer *m);
/* h [B, T, E] -> *out [B, T, E], with the state of step->kv, which it replaces. */
snug_status nn_mixer_run(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                         tensor *out, snug_err *err) SNUG_MUST_USE;

/* ---- biases of position ---- */

/* Buckets of distances: exact ones near, logarithmic ones far, all past distance_max in the last.
 */
typedef struct nn_buckets {
    tensor table; /* [count, H] */
    size_t distance_max;
    bool   both_ways; /* half of the buckets are for keys behind the query */
} nn_buckets;
/* The bias [B, H, T, held + T] of queries at positions held and up. */
snug_status nn_buckets_run(const nn_ctx *c, const nn_buckets *r, size_t batch, size_t held,
                           size_t times, tensor *out, snug_err *err) SNUG_MUST_USE;
/* ALiBi: slope_h * the position of the key, which differs from slope_h * -distance by a constant
 * per row. mask as in nn_step: positions count visible keys. */
typedef struct nn_alibi {
    float bias_max; /* 0: there is none; else slopes end at 2^-bias_max */
    float scale;    /* times the biases */
    bool  half;     /* slopes and biases are rounded to BF16 first */
} nn_alibi;
snug_status nn_alibi_run(const nn_ctx *c, size_t heads, const nn_alibi *a, const int32_t *mask,
                         size_t batch, size_t held, size_t times, tensor *out,
                         snug_err *err) SNUG_MUST_USE;

/* ---- mixture of experts (moe.c) ---- */

typedef enum nn_route {
    NN_ROUTE_SOFTMAX,     /* softmax over all experts, then the best */
    NN_ROUTE_TOP_SOFTMAX, /* the best logits, softmax over them */
    NN_ROUTE_SIGMOID, /* sigmoid; `choice` is added for choosing only; groups by their best two */
    NN_ROUTE_SPARSE_MIXER, /* twice the largest, each weighed among its near equals */
    NN_ROUTE_INPUT         /* the best logits; their sigmoid scales the expert's input */
} nn_route;

enum { NN_EXPERTS_MAX = 1024, NN_EXPERTS_USED_MAX = 64 };

typedef struct nn_moe {
    nn_linear router;                   /* [experts, E] */
    nn_norm   router_norm, expert_norm; /* of what the router and the experts read; may be none */
    tensor    choice;                   /* [experts], absent: none */
    tensor    expert_scale; /* [experts] F32: times the weights in the end; absent: one */
    nn_mlp   *experts;
    size_t    count, used;
    size_t    groups, groups_used; /* 0 or 1: no groups */
    nn_route  route;
    bool      normalise;   /* chosen weights sum to one */
    float     scale;       /* times the chosen weights */
    float     jitter;      /* sparse mixer: how near "near equals" are */
    nn_mlp    shared;      /* up.w absent: none */
    nn_linear shared_gate; /* w absent: the shared expert counts fully */
} nn_moe;
/* x [B, T, E] -> *out [B, T, E]. */
snug_status nn_moe_run(const nn_ctx *c, const nn_moe *m, const tensor *x, tensor *out,
                       snug_err *err) SNUG_MUST_USE;

#endif
