/* SPDX-License-Identifier: Apache-2.0 */
/* tests/blob/test_fs.c - the promises of blob.h on a real folder: verified, durable, all or
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/blob.h"

static const char hello_hex[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

typedef struct fixture {
    char        dir[64];
    blob_store *s;
} fixture;

static int setup(void **state)
{
    fixture *f = snug_zalloc(sizeof *f);
    snug_err err = {0};
    strncpy(f->dir, "/tmp/snug-test-blob-XXXXXX", sizeof f->dir - 1);
    assert_non_null(mkdtemp(f->dir));
    must(blob_open_fs(f->dir, &f->s, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    snug_faults_setup(NULL);
    blob_close(f->s);
    assert_int_equal(snug_remove_tree(f->dir, NULL), SNUG_OK);
    free(f);
    return 0;
}

static snug_status put(blob_store *s, const void *p, size_t n, const blob_id *expect, uint64_t size,
                       blob_id *out, snug_err *err)
{
    blob_writer *w = NULL;
    snug_status  st = blob_put_begin(s, &w, err);
    if (st != SNUG_OK) return st;
    st = blob_put_write(w, p, n, err);
    if (st != SNUG_OK) {
        blob_put_abort(w);
        return st;
    }
    return blob_put_commit(w, expect, size, out, err);
}

static size_t count_in(const char *dir, const char *sub)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static bool count_one(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms)
{
    (void)id, (void)size, (void)mtime_ms;
    ++*(size_t *)arg;
    return true;
}

static size_t count_blobs(blob_store *s)
{
    size_t   n = 0;
    snug_err err = {0};
    must(blob_each(s, count_one, &n, &err), &err);
    return n;
}

/* n bytes that differ everywhere; the same for the same seed. */
static unsigned char *make_bytes(size_t n, uint64_t seed)
{
    unsigned char *p = snug_alloc(n);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (unsigned char)(seed >> 56);
    }
    return p;
}

static blob_id id_of(const void *p, size_t n)
{
    return (blob_id){snug_sha256_of(snug_slice_of(p, n))};
}

static void ids_are_lowercase_hex_only(void **state)
{
    (void)state;
    blob_id id;
    char    hex[65];
    assert_true(blob_id_parse(snug_str(hello_hex), &id));
    blob_id_hex(&id, hex);
    assert_string_equal(hex, hello_hex);
    assert_false(blob_id_parse(
        SNUG_LIT("2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824"), &id));
    assert_false(blob_id_parse(snug_sub(snug_str(hello_hex), 0, 63), &id));
    assert_false(blob_id_parse(SNUG_LIT(""), &id));
    assert_false(blob_id_parse(
        SNUG_LIT("../24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"), &id));
}

static void small_objects_go_in_and_come_out(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    blob_id     id, expect;
    uint64_t    size = 0;
    char        buf[8] = {0}, path[256];
    struct stat sb;

    assert_true(blob_id_parse(snug_str(hello_hex), &expect));
    assert_false(blob_exists(f->s, &expect, NULL));
    must(put(f->s, "hello", 5, &expect, 5, &id, &err), &err);
    assert_true(blob_id_eq(&id, &expect));
    assert_true(blob_exists(f->s, &id, &size));
    assert_int_equal(size, 5);
    must(blob_read_at(f->s, &id, 1, buf, 3, &err), &err);
    assert_memory_equal(buf, "ell", 4);
    assert_int_equal(blob_read_at(f->s, &id, 3, buf, 3, &err), SNUG_ECORRUPT);
    snprintf(path, sizeof path, "%s/blobs/2c/f2/%s", f->dir, hello_hex);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0444);
    assert_int_equal(count_in(f->dir, "tmp"), 0);
    must(blob_remove(f->s, &id, &err), &err);
    must(blob_remove(f->s, &id, &err), &err);
    assert_int_equal(blob_read_at(f->s, &id, 0, buf, 1, &err), SNUG_ENOTFOUND);
    assert_int_equal(blob_open_fd(f->s, &id), -1);
}

static void the_empty_object_is_an_object(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    blob_id  id;
    uint64_t size = 1;
    must(put(f->s, "", 0, NULL, 0, &id, &err), &err);
    assert_true(blob_exists(f->s, &id, &size));
    assert_int_equal(size, 0);
    must(blob_verify(f->s, &id, &err), &err);
}

/* Sizes around every edge of the 1 MiB buffers and the pages, in odd pieces. */
static void every_edge_of_the_buffers_is_right(void **state)
{
    fixture            *f = *state;
    static const size_t sizes[] = {
        1,        4095,           4096,     4097,           (1u << 20) - 1,
        1u << 20, (1u << 20) + 1, 4u << 20, (4u << 20) + 1, (5u << 20) + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snug_err       err = {0};
        unsigned char *p = make_bytes(sizes[i], i);
        blob_id        want = id_of(p, sizes[i]), id;
        blob_writer   *w;
        must(blob_put_begin(f->s, &w, &err), &err);
        for (size_t off = 0, step = 1; off < sizes[i]; off += step) {
            step = step * 7 % 99991 + 1;
            if (step > sizes[i] - off) step = sizes[i] - off;
            must(blob_put_write(w, p + off, step, &err), &err);
        }
        assert_int_equal(blob_put_size(w), sizes[i]);
        must(blob_put_commit(w, &want, sizes[i], &id, &err), &err);
        must(blob_verify(f->s, &id, &err), &err);
        int fd = blob_open_fd(f->s, &id);
        assert_true(fd >= 0);
        assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)sizes[i]);
        close(fd);
        free(p);
    }
    assert_int_equal(count_blobs(f->s), 10);
    assert_int_equal(count_in(f->dir, "tmp"), 0);
}

static void false_promises_leave_nothing(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    blob_id  wrong = {{{0}}}, id;
    int64_t  rejected = snug_metric_get(SNUG_M_BLOBS_REJECTED);

    assert_int_equal(put(f->s, "hello", 5, &wrong, 5, &id, &err), SNUG_ECORRUPT);
    assert_non_null(strstr(err.msg, hello_hex));
    assert_int_equal(put(f->s, "hello", 5, NULL, 6, &id, &err), SNUG_ECORRUPT);
    assert_string_equal(err.msg, "5 bytes arrived instead of 6");
    assert_int_equal(snug_metric_get(SNUG_M_BLOBS_REJECTED), rejected + 2);
    assert_int_equal(count_blobs(f->s), 0);
    assert_int_equal(count_in(f->dir, "tmp"), 0);
}

static void an_aborted_write_leaves_nothing(void **state)
{
    fixture       *f = *state;
    snug_err       err = {0};
    blob_writer   *w;
    unsigned char *p = make_bytes(3u << 20, 9);
    must(blob_put_begin(f->s, &w, &err), &err);
    must(blob_put_write(w, p, 3u << 20, &err), &err);
    assert_int_equal(count_in(f->dir, "tmp"), 1);
    blob_put_abort(w);
    blob_put_abort(NULL);
    assert_int_equal(count_in(f->dir, "tmp"), 0);
    free(p);
}

typedef struct racer {
    blob_store    *s;
    unsigned char *p;
    size_t         n;
    snug_status    st;
} racer;

static void race(void *arg)
{
    racer *r = arg;
    for (int i = 0; i < 10; i++) {
        blob_id id;
        r->st = put(r->s, r->p, r->n, NULL, r->n, &id, NULL);
        if (r->st != SNUG_OK) return;
    }
}

static void writers_of_one_object_race_and_all_win(void **state)
{
    fixture       *f = *state;
    size_t         n = (2u << 20) + 17;
    unsigned char *p = make_bytes(n, 4);
    racer          r[6];
    snug_thread   *t[6];
    snug_err       err = {0};
    for (int i = 0; i < 6; i++) {
        r[i] = (racer){f->s, p, n, SNUG_EINTERNAL};
        t[i] = snug_thread_start("racer", 0, race, &r[i]);
    }
    for (int i = 0; i < 6; i++) snug_thread_join(t[i]);
    for (int i = 0; i < 6; i++) assert_int_equal(r[i].st, SNUG_OK);
    blob_id id = id_of(p, n);
    must(blob_verify(f->s, &id, &err), &err);
    assert_int_equal(count_blobs(f->s), 1);
    assert_int_equal(count_in(f->dir, "tmp"), 0);
    free(p);
}

static void verify_finds_a_flipped_bit_and_a_new_copy_heals(void **state)
{
    fixture       *f = *state;
    snug_err       err = {0};
    size_t         n = (1u << 20) + 5;
    unsigned char *p = make_bytes(n, 5);
    blob_id        id;
    char           hex[65], path[256];

    must(put(f->s, p, n, NULL, n, &id, &err), &err);
    must(blob_verify(f->s, &id, &err), &err);
    blob_id_hex(&id, hex);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%.2s/%s", f->dir, hex, hex + 2, hex);
    assert_int_equal(chmod(path, 0644), 0);
    int           fd = open(path, O_RDWR);
    unsigned char bit = p[n - 2] ^ 1;
    assert_int_equal(pwrite(fd, &bit, 1, (off_t)n - 2), 1);
    close(fd);
    assert_int_equal(blob_verify(f->s, &id, &err), SNUG_ECORRUPT);
    must(put(f->s, p, n, &id, n, NULL, &err), &err);
    must(blob_verify(f->s, &id, &err), &err);
    free(p);
}

static void foreign_files_are_no_blobs(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    char     path[256];
    blob_id  id;
    must(put(f->s, "hello", 5, NULL, 5, &id, &err), &err);
    snprintf(path, sizeof path, "%s/blobs/2c/f2/README", f->dir);
    must(snug_write_file_atomic(path, SNUG_LIT("x"), 0644, &err), &err);
    assert_int_equal(count_blobs(f->s), 1);
}

static void each_failing_call_is_reported_and_leaves_nothing(void **state)
{
    fixture           *f = *state;
    static const char *points[] = {"blob.write=fail@1", "blob.fsync=fail@1", "blob.rename=fail@1",
                                   "blob.dirsync=fail@1"};
    for (size_t i = 0; i < 4; i++) {
        unsigned char *p = make_bytes(3u << 20, 60 + i); /* a folder not seen before */
        snug_err       err = {0};
        blob_id        id;
        snug_faults_setup(points[i]);
        assert_int_equal(put(f->s, p, 3u << 20, NULL, UINT64_MAX, &id, &err), SNUG_EIO);
        assert_string_equal(err.msg, "internal error");
        snug_faults_setup(NULL);
        assert_int_equal(count_blobs(f->s), 0);
        assert_int_equal(count_in(f->dir, "tmp"), 0);
        free(p);
    }
}

/* A child is killed at each step; afterwards the object is whole or absent, never anything else. */
static void a_death_at_any_step_leaves_whole_or_nothing(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* a fork of a process with threads: not under this sanitizer */
#endif
    fixture           *f = *state;
    static const char *points[] = {
        "blob.write=kill@1",   "blob.write=kill@2",   "blob.fsync=kill@1",  "blob.rename=kill@1",
        "blob.dirsync=kill@1", "blob.dirsync=kill@2", "blob.dirsync=kill@3"};
    size_t n = 3u << 20;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        unsigned char *p = make_bytes(n, 100 + i);
        blob_id        id = id_of(p, n);
        snug_err       err = {0};
        pid_t          pid = fork();
        if (pid == 0) {
            blob_store *mine;
            snug_faults_setup(points[i]);
            if (blob_open_fs(f->dir, &mine, NULL) != SNUG_OK) _exit(0);
            (void)!put(mine, p, n, NULL, n, NULL, NULL);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0)
            fail_msg("%s was not reached", points[i]);
        if (blob_exists(f->s, &id, NULL))
            must(blob_verify(f->s, &id, &err), &err);
        else
            assert_true(i < 6); /* only the last point lies behind the rename */
        /* The next start removes what the dead left. */
        blob_store *again;
        must(blob_open_fs(f->dir, &again, &err), &err);
        assert_int_equal(count_in(f->dir, "tmp"), 0);
        must(put(again, p, n, &id, n, NULL, &err), &err);
        blob_close(again);
        free(p);
    }
}

static void another_process_opening_the_folder_leaves_live_writes_alone(void **state)
{
    fixture     *f = *state;
    snug_err     err = {0};
    blob_writer *w;
    blob_store  *other;
    must(blob_put_begin(f->s, &w, &err), &err);
    must(blob_put_write(w, "hello", 5, &err), &err);
    must(blob_open_fs(f->dir, &other, &err), &err);
    assert_int_equal(blob_sweep_tmp(other, 0, false, NULL), 0);
    must(blob_put_commit(w, NULL, 5, NULL, &err), &err);
    blob_close(other);
}

static void sweep_removes_dead_files_by_age(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    char     path[256];
    snprintf(path, sizeof path, "%s/tmp/put-0123456789abcdef", f->dir);
    must(snug_write_file_atomic(path, SNUG_LIT("left over"), 0644, &err), &err);
    assert_int_equal(blob_sweep_tmp(f->s, 3600000, false, NULL), 0);
    assert_int_equal(blob_sweep_tmp(f->s, 0, false, NULL), 1);
    assert_int_equal(count_in(f->dir, "tmp"), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_lowercase_hex_only),
        T(small_objects_go_in_and_come_out),
        T(the_empty_object_is_an_object),
        T(every_edge_of_the_buffers_is_right),
        T(false_promises_leave_nothing),
        T(an_aborted_write_leaves_nothing),
        T(writers_of_one_object_race_and_all_win),
        T(verify_finds_a_flipped_bit_and_a_new_copy_heals),
        T(foreign_files_are_no_blobs),
        T(each_failing_call_is_reported_and_leaves_nothing),
        T(a_death_at_any_step_leaves_whole_or_nothing),
        T(another_process_opening_the_folder_leaves_live_writes_alone),
        T(sweep_removes_dead_files_by_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
