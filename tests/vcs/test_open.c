/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_open.c - repositories come and go; handles; leftovers; no foreign configuration.
 */
#include "fixture.h"

#include <dirent.h>

static void path_of(char out[256], const fixture *f, const char *name)
{
    (void)snprintf(out, 256, "%s/%s", f->git_dir, name);
}

static void touch(const char *path, time_t when)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    struct timespec t[2] = {{when, 0}, {when, 0}};
    if (when != 0) assert_int_equal(futimens(fd, t), 0);
    (void)close(fd);
}

static void test_create_and_remove(void **state)
{
    fixture *f = *state;
    assert_true(vcs_repo_exists(f->v, KEY));
    assert_false(vcs_repo_exists(f->v, SNUG_LIT("nothere00")));
    FAILS(SNUG_ECONFLICT, vcs_create_repo(f->v, KEY, err));
    assert_fsck_clean(f->r);

    char *text = GIT(vcs_repo_path(f->r), "symbolic-ref", "HEAD");
    assert_string_equal(text, "refs/heads/main\n");
    free(text);
    text = GIT(vcs_repo_path(f->r), "config", "receive.fsckObjects");
    assert_string_equal(text, "true\n");
    free(text);

    OK(vcs_remove_repo(f->v, KEY, err));
    assert_false(vcs_repo_exists(f->v, KEY));
    FAILS(SNUG_ENOTFOUND, vcs_remove_repo(f->v, KEY, err));
    vcs_repo *r = NULL;
    FAILS(SNUG_ENOTFOUND, vcs_acquire(f->v, KEY, &r, err));
    /* Nothing but the lock and the folder of the first two letters is left. */
    DIR           *d = opendir(f->git_dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') continue;
        assert_true(strcmp(e->d_name, "owner.lock") == 0 || strcmp(e->d_name, "ab") == 0);
    }
    (void)closedir(d);

    /* The same name again is another repository: the handle from before must not come back. */
    OK(vcs_create_repo(f->v, KEY, err));
    vcs_release(f->r);
    f->r = NULL;
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    vcs_draft *draft = draft_on(f->r, NULL);
    draft_text(f->r, draft, "x", "x");
    (void)land(f->r, draft, "refs/heads/main", NULL, "again", 1);
    assert_fsck_clean(f->r);
}

static void test_bad_keys(void **state)
{
    fixture          *f = *state;
    static const char long_key[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const char *bad[] = {"",          "short12",   "../../../../etc", "ABCDEFGH1",
                         "abcd/efgh", "abcdefg.h", "abcdefgh\n",      long_key};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vcs_repo *r = NULL;
        FAILS(SNUG_EINTERNAL, vcs_create_repo(f->v, snug_str(bad[i]), err));
        FAILS(SNUG_ENOTFOUND, vcs_acquire(f->v, snug_str(bad[i]), &r, err));
        assert_false(vcs_repo_exists(f->v, snug_str(bad[i])));
    }
    snug_slice ok64 = snug_slice_of(long_key, 64);
    OK(vcs_create_repo(f->v, ok64, err));
    assert_true(vcs_repo_exists(f->v, ok64));
}

static void test_handles(void **state)
{
    fixture  *f = *state;
    vcs_repo *many[100] = {0};
    /* Handles of one repository at once are different; a released one is used again. */
    for (size_t i = 0; i < 100; i++) {
        OK(vcs_acquire(f->v, KEY, &many[i], err));
        for (size_t k = 0; k < i; k++) assert_ptr_not_equal(many[i], many[k]);
    }
    for (size_t i = 0; i < 100; i++) vcs_release(many[i]);
    vcs_repo *again = NULL;
    OK(vcs_acquire(f->v, KEY, &again, err));
    bool reused = false;
    for (size_t i = 0; i < 100; i++) reused = reused || many[i] == again;
    assert_true(reused);
    vcs_release(again);
    vcs_release(NULL);

    /* The bound, and that it is one of use and not of repositories. */
    static vcs_repo *all[1100];
    size_t           n = 0;
    snug_err         busy = {0};
    snug_status      st;
    while ((st = vcs_acquire(f->v, KEY, &all[n], &busy)) == SNUG_OK) n++;
    assert_int_equal(st, SNUG_EBUSY);
    assert_int_equal(n, 1023); /* the fixture holds one */
    for (size_t i = 0; i < n; i++) vcs_release(all[i]);
    OK(vcs_acquire(f->v, KEY, &again, err));
    vcs_release(again);
}

static void test_leftovers(void **state)
{
    fixture *f = *state;
    char     path[256], lock[256], young[256], quarantine[256];
    vcs_release(f->r);
    f->r = NULL;

    path_of(path, f, "tmp-0123456789abcdef");
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(quarantine, f, "ab/abcdefgh01.git/objects/tmp_objdir-incoming-x");
    assert_int_equal(mkdir(quarantine, 0700), 0);
    path_of(lock, f, "ab/abcdefgh01.git/refs/heads/main.lock");
    touch(lock, 0);
    path_of(young, f, "ab/abcdefgh01.git/objects/pack/pack-aa.pack");
    touch(young, 0);

    /* Not ours to remove: the process that made them is still there, as far as the vcs knows. */
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    vcs_release(f->r);
    f->r = NULL;
    assert_int_equal(access(lock, F_OK), 0);
    assert_int_equal(access(path, F_OK), 0);

    /* A second vcs on the folder is a guest and removes nothing either. */
    vcs *guest = NULL;
    usleep(20000);
    OK(vcs_open(f->git_dir, &guest, err));
    OK(vcs_acquire(guest, KEY, &f->r, err));
    vcs_release(f->r);
    f->r = NULL;
    vcs_close(guest);
    assert_int_equal(access(lock, F_OK), 0);
    assert_int_equal(access(path, F_OK), 0);

    /* A new owner removes what is older than itself. */
    vcs_close(f->v);
    OK(vcs_open(f->git_dir, &f->v, err));
    assert_int_equal(access(path, F_OK), -1);
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(access(young, F_OK), -1);
    assert_int_equal(access(quarantine, F_OK), -1);
}

/* A repository found half-made after a crash is not there; the next try works. */
static void test_killed_while_creating(void **state)
{
    fixture *f = *state;
    pid_t    pid = fork();
    if (pid == 0) {
        snug_faults_setup("vcs.create=kill@1");
        snug_err err;
        (void)!vcs_create_repo(f->v, SNUG_LIT("zzzzzzzz99"), &err);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(vcs_repo_exists(f->v, SNUG_LIT("zzzzzzzz99")));
    OK(vcs_create_repo(f->v, SNUG_LIT("zzzzzzzz99"), err));
}

static void test_no_foreign_config(void **state)
{
    fixture *f = *state;
    char     path[256];
    (void)snprintf(path, sizeof path, "%s/.gitconfig", f->root);
    OK(snug_write_file_atomic(path, SNUG_LIT("[core\nthis is no configuration"), 0600, err));
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "x", "x\n");
    (void)land(f->r, d, "refs/heads/main", NULL, "x", 1);
    vcs_repo *r = NULL;
    OK(vcs_acquire(f->v, KEY, &r, err)); /* opened afresh: the fixture holds the first one */
    vcs_oid id;
    OK(vcs_resolve_rev(r, SNUG_LIT("main"), &id, err));
    vcs_release(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_and_remove, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_bad_keys, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_handles, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_leftovers, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_killed_while_creating, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_foreign_config, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
