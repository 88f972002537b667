/* SPDX-License-Identifier: Apache-2.0 */
/* base/hash.h - SHA-256, SHA-1 (git), BLAKE3, HMAC; hex, base64 and percent coding; random bytes;
 * secrets. SHA come from OpenSSL's EVP (which uses the CPU's SHA instructions), BLAKE3 from the
 * packaged reference C sources. */
#ifndef SNUG_BASE_HASH_H
#define SNUG_BASE_HASH_H

#include "base/mem.h"

typedef struct snug_sha256 { unsigned char b[32]; } snug_sha256;
typedef struct snug_sha1   { unsigned char b[20]; } snug_sha1;
typedef struct snug_blake3 { unsigned char b[32]; } snug_blake3;

/* One-shot. */
snug_sha256 snug_sha256_of(snug_slice s);
snug_sha1   snug_sha1_of(snug_slice s);
snug_blake3 snug_blake3_of(snug_slice s);
snug_blake3 snug_blake3_keyed(const unsigned char key[32], snug_slice s);
/* The same for each of n messages. Faster than one by one from about eight of them on. */
void        snug_blake3_keyed_many(const unsigned char key[32], const snug_slice *messages, size_t n,
                                   snug_blake3 *out);
snug_sha256 snug_hmac_sha256(snug_slice key, snug_slice msg);
/* The id git gives a blob of these bytes: SHA-1 over "blob <len>\0" and the bytes. */
snug_sha1   snug_git_blob_id(snug_slice s);

/* Streaming SHA: kind is the only difference. */
typedef enum snug_hash_kind { SNUG_HASH_SHA256, SNUG_HASH_SHA1, SNUG_HASH_BLAKE3 } snug_hash_kind;
typedef struct snug_hasher snug_hasher;
snug_hasher *snug_hasher_new(snug_hash_kind kind);
void         snug_hasher_update(snug_hasher *h, const void *p, size_t n);
/* Writes 32 (or 20 for SHA-1) bytes; the hasher is then reset for another message. */
void         snug_hasher_finish(snug_hasher *h, unsigned char *out);
void         snug_hasher_free(snug_hasher *h); /* NULL is fine */

/* Hex: lowercase out; either case in. out needs 2n + 1 bytes. */
void snug_hex(const void *p, size_t n, char *out);
bool snug_unhex(snug_slice hex, void *out, size_t n); /* false unless exactly 2n hex digits */

/* Base64 (RFC 4648). Encoding appends to the buffer. Decoding ignores ASCII white space, wants
 * correct padding, and fails on anything else. */
void        snug_base64_put(snug_buf *b, snug_slice s);
snug_status snug_base64_decode(snug_slice text, snug_buf *out, snug_err *err) SNUG_MUST_USE;

/* Percent coding of a URL path segment (keeps A-Z a-z 0-9 - . _ ~; and '/' when keep_slash). */
void snug_percent_put(snug_buf *b, snug_slice s, bool keep_slash);
/* Decodes %XX (and '+' as a space when `form`). Malformed escapes or a NUL byte: false. */
bool snug_percent_decode(snug_arena *a, snug_slice s, bool form, snug_slice *out);

/* Bytes from the kernel's generator; cannot fail on a supported kernel. */
void     snug_random(void *p, size_t n);
uint64_t snug_random_u64(void);

/* Constant-time comparison: for tokens, signatures, passwords. */
bool snug_secret_eq(snug_slice a, snug_slice b);
void snug_secret_wipe(void *p, size_t n); /* never optimised away */

#endif
