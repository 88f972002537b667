/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_refs.c - branches, tags, and what preupload advises. */
#include "hub_check.h"

static hub_repo *open_as(fixture *f, const hub_actor *who, const hub_repo_id *id, hub_role need)
{
    hub_repo *r;
    snug_err  err = {0};
    must(hub_open_repo(f->h, who, id, need, f->a, &r, &err));
    return r;
}

static size_t count_refs(fixture *f, hub_repo *r, bool tags)
{
    vcs_refs refs;
    snug_err err = {0};
    must(vcs_list_refs(hub_repo_vcs(r), f->a, &refs, &err));
    return tags ? refs.tag_count : refs.branch_count;
}

static void test_branches(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    vcs_oid       second, at;
    char          hex[41];
    must(put(f, &f->alice, &info.id, "a", "b", "", &second, &err));
    hub_repo *r = open_as(f, &f->alice, &info.id, HUB_ROLE_WRITE),
             *reader = open_as(f, &f->bob, &info.id, HUB_ROLE_READ);

    vcs_oid_hex(&info.head, hex);
    must(hub_create_branch(f->h, r, SNUG_LIT("feature/one"), SNUG_EMPTY, false, &err));
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("feature/one"), &at, &err));
    assert_true(vcs_oid_eq(&at, &second));
    must_fail(hub_create_branch(f->h, r, SNUG_LIT("feature/one"), SNUG_EMPTY, false, &err),
              SNUG_ECONFLICT, NULL, "Reference refs/heads/feature/one already exists");
    must(hub_create_branch(f->h, r, SNUG_LIT("feature/one"), snug_str(hex), true,
                           &err)); /* overwrite */
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("feature/one"), &at, &err));
    assert_true(vcs_oid_eq(&at, &info.head));
    must_fail(hub_create_branch(f->h, r, SNUG_LIT("b"), SNUG_LIT("nowhere"), false, &err),
              SNUG_ENOTFOUND, "RevisionNotFound", "");
    static const char *const bad[] = {
        "refs/pr/5", "refs/foo", "HEAD", "a..b",
        "",          "-x",       "a b",  "0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        must_fail(hub_create_branch(f->h, r, snug_str(bad[i]), SNUG_EMPTY, false, &err),
                  SNUG_EINVAL, NULL, "Invalid reference for a branch");
    must_fail(hub_create_branch(f->h, reader, SNUG_LIT("mine"), SNUG_EMPTY, false, &err),
              SNUG_EFORBIDDEN, NULL, "write");
    must_fail(hub_delete_branch(f->h, reader, SNUG_LIT("feature/one"), &err), SNUG_EFORBIDDEN, NULL,
              "write");
    assert_int_equal(count_refs(f, r, false), 2);

    must_fail(hub_delete_branch(f->h, r, SNUG_LIT("main"), &err), SNUG_EINVAL, NULL,
              "Cannot delete refs/heads/main");
    must_fail(hub_delete_branch(f->h, r, SNUG_LIT("nope"), &err), SNUG_ENOTFOUND,
              "RevisionNotFound", "Invalid rev id");
    must(hub_create_tag(f->h, &f->alice, r, SNUG_LIT("main"), SNUG_LIT("v1"), SNUG_EMPTY, &err));
    must_fail(hub_delete_branch(f->h, r, SNUG_LIT("v1"), &err), SNUG_ENOTFOUND, "RevisionNotFound",
              "Invalid rev id");
    must(hub_create_branch(f->h, r, SNUG_LIT("v1"), SNUG_EMPTY, false,
                           &err)); /* may share a tag's name */
    must(hub_delete_branch(f->h, r, SNUG_LIT("v1"), &err));
    must(hub_delete_branch(f->h, r, SNUG_LIT("feature/one"), &err));
    assert_int_equal(count_refs(f, r, false), 1);

    must(hub_create_branch(f->h, r, SNUG_LIT("main"), snug_str(hex), true,
                           &err)); /* main moves: the row too */
    hub_close_repo(r);
    r = open_as(f, &f->alice, &info.id, HUB_ROLE_READ);
    assert_true(vcs_oid_eq(&hub_repo_get_info(r)->head, &info.head));
    hub_close_repo(r);
    hub_close_repo(reader);
}

static void test_tags(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_repo     *r = open_as(f, &f->alice, &info.id, HUB_ROLE_WRITE),
             *reader = open_as(f, &f->bob, &info.id, HUB_ROLE_READ);
    vcs_oid  at;
    char     hex[41];
    uint64_t epoch = hub_epoch(f->h);

    vcs_oid_hex(&info.head, hex);
    must(hub_create_tag(f->h, &f->alice, r, snug_slice_of(hex, 7), SNUG_LIT("v1.0"), SNUG_EMPTY,
                        &err));
    must(hub_create_tag(f->h, &f->alice, r, SNUG_LIT("main"), SNUG_LIT("v2.0"),
                        SNUG_LIT("with words"), &err));
    assert_true(hub_epoch(f->h) >= epoch + 2);
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("v2.0"), &at, &err));
    assert_true(vcs_oid_eq(&at, &info.head));
    must_fail(
        hub_create_tag(f->h, &f->alice, r, SNUG_LIT("main"), SNUG_LIT("v1.0"), SNUG_EMPTY, &err),
        SNUG_ECONFLICT, NULL, "already exists");
    must_fail(
        hub_create_tag(f->h, &f->alice, r, SNUG_LIT("nope"), SNUG_LIT("v3"), SNUG_EMPTY, &err),
        SNUG_ENOTFOUND, "RevisionNotFound", "");
    must_fail(
        hub_create_tag(f->h, &f->alice, r, SNUG_LIT("main"), SNUG_LIT("a b"), SNUG_EMPTY, &err),
        SNUG_EINVAL, NULL, "Invalid tag name");
    must_fail(
        hub_create_tag(f->h, &f->bob, reader, SNUG_LIT("main"), SNUG_LIT("v9"), SNUG_EMPTY, &err),
        SNUG_EFORBIDDEN, NULL, "write");
    must_fail(hub_delete_tag(f->h, reader, SNUG_LIT("v1.0"), &err), SNUG_EFORBIDDEN, NULL, "write");
    must_fail(hub_delete_tag(f->h, r, SNUG_LIT("v9"), &err), SNUG_ENOTFOUND, "RevisionNotFound",
              "Invalid rev id");
    must_fail(hub_delete_tag(f->h, r, SNUG_LIT("main"), &err), SNUG_ENOTFOUND, "RevisionNotFound",
              "Invalid rev id");
    must(hub_delete_tag(f->h, r, SNUG_LIT("v1.0"), &err));
    assert_int_equal(count_refs(f, r, true), 1);
    hub_close_repo(r);
    hub_close_repo(reader);
}

static void test_preupload(void **state)
{
    fixture          *f = *state;
    snug_err          err = {0};
    hub_repo_info     info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    blob_id           blob = put_blob(f, "weights", 7);
    char              hex[65], git[41];
    vcs_oid           commit, tip;
    hub_draft        *d = draft(f, "Files", "");
    hub_commit_result made;

    must(hub_link_lfs(f->h, info.row, &blob, 7, &err));
    must(hub_draft_lfs(d, SNUG_LIT("w.bin"), &blob, NULL, &err));
    must(hub_draft_file(d, SNUG_LIT("readme.txt"), SNUG_LIT("hello"), &err));
    must(hub_draft_file(d, SNUG_LIT(".gitignore"), SNUG_LIT("*.log\n/tmp/\n"), &err));
    must(hub_draft_file(d, SNUG_LIT("raw/.gitattributes"), SNUG_LIT("*.bin -filter\n"), &err));
    must(hub_apply_draft(f->h, &f->alice, &info.id, SNUG_LIT("main"), d, &made, &err));
    hub_draft_free(d);
    tip = made.oid;
    blob_id_hex(&blob, hex);
    snug_sha1 id = snug_git_blob_id(SNUG_LIT("hello"));
    snug_hex(id.b, 20, git);

    static const struct {
        const char *path, *sample;
        size_t      sample_len;
        uint64_t    size;
        bool        lfs, ignore;
    } cases[] = {
        {"a.safetensors", "x", 1, 10, true, false},
        {"a.safetensors", "", 0, 0, false, false}, /* empty stays regular */
        {"note.txt", "text", 4, 10, false, false},
        {"note.txt", "text", 4, (10 << 20) + 1, true, false},
        {"note.txt", "text", 4, 10 << 20, false, false},
        {"pic.png", "\x89PNG\r\n\0", 7, 100, true, false},
        {"latin.txt", "caf\xe9 x", 6, 100, true, false},
        {"cut.txt", "caf\xc3", 4, 100, false, false}, /* cut character */
        {"cut2.txt", "a\xf0\x9f\x8c", 4, 100, false, false},
        {"raw/x.bin", "text", 4, 100, false, false},
        {"deep/x.log", "t", 1, 5, false, true},
        {"tmp/a.txt", "t", 1, 5, false, true},
        {"w.bin", "weights", 7, 7, true, false},
        {"readme.txt", "hello", 5, 5, false, false},
        {"w.bin", "", 0, 0, false, false},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    hub_preupload_file files[N];
    for (size_t i = 0; i < N; i++)
        files[i] =
            (hub_preupload_file){.path = snug_str(cases[i].path),
                                 .sample = snug_slice_of(cases[i].sample, cases[i].sample_len),
                                 .size = cases[i].size};
    hub_repo *r = open_as(f, &f->alice, &info.id, HUB_ROLE_READ);
    must(hub_preupload(r, SNUG_LIT("main"), SNUG_EMPTY, SNUG_EMPTY, files, N, &commit, &err));
    assert_true(vcs_oid_eq(&commit, &tip));
    for (size_t i = 0; i < N; i++) {
        if (files[i].lfs != cases[i].lfs || files[i].ignore != cases[i].ignore)
            fail_msg("case %zu %s: lfs %d ignore %d", i, cases[i].path, files[i].lfs,
                     files[i].ignore);
    }
    assert_true(files[12].has_oid);
    assert_string_equal(files[12].oid, hex);
    assert_true(files[13].has_oid);
    assert_string_equal(files[13].oid, git);
    assert_false(files[14].has_oid || files[0].has_oid); /* other kind, and not there */

    /* Rules sent along replace the repository's. */
    hub_preupload_file two[] = {
        {.path = SNUG_LIT("a.safetensors"), .sample = SNUG_LIT("x"), .size = 9},
        {.path = SNUG_LIT("x.log"), .sample = SNUG_LIT("x"), .size = 9}};
    must(hub_preupload(r, SNUG_LIT("main"), SNUG_LIT("*.log filter=lfs\n"),
                       SNUG_LIT("*.safetensors\n"), two, 2, &commit, &err));
    assert_true(!two[0].lfs && two[0].ignore && two[1].lfs && !two[1].ignore);
    must_fail(hub_preupload(r, SNUG_LIT("nope"), SNUG_EMPTY, SNUG_EMPTY, two, 2, &commit, &err),
              SNUG_ENOTFOUND, "RevisionNotFound", "");
    two[0].path = SNUG_LIT("../x");
    assert_int_equal(
        hub_preupload(r, SNUG_LIT("main"), SNUG_EMPTY, SNUG_EMPTY, two, 2, &commit, &err),
        SNUG_EPAYLOAD);
    hub_close_repo(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_branches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_preupload, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
