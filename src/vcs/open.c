/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/open.c - the root folder of all repositories; making and removing one.
 *
 * For:     hub/, at start-up and when repositories come and go.
 * Owns:    <dir>/<xx>/<key>.git, <dir>/tmp-*, <dir>/trash-*, <dir>/owner.lock.
 * Threads: any; folders appear and vanish by rename(2) alone.
 * Truth:   a folder named <key>.git is a complete repository. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* Leaves room in VCS_PATH_MAX for whatever is made below it: ref names, object names. */
enum { DIR_MAX = 2048 };

/* ---- the library, once per process ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

/* Settings of libgit2 are process-wide. No file outside our folders may change what it does:
 * an empty search path means there is no such configuration level. */
static void start_library(void)
{
    static const int levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                 GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
    SNUG_ASSERT(git_libgit2_init() > 0);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        (void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
    }
    (void)git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
    (void)git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    (void)git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    (void)git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
    (void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    (void)git_libgit2_opts(GIT_OPT_DISABLE_PACK_KEEP_FILE_CHECKS, 1);
    /* A folder of 100,000 files is a tree of 4 MB, read again for each page of a listing. */
    (void)git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)(64 << 20));
    (void)git_libgit2_opts(GIT_OPT_SET_CACHE_OBJECT_LIMIT, (int)GIT_OBJECT_TREE, (size_t)(8 << 20));
    (void)git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)256);
}

snug_status vcs_fail_git(snug_err *err, const char *what)
{
    const git_error *e = git_error_last();
    int              errnum = e != NULL && e->klass == GIT_ERROR_OS ? errno : EIO;
    if (errnum != ENOSPC && errnum != ENOMEM) errnum = EIO;
    return snug_fail_sys(err, errnum, "%s: %s", what, e != NULL ? e->message : "unknown");
}

/* ---- names ---- */

bool vcs_oid_parse(snug_slice hex, vcs_oid *out) { return snug_unhex(hex, out->sha1.b, 20); }

void vcs_oid_hex(const vcs_oid *id, char out[41]) { snug_hex(id->sha1.b, 20, out); }

bool vcs_key_ok(snug_slice key)
{
    if (key.len < VCS_KEY_MIN || key.len > VCS_KEY_MAX) return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
    }
    return true;
}

char *vcs_key_path(const vcs *v, snug_slice key)
{
    size_t n = strlen(v->dir) + key.len + 16;
    char  *path = snug_alloc(n);
    (void)snprintf(path, n, "%s/%.2s/%.*s.git", v->dir, key.ptr, SNUG_SLICE(key));
    return path;
}

static snug_status check_key(snug_slice key, snug_err *err)
{
    return vcs_key_ok(key) ? SNUG_OK
                           : snug_fail(err, SNUG_EINTERNAL, "\"%.*s\" cannot name a git folder",
                                       SNUG_SLICE(key));
}

/* <dir>/<prefix><random>: for folders that are not there yet, or not any more. */
static char *scratch_path(const vcs *v, const char *prefix)
{
    size_t n = strlen(v->dir) + strlen(prefix) + 24;
    char  *path = snug_alloc(n);
    (void)snprintf(path, n, "%s/%s%016llx", v->dir, prefix, (unsigned long long)snug_random_u64());
    return path;
}

/* ---- opening ---- */

/* One process owns the folder and may clean up after its dead predecessor. A second one (a test, a
 * command beside the server) works all the same but removes nothing. The lock file's time stamp
 * is taken from the file system itself, so that lock files compare with it exactly. */
static snug_status take_ownership(vcs *v, snug_err *err)
{
    char path[VCS_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/owner.lock", v->dir);
    v->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (v->lock_fd < 0) return snug_fail_sys(err, errno, "open %s", path);
    v->owner = flock(v->lock_fd, LOCK_EX | LOCK_NB) == 0;
    if (!v->owner) return SNUG_OK;

    struct stat sb;
    if (futimens(v->lock_fd, NULL) != 0 || fstat(v->lock_fd, &sb) != 0) {
        return snug_fail_sys(err, errno, "stat %s", path);
    }
    v->opened = sb.st_mtim;
    return SNUG_OK;
}

void vcs_start_library(void) { (void)pthread_once(&library_once, start_library); }

snug_status vcs_open(const char *dir, vcs **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (strlen(dir) > DIR_MAX) {
        return snug_fail(err, SNUG_EINVAL, "the path of the git folder is longer than %d bytes",
                         (int)DIR_MAX);
    }
    vcs_start_library();

    vcs *v = snug_zalloc(sizeof *v);
    v->lock_fd = -1;
    v->infos = snug_zalloc(VCS_INFO_SLOTS * sizeof *v->infos);
    v->counts = snug_zalloc(VCS_COUNT_SLOTS * sizeof *v->counts);
    snug_mutex_init(&v->mutex, "vcs.pool", 60);
    snug_mutex_init(&v->info_mutex, "vcs.info", 61);

    SNUG_TRY(snug_mkdirs(dir, 0700, err));
    v->dir = realpath(dir, NULL); /* git, our child, starts somewhere else */
    if (v->dir == NULL || strlen(v->dir) > DIR_MAX) {
        st = snug_fail_sys(err, v->dir == NULL ? errno : ENAMETOOLONG, "realpath %s", dir);
        goto done;
    }
    SNUG_TRY(take_ownership(v, err));
    if (v->owner) SNUG_TRY(vcs_sweep_root(v, err));
    *out = v;
    v = NULL; /* moved to the caller */
done:
    vcs_close(v);
    return st;
}

void vcs_close(vcs *v)
{
    if (v == NULL) return;
    vcs_pool_close(v);
    sandbox_close(atomic_load(&v->box));
    if (v->lock_fd >= 0) (void)close(v->lock_fd);
    snug_mutex_deinit(&v->mutex);
    snug_mutex_deinit(&v->info_mutex);
    free(v->counts);
    free(v->infos);
    free(v->dir);
    free(v);
}

/* ---- creating and removing ---- */

/* The server's own settings: everything pushed is checked, everything written is synced, nothing
 * is repacked behind our back, and every object of a repository may be asked for by its id. */
static const char repo_config[] = "[core]\n"
                                  "\trepositoryformatversion = 0\n"
                                  "\tfilemode = true\n"
                                  "\tbare = true\n"
                                  "\tlogAllRefUpdates = false\n"
                                  "\tfsync = all\n"
                                  "\tfsyncMethod = fsync\n"
                                  "[receive]\n"
                                  "\tfsckObjects = true\n"
                                  "\tautogc = false\n"
                                  "\tunpackLimit = 32\n"
                                  "[gc]\n"
                                  "\tauto = 0\n"
                                  "[uploadpack]\n"
                                  "\tallowFilter = true\n"
                                  "\tallowAnySHA1InWant = true\n";

static snug_status put_file(const char *folder, const char *name, snug_slice bytes, snug_err *err)
{
    char path[VCS_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return snug_fail_sys(err, errno, "create %s", path);
    snug_status st = snug_write_all(fd, bytes.ptr, bytes.len, err);
    if (st == SNUG_OK && fsync(fd) != 0) st = snug_fail_sys(err, errno, "fsync %s", path);
    (void)close(fd);
    return st;
}

static snug_status build_repo(const char *folder, snug_err *err)
{
    static const char *const folders[] = {
        "objects/pack", "objects/info", "refs/heads", "refs/tags", "objects", "refs", ""};
    snug_status st = SNUG_OK;
    char        path[VCS_PATH_MAX];

    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        SNUG_TRY(snug_mkdirs(path, 0700, err));
    }
    SNUG_TRY(put_file(folder, "HEAD", SNUG_LIT("ref: refs/heads/main\n"), err));
    SNUG_TRY(put_file(folder, "config", snug_str(repo_config), err));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        SNUG_TRY(snug_fsync_dir(path, err));
    }
done:
    return st;
}

/* Makes <dir>/<xx> if need be and returns its path: free(). */
static snug_status shard_folder(vcs *v, snug_slice key, char **out, snug_err *err)
{
    size_t n = strlen(v->dir) + 8;
    char  *path = snug_alloc(n);
    (void)snprintf(path, n, "%s/%.2s", v->dir, key.ptr);
    if (mkdir(path, 0700) == 0) {
        snug_status st = snug_fsync_dir(v->dir, err);
        if (st != SNUG_OK) {
            free(path);
            return st;
        }
    } else if (errno != EEXIST) {
        snug_status st = snug_fail_sys(err, errno, "mkdir %s", path);
        free(path);
        return st;
    }
    *out = path;
    return SNUG_OK;
}

snug_status vcs_create_repo(vcs *v, snug_slice key, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *tmp = NULL, *path = NULL, *shard = NULL;

    SNUG_TRY(check_key(key, err));
    tmp = scratch_path(v, "tmp-");
    path = vcs_key_path(v, key);
    SNUG_TRY(shard_folder(v, key, &shard, err));
    SNUG_TRY(build_repo(tmp, err));
    if (SNUG_FAULT("vcs.create")) {
        st = snug_fail_sys(err, errno, "create %s", path);
        goto done;
    }
    /* A repository is never an empty folder, so rename(2) cannot replace one. */
    if (rename(tmp, path) != 0) {
        if (errno == EEXIST || errno == ENOTEMPTY) {
            st = snug_fail(err, SNUG_ECONFLICT, "this git repository exists already");
        } else {
            st = snug_fail_sys(err, errno, "rename to %s", path);
        }
        goto done;
    }
    SNUG_TRY(snug_fsync_dir(shard, err));
done:
    if (st != SNUG_OK && tmp != NULL) vcs_remove_quietly(tmp);
    free(tmp);
    free(path);
    free(shard);
    return st;
}

snug_status vcs_remove_repo(vcs *v, snug_slice key, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *trash = NULL, *path = NULL, *shard = NULL;

    SNUG_TRY(check_key(key, err));
    vcs_pool_forget(v, key);
    trash = scratch_path(v, "trash-");
    path = vcs_key_path(v, key);
    SNUG_TRY(shard_folder(v, key, &shard, err));
    if (rename(path, trash) != 0) {
        st = errno == ENOENT ? snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound",
                                              "there is no such git repository")
                             : snug_fail_sys(err, errno, "rename %s", path);
        goto done;
    }
    SNUG_TRY(snug_fsync_dir(shard, err));
    if (SNUG_FAULT("vcs.remove")) {
        st = snug_fail_sys(err, errno, "remove %s", trash);
        goto done;
    }
    SNUG_TRY(snug_remove_tree(trash, err));
done:
    free(trash);
    free(path);
    free(shard);
    return st;
}

bool vcs_repo_exists(vcs *v, snug_slice key)
{
    if (!vcs_key_ok(key)) return false;
    char       *path = vcs_key_path(v, key);
    struct stat sb;
    bool        found = stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
    free(path);
    return found;
}
