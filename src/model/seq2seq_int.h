/* SPDX-License-Identifier: Apache-2.0 */
/* model/seq2seq_int.h - what encoder-decoders share: looking at what the encoder read. */
#ifndef SNUG_MODEL_SEQ2SEQ_INT_H
#define SNUG_MODEL_SEQ2SEQ_INT_H

#include "model/model_int.h"

/* Keys and values of one decoder layer for all that was read: [B, S, H, D]. */
snug_status seq2seq_read(const nn_ctx *c, const nn_attention *a, const tensor *states, tensor *k,
                         tensor *v, snug_err *err) SNUG_MUST_USE;
/* h [B * n, T, E] looks at the memory's rows: n beams share one. */
snug_status seq2seq_cross(const nn_ctx *c, const nn_attention *a, const tensor *h,
                          const model_memory *mem, size_t layer, tensor *out,
                          snug_err *err) SNUG_MUST_USE;
/* A memory in the workspace for one pass that encodes and decodes at once; free k and v. */
snug_status seq2seq_memory(model *m, const model_batch *in, model_memory *out,
                           snug_err *err) SNUG_MUST_USE;

#endif
