/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: codec - any bytes as YAML: a JSON value that can be written, or a sentence. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   v;
    if (codec_yaml_parse(a, snug_slice_of(data, size), &v, &err) == SNUG_OK) {
        snug_buf      out = snug_buf_init(1 << 24);
        snug_json_out o = snug_json_out_init(&out);
        snug_jo_value(&o, v);
        SNUG_ASSERT(!out.full);
        snug_buf_deinit(&out);
    } else {
        SNUG_ASSERT(err.msg[0] != '\0');
    }
    snug_arena_free(a);
    return 0;
}
