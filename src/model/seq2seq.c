/* SPDX-License-Identifier: Apache-2.0 */
/* model/seq2seq.c - how a decoder looks at what an encoder read.
 *
 * For:     arch/t5.c, arch/bart.c.
 * Owns:    nothing.
 * Threads: as the model.
 * Truth:   beams of one text are neighbours in the batch, so their queries can be seen as more
 * queries of one row: what was read is kept once. */
#include "model/seq2seq_int.h"

#include <stdlib.h>

snug_status seq2seq_read(const nn_ctx *c, const nn_attention *a, const tensor *states, tensor *k,
                         tensor *v, snug_err *err)
{
    snug_status st = nn_heads_run(c, &a->k, states, a->kv_heads, k, err);
    return st != SNUG_OK ? st : nn_heads_run(c, &a->v, states, a->kv_heads, v, err);
}

snug_status seq2seq_cross(const nn_ctx *c, const nn_attention *a, const tensor *h,
                          const model_memory *mem, size_t layer, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      q, mixed;
    size_t      rows = h->shape[0], T = h->shape[1], share = rows / mem->batch;
    SNUG_TRY(nn_heads_run(c, &a->q, h, a->heads, &q, err));
    q = tensor_view(&q, TENSOR_DIMS(mem->batch, share * T, q.shape[2], q.shape[3]));
    SNUG_TRY(nn_attention_mix(c, a, &q, &mem->k[layer], &mem->v[layer],
                              &(nn_step){.mask = &mem->mask}, &mixed, err));
    mixed = tensor_view(&mixed, TENSOR_DIMS(rows, T, mixed.shape[2]));
    SNUG_TRY(nn_linear_run(c, &a->o, &mixed, out, err));
done:
    return st;
}

snug_status seq2seq_memory(model *m, const model_batch *in, model_memory *out, snug_err *err)
{
    nn_ctx c = model_ctx(m);
    *out =
        (model_memory){.batch = in->batch, .times = in->times, .layers = m->shape.decoder_layers};
    out->k = snug_zalloc(out->layers * sizeof *out->k);
    out->v = snug_zalloc(out->layers * sizeof *out->v);
    if (in->mask != NULL) {
        snug_status st =
            nn_upload(&c, in->mask, TENSOR_DIMS(in->batch, in->times), &out->mask, err);
        if (st != SNUG_OK) return st;
    }
    return m->shape.arch->encode(m, in, out, err);
}
