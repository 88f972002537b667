/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_stream.c - every kind of decoder as a stream: what comes out bit by bit is what
 * comes out at once, no character is ever split, and nothing that was passed on is taken back.
 *
 * Whole decodings are compared with the library in tests/clients/test_tokenize_rows.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tok/tok.h"

#define VOCAB                                                                                      \
    "\"<unk>\":0,\"a\":1,\"##b\":2,\"\xe2\x96\x81 c\":3,\"\xe2\x96\x81\":4,\"e</w>\":5,"           \
    "\"<0xE4>\":6,\"<0xB8>\":7,\"<0xAD>\":8,\"<0x41>\":9,\"\xc3\xa4\":10,\"\xc2\xb8\":11,"         \
    "\"\xc5\x83\":12,\"\xc4\xa0the\":13,\"|\":14,\"<pad>\":15,\".\":16,\" do\":17,\" not\":18,"    \
    "\"\xe4\xb8\xad\":19,\"n't\":20,\"<s>\":21,\"o\":22,\"oo\":23,\" \":24,\"'s\":25,"             \
    "\"\xf0\x9f\x91\x8d\":26,\"\xc3\xb0\":27,\"\xc5\x81\":28,\"<0xF0>\":29,\"<0x9F>\":30"
#define FEW_IDS 31

static const char *const decoders[] = {
    "null",
    "{\"type\":\"ByteLevel\"}",
    "{\"type\":\"ByteFallback\"}",
    "{\"type\":\"Fuse\"}",
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\"}",
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"never\"}",
    "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}",
    "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":false}",
    "{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}",
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":1}",
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"o+\"},\"content\":\"0\"}",
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},\"content\":\" \"}",
    "{\"type\":\"CTC\",\"pad_token\":\"<pad>\",\"word_delimiter_token\":\"|\",\"cleanup\":true}",
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
    "\"\xe2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Replace\",\"pattern\":"
    "{\"Regex\":\"o+\"},\"content\":\"0\"}]}",
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"},{\"type\":\"WordPiece\","
    "\"prefix\":\"##\",\"cleanup\":true}]}",
};

static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static tok *load(const char *decoder)
{
    char     json[4096];
    tok     *t = NULL;
    snug_err err = {0};
    (void)snprintf(json, sizeof json,
                   "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"<unk>\",\"vocab\":{" VOCAB
                   "}},\"decoder\":%s,\"added_tokens\":[{\"id\":21,\"content\":\"<s>\","
                   "\"special\":true}]}",
                   decoder);
    if (tok_load(snug_str(json), &t, &err) != SNUG_OK) fail_msg("%s: %s", decoder, err.msg);
    return t;
}

/* One text through a stream in parts of random sizes, each part into a buffer of its own. */
static void check(tok_stream *s, const uint32_t *ids, size_t n, snug_slice want, uint64_t *state)
{
    SNUG_AUTO(snug_buf) all = snug_buf_init(1 << 20);
    for (size_t at = 0; at <= n;) {
        SNUG_AUTO(snug_buf) part = snug_buf_init(1 << 20);
        size_t end = at + 1 + draw(state) % 4;
        for (; at < end && at < n; at++)
            assert_int_equal(tok_stream_push(s, ids[at], &part, NULL), SNUG_OK);
        if (at == n) {
            assert_int_equal(tok_stream_end(s, &part, NULL), SNUG_OK);
            at = n + 1;
        }
        assert_true(snug_utf8_valid(snug_buf_slice(&part)));
        snug_buf_put_slice(&all, snug_buf_slice(&part));
        if (all.len > want.len || memcmp(all.ptr == NULL ? "" : all.ptr, want.ptr, all.len) != 0)
            fail_msg("\"%.*s\" does not begin \"%.*s\"", (int)all.len, all.ptr, SNUG_SLICE(want));
    }
    assert_true(snug_eq(snug_buf_slice(&all), want));
}

static void streams_say_what_decoding_says(void **state)
{
    uint64_t seed = 11;
    (void)state;
    for (size_t d = 0; d < sizeof decoders / sizeof decoders[0]; d++) {
        tok        *t = load(decoders[d]);
        tok_stream *both[2] = {tok_stream_new(t, false), tok_stream_new(t, true)};
        for (int round = 0; round < 2000; round++) {
            uint32_t ids[24];
            size_t   n = draw(&seed) % 24;
            bool     skip = draw(&seed) % 2 != 0;
            SNUG_AUTO(snug_buf) want = snug_buf_init(1 << 20);
            for (size_t i = 0; i < n; i++) /* bytes of one character often come in a row */
                ids[i] = i > 0 && draw(&seed) % 3 != 0 ? (ids[i - 1] + 1) % FEW_IDS
                                                       : draw(&seed) % (FEW_IDS + 1);
            assert_int_equal(tok_decode(t, ids, n, skip, &want, NULL), SNUG_OK);
            check(both[skip], ids, n, snug_slice_of(want.len > 0 ? want.ptr : "", want.len), &seed);
        }
        tok_stream_free(both[0]);
        tok_stream_free(both[1]);
        tok_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(streams_say_what_decoding_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
