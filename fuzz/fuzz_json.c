/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: base */
/* fuzz/fuzz_json.c - any bytes as JSON: both ways of reading agree, and what is accepted survives
 * writing and reading again. The first byte chooses the flags, the rest is the text. */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"

enum { WRITTEN_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(snug_json v, bool pretty, snug_buf *out)
{
    snug_json_out o = snug_json_out_init(out);
    o.pretty = pretty;
    snug_jo_value(&o, v);
}

/* Each member and element can be reached by key and by index. */
static void walk(snug_json v)
{
    size_t index = 0;
    bool   object = snug_json_is(v, SNUG_JSON_OBJECT);
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it); index++) {
        if (object) {
            SNUG_ASSERT(snug_utf8_valid(it.key));
            SNUG_ASSERT(!snug_json_is(snug_json_get_slice(v, it.key), SNUG_JSON_ABSENT));
        } else {
            SNUG_ASSERT(snug_json_at(v, index).node == it.value.node);
        }
        walk(it.value);
    }
    SNUG_ASSERT(index == snug_json_count(v));
}

static void survive(snug_arena *a, snug_json v, const snug_json_opts *opts)
{
    SNUG_AUTO(snug_buf) once = snug_buf_init(WRITTEN_MAX);
    SNUG_AUTO(snug_buf) twice = snug_buf_init(WRITTEN_MAX);
    snug_json again;
    snug_err  err;
    write_again(v, (opts->flags & 16u) != 0, &once);
    SNUG_ASSERT(!once.full);
    SNUG_ASSERT(snug_json_parse(a, snug_buf_slice(&once), opts, &again, &err) == SNUG_OK);
    write_again(again, (opts->flags & 16u) != 0, &twice);
    SNUG_ASSERT(snug_eq(snug_buf_slice(&once), snug_buf_slice(&twice)));
    walk(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    snug_json_opts opts = {.flags = data[0] & (unsigned)~SNUG_JSON_BORROW, .depth_max = 64};
    snug_slice     text = snug_slice_of(data + 1, size - 1);
    snug_arena    *a = snug_arena_new();
    snug_json      v, w;
    snug_err       err;
    snug_status    st = snug_json_parse(a, text, &opts, &v, &err);
    opts.flags |= SNUG_JSON_BORROW;
    SNUG_ASSERT(snug_json_parse(a, text, &opts, &w, &err) == st);
    if (st == SNUG_OK) {
        survive(a, v, &opts);
        survive(a, w, &opts);
    }
    snug_arena_free(a);
    return 0;
}
