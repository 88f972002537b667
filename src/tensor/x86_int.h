/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_int.h - what x86.c hands to the kernels of x86_kernels.h. Pointers are host memory,
 * strides count elements, shapes are checked. */
#ifndef SNUG_TENSOR_X86_INT_H
#define SNUG_TENSOR_X86_INT_H

#include "tensor/tensor.h"

typedef struct x86_linear {
    const float *x;
    const void  *w, *b; /* b NULL: none */
    float       *out;
    tensor_dtype wt, bt;
    size_t       rows, k, xs, ws, os;
    size_t       rows_block; /* rows of x that stay in the cache while the weights pass */
} x86_linear;

/* Weights as panels of PANEL = 2 vectors of rows: [panel][k][PANEL], zeros past the last row. Every
 * output is summed over k in blocks of X86_K_BLOCK: in order within one, then the blocks in order.
 */
enum { X86_K_BLOCK = 512, X86_FEW_ROWS = 4 };
typedef struct x86_packed {
    const float
        *x; /* rows <= X86_FEW_ROWS: as it is; else packed by pack_x: [panel of tile_rows][k][..] */
    const float *w, *add; /* add NULL: none */
    const void  *b;       /* NULL: none */
    float       *out;
    tensor_dtype bt;
    bool         acts;
    tensor_act   fn;
    size_t       rows, k, n, xs, os, adds;
} x86_packed;

/* Rows of queries that share keys: q . k over the positions [from, to), softmax, sum of v. */
enum { X86_ATTENTION_ROWS = 240 };
typedef struct x86_attention_row {
    const float *q;
    float       *out;
    const float *bias; /* per position; NULL: none */
    const float *sink; /* NULL: none */
    size_t       from, to;
} x86_attention_row;

typedef struct x86_attention {
    const x86_attention_row *row;
    const float             *k, *v;                /* of position 0; not used with pages */
    const tensor_page       *k_pages, *v_pages;    /* of this row; NULL: not paged */
    size_t                   k_in_page, v_in_page; /* bytes from a page's start to this head */
    const int32_t           *mask;                 /* per position; NULL: none */
    size_t                   rows, count, ks, vs, k_width, v_width;
    float                    scale, cap;
} x86_attention;

typedef struct x86_row {
    const float *x, *y;
    const void  *w, *b; /* of type wt */
    float       *out;
    size_t       n;
    tensor_dtype wt;
    float        eps;
    tensor_act   fn;
} x86_row;

typedef struct x86_kernels {
    void (*linear)(const x86_linear *j, size_t n_from, size_t n_to);
    size_t panel, tile_rows;
    void (*pack_w)(const float *w, size_t ws, size_t rows, size_t k, float *out); /* one panel */
    void (*pack_x)(const float *x, size_t xs, size_t rows, size_t k,
                   float *out); /* tile_rows or less */
    /* Panels [from, to) against rows [m, m_to); m is a multiple of tile_rows. */
    void (*packed)(const x86_packed *j, size_t from, size_t to, size_t m, size_t m_to);
    void (*attention)(const x86_attention *j, float *scratch);
    size_t (*attention_floats)(size_t rows, size_t k_width, size_t v_width); /* of scratch */
    void (*layer_norm)(const x86_row *r);
    void (*rms_norm)(const x86_row *r);
    void (*softmax)(const x86_row *r);
    void (*act)(const x86_row *r); /* y not NULL: times y */
} x86_kernels;

extern const x86_kernels x86_avx2_kernels, x86_avx512_kernels;

#endif
