/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_attention.h - attention in one pass over the keys, written once over V and included by
 * x86_kernels.h.
 *
 * Rows are queries of the heads that share keys. Keys pass in blocks of KEYS; each row keeps the
 * largest score so far, the sum of the shares and the weighted sum of the values, and scales both
 * sums down when a larger score comes (Milakov and Gimelshein 2018; Dao et al. 2022).
 *
 * Threads: a call writes only the rows of its own part.
 * Truth:   blocks start at multiples of KEYS of the absolute position, and what a row does in one
 *          does not depend on the rows beside it: the same bits alone as in a prompt. */

enum { KEYS = TENSOR_PAGE };

/* Positions from `block` on, a multiple of KEYS: keys and values of one block lie together. */
static inline const float *keys_at(const x86_attention *j, size_t block)
{
    if (j->k_pages == NULL) return j->k + block * j->ks;
    const tensor_page *p = &j->k_pages[block / KEYS];
    return (const float *)(const void *)((const char *)p->mem->host + p->offset + j->k_in_page);
}

static inline const float *values_at(const x86_attention *j, size_t block)
{
    if (j->v_pages == NULL) return j->v + block * j->vs;
    const tensor_page *p = &j->v_pages[block / KEYS];
    return (const float *)(const void *)((const char *)p->mem->host + p->offset + j->v_in_page);
}

/* What one call keeps, in scratch: rows are rounded up to whole tiles. */
typedef struct attention_room {
    float *q, *out, *best, *sum, *k, *p; /* q [tile][d][PACK_ROWS], out [row][v_width] */
} attention_room;

static size_t attention_floats(size_t rows, size_t k_width, size_t v_width)
{
    rows = (rows + PACK_ROWS - 1) / PACK_ROWS * PACK_ROWS;
    return rows * (k_width + v_width + 2) + KEYS * k_width + PACK_ROWS * KEYS + 64;
}

static attention_room attention_split(const x86_attention *j, float *p)
{
    size_t         rows = (j->rows + PACK_ROWS - 1) / PACK_ROWS * PACK_ROWS;
    attention_room r = {.q = p};
    r.out = r.q + rows * j->k_width;
    r.best = r.out + rows * j->v_width;
    r.sum = r.best + rows;
    r.k = r.sum + rows;
    r.p = r.k + KEYS * j->k_width;
    return r;
}

/* mr rows times one panel: acc += x [r][k] . w [k][PANEL], the last vectors of n lanes. */
INLINE void attention_tile(const float *x, size_t xr, size_t xk, const float *w, size_t ws,
                           size_t k, size_t n, size_t mr, V *acc)
{
    size_t n0 = n < VN ? n : VN, n1 = n < VN ? 0 : n - VN;
    bool   whole = n >= PANEL;
    for (size_t i = 0; i < k; i++, w += ws, x += xk) {
        V a = whole ? v_load(w) : v_load_n(w, n0), b = whole ? v_load(w + VN) : v_zero();
        if (!whole && n1 > 0) b = v_load_n(w + VN, n1);
        UNROLL24 for (size_t r = 0; r < mr; r++)
        {
            V xv = v_set(x[r * xr]);
            acc[2 * r] = v_fma(xv, a, acc[2 * r]);
            acc[2 * r + 1] = v_fma(xv, b, acc[2 * r + 1]);
        }
    }
}

/* Scores of one tile of rows against a block of packed keys: p [row][KEYS]. */
INLINE void score_tile(const x86_attention *j, const float *q, const attention_room *s, size_t mr)
{
    for (size_t c = 0; c < KEYS; c += PANEL) {
        V acc[PACK_ROWS * 2];
        UNROLL24 for (size_t i = 0; i < mr * 2; i++) acc[i] = v_zero();
        attention_tile(q, 1, PACK_ROWS, s->k + c * j->k_width, PANEL, j->k_width, PANEL, mr, acc);
        UNROLL24 for (size_t i = 0; i < mr * 2; i++)
            v_store(s->p + i / 2 * KEYS + c + i % 2 * VN, acc[i]);
    }
}

/* out rows += p . v over `keys` positions. */
INLINE void value_tile(const x86_attention *j, float *out, const float *v, const float *p,
                       size_t keys, size_t mr)
{
    for (size_t e = 0; e < j->v_width; e += PANEL) {
        V      acc[PACK_ROWS * 2];
        size_t n = j->v_width - e < PANEL ? j->v_width - e : PANEL, n0 = n < VN ? n : VN,
               n1 = n - n0;
        UNROLL24 for (size_t r = 0; r < mr; r++)
        {
            acc[2 * r] = v_load_n(out + r * j->v_width + e, n0);
            acc[2 * r + 1] = n1 > 0 ? v_load_n(out + r * j->v_width + e + VN, n1) : v_zero();
        }
        if (n == PANEL)
            attention_tile(p, KEYS, 1, v + e, j->vs, keys, PANEL, mr, acc);
        else
            attention_tile(p, KEYS, 1, v + e, j->vs, keys, n, mr, acc);
        UNROLL24 for (size_t r = 0; r < mr; r++)
        {
            v_store_n(out + r * j->v_width + e, n0, acc[2 * r]);
            if (n1 > 0) v_store_n(out + r * j->v_width + e + VN, n1, acc[2 * r + 1]);
        }
    }
}

/* Scores of one row in a block to shares; positions outside [from, to) of the block have none. */
static void share_row(const x86_attention *j, const x86_attention_row *row, size_t block,
                      size_t from, size_t to, float *p, float *best, float *sum, float *out)
{
    V none = v_set(-INFINITY), most = none, scale = v_set(j->scale), total = v_zero();
    for (size_t i = 0; i < KEYS; i += VN) {
        V v = v_mul(v_load(p + i), scale);
        if (j->cap != 0.0f) v = v_mul(v_tanh(v_mul(v, v_set(1.0f / j->cap))), v_set(j->cap));
        v_store(p + i, v);
    }
    for (size_t i = 0; i < from; i++) p[i] = -INFINITY;
    for (size_t i = to; i < KEYS; i++) p[i] = -INFINITY;
    for (size_t i = from; row->bias != NULL && i < to; i++) p[i] += row->bias[block + i];
    for (size_t i = from; j->mask != NULL && i < to; i++)
        if (j->mask[block + i] == 0) p[i] = -INFINITY;
    for (size_t i = 0; i < KEYS; i += VN) most = v_max(most, v_load(p + i));
    float top = v_max_lane(most);
    if (top == -INFINITY) { /* nothing to see here */
        for (size_t i = 0; i < KEYS; i += VN) v_store(p + i, v_zero());
        return;
    }
    if (top > *best) {
        V less = v_exp(v_sub(v_set(*best), v_set(top)));
        for (size_t e = 0; e < j->v_width; e += VN) {
            size_t n = j->v_width - e < VN ? j->v_width - e : VN;
            v_store_n(out + e, n, v_mul(v_load_n(out + e, n), less));
        }
        float lanes[VN];
        v_store(lanes, less);
        *sum *= lanes[0];
        *best = top;
    }
    V at = v_set(*best);
    for (size_t i = 0; i < KEYS; i += VN) {
        V e = v_exp(v_sub(v_load(p + i), at));
        total = v_add(total, e);
        v_store(p + i, e);
    }
    *sum += sum1(total);
}

/* A row that sees nothing takes the mean over all positions, as frameworks do. */
static void mean_row(const x86_attention *j, float *out)
{
    for (size_t e = 0; e < j->v_width; e++) {
        float sum = 0.0f;
        for (size_t s = 0; s < j->count; s++)
            sum += values_at(j, s / KEYS * KEYS)[s % KEYS * j->vs + e];
        out[e] = sum / (float)j->count;
    }
}

static void give_row(const x86_attention *j, const x86_attention_row *row, const float *out,
                     float best, float sum)
{
    float keep = 1.0f;
    if (row->sink != NULL) { /* one more score, without a value */
        float top = best > *row->sink ? best : *row->sink;
        keep = best == -INFINITY ? 0.0f : expf(best - top);
        sum = sum * keep + expf(*row->sink - top);
    } else if (best == -INFINITY) {
        mean_row(j, row->out);
        return;
    }
    V factor = v_set(keep / sum);
    for (size_t e = 0; e < j->v_width; e += VN) {
        size_t n = j->v_width - e < VN ? j->v_width - e : VN;
        v_store_n(row->out + e, n, v_mul(v_load_n(out + e, n), factor));
    }
}

static void pack_queries(const x86_attention *j, const attention_room *s)
{
    for (size_t t = 0; t < j->rows; t += PACK_ROWS) {
        float *out = s->q + t * j->k_width;
        for (size_t r = 0; r < PACK_ROWS; r++) {
            const float *q = j->row[t + r < j->rows ? t + r : j->rows - 1].q;
            for (size_t i = 0; i < j->k_width; i++) out[i * PACK_ROWS + r] = q[i];
        }
    }
}

/* One tile of at most mr rows against the keys from `block` on. */
INLINE void attend_tile(const x86_attention *j, const attention_room *s, size_t t, size_t block,
                        size_t keys, size_t mr)
{
    score_tile(j, s->q + t * j->k_width, s, mr);
    for (size_t r = 0; r < mr; r++) {
        if (t + r >= j->rows) {
            memset(s->p + r * KEYS, 0, KEYS * sizeof *s->p);
            continue;
        }
        const x86_attention_row *row = &j->row[t + r];
        size_t                   from = row->from > block ? row->from - block : 0;
        size_t                   to = row->to > block ? row->to - block : 0;
        to = to < keys ? to : keys;
        from = from < to ? from : to;
        share_row(j, row, block, from, to, s->p + r * KEYS, &s->best[t + r], &s->sum[t + r],
                  s->out + (t + r) * j->v_width);
    }
    value_tile(j, s->out + t * j->v_width, values_at(j, block), s->p, keys, mr);
}

static void attend_block(const x86_attention *j, const attention_room *s, size_t block)
{
    size_t keys = j->count - block < KEYS ? j->count - block : KEYS;
    for (size_t c = 0; c < KEYS; c += PANEL) {
        size_t from = c < keys ? c : keys - 1; /* whatever lies there is not looked at */
        turn_rows(keys_at(j, block) + from * j->ks, j->ks, keys - from, j->k_width, PANEL,
                  s->k + c * j->k_width);
    }
    for (size_t t = 0; t < j->rows; t += PACK_ROWS) {
        size_t end = t + PACK_ROWS < j->rows ? t + PACK_ROWS : j->rows;
        bool   seen = false;
        for (size_t r = t; r < end; r++)
            seen |= j->row[r].from < block + keys && j->row[r].to > block;
        if (!seen) continue;
        if (end - t <= 4)
            attend_tile(j, s, t, block, keys, 4);
        else if (PACK_ROWS >= 8 && end - t <= 8)
            attend_tile(j, s, t, block, keys, PACK_ROWS < 8 ? 4 : 8);
        else
            attend_tile(j, s, t, block, keys, PACK_ROWS);
    }
}

static void attention(const x86_attention *j, float *scratch)
{
    attention_room s = attention_split(j, scratch);
    size_t         from = j->count, to = 0;
    size_t         rows = (j->rows + PACK_ROWS - 1) / PACK_ROWS * PACK_ROWS;
    for (size_t r = 0; r < j->rows; r++) {
        from = j->row[r].from < from ? j->row[r].from : from;
        to = j->row[r].to > to ? j->row[r].to : to;
    }
    for (size_t r = 0; r < rows; r++) s.best[r] = -INFINITY, s.sum[r] = 0.0f;
    memset(s.out, 0, rows * j->v_width * sizeof *s.out);
    pack_queries(j, &s);
    for (size_t block = from / KEYS * KEYS; block < to; block += KEYS) attend_block(j, &s, block);
    for (size_t r = 0; r < j->rows; r++)
        give_row(j, &j->row[r], s.out + r * j->v_width, s.best[r], s.sum[r]);
}
