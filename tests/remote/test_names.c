/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_names.c - names from a server: which are refused, and that links do not help.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remote/remote_int.h"

static void good_names_pass(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",          "a/b/c.txt",  ".gitattributes", "..a",  "a..b/c",
        "x/.cache/y", "ü/日本.bin", "a b?#%:.txt",    "a\\b", "...",
        "-",          ".gitignore", "data:1/x"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snug_err err = {0};
        assert_int_equal(remote_check_path(snug_str(good[i]), &err), SNUG_OK);
    }
}

static void hostile_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/etc/passwd",
                                      "..",
                                      "a/..",
                                      "../a",
                                      "a/../b",
                                      "a/./b",
                                      ".",
                                      "a//b",
                                      "a/",
                                      "./a",
                                      ".git",
                                      ".git/hooks/post-checkout",
                                      "x/.GIT/config",
                                      "C:x",
                                      "a/c:\\windows",
                                      "a\\..\\b",
                                      "..\\a",
                                      "\\\\host\\share",
                                      "a/\\b",
                                      "\xff\xfe",
                                      "a/\xc0\xaf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snug_err err = {0};
        if (remote_check_path(snug_str(bad[i]), &err) != SNUG_EPAYLOAD)
            fail_msg("\"%s\" passed", bad[i]);
        assert_non_null(strstr(err.msg, "refused"));
    }
    assert_int_equal(remote_check_path(snug_slice_of("a\0b", 3), NULL), SNUG_EPAYLOAD);
}

static void long_names_are_refused(void **state)
{
    (void)state;
    char name[5000];
    memset(name, 'a', sizeof name);
    assert_int_equal(remote_check_path(snug_slice_of(name, 255), NULL), SNUG_OK);
    assert_int_equal(remote_check_path(snug_slice_of(name, 256), NULL), SNUG_EPAYLOAD);
    for (size_t i = 99; i < sizeof name; i += 100) name[i] = '/';
    assert_int_equal(remote_check_path(snug_slice_of(name, 3999), NULL), SNUG_OK);
    assert_int_equal(remote_check_path(snug_slice_of(name, 4099), NULL), SNUG_EPAYLOAD);
}

static void etags_name_files(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", ".hidden", "a/b", "a b", "a\"", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(remote_check_etag(snug_str(bad[i]), NULL), SNUG_EREMOTE);
    assert_int_equal(remote_check_etag(SNUG_LIT("9b5b6dA-_.x"), NULL), SNUG_OK);
    char etag[REMOTE_ETAG_MAX + 1];
    memset(etag, 'f', sizeof etag);
    assert_int_equal(remote_check_etag(snug_slice_of(etag, REMOTE_ETAG_MAX), NULL), SNUG_OK);
    assert_int_equal(remote_check_etag(snug_slice_of(etag, REMOTE_ETAG_MAX + 1), NULL),
                     SNUG_EREMOTE);
}

static void commits_are_forty_lowercase_digits(void **state)
{
    (void)state;
    assert_true(remote_is_commit(SNUG_LIT("0123456789abcdef0123456789abcdef01234567")));
    assert_false(remote_is_commit(SNUG_LIT("0123456789abcdef0123456789abcdef0123456")));
    assert_false(remote_is_commit(SNUG_LIT("0123456789ABCDEF0123456789abcdef01234567")));
    assert_false(remote_is_commit(SNUG_LIT("main")));
}

static void parents_are_made_but_links_not_followed(void **state)
{
    (void)state;
    char dir[] = "/tmp/snug-names-XXXXXX", leaf[REMOTE_NAME_MAX + 1], path[256];
    assert_non_null(mkdtemp(dir));
    snug_err err = {0};
    int      fd = -1;
    assert_int_equal(remote_open_parent(dir, SNUG_LIT("a/b/c.txt"), true, &fd, leaf, &err),
                     SNUG_OK);
    assert_string_equal(leaf, "c.txt");
    (void)snprintf(path, sizeof path, "%s/a/b", dir);
    struct stat want, have;
    assert_int_equal(stat(path, &want), 0);
    assert_int_equal(fstat(fd, &have), 0);
    assert_true(want.st_ino == have.st_ino);
    (void)close(fd);

    /* dir/out -> /tmp: what is below it is not ours to write */
    (void)snprintf(path, sizeof path, "%s/out", dir);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(remote_open_parent(dir, SNUG_LIT("out/x.txt"), true, &fd, leaf, &err),
                     SNUG_ECONFLICT);
    assert_int_equal(remote_open_parent(dir, SNUG_LIT("missing/x"), false, &fd, leaf, &err),
                     SNUG_ENOTFOUND);
    assert_int_equal(remote_open_parent(dir, SNUG_LIT("../x"), true, &fd, leaf, &err),
                     SNUG_EPAYLOAD);
    /* a file where a folder must be */
    (void)snprintf(path, sizeof path, "%s/f", dir);
    int f = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(f >= 0);
    (void)close(f);
    assert_int_equal(remote_open_parent(dir, SNUG_LIT("f/x"), true, &fd, leaf, &err),
                     SNUG_ECONFLICT);
    assert_int_equal(snug_remove_tree(dir, &err), SNUG_OK);
}

static void a_full_disk_says_what_to_do(void **state)
{
    (void)state;
    snug_err err = {0};
    assert_int_equal(remote_fail_file(&err, ENOSPC, "write", "w.bin"), SNUG_EIO);
    assert_non_null(strstr(err.msg, "the disk is full (write w.bin)"));
    assert_non_null(strstr(err.msg, "goes on where it stopped"));
    assert_int_equal(remote_fail_file(&err, ENOENT, "read", "x"), SNUG_ENOTFOUND);
    assert_int_equal(remote_fail_file(&err, EACCES, "read", "x"), SNUG_EFORBIDDEN);
}

static void repo_names(void **state)
{
    (void)state;
    remote_repo r;
    assert_int_equal(remote_parse_repo(SNUG_LIT("ada/x"), NULL, &r, NULL), SNUG_OK);
    assert_string_equal(r.type, "model");
    assert_int_equal(remote_parse_repo(SNUG_LIT("datasets/ada/x.1"), NULL, &r, NULL), SNUG_OK);
    assert_string_equal(r.type, "dataset");
    assert_true(snug_eq_str(r.id, "ada/x.1"));
    assert_int_equal(remote_parse_repo(SNUG_LIT("gpt2"), "space", &r, NULL), SNUG_OK);
    assert_string_equal(r.type, "space");
    assert_int_equal(remote_parse_repo(SNUG_LIT("ada/x"), "datasets", &r, NULL), SNUG_OK);
    assert_string_equal(r.type, "dataset");
    static const char *const bad[] = {"",        "/",       "a/",   "/a",           "a/b/c",
                                      "a/b/c/d", "a b/c",   "a/-b", "a/b-",         "a/b--c",
                                      "a/b..c",  "a/x.git", "../x", "models/a/b/c", "a/\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (remote_parse_repo(snug_str(bad[i]), NULL, &r, NULL) != SNUG_EINVAL)
            fail_msg("\"%s\" passed", bad[i]);
    }
    assert_int_equal(remote_parse_repo(SNUG_LIT("datasets/a/b"), "model", &r, NULL), SNUG_EINVAL);
    assert_int_equal(remote_parse_repo(SNUG_LIT("a/b"), "bucket", &r, NULL), SNUG_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names_pass),
        cmocka_unit_test(hostile_names_are_refused),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(etags_name_files),
        cmocka_unit_test(commits_are_forty_lowercase_digits),
        cmocka_unit_test(parents_are_made_but_links_not_followed),
        cmocka_unit_test(repo_names),
        cmocka_unit_test(a_full_disk_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
