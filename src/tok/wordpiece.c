/* SPDX-License-Identifier: Apache-2.0 */
/* tok/wordpiece.c - WordPiece (BERT: the longest token that fits, again and again) and WordLevel
 * (a word is a token or unknown).
 *
 * For:     tok.c.
 * Threads: constant once loaded. */
#include "tok/tok_int.h"

static snug_status load_unk(tok *t, snug_json v, const char *dflt, snug_err *err)
{
    tok_wordpiece *m = &t->m.wp;
    bool           set;
    snug_status    st = tok_opt_str(t->arena, v, "unk_token", &m->unk, &set, err);
    if (!set) m->unk = snug_str(dflt);
    m->unk_known = st == SNUG_OK && tok_vocab_get(&t->vocab, m->unk, &m->unk_id);
    return st;
}

static snug_status emit_unk(const tok *t, tok_work *w, const tok_piece *p)
{
    const tok_wordpiece *m = &t->m.wp;
    if (!m->unk_known) {
        return snug_fail(w->err, SNUG_EINVAL,
                         "%s: the unknown token \"%.*s\" is not in the vocabulary", t->model->name,
                         SNUG_SLICE(snug_sub(m->unk, 0, 40)));
    }
    tok_emit(w, p, m->unk_id, 0, p->len, SNUG_EMPTY);
    return SNUG_OK;
}

static snug_status load_wordpiece(tok *t, snug_json v, snug_err *err)
{
    tok_wordpiece *m = &t->m.wp;
    snug_status    st = SNUG_OK;
    bool           set;
    int64_t        chars = snug_json_i64_or(v, "max_input_chars_per_word", 100);
    SNUG_TRY(tok_model_load_vocab(t, snug_json_get(v, "vocab"), err));
    SNUG_TRY(load_unk(t, v, "[UNK]", err));
    SNUG_TRY(tok_opt_str(t->arena, v, "continuing_subword_prefix", &m->prefix, &set, err));
    if (!set) m->prefix = SNUG_LIT("##");
    if (chars < 0) SNUG_FAIL(err, SNUG_EINVAL, "WordPiece: max_input_chars_per_word is negative");
    m->chars_max = (uint64_t)chars;
done:
    return st;
}

static size_t count_chars(const tok_piece *p)
{
    size_t n = 0;
    for (uint32_t i = 0; i < p->len; i++) n += ((unsigned char)p->text[i] & 0xc0) != 0x80;
    return n;
}

/* The longest token that starts at `at`; 0: none. No token is longer than the longest key, which
 * keeps a long word linear. */
static size_t longest(const tok *t, tok_work *w, const tok_piece *p, size_t at, uint32_t *id)
{
    snug_slice prefix = at > 0 ? t->m.wp.prefix : SNUG_EMPTY;
    size_t     max = t->vocab.len_max > prefix.len ? t->vocab.len_max - prefix.len : 0;
    size_t     end = p->len - at > max ? at + max : p->len;
    char      *key = tok_scratch_need(&w->model[0], prefix.len + (end - at) + 1);
    if (prefix.len > 0) memcpy(key, prefix.ptr, prefix.len);
    memcpy(key + prefix.len, p->text + at, end - at);
    while (end < p->len && end > at && ((unsigned char)p->text[end] & 0xc0) == 0x80)
        end--; /* whole characters */
    while (end > at) {
        if (tok_vocab_get(&t->vocab, snug_slice_of(key, prefix.len + end - at), id))
            return end - at;
        do end--;
        while (end > at && ((unsigned char)p->text[end] & 0xc0) == 0x80);
    }
    return 0;
}

static snug_status run_wordpiece(const tok *t, tok_work *w, const tok_piece *p)
{
    size_t   before = w->token_count;
    uint32_t id;
    if (count_chars(p) > t->m.wp.chars_max) return emit_unk(t, w, p);
    for (size_t at = 0, n; at < p->len; at += n) {
        n = longest(t, w, p, at, &id);
        if (n == 0) { /* one part unknown: the whole word is */
            w->token_count = before;
            return emit_unk(t, w, p);
        }
        tok_emit(w, p, id, at, at + n, SNUG_EMPTY);
    }
    return SNUG_OK;
}

static snug_status load_wordlevel(tok *t, snug_json v, snug_err *err)
{
    snug_status st = tok_model_load_vocab(t, snug_json_get(v, "vocab"), err);
    return st == SNUG_OK ? load_unk(t, v, "<unk>", err) : st;
}

static snug_status run_wordlevel(const tok *t, tok_work *w, const tok_piece *p)
{
    uint32_t id;
    if (!tok_vocab_get(&t->vocab, snug_slice_of(p->text, p->len), &id)) return emit_unk(t, w, p);
    tok_emit(w, p, id, 0, p->len, SNUG_EMPTY);
    return SNUG_OK;
}

const tok_model_type tok_wordpiece_type = {"WordPiece", load_wordpiece, run_wordpiece};
const tok_model_type tok_wordlevel_type = {"WordLevel", load_wordlevel, run_wordlevel};
