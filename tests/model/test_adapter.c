/* SPDX-License-Identifier: Apache-2.0 */
/* tests/model/test_adapter.c - adapters that peft wrote: over a model, and merged into one; what is
 * refused. Each folder of tests/golden/adapter holds inputs and the logits peft computes. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "codec/codec.h"
#include "model/model.h"
#include "model/pattern.h"

static const char *const ROOT = SNUG_SOURCE_DIR "/tests/golden/adapter";
static char              dir[64];
static snug_arena       *a;

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/snug-adapter-XXXXXX");
    a = snug_arena_new();
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int drop_dir(void **state)
{
    (void)state;
    snug_arena_free(a);
    return snug_remove_tree(dir, NULL) == SNUG_OK ? 0 : -1;
}

static const char *path(const char *x, const char *y)
{
    return snug_arena_printf(a, "%s/%s", x, y).ptr;
}

static const char *base_of(const char *name)
{
    return snug_arena_printf(a, "%s/base-%s", ROOT, name).ptr;
}

/* The largest difference of a model's logits from an adapter's reference, by the largest of them.
 */
static double distance(const char *base, const char *adapter, const char *name)
{
    tensor_dev       *d = NULL;
    model            *m = NULL;
    snug_slice        file;
    codec_safetensors st;
    model_out         out;
    snug_err          err;
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    if (model_open_adapted(base, adapter, SNUG_EMPTY, d, &m, &err) != SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    assert_int_equal(
        snug_read_file(a, path(path(ROOT, name), "golden.safetensors"), 1u << 24, &file, NULL),
        SNUG_OK);
    assert_int_equal(codec_safetensors_parse(a, file, file.len, &st, NULL), SNUG_OK);
    const codec_tensor *in = codec_safetensors_find(&st, SNUG_LIT("in.input_ids")),
                       *want = codec_safetensors_find(&st, SNUG_LIT("out.logits"));
    size_t   n = (size_t)(in->shape[0] * in->shape[1]), count = (size_t)(want->size / 4);
    int32_t *ids = snug_arena_alloc(a, n * sizeof *ids);
    float   *have = snug_alloc(want->size);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)codec_dtype_read(in->dtype, file.ptr + st.data_offset + in->offset, i);
    model_batch batch = {.batch = in->shape[0], .times = in->shape[1], .ids = ids};
    if (model_forward(m, &batch, &out, &err) != SNUG_OK) fail_msg("%s", err.msg);
    const tensor *logits = model_out_find(&out, "logits");
    assert_int_equal(tensor_size(logits), want->size);
    assert_int_equal(tensor_get(logits, have, want->size, NULL), SNUG_OK);
    double most = 0, diff = 0;
    for (size_t i = 0; i < count; i++) {
        double w = codec_dtype_read(want->dtype, file.ptr + st.data_offset + want->offset, i);
        most = fmax(most, fabs(w));
        diff = fmax(diff, fabs(w - (double)have[i]));
    }
    free(have);
    model_close(m);
    tensor_dev_close(d);
    return diff / most;
}

static const struct {
    const char *name, *base;
} adapters[] = {
    {"lora", "llama"},
    {"lora-all", "llama"},
    {"rslora", "llama"},
    {"dora", "llama"},
    {"patterns", "llama"},
    {"modules-to-save", "llama"},
    {"bias-all", "llama-tied-bias"},
    {"bias-lora-only", "llama-tied-bias"},
    {"lora-bias", "llama-tied-bias"},
    {"tied-embeddings", "llama-tied-bias"},
    {"tied-head-saved", "llama-tied-bias"},
    {"gpt2", "gpt2"},
    {"gpt2-dora", "gpt2"},
};

static void test_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        const char *base = base_of(adapters[i].base), *adapter = path(ROOT, adapters[i].name);
        double      off = distance(base, adapter, adapters[i].name);
        print_message("%s: %.2g of the largest\n", adapters[i].name, off);
        assert_true(off <= 1e-5);
        assert_true(distance(base, NULL, adapters[i].name) > 1e-3); /* it does something */
    }
}

static const codec_tensor *find_merged(const char *folder, snug_slice name, snug_slice *bytes)
{
    const char    *file = NULL;
    struct dirent *e;
    DIR           *d = opendir(folder);
    while ((e = readdir(d)) != NULL) {
        codec_safetensors *st = SNUG_NEW(a, codec_safetensors);
        snug_slice         all;
        if (!snug_ends_with(snug_str(e->d_name), ".safetensors")) continue;
        file = snug_arena_printf(a, "%s/%s", folder, e->d_name).ptr;
        assert_int_equal(snug_read_file(a, file, 1u << 24, &all, NULL), SNUG_OK);
        assert_int_equal(codec_safetensors_parse(a, all, all.len, st, NULL), SNUG_OK);
        const codec_tensor *t = codec_safetensors_find(st, name);
        if (t == NULL) continue;
        (void)closedir(d);
        *bytes = snug_sub(all, (size_t)(st->data_offset + t->offset), (size_t)t->size);
        return t;
    }
    (void)closedir(d);
    fail_msg("%.*s was not merged", SNUG_SLICE(name));
    return NULL;
}

/* merged.safetensors holds what peft's own merge made of the weights it changed. */
static void compare_merged(const char *name, const char *folder)
{
    codec_safetensors want;
    snug_slice        all, bytes;
    const char       *file = path(ROOT, snug_arena_printf(a, "%s/merged.safetensors", name).ptr);
    if (access(file, F_OK) != 0) return;
    assert_int_equal(snug_read_file(a, file, 1u << 24, &all, NULL), SNUG_OK);
    assert_int_equal(codec_safetensors_parse(a, all, all.len, &want, NULL), SNUG_OK);
    assert_true(want.count > 0);
    for (size_t i = 0; i < want.count; i++) {
        const codec_tensor *w = &want.tensors[i], *t = find_merged(folder, w->name, &bytes);
        const char         *p = all.ptr + want.data_offset + w->offset;
        double              most = 0.0, off = 0.0;
        assert_true(t->dtype == CODEC_F32 && t->size == w->size && t->rank == w->rank);
        assert_memory_equal(t->shape, w->shape, w->rank * sizeof *w->shape);
        for (size_t k = 0; k < w->size / 4; k++) {
            double x = codec_dtype_read(CODEC_F32, p, k);
            most = fmax(most, fabs(x));
            off = fmax(off, fabs(x - codec_dtype_read(CODEC_F32, bytes.ptr, k)));
        }
        if (!(off <= 1e-6 * most)) fail_msg("%.*s: %g", SNUG_SLICE(w->name), off / most);
    }
}

static void test_merged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        const char *base = base_of(adapters[i].base), *adapter = path(ROOT, adapters[i].name),
                   *out = path(dir, adapters[i].name);
        model_merged done;
        snug_err     err;
        uint64_t     shard = i % 2 == 0 ? 0 : 20000;
        if (model_merge(base, adapter, shard, out, &done, &err) != SNUG_OK) fail_msg("%s", err.msg);
        assert_true(shard == 0 ? done.files == 1 : done.files > 2);
        assert_int_equal(
            access(path(out, shard == 0 ? "model.safetensors" : "model.safetensors.index.json"),
                   F_OK),
            0);
        assert_int_equal(access(path(out, "generation_config.json"), F_OK), 0);
        assert_true(distance(out, NULL, adapters[i].name) <= 1e-5);
        compare_merged(adapters[i].name, out);
        assert_int_equal(model_merge(base, adapter, shard, out, &done, &err), SNUG_ECONFLICT);
    }
}

/* ---- what is refused ---- */

static void refused(const char *config, snug_status want, const char *named)
{
    snug_err    err = {0};
    tensor_dev *d = NULL;
    model      *m = NULL;
    snug_slice  file;
    const char *bad = path(dir, "bad");
    (void)mkdir(bad, 0700);
    assert_int_equal(
        snug_read_file(a, path(ROOT, "lora/adapter_model.safetensors"), 1u << 24, &file, NULL),
        SNUG_OK);
    assert_int_equal(
        snug_write_file_atomic(path(bad, "adapter_model.safetensors"), file, 0600, NULL), SNUG_OK);
    assert_int_equal(
        snug_write_file_atomic(path(bad, "adapter_config.json"), snug_str(config), 0600, NULL),
        SNUG_OK);
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    assert_int_equal(model_open_adapted(base_of("llama"), bad, SNUG_EMPTY, d, &m, &err), want);
    if (strstr(err.msg, named) == NULL) fail_msg("\"%s\" does not name %s", err.msg, named);
    tensor_dev_close(d);
}

static void test_refused(void **state)
{
    (void)state;
    refused("{\"peft_type\": \"IA3\"}", SNUG_EUNSUPPORTED, "IA3");
    refused("{\"peft_type\": \"LORA\", \"use_qalora\": true}", SNUG_EUNSUPPORTED, "use_qalora");
    refused("{\"peft_type\": \"LORA\", \"trainable_token_indices\": [1]}", SNUG_EUNSUPPORTED,
            "trainable_token_indices");
    refused("{\"peft_type\": \"LORA\", \"layer_replication\": [[0, 1]]}", SNUG_EUNSUPPORTED,
            "layer_replication");
    refused("{\"peft_type\": \"LORA\", \"new_switch\": 3}", SNUG_EUNSUPPORTED, "new_switch");
    refused("{\"peft_type\": \"LORA\", \"init_lora_weights\": \"pissa\"}", SNUG_EUNSUPPORTED,
            "pissa");
    refused("{\"peft_type\": \"LORA\", \"use_dora\": true}", SNUG_ECORRUPT, "magnitudes");
    refused("{\"peft_type\": \"LORA\", \"lora_alpha\": \"much\"}", SNUG_EINVAL, "lora_alpha");
    refused("{\"peft_type\": \"LORA\", \"alpha_pattern\": {\"(a\": 1}}", SNUG_EUNSUPPORTED, "(a");
    refused("{\"peft_type\": \"LORA\", \"alpha_pattern\": {\"q_proj\": \"x\"}}", SNUG_EINVAL,
            "alpha_pattern");
}

/* ---- patterns ---- */

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool        tail, want;
    } cases[] = {
        {"q_proj", "model.layers.0.self_attn.q_proj", true, true},
        {"q_proj", "model.layers.0.self_attn.q_proj", false, false},
        {"proj", "self_attn.q_proj", true, false},
        {"^model.*q_proj", "model.layers.0.self_attn.q_proj", true, true},
        {"^layers.*q_proj", "model.layers.0.self_attn.q_proj", true, false},
        {"layers\\.[1-9]\\..*", "model.layers.1.mlp.up_proj", true, true},
        {"layers\\.[1-9]\\..*", "model.layers.0.mlp.up_proj", true, false},
        {"layers\\.\\d+\\.(self_attn\\.(q|k)|mlp\\.up)_proj", "layers.12.self_attn.k_proj", true,
         true},
        {"layers\\.\\d+\\.(self_attn\\.(q|k)|mlp\\.up)_proj", "layers.12.self_attn.v_proj", true,
         false},
        {"layers.(?:0|2)..*(q|v)_proj$", "model.layers.2.self_attn.v_proj", true, true},
        {"a{2,3}b?c+", "aaacc", false, true},
        {"a{2}b", "aaab", false, false},
        {"[^abc]x", "dx", false, true},
        {"[^abc]x", "ax", false, false},
        {"(ab|a)(bc)?", "abc", false, true},
        {"", "", false, true},
    };
    bool     hit;
    snug_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pattern_match(snug_str(cases[i].pattern), snug_str(cases[i].text),
                                       cases[i].tail, &hit, &err),
                         SNUG_OK);
        if (hit != cases[i].want) fail_msg("\"%s\" on \"%s\"", cases[i].pattern, cases[i].text);
    }
    static const char *const bad[] = {"(", "a)", "[a", "\\b", "*a", "(?=a)b", "a{x}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pattern_match(snug_str(bad[i]), SNUG_LIT("aab"), false, &hit, &err),
                         SNUG_EUNSUPPORTED);
    /* One that would take for ever is given up. */
    assert_int_equal(pattern_match(SNUG_LIT("(a*)*(a*)*(a*)*b"),
                                   SNUG_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), false,
                                   &hit, &err),
                     SNUG_EUNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_over), cmocka_unit_test(test_merged),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_patterns)};
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
