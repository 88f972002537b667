/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_gc.c - what nobody uses goes, after its time; what anybody uses stays, whoever
 * uploads and commits meanwhile. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <utime.h>

#include "care_check.h"

enum { HOUR = 3600000 };

static uint64_t due(const hub_gc_report *r)
{
    uint64_t n = 0;
    for (hub_gc_kind k = 0; k < HUB_GC_KINDS; k++) n += r->of[k].due;
    return n;
}

static void make_old(fixture *f) { sql(f, "UPDATE gc_marks SET since_ms = since_ms - 7200000"); }

static bool is_stored(fixture *f, const blob_id *id)
{
    return blob_exists(hub_blobs(f->h), id, NULL);
}

static void add_xorb(fixture *f, const hub_actor *who, int64_t row, uint64_t seed, built_xorb *out)
{
    snug_err     err = {0};
    hub_ticket   t = {.who = *who, .repo_row = row, .scope = HUB_ROLE_WRITE};
    hub_xorb_in *in;
    bool         have;
    *out = build_xorb(f->a, noise_of(f->a, 60000, seed), 30000);
    must(hub_xorb_begin(f->h, &t, &out->x.hash, &in, &have, &err));
    must(hub_xorb_write(in, out->body, &err));
    must(hub_xorb_commit(in, &err));
}

static void add_shard(fixture *f, const hub_actor *who, int64_t row, const built_xorb *x,
                      blob_id *id)
{
    snug_err          err = {0};
    bool              fresh;
    hub_ticket        t = {.who = *who, .repo_row = row, .scope = HUB_ROLE_WRITE};
    const built_xorb *only[] = {x};
    xet_shard_file    file = build_file(f->a, only, 1, NULL);
    xet_shard         shard = {.files = &file, .file_count = 1};
    must(hub_register_shard(f->h, &t, write_shard(f->a, &shard), NULL, NULL, &fresh, &err));
    unsigned char *raw = snug_arena_alloc(f->a, 60000 + XET_CHUNK_MAX);
    size_t         n = 0;
    for (snug_slice rest = x->body; rest.len > 0;) {
        uint32_t size, stored;
        must(xet_record_decode(rest, raw + n, &size, &stored, &err));
        n += size;
        rest = snug_sub(rest, stored, rest.len);
    }
    *id = (blob_id){snug_sha256_of(snug_slice_of(raw, n))};
}

/* ---- what goes ---- */

static void test_unused_goes(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    snug_slice    data = noise_of(f->a, 10000, 1);
    blob_id       used = add_object(f, &repo, "a", data), unlinked, never;
    built_xorb    x, kept;
    blob_id       packed;
    uint64_t      size;
    hub_ticket    t = {.who = f->alice, .repo_row = repo.row, .scope = HUB_ROLE_WRITE};

    must(upload(f, repo.row, noise_of(f->a, 5000, 2), &never, &err));
    unlinked = put_blob(f, "nobody", 6);
    add_xorb(f, &f->alice, repo.row, 3, &x);
    add_xorb(f, &f->alice, repo.row, 4, &kept);
    add_shard(f, &f->alice, repo.row, &kept, &packed);
    must(commit_lfs(f, &f->alice, &repo.id, "main", "p", &packed, &err));

    hub_gc_report r = collect(f, 0, true);
    assert_int_equal(r.of[HUB_GC_LINK].due, 1);
    assert_int_equal(r.of[HUB_GC_XORB].due, 1);
    assert_int_equal(r.of[HUB_GC_BLOB].due, 3); /* never, nobody, and the xorb's */
    assert_int_equal(r.of[HUB_GC_BLOB].due_bytes, 5000 + 6 + x.body.len);
    assert_true(is_stored(f, &never) && is_stored(f, &unlinked));
    r = collect(f, HOUR, true);
    assert_int_equal(due(&r), 0);

    r = collect(f, HOUR, false); /* marks */
    assert_int_equal(due(&r), 0);
    assert_int_equal(r.of[HUB_GC_LINK].waiting, 1);
    r = collect(f, HOUR, false);
    assert_int_equal(due(&r), 0);
    make_old(f);
    r = collect(f, HOUR, true);
    assert_int_equal(r.of[HUB_GC_BLOB].due, 3);
    char before[HUB_XET_REALM + 1], after[HUB_XET_REALM + 1];
    hub_xet_realm(f->h, &f->alice, before);
    r = collect(f, HOUR, false); /* all in one go: what follows inherits its time */
    assert_int_equal(r.of[HUB_GC_LINK].due, 1);
    assert_int_equal(r.of[HUB_GC_XORB].due, 1);
    assert_int_equal(r.of[HUB_GC_BLOB].due, 3);
    assert_false(is_stored(f, &never) || is_stored(f, &unlinked));
    must_fail(hub_xorb_size(f->h, &t, &x.x.hash, &size, &err), SNUG_ENOTFOUND, NULL, "");
    must(hub_xorb_size(f->h, &t, &kept.x.hash, &size, &err));
    hub_xet_realm(f->h, &f->alice, after); /* clients forget what they knew */
    assert_string_not_equal(before, after);
    check_bytes(f, repo.row, &used, data);
    check_sound(f);

    /* What went can come again, also in another packing than is remembered. */
    add_xorb(f, &f->alice, repo.row, 3, &x);
    add_shard(f, &f->alice, repo.row, &x, &packed);
    must(commit_lfs(f, &f->alice, &repo.id, "main", "q", &packed, &err));
    check_sound(f);
}

/* Branches, tags, pull requests and all of their history keep what they name. */
static void test_history_keeps(void **state)
{
    fixture          *f = *state;
    snug_err          err = {0};
    hub_repo_info     repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    snug_slice        d[4];
    blob_id           id[4];
    hub_repo         *open;
    hub_draft        *w;
    hub_commit_result done;
    int64_t           num;

    for (uint64_t i = 0; i < 4; i++) d[i] = noise_of(f->a, 2000, 50 + i);
    id[0] = add_object(f, &repo, "gone", d[0]); /* deleted later */
    w = draft(f, "delete", "");
    must(hub_draft_delete(w, SNUG_LIT("gone"), false, &err));
    must(hub_apply_draft(f->h, &f->alice, &repo.id, SNUG_LIT("main"), w, &done, &err));
    hub_draft_free(w);
    must(hub_open_repo(f->h, &f->alice, &repo.id, HUB_ROLE_WRITE, f->a, &open, &err));
    must(hub_create_branch(f->h, open, SNUG_LIT("side"), SNUG_EMPTY, false, &err));
    hub_close_repo(open);
    must(upload(f, repo.row, d[1], &id[1], &err));
    must(commit_lfs(f, &f->alice, &repo.id, "side", "s", &id[1], &err));
    /* A stranger's pull request. */
    must(upload(f, repo.row, d[2], &id[2], &err));
    w = draft(f, "propose", "");
    must(hub_draft_lfs(w, SNUG_LIT("p"), &id[2], NULL, &err));
    must(hub_propose_draft(f->h, &f->bob, &repo.id, SNUG_LIT("main"), w, &num, &done, &err));
    hub_draft_free(w);
    must(upload(f, repo.row, d[3], &id[3], &err)); /* for one that was never opened */

    hub_gc_report r = collect(f, 0, false);
    assert_int_equal(r.of[HUB_GC_LINK].due, 1);
    assert_int_equal(r.skipped, 0);
    for (size_t i = 0; i < 3; i++) check_bytes(f, repo.row, &id[i], d[i]);
    assert_false(is_stored(f, &id[3]));

    /* The branch goes: its object does, after its time, which begins now. */
    must(hub_open_repo(f->h, &f->alice, &repo.id, HUB_ROLE_WRITE, f->a, &open, &err));
    must(hub_delete_branch(f->h, open, SNUG_LIT("side"), &err));
    hub_close_repo(open);
    r = collect(f, HOUR, false);
    assert_int_equal(r.of[HUB_GC_LINK].waiting, 1);
    /* Somebody wants it again: told that it is here, and from then on it stays. */
    must(hub_keep_lfs(f->h, repo.row, &id[1], &err));
    make_old(f);
    r = collect(f, HOUR, false);
    assert_int_equal(due(&r), 0);
    make_old(f);
    must(commit_lfs(f, &f->alice, &repo.id, "main", "again", &id[1], &err));
    r = collect(f, HOUR, false);
    assert_int_equal(due(&r), 0);
    r = collect(f, 0, false);
    assert_int_equal(due(&r), 0);
    check_bytes(f, repo.row, &id[1], d[1]);
    check_sound(f);

    /* The repository goes, and all with it. */
    must(hub_delete_repo(f->h, &f->alice, &repo.id, &err));
    r = collect(f, 0, false);
    for (size_t i = 0; i < 3; i++) assert_false(is_stored(f, &id[i]));
    hub_store_sums s;
    must(hub_server_storage(f->h, &s, &err));
    assert_int_equal(s.stored, 0);
}

static void test_unreadable_repo_keeps_all(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    blob_id       used = add_object(f, &repo, "a", noise_of(f->a, 3000, 1));
    char          path[256], away[300];
    snprintf(path, sizeof path, "%s/git/%.2s/%s.git", f->dir, repo.key, repo.key);
    snprintf(away, sizeof away, "%s-away", path);
    hub_close(f->h);
    assert_int_equal(rename(path, away), 0);
    open_hub(f);
    hub_gc_report r = collect(f, 0, false);
    assert_int_equal(r.skipped, 1);
    assert_int_equal(due(&r), 0);
    hub_close(f->h);
    must(snug_remove_tree(path, &err));
    assert_int_equal(rename(away, path), 0);
    open_hub(f);
    assert_true(is_stored(f, &used));
}

static snug_status pull_bytes(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    snug_slice *s = arg;
    (void)err;
    *got = s->len < n ? s->len : n;
    memcpy(p, s->ptr, *got);
    *s = snug_sub(*s, *got, s->len);
    return SNUG_OK;
}

static void test_abandoned_uploads(void **state)
{
    fixture       *f = *state;
    snug_err       err = {0};
    snug_slice     data = noise_of(f->a, 4096, 1);
    snug_sha256    etag;
    char           path[256];
    struct utimbuf old = {1000000, 1000000};
    must(blob_part_put(hub_blobs(f->h), SNUG_LIT("abcdefghijklmnop"), 1, 0, pull_bytes, &data, 4096,
                       &etag, &err));
    hub_gc_report r = collect(f, 0, false);
    assert_int_equal(r.of[HUB_GC_UPLOAD].due, 0); /* it may go on */
    snprintf(path, sizeof path, "%s/tmp/mp-abcdefghijklmnop/journal", f->dir);
    assert_int_equal(utime(path, &old), 0);
    r = collect(f, 0, true);
    assert_int_equal(r.of[HUB_GC_UPLOAD].due, 1);
    assert_int_equal(r.of[HUB_GC_UPLOAD].due_bytes, 4096);
    assert_int_equal(access(path, F_OK), 0);
    r = collect(f, 0, false);
    assert_int_equal(r.of[HUB_GC_UPLOAD].due, 1);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_one_at_a_time(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_gc_report r;
    hub_gc_opts   o = {.grace_ms = 0};
    char          path[256];
    snprintf(path, sizeof path, "%s/hold", f->dir);
    (void)collect(f, 0, false);
    int          fd = open(path, O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 18, .l_len = 1};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    must_fail(hub_collect(f->h, &o, &r, &err), SNUG_EBUSY, NULL, "another collection");
    /* An upload that does not end is waited for, and then left in peace. */
    l.l_type = F_UNLCK;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    blob_id id = put_blob(f, "nobody", 6);
    for (int side = 0; side < 2; side++) {
        l = (struct flock){
            .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 16 + side, .l_len = 1};
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    }
    o.wait_ms = 100;
    must_fail(hub_collect(f->h, &o, &r, &err), SNUG_EBUSY, NULL, "still running");
    assert_true(is_stored(f, &id));
    (void)close(fd);
    (void)collect(f, 0, false);
    assert_false(is_stored(f, &id));
}

/* ---- races ---- */

typedef struct racer {
    fixture     *f;
    hub_repo_id  id;
    int64_t      row;
    unsigned     number;
    int          landed, missing, other;
    char         text[1200];
    atomic_bool *stop;
    uint64_t     grace_ms;
    int          collections, busy;
} racer;

static void note(racer *r, snug_status st, const snug_err *err)
{
    if (st == SNUG_OK) {
        r->landed++;
    } else if (st == SNUG_EINVAL || st == SNUG_EBUSY) {
        r->missing++;
    } else {
        r->other++;
        snprintf(r->text, sizeof r->text, "%s (%s)", err->msg, err->cause);
    }
}

enum { ROUNDS = 60 };

/* The same few objects again and again, in all forms: they come, go, and are wanted again. */
static void race_lfs(void *arg)
{
    racer      *r = arg;
    snug_arena *a = snug_arena_new();
    for (unsigned i = 0; i < ROUNDS; i++) {
        snug_err   err = {0};
        blob_id    id;
        char       path[32];
        hub_draft *d;
        snprintf(path, sizeof path, "w%u", r->number);
        snug_slice  data = noise_of(a, 3000, i % 5);
        snug_status st = upload(r->f, r->row, data, &id, &err);
        if (st == SNUG_OK) st = hub_draft_new(r->f->h, &d, &err);
        if (st == SNUG_OK) {
            hub_commit_result done;
            st = hub_draft_header(d, SNUG_LIT("add"), SNUG_EMPTY, SNUG_EMPTY, &err);
            if (st == SNUG_OK) st = hub_draft_lfs(d, snug_str(path), &id, NULL, &err);
            if (st == SNUG_OK)
                st = hub_apply_draft(r->f->h, &r->f->alice, &r->id, SNUG_LIT("main"), d, &done,
                                     &err);
            hub_draft_free(d);
        }
        note(r, st, &err);
        hub_chunked c;
        if (i % 7 == 0) (void)!hub_chunk_object(r->f->h, &id, NULL, NULL, &c, &err);
    }
    snug_arena_free(a);
}

static void race_xet(void *arg)
{
    racer      *r = arg;
    snug_arena *a = snug_arena_new();
    for (unsigned i = 0; i < ROUNDS; i++) {
        snug_err          err = {0};
        hub_ticket        t = {.who = r->f->alice, .repo_row = r->row, .scope = HUB_ROLE_WRITE};
        built_xorb        x = build_xorb(a, noise_of(a, 20000, 70 + i % 5), 10000);
        const built_xorb *only[] = {&x};
        xet_shard_file    file = build_file(a, only, 1, NULL);
        xet_shard         shard = {.files = &file, .file_count = 1};
        hub_xorb_in      *in = NULL;
        bool              have, fresh;
        snug_status       st = hub_xorb_begin(r->f->h, &t, &x.x.hash, &in, &have, &err);
        if (st == SNUG_OK) st = hub_xorb_write(in, x.body, &err);
        if (st == SNUG_OK) st = hub_xorb_commit(in, &err);
        if (st == SNUG_OK)
            st = hub_register_shard(r->f->h, &t, write_shard(a, &shard), NULL, NULL, &fresh, &err);
        note(r, st, &err);
    }
    snug_arena_free(a);
}

static void race_collect(void *arg)
{
    racer *r = arg;
    while (!atomic_load(r->stop)) {
        hub_gc_report report;
        snug_err      err = {0};
        hub_gc_opts   o = {.grace_ms = r->grace_ms};
        snug_status   st = hub_collect(r->f->h, &o, &report, &err);
        if (st == SNUG_OK)
            r->collections++;
        else if (st == SNUG_EBUSY)
            r->busy++; /* chunking takes its turn too */
        else
            note(r, st, &err);
        (void)usleep(1000);
    }
}

static void race(fixture *f, uint64_t grace_ms)
{
    enum { WRITERS = 4 };
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    atomic_bool   stop;
    racer         w[WRITERS], gc = {.f = f, .stop = &stop, .grace_ms = grace_ms};
    snug_thread  *t[WRITERS];
    atomic_init(&stop, false);
    snug_thread *collector = snug_thread_start("gc", 1024, race_collect, &gc);
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (racer){.f = f, .id = repo.id, .row = repo.row, .number = i};
        t[i] = snug_thread_start("writer", 2048, i % 2 == 0 ? race_lfs : race_xet, &w[i]);
    }
    for (unsigned i = 0; i < WRITERS; i++) snug_thread_join(t[i]);
    atomic_store(&stop, true);
    snug_thread_join(collector);
    assert_true(gc.collections > 0);
    if (gc.other > 0) fail_msg("collector: %s", gc.text);
    for (unsigned i = 0; i < WRITERS; i++) {
        if (w[i].other > 0) fail_msg("writer %u: %s", i, w[i].text);
        if (grace_ms > 0 && w[i].missing > 0) fail_msg("writer %u lost %d", i, w[i].missing);
        assert_true(w[i].landed > 0);
    }
    check_sound(f); /* no commit names what went */
}

static void test_race_with_grace(void **state) { race(*state, HOUR); }
static void test_race_without_grace(void **state) { race(*state, 0); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unused_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history_keeps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_repo_keeps_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abandoned_uploads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race_with_grace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race_without_grace, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
