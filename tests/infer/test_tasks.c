/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_tasks.c - the trained sample models through the tasks: ten sentences, continued
 * plays, stops, seeds. Expected labels, scores and texts are transformers 5.17.0's, in float32. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/infer_int.h"

static infer_ctx *sentiment, *plays;

static int open_all(void **state)
{
    (void)state;
    snug_err err = {0};
    if (access(SNUG_SOURCE_DIR "/samples/models", F_OK) != 0) {
        print_message("skipped: there is no samples/models in this checkout\n");
        return 0;
    }
    if (infer_open(SNUG_SOURCE_DIR "/samples/models/sentiment-tiny", &sentiment, &err) != SNUG_OK ||
        infer_open(SNUG_SOURCE_DIR "/samples/models/shakespeare-tiny", &plays, &err) != SNUG_OK) {
        print_message("%s\n", err.msg);
        return 1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    infer_close(sentiment);
    infer_close(plays);
    return 0;
}

/* Runs a task on a request text and parses the answer. */
static snug_status ask(infer_ctx *c, snug_arena *a, const char *request, snug_json *answer,
                       snug_err *err)
{
    snug_json in;
    SNUG_AUTO(snug_buf) buf = snug_buf_init(1u << 20);
    snug_json_out out = snug_json_out_init(&buf);
    assert_int_equal(snug_json_parse(a, snug_str(request), NULL, &in, err), SNUG_OK);
    snug_status st = infer_default_task(c)->run(c, in, &out, err);
    if (st == SNUG_OK)
        assert_int_equal(snug_json_parse(a, snug_buf_slice(&buf), NULL, answer, err), SNUG_OK);
    return st;
}

static const struct {
    const char *text, *label;
    double      score;
} sentences[] = {
    {"A warm, funny and beautifully acted film.", "POSITIVE", 0.933593},
    {"This is the worst movie I have seen in years.", "NEGATIVE", 0.920875},
    {"I loved every minute of it.", "POSITIVE", 0.881069},
    {"The plot is dull and the jokes fall flat.", "NEGATIVE", 0.935247},
    {"An unforgettable performance and a gripping story.", "POSITIVE", 0.931994},
    {"A complete waste of time.", "NEGATIVE", 0.932722},
    {"It is a charming and touching little picture.", "POSITIVE", 0.930221},
    {"Boring, predictable and far too long.", "NEGATIVE", 0.933103},
    {"One of the best films of the year!", "POSITIVE", 0.931878},
    {"The acting is terrible, and the script is even worse.", "NEGATIVE", 0.93245},
};
enum { SENTENCES = sizeof sentences / sizeof sentences[0] };

static void check_sentence(snug_json list, size_t i)
{
    snug_json best = snug_json_at(list, 0), other = snug_json_at(list, 1);
    assert_int_equal(snug_json_count(list), 2);
    assert_true(snug_eq_str(snug_json_str_or(best, "label", SNUG_EMPTY), sentences[i].label));
    assert_true(fabs(snug_json_f64_or(best, "score", 0) - sentences[i].score) < 2e-6);
    assert_true(fabs(snug_json_f64_or(best, "score", 0) + snug_json_f64_or(other, "score", 0) -
                     1.0) < 1e-6);
}

static void test_ten_sentences(void **state)
{
    (void)state;
    if (sentiment == NULL) skip();
    snug_arena *a = snug_arena_new();
    snug_json   answer;
    SNUG_AUTO(snug_buf) all = snug_buf_init(1u << 16);
    snug_json_out o = snug_json_out_init(&all);
    assert_string_equal(infer_default_task(sentiment)->name, "text-classification");
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "inputs");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < SENTENCES; i++) {
        snug_slice request = snug_arena_printf(a, "{\"inputs\": \"%s\"}", sentences[i].text);
        assert_int_equal(ask(sentiment, a, request.ptr, &answer, NULL), SNUG_OK);
        assert_int_equal(snug_json_count(answer), 1); /* the outer array */
        check_sentence(snug_json_at(answer, 0), i);
        snug_jo_cstr(&o, sentences[i].text);
    }
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    assert_int_equal(ask(sentiment, a, snug_buf_cstr(&all), &answer, NULL), SNUG_OK);
    assert_int_equal(snug_json_count(answer), SENTENCES);
    for (size_t i = 0; i < SENTENCES; i++) check_sentence(snug_json_at(answer, i), i);
    snug_arena_free(a);
}

static void test_classification_parameters(void **state)
{
    (void)state;
    if (sentiment == NULL) skip();
    snug_arena *a = snug_arena_new();
    snug_json   x;
    snug_err    err;
    assert_int_equal(
        ask(sentiment, a, "{\"inputs\": \"good\", \"parameters\": {\"top_k\": 1}}", &x, &err),
        SNUG_OK);
    assert_int_equal(snug_json_count(snug_json_at(x, 0)), 1);
    assert_int_equal(
        ask(sentiment, a,
            "{\"inputs\": \"good\", \"parameters\": {\"function_to_apply\": \"none\"}}", &x, &err),
        SNUG_OK);
    double raw0 = snug_json_f64_or(snug_json_at(snug_json_at(x, 0), 0), "score", 0);
    assert_int_equal(
        ask(sentiment, a,
            "{\"inputs\": \"good\", \"parameters\": {\"function_to_apply\": \"sigmoid\"}}", &x,
            &err),
        SNUG_OK);
    assert_true(fabs(snug_json_f64_or(snug_json_at(snug_json_at(x, 0), 0), "score", 0) -
                     1 / (1 + exp(-raw0))) < 1e-6);
    assert_int_equal(
        ask(sentiment, a,
            "{\"inputs\": \"good\", \"parameters\": {\"function_to_apply\": \"tanh\"}}", &x, &err),
        SNUG_EINVAL);
    assert_int_equal(ask(sentiment, a, "{\"inputs\": 3}", &x, &err), SNUG_EINVAL);
    assert_int_equal(ask(sentiment, a, "{}", &x, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "`inputs` is missing");
    /* Longer than the model reads: refused, cut only on request. */
    SNUG_AUTO(snug_buf) big = snug_buf_init(1u << 16);
    snug_buf_puts(&big, "{\"inputs\": \"");
    for (int i = 0; i < 200; i++) snug_buf_puts(&big, "good ");
    size_t at = big.len;
    snug_buf_puts(&big, "\"}");
    assert_int_equal(ask(sentiment, a, snug_buf_cstr(&big), &x, &err), SNUG_EINVAL);
    assert_string_equal(err.code, "context_length_exceeded");
    big.len = at;
    snug_buf_puts(&big, "\", \"parameters\": {\"truncation\": true}}");
    assert_int_equal(ask(sentiment, a, snug_buf_cstr(&big), &x, &err), SNUG_OK);
    snug_arena_free(a);
}

/* ---- plays ---- */

static const char *generated(snug_arena *a, const char *request)
{
    snug_json answer;
    snug_err  err;
    if (ask(plays, a, request, &answer, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return snug_arena_cstr(a,
                           snug_json_str_or(snug_json_at(answer, 0), "generated_text", SNUG_EMPTY));
}

static void test_plays_continue(void **state)
{
    (void)state;
    if (plays == NULL) skip();
    snug_arena *a = snug_arena_new();
    assert_string_equal(infer_default_task(plays)->name, "text-generation");
    assert_string_equal(
        generated(a, "{\"inputs\": \"ROMEO:\\n\", \"parameters\": {\"max_new_tokens\": 40}}"),
        "O, that is a man that is a man\nTo be a man.\n\nROMEO:\nO, that's a tear, a tear, a "
        "tear,\nAnd I");
    assert_string_equal(generated(a, "{\"inputs\": \"To be, or not to be\", \"parameters\": "
                                     "{\"max_new_tokens\": 40, \"return_full_text\": true}}"),
                        "To be, or not to be so,\nAnd I will not be so.\n\nLEONTES:\nI'll not be "
                        "so.\n\nLEONTES:\nI'll not be so.\n\nLEONTES:\nI'll not");
    assert_string_equal(generated(a, "{\"inputs\": \"KING RICHARD:\\nWhat\", \"parameters\": "
                                     "{\"max_new_tokens\": 40, \"repetition_penalty\": 1.3}}"),
                        ", that's the king?\n\nQUEEN MARGARET:\nMy lord, I fear; and, to be "
                        "gone.\n\nGLOUCESTER:\nI will not speak of York.\n\nYORK:");
    snug_arena_free(a);
}

static void test_stops(void **state)
{
    (void)state;
    if (plays == NULL) skip();
    snug_arena *a = snug_arena_new();
    /* Inside a word and across tokens; kept, or left out. */
    assert_string_equal(generated(a, "{\"inputs\": \"ROMEO:\\n\", \"parameters\": "
                                     "{\"max_new_tokens\": 40, \"stop\": [\"man\\nTo b\"]}}"),
                        "O, that is a man that is a man\nTo b");
    assert_string_equal(
        generated(a, "{\"inputs\": \"ROMEO:\\n\", \"parameters\": {\"max_new_tokens\": 40, "
                     "\"stop\": \" a man\", \"include_stop_str_in_output\": false}}"),
        "O, that is");
    assert_string_equal(
        generated(a, "{\"inputs\": \"ROMEO:\\n\", \"parameters\": {\"max_new_tokens\": 5, "
                     "\"stop\": [\"that is a man!\", \"zzz\"]}}"),
        "O, that is a");
    snug_json answer;
    assert_int_equal(ask(plays, a,
                         "{\"inputs\": \"ROMEO:\\n\", \"parameters\": {\"max_new_tokens\": 40, "
                         "\"stop\": [\"is\"], \"details\": true}}",
                         &answer, NULL),
                     SNUG_OK);
    snug_json details = snug_json_get(snug_json_at(answer, 0), "details");
    assert_true(
        snug_eq_str(snug_json_str_or(details, "finish_reason", SNUG_EMPTY), "stop_sequence"));
    assert_int_equal(snug_json_i64_or(details, "generated_tokens", 0), 4);
    assert_int_equal(snug_json_i64_or(details, "input_length", 0), 3);
    snug_arena_free(a);
}

static const char *juliet(snug_arena *a, int seed)
{
    return generated(
        a, snug_arena_printf(a,
                             "{\"inputs\": \"JULIET:\\n\", \"parameters\": {\"max_new_tokens\": "
                             "30, \"do_sample\": true, "
                             "\"temperature\": 0.9, \"top_k\": 50, \"top_p\": 0.95, \"seed\": %d}}",
                             seed)
               .ptr);
}

static void test_seeds(void **state)
{
    (void)state;
    if (plays == NULL) skip();
    snug_arena *a = snug_arena_new();
    const char *one = juliet(a, 42);
    assert_string_equal(one, juliet(a, 42));
    assert_string_not_equal(one, juliet(a, 43));
    /* Temperature 0 and top_k 1 are greedy whatever the seed. */
    const char *greedy =
        generated(a, "{\"inputs\": \"JULIET:\\n\", \"parameters\": {\"max_new_tokens\": 30}}");
    assert_string_equal(greedy, generated(a, "{\"inputs\": \"JULIET:\\n\", \"parameters\": "
                                             "{\"max_new_tokens\": 30, \"temperature\": 0}}"));
    assert_string_equal(greedy,
                        generated(a, "{\"inputs\": \"JULIET:\\n\", \"parameters\": "
                                     "{\"max_new_tokens\": 30, \"top_k\": 1, \"seed\": 9}}"));
    snug_arena_free(a);
}

typedef struct pieces {
    snug_buf text;
    size_t   count, most; /* stops after `most` pieces */
} pieces;

static bool keep_piece(void *arg, snug_slice piece)
{
    pieces *p = arg;
    assert_true(piece.len > 0 && snug_utf8_valid(piece));
    snug_buf_put_slice(&p->text, piece);
    return ++p->count < p->most;
}

static void test_stream(void **state)
{
    (void)state;
    if (plays == NULL) skip();
    snug_arena *a = snug_arena_new();
    snug_json   params;
    assert_int_equal(snug_json_parse(a, SNUG_LIT("{\"max_new_tokens\": 40}"), NULL, &params, NULL),
                     SNUG_OK);
    pieces all = {snug_buf_init(1u << 16), 0, SIZE_MAX}, few = {snug_buf_init(1u << 16), 0, 3};
    assert_int_equal(infer_generate(plays, SNUG_LIT("ROMEO:\n"), params, keep_piece, &all, NULL),
                     SNUG_OK);
    assert_string_equal(
        snug_buf_cstr(&all.text),
        generated(a, "{\"inputs\": \"ROMEO:\\n\", \"parameters\": {\"max_new_tokens\": 40}}"));
    assert_true(all.count > 20); /* piece by piece, not at the end */
    assert_int_equal(infer_generate(plays, SNUG_LIT("ROMEO:\n"), params, keep_piece, &few, NULL),
                     SNUG_OK);
    assert_int_equal(few.count, 3);
    assert_string_equal(snug_buf_cstr(&few.text), "O, that");
    snug_buf_deinit(&all.text);
    snug_buf_deinit(&few.text);
    snug_arena_free(a);
}

static void test_generation_refused(void **state)
{
    (void)state;
    if (plays == NULL) skip();
    snug_arena *a = snug_arena_new();
    snug_json   x;
    snug_err    err;
    assert_int_equal(
        ask(plays, a, "{\"inputs\": \"O\", \"parameters\": {\"max_new_tokens\": 600}}", &x, &err),
        SNUG_EINVAL);
    assert_string_equal(err.code, "context_length_exceeded");
    assert_int_equal(
        ask(plays, a, "{\"inputs\": \"O\", \"parameters\": {\"num_beam_groups\": 2}}", &x, &err),
        SNUG_EUNSUPPORTED);
    assert_string_equal(err.msg, "`num_beam_groups` is not supported");
    assert_int_equal(ask(plays, a,
                         "{\"inputs\": \"O\", \"parameters\": {\"grammar\": {\"type\": \"json\"}}}",
                         &x, &err),
                     SNUG_EUNSUPPORTED);
    assert_int_equal(
        ask(plays, a, "{\"inputs\": \"O\", \"parameters\": {\"top_p\": 1.5}}", &x, &err),
        SNUG_EINVAL);
    assert_string_equal(err.msg, "`top_p` must be above 0 and at most 1");
    assert_int_equal(
        ask(plays, a, "{\"inputs\": \"O\", \"parameters\": {\"temperature\": \"hot\"}}", &x, &err),
        SNUG_EINVAL);
    assert_int_equal(
        ask(plays, a, "{\"inputs\": \"O\", \"parameters\": {\"stop\": [\"\"]}}", &x, &err),
        SNUG_EINVAL);
    assert_int_equal(ask(plays, a, "{\"inputs\": \"O\", \"parameters\": []}", &x, &err),
                     SNUG_EINVAL);
    assert_int_equal(ask(plays, a,
                         "{\"inputs\": \"O\", \"parameters\": {\"watermark\": false, "
                         "\"max_new_tokens\": 1, \"num_beams\": 1, \"unheard_of\": 1}}",
                         &x, &err),
                     SNUG_OK);
    /* A model with another head. */
    assert_int_equal(task_text_generation.run(sentiment, x, &(snug_json_out){0}, &err),
                     SNUG_EINVAL);
    assert_int_equal(
        infer_generate(sentiment, SNUG_LIT("O"), (snug_json){NULL}, keep_piece, NULL, &err),
        SNUG_EUNSUPPORTED);
    snug_arena_free(a);
}

static void test_task_names(void **state)
{
    (void)state;
    assert_ptr_equal(infer_find_task(SNUG_LIT("fill-mask")), &task_fill_mask);
    assert_ptr_equal(infer_find_task(SNUG_LIT("text-generation")), &task_text_generation);
    assert_null(infer_find_task(SNUG_LIT("depth-estimation")));
    infer_ctx *c = NULL;
    snug_err   err;
    assert_int_equal(infer_open(SNUG_SOURCE_DIR "/tests/golden/model/llama", &c, &err),
                     SNUG_ENOTFOUND); /* no tokenizer */
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_sentences),
        cmocka_unit_test(test_classification_parameters),
        cmocka_unit_test(test_plays_continue),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_generation_refused),
        cmocka_unit_test(test_task_names),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
