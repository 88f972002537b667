/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_quant_kernels.h - linear over blocks, written once over VI and VF (sixteen 32-bit
 * whole numbers or floats) and compiled by x86_quant_avx2.c and x86_quant_vnni.c with their own.
 *
 * Sixteen weight rows are turned so that lane r belongs to row r: four elements of each row meet
 * four bytes of the input in one instruction, no sum ever crosses lanes, and scales apply to all
 * rows at once. Turning costs about as much as reading, so weights stay mapped as they are in the
 * file.
 *
 * Threads: each call writes only its own panel or sums.
 * Truth:   the whole-number sums are exact and the two float steps per block are those of
 *          ref_quant.c, in its order: the bits are the same. */
#include "tensor/quant_inline.h"
#include "tensor/x86_quant_int.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* ---- turning ---- */

/* The kernel's idea of Q8_0: it wants signed bytes when it multiplies signed by signed. */
#define IS_SIGNED(t) (SIGNED_Q8 && (t) == TENSOR_Q8_0)

/* E2M1 doubled, plus 12: what quant_inline.h has in its table. */
static const uint8_t mxfp4_plus_12[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                          12, 11, 10, 9,  8,  6,  4,  0};

#define LOW4 0x0f0f0f0f
#define HIGH2 0x30303030

/* Sixteen bytes of each row at `off`, as four columns of four bytes: all a type needs to be turned.
 * Blocks are read only within themselves, so the last one of a mapping is safe. */
typedef struct piece {
    VI col[4];
} piece;

QUANT_INLINE piece turn_piece(const uint8_t *const rows[PANEL_ROWS], size_t off)
{
    VI    v[4], w[4];
    piece p;
    UNROLL for (size_t i = 0; i < 4; i++) /* lane l of v[i]: row 4 l + i */
        v[i] = vi_four(rows[i] + off, rows[4 + i] + off, rows[8 + i] + off, rows[12 + i] + off);
    w[0] = vi_zip32_low(v[0], v[1]);
    w[1] = vi_zip32_high(v[0], v[1]);
    w[2] = vi_zip32_low(v[2], v[3]);
    w[3] = vi_zip32_high(v[2], v[3]);
    p.col[0] = vi_zip64_low(w[0], w[2]);
    p.col[1] = vi_zip64_high(w[0], w[2]);
    p.col[2] = vi_zip64_low(w[1], w[3]);
    p.col[3] = vi_zip64_high(w[1], w[3]);
    return p;
}

QUANT_INLINE VI nibble_low(VI v) { return vi_and(v, vi_set(LOW4)); }
QUANT_INLINE VI nibble_high(VI v) { return vi_and(vi_srl(v, 4), vi_set(LOW4)); }

/* Bits `bit` and `bit` + 1 of every byte, moved to bits 4 and 5. */
QUANT_INLINE VI pair_to_4(VI v, int bit)
{
    return vi_and(bit <= 4 ? vi_sll(v, 4 - bit) : vi_srl(v, bit - 4), vi_set(HIGH2));
}
/* Bit `bit` of every byte, moved to bit `to`. */
QUANT_INLINE VI bit_to(VI v, int bit, int to)
{
    VI moved = bit <= to ? vi_sll(v, to - bit) : vi_srl(v, bit - to);
    return vi_and(moved, vi_set(0x01010101 << to));
}
/* Bits 0-3 of each lane, one per byte. */
QUANT_INLINE VI spread_bits(VI v)
{
    return vi_and(vi_mul(vi_and(v, vi_set(15)), vi_set(0x00204081)), vi_set(0x01010101));
}

QUANT_INLINE VI byte_of(VI v, int byte) { return vi_and(vi_srl(v, 8 * byte), vi_set(255)); }

/* Bytes 2 i and 2 i + 1 of each lane as two 16-bit numbers. */
QUANT_INLINE VI byte_pair(VI v, int i)
{
    VI two = vi_srl(v, 16 * i);
    return vi_or(vi_and(two, vi_set(255)), vi_and(vi_sll(two, 8), vi_set(0xff0000)));
}

/* 2^(e - 128): half of what MXFP4 means, its numbers are doubled. Below 2 it is subnormal. */
QUANT_INLINE VF half_power(VI e)
{
    VI normal = vi_sll(vi_add(e, vi_set(-1)), 23), zero = vi_set(0x00200000);
    VI small = vi_add(zero, vi_mul(e, zero)); /* e is 0 or 1 */
    return vf_bits(vi_select_less(e, vi_set(2), small, normal));
}

QUANT_INLINE void turn_small_q(tensor_dtype t, const uint8_t *const rows[PANEL_ROWS], size_t off,
                               VI header, panel_small *p)
{
    size_t qs = t == TENSOR_MXFP4  ? 1
                : t == TENSOR_Q4_1 ? 4
                : t == TENSOR_Q5_0 ? 6
                : t == TENSOR_Q5_1 ? 8
                                   : 2;
    piece  at = turn_piece(rows, off + qs);
    VI     fifth = header;
    if (t == TENSOR_Q5_0) fifth = turn_piece(rows, off + 2).col[0];
    if (t == TENSOR_Q5_1) fifth = turn_piece(rows, off + 4).col[0];
    UNROLL for (int c = 0; c < 4; c++)
    {
        VI low = nibble_low(at.col[c]), high = nibble_high(at.col[c]);
        if (t == TENSOR_Q5_0 || t == TENSOR_Q5_1) {
            low = vi_or(low, vi_sll(spread_bits(vi_srl(fifth, 4 * c)), 4));
            high = vi_or(high, vi_sll(spread_bits(vi_srl(fifth, 16 + 4 * c)), 4));
        }
        if (t == TENSOR_MXFP4) {
            low = vi_look_up(mxfp4_plus_12, low);
            high = vi_look_up(mxfp4_plus_12, high);
        }
        vi_store(p->q[c], low);
        vi_store(p->q[4 + c], high);
    }
}

/* Sixteen rows are more streams than the hardware follows, so what comes next is asked for here, a
 * line per row at a time. Returns how far that went. */
QUANT_INLINE size_t fetch(const uint8_t *const rows[PANEL_ROWS], size_t done, size_t to,
                          size_t ahead)
{
    for (; done < to; done += 64)
        UNROLL for (size_t r = 0; r < PANEL_ROWS; r++)
            _mm_prefetch((const char *)((uintptr_t)rows[r] + done + ahead), _MM_HINT_T0);
    return done;
}

QUANT_INLINE void turn_small(tensor_dtype t, const uint8_t *const rows[PANEL_ROWS], size_t blocks,
                             size_t ahead, panel_small *p)
{
    size_t each = tensor_dtype_bytes(t), fetched = 0;
    for (size_t b = 0; b < blocks; b++, p++) {
        size_t off = b * each;
        fetched = fetch(rows, fetched, off + each, ahead);
        VI header = turn_piece(rows, off).col[0];
        VI minus = vi_xor(vf_as_bits(vf_f16(vi_srl(header, 16))), vi_set(INT32_MIN));
        vf_store(p->d, t == TENSOR_MXFP4 ? half_power(byte_of(header, 0)) : vf_f16(header));
        if (t == TENSOR_Q4_1 || t == TENSOR_Q5_1) vf_store(p->dmin, vf_bits(minus));
        if (t != TENSOR_Q8_0) {
            turn_small_q(t, rows, off, header, p);
            continue;
        }
        for (size_t h = 0; h < 2; h++) {
            piece at = turn_piece(rows, off + 2 + 16 * h);
            VI    flip = vi_set(IS_SIGNED(t) ? 0 : (int32_t)0x80808080u);
            UNROLL for (int c = 0; c < 4; c++)
                vi_store(p->q[4 * h + (size_t)c], vi_xor(at.col[c], flip));
        }
    }
}

/* Sixteen numbers of a byte each, in four lanes-of-four, as whole numbers; `bias` is added. */
QUANT_INLINE void put_scales(panel_super *p, int s, VI four, int bias)
{
    UNROLL for (int j = 0; j < 4; j++)
        vi_store(p->scale[s + j], vi_add(byte_of(four, j), vi_set(bias)));
}
QUANT_INLINE void put_mins(panel_super *p, int s, VI four)
{
    vi_store(p->min[s / 2], byte_pair(four, 0));
    vi_store(p->min[s / 2 + 1], byte_pair(four, 1));
}

/* d and dmin side by side in one lane. */
QUANT_INLINE void put_steps(panel_super *p, VI both)
{
    vf_store(p->d, vf_f16(both));
    vf_store(p->dmin, vf_f16(vi_srl(both, 16)));
}

/* The header of Q4_K and Q5_K. */
QUANT_INLINE void turn_six_bits(const uint8_t *const rows[PANEL_ROWS], size_t off, panel_super *p)
{
    piece h = turn_piece(rows, off);
    VI    six = vi_set(0x3f3f3f3f), s = h.col[1], m = h.col[2], last = h.col[3];
    put_steps(p, h.col[0]);
    put_scales(p, 0, vi_and(s, six), 0);
    put_scales(p, 4, vi_or(nibble_low(last), vi_and(vi_srl(s, 2), vi_set(HIGH2))), 0);
    put_mins(p, 0, vi_and(m, six));
    put_mins(p, 4, vi_or(nibble_high(last), vi_and(vi_srl(m, 2), vi_set(HIGH2))));
}

QUANT_INLINE void turn_q4_q5_k(bool five, const uint8_t *const rows[PANEL_ROWS], size_t off,
                               panel_super *p)
{
    piece fifth[2] = {turn_piece(rows, off)};
    turn_six_bits(rows, off, p);
    for (size_t h = 0; five && h < 2; h++) fifth[h] = turn_piece(rows, off + 16 + 16 * h);
    UNROLL for (int g = 0; g < 4; g++) for (size_t h = 0; h < 2; h++)
    {
        piece at = turn_piece(rows, off + (five ? 48 : 16) + 32 * (size_t)g + 16 * h);
        UNROLL for (int c = 0; c < 4; c++)
        {
            VI     low = nibble_low(at.col[c]), high = nibble_high(at.col[c]);
            size_t i = 16 * (size_t)g + 4 * h + (size_t)c;
            if (five) {
                low = vi_or(low, bit_to(fifth[h].col[c], 2 * g, 4));
                high = vi_or(high, bit_to(fifth[h].col[c], 2 * g + 1, 4));
            }
            vi_store(p->q[i], low);
            vi_store(p->q[i + 8], high);
        }
    }
}

QUANT_INLINE void turn_q6_k(const uint8_t *const rows[PANEL_ROWS], size_t off, panel_super *p)
{
    piece scales = turn_piece(rows, off + 192);
    UNROLL for (int c = 0; c < 4; c++) UNROLL for (int j = 0; j < 4; j++)
        vi_store(p->scale[4 * c + j], vi_sra(vi_sll(scales.col[c], 24 - 8 * j), 24));
    vf_store(p->d, vf_f16(vi_srl(turn_piece(rows, off + 194).col[3], 16)));
    for (size_t half = 0; half < 2; half++)
        for (size_t h = 0; h < 2; h++) {
            piece top = turn_piece(rows, off + 128 + 32 * half + 16 * h);
            piece first = turn_piece(rows, off + 64 * half + 16 * h);
            piece second = turn_piece(rows, off + 64 * half + 32 + 16 * h);
            UNROLL for (int c = 0; c < 4; c++)
            {
                uint8_t(*q)[PANEL_ROWS][4] = p->q + 32 * half + 4 * h + (size_t)c;
                vi_store(q[0], vi_or(nibble_low(first.col[c]), pair_to_4(top.col[c], 0)));
                vi_store(q[8], vi_or(nibble_low(second.col[c]), pair_to_4(top.col[c], 2)));
                vi_store(q[16], vi_or(nibble_high(first.col[c]), pair_to_4(top.col[c], 4)));
                vi_store(q[24], vi_or(nibble_high(second.col[c]), pair_to_4(top.col[c], 6)));
            }
        }
}

/* The two bits Q2_K and Q3_K share; Q3_K takes a third from `top`, 32 bytes of each row. */
QUANT_INLINE void turn_two_bits(bool three, const uint8_t *const rows[PANEL_ROWS], size_t off,
                                size_t top_off, panel_super *p)
{
    for (size_t h = 0; h < 2; h++) {
        piece top = turn_piece(rows, top_off + 16 * h);
        UNROLL for (int half = 0; half < 2; half++)
        {
            piece at = turn_piece(rows, off + 32 * (size_t)half + 16 * h);
            UNROLL for (int c = 0; c < 4; c++) UNROLL for (int j = 0; j < 4; j++)
            {
                VI v = vi_and(vi_srl(at.col[c], 2 * j), vi_set(0x03030303));
                if (three) v = vi_or(v, bit_to(top.col[c], 4 * half + j, 2));
                vi_store(p->q[32 * half + 8 * j + 4 * (int)h + c], v);
            }
        }
    }
}

QUANT_INLINE void turn_q2_k(const uint8_t *const rows[PANEL_ROWS], size_t off, panel_super *p)
{
    piece s = turn_piece(rows, off);
    UNROLL for (int c = 0; c < 4; c++)
    {
        put_scales(p, 4 * c, nibble_low(s.col[c]), 0);
        put_mins(p, 4 * c, nibble_high(s.col[c]));
    }
    put_steps(p, turn_piece(rows, off + 68).col[3]);
    turn_two_bits(false, rows, off + 16, off, p);
}

QUANT_INLINE void turn_q3_k(const uint8_t *const rows[PANEL_ROWS], size_t off, panel_super *p)
{
    /* The last 16 bytes: two of qs, twelve of scales, d. */
    piece end = turn_piece(rows, off + 94);
    VI    s[3];
    UNROLL for (int i = 0; i < 3; i++) s[i] =
        vi_or(vi_srl(end.col[i], 16), vi_sll(end.col[i + 1], 16));
    vf_store(p->d, vf_f16(vi_srl(end.col[3], 16)));
    put_scales(p, 0, vi_or(nibble_low(s[0]), pair_to_4(s[2], 0)), -32);
    put_scales(p, 4, vi_or(nibble_low(s[1]), pair_to_4(s[2], 2)), -32);
    put_scales(p, 8, vi_or(nibble_high(s[0]), pair_to_4(s[2], 4)), -32);
    put_scales(p, 12, vi_or(nibble_high(s[1]), pair_to_4(s[2], 6)), -32);
    turn_two_bits(true, rows, off + 32, off, p);
}

QUANT_INLINE void turn_super(tensor_dtype t, const uint8_t *const rows[PANEL_ROWS], size_t blocks,
                             size_t ahead, panel_super *p)
{
    size_t fetched = 0;
    for (size_t b = 0; b < blocks; b++, p++) {
        size_t off = b * tensor_dtype_bytes(t);
        fetched = fetch(rows, fetched, off + tensor_dtype_bytes(t), ahead);
        switch (t) {
        case TENSOR_Q2_K: turn_q2_k(rows, off, p); break;
        case TENSOR_Q3_K: turn_q3_k(rows, off, p); break;
        case TENSOR_Q6_K: turn_q6_k(rows, off, p); break;
        default: turn_q4_q5_k(t == TENSOR_Q5_K, rows, off, p); break;
        }
    }
}

static void turn(tensor_dtype t, const uint8_t *const rows[PANEL_ROWS], size_t blocks, size_t ahead,
                 void *panel)
{
    switch (t) {
    case TENSOR_Q4_0: turn_small(TENSOR_Q4_0, rows, blocks, ahead, panel); break;
    case TENSOR_Q4_1: turn_small(TENSOR_Q4_1, rows, blocks, ahead, panel); break;
    case TENSOR_Q5_0: turn_small(TENSOR_Q5_0, rows, blocks, ahead, panel); break;
    case TENSOR_Q5_1: turn_small(TENSOR_Q5_1, rows, blocks, ahead, panel); break;
    case TENSOR_Q8_0: turn_small(TENSOR_Q8_0, rows, blocks, ahead, panel); break;
    case TENSOR_MXFP4: turn_small(TENSOR_MXFP4, rows, blocks, ahead, panel); break;
    case TENSOR_Q2_K: turn_super(TENSOR_Q2_K, rows, blocks, ahead, panel); break;
    case TENSOR_Q3_K: turn_super(TENSOR_Q3_K, rows, blocks, ahead, panel); break;
    case TENSOR_Q4_K: turn_super(TENSOR_Q4_K, rows, blocks, ahead, panel); break;
    case TENSOR_Q5_K: turn_super(TENSOR_Q5_K, rows, blocks, ahead, panel); break;
    case TENSOR_Q6_K: turn_super(TENSOR_Q6_K, rows, blocks, ahead, panel); break;
    default: break;
    }
}

/* ---- tiles: mr input rows against np panels ---- */

QUANT_INLINE int32_t four_bytes(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The same place in panel n. */
#define PANEL_AT(p, n) ((const void *)((const char *)(p) + (n) * (size_t)PANEL_ROOM))

/* `steps` vectors of q against mr input rows, added to dot[]. */
QUANT_INLINE void dots(bool is_signed, const void *q, size_t steps, const int8_t *x, size_t stride,
                       size_t mr, size_t np, VI *dot)
{
    UNROLL for (size_t i = 0; i < steps; i++)
    {
        VI w[2];
        UNROLL for (size_t n = 0; n < np; n++) w[n] =
            vi_load((const char *)PANEL_AT(q, n) + 64 * i);
        UNROLL for (size_t m = 0; m < mr; m++)
        {
            VI in = vi_set(four_bytes(x + m * stride + 4 * i));
            UNROLL for (size_t n = 0; n < np; n++)
            {
                VI *sum = &dot[m * np + n];
                *sum = is_signed ? vi_dot_ss(*sum, w[n], in) : vi_dot_us(*sum, w[n], in);
            }
        }
    }
}

QUANT_INLINE void tile_small(bool is_signed, bool has_min, const x86_quant_tile *j, size_t from,
                             size_t mr, size_t np)
{
    VI                 dot[TILE_SUMS];
    VF                 sum[TILE_SUMS];
    const quant_acts  *a = j->acts;
    const panel_small *p = j->panels;
    const int8_t      *x = a->q + from * a->k + j->block * 32;
    size_t             at = from * a->blocks + j->block; /* a block is a sub-block here */
    float(*sums)[PANEL_ROWS] = j->sums + (from - j->from);
    UNROLL for (size_t m = 0; m < mr; m++) UNROLL for (size_t n = 0; n < np; n++) sum[m * np + n] =
        vf_load(sums[m + n * j->sums_stride]);
    for (size_t b = 0; b < j->blocks; b++, p++, x += 32, at++) {
        UNROLL for (size_t m = 0; m < mr; m++) UNROLL for (size_t n = 0; n < np; n++)
            dot[m * np + n] = vi_set(is_signed ? 0 : a->zero[at + m * a->blocks]);
        dots(is_signed, p->q, 8, x, a->k, mr, np, dot);
        UNROLL for (size_t n = 0; n < np; n++)
        {
            const panel_small *here = PANEL_AT(p, n);
            VF                 d = vf_load(here->d), dmin = vf_load(here->dmin);
            UNROLL for (size_t m = 0; m < mr; m++)
            {
                VF step = vf_set(a->d[at + m * a->blocks]), *to = &sum[m * np + n];
                *to = vf_fma(vf_mul(d, step), vf_from(dot[m * np + n]), *to);
                if (has_min)
                    *to = vf_fnma(vf_mul(dmin, step), vf_set((float)a->sums[at + m * a->blocks]),
                                  *to);
            }
        }
    }
    UNROLL for (size_t m = 0; m < mr; m++) UNROLL for (size_t n = 0; n < np; n++)
        vf_store(sums[m + n * j->sums_stride], sum[m * np + n]);
}

/* What the minimums of one panel take off, in whole numbers. */
QUANT_INLINE VI lows(const panel_super *p, const int16_t *x_sums, size_t subs)
{
    VI low = vi_set(0);
    UNROLL for (size_t s = 0; s < subs; s += 2) low =
        vi_dot16(low, vi_load(p->min[s / 2]), vi_set(four_bytes(x_sums + s)));
    return low;
}

QUANT_INLINE void tile_super(size_t sub, bool has_min, const x86_quant_tile *j, size_t from,
                             size_t mr, size_t np)
{
    VI                 dot[TILE_SUMS], total[TILE_SUMS];
    const quant_acts  *a = j->acts;
    const panel_super *p = j->panels;
    size_t             subs = 256 / sub, at = from * a->subs + j->block * subs;
    const int8_t      *x = a->q + from * a->k + j->block * 256;
    const float       *steps = a->d + from * a->blocks + j->block;
    for (size_t b = 0; b < j->blocks; b++, p++, at += subs, x += 256, steps++) {
        UNROLL for (size_t i = 0; i < mr * np; i++) total[i] = vi_set(0);
        for (size_t s = 0; s < subs; s++) {
            UNROLL for (size_t m = 0; m < mr; m++) UNROLL for (size_t n = 0; n < np; n++)
                dot[m * np + n] = vi_set(has_min ? 0 : a->zero[at + m * a->subs + s]);
            dots(false, p->q + s * (sub / 4), sub / 4, x + s * sub, a->k, mr, np, dot);
            UNROLL for (size_t n = 0; n < np; n++)
            {
                VI scale = vi_load(((const panel_super *)PANEL_AT(p, n))->scale[s]);
                UNROLL for (size_t m = 0; m < mr; m++) total[m * np + n] =
                    vi_add(total[m * np + n], vi_mul(dot[m * np + n], scale));
            }
        }
        UNROLL for (size_t n = 0; n < np; n++)
        {
            const panel_super *here = PANEL_AT(p, n);
            VF                 d = vf_load(here->d), dmin = vf_load(here->dmin);
            float(*sums)[PANEL_ROWS] = j->sums + (from - j->from) + n * j->sums_stride;
            UNROLL for (size_t m = 0; m < mr; m++)
            {
                VF step = vf_set(steps[m * a->blocks]), sum = vf_load(sums[m]);
                sum = vf_fma(vf_mul(d, step), vf_from(total[m * np + n]), sum);
                if (has_min)
                    sum = vf_fnma(vf_mul(dmin, step),
                                  vf_from(lows(here, a->sums + at + m * a->subs, subs)), sum);
                vf_store(sums[m], sum);
            }
        }
    }
}

QUANT_INLINE void tile_rows(const x86_quant_tile *j, size_t from, size_t mr, size_t np)
{
    switch (j->type) {
    case TENSOR_Q4_1:
    case TENSOR_Q5_1: tile_small(false, true, j, from, mr, np); break;
    case TENSOR_Q2_K: tile_super(16, true, j, from, mr, np); break;
    case TENSOR_Q4_K:
    case TENSOR_Q5_K: tile_super(32, true, j, from, mr, np); break;
    case TENSOR_Q3_K:
    case TENSOR_Q6_K: tile_super(16, false, j, from, mr, np); break;
    case TENSOR_Q8_0: tile_small(SIGNED_Q8, false, j, from, mr, np); break;
    default: tile_small(false, false, j, from, mr, np); break;
    }
}

static void tile(const x86_quant_tile *j)
{
    size_t m = j->from, to = j->from + j->count;
#if TILE_PANELS > 1
    if (j->panels_count == 2) {
        for (; m + TILE_SUMS / 2 <= to; m += TILE_SUMS / 2) tile_rows(j, m, TILE_SUMS / 2, 2);
        for (; m < to; m++) tile_rows(j, m, 1, 2);
        return;
    }
#endif
    for (; m + TILE_SUMS <= to; m += TILE_SUMS) tile_rows(j, m, TILE_SUMS, 1);
#if TILE_SUMS > 2
    for (; m + 2 <= to; m += 2) tile_rows(j, m, 2, 1);
#endif
    for (; m < to; m++) tile_rows(j, m, 1, 1);
}
