/* SPDX-License-Identifier: Apache-2.0 */
/* tok/train.c - from texts to a tokenizer: normalise, split, count, and let a trainer choose
 * tokens.
 *
 * For:     cli/.
 * Owns:    the counted words and what the caller asked for, copied.
 * Threads: one at a time.
 *
 * A new kind of model also needs: a row in trainer_types, a test against the reference in
 * tests/clients/test_tokenize_train.py. */
#include <stdlib.h>

#include "tok/train.h"

#define BYTE_LEVEL                                                                                 \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define METASPACE                                                                                  \
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\","      \
    "\"split\":true}"

static const tok_trainer_type trainer_types[] = {
    {"BPE", "{\"pre_tokenizer\":" BYTE_LEVEL ",\"decoder\":" BYTE_LEVEL "}", tok_train_bpe},
    {"WordPiece",
     "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
     "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
     "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
     "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}}",
     tok_train_bpe},
    {"Unigram",
     "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":"
     "\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}]},"
     "\"pre_tokenizer\":" METASPACE ",\"decoder\":" METASPACE "}",
     tok_train_unigram},
    {"WordLevel", "{\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", tok_train_wordlevel},
};

struct tok_trainer {
    snug_arena             *arena;
    tok_train               o;
    const tok_trainer_type *type;
    tok                    *pipeline; /* its model is never run */
    tok_counts              words;
};

tok_train tok_train_defaults(const char *model)
{
    bool unigram = model != NULL && strcmp(model, "Unigram") == 0;
    bool pieces = model != NULL && strcmp(model, "WordPiece") == 0;
    return (tok_train){.model = model,
                       .vocab_size = unigram ? 8000 : 30000,
                       .prefix = pieces ? SNUG_LIT("##") : SNUG_EMPTY,
                       .shrinking_factor = 0.75,
                       .sub_iterations = 2,
                       .max_piece_length = 16,
                       .seed_size = 1000000};
}

/* ---- WordLevel: the most frequent words ---- */

snug_status tok_train_wordlevel(const tok_train *o, const tok_counts *words, snug_arena *a,
                                tok_made *out, snug_err *err)
{
    size_t    most = o->special_count + words->count;
    tok_vocab seen;
    if (most > o->vocab_size) most = o->vocab_size;
    out->tokens = snug_arena_array_try(a, most + 1, sizeof *out->tokens);
    if (out->tokens == NULL || !tok_vocab_init(&seen, a, most + 1))
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", most);
    for (size_t i = 0; i < o->special_count && out->count < most; i++)
        out->tokens[out->count++] = o->specials[i].content;
    for (size_t i = 0; i < words->count && out->count < most; i++) {
        if (words->items[i].count < o->min_frequency) break; /* they come by count */
        out->tokens[out->count++] = words->items[i].word;
    }
    /* A word that is a special token too has the later of its ids, as in the reference. */
    for (size_t i = out->count; i > 0; i--) {
        uint32_t id;
        if (tok_vocab_get(&seen, out->tokens[i - 1], &id))
            out->tokens[i - 1] = SNUG_EMPTY;
        else
            tok_vocab_put(&seen, out->tokens[i - 1], (uint32_t)i);
    }
    return SNUG_OK;
}

/* ---- what is asked for ---- */

static bool mentions_bytes(snug_json v, unsigned depth)
{
    if (depth > TOK_NEST_MAX) return false;
    if (snug_eq_str(tok_type_of(v), "ByteLevel")) return true;
    static const char *const lists[] = {"normalizers", "pretokenizers"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (snug_json_iter it = snug_json_iter_of(snug_json_get(v, lists[i]));
             snug_json_next(&it);)
            if (mentions_bytes(it.value, depth + 1)) return true;
    }
    return false;
}

static snug_slice byte_alphabet(snug_arena *a)
{
    char  *text = snug_arena_alloc(a, 512);
    size_t n = 0;
    for (unsigned b = 0; b < 256; b++)
        n += snug_utf8_put(tok_byte_to_cp((unsigned char)b), text + n);
    return snug_slice_of(text, n);
}

/* The special tokens of `like`, then the caller's that are not among them. */
static snug_status gather_specials(tok_trainer *t, snug_json like, snug_err *err)
{
    snug_json    list = snug_json_get(like, "added_tokens");
    size_t       most = snug_json_count(list) + t->o.special_count, n = 0;
    tok_special *all = snug_arena_array_try(t->arena, most + 1, sizeof *all);
    if (all == NULL || most > TOK_ID_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%zu special tokens are too many", most);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        snug_slice content = snug_json_str_or(it.value, "content", SNUG_EMPTY);
        if (content.len == 0 || !snug_json_bool_or(it.value, "special", false)) continue;
        all[n++] = (tok_special){content, snug_json_bool_or(it.value, "single_word", false),
                                 snug_json_bool_or(it.value, "lstrip", false),
                                 snug_json_bool_or(it.value, "rstrip", false),
                                 snug_json_bool_or(it.value, "normalized", false)};
    }
    for (size_t i = 0; i < t->o.special_count; i++) {
        tok_special s = t->o.specials[i];
        bool        twice = false;
        for (size_t k = 0; k < n; k++) twice |= snug_eq(all[k].content, s.content);
        if (twice || s.content.len == 0) continue;
        s.content = snug_arena_dup(t->arena, s.content);
        all[n++] = s;
    }
    t->o.specials = all;
    t->o.special_count = n;
    return SNUG_OK;
}

static void keep_text(snug_arena *a, snug_slice *mine, snug_json model, const char *key)
{
    if (mine->len == 0) *mine = snug_json_str_or(model, key, SNUG_EMPTY);
    *mine = snug_arena_dup(a, *mine);
}

/* Unigram names it by its place. */
static snug_slice unk_of_list(snug_json model)
{
    snug_slice text = SNUG_EMPTY;
    uint64_t   id;
    if (!snug_json_to_u64(snug_json_get(model, "unk_id"), &id)) return SNUG_EMPTY;
    (void)snug_json_to_str(snug_json_at(snug_json_at(snug_json_get(model, "vocab"), id), 0), &text);
    return text;
}

static snug_status settle(tok_trainer *t, snug_json like, snug_err *err)
{
    tok_train *o = &t->o;
    snug_json  model = snug_json_get(like, "model");
    snug_slice name = o->model != NULL ? snug_str(o->model) : tok_type_of(model);
    for (size_t i = 0; i < sizeof trainer_types / sizeof trainer_types[0]; i++) {
        if (snug_eq_str(name, trainer_types[i].name)) t->type = &trainer_types[i];
    }
    if (t->type == NULL)
        return snug_fail(err, SNUG_EUNSUPPORTED, "model \"%.*s\" cannot be trained",
                         SNUG_SLICE(snug_sub(name, 0, 40)));
    if (!snug_eq(name, tok_type_of(model))) model = (snug_json){NULL};
    o->model = t->type->name;
    if (o->vocab_size == 0 || o->vocab_size > TOK_ID_MAX)
        return snug_fail(err, SNUG_EINVAL, "the vocabulary must have 1 to %d tokens", TOK_ID_MAX);
    if (!snug_utf8_valid(o->alphabet))
        return snug_fail(err, SNUG_EINVAL, "the alphabet is not valid UTF-8");
    o->alphabet = snug_arena_dup(t->arena, o->alphabet);
    keep_text(t->arena, &o->unk, model, "unk_token");
    keep_text(t->arena, &o->prefix, model, "continuing_subword_prefix");
    keep_text(t->arena, &o->suffix, model, "end_of_word_suffix");
    if (o->unk.len == 0) o->unk = snug_arena_dup(t->arena, unk_of_list(model));
    return gather_specials(t, like, err);
}

/* A tokenizer that does everything but the model. */
static snug_status make_pipeline(tok_trainer *t, snug_json parts, snug_err *err)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(TOK_JSON_MAX);
    snug_json_out o = snug_json_out_init(&text);
    snug_json     norm = snug_json_get(parts, "normalizer"),
              pre = snug_json_get(parts, "pre_tokenizer");
    snug_jo_begin_object(&o);
    if (norm.node != NULL) {
        snug_jo_key(&o, "normalizer");
        snug_jo_value(&o, norm);
    }
    if (pre.node != NULL) {
        snug_jo_key(&o, "pre_tokenizer");
        snug_jo_value(&o, pre);
    }
    snug_jo_key(&o, "model");
    snug_jo_raw(&o, SNUG_LIT("{\"type\":\"WordLevel\",\"vocab\":{},\"unk_token\":\"\"}"));
    snug_jo_end_object(&o);
    snug_status st = snug_buf_check(&text, "the plan", err);
    if (st == SNUG_OK) st = tok_load(snug_buf_slice(&text), &t->pipeline, err);
    if (mentions_bytes(pre, 0) || mentions_bytes(norm, 0)) {
        SNUG_AUTO(snug_buf) all = snug_buf_init(1 << 20);
        snug_buf_put_slice(&all, t->o.alphabet);
        snug_buf_put_slice(&all, byte_alphabet(t->arena));
        t->o.alphabet = snug_arena_dup(t->arena, snug_buf_slice(&all));
    }
    return st;
}

snug_status tok_trainer_new(const tok_train *o, tok_trainer **out, snug_err *err)
{
    snug_arena  *a = snug_arena_new();
    tok_trainer *t = SNUG_NEW(a, tok_trainer);
    snug_json    like = {NULL}, parts;
    snug_status  st = SNUG_OK;
    *t = (tok_trainer){.arena = a, .o = *o, .words = tok_counts_new()};
    t->o.like = snug_arena_dup(a, o->like);
    if (o->like.len > 0) {
        SNUG_TRY(
            snug_json_parse(a, t->o.like, &(snug_json_opts){.size_max = TOK_JSON_MAX}, &like, err));
    }
    SNUG_TRY(settle(t, like, err));
    parts = like;
    if (o->like.len == 0) SNUG_TRY(snug_json_parse(a, snug_str(t->type->parts), NULL, &parts, err));
    SNUG_TRY(make_pipeline(t, parts, err));
    *out = t;
    t = NULL;
done:
    tok_trainer_free(t);
    return st;
}

void tok_trainer_free(tok_trainer *t)
{
    if (t == NULL) return;
    tok_free(t->pipeline);
    tok_counts_free(&t->words);
    snug_arena_free(t->arena); /* t lies in it */
}

/* ---- texts ---- */

snug_status tok_trainer_feed(tok_trainer *t, snug_slice text, snug_err *err)
{
    tok_work w;
    tok_work_init(&w, t->pipeline, 0, err);
    snug_status st = tok_cut_text(&w, text);
    for (size_t i = 0; st == SNUG_OK && i < w.pieces.count; i++) {
        const tok_piece *p = &w.pieces.items[i];
        st = tok_counts_add(&t->words, snug_slice_of(p->text, p->len), 1, err);
    }
    tok_work_deinit(&w);
    return st;
}

size_t tok_trainer_words(const tok_trainer *t) { return t->words.count; }

snug_status tok_trainer_finish(tok_trainer *t, snug_buf *tokenizer_json, snug_err *err)
{
    tok_made    made = {0};
    snug_status st = SNUG_OK;
    tok_counts_sort(&t->words);
    SNUG_TRY(t->type->train(&t->o, &t->words, t->arena, &made, err));
    SNUG_TRY(tok_train_write(&t->o, t->type, &made, t->arena, tokenizer_json, err));
done:
    return st;
}
