/* SPDX-License-Identifier: Apache-2.0 */
/* api/cache.c - rendered answers to anonymous questions about public repositories.
 *
 * An entry is good as long as hub_epoch() is what it was before it was rendered: any change of any
 * repository makes all entries stale at once. That is coarse and never wrong. Sets of four slots;
 * a new entry takes a stale slot, else the one not asked for the longest.
 *
 * For:     repos.c (info), also on I/O threads: a look-up is a hash, a compare and a copy.
 * Owns:    the copies.
 * Threads: any; `lock` guards everything and is held for a copy of at most ENTRY_MAX bytes.
 * Truth:   an entry was rendered for a caller without an account. */
#include "api/api_int.h"

#include <stdlib.h>

enum { SETS = 1024, WAYS = 4, ENTRY_MAX = 128 << 10, TOTAL_MAX = 64 << 20, RANK_CACHE = 300 };

typedef struct entry {
    uint64_t hash, epoch, used;
    char    *bytes; /* key, then body; NULL: free */
    size_t   key_len, body_len;
} entry;

struct api_cache {
    snug_mutex lock; /* guards all below */
    size_t     total;
    uint64_t   clock;
    entry      sets[SETS][WAYS];
};

api_cache *api_cache_new(void)
{
    api_cache *c = snug_zalloc(sizeof *c);
    snug_mutex_init(&c->lock, "api.cache", RANK_CACHE);
    return c;
}

static void drop(api_cache *c, entry *e)
{
    c->total -= e->bytes != NULL ? e->key_len + e->body_len : 0;
    free(e->bytes);
    *e = (entry){0};
}

static void drop_all(api_cache *c)
{
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) drop(c, &c->sets[i][k]);
    }
}

void api_cache_free(api_cache *c)
{
    if (c == NULL) return;
    drop_all(c);
    snug_mutex_deinit(&c->lock);
    free(c);
}

/* FNV-1a: keys are short and nobody gains from a crowded set but a slower answer. */
static uint64_t hash_of(snug_slice s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    return h;
}

static entry *find_locked(api_cache *c, uint64_t hash, snug_slice key)
{
    for (size_t k = 0; k < WAYS; k++) {
        entry *e = &c->sets[hash % SETS][k];
        if (e->bytes != NULL && e->hash == hash && e->key_len == key.len &&
            memcmp(e->bytes, key.ptr, key.len) == 0)
            return e;
    }
    return NULL;
}

bool api_cache_get(api_cache *c, snug_slice key, uint64_t epoch, snug_buf *out)
{
    uint64_t hash = hash_of(key);
    bool     hit = false;
    snug_lock(&c->lock);
    entry *e = find_locked(c, hash, key);
    if (e != NULL && e->epoch == epoch) {
        e->used = ++c->clock;
        snug_buf_put(out, e->bytes + e->key_len, e->body_len);
        hit = !out->full;
    }
    snug_unlock(&c->lock);
    return hit;
}

static entry *victim_locked(api_cache *c, uint64_t hash, uint64_t epoch)
{
    entry *set = c->sets[hash % SETS], *worst = &set[0];
    for (size_t k = 0; k < WAYS; k++) {
        if (set[k].bytes == NULL || set[k].epoch != epoch) return &set[k];
        if (set[k].used < worst->used) worst = &set[k];
    }
    return worst;
}

void api_cache_put(api_cache *c, snug_slice key, uint64_t epoch, snug_slice body)
{
    if (key.len == 0 || key.len + body.len > ENTRY_MAX) return;
    uint64_t hash = hash_of(key);
    char    *bytes = snug_alloc(key.len + body.len);
    memcpy(bytes, key.ptr, key.len);
    if (body.len > 0) memcpy(bytes + key.len, body.ptr, body.len);
    snug_lock(&c->lock);
    entry *e = find_locked(c, hash, key);
    if (e == NULL) e = victim_locked(c, hash, epoch);
    drop(c, e);
    if (c->total + key.len + body.len > TOTAL_MAX) drop_all(c);
    *e = (entry){hash, epoch, ++c->clock, bytes, key.len, body.len};
    c->total += key.len + body.len;
    snug_unlock(&c->lock);
}
