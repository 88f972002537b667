/* SPDX-License-Identifier: Apache-2.0 */
/* tok/train.h - what the trainers share. Private to tok/. */
#ifndef SNUG_TOK_TRAIN_H
#define SNUG_TOK_TRAIN_H

#include "tok/tok_int.h"

/* ---- words.c: how often each word came ---- */

typedef struct tok_count {
    snug_slice word;
    uint64_t   count;
} tok_count;
typedef struct tok_counts {
    snug_arena *arena; /* the words */
    tok_count  *items;
    uint32_t   *slots; /* index + 1; 0: free */
    size_t      count, cap, mask;
    uint64_t    seed;
} tok_counts;
enum { TOK_TRAIN_WORDS_MAX = 1 << 30, TOK_TRAIN_SYMBOLS_MAX = INT32_MAX };

tok_counts  tok_counts_new(void);
void        tok_counts_free(tok_counts *c);
snug_status tok_counts_add(tok_counts *c, snug_slice word, uint64_t n, snug_err *err) SNUG_MUST_USE;
/* The most frequent first, then by bytes: the order in which the trainers look at words. */
void tok_counts_sort(tok_counts *c);

/* ---- what a trainer makes ---- */

typedef struct tok_made {
    snug_slice *tokens; /* by id; ptr NULL: none */
    double     *scores; /* Unigram only */
    size_t      count;
    uint64_t   *merges; /* BPE: left id << 32 | right id, in order */
    size_t      merge_count;
} tok_made;

typedef struct tok_trainer_type {
    const char *name;  /* of the model */
    const char *parts; /* what a tokenizer of this kind usually has, as members of tokenizer.json */
    snug_status (*train)(const tok_train *o, const tok_counts *words, snug_arena *a, tok_made *out,
                         snug_err *err);
} tok_trainer_type;

snug_status tok_train_bpe(const tok_train *o, const tok_counts *words, snug_arena *a, tok_made *out,
                          snug_err *err) SNUG_MUST_USE;
snug_status tok_train_unigram(const tok_train *o, const tok_counts *words, snug_arena *a,
                              tok_made *out, snug_err *err) SNUG_MUST_USE;
snug_status tok_train_wordlevel(const tok_train *o, const tok_counts *words, snug_arena *a,
                                tok_made *out, snug_err *err) SNUG_MUST_USE;

/* ---- train_write.c ---- */

/* The document: parts of `like`, the usual ones where it has none, and what was made. */
snug_status tok_train_write(const tok_train *o, const tok_trainer_type *type, const tok_made *made,
                            snug_arena *a, snug_buf *out, snug_err *err) SNUG_MUST_USE;

#endif
