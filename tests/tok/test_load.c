/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_load.c - tokenizer.json files that are refused, and the questions a tok answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tok/tok.h"

#define MODEL                                                                                      \
    "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0,\"a\":1},\"unk_token\":\"<unk>\"}"
#define BPE(more) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}" more "}}"

static void refused(const char *json, snug_status want, const char *words)
{
    tok     *t = NULL;
    snug_err err = {0};
    assert_int_equal(tok_load(snug_str(json), &t, &err), want);
    if (strstr(err.msg, words) == NULL) fail_msg("%s: %s", json, err.msg);
    assert_null(t);
}

static void unknown_parts_are_named(void **state)
{
    (void)state;
    refused("{\"normalizer\":{\"type\":\"Foo\"}," MODEL "}", SNUG_EUNSUPPORTED,
            "normalizer \"Foo\" is not known");
    refused("{\"pre_tokenizer\":{\"type\":\"UnicodeRunes\"}," MODEL "}", SNUG_EUNSUPPORTED,
            "pre-tokenizer \"UnicodeRunes\" is not known");
    refused("{\"post_processor\":{\"type\":\"Bar\"}," MODEL "}", SNUG_EUNSUPPORTED,
            "post-processor \"Bar\"");
    refused("{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Baz\"}]}," MODEL "}",
            SNUG_EUNSUPPORTED, "decoder \"Baz\"");
    refused("{\"model\":{\"type\":\"Qux\"}}", SNUG_EUNSUPPORTED, "model \"Qux\"");
    refused("{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{}]}," MODEL
            "}",
            SNUG_EUNSUPPORTED, "normalizer \"\"");
    refused(BPE(",\"merges\":[],\"dropout\":1.1"), SNUG_EINVAL, "dropout");
    refused("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":"
            "\"Isolated\"}," MODEL "}",
            SNUG_EUNSUPPORTED, "pattern \"(a\" is not understood");
    refused("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":"
            "\"Odd\"}," MODEL "}",
            SNUG_EUNSUPPORTED, "behavior");
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    refused("", SNUG_EINVAL, "tokenizer.json: ");
    refused("{", SNUG_EINVAL, "tokenizer.json: ");
    refused("[]", SNUG_EINVAL, "must be an object");
    refused("{}", SNUG_EINVAL, "has no model");
    refused("{\"model\":{\"type\":\"WordLevel\"}}", SNUG_EINVAL, "vocab must be an object");
    refused("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":\"b\"}}}", SNUG_EINVAL,
            "id of \"a\"");
    refused("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1}}}", SNUG_EINVAL,
            "id of \"a\"");
    refused("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":4194304}}}", SNUG_EINVAL,
            "id of \"a\"");
    refused(BPE(""), SNUG_EINVAL, "merges must be a list");
    refused(BPE(",\"merges\":[[\"a\",\"c\"]]"), SNUG_EINVAL,
            "merge 0, \"a\" with \"c\", is not in the vocabulary");
    refused(BPE(",\"merges\":[[\"b\",\"a\"]]"), SNUG_EINVAL, "merge 0, \"b\" with \"a\"");
    refused(BPE(",\"merges\":[\"a b\",\"a\"]"), SNUG_EINVAL, "merge 1 is not a pair");
    refused(BPE(",\"merges\":[],\"unk_token\":3"), SNUG_EINVAL, "\"unk_token\" must be a string");
    refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", SNUG_EINVAL, "vocab must be a list");
    refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", SNUG_EINVAL, "entry 0");
    refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",-1.0]]}}", SNUG_EINVAL,
            "unk_id");
    refused("{\"added_tokens\":[{\"content\":\"x\"}]," MODEL "}", SNUG_EINVAL,
            "an added token needs");
    refused("{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
            "\"id\":\"x\",\"type_id\":0}}],"
            "\"pair\":[],\"special_tokens\":{}}," MODEL "}",
            SNUG_EINVAL, "special token \"x\" has no ids");
    refused("{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"x\",1],\"sep\":3}," MODEL
            "}",
            SNUG_EINVAL, "sep must be [token, id]");
    refused("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}," MODEL
            "}",
            SNUG_ECORRUPT, "precompiled_charsmap");
    refused("{\"truncation\":{\"max_length\":-1}," MODEL "}", SNUG_EINVAL, "truncation");
}

static void nesting_is_bounded(void **state)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 16);
    (void)state;
    snug_buf_puts(&b, "{\"normalizer\":");
    for (int i = 0; i < 10; i++) snug_buf_puts(&b, "{\"type\":\"Sequence\",\"normalizers\":[");
    snug_buf_puts(&b, "{\"type\":\"NFC\"}");
    for (int i = 0; i < 10; i++) snug_buf_puts(&b, "]}");
    snug_buf_puts(&b, "," MODEL "}");
    refused(snug_buf_cstr(&b), SNUG_ELIMIT, "nested deeper than 8");
}

static void model_type_may_be_missing(void **state)
{
    tok     *t = NULL;
    snug_err err = {0};
    (void)state;
    assert_int_equal(tok_load(SNUG_LIT("{\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
                                       "\"merges\":[\"#version: 0.2\",\"a b\"]}}"),
                              &t, &err),
                     SNUG_OK);
    tok_ids ids = {0};
    assert_int_equal(tok_encode(t, SNUG_LIT("abxa"), 0, &ids, &err), SNUG_OK);
    assert_int_equal(ids.count, 2); /* x is unknown and left out */
    assert_int_equal(ids.ids[0], 2);
    assert_int_equal(ids.ids[1], 0);
    tok_ids_deinit(&ids);
    tok_free(t);
}

static void questions(void **state)
{
    tok       *t = NULL;
    snug_err   err = {0};
    uint32_t   id;
    const char json[] = "{\"truncation\":{\"direction\":\"Left\",\"max_length\":7,\"strategy\":"
                        "\"OnlyFirst\",\"stride\":2},"
                        "\"padding\":{\"strategy\":{\"Fixed\":9},\"direction\":\"Left\",\"pad_to_"
                        "multiple_of\":8,\"pad_id\":3,"
                        "\"pad_type_id\":4,\"pad_token\":\"p\"},\"added_tokens\":[{\"id\":7,"
                        "\"content\":\"<s>\",\"special\":true},"
                        "{\"id\":9,\"content\":\"a\",\"special\":false}]," MODEL "}";
    (void)state;
    assert_int_equal(tok_load(snug_str(json), &t, &err), SNUG_OK);
    assert_int_equal(tok_vocab_size(t), 3);
    assert_true(tok_token_to_id(t, SNUG_LIT("<s>"), &id));
    assert_int_equal(id, 7);
    assert_true(tok_token_to_id(t, SNUG_LIT("a"), &id)); /* the model's id stays */
    assert_int_equal(id, 1);
    assert_false(tok_token_to_id(t, SNUG_LIT("b"), &id));
    assert_true(snug_eq_str(tok_id_to_token(t, 7), "<s>"));
    assert_int_equal(tok_id_to_token(t, 6).len, 0);
    assert_int_equal(tok_id_to_token(t, UINT32_MAX).len, 0);
    assert_true(tok_is_special(t, 7));
    assert_false(tok_is_special(t, 1));
    const tok_truncation *tr = tok_truncation_of(t);
    assert_true(tr->set && tr->left && tr->length_max == 7 && tr->stride == 2 &&
                tr->strategy == TOK_ONLY_FIRST);
    const tok_padding *p = tok_padding_of(t);
    assert_true(p->set && p->left && p->fixed == 9 && p->multiple == 8 && p->id == 3 &&
                p->type_id == 4);
    tok_free(t);
}

static void special_tokens_may_be_plain_text(void **state)
{
    tok     *t = NULL;
    snug_err err = {0};
    tok_ids  ids = {0};
    (void)state;
    assert_int_equal(
        tok_load(
            SNUG_LIT("{\"added_tokens\":[{\"id\":7,\"content\":\"<s>\",\"special\":true}]," MODEL
                     "}"),
            &t, &err),
        SNUG_OK);
    assert_int_equal(tok_encode(t, SNUG_LIT("a<s>"), 0, &ids, &err), SNUG_OK);
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.ids[1], 7);
    assert_int_equal(tok_encode(t, SNUG_LIT("a<s>"), TOK_SPECIAL_AS_TEXT, &ids, &err), SNUG_OK);
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.ids[0], 0);
    tok_ids_deinit(&ids);
    tok_free(t);
}

static void bad_texts_are_refused(void **state)
{
    tok     *t = NULL;
    snug_err err = {0};
    tok_ids  ids = {0};
    snug_buf big = snug_buf_init(TOK_TEXT_MAX + 2);
    (void)state;
    assert_int_equal(tok_load(SNUG_LIT("{" MODEL "}"), &t, &err), SNUG_OK);
    assert_int_equal(tok_encode(t, SNUG_LIT("a\xff"), 0, &ids, &err), SNUG_EINVAL);
    for (int i = 0; i <= TOK_TEXT_MAX; i++) snug_buf_putc(&big, 'a');
    assert_int_equal(tok_encode(t, snug_buf_slice(&big), 0, &ids, &err), SNUG_ELIMIT);
    snug_buf_deinit(&big);
    tok_ids_deinit(&ids);
    tok_free(t);
}

static void windows_without_room_are_refused(void **state)
{
    tok        *t = NULL;
    snug_err    err = {0};
    tok_windows w = {0};
    (void)state;
    assert_int_equal(tok_load(SNUG_LIT("{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"post_"
                                       "processor\":{\"type\":\"BertProcessing\","
                                       "\"cls\":[\"a\",1],\"sep\":[\"a\",1]}," MODEL "}"),
                              &t, &err),
                     SNUG_OK);
    tok_truncation tr = {.length_max = 1};
    assert_int_equal(tok_encode_windows(t, SNUG_LIT("a a a"), NULL, TOK_ADD_SPECIAL, &tr, &w, &err),
                     SNUG_EINVAL);
    assert_non_null(strstr(err.msg, "no room for 2 special tokens"));
    tr = (tok_truncation){.length_max = 4, .stride = 2};
    assert_int_equal(tok_encode_windows(t, SNUG_LIT("a a a"), NULL, TOK_ADD_SPECIAL, &tr, &w, &err),
                     SNUG_EINVAL);
    assert_non_null(strstr(err.msg, "stride of 2"));
    tr = (tok_truncation){.length_max = 2};
    assert_int_equal(tok_encode_windows(t, SNUG_LIT("a a a"), NULL, TOK_ADD_SPECIAL, &tr, &w, &err),
                     SNUG_OK);
    assert_int_equal(w.count, 2); /* nothing, and the rest */
    assert_int_equal(w.items[0].count, 2);
    assert_int_equal(w.items[1].count, 5);
    tr = (tok_truncation){.length_max = 4, .strategy = TOK_ONLY_SECOND};
    assert_int_equal(tok_encode_windows(t, SNUG_LIT("a a a"), NULL, TOK_ADD_SPECIAL, &tr, &w, &err),
                     SNUG_EINVAL);
    const snug_slice nothing = SNUG_EMPTY;
    tr = (tok_truncation){.length_max = 4};
    assert_int_equal(tok_encode_windows(t, nothing, &nothing, TOK_ADD_SPECIAL, &tr, &w, &err),
                     SNUG_OK);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.items[0].count, 3);
    assert_int_equal(w.items[0].special[1], 1);
    tok_windows_deinit(&w);
    tok_free(t);
}

/* U+11A7 comes before the final consonants of Hangul and is none of them. */
static void hangul_base_does_not_compose(void **state)
{
    tok    *t = NULL;
    tok_ids ids = {0};
    (void)state;
    assert_int_equal(tok_load(SNUG_LIT("{\"normalizer\":{\"type\":\"NFC\"},\"model\":{\"type\":"
                                       "\"WordLevel\",\"unk_token\":\"x\",\"vocab\":{\"x\":0,"
                                       "\"\xed\x93\xa8\xe1\x86\xa7\":1}}}"),
                              &t, NULL),
                     SNUG_OK);
    assert_int_equal(tok_encode(t, SNUG_LIT("\xed\x93\xa8\xe1\x86\xa7"), 0, &ids, NULL), SNUG_OK);
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.ids[0], 1);
    tok_ids_deinit(&ids);
    tok_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hangul_base_does_not_compose),
        cmocka_unit_test(unknown_parts_are_named),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(model_type_may_be_missing),
        cmocka_unit_test(questions),
        cmocka_unit_test(special_tokens_may_be_plain_text),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(windows_without_room_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
