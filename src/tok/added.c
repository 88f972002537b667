/* SPDX-License-Identifier: Apache-2.0 */
/* tok/added.c - tokens that are found in the text before any model sees it.
 *
 * For:     tok.c.
 * Threads: constant once loaded.
 * Truth:   matches are leftmost, then longest, and do not overlap.
 *
 * Tokens that are not "normalized" are looked for in the raw text, the others in the normalised
 * text, with their own content normalised. */
#include "tok/tok_int.h"

/* What a normalised token looks like in normalised text. */
static snug_status normalise(const tok *t, snug_slice content, snug_slice *out, snug_err *err)
{
    tok_work w;
    tok_work_init(&w, t, 0, err);
    tok_piece   p = {.text = content.ptr, .len = (uint32_t)content.len};
    snug_status st = t->norm == NULL ? SNUG_OK : tok_norm_run(t->norm, &w, &p);
    if (st == SNUG_OK) *out = snug_arena_dup(t->arena, snug_slice_of(p.text, p.len));
    tok_work_deinit(&w);
    return st;
}

static snug_status build_trie(tok *t, bool normalized, tok_trie *out, snug_err *err)
{
    size_t      n = 0;
    snug_slice *keys = snug_arena_array_try(t->arena, t->added_count, sizeof *keys);
    uint32_t   *values = snug_arena_array_try(t->arena, t->added_count, sizeof *values);
    if (keys == NULL || values == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for added tokens");
    for (size_t i = t->added_count; i-- > 0;) {
        /* Of two that look alike once normalised the first counts (in the reference, any); in a
         * trie, the last. */
        if (t->added[i].normalized != normalized) continue;
        keys[n] = t->added[i].content;
        values[n] = (uint32_t)i;
        if (normalized) {
            snug_status st = normalise(t, t->added[i].content, &keys[n], err);
            if (st != SNUG_OK) return st;
        }
        n++;
    }
    return tok_trie_build(out, t->arena, keys, values, n, err);
}

static snug_status load_one(tok *t, snug_json v, tok_added *a, snug_err *err)
{
    snug_slice content;
    uint64_t   id;
    uint32_t   model_id;
    if (!snug_json_to_str(snug_json_get(v, "content"), &content) ||
        !snug_json_to_u64(snug_json_get(v, "id"), &id) || id > TOK_ID_MAX) {
        return snug_fail(err, SNUG_EINVAL, "an added token needs a content and an id of at most %d",
                         TOK_ID_MAX);
    }
    if (content.len > TOK_ADDED_LEN_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "an added token of %zu bytes; the limit is %d",
                         content.len, TOK_ADDED_LEN_MAX);
    }
    a->content = snug_arena_dup(t->arena, content);
    /* a token that the model has too keeps the model's id */
    a->id = tok_vocab_get(&t->vocab, content, &model_id) ? model_id : (uint32_t)id;
    a->single_word = snug_json_bool_or(v, "single_word", false);
    a->lstrip = snug_json_bool_or(v, "lstrip", false);
    a->rstrip = snug_json_bool_or(v, "rstrip", false);
    a->special = snug_json_bool_or(v, "special", false);
    a->normalized = snug_json_bool_or(v, "normalized", !a->special);
    return SNUG_OK;
}

snug_status tok_added_load(tok *t, snug_json list, snug_err *err)
{
    size_t n = snug_json_count(list);
    if (n == 0) return SNUG_OK;
    t->added = snug_arena_array_try(t->arena, n, sizeof *t->added);
    if (t->added == NULL || !tok_vocab_init(&t->added_ids, t->arena, n)) {
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu added tokens", n);
    }
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        tok_added  *a = &t->added[t->added_count];
        snug_status st = load_one(t, it.value, a, err);
        if (st != SNUG_OK) return st;
        if (a->content.len == 0) continue;
        tok_vocab_put(&t->added_ids, a->content, a->id);
        t->added_count++;
    }
    snug_status st = build_trie(t, false, &t->trie_raw, err);
    return st == SNUG_OK ? build_trie(t, true, &t->trie_norm, err) : st;
}

/* ---- finding ---- */

static bool is_word_before(const char *text, uint32_t at)
{
    uint32_t i = at - 1;
    while (((unsigned char)text[i] & 0xc0) == 0x80) i--;
    return tok_is_word(tok_cp(text + i));
}

/* Not past `done`, where the match before ended. */
static uint32_t spaces_before(const char *text, uint32_t at, uint32_t done)
{
    while (at > done) {
        uint32_t i = at - 1;
        while (((unsigned char)text[i] & 0xc0) == 0x80) i--;
        if (!tok_is_space(tok_cp(text + i))) break;
        at = i;
    }
    return at;
}

typedef struct stretch {
    uint32_t from, to; /* nothing but spaces */
} stretch;

/* The stretch looked through last is not looked through again: tokens may stand inside it. */
static uint32_t spaces_after(const tok_piece *p, uint32_t at, stretch *last)
{
    if (at >= last->from && at < last->to) return last->to;
    last->from = last->to = at;
    while (last->to < p->len && tok_is_space(tok_cp(p->text + last->to)))
        last->to += tok_utf8_len((unsigned char)p->text[last->to]);
    return last->to;
}

/* The longest token at `at`: its index, or TOK_NO_VALUE. */
static uint32_t longest(const tok_trie *trie, const tok_piece *p, uint32_t at, uint32_t *end)
{
    uint32_t found = TOK_NO_VALUE, node = 0;
    for (uint32_t i = at; i < p->len;) {
        node = tok_trie_step(trie, node, (unsigned char)p->text[i++]);
        if (node == 0) break;
        if (trie->nodes[node].value == TOK_NO_VALUE) continue;
        found = trie->nodes[node].value;
        *end = i;
    }
    return found;
}

static bool is_wanted(const tok_work *w, const tok_added *a, const tok_piece *p, uint32_t begin,
                      uint32_t end)
{
    if (a->special && (w->flags & TOK_SPECIAL_AS_TEXT) != 0) return false;
    if (!a->single_word) return true;
    if (begin > 0 && is_word_before(p->text, begin)) return false;
    return end == p->len || !tok_is_word(tok_cp(p->text + end));
}

void tok_added_cut(tok_work *w, const tok_piece *p, bool normalized, tok_pieces *out)
{
    const tok_trie *trie = normalized ? &w->t->trie_norm : &w->t->trie_raw;
    uint32_t        done = 0;
    stretch         spaces = {0, 0};
    for (uint32_t at = 0; trie->nodes != NULL && at < p->len;) {
        uint32_t end = at, begin = at;
        uint32_t index =
            trie->root[(unsigned char)p->text[at]] == 0 ? TOK_NO_VALUE : longest(trie, p, at, &end);
        if (index == TOK_NO_VALUE) {
            at++;
            continue;
        }
        at = end;
        const tok_added *a = &w->t->added[index];
        if (!is_wanted(w, a, p, begin, end)) continue;
        /* A token of spaces that the match before took is there all the same, as in the reference,
         * unless it would itself take spaces before it. */
        if (a->lstrip) begin = begin < done ? done : spaces_before(p->text, begin, done);
        if (a->rstrip) end = spaces_after(p, end, &spaces);
        if (done < begin) tok_push(out, tok_cut(p, done, begin));
        done = end;
        if (begin >= end) continue;
        tok_piece token = tok_cut(p, begin, end);
        token.added = true;
        token.id = a->id;
        tok_push(out, token);
    }
    tok_push(out, tok_cut(p, done, p->len));
}
