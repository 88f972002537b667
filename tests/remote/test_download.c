/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_download.c - downloads from a real server that misbehaves in every way we know.
 */
#include "toyhub.h"

#include <dirent.h>

#define BIG_SIZE ((size_t)40 << 20)
static snug_slice big; /* made once */

static int setup(void **state)
{
    toyhub *t = snug_zalloc(sizeof *t);
    if (big.ptr == NULL) big = toy_random_bytes(BIG_SIZE);
    toy_start(t);
    toy_add(t, "README.md", SNUG_LIT("# x\n"), false);
    toy_add(t, "sub/deep/empty.txt", SNUG_EMPTY, false);
    toy_add(t, "sub/config.json", SNUG_LIT("{\"a\": 1}\n"), false);
    toy_add(t, "w.bin", snug_sub(big, 0, 3000000), true);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    toy_stop(*state);
    return 0;
}

static snug_status fetch(toyhub *t, remote_download d, remote_downloaded *out, snug_err *err)
{
    remote     *r = toy_client(t);
    snug_arena *a = snug_arena_new();
    snug_err_clear(err);
    if (d.repo.id.ptr == NULL) d.repo = (remote_repo){"model", SNUG_LIT("ada/x")};
    snug_status st = remote_do_download(r, &d, a, out, err);
    if (st == SNUG_OK) { /* outlives the arena for the tests' convenience */
        static char path[1024];
        (void)snprintf(path, sizeof path, "%.*s", SNUG_SLICE(out->path));
        out->path = snug_str(path);
    }
    snug_arena_free(a);
    remote_close(r);
    return st;
}

static size_t count_names(const char *dir, const char *part)
{
    size_t         n = 0;
    DIR           *d = opendir(dir);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) n += strstr(e->d_name, part) != NULL;
    if (d != NULL) (void)closedir(d);
    return n;
}

static void a_snapshot_lands_in_the_stock_layout(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    char              link[256];
    assert_int_equal(fetch(t, (remote_download){.files = NULL}, &out, &err), SNUG_OK);
    assert_int_equal(out.files, 4);
    assert_true(out.bytes_fetched == 4 + 9 + 3000000);
    const char *base = toy_path(t, "hub/models--ada--x");
    assert_true(snug_ends_with(out.path, "/hub/models--ada--x/snapshots/" TOY_COMMIT));
    toy_expect_file(toy_path(t, "hub/models--ada--x/refs/main"), SNUG_LIT(TOY_COMMIT));
    for (size_t i = 0; i < t->file_count; i++) {
        toy_expect_file(
            toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/%s", t->files[i].path),
            t->files[i].bytes);
        toy_expect_file(toy_path(t, "hub/models--ada--x/blobs/%s", t->files[i].etag),
                        t->files[i].bytes);
    }
    ssize_t n = readlink(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/sub/config.json"),
                         link, sizeof link);
    char    want[256];
    (void)snprintf(want, sizeof want, "../../../blobs/%s", t->files[2].etag);
    assert_true(n > 0 && snug_eq_str(snug_slice_of(link, (size_t)n), want));
    assert_int_equal(access(toy_path(t, "hub/CACHEDIR.TAG"), F_OK), 0);
    assert_int_equal(access(toy_path(t, "hub/models--ada--x/trees/" TOY_COMMIT ".json"), F_OK), 0);
    assert_int_equal(count_names(toy_path(t, "hub/models--ada--x/blobs"), "incomplete"), 0);
    (void)base;

    int gets = atomic_load(&t->gets);
    assert_int_equal(fetch(t, (remote_download){.files = NULL}, &out, &err), SNUG_OK);
    assert_true(out.bytes_fetched == 0 && atomic_load(&t->gets) == gets);
}

static void one_file_and_globs(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    snug_slice        file = SNUG_LIT("sub/config.json"), glob = SNUG_LIT("*.md");
    assert_int_equal(fetch(t, (remote_download){.files = &file, .file_count = 1}, &out, &err),
                     SNUG_OK);
    assert_true(snug_ends_with(out.path, "/snapshots/" TOY_COMMIT "/sub/config.json"));
    assert_int_equal(atomic_load(&t->heads), 1);
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_OK);
    assert_int_equal(out.files, 1);
    assert_int_not_equal(
        access(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/w.bin"), F_OK), 0);

    snug_slice missing = SNUG_LIT("nope/a.txt");
    assert_int_equal(fetch(t, (remote_download){.files = &missing, .file_count = 1}, &out, &err),
                     SNUG_ENOTFOUND);
    assert_string_equal(err.code, "EntryNotFound");
    assert_int_equal(
        access(toy_path(t, "hub/models--ada--x/.no_exist/" TOY_COMMIT "/nope/a.txt"), F_OK), 0);
}

static void absent_things_are_told_apart(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    remote_download   d = {.repo = {"model", SNUG_LIT("ada/y")}};
    assert_int_equal(fetch(t, d, &out, &err), SNUG_ENOTFOUND);
    assert_string_equal(err.code, "RepoNotFound");
    assert_int_equal(fetch(t, (remote_download){.revision = "v9"}, &out, &err), SNUG_ENOTFOUND);
    assert_string_equal(err.code, "RevisionNotFound");
}

static void large_files_come_in_parallel_ranges(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    toy_add(t, "big.bin", big, true);
    assert_int_equal(fetch(t, (remote_download){.segments = 4}, &out, &err), SNUG_OK);
    assert_int_equal(atomic_load(&t->ranges), 4);
    toy_expect_file(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/big.bin"), big);
}

typedef struct stopper {
    atomic_bool stop;
    uint64_t    at, last;
    bool        shrank;
} stopper;
static void stop_at(void *arg, const remote_progress *p)
{
    stopper *s = arg;
    if (p->done < s->last) s->shrank = true;
    s->last = p->done;
    if (p->done >= s->at) atomic_store(&s->stop, true);
}

static void an_interrupted_download_goes_on(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    stopper           s = {.at = 12 << 20};
    snug_slice        glob = SNUG_LIT("big.bin");
    toy_add(t, "big.bin", big, true);
    atomic_store(&t->sleep_ms, 5);
    remote_download d = {.include = &glob,
                         .include_count = 1,
                         .segments = 4,
                         .cancel = &s.stop,
                         .progress = stop_at,
                         .progress_arg = &s};
    assert_int_equal(fetch(t, d, &out, &err), SNUG_ECANCELED);
    assert_int_equal(count_names(toy_path(t, "hub/models--ada--x/blobs"), "incomplete"),
                     2); /* and its journal */
    assert_int_not_equal(access(toy_path(t, "hub/models--ada--x/blobs/%s", t->files[4].etag), F_OK),
                         0);
    atomic_store(&t->sleep_ms, 0);
    s = (stopper){.at = UINT64_MAX};
    assert_int_equal(fetch(t, d, &out, &err), SNUG_OK);
    assert_true(out.bytes_fetched < BIG_SIZE - (11u << 20));
    assert_false(s.shrank);
    toy_expect_file(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/big.bin"), big);
    assert_int_equal(count_names(toy_path(t, "hub/models--ada--x/blobs"), "incomplete"), 0);
}

static void cut_connections_and_busy_servers_are_outlasted(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    atomic_store(&t->busy, 3);
    atomic_store(&t->cut_after, 400000);
    atomic_store(&t->cuts, 5);
    assert_int_equal(fetch(t, (remote_download){.files = NULL}, &out, &err), SNUG_OK);
    assert_true(atomic_load(&t->cuts) <= 0);
    assert_true(out.bytes_fetched < 3000000 + 1000); /* nothing twice */
    toy_expect_file(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/w.bin"),
                    t->files[3].bytes);
}

static void a_server_that_ignores_ranges_still_serves(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    toy_add(t, "big.bin", snug_sub(big, 0, 20 << 20), true);
    atomic_store(&t->ignore_ranges, true);
    assert_int_equal(fetch(t, (remote_download){.segments = 4}, &out, &err), SNUG_OK);
    toy_expect_file(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/big.bin"),
                    snug_sub(big, 0, 20 << 20));
}

static void false_bytes_never_get_a_name(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    snug_slice        glob = SNUG_LIT("w.bin");
    atomic_store(&t->corrupt, true);
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_ECORRUPT);
    assert_non_null(strstr(err.msg, "w.bin"));
    assert_int_equal(atomic_load(&t->gets), 2); /* once more from nothing */
    assert_int_equal(count_names(toy_path(t, "hub/models--ada--x/blobs"), t->files[3].etag), 0);
    /* regular files too: git's own id */
    snug_slice md = SNUG_LIT("README.md");
    assert_int_equal(fetch(t, (remote_download){.include = &md, .include_count = 1}, &out, &err),
                     SNUG_ECORRUPT);
}

static void hostile_names_write_nothing(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    atomic_store(&t->hostile, true);
    assert_int_equal(fetch(t, (remote_download){.local_dir = toy_path(t, "a/b/out")}, &out, &err),
                     SNUG_EPAYLOAD);
    assert_int_not_equal(access(toy_path(t, "a/escaped"), F_OK), 0);
    assert_int_equal(atomic_load(&t->gets), 0);
}

static void the_token_stays_at_home(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    atomic_store(&t->elsewhere, true);
    snug_slice glob = SNUG_LIT("w.bin");
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_OK);
    assert_int_equal(atomic_load(&t->refused), 0);
    toy_expect_file(toy_path(t, "hub/models--ada--x/snapshots/" TOY_COMMIT "/w.bin"),
                    t->files[3].bytes);
}

static void local_folders(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    remote_download   d = {.local_dir = toy_path(t, "out")};
    char              dir[256];
    (void)snprintf(dir, sizeof dir, "%s", d.local_dir);
    d.local_dir = dir;
    assert_int_equal(fetch(t, d, &out, &err), SNUG_OK);
    for (size_t i = 0; i < t->file_count; i++)
        toy_expect_file(toy_path(t, "out/%s", t->files[i].path), t->files[i].bytes);
    snug_arena *a = snug_arena_new();
    snug_slice  note;
    assert_int_equal(
        snug_read_file(a, toy_path(t, "out/.cache/huggingface/download/sub/config.json.metadata"),
                       999, &note, &err),
        SNUG_OK);
    remote_note n;
    assert_true(remote_note_parse(note, &n));
    assert_string_equal(n.commit, TOY_COMMIT);
    assert_string_equal(n.etag, t->files[2].etag);
    toy_expect_file(toy_path(t, "out/.cache/huggingface/.gitignore"), SNUG_LIT("*"));
    snug_arena_free(a);
    assert_int_not_equal(access(toy_path(t, "hub"), F_OK), 0); /* the cache is not touched */

    assert_int_equal(fetch(t, d, &out, &err), SNUG_OK);
    assert_true(out.bytes_fetched == 0);

    /* edited files are brought back, and only they; a lost note is made good by hashing */
    sleep(2); /* the layout knows times to a second */
    toy_write(toy_path(t, "out/README.md"), SNUG_LIT("# y\n"));
    assert_int_equal(unlink(toy_path(t, "out/.cache/huggingface/download/w.bin.metadata")), 0);
    assert_int_equal(fetch(t, d, &out, &err), SNUG_OK);
    assert_true(out.bytes_fetched == 4);
    toy_expect_file(toy_path(t, "out/README.md"), SNUG_LIT("# x\n"));
}

static void local_links_are_not_written_through(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    char              dir[256];
    (void)snprintf(dir, sizeof dir, "%s", toy_path(t, "out"));
    toy_write(toy_path(t, "victim.txt"), SNUG_LIT("mine"));
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(symlink(toy_path(t, "victim.txt"), toy_path(t, "out/README.md")), 0);
    snug_slice readme = SNUG_LIT("README.md"), config = SNUG_LIT("sub/config.json");
    assert_int_equal(fetch(t,
                           (remote_download){.local_dir = dir, .files = &readme, .file_count = 1},
                           &out, &err),
                     SNUG_OK);
    toy_expect_file(toy_path(t, "victim.txt"), SNUG_LIT("mine"));
    toy_expect_file(toy_path(t, "out/README.md"), SNUG_LIT("# x\n"));
    assert_int_equal(mkdir(toy_path(t, "elsewhere"), 0755), 0);
    assert_int_equal(symlink(toy_path(t, "elsewhere"), toy_path(t, "out/sub")), 0);
    assert_int_equal(fetch(t,
                           (remote_download){.local_dir = dir, .files = &config, .file_count = 1},
                           &out, &err),
                     SNUG_ECONFLICT);
    assert_int_equal(count_names(toy_path(t, "elsewhere"), "config"), 0);
}

static void the_cache_feeds_local_folders(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    char              dir[256];
    (void)snprintf(dir, sizeof dir, "%s", toy_path(t, "out"));
    assert_int_equal(fetch(t, (remote_download){.files = NULL}, &out, &err), SNUG_OK);
    assert_int_equal(fetch(t, (remote_download){.local_dir = dir}, &out, &err), SNUG_OK);
    assert_true(out.bytes_fetched == 0);
    toy_expect_file(toy_path(t, "out/w.bin"), t->files[3].bytes);
}

static void without_a_server_the_cache_answers(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    snug_slice        glob = SNUG_LIT("*.json"), file = SNUG_LIT("sub/config.json");
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_OK);
    atomic_store(&t->down, true);
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_OK);
    assert_true(snug_ends_with(out.path, TOY_COMMIT));
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_int_equal(fetch(t, (remote_download){.files = &file, .file_count = 1}, &out, &err),
                     SNUG_OK);
    toy_expect_file(out.path.ptr, t->files[2].bytes);
    assert_int_equal(
        fetch(t, (remote_download){.revision = TOY_COMMIT, .files = &file, .file_count = 1}, &out,
              &err),
        SNUG_OK);
    /* what is not all there is not passed off as complete */
    assert_int_equal(fetch(t, (remote_download){.files = NULL}, &out, &err), SNUG_ENOTFOUND);
    assert_non_null(strstr(err.msg, "offline"));
    assert_int_equal(fetch(t, (remote_download){.revision = "v1"}, &out, &err), SNUG_ENOTFOUND);
    unsetenv("HF_HUB_OFFLINE");
}

static void a_lost_write_is_an_error(void **state)
{
    toyhub           *t = *state;
    remote_downloaded out;
    snug_err          err = {0};
    snug_faults_setup("remote.rename=fail@1");
    snug_slice glob = SNUG_LIT("w.bin");
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_EIO);
    snug_faults_setup(NULL);
    assert_int_equal(fetch(t, (remote_download){.include = &glob, .include_count = 1}, &out, &err),
                     SNUG_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = STDERR_FILENO});
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_lands_in_the_stock_layout),
        TEST(one_file_and_globs),
        TEST(absent_things_are_told_apart),
        TEST(large_files_come_in_parallel_ranges),
        TEST(an_interrupted_download_goes_on),
        TEST(cut_connections_and_busy_servers_are_outlasted),
        TEST(a_server_that_ignores_ranges_still_serves),
        TEST(false_bytes_never_get_a_name),
        TEST(hostile_names_write_nothing),
        TEST(the_token_stays_at_home),
        TEST(local_folders),
        TEST(local_links_are_not_written_through),
        TEST(the_cache_feeds_local_folders),
        TEST(without_a_server_the_cache_answers),
        TEST(a_lost_write_is_an_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free((void *)(uintptr_t)big.ptr);
    return failed;
}
