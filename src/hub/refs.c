/* SPDX-License-Identifier: Apache-2.0 */
/* hub/refs.c - branches and tags.
 *
 * For:     the branch and tag calls and the web's forms.
 * Owns:    nothing.
 * Threads: the opened repository's thread.
 * Truth:   every change is one compare-and-swap of one ref; main can be moved but not removed. */
#include "hub/hub_int.h"

static snug_status need_write(const hub_repo *r, snug_err *err)
{
    if (r->role >= HUB_ROLE_WRITE) return SNUG_OK;
    return snug_fail(err, SNUG_EFORBIDDEN, "This needs the right to write to the repository");
}

static snug_status check_branch(snug_slice name, snug_err *err)
{
    if (vcs_branch_name_ok(name)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "Invalid reference for a branch: %.*s",
                     SNUG_SLICE(snug_sub(name, 0, 200)));
}

/* The tip of a branch; *found false when there is none of that name. */
static snug_status find_branch(hub_repo *r, snug_slice name, snug_arena *a, snug_slice *ref,
                               vcs_oid *tip, bool *found, snug_err *err)
{
    snug_status st;
    *ref = snug_arena_printf(a, "refs/heads/%.*s", SNUG_SLICE(name));
    st = vcs_resolve_branch(r->git, *ref, a, ref, tip, err);
    *found = st == SNUG_OK;
    if (st != SNUG_ENOTFOUND) return st;
    *ref = snug_arena_printf(a, "refs/heads/%.*s", SNUG_SLICE(name));
    snug_err_clear(err);
    return SNUG_OK;
}

static snug_status after(hub *h, hub_repo *r, bool is_main, snug_err *err)
{
    if (is_main) return hub_after_ref_change(h, &r->info.id, err);
    hub_touch(h, &r->info.id);
    return SNUG_OK;
}

snug_status hub_create_branch(hub *h, hub_repo *r, snug_slice name, snug_slice start,
                              bool overwrite, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_oid     from, tip;
    snug_slice  ref;
    bool        exists;
    SNUG_AUTO(hub_hold) hold = {-1}; /* `start` may be a commit that no ref reaches any more */

    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(need_write(r, err));
    SNUG_TRY(check_branch(name, err));
    SNUG_TRY(vcs_resolve_rev(r->git, start.len > 0 ? start : SNUG_LIT("main"), &from, err));
    SNUG_TRY(find_branch(r, name, a, &ref, &tip, &exists, err));
    if (exists && !overwrite)
        SNUG_FAIL(err, SNUG_ECONFLICT, "Reference %.*s already exists", SNUG_SLICE(ref));
    st = vcs_update_ref(r->git, ref, exists ? &tip : NULL, &from, err);
    if (st == SNUG_ESTALE && !exists) /* somebody made it a moment ago */
        SNUG_FAIL(err, SNUG_ECONFLICT, "Reference %.*s already exists", SNUG_SLICE(ref));
    if (st != SNUG_OK) goto done;
    if (!snug_eq_str(name, "main")) hub_tell_ref(h, &r->info, ref, exists ? &tip : NULL, &from);
    SNUG_TRY(after(h, r, snug_eq_str(name, "main"), err));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_delete_branch(hub *h, hub_repo *r, snug_slice name, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_oid     tip;
    snug_slice  ref;
    bool        exists = false;

    SNUG_TRY(need_write(r, err));
    if (snug_eq_str(name, "main"))
        SNUG_FAIL(err, SNUG_EINVAL, "Cannot delete refs/heads/main: it is the default branch");
    if (vcs_branch_name_ok(name)) SNUG_TRY(find_branch(r, name, a, &ref, &tip, &exists, err));
    if (!exists) {
        st = snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id: %.*s",
                            SNUG_SLICE(snug_sub(name, 0, 200)));
        goto done;
    }
    SNUG_TRY(vcs_update_ref(r->git, ref, &tip, NULL, err));
    hub_left_behind(h, r->info.row);
    hub_tell_ref(h, &r->info, ref, &tip, NULL);
    SNUG_TRY(after(h, r, false, err));
done:
    snug_arena_free(a);
    return st;
}

static snug_slice tag_ref(snug_arena *a, snug_slice name)
{
    return snug_arena_printf(a, "refs/tags/%.*s", SNUG_SLICE(name));
}

snug_status hub_create_tag(hub *h, const hub_actor *who, hub_repo *r, snug_slice rev,
                           snug_slice name, snug_slice message, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_oid     target;
    vcs_who     author;
    SNUG_AUTO(hub_hold) hold = {-1};

    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(need_write(r, err));
    if (!vcs_branch_name_ok(name)) /* git's rules are the same for both */
        SNUG_FAIL(err, SNUG_EINVAL, "Invalid tag name: %.*s", SNUG_SLICE(snug_sub(name, 0, 200)));
    if (message.len > HUB_MESSAGE_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "a tag's message has at most %d bytes", HUB_MESSAGE_MAX);
    SNUG_TRY(vcs_resolve_rev(r->git, rev, &target, err));
    hub_who_of(who, a, &author);
    st = vcs_create_tag(r->git, name, &target, message, &author, err);
    if (st == SNUG_ECONFLICT)
        SNUG_FAIL(err, SNUG_ECONFLICT, "Reference refs/tags/%.*s already exists", SNUG_SLICE(name));
    if (st != SNUG_OK) goto done;
    hub_tell_ref(h, &r->info, tag_ref(a, name), NULL, &target);
    SNUG_TRY(after(h, r, false, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_delete_tag(hub *h, hub_repo *r, snug_slice name, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_oid     was;
    bool        known;
    SNUG_TRY(need_write(r, err));
    known = vcs_branch_name_ok(name) &&
            vcs_resolve_rev(r->git, tag_ref(a, name), &was, NULL) == SNUG_OK;
    st = vcs_delete_tag(r->git, name, err);
    if (st == SNUG_ENOTFOUND || st == SNUG_EINVAL) {
        st = snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id: %.*s",
                            SNUG_SLICE(snug_sub(name, 0, 200)));
        goto done;
    }
    if (st != SNUG_OK) goto done;
    if (known) hub_tell_ref(h, &r->info, tag_ref(a, name), &was, NULL);
    SNUG_TRY(after(h, r, false, err));
done:
    snug_arena_free(a);
    return st;
}
