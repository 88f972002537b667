/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_commit.c - every kind of operation, LFS rules, limits, parents, the row after. */
#include "hub_check.h"

static snug_status apply(fixture *f, const hub_actor *who, const hub_repo_id *id, const char *rev,
                         hub_draft *d, hub_commit_result *r, snug_err *err)
{
    hub_commit_result mine;
    snug_status st = hub_apply_draft(f->h, who, id, snug_str(rev), d, r != NULL ? r : &mine, err);
    hub_draft_free(d);
    return st;
}

static void expect_file(fixture *f, const hub_repo_id *id, const char *path, const char *want)
{
    snug_slice got = file_at(f, &f->alice, id, "main", path);
    if (want == NULL ? got.ptr != NULL : !snug_eq_str(got, want))
        fail_msg("%s holds \"%.*s\"", path, SNUG_SLICE(got));
}

static hub_repo_info info_of(fixture *f, const hub_repo_id *id)
{
    hub_repo *r;
    snug_err  err = {0};
    must(hub_open_repo(f->h, &f->alice, id, HUB_ROLE_READ, f->a, &r, &err));
    hub_repo_info info = *hub_repo_get_info(r);
    hub_close_repo(r);
    return info;
}

static bool head_is(fixture *f, const hub_repo_id *id, const vcs_oid *want)
{
    hub_repo_info i = info_of(f, id);
    return vcs_oid_eq(&i.head, want);
}

static void test_kinds(void **state)
{
    fixture          *f = *state;
    snug_err          err = {0};
    hub_repo_id       id = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC).id;
    hub_draft        *d = draft(f, "Add files", "");
    hub_commit_result first, r;
    hub_repo         *repo;
    vcs_commit        c;
    char              hex[41];

    must(hub_draft_header(d, SNUG_LIT("Add files"), SNUG_LIT("several\nlines"), SNUG_EMPTY, &err));
    must(hub_draft_file(d, SNUG_LIT("a.txt"), SNUG_LIT("one"), &err));
    must(hub_draft_file(d, SNUG_LIT("dir/b.txt"), SNUG_LIT("two"), &err));
    must(hub_draft_file(d, SNUG_LIT("dir/sub/c \xc3\xa9?%#:.txt"), SNUG_LIT("three"), &err));
    must(hub_draft_file(d, SNUG_LIT("empty"), SNUG_EMPTY, &err));
    must(apply(f, &f->alice, &id, "main", d, &first, &err));
    assert_false(first.unchanged);
    expect_file(f, &id, "dir/sub/c \xc3\xa9?%#:.txt", "three");
    expect_file(f, &id, "empty", "");
    assert_true(head_is(f, &id, &first.oid));
    must(hub_open_repo(f->h, &f->alice, &id, HUB_ROLE_READ, f->a, &repo, &err));
    must(vcs_read_commit(hub_repo_vcs(repo), &first.oid, f->a, &c, &err));
    hub_close_repo(repo);
    assert_true(snug_eq_str(c.title, "Add files"));
    assert_true(snug_eq_str(snug_trim(c.message), "several\nlines"));
    assert_true(snug_eq_str(c.author_email, "Alice@users.noreply.snug"));

    d = draft(f, "Change", "");
    must(hub_draft_file(d, SNUG_LIT("a.txt"), SNUG_LIT("changed"), &err));
    must(hub_draft_delete(d, SNUG_LIT("dir/b.txt"), false, &err));
    must(hub_draft_copy(d, SNUG_LIT("dir/sub"), SNUG_EMPTY, SNUG_LIT("copy"), &err));
    must(hub_draft_move(d, SNUG_LIT("empty"), SNUG_LIT("moved/empty"), &err));
    must(apply(f, &f->alice, &id, "refs/heads/main", d, &r, &err));
    expect_file(f, &id, "a.txt", "changed");
    expect_file(f, &id, "dir/b.txt", NULL);
    expect_file(f, &id, "copy/c \xc3\xa9?%#:.txt", "three");
    expect_file(f, &id, "empty", NULL);
    expect_file(f, &id, "moved/empty", "");

    vcs_oid_hex(&first.oid, hex);
    d = draft(f, "Back", "");
    must(
        hub_draft_copy(d, SNUG_LIT("dir/b.txt"), snug_slice_of(hex, 8), SNUG_LIT("old.txt"), &err));
    must(hub_draft_delete(d, SNUG_LIT("dir/"), true, &err));
    must(hub_draft_move(d, SNUG_LIT("copy"), SNUG_LIT("moved"), &err));
    must(apply(f, &f->alice, &id, "main", d, &r, &err));
    expect_file(f, &id, "old.txt", "two");
    expect_file(f, &id, "dir/sub/c \xc3\xa9?%#:.txt", NULL);
    expect_file(f, &id, "moved/c \xc3\xa9?%#:.txt", "three");
    expect_file(f, &id, "copy/c \xc3\xa9?%#:.txt", NULL);
    expect_file(f, &id, "moved/empty", "");
}

static void test_refused(void **state)
{
    fixture                 *f = *state;
    snug_err                 err = {0};
    hub_repo_id              id = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC).id;
    hub_draft               *d = draft(f, "Bad", "");
    static const char *const paths[] = {"/abs",        "a/../b",   "..", ".",  "a//b",
                                        ".git/config", "x/.GIT/y", "",   "a/."};
    char                    *big = snug_zalloc((10 << 20) + 1);

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(hub_draft_file(d, snug_str(paths[i]), SNUG_LIT("x"), &err), SNUG_EPAYLOAD);
    must_fail(hub_draft_file(d, SNUG_LIT("big.bin"), snug_slice_of(big, (10 << 20) + 1), &err),
              SNUG_EINVAL, NULL, "LFS");
    assert_non_null(strstr(err.msg, "big.bin"));
    must(hub_draft_file(d, SNUG_LIT("big.bin"), snug_slice_of(big, 10 << 20), &err));
    must_fail(hub_draft_header(d, SNUG_LIT("  "), SNUG_EMPTY, SNUG_EMPTY, &err), SNUG_EINVAL, NULL,
              "summary");
    must_fail(hub_draft_header(d, SNUG_LIT("x"), SNUG_EMPTY, SNUG_LIT("nothex"), &err), SNUG_EINVAL,
              NULL, "parentCommit");
    hub_draft_free(d);
    free(big);

    d = draft(f, "Delete what is not", "");
    must(hub_draft_delete(d, SNUG_LIT("nope.txt"), false, &err));
    must_fail(apply(f, &f->alice, &id, "main", d, NULL, &err), SNUG_ENOTFOUND, "EntryNotFound",
              "A file with this name doesn't exist");
    d = draft(f, "No such branch", "");
    must(hub_draft_file(d, SNUG_LIT("a"), SNUG_LIT("b"), &err));
    must_fail(apply(f, &f->alice, &id, "other", d, NULL, &err), SNUG_ENOTFOUND, "RevisionNotFound",
              "");
    d = draft(f, "Into itself", "");
    must(hub_draft_file(d, SNUG_LIT("p/a"), SNUG_LIT("b"), &err));
    must(hub_draft_move(d, SNUG_LIT("p"), SNUG_LIT("p/q"), &err));
    must_fail(apply(f, &f->alice, &id, "main", d, NULL, &err), SNUG_EPAYLOAD, NULL, "into itself");
    expect_file(f, &id, "p/a", NULL); /* all or nothing */
    must(hub_draft_new(f->h, &d, &err));
    must(hub_draft_file(d, SNUG_LIT("a"), SNUG_LIT("b"), &err));
    must_fail(apply(f, &f->alice, &id, "main", d, NULL, &err), SNUG_EINVAL, NULL, "summary");
}

static void test_parent(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    vcs_oid       one, two;
    char          base[41], now[41];

    vcs_oid_hex(&info.head, base);
    must(put(f, &f->alice, &info.id, "a", "1", base, &one, &err));
    must_fail(put(f, &f->alice, &info.id, "b", "1", base, &two, &err), SNUG_ESTALE, NULL,
              "The branch was updated since you opened this page. Please refresh and try again.");
    vcs_oid_hex(&one, now);
    now[7] = '\0';
    for (char *p = now; *p != '\0'; p++) *p = *p >= 'a' && *p <= 'f' ? (char)(*p - 32) : *p;
    must(put(f, &f->alice, &info.id, "b", "1", now, &two, &err)); /* short, upper case */

    hub_draft        *d = draft(f, "Nothing new", "");
    hub_commit_result r;
    must(hub_draft_file(d, SNUG_LIT("b"), SNUG_LIT("1"), &err));
    must(apply(f, &f->alice, &info.id, "main", d, &r, &err));
    assert_true(r.unchanged);
    assert_true(vcs_oid_eq(&r.oid, &two));
    assert_true(head_is(f, &info.id, &two));
}

static void test_spilled_contents(void **state)
{
    enum { BIG = 9 << 20, FILES = 4 };
    fixture    *f = *state;
    snug_err    err = {0};
    hub_repo_id id = create(f, &f->alice, HUB_DATASET, "alice", "big", HUB_PUBLIC).id;
    hub_draft  *d = draft(f, "Much", "");
    char       *text = snug_alloc(BIG), name[16];

    for (int i = 0; i < FILES; i++) {
        memset(text, 'a' + i, BIG);
        text[BIG - 1] = '\n';
        snprintf(name, sizeof name, "f%d.txt", i);
        must(hub_draft_file(d, snug_str(name), snug_slice_of(text, BIG), &err));
        must(hub_draft_file(d, SNUG_LIT("small.txt"), snug_str(name),
                            &err)); /* the last one counts */
    }
    must(apply(f, &f->alice, &id, "main", d, NULL, &err));
    expect_file(f, &id, "small.txt", "f3.txt");
    for (int i = 0; i < FILES; i++) {
        memset(text, 'a' + i, BIG);
        text[BIG - 1] = '\n';
        snprintf(name, sizeof name, "f%d.txt", i);
        snug_slice got = file_at(f, &nobody, &id, "main", name);
        assert_int_equal(got.len, BIG);
        assert_memory_equal(got.ptr, text, BIG);
    }
    free(text);
}

/* ---- LFS ---- */

static snug_status put_lfs(fixture *f, const hub_actor *who, const hub_repo_id *id,
                           const char *path, const blob_id *oid, const uint64_t *size,
                           snug_err *err)
{
    hub_draft  *d = draft(f, "Add weights", "");
    snug_status st = hub_draft_lfs(d, snug_str(path), oid, size, err);
    assert_int_equal(st, SNUG_OK);
    return apply(f, who, id, "main", d, NULL, err);
}

#define MISSING "LFS pointer pointed to a file that does not exist"

static void test_lfs(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info mine = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    blob_id       blob = put_blob(f, "weights", 7), none = {0};
    uint64_t      seven = 7, eight = 8, got = 0;

    must_fail(put_lfs(f, &f->alice, &mine.id, "w.bin", &none, NULL, &err), SNUG_EINVAL, NULL,
              MISSING);
    assert_non_null(strstr(err.msg, "Offending file: - w.bin"));
    /* In the store is not enough: somebody must have put it into a repository she can read. */
    must_fail(put_lfs(f, &f->alice, &mine.id, "w.bin", &blob, &seven, &err), SNUG_EINVAL, NULL,
              MISSING);
    must(hub_link_lfs(f->h, mine.row, &blob, 7, &err));
    assert_true(hub_has_lfs(f->h, mine.row, &blob, &got));
    assert_int_equal(got, 7);
    must_fail(put_lfs(f, &f->alice, &mine.id, "w.bin", &blob, &eight, &err), SNUG_EINVAL, NULL,
              "has 7 bytes and not 8");
    must(put_lfs(f, &f->alice, &mine.id, "w.bin", &blob, NULL, &err)); /* size looked up */
    expect_file(
        f, &mine.id, "w.bin",
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c\nsize 7\n");
    assert_int_equal(info_of(f, &mine.id).used_storage, 7);
    assert_int_equal(file_at(f, &f->alice, &mine.id, "main", ".gitattributes").len,
                     1519); /* *.bin is there */
}

static void test_lfs_of_others(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info theirs = create(f, &f->alice, HUB_MODEL, "alice", "shut", HUB_PRIVATE);
    hub_repo_info mine = create(f, &f->bob, HUB_MODEL, "bob", "x", HUB_PUBLIC);
    blob_id       blob = put_blob(f, "secret weights", 14);
    char          hex[65], pointer[256];

    must(hub_link_lfs(f->h, theirs.row, &blob, 14, &err));
    must_fail(put_lfs(f, &f->bob, &mine.id, "w.bin", &blob, NULL, &err), SNUG_EINVAL, NULL,
              MISSING);
    blob_id_hex(&blob, hex); /* nor by writing the pointer as text */
    snprintf(pointer, sizeof pointer,
             "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 14\n", hex);
    must_fail(put(f, &f->bob, &mine.id, "w.bin", pointer, "", NULL, &err), SNUG_EINVAL, NULL,
              MISSING);
    assert_false(hub_has_lfs(f->h, mine.row, &blob, NULL));

    must(hub_set_visibility(f->h, &f->alice, &theirs.id, HUB_INTERNAL, &err));
    must(put_lfs(f, &f->bob, &mine.id, "w.bin", &blob, NULL,
                 &err)); /* he could download it anyway */
    assert_true(hub_has_lfs(f->h, mine.row, &blob, NULL));
    must(put(f, &f->bob, &mine.id, "again.bin", pointer, "", NULL, &err));
}

static void test_attributes_follow(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info mine = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    blob_id       blob = put_blob(f, "weights", 7);
    hub_draft    *d;
    snug_slice    text;

    must(hub_link_lfs(f->h, mine.row, &blob, 7, &err));
    d = draft(f, "Odd names", "");
    must(hub_draft_lfs(d, SNUG_LIT("dir/big file*.dat"), &blob, NULL, &err));
    must(hub_draft_lfs(d, SNUG_LIT("tokenizer.json"), &blob, NULL, &err));
    must(hub_draft_lfs(d, SNUG_LIT("other/tokenizer.json"), &blob, NULL,
                       &err)); /* covered by then */
    must(apply(f, &f->alice, &mine.id, "main", d, NULL, &err));
    text = file_at(f, &nobody, &mine.id, "main", ".gitattributes");
    assert_true(snug_ends_with(text, "*tfevents* filter=lfs diff=lfs merge=lfs -text\n"
                                     "dir/big?file?.dat filter=lfs diff=lfs merge=lfs -text\n"
                                     "tokenizer.json filter=lfs diff=lfs merge=lfs -text\n"));

    d = draft(f, "Own rules", ""); /* the rules sent along are the ones that count */
    must(hub_draft_file(d, SNUG_LIT(".gitattributes"), SNUG_LIT("*.dat filter=lfs"), &err));
    must(hub_draft_lfs(d, SNUG_LIT("new.dat"), &blob, NULL, &err));
    must(hub_draft_lfs(d, SNUG_LIT("new.bin"), &blob, NULL, &err));
    must(apply(f, &f->alice, &mine.id, "main", d, NULL, &err));
    expect_file(f, &mine.id, ".gitattributes",
                "*.dat filter=lfs\nnew.bin filter=lfs diff=lfs merge=lfs -text\n");
    d = draft(f, "No rules", "");
    must(hub_draft_delete(d, SNUG_LIT(".gitattributes"), false, &err));
    must(hub_draft_copy(d, SNUG_LIT("new.bin"), SNUG_EMPTY, SNUG_LIT("copy.bin"), &err));
    must(apply(f, &f->alice, &mine.id, "main", d, NULL, &err));
    expect_file(f, &mine.id, ".gitattributes", "copy.bin filter=lfs diff=lfs merge=lfs -text\n");
}

/* A name is a file or a folder, never both, and the last word of a draft counts. */
static void test_file_against_folder(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info mine = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    blob_id       blob = put_blob(f, "weights", 7);
    hub_draft    *d;

    must(put(f, &f->alice, &mine.id, "a", "file", "", NULL, &err));
    must(put(f, &f->alice, &mine.id, "d/x", "inner", "", NULL, &err));
    must_fail(put(f, &f->alice, &mine.id, "a/b", "inner", "", NULL, &err), SNUG_EPAYLOAD, NULL,
              "is a file");
    d = draft(f, "Folder for file", "");
    must(hub_draft_delete(d, SNUG_LIT("a"), false, &err));
    must(hub_draft_file(d, SNUG_LIT("a/b"), SNUG_LIT("inner"), &err));
    must(hub_draft_delete(d, SNUG_LIT("d"), true, &err));
    must(hub_draft_file(d, SNUG_LIT("d"), SNUG_LIT("file"), &err));
    must(apply(f, &f->alice, &mine.id, "main", d, NULL, &err));
    expect_file(f, &mine.id, "a/b", "inner");
    expect_file(f, &mine.id, "d", "file");
    expect_file(f, &mine.id, "d/x", NULL);

    d = draft(f, "Rules in LFS", "");
    must(hub_link_lfs(f->h, mine.row, &blob, 7, &err));
    must_fail(hub_draft_lfs(d, SNUG_LIT("dir/.gitattributes"), &blob, NULL, &err), SNUG_EINVAL,
              NULL, "cannot be an LFS file");
    must(hub_draft_lfs(d, SNUG_LIT("w.bin"), &blob, NULL, &err));
    must(hub_draft_copy(d, SNUG_LIT("w.bin"), SNUG_EMPTY, SNUG_LIT(".gitattributes"), &err));
    must_fail(apply(f, &f->alice, &mine.id, "main", d, NULL, &err), SNUG_EINVAL, NULL,
              "cannot be an LFS file");
}

static void test_branches_leave_the_row(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_repo     *r;
    hub_draft    *d;
    uint64_t      epoch;

    must(hub_open_repo(f->h, &f->alice, &info.id, HUB_ROLE_WRITE, f->a, &r, &err));
    must(hub_create_branch(f->h, r, SNUG_LIT("dev"), SNUG_EMPTY, false, &err));
    hub_close_repo(r);
    epoch = hub_epoch(f->h);
    d = draft(f, "On a branch", "");
    must(hub_draft_file(d, SNUG_LIT("dev.txt"), SNUG_LIT("x"), &err));
    must(apply(f, &f->alice, &info.id, "dev", d, NULL, &err));
    assert_true(hub_epoch(f->h) > epoch);
    assert_true(head_is(f, &info.id, &info.head));
    assert_true(snug_eq_str(file_at(f, &nobody, &info.id, "dev", "dev.txt"), "x"));
    expect_file(f, &info.id, "dev.txt", NULL);
}

static void test_row_follows_the_card(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_id   id = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC).id;
    hub_repo_info i;

    must(put(
        f, &f->alice, &id, "README.md",
        "---\nlicense: mit\nlibrary_name: peft\npipeline_tag: text-generation\nlanguage: [en, de]\n"
        "datasets: [squad]\nbase_model: a/b\ntags: [one, 2024]\n---\nSee "
        "https://arxiv.org/abs/2301.01234.\n",
        "", NULL, &err));
    i = info_of(f, &id);
    assert_true(snug_eq_str(
        i.tags_json,
        "[\"peft\",\"text-generation\",\"one\",\"2024\",\"en\",\"de\",\"dataset:squad\","
        "\"arxiv:2301.01234\",\"base_model:a/b\",\"base_model:adapter:a/"
        "b\",\"license:mit\",\"region:us\"]"));
    assert_true(snug_eq_str(i.pipeline_tag, "text-generation"));
    assert_true(snug_eq_str(i.library_name, "peft"));
    assert_true(snug_find(i.card_json, SNUG_LIT("\"license\":\"mit\"")) != SIZE_MAX);
    must(put(f, &f->alice, &id, "README.md", "---\na: [unclosed\n---\n", "", NULL,
             &err)); /* never blocks */
    i = info_of(f, &id);
    assert_true(snug_eq_str(i.tags_json, "[\"region:us\"]"));
    assert_int_equal(i.card_json.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spilled_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lfs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lfs_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attributes_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_against_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_branches_leave_the_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_follows_the_card, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
