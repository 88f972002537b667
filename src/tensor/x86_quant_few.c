/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_quant_few.c - linear over blocks for one to four input rows, with AVX-512 VNNI: text
 * generation. Weights are used once or a few times, so nothing is turned: each row is read straight
 * through, which the prefetchers follow, and its block totals are kept as sixteen lanes until
 * sixteen rows of them are folded together. Compiled with those flags; only x86_quant.c calls in
 * here, after asking the CPU.
 *
 * Threads: each call writes only its own sums.
 * Truth:   whole-number sums are exact in any order and the float steps are those of ref_quant.c in
 *          its order: the bits are the same. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "tensor/quant_inline.h"
#include "tensor/x86_quant_int.h"

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef __m512i VI;
typedef __m512  VF;

/* Blocks per turn: their totals, 64 bytes per four rows, block and input, stay in the first cache.
 * A unit is a block of 256, or two neighbours of 32: then each half of the lanes is one's. */
enum { UNITS_MAX = 32, FETCH_AHEAD = 32768 };

typedef struct held {
    /* [input][four rows][units + 1]: fours do not lie a power of two apart, which would put them
     * all into the same few lines of the cache. */
    _Alignas(64) int32_t part[(UNITS_MAX + QUANT_FEW) * PANEL_ROWS / 4][16];
    uint32_t head[UNITS_MAX * 2][PANEL_ROWS]; /* d, and dmin in the top half */
    uint64_t mins[UNITS_MAX][PANEL_ROWS];
} held;

INLINE uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE VI load512(const void *p) { return _mm512_loadu_si512(p); }
INLINE VI twice(const uint8_t *p)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
INLINE VI low4(VI v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
INLINE VI high4(VI v) { return low4(_mm512_srli_epi16(v, 4)); }
INLINE VI dot8(VI u, const int8_t *x)
{
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), u, load512(x));
}
/* (v & mask) | w */
INLINE VI and_or(VI v, VI mask, VI w) { return _mm512_ternarylogic_epi32(v, mask, w, 0xea); }
/* 16-bit counts: one for each half of the lanes. */
INLINE VI halves16(short low, short high)
{
    return _mm512_inserti64x4(_mm512_set1_epi16(low), _mm256_set1_epi16(high), 1);
}

/* ---- one block of 256 of one row: its elements as four vectors, its scales as two ---- */

typedef struct super {
    VI q[4];     /* unsigned, in the order few_arrange gives the input */
    VI scale[2]; /* 16 bits: those of q[0] and q[1] interleaved by four, then of q[2] and q[3] */
} super;

/* Bytes i and i + 1 of a repeated 8 as 16-bit numbers: four of the first, four of the second, for
 * two 128-bit lanes; then i + 2 and i + 3. */
INLINE VI four_each(int i)
{
    uint64_t a = 0x8000800080008000u + (uint64_t)i * 0x0001000100010001u, one = 0x0001000100010001u;
    long long p = (long long)a, q = (long long)(a + one), r = (long long)(a + 2 * one),
              s = (long long)(a + 3 * one);
    return _mm512_set_epi64(s, r, s, r, q, p, q, p);
}

INLINE void six_bits(const uint8_t *p, super *s, uint32_t *head, uint64_t *mins)
{
    uint64_t low = load64(p + 4), six = 0x3f3f3f3fu;
    uint32_t last = load32(p + 12), nib = 0x0f0f0f0fu, top = 0x30303030u;
    uint64_t scales = (low & six) | (uint64_t)((last & nib) | ((uint32_t)(low >> 2) & top)) << 32;
    VI       all = _mm512_set1_epi64((long long)scales);
    *head = load32(p);
    *mins = (low >> 32 & six) | (uint64_t)((last >> 4 & nib) | ((uint32_t)(low >> 34) & top)) << 32;
    s->scale[0] = _mm512_shuffle_epi8(all, four_each(0));
    s->scale[1] = _mm512_shuffle_epi8(all, four_each(4));
}

INLINE void open_q4_k(const uint8_t *p, super *s)
{
    VI a = load512(p + 16), b = load512(p + 80);
    s->q[0] = low4(a), s->q[1] = high4(a);
    s->q[2] = low4(b), s->q[3] = high4(b);
}

/* Bit g of qh[l] is bit 4 of element 32 g + l; a vector holds groups g and g + 2. */
INLINE void open_q5_k(const uint8_t *p, super *s)
{
    VI a = load512(p + 48), b = load512(p + 112), top = twice(p + 16), bit = _mm512_set1_epi8(16);
    s->q[0] = and_or(_mm512_sllv_epi16(top, halves16(4, 2)), bit, low4(a));
    s->q[1] = and_or(_mm512_sllv_epi16(top, halves16(3, 1)), bit, high4(a));
    s->q[2] = and_or(_mm512_srlv_epi16(top, halves16(0, 2)), bit, low4(b));
    s->q[3] = and_or(_mm512_srlv_epi16(top, halves16(1, 3)), bit, high4(b));
}

INLINE VI sixteen_scales(const uint8_t *p)
{
    return _mm512_castsi256_si512(
        _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

INLINE void open_q6_k(const uint8_t *p, super *s)
{
    VI pair = _mm512_set1_epi8(0x30), scales = sixteen_scales(p + 192);
    VI at = _mm512_set_epi64(0x0007000700070007, 0x0003000300030003, 0x0006000600060006,
                             0x0002000200020002, 0x0005000500050005, 0x0001000100010001,
                             0x0004000400040004, 0);
    UNROLL for (int h = 0; h < 2; h++)
    {
        VI v = load512(p + 64 * h), top = twice(p + 128 + 32 * h);
        s->q[2 * h] = and_or(_mm512_sllv_epi16(top, halves16(4, 2)), pair, low4(v));
        s->q[2 * h + 1] = and_or(_mm512_srlv_epi16(top, halves16(0, 2)), pair, high4(v));
        s->scale[h] = _mm512_permutexvar_epi16(
            _mm512_add_epi16(at, _mm512_set1_epi16((short)(8 * h))), scales);
    }
}

/* Sixteen lanes that add up to the sum over sub-blocks of scale times dot: no dot of four products
 * leaves 16 bits (63 * 127 * 4). */
INLINE VI super_total(const super *s, const int8_t *x)
{
    VI a = _mm512_packs_epi32(dot8(s->q[0], x), dot8(s->q[1], x + 64));
    VI b = _mm512_packs_epi32(dot8(s->q[2], x + 128), dot8(s->q[3], x + 192));
    return _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(_mm512_setzero_si512(), a, s->scale[0]), b,
                               s->scale[1]);
}

/* Less 32 times the scaled sums of the input: the offset of Q6_K. */
INLINE VI less_offset(VI total, VI scales, const int16_t *sums)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    __m256i low = _mm256_madd_epi16(_mm512_castsi512_si256(scales), x);
    return _mm512_sub_epi32(total, _mm512_zextsi256_si512(_mm256_slli_epi32(low, 5)));
}

/* ---- two blocks of 32 of one row, as one vector ---- */

INLINE VI nibbles2(const uint8_t *a, const uint8_t *b)
{
    __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)a));
    __m256i y = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)b));
    VI      v = _mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1);
    return low4(
        _mm512_srlv_epi16(v, _mm512_set_epi64(0x0004000400040004, 0x0004000400040004, 0, 0,
                                              0x0004000400040004, 0x0004000400040004, 0, 0)));
}

INLINE VI fifth2(VI v, const uint8_t *a, const uint8_t *b)
{
    __mmask64 bits = (__mmask64)load32(a) | (__mmask64)load32(b) << 32;
    return _mm512_mask_add_epi8(v, bits, v, _mm512_set1_epi8(16));
}

/* b may be a: the second half is then multiplied with zeros. */
INLINE VI open_two(tensor_dtype t, const uint8_t *a, const uint8_t *b)
{
    switch (t) {
    case TENSOR_Q8_0: {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(a + 2));
        __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(b + 2));
        return _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1),
                                _mm512_set1_epi8(-128));
    }
    case TENSOR_Q4_0: return nibbles2(a + 2, b + 2);
    case TENSOR_Q4_1: return nibbles2(a + 4, b + 4);
    case TENSOR_Q5_0: return fifth2(nibbles2(a + 6, b + 6), a + 2, b + 2);
    case TENSOR_Q5_1: return fifth2(nibbles2(a + 8, b + 8), a + 4, b + 4);
    default: { /* MXFP4: E2M1 doubled, plus 12 */
        __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), nibbles2(a + 1, b + 1));
    }
    }
}

/* ---- folding sixteen rows ---- */

/* Four rows: each 128 bits then hold what is left of rows 0 to 3. */
INLINE VI fold4(VI w, VI x, VI y, VI z)
{
    VI a = _mm512_add_epi32(_mm512_unpacklo_epi32(w, x), _mm512_unpackhi_epi32(w, x));
    VI b = _mm512_add_epi32(_mm512_unpacklo_epi32(y, z), _mm512_unpackhi_epi32(y, z));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Four times that. low: sums of lanes 0-7 of each of the sixteen rows; high: of lanes 8-15. */
INLINE void fold16(const VI b[4], VI *low, VI *high)
{
    VI a[2];
    UNROLL for (int i = 0; i < 2; i++) a[i] =
        _mm512_add_epi32(_mm512_shuffle_i32x4(b[2 * i], b[2 * i + 1], 0x88),
                         _mm512_shuffle_i32x4(b[2 * i], b[2 * i + 1], 0xdd));
    *low = _mm512_shuffle_i32x4(a[0], a[1], 0x88);
    *high = _mm512_shuffle_i32x4(a[0], a[1], 0xdd);
}

INLINE void fold(const held *h, size_t at, size_t stride, VI *low, VI *high)
{
    VI b[4];
    UNROLL for (size_t i = 0; i < 4; i++) b[i] = load512(h->part[at + i * stride]);
    fold16(b, low, high);
}

INLINE VF f16_low(VI v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }

/* Per row the sum over sub-blocks of min times the sum of the input. */
INLINE VI lows(const uint64_t mins[PANEL_ROWS], const int16_t *sums)
{
    VI x = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)sums)), m[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        __m256i four = _mm256_loadu_si256((const __m256i *)(const void *)(mins + 4 * i));
        m[i] = _mm512_madd_epi16(_mm512_cvtepu8_epi16(four), x); /* a row per 128 bits */
    }
    VI a = _mm512_add_epi32(_mm512_unpacklo_epi32(m[0], m[1]), _mm512_unpackhi_epi32(m[0], m[1]));
    VI b = _mm512_add_epi32(_mm512_unpacklo_epi32(m[2], m[3]), _mm512_unpackhi_epi32(m[2], m[3]));
    VI c = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    /* c[4 l + i] is row 4 i + l */
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), c);
}

/* Rows follow each other in memory: what comes next is a fixed way ahead. It need not exist. Into
 * the second cache: the first has too few places for lines on their way to cover the memory's
 * latency (12 GB/s from T0, 25 from T2 on Zen 4). */
INLINE void fetch(const uint8_t *p, size_t n)
{
    UNROLL for (size_t l = 0; l < (n + 63) / 64; l++)
        _mm_prefetch((const char *)((uintptr_t)p + 64 * l + FETCH_AHEAD), _MM_HINT_T2);
}

/* Unit u of the turn, block b of the rows: to the sums of input m. */
INLINE VF finish_super(bool has_min, const x86_quant_few *j, const held *h, size_t b, size_t u,
                       size_t m, size_t stride, VF sum)
{
    const quant_acts *a = j->acts;
    size_t            row = j->from + m;
    VI                low, high, head = load512(h->head[u]);
    VF                step = _mm512_set1_ps(a->d[row * a->blocks + b]);
    fold(h, m * 4 * stride + u, stride, &low, &high);
    sum = _mm512_fmadd_ps(_mm512_mul_ps(f16_low(head), step),
                          _mm512_cvtepi32_ps(_mm512_add_epi32(low, high)), sum);
    if (!has_min) return sum;
    VF minus = _mm512_cvtepi32_ps(lows(h->mins[u], a->sums + row * a->subs + b * 8));
    VF dmin = f16_low(_mm512_srli_epi32(head, 16));
    return _mm512_fnmadd_ps(_mm512_mul_ps(dmin, step), minus, sum);
}

/* Block b of row r at p, as unit u: its totals with each input. */
INLINE void read_super(tensor_dtype t, const x86_quant_few *j, held *h, const uint8_t *p, size_t b,
                       size_t u, size_t r, size_t count, VI total[QUANT_FEW])
{
    const quant_acts *a = j->acts;
    super             s;
    if (t == TENSOR_Q6_K) {
        open_q6_k(p, &s);
        h->head[u][r] = (uint32_t)(p[208] | p[209] << 8);
    } else {
        six_bits(p, &s, &h->head[u][r], &h->mins[u][r]);
        if (t == TENSOR_Q4_K)
            open_q4_k(p, &s);
        else
            open_q5_k(p, &s);
    }
    UNROLL for (size_t m = 0; m < count; m++)
    {
        total[m] = super_total(&s, j->x + m * a->k + b * 256);
        if (t == TENSOR_Q6_K)
            total[m] = less_offset(total[m], sixteen_scales(p + 192),
                                   a->sums + (j->from + m) * a->subs + b * 16);
    }
}

INLINE void few_super(tensor_dtype t, const x86_quant_few *j, held *h, size_t count)
{
    size_t each = t == TENSOR_Q4_K ? 144 : t == TENSOR_Q5_K ? 176 : 210, blocks = j->acts->blocks;
    size_t units = UNITS_MAX / count, stride = units + 1;
    for (size_t b0 = 0; b0 < blocks; b0 += units) {
        size_t n = blocks - b0 < units ? blocks - b0 : units;
        for (size_t r = 0; r < PANEL_ROWS; r += 4) {
            for (size_t u = 0; u < n; u++) {
                VI v[4][QUANT_FEW];
                UNROLL for (size_t i = 0; i < 4; i++)
                {
                    const uint8_t *p = j->rows[r + i] + (b0 + u) * each;
                    fetch(p, each);
                    read_super(t, j, h, p, b0 + u, u, r + i, count, v[i]);
                }
                UNROLL for (size_t m = 0; m < count; m++)
                    _mm512_store_si512(h->part[(m * PANEL_ROWS + r) / 4 * stride + u],
                                       fold4(v[0][m], v[1][m], v[2][m], v[3][m]));
            }
        }
        UNROLL for (size_t m = 0; m < count; m++)
        {
            VF sum = _mm512_loadu_ps(j->sums[m]);
            for (size_t u = 0; u < n; u++)
                sum = finish_super(t != TENSOR_Q6_K, j, h, b0 + u, u, m, stride, sum);
            _mm512_storeu_ps(j->sums[m], sum);
        }
    }
}

/* 2^(e - 128), as in x86_quant_kernels.h. */
INLINE VF half_power(VI e)
{
    VI        normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    VI        small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    __mmask16 tiny = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, tiny, small));
}

INLINE VF finish_small(tensor_dtype t, const x86_quant_few *j, const held *h, size_t b, size_t at,
                       size_t m, VI total, VF sum)
{
    const quant_acts *a = j->acts;
    size_t            block = (j->from + m) * a->blocks + b; /* a block is a sub-block here */
    VI                head = load512(h->head[at]);
    VF                step = _mm512_set1_ps(a->d[block]), d;
    d = t == TENSOR_MXFP4 ? half_power(_mm512_and_si512(head, _mm512_set1_epi32(255)))
                          : f16_low(head);
    total = _mm512_add_epi32(total, _mm512_set1_epi32(a->zero[block]));
    sum = _mm512_fmadd_ps(_mm512_mul_ps(d, step), _mm512_cvtepi32_ps(total), sum);
    if (t != TENSOR_Q4_1 && t != TENSOR_Q5_1) return sum;
    VI minus = _mm512_castps_si512(f16_low(_mm512_srli_epi32(head, 16)));
    VF dmin = _mm512_castsi512_ps(_mm512_xor_si512(minus, _mm512_set1_epi32(INT32_MIN)));
    return _mm512_fnmadd_ps(_mm512_mul_ps(dmin, step), _mm512_set1_ps((float)a->sums[block]), sum);
}

/* Blocks b and b + 1 of rows r to r + 3, `off` bytes into them; `two` false: only the first. A
 * block is so little work that totals are folded here, not stored one by one. */
INLINE void read_four(tensor_dtype t, const x86_quant_few *j, held *h, size_t off, size_t each,
                      bool two, size_t b, size_t u, size_t r, size_t count, size_t stride)
{
    VI v[4];
    UNROLL for (size_t i = 0; i < 4; i++)
    {
        const uint8_t *p = j->rows[r + i] + off, *next = two ? p + each : p;
        fetch(p, 2 * each);
        v[i] = open_two(t, p, next);
        h->head[u][r + i] = load32(p);
        h->head[u + 1][r + i] = load32(next);
    }
    UNROLL for (size_t m = 0; m < count; m++)
    {
        const int8_t *x = j->x + m * j->acts->k + b * 32;
        VI            none = _mm512_setzero_si512(), in;
        in = two ? load512(x)
                 : _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)x));
        VI four = fold4(_mm512_dpbusd_epi32(none, v[0], in), _mm512_dpbusd_epi32(none, v[1], in),
                        _mm512_dpbusd_epi32(none, v[2], in), _mm512_dpbusd_epi32(none, v[3], in));
        _mm512_store_si512(h->part[(m * PANEL_ROWS + r) / 4 * stride + u / 2], four);
    }
}

INLINE void finish_two(tensor_dtype t, const x86_quant_few *j, held *h, size_t b0, size_t n,
                       size_t m, size_t stride)
{
    VF sum = _mm512_loadu_ps(j->sums[m]);
    for (size_t u = 0; u < n; u += 2) {
        VI low, high;
        fold(h, m * 4 * stride + u / 2, stride, &low, &high);
        sum = finish_small(t, j, h, b0 + u, u, m, low, sum);
        if (u + 1 < n) sum = finish_small(t, j, h, b0 + u + 1, u + 1, m, high, sum);
    }
    _mm512_storeu_ps(j->sums[m], sum);
}

INLINE void few_small(tensor_dtype t, const x86_quant_few *j, held *h, size_t each, size_t count)
{
    size_t units = UNITS_MAX / count, stride = units + 1, blocks = j->acts->blocks;
    for (size_t b0 = 0; b0 < blocks; b0 += 2 * units) {
        size_t left = blocks - b0, n = left < 2 * units ? left : 2 * units, u;
        for (size_t r = 0; r < PANEL_ROWS; r += 4) {
            for (u = 0; u + 2 <= n; u += 2)
                read_four(t, j, h, (b0 + u) * each, each, true, b0 + u, u, r, count, stride);
            if (u < n)
                read_four(t, j, h, (b0 + u) * each, each, false, b0 + u, u, r, count, stride);
        }
        UNROLL for (size_t m = 0; m < count; m++) finish_two(t, j, h, b0, n, m, stride);
    }
}

/* ---- the kernel ---- */

static void arrange(tensor_dtype t, const int8_t *x, size_t k, int8_t *out)
{
    static const uint8_t order[8] = {0, 2, 1, 3, 4, 6, 5, 7};
    if (t != TENSOR_Q4_K && t != TENSOR_Q5_K) {
        memcpy(out, x, k);
        return;
    }
    for (size_t b = 0; b < k; b += 256)
        for (size_t i = 0; i < 8; i++) memcpy(out + b + 32 * i, x + b + 32 * (size_t)order[i], 32);
}

static bool knows(tensor_dtype t) { return t != TENSOR_Q2_K && t != TENSOR_Q3_K; }

INLINE void run_count(const x86_quant_few *j, held *h, size_t count)
{
    switch (j->type) {
    case TENSOR_Q4_K: few_super(TENSOR_Q4_K, j, h, count); break;
    case TENSOR_Q5_K: few_super(TENSOR_Q5_K, j, h, count); break;
    case TENSOR_Q6_K: few_super(TENSOR_Q6_K, j, h, count); break;
    case TENSOR_Q8_0: few_small(TENSOR_Q8_0, j, h, 34, count); break;
    case TENSOR_Q4_0: few_small(TENSOR_Q4_0, j, h, 18, count); break;
    case TENSOR_Q4_1: few_small(TENSOR_Q4_1, j, h, 20, count); break;
    case TENSOR_Q5_0: few_small(TENSOR_Q5_0, j, h, 22, count); break;
    case TENSOR_Q5_1: few_small(TENSOR_Q5_1, j, h, 24, count); break;
    case TENSOR_MXFP4: few_small(TENSOR_MXFP4, j, h, 17, count); break;
    default: break;
    }
}

static void run(const x86_quant_few *j)
{
    held          h;
    x86_quant_few part = *j;
    for (size_t left = j->count; left > 0;) {
        size_t count = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (count == 4)
            run_count(&part, &h, 4);
        else if (count == 2)
            run_count(&part, &h, 2);
        else
            run_count(&part, &h, 1);
        part.from += count;
        part.x += count * j->acts->k;
        part.sums += count;
        left -= count;
    }
}

const x86_quant_few_kernels x86_quant_few_vnni = {knows, arrange, run};
#endif
