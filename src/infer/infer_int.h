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
    INFER_NEW_TOKENS_DEFAULT = 1024,
    GEN_BEAMS_MAX = 64
};

struct infer_ctx {
    snug_arena      *arena;
    tensor_dev      *dev;
    model           *model;
    tok             *tok;
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

/* ---- sampling (sample.c) ---- */

/* Zero or one (penalties, top_p, typical_p, temperature) switches a rule off. */
typedef struct sample_conf {
    bool     greedy; /* the largest logit after the penalties: nothing from temperature on is run */
    double   temperature, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff;
    double   repetition_penalty, presence_penalty, frequency_penalty;
    uint64_t top_k, no_repeat_ngram_size, min_new_tokens;
    uint64_t seed;
} sample_conf;
sample_conf sample_conf_off(void); /* greedy, every rule off */

/* What was seen by one row so far. */
typedef struct sample_past {
    const int32_t *ids; /* prompt and generated */
    size_t         count, generated;
    const int32_t *eos;
    size_t         eos_count;
} sample_past;

typedef struct sampler sampler; /* scratch for a vocabulary, and a random stream */
sampler               *sampler_new(const sample_conf *conf, size_t vocab);
void                   sampler_free(sampler *s); /* NULL is fine */
/* The rules in the order of the reference implementation; removed tokens become -infinity. */
void sampler_warp(sampler *s, const sample_past *past, float *logits);
/* Warps, then picks: the largest (the lowest id wins ties), or by chance. */
int32_t sampler_pick(sampler *s, const sample_past *past, float *logits);

/* ---- generation over ids (generate.c) ---- */

typedef struct gen_conf {
    sample_conf sample;
    size_t      max_new_tokens; /* SIZE_MAX: not said */
    size_t      vocab; /* ids at and above are never chosen: rows that only pad the matrix */
    int32_t     pad;   /* -1: none */
    int32_t     eos[INFER_EOS_MAX];
    size_t      eos_count;
    int32_t     forced_first, forced_last; /* -1: none; of encoder-decoders and at the limit */
    int32_t     start;                     /* first id of what an encoder-decoder writes */
    int32_t     banned[INFER_EOS_MAX];
    size_t      banned_count;
    uint64_t    beams;          /* 1: none */
    double      length_penalty; /* sums of log shares are divided by length to this power */
    enum { GEN_STOP_LATE, GEN_STOP_EARLY, GEN_STOP_NEVER } early_stopping;
} gen_conf;

/* Request parameters over the model's generation_config.json over defaults. Parameters that ask for
 * what is not built (beams, grammars) are refused by name; unknown ones are ignored. */
snug_status gen_conf_read(snug_json params, snug_json generation, snug_json config, size_t vocab,
                          gen_conf *out, snug_err *err) SNUG_MUST_USE;
bool        gen_is_eos(const gen_conf *conf, int32_t id);
/* A parameter by name: the request's, or the folder's. */
snug_json gen_param(snug_json params, snug_json generation, const char *key);

typedef struct gen_prompt {
    size_t              batch, times;
    const int32_t      *ids, *mask; /* [batch, times]; mask NULL: all count */
    const model_memory *memory;     /* encoder-decoders: what was read; ids are what is written */
} gen_prompt;
/* Rows of one length: prompt, new ids, padding after the end of a row. free(ids). */
typedef struct gen_result {
    int32_t *ids;
    size_t   batch, times;
} gen_result;
/* on_token (may be NULL) hears each new id of a row that has not ended; false stops that row. */
typedef struct gen_sink {
    snug_status (*on_token)(void *arg, size_t row, int32_t id, bool *more, snug_err *err);
    void *arg;
} gen_sink;
snug_status gen_run(model *m, const gen_conf *conf, const gen_prompt *prompt, const gen_sink *sink,
                    gen_result *out, snug_err *err) SNUG_MUST_USE;

/* Forced and banned ids: `length` columns so far of `room`, of which `prompt` were given. */
void gen_constrain(const gen_conf *conf, size_t prompt, size_t length, size_t room, float *logits);
/* The same by beam search (beam.c): the best of conf->beams rows per prompt. */
snug_status gen_beam(model *m, const gen_conf *conf, const gen_prompt *prompt, gen_result *out,
                     snug_err *err) SNUG_MUST_USE;

/* ---- generation over text (text.c) ---- */

typedef enum gen_finish { GEN_LENGTH, GEN_EOS, GEN_STOP, GEN_CALLER } gen_finish;
typedef struct text_result {
    size_t     prompt_tokens, generated_tokens;
    uint64_t   seed;
    gen_finish finish;
} text_result;
snug_status text_generate(infer_ctx *c, snug_slice prompt, snug_json params,
                          bool (*fn)(void *arg, snug_slice piece), void *arg, text_result *out,
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

/* How many of these texts one pass through the model should take: at least one; more only of an
 * encoder that leaves padding out, so that each result is that of the text alone. */
size_t task_pass(const infer_ctx *c, const tok_ids *const *ids, size_t count);
/* That pass: of each text the values of `name` ([labels], or [tokens, width]), sizes[i] of them:
 * free(). */
snug_status task_run_pass(infer_ctx *c, const tok_ids *const *ids, size_t count, const char *name,
                          float **values_owned, size_t *sizes, snug_err *err) SNUG_MUST_USE;

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
