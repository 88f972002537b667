/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/dev.c - devices, memory, the workspace, and where an operation runs.
 *
 * For:     nn/ and model/, through tensor.h.
 * Owns:    the devices and workspaces it hands out.
 * Threads: a device and all that lies on it belong to one thread at a time.
 * Truth:   nothing above a backend reads tensor memory through a pointer: an operation a backend
 *          does not support is staged through host memory unless the backend's memory is host
 *          memory. */
#include "tensor/tensor_int.h"

#include <stdlib.h>

static const tensor_backend *const backends[] = {
#if defined(__x86_64__)
    &tensor_avx512,
    &tensor_avx2,
#endif
    &tensor_cpu_ref,
};
enum { BACKEND_COUNT = sizeof backends / sizeof backends[0] };

const tensor_backend *tensor_backend_at(size_t index)
{
    return index < BACKEND_COUNT ? backends[index] : NULL;
}

const tensor_backend *tensor_backend_find(snug_slice name)
{
    for (size_t i = 0; i < BACKEND_COUNT; i++)
        if (snug_eq_str(name, backends[i]->name)) return backends[i];
    return NULL;
}

bool tensor_backend_usable(const tensor_backend *b) { return b->usable == NULL || b->usable(); }

const tensor_backend *tensor_backend_best(void)
{
    for (size_t i = 0; i < BACKEND_COUNT; i++)
        if (tensor_backend_usable(backends[i])) return backends[i];
    return &tensor_cpu_ref;
}

snug_status tensor_dev_open(const tensor_backend *b, unsigned threads, tensor_dev **out,
                            snug_err *err)
{
    *out = NULL;
    if (b->abi != TENSOR_ABI)
        return snug_fail(err, SNUG_EUNSUPPORTED, "tensor backend %s speaks version %u, not %d",
                         b->name, (unsigned)b->abi, TENSOR_ABI);
    if (!tensor_backend_usable(b))
        return snug_fail(err, SNUG_EUNSUPPORTED, "this machine cannot run tensor backend %s",
                         b->name);
    tensor_dev *d = snug_zalloc(sizeof *d);
    d->backend = b;
    d->team = snug_team_new(threads);
    if (b->open != NULL) {
        snug_status st = b->open(d, err);
        if (st != SNUG_OK) {
            snug_team_free(d->team);
            free(d);
            return st;
        }
    }
    *out = d;
    return SNUG_OK;
}

void tensor_dev_close(tensor_dev *d)
{
    if (d == NULL) return;
    if (d->backend->close != NULL) d->backend->close(d);
    snug_team_free(d->team);
    free(d->scratch);
    free(d);
}

snug_status tensor_sync(tensor_dev *d, snug_err *err)
{
    return d->backend->sync == NULL ? SNUG_OK : d->backend->sync(d, err);
}

/* ---- memory ---- */

snug_status tensor_new(tensor_dev *d, tensor_dtype dtype, unsigned rank, const size_t *shape,
                       tensor *out, snug_err *err)
{
    snug_status st = tensor_shape(dtype, rank, shape, out, err);
    if (st != SNUG_OK) return st;
    return d->backend->alloc(d, tensor_size(out), &out->mem, err);
}

snug_status tensor_new_from(tensor_dev *d, tensor_dtype dtype, unsigned rank, const size_t *shape,
                            const void *data, bool keep, tensor *out, snug_err *err)
{
    snug_status st = tensor_shape(dtype, rank, shape, out, err);
    if (st != SNUG_OK) return st;
    size_t n = tensor_size(out);
    /* Files promise no alignment; an unaligned tensor is copied, unless it is blocks, which need
     * none. */
    bool fits = tensor_dtype_is_quant(dtype) || (uintptr_t)data % tensor_dtype_bytes(dtype) == 0;
    if (keep && d->backend->wrap != NULL && fits) {
        st = d->backend->wrap(d, data, n, &out->mem, err);
    } else {
        st = d->backend->alloc(d, n, &out->mem, err);
        if (st == SNUG_OK && n > 0) st = d->backend->put(out->mem, 0, data, n, err);
    }
    if (st != SNUG_OK)
        tensor_free(out);
    else if (keep)
        tensor_freeze(out);
    return st;
}

void tensor_free(tensor *t)
{
    if (t->mem != NULL) t->mem->dev->backend->free(t->mem);
    *t = TENSOR_NONE;
}

void tensor_freeze(const tensor *t) { t->mem->constant = true; }

snug_status tensor_put(const tensor *t, const void *src, size_t n, snug_err *err)
{
    SNUG_ASSERT(tensor_present(t) && tensor_is_dense(t) && n == tensor_size(t));
    return n == 0 ? SNUG_OK : t->mem->dev->backend->put(t->mem, t->offset, src, n, err);
}

snug_status tensor_get(const tensor *t, void *dst, size_t n, snug_err *err)
{
    SNUG_ASSERT(tensor_present(t) && tensor_is_dense(t) && n == tensor_size(t));
    if (n == 0) return SNUG_OK;
    snug_status st = tensor_sync(t->mem->dev, err);
    return st != SNUG_OK ? st : t->mem->dev->backend->get(t->mem, t->offset, dst, n, err);
}

/* ---- workspace: blocks that are kept, handed out like a stack ---- */

enum { SPACE_ALIGN = 64, SPACE_BLOCK_MIN = 1 << 20, SPACE_BLOCKS = 64 };

struct tensor_space {
    tensor_dev *dev;
    size_t      bytes, bytes_max;
    size_t      count; /* blocks held */
    tensor_mark top;   /* block index and bytes used in it */
    tensor_mem *block[SPACE_BLOCKS];
};

tensor_space *tensor_space_new(tensor_dev *d, size_t bytes_max)
{
    tensor_space *s = snug_zalloc(sizeof *s);
    s->dev = d;
    s->bytes_max = bytes_max;
    return s;
}

static void drop_blocks(tensor_space *s, size_t from)
{
    while (s->count > from) {
        s->count--;
        s->bytes -= s->block[s->count]->size;
        s->dev->backend->free(s->block[s->count]);
    }
}

void tensor_space_free(tensor_space *s)
{
    if (s == NULL) return;
    drop_blocks(s, 0);
    free(s);
}

/* Moves the top to a block with n free bytes; blocks double, so few are ever made. */
static snug_status space_grow(tensor_space *s, size_t n, snug_err *err)
{
    while (s->count > 0 && s->top.block + 1 < s->count) {
        s->top = (tensor_mark){s->top.block + 1, 0};
        if (s->block[s->top.block]->size >= n) return SNUG_OK;
    }
    size_t want = s->bytes < SPACE_BLOCK_MIN ? SPACE_BLOCK_MIN : s->bytes;
    if (want < n) want = n;
    if (s->bytes + n > s->bytes_max || s->bytes + n < n || s->count == SPACE_BLOCKS)
        return snug_fail(err, SNUG_ELIMIT,
                         "the work needs more than %zu bytes of activations; send less at once",
                         s->bytes_max);
    if (want > s->bytes_max - s->bytes) want = s->bytes_max - s->bytes;
    snug_status st = s->dev->backend->alloc(s->dev, want, &s->block[s->count], err);
    if (st != SNUG_OK) return st;
    s->bytes += want;
    s->top = (tensor_mark){s->count++, 0};
    return SNUG_OK;
}

snug_status tensor_space_take(tensor_space *s, tensor_dtype dtype, unsigned rank,
                              const size_t *shape, tensor *out, snug_err *err)
{
    snug_status st = tensor_shape(dtype, rank, shape, out, err);
    if (st != SNUG_OK) return st;
    size_t n = (tensor_size(out) + SPACE_ALIGN - 1) / SPACE_ALIGN * SPACE_ALIGN;
    if (n == 0) n = SPACE_ALIGN;
    if (s->count == 0 || s->block[s->top.block]->size - s->top.used < n) {
        st = space_grow(s, n, err);
        if (st != SNUG_OK) return st;
    }
    out->mem = s->block[s->top.block];
    out->offset = s->top.used;
    s->top.used += n;
    return SNUG_OK;
}

tensor_mark tensor_space_mark(const tensor_space *s) { return s->top; }

void tensor_space_release(tensor_space *s, tensor_mark m)
{
    SNUG_ASSERT(m.block < s->top.block || (m.block == s->top.block && m.used <= s->top.used));
    s->top = m;
}

void tensor_space_reset(tensor_space *s)
{
    /* Several blocks become one of their total size, so the next pass takes one step. */
    if (s->count > 1) {
        size_t total = s->bytes;
        drop_blocks(s, 0);
        s->top = (tensor_mark){0, 0};
        if (s->dev->backend->alloc(s->dev, total, &s->block[0], NULL) == SNUG_OK) {
            s->count = 1;
            s->bytes = total;
        }
    }
    s->top = (tensor_mark){0, 0};
}

size_t tensor_space_bytes(const tensor_space *s) { return s->bytes; }

/* ---- running ---- */

/* Bytes from a view's first to its last element. */
static size_t span_bytes(const tensor *t)
{
    size_t last = 0;
    for (unsigned i = 0; i < t->rank; i++) {
        if (t->shape[i] == 0) return 0;
        last += (t->shape[i] - 1) * t->stride[i];
    }
    size_t block = tensor_dtype_block(t->dtype);
    return (last / block + 1) * tensor_dtype_bytes(t->dtype);
}

static bool host_visible(const tensor_op *op)
{
    if (op->out.mem->host == NULL) return false;
    for (size_t i = 0; i < TENSOR_OP_IN_MAX; i++) /* pages are all of one device */
        if (tensor_present(&op->in[i]) && op->in[i].mem->host == NULL) return false;
    return true;
}

static snug_status stage_in(tensor_dev *d, tensor *t, tensor_mem **copy, snug_err *err);

/* Pages become one dense tensor. */
static snug_status stage_pages(tensor_dev *d, tensor *t, tensor_mem **copy, snug_err *err)
{
    tensor      dense, page = *t;
    snug_status st = tensor_shape(t->dtype, t->rank, t->shape, &dense, err);
    if (st == SNUG_OK) st = cpu_alloc(d, tensor_size(&dense), copy, err);
    page.pages = NULL, page.shape[0] = 1;
    for (size_t n = 0; st == SNUG_OK && n < t->shape[0] * tensor_pages(t); n++) {
        size_t b = n / tensor_pages(t), i = n % tensor_pages(t) * TENSOR_PAGE;
        page.shape[1] = t->shape[1] - i < TENSOR_PAGE ? t->shape[1] - i : TENSOR_PAGE;
        tensor to = tensor_slice(&dense, 0, b, 1);
        to = tensor_slice(&to, 1, i, page.shape[1]);
        to.mem = *copy;
        tensor      from = page;
        tensor_mem *one = NULL;
        from.mem = t->pages[n].mem, from.offset = t->pages[n].offset;
        st = stage_in(d, &from, &one, err);
        if (st == SNUG_OK)
            st = cpu_ref_run(d, &(tensor_op){.kind = TENSOR_OP_COPY, .out = to, .in = {from}}, err);
        if (one != NULL) cpu_free(one);
    }
    dense.mem = *copy;
    *t = dense;
    return st;
}

static snug_status stage_in(tensor_dev *d, tensor *t, tensor_mem **copy, snug_err *err)
{
    if (t->pages != NULL) return stage_pages(d, t, copy, err);
    size_t      n = span_bytes(t);
    snug_status st = cpu_alloc(d, n, copy, err);
    if (st == SNUG_OK && n > 0) st = d->backend->get(t->mem, t->offset, (*copy)->host, n, err);
    t->mem = *copy;
    t->offset = 0;
    return st;
}

/* The long way round for a device whose memory the CPU does not see. The output is fetched first
 * too: a strided view has gaps that belong to others. */
static snug_status run_staged(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor_op   local = *op;
    tensor_mem *copies[TENSOR_OP_IN_MAX + 1] = {NULL};

    SNUG_TRY(tensor_sync(d, err));
    SNUG_TRY(stage_in(d, &local.out, &copies[0], err));
    for (size_t i = 0; i < TENSOR_OP_IN_MAX; i++)
        if (tensor_present(&local.in[i])) SNUG_TRY(stage_in(d, &local.in[i], &copies[i + 1], err));
    SNUG_TRY(cpu_ref_run(d, &local, err));
    size_t n = span_bytes(&op->out);
    if (n > 0) SNUG_TRY(d->backend->put(op->out.mem, op->out.offset, local.out.mem->host, n, err));
    if (op->kind == TENSOR_OP_SCAN || op->kind == TENSOR_OP_DELTA) /* their state was replaced */
        SNUG_TRY(d->backend->put(op->in[5].mem, op->in[5].offset, local.in[5].mem->host,
                                 span_bytes(&op->in[5]), err));
done:
    for (size_t i = 0; i <= TENSOR_OP_IN_MAX; i++)
        if (copies[i] != NULL) cpu_free(copies[i]);
    return st;
}

snug_status tensor_run(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    snug_status st = tensor_check(op, err);
    if (st != SNUG_OK) return st;
    if (tensor_count(&op->out) == 0) return SNUG_OK;
    if (d->backend->supports(op)) return d->backend->run(d, op, err);
    return host_visible(op) ? cpu_ref_run(d, op, err) : run_staged(d, op, err);
}
