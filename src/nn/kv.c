/* SPDX-License-Identifier: Apache-2.0 */
/* nn/kv.c - the keys and values of the positions a model has already seen.
 *
 * For:     attention through nn_attention_run; infer/ makes and rewinds them.
 * Owns:    two tensors per layer, [batch, room, heads, width], and what recurrent layers carry
 *          (state.c).
 * Threads: as the device.
 * Truth:   positions [0, count) are complete in every layer; append writes behind them only. */
#include "nn/nn_int.h"

#include <stdlib.h>

#include "base/err.h"

struct nn_kv {
    tensor_dev *dev;
    nn_kv_conf  conf;
    size_t      count, room; /* positions held, positions there is memory for */
    tensor     *k, *v;       /* per layer */
    nn_keep    *each;        /* per layer */
    nn_state   *state;       /* NULL: no layer is recurrent */
};

snug_status nn_kv_new(tensor_dev *d, const nn_kv_conf *conf, nn_kv **out, snug_err *err)
{
    *out = NULL;
    if (conf->dtype != TENSOR_F32)
        return snug_fail(err, SNUG_EUNSUPPORTED, "a cache of type %s",
                         tensor_dtype_name(conf->dtype));
    nn_kv *kv = snug_zalloc(sizeof *kv);
    kv->dev = d;
    kv->conf = *conf;
    kv->k = snug_zalloc(conf->layers * sizeof *kv->k);
    kv->v = snug_zalloc(conf->layers * sizeof *kv->v);
    kv->each = snug_zalloc(conf->layers * sizeof *kv->each);
    for (size_t i = 0; i < conf->layers; i++)
        kv->each[i] = conf->each != NULL
                          ? conf->each[i]
                          : (nn_keep){conf->heads, conf->k_width, conf->v_width, 0, 0, 0, 0, 0};
    snug_status st = nn_state_new(d, kv->each, conf->layers, conf->batch, &kv->state, err);
    if (st == SNUG_OK)
        *out = kv;
    else
        nn_kv_free(kv);
    return st;
}

void nn_kv_free(nn_kv *kv)
{
    if (kv == NULL) return;
    for (size_t i = 0; i < kv->conf.layers; i++) {
        tensor_free(&kv->k[i]);
        tensor_free(&kv->v[i]);
    }
    free(kv->k);
    free(kv->v);
    free(kv->each);
    nn_state_free(kv->state);
    free(kv);
}

size_t nn_kv_count(const nn_kv *kv) { return kv->count; }
size_t nn_kv_batch(const nn_kv *kv) { return kv->conf.batch; }

/* Moves one tensor to memory with more room. */
static snug_status regrow(nn_kv *kv, tensor *t, size_t heads, size_t width, size_t room,
                          snug_err *err)
{
    tensor      next;
    snug_status st = tensor_new(kv->dev, kv->conf.dtype,
                                TENSOR_DIMS(kv->conf.batch, room, heads, width), &next, err);
    if (st == SNUG_OK && kv->count > 0 && tensor_present(t)) {
        tensor from = tensor_slice(t, 1, 0, kv->count), to = tensor_slice(&next, 1, 0, kv->count);
        st = tensor_copy(kv->dev, &from, &to, err);
    }
    if (st != SNUG_OK) {
        tensor_free(&next);
        return st;
    }
    tensor_free(t);
    *t = next;
    return SNUG_OK;
}

static snug_status make_room(nn_kv *kv, size_t positions, snug_err *err)
{
    if (positions > kv->conf.positions_max)
        return snug_fail(err, SNUG_ELIMIT, "%zu positions; the cache may hold %zu", positions,
                         kv->conf.positions_max);
    if (positions <= kv->room) return SNUG_OK;
    size_t room = kv->room * 2 > positions ? kv->room * 2 : positions;
    room = (room + NN_KV_PAGE - 1) / NN_KV_PAGE * NN_KV_PAGE;
    for (size_t i = 0; i < kv->conf.layers; i++) {
        const nn_keep *keep = &kv->each[i];
        if (keep->heads == 0) continue;
        snug_status st = regrow(kv, &kv->k[i], keep->heads, keep->k_width, room, err);
        if (st == SNUG_OK) st = regrow(kv, &kv->v[i], keep->heads, keep->v_width, room, err);
        if (st != SNUG_OK) return st; /* layers before it have more room than they need: harmless */
    }
    kv->room = room;
    return SNUG_OK;
}

snug_status nn_kv_append(nn_kv *kv, size_t layer, const tensor *k, const tensor *v, tensor *keys,
                         tensor *values, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_ASSERT(layer < kv->conf.layers && k->rank == 4 && v->rank == 4 &&
                k->shape[0] == kv->conf.batch);
    size_t times = k->shape[1], total = kv->count + times;
    SNUG_TRY(make_room(kv, total, err));
    tensor kt = tensor_slice(&kv->k[layer], 1, kv->count, times),
           vt = tensor_slice(&kv->v[layer], 1, kv->count, times);
    SNUG_TRY(tensor_copy(kv->dev, k, &kt, err));
    SNUG_TRY(tensor_copy(kv->dev, v, &vt, err));
    *keys = tensor_slice(&kv->k[layer], 1, 0, total);
    *values = tensor_slice(&kv->v[layer], 1, 0, total);
done:
    return st;
}

snug_status nn_kv_reorder(nn_kv *kv, const size_t *from, snug_err *err)
{
    bool same = true;
    for (size_t b = 0; b < kv->conf.batch; b++) same &= from[b] == b;
    for (size_t i = 0; !same && i < 2 * kv->conf.layers; i++) {
        tensor *t = i % 2 == 0 ? &kv->k[i / 2] : &kv->v[i / 2], next;
        if (!tensor_present(t) || kv->count == 0) continue;
        snug_status st = tensor_new(kv->dev, kv->conf.dtype, t->rank, t->shape, &next, err);
        for (size_t b = 0; st == SNUG_OK && b < kv->conf.batch; b++) {
            SNUG_ASSERT(from[b] < kv->conf.batch);
            tensor to = tensor_slice(&next, 0, b, 1), was = tensor_slice(t, 0, from[b], 1);
            to = tensor_slice(&to, 1, 0, kv->count);
            was = tensor_slice(&was, 1, 0, kv->count);
            st = tensor_copy(kv->dev, &was, &to, err);
        }
        if (st != SNUG_OK) {
            tensor_free(&next);
            return st;
        }
        tensor_free(t);
        *t = next;
    }
    return same || kv->state == NULL ? SNUG_OK : nn_state_reorder(kv->state, from, err);
}

snug_status nn_kv_state(nn_kv *kv, size_t layer, size_t times, tensor *before, tensor *state,
                        snug_err *err)
{
    SNUG_ASSERT(kv->state != NULL && layer < kv->conf.layers);
    if (times > kv->conf.positions_max - kv->count)
        return snug_fail(err, SNUG_ELIMIT, "%zu positions; the cache may hold %zu",
                         kv->count + times, kv->conf.positions_max);
    return nn_state_step(kv->state, layer, kv->count, times, before, state, err);
}

void nn_kv_advance(nn_kv *kv, size_t times)
{
    SNUG_ASSERT(kv->state != NULL || times <= kv->room - kv->count);
    kv->count += times;
}

void nn_kv_rewind(nn_kv *kv, size_t count)
{
    SNUG_ASSERT(count <= kv->count);
    kv->count = count;
    if (kv->state != NULL) nn_state_rewind(kv->state, count);
}
