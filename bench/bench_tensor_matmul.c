/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_tensor_matmul.c - linear against the machine's limits: one input row (generation) as
 * a share of the memory bandwidth measured here, many rows (prompts) against the measured peak of
 * multiply-adds; one thread and all of them. Prints one JSON object.
 * usage: bench_tensor_matmul [BACKEND [TYPE [THREADS_MAX]]] */
#include <stdlib.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/base.h"
#include "tensor/tensor.h"

enum {
    ROUNDS = 7,
    READ_BYTES = 512 << 20,
    K = 4096,
    N_ONE = 24576,
    N_MANY = 4096,
    ROWS_MANY = 512
};

/* One thread: its own CPU time, which others on the machine cannot stretch; several: the wall's. */
static bool     alone;
static uint64_t now_ns(void)
{
    struct timespec t;
    if (!alone || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) return snug_mono_ns();
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static double seconds_since(uint64_t start) { return (double)(now_ns() - start) / 1e9; }

static void must(snug_status st, const snug_err *err)
{
    if (st == SNUG_OK) return;
    (void)fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static volatile uint64_t sink;

/* ---- limits ---- */

typedef uint64_t lanes __attribute__((vector_size(64)));

static void read_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const lanes *p = arg;
    lanes        a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = from * 1024; i < to * 1024; i += 4) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
    }
    a += b + c + d;
    sink = a[0] + a[7];
}

static double read_gb_s(snug_team *t, void *memory)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        snug_team_run(t, READ_BYTES >> 16, 16, read_part, memory);
        double s = seconds_since(start);
        best = s < best ? s : best;
    }
    return READ_BYTES / best / 1e9;
}

#if defined(__x86_64__)
enum { PEAK_TURNS = 4000000 };

__attribute__((target("avx512f"))) static void fma512(void *arg, size_t from, size_t to, unsigned w)
{
    (void)arg, (void)w;
    __m512 a[16], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (size_t i = 0; i < 16; i++) a[i] = _mm512_set1_ps((float)i);
    for (size_t t = from; t < to; t++) {
#pragma GCC unroll 16
        for (size_t i = 0; i < 16; i++) a[i] = _mm512_fmadd_ps(a[i], x, y);
    }
    for (size_t i = 0; i < 16; i++) sink += (uint64_t)_mm512_reduce_add_ps(a[i]);
}

__attribute__((target("avx2,fma"))) static void fma256(void *arg, size_t from, size_t to,
                                                       unsigned w)
{
    (void)arg, (void)w;
    __m256 a[12], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    for (size_t i = 0; i < 12; i++) a[i] = _mm256_set1_ps((float)i);
    for (size_t t = from; t < to; t++) {
#pragma GCC unroll 12
        for (size_t i = 0; i < 12; i++) a[i] = _mm256_fmadd_ps(a[i], x, y);
    }
    for (size_t i = 0; i < 12; i++) sink += (uint64_t)_mm256_cvtss_f32(a[i]);
}

__attribute__((target("avx512f,avx512vnni"))) static void vnni512(void *arg, size_t from, size_t to,
                                                                  unsigned w)
{
    (void)arg, (void)w;
    __m512i a[16], x = _mm512_set1_epi32((int)sink), y = _mm512_set1_epi32(3);
    for (size_t i = 0; i < 16; i++) a[i] = _mm512_set1_epi32((int)i);
    for (size_t t = from; t < to; t++) {
#pragma GCC unroll 16
        for (size_t i = 0; i < 16; i++) a[i] = _mm512_dpbusd_epi32(a[i], x, y);
    }
    for (size_t i = 0; i < 16; i++) sink += (uint64_t)_mm512_reduce_add_epi32(a[i]);
}

static double peak_gflops(snug_team *t, void (*fn)(void *, size_t, size_t, unsigned),
                          double     per_turn)
{
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        uint64_t start = now_ns();
        snug_team_run(t, PEAK_TURNS, PEAK_TURNS / 64, fn, NULL);
        double s = seconds_since(start);
        best = s < best ? s : best;
    }
    return per_turn * PEAK_TURNS / best / 1e9;
}
#endif

static void limits(snug_json_out *o, snug_team *team, void *memory, double *gb, double *f32,
                   double *i8)
{
    *gb = read_gb_s(team, memory);
    snug_jo_kf64(o, "read_gb_s", *gb);
    *f32 = *i8 = 0;
#if defined(__x86_64__)
    bool wide = __builtin_cpu_supports("avx512f");
    if (wide)
        *f32 = peak_gflops(team, fma512, 16 * 32);
    else if (__builtin_cpu_supports("fma"))
        *f32 = peak_gflops(team, fma256, 12 * 16);
    if (wide && __builtin_cpu_supports("avx512vnni")) *i8 = peak_gflops(team, vnni512, 16 * 128);
    snug_jo_kf64(o, "fma_gflop_s", *f32);
    snug_jo_kf64(o, "vnni_gop_s", *i8);
#endif
}

/* ---- linear ---- */

/* Sixteen random rows, over and over: speed does not depend on the values. */
static tensor weights(tensor_dev *d, tensor_dtype t, size_t n)
{
    tensor   w;
    snug_err err;
    must(tensor_new(d, t, TENSOR_DIMS(n, K), &w, &err), &err);
    float   *x = snug_alloc(sizeof(float) * 16 * K);
    size_t   size = tensor_dtype_size(t, K * 16);
    uint64_t seed = 1;
    for (size_t i = 0; i < 16 * K; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(seed >> 32) * 0x1p-36f;
    }
    char *block = snug_alloc(size);
    must(tensor_quantize(t, x, 16 * K, block, &err), &err);
    for (size_t i = 0; i < n; i += 16) {
        tensor part = tensor_slice(&w, 0, i, 16);
        must(tensor_put(&part, block, size, &err), &err);
    }
    free(x);
    free(block);
    return w;
}

static double linear_seconds(tensor_dev *d, const tensor *w, size_t rows)
{
    tensor   x, y;
    snug_err err;
    double   best = 1e9;
    must(tensor_new(d, TENSOR_F32, TENSOR_DIMS(rows, K), &x, &err), &err);
    must(tensor_new(d, TENSOR_F32, TENSOR_DIMS(rows, w->shape[0]), &y, &err), &err);
    float *p = x.mem->host;
    for (size_t i = 0; i < rows * K; i++) p[i] = (float)(int)(i * 37 % 101) - 50.0f;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        must(tensor_linear(d, &x, w, NULL, &y, &err), &err);
        double s = seconds_since(start);
        best = s < best ? s : best;
    }
    tensor_free(&x);
    tensor_free(&y);
    return best;
}

static void bench_type(snug_json_out *o, tensor_dev *d, tensor_dtype t, double gb, double f32,
                       double i8)
{
    bool   quant = tensor_dtype_is_quant(t);
    tensor w = weights(d, t, N_ONE);
    double one = linear_seconds(d, &w, 1), rate = (double)tensor_size(&w) / one / 1e9;
    tensor few = tensor_slice(&w, 0, 0, N_MANY);
    double many = linear_seconds(d, &few, ROWS_MANY),
           flops = 2.0 * ROWS_MANY * N_MANY * K / many / 1e9;
    double eight = linear_seconds(d, &few, 8);
    snug_jo_kcstr(o, "type", tensor_dtype_name(t));
    snug_jo_kf64(o, "one_row_gb_s", rate);
    snug_jo_kf64(o, "share_of_bandwidth", rate / gb);
    snug_jo_kf64(o, "eight_rows_gflop_s", 2.0 * 8 * N_MANY * K / eight / 1e9);
    snug_jo_kf64(o, "many_rows_gflop_s", flops);
    double peak = quant ? i8 : f32;
    if (peak > 0) snug_jo_kf64(o, quant ? "share_of_vnni_peak" : "share_of_fma_peak", flops / peak);
    tensor_free(&w);
}

int main(int argc, char **argv)
{
    static const tensor_dtype types[] = {
        TENSOR_F32,  TENSOR_F16,   TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0,
        TENSOR_Q5_1, TENSOR_MXFP4, TENSOR_Q2_K, TENSOR_Q3_K, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K};
    const tensor_backend *b =
        argc > 1 ? tensor_backend_find(snug_str(argv[1])) : tensor_backend_best();
    snug_err err;
    unsigned threads_max = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : snug_cpu_count();
    if (b == NULL) return 2;
    SNUG_AUTO(snug_buf) text = snug_buf_init(1u << 20);
    snug_json_out o = snug_json_out_init(&text);
    void         *memory = snug_zalloc(READ_BYTES);
    for (size_t i = 0; i < READ_BYTES; i += 4096) ((volatile char *)memory)[i] = (char)i;
    o.pretty = true;
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "backend", b->name);
    for (unsigned threads = 1; threads <= threads_max; threads *= 2) {
        tensor_dev *d = NULL;
        double      gb, f32, i8;
        char        key[32];
        alone = threads == 1;
        must(tensor_dev_open(b, threads, &d, &err), &err);
        (void)snprintf(key, sizeof key, "threads_%u", threads);
        snug_jo_key(&o, key);
        snug_jo_begin_object(&o);
        limits(&o, d->team, memory, &gb, &f32, &i8);
        snug_jo_key(&o, "linear");
        snug_jo_begin_array(&o);
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            if (argc > 2 && strcmp(argv[2], "all") != 0 &&
                strcmp(argv[2], tensor_dtype_name(types[i])) != 0)
                continue;
            snug_jo_begin_object(&o);
            bench_type(&o, d, types[i], gb, f32, i8);
            snug_jo_end_object(&o);
        }
        snug_jo_end_array(&o);
        snug_jo_end_object(&o);
        tensor_dev_close(d);
    }
    snug_jo_end_object(&o);
    printf("%s\n", snug_buf_cstr(&text));
    free(memory);
    return 0;
}
