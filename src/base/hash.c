/* SPDX-License-Identifier: Apache-2.0 */
/* base/hash.c - digests over OpenSSL's EVP and the BLAKE3 reference code.
 *
 * Truth: a failing EVP call here means OpenSSL itself is broken (no allocation happens after
 * set-up), so it stops the process instead of asking every caller to handle it. */
#include "base/hash.h"

#include <blake3.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/slice.h"

static void digest(const EVP_MD *md, snug_slice s, unsigned char *out)
{
    SNUG_ASSERT(EVP_Digest(s.len == 0 ? "" : s.ptr, s.len, out, NULL, md, NULL) == 1);
}

snug_sha256 snug_sha256_of(snug_slice s)
{
    snug_sha256 h;
    digest(EVP_sha256(), s, h.b);
    return h;
}

snug_sha1 snug_sha1_of(snug_slice s)
{
    snug_sha1 h;
    digest(EVP_sha1(), s, h.b);
    return h;
}

snug_blake3 snug_blake3_of(snug_slice s)
{
    snug_blake3   h;
    blake3_hasher b;
    blake3_hasher_init(&b);
    blake3_hasher_update(&b, s.ptr, s.len);
    blake3_hasher_finalize(&b, h.b, sizeof h.b);
    return h;
}

snug_blake3 snug_blake3_keyed(const unsigned char key[32], snug_slice s)
{
    snug_blake3   h;
    blake3_hasher b;
    blake3_hasher_init_keyed(&b, key);
    blake3_hasher_update(&b, s.ptr, s.len);
    blake3_hasher_finalize(&b, h.b, sizeof h.b);
    return h;
}

snug_sha256 snug_hmac_sha256(snug_slice key, snug_slice msg)
{
    snug_sha256 h;
    unsigned    n = sizeof h.b;
    SNUG_ASSERT(key.len <= INT32_MAX);
    const unsigned char *p = HMAC(EVP_sha256(), key.len == 0 ? "" : key.ptr, (int)key.len,
                                  (const unsigned char *)(msg.len == 0 ? "" : msg.ptr), msg.len,
                                  h.b, &n);
    SNUG_ASSERT(p != NULL && n == sizeof h.b);
    return h;
}

struct snug_hasher {
    snug_hash_kind kind;
    EVP_MD_CTX    *evp; /* SHA kinds */
    blake3_hasher  b3;
};

static void restart(snug_hasher *h)
{
    if (h->kind == SNUG_HASH_BLAKE3) {
        blake3_hasher_init(&h->b3);
        return;
    }
    const EVP_MD *md = h->kind == SNUG_HASH_SHA1 ? EVP_sha1() : EVP_sha256();
    SNUG_ASSERT(EVP_DigestInit_ex(h->evp, md, NULL) == 1);
}

snug_hasher *snug_hasher_new(snug_hash_kind kind)
{
    snug_hasher *h = snug_zalloc(sizeof *h);
    h->kind = kind;
    if (kind != SNUG_HASH_BLAKE3) {
        h->evp = EVP_MD_CTX_new();
        SNUG_ASSERT(h->evp != NULL);
    }
    restart(h);
    return h;
}

void snug_hasher_update(snug_hasher *h, const void *p, size_t n)
{
    if (n == 0) return;
    if (h->kind == SNUG_HASH_BLAKE3) {
        blake3_hasher_update(&h->b3, p, n);
    } else {
        SNUG_ASSERT(EVP_DigestUpdate(h->evp, p, n) == 1);
    }
}

void snug_hasher_finish(snug_hasher *h, unsigned char *out)
{
    if (h->kind == SNUG_HASH_BLAKE3) {
        blake3_hasher_finalize(&h->b3, out, 32);
    } else {
        SNUG_ASSERT(EVP_DigestFinal_ex(h->evp, out, NULL) == 1);
    }
    restart(h);
}

void snug_hasher_free(snug_hasher *h)
{
    if (h == NULL) return;
    EVP_MD_CTX_free(h->evp);
    free(h);
}

snug_sha1 snug_git_blob_id(snug_slice s)
{
    char         head[32];
    int          n = snprintf(head, sizeof head, "blob %zu", s.len) + 1; /* the NUL belongs to it */
    snug_hasher *h = snug_hasher_new(SNUG_HASH_SHA1);
    snug_sha1    id;
    snug_hasher_update(h, head, (size_t)n);
    snug_hasher_update(h, s.ptr, s.len);
    snug_hasher_finish(h, id.b);
    snug_hasher_free(h);
    return id;
}

void snug_random(void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR) continue;
        SNUG_ASSERT(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

uint64_t snug_random_u64(void)
{
    uint64_t v;
    snug_random(&v, sizeof v);
    return v;
}

bool snug_secret_eq(snug_slice a, snug_slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void snug_secret_wipe(void *p, size_t n) { OPENSSL_cleanse(p, n); }
