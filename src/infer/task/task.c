/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/task.c - the table of tasks, and what they have in common: a list of inputs, encoding,
 * one forward pass. A new task also needs: its file here, a row below, a test of its answer's
 * shape. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

static const infer_task *const tasks[] = {
    &task_text_classification,  &task_text_generation,     &task_fill_mask,
    &task_token_classification, &task_question_answering,  &task_zero_shot,
    &task_feature_extraction,   &task_sentence_similarity, &task_text_ranking,
    &task_summarization,        &task_translation,         &task_text2text};

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
    case MODEL_HEAD_SEQ2SEQ: return &task_text2text;
    case MODEL_HEAD_TOKENS: return &task_token_classification;
    case MODEL_HEAD_SPAN: return &task_question_answering;
    case MODEL_HEAD_NONE: return &task_feature_extraction;
    }
    return NULL;
}

snug_status task_count_inputs(snug_json in, size_t *n, snug_err *err)
{
    snug_json inputs = snug_json_get(in, "inputs"), params = snug_json_get(in, "parameters");
    *n = snug_json_is(inputs, SNUG_JSON_ARRAY) ? snug_json_count(inputs) : 1;
    if (snug_json_is(inputs, SNUG_JSON_ABSENT))
        return snug_fail(err, SNUG_EINVAL, "`inputs` is missing");
    if (*n > INFER_INPUTS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d inputs", INFER_INPUTS_MAX);
    if (task_given(params) && !snug_json_is(params, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "`parameters` must be an object");
    return SNUG_OK;
}

snug_status task_each_input(infer_ctx *c, snug_json in, bool outer, snug_json_out *out,
                            snug_status (*run)(infer_ctx *c, snug_json input, snug_json params,
                                               snug_json_out *out, snug_err *err),
                            snug_err *err)
{
    snug_json   inputs = snug_json_get(in, "inputs"), params = snug_json_get(in, "parameters");
    bool        many = snug_json_is(inputs, SNUG_JSON_ARRAY);
    size_t      n;
    snug_status st = task_count_inputs(in, &n, err);
    if (st != SNUG_OK) return st;
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

snug_status task_run(infer_ctx *c, const tok_ids *ids, const char *const *names, size_t n,
                     float **values_owned, tensor *shapes, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        typed = model_shape_of(c->model)->types > 1;
    model_out   out;
    int32_t    *in = snug_alloc_try((ids->count + 1) * 2 * sizeof *in), *types = in + ids->count;
    for (size_t i = 0; i < n; i++) values_owned[i] = NULL;
    if (in == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", ids->count);
    for (size_t i = 0; i < ids->count; i++) {
        in[i] = (int32_t)ids->ids[i];
        types[i] = (int32_t)ids->type_ids[i];
    }
    model_batch batch = {.batch = 1, .times = ids->count, .ids = in, .types = typed ? types : NULL};
    SNUG_TRY(model_forward(c->model, &batch, &out, err));
    for (size_t i = 0; i < n; i++) {
        const tensor *t = model_out_find(&out, names[i]);
        if (t == NULL)
            SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s computes no %s",
                      model_shape_of(c->model)->class_name, names[i]);
        values_owned[i] = snug_alloc_try(tensor_size(t));
        if (values_owned[i] == NULL)
            SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu bytes of results", tensor_size(t));
        shapes[i] = *t;
        SNUG_TRY(tensor_get(t, values_owned[i], tensor_size(t), err));
    }
done:
    for (size_t i = 0; i < n && st != SNUG_OK; i++) {
        free(values_owned[i]);
        values_owned[i] = NULL;
    }
    free(in);
    return st;
}

/* Tokens of one pass: enough to keep every core busy; and cells of the padded rows that hold them.
 */
enum { PASS_TOKENS = 4096, PASS_CELLS = 16384 };

size_t task_pass(const infer_ctx *c, const tok_ids *const *ids, size_t count)
{
    size_t n = 0, tokens = 0, most = 0;
    if (!model_unpads(c->model)) return count > 0;
    for (; n < count; n++) {
        tokens += ids[n]->count;
        most = ids[n]->count > most ? ids[n]->count : most;
        if (n > 0 && (tokens > PASS_TOKENS || (n + 1) * most > PASS_CELLS)) break;
    }
    return n;
}

/* Row b of a result that has a row per text, as long as the text. */
static snug_status take_row(const tensor *t, size_t b, size_t tokens, float **out, size_t *n,
                            snug_err *err)
{
    tensor row = tensor_slice(t, 0, b, 1);
    if (t->rank == 3) row = tensor_slice(&row, 1, 0, tokens);
    *n = tensor_count(&row);
    *out = snug_alloc_try(tensor_size(&row) + 1);
    if (*out == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu bytes of results", tensor_size(&row));
    return tensor_get(&row, *out, tensor_size(&row), err);
}

snug_status task_run_pass(infer_ctx *c, const tok_ids *const *ids, size_t count, const char *name,
                          float **values_owned, size_t *sizes, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        typed = model_shape_of(c->model)->types > 1;
    size_t      most = 0;
    model_out   out;
    for (size_t b = 0; b < count; b++) values_owned[b] = NULL;
    for (size_t b = 0; b < count; b++) {
        if (ids[b]->count == 0) return snug_fail(err, SNUG_EINVAL, "the text has no tokens");
        most = ids[b]->count > most ? ids[b]->count : most;
    }
    size_t   cells = count * most; /* one text of any length, or PASS_CELLS */
    int32_t *in = snug_alloc_try((3 * cells + 1) * sizeof *in);
    if (in == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", cells);
    for (size_t i = 0; i < cells; i++) {
        const tok_ids *text = ids[i / most];
        bool           seen = i % most < text->count;
        in[i] = seen ? (int32_t)text->ids[i % most] : 0;
        in[cells + i] = seen ? (int32_t)text->type_ids[i % most] : 0;
        in[2 * cells + i] = seen;
    }
    model_batch batch = {.batch = count,
                         .times = most,
                         .ids = in,
                         .types = typed ? in + cells : NULL,
                         .mask = count > 1 ? in + 2 * cells : NULL,
                         .unpadded = true};
    SNUG_TRY(model_forward(c->model, &batch, &out, err));
    const tensor *t = model_out_find(&out, name);
    if (t == NULL)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s computes no %s", model_shape_of(c->model)->class_name,
                  name);
    for (size_t b = 0; b < count; b++)
        SNUG_TRY(take_row(t, b, ids[b]->count, &values_owned[b], &sizes[b], err));
done:
    for (size_t b = 0; b < count && st != SNUG_OK; b++) {
        free(values_owned[b]);
        values_owned[b] = NULL;
    }
    free(in);
    return st;
}

snug_status task_forward(infer_ctx *c, const tok_ids *ids, float **logits_owned, tensor *logits,
                         snug_err *err)
{
    static const char *const name = "logits";
    return task_run(c, ids, &name, 1, logits_owned, logits, err);
}

/* ---- what several tasks need ---- */

bool task_given(snug_json v)
{
    return !snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL);
}

snug_status task_count(snug_json params, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                       snug_err *err)
{
    snug_json v = snug_json_get(params, key);
    uint64_t  n;
    if (!task_given(v)) return SNUG_OK;
    if (!snug_json_to_u64(v, &n) || n < min || n > max)
        return snug_fail(err, SNUG_EINVAL, "`%s` must be a whole number between %llu and %llu", key,
                         (unsigned long long)min, (unsigned long long)max);
    *out = n;
    return SNUG_OK;
}

void task_softmax(float *v, size_t n)
{
    double best = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) best = fmax(best, (double)v[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)v[i] - best);
    for (size_t i = 0; i < n; i++) v[i] = (float)(exp((double)v[i] - best) / sum);
}

bool task_same_text(snug_slice a, snug_slice b) { return snug_eq_nocase(a, b); }

snug_status task_text_init(task_text *t, snug_arena *a, snug_slice text, snug_err *err)
{
    snug_slice rest = text;
    if (text.len > INFER_TEXT_BYTES_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a text of more than %d bytes", INFER_TEXT_BYTES_MAX);
    if (!snug_utf8_valid(text)) return snug_fail(err, SNUG_EINVAL, "a text is not valid UTF-8");
    *t = (task_text){text, snug_arena_array_try(a, text.len + 1, sizeof *t->at), 0};
    if (t->at == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a text");
    while (rest.len > 0) {
        t->at[t->count++] = (uint32_t)(text.len - rest.len);
        (void)snug_utf8_next(&rest);
    }
    t->at[t->count] = (uint32_t)text.len;
    return SNUG_OK;
}

snug_slice task_text_part(const task_text *t, uint32_t begin, uint32_t end)
{
    if (end > t->count) end = t->count;
    if (begin >= end) return SNUG_LIT("");
    return snug_sub(t->bytes, t->at[begin], t->at[end] - t->at[begin]);
}
