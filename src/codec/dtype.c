/* SPDX-License-Identifier: Apache-2.0 */
/* codec/dtype.c - the element types of safetensors: names, widths and exact values.
 *
 * For:     codec/safetensors.c, tensor/ and model/ when they load weights.
 * Threads: pure functions; the choice of a vector path reads a constant CPU property.
 * Truth:   codec_dtype_read is exact for every type; codec_to_f32 equals it rounded once to float.
 *
 * The small floats, sign bit first. Value of a normal number: (1 + m / 2^M) * 2^(e - bias); with
 * e = 0 it is m / 2^M * 2^(1 - bias).
 *
 *   type          E  M  bias  not finite
 *   F16           5 10   15   e = 31: infinity (m = 0), NaN
 *   F8_E5M2       5  2   15   the same
 *   F8_E4M3       4  3    7   only S.1111.111 is NaN, no infinity
 *   F8_E4M3FNUZ   4  3    8   only 1.0000.000 is NaN, no infinity, no minus zero
 *   F8_E5M2FNUZ   5  2   16   the same
 *   F8_E8M0       8  0  127   no sign, no zero: 2^(e - 127); 255 is NaN
 *   F6_E2M3       2  3    1   always finite
 *   F6_E3M2       3  2    3   always finite
 *   F4            2  1    1   always finite */
#include <math.h>

#include "codec/codec_int.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const struct {
    const char *name;
    unsigned    bits;
} dtypes[CODEC_DTYPE_COUNT] = {
#define X(id, name, bits) [CODEC_##id] = {name, bits},
    CODEC_DTYPE_LIST(X)
#undef X
};

const char *codec_dtype_name(codec_dtype t)
{
    SNUG_ASSERT((unsigned)t < CODEC_DTYPE_COUNT);
    return dtypes[t].name;
}

unsigned codec_dtype_bits(codec_dtype t)
{
    SNUG_ASSERT((unsigned)t < CODEC_DTYPE_COUNT);
    return dtypes[t].bits;
}

bool codec_dtype_parse(snug_slice name, codec_dtype *out)
{
    for (unsigned t = 0; t < CODEC_DTYPE_COUNT; t++) {
        if (!snug_eq_str(name, dtypes[t].name)) continue;
        *out = (codec_dtype)t;
        return true;
    }
    return false;
}

/* ---- small floats ---- */

typedef enum specials {
    FINITE,   /* every pattern is a number */
    IEEE,     /* all-ones exponent: infinity and NaN */
    ALL_ONES, /* all ones below the sign: NaN */
    FNUZ      /* minus zero is the one NaN */
} specials;

typedef struct small_float {
    unsigned exp_bits, man_bits;
    int      bias;
    specials kind;
} small_float;

static double read_small(small_float f, unsigned v)
{
    unsigned man = v & ((1u << f.man_bits) - 1);
    unsigned exp_max = (1u << f.exp_bits) - 1;
    unsigned exp = v >> f.man_bits & exp_max;
    bool     neg = (v >> (f.man_bits + f.exp_bits) & 1u) != 0;
    double   x;

    if (f.kind == FNUZ && neg && exp == 0 && man == 0) return NAN;
    if (f.kind == ALL_ONES && exp == exp_max && man == (1u << f.man_bits) - 1) return NAN;
    if (f.kind == IEEE && exp == exp_max) {
        x = man == 0 ? INFINITY : NAN;
    } else if (exp == 0) {
        x = ldexp((double)man, 1 - f.bias - (int)f.man_bits);
    } else {
        x = ldexp((double)(man + (1u << f.man_bits)), (int)exp - f.bias - (int)f.man_bits);
    }
    return neg ? -x : x;
}

static double read_e8m0(unsigned v) { return v == 255 ? NAN : ldexp(1.0, (int)v - 127); }

/* Bits [first, first + count) of a little-endian bit string; count <= 8. */
static unsigned read_bits(const unsigned char *p, uint64_t first, unsigned count)
{
    unsigned shift = (unsigned)(first % 8);
    unsigned v = p[first / 8];
    if (shift + count > 8) v |= (unsigned)p[first / 8 + 1] << 8;
    return v >> shift & ((1u << count) - 1);
}

#define LOAD(T, p, i)                                                                              \
    __extension__({                                                                                \
        T value_;                                                                                  \
        memcpy(&value_, (p) + (i) * sizeof(T), sizeof(T));                                         \
        value_;                                                                                    \
    })

static float bf16_value(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float    f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

double codec_dtype_read(codec_dtype t, const void *data, uint64_t i)
{
    const unsigned char *p = data;
    switch (t) {
    case CODEC_BOOL: return p[i] != 0 ? 1 : 0;
    case CODEC_U8: return p[i];
    case CODEC_I8: return LOAD(int8_t, p, i);
    case CODEC_U16: return LOAD(uint16_t, p, i);
    case CODEC_I16: return LOAD(int16_t, p, i);
    case CODEC_U32: return LOAD(uint32_t, p, i);
    case CODEC_I32: return LOAD(int32_t, p, i);
    case CODEC_U64: return (double)LOAD(uint64_t, p, i);
    case CODEC_I64: return (double)LOAD(int64_t, p, i);
    case CODEC_F32: return (double)LOAD(float, p, i);
    case CODEC_F64: return LOAD(double, p, i);
    case CODEC_BF16: return (double)bf16_value(LOAD(uint16_t, p, i));
    case CODEC_C64: return (double)LOAD(float, p, 2 * i); /* real, imaginary, real, ... */
    case CODEC_F16: return read_small((small_float){5, 10, 15, IEEE}, LOAD(uint16_t, p, i));
    case CODEC_F8_E5M2: return read_small((small_float){5, 2, 15, IEEE}, p[i]);
    case CODEC_F8_E4M3: return read_small((small_float){4, 3, 7, ALL_ONES}, p[i]);
    case CODEC_F8_E4M3FNUZ: return read_small((small_float){4, 3, 8, FNUZ}, p[i]);
    case CODEC_F8_E5M2FNUZ: return read_small((small_float){5, 2, 16, FNUZ}, p[i]);
    case CODEC_F8_E8M0: return read_e8m0(p[i]);
    case CODEC_F6_E2M3: return read_small((small_float){2, 3, 1, FINITE}, read_bits(p, 6 * i, 6));
    case CODEC_F6_E3M2: return read_small((small_float){3, 2, 3, FINITE}, read_bits(p, 6 * i, 6));
    case CODEC_F4: return read_small((small_float){2, 1, 1, FINITE}, read_bits(p, 4 * i, 4));
    case CODEC_DTYPE_COUNT: break;
    }
    snug_panic(__FILE__, __LINE__, "dtype");
}

/* ---- whole runs to float ---- */

void codec_f16_to_f32_portable(const unsigned char *src, uint64_t n, float *out)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t h = LOAD(uint16_t, src, i);
        uint32_t sign = (h & 0x8000u) << 16, exp = h >> 10 & 31u, man = h & 0x3ffu, bits;
        if (exp == 31) { /* a NaN becomes quiet, as in hardware */
            bits = sign | 0x7f800000u | man << 13 | (man != 0 ? 0x400000u : 0);
        } else if (exp != 0) {
            bits = sign | (exp + 112) << 23 | man << 13;
        } else if (man != 0) { /* subnormal here, normal in float: shift the leading one out */
            unsigned shift = (unsigned)__builtin_clz(man) - 21;
            bits = sign | (113 - shift) << 23 | (man << shift & 0x3ffu) << 13;
        } else {
            bits = sign;
        }
        memcpy(out + i, &bits, sizeof bits);
    }
}

void codec_bf16_to_f32_portable(const unsigned char *src, uint64_t n, float *out)
{
    for (uint64_t i = 0; i < n; i++) out[i] = bf16_value(LOAD(uint16_t, src, i));
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static void f16_to_f32_f16c(const unsigned char *src,
                                                                uint64_t n, float *out)
{
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_loadu_si128((const __m128i_u *)(const void *)(src + 2 * i));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(h));
    }
    codec_f16_to_f32_portable(src + 2 * i, n - i, out + i);
}

__attribute__((target("avx2"))) static void bf16_to_f32_avx2(const unsigned char *src, uint64_t n,
                                                             float *out)
{
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_loadu_si128((const __m128i_u *)(const void *)(src + 2 * i));
        __m256i w = _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(w));
    }
    codec_bf16_to_f32_portable(src + 2 * i, n - i, out + i);
}
#endif

static void f16_to_f32(const unsigned char *src, uint64_t n, float *out)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports(
            "avx2")) { /* every CPU with AVX2 has F16C, which clang 14 cannot ask for */
        f16_to_f32_f16c(src, n, out);
        return;
    }
#endif
    codec_f16_to_f32_portable(src, n, out);
}

static void bf16_to_f32(const unsigned char *src, uint64_t n, float *out)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        bf16_to_f32_avx2(src, n, out);
        return;
    }
#endif
    codec_bf16_to_f32_portable(src, n, out);
}

/* Eight-bit types by table: 256 exact readings, then one load per element. */
static void bytes_to_f32(codec_dtype t, const unsigned char *src, uint64_t n, float *out)
{
    unsigned char every[256];
    float         table[256];
    for (unsigned v = 0; v < 256; v++) {
        every[v] = (unsigned char)v;
        table[v] = (float)codec_dtype_read(t, every, v);
    }
    for (uint64_t i = 0; i < n; i++) out[i] = table[src[i]];
}

void codec_to_f32(codec_dtype t, const void *data, uint64_t first, uint64_t n, float *out)
{
    const unsigned char *p = data;
    if (n == 0) return;
    switch (t) {
    case CODEC_F32: memcpy(out, p + 4 * first, (size_t)n * 4); return;
    case CODEC_F16: f16_to_f32(p + 2 * first, n, out); return;
    case CODEC_BF16: bf16_to_f32(p + 2 * first, n, out); return;
    /* Straight from 64 bits: by way of double these would round twice. */
    case CODEC_U64:
        for (uint64_t i = 0; i < n; i++) out[i] = (float)LOAD(uint64_t, p, first + i);
        return;
    case CODEC_I64:
        for (uint64_t i = 0; i < n; i++) out[i] = (float)LOAD(int64_t, p, first + i);
        return;
    default: break;
    }
    if (codec_dtype_bits(t) == 8 && n >= 512) {
        bytes_to_f32(t, p + first, n, out);
        return;
    }
    for (uint64_t i = 0; i < n; i++) out[i] = (float)codec_dtype_read(t, p, first + i);
}
