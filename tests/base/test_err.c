/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_err.c - the status tables and the sentences. */
#include <errno.h>

#include "check.h"

static void test_tables(void **state)
{
    (void)state;
    assert_string_equal(snug_status_name(SNUG_OK), "ok");
    assert_int_equal(snug_status_http(SNUG_OK), 200);
    assert_int_equal(snug_status_exit(SNUG_OK), 0);
    assert_string_equal(snug_status_name(SNUG_ENOTFOUND), "not-found");
    assert_int_equal(snug_status_http(SNUG_ENOTFOUND), 404);
    assert_int_equal(snug_status_http(SNUG_ESTALE), 412);
    assert_int_equal(snug_status_http(SNUG_ERANGE), 416);
    assert_int_equal(snug_status_exit(SNUG_EUNAUTH), 4);
    for (int i = 1; i < SNUG_STATUS_COUNT; i++) {
        snug_status st = (snug_status)i;
        assert_true(snug_status_http(st) >= 400 && snug_status_http(st) < 600);
        assert_true(snug_status_exit(st) > 0 && snug_status_exit(st) < 256);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(snug_status_name(st), snug_status_name((snug_status)k));
    }
    assert_string_equal(snug_status_name(SNUG_STATUS_COUNT), "?");
    assert_int_equal(snug_status_http(SNUG_STATUS_COUNT), 500);
    assert_int_equal(snug_status_exit(SNUG_STATUS_COUNT), 70);
}

/* docs/errors.md has a row for each status, with the numbers of the table. */
static void test_documented(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_slice  doc;
    assert_int_equal(snug_read_file(a, SNUG_SOURCE_DIR "/docs/errors.md", 1 << 20, &doc, NULL),
                     SNUG_OK);
    for (int i = 0; i < SNUG_STATUS_COUNT; i++) {
        snug_status st = (snug_status)i;
        snug_slice  row = snug_arena_printf(a, "| `%s` | %d | %d |", snug_status_name(st),
                                            snug_status_http(st), snug_status_exit(st));
        if (snug_find(doc, row) == SIZE_MAX)
            fail_msg("docs/errors.md lacks the row %.*s", SNUG_SLICE(row));
    }
    snug_arena_free(a);
}

static void test_fail(void **state)
{
    (void)state;
    snug_err err;
    memset(&err, 'x', sizeof err);
    assert_int_equal(snug_fail(&err, SNUG_EINVAL, "bad %s %d", "thing", 7), SNUG_EINVAL);
    assert_int_equal(err.status, SNUG_EINVAL);
    assert_string_equal(err.msg, "bad thing 7");
    assert_null(err.code);
    assert_string_equal(err.cause, "");
    assert_int_equal(
        snug_fail_code(&err, SNUG_ENOTFOUND, "RepoNotFound", "no repository %s", "a/b"),
        SNUG_ENOTFOUND);
    assert_string_equal(err.code, "RepoNotFound");
    assert_string_equal(err.msg, "no repository a/b");
    (void)snug_fail(&err, SNUG_EBUSY, "later");
    assert_null(err.code); /* the code of an earlier failure does not stick */
    snug_err_clear(&err);
    assert_int_equal(err.status, SNUG_OK);
    assert_string_equal(err.msg, "");
}

static void test_null(void **state)
{
    (void)state;
    assert_int_equal(snug_fail(NULL, SNUG_EINVAL, "x"), SNUG_EINVAL);
    assert_int_equal(snug_fail_code(NULL, SNUG_EBUSY, "C", "x"), SNUG_EBUSY);
    assert_int_equal(snug_fail_sys(NULL, ENOENT, "x"), SNUG_EIO);
    snug_note(NULL, "x");
    snug_err_clear(NULL);
}

/* One line, no control bytes: a message also becomes an HTTP header. */
static void test_one_line(void **state)
{
    (void)state;
    snug_err err;
    (void)snug_fail(&err, SNUG_EINVAL, "a\r\nSet-Cookie: b\tc\x7f");
    assert_string_equal(err.msg, "a  Set-Cookie: b c ");
    (void)snug_fail_sys(&err, EIO, "path\nname");
    assert_null(strchr(err.cause, '\n'));
    snug_note(&err, "in\n%s", "x");
    assert_string_equal(err.msg, "in x: internal error");
}

static void test_sys(void **state)
{
    (void)state;
    snug_err err;
    assert_int_equal(snug_fail_sys(&err, EACCES, "open %s", "/secret/path"), SNUG_EIO);
    assert_string_equal(err.msg, "internal error");
    assert_string_equal(err.cause, "open /secret/path: Permission denied");
    (void)snug_fail_sys(&err, ENOSPC, "write");
    assert_string_equal(err.msg, "the server's disk is full");
    (void)snug_fail_sys(&err, ENOMEM, "map");
    assert_string_equal(err.msg, "out of memory");
}

static void test_note(void **state)
{
    (void)state;
    snug_err err;
    snug_err_clear(&err);
    snug_note(&err, "nothing failed");
    assert_string_equal(err.msg, "");
    (void)snug_fail_code(&err, SNUG_ELIMIT, "TooLarge", "12 bytes are too many");
    snug_note(&err, "file %d", 3);
    snug_note(&err, "committing");
    assert_string_equal(err.msg, "committing: file 3: 12 bytes are too many");
    assert_int_equal(err.status, SNUG_ELIMIT);
    assert_string_equal(err.code, "TooLarge");
    for (int i = 0; i < 100; i++) snug_note(&err, "a rather long piece of context");
    assert_true(strlen(err.msg) == SNUG_ERR_MSG_MAX - 1);
    (void)snug_fail(&err, SNUG_EINVAL, "said: %s", err.msg); /* its own text as an argument */
    assert_memory_equal(err.msg, "said: a rather long", 19);
}

static void assert_false_thing(void) { SNUG_ASSERT(1 + 1 == 3); }

static void test_assert(void **state)
{
    (void)state;
    assert_aborts(assert_false_thing);
    SNUG_ASSERT(1 + 1 == 2);
}

static snug_status try_steps(int fail_at, int *steps, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (int i = 0; i < 3; i++) {
        if (i == fail_at) SNUG_FAIL(err, SNUG_ERANGE, "step %d", i);
        (*steps)++;
        SNUG_TRY(SNUG_OK);
    }
done:
    return st;
}

static void test_try(void **state)
{
    (void)state;
    int      steps = 0;
    snug_err err;
    assert_int_equal(try_steps(9, &steps, &err), SNUG_OK);
    assert_int_equal(steps, 3);
    steps = 0;
    assert_int_equal(try_steps(1, &steps, &err), SNUG_ERANGE);
    assert_int_equal(steps, 1);
    assert_string_equal(err.msg, "step 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),   cmocka_unit_test(test_documented),
        cmocka_unit_test(test_fail),     cmocka_unit_test(test_null),
        cmocka_unit_test(test_one_line), cmocka_unit_test(test_sys),
        cmocka_unit_test(test_note),     cmocka_unit_test(test_assert),
        cmocka_unit_test(test_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
