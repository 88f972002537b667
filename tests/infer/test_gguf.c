/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_gguf.c - reference checkpoints written as GGUF and read again, types and mixes,
 * split files, and what must be refused by name. tests/clients/test_gguf.py lets llama.cpp read
 * the same files. */
#include "gguf_check.h"

static snug_status quantize(const char *from, const char *type, const char *to, snug_err *err)
{
    infer_quantize_opts o = {.type = snug_str(type)};
    infer_quantized     done;
    return infer_quantize(from, &o, to, &done, err);
}

static const char *folder(snug_arena *a, const char *name)
{
    return snug_arena_printf(a, "%s/%s", ROOT, name).ptr;
}

static const char *at(snug_arena *a, const char *name)
{
    return snug_arena_printf(a, "%s/%s", dir, name).ptr;
}

static double through_gguf(snug_arena *a, const char *name, const char *type)
{
    snug_err    err;
    const char *from = folder(a, name), *to = at(a, "model.gguf"), *out = at(a, "out.safetensors");
    const char *golden = snug_arena_printf(a, "%s/golden.safetensors", from).ptr;
    if (quantize(from, type, to, &err) != SNUG_OK) fail_msg("%s: %s", name, err.msg);
    forward(to, golden, out);
    return distance(golden, out);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const names[] = {"llama",
                                        "llama-rope-linear",
                                        "llama-rope-llama3",
                                        "llama-rope-yarn",
                                        "llama-sharded",
                                        "qwen2",
                                        "llama-tied-bias",
                                        "qwen3",
                                        "qwen2-moe",
                                        "gemma2",
                                        "gpt2",
                                        "gpt-neox",
                                        "bloom",
                                        "falcon",
                                        "gemma3-text",
                                        "phi3-longrope",
                                        "glm4",
                                        "t5",
                                        "llama-odd"};
    snug_arena              *a = snug_arena_new();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double d = through_gguf(a, names[i], "F32");
        if (!(d <= 1e-5)) fail_msg("%s: %g", names[i], d);
    }
    snug_arena_free(a);
}

/* Fewer bits, larger distance; and the same bytes whether F32 or the folder is quantized. */
static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        double      most;
    } types[] = {{"F16", 2e-3},   {"BF16", 2e-2},     {"Q8_0", 0.05},  {"Q5_1", 0.3},
                 {"Q5_0", 0.3},   {"Q4_1", 0.6},      {"Q4_0", 0.6},   {"Q6_K", 0.1},
                 {"Q5_K_M", 0.3}, {"Q5_K_S", 0.3},    {"Q4_K_M", 0.6}, {"Q4_K_S", 0.6},
                 {"Q3_K_L", 0.9}, {"Q3_K_M", 0.9},    {"Q3_K_S", 0.9}, {"Q2_K", 1.5},
                 {"Q2_K_S", 1.5}, {"MXFP4_MOE", 0.05}};
    snug_arena *a = snug_arena_new();
    snug_err    err;
    snug_slice  one, two;
    const char *f32 = at(a, "f32.gguf"), *again = at(a, "again.gguf");
    assert_int_equal(quantize(folder(a, "llama"), "F32", f32, &err), SNUG_OK);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        double d = through_gguf(a, "llama", types[i].type);
        if (!(d <= types[i].most)) fail_msg("%s: %g", types[i].type, d);
        assert_int_equal(quantize(f32, types[i].type, again, &err), SNUG_OK);
        assert_int_equal(snug_read_file(a, at(a, "model.gguf"), 1u << 26, &one, &err), SNUG_OK);
        assert_int_equal(snug_read_file(a, again, 1u << 26, &two, &err), SNUG_OK);
        assert_true(one.len == two.len && memcmp(one.ptr, two.ptr, one.len) == 0);
    }
    assert_int_equal(quantize(f32, "Q9_K", again, &err), SNUG_EINVAL);
    snug_arena_free(a);
}

/* ---- files that were changed ---- */

typedef struct file {
    snug_arena *a;
    snug_slice  bytes;
    codec_gguf  g;
} file;

static file open_gguf(snug_arena *a, const char *path)
{
    file     f = {.a = a};
    snug_err err;
    assert_int_equal(snug_read_file(a, path, 1u << 26, &f.bytes, &err), SNUG_OK);
    assert_int_equal(codec_gguf_parse(a, f.bytes, f.bytes.len, &f.g, &err), SNUG_OK);
    return f;
}

static void write_gguf(const file *f, const codec_gguf_kv *kvs, size_t kv_count,
                       const codec_gguf_tensor *tensors, size_t count, const char *path)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1u << 26);
    codec_gguf_tensor *copy = snug_arena_zalloc(f->a, (count + 1) * sizeof *copy);
    snug_err           err;
    if (count > 0) memcpy(copy, tensors, count * sizeof *copy);
    if (codec_gguf_write_header(kvs, kv_count, copy, count, &b, &err) != SNUG_OK)
        fail_msg("%s", err.msg);
    size_t start = b.len;
    for (size_t i = 0; i < count; i++) {
        while (b.len < start + copy[i].offset) snug_buf_putc(&b, '\0');
        snug_buf_put(&b, f->bytes.ptr + f->g.data_offset + tensors[i].offset,
                     (size_t)tensors[i].size);
    }
    while (b.len % 32 != 0) snug_buf_putc(&b, '\0');
    assert_int_equal(snug_write_file_atomic(path, snug_buf_slice(&b), 0644, &err), SNUG_OK);
}

static void refused(const char *path, snug_status want, const char *part)
{
    snug_err    err;
    tensor_dev *d;
    model      *m = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    snug_status st = model_open(path, SNUG_EMPTY, d, &m, &err);
    if (st != want || strstr(err.msg, part) == NULL)
        fail_msg("want %s and \"%s\", got %s: %s", snug_status_name(want), part,
                 snug_status_name(st), st == SNUG_OK ? "" : err.msg);
    tensor_dev_close(d);
}

static void test_missing_keys(void **state)
{
    (void)state;
    static const char *const needed[] = {
        "general.architecture",   "llama.block_count",
        "llama.embedding_length", "llama.attention.head_count",
        "llama.context_length",   "llama.attention.layer_norm_rms_epsilon"};
    snug_arena *a = snug_arena_new();
    snug_err    err;
    const char *path = at(a, "less.gguf");
    assert_int_equal(quantize(folder(a, "llama"), "F32", at(a, "f32.gguf"), &err), SNUG_OK);
    file           f = open_gguf(a, at(a, "f32.gguf"));
    codec_gguf_kv *kvs = snug_arena_zalloc(a, f.g.kv_count * sizeof *kvs);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        size_t n = 0;
        for (size_t k = 0; k < f.g.kv_count; k++)
            if (!snug_eq_str(f.g.kvs[k].key, needed[i])) kvs[n++] = f.g.kvs[k];
        write_gguf(&f, kvs, n, f.g.tensors, f.g.tensor_count, path);
        refused(path, SNUG_ECORRUPT, needed[i]);
    }
    snug_arena_free(a);
}

static void test_hostile_values(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t    v;
        snug_status want;
        const char *part;
    } cases[] = {
        {"llama.block_count", UINT32_MAX, SNUG_ELIMIT, "num_hidden_layers"},
        {"llama.block_count", 3, SNUG_ECORRUPT, "layers.2."},
        {"llama.attention.head_count", 0, SNUG_ECORRUPT, "head_count is 0"},
        {"llama.attention.head_count", UINT32_MAX, SNUG_ELIMIT, "num_attention_heads"},
        {"llama.attention.head_count_kv", 3, SNUG_EINVAL, "num_key_value_heads"},
        {"llama.attention.value_length", 5, SNUG_EUNSUPPORTED, "values"},
        {"llama.embedding_length", 1, SNUG_ECORRUPT, "is ["},
        {"llama.rope.dimension_count", 1 << 20, SNUG_ECORRUPT, "dimension_count"},
        {"llama.context_length", UINT32_MAX, SNUG_ELIMIT, "max_position_embeddings"},
        {"llama.expert_count", 8, SNUG_ECORRUPT, "expert_used_count"},
        {"llama.nextn_predict_layers", 9, SNUG_ECORRUPT, "predict"},
    };
    snug_arena *a = snug_arena_new();
    snug_err    err;
    const char *path = at(a, "hostile.gguf");
    assert_int_equal(quantize(folder(a, "llama"), "F32", at(a, "f32.gguf"), &err), SNUG_OK);
    file           f = open_gguf(a, at(a, "f32.gguf"));
    codec_gguf_kv *kvs = snug_arena_zalloc(a, (f.g.kv_count + 1) * sizeof *kvs);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        for (size_t k = 0; k < f.g.kv_count; k++)
            if (!snug_eq_str(f.g.kvs[k].key, cases[i].key)) kvs[n++] = f.g.kvs[k];
        kvs[n++] =
            (codec_gguf_kv){snug_str(cases[i].key), {.kind = CODEC_GGUF_U32, .v.u = cases[i].v}};
        write_gguf(&f, kvs, n, f.g.tensors, f.g.tensor_count, path);
        snug_err    e;
        tensor_dev *d;
        model      *m = NULL;
        assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
        snug_status st = model_open(path, SNUG_EMPTY, d, &m, &e);
        if (st == SNUG_OK || strstr(e.msg, cases[i].part) == NULL)
            fail_msg("%s=%llu: %s", cases[i].key, (unsigned long long)cases[i].v,
                     st == SNUG_OK ? "accepted" : e.msg);
        tensor_dev_close(d);
    }
    snug_arena_free(a);
}

static void test_names(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err;
    const char *path = at(a, "names.gguf");
    assert_int_equal(quantize(folder(a, "llama"), "F32", at(a, "f32.gguf"), &err), SNUG_OK);
    file f = open_gguf(a, at(a, "f32.gguf"));
    for (size_t i = 0; i < f.g.tensor_count; i++)
        if (snug_eq_str(f.g.tensors[i].name, "output_norm.weight"))
            f.g.tensors[i].name = SNUG_LIT("blk.0.mystery.weight");
    write_gguf(&f, f.g.kvs, f.g.kv_count, f.g.tensors, f.g.tensor_count, path);
    refused(path, SNUG_EUNSUPPORTED, "blk.0.mystery.weight");
    for (size_t i = 0; i < f.g.kv_count; i++)
        if (snug_eq_str(f.g.kvs[i].key, "general.architecture"))
            f.g.kvs[i].value.v.str = SNUG_LIT("abacus");
    write_gguf(&f, f.g.kvs, f.g.kv_count, f.g.tensors, f.g.tensor_count, path);
    refused(path, SNUG_EUNSUPPORTED, "abacus");
    snug_arena_free(a);
}

/* Two files, of which either stands for the model; a folder that holds only them. */
static void test_split(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err;
    const char *parts = at(a, "parts"), *out = at(a, "out.safetensors");
    const char *golden = snug_arena_printf(a, "%s/llama/golden.safetensors", ROOT).ptr;
    assert_int_equal(snug_mkdirs(parts, 0755, &err), SNUG_OK);
    assert_int_equal(quantize(folder(a, "llama"), "F32", at(a, "f32.gguf"), &err), SNUG_OK);
    file   f = open_gguf(a, at(a, "f32.gguf"));
    size_t half = f.g.tensor_count / 2;
    for (size_t i = 0; i < 2; i++) {
        codec_gguf_kv *kvs = snug_arena_zalloc(a, (f.g.kv_count + 3) * sizeof *kvs);
        size_t         n = 0;
        for (size_t k = 0; k < f.g.kv_count && i == 0; k++) kvs[n++] = f.g.kvs[k];
        kvs[n++] = (codec_gguf_kv){SNUG_LIT("split.no"), {.kind = CODEC_GGUF_U16, .v.u = i}};
        kvs[n++] = (codec_gguf_kv){SNUG_LIT("split.count"), {.kind = CODEC_GGUF_U16, .v.u = 2}};
        kvs[n++] = (codec_gguf_kv){SNUG_LIT("split.tensors.count"),
                                   {.kind = CODEC_GGUF_I32, .v.i = (int64_t)f.g.tensor_count}};
        write_gguf(&f, kvs, n, f.g.tensors + (i == 0 ? 0 : half),
                   i == 0 ? half : f.g.tensor_count - half,
                   snug_arena_printf(a, "%s/m-0000%zu-of-00002.gguf", parts, i + 1).ptr);
    }
    const char *const ways[] = {parts, snug_arena_printf(a, "%s/m-00001-of-00002.gguf", parts).ptr,
                                snug_arena_printf(a, "%s/m-00002-of-00002.gguf", parts).ptr};
    for (size_t i = 0; i < 3; i++) {
        forward(ways[i], golden, out);
        assert_true(distance(golden, out) <= 1e-5);
    }
    snug_arena_free(a);
}

/* A repository with several files: Q4_K_M before the first; no projectors. */
static void test_choice(void **state)
{
    (void)state;
    static const char *const names[] = {"a-mmproj-F16.gguf", "b-F16.gguf", "c-q4_k_m.gguf"};
    snug_arena              *a = snug_arena_new();
    snug_err                 err;
    const char              *many = at(a, "many");
    assert_int_equal(snug_mkdirs(many, 0755, &err), SNUG_OK);
    assert_null(model_find_gguf(a, many));
    for (size_t i = 0; i < 3; i++) {
        snug_slice path = snug_arena_printf(a, "%s/%s", many, names[i]);
        assert_int_equal(snug_write_file_atomic(path.ptr, SNUG_LIT("GGUF"), 0644, &err), SNUG_OK);
        const char *got = model_find_gguf(a, many);
        if (i == 0) assert_null(got);
        if (i > 0) assert_true(snug_ends_with(snug_str(got), names[i]));
    }
    snug_arena_free(a);
}

static void test_refused_writing(void **state)
{
    (void)state;
    static const struct {
        const char *name, *part;
    } cases[] = {{"llama-rope-dynamic", "depend on the length"},
                 {"bert-text-classification", "classifier"},
                 {"mpnet-feature-extraction", "MPNetModel"},
                 {"gemma3-bidirectional", "Gemma3TextModel"},
                 {"gemma3-vision", "sliding layers"}, /* two layers, the second one full */
                 {"falcon-rw", "ALiBi"},
                 {"falcon-new", "ln_"},
                 {"flan-t5-gated", "not scaled"}};
    snug_arena *a = snug_arena_new();
    snug_err    err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snug_status st = quantize(folder(a, cases[i].name), "F32", at(a, "never.gguf"), &err);
        if (st != SNUG_EUNSUPPORTED || strstr(err.msg, cases[i].part) == NULL)
            fail_msg("%s: %s", cases[i].name, st == SNUG_OK ? "written" : err.msg);
        assert_int_not_equal(access(at(a, "never.gguf"), F_OK), 0);
    }
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_types),
        cmocka_unit_test(test_missing_keys), cmocka_unit_test(test_hostile_values),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_split),
        cmocka_unit_test(test_choice),       cmocka_unit_test(test_refused_writing),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
