/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/seq2seq.c - texts made of texts by encoder-decoders: summarization, translation,
 * text2text-generation.
 *
 *   [{"summary_text" | "translation_text" | "generated_text": ...}]
 *
 * Settings are the request's, then those config.json keeps for the task (task_specific_params, with
 * the prefix put before the text), then the folder's, then 4 beams and 256 new tokens. `src_lang`
 * and `tgt_lang` choose the task "translation_xx_to_yy", or the language tokens of a multilingual
 * model. */
#include <stdlib.h>

#include "infer/infer_int.h"

enum { NEW_TOKENS = 256, BEAMS = 4, SPECIAL_MAX = 4 };

/* What stands around a text, and what the answer begins with. */
typedef struct frame {
    uint32_t before[SPECIAL_MAX], after[SPECIAL_MAX];
    size_t   before_count, after_count;
    bool     set; /* else the tokenizer's own rule */
} frame;

typedef struct job {
    infer_ctx  *c;
    snug_arena *a;
    const char *key; /* of the answer */
    snug_slice  prefix;
    snug_json   params; /* request over task: one object */
    frame       around;
    bool        cut, clean_up;
} job;

/* ---- languages ---- */

static snug_status language_id(const job *j, snug_json params, const char *key, uint32_t *out,
                               snug_err *err)
{
    snug_slice name;
    if (!snug_json_to_str(snug_json_get(params, key), &name))
        return snug_fail(err, SNUG_EINVAL,
                         "this model translates between many languages: it needs "
                         "`src_lang` and `tgt_lang`");
    if (tok_token_to_id(j->c->tok, name, out)) return SNUG_OK;
    if (tok_token_to_id(j->c->tok, snug_arena_printf(j->a, "__%.*s__", SNUG_SLICE(name)), out))
        return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "`%s`: this model has no language \"%.*s\"", key,
                     SNUG_SLICE(name));
}

/* MBart: text </s> language. MBart-50, NLLB, M2M100: language text </s>. */
static snug_status frame_language(job *j, snug_json params, snug_json_out *extra, snug_err *err)
{
    static const struct {
        const char *tokenizer;
        bool        after;
    } rows[] = {{"MBartTokenizer", true},
                {"MBart50Tokenizer", false},
                {"NllbTokenizer", false},
                {"M2M100Tokenizer", false}};
    snug_slice  class_name = snug_json_str_or(j->c->tok_config, "tokenizer_class", SNUG_EMPTY);
    uint32_t    source, target, end;
    snug_status st = SNUG_OK;
    if (snug_ends_with(class_name, "Fast")) class_name.len -= 4;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!snug_eq_str(class_name, rows[i].tokenizer)) continue;
        bool after =
            rows[i].after || snug_json_bool_or(j->c->tok_config, "legacy_behaviour", false);
        SNUG_TRY(language_id(j, params, "src_lang", &source, err));
        SNUG_TRY(language_id(j, params, "tgt_lang", &target, err));
        if (!infer_special_id(j->c, "eos_token", &end))
            SNUG_FAIL(err, SNUG_EUNSUPPORTED, "this tokenizer names no eos_token");
        j->around.set = true;
        if (!after) j->around.before[j->around.before_count++] = source;
        j->around.after[j->around.after_count++] = end;
        if (after) j->around.after[j->around.after_count++] = source;
        snug_jo_ku64(extra, "forced_bos_token_id", target);
        break;
    }
done:
    return st;
}

/* ---- settings ---- */

static const char *const nests[] = {"generate_parameters", "generation_parameters",
                                    "generate_kwargs"};

static void put_members(snug_json_out *out, snug_json v)
{
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        bool nest = false;
        for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++)
            nest = nest || snug_eq_str(it.key, nests[i]);
        if (nest || snug_json_is(it.value, SNUG_JSON_NULL)) continue;
        snug_jo_key_slice(out, it.key);
        snug_jo_value(out, it.value);
    }
}

static bool says(snug_json v, const char *key) { return task_given(snug_json_get(v, key)); }

/* Members that come later win, so the strongest are written last. A length in the request replaces
 * every other way to say it. */
static snug_status merge(job *j, snug_json params, snug_json own, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&b);
    snug_json     g = j->c->generation, asked = {NULL};
    snug_status   st = SNUG_OK;
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++)
        if (snug_json_is(snug_json_get(params, nests[i]), SNUG_JSON_OBJECT))
            asked = snug_json_get(params, nests[i]);
    bool length = says(params, "max_length") || says(asked, "max_length");
    bool fresh = says(params, "max_new_tokens") || says(asked, "max_new_tokens");
    snug_jo_begin_object(&o);
    if (!says(g, "num_beams")) snug_jo_ku64(&o, "num_beams", BEAMS);
    if (!says(g, "max_new_tokens") && !says(g, "max_length") && !says(own, "max_length") && !length)
        snug_jo_ku64(&o, "max_new_tokens", NEW_TOKENS);
    for (snug_json_iter it = snug_json_iter_of(own); snug_json_next(&it);) {
        if (snug_eq_str(it.key, "prefix") || (fresh && snug_eq_str(it.key, "max_length"))) continue;
        snug_jo_key_slice(&o, it.key);
        snug_jo_value(&o, it.value);
    }
    put_members(&o, params);
    put_members(&o, asked);
    SNUG_TRY(frame_language(j, params, &o, err));
    snug_jo_end_object(&o);
    SNUG_TRY(snug_buf_check(&b, "the parameters", err));
    SNUG_TRY(snug_json_parse(j->a, snug_buf_slice(&b), NULL, &j->params, err));
done:
    return st;
}

static snug_json task_settings(const job *j, const char *task, snug_json params)
{
    snug_json  all = snug_json_get(model_config(j->c->model), "task_specific_params");
    snug_slice from, to;
    if (strcmp(task, "translation") != 0) return snug_json_get(all, task);
    if (!snug_json_to_str(snug_json_get(params, "src_lang"), &from) ||
        !snug_json_to_str(snug_json_get(params, "tgt_lang"), &to))
        return snug_json_get(all, task);
    return snug_json_get_slice(
        all, snug_arena_printf(j->a, "translation_%.*s_to_%.*s", SNUG_SLICE(from), SNUG_SLICE(to)));
}

static snug_status read_settings(job *j, const char *task, snug_json params, snug_err *err)
{
    snug_json  own = task_settings(j, task, params);
    snug_slice cut = snug_json_str_or(params, "truncation", SNUG_LIT("do_not_truncate"));
    bool       on;
    j->prefix = snug_json_str_or(own, "prefix", SNUG_EMPTY);
    if (j->prefix.len == 0 && strcmp(task, "text2text-generation") != 0)
        j->prefix = snug_json_str_or(model_config(j->c->model), "prefix", SNUG_EMPTY);
    j->cut = !snug_eq_str(cut, "do_not_truncate");
    if (snug_json_to_bool(snug_json_get(params, "truncation"), &on)) j->cut = on;
    j->clean_up = snug_json_bool_or(params, "clean_up_tokenization_spaces", false);
    return merge(j, params, own, err);
}

/* ---- reading and writing ---- */

/* Relative positions have no end but memory; learned ones do, and the tokenizer may say less. */
static size_t tokens_max(const job *j)
{
    const model_shape *s = model_shape_of(j->c->model);
    if (j->cut) return infer_context_max(j->c);
    return s->relative ? (size_t)MODEL_BATCH_TOKENS_MAX
                       : (size_t)(s->positions_max - s->position_first);
}

static snug_status encode(const job *j, snug_slice text, int32_t **out, size_t *count,
                          snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(INFER_TEXT_BYTES_MAX);
    const frame *f = &j->around;
    size_t around = f->set ? f->before_count + f->after_count : 0, most = tokens_max(j), n = 0;
    tok_truncation rule = {.strategy = TOK_LONGEST_FIRST, .length_max = (uint32_t)(most - around)};
    tok_windows    parts = {0};
    snug_status    st = SNUG_OK;
    snug_buf_put_slice(&b, j->prefix);
    snug_buf_put_slice(&b, text);
    SNUG_TRY(snug_buf_check(&b, "a text with its prefix", err));
    SNUG_TRY(tok_encode_windows(j->c->tok, snug_buf_slice(&b), NULL, f->set ? 0 : TOK_ADD_SPECIAL,
                                &rule, &parts, err));
    if (parts.count > 1 && !j->cut)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "the text has more than the %zu tokens this model reads (\"truncation\": "
                  "\"longest_first\" cuts it)",
                  most);
    const tok_ids *ids = &parts.items[0];
    *out = snug_alloc_try((ids->count + around + 1) * sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu tokens", ids->count);
    for (size_t i = 0; i < f->before_count; i++) (*out)[n++] = (int32_t)f->before[i];
    for (size_t i = 0; i < ids->count; i++) (*out)[n++] = (int32_t)ids->ids[i];
    for (size_t i = 0; i < f->after_count; i++) (*out)[n++] = (int32_t)f->after[i];
    if (n == 0) SNUG_FAIL(err, SNUG_EINVAL, "the text has no tokens");
    *count = n;
done:
    tok_windows_deinit(&parts);
    return st;
}

/* Room for what is written: the request's, within the decoder's positions. */
static void set_length(const job *j, gen_conf *conf)
{
    const model_shape *s = model_shape_of(j->c->model);
    size_t             most = s->relative ? (size_t)MODEL_BATCH_TOKENS_MAX
                                          : (size_t)(s->positions_max - s->position_first);
    if (conf->max_new_tokens == SIZE_MAX && conf->max_length != SIZE_MAX && conf->max_length > 0)
        conf->max_new_tokens = conf->max_length - 1; /* the start token counts */
    if (conf->max_new_tokens == SIZE_MAX) conf->max_new_tokens = NEW_TOKENS;
    if (conf->max_new_tokens > most - 1) conf->max_new_tokens = most - 1;
}

static snug_status write_ids(const job *j, const int32_t *ids, size_t count, gen_result *rows,
                             snug_err *err)
{
    snug_status   st = SNUG_OK;
    model        *m = j->c->model;
    model_memory *memory = NULL;
    int32_t      *starts = NULL;
    model_batch   text = {.batch = 1, .times = count, .ids = ids};
    gen_conf      conf;
    SNUG_TRY(gen_conf_read(j->a, j->params, j->c->generation, model_config(m),
                           model_shape_of(m)->vocab, &conf, err));
    if (conf.best_of > 1 || conf.top_n > 0)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "`%s` is only supported by text-generation",
                  conf.best_of > 1 ? "best_of" : "top_n_tokens");
    set_length(j, &conf);
    SNUG_TRY(model_encode(m, &text, &memory, err));
    int32_t start = conf.start >= 0 ? conf.start : (int32_t)model_shape_of(m)->start;
    size_t  times = conf.beams > 1 ? 1 : (size_t)conf.returns;
    starts = snug_alloc_try(times * (count + 1) * sizeof *starts);
    if (starts == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu texts", times);
    int32_t *sources = starts + times; /* what was read, for each row */
    for (size_t i = 0; i < times; i++) {
        starts[i] = start;
        memcpy(sources + i * count, ids, count * sizeof *ids);
    }
    gen_prompt p = {times, 1, starts, NULL, memory, sources, count};
    st = conf.beams > 1 ? gen_beam(m, &conf, &p, NULL, rows, err)
                        : gen_run(m, &conf, &p, NULL, rows, err);
done:
    free(starts);
    model_memory_free(memory);
    return st;
}

/* English spacing, as tokenizers that split at punctuation want it undone. */
static void clean_up(snug_slice text, snug_buf *out)
{
    static const struct {
        const char *from, *to;
    } rules[] = {{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
                 {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    snug_buf a = snug_buf_init(INFER_TEXT_BYTES_MAX), b = snug_buf_init(INFER_TEXT_BYTES_MAX);
    snug_buf_put_slice(&a, text);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        snug_slice rest = snug_buf_slice(&a);
        snug_buf_clear(&b);
        for (size_t at; (at = snug_find(rest, snug_str(rules[i].from))) != SIZE_MAX;) {
            snug_buf_put_slice(&b, snug_sub(rest, 0, at));
            snug_buf_puts(&b, rules[i].to);
            rest = snug_sub(rest, at + strlen(rules[i].from), SIZE_MAX);
        }
        snug_buf_put_slice(&b, rest);
        snug_buf t = a;
        a = b;
        b = t;
    }
    snug_buf_put_slice(out, snug_buf_slice(&a));
    snug_buf_deinit(&a);
    snug_buf_deinit(&b);
}

static snug_status put_text(const job *j, const int32_t *row, size_t times, snug_json_out *out,
                            snug_err *err)
{
    SNUG_AUTO(snug_buf) raw = snug_buf_init(INFER_TEXT_BYTES_MAX);
    SNUG_AUTO(snug_buf) text = snug_buf_init(INFER_TEXT_BYTES_MAX);
    snug_status st = SNUG_OK;
    uint32_t   *ids = snug_alloc((times + 1) * sizeof *ids);
    for (size_t i = 0; i < times; i++) ids[i] = (uint32_t)row[i];
    SNUG_TRY(tok_decode(j->c->tok, ids, times, true, &raw, err));
    if (j->clean_up) clean_up(snug_buf_slice(&raw), &text);
    snug_jo_begin_object(out);
    snug_jo_kstr(out, j->key, snug_buf_slice(j->clean_up ? &text : &raw));
    snug_jo_end_object(out);
done:
    free(ids);
    return st;
}

static snug_status one(const job *j, snug_json input, snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text;
    int32_t    *ids = NULL;
    size_t      count = 0;
    gen_result  rows = {0};
    if (!snug_json_to_str(input, &text)) SNUG_FAIL(err, SNUG_EINVAL, "an input must be a string");
    SNUG_TRY(encode(j, text, &ids, &count, err));
    SNUG_TRY(write_ids(j, ids, count, &rows, err));
    for (size_t i = 0; i < rows.batch; i++)
        SNUG_TRY(put_text(j, rows.ids + i * rows.times, rows.times, out, err));
done:
    free(ids);
    free(rows.ids);
    return st;
}

static snug_status run_all(infer_ctx *c, const char *task, const char *key, snug_json in,
                           snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   inputs = snug_json_get(in, "inputs");
    bool        many = snug_json_is(inputs, SNUG_JSON_ARRAY);
    size_t      n = many ? snug_json_count(inputs) : 1;
    job         j = {.c = c, .a = snug_arena_new(), .key = key};
    if (model_shape_of(c->model)->head != MODEL_HEAD_SEQ2SEQ)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s does not turn texts into texts",
                  model_shape_of(c->model)->class_name);
    if (!task_given(inputs)) SNUG_FAIL(err, SNUG_EINVAL, "`inputs` is missing");
    if (n > INFER_INPUTS_MAX) SNUG_FAIL(err, SNUG_ELIMIT, "more than %d inputs", INFER_INPUTS_MAX);
    SNUG_TRY(read_settings(&j, task, snug_json_get(in, "parameters"), err));
    snug_jo_begin_array(out);
    for (size_t i = 0; i < n; i++)
        SNUG_TRY(one(&j, many ? snug_json_at(inputs, i) : inputs, out, err));
    snug_jo_end_array(out);
done:
    snug_arena_free(j.a);
    return st;
}

static snug_status summarize(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    return run_all(c, "summarization", "summary_text", in, out, err);
}
static snug_status translate(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    return run_all(c, "translation", "translation_text", in, out, err);
}
static snug_status rewrite(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    return run_all(c, "text2text-generation", "generated_text", in, out, err);
}

const infer_task task_summarization = {
    .name = "summarization", .help = "A shorter text that says the same", .run = summarize};
const infer_task task_translation = {
    .name = "translation", .help = "A text in another language", .run = translate};
const infer_task task_text2text = {
    .name = "text2text-generation", .help = "A text made of a text", .run = rewrite};
