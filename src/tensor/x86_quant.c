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
    char                    *scratch; /* per worker: a panel, then sums */
    size_t                   xs, row_bytes, os, n, from, rows, panels; /* from, rows: of x, now */
} quant_job;

enum {
    PANELS_MAX = 2,
    SUMS_BYTES = ROWS_MAX * PANEL_ROWS * (int)sizeof(float),
    WORKER_BYTES = PANELS_MAX * (PANEL_ROOM + SUMS_BYTES)
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

/* Turns `blocks` blocks of the rows from n on, from block b. */
static void turn_panel(const quant_job *j, size_t n, size_t b, size_t blocks, void *panel)
{
    const uint8_t *rows[PANEL_ROWS];
    size_t each = j->kind->bytes, all = j->acts.blocks, ahead = AHEAD_ELEMS / j->kind->elems;
    for (size_t r = 0; r < PANEL_ROWS; r++) /* past the end the last row stands in */
        rows[r] = j->w + (n + r < j->n ? n + r : j->n - 1) * j->row_bytes + b * each;
    if (ahead > all) ahead = all;
    size_t next = b + ahead < all ? ahead * each : PANEL_ROWS * j->row_bytes - (all - ahead) * each;
    j->kernels->turn(j->type, rows, blocks, next, panel);
}

/* Items are panels, or pairs of them when there are rows enough to share what is loaded. */
static void panel_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const quant_job *j = arg;
    char            *panels = j->scratch + worker * (size_t)WORKER_BYTES;
    float(*sums)[PANEL_ROWS] =
        (float(*)[PANEL_ROWS])(void *)(panels + PANELS_MAX * (size_t)PANEL_ROOM);
    size_t step = (size_t)(j->rows <= ROWS_FEW ? PANEL_ELEMS_ONE : PANEL_ELEMS) / j->kind->elems;
    for (size_t i = from; i < to; i++) {
        size_t         n = i * j->panels * PANEL_ROWS, blocks = j->acts.blocks;
        x86_quant_tile t = {&j->acts, panels, sums, j->type, j->panels,
                            ROWS_MAX, 0,      0,    j->from, j->rows};
        if (j->panels == 2 && n + PANEL_ROWS >= j->n) t.panels_count = 1;
        for (size_t p = 0; p < t.panels_count; p++)
            memset(sums + p * ROWS_MAX, 0, j->rows * sizeof *sums);
        for (size_t b = 0; b < blocks; b += step) {
            t.block = b;
            t.blocks = blocks - b < step ? blocks - b : step;
            for (size_t p = 0; p < t.panels_count; p++)
                turn_panel(j, n + p * PANEL_ROWS, b, t.blocks, panels + p * PANEL_ROOM);
            j->kernels->tile(&t);
        }
        for (size_t p = 0; p < t.panels_count; p++)
            write_out(j, n + p * PANEL_ROWS, sums + p * ROWS_MAX);
    }
}

/* ---- few input rows ---- */

static void few_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const quant_job *j = arg;
    for (size_t i = from; i < to; i++) {
        const uint8_t *rows[PANEL_ROWS];
        float          sums[QUANT_FEW][PANEL_ROWS] = {{0}};
        size_t         n = i * PANEL_ROWS;
        x86_quant_few  f = {&j->acts, (const int8_t *)j->scratch, rows, sums, j->type, j->from,
                            j->rows};
        for (size_t r = 0; r < PANEL_ROWS; r++)
            rows[r] = j->w + (n + r < j->n ? n + r : j->n - 1) * j->row_bytes;
        j->kernels->few->run(&f);
        write_out(j, n, sums);
    }
}

/* Each thread takes long runs of rows, so that memory is read in order. */
static void run_few(tensor_dev *d, quant_job *j)
{
    size_t k = j->acts.k, panels = (j->n + PANEL_ROWS - 1) / PANEL_ROWS;
    size_t least = cpu_grain(PANEL_ROWS * k), even = panels / (8 * (size_t)snug_team_size(d->team));
    for (size_t m = 0; m < j->rows; m++)
        j->kernels->few->arrange(j->type, j->acts.q + m * k, k, (int8_t *)j->scratch + m * k);
    snug_team_run(d->team, panels, even > least ? even : least, few_part, j);
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
    bool        few = rows <= QUANT_FEW && kernels->few != NULL && kernels->few->knows(w->dtype);
    size_t      acts = quant_acts_bytes(j.kind, rows, k);
    void       *scratch = NULL;
    snug_status st = cpu_scratch(
        d, acts + (few ? rows * k : snug_team_size(d->team) * (size_t)WORKER_BYTES), &scratch, err);
    if (st != SNUG_OK) return st;
    quant_acts_place(j.kind, rows, k, scratch, &j.acts);
    j.scratch = (char *)scratch + acts;
    snug_team_run(d->team, rows, cpu_grain(k * 2), round_part, &j);
    if (few) {
        j.rows = rows;
        run_few(d, &j);
        return SNUG_OK;
    }
    for (j.from = 0; j.from < rows; j.from += j.rows) {
        j.rows = rows - j.from < ROWS_MAX ? rows - j.from : ROWS_MAX;
        /* K types with minimums run 5 % faster on one panel: their sums need the registers. */
        bool one = j.rows <= ROWS_FEW || (j.kind->has_min && j.kind->elems == 256);
        j.panels = one ? 1 : kernels->panels;
        size_t item = j.panels * PANEL_ROWS;
        snug_team_run(d->team, (j.n + item - 1) / item, cpu_grain(j.panels * k * (4 + j.rows)),
                      panel_part, &j);
    }
    return SNUG_OK;
}
#endif
