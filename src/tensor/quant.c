/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/quant.c - blocks to numbers and back: the table of types, packing, whole rows.
 *
 * For:     the kernels, the loader of GGUF files and `snug quantize`.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   tensor_dequantize gives the bits of the PyPI package gguf (goldens in
 *          tests/golden/tensor/); any bytes are a valid block, so nothing here can fail on a file.
 */
#include "tensor/quant_inline.h"

#include <math.h>

static const quant_kind kinds[TENSOR_DTYPE_COUNT] = {
    [TENSOR_Q4_0] = {32, 18, 32, 8, 4, false},    [TENSOR_Q4_1] = {32, 20, 32, 0, 4, true},
    [TENSOR_Q5_0] = {32, 22, 32, 16, 5, false},   [TENSOR_Q5_1] = {32, 24, 32, 0, 5, true},
    [TENSOR_Q8_0] = {32, 34, 32, 128, 8, false},  [TENSOR_MXFP4] = {32, 17, 32, 12, 5, false},
    [TENSOR_Q2_K] = {256, 84, 16, 0, 2, true},    [TENSOR_Q3_K] = {256, 110, 16, 4, 3, false},
    [TENSOR_Q4_K] = {256, 144, 32, 0, 4, true},   [TENSOR_Q5_K] = {256, 176, 32, 0, 5, true},
    [TENSOR_Q6_K] = {256, 210, 16, 32, 6, false},
};

const quant_kind *quant_kind_of(tensor_dtype t)
{
    return t < TENSOR_DTYPE_COUNT && kinds[t].elems > 1 ? &kinds[t] : NULL;
}

void quant_unpack(tensor_dtype t, const uint8_t *bytes, quant_block *b)
{
    quant_unpack_inline(t, bytes, b);
}

/* ---- packing: the unpack functions read backwards ---- */

static void put_f16(uint8_t *p, float f)
{
    uint16_t h = tensor_f32_to_f16(f);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static void pack_nibbles(const uint8_t *q, uint8_t *qs, size_t n)
{
    for (size_t i = 0; i < n; i++) qs[i] = (uint8_t)((q[i] & 15) | (q[i + n] & 15) << 4);
}

static void pack_fifth(const uint8_t *q, uint8_t *qh)
{
    memset(qh, 0, 4);
    for (size_t i = 0; i < 32; i++) qh[i / 8] = (uint8_t)(qh[i / 8] | (q[i] >> 4) << i % 8);
}

static void pack_six_bits(const quant_block *b, uint8_t *s)
{
    for (size_t j = 0; j < 4; j++) {
        s[j] = (uint8_t)(b->scale[j] | (b->scale[j + 4] >> 4) << 6);
        s[j + 4] = (uint8_t)(b->min[j] | (b->min[j + 4] >> 4) << 6);
        s[j + 8] = (uint8_t)((b->scale[j + 4] & 15) | (b->min[j + 4] & 15) << 4);
    }
}

/* Bit `bit` of each element, 32 elements per bit of the 32 bytes. */
static void pack_high_bit(const uint8_t *q, unsigned bit, uint8_t *out)
{
    memset(out, 0, 32);
    for (size_t i = 0; i < 256; i++)
        out[i % 32] = (uint8_t)(out[i % 32] | (q[i] >> bit & 1) << i / 32);
}

static void pack_two_bits(const uint8_t *q, uint8_t *qs)
{
    memset(qs, 0, 64);
    for (size_t i = 0; i < 256; i++) {
        uint8_t *at = qs + 32 * (i / 128) + i % 32;
        *at = (uint8_t)(*at | (q[i] & 3) << 2 * (i / 32 % 4));
    }
}

static void pack_q3_k(const quant_block *b, uint8_t *p)
{
    pack_high_bit(b->q, 2, p);
    pack_two_bits(b->q, p + 32);
    memset(p + 96, 0, 12);
    for (size_t j = 0; j < 16; j++) {
        unsigned v = (unsigned)(b->scale[j] + 32);
        p[96 + j % 8] = (uint8_t)(p[96 + j % 8] | (v & 15) << (j < 8 ? 0 : 4));
        p[104 + j % 4] = (uint8_t)(p[104 + j % 4] | (v >> 4) << 2 * (j / 4));
    }
    put_f16(p + 108, b->d);
}

static void pack_q6_k(const quant_block *b, uint8_t *p)
{
    memset(p + 128, 0, 64);
    for (size_t h = 0; h < 2; h++) {
        const uint8_t *q = b->q + 128 * h;
        pack_nibbles(q, p + 64 * h, 64);
        for (size_t l = 0; l < 128; l++) {
            uint8_t *at = p + 128 + 32 * h + l % 32;
            *at = (uint8_t)(*at | (q[l] >> 4) << 2 * (l / 32));
        }
    }
    for (size_t s = 0; s < 16; s++) p[192 + s] = (uint8_t)b->scale[s];
    put_f16(p + 208, b->d);
}

static void pack_mxfp4(const quant_block *b, uint8_t *p)
{
    /* By value + 12; the numbers E2M1 lacks are never asked for. */
    static const uint8_t code[25] = {15, 0, 0, 0, 14, 0, 13, 0, 12, 11, 10, 9, 0,
                                     1,  2, 3, 4, 0,  5, 0,  6, 0,  0,  0,  7};
    uint32_t             bits;
    memcpy(&bits, &b->d, sizeof bits);
    p[0] = bits < 0x00800000u ? bits / 0x00400000u & 1u : (uint8_t)((bits >> 23) + 1);
    for (size_t i = 0; i < 16; i++) p[1 + i] = (uint8_t)(code[b->q[i]] | code[b->q[i + 16]] << 4);
}

/* d [m] [qh] qs */
static void pack_small(const quant_kind *k, const quant_block *b, uint8_t *p)
{
    put_f16(p, b->d);
    p += 2;
    if (k->has_min) {
        put_f16(p, -b->dmin);
        p += 2;
    }
    if (k->bits == 5) {
        pack_fifth(b->q, p);
        p += 4;
    }
    pack_nibbles(b->q, p, 16);
}

void quant_pack(tensor_dtype t, const quant_block *b, uint8_t *p)
{
    switch (t) {
    case TENSOR_Q8_0:
        put_f16(p, b->d);
        for (size_t i = 0; i < 32; i++) p[2 + i] = b->q[i] ^ 0x80;
        break;
    case TENSOR_MXFP4: pack_mxfp4(b, p); break;
    case TENSOR_Q2_K:
        for (size_t s = 0; s < 16; s++) p[s] = (uint8_t)(b->scale[s] | b->min[s] << 4);
        pack_two_bits(b->q, p + 16);
        put_f16(p + 80, b->d);
        put_f16(p + 82, b->dmin);
        break;
    case TENSOR_Q3_K: pack_q3_k(b, p); break;
    case TENSOR_Q4_K:
    case TENSOR_Q5_K: {
        uint8_t *qs = t == TENSOR_Q4_K ? p + 16 : p + 48;
        put_f16(p, b->d);
        put_f16(p + 2, b->dmin);
        pack_six_bits(b, p + 4);
        if (t == TENSOR_Q5_K) pack_high_bit(b->q, 4, p + 16);
        for (size_t g = 0; g < 4; g++) pack_nibbles(b->q + 64 * g, qs + 32 * g, 32);
        break;
    }
    case TENSOR_Q6_K: pack_q6_k(b, p); break;
    default: pack_small(quant_kind_of(t), b, p); break;
    }
}

/* ---- rows ---- */

static void dequantize_block(const quant_kind *k, const quant_block *b, float *out)
{
    for (size_t i = 0; i < k->elems; i += k->sub) {
        size_t s = i / k->sub;
        float  scale = b->d * (float)b->scale[s], low = b->dmin * (float)b->min[s];
        if (k->has_min)
            for (size_t j = i; j < i + k->sub; j++) out[j] = scale * (float)b->q[j] - low;
        else
            for (size_t j = i; j < i + k->sub; j++)
                out[j] = scale * (float)((int)b->q[j] - (int)k->offset);
    }
}

void tensor_dequantize(tensor_dtype t, const void *src, size_t n, float *out)
{
    const quant_kind *k = quant_kind_of(t);
    if (k == NULL) {
        SNUG_ASSERT(tensor_dtype_is_float(t));
        for (size_t i = 0; i < n; i++) out[i] = cpu_load(t, src, i);
        return;
    }
    SNUG_ASSERT(n % k->elems == 0);
    const uint8_t *p = src;
    quant_block    b;
    for (size_t i = 0; i < n; i += k->elems, p += k->bytes) {
        quant_unpack(t, p, &b);
        dequantize_block(k, &b, out + i);
    }
}

snug_status tensor_quantize(tensor_dtype t, const float *x, size_t n, void *out, snug_err *err)
{
    const quant_kind *k = quant_kind_of(t);
    if (k == NULL) {
        SNUG_ASSERT(tensor_dtype_is_float(t));
        if (t == TENSOR_F32 && n > 0) memcpy(out, x, n * sizeof *x);
        for (size_t i = 0; i < n && t != TENSOR_F32; i++)
            ((uint16_t *)out)[i] =
                t == TENSOR_F16 ? tensor_f32_to_f16(x[i]) : tensor_f32_to_bf16(x[i]);
        return SNUG_OK;
    }
    SNUG_ASSERT(n % k->elems == 0);
    uint8_t    *p = out;
    quant_block b;
    for (size_t i = 0; i < n; i += k->elems, p += k->bytes) {
        memset(&b, 0, sizeof b);
        if (!quant_fit(t, x + i, &b))
            return snug_fail(err, SNUG_EINVAL,
                             "%s cannot hold the values from %zu on: not finite or beyond 65504",
                             tensor_dtype_name(t), i);
        quant_pack(t, &b, p);
    }
    return SNUG_OK;
}
