/* SPDX-License-Identifier: Apache-2.0 */
/* The fast ways give what the slow ways give: chunks hashed together, and cuts found on two halves
 * at once, against the rules of the format written down byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "xet/gear.h"
#include "xet/xet.h"

static unsigned char *noise(size_t n, uint64_t seed)
{
    unsigned char *p = snug_alloc(n + 8);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        memcpy(p + i, &z, 8);
    }
    return p;
}

static void test_hashes_together(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,    63,   64,   65,    1023,  1024,  1025,   2047,   2048,
                                   2049, 3072, 4097, 16384, 17000, 65536, 100000, 131071, 131072};
    enum { KINDS = sizeof sizes / sizeof *sizes, N = 300 };
    unsigned char *data = noise(4 << 20, 1);
    snug_slice     raw[N];
    xet_hash       many[N];
    for (size_t n = 1; n <= N; n += n < 40 ? 1 : 53) {
        for (size_t i = 0; i < n; i++) {
            size_t size = i % 3 == 0 ? 1 + (i * 7919) % XET_CHUNK_MAX : sizes[(i * 5 + n) % KINDS];
            raw[i] = snug_slice_of(data + (i * 104729) % (3 << 20), size);
        }
        xet_chunk_hash_many(raw, n, many);
        for (size_t i = 0; i < n; i++) {
            xet_hash one = xet_chunk_hash(raw[i]);
            assert_memory_equal(one.b, many[i].b, 32);
        }
    }
    free(data);
}

/* Section 1.2 of the format, without skipping anything that is tested. */
static size_t slow_next(const unsigned char *p, size_t n)
{
    uint64_t h = 0;
    size_t   from = XET_CHUNK_MIN - 65;
    for (size_t len = 1; len <= n; len++) {
        if (len > from) h = (h << 1) + xet_gear[p[len - 1]];
        if (len >= XET_CHUNK_MAX) return len;
        if (len >= XET_CHUNK_MIN && (h & 0xffff000000000000u) == 0) return len;
    }
    return n;
}

static void check_cuts(const unsigned char *p, size_t n, size_t piece)
{
    xet_chunker c = {0, 0};
    size_t      at = 0, start = 0;
    while (at < n) {
        bool   cut;
        size_t give = n - at < piece ? n - at : piece;
        at += xet_chunker_next(&c, p + at, give, &cut);
        if (!cut && at < n) continue;
        assert_int_equal(at - start, slow_next(p + start, n - start));
        start = at;
    }
    assert_int_equal(start, n);
}

static void test_cuts_of_noise(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 61, 4096, 8191, 8192, 65537, SIZE_MAX};
    size_t              n = 3 << 20;
    unsigned char      *data = noise(n, 7);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) check_cuts(data, n - i, pieces[i]);
    free(data);
}

/* Runs of one byte make cuts lie close together and at the edges of a stretch. */
static void test_cuts_of_runs(void **state)
{
    (void)state;
    size_t         n = 2 << 20;
    unsigned char *data = noise(n, 9);
    for (unsigned round = 0; round < 24; round++) {
        unsigned char b = (unsigned char)(round * 37);
        for (size_t at = round * 131; at + 9000 < n; at += 20011 + round)
            memset(data + at, b, 5000);
        check_cuts(data, n, round % 2 == 0 ? SIZE_MAX : 30011);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes_together),
        cmocka_unit_test(test_cuts_of_noise),
        cmocka_unit_test(test_cuts_of_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
