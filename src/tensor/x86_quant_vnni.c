/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_quant_vnni.c - the block kernels with AVX-512 VNNI. Compiled with those flags; only
 * x86_quant.c calls in here, after asking the CPU. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define TILE_SUMS 8 /* in registers at once */
#define TILE_PANELS 2
#define SIGNED_Q8 false /* vpdpbusd wants unsigned weights: Q8_0 keeps its offset of 128 */
#define VI __m512i
#define VF __m512

#define vi_set(x) _mm512_set1_epi32(x)
#define vi_load(p) _mm512_loadu_si512((const void *)(p))
#define vi_store(p, v) _mm512_storeu_si512((void *)(p), v)
#define vi_add(a, b) _mm512_add_epi32(a, b)
#define vi_mul(a, b) _mm512_mullo_epi32(a, b)
#define vi_dot_us(sum, u, s) _mm512_dpbusd_epi32(sum, u, s)
#define vi_dot_ss(sum, a, b) (sum) /* never chosen */
#define vi_dot16(sum, a, b) _mm512_dpwssd_epi32(sum, a, b)
#define vi_and(a, b) _mm512_and_si512(a, b)
#define vi_or(a, b) _mm512_or_si512(a, b)
#define vi_xor(a, b) _mm512_xor_si512(a, b)
#define vi_sll(a, n) _mm512_slli_epi32(a, (unsigned)(n))
#define vi_srl(a, n) _mm512_srli_epi32(a, (unsigned)(n))
#define vi_sra(a, n) _mm512_srai_epi32(a, (unsigned)(n))
#define vi_zip32_low(a, b) _mm512_unpacklo_epi32(a, b)
#define vi_zip32_high(a, b) _mm512_unpackhi_epi32(a, b)
#define vi_zip64_low(a, b) _mm512_unpacklo_epi64(a, b)
#define vi_zip64_high(a, b) _mm512_unpackhi_epi64(a, b)
#define vi_select_less(a, b, x, y) _mm512_mask_mov_epi32(y, _mm512_cmplt_epi32_mask(a, b), x)
#define vf_set(x) _mm512_set1_ps(x)
#define vf_load(p) _mm512_loadu_ps(p)
#define vf_store(p, v) _mm512_storeu_ps(p, v)
#define vf_mul(a, b) _mm512_mul_ps(a, b)
#define vf_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vf_fnma(a, b, c) _mm512_fnmadd_ps(a, b, c)
#define vf_from(v) _mm512_cvtepi32_ps(v)

#define vf_bits(v) _mm512_castsi512_ps(v)
#define vf_as_bits(v) _mm512_castps_si512(v)
/* From the low halves of the lanes. */
#define vf_f16(v) _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v))

#define LANE static inline __attribute__((always_inline))

LANE __m128i bytes16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }

LANE VI vi_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
    VI v = _mm512_castsi128_si512(bytes16(a));
    v = _mm512_inserti32x4(v, bytes16(b), 1);
    v = _mm512_inserti32x4(v, bytes16(c), 2);
    return _mm512_inserti32x4(v, bytes16(d), 3);
}

LANE VI vi_look_up(const uint8_t *table, VI index)
{
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes16(table)), index);
}

#include "tensor/x86_quant_kernels.h"

/* quant_acts_row with these instructions: cvtps rounds to nearest even, as nearbyintf does. */
static void acts512(tensor_dtype t, const float *x, const quant_acts *a, size_t row)
{
    const quant_kind *k = quant_kind_of(t);
    size_t            at = row * a->subs, each = k->sub;
    for (size_t b = 0; b < a->blocks; b++, x += k->elems) {
        int8_t *q = a->q + row * a->k + b * k->elems;
        VI      top = vi_set(0);
        for (size_t i = 0; i < k->elems; i += 16)
            top = _mm512_max_epu32(top, vi_and(vi_load(x + i), vi_set(0x7fffffff)));
        uint32_t bits = _mm512_reduce_max_epu32(top);
        float    most;
        memcpy(&most, &bits, sizeof most);
        bool odd = bits >= 0x7f800000u, tiny = most < QUANT_TINY;
        a->d[row * a->blocks + b] = odd ? NAN : tiny ? 0.0f : most / 127.0f;
        VF inverse = vf_set(odd || tiny ? 0.0f : 127.0f / most);
        for (size_t i = 0; i < k->elems; at++) {
            VI sum = vi_set(0);
            for (size_t end = i + each; i < end; i += 16) {
                VI v = odd ? vi_set(0) : _mm512_cvtps_epi32(vf_mul(vf_load(x + i), inverse));
                sum = vi_add(sum, v);
                _mm_storeu_si128((__m128i *)(void *)(q + i), _mm512_cvtsepi32_epi8(v));
            }
            int all = _mm512_reduce_add_epi32(sum);
            a->sums[at] = (int16_t)all;
            a->zero[at] = -k->offset * all;
        }
    }
}

const x86_quant_kernels x86_quant_vnni = {acts512, turn, tile, TILE_PANELS, &x86_quant_few_vnni};
#endif
