/* SPDX-License-Identifier: Apache-2.0 */
/* tests/xet/test_vectors.c - every vector of tests/golden/xet/vectors.txt, and hostile variants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "xet/xet.h"

static snug_arena *arena;
static snug_slice  vectors;

static int load(void **state)
{
    (void)state;
    snug_err err;
    arena = snug_arena_new();
    return snug_read_file(arena, SNUG_SOURCE_DIR "/tests/golden/xet/vectors.txt", 1 << 20, &vectors,
                          &err) == SNUG_OK
               ? 0
               : -1;
}

static int unload(void **state)
{
    (void)state;
    snug_arena_free(arena);
    return 0;
}

/* The lines of "[name] ..." up to the next section, comments left out. */
static snug_slice section(const char *name)
{
    char head[80];
    (void)snprintf(head, sizeof head, "[%s]", name);
    size_t at = snug_find(vectors, snug_str(head));
    assert_true(at != SIZE_MAX);
    snug_slice rest = snug_sub(vectors, at, vectors.len), line;
    assert_true(snug_split(&rest, '\n', &line));
    size_t end = snug_find(rest, SNUG_LIT("\n["));
    return end == SIZE_MAX ? rest : snug_sub(rest, 0, end);
}

static snug_slice hex_section(const char *name)
{
    snug_slice text = section(name), line;
    snug_buf   b = snug_buf_init(1 << 20);
    while (snug_split(&text, '\n', &line)) {
        line = snug_trim(line);
        unsigned char bytes[4096];
        if (line.len == 0 || line.ptr[0] == '#') continue;
        assert_true(snug_unhex(line, bytes, line.len / 2));
        snug_buf_put(&b, bytes, line.len / 2);
    }
    snug_slice s = snug_arena_dup(arena, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    return s;
}

static xet_hash hash_of(snug_slice text)
{
    xet_hash h;
    assert_true(xet_hash_parse(text, &h));
    return h;
}

static void assert_hash(const xet_hash *h, snug_slice want)
{
    char text[65];
    xet_hash_text(h, text);
    assert_int_equal(want.len, 64);
    assert_memory_equal(text, want.ptr, 64);
}

/* Chunk ends of a buffer fed in pieces of `step` bytes. */
static size_t cut(snug_slice s, size_t step, size_t *ends, size_t max)
{
    xet_chunker c = {0, 0};
    size_t      at = 0, n = 0, last = 0;
    while (at < s.len) {
        bool   is_cut;
        size_t take = s.len - at < step ? s.len - at : step;
        at += xet_chunker_next(&c, s.ptr + at, take, &is_cut);
        if (is_cut) {
            assert_true(n < max);
            ends[n++] = last = at;
        }
    }
    if (last < s.len) ends[n++] = s.len;
    return n;
}

static void assert_ends(snug_slice s, snug_slice list)
{
    static const size_t steps[] = {SIZE_MAX, 65536, 4096, 777, 64, 1};
    size_t              ends[64];
    for (size_t k = 0; k < 6; k++) {
        size_t     n = cut(s, steps[k], ends, 64), i = 0;
        snug_slice rest = list, one;
        while (snug_split(&rest, ',', &one)) {
            uint64_t want;
            assert_true(snug_parse_u64(snug_trim(one), &want));
            assert_true(i < n);
            assert_int_equal(ends[i++], want);
        }
        assert_int_equal(i, n);
    }
}

static void test_cdc_patterns(void **state)
{
    (void)state;
    snug_slice pattern = hex_section("cdc-pattern"), cases = section("cdc-pattern-cases"), line;
    unsigned   done = 0;
    while (snug_split(&cases, '\n', &line)) {
        snug_slice pad_text, ends = line;
        uint64_t   pad;
        if (line.len == 0 || line.ptr[0] == '#' || !snug_split(&ends, '=', &pad_text) ||
            ends.len == 0)
            continue;
        if (!snug_parse_u64(pad_text, &pad)) continue;
        char  *buf = snug_arena_zalloc(arena, 65536);
        size_t n = pattern.len + pad;
        memcpy(buf, pattern.ptr, pattern.len);
        while (n < 65536) {
            size_t more = 65536 - n < n ? 65536 - n : n;
            memcpy(buf + n, buf, more);
            n += more;
        }
        assert_ends(snug_slice_of(buf, 65536), ends);
        done++;
    }
    assert_int_equal(done, 128);
}

static snug_slice splitmix(size_t n)
{
    unsigned char *out = snug_arena_alloc(arena, n + 8);
    uint64_t       state = 0;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        for (unsigned k = 0; k < 8; k++) out[i + k] = (unsigned char)(z >> 8 * k);
    }
    return snug_slice_of(out, n);
}

static size_t leaves_of(snug_slice s, xet_leaf *leaves, size_t max)
{
    size_t ends[64], n = cut(s, SIZE_MAX, ends, 64), from = 0;
    assert_true(n <= max);
    for (size_t i = 0; i < n; from = ends[i++])
        leaves[i] = (xet_leaf){xet_chunk_hash(snug_sub(s, from, ends[i] - from)), ends[i] - from};
    return n;
}

static void test_splitmix(void **state)
{
    (void)state;
    snug_slice s = splitmix(1000000), text = section("splitmix-seed0-1000000"), line;
    xet_leaf   leaves[64];
    xet_hash   hashes[64];
    size_t     n = leaves_of(s, leaves, 64), i = 0, end = 0;
    for (size_t k = 0; k < n; k++) hashes[k] = leaves[k].hash;
    while (snug_split(&text, '\n', &line)) {
        snug_slice key, value = snug_trim(line);
        uint64_t   want_end;
        if (!snug_split(&value, ' ', &key) || value.len != 64) continue;
        if (snug_parse_u64(key, &want_end)) {
            end += leaves[i].size;
            assert_int_equal(end, want_end);
            assert_hash(&leaves[i++].hash, value);
        } else if (snug_eq_str(key, "xorb_hash")) {
            xet_hash h = xet_merkle_root(leaves, n);
            assert_hash(&h, value);
        } else if (snug_eq_str(key, "file_hash")) {
            xet_hash h = xet_file_hash(leaves, n);
            assert_hash(&h, value);
        } else if (snug_eq_str(key, "range_hash_all")) {
            xet_hash h = xet_range_hash(hashes, n);
            assert_hash(&h, value);
        }
    }
    assert_int_equal(i, n);
    assert_int_equal(n, 19);
}

static snug_slice small_input(snug_slice name, uint64_t size)
{
    char *p = snug_arena_zalloc(arena, size + 16);
    if (snug_eq_str(name, "\"a\"")) p[0] = 'a';
    if (snug_eq_str(name, "\"hello_world\"")) memcpy(p, "hello world", 11);
    if (snug_starts_with(name, "bytes0..255")) {
        for (unsigned i = 0; i < 256; i++) p[i] = (char)i;
    }
    if (snug_starts_with(name, "fifty-nines")) memset(p, 59, size);
    return snug_slice_of(p, size);
}

static void test_small_inputs(void **state)
{
    (void)state;
    snug_slice text = section("small-inputs"), line;
    unsigned   done = 0;
    while (snug_split(&text, '\n', &line)) {
        snug_slice f[6], rest = snug_trim(line);
        size_t     k = 0;
        while (k < 6 && snug_split(&rest, ' ', &f[k])) k++;
        if (k != 6) continue;
        uint64_t size, count;
        assert_true(snug_parse_u64(f[1], &size) && snug_parse_u64(f[2], &count));
        xet_leaf leaves[64];
        size_t   n = leaves_of(small_input(f[0], size), leaves, 64);
        assert_int_equal(n, count);
        xet_hash root = xet_merkle_root(leaves, n), file = xet_file_hash(leaves, n);
        if (n > 0) assert_hash(&leaves[0].hash, f[3]);
        assert_hash(&root, f[4]);
        assert_hash(&file, f[5]);
        done++;
    }
    assert_int_equal(done, 11);
}

static void assert_root(const xet_leaf *leaves, size_t n, snug_slice want_root,
                        snug_slice want_file)
{
    xet_hash    root = xet_merkle_root(leaves, n), file = xet_file_hash(leaves, n);
    xet_merkle *m = xet_merkle_new();
    for (size_t i = 0; i < n; i++) xet_merkle_add(m, &leaves[i].hash, leaves[i].size);
    xet_hash streamed = xet_merkle_finish(m);
    assert_hash(&root, want_root);
    assert_hash(&file, want_file);
    assert_memory_equal(&streamed, &root, sizeof root);
}

/* "h1,h2,h1 x4 => root file", "h0..h7", "(h0..h7) x8 (64 leaves)", "h0,h0,h1,h1,...,h7,h7" */
static size_t merkle_list(snug_slice spec, const xet_leaf named[8], xet_leaf *out)
{
    size_t n = 0;
    if (snug_starts_with(spec, "h0,h0,h1,h1,...")) {
        for (size_t i = 0; i < 16; i++) out[n++] = named[i / 2];
        return n;
    }
    size_t times = 1, x = snug_find(spec, SNUG_LIT(" x"));
    if (x != SIZE_MAX) {
        times = 0;
        for (size_t i = x + 2; i < spec.len && spec.ptr[i] >= '0' && spec.ptr[i] <= '9'; i++)
            times = times * 10 + (size_t)(spec.ptr[i] - '0');
        spec = snug_sub(spec, 0, x);
    }
    for (size_t t = 0; t < times; t++) {
        if (snug_find(spec, SNUG_LIT("h0..h7")) != SIZE_MAX) {
            for (size_t i = 0; i < 8; i++) out[n++] = named[i];
            continue;
        }
        snug_slice rest = spec, one;
        while (snug_split(&rest, ',', &one)) out[n++] = named[snug_trim(one).ptr[1] - '0'];
    }
    return n;
}

static void test_merkle(void **state)
{
    (void)state;
    snug_slice text = section("merkle"), line;
    xet_leaf   named[8], *list = snug_arena_zalloc(arena, 10000 * sizeof *list);
    unsigned   done = 0;
    while (snug_split(&text, '\n', &line)) {
        line = snug_trim(line);
        size_t arrow = snug_find(line, SNUG_LIT(" => "));
        if (snug_starts_with(line, "leaf h")) {
            snug_slice rest = snug_sub(line, 8, line.len), hex;
            uint64_t   size;
            assert_true(snug_split(&rest, ' ', &hex) && snug_parse_u64(rest, &size));
            named[line.ptr[6] - '0'] = (xet_leaf){hash_of(hex), size};
            continue;
        }
        if (arrow == SIZE_MAX || line.ptr[0] == '#' ||
            snug_find(line, SNUG_LIT("salt")) != SIZE_MAX)
            continue;
        snug_slice spec = snug_sub(line, 0, arrow), rest = snug_sub(line, arrow + 4, line.len),
                   root;
        assert_true(snug_split(&rest, ' ', &root));
        uint64_t count;
        size_t   n = 0;
        if (snug_starts_with(spec, "synthetic n=")) {
            assert_true(snug_parse_u64(snug_sub(spec, 12, spec.len), &count));
            for (; n < count; n++) {
                unsigned char le[8];
                for (unsigned k = 0; k < 8; k++) le[k] = (unsigned char)((uint64_t)n >> 8 * k);
                list[n] = (xet_leaf){xet_chunk_hash(snug_slice_of(le, 8)), 1000 + n};
            }
        } else {
            n = merkle_list(spec, named, list);
        }
        assert_root(list, n, root, snug_sub(rest, 0, 64));
        done++;
    }
    assert_int_equal(done, 14);
}

static void test_streamed_root_equals_passes(void **state)
{
    (void)state;
    xet_leaf *list = snug_arena_zalloc(arena, 3000 * sizeof *list);
    for (size_t n = 0; n < 3000; n++) {
        list[n] = (xet_leaf){xet_chunk_hash(snug_slice_of(&n, sizeof n)), n};
        if (n > 200 && n % 97 != 0) continue;
        xet_merkle *m = xet_merkle_new();
        for (size_t i = 0; i < n; i++) xet_merkle_add(m, &list[i].hash, list[i].size);
        xet_hash a = xet_merkle_finish(m), b = xet_merkle_root(list, n);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static const char *const golden_hash =
    "81eb00340a16351b6a6cb6fe9f9e8a582a135203cc8d522d25062587913f006b";

static void test_golden_xorb(void **state)
{
    (void)state;
    xet_hash   want = hash_of(snug_str(golden_hash));
    snug_slice plain = hex_section("golden-xorb-body-without-footer"),
               full = hex_section("golden-xorb-with-v1-footer");
    static const uint32_t physical[] = {19, 56, 155}, raw[] = {11, 1035, 1291};
    for (int k = 0; k < 2; k++) {
        xet_xorb x;
        snug_err err;
        assert_int_equal(xet_xorb_check(arena, k ? full : plain, &want, &x, &err), SNUG_OK);
        assert_int_equal(x.count, 3);
        assert_int_equal(x.body_size, 155);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(x.chunks[i].stored_end, physical[i]);
            assert_int_equal(x.chunks[i].raw_end, raw[i]);
        }
        xet_hash tail[2] = {x.chunks[1].hash, x.chunks[2].hash};
        xet_hash proof = xet_range_hash(tail, 2);
        assert_hash(&proof,
                    SNUG_LIT("c30a51ebae7c7f89f1e03c4449921defd507530192ebce951e14450f8d8a754e"));
        snug_buf b = snug_buf_init(4096);
        snug_buf_put_slice(&b, plain);
        xet_footer_put(&b, &x);
        assert_int_equal(b.len, full.len);
        assert_memory_equal(b.ptr, full.ptr, full.len);
        snug_buf_deinit(&b);
    }
}

static snug_status keep_record(void *arg, snug_slice record, snug_err *err)
{
    (void)err;
    snug_buf_put_slice(arg, record);
    return SNUG_OK;
}

/* Fed in any cut, a xorb gives the same chunks, and its records without the footer. */
static void test_checked_in_pieces(void **state)
{
    (void)state;
    xet_hash   want = hash_of(snug_str(golden_hash));
    snug_slice plain = hex_section("golden-xorb-body-without-footer"),
               full = hex_section("golden-xorb-with-v1-footer");
    for (size_t step = 1; step <= full.len; step++) {
        snug_buf     kept = snug_buf_init(4096);
        xet_checker *c = xet_checker_new(keep_record, &kept);
        xet_xorb     x;
        snug_err     err;
        for (size_t at = 0; at < full.len; at += step)
            assert_int_equal(xet_checker_feed(c, snug_sub(full, at, step), &err), SNUG_OK);
        assert_int_equal(xet_checker_finish(c, arena, &want, &x, &err), SNUG_OK);
        xet_checker_free(c);
        assert_int_equal(x.count, 3);
        assert_int_equal(kept.len, plain.len);
        assert_memory_equal(kept.ptr, plain.ptr, plain.len);
        snug_buf_deinit(&kept);
    }
}

static void test_every_flipped_byte_is_refused(void **state)
{
    (void)state;
    xet_hash   want = hash_of(snug_str(golden_hash));
    snug_slice full = hex_section("golden-xorb-with-v1-footer");
    char      *copy = snug_arena_alloc(arena, full.len);
    for (size_t i = 0; i < full.len; i++) {
        xet_xorb x;
        snug_err err;
        bool     reserved = i >= full.len - 20 && i < full.len - 4; /* 16 bytes nobody reads */
        memcpy(copy, full.ptr, full.len);
        copy[i] ^= 0x01;
        snug_status st = xet_xorb_check(arena, snug_slice_of(copy, full.len), &want, &x, &err);
        /* In a run of one byte another match offset copies the same bytes: still the same xorb. */
        bool same_bytes = st == SNUG_OK && i >= 27 && i < 155;
        if (same_bytes) assert_memory_equal(&x.hash, &want, sizeof want);
        if (reserved || same_bytes) {
            assert_int_equal(st, SNUG_OK);
        } else {
            assert_int_equal(st, SNUG_ECORRUPT);
            assert_true(strlen(err.msg) > 10);
        }
    }
    for (size_t n = 0; n < full.len; n++) {
        xet_xorb    x;
        snug_status st = xet_xorb_check(arena, snug_sub(full, 0, n), &want, &x, NULL);
        assert_int_equal(st, n == 155 ? SNUG_OK : SNUG_ECORRUPT);
    }
}

static void test_records_round_trip(void **state)
{
    (void)state;
    snug_slice     noise = splitmix(XET_CHUNK_MAX);
    unsigned char *raw = snug_arena_alloc(arena, XET_CHUNK_MAX),
                  *out = snug_arena_alloc(arena, XET_CHUNK_MAX);
    for (unsigned kind = 0; kind < 3; kind++) {
        for (uint32_t n = 1; n <= XET_CHUNK_MAX;
             n = n < 70                                           ? n + 1
                 : n * 2 + 1 > XET_CHUNK_MAX && n < XET_CHUNK_MAX ? XET_CHUNK_MAX
                                                                  : n * 2 + 1) {
            for (uint32_t i = 0; i < n; i++) {
                float f = 1.0f + (float)(i / 4) * 1e-4f;
                raw[i] = kind == 0   ? (unsigned char)noise.ptr[i]
                         : kind == 1 ? 'a'
                                     : ((const unsigned char *)&f)[i % 4];
            }
            snug_buf b = snug_buf_init(1 << 20);
            xet_record_put(&b, snug_slice_of(raw, n));
            uint32_t got, stored;
            snug_err err;
            assert_int_equal(xet_record_decode(snug_buf_slice(&b), out, &got, &stored, &err),
                             SNUG_OK);
            assert_int_equal(got, n);
            assert_int_equal(stored, b.len);
            assert_memory_equal(out, raw, n);
            if (kind == 0) assert_int_equal(b.len, n + 8);
            if (kind == 1 && n > 64) assert_true(b.len < n);
            if (kind == 2 && n > 4096) assert_int_equal(b.ptr[4], XET_BG4_LZ4);
            snug_buf_deinit(&b);
        }
    }
}

static void test_golden_upload_shard(void **state)
{
    (void)state;
    snug_slice bytes = hex_section("golden-upload-shard");
    xet_shard  s;
    snug_err   err;
    assert_int_equal(bytes.len, 720);
    assert_int_equal(xet_shard_parse(arena, bytes, &s, &err), SNUG_OK);
    assert_int_equal(s.file_count, 2);
    assert_int_equal(s.xorb_count, 1);
    assert_int_equal(s.xorbs[0].count, 3);
    assert_hash(&s.files[1].hash,
                SNUG_LIT("f15edd43b7e85cfd25e2758ffe13b99fdd09dfa817e8d9f6548722a7a126db7f"));
    char sha[65];
    snug_hex(s.files[1].sha256.b, 32, sha);
    assert_string_equal(sha, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    assert_int_equal(s.files[0].terms[0].start, 1);
    assert_int_equal(s.files[0].terms[0].end, 3);
    snug_buf b = snug_buf_init(4096);
    xet_shard_write(&s, NULL, &b);
    assert_int_equal(b.len, bytes.len);
    assert_memory_equal(b.ptr, bytes.ptr, bytes.len);
    snug_buf_deinit(&b);
    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(xet_shard_parse(arena, snug_sub(bytes, 0, n), &s, NULL), SNUG_ECORRUPT);
}

static void test_golden_dedup_shard(void **state)
{
    (void)state;
    snug_slice want = hex_section("golden-dedup-shard"),
               body = hex_section("golden-xorb-body-without-footer");
    xet_xorb         x;
    snug_err         err;
    xet_shard_chunk  chunks[3];
    xet_shard_footer f = {.created_s = 1700000000, .expires_s = 1893456000};
    for (unsigned i = 0; i < 32; i++) f.hmac_key[i] = (unsigned char)(i + 1);
    assert_int_equal(xet_xorb_check(arena, body, NULL, &x, &err), SNUG_OK);
    for (unsigned i = 0; i < 3; i++)
        chunks[i] =
            (xet_shard_chunk){xet_hmac(f.hmac_key, &x.chunks[i].hash),
                              i == 0 ? 0 : x.chunks[i - 1].raw_end, x.chunks[i].raw_size, i < 2};
    xet_shard_xorb block = {x.hash, chunks, 3, 1291, 155};
    xet_shard      s = {NULL, &block, 0, 1};
    snug_buf       b = snug_buf_init(4096);
    xet_shard_write(&s, &f, &b);
    assert_int_equal(b.len, want.len);
    assert_memory_equal(b.ptr, want.ptr, want.len);
    snug_buf_deinit(&b);
}

static const xet_xorb *find_one(void *arg, const xet_hash *h)
{
    const xet_xorb *x = arg;
    return xet_hash_eq(&x->hash, h) ? x : NULL;
}

static void test_range_plan(void **state)
{
    (void)state;
    snug_slice s = splitmix(1000000);
    size_t     ends[64], n = cut(s, SIZE_MAX, ends, 64);
    snug_buf   body = snug_buf_init(2 << 20);
    for (size_t i = 0, from = 0; i < n; from = ends[i++])
        xet_record_put(&body, snug_sub(s, from, ends[i] - from));
    xet_xorb x;
    snug_err err;
    assert_int_equal(xet_xorb_check(arena, snug_buf_slice(&body), NULL, &x, &err), SNUG_OK);
    xet_term whole = {.xorb = x.hash, .raw_size = 1000000, .start = 0, .end = x.count};
    xet_plan p;
    assert_int_equal(xet_plan_range(arena, &whole, 1, 100000, 250000, find_one, &x, &p, &err),
                     SNUG_OK);
    assert_int_equal(p.term_count, 1);
    assert_int_equal(p.terms[0].start, 1);
    assert_int_equal(p.terms[0].end, 5);
    assert_int_equal(p.terms[0].raw_size, 187300);
    assert_int_equal(p.skip, 15507);
    assert_int_equal(p.length, 150001);
    assert_int_equal(p.spans[0].from, 84501);
    assert_int_equal(p.spans[0].to - 1, 271832);
    assert_int_equal(xet_plan_range(arena, &whole, 1, 1000000, UINT64_MAX, find_one, &x, &p, &err),
                     SNUG_ERANGE);
    assert_int_equal(xet_plan_range(arena, &whole, 1, 999999, UINT64_MAX, find_one, &x, &p, &err),
                     SNUG_OK);
    assert_int_equal(p.length, 1);
    whole.raw_size++;
    assert_int_equal(xet_plan_range(arena, &whole, 1, 0, UINT64_MAX, find_one, &x, &p, &err),
                     SNUG_ECORRUPT);
    whole.raw_size--;
    whole.end = x.count + 1;
    assert_int_equal(xet_plan_range(arena, &whole, 1, 0, UINT64_MAX, find_one, &x, &p, &err),
                     SNUG_ECORRUPT);
    snug_buf_deinit(&body);
}

/* Every range of a file made of scattered terms gives exactly those bytes. */
static void test_ranges_give_the_bytes(void **state)
{
    (void)state;
    snug_slice s = splitmix(1000000);
    size_t     ends[64], n = cut(s, SIZE_MAX, ends, 64);
    snug_buf   body = snug_buf_init(2 << 20), file = snug_buf_init(4 << 20);
    for (size_t i = 0, from = 0; i < n; from = ends[i++])
        xet_record_put(&body, snug_sub(s, from, ends[i] - from));
    xet_xorb x;
    snug_err err;
    assert_int_equal(xet_xorb_check(arena, snug_buf_slice(&body), NULL, &x, &err), SNUG_OK);
    static const uint32_t parts[][2] = {{3, 5}, {0, 2}, {3, 4}, {10, 19}, {1, 2}};
    xet_term              terms[5];
    for (unsigned i = 0; i < 5; i++) {
        uint32_t from = parts[i][0] == 0 ? 0 : x.chunks[parts[i][0] - 1].raw_end,
                 to = x.chunks[parts[i][1] - 1].raw_end;
        terms[i] = (xet_term){
            .xorb = x.hash, .raw_size = to - from, .start = parts[i][0], .end = parts[i][1]};
        snug_buf_put_slice(&file, snug_sub(s, from, to - from));
    }
    uint64_t       seed = 1;
    unsigned char *raw = snug_arena_alloc(arena, XET_CHUNK_MAX);
    for (unsigned round = 0; round < 300; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t first = (seed >> 20) % file.len, last = first + (seed >> 40) % (file.len - first);
        xet_plan p;
        assert_int_equal(xet_plan_range(arena, terms, 5, first, last, find_one, &x, &p, &err),
                         SNUG_OK);
        assert_int_equal(p.length, last - first + 1);
        uint64_t at = 0, skip = p.skip;
        for (size_t t = 0; t < p.term_count; t++) {
            for (uint32_t c = p.terms[t].start; c < p.terms[t].end; c++) {
                uint32_t got, stored, from = c == 0 ? 0 : x.chunks[c - 1].stored_end;
                assert_int_equal(xet_record_decode(snug_sub(snug_buf_slice(&body), from, body.len),
                                                   raw, &got, &stored, &err),
                                 SNUG_OK);
                uint64_t use = got - skip < p.length - at ? got - skip : p.length - at;
                assert_memory_equal(raw + skip, file.ptr + first + at, use);
                at += use;
                skip = 0;
            }
        }
        assert_int_equal(at, p.length);
    }
    snug_buf_deinit(&body);
    snug_buf_deinit(&file);
}

/* Chunks by turns from two xorbs are taken until a window of such runs is full; then the file is
 * stored in a row, until what lies in a row makes up for it. */
static void broken_files_are_mended(void **state)
{
    (void)state;
    xet_runs r = {.count = 0};
    for (int i = 0; i < 2 * XET_RUNS; i++) {
        if (i <= XET_RUNS) assert_true(xet_runs_may_jump(&r));
        xet_runs_add(&r, false);
    }
    assert_false(xet_runs_may_jump(&r));
    int stored = 0;
    for (; !xet_runs_may_jump(&r); stored++) xet_runs_add(&r, true);
    assert_in_range(stored, XET_RUN_HIGH * XET_RUNS - XET_RUNS, XET_RUN_HIGH * (XET_RUNS + 1));
    r = (xet_runs){.count = 0}; /* runs of five chunks are neither forbidden nor needed */
    for (int i = 0; i < 50 * XET_RUNS; i++) {
        assert_true(xet_runs_may_jump(&r));
        xet_runs_add(&r, i % 5 != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files_are_mended),
        cmocka_unit_test(test_cdc_patterns),
        cmocka_unit_test(test_splitmix),
        cmocka_unit_test(test_small_inputs),
        cmocka_unit_test(test_merkle),
        cmocka_unit_test(test_streamed_root_equals_passes),
        cmocka_unit_test(test_golden_xorb),
        cmocka_unit_test(test_checked_in_pieces),
        cmocka_unit_test(test_every_flipped_byte_is_refused),
        cmocka_unit_test(test_records_round_trip),
        cmocka_unit_test(test_golden_upload_shard),
        cmocka_unit_test(test_golden_dedup_shard),
        cmocka_unit_test(test_range_plan),
        cmocka_unit_test(test_ranges_give_the_bytes),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
