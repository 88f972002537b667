/* SPDX-License-Identifier: Apache-2.0 */
/* blob/part.c - multipart upload sessions that outlive a restart.
 *
 *      <dir>/tmp/mp-<token>/data      the object, parts at their offsets
 *      <dir>/tmp/mp-<token>/journal   one line per event, appended after the bytes are on the disk:
 *                                       "- <part>\n"                          a part is being
 * written
 *                                       "+ <part> <off> <size> <sha256>\n"    a part is complete
 *
 * The last line of a part counts, so a part that was cut while being sent again is missing, and
 * not silently half new. The parts must tile the object; the whole is hashed once, at the end.
 * Writers of parts hold a shared flock on the journal, finishing and sweeping an exclusive one.
 *
 * For:     fs.c's driver table.
 * Owns:    the session folders.
 * Threads: any; parts of one session may arrive at the same time.
 * Truth:   a "+" line is written only after fdatasync of its bytes. */
#include "blob/blob_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARTS_MAX = 100000, JOURNAL_MAX = 32 << 20, PULL_BYTES = 256 << 10 };

typedef struct session {
    fs_store *s;
    char      dir[BLOB_PATH_MAX], data_path[BLOB_PATH_MAX], journal_path[BLOB_PATH_MAX];
    int       data, journal; /* -1: not open */
} session;

typedef struct piece {
    uint64_t off, size;
    bool     there;
} piece;

static void close_session(session *m)
{
    if (m->data >= 0) (void)close(m->data);
    if (m->journal >= 0) (void)close(m->journal);
    m->data = m->journal = -1;
}

static snug_status name_session(session *m, blob_store *s, snug_slice token, snug_err *err)
{
    snug_status st = SNUG_OK;
    m->s = (fs_store *)s;
    m->data = m->journal = -1;
    SNUG_TRY(fs_path(m->s, m->dir, err, "tmp/mp-%.*s", SNUG_SLICE(token)));
    SNUG_TRY(fs_path(m->s, m->data_path, err, "tmp/mp-%.*s/data", SNUG_SLICE(token)));
    SNUG_TRY(fs_path(m->s, m->journal_path, err, "tmp/mp-%.*s/journal", SNUG_SLICE(token)));
done:
    return st;
}

static void remove_session(const session *m)
{
    (void)unlink(m->data_path);
    (void)unlink(m->journal_path); /* last file: a journal alone means "finished, clean up" */
    (void)rmdir(m->dir);
}

/* Opens for a part, making the session when this is its first. */
static snug_status open_for_part(session *m, snug_err *err)
{
    struct stat sb;
    if (mkdir(m->dir, 0755) != 0 && errno != EEXIST)
        return snug_fail_sys(err, errno, "mkdir %s", m->dir);
    m->journal = open(m->journal_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (m->journal < 0) return snug_fail_sys(err, errno, "open %s", m->journal_path);
    if (flock(m->journal, LOCK_SH | LOCK_NB) != 0)
        return snug_fail(err, SNUG_EBUSY, "this upload is being completed");
    if (fstat(m->journal, &sb) != 0 || sb.st_nlink == 0)
        return snug_fail(err, SNUG_EBUSY, "this upload was just completed or swept; try again");
    m->data = open(m->data_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (m->data < 0) return snug_fail_sys(err, errno, "open %s", m->data_path);
    return SNUG_OK;
}

static snug_status append_line(session *m, snug_err *err, const char *fmt, ...) SNUG_PRINTF(3, 4);
static snug_status append_line(session *m, snug_err *err, const char *fmt, ...)
{
    char    line[160];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    SNUG_ASSERT(n > 0 && (size_t)n < sizeof line);
    /* One write in append mode: lines of different threads do not mix. */
    snug_status st = snug_write_all(m->journal, line, (size_t)n, err);
    if (st == SNUG_OK && fdatasync(m->journal) != 0)
        st = snug_fail_sys(err, errno, "fdatasync %s", m->journal_path);
    return st;
}

static snug_status receive(session *m, uint64_t off, blob_pull *pull, void *arg, unsigned part,
                           uint64_t size, snug_sha256 *etag, snug_err *err)
{
    snug_status    st = SNUG_OK;
    sink          *k = sink_new(m->s->pool, m->data, off);
    unsigned char *buf = snug_alloc(PULL_BYTES);
    size_t         got = 0;

    while (sink_size(k) < size) {
        uint64_t left = size - sink_size(k);
        SNUG_TRY(pull(arg, buf, left < PULL_BYTES ? (size_t)left : PULL_BYTES, &got, err));
        if (got == 0)
            SNUG_FAIL(err, SNUG_ECORRUPT, "part %u ended after %" PRIu64 " of %" PRIu64 " bytes",
                      part, sink_size(k), size);
        SNUG_TRY(sink_write(k, buf, got, err));
    }
    SNUG_TRY(pull(arg, buf, 1, &got, err));
    if (got != 0)
        SNUG_FAIL(err, SNUG_ECORRUPT, "part %u is longer than %" PRIu64 " bytes", part, size);
    SNUG_TRY(sink_finish(k, etag, err));
    if (SNUG_FAULT("blob.fsync")) SNUG_TRY(snug_fail_sys(err, errno, "blob.fsync"));
    if (fdatasync(m->data) != 0) SNUG_TRY(snug_fail_sys(err, errno, "fdatasync %s", m->data_path));
done:
    sink_free(k);
    free(buf);
    return st;
}

snug_status fs_part_put(blob_store *s, snug_slice token, unsigned part, uint64_t off,
                        blob_pull *pull, void *arg, uint64_t size, snug_sha256 *etag, snug_err *err)
{
    snug_status st = SNUG_OK;
    session    *m = snug_zalloc(sizeof *m); /* three paths: too much for a worker's stack */
    char        hex[65];

    m->data = m->journal = -1;
    if (part > PARTS_MAX) SNUG_FAIL(err, SNUG_ELIMIT, "more than %d parts", (int)PARTS_MAX);
    SNUG_TRY(name_session(m, s, token, err));
    SNUG_TRY(open_for_part(m, err));
    SNUG_TRY(append_line(m, err, "- %u\n", part));
    SNUG_TRY(receive(m, off, pull, arg, part, size, etag, err));
    snug_hex(etag->b, sizeof etag->b, hex);
    SNUG_TRY(append_line(m, err, "+ %u %" PRIu64 " %" PRIu64 " %s\n", part, off, size, hex));
    SNUG_TRY(snug_fsync_dir(m->dir, err));
done:
    close_session(m);
    free(m);
    return st;
}

/* ---- finishing ---- */

/* One journal line into the table; a torn last line is no line. False: not ours. */
static bool read_line(snug_slice line, piece *pieces)
{
    snug_slice word;
    uint64_t   part, off = 0, size = 0;
    if (!snug_split(&line, ' ', &word) || word.len != 1) return false;
    bool there = word.ptr[0] == '+';
    if (!there && word.ptr[0] != '-') return false;
    if (!snug_split(&line, ' ', &word) || !snug_parse_u64(word, &part)) return false;
    if (part == 0 || part > PARTS_MAX) return false;
    if (there) {
        if (!snug_split(&line, ' ', &word) || !snug_parse_u64(word, &off)) return false;
        if (!snug_split(&line, ' ', &word) || !snug_parse_u64(word, &size)) return false;
        if (line.len != 64) return false;
    }
    pieces[part] = (piece){off, size, there};
    return true;
}

static snug_status read_journal(const session *m, snug_arena *a, piece *pieces, snug_err *err)
{
    snug_slice  text, line;
    snug_status st = snug_read_file(a, m->journal_path, JOURNAL_MAX, &text, err);
    if (st != SNUG_OK) return st;
    size_t end = snug_rindex(text, '\n'); /* what follows was cut by a crash */
    text.len = end == SIZE_MAX ? 0 : end;
    while (text.len > 0 && snug_split(&text, '\n', &line)) (void)read_line(line, pieces);
    return SNUG_OK;
}

/* Parts 1, 2, ... follow each other without a gap and end at `size`. */
static snug_status check_tiling(const piece *pieces, uint64_t size, snug_err *err)
{
    uint64_t at = 0;
    for (unsigned part = 1; at < size; part++) {
        if (part > PARTS_MAX || !pieces[part].there)
            return snug_fail(err, SNUG_EINVAL, "part %u is missing", part);
        if (pieces[part].off != at || pieces[part].size > size - at)
            return snug_fail(err, SNUG_EINVAL, "part %u does not follow the one before", part);
        at += pieces[part].size;
    }
    return SNUG_OK;
}

static snug_status assemble(session *m, const blob_id *expect, uint64_t size, bool *damaged,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    got_size = 0;
    blob_id     got;
    char        hex[65];

    SNUG_TRY(fs_hash_fd(m->data, &got.sha256, &got_size, err));
    if (got_size != size || !blob_id_eq(&got, expect)) {
        *damaged = true;
        blob_id_hex(expect, hex);
        SNUG_FAIL(err, SNUG_ECORRUPT, "the assembled parts are not the object %s", hex);
    }
    if (fchmod(m->data, 0444) != 0) SNUG_TRY(snug_fail_sys(err, errno, "chmod %s", m->data_path));
    if (SNUG_FAULT("blob.fsync")) SNUG_TRY(snug_fail_sys(err, errno, "blob.fsync"));
    if (fsync(m->data) != 0) SNUG_TRY(snug_fail_sys(err, errno, "fsync %s", m->data_path));
    SNUG_TRY(fs_name_blob(m->s, m->data_path, expect, err));
    snug_metric_add(SNUG_M_BLOBS_WRITTEN, 1);
    snug_metric_add(SNUG_M_BLOB_BYTES_WRITTEN, (int64_t)size);
done:
    return st;
}

static snug_status open_to_finish(session *m, snug_err *err)
{
    m->journal = open(m->journal_path, O_RDWR | O_CLOEXEC);
    if (m->journal < 0 && errno == ENOENT)
        return snug_fail(err, SNUG_ENOTFOUND, "no such upload; start again");
    if (m->journal < 0) return snug_fail_sys(err, errno, "open %s", m->journal_path);
    if (flock(m->journal, LOCK_EX | LOCK_NB) != 0)
        return snug_fail(err, SNUG_EBUSY,
                         "a part of this upload is still being written; try again");
    m->data = open(m->data_path, O_RDWR | O_CLOEXEC);
    if (m->data < 0 && errno == ENOENT)
        return snug_fail(err, SNUG_ENOTFOUND, "no such upload; start again");
    if (m->data < 0) return snug_fail_sys(err, errno, "open %s", m->data_path);
    return SNUG_OK;
}

snug_status fs_part_finish(blob_store *s, snug_slice token, const blob_id *expect, uint64_t size,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    session    *m = snug_zalloc(sizeof *m);
    snug_arena *a = snug_arena_new();
    piece      *pieces = snug_arena_array_try(a, PARTS_MAX + 1, sizeof *pieces);
    uint64_t    stored;
    bool        damaged = false;

    m->data = m->journal = -1;
    if (pieces == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(name_session(m, s, token, err));
    st = open_to_finish(m, err);
    if (st == SNUG_ENOTFOUND && blob_exists(s, expect, &stored) && stored == size) {
        st = SNUG_OK; /* said twice, or a crash came between the rename and the clean-up */
        remove_session(m);
        goto done;
    }
    if (st != SNUG_OK) goto done;
    SNUG_TRY(read_journal(m, a, pieces, err));
    SNUG_TRY(check_tiling(pieces, size, err));
    /* A longer object that was begun under this token leaves a tail behind. */
    if (ftruncate(m->data, (off_t)size) != 0)
        SNUG_TRY(snug_fail_sys(err, errno, "ftruncate %s", m->data_path));
    SNUG_TRY(assemble(m, expect, size, &damaged, err));
    remove_session(m);
done:
    if (damaged) {
        snug_metric_add(SNUG_M_BLOBS_REJECTED, 1);
        remove_session(m);
    }
    close_session(m);
    free(m);
    snug_arena_free(a);
    return st;
}

void fs_part_drop(blob_store *s, snug_slice token)
{
    session *m = snug_zalloc(sizeof *m);
    if (name_session(m, s, token, NULL) == SNUG_OK) remove_session(m);
    free(m);
}

bool fs_part_sweep(fs_store *s, const char *name, uint64_t age_ms, bool dry, uint64_t *bytes)
{
    session    *m = snug_zalloc(sizeof *m);
    struct stat sb;
    bool        removed = false;

    if (name_session(m, &s->base, snug_str(name + 3), NULL) != SNUG_OK) goto done;
    m->journal = open(m->journal_path, O_RDWR | O_CLOEXEC);
    bool held = m->journal >= 0 && flock(m->journal, LOCK_EX | LOCK_NB) != 0;
    /* The journal's time is that of the last part; a folder without one is a crash in mkdir. */
    if (held || (m->journal >= 0 ? fstat(m->journal, &sb) : stat(m->dir, &sb)) != 0) goto done;
    int64_t age = snug_now_ms() - (int64_t)sb.st_mtim.tv_sec * 1000;
    if (age >= 0 && (uint64_t)age < age_ms) goto done;
    if (stat(m->data_path, &sb) == 0)
        *bytes += (uint64_t)sb.st_blocks * 512; /* parts leave holes */
    if (!dry) remove_session(m);
    removed = true;
done:
    close_session(m);
    free(m);
    return removed;
}
