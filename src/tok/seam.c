/* SPDX-License-Identifier: Apache-2.0 */
/* tok/seam.c - places in a text that no token can reach across.
 *
 * For:     bpe.c, on bytes.
 * Threads: the table is constant once built.
 * Truth:   byte pair encoding only ever makes tokens. Where no token of the vocabulary has these
 *          bytes side by side, nothing is joined, so both sides can be encoded alone.
 *
 * The languages written without spaces give words of hundreds of bytes, none of which comes twice;
 * their parts between such places do. A place is known by up to three bytes before it and three
 * after. Every token marks the places inside it, with as many bytes as it has there, in a bit table
 * by hash; a text asks for every number of bytes a token may have had. Two that share a bit only
 * cost a cut that could have been. Only places before a character of three or more bytes count:
 * there are few of them in other texts. */
#include "tok/tok_int.h"

enum { SEAM_BITS = 1 << 20, AROUND = 3 };

static bool begins_wide(char c) { return (unsigned char)c >= 0xe0; }

static size_t bit_of(const char *text, size_t at, size_t before, size_t after)
{
    uint64_t v = before << 4 | after;
    for (size_t i = at - before; i < at + after; i++) v = v << 8 | (unsigned char)text[i];
    v *= 0x9e3779b97f4a7c15u;
    v ^= v >> 32;
    return (size_t)(v * 0xd6e8feb86659fd93u >> 44) & (SEAM_BITS - 1);
}

static void mark(uint64_t *seams, const char *text, size_t len)
{
    for (size_t at = 1; at < len; at++) {
        if (!begins_wide(text[at])) continue;
        size_t before = at < AROUND ? at : AROUND, after = len - at < AROUND ? len - at : AROUND;
        size_t bit = bit_of(text, at, before, after);
        seams[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

/* The bytes that begin wide characters are seen as U+00E0 and up: C3 A0 and up. */
static bool has_wide(snug_slice key)
{
    for (const char *p = key.ptr, *end = key.ptr + key.len; p < end; p += 2) {
        p = memchr(p, 0xc3, (size_t)(end - p));
        if (p == NULL) return false;
        if ((unsigned char)p[1] >= 0xa0) return true; /* keys are valid UTF-8 */
    }
    return false;
}

uint64_t *tok_seams_new(snug_arena *a, const tok_vocab *mapped)
{
    uint64_t *seams = snug_arena_zalloc(a, SEAM_BITS / 8);
    char      text[1024];
    for (size_t i = 0; i < mapped->count; i++) {
        snug_slice key = mapped->keys[i];
        size_t     n = 0;
        if (!has_wide(key)) continue;
        for (size_t at = 0; at < key.len; at += tok_utf8_len((unsigned char)key.ptr[at])) {
            int b = tok_cp_to_byte(tok_cp(key.ptr + at));
            if (n == sizeof text) { /* a giant is marked in parts that overlap */
                mark(seams, text, n);
                memmove(text, text + n - 2 * AROUND, 2 * AROUND);
                n = 2 * AROUND;
            }
            if (b >= 0) text[n++] = (char)b;
        }
        mark(seams, text, n);
    }
    return seams;
}

static bool is_spanned(const uint64_t *seams, const char *text, size_t len, size_t at)
{
    for (size_t before = 1; before <= AROUND && before <= at; before++) {
        for (size_t after = 1; after <= AROUND && at + after <= len; after++) {
            size_t bit = bit_of(text, at, before, after);
            if ((seams[bit / 64] >> bit % 64 & 1u) != 0) return true;
        }
    }
    return false;
}

size_t tok_seam_next(const uint64_t *seams, const char *text, size_t len, size_t at)
{
    for (at++; at < len; at++) {
        if (begins_wide(text[at]) && !is_spanned(seams, text, len, at)) return at;
    }
    return len;
}
