/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_quant_int.h - what x86_quant.c hands to the kernels of x86_quant_kernels.h: sixteen
 * weight rows at a time, turned so that one vector holds four neighbouring elements of each row. */
#ifndef SNUG_TENSOR_X86_QUANT_INT_H
#define SNUG_TENSOR_X86_QUANT_INT_H

#include "tensor/quant_int.h"

enum { PANEL_ROWS = 16, PANEL_ELEMS = 4096 }; /* PANEL_ELEMS: of each row, turned at a time */

/* A block of 32 elements of sixteen rows. q[i][r]: elements 4 i .. 4 i + 3 of row r. */
typedef struct panel_small {
    _Alignas(64) uint8_t q[8][PANEL_ROWS][4];
    float d[PANEL_ROWS], dmin[PANEL_ROWS];
} panel_small;

/* A block of 256. min[i][r]: the minimums of sub-blocks 2 i and 2 i + 1. */
typedef struct panel_super {
    _Alignas(64) uint8_t q[64][PANEL_ROWS][4];
    int32_t scale[QUANT_SUBS_MAX][PANEL_ROWS];
    int16_t min[QUANT_SUBS_MAX / 2][PANEL_ROWS][2];
    float   d[PANEL_ROWS], dmin[PANEL_ROWS];
} panel_super;

/* Room for PANEL_ELEMS elements of either. */
enum { PANEL_ROOM = PANEL_ELEMS / 256 * (8 * sizeof(panel_small) + 1024) };
_Static_assert(sizeof(panel_super) <= 8 * sizeof(panel_small) + 1024, "the larger kind fits");

/* Panel n lies n * PANEL_ROOM bytes after the first and adds to sums[n * sums_stride + i][r], for
 * input rows from + i and its row r. The panels start at block `block` of the rows. */
typedef struct x86_quant_tile {
    const quant_acts *acts;
    const void       *panels;
    float (*sums)[PANEL_ROWS];
    tensor_dtype type;
    size_t       panels_count, sums_stride, block, blocks, from, count;
} x86_quant_tile;

/* Sixteen weight rows, all of their length, against `count` input rows from `from` on. */
enum { QUANT_FEW = 4 };
typedef struct x86_quant_few {
    const quant_acts     *acts;
    const int8_t         *x; /* [count][k], arranged */
    const uint8_t *const *rows;
    float (*sums)[PANEL_ROWS]; /* added to */
    tensor_dtype type;
    size_t       from, count; /* count: 1 to QUANT_FEW */
} x86_quant_few;

typedef struct x86_quant_few_kernels {
    bool (*knows)(tensor_dtype t);
    /* The order in which run wants the 8-bit values of an input row of k. */
    void (*arrange)(tensor_dtype t, const int8_t *x, size_t k, int8_t *out);
    void (*run)(const x86_quant_few *j);
} x86_quant_few_kernels;

typedef struct x86_quant_kernels {
    /* Rounds input row `row` to 8 bits. */
    void (*acts)(tensor_dtype t, const float *x, const quant_acts *a, size_t row);
    /* Turns `blocks` blocks of sixteen rows; rows[r] points at the first block. What lies `ahead`
     * bytes further is brought into the cache meanwhile; it need not exist. */
    void (*turn)(tensor_dtype t, const uint8_t *const rows[PANEL_ROWS], size_t blocks, size_t ahead,
                 void *panel);
    void (*tile)(const x86_quant_tile *j);
    size_t panels; /* how many panels tile likes at once: 1 or 2 */
    const x86_quant_few_kernels *few; /* NULL: none */
} x86_quant_kernels;

/* x86_quant.c */
snug_status x86_linear_quant(tensor_dev *d, const x86_quant_kernels *kernels, const tensor_op *op,
                             snug_err *err);

extern const x86_quant_kernels     x86_quant_avx2, x86_quant_vnni;
extern const x86_quant_few_kernels x86_quant_few_vnni;

#endif
