/* SPDX-License-Identifier: Apache-2.0 */
/* tok/tok.h - tokenizers from tokenizer.json: normalise, split, model, post-process, decode.
 * A tok is immutable after loading and may be shared by any number of threads. */
#ifndef SNUG_TOK_TOK_H
#define SNUG_TOK_TOK_H

#include "base/base.h"

typedef struct tok tok;

enum { TOK_ADD_SPECIAL = 1u }; /* run the post-processor: [CLS] ... [SEP], <s>, ... */

/* Growing result; reuse it between calls. Arrays have count items. */
typedef struct tok_ids {
    uint32_t *ids, *type_ids;
    uint32_t *begin, *end; /* offsets in the text, in code points */
    uint8_t  *special;     /* 1: added by the post-processor */
    size_t    count, cap;
} tok_ids;
void tok_ids_deinit(tok_ids *t);

/* SNUG_EUNSUPPORTED names the part of a tokenizer.json this build does not know. */
snug_status tok_load(snug_slice tokenizer_json, tok **out, snug_err *err) SNUG_MUST_USE;
void        tok_free(tok *t); /* NULL is fine */
snug_status tok_encode(const tok *t, snug_slice text, unsigned flags, tok_ids *out, snug_err *err) SNUG_MUST_USE;
snug_status tok_encode_pair(const tok *t, snug_slice a, snug_slice b, unsigned flags, tok_ids *out, snug_err *err) SNUG_MUST_USE;
snug_status tok_decode(const tok *t, const uint32_t *ids, size_t n, bool skip_special, snug_buf *out, snug_err *err) SNUG_MUST_USE;
size_t      tok_vocab_size(const tok *t); /* added tokens included */
bool        tok_token_to_id(const tok *t, snug_slice token, uint32_t *id);
snug_slice  tok_id_to_token(const tok *t, uint32_t id); /* empty when unknown */

/* Streaming decode: feeds one id, appends what became certain; never splits a code point. */
typedef struct tok_stream tok_stream;
tok_stream *tok_stream_new(const tok *t, bool skip_special);
snug_status tok_stream_push(tok_stream *s, uint32_t id, snug_buf *out, snug_err *err) SNUG_MUST_USE;
snug_status tok_stream_end(tok_stream *s, snug_buf *out, snug_err *err) SNUG_MUST_USE;
void        tok_stream_free(tok_stream *s);

#endif
