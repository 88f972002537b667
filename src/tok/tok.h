/* SPDX-License-Identifier: Apache-2.0 */
/* tok/tok.h - tokenizers from tokenizer.json: normalise, split, model, post-process, decode.
 * A tok is immutable after loading and may be shared by any number of threads. */
#ifndef SNUG_TOK_TOK_H
#define SNUG_TOK_TOK_H

#include "base/base.h"

typedef struct tok tok;

enum {
    TOK_JSON_MAX = 64 * 1024 * 1024, /* bytes of tokenizer.json */
    TOK_TEXT_MAX = 8 * 1024 * 1024,  /* bytes of one text */
    TOK_ID_MAX = (1 << 22) - 1,
    TOK_WINDOWS_MAX = 4096
};

enum {
    TOK_ADD_SPECIAL = 1u,     /* run the post-processor: [CLS] ... [SEP], <s>, ... */
    TOK_SPECIAL_AS_TEXT = 2u, /* special tokens written in the text are plain text */
    TOK_KEEP_TEXTS = 4u       /* fill what tok_ids_text gives */
};

enum { TOK_NO_TEXT = 255 };
#define TOK_NO_WORD UINT32_MAX

/* Growing result; reuse it between calls. Arrays have count items. */
typedef struct tok_ids {
    uint32_t *ids, *type_ids;
    uint32_t *begin, *end; /* offsets in the text, in code points */
    uint32_t *word;        /* which piece of its text, as the pre-tokenizer cut it; TOK_NO_WORD */
    uint8_t  *special;     /* 1: added by the post-processor or by padding */
    uint8_t  *attention;   /* 0: padding */
    uint8_t  *sequence;    /* 0 the first text, 1 the second, TOK_NO_TEXT: neither */
    size_t    count, cap;
    snug_buf  texts; /* with TOK_KEEP_TEXTS: token texts, one behind the other ... */
    uint32_t *text_ends;
    size_t    text_cap;
} tok_ids;
void tok_ids_deinit(tok_ids *t);
/* The token as it stands in the vocabulary or, when one id stands for many texts (unknown and added
 * tokens), as the text had it. Only after encoding with TOK_KEEP_TEXTS, before padding. */
snug_slice tok_ids_text(const tok_ids *t, size_t index);

/* SNUG_EUNSUPPORTED names the part of a tokenizer.json this build does not know. */
snug_status tok_load(snug_slice tokenizer_json, tok **out, snug_err *err) SNUG_MUST_USE;
/* A tokenizer file, or a folder that holds one: see forms[] in open.c. */
snug_status tok_open(const char *path, tok **out, snug_err *err) SNUG_MUST_USE;
/* The tokenizer.json that tok_open loads, made when the file is of another form. */
snug_status tok_open_document(const char *path, snug_buf *out, snug_err *err) SNUG_MUST_USE;
void        tok_free(tok *t); /* NULL is fine */
/* Texts must be valid UTF-8. Never truncates or pads. */
snug_status tok_encode(const tok *t, snug_slice text, unsigned flags, tok_ids *out,
                       snug_err *err) SNUG_MUST_USE;
snug_status tok_encode_pair(const tok *t, snug_slice a, snug_slice b, unsigned flags, tok_ids *out,
                            snug_err *err) SNUG_MUST_USE;
/* Unknown ids are left out. */
snug_status tok_decode(const tok *t, const uint32_t *ids, size_t n, bool skip_special,
                       snug_buf *out, snug_err *err) SNUG_MUST_USE;
/* The same of tokens by their texts, as the vocabulary has them or as they stood in a text. */
snug_status tok_decode_tokens(const tok *t, const snug_slice *tokens, size_t n, snug_buf *out,
                              snug_err *err) SNUG_MUST_USE;
/* What the model puts before tokens inside a word ("##"); empty when it marks words otherwise. */
snug_slice  tok_continuing_prefix(const tok *t);
size_t      tok_vocab_size(const tok *t); /* added tokens included */
bool        tok_token_to_id(const tok *t, snug_slice token, uint32_t *id);
snug_slice  tok_id_to_token(const tok *t, uint32_t id); /* empty when unknown */
bool        tok_is_special(const tok *t, uint32_t id);  /* left out when decoding skips specials */

/* ---- truncation and padding: only when asked ---- */
typedef enum tok_strategy { TOK_LONGEST_FIRST, TOK_ONLY_FIRST, TOK_ONLY_SECOND } tok_strategy;
typedef struct tok_truncation {
    bool         set;        /* the file has this section */
    bool         left;       /* cut at the start instead of the end */
    uint32_t     length_max; /* special tokens included */
    uint32_t     stride;     /* tokens that neighbouring windows share */
    tok_strategy strategy;
    bool         early; /* as tokenizers 0.23.0 to 0.23.2: words after length_max tokens are lost */
} tok_truncation;
typedef struct tok_padding {
    bool     set, left;
    uint32_t fixed;    /* 0: to the longest of the batch */
    uint32_t multiple; /* 0: any length */
    uint32_t id, type_id;
} tok_padding;
const tok_truncation *tok_truncation_of(const tok *t); /* what the file says */
const tok_padding    *tok_padding_of(const tok *t);

/* Windows of at most length_max tokens: the first is the text truncated, the others what was cut
 * off, each with special tokens. b NULL: one text. *out is reused; tok_windows_deinit frees it. */
typedef struct tok_windows {
    tok_ids *items;
    size_t   count, cap;
} tok_windows;
snug_status tok_encode_windows(const tok *t, snug_slice a, const snug_slice *b, unsigned flags,
                               const tok_truncation *tr, tok_windows *out,
                               snug_err *err) SNUG_MUST_USE;
void        tok_windows_deinit(tok_windows *w);
/* Pads every item to one length. */
snug_status tok_pad(const tok_padding *p, tok_ids *batch, size_t n, snug_err *err) SNUG_MUST_USE;

/* Streaming decode: feeds one id, appends what became certain; never splits a code point. */
typedef struct tok_stream tok_stream;
tok_stream               *tok_stream_new(const tok *t, bool skip_special);
snug_status tok_stream_push(tok_stream *s, uint32_t id, snug_buf *out, snug_err *err) SNUG_MUST_USE;
snug_status tok_stream_end(tok_stream *s, snug_buf *out, snug_err *err) SNUG_MUST_USE;
void        tok_stream_free(tok_stream *s); /* NULL is fine */

/* ---- training: words in, a tokenizer.json out ---- */

typedef struct tok_special { /* goes to the front of the vocabulary, in this order */
    snug_slice content;
    bool       single_word, lstrip, rstrip, normalized;
} tok_special;

/* All slices are borrowed until tok_trainer_new returns. */
typedef struct tok_train {
    const char        *model;      /* "BPE", "WordPiece", "Unigram", "WordLevel" */
    snug_slice         like;       /* a tokenizer.json whose parts are kept; empty: usual ones */
    uint32_t           vocab_size; /* special tokens included */
    uint64_t           min_frequency;
    const tok_special *specials;
    size_t             special_count;
    snug_slice         unk;
    bool               byte_fallback; /* 256 tokens "<0x41>" after the special ones */
    snug_slice         alphabet;      /* characters that are tokens in any case */
    /* BPE, WordPiece */
    uint32_t   limit_alphabet, max_token_length; /* in characters; 0: any */
    snug_slice prefix, suffix;                   /* of symbols inside a word, at its end */
    /* Unigram */
    double   shrinking_factor;
    uint32_t sub_iterations, max_piece_length, seed_size;
} tok_train;
typedef struct tok_trainer tok_trainer;

/* What the reference's trainer of this model takes; unknown names have no defaults. */
tok_train tok_train_defaults(const char *model);
/* `like` gives the model when o->model is NULL; and special tokens, unknown token, prefix, suffix
 * and byte fallback where o has none. Byte-level parts bring the 256 bytes as alphabet. */
snug_status tok_trainer_new(const tok_train *o, tok_trainer **out, snug_err *err) SNUG_MUST_USE;
void        tok_trainer_free(tok_trainer *t); /* NULL is fine */
/* One sequence, as normaliser and pre-tokeniser should see it; valid UTF-8, at most TOK_TEXT_MAX.
 * Memory grows with the words that differ. */
snug_status tok_trainer_feed(tok_trainer *t, snug_slice text, snug_err *err) SNUG_MUST_USE;
size_t      tok_trainer_words(const tok_trainer *t); /* that differ */
/* Ends the feeding; appends the document. The result depends on the words and counts alone. */
snug_status tok_trainer_finish(tok_trainer *t, snug_buf *tokenizer_json,
                               snug_err *err) SNUG_MUST_USE;

#endif
