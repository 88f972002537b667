/* SPDX-License-Identifier: Apache-2.0 */
/* infer/infer_int.h - what the tasks share: a loaded model, sampling, generation. */
#ifndef SNUG_INFER_INFER_INT_H
#define SNUG_INFER_INFER_INT_H

#include "base/base.h"
#include "infer/infer.h"
#include "model/model.h"
#include "tok/tok.h"

enum {
    INFER_CONFIG_BYTES_MAX = 4 << 20,
    INFER_TEXT_BYTES_MAX = 16 << 20, /* of one input or answer */
    INFER_INPUTS_MAX = 4096,         /* texts in one request */
    INFER_EOS_MAX = 64,
    INFER_STOPS_MAX = 16,
    INFER_TOP_MAX = 128,    /* likeliest tokens told per position */
    INFER_LISTS_MAX = 4096, /* sequences in one list of a request, and ids in one of them */
    INFER_RETURNS_MAX = 64,
    INFER_NEW_TOKENS_DEFAULT = 1024,
    GEN_BEAMS_MAX = 64
};

struct infer_ctx {
    snug_arena      *arena;
    tensor_dev      *dev;
    model           *model;
    tok             *tok;
    const char      *dir;
    snug_json        generation;  /* generation_config.json, or absent */
    snug_json        tok_config;  /* tokenizer_config.json, or absent */
    snug_json        special_map; /* special_tokens_map.json, or absent */
    struct sentence *sentence;    /* sentence.h; NULL: the folder has no modules.json */
};

/* A JSON file of a model folder; absent when there is none. */
snug_status infer_read_json(snug_arena *a, const char *dir, const char *name, snug_json *out,
                            snug_err *err) SNUG_MUST_USE;
/* The name of a label: id2label, or LABEL_<i>. */
snug_slice infer_label(const infer_ctx *c, snug_arena *a, size_t i);
/* The id of a special token by its role, "cls_token"; false when the folder names none. */
bool infer_special_id(const infer_ctx *c, const char *role, uint32_t *out);
/* The longest input: what the model was made for, or less when the tokenizer says so. */
size_t infer_context_max(const infer_ctx *c);

/* ---- the rules between logits and the next token (rules.c, sample.c) ---- */

typedef struct id_list {
    const int32_t *ids;
    size_t         count;
} id_list;
/* What is added to the last id when the ids before it were just said. */
typedef struct id_bias {
    const int32_t *ids;
    size_t         count; /* at least 1 */
    float          bias;
} id_bias;
typedef struct id_place {
    size_t  at; /* column */
    int32_t id;
} id_place;

/* Zero or one (penalties, top_p, top_h, typical_p, temperature, decay) switches a rule off. Lists
 * belong to whoever read them. */
typedef struct sample_conf {
    bool     greedy; /* the largest logit after the rules of rules.c: nothing from temperature on */
    bool     remove_invalid, renormalize;
    double   temperature, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff, top_h, top_n_sigma;
    double   xtc_probability, xtc_threshold;
    double   repetition_penalty, presence_penalty, frequency_penalty, encoder_repetition_penalty;
    double   decay; /* of the ends' logits, per step behind the first decay_start */
    uint64_t decay_start;
    uint64_t top_k, no_repeat_ngram_size, encoder_no_repeat_ngram_size;
    uint64_t min_new_tokens, min_length; /* without and with the prompt */
    uint64_t keep_min;                   /* the cutting rules leave so many; 0: one */
    uint64_t seed;
    const id_bias  *biases, *bad; /* bad: what must not be said; single ends are not among it */
    size_t          bias_count, bad_count;
    id_list         suppress, begin_suppress, forced_last;
    int32_t         forced_first; /* -1: none; the first written by an encoder-decoder */
    const id_place *forced;
    size_t          forced_count;
} sample_conf;
sample_conf sample_conf_off(void); /* greedy, every rule off */

/* What was seen by one row so far. */
typedef struct sample_past {
    const int32_t *ids; /* prompt and generated */
    size_t         count, generated;
    const int32_t *eos;
    size_t         eos_count;
    size_t         limit;  /* columns there is room for; 0: no limit */
    id_list        source; /* what an encoder read; no ids: the prompt */
} sample_past;

/* The rules that look at what was said. seen: [vocab], zero, and zero again afterwards. */
void rules_apply(const sample_conf *c, const sample_past *p, uint32_t *seen, size_t vocab,
                 float *logits);

typedef struct sampler sampler; /* scratch for a vocabulary, and a random stream */
sampler               *sampler_new(const sample_conf *conf, size_t vocab);
void                   sampler_free(sampler *s); /* NULL is fine */
/* The rules in the order of the reference implementation; removed tokens become -infinity. */
void sampler_warp(sampler *s, const sample_past *past, float *logits);
/* Warps, then picks: the largest (the lowest id wins ties), or by chance. */
int32_t sampler_pick(sampler *s, const sample_past *past, float *logits);
double  sampler_uniform(sampler *s); /* in [0, 1) */

/* ---- generation over ids (generate.c) ---- */

typedef struct gen_conf {
    sample_conf sample;
    size_t      max_new_tokens; /* SIZE_MAX: not said */
    size_t      max_length;     /* prompt included; SIZE_MAX: not said */
    bool        length_asked;   /* max_length comes from the request */
    double      max_time_s;     /* 0: none */
    size_t      vocab; /* ids at and above are never chosen: rows that only pad the matrix */
    int32_t     pad;   /* -1: none */
    int32_t     eos[INFER_EOS_MAX];
    size_t      eos_count;
    int32_t     start;            /* first id of what an encoder-decoder writes */
    uint64_t    beams;            /* 1: none */
    uint64_t    returns, best_of; /* texts per prompt; texts of which the likeliest is answered */
    uint64_t    top_n;            /* likeliest ids told with each new one */
    bool        shares;           /* new ids are told with their log shares */
    double      length_penalty;   /* sums of log shares are divided by length to this power */
    enum { GEN_STOP_LATE, GEN_STOP_EARLY, GEN_STOP_NEVER } early_stopping;
} gen_conf;

/* Request parameters over the model's generation_config.json over defaults; without that file some
 * keys may stand in config.json. Lists are allocated in `a`. Parameters that ask for what is not
 * built are refused by name; keys nobody knows are ignored. */
snug_status gen_conf_read(snug_arena *a, snug_json params, snug_json generation, snug_json config,
                          size_t vocab, gen_conf *out, snug_err *err) SNUG_MUST_USE;
bool        gen_is_eos(const gen_conf *conf, int32_t id);
/* A parameter by name: the request's, or the folder's. */
snug_json gen_param(snug_json params, snug_json generation, const char *key);
/* The lists of ids among them (lists.c); ids must be below vocab. */
snug_status gen_read_ids(snug_arena *a, const char *key, snug_json v, size_t vocab, id_list *out,
                         snug_err *err) SNUG_MUST_USE;
snug_status gen_read_biases(snug_arena *a, snug_json sequences, snug_json logit, size_t vocab,
                            sample_conf *out, snug_err *err) SNUG_MUST_USE;
/* more: sequences beside those of v, their ids spelt from text. Single ends are left out. */
snug_status gen_read_bad(snug_arena *a, snug_json v, const id_list *more, size_t more_count,
                         size_t vocab, gen_conf *out, snug_err *err) SNUG_MUST_USE;
snug_status gen_read_forced(snug_arena *a, snug_json v, size_t vocab, sample_conf *out,
                            snug_err *err) SNUG_MUST_USE;

typedef struct gen_prompt {
    size_t              batch, times;
    const int32_t      *ids, *mask; /* [batch, times]; mask NULL: all count */
    const model_memory *memory;     /* encoder-decoders: what was read; ids are what is written */
    const int32_t      *source;     /* the same as ids, [batch, source_times]; NULL: unknown */
    size_t              source_times;
} gen_prompt;
/* Rows of one length: prompt, new ids, padding after the end of a row. free(ids). */
typedef struct gen_result {
    int32_t *ids;
    size_t   batch, times;
} gen_result;
/* An id and the log of its share of the unmodified distribution. */
typedef struct gen_share {
    int32_t id;
    float   log;
} gen_share;
typedef struct gen_token {
    size_t           row;
    int32_t          id;
    float            log; /* with conf->shares */
    const gen_share *top; /* [conf->top_n], likeliest first */
} gen_token;
/* on_token (may be NULL) hears each new id of a row that has not ended; false stops that row. */
typedef struct gen_sink {
    snug_status (*on_token)(void *arg, const gen_token *t, bool *more, snug_err *err);
    void *arg;
    /* Beam search (may be NULL): whether what a candidate wrote, `count` ids, ends here. */
    bool (*ends)(void *arg, const int32_t *ids, size_t count);
} gen_sink;
snug_status gen_run(model *m, const gen_conf *conf, const gen_prompt *prompt, const gen_sink *sink,
                    gen_result *out, snug_err *err) SNUG_MUST_USE;
/* The same by beam search (beam.c): the best conf->returns of conf->beams rows per prompt; of the
 * sink only `ends` is asked. */
snug_status gen_beam(model *m, const gen_conf *conf, const gen_prompt *prompt, const gen_sink *sink,
                     gen_result *out, snug_err *err) SNUG_MUST_USE;
/* Reads a text again and tells `sink` of each id from `from` (at least 1) on, as if it were new. */
snug_status gen_read_shares(model *m, size_t top_n, const int32_t *ids, size_t count, size_t from,
                            const gen_sink *sink, snug_err *err) SNUG_MUST_USE;
/* log of the sum of exp of [n]; and the likeliest `count` of them. */
double gen_log_total(const float *logits, size_t n);
void   gen_likeliest(const float *logits, size_t n, double log_total, gen_share *top, size_t count);

/* ---- generation over text (text.c) ---- */

typedef enum gen_finish { GEN_LENGTH, GEN_EOS, GEN_STOP, GEN_CALLER } gen_finish;
typedef struct text_token {
    int32_t          id;
    float            log; /* NAN: unknown */
    bool             special;
    snug_slice       text; /* what it adds; empty while a code point is not whole */
    const gen_share *top;  /* [top_n] */
} text_token;
typedef struct text_row {
    snug_slice  text;
    gen_finish  finish;
    size_t      generated_tokens;
    uint64_t    seed;
    text_token *tokens; /* with details: [generated_tokens] */
} text_row;
typedef struct text_result {
    size_t      prompt_tokens, count, top_n;
    text_row   *rows;    /* [count]; with best_of the likeliest first */
    text_token *prefill; /* [prompt_tokens], or NULL */
    bool        by_chance, best_of, details;
    double      prompt_s, generate_s; /* until the first token, and from there on */
} text_result;
typedef struct text_request {
    snug_slice prompt;
    snug_json  messages; /* a conversation instead: an array */
    snug_json  params;
    /* Hears the first row piece by piece (may be NULL); false ends it. */
    bool (*fn)(void *arg, snug_slice piece);
    void *arg;
} text_request;
/* Results live in `a`. */
snug_status text_generate(infer_ctx *c, const text_request *rq, snug_arena *a, text_result *out,
                          snug_err *err);

/* ---- conversations (chat.c) ---- */

bool infer_is_chat(snug_json v); /* an array of {"role", ...} */
/* A conversation as the folder's template writes it; the parameters' `tools`, `documents` and
 * members of `chat_template_kwargs` are its variables. */
snug_status chat_render(infer_ctx *c, snug_json messages, snug_json params, snug_buf *out,
                        snug_err *err) SNUG_MUST_USE;

/* ---- tasks ---- */

extern const infer_task task_text_classification, task_text_generation, task_fill_mask,
    task_token_classification, task_question_answering, task_zero_shot, task_feature_extraction,
    task_sentence_similarity, task_text_ranking, task_summarization, task_translation,
    task_text2text;

bool task_given(snug_json v); /* there, and not null */
/* An optional whole number of the parameters between two limits; *out stays when it is not given.
 */
snug_status task_count(snug_json params, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                       snug_err *err) SNUG_MUST_USE;
void        task_softmax(float *v, size_t n);
bool        task_same_text(snug_slice a, snug_slice b); /* but for the case of ASCII letters */

/* A text that is cut by code points. */
typedef struct task_text {
    snug_slice bytes;
    uint32_t  *at; /* byte of each code point, and the end */
    uint32_t   count;
} task_text;
snug_status task_text_init(task_text *t, snug_arena *a, snug_slice text,
                           snug_err *err) SNUG_MUST_USE;
snug_slice  task_text_part(const task_text *t, uint32_t begin, uint32_t end);
/* One row through the model: n results by name, each copied to the host as float32: free(). */
snug_status task_run(infer_ctx *c, const tok_ids *ids, const char *const *names, size_t n,
                     float **values_owned, tensor *shapes, snug_err *err) SNUG_MUST_USE;

/* Calls run(input, out) for "inputs", a string or an array of them. outer: an array around a single
 * answer too. */
snug_status task_each_input(infer_ctx *c, snug_json in, bool outer, snug_json_out *out,
                            snug_status (*run)(infer_ctx *c, snug_json input, snug_json params,
                                               snug_json_out *out, snug_err *err),
                            snug_err *err) SNUG_MUST_USE;
/* Encodes a text (or {"text", "text_pair"}) for an encoder and runs it: logits by name,
 * ids in *ids. */
snug_status task_encode(infer_ctx *c, snug_json input, snug_json params, tok_ids *ids,
                        snug_err *err) SNUG_MUST_USE;
snug_status task_forward(infer_ctx *c, const tok_ids *ids, float **logits_owned, tensor *logits,
                         snug_err *err) SNUG_MUST_USE;

#endif
