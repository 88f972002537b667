/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_cost.c - texts made to be slow: a budget of work, not of luck. Also threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tok/tok.h"

static tok *load(const char *json)
{
    tok     *t = NULL;
    snug_err err = {0};
    if (tok_load(snug_str(json), &t, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return t;
}

static size_t encode_run(const tok *t, const char *unit, size_t count, uint64_t ms_max)
{
    snug_buf b = snug_buf_init(TOK_TEXT_MAX);
    tok_ids  ids = {0};
    snug_err err = {0};
    for (size_t i = 0; i < count; i++) snug_buf_puts(&b, unit);
    uint64_t start = snug_mono_ms();
    if (tok_encode(t, snug_buf_slice(&b), TOK_ADD_SPECIAL, &ids, &err) != SNUG_OK)
        fail_msg("%s", err.msg);
    uint64_t took = snug_mono_ms() - start;
#ifdef SNUG_SANITIZED
    ms_max *= 60; /* checked code is slow, but not by the length */
#endif
    if (took > ms_max) fail_msg("%zu times \"%.20s\": %u ms", count, unit, (unsigned)took);
    size_t n = ids.count;
    tok_ids_deinit(&ids);
    snug_buf_deinit(&b);
    return n;
}

/* Quadratic work would take minutes or hours for each of these. */
enum { BUDGET_MS = 20000 };

static void one_long_word_is_cheap_to_merge(void **state)
{
    tok *t = load(
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"aa\":2,\"aaaa\":3,\"ab\":4},"
        "\"merges\":[[\"a\",\"a\"],[\"aa\",\"aa\"],[\"a\",\"b\"]]}}");
    (void)state;
    assert_int_equal(encode_run(t, "a", 1000000, BUDGET_MS), 250000);
    assert_int_equal(encode_run(t, "ab", 500000, BUDGET_MS), 500000);
    tok_free(t);
}

static void one_long_word_is_cheap_elsewhere(void **state)
{
    (void)state;
    tok *t = load("{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[U]\",\"max_input_chars_per_"
                  "word\":10000000,"
                  "\"vocab\":{\"[U]\":0,\"a\":1,\"##a\":2,\"##aaa\":3}}}");
    assert_int_equal(encode_run(t, "a", 1000000, BUDGET_MS), 1 + 333333);
    tok_free(t);
    t = load("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"a\",-2.0]"
             ",[\"aaaa\",-3.0]]}}");
    assert_int_equal(encode_run(t, "a", 1000000, BUDGET_MS), 250000);
    assert_int_equal(encode_run(t, "b", 1000000, BUDGET_MS), 1); /* one unknown stretch */
    tok_free(t);
}

static void marks_and_spaces_are_cheap(void **state)
{
    (void)state;
    tok *t =
        load("{\"normalizer\":{\"type\":\"NFC\"},\"added_tokens\":[{\"id\":1,\"content\":\" "
             "x\",\"lstrip\":true,\"rstrip\":true},"
             "{\"id\":2,\"content\":\" \",\"lstrip\":true,\"rstrip\":true,\"normalized\":false}],"
             "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"u\":0},\"unk_token\":\"u\"}}");
    assert_int_equal(encode_run(t, "\xcc\x81\xcc\xa3", 400000, BUDGET_MS),
                     1); /* combining, out of order */
    assert_int_equal(encode_run(t, " ", 1000000, BUDGET_MS), 1);
    tok_free(t);
    t = load("{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
             "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"u\":0},\"unk_token\":\"u\"}}");
    assert_int_equal(encode_run(t, " \n", 500000, BUDGET_MS), 1);
    tok_free(t);
}

/* ---- one tokenizer, several threads ---- */

typedef struct job {
    const tok     *t;
    const tok_ids *want;
    snug_slice     text;
    bool           same;
} job;

static void encode_often(void *arg)
{
    job    *j = arg;
    tok_ids ids = {0};
    j->same = true;
    for (int i = 0; i < 50; i++) {
        j->same = j->same && tok_encode(j->t, j->text, TOK_ADD_SPECIAL, &ids, NULL) == SNUG_OK &&
                  ids.count == j->want->count &&
                  memcmp(ids.ids, j->want->ids, ids.count * sizeof *ids.ids) == 0;
    }
    tok_ids_deinit(&ids);
}

static void threads_share_a_tokenizer(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_slice  json,
        text = SNUG_LIT("The king's men don't stop; 1234 \xc3\xa9t\xc3\xa9 <|endoftext|> x");
    tok    *t = NULL;
    tok_ids want = {0};
    (void)state;
    assert_int_equal(snug_read_file(a, SNUG_SOURCE_DIR "/tests/golden/tok/llama3/tokenizer.json",
                                    1 << 20, &json, NULL),
                     SNUG_OK);
    assert_int_equal(tok_load(json, &t, NULL), SNUG_OK);
    assert_int_equal(tok_encode(t, text, TOK_ADD_SPECIAL, &want, NULL), SNUG_OK);
    assert_true(want.count > 10);
    job          jobs[4];
    snug_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){t, &want, text, false};
        threads[i] = snug_thread_start("tok-test", 0, encode_often, &jobs[i]);
    }
    for (int i = 0; i < 4; i++) {
        snug_thread_join(threads[i]);
        assert_true(jobs[i].same);
    }
    tok_ids_deinit(&want);
    tok_free(t);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_long_word_is_cheap_to_merge),
        cmocka_unit_test(one_long_word_is_cheap_elsewhere),
        cmocka_unit_test(marks_and_spaces_are_cheap),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
