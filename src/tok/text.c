/* SPDX-License-Identifier: Apache-2.0 */
/* tok/text.c - pieces of text that remember where their bytes came from, and how to rewrite them.
 *
 * For:     norm.c, nfc.c, pre.c, the models.
 * Owns:    the builders and lists inside a tok_work.
 * Threads: one tok_work per call.
 * Truth:   align[i] of a piece is a range of whole characters of the original. */
#include <stdlib.h>

#include "tok/tok_int.h"

void *tok_scratch_need(tok_scratch *s, size_t n)
{
    if (n > s->size) {
        free(s->ptr); /* what it held is over */
        s->size = n + n / 2;
        s->ptr = snug_alloc(s->size);
    }
    return s->ptr;
}

/* ---- pieces ---- */

void tok_push(tok_pieces *list, tok_piece p)
{
    if (p.len == 0) return;
    if (list->count == list->cap) { /* at most one piece per byte of a bounded text */
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->items = snug_realloc(list->items, list->cap * sizeof *list->items);
    }
    list->items[list->count++] = p;
}

static bool is_continuation(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

tok_span tok_span_at(const tok_piece *p, uint32_t i)
{
    if (p->align != NULL) return p->align[i];
    uint32_t first = i;
    while (first > 0 && is_continuation(p->text[first])) first--;
    return (tok_span){p->orig + first,
                      p->orig + first + tok_utf8_len((unsigned char)p->text[first])};
}

tok_piece tok_cut(const tok_piece *p, uint32_t begin, uint32_t end)
{
    tok_piece cut = *p;
    cut.text += begin;
    cut.len = end - begin;
    if (p->align == NULL) {
        cut.orig += begin;
    } else {
        cut.align += begin;
        if (begin < end) cut.orig = p->align[begin].begin;
    }
    return cut;
}

/* ---- rewriting ---- */

tok_builder *tok_build_begin(tok_work *w)
{
    w->flip ^= 1; /* the piece being rewritten may view the other one */
    tok_builder *b = &w->build[w->flip];
    b->len = 0;
    b->full = false;
    return b;
}

static bool make_room(tok_builder *b, size_t n)
{
    if (b->len + n <= b->cap) return true;
    if (b->full || b->len + n > TOK_NORMAL_MAX) {
        b->full = true;
        return false;
    }
    b->cap = (b->len + n) * 2 < 256 ? 256 : (b->len + n) * 2;
    b->text = snug_realloc(b->text, b->cap);
    b->align = snug_realloc(b->align, b->cap * sizeof *b->align); /* cap <= 2 * TOK_NORMAL_MAX */
    return true;
}

void tok_build_put(tok_builder *b, uint32_t cp, tok_span s)
{
    if (!make_room(b, 4)) return;
    size_t n = snug_utf8_put(cp, b->text + b->len);
    for (size_t i = 0; i < n; i++) b->align[b->len + i] = s;
    b->len += n;
}

void tok_build_copy(tok_builder *b, const tok_piece *p, uint32_t begin, uint32_t end)
{
    if (begin >= end || !make_room(b, end - begin)) return;
    memcpy(b->text + b->len, p->text + begin, end - begin);
    if (p->align != NULL) {
        memcpy(b->align + b->len, p->align + begin, (end - begin) * sizeof *b->align);
    } else {
        for (uint32_t i = begin; i < end;) {
            uint32_t n = tok_utf8_len((unsigned char)p->text[i]);
            for (uint32_t k = 0; k < n; k++) {
                b->align[b->len + (i - begin) + k] = (tok_span){p->orig + i, p->orig + i + n};
            }
            i += n;
        }
    }
    b->len += end - begin;
}

snug_status tok_build_end(tok_work *w, tok_piece *p)
{
    const tok_builder *b = &w->build[w->flip];
    if (b->full) {
        return snug_fail(w->err, SNUG_ELIMIT,
                         "text grows beyond the limit of %d bytes when normalised", TOK_NORMAL_MAX);
    }
    p->text = b->text;
    p->align = b->align;
    p->len = (uint32_t)b->len;
    return SNUG_OK;
}

snug_status tok_settle(tok_work *w, tok_piece *p)
{
    if (p->text != w->build[0].text && p->text != w->build[1].text) return SNUG_OK;
    char     *text = snug_arena_alloc_try(w->arena, p->len);
    tok_span *align = snug_arena_alloc_try(w->arena, p->len * sizeof *align);
    if (text == NULL || align == NULL) {
        return snug_fail(w->err, SNUG_ENOMEM, "no memory for a text of %u bytes", p->len);
    }
    if (p->len > 0) {
        memcpy(text, p->text, p->len);
        memcpy(align, p->align, p->len * sizeof *align);
    }
    p->text = text;
    p->align = align;
    return SNUG_OK;
}

void tok_changes_put(tok_changes *list, uint32_t cp, int change)
{
    if (list->count == list->cap) {
        if (list->cap > TOK_NORMAL_MAX) {
            list->full = true;
            return;
        }
        list->cap = list->cap == 0 ? 256 : list->cap * 2;
        list->items = snug_realloc(list->items, list->cap * sizeof *list->items);
    }
    list->items[list->count++] = (tok_change){cp, change};
}

snug_status tok_apply_changes(tok_work *w, tok_piece *p, const tok_changes *list)
{
    tok_builder *b = tok_build_begin(w);
    uint32_t     at = 0; /* first byte not taken yet */
    for (size_t i = 0; i < list->count; i++) {
        tok_change c = list->items[i];
        tok_span   s = {p->orig, p->orig};
        if (c.change > 0) {
            if (at > 0) s = tok_span_at(p, at - 1);
        } else if (at < p->len) {
            s = tok_span_at(p, at);
        }
        for (int take = c.change; take <= 0 && at < p->len; take++) {
            at += tok_utf8_len((unsigned char)p->text[at]);
        }
        tok_build_put(b, c.cp, s);
    }
    b->full |= list->full;
    return tok_build_end(w, p);
}

snug_status tok_prepend(tok_work *w, tok_piece *p, snug_slice text)
{
    if (p->len == 0) return SNUG_OK;
    tok_builder *b = tok_build_begin(w);
    tok_span     s = tok_span_at(p, 0);
    while (text.len > 0) tok_build_put(b, snug_utf8_next(&text), s);
    tok_build_copy(b, p, 0, p->len);
    return tok_build_end(w, p);
}

snug_status tok_map_bytes(tok_work *w, tok_piece *p)
{
    size_t n = 0;
    for (uint32_t i = 0; i < p->len; i++)
        n += tok_byte_to_cp((unsigned char)p->text[i]) < 0x80 ? 1 : 2;
    char     *text = snug_arena_alloc_try(w->arena, n);
    tok_span *align = snug_arena_alloc_try(w->arena, n * sizeof *align);
    if (text == NULL || align == NULL) {
        return snug_fail(w->err, SNUG_ENOMEM, "no memory for a text of %zu bytes", n);
    }
    size_t   out = 0;
    tok_span s = {0, 0};
    for (uint32_t i = 0; i < p->len; i++) {
        if (!is_continuation(p->text[i])) s = tok_span_at(p, i);
        char   seen[4];
        size_t k = snug_utf8_put(tok_byte_to_cp((unsigned char)p->text[i]), seen);
        memcpy(text + out, seen, k);
        for (; k > 0; k--) align[out++] = s;
    }
    p->text = text;
    p->align = align;
    p->len = (uint32_t)n;
    return SNUG_OK;
}

/* ---- what the stages collect ---- */

void tok_put_match(tok_work *w, size_t begin, size_t end, bool hit)
{
    if (w->match_count == w->match_cap) { /* bounded by the text */
        w->match_cap = w->match_cap == 0 ? 64 : w->match_cap * 2;
        w->matches = snug_realloc(w->matches, w->match_cap * sizeof *w->matches);
    }
    w->matches[w->match_count++] = (tok_match){(uint32_t)begin, (uint32_t)end, hit};
}

/* Keeps what the piece at hand becomes, as long as it is a row of tokens that touch. */
static void tell(tok_work *w, uint32_t id, size_t begin, size_t end, snug_slice surface)
{
    size_t n = w->told;
    if (n >= TOK_WORD_TOKENS || surface.ptr != NULL || end > TOK_WORD_BYTES ||
        begin != (n > 0 ? w->telling.ends[n - 1] : 0)) {
        w->told = SIZE_MAX;
        return;
    }
    w->telling.ids[n] = id;
    w->telling.ends[n] = (uint8_t)end;
    w->told = n + 1;
}

void tok_emit(tok_work *w, const tok_piece *p, uint32_t id, size_t begin, size_t end,
              snug_slice surface)
{
    if (w->token_count == w->token_cap) { /* bounded by the text, byte by byte */
        w->token_cap = w->token_cap == 0 ? 64 : w->token_cap * 2;
        w->tokens = snug_realloc(w->tokens, w->token_cap * sizeof *w->tokens);
    }
    if (w->told != SIZE_MAX) tell(w, id, begin, end, surface);
    tok_token *t = &w->tokens[w->token_count++];
    t->id = id;
    t->surface = surface;
    t->word = w->word;
    t->begin = p->orig + (uint32_t)begin;
    t->end = p->orig + (uint32_t)end;
    if (begin >= end || end > p->len) return;
    if (p->align != NULL) {
        t->begin = p->align[begin].begin;
        t->end = p->align[end - 1].end;
        return;
    }
    while (t->begin > p->orig && is_continuation(p->text[t->begin - p->orig])) t->begin--;
    while (end < p->len && is_continuation(p->text[end])) end++;
    t->end = p->orig + (uint32_t)end;
}
