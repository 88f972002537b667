/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/text_generation.c - continues a text or a conversation.
 *
 *   [{"generated_text", "details"?}, ...]       one per `num_return_sequences`
 *
 * With "return_full_text": true (or "echo") the prompt comes first. A conversation, a list of
 * {"role", "content"}, is answered with itself and the new message; with "return_full_text": false
 * with the new text alone. Details are those of TGI: each token with the log of its share of the
 * unmodified distribution. */
#include <math.h>

#include "infer/infer_int.h"

static const char *finish_name(gen_finish f)
{
    switch (f) {
    case GEN_EOS: return "eos_token";
    case GEN_STOP: return "stop_sequence";
    case GEN_LENGTH:
    case GEN_CALLER: break;
    }
    return "length";
}

/* ---- details ---- */

static void put_log(snug_json_out *out, float log)
{
    snug_jo_key(out, "logprob");
    if (isfinite(log))
        snug_jo_f64(out, (double)log);
    else
        snug_jo_null(out); /* of the first token nobody knows */
}

static void put_tokens(snug_json_out *out, const text_token *tokens, size_t n, bool prefill)
{
    snug_jo_begin_array(out);
    for (size_t i = 0; i < n; i++) {
        const text_token *t = &tokens[i];
        snug_jo_begin_object(out);
        snug_jo_ki64(out, "id", t->id);
        snug_jo_kstr(out, "text", t->text);
        put_log(out, t->log);
        if (!prefill) snug_jo_kbool(out, "special", t->special);
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
}

static snug_status put_top(const infer_ctx *c, const text_row *r, size_t top_n, snug_json_out *out,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_AUTO(snug_buf) text = snug_buf_init(1 << 20);
    snug_jo_key(out, "top_tokens");
    snug_jo_begin_array(out);
    for (size_t i = 0; i < r->generated_tokens; i++) {
        snug_jo_begin_array(out);
        for (size_t k = 0; k < top_n; k++) {
            uint32_t id = (uint32_t)r->tokens[i].top[k].id;
            snug_buf_clear(&text);
            SNUG_TRY(tok_decode(c->tok, &id, 1, false, &text, err));
            snug_jo_begin_object(out);
            snug_jo_ku64(out, "id", id);
            snug_jo_kstr(out, "text", snug_buf_slice(&text));
            put_log(out, r->tokens[i].top[k].log);
            snug_jo_kbool(out, "special", tok_is_special(c->tok, id));
            snug_jo_end_object(out);
        }
        snug_jo_end_array(out);
    }
    snug_jo_end_array(out);
done:
    return st;
}

/* What is told of a row, inside an object. */
static snug_status put_row(const infer_ctx *c, const text_result *r, const text_row *row,
                           snug_json_out *out, snug_err *err)
{
    snug_jo_kcstr(out, "finish_reason", finish_name(row->finish));
    snug_jo_ku64(out, "generated_tokens", row->generated_tokens);
    snug_jo_ku64(out, "input_length", r->prompt_tokens);
    snug_jo_key(out, "seed");
    if (r->by_chance)
        snug_jo_u64(out, row->seed);
    else
        snug_jo_null(out);
    snug_jo_key(out, "prefill");
    put_tokens(out, r->prefill, r->prefill != NULL ? r->prompt_tokens : 0, true);
    snug_jo_key(out, "tokens");
    put_tokens(out, row->tokens, row->generated_tokens, false);
    return r->top_n > 0 ? put_top(c, row, r->top_n, out, err) : SNUG_OK;
}

static snug_status put_details(const infer_ctx *c, const text_result *r, const text_row *row,
                               snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_jo_key(out, "details");
    snug_jo_begin_object(out);
    SNUG_TRY(put_row(c, r, row, out, err));
    if (r->best_of) {
        snug_jo_key(out, "best_of_sequences");
        snug_jo_begin_array(out);
        for (size_t i = 1; i < r->count; i++) {
            snug_jo_begin_object(out);
            snug_jo_kstr(out, "generated_text", r->rows[i].text);
            SNUG_TRY(put_row(c, r, &r->rows[i], out, err));
            snug_jo_end_object(out);
        }
        snug_jo_end_array(out);
    }
    snug_jo_end_object(out);
done:
    return st;
}

/* ---- the answer ---- */

static void put_talk(snug_json_out *out, snug_json messages, snug_slice said)
{
    size_t     n = snug_json_count(messages);
    snug_slice before = SNUG_EMPTY;
    bool       continues = snug_eq_str(
              snug_json_str_or(snug_json_at(messages, n - 1), "role", SNUG_EMPTY), "assistant");
    if (continues) before = snug_json_str_or(snug_json_at(messages, n - 1), "content", SNUG_EMPTY);
    SNUG_AUTO(snug_buf) text = snug_buf_init(2 * (size_t)INFER_TEXT_BYTES_MAX);
    snug_buf_put_slice(&text, before);
    snug_buf_put_slice(&text, said);
    snug_jo_begin_array(out);
    for (size_t i = 0; i + continues < n; i++) snug_jo_value(out, snug_json_at(messages, i));
    snug_jo_begin_object(out);
    snug_jo_kcstr(out, "role", "assistant");
    snug_jo_kstr(out, "content", snug_buf_slice(&text));
    snug_jo_end_object(out);
    snug_jo_end_array(out);
}

static snug_status put_text(const text_request *rq, bool full, snug_slice said, snug_json_out *out,
                            snug_err *err)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(2 * (size_t)INFER_TEXT_BYTES_MAX);
    snug_jo_key(out, "generated_text");
    if (full && task_given(rq->messages)) {
        put_talk(out, rq->messages, said);
        return SNUG_OK;
    }
    if (full) snug_buf_put_slice(&text, rq->prompt);
    snug_buf_put_slice(&text, said);
    snug_jo_str(out, snug_buf_slice(&text));
    return snug_buf_check(&text, "generated text", err);
}

static bool wants_full(const text_request *rq)
{
    bool talk = task_given(rq->messages), echo = snug_json_bool_or(rq->params, "echo", talk);
    return snug_json_bool_or(rq->params, "return_full_text", echo);
}

/* A single prompt gives [{...}], several give [[{...}], ...]. */
static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    text_request rq = {.params = params};
    text_result  r;
    if (infer_is_chat(input))
        rq.messages = input;
    else if (!snug_json_to_str(input, &rq.prompt))
        SNUG_FAIL(err, SNUG_EINVAL, "an input must be a string or a conversation");
    SNUG_TRY(text_generate(c, &rq, a, &r, err));
    snug_jo_begin_array(out);
    for (size_t i = 0; i < (r.best_of ? 1 : r.count); i++) {
        snug_jo_begin_object(out);
        SNUG_TRY(put_text(&rq, wants_full(&rq), r.rows[i].text, out, err));
        if (r.details) SNUG_TRY(put_details(c, &r, &r.rows[i], out, err));
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
done:
    snug_arena_free(a);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    snug_json params = snug_json_get(in, "parameters");
    if (!infer_is_chat(snug_json_get(in, "inputs")))
        return task_each_input(c, in, false, out, one, err);
    if (task_given(params) && !snug_json_is(params, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "`parameters` must be an object");
    return one(c, snug_json_get(in, "inputs"), params, out, err);
}

const infer_task task_text_generation = {
    .name = "text-generation", .help = "Continues a text", .run = run};
