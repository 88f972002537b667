/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_chunk.c - files that came whole become chunks: the bytes stay, equal chunks are
 * stored once, nobody learns of others' chunks, and a kill at any point does no harm. */
#include <sys/wait.h>

#include "care_check.h"

static hub_chunked chunk(fixture *f, const blob_id *id)
{
    hub_chunked r;
    snug_err    err = {0};
    must(hub_chunk_object(f->h, id, NULL, NULL, &r, &err));
    return r;
}

static void test_one_file(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    snug_slice    data = noise_of(f->a, 3000000, 11);
    blob_id       id = add_object(f, &repo, "model.bin", data);
    hub_object    o;
    xet_hash      name;
    xet_plan      p;
    uint64_t      size;

    /* A reader that opened the whole copy before, and one that only knows it was there. */
    must(hub_find_object(f->h, repo.row, &id, f->a, &o, &err));
    assert_true(o.is_blob && !o.is_xet);
    hub_reader *late = hub_reader_new(f->h, &o, 1000, 2000000),
               *early = hub_reader_new(f->h, &o, 0, 99);
    snug_slice piece;
    must(hub_reader_next(early, &piece, &err));

    hub_chunked r = chunk(f, &id);
    assert_true(r.packed && r.dropped);
    assert_int_equal(r.size, data.len);
    assert_true(r.chunks > 20 && r.known == 0);
    assert_false(blob_exists(hub_blobs(f->h), &id, NULL));
    check_bytes(f, repo.row, &id, data);
    must(hub_reader_next(late, &piece, &err));
    assert_memory_equal(piece.ptr, data.ptr + 1000, piece.len);
    hub_reader_free(late);
    hub_reader_free(early);

    /* The Xet door knows it now. */
    assert_true(hub_find_xet_hash(f->h, repo.row, &id, &name));
    hub_ticket t = {.who = nobody, .repo_row = repo.row, .scope = HUB_ROLE_READ};
    must(hub_plan_file(f->h, &t, &name, 0, UINT64_MAX - 1, f->a, &p, &size, &err));
    assert_int_equal(size, data.len);

    /* Again: nothing to do. A whole copy that came again goes again. */
    r = chunk(f, &id);
    assert_false(r.packed);
    must(upload(f, repo.row, data, &id, &err));
    assert_true(blob_exists(hub_blobs(f->h), &id, NULL));
    r = chunk(f, &id);
    assert_true(r.packed && r.dropped && r.stored == 0);
    check_bytes(f, repo.row, &id, data);
    check_sound(f);
}

static void test_many_xorbs_and_small_files(void **state)
{
    fixture      *f = *state;
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    snug_slice    big = noise_of(f->a, 70000000, 5), one = SNUG_LIT("x"), zeros;
    blob_id       ids[3];
    zeros = snug_slice_of(snug_arena_zalloc(f->a, 1000000), 1000000);
    ids[0] = add_object(f, &repo, "big", big);
    ids[1] = add_object(f, &repo, "one", one);
    ids[2] = add_object(f, &repo, "zeros", zeros);
    for (size_t i = 0; i < 3; i++) assert_true(chunk(f, &ids[i]).dropped);
    check_bytes(f, repo.row, &ids[0], big);
    check_bytes(f, repo.row, &ids[2], zeros);
    check_bytes(f, repo.row, &ids[1], one);
    check_sound(f);
}

/* The same bytes with something put in the middle share their chunks, in another repository too. */
static void test_equal_chunks_once(void **state)
{
    fixture      *f = *state;
    hub_repo_info one = create(f, &f->alice, HUB_MODEL, "Alice", "one", HUB_PUBLIC);
    hub_repo_info two = create(f, &f->alice, HUB_MODEL, "Alice", "two", HUB_PRIVATE);
    snug_slice    data = noise_of(f->a, 8000000, 3);
    char         *p = snug_arena_alloc(f->a, data.len + 1000);
    memcpy(p, data.ptr, 4000000);
    memset(p + 4000000, 7, 1000);
    memcpy(p + 4001000, data.ptr + 4000000, data.len - 4000000);
    snug_slice changed = snug_slice_of(p, data.len + 1000);

    blob_id a = add_object(f, &one, "a", data), b = add_object(f, &two, "b", changed);
    assert_true(chunk(f, &a).dropped);
    hub_chunked r = chunk(f, &b);
    assert_true(r.dropped);
    if (r.stored > 400000) fail_msg("stored %llu bytes anew", (unsigned long long)r.stored);
    check_bytes(f, one.row, &a, data);
    check_bytes(f, two.row, &b, changed);

    hub_storage s;
    hub_repo   *repo;
    snug_err    err = {0};
    must(hub_open_repo(f->h, &f->alice, &two.id, HUB_ROLE_READ, f->a, &repo, &err));
    must(hub_repo_storage(f->h, &f->alice, repo, f->a, &s, &err));
    assert_int_equal(s.objects, 1);
    assert_int_equal(s.logical, changed.len);
    assert_int_equal(s.sharer_count, 1);
    assert_string_equal(s.sharers[0].id.name, "one");
    assert_true(s.sharers[0].bytes > 7500000);
    hub_close_repo(repo);
    /* Who reads the public one is not told of the private one; who cannot write is told nothing. */
    must(hub_open_repo(f->h, &f->bob, &one.id, HUB_ROLE_READ, f->a, &repo, &err));
    must_fail(hub_repo_storage(f->h, &f->bob, repo, f->a, &s, &err), SNUG_EFORBIDDEN, NULL, "");
    hub_close_repo(repo);

    hub_store_sums sums;
    must(hub_server_storage(f->h, &sums, &err));
    assert_int_equal(sums.objects, 2);
    assert_int_equal(sums.logical, data.len + changed.len);
    assert_true(sums.stored < data.len + 500000);
}

/* Bob's readers are not shown that Alice keeps the same chunks in private, and the other way round
 * what is public may be used by all. */
static void test_private_chunks_are_not_used(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info hers = create(f, &f->alice, HUB_MODEL, "Alice", "secret", HUB_PRIVATE);
    hub_repo_info his = create(f, &f->bob, HUB_MODEL, "bob", "open", HUB_PUBLIC);
    hub_repo_info also = create(f, &f->bob, HUB_MODEL, "bob", "own", HUB_PRIVATE);
    snug_slice    data = noise_of(f->a, 2000000, 9);
    snug_slice    less = snug_sub(data, 0, 1500000), least = snug_sub(data, 0, 1000000);
    blob_id       a = add_object(f, &hers, "a", data);
    assert_true(chunk(f, &a).dropped);
    blob_id     b = add_object(f, &his, "b", less);
    hub_chunked r = chunk(f, &b);
    assert_int_equal(r.known, 0);
    blob_id c = add_object(f, &also, "c", least);
    r = chunk(f, &c);
    assert_true(r.known + 2 >= r.chunks);

    /* The same file in both: she has a form that he is not shown, and neither is told. */
    blob_id d;
    must(upload(f, his.row, data, &d, &err));
    assert_true(blob_id_eq(&a, &d));
    xet_hash name;
    assert_false(hub_find_xet_hash(f->h, his.row, &d, &name));
    assert_true(chunk(f, &d).dropped); /* stored once */
    assert_false(hub_find_xet_hash(f->h, his.row, &d, &name));
    check_bytes(f, his.row, &d, data);
}

static void test_damage_stays(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    snug_slice    data = noise_of(f->a, 500000, 13);
    blob_id       id = add_object(f, &repo, "a", data);
    hub_chunked   r;
    char          path[256];
    path_of(f, &id, path);
    FILE *file = fopen(path, "r+");
    fseek(file, 77777, SEEK_SET);
    fputc(data.ptr[77777] ^ 1, file);
    fclose(file);
    must_fail(hub_chunk_object(f->h, &id, NULL, NULL, &r, &err), SNUG_ECORRUPT, NULL, "damaged");
    assert_true(blob_exists(hub_blobs(f->h), &id, NULL));
    assert_int_equal(access(path, F_OK), 0);
}

static bool stop_soon(void *arg) { return ++*(int *)arg > 3; }

static void test_stop(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    snug_slice    data = noise_of(f->a, 9000000, 17);
    blob_id       id = add_object(f, &repo, "a", data);
    hub_chunked   r;
    int           asked = 0;
    must_fail(hub_chunk_object(f->h, &id, stop_soon, &asked, &r, &err), SNUG_EBUSY, NULL,
              "stopped");
    check_bytes(f, repo.row, &id, data);
    assert_true(chunk(f, &id).dropped);
    check_bytes(f, repo.row, &id, data);
}

/* ---- kills ---- */

static void die_at(fixture *f, const char *fault, const blob_id *id)
{
    hub_close(f->h);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        hub_chunked r;
        snug_err    err = {0};
        hub_opts    o = {.data_dir = f->dir};
        snug_faults_setup(fault);
        if (hub_open(&o, &f->h, &err) == SNUG_OK)
            (void)!hub_chunk_object(f->h, id, NULL, NULL, &r, &err);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if ((strstr(fault, "kill") != NULL) != WIFSIGNALED(status)) fail_msg("%s: %x", fault, status);
    open_hub(f);
}

static void test_kills(void **state)
{
    static const char *const faults[] = {
        "chunk.xorb=kill@1", "chunk.layout=kill@1", "chunk.drop=kill@1", "chunk.dropped=kill@1",
        "blob.write=kill@1", "blob.rename=kill@1",  "blob.fsync=kill@1", "blob.dirsync=kill@1",
        "chunk.xorb=fail@1", "chunk.layout=fail@1", "chunk.drop=fail@1", "chunk.dropped=fail@1"};
    fixture      *f = *state;
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char       path[32];
        snug_slice data = noise_of(f->a, 1500000, 100 + i);
        snprintf(path, sizeof path, "f%zu", i);
        blob_id id = add_object(f, &repo, path, data);
        die_at(f, faults[i], &id);
        check_bytes(f, repo.row, &id, data);
        check_sound(f);
        hub_chunked r = chunk(f, &id);
        if (!r.dropped && blob_exists(hub_blobs(f->h), &id, NULL))
            fail_msg("after %s: not packed", faults[i]);
        check_bytes(f, repo.row, &id, data);
    }
    check_sound(f);
    (void)collect(f, 0, false);
    check_sound(f);
}

/* Ten fine-tuned variants of one checkpoint: 10 % of each is its own. */
static void test_variants(void **state)
{
    enum { SIZE = 20000000, OWN = SIZE / 10, VARIANTS = 10 };
    fixture   *f = *state;
    snug_err   err = {0};
    snug_slice base = noise_of(f->a, SIZE, 1);
    hub_set_chunk_min(f->h, 0);
    for (unsigned i = 0; i < VARIANTS; i++) {
        char       name[16];
        snug_slice own = noise_of(f->a, OWN, 1000 + i);
        char      *p = snug_arena_alloc(f->a, SIZE);
        snprintf(name, sizeof name, "v%u", i);
        hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", name, HUB_PRIVATE);
        memcpy(p, base.ptr, SIZE);
        memcpy(p + 1000000 + 1500000 * (size_t)i, own.ptr, OWN); /* another layer of each */
        snug_slice data = snug_slice_of(p, SIZE);
        blob_id    id = add_object(f, &repo, "model.safetensors", data);
        assert_true(chunk(f, &id).dropped);
    }
    hub_store_sums s;
    must(hub_server_storage(f->h, &s, &err));
    double distinct = SIZE + (double)(VARIANTS - 1) * OWN + OWN;
    double ratio = (double)s.stored / distinct;
    print_message("ten variants: %.1f MB logical, %.1f MB stored, %.3f of what is distinct\n",
                  (double)s.logical / 1e6, (double)s.stored / 1e6, ratio);
    if (ratio > 1.3) fail_msg("%.3f times what the distinct bytes weigh", ratio);
}

static void test_queue(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    blob_id       id, after = {{{0}}}, *ids;
    hub_job      *jobs;
    size_t        n;
    uint64_t      count;
    bool          more;
    hub_set_chunk_min(f->h, 1000);
    must(upload(f, repo.row, noise_of(f->a, 999, 1), &id, &err));
    must(hub_list_jobs(f->h, NULL, 0, 10, f->a, &jobs, &n, &err));
    assert_int_equal(n, 0);
    must(upload(f, repo.row, noise_of(f->a, 5000, 2), &id, &err));
    must(upload(f, repo.row, noise_of(f->a, 5000, 2), &id, &err));
    must(hub_list_jobs(f->h, NULL, 0, 10, f->a, &jobs, &n, &err));
    assert_int_equal(n, 1);
    assert_true(snug_eq_str(jobs[0].kind, "xet-chunk"));
    must(hub_list_whole(f->h, 1000, &after, 100, f->a, &ids, &n, &more, &err));
    assert_int_equal(n, 1);
    assert_false(more);
    must(hub_queue_whole(f->h, 1, NULL, NULL, &count, &err));
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_xorbs_and_small_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_equal_chunks_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_private_chunks_are_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
