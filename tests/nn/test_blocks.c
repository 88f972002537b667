/* SPDX-License-Identifier: Apache-2.0 */
/* tests/nn/test_blocks.c - the cache and attention through it: one piece, pieces, rewind. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "nn/nn.h"

enum { B = 2, IN = 10, HEADS = 4, GROUPS = 2, WIDTH = 6, STEPS = 150 };

typedef struct rig {
    tensor_dev  *dev;
    nn_ctx       c;
    nn_attention a;
    nn_rope      rope;
    tensor       x; /* [B, STEPS, IN] */
} rig;

static uint64_t seed = 3;
static tensor   random_tensor(tensor_dev *d, unsigned rank, const size_t *shape)
{
    tensor t;
    assert_int_equal(tensor_shape(TENSOR_F32, rank, shape, &t, NULL), SNUG_OK);
    size_t n = tensor_count(&t);
    float *p = snug_alloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (float)(int32_t)(seed >> 32) * 0x1p-31f;
    }
    assert_int_equal(tensor_new_from(d, TENSOR_F32, rank, shape, p, false, &t, NULL), SNUG_OK);
    free(p);
    return t;
}

static rig rig_open(void)
{
    rig r = {0};
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 2, &r.dev, NULL), SNUG_OK);
    r.c = (nn_ctx){r.dev, tensor_space_new(r.dev, 64u << 20)};
    r.a = (nn_attention){
        .heads = HEADS, .kv_heads = GROUPS, .width = WIDTH, .scale = 0.4f, .causal = true};
    r.a.q.w = random_tensor(r.dev, TENSOR_DIMS(HEADS * WIDTH, IN));
    r.a.q.b = random_tensor(r.dev, TENSOR_DIMS(HEADS * WIDTH));
    r.a.k.w = random_tensor(r.dev, TENSOR_DIMS(GROUPS * WIDTH, IN));
    r.a.v.w = random_tensor(r.dev, TENSOR_DIMS(GROUPS * WIDTH, IN));
    r.a.o.w = random_tensor(r.dev, TENSOR_DIMS(IN, HEADS * WIDTH));
    r.x = random_tensor(r.dev, TENSOR_DIMS(B, STEPS, IN));
    r.rope = (nn_rope){.kind = NN_ROPE_DEFAULT,
                       .width = WIDTH,
                       .positions_max = 1000,
                       .theta = 10000,
                       .factor = 1};
    return r;
}

static void rig_close(rig *r)
{
    tensor *all[] = {&r->a.q.w, &r->a.q.b, &r->a.k.w, &r->a.v.w, &r->a.o.w, &r->x};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) tensor_free(all[i]);
    tensor_space_free(r->c.space);
    tensor_dev_close(r->dev);
}

/* Attends over steps [from, from + n) and copies [B, n, IN] out. */
static void step(rig *r, nn_kv *kv, size_t from, size_t n, float *out)
{
    tensor_space_reset(r->c.space);
    int32_t positions[B * STEPS];
    for (size_t i = 0; i < B * n; i++) positions[i] = (int32_t)(from + i % n);
    tensor part = tensor_slice(&r->x, 1, from, n), x, y;
    assert_int_equal(tensor_space_take(r->c.space, TENSOR_F32, TENSOR_DIMS(B, n, IN), &x, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_copy(r->dev, &part, &x, NULL), SNUG_OK);
    nn_turn turn;
    assert_int_equal(nn_rope_turn(&r->c, &r->rope, positions, B, n, &turn, NULL), SNUG_OK);
    assert_int_equal(
        nn_attention_run(&r->c, &r->a, &x, &(nn_step){.turn = &turn, .kv = kv}, &y, NULL), SNUG_OK);
    if (kv != NULL) nn_kv_advance(kv, n);
    assert_int_equal(tensor_get(&y, out, B * n * IN * sizeof *out, NULL), SNUG_OK);
}

static nn_kv *new_cache(rig *r, size_t positions_max)
{
    nn_kv     *kv = NULL;
    nn_kv_conf conf = {.layers = 1,
                       .batch = B,
                       .heads = GROUPS,
                       .k_width = WIDTH,
                       .v_width = WIDTH,
                       .positions_max = positions_max,
                       .dtype = TENSOR_F32};
    assert_int_equal(nn_kv_new(r->dev, &conf, &kv, NULL), SNUG_OK);
    return kv;
}

static void test_pieces_equal_whole(void **state)
{
    (void)state;
    rig          r = rig_open();
    nn_kv       *kv = new_cache(&r, 1000);
    static float whole[B * STEPS * IN], piece[B * STEPS * IN];
    step(&r, NULL, 0, STEPS, whole);
    static const size_t sizes[] = {1, 5, 60, 1, 1, 70, 12}; /* crosses a page twice */
    size_t              at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; at += sizes[i++]) {
        step(&r, kv, at, sizes[i], piece);
        for (size_t b = 0; b < B; b++)
            assert_memory_equal(piece + b * sizes[i] * IN, whole + (b * STEPS + at) * IN,
                                sizes[i] * IN * sizeof(float));
    }
    assert_int_equal(at, STEPS);
    assert_int_equal(nn_kv_count(kv), STEPS);
    /* Back to step 40 and on again: the same. */
    nn_kv_rewind(kv, 40);
    step(&r, kv, 40, 3, piece);
    assert_memory_equal(piece, whole + 40 * IN, 3 * IN * sizeof(float));
    nn_kv_free(kv);
    rig_close(&r);
}

static void test_cache_limit(void **state)
{
    (void)state;
    rig      r = rig_open();
    nn_kv   *kv = new_cache(&r, 10);
    float    out[B * STEPS * IN];
    snug_err err;
    step(&r, kv, 0, 10, out);
    tensor k, keys, values;
    assert_int_equal(
        tensor_space_take(r.c.space, TENSOR_F32, TENSOR_DIMS(B, 1, GROUPS, WIDTH), &k, NULL),
        SNUG_OK);
    assert_int_equal(nn_kv_append(kv, 0, &k, &k, &keys, &values, &err), SNUG_ELIMIT);
    assert_string_equal(err.msg, "11 positions; the cache may hold 10");
    assert_int_equal(nn_kv_count(kv), 10);
    nn_kv_free(kv);
    rig_close(&r);
}

/* Two rows that see the same change places and part: rows that grew from one share its pages, what
 * each then writes is its own, and the pool counts what is used. */
static void test_shared_pages(void **state)
{
    (void)state;
    enum { TWO = 2 * TENSOR_PAGE, PAGE = TENSOR_PAGE * GROUPS * 2 * WIDTH * sizeof(float) };
    rig          r = rig_open();
    nn_keep      each = {.heads = GROUPS, .k_width = WIDTH, .v_width = WIDTH};
    nn_pool     *pool = nn_pool_new(r.dev, &each, 1, 6 * PAGE);
    nn_kv       *kv = NULL, *other = NULL;
    nn_kv_conf   conf = {.layers = 1,
                         .batch = B,
                         .each = &each,
                         .positions_max = 1000,
                         .pool = pool,
                         .dtype = TENSOR_F32};
    static float out[B * STEPS * IN], want[B * STEPS * IN];
    snug_err     err;
    assert_int_equal(nn_kv_new(r.dev, &conf, &kv, NULL), SNUG_OK);
    step(&r, kv, 0, TWO + 3, out);
    assert_int_equal(nn_pool_used(pool), 6 * PAGE);
    assert_int_equal(nn_kv_reorder(kv, (const size_t[]){1, 1}, NULL), SNUG_OK);
    assert_int_equal(nn_pool_used(pool), 3 * PAGE);
    /* Both rows are the second now; the first goes on with inputs of its own. */
    step(&r, kv, TWO + 3, 2, out);
    assert_int_equal(nn_pool_used(pool), 4 * PAGE); /* the last page parted */
    assert_int_equal(nn_pool_held(pool), 6 * PAGE);
    /* The same without a reorder: both rows of the input are the second up to there. */
    float *x = snug_alloc(B * STEPS * IN * sizeof *x);
    assert_int_equal(tensor_get(&r.x, x, B * STEPS * IN * sizeof *x, NULL), SNUG_OK);
    for (size_t i = 0; i < (TWO + 3) * IN; i++) x[i] = x[STEPS * IN + i];
    assert_int_equal(tensor_put(&r.x, x, B * STEPS * IN * sizeof *x, NULL), SNUG_OK);
    free(x);
    nn_kv *alone = new_cache(&r, 1000);
    step(&r, alone, 0, TWO + 3, want);
    step(&r, alone, TWO + 3, 2, want);
    assert_memory_equal(out, want, (size_t)B * 2 * IN * sizeof *out);
    nn_kv_free(alone);
    /* A second cache of the pool finds two pages, and wants four. */
    tensor k, keys, values;
    assert_int_equal(nn_kv_new(r.dev, &conf, &other, NULL), SNUG_OK);
    assert_int_equal(tensor_space_take(r.c.space, TENSOR_F32,
                                       TENSOR_DIMS(B, TENSOR_PAGE + 1, GROUPS, WIDTH), &k, NULL),
                     SNUG_OK);
    assert_int_equal(nn_kv_append(other, 0, &k, &k, &keys, &values, &err), SNUG_ELIMIT);
    assert_non_null(strstr(err.msg, "no room for more keys and values"));
    assert_int_equal(nn_pool_used(pool), 4 * PAGE); /* what it took went back */
    nn_kv_rewind(kv, TENSOR_PAGE);
    assert_int_equal(nn_pool_used(pool), PAGE); /* one page, of both rows */
    assert_int_equal(nn_kv_append(other, 0, &k, &k, &keys, &values, &err), SNUG_OK);
    assert_int_equal(nn_pool_used(pool), 5 * PAGE);
    nn_kv_free(other);
    nn_kv_free(kv);
    assert_int_equal(nn_pool_used(pool), 0);
    nn_pool_limit(pool, PAGE);
    assert_int_equal(nn_pool_held(pool), 0);
    nn_pool_free(pool);
    rig_close(&r);
}

static void test_mlp_and_norm(void **state)
{
    (void)state;
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_find(SNUG_LIT("cpu_ref")), 1, &d, NULL),
                     SNUG_OK);
    nn_ctx c = {d, tensor_space_new(d, 1u << 22)};
    float  up[4] = {1, 2, 3, 4}, down[2] = {1, -1}, bias[1] = {10}, in[2] = {1, -1}, got[2];
    nn_mlp m = {.act = TENSOR_ACT_RELU};
    tensor x, y;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 2), up, true, &m.up.w, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 2), down, true, &m.down.w, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1), bias, true, &m.down.b, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 2), in, true, &x, NULL),
                     SNUG_OK);
    /* up: (1 - 2, 3 - 4) = (-1, -1); relu 0; down 0 + 10 */
    assert_int_equal(nn_mlp_run(&c, &m, &x, &y, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&y, got, 4, NULL), SNUG_OK);
    assert_true(got[0] == 10.0f);
    /* The same matrix as gate: silu(-1) * -1 twice, the second taken away: 0 + 10. */
    m.gate = m.up;
    m.act = TENSOR_ACT_SILU;
    assert_int_equal(nn_mlp_run(&c, &m, &x, &y, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&y, got, 4, NULL), SNUG_OK);
    assert_true(got[0] == 10.0f);
    nn_norm n = {.kind = NN_LAYER_NORM, .eps = 0.0f};
    assert_int_equal(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(1, 2), &y, NULL), SNUG_OK);
    assert_int_equal(nn_norm_run(&c, &n, &x, &y, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&y, got, 8, NULL), SNUG_OK);
    assert_true(got[0] == 1.0f && got[1] == -1.0f);
    tensor_free(&m.up.w), tensor_free(&m.down.w), tensor_free(&m.down.b), tensor_free(&x);
    tensor_space_free(c.space);
    tensor_dev_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_equal_whole),
        cmocka_unit_test(test_cache_limit),
        cmocka_unit_test(test_shared_pages),
        cmocka_unit_test(test_mlp_and_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
