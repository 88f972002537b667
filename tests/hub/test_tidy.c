/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_tidy.c - git's files packed anew beside writers: what is reached stays. */
#include "hub_check.h"

#include <stdatomic.h>

enum { FILES = 30, ROUNDS = 25 };

static hub_tidy_report tidy(fixture *f, uint64_t grace_ms)
{
    hub_tidy_opts   o = {.grace_ms = grace_ms, .wait_ms = 5000};
    hub_tidy_report r;
    snug_err        err = {0};
    must(hub_tidy(f->h, &o, &r, &err));
    return r;
}

static void check_sound(fixture *f, const hub_repo_info *info)
{
    snug_slice damage;
    snug_err   err = {0};
    must(vcs_verify_repo(hub_vcs(f->h), snug_str(info->key), f->a, &damage, &err));
    if (damage.len > 0) fail_msg("%.*s", SNUG_SLICE(damage));
}

static uint64_t files_of(fixture *f, const hub_repo_info *info)
{
    uint64_t packs, loose;
    snug_err err = {0};
    must(vcs_count_files(hub_vcs(f->h), snug_str(info->key), &packs, &loose, &err));
    return packs + loose;
}

static void put_many(fixture *f, const hub_repo_info *info)
{
    snug_err err = {0};
    for (int i = 0; i < FILES; i++) {
        char path[32];
        snprintf(path, sizeof path, "d%d/f", i);
        must(put(f, &f->alice, &info->id, path, path, "", NULL, &err));
    }
}

static void test_one_pack(void **state)
{
    fixture      *f = *state;
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    put_many(f, &info);
    assert_true(files_of(f, &info) > 3 * FILES);
    hub_tidy_report r = tidy(f, 0);
    assert_int_equal(r.repos, 1);
    assert_int_equal(r.dropped, 0);
    assert_int_equal(files_of(f, &info), 1);
    check_sound(f, &info);
    assert_true(snug_eq_str(file_at(f, &nobody, &info.id, "main", "d7/f"), "d7/f"));
    assert_int_equal(tidy(f, 0).repos, 0); /* nothing to do */
}

static void squash(fixture *f, const hub_repo_info *info)
{
    hub_repo *r;
    snug_err  err = {0};
    must(hub_open_repo(f->h, &f->alice, &info->id, HUB_ROLE_WRITE, f->a, &r, &err));
    must(hub_squash_branch(f->h, &f->alice, r, SNUG_LIT("main"), SNUG_EMPTY, &err));
    hub_close_repo(r);
}

static bool has_commit(fixture *f, const hub_repo_info *info, const vcs_oid *id)
{
    hub_repo *r;
    char      hex[41];
    vcs_oid   found;
    snug_err  err = {0};
    vcs_oid_hex(id, hex);
    must(hub_open_repo(f->h, &f->alice, &info->id, HUB_ROLE_READ, f->a, &r, &err));
    bool yes = vcs_resolve_rev(hub_repo_vcs(r), snug_str(hex), &found, NULL) == SNUG_OK;
    hub_close_repo(r);
    return yes;
}

static void test_left_behind(void **state)
{
    fixture      *f = *state;
    hub_repo_info info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    vcs_oid       old, pulled;
    snug_err      err = {0};
    hub_repo     *r;
    int64_t       num;

    put_many(f, &info);
    must(put(f, &f->alice, &info.id, "z", "z", "", &pulled, &err));
    must(hub_open_repo(f->h, &f->bob, &info.id, HUB_ROLE_READ, f->a, &r, &err));
    must(hub_open_talk(f->h, &f->bob, r, SNUG_LIT("Mine"), SNUG_EMPTY, true, &num, &err));
    must(put(f, &f->alice, &info.id, "later", "z", "", &old, &err));
    hub_close_repo(r);
    squash(f, &info);
    hub_tidy_report t = tidy(f, 3600000);
    assert_int_equal(t.dropped, 0);
    assert_true(t.young > 0);
    assert_int_equal(files_of(f, &info), 2); /* what is reached, and what waits */
    assert_true(has_commit(f, &info, &old));
    assert_int_equal(tidy(f, 3600000).repos, 0);
    usleep(20000);
    t = tidy(f, 1);
    assert_true(t.dropped > 0);
    assert_int_equal(t.young, 0);
    assert_int_equal(files_of(f, &info), 1);
    assert_false(has_commit(f, &info, &old));
    assert_true(has_commit(f, &info, &pulled)); /* the pull request stands on it */
    check_sound(f, &info);
    assert_true(snug_eq_str(file_at(f, &nobody, &info.id, "main", "later"), "z"));
}

/* Writers and readers beside it, and squashes that leave the same blobs behind again and again. */
typedef struct beside {
    fixture      *f;
    hub_repo_info info;
    atomic_bool   stop, pause, paused; /* git fsck needs a repository that stands still */
    int           landed;
} beside;

static void write_beside(void *arg)
{
    beside  *b = arg;
    fixture *f = b->f;
    for (int i = 0; !atomic_load(&b->stop); i++) {
        snug_err err = {0};
        char     path[32], text[32];
        snprintf(path, sizeof path, "w%d", i % 5);
        snprintf(text, sizeof text, "%d", i % 7); /* blobs come again */
        atomic_store(&b->paused, true);
        while (atomic_load(&b->pause)) usleep(1000);
        atomic_store(&b->paused, false);
        snug_status st = put(f, &f->alice, &b->info.id, path, text, "", NULL, &err);
        if (st != SNUG_OK && st != SNUG_EBUSY) fail_msg("%s (%s)", err.msg, err.cause);
        b->landed += st == SNUG_OK;
        if (i % 9 == 0) squash(f, &b->info);
    }
}

static void test_beside_writers(void **state)
{
    beside   b = {.f = *state};
    fixture *f = *state;
    uint64_t dropped = 0;
    b.info = create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    snug_thread *t = snug_thread_start("writer", 1024, write_beside, &b);
    for (int i = 0; i < ROUNDS; i++) {
        dropped += tidy(f, 0).dropped;
        if (i % 5 != 0) continue;
        atomic_store(&b.pause, true);
        while (!atomic_load(&b.paused)) usleep(1000);
        check_sound(f, &b.info);
        atomic_store(&b.pause, false);
    }
    atomic_store(&b.stop, true);
    snug_thread_join(t);
    check_sound(f, &b.info);
    assert_true(b.landed > 5);
    (void)tidy(f, 0);
    assert_int_equal(files_of(f, &b.info), 1);
    check_sound(f, &b.info);
    print_message("%d commits beside %d tidyings, %d objects removed\n", b.landed, (int)ROUNDS,
                  (int)dropped);
}

static void test_index(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    bool     more = true;
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        (void)create(f, &f->alice, HUB_MODEL, "alice", name, HUB_PUBLIC);
    }
    for (int i = 0; more; i++) {
        assert_true(i < 1000);
        must(hub_merge_index(f->h, 16, &more, &err));
    }
    hub_list_query q = {.type = HUB_MODEL, .limit = 100, .search = SNUG_LIT("r3")};
    hub_repo_info *list;
    size_t         n;
    snug_slice     next;
    must(hub_list_repos(f->h, &nobody, &q, f->a, &list, &n, &next, &err));
    assert_int_equal(n, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_pack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beside_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_index, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
