/* SPDX-License-Identifier: Apache-2.0 */
/* tok/pool.c - what a call allocated, kept for the next one; and the words it has seen.
 *
 * For:     tok.c, added.c.
 * Owns:    the tok_work of calls that ended, a few per tokenizer.
 * Threads: a tok_work belongs to one call at a time. Taking one out of the pool and putting it back
 *          are single atomic exchanges, so calls share nothing and never wait.
 * Truth:   a word's entry is what the model gave for exactly these bytes. */
#include <stdatomic.h>
#include <stdlib.h>

#include "tok/tok_int.h"

enum { POOL_SIZE = 8, KEEP_BYTES_MAX = 4 * 1024 * 1024 };

struct tok_pool {
    _Atomic(tok_work *) slots[POOL_SIZE];
};

static void free_buffers(tok_work *w)
{
    for (int i = 0; i < 2; i++) {
        free(w->build[i].text);
        free(w->build[i].align);
        free(w->model[i].ptr);
    }
    free(w->changes.items);
    free(w->pieces.items);
    free(w->next.items);
    free(w->matches);
    free(w->tokens);
    free(w->words);
    tok_match_data_free(w->match_data);
    snug_arena_free(w->arena);
}

static void free_pool(void *arg)
{
    tok_pool *p = arg;
    for (int i = 0; i < POOL_SIZE; i++) {
        tok_work *w = atomic_load(&p->slots[i]);
        if (w != NULL) free_buffers(w);
        free(w);
    }
}

tok_pool *tok_pool_new(snug_arena *a)
{
    tok_pool *p = SNUG_NEW(a, tok_pool);
    for (int i = 0; i < POOL_SIZE; i++) atomic_init(&p->slots[i], NULL);
    snug_arena_on_free(a, free_pool, p);
    return p;
}

static tok_work *take(tok_pool *p)
{
    for (int i = 0; i < POOL_SIZE; i++) {
        if (atomic_load_explicit(&p->slots[i], memory_order_relaxed) == NULL) continue;
        tok_work *w = atomic_exchange(&p->slots[i], NULL);
        if (w != NULL) return w;
    }
    return NULL;
}

static bool give(tok_pool *p, tok_work *w)
{
    for (int i = 0; i < POOL_SIZE; i++) {
        tok_work *none = NULL;
        if (atomic_compare_exchange_strong(&p->slots[i], &none, w)) return true;
    }
    return false;
}

void tok_work_init(tok_work *w, const tok *t, unsigned flags, snug_err *err)
{
    tok_work *kept = t != NULL && t->pool != NULL ? take(t->pool) : NULL;
    if (kept != NULL) {
        *w = *kept;
        w->shell = kept;
    } else {
        *w = (tok_work){.arena = snug_arena_new(), .told = SIZE_MAX};
    }
    if (t != NULL && t->random) w->random = snug_random_u64() | 1;
    w->t = t;
    w->flags = flags;
    w->err = err;
}

/* A long text must not leave its size behind for ever. */
static bool is_small(const tok_work *w)
{
    size_t n = w->pieces.cap * sizeof *w->pieces.items + w->next.cap * sizeof *w->next.items +
               w->match_cap * sizeof *w->matches + w->token_cap * sizeof *w->tokens +
               w->changes.cap * sizeof *w->changes.items + w->model[0].size + w->model[1].size;
    for (int i = 0; i < 2; i++) n += w->build[i].cap * (1 + sizeof *w->build[i].align);
    return n <= KEEP_BYTES_MAX;
}

void tok_work_deinit(tok_work *w)
{
    tok_work *shell = w->shell;
    if (w->t == NULL || w->t->pool == NULL || !is_small(w)) {
        free_buffers(w);
        free(shell);
        return;
    }
    if (shell == NULL) shell = snug_alloc(sizeof *shell);
    snug_arena_reset(w->arena);
    w->pieces.count = w->next.count = w->match_count = w->token_count = w->changes.count = 0;
    w->deadline_ns = 0;
    w->original = SNUG_EMPTY;
    w->told = SIZE_MAX;
    w->within = false;
    w->early = NULL;
    w->err = NULL;
    w->shell = NULL;
    *shell = *w;
    if (give(w->t->pool, shell)) return;
    free_buffers(w);
    free(shell);
}

/* ---- words ---- */

/* Bytes at p as a number, zeros behind; reads no byte beyond n. */
static uint64_t load_up_to_8(const char *p, size_t n)
{
    uint64_t v = 0;
    uint32_t low = 0, high = 0;
    if (n >= 8) {
        memcpy(&v, p, 8);
    } else if (n >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        v = (uint64_t)high << 32 | low; /* they overlap; with the size, still one value per text */
    } else if (n > 0) {
        v = (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 |
            (uint64_t)(unsigned char)p[n - 1] << 16;
    }
    return v;
}

static void load_key(uint64_t key[3], const char *p, size_t n)
{
    key[0] = load_up_to_8(p, n);
    key[1] = n > 8 ? load_up_to_8(p + 8, n - 8) : 0;
    key[2] = n > 16 ? load_up_to_8(p + 16, n - 16) : 0;
}

static size_t slot_of(const uint64_t key[3], size_t n)
{
    uint64_t h = (key[0] ^ n) * 0x9e3779b97f4a7c15u ^ key[1] * 0xc2b2ae3d27d4eb4fu ^
                 key[2] * 0x165667b19e3779f9u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return (size_t)(h >> 40) & (TOK_WORDS - 1);
}

static void replay(tok_work *w, const tok_piece *p, const tok_word *word)
{
    unsigned count = word->size_count & 7u;
    size_t   begin = 0;
    for (unsigned i = 0; i < count; i++) {
        tok_emit(w, p, word->ids[i], begin, word->ends[i], SNUG_EMPTY);
        begin = word->ends[i];
    }
}

snug_status tok_run_model(tok_work *w, const tok_piece *p)
{
    const tok *t = w->t;
    if (p->len > TOK_WORD_BYTES || t->random) return t->model->run(t, w, p);
    uint64_t key[3];
    load_key(key, p->text, p->len);
    if (w->words == NULL) w->words = snug_zalloc(TOK_WORDS * sizeof *w->words);
    tok_word *word = &w->words[slot_of(key, p->len)];
    if (word->size_count >> 3 == p->len && word->key[0] == key[0] && word->key[1] == key[1] &&
        word->key[2] == key[2]) {
        w->told = SIZE_MAX;
        replay(w, p, word);
        return SNUG_OK;
    }
    w->told = 0; /* a piece this short is never cut further, so this does not nest */
    snug_status st = t->model->run(t, w, p);
    if (st == SNUG_OK && w->told <= TOK_WORD_TOKENS) {
        memcpy(w->telling.key, key, sizeof key);
        w->telling.size_count = (uint8_t)(p->len << 3 | w->told);
        *word = w->telling;
    }
    w->told = SIZE_MAX;
    return st;
}
