/* SPDX-License-Identifier: Apache-2.0 */
/* codec/torch.c - tensors out of torch checkpoints and numpy files, without running them.
 *
 * For:     snug convert.
 * Owns:    nothing; views point into the caller's file, or into the arena where bytes were packed.
 * Threads: pure functions.
 * Truth:   only a file the scanner calls safe is read, and every view was checked against its
 * storage.
 *
 *   since 1.6   a ZIP: <root>/data.pkl, <root>/data/<key> for each storage, <root>/byteorder
 *   before      five pickles in a row (magic, 1001, system, the object, a list of keys), then for
 *               each key an i64 count of elements and the elements
 *
 * A tensor is a call: _rebuild_tensor_v2(storage, offset, size, stride, ...), where the storage is
 * a persistent id: ("storage", torch.FloatStorage, key, "cpu", elements). */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/npy_int.h"
#include "codec/scan_int.h"

enum {
    WALK_DEPTH_MAX = 32,
    REBUILD_DEPTH_MAX = 8,
    WALK_MAX = 4000000,
    SHOWN_MAX = 80,
    GROWTH_MAX = 8
};
static const uint64_t UNPACK_MAX = (uint64_t)1 << 30, GROWTH_FREE = 64 << 20,
                      PICKLE_BYTES_MAX = 256 << 20;

typedef struct old_storage {
    snug_slice key, bytes;
} old_storage;

typedef struct loader {
    snug_arena       *arena;
    pickle           *p;
    codec_zip         zip;  /* entries NULL: not a ZIP */
    snug_slice        root; /* of the ZIP, with its slash */
    snug_slice       *read; /* of each entry, once it was */
    old_storage      *olds; /* sorted by key */
    size_t            old_count, cap, visits;
    uint64_t          unpacked, total, total_max;
    codec_checkpoint *out;
    snug_err         *err;
} loader;

/* ---- element types ---- */

static const struct {
    const char *storage, *name; /* torch.FloatStorage, torch.float32 */
    codec_dtype dtype;
} dtypes[] = {
    {"FloatStorage", "float32", CODEC_F32},
    {"DoubleStorage", "float64", CODEC_F64},
    {"HalfStorage", "float16", CODEC_F16},
    {"BFloat16Storage", "bfloat16", CODEC_BF16},
    {"LongStorage", "int64", CODEC_I64},
    {"IntStorage", "int32", CODEC_I32},
    {"ShortStorage", "int16", CODEC_I16},
    {"CharStorage", "int8", CODEC_I8},
    {"ByteStorage", "uint8", CODEC_U8},
    {"BoolStorage", "bool", CODEC_BOOL},
    {"ComplexFloatStorage", "complex64", CODEC_C64},
    {"", "uint16", CODEC_U16},
    {"", "uint32", CODEC_U32},
    {"", "uint64", CODEC_U64},
    {"", "float8_e4m3fn", CODEC_F8_E4M3},
    {"", "float8_e5m2", CODEC_F8_E5M2},
    {"", "float8_e4m3fnuz", CODEC_F8_E4M3FNUZ},
    {"", "float8_e5m2fnuz", CODEC_F8_E5M2FNUZ},
    {"", "float8_e8m0fnu", CODEC_F8_E8M0},
};

static bool find_dtype(snug_slice name, bool storage, codec_dtype *out)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (name.len == 0 || !snug_eq_str(name, storage ? dtypes[i].storage : dtypes[i].name))
            continue;
        *out = dtypes[i].dtype;
        return true;
    }
    return false;
}

/* ---- storages ---- */

static snug_status zip_storage(loader *l, snug_slice key, snug_slice *out)
{
    snug_slice name =
        snug_arena_printf(l->arena, "%.*sdata/%.*s", SNUG_SLICE(l->root), SNUG_SLICE(key));
    const codec_zip_entry *e = codec_zip_find(&l->zip, name);
    if (e == NULL)
        return snug_fail(l->err, SNUG_ECORRUPT, "the archive has no \"%.*s\"",
                         SNUG_SLICE(snug_sub(name, 0, SHOWN_MAX)));
    snug_slice *kept = &l->read[e - l->zip.entries];
    if (kept->ptr == NULL) {
        if (e->method != 0 && (e->size > UNPACK_MAX || (l->unpacked += e->size) > UNPACK_MAX))
            return snug_fail(l->err, SNUG_ELIMIT, "packed storages of more than %" PRIu64 " bytes",
                             UNPACK_MAX);
        snug_status st = codec_zip_read(l->arena, &l->zip, e, UINT64_MAX, kept, l->err);
        if (st != SNUG_OK) return st;
        if (kept->ptr == NULL) kept->ptr = "";
    }
    *out = *kept;
    return SNUG_OK;
}

static int by_key(const void *x, const void *y)
{
    return snug_cmp(((const old_storage *)x)->key, ((const old_storage *)y)->key);
}

static snug_status old_storage_of(loader *l, snug_slice key, snug_slice *out)
{
    old_storage  want = {.key = key};
    old_storage *s =
        l->old_count == 0 ? NULL : bsearch(&want, l->olds, l->old_count, sizeof want, by_key);
    if (s == NULL)
        return snug_fail(l->err, SNUG_ECORRUPT, "the file has no storage \"%.*s\"",
                         SNUG_SLICE(snug_sub(key, 0, SHOWN_MAX)));
    *out = s->bytes;
    return SNUG_OK;
}

/* Keys are strings, in some files numbers. */
static bool key_text(loader *l, uint32_t id, snug_slice *out)
{
    int64_t n;
    if (pickle_to_str(l->p, id, out)) return out->len <= CODEC_CHECKPOINT_NAME_MAX;
    if (!pickle_to_i64(l->p, id, &n)) return false;
    *out = snug_arena_printf(l->arena, "%" PRId64, n);
    return true;
}

/* A persistent id; *typed: the storage class names a dtype, else it is bytes. A view of another
 * storage (old files) moves *first. */
static snug_status storage_of(loader *l, uint32_t id, snug_slice *bytes, codec_dtype *dtype,
                              bool *typed, uint64_t *first)
{
    const pickle_node *n = pickle_get(l->p, id);
    uint32_t           t = n->kind == PICKLE_PERSID ? n->v.link.a : 0;
    const pickle_import *class = pickle_import_of(l->p, pickle_item(l->p, t, 1));
    snug_slice word, key;
    int64_t    from;
    *first = 0;
    if (!pickle_to_str(l->p, pickle_item(l->p, t, 0), &word) || !snug_eq_str(word, "storage") ||
        class == NULL || !key_text(l, pickle_item(l->p, t, 2), &key))
        return snug_fail(l->err, SNUG_EUNSUPPORTED,
                         "a tensor whose storage is described in an unknown way");
    *typed = find_dtype(class->name, true, dtype);
    if (!*typed && !snug_ends_with(class->name, "UntypedStorage"))
        return snug_fail(l->err, SNUG_EUNSUPPORTED,
                         "elements of %.*s cannot be written to safetensors",
                         SNUG_SLICE(class->name));
    if (pickle_get(l->p, pickle_item(l->p, t, 5))->kind == PICKLE_TUPLE) { /* (key, offset, size) */
        if (!pickle_to_i64(l->p, pickle_item(l->p, pickle_item(l->p, t, 5), 1), &from) || from < 0)
            return snug_fail(l->err, SNUG_ECORRUPT, "a view of a storage starts nowhere");
        *first = (uint64_t)from;
    }
    return l->zip.entries != NULL ? zip_storage(l, key, bytes) : old_storage_of(l, key, bytes);
}

/* ---- tensors ---- */

/* A tuple of whole numbers of 0 or more (torch.Size is a call of one). */
static bool read_sizes(loader *l, uint32_t id, uint64_t *out, unsigned *count)
{
    int64_t v;
    *count = 0;
    if (pickle_calls(l->p, id, "torch", "Size")) id = pickle_item(l->p, pickle_args(l->p, id), 0);
    const pickle_node *n = pickle_get(l->p, id);
    if ((n->kind != PICKLE_TUPLE && n->kind != PICKLE_LIST) || n->n > CODEC_ST_RANK_MAX)
        return false;
    for (uint32_t c = pickle_first(l->p, id); c != 0; c = pickle_next(l->p, c)) {
        if (!pickle_to_i64(l->p, pickle_value(l->p, c), &v) || v < 0) return false;
        out[(*count)++] = (uint64_t)v;
    }
    return true;
}

/* _rebuild_tensor*(storage, offset, size, stride, ..., v3: [6] dtype) */
static snug_status rebuild_torch(loader *l, uint32_t args, bool v3, codec_view *v)
{
    codec_tensor *t = &v->tensor;
    uint64_t      base;
    int64_t       offset;
    unsigned      strides;
    bool          typed = false;
    snug_status   st =
        storage_of(l, pickle_item(l->p, args, 0), &v->storage, &t->dtype, &typed, &base);
    if (st != SNUG_OK) return st;
    if (v3) {
        const pickle_import *i = pickle_import_of(l->p, pickle_item(l->p, args, 6));
        if (i == NULL || !find_dtype(i->name, false, &t->dtype))
            return snug_fail(l->err, SNUG_EUNSUPPORTED,
                             "elements of type %.*s cannot be written to safetensors",
                             SNUG_SLICE(i == NULL ? SNUG_LIT("?") : i->name));
    } else if (!typed) {
        return snug_fail(l->err, SNUG_EUNSUPPORTED, "a tensor of bytes without an element type");
    }
    if (!pickle_to_i64(l->p, pickle_item(l->p, args, 1), &offset) || offset < 0 ||
        __builtin_add_overflow(base, (uint64_t)offset, &v->first) ||
        !read_sizes(l, pickle_item(l->p, args, 2), t->shape, &t->rank) ||
        !read_sizes(l, pickle_item(l->p, args, 3), v->strides, &strides) || strides != t->rank)
        return snug_fail(l->err, SNUG_ECORRUPT,
                         "the shape, strides or offset of a tensor make no sense");
    return SNUG_OK;
}

static bool is_builtin(const pickle *p, uint32_t id, const char *name)
{
    return pickle_calls(p, id, "builtins", name) || pickle_calls(p, id, "__builtin__", name);
}

/* Bytes, or what Python 2's protocols make of them: _codecs.encode(text, "latin1"). */
static bool read_bytes(loader *l, uint32_t id, snug_slice *out)
{
    snug_slice text, coding;
    if (pickle_to_bytes(l->p, id, out)) return true;
    if (is_builtin(l->p, id, "bytes") && pickle_get(l->p, pickle_args(l->p, id))->n == 0) {
        *out = SNUG_LIT("");
        return true;
    }
    if (is_builtin(l->p, id, "bytearray"))
        return pickle_to_bytes(l->p, pickle_item(l->p, pickle_args(l->p, id), 0), out);
    if (!pickle_calls(l->p, id, "_codecs", "encode"))
        return pickle_to_str(l->p, id, out); /* Python 2: str */
    uint32_t args = pickle_args(l->p, id);
    if (!pickle_to_str(l->p, pickle_item(l->p, args, 0), &text) ||
        !pickle_to_str(l->p, pickle_item(l->p, args, 1), &coding) ||
        !snug_starts_with(coding, "latin"))
        return false;
    char  *bytes = snug_arena_alloc_try(l->arena, text.len + 1);
    size_t n = 0;
    if (bytes == NULL) return false;
    while (text.len > 0) {
        uint32_t c = snug_utf8_next(&text);
        if (c > 255) return false;
        bytes[n++] = (char)c;
    }
    *out = snug_slice_of(bytes, n);
    return true;
}

/* numpy.dtype("f4", ...) with the state (3, "<", ...) */
static bool read_numpy_dtype(loader *l, uint32_t id, codec_view *v)
{
    snug_slice descr, order;
    bool       big;
    if (!pickle_calls(l->p, id, "numpy", "dtype") ||
        !pickle_to_str(l->p, pickle_item(l->p, pickle_args(l->p, id), 0), &descr) ||
        !codec_npy_dtype(descr, &v->tensor.dtype, &big))
        return false;
    v->swap = big || (pickle_to_str(l->p, pickle_item(l->p, pickle_state(l->p, id), 1), &order) &&
                      snug_eq_str(order, ">"));
    if (codec_dtype_bits(v->tensor.dtype) == 8) v->swap = false;
    return true;
}

static snug_status rebuild_numpy(loader *l, uint32_t bytes, uint32_t dtype, uint32_t shape,
                                 bool fortran, codec_view *v)
{
    if (!read_numpy_dtype(l, dtype, v))
        return snug_fail(l->err, SNUG_EUNSUPPORTED,
                         "a numpy array whose elements cannot be written to safetensors");
    if (!read_sizes(l, shape, v->tensor.shape, &v->tensor.rank) ||
        !read_bytes(l, bytes, &v->storage))
        return snug_fail(l->err, SNUG_ECORRUPT,
                         "the shape or the bytes of a numpy array make no sense");
    codec_npy_strides(v, fortran);
    return SNUG_OK;
}

typedef enum rebuild {
    NONE,
    TORCH,
    TORCH_V3,
    INNER,
    FROM_TYPE,
    NUMPY_STATE,
    NUMPY_BUFFER,
    REFUSED
} rebuild;

static const struct {
    const char *module, *name;
    rebuild     how;
} rebuilds[] = {
    {"torch._utils", "_rebuild_tensor", TORCH},
    {"torch._utils", "_rebuild_tensor_v2", TORCH},
    {"torch._utils", "_rebuild_tensor_v3", TORCH_V3},
    {"torch._utils", "_rebuild_parameter", INNER},
    {"torch._utils", "_rebuild_parameter_with_state", INNER},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", INNER},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", INNER},
    {"torch._tensor", "_rebuild_from_type_v2", FROM_TYPE},
    {"torch._utils", "_rebuild_sparse_tensor", REFUSED},
    {"torch._utils", "_rebuild_qtensor", REFUSED},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", REFUSED},
    {"numpy.core.multiarray", "_reconstruct", NUMPY_STATE},
    {"numpy._core.multiarray", "_reconstruct", NUMPY_STATE},
    {"numpy.core.numeric", "_frombuffer", NUMPY_BUFFER},
    {"numpy._core.numeric", "_frombuffer", NUMPY_BUFFER},
    {"joblib.numpy_pickle", "NumpyArrayWrapper", REFUSED},
};

static rebuild rebuild_of(const pickle *p, uint32_t callee)
{
    for (size_t i = 0; i < sizeof rebuilds / sizeof *rebuilds; i++) {
        if (pickle_is_import(p, callee, rebuilds[i].module, rebuilds[i].name))
            return rebuilds[i].how;
    }
    return NONE;
}

static bool is_tensor(const pickle *p, uint32_t id)
{
    const pickle_node *n = pickle_get(p, id);
    return n->kind == PICKLE_CALL && rebuild_of(p, n->v.link.a) != NONE;
}

/* callee(args) with state; id is 0 when the call stands in the arguments of another. */
static snug_status rebuild_call(loader *l, uint32_t callee, uint32_t args, uint32_t id,
                                unsigned depth, codec_view *v)
{
    snug_slice order;
    uint32_t   inner, state;
    if (depth > REBUILD_DEPTH_MAX)
        return snug_fail(l->err, SNUG_ELIMIT, "tensors wrapped in tensors deeper than %d",
                         REBUILD_DEPTH_MAX);
    switch (rebuild_of(l->p, callee)) {
    case TORCH: return rebuild_torch(l, args, false, v);
    case TORCH_V3: return rebuild_torch(l, args, true, v);
    case INNER:
        inner = pickle_item(l->p, args, 0);
        return rebuild_call(
            l, pickle_get(l->p, inner)->kind == PICKLE_CALL ? pickle_get(l->p, inner)->v.link.a : 0,
            pickle_args(l->p, inner), inner, depth + 1, v);
    case FROM_TYPE:
        return rebuild_call(l, pickle_item(l->p, args, 0), pickle_item(l->p, args, 2), 0, depth + 1,
                            v);
    case NUMPY_STATE: { /* (version, shape, dtype, fortran, bytes) */
        int64_t fortran = 0;
        state = id == 0 ? 0 : pickle_state(l->p, id);
        (void)pickle_to_i64(l->p, pickle_item(l->p, state, 3), &fortran);
        return rebuild_numpy(l, pickle_item(l->p, state, 4), pickle_item(l->p, state, 2),
                             pickle_item(l->p, state, 1), fortran != 0, v);
    }
    case NUMPY_BUFFER: /* (buffer, dtype, shape, "C" or "F") */
        return rebuild_numpy(
            l, pickle_item(l->p, args, 0), pickle_item(l->p, args, 1), pickle_item(l->p, args, 2),
            pickle_to_str(l->p, pickle_item(l->p, args, 3), &order) && snug_eq_str(order, "F"), v);
    case REFUSED:
    case NONE: break;
    }
    return snug_fail(
        l->err, SNUG_EUNSUPPORTED,
        "a tensor that is sparse, quantised, without data or of joblib is not converted");
}

/* ---- the tree of names ---- */

static snug_status add_view(loader *l, snug_slice name, codec_view *v)
{
    codec_checkpoint *c = l->out;
    uint64_t          count, size;
    v->tensor.name = snug_arena_dup(l->arena, name);
    snug_status st = codec_view_check(v, &count, l->err);
    if (st != SNUG_OK) return st;
    size = count * (codec_dtype_bits(v->tensor.dtype) / 8);
    if (__builtin_add_overflow(l->total, size, &l->total) || l->total > l->total_max)
        return snug_fail(l->err, SNUG_ELIMIT,
                         "the tensors together are more than %d times the file", GROWTH_MAX);
    if (c->count >= CODEC_CHECKPOINT_TENSORS_MAX)
        return snug_fail(l->err, SNUG_ELIMIT, "more than %d tensors", CODEC_CHECKPOINT_TENSORS_MAX);
    if (c->count == l->cap) {
        size_t      cap = l->cap == 0 ? 64 : l->cap * 2;
        codec_view *wider = snug_arena_array_try(l->arena, cap, sizeof *wider);
        if (wider == NULL) return snug_fail(l->err, SNUG_ENOMEM, "no memory for %zu tensors", cap);
        if (l->cap > 0) memcpy(wider, c->tensors, l->cap * sizeof *wider);
        c->tensors = wider;
        l->cap = cap;
    }
    c->tensors[c->count++] = *v;
    return SNUG_OK;
}

static snug_status walk(loader *l, uint32_t id, snug_buf *name, unsigned depth);

/* One child, its key behind a dot. */
static snug_status walk_child(loader *l, snug_slice key, uint32_t id, snug_buf *name,
                              unsigned depth)
{
    size_t before = name->len;
    if (before > 0) snug_buf_putc(name, '.');
    snug_buf_put_slice(name, key);
    snug_status st = snug_buf_check(name, "the name of a tensor", l->err);
    if (st == SNUG_OK) st = walk(l, id, name, depth + 1);
    name->len = before;
    return st;
}

static snug_status walk_mapping(loader *l, uint32_t id, snug_buf *name, unsigned depth)
{
    snug_status st = SNUG_OK;
    snug_slice  key;
    for (uint32_t c = pickle_first(l->p, id), v; c != 0 && st == SNUG_OK;
         c = pickle_next(l->p, v)) {
        v = pickle_next(l->p, c);
        if (v == 0) return snug_fail(l->err, SNUG_ECORRUPT, "a mapping has a key without a value");
        if (key_text(l, pickle_value(l->p, c), &key))
            st = walk_child(l, key, pickle_value(l->p, v), name, depth);
        else
            l->out->skipped++;
    }
    return st;
}

static snug_status walk_list(loader *l, uint32_t id, snug_buf *name, unsigned depth)
{
    snug_status st = SNUG_OK;
    size_t      index = 0;
    for (uint32_t c = pickle_first(l->p, id); c != 0 && st == SNUG_OK; c = pickle_next(l->p, c)) {
        char key[24];
        (void)snprintf(key, sizeof key, "%zu", index++);
        st = walk_child(l, snug_str(key), pickle_value(l->p, c), name, depth);
    }
    return st;
}

static snug_status walk(loader *l, uint32_t id, snug_buf *name, unsigned depth)
{
    codec_view         v = {0};
    const pickle_node *n = pickle_get(l->p, id);
    if (++l->visits > WALK_MAX || depth > WALK_DEPTH_MAX)
        return snug_fail(l->err, SNUG_ELIMIT,
                         "containers nest deeper than %d or hold more than %d values",
                         WALK_DEPTH_MAX, WALK_MAX);
    if (is_tensor(l->p, id)) {
        snug_status st = rebuild_call(l, n->v.link.a, n->v.link.b, id, 0, &v);
        if (st == SNUG_OK)
            return add_view(l, name->len == 0 ? SNUG_LIT("tensor") : snug_buf_slice(name), &v);
        snug_note(l->err, "%.*s", SNUG_SLICE(snug_sub(snug_buf_slice(name), 0, SHOWN_MAX)));
        return st;
    }
    if (pickle_is_mapping(l->p, id)) return walk_mapping(l, id, name, depth);
    if (n->kind == PICKLE_LIST || n->kind == PICKLE_TUPLE) return walk_list(l, id, name, depth);
    l->out->skipped++;
    return SNUG_OK;
}

static bool holds_tensors(const pickle *p, uint32_t id)
{
    if (!pickle_is_mapping(p, id)) return false;
    for (uint32_t c = pickle_first(p, id), v; c != 0 && (v = pickle_next(p, c)) != 0;
         c = pickle_next(p, v)) {
        if (is_tensor(p, pickle_value(p, v))) return true;
    }
    return false;
}

/* Training frameworks put the weights beside optimiser states; then the weights are meant. */
static snug_status walk_top(loader *l)
{
    static const char *const roots[] = {"state_dict", "model_state_dict", "model", "module", "net",
                                        "params"};
    SNUG_AUTO(snug_buf) name = snug_buf_init(CODEC_CHECKPOINT_NAME_MAX);
    uint32_t top = pickle_top(l->p);
    for (size_t i = 0; i < sizeof roots / sizeof *roots && !holds_tensors(l->p, top); i++) {
        uint32_t inner = pickle_member(l->p, top, roots[i]);
        if (!holds_tensors(l->p, inner)) continue;
        l->out->root = snug_str(roots[i]);
        return walk(l, inner, &name, 0);
    }
    return walk(l, top, &name, 0);
}

/* ---- files ---- */

static void free_machine(void *p) { pickle_free(p); }

/* It lives as long as the arena: views may point at strings it unescaped. */
static pickle *machine(loader *l, snug_slice bytes)
{
    pickle *p = pickle_new(bytes);
    snug_arena_on_free(l->arena, free_machine, p);
    return p;
}

static snug_status run_one(loader *l)
{
    if (pickle_run(l->p) == PICKLE_DONE) return SNUG_OK;
    return snug_fail(l->err, SNUG_ECORRUPT,
                     "the pickle cannot be followed past byte %" PRIu64 ": %s", pickle_at(l->p),
                     pickle_why(l->p));
}

static snug_status load_zip(loader *l, snug_slice file)
{
    const codec_zip_entry *data = NULL, *order;
    snug_slice             bytes;
    snug_status            st = codec_zip_open(l->arena, file, &l->zip, l->err);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; i < l->zip.count; i++) {
        snug_slice name = l->zip.entries[i].name;
        if (!snug_ends_with(name, "/data.pkl") || snug_index(name, '/') != name.len - 9) continue;
        if (data != NULL)
            return snug_fail(l->err, SNUG_ECORRUPT, "the archive has two files data.pkl");
        data = &l->zip.entries[i];
    }
    if (data == NULL)
        return snug_fail(l->err, SNUG_ECORRUPT,
                         "the archive has no data.pkl in a folder of its own");
    l->root = snug_sub(data->name, 0, data->name.len - 8);
    l->read = snug_arena_array_try(l->arena, l->zip.count, sizeof *l->read);
    if (l->read == NULL)
        return snug_fail(l->err, SNUG_ENOMEM, "no memory for %zu entries", l->zip.count);
    order =
        codec_zip_find(&l->zip, snug_arena_printf(l->arena, "%.*sbyteorder", SNUG_SLICE(l->root)));
    if (order != NULL) {
        st = codec_zip_read(l->arena, &l->zip, order, 64, &bytes, l->err);
        if (st == SNUG_OK && !snug_eq_str(snug_trim(bytes), "little"))
            st = snug_fail(l->err, SNUG_EUNSUPPORTED,
                           "the checkpoint was written in big-endian order");
    }
    if (st == SNUG_OK)
        st = codec_zip_read(l->arena, &l->zip, data, PICKLE_BYTES_MAX, &bytes, l->err);
    if (st != SNUG_OK) return st;
    l->p = machine(l, bytes);
    return run_one(l);
}

/* How wide the elements of each storage are stands with the tensors, so their ids are read first.
 */
static unsigned width_of(const loader *l, const old_storage *widths, size_t n, snug_slice key)
{
    old_storage        want = {.key = key};
    const old_storage *s = n == 0 ? NULL : bsearch(&want, widths, n, sizeof want, by_key);
    (void)l;
    return s == NULL ? 0 : (unsigned)s->bytes.len;
}

/* Every persistent id of the object: key and bytes per element (as a length). */
static snug_status collect_widths(loader *l, uint32_t nodes, old_storage **out, size_t *count)
{
    size_t n = 0;
    for (uint32_t id = 0; id < nodes; id++) n += pickle_get(l->p, id)->kind == PICKLE_PERSID;
    *out = snug_arena_array_try(l->arena, n + 1, sizeof **out);
    *count = 0;
    if (*out == NULL) return snug_fail(l->err, SNUG_ENOMEM, "no memory for %zu storages", n);
    for (uint32_t id = 0; id < nodes; id++) {
        const pickle_node *node = pickle_get(l->p, id);
        uint32_t           t = node->kind == PICKLE_PERSID ? node->v.link.a : 0;
        const pickle_import *class = pickle_import_of(l->p, pickle_item(l->p, t, 1));
        codec_dtype dtype;
        snug_slice  key;
        if (class == NULL || !key_text(l, pickle_item(l->p, t, 2), &key)) continue;
        size_t width = find_dtype(class->name, true, &dtype) ? codec_dtype_bits(dtype) / 8 : 1;
        if (snug_eq_str(class->name, "ComplexDoubleStorage")) width = 16;
        (*out)[(*count)++] = (old_storage){key, {NULL, width}};
    }
    if (*count > 1) qsort(*out, *count, sizeof **out, by_key);
    return SNUG_OK;
}

static snug_status load_old(loader *l, snug_slice file)
{
    int64_t      version = 0;
    uint32_t     object = 0;
    size_t       width_count;
    old_storage *widths;
    snug_status  st = SNUG_OK;
    l->p = machine(l, file);
    for (unsigned i = 0; i < CODEC_TORCH_PICKLES; i++) {
        st = run_one(l);
        if (st != SNUG_OK) return st;
        if (i == 1 && (!pickle_to_i64(l->p, pickle_top(l->p), &version) || version != 1001))
            return snug_fail(l->err, SNUG_EUNSUPPORTED,
                             "torch file protocol %" PRId64 "; 1001 is read", version);
        if (i == 2 &&
            pickle_get(l->p, pickle_member(l->p, pickle_top(l->p), "little_endian"))->v.i != 1)
            return snug_fail(l->err, SNUG_EUNSUPPORTED,
                             "the checkpoint was written in big-endian order");
        if (i == 3) object = pickle_top(l->p);
    }
    uint32_t keys = pickle_top(l->p);
    st = collect_widths(l, pickle_count(l->p), &widths, &width_count);
    if (st != SNUG_OK) return st;
    snug_rd r = snug_rd_init(snug_sub(file, (size_t)pickle_at(l->p), SIZE_MAX));
    l->olds = snug_arena_array_try(l->arena, pickle_get(l->p, keys)->n, sizeof *l->olds);
    if (pickle_get(l->p, keys)->kind != PICKLE_LIST ||
        (l->olds == NULL && pickle_get(l->p, keys)->n > 0))
        return snug_fail(l->err, SNUG_ECORRUPT, "the list of storages is none");
    for (uint32_t c = pickle_first(l->p, keys); c != 0; c = pickle_next(l->p, c)) {
        old_storage *s = &l->olds[l->old_count];
        uint64_t     size;
        if (!key_text(l, pickle_value(l->p, c), &s->key))
            return snug_fail(l->err, SNUG_ECORRUPT, "the name of a storage is none");
        uint64_t n = snug_rd_u64le(&r);
        if (__builtin_mul_overflow(n, width_of(l, widths, width_count, s->key), &size))
            size = UINT64_MAX;
        s->bytes = snug_rd_bytes(&r, size);
        if (r.bad)
            return snug_fail(l->err, SNUG_ECORRUPT, "the file is cut off inside storage \"%.*s\"",
                             SNUG_SLICE(snug_sub(s->key, 0, SHOWN_MAX)));
        l->old_count++;
    }
    if (l->old_count > 1) qsort(l->olds, l->old_count, sizeof *l->olds, by_key);
    pickle_set_top(l->p, object);
    return SNUG_OK;
}

static snug_status load_npy(loader *l, snug_slice name, snug_slice bytes)
{
    codec_npy   npy;
    snug_status st = codec_npy_parse(bytes, &npy, l->err);
    if (st == SNUG_OK && npy.pickled)
        st = snug_fail(l->err, SNUG_EUNSUPPORTED, "an array of Python objects is no tensor");
    if (st == SNUG_OK) st = add_view(l, name, &npy.view);
    if (st != SNUG_OK) snug_note(l->err, "%.*s", SNUG_SLICE(snug_sub(name, 0, SHOWN_MAX)));
    return st;
}

static snug_status load_npz(loader *l, snug_slice file)
{
    snug_status st = codec_zip_open(l->arena, file, &l->zip, l->err);
    for (size_t i = 0; st == SNUG_OK && i < l->zip.count; i++) {
        const codec_zip_entry *e = &l->zip.entries[i];
        snug_slice             bytes;
        if (e->is_dir) continue;
        if (e->method != 0 && (e->size > UNPACK_MAX || (l->unpacked += e->size) > UNPACK_MAX))
            return snug_fail(l->err, SNUG_ELIMIT, "packed arrays of more than %" PRIu64 " bytes",
                             UNPACK_MAX);
        st = codec_zip_read(l->arena, &l->zip, e, UINT64_MAX, &bytes, l->err);
        if (st == SNUG_OK) st = load_npy(l, snug_sub(e->name, 0, e->name.len - 4), bytes);
    }
    return st;
}

/* What keeps a file from being read, as a sentence. */
static snug_status refuse(const codec_scan *s, snug_err *err)
{
    snug_status st = s->verdict == CODEC_DANGEROUS ? SNUG_ECORRUPT : SNUG_EUNSUPPORTED;
    for (size_t i = 0; i < s->import_count; i++) {
        const codec_scan_import *m = &s->imports[i];
        if (m->verdict != s->verdict) continue;
        return snug_fail(err, st, "loading it would import %.*s.%.*s (%s, byte %" PRIu64 "%s%.*s)",
                         SNUG_SLICE(snug_sub(m->module, 0, SHOWN_MAX)),
                         SNUG_SLICE(snug_sub(m->name, 0, SHOWN_MAX)),
                         codec_verdict_name(m->verdict), m->offset, m->part.len > 0 ? " of " : "",
                         SNUG_SLICE(snug_sub(m->part, 0, SHOWN_MAX)));
    }
    for (size_t i = 0; i < s->remark_count; i++) {
        if (s->remarks[i].verdict == s->verdict)
            return snug_fail(err, st, "%.*s", SNUG_SLICE(s->remarks[i].text));
    }
    return snug_fail(err, st, "the file is %s", codec_verdict_name(s->verdict));
}

snug_status codec_checkpoint_open(snug_arena *a, snug_slice file, codec_checkpoint *out,
                                  snug_err *err)
{
    codec_scan  found;
    snug_status st = SNUG_OK;
    *out = (codec_checkpoint){0};
    loader l = {.arena = a,
                .out = out,
                .err = err,
                .total_max = GROWTH_FREE + GROWTH_MAX * (uint64_t)file.len};

    codec_scan_bytes(a, file, &found);
    out->format = found.format;
    if (found.verdict != CODEC_SAFE) SNUG_TRY(refuse(&found, err));
    if (strcmp(found.format, "npy") == 0) {
        st = load_npy(&l, SNUG_LIT("arr_0"), file);
    } else if (strcmp(found.format, "npz") == 0) {
        st = load_npz(&l, file);
    } else {
        if (strcmp(found.format, "torch zip") == 0)
            st = load_zip(&l, file);
        else if (strcmp(found.format, "torch") == 0)
            st = load_old(&l, file);
        else if (strcmp(found.format, "pickle") == 0) {
            l.p = machine(&l, file);
            st = run_one(&l);
        } else
            st = snug_fail(err, SNUG_EUNSUPPORTED,
                           "a %s file is no checkpoint that can be converted", found.format);
        if (st == SNUG_OK) st = walk_top(&l);
    }
    if (st == SNUG_OK && out->count == 0)
        st = snug_fail(err, SNUG_EUNSUPPORTED, "there are no tensors in it");
done:
    return st;
}
