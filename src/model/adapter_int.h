/* SPDX-License-Identifier: Apache-2.0 */
/* model/adapter_int.h - adapters over the weights of a model. */
#ifndef SNUG_MODEL_ADAPTER_INT_H
#define SNUG_MODEL_ADAPTER_INT_H

#include "model/weights_int.h"

/* Puts what an adapter folder changes in place of the weights, as float32, in the arena.
 * shape->tied becomes false when the head and the embeddings part. */
snug_status adapter_apply(snug_arena *a, const char *dir, snug_json config, model_shape *shape,
                          weight_map *w, snug_err *err) SNUG_MUST_USE;

#endif
