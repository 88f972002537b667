/* SPDX-License-Identifier: Apache-2.0 */
/* hub/draft.c - the operations of one commit, collected while the request is still arriving.
 *
 * For:     api/commit.c line by line, web forms; commit.c reads them.
 * Owns:    an arena for small contents and one unlinked file for the others.
 * Threads: one.
 * Truth:   every path was checked, every size is within its limit. No repository was asked yet. */
#include "hub/draft_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

snug_status hub_draft_new(hub *h, hub_draft **out, snug_err *err)
{
    hub_draft *d = snug_zalloc(sizeof *d);
    (void)err;
    d->h = h;
    d->a = snug_arena_new();
    d->spill_fd = -1;
    *out = d;
    return SNUG_OK;
}

void hub_draft_free(hub_draft *d)
{
    if (d == NULL) return;
    if (d->spill_fd >= 0) (void)close(d->spill_fd);
    snug_arena_free(d->a);
    free(d->ops);
    free(d);
}

static bool plain_text(snug_slice s)
{
    return snug_utf8_valid(s) && (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
}

snug_status hub_draft_header(hub_draft *d, snug_slice summary, snug_slice description,
                             snug_slice parent, snug_err *err)
{
    summary = snug_trim(summary);
    if (summary.len == 0) return snug_fail(err, SNUG_EINVAL, "A commit needs a summary");
    if (summary.len + description.len > HUB_MESSAGE_MAX)
        return snug_fail(err, SNUG_EINVAL, "A commit message has at most %d bytes",
                         HUB_MESSAGE_MAX);
    if (!plain_text(summary) || !plain_text(description))
        return snug_fail(err, SNUG_EINVAL, "A commit message is UTF-8 text");
    for (size_t i = 0; i < parent.len; i++) {
        char c = parent.ptr[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F')) parent.len = 1;
    }
    if (parent.len > 0 && (parent.len < 5 || parent.len > 40))
        return snug_fail(err, SNUG_EINVAL, "\"parentCommit\" must be 5 to 40 hexadecimal digits");
    description = snug_trim(description);
    d->summary = snug_arena_dup(d->a, summary);
    d->description = snug_arena_dup(d->a, description);
    d->parent = snug_arena_dup(d->a, parent);
    return SNUG_OK;
}

bool hub_is_attributes(snug_slice path)
{
    return snug_eq_str(path, ".gitattributes") || snug_ends_with(path, "/.gitattributes");
}

static snug_status add_op(hub_draft *d, draft_kind kind, snug_slice path, draft_op **out,
                          snug_err *err)
{
    if (d->count >= HUB_DRAFT_OPS_MAX)
        return snug_fail(err, SNUG_ELIMIT,
                         "a commit has at most %d operations: split it into several",
                         HUB_DRAFT_OPS_MAX);
    snug_status st = vcs_check_path(path, err);
    if (st != SNUG_OK) return st;
    if (d->count == d->cap) {
        d->cap = d->cap == 0 ? 16 : d->cap * 2;
        d->ops = snug_realloc(d->ops, d->cap * sizeof *d->ops);
    }
    *out = &d->ops[d->count++];
    **out = (draft_op){.kind = kind, .path = snug_arena_dup(d->a, path)};
    return SNUG_OK;
}

/* ---- contents ---- */

/* A file without a name, which the kernel removes with the last descriptor. */
static snug_status open_spill(const char *dir, int *fd, snug_err *err)
{
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0) return SNUG_OK;
    SNUG_AUTO(snug_buf) path = snug_buf_init(8192); /* not every file system can do that */
    snug_buf_printf(&path, "%s/spill-XXXXXX", dir);
    snug_buf_putc(&path, '\0');
    *fd = path.full ? -1 : mkostemp(path.ptr, O_CLOEXEC);
    if (*fd < 0) return snug_fail_sys(err, errno, "temporary file in %s", dir);
    (void)unlink(path.ptr);
    return SNUG_OK;
}

static snug_status spill(hub_draft *d, snug_slice bytes, draft_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (d->spill_fd < 0) SNUG_TRY(open_spill(d->h->draft_dir, &d->spill_fd, err));
    op->spilled = true;
    op->offset = d->spill_size;
    SNUG_TRY(snug_write_all(d->spill_fd, bytes.ptr, bytes.len, err));
    d->spill_size += bytes.len;
done:
    return st;
}

snug_status hub_draft_file(hub_draft *d, snug_slice path, snug_slice bytes, snug_err *err)
{
    snug_status st = SNUG_OK;
    draft_op   *op;
    char        size[16], max[16];

    if (bytes.len > d->h->raw_file_max) {
        snug_size_human(bytes.len, size);
        snug_size_human(d->h->raw_file_max, max);
        SNUG_FAIL(err, SNUG_EINVAL,
                  "\"%.*s\" is %s: files larger than %s cannot be stored in git itself. Upload it "
                  "as an LFS file (git lfs track, or a client that asks preupload first)",
                  SNUG_SLICE(snug_sub(path, 0, 200)), size, max);
    }
    if (bytes.len > HUB_DRAFT_BYTES_MAX - d->bytes)
        SNUG_FAIL(err, SNUG_ELIMIT,
                  "the regular files of a commit hold at most 2 GiB: split it into several");
    SNUG_TRY(add_op(d, DRAFT_FILE, path, &op, err));
    op->size = bytes.len;
    d->bytes += bytes.len;
    if (bytes.len > HUB_DRAFT_SPILL || d->memory + bytes.len > HUB_DRAFT_MEMORY_MAX) {
        SNUG_TRY(spill(d, bytes, op, err));
    } else {
        op->bytes = snug_arena_dup(d->a, bytes);
        d->memory += bytes.len;
    }
done:
    return st;
}

snug_status hub_draft_put_blob(hub_draft *d, vcs_repo *git, const draft_op *op, vcs_oid *out,
                               snug_err *err)
{
    enum { IN_MEMORY_MAX = 16 << 20, STEP = 1 << 20 };
    snug_status st = SNUG_OK;
    char       *buf = NULL;
    snug_fd     tmp = {-1};

    if (!op->spilled) return vcs_put_blob(git, op->bytes, out, err);
    size_t step = op->size <= IN_MEMORY_MAX ? (size_t)op->size : STEP;
    buf = snug_alloc_try(step + 1);
    if (buf == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    if (step == op->size) {
        SNUG_TRY(snug_pread_all(d->spill_fd, buf, step, op->offset, err));
        SNUG_TRY(vcs_put_blob(git, snug_slice_of(buf, step), out, err));
        goto done;
    }
    SNUG_TRY(open_spill(d->h->draft_dir, &tmp.fd, err));
    for (uint64_t at = 0; at < op->size; at += step) {
        size_t n = op->size - at < step ? (size_t)(op->size - at) : step;
        SNUG_TRY(snug_pread_all(d->spill_fd, buf, n, op->offset + at, err));
        SNUG_TRY(snug_write_all(tmp.fd, buf, n, err));
    }
    SNUG_TRY(vcs_put_blob_fd(git, tmp.fd, op->size, out, err));
done:
    snug_fd_deinit(&tmp);
    free(buf);
    return st;
}

/* ---- the other operations ---- */

snug_status hub_draft_lfs(hub_draft *d, snug_slice path, const blob_id *oid,
                          const uint64_t *size_or_null, snug_err *err)
{
    snug_status st = SNUG_OK;
    draft_op   *op;

    if (size_or_null != NULL && *size_or_null > d->h->lfs_file_max) {
        char size[16], max[16];
        snug_size_human(*size_or_null, size);
        snug_size_human(d->h->lfs_file_max, max);
        SNUG_FAIL(err, SNUG_EINVAL, "\"%.*s\" is %s: this server stores files of at most %s",
                  SNUG_SLICE(snug_sub(path, 0, 200)), size, max);
    }
    if (hub_is_attributes(path))
        SNUG_FAIL(err, SNUG_EINVAL,
                  "\".gitattributes\" is read by git itself and cannot be an LFS file");
    SNUG_TRY(add_op(d, DRAFT_LFS, path, &op, err));
    op->lfs = *oid;
    op->has_size = size_or_null != NULL;
    op->size = op->has_size ? *size_or_null : 0;
done:
    return st;
}

static snug_slice without_slash(snug_slice path)
{
    if (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
    return path;
}

snug_status hub_draft_delete(hub_draft *d, snug_slice path, bool folder, snug_err *err)
{
    draft_op *op;
    return add_op(d, folder ? DRAFT_DELETE_FOLDER : DRAFT_DELETE, without_slash(path), &op, err);
}

snug_status hub_draft_copy(hub_draft *d, snug_slice from, snug_slice rev, snug_slice to,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    draft_op   *op;

    from = without_slash(from);
    SNUG_TRY(vcs_check_path(from, err));
    if (rev.len > 512) SNUG_FAIL(err, SNUG_EINVAL, "a revision has at most 512 bytes");
    SNUG_TRY(add_op(d, DRAFT_COPY, without_slash(to), &op, err));
    op->from = snug_arena_dup(d->a, from);
    op->rev = snug_arena_dup(d->a, rev);
done:
    return st;
}

snug_status hub_draft_move(hub_draft *d, snug_slice from, snug_slice to, snug_err *err)
{
    snug_status st = SNUG_OK;
    draft_op   *op;

    from = without_slash(from);
    SNUG_TRY(vcs_check_path(from, err));
    SNUG_TRY(add_op(d, DRAFT_MOVE, without_slash(to), &op, err));
    op->from = snug_arena_dup(d->a, from);
done:
    return st;
}
