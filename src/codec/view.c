/* SPDX-License-Identifier: Apache-2.0 */
/* codec/view.c - strided views of a storage, copied out in row-major order.
 *
 * For:     codec/npy.c and codec/torch.c, which make views; snug convert, which copies them.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   a view that passed codec_view_check never reads outside its storage. */
#include <inttypes.h>

#include "codec/codec.h"

enum { SHOWN_MAX = 80 };

snug_status codec_view_check(const codec_view *v, uint64_t *count, snug_err *err)
{
    unsigned   bits = codec_dtype_bits(v->tensor.dtype);
    snug_slice name = snug_sub(v->tensor.name, 0, SHOWN_MAX);
    uint64_t   n = 1, last = v->first, have = v->storage.len / (bits / 8);
    bool       over = false;

    SNUG_ASSERT(bits % 8 == 0 && v->tensor.rank <= CODEC_ST_RANK_MAX);
    for (unsigned d = 0; d < v->tensor.rank; d++) {
        if (v->tensor.shape[d] == 0) n = 0;
    }
    for (unsigned d = 0; d < v->tensor.rank && n > 0; d++) {
        uint64_t reach;
        over |= __builtin_mul_overflow(n, v->tensor.shape[d], &n);
        over |= __builtin_mul_overflow(v->tensor.shape[d] - 1, v->strides[d], &reach);
        over |= __builtin_add_overflow(last, reach, &last);
    }
    if (over || n > UINT64_MAX / bits)
        return snug_fail(err, SNUG_ECORRUPT, "tensor \"%.*s\" has more elements than 64 bits count",
                         SNUG_SLICE(name));
    if (n > 0 && last >= have)
        return snug_fail(err, SNUG_ECORRUPT,
                         "tensor \"%.*s\" reaches to element %" PRIu64
                         " of a storage that has %" PRIu64,
                         SNUG_SLICE(name), last, have);
    *count = n;
    return SNUG_OK;
}

/* A run of n elements that lie `stride` elements apart. */
static void copy_run(unsigned char *to, const char *from, uint64_t n, uint64_t stride,
                     unsigned size)
{
    if (stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    for (uint64_t i = 0; i < n; i++, to += size) {
        const char *p = from + i * stride * size;
        switch (size) { /* a constant size is one load and one store */
        case 1: *to = (unsigned char)*p; break;
        case 2: memcpy(to, p, 2); break;
        case 4: memcpy(to, p, 4); break;
        default: memcpy(to, p, 8); break;
        }
    }
}

static void swap_bytes(unsigned char *p, uint64_t n, unsigned size)
{
    for (uint64_t i = 0; i < n; i++, p += size) {
        for (unsigned k = 0; k < size / 2; k++) {
            unsigned char c = p[k];
            p[k] = p[size - 1 - k];
            p[size - 1 - k] = c;
        }
    }
}

void codec_view_copy(const codec_view *v, uint64_t from, uint64_t n, void *out)
{
    unsigned       size = codec_dtype_bits(v->tensor.dtype) / 8, rank = v->tensor.rank;
    uint64_t       at[CODEC_ST_RANK_MAX], index = v->first, left = n, rest = from;
    unsigned char *to = out;

    if (n == 0) return;
    for (unsigned d = rank; d > 0; d--) {
        at[d - 1] = rest % v->tensor.shape[d - 1];
        rest /= v->tensor.shape[d - 1];
        index += at[d - 1] * v->strides[d - 1];
    }
    while (left > 0) {
        uint64_t run = rank == 0 ? 1 : v->tensor.shape[rank - 1] - at[rank - 1];
        if (run > left) run = left;
        copy_run(to, v->storage.ptr + index * size, run, rank == 0 ? 1 : v->strides[rank - 1],
                 size);
        to += run * size;
        left -= run;
        if (left == 0) break;
        SNUG_ASSERT(rank > 0); /* a scalar has one element */
        index -= at[rank - 1] * v->strides[rank - 1];
        at[rank - 1] = 0;
        for (unsigned d = rank - 1; d > 0; d--) { /* the next row, carrying as an odometer does */
            index += v->strides[d - 1];
            if (++at[d - 1] < v->tensor.shape[d - 1]) break;
            index -= at[d - 1] * v->strides[d - 1];
            at[d - 1] = 0;
        }
    }
    if (v->swap && v->tensor.dtype == CODEC_C64)
        swap_bytes(out, 2 * n, 4);
    else if (v->swap)
        swap_bytes(out, n, size);
}
