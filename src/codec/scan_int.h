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
    bool spent; /* the work budget ran out, and that was said */
    bool torch; /* inside a checkpoint, where persistent ids name storages */
} scan;

void codec_scan_remark_add(scan *s, codec_verdict v, snug_slice part, const char *fmt, ...)
    SNUG_PRINTF(4, 5);
typedef enum codec_joblib {
    CODEC_JOBLIB_NONE,    /* no array that makes sense */
    CODEC_JOBLIB_SKIPPED, /* the machine stands behind its bytes */
    CODEC_JOBLIB_OBJECTS  /* a pickle of its own follows; the machine stands before it */
} codec_joblib;
/* Moves the machine past the array that follows the wrapper `id`. */
codec_joblib codec_skip_joblib_array(pickle *p, uint32_t id);

#endif
