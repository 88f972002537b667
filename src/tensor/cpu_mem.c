/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/cpu_mem.c - host memory for the CPU backends, and the table of the portable one.
 *
 * For:     cpu_ref, avx2, avx512; staging in dev.c.
 * Owns:    each block until cpu_free; wrapped bytes stay their owner's.
 * Threads: as the device.
 * Truth:   allocated blocks start on a 64-byte line. */
#include "tensor/tensor_int.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { LINE = 64 };

/* What cpu_alloc and cpu_wrap make. */
typedef struct cpu_mem {
    tensor_mem base;
    cpu_form  *forms; /* of constant memory */
} cpu_mem;
_Static_assert(sizeof(cpu_mem) <= LINE, "the header takes one line");

snug_status cpu_alloc(tensor_dev *d, size_t n, tensor_mem **out, snug_err *err)
{
    *out = NULL;
    if (n > TENSOR_BYTES_MAX) return snug_fail(err, SNUG_ELIMIT, "%zu bytes of tensor memory", n);
    size_t size = (n + LINE - 1) / LINE * LINE;
    /* The header takes a line of its own in front of the data. */
    char *p = aligned_alloc(LINE, LINE + size);
    if (p == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a tensor of %zu bytes", n);
    cpu_mem *m = (cpu_mem *)(void *)p;
    *m = (cpu_mem){.base = {.dev = d, .size = n, .host = p + LINE}};
    *out = &m->base;
    return SNUG_OK;
}

snug_status cpu_wrap(tensor_dev *d, const void *p, size_t n, tensor_mem **out, snug_err *err)
{
    (void)err;
    cpu_mem *m = snug_zalloc(sizeof *m);
    /* Weights are never an output, so the const that is dropped here is never written through. */
    m->base = (tensor_mem){.dev = d, .size = n, .host = (void *)(uintptr_t)p};
    *out = &m->base;
    return SNUG_OK;
}

void cpu_free(tensor_mem *mem)
{
    cpu_mem *m = (cpu_mem *)mem;
    for (cpu_form *f = m->forms, *next; f != NULL; f = next) {
        next = f->next;
        free(f->data);
        free(f);
    }
    free(m);
}

snug_status cpu_form_of(const tensor *w, size_t bytes, bool *fresh, float **out, snug_err *err)
{
    enum { HUGE_PAGE = 2 << 20 };
    cpu_mem *m = (cpu_mem *)w->mem;
    SNUG_ASSERT(w->mem->constant && w->rank == 2);
    *fresh = false;
    for (cpu_form *f = m->forms; f != NULL; f = f->next) {
        if (f->offset != w->offset || f->rows != w->shape[0] || f->cols != w->shape[1] ||
            f->stride != w->stride[0])
            continue;
        *out = f->data;
        return SNUG_OK;
    }
    size_t align = bytes >= 4 * (size_t)HUGE_PAGE ? HUGE_PAGE : LINE;
    float *data = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (data == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu bytes of weights", bytes);
    if (align == HUGE_PAGE) (void)madvise(data, bytes, MADV_HUGEPAGE); /* a wish */
    cpu_form *f = snug_zalloc(sizeof *f);
    *f = (cpu_form){m->forms, w->offset, w->shape[0], w->shape[1], w->stride[0], data};
    m->forms = f;
    *fresh = true;
    *out = data;
    return SNUG_OK;
}

snug_status cpu_put(tensor_mem *mem, size_t off, const void *src, size_t n, snug_err *err)
{
    (void)err;
    SNUG_ASSERT(off <= mem->size && n <= mem->size - off);
    memcpy((char *)mem->host + off, src, n);
    return SNUG_OK;
}

snug_status cpu_get(const tensor_mem *mem, size_t off, void *dst, size_t n, snug_err *err)
{
    (void)err;
    SNUG_ASSERT(off <= mem->size && n <= mem->size - off);
    memcpy(dst, (const char *)mem->host + off, n);
    return SNUG_OK;
}

snug_status cpu_scratch(tensor_dev *d, size_t n, void **out, snug_err *err)
{
    if (d->scratch_size < n) {
        free(d->scratch);
        d->scratch_size = 0;
        size_t size = (n + LINE - 1) / LINE * LINE;
        d->scratch = aligned_alloc(LINE, size);
        if (d->scratch == NULL)
            return snug_fail(err, SNUG_ENOMEM, "no memory for %zu bytes of scratch", n);
        d->scratch_size = size;
    }
    *out = d->scratch;
    return SNUG_OK;
}

/* ---- the portable backend ---- */

static bool supports_all(const tensor_op *op)
{
    (void)op;
    return true;
}

snug_status cpu_ref_run(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    switch (op->kind) {
    case TENSOR_OP_LINEAR: {
        snug_status st = ref_linear(d, op, err);
        if (st == SNUG_OK) ref_linear_finish(op);
        return st;
    }
    case TENSOR_OP_MATMUL: return ref_matmul(d, op, err);
    case TENSOR_OP_EMBED: return ref_embed(d, op, err);
    case TENSOR_OP_LAYER_NORM:
    case TENSOR_OP_RMS_NORM: return ref_norm(d, op, err);
    case TENSOR_OP_SOFTMAX: return ref_softmax(d, op, err);
    case TENSOR_OP_ROPE: return ref_rope(d, op, err);
    case TENSOR_OP_ATTENTION: return ref_attention(d, op, err);
    case TENSOR_OP_ADD:
    case TENSOR_OP_MUL: return ref_binary(d, op, err);
    case TENSOR_OP_ACT:
    case TENSOR_OP_GLU: return ref_act(d, op, err);
    case TENSOR_OP_COPY: return ref_copy(d, op, err);
    case TENSOR_OP_SCALE:
    case TENSOR_OP_CLAMP: return ref_scale(d, op, err);
    case TENSOR_OP_GATHER: return ref_gather(d, op, err);
    case TENSOR_OP_SCATTER: return ref_scatter(d, op, err);
    case TENSOR_OP_XIELU:
    case TENSOR_OP_CUTOFF:
    case TENSOR_OP_MATCH: return ref_level(d, op, err);
    case TENSOR_OP_CONV: return ref_conv(d, op, err);
    case TENSOR_OP_SOFTPLUS: return ref_softplus(d, op, err);
    case TENSOR_OP_SCAN:
    case TENSOR_OP_DELTA: return ref_scan(d, op, err);
    case TENSOR_OP_COUNT: break;
    }
    return snug_fail(err, SNUG_EINTERNAL, "no such operation");
}

const tensor_backend tensor_cpu_ref = {
    .name = "cpu_ref",
    .abi = TENSOR_ABI,
    .supports = supports_all,
    .alloc = cpu_alloc,
    .wrap = cpu_wrap,
    .free = cpu_free,
    .put = cpu_put,
    .get = cpu_get,
    .run = cpu_ref_run,
};
