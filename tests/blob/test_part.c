/* SPDX-License-Identifier: Apache-2.0 */
/* tests/blob/test_part.c - multipart sessions: any order, repeats, restarts, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/blob.h"

#define TOKEN SNUG_LIT("abcdefghijklmnop0123")

enum { CHUNK = (1 << 20) + 4096 + 3, SIZE = 3 * CHUNK + 777 }; /* neither page nor buffer sized */

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

typedef struct fixture {
    char           dir[64];
    blob_store    *s;
    unsigned char *p;
    blob_id        id;
} fixture;

typedef struct source {
    const unsigned char *p;
    size_t               n, piece;
    snug_status          cut; /* given instead of the end */
} source;

static snug_status pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    source *s = arg;
    *got = n < s->n ? n : s->n;
    if (s->piece != 0 && *got > s->piece) *got = s->piece;
    if (*got == 0 && s->cut != SNUG_OK) return snug_fail(err, s->cut, "client gone");
    memcpy(p, s->p, *got);
    s->p += *got;
    s->n -= *got;
    return SNUG_OK;
}

static int setup(void **state)
{
    fixture *f = snug_zalloc(sizeof *f);
    snug_err err = {0};
    strncpy(f->dir, "/tmp/snug-test-part-XXXXXX", sizeof f->dir - 1);
    assert_non_null(mkdtemp(f->dir));
    must(blob_open_fs(f->dir, &f->s, &err), &err);
    f->p = snug_alloc(SIZE);
    snug_random(f->p, SIZE);
    f->id.sha256 = snug_sha256_of(snug_slice_of(f->p, SIZE));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    snug_faults_setup(NULL);
    blob_close(f->s);
    assert_int_equal(snug_remove_tree(f->dir, NULL), SNUG_OK);
    free(f->p);
    free(f);
    return 0;
}

static size_t part_size(unsigned part) { return part < 4 ? CHUNK : SIZE - 3 * CHUNK; }

static snug_status send(fixture *f, unsigned part, const unsigned char *p, size_t n, snug_err *err)
{
    snug_sha256 etag;
    source      src = {p, n, 70001, SNUG_OK};
    return blob_part_put(f->s, TOKEN, part, (uint64_t)(part - 1) * CHUNK, pull, &src,
                         part_size(part), &etag, err);
}

static void send_part(fixture *f, unsigned part)
{
    snug_err err = {0};
    must(send(f, part, f->p + (size_t)(part - 1) * CHUNK, part_size(part), &err), &err);
}

static bool session_exists(const fixture *f)
{
    char path[256];
    snprintf(path, sizeof path, "%s/tmp/mp-abcdefghijklmnop0123", f->dir);
    return access(path, F_OK) == 0;
}

static void reopen(fixture *f)
{
    snug_err err = {0};
    blob_close(f->s);
    must(blob_open_fs(f->dir, &f->s, &err), &err);
}

static void parts_in_any_order_and_repeated(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    snug_sha256 etag, want = snug_sha256_of(snug_slice_of(f->p + CHUNK, CHUNK));
    source      src = {f->p + CHUNK, CHUNK, 0, SNUG_OK};

    send_part(f, 4);
    must(blob_part_put(f->s, TOKEN, 2, CHUNK, pull, &src, CHUNK, &etag, &err), &err);
    assert_memory_equal(&etag, &want, sizeof etag);
    send_part(f, 1);
    send_part(f, 2);
    send_part(f, 3);
    must(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), &err);
    must(blob_verify(f->s, &f->id, &err), &err);
    assert_false(session_exists(f));
    must(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), &err); /* said twice */
}

typedef struct job {
    fixture *f;
    unsigned part;
} job;

static void run_job(void *arg)
{
    job *j = arg;
    send_part(j->f, j->part);
}

static void parts_at_the_same_time(void **state)
{
    fixture     *f = *state;
    snug_err     err = {0};
    job          jobs[4];
    snug_thread *t[4];
    for (unsigned i = 0; i < 4; i++) {
        jobs[i] = (job){f, 4 - i};
        t[i] = snug_thread_start("part", 0, run_job, &jobs[i]);
    }
    for (unsigned i = 0; i < 4; i++) snug_thread_join(t[i]);
    must(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), &err);
}

static void a_restart_continues(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    send_part(f, 1);
    send_part(f, 3);
    reopen(f);
    assert_true(session_exists(f));
    assert_int_equal(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "part 2 is missing");
    send_part(f, 2);
    send_part(f, 4);
    must(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), &err);
    must(blob_verify(f->s, &f->id, &err), &err);
}

static void a_part_cut_while_sent_again_counts_as_missing(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    snug_sha256 etag;
    source      cut = {f->p, 5000, 0, SNUG_ECANCELED};
    for (unsigned i = 1; i <= 4; i++) send_part(f, i);
    assert_int_equal(blob_part_put(f->s, TOKEN, 2, CHUNK, pull, &cut, CHUNK, &etag, &err),
                     SNUG_ECANCELED);
    assert_int_equal(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "part 2 is missing");
    send_part(f, 2);
    must(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), &err);
}

static void short_and_long_parts_are_refused(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    assert_int_equal(send(f, 1, f->p, CHUNK - 1, &err), SNUG_ECORRUPT);
    assert_int_equal(send(f, 1, f->p, CHUNK + 1, &err), SNUG_ECORRUPT);
    assert_int_equal(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), SNUG_EINVAL);
}

static void a_wrong_whole_is_dropped(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    for (unsigned i = 1; i <= 3; i++) send_part(f, i);
    f->p[SIZE - 1] ^= 1;
    send_part(f, 4);
    f->p[SIZE - 1] ^= 1;
    assert_int_equal(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), SNUG_ECORRUPT);
    assert_false(blob_exists(f->s, &f->id, NULL));
    assert_false(session_exists(f));
    assert_int_equal(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), SNUG_ENOTFOUND);
}

static void gaps_and_tails_are_seen(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    snug_sha256 etag;
    source      src = {f->p, 100, 0, SNUG_OK};
    must(blob_part_put(f->s, TOKEN, 1, 0, pull, &src, 100, &etag, &err), &err);
    src = (source){f->p + 200, 100, 0, SNUG_OK};
    must(blob_part_put(f->s, TOKEN, 2, 200, pull, &src, 100, &etag, &err), &err);
    blob_id id = {snug_sha256_of(snug_slice_of(f->p, 100))};
    assert_int_equal(blob_part_finish(f->s, TOKEN, &id, 300, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "part 2 does not follow the one before");
    must(blob_part_finish(f->s, TOKEN, &id, 100, &err), &err); /* the tail is cut off */
    must(blob_verify(f->s, &id, &err), &err);
}

static void bad_tokens_and_numbers_are_refused(void **state)
{
    fixture           *f = *state;
    snug_err           err = {0};
    snug_sha256        etag;
    source             src = {f->p, 10, 0, SNUG_OK};
    static const char *bad[] = {"", "short", "../../../../etc/passwd", "ABCDEFGHIJKLMNOPQR",
                                "abcdefghijklmnop/1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(blob_part_put(f->s, snug_str(bad[i]), 1, 0, pull, &src, 10, &etag, &err),
                         SNUG_EINVAL);
        assert_int_equal(blob_part_finish(f->s, snug_str(bad[i]), &f->id, 10, &err), SNUG_EINVAL);
    }
    assert_int_equal(blob_part_put(f->s, TOKEN, 0, 0, pull, &src, 10, &etag, &err), SNUG_EINVAL);
    assert_int_equal(blob_part_put(f->s, TOKEN, 1, UINT64_MAX, pull, &src, 10, &etag, &err),
                     SNUG_EINVAL);
    assert_int_equal(blob_part_put(f->s, TOKEN, 2000000, 0, pull, &src, 10, &etag, &err),
                     SNUG_ELIMIT);
    assert_false(session_exists(f));
}

static void sweep_takes_old_sessions_only(void **state)
{
    fixture *f = *state;
    send_part(f, 1);
    assert_int_equal(blob_sweep_tmp(f->s, 3600000, false, NULL), 0);
    assert_true(session_exists(f));
    assert_int_equal(blob_sweep_tmp(f->s, 0, false, NULL), 1);
    assert_false(session_exists(f));
    send_part(f, 1);
    blob_part_drop(f->s, TOKEN);
    assert_false(session_exists(f));
}

static void a_death_while_finishing_can_be_repeated(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* a fork of a process with threads: not under this sanitizer */
#endif
    fixture           *f = *state;
    static const char *points[] = {"blob.fsync=kill@1", "blob.rename=kill@1",
                                   "blob.dirsync=kill@3"};
    snug_err           err = {0};
    for (unsigned i = 1; i <= 4; i++) send_part(f, i);
    for (size_t i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            blob_store *mine;
            snug_faults_setup(points[i]);
            if (blob_open_fs(f->dir, &mine, NULL) == SNUG_OK)
                (void)!blob_part_finish(mine, TOKEN, &f->id, SIZE, NULL);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0)
            fail_msg("%s was not reached", points[i]);
        assert_int_equal(blob_exists(f->s, &f->id, NULL), i == 2);
    }
    must(blob_part_finish(f->s, TOKEN, &f->id, SIZE, &err), &err);
    must(blob_verify(f->s, &f->id, &err), &err);
    assert_false(session_exists(f));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(parts_in_any_order_and_repeated),
        T(parts_at_the_same_time),
        T(a_restart_continues),
        T(a_part_cut_while_sent_again_counts_as_missing),
        T(short_and_long_parts_are_refused),
        T(a_wrong_whole_is_dropped),
        T(gaps_and_tails_are_seen),
        T(bad_tokens_and_numbers_are_refused),
        T(sweep_takes_old_sessions_only),
        T(a_death_while_finishing_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
