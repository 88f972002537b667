/* SPDX-License-Identifier: Apache-2.0 */
/* nn/state.c - what recurrent layers carry from one step to the next.
 *
 * For:     kv.c, which holds it beside keys and values and forwards to it.
 * Owns:    two tensors per layer: the last rows before a convolution, and the state.
 * Threads: as the device.
 * Truth:   a layer's state is that of `count[layer]` positions. A step that failed half way leaves
 *          some layers ahead of the others: the next one is refused until everything is forgotten.
 */
#include "nn/nn_int.h"

#include <stdlib.h>

#include "base/err.h"

struct nn_state {
    tensor_dev *dev;
    size_t      layers, batch;
    size_t     *count;           /* per layer: positions it has seen */
    tensor     *before, *values; /* per layer: [B, taps - 1, C], [B, H, rows, cols] */
};

static snug_status zero(nn_state *s, const tensor *t, snug_err *err)
{
    return tensor_present(t) ? tensor_scale(s->dev, t, 0.0f, 0.0f, t, err) : SNUG_OK;
}

static snug_status new_layer(nn_state *s, size_t i, const nn_keep *k, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (k->taps > 1)
        SNUG_TRY(tensor_new(s->dev, TENSOR_F32, TENSOR_DIMS(s->batch, k->taps - 1, k->channels),
                            &s->before[i], err));
    SNUG_TRY(zero(s, &s->before[i], err));
    if (k->state_heads > 0)
        SNUG_TRY(tensor_new(s->dev, TENSOR_F32,
                            TENSOR_DIMS(s->batch, k->state_heads, k->state_rows, k->state_cols),
                            &s->values[i], err));
    SNUG_TRY(zero(s, &s->values[i], err));
done:
    return st;
}

snug_status nn_state_new(tensor_dev *d, const nn_keep *each, size_t layers, size_t batch,
                         nn_state **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        any = false;
    *out = NULL;
    for (size_t i = 0; each != NULL && i < layers; i++)
        any |= each[i].taps > 1 || each[i].state_heads > 0;
    if (!any) return SNUG_OK;
    nn_state *s = snug_zalloc(sizeof *s);
    *s = (nn_state){.dev = d,
                    .layers = layers,
                    .batch = batch,
                    .count = snug_zalloc(layers * sizeof *s->count),
                    .before = snug_zalloc(layers * sizeof *s->before),
                    .values = snug_zalloc(layers * sizeof *s->values)};
    for (size_t i = 0; i < layers; i++) SNUG_TRY(new_layer(s, i, &each[i], err));
    *out = s;
    s = NULL; /* moved to the caller */
done:
    nn_state_free(s);
    return st;
}

void nn_state_free(nn_state *s)
{
    if (s == NULL) return;
    for (size_t i = 0; i < s->layers; i++) {
        tensor_free(&s->before[i]);
        tensor_free(&s->values[i]);
    }
    free(s->count);
    free(s->before);
    free(s->values);
    free(s);
}

snug_status nn_state_step(nn_state *s, size_t layer, size_t held, size_t times, tensor *before,
                          tensor *state, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_ASSERT(layer < s->layers);
    if (held == 0) { /* from the start, whatever came before */
        SNUG_TRY(zero(s, &s->before[layer], err));
        SNUG_TRY(zero(s, &s->values[layer], err));
    } else if (s->count[layer] != held) {
        SNUG_FAIL(err, SNUG_EINVAL,
                  "a recurrent layer has seen %zu positions, not %zu: begin again from the first",
                  s->count[layer], held);
    }
    s->count[layer] = held + times;
    *before = s->before[layer];
    *state = s->values[layer];
done:
    return st;
}

/* Rows of t change places: one copy of the whole, then row by row back. */
static snug_status reorder(nn_state *s, const tensor *t, const size_t *from, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      was = TENSOR_NONE;
    if (!tensor_present(t)) return SNUG_OK;
    SNUG_TRY(tensor_new(s->dev, TENSOR_F32, t->rank, t->shape, &was, err));
    SNUG_TRY(tensor_copy(s->dev, t, &was, err));
    for (size_t b = 0; b < s->batch; b++) {
        if (from[b] == b) continue;
        SNUG_ASSERT(from[b] < s->batch);
        tensor to = tensor_slice(t, 0, b, 1), row = tensor_slice(&was, 0, from[b], 1);
        SNUG_TRY(tensor_copy(s->dev, &row, &to, err));
    }
done:
    tensor_free(&was);
    return st;
}

snug_status nn_state_reorder(nn_state *s, const size_t *from, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < s->layers; i++) {
        SNUG_TRY(reorder(s, &s->before[i], from, err));
        SNUG_TRY(reorder(s, &s->values[i], from, err));
    }
done:
    return st;
}

void nn_state_rewind(nn_state *s, size_t count)
{
    /* What was seen cannot be unseen: only from nothing, or from here, can a step go on. */
    for (size_t i = 0; i < s->layers; i++)
        if (count == 0) s->count[i] = 0;
}
