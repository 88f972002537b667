/* SPDX-License-Identifier: Apache-2.0 */
/* infer/gguf_tok.h - the tokenizer of a folder as metadata of a GGUF file. */
#ifndef SNUG_INFER_GGUF_TOK_H
#define SNUG_INFER_GGUF_TOK_H

#include "codec/codec.h"
#include "infer/infer_int.h"

/* For a model of `count` embeddings. SNUG_EUNSUPPORTED: the format has no words for it. */
snug_status gguf_tok_make(snug_arena *a, const char *dir, size_t count, const codec_gguf_kv **kvs,
                          size_t *kv_count, snug_err *err) SNUG_MUST_USE;

#endif
