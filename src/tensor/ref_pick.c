/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ref_pick.c - portable kernels that pick by index: gather, scatter.
 *
 * For:     cpu_ref; relative positions and expert routing.
 * Owns:    nothing.
 * Threads: gather shares output rows; scatter shares columns, since two rows may come home to one.
 * Truth:   every index is compared with its table before anything is written. */
#include "tensor/tensor_int.h"

static snug_status check_ids(const tensor *ids, size_t rows, const char *what, snug_err *err)
{
    const int32_t *id = cpu_data(ids);
    size_t         n = tensor_count(ids);
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0 || (size_t)id[i] >= rows)
            return snug_fail(err, SNUG_EINVAL, "%s: index %d is outside %zu", what, (int)id[i],
                             rows);
    return SNUG_OK;
}

static void gather_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const tensor_op *op = arg;
    const tensor    *x = &op->in[0], *o = &op->out;
    const int32_t   *index = cpu_data(&op->in[1]);
    const char      *base = cpu_data(x);
    bool             trans = op->u.gather.trans;
    size_t           rows = o->shape[2], cols = o->shape[3], each = tensor_dtype_bytes(x->dtype);
    for (size_t n = from; n < to; n++) {
        size_t b = n / (o->shape[1] * rows), h = n / rows % o->shape[1], i = n % rows;
        float *out = (float *)cpu_data(o) + b * o->stride[0] + h * o->stride[1] + i * o->stride[2];
        const char *in = base + (b * x->stride[0] + h * x->stride[1]) * each;
        for (size_t j = 0; j < cols; j++) {
            size_t row = trans ? j : i;
            size_t at = (size_t)(trans ? index[j * rows + i] : index[i * cols + j]);
            out[j * o->stride[3]] = cpu_load(x->dtype, in, row * x->stride[2] + at * x->stride[3]);
        }
    }
}

snug_status ref_gather(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    tensor_op   copy = *op;
    snug_status st = check_ids(&op->in[1], op->in[0].shape[3], "gather", err);
    if (st != SNUG_OK) return st;
    snug_team_run(d->team, tensor_rows(&op->out), cpu_grain(4 * op->out.shape[3]), gather_part,
                  &copy);
    return SNUG_OK;
}

static void scatter_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const tensor_op *op = arg;
    const tensor    *x = &op->in[0], *o = &op->out;
    const int32_t   *ids = cpu_data(&op->in[1]);
    const float     *in = cpu_data(x), *weight = cpu_data(&op->in[2]);
    float           *out = cpu_data(o);
    for (size_t n = 0; n < x->shape[0]; n++) {
        const float *row = in + n * x->stride[0];
        float       *home = out + (size_t)ids[n] * o->stride[0];
        for (size_t i = from; i < to; i++) home[i] += row[i] * weight[n];
    }
}

snug_status ref_scatter(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    tensor_op   copy = *op;
    snug_status st = check_ids(&op->in[1], op->out.shape[0], "scatter", err);
    if (st != SNUG_OK) return st;
    snug_team_run(d->team, op->out.shape[1], cpu_grain(2 * op->in[0].shape[0]), scatter_part,
                  &copy);
    return SNUG_OK;
}
