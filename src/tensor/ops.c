/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ops.c - operations as calls: each fills a descriptor and runs it. */
#include "tensor/tensor_int.h"

static tensor or_none(const tensor *t) { return t == NULL ? TENSOR_NONE : *t; }

snug_status tensor_linear(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                          const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_LINEAR, .out = *out, .in = {*x, *w, or_none(b)}};
    return tensor_run(d, &op, err);
}

snug_status tensor_linear_with(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                               const tensor_act *fn, const tensor *add, const tensor *out,
                               snug_err *err)
{
    tensor_op op = {
        .kind = TENSOR_OP_LINEAR, .out = *out, .in = {*x, *w, or_none(b), or_none(add)}};
    op.u.linear.acts = fn != NULL;
    if (fn != NULL) op.u.linear.fn = *fn;
    return tensor_run(d, &op, err);
}

snug_status tensor_matmul(tensor_dev *d, const tensor *a, const tensor *b, bool trans,
                          const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_MATMUL, .out = *out, .in = {*a, *b}, .u.matmul = {trans}};
    return tensor_run(d, &op, err);
}

snug_status tensor_embed(tensor_dev *d, const tensor *table, const tensor *ids, const tensor *out,
                         snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_EMBED, .out = *out, .in = {*table, *ids}};
    return tensor_run(d, &op, err);
}

snug_status tensor_layer_norm(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                              float eps, const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_LAYER_NORM,
                    .out = *out,
                    .in = {*x, or_none(w), or_none(b)},
                    .u.norm = {eps}};
    return tensor_run(d, &op, err);
}

snug_status tensor_rms_norm(tensor_dev *d, const tensor *x, const tensor *w, float eps,
                            const tensor *out, snug_err *err)
{
    tensor_op op = {
        .kind = TENSOR_OP_RMS_NORM, .out = *out, .in = {*x, or_none(w)}, .u.norm = {eps}};
    return tensor_run(d, &op, err);
}

snug_status tensor_softmax(tensor_dev *d, const tensor *x, const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_SOFTMAX, .out = *out, .in = {*x}};
    return tensor_run(d, &op, err);
}

snug_status tensor_rope(tensor_dev *d, const tensor *x, const tensor *cos, const tensor *sin,
                        bool interleaved, const tensor *out, snug_err *err)
{
    tensor_op op = {
        .kind = TENSOR_OP_ROPE, .out = *out, .in = {*x, *cos, *sin}, .u.rope = {interleaved}};
    return tensor_run(d, &op, err);
}

snug_status tensor_attention(tensor_dev *d, const tensor *q, const tensor *k, const tensor *v,
                             const tensor *mask, float scale, bool causal, size_t window,
                             const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_ATTENTION,
                    .out = *out,
                    .in = {*q, *k, *v, or_none(mask)},
                    .u.attention = {.scale = scale, .causal = causal, .window = window}};
    return tensor_run(d, &op, err);
}

snug_status tensor_add(tensor_dev *d, const tensor *a, const tensor *b, const tensor *out,
                       snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_ADD, .out = *out, .in = {*a, *b}};
    return tensor_run(d, &op, err);
}

snug_status tensor_mul(tensor_dev *d, const tensor *a, const tensor *b, const tensor *out,
                       snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_MUL, .out = *out, .in = {*a, *b}};
    return tensor_run(d, &op, err);
}

snug_status tensor_activate(tensor_dev *d, const tensor *x, tensor_act fn, const tensor *out,
                            snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_ACT, .out = *out, .in = {*x}, .u.act = {fn}};
    return tensor_run(d, &op, err);
}

snug_status tensor_glu(tensor_dev *d, const tensor *gate, const tensor *up, tensor_act fn,
                       const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_GLU, .out = *out, .in = {*gate, *up}, .u.act = {fn}};
    return tensor_run(d, &op, err);
}

snug_status tensor_copy(tensor_dev *d, const tensor *x, const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_COPY, .out = *out, .in = {*x}};
    return tensor_run(d, &op, err);
}

snug_status tensor_scale(tensor_dev *d, const tensor *x, float factor, float shift,
                         const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_SCALE, .out = *out, .in = {*x}, .u.scale = {factor, shift}};
    return tensor_run(d, &op, err);
}

snug_status tensor_clamp(tensor_dev *d, const tensor *x, float low, float high, const tensor *out,
                         snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_CLAMP, .out = *out, .in = {*x}, .u.clamp = {low, high}};
    return tensor_run(d, &op, err);
}

snug_status tensor_gather(tensor_dev *d, const tensor *x, const tensor *index, bool trans,
                          const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_GATHER, .out = *out, .in = {*x, *index}, .u.gather = {trans}};
    return tensor_run(d, &op, err);
}

snug_status tensor_scatter(tensor_dev *d, const tensor *x, const tensor *ids, const tensor *weights,
                           const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_SCATTER, .out = *out, .in = {*x, *ids, *weights}};
    return tensor_run(d, &op, err);
}

snug_status tensor_cutoff(tensor_dev *d, const tensor *x, float factor, const tensor *out,
                          snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_CUTOFF, .out = *out, .in = {*x}, .u.scale = {factor, 0.0f}};
    return tensor_run(d, &op, err);
}

snug_status tensor_match(tensor_dev *d, const tensor *x, const tensor *like, float eps,
                         const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_MATCH, .out = *out, .in = {*x, *like}, .u.norm = {eps}};
    return tensor_run(d, &op, err);
}

snug_status tensor_xielu(tensor_dev *d, const tensor *x, const tensor *shape, const tensor *out,
                         snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_XIELU, .out = *out, .in = {*x, *shape}};
    return tensor_run(d, &op, err);
}

snug_status tensor_conv(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                        const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_CONV, .out = *out, .in = {*x, *w, or_none(b)}};
    return tensor_run(d, &op, err);
}

snug_status tensor_softplus(tensor_dev *d, const tensor *x, const tensor *b, float low, float high,
                            const tensor *out, snug_err *err)
{
    tensor_op op = {
        .kind = TENSOR_OP_SOFTPLUS, .out = *out, .in = {*x, or_none(b)}, .u.clamp = {low, high}};
    return tensor_run(d, &op, err);
}

snug_status tensor_scan(tensor_dev *d, const tensor in[6], const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_SCAN, .out = *out};
    for (unsigned i = 0; i < 6; i++) op.in[i] = in[i];
    return tensor_run(d, &op, err);
}

snug_status tensor_delta(tensor_dev *d, const tensor in[6], const tensor *out, snug_err *err)
{
    tensor_op op = {.kind = TENSOR_OP_DELTA, .out = *out};
    for (unsigned i = 0; i < 6; i++) op.in[i] = in[i];
    return tensor_run(d, &op, err);
}
