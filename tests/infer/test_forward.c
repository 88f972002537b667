/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_forward.c - files in, files out: reference checkpoints through
 * infer_forward_files, ids as JSON, and inputs that must be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "infer/infer_int.h"

static const char *const ROOT = SNUG_SOURCE_DIR "/tests/golden/model";
static char              dir[] = "/tmp/snug-forward-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return snug_remove_tree(dir, NULL) != SNUG_OK;
}

typedef struct loaded {
    snug_slice        file;
    codec_safetensors st;
} loaded;

static loaded load(snug_arena *a, const char *path)
{
    loaded   l;
    snug_err err;
    if (snug_read_file(a, path, 1u << 24, &l.file, &err) != SNUG_OK)
        fail_msg("%s %s", path, err.cause);
    if (codec_safetensors_parse(a, l.file, l.file.len, &l.st, &err) != SNUG_OK)
        fail_msg("%s", err.msg);
    return l;
}

static void same_outputs(snug_arena *a, const char *want_path, const char *got_path)
{
    /* As tests/model/test_goldens.c: the gated delta rule amplifies rounding. */
    bool   delta = strstr(want_path, "/qwen3-next") != NULL || strstr(want_path, "/qwen3.5") != NULL;
    double limit = delta ? 1e-4 : 1e-5;
    loaded want = load(a, want_path), got = load(a, got_path);
    size_t compared = 0;
    for (size_t i = 0; i < want.st.count; i++) {
        const codec_tensor *w = &want.st.tensors[i], *g = codec_safetensors_find(&got.st, w->name);
        if (!snug_starts_with(w->name, "out.")) continue;
        assert_non_null(g);
        assert_int_equal(g->dtype, CODEC_F32);
        assert_int_equal(g->rank, w->rank);
        for (unsigned k = 0; k < w->rank; k++) assert_int_equal(g->shape[k], w->shape[k]);
        double most = 0, diff = 0;
        for (size_t k = 0; k < w->size / 4; k++) {
            double x =
                codec_dtype_read(w->dtype, want.file.ptr + want.st.data_offset + w->offset, k);
            double y = codec_dtype_read(g->dtype, got.file.ptr + got.st.data_offset + g->offset, k);
            most = fmax(most, fabs(x));
            diff = fmax(diff, fabs(x - y));
        }
        if (diff > limit * most) fail_msg("%s: %.2g of the largest", want_path, diff / most);
        compared++;
    }
    assert_int_equal(compared, got.st.count);
}

static void one_case(const char *name, const char *stem, const char *how)
{
    snug_arena *a = snug_arena_new();
    snug_slice  folder = snug_arena_printf(a, "%s/%s", ROOT, name),
               in = snug_arena_printf(a, "%s/%s/%s.safetensors", ROOT, name, stem);
    snug_slice out = snug_arena_printf(a, "%s/out.safetensors", dir), text;
    snug_json  about;
    snug_err   err;
    SNUG_AUTO(snug_buf) ids = snug_buf_init(1u << 20), want = snug_buf_init(1u << 20);
    assert_int_equal(snug_read_file(a, snug_arena_printf(a, "%s/%s/%s.json", ROOT, name, stem).ptr,
                                    1u << 20, &text, NULL),
                     SNUG_OK);
    assert_int_equal(snug_json_parse(a, text, NULL, &about, NULL), SNUG_OK);
    snug_json  greedy = snug_json_get(snug_json_get(about, "generate"), how);
    snug_slice class_name = snug_json_str_or(about, "class", SNUG_EMPTY);
    if (infer_forward_files(folder.ptr, snug_arena_cstr(a, class_name), in.ptr, out.ptr,
                            snug_json_get(greedy, "args"), &ids, &err) != SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    same_outputs(a, in.ptr, out.ptr);
    if (snug_json_count(greedy) > 0) {
        snug_json_out o = snug_json_out_init(&want);
        snug_jo_value(&o, snug_json_get(greedy, "ids"));
        assert_string_equal(snug_buf_cstr(&ids), snug_buf_cstr(&want));
    } else {
        assert_int_equal(ids.len, 0);
    }
    snug_arena_free(a);
}

static void test_references(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"llama", "golden"},
        {"llama", "left"},
        {"llama", "right"},
        {"llama", "base"},
        {"llama-tied-bias", "golden"},
        {"llama-sharded", "golden"},
        {"llama-rope-dynamic", "long"},
        {"llama-rope-llama3", "positions"},
        {"llama-rope-yarn", "golden"},
        {"distilbert-fill-mask", "golden"},
        {"distilbert-fill-mask", "base"},
        {"distilbert-text-classification", "golden"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        one_case(cases[i][0], cases[i][1], "greedy");
}

/* Encoder-decoders: what is read is kept, what is written grows; beams share what was read. */
static void test_beams(void **state)
{
    (void)state;
    static const char *const names[] = {
        "t5", "flan-t5-gated", "bart", "marian", "m2m-100", "blenderbot", "blenderbot-small"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        one_case(names[i], "golden", "greedy");
        one_case(names[i], "golden", "beam4");
    }
    /* A state, too, goes where its beam goes. */
    static const char *const recurrent[] = {
        "mamba",      "mamba2",  "jamba",        "lfm2",         "nemotron-h", "granitemoehybrid",
        "qwen3-next", "qwen3.5", "falcon-mamba", "gemma3n-text", "gemma4-text"};
    for (size_t i = 0; i < sizeof recurrent / sizeof recurrent[0]; i++) {
        one_case(recurrent[i], "golden", "beam4");
        one_case(recurrent[i], "left", "greedy");
    }
    one_case("bart-text-classification", "golden", "greedy");
    one_case("gemma2", "golden", "greedy");
    one_case("qwen2-moe", "golden", "greedy");
    for (int i = 0; i < 4; i++) {
        char how[8];
        (void)snprintf(how, sizeof how, "beams%d", i);
        one_case("llama", "beams", how);
    }
}

/* ---- what is refused ---- */

static void put_file(const char *path, codec_tensor *list, size_t count, const void *data,
                     size_t size)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1u << 20);
    assert_int_equal(codec_safetensors_write_header(list, count, (snug_json){NULL}, &b, NULL),
                     SNUG_OK);
    snug_buf_put(&b, data, size);
    assert_int_equal(snug_write_file_atomic(path, snug_buf_slice(&b), 0600, NULL), SNUG_OK);
}

static void refused(const char *name, const char *class_name, codec_tensor *list, size_t count,
                    const void *data, size_t size, snug_status st, const char *msg)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    const char *in = snug_arena_printf(a, "%s/in.safetensors", dir).ptr,
               *out = snug_arena_printf(a, "%s/never.safetensors", dir).ptr;
    put_file(in, list, count, data, size);
    assert_int_equal(infer_forward_files(snug_arena_printf(a, "%s/%s", ROOT, name).ptr, class_name,
                                         in, out, (snug_json){NULL}, NULL, &err),
                     st);
    assert_true(snug_ends_with(snug_str(err.msg), msg));
    assert_int_not_equal(access(out, F_OK), 0);
    snug_arena_free(a);
}

static void test_refused(void **state)
{
    (void)state;
    const int64_t ids[4] = {7, 8, 9, 320};
    const float   half[2] = {1.0f, 2.5f};
    codec_tensor  t = {
         .name = SNUG_LIT("in.input_ids"), .dtype = CODEC_I64, .rank = 2, .shape = {1, 4}};
    refused("llama", NULL, &t, 1, ids, 32, SNUG_EINVAL,
            "token id 320 is outside the vocabulary of 320");
    t.shape[0] = 0;
    refused("llama", NULL, &t, 1, ids, 0, SNUG_EINVAL, "in.input_ids is empty");
    t = (codec_tensor){
        .name = SNUG_LIT("in.input_ids"), .dtype = CODEC_I64, .rank = 3, .shape = {1, 2, 2}};
    refused("llama", NULL, &t, 1, ids, 32, SNUG_EINVAL,
            "in.input_ids has 3 dimensions; [batch, tokens] is wanted");
    t = (codec_tensor){
        .name = SNUG_LIT("in.input_ids"), .dtype = CODEC_F32, .rank = 1, .shape = {2}};
    refused("llama", NULL, &t, 1, half, 8, SNUG_EINVAL,
            "in.input_ids holds 2.5, which is no 32-bit integer");
    t = (codec_tensor){
        .name = SNUG_LIT("in.pixel_values"), .dtype = CODEC_F32, .rank = 1, .shape = {2}};
    refused("llama", NULL, &t, 1, half, 8, SNUG_EUNSUPPORTED,
            "LlamaForCausalLM takes no in.pixel_values");
    t.name = SNUG_LIT("input_ids");
    refused("llama", NULL, &t, 1, half, 8, SNUG_EINVAL,
            "the input file has no tensor in.input_ids");
    codec_tensor two[2] = {
        {.name = SNUG_LIT("in.input_ids"), .dtype = CODEC_I64, .rank = 2, .shape = {1, 3}},
        {.name = SNUG_LIT("in.attention_mask"), .dtype = CODEC_I64, .rank = 2, .shape = {1, 1}}};
    refused("llama", NULL, two, 2, ids, 32, SNUG_EINVAL,
            "in.attention_mask is [1, 1]; the inputs before it are [1, 3]");
    t = (codec_tensor){
        .name = SNUG_LIT("in.input_ids"), .dtype = CODEC_I64, .rank = 2, .shape = {1, 3}};
    snug_arena *a = snug_arena_new();
    snug_slice  msg = snug_arena_printf(
         a, "loading %s/llama: the architecture \"RwkvForCausalLM\" is not supported", ROOT);
    refused("llama", "RwkvForCausalLM", &t, 1, ids, 24, SNUG_EUNSUPPORTED, msg.ptr);
    int64_t far[129] = {0};
    t.shape[1] = 129;
    refused("distilbert-fill-mask", NULL, &t, 1, far, sizeof far, SNUG_EINVAL,
            "129 tokens; DistilBertForMaskedLM reads at most 128");
    snug_arena_free(a);
}

static void test_padding_ids_are_hidden(void **state)
{
    (void)state;
    /* Without a mask the pad id 0 on the left is hidden while generating: the ids of the short
     * prompt follow. */
    const int64_t plain[3] = {17, 99, 230}, padded[5] = {0, 0, 17, 99, 230};
    snug_arena   *a = snug_arena_new();
    snug_json     args, got[2];
    const char   *in = snug_arena_printf(a, "%s/in.safetensors", dir).ptr,
               *out = snug_arena_printf(a, "%s/out.safetensors", dir).ptr;
    assert_int_equal(
        snug_json_parse(
            a, SNUG_LIT("{\"max_new_tokens\": 8, \"do_sample\": false, \"eos_token_id\": 2}"), NULL,
            &args, NULL),
        SNUG_OK);
    for (int i = 0; i < 2; i++) {
        SNUG_AUTO(snug_buf) ids = snug_buf_init(1u << 16);
        codec_tensor t = {.name = SNUG_LIT("in.input_ids"),
                          .dtype = CODEC_I64,
                          .rank = 2,
                          .shape = {1, i == 0 ? 3 : 5}};
        put_file(in, &t, 1, i == 0 ? plain : padded, t.shape[1] * 8);
        assert_int_equal(infer_forward_files(snug_arena_printf(a, "%s/llama", ROOT).ptr, NULL, in,
                                             out, args, &ids, NULL),
                         SNUG_OK);
        assert_int_equal(snug_json_parse(a, snug_buf_slice(&ids), NULL, &got[i], NULL), SNUG_OK);
    }
    for (size_t i = 0; i < 8; i++) {
        int64_t x = -1, y = -2;
        assert_true(snug_json_to_i64(snug_json_at(snug_json_at(got[0], 0), 3 + i), &x));
        assert_true(snug_json_to_i64(snug_json_at(snug_json_at(got[1], 0), 5 + i), &y));
        assert_int_equal(x, y);
    }
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_beams),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_padding_ids_are_hidden),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
