/* SPDX-License-Identifier: Apache-2.0 */
/* codec/scan.c - finds every pickle in a file and says what loading it would import.
 *
 * For:     snug scan, snug convert, and the hub's scan of what is pushed.
 * Owns:    nothing; results live in the caller's arena, scratch memory in its own.
 * Threads: pure functions.
 * Truth:   nothing is executed; what cannot be followed to its end is never called safe.
 *
 * A file is a part; archives, compressed streams and constants inside pickles give further parts,
 * to a depth of DEPTH_MAX. One part is looked at in up to three ways, because a loader may do the
 * same: by its magic, as an archive found from its end, and as a pickle whatever it starts with.
 * Unpacked bytes and machine steps are paid from budgets, so that no file costs more than it
 * should. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/pickle_int.h"
#include "codec/scan_int.h"
#include "codec/zip_int.h"

enum {
    DEPTH_MAX = 6,
    PICKLES_MAX = 10000, /* in a row */
    REMARKS_MAX = 1000,
    PART_SHOWN_MAX = 400,
    SWEEP_MAX = 2000, /* local headers tried in a broken archive */
    TAR_BLOCK = 512,
    NESTED_MIN = 4 /* bytes of a constant that could hold a pickle */
};
static const uint64_t PART_MAX = 256 << 20, UNPACK_MAX = (uint64_t)1 << 30, CRC_MAX = 64 << 20,
                      WORK_MIN = (uint64_t)1 << 30;

/* ---- the report ---- */

void codec_scan_remark_add(scan *s, codec_verdict v, snug_slice part, const char *fmt, ...)
{
    va_list ap;
    char    text[400];
    if (v > s->out->verdict) s->out->verdict = v;
    if (s->out->remark_count >= REMARKS_MAX) return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (s->out->remark_count == s->remark_cap) {
        size_t             cap = s->remark_cap == 0 ? 8 : s->remark_cap * 2;
        codec_scan_remark *wider = snug_arena_zalloc(s->arena, cap * sizeof *wider);
        if (s->remark_cap > 0) memcpy(wider, s->out->remarks, s->remark_cap * sizeof *wider);
        s->out->remarks = wider;
        s->remark_cap = cap;
    }
    s->out->remarks[s->out->remark_count++] = (codec_scan_remark){
        .verdict = v,
        .part = snug_arena_dup(s->arena, snug_sub(part, 0, PART_SHOWN_MAX)),
        .text = snug_arena_dup(s->arena,
                               snug_slice_of(text, n < 0                     ? 0
                                                   : (size_t)n < sizeof text ? (size_t)n
                                                                             : sizeof text - 1))};
}

static void add_import(scan *s, snug_slice part, const pickle_import *i, uint64_t base)
{
    codec_verdict v = codec_judge_import(i->module, i->name);
    if (v > s->out->verdict) s->out->verdict = v;
    if (s->out->import_count >= PICKLE_IMPORTS_MAX) {
        if (s->import_cap != SIZE_MAX)
            codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                                  "more than %d imports; the rest is judged, not listed",
                                  PICKLE_IMPORTS_MAX);
        s->import_cap = SIZE_MAX;
        return;
    }
    if (s->out->import_count == s->import_cap) {
        size_t             cap = s->import_cap == 0 ? 16 : s->import_cap * 2;
        codec_scan_import *wider = snug_arena_zalloc(s->arena, cap * sizeof *wider);
        if (s->import_cap > 0) memcpy(wider, s->out->imports, s->import_cap * sizeof *wider);
        s->out->imports = wider;
        s->import_cap = cap;
    }
    s->out->imports[s->out->import_count++] =
        (codec_scan_import){.module = snug_arena_dup(s->arena, i->module),
                            .name = snug_arena_dup(s->arena, i->name),
                            .part = snug_arena_dup(s->arena, snug_sub(part, 0, PART_SHOWN_MAX)),
                            .offset = base + i->offset,
                            .how = i->how,
                            .count = i->count,
                            .calls = i->calls,
                            .verdict = v};
}

/* "outer", "inner" -> "outer: inner" */
static snug_slice part_in(scan *s, snug_slice outer, snug_slice inner)
{
    inner = snug_sub(inner, 0, PART_SHOWN_MAX);
    if (outer.len == 0) return inner;
    return snug_arena_printf(s->arena, "%.*s: %.*s", SNUG_SLICE(snug_sub(outer, 0, PART_SHOWN_MAX)),
                             SNUG_SLICE(inner));
}

static bool pay(uint64_t *budget, uint64_t n)
{
    if (n > *budget) return false;
    *budget -= n;
    return true;
}

static bool begins(snug_slice b, const char *magic, size_t n)
{
    return b.len >= n && memcmp(b.ptr, magic, n) == 0;
}
#define BEGINS(b, lit) begins(b, lit, sizeof(lit) - 1)

static const char *scan_part(scan *s, snug_slice part, snug_slice bytes, unsigned depth,
                             bool inner);

/* ---- pickles ---- */

/* The opcode PROTO and a version that exists. */
static bool has_proto(snug_slice b)
{
    return b.len >= 2 && (unsigned char)b.ptr[0] == 0x80 && (unsigned char)b.ptr[1] <= 5;
}

/* A name Python code could have: without PROTO any bytes may look like an import by chance. */
static bool is_plausible(snug_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
                    (i > 0 && c >= '0' && c <= '9');
        if (!fine) return false;
    }
    return name.len > 0;
}

typedef struct nested {
    scan      *s;
    snug_slice part;
    unsigned   depth, found;
    bool       skipped; /* bytes that only joblib skips */
} nested;

/* A constant of a pickle that looks like a pickle or an archive itself. */
static void on_text(void *arg, snug_slice text, uint64_t offset)
{
    nested *n = arg;
    if (text.len < NESTED_MIN || n->found >= PICKLES_MAX) return;
    if (!has_proto(text) && !BEGINS(text, "PK\3\4") && !BEGINS(text, "\x1f\x8b") &&
        !BEGINS(text, "\x93NUMPY"))
        return;
    n->found++;
    snug_slice at = snug_arena_printf(n->s->arena, "constant at %" PRIu64, offset);
    (void)scan_part(n->s, part_in(n->s, n->part, at), text, n->depth + 1, true);
}

static const char *scan_pickle(scan *s, snug_slice part, snug_slice bytes, unsigned depth,
                               bool inner);

/* joblib writes the bytes of an array into the stream, right behind the BUILD of its wrapper; an
 * array of objects is a pickle there. */
static void on_build(void *arg, pickle *p, uint32_t id)
{
    nested *n = arg;
    if (!pickle_calls(p, id, "joblib.numpy_pickle", "NumpyArrayWrapper")) return;
    codec_joblib kind = codec_skip_joblib_array(p, id);
    n->skipped |= kind != CODEC_JOBLIB_NONE;
    if (kind != CODEC_JOBLIB_OBJECTS || n->depth >= DEPTH_MAX || n->found >= PICKLES_MAX) return;
    uint64_t   at = pickle_at(p);
    snug_slice rest = pickle_bytes_at(p, at, UINT64_MAX),
               name = snug_arena_printf(n->s->arena, "objects at %" PRIu64, at);
    pickle *length = pickle_new(rest);
    if (pickle_run(length) == PICKLE_DONE && pay(&n->s->work, pickle_at(length))) {
        rest.len = (size_t)pickle_at(length);
        (void)scan_pickle(n->s, part_in(n->s, n->part, name), rest, n->depth + 1, false);
        pickle_seek(p, at + rest.len);
        n->found++;
    }
    pickle_free(length);
}

static void report_flags(scan *s, snug_slice part, const pickle *p, bool torch)
{
    unsigned f = pickle_flags(p);
    if (f & PICKLE_HAS_COMPUTED)
        codec_scan_remark_add(s, CODEC_DANGEROUS, part,
                              "imports a name that is only computed while loading");
    if (f & PICKLE_HAS_EXT)
        codec_scan_remark_add(
            s, CODEC_UNKNOWN, part,
            "imports by a code of the extension registry, which is not in the file");
    if (f & PICKLE_HAS_INDIRECT)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "calls what is no import: the result of a call, or data");
    if (f & PICKLE_HAS_CLASS_STATE)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "changes an imported class or function instead of an instance");
    if ((f & PICKLE_HAS_PERSID) && !torch)
        codec_scan_remark_add(
            s, CODEC_UNKNOWN, part,
            "refers to objects that only the program that loads it knows (persistent ids)");
}

static bool is_reported(const scan *s, snug_slice part, const pickle_import *i)
{
    for (size_t k = 0; k < s->out->import_count; k++) {
        const codec_scan_import *m = &s->out->imports[k];
        if (m->offset == i->offset && snug_eq(m->name, i->name) && snug_eq(m->module, i->module) &&
            snug_eq(m->part, snug_sub(part, 0, PART_SHOWN_MAX)))
            return true;
    }
    return false;
}

static void report_imports(scan *s, snug_slice part, const pickle *p, bool only_plausible)
{
    size_t               n;
    const pickle_import *list = pickle_imports(p, &n);
    for (size_t i = 0; i < n; i++) {
        if (!only_plausible || (is_plausible(list[i].module) && is_plausible(list[i].name)))
            add_import(s, part, &list[i], 0);
    }
}

/* Does it import anything? Behind PROTO every name counts, else only one that code could have. */
static bool has_import(const pickle *p, bool proto)
{
    size_t               n;
    const pickle_import *list = pickle_imports(p, &n);
    if (proto) return n > 0 || (pickle_flags(p) & (PICKLE_HAS_EXT | PICKLE_HAS_COMPUTED)) != 0;
    for (size_t i = 0; i < n; i++) {
        if (is_plausible(list[i].module) && is_plausible(list[i].name)) return true;
    }
    return false;
}

/* The first of five pickles of a torch file before 1.6 is this number. */
static bool is_old_torch(snug_slice b)
{
    return BEGINS(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
}

/* Runs all pickles of a row. *done: how many ended with STOP. */
static pickle_end run_row(scan *s, pickle *p, snug_slice bytes, size_t *done)
{
    pickle_end end = PICKLE_DONE;
    size_t     most = is_old_torch(bytes) ? CODEC_TORCH_PICKLES : PICKLES_MAX;
    *done = 0;
    while (*done < most) {
        uint64_t before = pickle_at(p);
        end = pickle_run(p);
        if (!pay(&s->work, pickle_at(p) - before)) {
            if (!s->spent)
                codec_scan_remark_add(s, CODEC_UNKNOWN, SNUG_EMPTY,
                                      "it takes more work than a scan may");
            s->spent = true;
            return PICKLE_TOO_LARGE;
        }
        if (end != PICKLE_DONE) return end;
        ++*done;
    }
    return pickle_at(p) == bytes.len ? PICKLE_EMPTY : end;
}

/* What only joblib skips, pickle.load would run: the same bytes once more, without skipping. Array
 * bytes look like opcodes by chance, so what cannot be a name is no finding. */
static void scan_unskipped(scan *s, snug_slice part, snug_slice bytes)
{
    pickle *p = pickle_new(bytes);
    size_t  done;
    (void)run_row(s, p, bytes, &done);
    size_t               n;
    const pickle_import *list = pickle_imports(p, &n);
    for (size_t i = 0; i < n; i++) {
        if (is_plausible(list[i].module) && is_plausible(list[i].name) &&
            !is_reported(s, part, &list[i]))
            add_import(s, part, &list[i], 0);
    }
    if (pickle_flags(p) & (PICKLE_HAS_EXT | PICKLE_HAS_COMPUTED | PICKLE_HAS_INDIRECT))
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "the bytes of an array would act as opcodes for a plain pickle.load");
    pickle_free(p);
}

/* Tries bytes as pickles. inner: a part of something else, where other bytes are nothing special.
 * Returns the format, or NULL when they are no pickle. */
static const char *scan_pickle(scan *s, snug_slice part, snug_slice bytes, unsigned depth,
                               bool inner)
{
    pickle     *p = pickle_new(bytes);
    nested      n = {.s = s, .part = part, .depth = depth};
    size_t      done;
    bool        proto = has_proto(bytes), old = is_old_torch(bytes);
    const char *format = NULL;

    pickle_on_text(p, on_text, &n);
    pickle_on_build(p, on_build, &n);
    pickle_end end = run_row(s, p, bytes, &done);
    bool       whole = done > 0 && pickle_ops(p) > done; /* a lone STOP is not worth the name */
    bool       found = has_import(p, proto);
    uint64_t   at = pickle_at(p);
    if (end == PICKLE_TOO_LARGE && !found && !inner && !proto)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "could be a pickle: %s", pickle_why(p));
    if (!found && !(whole && (proto || !inner)) && !(proto && !inner)) goto done_; /* chance */
    if (!found && inner && done > 0 && end != PICKLE_EMPTY) goto done_;
    format = old ? "torch" : "pickle";
    report_imports(s, part, p, !proto);
    report_flags(s, part, p, s->torch || old);
    if (end == PICKLE_EMPTY || (old && done == CODEC_TORCH_PICKLES)) goto done_;
    if (done == PICKLES_MAX)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "more than %d pickles in a row", PICKLES_MAX);
    else if (done == 0)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "the pickle cannot be followed past byte %" PRIu64 ": %s", at,
                              pickle_why(p));
    else
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "bytes follow pickle %zu that are none: at byte %" PRIu64 " %s", done,
                              at, pickle_why(p));
done_:
    pickle_free(p);
    if (n.skipped) scan_unskipped(s, part, bytes);
    return format;
}

/* ---- zip ---- */

static const char *zip_format(const codec_zip *z)
{
    bool data = false, code = false, npy = z->count > 0;
    for (size_t i = 0; i < z->count; i++) {
        snug_slice name = z->entries[i].name;
        data |= snug_ends_with(name, "/data.pkl");
        code |= snug_find(name, SNUG_LIT("/code/")) != SIZE_MAX ||
                snug_ends_with(name, "/constants.pkl");
        npy &= snug_ends_with(name, ".npy");
    }
    return data && code ? "torchscript" : data ? "torch zip" : npy ? "npz" : "zip";
}

static void scan_entry(scan *s, snug_slice part, const codec_zip *z, const codec_zip_entry *e,
                       unsigned depth)
{
    snug_arena *scratch = snug_arena_new();
    snug_err    err = {0};
    snug_slice  bytes, name = part_in(s, part, e->name);
    bool        is_pickle = snug_ends_with(e->name, ".pkl") || snug_ends_with(e->name, ".pickle");
    if (e->method == 0 && e->size > CRC_MAX &&
        !is_pickle) { /* tensors by the gigabyte: only sniffed */
        bytes = snug_sub(z->file, (size_t)e->offset, (size_t)e->size);
    } else if (e->method != 0 && !pay(&s->unpack, e->size)) {
        codec_scan_remark_add(s, CODEC_UNKNOWN, name, "unpacks to more bytes than are looked at");
        goto done;
    } else if (codec_zip_read(scratch, z, e, e->method == 0 ? UINT64_MAX : PART_MAX, &bytes,
                              &err) != SNUG_OK) {
        codec_scan_remark_add(s, CODEC_UNKNOWN, name, "%s", err.msg);
        bytes = snug_sub(z->file, (size_t)e->offset, (size_t)e->packed);
        if (e->method != 0) goto done;
    }
    if (scan_part(s, name, bytes, depth + 1, true) == NULL && is_pickle)
        codec_scan_remark_add(s, CODEC_UNKNOWN, name, "is named a pickle and is none");
done:
    snug_arena_free(scratch);
}

/* An archive that is refused may still be read by others: every local header is followed. */
static void sweep_zip(scan *s, snug_slice part, snug_slice file, unsigned depth)
{
    size_t at = 0, found = 0;
    while (at < file.len && found < SWEEP_MAX) {
        size_t next = snug_find(snug_sub(file, at, SIZE_MAX), SNUG_LIT("PK\3\4"));
        if (next == SIZE_MAX) break;
        at += next;
        snug_rd r = snug_rd_init(snug_sub(file, at, SIZE_MAX));
        (void)snug_rd_bytes(&r, 8);
        unsigned method = snug_rd_u16le(&r);
        (void)snug_rd_bytes(&r, 8);
        uint32_t packed = snug_rd_u32le(&r);
        (void)snug_rd_u32le(&r);
        unsigned   name_len = snug_rd_u16le(&r), extra_len = snug_rd_u16le(&r);
        snug_slice name = snug_rd_bytes(&r, name_len);
        (void)snug_rd_bytes(&r, extra_len);
        at += 4;
        if (r.bad) continue;
        snug_arena *scratch = snug_arena_new();
        snug_slice  bytes = snug_slice_of(r.p, snug_rd_left(&r));
        size_t      used;
        snug_slice  label = part_in(s, part, snug_utf8_valid(name) ? name : SNUG_LIT("?"));
        if (method == 0 && packed != 0 && packed < bytes.len) bytes.len = packed;
        if (method == 8)
            (void)codec_inflate(scratch, bytes, CODEC_DEFLATE_RAW,
                                s->unpack < PART_MAX ? s->unpack : PART_MAX, &bytes, &used);
        if (method == 8) (void)pay(&s->unpack, bytes.len);
        (void)scan_pickle(s, label, bytes, depth + 1, true);
        snug_arena_free(scratch);
        found++;
    }
    if (found == SWEEP_MAX)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "more than %d entries in a broken archive",
                              SWEEP_MAX);
}

static const char *scan_zip(scan *s, snug_slice part, snug_slice bytes, unsigned depth)
{
    snug_arena *scratch = snug_arena_new();
    snug_err    err = {0};
    codec_zip   z;
    const char *format = "zip";
    bool        outer_torch = s->torch;
    if (codec_zip_open(scratch, bytes, &z, &err) != SNUG_OK) {
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "broken or crafted archive: %s", err.msg);
        sweep_zip(s, part, bytes, depth);
    } else {
        format = zip_format(&z);
        s->torch = strncmp(format, "torch", 5) == 0;
        if (strcmp(format, "torchscript") == 0)
            codec_scan_remark_add(s, CODEC_UNKNOWN, part, "holds program code (TorchScript)");
        for (size_t i = 0; i < z.count; i++) {
            if (!z.entries[i].is_dir) scan_entry(s, part, &z, &z.entries[i], depth);
        }
        s->torch = outer_torch;
    }
    snug_arena_free(scratch);
    return format;
}

/* ---- tar, npy, compressed streams ---- */

static bool is_tar(snug_slice b)
{
    return b.len >= TAR_BLOCK && memcmp(b.ptr + 257, "ustar", 5) == 0;
}

static const char *scan_tar(scan *s, snug_slice part, snug_slice bytes, unsigned depth)
{
    size_t at = 0, found = 0;
    for (; at + TAR_BLOCK <= bytes.len && bytes.ptr[at] != '\0' && found < PICKLES_MAX; found++) {
        const char *h = bytes.ptr + at;
        uint64_t    size = 0;
        bool        bad = memcmp(h + 257, "ustar", 5) != 0;
        for (size_t i = 124; i < 136 && h[i] != '\0' && h[i] != ' '; i++) {
            bad |= h[i] < '0' || h[i] > '7';
            size = size * 8 + (uint64_t)(h[i] & 7);
        }
        at += TAR_BLOCK;
        if (bad || size > bytes.len - at) {
            codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                                  "the tar archive cannot be followed past byte %zu",
                                  at - TAR_BLOCK);
            return "tar";
        }
        snug_slice name = snug_slice_of(h, strnlen(h, 100));
        (void)scan_part(s, part_in(s, part, snug_utf8_valid(name) ? name : SNUG_LIT("?")),
                        snug_sub(bytes, at, (size_t)size), depth + 1, true);
        at += ((size_t)size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        if (at > bytes.len) at = bytes.len;
    }
    if (found == PICKLES_MAX)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "more than %d files in a tar archive",
                              PICKLES_MAX);
    return "tar";
}

static const char *scan_npy(scan *s, snug_slice part, snug_slice bytes, unsigned depth)
{
    codec_npy   npy;
    snug_err    err = {0};
    snug_status st = codec_npy_parse(bytes, &npy, &err);
    if (npy.pickled) {
        snug_slice data = snug_sub(bytes, (size_t)npy.data_offset, SIZE_MAX);
        if (scan_pickle(s, part_in(s, part, SNUG_LIT("objects")), data, depth, false) == NULL)
            codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                                  "an array of objects whose pickle cannot be read");
    } else if (st != SNUG_OK && st != SNUG_EUNSUPPORTED) {
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "%s", err.msg);
    }
    return "npy";
}

static const char *scan_deflated(scan *s, snug_slice part, snug_slice bytes, unsigned depth,
                                 codec_deflate kind)
{
    snug_arena *scratch = snug_arena_new();
    snug_slice  inside;
    size_t      used;
    uint64_t    max = s->unpack < PART_MAX ? s->unpack : PART_MAX;
    const char *format = kind == CODEC_DEFLATE_GZIP ? "gzip" : "zlib";
    bool whole = codec_inflate(scratch, bytes, kind, max, &inside, &used) && used == bytes.len;
    (void)pay(&s->unpack, inside.len);
    if (kind == CODEC_DEFLATE_ZLIB && !whole &&
        inside.len < TAR_BLOCK) { /* two bytes of magic prove little */
        snug_arena_free(scratch);
        return NULL;
    }
    (void)scan_part(s, part_in(s, part, SNUG_LIT("unpacked")), inside, depth + 1, false);
    if (!whole)
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "the %s stream is broken, too long or followed by other bytes",
                              format);
    snug_arena_free(scratch);
    return format;
}

static const struct {
    const char *magic, *format;
    size_t      n;
} opaque[] = {
    {"7z\xbc\xaf\x27\x1c", "7z", 6},
    {"Rar!\x1a\x07", "rar", 6},
    {"BZh", "bzip2", 3},
    {"\xfd"
     "7zXZ\0",
     "xz", 6},
    {"\x04\x22\x4d\x18", "lz4", 4},
    {"\x28\xb5\x2f\xfd", "zstd", 4},
    {"\x89HDF\r\n\x1a\n", "hdf5", 8},
    {"MSCF", "cab", 4},
    {"\x5d\0\0", "lzma", 3},
};

/* ---- one part ---- */

static bool is_safetensors(snug_slice b, snug_err *err, bool *valid)
{
    uint64_t n;
    if (b.len < 10 || b.ptr[8] != '{' ||
        codec_safetensors_header_size(b, b.len, &n, err) != SNUG_OK)
        return false;
    snug_arena       *a = snug_arena_new();
    codec_safetensors st;
    *valid = codec_safetensors_parse(a, b, b.len, &st, err) == SNUG_OK;
    snug_arena_free(a);
    return true;
}

/* By what it starts with; NULL: nothing known, or a pickle. */
static const char *scan_magic(scan *s, snug_slice part, snug_slice b, unsigned depth)
{
    snug_err    err = {0};
    bool        valid;
    const char *format = NULL;
    if (BEGINS(b, "PK\3\4") || BEGINS(b, "PK\5\6")) return scan_zip(s, part, b, depth);
    if (BEGINS(b, "\x93NUMPY")) return scan_npy(s, part, b, depth);
    if (is_tar(b)) return scan_tar(s, part, b, depth);
    if (BEGINS(b, "\x1f\x8b")) return scan_deflated(s, part, b, depth, CODEC_DEFLATE_GZIP);
    if (b.len > 2 && b.ptr[0] == 0x78 &&
        ((unsigned)(unsigned char)b.ptr[0] * 256 + (unsigned char)b.ptr[1]) % 31 == 0)
        format = scan_deflated(s, part, b, depth, CODEC_DEFLATE_ZLIB);
    if (format != NULL) return format;
    if (BEGINS(b, "GGUF")) {
        snug_arena *a = snug_arena_new();
        codec_gguf  g;
        if (codec_gguf_parse(a, b, b.len, &g, &err) != SNUG_OK)
            codec_scan_remark_add(s, CODEC_UNKNOWN, part, "%s", err.msg);
        snug_arena_free(a);
        return "gguf";
    }
    if (is_safetensors(b, &err, &valid)) {
        if (!valid) codec_scan_remark_add(s, CODEC_UNKNOWN, part, "%s", err.msg);
        return "safetensors";
    }
    for (size_t i = 0; i < sizeof opaque / sizeof *opaque; i++) {
        if (!begins(b, opaque[i].magic, opaque[i].n)) continue;
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "a %s file: what is inside is not looked at",
                              opaque[i].format);
        return opaque[i].format;
    }
    return NULL;
}

static const char *scan_part(scan *s, snug_slice part, snug_slice bytes, unsigned depth, bool inner)
{
    if (bytes.len == 0) return "empty";
    if (depth > DEPTH_MAX) {
        codec_scan_remark_add(s, CODEC_UNKNOWN, part, "nested deeper than %d", DEPTH_MAX);
        return "nested";
    }
    const char *format = scan_magic(s, part, bytes, depth);
    const char *as_pickle = scan_pickle(s, part, bytes, depth, inner || format != NULL);
    if (format != NULL) return format;
    /* Python finds an archive by its end, whatever stands before it. */
    if (bytes.len > 22 && !inner &&
        snug_find(snug_sub(bytes, bytes.len > 65557 ? bytes.len - 65557 : 0, SIZE_MAX),
                  SNUG_LIT("PK\5\6")) != SIZE_MAX) {
        codec_scan_remark_add(s, CODEC_UNKNOWN, part,
                              "a ZIP archive hangs at the end of other bytes");
        sweep_zip(s, part, bytes, depth);
    }
    return as_pickle;
}

void codec_scan_bytes(snug_arena *a, snug_slice file, codec_scan *out)
{
    *out = (codec_scan){0};
    scan s = {
        .arena = a, .out = out, .unpack = UNPACK_MAX, .work = WORK_MIN + 4 * (uint64_t)file.len};
    out->format = scan_part(&s, SNUG_EMPTY, file, 0, false);
    if (out->format != NULL) return;
    out->format = "text";
    if (snug_utf8_valid(file) && snug_index(file, '\0') == SIZE_MAX) return; /* and no pickle */
    out->format = "other";
    codec_scan_remark_add(&s, CODEC_UNKNOWN, SNUG_EMPTY, "not a format that is known here");
}
