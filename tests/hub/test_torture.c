/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_torture.c - every fault point below the hub, one pass after another, failing or
 * killing: whatever was acknowledged is there after the next start, and rows and folders agree. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "hub_check.h"

static int count_git(const fixture *f)
{
    char           path[128];
    int            n = 0;
    struct dirent *e, *g;
    snprintf(path, sizeof path, "%s/git", f->dir);
    DIR *dir = opendir(path);
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char sub[512];
        if (strlen(e->d_name) != 2 || e->d_name[0] == '.') continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        DIR *inner = opendir(sub);
        while (inner != NULL && (g = readdir(inner)) != NULL) n += g->d_name[0] != '.';
        if (inner != NULL) closedir(inner);
    }
    if (dir != NULL) closedir(dir);
    return n;
}

/* Says a letter for each step that was acknowledged: c(reate) 1 2 (commits) d(elete) m(ove). */
static void steps(fixture *f, int out)
{
    snug_err      err = {0};
    hub_opts      o = {.data_dir = f->dir};
    hub_repo_info info;
    hub_new_repo  want = {.id = id_of(HUB_MODEL, "alice", "new")};
    hub_repo_id   old = id_of(HUB_MODEL, "alice", "old"), from = id_of(HUB_MODEL, "alice", "from"),
                to = id_of(HUB_MODEL, "alice", "to");
    if (hub_open(&o, &f->h, &err) != SNUG_OK) return;
    if (hub_create_repo(f->h, &f->alice, &want, f->a, &info, &err) == SNUG_OK)
        (void)!write(out, "c", 1);
    if (put(f, &f->alice, &want.id, "one", "1", "", NULL, &err) == SNUG_OK)
        (void)!write(out, "1", 1);
    if (put(f, &f->alice, &want.id, "two", "2", "", NULL, &err) == SNUG_OK)
        (void)!write(out, "2", 1);
    if (hub_delete_repo(f->h, &f->alice, &old, &err) == SNUG_OK) (void)!write(out, "d", 1);
    if (hub_move_repo(f->h, &f->alice, &from, &to, &err) == SNUG_OK) (void)!write(out, "m", 1);
    hub_close(f->h);
}

static bool is_there(fixture *f, const char *name)
{
    hub_repo   *r;
    snug_err    err = {0};
    vcs_oid     tip;
    hub_repo_id id = id_of(HUB_MODEL, "alice", name);
    snug_status st = hub_open_repo(f->h, &f->alice, &id, HUB_ROLE_READ, f->a, &r, &err);
    if (st == SNUG_ENOTFOUND) return false;
    assert_int_equal(st, SNUG_OK);
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("main"), &tip, &err));
    assert_true(vcs_oid_eq(&tip, &hub_repo_get_info(r)->head));
    hub_close_repo(r);
    return true;
}

static void check_acknowledged(fixture *f, const char *fault, const char *said)
{
    hub_repo_id id = id_of(HUB_MODEL, "alice", "new");
    bool        made = is_there(f, "new"), kept = is_there(f, "old");
    bool        from = is_there(f, "from"), to = is_there(f, "to");

    if (strchr(said, 'c') != NULL && !made) fail_msg("%s: created, and lost", fault);
    if (strchr(said, 'd') != NULL && kept) fail_msg("%s: deleted, and back", fault);
    if (from == to || (strchr(said, 'm') != NULL && from)) fail_msg("%s: move half done", fault);
    if (made) {
        assert_true(file_at(f, &nobody, &id, "main", ".gitattributes").len == 1519);
        for (const char *n = "12"; *n != '\0'; n++) {
            snug_slice got = file_at(f, &nobody, &id, "main", *n == '1' ? "one" : "two");
            if (got.ptr == NULL && strchr(said, *n) != NULL) fail_msg("%s: commit lost", fault);
            if (got.ptr != NULL) assert_true(got.len == 1 && got.ptr[0] == *n);
        }
    }
    assert_int_equal(count_git(f), made + kept + 1);
}

static bool run_once(const char *fault)
{
    fixture *f = make_fixture();
    void    *state = f;
    char     said[16] = "";
    int      ends[2], status;
    bool     killed;

    open_hub(f);
    (void)create(f, &f->alice, HUB_MODEL, "alice", "old", HUB_PUBLIC);
    (void)create(f, &f->alice, HUB_MODEL, "alice", "from", HUB_PUBLIC);
    hub_close(f->h);
    f->h = NULL;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        snug_faults_setup(fault);
        steps(f, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    for (size_t n = 0; n < sizeof said - 1 && read(ends[0], said + n, 1) == 1;) n++;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    killed = WIFSIGNALED(status);
    if (killed ? WTERMSIG(status) != 9 : WEXITSTATUS(status) != 0)
        fail_msg("%s: the child ended with %x", fault, (unsigned)status);
    open_hub(f);
    check_acknowledged(f, fault, said);
    bool all = strcmp(said, "c12dm") == 0;
    assert_int_equal(teardown(&state), 0);
    return all;
}

/* Pass n of a point; done when nothing happened any more: the work has no n-th pass. */
static void torture(const char *point)
{
    enum { PASSES_MAX = 60 };
    static const char *const modes[] = {"fail", "kill"};
    for (int m = 0; m < 2; m++) {
        int n = 1, quiet = 0;
        while (n <= PASSES_MAX && quiet < 2) { /* a failure may be outlived, so ask twice */
            char fault[64];
            snprintf(fault, sizeof fault, "%s=%s@%d", point, modes[m], n);
            quiet = run_once(fault) ? quiet + 1 : 0;
            n++;
        }
        assert_true(m == 0 || n > 3); /* the point was reached: it killed */
    }
}

static const char *const points[] = {
    "db.begin",
    "db.commit",
    "vcs.create",
    "vcs.objects",
    "vcs.ref.before",
    "vcs.ref.after",
    "vcs.loose.rename",
    "vcs.remove",
    "hub.create.after_row",
    "hub.create.after_git",
    "hub.commit.before_ref",
    "hub.commit.after_ref",
    "hub.delete.after_row",
};

static void test_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) torture(points[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
