/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/loose.c - a few objects as files of their own: objects/<xx>/<38 hex>.
 *
 *   zlib( type SP decimal-size NUL content )
 *
 * All files are written, then all synced, then all renamed, then each folder synced once: the
 * file system can merge the journal work of neighbours.
 * Truth: a name under objects/<xx>/ appears only after its bytes are on disk. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOSE_LEVEL = 3 };

typedef struct loose_file {
    int  fd;
    char tmp[VCS_PATH_MAX];
} loose_file;

/* The whole file in memory: at most a mebibyte of content (pending.c). */
static unsigned char *deflate_object(const vcs_object *o, size_t *n_out)
{
    char head[64];
    int  head_size = snprintf(head, sizeof head, "%s %llu", git_object_type2string(o->type),
                              (unsigned long long)o->size) +
                    1;
    z_stream z = {0};
    SNUG_ASSERT(deflateInit(&z, LOOSE_LEVEL) == Z_OK);
    uLong          cap = deflateBound(&z, (uLong)o->size + (uLong)head_size);
    unsigned char *out = snug_alloc(cap);
    z.next_out = out;
    z.avail_out = (uInt)cap;
    z.next_in = (const unsigned char *)head;
    z.avail_in = (uInt)head_size;
    SNUG_ASSERT(deflate(&z, Z_NO_FLUSH) == Z_OK);
    z.next_in = o->data;
    z.avail_in = (uInt)o->size;
    SNUG_ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
    *n_out = z.total_out;
    (void)deflateEnd(&z);
    return out;
}

static snug_status write_tmp(const vcs_repo *r, const vcs_object *o, loose_file *f, snug_err *err)
{
    (void)snprintf(f->tmp, sizeof f->tmp, "%s/objects/tmp_obj_%016llx", r->path,
                   (unsigned long long)snug_random_u64());
    f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (f->fd < 0) return snug_fail_sys(err, errno, "create %s", f->tmp);
    size_t         n;
    unsigned char *bytes = deflate_object(o, &n);
    snug_status    st = snug_write_all(f->fd, bytes, n, err);
    free(bytes);
    return st;
}

static void folder_of(const vcs_repo *r, const git_oid *id, char out[VCS_PATH_MAX])
{
    (void)snprintf(out, VCS_PATH_MAX, "%s/objects/%02x", r->path, id->id[0]);
}

static snug_status put_in_place(const vcs_repo *r, const vcs_object *o, loose_file *f,
                                bool *new_folder, snug_err *err)
{
    char folder[VCS_PATH_MAX], path[VCS_PATH_MAX + 48], hex[41];
    folder_of(r, &o->id, folder);
    snug_hex(o->id.id, 20, hex);
    (void)snprintf(path, sizeof path, "%s/%s", folder, hex + 2);
    if (mkdir(folder, 0700) == 0) {
        *new_folder = true;
    } else if (errno != EEXIST) {
        return snug_fail_sys(err, errno, "mkdir %s", folder);
    }
    if (rename(f->tmp, path) != 0) return snug_fail_sys(err, errno, "rename to %s", path);
    f->tmp[0] = '\0';
    return SNUG_OK;
}

static snug_status sync_folders(const vcs_repo *r, const vcs_object *v, size_t n, bool new_folder,
                                snug_err *err)
{
    bool        done[256] = {false};
    char        folder[VCS_PATH_MAX];
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < n && st == SNUG_OK; i++) {
        if (done[v[i].id.id[0]]) continue;
        done[v[i].id.id[0]] = true;
        folder_of(r, &v[i].id, folder);
        st = snug_fsync_dir(folder, err);
    }
    if (st == SNUG_OK && new_folder) {
        (void)snprintf(folder, sizeof folder, "%s/objects", r->path);
        st = snug_fsync_dir(folder, err);
    }
    return st;
}

snug_status vcs_loose_write(vcs_repo *r, const vcs_object *v, size_t n, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        new_folder = false;
    loose_file *files = snug_zalloc(n * sizeof *files); /* n is a handful: pending.c */
    for (size_t i = 0; i < n; i++) files[i].fd = -1;

    for (size_t i = 0; i < n; i++) SNUG_TRY(write_tmp(r, &v[i], &files[i], err));
    for (size_t i = 0; i < n; i++) {
        if (fsync(files[i].fd) != 0) {
            st = snug_fail_sys(err, errno, "fsync %s", files[i].tmp);
            goto done;
        }
    }
    if (SNUG_FAULT("vcs.loose.rename")) {
        st = snug_fail_sys(err, errno, "renaming git objects");
        goto done;
    }
    for (size_t i = 0; i < n; i++) SNUG_TRY(put_in_place(r, &v[i], &files[i], &new_folder, err));
    SNUG_TRY(sync_folders(r, v, n, new_folder, err));
done:
    for (size_t i = 0; i < n; i++) {
        if (files[i].fd >= 0) (void)close(files[i].fd);
        if (files[i].fd >= 0 && files[i].tmp[0] != '\0') (void)unlink(files[i].tmp);
    }
    free(files);
    return st;
}
