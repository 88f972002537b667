/* SPDX-License-Identifier: Apache-2.0 */
/* bench_vcs_commit.c - commits of different sizes, durable, and the readings that follow them.
 *
 *      bench_vcs_commit [FOLDER]                  default: $TMPDIR or /tmp
 *
 * Times in milliseconds, one JSON object on standard output. The disk's own fsync is measured too,
 * since it decides what a small commit costs. */
#include "vcs/vcs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SMALL_COMMITS = 100,
    MANY = 1000,
    HUGE_COUNT = 100000,
    PAGE = 1000,
    HISTORY = 1000,
    PACKS = 20
};

#define DIE_IF(call)                                                                               \
    do {                                                                                           \
        if ((call) != SNUG_OK) {                                                                   \
            (void)fprintf(stderr, "%s: %s (%s)\n", #call, err.msg, err.cause);                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static snug_err err;

static double ms_since(uint64_t t0) { return (double)(snug_mono_ns() - t0) / 1e6; }

static double fsync_ms(const char *dir)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/fsync", dir);
    uint64_t t0 = snug_mono_ns();
    for (int i = 0; i < 50; i++) {
        SNUG_AUTO(snug_fd) f = {open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600)};
        if (f.fd < 0 || write(f.fd, "x", 1) != 1 || fsync(f.fd) != 0) exit(1);
        (void)unlink(path);
    }
    return ms_since(t0) / 50;
}

/* A commit of n files from number `first` on, on top of *tip, which moves. */
static double commit_files(vcs_repo *r, vcs_oid *tip, bool *born, unsigned first, unsigned n,
                           unsigned version)
{
    vcs_draft *d = NULL;
    vcs_oid    blob, id;
    vcs_who    who = {SNUG_LIT("Bench"), SNUG_LIT("bench@localhost"), 1700000000000};
    bool       unchanged;
    char       name[64], text[64];
    uint64_t   t0 = snug_mono_ns();

    DIE_IF(vcs_draft_new(r, *born ? tip : NULL, &d, &err));
    for (unsigned i = first; i < first + n; i++) {
        int len = snprintf(text, sizeof text, "file %u version %u\n", i, version);
        (void)snprintf(name, sizeof name, "part-%03u/file-%06u.txt", i / 1000, i);
        DIE_IF(vcs_put_blob(r, snug_slice_of(text, (size_t)len), &blob, &err));
        DIE_IF(vcs_draft_put(d, snug_str(name), &blob, &err));
    }
    DIE_IF(vcs_draft_commit(d, SNUG_LIT("bench"), &who, &id, &unchanged, &err));
    DIE_IF(vcs_update_ref(r, SNUG_LIT("refs/heads/main"), *born ? tip : NULL, &id, &err));
    vcs_draft_free(d);
    *tip = id;
    *born = true;
    return ms_since(t0);
}

static double list_all(vcs_repo *r, const vcs_oid *tip, size_t *entries)
{
    uint64_t    t0 = snug_mono_ns();
    char        cursor[128] = "";
    bool        more = true;
    snug_arena *a = snug_arena_new();
    *entries = 0;
    while (more) {
        vcs_entry *v = NULL;
        size_t     n = 0;
        snug_arena_reset(a);
        DIE_IF(vcs_list_tree(r, tip, SNUG_EMPTY, true, snug_str(cursor), PAGE, a, &v, &n, &more,
                             &err));
        *entries += n;
        if (n > 0) (void)snprintf(cursor, sizeof cursor, "%.*s", SNUG_SLICE(v[n - 1].path));
    }
    snug_arena_free(a);
    return ms_since(t0);
}

static double last_commits(vcs_repo *r, const vcs_oid *tip)
{
    snug_arena *a = snug_arena_new();
    vcs_entry  *v = NULL;
    size_t      n = 0;
    bool        more;
    DIE_IF(vcs_list_tree(r, tip, SNUG_LIT("part-000"), false, SNUG_EMPTY, PAGE, a, &v, &n, &more,
                         &err));
    snug_slice *paths = snug_arena_alloc(a, n * sizeof *paths);
    vcs_commit *out = snug_arena_alloc(a, n * sizeof *out);
    for (size_t i = 0; i < n; i++) paths[i] = v[i].path;
    uint64_t t0 = snug_mono_ns();
    DIE_IF(vcs_last_commits(r, tip, paths, n, a, out, &err));
    double ms = ms_since(t0);
    snug_arena_free(a);
    return ms;
}

int main(int argc, char **argv)
{
    const char *base = argc > 1 ? argv[1] : getenv("TMPDIR");
    char        dir[512], git[600];
    vcs        *v = NULL;
    vcs_repo   *r = NULL, *other = NULL;
    vcs_oid     tip;
    bool        born = false;
    size_t      entries = 0;
    uint64_t    commits = 0;

    (void)snprintf(dir, sizeof dir, "%s/snug-bench-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir) == NULL) return 1;
    (void)snprintf(git, sizeof git, "%s/git", dir);
    printf("{\"fsync_ms\": %.2f", fsync_ms(dir));
    DIE_IF(vcs_open(git, &v, &err));
    DIE_IF(vcs_create_repo(v, SNUG_LIT("benchrepo"), &err));
    DIE_IF(vcs_acquire(v, SNUG_LIT("benchrepo"), &r, &err));

    double small = 0;
    for (unsigned i = 0; i < SMALL_COMMITS; i++) small += commit_files(r, &tip, &born, i, 1, 0);
    printf(", \"commit_1_ms\": %.1f", small / SMALL_COMMITS);
    double ten = 0;
    for (unsigned i = 0; i < SMALL_COMMITS; i++)
        ten += commit_files(r, &tip, &born, 0, 10, 1000 + i);
    printf(", \"commit_10_ms\": %.1f", ten / SMALL_COMMITS);
    double hundred = 0;
    for (unsigned i = 0; i < PACKS; i++) hundred += commit_files(r, &tip, &born, 0, 100, 2000 + i);
    printf(", \"commit_100_ms\": %.1f", hundred / PACKS);
    printf(", \"commit_1000_ms\": %.1f", commit_files(r, &tip, &born, 0, MANY, 2));
    printf(", \"commit_100000_ms\": %.1f", commit_files(r, &tip, &born, 0, HUGE_COUNT, 3));

    DIE_IF(vcs_acquire(v, SNUG_LIT("benchrepo"), &other, &err));
    printf(", \"list_100000_ms\": %.1f", list_all(other, &tip, &entries));
    printf(", \"entries\": %zu", entries);
    printf(", \"list_again_ms\": %.1f", list_all(other, &tip, &entries));
    for (unsigned i = 0; i < HISTORY; i++)
        (void)commit_files(r, &tip, &born, i * 7 % 1000, 1, 4 + i);
    printf(", \"last_commits_1000_ms\": %.1f", last_commits(other, &tip));
    uint64_t t0 = snug_mono_ns();
    DIE_IF(vcs_count_commits(other, &tip, &commits, &err));
    printf(", \"count_ms\": %.2f, \"commits\": %llu}\n", ms_since(t0), (unsigned long long)commits);
    vcs_release(other);
    vcs_release(r);
    vcs_close(v);
    DIE_IF(snug_remove_tree(dir, &err));
    return 0;
}
