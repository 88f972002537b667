/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - any bytes as a README: the parts lie inside it and in order. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice  yaml, body, all = snug_slice_of(data, size);
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   v;
    codec_card_split(all, &yaml, &body);
    SNUG_ASSERT(body.len <= size && body.ptr + body.len == all.ptr + size);
    if (yaml.ptr != NULL) SNUG_ASSERT(yaml.ptr >= all.ptr && yaml.ptr + yaml.len <= body.ptr);
    if (codec_card_parse(a, all, &v, &body, &err) != SNUG_OK) SNUG_ASSERT(err.msg[0] != '\0');
    snug_arena_free(a);
    return 0;
}
