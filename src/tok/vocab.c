/* SPDX-License-Identifier: Apache-2.0 */
/* tok/vocab.c - from token to id, and a trie for all tokens that start somewhere.
 *
 * For:     the models, added.c.
 * Owns:    nothing: tables lie in the tokenizer's arena.
 * Threads: read-only once loaded.
 *
 * The hash is seeded per table, so a file cannot bring keys that all collide. */
#include <stdlib.h>

#include "tok/tok_int.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t a, uint64_t b)
{
    wide r = (wide)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t hash_of(uint64_t seed, snug_slice s)
{
    const uint64_t K = 0x9e3779b97f4a7c15u;
    const char    *p = s.ptr;
    size_t         n = s.len;
    uint64_t       h = seed ^ (n * K), word = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        h = mix(h ^ word, K);
    }
    word = 0;
    if (n > 0) memcpy(&word, p, n);
    return mix(h ^ word, K ^ seed);
}

bool tok_vocab_init(tok_vocab *v, snug_arena *a, size_t n)
{
    size_t slots = 16;
    while (slots < n * 2) slots *= 2; /* n is bounded by the size of the file */
    *v = (tok_vocab){.cap = n, .mask = slots - 1, .seed = snug_random_u64() | 1};
    v->keys = snug_arena_array_try(a, n, sizeof *v->keys);
    v->ids = snug_arena_array_try(a, n, sizeof *v->ids);
    v->slots = snug_arena_array_try(a, slots, sizeof *v->slots);
    return v->keys != NULL && v->ids != NULL && v->slots != NULL;
}

/* The slot of a key: its own or the free one where it would go. The part of the hash in a slot
 * saves most looks at keys that differ. */
static uint64_t *find_slot(const tok_vocab *v, snug_slice key, uint64_t h)
{
    for (size_t i = (size_t)h & v->mask;; i = (i + 1) & v->mask) {
        uint64_t s = v->slots[i];
        if (s == 0 || ((s ^ h) >> 32 == 0 && snug_eq(v->keys[(uint32_t)s - 1], key)))
            return &v->slots[i];
    }
}

static void put_hashed(tok_vocab *v, snug_slice key, uint32_t id, uint64_t h)
{
    uint64_t *slot = find_slot(v, key, h);
    if (*slot == 0) {
        SNUG_ASSERT(v->count < v->cap);
        v->keys[v->count] = key;
        *slot = h >> 32 << 32 | ++v->count;
        if (key.len > v->len_max) v->len_max = key.len;
    }
    v->ids[(uint32_t)*slot - 1] = id;
}

void tok_vocab_put(tok_vocab *v, snug_slice key, uint32_t id)
{
    put_hashed(v, key, id, hash_of(v->seed, key));
}

/* A table larger than the cache is mostly waiting: many keys wait together. */
void tok_vocab_put_many(tok_vocab *v, const snug_slice *keys, const uint32_t *ids, size_t n)
{
    uint64_t h[TOK_MANY];
    SNUG_ASSERT(n <= TOK_MANY);
    for (size_t i = 0; i < n; i++) {
        h[i] = hash_of(v->seed, keys[i]);
        __builtin_prefetch(&v->slots[h[i] & v->mask], 1);
    }
    for (size_t i = 0; i < n; i++) put_hashed(v, keys[i], ids[i], h[i]);
}

void tok_vocab_get_many(const tok_vocab *v, const snug_slice *keys, uint32_t *ids, size_t n)
{
    uint64_t h[TOK_MANY], s[TOK_MANY];
    SNUG_ASSERT(n <= TOK_MANY);
    for (size_t i = 0; i < n; i++) {
        h[i] = hash_of(v->seed, keys[i]);
        __builtin_prefetch(&v->slots[h[i] & v->mask]);
    }
    for (size_t i = 0; i < n; i++) {
        s[i] = v->slots[h[i] & v->mask];
        if (s[i] == 0) continue;
        __builtin_prefetch(&v->keys[(uint32_t)s[i] - 1]);
        __builtin_prefetch(&v->ids[(uint32_t)s[i] - 1]);
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] != 0) __builtin_prefetch(v->keys[(uint32_t)s[i] - 1].ptr);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t slot = *find_slot(v, keys[i], h[i]);
        ids[i] = slot != 0 ? v->ids[(uint32_t)slot - 1] : TOK_NO_VALUE;
    }
}

bool tok_vocab_get(const tok_vocab *v, snug_slice key, uint32_t *id)
{
    if (v->count == 0 || key.len > v->len_max) return false;
    uint64_t slot = *find_slot(v, key, hash_of(v->seed, key));
    if (slot == 0) return false;
    *id = v->ids[(uint32_t)slot - 1];
    return true;
}

bool tok_vocab_get_next(const tok_vocab *v, snug_slice key, size_t *at, uint32_t *id)
{
    if (*at < v->count && snug_eq(v->keys[*at], key)) {
        *id = v->ids[(*at)++];
        return true;
    }
    if (v->count == 0 || key.len > v->len_max) return false;
    uint64_t slot = *find_slot(v, key, hash_of(v->seed, key));
    if (slot == 0) return false;
    *at = (uint32_t)slot;
    *id = v->ids[*at - 1];
    return true;
}

/* ---- trie: nodes in breadth-first order, so the children of one lie side by side ---- */

typedef struct build_key {
    uint64_t   head; /* the first 8 bytes, first one highest: decides nearly every comparison */
    snug_slice key;
    uint32_t   value, order;
} build_key;

static uint64_t head_of(snug_slice key)
{
    uint64_t v = 0;
    if (key.len > 0) memcpy(&v, key.ptr, key.len < 8 ? key.len : 8);
    return __builtin_bswap64(v); /* little-endian machines only, see base/base.h */
}

typedef struct range {
    uint32_t low, high, depth;
} range; /* the sorted keys below a node */

static int by_key(const void *x, const void *y)
{
    const build_key *a = x, *b = y;
    if (a->head != b->head) return a->head < b->head ? -1 : 1;
    int c = snug_cmp(a->key, b->key);
    if (c != 0) return c;
    return a->order < b->order ? -1 : 1;
}

static void add_children(tok_trie_node *nodes, range *ranges, uint32_t at, uint32_t *count,
                         const build_key *keys)
{
    range    r = ranges[at];
    uint32_t i = r.low;
    /* Keys that end here sort first; the last of them counts. */
    while (i < r.high && keys[i].key.len == r.depth) nodes[at].value = keys[i++].value;
    nodes[at].kids = *count;
    while (i < r.high) {
        uint8_t  byte = (uint8_t)keys[i].key.ptr[r.depth];
        uint32_t low = i;
        while (i < r.high && (uint8_t)keys[i].key.ptr[r.depth] == byte) i++;
        nodes[*count] = (tok_trie_node){.value = TOK_NO_VALUE, .byte = byte};
        ranges[*count] = (range){low, i, r.depth + 1};
        (*count)++;
        nodes[at].count++;
        nodes[at].low = (uint8_t)(nodes[at].low + (byte < 0x80));
        if (byte >= 0x80 && byte < 0xc0) nodes[at].tails |= (uint64_t)1 << (byte & 63);
    }
}

snug_status tok_trie_build(tok_trie *t, snug_arena *a, const snug_slice *keys,
                           const uint32_t *values, size_t n, snug_err *err)
{
    size_t      bytes = 0, used = 0;
    snug_status st = SNUG_OK;
    *t = (tok_trie){0};
    for (size_t i = 0; i < n; i++) bytes += keys[i].len;
    if (bytes == 0) return SNUG_OK;
    if (bytes > TOK_TRIE_BYTES_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "vocabulary of %zu bytes is larger than the limit of %d",
                         bytes, TOK_TRIE_BYTES_MAX);
    }
    build_key *sorted = snug_alloc_try(n * sizeof *sorted); /* n <= bytes + empty keys of a file */
    range     *ranges = snug_alloc_try((bytes + 1) * sizeof *ranges);
    tok_trie_node *nodes = snug_arena_array_try(a, bytes + 1, sizeof *nodes);
    if (sorted == NULL || ranges == NULL || nodes == NULL) {
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for a vocabulary of %zu bytes", bytes);
    }
    for (size_t i = 0; i < n; i++) {
        if (keys[i].len > 0)
            sorted[used++] = (build_key){head_of(keys[i]), keys[i], values[i], (uint32_t)i};
    }
    qsort(sorted, used, sizeof *sorted, by_key);
    uint32_t count = 1;
    nodes[0].value = TOK_NO_VALUE;
    ranges[0] = (range){0, (uint32_t)used, 0};
    for (uint32_t at = 0; at < count; at++) add_children(nodes, ranges, at, &count, sorted);
    for (uint32_t k = 0; k < nodes[0].count; k++)
        t->root[nodes[nodes[0].kids + k].byte] = nodes[0].kids + k;
    t->nodes = nodes;
    t->count = count;
done:
    free(sorted);
    free(ranges);
    return st;
}

/* Without the instruction, which not every machine has, the compiler would call a function. */
static uint32_t count_bits(uint64_t v)
{
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (uint32_t)(v * 0x0101010101010101u >> 56);
}

uint32_t tok_trie_step(const tok_trie *t, uint32_t node, unsigned char byte)
{
    if (node == 0) return t->root[byte];
    const tok_trie_node *n = &t->nodes[node];
    uint32_t             low = n->kids, high = n->kids + n->count;
    if (byte >= 0x80 && byte < 0xc0) {
        uint64_t bit = (uint64_t)1 << (byte & 63);
        if ((n->tails & bit) == 0) return 0;
        return low + n->low + count_bits(n->tails & (bit - 1));
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        uint8_t  b = t->nodes[mid].byte;
        if (b == byte) return mid;
        if (b < byte)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}
