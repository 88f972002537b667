/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_heal.c - the process dies at every marked point; the next start makes it whole. */
#include <dirent.h>
#include <sys/wait.h>

#include "hub_check.h"

/* Runs `work` in a child with a fault set; the child must die of SIGKILL. */
static void die_in(fixture *f, const char *fault, void (*work)(fixture *f))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_hub(f);
        snug_faults_setup(fault);
        work(f);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), 9);
}

static size_t git_folders(fixture *f)
{
    char           path[128];
    size_t         n = 0;
    struct dirent *e, *g;
    snprintf(path, sizeof path, "%s/git", f->dir);
    DIR *dir = opendir(path);
    if (dir == NULL) return 0;
    while ((e = readdir(dir)) != NULL) {
        char sub[512];
        if (strlen(e->d_name) != 2 || e->d_name[0] == '.') continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        DIR *inner = opendir(sub);
        while (inner != NULL && (g = readdir(inner)) != NULL) n += g->d_name[0] != '.';
        if (inner != NULL) closedir(inner);
    }
    closedir(dir);
    return n;
}

static size_t listed(fixture *f)
{
    hub_list_query q = {.type = HUB_MODEL, .limit = 100};
    hub_repo_info *rows;
    size_t         n;
    snug_slice     next;
    snug_err       err = {0};
    must(hub_list_repos(f->h, &f->root, &q, f->a, &rows, &n, &next, &err));
    return n;
}

static int fixture_only(void **state)
{
    *state = make_fixture();
    return 0;
}

static void work_create(fixture *f)
{
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
}

static void test_create(void **state)
{
    fixture                 *f = *state;
    static const char *const faults[] = {"hub.create.after_row=kill@1",
                                         "hub.create.after_git=kill@1"};
    for (int i = 0; i < 2; i++) {
        die_in(f, faults[i], work_create);
        assert_int_equal(git_folders(f), i); /* the second one left a folder */
        open_hub(f);
        assert_int_equal(git_folders(f), 0);
        assert_int_equal(listed(f), 0);
        hub_close(f->h);
        f->h = NULL;
    }
    open_hub(f);
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC); /* the name is free */
    assert_int_equal(listed(f), 1);
}

static void work_delete(fixture *f)
{
    snug_err    err = {0};
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    must(hub_delete_repo(f->h, &f->alice, &id, &err));
}

static void test_delete(void **state)
{
    fixture    *f = *state;
    hub_repo   *r;
    snug_err    err = {0};
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    open_hub(f);
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_close(f->h);
    die_in(f, "hub.delete.after_row=kill@1", work_delete);
    assert_int_equal(git_folders(f), 1);
    open_hub(f);
    assert_int_equal(git_folders(f), 0);
    must_fail(hub_open_repo(f->h, &f->alice, &id, HUB_ROLE_READ, f->a, &r, &err), SNUG_ENOTFOUND,
              "RepoNotFound", "");
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
}

static void work_commit(fixture *f)
{
    snug_err    err = {0};
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    must(put(f, &f->alice, &id, "README.md", "---\nlicense: mit\n---\n", "", NULL, &err));
}

static hub_repo_info look(fixture *f)
{
    snug_err    err = {0};
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    hub_repo   *r;
    vcs_oid     main_tip;
    must(hub_open_repo(f->h, &f->alice, &id, HUB_ROLE_READ, f->a, &r, &err));
    hub_repo_info info = *hub_repo_get_info(r);
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("main"), &main_tip, &err));
    assert_true(vcs_oid_eq(&main_tip, &info.head)); /* row and ref agree */
    hub_close_repo(r);
    return info;
}

static void test_commit(void **state)
{
    fixture *f = *state;
    open_hub(f);
    hub_repo_info before = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_close(f->h);

    die_in(f, "hub.commit.before_ref=kill@1", work_commit);
    open_hub(f);
    hub_repo_info info = look(f);
    assert_true(vcs_oid_eq(&info.head, &before.head)); /* as if it had not been */
    hub_close(f->h);

    die_in(f, "hub.commit.after_ref=kill@1", work_commit);
    open_hub(f);
    info = look(f);
    assert_false(vcs_oid_eq(&info.head, &before.head));
    assert_true(snug_eq_str(info.tags_json, "[\"license:mit\",\"region:us\"]"));
    assert_true(info.modified_ms > before.modified_ms);
}

/* Faults are set while no thread runs. */
static void reopen_with(fixture *f, const char *fault)
{
    hub_close(f->h);
    f->h = NULL;
    snug_faults_setup(fault);
    open_hub(f);
}

/* Failing instead of dying: the caller hears it, or the flusher brings the row after the ref. */
static void test_failures(void **state)
{
    fixture                 *f = *state;
    snug_err                 err = {0};
    hub_repo_info            info, now;
    vcs_oid                  oid;
    hub_new_repo             want = {.id = id_of(HUB_MODEL, "alice", "x")};
    static const char *const faults[] = {"hub.create.after_row=fail@1",
                                         "hub.create.after_git=fail@1"};

    for (int i = 0; i < 2; i++) {
        reopen_with(f, faults[i]);
        assert_int_equal(hub_create_repo(f->h, &f->alice, &want, f->a, &info, &err), SNUG_EIO);
        assert_int_equal(git_folders(f), 0);
        assert_int_equal(listed(f), 0);
    }
    info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    reopen_with(f, "hub.commit.before_ref=fail@1");
    assert_int_equal(put(f, &f->alice, &info.id, "a", "b", "", NULL, &err), SNUG_EIO);
    reopen_with(f, "hub.commit.after_ref=fail@1");
    must(put(f, &f->alice, &info.id, "a", "b", "", &oid, &err)); /* it landed */
    now = info;
    for (int i = 0; i < 100 && !vcs_oid_eq(&now.head, &oid); i++) {
        hub_repo *r;
        must(hub_open_repo(f->h, &f->alice, &info.id, HUB_ROLE_READ, f->a, &r, &err));
        now = *hub_repo_get_info(r);
        hub_close_repo(r);
        usleep(100000);
    }
    assert_true(vcs_oid_eq(&now.head, &oid));
    reopen_with(f, "hub.delete.after_row=fail@1");
    must(hub_delete_repo(f->h, &f->alice, &info.id, &err)); /* gone for all, cleared up later */
    assert_int_equal(git_folders(f), 1);
    reopen_with(f, NULL);
    assert_int_equal(git_folders(f), 0);
}

static void test_lost_and_found(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    char     cmd[2][256];
    open_hub(f);
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_repo     *r;
    hub_close(f->h);
    snprintf(cmd[0], sizeof cmd[0], "%s/git/%.2s/%s.git", f->dir, info.key, info.key);
    snprintf(cmd[1], sizeof cmd[1], "%s/git/%.2s/%.30szz.git", f->dir, info.key, info.key);
    assert_int_equal(rename(cmd[0], cmd[1]),
                     0); /* a row without a folder, a folder without a row */
    open_hub(f);
    must_fail(hub_open_repo(f->h, &f->alice, &info.id, HUB_ROLE_READ, f->a, &r, &err),
              SNUG_EFORBIDDEN, NULL, "Access to this resource is disabled.");
    assert_int_not_equal(access(cmd[1], F_OK), 0);
    snprintf(cmd[1], sizeof cmd[1], "%s/lost/%.30szz.git", f->dir, info.key);
    assert_int_equal(access(cmd[1], F_OK), 0); /* never destroyed */
    hub_close(f->h);
    assert_int_equal(rename(cmd[1], cmd[0]), 0); /* the admin puts it back */
    open_hub(f);
    must(hub_open_repo(f->h, &f->alice, &info.id, HUB_ROLE_READ, f->a, &r, &err));
    hub_close_repo(r);
}

/* A second process on the same folder must not heal what the first is doing. */
static void test_second_process_does_not_heal(void **state)
{
    fixture *f = *state;
    int      go[2], status;
    char     c = 0;
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        open_hub(f);
        (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
        hub_draft *d = draft(f, "open", "");
        if (write(go[1], &c, 1) != 1) _exit(3);
        sleep(1);
        hub_draft_free(d);
        hub_close(f->h);
        snug_arena_free(f->a);
        free(f);
        _exit(0);
    }
    assert_int_equal(read(go[0], &c, 1), 1);
    open_hub(f); /* joins in */
    char path[128];
    snprintf(path, sizeof path, "%s/drafts", f->dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(listed(f), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(go[0]);
    close(go[1]);
}

static size_t letters(fixture *f, const char *key)
{
    hub_delivery *list;
    size_t        n;
    snug_err      err = {0};
    must(hub_list_deliveries(f->h, &f->alice, snug_str(key), 0, 100, f->a, &list, &n, &err));
    return n;
}

static void work_branch(fixture *f)
{
    hub_repo   *r;
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    snug_err    err = {0};
    must(hub_open_repo(f->h, &f->alice, &id, HUB_ROLE_WRITE, f->a, &r, &err));
    must(hub_create_branch(f->h, r, SNUG_LIT("side"), SNUG_EMPTY, false, &err));
    hub_close_repo(r);
}

/* The ref moved and nobody could write the letter: the next start does, once. */
static void test_letter(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_hook      hook;
    hub_user      user;
    hub_watch     watch = {SNUG_LIT("model"), SNUG_LIT("alice/x")};
    hub_hook_edit e = {
        .url = SNUG_LIT("http://example.org/"), .watched = &watch, .watched_count = 1};
    open_hub(f);
    must(hub_add_user(f->h, SNUG_LIT("Alice"), SNUG_LIT("a long password"), SNUG_LIT("a@b.org"),
                      false, &user, &err));
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    must(hub_create_hook(f->h, &f->alice, &e, f->a, &hook, &err));
    const char *key = snug_arena_cstr(f->a, hook.key);
    size_t      before = letters(f, key);
    hub_close(f->h);
    die_in(f, "vcs.ref.before=kill@1", work_branch);
    open_hub(f);
    assert_int_equal(letters(f, key), before); /* it never moved */
    hub_close(f->h);
    die_in(f, "hub.ref.after=kill@1", work_branch);
    open_hub(f);
    assert_int_equal(letters(f, key), before + 1);
    hub_close(f->h);
    open_hub(f);
    assert_int_equal(letters(f, key), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_delete, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_commit, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_letter, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_failures, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_lost_and_found, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_second_process_does_not_heal, fixture_only, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
