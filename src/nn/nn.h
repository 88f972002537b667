/* SPDX-License-Identifier: Apache-2.0 */
/* nn/nn.h - the blocks of a network over tensor operations: linear, norm, MLP, rotary positions,
 * attention and its key/value cache. A block holds weights it does not own; what it computes comes
 * out of a workspace and lives as long as that says. Dimensions in comments: B batch, T time of this
 * step, S positions so far, H query heads, G key heads, D head width. */
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

typedef struct nn_linear { tensor w, b; } nn_linear; /* w [out, in]; b absent: none */
/* x [.., in] -> *out [.., out], from the workspace. */
snug_status nn_linear_run(const nn_ctx *c, const nn_linear *l, const tensor *x, tensor *out,
                          snug_err *err) SNUG_MUST_USE;

typedef enum nn_norm_kind { NN_LAYER_NORM, NN_RMS_NORM } nn_norm_kind;
typedef struct nn_norm {
    nn_norm_kind kind;
    tensor       w, b; /* absent: one, zero */
    float        eps;
} nn_norm;
/* out has x's shape and may be x. */
snug_status nn_norm_run(const nn_ctx *c, const nn_norm *n, const tensor *x, const tensor *out,
                        snug_err *err) SNUG_MUST_USE;

/* down(act(gate(x)) * up(x)); without a gate down(act(up(x))). */
typedef struct nn_mlp {
    nn_linear  gate, up, down; /* gate.w absent: plain */
    tensor_act act;
} nn_mlp;
snug_status nn_mlp_run(const nn_ctx *c, const nn_mlp *m, const tensor *x, tensor *out,
                       snug_err *err) SNUG_MUST_USE;

/* ---- rotary positions ---- */

/* X(constant, name in configs) */
#define NN_ROPE_LIST(X)                                                                            \
    X(DEFAULT, "default") X(LINEAR, "linear") X(DYNAMIC, "dynamic") X(YARN, "yarn")                \
    X(LLAMA3, "llama3")

typedef enum nn_rope_kind {
#define X(id, name) NN_ROPE_##id,
    NN_ROPE_LIST(X)
#undef X
    NN_ROPE_COUNT
} nn_rope_kind;
bool nn_rope_kind_parse(snug_slice name, nn_rope_kind *out);

typedef struct nn_rope {
    nn_rope_kind kind;
    size_t       width;         /* dimensions that turn: even, at least 2 (4 for dynamic) */
    size_t       positions_max; /* the length the model was made for */
    size_t       original_max;  /* yarn, llama3: the length before scaling */
    double       theta, factor;
    double       low_freq_factor, high_freq_factor;                            /* llama3 */
    double       beta_fast, beta_slow, attention_factor, mscale, mscale_all_dim; /* yarn; 0: derive */
    bool         truncate;                                                     /* yarn: whole dimensions */
    bool         interleaved; /* pairs (2i, 2i+1) instead of (i, i + width/2) */
} nn_rope;

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

/* Room is made in pages of this many positions. Storage is contiguous per layer today; callers see
 * only append and its views, so pages in a pool can take its place. */
enum { NN_KV_PAGE = 64 };

typedef struct nn_kv nn_kv;
typedef struct nn_kv_conf {
    size_t       layers, batch, heads, k_width, v_width;
    size_t       positions_max; /* SNUG_ELIMIT beyond */
    tensor_dtype dtype;         /* TENSOR_F32 today: what attention reads */
} nn_kv_conf;
snug_status nn_kv_new(tensor_dev *d, const nn_kv_conf *conf, nn_kv **out,
                      snug_err *err) SNUG_MUST_USE;
void        nn_kv_free(nn_kv *kv); /* NULL is fine */
size_t      nn_kv_count(const nn_kv *kv); /* positions held */
size_t      nn_kv_batch(const nn_kv *kv);
/* Puts k, v [B, T, G, D] behind what is held for a layer; *keys, *values are views of [B, S+T, G, D].
 * The new positions count once nn_kv_advance is called, after the last layer. */
snug_status nn_kv_append(nn_kv *kv, size_t layer, const tensor *k, const tensor *v, tensor *keys,
                         tensor *values, snug_err *err) SNUG_MUST_USE;
void        nn_kv_advance(nn_kv *kv, size_t times);
void        nn_kv_rewind(nn_kv *kv, size_t count); /* forgets all positions past count */

/* ---- attention ---- */

typedef struct nn_attention {
    nn_linear q, k, v, o;
    size_t    heads, kv_heads, width;
    float     scale;
    bool      causal;
    size_t    window; /* 0: none */
} nn_attention;
/* x [B, T, in] -> *out [B, T, out]. turn NULL: positions are not rotary; mask [B, S+T] I32 NULL: all
 * are seen; kv NULL: this step is all there is. */
snug_status nn_attention_run(const nn_ctx *c, const nn_attention *a, const tensor *x,
                             const nn_turn *turn, const tensor *mask, nn_kv *kv, size_t layer,
                             tensor *out, snug_err *err) SNUG_MUST_USE;

#endif
