/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/golden.h - files of tests/golden/codec, and sentences compared. */
#ifndef SNUG_TESTS_CODEC_GOLDEN_H
#define SNUG_TESTS_CODEC_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/codec/"

static inline snug_slice load(snug_arena *a, const char *name)
{
    snug_err   err = {0};
    snug_slice bytes;
    if (snug_read_file(a, snug_arena_printf(a, GOLDEN "%s", name).ptr, 1 << 20, &bytes, &err) !=
        SNUG_OK)
        fail_msg("%s cannot be read", name);
    return bytes;
}

static inline void says(const snug_err *err, const char *words)
{
    if (strstr(err->msg, words) == NULL) fail_msg("\"%s\" does not say \"%s\"", err->msg, words);
}

static inline void put_int(snug_buf *b, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++) snug_buf_putc(b, i < 8 ? (char)(v >> (8 * i) & 255) : 0);
}

#endif
