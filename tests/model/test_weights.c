/* SPDX-License-Identifier: Apache-2.0 */
/* tests/model/test_weights.c - checkpoints as they are found: names without prefix, old names,
 * other element types, ties, and the damaged ones that must be refused. Each is made from a
 * tiny DistilBERT. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "codec/codec.h"
#include "model/model.h"

enum { E = 6, INNER = 10, V = 11, P = 8, TENSORS_MAX = 64 };

/* A checkpoint in memory: name, shape; values come from the name, so order does not matter. */
typedef struct file {
    snug_arena  *a;
    codec_tensor t[TENSORS_MAX];
    size_t       count;
} file;

static char        dir[] = "/tmp/snug-weights-XXXXXX";
static tensor_dev *dev;

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) return 1;
    return tensor_dev_open(tensor_backend_best(), 1, &dev, NULL) != SNUG_OK;
}

static int remove_dir(void **state)
{
    (void)state;
    tensor_dev_close(dev);
    return snug_remove_tree(dir, NULL) != SNUG_OK;
}

static void add(file *f, const char *name, unsigned rank, size_t d0, size_t d1)
{
    assert_true(f->count < TENSORS_MAX);
    f->t[f->count++] = (codec_tensor){.name = snug_arena_dup(f->a, snug_str(name)),
                                      .dtype = CODEC_F32,
                                      .rank = rank,
                                      .shape = {d0, d1}};
}

static void add_pair(file *f, const char *prefix, const char *name, size_t in, size_t out)
{
    add(f, snug_arena_printf(f->a, "%s%s.weight", prefix, name).ptr, in == 0 ? 1 : 2, out, in);
    add(f, snug_arena_printf(f->a, "%s%s.bias", prefix, name).ptr, 1, out, 0);
}

static file distil(const char *prefix)
{
    file f = {.a = snug_arena_new()};
    add(&f, snug_arena_printf(f.a, "%sembeddings.word_embeddings.weight", prefix).ptr, 2, V, E);
    add(&f, snug_arena_printf(f.a, "%sembeddings.position_embeddings.weight", prefix).ptr, 2, P, E);
    add_pair(&f, prefix, "embeddings.LayerNorm", 0, E);
    static const char *const square[] = {"q_lin", "k_lin", "v_lin", "out_lin"};
    for (size_t i = 0; i < 4; i++)
        add_pair(&f, prefix,
                 snug_arena_printf(f.a, "transformer.layer.0.attention.%s", square[i]).ptr, E, E);
    add_pair(&f, prefix, "transformer.layer.0.sa_layer_norm", 0, E);
    add_pair(&f, prefix, "transformer.layer.0.ffn.lin1", E, INNER);
    add_pair(&f, prefix, "transformer.layer.0.ffn.lin2", INNER, E);
    add_pair(&f, prefix, "transformer.layer.0.output_layer_norm", 0, E);
    add_pair(&f, "", "vocab_transform", E, E);
    add_pair(&f, "", "vocab_layer_norm", 0, E);
    add(&f, "vocab_projector.bias", 1, V, 0);
    return f;
}

static codec_tensor *named(file *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (snug_eq_str(f->t[i].name, name)) return &f->t[i];
    fail_msg("no %s", name);
    return NULL;
}

/* A number from the name's last parts and the index; halves, so that every float type holds it. */
static double number(snug_slice name, size_t i)
{
    size_t at = snug_find(name, SNUG_LIT("embeddings")), h = 7;
    if (at == SIZE_MAX) at = snug_find(name, SNUG_LIT("transformer"));
    if (at == SIZE_MAX) at = 0;
    for (size_t k = at; k < name.len; k++) h = h * 31 + (unsigned char)name.ptr[k];
    return (double)((h + i * 2654435761u) % 17) / 8.0 - 1.0;
}

static void put_number(codec_dtype t, void *p, size_t i, double v)
{
    switch (t) {
    case CODEC_F64: ((double *)p)[i] = v; break;
    case CODEC_F16: ((uint16_t *)p)[i] = tensor_f32_to_f16((float)v); break;
    case CODEC_BF16: ((uint16_t *)p)[i] = tensor_f32_to_bf16((float)v); break;
    case CODEC_I32: ((int32_t *)p)[i] = 1; break;
    default: ((float *)p)[i] = (float)v; break;
    }
}

/* Old norm names carry the same values as new ones. */
static snug_slice modern(snug_arena *a, snug_slice name)
{
    if (snug_ends_with(name, ".gamma"))
        return snug_arena_printf(a, "%.*s.weight", (int)name.len - 6, name.ptr);
    if (snug_ends_with(name, ".beta"))
        return snug_arena_printf(a, "%.*s.bias", (int)name.len - 5, name.ptr);
    return name;
}

static void write_weights(file *f, const char *name, size_t from, size_t count)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1u << 20);
    assert_int_equal(
        codec_safetensors_write_header(f->t + from, count, (snug_json){NULL}, &b, NULL), SNUG_OK);
    for (size_t i = from; i < from + count; i++) {
        char data[8192];
        assert_true(f->t[i].size <= sizeof data);
        size_t n = f->t[i].size * 8 / codec_dtype_bits(f->t[i].dtype);
        for (size_t k = 0; k < n; k++)
            put_number(f->t[i].dtype, data, k, number(modern(f->a, f->t[i].name), k));
        snug_buf_put(&b, data, f->t[i].size);
    }
    assert_int_equal(snug_write_file_atomic(snug_arena_printf(f->a, "%s/%s", dir, name).ptr,
                                            snug_buf_slice(&b), 0600, NULL),
                     SNUG_OK);
}

static void write_text(file *f, const char *name, const char *text)
{
    assert_int_equal(snug_write_file_atomic(snug_arena_printf(f->a, "%s/%s", dir, name).ptr,
                                            snug_str(text), 0600, NULL),
                     SNUG_OK);
}

static void drop(file *f, const char *name)
{
    (void)remove(snug_arena_printf(f->a, "%s/%s", dir, name).ptr);
}

static void write_config(file *f, const char *more)
{
    snug_slice text =
        snug_arena_printf(f->a,
                          "{\"architectures\": [\"DistilBertForMaskedLM\"], \"vocab_size\": %d, "
                          "\"dim\": %d, \"hidden_dim\": %d, "
                          "\"n_layers\": 1, \"n_heads\": 2, \"max_position_embeddings\": %d%s}",
                          V, E, INNER, P, more);
    write_text(f, "config.json", text.ptr);
}

/* Loads the folder, runs three tokens and copies the logits. */
static snug_status logits(float out[3 * V], snug_err *err)
{
    static const int32_t ids[3] = {1, 10, 4};
    model               *m = NULL;
    model_out            o;
    snug_status          st = model_open(dir, SNUG_EMPTY, dev, &m, err);
    if (st == SNUG_OK)
        st = model_forward(m, &(model_batch){.batch = 1, .times = 3, .ids = ids}, &o, err);
    if (st == SNUG_OK)
        st = tensor_get(model_out_find(&o, "logits"), out, 3 * V * sizeof(float), err);
    model_close(m);
    return st;
}

static void want_same(const float *x, const float *y)
{
    for (size_t i = 0; i < 3 * V; i++)
        assert_true(fabsf(x[i] - y[i]) <= 1e-6f * (1.0f + fabsf(x[i])));
}

static void test_found_forms(void **state)
{
    (void)state;
    float    plain[3 * V], other[3 * V];
    snug_err err;
    file     f = distil("distilbert.");
    write_config(&f, "");
    write_weights(&f, "model.safetensors", 0, f.count);
    if (logits(plain, &err) != SNUG_OK) fail_msg("%s", err.msg);
    assert_true(isfinite(plain[0]));
    /* The body was saved alone: no prefix. */
    file bare = distil("");
    write_weights(&bare, "model.safetensors", 0, bare.count);
    assert_int_equal(logits(other, &err), SNUG_OK);
    want_same(plain, other);
    /* Norms by their old names; element types that are converted or computed with. */
    file old = distil("distilbert.");
    for (size_t i = 0; i < old.count; i++) {
        if (snug_ends_with(old.t[i].name, "LayerNorm.weight"))
            old.t[i].name = SNUG_LIT("distilbert.embeddings.LayerNorm.gamma");
        if (snug_ends_with(old.t[i].name, "LayerNorm.bias"))
            old.t[i].name = SNUG_LIT("distilbert.embeddings.LayerNorm.beta");
        old.t[i].dtype = i % 4 == 0   ? CODEC_F64
                         : i % 4 == 1 ? CODEC_F16
                         : i % 4 == 2 ? CODEC_BF16
                                      : CODEC_F32;
    }
    write_weights(&old, "model.safetensors", 0, old.count);
    if (logits(other, &err) != SNUG_OK) fail_msg("%s", err.msg);
    want_same(plain, other);
    /* A stored copy of tied embeddings is ignored, even a wrong one; untied it counts. */
    file tied = distil("distilbert.");
    add(&tied, "vocab_projector.weight", 2, V, E);
    write_weights(&tied, "model.safetensors", 0, tied.count);
    assert_int_equal(logits(other, &err), SNUG_OK);
    want_same(plain, other);
    write_config(&f, ", \"tie_word_embeddings\": false");
    assert_int_equal(logits(other, &err), SNUG_OK);
    assert_true(fabsf(plain[1] - other[1]) > 1e-3f);
    snug_arena_free(f.a), snug_arena_free(bare.a), snug_arena_free(old.a), snug_arena_free(tied.a);
}

/* Loads what is there, which must fail so. */
static void fails(file *f, snug_status st, const char *named)
{
    float       out[3 * V];
    snug_err    err = {0};
    snug_status got = logits(out, &err);
    if (got != st || strstr(err.msg, named) == NULL)
        fail_msg("%s: %s does not name %s", snug_status_name(got), err.msg, named);
    snug_arena_free(f->a);
}

static void test_damaged(void **state)
{
    (void)state;
    file f = distil("distilbert.");
    write_config(&f, "");
    named(&f, "distilbert.transformer.layer.0.ffn.lin1.bias")->name = SNUG_LIT("elsewhere");
    write_weights(&f, "model.safetensors", 0, f.count);
    fails(&f, SNUG_ECORRUPT, "distilbert.transformer.layer.0.ffn.lin1.bias is missing");
    f = distil("distilbert.");
    named(&f, "distilbert.transformer.layer.0.ffn.lin1.weight")->shape[1] = E + 1;
    write_weights(&f, "model.safetensors", 0, f.count);
    fails(&f, SNUG_ECORRUPT, "lin1.weight is [10, 7]; the configuration asks for [10, 6]");
    f = distil("distilbert.");
    named(&f, "vocab_projector.bias")->dtype = CODEC_I32;
    write_weights(&f, "model.safetensors", 0, f.count);
    fails(&f, SNUG_EUNSUPPORTED, "vocab_projector.bias is stored as I32");
    f = distil("distilbert.");
    write_config(&f, ", \"tie_word_embeddings\": false");
    write_weights(&f, "model.safetensors", 0, f.count);
    fails(&f, SNUG_ECORRUPT, "vocab_projector.weight is missing");
    f = distil("distilbert.");
    write_config(&f, "");
    write_text(&f, "model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}");
    fails(&f, SNUG_ECORRUPT, "model.safetensors");
    f = distil("distilbert.");
    drop(&f, "model.safetensors");
    fails(&f, SNUG_ENOTFOUND, "model.safetensors.index.json");
    f = distil("distilbert.");
    write_text(&f, "config.json", "{\"architectures\": ");
    fails(&f, SNUG_EINVAL, "");
    f = distil("distilbert.");
    write_config(&f, "");
    snug_arena_free(f.a);
}

/* An index over two shards; `twist` replaces one entry. */
static void write_sharded(file *f, size_t cut, const char *name, const char *twist)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1u << 16);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "weight_map");
    snug_jo_begin_object(&o);
    for (size_t i = 0; i < f->count; i++) {
        snug_jo_key_slice(&o, f->t[i].name);
        if (name != NULL && snug_eq_str(f->t[i].name, name))
            snug_jo_cstr(&o, twist);
        else
            snug_jo_cstr(&o, i < cut ? "model-00001-of-00002.safetensors"
                                     : "model-00002-of-00002.safetensors");
    }
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    write_text(f, "model.safetensors.index.json", snug_buf_cstr(&b));
    write_weights(f, "model-00001-of-00002.safetensors", 0, cut);
    write_weights(f, "model-00002-of-00002.safetensors", cut, f->count - cut);
}

static void test_shards(void **state)
{
    (void)state;
    float    whole[3 * V], parts[3 * V];
    snug_err err;
    file     f = distil("distilbert.");
    write_config(&f, "");
    write_weights(&f, "model.safetensors", 0, f.count);
    assert_int_equal(logits(whole, &err), SNUG_OK);
    drop(&f, "model.safetensors");
    write_sharded(&f, 9, NULL, NULL);
    if (logits(parts, &err) != SNUG_OK) fail_msg("%s", err.msg);
    want_same(whole, parts);
    static const char *const twists[] = {"../../etc/passwd", "/etc/passwd", ".hidden", "",
                                         "sub/model.safetensors"};
    for (size_t i = 0; i < 5; i++) {
        write_sharded(&f, 9, "vocab_projector.bias", twists[i]);
        assert_int_equal(logits(parts, &err), SNUG_ECORRUPT);
        assert_non_null(strstr(err.msg, "the index names a file"));
    }
    write_sharded(&f, 9, "vocab_projector.bias", "model-00001-of-00002.safetensors");
    assert_int_equal(logits(parts, &err), SNUG_ECORRUPT);
    assert_non_null(strstr(err.msg, "does not hold \"vocab_projector.bias\""));
    write_sharded(&f, 9, "vocab_projector.bias", "model-00003-of-00002.safetensors");
    assert_int_not_equal(logits(parts, &err), SNUG_OK);
    write_text(&f, "model.safetensors.index.json", "{\"weight_map\": [1]}");
    assert_int_equal(logits(parts, &err), SNUG_ECORRUPT);
    snug_arena_free(f.a);
}

static void test_forward_gate(void **state)
{
    (void)state;
    snug_err  err;
    model    *m = NULL;
    model_out o;
    nn_kv    *kv = NULL;
    file      f = distil("distilbert.");
    write_config(&f, "");
    write_weights(&f, "model.safetensors", 0, f.count);
    assert_int_equal(model_open(dir, SNUG_EMPTY, dev, &m, &err), SNUG_OK);
    const int32_t ids[P + 1] = {0}, bad[1] = {V}, neg[1] = {-1}, at[1] = {P};
    assert_int_equal(model_forward(m, &(model_batch){.batch = 1, .times = P, .ids = ids}, &o, &err),
                     SNUG_OK);
    assert_int_equal(
        model_forward(m, &(model_batch){.batch = 1, .times = P + 1, .ids = ids}, &o, &err),
        SNUG_EINVAL);
    assert_int_equal(model_forward(m, &(model_batch){.batch = 1, .times = 1, .ids = bad}, &o, &err),
                     SNUG_EINVAL);
    assert_int_equal(model_forward(m, &(model_batch){.batch = 1, .times = 1, .ids = neg}, &o, &err),
                     SNUG_EINVAL);
    assert_int_equal(
        model_forward(m, &(model_batch){.batch = 1, .times = 1, .ids = ids, .positions = at}, &o,
                      &err),
        SNUG_EINVAL);
    assert_int_equal(model_forward(m, &(model_batch){.batch = 0, .times = 1, .ids = ids}, &o, &err),
                     SNUG_EINVAL);
    assert_int_equal(
        model_forward(m, &(model_batch){.batch = SIZE_MAX, .times = 2, .ids = ids}, &o, &err),
        SNUG_ELIMIT);
    assert_int_equal(model_new_kv(m, 1, 8, &kv, &err), SNUG_EUNSUPPORTED);
    assert_null(kv);
    /* Every weight once: the tied matrix is not counted twice. */
    size_t bytes = 0;
    for (size_t i = 0; i < f.count; i++) bytes += f.t[i].size;
    assert_int_equal(model_weight_bytes(m), bytes);
    model_close(m);
    snug_arena_free(f.a);
}

/* DeepSeek V3.2 past the tokens it attends to all of. */
static void test_keys_limit(void **state)
{
    (void)state;
    model    *m = NULL;
    nn_kv    *kv = NULL;
    model_out out;
    snug_err  err;
    int32_t   ids[33] = {0};
    if (model_open(SNUG_SOURCE_DIR "/tests/golden/model/deepseek-v32", SNUG_EMPTY, dev, &m, &err) !=
        SNUG_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(model_new_kv(m, 1, 40, &kv, &err), SNUG_OK);
    model_batch in = {.batch = 1, .times = 32, .ids = ids, .kv = kv};
    assert_int_equal(model_forward(m, &in, &out, &err), SNUG_OK);
    in.times = 1;
    assert_int_equal(model_forward(m, &in, &out, &err), SNUG_EUNSUPPORTED);
    in.times = 33, in.kv = NULL;
    assert_int_equal(model_forward(m, &in, &out, &err), SNUG_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "past 32 DeepseekV32ForCausalLM"));
    nn_kv_free(kv);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_forms),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_forward_gate), cmocka_unit_test(test_shards),
        cmocka_unit_test(test_keys_limit),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
