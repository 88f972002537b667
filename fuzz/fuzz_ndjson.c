/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: api - the body of a commit. The first byte says how the rest is cut. */
#include "api/api_int.h"

static snug_status take(void *arg, const api_op *op, snug_err *err)
{
    size_t *sum = arg;
    (void)err;
    /* Touch what was handed over, so that a slice into freed memory is seen. */
    const snug_slice parts[] = {op->path,   op->old_path, op->summary,  op->description,
                                op->parent, op->content,  op->src_path, op->src_rev};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (size_t k = 0; k < parts[i].len; k++) *sum += (unsigned char)parts[i].ptr[k];
    }
    return SNUG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    size_t      step = (size_t)data[0] + 1, sum = 0;
    snug_err    err = {0};
    snug_slice  text = snug_slice_of(data + 1, size - 1);
    api_lines   l = api_lines_init(64 << 10, take, &sum);
    snug_status st = SNUG_OK;
    for (size_t off = 0; off < text.len && st == SNUG_OK; off += step)
        st = api_lines_feed(&l, snug_sub(text, off, step), &err);
    if (st == SNUG_OK) st = api_lines_end(&l, &err);
    SNUG_ASSERT(st == SNUG_OK || err.msg[0] != '\0');
    api_lines_deinit(&l);
    return 0;
}
