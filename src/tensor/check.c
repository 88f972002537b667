/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/check.c - what must hold before an operation may run, so that no kernel has to ask.
 *
 * For:     tensor_run; tests call it through tensor_check.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   an operation that passes reads and writes only inside its operands' memory. The contents
 *          of ids are the exception: embed looks at them when it runs. */
#include "tensor/tensor_int.h"

static snug_status refuse(const tensor_op *op, snug_err *err, const char *why)
{
    char a[TENSOR_SHAPE_TEXT], b[TENSOR_SHAPE_TEXT], o[TENSOR_SHAPE_TEXT];
    return snug_fail(err, SNUG_EINVAL, "%s: %s (%s, %s -> %s)", tensor_op_name(op->kind), why,
                     tensor_shape_text(&op->in[0], a), tensor_shape_text(&op->in[1], b),
                     tensor_shape_text(&op->out, o));
}

/* Blocks lie along the last dimension and every row starts with one. */
static bool blocks_whole(const tensor *t, size_t block)
{
    if (t->rank == 0 || t->stride[t->rank - 1] != 1 || t->shape[t->rank - 1] % block != 0)
        return false;
    for (unsigned i = 0; i + 1 < t->rank; i++)
        if (t->stride[i] % block != 0) return false;
    return true;
}

static bool inside(const tensor *t);

/* Each page holds as many positions as the tensor has for it. */
static bool pages_inside(const tensor *t)
{
    if (t->rank < 2) return false;
    for (size_t b = 0; b < t->shape[0]; b++) {
        for (size_t i = 0; i < tensor_pages(t); i++) {
            const tensor_page *p = &t->pages[b * tensor_pages(t) + i];
            tensor             one = *t;
            size_t             left = t->shape[1] - i * TENSOR_PAGE;
            one.mem = p->mem, one.offset = p->offset, one.pages = NULL;
            one.shape[0] = 1, one.shape[1] = left < TENSOR_PAGE ? left : TENSOR_PAGE;
            if (one.mem == NULL || !inside(&one)) return false;
        }
    }
    return true;
}

/* The last byte a view can touch lies in its memory. */
static bool inside(const tensor *t)
{
    if (t->pages != NULL) return pages_inside(t);
    size_t last = 0, step, bytes;
    if (t->rank > TENSOR_RANK_MAX || t->dtype >= TENSOR_DTYPE_COUNT) return false;
    for (unsigned i = 0; i < t->rank; i++) {
        if (t->shape[i] == 0) return true;
        if (snug_mul(t->shape[i] - 1, t->stride[i], &step) || snug_add(last, step, &last))
            return false;
    }
    size_t each = tensor_dtype_bytes(t->dtype), block = tensor_dtype_block(t->dtype);
    if (snug_mul(last / block + 1, each, &bytes) || snug_add(bytes, t->offset, &bytes))
        return false;
    if (bytes > t->mem->size) return false;
    return block > 1 ? blocks_whole(t, block) : t->offset % each == 0;
}

static bool is_weight(const tensor *t) { return tensor_dtype_is_float(t->dtype); }
static bool is_matrix(const tensor *t) { return is_weight(t) || tensor_dtype_is_quant(t->dtype); }
static bool is_act(const tensor *t) { return t->dtype == TENSOR_F32; }
static bool rows_ok(const tensor *t)
{
    size_t stride;
    return tensor_has_rows(t, &stride);
}

/* An optional vector of n weights. */
static bool vector_ok(const tensor *t, size_t n)
{
    return !tensor_present(t) ||
           (is_weight(t) && t->rank == 1 && t->shape[0] == n && tensor_is_dense(t));
}

static bool leading_equal(const tensor *a, const tensor *b, unsigned trailing)
{
    if (a->rank != b->rank || a->rank < trailing) return false;
    for (unsigned i = 0; i < a->rank - trailing; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

static const char *check_linear(const tensor_op *op)
{
    const tensor *x = &op->in[0], *w = &op->in[1];
    if (x->rank < 1 || w->rank != 2) return "input of rank 1 or more, weight of rank 2 wanted";
    if (!is_act(x) || !is_act(&op->out) || !is_matrix(w)) return "element types";
    if (w->shape[1] != tensor_cols(x)) return "the weight does not fit the input";
    if (!leading_equal(x, &op->out, 1) || tensor_cols(&op->out) != w->shape[0])
        return "the output does not fit";
    if (!vector_ok(&op->in[2], w->shape[0])) return "the bias does not fit";
    if (tensor_present(&op->in[3]) &&
        (!is_act(&op->in[3]) || !tensor_same_shape(&op->in[3], &op->out) || !rows_ok(&op->in[3]) ||
         (op->in[3].mem == op->out.mem && op->in[3].offset == op->out.offset)))
        return "what is added does not fit";
    return rows_ok(x) && rows_ok(w) && rows_ok(&op->out) ? NULL : "rows must be contiguous";
}

static const char *check_matmul(const tensor_op *op)
{
    const tensor *a = &op->in[0], *b = &op->in[1], *o = &op->out;
    if (a->rank < 2 || !is_act(a) || !is_act(b) || !is_act(o))
        return "F32 operands of rank 2 or more wanted";
    if (!leading_equal(a, b, 2) || !leading_equal(a, o, 2)) return "leading dimensions differ";
    unsigned m = a->rank - 2, k = a->rank - 1;
    size_t   inner = op->u.matmul.trans ? b->shape[k] : b->shape[m];
    size_t   n = op->u.matmul.trans ? b->shape[m] : b->shape[k];
    if (inner != a->shape[k] || o->shape[m] != a->shape[m] || o->shape[k] != n)
        return "the inner dimensions do not fit";
    return tensor_is_dense(a) && tensor_is_dense(b) && tensor_is_dense(o)
               ? NULL
               : "operands must be dense";
}

static const char *check_embed(const tensor_op *op)
{
    const tensor *table = &op->in[0], *ids = &op->in[1], *o = &op->out;
    if (table->rank != 2 || !is_matrix(table) || !rows_ok(table))
        return "the table must be [rows, width]";
    if ((ids->dtype != TENSOR_I32 && ids->dtype != TENSOR_I64) || !tensor_is_dense(ids))
        return "ids must be dense I32 or I64";
    if (!is_act(o) || o->rank != ids->rank + 1 || tensor_cols(o) != table->shape[1] || !rows_ok(o))
        return "the output does not fit";
    for (unsigned i = 0; i < ids->rank; i++)
        if (ids->shape[i] != o->shape[i]) return "the output does not fit the ids";
    return NULL;
}

static const char *check_rowwise(const tensor_op *op)
{
    const tensor *x = &op->in[0];
    if (x->rank < 1 || !is_act(x) || !is_act(&op->out) || !tensor_same_shape(x, &op->out))
        return "input and output must be F32 of one shape";
    if (op->kind != TENSOR_OP_SOFTMAX &&
        (!vector_ok(&op->in[1], tensor_cols(x)) || !vector_ok(&op->in[2], tensor_cols(x))))
        return "the weight or bias does not fit the rows";
    return rows_ok(x) && rows_ok(&op->out) ? NULL : "rows must be contiguous";
}

static const char *check_rope(const tensor_op *op)
{
    const tensor *x = &op->in[0], *c = &op->in[1], *s = &op->in[2];
    if (x->rank != 4 || !is_act(x) || !is_act(&op->out) || !tensor_same_shape(x, &op->out))
        return "input and output must be F32 [batch, time, heads, width]";
    if (c->rank != 3 || !is_act(c) || !is_act(s) || !tensor_same_shape(c, s))
        return "cos and sin must be F32 [batch, time, pairs]";
    if (c->shape[0] != x->shape[0] || c->shape[1] != x->shape[1] || c->shape[2] > x->shape[3] / 2)
        return "cos and sin do not fit the input";
    if (x->stride[3] != 1 || op->out.stride[3] != 1) return "heads must be contiguous";
    return tensor_is_dense(c) && tensor_is_dense(s) ? NULL : "cos and sin must be dense";
}

static const char *check_attention(const tensor_op *op)
{
    const tensor *q = &op->in[0], *k = &op->in[1], *v = &op->in[2], *mask = &op->in[3],
                 *o = &op->out;
    if (q->rank != 4 || k->rank != 4 || v->rank != 4 || o->rank != 4)
        return "operands must be [batch, time, heads, width]";
    if (!is_act(q) || !is_act(k) || !is_act(v) || !is_act(o)) return "operands must be F32";
    if (k->shape[0] != q->shape[0] || v->shape[0] != q->shape[0] || o->shape[0] != q->shape[0])
        return "batches differ";
    if (v->shape[1] != k->shape[1] || v->shape[2] != k->shape[2]) return "keys and values differ";
    if (k->shape[2] == 0 || q->shape[2] % k->shape[2] != 0)
        return "query heads must be a multiple of key heads";
    if (q->shape[3] != k->shape[3]) return "queries and keys differ in width";
    if (o->shape[1] != q->shape[1] || o->shape[2] != q->shape[2] || o->shape[3] != v->shape[3])
        return "the output does not fit";
    if (k->shape[1] == 0) return "no keys";
    if (op->u.attention.causal && q->shape[1] > k->shape[1]) return "more queries than positions";
    if (q->stride[3] != 1 || k->stride[3] != 1 || v->stride[3] != 1 || o->stride[3] != 1)
        return "heads must be contiguous";
    if (tensor_present(mask) &&
        (mask->dtype != TENSOR_I32 || mask->rank != 2 || mask->shape[0] != k->shape[0] ||
         mask->shape[1] != k->shape[1] || mask->stride[1] != 1))
        return "the mask must be I32 [batch, positions]";
    const tensor *bias = &op->in[4], *sinks = &op->in[5];
    if (tensor_present(bias) &&
        (!is_act(bias) || bias->rank != 4 || bias->shape[0] != q->shape[0] ||
         bias->shape[1] != q->shape[2] || bias->shape[2] != q->shape[1] ||
         bias->shape[3] != k->shape[1] || bias->stride[3] != 1))
        return "the bias must be F32 [batch, heads, time, positions]";
    if (tensor_present(sinks) && !vector_ok(sinks, q->shape[2])) return "a sink per head is wanted";
    return NULL;
}

static const char *check_binary(const tensor_op *op)
{
    const tensor *a = &op->in[0], *b = &op->in[1];
    if (!is_act(a) || !is_act(b) || !is_act(&op->out) || !tensor_same_shape(a, &op->out))
        return "operands must be F32, the output shaped as the first";
    if (b->rank > a->rank) return "the second operand has more dimensions than the first";
    for (unsigned i = 0; i < b->rank; i++)
        if (b->shape[b->rank - 1 - i] != a->shape[a->rank - 1 - i])
            return "the second operand is not the tail of the first";
    return tensor_is_dense(a) && tensor_is_dense(b) && tensor_is_dense(&op->out)
               ? NULL
               : "operands must be dense";
}

static const char *check_act(const tensor_op *op)
{
    const tensor *x = &op->in[0];
    if (op->u.act.fn >= TENSOR_ACT_COUNT) return "no such activation";
    if (!is_act(x) || !is_act(&op->out) || !tensor_same_shape(x, &op->out))
        return "input and output must be F32 of one shape";
    if (op->kind == TENSOR_OP_GLU &&
        (!is_act(&op->in[1]) || !tensor_same_shape(x, &op->in[1]) || !rows_ok(&op->in[1])))
        return "gate and value must have one shape";
    return rows_ok(x) && rows_ok(&op->out) ? NULL : "rows must be contiguous";
}

static const char *check_copy(const tensor_op *op)
{
    if (!tensor_same_shape(&op->in[0], &op->out)) return "shapes differ";
    if (tensor_dtype_is_quant(op->in[0].dtype))
        return is_act(&op->out) && tensor_is_dense(&op->in[0]) && tensor_is_dense(&op->out)
                   ? NULL
                   : "blocks convert to F32, both dense";
    return is_weight(&op->in[0]) && is_weight(&op->out) ? NULL : "only float types convert";
}

static const char *check_scale(const tensor_op *op)
{
    const tensor *x = &op->in[0];
    if (!is_act(x) || !is_act(&op->out) || !tensor_same_shape(x, &op->out))
        return "input and output must be F32 of one shape";
    return tensor_is_dense(x) && tensor_is_dense(&op->out) ? NULL : "operands must be dense";
}

static const char *check_gather(const tensor_op *op)
{
    const tensor *x = &op->in[0], *index = &op->in[1], *o = &op->out;
    unsigned      row = op->u.gather.trans ? 3 : 2, col = op->u.gather.trans ? 2 : 3;
    if (x->rank != 4 || o->rank != 4 || !is_weight(x) || !is_act(o))
        return "input and output must be floats of rank 4";
    if (index->rank != 2 || index->dtype != TENSOR_I32 || !tensor_is_dense(index))
        return "the index must be dense I32 of rank 2";
    if (x->shape[0] != o->shape[0] || x->shape[1] != o->shape[1] || x->shape[2] != o->shape[row])
        return "the output does not fit the input";
    return index->shape[0] == o->shape[row] && index->shape[1] == o->shape[col]
               ? NULL
               : "the index does not fit the output";
}

static const char *check_scatter(const tensor_op *op)
{
    const tensor *x = &op->in[0], *ids = &op->in[1], *w = &op->in[2], *o = &op->out;
    if (x->rank != 2 || o->rank != 2 || !is_act(x) || !is_act(o) || x->shape[1] != o->shape[1])
        return "input and output must be F32 rows of one width";
    if (ids->rank != 1 || ids->dtype != TENSOR_I32 || !tensor_is_dense(ids) ||
        ids->shape[0] != x->shape[0])
        return "an I32 id per row is wanted";
    if (!is_act(w) || !vector_ok(w, x->shape[0])) return "an F32 weight per row is wanted";
    return rows_ok(x) && rows_ok(o) ? NULL : "rows must be contiguous";
}

/* cutoff and match: rows in place or to rows. */
static const char *check_level(const tensor_op *op)
{
    const tensor *x = &op->in[0], *like = &op->in[1];
    if (!is_act(x) || !is_act(&op->out) || !tensor_same_shape(x, &op->out) || x->rank < 1)
        return "input and output must be F32 of one shape";
    if (op->kind == TENSOR_OP_MATCH && (!is_act(like) || !tensor_same_shape(x, like)))
        return "both inputs must have one shape";
    if (op->kind == TENSOR_OP_XIELU && (!is_act(like) || !vector_ok(like, 4)))
        return "four numbers are wanted";
    return tensor_is_dense(x) && tensor_is_dense(&op->out) &&
                   (op->kind != TENSOR_OP_MATCH || tensor_is_dense(like))
               ? NULL
               : "operands must be dense";
}

static const char *check_conv(const tensor_op *op)
{
    const tensor *x = &op->in[0], *w = &op->in[1], *o = &op->out;
    if (x->rank != 3 || o->rank != 3 || !is_act(x) || !is_act(o) || x->shape[0] != o->shape[0])
        return "input and output must be F32 [batch, time, channels]";
    if (w->rank != 2 || !is_weight(w) || !tensor_is_dense(w) || w->shape[1] == 0)
        return "the filter must be [channels, taps]";
    if (x->shape[2] != w->shape[0] || o->shape[2] != w->shape[0])
        return "the filter does not fit the channels";
    if (x->shape[1] != o->shape[1] + w->shape[1] - 1) return "taps - 1 rows must come before";
    if (!vector_ok(&op->in[2], w->shape[0])) return "the bias does not fit";
    return x->stride[2] == 1 && o->stride[2] == 1 ? NULL : "channels must be contiguous";
}

static const char *check_softplus(const tensor_op *op)
{
    const char *why = check_scale(op);
    if (why != NULL) return why;
    return vector_ok(&op->in[1], tensor_cols(&op->out)) ? NULL : "the bias does not fit";
}

/* F32 of a rank, batch and time, contiguous along the last dimension. */
static bool steps_ok(const tensor *t, unsigned rank, const tensor *like)
{
    return is_act(t) && t->rank == rank && t->shape[0] == like->shape[0] &&
           t->shape[1] == like->shape[1] && t->stride[rank - 1] == 1;
}

static bool state_ok(const tensor *s, size_t b, size_t h, size_t rows, size_t cols)
{
    return is_act(s) && s->rank == 4 && s->shape[0] == b && s->shape[1] == h &&
           s->shape[2] == rows && s->shape[3] == cols && tensor_is_dense(s);
}

static const char *check_scan(const tensor_op *op)
{
    const tensor *x = &op->in[0], *dt = &op->in[1], *a = &op->in[2], *in = &op->in[3],
                 *read = &op->in[4], *o = &op->out;
    if (x->rank != 4 || !steps_ok(x, 4, x) || !steps_ok(o, 4, x) || !tensor_same_shape(x, o))
        return "input and output must be F32 [batch, time, heads, width]";
    if (!steps_ok(dt, 3, x) || dt->shape[2] != x->shape[2]) return "a step per head is wanted";
    if (!steps_ok(in, 4, x) || !steps_ok(read, 4, x) || !tensor_same_shape(in, read))
        return "B and C must be F32 [batch, time, groups, n]";
    if (in->shape[2] == 0 || x->shape[2] % in->shape[2] != 0)
        return "heads must be a multiple of groups";
    if (!is_act(a) || a->rank != 2 || !tensor_is_dense(a) || a->shape[0] != x->shape[2] ||
        (a->shape[1] != 1 && a->shape[1] != in->shape[3]))
        return "rates must be F32 [heads, 1 or n]";
    return state_ok(&op->in[5], x->shape[0], x->shape[2], x->shape[3], in->shape[3])
               ? NULL
               : "the state does not fit";
}

static const char *check_delta(const tensor_op *op)
{
    const tensor *q = &op->in[0], *k = &op->in[1], *v = &op->in[2], *g = &op->in[3],
                 *beta = &op->in[4], *o = &op->out;
    if (q->rank != 4 || !steps_ok(q, 4, q) || !steps_ok(k, 4, q) || !tensor_same_shape(q, k))
        return "queries and keys must be F32 [batch, time, heads, width]";
    if (!steps_ok(v, 4, q) || !steps_ok(o, 4, q) || !tensor_same_shape(v, o))
        return "values and output must be F32 [batch, time, heads, width]";
    if (q->shape[2] == 0 || v->shape[2] % q->shape[2] != 0)
        return "value heads must be a multiple of key heads";
    bool each = g->rank == 4;
    if (!steps_ok(g, each ? 4 : 3, q) || g->shape[2] != v->shape[2] ||
        (each && g->shape[3] != q->shape[3]))
        return "a decay per head is wanted";
    if (!steps_ok(beta, 3, q) || beta->shape[2] != v->shape[2]) return "a beta per head is wanted";
    return state_ok(&op->in[5], q->shape[0], v->shape[2], q->shape[3], v->shape[3])
               ? NULL
               : "the state does not fit";
}

snug_status tensor_check(const tensor_op *op, snug_err *err)
{
    /* How many inputs must be there, and the check of shapes: a row per operation. */
    static const struct {
        unsigned inputs;
        const char *(*check)(const tensor_op *op);
    } rules[TENSOR_OP_COUNT] = {
        [TENSOR_OP_LINEAR] = {2, check_linear},     [TENSOR_OP_MATMUL] = {2, check_matmul},
        [TENSOR_OP_EMBED] = {2, check_embed},       [TENSOR_OP_LAYER_NORM] = {1, check_rowwise},
        [TENSOR_OP_RMS_NORM] = {1, check_rowwise},  [TENSOR_OP_SOFTMAX] = {1, check_rowwise},
        [TENSOR_OP_ROPE] = {3, check_rope},         [TENSOR_OP_ATTENTION] = {3, check_attention},
        [TENSOR_OP_ADD] = {2, check_binary},        [TENSOR_OP_MUL] = {2, check_binary},
        [TENSOR_OP_ACT] = {1, check_act},           [TENSOR_OP_GLU] = {2, check_act},
        [TENSOR_OP_COPY] = {1, check_copy},         [TENSOR_OP_SCALE] = {1, check_scale},
        [TENSOR_OP_CLAMP] = {1, check_scale},       [TENSOR_OP_GATHER] = {2, check_gather},
        [TENSOR_OP_SCATTER] = {3, check_scatter},   [TENSOR_OP_CONV] = {2, check_conv},
        [TENSOR_OP_SOFTPLUS] = {1, check_softplus}, [TENSOR_OP_SCAN] = {6, check_scan},
        [TENSOR_OP_DELTA] = {6, check_delta},       [TENSOR_OP_CUTOFF] = {1, check_level},
        [TENSOR_OP_MATCH] = {2, check_level},       [TENSOR_OP_XIELU] = {2, check_level},
    };
    if (op->kind >= TENSOR_OP_COUNT) return snug_fail(err, SNUG_EINVAL, "no such operation");
    for (unsigned i = 0; i < TENSOR_OP_IN_MAX; i++) {
        if (i < rules[op->kind].inputs && !tensor_present(&op->in[i]))
            return refuse(op, err, "an operand is missing");
        if (op->in[i].pages != NULL && (op->kind != TENSOR_OP_ATTENTION || i < 1 || i > 2))
            return refuse(op, err, "pages are for keys and values only");
        if (tensor_present(&op->in[i]) && !inside(&op->in[i]))
            return refuse(op, err, "an operand leaves its memory");
    }
    if (!tensor_present(&op->out) || op->out.pages != NULL || !inside(&op->out))
        return refuse(op, err, "the output leaves its memory");
    const char *why = rules[op->kind].check(op);
    return why == NULL ? SNUG_OK : refuse(op, err, why);
}
