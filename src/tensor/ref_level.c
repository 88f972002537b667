/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ref_level.c - portable kernels that look at the level of a whole row: cutoff keeps what
 * stands out of it, match brings one row to the level of another; and xIELU (Huang and Schlag
 * 2024), an activation whose two arms have learned shapes.
 *
 * For:     cpu_ref; Gemma 3n, Apertus.
 * Owns:    nothing.
 * Threads: each row is computed by one thread. */
#include "tensor/tensor_int.h"

#include <math.h>

static void cutoff_row(const float *x, size_t n, float factor, float *out)
{
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    float level = (float)mean + (float)sqrt(squares / (double)n) * factor;
    for (size_t i = 0; i < n; i++) out[i] = x[i] > level ? x[i] - level : 0.0f;
}

static double mean_square(const float *x, size_t n)
{
    double squares = 0.0;
    for (size_t i = 0; i < n; i++) squares += (double)(x[i] * x[i]);
    return squares / (double)n;
}

static void xielu_row(const float *x, size_t n, const float *s, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = s[2] * x[i] +
                 (x[i] > 0.0f ? s[0] * x[i] * x[i] : s[1] * (expm1f(fminf(x[i], s[3])) - x[i]));
}

static void level_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const tensor_op *op = arg;
    size_t           n = tensor_cols(&op->out);
    for (size_t r = from; r < to; r++) {
        const float *x = (const float *)cpu_data(&op->in[0]) + r * n;
        float       *out = (float *)cpu_data(&op->out) + r * n;
        if (op->kind == TENSOR_OP_XIELU) {
            xielu_row(x, n, cpu_data(&op->in[1]), out);
            continue;
        }
        if (op->kind == TENSOR_OP_CUTOFF) {
            cutoff_row(x, n, op->u.scale.factor, out);
            continue;
        }
        float want = sqrtf((float)mean_square((const float *)cpu_data(&op->in[1]) + r * n, n)),
              have = sqrtf(fmaxf((float)mean_square(x, n), op->u.norm.eps));
        for (size_t i = 0; i < n; i++) out[i] = x[i] * want / have;
    }
}

snug_status ref_level(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    tensor_op copy = *op;
    snug_team_run(d->team, tensor_rows(&op->out), cpu_grain(4 * tensor_cols(&op->out)), level_part,
                  &copy);
    return SNUG_OK;
}
