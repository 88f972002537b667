/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/sweep.c - removing what a killed process left behind.
 *
 * A lock file says "someone is writing"; after kill -9 it says so for ever. One process owns the
 * whole folder (owner.lock), so a lock or a temporary file that is older than that process's
 * vcs_open belongs to nobody. The comparison is between two time stamps of the same file system;
 * equal stamps (one clock tick) count as alive.
 *
 * Truth: nothing made after vcs_open is ever removed here. */
#include "vcs/vcs_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool is_stale(const vcs *v, const char *path)
{
    struct stat sb;
    return v->owner && lstat(path, &sb) == 0 && vcs_time_before(&sb.st_mtim, &v->opened);
}

bool vcs_unlink_if_stale(const vcs *v, const char *path)
{
    if (!is_stale(v, path) || unlink(path) != 0) return false;
    snug_log(SNUG_WARN, "vcs.sweep", "path=%s", path);
    return true;
}

void vcs_remove_quietly(const char *path)
{
    snug_err why = {0};
    if (snug_remove_tree(path, &why) != SNUG_OK) snug_log_err(SNUG_WARN, "vcs.sweep", &why);
}

snug_status vcs_sweep_root(vcs *v, snug_err *err)
{
    DIR *d = opendir(v->dir);
    if (d == NULL) return snug_fail_sys(err, errno, "opendir %s", v->dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (!snug_starts_with(snug_str(e->d_name), "tmp-") &&
            !snug_starts_with(snug_str(e->d_name), "trash-")) {
            continue;
        }
        char path[VCS_PATH_MAX];
        int  n = snprintf(path, sizeof path, "%s/%s", v->dir, e->d_name);
        /* Failing to free space must not keep the server from starting. */
        if (n > 0 && (size_t)n < sizeof path && is_stale(v, path)) vcs_remove_quietly(path);
    }
    (void)closedir(d);
    return SNUG_OK;
}

typedef enum sweep_what {
    SWEEP_LOCKS,  /* *.lock, below too */
    SWEEP_PACKS,  /* tmp_* */
    SWEEP_OBJECTS /* tmp_obj*, and folders of refused pushes */
} sweep_what;

static bool is_leftover(sweep_what what, snug_slice name)
{
    switch (what) {
    case SWEEP_LOCKS: return snug_ends_with(name, ".lock");
    case SWEEP_PACKS: return snug_starts_with(name, "tmp_");
    case SWEEP_OBJECTS:
        return snug_starts_with(name, "tmp_obj") || snug_starts_with(name, "incoming-");
    }
    return false;
}

static void sweep_folder(const vcs *v, const char *folder, sweep_what what, unsigned depth)
{
    DIR *d = depth < 16 ? opendir(folder) : NULL; /* ref names are not deeper than that */
    if (d == NULL) return;
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        snug_slice name = snug_str(e->d_name);
        char       path[VCS_PATH_MAX];
        if (name.ptr[0] == '.') continue;
        int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (n < 0 || (size_t)n >= sizeof path) continue;
        struct stat sb;
        bool        is_dir = e->d_type == DT_DIR ||
                      (e->d_type == DT_UNKNOWN && lstat(path, &sb) == 0 && S_ISDIR(sb.st_mode));
        if (is_leftover(what, name)) {
            if (!is_dir) {
                (void)vcs_unlink_if_stale(v, path);
            } else if (what == SWEEP_OBJECTS && is_stale(v, path)) {
                vcs_remove_quietly(path);
            }
        } else if (is_dir && what == SWEEP_LOCKS) {
            sweep_folder(v, path, what, depth + 1);
        }
    }
    (void)closedir(d);
}

/* A pack counts only once its index is there; one without was cut off between the two renames. */
static void sweep_orphan_packs(const vcs *v, const char *folder)
{
    DIR *d = opendir(folder);
    if (d == NULL) return;
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        snug_slice name = snug_str(e->d_name);
        char       path[VCS_PATH_MAX];
        if (!snug_starts_with(name, "pack-") || !snug_ends_with(name, ".pack")) continue;
        int n = snprintf(path, sizeof path, "%s/%.*s.idx", folder, (int)name.len - 5, name.ptr);
        if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) == 0 || errno != ENOENT) {
            continue;
        }
        n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (n > 0 && (size_t)n < sizeof path) (void)vcs_unlink_if_stale(v, path);
    }
    (void)closedir(d);
}

void vcs_sweep_repo(const vcs *v, const char *repo_path)
{
    static const char *const files[] = {"packed-refs.lock", "packed-refs.new", "HEAD.lock",
                                        "config.lock", "shallow.lock"};
    char                     path[VCS_PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", repo_path, files[i]);
        (void)vcs_unlink_if_stale(v, path);
    }
    (void)snprintf(path, sizeof path, "%s/refs", repo_path);
    sweep_folder(v, path, SWEEP_LOCKS, 0);
    (void)snprintf(path, sizeof path, "%s/objects", repo_path);
    sweep_folder(v, path, SWEEP_OBJECTS, 0);
    (void)snprintf(path, sizeof path, "%s/objects/pack", repo_path);
    sweep_folder(v, path, SWEEP_PACKS, 0);
    sweep_orphan_packs(v, path);
}
