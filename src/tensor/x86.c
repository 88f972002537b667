/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86.c - the backends of x86-64: avx512 and avx2. Splits operations over the team and calls
 * the kernels compiled for the instructions this CPU has.
 *
 * For:     dev.c's table.
 * Owns:    nothing: memory is cpu_mem.c's.
 * Threads: as cpu_ref: every output element is one thread's.
 * Truth:   what supports() refuses is cheap or rare, and cpu_ref does it. */
#include "tensor/tensor_int.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include "tensor/x86_int.h"
#include "tensor/x86_quant_int.h"

static bool has_avx2(void)
{
    unsigned a, b, c, d;
    /* clang 14 has no name for F16C: CPUID leaf 1, ecx bit 29. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & 1u << 29) != 0;
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

static bool supports(const tensor_op *op)
{
    switch (op->kind) {
    case TENSOR_OP_LINEAR:
    case TENSOR_OP_ATTENTION:
    case TENSOR_OP_SOFTMAX:
    case TENSOR_OP_ACT:
    case TENSOR_OP_GLU: return true;
    case TENSOR_OP_LAYER_NORM:
    case TENSOR_OP_RMS_NORM: /* one kernel per type of weight, not per pair of types */
        return !tensor_present(&op->in[1]) || !tensor_present(&op->in[2]) ||
               op->in[1].dtype == op->in[2].dtype;
    default: return false;
    }
}

/* ---- linear ---- */

/* Weights per item of work: a multiple of every tile's width. */
enum { LINEAR_STEP = 24, LINEAR_BLOCK_BYTES = 256 << 10, LINEAR_BLOCK_ROWS = 12 };

typedef struct linear_job {
    x86_linear         a;
    const x86_kernels *kernels;
    size_t             n;
} linear_job;

static void linear_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const linear_job *j = arg;
    size_t            end = to * LINEAR_STEP;
    j->kernels->linear(&j->a, from * LINEAR_STEP, end < j->n ? end : j->n);
}

static void run_linear(tensor_dev *d, const x86_kernels *kernels, const tensor_op *op)
{
    const tensor *x = &op->in[0], *w = &op->in[1], *b = &op->in[2];
    linear_job    j = {.kernels = kernels, .n = w->shape[0]};
    j.a = (x86_linear){.x = cpu_data(x),
                       .w = cpu_data(w),
                       .b = tensor_present(b) ? cpu_data(b) : NULL,
                       .out = cpu_data(&op->out),
                       .wt = w->dtype,
                       .bt = b->dtype,
                       .rows = tensor_rows(x),
                       .k = tensor_cols(x)};
    (void)tensor_has_rows(x, &j.a.xs);
    (void)tensor_has_rows(w, &j.a.ws);
    (void)tensor_has_rows(&op->out, &j.a.os);
    size_t fit =
        LINEAR_BLOCK_BYTES / (j.a.k * sizeof(float) + 1) / LINEAR_BLOCK_ROWS * LINEAR_BLOCK_ROWS;
    j.a.rows_block = fit < LINEAR_BLOCK_ROWS ? LINEAR_BLOCK_ROWS : fit;
    snug_team_run(d->team, (j.n + LINEAR_STEP - 1) / LINEAR_STEP,
                  cpu_grain(j.a.rows * j.a.k * LINEAR_STEP / 8), linear_part, &j);
}

/* ---- attention ---- */

typedef struct attention_job {
    const tensor_op   *op;
    const x86_kernels *kernels;
    float             *scratch;
} attention_job;

static void attention_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const attention_job *a = arg;
    const tensor *q = &a->op->in[0], *k = &a->op->in[1], *v = &a->op->in[2], *mask = &a->op->in[3],
                 *bias = &a->op->in[4], *sinks = &a->op->in[5], *o = &a->op->out;
    size_t times = q->shape[1], heads = q->shape[2], count = k->shape[1],
           group = heads / k->shape[2];
    size_t window = a->op->u.attention.window, ahead = a->op->u.attention.ahead,
           chunk = a->op->u.attention.chunk;
    for (size_t n = from; n < to; n++) {
        size_t b = n / (heads * times), h = n / times % heads, i = n % times,
               here = count - times + i;
        x86_query j = {
            .q =
                (const float *)cpu_data(q) + b * q->stride[0] + i * q->stride[1] + h * q->stride[2],
            .k = (const float *)cpu_data(k) + b * k->stride[0] + h / group * k->stride[2],
            .v = (const float *)cpu_data(v) + b * v->stride[0] + h / group * v->stride[2],
            .mask =
                tensor_present(mask) ? (const int32_t *)cpu_data(mask) + b * mask->stride[0] : NULL,
            .p = a->scratch + worker * (count + 1),
            .out = (float *)cpu_data(o) + b * o->stride[0] + i * o->stride[1] + h * o->stride[2],
            .to = a->op->u.attention.causal ? here + 1 : count,
            .count = count,
            .ks = k->stride[1],
            .vs = v->stride[1],
            .k_width = k->shape[3],
            .v_width = v->shape[3],
            .scale = a->op->u.attention.scale,
            .cap = a->op->u.attention.cap};
        float sink = 0.0f;
        if (window != 0 && here + 1 > window) j.from = here + 1 - window;
        if (ahead != 0 && here + ahead < j.to) j.to = here + ahead;
        if (chunk != 0) {
            size_t first = here / chunk * chunk;
            j.from = j.from > first ? j.from : first;
            j.to = j.to < first + chunk ? j.to : first + chunk;
        }
        if (tensor_present(bias))
            j.bias = (const float *)cpu_data(bias) + b * bias->stride[0] + h * bias->stride[1] +
                     i * bias->stride[2];
        if (tensor_present(sinks)) {
            sink = cpu_load(sinks->dtype, cpu_data(sinks), h);
            j.sink = &sink;
        }
        a->kernels->query(&j);
    }
}

static snug_status run_attention(tensor_dev *d, const x86_kernels *kernels, const tensor_op *op,
                                 snug_err *err)
{
    const tensor *k = &op->in[1];
    void         *scratch = NULL;
    snug_status   st =
        cpu_scratch(d, snug_team_size(d->team) * (k->shape[1] + 1) * sizeof(float), &scratch, err);
    if (st != SNUG_OK) return st;
    attention_job a = {op, kernels, scratch};
    snug_team_run(d->team, tensor_rows(&op->in[0]), cpu_grain(k->shape[1] * k->shape[3] / 4),
                  attention_part, &a);
    return SNUG_OK;
}

/* ---- rows ---- */

typedef struct rows_job {
    x86_row row; /* of row 0 */
    size_t  xs, ys, os;
    void (*kernel)(const x86_row *);
} rows_job;

static void rows_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    for (size_t i = from; i < to; i++) {
        x86_row r = j->row;
        r.x += i * j->xs;
        r.out += i * j->os;
        if (r.y != NULL) r.y += i * j->ys;
        j->kernel(&r);
    }
}

static void run_rows(tensor_dev *d, const x86_kernels *kernels, const tensor_op *op)
{
    const tensor *x = &op->in[0], *w = &op->in[1], *b = &op->in[2];
    rows_job      j = {.row = {.x = cpu_data(x), .out = cpu_data(&op->out), .n = tensor_cols(x)}};
    (void)tensor_has_rows(x, &j.xs);
    (void)tensor_has_rows(&op->out, &j.os);
    switch (op->kind) {
    case TENSOR_OP_LAYER_NORM:
    case TENSOR_OP_RMS_NORM:
        j.kernel = op->kind == TENSOR_OP_RMS_NORM ? kernels->rms_norm : kernels->layer_norm;
        j.row.w = tensor_present(w) ? cpu_data(w) : NULL;
        j.row.b = tensor_present(b) ? cpu_data(b) : NULL;
        j.row.wt = tensor_present(w) ? w->dtype : b->dtype;
        j.row.eps = op->u.norm.eps;
        break;
    case TENSOR_OP_SOFTMAX: j.kernel = kernels->softmax; break;
    default:
        j.kernel = kernels->act;
        j.row.fn = op->u.act.fn;
        if (op->kind == TENSOR_OP_GLU) {
            j.row.y = cpu_data(w);
            (void)tensor_has_rows(w, &j.ys);
        }
    }
    snug_team_run(d->team, tensor_rows(x), cpu_grain(j.row.n * 4), rows_part, &j);
}

static snug_status run_with(tensor_dev *d, const x86_kernels *kernels,
                            const x86_quant_kernels *quant, const tensor_op *op, snug_err *err)
{
    switch (op->kind) {
    case TENSOR_OP_LINEAR:
        if (tensor_dtype_is_quant(op->in[1].dtype)) return x86_linear_quant(d, quant, op, err);
        run_linear(d, kernels, op);
        return SNUG_OK;
    case TENSOR_OP_ATTENTION: return run_attention(d, kernels, op, err);
    default: run_rows(d, kernels, op); return SNUG_OK;
    }
}

static snug_status run_avx2(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    return run_with(d, &x86_avx2_kernels, &x86_quant_avx2, op, err);
}

static snug_status run_avx512(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    /* The first CPUs with AVX-512 lack VNNI. */
    return run_with(d, &x86_avx512_kernels, has_vnni() ? &x86_quant_vnni : &x86_quant_avx2, op, err);
}

const tensor_backend tensor_avx2 = {
    .name = "avx2",
    .abi = TENSOR_ABI,
    .usable = has_avx2,
    .supports = supports,
    .alloc = cpu_alloc,
    .wrap = cpu_wrap,
    .free = cpu_free,
    .put = cpu_put,
    .get = cpu_get,
    .run = run_avx2,
};

const tensor_backend tensor_avx512 = {
    .name = "avx512",
    .abi = TENSOR_ABI,
    .usable = has_avx512,
    .supports = supports,
    .alloc = cpu_alloc,
    .wrap = cpu_wrap,
    .free = cpu_free,
    .put = cpu_put,
    .get = cpu_get,
    .run = run_avx512,
};
#endif
