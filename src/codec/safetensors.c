/* SPDX-License-Identifier: Apache-2.0 */
/* codec/safetensors.c - the header of a safetensors file, read and written.
 *
 * For:     model/ (weights), infer/ (forward files), hub/ (parameter counts without the data).
 * Owns:    nothing; results live in the caller's arena.
 * Threads: pure functions.
 * Truth:   a parsed header describes the data part exactly: every byte belongs to one tensor.
 *
 *   byte 0      u64 little-endian: N
 *   byte 8      N bytes of JSON, an object; spaces may follow it up to N
 *   byte 8+N    the data part, to the end of the file
 *
 *   {"__metadata__": {"format": "pt"},
 *    "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
 *
 * Nothing is trusted: a tensor that points elsewhere than where its neighbours end is refused, so
 * no two tensors share bytes and no bytes hide between them. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/codec_int.h"

enum { NAME_SHOWN_MAX = 80 };

/* A name from a file, cut to fit a sentence. */
static snug_slice shown(snug_slice name) { return snug_sub(name, 0, NAME_SHOWN_MAX); }

snug_status codec_safetensors_header_size(snug_slice first8, uint64_t file_size, uint64_t *out,
                                          snug_err *err)
{
    if (file_size < 8 || first8.len < 8) {
        return snug_fail(
            err, SNUG_ECORRUPT,
            "a safetensors file starts with 8 bytes of header size; there are only %" PRIu64,
            file_size < 8 ? file_size : (uint64_t)first8.len);
    }
    snug_rd  r = snug_rd_init(first8);
    uint64_t n = snug_rd_u64le(&r);
    if (n > CODEC_ST_HEADER_MAX) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "header of %" PRIu64 " bytes is larger than the limit of %d", n,
                         CODEC_ST_HEADER_MAX);
    }
    if (n > file_size - 8) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "header of %" PRIu64 " bytes is longer than the file, which has %" PRIu64
                         " bytes after its first 8",
                         n, file_size - 8);
    }
    *out = n;
    return SNUG_OK;
}

/* ---- reading ---- */

static snug_status parse_shape(snug_json v, codec_tensor *t, snug_err *err)
{
    if (!snug_json_is(v, SNUG_JSON_ARRAY)) {
        return snug_fail(err, SNUG_ECORRUPT, "tensor \"%.*s\": shape must be an array",
                         SNUG_SLICE(shown(t->name)));
    }
    if (snug_json_count(v) > CODEC_ST_RANK_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "tensor \"%.*s\" has %zu dimensions; the limit is %d",
                         SNUG_SLICE(shown(t->name)), snug_json_count(v), CODEC_ST_RANK_MAX);
    }
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        if (!snug_json_is(it.value, SNUG_JSON_INT) ||
            !snug_json_to_u64(it.value, &t->shape[t->rank])) {
            return snug_fail(err, SNUG_ECORRUPT,
                             "tensor \"%.*s\": every dimension must be a whole number of 0 or more",
                             SNUG_SLICE(shown(t->name)));
        }
        t->rank++;
    }
    return SNUG_OK;
}

static snug_status parse_offsets(snug_json v, codec_tensor *t, snug_err *err)
{
    snug_json from = snug_json_at(v, 0), to = snug_json_at(v, 1);
    uint64_t  begin, end;
    if (!snug_json_is(v, SNUG_JSON_ARRAY) || snug_json_count(v) != 2 ||
        !snug_json_is(from, SNUG_JSON_INT) || !snug_json_is(to, SNUG_JSON_INT) ||
        !snug_json_to_u64(from, &begin) || !snug_json_to_u64(to, &end)) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "tensor \"%.*s\": data_offsets must be two whole numbers of 0 or more",
                         SNUG_SLICE(shown(t->name)));
    }
    if (end < begin) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "tensor \"%.*s\" ends at byte %" PRIu64 ", before its start at %" PRIu64,
                         SNUG_SLICE(shown(t->name)), end, begin);
    }
    t->offset = begin;
    t->size = end - begin;
    return SNUG_OK;
}

/* The bytes that dtype and shape ask for. */
snug_status codec_tensor_size(const codec_tensor *t, uint64_t *out, snug_err *err)
{
    uint64_t bits = 1;
    bool     over = false;
    for (unsigned d = 0; d < t->rank; d++) over |= __builtin_mul_overflow(bits, t->shape[d], &bits);
    over |= __builtin_mul_overflow(bits, codec_dtype_bits(t->dtype), &bits);
    if (over) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "tensor \"%.*s\": its shape has more elements than 64 bits count",
                         SNUG_SLICE(shown(t->name)));
    }
    if (bits % 8 != 0) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "tensor \"%.*s\": its %s elements do not fill whole bytes",
                         SNUG_SLICE(shown(t->name)), codec_dtype_name(t->dtype));
    }
    *out = bits / 8;
    return SNUG_OK;
}

static snug_status parse_tensor(snug_slice name, snug_json v, codec_tensor *t, snug_err *err)
{
    snug_slice dtype;
    uint64_t   want;
    t->name = name;
    if (!snug_json_is(v, SNUG_JSON_OBJECT)) {
        return snug_fail(err, SNUG_ECORRUPT, "tensor \"%.*s\" must be described by an object",
                         SNUG_SLICE(shown(name)));
    }
    if (!snug_json_to_str(snug_json_get(v, "dtype"), &dtype)) {
        return snug_fail(err, SNUG_ECORRUPT, "tensor \"%.*s\": dtype must be a string",
                         SNUG_SLICE(shown(name)));
    }
    if (!codec_dtype_parse(dtype, &t->dtype)) {
        return snug_fail(err, SNUG_ECORRUPT, "tensor \"%.*s\": unknown dtype \"%.*s\"",
                         SNUG_SLICE(shown(name)), SNUG_SLICE(shown(dtype)));
    }
    snug_status st = parse_shape(snug_json_get(v, "shape"), t, err);
    if (st == SNUG_OK) st = parse_offsets(snug_json_get(v, "data_offsets"), t, err);
    if (st == SNUG_OK) st = codec_tensor_size(t, &want, err);
    if (st != SNUG_OK) return st;
    if (want != t->size) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "tensor \"%.*s\": dtype and shape need %" PRIu64
                         " bytes, data_offsets give %" PRIu64,
                         SNUG_SLICE(shown(name)), want, t->size);
    }
    return SNUG_OK;
}

static snug_status check_metadata(snug_json m, snug_err *err)
{
    if (!snug_json_is(m, SNUG_JSON_OBJECT)) {
        return snug_fail(err, SNUG_ECORRUPT, "__metadata__ must be an object");
    }
    for (snug_json_iter it = snug_json_iter_of(m); snug_json_next(&it);) {
        if (snug_json_is(it.value, SNUG_JSON_STRING)) continue;
        return snug_fail(err, SNUG_ECORRUPT, "__metadata__: \"%.*s\" must be a string",
                         SNUG_SLICE(shown(it.key)));
    }
    return SNUG_OK;
}

static int by_offset(const void *x, const void *y)
{
    const codec_tensor *a = x, *b = y;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->size != b->size) return a->size < b->size ? -1 : 1; /* the empty ones come first */
    return snug_cmp(a->name, b->name);
}

static snug_status check_tiling(const codec_safetensors *st, snug_err *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < st->count; i++) {
        const codec_tensor *t = &st->tensors[i];
        if (t->offset != at) {
            return snug_fail(
                err, SNUG_ECORRUPT,
                "tensor \"%.*s\" starts at byte %" PRIu64 " of the data, %s at %" PRIu64,
                SNUG_SLICE(shown(t->name)), t->offset,
                t->offset < at ? "inside another that ends" : "after a hole that starts", at);
        }
        at = t->offset + t->size; /* cannot wrap: offset + size was read as one u64 */
    }
    if (at == st->data_size) return SNUG_OK;
    if (at > st->data_size) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "the file is cut off: tensors need %" PRIu64
                         " bytes of data, there are %" PRIu64,
                         at, st->data_size);
    }
    return snug_fail(err, SNUG_ECORRUPT, "%" PRIu64 " bytes follow the last tensor",
                     st->data_size - at);
}

static int by_name(const void *x, const void *y, void *arg)
{
    const codec_tensor *tensors = arg;
    return snug_cmp(tensors[*(const uint32_t *)x].name, tensors[*(const uint32_t *)y].name);
}

static snug_status index_names(snug_arena *a, codec_safetensors *st, snug_err *err)
{
    uint32_t *index = snug_arena_array_try(a, st->count, sizeof *index);
    if (index == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tensors", st->count);
    for (size_t i = 0; i < st->count; i++) index[i] = (uint32_t)i;
    if (st->count > 1) qsort_r(index, st->count, sizeof *index, by_name, st->tensors);
    st->by_name = index;
    return SNUG_OK;
}

static snug_status read_members(snug_arena *a, snug_json root, codec_safetensors *st, snug_err *err)
{
    st->tensors = snug_arena_array_try(a, snug_json_count(root), sizeof *st->tensors);
    if (st->tensors == NULL) {
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tensors", snug_json_count(root));
    }
    for (snug_json_iter it = snug_json_iter_of(root); snug_json_next(&it);) {
        snug_status r = SNUG_OK;
        if (!snug_eq_str(it.key, "__metadata__")) {
            r = parse_tensor(it.key, it.value, &st->tensors[st->count++], err);
        } else if (!snug_json_is(it.value, SNUG_JSON_NULL)) { /* null: as if it were not there */
            st->metadata = it.value;
            r = check_metadata(it.value, err);
        }
        if (r != SNUG_OK) return r;
    }
    if (st->count > 1) qsort(st->tensors, st->count, sizeof *st->tensors, by_offset);
    return SNUG_OK;
}

snug_status codec_safetensors_parse(snug_arena *a, snug_slice head, uint64_t file_size,
                                    codec_safetensors *out, snug_err *err)
{
    static const snug_json_opts opts = {.flags = SNUG_JSON_UNIQUE, .size_max = CODEC_ST_HEADER_MAX};
    codec_safetensors           st = {0};
    snug_json                   root;
    uint64_t                    n;

    snug_status r = codec_safetensors_header_size(head, file_size, &n, err);
    if (r != SNUG_OK) return r;
    if (head.len - 8 < n) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "header of %" PRIu64 " bytes, of which only %zu were read", n,
                         head.len - 8);
    }
    snug_slice json = snug_sub(head, 8, (size_t)n);
    if (json.len == 0 || json.ptr[0] != '{') {
        return snug_fail(err, SNUG_ECORRUPT,
                         "the header must be a JSON object that starts with '{'");
    }
    r = snug_json_parse(a, json, &opts, &root, err);
    if (r != SNUG_OK) {
        snug_note(err, "header");
        if (err != NULL && r != SNUG_ENOMEM) err->status = SNUG_ECORRUPT;
        return r == SNUG_ENOMEM ? r : SNUG_ECORRUPT;
    }
    st.data_offset = 8 + n;
    st.data_size = file_size - st.data_offset;
    r = read_members(a, root, &st, err);
    if (r == SNUG_OK) r = check_tiling(&st, err);
    if (r == SNUG_OK) r = index_names(a, &st, err);
    if (r == SNUG_OK) *out = st;
    return r;
}

const codec_tensor *codec_safetensors_find(const codec_safetensors *st, snug_slice name)
{
    size_t low = 0, high = st->count;
    while (low < high) {
        size_t              mid = low + (high - low) / 2;
        const codec_tensor *t = &st->tensors[st->by_name[mid]];
        int                 c = snug_cmp(name, t->name);
        if (c == 0) return t;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

/* ---- writing ---- */

/* Gives each tensor its place and checks the names. */
static snug_status lay_out(codec_tensor *tensors, size_t count, snug_err *err)
{
    snug_arena       *scratch = snug_arena_new();
    codec_safetensors names = {.tensors = tensors, .count = count};
    uint64_t          at = 0;
    snug_status       st = SNUG_OK;

    for (size_t i = 0; i < count; i++) {
        codec_tensor *t = &tensors[i];
        SNUG_ASSERT(t->rank <= CODEC_ST_RANK_MAX);
        if (!snug_utf8_valid(t->name) || snug_eq_str(t->name, "__metadata__")) {
            SNUG_FAIL(err, SNUG_EINVAL, "a tensor cannot be named \"%.*s\"",
                      SNUG_SLICE(shown(t->name)));
        }
        SNUG_TRY(codec_tensor_size(t, &t->size, err));
        t->offset = at;
        if (__builtin_add_overflow(at, t->size, &at)) {
            SNUG_FAIL(err, SNUG_ELIMIT, "tensors of more than 2^64 bytes");
        }
    }
    SNUG_TRY(index_names(scratch, &names, err));
    for (size_t i = 1; i < count; i++) {
        snug_slice name = tensors[names.by_name[i]].name;
        if (!snug_eq(name, tensors[names.by_name[i - 1]].name)) continue;
        SNUG_FAIL(err, SNUG_EINVAL, "two tensors are named \"%.*s\"", SNUG_SLICE(shown(name)));
    }
done:
    snug_arena_free(scratch);
    return st;
}

static void put_tensor(snug_json_out *o, const codec_tensor *t)
{
    snug_jo_key_slice(o, t->name);
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "dtype", codec_dtype_name(t->dtype));
    snug_jo_key(o, "shape");
    snug_jo_begin_array(o);
    for (unsigned d = 0; d < t->rank; d++) snug_jo_u64(o, t->shape[d]);
    snug_jo_end_array(o);
    snug_jo_key(o, "data_offsets");
    snug_jo_begin_array(o);
    snug_jo_u64(o, t->offset);
    snug_jo_u64(o, t->offset + t->size);
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

snug_status codec_safetensors_write_header(codec_tensor *tensors, size_t count, snug_json metadata,
                                           snug_buf *out, snug_err *err)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(CODEC_ST_HEADER_MAX);
    snug_json_out o = snug_json_out_init(&text);
    snug_status   st = lay_out(tensors, count, err);

    if (st == SNUG_OK && !snug_json_is(metadata, SNUG_JSON_ABSENT))
        st = check_metadata(metadata, err);
    if (st != SNUG_OK) return st;
    snug_jo_begin_object(&o);
    if (!snug_json_is(metadata, SNUG_JSON_ABSENT)) {
        snug_jo_key(&o, "__metadata__");
        snug_jo_value(&o, metadata);
    }
    for (size_t i = 0; i < count; i++) put_tensor(&o, &tensors[i]);
    snug_jo_end_object(&o);
    while (text.len % 8 != 0 && !text.full)
        snug_buf_putc(&text, ' '); /* 8 + N is a multiple of 8 */
    st = snug_buf_check(&text, "safetensors header", err);
    if (st != SNUG_OK) return st;
    for (unsigned i = 0; i < 8; i++) snug_buf_putc(out, (char)(text.len >> (8 * i) & 255));
    snug_buf_put_slice(out, snug_buf_slice(&text));
    return snug_buf_check(out, "safetensors header", err);
}
