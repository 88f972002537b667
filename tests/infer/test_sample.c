/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/test_sample.c - each rule against the reference numbers, then order, chance and
 * seeds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "infer/infer_int.h"

enum { ROWS = 3, VOCAB = 120, CONTEXT = 24 };

typedef struct reference {
    snug_arena       *a;
    snug_slice        file;
    codec_safetensors st;
    snug_json         rules;
} reference;

static reference open_reference(const char *name)
{
    reference   r = {.a = snug_arena_new()};
    snug_slice  text;
    const char *dir = snug_arena_printf(r.a, SNUG_SOURCE_DIR "/tests/golden/infer/%s", name).ptr;
    assert_int_equal(snug_read_file(r.a, snug_arena_printf(r.a, "%s/golden.safetensors", dir).ptr,
                                    1u << 20, &r.file, NULL),
                     SNUG_OK);
    assert_int_equal(codec_safetensors_parse(r.a, r.file, r.file.len, &r.st, NULL), SNUG_OK);
    assert_int_equal(snug_read_file(r.a, snug_arena_printf(r.a, "%s/golden.json", dir).ptr,
                                    1u << 16, &text, NULL),
                     SNUG_OK);
    assert_int_equal(snug_json_parse(r.a, text, NULL, &r.rules, NULL), SNUG_OK);
    return r;
}

static double value(const reference *r, const char *name, size_t i)
{
    const codec_tensor *t = codec_safetensors_find(&r->st, snug_str(name));
    assert_non_null(t);
    return codec_dtype_read(t->dtype, r->file.ptr + r->st.data_offset + t->offset, i);
}

static void test_rules(void **state)
{
    (void)state;
    reference r = open_reference("sampling");
    size_t    rules = 0;
    for (snug_json_iter it = snug_json_iter_of(r.rules); snug_json_next(&it); rules++) {
        gen_conf conf;
        char     name[64];
        snug_err err;
        /* Parameters go the way a request's do. */
        if (gen_conf_read(r.a, it.value, (snug_json){NULL}, (snug_json){NULL}, VOCAB, &conf,
                          &err) != SNUG_OK)
            fail_msg("%s", err.msg);
        conf.sample.greedy = false;
        (void)snprintf(name, sizeof name, "out.%.*s", SNUG_SLICE(it.key));
        sampler *s = sampler_new(&conf.sample, VOCAB);
        for (size_t row = 0; row < ROWS; row++) {
            float   logits[VOCAB];
            int32_t ids[CONTEXT];
            for (size_t i = 0; i < VOCAB; i++)
                logits[i] = (float)value(&r, "logits", row * VOCAB + i);
            for (size_t i = 0; i < CONTEXT; i++)
                ids[i] = (int32_t)value(&r, "context", row * CONTEXT + i);
            sampler_warp(s, &(sample_past){ids, CONTEXT, 0, NULL, 0, 0, {NULL, 0}}, logits);
            for (size_t i = 0; i < VOCAB; i++) {
                double want = value(&r, name, row * VOCAB + i);
                if (want < -1e29 ? logits[i] == -INFINITY
                                 : fabs((double)logits[i] - want) <= 1e-6 * fabs(want))
                    continue;
                fail_msg("%s: row %zu, token %zu is %g, not %g", name, row, i, (double)logits[i],
                         want);
            }
        }
        sampler_free(s);
    }
    assert_int_equal(rules, 9);
    snug_arena_free(r.a);
}

/* Parameters together with what was said, as `generate` builds its processors from them. */
static void check_case(reference *r, snug_slice name, snug_json one)
{
    gen_conf    conf;
    snug_err    err = {0};
    snug_json   params = snug_json_get(one, "parameters");
    size_t      length = (size_t)snug_json_i64_or(one, "length", 0);
    size_t      prompt = (size_t)snug_json_i64_or(one, "prompt", 0);
    const char *key = snug_arena_printf(r->a, "out.%.*s", SNUG_SLICE(name)).ptr;
    float       logits[VOCAB];
    int32_t     ids[CONTEXT];
    if (gen_conf_read(r->a, params, (snug_json){NULL}, (snug_json){NULL}, VOCAB, &conf, &err) !=
        SNUG_OK)
        fail_msg("%s: %s", key, err.msg);
    if (conf.beams > 1) conf.sample.keep_min = conf.eos_count + 1;
    sampler *s = sampler_new(&conf.sample, VOCAB);
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < VOCAB; i++) logits[i] = (float)value(r, "logits", row * VOCAB + i);
        for (size_t i = 0; i < length; i++) /* columns of the file: 14 */
            ids[i] = (int32_t)value(r, "context", row * 14 + i);
        sampler_warp(s,
                     &(sample_past){ids,
                                    length,
                                    length - prompt,
                                    conf.eos,
                                    conf.eos_count,
                                    (size_t)snug_json_i64_or(one, "limit", 0),
                                    {NULL, 0}},
                     logits);
        for (size_t i = 0; i < VOCAB; i++) {
            double want = value(r, key, row * VOCAB + i), got = (double)logits[i];
            if (want == got || (want <= -1e30 && logits[i] == -INFINITY) ||
                fabs(got - want) <= 2e-6 * (fabs(want) + 1))
                continue;
            fail_msg("%s: row %zu, token %zu is %.9g, not %.9g", key, row, i, got, want);
        }
    }
    sampler_free(s);
}

static void test_rules_together(void **state)
{
    (void)state;
    reference r = open_reference("rules");
    size_t    cases = 0;
    for (snug_json_iter it = snug_json_iter_of(r.rules); snug_json_next(&it); cases++)
        check_case(&r, it.key, it.value);
    assert_true(cases >= 33);
    snug_arena_free(r.a);
}

static sample_conf by_chance(uint64_t seed)
{
    sample_conf c = sample_conf_off();
    c.greedy = false;
    c.seed = seed;
    return c;
}

static void test_greedy_takes_the_lowest_id_of_ties(void **state)
{
    (void)state;
    sample_conf c = sample_conf_off();
    sampler    *s = sampler_new(&c, 4);
    float       logits[4] = {1, 3, 3, 2};
    assert_int_equal(sampler_pick(s, &(sample_past){0}, logits), 1);
    sampler_free(s);
}

static void test_shares(void **state)
{
    (void)state;
    /* exp(0), exp(ln 3), never: a quarter, three quarters. */
    sample_conf c = by_chance(11);
    sampler    *s = sampler_new(&c, 3);
    int         seen[3] = {0};
    for (int i = 0; i < 20000; i++) {
        float logits[3] = {0, (float)log(3.0), -INFINITY};
        seen[sampler_pick(s, &(sample_past){0}, logits)]++;
    }
    assert_int_equal(seen[2], 0);
    assert_true(abs(seen[0] - 5000) < 250); /* four standard deviations */
    sampler_free(s);
}

static void test_seed_repeats(void **state)
{
    (void)state;
    int32_t first[64];
    for (int pass = 0; pass < 3; pass++) {
        sample_conf c = by_chance(pass == 2 ? 6 : 5);
        sampler    *s = sampler_new(&c, 50);
        int         same = 0;
        for (int i = 0; i < 64; i++) {
            float   logits[50] = {0};
            int32_t id = sampler_pick(s, &(sample_past){0}, logits);
            if (pass == 0) first[i] = id;
            same += first[i] == id;
        }
        if (pass == 1) assert_int_equal(same, 64);
        if (pass == 2) assert_true(same < 20);
        sampler_free(s);
    }
}

static void test_one_token_always_stays(void **state)
{
    (void)state;
    sample_conf c = by_chance(1);
    c.temperature = 0.01, c.top_k = 1, c.top_p = 1e-9, c.min_p = 1, c.typical_p = 1e-9,
    c.epsilon_cutoff = 1, c.eta_cutoff = 1;
    sampler *s = sampler_new(&c, 5);
    float    logits[5] = {-2, 4, 0, 3.9f, -INFINITY};
    assert_int_equal(sampler_pick(s, &(sample_past){0}, logits), 1);
    sampler_free(s);
}

static void test_penalties_and_minimum(void **state)
{
    (void)state;
    sample_conf   c = sample_conf_off();
    const int32_t ids[4] = {0, 1, 1, 900}; /* two generated: 1 and one outside the vocabulary */
    const int32_t eos[1] = {2};
    c.presence_penalty = 0.5, c.frequency_penalty = 0.25, c.repetition_penalty = 2,
    c.min_new_tokens = 3;
    sampler *s = sampler_new(&c, 4);
    for (int pass = 0; pass < 2; pass++) { /* scratch is clean after each call */
        float logits[4] = {1, 4, 9, -3};
        sampler_warp(s, &(sample_past){ids, 4, 2, eos, 1, 0, {NULL, 0}}, logits);
        assert_true(logits[0] == 0.5f);         /* in the prompt: repetition only */
        assert_true(logits[1] == 2.0f - 0.75f); /* halved, then once generated */
        assert_true(logits[2] == -INFINITY);    /* the end, too early */
        assert_true(logits[3] == -3.0f);
    }
    sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_together),
        cmocka_unit_test(test_greedy_takes_the_lowest_id_of_ties),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_seed_repeats),
        cmocka_unit_test(test_one_token_always_stays),
        cmocka_unit_test(test_penalties_and_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
