/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - any bytes get a verdict that is the worst of what was found, and only safe bytes
 * give tensors, whose views lie inside their storages. */
#include <stdlib.h>

#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy_all(const codec_checkpoint *c)
{
    uint64_t count;
    snug_err err = {0};
    for (size_t i = 0; i < c->count; i++) {
        const codec_view *v = &c->tensors[i];
        unsigned          width = codec_dtype_bits(v->tensor.dtype) / 8;
        SNUG_ASSERT(codec_view_check(v, &count, &err) == SNUG_OK);
        uint64_t       n = count < 4096 ? count : 4096;
        unsigned char *p = snug_alloc((size_t)n * width + 1);
        codec_view_copy(v, 0, n, p);
        codec_view_copy(v, count - n, n, p);
        free(p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena      *a = snug_arena_new();
    snug_err         err = {0};
    codec_scan       s;
    codec_checkpoint c;
    codec_verdict    worst = CODEC_SAFE;
    codec_scan_bytes(a, snug_slice_of(data, size), &s);
    for (size_t i = 0; i < s.import_count; i++) {
        SNUG_ASSERT(s.imports[i].verdict ==
                    codec_judge_import(s.imports[i].module, s.imports[i].name));
        if (s.imports[i].verdict > worst) worst = s.imports[i].verdict;
    }
    for (size_t i = 0; i < s.remark_count; i++) {
        if (s.remarks[i].verdict > worst) worst = s.remarks[i].verdict;
    }
    SNUG_ASSERT(s.verdict == worst && s.format != NULL);
    if (codec_checkpoint_open(a, snug_slice_of(data, size), &c, &err) == SNUG_OK) {
        SNUG_ASSERT(s.verdict == CODEC_SAFE && c.count > 0);
        copy_all(&c);
    } else {
        SNUG_ASSERT(err.msg[0] != '\0');
    }
    snug_arena_free(a);
    return 0;
}
