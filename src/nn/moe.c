/* SPDX-License-Identifier: Apache-2.0 */
/* nn/moe.c - mixtures of experts: a router chooses, the chosen experts run on the rows they got.
 *
 * For:     model/arch/ of the sparse families; each has one of the rules of nn_route.
 * Owns:    nothing; scratch for one call.
 * Threads: as the device.
 * Truth:   routing is decided on the host from float32 logits, in the order of the reference: ties
 * go to the lower expert. A row is handed to exactly `used` experts. */
#include "nn/nn.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"

/* Index of the largest of n, leaving out what is -infinity; n when all are. */
static size_t largest(const float *p, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (p[i] > -INFINITY && (best == n || p[i] > p[best])) best = i;
    return best;
}

static void softmax(float *p, size_t n)
{
    float best = -INFINITY, sum = 0.0f;
    for (size_t i = 0; i < n; i++) best = fmaxf(best, p[i]);
    for (size_t i = 0; i < n; i++) sum += p[i] = expf(p[i] - best);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
}

/* Leaves -infinity in the groups that are not among the best. */
static void keep_groups(const nn_moe *m, float *choice)
{
    size_t each = m->groups == 0 ? 0 : m->count / m->groups;
    float  score[NN_EXPERTS_MAX];
    if (m->groups <= 1) return;
    for (size_t g = 0; g < m->groups; g++) {
        float best = -INFINITY, second = -INFINITY;
        for (size_t i = g * each; i < (g + 1) * each; i++) {
            if (choice[i] > best) {
                second = best;
                best = choice[i];
            } else {
                second = fmaxf(second, choice[i]);
            }
        }
        /* Sigmoid scores count the best two of a group, softmax ones the best. */
        score[g] = m->route == NN_ROUTE_SIGMOID && each > 1 ? best + second : best;
    }
    bool keep[NN_EXPERTS_MAX] = {false};
    for (size_t n = 0; n < m->groups_used; n++) {
        size_t g = largest(score, m->groups);
        if (g == m->groups) break;
        keep[g] = true;
        score[g] = -INFINITY;
    }
    for (size_t i = 0; i < m->count; i++)
        if (!keep[i / each]) choice[i] = -INFINITY;
}

/* The weight of the largest logit among those within a relative distance of it. */
static float mixer_weight(const float *all, const float *left, size_t n, size_t best, float jitter)
{
    float top = left[best], sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        if (left[i] == -INFINITY) continue;
        float size = fmaxf(fabsf(all[i]), top);
        if ((top - all[i]) / size > 2.0f * jitter) continue;
        sum += expf(left[i] - top);
    }
    return 1.0f / sum;
}

static void route_mixer(const nn_moe *m, const float *logits, int32_t *ids, float *weights)
{
    float left[NN_EXPERTS_MAX];
    for (size_t i = 0; i < m->count; i++) left[i] = logits[i];
    for (size_t k = 0; k < m->used; k++) {
        size_t best = largest(left, m->count);
        if (best == m->count) best = k; /* not a number: any expert is as good */
        ids[k] = (int32_t)best;
        weights[k] = mixer_weight(logits, left, m->count, best, m->jitter);
        left[best] = -INFINITY;
    }
}

/* One row: logits (which are overwritten) -> `used` experts and their weights. */
static void route_row(const nn_moe *m, const float *correction, float *logits, int32_t *ids,
                      float *weights)
{
    float choice[NN_EXPERTS_MAX], sum = 0.0f;
    if (m->route == NN_ROUTE_SPARSE_MIXER) {
        route_mixer(m, logits, ids, weights);
        return;
    }
    if (m->route == NN_ROUTE_SOFTMAX) softmax(logits, m->count);
    if (m->route == NN_ROUTE_SIGMOID)
        for (size_t i = 0; i < m->count; i++) logits[i] = 1.0f / (1.0f + expf(-logits[i]));
    for (size_t i = 0; i < m->count; i++)
        choice[i] = logits[i] + (correction == NULL ? 0.0f : correction[i]);
    keep_groups(m, choice);
    for (size_t k = 0; k < m->used; k++) {
        size_t best = largest(choice, m->count);
        if (best == m->count) best = k;
        ids[k] = (int32_t)best;
        weights[k] = logits[best];
        choice[best] = -INFINITY;
    }
    if (m->route == NN_ROUTE_TOP_SOFTMAX) softmax(weights, m->used);
    if (m->route == NN_ROUTE_INPUT)
        for (size_t k = 0; k < m->used; k++) weights[k] = 1.0f / (1.0f + expf(-weights[k]));
    for (size_t k = 0; k < m->used; k++) sum += weights[k];
    if (m->route == NN_ROUTE_SIGMOID) sum += 1e-20f;
    for (size_t k = 0; k < m->used; k++) {
        if (m->normalise) weights[k] /= sum;
        weights[k] *= m->scale;
    }
}

/* Scratch of one call on the host, for `rows` rows. */
typedef struct plan {
    float    expert_scale[NN_EXPERTS_MAX];
    float   *logits, *weights, *some_weights, correction[NN_EXPERTS_MAX];
    int32_t *ids, *some_ids;
} plan;

static snug_status plan_routes(const nn_ctx *c, const nn_moe *m, const tensor *x, plan *p,
                               snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      rows = x->shape[0];
    tensor      logits, wide;
    tensor      read = *x;
    if (m->router_norm.kind != NN_NO_NORM) {
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, x->rank, x->shape, &read, err));
        SNUG_TRY(nn_norm_run(c, &m->router_norm, x, &read, err));
    }
    SNUG_TRY(nn_linear_run(c, &m->router, &read, &logits, err)); /* [N, experts] */
    p->logits = snug_alloc_try(tensor_size(&logits));
    p->weights = snug_alloc_try(rows * m->used * sizeof *p->weights);
    p->ids = snug_alloc_try(rows * m->used * sizeof *p->ids);
    p->some_weights = snug_alloc_try(rows * sizeof *p->some_weights);
    p->some_ids = snug_alloc_try(rows * sizeof *p->some_ids);
    if (p->logits == NULL || p->weights == NULL || p->ids == NULL || p->some_weights == NULL ||
        p->some_ids == NULL)
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory to route %zu tokens", rows);
    SNUG_TRY(tensor_get(&logits, p->logits, tensor_size(&logits), err));
    if (tensor_present(&m->choice)) {
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, 1, m->choice.shape, &wide, err));
        SNUG_TRY(tensor_copy(c->dev, &m->choice, &wide, err));
        SNUG_TRY(tensor_get(&wide, p->correction, m->count * sizeof(float), err));
    }
    for (size_t i = 0; i < rows; i++)
        route_row(m, tensor_present(&m->choice) ? p->correction : NULL, p->logits + i * m->count,
                  p->ids + i * m->used, p->weights + i * m->used);
    if (!tensor_present(&m->expert_scale)) return SNUG_OK;
    SNUG_TRY(tensor_get(&m->expert_scale, p->expert_scale, m->count * sizeof(float), err));
    for (size_t i = 0; i < rows * m->used; i++) p->weights[i] *= p->expert_scale[p->ids[i]];
done:
    return st;
}

/* Runs one expert on the rows it was chosen for and adds what it says to out [N, E]. */
static snug_status run_expert(const nn_ctx *c, const nn_moe *m, size_t expert, const tensor *x,
                              plan *p, const tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = 0, E = x->shape[1];
    tensor      ids, weights, rows, y;
    tensor_mark mark = tensor_space_mark(c->space);
    for (size_t i = 0; i < x->shape[0] * m->used; i++) {
        if (p->ids[i] != (int32_t)expert) continue;
        p->some_ids[n] = (int32_t)(i / m->used);
        p->some_weights[n++] = p->weights[i];
    }
    if (n == 0) return SNUG_OK;
    SNUG_TRY(nn_upload(c, p->some_ids, TENSOR_DIMS(n), &ids, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(n), &weights, err));
    SNUG_TRY(tensor_put(&weights, p->some_weights, n * sizeof(float), err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(n, E), &rows, err));
    SNUG_TRY(tensor_embed(c->dev, x, &ids, &rows, err));
    if (m->route == NN_ROUTE_INPUT) { /* rows * weights, and a weight of one afterwards */
        tensor scaled, order;
        for (size_t i = 0; i < n; i++) p->some_ids[i] = (int32_t)i;
        SNUG_TRY(nn_upload(c, p->some_ids, TENSOR_DIMS(n), &order, err));
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(n, E), &scaled, err));
        SNUG_TRY(tensor_scale(c->dev, &scaled, 0.0f, 0.0f, &scaled, err));
        SNUG_TRY(tensor_scatter(c->dev, &rows, &order, &weights, &scaled, err));
        SNUG_TRY(tensor_scale(c->dev, &weights, 0.0f, 1.0f, &weights, err));
        rows = scaled;
    }
    SNUG_TRY(nn_mlp_run(c, &m->experts[expert], &rows, &y, err)); /* [n, E] */
    SNUG_TRY(tensor_scatter(c->dev, &y, &ids, &weights, out, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

/* The expert every row sees, times its gate: out [N, E] += it. */
static snug_status run_shared(const nn_ctx *c, const nn_moe *m, const tensor *x, plan *p,
                              const tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = x->shape[0];
    tensor      y, gate, ids;
    if (!tensor_present(&m->shared.up.w)) return SNUG_OK;
    SNUG_TRY(nn_mlp_run(c, &m->shared, x, &y, err));
    if (!tensor_present(&m->shared_gate.w)) return tensor_add(c->dev, out, &y, out, err);
    SNUG_TRY(nn_linear_run(c, &m->shared_gate, x, &gate, err)); /* [N, 1] */
    SNUG_TRY(tensor_activate(c->dev, &gate, TENSOR_ACT_SIGMOID, &gate, err));
    gate = tensor_view(&gate, TENSOR_DIMS(n));
    for (size_t i = 0; i < n; i++) p->some_ids[i] = (int32_t)i;
    SNUG_TRY(nn_upload(c, p->some_ids, TENSOR_DIMS(n), &ids, err));
    SNUG_TRY(tensor_scatter(c->dev, &y, &ids, &gate, out, err));
done:
    return st;
}

snug_status nn_moe_run(const nn_ctx *c, const nn_moe *m, const tensor *x, tensor *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    plan        p = {0};
    size_t      E = x->shape[x->rank - 1];
    SNUG_ASSERT(m->count <= NN_EXPERTS_MAX && m->used <= m->count &&
                m->used <= NN_EXPERTS_USED_MAX);
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, x->rank, x->shape, out, err));
    tensor rows = tensor_view(x, TENSOR_DIMS(tensor_rows(x), E)),
           home = tensor_view(out, TENSOR_DIMS(tensor_rows(x), E));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(plan_routes(c, m, &rows, &p, err));
    SNUG_TRY(tensor_scale(c->dev, &home, 0.0f, 0.0f, &home, err));
    if (m->expert_norm.kind != NN_NO_NORM) {
        tensor normed;
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, rows.rank, rows.shape, &normed, err));
        SNUG_TRY(nn_norm_run(c, &m->expert_norm, &rows, &normed, err));
        rows = normed;
    }
    for (size_t i = 0; i < m->count; i++) SNUG_TRY(run_expert(c, m, i, &rows, &p, &home, err));
    SNUG_TRY(run_shared(c, m, &rows, &p, &home, err));
    tensor_space_release(c->space, mark);
done:
    free(p.logits);
    free(p.weights);
    free(p.some_weights);
    free(p.ids);
    free(p.some_ids);
    return st;
}
