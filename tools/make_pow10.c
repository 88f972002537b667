/* SPDX-License-Identifier: Apache-2.0 */
/* tools/make_pow10.c - prints src/base/json_pow10.c: powers of ten in 128 bits, rounded down.
 *
 * 10^k and 5^k have the same leading bits, so it works on 5^k alone: for k >= 0 the top of the big
 * number itself, for k < 0 the quotient of a power of two by 5^-k, bit by bit. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 32, FIRST = -342, LAST = 324 };

typedef struct big {
    uint32_t w[WORDS]; /* least significant first */
} big;

static void times5(big *b)
{
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)b->w[i] * 5;
        b->w[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static big power5(int n)
{
    big b = {{1}};
    for (int i = 0; i < n; i++) times5(&b);
    return b;
}

static int bit(const big *b, int at) { return at < 0 ? 0 : (int)(b->w[at / 32] >> (at % 32) & 1u); }

static int bit_length(const big *b)
{
    int n = WORDS * 32;
    while (n > 0 && bit(b, n - 1) == 0) n--;
    return n;
}

static void twice(big *b)
{
    uint32_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        uint32_t top = b->w[i] >> 31;
        b->w[i] = b->w[i] << 1 | carry;
        carry = top;
    }
}

/* Takes d from b if it can. */
static int subtract(big *b, const big *d)
{
    big     left;
    int64_t borrow = 0;
    for (int i = 0; i < WORDS; i++) {
        borrow += (int64_t)b->w[i] - (int64_t)d->w[i];
        left.w[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    if (borrow != 0) return 0;
    *b = left;
    return 1;
}

static void push(uint64_t out[2], int one)
{
    out[0] = out[0] << 1 | out[1] >> 63;
    out[1] = out[1] << 1 | (uint64_t)one;
}

static void leading_bits(int k, uint64_t out[2])
{
    big p = power5(k < 0 ? -k : k), rest = {{0}};
    int n = bit_length(&p);
    memset(out, 0, 2 * sizeof out[0]);
    if (k >= 0) {
        for (int i = 1; i <= 128; i++) push(out, bit(&p, n - i));
        return;
    }
    rest.w[(n - 1) / 32] = 1u << ((n - 1) % 32);
    for (int i = 0; i < 128; i++) {
        twice(&rest);
        push(out, subtract(&rest, &p));
    }
}

int main(void)
{
    printf("/* SPDX-License-Identifier: Apache-2.0 */\n"
           "/* base/json_pow10.c - made by tools/make_pow10.c; do not edit.\n"
           " *\n"
           " * Row k - JSON_POW10_FIRST holds the first 128 bits of 10^k, rounded down. */\n"
           "#include \"base/json_int.h\"\n\n"
           "const uint64_t json_pow10[JSON_POW10_LAST - JSON_POW10_FIRST + 1][2] = {\n");
    for (int k = FIRST; k <= LAST; k++) {
        uint64_t v[2];
        leading_bits(k, v);
        printf("    {0x%016" PRIx64 "u, 0x%016" PRIx64 "u}, /* %d */\n", v[0], v[1], k);
    }
    printf("};\n");
    return 0;
}
