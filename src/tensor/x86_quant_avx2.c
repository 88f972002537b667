/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_quant_avx2.c - the block kernels with AVX2: a vector of sixteen is two of eight.
 * Compiled with those flags; only x86_quant.c calls in here, after asking the CPU. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define TILE_SUMS 2 /* in registers at once */
#define TILE_PANELS 1
/* vpmaddubsw saturates at 16 bits: unsigned 255 times 127, twice, is too much, but |-128| is not.
 */
#define SIGNED_Q8 true

typedef struct VI {
    __m256i a, b;
} VI; /* rows 0-7, rows 8-15 */
typedef struct VF {
    __m256 a, b;
} VF;

#define LANE static inline __attribute__((always_inline))

LANE VI vi_set(int32_t x)
{
    __m256i v = _mm256_set1_epi32(x);
    return (VI){v, v};
}
LANE VI vi_load(const void *p)
{
    return (VI){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
}
LANE void vi_store(void *p, VI v)
{
    _mm256_storeu_si256((__m256i *)p, v.a);
    _mm256_storeu_si256((__m256i *)p + 1, v.b);
}
LANE VI vi_add(VI x, VI y) { return (VI){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
LANE VI vi_mul(VI x, VI y)
{
    return (VI){_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)};
}
LANE VI vi_dot16(VI sum, VI x, VI y)
{
    return vi_add(sum, (VI){_mm256_madd_epi16(x.a, y.a), _mm256_madd_epi16(x.b, y.b)});
}
/* Unsigned weights of at most 6 bits: no pair of products leaves 16 bits. */
LANE VI vi_dot_us(VI sum, VI u, VI s)
{
    VI pairs = {_mm256_maddubs_epi16(u.a, s.a), _mm256_maddubs_epi16(u.b, s.b)};
    return vi_dot16(sum, pairs, (VI){_mm256_set1_epi16(1), _mm256_set1_epi16(1)});
}
LANE VI vi_dot_ss(VI sum, VI x, VI y)
{
    VI size = {_mm256_abs_epi8(x.a), _mm256_abs_epi8(x.b)};
    VI turned = {_mm256_sign_epi8(y.a, x.a), _mm256_sign_epi8(y.b, x.b)};
    return vi_dot_us(sum, size, turned);
}
LANE VI vi_and(VI x, VI y) { return (VI){_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
LANE VI vi_or(VI x, VI y) { return (VI){_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
LANE VI vi_xor(VI x, VI y) { return (VI){_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)}; }
LANE VI vi_zip32_low(VI x, VI y)
{
    return (VI){_mm256_unpacklo_epi32(x.a, y.a), _mm256_unpacklo_epi32(x.b, y.b)};
}
LANE VI vi_zip32_high(VI x, VI y)
{
    return (VI){_mm256_unpackhi_epi32(x.a, y.a), _mm256_unpackhi_epi32(x.b, y.b)};
}
LANE VI vi_zip64_low(VI x, VI y)
{
    return (VI){_mm256_unpacklo_epi64(x.a, y.a), _mm256_unpacklo_epi64(x.b, y.b)};
}
LANE VI vi_zip64_high(VI x, VI y)
{
    return (VI){_mm256_unpackhi_epi64(x.a, y.a), _mm256_unpackhi_epi64(x.b, y.b)};
}
LANE VI vi_sll(VI x, int n) { return (VI){_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)}; }
LANE VI vi_srl(VI x, int n) { return (VI){_mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n)}; }
LANE VI vi_sra(VI x, int n) { return (VI){_mm256_srai_epi32(x.a, n), _mm256_srai_epi32(x.b, n)}; }
LANE VI vi_select_less(VI x, VI y, VI yes, VI no)
{
    return (VI){_mm256_blendv_epi8(no.a, yes.a, _mm256_cmpgt_epi32(y.a, x.a)),
                _mm256_blendv_epi8(no.b, yes.b, _mm256_cmpgt_epi32(y.b, x.b))};
}

LANE __m128i bytes16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }

LANE VI vi_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
    return (VI){_mm256_inserti128_si256(_mm256_castsi128_si256(bytes16(a)), bytes16(b), 1),
                _mm256_inserti128_si256(_mm256_castsi128_si256(bytes16(c)), bytes16(d), 1)};
}

LANE VI vi_look_up(const uint8_t *table, VI index)
{
    __m256i t = _mm256_broadcastsi128_si256(bytes16(table));
    return (VI){_mm256_shuffle_epi8(t, index.a), _mm256_shuffle_epi8(t, index.b)};
}

LANE VF vf_set(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return (VF){v, v};
}
LANE VF   vf_load(const float *p) { return (VF){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
LANE void vf_store(float *p, VF v)
{
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
}
LANE VF vf_mul(VF x, VF y) { return (VF){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
LANE VF vf_fma(VF x, VF y, VF z)
{
    return (VF){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
LANE VF vf_fnma(VF x, VF y, VF z)
{
    return (VF){_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
LANE VF vf_from(VI v) { return (VF){_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }

LANE VF vf_bits(VI v) { return (VF){_mm256_castsi256_ps(v.a), _mm256_castsi256_ps(v.b)}; }
LANE VI vf_as_bits(VF v) { return (VI){_mm256_castps_si256(v.a), _mm256_castps_si256(v.b)}; }

/* From the low halves of the lanes. */
LANE VF vf_f16(VI v)
{
    VI      low = vi_and(v, vi_set(0xffff));
    __m256i both = _mm256_packus_epi32(low.a, low.b); /* quarters: a b a b */
    both = _mm256_permute4x64_epi64(both, 0xd8);
    return (VF){_mm256_cvtph_ps(_mm256_castsi256_si128(both)),
                _mm256_cvtph_ps(_mm256_extracti128_si256(both, 1))};
}

#include "tensor/x86_quant_kernels.h"

static void acts(tensor_dtype t, const float *x, const quant_acts *a, size_t row)
{
    const quant_kind *k = quant_kind_of(t);
    if (k->elems == 32)
        quant_acts_row_inline(32, 32, k->offset, x, a, row);
    else if (k->sub == 32)
        quant_acts_row_inline(256, 32, k->offset, x, a, row);
    else
        quant_acts_row_inline(256, 16, k->offset, x, a, row);
}

const x86_quant_kernels x86_quant_avx2 = {acts, turn, tile, TILE_PANELS, NULL};
#endif
