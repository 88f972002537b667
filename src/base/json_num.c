/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_num.c - doubles to and from decimal text.
 *
 * For:     the JSON reader and writer.
 * Threads: pure functions.
 * Truth:   reading rounds to nearest even; what is written reads back as the same bits. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json_int.h"

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

double json_real(const json_byte *text, uint64_t mant, int64_t exp10, bool many)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    _Static_assert(FLT_EVAL_METHOD == 0, "one rounding per operation");
    /* Clinger 1990: both operands are exact, so the one operation rounds correctly. */
    if (!many && mant <= (uint64_t)1 << 53 && exp10 >= -22 && exp10 <= 22) {
        double v = (double)mant;
        v = exp10 < 0 ? v / tens[-exp10] : v * tens[exp10];
        return *text == '-' ? -v : v;
    }
    return slow_real(text);
}

/* ---- writing ---- */

/* The digits of v > 0 without point or trailing zeros, and the power of ten of the first one plus 1. */
static size_t shortest_digits(double v, char digits[20], int *point)
{
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision - 1, v);
        if (precision == 17 || strtod(text, NULL) == v) break;
    }
    size_t n = 0;
    char  *p = text;
    for (; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    }
    *point = (int)strtol(p + 1, NULL, 10) + 1;
    while (n > 1 && digits[n - 1] == '0') n--;
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
    char   digits[20];
    size_t at = 0;
    int    point;
    if (signbit(v)) out[at++] = '-';
    v = fabs(v);
    if (v == 0) {
        memcpy(out + at, "0.0", 3);
        return at + 3;
    }
    size_t n = shortest_digits(v, digits, &point);
    if (point > -4 && point <= 16) return at + put_plain(out + at, digits, n, point);
    return at + put_scientific(out + at, digits, n, point);
}
