/* SPDX-License-Identifier: Apache-2.0 */
/* tests/sandbox/test_run.c - real children: what goes in and comes out, and what they may not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/sandbox_int.h"

typedef struct io {
    uint64_t in_left, out_count;
    snug_buf out, errors;
    bool     gone, push_fails, pull_fails;
    unsigned gone_after; /* looks */
} io;

static snug_status pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    io *x = arg;
    if (x->pull_fails) return snug_fail(err, SNUG_ECANCELED, "no more of it");
    *got = n < x->in_left ? n : (size_t)x->in_left;
    memset(p, 'x', *got);
    x->in_left -= *got;
    return SNUG_OK;
}

static snug_status push(void *arg, snug_slice bytes, snug_err *err)
{
    io *x = arg;
    if (x->push_fails) return snug_fail(err, SNUG_EIO, "nobody listens");
    x->out_count += bytes.len;
    if (x->out.len + bytes.len <= x->out.max) snug_buf_put_slice(&x->out, bytes);
    return SNUG_OK;
}

static bool gone(void *arg)
{
    io *x = arg;
    return x->gone && x->gone_after-- == 0;
}

static sandbox *box[2]; /* confined if the machine can, and never */

static int up(void **state)
{
    snug_err err = {0};
    (void)state;
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2});
    for (int i = 0; i < 2; i++) assert_int_equal(sandbox_open(&box[i], &err), SNUG_OK);
    box[1]->confined = false;
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) sandbox_close(box[i]);
    return 0;
}

static void io_init(io *x) { *x = (io){.out = snug_buf_init(4096), .errors = snug_buf_init(256)}; }

static void io_deinit(io *x)
{
    snug_buf_deinit(&x->out);
    snug_buf_deinit(&x->errors);
}

static const char *const no_env[] = {"PATH=/usr/bin:/bin", "WHO=snug", NULL};

static snug_status shell(sandbox *s, const char *script, io *x, sandbox_limits limits,
                         sandbox_end *end, snug_err *err)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    sandbox_job job = {.argv = argv,
                       .env = no_env,
                       .limits = limits,
                       .pull = pull,
                       .push = push,
                       .gone = gone,
                       .arg = x,
                       .errors = &x->errors};
    snug_err_clear(err);
    return sandbox_run(s, &job, end, err);
}

static void expect_out(sandbox *s, const char *script, int code, const char *out)
{
    io          x;
    snug_err    err = {0};
    sandbox_end end;
    io_init(&x);
    if (shell(s, script, &x, (sandbox_limits){0}, &end, &err) != SNUG_OK)
        fail_msg("%s: %s (%s)", script, err.msg, err.cause);
    if (end.code != code || !snug_eq_str(snug_buf_slice(&x.out), out))
        fail_msg("%s: code %d signal %d, \"%.*s\", stderr \"%.*s\"", script, end.code, end.signal,
                 SNUG_SLICE(snug_buf_slice(&x.out)), SNUG_SLICE(snug_buf_slice(&x.errors)));
    io_deinit(&x);
}

static void output_code_and_environment(void **state)
{
    (void)state;
    setenv("SNUG_SECRET", "hf_not_for_children", 1);
    for (int i = 0; i < 2; i++) {
        expect_out(box[i], "echo hello; exit 3", 3, "hello\n");
        expect_out(box[i], "echo $WHO $SNUG_SECRET; pwd", 0, "snug\n/\n");
        expect_out(box[i], "umask", 0, "0077\n");
        expect_out(box[i], "true </dev/null; cat; echo end", 0, "end\n");
    }
}

/* Only 0, 1 and 2: everything else of ours stays ours, close-on-exec or not. */
static void no_descriptor_leaks(void **state)
{
    (void)state;
    int fd = open("/etc/hostname", O_RDONLY); /* without O_CLOEXEC, on purpose */
    assert_true(fd >= 0);
    char script[200];
    (void)snprintf(script, sizeof script,
                   "if (: <&%d) 2>/dev/null; then echo leaked; else echo closed; fi", fd);
    for (int i = 0; i < 2; i++) expect_out(box[i], script, 0, "closed\n");
    (void)close(fd);
}

static void a_lot_travels_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        io          x;
        snug_err    err = {0};
        sandbox_end end;
        io_init(&x);
        x.in_left = 30u << 20;
        assert_int_equal(shell(box[i], "cat", &x, (sandbox_limits){0}, &end, &err), SNUG_OK);
        assert_int_equal(end.code, 0);
        assert_int_equal(x.out_count, 30u << 20);
        io_deinit(&x);
    }
}

static void a_child_may_stop_reading(void **state)
{
    (void)state;
    io          x;
    snug_err    err = {0};
    sandbox_end end;
    io_init(&x);
    x.in_left = 30u << 20;
    assert_int_equal(
        shell(box[0], "head -c 10; exec 0<&-; echo; exit 4", &x, (sandbox_limits){0}, &end, &err),
        SNUG_OK);
    assert_int_equal(end.code, 4);
    assert_string_equal(snug_buf_cstr(&x.out), "xxxxxxxxxx\n");
    assert_true(x.in_left > 0);
    io_deinit(&x);
}

static void errors_are_bounded(void **state)
{
    (void)state;
    io          x;
    snug_err    err = {0};
    sandbox_end end;
    io_init(&x);
    assert_int_equal(shell(box[0],
                           "i=0; while [ $i -lt 3000 ]; do echo grumble >&2; i=$((i+1)); done", &x,
                           (sandbox_limits){0}, &end, &err),
                     SNUG_OK);
    assert_int_equal(end.code, 0);
    assert_int_equal(x.errors.len, 256);
    assert_true(snug_starts_with(snug_buf_slice(&x.errors), "grumble\n"));
    io_deinit(&x);
}

/* ---- ends ---- */

static void time_limits_kill_everything(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        io          x;
        snug_err    err = {0};
        sandbox_end end;
        io_init(&x);
        uint64_t from = snug_mono_ms();
        assert_int_equal(shell(box[i], "sleep 100 & sleep 100 & wait", &x,
                               (sandbox_limits){.wall_ms = 300}, &end, &err),
                         SNUG_ETIMEOUT);
        assert_true(snug_mono_ms() - from < 5000);
        assert_int_equal(end.signal, SIGKILL);
        io_deinit(&x);
    }
}

static void processor_time_is_limited(void **state)
{
    (void)state;
    io          x;
    snug_err    err = {0};
    sandbox_end end;
    io_init(&x);
    assert_int_equal(shell(box[1], "while :; do :; done", &x,
                           (sandbox_limits){.cpu_s = 1, .wall_ms = 60000}, &end, &err),
                     SNUG_OK);
    assert_true(end.signal == SIGXCPU || end.signal == SIGKILL);
    io_deinit(&x);
}

static void memory_and_files_are_limited(void **state)
{
    (void)state;
    io          x;
    snug_err    err = {0};
    sandbox_end end;
    char        dir[] = "/tmp/snug-sandbox-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    const char *writes[] = {dir, NULL};
    const char *argv[] = {"/bin/sh", "-c", "head -c 9000000 /dev/zero >big; exit $?", NULL};
    for (int i = 0; i < 2; i++) {
        io_init(&x);
        sandbox_job job = {.argv = argv,
                           .env = no_env,
                           .dir = dir,
                           .writes = writes,
                           .limits = {.file_max = 1 << 20},
                           .errors = &x.errors};
        assert_int_equal(sandbox_run(box[i], &job, &end, &err), SNUG_OK);
        assert_int_not_equal(end.code, 0);
        struct stat sb;
        (void)snprintf(path, sizeof path, "%s/big", dir);
        assert_int_equal(stat(path, &sb), 0);
        assert_int_equal(sb.st_size, 1 << 20);
        io_deinit(&x);
    }
    assert_int_equal(snug_remove_tree(dir, NULL), SNUG_OK);
    io_init(&x);
    x.in_left = 512u << 20;
    assert_int_equal(shell(box[0], "exec tail -c 400000000", &x,
                           (sandbox_limits){.memory_max = 64u << 20}, &end, &err),
                     SNUG_OK);
    assert_int_not_equal(end.code, 0); /* tail could not get its memory */
    assert_int_equal(x.out_count, 0);
    io_deinit(&x);
}

static void nobody_listening_ends_it(void **state)
{
    (void)state;
    snug_err    err = {0};
    sandbox_end end;
    io          x;
    uint64_t    from = snug_mono_ms();
    io_init(&x);
    x.gone = true;
    x.gone_after = 2;
    assert_int_equal(shell(box[0], "sleep 100", &x, (sandbox_limits){0}, &end, &err),
                     SNUG_ECANCELED);
    x.gone = false;
    x.push_fails = true;
    assert_int_equal(shell(box[0], "echo x; sleep 100", &x, (sandbox_limits){0}, &end, &err),
                     SNUG_EIO);
    assert_string_equal(err.msg, "nobody listens");
    x.push_fails = false;
    x.pull_fails = true;
    assert_int_equal(shell(box[0], "cat; sleep 100", &x, (sandbox_limits){0}, &end, &err),
                     SNUG_ECANCELED);
    assert_string_equal(err.msg, "no more of it");
    assert_true(snug_mono_ms() - from < 10000);
    io_deinit(&x);
}

static void what_it_leaves_running_dies(void **state)
{
    (void)state;
    char dir[] = "/tmp/snug-sandbox-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    const char *writes[] = {dir, NULL};
    const char *argv[] = {"/bin/sh", "-c",
                          "(sleep 1; echo alive >late) >/dev/null 2>&1 </dev/null & exit 0", NULL};
    for (int i = 0; i < 2; i++) {
        sandbox_job job = {.argv = argv, .env = no_env, .dir = dir, .writes = writes};
        sandbox_end end;
        snug_err    err = {0};
        assert_int_equal(sandbox_run(box[i], &job, &end, &err), SNUG_OK);
    }
    (void)usleep(1500000);
    (void)snprintf(path, sizeof path, "%s/late", dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(snug_remove_tree(dir, NULL), SNUG_OK);
}

static void a_missing_program_is_named(void **state)
{
    (void)state;
    const char *argv[] = {"/nowhere/at-all", NULL};
    sandbox_job job = {.argv = argv, .env = no_env};
    sandbox_end end;
    snug_err    err = {0};
    assert_int_equal(sandbox_run(box[1], &job, &end, &err), SNUG_EIO);
    assert_non_null(strstr(err.cause, "/nowhere/at-all"));
}

/* ---- walls ---- */

static void the_filter_refuses_the_network(void **state)
{
    (void)state;
    static const char script[] =
        "if command -v perl >/dev/null; then perl -e 'use Socket; print socket(my $s, PF_INET, "
        "SOCK_STREAM, 0) ? \"open\" : \"refused\"'; else printf refused; fi";
    for (int i = 0; i < 2; i++) expect_out(box[i], script, 0, "refused");
}

static void only_named_folders_are_seen(void **state)
{
    (void)state;
    if (!sandbox_is_confined(box[0])) {
        print_message("bubblewrap cannot run here: walls are not tested\n");
        skip();
    }
    char dir[] = "/tmp/snug-sandbox-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/file", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "seen\n", 5), 5);
    (void)close(fd);
    const char *folders[] = {dir, NULL};
    const char *argv[] = {"/bin/sh", "-c",
                          "cat file; echo new 2>/dev/null >new && echo written; "
                          "ls /etc 2>/dev/null | grep passwd; ls / | grep -c home; exit 0",
                          NULL};
    io          x;
    sandbox_end end;
    snug_err    err = {0};
    io_init(&x);
    sandbox_job job = {.argv = argv,
                       .env = no_env,
                       .dir = dir,
                       .reads = folders,
                       .push = push,
                       .arg = &x,
                       .errors = &x.errors};
    assert_int_equal(sandbox_run(box[0], &job, &end, &err), SNUG_OK);
    assert_string_equal(snug_buf_cstr(&x.out), "seen\n0\n");
    snug_buf_clear(&x.out);
    job.reads = NULL;
    job.writes = folders;
    assert_int_equal(sandbox_run(box[0], &job, &end, &err), SNUG_OK);
    assert_string_equal(snug_buf_cstr(&x.out), "seen\nwritten\n0\n");
    io_deinit(&x);
    assert_int_equal(snug_remove_tree(dir, NULL), SNUG_OK);
}

/* ---- many at once ---- */

static void one_of_many(void *arg)
{
    unsigned *bad = arg;
    for (int i = 0; i < 10; i++) {
        io          x;
        snug_err    err = {0};
        sandbox_end end;
        io_init(&x);
        x.in_left = 200000;
        if (shell(box[i & 1], "wc -c", &x, (sandbox_limits){0}, &end, &err) != SNUG_OK ||
            end.code != 0 || !snug_eq_str(snug_buf_slice(&x.out), "200000\n"))
            (*bad)++;
        io_deinit(&x);
    }
}

static void threads_run_children_side_by_side(void **state)
{
    (void)state;
    snug_thread *t[8];
    unsigned     bad[8] = {0};
    for (int i = 0; i < 8; i++) t[i] = snug_thread_start("many", 0, one_of_many, &bad[i]);
    for (int i = 0; i < 8; i++) {
        snug_thread_join(t[i]);
        assert_int_equal(bad[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_code_and_environment),
        cmocka_unit_test(no_descriptor_leaks),
        cmocka_unit_test(a_lot_travels_both_ways),
        cmocka_unit_test(a_child_may_stop_reading),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(time_limits_kill_everything),
        cmocka_unit_test(processor_time_is_limited),
        cmocka_unit_test(memory_and_files_are_limited),
        cmocka_unit_test(nobody_listening_ends_it),
        cmocka_unit_test(what_it_leaves_running_dies),
        cmocka_unit_test(a_missing_program_is_named),
        cmocka_unit_test(the_filter_refuses_the_network),
        cmocka_unit_test(only_named_folders_are_seen),
        cmocka_unit_test(threads_run_children_side_by_side),
    };
    return cmocka_run_group_tests(tests, up, down);
}
