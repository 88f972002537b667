/* SPDX-License-Identifier: Apache-2.0 */
/* infer/merge.c - `snug merge-adapter`: what the model's part does, for the command line.
 *
 * For:     cli/.
 * Owns:    nothing.
 * Threads: one. */
#include "infer/infer_int.h"

snug_status infer_merge_adapter(const char *path, const char *adapter, uint64_t shard_bytes,
                                const char *out, infer_merged *report, snug_err *err)
{
    model_merged done = {0};
    snug_status  st = model_merge(path, adapter, shard_bytes, out, &done, err);
    *report = (infer_merged){done.tensors, done.files, done.bytes};
    return st;
}
