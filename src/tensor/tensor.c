/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/tensor.c - tensors as values: shapes, views, element types.
 *
 * For:     every op and every caller of one.
 * Owns:    nothing; memory is dev.c's.
 * Threads: pure functions.
 * Truth:   the product of a tensor's shape fits size_t and TENSOR_BYTES_MAX. */
#include "tensor/tensor_int.h"

const char *tensor_dtype_name(tensor_dtype t)
{
    static const char *const names[] = {
#define X(id, name, elems, bytes) name,
        TENSOR_DTYPE_LIST(X)
#undef X
    };
    SNUG_ASSERT(t < TENSOR_DTYPE_COUNT);
    return names[t];
}

size_t tensor_dtype_bytes(tensor_dtype t)
{
    static const size_t sizes[] = {
#define X(id, name, elems, bytes) bytes,
        TENSOR_DTYPE_LIST(X)
#undef X
    };
    SNUG_ASSERT(t < TENSOR_DTYPE_COUNT);
    return sizes[t];
}

size_t tensor_dtype_block(tensor_dtype t)
{
    static const size_t elems_of[] = {
#define X(id, name, elems, bytes) elems,
        TENSOR_DTYPE_LIST(X)
#undef X
    };
    SNUG_ASSERT(t < TENSOR_DTYPE_COUNT);
    return elems_of[t];
}

size_t tensor_dtype_size(tensor_dtype t, size_t n)
{
    size_t block = tensor_dtype_block(t);
    SNUG_ASSERT(n % block == 0);
    return n / block * tensor_dtype_bytes(t);
}

bool tensor_dtype_is_quant(tensor_dtype t) { return tensor_dtype_block(t) > 1; }

bool tensor_dtype_is_float(tensor_dtype t)
{
    return t == TENSOR_F32 || t == TENSOR_F16 || t == TENSOR_BF16;
}

const char *tensor_op_name(tensor_op_kind k)
{
    static const char *const names[] = {
#define X(id, name) name,
        TENSOR_OP_LIST(X)
#undef X
    };
    SNUG_ASSERT(k < TENSOR_OP_COUNT);
    return names[k];
}

snug_status tensor_shape(tensor_dtype dtype, unsigned rank, const size_t *shape, tensor *out,
                         snug_err *err)
{
    *out = TENSOR_NONE;
    if (rank > TENSOR_RANK_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a tensor of rank %u; the limit is %d", rank,
                         TENSOR_RANK_MAX);
    size_t bytes = tensor_dtype_bytes(dtype), block = tensor_dtype_block(dtype);
    if (block > 1 && (rank == 0 || shape[rank - 1] % block != 0))
        return snug_fail(err, SNUG_EINVAL,
                         "rows of %s hold whole blocks of %zu elements; %zu is no multiple",
                         tensor_dtype_name(dtype), block, rank == 0 ? 1 : shape[rank - 1]);
    /* Zero-sized dimensions must not hide an overflow elsewhere in the shape. */
    for (unsigned i = 0; i < rank; i++) {
        size_t n = i + 1 == rank ? shape[i] / block : shape[i];
        if (snug_mul(bytes, n == 0 ? 1 : n, &bytes) || bytes > TENSOR_BYTES_MAX)
            return snug_fail(err, SNUG_ELIMIT, "a tensor larger than %zu bytes", TENSOR_BYTES_MAX);
    }
    out->dtype = dtype;
    out->rank = rank;
    size_t step = 1;
    for (unsigned i = rank; i-- > 0;) {
        out->shape[i] = shape[i];
        out->stride[i] = step;
        step *= shape[i] == 0 ? 1 : shape[i];
    }
    return SNUG_OK;
}

size_t tensor_count(const tensor *t)
{
    size_t n = 1;
    for (unsigned i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

size_t tensor_size(const tensor *t) { return tensor_dtype_size(t->dtype, tensor_count(t)); }

size_t tensor_cols(const tensor *t) { return t->rank == 0 ? 1 : t->shape[t->rank - 1]; }

size_t tensor_rows(const tensor *t)
{
    size_t n = 1;
    for (unsigned i = 0; i + 1 < t->rank; i++) n *= t->shape[i];
    return n;
}

bool tensor_is_dense(const tensor *t)
{
    size_t step = 1;
    for (unsigned i = t->rank; i-- > 0;) {
        if (t->shape[i] > 1 && t->stride[i] != step) return false;
        step *= t->shape[i];
    }
    return true;
}

bool tensor_has_rows(const tensor *t, size_t *row_stride)
{
    *row_stride = tensor_cols(t);
    if (t->rank == 0) return true;
    if (t->shape[t->rank - 1] > 1 && t->stride[t->rank - 1] != 1) return false;
    bool   known = false;
    size_t step = 0; /* the distance one more index in dimension i must have */
    for (unsigned i = t->rank - 1; i-- > 0;) {
        if (t->shape[i] <= 1) continue;
        if (!known) {
            *row_stride = step = t->stride[i];
            known = true;
        } else if (t->stride[i] != step) {
            return false;
        }
        step *= t->shape[i];
    }
    return true;
}

bool tensor_same_shape(const tensor *a, const tensor *b)
{
    if (a->rank != b->rank) return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

tensor tensor_view(const tensor *t, unsigned rank, const size_t *shape)
{
    tensor v;
    SNUG_ASSERT(t->pages == NULL && tensor_is_dense(t));
    SNUG_ASSERT(tensor_shape(t->dtype, rank, shape, &v, NULL) == SNUG_OK);
    SNUG_ASSERT(tensor_count(&v) == tensor_count(t));
    v.mem = t->mem;
    v.offset = t->offset;
    return v;
}

tensor tensor_slice(const tensor *t, unsigned dim, size_t from, size_t count)
{
    SNUG_ASSERT(t->pages == NULL && dim < t->rank && from <= t->shape[dim] &&
                count <= t->shape[dim] - from);
    SNUG_ASSERT(dim + 1 < t->rank || count % tensor_dtype_block(t->dtype) == 0);
    tensor v = *t;
    v.offset += tensor_dtype_size(t->dtype, from * t->stride[dim]);
    v.shape[dim] = count;
    return v;
}

tensor tensor_swap(const tensor *t, unsigned a, unsigned b)
{
    SNUG_ASSERT(t->pages == NULL && a < t->rank && b < t->rank);
    tensor v = *t;
    v.shape[a] = t->shape[b], v.stride[a] = t->stride[b];
    v.shape[b] = t->shape[a], v.stride[b] = t->stride[a];
    return v;
}

const char *tensor_shape_text(const tensor *t, char out[TENSOR_SHAPE_TEXT])
{
    size_t n = 0;
    out[n++] = '[';
    for (unsigned i = 0; i < t->rank; i++) {
        int k = snprintf(out + n, TENSOR_SHAPE_TEXT - n, "%s%zu", i == 0 ? "" : ", ", t->shape[i]);
        n += (size_t)k;
    }
    (void)snprintf(out + n, TENSOR_SHAPE_TEXT - n, "]");
    return out;
}

/* ---- half precision: 1 sign, 5 exponent (bias 15), 10 fraction bits ---- */

float tensor_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, frac = h & 0x3ffu, bits;
    float    f;
    if (exp == 31u) {
        bits = sign | 0x7f800000u | frac << 13;
    } else if (exp != 0u) {
        bits = sign | (exp + 112u) << 23 | frac << 13;
    } else { /* subnormal: frac * 2^-24, exact in float32 */
        f = (float)frac * 0x1p-24f;
        memcpy(&bits, &f, sizeof bits);
        bits |= sign;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t tensor_f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);  /* NaN */
    if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds past 65504 */
    if (mag < 0x38800000u) { /* below 2^-14: adding 0.5 lets the FPU round at 2^-24 */
        float a;
        memcpy(&a, &mag, sizeof a);
        a += 0.5f;
        memcpy(&mag, &a, sizeof mag);
        return (uint16_t)(sign | (mag - 0x3f000000u));
    }
    uint32_t odd = mag >> 13 & 1u;
    return (uint16_t)(sign | (mag - (112u << 23) + 0xfffu + odd) >> 13);
}

float tensor_bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float    f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t tensor_f32_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* keep NaN quiet */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
