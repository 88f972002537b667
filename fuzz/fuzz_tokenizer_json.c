/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: tok - any bytes as tokenizer.json, and the text after the first NUL through it. Offsets lie
 * in the text; a stream gives what the whole gives. */
#include "tok/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const tok *t, const tok_ids *ids)
{
    snug_buf    whole = snug_buf_init(1 << 22), stream = snug_buf_init(1 << 22);
    tok_stream *s = tok_stream_new(t, false);
    snug_status st = tok_decode(t, ids->ids, ids->count, false, &whole, NULL), other = SNUG_OK;
    for (size_t i = 0; i < ids->count && other == SNUG_OK; i++)
        other = tok_stream_push(s, ids->ids[i], &stream, NULL);
    if (other == SNUG_OK) other = tok_stream_end(s, &stream, NULL);
    if (st == SNUG_OK && other == SNUG_OK)
        SNUG_ASSERT(snug_eq(snug_buf_slice(&whole), snug_buf_slice(&stream)));
    tok_stream_free(s);
    snug_buf_deinit(&whole);
    snug_buf_deinit(&stream);
}

static void use(const tok *t, snug_slice text)
{
    tok_ids        ids = {0};
    tok_windows    w = {0};
    tok_truncation tr = {.length_max = 9, .stride = 2};
    if (tok_encode(t, text, TOK_ADD_SPECIAL, &ids, NULL) == SNUG_OK) {
        for (size_t i = 0; i < ids.count; i++) SNUG_ASSERT(ids.end[i] <= text.len + 4096);
        decode(t, &ids);
    }
    if (tok_encode_windows(t, text, &text, TOK_ADD_SPECIAL, &tr, &w, NULL) == SNUG_OK)
        SNUG_ASSERT(w.count > 0);
    tok_windows_deinit(&w);
    tok_ids_deinit(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice all = snug_slice_of(data, size), json = all,
               text = SNUG_LIT("Hello  w\xc3\xb6rld's <s> 12\n\xe6\xbc\xa2");
    size_t   nul = snug_index(all, '\0');
    snug_err err = {0};
    tok     *t = NULL;
    if (nul != SIZE_MAX) {
        json = snug_sub(all, 0, nul);
        text = snug_sub(all, nul + 1, size);
    }
    if (tok_load(json, &t, &err) == SNUG_OK) {
        use(t, text);
        tok_free(t);
    } else {
        SNUG_ASSERT(err.msg[0] != '\0');
    }
    return 0;
}
