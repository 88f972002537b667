/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_quant.c - linear with quantized weights on x86-64: rounds the input once, then shares
 * panels of sixteen weight rows among the team.
 *
 * For:     x86.c.
 * Owns:    nothing; scratch is the device's.
 * Threads: a panel and its outputs are one thread's.
 * Truth:   the bits of ref_quant.c. */
#include "tensor/x86_quant_int.h"

#if defined(__x86_64__)
#include <stdlib.h>

#include "tensor/x86_int.h"

/* Input rows that share one turning of the weights: their 8-bit form stays in the second cache. */
enum { ROWS_MAX = 256, PANEL_ELEMS_ONE = 1024, AHEAD_ELEMS = 1024, ROWS_FEW = 4 };

typedef struct quant_job {
    const x86_quant_kernels *kernels;
    const quant_kind        *kind;
    tensor_dtype             type, bt;
    quant_acts               acts;
    const float             *x;
    const uint8_t           *w;
    const void              *b;
    float                   *out;
    char                    *scratch;                          /* per worker: a panel, then sums */
    size_t                   xs, row_bytes, os, n, from, rows; /* from, rows: of x, now */
} quant_job;

enum {
    SUMS_BYTES = ROWS_MAX * PANEL_ROWS * (int)sizeof(float),
    WORKER_BYTES = PANEL_ROOM + SUMS_BYTES
};

static void round_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const quant_job *j = arg;
    for (size_t m = from; m < to; m++) j->kernels->acts(j->type, j->x + m * j->xs, &j->acts, m);
}

/* Sums of one panel to the output, with the bias. */
static void write_out(const quant_job *j, size_t n, float (*sums)[PANEL_ROWS])
{
    size_t count = j->n - n < PANEL_ROWS ? j->n - n : PANEL_ROWS;
    float  bias[PANEL_ROWS] = {0};
    for (size_t r = 0; r < count && j->b != NULL; r++) bias[r] = cpu_load(j->bt, j->b, n + r);
    for (size_t m = 0; m < j->rows; m++) {
        float *out = j->out + (j->from + m) * j->os + n;
        for (size_t r = 0; r < count; r++) out[r] = sums[m][r] + bias[r];
    }
}

static void panel_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const quant_job *j = arg;
    char            *panel = j->scratch + worker * (size_t)WORKER_BYTES;
    float(*sums)[PANEL_ROWS] = (float(*)[PANEL_ROWS])(void *)(panel + PANEL_ROOM);
    size_t step = (size_t)(j->rows <= ROWS_FEW ? PANEL_ELEMS_ONE : PANEL_ELEMS) / j->kind->elems;
    size_t ahead = AHEAD_ELEMS / j->kind->elems;
    if (ahead > j->acts.blocks) ahead = j->acts.blocks;
    for (size_t p = from; p < to; p++) {
        const uint8_t *rows[PANEL_ROWS];
        memset(sums, 0, j->rows * sizeof *sums);
        for (size_t b = 0; b < j->acts.blocks; b += step) {
            size_t blocks = j->acts.blocks - b < step ? j->acts.blocks - b : step;
            for (size_t r = 0; r < PANEL_ROWS; r++) { /* past the end the last row stands in */
                size_t n = p * PANEL_ROWS + r < j->n ? p * PANEL_ROWS + r : j->n - 1;
                rows[r] = j->w + n * j->row_bytes + b * j->kind->bytes;
            }
            size_t next =
                b + ahead < j->acts.blocks
                    ? ahead * j->kind->bytes
                    : PANEL_ROWS * j->row_bytes - (j->acts.blocks - ahead) * j->kind->bytes;
            j->kernels->turn(j->type, rows, blocks, next, panel);
            j->kernels->tile(j->type, panel, b, blocks, &j->acts, j->from, j->rows, sums);
        }
        write_out(j, p * PANEL_ROWS, sums);
    }
}

snug_status x86_linear_quant(tensor_dev *d, const x86_quant_kernels *kernels, const tensor_op *op,
                             snug_err *err)
{
    const tensor *x = &op->in[0], *w = &op->in[1], *b = &op->in[2];
    size_t        rows = tensor_rows(x), k = tensor_cols(x), ws;
    quant_job     j = {.kernels = kernels,
                       .kind = quant_kind_of(w->dtype),
                       .type = w->dtype,
                       .x = cpu_data(x),
                       .w = cpu_data(w),
                       .b = tensor_present(b) ? cpu_data(b) : NULL,
                       .out = cpu_data(&op->out),
                       .bt = b->dtype,
                       .n = w->shape[0]};
    (void)tensor_has_rows(x, &j.xs);
    (void)tensor_has_rows(w, &ws);
    (void)tensor_has_rows(&op->out, &j.os);
    j.row_bytes = tensor_dtype_size(w->dtype, ws);
    size_t      acts = quant_acts_bytes(j.kind, rows, k);
    void       *scratch = NULL;
    snug_status st =
        cpu_scratch(d, acts + snug_team_size(d->team) * (size_t)WORKER_BYTES, &scratch, err);
    if (st != SNUG_OK) return st;
    quant_acts_place(j.kind, rows, k, scratch, &j.acts);
    j.scratch = (char *)scratch + acts;
    snug_team_run(d->team, rows, cpu_grain(k * 2), round_part, &j);
    for (j.from = 0; j.from < rows; j.from += j.rows) {
        j.rows = rows - j.from < ROWS_MAX ? rows - j.from : ROWS_MAX;
        snug_team_run(d->team, (j.n + PANEL_ROWS - 1) / PANEL_ROWS, cpu_grain(k * (4 + j.rows)),
                      panel_part, &j);
    }
    return SNUG_OK;
}
#endif
