/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tensor/test_tensor.c - shapes, views, half precision, workspaces, and a device whose memory
 * the CPU cannot address. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "tensor/tensor.h"

static tensor_dev *open_ref(void)
{
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_find(SNUG_LIT("cpu_ref")), 2, &d, NULL),
                     SNUG_OK);
    return d;
}

static void test_shape(void **state)
{
    (void)state;
    tensor t;
    assert_int_equal(tensor_shape(TENSOR_F32, 3, (const size_t[]){2, 3, 5}, &t, NULL), SNUG_OK);
    assert_int_equal(t.stride[0], 15);
    assert_int_equal(t.stride[1], 5);
    assert_int_equal(t.stride[2], 1);
    assert_int_equal(tensor_count(&t), 30);
    assert_int_equal(tensor_size(&t), 120);
    assert_int_equal(tensor_rows(&t), 6);
    assert_int_equal(tensor_cols(&t), 5);
    char text[TENSOR_SHAPE_TEXT];
    assert_string_equal(tensor_shape_text(&t, text), "[2, 3, 5]");
    assert_int_equal(tensor_shape(TENSOR_F16, 0, NULL, &t, NULL), SNUG_OK);
    assert_int_equal(tensor_count(&t), 1);
    assert_string_equal(tensor_shape_text(&t, text), "[]");
}

static void test_shape_limits(void **state)
{
    (void)state;
    tensor t;
    size_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    assert_int_equal(tensor_shape(TENSOR_F32, 9, nine, &t, NULL), SNUG_ELIMIT);
    assert_int_equal(tensor_shape(TENSOR_F32, 8, nine, &t, NULL), SNUG_OK);
    assert_int_equal(tensor_shape(TENSOR_F32, 2, (const size_t[]){SIZE_MAX, 2}, &t, NULL),
                     SNUG_ELIMIT);
    assert_int_equal(tensor_shape(TENSOR_I64, 2, (const size_t[]){1u << 30, 1u << 30}, &t, NULL),
                     SNUG_ELIMIT);
    /* A zero beside a huge dimension is no way round the limit. */
    assert_int_equal(tensor_shape(TENSOR_F32, 2, (const size_t[]){0, SIZE_MAX}, &t, NULL),
                     SNUG_ELIMIT);
    assert_int_equal(tensor_shape(TENSOR_F32, 2, (const size_t[]){0, 7}, &t, NULL), SNUG_OK);
    assert_int_equal(tensor_count(&t), 0);
}

static void test_views(void **state)
{
    (void)state;
    tensor_dev *d = open_ref();
    float       data[24];
    for (int i = 0; i < 24; i++) data[i] = (float)i;
    tensor t, out;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 3, 4), data, false, &t, NULL),
                     SNUG_OK);
    tensor s = tensor_slice(&t, 2, 1, 2);
    size_t row;
    assert_false(tensor_is_dense(&s));
    assert_true(tensor_has_rows(&s, &row));
    assert_int_equal(row, 4);
    tensor m = tensor_slice(&t, 1, 1, 2); /* [2, 2, 4] with a gap between batches */
    assert_false(tensor_has_rows(&m, &row));
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 2, 4), &out, NULL), SNUG_OK);
    assert_int_equal(tensor_copy(d, &m, &out, NULL), SNUG_OK);
    float got[16];
    assert_int_equal(tensor_get(&out, got, sizeof got, NULL), SNUG_OK);
    for (int i = 0; i < 8; i++) {
        assert_true(got[i] == (float)(4 + i));
        assert_true(got[8 + i] == (float)(16 + i));
    }
    tensor flat = tensor_view(&t, TENSOR_DIMS(6, 4));
    assert_int_equal(flat.stride[0], 4);
    tensor_free(&t);
    tensor_free(&out);
    assert_null(t.mem);
    tensor_dev_close(d);
}

static void test_half(void **state)
{
    (void)state;
    /* Every F16 value survives the way to F32 and back. */
    for (uint32_t h = 0; h < 0x10000u; h++) {
        float f = tensor_f16_to_f32((uint16_t)h);
        if (isnan(f)) continue;
        assert_int_equal(tensor_f32_to_f16(f), h);
    }
    assert_true(tensor_f16_to_f32(0x3c00) == 1.0f);
    assert_true(tensor_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(tensor_f16_to_f32(0xfbff) == -65504.0f);
    assert_true(isinf(tensor_f16_to_f32(0x7c00)));
    assert_int_equal(tensor_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);        /* a tie goes to even */
    assert_int_equal(tensor_f32_to_f16(1.0f + 3.0f * 0x1p-11f), 0x3c02); /* and here upwards */
    assert_int_equal(tensor_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(tensor_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(tensor_f32_to_f16(-0.0f), 0x8000);
    assert_true(isnan(tensor_f16_to_f32(tensor_f32_to_f16(NAN))));
    assert_true(tensor_bf16_to_f32(0x3f80) == 1.0f);
    assert_int_equal(tensor_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(tensor_f32_to_bf16(1.0f + 3.0f * 0x1p-8f), 0x3f82);
    assert_true(isnan(tensor_bf16_to_f32(tensor_f32_to_bf16(NAN))));
}

static void test_space(void **state)
{
    (void)state;
    tensor_dev   *d = open_ref();
    tensor_space *s = tensor_space_new(d, 8u << 20);
    tensor        a, b, c;
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(100), &a, NULL), SNUG_OK);
    tensor_mark mark = tensor_space_mark(s);
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(100), &b, NULL), SNUG_OK);
    assert_int_not_equal(a.offset, b.offset);
    tensor_space_release(s, mark);
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(7), &c, NULL), SNUG_OK);
    assert_int_equal(c.offset, b.offset);
    assert_ptr_equal(c.mem, b.mem);
    /* A block of its own for what does not fit, one block for all after a reset. */
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(1u << 19), &b, NULL), SNUG_OK);
    assert_ptr_not_equal(b.mem, a.mem);
    snug_err err;
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(1u << 21), &c, &err),
                     SNUG_ELIMIT);
    size_t held = tensor_space_bytes(s);
    tensor_space_reset(s);
    assert_int_equal(tensor_space_bytes(s), held);
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(1u << 19), &b, NULL), SNUG_OK);
    assert_int_equal(tensor_space_take(s, TENSOR_F32, TENSOR_DIMS(100), &a, NULL), SNUG_OK);
    assert_ptr_equal(a.mem, b.mem);
    tensor_space_free(s);
    tensor_dev_close(d);
}

static void test_unaligned_is_copied(void **state)
{
    (void)state;
    tensor_dev *d = open_ref();
    char        raw[17];
    float       v = 2.5f, got;
    memcpy(raw + 1, &v, sizeof v);
    tensor t;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1), raw + 1, true, &t, NULL),
                     SNUG_OK);
    memset(raw, 0, sizeof raw);
    assert_int_equal(tensor_get(&t, &got, sizeof got, NULL), SNUG_OK);
    assert_true((uintptr_t)(raw + 1) % 4 == 0 || got == 2.5f);
    tensor_free(&t);
    tensor_dev_close(d);
}

/* ---- a far device: memory behind put and get only, bytes kept inverted; it can only add ---- */

typedef struct far_mem {
    tensor_mem    head;
    unsigned char bytes[];
} far_mem;

static size_t far_adds;

static snug_status far_alloc(tensor_dev *d, size_t n, tensor_mem **out, snug_err *err)
{
    (void)err;
    far_mem *m = snug_zalloc(sizeof *m + n);
    m->head = (tensor_mem){.dev = d, .size = n};
    *out = &m->head;
    return SNUG_OK;
}

static void far_free(tensor_mem *mem) { free(mem); }

static snug_status far_put(tensor_mem *mem, size_t off, const void *src, size_t n, snug_err *err)
{
    (void)err;
    assert_true(off + n <= mem->size);
    for (size_t i = 0; i < n; i++)
        ((far_mem *)(void *)mem)->bytes[off + i] = (unsigned char)~((const unsigned char *)src)[i];
    return SNUG_OK;
}

static snug_status far_get(const tensor_mem *mem, size_t off, void *dst, size_t n, snug_err *err)
{
    (void)err;
    assert_true(off + n <= mem->size);
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)dst)[i] =
            (unsigned char)~((const far_mem *)(const void *)mem)->bytes[off + i];
    return SNUG_OK;
}

static bool far_supports(const tensor_op *op) { return op->kind == TENSOR_OP_ADD; }

static snug_status far_run(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)d;
    size_t n = tensor_count(&op->out);
    for (size_t i = 0; i < n; i++) {
        float a, b;
        assert_int_equal(far_get(op->in[0].mem, op->in[0].offset + i * 4, &a, 4, err), SNUG_OK);
        assert_int_equal(far_get(op->in[1].mem, op->in[1].offset + i * 4, &b, 4, err), SNUG_OK);
        a += b;
        assert_int_equal(far_put(op->out.mem, op->out.offset + i * 4, &a, 4, err), SNUG_OK);
    }
    far_adds++;
    return SNUG_OK;
}

static const tensor_backend far_backend = {
    .name = "far",
    .abi = TENSOR_ABI,
    .supports = far_supports,
    .alloc = far_alloc,
    .free = far_free,
    .put = far_put,
    .get = far_get,
    .run = far_run,
};

static void test_far_device(void **state)
{
    (void)state;
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(&far_backend, 1, &d, NULL), SNUG_OK);
    float  xs[6] = {1, 2, 3, 4, 5, 6}, ws[6] = {1, 0, 2, 0, 1, 0}, got[8] = {0};
    tensor x, w, out, all;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 3), xs, true, &x, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 3), ws, true, &w, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 4), &all, NULL), SNUG_OK);
    memset(got, 0, sizeof got);
    for (int i = 0; i < 8; i++) got[i] = -1.0f;
    assert_int_equal(tensor_put(&all, got, sizeof got, NULL), SNUG_OK);
    /* linear is not supported there: staged, into the middle columns, leaving the others alone. */
    out = tensor_slice(&all, 1, 1, 2);
    assert_int_equal(tensor_linear(d, &x, &w, NULL, &out, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&all, got, sizeof got, NULL), SNUG_OK);
    const float want[8] = {-1, 7, 2, -1, -1, 16, 5, -1};
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(far_adds, 0);
    assert_int_equal(tensor_add(d, &all, &all, &all, NULL), SNUG_OK);
    assert_int_equal(far_adds, 1);
    assert_int_equal(tensor_get(&all, got, sizeof got, NULL), SNUG_OK);
    assert_true(got[1] == 14.0f && got[6] == 10.0f);
    /* Attention over pages is staged too. */
    float  ks[4] = {1, 0, 0, 1}, seen[2];
    tensor k, q, o;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 2, 1, 2), ks, true, &k, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, 1, 1, 2), &o, NULL), SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 1, 1, 2), xs, true, &q, NULL),
                     SNUG_OK);
    tensor_page page = {k.mem, k.offset};
    k.pages = &page;
    assert_int_equal(tensor_attention(d, &q, &k, &k, NULL, 0.0f, false, 0, &o, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&o, seen, sizeof seen, NULL), SNUG_OK);
    assert_true(seen[0] == 0.5f && seen[1] == 0.5f);
    tensor_free(&k), tensor_free(&q), tensor_free(&o);
    tensor_free(&x);
    tensor_free(&w);
    tensor_free(&all);
    tensor_dev_close(d);
}

static void test_backend_table(void **state)
{
    (void)state;
    size_t n = 0;
    while (tensor_backend_at(n) != NULL) n++;
    assert_string_equal(tensor_backend_at(n - 1)->name, "cpu_ref");
    assert_null(tensor_backend_find(SNUG_LIT("abacus")));
    assert_true(tensor_backend_usable(tensor_backend_best()));
    tensor_backend old = far_backend;
    old.abi = 0;
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(&old, 1, &d, NULL), SNUG_EUNSUPPORTED);
    assert_null(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),      cmocka_unit_test(test_shape_limits),
        cmocka_unit_test(test_views),      cmocka_unit_test(test_half),
        cmocka_unit_test(test_space),      cmocka_unit_test(test_unaligned_is_copied),
        cmocka_unit_test(test_far_device), cmocka_unit_test(test_backend_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
