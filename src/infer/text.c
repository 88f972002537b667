/* SPDX-License-Identifier: Apache-2.0 */
/* infer/text.c - generation from text to text, piece by piece.
 *
 * For:     infer_generate, infer_stream and the text-generation task.
 * Owns:    the pending bytes of one run.
 * Threads: as the context.
 * Truth:   stops are found in bytes, so they may begin inside a token and span several; what could
 *          still become a stop is held back, everything else is passed on at once. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

enum { BAD_WORDS_MAX = 1024 };

/* One of the texts that grow. */
typedef struct grown {
    tok_stream *stream, *plain; /* plain: special tokens too, for the details */
    snug_buf    pending, text;  /* decoded and not yet passed on; passed on */
    text_row    row;
    size_t      token_cap;
    double      log_sum;
} grown;

typedef struct text_run {
    infer_ctx          *c;
    snug_arena         *a;
    gen_conf            conf;
    snug_slice          stops[INFER_STOPS_MAX];
    size_t              stop_count;
    bool                include_stop, skip_special, details, prefill;
    grown              *rows;
    size_t              count;
    const text_request *rq;
    uint64_t            started, first; /* nanoseconds; first: of the first token */
    text_token         *told;           /* of the prompt */
    size_t              told_count;
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

static snug_status spell(text_run *t, snug_slice word, bool space, id_list *out, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 16);
    tok_ids ids = {0};
    if (space) snug_buf_puts(&b, " ");
    snug_buf_put_slice(&b, word);
    snug_status st = snug_buf_check(&b, "a word of `bad_words`", err);
    if (st == SNUG_OK) st = tok_encode(t->c->tok, snug_buf_slice(&b), 0, &ids, err);
    if (st == SNUG_OK && ids.count > 0) {
        int32_t *copy = snug_arena_alloc(t->a, ids.count * sizeof *copy);
        for (size_t i = 0; i < ids.count; i++) copy[i] = (int32_t)ids.ids[i];
        *out = (id_list){copy, ids.count};
    }
    tok_ids_deinit(&ids);
    return st;
}

/* Words as text, each as it is spelt behind a space and elsewhere. */
static snug_status read_bad_words(text_run *t, snug_json params, snug_err *err)
{
    snug_json   list = snug_json_get(params, "bad_words");
    snug_status st = SNUG_OK;
    size_t      n = snug_json_count(list), have = 0;
    if (!task_given(list)) return SNUG_OK;
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || n > BAD_WORDS_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "`bad_words` must be a list of at most %d words",
                  BAD_WORDS_MAX);
    id_list *ids = snug_arena_zalloc(t->a, (2 * n + 1) * sizeof *ids);
    for (size_t i = 0; i < 2 * n; i++) {
        snug_slice word;
        if (!snug_json_to_str(snug_json_at(list, i / 2), &word) || snug_trim(word).len == 0)
            SNUG_FAIL(err, SNUG_EINVAL, "`bad_words` must hold words");
        SNUG_TRY(spell(t, snug_trim(word), i % 2 == 1, &ids[have], err));
        have += ids[have].count > 0;
    }
    st = gen_read_bad(t->a, (snug_json){NULL}, ids, have, SIZE_MAX, &t->conf, err);
done:
    return st;
}

static bool ignores_ends(snug_json params)
{
    return snug_json_bool_or(params, "ignore_eos_token", false) ||
           snug_json_bool_or(params, "ignore_eos", false);
}

static snug_status read_params(text_run *t, snug_json params, snug_err *err)
{
    const infer_ctx *c = t->c;
    snug_status      st = SNUG_OK;
    size_t           vocab = model_shape_of(c->model)->vocab;
    /* Rows of the matrix past the tokenizer's last token only pad it. */
    while (vocab > 1 && tok_id_to_token(c->tok, (uint32_t)vocab - 1).len == 0) vocab--;
    SNUG_TRY(
        gen_conf_read(t->a, params, c->generation, model_config(c->model), vocab, &t->conf, err));
    SNUG_TRY(read_stops(t, c, params, err));
    if (!ignores_ends(params)) add_text_eos(t, c, params);
    SNUG_TRY(read_bad_words(t, params, err));
    t->include_stop = snug_json_bool_or(params, "include_stop_str_in_output", true);
    t->skip_special = snug_json_bool_or(params, "skip_special_tokens", true);
    t->prefill = snug_json_bool_or(params, "decoder_input_details", false);
    t->details = t->prefill || t->conf.top_n > 0 || snug_json_bool_or(params, "details", false);
    t->conf.shares = t->details || t->conf.best_of > 1;
    t->count = (size_t)(t->conf.best_of > 1 ? t->conf.best_of : t->conf.returns);
done:
    return st;
}

/* ---- pieces ---- */

static void pass_on(text_run *t, grown *g, size_t n)
{
    snug_slice piece = snug_sub(snug_buf_slice(&g->pending), 0, n);
    if (n == 0) return;
    snug_buf_put_slice(&g->text, piece);
    if (g == t->rows && t->rq->fn != NULL && !t->rq->fn(t->rq->arg, piece))
        g->row.finish = GEN_CALLER;
    memmove(g->pending.ptr, g->pending.ptr + n, g->pending.len - n);
    g->pending.len -= n;
}

/* Bytes at the end that may be the start of a stop. */
static size_t held_back(const text_run *t, snug_slice text)
{
    size_t most = 0;
    for (size_t s = 0; s < t->stop_count; s++) {
        size_t n = t->stops[s].len - 1 < text.len ? t->stops[s].len - 1 : text.len;
        for (; n > most; n--)
            if (memcmp(text.ptr + text.len - n, t->stops[s].ptr, n) == 0) most = n;
    }
    return most;
}

/* The first stop in a text, the longest of those that begin there. */
static bool find_stop(const text_run *t, snug_slice text, size_t *at, size_t *len)
{
    *at = SIZE_MAX;
    *len = 0;
    for (size_t s = 0; s < t->stop_count; s++) {
        size_t found = snug_find(text, t->stops[s]);
        if (found > *at || found == SIZE_MAX || (found == *at && t->stops[s].len <= *len)) continue;
        *at = found;
        *len = t->stops[s].len;
    }
    return *at != SIZE_MAX;
}

/* Passes on what is certain; true when a stop was met. */
static bool drain(text_run *t, grown *g, bool last)
{
    snug_slice text = snug_buf_slice(&g->pending);
    size_t     at, len;
    if (find_stop(t, text, &at, &len)) {
        pass_on(t, g, at + (t->include_stop ? len : 0));
        snug_buf_clear(&g->pending);
        if (g->row.finish != GEN_CALLER) g->row.finish = GEN_STOP;
        return true;
    }
    pass_on(t, g, last ? text.len : text.len - held_back(t, text));
    return false;
}

static gen_share *copy_top(const text_run *t, const gen_token *told)
{
    size_t     n = (size_t)t->conf.top_n;
    gen_share *top = snug_arena_alloc(t->a, (n + 1) * sizeof *top);
    if (n > 0) memcpy(top, told->top, n * sizeof *top);
    return top;
}

/* Remembers a new token for the details. */
static snug_status keep_token(text_run *t, grown *g, const gen_token *told, snug_err *err)
{
    text_row *r = &g->row;
    SNUG_AUTO(snug_buf) piece = snug_buf_init(1 << 20);
    snug_status st = tok_stream_push(g->plain, (uint32_t)told->id, &piece, err);
    if (st != SNUG_OK) return st;
    if (r->generated_tokens == g->token_cap) {
        size_t      cap = g->token_cap == 0 ? 32 : 2 * g->token_cap;
        text_token *more = snug_arena_array_try(t->a, cap, sizeof *more);
        if (more == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", cap);
        if (g->token_cap > 0) memcpy(more, r->tokens, g->token_cap * sizeof *more);
        r->tokens = more;
        g->token_cap = cap;
    }
    r->tokens[r->generated_tokens] =
        (text_token){told->id, told->log, tok_is_special(t->c->tok, (uint32_t)told->id),
                     snug_arena_dup(t->a, snug_buf_slice(&piece)), copy_top(t, told)};
    return SNUG_OK;
}

static snug_status on_token(void *arg, const gen_token *told, bool *more, snug_err *err)
{
    text_run   *t = arg;
    grown      *g = &t->rows[told->row];
    snug_status st = SNUG_OK;
    if (t->first == 0) t->first = snug_mono_ns();
    if (t->details) st = keep_token(t, g, told, err);
    if (st != SNUG_OK) return st;
    g->row.generated_tokens++;
    g->log_sum += (double)told->log;
    if (gen_is_eos(&t->conf, told->id)) {
        g->row.finish = GEN_EOS;
        *more = false;
        if (t->skip_special) return SNUG_OK;
    }
    st = tok_stream_push(g->stream, (uint32_t)told->id, &g->pending, err);
    if (st == SNUG_OK) st = snug_buf_check(&g->pending, "generated text", err);
    if (st == SNUG_OK) st = snug_buf_check(&g->text, "generated text", err);
    if (st != SNUG_OK) return st;
    if (drain(t, g, false) || g->row.finish == GEN_CALLER) *more = false;
    return SNUG_OK;
}

/* ---- beams: whole texts, told token by token at the end ---- */

static bool text_ends(void *arg, const int32_t *ids, size_t count)
{
    const text_run *t = arg;
    SNUG_AUTO(snug_buf) text = snug_buf_init(INFER_TEXT_BYTES_MAX);
    size_t    at, len;
    uint32_t *copy = snug_alloc(count * sizeof *copy);
    for (size_t i = 0; i < count; i++) copy[i] = (uint32_t)ids[i];
    snug_status st = tok_decode(t->c->tok, copy, count, t->skip_special, &text, NULL);
    free(copy);
    return st == SNUG_OK && find_stop(t, snug_buf_slice(&text), &at, &len);
}

/* A row behind its prompt, up to its end. */
static snug_status tell_row(text_run *t, size_t row, const int32_t *ids, size_t from, size_t count,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        more = true;
    for (size_t i = from; i < count && more && st == SNUG_OK; i++)
        st = on_token(t, &(gen_token){.row = row, .id = ids[i]}, &more, err);
    return st;
}

typedef struct told_row {
    text_run *t;
    size_t    row;
} told_row;

static snug_status on_share(void *arg, const gen_token *told, bool *more, snug_err *err)
{
    told_row *r = arg;
    gen_token moved = *told;
    moved.row = r->row;
    return on_token(r->t, &moved, more, err);
}

static snug_status run_beams(text_run *t, const gen_prompt *p, gen_result *rows, snug_err *err)
{
    gen_sink sink = {NULL, t, t->stop_count > 0 ? text_ends : NULL};
    t->first = snug_mono_ns(); /* nothing is told before all is done */
    snug_status st = gen_beam(t->c->model, &t->conf, p, &sink, rows, err);
    for (size_t r = 0; st == SNUG_OK && r < rows->batch; r++) {
        const int32_t *ids = rows->ids + r * rows->times;
        told_row       to = {t, r};
        if (t->conf.shares)
            st = gen_read_shares(t->c->model, (size_t)t->conf.top_n, ids, rows->times, p->times,
                                 &(gen_sink){on_share, &to, NULL}, err);
        else
            st = tell_row(t, r, ids, p->times, rows->times, err);
    }
    return st;
}

/* ---- the prompt's own shares ---- */

static snug_status keep_told(text_run *t, const gen_token *told, snug_err *err)
{
    uint32_t id = (uint32_t)told->id;
    SNUG_AUTO(snug_buf) text = snug_buf_init(1 << 20);
    snug_status st = tok_decode(t->c->tok, &id, 1, false, &text, err);
    if (st == SNUG_OK)
        t->told[t->told_count++] = (text_token){told->id, told->log, tok_is_special(t->c->tok, id),
                                                snug_arena_dup(t->a, snug_buf_slice(&text)), NULL};
    return st;
}

static snug_status on_told(void *arg, const gen_token *told, bool *more, snug_err *err)
{
    (void)more;
    return keep_told(arg, told, err);
}

static snug_status tell_prompt(text_run *t, const int32_t *ids, size_t count, snug_err *err)
{
    if (!t->prefill) return SNUG_OK;
    t->told = snug_arena_array_try(t->a, count, sizeof *t->told);
    if (t->told == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", count);
    snug_status st = /* nothing comes before the first */
        keep_told(t, &(gen_token){.id = ids[0], .log = NAN}, err);
    if (st != SNUG_OK) return st;
    return gen_read_shares(t->c->model, 0, ids, count, 1, &(gen_sink){on_told, t, NULL}, err);
}

/* ---- the prompt ---- */

/* A rendered conversation has its special tokens; other text gets those of the tokenizer. */
static snug_status encode(const text_run *t, tok_ids *ids, snug_err *err)
{
    const text_request *rq = t->rq;
    bool                special = snug_json_bool_or(rq->params, "add_special_tokens", true);
    if (!task_given(rq->messages))
        return tok_encode(t->c->tok, rq->prompt, special ? TOK_ADD_SPECIAL : 0, ids, err);
    SNUG_AUTO(snug_buf) text = snug_buf_init(INFER_TEXT_BYTES_MAX);
    snug_status st = chat_render(t->c, rq->messages, rq->params, &text, err);
    return st == SNUG_OK ? tok_encode(t->c->tok, snug_buf_slice(&text), 0, ids, err) : st;
}

/* count tokens, as often as there are rows. */
static snug_status encode_prompt(const text_run *t, int32_t **out, size_t *count, snug_err *err)
{
    const infer_ctx *c = t->c;
    uint64_t         keep = UINT64_MAX;
    tok_ids          ids = {0};
    snug_status      st = SNUG_OK;
    SNUG_TRY(encode(t, &ids, err));
    size_t from = 0, n = ids.count;
    SNUG_TRY(task_count(t->rq->params, "truncate", 1, UINT32_MAX, &keep, err));
    if (keep < n) { /* only on request; the end is kept */
        from = n - (size_t)keep;
        n = (size_t)keep;
    }
    int64_t bos = snug_json_i64_or(model_config(c->model), "bos_token_id", -1);
    if (n == 0 && (bos < 0 || bos > INT32_MAX)) SNUG_FAIL(err, SNUG_EINVAL, "the prompt is empty");
    *count = n > 0 ? n : 1; /* an empty prompt starts a text */
    if (*count > infer_context_max(c))
        SNUG_FAIL(err, SNUG_EINVAL, "the prompt has %zu tokens; this model's context holds %zu",
                  *count, infer_context_max(c));
    *out = snug_alloc_try(*count * t->count * sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu tokens", n);
    for (size_t r = 0; r < t->count; r++)
        for (size_t i = 0; i < *count; i++)
            (*out)[r * *count + i] = n > 0 ? (int32_t)ids.ids[from + i] : (int32_t)bos;
done:
    if (st == SNUG_EINVAL && err != NULL && ids.count > infer_context_max(c))
        err->code = "context_length_exceeded";
    tok_ids_deinit(&ids);
    return st;
}

static snug_status fit_context(const infer_ctx *c, size_t prompt, gen_conf *conf, snug_err *err)
{
    size_t most = infer_context_max(c);
    bool   asked = conf->max_new_tokens != SIZE_MAX;
    if (!asked && conf->max_length != SIZE_MAX && conf->max_length > prompt) {
        conf->max_new_tokens = conf->max_length - prompt;
        asked = conf->length_asked;
        if (!asked && conf->max_length > most) conf->max_new_tokens = most - prompt;
    } else if (conf->length_asked && conf->max_length <= prompt) {
        return snug_fail(err, SNUG_EINVAL,
                         "the prompt has %zu tokens: `max_length` of %zu leaves no room", prompt,
                         conf->max_length);
    }
    size_t want =
        conf->max_new_tokens != SIZE_MAX ? conf->max_new_tokens : INFER_NEW_TOKENS_DEFAULT;
    if (prompt > most || (asked && want > most - prompt))
        return snug_fail_code(
            err, SNUG_EINVAL, "context_length_exceeded",
            "the prompt has %zu tokens and %zu more are asked for; this model's context holds %zu",
            prompt, asked ? want : 0, most);
    conf->max_new_tokens = want < most - prompt ? want : most - prompt;
    return SNUG_OK;
}

/* ---- a run ---- */

/* The decoder sees the prompt first: spaces and code points depend on what came before. */
static snug_status open_row(text_run *t, grown *g, const int32_t *ids, size_t count, snug_err *err)
{
    snug_status st = SNUG_OK;
    g->pending = snug_buf_init(INFER_TEXT_BYTES_MAX);
    g->text = snug_buf_init(INFER_TEXT_BYTES_MAX);
    g->stream = tok_stream_new(t->c->tok, t->skip_special);
    g->plain = tok_stream_new(t->c->tok, false);
    g->row.seed = t->conf.sample.seed + (uint64_t)(g - t->rows);
    for (size_t i = 0; i < count && st == SNUG_OK; i++) {
        st = tok_stream_push(g->stream, (uint32_t)ids[i], &g->pending, err);
        if (st == SNUG_OK && t->details)
            st = tok_stream_push(g->plain, (uint32_t)ids[i], &g->pending, err);
        snug_buf_clear(&g->pending);
    }
    return st;
}

/* What was held back, at the end of a text. */
static snug_status close_row(text_run *t, grown *g, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (g->row.finish != GEN_STOP && g->row.finish != GEN_CALLER) {
        SNUG_TRY(tok_stream_end(g->stream, &g->pending, err));
        SNUG_TRY(snug_buf_check(&g->pending, "generated text", err));
        (void)drain(t, g, true);
    }
    SNUG_TRY(snug_buf_check(&g->text, "generated text", err));
    if (t->details && g->row.generated_tokens > 0) { /* the rest of a broken code point */
        text_token *last = &g->row.tokens[g->row.generated_tokens - 1];
        SNUG_AUTO(snug_buf) rest = snug_buf_init(1 << 20);
        snug_buf_put_slice(&rest, last->text);
        SNUG_TRY(tok_stream_end(g->plain, &rest, err));
        last->text = snug_arena_dup(t->a, snug_buf_slice(&rest));
    }
    g->row.text = snug_arena_dup(t->a, snug_buf_slice(&g->text));
done:
    return st;
}

static double mean_log(const grown *g)
{
    return g->row.generated_tokens > 0 ? g->log_sum / (double)g->row.generated_tokens : 0;
}

static int likelier(const void *a, const void *b)
{
    const grown *x = a, *y = b;
    double       p = mean_log(x), q = mean_log(y);
    if (p != q) return p > q ? -1 : 1;
    return (x->row.seed > y->row.seed) - (x->row.seed < y->row.seed);
}

static void collect(text_run *t, size_t prompt, text_result *out)
{
    uint64_t now = snug_mono_ns(), first = t->first != 0 ? t->first : now;
    *out = (text_result){.prompt_tokens = prompt,
                         .count = t->count,
                         .top_n = (size_t)t->conf.top_n,
                         .rows = snug_arena_zalloc(t->a, t->count * sizeof *out->rows),
                         .prefill = t->told,
                         .by_chance = !t->conf.sample.greedy,
                         .best_of = t->conf.best_of > 1,
                         .details = t->details,
                         .prompt_s = (double)(first - t->started) / 1e9,
                         .generate_s = (double)(now - first) / 1e9};
    if (out->best_of) qsort(t->rows, t->count, sizeof *t->rows, likelier);
    for (size_t i = 0; i < t->count; i++) out->rows[i] = t->rows[i].row;
}

snug_status text_generate(infer_ctx *c, const text_request *rq, snug_arena *a, text_result *out,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    text_run    t = {.c = c, .a = a, .rq = rq, .started = snug_mono_ns()};
    gen_prompt  p = {0};
    gen_result  rows = {0};
    int32_t    *ids = NULL;
    if (model_shape_of(c->model)->head != MODEL_HEAD_CAUSAL_LM)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s does not generate text",
                  model_shape_of(c->model)->class_name);
    SNUG_TRY(read_params(&t, rq->params, err));
    if (rq->fn != NULL && t.conf.best_of > 1)
        SNUG_FAIL(err, SNUG_EINVAL, "`best_of` above 1 does not stream");
    SNUG_TRY(encode_prompt(&t, &ids, &p.times, err));
    SNUG_TRY(fit_context(c, p.times, &t.conf, err));
    p.ids = ids;
    p.batch = t.conf.beams > 1 ? 1 : t.count;
    t.rows = snug_arena_zalloc(a, t.count * sizeof *t.rows);
    for (size_t i = 0; i < t.count; i++) SNUG_TRY(open_row(&t, &t.rows[i], ids, p.times, err));
    SNUG_TRY(tell_prompt(&t, ids, p.times, err));
    t.started = snug_mono_ns();
    if (t.conf.beams > 1)
        SNUG_TRY(run_beams(&t, &p, &rows, err));
    else
        SNUG_TRY(gen_run(c->model, &t.conf, &p, &(gen_sink){on_token, &t, NULL}, &rows, err));
    for (size_t i = 0; i < t.count; i++) SNUG_TRY(close_row(&t, &t.rows[i], err));
    collect(&t, p.times, out);
done:
    for (size_t i = 0; t.rows != NULL && i < t.count; i++) {
        tok_stream_free(t.rows[i].stream);
        tok_stream_free(t.rows[i].plain);
        snug_buf_deinit(&t.rows[i].pending);
        snug_buf_deinit(&t.rows[i].text);
    }
    free(ids);
    free(rows.ids);
    return st;
}

snug_status infer_stream(infer_ctx *c, const infer_text *what, snug_err *err)
{
    snug_arena  *a = snug_arena_new();
    text_result  r;
    text_request rq = {what->prompt, what->messages, what->parameters, what->fn, what->arg};
    snug_status  st = text_generate(c, &rq, a, &r, err);
    if (st == SNUG_OK && what->stats != NULL)
        *what->stats = (infer_stats){r.prompt_tokens, r.rows[0].generated_tokens, r.prompt_s,
                                     r.generate_s, r.rows[0].finish == GEN_LENGTH};
    snug_arena_free(a);
    return st;
}

snug_status infer_generate(infer_ctx *c, snug_slice prompt, snug_json parameters,
                           bool (*fn)(void *arg, snug_slice piece), void *arg, snug_err *err)
{
    infer_text what = {.prompt = prompt, .parameters = parameters, .fn = fn, .arg = arg};
    return infer_stream(c, &what, err);
}
