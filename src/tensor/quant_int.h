/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/quant_int.h - quantized blocks as the rest of this folder sees them, whatever their bytes.
 *
 * Element i of sub-block s = i / sub is d * scale[s] * (q[i] - offset) - dmin * min[s]. With that
 * one form each type is a way to unpack bytes into it and a way to pack it; dequantizing,
 * multiplying and fitting are written once. */
#ifndef SNUG_TENSOR_QUANT_INT_H
#define SNUG_TENSOR_QUANT_INT_H

#include "tensor/tensor_int.h"

enum { QUANT_ELEMS_MAX = 256, QUANT_SUBS_MAX = 16 };

/* scale and min are neighbours on a line of their own: the SIMD forms turn sixteen blocks at once. */
typedef struct quant_block {
    _Alignas(64) uint8_t q[QUANT_ELEMS_MAX];
    int16_t scale[QUANT_SUBS_MAX], min[QUANT_SUBS_MAX];
    float   d, dmin;
} quant_block;

typedef struct quant_kind {
    uint16_t elems, bytes, sub; /* per block, per block, per sub-block */
    uint8_t  offset;            /* q - offset is the signed value */
    uint8_t  bits;              /* of q */
    bool     has_min;
} quant_kind;

/* NULL: not a quantized type. */
const quant_kind *quant_kind_of(tensor_dtype t);
void              quant_unpack(tensor_dtype t, const uint8_t *bytes, quant_block *b);
/* d and dmin must be F16 values (MXFP4: half a power of two). */
void quant_pack(tensor_dtype t, const quant_block *b, uint8_t *bytes);
/* Chooses the values of one block; false: x has a value that is not finite or too large. */
bool quant_fit(tensor_dtype t, const float *x, quant_block *b);

/* One input row of a quantized linear: 8-bit values, their step per block, and their sum per
 * sub-block of the weights' type. */
typedef struct quant_acts {
    int8_t  *q;    /* [rows][k] */
    float   *d;    /* [rows][k / elems] */
    int16_t *sums; /* [rows][k / sub] */
    int32_t *zero; /* [rows][k / sub]: -offset * sum, where the dot products start from */
    size_t   rows, k, blocks, subs;
} quant_acts;
/* Bytes of the parts together, and where they lie in one piece of memory; 64-byte aligned. */
size_t quant_acts_bytes(const quant_kind *kind, size_t rows, size_t k);
void quant_acts_place(const quant_kind *kind, size_t rows, size_t k, void *memory, quant_acts *out);
/* Rounds input row `row`. The oracle of the SIMD forms. */
void quant_acts_row(const quant_kind *kind, const float *x, const quant_acts *a, size_t row);

/* Blocks whose largest |x| is smaller count as zero: 127 / amax would overflow. */
#define QUANT_TINY 0x1p-100f

snug_status ref_linear_quant(tensor_dev *d, const tensor_op *op, snug_err *err);

#endif
