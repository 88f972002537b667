/* SPDX-License-Identifier: Apache-2.0 */
/* tok/tok.c - a tokenizer: its file, and the way of a text through it.
 *
 * For:     infer/ and the server's tokenize routes, always through tok.h.
 * Owns:    an arena per tokenizer; nothing global.
 * Threads: a tok is constant after tok_load; each call brings its own tok_work.
 *
 *   text -> cut at raw added tokens -> normalise the rest -> cut at normalised added tokens
 *        -> pre-tokenise -> model -> offsets to code points -> windows -> post-process
 *
 * Every part is a row in a table of its kind; a name that no table has is refused with that name.
 */
#include <stdlib.h>

#include "tok/tok_int.h"

/* ---- loading ---- */

snug_slice tok_type_of(snug_json v) { return snug_json_str_or(v, "type", SNUG_LIT("")); }

snug_status tok_opt_str(snug_arena *a, snug_json v, const char *key, snug_slice *out, bool *set,
                        snug_err *err)
{
    snug_json  m = snug_json_get(v, key);
    snug_slice text;
    *set = false;
    *out = SNUG_EMPTY;
    if (snug_json_is(m, SNUG_JSON_ABSENT) || snug_json_is(m, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_str(m, &text))
        return snug_fail(err, SNUG_EINVAL, "\"%s\" must be a string", key);
    *out = snug_arena_dup(a, text);
    *set = true;
    return SNUG_OK;
}

snug_status tok_model_load_vocab(tok *t, snug_json vocab, snug_err *err)
{
    size_t n = snug_json_count(vocab);
    if (!snug_json_is(vocab, SNUG_JSON_OBJECT) || n > TOK_ID_MAX) {
        return snug_fail(err, SNUG_EINVAL, "vocab must be an object of at most %d tokens",
                         TOK_ID_MAX);
    }
    if (!tok_vocab_init(&t->vocab, t->arena, n)) {
        return snug_fail(err, SNUG_ENOMEM, "no memory for a vocabulary of %zu", n);
    }
    snug_slice keys[TOK_MANY];
    uint32_t   ids[TOK_MANY];
    size_t     held = 0;
    for (snug_json_iter it = snug_json_iter_of(vocab); snug_json_next(&it);) {
        uint64_t id;
        if (!snug_json_to_u64(it.value, &id) || id > TOK_ID_MAX) {
            return snug_fail(err, SNUG_EINVAL,
                             "vocab: the id of \"%.*s\" must be a number up to %d",
                             SNUG_SLICE(snug_sub(it.key, 0, 40)), TOK_ID_MAX);
        }
        keys[held] = snug_arena_dup(t->arena, it.key);
        ids[held++] = (uint32_t)id;
        if (held < TOK_MANY) continue;
        tok_vocab_put_many(&t->vocab, keys, ids, held);
        held = 0;
    }
    tok_vocab_put_many(&t->vocab, keys, ids, held);
    return SNUG_OK;
}

/* Files from before 2021 leave the type out. */
static snug_slice guess_type(snug_json v)
{
    if (snug_json_is(snug_json_get(v, "merges"), SNUG_JSON_ARRAY)) return SNUG_LIT("BPE");
    if (snug_json_is(snug_json_get(v, "vocab"), SNUG_JSON_ARRAY)) return SNUG_LIT("Unigram");
    if (!snug_json_is(snug_json_get(v, "max_input_chars_per_word"), SNUG_JSON_ABSENT))
        return SNUG_LIT("WordPiece");
    return SNUG_LIT("WordLevel");
}

static snug_status load_model(tok *t, snug_json v, snug_err *err)
{
    static const tok_model_type *const types[] = {&tok_bpe_type, &tok_wordpiece_type,
                                                  &tok_wordlevel_type, &tok_unigram_type};
    snug_slice                         name = tok_type_of(v);
    if (!snug_json_is(v, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "tokenizer.json has no model");
    if (name.len == 0) name = guess_type(v);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!snug_eq_str(name, types[i]->name)) continue;
        t->model = types[i];
        return types[i]->load(t, v, err);
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "model \"%.*s\" is not known to this build",
                     SNUG_SLICE(snug_sub(name, 0, 80)));
}

static bool is_set(snug_json v)
{
    return !snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL);
}

static bool small_number(snug_json v, const char *key, uint32_t *out)
{
    uint64_t  n;
    snug_json m = snug_json_get(v, key);
    if (!is_set(m)) return true;
    if (!snug_json_to_u64(m, &n) || n > UINT32_MAX) return false;
    *out = (uint32_t)n;
    return true;
}

static snug_status load_truncation(tok *t, snug_json v, snug_err *err)
{
    tok_truncation *tr = &t->truncation;
    snug_slice      how = snug_json_str_or(v, "strategy", SNUG_LIT("LongestFirst"));
    snug_slice      side = snug_json_str_or(v, "direction", SNUG_LIT("Right"));
    if (!is_set(v)) return SNUG_OK;
    tr->set = true;
    tr->left = snug_eq_nocase(side, SNUG_LIT("left"));
    if (!small_number(v, "max_length", &tr->length_max) ||
        !small_number(v, "stride", &tr->stride)) {
        return snug_fail(err, SNUG_EINVAL,
                         "truncation: max_length and stride must be numbers of 0 or more");
    }
    if (snug_eq_str(how, "LongestFirst"))
        tr->strategy = TOK_LONGEST_FIRST;
    else if (snug_eq_str(how, "OnlyFirst"))
        tr->strategy = TOK_ONLY_FIRST;
    else if (snug_eq_str(how, "OnlySecond"))
        tr->strategy = TOK_ONLY_SECOND;
    else
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "truncation strategy \"%.*s\" is not known to this build",
                         SNUG_SLICE(snug_sub(how, 0, 40)));
    return SNUG_OK;
}

static snug_status load_padding(tok *t, snug_json v, snug_err *err)
{
    tok_padding *p = &t->padding;
    snug_slice   side = snug_json_str_or(v, "direction", SNUG_LIT("Right"));
    if (!is_set(v)) return SNUG_OK;
    p->set = true;
    p->left = snug_eq_nocase(side, SNUG_LIT("left"));
    if (!small_number(snug_json_get(v, "strategy"), "Fixed", &p->fixed) ||
        !small_number(v, "pad_to_multiple_of", &p->multiple) ||
        !small_number(v, "pad_id", &p->id) || !small_number(v, "pad_type_id", &p->type_id)) {
        return snug_fail(err, SNUG_EINVAL, "padding: lengths and ids must be numbers of 0 or more");
    }
    return SNUG_OK;
}

static void note_id(tok *t, snug_slice text, uint32_t id, bool special)
{
    if (t->by_id[id].ptr == NULL) t->distinct++;
    t->by_id[id] = text;
    t->special[id] |= special;
}

/* From id to text: the model's tokens, then the added ones over them. */
static snug_status index_ids(tok *t, snug_err *err)
{
    uint32_t max = 0, id;
    for (size_t i = 0; i < t->vocab.count; i++) max = t->vocab.ids[i] > max ? t->vocab.ids[i] : max;
    for (size_t i = 0; i < t->added_count; i++) max = t->added[i].id > max ? t->added[i].id : max;
    t->id_count = max + 1;
    t->by_id = snug_arena_array_try(t->arena, t->id_count, sizeof *t->by_id);
    t->special = snug_arena_array_try(t->arena, t->id_count, sizeof *t->special);
    if (t->by_id == NULL || t->special == NULL) {
        return snug_fail(err, SNUG_ENOMEM, "no memory for ids up to %u", max);
    }
    for (size_t i = 0; i < t->vocab.count; i++)
        note_id(t, t->vocab.keys[i], t->vocab.ids[i], false);
    for (size_t i = 0; i < t->added_count; i++) {
        const tok_added *a = &t->added[i];
        note_id(t, a->content, a->id, a->special);
        if (a->special && tok_vocab_get(&t->vocab, a->content, &id)) t->special[id] = 1;
    }
    return SNUG_OK;
}

static snug_status load_parts(tok *t, snug_json root, snug_err *err)
{
    snug_json norm = snug_json_get(root, "normalizer"), pre = snug_json_get(root, "pre_tokenizer");
    snug_json post = snug_json_get(root, "post_processor");
    snug_status st = SNUG_OK;
    if (!snug_json_is(root, SNUG_JSON_OBJECT)) SNUG_FAIL(err, SNUG_EINVAL, "it must be an object");
    SNUG_TRY(load_model(t, snug_json_get(root, "model"), err));
    if (is_set(norm)) SNUG_TRY(tok_norm_load(t->arena, norm, 0, &t->norm, err));
    if (is_set(pre)) SNUG_TRY(tok_pre_load(t->arena, pre, 0, &t->pre, err));
    if (is_set(post)) SNUG_TRY(tok_post_load(t->arena, post, 0, &t->post, err));
    SNUG_TRY(
        tok_stage_load(t->arena, snug_json_get(root, "decoder"), &t->stages, &t->stage_count, err));
    t->raw = t->model == &tok_bpe_type && t->m.bpe.can_raw && tok_pre_ends_in_bytes(t->pre);
    SNUG_TRY(tok_added_load(t, snug_json_get(root, "added_tokens"), err));
    SNUG_TRY(load_truncation(t, snug_json_get(root, "truncation"), err));
    SNUG_TRY(load_padding(t, snug_json_get(root, "padding"), err));
    SNUG_TRY(index_ids(t, err));
done:
    return st;
}

snug_status tok_load(snug_slice tokenizer_json, tok **out, snug_err *err)
{
    static const snug_json_opts opts = {.flags = SNUG_JSON_BORROW, .size_max = TOK_JSON_MAX};
    snug_arena                 *scratch = snug_arena_new(), *arena = snug_arena_new();
    tok                        *t = SNUG_NEW(arena, tok);
    snug_json                   root;
    t->arena = arena;
    t->pool = tok_pool_new(arena);
    snug_status st = snug_json_parse(scratch, tokenizer_json, &opts, &root, err);
    if (st == SNUG_OK) st = load_parts(t, root, err);
    snug_arena_free(scratch);
    if (st == SNUG_OK) {
        *out = t;
        return st;
    }
    snug_note(err, "tokenizer.json");
    tok_free(t);
    return st;
}

void tok_free(tok *t)
{
    if (t != NULL) snug_arena_free(t->arena); /* t lies in it */
}

/* ---- questions ---- */

size_t tok_vocab_size(const tok *t) { return t->distinct; }

snug_slice tok_continuing_prefix(const tok *t)
{
    if (t->model == &tok_bpe_type) return t->m.bpe.prefix;
    if (t->model == &tok_wordpiece_type) return t->m.wp.prefix;
    return SNUG_EMPTY;
}

bool tok_token_to_id(const tok *t, snug_slice token, uint32_t *id)
{
    return tok_vocab_get(&t->added_ids, token, id) || tok_vocab_get(&t->vocab, token, id);
}

snug_slice tok_id_to_token(const tok *t, uint32_t id)
{
    return id < t->id_count ? t->by_id[id] : SNUG_EMPTY;
}

bool tok_is_special(const tok *t, uint32_t id) { return id < t->id_count && t->special[id] != 0; }

const tok_truncation *tok_truncation_of(const tok *t) { return &t->truncation; }
const tok_padding    *tok_padding_of(const tok *t) { return &t->padding; }

/* ---- offsets in code points ---- */

static bool starts_char(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

/* Characters that start in `n` bytes, eight bytes at a time. */
static uint32_t count_chars(const char *p, size_t n)
{
    uint32_t count = 0;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        v = (v >> 7 & ~v >> 6) & 0x0101010101010101u; /* 10xxxxxx: goes on */
        count += 8 - (uint32_t)(v * 0x0101010101010101u >> 56);
    }
    while (n > 0) count += starts_char(p[--n]);
    return count;
}

/* A place in the text by bytes and by characters; tokens come in order, mostly, so it moves on. */
typedef struct cursor {
    uint32_t byte, chars;
} cursor;

static uint32_t move_to(cursor *c, snug_slice text, uint32_t byte)
{
    if (byte > text.len) byte = (uint32_t)text.len;
    if (byte >= c->byte)
        c->chars += count_chars(text.ptr + c->byte, byte - c->byte);
    else
        c->chars -= count_chars(text.ptr + byte, c->byte - byte);
    c->byte = byte;
    return c->chars;
}

/* Bytes become code points. Two cursors, as ends may run ahead of the next begin. */
static void count_offsets(tok_work *w, size_t first, snug_slice text)
{
    cursor begin = {0, 0}, end = {0, 0};
    if (tok_is_ascii(text.ptr, text.len)) return;
    for (size_t i = first; i < w->token_count; i++) {
        w->tokens[i].begin = move_to(&begin, text, w->tokens[i].begin);
        w->tokens[i].end = move_to(&end, text, w->tokens[i].end);
    }
}

/* ---- encoding ---- */

static snug_status normalise_pieces(tok_work *w)
{
    const tok *t = w->t;
    if (t->norm == NULL && t->trie_norm.nodes == NULL) return SNUG_OK;
    w->next.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        tok_piece   p = w->pieces.items[i];
        snug_status st = SNUG_OK;
        if (p.added) {
            tok_push(&w->next, p);
            continue;
        }
        if (t->norm != NULL) st = tok_norm_run(t->norm, w, &p);
        if (st == SNUG_OK) st = tok_settle(w, &p);
        if (st != SNUG_OK) return st;
        if (p.len > 0) tok_added_cut(w, &p, true, &w->next);
    }
    tok_pieces done = w->pieces;
    w->pieces = w->next;
    w->next = done;
    return SNUG_OK;
}

static snug_status model_piece(tok_work *w, const tok_piece *p)
{
    if (!p->added) return tok_run_model(w, p);
    tok_emit(w, p, p->id, 0, p->len, snug_slice_of(p->text, p->len));
    return SNUG_OK;
}

static snug_status model_pieces(tok_work *w)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < w->pieces.count && st == SNUG_OK; i++) {
        w->word = (uint32_t)i;
        st = model_piece(w, &w->pieces.items[i]);
    }
    return st;
}

/* Whole words until there are length_max tokens, from the end that stays. Added tokens count but do
 * not end the row. */
static snug_status model_pieces_early(tok_work *w)
{
    size_t first = w->token_count, most = w->early->length_max, last = w->pieces.count;
    for (size_t i = 0; i < last; i++) {
        tok_piece *p = &w->pieces.items[i];
        w->word = (uint32_t)i;
        snug_status st = model_piece(w, p);
        if (st != SNUG_OK) return st;
        p->id = (uint32_t)(w->token_count - first); /* where its tokens end */
        if (!w->early->left && !p->added && p->id >= most) break;
    }
    size_t all = w->token_count - first;
    while (w->early->left && last > 0) {
        const tok_piece *p = &w->pieces.items[--last];
        size_t           from = last > 0 ? p[-1].id : 0;
        if (p->added || all - from < most) continue;
        memmove(w->tokens + first, w->tokens + first + from, (all - from) * sizeof *w->tokens);
        w->token_count -= from;
        break;
    }
    return SNUG_OK;
}

snug_status tok_cut_text(tok_work *w, snug_slice text)
{
    tok_piece   all = {.text = text.ptr, .len = (uint32_t)text.len};
    snug_status st = SNUG_OK;

    if (text.len > TOK_TEXT_MAX) {
        return snug_fail(w->err, SNUG_ELIMIT, "text of %zu bytes is larger than the limit of %d",
                         text.len, TOK_TEXT_MAX);
    }
    if (!snug_utf8_valid(text)) return snug_fail(w->err, SNUG_EINVAL, "text is not valid UTF-8");
    w->pieces.count = 0;
    if (text.len > 0) tok_added_cut(w, &all, false, &w->pieces);
    SNUG_TRY(normalise_pieces(w));
    if (w->t->pre != NULL) SNUG_TRY(tok_pre_run(w->t->pre, w));
done:
    return st;
}

snug_status tok_encode_text(tok_work *w, snug_slice text)
{
    size_t      first = w->token_count;
    snug_status st = tok_cut_text(w, text);
    if (st == SNUG_OK) st = w->early != NULL ? model_pieces_early(w) : model_pieces(w);
    if (st == SNUG_OK) count_offsets(w, first, text);
    return st;
}

/* Tokens [0, split) are the first text, the rest the second; `pair` when there is a second. */
static snug_status finish(const tok_work *w, tok_window a, tok_window b, bool pair, tok_ids *out)
{
    static const tok_token none = {0};
    const tok_token *all = w->token_count > 0 ? w->tokens : &none; /* runs of tokens are not NULL */
    tok_runs         runs = {.count = pair ? 2 : 1};
    runs.items[0] = (tok_run){.tokens = all + a.begin, .count = a.end - a.begin};
    runs.items[1] = (tok_run){.tokens = all + b.begin, .count = b.end - b.begin, .type_id = 1,
                              .sequence = 1};
    snug_status st = SNUG_OK;
    if (w->t->post != NULL)
        st = tok_post_run(w->t->post, (w->flags & TOK_ADD_SPECIAL) != 0, &runs, w->err);
    return st == SNUG_OK ? tok_runs_write(w->t, &runs, w->flags, out, w->err) : st;
}

static snug_status encode(const tok *t, snug_slice a, const snug_slice *b, unsigned flags,
                          tok_ids *out, snug_err *err)
{
    tok_work    w;
    snug_status st = SNUG_OK;
    size_t      split = 0;
    tok_work_init(&w, t, flags, err);
    SNUG_TRY(tok_encode_text(&w, a));
    split = w.token_count;
    if (b != NULL) SNUG_TRY(tok_encode_text(&w, *b));
    SNUG_TRY(
        finish(&w, (tok_window){0, split}, (tok_window){split, w.token_count}, b != NULL, out));
done:
    tok_work_deinit(&w);
    return st;
}

snug_status tok_encode(const tok *t, snug_slice text, unsigned flags, tok_ids *out, snug_err *err)
{
    return encode(t, text, NULL, flags, out, err);
}

snug_status tok_encode_pair(const tok *t, snug_slice a, snug_slice b, unsigned flags, tok_ids *out,
                            snug_err *err)
{
    return encode(t, a, &b, flags, out, err);
}

/* ---- windows ---- */

/* How many tokens of each text one window may hold. */
static snug_status share_out(const tok_truncation *tr, size_t room, size_t a, size_t b, bool pair,
                             size_t *a_max, size_t *b_max, snug_err *err)
{
    size_t over = a + b > room ? a + b - room : 0;
    *a_max = a;
    *b_max = b;
    if (over == 0) return SNUG_OK;
    if (tr->strategy == TOK_LONGEST_FIRST) {
        size_t small = a < b ? a : b, large;
        if (!pair) {
            *a_max = room;
            return SNUG_OK;
        }
        /* the shorter text stays whole as long as the other is no shorter for it */
        large = small > room ? small : room - small > small ? room - small : small;
        if (small + large > room) {
            small = room / 2;
            large = small + room % 2;
        }
        *a_max = a > b ? large : small;
        *b_max = a > b ? small : large;
        return SNUG_OK;
    }
    size_t *max = tr->strategy == TOK_ONLY_FIRST ? a_max : b_max;
    if (tr->strategy == TOK_ONLY_SECOND && !pair) {
        return snug_fail(err, SNUG_EINVAL, "truncating the second text only, but there is one");
    }
    if (*max <= over) {
        return snug_fail(err, SNUG_EINVAL, "a text of %zu tokens is too short to take %zu off",
                         *max, over);
    }
    *max -= over;
    return SNUG_OK;
}

static snug_status add_window(const tok_work *w, tok_window a, tok_window b, bool pair,
                              tok_windows *out)
{
    if (out->count == TOK_WINDOWS_MAX) {
        return snug_fail(w->err, SNUG_ELIMIT, "texts make more than %d windows", TOK_WINDOWS_MAX);
    }
    if (out->count == out->cap) {
        size_t cap = out->cap == 0 ? 4 : out->cap * 2;
        out->items =
            snug_realloc(out->items, cap * sizeof *out->items); /* at most TOK_WINDOWS_MAX */
        memset(out->items + out->cap, 0, (cap - out->cap) * sizeof *out->items);
        out->cap = cap;
    }
    snug_status st = finish(w, a, b, pair, &out->items[out->count]);
    if (st == SNUG_OK) out->count++;
    return st;
}

/* The first windows of both, then each later one of the first text with all of the second, then the
 * first one with the later ones of the second. */
static snug_status pair_windows(const tok_work *w, const tok_window *a, size_t a_count,
                                const tok_window *b, size_t b_count, bool pair, tok_windows *out)
{
    snug_status st = SNUG_OK;
    out->count = 0;
    SNUG_TRY(add_window(w, a[0], b[0], pair, out));
    for (size_t i = 1; i < a_count; i++) {
        for (size_t k = 0; k < b_count; k++) SNUG_TRY(add_window(w, a[i], b[k], pair, out));
    }
    for (size_t k = 1; k < b_count; k++) SNUG_TRY(add_window(w, a[0], b[k], pair, out));
done:
    return st;
}

snug_status tok_encode_windows(const tok *t, snug_slice a, const snug_slice *b, unsigned flags,
                               const tok_truncation *tr, tok_windows *out, snug_err *err)
{
    tok_work    w;
    tok_window *list_a = NULL, *list_b = NULL;
    size_t      count_a = 0, count_b = 0, max_a, max_b, split;
    bool        pair = b != NULL;
    size_t      added = (flags & TOK_ADD_SPECIAL) != 0 ? tok_post_added(t->post, pair) : 0;
    snug_status st = SNUG_OK;

    tok_work_init(&w, t, flags, err);
    if (added > tr->length_max) {
        SNUG_FAIL(err, SNUG_EINVAL, "a window of %u tokens has no room for %zu special tokens",
                  tr->length_max, added);
    }
    if (tr->early && tr->strategy != TOK_ONLY_SECOND) w.early = tr;
    SNUG_TRY(tok_encode_text(&w, a));
    split = w.token_count;
    if (tr->early) w.early = tr;
    if (pair) SNUG_TRY(tok_encode_text(&w, *b));
    SNUG_TRY(share_out(tr, tr->length_max - added, split, w.token_count - split, pair, &max_a,
                       &max_b, err));
    SNUG_TRY(tok_window_list(split, max_a, tr->stride, tr->left, &list_a, &count_a, err));
    SNUG_TRY(tok_window_list(w.token_count - split, max_b, tr->stride, tr->left, &list_b, &count_b,
                             err));
    for (size_t i = 0; i < count_b; i++) {
        list_b[i].begin += split;
        list_b[i].end += split;
    }
    SNUG_TRY(pair_windows(&w, list_a, count_a, list_b, count_b, pair, out));
done:
    free(list_a);
    free(list_b);
    tok_work_deinit(&w);
    return st;
}
