/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_int.h - models in GGUF files: what reading and writing them share. */
#ifndef SNUG_MODEL_GGUF_INT_H
#define SNUG_MODEL_GGUF_INT_H

#include "model/weights_int.h"

enum { GGUF_NAME_BYTES = 256 };

/* Names of a weight in a GGUF file and in the library's own. '#' stands for a layer, '@' for an
 * expert, which GGUF stacks. ".weight" and ".bias" follow on both sides, unless the names say "=".
 */
typedef struct gguf_name {
    const char *gguf, *own;
} gguf_name;

enum {
    GGUF_PAIRS = 1u,    /* rows of queries and keys lie so that neighbouring dimensions turn */
    GGUF_PLUS_ONE = 2u, /* norms hold one more than the library's files */
    GGUF_TURNED = 4u,   /* the library's files turn matrices over, GGUF does not */
    GGUF_LAYERED = 8u,  /* rope_parameters has an object per type of layer */
    GGUF_EXPERTS = 16u, /* the row of an architecture for files with experts */
    GGUF_APART = 32u    /* fused rows are all queries, keys, values; the library: group by group */
};

typedef struct gguf_row {
    const char      *arch;       /* general.architecture: "llama" */
    const char      *model_type; /* of the library */
    const char      *class_name; /* what such a file is loaded as */
    unsigned         flags;
    const gguf_name *names[3]; /* looked through in this order; each ends with a NULL */
    const char      *eps_key;  /* after "<arch>.attention." */
    size_t window_period;      /* all layers but every n-th slide; 0: all, when there is a window */
} gguf_row;

const gguf_row *gguf_row_at(size_t index); /* NULL past the end */
/* experts: a count above 0 in the file. NULL: not known. */
const gguf_row *gguf_row_of(snug_slice arch, bool experts);
const gguf_row *gguf_row_named(const char *model_type);
const gguf_row *gguf_row_of_class(const model_shape *s); /* NULL: not written yet */

/* One name into the other. False: the row does not know it. `expert`: stands for '@' on the way out
 * of GGUF, is set on the way in (SIZE_MAX: there is none). */
bool gguf_name_in(const gguf_row *r, snug_slice gguf, size_t expert, bool *stacked,
                  char own[GGUF_NAME_BYTES]);
bool gguf_name_out(const gguf_row *r, snug_slice own, size_t *expert, char gguf[GGUF_NAME_BYTES]);

/* An opened file or set of files. Everything lives in the arena. */
typedef struct gguf_src {
    snug_arena     *arena;
    codec_gguf     *parts;
    const char    **files; /* the mapped bytes of each part */
    size_t          count;
    snug_slice      arch;
    const gguf_row *row;
} gguf_src;
snug_status gguf_open(snug_arena *a, const char *path, gguf_src *out, snug_err *err) SNUG_MUST_USE;
/* From headers that were parsed already; without `files` there are no weights to read. */
snug_status gguf_take(snug_arena *a, codec_gguf *parts, const char **files, size_t count,
                      gguf_src *out, snug_err *err) SNUG_MUST_USE;
const codec_gguf_tensor *gguf_find_tensor(const gguf_src *g, const char *name, const char **data);
const codec_gguf_value  *gguf_get(const gguf_src *g, const char *key);     /* any key; NULL: none */
const codec_gguf_value  *gguf_get_own(const gguf_src *g, const char *key); /* "<arch>.<key>" */
bool                     gguf_type_of(const codec_ggml_type *t, tensor_dtype *out);

/* What config.json would say. */
snug_status gguf_config(const gguf_src *g, snug_json *out, snug_err *err) SNUG_MUST_USE;
/* What the file's layout changes in a shape that was parsed from that. */
void        gguf_adjust(const gguf_src *g, model_shape *s);
snug_status gguf_weights(const gguf_src *g, weight_map **out, snug_err *err) SNUG_MUST_USE;

/* The part of a split model that holds the metadata; other paths come back as they are. */
const char *gguf_first_part(snug_arena *a, const char *path);
/* The GGUF file of a folder that has no other weights; NULL: there is none. */
const char *gguf_in_folder(snug_arena *a, const char *dir);

#endif
