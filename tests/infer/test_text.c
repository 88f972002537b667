/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_text.c - what generation of texts does beyond the reference's numbers: several
 * texts, chance, stops of beams, streams, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "infer/infer_int.h"

#define TASKS SNUG_SOURCE_DIR "/tests/golden/infer/tasks"
static infer_ctx *llama, *t5;

static int open_all(void **state)
{
    (void)state;
    snug_err err = {0};
    if (infer_open(TASKS "/llama-text", &llama, &err) == SNUG_OK &&
        infer_open(TASKS "/t5-rules", &t5, &err) == SNUG_OK)
        return 0;
    print_message("%s\n", err.msg);
    return 1;
}

static int close_all(void **state)
{
    (void)state;
    infer_close(llama);
    infer_close(t5);
    return 0;
}

/* Parameters with ' for ". */
static snug_json json(snug_arena *a, const char *text)
{
    snug_json v;
    char     *copy = snug_arena_cstr(a, snug_str(text));
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'') *p = '"';
    snug_err err = {0};
    if (snug_json_parse(a, snug_str(copy), NULL, &v, &err) != SNUG_OK)
        fail_msg("%s: %s", text, err.msg);
    return v;
}

static snug_status ask(infer_ctx *c, snug_arena *a, const char *request, snug_json *answer,
                       snug_err *err)
{
    SNUG_AUTO(snug_buf) buf = snug_buf_init(1u << 22);
    snug_json_out out = snug_json_out_init(&buf);
    snug_status   st = infer_default_task(c)->run(c, json(a, request), &out, err);
    if (st == SNUG_OK)
        assert_int_equal(snug_json_parse(a, snug_buf_slice(&buf), NULL, answer, err), SNUG_OK);
    return st;
}

static snug_json answered(snug_arena *a, const char *params)
{
    snug_json   v;
    snug_err    err = {0};
    const char *request =
        snug_arena_printf(a, "{'inputs': 'My name is', 'parameters': %s}", params).ptr;
    if (ask(llama, a, request, &v, &err) != SNUG_OK) fail_msg("%s: %s", params, err.msg);
    return v;
}

static const char *text_at(snug_arena *a, snug_json v, size_t i)
{
    return snug_arena_cstr(a, snug_json_str_or(snug_json_at(v, i), "generated_text", SNUG_EMPTY));
}

static const char *text_of(snug_arena *a, const char *params)
{
    return text_at(a, answered(a, params), 0);
}

static snug_json details_of(snug_arena *a, const char *params)
{
    return snug_json_get(snug_json_at(answered(a, params), 0), "details");
}

static bool finished(snug_json details, const char *how)
{
    return snug_eq_str(snug_json_str_or(details, "finish_reason", SNUG_EMPTY), how);
}

static void several_texts(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    const char *asked = "{'max_new_tokens': 8, 'do_sample': true, 'seed': 7, "
                        "'num_return_sequences': 3, 'details': true}";
    snug_json   one = answered(a, asked), two = answered(a, asked);
    assert_int_equal(snug_json_count(one), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(text_at(a, one, i), text_at(a, two, i));
        snug_json details = snug_json_get(snug_json_at(one, i), "details");
        assert_int_equal(snug_json_i64_or(details, "seed", 0), 7 + i);
        assert_int_equal(snug_json_i64_or(details, "generated_tokens", 0), 8);
    }
    assert_string_not_equal(text_at(a, one, 0), text_at(a, one, 1));
    /* A row alone is what it is among others. */
    assert_string_equal(text_at(a, one, 2),
                        text_of(a, "{'max_new_tokens': 8, 'do_sample': true, 'seed': 9}"));
    snug_arena_free(a);
}

static double mean_log(snug_json row)
{
    snug_json tokens = snug_json_get(row, "tokens");
    double    sum = 0;
    for (snug_json_iter it = snug_json_iter_of(tokens); snug_json_next(&it);)
        sum += snug_json_f64_or(it.value, "logprob", -1e9);
    return sum / (double)snug_json_count(tokens);
}

static void best_of(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_json   v = answered(a, "{'max_new_tokens': 6, 'do_sample': true, 'seed': 1, 'best_of': 5, "
                                  "'details': true}");
    snug_json   details = snug_json_get(snug_json_at(v, 0), "details");
    snug_json   others = snug_json_get(details, "best_of_sequences");
    assert_int_equal(snug_json_count(v), 1);
    assert_int_equal(snug_json_count(others), 4);
    uint64_t seeds = 1u << snug_json_i64_or(details, "seed", 0);
    for (snug_json_iter it = snug_json_iter_of(others); snug_json_next(&it);) {
        assert_true(mean_log(details) >= mean_log(it.value));
        seeds |= 1u << snug_json_i64_or(it.value, "seed", 0);
    }
    assert_int_equal(seeds, 62); /* 1 to 5 */
    snug_arena_free(a);
}

/* Two beams, one token: the likelier of two ids drawn without putting back. */
static void drawn_beams(void **state)
{
    (void)state;
    enum { RUNS = 1500 };
    snug_arena *a = snug_arena_new();
    snug_json   top = snug_json_get(
          details_of(a, "{'max_new_tokens': 1, 'details': true, 'top_n_tokens': 3}"), "top_tokens");
    double p[3], sum = 0;
    int    seen[4] = {0};
    for (size_t i = 0; i < 3; i++)
        sum += p[i] = exp(snug_json_f64_or(snug_json_at(snug_json_at(top, 0), i), "logprob", 0));
    for (size_t i = 0; i < 3; i++) p[i] /= sum;
    for (int run = 0; run < RUNS; run++) {
        snug_arena *own = snug_arena_new();
        snug_json   details =
            details_of(own, snug_arena_printf(own,
                                              "{'max_new_tokens': 1, 'details': true, 'top_k': 3, "
                                              "'num_beams': 2, 'do_sample': true, 'seed': %d}",
                                              run)
                                .ptr);
        int64_t id = snug_json_i64_or(snug_json_at(snug_json_get(details, "tokens"), 0), "id", -1);
        size_t  k = 0;
        while (k < 3 && id != snug_json_i64_or(snug_json_at(snug_json_at(top, 0), k), "id", -2))
            k++;
        seen[k]++;
        snug_arena_free(own);
    }
    double second = p[1] * p[2] / (1 - p[1]) + p[2] * p[1] / (1 - p[2]);
    double spread = 4 * sqrt(RUNS * second * (1 - second));
    assert_int_equal(seen[2] + seen[3], 0);
    assert_true(second > 0.01 && fabs(seen[1] - RUNS * second) < spread);
    const char *asked = "{'max_new_tokens': 9, 'num_beams': 3, 'do_sample': true, 'seed': 4}";
    assert_string_equal(text_of(a, asked), text_of(a, asked));
    assert_string_not_equal(text_of(a, asked),
                            text_of(a, "{'max_new_tokens': 9, 'num_beams': 3, 'do_sample': true, "
                                       "'seed': 5}"));
    snug_arena_free(a);
}

static void beams_end_at_stops(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    const char *whole = text_of(a, "{'max_new_tokens': 12, 'num_beams': 3}");
    assert_true(strlen(whole) > 8);
    const char *stop = snug_arena_printf(a, "%.3s", whole + 3).ptr; /* across tokens */
    snug_json   v =
        answered(a, snug_arena_printf(a,
                                      "{'max_new_tokens': 12, 'num_beams': 3, 'details': true, "
                                      "'length_penalty': 0, 'stop': ['%s']}",
                                      stop)
                        .ptr);
    snug_json details = snug_json_get(snug_json_at(v, 0), "details");
    assert_true(finished(details, "stop_sequence"));
    assert_non_null(strstr(text_at(a, v, 0), stop));
    assert_true(snug_ends_with(snug_str(text_at(a, v, 0)), stop));
    snug_arena_free(a);
}

/* The first id of a greedy text. */
static long first_id(snug_arena *a, const char *params)
{
    return (long)snug_json_i64_or(snug_json_at(snug_json_get(details_of(a, params), "tokens"), 0),
                                  "id", -1);
}

static void ends_and_lengths(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    long        end = first_id(a, "{'max_new_tokens': 1, 'details': true}");
    snug_json   d = details_of(
          a, snug_arena_printf(a, "{'max_new_tokens': 5, 'details': true, 'eos_token_id': [2, %ld]}",
                               end)
                 .ptr);
    assert_true(finished(d, "eos_token"));
    assert_int_equal(snug_json_i64_or(d, "generated_tokens", 0), 1);
    d = details_of(a, snug_arena_printf(a,
                                        "{'max_new_tokens': 5, 'details': true, 'eos_token_id': "
                                        "[2, %ld], 'ignore_eos_token': true}",
                                        end)
                          .ptr);
    assert_true(finished(d, "length"));
    assert_int_equal(snug_json_i64_or(d, "generated_tokens", 0), 5);
    assert_int_equal(first_id(a, "{'max_new_tokens': 2, 'details': true, 'logit_bias': {'77': "
                                 "100, '3': false}}"),
                     77);
    assert_int_equal(
        first_id(a, "{'max_new_tokens': 2, 'details': true, 'logit_bias': [[78, 100]]}"), 78);
    d = details_of(a, "{'max_new_tokens': 100, 'details': true, 'max_time': 1e-6}");
    assert_int_equal(snug_json_i64_or(d, "generated_tokens", 0), 1);
    d = details_of(a, "{'max_new_tokens': 3, 'details': true, 'truncate': 2}");
    assert_int_equal(snug_json_i64_or(d, "input_length", 0), 2);
    size_t n = (size_t)snug_json_i64_or(details_of(a, "{'max_new_tokens': 1, 'details': true}"),
                                        "input_length", 0);
    assert_int_equal(first_id(a, snug_arena_printf(a,
                                                   "{'max_new_tokens': 1, 'details': true, "
                                                   "'forced_decoder_ids': [[%zu, 99]]}",
                                                   n)
                                     .ptr),
                     99);
    snug_arena_free(a);
}

static void words_that_must_not_be_said(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    const char *free_text = text_of(a, "{'max_new_tokens': 8}");
    const char *word = snug_arena_printf(a, "%.4s", free_text).ptr;
    const char *kept =
        text_of(a, snug_arena_printf(a, "{'max_new_tokens': 8, 'bad_words': ['%s']}", word).ptr);
    assert_false(snug_starts_with(snug_str(kept), word));
    const char *echoed = text_of(a, "{'max_new_tokens': 8, 'echo': true}");
    assert_string_equal(echoed, snug_arena_printf(a, "My name is%s", free_text).ptr);
    snug_arena_free(a);
}

static void texts_of_texts(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_json   v, w;
    snug_err    err = {0};
    const char *asked = "{'inputs': 'My name', 'parameters': {'num_beams': 1, 'do_sample': true, "
                        "'seed': 3, 'num_return_sequences': 2, 'max_new_tokens': 7}}";
    assert_int_equal(ask(t5, a, asked, &v, &err), SNUG_OK);
    assert_int_equal(ask(t5, a, asked, &w, &err), SNUG_OK);
    assert_int_equal(snug_json_count(v), 2);
    assert_string_equal(text_at(a, v, 1), text_at(a, w, 1));
    assert_string_not_equal(text_at(a, v, 0), text_at(a, v, 1));
    assert_int_equal(ask(t5, a,
                         "{'inputs': 'My', 'parameters': {'best_of': 2, 'do_sample': true, "
                         "'num_beams': 1}}",
                         &v, &err),
                     SNUG_EUNSUPPORTED);
    snug_arena_free(a);
}

static void refused_by_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{'guidance_scale': 1.5}", "`guidance_scale`"},
        {"{'num_beam_groups': 2}", "`num_beam_groups`"},
        {"{'diversity_penalty': 0.5}", "`diversity_penalty`"},
        {"{'penalty_alpha': 0.6}", "`penalty_alpha`"},
        {"{'mirostat': 2}", "`mirostat`"},
        {"{'dry_multiplier': 0.8}", "`dry_multiplier`"},
        {"{'watermark': true}", "`watermark`"},
        {"{'num_return_sequences': 2}", "`num_return_sequences`"},
        {"{'num_beams': 2, 'num_return_sequences': 3}", "`num_return_sequences`"},
        {"{'best_of': 2}", "`best_of`"},
        {"{'bad_words_ids': [3]}", "`bad_words_ids`"},
        {"{'bad_words_ids': [[]]}", "`bad_words_ids`"},
        {"{'bad_words': ['']}", "`bad_words`"},
        {"{'suppress_tokens': ['x']}", "`suppress_tokens`"},
        {"{'logit_bias': {'9999999': 1}}", "`logit_bias`"},
        {"{'logit_bias': {'x': 1}}", "`logit_bias`"},
        {"{'sequence_bias': [[[1], 'x']]}", "`sequence_bias`"},
        {"{'exponential_decay_length_penalty': [1]}", "`exponential_decay_length_penalty`"},
        {"{'max_time': 0}", "`max_time`"},
        {"{'max_length': 1}", "`max_length`"},
        {"{'truncate': 0}", "`truncate`"},
        {"{'renormalize_logits': 3}", "`renormalize_logits`"},
        {"{'top_n_tokens': 4096}", "`top_n_tokens`"},
        {"{'forced_decoder_ids': [[1]], 'top_h': 2}", "`top_h`"},
    };
    snug_arena *a = snug_arena_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snug_json   v;
        snug_err    err = {0};
        const char *request =
            snug_arena_printf(a, "{'inputs': 'My name is', 'parameters': %s}", rows[i][0]).ptr;
        if (ask(llama, a, request, &v, &err) == SNUG_OK || strstr(err.msg, rows[i][1]) == NULL)
            fail_msg("%s: %s", rows[i][0], err.msg);
    }
    /* What asks for nothing is not refused. */
    (void)text_of(a, "{'max_new_tokens': 1, 'guidance_scale': 1.0, 'num_beam_groups': 1, "
                     "'diversity_penalty': 0.0, 'watermark': false, 'mirostat': 0, 'best_of': 1, "
                     "'logit_bias': {}, 'bad_words_ids': null}");
    snug_arena_free(a);
}

/* ---- rules without a reference library: their definitions on four logits ---- */

static void cut(const sample_conf *c, float *logits, const double *shares)
{
    sampler *s = sampler_new(c, 4);
    for (size_t i = 0; i < 4; i++) logits[i] = (float)log(shares[i]);
    sampler_warp(s, &(sample_past){0}, logits);
    sampler_free(s);
}

static void other_cuts(void **state)
{
    (void)state;
    static const double shares[4] = {0.1, 0.5, 0.05, 0.35};
    float               got[4];
    sample_conf         c = sample_conf_off();
    c.greedy = false;
    c.xtc_probability = 1,
    c.xtc_threshold = 0.2; /* above it: 0.5 and 0.35; the less likely stays */
    cut(&c, got, shares);
    assert_true(got[1] == -INFINITY && got[3] > -INFINITY && got[0] > -INFINITY);
    c.xtc_threshold = 0.4; /* only one above: nothing to leave out */
    cut(&c, got, shares);
    assert_true(got[1] > -INFINITY);
    c.xtc_probability = 0;
    /* logs: -2.303 -0.693 -2.996 -1.050, standard deviation 0.9295 */
    c.top_n_sigma = 1;
    cut(&c, got, shares);
    assert_true(got[0] == -INFINITY && got[2] == -INFINITY && got[3] > -INFINITY);
    c.top_n_sigma = 1.8;
    cut(&c, got, shares);
    assert_true(got[0] > -INFINITY && got[2] == -INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_texts),    cmocka_unit_test(best_of),
        cmocka_unit_test(drawn_beams),      cmocka_unit_test(beams_end_at_stops),
        cmocka_unit_test(ends_and_lengths), cmocka_unit_test(words_that_must_not_be_said),
        cmocka_unit_test(texts_of_texts),   cmocka_unit_test(refused_by_name),
        cmocka_unit_test(other_cuts),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
