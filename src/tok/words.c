/* SPDX-License-Identifier: Apache-2.0 */
/* tok/words.c - counting the words of a training text.
 *
 * For:     train.c.
 * Owns:    one copy of each word, so memory grows with the words that differ, not with the text.
 * Threads: one at a time. */
#include <stdlib.h>

#include "tok/train.h"

tok_counts tok_counts_new(void)
{
    return (tok_counts){.arena = snug_arena_new(), .seed = snug_random_u64()};
}

void tok_counts_free(tok_counts *c)
{
    snug_arena_free(c->arena);
    free(c->items);
    free(c->slots);
    *c = (tok_counts){0};
}

static uint64_t hash_of(uint64_t seed, snug_slice s)
{
    uint64_t h = seed ^ s.len * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static uint32_t *find_slot(const tok_counts *c, snug_slice word)
{
    size_t i = (size_t)hash_of(c->seed, word) & c->mask;
    while (c->slots[i] != 0 && !snug_eq(c->items[c->slots[i] - 1].word, word))
        i = (i + 1) & c->mask;
    return &c->slots[i];
}

static bool grow(tok_counts *c)
{
    size_t     cap = c->cap == 0 ? 1024 : c->cap * 2;
    uint32_t  *slots = snug_alloc_try(cap * 2 * sizeof *slots);
    tok_count *items = snug_alloc_try(cap * sizeof *items);
    if (slots == NULL || items == NULL || cap > TOK_TRAIN_WORDS_MAX) {
        free(slots);
        free(items);
        return false;
    }
    memset(slots, 0, cap * 2 * sizeof *slots);
    if (c->count > 0) memcpy(items, c->items, c->count * sizeof *items);
    free(c->slots);
    free(c->items);
    c->items = items;
    c->slots = slots;
    c->cap = cap;
    c->mask = cap * 2 - 1;
    for (size_t i = 0; i < c->count; i++) *find_slot(c, items[i].word) = (uint32_t)i + 1;
    return true;
}

snug_status tok_counts_add(tok_counts *c, snug_slice word, uint64_t n, snug_err *err)
{
    if (c->count == c->cap && !grow(c))
        return snug_fail(err, SNUG_ENOMEM, "no memory for more than %zu different words", c->count);
    uint32_t *slot = find_slot(c, word);
    if (*slot == 0) {
        c->items[c->count] = (tok_count){.word = snug_arena_dup(c->arena, word)};
        *slot = (uint32_t)++c->count;
    }
    c->items[*slot - 1].count += n;
    return SNUG_OK;
}

static int by_count(const void *x, const void *y)
{
    const tok_count *a = x, *b = y;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return snug_cmp(a->word, b->word);
}

void tok_counts_sort(tok_counts *c)
{
    if (c->count > 1) qsort(c->items, c->count, sizeof *c->items, by_count);
    free(c->slots); /* they point elsewhere now; nothing is added any more */
    c->slots = NULL;
}
