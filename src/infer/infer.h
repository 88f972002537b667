/* SPDX-License-Identifier: Apache-2.0 */
/* infer/infer.h - a model directory plus a task: what `snug run` and `snug forward` call. */
#ifndef SNUG_INFER_INFER_H
#define SNUG_INFER_INFER_H

#include "base/base.h"

/* A loaded model with its tokenizer, from a folder with config.json, safetensors, tokenizer.json,
 * or from a GGUF file. */
typedef struct infer_ctx infer_ctx;
snug_status              infer_open(const char *dir, infer_ctx **out, snug_err *err) SNUG_MUST_USE;
/* The same with an adapter folder over its weights; NULL: none. */
snug_status infer_open_adapted(const char *dir, const char *adapter, infer_ctx **out,
                               snug_err *err) SNUG_MUST_USE;
void        infer_close(infer_ctx *c); /* NULL is fine */

typedef struct infer_task {
    const char *name; /* "text-classification" */
    const char *help;
    /* in: {"inputs": ..., "parameters": {...}} of the inference API; writes its answer. */
    snug_status (*run)(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err);
} infer_task;
const infer_task *infer_find_task(snug_slice name); /* NULL: not built here */
/* The task of a loaded model: from its architecture. */
const infer_task *infer_default_task(const infer_ctx *c);

/* Streams generated text piece by piece; stops early when fn returns false. */
snug_status infer_generate(infer_ctx *c, snug_slice prompt, snug_json parameters,
                           bool (*fn)(void *arg, snug_slice piece), void *arg,
                           snug_err *err) SNUG_MUST_USE;

/* The same with more to say: a prompt, or a conversation that the folder's chat template renders.
 */
typedef struct infer_stats {
    size_t prompt_tokens, generated_tokens;
    double prompt_s, generate_s; /* until the first token, and from there on */
    bool   cut;                  /* it would have gone on */
} infer_stats;
typedef struct infer_text {
    snug_slice prompt;
    snug_json  messages; /* [{"role", "content"}, ...]; absent: the prompt */
    snug_json  parameters;
    bool (*fn)(void *arg, snug_slice piece);
    void        *arg;
    infer_stats *stats; /* may be NULL */
} infer_text;
snug_status infer_stream(infer_ctx *c, const infer_text *what, snug_err *err) SNUG_MUST_USE;
bool        infer_has_chat(infer_ctx *c); /* whether the folder has a chat template */

/* `snug forward`: reads tensors in.* from in_path, runs the class (NULL: config's architectures[0])
 * in float32, writes out.* to out_path; generate (absent: none) -> generated ids as JSON into ids.
 */
snug_status infer_forward_files(const char *dir, const char *class_name, const char *in_path,
                                const char *out_path, snug_json generate, snug_buf *ids,
                                snug_err *err) SNUG_MUST_USE;

/* The same with an adapter folder over the weights; NULL: none. */
snug_status infer_forward_adapted(const char *dir, const char *adapter, const char *class_name,
                                  const char *in_path, const char *out_path, snug_json generate,
                                  snug_buf *ids, snug_err *err) SNUG_MUST_USE;

/* `snug merge-adapter`: a folder of safetensors with an adapter merged into it, as the folder
 * `out`, in files of at most shard_bytes (0: one). */
typedef struct infer_merged {
    size_t   tensors, files;
    uint64_t bytes;
} infer_merged;
snug_status infer_merge_adapter(const char *path, const char *adapter, uint64_t shard_bytes,
                                const char *out, infer_merged *report, snug_err *err) SNUG_MUST_USE;

/* `snug quantize`: a folder, or another GGUF file, as a GGUF file of a type, tokenizer included. */
typedef struct infer_quantize_opts {
    snug_slice type;                                          /* "Q4_K_M": infer_quantize_type */
    bool (*progress)(void *arg, size_t done, size_t tensors); /* NULL: none; false: stop */
    void *progress_arg;
} infer_quantize_opts;
typedef struct infer_quantized {
    size_t   tensors;
    uint64_t bytes;
    bool     tokenizer; /* false: the folder has none */
} infer_quantized;
snug_status infer_quantize(const char *path, const infer_quantize_opts *q, const char *out,
                           infer_quantized *report, snug_err *err) SNUG_MUST_USE;
const char *infer_quantize_type(size_t index); /* NULL past the end */

#endif
