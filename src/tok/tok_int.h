/* SPDX-License-Identifier: Apache-2.0 */
/* tok/tok_int.h - what the files of tok/ share.
 *
 * A text on its way through the pipeline is a list of pieces. Each piece knows, for every byte of
 * its present text, which bytes of the original that byte stands for; so offsets stay exact however
 * often the text is rewritten. Most pieces of most texts are never rewritten: they are views of the
 * original and carry no table. */
#ifndef SNUG_TOK_INT_H
#define SNUG_TOK_INT_H

#include "tok/tok.h"

enum {
    TOK_NORMAL_MAX = 16 * 1024 * 1024, /* bytes of a text after normalisation */
    TOK_NEST_MAX = 8,                  /* Sequence within Sequence */
    TOK_PARTS_MAX = 64,                /* members of one Sequence, parts of one template */
    TOK_ADDED_LEN_MAX = 1024,          /* bytes of an added token */
    TOK_MATCH_MS = 20000               /* regular expressions on one text */
};

/* ---- uni.c: classes of code points ---- */

bool     tok_is_space(uint32_t cp);      /* White_Space */
bool     tok_is_letter(uint32_t cp);     /* L* */
bool     tok_is_number(uint32_t cp);     /* N* */
bool     tok_is_word(uint32_t cp);       /* \w of UTS 18: Alphabetic, M*, Nd, Pc, joiners */
bool     tok_is_punct(uint32_t cp);      /* P* and the ASCII symbols */
bool     tok_is_mark(uint32_t cp);       /* M* */
bool     tok_is_nonspacing(uint32_t cp); /* Mn */
bool     tok_is_control(uint32_t cp);    /* Cc, Cf, Co but not tab and line ends */
bool     tok_is_chinese(uint32_t cp);    /* the blocks BERT isolates */
unsigned tok_lower(uint32_t cp, uint32_t out[2]); /* how many: 1 or 2 */

/* scripts.c: a number per script; 0: goes with any */
unsigned tok_script(uint32_t cp);

static inline unsigned tok_utf8_len(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Decodes at p, which holds valid UTF-8: texts are checked once, on entry. */
static inline uint32_t tok_cp(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) return p[0];
    if (p[0] < 0xe0) return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    if (p[0] < 0xf0) return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

bool tok_is_ascii(const char *p, size_t n);

/* ---- bytes as visible characters, as in GPT-2 ---- */
uint32_t tok_byte_to_cp(unsigned char b);
int      tok_cp_to_byte(uint32_t cp); /* -1: stands for no byte */

/* ---- vocab.c ---- */

typedef struct tok_vocab {
    snug_slice *keys; /* in order of insertion */
    uint32_t   *ids;
    size_t      count, cap;
    uint64_t   *slots; /* part of the hash << 32 | index into keys + 1; 0: free */
    size_t      mask;
    uint64_t    seed;
    size_t      len_max; /* of a key */
} tok_vocab;
/* Room for n keys from the arena; false: no memory. */
bool tok_vocab_init(tok_vocab *v, snug_arena *a, size_t n);
void tok_vocab_put(tok_vocab *v, snug_slice key,
                   uint32_t id); /* key must outlive v; last id wins */
bool tok_vocab_get(const tok_vocab *v, snug_slice key, uint32_t *id);
/* At most TOK_MANY at once, several times as fast in a large table; TOK_NO_VALUE: no such key. */
enum { TOK_MANY = 64 };
void tok_vocab_put_many(tok_vocab *v, const snug_slice *keys, const uint32_t *ids, size_t n);
void tok_vocab_get_many(const tok_vocab *v, const snug_slice *keys, uint32_t *ids, size_t n);
/* The same for keys that come in order of insertion: *at says which is likely the next. */
bool tok_vocab_get_next(const tok_vocab *v, snug_slice key, size_t *at, uint32_t *id);

typedef struct tok_trie_node {
    uint64_t tails; /* which of the bytes 0x80 to 0xBF, that go on a character, have a kid */
    uint32_t kids;  /* index of the first */
    uint32_t value; /* TOK_NO_VALUE: no key ends here */
    uint16_t count;
    uint8_t  byte, low; /* how many kids have a byte below 0x80 */
} tok_trie_node;
typedef struct tok_trie {
    const tok_trie_node *nodes; /* NULL: empty; nodes[0] is the root */
    uint32_t             count;
    uint32_t             root[256]; /* node by first byte; 0: none */
} tok_trie;
enum { TOK_TRIE_BYTES_MAX = 32 * 1024 * 1024 };
#define TOK_NO_VALUE UINT32_MAX
/* values[i] belongs to keys[i]; of equal keys the last counts; empty keys are left out. */
snug_status tok_trie_build(tok_trie *t, snug_arena *a, const snug_slice *keys,
                           const uint32_t *values, size_t n, snug_err *err) SNUG_MUST_USE;
uint32_t tok_trie_step(const tok_trie *t, uint32_t node, unsigned char byte); /* 0: no such child */

/* ---- text.c: pieces ---- */

typedef struct tok_span {
    uint32_t begin, end;
} tok_span; /* bytes of the original */

typedef struct tok_piece {
    const char     *text;
    uint32_t        len;
    uint32_t        orig;  /* where in the original it began when it was last cut */
    const tok_span *align; /* per byte of text; NULL: byte i is byte orig + i */
    bool            added; /* an added token: id is decided */
    uint32_t        id;
} tok_piece;

typedef struct tok_pieces {
    tok_piece *items;
    size_t     count, cap;
} tok_pieces;

typedef struct tok_builder {
    char     *text;
    tok_span *align;
    size_t    len, cap;
    bool      full;
} tok_builder;

typedef struct tok_match {
    uint32_t begin, end;
    bool     hit;
} tok_match;

typedef struct tok_token {
    uint32_t   id, begin, end; /* bytes of the original, later code points */
    uint32_t   word;           /* piece of its text */
    snug_slice surface;        /* ptr NULL: as in the vocabulary */
} tok_token;

typedef struct tok_change {
    uint32_t cp;
    int      change;
} tok_change; /* see tok_apply_changes */
typedef struct tok_changes {
    tok_change *items;
    size_t      count, cap;
    bool        full; /* more than TOK_NORMAL_MAX */
} tok_changes;

typedef struct tok_scratch { /* a growing block */
    void  *ptr;
    size_t size;
} tok_scratch;
void *tok_scratch_need(tok_scratch *s, size_t n);

/* What a short piece became, by its bytes: most words of a text were seen before. */
enum { TOK_WORD_BYTES = 24, TOK_WORD_TOKENS = 7, TOK_WORDS = 32768 };
typedef struct tok_word {
    uint64_t key[3]; /* the bytes, zeros behind */
    uint32_t ids[TOK_WORD_TOKENS];
    uint8_t  ends[TOK_WORD_TOKENS]; /* in bytes of the piece; a token begins where one ended */
    uint8_t  size_count;            /* bytes << 3 | tokens; 0: free */
} tok_word;

/* Everything one call of tok_encode needs. What it allocated goes back to the tokenizer's pool for
 * the next call, so a call allocates nothing once a few were made. */
typedef struct tok_work {
    const tok            *t;
    snug_arena           *arena;
    snug_slice            original;
    unsigned              flags;
    snug_err             *err;
    tok_pieces            pieces, next;
    tok_builder           build[2];
    unsigned              flip;
    tok_match            *matches;
    size_t                match_count, match_cap;
    tok_token            *tokens;
    size_t                token_count, token_cap;
    void                 *match_data;  /* regex.c */
    uint64_t              deadline_ns; /* of the patterns; 0: not set yet */
    tok_changes           changes;
    tok_scratch           model[2];
    tok_word             *words; /* TOK_WORDS of them, by hash; NULL: not wanted yet */
    uint32_t              word;  /* piece at hand, counted in its text */
    size_t                told; /* tokens emitted for the piece at hand; SIZE_MAX: not to be kept */
    tok_word              telling; /* what they are */
    bool                  within;  /* a longer piece is being cut at seams */
    struct tok_work      *shell;   /* where the pool keeps this */
    uint64_t              random;  /* of a model with dropout */
    const tok_truncation *early;   /* NULL: every piece becomes tokens */
} tok_work;

/* ---- pool.c: between two calls ---- */

typedef struct tok_pool tok_pool;
tok_pool               *tok_pool_new(snug_arena *a); /* freed with the arena */
/* Runs the model on a piece, or remembers what it did. */
snug_status tok_run_model(tok_work *w, const tok_piece *p) SNUG_MUST_USE;

void tok_work_init(tok_work *w, const tok *t, unsigned flags, snug_err *err);
void tok_work_deinit(tok_work *w);

void      tok_push(tok_pieces *list, tok_piece p); /* drops empty pieces */
tok_piece tok_cut(const tok_piece *p, uint32_t begin, uint32_t end);
tok_span  tok_span_at(const tok_piece *p, uint32_t i); /* what byte i stands for */

/* Rewriting: begin, put every character with what it stands for, end (p then views the builder),
 * and settle when the piece must live longer than the next rewriting. */
tok_builder *tok_build_begin(tok_work *w);
void         tok_build_put(tok_builder *b, uint32_t cp, tok_span s);
void         tok_build_copy(tok_builder *b, const tok_piece *p, uint32_t begin, uint32_t end);
snug_status  tok_build_end(tok_work *w, tok_piece *p) SNUG_MUST_USE;
snug_status  tok_settle(tok_work *w, tok_piece *p) SNUG_MUST_USE;
void         tok_changes_put(tok_changes *list, uint32_t cp, int change);
/* Rewrites p from a list in which change <= 0 takes 1 - change characters of p and gives the new
 * one the span of the first, and change > 0 adds a character beside the one before it. */
snug_status tok_apply_changes(tok_work *w, tok_piece *p, const tok_changes *list) SNUG_MUST_USE;
/* Puts `text` in front; it stands for what the first character stands for. */
snug_status tok_prepend(tok_work *w, tok_piece *p, snug_slice text) SNUG_MUST_USE;
/* Maps every byte to its visible character. */
snug_status tok_map_bytes(tok_work *w, tok_piece *p) SNUG_MUST_USE;

void tok_put_match(tok_work *w, size_t begin, size_t end, bool hit);
void tok_emit(tok_work *w, const tok_piece *p, uint32_t id, size_t begin, size_t end,
              snug_slice surface);

/* ---- regex.c: patterns of tokenizer.json (Oniguruma's dialect) over PCRE2 ---- */

typedef struct tok_pattern tok_pattern;
/* {"String": s} or {"Regex": s}. */
snug_status tok_pattern_load(snug_arena *a, snug_json v, const tok_pattern **out,
                             snug_err *err) SNUG_MUST_USE;
/* Fills w->matches with alternating gaps and hits that tile the text. */
snug_status tok_pattern_run(const tok_pattern *p, tok_work *w, const char *text,
                            size_t len) SNUG_MUST_USE;
/* The dialect, translated: for tests. */
snug_status tok_regex_translate(snug_slice onig, snug_buf *out, snug_err *err) SNUG_MUST_USE;
void        tok_match_data_free(void *md);

/* ---- split.c: the well-known patterns by hand ---- */

typedef struct tok_split tok_split;
const tok_split         *tok_split_find(snug_slice pattern); /* NULL: none of them */
/* End of the match (*hit) or gap that starts at `at`; gaps between two matches are one. */
size_t tok_split_next(const tok_split *s, const char *text, size_t len, size_t at, bool *hit);
/* The splitter a pattern is, if it is one by hand. */
const tok_split  *tok_pattern_split(const tok_pattern *p);
extern const char tok_gpt2_regex[], tok_llama3_regex[], tok_qwen2_regex[], tok_o200k_regex[];
size_t            tok_gpt2_next(const char *text, size_t len, size_t at);

/* ---- the five parts ---- */

typedef struct tok_norm  tok_norm;
typedef struct tok_pre   tok_pre;
typedef struct tok_post  tok_post;
typedef struct tok_stage tok_stage;

snug_status tok_norm_load(snug_arena *a, snug_json v, unsigned depth, const tok_norm **out,
                          snug_err *err) SNUG_MUST_USE;
snug_status tok_norm_run(const tok_norm *n, tok_work *w, tok_piece *p) SNUG_MUST_USE;

/* nfc.c */
typedef enum tok_form { TOK_NFC, TOK_NFD, TOK_NFKC, TOK_NFKD } tok_form;
snug_status tok_normal_form(tok_work *w, tok_piece *p, tok_form form) SNUG_MUST_USE;
/* charsmap.c: sentencepiece's compiled normalisation */
typedef struct tok_charsmap tok_charsmap;
snug_status tok_charsmap_load(snug_arena *a, snug_slice base64, const tok_charsmap **out,
                              snug_err *err) SNUG_MUST_USE;
snug_status tok_charsmap_run(const tok_charsmap *m, tok_work *w, tok_piece *p) SNUG_MUST_USE;
/* As sentencepiece itself does it: the longest text with an entry, wherever it ends. */
snug_status tok_charsmap_run_longest(const tok_charsmap *m, tok_work *w,
                                     tok_piece *p) SNUG_MUST_USE;

snug_status tok_pre_load(snug_arena *a, snug_json v, unsigned depth, const tok_pre **out,
                         snug_err *err) SNUG_MUST_USE;
snug_status tok_pre_run(const tok_pre *p, tok_work *w) SNUG_MUST_USE;
/* True when ByteLevel comes last and once, so the model may take bytes as they are. */
bool tok_pre_ends_in_bytes(const tok_pre *p);

typedef struct tok_model_type {
    const char *name;
    snug_status (*load)(tok *t, snug_json v, snug_err *err);
    snug_status (*run)(const tok *t, tok_work *w, const tok_piece *p);
} tok_model_type;
extern const tok_model_type tok_bpe_type, tok_wordpiece_type, tok_wordlevel_type, tok_unigram_type;
/* {"token": id, ...} into t->vocab. */
snug_status tok_model_load_vocab(tok *t, snug_json vocab, snug_err *err) SNUG_MUST_USE;

/* One run of ids in the final sequence: a stretch of tokens or one special token. */
typedef struct tok_run {
    const tok_token *tokens; /* NULL: special_id */
    size_t           count;
    uint32_t         special_id, type_id;
    uint8_t          sequence;    /* of tokens: which text they are of */
    unsigned         trims;       /* how often offsets lose the spaces at their ends ... */
    unsigned         trim_prefix; /* ... and, bit by bit, whether one was put there by us */
} tok_run;
typedef struct tok_runs {
    tok_run items[TOK_PARTS_MAX];
    size_t  count;
} tok_runs;
snug_status tok_post_load(snug_arena *a, snug_json v, unsigned depth, const tok_post **out,
                          snug_err *err) SNUG_MUST_USE;
size_t      tok_post_added(const tok_post *p, bool pair);
snug_status tok_post_run(const tok_post *p, bool add_special, tok_runs *runs,
                         snug_err *err) SNUG_MUST_USE;
snug_status tok_runs_write(const tok *t, const tok_runs *runs, unsigned flags, tok_ids *out,
                           snug_err *err) SNUG_MUST_USE;

/* window.c */
typedef struct tok_window {
    size_t begin, end;
} tok_window;
/* The windows of n tokens; *count 0 never happens. Freed by free(). */
snug_status tok_window_list(size_t n, size_t length_max, uint32_t stride, bool left,
                            tok_window **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status tok_ids_reserve(tok_ids *t, size_t n, snug_err *err) SNUG_MUST_USE;

/* A list of stages, each fed by the one before; without a decoder tokens are joined by spaces. */
snug_status tok_stage_load(snug_arena *a, snug_json v, const tok_stage **out, size_t *count,
                           snug_err *err) SNUG_MUST_USE;

/* ---- added.c ---- */

typedef struct tok_added {
    snug_slice content;
    uint32_t   id;
    bool       single_word, lstrip, rstrip, normalized, special;
} tok_added;
snug_status tok_added_load(tok *t, snug_json list, snug_err *err) SNUG_MUST_USE;
/* Cuts p at added tokens of one kind and pushes the parts. */
void tok_added_cut(tok_work *w, const tok_piece *p, bool normalized, tok_pieces *out);

/* ---- seam.c: where no token reaches across ---- */

/* The places between two characters, the second of three bytes or more, that some token spans. */
uint64_t *tok_seams_new(snug_arena *a, const tok_vocab *mapped);
/* The first place after `at` where the text can be cut, or len. */
size_t tok_seam_next(const uint64_t *seams, const char *text, size_t len, size_t at);

/* ---- the tokenizer ---- */

typedef struct tok_merge {
    uint64_t pair;
    uint32_t rank, id;
} tok_merge;

typedef struct tok_bpe {
    tok_merge *merges;
    uint64_t  *slots; /* open addressing by pair: part of the hash << 32 | index + 1; 0: free */
    size_t     merge_count, mask;
    uint64_t   seed;
    double     dropout;
    snug_slice unk, prefix, suffix;
    bool       has_unk, unk_known, fuse_unk, byte_fallback, ignore_merges;
    struct tok_back *back;    /* back.c; NULL: not raw */
    bool             can_raw; /* every byte has a token: ByteLevel may leave the mapping to us */
    uint32_t         unk_id;
    uint32_t         byte_ids[256]; /* "<0x41>"; UINT32_MAX: none */
    uint32_t         raw_ids[256];  /* of the visible character of a byte */
    uint32_t         char_ids[512]; /* one-character tokens of low code points; UINT32_MAX: none */
} tok_bpe;

typedef struct tok_wordpiece {
    snug_slice unk, prefix;
    uint64_t   chars_max;
    bool       unk_known;
    uint32_t   unk_id;
} tok_wordpiece; /* WordLevel uses unk alone */

typedef struct tok_unigram {
    tok_trie trie;
    double  *scores; /* by id */
    double   unk_score;
    uint32_t unk_id;
    bool     has_unk, byte_fallback;
    bool     single; /* sums in float */
    uint32_t byte_ids[256];
} tok_unigram;

/* ---- back.c: the same tokens, found from left to right ---- */

typedef struct tok_back tok_back;
tok_back               *tok_back_new(snug_arena *a); /* freed with the arena */
/* Emits the tokens of a piece of bytes. False, and nothing was emitted: merge by rank instead. */
bool tok_back_run(const tok *t, tok_work *wk, const tok_piece *p);
/* seam.c's table, once back.c has refused the vocabulary; else NULL. */
const uint64_t *tok_back_seams(const tok_back *s);

struct tok {
    snug_arena           *arena;
    tok_pool             *pool;
    bool                  random; /* the model gives other tokens each time */
    bool                  raw;    /* pieces reach the model as bytes, not as visible characters */
    tok_vocab             vocab;  /* of the model */
    const tok_model_type *model;
    union {
        tok_bpe       bpe;
        tok_wordpiece wp;
        tok_unigram   uni;
    } m;
    tok_added       *added;
    size_t           added_count;
    tok_vocab        added_ids;
    tok_trie         trie_raw, trie_norm; /* values are indices into added */
    const tok_norm  *norm;
    const tok_pre   *pre;
    const tok_post  *post;
    const tok_stage *stages;
    size_t           stage_count;
    snug_slice      *by_id;
    uint8_t         *special; /* by id: decoding may skip it */
    uint32_t         id_count;
    size_t           distinct;
    tok_truncation   truncation;
    tok_padding      padding;
};

/* {"type": ...} as a string; empty when absent. */
snug_slice tok_type_of(snug_json v);
/* An optional string member: *set says whether it is there and not null. */
snug_status tok_opt_str(snug_arena *a, snug_json v, const char *key, snug_slice *out, bool *set,
                        snug_err *err) SNUG_MUST_USE;
/* Leaves one text in w->pieces, as the model is to see it. */
snug_status tok_cut_text(tok_work *w, snug_slice text) SNUG_MUST_USE;
/* Encodes one text into w->tokens (appended). */
snug_status tok_encode_text(tok_work *w, snug_slice text) SNUG_MUST_USE;

#endif
