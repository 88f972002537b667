/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_repos.c - create, see, move, hide, delete; private equals absent everywhere. */
#include "hub_check.h"

static snug_status open_close(fixture *f, const hub_actor *who, const hub_repo_id *id,
                              hub_role need, snug_err *err)
{
    hub_repo   *r;
    snug_status st = hub_open_repo(f->h, who, id, need, f->a, &r, err);
    if (st == SNUG_OK) hub_close_repo(r);
    return st;
}

static void test_create(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "Bert", HUB_PUBLIC), other;
    hub_repo     *r;
    vcs_commit    c;

    assert_string_equal(info.id.ns, "Alice"); /* the owner's spelling */
    assert_string_equal(info.id.name, "Bert");
    assert_int_equal(strlen(info.oid24), 24);
    assert_int_equal(strlen(info.key), 32);
    assert_true(snug_eq_str(info.tags_json, "[\"region:us\"]"));
    assert_int_equal(file_at(f, &nobody, &info.id, "main", ".gitattributes").len, 1519);
    assert_null(file_at(f, &nobody, &info.id, "main", "README.md").ptr);
    must(hub_open_repo(f->h, &nobody, &info.id, HUB_ROLE_READ, f->a, &r, &err));
    must(vcs_read_commit(hub_repo_vcs(r), &info.head, f->a, &c, &err));
    assert_true(snug_eq_str(c.title, "initial commit"));
    assert_true(snug_eq_str(c.author, "Alice"));
    assert_int_equal(c.parent_count, 0);
    hub_close_repo(r);

    hub_new_repo again = {.id = id_of(HUB_MODEL, "ALICE", "bert")};
    must_fail(hub_create_repo(f->h, &f->alice, &again, f->a, &other, &err), SNUG_ECONFLICT, NULL,
              "You already created this model repo");
    again.id.type = HUB_DATASET; /* the same id once per type */
    again.license = SNUG_LIT("mit");
    must(hub_create_repo(f->h, &f->alice, &again, f->a, &other, &err));
    assert_int_equal(file_at(f, &nobody, &other.id, "main", ".gitattributes").len, 2504);
    assert_true(snug_eq_str(file_at(f, &nobody, &other.id, "main", "README.md"),
                            "---\nlicense: mit\n---\n"));
    assert_true(snug_eq_str(other.tags_json, "[\"license:mit\",\"region:us\"]"));

    again.license = SNUG_LIT("gpl-9");
    again.id = id_of(HUB_MODEL, "alice", "new");
    must_fail(hub_create_repo(f->h, &f->alice, &again, f->a, &other, &err), SNUG_EINVAL, NULL,
              "license id");
    again.license = SNUG_EMPTY;
    must_fail(hub_create_repo(f->h, &nobody, &again, f->a, &other, &err), SNUG_EUNAUTH, NULL,
              "Invalid username");
    must_fail(hub_create_repo(f->h, &f->alice_reads, &again, f->a, &other, &err), SNUG_EFORBIDDEN,
              NULL, "only read");
    must_fail(hub_create_repo(f->h, &f->bob, &again, f->a, &other, &err), SNUG_EFORBIDDEN, NULL,
              "namespace \"alice\"");
    must(hub_create_repo(f->h, &f->root, &again, f->a, &other, &err));
}

static void test_spaces(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info;
    hub_new_repo  want = {.id = id_of(HUB_SPACE, "alice", "demo")};

    must_fail(hub_create_repo(f->h, &f->alice, &want, f->a, &info, &err), SNUG_EINVAL, NULL,
              "needs an sdk");
    want.sdk = SNUG_LIT("static");
    want.license = SNUG_LIT("apache-2.0");
    must(hub_create_repo(f->h, &f->alice, &want, f->a, &info, &err));
    assert_true(snug_eq_str(info.sdk, "static"));
    assert_true(snug_eq_str(info.tags_json, "[\"static\",\"license:apache-2.0\",\"region:us\"]"));
    assert_int_equal(file_at(f, &nobody, &info.id, "main", ".gitattributes").len, 1519);
    snug_slice readme = file_at(f, &nobody, &info.id, "main", "README.md");
    assert_true(snug_find(readme, SNUG_LIT("\nsdk: static\n")) != SIZE_MAX);
    assert_true(snug_find(readme, SNUG_LIT("title: \"demo\"")) != SIZE_MAX);
    assert_true(file_at(f, &nobody, &info.id, "main", "index.html").len > 0);
    assert_true(file_at(f, &nobody, &info.id, "main", "style.css").len > 0);
    assert_true(snug_find(info.card_json, SNUG_LIT("\"colorFrom\":\"green\"")) != SIZE_MAX);
}

/* Every function that names a repository says the same of a private one and of none. */
static void test_private_equals_absent(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info shut = create(f, &f->alice, HUB_MODEL, "alice", "secret", HUB_PRIVATE);
    hub_repo_id   none = id_of(HUB_MODEL, "alice", "nothing"), to = id_of(HUB_MODEL, "bob", "mine");
    const hub_repo_id *ids[] = {&shut.id, &none};

    for (int i = 0; i < 2; i++) {
        const hub_repo_id *id = ids[i];
        hub_repo_id        now;
        bool               moved;
        vcs_oid            oid;
        for (hub_role need = HUB_ROLE_READ; need <= HUB_ROLE_ADMIN; need++) {
            must_fail(open_close(f, &nobody, id, need, &err), SNUG_EUNAUTH, "RepoNotFound",
                      "Invalid username or password.");
            must_fail(open_close(f, NULL, id, need, &err), SNUG_EUNAUTH, "RepoNotFound",
                      "Invalid username or password.");
            must_fail(open_close(f, &f->bob, id, need, &err), SNUG_ENOTFOUND, "RepoNotFound",
                      "Repository not found");
        }
        must_fail(hub_delete_repo(f->h, &nobody, id, &err), SNUG_EUNAUTH, "RepoNotFound",
                  "Invalid username");
        must_fail(hub_delete_repo(f->h, &f->bob, id, &err), SNUG_ENOTFOUND, "RepoNotFound",
                  "Repository not found");
        must_fail(hub_move_repo(f->h, &f->bob, id, &to, &err), SNUG_ENOTFOUND, "RepoNotFound",
                  "Repository not found");
        must_fail(hub_set_visibility(f->h, &f->bob, id, HUB_PUBLIC, &err), SNUG_ENOTFOUND,
                  "RepoNotFound", "Repository not found");
        must_fail(put(f, &f->bob, id, "x", "y", "", &oid, &err), SNUG_ENOTFOUND, "RepoNotFound",
                  "Repository not found");
        must_fail(put(f, &nobody, id, "x", "y", "", &oid, &err), SNUG_EUNAUTH, "RepoNotFound",
                  "Invalid username");
        must(hub_find_moved(f->h, &f->bob, id, &now, &moved, &err));
        assert_false(moved);
    }
    hub_repo_id shout = id_of(HUB_MODEL, "ALICE", "SECRET"),
                now; /* its spelling is a secret, too */
    bool moved;
    must(hub_find_moved(f->h, &f->bob, &shout, &now, &moved, &err));
    assert_false(moved);
    must(hub_find_moved(f->h, &f->alice, &shout, &now, &moved, &err));
    assert_true(moved);
    assert_string_equal(now.name, "secret");
    must(open_close(f, &f->alice, &shut.id, HUB_ROLE_WRITE, &err));
    must(open_close(f, &f->alice_reads, &shut.id, HUB_ROLE_READ, &err));
    must(open_close(f, &f->root, &shut.id, HUB_ROLE_WRITE, &err));
}

static void test_readers_and_writers(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info open = create(f, &f->alice, HUB_MODEL, "alice", "open", HUB_PUBLIC);
    hub_repo_info team = create(f, &f->alice, HUB_MODEL, "alice", "team", HUB_INTERNAL);

    must(open_close(f, &nobody, &open.id, HUB_ROLE_READ, &err));
    must_fail(open_close(f, &nobody, &open.id, HUB_ROLE_WRITE, &err), SNUG_EUNAUTH, NULL,
              "Invalid username");
    must_fail(open_close(f, &f->bob, &open.id, HUB_ROLE_WRITE, &err), SNUG_EFORBIDDEN, NULL,
              "You can read Alice/open but not change it");
    must_fail(open_close(f, &f->alice_reads, &open.id, HUB_ROLE_WRITE, &err), SNUG_EFORBIDDEN, NULL,
              "This token can only read");
    must_fail(open_close(f, &nobody, &team.id, HUB_ROLE_READ, &err), SNUG_EUNAUTH, "RepoNotFound",
              "Invalid username");
    must(open_close(f, &f->bob, &team.id, HUB_ROLE_READ, &err));
    must_fail(open_close(f, &f->bob, &team.id, HUB_ROLE_WRITE, &err), SNUG_EFORBIDDEN, NULL,
              "not change");

    must(hub_set_visibility(f->h, &f->alice, &open.id, HUB_PRIVATE, &err));
    must_fail(open_close(f, &f->bob, &open.id, HUB_ROLE_READ, &err), SNUG_ENOTFOUND, "RepoNotFound",
              "Repository not found");
    must(hub_set_visibility(f->h, &f->root, &open.id, HUB_PUBLIC, &err));
    must(open_close(f, &f->bob, &open.id, HUB_ROLE_READ, &err));
    hub_repo_id loud = id_of(HUB_MODEL, "aLICE", "OPEN"); /* any spelling is a direct hit */
    must(open_close(f, &nobody, &loud, HUB_ROLE_READ, &err));
}

static void expect_moved(fixture *f, const char *from, const char *to)
{
    snug_err    err = {0};
    hub_repo_id id = id_of(HUB_MODEL, "Alice", from), now;
    bool        moved;
    must(hub_find_moved(f->h, &nobody, &id, &now, &moved, &err));
    if (to == NULL) {
        assert_false(moved);
    } else {
        assert_true(moved);
        assert_string_equal(now.name, to);
        must_fail(open_close(f, &nobody, &id, HUB_ROLE_READ, &err), SNUG_EUNAUTH, "RepoNotFound",
                  "Invalid");
    }
}

static void test_moves(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info a = create(f, &f->alice, HUB_MODEL, "alice", "one", HUB_PUBLIC);
    hub_repo_id   one = id_of(HUB_MODEL, "alice", "one"), two = id_of(HUB_MODEL, "alice", "two"),
                three = id_of(HUB_MODEL, "alice", "three"), bobs = id_of(HUB_MODEL, "bob", "one");
    uint64_t epoch = hub_epoch(f->h);

    must(hub_move_repo(f->h, &f->alice, &one, &two, &err));
    assert_true(hub_epoch(f->h) > epoch);
    must(hub_move_repo(f->h, &f->alice, &two, &three, &err));
    expect_moved(f, "one", "three");
    expect_moved(f, "two", "three");
    must_fail(hub_move_repo(f->h, &f->alice, &three, &bobs, &err), SNUG_EFORBIDDEN, NULL,
              "namespace");
    must_fail(hub_move_repo(f->h, &f->bob, &three, &bobs, &err), SNUG_EFORBIDDEN, NULL,
              "not change");
    must(hub_move_repo(f->h, &f->alice, &three, &one, &err)); /* back home */
    expect_moved(f, "one", NULL);
    expect_moved(f, "two", "one");
    expect_moved(f, "three", "one");
    (void)create(f, &f->alice, HUB_MODEL, "alice", "Two", HUB_PUBLIC); /* takes the old id */
    must_fail(hub_move_repo(f->h, &f->alice, &one, &two, &err), SNUG_ECONFLICT, NULL,
              "A model repository called Alice/two already exists");
    expect_moved(f, "Two", NULL);
    must(hub_move_repo(f->h, &f->root, &one, &bobs, &err));
    must(open_close(f, &f->bob, &bobs, HUB_ROLE_WRITE, &err));
    must_fail(open_close(f, &f->alice, &bobs, HUB_ROLE_WRITE, &err), SNUG_EFORBIDDEN, NULL,
              "not change");
    hub_repo_id data = id_of(HUB_DATASET, "bob", "one");
    must_fail(hub_move_repo(f->h, &f->bob, &bobs, &data, &err), SNUG_EINVAL, NULL, "type");
    assert_int_equal(file_at(f, &nobody, &bobs, "main", ".gitattributes").len, 1519);
    (void)a;
}

static void test_private_redirect_is_silent(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    hub_repo_id one = id_of(HUB_MODEL, "alice", "one"), two = id_of(HUB_MODEL, "alice", "two"), now;
    bool        moved;
    (void)create(f, &f->alice, HUB_MODEL, "alice", "one", HUB_PRIVATE);
    must(hub_move_repo(f->h, &f->alice, &one, &two, &err));
    must(hub_find_moved(f->h, &f->bob, &one, &now, &moved, &err));
    assert_false(moved);
    must(hub_find_moved(f->h, &f->alice, &one, &now, &moved, &err));
    assert_true(moved);
}

static void test_delete(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info a = create(f, &f->alice, HUB_MODEL, "alice", "gone", HUB_PUBLIC);
    hub_repo_id   was = id_of(HUB_MODEL, "alice", "was");
    char          path[128];

    must_fail(hub_delete_repo(f->h, &f->bob, &a.id, &err), SNUG_EFORBIDDEN, NULL, "not change");
    must_fail(hub_delete_repo(f->h, &f->alice_reads, &a.id, &err), SNUG_EFORBIDDEN, NULL,
              "only read");
    must(hub_move_repo(f->h, &f->alice, &a.id, &was, &err));
    must(hub_delete_repo(f->h, &f->alice, &was, &err));
    must_fail(open_close(f, &f->alice, &was, HUB_ROLE_READ, &err), SNUG_ENOTFOUND, "RepoNotFound",
              "Repository not found");
    must_fail(hub_delete_repo(f->h, &f->alice, &was, &err), SNUG_ENOTFOUND, "RepoNotFound",
              "Repository not found");
    expect_moved(f, "gone", NULL);
    snprintf(path, sizeof path, "%s/git/%.2s/%s.git", f->dir, a.key, a.key);
    assert_int_not_equal(access(path, F_OK), 0);
    hub_repo_info b =
        create(f, &f->alice, HUB_MODEL, "alice", "was", HUB_PUBLIC); /* the name is free */
    assert_int_not_equal(a.row, b.row);
    assert_string_not_equal(a.key, b.key);
}

static void test_read_only_server(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info a = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_opts      o = {.data_dir = f->dir, .read_only = true};
    hub_new_repo  want = {.id = id_of(HUB_MODEL, "alice", "y")};
    vcs_oid       oid;

    hub_close(f->h);
    must(hub_open(&o, &f->h, &err));
    must(open_close(f, &f->alice, &a.id, HUB_ROLE_READ, &err));
    must_fail(open_close(f, &f->alice, &a.id, HUB_ROLE_WRITE, &err), SNUG_EFORBIDDEN, NULL,
              "read-only");
    must_fail(hub_create_repo(f->h, &f->alice, &want, f->a, &a, &err), SNUG_EFORBIDDEN, NULL,
              "read-only");
    must_fail(put(f, &f->alice, &a.id, "x", "y", "", &oid, &err), SNUG_EFORBIDDEN, NULL,
              "read-only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_private_equals_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers_and_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_private_redirect_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only_server, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
