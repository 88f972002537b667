/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_avx512.c - the kernels with 16 lanes: AVX-512 F, BW, DQ and VL. Compiled with those
 * flags; only x86.c calls in here, after asking the CPU. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#define V __m512
#define VN 16
#define TILE_M 4 /* 4 x 6 sums, 4 rows and a weight of the 32 registers */
#define TILE_N 6
#define PACK_ROWS 12 /* 12 x 2 sums over packed weights */
#define KERNELS x86_avx512_kernels

#define lane_mask(n) ((__mmask16)((1u << (n)) - 1u))
#define v_zero() _mm512_setzero_ps()
#define v_set(x) _mm512_set1_ps(x)
#define v_load(p) _mm512_loadu_ps(p)
#define v_load_n(p, n) _mm512_maskz_loadu_ps(lane_mask(n), p)
#define v_load_fill(p, n, fill) _mm512_mask_loadu_ps(fill, lane_mask(n), p)
#define v_store(p, v) _mm512_storeu_ps(p, v)
#define v_store_n(p, n, v) _mm512_mask_storeu_ps(p, lane_mask(n), v)
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_round(a) _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_copysign(m, s)                                                                           \
    _mm512_or_ps(_mm512_andnot_ps(v_set(-0.0f), m), _mm512_and_ps(v_set(-0.0f), s))
#define v_pick_below(x, limit, a, b)                                                               \
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_LT_OQ), b, a)
#define v_zero_below(x, limit, v) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GE_OQ), v)

/* 2^n for whole n in [-126, 127]. */
static inline V v_pow2(V n)
{
    __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}

static inline V v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline V v_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline __m128 v_fold(V a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}
static inline float v_max_lane(V a) { return _mm512_reduce_max_ps(a); }

#include "tensor/x86_kernels.h"
#endif
