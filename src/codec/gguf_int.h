/* SPDX-License-Identifier: Apache-2.0 */
/* codec/gguf_int.h - what reading and writing GGUF share. */
#ifndef SNUG_CODEC_GGUF_INT_H
#define SNUG_CODEC_GGUF_INT_H

#include "codec/codec.h"

unsigned codec_gguf_kind_size(codec_gguf_kind k); /* 0: strings and arrays */
/* The value of general.alignment, NULL when there is none. */
snug_status codec_gguf_alignment(const codec_gguf_value *v, uint32_t *out,
                                 snug_err *err) SNUG_MUST_USE;
/* *n up to the next multiple; false: that is past 64 bits. */
bool codec_gguf_pad(uint64_t *n, uint32_t alignment);

#endif
