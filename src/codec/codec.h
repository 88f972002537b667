/* SPDX-License-Identifier: Apache-2.0 */
/* codec/codec.h - bytes to structures and back: no I/O, no policy, every parser fuzzed.
 * A section each: safetensors, GGUF, strided views, ZIP, npy,
 * scanning pickles, checkpoints, cards. */
#ifndef SNUG_CODEC_CODEC_H
#define SNUG_CODEC_CODEC_H

#include "base/base.h"

/* ---- safetensors: u64le header size, JSON header, tensor bytes ---- */
enum { CODEC_ST_HEADER_MAX = 100 * 1000 * 1000, CODEC_ST_RANK_MAX = 16 };

/* X(constant, name in the file, bits per element) */
#define CODEC_DTYPE_LIST(X)                                                                        \
    X(BOOL, "BOOL", 8)                                                                             \
    X(U8, "U8", 8)                                                                                 \
    X(I8, "I8", 8) X(U16, "U16", 16) X(I16, "I16", 16) X(F16, "F16", 16) X(BF16, "BF16", 16)       \
        X(U32, "U32", 32) X(I32, "I32", 32) X(F32, "F32", 32) X(U64, "U64", 64) X(I64, "I64", 64)  \
            X(F64, "F64", 64) X(F8_E4M3, "F8_E4M3", 8) X(F8_E5M2, "F8_E5M2", 8)                    \
                X(F8_E8M0, "F8_E8M0", 8) X(F8_E4M3FNUZ, "F8_E4M3FNUZ", 8)                          \
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
/* Bytes of a tensor whose name, dtype, rank and shape are set; SNUG_ECORRUPT when they do not fit. */
snug_status codec_tensor_size(const codec_tensor *t, uint64_t *out, snug_err *err) SNUG_MUST_USE;
/* Header for tensors whose name, dtype, rank, shape are set; fills offset and size in the order
 * given (aligned to 8). metadata may be absent. The caller then writes the data in that order. */
snug_status codec_safetensors_write_header(codec_tensor *tensors, size_t count, snug_json metadata,
                                           snug_buf *out, snug_err *err) SNUG_MUST_USE;
/* Element i of a tensor's bytes as double (every dtype; C64 gives its real part). Elements narrower
 * than a byte are packed from the low bits up. `data` need not be aligned. */
double codec_dtype_read(codec_dtype t, const void *data, uint64_t i);
/* n elements to float32. */
void codec_to_f32(codec_dtype t, const void *data, uint64_t first, uint64_t n, float *out);

/* ---- a model in several safetensors files (as huggingface_hub splits a state dict) ---- */
enum { CODEC_SHARDS_MAX = 99999 };
typedef struct codec_shard {
    size_t     first, count; /* of the tensors, in the order given */
    uint64_t   size;         /* bytes of their data */
    snug_slice name;         /* "model-00001-of-00003.safetensors"; "model.safetensors" when alone */
} codec_shard;
/* Tensors (name and size set) in order, a new file when the next one would pass size_max; a larger
 * tensor has a file to itself. Shards and names live in `a`. */
snug_status codec_shards_plan(snug_arena *a, const codec_tensor *tensors, size_t count,
                              uint64_t size_max, const char *stem, codec_shard **out, size_t *n,
                              snug_err *err) SNUG_MUST_USE;
/* Writes <stem>.safetensors.index.json for them. */
snug_status codec_shards_put_index(const codec_tensor *tensors, const codec_shard *shards, size_t n,
                                   snug_buf *out, snug_err *err) SNUG_MUST_USE;

/* ---- GGUF v2 and v3, little-endian: metadata, tensor list, then the data part ----
 * Quantised blocks are counted here and decoded elsewhere. */
enum {
    CODEC_GGUF_HEADER_MAX = 128 * 1024 * 1024, /* bytes before the data part */
    CODEC_GGUF_KEY_MAX = 65535,
    CODEC_GGUF_NAME_MAX = 255, /* of a tensor; ggml itself stops at 63, image models do not */
    CODEC_GGUF_RANK_MAX = 4,
    CODEC_GGUF_DEPTH_MAX = 8, /* arrays of arrays */
    CODEC_GGUF_ALIGN = 32     /* unless general.alignment says otherwise */
};

typedef enum codec_gguf_kind {
    CODEC_GGUF_U8,
    CODEC_GGUF_I8,
    CODEC_GGUF_U16,
    CODEC_GGUF_I16,
    CODEC_GGUF_U32,
    CODEC_GGUF_I32,
    CODEC_GGUF_F32,
    CODEC_GGUF_BOOL,
    CODEC_GGUF_STRING,
    CODEC_GGUF_ARRAY,
    CODEC_GGUF_U64,
    CODEC_GGUF_I64,
    CODEC_GGUF_F64,
    CODEC_GGUF_KIND_COUNT
} codec_gguf_kind;
const char *codec_gguf_kind_name(codec_gguf_kind k); /* "u32", "string", ... */

typedef struct codec_gguf_value {
    codec_gguf_kind kind, elem; /* elem: of an array */
    uint64_t        count;      /* of an array */
    union {
        uint64_t          u; /* U8 to U64, BOOL */
        int64_t           i; /* I8 to I64 */
        double            f; /* F32, F64 */
        snug_slice        str;
        snug_slice        packed;             /* array of numbers or bools: the bytes of the file */
        const snug_slice *strs;               /* array of strings */
        const struct codec_gguf_value *items; /* array of arrays */
    } v;
} codec_gguf_value;

typedef struct codec_gguf_kv {
    snug_slice       key;
    codec_gguf_value value;
} codec_gguf_kv;

/* How ggml stores elements: `block` of them in `bytes` bytes. */
typedef struct codec_ggml_type {
    uint32_t    id;
    const char *name;
    unsigned    block, bytes;
} codec_ggml_type;
const codec_ggml_type *codec_ggml_type_of(uint32_t id);        /* NULL: unknown or withdrawn */
const codec_ggml_type *codec_ggml_type_named(snug_slice name); /* "Q4_K"; NULL: none */

typedef struct codec_gguf_tensor {
    snug_slice             name;
    const codec_ggml_type *type;
    unsigned               rank;
    uint64_t dims[CODEC_GGUF_RANK_MAX]; /* dims[0] lies densest: a torch shape reversed */
    uint64_t offset, size;              /* bytes, from the start of the data part */
} codec_gguf_tensor;

typedef struct codec_gguf {
    uint32_t           version, alignment;
    codec_gguf_kv     *kvs; /* in the order of the file */
    size_t             kv_count;
    codec_gguf_tensor *tensors; /* in the order of the file, which is the order of offsets */
    size_t             tensor_count;
    uint64_t           data_offset, data_size;
    const uint32_t    *by_key, *by_name; /* private to the look-ups */
} codec_gguf;

/* How long the part before the tensor data is, padding excluded. `head` is the start of a file of
 * file_size bytes; when it is too short: SNUG_EAGAIN and *out is a length to try with, at least
 * double. Allocates nothing, so a file of 100 GB is listed from its first megabytes. */
snug_status codec_gguf_header_size(snug_slice head, uint64_t file_size, uint64_t *out,
                                   snug_err *err) SNUG_MUST_USE;
/* head must hold the header; strings and packed arrays point into it. SNUG_ECORRUPT with a sentence
 * for what the format forbids, SNUG_EUNSUPPORTED for version 1 and big-endian files. */
snug_status codec_gguf_parse(snug_arena *a, snug_slice head, uint64_t file_size, codec_gguf *out,
                             snug_err *err) SNUG_MUST_USE;
const codec_gguf_value  *codec_gguf_find(const codec_gguf *g, snug_slice key); /* NULL: none */
const codec_gguf_tensor *codec_gguf_find_tensor(const codec_gguf *g,
                                                snug_slice        name); /* NULL: none */
/* Element of an array as a value of its own; past the end: an empty array. */
codec_gguf_value codec_gguf_at(const codec_gguf_value *array, uint64_t index);
/* True and *out set when the value has that type (any width) and fits. v may be NULL: false. */
bool codec_gguf_to_u64(const codec_gguf_value *v, uint64_t *out);
bool codec_gguf_to_i64(const codec_gguf_value *v, int64_t *out);
bool codec_gguf_to_f64(const codec_gguf_value *v, double *out); /* integers too */
bool codec_gguf_to_bool(const codec_gguf_value *v, bool *out);
bool codec_gguf_to_str(const codec_gguf_value *v, snug_slice *out);
/* Bytes of a tensor; false: more than 64 bits count, or dims[0] is no whole number of blocks. */
bool codec_gguf_tensor_size(const codec_gguf_tensor *t, uint64_t *out);

/* Header of version 3, padded so that the data part follows. Fills offset and size of the tensors,
 * each aligned to general.alignment; write each one's bytes, then zeros up to the next one. */
snug_status codec_gguf_write_header(const codec_gguf_kv *kvs, size_t kv_count,
                                    codec_gguf_tensor *tensors, size_t tensor_count, snug_buf *out,
                                    snug_err *err) SNUG_MUST_USE;

/* "name-00002-of-00005.gguf": prefix "name", number 2 (from 1), count 5. */
bool codec_gguf_split_name(snug_slice file_name, snug_slice *prefix, unsigned *number,
                           unsigned *count);
/* Do these files, in order, make one model: split.no, split.count, split.tensors.count, unique
 * names? */
snug_status codec_gguf_check_splits(const codec_gguf *const *parts, size_t count,
                                    snug_err *err) SNUG_MUST_USE;

/* ---- views: tensors as they lie in files that allow strides ---- */
typedef struct codec_view {
    codec_tensor tensor;  /* name, dtype, rank, shape; offset and size are the writer's business */
    snug_slice   storage; /* whole elements of tensor.dtype */
    uint64_t     first;   /* element of the storage */
    uint64_t     strides[CODEC_ST_RANK_MAX]; /* in elements; 0 repeats */
    bool         swap;                       /* the storage is big-endian */
} codec_view;
/* Do all elements lie inside the storage, and do they fit into 64 bits? *count: how many they are. */
snug_status codec_view_check(const codec_view *v, uint64_t *count, snug_err *err) SNUG_MUST_USE;
/* Elements [from, from + n) in row-major order, little-endian, of a view that was checked. */
void codec_view_copy(const codec_view *v, uint64_t from, uint64_t n, void *out);

/* ---- ZIP: stored and deflated, zip64 ---- */
enum { CODEC_ZIP_ENTRIES_MAX = 1000000, CODEC_ZIP_NAME_MAX = 4096, CODEC_ZIP_RATIO_MAX = 1100 };

typedef struct codec_zip_entry {
    snug_slice name;     /* a relative path without "..", '\\' or control characters */
    unsigned   method;   /* 0 stored, 8 deflated; others are listed, not read */
    bool       is_dir, has_descriptor;
    uint32_t   crc;
    uint64_t   start, offset, packed, size; /* local header; its data, in the file and unpacked */
} codec_zip_entry;

typedef struct codec_zip {
    snug_slice       file;
    codec_zip_entry *entries; /* in the order of their bytes */
    size_t           count;
    const uint32_t  *by_name; /* private to codec_zip_find */
} codec_zip;

/* Reads the central directory of a whole file and holds it against every local header. Two readers
 * could see two different archives in anything that is refused here: entries that overlap, share a
 * name, differ from their local header, or leave bytes between them that belong to nobody. */
snug_status codec_zip_open(snug_arena *a, snug_slice file, codec_zip *out, snug_err *err) SNUG_MUST_USE;
const codec_zip_entry *codec_zip_find(const codec_zip *z, snug_slice name); /* NULL: none */
/* The bytes of an entry, at most max, its CRC checked. Stored: a part of the file, else in the arena. */
snug_status codec_zip_read(snug_arena *a, const codec_zip *z, const codec_zip_entry *e, uint64_t max,
                           snug_slice *out, snug_err *err) SNUG_MUST_USE;

/* ---- numpy's .npy, versions 1 to 3 ---- */
enum { CODEC_NPY_HEADER_MAX = 1 << 20 };
typedef struct codec_npy {
    bool       pickled;     /* elements are Python objects: data is a pickle, view is not set */
    uint64_t   data_offset; /* in the file */
    codec_view view;        /* its name is empty */
} codec_npy;
/* SNUG_EUNSUPPORTED for element types that no safetensors file can hold (strings, records, ...);
 * pickled and data_offset are set even then. */
snug_status codec_npy_parse(snug_slice file, codec_npy *out, snug_err *err) SNUG_MUST_USE;

/* Writes the header of a version 1 file whose elements follow rows first. `descr` is numpy's name of
 * the element, "<f4"; shape is [rank], rank at most CODEC_ST_RANK_MAX. */
void codec_npy_put_header(snug_buf *out, const char *descr, const uint64_t *shape, size_t rank);

/* ---- pickles and what holds them: looked through without running anything ---- */
typedef enum codec_verdict { CODEC_SAFE, CODEC_UNKNOWN, CODEC_DANGEROUS } codec_verdict;
const char *codec_verdict_name(codec_verdict v); /* "safe", "unknown", "dangerous" */
/* What importing and calling this name while loading may do, by our lists. */
codec_verdict codec_judge_import(snug_slice module, snug_slice name);

typedef struct codec_scan_import {
    snug_slice    module, name, part; /* part: "archive/data.pkl"; empty: the file itself */
    uint64_t      offset;             /* of the first opcode that names it, in the part */
    const char   *how;                /* that opcode: "GLOBAL", "STACK_GLOBAL", "INST" */
    uint32_t      count, calls;
    codec_verdict verdict;
} codec_scan_import;

typedef struct codec_scan_remark { /* anything else that decides, or that a person should know */
    codec_verdict verdict;
    snug_slice    part, text;
} codec_scan_remark;

typedef struct codec_scan {
    const char        *format;  /* "torch zip", "pickle", "safetensors", ... */
    codec_verdict      verdict; /* the worst of what follows */
    codec_scan_import *imports;
    codec_scan_remark *remarks;
    size_t             import_count, remark_count;
} codec_scan;

/* Pickles of protocols 0 to 5, several in a row, inside zip (broken ones too), tar, npy, npz, gzip,
 * zlib, joblib, old torch files, and inside each other. Whatever the bytes, the answer is a verdict;
 * bytes that cannot be followed are never safe. */
void codec_scan_bytes(snug_arena *a, snug_slice file, codec_scan *out);

/* ---- checkpoints: tensors out of files that only hold data ---- */
enum { CODEC_CHECKPOINT_TENSORS_MAX = 1000000, CODEC_CHECKPOINT_NAME_MAX = 4096 };
typedef struct codec_checkpoint {
    const char *format;  /* as codec_scan's */
    snug_slice  root;    /* the key whose mapping was taken ("state_dict"); empty: everything */
    codec_view *tensors; /* nested mappings joined by dots; views into `file` or the arena */
    size_t      count, skipped; /* skipped: values that are no tensors */
} codec_checkpoint;
/* Torch files old and new, pickles with numpy arrays, .npy, .npz. Scans first: SNUG_ECORRUPT for a
 * dangerous file, SNUG_EUNSUPPORTED for an unknown one, naming the import. `file` must outlive it. */
snug_status codec_checkpoint_open(snug_arena *a, snug_slice file, codec_checkpoint *out,
                                  snug_err *err) SNUG_MUST_USE;

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
