/* SPDX-License-Identifier: Apache-2.0 */
/* base/json.h - a strict JSON reader into an arena, and a streaming writer (RFC 8259).
 *
 * Reader: UTF-8 only, no comments, no trailing commas, depth and size capped. Strings without
 * escapes point into the input when SNUG_JSON_BORROW is given, so the input must live as long as
 * the arena; otherwise they are copied. Numbers keep their integer form when they have one. */
#ifndef SNUG_BASE_JSON_H
#define SNUG_BASE_JSON_H

#include "base/mem.h"

typedef enum snug_json_type {
    SNUG_JSON_ABSENT, /* no such member: distinct from null */
    SNUG_JSON_NULL,
    SNUG_JSON_BOOL,
    SNUG_JSON_INT, /* fits int64_t or uint64_t */
    SNUG_JSON_REAL,
    SNUG_JSON_STRING,
    SNUG_JSON_ARRAY,
    SNUG_JSON_OBJECT
} snug_json_type;

/* A value: a small handle, valid as long as the arena it was parsed into. */
typedef struct snug_json {
    const struct snug_json_node *node; /* NULL: absent */
} snug_json;

enum {
    SNUG_JSON_BORROW = 1u,    /* strings may point into the input */
    SNUG_JSON_UNIQUE = 2u,    /* refuse objects with a key twice (otherwise get() finds the last) */
    SNUG_JSON_BARE_CTRL = 4u, /* accept raw control characters inside strings */
    SNUG_JSON_NONFINITE = 8u  /* accept NaN, Infinity, -Infinity as Python's json writes them */
};

enum { SNUG_JSON_DEPTH_MAX = 128 };

typedef struct snug_json_opts {
    unsigned flags;
    unsigned depth_max; /* 0: SNUG_JSON_DEPTH_MAX; never more than 1024 */
    size_t   size_max;  /* bytes of input; 0: 64 MiB; never more than 4 GiB */
} snug_json_opts;

/* Parses the whole of `text` (white space around it is fine). opts NULL: defaults, copying.
 * Errors: SNUG_EINVAL with line and column, SNUG_ELIMIT. */
snug_status snug_json_parse(snug_arena *a, snug_slice text, const snug_json_opts *opts,
                            snug_json *out, snug_err *err) SNUG_MUST_USE;

snug_json_type snug_json_kind(snug_json v);
const char    *snug_json_kind_name(snug_json_type t); /* "string", "object", ... */
bool           snug_json_is(snug_json v, snug_json_type t);

/* Member by key; absent when v is no object or has no such key. Linear for small objects, hashed
 * once an object has more than a few dozen members. Any number of threads may read one document. */
snug_json snug_json_get(snug_json v, const char *key);
snug_json snug_json_get_slice(snug_json v, snug_slice key);
snug_json snug_json_at(snug_json v, size_t index); /* array element, O(1); absent past the end */
size_t    snug_json_count(snug_json v);            /* elements or members; 0 for the rest */

/* for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) ... it.key, it.value */
typedef struct snug_json_iter {
    snug_slice                   key; /* empty for arrays */
    snug_json                    value;
    const struct snug_json_node *next_, *end_;
} snug_json_iter;
snug_json_iter snug_json_iter_of(snug_json v);
bool           snug_json_next(snug_json_iter *it);

/* True and *out set when the value has that type (and, for numbers, fits). */
bool snug_json_to_str(snug_json v, snug_slice *out);
bool snug_json_to_i64(snug_json v, int64_t *out);
bool snug_json_to_u64(snug_json v, uint64_t *out);
bool snug_json_to_f64(snug_json v, double *out); /* integers too */
bool snug_json_to_bool(snug_json v, bool *out);

/* Member with a default: for config files, where absent and null mean "the default". */
snug_slice snug_json_str_or(snug_json obj, const char *key, snug_slice dflt);
int64_t    snug_json_i64_or(snug_json obj, const char *key, int64_t dflt);
double     snug_json_f64_or(snug_json obj, const char *key, double dflt);
bool       snug_json_bool_or(snug_json obj, const char *key, bool dflt);

/* Required members: SNUG_EINVAL `"key" must be a string` and so on. */
snug_status snug_json_need_str(snug_json obj, const char *key, snug_slice *out, snug_err *err);
snug_status snug_json_need_u64(snug_json obj, const char *key, uint64_t *out, snug_err *err);

/* ---- writer ----
 * Commas and escapes are its business. A wrong nesting is our bug and asserts. Depth <= 64. */
typedef struct snug_json_out {
    snug_buf *buf;
    uint64_t  has_item, in_object; /* bit per depth */
    unsigned  depth;
    bool      after_key;
    bool      pretty; /* two-space indentation */
} snug_json_out;

snug_json_out snug_json_out_init(snug_buf *buf);
void snug_jo_begin_object(snug_json_out *o);
void snug_jo_end_object(snug_json_out *o);
void snug_jo_begin_array(snug_json_out *o);
void snug_jo_end_array(snug_json_out *o);
void snug_jo_key(snug_json_out *o, const char *key);
void snug_jo_key_slice(snug_json_out *o, snug_slice key);
void snug_jo_str(snug_json_out *o, snug_slice s); /* invalid UTF-8 becomes U+FFFD */
void snug_jo_cstr(snug_json_out *o, const char *s);
void snug_jo_strf(snug_json_out *o, const char *fmt, ...) SNUG_PRINTF(2, 3);
void snug_jo_i64(snug_json_out *o, int64_t v);
void snug_jo_u64(snug_json_out *o, uint64_t v);
void snug_jo_f64(snug_json_out *o, double v); /* shortest form that reads back; NaN -> null */
void snug_jo_bool(snug_json_out *o, bool v);
void snug_jo_null(snug_json_out *o);
void snug_jo_raw(snug_json_out *o, snug_slice json); /* trusted, already valid JSON */
void snug_jo_value(snug_json_out *o, snug_json v);   /* copies a parsed value */

/* key + value in one call */
void snug_jo_kstr(snug_json_out *o, const char *key, snug_slice v);
void snug_jo_kcstr(snug_json_out *o, const char *key, const char *v);
void snug_jo_ki64(snug_json_out *o, const char *key, int64_t v);
void snug_jo_ku64(snug_json_out *o, const char *key, uint64_t v);
void snug_jo_kf64(snug_json_out *o, const char *key, double v);
void snug_jo_kbool(snug_json_out *o, const char *key, bool v);

#endif
