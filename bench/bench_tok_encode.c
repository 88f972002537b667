/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_tok_encode.c - how fast a tokenizer loads and encodes.
 *
 *     bench_tok_encode [TOKENIZER.json TEXT CHUNK_BYTES ROUNDS]
 *
 * TEXT is cut at line ends into chunks of about CHUNK_BYTES (0: one piece), each a call of its own.
 * Prints the middle round in MB/s, tokens, a checksum of the ids, and the loading time.
 * bench/tok.py runs it beside other libraries. Without arguments: the golden byte-level tokenizer
 * on the plays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tok/tok.h"

enum { LOADS = 9, ROUNDS_MAX = 64 };

#define DIE_IF(call)                                                                               \
    do {                                                                                           \
        if ((call) != SNUG_OK) {                                                                   \
            (void)fprintf(stderr, "%s %s\n", err.msg, err.cause);                                  \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* Processor time: a busy machine does not blur it. */
static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds_since(uint64_t t0) { return (double)(now_ns() - t0) / 1e9; }

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_size);
    return v[n / 2];
}

static size_t cut(snug_slice text, size_t chunk, snug_slice *out)
{
    size_t n = 0;
    while (text.len > 0) {
        size_t len = chunk == 0 || chunk > text.len ? text.len : chunk;
        while (len < text.len && text.ptr[len - 1] != '\n') len++;
        if (out != NULL) out[n] = snug_sub(text, 0, len);
        n++;
        text = snug_sub(text, len, text.len - len);
    }
    return n;
}

int main(int argc, char **argv)
{
    const char *root = "tests/golden/tok/gpt2/tokenizer.json",
               *file = "samples/datasets/shakespeare/input.txt";
    size_t chunk = 10000, rounds = 5;
    if (argc == 5) {
        root = argv[1];
        file = argv[2];
        chunk = strtoull(argv[3], NULL, 10);
        rounds = strtoull(argv[4], NULL, 10);
    }
    snug_err    err = {0};
    snug_arena *a = snug_arena_new();
    snug_slice  text, json;
    tok        *t = NULL;
    tok_ids     ids = {0};
    double      load[LOADS], times[ROUNDS_MAX] = {0}, first;
    uint64_t    sum = 0, tokens = 0;
    DIE_IF(snug_read_file(a, root, TOK_JSON_MAX, &json, &err));
    DIE_IF(snug_read_file(a, file, 64 << 20, &text, &err));
    if (rounds < 1 || rounds > ROUNDS_MAX) return 2;
    for (int i = 0; i < LOADS; i++) {
        uint64_t t0 = now_ns();
        tok_free(t);
        DIE_IF(tok_load(json, &t, &err));
        load[i] = seconds_since(t0);
    }
    size_t      n = cut(text, chunk, NULL);
    snug_slice *parts = snug_arena_alloc(a, n * sizeof *parts);
    (void)cut(text, chunk, parts);
    for (size_t r = 0; r < rounds; r++) {
        uint64_t t0 = now_ns();
        sum = tokens = 0;
        for (size_t i = 0; i < n; i++) {
            DIE_IF(tok_encode(t, parts[i], 0, &ids, &err));
            tokens += ids.count;
            if (ids.count > 0) sum += ids.ids[ids.count - 1];
        }
        times[r] = seconds_since(t0);
    }
    first = times[0];
    double middle = median(times, rounds), load_middle = median(load, LOADS);
    printf("{\"mb_s\": %.1f, \"first_mb_s\": %.1f, \"tokens\": %llu, \"check\": %llu, \"calls\": "
           "%zu, \"load_ms\": %.1f, \"load_median_ms\": %.1f}\n",
           (double)text.len / 1e6 / middle, (double)text.len / 1e6 / first,
           (unsigned long long)tokens, (unsigned long long)sum, n, load[0] * 1e3,
           load_middle * 1e3);
    tok_ids_deinit(&ids);
    tok_free(t);
    snug_arena_free(a);
    return 0;
}
