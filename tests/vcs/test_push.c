/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_push.c - a push step by step: read, quarantined, checked, kept, reported. */
#include "fixture.h"

#include <dirent.h>

#define ZERO "0000000000000000000000000000000000000000"

typedef struct bytes {
    char  *p;
    size_t n, at, step;
} bytes;

static snug_status pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    bytes *b = arg;
    (void)err;
    *got = b->n - b->at < n ? b->n - b->at : n;
    if (*got > b->step) *got = b->step;
    if (*got > 0) memcpy(p, b->p + b->at, *got);
    b->at += *got;
    return SNUG_OK;
}

/* A working clone at f->root/work with one more commit than the repository, made by real git. */
typedef struct pusher {
    fixture *f;
    char     work[100];
    vcs_oid  old, to;
} pusher;

static vcs_oid head_of(const char *work)
{
    vcs_oid id;
    char   *text = GIT(work, "rev-parse", "HEAD");
    assert_true(vcs_oid_parse(snug_slice_of(text, 40), &id));
    free(text);
    return id;
}

static pusher start(fixture *f)
{
    pusher     x = {.f = f};
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, "base.txt", "a line that deltas well, again and again and again\n");
    x.old = land(f->r, d, "refs/heads/main", NULL, "base", 1700000000);
    (void)snprintf(x.work, sizeof x.work, "%s/work", f->root);
    GIT_RUN(f->root, "clone", "-q", vcs_repo_path(f->r), x.work);
    return x;
}

static void write_file(const pusher *x, const char *name, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", x->work, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void commit(pusher *x, const char *message)
{
    GIT_RUN(x->work, "add", "-A");
    GIT_RUN(x->work, "commit", "-q", "-m", message);
    x->to = head_of(x->work);
}

/* The thin pack of to without old, in a file, since it holds NUL bytes. */
static bytes pack_of(const pusher *x, const char *ref, const char *can)
{
    char  script[600], line[300], path[200];
    bytes b = {.step = 1u << 20};
    (void)snprintf(script, sizeof script,
                   "printf '%s\\n^%s\\n' | git pack-objects --thin --revs --stdout -q >%s/pack",
                   hex_of(&x->to), hex_of(&x->old), x->f->root);
    char *const argv[] = {"sh", "-c", script, NULL};
    int         rc;
    free(run_program(x->work, NULL, &rc, argv));
    assert_int_equal(rc, 0);
    (void)snprintf(path, sizeof path, "%s/pack", x->f->root);
    snug_slice pack;
    OK(snug_read_file(x->f->a, path, 64 << 20, &pack, err));
    int n = snprintf(line, sizeof line, "%s %s %s", hex_of(&x->old), hex_of(&x->to), ref);
    b.p = snug_arena_alloc(x->f->a, pack.len + 1000);
    size_t all = (size_t)n + 1 + strlen(can);
    b.n = (size_t)snprintf(b.p, 400, "%04zx%s", all + 4, line) + 1; /* with its NUL */
    memcpy(b.p + b.n, can, strlen(can));
    b.n += strlen(can);
    memcpy(b.p + b.n, "0000", 4);
    memcpy(b.p + b.n + 4, pack.ptr, pack.len);
    b.n += 4 + pack.len;
    return b;
}

/* ---- a visitor that remembers ---- */

typedef struct seen {
    char     text[2000];
    unsigned lfs, bad;
} seen;

static snug_status see_blob(void *arg, const vcs_entry *e, snug_err *err)
{
    seen *s = arg;
    (void)err;
    s->lfs += e->lfs.is_lfs;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof s->text - n, "%.*s:%llu ", SNUG_SLICE(e->path),
                   (unsigned long long)e->size);
    return SNUG_OK;
}

static snug_status see_bad(void *arg, snug_slice path, const snug_err *why, snug_err *err)
{
    seen *s = arg;
    (void)path, (void)err;
    assert_true(why->msg[0] != '\0');
    s->bad++;
    return SNUG_OK;
}

static size_t quarantines(const fixture *f)
{
    char           path[300];
    size_t         n = 0;
    struct dirent *e;
    (void)snprintf(path, sizeof path, "%s/objects", vcs_repo_path(f->r));
    DIR *d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) n += strncmp(e->d_name, "incoming-", 9) == 0;
    closedir(d);
    return n;
}

static vcs_push *receive(fixture *f, bytes *b)
{
    vcs_push *p;
    vcs_pipe  io = {.pull = pull, .arg = b};
    OK(vcs_push_open(f->v, KEY, &p, err));
    OK(vcs_push_read(p, &io, err));
    OK(vcs_push_receive(p, &io, 1u << 30, err));
    assert_int_equal(b->at, b->n); /* all of it was read */
    return p;
}

static const char *reason(vcs_push *p)
{
    size_t        n;
    vcs_push_ref *refs = vcs_push_refs(p, &n);
    assert_int_equal(n, 1);
    return refs[0].refused.ptr;
}

static bool is_there(fixture *f, const vcs_oid *id)
{
    vcs_commit c;
    snug_err   err = {0};
    return vcs_read_commit(f->r, id, f->a, &c, &err) == SNUG_OK;
}

/* ---- tests ---- */

static void a_push_is_invisible_until_kept(void **state)
{
    fixture *f = *state;
    pusher   x = start(f);
    seen     s = {.lfs = 0};
    write_file(&x, "new.txt", "new\n");
    write_file(&x, "base.txt", "a line that deltas well, again and again and again\nmore\n");
    write_file(&x, "w.bin",
               "version https://git-lfs.github.com/spec/v1\noid sha256:"
               "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\nsize 5\n");
    commit(&x, "change");
    bytes            b = pack_of(&x, "refs/heads/main", " report-status side-band-64k");
    vcs_push        *p = receive(f, &b);
    vcs_push_visitor v = {see_blob, see_bad, &s};
    assert_int_equal(quarantines(f), 1);
    OK(vcs_push_check(p, &v, err));
    assert_null(reason(p));
    assert_string_equal(s.text, "base.txt:56 new.txt:4 w.bin:126 ");
    assert_int_equal(s.lfs, 1);
    assert_int_equal(s.bad, 0);
    assert_false(is_there(f, &x.to));
    OK(vcs_push_keep(p, err));
    assert_true(is_there(f, &x.to));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/main"), &x.old, &x.to, err));
    SNUG_AUTO(snug_buf) out = snug_buf_init(4096);
    vcs_push_say(p, "welcome \x1b[31m");
    vcs_push_report(p, &out);
    assert_string_equal(snug_buf_cstr(&out),
                        "0013\002welcome ?[31m\n"
                        "002e\001000eunpack ok\n0017ok refs/heads/main\n00000000");
    vcs_push_close(p);
    assert_int_equal(quarantines(f), 0);
    assert_fsck_clean(f->r);
}

static void bytes_may_come_one_by_one(void **state)
{
    fixture *f = *state;
    pusher   x = start(f);
    write_file(&x, "new.txt", "new\n");
    commit(&x, "change");
    bytes b = pack_of(&x, "refs/heads/other", " report-status");
    b.step = 1;
    vcs_push *p = receive(f, &b);
    assert_null(reason(p));
    vcs_push_close(p);
    assert_int_equal(quarantines(f), 0);
    assert_false(is_there(f, &x.to));
}

/* Every cut of a push is either an error of framing or a refused ref; never more. */
static void a_cut_push_changes_nothing(void **state)
{
    fixture *f = *state;
    pusher   x = start(f);
    write_file(&x, "new.txt", "new\n");
    commit(&x, "change");
    bytes whole = pack_of(&x, "refs/heads/main", " report-status");
    for (size_t n = 0; n < whole.n; n += n < 130 ? 1 : 9) {
        bytes     b = {.p = whole.p, .n = n, .step = 1u << 20};
        vcs_pipe  io = {.pull = pull, .arg = &b};
        vcs_push *p;
        snug_err  why = {0};
        OK(vcs_push_open(f->v, KEY, &p, err));
        if (vcs_push_read(p, &io, &why) == SNUG_OK && n > 0) {
            OK(vcs_push_receive(p, &io, 1u << 30, err));
            assert_non_null(reason(p));
        }
        vcs_push_close(p);
    }
    assert_int_equal(quarantines(f), 0);
    assert_false(is_there(f, &x.to));
}

static void a_flipped_bit_is_found(void **state)
{
    fixture *f = *state;
    pusher   x = start(f);
    write_file(&x, "new.txt", "new\n");
    commit(&x, "change");
    bytes b = pack_of(&x, "refs/heads/main", " report-status side-band-64k");
    b.p[b.n - 40] ^= 4;
    vcs_push *p = receive(f, &b);
    assert_string_equal(reason(p), "unpacker error");
    SNUG_AUTO(snug_buf) out = snug_buf_init(4096);
    vcs_push_report(p, &out);
    assert_true(snug_find(snug_buf_slice(&out), SNUG_LIT("unpack the pack was not accepted")) !=
                SIZE_MAX);
    assert_true(snug_find(snug_buf_slice(&out), snug_str(f->root)) ==
                SIZE_MAX); /* no paths of ours */
    vcs_push_close(p);
}

static void a_pack_over_the_limit_is_refused(void **state)
{
    fixture *f = *state;
    pusher   x = start(f);
    write_file(&x, "new.txt", "new\n");
    commit(&x, "change");
    bytes     b = pack_of(&x, "refs/heads/main", " report-status");
    vcs_pipe  io = {.pull = pull, .arg = &b};
    vcs_push *p;
    OK(vcs_push_open(f->v, KEY, &p, err));
    OK(vcs_push_read(p, &io, err));
    OK(vcs_push_receive(p, &io, 100, err));
    assert_int_equal(b.at, b.n);
    assert_string_equal(reason(p), "unpacker error");
    vcs_push_close(p);
}

/* Two commits, the pack has the second only: its parent is nowhere. */
static void missing_history_is_refused(void **state)
{
    fixture         *f = *state;
    pusher           x = start(f);
    seen             s = {.lfs = 0};
    vcs_push_visitor v = {see_blob, see_bad, &s};
    vcs_oid          base = x.old;
    write_file(&x, "one.txt", "1\n");
    commit(&x, "one");
    x.old = x.to;
    write_file(&x, "two.txt", "2\n");
    commit(&x, "two");
    bytes     b = pack_of(&x, "refs/heads/main", " report-status");
    vcs_push *p = receive(f, &b);
    if (reason(p) == NULL) OK(vcs_push_check(p, &v, err));
    assert_non_null(reason(p));
    assert_false(vcs_push_settle(p));
    vcs_push_close(p);
    assert_false(is_there(f, &x.to));
    vcs_oid now;
    OK(vcs_resolve_rev(f->r, SNUG_LIT("main"), &now, err));
    assert_true(vcs_oid_eq(&now, &base));
}

static void kinds_and_paths_are_checked(void **state)
{
    fixture         *f = *state;
    pusher           x = start(f);
    seen             s = {.lfs = 0};
    vcs_push_visitor v = {see_blob, see_bad, &s};
    char             name[300];
    memset(name, 'n', 255);
    name[255] = '\0';
    write_file(&x, name, "a name as long as the system allows\n");
    GIT_RUN(x.work, "add", "-A");
    char *blob = GIT(x.work, "rev-parse", ":base.txt");
    char  info[400];
    (void)snprintf(info, sizeof info, "100644,%.40s,%s", blob, "nul/aux");
    free(blob);
    GIT_RUN(x.work, "-c", "core.protectNTFS=false", "update-index", "--add", "--cacheinfo", info);
    GIT_RUN(x.work, "commit", "-q", "-m", "names");
    x.to = head_of(x.work);
    bytes     b = pack_of(&x, "refs/heads/main", " report-status");
    vcs_push *p = receive(f, &b);
    OK(vcs_push_check(p, &v, err));
    snug_err ignored = {0};
    bool     allowed = vcs_check_path(SNUG_LIT("nul/aux"), &ignored) == SNUG_OK;
    assert_int_equal(s.bad > 0, !allowed);
    vcs_push_close(p);

    /* a branch at a tree */
    char *tree = GIT(x.work, "rev-parse", "HEAD^{tree}");
    assert_true(vcs_oid_parse(snug_slice_of(tree, 40), &x.to));
    free(tree);
    b = pack_of(&x, "refs/heads/tree", " report-status atomic");
    p = receive(f, &b);
    OK(vcs_push_check(p, &v, err));
    assert_string_equal(reason(p), "a branch can only point at a commit");
    assert_true(vcs_push_is_atomic(p));
    assert_false(vcs_push_settle(p));
    vcs_push_close(p);
}

typedef struct exchange {
    bytes    in;
    snug_buf out;
} exchange;

static snug_status pull_in(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    return pull(&((exchange *)arg)->in, p, n, got, err);
}

static snug_status push_out(void *arg, snug_slice part, snug_err *err)
{
    (void)err;
    snug_buf_put_slice(&((exchange *)arg)->out, part);
    return SNUG_OK;
}

static void fetching_is_one_exchange(void **state)
{
    fixture *f = *state;
    pusher   x = start(f);
    char     ask[200];
    exchange x1 = {.out = snug_buf_init(1 << 20)};
    vcs_pipe io = {.pull = pull_in, .push = push_out, .arg = &x1};
    (void)snprintf(ask, sizeof ask, "0032want %s\n00000009done\n", hex_of(&x.old));
    OK(vcs_serve_fetch(f->v, KEY, SNUG_EMPTY, true, &io, err));
    assert_true(snug_find(snug_buf_slice(&x1.out), snug_str(hex_of(&x.old))) != SIZE_MAX);
    assert_true(snug_ends_with(snug_buf_slice(&x1.out), "0000"));
    snug_buf_clear(&x1.out);
    OK(vcs_serve_fetch(f->v, KEY, SNUG_LIT("version=2"), true, &io, err));
    assert_true(snug_starts_with(snug_buf_slice(&x1.out), "000eversion 2\n"));
    snug_buf_clear(&x1.out);
    x1.in = (bytes){.p = ask, .n = strlen(ask), .step = 7};
    OK(vcs_serve_fetch(f->v, KEY, SNUG_EMPTY, false, &io, err));
    assert_true(snug_starts_with(snug_buf_slice(&x1.out), "0008NAK\nPACK"));
    snug_buf_deinit(&x1.out);
    FAILS(SNUG_ENOTFOUND,
          vcs_serve_fetch(f->v, SNUG_LIT("nosuchrepo"), SNUG_EMPTY, true, &io, err));
    vcs_push *p;
    FAILS(SNUG_ENOTFOUND, vcs_push_open(f->v, SNUG_LIT("nosuchrepo"), &p, err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_push_is_invisible_until_kept),   TEST(bytes_may_come_one_by_one),
        TEST(a_cut_push_changes_nothing),       TEST(a_flipped_bit_is_found),
        TEST(a_pack_over_the_limit_is_refused), TEST(missing_history_is_refused),
        TEST(kinds_and_paths_are_checked),      TEST(fetching_is_one_exchange),
    };
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
