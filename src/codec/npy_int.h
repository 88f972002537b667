/* SPDX-License-Identifier: Apache-2.0 */
/* codec/npy_int.h - numpy's names for element types, shared with arrays inside pickles. */
#ifndef SNUG_CODEC_NPY_INT_H
#define SNUG_CODEC_NPY_INT_H

#include "codec/codec.h"

/* "<f4", "|b1", "i8": false for what safetensors cannot hold. */
bool codec_npy_dtype(snug_slice descr, codec_dtype *out, bool *big_endian);
/* Strides of a dense array; rank and shape are set. */
void codec_npy_strides(codec_view *v, bool fortran);

#endif
