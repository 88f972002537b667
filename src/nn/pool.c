/* SPDX-License-Identifier: Apache-2.0 */
/* nn/pool.c - pages of keys and values, which rows of caches hold in common.
 *
 * For:     kv.c; model/ makes a pool per model.
 * Owns:    all pages, used or not. A page has one block of memory with a part for each layer's keys
 *          and one for its values, [TENSOR_PAGE, heads, width] each.
 * Threads: as the device.
 * Truth:   a page with no users is on the free list; memory held never passes the limit. */
#include "nn/nn_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct nn_pool {
    tensor_dev *dev;
    nn_keep    *each; /* per layer */
    size_t      layers, floats, bytes_max;
    size_t      held, used; /* pages */
    nn_page    *spare;      /* by next */
};

nn_pool *nn_pool_new(tensor_dev *d, const nn_keep *each, size_t layers, size_t bytes_max)
{
    nn_pool *p = snug_zalloc(sizeof *p);
    *p = (nn_pool){.dev = d, .layers = layers, .bytes_max = bytes_max};
    p->each = snug_zalloc(layers * sizeof *p->each);
    memcpy(p->each, each, layers * sizeof *each);
    for (size_t i = 0; i < layers; i++)
        p->floats += TENSOR_PAGE * each[i].heads * (each[i].k_width + each[i].v_width);
    return p;
}

static void drop_spare(nn_pool *p)
{
    while (p->spare != NULL) {
        nn_page *next = p->spare->next;
        tensor_free(&p->spare->t);
        free(p->spare);
        p->spare = next;
        p->held--;
    }
}

void nn_pool_free(nn_pool *p)
{
    if (p == NULL) return;
    SNUG_ASSERT(p->used == 0);
    drop_spare(p);
    free(p->each);
    free(p);
}

void nn_pool_limit(nn_pool *p, size_t bytes_max)
{
    p->bytes_max = bytes_max;
    drop_spare(p);
}

static size_t page_bytes(const nn_pool *p) { return p->floats * sizeof(float); }
size_t        nn_pool_used(const nn_pool *p) { return p->used * page_bytes(p); }
size_t        nn_pool_held(const nn_pool *p) { return p->held * page_bytes(p); }
bool          nn_pool_pages(const nn_pool *p) { return p->floats > 0; }

snug_status nn_page_take(nn_pool *p, nn_page **out, snug_err *err)
{
    nn_page *page = p->spare;
    *out = NULL;
    if (page != NULL) {
        p->spare = page->next;
    } else {
        if (p->held >= p->bytes_max / page_bytes(p))
            return snug_fail(err, SNUG_ELIMIT,
                             "no room for more keys and values: %zu of at most %zu MiB are in use; "
                             "read or generate less at once",
                             nn_pool_used(p) >> 20, p->bytes_max >> 20);
        page = snug_zalloc(sizeof *page);
        snug_status st = tensor_new(p->dev, TENSOR_F32, TENSOR_DIMS(p->floats), &page->t, err);
        if (st != SNUG_OK) {
            free(page);
            return st;
        }
        p->held++;
    }
    p->used++;
    page->users = 1;
    page->next = NULL;
    *out = page;
    return SNUG_OK;
}

void nn_page_unref(nn_pool *p, nn_page *page)
{
    if (page == NULL || --page->users > 0) return;
    page->next = p->spare;
    p->spare = page;
    p->used--;
}

/* Of a layer's keys, or of its values behind them, in a page. */
static size_t place(const nn_pool *p, size_t layer, bool values)
{
    size_t at = 0;
    for (size_t i = 0; i < layer; i++)
        at += TENSOR_PAGE * p->each[i].heads * (p->each[i].k_width + p->each[i].v_width);
    return at + (values ? TENSOR_PAGE * p->each[layer].heads * p->each[layer].k_width : 0);
}

tensor nn_page_part(const nn_pool *p, const nn_page *page, size_t layer, bool values, size_t from,
                    size_t count)
{
    const nn_keep *e = &p->each[layer];
    size_t         width = values ? e->v_width : e->k_width;
    SNUG_ASSERT(layer < p->layers && from + count <= TENSOR_PAGE);
    tensor t = tensor_slice(&page->t, 0, place(p, layer, values) + from * e->heads * width,
                            count * e->heads * width);
    return tensor_view(&t, TENSOR_DIMS(1, count, e->heads, width));
}

snug_status nn_page_copy(const nn_pool *p, const nn_page *from, const nn_page *to, size_t count,
                         snug_err *err)
{
    for (size_t i = 0; i < 2 * p->layers; i++) {
        if (p->each[i / 2].heads == 0) continue;
        tensor was = nn_page_part(p, from, i / 2, i % 2 == 1, 0, count),
               is = nn_page_part(p, to, i / 2, i % 2 == 1, 0, count);
        snug_status st = tensor_copy(p->dev, &was, &is, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}
