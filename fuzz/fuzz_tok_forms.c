/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: tok - the older forms of tokenizers: the first byte chooses one, the rest is the file. What
 * it makes must be a document that loads or is refused, and encodes. */
#include "tok/forms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tok_form_fn *const forms[] = {tok_form_spm,       tok_form_tiktoken,   tok_form_tekken,
                                         tok_form_vocab_txt, tok_form_vocab_json, tok_form_gguf};
    if (size == 0) return 0;
    snug_buf    out = snug_buf_init(1 << 22);
    tok_beside  b = {.arena = snug_arena_new(), .merges = SNUG_LIT("#version: 0.2\na b\n")};
    snug_slice  file = snug_slice_of(data + 1, size - 1);
    tok        *t = NULL;
    tok_ids     ids = {0};
    snug_status st = forms[data[0] % (sizeof forms / sizeof forms[0])](&b, file, &out, NULL);
    if (st == SNUG_OK && !out.full) st = tok_load(snug_buf_slice(&out), &t, NULL);
    if (t != NULL &&
        tok_encode(t, SNUG_LIT("a b  c\xe6\xbc\xa2"), TOK_ADD_SPECIAL, &ids, NULL) == SNUG_OK)
        SNUG_ASSERT(ids.count <= 4096);
    tok_ids_deinit(&ids);
    tok_free(t);
    snug_buf_deinit(&out);
    snug_arena_free(b.arena);
    return 0;
}
