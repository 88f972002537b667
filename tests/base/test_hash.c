/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_hash.c - digests against published vectors, codings, random bytes, secrets. */
#include "check.h"

#define L SNUG_LIT

static void check_hex(const unsigned char *b, size_t n, const char *want)
{
    char hex[129];
    snug_hex(b, n, hex);
    assert_string_equal(hex, want);
}

/* FIPS 180-4 examples. */
static void test_sha(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sha256, *sha1;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
         "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        snug_sha256 h = snug_sha256_of(snug_str(vectors[i].text));
        snug_sha1   s = snug_sha1_of(snug_str(vectors[i].text));
        check_hex(h.b, sizeof h.b, vectors[i].sha256);
        check_hex(s.b, sizeof s.b, vectors[i].sha1);
    }
    snug_sha256 none = snug_sha256_of(SNUG_EMPTY);
    check_hex(none.b, sizeof none.b, vectors[0].sha256);
}

static void test_stream(void **state)
{
    (void)state;
    static const struct {
        snug_hash_kind kind;
        size_t         size;
        const char    *million, *empty;
    } rows[] = {
        {SNUG_HASH_SHA256, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {SNUG_HASH_SHA1, 20, "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
         "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {SNUG_HASH_BLAKE3, 32, NULL,
         "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
    };
    char *text = malloc(1000000);
    assert_non_null(text);
    memset(text, 'a', 1000000);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        snug_hasher  *h = snug_hasher_new(rows[r].kind);
        unsigned char out[32];
        uint64_t      rnd = 11;
        snug_hasher_finish(h, out);
        check_hex(out, rows[r].size, rows[r].empty);
        for (int round = 0; round < 2; round++) { /* reset by finish */
            for (size_t at = 0; at < 1000000;) {
                size_t n = check_random(&rnd) % 5000;
                if (n > 1000000 - at) n = 1000000 - at;
                snug_hasher_update(h, text + at, n);
                at += n;
            }
            snug_hasher_finish(h, out);
            if (rows[r].million != NULL) {
                check_hex(out, rows[r].size, rows[r].million);
            } else {
                snug_blake3 once = snug_blake3_of((snug_slice){text, 1000000});
                assert_memory_equal(once.b, out, 32);
            }
        }
        snug_hasher_free(h);
    }
    snug_hasher_free(NULL);
    free(text);
}

/* Inputs are the bytes 0, 1, ... 250, 0, ...; digests from the blake3 1.0 package for Python. */
static const struct {
    size_t      n;
    const char *plain, *keyed;
} blake3_vectors[] = {
    {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
     "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"},
    {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
     "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"},
    {63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b",
     "bb1eb5d4afa793c1ebdd9fb08def6c36d10096986ae0cfe148cd101170ce37ae"},
    {64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
     "ba8ced36f327700d213f120b1a207a3b8c04330528586f414d09f2f7d9ccb7e6"},
    {65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
     "c0a4edefa2d2accb9277c371ac12fcdbb52988a86edc54f0716e1591b4326e72"},
    {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
     "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e"},
    {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
     "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"},
    {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
     "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"},
    {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
     "879cf1fa2ea0e79126cb1063617a05b6ad9d0b696d0d757cf053439f60a99dd1"},
    {3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
     "044a0e7b172a312dc02a4c9a818c036ffa2776368d7f528268d2e6b5df191770"},
    {5120, "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833",
     "2c493e48e9b9bf31e0553a22b23503c0a3388f035cece68eb438d22fa1943e20"},
    {16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
     "9e9fc4eb7cf081ea7c47d1807790ed211bfec56aa25bb7037784c13c4b707b0d"},
    {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
     "efa53b389ab67c593dba624d898d0f7353ab99e4ac9d42302ee64cbf9939a419"},
    {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
     "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7"},
};

static void test_blake3(void **state)
{
    (void)state;
    const unsigned char *key = (const unsigned char *)"whats the Elvish word for friend";
    unsigned char       *text = malloc(102400);
    assert_non_null(text);
    for (size_t i = 0; i < 102400; i++) text[i] = (unsigned char)(i % 251);
    for (size_t i = 0; i < sizeof blake3_vectors / sizeof blake3_vectors[0]; i++) {
        snug_slice  s = snug_slice_of(text, blake3_vectors[i].n);
        snug_blake3 plain = snug_blake3_of(s), keyed = snug_blake3_keyed(key, s);
        check_hex(plain.b, 32, blake3_vectors[i].plain);
        check_hex(keyed.b, 32, blake3_vectors[i].keyed);
    }
    free(text);
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac(void **state)
{
    (void)state;
    char        key[131];
    snug_sha256 h;
    memset(key, 0x0b, 20);
    h = snug_hmac_sha256((snug_slice){key, 20}, L("Hi There"));
    check_hex(h.b, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    h = snug_hmac_sha256(L("Jefe"), L("what do ya want for nothing?"));
    check_hex(h.b, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    h = snug_hmac_sha256((snug_slice){key, sizeof key},
                         L("Test Using Larger Than Block-Size Key - Hash Key First"));
    check_hex(h.b, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    h = snug_hmac_sha256(SNUG_EMPTY, SNUG_EMPTY);
    check_hex(h.b, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_git(void **state)
{
    (void)state;
    snug_sha1 id = snug_git_blob_id(L("hello\n"));
    check_hex(id.b, 20, "ce013625030ba8dba906f756967f9e9ca394464a");
    id = snug_git_blob_id(SNUG_EMPTY);
    check_hex(id.b, 20, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

static void test_hex(void **state)
{
    (void)state;
    unsigned char b[4] = {9, 9, 9, 9};
    assert_true(snug_unhex(L("00fFa9"), b, 3));
    assert_memory_equal(b, "\x00\xff\xa9\x09", 4);
    assert_false(snug_unhex(L("00ff"), b, 3));
    assert_false(snug_unhex(L("00ff0"), b, 2));
    assert_false(snug_unhex(L("00fg"), b, 2));
    assert_false(snug_unhex(L("0x00"), b, 2));
    assert_false(snug_unhex(L(" 0ff"), b, 2));
    assert_true(snug_unhex(SNUG_EMPTY, b, 0));
    check_hex(b, 0, "");
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *coded;
    } pairs[] = {
        /* RFC 4648, section 10 */
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(100);
        snug_base64_put(&b, snug_str(pairs[i].plain));
        assert_string_equal(snug_buf_cstr(&b), pairs[i].coded);
        snug_buf_clear(&b);
        assert_int_equal(snug_base64_decode(snug_str(pairs[i].coded), &b, NULL), SNUG_OK);
        assert_string_equal(snug_buf_cstr(&b), pairs[i].plain);
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(100);
    assert_int_equal(snug_base64_decode(L(" Zm9v\r\n Ym\tE= \n"), &b, NULL), SNUG_OK);
    assert_string_equal(snug_buf_cstr(&b), "fooba");
    snug_buf_clear(&b);
    assert_int_equal(snug_base64_decode(L("+/+/"), &b, NULL), SNUG_OK);
    assert_slice(snug_buf_slice(&b), "\xfb\xff\xbf");
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",  "Zm8",  "Zm9vYg==Zg==", "Zg===", "=",
                                      "====", "Zm=8", "Zm9*", "-_-_", "Zm9v=",        "Zg==x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snug_err err;
        snug_buf_clear(&b);
        if (snug_base64_decode(snug_str(bad[i]), &b, &err) != SNUG_EINVAL) fail_msg("%s", bad[i]);
    }
    SNUG_AUTO(snug_buf) small = snug_buf_init(10);
    assert_int_equal(snug_base64_decode(L("Zm9vYmFyZm9vYmFyZm9vYmFy"), &small, NULL), SNUG_ELIMIT);
}

static void test_base64_random(void **state)
{
    (void)state;
    uint64_t rnd = 4;
    for (int i = 0; i < 2000; i++) {
        char   bytes[100];
        size_t n = check_random(&rnd) % sizeof bytes;
        for (size_t k = 0; k < n; k++) bytes[k] = (char)check_random(&rnd);
        SNUG_AUTO(snug_buf) coded = snug_buf_init(1000);
        SNUG_AUTO(snug_buf) back = snug_buf_init(1000);
        snug_base64_put(&coded, (snug_slice){bytes, n});
        assert_int_equal(coded.len, (n + 2) / 3 * 4);
        assert_int_equal(snug_base64_decode(snug_buf_slice(&coded), &back, NULL), SNUG_OK);
        assert_int_equal(back.len, n);
        if (n > 0) assert_memory_equal(back.ptr, bytes, n);
    }
}

static void test_percent(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(1000);
    snug_arena *a = snug_arena_new();
    snug_slice  s;
    snug_percent_put(&b, L("AZaz09-._~/ +%\xc3\xa9\n?&"), false);
    assert_string_equal(snug_buf_cstr(&b), "AZaz09-._~%2F%20%2B%25%C3%A9%0A%3F%26");
    assert_true(snug_percent_decode(a, snug_buf_slice(&b), false, &s));
    assert_slice(s, "AZaz09-._~/ +%\xc3\xa9\n?&");
    snug_buf_clear(&b);
    snug_percent_put(&b, L("a/b c"), true);
    assert_string_equal(snug_buf_cstr(&b), "a/b%20c");
    assert_true(snug_percent_decode(a, L("a+b%2bc"), true, &s));
    assert_slice(s, "a b+c");
    assert_true(snug_percent_decode(a, L("a+b"), false, &s));
    assert_slice(s, "a+b");
    assert_true(snug_percent_decode(a, SNUG_EMPTY, false, &s));
    assert_slice(s, "");
    static const char *const bad[] = {"%",   "%4",  "a%",    "a%2", "%zz", "%2g",
                                      "%g2", "%00", "a%00b", "%-1", "% 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snug_slice tight = check_tight(snug_str(bad[i]));
        assert_false(snug_percent_decode(a, tight, false, &s));
        check_untight(tight);
    }
    assert_false(snug_percent_decode(a, L("a\0b"), false, &s));
    snug_arena_free(a);
}

static void test_random(void **state)
{
    (void)state;
    unsigned char bytes[4096];
    unsigned      ones = 0;
    memset(bytes, 0, sizeof bytes);
    snug_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) ones += (unsigned)__builtin_popcount(bytes[i]);
    /* 32768 fair coins: 16384 +- 90; 1000 away is beyond any luck */
    assert_true(ones > 15384 && ones < 17384);
    assert_true(snug_random_u64() != snug_random_u64());
}

static void test_secrets(void **state)
{
    (void)state;
    assert_true(snug_secret_eq(L("token"), L("token")));
    assert_false(snug_secret_eq(L("token"), L("tokeN")));
    assert_false(snug_secret_eq(L("token"), L("toke")));
    assert_true(snug_secret_eq(SNUG_EMPTY, L("")));
    char secret[] = "password";
    snug_secret_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++) assert_int_equal(secret[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha),     cmocka_unit_test(test_stream),
        cmocka_unit_test(test_blake3),  cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_git),     cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64),  cmocka_unit_test(test_base64_random),
        cmocka_unit_test(test_percent), cmocka_unit_test(test_random),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
