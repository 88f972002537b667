/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_packed.h - float32 linear over packed weights, written once over V and included by
 * x86_kernels.h.
 *
 * Threads: each call writes only its part of the output.
 * Truth:   an output is summed over k in blocks of X86_K_BLOCK, in order within one and over them:
 *          the same bits for one row as for many. */

/* ---- linear over packed weights ---- */

enum { PANEL = 2 * VN, PACKED_AHEAD = 8192 };

INLINE void turn4(const float *const row[4], size_t i, size_t width, float *out)
{
    __m128 r0 = _mm_loadu_ps(row[0] + i), r1 = _mm_loadu_ps(row[1] + i);
    __m128 r2 = _mm_loadu_ps(row[2] + i), r3 = _mm_loadu_ps(row[3] + i);
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps(out, r0);
    _mm_storeu_ps(out + width, r1);
    _mm_storeu_ps(out + 2 * width, r2);
    _mm_storeu_ps(out + 3 * width, r3);
}

/* `rows` of at most `width` rows of k, turned: out[i][r]. Past the end the last row stands in. */
INLINE void turn_rows(const float *x, size_t xs, size_t rows, size_t k, size_t width, float *out)
{
    for (size_t r = 0; r < width; r += 4) {
        const float *row[4];
        size_t       i = 0;
        for (size_t c = 0; c < 4; c++) row[c] = x + (r + c < rows ? r + c : rows - 1) * xs;
        for (; i + 4 <= k; i += 4) turn4(row, i, width, out + i * width + r);
        for (; i < k; i++)
            for (size_t c = 0; c < 4; c++) out[i * width + r + c] = row[c][i];
    }
}

static void pack_w(const float *w, size_t ws, size_t rows, size_t k, float *out)
{
    turn_rows(w, ws, rows, k, PANEL, out);
}

static void pack_x(const float *x, size_t xs, size_t rows, size_t k, float *out)
{
    turn_rows(x, xs, rows, k, PACK_ROWS, out);
}

/* mr rows against np panels, over kc of k. x: element i of row r at r * xr + i * xk. */
INLINE void packed_tile(const x86_packed *j, const float *x, size_t xr, size_t xk, const float *w,
                        size_t kc, bool first, size_t m, size_t n, size_t mr, size_t np)
{
    V acc[PACK_ROWS * 2 > 16 ? PACK_ROWS * 2 : 16];
    UNROLL24 for (size_t i = 0; i < mr * np * 2; i++) acc[i] = v_zero();
    for (size_t i = 0; i < kc; i++, w += PANEL, x += xk) {
        V wv[8];
        UNROLL for (size_t c = 0; c < np * 2; c++)
        {
            wv[c] = v_load(w + c / 2 * (j->k * PANEL) + c % 2 * VN);
            if (np > 1) /* few rows: the weights pass once */
                _mm_prefetch((const char *)((uintptr_t)(w + c / 2 * (j->k * PANEL) + c % 2 * VN) +
                                            PACKED_AHEAD),
                             _MM_HINT_T1);
        }
        UNROLL24 for (size_t r = 0; r < mr; r++)
        {
            V xv = v_set(x[r * xr]);
            UNROLL for (size_t c = 0; c < np * 2; c++) acc[r * np * 2 + c] =
                v_fma(xv, wv[c], acc[r * np * 2 + c]);
        }
    }
    UNROLL24 for (size_t r = 0; r < mr; r++) UNROLL for (size_t c = 0; c < np * 2; c++)
    {
        size_t at = n + c * VN, count = at >= j->n ? 0 : j->n - at < VN ? j->n - at : VN;
        float *out = j->out + (m + r) * j->os + at;
        V      v = acc[r * np * 2 + c];
        if (m + r >= j->rows || count == 0) continue;
        if (!first) v = v_add(v_load_n(out, count), v);
        v_store_n(out, count, v);
    }
}

/* Bias, activation and addend of a finished part of the output. */
static void packed_finish(const x86_packed *j, size_t m, size_t m_to, size_t n, size_t n_to)
{
    if (j->b == NULL && !j->acts && j->add == NULL) return;
    for (; m < m_to; m++) {
        for (size_t i = n; i < n_to; i += VN) {
            size_t count = n_to - i < VN ? n_to - i : VN;
            float *out = j->out + m * j->os + i;
            V      v = v_load_n(out, count);
            if (j->b != NULL) v = v_add(v, load_w_n(j->bt, (const char *)j->b, i, count));
            if (j->acts) v = activate(j->fn, v);
            if (j->add != NULL) v = v_add(v, v_load_n(j->add + m * j->adds + i, count));
            v_store_n(out, count, v);
        }
    }
}

INLINE void packed_few(const x86_packed *j, size_t from, size_t to, size_t mr, size_t np)
{
    for (size_t k = 0; k < j->k; k += X86_K_BLOCK) {
        size_t kc = j->k - k < X86_K_BLOCK ? j->k - k : X86_K_BLOCK, p = from;
        for (; p + np <= to; p += np)
            packed_tile(j, j->x + k, j->xs, 1, j->w + (p * j->k + k) * PANEL, kc, k == 0, 0,
                        p * PANEL, mr, np);
        for (; p < to; p++)
            packed_tile(j, j->x + k, j->xs, 1, j->w + (p * j->k + k) * PANEL, kc, k == 0, 0,
                        p * PANEL, mr, 1);
    }
}

static void packed(const x86_packed *j, size_t from, size_t to, size_t m_from, size_t m_to)
{
    size_t end = to * PANEL < j->n ? to * PANEL : j->n;
    switch (j->rows) {
    case 1: packed_few(j, from, to, 1, 4); break;
    case 2: packed_few(j, from, to, 2, 2); break;
    case 3: packed_few(j, from, to, 3, 2); break;
    case 4: packed_few(j, from, to, 4, VN == 16 ? 2 : 1); break; /* what the registers hold */
    default:
        for (size_t k = 0; k < j->k; k += X86_K_BLOCK) {
            size_t kc = j->k - k < X86_K_BLOCK ? j->k - k : X86_K_BLOCK;
            for (size_t m = m_from; m < m_to; m += PACK_ROWS) {
                const float *x = j->x + (m * j->k + k * PACK_ROWS);
                size_t       left = m_to - m;
                for (size_t p = from; p < to; p++) {
                    const float *w = j->w + (p * j->k + k) * PANEL;
                    if (left <= 4)
                        packed_tile(j, x, 1, PACK_ROWS, w, kc, k == 0, m, p * PANEL, 4, 1);
                    else if (left <= 8)
                        packed_tile(j, x, 1, PACK_ROWS, w, kc, k == 0, m, p * PANEL,
                                    PACK_ROWS < 8 ? 4 : 8, 1);
                    else
                        packed_tile(j, x, 1, PACK_ROWS, w, kc, k == 0, m, p * PANEL, PACK_ROWS, 1);
                }
            }
        }
    }
    packed_finish(j, m_from, m_to, from * PANEL, end);
}
