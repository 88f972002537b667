/* SPDX-License-Identifier: Apache-2.0 */
/* hub/cache.c - repository rows in memory, so that opening one costs no SQL.
 *
 * For:     hub_find_repo; writers call hub_touch.
 * Owns:    at most SETS * WAYS rows, none above ROW_MAX bytes.
 * Threads: any; one mutex guards the table and is never held over a call.
 * Truth:   an entry knows the epoch before its row was read. Every change raises the epoch of its
 *          shard after it was committed, so an entry older than its shard is not believed: a row
 *          read before a change and stored after it is recognised. Entries also age, because
 *          another process (an admin's command) may write to the same database. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { SETS = 1024, WAYS = 4, SHARDS = 1024, ROW_MAX = 16 << 10, AGE_MAX_MS = 3000 };

typedef struct entry {
    hub_repo_info info; /* its slices point into text */
    char         *text; /* heap; NULL: empty */
    size_t        size;
    uint64_t      seen, loaded_ms;
} entry;

struct hub_cache {
    snug_mutex lock; /* guards all below */
    entry      set[SETS][WAYS];
    unsigned   clock[SETS];
    uint64_t   shard[SHARDS];
    uint64_t   all;
};

hub_cache *hub_cache_new(void)
{
    hub_cache *c = snug_zalloc(sizeof *c);
    snug_mutex_init(&c->lock, "hub-cache", HUB_RANK_CACHE);
    return c;
}

void hub_cache_free(hub_cache *c)
{
    if (c == NULL) return;
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) free(c->set[i][k].text);
    }
    snug_mutex_deinit(&c->lock);
    free(c);
}

static size_t add_hash(size_t h, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c >= 'A' && c <= 'Z') c = (unsigned char)(c - 'A' + 'a');
        h = (h ^ c) * 0x100000001b3u;
    }
    return (h ^ '/') * 0x100000001b3u;
}

static size_t hash_id(const hub_repo_id *id)
{
    size_t h = add_hash(add_hash(0xcbf29ce484222325u + (size_t)id->type, id->ns), id->name);
    return h ^ (h >> 29);
}

static bool same_id(const hub_repo_id *a, const hub_repo_id *b)
{
    return a->type == b->type && snug_eq_nocase(snug_str(a->ns), snug_str(b->ns)) &&
           snug_eq_nocase(snug_str(a->name), snug_str(b->name));
}

/* The slices of an info, in a fixed order. */
enum { SLICES = 5 };
static void list_slices(hub_repo_info *i, snug_slice *out[SLICES])
{
    out[0] = &i->sdk;
    out[1] = &i->tags_json;
    out[2] = &i->card_json;
    out[3] = &i->pipeline_tag;
    out[4] = &i->library_name;
}

/* Points the slices of a copied info into a copy of its text. */
static void rebase(hub_repo_info *i, const char *text)
{
    snug_slice *s[SLICES];
    list_slices(i, s);
    for (size_t k = 0; k < SLICES; k++) {
        s[k]->ptr = text;
        text += s[k]->len;
    }
}

bool hub_cache_get(hub *h, const hub_repo_id *id, snug_arena *a, hub_repo_info *out)
{
    hub_cache *c = h->cache;
    size_t     hash = hash_id(id);
    uint64_t   now = snug_mono_ms();
    bool       hit = false;

    snug_lock(&c->lock);
    for (size_t k = 0; k < WAYS && !hit; k++) {
        entry *e = &c->set[hash % SETS][k];
        if (e->text == NULL || !same_id(&e->info.id, id)) continue;
        if (e->seen < c->shard[hash % SHARDS] || e->seen < c->all) break;
        if (now - e->loaded_ms > AGE_MAX_MS) break;
        char *text = snug_arena_alloc(a, e->size + 1);
        memcpy(text, e->text, e->size);
        *out = e->info;
        rebase(out, text);
        hit = true;
    }
    snug_unlock(&c->lock);
    return hit;
}

void hub_cache_put(hub *h, const hub_repo_info *info, uint64_t seen)
{
    hub_cache  *c = h->cache;
    size_t      hash = hash_id(&info->id), size = 0;
    entry       fresh = {.info = *info, .seen = seen, .loaded_ms = snug_mono_ms()};
    snug_slice *s[SLICES];
    char       *old;

    list_slices(&fresh.info, s);
    for (size_t k = 0; k < SLICES; k++) size += s[k]->len;
    if (size > ROW_MAX) return;
    fresh.size = size;
    fresh.text = snug_alloc(size + 1);
    for (size_t k = 0, at = 0; k < SLICES; at += s[k]->len, k++) {
        if (s[k]->len > 0) memcpy(fresh.text + at, s[k]->ptr, s[k]->len);
    }
    rebase(&fresh.info, fresh.text);

    snug_lock(&c->lock);
    entry *set = c->set[hash % SETS];
    size_t way = c->clock[hash % SETS]++ % WAYS;
    for (size_t k = 0; k < WAYS; k++) {
        if (set[k].text != NULL && same_id(&set[k].info.id, &info->id)) way = k;
    }
    old = set[way].text;
    set[way] = fresh;
    snug_unlock(&c->lock);
    free(old);
}

void hub_touch(hub *h, const hub_repo_id *id)
{
    hub_cache *c = h->cache;
    snug_lock(&c->lock);
    uint64_t now = atomic_fetch_add(&h->epoch, 1) + 1;
    if (id == NULL)
        c->all = now;
    else
        c->shard[hash_id(id) % SHARDS] = now;
    snug_unlock(&c->lock);
}

uint64_t hub_epoch(const hub *h) { return atomic_load(&h->epoch); }
