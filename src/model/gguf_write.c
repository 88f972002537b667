/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_write.c - a plan becomes a file: rows are read, turned into float32, quantized by all
 * processors and written, a few megabytes at a time.
 *
 * For:     infer/, which adds the tokenizer's metadata.
 * Owns:    the file under its temporary name until it is whole.
 * Threads: the caller's, and a team of its own.
 * Truth:   the file appears under its name only when every byte is in it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/gguf_write_int.h"

#define CHUNK_BYTES ((size_t)16 << 20) /* of float32 */
/* Reordered as a whole: queries, keys and GPT-2's matrices. */
#define WHOLE_BYTES_MAX ((size_t)1 << 33)

typedef struct writer {
    gguf_plan                 *p;
    snug_team                 *team;
    int                        fd;
    float                     *rows; /* CHUNK_BYTES, or one row */
    char                      *packed;
    float                     *whole;   /* a tensor that is reordered; NULL: none */
    uint64_t                   written; /* of the data part */
    const model_quantize_opts *o;
} writer;

/* ---- rows ---- */

typedef struct part {
    const gguf_out *o;
    const float    *rows;
    char           *packed;
    size_t          width, row_bytes;
    snug_status     st;
    snug_err        err;
    snug_mutex      lock; /* st and err */
} part;

static void quantize_rows(void *arg, size_t from, size_t to, unsigned worker)
{
    part *p = arg;
    (void)worker;
    for (size_t i = from; i < to; i++) {
        snug_err    err;
        snug_status st = tensor_quantize(p->o->type, p->rows + i * p->width, p->width,
                                         p->packed + i * p->row_bytes, &err);
        if (st == SNUG_OK) continue;
        snug_lock(&p->lock);
        if (p->st == SNUG_OK) p->st = st, p->err = err;
        snug_unlock(&p->lock);
        return;
    }
}

/* Row r of what GGUF wants is row .. of the weight: a head holds its first half, then its second;
 * GGUF wants a pair, then the next. */
static size_t paired_row(size_t r, size_t head)
{
    size_t h = r / head, within = r % head;
    return h * head + within % 2 * (head / 2) + within / 2;
}

/* Row r of all queries, then all keys, then all values, as it lies group by group. */
static size_t grouped_row(const gguf_out *o, size_t r, size_t n)
{
    size_t head = n / (o->groups * (o->each + 2)), queries = o->groups * o->each * head;
    if (r < queries) /* a query */
        return r / (o->each * head) * (o->each + 2) * head + r % (o->each * head);
    size_t key = (r - queries) % (o->groups * head), value = (r - queries) / (o->groups * head);
    return key / head * (o->each + 2) * head + (o->each + value) * head + key % head;
}

static void reorder(const gguf_out *o, const float *from, size_t n, size_t width, float *to)
{
    size_t head = o->pair_heads == 0 ? 1 : n / o->pair_heads;
    for (size_t r = 0; r < n; r++) {
        if (o->turned)
            for (size_t c = 0; c < width; c++) to[r * width + c] = from[c * n + r];
        else
            memcpy(to + r * width,
                   from + (o->groups > 0 ? grouped_row(o, r, n) : paired_row(r, head)) * width,
                   width * sizeof *to);
    }
}

static snug_status load(const writer *w, const weight *x, uint64_t first, uint64_t n, float *out,
                        snug_err *err)
{
    weight_scales scales;
    snug_status   st = SNUG_OK;
    if (w->p->map != NULL)
        st = weight_find_scales(w->p->map, x, w->p->config, &scales, err);
    else
        scales = (weight_scales){0};
    if (st != SNUG_OK) return st;
    if (!weight_to_f32(x, first, n, out))
        return snug_fail(err, SNUG_EUNSUPPORTED, "%.*s is stored as %s, which is not supported",
                         SNUG_SLICE(x->name), codec_dtype_name(x->stored));
    weight_apply_scales(x, &scales, first, n, out);
    return SNUG_OK;
}

/* All of a weight in the order GGUF wants. */
static snug_status load_whole(writer *w, const gguf_out *o, const weight *x, size_t n, size_t width,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    float      *raw = NULL;
    size_t      bytes;
    if (snug_mul(n, width, &bytes) || snug_mul(bytes, sizeof(float), &bytes) ||
        bytes > WHOLE_BYTES_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "%s is too large to be reordered", o->name);
    raw = snug_alloc_try(bytes + 1);
    w->whole = snug_alloc_try(bytes + 1);
    if (raw == NULL || w->whole == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %s", o->name);
    SNUG_TRY(load(w, x, 0, n * width, raw, err));
    reorder(o, raw, n, width, w->whole);
done:
    free(raw);
    return st;
}

static snug_status write_rows(writer *w, const gguf_out *o, const float *rows, size_t n,
                              size_t width, snug_err *err)
{
    size_t row_bytes = tensor_dtype_size(o->type, width);
    part   p = {.o = o, .rows = rows, .packed = w->packed, .width = width, .row_bytes = row_bytes};
    snug_mutex_init(&p.lock, "quantize", 100);
    snug_team_run(w->team, n, 1, quantize_rows, &p);
    snug_mutex_deinit(&p.lock);
    if (p.st != SNUG_OK) {
        if (err != NULL) *err = p.err;
        snug_note(err, "%s", o->name);
        return p.st;
    }
    w->written += n * row_bytes;
    return snug_write_all(w->fd, w->packed, n * row_bytes, err);
}

static snug_status write_weight(writer *w, const gguf_out *o, const weight *x, size_t n,
                                size_t width, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      many = width == 0 ? 1 : CHUNK_BYTES / sizeof(float) / width;
    if (many == 0) many = 1;
    if (o->turned || o->pair_heads > 0 || o->groups > 0)
        SNUG_TRY(load_whole(w, o, x, n, width, err));
    for (size_t r = 0; r < n; r += many) {
        size_t now = n - r < many ? n - r : many;
        float *rows = w->whole != NULL ? w->whole + r * width : w->rows;
        if (w->whole == NULL) SNUG_TRY(load(w, x, r * width, now * width, rows, err));
        for (size_t i = 0; o->plus_one && i < now * width; i++) rows[i] += 1.0f;
        SNUG_TRY(write_rows(w, o, rows, now, width, err));
    }
done:
    free(w->whole);
    w->whole = NULL;
    return st;
}

/* Vectors are one row, unless their elements are what is reordered. */
static snug_status write_out(writer *w, const gguf_out *o, snug_err *err)
{
    bool   stack = o->count > 1 || strstr(o->name, "_exps.") != NULL;
    size_t width = (size_t)o->dims[0], n = 1;
    for (unsigned i = 1; i + stack < o->rank; i++) n *= (size_t)o->dims[i];
    if ((o->pair_heads > 0 || o->groups > 0) && o->rank == 1) n = width, width = 1;
    if (o->values != NULL) {
        w->written += width * sizeof *o->values;
        return snug_write_all(w->fd, o->values, width * sizeof *o->values, err);
    }
    if (w->p->map == NULL) { /* of another GGUF file: a stack is rows like any other */
        n = 1;
        for (unsigned i = 1; i < o->rank; i++) n *= (size_t)o->dims[i];
    }
    for (size_t i = 0; i < o->count; i++) {
        snug_status st = write_weight(w, o, o->list[i], n, width, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

/* ---- the file ---- */

static snug_status describe(const gguf_plan *p, codec_gguf_tensor **out, size_t *widest,
                            snug_err *err)
{
    codec_gguf_tensor *list = snug_arena_array_try(p->arena, p->count + 1, sizeof *list);
    if (list == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tensors", p->count);
    *widest = 1;
    for (size_t i = 0; i < p->count; i++) {
        const gguf_out *o = &p->outs[i];
        list[i] =
            (codec_gguf_tensor){.name = snug_str(o->name),
                                .type = codec_ggml_type_named(snug_str(tensor_dtype_name(o->type))),
                                .rank = o->rank};
        memcpy(list[i].dims, o->dims, sizeof o->dims);
        if (o->dims[0] > TENSOR_BYTES_MAX / sizeof(float))
            return snug_fail(err, SNUG_ELIMIT, "%s is too wide", o->name);
        if (o->dims[0] > *widest) *widest = (size_t)o->dims[0];
    }
    *out = list;
    return SNUG_OK;
}

static snug_status write_data(writer *w, const codec_gguf_tensor *list, snug_err *err)
{
    static const char zeros[CODEC_GGUF_ALIGN];
    snug_status       st = SNUG_OK;
    for (size_t i = 0; i < w->p->count; i++) {
        SNUG_ASSERT(w->written == list[i].offset);
        if (w->o->progress != NULL && !w->o->progress(w->o->progress_arg, i, w->p->count))
            SNUG_FAIL(err, SNUG_ECANCELED, "interrupted");
        SNUG_TRY(write_out(w, &w->p->outs[i], err));
        SNUG_ASSERT(w->written == list[i].offset + list[i].size);
        size_t pad = (size_t)(-w->written % CODEC_GGUF_ALIGN);
        SNUG_TRY(snug_write_all(w->fd, zeros, pad, err));
        w->written += pad;
    }
done:
    return st;
}

static snug_status write_file(writer *w, const char *path, model_quantized *report, snug_err *err)
{
    SNUG_AUTO(snug_buf) head = snug_buf_init(CODEC_GGUF_HEADER_MAX);
    snug_status        st = SNUG_OK;
    codec_gguf_tensor *list = NULL;
    size_t             widest = 1;
    const char        *tmp =
        snug_arena_printf(w->p->arena, "%s.tmp.%" PRIx64, path, snug_random_u64()).ptr;
    SNUG_TRY(describe(w->p, &list, &widest, err));
    SNUG_TRY(codec_gguf_write_header(w->p->kvs, w->p->kv_count, list, w->p->count, &head, err));
    size_t room = widest * sizeof(float) > CHUNK_BYTES ? widest * sizeof(float) : CHUNK_BYTES;
    w->rows = snug_alloc_try(room);
    w->packed = snug_alloc_try(room + 1024); /* no type is wider than float32 */
    if (w->rows == NULL || w->packed == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for rows");
    w->fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd < 0) SNUG_FAIL(err, SNUG_EIO, "%s cannot be written: %s", path, strerror(errno));
    st = snug_write_all(w->fd, head.ptr, head.len, err);
    if (st == SNUG_OK) st = write_data(w, list, err);
    if (st == SNUG_OK && fsync(w->fd) != 0) st = snug_fail_sys(err, errno, "fsync %s", tmp);
    if (st == SNUG_OK && rename(tmp, path) != 0)
        st = snug_fail(err, SNUG_EIO, "%s cannot be written: %s", path, strerror(errno));
    if (st != SNUG_OK) (void)unlink(tmp);
    *report = (model_quantized){w->p->count, head.len + w->written};
done:
    if (w->fd >= 0) (void)close(w->fd);
    free(w->rows);
    free(w->packed);
    return st;
}

const char *model_quantize_type(size_t index)
{
    return gguf_mix_at(index) == NULL ? NULL : gguf_mix_at(index)->name;
}

snug_status model_quantize(const char *path, const model_quantize_opts *o, const char *out,
                           model_quantized *report, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    gguf_plan   p = {.arena = a, .mix = gguf_mix_of(o->type)};
    writer      w = {.p = &p, .fd = -1, .o = o};
    const char *gguf = model_find_gguf(a, path);
    if (p.mix == NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "there is no type \"%.*s\"", SNUG_SLICE(o->type));
    SNUG_TRY(gguf != NULL ? gguf_plan_file(&p, gguf, err) : gguf_plan_folder(&p, path, err));
    for (size_t i = 0; i < o->kv_count; i++) gguf_put(&p, o->kvs[i].key, o->kvs[i].value);
    w.team = snug_team_new(0);
    SNUG_TRY(write_file(&w, out, report, err));
done:
    if (st != SNUG_OK) snug_note(err, "%s", path);
    if (w.team != NULL) snug_team_free(w.team);
    snug_arena_free(a);
    return st;
}
