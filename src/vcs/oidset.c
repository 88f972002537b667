/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/oidset.c - a set of object ids for walks: "have I been here?".
 *
 * Ids are hashes already, so their first bytes are the hash of the table. 20 bytes a slot, at most
 * half full: a walk over a million objects takes 40 MB. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

static bool insert(git_oid *slot, size_t mask, const git_oid *id)
{
    uint64_t h;
    memcpy(&h, id->id, sizeof h);
    size_t i = (size_t)h & mask;
    while (!git_oid_is_zero(&slot[i])) {
        if (git_oid_equal(&slot[i], id)) return false;
        i = (i + 1) & mask;
    }
    slot[i] = *id;
    return true;
}

bool vcs_oidset_add(vcs_oidset *s, const git_oid *id)
{
    if (git_oid_is_zero(id)) { /* zero marks a free slot, so it is counted apart */
        bool fresh = !s->has_zero;
        s->has_zero = true;
        return fresh;
    }
    if (s->slot == NULL || (s->count + 1) * 2 > s->mask) {
        size_t   slots = s->slot == NULL ? 256 : (s->mask + 1) * 2;
        git_oid *bigger = snug_zalloc(slots * sizeof *bigger);
        for (size_t i = 0; s->slot != NULL && i <= s->mask; i++) {
            if (!git_oid_is_zero(&s->slot[i])) (void)insert(bigger, slots - 1, &s->slot[i]);
        }
        free(s->slot);
        s->slot = bigger;
        s->mask = slots - 1;
    }
    if (!insert(s->slot, s->mask, id)) return false;
    s->count++;
    return true;
}

void vcs_oidset_deinit(vcs_oidset *s)
{
    free(s->slot);
    *s = (vcs_oidset){0};
}
