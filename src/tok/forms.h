/* SPDX-License-Identifier: Apache-2.0 */
/* tok/forms.h - the older forms of tokenizers, each rewritten as a tokenizer.json.
 *
 * One form in, one document out: the pipeline of tok.c stays the only one there is. */
#ifndef SNUG_TOK_FORMS_H
#define SNUG_TOK_FORMS_H

#include "tok/tok.h"

/* What stands beside the tokenizer in its folder; absent values where there is no such file. */
typedef struct tok_beside {
    snug_arena *arena;
    snug_json   config;   /* tokenizer_config.json */
    snug_json   specials; /* special_tokens_map.json */
    snug_json   added;    /* added_tokens.json */
    snug_slice  merges;   /* merges.txt */
    snug_slice  name;     /* of the file itself */
    uint64_t    size;     /* of the file, when only its head was read (GGUF) */
} tok_beside;

typedef snug_status tok_form_fn(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err);
tok_form_fn         tok_form_vocab_txt, tok_form_vocab_json, tok_form_tiktoken, tok_form_tekken;
tok_form_fn         tok_form_spm;  /* spm.c; or tiktoken's lines under the same name */
tok_form_fn         tok_form_gguf; /* gguf.c: the head of the file, up to the tensors */

/* ---- shared by the forms ---- */

/* "added_tokens": the special tokens of the files beside, and those with ids of their own. `known`
 * has the model's tokens. */
struct tok_vocab;
void tok_form_put_added(const tok_beside *b, snug_json_out *o, const struct tok_vocab *known);
/* A special token by its role ("bos_token"), or dflt. */
snug_slice tok_form_special(const tok_beside *b, const char *role, const char *dflt);
bool       tok_form_flag(const tok_beside *b, const char *key, bool dflt);
snug_slice tok_form_class(const tok_beside *b); /* "LlamaTokenizer"; "Fast" is cut off */
/* {"type": t} with nothing else. */
void tok_form_put_type(snug_json_out *o, const char *key, const char *type);
/* TemplateProcessing: before and after may be empty. */
void tok_form_put_template(snug_json_out *o, snug_slice before, uint32_t before_id,
                           snug_slice after, uint32_t after_id);

/* ---- spm.c: what a SentencePiece model says, in a file of its own or in a GGUF ---- */

enum {
    TOK_SPM_NORMAL = 1,
    TOK_SPM_UNKNOWN,
    TOK_SPM_CONTROL,
    TOK_SPM_USER,
    TOK_SPM_UNUSED,
    TOK_SPM_BYTE
};
typedef struct tok_spm_piece {
    snug_slice text;
    float      score;
    unsigned   type;
    uint32_t   rank;
} tok_spm_piece;
typedef struct tok_spm {
    tok_spm_piece *pieces;
    size_t         count;
    bool           bpe, byte_fallback, prefix, squeeze, escape, one_word;
    bool           add_bos, add_eos;
    uint64_t       unk, bos, eos;
    snug_slice     map; /* the compiled normalisation */
} tok_spm;
snug_status tok_spm_put(const tok_beside *b, tok_spm *m, snug_buf *out,
                        snug_err *err) SNUG_MUST_USE;

/* Splits before ByteLevel, isolated, `patterns` NULL-ended; and its decoder. */
void tok_form_put_splitters(snug_json_out *o, const char *const *patterns);
void tok_form_put_one_added(snug_json_out *o, snug_slice content, uint64_t id, bool special);

#endif
