/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_upload.c - one commit, nothing sent twice, progress that only grows. */
#include "toyhub.h"

static snug_slice big;
#define BIG_SIZE ((size_t)5 << 20)

static int setup(void **state)
{
    toyhub *t = snug_zalloc(sizeof *t);
    if (big.ptr == NULL) big = toy_random_bytes(BIG_SIZE);
    toy_start(t);
    toy_write(toy_path(t, "up/a.txt"), SNUG_LIT("alpha\n"));
    toy_write(toy_path(t, "up/empty.bin"), SNUG_EMPTY);
    toy_write(toy_path(t, "up/sub/w.bin"), big);
    toy_write(toy_path(t, "up/sub/copy.bin"), big);
    toy_write(toy_path(t, "up/.git/config"), SNUG_LIT("secret"));
    toy_write(toy_path(t, "up/.cache/huggingface/download/a.txt.metadata"), SNUG_LIT("x"));
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    toy_stop(*state);
    return 0;
}

typedef struct watch {
    uint64_t last, total;
    bool     shrank, over;
    unsigned finished;
} watch;
static void look(void *arg, const remote_progress *p)
{
    watch *w = arg;
    w->shrank |= p->done < w->last;
    w->over |= p->done > p->total;
    w->last = p->done;
    w->total = p->total;
    w->finished += p->finished;
}

static snug_status send(toyhub *t, remote_upload u, remote_uploaded *out, watch *w, snug_err *err)
{
    remote     *r = toy_client(t);
    snug_arena *a = snug_arena_new();
    snug_err_clear(err);
    u.repo = (remote_repo){"model", SNUG_LIT("ada/x")};
    u.progress = look;
    u.progress_arg = w;
    *w = (watch){.last = 0};
    snug_status st = remote_do_upload(r, &u, a, out, err);
    out->commit_oid = out->commit_url = SNUG_EMPTY;
    snug_arena_free(a);
    remote_close(r);
    return st;
}

static void expect_in_commit(toyhub *t, const char *text, bool there)
{
    bool found = t->commit_body != NULL && strstr(t->commit_body, text) != NULL;
    if (found != there)
        fail_msg("%s is %s in %.400s", text, there ? "not" : "wrongly",
                 t->commit_body == NULL ? "" : t->commit_body);
}

static void a_folder_becomes_one_commit(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    assert_int_equal(
        send(t, (remote_upload){.path = toy_path(t, "up"), .message = "First\n\nmore words"}, &out,
             &w, &err),
        SNUG_OK);
    assert_int_equal(out.files, 4);
    assert_int_equal(out.skipped, 0);
    assert_int_equal(atomic_load(&t->commits), 1);
    assert_int_equal(atomic_load(&t->puts), 1); /* two files, one object */
    assert_true(out.bytes_sent > BIG_SIZE && out.bytes_sent < BIG_SIZE + 4096);
    assert_false(w.shrank || w.over);
    assert_true(w.last == w.total && w.finished == 1);
    assert_int_equal(t->object_count, 1);
    assert_true(t->objects[0].whole);
    expect_in_commit(
        t,
        "{\"key\":\"header\",\"value\":{\"summary\":\"First\",\"description\":\"more words\"}}\n",
        true);
    expect_in_commit(t, "\"path\":\"a.txt\",\"encoding\":\"base64\",\"content\":\"YWxwaGEK\"}}\n",
                     true);
    expect_in_commit(t, "\"path\":\"empty.bin\",\"encoding\":\"base64\",\"content\":\"\"}}\n",
                     true);
    expect_in_commit(
        t, "\"key\":\"lfsFile\",\"value\":{\"path\":\"sub/w.bin\",\"algo\":\"sha256\",\"oid\":\"",
        true);
    expect_in_commit(t, "sub/copy.bin", true);
    expect_in_commit(t, ".git/", false);
    expect_in_commit(t, "huggingface", false);
}

static void what_is_unchanged_is_not_sent(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    toy_add(t, "a.txt", SNUG_LIT("alpha\n"), false);
    toy_add(t, "empty.bin", SNUG_EMPTY, false);
    toy_add(t, "sub/w.bin", big, true);
    toy_add(t, "sub/copy.bin", big, true);
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "up")}, &out, &w, &err), SNUG_OK);
    assert_true(out.files == 0 && out.skipped == 4 && out.bytes_sent == 0);
    assert_int_equal(atomic_load(&t->commits), 0);
    assert_int_equal(atomic_load(&t->batches), 0);
    assert_true(w.last == w.total && !w.shrank && w.finished == 1);
    toy_write(toy_path(t, "up/a.txt"), SNUG_LIT("beta\n"));
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "up")}, &out, &w, &err), SNUG_OK);
    assert_true(out.files == 1 && out.skipped == 3);
    expect_in_commit(t, "YmV0YQo=", true);
    expect_in_commit(t, "w.bin", false);
}

static void stored_objects_survive_a_failed_commit(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    atomic_store(&t->fail_commit, true);
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "up")}, &out, &w, &err),
                     SNUG_EFORBIDDEN);
    assert_string_equal(err.msg, "not today");
    assert_int_equal(atomic_load(&t->puts), 1);
    atomic_store(&t->fail_commit, false);
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "up")}, &out, &w, &err), SNUG_OK);
    assert_int_equal(atomic_load(&t->puts), 1);
    assert_true(out.files == 4 && out.bytes_sent < 4096);
    assert_true(w.last == w.total && !w.shrank);
}

static void parts_and_retries(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    atomic_store(&t->part_size, 1000000);
    atomic_store(&t->busy, 3); /* three parts are refused after they were read */
    assert_int_equal(
        send(t, (remote_upload){.path = toy_path(t, "up/sub/w.bin"), .in_repo = "weights/a.bin"},
             &out, &w, &err),
        SNUG_OK);
    assert_int_equal(atomic_load(&t->puts), 6 + 3);
    assert_int_equal(atomic_load(&t->refused), 0);
    assert_true(t->objects[0].whole);
    assert_false(w.shrank || w.over);
    assert_true(w.last == w.total);
    expect_in_commit(t, "\"path\":\"weights/a.bin\"", true);
    expect_in_commit(t, "\"summary\":\"Upload with snug\"", true);
}

static void ignored_files_stay(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    toy_write(toy_path(t, "up2/.gitignore"), SNUG_LIT("*.ignored\n"));
    toy_write(toy_path(t, "up2/b.ignored"), SNUG_LIT("no"));
    toy_write(toy_path(t, "up2/c.txt"), SNUG_LIT("yes"));
    assert_int_equal(
        send(t, (remote_upload){.path = toy_path(t, "up2"), .in_repo = "/d/"}, &out, &w, &err),
        SNUG_OK);
    expect_in_commit(t, "d/b.ignored", true); /* not the root of the repository: no rule there */
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "up2")}, &out, &w, &err), SNUG_OK);
    assert_true(out.files == 2 && out.skipped == 1);
    expect_in_commit(t, "b.ignored", false);
    expect_in_commit(t, "\"path\":\"c.txt\"", true);
}

static void odd_folders(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "missing")}, &out, &w, &err),
                     SNUG_ENOTFOUND);
    assert_int_equal(mkdir(toy_path(t, "none"), 0755), 0);
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "none")}, &out, &w, &err),
                     SNUG_EINVAL);
    assert_int_equal(symlink(toy_path(t, "none"), toy_path(t, "none/loop")), 0);
    assert_int_equal(mkfifo(toy_path(t, "none/pipe"), 0644), 0);
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "none")}, &out, &w, &err),
                     SNUG_EINVAL);
    assert_int_equal(symlink(toy_path(t, "up/a.txt"), toy_path(t, "none/link.txt")), 0);
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "none")}, &out, &w, &err),
                     SNUG_OK);
    assert_int_equal(out.files, 1);
    expect_in_commit(t, "YWxwaGEK", true);
}

static void many_small_files_go_in_batches(void **state)
{
    toyhub         *t = *state;
    remote_uploaded out;
    watch           w;
    snug_err        err = {0};
    for (unsigned i = 0; i < 600; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", i);
        toy_write(toy_path(t, "many/d%u/f%u.txt", i % 7, i), snug_str(text));
    }
    assert_int_equal(send(t, (remote_upload){.path = toy_path(t, "many")}, &out, &w, &err),
                     SNUG_OK);
    assert_int_equal(out.files, 600);
    assert_int_equal(atomic_load(&t->preuploads), 3);
    assert_int_equal(atomic_load(&t->commits), 1);
    size_t lines = 0;
    for (const char *p = t->commit_body; *p != '\0'; p++) lines += *p == '\n';
    assert_int_equal(lines, 601);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = STDERR_FILENO});
    const struct CMUnitTest tests[] = {
        TEST(a_folder_becomes_one_commit),
        TEST(what_is_unchanged_is_not_sent),
        TEST(stored_objects_survive_a_failed_commit),
        TEST(parts_and_retries),
        TEST(ignored_files_stay),
        TEST(odd_folders),
        TEST(many_small_files_go_in_batches),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free((void *)(uintptr_t)big.ptr);
    return failed;
}
