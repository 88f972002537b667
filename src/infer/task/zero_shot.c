/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/zero_shot.c - labels of the caller's choice, by a model that judges whether one
 * sentence follows from another: [{"label", "score"}], best first.
 *
 * Each label makes a hypothesis ("This example is {}."); the text is the premise, and is cut when
 * both do not fit. One label true at a time: softmax over the labels' entailment; several: of each
 * label entailment against contradiction. */
#include <stdlib.h>

#include "infer/infer_int.h"

enum { LABELS_MAX = 1000, HYPOTHESIS_MAX = 1 << 16 };

typedef struct judge {
    infer_ctx *c;
    snug_slice labels[LABELS_MAX];
    float      scores[LABELS_MAX];
    size_t     count, classes, entailment, contradiction;
    snug_slice before, after; /* of the template's {} */
    bool       many;
} judge;

static snug_status add_label(judge *j, snug_slice label, snug_err *err)
{
    label = snug_trim(label);
    if (label.len == 0) return SNUG_OK;
    if (j->count == LABELS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d `candidate_labels`", (int)LABELS_MAX);
    j->labels[j->count++] = label;
    return SNUG_OK;
}

/* A list, or the older form with commas. */
static snug_status read_labels(judge *j, snug_json v, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text, one;
    if (snug_json_to_str(v, &text)) {
        while (st == SNUG_OK && snug_split(&text, ',', &one)) st = add_label(j, one, err);
    } else if (snug_json_is(v, SNUG_JSON_ARRAY)) {
        for (size_t i = 0; st == SNUG_OK && i < snug_json_count(v); i++) {
            if (!snug_json_to_str(snug_json_at(v, i), &one))
                return snug_fail(err, SNUG_EINVAL, "`candidate_labels` is a list of strings");
            st = add_label(j, one, err);
        }
    }
    if (st == SNUG_OK && j->count == 0)
        st = snug_fail(err, SNUG_EINVAL, "`candidate_labels` names no label");
    return st;
}

static snug_status read_template(judge *j, snug_json params, snug_err *err)
{
    snug_slice text =
        snug_json_str_or(params, "hypothesis_template", SNUG_LIT("This example is {}."));
    size_t at = snug_find(text, SNUG_LIT("{}"));
    if (at == SIZE_MAX)
        return snug_fail(err, SNUG_EINVAL, "`hypothesis_template` has no {} for the label");
    j->before = snug_sub(text, 0, at);
    j->after = snug_sub(text, at + 2, SIZE_MAX);
    return SNUG_OK;
}

/* The class whose name begins with "entail", else the last. */
static void find_classes(judge *j, snug_arena *a)
{
    j->classes = model_shape_of(j->c->model)->labels;
    j->entailment = j->classes - 1;
    for (size_t i = 0; i < j->classes; i++) {
        snug_slice name = snug_sub(infer_label(j->c, a, i), 0, 6);
        if (!snug_eq_nocase(name, SNUG_LIT("entail"))) continue;
        j->entailment = i;
        break;
    }
    j->contradiction = j->entailment == 0 ? j->classes - 1 : 0;
}

static snug_status encode(const judge *j, snug_slice text, snug_slice label, tok_windows *out,
                          snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(HYPOTHESIS_MAX);
    size_t         most = infer_context_max(j->c);
    tok_truncation rule = {.strategy = TOK_ONLY_FIRST,
                           .length_max = (uint32_t)(most < UINT32_MAX ? most : UINT32_MAX)};
    snug_buf_put_slice(&b, j->before);
    snug_buf_put_slice(&b, label);
    snug_buf_put_slice(&b, j->after);
    snug_slice  hypothesis = snug_buf_slice(&b);
    snug_status st = snug_buf_check(&b, "a hypothesis", err);
    if (st == SNUG_OK)
        st = tok_encode_windows(j->c->tok, text, &hypothesis, TOK_ADD_SPECIAL, &rule, out, err);
    return st;
}

static snug_status judge_label(judge *j, snug_slice text, size_t label, snug_err *err)
{
    static const char *const name = "logits";
    snug_status              st = SNUG_OK;
    tok_windows              parts = {0};
    float                   *logits = NULL;
    tensor                   shape;
    SNUG_TRY(encode(j, text, j->labels[label], &parts, err));
    SNUG_TRY(task_run(j->c, &parts.items[0], &name, 1, &logits, &shape, err)); /* [1, classes] */
    float pair[2] = {logits[j->contradiction], logits[j->entailment]};
    if (j->many) task_softmax(pair, 2);
    j->scores[label] = pair[1];
done:
    free(logits);
    tok_windows_deinit(&parts);
    return st;
}

static void put(judge *j, snug_json_out *out)
{
    bool done[LABELS_MAX] = {false};
    if (!j->many) task_softmax(j->scores, j->count);
    snug_jo_begin_array(out);
    for (size_t n = 0; n < j->count; n++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < j->count; i++)
            if (!done[i] && (best == SIZE_MAX || j->scores[i] > j->scores[best])) best = i;
        done[best] = true;
        snug_jo_begin_object(out);
        snug_jo_kstr(out, "label", j->labels[best]);
        snug_jo_kf64(out, "score", (double)j->scores[best]);
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
}

static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    judge      *j = snug_zalloc(sizeof *j);
    snug_slice  text;
    j->c = c;
    if (!snug_json_to_str(input, &text)) SNUG_FAIL(err, SNUG_EINVAL, "an input must be a string");
    SNUG_TRY(read_labels(j, snug_json_get(params, "candidate_labels"), err));
    SNUG_TRY(read_template(j, params, err));
    find_classes(j, a);
    if (j->classes < 2)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "a model of one class cannot tell entailment");
    j->many = j->count == 1 || snug_json_bool_or(params, "multi_label", false);
    for (size_t i = 0; i < j->count; i++) SNUG_TRY(judge_label(j, text, i, err));
    put(j, out);
done:
    free(j);
    snug_arena_free(a);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    if (model_shape_of(c->model)->head != MODEL_HEAD_CLASSES)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not classify texts",
                         model_shape_of(c->model)->class_name);
    return task_each_input(c, in, false, out, one, err);
}

const infer_task task_zero_shot = {
    .name = "zero-shot-classification", .help = "Scores for labels of your choice", .run = run};
