/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#define POINTER(digit, size)                                                                       \
    "version https://git-lfs.github.com/spec/v1\noid sha256:" digit digit digit digit digit digit  \
        digit digit "\nsize " size "\n"
#define A8 "aaaaaaaa"
#define B8 "bbbbbbbb"

static bool drops_a(void *arg, const vcs_lfs *lfs)
{
    ++*(int *)arg;
    return lfs->oid.b[0] == 0xaa;
}

static void move(fixture *f, const vcs_rewrite *w)
{
    size_t           n;
    const vcs_moved *v = vcs_rewrite_refs(w, &n);
    for (size_t i = 0; i < n; i++) OK(vcs_update_ref(f->r, v[i].ref, &v[i].old, &v[i].now, err));
}

static size_t refs_to_move(fixture *f)
{
    int          asked = 0;
    size_t       n;
    vcs_rewrite *w;
    OK(vcs_rewrite_open(f->r, drops_a, &asked, &w, err));
    (void)vcs_rewrite_refs(w, &n);
    move(f, w);
    vcs_rewrite_close(w);
    return n;
}

/* main: first - secret - other - (signed); side at first; tag v1 annotated at secret. */
static vcs_oid build(fixture *f, vcs_oid *first)
{
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "keep.bin", POINTER(B8, "5"));
    draft_text(f->r, d, "a.txt", "a");
    *first = land(f->r, d, "refs/heads/main", NULL, "first", 1700000000);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/side"), NULL, first, err));
    d = draft_on(f->r, first);
    draft_text(f->r, d, "only/here/x.bin", POINTER(A8, "7"));
    draft_text(f->r, d, "top.bin", POINTER(A8, "7"));
    vcs_oid second = land(f->r, d, "refs/heads/main", first, "second\n\nwords", 1700000100);
    OK(vcs_create_tag(f->r, SNUG_LIT("v1"), &second, SNUG_LIT("A version"), &ada, err));
    d = draft_on(f->r, &second);
    draft_text(f->r, d, "b.txt", "b");
    return land(f->r, d, "refs/heads/main", &second, "third", 1700000200);
}

static void test_rewrites(void **state)
{
    fixture     *f = *state;
    vcs_oid      first, third = build(f, &first), now;
    int          asked = 0;
    size_t       n;
    vcs_rewrite *w;
    const char  *dir = vcs_repo_path(f->r);

    OK(vcs_rewrite_open(f->r, drops_a, &asked, &w, err));
    assert_int_equal(asked, 6); /* pointers of each tree; a tree is read once */
    (void)vcs_rewrite_refs(w, &n);
    assert_int_equal(n, 2); /* main and the tag; side holds nothing of it */
    assert_false(vcs_rewrite_find(w, &first, &now));
    assert_true(vcs_rewrite_find(w, &third, &now));
    move(f, w);
    vcs_rewrite_close(w);
    assert_fsck_clean(f->r);
    char *names = GIT(dir, "log", "--all", "--format=", "--name-only");
    assert_null(strstr(names, "x.bin"));
    assert_null(strstr(names, "top.bin"));
    assert_non_null(strstr(names, "b.txt"));
    free(names);
    char *log = GIT(dir, "log", "--format=%an %ae %at %ct %s|%b", "main");
    assert_string_equal(log, "Ada ada@example.org 1700000200 1700000200 third|\n"
                             "Ada ada@example.org 1700000100 1700000100 second|words\n\n"
                             "Ada ada@example.org 1700000000 1700000000 first|\n");
    free(log);
    char *tag = GIT(dir, "for-each-ref", "--format=%(objecttype) %(contents)", "refs/tags");
    assert_string_equal(tag, "tag A version\n\n");
    free(tag);
    GIT_RUN(dir, "merge-base", "--is-ancestor", "v1", "main");
    assert_int_equal(refs_to_move(f), 0); /* twice is once */
}

/* A signature signed something else. */
static void test_signatures_go(void **state)
{
    fixture    *f = *state;
    vcs_oid     first, third = build(f, &first);
    const char *dir = vcs_repo_path(f->r);
    char        text[1024], hex[64];
    char       *tree = GIT(dir, "rev-parse", "main^{tree}");

    tree[40] = '\0';
    snprintf(text, sizeof text,
             "tree %s\nparent %s\nauthor A <a@b> 1700000300 +0100\ncommitter A <a@b> 1700000300 "
             "+0100\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n line\n -----END PGP SIGNATURE-----\n"
             "encoding ISO-8859-1\n\nsigned\n",
             tree, hex_of(&third));
    free(tree);
    char *id = git_in(dir, text,
                      (const char *const[]){"hash-object", "-t", "commit", "-w", "--stdin", NULL});
    snprintf(hex, sizeof hex, "%.40s", id);
    free(id);
    GIT_RUN(dir, "update-ref", "refs/heads/main", hex);
    assert_int_equal(refs_to_move(f), 2);
    char *now = GIT(dir, "cat-file", "commit", "main");
    assert_null(strstr(now, "PGP"));
    assert_non_null(strstr(now, "encoding ISO-8859-1\n\nsigned\n"));
    assert_non_null(strstr(now, "author A <a@b> 1700000300 +0100\n"));
    free(now);
    assert_fsck_clean(f->r);
}

/* Everything goes: the commits stay, with nothing in them. */
static void test_nothing_left(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "x/y/z.bin", POINTER(A8, "7"));
    (void)land(f->r, d, "refs/heads/main", NULL, "only", 1700000000);
    assert_int_equal(refs_to_move(f), 1);
    char *tree = GIT(vcs_repo_path(f->r), "rev-parse", "main^{tree}");
    assert_string_equal(tree, "4b825dc642cb6eb9a060e54bf8d69288fbee4904\n");
    free(tree);
    assert_fsck_clean(f->r);
}

static void test_no_refs(void **state) { assert_int_equal(refs_to_move(*state), 0); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rewrites, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_signatures_go, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_left, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_refs, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
