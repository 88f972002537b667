/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_pulls.c - pull requests: rights, merges, and a death at every step. */
#include <sys/wait.h>

#include "hub_check.h"

static snug_status propose(fixture *f, const hub_actor *who, const char *path, const char *text,
                           int64_t *num, snug_err *err)
{
    hub_draft        *d = draft(f, "Propose", "");
    hub_repo_id       id = id_of(HUB_MODEL, "alice", "x");
    hub_commit_result r;
    snug_status       st = hub_draft_file(d, snug_str(path), snug_str(text), err);
    if (st == SNUG_OK) st = hub_propose_draft(f->h, who, &id, SNUG_LIT("main"), d, num, &r, err);
    hub_draft_free(d);
    return st;
}

static hub_repo *open_x(fixture *f, const hub_actor *who)
{
    snug_err    err = {0};
    hub_repo   *r;
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    must(hub_open_repo(f->h, who, &id, HUB_ROLE_READ, f->a, &r, &err));
    return r;
}

static hub_talk look(fixture *f, int64_t num)
{
    snug_err  err = {0};
    hub_repo *r = open_x(f, &f->alice);
    hub_talk  t;
    must(hub_find_talk(f->h, r, num, f->a, &t, &err));
    hub_close_repo(r);
    return t;
}

static snug_status merge(fixture *f, const hub_actor *who, int64_t num, snug_err *err)
{
    vcs_oid     merged;
    hub_repo   *r = open_x(f, who);
    snug_status st = hub_merge_pull(f->h, who, r, num, SNUG_EMPTY, &merged, err);
    hub_close_repo(r);
    return st;
}

static size_t talks(fixture *f)
{
    snug_err       err = {0};
    hub_repo      *r = open_x(f, &f->alice);
    hub_talk_query q = {.kind = -1, .limit = 100};
    hub_talk      *list;
    size_t         count;
    uint64_t       total;
    must(hub_list_talks(f->h, r, &q, f->a, &list, &count, &total, &err));
    assert_int_equal(count, total);
    hub_close_repo(r);
    return count;
}

static bool has_ref(fixture *f, const char *ref)
{
    vcs_oid   id;
    hub_repo *r = open_x(f, &f->alice);
    bool      yes = vcs_resolve_rev(hub_repo_vcs(r), snug_str(ref), &id, NULL) == SNUG_OK;
    hub_close_repo(r);
    return yes;
}

static void test_rights(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    int64_t     num = 0;
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    hub_event   e;
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);

    must_fail(propose(f, &nobody, "a", "1", &num, &err), SNUG_EUNAUTH, NULL, "");
    must_fail(propose(f, &f->alice_reads, "a", "1", &num, &err), SNUG_EFORBIDDEN, NULL, "read");
    assert_int_equal(talks(f), 0);
    must(propose(f, &f->bob, "a", "1", &num, &err));
    assert_int_equal(num, 1);
    assert_null(file_at(f, &f->alice, &id, "main", "a").ptr);
    assert_true(snug_eq_str(file_at(f, &f->alice, &id, "refs/pr/1", "a"), "1"));
    must_fail(merge(f, &f->bob, 1, &err), SNUG_EFORBIDDEN, NULL, "only its owner");

    /* A third person reads, speaks, and changes nothing. */
    hub_actor carol = person(9, "carol", false, HUB_ROLE_WRITE);
    hub_repo *r = open_x(f, &carol);
    must(hub_add_comment(f->h, &carol, r, 1, SNUG_LIT("nice"), f->a, &e, &err));
    must_fail(hub_rename_talk(f->h, &carol, r, 1, SNUG_LIT("mine"), f->a, NULL, &err),
              SNUG_EFORBIDDEN, NULL, "author");
    must_fail(
        hub_set_talk_status(f->h, &carol, r, 1, HUB_TALK_CLOSED, SNUG_EMPTY, f->a, NULL, &err),
        SNUG_EFORBIDDEN, NULL, "author");
    must_fail(hub_edit_comment(f->h, &f->alice, r, 1, e.key, SNUG_LIT("x"), f->a, &e, &err),
              SNUG_EFORBIDDEN, NULL, "Only its author");
    must(hub_hide_comment(f->h, &f->alice, r, 1, e.key, f->a, &e, &err)); /* a writer may */
    assert_true(e.hidden && e.text_count == 0);
    must_fail(hub_edit_comment(f->h, &carol, r, 1, e.key, SNUG_LIT("x"), f->a, &e, &err),
              SNUG_EFORBIDDEN, NULL, "hidden");
    must_fail(hub_add_comment(f->h, &carol, r, 7, SNUG_LIT("x"), f->a, &e, &err), SNUG_ENOTFOUND,
              NULL, "no discussion or pull request 7");
    must_fail(hub_add_comment(f->h, &carol, r, 1, SNUG_LIT(" \n"), f->a, &e, &err), SNUG_EINVAL,
              NULL, "empty");
    hub_close_repo(r);

    hub_draft        *d = draft(f, "not mine", "");
    hub_commit_result res;
    must(hub_draft_file(d, SNUG_LIT("b"), SNUG_LIT("2"), &err));
    must_fail(hub_apply_draft(f->h, &carol, &id, SNUG_LIT("refs/pr/1"), d, &res, &err),
              SNUG_EFORBIDDEN, NULL, "author of pull request 1");
    must(hub_apply_draft(f->h, &f->bob, &id, SNUG_LIT("refs/pr/1"), d, &res, &err));
    hub_draft_free(d);
    must(merge(f, &f->alice, 1, &err));
    assert_int_equal(look(f, 1).status, HUB_TALK_MERGED);
    assert_true(snug_eq_str(file_at(f, &f->alice, &id, "main", "b"), "2"));
    must_fail(merge(f, &f->alice, 1, &err), SNUG_EINVAL, NULL, "is merged");
}

static void test_nothing_to_merge(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    int64_t  num;
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_repo *r = open_x(f, &f->bob);
    must(hub_open_talk(f->h, &f->bob, r, SNUG_LIT("draft"), SNUG_EMPTY, true, &num, &err));
    hub_close_repo(r);
    must_fail(merge(f, &f->alice, num, &err), SNUG_EINVAL, NULL, "draft");
    r = open_x(f, &f->alice);
    must(hub_set_talk_status(f->h, &f->alice, r, num, HUB_TALK_OPEN, SNUG_EMPTY, f->a, NULL, &err));
    hub_close_repo(r);
    must_fail(merge(f, &f->alice, num, &err), SNUG_EINVAL, NULL, "no changes");
    assert_int_equal(look(f, num).status, HUB_TALK_OPEN);
    assert_int_equal(look(f, num).merge.len, 0);
}

/* The ref moved by other means than ours: the row follows when somebody looks. */
static void test_pushed_commits_show(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    int64_t    num;
    hub_event *events;
    size_t     count;
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    must(propose(f, &f->bob, "a", "1", &num, &err));
    hub_repo  *r = open_x(f, &f->alice);
    vcs_repo  *git = hub_repo_vcs(r);
    vcs_oid    tip, next, blob;
    vcs_draft *d;
    bool       same;
    vcs_who    who = {SNUG_LIT("bob"), SNUG_LIT("bob@example.org"), 1000};
    must(vcs_resolve_rev(git, SNUG_LIT("refs/pr/1"), &tip, &err));
    must(vcs_draft_new(git, &tip, &d, &err));
    must(vcs_put_blob(git, SNUG_LIT("2"), &blob, &err));
    must(vcs_draft_put(d, SNUG_LIT("b"), &blob, &err));
    must(vcs_draft_commit(d, SNUG_LIT("pushed"), &who, &next, &same, &err));
    must(vcs_update_ref(git, SNUG_LIT("refs/pr/1"), &tip, &next, &err));
    vcs_draft_free(d);
    hub_close_repo(r);
    hub_talk t = look(f, 1);
    must(hub_list_talk_events(f->h, &t, f->a, &events, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(events[2].kind, HUB_EVENT_COMMIT);
    assert_true(snug_eq_str(events[2].first, "pushed"));
    char hex[41];
    vcs_oid_hex(&next, hex);
    assert_true(snug_eq_str(t.head, hex));
}

/* ---- deaths ---- */

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

static int fixture_only(void **state)
{
    *state = make_fixture();
    return 0;
}

static void work_propose(fixture *f)
{
    snug_err err = {0};
    int64_t  num;
    must(propose(f, &f->bob, "a", "1", &num, &err));
}

static void work_draft(fixture *f)
{
    snug_err  err = {0};
    int64_t   num;
    hub_repo *r = open_x(f, &f->bob);
    must(hub_open_talk(f->h, &f->bob, r, SNUG_LIT("draft"), SNUG_EMPTY, true, &num, &err));
}

static void work_merge(fixture *f)
{
    snug_err err = {0};
    must(merge(f, &f->alice, 1, &err));
}

static void test_deaths(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    int64_t  num;
    open_hub(f);
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    hub_close(f->h);

    die_in(f, "hub.commit.before_ref=kill@1", work_propose);
    die_in(f, "hub.pull.after_ref=kill@1", work_propose);
    die_in(f, "hub.pull.after_row=kill@1", work_draft);
    open_hub(f);
    assert_int_equal(talks(f), 0); /* never acknowledged: gone, with the ref */
    assert_false(has_ref(f, "refs/pr/1"));
    assert_false(has_ref(f, "refs/pr/2"));
    must(propose(f, &f->bob, "a", "1", &num, &err));
    assert_int_equal(num, 1); /* as if they had not been */
    hub_close(f->h);

    die_in(f, "hub.merge.before_ref=kill@1", work_merge);
    open_hub(f);
    hub_talk t = look(f, 1);
    assert_int_equal(t.status, HUB_TALK_OPEN);
    assert_int_equal(t.merge.len, 0);
    hub_close(f->h);

    die_in(f, "hub.merge.after_ref=kill@1", work_merge);
    open_hub(f);
    t = look(f, 1);
    assert_int_equal(t.status, HUB_TALK_MERGED);
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    assert_true(snug_eq_str(file_at(f, &f->alice, &id, "main", "a"), "1"));
    hub_repo *r = open_x(f, &f->alice);
    vcs_oid   tip;
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("main"), &tip, &err));
    assert_true(vcs_oid_eq(&tip, &hub_repo_get_info(r)->head)); /* row and ref agree */
    hub_close_repo(r);
}

static void test_end_of_a_repository(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    int64_t     num;
    hub_repo_id id = id_of(HUB_MODEL, "alice", "x");
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    must(propose(f, &f->bob, "a", "1", &num, &err));
    must(hub_delete_repo(f->h, &f->alice, &id, &err));
    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    assert_int_equal(talks(f), 0);
    must(propose(f, &f->bob, "a", "1", &num, &err));
    assert_int_equal(num, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pushed_commits_show, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deaths, fixture_only, teardown),
        cmocka_unit_test_setup_teardown(test_end_of_a_repository, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
