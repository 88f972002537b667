/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/text_classification.c - labels and scores for a text: [[{"label", "score"}, ...]],
 * best first. Clients read element [0], so the outer array is there for a single text too. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct scored {
    size_t label;
    float  score;
} scored;

static int best_first(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

typedef enum apply { APPLY_NONE, APPLY_SIGMOID, APPLY_SOFTMAX } apply;

/* As the request says; else by the kind of problem, which the number of labels tells when
 * nothing does. */
static snug_status which_function(const infer_ctx *c, snug_json params, apply *out, snug_err *err)
{
    snug_slice name = snug_json_str_or(params, "function_to_apply", SNUG_EMPTY);
    snug_slice problem = snug_json_str_or(model_config(c->model), "problem_type", SNUG_EMPTY);
    size_t     labels = model_shape_of(c->model)->labels;
    if (snug_eq_nocase(name, SNUG_LIT("sigmoid")))
        *out = APPLY_SIGMOID;
    else if (snug_eq_nocase(name, SNUG_LIT("softmax")))
        *out = APPLY_SOFTMAX;
    else if (snug_eq_nocase(name, SNUG_LIT("none")))
        *out = APPLY_NONE;
    else if (name.len > 0)
        return snug_fail(err, SNUG_EINVAL,
                         "`function_to_apply` is \"%.*s\"; sigmoid, softmax and none are known",
                         SNUG_SLICE(name));
    else if (snug_eq_str(problem, "regression"))
        *out = APPLY_NONE;
    else if (snug_eq_str(problem, "multi_label_classification") || labels == 1)
        *out = APPLY_SIGMOID;
    else
        *out = APPLY_SOFTMAX;
    return SNUG_OK;
}

static void score(const float *logits, size_t n, apply fn, scored *out)
{
    double best = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) best = fmax(best, (double)logits[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - best);
    for (size_t i = 0; i < n; i++) {
        double v = (double)logits[i];
        if (fn == APPLY_SIGMOID) v = 1.0 / (1.0 + exp(-v));
        if (fn == APPLY_SOFTMAX) v = exp(v - best) / sum;
        out[i] = (scored){i, (float)v};
    }
    qsort(out, n, sizeof *out, best_first);
}

static snug_status read_top_k(snug_json params, uint64_t *out, snug_err *err)
{
    snug_json k = snug_json_get(params, "top_k");
    *out = UINT64_MAX; /* all labels */
    if (snug_json_is(k, SNUG_JSON_ABSENT) || snug_json_is(k, SNUG_JSON_NULL)) return SNUG_OK;
    if (snug_json_to_u64(k, out) && *out > 0) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "`top_k` must be a whole number above 0");
}

static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    tok_ids     ids = {0};
    float      *logits = NULL;
    tensor      t;
    scored     *list = NULL;
    uint64_t    top_k;
    apply       fn = APPLY_NONE;
    snug_arena *a = snug_arena_new();
    SNUG_TRY(which_function(c, params, &fn, err));
    SNUG_TRY(read_top_k(params, &top_k, err));
    SNUG_TRY(task_encode(c, input, params, &ids, err));
    SNUG_TRY(task_forward(c, &ids, &logits, &t, err)); /* [1, labels] */
    size_t n = tensor_count(&t);
    list = snug_alloc(n * sizeof *list); /* n <= MODEL_LABELS_MAX */
    score(logits, n, fn, list);
    snug_jo_begin_array(out);
    for (size_t i = 0; i < n && i < top_k; i++) {
        snug_jo_begin_object(out);
        snug_jo_kstr(out, "label", infer_label(c, a, list[i].label));
        snug_jo_kf64(out, "score", (double)list[i].score);
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
done:
    free(list);
    free(logits);
    tok_ids_deinit(&ids);
    snug_arena_free(a);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    if (model_shape_of(c->model)->head != MODEL_HEAD_CLASSES)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not classify texts",
                         model_shape_of(c->model)->class_name);
    return task_each_input(c, in, true, out, one, err);
}

const infer_task task_text_classification = {
    .name = "text-classification", .help = "Labels and scores for a text", .run = run};
