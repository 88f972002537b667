/* SPDX-License-Identifier: Apache-2.0 */
/* nn/bias.c - what is added to attention scores because of where a key lies.
 *
 * For:     model/arch/: T5 and MPNet (buckets), Bloom and MPT (ALiBi).
 * Owns:    nothing; biases come out of the workspace.
 * Threads: as the device.
 * Truth:   dimensions that repeat have a stride of 0: a bias is stored once, not once per row. */
#include "nn/nn.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"

/* distance: the key's position less the query's. */
static int32_t bucket_of(const nn_buckets *r, int64_t distance)
{
    int64_t count = (int64_t)r->table.shape[0], base = 0, n = distance;
    if (r->both_ways) {
        count /= 2;
        base = n > 0 ? count : 0;
        n = n < 0 ? -n : n;
    } else {
        n = n < 0 ? -n : 0;
    }
    int64_t exact = count / 2;
    if (n < exact) return (int32_t)(base + n);
    double  whole = log((double)r->distance_max / (double)exact);
    float   far = logf((float)n / (float)exact) / (float)whole * (float)(count - exact);
    int64_t at = exact + (int64_t)far;
    return (int32_t)(base + (at < count - 1 ? at : count - 1));
}

snug_status nn_buckets_run(const nn_ctx *c, const nn_buckets *r, size_t batch, size_t held,
                           size_t times, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      all = held + times, H = r->table.shape[1];
    tensor      index, table = r->table;
    int32_t    *host = NULL;
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(1, H, times, all), out, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_I32, TENSOR_DIMS(times, all), &index, err));
    host = snug_alloc_try(tensor_size(&index));
    if (host == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for the distances of %zu tokens", all);
    for (size_t i = 0; i < times; i++)
        for (size_t j = 0; j < all; j++)
            host[i * all + j] = bucket_of(r, (int64_t)j - (int64_t)(held + i));
    SNUG_TRY(tensor_put(&index, host, tensor_size(&index), err));
    /* The table [count, H] seen as [1, H, T, count]. */
    table.rank = 4;
    table.shape[0] = 1, table.stride[0] = 0;
    table.shape[1] = H, table.stride[1] = r->table.stride[1];
    table.shape[2] = times, table.stride[2] = 0;
    table.shape[3] = r->table.shape[0], table.stride[3] = r->table.stride[0];
    SNUG_TRY(tensor_gather(c->dev, &table, &index, false, out, err));
    out->shape[0] = batch, out->stride[0] = 0;
done:
    free(host);
    return st;
}

/* Slopes are powers of one base; heads past a power of two take odd powers of its root. */
static float alibi_slope(size_t head, size_t heads, double bias_max)
{
    size_t whole = 1;
    while (whole * 2 <= heads) whole *= 2;
    if (head < whole) return (float)pow(2.0, -bias_max * (double)(head + 1) / (double)whole);
    return (float)pow(2.0, -bias_max * (double)(2 * (head - whole) + 1) / (double)(2 * whole));
}

static float bias_at(const nn_alibi *a, float slope, int32_t at)
{
    if (!a->half) return slope * (float)at * a->scale;
    float coarse = tensor_bf16_to_f32(tensor_f32_to_bf16(slope));
    return tensor_bf16_to_f32(tensor_f32_to_bf16(coarse * (float)at)) * a->scale;
}

snug_status nn_alibi_run(const nn_ctx *c, size_t heads, const nn_alibi *a, const int32_t *mask,
                         size_t batch, size_t held, size_t times, tensor *out, snug_err *err)
{
    size_t      all = held + times, rows = mask == NULL ? 1 : batch;
    snug_status st =
        tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(rows, heads, 1, all), out, err);
    if (st != SNUG_OK) return st;
    float *host = snug_alloc_try(tensor_size(out));
    if (host == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for the biases of %zu keys", all);
    for (size_t b = 0; b < rows; b++) {
        for (size_t h = 0; h < heads; h++) {
            float   slope = alibi_slope(h, heads, (double)a->bias_max);
            int32_t at = 0;
            for (size_t j = 0; j < all; j++) {
                bool seen = mask == NULL || mask[b * all + j] != 0;
                host[(b * heads + h) * all + j] = seen ? bias_at(a, slope, at++) : 0.0f;
            }
        }
    }
    st = tensor_put(out, host, tensor_size(out), err);
    free(host);
    if (rows == 1) out->shape[0] = batch, out->stride[0] = 0;
    out->shape[2] = times, out->stride[2] = 0;
    return st;
}
