/* SPDX-License-Identifier: Apache-2.0 */
/* codec/shards.c - a model's tensors spread over several safetensors files, and the index of them.
 *
 *   model-00001-of-00003.safetensors ...
 *   model.safetensors.index.json: {"metadata": {"total_size": bytes}, "weight_map": {tensor: file}}
 *
 * For:     snug convert, adapters merged into a model.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   tensors keep their order; a file passes the limit only when it holds one tensor. */
#include <inttypes.h>

#include "codec/codec_int.h"

/* Where the file that begins with tensor `from` ends. */
static size_t end_of_shard(const codec_tensor *t, size_t from, size_t count, uint64_t max,
                           uint64_t *size)
{
    size_t i = from;
    for (*size = 0; i < count; i++) {
        if (i > from && (*size > max || t[i].size > max - *size)) break;
        *size += t[i].size;
    }
    return i;
}

snug_status codec_shards_plan(snug_arena *a, const codec_tensor *tensors, size_t count,
                              uint64_t size_max, const char *stem, codec_shard **out, size_t *n,
                              snug_err *err)
{
    uint64_t     size;
    codec_shard *list;
    *n = 0;
    for (size_t i = 0; i < count; i = end_of_shard(tensors, i, count, size_max, &size)) (*n)++;
    if (*n == 0) *n = 1; /* a model without tensors is a file all the same */
    if (*n > CODEC_SHARDS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%zu files are more than %d: allow larger ones", *n,
                         (int)CODEC_SHARDS_MAX);
    list = snug_arena_zalloc(a, *n * sizeof *list);
    for (size_t i = 0, from = 0; i < *n; i++) {
        size_t to = end_of_shard(tensors, from, count, size_max, &list[i].size);
        list[i].first = from;
        list[i].count = to - from;
        list[i].name = *n == 1
                           ? snug_arena_printf(a, "%s.safetensors", stem)
                           : snug_arena_printf(a, "%s-%05zu-of-%05zu.safetensors", stem, i + 1, *n);
        from = to;
    }
    *out = list;
    return SNUG_OK;
}

snug_status codec_shards_put_index(const codec_tensor *tensors, const codec_shard *shards, size_t n,
                                   snug_buf *out, snug_err *err)
{
    uint64_t      total = 0;
    snug_json_out o = snug_json_out_init(out);
    o.pretty = true;
    for (size_t i = 0; i < n; i++) total += shards[i].size;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "metadata");
    snug_jo_begin_object(&o);
    snug_jo_ku64(&o, "total_size", total);
    snug_jo_end_object(&o);
    snug_jo_key(&o, "weight_map");
    snug_jo_begin_object(&o);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < shards[i].count; k++) {
            snug_jo_key_slice(&o, tensors[shards[i].first + k].name);
            snug_jo_str(&o, shards[i].name);
        }
    }
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    snug_buf_putc(out, '\n');
    return snug_buf_check(out, "the index of a model", err);
}
