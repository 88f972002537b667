/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_draft.c - commits made here read as git's own; conflicts and removals. */
#include "fixture.h"

static void expect_files(fixture *f, const char *want)
{
    char *text = GIT(vcs_repo_path(f->r), "ls-tree", "-r", "-t", "--name-only", "main");
    assert_string_equal(text, want);
    free(text);
}

static void test_first_commit(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "README.md", "# hello\n");
    draft_text(f->r, d, "a/b/c.txt", "c\n");
    draft_text(f->r, d, "a-b", "between a and a/\n");
    draft_text(f->r, d, "a.txt", "x\n");
    vcs_oid id = land(f->r, d, "refs/heads/main", NULL, "First\n\nWith a body.", 1700000000);
    assert_fsck_clean(f->r);
    expect_files(f, "README.md\na-b\na.txt\na\na/b\na/b/c.txt\n");
    char *text = GIT(vcs_repo_path(f->r), "log", "--format=%H|%an|%ae|%at|%ct|%s|%b|", "main");
    char  want[256];
    (void)snprintf(want, sizeof want,
                   "%s|Ada|ada@example.org|1700000000|1700000000|First|With a body.\n|\n",
                   hex_of(&id));
    assert_string_equal(text, want);
    free(text);
}

static void test_edit(void **state)
{
    fixture    *f = *state;
    vcs_draft  *d = draft_on(f->r, NULL);
    const char *files[] = {"a/1", "a/2", "b/c/1", "b/c/2", "b/d", "e"};
    for (size_t i = 0; i < 6; i++) draft_text(f->r, d, files[i], files[i]);
    vcs_oid one = land(f->r, d, "refs/heads/main", NULL, "1", 1);

    d = draft_on(f->r, &one);
    OK(vcs_draft_remove(d, SNUG_LIT("a/1"), err));
    OK(vcs_draft_remove(d, SNUG_LIT("a/2"), err)); /* a is gone with it */
    OK(vcs_draft_remove(d, SNUG_LIT("b/c/"), err));
    draft_text(f->r, d, "a", "a file now");
    draft_text(f->r, d, "b/c", "a file now too");
    draft_text(f->r, d, "x/y/z", "new");
    vcs_oid two = land(f->r, d, "refs/heads/main", &one, "2", 2);
    expect_files(f, "a\nb\nb/c\nb/d\ne\nx\nx/y\nx/y/z\n");
    assert_fsck_clean(f->r);

    /* Removing and putting back is no change; and files may become folders. */
    d = draft_on(f->r, &two);
    OK(vcs_draft_remove(d, SNUG_LIT("x"), err));
    draft_text(f->r, d, "x/y/z", "new");
    OK(vcs_draft_remove(d, SNUG_LIT("e"), err));
    draft_text(f->r, d, "e", "e");
    vcs_oid id;
    bool    unchanged = false;
    OK(vcs_draft_commit(d, SNUG_LIT("same"), &ada, &id, &unchanged, err));
    assert_true(unchanged);
    assert_false(vcs_oid_eq(&id, &two));
    OK(vcs_draft_remove(d, SNUG_LIT("a"), err));
    draft_text(f->r, d, "a/deep/er", "folder");
    OK(vcs_draft_commit(d, SNUG_LIT("other"), &ada, &id, &unchanged, err));
    assert_false(unchanged);
    vcs_draft_free(d);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &two, &id, err));
    expect_files(f, "a\na/deep\na/deep/er\nb\nb/c\nb/d\ne\nx\nx/y\nx/y/z\n");
    assert_fsck_clean(f->r);

    /* Everything gone: the empty tree. */
    d = draft_on(f->r, &id);
    const char *top[] = {"a", "b", "e", "x"};
    for (size_t i = 0; i < 4; i++) OK(vcs_draft_remove(d, snug_str(top[i]), err));
    (void)land(f->r, d, "refs/heads/main", &id, "empty", 3);
    expect_files(f, "");
    assert_fsck_clean(f->r);
}

static void expect_conflict(fixture *f, vcs_draft *d, const char *path)
{
    vcs_oid  blob = put(f->r, "x");
    snug_err err = {0};
    assert_int_equal(vcs_draft_put(d, snug_str(path), &blob, &err), SNUG_EPAYLOAD);
    assert_non_null(strstr(err.msg, path));
}

static void test_conflicts(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "file", "1");
    draft_text(f->r, d, "dir/sub/file", "2");
    vcs_oid c = land(f->r, d, "refs/heads/main", NULL, "1", 1);
    d = draft_on(f->r, &c);
    expect_conflict(f, d, "file/below");
    expect_conflict(f, d, "dir");
    expect_conflict(f, d, "dir/sub");
    expect_conflict(f, d, "dir/sub/file/x/y");
    draft_text(f->r, d, "fresh", "3");
    expect_conflict(f, d, "fresh/x");
    draft_text(f->r, d, "new/one", "4");
    expect_conflict(f, d, "new");
    const char *bad[] = {"../x", ".git/config", "a//b", "/etc/passwd", ""};
    vcs_oid     blob = put(f->r, "x"), none = {{{5}}};
    for (size_t i = 0; i < 5; i++) {
        FAILS(SNUG_EPAYLOAD, vcs_draft_put(d, snug_str(bad[i]), &blob, err));
    }
    FAILS(SNUG_ENOTFOUND, vcs_draft_put(d, SNUG_LIT("y"), &none, err));
    const char *missing[] = {"nope",  "file/x", "dir/nope", "dir/sub/file/",
                             "file/", "",       "/",        "dir//sub"};
    for (size_t i = 0; i < 8; i++) {
        snug_err err = {0};
        assert_int_equal(vcs_draft_remove(d, snug_str(missing[i]), &err), SNUG_ENOTFOUND);
        assert_string_equal(err.code, "EntryNotFound");
        assert_non_null(strstr(err.msg, "A file with this name doesn't exist"));
    }
    /* None of the refusals left a trace. */
    vcs_oid id = land(f->r, d, "refs/heads/main", &c, "2", 2);
    expect_files(f, "dir\ndir/sub\ndir/sub/file\nfile\nfresh\nnew\nnew/one\n");
    assert_fsck_clean(f->r);
    FAILS(SNUG_ENOTFOUND, vcs_draft_new(f->r, &none, &d, err));
    (void)id;
}

static void test_find(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "a/b", "12345");
    draft_text(f->r, d, "c", "1");
    vcs_oid c = land(f->r, d, "refs/heads/main", NULL, "1", 1);
    d = draft_on(f->r, &c);
    vcs_entry e, before;
    OK(vcs_draft_find(d, SNUG_LIT("a"), f->a, &before, err));
    assert_int_equal(before.kind, VCS_DIR);
    draft_text(f->r, d, "a/new", "123");
    OK(vcs_draft_find(d, SNUG_LIT("a/new"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_FILE);
    assert_int_equal(e.size, 3);
    assert_true(snug_eq_str(e.path, "a/new"));
    OK(vcs_draft_find(d, SNUG_LIT("a/b"), f->a, &e, err));
    assert_int_equal(e.size, 5);
    OK(vcs_draft_find(d, SNUG_LIT("a"), f->a, &e, err)); /* the folder as it is now */
    assert_false(vcs_oid_eq(&e.oid, &before.oid));
    OK(vcs_draft_remove(d, SNUG_LIT("a/new"), err));
    OK(vcs_draft_find(d, SNUG_LIT("a"), f->a, &e, err));
    assert_true(vcs_oid_eq(&e.oid, &before.oid));
    OK(vcs_draft_remove(d, SNUG_LIT("a/b"), err));
    FAILS(SNUG_ENOTFOUND, vcs_draft_find(d, SNUG_LIT("a"), f->a, &e, err));
    FAILS(SNUG_ENOTFOUND, vcs_draft_find(d, SNUG_LIT("a/b"), f->a, &e, err));
    FAILS(SNUG_ENOTFOUND, vcs_draft_find(d, SNUG_LIT("c/d"), f->a, &e, err));
    vcs_draft_free(d);
}

static void test_wide_folder(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    vcs_oid    blob = put(f->r, "x");
    char       name[32];
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof name, "w/%u", i);
        OK(vcs_draft_put(d, snug_str(name), &blob, err));
    }
    for (unsigned i = 0; i < 20000; i += 2) {
        (void)snprintf(name, sizeof name, "w/%u", i);
        OK(vcs_draft_remove(d, snug_str(name), err));
    }
    (void)land(f->r, d, "refs/heads/main", NULL, "wide", 1);
    assert_fsck_clean(f->r);
    char  *text = GIT(vcs_repo_path(f->r), "ls-tree", "--name-only", "main:w");
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) lines++;
    assert_int_equal(lines, 10000);
    free(text);
}

/* Random edits, next to git doing the same in a work tree. */
static void test_random_edits(void **state)
{
    fixture *f = *state;
    char     work[128], path[256];
    unsigned seed = 7;
    (void)snprintf(work, sizeof work, "%s/work", f->root);
    GIT_RUN(f->root, "init", "-q", work);
    vcs_oid at, old;
    bool    there[27] = {false};
    for (unsigned round = 0; round < 12; round++) {
        vcs_draft *d = draft_on(f->r, round == 0 ? NULL : &at);
        for (unsigned k = 0; k < 15; k++) {
            seed = seed * 1664525u + 1013904223u;
            unsigned i = (seed >> 12) % 27;
            char     name[32], text[32];
            (void)snprintf(name, sizeof name, "d%u/e%u/f%u", i / 9, i / 3 % 3, i % 3);
            (void)snprintf(path, sizeof path, "%s/%s", work, name);
            if (there[i] && (seed >> 8) % 2 == 0) {
                OK(vcs_draft_remove(d, snug_str(name), err));
                assert_int_equal(unlink(path), 0);
                there[i] = false;
                continue;
            }
            (void)snprintf(text, sizeof text, "%u", seed);
            draft_text(f->r, d, name, text);
            char *slash = strrchr(path, '/');
            *slash = '\0';
            OK(snug_mkdirs(path, 0700, err));
            *slash = '/';
            OK(snug_write_file_atomic(path, snug_str(text), 0644, err));
            there[i] = true;
        }
        old = at;
        at = land(f->r, d, "refs/heads/main", round == 0 ? NULL : &old, "round", 1);
        GIT_RUN(work, "add", "-A");
        char *want = GIT(work, "write-tree");
        char *got = GIT(vcs_repo_path(f->r), "rev-parse", "main^{tree}");
        assert_string_equal(got, want);
        free(want);
        free(got);
    }
    assert_fsck_clean(f->r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_commit, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_edit, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_conflicts, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_find, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_wide_folder, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_random_edits, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
