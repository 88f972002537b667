/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_objects.c - few objects go loose, many as one pack; large files; what a kill at
 * each step leaves behind. git checks every result. */
#include "fixture.h"

#include <dirent.h>

static size_t count_files(const char *dir, const char *suffix)
{
    size_t n = 0;
    DIR   *d = opendir(dir);
    if (d == NULL) return 0;
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.' && snug_ends_with(snug_str(e->d_name), suffix)) n++;
    }
    (void)closedir(d);
    return n;
}

static size_t count_packs(const vcs_repo *r, const char *suffix)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/objects/pack", vcs_repo_path(r));
    return count_files(path, suffix);
}

static size_t count_loose(const vcs_repo *r)
{
    size_t n = 0;
    for (unsigned i = 0; i < 256; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/objects/%02x", vcs_repo_path(r), i);
        n += count_files(path, "");
    }
    return n;
}

static vcs_oid commit_files(fixture *f, const vcs_oid *base, unsigned n, const char *tag)
{
    vcs_draft *d = draft_on(f->r, base);
    char       name[64], text[64];
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "dir%u/file%u", i % 10, i);
        (void)snprintf(text, sizeof text, "%s %u", tag, i);
        draft_text(f->r, d, name, text);
    }
    return land(f->r, d, "refs/heads/main", base, tag, 1700000000);
}

static void test_loose_and_pack(void **state)
{
    fixture *f = *state;
    vcs_oid  c = commit_files(f, NULL, 1, "one");
    assert_int_equal(count_loose(f->r), 4); /* blob, two trees, commit */
    assert_int_equal(count_packs(f->r, ".pack"), 0);
    c = commit_files(f, &c, 1000, "many");
    assert_int_equal(count_loose(f->r), 4);
    assert_int_equal(count_packs(f->r, ".pack"), 1);
    assert_int_equal(count_packs(f->r, ".idx"), 1);
    assert_int_equal(count_packs(f->r, ""), 2); /* nothing temporary */
    assert_fsck_clean(f->r);
    char *text = GIT(vcs_repo_path(f->r), "count-objects", "-v");
    assert_non_null(strstr(text, "in-pack: 1012\n")); /* 1000 blobs, 10 + 1 trees, a commit */
    assert_non_null(strstr(text, "prune-packable: 0\ngarbage: 0\n"));
    free(text);

    /* The same once more writes only a commit; another handle sees all of it. */
    c = commit_files(f, &c, 1000, "many");
    assert_int_equal(count_packs(f->r, ".pack"), 1);
    assert_int_equal(count_loose(f->r), 5);
    vcs_repo *other = NULL;
    OK(vcs_acquire(f->v, KEY, &other, err));
    vcs_entry e;
    OK(vcs_find_entry(other, &c, SNUG_LIT("dir7/file997"), f->a, &e, err));
    assert_int_equal(e.size, 8);
    vcs_release(other);
}

/* A repack behind our back (a maintenance job) takes packs away; idle handles must cope. */
static void test_repack(void **state)
{
    fixture *f = *state;
    vcs_oid  c = commit_files(f, NULL, 50, "one");
    c = commit_files(f, &c, 60, "two");
    c = commit_files(f, &c, 70, "three");
    vcs_repo *idle = NULL;
    OK(vcs_acquire(f->v, KEY, &idle, err));
    vcs_commit commit;
    OK(vcs_read_commit(idle, &c, f->a, &commit, err)); /* knows the packs, read from one only */
    vcs_release(idle);
    vcs_release(f->r);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/ab/abcdefgh01.git", f->git_dir);
    GIT_RUN(path, "repack", "-a", "-d", "-q");
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    assert_int_equal(count_packs(f->r, ".pack"), 1);
    vcs_entry *v = NULL;
    size_t     n = 0;
    bool       more = false;
    OK(vcs_list_tree(f->r, &c, SNUG_EMPTY, true, SNUG_EMPTY, 1000, f->a, &v, &n, &more, err));
    assert_int_equal(n, 80);
    for (size_t i = 0; i < n; i++) {
        snug_slice text;
        if (v[i].kind == VCS_FILE) OK(vcs_read_blob(f->r, &v[i].oid, 100, f->a, &text, err));
    }
    (void)commit_files(f, &c, 80, "four");
    assert_fsck_clean(f->r);
}

/* Bytes that do not compress, of any size. */
static int noise_file(const char *root, uint64_t size, unsigned seed)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/noise", root);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    unsigned char piece[4096];
    uint64_t      x = seed * 2654435761u + 1;
    for (uint64_t at = 0; at < size;) {
        for (size_t i = 0; i < sizeof piece; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            piece[i] = (unsigned char)(x >> 56);
        }
        size_t n = size - at < sizeof piece ? (size_t)(size - at) : sizeof piece;
        OK(snug_write_all(fd, piece, n, err));
        at += n;
    }
    (void)unlink(path);
    return fd;
}

static void test_files(void **state)
{
    fixture              *f = *state;
    static const uint64_t sizes[] = {
        0, 1, 1023, 262144, 262145, 1048576, 1048577, 5 * 1048576 + 3, 65536 * 5};
    vcs_draft *d = draft_on(f->r, NULL);
    vcs_oid    ids[9];
    for (size_t i = 0; i < 9; i++) {
        int  fd = noise_file(f->root, sizes[i], (unsigned)i);
        char name[32];
        OK(vcs_put_blob_fd(f->r, fd, sizes[i], &ids[i], err));
        (void)snprintf(name, sizeof name, "f%zu", i);
        OK(vcs_draft_put(d, snug_str(name), &ids[i], err));
        (void)close(fd);
        if (i == 7) { /* the same large file again is not stored twice */
            vcs_oid again;
            fd = noise_file(f->root, sizes[i], (unsigned)i);
            OK(vcs_put_blob_fd(f->r, fd, sizes[i], &again, err));
            assert_true(vcs_oid_eq(&again, &ids[i]));
            (void)close(fd);
        }
    }
    /* Reading before the commit sees the pending ones, in the pack under construction too. */
    for (size_t i = 0; i < 9; i++) {
        snug_slice got;
        OK(vcs_read_blob(f->r, &ids[i], 1 << 24, f->a, &got, err));
        assert_int_equal(got.len, sizes[i]);
        snug_sha1 id = snug_git_blob_id(got);
        assert_memory_equal(id.b, ids[i].sha1.b, 20);
    }
    (void)land(f->r, d, "refs/heads/main", NULL, "files", 1);
    assert_fsck_clean(f->r);
    for (size_t i = 0; i < 9; i++) {
        snug_slice got;
        char       name[32], want[64];
        OK(vcs_read_blob(f->r, &ids[i], 1 << 24, f->a, &got, err));
        snug_sha1 id = snug_git_blob_id(got);
        assert_memory_equal(id.b, ids[i].sha1.b, 20);
        (void)snprintf(name, sizeof name, "main:f%zu", i);
        (void)snprintf(want, sizeof want, "%llu\n", (unsigned long long)sizes[i]);
        char *text = GIT(vcs_repo_path(f->r), "cat-file", "-s", name);
        assert_string_equal(text, want);
        free(text);
    }
    /* A file shorter than promised. */
    int     fd = noise_file(f->root, 1000, 1);
    vcs_oid id;
    FAILS(SNUG_ECORRUPT, vcs_put_blob_fd(f->r, fd, 1001, &id, err));
    FAILS(SNUG_ECORRUPT, vcs_put_blob_fd(f->r, fd, 1 << 20, &id, err));
    (void)close(fd);
}

static void test_release_forgets(void **state)
{
    fixture *f = *state;
    vcs_oid  id = put(f->r, "never committed");
    for (unsigned i = 0; i < 100; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", i);
        (void)put(f->r, text);
    }
    assert_int_equal(count_packs(f->r, ""), 1); /* the file in the making */
    vcs_release(f->r);
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    assert_int_equal(count_packs(f->r, ""), 0);
    snug_slice got;
    FAILS(SNUG_ENOTFOUND, vcs_read_blob(f->r, &id, 100, f->a, &got, err));
}

/* ---- kills ---- */

typedef struct kill_case {
    const char *faults;
    unsigned    files; /* 1: loose, 100: a pack */
    bool        landed;
} kill_case;

static void killed_commit(fixture *f, const vcs_oid *base, const kill_case *k)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* as a server that dies: its own vcs and handles */
        vcs     *v = NULL;
        fixture  mine = {0};
        snug_err err;
        if (vcs_open(f->git_dir, &v, &err) != SNUG_OK) _exit(3);
        if (vcs_acquire(v, KEY, &mine.r, &err) != SNUG_OK) _exit(4);
        snug_faults_setup(k->faults);
        (void)commit_files(&mine, base, k->files, k->faults);
        _exit(5);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fail_msg("%s: the child was not killed (status %x)", k->faults, status);
    }
}

static void test_kills(void **state)
{
    fixture               *f = *state;
    static const kill_case cases[] = {
        {"vcs.objects=kill@1", 1, false},      {"vcs.objects=kill@1", 100, false},
        {"vcs.loose.rename=kill@1", 1, false}, {"vcs.pack.rename=kill@1", 100, false},
        {"vcs.ref.before=kill@1", 1, false},   {"vcs.ref.before=kill@1", 100, false},
        {"vcs.ref.after=kill@1", 1, true},     {"vcs.ref.after=kill@1", 100, true}};
    vcs_oid at = commit_files(f, NULL, 3, "base");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vcs_release(f->r);
        vcs_close(f->v);
        killed_commit(f, &at, &cases[i]);
        usleep(10000);
        OK(vcs_open(f->git_dir, &f->v, err));
        OK(vcs_acquire(f->v, KEY, &f->r, err));
        assert_fsck_clean(f->r);
        assert_int_equal(count_packs(f->r, ".pack"), count_packs(f->r, ".idx"));
        assert_int_equal(count_packs(f->r, ""), 2 * count_packs(f->r, ".idx"));

        vcs_oid    now;
        vcs_commit c;
        OK(vcs_resolve_rev(f->r, SNUG_LIT("main"), &now, err));
        OK(vcs_read_commit(f->r, &now, f->a, &c, err));
        assert_int_equal(vcs_oid_eq(&now, &at), !cases[i].landed);
        if (cases[i].landed) assert_true(snug_eq_str(c.title, cases[i].faults));
        /* The next writer is not held up by what the dead one left. */
        uint64_t start = snug_mono_ms();
        at = commit_files(f, &now, 2, "after");
        assert_true(snug_mono_ms() - start < 3000);
        assert_fsck_clean(f->r);
    }
}

/* A failing step (not a kill) reports, changes nothing, and can be tried again. */
static void test_failures(void **state)
{
    fixture                 *f = *state;
    static const char *const faults[] = {"vcs.objects=fail@1", "vcs.loose.rename=fail@1",
                                         "vcs.ref.before=fail@1"};
    static const char *const pack_faults[] = {"vcs.objects=fail@1", "vcs.pack.rename=fail@1",
                                              "vcs.ref.before=fail@1"};
    vcs_oid                  base = commit_files(f, NULL, 2, "base"), now;
    for (size_t i = 0; i < 6; i++) {
        vcs_draft *d = draft_on(f->r, &base);
        char       name[32];
        for (unsigned k = 0; k < (i < 3 ? 1u : 60u); k++) {
            (void)snprintf(name, sizeof name, "n%u", k);
            draft_text(f->r, d, name, name);
        }
        vcs_oid  id;
        bool     unchanged;
        snug_err why = {0};
        snug_faults_setup(i < 3 ? faults[i] : pack_faults[i - 3]);
        snug_status st = vcs_draft_commit(d, SNUG_LIT("m"), &ada, &id, &unchanged, &why);
        if (st == SNUG_OK) st = vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &base, &id, &why);
        snug_faults_setup(NULL);
        assert_int_equal(st, SNUG_EIO);
        if (i % 3 != 2) { /* its objects are gone, so the draft cannot be finished any more */
            FAILS(SNUG_EINTERNAL, vcs_draft_commit(d, SNUG_LIT("m"), &ada, &id, &unchanged, err));
        }
        vcs_draft_free(d);
        OK(vcs_resolve_rev(f->r, SNUG_LIT("main"), &now, err));
        assert_true(vcs_oid_eq(&now, &base));
        base = commit_files(f, &base, i < 3 ? 1 : 60, faults[i % 3]);
        assert_fsck_clean(f->r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loose_and_pack, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_repack, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_files, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_release_forgets, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_kills, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_failures, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
