/* SPDX-License-Identifier: Apache-2.0 */
/* tok/train_bpe.c - learns the merges of byte pair encoding (and the tokens of WordPiece).
 *
 * For:     train.c.
 * Threads: pure over what it is given.
 *
 * Words are rows of symbols. The most frequent pair of neighbours, of equals the one with the
 * smaller ids, becomes a symbol everywhere, until there are tokens enough. A heap holds pairs with
 * the count they had when they came in and the words they came from; a count that is out of date is
 * corrected when it comes up. A token that can be made in two ways has one id, so a pair with it
 * may be in the heap twice with different words; each entry joins its own, as in the reference.
 *
 * Work is proportional to the words a merge touches; memory to the characters of different words.
 */
#include <stdlib.h>

#include "tok/train.h"

typedef struct symbol {
    uint32_t id, chars;
} symbol;

typedef struct row { /* a word */
    size_t   from;
    uint32_t len;
} row;

typedef struct places { /* indices of words, each once */
    uint32_t *items;
    uint32_t  count, cap;
} places;

typedef struct pair {
    uint64_t ids; /* left << 32 | right */
    int64_t  count;
    places   fresh; /* words it newly came to be in */
} pair;

typedef struct candidate {
    uint64_t count, ids, order;
    places   at;
} candidate;

typedef struct trainer {
    const tok_train *o;
    snug_arena      *arena;
    snug_err        *err;
    tok_vocab        known;
    snug_slice      *tokens; /* by id */
    size_t           token_count;
    symbol          *symbols;
    row             *rows;
    const tok_count *words;
    size_t           row_count;
    pair            *pairs;
    size_t           pair_count, pair_cap, mask;
    uint32_t        *slots; /* index into pairs + 1 */
    uint32_t        *touched;
    size_t           touched_count, touched_cap;
    candidate       *heap;
    size_t           heap_count, heap_cap;
    uint64_t         order;
    uint64_t        *merges;
    size_t           merge_count, merge_cap;
} trainer;

/* A list that doubles; out of memory stops the program, as everywhere for small pieces. */
static void *room(void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return items;
    *cap = *cap == 0 ? 64 : *cap * 2;
    return snug_realloc(items, *cap * size);
}

static void put_place(places *p, uint32_t word)
{
    if (p->count > 0 && p->items[p->count - 1] == word) return; /* words come one after the other */
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 4 : p->cap * 2;
        p->items = snug_realloc(p->items, p->cap * sizeof *p->items);
    }
    p->items[p->count++] = word;
}

/* ---- tokens ---- */

static uint32_t add_token(trainer *t, snug_slice text)
{
    uint32_t id;
    if (tok_vocab_get(&t->known, text, &id)) return id;
    id = (uint32_t)t->token_count;
    t->tokens[t->token_count++] = snug_arena_dup(t->arena, text);
    tok_vocab_put(&t->known, t->tokens[id], id);
    return id;
}

typedef struct letter {
    uint32_t cp;
    uint64_t count;
} letter;

static int by_cp(const void *x, const void *y)
{
    const letter *a = x, *b = y;
    return a->cp < b->cp ? -1 : a->cp > b->cp;
}

/* The rarest first; of equals the higher one. */
static int by_rarity(const void *x, const void *y)
{
    const letter *a = x, *b = y;
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    return a->cp > b->cp ? -1 : a->cp < b->cp;
}

/* The alphabet, by code point; *count letters, freed by free(). */
static letter *find_letters(const trainer *t, size_t *count)
{
    enum { CPS = 0x110000 };
    uint64_t *seen = snug_zalloc(CPS * sizeof *seen);
    size_t    n = 0;
    for (size_t i = 0; i < t->row_count; i++) {
        for (snug_slice w = t->words[i].word; w.len > 0;)
            seen[snug_utf8_next(&w)] += t->words[i].count;
    }
    for (snug_slice s = t->o->alphabet; s.len > 0;) seen[snug_utf8_next(&s)] = UINT64_MAX;
    for (size_t cp = 0; cp < CPS; cp++) n += seen[cp] != 0;
    letter *list = snug_alloc((n + 1) * sizeof *list);
    *count = 0;
    for (uint32_t cp = 0; cp < CPS; cp++) {
        if (seen[cp] != 0) list[(*count)++] = (letter){cp, seen[cp]};
    }
    free(seen);
    if (t->o->limit_alphabet > 0 && *count > t->o->limit_alphabet) {
        size_t drop = *count - t->o->limit_alphabet;
        qsort(list, *count, sizeof *list, by_rarity);
        memmove(list, list + drop, t->o->limit_alphabet * sizeof *list);
        *count = t->o->limit_alphabet;
        qsort(list, *count, sizeof *list, by_cp);
    }
    return list;
}

static snug_status make_alphabet(trainer *t)
{
    const tok_train *o = t->o;
    size_t           n, most;
    letter          *letters = find_letters(t, &n);
    most = o->special_count + 256 + n * 4 + o->vocab_size + 1;
    t->tokens = snug_arena_array_try(t->arena, most, sizeof *t->tokens);
    if (t->tokens == NULL || !tok_vocab_init(&t->known, t->arena, most)) {
        free(letters);
        return snug_fail(t->err, SNUG_ENOMEM, "no memory for %zu tokens", most);
    }
    for (size_t i = 0; i < o->special_count; i++) (void)add_token(t, o->specials[i].content);
    for (unsigned i = 0; i < 256 && o->byte_fallback; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "<0x%02X>", i);
        (void)add_token(t, snug_str(name));
    }
    for (size_t i = 0; i < n; i++) {
        char text[4];
        (void)add_token(t, snug_slice_of(text, snug_utf8_put(letters[i].cp, text)));
    }
    free(letters);
    return SNUG_OK;
}

/* ---- words to symbols ---- */

static void add_word(trainer *t, snug_slice word, row *out, size_t *used)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(1 << 16);
    const tok_train *o = t->o;
    *out = (row){.from = *used};
    for (size_t at = 0, n; at < word.len; at += n) {
        uint32_t id;
        n = tok_utf8_len((unsigned char)word.ptr[at]);
        snug_slice c = snug_sub(word, at, n);
        if (!tok_vocab_get(&t->known, c, &id)) continue; /* not in the alphabet */
        if ((at > 0 && o->prefix.len > 0) || (at + n == word.len && o->suffix.len > 0)) {
            snug_buf_clear(&text);
            if (at > 0) snug_buf_put_slice(&text, o->prefix);
            snug_buf_put_slice(&text, c);
            if (at + n == word.len) snug_buf_put_slice(&text, o->suffix);
            id = add_token(t, snug_buf_slice(&text));
        }
        t->symbols[(*used)++] = (symbol){id, 1};
        out->len++;
    }
}

static snug_status make_rows(trainer *t)
{
    size_t bytes = 0, used = 0;
    for (size_t i = 0; i < t->row_count; i++) bytes += t->words[i].word.len;
    if (bytes > TOK_TRAIN_SYMBOLS_MAX)
        return snug_fail(t->err, SNUG_ELIMIT, "the words have more than %d bytes",
                         TOK_TRAIN_SYMBOLS_MAX);
    t->symbols = snug_alloc_try((bytes + 1) * sizeof *t->symbols);
    t->rows = snug_alloc_try((t->row_count + 1) * sizeof *t->rows);
    if (t->symbols == NULL || t->rows == NULL)
        return snug_fail(t->err, SNUG_ENOMEM, "no memory for words of %zu bytes", bytes);
    for (size_t i = 0; i < t->row_count; i++) add_word(t, t->words[i].word, &t->rows[i], &used);
    return SNUG_OK;
}

/* ---- pairs ---- */

static size_t slot_of(const trainer *t, uint64_t ids)
{
    uint64_t h = ids * 0x9e3779b97f4a7c15u;
    return (size_t)((h ^ h >> 29) * 0xbf58476d1ce4e5b9u >> 20) & t->mask;
}

static void grow_pairs(trainer *t)
{
    t->pairs = room(t->pairs, t->pair_count, &t->pair_cap, sizeof *t->pairs);
    if (t->slots != NULL && t->pair_cap * 2 == t->mask + 1) return;
    free(t->slots);
    t->mask = t->pair_cap * 2 - 1;
    t->slots = snug_zalloc((t->mask + 1) * sizeof *t->slots);
    for (size_t i = 0; i < t->pair_count; i++) {
        size_t at = slot_of(t, t->pairs[i].ids);
        while (t->slots[at] != 0) at = (at + 1) & t->mask;
        t->slots[at] = (uint32_t)i + 1;
    }
}

static uint32_t find_pair(trainer *t, uint32_t left, uint32_t right)
{
    uint64_t ids = (uint64_t)left << 32 | right;
    grow_pairs(t);
    size_t at = slot_of(t, ids);
    while (t->slots[at] != 0 && t->pairs[t->slots[at] - 1].ids != ids) at = (at + 1) & t->mask;
    if (t->slots[at] == 0) {
        t->pairs[t->pair_count] = (pair){.ids = ids};
        t->slots[at] = (uint32_t)++t->pair_count;
    }
    return t->slots[at] - 1;
}

/* The list may move: a pair is looked for first and pointed to then. */
static pair *pair_of(trainer *t, uint64_t ids)
{
    uint32_t at = find_pair(t, (uint32_t)(ids >> 32), (uint32_t)ids);
    return &t->pairs[at];
}

static void change_pair(trainer *t, uint32_t left, uint32_t right, int64_t by, uint32_t word)
{
    uint32_t at = find_pair(t, left, right);
    pair    *p = &t->pairs[at];
    p->count += by;
    if (by < 0) return;
    if (p->fresh.count == 0) {
        t->touched = room(t->touched, t->touched_count, &t->touched_cap, sizeof *t->touched);
        t->touched[t->touched_count++] = at;
    }
    put_place(&p->fresh, word);
}

/* ---- the heap: the highest count first, then the smaller ids, then what came in earlier ---- */

static bool comes_first(const candidate *a, const candidate *b)
{
    if (a->count != b->count) return a->count > b->count;
    return a->ids != b->ids ? a->ids < b->ids : a->order < b->order;
}

static void push(trainer *t, candidate c)
{
    t->heap = room(t->heap, t->heap_count, &t->heap_cap, sizeof *t->heap);
    size_t i = t->heap_count++;
    while (i > 0 && comes_first(&c, &t->heap[(i - 1) / 2])) {
        t->heap[i] = t->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    t->heap[i] = c;
}

static candidate pop(trainer *t)
{
    candidate top = t->heap[0], last = t->heap[--t->heap_count];
    size_t    i = 0;
    for (size_t kid = 1; kid < t->heap_count; kid = 2 * i + 1) {
        if (kid + 1 < t->heap_count && comes_first(&t->heap[kid + 1], &t->heap[kid])) kid++;
        if (!comes_first(&t->heap[kid], &last)) break;
        t->heap[i] = t->heap[kid];
        i = kid;
    }
    t->heap[i] = last;
    return top;
}

static void push_touched(trainer *t)
{
    for (size_t i = 0; i < t->touched_count; i++) {
        pair *p = &t->pairs[t->touched[i]];
        if (p->count > 0)
            push(t, (candidate){(uint64_t)p->count, p->ids, t->order++, p->fresh});
        else
            free(p->fresh.items);
        p->fresh = (places){0};
    }
    t->touched_count = 0;
}

/* ---- merging ---- */

static void merge_word(trainer *t, uint32_t word, uint64_t ids, uint32_t made)
{
    row     *r = &t->rows[word];
    symbol  *s = t->symbols + r->from;
    uint32_t left = (uint32_t)(ids >> 32), right = (uint32_t)ids, out = 0;
    int64_t  count = (int64_t)t->words[word].count;
    uint32_t most = t->o->max_token_length > 0 ? t->o->max_token_length : UINT32_MAX;
    for (uint32_t i = 0; i < r->len; i++) {
        if (s[i].id != left || i + 1 == r->len || s[i + 1].id != right) {
            s[out++] = s[i];
            continue;
        }
        symbol new = {made, s[i].chars + s[i + 1].chars};
        if (out > 0) {
            change_pair(t, s[out - 1].id, left, -count, word);
            if (s[out - 1].chars + new.chars < most)
                change_pair(t, s[out - 1].id, made, count, word);
        }
        if (i + 2 < r->len) {
            change_pair(t, right, s[i + 2].id, -count, word);
            if (s[i + 2].chars + new.chars < most) change_pair(t, made, s[i + 2].id, count, word);
        }
        s[out++] = new;
        i++;
    }
    r->len = out;
}

static uint32_t name_of(trainer *t, uint64_t ids, snug_buf *text)
{
    snug_slice left = t->tokens[ids >> 32], right = t->tokens[(uint32_t)ids];
    if (t->o->prefix.len > 0 && right.len >= t->o->prefix.len &&
        snug_eq(snug_sub(right, 0, t->o->prefix.len), t->o->prefix))
        right = snug_sub(right, t->o->prefix.len, right.len);
    snug_buf_clear(text);
    snug_buf_put_slice(text, left);
    snug_buf_put_slice(text, right);
    return add_token(t, snug_buf_slice(text));
}

static snug_status merge_all(trainer *t)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(TOK_TEXT_MAX);
    while (t->token_count < t->o->vocab_size && t->heap_count > 0) {
        candidate c = pop(t);
        int64_t   now = pair_of(t, c.ids)->count;
        if (now < 0) now = 0;
        if (c.count != (uint64_t)now) {
            c.count = (uint64_t)now;
            c.order = t->order++;
            push(t, c);
            continue;
        }
        if (c.count < 1 || c.count < t->o->min_frequency) {
            free(c.at.items);
            break;
        }
        uint32_t made = name_of(t, c.ids, &text);
        if (text.full) return snug_fail(t->err, SNUG_ELIMIT, "a token is too long");
        t->merges = room(t->merges, t->merge_count, &t->merge_cap, sizeof *t->merges);
        t->merges[t->merge_count++] = c.ids;
        for (uint32_t i = 0; i < c.at.count; i++) merge_word(t, c.at.items[i], c.ids, made);
        free(c.at.items);
        push_touched(t);
    }
    return SNUG_OK;
}

static void count_pairs(trainer *t)
{
    for (uint32_t i = 0; i < t->row_count; i++) {
        const symbol *s = t->symbols + t->rows[i].from;
        for (uint32_t k = 0; k + 1 < t->rows[i].len; k++)
            change_pair(t, s[k].id, s[k + 1].id, (int64_t)t->words[i].count, i);
    }
    push_touched(t);
}

/* A pair that was joined twice counts where it came last. */
static void hand_over(trainer *t, tok_made *out)
{
    out->tokens = t->tokens;
    out->count = t->token_count;
    out->merges = snug_arena_alloc(t->arena, (t->merge_count + 1) * sizeof *out->merges);
    for (size_t i = 0; i < t->pair_count; i++) t->pairs[i].count = 0;
    for (size_t i = 0; i < t->merge_count; i++) pair_of(t, t->merges[i])->count = (int64_t)i;
    for (size_t i = 0; i < t->merge_count; i++) {
        if (pair_of(t, t->merges[i])->count == (int64_t)i)
            out->merges[out->merge_count++] = t->merges[i];
    }
}

snug_status tok_train_bpe(const tok_train *o, const tok_counts *words, snug_arena *a, tok_made *out,
                          snug_err *err)
{
    trainer t = {.o = o, .arena = a, .err = err, .words = words->items, .row_count = words->count};
    snug_status st = SNUG_OK;
    SNUG_TRY(make_alphabet(&t));
    SNUG_TRY(make_rows(&t));
    count_pairs(&t);
    SNUG_TRY(merge_all(&t));
    hand_over(&t, out);
done:
    for (size_t i = 0; i < t.heap_count; i++) free(t.heap[i].at.items);
    free(t.heap);
    free(t.pairs);
    free(t.slots);
    free(t.touched);
    free(t.symbols);
    free(t.rows);
    free(t.merges);
    return st;
}
