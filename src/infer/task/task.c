/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/task.c - the table of tasks, and what they have in common: a list of inputs, encoding,
 * one forward pass. A new task also needs: its file here, a row below, a test of its answer's
 * shape. */
#include "infer/infer_int.h"

#include <stdlib.h>

static const infer_task *const tasks[] = {&task_text_classification, &task_text_generation,
                                          &task_fill_mask};

const infer_task *infer_find_task(snug_slice name)
{
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        if (snug_eq_str(name, tasks[i]->name)) return tasks[i];
    return NULL;
}

const infer_task *infer_default_task(const infer_ctx *c)
{
    switch (model_shape_of(c->model)->head) {
    case MODEL_HEAD_CLASSES: return &task_text_classification;
    case MODEL_HEAD_CAUSAL_LM: return &task_text_generation;
    case MODEL_HEAD_MASKED_LM: return &task_fill_mask;
    case MODEL_HEAD_TOKENS:
    case MODEL_HEAD_SPAN:
    case MODEL_HEAD_NONE: break;
    }
    return NULL;
}

snug_status task_each_input(infer_ctx *c, snug_json in, bool outer, snug_json_out *out,
                            snug_status (*run)(infer_ctx *c, snug_json input, snug_json params,
                                               snug_json_out *out, snug_err *err),
                            snug_err *err)
{
    snug_json   inputs = snug_json_get(in, "inputs"), params = snug_json_get(in, "parameters");
    bool        many = snug_json_is(inputs, SNUG_JSON_ARRAY);
    size_t      n = many ? snug_json_count(inputs) : 1;
    snug_status st = SNUG_OK;
    if (snug_json_is(inputs, SNUG_JSON_ABSENT))
        return snug_fail(err, SNUG_EINVAL, "`inputs` is missing");
    if (n > INFER_INPUTS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d inputs", INFER_INPUTS_MAX);
    if (!snug_json_is(params, SNUG_JSON_ABSENT) && !snug_json_is(params, SNUG_JSON_NULL) &&
        !snug_json_is(params, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "`parameters` must be an object");
    if (many || outer) snug_jo_begin_array(out);
    for (size_t i = 0; i < n && st == SNUG_OK; i++)
        st = run(c, many ? snug_json_at(inputs, i) : inputs, params, out, err);
    if (many || outer) snug_jo_end_array(out);
    return st;
}

/* Too long for the model: refused, or cut by the tokenizer's own rule when
 * the request allows it. */
static snug_status encode_within(infer_ctx *c, snug_slice text, const snug_slice *pair,
                                 snug_json params, tok_ids *ids, snug_err *err)
{
    size_t         most = infer_context_max(c);
    tok_windows    parts = {0};
    tok_truncation rule = *tok_truncation_of(c->tok);
    snug_status    st = pair == NULL ? tok_encode(c->tok, text, TOK_ADD_SPECIAL, ids, err)
                                     : tok_encode_pair(c->tok, text, *pair, TOK_ADD_SPECIAL, ids, err);
    if (st != SNUG_OK || ids->count <= most) return st;
    if (!snug_json_bool_or(params, "truncation", false) &&
        !snug_json_bool_or(params, "truncate", false))
        return snug_fail_code(
            err, SNUG_EINVAL, "context_length_exceeded",
            "the text has %zu tokens; this model reads at most %zu (\"truncation\": true cuts it)",
            ids->count, most);
    if (!rule.set) rule = (tok_truncation){.strategy = TOK_LONGEST_FIRST};
    if (rule.length_max == 0 || rule.length_max > most) rule.length_max = (uint32_t)most;
    rule.stride = 0;
    st = tok_encode_windows(c->tok, text, pair, TOK_ADD_SPECIAL, &rule, &parts, err);
    if (st == SNUG_OK && parts.count > 0) { /* the first window is the text, cut */
        tok_ids first = parts.items[0];
        parts.items[0] = *ids;
        *ids = first;
    }
    tok_windows_deinit(&parts);
    return st;
}

snug_status task_encode(infer_ctx *c, snug_json input, snug_json params, tok_ids *ids,
                        snug_err *err)
{
    snug_slice text, pair;
    bool       two = false;
    if (!snug_json_to_str(input, &text)) {
        if (!snug_json_to_str(snug_json_get(input, "text"), &text))
            return snug_fail(err, SNUG_EINVAL, "an input must be a string");
        two = snug_json_to_str(snug_json_get(input, "text_pair"), &pair);
    }
    snug_status st = encode_within(c, text, two ? &pair : NULL, params, ids, err);
    if (st == SNUG_OK && ids->count == 0)
        st = snug_fail(err, SNUG_EINVAL, "the text has no tokens");
    return st;
}

snug_status task_forward(infer_ctx *c, const tok_ids *ids, float **logits_owned, tensor *logits,
                         snug_err *err)
{
    snug_status st = SNUG_OK;
    model_out   out;
    int32_t    *in = snug_alloc_try(ids->count * sizeof *in);
    *logits_owned = NULL;
    if (in == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", ids->count);
    for (size_t i = 0; i < ids->count; i++) in[i] = (int32_t)ids->ids[i];
    SNUG_TRY(model_forward(c->model, &(model_batch){.batch = 1, .times = ids->count, .ids = in},
                           &out, err));
    const tensor *t = model_out_find(&out, "logits");
    if (t == NULL)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s computes no logits",
                  model_shape_of(c->model)->class_name);
    *logits_owned = snug_alloc_try(tensor_size(t));
    if (*logits_owned == NULL)
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu bytes of logits", tensor_size(t));
    *logits = *t;
    SNUG_TRY(tensor_get(t, *logits_owned, tensor_size(t), err));
done:
    free(in);
    return st;
}
