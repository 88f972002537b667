/* SPDX-License-Identifier: Apache-2.0 */
/* remote/local.c - files of a repository in a folder of the user's choice.
 *
 * For:     download.c with --local-dir.
 * Owns:    <dir>/.cache/huggingface, in the layout of stock clients: download/<path>.metadata holds
 *          three lines (commit, etag, time), download/<path>.lock guards one file.
 * Threads: any; the lock file decides between processes.
 * Truth:   a file of the user's folder is replaced by rename, whole and verified, never written
 *          into; nothing is written through a link or into .git. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { NOTE_MAX = 1024, COPY_CHUNK = 1 << 20 };
static const char notes_dir[] = ".cache/huggingface/download";

/* Everything one file needs; closed by end_place. */
typedef struct place {
    int  notes, target; /* folders */
    int  lock;
    char leaf[REMOTE_NAME_MAX + 1]; /* in target */
    char note[REMOTE_NAME_MAX + 1], lock_name[REMOTE_NAME_MAX + 1], part[REMOTE_NAME_MAX + 1];
} place;

bool remote_note_parse(snug_slice text, remote_note *out)
{
    snug_slice commit, etag, when;
    if (!snug_split(&text, '\n', &commit) || !snug_split(&text, '\n', &etag) ||
        !snug_split(&text, '\n', &when))
        return false;
    commit = snug_trim(commit);
    etag = snug_trim(etag);
    when = snug_trim(when);
    if (!remote_is_commit(commit) || remote_check_etag(etag, NULL) != SNUG_OK) return false;
    memset(out, 0, sizeof *out);
    memcpy(out->commit, commit.ptr, 40);
    memcpy(out->etag, etag.ptr, etag.len);
    uint64_t whole = 0, part = 0, unit = 1;
    size_t   dot = snug_index(when, '.');
    if (!snug_parse_u64(snug_sub(when, 0, dot), &whole)) return false;
    for (size_t i = dot == SIZE_MAX ? when.len : dot + 1; i < when.len; i++) {
        if (when.ptr[i] < '0' || when.ptr[i] > '9') return false;
        if (unit >= 1000000000) continue; /* finer than any file system keeps */
        part = 10 * part + (uint64_t)(when.ptr[i] - '0');
        unit *= 10;
    }
    out->time = (double)whole + (double)part / (double)unit;
    return true;
}

snug_status remote_local_prepare(const char *local_dir, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        leaf[REMOTE_NAME_MAX + 1];
    int         dir = -1, fd = -1;
    if (mkdir(local_dir, 0777) != 0 && errno != EEXIST) SNUG_TRY(snug_mkdirs(local_dir, 0777, err));
    SNUG_TRY(remote_open_parent(local_dir, SNUG_LIT(".cache/huggingface/.gitignore"), true, &dir,
                                leaf, err));
    fd = openat(dir, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd >= 0) SNUG_TRY(snug_write_all(fd, "*", 1, err));
    char *tag = NULL;
    if (asprintf(&tag, "%s/.cache/huggingface", local_dir) >= 0) remote_cache_tag(tag);
    free(tag);
done:
    if (fd >= 0) (void)close(fd);
    if (dir >= 0) (void)close(dir);
    return st;
}

/* "a.txt" -> "a.txt.metadata" and "a.txt.lock"; a partial file is named by hashes alone, since the
 * leaf may already be as long as a name can be. */
static snug_status begin_place(place *p, const char *local_dir, const remote_file *f,
                               const atomic_bool *stop, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    char        leaf[REMOTE_NAME_MAX + 1], hex[41];
    *p = (place){.notes = -1, .target = -1, .lock = -1};
    const char *notes = snug_arena_printf(a, "%s/%s", local_dir, notes_dir).ptr;
    SNUG_TRY(remote_open_parent(local_dir, f->path, true, &p->target, p->leaf, err));
    SNUG_TRY(remote_open_parent(notes, f->path, true, &p->notes, leaf, err));
    snug_sha1 h = snug_sha1_of(f->path);
    snug_hex(h.b, sizeof h.b, hex);
    bool        fits = strlen(leaf) + 9 <= REMOTE_NAME_MAX;
    const char *stem = fits ? leaf : hex;
    (void)snprintf(p->note, sizeof p->note, "%.*s.metadata", REMOTE_NAME_MAX - 9, stem);
    (void)snprintf(p->lock_name, sizeof p->lock_name, "%.*s.lock", REMOTE_NAME_MAX - 9, stem);
    (void)snprintf(p->part, sizeof p->part, "%.16s.%.*s.incomplete", hex, SNUG_SLICE(f->etag));
    SNUG_TRY(remote_lock_file(p->notes, p->lock_name, stop, &p->lock, err));
done:
    snug_arena_free(a);
    return st;
}

static void end_place(place *p)
{
    if (p->lock >= 0) (void)close(p->lock); /* lets go */
    if (p->notes >= 0) (void)close(p->notes);
    if (p->target >= 0) (void)close(p->target);
}

static bool read_note(const place *p, remote_note *n)
{
    char    text[NOTE_MAX];
    int     fd = openat(p->notes, p->note, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0) (void)close(fd);
    return got > 0 && remote_note_parse(snug_slice_of(text, (size_t)got), n);
}

static snug_status write_note(const place *p, const char *commit, snug_slice etag, snug_err *err)
{
    char    text[NOTE_MAX], tmp[40];
    int64_t now = snug_now_ms();
    int n = snprintf(text, sizeof text, "%s\n%.*s\n%" PRId64 ".%03d\n", commit, SNUG_SLICE(etag),
                     now / 1000, (int)(now % 1000));
    (void)snprintf(tmp, sizeof tmp, ".note.%016" PRIx64, snug_random_u64());
    int fd = openat(p->notes, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return remote_fail_file(err, errno, "write the notes of", p->leaf);
    snug_status st = snug_write_all(fd, text, (size_t)n, err);
    (void)close(fd);
    if (st == SNUG_OK && renameat(p->notes, tmp, p->notes, p->note) != 0)
        st = remote_fail_file(err, errno, "write the notes of", p->leaf);
    if (st != SNUG_OK) (void)unlinkat(p->notes, tmp, 0);
    return st;
}

/* True when the file in place is already what we want: by our notes when it was not touched since,
 * otherwise by its hash. */
static snug_status is_current(const place *p, const remote_file *f, const atomic_bool *stop,
                              bool *yes, snug_err *err)
{
    struct stat sb;
    remote_note note;
    snug_status st = SNUG_OK;
    *yes = false;
    int fd = openat(p->target, p->leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return SNUG_OK;
    if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && (uint64_t)sb.st_size == f->size) {
        double changed = (double)sb.st_mtim.tv_sec + (double)sb.st_mtim.tv_nsec / 1e9;
        if (read_note(p, &note) && changed - 1 <= note.time)
            *yes = snug_eq_str(f->etag, note.etag);
        else
            st = remote_verify_fd(fd, f->etag, f->size, stop, yes, err);
        if (*yes && f->etag.len != 40 && f->etag.len != 64 && !snug_eq_str(f->etag, note.etag))
            *yes = false;
    }
    (void)close(fd);
    return st;
}

static snug_status copy_fd(int from, int to, uint64_t size, const char *label, snug_err *err)
{
    off_t in = 0, out = 0;
    while ((uint64_t)in < size) {
        ssize_t n = copy_file_range(from, &in, to, &out, COPY_CHUNK, 0);
        if (n > 0) continue;
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            break;
        return n == 0 ? SNUG_OK
                      : remote_fail_file(err, errno, "copy", label); /* short: verified later */
    }
    snug_status st = SNUG_OK;
    char       *buf = (uint64_t)in < size ? snug_alloc(COPY_CHUNK) : NULL;
    while (st == SNUG_OK && (uint64_t)in < size) {
        ssize_t n = pread(from, buf, COPY_CHUNK, in);
        if (n <= 0) break;
        if (pwrite(to, buf, (size_t)n, in) != n) st = remote_fail_file(err, errno, "copy", label);
        in += n;
    }
    free(buf);
    return st;
}

/* What the cache already holds is copied, verified like anything else. */
static snug_status copy_from_cache(const place *p, const remote_file *f, const char *cache_folder,
                                   const atomic_bool *stop, bool *done, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *blob = NULL;
    int         from = -1, to = -1;
    *done = false;
    if (asprintf(&blob, "%s/blobs/%.*s", cache_folder, SNUG_SLICE(f->etag)) < 0) return SNUG_OK;
    from = open(blob, O_RDONLY | O_CLOEXEC);
    if (from < 0) goto done;
    to = openat(p->notes, p->part, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (to < 0) goto done;
    SNUG_TRY(copy_fd(from, to, f->size, p->leaf, err));
    SNUG_TRY(remote_verify_fd(to, f->etag, f->size, stop, done, err));
    if (!*done) (void)unlinkat(p->notes, p->part, 0);
done:
    if (from >= 0) (void)close(from);
    if (to >= 0) (void)close(to);
    free(blob);
    return st;
}

snug_status remote_local_place(remote *r, remote_crew *c, const remote_download *d,
                               const remote_plan *p, const remote_file *f, const char *cache_folder,
                               remote_xget *store, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    place       at = {.notes = -1, .target = -1, .lock = -1};
    bool        have = false;
    if (snug_starts_with(f->path, ".cache/huggingface/")) {
        SNUG_FAIL(err, SNUG_EPAYLOAD, "%.*s is refused: downloads keep their own notes there",
                  SNUG_SLICE(f->path));
    }
    SNUG_TRY(begin_place(&at, d->local_dir, f, &c->stop, err));
    SNUG_TRY(is_current(&at, f, &c->stop, &have, err));
    if (have) {
        atomic_fetch_add(&c->done, f->size);
        SNUG_TRY(write_note(&at, p->commit, f->etag, err));
        goto done;
    }
    SNUG_TRY(copy_from_cache(&at, f, cache_folder, &c->stop, &have, err));
    if (have) {
        atomic_fetch_add(&c->done, f->size);
    } else {
        const char *rest =
            snug_arena_printf(a, "/resolve/%s/%s", p->commit, remote_encode(a, f->path, true)).ptr;
        remote_fetch get = {.r = r,
                            .url = remote_web_url(r, a, &d->repo, rest),
                            .label = snug_arena_cstr(a, f->path),
                            .etag = f->etag,
                            .size = f->size,
                            .dir = at.notes,
                            .name = at.part,
                            .segments = d->segments,
                            .xet = f->xet,
                            .store = store};
        SNUG_TRY(remote_fetch_file(c, &get, err));
    }
    if (renameat(at.notes, at.part, at.target, at.leaf) != 0) {
        st = remote_fail_file(err, errno, "put in place", snug_arena_cstr(a, f->path));
        goto done;
    }
    SNUG_TRY(write_note(&at, p->commit, f->etag, err));
done:
    end_place(&at);
    snug_arena_free(a);
    return st;
}
