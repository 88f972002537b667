/* SPDX-License-Identifier: Apache-2.0 */
/* codec/gguf.c - the header of a GGUF file: metadata and the list of tensors.
 *
 * For:     tok/ and model/ (a model in one file), hub/ (showing a file from its first bytes).
 * Owns:    nothing; results live in the caller's arena, strings in the caller's bytes.
 * Threads: pure functions.
 * Truth:   keys and names are unique; each tensor starts where the padded one before ended and ends
 *          inside the file; no allocation is larger than a few times the bytes it describes.
 *
 *   byte 0   "GGUF"
 *   byte 4   u32 version
 *   byte 8   u64 tensor count, u64 pair count
 *   then     pairs: string key, u32 kind, value
 *   then     tensors: string name, u32 rank, u64 dims[rank], u32 type, u64 offset in the data part
 *   then     zeros up to general.alignment, and the data part
 *
 *   string   u64 length, bytes          array   u32 kind of the elements, u64 count, elements
 *
 * A header is walked twice: once without memory, to learn that it is whole and how long it is,
 * and once to build it. Counts are compared with the bytes that are left before either. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/gguf_int.h"

enum {
    SHOWN_MAX = 80,
    PAIR_MIN = 8 + 1 + 4 + 1,       /* bytes of the smallest pair */
    TENSOR_MIN = 8 + 1 + 4 + 4 + 8, /* and of the smallest tensor */
    HEAD_FIRST = 64 * 1024          /* the first length to try */
};

static snug_slice shown(snug_slice name) { return snug_sub(name, 0, SHOWN_MAX); }

/* ---- kinds and types ---- */

static const struct {
    const char *name;
    unsigned    size; /* 0: not fixed */
} kinds[CODEC_GGUF_KIND_COUNT] = {
    [CODEC_GGUF_U8] = {"u8", 1},         [CODEC_GGUF_I8] = {"i8", 1},
    [CODEC_GGUF_U16] = {"u16", 2},       [CODEC_GGUF_I16] = {"i16", 2},
    [CODEC_GGUF_U32] = {"u32", 4},       [CODEC_GGUF_I32] = {"i32", 4},
    [CODEC_GGUF_F32] = {"f32", 4},       [CODEC_GGUF_BOOL] = {"bool", 1},
    [CODEC_GGUF_STRING] = {"string", 0}, [CODEC_GGUF_ARRAY] = {"array", 0},
    [CODEC_GGUF_U64] = {"u64", 8},       [CODEC_GGUF_I64] = {"i64", 8},
    [CODEC_GGUF_F64] = {"f64", 8},
};

const char *codec_gguf_kind_name(codec_gguf_kind k)
{
    SNUG_ASSERT((unsigned)k < CODEC_GGUF_KIND_COUNT);
    return kinds[k].name;
}

unsigned codec_gguf_kind_size(codec_gguf_kind k)
{
    SNUG_ASSERT((unsigned)k < CODEC_GGUF_KIND_COUNT);
    return kinds[k].size;
}

static const codec_ggml_type types[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},    {42, "Q2_0", 64, 18},
};

const codec_ggml_type *codec_ggml_type_of(uint32_t id)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].id == id) return &types[i];
    }
    return NULL;
}

const codec_ggml_type *codec_ggml_type_named(snug_slice name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (snug_eq_str(name, types[i].name)) return &types[i];
    }
    return NULL;
}

/* ---- the cursor ---- */

/* `head` may be shorter than the file. Past it: `more`; past the file: corrupt. */
typedef struct walk {
    snug_slice  head;
    uint64_t    file_size, at;
    bool        more;
    snug_arena *arena; /* NULL: only walking */
    snug_err   *err;
} walk;

static snug_status take(walk *w, uint64_t n, snug_slice *out)
{
    if (n > w->file_size - w->at) {
        return snug_fail(w->err, SNUG_ECORRUPT,
                         "byte %" PRIu64 " announces %" PRIu64
                         " bytes, but the file ends after %" PRIu64,
                         w->at, n, w->file_size - w->at);
    }
    if (n > w->head.len - w->at) {
        w->more = true;
        return snug_fail(w->err, SNUG_EAGAIN, "the header goes on behind the first %zu bytes",
                         w->head.len);
    }
    *out = snug_sub(w->head, (size_t)w->at, (size_t)n);
    w->at += n;
    return SNUG_OK;
}

static snug_status take_int(walk *w, unsigned size, uint64_t *out)
{
    snug_slice  s;
    snug_status st = take(w, size, &s);
    *out = 0;
    for (unsigned i = 0; st == SNUG_OK && i < size; i++)
        *out |= (uint64_t)(unsigned char)s.ptr[i] << (8 * i);
    return st;
}

static snug_status take_string(walk *w, snug_slice *out)
{
    uint64_t    n;
    snug_status st = take_int(w, 8, &n);
    return st == SNUG_OK ? take(w, n, out) : st;
}

/* A count of things of at least `least` bytes each: they must fit into the rest of the file. */
static snug_status check_count(walk *w, uint64_t n, uint64_t least, const char *what)
{
    if (n <= (w->file_size - w->at) / least) return SNUG_OK;
    return snug_fail(w->err, SNUG_ECORRUPT,
                     "%" PRIu64 " %s do not fit into the %" PRIu64 " bytes that are left", n, what,
                     w->file_size - w->at);
}

static snug_status no_memory(walk *w, uint64_t n, const char *what)
{
    return snug_fail(w->err, SNUG_ENOMEM, "no memory for %" PRIu64 " %s", n, what);
}

/* ---- values ---- */

static void put_scalar(codec_gguf_value *v, codec_gguf_kind kind, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float    f;
    *v = (codec_gguf_value){.kind = kind};
    switch (kind) {
    case CODEC_GGUF_I8: v->v.i = (int64_t)bits - (bits >= 128 ? 256 : 0); return;
    case CODEC_GGUF_I16: v->v.i = (int16_t)bits; return;
    case CODEC_GGUF_I32: v->v.i = (int32_t)bits; return;
    case CODEC_GGUF_I64: v->v.i = (int64_t)bits; return;
    case CODEC_GGUF_F32:
        memcpy(&f, &low, sizeof f);
        v->v.f = (double)f;
        return;
    case CODEC_GGUF_F64: memcpy(&v->v.f, &bits, sizeof bits); return;
    default: v->v.u = bits; return;
    }
}

static snug_status take_kind(walk *w, codec_gguf_kind *out)
{
    uint64_t    kind;
    snug_status st = take_int(w, 4, &kind);
    if (st != SNUG_OK) return st;
    if (kind >= CODEC_GGUF_KIND_COUNT)
        return snug_fail(w->err, SNUG_ECORRUPT, "there is no value kind %" PRIu64, kind);
    *out = (codec_gguf_kind)kind;
    return SNUG_OK;
}

static snug_status take_array(walk *w, unsigned depth, codec_gguf_value *v);

static snug_status take_strings(walk *w, codec_gguf_value *v)
{
    snug_slice *strs = NULL, dropped;
    snug_status st = check_count(w, v->count, 8, "strings");
    if (st != SNUG_OK) return st;
    if (w->arena != NULL) {
        strs = snug_arena_array_try(w->arena, v->count, sizeof *strs);
        if (strs == NULL && v->count > 0) return no_memory(w, v->count, "strings");
        v->v.strs = strs;
    }
    for (uint64_t i = 0; i < v->count && st == SNUG_OK; i++)
        st = take_string(w, strs == NULL ? &dropped : &strs[i]);
    return st;
}

static snug_status take_arrays(walk *w, unsigned depth, codec_gguf_value *v)
{
    codec_gguf_value *items = NULL, dropped;
    snug_status       st = check_count(w, v->count, 12, "arrays");
    if (st == SNUG_OK && depth >= CODEC_GGUF_DEPTH_MAX)
        st = snug_fail(w->err, SNUG_ELIMIT, "arrays nest deeper than %d", CODEC_GGUF_DEPTH_MAX);
    if (st != SNUG_OK) return st;
    if (w->arena != NULL) {
        items = snug_arena_array_try(w->arena, v->count, sizeof *items);
        if (items == NULL && v->count > 0) return no_memory(w, v->count, "arrays");
        v->v.items = items;
    }
    for (uint64_t i = 0; i < v->count && st == SNUG_OK; i++)
        st = take_array(w, depth + 1, items == NULL ? &dropped : &items[i]);
    return st;
}

static snug_status check_bools(walk *w, snug_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if ((unsigned char)bytes.ptr[i] > 1)
            return snug_fail(w->err, SNUG_ECORRUPT, "a bool is %u", (unsigned char)bytes.ptr[i]);
    }
    return SNUG_OK;
}

static snug_status take_array(walk *w, unsigned depth, codec_gguf_value *v)
{
    *v = (codec_gguf_value){.kind = CODEC_GGUF_ARRAY};
    snug_status st = take_kind(w, &v->elem);
    if (st == SNUG_OK) st = take_int(w, 8, &v->count);
    if (st != SNUG_OK) return st;
    if (v->elem == CODEC_GGUF_STRING) return take_strings(w, v);
    if (v->elem == CODEC_GGUF_ARRAY) return take_arrays(w, depth, v);
    st = check_count(w, v->count, kinds[v->elem].size, "array elements");
    if (st == SNUG_OK) st = take(w, v->count * kinds[v->elem].size, &v->v.packed);
    return st == SNUG_OK && v->elem == CODEC_GGUF_BOOL ? check_bools(w, v->v.packed) : st;
}

static snug_status take_value(walk *w, codec_gguf_value *v)
{
    codec_gguf_kind kind = CODEC_GGUF_U8;
    uint64_t        bits = 0;
    snug_status     st = take_kind(w, &kind);
    if (st != SNUG_OK) return st;
    if (kind == CODEC_GGUF_ARRAY) return take_array(w, 1, v);
    if (kind == CODEC_GGUF_STRING) {
        *v = (codec_gguf_value){.kind = kind};
        return take_string(w, &v->v.str);
    }
    st = take_int(w, kinds[kind].size, &bits);
    if (st != SNUG_OK) return st;
    if (kind == CODEC_GGUF_BOOL && bits > 1)
        return snug_fail(w->err, SNUG_ECORRUPT, "a bool is %" PRIu64, bits);
    put_scalar(v, kind, bits);
    return SNUG_OK;
}

static snug_status take_pair(walk *w, codec_gguf_kv *kv)
{
    kv->key = SNUG_EMPTY;
    snug_status st = take_string(w, &kv->key);
    if (st == SNUG_OK && (kv->key.len == 0 || kv->key.len > CODEC_GGUF_KEY_MAX ||
                          !snug_utf8_valid(kv->key) || snug_index(kv->key, '\0') != SIZE_MAX))
        st = snug_fail(w->err, SNUG_ECORRUPT, "a key of %zu bytes is empty, too long or no text",
                       kv->key.len);
    if (st == SNUG_OK) {
        st = take_value(w, &kv->value);
        if (st != SNUG_OK && st != SNUG_EAGAIN)
            snug_note(w->err, "%.*s", SNUG_SLICE(shown(kv->key)));
    }
    return st;
}

/* ---- tensors ---- */

bool codec_gguf_tensor_size(const codec_gguf_tensor *t, uint64_t *out)
{
    uint64_t n = 1;
    for (unsigned d = 0; d < t->rank; d++) {
        if (__builtin_mul_overflow(n, t->dims[d], &n)) return false;
    }
    if (t->rank > 0 && t->dims[0] % t->type->block != 0) return false;
    if (t->rank == 0 && t->type->block != 1) return false;
    return !__builtin_mul_overflow(n / t->type->block, t->type->bytes, out);
}

static snug_status take_dims(walk *w, codec_gguf_tensor *t)
{
    uint64_t    rank;
    snug_status st = take_int(w, 4, &rank);
    if (st == SNUG_OK && rank > CODEC_GGUF_RANK_MAX)
        st = snug_fail(w->err, SNUG_ECORRUPT, "%" PRIu64 " dimensions; the format has at most %d",
                       rank, CODEC_GGUF_RANK_MAX);
    if (st != SNUG_OK) return st;
    t->rank = (unsigned)rank;
    for (unsigned d = 0; d < t->rank && st == SNUG_OK; d++) st = take_int(w, 8, &t->dims[d]);
    return st;
}

static snug_status take_type(walk *w, codec_gguf_tensor *t)
{
    uint64_t    id;
    snug_status st = take_int(w, 4, &id);
    if (st != SNUG_OK) return st;
    t->type = codec_ggml_type_of((uint32_t)id);
    if (t->type == NULL)
        return snug_fail(w->err, SNUG_ECORRUPT, "type %" PRIu64 " is unknown or withdrawn", id);
    st = take_int(w, 8, &t->offset);
    if (st == SNUG_OK && !codec_gguf_tensor_size(t, &t->size))
        st =
            snug_fail(w->err, SNUG_ECORRUPT,
                      "its dimensions are no whole number of %s blocks, or more than 64 bits count",
                      t->type->name);
    return st;
}

static snug_status take_tensor(walk *w, codec_gguf_tensor *t)
{
    *t = (codec_gguf_tensor){0};
    snug_status st = take_string(w, &t->name);
    if (st == SNUG_OK && (t->name.len == 0 || t->name.len > CODEC_GGUF_NAME_MAX ||
                          !snug_utf8_valid(t->name) || snug_index(t->name, '\0') != SIZE_MAX))
        st = snug_fail(w->err, SNUG_ECORRUPT,
                       "a tensor name of %zu bytes is empty, too long or no text", t->name.len);
    if (st != SNUG_OK) return st;
    st = take_dims(w, t);
    if (st == SNUG_OK) st = take_type(w, t);
    if (st != SNUG_OK && st != SNUG_EAGAIN)
        snug_note(w->err, "tensor \"%.*s\"", SNUG_SLICE(shown(t->name)));
    return st;
}

/* ---- the whole header ---- */

static snug_status check_magic(walk *w)
{
    snug_slice  magic;
    uint64_t    version;
    snug_status st = take(w, 4, &magic);
    if (st == SNUG_OK && !snug_eq_str(magic, "GGUF"))
        st = snug_fail(w->err, SNUG_ECORRUPT, "a GGUF file starts with \"GGUF\"");
    if (st == SNUG_OK) st = take_int(w, 4, &version);
    if (st != SNUG_OK || version == 2 || version == 3) return st;
    if (version == 0x02000000u || version == 0x03000000u)
        return snug_fail(w->err, SNUG_EUNSUPPORTED,
                         "this GGUF file is big-endian; convert it to little-endian first");
    return snug_fail(w->err, SNUG_EUNSUPPORTED, "GGUF version %" PRIu64 "; 2 and 3 are read",
                     version);
}

static snug_status walk_header(walk *w, codec_gguf *g)
{
    uint64_t          tensors = 0, pairs = 0;
    codec_gguf_kv     kv;
    codec_gguf_tensor t;
    snug_status       st = check_magic(w);
    if (st == SNUG_OK) st = take_int(w, 8, &tensors);
    if (st == SNUG_OK) st = take_int(w, 8, &pairs);
    if (st == SNUG_OK) st = check_count(w, pairs, PAIR_MIN, "metadata pairs");
    if (st == SNUG_OK) st = check_count(w, tensors, TENSOR_MIN, "tensors");
    if (st == SNUG_OK && g != NULL) { /* the header is whole, so both fit into memory of its size */
        g->version = (unsigned char)w->head.ptr[4];
        g->kvs = snug_arena_array_try(w->arena, pairs, sizeof *g->kvs);
        g->tensors = snug_arena_array_try(w->arena, tensors, sizeof *g->tensors);
        if ((g->kvs == NULL && pairs > 0) || (g->tensors == NULL && tensors > 0))
            st = no_memory(w, pairs + tensors, "metadata pairs and tensors");
        g->kv_count = (size_t)pairs;
        g->tensor_count = (size_t)tensors;
    }
    for (uint64_t i = 0; i < pairs && st == SNUG_OK; i++)
        st = take_pair(w, g == NULL ? &kv : &g->kvs[i]);
    for (uint64_t i = 0; i < tensors && st == SNUG_OK; i++)
        st = take_tensor(w, g == NULL ? &t : &g->tensors[i]);
    return st;
}

snug_status codec_gguf_header_size(snug_slice head, uint64_t file_size, uint64_t *out,
                                   snug_err *err)
{
    if (head.len > file_size) head.len = (size_t)file_size;
    walk        w = {.head = head, .file_size = file_size, .err = err};
    snug_status st = walk_header(&w, NULL);
    *out = w.at;
    if (st == SNUG_EAGAIN) {
        uint64_t want = head.len < HEAD_FIRST / 2 ? HEAD_FIRST : (uint64_t)head.len * 2;
        *out = want < file_size ? want : file_size;
    }
    if ((st == SNUG_OK || st == SNUG_EAGAIN) && w.at > CODEC_GGUF_HEADER_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a header of more than %d bytes", CODEC_GGUF_HEADER_MAX);
    return st;
}

/* ---- names, alignment, places ---- */

typedef struct named {
    snug_slice name;
    uint32_t   index;
} named;

static int by_name(const void *x, const void *y)
{
    return snug_cmp(((const named *)x)->name, ((const named *)y)->name);
}

/* Sorted indices of n names that lie `stride` bytes apart; fails on the first that is there twice.
 */
static snug_status index_names(snug_arena *a, const void *first, size_t stride, size_t n,
                               const char *what, const uint32_t **out, snug_err *err)
{
    named      *list = n > UINT32_MAX ? NULL : snug_arena_array_try(a, n, sizeof *list);
    uint32_t   *index = snug_arena_array_try(a, n, sizeof *index);
    snug_status st = SNUG_OK;
    if (n > 0 && (list == NULL || index == NULL))
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu %ss", n, what);
    for (size_t i = 0; i < n; i++)
        list[i] = (named){*(const snug_slice *)(const void *)((const char *)first + i * stride),
                          (uint32_t)i};
    if (n > 1) qsort(list, n, sizeof *list, by_name);
    for (size_t i = 0; i < n && st == SNUG_OK; i++) {
        index[i] = list[i].index;
        if (i > 0 && snug_eq(list[i].name, list[i - 1].name))
            st = snug_fail(err, SNUG_ECORRUPT, "the %s \"%.*s\" is there twice", what,
                           SNUG_SLICE(shown(list[i].name)));
    }
    *out = index;
    return st;
}

snug_status codec_gguf_alignment(const codec_gguf_value *v, uint32_t *out, snug_err *err)
{
    uint64_t n = CODEC_GGUF_ALIGN;
    if (v != NULL && (!codec_gguf_to_u64(v, &n) || n == 0 || (n & (n - 1)) != 0 || n > 1u << 20))
        return snug_fail(err, SNUG_ECORRUPT,
                         "general.alignment must be a power of two of at most 1048576");
    *out = (uint32_t)n;
    return SNUG_OK;
}

/* *n up to the next multiple; false: that is past 64 bits. */
bool codec_gguf_pad(uint64_t *n, uint32_t alignment)
{
    if (__builtin_add_overflow(*n, alignment - 1, n)) return false;
    *n &= ~(uint64_t)(alignment - 1);
    return true;
}

static snug_status check_places(const codec_gguf *g, uint64_t file_size, snug_err *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < g->tensor_count; i++) {
        const codec_gguf_tensor *t = &g->tensors[i];
        if (t->offset != at)
            return snug_fail(err, SNUG_ECORRUPT,
                             "tensor \"%.*s\" starts at byte %" PRIu64
                             " of the data; the one before ends at %" PRIu64,
                             SNUG_SLICE(shown(t->name)), t->offset, at);
        if (t->size > g->data_size - (at < g->data_size ? at : g->data_size))
            return snug_fail(err, SNUG_ECORRUPT,
                             "the file is cut off: tensor \"%.*s\" needs %" PRIu64
                             " bytes at %" PRIu64 ", the file has %" PRIu64,
                             SNUG_SLICE(shown(t->name)), t->size, g->data_offset + at, file_size);
        at += t->size;
        if (!codec_gguf_pad(&at, g->alignment))
            return snug_fail(err, SNUG_ECORRUPT, "tensors of more than 2^64 bytes");
    }
    return SNUG_OK;
}

snug_status codec_gguf_parse(snug_arena *a, snug_slice head, uint64_t file_size, codec_gguf *out,
                             snug_err *err)
{
    codec_gguf  g = {0};
    uint64_t    size;
    snug_status st = codec_gguf_header_size(head, file_size, &size, err);
    if (st != SNUG_OK) return st;
    walk w = {.head = snug_sub(head, 0, (size_t)size), .file_size = size, .arena = a, .err = err};
    st = walk_header(&w, &g);
    if (st == SNUG_OK) st = index_names(a, g.kvs, sizeof *g.kvs, g.kv_count, "key", &g.by_key, err);
    if (st == SNUG_OK)
        st =
            index_names(a, g.tensors, sizeof *g.tensors, g.tensor_count, "tensor", &g.by_name, err);
    if (st == SNUG_OK)
        st = codec_gguf_alignment(codec_gguf_find(&g, SNUG_LIT("general.alignment")), &g.alignment,
                                  err);
    if (st != SNUG_OK) return st;
    g.data_offset = size;
    (void)codec_gguf_pad(&g.data_offset, g.alignment);        /* a header is far from 2^64 bytes */
    if (g.data_offset > file_size) g.data_offset = file_size; /* no tensors, no padding */
    g.data_size = file_size - g.data_offset;
    st = check_places(&g, file_size, err);
    if (st == SNUG_OK) *out = g;
    return st;
}

/* ---- looking things up ---- */

const codec_gguf_value *codec_gguf_find(const codec_gguf *g, snug_slice key)
{
    size_t low = 0, high = g->kv_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int    c = snug_cmp(key, g->kvs[g->by_key[mid]].key);
        if (c == 0) return &g->kvs[g->by_key[mid]].value;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const codec_gguf_tensor *codec_gguf_find_tensor(const codec_gguf *g, snug_slice name)
{
    size_t low = 0, high = g->tensor_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int    c = snug_cmp(name, g->tensors[g->by_name[mid]].name);
        if (c == 0) return &g->tensors[g->by_name[mid]];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

codec_gguf_value codec_gguf_at(const codec_gguf_value *array, uint64_t index)
{
    codec_gguf_value v = {.kind = CODEC_GGUF_ARRAY};
    if (array->kind != CODEC_GGUF_ARRAY || index >= array->count) return v;
    if (array->elem == CODEC_GGUF_ARRAY) return array->v.items[index];
    if (array->elem == CODEC_GGUF_STRING) {
        v.kind = CODEC_GGUF_STRING;
        v.v.str = array->v.strs[index];
        return v;
    }
    unsigned size = kinds[array->elem].size;
    uint64_t bits = 0;
    for (unsigned i = 0; i < size; i++)
        bits |= (uint64_t)(unsigned char)array->v.packed.ptr[index * size + i] << (8 * i);
    put_scalar(&v, array->elem, bits);
    return v;
}

typedef enum family { UNSIGNED, SIGNED, REAL, OTHER } family;

static family family_of(const codec_gguf_value *v)
{
    if (v == NULL) return OTHER;
    switch (v->kind) {
    case CODEC_GGUF_U8:
    case CODEC_GGUF_U16:
    case CODEC_GGUF_U32:
    case CODEC_GGUF_U64: return UNSIGNED;
    case CODEC_GGUF_I8:
    case CODEC_GGUF_I16:
    case CODEC_GGUF_I32:
    case CODEC_GGUF_I64: return SIGNED;
    case CODEC_GGUF_F32:
    case CODEC_GGUF_F64: return REAL;
    default: return OTHER;
    }
}

bool codec_gguf_to_u64(const codec_gguf_value *v, uint64_t *out)
{
    family f = family_of(v);
    if (f != UNSIGNED && (f != SIGNED || v->v.i < 0)) return false;
    *out = v->v.u; /* the same bits as a signed value of 0 or more */
    return true;
}

bool codec_gguf_to_i64(const codec_gguf_value *v, int64_t *out)
{
    family f = family_of(v);
    if (f != SIGNED && (f != UNSIGNED || v->v.u > INT64_MAX)) return false;
    *out = v->v.i;
    return true;
}

bool codec_gguf_to_f64(const codec_gguf_value *v, double *out)
{
    switch (family_of(v)) {
    case UNSIGNED: *out = (double)v->v.u; return true;
    case SIGNED: *out = (double)v->v.i; return true;
    case REAL: *out = v->v.f; return true;
    default: return false;
    }
}

bool codec_gguf_to_bool(const codec_gguf_value *v, bool *out)
{
    if (v == NULL || v->kind != CODEC_GGUF_BOOL) return false;
    *out = v->v.u != 0;
    return true;
}

bool codec_gguf_to_str(const codec_gguf_value *v, snug_slice *out)
{
    if (v == NULL || v->kind != CODEC_GGUF_STRING) return false;
    *out = v->v.str;
    return true;
}
