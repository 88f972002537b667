/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_forms.c - the older forms of tokenizers against what their own libraries do, and
 * damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tok/forms.h"
#include "tok/tok_int.h"

#define HOME SNUG_SOURCE_DIR "/tests/golden/tok-forms/"

static void run_case(const tok *t, const char *form, snug_json c)
{
    tok_ids    ids = {0};
    snug_err   err = {0};
    snug_slice text = snug_json_str_or(c, "text", SNUG_EMPTY), token;
    snug_json  want = snug_json_get(c, "ids"), tokens = snug_json_get(c, "tokens");
    if (tok_encode(t, text, TOK_KEEP_TEXTS, &ids, &err) != SNUG_OK)
        fail_msg("%s: %.*s: %s", form, SNUG_SLICE(text), err.msg);
    if (snug_json_count(want) != ids.count)
        fail_msg("%s: \"%.*s\" gives %zu tokens", form, SNUG_SLICE(text), ids.count);
    for (size_t i = 0; i < ids.count; i++) {
        uint64_t id = UINT64_MAX;
        if (!snug_json_to_u64(snug_json_at(want, i), &id) || id != ids.ids[i])
            fail_msg("%s: \"%.*s\": token %zu is %u", form, SNUG_SLICE(text), i, ids.ids[i]);
        if (!snug_json_to_str(snug_json_at(tokens, i), &token)) continue;
        snug_slice got = tok_ids_text(&ids, i);
        if (snug_eq_str(got, "<unk>")) continue; /* sentencepiece shows what was not known */
        assert_true(snug_eq(token, got));
    }
    tok_ids_deinit(&ids);
}

static void run_form(const char *form)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   g;
    snug_slice  text;
    tok        *t = NULL;
    const char *dir = snug_arena_printf(a, "%s%s", HOME, form).ptr;
    assert_int_equal(
        snug_read_file(a, snug_arena_printf(a, "%s/cases.json", dir).ptr, 1 << 22, &text, &err),
        SNUG_OK);
    assert_int_equal(snug_json_parse(a, text, NULL, &g, &err), SNUG_OK);
    if (tok_open(dir, &t, &err) != SNUG_OK) fail_msg("%s: %s", dir, err.msg);
    assert_true(snug_json_count(snug_json_get(g, "cases")) > 50);
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(g, "cases")); snug_json_next(&it);)
        run_case(t, form, it.value);
    tok_free(t);
    snug_arena_free(a);
}

static void sentencepiece(void **state)
{
    (void)state;
    run_form("spm-unigram");
    run_form("spm-unigram-bytes");
    run_form("spm-bpe");
    run_form("spm-bpe-bytes");
}

static void by_rank(void **state)
{
    (void)state;
    run_form("tiktoken");
    run_form("tekken");
}

static void vocabularies(void **state)
{
    (void)state;
    run_form("vocab-json");
    run_form("vocab-txt");
}

static snug_status make(tok_form_fn *fn, const char *file, size_t len, tok **t, snug_err *err)
{
    SNUG_AUTO(snug_buf) out = snug_buf_init(1 << 20);
    tok_beside  b = {.arena = snug_arena_new(), .name = SNUG_LIT("x.tiktoken")};
    snug_status st = fn(&b, snug_slice_of(file, len), &out, err);
    if (st == SNUG_OK) st = tok_load(snug_buf_slice(&out), t, err);
    snug_arena_free(b.arena);
    return st;
}

static void damaged(void **state)
{
    static const char cut[] = "\x0a\x7f\x0a\x03<s>", word[] = "\x0a\x05\x0a\x03<s>\x12\x02\x18\x03";
    snug_err          err = {0};
    tok              *t = NULL;
    (void)state;
    assert_int_equal(make(tok_form_spm, cut, sizeof cut - 1, &t, &err), SNUG_ECORRUPT);
    assert_int_equal(make(tok_form_spm, "", 0, &t, &err), SNUG_ECORRUPT);
    assert_int_equal(make(tok_form_spm, word, sizeof word - 1, &t, &err), SNUG_EUNSUPPORTED);
    assert_int_equal(make(tok_form_tiktoken, "IQ== 5\n", 7, &t, &err), SNUG_EINVAL);
    assert_int_equal(make(tok_form_tiktoken, "IQ== x\n", 7, &t, &err), SNUG_EINVAL);
    assert_int_equal(make(tok_form_tekken, "{}", 2, &t, &err), SNUG_EINVAL);
    assert_int_equal(make(tok_form_vocab_json, "[", 1, &t, &err), SNUG_EINVAL);
    assert_null(t);
}

/* What stands beside decides on case and special tokens. */
static void beside(void **state)
{
    static const char config[] = "{\"do_lower_case\": false, \"cls_token\": {\"content\": \"<c>\"},"
                                 "\"added_tokens_decoder\": {\"9\": {\"content\": \"<new>\","
                                 " \"special\": true}}}";
    static const char vocab[] = "[UNK]\n<c>\n[SEP]\nA\na\n##b";
    char              dir[] = "/tmp/snug-forms-XXXXXX";
    snug_arena       *a = snug_arena_new();
    snug_err          err = {0};
    tok              *t = NULL;
    tok_ids           ids = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    const char *path = snug_arena_printf(a, "%s/vocab.txt", dir).ptr,
               *conf = snug_arena_printf(a, "%s/tokenizer_config.json", dir).ptr;
    assert_int_equal(snug_write_file_atomic(path, snug_str(vocab), 0600, &err), SNUG_OK);
    assert_int_equal(snug_write_file_atomic(conf, snug_str(config), 0600, &err), SNUG_OK);
    if (tok_open(dir, &t, &err) != SNUG_OK) fail_msg("%s", err.msg);
    assert_int_equal(tok_encode(t, SNUG_LIT("Ab ab<new>x"), TOK_ADD_SPECIAL, &ids, &err), SNUG_OK);
    static const uint32_t want[] = {1, 3, 5, 4, 5, 9, 0, 2};
    assert_int_equal(ids.count, 8);
    assert_memory_equal(ids.ids, want, sizeof want);
    tok_ids_deinit(&ids);
    tok_free(t);
    assert_int_equal(snug_remove_tree(dir, &err), SNUG_OK);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sentencepiece), cmocka_unit_test(by_rank),
                                       cmocka_unit_test(vocabularies), cmocka_unit_test(damaged),
                                       cmocka_unit_test(beside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
