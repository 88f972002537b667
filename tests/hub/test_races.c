/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_races.c - several writers at once: nothing is lost, nobody is lied to. */
#include "hub_check.h"

enum { WRITERS = 4, ROUNDS = 6 };

typedef struct writer {
    fixture    *f;
    int         number;
    const char *parent; /* "" or a commit */
    hub_repo_id id;
    int         landed, told, other;
} writer;

static void write_files(void *arg)
{
    writer  *w = arg;
    snug_err err = {0};
    for (int i = 0; i < ROUNDS; i++) {
        char path[32];
        snprintf(path, sizeof path, "w%d/f%d", w->number, i);
        snug_status st = put(w->f, &w->f->alice, &w->id, path, "x", w->parent, NULL, &err);
        if (st == SNUG_OK)
            w->landed++;
        else if (st == SNUG_ESTALE)
            w->told++;
        else
            w->other++;
    }
}

static void run_writers(writer *w, void (*fn)(void *))
{
    snug_thread *t[WRITERS];
    for (int i = 0; i < WRITERS; i++) t[i] = snug_thread_start("writer", 1024, fn, &w[i]);
    for (int i = 0; i < WRITERS; i++) snug_thread_join(t[i]);
}

static uint64_t commits(fixture *f, const hub_repo_id *id)
{
    hub_repo *r;
    vcs_oid   tip;
    uint64_t  n;
    snug_err  err = {0};
    must(hub_open_repo(f->h, &f->alice, id, HUB_ROLE_READ, f->a, &r, &err));
    must(vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("main"), &tip, &err));
    assert_true(vcs_oid_eq(&tip, &hub_repo_get_info(r)->head)); /* the row kept up */
    must(vcs_count_commits(hub_repo_vcs(r), &tip, &n, &err));
    hub_close_repo(r);
    return n;
}

static void test_without_parent_all_land(void **state)
{
    fixture      *f = *state;
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    writer        w[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        w[i] = (writer){.f = f, .number = i, .parent = "", .id = info.id};
    run_writers(w, write_files);
    for (int i = 0; i < WRITERS; i++) assert_int_equal(w[i].landed, ROUNDS);
    assert_int_equal(commits(f, &info.id), 1 + WRITERS * ROUNDS);
    for (int i = 0; i < WRITERS; i++) {
        for (int k = 0; k < ROUNDS; k++) {
            char path[32];
            snprintf(path, sizeof path, "w%d/f%d", i, k);
            assert_true(snug_eq_str(file_at(f, &nobody, &info.id, "main", path), "x"));
        }
    }
}

static void test_same_parent_one_wins(void **state)
{
    fixture      *f = *state;
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    writer        w[WRITERS];
    char          parent[41];
    int           landed = 0, told = 0;
    vcs_oid_hex(&info.head, parent);
    for (int i = 0; i < WRITERS; i++)
        w[i] = (writer){.f = f, .number = i, .parent = parent, .id = info.id};
    run_writers(w, write_files);
    for (int i = 0; i < WRITERS; i++) {
        landed += w[i].landed;
        told += w[i].told;
        assert_int_equal(w[i].other, 0);
    }
    assert_int_equal(landed, 1);
    assert_int_equal(told, WRITERS * ROUNDS - 1);
    assert_int_equal(commits(f, &info.id), 2);
}

/* ---- a writer that does not take our lock: refs moved as git push does ---- */

static void push_files(void *arg)
{
    writer     *w = arg;
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    hub_repo   *r;
    if (hub_open_repo(w->f->h, &w->f->alice, &w->id, HUB_ROLE_WRITE, a, &r, &err) != SNUG_OK)
        return;
    for (int i = 0; i < ROUNDS;) {
        vcs_draft *d = NULL;
        vcs_oid    tip, blob, commit;
        bool       same;
        char       path[32];
        vcs_who    who = {.name = SNUG_LIT("p"), .email = SNUG_LIT("p@q"), .when_ms = 1};
        snprintf(path, sizeof path, "push%d/f%d", w->number, i);
        bool ok = vcs_resolve_rev(hub_repo_vcs(r), SNUG_LIT("main"), &tip, &err) == SNUG_OK &&
                  vcs_put_blob(hub_repo_vcs(r), SNUG_LIT("p"), &blob, &err) == SNUG_OK &&
                  vcs_draft_new(hub_repo_vcs(r), &tip, &d, &err) == SNUG_OK &&
                  vcs_draft_put(d, snug_str(path), &blob, &err) == SNUG_OK &&
                  vcs_draft_commit(d, SNUG_LIT("push"), &who, &commit, &same, &err) == SNUG_OK;
        vcs_draft_free(d);
        if (!ok) {
            w->other++;
            break;
        }
        snug_status st =
            vcs_update_ref(hub_repo_vcs(r), SNUG_LIT("refs/heads/main"), &tip, &commit, &err);
        if (st == SNUG_ESTALE) continue;
        if (st != SNUG_OK || hub_after_ref_change(w->f->h, &w->id, &err) != SNUG_OK) {
            w->other++;
            break;
        }
        w->landed++;
        i++;
    }
    hub_close_repo(r);
    snug_arena_free(a);
}

static void write_or_push(void *arg)
{
    writer *w = arg;
    if (w->number % 2 == 0)
        write_files(w);
    else
        push_files(w);
}

static void test_beside_pushes(void **state)
{
    fixture      *f = *state;
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    writer        w[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        w[i] = (writer){.f = f, .number = i, .parent = "", .id = info.id};
    run_writers(w, write_or_push);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(w[i].other, 0);
        assert_int_equal(w[i].landed, ROUNDS);
    }
    assert_int_equal(commits(f, &info.id), 1 + WRITERS * ROUNDS);
}

/* ---- creating and deleting one name ---- */

static void create_one(void *arg)
{
    writer       *w = arg;
    snug_arena   *a = snug_arena_new();
    snug_err      err = {0};
    hub_repo_info info;
    hub_new_repo  want = {.id = w->id};
    for (int i = 0; i < ROUNDS; i++) {
        snug_status st = hub_create_repo(w->f->h, &w->f->alice, &want, a, &info, &err);
        if (st == SNUG_OK)
            w->landed++;
        else if (st == SNUG_ECONFLICT)
            w->told++;
        else
            w->other++;
    }
    snug_arena_free(a);
}

static void test_one_creator_wins(void **state)
{
    fixture *f = *state;
    writer   w[WRITERS];
    int      landed = 0;
    for (int i = 0; i < WRITERS; i++)
        w[i] =
            (writer){.f = f, .number = i, .id = id_of(HUB_MODEL, "alice", i % 2 ? "NEW" : "new")};
    w[0].id.name[2] = 'x', w[1].id.name[2] = 'X';
    w[2].id = w[0].id, w[3].id = w[1].id;
    run_writers(w, create_one);
    for (int i = 0; i < WRITERS; i++) {
        landed += w[i].landed;
        assert_int_equal(w[i].other, 0);
    }
    assert_int_equal(landed, 1);
}

static void churn(void *arg)
{
    writer       *w = arg;
    snug_arena   *a = snug_arena_new();
    snug_err      err = {0};
    hub_repo_info info;
    hub_new_repo  want = {.id = w->id};
    for (int i = 0; i < ROUNDS; i++) {
        snug_status st;
        if (w->number == 0)
            st = hub_create_repo(w->f->h, &w->f->alice, &want, a, &info, &err);
        else if (w->number == 1)
            st = hub_delete_repo(w->f->h, &w->f->alice, &w->id, &err);
        else if (w->number == 2)
            st = put(w->f, &w->f->alice, &w->id, "a", i % 2 ? "x" : "y", "", NULL, &err);
        else
            st = hub_set_visibility(w->f->h, &w->f->alice, &w->id, i % 2 ? HUB_PUBLIC : HUB_PRIVATE,
                                    &err);
        if (st != SNUG_OK && st != SNUG_ECONFLICT && st != SNUG_ENOTFOUND) {
            w->other++;
            print_message("churn %d: %s %s %s\n", w->number, snug_status_name(st), err.msg,
                          err.cause);
        }
    }
    snug_arena_free(a);
}

static void test_churn(void **state)
{
    fixture *f = *state;
    writer   w[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        w[i] = (writer){.f = f, .number = i, .id = id_of(HUB_MODEL, "alice", "churn")};
    run_writers(w, churn);
    for (int i = 0; i < WRITERS; i++) assert_int_equal(w[i].other, 0);
}

/* A reader never sees an older row after a writer was answered. */
static void test_cache_is_never_behind(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    for (int i = 0; i < 50; i++) {
        hub_repo *r;
        must(hub_set_visibility(f->h, &f->alice, &info.id, i % 2 ? HUB_PUBLIC : HUB_PRIVATE, &err));
        snug_status st = hub_open_repo(f->h, &f->bob, &info.id, HUB_ROLE_READ, f->a, &r, &err);
        assert_int_equal(st, i % 2 ? SNUG_OK : SNUG_ENOTFOUND);
        if (st == SNUG_OK) hub_close_repo(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_parent_all_land, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_parent_one_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beside_pushes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_creator_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_churn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_is_never_behind, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
