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

/* ---- linear with float32 weights: packed ---- */

enum { PACKED_GROUP = 3, PACKED_GROUP_FEW = 4, PACKED_ROWS = 480, PACKED_ITEMS = 4 };

typedef struct packed_job {
    x86_packed         a; /* of this block of rows */
    const x86_kernels *kernels;
    const float       *w;
    float             *form, *x; /* x: packed */
    const float       *from;     /* what is packed into x */
    size_t             ws, panels, group, groups, chunk;
} packed_job;

static void pack_w_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const packed_job *j = arg;
    size_t            each = j->kernels->panel;
    for (size_t p = from; p < to; p++) {
        size_t rows = j->a.n - p * each < each ? j->a.n - p * each : each;
        j->kernels->pack_w(j->w + p * each * j->ws, j->ws, rows, j->a.k,
                           j->form + p * each * j->a.k);
    }
}

static void pack_x_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const packed_job *j = arg;
    size_t            each = j->kernels->tile_rows;
    for (size_t p = from; p < to; p++) {
        size_t rows = j->a.rows - p * each < each ? j->a.rows - p * each : each;
        j->kernels->pack_x(j->from + p * each * j->a.xs, j->a.xs, rows, j->a.k,
                           j->x + p * each * j->a.k);
    }
}

/* Items are groups of panels times chunks of rows. */
static void packed_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const packed_job *j = arg;
    for (size_t i = from; i < to; i++) {
        size_t p = i % j->groups * j->group, m = i / j->groups * j->chunk;
        size_t p_to = p + j->group < j->panels ? p + j->group : j->panels;
        size_t m_to = m + j->chunk < j->a.rows ? m + j->chunk : j->a.rows;
        j->kernels->packed(&j->a, p, p_to, m, m_to);
    }
}

/* The packed form of the weights: kept when they are constant, else in scratch for this once. */
static snug_status weights_of(tensor_dev *d, packed_job *j, const tensor *w, void *scratch,
                              snug_err *err)
{
    bool   fresh = true;
    size_t bytes = j->panels * j->kernels->panel * j->a.k * sizeof(float);
    j->form = scratch;
    if (w->mem->constant) {
        snug_status st = cpu_form_of(w, bytes, &fresh, &j->form, err);
        if (st != SNUG_OK) return st;
    }
    j->w = cpu_data(w);
    if (fresh)
        snug_team_run(d->team, j->panels, cpu_grain(j->kernels->panel * j->a.k * 2), pack_w_part,
                      j);
    j->a.w = j->form;
    return SNUG_OK;
}

static void run_block(tensor_dev *d, packed_job *j)
{
    size_t each = j->kernels->tile_rows, tiles = (j->a.rows + each - 1) / each;
    size_t wanted = PACKED_ITEMS * (size_t)snug_team_size(d->team), chunks = 1;
    bool   few = j->a.rows <= X86_FEW_ROWS;
    j->a.x = j->from;
    if (!few) {
        snug_team_run(d->team, tiles, cpu_grain(each * j->a.k), pack_x_part, j);
        j->a.x = j->x;
        chunks = (wanted + j->groups - 1) / j->groups;
        if (snug_team_size(d->team) == 1) chunks = 1;
        if (chunks > (tiles + 3) / 4) chunks = (tiles + 3) / 4; /* a panel is worth four tiles */
    }
    size_t per = (tiles + chunks - 1) / chunks;
    j->chunk = few ? j->a.rows : per * each;
    chunks = (j->a.rows + j->chunk - 1) / j->chunk;
    size_t work = j->chunk * j->a.k * j->group * j->kernels->panel / 16;
    snug_team_run(d->team, j->groups * chunks, cpu_grain(work), packed_part, j);
}

static snug_status run_packed(tensor_dev *d, const x86_kernels *kernels, const tensor_op *op,
                              snug_err *err)
{
    const tensor *x = &op->in[0], *w = &op->in[1], *b = &op->in[2], *add = &op->in[3];
    size_t        rows = tensor_rows(x), k = tensor_cols(x), n = w->shape[0];
    packed_job    j = {.kernels = kernels,
                       .from = cpu_data(x),
                       .panels = (n + kernels->panel - 1) / kernels->panel,
                       .group = rows <= X86_FEW_ROWS ? PACKED_GROUP_FEW : PACKED_GROUP};
    j.groups = (j.panels + j.group - 1) / j.group;
    j.a = (x86_packed){.b = tensor_present(b) ? cpu_data(b) : NULL,
                       .add = tensor_present(add) ? cpu_data(add) : NULL,
                       .out = cpu_data(&op->out),
                       .bt = b->dtype,
                       .acts = op->u.linear.acts,
                       .fn = op->u.linear.fn,
                       .k = k,
                       .n = n};
    (void)tensor_has_rows(x, &j.a.xs);
    (void)tensor_has_rows(w, &j.ws);
    (void)tensor_has_rows(&op->out, &j.a.os);
    if (j.a.add != NULL) (void)tensor_has_rows(add, &j.a.adds);
    size_t      block = rows < PACKED_ROWS ? rows + kernels->tile_rows : PACKED_ROWS;
    size_t      form = w->mem->constant ? 0 : j.panels * kernels->panel * k;
    void       *scratch = NULL;
    snug_status st = cpu_scratch(d, (block * k + form + 64) * sizeof(float), &scratch, err);
    if (st != SNUG_OK) return st;
    j.x = scratch;
    st = weights_of(d, &j, w, (float *)scratch + (block * k + 15) / 16 * 16, err);
    for (size_t m = 0; st == SNUG_OK && m < rows; m += j.a.rows) {
        j.a.rows = rows - m < PACKED_ROWS ? rows - m : PACKED_ROWS;
        run_block(d, &j);
        j.from += j.a.rows * j.a.xs;
        j.a.out += j.a.rows * j.a.os;
        if (j.a.add != NULL) j.a.add += j.a.rows * j.a.adds;
    }
    return st;
}

/* ---- attention ---- */

typedef struct attention_job {
    const tensor_op   *op;
    const x86_kernels *kernels;
    float             *scratch;
    size_t             floats;             /* of scratch, per worker */
    size_t             all, chunk, chunks; /* rows per text and key head; rows and items of them */
} attention_job;

/* The positions query i may look at. */
static void range_of(const tensor_op *op, size_t i, x86_attention_row *row)
{
    size_t count = op->in[1].shape[1], here = count - op->in[0].shape[1] + i;
    size_t window = op->u.attention.window, ahead = op->u.attention.ahead,
           chunk = op->u.attention.chunk;
    row->to = op->u.attention.causal ? here + 1 : count;
    if (window != 0 && here + 1 > window) row->from = here + 1 - window;
    if (ahead != 0 && here + ahead < row->to) row->to = here + ahead;
    if (chunk != 0) {
        size_t first = here / chunk * chunk;
        row->from = row->from > first ? row->from : first;
        row->to = row->to < first + chunk ? row->to : first + chunk;
    }
}

/* Row n of text b and key head g: the heads of a query are neighbours. */
static x86_attention_row row_of(const tensor_op *op, size_t b, size_t g, size_t n, float *sink)
{
    const tensor *q = &op->in[0], *bias = &op->in[4], *sinks = &op->in[5], *o = &op->out;
    size_t group = q->shape[2] / op->in[1].shape[2], i = n / group, h = g * group + n % group;
    x86_attention_row row = {
        .q = (const float *)cpu_data(q) + b * q->stride[0] + i * q->stride[1] + h * q->stride[2],
        .out = (float *)cpu_data(o) + b * o->stride[0] + i * o->stride[1] + h * o->stride[2]};
    if (tensor_present(bias))
        row.bias = (const float *)cpu_data(bias) + b * bias->stride[0] + h * bias->stride[1] +
                   i * bias->stride[2];
    if (tensor_present(sinks)) {
        *sink = cpu_load(sinks->dtype, cpu_data(sinks), h);
        row.sink = sink;
    }
    range_of(op, i, &row);
    return row;
}

static void attention_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const attention_job *a = arg;
    const tensor        *k = &a->op->in[1], *v = &a->op->in[2], *mask = &a->op->in[3];
    x86_attention_row    rows[X86_ATTENTION_ROWS];
    float                sinks[X86_ATTENTION_ROWS];
    for (size_t item = from; item < to; item++) {
        size_t        g = item / a->chunks % k->shape[2], b = item / (a->chunks * k->shape[2]);
        size_t        first = item % a->chunks * a->chunk;
        x86_attention j = {.row = rows,
                           .k_in_page = g * k->stride[2] * sizeof(float),
                           .v_in_page = g * v->stride[2] * sizeof(float),
                           .mask = tensor_present(mask)
                                       ? (const int32_t *)cpu_data(mask) + b * mask->stride[0]
                                       : NULL,
                           .rows = a->all - first < a->chunk ? a->all - first : a->chunk,
                           .count = k->shape[1],
                           .ks = k->stride[1],
                           .vs = v->stride[1],
                           .k_width = k->shape[3],
                           .v_width = v->shape[3],
                           .scale = a->op->u.attention.scale,
                           .cap = a->op->u.attention.cap};
        if (k->pages != NULL)
            j.k_pages = k->pages + b * tensor_pages(k);
        else
            j.k = cpu_position(k, b, 0, g);
        if (v->pages != NULL)
            j.v_pages = v->pages + b * tensor_pages(v);
        else
            j.v = cpu_position(v, b, 0, g);
        for (size_t r = 0; r < j.rows; r++) rows[r] = row_of(a->op, b, g, first + r, &sinks[r]);
        a->kernels->attention(&j, a->scratch + worker * a->floats);
    }
}

static snug_status run_attention(tensor_dev *d, const x86_kernels *kernels, const tensor_op *op,
                                 snug_err *err)
{
    const tensor *q = &op->in[0], *k = &op->in[1], *v = &op->in[2];
    size_t        pairs = q->shape[0] * k->shape[2], wanted = 4 * (size_t)snug_team_size(d->team);
    attention_job a = {.op = op, .kernels = kernels};
    void         *scratch = NULL;
    a.all = q->shape[1] * (q->shape[2] / k->shape[2]);
    /* As few items as keep every thread busy: each turns the keys it reads. */
    size_t each = pairs >= wanted ? a.all : (a.all * pairs + wanted - 1) / wanted;
    size_t tile = kernels->tile_rows;
    each = (each + tile - 1) / tile * tile;
    a.chunk = each < X86_ATTENTION_ROWS ? each : X86_ATTENTION_ROWS;
    a.chunks = (a.all + a.chunk - 1) / a.chunk;
    a.floats = kernels->attention_floats(a.chunk, k->shape[3], v->shape[3]);
    snug_status st =
        cpu_scratch(d, snug_team_size(d->team) * a.floats * sizeof(float), &scratch, err);
    if (st != SNUG_OK) return st;
    a.scratch = scratch;
    size_t work = a.chunk * k->shape[1] * (k->shape[3] + v->shape[3]) / 8;
    snug_team_run(d->team, pairs * a.chunks, cpu_grain(work), attention_part, &a);
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

static void add_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    for (size_t i = from; i < to; i++)
        for (size_t c = 0; c < j->row.n; c++) j->row.out[i * j->os + c] += j->row.y[i * j->ys + c];
}

/* f and in3 of a linear whose kernel only multiplies. */
static void finish_linear(tensor_dev *d, const x86_kernels *kernels, const tensor_op *op)
{
    const tensor *o = &op->out, *add = &op->in[3];
    rows_job      j = {.row = {.x = cpu_data(o), .out = cpu_data(o), .n = tensor_cols(o)},
                       .kernel = kernels->act};
    (void)tensor_has_rows(o, &j.os);
    j.xs = j.os;
    j.row.fn = op->u.linear.fn;
    if (op->u.linear.acts)
        snug_team_run(d->team, tensor_rows(o), cpu_grain(j.row.n * 4), rows_part, &j);
    if (!tensor_present(add)) return;
    j.row.y = cpu_data(add);
    (void)tensor_has_rows(add, &j.ys);
    snug_team_run(d->team, tensor_rows(o), cpu_grain(j.row.n), add_part, &j);
}

static snug_status run_with(tensor_dev *d, const x86_kernels *kernels,
                            const x86_quant_kernels *quant, const tensor_op *op, snug_err *err)
{
    switch (op->kind) {
    case TENSOR_OP_LINEAR:
        if (op->in[1].dtype == TENSOR_F32) return run_packed(d, kernels, op, err);
        if (tensor_dtype_is_quant(op->in[1].dtype)) {
            snug_status st = x86_linear_quant(d, quant, op, err);
            if (st == SNUG_OK) finish_linear(d, kernels, op);
            return st;
        }
        run_linear(d, kernels, op);
        finish_linear(d, kernels, op);
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
    return run_with(d, &x86_avx512_kernels, has_vnni() ? &x86_quant_vnni : &x86_quant_avx2, op,
                    err);
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
