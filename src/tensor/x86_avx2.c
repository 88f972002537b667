/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_avx2.c - the kernels with 8 lanes: AVX2, FMA and F16C. Compiled with those flags; only
 * x86.c calls in here, after asking the CPU. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#define V __m256
#define VN 8
#define TILE_M 3 /* 3 x 4 sums, 3 rows and a weight fill the 16 registers */
#define TILE_N 4
#define PACK_ROWS 4
#define KERNELS x86_avx2_kernels

static inline __m256i lane_mask(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#define v_zero() _mm256_setzero_ps()
#define v_set(x) _mm256_set1_ps(x)
#define v_load(p) _mm256_loadu_ps(p)
#define v_load_n(p, n) _mm256_maskload_ps(p, lane_mask(n))
#define v_load_fill(p, n, fill)                                                                    \
    _mm256_blendv_ps(fill, v_load_n(p, n), _mm256_castsi256_ps(lane_mask(n)))
#define v_store(p, v) _mm256_storeu_ps(p, v)
#define v_store_n(p, n, v) _mm256_maskstore_ps(p, lane_mask(n), v)
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_round(a) _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_copysign(m, s)                                                                           \
    _mm256_or_ps(_mm256_andnot_ps(v_set(-0.0f), m), _mm256_and_ps(v_set(-0.0f), s))
#define v_pick_below(x, limit, a, b) _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, limit, _CMP_LT_OQ))
#define v_zero_below(x, limit, v) _mm256_and_ps(v, _mm256_cmp_ps(x, limit, _CMP_GE_OQ))

/* 2^n for whole n in [-126, 127]. */
static inline V v_pow2(V n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}

static inline V v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline V v_load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline __m128 v_fold(V a)
{
    return _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
}
static inline float v_max_lane(V a)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

#include "tensor/x86_kernels.h"
#endif
