/* SPDX-License-Identifier: Apache-2.0 */
/* hub/preupload.c - which way each file of a coming commit should travel.
 *
 * For:     the preupload call of stock clients.
 * Owns:    nothing.
 * Threads: the opened repository's thread.
 * Truth:   the order of the rules is the protocol: ignored; empty -> regular; filter=lfs -> lfs;
 *          large -> lfs; looks binary -> lfs; the rest -> regular. */
#include "hub/hub_int.h"

/* A sample is cut anywhere, so up to three bytes of a last character may be missing. */
static bool looks_binary(snug_slice s)
{
    if (s.len == 0) return false;
    if (memchr(s.ptr, '\0', s.len) != NULL) return true;
    for (size_t cut = 0; cut <= 3 && cut <= s.len; cut++) {
        if (cut > 0 && !((unsigned char)s.ptr[s.len - cut] & 0x80)) break; /* ASCII is never cut */
        if (snug_utf8_valid(snug_sub(s, 0, s.len - cut))) return false;
    }
    return true;
}

static bool wants_lfs(const hub_repo *r, const vcs_rules *attributes, const hub_preupload_file *f)
{
    if (f->size == 0) return false;
    if (vcs_rules_is_lfs(attributes, f->path)) return true;
    return f->size > r->h->raw_file_max || looks_binary(f->sample);
}

/* The object there now, if a client could compare it with what it would send. */
static snug_status existing_oid(hub_repo *r, const vcs_oid *commit, snug_arena *a,
                                hub_preupload_file *f, snug_err *err)
{
    vcs_entry   e;
    snug_status st = vcs_find_entry(r->git, commit, f->path, a, &e, err);
    f->has_oid = false;
    f->oid[0] = '\0';
    if (st == SNUG_ENOTFOUND) {
        snug_err_clear(err);
        return SNUG_OK;
    }
    if (st != SNUG_OK || e.kind != VCS_FILE || e.lfs.is_lfs != f->lfs) return st;
    if (f->lfs)
        snug_hex(e.lfs.oid.b, sizeof e.lfs.oid.b, f->oid);
    else
        vcs_oid_hex(&e.oid, f->oid);
    f->has_oid = true;
    return SNUG_OK;
}

snug_status hub_preupload(hub_repo *r, snug_slice rev, snug_slice git_attributes,
                          snug_slice git_ignore, hub_preupload_file *files, size_t n,
                          vcs_oid *commit, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_rules  *attributes = vcs_rules_new(a), *ignore = vcs_rules_new(a);

    SNUG_TRY(vcs_resolve_rev(r->git, rev, commit, err));
    if (git_attributes.len > 0)
        vcs_rules_add(attributes, SNUG_EMPTY, git_attributes, true);
    else
        SNUG_TRY(vcs_load_rules(r->git, commit, ".gitattributes", attributes, err));
    if (git_ignore.len > 0)
        vcs_rules_add(ignore, SNUG_EMPTY, git_ignore, false);
    else
        SNUG_TRY(vcs_load_rules(r->git, commit, ".gitignore", ignore, err));
    for (size_t i = 0; i < n; i++) {
        SNUG_TRY(vcs_check_path(files[i].path, err));
        files[i].ignore = vcs_rules_is_ignored(ignore, files[i].path);
        files[i].lfs = wants_lfs(r, attributes, &files[i]);
        SNUG_TRY(existing_oid(r, commit, a, &files[i], err));
    }
done:
    snug_arena_free(a);
    return st;
}
