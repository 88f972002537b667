/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/pending.c - objects on their way into a repository.
 *
 * A durable loose object costs a file, an fsync and half a folder fsync (2 to 4 ms each on a plain
 * disk), so a commit of a thousand files written that way takes seconds. Objects therefore gather
 * here, per handle, and become part of the repository in one step, just before a ref names them:
 *
 *   few and small    in memory     -> loose objects, all written, then all synced   (loose.c)
 *   many or large    in one file   -> a pack and its index: three fsyncs in all     (pack.c)
 *
 * Every small commit as a pack of its own would be cheaper still to write, but thousands of packs
 * make every later look-up slow; thousands of loose objects do not.
 *
 * Threads: the one that holds the handle.
 * Truth:   after vcs_flush_objects every object written before it is durable; after a crash before
 *          that, none of them is visible. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOSE_COUNT_MAX = 8, LOOSE_BYTES_MAX = 1 << 20, FD_IN_MEMORY_MAX = 256 << 10 };

void vcs_pending_init(vcs_pending *p)
{
    *p = (vcs_pending){0};
    p->fd = -1;
}

void vcs_pending_drop(vcs_pending *p)
{
    for (size_t i = 0; i < p->count; i++) free(p->v[i].data);
    free(p->v);
    free(p->index);
    if (p->fd >= 0) {
        (void)close(p->fd);
        (void)unlink(p->path);
    }
    if (p->z != NULL) {
        (void)deflateEnd(p->z);
        free(p->z);
    }
    vcs_pending_init(p);
}

/* ---- the table ---- */

static size_t first_slot(const git_oid *id, size_t mask)
{
    uint64_t h;
    memcpy(&h, id->id, sizeof h);
    return (size_t)h & mask;
}

const vcs_object *vcs_pending_find(const vcs_pending *p, const git_oid *id)
{
    if (p->count == 0) return NULL;
    for (size_t i = first_slot(id, p->mask); p->index[i] != 0; i = (i + 1) & p->mask) {
        const vcs_object *o = &p->v[p->index[i] - 1];
        if (git_oid_equal(&o->id, id)) return o;
    }
    return NULL;
}

static void insert_index(vcs_pending *p, uint32_t at)
{
    size_t i = first_slot(&p->v[at].id, p->mask);
    while (p->index[i] != 0) i = (i + 1) & p->mask;
    p->index[i] = at + 1;
}

static void append(vcs_pending *p, const vcs_object *o)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 32 : p->cap * 2;
        p->v = snug_realloc(p->v, p->cap * sizeof *p->v);
        free(p->index);
        p->mask = p->cap * 2 - 1;
        p->index = snug_zalloc((p->mask + 1) * sizeof *p->index);
        for (size_t i = 0; i < p->count; i++) insert_index(p, (uint32_t)i);
    }
    p->v[p->count] = *o;
    insert_index(p, (uint32_t)p->count);
    p->count++;
}

/* ---- writing ---- */

static bool is_known(vcs_repo *r, const git_oid *id)
{
    return vcs_pending_find(&r->pending, id) != NULL ||
           git_odb_exists_ext(r->odb, id, GIT_ODB_LOOKUP_NO_REFRESH) == 1;
}

/* From memory to the file: what was held so far goes first. */
static snug_status spill(vcs_repo *r, snug_err *err)
{
    vcs_pending *p = &r->pending;
    snug_status  st = SNUG_OK;
    SNUG_TRY(vcs_pack_begin(r, err));
    for (size_t i = 0; i < p->count; i++) {
        vcs_object *o = &p->v[i];
        SNUG_TRY(vcs_pack_add(r, o, snug_slice_of(o->data, (size_t)o->size), err));
        free(o->data);
        o->data = NULL;
    }
    p->bytes = 0;
done:
    return st;
}

static snug_status spill_if_needed(vcs_repo *r, uint64_t more, snug_err *err)
{
    vcs_pending *p = &r->pending;
    if (p->fd >= 0) return SNUG_OK;
    bool fits = p->count < LOOSE_COUNT_MAX && more <= LOOSE_BYTES_MAX - p->bytes;
    return fits ? SNUG_OK : spill(r, err);
}

snug_status vcs_write_object(vcs_repo *r, git_object_t type, snug_slice bytes, git_oid *out,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_object  o = {.type = type, .size = bytes.len};

    if (bytes.ptr == NULL) bytes = SNUG_LIT("");
    if (git_odb_hash(&o.id, bytes.ptr, bytes.len, type) != 0) {
        return vcs_fail_git(err, "hashing an object");
    }
    *out = o.id;
    if (is_known(r, &o.id)) return SNUG_OK;
    SNUG_TRY(spill_if_needed(r, bytes.len, err));
    if (r->pending.fd >= 0) {
        SNUG_TRY(vcs_pack_add(r, &o, bytes, err));
    } else {
        o.data = snug_alloc(bytes.len + 1); /* at most LOOSE_BYTES_MAX */
        memcpy(o.data, bytes.ptr, bytes.len);
        r->pending.bytes += bytes.len;
    }
    append(&r->pending, &o);
done:
    return st;
}

snug_status vcs_put_blob(vcs_repo *r, snug_slice bytes, vcs_oid *out, snug_err *err)
{
    git_oid     id;
    snug_status st = vcs_write_object(r, GIT_OBJECT_BLOB, bytes, &id, err);
    if (st == SNUG_OK) *out = vcs_oid_of(&id);
    return st;
}

/* The id of a large file is known only after it went through the packer; a repeat is cut off
 * again. */
static snug_status put_large(vcs_repo *r, int fd, uint64_t size, vcs_oid *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    vcs_pending *p = &r->pending;
    vcs_object   o = {.type = GIT_OBJECT_BLOB, .size = size};

    if (p->fd < 0) SNUG_TRY(spill(r, err));
    uint64_t start = p->off;
    SNUG_TRY(vcs_pack_add_fd(r, &o, fd, err));
    if (is_known(r, &o.id)) {
        if (ftruncate(p->fd, (off_t)start) != 0 || lseek(p->fd, (off_t)start, SEEK_SET) < 0) {
            st = snug_fail_sys(err, errno, "truncate %s", p->path);
            goto done;
        }
        p->off = start;
    } else {
        append(p, &o);
    }
    *out = vcs_oid_of(&o.id);
done:
    return st;
}

snug_status vcs_put_blob_fd(vcs_repo *r, int fd, uint64_t size, vcs_oid *out, snug_err *err)
{
    if (size > FD_IN_MEMORY_MAX) return put_large(r, fd, size, out, err);
    unsigned char *bytes = snug_alloc((size_t)size + 1);
    snug_status    st = snug_pread_all(fd, bytes, (size_t)size, 0, err);
    if (st == SNUG_OK) st = vcs_put_blob(r, snug_slice_of(bytes, (size_t)size), out, err);
    free(bytes);
    return st;
}

snug_status vcs_flush_objects(vcs_repo *r, snug_err *err)
{
    vcs_pending *p = &r->pending;
    snug_status  st = SNUG_OK;
    if (SNUG_FAULT("vcs.objects")) {
        st = snug_fail_sys(err, errno, "writing git objects");
    } else if (p->count > 0) {
        st = p->fd >= 0 ? vcs_pack_finish(r, err) : vcs_loose_write(r, p->v, p->count, err);
    }
    if (st != SNUG_OK) r->losses++; /* a half-done flush cannot be resumed */
    vcs_pending_drop(p);
    return st;
}

/* ---- reading ---- */

snug_status vcs_object_header(vcs_repo *r, const git_oid *id, git_object_t *type, uint64_t *size,
                              snug_err *err)
{
    const vcs_object *o = vcs_pending_find(&r->pending, id);
    if (o != NULL) {
        *type = o->type;
        *size = o->size;
        return SNUG_OK;
    }
    size_t n = 0;
    int    rc = git_odb_read_header(&n, type, r->odb, id);
    *size = n;
    if (rc == GIT_ENOTFOUND) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "there is no such git object");
    }
    return rc == 0 ? SNUG_OK : vcs_fail_git(err, "reading an object header");
}

static snug_status copy_pending(vcs_repo *r, const vcs_object *o, unsigned char *to, snug_err *err)
{
    if (o->data == NULL) return vcs_pack_read(r, o, to, err);
    memcpy(to, o->data, (size_t)o->size);
    return SNUG_OK;
}

snug_status vcs_object_read(vcs_repo *r, const git_oid *id, uint64_t max, snug_arena *a,
                            snug_slice *out, snug_err *err)
{
    git_object_t type;
    uint64_t     size;
    snug_status  st = vcs_object_header(r, id, &type, &size, err);
    if (st != SNUG_OK) return st;
    if (size > max || size >= SIZE_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "the file has %llu bytes; the limit here is %llu",
                         (unsigned long long)size, (unsigned long long)max);
    }
    unsigned char *to = snug_arena_alloc_try(a, (size_t)size + 1);
    if (to == NULL) return snug_fail(err, SNUG_ENOMEM, "out of memory");
    const vcs_object *o = vcs_pending_find(&r->pending, id);
    if (o != NULL) {
        st = copy_pending(r, o, to, err);
    } else {
        git_odb_object *obj = NULL;
        if (git_odb_read(&obj, r->odb, id) != 0) return vcs_fail_git(err, "reading an object");
        if (git_odb_object_size(obj) == size) {
            if (size > 0) memcpy(to, git_odb_object_data(obj), (size_t)size);
        } else {
            st = snug_fail(err, SNUG_ECORRUPT, "a git object is damaged");
        }
        git_odb_object_free(obj);
    }
    to[size] = '\0';
    *out = snug_slice_of(to, (size_t)size);
    return st;
}

snug_status vcs_read_blob(vcs_repo *r, const vcs_oid *id, uint64_t max, snug_arena *a,
                          snug_slice *out, snug_err *err)
{
    git_object_t type;
    uint64_t     size;
    snug_status  st = vcs_object_header(r, vcs_git_oid(id), &type, &size, err);
    if (st != SNUG_OK) return st;
    if (type != GIT_OBJECT_BLOB) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "this is not a file");
    }
    return vcs_object_read(r, vcs_git_oid(id), max, a, out, err);
}
