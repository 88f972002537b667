/* SPDX-License-Identifier: Apache-2.0 */
/* nn/nn_int.h - what the files of nn share. */
#ifndef SNUG_NN_NN_INT_H
#define SNUG_NN_NN_INT_H

#include "nn/nn.h"

/* What recurrent layers keep (state.c): a part of the cache, which forwards to it. */
typedef struct nn_state nn_state;

/* Zeroed; each [layers] is copied. *out stays NULL when no layer keeps anything. */
snug_status nn_state_new(tensor_dev *d, const nn_keep *each, size_t layers, size_t batch,
                         nn_state **out, snug_err *err) SNUG_MUST_USE;
void        nn_state_free(nn_state *s); /* NULL is fine */
/* The layer's tensors, for a step that begins at `held` and is `times` long. */
snug_status nn_state_step(nn_state *s, size_t layer, size_t held, size_t times, tensor *before,
                          tensor *state, snug_err *err) SNUG_MUST_USE;
snug_status nn_state_reorder(nn_state *s, const size_t *from, snug_err *err) SNUG_MUST_USE;
void        nn_state_rewind(nn_state *s, size_t count);

/* A page of a pool. */
typedef struct nn_page {
    struct nn_page *next;  /* of the free list */
    size_t          users; /* rows of caches */
    tensor          t;
} nn_page;
bool        nn_pool_pages(const nn_pool *p); /* false: no layer keeps keys, there are no pages */
snug_status nn_page_take(nn_pool *p, nn_page **out, snug_err *err) SNUG_MUST_USE; /* one user */
void        nn_page_unref(nn_pool *p, nn_page *page);                             /* NULL is fine */
/* Positions [from, from + count) of a layer's keys or values: [1, count, heads, width]. */
tensor nn_page_part(const nn_pool *p, const nn_page *page, size_t layer, bool values, size_t from,
                    size_t count);
/* The first `count` positions of every layer. */
snug_status nn_page_copy(const nn_pool *p, const nn_page *from, const nn_page *to, size_t count,
                         snug_err *err) SNUG_MUST_USE;

/* x [.., heads * width] as [.., heads, width]; the last dimension of x may be part of a wider one.
 */
tensor nn_split_heads(const tensor *x, size_t heads);
/* A dense copy from the workspace. */
snug_status nn_dense(const nn_ctx *c, const tensor *x, tensor *out, snug_err *err) SNUG_MUST_USE;
/* Tokens that do not count become zero, in place: x [B, T, ..] dense. seen NULL: all count. */
snug_status nn_hide(const nn_ctx *c, const nn_seen *seen, const tensor *x,
                    snug_err *err) SNUG_MUST_USE;
/* x [B, T, C] behind the rows of `before` [B, taps - 1, C], which become the last of both. */
snug_status nn_conv_run(const nn_ctx *c, const nn_conv *conv, const tensor *x, const tensor *before,
                        tensor *out, snug_err *err) SNUG_MUST_USE;

/* One step of each kind of mixer: h [B, T, E] -> *out [B, T, E]. */
snug_status nn_run_mamba(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                         const tensor *before, const tensor *state, tensor *out,
                         snug_err *err) SNUG_MUST_USE;
snug_status nn_run_mamba2(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                          const tensor *before, const tensor *state, tensor *out,
                          snug_err *err) SNUG_MUST_USE;
snug_status nn_run_delta(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                         const tensor *before, const tensor *state, tensor *out,
                         snug_err *err) SNUG_MUST_USE;

#endif
