/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_train.c - trainers: ties, orders, affixes, what is refused. Against the reference:
 * tests/clients/test_tokenize_train.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tok/tok.h"

static const char *train(const tok_train *o, const char *const *texts, snug_buf *out)
{
    static snug_err err;
    tok_trainer    *t = NULL;
    snug_buf_clear(out);
    err = (snug_err){0};
    if (tok_trainer_new(o, &t, &err) != SNUG_OK) return err.msg;
    for (size_t i = 0; texts[i] != NULL; i++) {
        if (tok_trainer_feed(t, snug_str(texts[i]), &err) != SNUG_OK) break;
    }
    if (err.msg[0] == '\0' && tok_trainer_finish(t, out, &err) == SNUG_OK) {
        tok *made = NULL;
        assert_int_equal(tok_load(snug_buf_slice(out), &made, &err), SNUG_OK);
        tok_free(made);
    }
    tok_trainer_free(t);
    return err.msg;
}

static void expect(const tok_train *o, const char *const *texts, const char *part)
{
    snug_buf    out = snug_buf_init(1 << 20);
    const char *msg = train(o, texts, &out);
    if (msg[0] != '\0' || strstr(snug_buf_cstr(&out), part) == NULL)
        fail_msg("%s\n%s\nlacks %s", msg, snug_buf_cstr(&out), part);
    snug_buf_deinit(&out);
}

#define WORDS "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}}"

static void ties_go_to_smaller_ids(void **state)
{
    static const char *const texts[] = {"ab cd", "cd ab", NULL};
    tok_train                o = tok_train_defaults("BPE");
    (void)state;
    o.like = SNUG_LIT(WORDS);
    o.vocab_size = 6;
    expect(&o, texts,
           "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"ab\":4,\"cd\":5},"
           "\"merges\":[[\"a\",\"b\"],[\"c\",\"d\"]]");
    o.vocab_size = 5;
    expect(&o, texts, "\"merges\":[[\"a\",\"b\"]]");
    o.min_frequency = 3;
    expect(&o, texts, "\"merges\":[]");
}

static void repeated_letters_do_not_overlap(void **state)
{
    static const char *const texts[] = {"aaaaa", NULL};
    tok_train                o = tok_train_defaults("BPE");
    (void)state;
    o.like = SNUG_LIT(WORDS);
    o.vocab_size = 10;
    expect(&o, texts, "\"merges\":[[\"a\",\"a\"],[\"aa\",\"a\"],[\"aa\",\"aaa\"]]");
    o.max_token_length = 4;
    expect(&o, texts, "\"merges\":[[\"a\",\"a\"],[\"aa\",\"a\"]]");
}

static void affixes_and_alphabet(void **state)
{
    static const char *const texts[] = {"xyz xyz xq", NULL};
    tok_train                o = tok_train_defaults("WordPiece");
    tok_special              s = {.content = SNUG_LIT("[UNK]")};
    (void)state;
    o.like = SNUG_LIT(WORDS);
    o.specials = &s;
    o.special_count = 1;
    o.vocab_size = 9;
    expect(&o, texts,
           "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{"
           "\"[UNK]\":0,\"q\":1,\"x\":2,\"y\":3,\"z\":4,\"##y\":5,\"##z\":6,\"##q\":7,\"xy\":8}");
    o.model = "BPE";
    o.prefix = SNUG_EMPTY;
    o.suffix = SNUG_LIT("</w>");
    o.limit_alphabet = 3; /* q goes: it comes once */
    o.alphabet = SNUG_LIT("");
    expect(&o, texts, "\"vocab\":{\"[UNK]\":0,\"x\":1,\"y\":2,\"z\":3,\"z</w>\":4,");
}

static void orders_do_not_matter(void **state)
{
    static const char *const one[] = {"the cat sat on the mat", "a cat", NULL};
    static const char *const two[] = {"a cat", "the mat on sat the cat", NULL};
    static const char *const models[] = {"BPE", "WordPiece", "Unigram", "WordLevel"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        snug_buf  a = snug_buf_init(1 << 20), b = snug_buf_init(1 << 20);
        tok_train o = tok_train_defaults(models[i]);
        o.like = SNUG_LIT(WORDS);
        o.vocab_size = 20;
        assert_string_equal(train(&o, one, &a), "");
        assert_string_equal(train(&o, two, &b), "");
        assert_true(snug_eq(snug_buf_slice(&a), snug_buf_slice(&b)));
        snug_buf_deinit(&a);
        snug_buf_deinit(&b);
    }
}

static void words_by_count(void **state)
{
    static const char *const texts[] = {"b a b c a d", NULL};
    tok_train                o = tok_train_defaults("WordLevel");
    tok_special              s = {.content = SNUG_LIT("<unk>")};
    (void)state;
    o.like = SNUG_LIT(WORDS);
    o.specials = &s;
    o.special_count = 1;
    o.vocab_size = 4;
    expect(&o, texts, "\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2,\"c\":3}");
    o.min_frequency = 2;
    expect(&o, texts, "\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2}");
}

static void bytes_for_the_unknown(void **state)
{
    static const char *const texts[] = {"ab ab", NULL};
    tok_train                o = tok_train_defaults("Unigram");
    (void)state;
    o.like = SNUG_LIT(WORDS);
    o.unk = SNUG_LIT("<unk>");
    o.byte_fallback = true;
    o.vocab_size = 300;
    expect(&o, texts, "\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"<0x00>\",0.0]");
}

static void mistakes(void **state)
{
    static const char *const texts[] = {"abc", NULL};
    static const char *const bad[] = {"a\xff", NULL};
    snug_buf                 out = snug_buf_init(1 << 20);
    tok_train                o = tok_train_defaults("Unigram");
    (void)state;
    o.like = SNUG_LIT(WORDS);
    assert_string_equal(train(&o, bad, &out), "text is not valid UTF-8");
    o.vocab_size = 2;
    assert_non_null(strstr(train(&o, texts, &out), "cannot hold the 3 characters"));
    o.shrinking_factor = 1;
    assert_non_null(strstr(train(&o, texts, &out), "shrinking factor"));
    o = tok_train_defaults("CharLevel");
    assert_non_null(strstr(train(&o, texts, &out), "\"CharLevel\" cannot be trained"));
    o = tok_train_defaults("BPE");
    o.vocab_size = 0;
    assert_non_null(strstr(train(&o, texts, &out), "the vocabulary must have"));
    o = tok_train_defaults("BPE");
    o.like = SNUG_LIT("{\"pre_tokenizer\":{\"type\":\"Nonsense\"}}");
    assert_non_null(strstr(train(&o, texts, &out), "Nonsense"));
    snug_buf_deinit(&out);
}

static void nothing_at_all(void **state)
{
    static const char *const none[] = {NULL};
    static const char *const models[] = {"BPE", "WordPiece", "Unigram", "WordLevel"};
    snug_buf                 out = snug_buf_init(1 << 20);
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        tok_train o = tok_train_defaults(models[i]);
        o.unk = SNUG_LIT("<unk>");
        assert_string_equal(train(&o, none, &out), "");
    }
    snug_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ties_go_to_smaller_ids),
        cmocka_unit_test(repeated_letters_do_not_overlap),
        cmocka_unit_test(affixes_and_alphabet),
        cmocka_unit_test(orders_do_not_matter),
        cmocka_unit_test(words_by_count),
        cmocka_unit_test(bytes_for_the_unknown),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
