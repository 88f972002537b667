/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/question_answering.c - the part of a context that answers a question.
 *
 *   {"question", "context"} -> {"answer", "score", "start", "end"}, an array when top_k > 1
 *
 * A context longer than max_seq_len is read in windows that overlap by doc_stride tokens. The score
 * of a span is the product of the softmaxed start and end logits over the tokens of the context and
 * the first token; answers of equal text add up. As transformers' pipeline does it (4.57). */
#include <math.h>
#include <stdlib.h>

#include "infer/infer_int.h"

enum {
    TOP_K_MAX = 1000,
    SEQ_DEFAULT = 384,
    STRIDE_DEFAULT = 128,
    ANSWER_DEFAULT = 15,
    ANSWER_MAX = 4096
};

typedef struct wish {
    uint64_t top_k, answer_max, seq_max, stride;
    bool     impossible, align;
} wish;

typedef struct span {
    double score;
    size_t from, to; /* tokens, both included */
} span;

typedef struct answer {
    double     score;
    uint32_t   begin, end;
    snug_slice text;
} answer;

typedef struct reader {
    infer_ctx  *c;
    snug_arena *a;
    task_text   context;
    wish        w;
    answer     *answers;
    size_t      count, cap;
    double      null_score; /* the least over all windows */
} reader;

static snug_status read_wish(const infer_ctx *c, snug_json params, wish *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      most = infer_context_max(c);
    *out = (wish){.top_k = 1,
                  .answer_max = ANSWER_DEFAULT,
                  .seq_max = most < SEQ_DEFAULT ? most : SEQ_DEFAULT,
                  .impossible = snug_json_bool_or(params, "handle_impossible_answer", false),
                  .align = snug_json_bool_or(params, "align_to_words", true)};
    SNUG_TRY(task_count(params, "top_k", 1, TOP_K_MAX, &out->top_k, err));
    SNUG_TRY(task_count(params, "max_answer_len", 1, ANSWER_MAX, &out->answer_max, err));
    SNUG_TRY(task_count(params, "max_seq_len", 1, most, &out->seq_max, err));
    out->stride = out->seq_max / 2 < STRIDE_DEFAULT ? out->seq_max / 2 : STRIDE_DEFAULT;
    SNUG_TRY(task_count(params, "doc_stride", 0, out->seq_max, &out->stride, err));
done:
    return st;
}

/* Tokens that may be in an answer keep their share, all others get none. The first token, which
 * says "no answer", counts in the sum. */
static void shares(const reader *r, const tok_ids *ids, uint32_t cls, float *v)
{
    double best = -INFINITY, sum = 0;
    (void)r;
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->sequence[i] != 1 && ids->ids[i] != cls) v[i] = -10000.0f;
        best = fmax(best, (double)v[i]);
    }
    for (size_t i = 0; i < ids->count; i++) {
        v[i] = expf((float)((double)v[i] - best));
        sum += (double)v[i];
    }
    for (size_t i = 0; i < ids->count; i++) v[i] = (float)((double)v[i] / sum);
}

static int best_first(const void *x, const void *y)
{
    const span *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->from != b->from) return a->from < b->from ? -1 : 1;
    return (a->to > b->to) - (a->to < b->to);
}

/* The best spans of a window: a heap would be faster, but windows are short and spans are too. */
static size_t best_spans(const reader *r, size_t n, const float *start, const float *end,
                         size_t most, span **out)
{
    size_t each = r->w.answer_max < n ? (size_t)r->w.answer_max : n, count = 0;
    span  *list = snug_arena_array_try(r->a, n * each + 1, sizeof *list);
    *out = list;
    if (list == NULL) return 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i; k < n && k < i + each; k++)
            if (start[i] > 0 && end[k] > 0)
                list[count++] = (span){(double)(start[i] * end[k]), i, k};
    if (count > 1) qsort(list, count, sizeof *list, best_first);
    return count < most ? count : most;
}

/* The whole words at both ends, as far as this window holds them. */
static void align(const tok_ids *ids, size_t *from, size_t *to)
{
    if (ids->word[*from] == TOK_NO_WORD || ids->word[*to] == TOK_NO_WORD) return;
    while (*from > 0 && ids->sequence[*from - 1] == 1 && ids->word[*from - 1] == ids->word[*from])
        (*from)--;
    while (*to + 1 < ids->count && ids->sequence[*to + 1] == 1 &&
           ids->word[*to + 1] == ids->word[*to])
        (*to)++;
}

static snug_status keep(reader *r, const tok_ids *ids, const span *s, snug_err *err)
{
    size_t from = s->from, to = s->to;
    if (r->w.align) align(ids, &from, &to);
    answer a = {s->score, ids->begin[from], ids->end[to], SNUG_EMPTY};
    a.text = task_text_part(&r->context, a.begin, a.end);
    for (size_t i = 0; i < r->count; i++) {
        if (!task_same_text(r->answers[i].text, a.text)) continue;
        r->answers[i].score += a.score;
        return SNUG_OK;
    }
    if (r->count == r->cap) {
        size_t  cap = r->cap == 0 ? 64 : r->cap * 2;
        answer *more = snug_arena_array_try(r->a, cap, sizeof *more);
        if (more == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu answers", cap);
        if (r->count > 0) memcpy(more, r->answers, r->count * sizeof *more);
        r->answers = more;
        r->cap = cap;
    }
    r->answers[r->count++] = a;
    return SNUG_OK;
}

static snug_status read_window(reader *r, const tok_ids *ids, snug_err *err)
{
    static const char *const names[] = {"start_logits", "end_logits"};
    snug_status              st = SNUG_OK;
    float                   *v[2] = {NULL, NULL};
    tensor                   shapes[2];
    uint32_t                 cls = UINT32_MAX;
    span                    *list;
    /* Candidates may fall together when they grow to whole words. */
    size_t most = (size_t)r->w.top_k * (r->w.align ? 2 : 1) + (r->w.align ? 10 : 0);
    (void)infer_special_id(r->c, "cls_token", &cls);
    SNUG_TRY(task_run(r->c, ids, names, 2, v, shapes, err)); /* [1, T] each */
    shares(r, ids, cls, v[0]);
    shares(r, ids, cls, v[1]);
    r->null_score = fmin(r->null_score, (double)(v[0][0] * v[1][0]));
    v[0][0] = v[1][0] = 0;
    size_t n = best_spans(r, ids->count, v[0], v[1], most, &list);
    for (size_t i = 0; i < n; i++)
        if (ids->sequence[list[i].from] == 1 && ids->sequence[list[i].to] == 1)
            SNUG_TRY(keep(r, ids, &list[i], err));
done:
    free(v[0]);
    free(v[1]);
    return st;
}

static snug_status encode(const reader *r, snug_slice question, tok_windows *out, snug_err *err)
{
    tok_truncation rule = {.strategy = TOK_ONLY_SECOND,
                           .length_max = (uint32_t)r->w.seq_max,
                           .stride = (uint32_t)r->w.stride};
    return tok_encode_windows(r->c->tok, question, &r->context.bytes, TOK_ADD_SPECIAL, &rule, out,
                              err);
}

/* Stable: of equal scores the one that was found first. */
static void sort_answers(answer *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        answer a = list[i];
        size_t k = i;
        for (; k > 0 && list[k - 1].score < a.score; k--) list[k] = list[k - 1];
        list[k] = a;
    }
}

static void put_answers(reader *r, snug_json_out *out)
{
    size_t n = r->count < r->w.top_k ? r->count : (size_t)r->w.top_k;
    if (n != 1) snug_jo_begin_array(out);
    for (size_t i = 0; i < n; i++) {
        snug_jo_begin_object(out);
        snug_jo_kstr(out, "answer", r->answers[i].text);
        snug_jo_kf64(out, "score", r->answers[i].score);
        snug_jo_ku64(out, "start", r->answers[i].begin);
        snug_jo_ku64(out, "end", r->answers[i].end);
        snug_jo_end_object(out);
    }
    if (n != 1) snug_jo_end_array(out);
}

static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    reader      r = {.c = c, .a = snug_arena_new(), .null_score = 1e6};
    tok_windows windows = {0};
    snug_slice  question, context;
    SNUG_TRY(read_wish(c, params, &r.w, err));
    SNUG_TRY(snug_json_need_str(input, "question", &question, err));
    SNUG_TRY(snug_json_need_str(input, "context", &context, err));
    if (question.len == 0 || context.len == 0)
        SNUG_FAIL(err, SNUG_EINVAL, "`question` and `context` must not be empty");
    SNUG_TRY(task_text_init(&r.context, r.a, context, err));
    SNUG_TRY(encode(&r, question, &windows, err));
    for (size_t i = 0; i < windows.count; i++)
        if (windows.items[i].count > 0) SNUG_TRY(read_window(&r, &windows.items[i], err));
    if (r.w.impossible) {
        answer *list = snug_arena_alloc(r.a, (r.count + 1) * sizeof *list);
        if (r.count > 0) memcpy(list, r.answers, r.count * sizeof *list);
        list[r.count++] = (answer){.score = r.null_score, .text = SNUG_LIT("")};
        r.answers = list;
    }
    sort_answers(r.answers, r.count);
    put_answers(&r, out);
done:
    tok_windows_deinit(&windows);
    snug_arena_free(r.a);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    if (model_shape_of(c->model)->head != MODEL_HEAD_SPAN)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not answer questions",
                         model_shape_of(c->model)->class_name);
    return task_each_input(c, in, false, out, one, err);
}

const infer_task task_question_answering = {.name = "question-answering",
                                            .help = "The part of a context that answers a question",
                                            .run = run};
