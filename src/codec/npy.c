/* SPDX-License-Identifier: Apache-2.0 */
/* codec/npy.c - numpy's .npy files, versions 1 to 3.
 *
 * For:     codec/torch.c (numpy files become tensors), codec/scan.c (object arrays hide pickles).
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   the header's three keys are there once each, and the data part is exactly as long as
 * they say.
 *
 *   byte 0   "\x93NUMPY"  u8 major  u8 minor
 *   byte 8   u16 (version 1) or u32 (2, 3): length of the header
 *   then     a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }, blanks, \n
 *   then     the elements, rows first or (fortran_order) columns first */
#include <inttypes.h>

#include "codec/npy_int.h"

enum { SHOWN_MAX = 40, NEST_MAX = 16 };

/* ---- the dtype ---- */

static const struct {
    const char *name; /* kind and bytes */
    codec_dtype dtype;
} kinds[] = {
    {"b1", CODEC_BOOL}, {"i1", CODEC_I8},  {"i2", CODEC_I16}, {"i4", CODEC_I32}, {"i8", CODEC_I64},
    {"u1", CODEC_U8},   {"u2", CODEC_U16}, {"u4", CODEC_U32}, {"u8", CODEC_U64}, {"f2", CODEC_F16},
    {"f4", CODEC_F32},  {"f8", CODEC_F64}, {"c8", CODEC_C64},
};

bool codec_npy_dtype(snug_slice descr, codec_dtype *out, bool *big_endian)
{
    *big_endian = false;
    if (descr.len > 0 && strchr("<>|=", descr.ptr[0]) != NULL) {
        *big_endian = descr.ptr[0] == '>';
        descr = snug_sub(descr, 1, SIZE_MAX);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!snug_eq_str(descr, kinds[i].name)) continue;
        *out = kinds[i].dtype;
        if (descr.ptr[1] == '1') *big_endian = false;
        return true;
    }
    return false;
}

/* ---- the header: the few Python literals numpy writes ---- */

typedef struct literal {
    snug_slice in;
    size_t     at;
} literal;

typedef struct header {
    snug_slice descr; /* a type string; empty: a list of fields */
    bool       has_descr, has_order, has_shape, fortran, objects;
    unsigned   rank;
    uint64_t   shape[CODEC_ST_RANK_MAX];
} header;

static void skip_blanks(literal *l)
{
    while (l->at < l->in.len && (l->in.ptr[l->at] == ' ' || l->in.ptr[l->at] == '\n')) l->at++;
}

static bool accept(literal *l, char c)
{
    skip_blanks(l);
    if (l->at >= l->in.len || l->in.ptr[l->at] != c) return false;
    l->at++;
    return true;
}

static bool accept_word(literal *l, const char *word)
{
    skip_blanks(l);
    if (!snug_starts_with(snug_sub(l->in, l->at, SIZE_MAX), word)) return false;
    l->at += strlen(word);
    return true;
}

static bool take_string(literal *l, snug_slice *out)
{
    skip_blanks(l);
    char quote = l->at < l->in.len ? l->in.ptr[l->at] : 0;
    if (quote != '\'' && quote != '"') return false;
    size_t from = ++l->at;
    while (l->at < l->in.len && l->in.ptr[l->at] != quote) {
        if (l->in.ptr[l->at] == '\\') return false; /* numpy never needs one */
        l->at++;
    }
    *out = snug_sub(l->in, from, l->at - from);
    return l->at++ < l->in.len;
}

static bool take_number(literal *l, uint64_t *out)
{
    skip_blanks(l);
    size_t from = l->at;
    while (l->at < l->in.len && l->in.ptr[l->at] >= '0' && l->in.ptr[l->at] <= '9') l->at++;
    bool ok = snug_parse_u64(snug_sub(l->in, from, l->at - from), out);
    (void)accept(l, 'L'); /* Python 2 */
    return ok;
}

/* A list of fields is not read, only searched for objects and left behind. */
static bool skip_fields(literal *l, unsigned depth, header *h)
{
    snug_slice text;
    uint64_t   number;
    char       close;
    if (depth > NEST_MAX) return false;
    if (accept(l, '['))
        close = ']';
    else if (accept(l, '('))
        close = ')';
    else {
        if (!take_string(l, &text)) return accept_word(l, "None") || take_number(l, &number);
        h->objects |= snug_ends_with(text, "O");
        return true;
    }
    while (!accept(l, close)) {
        if (!skip_fields(l, depth + 1, h)) return false;
        if (!accept(l, ',')) return accept(l, close);
    }
    return true;
}

static bool take_shape(literal *l, header *h)
{
    if (!accept(l, '(')) return false;
    while (!accept(l, ')')) {
        if (h->rank == CODEC_ST_RANK_MAX || !take_number(l, &h->shape[h->rank])) return false;
        h->rank++;
        if (!accept(l, ',')) return accept(l, ')');
    }
    return true;
}

static bool take_member(literal *l, header *h)
{
    snug_slice key;
    bool      *seen;
    if (!take_string(l, &key) || !accept(l, ':')) return false;
    seen = snug_eq_str(key, "descr")           ? &h->has_descr
           : snug_eq_str(key, "fortran_order") ? &h->has_order
           : snug_eq_str(key, "shape")         ? &h->has_shape
                                               : NULL;
    if (seen == NULL || *seen) return false;
    *seen = true;
    if (seen == &h->has_shape) return take_shape(l, h);
    if (seen == &h->has_order) {
        h->fortran = accept_word(l, "True");
        return h->fortran || accept_word(l, "False");
    }
    skip_blanks(l);
    if (l->at < l->in.len && l->in.ptr[l->at] == '[') return skip_fields(l, 0, h);
    if (!take_string(l, &h->descr) || h->descr.len == 0) return false;
    h->objects = snug_ends_with(h->descr, "O");
    return true;
}

static bool read_header(snug_slice text, header *h)
{
    literal l = {text, 0};
    if (!accept(&l, '{')) return false;
    while (!accept(&l, '}')) {
        if (!take_member(&l, h)) return false;
        if (accept(&l, ',')) continue;
        if (!accept(&l, '}')) return false;
        break;
    }
    skip_blanks(&l);
    return l.at == l.in.len && h->has_descr && h->has_order && h->has_shape;
}

/* ---- the file ---- */

void codec_npy_strides(codec_view *v, bool fortran)
{
    uint64_t step = 1;
    for (unsigned i = 0; i < v->tensor.rank; i++) {
        unsigned d = fortran ? i : v->tensor.rank - 1 - i;
        v->strides[d] = step;
        /* An overflow shows when the view is checked: its shape is the same product. */
        if (__builtin_mul_overflow(step, v->tensor.shape[d], &step)) step = UINT64_MAX;
    }
}

static snug_status find_header(snug_slice file, snug_slice *text, uint64_t *data, snug_err *err)
{
    snug_rd    r = snug_rd_init(file);
    snug_slice magic = snug_rd_bytes(&r, 6);
    unsigned   major = snug_rd_u8(&r);
    (void)snug_rd_u8(&r);
    if (r.bad || !snug_eq(magic, SNUG_LIT("\x93NUMPY")))
        return snug_fail(err, SNUG_ECORRUPT, "a .npy file starts with \"\\x93NUMPY\"");
    if (major < 1 || major > 3)
        return snug_fail(err, SNUG_EUNSUPPORTED, ".npy version %u; 1 to 3 are read", major);
    uint64_t n = major == 1 ? snug_rd_u16le(&r) : snug_rd_u32le(&r);
    if (n > CODEC_NPY_HEADER_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a .npy header of %" PRIu64 " bytes; the limit is %d", n,
                         CODEC_NPY_HEADER_MAX);
    *text = snug_rd_bytes(&r, n);
    if (r.bad) return snug_fail(err, SNUG_ECORRUPT, "the .npy header is cut off");
    *data = file.len - snug_rd_left(&r);
    return SNUG_OK;
}

snug_status codec_npy_parse(snug_slice file, codec_npy *out, snug_err *err)
{
    snug_slice  text;
    header      h = {0};
    uint64_t    count;
    snug_status st;

    *out = (codec_npy){0};
    st = find_header(file, &text, &out->data_offset, err);
    if (st != SNUG_OK) return st;
    if (!read_header(text, &h))
        return snug_fail(
            err, SNUG_ECORRUPT,
            "the .npy header is not the dict of descr, fortran_order and shape it must be");
    out->pickled = h.objects;
    if (h.objects && h.descr.len > 0) return SNUG_OK;
    codec_view *v = &out->view;
    if (!codec_npy_dtype(h.descr, &v->tensor.dtype, &v->swap))
        return snug_fail(
            err, SNUG_EUNSUPPORTED, "elements of numpy type %s%.*s%s cannot become a tensor",
            h.descr.len ? "\"" : "",
            SNUG_SLICE(h.descr.len ? snug_sub(h.descr, 0, SHOWN_MAX) : SNUG_LIT("record")),
            h.descr.len ? "\"" : "");
    v->tensor.rank = h.rank;
    memcpy(v->tensor.shape, h.shape, sizeof h.shape);
    v->storage = snug_sub(file, (size_t)out->data_offset, SIZE_MAX);
    codec_npy_strides(v, h.fortran);
    st = codec_view_check(v, &count, err);
    if (st == SNUG_OK && count * (codec_dtype_bits(v->tensor.dtype) / 8) != v->storage.len)
        st = snug_fail(err, SNUG_ECORRUPT,
                       "%zu bytes of elements follow the .npy header, not %" PRIu64, v->storage.len,
                       count * (codec_dtype_bits(v->tensor.dtype) / 8));
    return st;
}

/* ---- writing ---- */

void codec_npy_put_header(snug_buf *out, const char *descr, const uint64_t *shape, size_t rank)
{
    enum { ALIGN = 64, MARK = 10 }; /* numpy aligns the elements; MARK bytes before the dict */
    SNUG_AUTO(snug_buf) dict = snug_buf_init(1024);
    SNUG_ASSERT(rank <= CODEC_ST_RANK_MAX);
    snug_buf_printf(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (size_t i = 0; i < rank; i++) snug_buf_printf(&dict, "%" PRIu64 ", ", shape[i]);
    snug_buf_puts(&dict, "), }");
    size_t pad = (ALIGN - (MARK + dict.len + 1) % ALIGN) % ALIGN;
    for (size_t i = 0; i < pad; i++) snug_buf_putc(&dict, ' ');
    snug_buf_putc(&dict, '\n');
    snug_buf_put(out, "\x93NUMPY\x01", 7);
    snug_buf_putc(out, '\0');
    snug_buf_putc(out, (char)(dict.len & 255));
    snug_buf_putc(out, (char)(dict.len >> 8));
    snug_buf_put(out, dict.ptr, dict.len);
}
