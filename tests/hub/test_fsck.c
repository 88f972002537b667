/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_fsck.c - each kind of damage is made, found and named, and mended where rows
 * follow from bytes and commits. */
#include <dirent.h>
#include <sys/stat.h>

#include "care_check.h"

typedef struct stage {
    fixture      *f;
    hub_repo_info repo;
    blob_id       whole, packed, xorb; /* xorb: the blob of the packed one's chunks */
    char          whole_hex[65], packed_hex[65];
} stage;

static bool take_other(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms)
{
    stage *s = arg;
    (void)size, (void)mtime_ms;
    if (!blob_id_eq(id, &s->whole)) s->xorb = *id;
    return true;
}

static stage set_up(void **state)
{
    stage       s = {.f = *state};
    snug_err    err = {0};
    hub_chunked r;
    s.repo = create(s.f, &s.f->alice, HUB_MODEL, "Alice", "m", HUB_PUBLIC);
    s.whole = add_object(s.f, &s.repo, "whole", noise_of(s.f->a, 9000, 1));
    s.packed = add_object(s.f, &s.repo, "packed", noise_of(s.f->a, 900000, 2));
    must(hub_chunk_object(s.f->h, &s.packed, NULL, NULL, &r, &err));
    assert_true(r.dropped);
    must(blob_each(hub_blobs(s.f->h), take_other, &s, &err));
    blob_id_hex(&s.whole, s.whole_hex);
    blob_id_hex(&s.packed, s.packed_hex);
    check_sound(s.f);
    return s;
}

static void flip(fixture *f, const blob_id *id, long at)
{
    char path[256];
    path_of(f, id, path);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int c = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(c ^ 1, file);
    fclose(file);
}

static const finding *find(const findings *out, const char *kind, const char *name,
                           const char *text)
{
    for (size_t i = 0; i < out->count; i++) {
        const finding *x = &out->list[i];
        if (strcmp(x->kind, kind) == 0 && strstr(x->name, name) != NULL &&
            strstr(x->text, text) != NULL)
            return x;
    }
    for (size_t i = 0; i < out->count; i++)
        print_message("  %s %s: %s\n", out->list[i].kind, out->list[i].name, out->list[i].text);
    fail_msg("no finding %s %s \"%s\"", kind, name, text);
    return NULL;
}

/* Bytes: named, and --repair does not touch them. */
static void need_damage(stage *s, const char *kind, const char *name, const char *text)
{
    findings out;
    for (int repair = 0; repair < 2; repair++) {
        hub_fsck_report r = check_all(s->f, repair == 1, &out);
        const finding  *x = find(&out, kind, name, text);
        assert_false(x->derived || x->repaired);
        assert_true(r.damaged > 0);
    }
}

/* Rows: named, mended, and then all is well. */
static void need_mending(stage *s, const char *kind, const char *name, const char *text)
{
    findings        out;
    hub_fsck_report r = check_all(s->f, false, &out);
    const finding  *x = find(&out, kind, name, text);
    assert_true(x->derived && !x->repaired);
    assert_int_equal(r.damaged, out.count);
    r = check_all(s->f, true, &out);
    assert_true(find(&out, kind, name, text)->repaired);
    assert_int_equal(r.damaged, 0);
    check_sound(s->f);
}

static void test_whole_object(void **state)
{
    stage s = set_up(state);
    flip(s.f, &s.whole, 4000);
    need_damage(&s, "blob", s.whole_hex, "another hash");
}

static void test_cut_off_object(void **state)
{
    stage s = set_up(state);
    char  path[256];
    path_of(s.f, &s.whole, path);
    assert_int_equal(truncate(path, 100), 0);
    need_damage(&s, "blob", s.whole_hex, "");
}

static void test_missing_object(void **state)
{
    stage s = set_up(state);
    char  path[256];
    path_of(s.f, &s.whole, path);
    assert_int_equal(unlink(path), 0);
    need_damage(&s, "link", s.whole_hex, "its bytes are missing");
    need_damage(&s, "repo", "models/Alice/m", s.whole_hex);
}

static void test_chunk(void **state)
{
    stage s = set_up(state);
    flip(s.f, &s.xorb, 50000);
    need_damage(&s, "xorb", "", "");
    need_damage(&s, "file", "", s.packed_hex);
}

static void test_missing_xorb(void **state)
{
    stage s = set_up(state);
    char  path[256];
    path_of(s.f, &s.xorb, path);
    assert_int_equal(unlink(path), 0);
    need_damage(&s, "xorb", "", "its bytes are missing");
}

static void test_false_file_rows(void **state)
{
    stage s = set_up(state);
    sql(s.f, "UPDATE xet_layouts SET hash = '00' || substr(hash, 3)");
    need_damage(&s, "file", "", "its chunks make the file");
}

static void test_false_sha256(void **state)
{
    stage s = set_up(state);
    sql(s.f, "UPDATE xet_layouts SET sha256 = '00' || substr(sha256, 3)");
    need_damage(&s, "file", "", "give bytes of SHA-256");
}

/* A damaged layout of what is stored whole as well. */
static void test_layout_with_a_whole_copy(void **state)
{
    stage    s = set_up(state);
    snug_err err = {0};
    blob_id  id;
    must(upload(s.f, s.repo.row, noise_of(s.f->a, 900000, 2), &id, &err));
    sql(s.f, "UPDATE xet_layouts SET size = size + 1");
    findings        out;
    hub_fsck_report r = check_all(s.f, true, &out);
    assert_true(find(&out, "file", "", "bytes and not")->repaired);
    assert_int_equal(r.damaged, 0);
    check_sound(s.f);
    check_bytes(s.f, s.repo.row, &id, noise_of(s.f->a, 900000, 2));
}

static void test_xorb_row(void **state)
{
    stage s = set_up(state);
    sql(s.f, "UPDATE xorbs SET raw_size = raw_size + 1");
    need_mending(&s, "index", "", "lists other chunks");
}

static void test_link_size(void **state)
{
    stage s = set_up(state);
    sql(s.f, "UPDATE lfs_links SET size = 8999 WHERE size = 9000");
    need_mending(&s, "link", s.whole_hex, "says it has 8999 bytes; it has 9000");
}

static void test_lost_link(void **state)
{
    stage s = set_up(state);
    sql(s.f, "DELETE FROM lfs_links WHERE size = 9000");
    need_mending(&s, "repo", "models/Alice/m", "to which it has no link");
    check_bytes(s.f, s.repo.row, &s.whole, noise_of(s.f->a, 9000, 1));
}

/* What a keeper let go of is no damage, and does not come back. */
static void test_dropped_on_purpose(void **state)
{
    stage     s = set_up(state);
    snug_err  err = {0};
    hub_repo *r;
    findings  out;
    must(hub_open_repo(s.f->h, &s.f->alice, &s.repo.id, HUB_ROLE_WRITE, s.f->a, &r, &err));
    must(hub_drop_lfs(s.f->h, &s.f->alice, r, &s.whole, 1, false, &err));
    hub_close_repo(r);
    assert_int_equal(check_all(s.f, true, &out).repaired, 0);
    (void)collect(s.f, 0, false);
    check_sound(s.f);
    assert_false(hub_has_lfs(s.f->h, s.repo.row, &s.whole, NULL));
}

static void test_index(void **state)
{
    stage s = set_up(state);
    sql(s.f, "INSERT INTO xorb_lookup (chunk, xorb_id, chunk_index, file) VALUES (7, 999, 0, '')");
    need_mending(&s, "index", "xorb_lookup", "1 entries");
}

static void test_row_behind(void **state)
{
    stage s = set_up(state);
    sql(s.f, "UPDATE repos SET head = '0123456789012345678901234567890123456789'");
    need_mending(&s, "repo", "models/Alice/m", "its row is behind");
}

/* Overwrites the middle of the largest file below a folder. */
static void spoil_largest(const char *folder)
{
    char           best[512] = "";
    off_t          size = 0;
    struct dirent *e;
    DIR           *d = opendir(folder);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        char        path[512];
        struct stat sb;
        if (e->d_name[0] == '.' || strstr(e->d_name, ".pack") == NULL) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (stat(path, &sb) == 0 && sb.st_size > size) {
            size = sb.st_size;
            snprintf(best, sizeof best, "%s", path);
        }
    }
    closedir(d);
    assert_true(size > 0);
    assert_int_equal(chmod(best, 0600), 0);
    FILE *file = fopen(best, "r+");
    assert_non_null(file);
    fseek(file, size / 2, SEEK_SET);
    fputs("spoilt", file);
    fclose(file);
}

static void test_git(void **state)
{
    stage      s = set_up(state);
    snug_err   err = {0};
    char       path[256], big[60000];
    snug_slice noise = noise_of(s.f->a, sizeof big - 1, 3);
    for (size_t i = 0; i < noise.len; i++) big[i] = (char)('a' + (unsigned char)noise.ptr[i] % 26);
    big[sizeof big - 1] = '\0';
    must(put(s.f, &s.f->alice, &s.repo.id, "big.txt", big, "", NULL, &err));
    check_sound(s.f);
    hub_close(s.f->h);
    snprintf(path, sizeof path, "%s/git/%.2s/%s.git/objects/pack", s.f->dir, s.repo.key,
             s.repo.key);
    {
        DIR           *d = opendir(path);
        bool           packs = false;
        struct dirent *e;
        while ((e = readdir(d)) != NULL) packs = packs || strstr(e->d_name, ".pack") != NULL;
        closedir(d);
        if (packs) {
            spoil_largest(path);
        } else { /* loose: the object of the new commit */
            char line[600];
            snprintf(line, sizeof line,
                     "cd %s/.. && f=$(find . -type f -path './[0-9a-f][0-9a-f]/*' -size +10k | "
                     "head -1) && chmod u+w $f && printf spoilt | dd of=$f bs=1 seek=9000 "
                     "conv=notrunc 2>/dev/null",
                     path);
            FILE *shell = popen(line, "r");
            assert_int_equal(pclose(shell), 0);
        }
    }
    open_hub(s.f);
    need_damage(&s, "repo", "models/Alice/m", "git: ");
}

/* Rows and names only: fast, and still sees what is missing. */
static void test_quick(void **state)
{
    stage           s = set_up(state);
    snug_err        err = {0};
    hub_fsck_report r;
    findings        out = {.count = 0};
    hub_fsck_opts   o = {.quick = true, .item = take_finding, .arg = &out};
    char            path[256];
    must(hub_fsck(s.f->h, &o, &r, &err));
    assert_int_equal(r.damaged, 0);
    assert_int_equal(r.bytes_read, 0);
    path_of(s.f, &s.xorb, path);
    assert_int_equal(unlink(path), 0);
    must(hub_fsck(s.f->h, &o, &r, &err));
    (void)find(&out, "xorb", "", "missing");
}

/* A xorb that is sent again mends one whose bytes were lost. */
static void test_sent_again(void **state)
{
    stage         s = set_up(state);
    snug_err      err = {0};
    hub_repo_info repo = create(s.f, &s.f->alice, HUB_MODEL, "Alice", "x", HUB_PUBLIC);
    hub_ticket    t = {.who = s.f->alice, .repo_row = repo.row, .scope = HUB_ROLE_WRITE};
    built_xorb    x = build_xorb(s.f->a, noise_of(s.f->a, 60000, 4), 30000);
    hub_xorb_in  *in;
    bool          have;
    char          path[256];
    findings      out;
    for (int i = 0; i < 2; i++) {
        must(hub_xorb_begin(s.f->h, &t, &x.x.hash, &in, &have, &err));
        must(hub_xorb_write(in, x.body, &err));
        must(hub_xorb_commit(in, &err));
        if (i == 1) break;
        blob_id blob = {snug_sha256_of(x.body)};
        path_of(s.f, &blob, path);
        assert_int_equal(unlink(path), 0);
        assert_true(check_all(s.f, false, &out).damaged > 0);
    }
    check_sound(s.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_xorb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_false_file_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_false_sha256, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layout_with_a_whole_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_xorb_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_link_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped_on_purpose, setup, teardown),
        cmocka_unit_test_setup_teardown(test_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_git, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quick, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sent_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
