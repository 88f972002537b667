/* SPDX-License-Identifier: Apache-2.0 */
/* bench_xet_chunk.c - cutting a file into chunks and hashing them, one thread, from memory.
 *
 *      bench_xet_chunk [FILE]            default: 1 GiB of random bytes
 *
 * One JSON object on standard output: cutting alone, hashing alone, both with the file's hash,
 * which is what a peer has to do as well. The best of three rounds, in processor time. */
#include "xet/xet.h"

#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 3, DEFAULT_MB = 1024 };

static size_t cut_all(snug_slice s, uint32_t *sizes)
{
    xet_chunker c = {0, 0};
    size_t      n = 0, at = 0, start = 0;
    while (at < s.len) {
        bool cut;
        at += xet_chunker_next(&c, s.ptr + at, s.len - at, &cut);
        if (!cut && at < s.len) continue;
        sizes[n++] = (uint32_t)(at - start);
        start = at;
    }
    return n;
}

enum { AT_ONCE = 128 };

static xet_hash hash_all(snug_slice s, const uint32_t *sizes, size_t n)
{
    xet_merkle *m = xet_merkle_new();
    snug_slice  part[AT_ONCE];
    xet_hash    h[AT_ONCE];
    size_t      at = 0;
    for (size_t i = 0; i < n;) {
        size_t k = 0;
        for (; k < AT_ONCE && i < n; at += sizes[i++])
            part[k++] = snug_slice_of(s.ptr + at, sizes[i]);
        xet_chunk_hash_many(part, k, h);
        for (size_t j = 0; j < k; j++) xet_merkle_add(m, &h[j], part[j].len);
    }
    xet_hash root = xet_merkle_finish(m);
    return n == 0 ? root : xet_file_hash_of_root(&root);
}

/* As a client does it: some chunks are cut, then hashed together. */
static xet_hash cut_and_hash(snug_slice s)
{
    xet_merkle *m = xet_merkle_new();
    xet_chunker c = {0, 0};
    snug_slice  part[AT_ONCE];
    xet_hash    h[AT_ONCE];
    size_t      at = 0, start = 0, k = 0;
    while (at < s.len) {
        bool cut;
        at += xet_chunker_next(&c, s.ptr + at, s.len - at, &cut);
        if (!cut && at < s.len) continue;
        part[k++] = snug_sub(s, start, at - start);
        start = at;
        if (k < AT_ONCE && at < s.len) continue;
        xet_chunk_hash_many(part, k, h);
        for (size_t j = 0; j < k; j++) xet_merkle_add(m, &h[j], part[j].len);
        k = 0;
    }
    xet_hash root = xet_merkle_finish(m);
    return s.len == 0 ? root : xet_file_hash_of_root(&root);
}

/* Of this thread: what others do on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double rate(size_t bytes, uint64_t ns) { return (double)bytes * 1e3 / (double)ns; }

int main(int argc, char **argv)
{
    snug_map   map = {NULL, 0};
    snug_err   err = {0};
    char      *made = NULL;
    snug_slice data;
    if (argc > 1) {
        if (snug_map_open(argv[1], &map, &err) != SNUG_OK) {
            fprintf(stderr, "%s (%s)\n", err.msg, err.cause);
            return 1;
        }
        data = snug_slice_of(map.ptr, map.len);
    } else {
        made = snug_alloc((size_t)DEFAULT_MB << 20);
        for (size_t i = 0; i < DEFAULT_MB; i++) snug_random(made + (i << 20), 1 << 20);
        data = snug_slice_of(made, (size_t)DEFAULT_MB << 20);
    }
    uint32_t *sizes = snug_alloc((data.len / XET_CHUNK_MIN + 2) * sizeof *sizes);
    double    best_cut = 0, best_hash = 0, best_both = 0;
    size_t    chunks = 0;
    xet_hash  name = {{0}};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t t0 = cpu_ns();
        chunks = cut_all(data, sizes);
        uint64_t t1 = cpu_ns();
        name = hash_all(data, sizes, chunks);
        uint64_t t2 = cpu_ns();
        xet_hash again = cut_and_hash(data);
        uint64_t t3 = cpu_ns();
        SNUG_ASSERT(xet_hash_eq(&name, &again));
        if (rate(data.len, t1 - t0) > best_cut) best_cut = rate(data.len, t1 - t0);
        if (rate(data.len, t2 - t1) > best_hash) best_hash = rate(data.len, t2 - t1);
        if (rate(data.len, t3 - t2) > best_both) best_both = rate(data.len, t3 - t2);
    }
    char text[65];
    xet_hash_text(&name, text);
    printf("{\"bytes\": %zu, \"chunks\": %zu, \"cut_mb_per_s\": %.0f, \"hash_mb_per_s\": %.0f, "
           "\"mb_per_s\": %.0f, \"file_hash\": \"%s\"}\n",
           data.len, chunks, best_cut, best_hash, best_both, text);
    free(sizes);
    free(made);
    snug_map_deinit(&map);
    return 0;
}
