/* SPDX-License-Identifier: Apache-2.0 */
/* infer/text.c - generation from text to text, piece by piece.
 *
 * For:     infer_generate and the text-generation task.
 * Owns:    the pending bytes of one run.
 * Threads: as the context.
 * Truth:   stops are found in bytes, so they may begin inside a token and span several; what could
 *          still become a stop is held back, everything else is passed on at once. */
#include "infer/infer_int.h"

#include <stdlib.h>

typedef struct text_run {
    gen_conf    conf;
    snug_slice  stops[INFER_STOPS_MAX];
    size_t      stop_count;
    bool        include_stop, skip_special;
    tok_stream *stream;
    snug_buf    pending; /* decoded, not yet passed on */
    bool (*fn)(void *arg, snug_slice piece);
    void       *arg;
    text_result result;
} text_run;

/* ---- parameters of text ---- */

static snug_status add_stop(text_run *t, snug_json v, snug_err *err)
{
    snug_slice s;
    if (!snug_json_to_str(v, &s))
        return snug_fail(err, SNUG_EINVAL, "`stop` must be a string or an array of strings");
    if (s.len == 0) return snug_fail(err, SNUG_EINVAL, "a stop string must not be empty");
    if (t->stop_count == INFER_STOPS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d stop strings", INFER_STOPS_MAX);
    t->stops[t->stop_count++] = s;
    return SNUG_OK;
}

static snug_status read_stops(text_run *t, const infer_ctx *c, snug_json params, snug_err *err)
{
    static const char *const keys[] = {"stop", "stop_sequences", "stop_strings"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        snug_json   v = gen_param(params, c->generation, keys[k]);
        snug_status st = SNUG_OK;
        if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) continue;
        if (!snug_json_is(v, SNUG_JSON_ARRAY)) st = add_stop(t, v, err);
        for (size_t i = 0;
             st == SNUG_OK && snug_json_is(v, SNUG_JSON_ARRAY) && i < snug_json_count(v); i++)
            st = add_stop(t, snug_json_at(v, i), err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static void add_eos_id(gen_conf *conf, uint32_t id)
{
    if (id <= INT32_MAX && !gen_is_eos(conf, (int32_t)id) && conf->eos_count < INFER_EOS_MAX)
        conf->eos[conf->eos_count++] = (int32_t)id;
}

/* Ends of a turn that chat models emit, when the vocabulary has them as special tokens. */
static void add_text_eos(text_run *t, const infer_ctx *c, snug_json params)
{
    static const char *const ends[] = {"<|im_end|>",    "<|eot_id|>", "<|eom_id|>",
                                       "<end_of_turn>", "<|end|>",    "<|endoftext|>",
                                       "</s>",          "<|return|>", "<|call|>"};
    gen_conf                *conf = &t->conf;
    snug_json                own = snug_json_get(c->tok_config, "eos_token");
    snug_slice               name;
    uint32_t                 id;
    if (!snug_json_is(snug_json_get(params, "eos_token_id"), SNUG_JSON_ABSENT))
        return; /* the request decides */
    if (snug_json_is(own, SNUG_JSON_OBJECT)) own = snug_json_get(own, "content");
    if (snug_json_to_str(own, &name) && tok_token_to_id(c->tok, name, &id)) add_eos_id(conf, id);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (tok_token_to_id(c->tok, snug_str(ends[i]), &id) && tok_is_special(c->tok, id))
            add_eos_id(conf, id);
}

static snug_status read_params(text_run *t, const infer_ctx *c, snug_json params, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      vocab = model_shape_of(c->model)->vocab;
    /* Rows of the matrix past the tokenizer's last token only pad it. */
    while (vocab > 1 && tok_id_to_token(c->tok, (uint32_t)vocab - 1).len == 0) vocab--;
    SNUG_TRY(gen_conf_read(params, c->generation, model_config(c->model), vocab, &t->conf, err));
    if (t->conf.beams > 1 && snug_json_i64_or(params, "num_beams", 1) != 1)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "`num_beams` other than 1 is not supported");
    SNUG_TRY(read_stops(t, c, params, err));
    add_text_eos(t, c, params);
    t->include_stop = snug_json_bool_or(params, "include_stop_str_in_output", true);
    t->skip_special = snug_json_bool_or(params, "skip_special_tokens", true);
done:
    return st;
}

/* ---- pieces ---- */

static void pass_on(text_run *t, size_t n)
{
    if (n == 0) return;
    if (!t->fn(t->arg, snug_sub(snug_buf_slice(&t->pending), 0, n))) t->result.finish = GEN_CALLER;
    memmove(t->pending.ptr, t->pending.ptr + n, t->pending.len - n);
    t->pending.len -= n;
}

/* Bytes at the end that may be the start of a stop. */
static size_t held_back(const text_run *t)
{
    snug_slice text = snug_buf_slice(&t->pending);
    size_t     most = 0;
    for (size_t s = 0; s < t->stop_count; s++) {
        size_t n = t->stops[s].len - 1 < text.len ? t->stops[s].len - 1 : text.len;
        for (; n > most; n--)
            if (memcmp(text.ptr + text.len - n, t->stops[s].ptr, n) == 0) most = n;
    }
    return most;
}

/* Passes on what is certain; true when a stop was met. */
static bool drain(text_run *t, bool last)
{
    snug_slice text = snug_buf_slice(&t->pending);
    size_t     at = SIZE_MAX, len = 0;
    for (size_t s = 0; s < t->stop_count; s++) {
        size_t found = snug_find(text, t->stops[s]);
        if (found > at || found == SIZE_MAX || (found == at && t->stops[s].len <= len)) continue;
        at = found;
        len = t->stops[s].len;
    }
    if (at != SIZE_MAX) {
        pass_on(t, at + (t->include_stop ? len : 0));
        snug_buf_clear(&t->pending);
        if (t->result.finish != GEN_CALLER) t->result.finish = GEN_STOP;
        return true;
    }
    pass_on(t, last ? text.len : text.len - held_back(t));
    return false;
}

static snug_status on_token(void *arg, size_t row, int32_t id, bool *more, snug_err *err)
{
    (void)row;
    text_run *t = arg;
    t->result.generated_tokens++;
    if (gen_is_eos(&t->conf, id)) {
        t->result.finish = GEN_EOS;
        *more = false;
        if (t->skip_special) return SNUG_OK;
    }
    snug_status st = tok_stream_push(t->stream, (uint32_t)id, &t->pending, err);
    if (st == SNUG_OK) st = snug_buf_check(&t->pending, "generated text", err);
    if (st != SNUG_OK) return st;
    if (drain(t, false) || t->result.finish == GEN_CALLER) *more = false;
    return SNUG_OK;
}

/* ---- the prompt ---- */

static snug_status encode_prompt(const infer_ctx *c, snug_slice prompt, snug_json params,
                                 tok_ids *ids, int32_t **out, size_t *count, snug_err *err)
{
    uint64_t    keep = UINT64_MAX;
    snug_status st = tok_encode(c->tok, prompt, TOK_ADD_SPECIAL, ids, err);
    if (st != SNUG_OK) return st;
    size_t from = 0, n = ids->count;
    if (snug_json_to_u64(snug_json_get(params, "truncate"), &keep) && keep > 0 &&
        keep < n) { /* only on request; the end is kept */
        from = n - (size_t)keep;
        n = (size_t)keep;
    }
    int64_t bos = snug_json_i64_or(model_config(c->model), "bos_token_id", -1);
    if (n == 0 && (bos < 0 || bos > INT32_MAX))
        return snug_fail(err, SNUG_EINVAL, "the prompt is empty");
    *out = snug_alloc_try((n + 1) * sizeof **out);
    if (*out == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", n);
    for (size_t i = 0; i < n; i++) (*out)[i] = (int32_t)ids->ids[from + i];
    if (n == 0) (*out)[n++] = (int32_t)bos; /* an empty prompt starts a text */
    *count = n;
    return SNUG_OK;
}

static snug_status fit_context(const infer_ctx *c, size_t prompt, gen_conf *conf, snug_err *err)
{
    size_t most = infer_context_max(c);
    bool   asked = conf->max_new_tokens != SIZE_MAX;
    size_t want = asked ? conf->max_new_tokens : INFER_NEW_TOKENS_DEFAULT;
    if (prompt > most || (asked && want > most - prompt))
        return snug_fail_code(
            err, SNUG_EINVAL, "context_length_exceeded",
            "the prompt has %zu tokens and %zu more are asked for; this model's context holds %zu",
            prompt, asked ? want : 0, most);
    conf->max_new_tokens = want < most - prompt ? want : most - prompt;
    return SNUG_OK;
}

snug_status text_generate(infer_ctx *c, snug_slice prompt, snug_json params,
                          bool (*fn)(void *arg, snug_slice piece), void *arg, text_result *out,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    text_run    t = {.fn = fn, .arg = arg, .pending = snug_buf_init(INFER_TEXT_BYTES_MAX)};
    tok_ids     ids = {0};
    gen_prompt  p = {.batch = 1};
    gen_result  rows = {0};
    int32_t    *prompt_ids = NULL;
    if (model_shape_of(c->model)->head != MODEL_HEAD_CAUSAL_LM)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s does not generate text",
                  model_shape_of(c->model)->class_name);
    SNUG_TRY(read_params(&t, c, params, err));
    SNUG_TRY(encode_prompt(c, prompt, params, &ids, &prompt_ids, &p.times, err));
    SNUG_TRY(fit_context(c, p.times, &t.conf, err));
    p.ids = prompt_ids;
    t.stream = tok_stream_new(c->tok, t.skip_special);
    /* The decoder sees the prompt first: spaces and code points depend on what came before. */
    for (size_t i = 0; i < p.times; i++)
        SNUG_TRY(tok_stream_push(t.stream, (uint32_t)prompt_ids[i], &t.pending, err));
    snug_buf_clear(&t.pending);
    SNUG_TRY(gen_run(c->model, &t.conf, &p, &(gen_sink){on_token, &t}, &rows, err));
    if (t.result.finish != GEN_STOP && t.result.finish != GEN_CALLER) {
        SNUG_TRY(tok_stream_end(t.stream, &t.pending, err));
        SNUG_TRY(snug_buf_check(&t.pending, "generated text", err));
        (void)drain(&t, true);
    }
    t.result.prompt_tokens = p.times;
    t.result.seed = t.conf.sample.seed;
    if (out != NULL) *out = t.result;
done:
    tok_stream_free(t.stream);
    tok_ids_deinit(&ids);
    snug_buf_deinit(&t.pending);
    free(prompt_ids);
    free(rows.ids);
    return st;
}

snug_status infer_generate(infer_ctx *c, snug_slice prompt, snug_json parameters,
                           bool (*fn)(void *arg, snug_slice piece), void *arg, snug_err *err)
{
    return text_generate(c, prompt, parameters, fn, arg, NULL, err);
}
