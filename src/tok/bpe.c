/* SPDX-License-Identifier: Apache-2.0 */
/* tok/bpe.c - byte pair encoding: start from characters, join the best-ranked pair, repeat.
 *
 * For:     tok.c.
 * Threads: the tables are constant once loaded; symbols and heap live in the tok_work.
 *
 * Symbols are a doubly linked list in an array. A heap holds every adjacent pair that has a merge,
 * best rank first and leftmost first among equals; an entry whose pair is gone meanwhile is dropped
 * when it comes up. A piece of n characters costs O(n log n), however long it is. */
#include <stdlib.h>

#include "tok/tok_int.h"

#define NO_ID UINT32_MAX

enum {
    FEW = 64, /* symbols that are merged without a heap */
    MERGES_MAX = 16 * 1024 * 1024
};

typedef struct symbol {
    uint32_t id, len;    /* len 0: joined into the one before */
    int32_t  prev, next; /* -1: none */
} symbol;

/* Of a merge of the symbol at `pos` with the next one: rank << 32 | pos, so that the least number
 * is the next to do. */
typedef uint64_t candidate;

/* ---- merges ---- */

static uint64_t hash_of(const tok_bpe *b, uint64_t pair)
{
    uint64_t h = (pair ^ b->seed) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
}

/* The slot of a pair: its own or the free one where it would go. Most pairs that are asked for have
 * no merge; the part of the hash in the slot tells without a look at the list. */
static uint64_t *find_slot(const tok_bpe *b, uint64_t pair)
{
    uint64_t h = hash_of(b, pair), part = h >> 32 << 32;
    for (size_t i = (size_t)h & b->mask;; i = (i + 1) & b->mask) {
        uint64_t s = b->slots[i];
        if (s == 0) return &b->slots[i];
        if ((s ^ part) >> 32 == 0 && b->merges[(uint32_t)s - 1].pair == pair) return &b->slots[i];
    }
}

static const tok_merge *find_merge(const tok_bpe *b, uint32_t left, uint32_t right)
{
    uint64_t s = *find_slot(b, (uint64_t)left << 32 | right);
    return s == 0 ? NULL : &b->merges[(uint32_t)s - 1];
}

static void put_merge(tok_bpe *b, uint64_t pair, uint32_t rank, uint32_t id)
{
    uint64_t *s = find_slot(b, pair);
    if (*s == 0) *s = (hash_of(b, pair) >> 32 << 32) | ++b->merge_count;
    b->merges[(uint32_t)*s - 1] = (tok_merge){pair, rank, id}; /* twice: the later rank counts */
}

/* ["a", "b"], or "a b" in older files. */
static bool read_pair(snug_json v, snug_slice *left, snug_slice *right)
{
    snug_slice text;
    if (snug_json_count(v) == 2) {
        return snug_json_to_str(snug_json_at(v, 0), left) &&
               snug_json_to_str(snug_json_at(v, 1), right);
    }
    if (!snug_json_to_str(v, &text)) return false;
    size_t space = snug_index(text, ' ');
    if (space == SIZE_MAX) return false;
    *left = snug_sub(text, 0, space);
    *right = snug_sub(text, space + 1, text.len);
    return snug_index(*right, ' ') == SIZE_MAX;
}

/* Merges on their way in: looked up together, see tok_vocab_get_many. */
typedef struct batch {
    snug_slice sides[TOK_MANY]; /* left, right, left, right */
    uint32_t   ids[TOK_MANY], made[TOK_MANY / 2];
    size_t     count; /* of merges */
    uint32_t   rank;  /* of the first */
    size_t     at;    /* tok_vocab_get_next */
    snug_buf   joined;
} batch;

static snug_status put_batch(tok *t, batch *m, snug_err *err)
{
    tok_bpe *b = &t->m.bpe;
    tok_vocab_get_many(&t->vocab, m->sides, m->ids, m->count * 2);
    for (size_t i = 0; i < m->count; i++) {
        snug_slice left = m->sides[2 * i], right = m->sides[2 * i + 1];
        snug_buf_clear(&m->joined);
        snug_buf_put_slice(&m->joined, left);
        snug_buf_put_slice(&m->joined, /* only the first keeps its prefix */
                           snug_sub(right, b->prefix.len, right.len));
        if (m->ids[2 * i] == NO_ID || m->ids[2 * i + 1] == NO_ID || m->joined.full ||
            !tok_vocab_get_next(&t->vocab, snug_buf_slice(&m->joined), &m->at, &m->made[i])) {
            return snug_fail(err, SNUG_EINVAL,
                             "BPE: merge %u, \"%.*s\" with \"%.*s\", is not in the vocabulary",
                             m->rank + (uint32_t)i, SNUG_SLICE(snug_sub(left, 0, 40)),
                             SNUG_SLICE(snug_sub(right, 0, 40)));
        }
        uint64_t pair = (uint64_t)m->ids[2 * i] << 32 | m->ids[2 * i + 1];
        __builtin_prefetch(&b->slots[hash_of(b, pair) & b->mask], 1);
    }
    for (size_t i = 0; i < m->count; i++)
        put_merge(b, (uint64_t)m->ids[2 * i] << 32 | m->ids[2 * i + 1], m->rank + (uint32_t)i,
                  m->made[i]);
    m->rank += (uint32_t)m->count;
    m->count = 0;
    return SNUG_OK;
}

static snug_status make_room(tok *t, size_t count, snug_err *err)
{
    tok_bpe *b = &t->m.bpe;
    size_t   slots = 16;
    while (slots < count * 2) slots *= 2; /* bounded by the file */
    b->merges = snug_arena_array_try(t->arena, count, sizeof *b->merges);
    b->slots = snug_arena_array_try(t->arena, slots, sizeof *b->slots);
    if (b->merges == NULL || b->slots == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu merges", count);
    b->mask = slots - 1;
    b->seed = snug_random_u64();
    return SNUG_OK;
}

/* Every way to make a token of two others, with the token's rank; b->slots NULL only counts them.
 */
static snug_status split_token(tok *t, size_t index, uint32_t rank, size_t *count, snug_err *err)
{
    tok_bpe   *b = &t->m.bpe;
    snug_slice key = t->vocab.keys[index];
    uint32_t   left, right;
    for (size_t at = 1; at < key.len; at++) {
        if (((unsigned char)key.ptr[at] & 0xc0) == 0x80) continue;
        if (!tok_vocab_get(&t->vocab, snug_sub(key, 0, at), &left) ||
            !tok_vocab_get(&t->vocab, snug_sub(key, at, key.len), &right))
            continue;
        if (++*count > MERGES_MAX)
            return snug_fail(err, SNUG_ELIMIT, "BPE: more than %d merges", MERGES_MAX);
        if (b->slots != NULL) put_merge(b, (uint64_t)left << 32 | right, rank, t->vocab.ids[index]);
    }
    return SNUG_OK;
}

/* "ranks", in the order of the vocabulary, is ours (forms.c): a pair is joined when what it makes
 * is a token, the lowest rank first; null is never made. */
static snug_status load_ranks(tok *t, snug_json list, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      count = 0;
    for (int pass = 0; pass < 2 && st == SNUG_OK; pass++) {
        size_t index = 0;
        if (pass == 1) st = make_room(t, count, err);
        count = 0;
        for (snug_json_iter it = snug_json_iter_of(list);
             st == SNUG_OK && index < t->vocab.count && snug_json_next(&it); index++) {
            uint64_t rank;
            if (snug_json_to_u64(it.value, &rank) && rank < NO_ID)
                st = split_token(t, index, (uint32_t)rank, &count, err);
        }
    }
    return st;
}

static snug_status load_merges(tok *t, snug_json list, snug_err *err)
{
    batch m = {.joined = snug_buf_init(TOK_JSON_MAX)};
    if (!snug_json_is(list, SNUG_JSON_ARRAY))
        return snug_fail(err, SNUG_EINVAL, "BPE: merges must be a list");
    snug_status st = make_room(t, snug_json_count(list), err);
    for (snug_json_iter it = snug_json_iter_of(list); st == SNUG_OK && snug_json_next(&it);) {
        snug_slice text, *sides = m.sides + 2 * m.count;
        if (snug_json_to_str(it.value, &text) && snug_starts_with(text, "#version")) continue;
        if (!read_pair(it.value, &sides[0], &sides[1]))
            st = snug_fail(err, SNUG_EINVAL, "BPE: merge %u is not a pair of tokens",
                           m.rank + (uint32_t)m.count);
        else if (++m.count == TOK_MANY / 2)
            st = put_batch(t, &m, err);
    }
    if (st == SNUG_OK) st = put_batch(t, &m, err);
    snug_buf_deinit(&m.joined);
    return st;
}

static void load_shortcuts(tok *t)
{
    tok_bpe *b = &t->m.bpe;
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "<0x%02X>", i);
        if (!tok_vocab_get(&t->vocab, snug_str(name), &b->byte_ids[i])) b->byte_ids[i] = NO_ID;
    }
    for (uint32_t cp = 0; cp < 512; cp++) {
        char text[4];
        if (!tok_vocab_get(&t->vocab, snug_slice_of(text, snug_utf8_put(cp, text)),
                           &b->char_ids[cp])) {
            b->char_ids[cp] = NO_ID;
        }
    }
    b->can_raw = b->prefix.len + b->suffix.len == 0;
    for (unsigned i = 0; i < 256; i++) {
        b->raw_ids[i] = b->char_ids[tok_byte_to_cp((unsigned char)i)];
        if (b->raw_ids[i] == NO_ID) b->can_raw = false;
    }
}

static snug_status load(tok *t, snug_json v, snug_err *err)
{
    tok_bpe    *b = &t->m.bpe;
    snug_status st = SNUG_OK;
    snug_json   ranks = snug_json_get(v, "ranks");
    bool        set;
    double      dropout = 0;
    SNUG_TRY(tok_model_load_vocab(t, snug_json_get(v, "vocab"), err));
    SNUG_TRY(tok_opt_str(t->arena, v, "unk_token", &b->unk, &b->has_unk, err));
    SNUG_TRY(tok_opt_str(t->arena, v, "continuing_subword_prefix", &b->prefix, &set, err));
    SNUG_TRY(tok_opt_str(t->arena, v, "end_of_word_suffix", &b->suffix, &set, err));
    b->unk_known = b->has_unk && tok_vocab_get(&t->vocab, b->unk, &b->unk_id);
    b->fuse_unk = snug_json_bool_or(v, "fuse_unk", false);
    b->byte_fallback = snug_json_bool_or(v, "byte_fallback", false);
    b->ignore_merges = snug_json_bool_or(v, "ignore_merges", false);
    if (snug_json_to_f64(snug_json_get(v, "dropout"), &dropout) && !(dropout >= 0 && dropout <= 1))
        SNUG_FAIL(err, SNUG_EINVAL, "BPE: dropout must lie between 0 and 1");
    b->dropout = dropout;
    t->random = dropout > 0;
    if (snug_json_is(ranks, SNUG_JSON_ARRAY))
        SNUG_TRY(load_ranks(t, ranks, err));
    else
        SNUG_TRY(load_merges(t, snug_json_get(v, "merges"), err));
    load_shortcuts(t);
    if (b->can_raw) b->back = tok_back_new(t->arena);
done:
    return st;
}

/* ---- characters to symbols ---- */

typedef struct word {
    symbol *symbols;
    size_t  count;
    bool    unk; /* an unknown stretch is pending */
    size_t  unk_len;
} word;

static void add_symbol(word *w, uint32_t id, size_t len)
{
    w->symbols[w->count++] = (symbol){.id = id, .len = (uint32_t)len};
}

static void flush_unk(const tok_bpe *b, word *w)
{
    if (w->unk) add_symbol(w, b->unk_id, w->unk_len);
    w->unk = false;
}

/* The character as the vocabulary spells it at this place of a word. */
static snug_slice spell(const tok_bpe *b, tok_work *w, snug_slice c, bool first, bool last)
{
    snug_slice before = first ? SNUG_EMPTY : b->prefix, after = last ? b->suffix : SNUG_EMPTY;
    if (before.len + after.len == 0) return c;
    char *text = tok_scratch_need(&w->model[1], before.len + c.len + after.len);
    if (before.len > 0) memcpy(text, before.ptr, before.len);
    memcpy(text + before.len, c.ptr, c.len);
    if (after.len > 0) memcpy(text + before.len + c.len, after.ptr, after.len);
    return snug_slice_of(text, before.len + c.len + after.len);
}

static bool find_char(const tok *t, snug_slice c, uint32_t *id)
{
    const tok_bpe *b = &t->m.bpe;
    uint32_t       cp = tok_cp(c.ptr);
    if (cp >= 512 || tok_utf8_len((unsigned char)c.ptr[0]) != c.len)
        return tok_vocab_get(&t->vocab, c, id);
    *id = b->char_ids[cp];
    return *id != NO_ID;
}

static bool add_as_bytes(const tok_bpe *b, word *w, snug_slice c)
{
    for (size_t i = 0; i < c.len; i++) {
        if (b->byte_ids[(unsigned char)c.ptr[i]] == NO_ID) return false;
    }
    for (size_t i = 0; i < c.len; i++) add_symbol(w, b->byte_ids[(unsigned char)c.ptr[i]], 1);
    return true;
}

static snug_status add_char(const tok *t, tok_work *wk, word *w, snug_slice c, bool first,
                            bool last)
{
    const tok_bpe *b = &t->m.bpe;
    uint32_t       id;
    snug_slice     spelt = spell(b, wk, c, first, last);
    if (find_char(t, spelt, &id)) {
        flush_unk(b, w);
        add_symbol(w, id, c.len);
        return SNUG_OK;
    }
    if (b->byte_fallback && add_as_bytes(b, w, spelt)) return SNUG_OK;
    if (!b->has_unk) return SNUG_OK; /* left out */
    if (!b->unk_known) {
        return snug_fail(wk->err, SNUG_EINVAL,
                         "BPE: the unknown token \"%.*s\" is not in the vocabulary",
                         SNUG_SLICE(snug_sub(b->unk, 0, 40)));
    }
    if (w->unk && b->fuse_unk) {
        w->unk_len += c.len;
        return SNUG_OK;
    }
    flush_unk(b, w);
    w->unk = true;
    w->unk_len = c.len;
    return SNUG_OK;
}

/* ---- merging ---- */

typedef struct heap {
    candidate *items;
    size_t     count;
} heap;

/* Four children to a parent: half the levels, and the four lie in one line of the cache. */
static void heap_push(heap *h, candidate c)
{
    size_t i = h->count++;
    while (i > 0 && c < h->items[(i - 1) / 4]) {
        h->items[i] = h->items[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    h->items[i] = c;
}

static void heap_sink(heap *h, size_t i, candidate c)
{
    for (size_t kid = 4 * i + 1; kid < h->count; kid = 4 * i + 1) {
        size_t least = kid, end = kid + 4 < h->count ? kid + 4 : h->count;
        for (size_t k = kid + 1; k < end; k++) least = h->items[k] < h->items[least] ? k : least;
        if (c <= h->items[least]) break;
        h->items[i] = h->items[least];
        i = least;
    }
    h->items[i] = c;
}

static candidate heap_pop(heap *h)
{
    candidate top = h->items[0];
    if (--h->count > 0) heap_sink(h, 0, h->items[h->count]);
    return top;
}

static bool find_candidate(const tok_bpe *b, const symbol *s, int32_t left, candidate *out)
{
    if (left < 0 || s[left].next < 0) return false;
    const tok_merge *m = find_merge(b, s[left].id, s[s[left].next].id);
    if (m != NULL) *out = (uint64_t)m->rank << 32 | (uint32_t)left;
    return m != NULL;
}

static void push_pair(const tok_bpe *b, heap *h, const symbol *s, int32_t left)
{
    candidate c;
    if (find_candidate(b, s, left, &c)) heap_push(h, c);
}

/* All pairs of a fresh row of symbols, put in order at the end. */
static void fill_heap(const tok_bpe *b, heap *h, symbol *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
    }
    for (size_t i = 0; i + 1 < n; i++)
        h->count += find_candidate(b, s, (int32_t)i, &h->items[h->count]);
    for (size_t i = h->count / 4 + 1; i > 0; i--) {
        if (i - 1 < h->count) heap_sink(h, i - 1, h->items[i - 1]);
    }
}

/* Joins the pair of a candidate if it is still there. */
static void join(const tok_bpe *b, heap *h, symbol *s, candidate c)
{
    int32_t pos = (int32_t)(uint32_t)c;
    symbol *left = &s[pos];
    if (left->len == 0 || left->next < 0) return;
    symbol          *right = &s[left->next];
    const tok_merge *m = find_merge(b, left->id, right->id);
    if (m == NULL || m->rank != c >> 32) return; /* its pair is gone */
    left->id = m->id;
    left->len += right->len;
    left->next = right->next;
    right->len = 0;
    if (right->next >= 0) s[right->next].prev = pos;
    push_pair(b, h, s, left->prev);
    push_pair(b, h, s, pos);
}

static void merge_all(const tok_bpe *b, symbol *s, size_t n, candidate *room)
{
    heap h = {room, 0};
    fill_heap(b, &h, s, n);
    while (h.count > 0) join(b, &h, s, heap_pop(&h));
}

/* The same for a few symbols, where looking at every pair each time is cheaper than a heap. Pairs
 * whose left symbol is gone keep the rank NO_ID, so the search runs straight over the array. */
static void merge_few(const tok_bpe *b, symbol *s, size_t n)
{
    uint32_t rank[FEW], to[FEW];
    for (size_t i = 0; i < n; i++) {
        const tok_merge *m = i + 1 < n ? find_merge(b, s[i].id, s[i + 1].id) : NULL;
        rank[i] = m != NULL ? m->rank : NO_ID;
        to[i] = m != NULL ? m->id : 0;
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
    }
    for (;;) {
        size_t   at = 0;
        uint32_t least = NO_ID;
        for (size_t i = 0; i < n; i++) {
            if (rank[i] >= least) continue;
            least = rank[i];
            at = i;
        }
        if (least == NO_ID) return;
        symbol *left = &s[at], *right = &s[left->next];
        rank[left->next] = NO_ID;
        left->id = to[at];
        left->len += right->len;
        left->next = right->next;
        right->len = 0;
        const tok_merge *m = NULL;
        if (left->next >= 0) {
            s[left->next].prev = (int32_t)at;
            m = find_merge(b, left->id, s[left->next].id);
        }
        rank[at] = m != NULL ? m->rank : NO_ID;
        to[at] = m != NULL ? m->id : 0;
        if (left->prev < 0) continue;
        m = find_merge(b, s[left->prev].id, left->id);
        rank[left->prev] = m != NULL ? m->rank : NO_ID;
        to[left->prev] = m != NULL ? m->id : 0;
    }
}

/* A number in [0, 1), by xorshift: speed matters here, secrecy does not. */
static double draw(tok_work *wk)
{
    uint64_t x = wk->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    wk->random = x;
    return (double)(x >> 11) / 9007199254740992.0;
}

/* BPE dropout (Provilkov et al. 2020), as the reference draws: a pair that comes up is passed over
 * with the given probability; all that were come back with the next one that is not. They wait at
 * the other end of the room, which holds every pair there can ever be. */
static void merge_some(const tok_bpe *b, tok_work *wk, symbol *s, size_t n, candidate *room)
{
    heap   h = {room, 0};
    size_t most = 3 * n, waiting = 0;
    fill_heap(b, &h, s, n);
    while (h.count > 0) {
        candidate c = heap_pop(&h);
        if (draw(wk) < b->dropout) {
            room[most - ++waiting] = c;
            continue;
        }
        for (; waiting > 0; waiting--) heap_push(&h, room[most - waiting]);
        join(b, &h, s, c);
    }
}

static void merge_and_emit(const tok_bpe *b, tok_work *wk, const tok_piece *p, symbol *s, size_t n,
                           candidate *room)
{
    size_t at = 0;
    if (b->dropout > 0)
        merge_some(b, wk, s, n, room);
    else if (n <= FEW)
        merge_few(b, s, n);
    else
        merge_all(b, s, n, room);
    for (size_t i = 0; i < n; i++) {
        if (s[i].len == 0) continue;
        tok_emit(wk, p, s[i].id, at, at + s[i].len, SNUG_EMPTY);
        at += s[i].len;
    }
}

/* The piece as ByteLevel would have mapped it, whole, if it is a token. */
static bool find_mapped(const tok *t, tok_work *wk, const tok_piece *p, uint32_t *id)
{
    if (p->len > t->vocab.len_max) return false;
    char  *text = tok_scratch_need(&wk->model[1], 2 * (size_t)p->len);
    size_t n = 0;
    for (uint32_t i = 0; i < p->len; i++)
        n += snug_utf8_put(tok_byte_to_cp((unsigned char)p->text[i]), text + n);
    return tok_vocab_get(&t->vocab, snug_slice_of(text, n), id);
}

/* A long run of Chinese, say: cut where no token reaches across, it is short words again. */
static snug_status run_between_seams(const uint64_t *seams, tok_work *wk, const tok_piece *p,
                                     size_t end)
{
    snug_status st = SNUG_OK;
    for (size_t at = 0; at < p->len && st == SNUG_OK;) {
        tok_piece part = tok_cut(p, (uint32_t)at, (uint32_t)end);
        st = tok_run_model(wk, &part);
        at = end;
        if (at < p->len) end = tok_seam_next(seams, p->text, p->len, at);
    }
    return st;
}

/* *done says whether the word was one to cut. */
static snug_status try_seams(const tok_bpe *b, tok_work *wk, const tok_piece *p, bool *done)
{
    const uint64_t *seams = tok_back_seams(b->back);
    size_t          end = seams == NULL ? p->len : tok_seam_next(seams, p->text, p->len, 0);
    *done = end < p->len;
    if (!*done) return SNUG_OK;
    wk->within = true;
    snug_status st = run_between_seams(seams, wk, p, end);
    wk->within = false;
    return st;
}

static snug_status run_raw(const tok *t, tok_work *wk, const tok_piece *p)
{
    const tok_bpe *b = &t->m.bpe;
    symbol         few[FEW], *s = few;
    uint32_t       id;
    if (b->ignore_merges && b->dropout == 0 && !wk->within && find_mapped(t, wk, p, &id)) {
        tok_emit(wk, p, id, 0, p->len, SNUG_EMPTY);
        return SNUG_OK;
    }
    if (p->len > TOK_WORD_BYTES && !wk->within && b->dropout == 0) {
        bool done = tok_back_run(t, wk, p);
        if (done) return SNUG_OK;
        snug_status st = try_seams(b, wk, p, &done);
        if (done || st != SNUG_OK) return st;
    }
    if (p->len > FEW || b->dropout > 0)
        s = tok_scratch_need(&wk->model[0],
                             (size_t)p->len * (sizeof(symbol) + 3 * sizeof(candidate)));
    for (uint32_t i = 0; i < p->len; i++)
        s[i] = (symbol){.id = b->raw_ids[(unsigned char)p->text[i]], .len = 1};
    merge_and_emit(b, wk, p, s, p->len, (candidate *)(s + p->len));
    return SNUG_OK;
}

static snug_status run(const tok *t, tok_work *wk, const tok_piece *p)
{
    const tok_bpe *b = &t->m.bpe;
    snug_slice     text = snug_slice_of(p->text, p->len);
    uint32_t       id;
    if (t->raw) return run_raw(t, wk, p);
    if (b->ignore_merges && b->dropout == 0 && tok_vocab_get(&t->vocab, text, &id)) {
        tok_emit(wk, p, id, 0, p->len, SNUG_EMPTY);
        return SNUG_OK;
    }
    /* At most one symbol per byte (and a pending unknown); each merge pushes two pairs. */
    size_t room = (size_t)p->len + 1;
    if (b->byte_fallback) room += p->len * b->prefix.len + b->suffix.len; /* spelt in bytes too */
    if (room > TOK_NORMAL_MAX)
        return snug_fail(wk->err, SNUG_ELIMIT, "BPE: a word of %u bytes is too long", p->len);
    word w = {.symbols =
                  tok_scratch_need(&wk->model[0], room * (sizeof(symbol) + 3 * sizeof(candidate)))};
    for (size_t at = 0; at < text.len;) {
        size_t      n = tok_utf8_len((unsigned char)text.ptr[at]);
        snug_status st = add_char(t, wk, &w, snug_sub(text, at, n), at == 0, at + n == text.len);
        if (st != SNUG_OK) return st;
        at += n;
    }
    flush_unk(b, &w);
    merge_and_emit(b, wk, p, w.symbols, w.count, (candidate *)(w.symbols + room));
    return SNUG_OK;
}

const tok_model_type tok_bpe_type = {"BPE", load, run};
