/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_path.c - paths that may be written; all that git refuses on any system is refused.
 */
#include "fixture.h"

static const char *const good[] = {"a",
                                   "a/b/c",
                                   ".gitattributes",
                                   ".gitignore",
                                   ".github/workflows/x.yml",
                                   ".gitx",
                                   "x.git",
                                   "git",
                                   "gi",
                                   ".gi",
                                   "a.git/b",
                                   "..a",
                                   "...",
                                   "a..b",
                                   "a...",
                                   " ",
                                   "a b",
                                   "-x",
                                   "~",
                                   "git~2",
                                   "a\\b",
                                   "a\\.gitx",
                                   "folder\\",
                                   "caf\xc3\xa9",
                                   "\xe6\x97\xa5\xe6\x9c\xac",
                                   "a:b",
                                   "a:b/c",
                                   "c:x",
                                   ".git\xc3\xa9",
                                   "#",
                                   "*",
                                   "CON",
                                   "aux.txt",
                                   "a\tb",
                                   "\xe2\x80\x8c",
                                   ".gitmodules",
                                   ".git2",
                                   ".git_"};

static const char *const bad[] = {"",
                                  "/",
                                  "/a",
                                  "//",
                                  "a/",
                                  "a//b",
                                  ".",
                                  "..",
                                  "./a",
                                  "../a",
                                  "a/.",
                                  "a/..",
                                  "a/./b",
                                  "a/../b",
                                  ".git",
                                  ".git/config",
                                  ".GIT/config",
                                  ".gIt",
                                  "a/.git",
                                  "a/.Git/b",
                                  ".git.",
                                  ".git ",
                                  ".git. .",
                                  ".git ./x",
                                  "git~1",
                                  "GIT~1/x",
                                  "a/git~1",
                                  "git~1.",
                                  "git~1 ",
                                  ".git:stream",
                                  ".git::$INDEX_ALLOCATION",
                                  ".git:x/y",
                                  "git~1:x",
                                  ".g\xe2\x80\x8cit",
                                  "\xe2\x80\x8d.git",
                                  ".git\xe2\x80\x8e",
                                  ".gi\xe2\x80\xaat/x",
                                  "\xef\xbb\xbf.git",
                                  ".\xe2\x81\xaaGIT",
                                  "\\a",
                                  "\\\\server\\share",
                                  "..\\a",
                                  "a\\..\\b",
                                  "a\\..",
                                  "..\\",
                                  ".\\a",
                                  "a\\.git",
                                  "a\\.GIT\\b",
                                  "a\\git~1",
                                  ".git\\config",
                                  "c:/x",
                                  "C:\\x",
                                  "a/..\\b",
                                  "\xff",
                                  "a\xc3",
                                  "\xed\xa0\x80",
                                  "a\xc0\xaf/b"};

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snug_err err = {0};
        if (vcs_check_path(snug_str(good[i]), &err) != SNUG_OK) {
            fail_msg("refused \"%s\": %s", good[i], err.msg);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snug_err err = {0};
        if (vcs_check_path(snug_str(bad[i]), &err) != SNUG_EPAYLOAD) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
        assert_true(snug_starts_with(snug_str(err.msg), "Invalid path"));
    }
    assert_int_equal(vcs_check_path(SNUG_LIT("a\0b"), NULL), SNUG_EPAYLOAD);
    assert_int_equal(vcs_check_path(SNUG_LIT("\0"), NULL), SNUG_EPAYLOAD);
    assert_int_equal(vcs_check_path(SNUG_EMPTY, NULL), SNUG_EPAYLOAD);
}

static void test_limits(void **state)
{
    (void)state;
    char path[5000];
    memset(path, 'a', sizeof path);
    assert_int_equal(vcs_check_path(snug_slice_of(path, 255), NULL), SNUG_OK);
    assert_int_equal(vcs_check_path(snug_slice_of(path, 256), NULL), SNUG_EPAYLOAD);
    for (size_t i = 200; i < sizeof path; i += 200) path[i] = '/';
    assert_int_equal(vcs_check_path(snug_slice_of(path, 4096), NULL), SNUG_OK);
    assert_int_equal(vcs_check_path(snug_slice_of(path, 4097), NULL), SNUG_EPAYLOAD);
    for (size_t i = 0; i < sizeof path; i++) path[i] = i % 2 ? '/' : 'a';
    assert_int_equal(vcs_check_path(snug_slice_of(path, 2 * 256 - 1), NULL), SNUG_OK);
    assert_int_equal(vcs_check_path(snug_slice_of(path, 2 * 257 - 1), NULL), SNUG_EPAYLOAD);
}

/* git's own check, with the protections of all systems on: does the index take the path? */
static bool git_accepts(const char *repo, const char *path)
{
    char info[512];
    (void)snprintf(info, sizeof info, "100644,0123456789012345678901234567890123456789,%s", path);
    const char *argv[] = {"git",
                          "-c",
                          "core.protectHFS=true",
                          "-c",
                          "core.protectNTFS=true",
                          "update-index",
                          "--add",
                          "--replace",
                          "--cacheinfo",
                          info,
                          NULL};
    pid_t       pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (chdir(repo) != 0) _exit(126);
        (void)dup2(null, 2);
        execvp("git", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 126 + 3);
    return WEXITSTATUS(status) == 0;
}

static void test_against_git(void **state)
{
    fixture                 *f = *state;
    static const char *const pieces[] = {
        ".git", ".GiT", "git~1",        ".",           "..", "/",  "/",           "\\", ":",
        " ",    "x",    "\xe2\x80\x8c", ".gitmodules", "it", ".g", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(git_accepts(vcs_repo_path(f->r), good[i]));
    }
    unsigned seed = 11, refused = 0, accepted = 0;
    for (unsigned round = 0; round < 500; round++) {
        char path[256] = "";
        for (unsigned n = 1 + (seed >> 20) % 5; n > 0; n--) {
            seed = seed * 1664525u + 1013904223u;
            (void)snprintf(path + strlen(path), sizeof path - strlen(path), "%s",
                           pieces[(seed >> 12) % (sizeof pieces / sizeof pieces[0])]);
        }
        bool ours = vcs_check_path(snug_str(path), NULL) == SNUG_OK;
        bool gits = git_accepts(vcs_repo_path(f->r), path);
        if (ours && !gits) fail_msg("git refuses \"%s\"", path);
        if (gits) accepted++;
        if (!ours) refused++;
    }
    assert_true(refused > 50 && accepted > 20); /* the question was asked both ways */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_limits),
        cmocka_unit_test_setup_teardown(test_against_git, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
