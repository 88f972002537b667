/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_log.c - history in git's order; the last commit of each path as `git log -1`. */
#include "fixture.h"

enum { COMMITS = 160, PATHS = 14 };

static const char *const paths[PATHS] = {"README",  "a",     "b",        "d/x",  "d/y",
                                         "d/e/z",   "d/e/w", "d-f",      "d.g",  "q/r/s/t",
                                         "q/r/s/u", "q/v",   "late/one", "never"};

/* A random history with merges: at each commit some files change; a merge takes each file from one
 * of its parents or, now and then, has a version of its own. */
typedef struct history {
    int  version[COMMITS][PATHS]; /* 0: not there */
    int  parent[COMMITS][3];
    int  parents[COMMITS];
    char stream[1 << 20];
} history;

static unsigned rng_state;
static unsigned rng(unsigned n)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 10) % n;
}

static void choose_parents(history *h, int i)
{
    h->parents[i] = 0;
    if (i == 0) return;
    if (i > 3 && rng(40) == 0) return; /* another root */
    h->parent[i][h->parents[i]++] = rng(3) != 0 ? i - 1 : (int)rng((unsigned)i);
    int more = rng(4) == 0 && i > 2 ? 1 + (int)rng(2) : 0;
    for (int k = 0; k < more; k++) {
        int  p = (int)rng((unsigned)i);
        bool dup = false;
        for (int j = 0; j < h->parents[i]; j++) dup = dup || h->parent[i][j] == p;
        if (!dup) h->parent[i][h->parents[i]++] = p;
    }
}

static void choose_files(history *h, int i)
{
    for (int p = 0; p < PATHS; p++) {
        int      from = h->parents[i] > 0 ? h->parent[i][rng((unsigned)h->parents[i])] : -1;
        int      v = from >= 0 ? h->version[from][p] : 0;
        unsigned chance = h->parents[i] > 1 ? 30 : 6;
        if (rng(chance) == 0) v = rng(5) == 0 ? 0 : 1 + (int)rng(4); /* reverts happen too */
        h->version[i][p] = v;
    }
    /* The last path is there from the first commit on and never changes. */
    h->version[i][PATHS - 1] = 1;
}

static void write_stream(history *h, bool same_times)
{
    size_t n = 0, cap = sizeof h->stream;
    for (int i = 0; i < COMMITS; i++) {
        int64_t when = 1700000000 + (same_times ? i / 8 : i * 60);
        n += (size_t)snprintf(h->stream + n, cap - n,
                              "commit refs/heads/c%d\nmark :%d\n"
                              "committer A <a@b> %lld +0000\ndata 4\nc%03d\n",
                              i, i + 1, (long long)when, i);
        for (int k = 0; k < h->parents[i]; k++) {
            n += (size_t)snprintf(h->stream + n, cap - n, "%s :%d\n", k == 0 ? "from" : "merge",
                                  h->parent[i][k] + 1);
        }
        n += (size_t)snprintf(h->stream + n, cap - n, "deleteall\n");
        for (int p = 0; p < PATHS; p++) {
            if (h->version[i][p] == 0) continue;
            n += (size_t)snprintf(h->stream + n, cap - n, "M 100644 inline %s\ndata 1\n%d\n",
                                  paths[p], h->version[i][p]);
        }
    }
    n += (size_t)snprintf(h->stream + n, cap - n, "reset refs/heads/main\nfrom :%d\n\n", COMMITS);
    assert_true(n < cap);
}

static void make_history(fixture *f, unsigned seed, bool same_times)
{
    history    *h = calloc(1, sizeof *h);
    const char *more = getenv("HISTORY_SEED"); /* for a longer search by hand */
    rng_state = seed + (more != NULL ? 1000u * (unsigned)strtoul(more, NULL, 10) : 0);
    for (int i = 0; i < COMMITS; i++) {
        choose_parents(h, i);
        choose_files(h, i);
    }
    write_stream(h, same_times);
    const char *args[] = {"fast-import", "--quiet", "--force", NULL};
    free(git_in(vcs_repo_path(f->r), h->stream, args));
    free(h);
}

static void expect_log(fixture *f, const char *rev)
{
    vcs_oid     from;
    vcs_commit *v = NULL;
    size_t      count = 0, total = 0;
    bool        more = true;
    OK(vcs_resolve_rev(f->r, snug_str(rev), &from, err));
    char *want = GIT(vcs_repo_path(f->r), "rev-list", "--format=%T %P|%an|%ae|%ct|%s", rev);
    SNUG_AUTO(snug_buf) got = snug_buf_init(1 << 20);
    while (more) {
        OK(vcs_log(f->r, &from, total, 17, f->a, &v, &count, &more, err));
        for (size_t i = 0; i < count; i++) {
            snug_buf_printf(&got, "commit %s\n", hex_of(&v[i].id));
            snug_buf_printf(&got, "%s ", hex_of(&v[i].tree));
            if (v[i].parent_count > 0) snug_buf_puts(&got, hex_of(&v[i].parent));
            /* git prints all parents, the contract keeps the first: compare heads of lines */
            snug_buf_printf(&got, "|%.*s|%.*s|%lld|%.*s\n", SNUG_SLICE(v[i].author),
                            SNUG_SLICE(v[i].author_email), (long long)(v[i].when_ms / 1000),
                            SNUG_SLICE(v[i].title));
        }
        total += count;
    }
    /* Take other parents out of git's lines. */
    SNUG_AUTO(snug_buf) exp = snug_buf_init(1 << 20);
    snug_slice rest = snug_str(want), line;
    while (snug_split(&rest, '\n', &line) && line.len > 0) {
        size_t bar = snug_index(line, '|');
        if (bar != SIZE_MAX && bar > 81) {
            snug_buf_printf(&exp, "%.81s%.*s\n", line.ptr, (int)(line.len - bar), line.ptr + bar);
        } else {
            snug_buf_printf(&exp, "%.*s\n", SNUG_SLICE(line));
        }
    }
    assert_string_equal(snug_buf_cstr(&got), snug_buf_cstr(&exp));
    free(want);

    uint64_t n = 0;
    OK(vcs_count_commits(f->r, &from, &n, err));
    assert_int_equal(n, total);
    OK(vcs_count_commits(f->r, &from, &n, err)); /* remembered */
    assert_int_equal(n, total);
    OK(vcs_log(f->r, &from, total + 5, 10, f->a, &v, &count, &more, err));
    assert_int_equal(count, 0);
    assert_false(more);
    OK(vcs_log(f->r, &from, total - 1, 1, f->a, &v, &count, &more, err));
    assert_int_equal(count, 1);
    assert_false(more);
}

static void test_log(void **state)
{
    fixture *f = *state;
    make_history(f, 1, false);
    expect_log(f, "main");
    expect_log(f, "c40");
    expect_log(f, "c0");
    for (int i = COMMITS - 1; i > 0; i -= 7) { /* counts, meeting what is remembered */
        char     rev[16];
        vcs_oid  id;
        uint64_t n;
        (void)snprintf(rev, sizeof rev, "c%d", i);
        OK(vcs_resolve_rev(f->r, snug_str(rev), &id, err));
        OK(vcs_count_commits(f->r, &id, &n, err));
        char *want = GIT(vcs_repo_path(f->r), "rev-list", "--count", rev);
        assert_int_equal(n, strtoull(want, NULL, 10));
        free(want);
    }
}

static void test_equal_times(void **state)
{
    fixture *f = *state;
    make_history(f, 2, true);
    expect_log(f, "main");
}

static void expect_last(fixture *f, const char *rev)
{
    static const char *const folders[] = {"d", "d/e", "q", "q/r", "q/r/s", "late"};
    vcs_oid                  tip;
    snug_slice               ask[PATHS + 6];
    size_t                   n = 0;
    OK(vcs_resolve_rev(f->r, snug_str(rev), &tip, err));
    for (size_t i = 0; i < PATHS + 6; i++) {
        vcs_entry   e;
        const char *p = i < PATHS ? paths[i] : folders[i - PATHS];
        if (vcs_find_entry(f->r, &tip, snug_str(p), f->a, &e, NULL) == SNUG_OK)
            ask[n++] = snug_str(p);
    }
    vcs_commit got[PATHS + 6];
    OK(vcs_last_commits(f->r, &tip, ask, n, f->a, got, err));
    for (size_t i = 0; i < n; i++) {
        char *want = GIT(vcs_repo_path(f->r), "log", "-1", "--format=%H", rev, "--", ask[i].ptr);
        want[40] = '\0';
        if (strcmp(want, hex_of(&got[i].id)) != 0) {
            fail_msg("%s at %s: %s, git says %s", ask[i].ptr, rev, hex_of(&got[i].id), want);
        }
        free(want);
    }
}

static void test_last_commits(void **state)
{
    fixture *f = *state;
    make_history(f, 3, false);
    expect_last(f, "main");
    expect_last(f, "c120");
    expect_last(f, "c77");
    expect_last(f, "c30");
    expect_last(f, "c0");
}

static void test_last_commits_skewed(void **state)
{
    fixture *f = *state;
    make_history(f, 4, true);
    expect_last(f, "main");
    expect_last(f, "c100");
    vcs_oid    tip;
    vcs_commit got[2];
    snug_slice ask[2] = {SNUG_LIT("never"), SNUG_LIT("nowhere")};
    OK(vcs_resolve_rev(f->r, SNUG_LIT("main"), &tip, err));
    FAILS(SNUG_ENOTFOUND, vcs_last_commits(f->r, &tip, ask, 2, f->a, got, err));
    OK(vcs_last_commits(f->r, &tip, ask, 0, f->a, got, err));
    snug_slice twice[2] = {ask[0], ask[0]};
    OK(vcs_last_commits(f->r, &tip, twice, 2, f->a, got, err));
    assert_true(vcs_oid_eq(&got[0].id, &got[1].id));
}

static void test_messages(void **state)
{
    fixture *f = *state;
    const struct {
        const char *text, *title, *message;
    } rows[] = {
        {"Only a title", "Only a title", ""},
        {"Title\n\nBody\nmore", "Title", "Body\nmore"},
        {"Title\nno blank line", "Title", "no blank line"},
        {"\n\n  Late title  \n\n\nBody\n\n", "Late title", "Body"},
        {"", "", ""},
    };
    vcs_oid at, old;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vcs_draft *d = draft_on(f->r, i == 0 ? NULL : &at);
        draft_text(f->r, d, "x", rows[i].text);
        old = at;
        at = land(f->r, d, "refs/heads/main", i == 0 ? NULL : &old, rows[i].text,
                  1700000000 + (int64_t)i);
        vcs_commit c;
        OK(vcs_read_commit(f->r, &at, f->a, &c, err));
        assert_true(snug_eq_str(c.title, rows[i].title));
        assert_true(snug_eq_str(c.message, rows[i].message));
        assert_int_equal(c.when_ms, (1700000000 + (int64_t)i) * 1000);
        assert_int_equal(c.parent_count, i == 0 ? 0 : 1);
        if (i > 0) assert_true(vcs_oid_eq(&c.parent, &old));
    }
    /* Names that would break the commit's own lines. */
    vcs_draft *d = draft_on(f->r, &at);
    vcs_who    bad = {SNUG_LIT(" A <b>\ncommitter x"), SNUG_LIT("\n"), 5000};
    vcs_oid    id;
    bool       unchanged = false;
    OK(vcs_draft_commit(d, SNUG_LIT("m\0m"), &bad, &id, &unchanged, err));
    assert_true(unchanged);
    vcs_draft_free(d);
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &at, &id, err));
    assert_fsck_clean(f->r);
    vcs_commit c;
    OK(vcs_read_commit(f->r, &id, f->a, &c, err));
    assert_true(snug_eq_str(c.author, "A bcommitter x"));
    assert_true(snug_eq_str(c.author_email, "unknown@localhost"));
    assert_true(snug_eq_str(c.title, "m m"));
    vcs_oid none = {{{3}}};
    FAILS(SNUG_ENOTFOUND, vcs_read_commit(f->r, &none, f->a, &c, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_equal_times, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_last_commits, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_last_commits_skewed, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_messages, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
