/* SPDX-License-Identifier: Apache-2.0 */
/* codec/joblib.c - the arrays joblib writes into the middle of a pickle.
 *
 * For:     codec/scan.c, so that what follows an array is seen.
 * Owns:    nothing.
 * Threads: pure functions.
 *
 * Behind the BUILD of a NumpyArrayWrapper {shape, order, dtype, numpy_array_alignment_bytes} come:
 *
 *   with an alignment    u8 n, n bytes of filling, then the elements
 *   without              the elements
 *   dtype of objects     a pickle of its own
 *
 * and then the outer pickle goes on. */
#include "codec/npy_int.h"
#include "codec/scan_int.h"

static bool count_elements(const pickle *p, uint32_t shape, uint64_t *out)
{
    int64_t n;
    *out = 1;
    for (uint32_t c = pickle_first(p, shape); c != 0; c = pickle_next(p, c)) {
        if (!pickle_to_i64(p, pickle_value(p, c), &n) || n < 0 ||
            __builtin_mul_overflow(*out, (uint64_t)n, out))
            return false;
    }
    return pickle_get(p, shape)->kind == PICKLE_TUPLE;
}

codec_joblib codec_skip_joblib_array(pickle *p, uint32_t id)
{
    uint32_t    state = pickle_state(p, id), dtype = pickle_member(p, state, "dtype");
    uint64_t    n, size, at = pickle_at(p);
    snug_slice  descr, filling;
    codec_dtype type;
    bool        big;
    int64_t     alignment;

    if (!count_elements(p, pickle_member(p, state, "shape"), &n)) return CODEC_JOBLIB_NONE;
    if (!pickle_calls(p, dtype, "numpy", "dtype") ||
        !pickle_to_str(p, pickle_item(p, pickle_args(p, dtype), 0), &descr))
        return CODEC_JOBLIB_NONE;
    if (snug_ends_with(descr, "O8") || snug_ends_with(descr, "O")) return CODEC_JOBLIB_OBJECTS;
    if (!codec_npy_dtype(descr, &type, &big) ||
        __builtin_mul_overflow(n, codec_dtype_bits(type) / 8, &size))
        return CODEC_JOBLIB_NONE;
    if (pickle_to_i64(p, pickle_member(p, state, "numpy_array_alignment_bytes"), &alignment)) {
        filling = pickle_bytes_at(p, at, 1);
        if (filling.len != 1) return CODEC_JOBLIB_NONE;
        at += 1 + (uint64_t)(unsigned char)filling.ptr[0];
    }
    if (pickle_bytes_at(p, at, size).len != size) return CODEC_JOBLIB_NONE;
    pickle_seek(p, at + size);
    return CODEC_JOBLIB_SKIPPED;
}
