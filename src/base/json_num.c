/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_num.c - doubles to and from decimal text.
 *
 * For:     the JSON reader and writer.
 * Threads: pure functions.
 * Truth:   reading rounds to nearest, ties to even; what is written is the shortest text that reads
 *          back as the same bits, and of those the one nearest to the value.
 *
 * Both directions multiply by a power of ten known to 128 bits. Reading does so with Clinger's
 * exact case first (1990), then Eisel and Lemire's (2021), which notices the few numbers that 128
 * bits cannot decide and leaves them to strtod. Writing is Giulietti's Schubfach (2020). */
#include <float.h>
#include <locale.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json_int.h"

__extension__ typedef unsigned __int128 uint128;

enum { FRACTION_BITS = 52, BIAS = 1023, EXP2_MAX = 2046 };

/* floor(log2(10^k)) for |k| < 1234. */
static int floor_log2_pow10(int k) { return (int)(((int64_t)k * 1741647) >> 19); }

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- reading ---- */

/* In the "C" locale, which glibc keeps ready: newlocale() allocates nothing for it. */
static double slow_real(const json_byte *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    SNUG_ASSERT(c != (locale_t)0);
    double v = strtod_l((const char *)text, NULL, c);
    freelocale(c);
    return v;
}

/* mant * 10^exp10 for mant > 0, or false when the answer is subnormal, infinite or in doubt.
 *
 * With mant shifted to the top of 64 bits, the product with the table's 64 + 64 bits has its first
 * one at bit 127 or 126. Of its upper word 54 bits are the significand and a rounding bit; the
 * other 9 or 10 tell whether the error, below one unit in the last place of the product, can carry
 * up. */
static bool fast_real(uint64_t mant, int64_t exp10, double *out)
{
    if (exp10 < JSON_POW10_FIRST || exp10 > JSON_POW10_LAST) return false;
    const uint64_t *pow = json_pow10[exp10 - JSON_POW10_FIRST];
    int             shift = __builtin_clzll(mant);
    mant <<= shift;
    uint128  wide = (uint128)mant * pow[0];
    uint64_t hi = (uint64_t)(wide >> 64), lo = (uint64_t)wide;
    if ((hi & 0x1ff) == 0x1ff && lo + mant < lo) { /* the table's low word can carry into hi */
        uint128 low = (uint128)mant * pow[1];
        wide += low >> 64;
        hi = (uint64_t)(wide >> 64);
        lo = (uint64_t)wide;
        if ((hi & 0x1ff) == 0x1ff && lo == UINT64_MAX && (uint64_t)low + mant < mant) return false;
    }
    unsigned top = (unsigned)(hi >> 63);
    uint64_t sig = hi >> (top + 9);
    int      exp2 = floor_log2_pow10((int)exp10) + 64 + BIAS - shift - (top == 0);
    /* Exactly half way as far as we see: only the rest of the number knows. */
    if (lo == 0 && (hi & 0x1ff) == 0 && (sig & 3) == 1) return false;
    sig = (sig + (sig & 1)) >> 1;
    if (sig >> (FRACTION_BITS + 1) != 0) {
        sig >>= 1;
        exp2++;
    }
    if (exp2 < 1 || exp2 > EXP2_MAX) return false;
    *out =
        double_of((uint64_t)exp2 << FRACTION_BITS | (sig & (((uint64_t)1 << FRACTION_BITS) - 1)));
    return true;
}

double json_real(const json_byte *text, uint64_t mant, int64_t exp10, bool many)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    _Static_assert(FLT_EVAL_METHOD == 0, "one rounding per operation");
    double v, above;
    if (mant == 0 && !many) {
        v = 0; /* whatever the exponent */
    } else if (!many && mant <= (uint64_t)1 << 53 && exp10 >= -22 && exp10 <= 22) {
        v = (double)mant; /* both operands are exact, so the one operation rounds correctly */
        v = exp10 < 0 ? v / tens[-exp10] : v * tens[exp10];
    } else if (!fast_real(mant, exp10, &v) ||
               (many && (!fast_real(mant + 1, exp10, &above) || above != v))) {
        return slow_real(text);
    }
    return *text == '-' ? -v : v;
}

/* ---- writing ---- */

typedef struct decimal {
    uint64_t digits; /* times 10^exp */
    int      exp;
} decimal;

/* The upper 64 bits of pow * x / 2^64, its last bit set when anything was cut off. */
static uint64_t multiply_sticky(uint64_t pow_hi, uint64_t pow_lo, uint64_t x)
{
    uint128  low = (uint128)pow_lo * x, high = (uint128)pow_hi * x + (low >> 64);
    uint64_t cut = (uint64_t)high;
    return (uint64_t)(high >> 64) | (cut > 1);
}

/* v = c * 2^q > 0. Everything between half way to the double below and half way to the one above
 * reads back as v; the ends belong to it when c is even. In quarters of the last decimal place:
 *
 *        left      v       right
 *     ----[--------|--------]----      ten times coarser first: is a multiple of 10 inside?
 *         10s      s  s+1              otherwise of s and s + 1 the one inside, or the nearer */
static decimal shortest(uint64_t c, int q, bool uneven)
{
    int k = (int)(((int64_t)q * 1262611 - (uneven ? 524031 : 0)) >> 22); /* floor(log10(2^q)) */
    int h = q + floor_log2_pow10(-k) + 1;
    uint64_t hi = json_pow10[-k - JSON_POW10_FIRST][0], lo = json_pow10[-k - JSON_POW10_FIRST][1];
    if (-k < 0 || -k > 55) { /* Schubfach wants inexact powers rounded up */
        lo++;
        hi += lo == 0;
    }
    uint64_t open = c & 1; /* the ends do not belong to the interval */
    uint64_t left = multiply_sticky(hi, lo, (4 * c - 2 + (uneven ? 1 : 0)) << h) + open;
    uint64_t mid = multiply_sticky(hi, lo, (4 * c) << h);
    uint64_t right = multiply_sticky(hi, lo, (4 * c + 2) << h) - open;
    uint64_t s = mid / 4, tens = s / 10;
    if (s >= 10) {
        bool below = left <= 40 * tens, above = 40 * tens + 40 <= right;
        if (below != above) return (decimal){tens + (above ? 1 : 0), k + 1};
    }
    bool below = left <= 4 * s, above = 4 * s + 4 <= right;
    if (below != above) return (decimal){s + (above ? 1 : 0), k};
    uint64_t half = 4 * s + 2;
    bool     up = mid > half || (mid == half && (s & 1) != 0);
    return (decimal){s + (up ? 1 : 0), k};
}

static decimal decimal_of(uint64_t bits)
{
    uint64_t fraction = bits & (((uint64_t)1 << FRACTION_BITS) - 1);
    int      exp2 = (int)(bits >> FRACTION_BITS & 0x7ff);
    if (exp2 == 0) return shortest(fraction, 1 - BIAS - FRACTION_BITS, false);
    uint64_t c = fraction | (uint64_t)1 << FRACTION_BITS;
    int      q = exp2 - BIAS - FRACTION_BITS;
    if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0)
        return (decimal){c >> -q, 0}; /* an integer below 2^53 */
    return shortest(c, q, fraction == 0 && exp2 > 1);
}

/* Digits without trailing zeros; *point is where the decimal point belongs behind the first one. */
static size_t put_digits(decimal d, char digits[20], int *point)
{
    char   room[20];
    size_t n = 0, at = sizeof room;
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exp++;
    }
    for (; d.digits != 0; d.digits /= 10) room[--at] = (char)('0' + d.digits % 10);
    n = sizeof room - at;
    memcpy(digits, room + at, n);
    *point = (int)n + d.exp;
    return n;
}

static size_t put_zeros(char *out, size_t n)
{
    memset(out, '0', n);
    return n;
}

/* 123.45, 12300.0 or 0.00123 */
static size_t put_plain(char *out, const char *digits, size_t n, int point)
{
    size_t at = 0, whole = point > 0 ? (size_t)point : 0;
    if (point <= 0) {
        out[at++] = '0';
        out[at++] = '.';
        at += put_zeros(out + at, (size_t)-point);
        memcpy(out + at, digits, n);
        return at + n;
    }
    if (whole >= n) {
        memcpy(out, digits, n);
        at = n + put_zeros(out + n, whole - n);
        out[at++] = '.';
        out[at++] = '0';
        return at;
    }
    memcpy(out, digits, whole);
    out[whole] = '.';
    memcpy(out + whole + 1, digits + whole, n - whole);
    return n + 1;
}

/* 1.2345e+20 or 1e-07 */
static size_t put_scientific(char *out, const char *digits, size_t n, int point)
{
    size_t   at = 0;
    int      e = point - 1;
    unsigned size = (unsigned)(e < 0 ? -e : e);
    out[at++] = digits[0];
    if (n > 1) {
        out[at++] = '.';
        memcpy(out + at, digits + 1, n - 1);
        at += n - 1;
    }
    out[at++] = 'e';
    out[at++] = e < 0 ? '-' : '+';
    if (size >= 100) out[at++] = (char)('0' + size / 100);
    out[at++] = (char)('0' + size / 10 % 10);
    out[at++] = (char)('0' + size % 10);
    return at;
}

size_t json_format_real(double v, char out[32])
{
    char     digits[20];
    size_t   at = 0;
    int      point;
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (bits >> 63 != 0) out[at++] = '-';
    bits &= UINT64_MAX >> 1;
    if (bits == 0) {
        memcpy(out + at, "0.0", 3);
        return at + 3;
    }
    size_t n = put_digits(decimal_of(bits), digits, &point);
    if (point > -4 && point <= 16) return at + put_plain(out + at, digits, n, point);
    return at + put_scientific(out + at, digits, n, point);
}
