/* SPDX-License-Identifier: Apache-2.0 */
/* infer/sentence.h - vectors of texts, as sentence-transformers folders describe them. Inside
 * infer/. */
#ifndef SNUG_INFER_SENTENCE_H
#define SNUG_INFER_SENTENCE_H

#include "infer/infer_int.h"

/* The modules behind the encoder: pooling, dense layers, normalisation. */
typedef struct sentence sentence;

typedef struct sentence_opts {
    snug_slice prompt; /* name of a prompt; empty: the folder's default */
    bool       cut, cut_left;
    bool       normalize;
    uint64_t   dimensions; /* Matryoshka: the first so many; 0: all */
} sentence_opts;

/* Reads modules.json of a folder; *out NULL when there is none. *body: where the encoder's own
 * files are. A module that is not computed here is refused by name. sentence_free(). */
snug_status sentence_open(snug_arena *a, const char *dir, sentence **out, const char **body,
                          snug_err *err) SNUG_MUST_USE;
/* SNUG_EUNSUPPORTED unless the model is an encoder without a head. */
snug_status sentence_need_body(const infer_ctx *c, snug_err *err) SNUG_MUST_USE;
/* The last hidden state of a text: [times, width], free(). */
snug_status sentence_states(infer_ctx *c, const sentence_opts *o, snug_slice text, float **out,
                            size_t *times, size_t *width, snug_err *err) SNUG_MUST_USE;
/* Its vector: [n], free(). Encoders without modules give the mean over tokens. */
snug_status sentence_embed(infer_ctx *c, const sentence_opts *o, snug_slice text, float **out,
                           size_t *n, snug_err *err) SNUG_MUST_USE;
/* The vectors of several texts, [n] each, the same as one by one: free() each of out[count]. */
snug_status sentence_embed_all(infer_ctx *c, const sentence_opts *o, const snug_slice *texts,
                               size_t count, float **out, size_t *n, snug_err *err) SNUG_MUST_USE;

#endif
