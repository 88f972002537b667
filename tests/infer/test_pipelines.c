/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_pipelines.c - the requests of tests/golden/infer/tasks and the answers
 * transformers' and sentence-transformers' pipelines give to them. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "infer/infer_int.h"

#define TASKS SNUG_SOURCE_DIR "/tests/golden/infer/tasks"

/* Same members and order; numbers within 1e-5 of the larger one, and 2e-6 of nothing. */
static bool same(snug_json want, snug_json got, double *off)
{
    double     x, y;
    snug_slice s, t;
    if (snug_json_to_f64(want, &x)) {
        if (!snug_json_to_f64(got, &y)) return false;
        double d = fabs(x - y) / (fabs(x) + 0.2);
        if (d > *off) *off = d;
        return d <= 1e-5;
    }
    if (snug_json_to_str(want, &s)) return snug_json_to_str(got, &t) && snug_eq(s, t);
    if (snug_json_kind(want) != snug_json_kind(got) ||
        snug_json_count(want) != snug_json_count(got))
        return false;
    if (snug_json_is(want, SNUG_JSON_ARRAY)) {
        for (size_t i = 0; i < snug_json_count(want); i++)
            if (!same(snug_json_at(want, i), snug_json_at(got, i), off)) return false;
        return true;
    }
    for (snug_json_iter it = snug_json_iter_of(want); snug_json_next(&it);)
        if (!same(it.value, snug_json_get_slice(got, it.key), off)) return false;
    return true;
}

static snug_json load_cases(snug_arena *a, const char *name)
{
    snug_err   err = {0};
    snug_slice text;
    snug_json  v;
    if (snug_read_file(a, snug_arena_printf(a, TASKS "/%s/cases.json", name).ptr, 1 << 22, &text,
                       &err) != SNUG_OK ||
        snug_json_parse(a, text, NULL, &v, &err) != SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    return v;
}

static bool answer_case(infer_ctx *c, const char *name, size_t i, snug_json one, double *off)
{
    snug_arena       *a = snug_arena_new();
    snug_buf          b = snug_buf_init(8 << 20);
    snug_json_out     o = snug_json_out_init(&b);
    snug_err          err = {0};
    snug_json         got;
    bool              good = false;
    const infer_task *task = infer_find_task(snug_json_str_or(one, "task", SNUG_EMPTY));
    assert_non_null(task);
    if (task->run(c, one, &o, &err) != SNUG_OK)
        print_message("%s %zu: %s\n", name, i, err.msg);
    else if (snug_json_parse(a, snug_buf_slice(&b), NULL, &got, &err) != SNUG_OK)
        print_message("%s %zu: %s\n", name, i, err.msg);
    else if (!same(snug_json_get(one, "answer"), got, off))
        print_message("%s %zu: %.*s\n", name, i, (int)(b.len < 600 ? b.len : 600), b.ptr);
    else
        good = true;
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return good;
}

static void run_folder(const char *name, size_t at_least)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    infer_ctx  *c;
    size_t      bad = 0;
    double      off = 0;
    snug_json   cases = load_cases(a, name);
    assert_true(snug_json_count(cases) >= at_least);
    if (infer_open(snug_arena_printf(a, TASKS "/%s", name).ptr, &c, &err) != SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    for (size_t i = 0; i < snug_json_count(cases); i++)
        bad += !answer_case(c, name, i, snug_json_at(cases, i), &off);
    print_message("%s: %zu cases, worst %.1e\n", name, snug_json_count(cases), off);
    infer_close(c);
    snug_arena_free(a);
    if (bad > 0) fail_msg("%s: %zu answers differ", name, bad);
}

#define FOLDER(test, name, n)                                                                      \
    static void test(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        run_folder(name, n);                                                                       \
    }
FOLDER(names_by_wordpiece, "ner-bert", 40)
FOLDER(names_by_bytes, "ner-roberta", 40)
FOLDER(questions_by_wordpiece, "qa-bert", 30)
FOLDER(questions_by_bytes, "qa-roberta", 30)
FOLDER(labels_of_choice, "nli-bert", 30)
FOLDER(labels_entailment_first, "nli-roberta", 12)
FOLDER(states, "features-roberta", 3)
FOLDER(ranks, "rank-bert", 20)
FOLDER(vectors_mean, "sentence-mean", 4)
FOLDER(vectors_max, "sentence-max", 4)
FOLDER(vectors_dense, "sentence-cls-dense", 4)
FOLDER(vectors_prompts, "sentence-prompts", 6)
FOLDER(texts_t5, "t5", 30)
FOLDER(texts_bart, "bart", 10)
FOLDER(languages, "mbart", 9)
FOLDER(texts_llama, "llama-text", 80)
FOLDER(texts_t5_rules, "t5-rules", 20)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_by_wordpiece),
                                       cmocka_unit_test(names_by_bytes),
                                       cmocka_unit_test(questions_by_wordpiece),
                                       cmocka_unit_test(questions_by_bytes),
                                       cmocka_unit_test(labels_of_choice),
                                       cmocka_unit_test(labels_entailment_first),
                                       cmocka_unit_test(states),
                                       cmocka_unit_test(ranks),
                                       cmocka_unit_test(vectors_mean),
                                       cmocka_unit_test(vectors_max),
                                       cmocka_unit_test(vectors_dense),
                                       cmocka_unit_test(vectors_prompts),
                                       cmocka_unit_test(texts_t5),
                                       cmocka_unit_test(texts_bart),
                                       cmocka_unit_test(languages),
                                       cmocka_unit_test(texts_llama),
                                       cmocka_unit_test(texts_t5_rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
