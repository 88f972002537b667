/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: tok - the first byte chooses a trainer, then comes a tokenizer.json to be like, a NUL, and
 * the text. What is trained loads and encodes that text. */
#include "tok/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const tok_train *o, snug_slice text)
{
    tok_trainer *trainer = NULL;
    tok         *t = NULL;
    tok_ids      ids = {0};
    snug_buf     out = snug_buf_init(1 << 24);
    snug_status  st = tok_trainer_new(o, &trainer, NULL);
    for (snug_slice line; st == SNUG_OK && snug_split(&text, '\n', &line);)
        st = tok_trainer_feed(trainer, line, NULL);
    if (st == SNUG_OK) st = tok_trainer_finish(trainer, &out, NULL);
    if (st == SNUG_OK && tok_load(snug_buf_slice(&out), &t, NULL) == SNUG_OK &&
        tok_encode(t, SNUG_LIT("a bc"), TOK_ADD_SPECIAL, &ids, NULL) == SNUG_OK)
        SNUG_ASSERT(ids.count < 1000);
    tok_ids_deinit(&ids);
    tok_free(t);
    tok_trainer_free(trainer);
    snug_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"BPE", "WordPiece", "Unigram", "WordLevel", NULL};
    if (size == 0) return 0;
    const char *model = models[data[0] % 5];
    tok_train   o = tok_train_defaults(model);
    snug_slice  rest = snug_slice_of(data + 1, size - 1);
    size_t      nul = snug_index(rest, '\0');
    o.vocab_size = 60 + data[0];
    o.byte_fallback = (data[0] & 128) != 0;
    o.max_token_length = data[0] & 64 ? 5 : 0;
    if (nul != SIZE_MAX) {
        o.like = snug_sub(rest, 0, nul);
        rest = snug_sub(rest, nul + 1, rest.len);
    }
    use(&o, rest);
    return 0;
}
