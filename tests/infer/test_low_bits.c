/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_low_bits.c - safetensors weights of few bits: 8-bit floats with one scale, a
 * scale per row, per block; gpt-oss experts as blocks of 4-bit floats. Each is held against the
 * same model in float32 with the numbers the bits stand for. */
#include "gguf_check.h"

enum { TENSORS_MAX = 128 };

/* Two folders: bits and what they stand for. */
typedef struct pair {
    snug_arena  *a;
    loaded       from;
    codec_tensor low[TENSORS_MAX], wide[TENSORS_MAX];
    void        *low_data[TENSORS_MAX], *wide_data[TENSORS_MAX];
    size_t       low_count, wide_count;
} pair;

static void put(codec_tensor *list, void **data, size_t *count, const char *name, codec_dtype t,
                unsigned rank, const uint64_t *shape, void *bytes)
{
    assert_true(*count < TENSORS_MAX);
    list[*count] = (codec_tensor){.name = snug_str(name), .dtype = t, .rank = rank};
    for (unsigned i = 0; i < rank; i++) list[*count].shape[i] = shape[i];
    data[(*count)++] = bytes;
}

static void write_folder(pair *p, const char *name, codec_tensor *list, void **data, size_t count,
                         snug_slice config)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1u << 26);
    snug_err    err;
    const char *to = snug_arena_printf(p->a, "%s/%s", dir, name).ptr;
    assert_int_equal(snug_mkdirs(to, 0755, &err), SNUG_OK);
    assert_int_equal(codec_safetensors_write_header(list, count, (snug_json){NULL}, &b, &err),
                     SNUG_OK);
    for (size_t i = 0; i < count; i++) snug_buf_put(&b, data[i], (size_t)list[i].size);
    assert_int_equal(snug_write_file_atomic(snug_arena_printf(p->a, "%s/model.safetensors", to).ptr,
                                            snug_buf_slice(&b), 0644, &err),
                     SNUG_OK);
    assert_int_equal(snug_write_file_atomic(snug_arena_printf(p->a, "%s/config.json", to).ptr,
                                            config, 0644, &err),
                     SNUG_OK);
}

static float *numbers(pair *p, const codec_tensor *t)
{
    uint64_t n = t->size / 4;
    float   *x = snug_arena_zalloc(p->a, (size_t)n * sizeof *x + 4);
    assert_int_equal(t->dtype, CODEC_F32);
    for (uint64_t i = 0; i < n; i++) x[i] = (float)value(&p->from, t, i);
    return x;
}

/* The 8-bit float nearest to v, by trying all. */
static uint8_t to_f8(double v)
{
    uint8_t best = 0;
    double  miss = INFINITY;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        double  x = codec_dtype_read(CODEC_F8_E4M3, &byte, 0);
        if (!(fabs(x - v) < miss)) continue;
        miss = fabs(x - v);
        best = byte;
    }
    return best;
}

enum how { ONE, ROWS, BLOCKS, BARE };

static void make_f8(pair *p, const codec_tensor *t, enum how how, uint64_t side)
{
    uint64_t rows = t->shape[0], cols = t->shape[1];
    uint64_t high = how == ONE || how == BARE ? rows : how == ROWS ? 1 : side;
    uint64_t wide = how == BLOCKS ? side : cols;
    uint64_t down = (rows + high - 1) / high, across = (cols + wide - 1) / wide;
    float   *x = numbers(p, t), *scales = snug_arena_zalloc(p->a, down * across * 4 + 4);
    uint8_t *bits = snug_arena_zalloc(p->a, rows * cols + 1);
    for (uint64_t i = 0; i < down * across; i++)
        scales[i] = how == BARE ? 1.0f : 0.001f * (1.0f + 0.37f * (float)i);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c++) {
            float    scale = scales[r / high * across + c / wide];
            uint64_t at = r * cols + c;
            bits[at] = to_f8((double)x[at] / (double)scale);
            x[at] = (float)codec_dtype_read(CODEC_F8_E4M3, bits, at) * scale;
        }
    const char *name = snug_arena_cstr(p->a, t->name);
    const char *scale_name =
        snug_arena_printf(p->a, "%s_scale%s", name, how == BLOCKS ? "_inv" : "").ptr;
    put(p->low, p->low_data, &p->low_count, name, CODEC_F8_E4M3, 2, t->shape, bits);
    if (how != BARE)
        put(p->low, p->low_data, &p->low_count, scale_name, CODEC_F32, how == ONE ? 0 : 2,
            (const uint64_t[]){down, across}, scales);
    put(p->wide, p->wide_data, &p->wide_count, name, CODEC_F32, 2, t->shape, x);
}

static void keep(pair *p, const codec_tensor *t)
{
    const char *name = snug_arena_cstr(p->a, t->name);
    float      *x = numbers(p, t);
    put(p->low, p->low_data, &p->low_count, name, CODEC_F32, t->rank, t->shape, x);
    put(p->wide, p->wide_data, &p->wide_count, name, CODEC_F32, t->rank, t->shape, x);
}

static pair begin(snug_arena *a, const char *name, snug_slice *config)
{
    pair     p = {.a = a};
    snug_err err;
    p.from = load(a, snug_arena_printf(a, "%s/%s/model.safetensors", ROOT, name).ptr);
    assert_int_equal(snug_read_file(a, snug_arena_printf(a, "%s/%s/config.json", ROOT, name).ptr,
                                    1u << 20, config, &err),
                     SNUG_OK);
    return p;
}

/* The config with one more member. */
static snug_slice with(snug_arena *a, snug_slice config, const char *member)
{
    size_t open = snug_index(config, '{');
    return snug_arena_printf(a, "{%s,%.*s", member,
                             SNUG_SLICE(snug_sub(config, open + 1, config.len)));
}

static void same(pair *p, const char *name, snug_slice config, const char *member)
{
    const char *in = snug_arena_printf(p->a, "%s/%s/golden.safetensors", ROOT, name).ptr;
    const char *one = snug_arena_printf(p->a, "%s/one.out", dir).ptr,
               *two = snug_arena_printf(p->a, "%s/two.out", dir).ptr;
    write_folder(p, "low", p->low, p->low_data, p->low_count, with(p->a, config, member));
    write_folder(p, "wide", p->wide, p->wide_data, p->wide_count, config);
    forward(snug_arena_printf(p->a, "%s/low", dir).ptr, in, one);
    forward(snug_arena_printf(p->a, "%s/wide", dir).ptr, in, two);
}

static void test_f8(void **state)
{
    (void)state;
    static const struct {
        enum how    how;
        uint64_t    side;
        const char *member;
    } cases[] = {
        {ONE, 0, "\"quantization_config\":{\"quant_method\":\"fp8\"}"},
        {ROWS, 0, "\"quantization_config\":{\"quant_method\":\"fbgemm_fp8\"}"},
        {ROWS, 0,
         "\"quantization_config\":{\"quant_method\":\"compressed-tensors\","
         "\"format\":\"float-quantized\"}"},
        {BLOCKS, 128, "\"quantization_config\":{\"quant_method\":\"fp8\"}"},
        {BLOCKS, 24,
         "\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[24,24]}"},
        {BARE, 0, "\"quantization_config\":{\"quant_method\":\"fp8\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snug_arena *a = snug_arena_new();
        snug_slice  config;
        pair        p = begin(a, "llama", &config);
        for (size_t k = 0; k < p.from.st.count; k++) {
            const codec_tensor *t = &p.from.st.tensors[k];
            if (snug_ends_with(t->name, "_proj.weight"))
                make_f8(&p, t, cases[i].how, cases[i].side);
            else
                keep(&p, t);
        }
        same(&p, "llama", config, cases[i].member);
        double d = distance(snug_arena_printf(a, "%s/two.out", dir).ptr,
                            snug_arena_printf(a, "%s/one.out", dir).ptr);
        if (d != 0) fail_msg("case %zu: %g", i, d);
        snug_arena_free(a);
    }
}

static void test_f8_refused(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_slice  config;
    pair        p = begin(a, "llama", &config);
    tensor_dev *d;
    model      *m = NULL;
    snug_err    err;
    for (size_t k = 0; k < p.from.st.count; k++) {
        const codec_tensor *t = &p.from.st.tensors[k];
        if (snug_ends_with(t->name, "q_proj.weight"))
            make_f8(&p, t, BLOCKS, 8); /* the config says nothing of blocks of 8 */
        else
            keep(&p, t);
    }
    write_folder(&p, "low", p.low, p.low_data, p.low_count, config);
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    assert_int_equal(model_open(snug_arena_printf(a, "%s/low", dir).ptr, SNUG_EMPTY, d, &m, &err),
                     SNUG_ECORRUPT);
    assert_non_null(strstr(err.msg, "q_proj.weight_scale_inv"));
    write_folder(&p, "low", p.low, p.low_data, p.low_count,
                 with(a, config, "\"quantization_config\":{\"quant_method\":\"gptq\"}"));
    assert_int_equal(model_open(snug_arena_printf(a, "%s/low", dir).ptr, SNUG_EMPTY, d, &m, &err),
                     SNUG_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "gptq"));
    tensor_dev_close(d);
    snug_arena_free(a);
}

/* [E, in, out] becomes rows [E, out, in / 32] of 16 bytes, neighbours in a byte, and exponents. */
static void make_four_bits(pair *p, const codec_tensor *t)
{
    static const float points[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                     -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    uint64_t           E = t->shape[0], in = t->shape[1], out = t->shape[2];
    float             *x = numbers(p, t);
    uint8_t           *blocks = snug_arena_zalloc(p->a, E * in * out / 2),
            *scales = snug_arena_zalloc(p->a, E * in * out / 32);
    for (uint64_t e = 0; e < E; e++)
        for (uint64_t o = 0; o < out; o++)
            for (uint64_t i = 0; i < in; i++) {
                uint64_t at = (e * out + o) * in + i;
                float    scale = ldexpf(1.0f, -6 + (int)(at / 32 % 3)),
                      *v = &x[(e * in + i) * out + o];
                unsigned code = 0;
                scales[at / 32] = (uint8_t)(127 - 6 + (int)(at / 32 % 3));
                for (unsigned c = 1; c < 16; c++)
                    if (fabsf(points[c] * scale - *v) < fabsf(points[code] * scale - *v)) code = c;
                *v = points[code] * scale;
                blocks[at / 2] = (uint8_t)(blocks[at / 2] | code << (at % 2 == 0 ? 0 : 4));
            }
    const char *name = snug_arena_cstr(p->a, t->name);
    put(p->low, p->low_data, &p->low_count, snug_arena_printf(p->a, "%s_blocks", name).ptr,
        CODEC_U8, 4, (const uint64_t[]){E, out, in / 32, 16}, blocks);
    put(p->low, p->low_data, &p->low_count, snug_arena_printf(p->a, "%s_scales", name).ptr,
        CODEC_U8, 3, (const uint64_t[]){E, out, in / 32}, scales);
    put(p->wide, p->wide_data, &p->wide_count, name, CODEC_F32, 3, t->shape, x);
}

static void test_four_bits(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_slice  config;
    pair        p = begin(a, "gpt-oss", &config);
    size_t      stacks = 0;
    for (size_t k = 0; k < p.from.st.count; k++) {
        const codec_tensor *t = &p.from.st.tensors[k];
        bool                stack =
            snug_ends_with(t->name, "gate_up_proj") || snug_ends_with(t->name, "down_proj");
        stacks += stack && t->shape[1] % 32 == 0;
        if (stack && t->shape[1] % 32 == 0)
            make_four_bits(&p, t);
        else
            keep(&p, t);
    }
    assert_true(stacks > 0);
    same(&p, "gpt-oss", config, "\"quantization_config\":{\"quant_method\":\"mxfp4\"}");
    /* Activations are rounded to 8 bits for blocks, so the two are near and not equal. */
    double d = distance(snug_arena_printf(a, "%s/two.out", dir).ptr,
                        snug_arena_printf(a, "%s/one.out", dir).ptr);
    if (!(d < 0.02)) fail_msg("%g", d);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f8), cmocka_unit_test(test_f8_refused),
                                       cmocka_unit_test(test_four_bits)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
