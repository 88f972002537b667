/* SPDX-License-Identifier: Apache-2.0 */
/* codec/scan_int.h - the state of a scan, and what it shares with the reader of checkpoints. */
#ifndef SNUG_CODEC_SCAN_INT_H
#define SNUG_CODEC_SCAN_INT_H

#include "codec/pickle_int.h"

enum { CODEC_TORCH_PICKLES = 5 }; /* of an old torch file: magic, version, system, object, keys */

typedef struct scan {
    snug_arena *arena;
    codec_scan *out;
    size_t      import_cap, remark_cap;
    uint64_t    unpack,
        work;   /* budgets that are left: unpacked bytes, bytes through pickle machines */
    bool torch; /* inside a checkpoint, where persistent ids name storages */
} scan;

void codec_scan_remark_add(scan *s, codec_verdict v, snug_slice part, const char *fmt, ...)
    SNUG_PRINTF(4, 5);
/* Moves the machine past the array that follows the wrapper `id`; leaves it when it makes no sense.
 */
void codec_skip_joblib_array(pickle *p, uint32_t id);

#endif
