/* SPDX-License-Identifier: Apache-2.0 */
/* xet/xet.h - the Xet storage formats: content-defined chunks, hashes and Merkle trees, xorbs
 * (containers of chunks), shards (who is made of what), reconstruction of byte ranges.
 *
 * Source: the public Xet specification 1.1 and the behaviour of its clients. Integers are
 * little-endian. A hash is 32 raw bytes; its text form is four u64 of 16 hex digits each. */
#ifndef SNUG_XET_XET_H
#define SNUG_XET_XET_H

#include "base/base.h"

enum {
    XET_CHUNK_MIN = 8192,
    XET_CHUNK_TARGET = 65536,
    XET_CHUNK_MAX = 131072,
    XET_CHUNK_STORED_MAX = 2 * XET_CHUNK_MAX, /* compressed payload we accept */
    XET_XORB_CHUNKS_MAX = 8192,
    XET_XORB_RAW_MAX = 64 << 20, /* uncompressed bytes a writer collects */
    XET_XORB_BODY_MAX = (64 << 20) + 8 * XET_XORB_CHUNKS_MAX + 92 + 40 * XET_XORB_CHUNKS_MAX + 4,
    XET_SHARD_MAX = 64 << 20
};

/* ---- hashes ---- */
typedef struct xet_hash {
    unsigned char b[32];
} xet_hash;
void     xet_hash_text(const xet_hash *h, char out[65]);     /* lowercase */
bool     xet_hash_parse(snug_slice text, xet_hash *out);     /* 64 hex digits, either case */
int      xet_hash_cmp(const xet_hash *a, const xet_hash *b); /* the order of the text forms */
bool     xet_hash_eq(const xet_hash *a, const xet_hash *b);
bool     xet_hash_is_zero(const xet_hash *h);
uint64_t xet_hash_mod(const xet_hash *h, uint64_t n); /* (last u64) mod n */
/* May be asked for in global deduplication: hash mod 1024 == 0. */
static inline bool xet_hash_is_dedup(const xet_hash *h) { return xet_hash_mod(h, 1024) == 0; }

xet_hash xet_chunk_hash(snug_slice raw);
/* The same for n chunks of at most XET_CHUNK_MAX, several at a time where the processor can. */
void xet_chunk_hash_many(const snug_slice *raw, size_t n, xet_hash *out);
typedef struct xet_leaf {
    xet_hash hash;
    uint64_t size;
} xet_leaf;
/* Root over n leaves; n == 0 gives zeros, n == 1 the leaf itself. Uses n scratch nodes. */
xet_hash xet_merkle_root(const xet_leaf *leaves, size_t n);
xet_hash xet_file_hash(const xet_leaf *leaves, size_t n);
/* The same from the root of at least one chunk. */
xet_hash xet_file_hash_of_root(const xet_hash *root);
/* The proof of possession of chunks: over their raw hashes, in order. */
xet_hash xet_range_hash(const xet_hash *chunks, size_t n);
xet_hash xet_hmac(const unsigned char key[32], const xet_hash *h);

/* The same root from leaves that come one after the other, in memory for one node a level and
 * group: for files of any size. */
typedef struct xet_merkle xet_merkle;
xet_merkle               *xet_merkle_new(void);
void                      xet_merkle_add(xet_merkle *m, const xet_hash *h, uint64_t size);
xet_hash                  xet_merkle_finish(xet_merkle *m); /* root; frees m */

/* ---- chunking (gearhash) ---- */
typedef struct xet_chunker {
    uint64_t h;
    size_t   len;
} xet_chunker; /* zeros to begin */
/* Takes bytes until a chunk ends or the input does; returns how many. *cut: the chunk ends behind
 * them. What is left at the end of a file is its last chunk. */
size_t xet_chunker_next(xet_chunker *c, const void *p, size_t n, bool *cut);

/* ---- keeping files in one piece ---- */
enum { XET_RUNS = 128, XET_RUN_LOW = 4, XET_RUN_HIGH = 8, XET_RUN_COUNTED_MAX = 1 << 20 };
typedef struct xet_runs {
    uint32_t size[XET_RUNS]; /* of the last runs, in chunks */
    uint32_t count, next, now;
    uint64_t sum;
    bool     stays;
} xet_runs; /* zeros to begin a file */
/* The file's next chunk was placed; whether in the xorb of the one before. */
void xet_runs_add(xet_runs *r, bool same_xorb);
/* Whether the next chunk, which another xorb has, should be taken from there. */
bool xet_runs_may_jump(xet_runs *r);

/* ---- xorbs ---- */
typedef enum xet_scheme { XET_NONE = 0, XET_LZ4 = 1, XET_BG4_LZ4 = 2 } xet_scheme;
typedef struct xet_xorb_chunk {
    xet_hash hash;
    uint32_t raw_size, raw_end; /* bytes; end: cumulative */
    uint32_t stored_end;        /* of its record in the body, header included */
} xet_xorb_chunk;
typedef struct xet_xorb {
    xet_hash        hash;
    xet_xorb_chunk *chunks; /* count of them */
    uint32_t        count;
    uint32_t        body_size; /* the chunk records without a footer */
} xet_xorb;

/* Validates a whole uploaded xorb: every record decoded, every hash recomputed, the root compared
 * with `expect`, a footer (V0 or V1) checked when there is one. SNUG_ECORRUPT with a sentence. */
snug_status xet_xorb_check(snug_arena *a, snug_slice body, const xet_hash *expect, xet_xorb *out,
                           snug_err *err) SNUG_MUST_USE;
/* The same while the bytes arrive, in any cut and in bounded memory. Sound records go to `put` in
 * their order: what of them was written must only get a name after xet_checker_finish. */
typedef snug_status        xet_record_fn(void *arg, snug_slice record, snug_err *err);
typedef struct xet_checker xet_checker;
xet_checker               *xet_checker_new(xet_record_fn *put_or_null, void *arg);
snug_status xet_checker_feed(xet_checker *c, snug_slice bytes, snug_err *err) SNUG_MUST_USE;
snug_status xet_checker_finish(xet_checker *c, snug_arena *a, const xet_hash *expect, xet_xorb *out,
                               snug_err *err) SNUG_MUST_USE;
void        xet_checker_free(xet_checker *c); /* NULL is fine */
/* The chunk of the record at the head of `records`: there, or decoded into room (XET_CHUNK_MAX
 * bytes). */
snug_status xet_record_view(snug_slice records, unsigned char *room, snug_slice *bytes,
                            uint32_t *stored_size, snug_err *err) SNUG_MUST_USE;
/* The same, always into out. */
snug_status xet_record_decode(snug_slice records, unsigned char *out, uint32_t *raw_size,
                              uint32_t *stored_size, snug_err *err) SNUG_MUST_USE;
/* Appends the record of one chunk, compressed when that makes it smaller; tries byte grouping
 * when the chunk looks like numbers. */
void xet_record_put(snug_buf *body, snug_slice raw);
/* Appends the V1 footer and its length. */
void xet_footer_put(snug_buf *body, const xet_xorb *x);

/* ---- shards ---- */
typedef struct xet_term {
    xet_hash xorb, range_hash;
    uint32_t raw_size, start, end; /* chunks [start, end) */
} xet_term;
typedef struct xet_shard_file {
    xet_hash    hash;
    xet_term   *terms;
    uint32_t    count;
    bool        has_proofs, has_sha256;
    snug_sha256 sha256;
} xet_shard_file;
typedef struct xet_shard_chunk {
    xet_hash hash;
    uint32_t raw_offset, raw_size;
    bool     dedup; /* flag bit 31 */
} xet_shard_chunk;
typedef struct xet_shard_xorb {
    xet_hash         hash;
    xet_shard_chunk *chunks;
    uint32_t         count, raw_size, stored_size;
} xet_shard_xorb;
typedef struct xet_shard {
    xet_shard_file *files;
    xet_shard_xorb *xorbs;
    size_t          file_count, xorb_count;
} xet_shard;

/* Parses the upload form; whatever follows the xorb section is ignored. Counts are compared with
 * the bytes left before anything is allocated. */
snug_status xet_shard_parse(snug_arena *a, snug_slice bytes, xet_shard *out,
                            snug_err *err) SNUG_MUST_USE;
typedef struct xet_shard_footer {
    unsigned char hmac_key[32];
    uint64_t      created_s, expires_s;
} xet_shard_footer;
/* Writes both sections; with a footer, the 200-byte one without look-up tables. */
void xet_shard_write(const xet_shard *s, const xet_shard_footer *footer_or_null, snug_buf *out);

/* ---- reconstruction ---- */
typedef struct xet_span { /* of one xorb: chunks [start, end), stored bytes [from, to) */
    uint32_t term_first;  /* first term that needs it */
    xet_hash xorb;
    uint32_t start, end;
    uint64_t from, to;
} xet_span;
typedef struct xet_plan {
    xet_term *terms; /* trimmed to the range */
    size_t    term_count;
    uint64_t  skip;   /* bytes to drop from the first term */
    uint64_t  length; /* bytes of the answer */
    xet_span *spans;  /* what to fetch, by xorb and start, merged */
    size_t    span_count;
} xet_plan;
/* Looks a xorb up: its chunks, or NULL. */
typedef const xet_xorb *xet_xorb_find(void *arg, const xet_hash *hash);
/* Plans bytes [first, last] (inclusive, last clamped) of a file. SNUG_ERANGE past the end,
 * SNUG_ECORRUPT when a term names chunks that do not exist. */
snug_status xet_plan_range(snug_arena *a, const xet_term *terms, size_t n, uint64_t first,
                           uint64_t last, xet_xorb_find *find, void *arg, xet_plan *out,
                           snug_err *err) SNUG_MUST_USE;

#endif
