/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/ref.c - moving refs: the one step that makes written objects visible.
 *
 *   flush pending objects -> lock <ref>.lock -> compare -> write, fsync -> rename -> fsync folder
 *
 * Two writers of one ref meet at the lock file; whoever comes second sees the first one's value and
 * is stale. A lock file of a killed process is older than our vcs_open and is removed (sweep.c).
 *
 * Threads: any number, each with a handle of its own; other processes (git) too.
 * Truth:   when vcs_update_ref returns OK the new value survives a power cut. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <unistd.h>

typedef int ref_step(vcs_repo *r, const char *ref, const void *arg);

/* Runs a step until no other writer holds the lock, within VCS_LOCK_WAIT_MS. */
static int retry_locked(vcs_repo *r, const char *ref, ref_step *step, const void *arg)
{
    uint64_t deadline = snug_mono_ms() + VCS_LOCK_WAIT_MS;
    long     pause_ms = 1;
    for (;;) {
        int rc = step(r, ref, arg);
        if (rc != GIT_ELOCKED) return rc;
        char path[VCS_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s.lock", r->path, ref);
        bool removed = vcs_unlink_if_stale(r->owner, path);
        (void)snprintf(path, sizeof path, "%s/packed-refs.lock", r->path);
        if (vcs_unlink_if_stale(r->owner, path) || removed) continue;
        if (snug_mono_ms() >= deadline) return rc;
        (void)nanosleep(&(struct timespec){0, pause_ms * 1000000L}, NULL);
        if (pause_ms < 20) pause_ms *= 2;
    }
}

/* libgit2 syncs the ref file and its folder; folders made or removed on the way, and the removal
 * of a file, are ours. */
static snug_status sync_folders(vcs_repo *r, const char *ref, snug_err *err)
{
    char        path[VCS_PATH_MAX];
    snug_status st = SNUG_OK;
    int         n = snprintf(path, sizeof path, "%s/%s", r->path, ref);
    size_t      root = strlen(r->path);
    for (size_t i = (size_t)n; st == SNUG_OK && i-- > root;) {
        if (path[i] != '/') continue;
        path[i] = '\0';
        if (access(path, F_OK) == 0) st = snug_fsync_dir(path, err);
    }
    return st;
}

/* ---- the steps ---- */

typedef struct ref_move {
    const git_oid *from, *to;
} ref_move;

static int step_move(vcs_repo *r, const char *ref, const void *arg)
{
    const ref_move *m = arg;
    git_reference  *out = NULL;
    int             rc = git_reference_create_matching(&out, r->git, ref, m->to, 1, m->from, NULL);
    git_reference_free(out);
    return rc;
}

/* Creating: two threads may both find the name free before either locks it, so the comparison is
 * made under the lock too, against "no value". */
static int step_create(vcs_repo *r, const char *ref, const void *arg)
{
    const ref_move      *m = arg;
    static const git_oid none;
    git_reference       *out = NULL;
    int rc = git_reference_create_matching(&out, r->git, ref, m->to, 0, &none, NULL);
    git_reference_free(out);
    return rc;
}

static int step_delete(vcs_repo *r, const char *ref, const void *arg)
{
    const ref_move *m = arg;
    git_reference  *cur = NULL;
    int             rc = git_reference_lookup(&cur, r->git, ref);
    if (rc == 0 && (git_reference_type(cur) != GIT_REFERENCE_DIRECT ||
                    (m->from != NULL && !git_oid_equal(git_reference_target(cur), m->from)))) {
        rc = GIT_EMODIFIED;
    }
    if (rc == 0) rc = git_reference_delete(cur); /* compares again, under the lock */
    git_reference_free(cur);
    return rc;
}

/* ---- outcomes ---- */

static snug_status fail_stale(const char *ref, snug_err *err)
{
    return snug_fail(err, SNUG_ESTALE, "%s was updated meanwhile: refresh and try again", ref);
}

static bool ref_exists(vcs_repo *r, const char *ref)
{
    git_oid id;
    return git_reference_name_to_id(&id, r->git, ref) == 0;
}

/* Is a part of the name a ref, or the name a folder of refs? Both cannot be files at once. */
static bool collides(vcs_repo *r, const char *ref)
{
    char name[VCS_REF_MAX + 8];
    (void)snprintf(name, sizeof name, "%s", ref);
    for (char *slash = strrchr(name, '/'); slash != NULL; slash = strrchr(name, '/')) {
        *slash = '\0';
        if (ref_exists(r, name)) return true;
    }
    git_reference_iterator *it = NULL;
    const char             *below;
    (void)snprintf(name, sizeof name, "%s/*", ref);
    bool found = git_reference_iterator_glob_new(&it, r->git, name) == 0 &&
                 git_reference_next_name(&below, it) == 0;
    git_reference_iterator_free(it);
    return found;
}

static snug_status map_outcome(vcs_repo *r, const char *ref, int rc, snug_err *err)
{
    if (rc == 0) return SNUG_OK;
    if (rc == GIT_EMODIFIED || rc == GIT_ENOTFOUND) return fail_stale(ref, err);
    if (rc == GIT_EEXISTS && ref_exists(r, ref)) return fail_stale(ref, err);
    if (rc == GIT_ELOCKED) {
        return snug_fail(err, SNUG_EBUSY, "%s is being written: try again", ref);
    }
    if (rc == GIT_EINVALIDSPEC) {
        return snug_fail(err, SNUG_EINVAL, "Invalid reference: %s", ref);
    }
    snug_status st = vcs_fail_git(err, "updating a ref"); /* before libgit2's words are gone */
    if (collides(r, ref)) {
        st = snug_fail(err, SNUG_ECONFLICT,
                       "%s collides with another name: one would be a folder of the other", ref);
    }
    return st;
}

static snug_status copy_name(snug_slice ref, char out[VCS_REF_MAX + 1], snug_err *err)
{
    if (!vcs_ref_name_ok(ref)) {
        return snug_fail(err, SNUG_EINVAL, "Invalid reference: %.*s",
                         ref.len > 120 ? 120 : (int)ref.len, ref.ptr);
    }
    memcpy(out, ref.ptr, ref.len);
    out[ref.len] = '\0';
    return SNUG_OK;
}

snug_status vcs_update_ref(vcs_repo *r, snug_slice ref, const vcs_oid *old, const vcs_oid *to,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    char        name[VCS_REF_MAX + 1];
    ref_move    m = {old != NULL ? vcs_git_oid(old) : NULL, to != NULL ? vcs_git_oid(to) : NULL};

    SNUG_TRY(copy_name(ref, name, err));
    if (old == NULL && to == NULL) SNUG_FAIL(err, SNUG_EINTERNAL, "a ref from nothing to nothing");
    SNUG_TRY(vcs_flush_objects(r, err));
    if (to != NULL && git_odb_exists(r->odb, m.to) != 1) {
        SNUG_FAIL(err, SNUG_EINTERNAL, "%s would name an object that is not there", name);
    }
    if (SNUG_FAULT("vcs.ref.before")) {
        st = snug_fail_sys(err, errno, "updating %s", name);
        goto done;
    }
    ref_step *step = to == NULL ? step_delete : old == NULL ? step_create : step_move;
    SNUG_TRY(map_outcome(r, name, retry_locked(r, name, step, &m), err));
    if (old == NULL || to == NULL) SNUG_TRY(sync_folders(r, name, err));
    if (SNUG_FAULT("vcs.ref.after")) st = snug_fail_sys(err, errno, "after updating %s", name);
done:
    return st;
}

/* ---- tags ---- */

static snug_status tag_ref(snug_slice name, char out[VCS_REF_MAX + 1], snug_err *err)
{
    vcs_oid id;
    int     n = name.len == 0 || name.ptr[0] == '-' || name.len > VCS_REF_MAX - 10
                    ? -1
                    : snprintf(out, VCS_REF_MAX + 1, "refs/tags/%.*s", SNUG_SLICE(name));
    if (n < 0 || (size_t)n != name.len + 10 || snug_starts_with(name, "refs/") ||
        snug_eq_str(name, "HEAD") || vcs_oid_parse(name, &id) ||
        !vcs_ref_name_ok(snug_slice_of(out, (size_t)n))) {
        return snug_fail(err, SNUG_EINVAL, "Invalid reference for a tag: %.*s",
                         name.len > 120 ? 120 : (int)name.len, name.ptr);
    }
    return SNUG_OK;
}

static snug_status write_tag_object(vcs_repo *r, snug_slice name, const vcs_oid *target,
                                    snug_slice message, const vcs_who *who, git_oid *out,
                                    snug_err *err)
{
    char hex[41];
    vcs_oid_hex(target, hex);
    SNUG_AUTO(snug_buf) b = snug_buf_init(1u << 20);
    snug_buf_printf(&b, "object %s\ntype commit\ntag %.*s\ntagger ", hex, SNUG_SLICE(name));
    vcs_put_signature(&b, who);
    snug_buf_puts(&b, "\n\n");
    vcs_put_message(&b, message);
    snug_status st = snug_buf_check(&b, "tag message", err);
    return st != SNUG_OK ? st : vcs_write_object(r, GIT_OBJECT_TAG, snug_buf_slice(&b), out, err);
}

snug_status vcs_create_tag(vcs_repo *r, snug_slice name, const vcs_oid *target, snug_slice message,
                           const vcs_who *who, snug_err *err)
{
    snug_status  st = SNUG_OK;
    char         ref[VCS_REF_MAX + 1];
    vcs_oid      to = *target;
    git_object_t type;
    uint64_t     size;

    SNUG_TRY(tag_ref(name, ref, err));
    SNUG_TRY(vcs_object_header(r, vcs_git_oid(target), &type, &size, err));
    if (type != GIT_OBJECT_COMMIT) SNUG_FAIL(err, SNUG_EINTERNAL, "tags are put on commits");
    if (ref_exists(r, ref)) {
        SNUG_FAIL(err, SNUG_ECONFLICT, "Reference %s already exists", ref);
    }
    if (message.len > 0) {
        git_oid id;
        SNUG_TRY(write_tag_object(r, name, target, message, who, &id, err));
        to = vcs_oid_of(&id);
    }
    st = vcs_update_ref(r, snug_str(ref), NULL, &to, err);
    if (st == SNUG_ESTALE) {
        st = snug_fail(err, SNUG_ECONFLICT, "Reference %s already exists", ref);
    }
done:
    return st;
}

snug_status vcs_delete_tag(vcs_repo *r, snug_slice name, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        ref[VCS_REF_MAX + 1];
    git_oid     id;

    if (tag_ref(name, ref, NULL) != SNUG_OK || git_reference_name_to_id(&id, r->git, ref) != 0) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id: %.*s",
                              name.len > 120 ? 120 : (int)name.len, name.ptr);
    }
    vcs_oid old = vcs_oid_of(&id);
    SNUG_TRY(vcs_update_ref(r, snug_str(ref), &old, NULL, err));
done:
    return st;
}
