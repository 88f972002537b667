/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ref_quant.c - linear with quantized weights, portable: the integer algorithm itself.
 *
 * For:     cpu_ref, and the SIMD forms, which must give the same bits.
 * Owns:    nothing; scratch is the device's.
 * Threads: each output element is one thread's.
 * Truth:   out = 0; for each block of the weight row, in order:
 *            out = fma(d * a, sum_s scale[s] * sum_i (q[i] - offset) * x[i], out)
 *            out = fma(-(dmin * a), sum_s min[s] * sum_i x[i], out)      when the type has minimums
 *          with a the step of the input's block and the inner sums in whole numbers, which are
 *          exact in any order; then the bias is added. Nothing else rounds, so tiles, lanes,
 * threads and instruction sets cannot show in the result. */
#include "tensor/quant_inline.h"

#include <math.h>

static size_t up64(size_t n) { return (n + 63) / 64 * 64; }

size_t quant_acts_bytes(const quant_kind *kind, size_t rows, size_t k)
{
    size_t subs = rows * (k / kind->sub);
    return up64(rows * k) + up64(rows * (k / kind->elems) * sizeof(float)) +
           up64(subs * sizeof(int16_t)) + up64(subs * sizeof(int32_t));
}

void quant_acts_place(const quant_kind *kind, size_t rows, size_t k, void *memory, quant_acts *out)
{
    char *p = memory;
    *out = (quant_acts){.rows = rows, .k = k, .blocks = k / kind->elems, .subs = k / kind->sub};
    out->q = (int8_t *)p;
    p += up64(rows * k);
    out->d = (float *)(void *)p;
    p += up64(rows * out->blocks * sizeof(float));
    out->zero = (int32_t *)(void *)p;
    p += up64(rows * out->subs * sizeof(int32_t));
    out->sums = (int16_t *)(void *)p;
}

void quant_acts_row(const quant_kind *kind, const float *x, const quant_acts *a, size_t row)
{
    quant_acts_row_inline(kind->elems, kind->sub, kind->offset, x, a, row);
}

typedef struct quant_job {
    const quant_kind *kind;
    tensor_dtype      type;
    quant_acts        acts;
    const float      *x;
    const uint8_t    *w;
    const void       *b;
    float            *out, *sums; /* sums: one per input row, per worker */
    tensor_dtype      bt;
    size_t            xs, row_bytes, os;
} quant_job;

static void round_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const quant_job *j = arg;
    for (size_t m = from; m < to; m++) quant_acts_row(j->kind, j->x + m * j->xs, &j->acts, m);
}

static int32_t dot(const uint8_t *q, const int8_t *x, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)q[i] * (int32_t)x[i];
    return sum;
}

/* One block of one weight row against input row m. */
static float add_block(const quant_job *j, const quant_block *w, size_t block, size_t m, float sum)
{
    const quant_acts *a = &j->acts;
    size_t            subs = j->kind->elems / j->kind->sub, sub = j->kind->sub;
    const int8_t     *x = a->q + m * a->k + block * j->kind->elems;
    size_t            at = m * a->subs + block * subs;
    int32_t           product = 0, low = 0;
    float             step = a->d[m * a->blocks + block];
    for (size_t s = 0; s < subs; s++) {
        product += w->scale[s] * (a->zero[at + s] + dot(w->q + s * sub, x + s * sub, sub));
        if (j->kind->has_min) low += w->min[s] * a->sums[at + s];
    }
    sum = fmaf(w->d * step, (float)product, sum);
    return j->kind->has_min ? fmaf(-(w->dmin * step), (float)low, sum) : sum;
}

static void linear_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const quant_job *j = arg;
    size_t           rows = j->acts.rows;
    float           *sum = j->sums + worker * rows;
    quant_block      w;
    for (size_t n = from; n < to; n++) {
        const uint8_t *row = j->w + n * j->row_bytes;
        for (size_t m = 0; m < rows; m++) sum[m] = 0.0f;
        for (size_t b = 0; b < j->acts.blocks; b++) {
            quant_unpack(j->type, row + b * j->kind->bytes, &w);
            for (size_t m = 0; m < rows; m++) sum[m] = add_block(j, &w, b, m, sum[m]);
        }
        float bias = j->b == NULL ? 0.0f : cpu_load(j->bt, j->b, n);
        for (size_t m = 0; m < rows; m++) j->out[m * j->os + n] = sum[m] + bias;
    }
}

snug_status ref_linear_quant(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    const tensor *x = &op->in[0], *w = &op->in[1], *b = &op->in[2];
    size_t        rows = tensor_rows(x), k = tensor_cols(x), ws;
    quant_job     j = {.kind = quant_kind_of(w->dtype),
                       .type = w->dtype,
                       .x = cpu_data(x),
                       .w = cpu_data(w),
                       .b = tensor_present(b) ? cpu_data(b) : NULL,
                       .out = cpu_data(&op->out),
                       .bt = b->dtype};
    (void)tensor_has_rows(x, &j.xs);
    (void)tensor_has_rows(w, &ws);
    (void)tensor_has_rows(&op->out, &j.os);
    j.row_bytes = tensor_dtype_size(w->dtype, ws);
    size_t      acts = quant_acts_bytes(j.kind, rows, k);
    void       *scratch = NULL;
    snug_status st =
        cpu_scratch(d, acts + snug_team_size(d->team) * rows * sizeof(float), &scratch, err);
    if (st != SNUG_OK) return st;
    quant_acts_place(j.kind, rows, k, scratch, &j.acts);
    j.sums = (float *)(void *)((char *)scratch + acts);
    snug_team_run(d->team, rows, cpu_grain(k * 4), round_part, &j);
    snug_team_run(d->team, w->shape[0], cpu_grain(rows * k), linear_part, &j);
    return SNUG_OK;
}
