/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_fill_mask.c - requests and the answers the reference pipeline gives to them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/infer_int.h"

static char        dir[] = "/tmp/snug-mask-XXXXXX";
static infer_ctx  *c;
static snug_arena *a;

static int link_file(const char *from, const char *name)
{
    snug_slice to = snug_arena_printf(a, "%s/%s", dir, name);
    return symlink(snug_arena_printf(a, "%s/tests/golden/%s", SNUG_SOURCE_DIR, from).ptr, to.ptr);
}

static int open_model(void **state)
{
    (void)state;
    snug_err err;
    a = snug_arena_new();
    if (mkdtemp(dir) == NULL ||
        link_file("model/distilbert-fill-mask/config.json", "config.json") != 0 ||
        link_file("model/distilbert-fill-mask/model.safetensors", "model.safetensors") != 0 ||
        link_file("infer/fill-mask/tokenizer.json", "tokenizer.json") != 0)
        return 1;
    if (infer_open(dir, &c, &err) == SNUG_OK) return 0;
    print_message("%s\n", err.msg);
    return 1;
}

static int close_model(void **state)
{
    (void)state;
    infer_close(c);
    snug_arena_free(a);
    return snug_remove_tree(dir, NULL) != SNUG_OK;
}

static snug_status ask(snug_json request, snug_json *answer, snug_err *err)
{
    snug_buf      buf = snug_buf_init(1u << 20);
    snug_json_out out = snug_json_out_init(&buf);
    snug_status   st = infer_default_task(c)->run(c, request, &out, err);
    if (st == SNUG_OK)
        assert_int_equal(snug_json_parse(a, snug_buf_slice(&buf), NULL, answer, err), SNUG_OK);
    snug_buf_deinit(&buf);
    return st;
}

static snug_status ask_text(const char *text, snug_json *answer, snug_err *err)
{
    snug_json request;
    assert_int_equal(snug_json_parse(a, snug_str(text), NULL, &request, err), SNUG_OK);
    return ask(request, answer, err);
}

/* Same members; numbers within a millionth. */
static void same(snug_json want, snug_json got)
{
    double     x, y;
    snug_slice s, t;
    if (snug_json_to_f64(want, &x)) {
        assert_true(snug_json_to_f64(got, &y));
        if (!(fabs(x - y) <= 1e-6)) fail_msg("%.9g, not %.9g", y, x);
        return;
    }
    if (snug_json_to_str(want, &s)) {
        assert_true(snug_json_to_str(got, &t));
        if (!snug_eq(s, t)) fail_msg("\"%.*s\", not \"%.*s\"", SNUG_SLICE(t), SNUG_SLICE(s));
        return;
    }
    assert_int_equal(snug_json_kind(want), snug_json_kind(got));
    assert_int_equal(snug_json_count(want), snug_json_count(got));
    size_t i = 0;
    for (snug_json_iter it = snug_json_iter_of(want); snug_json_next(&it); i++)
        same(it.value,
             it.key.ptr == NULL ? snug_json_at(got, i) : snug_json_get_slice(got, it.key));
}

static void test_cases(void **state)
{
    (void)state;
    snug_slice text;
    snug_json  cases, answer;
    snug_err   err;
    assert_int_equal(snug_read_file(a, SNUG_SOURCE_DIR "/tests/golden/infer/fill-mask/cases.json",
                                    1u << 20, &text, NULL),
                     SNUG_OK);
    assert_int_equal(snug_json_parse(a, text, NULL, &cases, NULL), SNUG_OK);
    assert_int_equal(snug_json_count(cases), 4);
    assert_string_equal(infer_default_task(c)->name, "fill-mask");
    for (size_t i = 0; i < 4; i++) {
        snug_json one = snug_json_at(cases, i);
        if (ask(snug_json_get(one, "request"), &answer, &err) != SNUG_OK) fail_msg("%s", err.msg);
        same(snug_json_get(one, "answer"), answer);
    }
}

static void test_refused(void **state)
{
    (void)state;
    snug_json x;
    snug_err  err;
    assert_int_equal(ask_text("{\"inputs\": \"no hole here\"}", &x, &err), SNUG_EPAYLOAD);
    assert_string_equal(err.msg, "the text holds no mask token");
    assert_int_equal(ask_text("{\"inputs\": \"[MASK]\", \"parameters\": {\"top_k\": 0}}", &x, &err),
                     SNUG_EINVAL);
    assert_int_equal(
        ask_text("{\"inputs\": \"[MASK]\", \"parameters\": {\"targets\": []}}", &x, &err),
        SNUG_EINVAL);
    assert_int_equal(
        ask_text("{\"inputs\": \"[MASK]\", \"parameters\": {\"targets\": [1]}}", &x, &err),
        SNUG_EINVAL);
    /* A word of several tokens stands for its first; several texts give several lists. */
    assert_int_equal(
        ask_text(
            "{\"inputs\": [\"[MASK]\", \"a [MASK]\"], \"parameters\": {\"targets\": \"redcat\"}}",
            &x, &err),
        SNUG_OK);
    assert_int_equal(snug_json_count(x), 2);
    assert_true(snug_eq_str(
        snug_json_str_or(snug_json_at(snug_json_at(x, 0), 0), "token_str", SNUG_EMPTY), "red"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
