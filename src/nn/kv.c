/* SPDX-License-Identifier: Apache-2.0 */
/* nn/kv.c - the keys and values of the positions a model has already seen.
 *
 * For:     attention through nn_attention_run; infer/ makes and rewinds them.
 * Owns:    a table of pages (pool.c) per row, and what recurrent layers carry (state.c).
 * Threads: as the device.
 * Truth:   positions [0, count) are complete in every layer; append writes behind them only. A page
 *          that is written has one user: rows that share a page part before. */
#include "nn/nn_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct nn_kv {
    tensor_dev  *dev;
    nn_kv_conf   conf;
    nn_pool     *pool, *own; /* own: NULL when the pool is the model's */
    size_t       count;      /* positions held */
    size_t       pages;      /* of each row */
    nn_page    **table;      /* [batch][pages] */
    tensor_page *places; /* [layers][keys, values][batch][pages]: the table as attention reads it */
    bool         stale;  /* places are not those of the table */
    nn_keep     *each;   /* per layer */
    nn_state    *state;  /* NULL: no layer is recurrent */
};

snug_status nn_kv_new(tensor_dev *d, const nn_kv_conf *conf, nn_kv **out, snug_err *err)
{
    *out = NULL;
    if (conf->dtype != TENSOR_F32)
        return snug_fail(err, SNUG_EUNSUPPORTED, "a cache of type %s",
                         tensor_dtype_name(conf->dtype));
    nn_kv *kv = snug_zalloc(sizeof *kv);
    kv->dev = d;
    kv->conf = *conf;
    kv->each = snug_zalloc(conf->layers * sizeof *kv->each);
    for (size_t i = 0; i < conf->layers; i++)
        kv->each[i] = conf->each != NULL
                          ? conf->each[i]
                          : (nn_keep){conf->heads, conf->k_width, conf->v_width, 0, 0, 0, 0, 0};
    if (conf->pool == NULL) kv->own = nn_pool_new(d, kv->each, conf->layers, TENSOR_BYTES_MAX);
    kv->pool = conf->pool != NULL ? conf->pool : kv->own;
    snug_status st = nn_state_new(d, kv->each, conf->layers, conf->batch, &kv->state, err);
    if (st == SNUG_OK)
        *out = kv;
    else
        nn_kv_free(kv);
    return st;
}

void nn_kv_free(nn_kv *kv)
{
    if (kv == NULL) return;
    for (size_t i = 0; i < kv->conf.batch * kv->pages; i++) nn_page_unref(kv->pool, kv->table[i]);
    free(kv->table);
    free(kv->places);
    free(kv->each);
    nn_state_free(kv->state);
    nn_pool_free(kv->own);
    free(kv);
}

size_t nn_kv_count(const nn_kv *kv) { return kv->count; }
size_t nn_kv_batch(const nn_kv *kv) { return kv->conf.batch; }

static size_t pages_of(const nn_kv *kv, size_t positions)
{
    return nn_pool_pages(kv->pool) ? (positions + TENSOR_PAGE - 1) / TENSOR_PAGE : 0;
}

/* Gives every row this many pages: new ones behind those it has, or its last ones go back. */
static snug_status resize(nn_kv *kv, size_t pages, snug_err *err)
{
    size_t      batch = kv->conf.batch, both = pages < kv->pages ? pages : kv->pages;
    snug_status st = SNUG_OK;
    if (pages == kv->pages) return SNUG_OK;
    nn_page **table = snug_zalloc((batch * pages + 1) * sizeof *table); /* <= positions_max */
    for (size_t i = 0; st == SNUG_OK && i < batch * pages; i++)
        if (i % pages < both)
            table[i] = kv->table[i / pages * kv->pages + i % pages];
        else
            st = nn_page_take(kv->pool, &table[i], err);
    if (st != SNUG_OK) { /* what was taken goes back, what was there stays */
        for (size_t i = 0; i < batch * pages; i++)
            if (i % pages >= both) nn_page_unref(kv->pool, table[i]);
        free(table);
        return st;
    }
    for (size_t i = 0; i < batch * kv->pages; i++)
        if (i % kv->pages >= both) nn_page_unref(kv->pool, kv->table[i]);
    free(kv->table);
    kv->table = table;
    kv->pages = pages;
    kv->stale = true;
    return SNUG_OK;
}

/* The page that is written next becomes each row's own. */
static snug_status part_rows(nn_kv *kv, snug_err *err)
{
    size_t used = kv->count % TENSOR_PAGE, at = kv->count / TENSOR_PAGE;
    if (used == 0 || kv->pages == 0) return SNUG_OK;
    for (size_t b = 0; b < kv->conf.batch; b++) {
        nn_page **page = &kv->table[b * kv->pages + at], *copy;
        if ((*page)->users == 1) continue;
        snug_status st = nn_page_take(kv->pool, &copy, err);
        if (st != SNUG_OK) return st;
        st = nn_page_copy(kv->pool, *page, copy, used, err);
        nn_page_unref(kv->pool, st == SNUG_OK ? *page : copy);
        if (st != SNUG_OK) return st;
        *page = copy;
        kv->stale = true;
    }
    return SNUG_OK;
}

static tensor_page *places_of(const nn_kv *kv, size_t layer, bool values)
{
    return kv->places + (2 * layer + values) * kv->conf.batch * kv->pages;
}

static void find_places(nn_kv *kv)
{
    size_t all = kv->conf.batch * kv->pages;
    if (!kv->stale) return;
    free(kv->places);
    kv->places = snug_zalloc((2 * kv->conf.layers * all + 1) * sizeof *kv->places);
    for (size_t i = 0; i < 2 * kv->conf.layers; i++) {
        if (kv->each[i / 2].heads == 0) continue;
        for (size_t n = 0; n < all; n++) {
            tensor part = nn_page_part(kv->pool, kv->table[n], i / 2, i % 2 == 1, 0, 1);
            places_of(kv, i / 2, i % 2 == 1)[n] = (tensor_page){part.mem, part.offset};
        }
    }
    kv->stale = false;
}

static snug_status make_room(nn_kv *kv, size_t positions, snug_err *err)
{
    if (positions > kv->conf.positions_max)
        return snug_fail(err, SNUG_ELIMIT, "%zu positions; the cache may hold %zu", positions,
                         kv->conf.positions_max);
    snug_status st = resize(kv, pages_of(kv, positions), err);
    if (st == SNUG_OK) st = part_rows(kv, err);
    if (st == SNUG_OK) find_places(kv);
    return st;
}

/* Writes x [B, T, G, D] into the pages behind what is held; *all: what there is then. */
static snug_status put(nn_kv *kv, size_t layer, bool values, const tensor *x, tensor *all,
                       snug_err *err)
{
    size_t      total = kv->count + x->shape[1];
    snug_status st = tensor_shape(
        TENSOR_F32, TENSOR_DIMS(x->shape[0], total, x->shape[2], x->shape[3]), all, err);
    for (size_t b = 0; st == SNUG_OK && b < kv->conf.batch; b++) {
        tensor row = tensor_slice(x, 0, b, 1);
        for (size_t at = kv->count, n; st == SNUG_OK && at < total; at += n) {
            const nn_page *page = kv->table[b * kv->pages + at / TENSOR_PAGE];
            n = TENSOR_PAGE - at % TENSOR_PAGE;
            n = n < total - at ? n : total - at;
            tensor to = nn_page_part(kv->pool, page, layer, values, at % TENSOR_PAGE, n);
            tensor from = tensor_slice(&row, 1, at - kv->count, n);
            st = tensor_copy(kv->dev, &from, &to, err);
        }
    }
    all->pages = places_of(kv, layer, values);
    all->mem = all->pages[0].mem;
    return st;
}

snug_status nn_kv_append(nn_kv *kv, size_t layer, const tensor *k, const tensor *v, tensor *keys,
                         tensor *values, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_ASSERT(layer < kv->conf.layers && k->rank == 4 && v->rank == 4 &&
                k->shape[0] == kv->conf.batch && kv->each[layer].heads > 0);
    SNUG_TRY(make_room(kv, kv->count + k->shape[1], err));
    SNUG_TRY(put(kv, layer, false, k, keys, err));
    SNUG_TRY(put(kv, layer, true, v, values, err));
done:
    return st;
}

snug_status nn_kv_reorder(nn_kv *kv, const size_t *from, snug_err *err)
{
    size_t batch = kv->conf.batch, pages = kv->pages;
    bool   same = true;
    for (size_t b = 0; b < batch; b++) {
        SNUG_ASSERT(from[b] < batch);
        same &= from[b] == b;
    }
    if (same) return SNUG_OK;
    nn_page **table = snug_zalloc((batch * pages + 1) * sizeof *table);
    for (size_t i = 0; i < batch * pages; i++) {
        table[i] = kv->table[from[i / pages] * pages + i % pages];
        table[i]->users++;
    }
    for (size_t i = 0; i < batch * pages; i++) nn_page_unref(kv->pool, kv->table[i]);
    free(kv->table);
    kv->table = table;
    kv->stale = true;
    return kv->state == NULL ? SNUG_OK : nn_state_reorder(kv->state, from, err);
}

snug_status nn_kv_state(nn_kv *kv, size_t layer, size_t times, tensor *before, tensor *state,
                        snug_err *err)
{
    SNUG_ASSERT(kv->state != NULL && layer < kv->conf.layers);
    if (times > kv->conf.positions_max - kv->count)
        return snug_fail(err, SNUG_ELIMIT, "%zu positions; the cache may hold %zu",
                         kv->count + times, kv->conf.positions_max);
    return nn_state_step(kv->state, layer, kv->count, times, before, state, err);
}

void nn_kv_advance(nn_kv *kv, size_t times)
{
    SNUG_ASSERT(kv->state != NULL || times <= kv->pages * TENSOR_PAGE - kv->count);
    kv->count += times;
}

void nn_kv_rewind(nn_kv *kv, size_t count)
{
    SNUG_ASSERT(count <= kv->count);
    kv->count = count;
    size_t pages = pages_of(kv, count);
    if (pages < kv->pages) SNUG_ASSERT(resize(kv, pages, NULL) == SNUG_OK); /* takes none */
    if (kv->state != NULL) nn_state_rewind(kv->state, count);
}
