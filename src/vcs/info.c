/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/info.c - size and LFS pointer of a blob, remembered.
 *
 * A listing shows for each file the size of its content, and for a pointer the content's hash.
 * That needs the object's header and, below 1,024 bytes, the object: some 20 us each. A table
 * of fixed size, one slot per hash, keeps what was learned; ids name contents, so an entry is
 * never wrong, for whichever repository it was learned in. A collision overwrites.
 *
 * Threads: any; the table is under info_mutex, reading an object is not. */
#include "vcs/vcs_int.h"

#include <errno.h>

static size_t slot_of(const git_oid *id)
{
    uint32_t h;
    memcpy(&h, id->id, sizeof h);
    return h & (VCS_INFO_SLOTS - 1u);
}

static bool recall(vcs *v, const git_oid *id, vcs_info *out)
{
    snug_lock(&v->info_mutex);
    const vcs_info *slot = &v->infos[slot_of(id)];
    bool            hit = slot->used && git_oid_equal(&slot->id, id);
    if (hit) *out = *slot;
    snug_unlock(&v->info_mutex);
    return hit;
}

static void remember(vcs *v, const vcs_info *info)
{
    snug_lock(&v->info_mutex);
    v->infos[slot_of(&info->id)] = *info;
    snug_unlock(&v->info_mutex);
}

static snug_status learn(vcs_repo *r, const git_oid *id, vcs_info *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    git_object_t type;
    snug_arena  *a = NULL;

    *out = (vcs_info){.id = *id, .used = true};
    st = vcs_object_header(r, id, &type, &out->size, err);
    if (st == SNUG_ENOTFOUND) { /* a tree names it, so this is damage and no one's mistake */
        st = snug_fail_sys(err, EIO, "object %s is missing", git_oid_tostr_s(id));
    }
    if (st != SNUG_OK) goto done;
    if (out->size < VCS_LFS_POINTER_MAX && out->size > 0) {
        snug_slice bytes;
        a = snug_arena_new();
        SNUG_TRY(vcs_object_read(r, id, VCS_LFS_POINTER_MAX, a, &bytes, err));
        if (vcs_lfs_parse(bytes, &out->lfs.oid, &out->lfs.size)) {
            out->lfs.is_lfs = true;
            out->lfs.pointer_size = (uint32_t)bytes.len;
        }
    }
done:
    snug_arena_free(a);
    return st;
}

snug_status vcs_fill_entry(vcs_repo *r, const git_oid *id, unsigned mode, vcs_entry *out,
                           snug_err *err)
{
    out->oid = vcs_oid_of(id);
    out->size = 0;
    out->lfs = (vcs_lfs){0};
    switch (mode & 0170000u) {
    case 0040000u: out->kind = VCS_DIR; return SNUG_OK;
    case 0160000u: out->kind = VCS_SUBMODULE; return SNUG_OK;
    case 0120000u: out->kind = VCS_SYMLINK; break;
    default: out->kind = VCS_FILE; break;
    }
    vcs_info info;
    if (!recall(r->owner, id, &info)) {
        snug_status st = learn(r, id, &info, err);
        if (st != SNUG_OK) return st;
        remember(r->owner, &info);
    }
    out->size = info.size;
    if (out->kind == VCS_FILE && info.lfs.is_lfs) {
        out->lfs = info.lfs;
        out->size = info.lfs.size;
    }
    return SNUG_OK;
}
