/* SPDX-License-Identifier: Apache-2.0 */
/* tok/back.c - byte pair encoding from left to right: the longest token first, and back if need be.
 *
 * For:     bpe.c, on bytes.
 * Owns:    its arena, which goes with the tokenizer's.
 * Threads: built once, by whichever call saw enough text; the others go on without until it is
 *          there. Constant from then on.
 * Truth:   gives what merging by rank gives. When every merge is ranked behind those that make its
 *          parts, merging runs through the ranks once. A row of tokens is then the encoding of its
 *          text exactly when each token is that of its own bytes and no two neighbours would have
 *          joined across their border: the first join across a border sees nothing but the two.
 *
 * So a text is walked with a trie: take the longest token that may stand behind the last one, else
 * a shorter one, else take back the last. Only one row leads to any place, so a place that leads
 * nowhere is left for good. Tokens are numbered by the rank of the merge that makes them, the bytes
 * first. A vocabulary that is not in such an order is refused, and a text that needs too many steps
 * is too: both are merged by rank, the former in the parts that seam.c finds. */
#include <stdatomic.h>
#include <stdlib.h>

#include "tok/tok_int.h"

enum {
    NONE = UINT32_MAX & INT32_MAX, /* as a number of a token */
    BYTES = 256,
    SEEN_MIN = 64 * 1024,  /* bytes of long words before it is worth building */
    LEN_MAX = 64 * 1024,   /* of one token */
    STEPS_PER_BYTE = 24,   /* usual texts take 2 to 4 */
    SMALL = 512,           /* bytes of a word that needs no memory */
    WIDE = 0x10000 - 0x800 /* characters of three bytes */
};

typedef struct back_token {
    uint32_t left, right; /* what it is made of; bytes: themselves */
    uint32_t id, len;
    uint32_t shorter; /* the longest token that it begins with; NONE */
} back_token;

/* A step over a character of three bytes: by far most steps of texts that need this file. */
typedef struct back_edge {
    uint64_t key;         /* node << 16 | character; 0: free */
    uint32_t node, value; /* value: the deepest token on these three bytes */
} back_edge;

typedef struct back_start {
    uint32_t node, value; /* node 0: go byte by byte */
} back_start;

typedef struct back_table {
    snug_arena *arena;
    back_token *tokens;
    uint32_t    count;
    uint64_t   *slots; /* by pair: part of the hash << 32 | token; 0: free */
    uint64_t   *bits;  /* by the same hash: whether it is worth looking */
    size_t      mask, bits_mask;
    uint64_t    seed;
    tok_trie    trie;
    back_start *wide; /* by character of three bytes */
    back_edge  *edges;
    uint64_t   *edge_bits; /* by hash: whether it is worth looking */
    uint64_t   *partial;   /* by node: a token ends inside a character of three bytes behind it */
    size_t      edge_mask;
} back_table;

struct tok_back {
    _Atomic(back_table *) table;
    _Atomic(uint64_t *)   seams; /* instead, when there can be no table */
    snug_arena           *seam_arena;
    _Atomic(uint64_t)     seen;
    atomic_bool           taken; /* somebody builds or has built */
};

/* ---- pairs ---- */

static uint64_t hash_of(const back_table *k, uint32_t x, uint32_t y)
{
    uint64_t h = (((uint64_t)x << 32 | y) ^ k->seed) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
}

/* The token that two make, or UINT32_MAX. */
static uint32_t made_of(const back_table *k, uint32_t x, uint32_t y)
{
    uint64_t h = hash_of(k, x, y);
    size_t   bit = (size_t)(h >> 20) & k->bits_mask;
    if ((k->bits[bit / 64] >> bit % 64 & 1u) == 0) return UINT32_MAX;
    for (size_t i = (size_t)h & k->mask;; i = (i + 1) & k->mask) {
        uint64_t s = k->slots[i];
        if (s == 0) return UINT32_MAX;
        if ((s ^ h) >> 32 != 0) continue;
        const back_token *t = &k->tokens[(uint32_t)s];
        if (t->left == x && t->right == y) return (uint32_t)s;
    }
}

static void put_pair(back_table *k, uint32_t token)
{
    uint64_t h = hash_of(k, k->tokens[token].left, k->tokens[token].right);
    size_t   bit = (size_t)(h >> 20) & k->bits_mask, i = (size_t)h & k->mask;
    k->bits[bit / 64] |= (uint64_t)1 << bit % 64;
    while (k->slots[i] != 0) i = (i + 1) & k->mask;
    k->slots[i] = h >> 32 << 32 | token;
}

/* Whether x and y, each merged alone, stay two when they are merged side by side. Goes back through
 * the ranks: the later of the two at the border comes apart first. x_end and y_end are the merges
 * that end the two; within one rank the left pair goes first. */
static bool stay_apart(const back_table *k, uint32_t x, uint32_t y)
{
    uint32_t x_end = UINT32_MAX, y_end = UINT32_MAX - 1;
    for (;;) {
        uint32_t m = made_of(k, x, y);
        if (m < x_end && m <= y_end) return false;
        if (x > y && x >= BYTES) {
            x_end = x;
            x = k->tokens[x].right;
        } else if (y >= BYTES) {
            y_end = y;
            y = k->tokens[y].left;
        } else {
            return true;
        }
    }
}

/* ---- building ---- */

typedef struct building {
    const tok_bpe *b;
    snug_arena    *scratch;
    uint64_t      *order;    /* rank << 32 | merge */
    uint32_t      *by_id;    /* NONE: not made (yet) */
    uint8_t       *too_soon; /* by id: a merge wanted it before it was made */
    uint32_t       id_count;
    snug_slice    *keys;
    uint32_t      *values;
} building;

static int by_number(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

static bool sort_merges(building *g)
{
    const tok_bpe *b = g->b;
    bool           sorted = true;
    g->order = snug_arena_array_try(g->scratch, b->merge_count + 1, sizeof *g->order);
    if (g->order == NULL) return false;
    for (size_t i = 0; i < b->merge_count; i++) {
        g->order[i] = (uint64_t)b->merges[i].rank << 32 | i;
        sorted = sorted && (i == 0 || g->order[i - 1] < g->order[i]);
    }
    if (!sorted) qsort(g->order, b->merge_count, sizeof *g->order, by_number);
    return true;
}

static bool make_room(building *g, back_table *k)
{
    size_t most = g->b->merge_count + BYTES, slots = 1024;
    while (slots < 2 * most) slots *= 2;
    k->mask = slots - 1;
    k->bits_mask = 8 * slots - 1;
    k->seed = snug_random_u64();
    k->tokens = snug_arena_array_try(k->arena, most, sizeof *k->tokens);
    k->slots = snug_arena_array_try(k->arena, slots, sizeof *k->slots);
    k->bits = snug_arena_array_try(k->arena, slots / 8, sizeof *k->bits);
    k->wide = snug_arena_array_try(k->arena, WIDE, sizeof *k->wide);
    g->by_id = snug_arena_array_try(g->scratch, g->id_count, sizeof *g->by_id);
    g->too_soon = snug_arena_array_try(g->scratch, g->id_count, 1);
    g->keys = snug_arena_array_try(g->scratch, most, sizeof *g->keys);
    g->values = snug_arena_array_try(g->scratch, most, sizeof *g->values);
    return k->tokens && k->slots && k->bits && k->wide && g->by_id && g->too_soon && g->keys &&
           g->values;
}

static bool add_bytes(building *g, back_table *k)
{
    char *text = snug_arena_alloc(g->scratch, BYTES);
    for (uint32_t i = 0; i < g->id_count; i++) g->by_id[i] = NONE;
    for (uint32_t i = 0; i < BYTES; i++) {
        uint32_t id = g->b->raw_ids[i];
        if (g->by_id[id] != NONE) return false;
        text[i] = (char)i;
        g->by_id[id] = i;
        g->keys[i] = snug_slice_of(text + i, 1);
        g->values[i] = i;
        k->tokens[i] = (back_token){i, i, id, 1, NONE};
    }
    k->count = BYTES;
    return true;
}

static snug_slice concat(snug_arena *a, snug_slice x, snug_slice y)
{
    char *text = snug_arena_alloc(a, x.len + y.len);
    memcpy(text, x.ptr, x.len);
    memcpy(text + x.len, y.ptr, y.len);
    return snug_slice_of(text, x.len + y.len);
}

/* Merges in the order of their ranks. One whose parts never stand side by side when its turn comes
 * is never done and left out; so each token is made in one way. */
static bool add_merges(building *g, back_table *k)
{
    for (size_t i = 0; i < g->b->merge_count; i++) {
        const tok_merge *m = &g->b->merges[(uint32_t)g->order[i]];
        uint32_t         l = g->by_id[m->pair >> 32], r = g->by_id[(uint32_t)m->pair];
        if (l == NONE) g->too_soon[m->pair >> 32] = 1;
        if (r == NONE) g->too_soon[(uint32_t)m->pair] = 1;
        if (l == NONE || r == NONE || !stay_apart(k, l, r)) continue;
        uint32_t len = k->tokens[l].len + k->tokens[r].len, t = k->count;
        if (g->by_id[m->id] != NONE || g->too_soon[m->id] || len > LEN_MAX) return false;
        if (t > BYTES && i > 0 && g->order[i] >> 32 == g->order[i - 1] >> 32 &&
            g->b->merges[(uint32_t)g->order[i - 1]].id != m->id)
            return false; /* two tokens of one rank */
        k->tokens[t] = (back_token){l, r, m->id, len, NONE};
        g->keys[t] = concat(g->scratch, g->keys[l], g->keys[r]);
        g->values[t] = t;
        g->by_id[m->id] = t;
        k->count++;
        put_pair(k, t);
    }
    return true;
}

/* Nodes lie in the order of their depth, so what is known of a node is there before its kids. */
static bool add_shorter(building *g, back_table *k)
{
    const tok_trie_node *n = k->trie.nodes;
    uint32_t            *best = snug_arena_array_try(g->scratch, k->trie.count, sizeof *best);
    if (best == NULL) return false;
    best[0] = NONE;
    for (uint32_t i = 0; i < k->trie.count; i++) {
        uint32_t here = n[i].value != TOK_NO_VALUE ? n[i].value : best[i];
        for (uint32_t c = n[i].kids; c < n[i].kids + n[i].count; c++) {
            best[c] = here;
            if (n[c].value != TOK_NO_VALUE) k->tokens[n[c].value].shorter = here;
        }
    }
    return true;
}

static uint64_t edge_hash(const back_table *k, uint64_t key)
{
    uint64_t h = (key ^ k->seed) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static void put_edge(back_table *k, uint32_t from, uint32_t cp, uint32_t node, uint32_t value)
{
    uint64_t key = (uint64_t)from << 16 | cp, h = edge_hash(k, key);
    size_t   i = (size_t)h & k->edge_mask, bit = (size_t)(h >> 20) & (8 * k->edge_mask + 7);
    while (k->edges[i].key != 0) i = (i + 1) & k->edge_mask;
    k->edges[i] = (back_edge){key, node, value};
    k->edge_bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

typedef struct edge_visit {
    back_table *k;
    size_t      count;
    bool        put; /* or only count */
} edge_visit;

static void visit_edge(edge_visit *v, uint32_t from, uint32_t cp, uint32_t node, uint32_t before)
{
    uint32_t own = v->k->trie.nodes[node].value;
    v->count++;
    if (!v->put || cp < 0x800) return;
    if (from != 0)
        put_edge(v->k, from, cp, node, own != TOK_NO_VALUE ? own : before);
    else if (own != TOK_NO_VALUE)
        v->k->wide[cp - 0x800] = (back_start){node, own};
}

/* All ways from one node over three bytes that are a character. */
static void visit_node(edge_visit *v, uint32_t from)
{
    const tok_trie_node *n = v->k->trie.nodes;
    for (uint32_t a = n[from].kids; a < n[from].kids + n[from].count; a++) {
        if (n[a].byte < 0xe0 || n[a].byte >= 0xf0) continue;
        bool partial = n[a].value != TOK_NO_VALUE;
        for (uint32_t b = n[a].kids; b < n[a].kids + n[a].count; b++) {
            uint32_t before = n[b].value != TOK_NO_VALUE ? n[b].value : n[a].value;
            partial = partial || n[b].value != TOK_NO_VALUE;
            for (uint32_t c = n[b].kids; c < n[b].kids + n[b].count; c++) {
                if ((n[b].byte & 0xc0) != 0x80 || (n[c].byte & 0xc0) != 0x80) continue;
                uint32_t cp = (n[a].byte & 15u) << 12 | (n[b].byte & 63u) << 6 | (n[c].byte & 63u);
                visit_edge(v, from, cp, c, before);
            }
        }
        if (partial && v->put) v->k->partial[from / 64] |= (uint64_t)1 << from % 64;
    }
}

static bool add_edges(back_table *k)
{
    edge_visit v = {.k = k};
    size_t     slots = 64;
    for (uint32_t i = 0; i < k->trie.count; i++) visit_node(&v, i);
    while (slots < 2 * v.count) slots *= 2; /* bounded by the trie */
    k->edge_mask = slots - 1;
    k->edges = snug_arena_array_try(k->arena, slots, sizeof *k->edges);
    k->edge_bits = snug_arena_array_try(k->arena, slots / 8, sizeof *k->edge_bits);
    k->partial = snug_arena_array_try(k->arena, k->trie.count / 64 + 1, sizeof *k->partial);
    if (k->edges == NULL || k->edge_bits == NULL || k->partial == NULL) return false;
    v.put = true;
    for (uint32_t i = 0; i < k->trie.count; i++) visit_node(&v, i);
    return true;
}

static bool build(building *g, back_table *k)
{
    snug_err err = {0};
    if (!sort_merges(g) || !make_room(g, k) || !add_bytes(g, k) || !add_merges(g, k)) return false;
    if (tok_trie_build(&k->trie, k->arena, g->keys, g->values, k->count, &err) != SNUG_OK)
        return false;
    return add_shorter(g, k) && add_edges(k);
}

static back_table *new_table(const tok_bpe *b)
{
    snug_arena *arena = snug_arena_new();
    back_table *k = SNUG_NEW(arena, back_table);
    building    g = {.b = b, .scratch = snug_arena_new()};
    k->arena = arena;
    for (size_t i = 0; i < b->merge_count; i++) {
        uint32_t left = (uint32_t)(b->merges[i].pair >> 32), right = (uint32_t)b->merges[i].pair;
        uint32_t most = left > right ? left : right;
        most = most > b->merges[i].id ? most : b->merges[i].id;
        if (most >= g.id_count) g.id_count = most + 1; /* at most TOK_ID_MAX */
    }
    for (unsigned i = 0; i < BYTES; i++) {
        if (b->raw_ids[i] >= g.id_count) g.id_count = b->raw_ids[i] + 1;
    }
    bool done = build(&g, k);
    snug_arena_free(g.scratch);
    if (done) return k;
    snug_arena_free(arena);
    return NULL;
}

static void free_back(void *arg)
{
    tok_back   *s = arg;
    back_table *k = atomic_load(&s->table);
    if (k != NULL) snug_arena_free(k->arena);
    snug_arena_free(s->seam_arena); /* NULL is fine */
}

tok_back *tok_back_new(snug_arena *a)
{
    tok_back *s = SNUG_NEW(a, tok_back);
    s->seam_arena = NULL;
    atomic_init(&s->table, NULL);
    atomic_init(&s->seams, NULL);
    atomic_init(&s->seen, 0);
    atomic_init(&s->taken, false);
    snug_arena_on_free(a, free_back, s);
    return s;
}

static void add_seams(tok_back *s, const tok_vocab *vocab)
{
    s->seam_arena = snug_arena_new();
    atomic_store_explicit(&s->seams, tok_seams_new(s->seam_arena, vocab), memory_order_release);
}

const uint64_t *tok_back_seams(const tok_back *s)
{
    return atomic_load_explicit(&s->seams, memory_order_acquire);
}

static const back_table *table_of(const tok *t, size_t n)
{
    tok_back         *s = t->m.bpe.back;
    const back_table *k = atomic_load_explicit(&s->table, memory_order_acquire);
    if (k != NULL || atomic_load_explicit(&s->taken, memory_order_relaxed)) return k;
    if (atomic_fetch_add_explicit(&s->seen, n, memory_order_relaxed) + n < SEEN_MIN) return NULL;
    if (atomic_exchange(&s->taken, true)) return NULL;
    back_table *made = new_table(&t->m.bpe);
    atomic_store_explicit(&s->table, made, memory_order_release);
    if (made == NULL) add_seams(s, &t->vocab);
    return made;
}

/* ---- encoding ---- */

typedef struct walk {
    const back_table    *k;
    const unsigned char *text;
    size_t               len, steps;
    uint32_t            *row;  /* tokens up to here */
    uint64_t            *dead; /* places that lead nowhere, bit by bit */
    size_t               count;
} walk;

static const back_edge *find_edge(const back_table *k, uint32_t node, uint32_t cp)
{
    uint64_t key = (uint64_t)node << 16 | cp, h = edge_hash(k, key);
    size_t   bit = (size_t)(h >> 20) & (8 * k->edge_mask + 7);
    if ((k->edge_bits[bit / 64] >> bit % 64 & 1u) == 0) return NULL;
    for (size_t i = (size_t)h & k->edge_mask;; i = (i + 1) & k->edge_mask) {
        if (k->edges[i].key == key) return &k->edges[i];
        if (k->edges[i].key == 0) return NULL;
    }
}

static bool is_partial(const back_table *k, uint32_t node)
{
    return (k->partial[node / 64] >> node % 64 & 1u) != 0;
}

/* Over the character of three bytes at p, which is a legal one as the text is valid and a piece
 * holds whole characters. *node 0: no token goes on; false: byte by byte will tell. */
static bool step_wide(const back_table *k, const unsigned char *p, uint32_t *node, uint32_t *found)
{
    uint32_t cp = (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63);
    if (cp < 0x800) return false;
    if (*node == 0) {
        back_start s = k->wide[cp - 0x800];
        *node = s.node;
        *found = s.node != 0 ? s.value : *found;
        return s.node != 0;
    }
    const back_edge *e = find_edge(k, *node, cp);
    if (e == NULL && is_partial(k, *node)) return false;
    *node = e != NULL ? e->node : 0;
    if (e != NULL && e->value != TOK_NO_VALUE) *found = e->value;
    return true;
}

/* The longest token at a place before the end; every byte is one. */
static uint32_t longest(walk *w, size_t at)
{
    const back_table    *k = w->k;
    const unsigned char *p = w->text;
    uint32_t             node = 0, found = p[at];
    size_t               i = at;
    while (i < w->len) {
        if (p[i] >= 0xe0 && p[i] < 0xf0 && w->len - i >= 3 && step_wide(k, p + i, &node, &found)) {
            i += 3;
        } else {
            node = tok_trie_step(&k->trie, node, p[i++]);
            uint32_t value = node == 0 ? TOK_NO_VALUE : k->trie.nodes[node].value;
            if (value != TOK_NO_VALUE) found = value;
        }
        if (node == 0) break;
    }
    w->steps += i - at;
    return found;
}

static bool is_dead(const walk *w, size_t at) { return (w->dead[at / 64] >> at % 64 & 1u) != 0; }

/* Puts the longest token that fits, `token` or one it begins with, at the end of the row. */
static bool put_fitting(walk *w, size_t *at, uint32_t token)
{
    const back_table *k = w->k;
    for (; token != NONE; token = k->tokens[token].shorter) {
        size_t end = *at + k->tokens[token].len;
        w->steps++;
        if (is_dead(w, end)) continue;
        if (w->count > 0 && !stay_apart(k, w->row[w->count - 1], token)) continue;
        w->row[w->count++] = token;
        *at = end;
        return true;
    }
    return false;
}

static bool walk_text(walk *w)
{
    size_t at = 0, most = STEPS_PER_BYTE * w->len + 256;
    while (at < w->len) {
        uint32_t token = longest(w, at);
        while (!put_fitting(w, &at, token)) {
            if (w->count == 0) return false;
            w->dead[at / 64] |= (uint64_t)1 << at % 64;
            token = w->row[--w->count];
            at -= w->k->tokens[token].len;
        }
        if (w->steps > most) return false;
    }
    return true;
}

bool tok_back_run(const tok *t, tok_work *wk, const tok_piece *p)
{
    const back_table *k = table_of(t, p->len);
    uint32_t          row[SMALL];
    uint64_t          dead[SMALL / 64 + 1];
    walk              w = {k, (const unsigned char *)p->text, p->len, 0, row, dead, 0};
    size_t            words = p->len / 64 + 1, at = 0;
    if (k == NULL) return false;
    if (p->len > SMALL) {
        w.dead = tok_scratch_need(&wk->model[0], words * sizeof *w.dead + p->len * sizeof *w.row);
        w.row = (uint32_t *)(void *)(w.dead + words);
    }
    memset(w.dead, 0, words * sizeof *w.dead);
    if (!walk_text(&w)) return false;
    for (size_t i = 0; i < w.count; i++) {
        const back_token *x = &k->tokens[w.row[i]];
        tok_emit(wk, p, x->id, at, at + x->len, SNUG_EMPTY);
        at += x->len;
    }
    return true;
}
