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

static void put_labels(infer_ctx *c, snug_arena *a, const float *logits, size_t n, apply fn,
                       uint64_t top_k, snug_json_out *out)
{
    scored *list = snug_alloc((n + 1) * sizeof *list); /* n <= MODEL_LABELS_MAX */
    score(logits, n, fn, list);
    snug_jo_begin_array(out);
    for (size_t i = 0; i < n && i < top_k; i++) {
        snug_jo_begin_object(out);
        snug_jo_kstr(out, "label", infer_label(c, a, list[i].label));
        snug_jo_kf64(out, "score", (double)list[i].score);
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
    free(list);
}

/* The labels of each text, several texts in a pass. */
static snug_status classify(infer_ctx *c, snug_json inputs, size_t n, snug_json params,
                            snug_json_out *out, snug_err *err)
{
    snug_status     st = SNUG_OK;
    bool            many = snug_json_is(inputs, SNUG_JSON_ARRAY);
    uint64_t        top_k;
    apply           fn = APPLY_NONE;
    snug_arena     *a = snug_arena_new();
    tok_ids        *ids = snug_zalloc((n + 1) * sizeof *ids); /* <= INFER_INPUTS_MAX */
    const tok_ids **list = snug_zalloc((n + 1) * sizeof *list);
    float         **logits = snug_zalloc((n + 1) * sizeof *logits);
    size_t         *sizes = snug_zalloc((n + 1) * sizeof *sizes);
    SNUG_TRY(which_function(c, params, &fn, err));
    SNUG_TRY(read_top_k(params, &top_k, err));
    for (size_t i = 0; i < n; i++) {
        SNUG_TRY(task_encode(c, many ? snug_json_at(inputs, i) : inputs, params, &ids[i], err));
        list[i] = &ids[i];
    }
    for (size_t i = 0, pass; i < n; i += pass) {
        pass = task_pass(c, list + i, n - i);
        SNUG_TRY(task_run_pass(c, list + i, pass, "logits", logits, sizes, err)); /* [labels] */
        for (size_t k = 0; k < pass; k++) {
            put_labels(c, a, logits[k], sizes[k], fn, top_k, out);
            free(logits[k]);
        }
    }
done:
    for (size_t i = 0; i < n; i++) tok_ids_deinit(&ids[i]);
    free(ids), free(list), free(logits), free(sizes);
    snug_arena_free(a);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   inputs = snug_json_get(in, "inputs");
    size_t      n;
    if (model_shape_of(c->model)->head != MODEL_HEAD_CLASSES)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not classify texts",
                         model_shape_of(c->model)->class_name);
    SNUG_TRY(task_count_inputs(in, &n, err));
    snug_jo_begin_array(out);
    SNUG_TRY(classify(c, inputs, n, snug_json_get(in, "parameters"), out, err));
    snug_jo_end_array(out);
done:
    return st;
}

const infer_task task_text_classification = {
    .name = "text-classification", .help = "Labels and scores for a text", .run = run};
