/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_draft.c - commits made here read as git's own; conflicts and removals. */
#include "fixture.h"

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

    char *text = GIT(vcs_repo_path(f->r), "ls-tree", "-r", "-t", "--name-only", "main");
    assert_string_equal(text, "README.md\na-b\na.txt\na\na/b\na/b/c.txt\n");
    free(text);
    text = GIT(vcs_repo_path(f->r), "log", "--format=%H|%an|%ae|%at|%ct|%s|%b|", "main");
    char want[256];
    (void)snprintf(want, sizeof want,
                   "%s|Ada|ada@example.org|1700000000|1700000000|First|With a body.\n|\n",
                   hex_of(&id));
    assert_string_equal(text, want);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_commit, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
