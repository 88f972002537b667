/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_tree.c - listings page by page equal `git ls-tree`; sizes, pointers, kinds. */
#include "fixture.h"

enum { FILES = 5000 };

/* Names that make git's order differ from the order of strings. */
static void file_name(unsigned i, char out[64])
{
    static const char *const folders[] = {"",     "a/",     "a-b/",     "a.b/",   "a0/",
                                          "a/b/", "a/b-c/", "a/b/c/d/", "z/y/x/", "data/"};
    unsigned                 folder = i % 10;
    (void)snprintf(out, 64, "%sf%u%s", folders[folder], i / 10, i % 3 == 0 ? "" : ".bin");
}

static void put_entry(snug_buf *b, const vcs_entry *e)
{
    static const char *const types[] = {"blob", "tree", "blob", "commit"};
    snug_buf_printf(b, "%s %s ", types[e->kind], hex_of(&e->oid));
    if (e->kind == VCS_DIR || e->kind == VCS_SUBMODULE)
        snug_buf_puts(b, "-");
    else
        snug_buf_printf(b, "%llu", (unsigned long long)e->size);
    snug_buf_printf(b, " %.*s\n", SNUG_SLICE(e->path));
}

/* All pages of n entries, as text. */
static void list_pages(fixture *f, const vcs_oid *c, const char *path, bool recursive, size_t n,
                       snug_buf *out)
{
    snug_slice  after = SNUG_EMPTY;
    bool        more = true;
    snug_arena *last = NULL;
    while (more) {
        snug_arena *a = snug_arena_new();
        vcs_entry  *v = NULL;
        size_t      count = 0;
        OK(vcs_list_tree(f->r, c, snug_str(path), recursive, after, n, a, &v, &count, &more, err));
        assert_true(count <= n);
        if (more) assert_int_equal(count, n);
        for (size_t i = 0; i < count; i++) put_entry(out, &v[i]);
        if (count > 0) after = v[count - 1].path;
        snug_arena_free(last);
        last = a;
    }
    snug_arena_free(last);
}

static void expect_listing(fixture *f, const vcs_oid *c, const char *path, bool recursive, size_t n)
{
    char in_path[256];
    (void)snprintf(in_path, sizeof in_path, "%s%s", hex_of(c), path[0] != '\0' ? ":" : "");
    (void)snprintf(in_path + strlen(in_path), sizeof in_path - strlen(in_path), "%s", path);
    char *want = recursive
                     ? GIT(vcs_repo_path(f->r), "ls-tree", "-r", "-t",
                           "--format=%(objecttype) %(objectname) %(objectsize) %(path)", in_path)
                     : GIT(vcs_repo_path(f->r), "ls-tree",
                           "--format=%(objecttype) %(objectname) %(objectsize) %(path)", in_path);
    SNUG_AUTO(snug_buf) got = snug_buf_init(1 << 24);
    list_pages(f, c, path, recursive, n, &got);
    if (path[0] == '\0') {
        assert_string_equal(snug_buf_cstr(&got), want);
    } else { /* ls-tree of a subtree leaves the head of each path out */
        SNUG_AUTO(snug_buf) full = snug_buf_init(1 << 24);
        snug_slice rest = snug_str(want), line;
        while (snug_split(&rest, '\n', &line) && line.len > 0) {
            size_t at = snug_rindex(line, ' ') + 1;
            snug_buf_printf(&full, "%.*s%s/%.*s\n", (int)at, line.ptr, path, (int)(line.len - at),
                            line.ptr + at);
        }
        assert_string_equal(snug_buf_cstr(&got), snug_buf_cstr(&full));
    }
    free(want);
}

static void test_pages(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    char       name[64], text[64];
    for (unsigned i = 0; i < FILES; i++) {
        file_name(i, name);
        (void)snprintf(text, sizeof text, "content %u\n", i % 700);
        draft_text(f->r, d, name, text);
    }
    vcs_oid c = land(f->r, d, "refs/heads/main", NULL, "many", 1700000000);
    assert_fsck_clean(f->r);
    static const size_t sizes[] = {1, 7, 50, 1000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        expect_listing(f, &c, "", true, sizes[i]);
        expect_listing(f, &c, "", false, sizes[i]);
    }
    expect_listing(f, &c, "a", true, 3);
    expect_listing(f, &c, "a", false, 3);
    expect_listing(f, &c, "a/b", true, 10);
    expect_listing(f, &c, "a/b/c/d", false, 1000);
}

static void test_cursors(void **state)
{
    fixture    *f = *state;
    vcs_draft  *d = draft_on(f->r, NULL);
    const char *files[] = {"a-b", "a.txt", "a/x", "a/y/z", "a0", "b"};
    for (size_t i = 0; i < 6; i++) draft_text(f->r, d, files[i], "1");
    vcs_oid c = land(f->r, d, "refs/heads/main", NULL, "x", 1);
    /* Order: a-b a.txt a a/x a/y a/y/z a0 b. A cursor that is not there stands where it would. */
    const struct {
        const char *after, *first;
    } rows[] = {{"a", "a/x"},         {"a/x", "a/y"},     {"a/y", "a/y/z"}, {"a/y/z", "a0"},
                {"a/y/zz", "a0"},     {"a/y/a", "a/y/z"}, {"a/a", "a/x"},   {"a/z/q", "a0"},
                {"aa", "b"},          {"a1", "b"},        {"A", "a-b"},     {"a.", "a.txt"},
                {"a/x/deeper", "a/y"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vcs_entry *v = NULL;
        size_t     n = 0;
        bool       more = false;
        OK(vcs_list_tree(f->r, &c, SNUG_EMPTY, true, snug_str(rows[i].after), 1, f->a, &v, &n,
                         &more, err));
        assert_int_equal(n, 1);
        if (!snug_eq_str(v[0].path, rows[i].first)) {
            fail_msg("after %s comes %.*s, not %s", rows[i].after, SNUG_SLICE(v[0].path),
                     rows[i].first);
        }
    }
    vcs_entry *v = NULL;
    size_t     n = 1;
    bool       more = true;
    OK(vcs_list_tree(f->r, &c, SNUG_EMPTY, true, SNUG_LIT("b"), 9, f->a, &v, &n, &more, err));
    assert_int_equal(n, 0);
    assert_false(more);
    OK(vcs_list_tree(f->r, &c, SNUG_EMPTY, false, SNUG_LIT("a"), 9, f->a, &v, &n, &more, err));
    assert_int_equal(n, 2);
    OK(vcs_list_tree(f->r, &c, SNUG_LIT("a/"), false, SNUG_LIT("a/x"), 9, f->a, &v, &n, &more,
                     err));
    assert_int_equal(n, 1);
    assert_true(snug_eq_str(v[0].path, "a/y"));

    FAILS(SNUG_EINVAL,
          vcs_list_tree(f->r, &c, SNUG_LIT("a"), true, SNUG_LIT("b"), 9, f->a, &v, &n, &more, err));
    FAILS(SNUG_ENOTFOUND,
          vcs_list_tree(f->r, &c, SNUG_LIT("b"), true, SNUG_EMPTY, 9, f->a, &v, &n, &more, err));
    FAILS(SNUG_ENOTFOUND,
          vcs_list_tree(f->r, &c, SNUG_LIT("nope"), true, SNUG_EMPTY, 9, f->a, &v, &n, &more, err));
    FAILS(SNUG_ENOTFOUND,
          vcs_list_tree(f->r, &c, SNUG_LIT("b/x"), true, SNUG_EMPTY, 9, f->a, &v, &n, &more, err));
    vcs_oid none = {{{7}}};
    FAILS(SNUG_ENOTFOUND,
          vcs_list_tree(f->r, &none, SNUG_EMPTY, true, SNUG_EMPTY, 9, f->a, &v, &n, &more, err));
}

static const char pointer_text[] =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

static void test_kinds(void **state)
{
    fixture *f = *state;
    char     stream[2048];
    (void)snprintf(stream, sizeof stream,
                   "commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\n"
                   "M 120000 inline link\ndata 6\ntarget\n"
                   "M 100755 inline run.sh\ndata 4\n#!/x\n"
                   "M 160000 0123456789012345678901234567890123456789 sub\n"
                   "M 100644 inline model.bin\ndata %zu\n%s\n"
                   "M 120000 inline link-to-pointer\ndata %zu\n%s\n"
                   "M 100644 inline d/empty\ndata 0\n\n",
                   strlen(pointer_text), pointer_text, strlen(pointer_text), pointer_text);
    const char *args[] = {"fast-import", "--quiet", NULL};
    free(git_in(vcs_repo_path(f->r), stream, args));
    vcs_oid c;
    OK(vcs_resolve_rev(f->r, SNUG_LIT("main"), &c, err));

    vcs_entry e;
    OK(vcs_find_entry(f->r, &c, SNUG_LIT("model.bin"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_FILE);
    assert_true(e.lfs.is_lfs);
    assert_int_equal(e.size, 12345);
    assert_int_equal(e.lfs.size, 12345);
    assert_int_equal(e.lfs.pointer_size, strlen(pointer_text));
    char hex[65];
    snug_hex(e.lfs.oid.b, 32, hex);
    assert_string_equal(hex, "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393");
    assert_true(snug_eq_str(e.path, "model.bin"));

    OK(vcs_find_entry(f->r, &c, SNUG_LIT("link"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_SYMLINK);
    assert_int_equal(e.size, 6);
    OK(vcs_find_entry(f->r, &c, SNUG_LIT("link-to-pointer"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_SYMLINK);
    assert_false(e.lfs.is_lfs); /* the same blob as model.bin, but no file */
    assert_int_equal(e.size, strlen(pointer_text));
    OK(vcs_find_entry(f->r, &c, SNUG_LIT("sub"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_SUBMODULE);
    assert_int_equal(e.size, 0);
    assert_string_equal(hex_of(&e.oid), "0123456789012345678901234567890123456789");
    OK(vcs_find_entry(f->r, &c, SNUG_LIT("run.sh"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_FILE);
    OK(vcs_find_entry(f->r, &c, SNUG_LIT("d"), f->a, &e, err));
    assert_int_equal(e.kind, VCS_DIR);
    assert_int_equal(e.size, 0);
    OK(vcs_find_entry(f->r, &c, SNUG_LIT("d/empty"), f->a, &e, err));
    assert_int_equal(e.size, 0);
    assert_false(e.lfs.is_lfs);
    OK(vcs_find_entry(f->r, &c, SNUG_EMPTY, f->a, &e, err));
    assert_int_equal(e.kind, VCS_DIR);

    const char *bad[] = {"nope", "d/nope", "model.bin/x", "sub/x",  "link/x",
                         "d/",   "/d",     "./d",         "d/../d", "D"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FAILS(SNUG_ENOTFOUND, vcs_find_entry(f->r, &c, snug_str(bad[i]), f->a, &e, err));
    }
    FAILS(SNUG_ENOTFOUND, vcs_find_entry(f->r, &c, SNUG_LIT("d\0x"), f->a, &e, err));

    /* Kinds survive an edit beside them, and permissions an edit of the file itself. */
    vcs_draft *d = draft_on(f->r, &c);
    draft_text(f->r, d, "run.sh", "#!/y");
    draft_text(f->r, d, "new", "n");
    (void)land(f->r, d, "refs/heads/main", &c, "edit", 1700000001);
    char *text = GIT(vcs_repo_path(f->r), "ls-tree", "--format=%(objectmode) %(path)", "main");
    assert_string_equal(text, "040000 d\n120000 link\n120000 link-to-pointer\n100644 model.bin\n"
                              "100644 new\n100755 run.sh\n160000 sub\n");
    free(text);
}

static void test_read_blob(void **state)
{
    fixture   *f = *state;
    vcs_oid    id = put(f->r, "some text"), none = {{{9}}};
    snug_slice got;
    OK(vcs_read_blob(f->r, &id, 9, f->a, &got, err)); /* still pending */
    assert_true(snug_eq_str(got, "some text"));
    FAILS(SNUG_ELIMIT, vcs_read_blob(f->r, &id, 8, f->a, &got, err));
    FAILS(SNUG_ENOTFOUND, vcs_read_blob(f->r, &none, 8, f->a, &got, err));
    vcs_draft *d = draft_on(f->r, NULL);
    OK(vcs_draft_put(d, SNUG_LIT("x"), &id, err));
    vcs_oid c = land(f->r, d, "refs/heads/main", NULL, "x", 1);
    OK(vcs_read_blob(f->r, &id, 9, f->a, &got, err));
    assert_true(snug_eq_str(got, "some text"));
    FAILS(SNUG_ENOTFOUND, vcs_read_blob(f->r, &c, 1000, f->a, &got, err)); /* a commit */
}

/* A tree no git would write: unsorted, twice the same name, a slash in a name. Paging must end. */
static void test_broken_tree(void **state)
{
    fixture   *f = *state;
    vcs_oid    blob = put(f->r, "x");
    vcs_draft *d = draft_on(f->r, NULL);
    OK(vcs_draft_put(d, SNUG_LIT("x"), &blob, err));
    (void)land(f->r, d, "refs/heads/main", NULL, "x", 1);
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 16);
    const char *names[] = {"z", "a", "a/b", "m", "m", "b"};
    for (size_t i = 0; i < 6; i++) {
        snug_buf_printf(&b, "100644 %s", names[i]);
        snug_buf_putc(&b, '\0');
        snug_buf_put(&b, blob.sha1.b, 20);
    }
    char path[128];
    (void)snprintf(path, sizeof path, "%s/tree", f->root);
    OK(snug_write_file_atomic(path, snug_buf_slice(&b), 0600, err));
    char *tree = GIT(vcs_repo_path(f->r), "hash-object", "--literally", "-t", "tree", "-w", path);
    tree[40] = '\0';
    char *commit = GIT(vcs_repo_path(f->r), "commit-tree", "-m", "x", tree);
    commit[40] = '\0';
    vcs_oid c;
    assert_true(vcs_oid_parse(snug_str(commit), &c));
    size_t     seen = 0;
    snug_slice after = SNUG_EMPTY;
    bool       more = true;
    for (; more && seen < 20; seen++) {
        vcs_entry *v = NULL;
        size_t     n = 0;
        OK(vcs_list_tree(f->r, &c, SNUG_EMPTY, true, after, 1, f->a, &v, &n, &more, err));
        if (n == 0) break;
        after = v[0].path;
    }
    assert_true(seen <= 6);
    free(tree);
    free(commit);
}

static bool count_pointer(void *arg, const vcs_lfs *lfs)
{
    uint64_t *sum = arg;
    assert_true(lfs->is_lfs);
    *sum += lfs->size;
    return true;
}

static bool stop_at_once(void *arg, const vcs_lfs *lfs)
{
    (void)lfs;
    ++*(int *)arg;
    return false;
}

static void put_pointer(fixture *f, vcs_draft *d, const char *path, uint64_t size)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    snug_sha256 oid = snug_sha256_of(snug_slice_of(&size, sizeof size));
    vcs_oid     id;
    vcs_lfs_format(&oid, size, &b);
    OK(vcs_put_blob(f->r, snug_buf_slice(&b), &id, err));
    OK(vcs_draft_put(d, snug_str(path), &id, err));
}

static void test_each_lfs(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    put_pointer(f, d, "a.bin", 1);
    put_pointer(f, d, "deep/er/b.bin", 10);
    draft_text(f->r, d, "text", "no pointer");
    vcs_oid c = land(f->r, d, "refs/heads/main", NULL, "1", 1);
    d = draft_on(f->r, &c);
    OK(vcs_draft_remove(d, SNUG_LIT("a.bin"), err)); /* history still holds it */
    put_pointer(f, d, "c.bin", 100);
    put_pointer(f, d, "again.bin", 10);
    c = land(f->r, d, "refs/heads/main", &c, "2", 2);
    d = draft_on(f->r, NULL);
    put_pointer(f, d, "d.bin", 1000);
    vcs_oid other = land(f->r, d, "refs/pr/1", NULL, "3", 3);
    d = draft_on(f->r, NULL);
    put_pointer(f, d, "gone.bin", 100000);
    vcs_oid gone = land(f->r, d, "refs/heads/gone", NULL, "4", 4);
    OK(vcs_create_tag(f->r, SNUG_LIT("t"), &other, SNUG_LIT("annotated"), &ada, err));
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/pr/1"), &other, NULL, err)); /* the tag still holds it */
    OK(vcs_update_ref(f->r, SNUG_LIT("refs/heads/gone"), &gone, NULL, err));

    uint64_t sum = 0;
    OK(vcs_each_lfs(f->r, count_pointer, &sum, err));
    assert_int_equal(sum, 1111); /* each once; what no ref reaches is not reported */
    int calls = 0;
    OK(vcs_each_lfs(f->r, stop_at_once, &calls, err));
    assert_int_equal(calls, 1);
}

static void test_load_rules(void **state)
{
    fixture   *f = *state;
    vcs_draft *d = draft_on(f->r, NULL);
    draft_text(f->r, d, ".gitattributes", "*.bin filter=lfs\n");
    draft_text(f->r, d, "sub/.gitattributes", "*.bin -filter\n*.dat filter=lfs\n");
    draft_text(f->r, d, "sub/deep/.gitattributes", "x.bin filter=lfs\n");
    draft_text(f->r, d, ".gitignore", "*.log\n");
    vcs_oid    c = land(f->r, d, "refs/heads/main", NULL, "x", 1);
    vcs_rules *r = vcs_rules_new(f->a);
    OK(vcs_load_rules(f->r, &c, ".gitattributes", r, err));
    OK(vcs_load_rules(f->r, &c, ".gitignore", r, err));
    assert_true(vcs_rules_is_lfs(r, SNUG_LIT("a.bin")));
    assert_false(vcs_rules_is_lfs(r, SNUG_LIT("sub/a.bin")));
    assert_true(vcs_rules_is_lfs(r, SNUG_LIT("sub/a.dat")));
    assert_false(vcs_rules_is_lfs(r, SNUG_LIT("a.dat")));
    assert_true(vcs_rules_is_lfs(r, SNUG_LIT("sub/deep/x.bin")));
    assert_false(vcs_rules_is_lfs(r, SNUG_LIT("sub/deep/y.bin")));
    assert_true(vcs_rules_is_ignored(r, SNUG_LIT("sub/a.log")));
    assert_false(vcs_rules_is_ignored(r, SNUG_LIT("sub/a.bin")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cursors, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_kinds, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_read_blob, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_broken_tree, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_each_lfs, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_load_rules, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
