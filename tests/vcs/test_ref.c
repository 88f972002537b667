/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_ref.c - names of commits, compare-and-swap, tags, listing; git agrees. */
#include "fixture.h"

static vcs_oid commit_on(vcs_repo *r, const vcs_oid *base, const char *text, int64_t when)
{
    vcs_oid    id;
    bool       unchanged;
    vcs_draft *d = draft_on(r, base);
    vcs_who    who = ada;
    who.when_ms = when * 1000;
    draft_text(r, d, "file", text);
    OK(vcs_draft_commit(d, snug_str(text), &who, &id, &unchanged, err));
    vcs_draft_free(d);
    return id;
}

static void expect_rev(vcs_repo *r, const char *rev, const vcs_oid *want)
{
    vcs_oid  got;
    snug_err err = {0};
    ok_at(vcs_resolve_rev(r, snug_str(rev), &got, &err), &err, rev, 0);
    assert_string_equal(hex_of(&got), hex_of(want));
}

static void expect_no_rev(vcs_repo *r, snug_slice rev)
{
    vcs_oid  got;
    snug_err err = {0};
    assert_int_equal(vcs_resolve_rev(r, rev, &got, &err), SNUG_ENOTFOUND);
    assert_string_equal(err.code, "RevisionNotFound");
}

static void test_resolve(void **state)
{
    fixture *f = *state;
    expect_no_rev(f->r, SNUG_LIT("main"));
    expect_no_rev(f->r, SNUG_LIT("HEAD"));
    vcs_oid a = commit_on(f->r, NULL, "a", 1), b = commit_on(f->r, &a, "b", 2);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), NULL, &b, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/pr/7"), NULL, &a, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/convert/parquet"), NULL, &a, err));
    OK(vcs_create_tag(f->r, SNUG_LIT("v1"), &a, SNUG_EMPTY, &ada, err));
    OK(vcs_create_tag(f->r, SNUG_LIT("v2"), &a, SNUG_LIT("Second"), &ada, err));
    OK(vcs_create_tag(f->r, SNUG_LIT("main"), &a, SNUG_EMPTY, &ada, err));
    assert_fsck_clean(f->r);

    expect_rev(f->r, "main", &b); /* a branch before a tag of the same name */
    expect_rev(f->r, "HEAD", &b);
    expect_rev(f->r, "refs/heads/main", &b);
    expect_rev(f->r, "refs/tags/main", &a);
    expect_rev(f->r, "refs/pr/7", &a);
    expect_rev(f->r, "refs/convert/parquet", &a);
    expect_rev(f->r, "v1", &a);
    expect_rev(f->r, "v2", &a);
    expect_rev(f->r, hex_of(&a), &a);

    char shorter[41];
    (void)snprintf(shorter, sizeof shorter, "%.7s", hex_of(&a));
    expect_rev(f->r, shorter, &a);
    shorter[4] = '\0';
    expect_no_rev(f->r, snug_str(shorter));

    /* A branch may look like a short id and wins; it can never take a full one. */
    (void)snprintf(shorter, sizeof shorter, "%.7s", hex_of(&a));
    char ref[80];
    (void)snprintf(ref, sizeof ref, "refs/heads/%s", shorter);
    OK(vcs_update_ref(f->r, snug_str(ref), NULL, &b, err));
    expect_rev(f->r, shorter, &b);
    (void)snprintf(ref, sizeof ref, "refs/heads/%s", hex_of(&a));
    OK(vcs_update_ref(f->r, snug_str(ref), NULL, &b, err)); /* as a push could */
    expect_rev(f->r, hex_of(&a), &a);

    /* The id of an annotated tag is opened; trees and blobs are no revisions. */
    char *text = GIT(vcs_repo_path(f->r), "rev-parse", "refs/tags/v2");
    text[40] = '\0';
    expect_rev(f->r, text, &a);
    free(text);
    text = GIT(vcs_repo_path(f->r), "rev-parse", "main^{tree}");
    text[40] = '\0';
    expect_no_rev(f->r, snug_str(text));
    text[8] = '\0';
    expect_no_rev(f->r, snug_str(text));
    free(text);

    const char *bad[] = {"main~0",   "main^",   "main^{commit}", "main@{0}",
                         "@",        ":/a",     "main:",         "..",
                         "-",        "",        "heads/main",    "pr/7",
                         "refs",     "refs/",   "HEAD~1",        "refs/../HEAD",
                         "ffffffff", "../HEAD", "main.lock",     "convert/parquet"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect_no_rev(f->r, snug_str(bad[i]));
    expect_no_rev(f->r, SNUG_LIT("main\0x"));
    expect_no_rev(f->r, SNUG_LIT("0000000000000000000000000000000000000000"));
}

static void test_ambiguous_short(void **state)
{
    fixture *f = *state;
    /* Thousands of blobs: some five-digit prefix of the commit meets one of them in time. */
    vcs_oid c = commit_on(f->r, NULL, "c", 1);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), NULL, &c, err));
    char want[6];
    (void)snprintf(want, sizeof want, "%.5s", hex_of(&c));
    bool met = false;
    for (unsigned i = 0; !met && i < 8000000; i++) {
        char      text[32];
        int       n = snprintf(text, sizeof text, "blob %u", i);
        snug_sha1 id = snug_git_blob_id(snug_slice_of(text, (size_t)n));
        char      hex[41];
        snug_hex(id.b, 20, hex);
        if (strncmp(hex, want, 5) != 0) continue;
        vcs_oid    blob = put(f->r, text);
        vcs_draft *d = draft_on(f->r, &c);
        OK(vcs_draft_put(d, SNUG_LIT("blob"), &blob, err));
        c = land(f->r, d, "refs/heads/main", &c, "blob", 2);
        met = true;
    }
    assert_true(met);
    vcs_oid got;
    OK(vcs_resolve_rev(f->r, snug_str(want), &got, err)); /* the blob does not count */
    assert_int_equal(strncmp(hex_of(&got), want, 5), 0);
}

static void test_resolve_branch(void **state)
{
    fixture   *f = *state;
    snug_slice ref;
    vcs_oid    tip, a = commit_on(f->r, NULL, "a", 1);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), NULL, &a, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/pr/3"), NULL, &a, err));
    OK(vcs_create_tag(f->r, SNUG_LIT("v1"), &a, SNUG_EMPTY, &ada, err));
    const char *good[][2] = {{"main", "refs/heads/main"},
                             {"refs/heads/main", "refs/heads/main"},
                             {"HEAD", "refs/heads/main"},
                             {"refs/pr/3", "refs/pr/3"}};
    for (size_t i = 0; i < 4; i++) {
        OK(vcs_resolve_branch(f->r, snug_str(good[i][0]), f->a, &ref, &tip, err));
        assert_true(snug_eq_str(ref, good[i][1]));
        assert_true(vcs_oid_eq(&tip, &a));
    }
    const char *bad[] = {"v1", "refs/tags/v1", hex_of(&a), "nope", "refs/pr/4", "refs/notes/x", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FAILS(SNUG_ENOTFOUND, vcs_resolve_branch(f->r, snug_str(bad[i]), f->a, &ref, &tip, err));
    }
}

static void test_branch_names(void **state)
{
    (void)state;
    const char *good[] = {"main", "feature/x", "v1.0", "a-b_c", "deadbeef", "\xc3\xa9t\xc3\xa9"};
    const char *bad[] = {"",
                         "HEAD",
                         "refs/heads/x",
                         "refs/pr/5",
                         "-x",
                         "a..b",
                         "a b",
                         "a~b",
                         "a^",
                         "a:b",
                         "a?b",
                         "a*",
                         "a[b",
                         "a\\b",
                         "/a",
                         "a/",
                         "a//b",
                         ".a",
                         "a/.b",
                         "a.lock",
                         "a/b.lock/c",
                         "a.",
                         "@{x",
                         "a@{b",
                         "\x7f",
                         "a\nb",
                         "refs",
                         "\xff\xfe",
                         "0123456789abcdef0123456789abcdef01234567"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(vcs_branch_name_ok(snug_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (vcs_branch_name_ok(snug_str(bad[i]))) fail_msg("accepted \"%s\"", bad[i]);
    }
    assert_false(vcs_branch_name_ok(SNUG_EMPTY));
    assert_false(vcs_branch_name_ok(SNUG_LIT("a\0b")));
    char long_name[600];
    memset(long_name, 'a', sizeof long_name);
    assert_false(vcs_branch_name_ok(snug_slice_of(long_name, 600)));
    assert_false(vcs_branch_name_ok(snug_slice_of(long_name, 256)));
    assert_true(vcs_branch_name_ok(snug_slice_of(long_name, 200)));
}

static void test_compare_and_swap(void **state)
{
    fixture *f = *state;
    vcs_oid  a = commit_on(f->r, NULL, "a", 1), b = commit_on(f->r, &a, "b", 2),
            c = commit_on(f->r, &a, "c", 3), none = {{{1}}};
    snug_slice main_ref = SNUG_LIT("refs/heads/main");
    OK(vcs_update_ref(f->r, main_ref, NULL, &a, err));
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, main_ref, NULL, &b, err));
    OK(vcs_update_ref(f->r, main_ref, &a, &b, err));
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, main_ref, &a, &c, err));
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, main_ref, &a, NULL, err));
    FAILS(SNUG_EINTERNAL, vcs_update_ref(f->r, main_ref, &b, &none, err));
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, SNUG_LIT("refs/heads/x"), &a, &b, err));
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, SNUG_LIT("refs/heads/x"), &a, NULL, err));
    char *text = GIT(vcs_repo_path(f->r), "rev-parse", "main");
    text[40] = '\0';
    assert_string_equal(text, hex_of(&b));
    free(text);

    /* Packed refs compare and vanish alike. */
    GIT_RUN(vcs_repo_path(f->r), "pack-refs", "--all");
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, main_ref, NULL, &b, err));
    FAILS(SNUG_ESTALE, vcs_update_ref(f->r, main_ref, &c, &a, err));
    OK(vcs_update_ref(f->r, main_ref, &b, &c, err));
    GIT_RUN(vcs_repo_path(f->r), "pack-refs", "--all");
    OK(vcs_update_ref(f->r, main_ref, &c, NULL, err));
    text = GIT(vcs_repo_path(f->r), "for-each-ref");
    assert_string_equal(text, "");
    free(text);
    OK(vcs_update_ref(f->r, main_ref, NULL, &a, err));

    /* A name cannot be a ref and a folder of refs. */
    FAILS(SNUG_ECONFLICT, vcs_update_ref(f->r, SNUG_LIT("refs/heads/main/x"), NULL, &a, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/d/x"), NULL, &a, err));
    FAILS(SNUG_ECONFLICT, vcs_update_ref(f->r, SNUG_LIT("refs/heads/d"), NULL, &a, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/d/x"), &a, NULL, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/d"), NULL, &a, err)); /* the folder is gone */

    FAILS(SNUG_EINVAL, vcs_update_ref(f->r, SNUG_EMPTY, NULL, &a, err));
    const char *bad[] = {"HEAD",   "heads/main",        "refs/heads/../x", "refs/heads/a..b",
                         "config", "refs/heads/x.lock", "refs/heads/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FAILS(SNUG_EINVAL, vcs_update_ref(f->r, snug_str(bad[i]), NULL, &a, err));
    }
    assert_fsck_clean(f->r);
}

/* ---- races ---- */

typedef struct racer {
    fixture    *f;
    const char *ref;
    vcs_oid     old, to;
    bool        create, remove;
    atomic_int *gate;
    snug_status st;
} racer;

static void race(void *arg)
{
    racer    *r = arg;
    vcs_repo *repo = NULL;
    OK(vcs_acquire(r->f->v, KEY, &repo, err));
    atomic_fetch_sub(r->gate, 1);
    while (atomic_load(r->gate) > 0) {
    }
    snug_err err;
    r->st = vcs_update_ref(repo, snug_str(r->ref), r->create ? NULL : &r->old,
                           r->remove ? NULL : &r->to, &err);
    vcs_release(repo);
}

static void one_winner(racer *racers, size_t n, vcs_oid *won)
{
    atomic_int   gate = (int)n;
    snug_thread *t[8];
    size_t       wins = 0;
    for (size_t i = 0; i < n; i++) {
        racers[i].gate = &gate;
        t[i] = snug_thread_start("race", 0, race, &racers[i]);
    }
    for (size_t i = 0; i < n; i++) snug_thread_join(t[i]);
    for (size_t i = 0; i < n; i++) {
        if (racers[i].st == SNUG_OK) {
            wins++;
            *won = racers[i].to;
        } else {
            assert_int_equal(racers[i].st, SNUG_ESTALE);
        }
    }
    assert_int_equal(wins, 1);
}

static void test_races(void **state)
{
    fixture *f = *state;
    vcs_oid  base = commit_on(f->r, NULL, "base", 1), at = base;
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), NULL, &base, err));
    for (unsigned round = 0; round < 40; round++) {
        racer r[4];
        char  text[32], ref[40];
        for (unsigned i = 0; i < 4; i++) {
            (void)snprintf(text, sizeof text, "%u.%u", round, i);
            vcs_oid to = commit_on(f->r, &at, text, 2);
            r[i] = (racer){.f = f, .ref = "refs/heads/main", .old = at, .to = to};
        }
        one_winner(r, 4, &at);
        expect_rev(f->r, "main", &at);

        (void)snprintf(ref, sizeof ref, "refs/heads/new%u", round);
        for (unsigned i = 0; i < 4; i++) {
            r[i].ref = ref;
            r[i].create = true;
        }
        vcs_oid won;
        one_winner(r, 4, &won);
        expect_rev(f->r, ref, &won);
        for (unsigned i = 0; i < 4; i++) {
            r[i].create = false;
            r[i].remove = true;
            r[i].old = won;
        }
        vcs_oid unused;
        one_winner(r, 4, &unused);
        expect_no_rev(f->r, snug_str(ref));
    }
    assert_fsck_clean(f->r);
}

/* ---- locks of the dead ---- */

static void make_lock(fixture *f, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", vcs_repo_path(f->r), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void test_stale_locks(void **state)
{
    fixture *f = *state;
    vcs_oid  a = commit_on(f->r, NULL, "a", 1), b = commit_on(f->r, &a, "b", 2);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), NULL, &a, err));
    make_lock(f, "refs/heads/main.lock");
    make_lock(f, "packed-refs.lock");
    vcs_release(f->r);
    vcs_close(f->v);
    usleep(20000);
    OK(vcs_open(f->git_dir, &f->v, err));
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &a, &b, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &b, NULL, err));

    /* A lock that appears later belongs to someone alive: the writer waits, then says so. */
    make_lock(f, "refs/heads/main.lock");
    uint64_t start = snug_mono_ms();
    FAILS(SNUG_EBUSY, vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), NULL, &a, err));
    assert_true(snug_mono_ms() - start >= 4000);
}

/* ---- tags and lists ---- */

static void test_tags(void **state)
{
    fixture *f = *state;
    vcs_oid  a = commit_on(f->r, NULL, "a", 1);
    OK(vcs_create_tag(f->r, SNUG_LIT("v1"), &a, SNUG_EMPTY, &ada, err));
    OK(vcs_create_tag(f->r, SNUG_LIT("v2"), &a, SNUG_LIT("Line one\nline two"), &ada, err));
    FAILS(SNUG_ECONFLICT, vcs_create_tag(f->r, SNUG_LIT("v1"), &a, SNUG_EMPTY, &ada, err));
    FAILS(SNUG_ECONFLICT, vcs_create_tag(f->r, SNUG_LIT("v2"), &a, SNUG_LIT("x"), &ada, err));
    FAILS(SNUG_EINVAL, vcs_create_tag(f->r, SNUG_LIT("a b"), &a, SNUG_EMPTY, &ada, err));
    FAILS(SNUG_EINVAL, vcs_create_tag(f->r, SNUG_LIT("refs/tags/x"), &a, SNUG_EMPTY, &ada, err));
    FAILS(SNUG_EINVAL, vcs_create_tag(f->r, SNUG_EMPTY, &a, SNUG_EMPTY, &ada, err));
    assert_fsck_clean(f->r);
    char *text = GIT(vcs_repo_path(f->r), "cat-file", "tag", "v2");
    char  want[256];
    (void)snprintf(want, sizeof want,
                   "object %s\ntype commit\ntag v2\ntagger Ada <ada@example.org> 1700000000 "
                   "+0000\n\nLine one\nline two\n",
                   hex_of(&a));
    assert_string_equal(text, want);
    free(text);
    OK(vcs_delete_tag(f->r, SNUG_LIT("v1"), err));
    FAILS(SNUG_ENOTFOUND, vcs_delete_tag(f->r, SNUG_LIT("v1"), err));
    FAILS(SNUG_ENOTFOUND, vcs_delete_tag(f->r, SNUG_LIT("../heads/main"), err));
    OK(vcs_delete_tag(f->r, SNUG_LIT("v2"), err));
}

static void put_list(snug_buf *b, const vcs_ref *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        snug_buf_printf(b, "%s %.*s\n", hex_of(&v[i].target), SNUG_SLICE(v[i].ref));
    }
}

static void test_list(void **state)
{
    fixture    *f = *state;
    vcs_oid     a = commit_on(f->r, NULL, "a", 1), b = commit_on(f->r, &a, "b", 2);
    const char *names[] = {"refs/heads/main", "refs/heads/zeta", "refs/heads/dev/one",
                           "refs/pr/1",       "refs/pr/12",      "refs/convert/parquet",
                           "refs/notes/n"};
    for (size_t i = 0; i < 7; i++) {
        OK(vcs_update_ref(f->r, snug_str(names[i]), NULL, i % 2 ? &a : &b, err));
        if (i == 3) GIT_RUN(vcs_repo_path(f->r), "pack-refs", "--all");
    }
    OK(vcs_create_tag(f->r, SNUG_LIT("light"), &a, SNUG_EMPTY, &ada, err));
    OK(vcs_create_tag(f->r, SNUG_LIT("heavy"), &b, SNUG_LIT("m"), &ada, err));
    GIT_RUN(vcs_repo_path(f->r), "tag", "tree-tag", "main^{tree}"); /* no commit: not listed */

    vcs_refs refs;
    OK(vcs_list_refs(f->r, f->a, &refs, err));
    SNUG_AUTO(snug_buf) got = snug_buf_init(1 << 16);
    put_list(&got, refs.converts, refs.convert_count);
    put_list(&got, refs.branches, refs.branch_count);
    put_list(&got, refs.prs, refs.pr_count);
    put_list(&got, refs.tags, refs.tag_count);
    SNUG_AUTO(snug_buf) exp = snug_buf_init(1 << 16);
    const struct {
        const vcs_oid *id;
        const char    *ref;
    } rows[] = {{&a, "refs/convert/parquet"}, {&b, "refs/heads/dev/one"}, {&b, "refs/heads/main"},
                {&a, "refs/heads/zeta"},      {&a, "refs/pr/1"},          {&b, "refs/pr/12"},
                {&b, "refs/tags/heavy"},      {&a, "refs/tags/light"}};
    for (size_t i = 0; i < 8; i++)
        snug_buf_printf(&exp, "%s %s\n", hex_of(rows[i].id), rows[i].ref);
    assert_string_equal(snug_buf_cstr(&got), snug_buf_cstr(&exp));
    assert_true(snug_eq_str(refs.branches[0].name, "dev/one"));
    assert_true(snug_eq_str(refs.prs[1].name, "12"));
    assert_true(snug_eq_str(refs.converts[0].name, "parquet"));
    assert_true(snug_eq_str(refs.tags[0].name, "heavy"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resolve, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ambiguous_short, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_resolve_branch, fixture_setup, fixture_teardown),
        cmocka_unit_test(test_branch_names),
        cmocka_unit_test_setup_teardown(test_compare_and_swap, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_races, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_stale_locks, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_tags, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_list, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
