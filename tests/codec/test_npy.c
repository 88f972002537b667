/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_npy.c - arrays of numpy 2.4.6, headers written by hand, strided views. */
#include <inttypes.h>

#include "golden.h"

static snug_buf npy(unsigned version, const char *header, size_t body)
{
    snug_buf b = snug_buf_init(1 << 16);
    snug_buf_puts(&b, "\x93NUMPY");
    put_int(&b, version, 1);
    put_int(&b, 0, 1);
    put_int(&b, strlen(header), version == 1 ? 2 : 4);
    snug_buf_puts(&b, header);
    for (size_t i = 0; i < body; i++) snug_buf_putc(&b, (char)i);
    return b;
}

static void refused(unsigned version, const char *header, size_t body, snug_status want,
                    const char *words)
{
    snug_buf    b = npy(version, header, body);
    snug_err    err = {0};
    codec_npy   out;
    snug_status st = codec_npy_parse(snug_buf_slice(&b), &out, &err);
    if (st != want)
        fail_msg("%s, not %s: %s", snug_status_name(st), snug_status_name(want), err.msg);
    says(&err, words);
    snug_buf_deinit(&b);
}

static void an_array_of_numpy(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_npy   n;
    float       got[12];
    (void)state;
    snug_slice file = load(a, "array.npy");
    assert_int_equal(codec_npy_parse(file, &n, &err), SNUG_OK);
    assert_false(n.pickled);
    assert_int_equal(n.view.tensor.dtype, CODEC_F32);
    assert_int_equal(n.view.tensor.rank, 2);
    assert_int_equal(n.view.tensor.shape[0], 4);
    assert_int_equal(n.view.tensor.shape[1], 3);
    codec_view_copy(&n.view, 0, 12, got);
    assert_memory_equal(got, file.ptr + 128, sizeof got);
    snug_arena_free(a);
}

static void columns_first_and_big_endian(void **state)
{
    snug_buf  b = npy(3, "{\"shape\": (2, 3L), 'descr': '>u2', 'fortran_order': True}\n", 12);
    snug_err  err = {0};
    codec_npy n;
    uint16_t  got[6], part[2];
    (void)state;
    assert_int_equal(codec_npy_parse(snug_buf_slice(&b), &n, &err), SNUG_OK);
    codec_view_copy(&n.view, 0, 6, got);
    const uint16_t want[] = {0x0001, 0x0405, 0x0809, 0x0203, 0x0607, 0x0a0b};
    assert_memory_equal(got, want, sizeof want);
    codec_view_copy(&n.view, 2, 2, part); /* across the end of a row */
    assert_memory_equal(part, want + 2, sizeof part);
    snug_buf_deinit(&b);
}

static void scalars_and_nothing(void **state)
{
    snug_err  err = {0};
    codec_npy n;
    (void)state;
    snug_buf b = npy(2, "{'descr': '|b1', 'fortran_order': False, 'shape': ()}", 1);
    assert_int_equal(codec_npy_parse(snug_buf_slice(&b), &n, &err), SNUG_OK);
    assert_int_equal(n.view.tensor.rank, 0);
    snug_buf_deinit(&b);
    b = npy(1, "{'descr': '<c8', 'fortran_order': False, 'shape': (5, 0), }", 0);
    assert_int_equal(codec_npy_parse(snug_buf_slice(&b), &n, &err), SNUG_OK);
    assert_int_equal(n.view.tensor.shape[0], 5);
    snug_buf_deinit(&b);
}

static void refusals(void **state)
{
    (void)state;
    refused(4, "{}", 0, SNUG_EUNSUPPORTED, "version 4");
    refused(1, "{}", 0, SNUG_ECORRUPT, "the dict of");
    refused(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4,
            SNUG_ECORRUPT, "the dict of");
    refused(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", 4,
            SNUG_ECORRUPT, "the dict of");
    refused(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, SNUG_ECORRUPT,
            "the dict of");
    refused(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, SNUG_ECORRUPT,
            "the dict of");
    refused(1, "{'descr': '<f4', 'fortran_order': maybe, 'shape': (1,)}", 4, SNUG_ECORRUPT,
            "the dict of");
    refused(
        1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
        4, SNUG_ECORRUPT, "the dict of");
    refused(1, "{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", 16, SNUG_EUNSUPPORTED,
            "type \"<U4\"");
    refused(1,
            "{'descr': [('a', '<i4'), ('b', '<f8', (2,))], 'fortran_order': False, 'shape': (1,)}",
            20, SNUG_EUNSUPPORTED, "type record");
    refused(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7, SNUG_ECORRUPT,
            "reaches to element 1");
    refused(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9, SNUG_ECORRUPT,
            "9 bytes of elements");
    refused(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 4,
            SNUG_ECORRUPT, "64 bits");
    refused(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693953,)}", 8,
            SNUG_ECORRUPT, "64 bits");
    snug_err  err = {0};
    codec_npy n;
    assert_int_equal(codec_npy_parse(SNUG_LIT("\x93NUMPY\1\0\xff\xff{"), &n, &err), SNUG_ECORRUPT);
    says(&err, "cut off");
    assert_int_equal(codec_npy_parse(SNUG_LIT("\x93NUMPX\1\0\0\0"), &n, &err), SNUG_ECORRUPT);
    assert_int_equal(codec_npy_parse(SNUG_LIT("\x93NUMPY\2\0\0\0\0\x7f"), &n, &err), SNUG_ELIMIT);
}

static void objects_are_pickles(void **state)
{
    snug_err  err = {0};
    codec_npy n;
    (void)state;
    snug_buf b = npy(1, "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 3);
    assert_int_equal(codec_npy_parse(snug_buf_slice(&b), &n, &err), SNUG_OK);
    assert_true(n.pickled);
    assert_int_equal(n.data_offset, b.len - 3);
    snug_buf_deinit(&b);
    b = npy(
        1, "{'descr': [('a', '<i4'), ('b', [('c', '|O')])], 'fortran_order': False, 'shape': (1,)}",
        3);
    assert_int_equal(codec_npy_parse(snug_buf_slice(&b), &n, &err), SNUG_EUNSUPPORTED);
    assert_true(n.pickled);
    snug_buf_deinit(&b);
}

static void views_stay_inside(void **state)
{
    static const unsigned char store[6] = {1, 2, 3, 4, 5, 6};
    unsigned char              got[12];
    uint64_t                   count;
    snug_err                   err = {0};
    (void)state;
    codec_view v = {
        .tensor = {.name = SNUG_LIT("t"), .dtype = CODEC_U8, .rank = 3, .shape = {2, 1, 3}},
        .storage = snug_slice_of(store, 6),
        .first = 1,
        .strides = {0, UINT64_MAX, 2}};
    assert_int_equal(codec_view_check(&v, &count, &err), SNUG_OK);
    assert_int_equal(count, 6);
    codec_view_copy(&v, 0, 6, got);
    assert_memory_equal(got, ((const unsigned char[]){2, 4, 6, 2, 4, 6}), 6);
    v.first = 2;
    assert_int_equal(codec_view_check(&v, &count, &err), SNUG_ECORRUPT);
    says(&err, "\"t\" reaches to element 6 of a storage that has 6");
    v.tensor.shape[2] = UINT64_MAX;
    assert_int_equal(codec_view_check(&v, &count, &err), SNUG_ECORRUPT);
    v.tensor.shape[0] = 0; /* nothing reads nothing */
    assert_int_equal(codec_view_check(&v, &count, &err), SNUG_OK);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_of_numpy),   cmocka_unit_test(columns_first_and_big_endian),
        cmocka_unit_test(scalars_and_nothing), cmocka_unit_test(refusals),
        cmocka_unit_test(objects_are_pickles), cmocka_unit_test(views_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
