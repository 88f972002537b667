/* SPDX-License-Identifier: Apache-2.0 */
/* codec/codec.h - bytes to structures and back: no I/O, no policy, every parser fuzzed.
 * safetensors and card front matter now; gguf, parquet, arrow, csv, zip, pickle, wav, image follow.
 */
#ifndef SNUG_CODEC_CODEC_H
#define SNUG_CODEC_CODEC_H

#include "base/base.h"

/* ---- safetensors: u64le header size, JSON header, tensor bytes ---- */
enum { CODEC_ST_HEADER_MAX = 100 * 1000 * 1000, CODEC_ST_RANK_MAX = 16 };

/* X(constant, name in the file, bits per element) */
#define CODEC_DTYPE_LIST(X)                                                                        \
    X(BOOL, "BOOL", 8)                                                                             \
    X(U8, "U8", 8) X(I8, "I8", 8) X(U16, "U16", 16) X(I16, "I16", 16) X(F16, "F16", 16)            \
        X(BF16, "BF16", 16) X(U32, "U32", 32) X(I32, "I32", 32) X(F32, "F32", 32)                  \
            X(U64, "U64", 64) X(I64, "I64", 64) X(F64, "F64", 64) X(F8_E4M3, "F8_E4M3", 8)         \
                X(F8_E5M2, "F8_E5M2", 8) X(F8_E8M0, "F8_E8M0", 8) X(F8_E4M3FNUZ, "F8_E4M3FNUZ", 8) \
                    X(F8_E5M2FNUZ, "F8_E5M2FNUZ", 8) X(F6_E2M3, "F6_E2M3", 6)                      \
                        X(F6_E3M2, "F6_E3M2", 6) X(F4, "F4", 4) X(C64, "C64", 64)

typedef enum codec_dtype {
#define X(id, name, bits) CODEC_##id,
    CODEC_DTYPE_LIST(X)
#undef X
        CODEC_DTYPE_COUNT
} codec_dtype;
const char *codec_dtype_name(codec_dtype t);
unsigned    codec_dtype_bits(codec_dtype t);
bool        codec_dtype_parse(snug_slice name, codec_dtype *out);

typedef struct codec_tensor {
    snug_slice  name;
    codec_dtype dtype;
    unsigned    rank;
    uint64_t    shape[CODEC_ST_RANK_MAX];
    uint64_t    offset, size; /* bytes, from the start of the data part */
} codec_tensor;

typedef struct codec_safetensors {
    codec_tensor   *tensors; /* in offset order */
    size_t          count;
    snug_json       metadata;    /* object of strings, or absent */
    uint64_t        data_offset; /* of the data part in the file */
    uint64_t        data_size;
    const uint32_t *by_name; /* private to _find: indices into tensors, sorted by name */
} codec_safetensors;

/* `head` is the start of a file of file_size bytes and must hold the whole header (ask
 * codec_safetensors_header_size first when reading by ranges). SNUG_ECORRUPT with a sentence for
 * anything the format forbids: holes, overlaps, duplicate keys, sizes that do not fit. */
snug_status codec_safetensors_header_size(snug_slice first8, uint64_t file_size, uint64_t *out,
                                          snug_err *err) SNUG_MUST_USE;
snug_status codec_safetensors_parse(snug_arena *a, snug_slice head, uint64_t file_size,
                                    codec_safetensors *out, snug_err *err) SNUG_MUST_USE;
const codec_tensor *codec_safetensors_find(const codec_safetensors *st,
                                           snug_slice               name); /* NULL: none */
/* Header for tensors whose name, dtype, rank, shape are set; fills offset and size in the order
 * given (aligned to 8). metadata may be absent. The caller then writes the data in that order. */
snug_status codec_safetensors_write_header(codec_tensor *tensors, size_t count, snug_json metadata,
                                           snug_buf *out, snug_err *err) SNUG_MUST_USE;
/* Element i of a tensor's bytes as double (every dtype; C64 gives its real part). Elements narrower
 * than a byte are packed from the low bits up. `data` need not be aligned. */
double codec_dtype_read(codec_dtype t, const void *data, uint64_t i);
/* n elements to float32. */
void codec_to_f32(codec_dtype t, const void *data, uint64_t first, uint64_t n, float *out);

/* ---- cards: YAML front matter between "---" lines at the head of README.md ---- */
/* Front matter starts with a line "---" at the very start of the file (a byte order mark may stand
 * before it) and ends with a line "---" or "..."; blanks at the end of these lines and CRLF are
 * fine. *yaml is what lies between; without front matter its ptr is NULL and *body is the text. */
void codec_card_split(snug_slice readme, snug_slice *yaml, snug_slice *body);
enum {
    CODEC_YAML_SIZE_MAX = 960 * 1024,
    CODEC_YAML_NODES_MAX = 250000,
    CODEC_YAML_DEPTH_MAX = 48,
    CODEC_YAML_ALIASES_MAX = 1000
};

/* YAML (1.2 core schema, no tags executed, aliases counted, depth capped) -> JSON value. The first
 * document only; nothing at all is null. Of a key given twice the last value counts; "<<" merges.
 * Dates, yes/no/on/off and integers beyond 64 bits stay strings. Errors name the line. */
snug_status codec_yaml_parse(snug_arena *a, snug_slice yaml, snug_json *out,
                             snug_err *err) SNUG_MUST_USE;
/* The front matter of a README as JSON (absent when there is none); errors count lines of the file.
 */
snug_status codec_card_parse(snug_arena *a, snug_slice readme, snug_json *out, snug_slice *body,
                             snug_err *err) SNUG_MUST_USE;

#endif
