/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/tensor_int.h - what the CPU backends share. */
#ifndef SNUG_TENSOR_TENSOR_INT_H
#define SNUG_TENSOR_TENSOR_INT_H

#include "base/base.h"
#include "tensor/tensor.h"

extern const tensor_backend tensor_cpu_ref;
#if defined(__x86_64__)
extern const tensor_backend tensor_avx2, tensor_avx512;
#endif

/* Host memory, the same for every CPU backend (cpu_mem.c). */
snug_status cpu_alloc(tensor_dev *d, size_t n, tensor_mem **out, snug_err *err);
snug_status cpu_wrap(tensor_dev *d, const void *p, size_t n, tensor_mem **out, snug_err *err);
void        cpu_free(tensor_mem *mem);
snug_status cpu_put(tensor_mem *mem, size_t off, const void *src, size_t n, snug_err *err);
snug_status cpu_get(const tensor_mem *mem, size_t off, void *dst, size_t n, snug_err *err);
/* A block that lives until the next call on this device. */
snug_status cpu_scratch(tensor_dev *d, size_t n, void **out, snug_err *err);

/* A constant matrix in an order some kernels like better, kept beside it until it is freed. */
typedef struct cpu_form {
    struct cpu_form *next;
    size_t           offset, rows, cols, stride;
    float           *data;
} cpu_form;
/* Finds the form of w, or makes room for it: *fresh, the caller fills it. */
snug_status cpu_form_of(const tensor *w, size_t bytes, bool *fresh, float **out, snug_err *err);

/* Runs an operation whose memory the CPU sees, with portable kernels. */
snug_status cpu_ref_run(tensor_dev *d, const tensor_op *op, snug_err *err);

static inline void *cpu_data(const tensor *t) { return (char *)t->mem->host + t->offset; }

static inline size_t tensor_pages(const tensor *t) /* of one row of a paged tensor */
{
    return (t->shape[1] + TENSOR_PAGE - 1) / TENSOR_PAGE;
}
/* Head h of position i of row b of keys or values [b, s, h, d], paged or not. */
static inline const float *cpu_position(const tensor *t, size_t b, size_t i, size_t h)
{
    if (t->pages == NULL)
        return (const float *)cpu_data(t) + b * t->stride[0] + i * t->stride[1] + h * t->stride[2];
    const tensor_page *p = &t->pages[b * tensor_pages(t) + i / TENSOR_PAGE];
    const float *first = (const float *)(const void *)((const char *)p->mem->host + p->offset);
    return first + i % TENSOR_PAGE * t->stride[1] + h * t->stride[2];
}

/* Items per chunk so that a chunk is worth waking a thread for: waking costs some microseconds. */
enum { CPU_CHUNK_WORK = 1 << 18 };
static inline size_t cpu_grain(size_t work_per_item)
{
    return work_per_item >= CPU_CHUNK_WORK
               ? 1
               : CPU_CHUNK_WORK / (work_per_item == 0 ? 1 : work_per_item);
}

/* ref_dense.c */
snug_status ref_linear(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_matmul(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_attention(tensor_dev *d, const tensor_op *op, snug_err *err);
/* ref_rows.c */
snug_status ref_embed(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_norm(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_softmax(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_rope(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_binary(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_act(tensor_dev *d, const tensor_op *op, snug_err *err);
/* f and in3 of a linear that has been multiplied. */
void        ref_linear_finish(const tensor_op *op);
snug_status ref_copy(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_scale(tensor_dev *d, const tensor_op *op, snug_err *err);
/* ref_pick.c */
snug_status ref_gather(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_scatter(tensor_dev *d, const tensor_op *op, snug_err *err);

/* ref_level.c */
snug_status ref_level(tensor_dev *d, const tensor_op *op, snug_err *err); /* cutoff, match, xielu */
/* ref_scan.c */
snug_status ref_conv(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_softplus(tensor_dev *d, const tensor_op *op, snug_err *err);
snug_status ref_scan(tensor_dev *d, const tensor_op *op, snug_err *err); /* scan and delta */

/* Element i of a float tensor's row, as float32. */
static inline float cpu_load(tensor_dtype t, const void *p, size_t i)
{
    switch (t) {
    case TENSOR_F16: return tensor_f16_to_f32(((const uint16_t *)p)[i]);
    case TENSOR_BF16: return tensor_bf16_to_f32(((const uint16_t *)p)[i]);
    default: return ((const float *)p)[i];
    }
}

#endif
