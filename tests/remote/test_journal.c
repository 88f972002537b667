/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_journal.c - plans of segments, and which journals are believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "remote/remote_int.h"

#define MIB (UINT64_C(1) << 20)

static void plans_cover_the_file(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        unsigned wanted, count;
    } t[] = {
        {0, 4, 1},
        {1, 4, 1},
        {8 * MIB - 1, 4, 1},
        {8 * MIB, 4, 1},
        {16 * MIB, 4, 2},
        {17 * MIB + 3, 4, 2},
        {1000 * MIB + 7, 4, 4},
        {1000 * MIB, 100, 16},
        {1000 * MIB, 0, 1},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        remote_journal j;
        remote_journal_plan(&j, SNUG_LIT("e"), t[i].size, t[i].wanted);
        assert_int_equal(j.count, t[i].count);
        uint64_t at = 0;
        for (unsigned s = 0; s < j.count; s++) {
            assert_true(j.seg[s].first == at && atomic_load(&j.seg[s].next) == at);
            at = j.seg[s].end;
        }
        assert_true(at == t[i].size);
        assert_true(remote_journal_done(&j) == 0);
    }
}

static void a_journal_reads_back(void **state)
{
    (void)state;
    remote_journal j, k;
    unsigned char  buf[REMOTE_JOURNAL_MAX];
    snug_slice     etag = SNUG_LIT("0123456789abcdef0123456789abcdef01234567");
    remote_journal_plan(&j, etag, 100 * MIB + 5, 4);
    atomic_store(&j.seg[1].next, j.seg[1].first + 12345);
    atomic_store(&j.seg[3].next, j.seg[3].end);
    size_t n = remote_journal_put(&j, buf);
    assert_int_equal(remote_journal_read(snug_slice_of(buf, n), etag, 100 * MIB + 5, &k, NULL),
                     SNUG_OK);
    assert_int_equal(k.count, 4);
    assert_true(atomic_load(&k.seg[1].next) == j.seg[1].first + 12345);
    assert_true(remote_journal_done(&k) == 12345 + j.seg[3].end - j.seg[3].first);
    /* for another size, another content */
    assert_int_equal(remote_journal_read(snug_slice_of(buf, n), etag, 100 * MIB + 6, &k, NULL),
                     SNUG_ECORRUPT);
    assert_int_equal(
        remote_journal_read(snug_slice_of(buf, n), SNUG_LIT("0"), 100 * MIB + 5, &k, NULL),
        SNUG_ECORRUPT);
}

static void torn_and_altered_journals_are_refused(void **state)
{
    (void)state;
    remote_journal j, k;
    unsigned char  buf[REMOTE_JOURNAL_MAX];
    remote_journal_plan(&j, SNUG_LIT("e"), 64 * MIB, 4);
    size_t n = remote_journal_put(&j, buf);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(
            remote_journal_read(snug_slice_of(buf, cut), SNUG_LIT("e"), 64 * MIB, &k, NULL),
            SNUG_ECORRUPT);
    for (size_t i = 0; i < n; i++) {
        buf[i] ^= 0x40;
        assert_int_equal(
            remote_journal_read(snug_slice_of(buf, n), SNUG_LIT("e"), 64 * MIB, &k, NULL),
            SNUG_ECORRUPT);
        buf[i] ^= 0x40;
    }
    assert_int_equal(remote_journal_read(snug_slice_of(buf, n), SNUG_LIT("e"), 64 * MIB, &k, NULL),
                     SNUG_OK);
}

static void notes(void **state)
{
    (void)state;
    remote_note n;
    assert_true(remote_note_parse(SNUG_LIT("11c5a3d5811f50298f278a704980280950aedb10\na16a55fda99d2"
                                           "f2e7b69cce5cf93ff4ad3049930\n1712656091.123\n"),
                                  &n));
    assert_string_equal(n.etag, "a16a55fda99d2f2e7b69cce5cf93ff4ad3049930");
    assert_true(n.time > 1712656091.122 && n.time < 1712656091.124);
    assert_true(remote_note_parse(SNUG_LIT("11c5a3d5811f50298f278a704980280950aedb10\nx\n17"), &n));
    static const char *const bad[] = {"",
                                      "x",
                                      "main\nx\n1\n",
                                      "11c5a3d5811f50298f278a704980280950aedb10\n../x\n1\n",
                                      "11c5a3d5811f50298f278a704980280950aedb10\nx\n",
                                      "11c5a3d5811f50298f278a704980280950aedb10\nx\n1e9\n",
                                      "11c5a3d5811f50298f278a704980280950aedb10\nx\n-1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(remote_note_parse(snug_str(bad[i]), &n));
}

static void links(void **state)
{
    (void)state;
    assert_true(snug_eq_str(remote_next_link(SNUG_LIT("<http://h/a?b=1&c=2>; rel=\"next\"")),
                            "http://h/a?b=1&c=2"));
    assert_true(snug_eq_str(
        remote_next_link(SNUG_LIT("<http://h/p>; rel=\"prev\", <http://h/n>; rel=\"next\"")),
        "http://h/n"));
    assert_int_equal(remote_next_link(SNUG_LIT("<http://h/p>; rel=\"prev\"")).len, 0);
    assert_int_equal(remote_next_link(SNUG_LIT("rel=\"next\"")).len, 0);
    assert_int_equal(remote_next_link(SNUG_EMPTY).len, 0);
}

static snug_status add_page(const char *text, remote_files *out, snug_arena *a)
{
    snug_json v;
    snug_err  err = {0};
    assert_int_equal(snug_json_parse(a, snug_str(text), NULL, &v, &err), SNUG_OK);
    return remote_add_tree(v, a, out, &err);
}

static void listings(void **state)
{
    (void)state;
    snug_arena  *a = snug_arena_new();
    remote_files f = {0};
    assert_int_equal(add_page("[{\"type\":\"directory\",\"path\":\"d\",\"oid\":\"1\",\"size\":0},"
                              "{\"type\":\"file\",\"path\":\"d/x\",\"oid\":\"ab\",\"size\":5},"
                              "{\"type\":\"file\",\"path\":\"w\",\"oid\":\"cd\",\"size\":9,\"lfs\":"
                              "{\"oid\":\"ef\",\"size\":9,\"pointerSize\":1}}]",
                              &f, a),
                     SNUG_OK);
    assert_int_equal(f.count, 2);
    assert_true(snug_eq_str(f.v[0].etag, "ab") && !f.v[0].lfs);
    assert_true(snug_eq_str(f.v[1].etag, "ef") && f.v[1].lfs && snug_eq_str(f.v[1].blob_id, "cd"));
    assert_int_equal(
        add_page("[{\"type\":\"file\",\"path\":\"../x\",\"oid\":\"ab\",\"size\":5}]", &f, a),
        SNUG_EPAYLOAD);
    assert_int_equal(
        add_page("[{\"type\":\"file\",\"path\":\"x\",\"oid\":\"a/b\",\"size\":5}]", &f, a),
        SNUG_EREMOTE);
    assert_int_equal(
        add_page("[{\"type\":\"file\",\"path\":\"x\",\"oid\":\"ab\",\"size\":-5}]", &f, a),
        SNUG_EINVAL);
    assert_int_equal(add_page("[{\"type\":\"file\",\"oid\":\"ab\",\"size\":5}]", &f, a),
                     SNUG_EINVAL);
    assert_int_equal(add_page("{}", &f, a), SNUG_EREMOTE);
    assert_int_equal(f.count, 2);
    free(f.v);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_cover_the_file),
        cmocka_unit_test(a_journal_reads_back),
        cmocka_unit_test(torn_and_altered_journals_are_refused),
        cmocka_unit_test(notes),
        cmocka_unit_test(links),
        cmocka_unit_test(listings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
