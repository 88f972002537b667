/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/quant_inline.h - bytes of a block to quant_block, one function per type, and inputs to 8 bits,
 * as inline code: compiled once for any CPU and again by the SIMD files with their instructions.
 *
 * The layouts (little endian; d, m, dmin are F16; nibbles low first):
 *   Q4_0   d qs[16]                 byte j: elements j (low), j + 16 (high); value q - 8
 *   Q4_1   d m qs[16]               the same; d q + m
 *   Q5_0   d qh[4] qs[16]           bit i of qh is bit 4 of element i; q - 16
 *   Q5_1   d m qh[4] qs[16]         d q + m
 *   Q8_0   d qs[32]                 signed bytes
 *   MXFP4  e qs[16]                 2^(e - 127) times an E2M1 number; kept doubled, so d is halved
 *   Q2_K   sc[16] qs[64] d dmin     sc: scale low, min high; per 128 elements 32 bytes hold 4 x 2
 * bits Q3_K   hm[32] qs[64] sc[12] d   as Q2_K, bit 2 from hm; sc: sixteen 6-bit numbers less 32
 *   Q4_K   d dmin sc[12] qs[128]    per 64 elements 32 bytes: low nibbles first, then high
 *   Q5_K   d dmin sc[12] qh[32] qs[128]   bit g of qh[l] is bit 4 of element 32 g + l
 *   Q6_K   ql[128] qh[64] sc[16] d  per 128: nibbles of 64 bytes, two bits each of 32; q - 32 */
#ifndef SNUG_TENSOR_QUANT_INLINE_H
#define SNUG_TENSOR_QUANT_INLINE_H

#include <math.h>
#include <string.h>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "tensor/quant_int.h"

#define QUANT_INLINE static inline __attribute__((always_inline))

QUANT_INLINE float quant_f16(const uint8_t *p)
{
#if defined(__F16C__)
    return _cvtsh_ss((uint16_t)(p[0] | p[1] << 8));
#endif
    return tensor_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

QUANT_INLINE void unpack_nibbles(const uint8_t *qs, uint8_t *q, size_t n)
{
    for (size_t i = 0; i < n; i++) q[i] = qs[i] & 15;
    for (size_t i = 0; i < n; i++) q[i + n] = qs[i] >> 4;
}

/* Bit i of the 32 is bit 4 of q[i]. */
QUANT_INLINE void unpack_fifth(const uint8_t *qh, uint8_t *q)
{
    for (size_t i = 0; i < 32; i++) q[i] = (uint8_t)(q[i] | (qh[i / 8] >> i % 8 & 1) << 4);
}

QUANT_INLINE void unpack_plain(quant_block *b, float d, float m)
{
    b->d = d;
    b->dmin = -m; /* the form subtracts */
    b->scale[0] = b->min[0] = 1;
}

/* 8 scales and 8 mins of 6 bits: the first four whole in bytes 0-3 and 4-7, whose top bits belong
 * to the last four, with their low nibbles in bytes 8-11. */
QUANT_INLINE void unpack_six_bits(const uint8_t *s, quant_block *b)
{
    for (size_t j = 0; j < 4; j++) {
        b->scale[j] = s[j] & 63;
        b->min[j] = s[j + 4] & 63;
        b->scale[j + 4] = (int16_t)((s[j + 8] & 15) | (s[j] >> 6) << 4);
        b->min[j + 4] = (int16_t)((s[j + 8] >> 4) | (s[j + 4] >> 6) << 4);
    }
}

QUANT_INLINE void unpack_q4_k(const uint8_t *p, quant_block *b)
{
    b->d = quant_f16(p);
    b->dmin = quant_f16(p + 2);
    unpack_six_bits(p + 4, b);
    for (size_t g = 0; g < 4; g++) unpack_nibbles(p + 16 + 32 * g, b->q + 64 * g, 32);
}

QUANT_INLINE void unpack_q5_k(const uint8_t *p, quant_block *b)
{
    b->d = quant_f16(p);
    b->dmin = quant_f16(p + 2);
    unpack_six_bits(p + 4, b);
    for (size_t g = 0; g < 4; g++) unpack_nibbles(p + 48 + 32 * g, b->q + 64 * g, 32);
    for (size_t g = 0; g < 8; g++)
        for (size_t l = 0; l < 32; l++)
            b->q[32 * g + l] = (uint8_t)(b->q[32 * g + l] | (p[16 + l] >> g & 1) << 4);
}

QUANT_INLINE void unpack_two_bits(const uint8_t *qs, uint8_t *q)
{
    for (size_t h = 0; h < 2; h++)
        for (size_t j = 0; j < 4; j++)
            for (size_t l = 0; l < 32; l++) q[128 * h + 32 * j + l] = qs[32 * h + l] >> 2 * j & 3;
}

QUANT_INLINE void unpack_q2_k(const uint8_t *p, quant_block *b)
{
    for (size_t s = 0; s < 16; s++) {
        b->scale[s] = p[s] & 15;
        b->min[s] = p[s] >> 4;
    }
    unpack_two_bits(p + 16, b->q);
    b->d = quant_f16(p + 80);
    b->dmin = quant_f16(p + 82);
}

QUANT_INLINE void unpack_q3_k(const uint8_t *p, quant_block *b)
{
    const uint8_t *s = p + 96;
    for (size_t j = 0; j < 16; j++) {
        int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4, high = s[8 + j % 4] >> 2 * (j / 4) & 3;
        b->scale[j] = (int16_t)((low | high << 4) - 32);
    }
    unpack_two_bits(p + 32, b->q);
    for (size_t g = 0; g < 8; g++)
        for (size_t l = 0; l < 32; l++)
            b->q[32 * g + l] = (uint8_t)(b->q[32 * g + l] | (p[l] >> g & 1) << 2);
    b->d = quant_f16(p + 108);
    b->dmin = 0.0f;
}

QUANT_INLINE void unpack_q6_k(const uint8_t *p, quant_block *b)
{
    for (size_t h = 0; h < 2; h++) {
        const uint8_t *ql = p + 64 * h, *qh = p + 128 + 32 * h;
        uint8_t       *q = b->q + 128 * h;
        for (size_t l = 0; l < 64; l++)
            q[l] = (uint8_t)((ql[l] & 15) | (qh[l % 32] >> 2 * (l / 32) & 3) << 4);
        for (size_t l = 0; l < 64; l++)
            q[64 + l] = (uint8_t)(ql[l] >> 4 | (qh[l % 32] >> (4 + 2 * (l / 32)) & 3) << 4);
    }
    for (size_t s = 0; s < 16; s++) b->scale[s] = (int8_t)p[192 + s];
    b->d = quant_f16(p + 208);
    b->dmin = 0.0f;
}

/* E2M1 doubled, plus 12 to make it unsigned: 0 1 2 3 4 6 8 12, then the same negative. */
QUANT_INLINE void unpack_mxfp4(const uint8_t *p, quant_block *b)
{
    static const uint8_t table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
    uint32_t             bits = p[0] < 2 ? 0x00200000u << p[0] : (uint32_t)(p[0] - 1) << 23;
    float                half;
    memcpy(&half, &bits, sizeof half);
    unpack_plain(b, half, 0.0f);
    for (size_t i = 0; i < 16; i++) b->q[i] = table[p[1 + i] & 15];
    for (size_t i = 0; i < 16; i++) b->q[16 + i] = table[p[1 + i] >> 4];
}

QUANT_INLINE void quant_unpack_inline(tensor_dtype t, const uint8_t *p, quant_block *b)
{
    switch (t) {
    case TENSOR_Q4_0:
        unpack_plain(b, quant_f16(p), 0.0f);
        unpack_nibbles(p + 2, b->q, 16);
        break;
    case TENSOR_Q4_1:
        unpack_plain(b, quant_f16(p), quant_f16(p + 2));
        unpack_nibbles(p + 4, b->q, 16);
        break;
    case TENSOR_Q5_0:
        unpack_plain(b, quant_f16(p), 0.0f);
        unpack_nibbles(p + 6, b->q, 16);
        unpack_fifth(p + 2, b->q);
        break;
    case TENSOR_Q5_1:
        unpack_plain(b, quant_f16(p), quant_f16(p + 2));
        unpack_nibbles(p + 8, b->q, 16);
        unpack_fifth(p + 4, b->q);
        break;
    case TENSOR_Q8_0:
        unpack_plain(b, quant_f16(p), 0.0f);
        for (size_t i = 0; i < 32; i++) b->q[i] = p[2 + i] ^ 0x80;
        break;
    case TENSOR_MXFP4: unpack_mxfp4(p, b); break;
    case TENSOR_Q2_K: unpack_q2_k(p, b); break;
    case TENSOR_Q3_K: unpack_q3_k(p, b); break;
    case TENSOR_Q4_K: unpack_q4_k(p, b); break;
    case TENSOR_Q5_K: unpack_q5_k(p, b); break;
    case TENSOR_Q6_K: unpack_q6_k(p, b); break;
    default: break;
    }
}

/* ---- inputs ---- */

/* The largest |x| as the bits of a float: whole-number order puts infinity and NaN on top. */
QUANT_INLINE uint32_t quant_largest(const float *x, size_t n)
{
    uint32_t best = 0, bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffffu;
        best = bits > best ? bits : best;
    }
    return best;
}

QUANT_INLINE void quant_acts_row_inline(size_t elems, size_t sub, int offset, const float *x,
                                        const quant_acts *a, size_t row)
{
    int8_t *q = a->q + row * a->k;
    for (size_t b = 0; b < a->blocks; b++) {
        const float *in = x + b * elems;
        int8_t      *out = q + b * elems;
        uint32_t     bits = quant_largest(in, elems);
        float        most, inverse;
        memcpy(&most, &bits, sizeof most);
        bool odd = bits >= 0x7f800000u, tiny = most < QUANT_TINY;
        a->d[row * a->blocks + b] = odd ? NAN : tiny ? 0.0f : most / 127.0f;
        inverse = tiny ? 0.0f : 127.0f / most;
        if (odd)
            memset(out, 0, elems);
        else
            for (size_t i = 0; i < elems; i++) out[i] = (int8_t)(int)nearbyintf(in[i] * inverse);
    }
    for (size_t s = 0; s < a->subs; s++) {
        int sum = 0;
        for (size_t i = 0; i < sub; i++) sum += q[s * sub + i];
        a->sums[row * a->subs + s] = (int16_t)sum;
        a->zero[row * a->subs + s] = -offset * sum;
    }
}

#endif
