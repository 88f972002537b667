/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ref_rows.c - portable kernels that work row by row: embed, norms, softmax, rope,
 * elementwise, copy.
 *
 * For:     cpu_ref; the fast backends leave the cheap ones of these to it.
 * Owns:    nothing.
 * Threads: each row is computed by one thread. */
#include "tensor/tensor_int.h"

#include <math.h>

/* What most of these need: a function from input row to output row. */
typedef struct rows_job {
    const tensor_op *op;
    const float     *x, *y; /* y: the second input of glu, add, mul */
    float           *out;
    size_t           cols, xs, ys, os, y_count;
} rows_job;

static void run_rows(tensor_dev *d, const tensor_op *op, size_t work,
                     void (*part)(void *, size_t, size_t, unsigned), rows_job *j)
{
    const tensor *x = &op->in[0];
    j->op = op;
    j->x = cpu_data(x);
    j->out = cpu_data(&op->out);
    j->cols = tensor_cols(x);
    (void)tensor_has_rows(x, &j->xs);
    (void)tensor_has_rows(&op->out, &j->os);
    snug_team_run(d->team, tensor_rows(x), cpu_grain(j->cols * work), part, j);
}

/* ---- embed ---- */

static int64_t id_at(const tensor *ids, size_t i)
{
    return ids->dtype == TENSOR_I32 ? ((const int32_t *)cpu_data(ids))[i]
                                    : ((const int64_t *)cpu_data(ids))[i];
}

snug_status ref_embed(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)d;
    const tensor *table = &op->in[0], *ids = &op->in[1];
    size_t        n = tensor_count(ids), width = table->shape[1], ts, os;
    (void)tensor_has_rows(table, &ts);
    (void)tensor_has_rows(&op->out, &os);
    const char *base = cpu_data(table);
    for (size_t i = 0; i < n; i++) {
        int64_t id = id_at(ids, i);
        if (id < 0 || (uint64_t)id >= table->shape[0])
            return snug_fail(err, SNUG_EINVAL, "embed: id %lld is outside a table of %zu rows",
                             (long long)id, table->shape[0]);
        const char *row = base + tensor_dtype_size(table->dtype, (size_t)id * ts);
        tensor_dequantize(table->dtype, row, width, (float *)cpu_data(&op->out) + i * os);
    }
    return SNUG_OK;
}

/* ---- norms ---- */

/* Two passes for the variance: the one-pass form loses digits when the mean is large. */
static void layer_norm_row(const rows_job *j, const float *x, float *out)
{
    const tensor *w = &j->op->in[1], *b = &j->op->in[2];
    double        sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < j->cols; i++) sum += (double)x[i];
    float mean = (float)(sum / (double)j->cols);
    for (size_t i = 0; i < j->cols; i++) squares += (double)((x[i] - mean) * (x[i] - mean));
    float inv = 1.0f / sqrtf((float)(squares / (double)j->cols) + j->op->u.norm.eps);
    for (size_t i = 0; i < j->cols; i++) {
        float v = (x[i] - mean) * inv;
        if (tensor_present(w)) v *= cpu_load(w->dtype, cpu_data(w), i);
        if (tensor_present(b)) v += cpu_load(b->dtype, cpu_data(b), i);
        out[i] = v;
    }
}

static void rms_norm_row(const rows_job *j, const float *x, float *out)
{
    const tensor *w = &j->op->in[1];
    double        squares = 0.0;
    for (size_t i = 0; i < j->cols; i++) squares += (double)(x[i] * x[i]);
    float inv = 1.0f / sqrtf((float)(squares / (double)j->cols) + j->op->u.norm.eps);
    for (size_t i = 0; i < j->cols; i++) {
        float v = x[i] * inv;
        out[i] = tensor_present(w) ? v * cpu_load(w->dtype, cpu_data(w), i) : v;
    }
}

static void norm_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    for (size_t r = from; r < to; r++) {
        if (j->op->kind == TENSOR_OP_LAYER_NORM)
            layer_norm_row(j, j->x + r * j->xs, j->out + r * j->os);
        else
            rms_norm_row(j, j->x + r * j->xs, j->out + r * j->os);
    }
}

snug_status ref_norm(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    rows_job j = {0};
    run_rows(d, op, 4, norm_part, &j);
    return SNUG_OK;
}

/* ---- softmax ---- */

static void softmax_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    for (size_t r = from; r < to; r++) {
        const float *x = j->x + r * j->xs;
        float       *out = j->out + r * j->os, best = -INFINITY, sum = 0.0f;
        for (size_t i = 0; i < j->cols; i++) best = fmaxf(best, x[i]);
        for (size_t i = 0; i < j->cols; i++) {
            out[i] = expf(x[i] - best);
            sum += out[i];
        }
        for (size_t i = 0; i < j->cols; i++) out[i] /= sum;
    }
}

snug_status ref_softmax(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    rows_job j = {0};
    run_rows(d, op, 16, softmax_part, &j);
    return SNUG_OK;
}

/* ---- rope ---- */

static void rope_head(const float *x, float *out, const float *cos, const float *sin, size_t pairs,
                      bool interleaved)
{
    for (size_t i = 0; i < pairs; i++) {
        size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + pairs;
        float  xa = x[a], xb = x[b];
        out[a] = xa * cos[i] - xb * sin[i];
        out[b] = xb * cos[i] + xa * sin[i];
    }
}

static void rope_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const tensor_op *op = arg;
    const tensor    *x = &op->in[0], *o = &op->out;
    size_t           pairs = op->in[1].shape[2], times = x->shape[1], width = x->shape[3];
    const float     *cos = cpu_data(&op->in[1]), *sin = cpu_data(&op->in[2]), *xp = cpu_data(x);
    float           *op_out = cpu_data(o);
    for (size_t n = from; n < to; n++) {
        for (size_t h = 0; h < x->shape[2]; h++) {
            const float *in =
                xp + n / times * x->stride[0] + n % times * x->stride[1] + h * x->stride[2];
            float *out =
                op_out + n / times * o->stride[0] + n % times * o->stride[1] + h * o->stride[2];
            rope_head(in, out, cos + n * pairs, sin + n * pairs, pairs, op->u.rope.interleaved);
            if (in != out && 2 * pairs < width)
                memcpy(out + 2 * pairs, in + 2 * pairs, (width - 2 * pairs) * sizeof *out);
        }
    }
}

snug_status ref_rope(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    const tensor *x = &op->in[0];
    tensor_op     copy = *op;
    snug_team_run(d->team, x->shape[0] * x->shape[1], cpu_grain(x->shape[2] * x->shape[3] * 2),
                  rope_part, &copy);
    return SNUG_OK;
}

/* ---- elementwise ---- */

static void binary_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    bool            mul = j->op->kind == TENSOR_OP_MUL;
    for (size_t i = from; i < to;) { /* one run of the second operand at a time */
        size_t       at = i % j->y_count, n = j->y_count - at < to - i ? j->y_count - at : to - i;
        const float *x = j->x + i, *y = j->y + at;
        float       *out = j->out + i;
        if (mul)
            for (size_t k = 0; k < n; k++) out[k] = x[k] * y[k];
        else
            for (size_t k = 0; k < n; k++) out[k] = x[k] + y[k];
        i += n;
    }
}

snug_status ref_binary(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    rows_job j = {.op = op,
                  .x = cpu_data(&op->in[0]),
                  .y = cpu_data(&op->in[1]),
                  .out = cpu_data(&op->out),
                  .y_count = tensor_count(&op->in[1])};
    snug_team_run(d->team, tensor_count(&op->out), CPU_CHUNK_WORK, binary_part, &j);
    return SNUG_OK;
}

static void scale_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    if (j->op->kind == TENSOR_OP_CLAMP) {
        float low = j->op->u.clamp.low, high = j->op->u.clamp.high;
        for (size_t i = from; i < to; i++)
            j->out[i] = j->x[i] < low ? low : j->x[i] > high ? high : j->x[i];
        return;
    }
    float factor = j->op->u.scale.factor, shift = j->op->u.scale.shift;
    if (factor == 0.0f) {
        for (size_t i = from; i < to; i++) j->out[i] = shift;
        return;
    }
    for (size_t i = from; i < to; i++) j->out[i] = j->x[i] * factor + shift;
}

snug_status ref_scale(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    rows_job j = {.op = op, .x = cpu_data(&op->in[0]), .out = cpu_data(&op->out)};
    snug_team_run(d->team, tensor_count(&op->out), CPU_CHUNK_WORK, scale_part, &j);
    return SNUG_OK;
}

static float activate(tensor_act fn, float x)
{
    switch (fn) {
    case TENSOR_ACT_SILU: return x / (1.0f + expf(-x));
    case TENSOR_ACT_GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case TENSOR_ACT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case TENSOR_ACT_QUICK_GELU: return x / (1.0f + expf(-1.702f * x));
    case TENSOR_ACT_RELU: return x > 0.0f ? x : 0.0f;
    case TENSOR_ACT_TANH: return tanhf(x);
    case TENSOR_ACT_SIGMOID: return 1.0f / (1.0f + expf(-x));
    case TENSOR_ACT_RELU2: return x > 0.0f ? x * x : 0.0f;
    case TENSOR_ACT_COUNT: break;
    }
    return x;
}

static void act_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const rows_job *j = arg;
    for (size_t r = from; r < to; r++) {
        const float *x = j->x + r * j->xs, *y = j->y == NULL ? NULL : j->y + r * j->ys;
        float       *out = j->out + r * j->os;
        for (size_t i = 0; i < j->cols; i++) {
            float v = activate(j->op->u.act.fn, x[i]);
            out[i] = y == NULL ? v : v * y[i];
        }
    }
}

void ref_linear_finish(const tensor_op *op)
{
    const tensor *o = &op->out, *add = &op->in[3];
    size_t        os, as = 0, rows = tensor_rows(o), cols = tensor_cols(o);
    (void)tensor_has_rows(o, &os);
    if (tensor_present(add)) (void)tensor_has_rows(add, &as);
    for (size_t r = 0; r < rows; r++) {
        float *out = (float *)cpu_data(o) + r * os;
        for (size_t i = 0; op->u.linear.acts && i < cols; i++)
            out[i] = activate(op->u.linear.fn, out[i]);
        for (size_t i = 0; tensor_present(add) && i < cols; i++)
            out[i] += ((const float *)cpu_data(add))[r * as + i];
    }
}

snug_status ref_act(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    rows_job j = {0};
    if (op->kind == TENSOR_OP_GLU) {
        j.y = cpu_data(&op->in[1]);
        (void)tensor_has_rows(&op->in[1], &j.ys);
    }
    run_rows(d, op, 32, act_part, &j);
    return SNUG_OK;
}

/* ---- copy ---- */

static void store(tensor_dtype t, void *p, size_t i, float v)
{
    if (t == TENSOR_F32)
        ((float *)p)[i] = v;
    else
        ((uint16_t *)p)[i] = t == TENSOR_F16 ? tensor_f32_to_f16(v) : tensor_f32_to_bf16(v);
}

static void copy_row(const tensor *x, size_t xi, const tensor *o, size_t oi)
{
    size_t n = tensor_cols(x), xs = x->rank == 0 ? 1 : x->stride[x->rank - 1],
           os = o->rank == 0 ? 1 : o->stride[o->rank - 1];
    size_t      each = tensor_dtype_bytes(x->dtype);
    const char *in = (const char *)cpu_data(x) + xi * each;
    char       *out = (char *)cpu_data(o) + oi * tensor_dtype_bytes(o->dtype);
    if (x->dtype == o->dtype && xs == 1 && os == 1) {
        memmove(out, in, n * each);
        return;
    }
    for (size_t i = 0; i < n; i++) store(o->dtype, out, i * os, cpu_load(x->dtype, in, i * xs));
}

snug_status ref_copy(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)d;
    (void)err;
    const tensor *x = &op->in[0], *o = &op->out;
    if (tensor_dtype_is_quant(x->dtype)) {
        tensor_dequantize(x->dtype, cpu_data(x), tensor_count(x), cpu_data(o));
        return SNUG_OK;
    }
    size_t index[TENSOR_RANK_MAX] = {0}, xi = 0, oi = 0, rows = tensor_rows(x);
    for (size_t r = 0; r < rows; r++) {
        copy_row(x, xi, o, oi);
        for (unsigned i = x->rank < 1 ? 0 : x->rank - 1;
             i-- > 0;) { /* the next row, like an odometer */
            xi += x->stride[i];
            oi += o->stride[i];
            if (++index[i] < x->shape[i]) break;
            xi -= x->stride[i] * x->shape[i];
            oi -= o->stride[i] * x->shape[i];
            index[i] = 0;
        }
    }
    return SNUG_OK;
}
