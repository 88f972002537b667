/* SPDX-License-Identifier: Apache-2.0 */
/* codec/gguf_write.c - GGUF headers written, and models that are split over several files.
 *
 * For:     whoever makes GGUF files: model/ and the command line.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   what is written here, codec_gguf_parse reads back equal. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/gguf_int.h"

enum { SHOWN_MAX = 80, SPLIT_SUFFIX = sizeof "-00001-of-00002.gguf" - 1, SPLITS_MAX = 99999 };

static snug_slice shown(snug_slice name) { return snug_sub(name, 0, SHOWN_MAX); }

/* ---- bytes ---- */

static void put_int(snug_buf *b, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++) snug_buf_putc(b, (char)(v >> (8 * i) & 255));
}

static void put_string(snug_buf *b, snug_slice s)
{
    put_int(b, s.len, 8);
    snug_buf_put_slice(b, s);
}

static void put_scalar(snug_buf *b, const codec_gguf_value *v)
{
    uint64_t bits = v->v.u;
    if (v->kind == CODEC_GGUF_F32) {
        float    f = (float)v->v.f;
        uint32_t low;
        memcpy(&low, &f, sizeof low);
        bits = low;
    }
    put_int(b, bits, codec_gguf_kind_size(v->kind));
}

static snug_status put_array(snug_buf *b, const codec_gguf_value *v, unsigned depth, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_ASSERT(v->kind == CODEC_GGUF_ARRAY);
    if (depth > CODEC_GGUF_DEPTH_MAX)
        return snug_fail(err, SNUG_ELIMIT, "arrays nest deeper than %d", CODEC_GGUF_DEPTH_MAX);
    put_int(b, v->elem, 4);
    put_int(b, v->count, 8);
    if (v->elem == CODEC_GGUF_STRING) {
        for (uint64_t i = 0; i < v->count && !b->full; i++) put_string(b, v->v.strs[i]);
    } else if (v->elem == CODEC_GGUF_ARRAY) {
        for (uint64_t i = 0; i < v->count && st == SNUG_OK && !b->full; i++)
            st = put_array(b, &v->v.items[i], depth + 1, err);
    } else {
        SNUG_ASSERT(v->v.packed.len == v->count * codec_gguf_kind_size(v->elem));
        snug_buf_put_slice(b, v->v.packed);
    }
    return st;
}

static snug_status put_pair(snug_buf *b, const codec_gguf_kv *kv, snug_err *err)
{
    if (kv->key.len == 0 || kv->key.len > CODEC_GGUF_KEY_MAX || !snug_utf8_valid(kv->key) ||
        snug_index(kv->key, '\0') != SIZE_MAX)
        return snug_fail(err, SNUG_EINVAL, "a metadata key cannot be \"%.*s\"",
                         SNUG_SLICE(shown(kv->key)));
    put_string(b, kv->key);
    put_int(b, kv->value.kind, 4);
    if (kv->value.kind == CODEC_GGUF_ARRAY) return put_array(b, &kv->value, 1, err);
    if (kv->value.kind == CODEC_GGUF_STRING)
        put_string(b, kv->value.v.str);
    else
        put_scalar(b, &kv->value);
    return SNUG_OK;
}

static void put_tensor(snug_buf *b, const codec_gguf_tensor *t)
{
    put_string(b, t->name);
    put_int(b, t->rank, 4);
    for (unsigned d = 0; d < t->rank; d++) put_int(b, t->dims[d], 8);
    put_int(b, t->type->id, 4);
    put_int(b, t->offset, 8);
}

/* ---- checks ---- */

static int compare_slices(const void *x, const void *y)
{
    return snug_cmp(*(const snug_slice *)x, *(const snug_slice *)y);
}

static snug_status check_unique(snug_slice *names, size_t n, const char *what, snug_err *err)
{
    if (n > 1) qsort(names, n, sizeof *names, compare_slices);
    for (size_t i = 1; i < n; i++) {
        if (snug_eq(names[i], names[i - 1]))
            return snug_fail(err, SNUG_EINVAL, "the %s \"%.*s\" is there twice", what,
                             SNUG_SLICE(shown(names[i])));
    }
    return SNUG_OK;
}

static snug_status lay_out(codec_gguf_tensor *tensors, size_t n, uint32_t alignment, snug_err *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        codec_gguf_tensor *t = &tensors[i];
        SNUG_ASSERT(t->rank <= CODEC_GGUF_RANK_MAX && t->type != NULL);
        if (t->name.len == 0 || t->name.len > CODEC_GGUF_NAME_MAX || !snug_utf8_valid(t->name) ||
            snug_index(t->name, '\0') != SIZE_MAX)
            return snug_fail(err, SNUG_EINVAL, "a tensor cannot be named \"%.*s\"",
                             SNUG_SLICE(shown(t->name)));
        if (!codec_gguf_tensor_size(t, &t->size))
            return snug_fail(err, SNUG_EINVAL, "tensor \"%.*s\" is no whole number of %s blocks",
                             SNUG_SLICE(shown(t->name)), t->type->name);
        t->offset = at;
        if (__builtin_add_overflow(at, t->size, &at) || !codec_gguf_pad(&at, alignment))
            return snug_fail(err, SNUG_ELIMIT, "tensors of more than 2^64 bytes");
    }
    return SNUG_OK;
}

snug_status codec_gguf_write_header(const codec_gguf_kv *kvs, size_t kv_count,
                                    codec_gguf_tensor *tensors, size_t tensor_count, snug_buf *out,
                                    snug_err *err)
{
    snug_arena             *scratch = snug_arena_new();
    const codec_gguf_value *align = NULL;
    size_t      most = kv_count > tensor_count ? kv_count : tensor_count, start = out->len;
    snug_slice *names = snug_arena_array_try(scratch, most, sizeof *names);
    uint32_t    alignment;
    snug_status st = SNUG_OK;

    if (names == NULL && most > 0) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu names", most);
    for (size_t i = 0; i < kv_count; i++) {
        names[i] = kvs[i].key;
        if (snug_eq_str(kvs[i].key, "general.alignment")) align = &kvs[i].value;
    }
    SNUG_TRY(check_unique(names, kv_count, "key", err));
    for (size_t i = 0; i < tensor_count; i++) names[i] = tensors[i].name;
    SNUG_TRY(check_unique(names, tensor_count, "tensor", err));
    SNUG_TRY(codec_gguf_alignment(align, &alignment, err));
    SNUG_TRY(lay_out(tensors, tensor_count, alignment, err));
    snug_buf_puts(out, "GGUF");
    put_int(out, 3, 4);
    put_int(out, tensor_count, 8);
    put_int(out, kv_count, 8);
    for (size_t i = 0; i < kv_count; i++) SNUG_TRY(put_pair(out, &kvs[i], err));
    for (size_t i = 0; i < tensor_count; i++) put_tensor(out, &tensors[i]);
    while ((out->len - start) % alignment != 0 && !out->full) snug_buf_putc(out, '\0');
    st = snug_buf_check(out, "GGUF header", err);
done:
    snug_arena_free(scratch);
    return st;
}

/* ---- one model in several files ---- */

static bool five_digits(snug_slice s, unsigned *out)
{
    uint64_t n;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    }
    if (s.len != 5 || !snug_parse_u64(s, &n)) return false;
    *out = (unsigned)n;
    return true;
}

bool codec_gguf_split_name(snug_slice file_name, snug_slice *prefix, unsigned *number,
                           unsigned *count)
{
    if (file_name.len <= SPLIT_SUFFIX) return false;
    snug_slice tail = snug_sub(file_name, file_name.len - SPLIT_SUFFIX, SPLIT_SUFFIX);
    if (tail.ptr[0] != '-' || !snug_eq_str(snug_sub(tail, 6, 4), "-of-") ||
        !snug_eq_str(snug_sub(tail, 15, 5), ".gguf") ||
        !five_digits(snug_sub(tail, 1, 5), number) || !five_digits(snug_sub(tail, 10, 5), count) ||
        *number == 0 || *number > *count)
        return false;
    *prefix = snug_sub(file_name, 0, file_name.len - SPLIT_SUFFIX);
    return true;
}

static snug_status need_u64(const codec_gguf *g, const char *key, size_t part, uint64_t want,
                            snug_err *err)
{
    uint64_t got;
    if (!codec_gguf_to_u64(codec_gguf_find(g, snug_str(key)), &got))
        return snug_fail(err, SNUG_ECORRUPT, "part %zu has no number %s", part + 1, key);
    if (got != want)
        return snug_fail(err, SNUG_ECORRUPT, "part %zu says %s is %" PRIu64 ", not %" PRIu64,
                         part + 1, key, got, want);
    return SNUG_OK;
}

snug_status codec_gguf_check_splits(const codec_gguf *const *parts, size_t count, snug_err *err)
{
    snug_arena *scratch = snug_arena_new();
    size_t      total = 0, n = 0;
    snug_slice *names;
    snug_status st = SNUG_OK;

    if (count == 0 || count > SPLITS_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "%zu parts are no model", count);
    for (size_t p = 0; p < count; p++) total += parts[p]->tensor_count;
    names = snug_arena_array_try(scratch, total + 1, sizeof *names);
    if (names == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu names", total);
    for (size_t p = 0; p < count; p++) {
        SNUG_TRY(need_u64(parts[p], "split.no", p, p, err));
        SNUG_TRY(need_u64(parts[p], "split.count", p, count, err));
        SNUG_TRY(need_u64(parts[p], "split.tensors.count", p, total, err));
        for (size_t i = 0; i < parts[p]->tensor_count; i++) names[n++] = parts[p]->tensors[i].name;
    }
    st = check_unique(names, n, "tensor", err);
    if (st == SNUG_EINVAL) { /* here the files are wrong, not the caller */
        st = SNUG_ECORRUPT;
        if (err != NULL) err->status = st;
    }
done:
    snug_arena_free(scratch);
    return st;
}
