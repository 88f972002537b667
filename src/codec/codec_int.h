/* SPDX-License-Identifier: Apache-2.0 */
/* codec/codec_int.h - what the files of codec/ share, and what their tests reach into. */
#ifndef SNUG_CODEC_INT_H
#define SNUG_CODEC_INT_H

#include "codec/codec.h"

/* The plain conversions, kept as the oracle of the vector ones. src need not be aligned. */
void codec_f16_to_f32_portable(const unsigned char *src, uint64_t n, float *out);
void codec_bf16_to_f32_portable(const unsigned char *src, uint64_t n, float *out);

/* As codec_yaml_parse; line numbers in errors start at first_line. */
snug_status codec_yaml_parse_at(snug_arena *a, snug_slice yaml, size_t first_line, snug_json *out,
                                snug_err *err) SNUG_MUST_USE;

#endif
