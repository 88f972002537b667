/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_merge.c - merges give the trees git gives; conflicts name their files; diffs. */
#include "fixture.h"

static vcs_oid base_commit(fixture *f)
{
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "lines.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    draft_text(f->r, d, "keep.txt", "kept\n");
    draft_text(f->r, d, "gone.txt", "gone\n");
    draft_text(f->r, d, "dir/a.txt", "a\n");
    draft_text(f->r, d, "model.bin",
               "version https://git-lfs.github.com/spec/v1\noid sha256:"
               "1111111111111111111111111111111111111111111111111111111111111111\nsize 5\n");
    return land(f->r, d, "refs/heads/main", NULL, "base", 1);
}

static const vcs_who me = {{"Ada", 3}, {"ada@example.org", 15}, 5000};

static void test_forward_and_nothing(void **state)
{
    fixture   *f = *state;
    vcs_oid    base = base_commit(f);
    vcs_draft *d = draft_on(f->r, &base);
    vcs_merge  m;
    draft_text(f->r, d, "new.txt", "x\n");
    vcs_oid next = land(f->r, d, "refs/heads/next", NULL, "next", 2);

    OK(vcs_merge_commits(f->r, &base, &next, SNUG_LIT("m"), &me, f->a, &m, err));
    assert_int_equal(m.kind, VCS_MERGE_FORWARD);
    assert_true(vcs_oid_eq(&m.commit, &next));
    OK(vcs_merge_commits(f->r, &next, &base, SNUG_LIT("m"), &me, f->a, &m, err));
    assert_int_equal(m.kind, VCS_MERGE_NOTHING);
}

static void test_same_tree_as_git(void **state)
{
    fixture   *f = *state;
    vcs_oid    base = base_commit(f);
    vcs_merge  m;
    vcs_draft *d = draft_on(f->r, &base);
    draft_text(f->r, d, "lines.txt", "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
    draft_text(f->r, d, "both.txt", "same\n");
    draft_text(f->r, d, "mine.txt", "mine\n");
    vcs_oid ours = land(f->r, d, "refs/heads/main", &base, "ours", 2);

    d = draft_on(f->r, &base);
    draft_text(f->r, d, "lines.txt", "1\n2\n3\n4\n5\n6\n7\n8\nnine\n");
    draft_text(f->r, d, "both.txt", "same\n");
    OK(vcs_draft_remove(d, SNUG_LIT("gone.txt"), err));
    OK(vcs_draft_remove(d, SNUG_LIT("dir"), err));
    draft_text(f->r, d, "dir", "a file now\n");
    vcs_oid theirs = land(f->r, d, "refs/heads/theirs", NULL, "theirs", 3);

    OK(vcs_merge_commits(f->r, &ours, &theirs, SNUG_LIT("merged"), NULL, f->a, &m, err));
    assert_int_equal(m.kind, VCS_MERGE_COMMIT);
    OK(vcs_merge_commits(f->r, &ours, &theirs, SNUG_LIT("merged"), &me, f->a, &m, err));
    assert_int_equal(m.kind, VCS_MERGE_COMMIT);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &ours, &m.commit, err));
    assert_fsck_clean(f->r);

    vcs_commit c;
    OK(vcs_read_commit(f->r, &m.commit, f->a, &c, err));
    assert_int_equal(c.parent_count, 2);
    assert_true(vcs_oid_eq(&c.parent, &ours));
    char *want =
        GIT(vcs_repo_path(f->r), "merge-tree", "--write-tree", hex_of(&ours), hex_of(&theirs));
    char *got = GIT(vcs_repo_path(f->r), "rev-parse", "main^{tree}");
    assert_string_equal(got, want);
    free(want);
    free(got);
}

static void expect_conflict(fixture *f, const char *path, const char *mine, const char *their)
{
    vcs_oid    base = base_commit(f);
    vcs_merge  m;
    vcs_draft *d = draft_on(f->r, &base);
    if (mine == NULL)
        OK(vcs_draft_remove(d, snug_str(path), err));
    else
        draft_text(f->r, d, path, mine);
    vcs_oid ours = land(f->r, d, "refs/heads/ours", NULL, "ours", 2);
    d = draft_on(f->r, &base);
    if (their == NULL)
        OK(vcs_draft_remove(d, snug_str(path), err));
    else
        draft_text(f->r, d, path, their);
    draft_text(f->r, d, "other.txt", "fine\n");
    vcs_oid theirs = land(f->r, d, "refs/heads/theirs", NULL, "theirs", 3);
    OK(vcs_merge_commits(f->r, &ours, &theirs, SNUG_LIT("m"), &me, f->a, &m, err));
    assert_int_equal(m.kind, VCS_MERGE_CONFLICT);
    assert_int_equal(m.conflict_count, 1);
    assert_true(snug_eq_str(m.conflicts[0], path));
}

static void test_conflict_in_lines(void **state)
{
    expect_conflict(*state, "lines.txt", "1\n2\n3\nmine\n", "1\n2\n3\ntheirs\n");
}

static void test_conflict_removed_and_changed(void **state)
{
    expect_conflict(*state, "keep.txt", NULL, "changed\n");
}

static void test_conflict_changed_and_removed(void **state)
{
    expect_conflict(*state, "keep.txt", "changed\n", NULL);
}

static void test_conflict_added_twice(void **state)
{
    expect_conflict(*state, "twice.txt", "a\n", "b\n");
}

/* Two pointers differ in lines that could be mixed: the result would name no object. */
static void test_pointers_are_not_mixed(void **state)
{
    expect_conflict(*state, "model.bin",
                    "version https://git-lfs.github.com/spec/v1\noid sha256:"
                    "2222222222222222222222222222222222222222222222222222222222222222\nsize 5\n",
                    "version https://git-lfs.github.com/spec/v1\noid sha256:"
                    "1111111111111111111111111111111111111111111111111111111111111111\nsize 6\n");
}

static void test_squash(void **state)
{
    fixture   *f = *state;
    vcs_oid    base = base_commit(f), one;
    vcs_commit c;
    OK(vcs_squash(f->r, &base, SNUG_LIT("All of it"), &me, &one, err));
    OK(vcs_read_commit(f->r, &one, f->a, &c, err));
    assert_int_equal(c.parent_count, 0);
    assert_true(snug_eq_str(c.title, "All of it"));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &base, &one, err));
    assert_fsck_clean(f->r);
    char *got = GIT(vcs_repo_path(f->r), "rev-parse", "main^{tree}");
    char *want = GIT(vcs_repo_path(f->r), "rev-parse", "HEAD^{tree}");
    assert_string_equal(got, want);
    free(got);
    free(want);
}

static void test_diff(void **state)
{
    fixture   *f = *state;
    vcs_oid    base = base_commit(f);
    vcs_draft *d = draft_on(f->r, &base);
    bool       cut;
    draft_text(f->r, d, "keep.txt", "kept\nand more\n");
    vcs_oid next = land(f->r, d, "refs/heads/next", NULL, "next", 2);
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    OK(vcs_diff(f->r, &base, &next, &b, &cut, err));
    assert_false(cut);
    char *want = GIT(vcs_repo_path(f->r), "diff", "--no-renames", hex_of(&base), hex_of(&next));
    assert_string_equal(snug_buf_cstr(&b), want);
    free(want);

    SNUG_AUTO(snug_buf) little = snug_buf_init(60);
    OK(vcs_diff(f->r, &base, &next, &little, &cut, err));
    assert_true(cut && little.len <= 60);
    assert_true(little.len == 0 || little.ptr[little.len - 1] == '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        T(test_forward_and_nothing),
        T(test_same_tree_as_git),
        T(test_conflict_in_lines),
        T(test_conflict_removed_and_changed),
        T(test_conflict_changed_and_removed),
        T(test_conflict_added_twice),
        T(test_pointers_are_not_mixed),
        T(test_squash),
        T(test_diff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
