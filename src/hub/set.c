/* SPDX-License-Identifier: Apache-2.0 */
/* hub/set.c - a set of 32-byte names, which are hashes already: 32 bytes a slot, at most half full.
 *
 * For:     gc.c, fsck.c, usage.c, chunk.c: "have I seen this one?". A slot has a number.
 * Threads: one.
 * Truth:   the zero name is a name like any other; numbers go up from 0 in the order of adding. */
#include <stdlib.h>

#include "hub/hub_int.h"

typedef struct slot {
    xet_hash name;
    uint32_t number; /* + 1; 0: free */
} slot;

struct hub_set {
    slot  *slots;
    size_t mask, count;
};

hub_set *hub_set_new(void)
{
    hub_set *s = snug_zalloc(sizeof *s);
    s->mask = 255;
    s->slots = snug_zalloc((s->mask + 1) * sizeof *s->slots);
    return s;
}

void hub_set_free(hub_set *s)
{
    if (s == NULL) return;
    free(s->slots);
    free(s);
}

size_t hub_set_count(const hub_set *s) { return s->count; }

static slot *find(const hub_set *s, const void *name)
{
    uint64_t h;
    memcpy(&h, name, sizeof h);
    for (size_t i = (size_t)(h * UINT64_C(0x9e3779b97f4a7c15)) & s->mask;; i = (i + 1) & s->mask) {
        slot *at = &s->slots[i];
        if (at->number == 0 || memcmp(&at->name, name, sizeof at->name) == 0) return at;
    }
}

static void grow(hub_set *s)
{
    slot  *old = s->slots;
    size_t n = s->mask + 1;
    s->mask = 2 * n - 1;
    s->slots = snug_zalloc((s->mask + 1) * sizeof *s->slots);
    for (size_t i = 0; i < n; i++)
        if (old[i].number != 0) *find(s, &old[i].name) = old[i];
    free(old);
}

uint32_t hub_set_add(hub_set *s, const void *name32, bool *fresh)
{
    if ((s->count + 1) * 2 > s->mask) grow(s);
    slot *at = find(s, name32);
    *fresh = at->number == 0;
    if (*fresh) {
        memcpy(&at->name, name32, sizeof at->name);
        at->number = (uint32_t)++s->count;
    }
    return at->number - 1;
}

bool hub_set_has(const hub_set *s, const void *name32, uint32_t *number)
{
    const slot *at = find(s, name32);
    if (at->number != 0 && number != NULL) *number = at->number - 1;
    return at->number != 0;
}
