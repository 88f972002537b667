/* SPDX-License-Identifier: Apache-2.0 */
/* tests/model/test_nested.c - models that also see, as texts: what is refused, and by which name.
 * What they compute is in test_goldens.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/base.h"
#include "model/model.h"

static const char *const ROOT = SNUG_SOURCE_DIR "/tests/golden/model";
static char              dir[] = "/tmp/snug-nested-XXXXXX";
static snug_arena       *a;
static snug_err          err;

static int make_dir(void **state)
{
    (void)state;
    a = snug_arena_new();
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    snug_arena_free(a);
    return snug_remove_tree(dir, NULL) != SNUG_OK;
}

/* A file of a reference folder with every `from` made `to`, which is as long. */
static void put(const char *folder, const char *name, const char *from, const char *to)
{
    snug_slice text;
    size_t     n = strlen(from);
    assert_int_equal(strlen(to), n);
    assert_int_equal(snug_read_file(a, snug_arena_printf(a, "%s/%s/%s", ROOT, folder, name).ptr,
                                    1u << 24, &text, &err),
                     SNUG_OK);
    char *copy = snug_arena_alloc(a, text.len);
    memcpy(copy, text.ptr, text.len);
    for (size_t i = 0; n > 0 && i + n <= text.len; i++)
        if (memcmp(copy + i, from, n) == 0) memcpy(copy + i, to, n);
    assert_int_equal(snug_write_file_atomic(snug_arena_printf(a, "%s/%s", dir, name).ptr,
                                            snug_slice_of(copy, text.len), 0600, &err),
                     SNUG_OK);
}

static void put_config(const char *text)
{
    assert_int_equal(snug_write_file_atomic(snug_arena_printf(a, "%s/config.json", dir).ptr,
                                            snug_str(text), 0600, &err),
                     SNUG_OK);
}

static snug_status try_open(void)
{
    tensor_dev *d = NULL;
    model      *m = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    snug_status st = model_open(dir, SNUG_EMPTY, d, &m, &err);
    model_close(m);
    tensor_dev_close(d);
    return st;
}

static void says(const char *part)
{
    if (strstr(err.msg, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
}

static void test_weights(void **state)
{
    (void)state;
    put("qwen3.5-vision", "config.json", "", "");
    put("qwen3.5-vision", "model.safetensors", "", "");
    assert_int_equal(try_open(), SNUG_OK);
    put("qwen3.5-vision", "model.safetensors", "model.visual.", "model.visuel.");
    assert_int_equal(try_open(), SNUG_EUNSUPPORTED);
    says("model.visuel.");
    put("qwen3.5-vision", "model.safetensors", "model.language_model.norm",
        "model.language_model.morn");
    assert_int_equal(try_open(), SNUG_ECORRUPT);
    says("model.norm.weight is missing");
}

static void test_config(void **state)
{
    (void)state;
    model_shape s;
    put_config("{\"architectures\": [\"Gemma3ForConditionalGeneration\"]}");
    assert_int_equal(model_peek(a, dir, &s, &err), SNUG_EINVAL);
    says("text_config");
    put_config("{\"architectures\": [\"LlavaForConditionalGeneration\"], \"model_type\": "
               "\"llava\", \"text_config\": {}}");
    assert_int_equal(model_peek(a, dir, &s, &err), SNUG_OK);
    assert_string_equal(s.class_name, "LlamaForCausalLM");
    assert_string_equal(s.wrapper, "LlavaForConditionalGeneration");
    assert_int_equal(s.hidden, 4096); /* keys of old files are the first Llama's */
    put_config("{\"architectures\": [\"LlavaForConditionalGeneration\"], \"text_config\": "
               "{\"model_type\": \"bert\"}}");
    assert_int_equal(model_peek(a, dir, &s, &err), SNUG_EUNSUPPORTED);
    says("bert");
    put_config("{\"architectures\": [\"Gemma3ForConditionalGeneration\"], \"model_type\": "
               "\"gemma4\", \"text_config\": {}}");
    assert_int_equal(model_peek(a, dir, &s, &err), SNUG_EUNSUPPORTED);
    put_config("{\"architectures\": [\"Mistral3ForConditionalGeneration\"], \"text_config\": "
               "{\"quantization_config\": {\"quant_method\": \"gptq\"}}}");
    assert_int_equal(model_peek(a, dir, &s, &err), SNUG_EUNSUPPORTED);
    says("gptq");
    put_config("{\"architectures\": [\"Mistral3ForConditionalGeneration\"], \"text_config\": {}, "
               "\"quantization_config\": {\"quant_method\": \"awq\"}}");
    assert_int_equal(model_peek(a, dir, &s, &err), SNUG_EUNSUPPORTED);
    says("awq");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights),
                                       cmocka_unit_test(test_config)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
