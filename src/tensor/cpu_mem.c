/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/cpu_mem.c - host memory for the CPU backends, and the table of the portable one.
 *
 * For:     cpu_ref, avx2, avx512; staging in dev.c.
 * Owns:    each block until cpu_free; wrapped bytes stay their owner's.
 * Threads: as the device.
 * Truth:   allocated blocks start on a 64-byte line. */
#include "tensor/tensor_int.h"

#include <stdlib.h>

enum { LINE = 64 };

snug_status cpu_alloc(tensor_dev *d, size_t n, tensor_mem **out, snug_err *err)
{
    *out = NULL;
    if (n > TENSOR_BYTES_MAX) return snug_fail(err, SNUG_ELIMIT, "%zu bytes of tensor memory", n);
    size_t size = (n + LINE - 1) / LINE * LINE;
    /* The header takes a line of its own in front of the data. */
    char *p = aligned_alloc(LINE, LINE + size);
    if (p == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a tensor of %zu bytes", n);
    tensor_mem *m = (tensor_mem *)(void *)p;
    *m = (tensor_mem){.dev = d, .size = n, .host = p + LINE};
    *out = m;
    return SNUG_OK;
}

snug_status cpu_wrap(tensor_dev *d, const void *p, size_t n, tensor_mem **out, snug_err *err)
{
    (void)err;
    tensor_mem *m = snug_zalloc(sizeof *m);
    /* Weights are never an output, so the const that is dropped here is never written through. */
    *m = (tensor_mem){.dev = d, .size = n, .host = (void *)(uintptr_t)p};
    *out = m;
    return SNUG_OK;
}

void cpu_free(tensor_mem *mem) { free(mem); }

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
    case TENSOR_OP_LINEAR: return ref_linear(d, op, err);
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
