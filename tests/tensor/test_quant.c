/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tensor/test_quant.c - quantized types against the bytes of the gguf package, and linear
 * over them: the same bits on every backend, and within its stated bound of the dequantized
 * product. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "tensor/quant_int.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/tensor/"

static const tensor_dtype types[] = {TENSOR_Q4_0, TENSOR_Q4_1,  TENSOR_Q5_0, TENSOR_Q5_1,
                                     TENSOR_Q8_0, TENSOR_MXFP4, TENSOR_Q2_K, TENSOR_Q3_K,
                                     TENSOR_Q4_K, TENSOR_Q5_K,  TENSOR_Q6_K};
enum { TYPES = sizeof types / sizeof types[0] };

/* The whole file, exactly `size` bytes. */
static void *golden(const char *name, const char *ext, size_t size)
{
    char path[512];
    (void)snprintf(path, sizeof path, GOLDEN "%s%s", name, ext);
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("no %s", path);
    char *p = snug_alloc(size);
    assert_int_equal(fread(p, 1, size, f), size);
    assert_int_equal(fgetc(f), EOF);
    assert_int_equal(fclose(f), 0);
    return p;
}

static uint64_t seed = 1;
static float    next_float(void) /* in [-1, 1) */
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

/* ---- types ---- */

static void test_sizes(void **state)
{
    (void)state;
    tensor t;
    assert_int_equal(tensor_dtype_block(TENSOR_Q4_K), 256);
    assert_int_equal(tensor_dtype_block(TENSOR_F16), 1);
    assert_int_equal(tensor_dtype_size(TENSOR_Q6_K, 512), 420);
    assert_int_equal(tensor_shape(TENSOR_Q4_0, 2, (const size_t[]){3, 64}, &t, NULL), SNUG_OK);
    assert_int_equal(tensor_size(&t), 108);
    snug_err err;
    assert_int_equal(tensor_shape(TENSOR_Q4_0, 2, (const size_t[]){64, 33}, &t, &err), SNUG_EINVAL);
    assert_string_equal(err.msg,
                        "rows of Q4_0 hold whole blocks of 32 elements; 33 is no multiple");
    assert_int_equal(tensor_shape(TENSOR_Q4_K, 0, NULL, &t, NULL), SNUG_EINVAL);
    assert_int_equal(tensor_shape(TENSOR_Q4_K, 2, (const size_t[]){SIZE_MAX, 256}, &t, NULL),
                     SNUG_ELIMIT);
    /* 2^46 elements of 2.6 bits pass the limit of bytes, 2^48 do not. */
    assert_int_equal(tensor_shape(TENSOR_Q2_K, 1, (const size_t[]){(size_t)1 << 43}, &t, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_shape(TENSOR_Q2_K, 1, (const size_t[]){(size_t)1 << 44}, &t, NULL),
                     SNUG_ELIMIT);
}

static void test_dequantize(void **state)
{
    (void)state;
    float got[1024];
    for (size_t i = 0; i < TYPES; i++) {
        const char *name = tensor_dtype_name(types[i]);
        uint8_t    *blocks = golden(name, ".blocks", tensor_dtype_size(types[i], 1024));
        float      *want = golden(name, ".f32", sizeof got);
        tensor_dequantize(types[i], blocks, 1024, got);
        for (size_t e = 0; e < 1024; e++)
            if (memcmp(&got[e], &want[e], sizeof got[e]) != 0)
                fail_msg("%s element %zu is %.9g, not %.9g", name, e, (double)got[e],
                         (double)want[e]);
        free(blocks), free(want);
    }
}

static void test_quantize_bytes(void **state)
{
    (void)state;
    float *values = golden("values", ".f32", 4096 * sizeof(float));
    for (size_t i = 0; i < 6; i++) {
        const char *name = tensor_dtype_name(types[i]);
        size_t      size = tensor_dtype_size(types[i], 4096), each = tensor_dtype_bytes(types[i]);
        uint8_t    *want = golden(name, ".packed", size), *got = snug_alloc(size);
        assert_int_equal(tensor_quantize(types[i], values, 4096, got, NULL), SNUG_OK);
        for (size_t b = 0; b < size; b++)
            if (got[b] != want[b])
                fail_msg("%s block %zu byte %zu is %u, not %u", name, b / each, b % each, got[b],
                         want[b]);
        free(want), free(got);
    }
    free(values);
}

static double miss(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* The K types: no stretch of values comes out more than 1 % worse than from ggml's quantizer, in
 * root mean square. */
static void test_quantize_error(void **state)
{
    (void)state;
    float *values = golden("values", ".f32", 4096 * sizeof(float)), back[4096];
    FILE  *f = fopen(GOLDEN "errors.txt", "r");
    assert_non_null(f);
    for (size_t i = 6; i < TYPES; i++) {
        char     name[16];
        uint8_t *blocks = snug_alloc(tensor_dtype_size(types[i], 4096));
        assert_int_equal(fscanf(f, "%15s", name), 1);
        assert_string_equal(name, tensor_dtype_name(types[i]));
        assert_int_equal(tensor_quantize(types[i], values, 4096, blocks, NULL), SNUG_OK);
        tensor_dequantize(types[i], blocks, 4096, back);
        for (size_t s = 0; s < 16; s++) {
            double theirs = 0;
            assert_int_equal(fscanf(f, "%lf", &theirs), 1);
            double ours = miss(values + 256 * s, back + 256 * s, 256);
            if (getenv("SNUG_SHOW") != NULL)
                printf("%s %zu %.4f\n", name, s, theirs > 0 ? sqrt(ours / theirs) : ours);
            if (sqrt(ours) > 1.01 * sqrt(theirs))
                fail_msg("%s stretch %zu: %.6g against %.6g", name, s, sqrt(ours), sqrt(theirs));
        }
        free(blocks);
    }
    assert_int_equal(fclose(f), 0);
    free(values);
}

/* Packing is unpacking backwards, for any bytes; MXFP4 has two zeros and writes one of them. */
static void test_pack(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        size_t   size = tensor_dtype_size(types[i], 1024), each = tensor_dtype_bytes(types[i]);
        uint8_t *blocks = golden(tensor_dtype_name(types[i]), ".blocks", size), again[256];
        for (size_t b = 0; b < size; b += each) {
            quant_block q = {0};
            for (size_t n = b + 1; types[i] == TENSOR_MXFP4 && n < b + each; n++) {
                if ((blocks[n] & 15) == 8) blocks[n] &= 0xf0;
                if (blocks[n] >> 4 == 8) blocks[n] &= 0x0f;
            }
            quant_unpack(types[i], blocks + b, &q);
            quant_pack(types[i], &q, again);
            assert_memory_equal(again, blocks + b, each);
        }
        free(blocks);
    }
}

static void test_quantize_refuses(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 65600.0f};
    float              x[512] = {0};
    uint8_t            out[1024];
    for (size_t i = 0; i < TYPES; i++)
        for (size_t b = 0; b < 4; b++) {
            snug_err err;
            x[300] = bad[b];
            assert_int_equal(tensor_quantize(types[i], x, 512, out, &err), SNUG_EINVAL);
            x[300] = 0.0f;
            assert_int_equal(tensor_quantize(types[i], x, 512, out, &err), SNUG_OK);
            for (size_t n = 0; n < 4; n++) x[n] = n % 2 == 0 ? 65504.0f : -65504.0f;
            assert_int_equal(tensor_quantize(types[i], x, 512, out, &err), SNUG_OK);
            float back[512];
            tensor_dequantize(types[i], out, 512, back);
            for (size_t n = 0; n < 512; n++) assert_true(isfinite(back[n]));
            for (size_t n = 0; n < 4; n++) x[n] = 0.0f;
        }
}

/* ---- linear ---- */

static tensor_dev *open_named(const char *name)
{
    tensor_dev           *d = NULL;
    const tensor_backend *b = tensor_backend_find(snug_str(name));
    if (b == NULL || !tensor_backend_usable(b)) return NULL;
    assert_int_equal(tensor_dev_open(b, 3, &d, NULL), SNUG_OK);
    return d;
}

typedef struct linear_case {
    size_t rows, k, n;
} linear_case;

/* Runs linear on one backend. The rows of w start `shift` bytes into the memory and, for an odd
 * shift, lie a block further apart than they are long; an even one ends with the memory. */
static void run_linear(const char *backend, tensor_dtype t, const linear_case *c, const float *x,
                       const uint8_t *w, size_t row_bytes, size_t shift, const float *bias,
                       float *out)
{
    tensor_dev *d = open_named(backend);
    tensor      tx, tw, tb, to;
    size_t      block = shift % 2 * tensor_dtype_block(t), gap = 3;
    size_t      pitch = row_bytes + tensor_dtype_size(t, block);
    uint8_t    *bytes = snug_zalloc(c->n * pitch + shift);
    for (size_t n = 0; n < c->n; n++)
        memcpy(bytes + shift + n * pitch, w + n * row_bytes, row_bytes);
    assert_int_equal(
        tensor_new_from(d, t, TENSOR_DIMS(c->n, c->k + block), bytes + shift, true, &tw, NULL),
        SNUG_OK);
    tensor whole = tw;
    tw = tensor_slice(&tw, 1, 0, c->k);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(c->rows, c->k + gap), &tx, NULL),
                     SNUG_OK);
    float *padded = snug_zalloc(c->rows * (c->k + gap) * sizeof *padded);
    for (size_t m = 0; m < c->rows; m++)
        memcpy(padded + m * (c->k + gap), x + m * c->k, c->k * sizeof *x);
    assert_int_equal(tensor_put(&tx, padded, c->rows * (c->k + gap) * sizeof *padded, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(c->n), bias, true, &tb, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(c->rows, c->n), &to, NULL), SNUG_OK);
    tensor in = tensor_slice(&tx, 1, 0, c->k);
    assert_int_equal(tensor_linear(d, &in, &tw, &tb, &to, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&to, out, c->rows * c->n * sizeof *out, NULL), SNUG_OK);
    free(padded);
    tensor_free(&tx), tensor_free(&whole), tensor_free(&tb), tensor_free(&to);
    free(bytes);
    tensor_dev_close(d);
}

static bool same_floats(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

/* |got - exact| <= sum over blocks of largest |x| / 254 * sum |w|, and rounding. */
static void within_bound(tensor_dtype t, const linear_case *c, const float *x, const uint8_t *w,
                         size_t row_bytes, const float *bias, const float *got)
{
    size_t block = tensor_dtype_block(t);
    float *row = snug_alloc(c->k * sizeof *row);
    for (size_t n = 0; n < c->n; n++) {
        tensor_dequantize(t, w + n * row_bytes, c->k, row);
        for (size_t m = 0; m < c->rows; m++) {
            double exact = (double)bias[n], bound = 0, size = fabs(exact);
            for (size_t b = 0; b < c->k; b += block) {
                double most = 0, weight = 0;
                for (size_t i = b; i < b + block; i++) {
                    exact += (double)x[m * c->k + i] * (double)row[i];
                    size += fabs((double)x[m * c->k + i] * (double)row[i]);
                    most = fmax(most, fabs((double)x[m * c->k + i]));
                    weight += fabs((double)row[i]);
                }
                bound += most / 254 * weight;
            }
            double off = fabs((double)got[m * c->n + n] - exact);
            if (off > bound * 1.0001 + size * 1e-5)
                fail_msg("%s [%zu, %zu] is %g from %g, bound %g", tensor_dtype_name(t), m, n, off,
                         exact, bound);
        }
    }
    free(row);
}

static uint8_t *random_weights(tensor_dtype t, size_t n, size_t k)
{
    uint8_t *w = snug_alloc(n * tensor_dtype_size(t, k) + 1);
    float   *row = snug_alloc(k * sizeof *row);
    for (size_t i = 0; i < n; i++) {
        for (size_t e = 0; e < k; e++) row[e] = next_float() * (e % 37 == 0 ? 4.0f : 0.3f);
        assert_int_equal(tensor_quantize(t, row, k, w + i * tensor_dtype_size(t, k), NULL),
                         SNUG_OK);
    }
    free(row);
    return w;
}

/* Any bytes are a block: the extremes of q and scales appear, but d stays finite. */
static void roughen(tensor_dtype t, uint8_t *w, size_t blocks)
{
    size_t each = tensor_dtype_bytes(t), d_at = t == TENSOR_Q3_K ? 108 : t == TENSOR_Q6_K ? 208 : 0;
    size_t d_size = t == TENSOR_Q2_K ? 4
                    : t == TENSOR_Q4_K || t == TENSOR_Q5_K || t == TENSOR_Q4_1 || t == TENSOR_Q5_1
                        ? 4
                    : t == TENSOR_MXFP4 ? 1
                                        : 2;
    if (t == TENSOR_Q2_K) d_at = 80;
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < each; i++)
            if (i < d_at || i >= d_at + d_size) {
                (void)next_float();
                w[b * each + i] = b % 3 == 0 ? 0xff : b % 3 == 1 ? (uint8_t)(seed >> 40) : 0x80;
            }
}

static void linear_all(tensor_dtype t)
{
    static const linear_case cases[] = {{1, 1, 1},   {1, 2, 17},  {2, 3, 16},
                                        {3, 9, 33},  {5, 8, 40},  {9, 5, 15},
                                        {17, 4, 48}, {70, 2, 31}, {300, 1, 18},
                                        {1, 67, 18}, {2, 33, 16}, {3, 35, 5}, {4, 130, 19}};
    static const char *const fast[] = {"avx2", "avx512"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        linear_case c = cases[i];
        c.k *= tensor_dtype_block(t);
        size_t   row_bytes = tensor_dtype_size(t, c.k);
        uint8_t *w = random_weights(t, c.n, c.k);
        if (i % 2 == 1) roughen(t, w, c.n * c.k / tensor_dtype_block(t));
        float *x = snug_alloc(c.rows * c.k * sizeof *x), *bias = snug_alloc(c.n * sizeof *bias);
        float *want = snug_alloc(c.rows * c.n * sizeof *want),
              *got = snug_alloc(c.rows * c.n * sizeof *got);
        for (size_t e = 0; e < c.rows * c.k; e++) x[e] = next_float() * (e % 50 == 7 ? 9.0f : 1.0f);
        for (size_t e = 0; e < c.n; e++) bias[e] = next_float();
        for (size_t e = 0; e < tensor_dtype_block(t); e++) x[e] = 0.0f;
        run_linear("cpu_ref", t, &c, x, w, row_bytes, 0, bias, want);
        within_bound(t, &c, x, w, row_bytes, bias, want);
        for (size_t b = 0; b < 2; b++) {
            if (tensor_backend_find(snug_str(fast[b])) == NULL ||
                !tensor_backend_usable(tensor_backend_find(snug_str(fast[b]))))
                continue;
            run_linear(fast[b], t, &c, x, w, row_bytes, 1 + i % 7, bias, got);
            if (!same_floats(want, got, c.rows * c.n))
                fail_msg("%s on %s, case %zu", tensor_dtype_name(t), fast[b], i);
        }
        free(w), free(x), free(bias), free(want), free(got);
    }
}
static void test_linear(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES; i++) linear_all(types[i]);
}

/* NaN and infinities spoil their own row and no other; tiny rows count as zero. */
static void test_linear_odd(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu_ref", "avx2", "avx512"};
    linear_case              c = {5, 512, 19};
    for (size_t i = 0; i < TYPES; i++) {
        size_t   row_bytes = tensor_dtype_size(types[i], c.k);
        uint8_t *w = random_weights(types[i], c.n, c.k);
        float    x[5 * 512], bias[19] = {0}, out[5 * 19];
        for (size_t e = 0; e < 5 * 512; e++) x[e] = next_float();
        x[1 * 512 + 300] = NAN;
        x[2 * 512 + 17] = INFINITY;
        x[3 * 512 + 511] = -NAN;
        for (size_t e = 0; e < 512; e++) x[4 * 512 + e] = next_float() * 1e-39f;
        for (size_t b = 0; b < 3; b++) {
            const tensor_backend *have = tensor_backend_find(snug_str(names[b]));
            if (have == NULL || !tensor_backend_usable(have)) continue;
            run_linear(names[b], types[i], &c, x, w, row_bytes, 0, bias, out);
            for (size_t n = 0; n < 19; n++) {
                assert_true(isfinite(out[n]));
                assert_true(isnan(out[19 + n]) && isnan(out[38 + n]) && isnan(out[57 + n]));
                assert_true(out[76 + n] == 0.0f);
            }
        }
        free(w);
    }
}

/* ---- the other operations that take blocks ---- */

static void test_embed_copy(void **state)
{
    (void)state;
    tensor_dev *d = open_named("cpu_ref");
    for (size_t i = 0; i < TYPES; i++) {
        uint8_t *blocks =
            golden(tensor_dtype_name(types[i]), ".blocks", tensor_dtype_size(types[i], 1024));
        float  *want = golden(tensor_dtype_name(types[i]), ".f32", 4096), got[1024];
        tensor  t, o, e, ids;
        int32_t id[2] = {3, 1};
        assert_int_equal(tensor_new_from(d, types[i], TENSOR_DIMS(4, 256), blocks, true, &t, NULL),
                         SNUG_OK);
        assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(4, 256), &o, NULL), SNUG_OK);
        assert_int_equal(tensor_copy(d, &t, &o, NULL), SNUG_OK);
        assert_int_equal(tensor_get(&o, got, sizeof got, NULL), SNUG_OK);
        assert_memory_equal(got, want, sizeof got);
        assert_int_equal(tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(2), id, true, &ids, NULL),
                         SNUG_OK);
        assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 256), &e, NULL), SNUG_OK);
        assert_int_equal(tensor_embed(d, &t, &ids, &e, NULL), SNUG_OK);
        assert_int_equal(tensor_get(&e, got, 2048, NULL), SNUG_OK);
        assert_memory_equal(got, want + 768, 1024);
        assert_memory_equal(got + 256, want + 256, 1024);
        /* Blocks are weights of linear and embed and nothing else; part of a block is no row. */
        assert_int_equal(tensor_add(d, &o, &t, &o, NULL), SNUG_EINVAL);
        assert_int_equal(tensor_copy(d, &o, &t, NULL), SNUG_EINVAL);
        tensor cut = t;
        cut.shape[1] = 250;
        assert_int_equal(tensor_linear(d, &o, &cut, NULL, &o, NULL), SNUG_EINVAL);
        cut = t;
        cut.stride[0] = 100;
        assert_int_equal(tensor_embed(d, &cut, &ids, &e, NULL), SNUG_EINVAL);
        cut = t;
        cut.shape[0] = 5;
        assert_int_equal(tensor_embed(d, &cut, &ids, &e, NULL), SNUG_EINVAL);
        tensor_free(&t), tensor_free(&o), tensor_free(&e), tensor_free(&ids);
        free(blocks), free(want);
    }
    tensor_dev_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_dequantize),
        cmocka_unit_test(test_quantize_bytes), cmocka_unit_test(test_quantize_error),
        cmocka_unit_test(test_pack),           cmocka_unit_test(test_quantize_refuses),
        cmocka_unit_test(test_linear),         cmocka_unit_test(test_linear_odd),
        cmocka_unit_test(test_embed_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
