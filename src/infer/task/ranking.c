/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/ranking.c - text-ranking: how well texts answer a query, by a model that reads both
 * (a cross-encoder): {"query", "texts"} -> [{"index", "score", "text"?}], best first.
 *
 * Scores lie between 0 and 1 (sigmoid of the one logit) unless `raw_scores`; `top_k` keeps the
 * best, `return_text` repeats the texts, `truncate` cuts pairs that are too long. */
#include <math.h>
#include <stdlib.h>

#include "infer/infer_int.h"

typedef struct ranked {
    size_t index;
    double score;
} ranked;

static int best_first(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static snug_json texts_of(snug_json inputs)
{
    static const char *const keys[] = {"texts", "documents", "passages"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (task_given(snug_json_get(inputs, keys[i]))) return snug_json_get(inputs, keys[i]);
    return (snug_json){NULL};
}

/* A text, or {"text": ...}. */
static snug_status text_at(snug_json list, size_t i, snug_slice *out, snug_err *err)
{
    snug_json v = snug_json_at(list, i);
    if (snug_json_to_str(v, out) || snug_json_to_str(snug_json_get(v, "text"), out)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "`texts` is a list of strings");
}

static snug_status read_pair(infer_ctx *c, snug_slice query, snug_slice text, bool cut,
                             tok_windows *out, snug_err *err)
{
    size_t         most = infer_context_max(c);
    tok_truncation rule = {.strategy = TOK_LONGEST_FIRST,
                           .length_max = (uint32_t)(most < UINT32_MAX ? most : UINT32_MAX)};
    snug_status    st = tok_encode_windows(c->tok, query, &text, TOK_ADD_SPECIAL, &rule, out, err);
    if (st == SNUG_OK && out->count > 1 && !cut)
        return snug_fail(err, SNUG_EINVAL,
                         "query and text have more than the %zu tokens this model reads "
                         "(\"truncate\": true cuts them)",
                         most);
    return st;
}

/* The logit of each pair of the query and a text, several in a pass. */
static snug_status judge(infer_ctx *c, snug_slice query, snug_json texts, bool cut, size_t n,
                         ranked *list, snug_err *err)
{
    snug_status     st = SNUG_OK;
    snug_slice      text;
    tok_windows    *parts = snug_zalloc((n + 1) * sizeof *parts); /* <= INFER_INPUTS_MAX */
    const tok_ids **ids = snug_zalloc((n + 1) * sizeof *ids);
    float         **logits = snug_zalloc((n + 1) * sizeof *logits);
    size_t         *sizes = snug_zalloc((n + 1) * sizeof *sizes);
    for (size_t i = 0; i < n; i++) {
        SNUG_TRY(text_at(texts, i, &text, err));
        SNUG_TRY(read_pair(c, query, text, cut, &parts[i], err));
        ids[i] = &parts[i].items[0];
    }
    for (size_t i = 0, count; i < n; i += count) {
        count = task_pass(c, ids + i, n - i);
        SNUG_TRY(task_run_pass(c, ids + i, count, "logits", logits, sizes, err)); /* [1] each */
        for (size_t k = 0; k < count; k++) {
            list[i + k] = (ranked){i + k, (double)logits[k][0]};
            free(logits[k]);
        }
    }
done:
    for (size_t i = 0; i < n; i++) tok_windows_deinit(&parts[i]);
    free(parts), free(ids), free(logits), free(sizes);
    return st;
}

static snug_status put(snug_json texts, const ranked *list, size_t n, bool with_text,
                       snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text;
    snug_jo_begin_array(out);
    for (size_t i = 0; i < n && st == SNUG_OK; i++) {
        snug_jo_begin_object(out);
        snug_jo_ku64(out, "index", list[i].index);
        snug_jo_kf64(out, "score", list[i].score);
        if (with_text && (st = text_at(texts, list[i].index, &text, err)) == SNUG_OK)
            snug_jo_kstr(out, "text", text);
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = model_shape_of(c->model);
    snug_json inputs = snug_json_get(in, "inputs"), params = snug_json_get(in, "parameters");
    snug_json texts = texts_of(inputs);
    size_t    n = snug_json_count(texts);
    bool      raw = snug_json_bool_or(params, "raw_scores", false);
    bool      cut = snug_json_bool_or(params, "truncate", false) ||
               snug_json_bool_or(params, "truncation", false);
    uint64_t   top_k = UINT64_MAX;
    ranked    *list = snug_alloc((INFER_INPUTS_MAX + 1) * sizeof *list);
    snug_slice query;
    if (s->head != MODEL_HEAD_CLASSES || s->labels != 1)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s does not rank: that takes a classifier of one label",
                  s->class_name);
    SNUG_TRY(snug_json_need_str(inputs, "query", &query, err));
    if (!snug_json_is(texts, SNUG_JSON_ARRAY) || n > INFER_INPUTS_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "`texts` is a list of at most %d strings", INFER_INPUTS_MAX);
    SNUG_TRY(task_count(params, "top_k", 1, UINT32_MAX, &top_k, err));
    SNUG_TRY(judge(c, query, texts, cut, n, list, err));
    for (size_t i = 0; i < n && !raw; i++)
        list[i].score = (double)(float)(1 / (1 + exp(-list[i].score)));
    qsort(list, n, sizeof *list, best_first);
    st = put(texts, list, n < top_k ? n : (size_t)top_k,
             snug_json_bool_or(params, "return_text", false), out, err);
done:
    free(list);
    return st;
}

const infer_task task_text_ranking = {
    .name = "text-ranking", .help = "Texts in the order in which they answer a query", .run = run};
