/* SPDX-License-Identifier: Apache-2.0 */
/* codec/zip.c - ZIP archives, read so that there is one way to see them.
 *
 * For:     codec/torch.c (checkpoints), codec/npy.c's .npz, codec/scan.c.
 * Owns:    nothing; entries live in the caller's arena and name the caller's bytes.
 * Threads: pure functions.
 * Truth:   entries tile the file from byte 0 to the central directory; each equals its local
 * header.
 *
 *   [local header, data, descriptor?]*  central directory  [zip64 end, zip64 locator]?  end
 *
 *   local header   "PK\3\4"  u16 version flags method time date  u32 crc packed size
 *                            u16 name extra  then both           30 bytes + name + extra
 *   central entry  "PK\1\2"  u16 made-by version flags method time date  u32 crc packed size
 *                            u16 name extra comment disk internal  u32 external  u32 local header
 *                                                                46 bytes + name + extra + comment
 *   end            "PK\5\6"  u16 disk, first disk, entries here, entries  u32 size, offset
 *                            u16 comment                         22 bytes + comment
 *   zip64 end      "PK\6\6"  u64 rest  u16 made-by version  u32 disk, first disk
 *                            u64 entries here, entries, size, offset            56 bytes
 *   zip64 locator  "PK\6\7"  u32 disk  u64 offset of the zip64 end  u32 disks   20 bytes
 *
 * A 32-bit size or offset of all ones is found in the extra field 1 instead. */
#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "codec/zip_int.h"

enum {
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    COMMENT_MAX = 65535,
    DESCRIPTOR_MAX = 24,
    SHOWN_MAX = 80,
    FLAG_ENCRYPTED = 1,
    FLAG_DESCRIPTOR = 8,
    FLAG_PATCH = 32,
    FLAG_STRONG = 64,
    FLAG_MASKED = 8192,
    STORED = 0,
    DEFLATED = 8
};
static const uint32_t ALL_ONES = 0xffffffffu;

static snug_slice shown(snug_slice name) { return snug_sub(name, 0, SHOWN_MAX); }

static snug_rd reader_at(snug_slice file, uint64_t at)
{
    return snug_rd_init(snug_sub(file, at > SIZE_MAX ? SIZE_MAX : (size_t)at, SIZE_MAX));
}

/* ---- the end record ---- */

typedef struct directory {
    uint64_t offset, size, entries, end; /* end: where the records behind the directory start */
} directory;

static bool find_end(snug_slice file, size_t *out)
{
    if (file.len < END_SIZE) return false;
    size_t low = file.len > END_SIZE + COMMENT_MAX ? file.len - END_SIZE - COMMENT_MAX : 0;
    for (size_t at = file.len - END_SIZE + 1; at-- > low;) {
        if (memcmp(file.ptr + at, "PK\5\6", 4) != 0) continue;
        snug_rd r = reader_at(file, at + 20);
        if (at + END_SIZE + snug_rd_u16le(&r) != file.len) continue; /* a comment ends the file */
        *out = at;
        return true;
    }
    return false;
}

/* The 64-bit record, where a locator announces it, must agree with the 32-bit one. */
static snug_status read_end64(snug_slice file, size_t end, directory *d, snug_err *err)
{
    if (end < LOCATOR_SIZE || memcmp(file.ptr + end - LOCATOR_SIZE, "PK\6\7", 4) != 0)
        return SNUG_OK;
    snug_rd  r = reader_at(file, end - LOCATOR_SIZE + 4);
    uint32_t disk = snug_rd_u32le(&r);
    uint64_t at = snug_rd_u64le(&r);
    uint32_t disks = snug_rd_u32le(&r);
    if (disk != 0 || disks > 1 || end < LOCATOR_SIZE + END64_SIZE ||
        at != end - LOCATOR_SIZE - END64_SIZE || memcmp(file.ptr + at, "PK\6\6", 4) != 0)
        return snug_fail(err, SNUG_ECORRUPT, "the zip64 end record is not where its locator says");
    r = reader_at(file, at + 16);
    disk = snug_rd_u32le(&r);
    disk |= snug_rd_u32le(&r); /* where the directory starts */
    uint64_t here = snug_rd_u64le(&r), entries = snug_rd_u64le(&r), size = snug_rd_u64le(&r),
             offset = snug_rd_u64le(&r);
    if (disk != 0 || here != entries)
        return snug_fail(err, SNUG_EUNSUPPORTED, "the archive is spread over several disks");
    if ((d->entries != 0xffff && d->entries != entries) ||
        (d->size != ALL_ONES && d->size != size) || (d->offset != ALL_ONES && d->offset != offset))
        return snug_fail(err, SNUG_ECORRUPT, "the end record and the zip64 end record disagree");
    *d = (directory){offset, size, entries, at};
    return SNUG_OK;
}

static snug_status read_end(snug_slice file, directory *d, snug_err *err)
{
    size_t end;
    if (!find_end(file, &end))
        return snug_fail(err, SNUG_ECORRUPT,
                         "no end record: this is no ZIP archive, or it is cut off");
    snug_rd  r = reader_at(file, end + 4);
    unsigned disk = snug_rd_u16le(&r);
    disk |= snug_rd_u16le(&r);
    unsigned here = snug_rd_u16le(&r);
    d->entries = snug_rd_u16le(&r);
    d->size = snug_rd_u32le(&r);
    d->offset = snug_rd_u32le(&r);
    d->end = end;
    if (disk != 0 || here != d->entries)
        return snug_fail(err, SNUG_EUNSUPPORTED, "the archive is spread over several disks");
    snug_status st = read_end64(file, end, d, err);
    if (st != SNUG_OK) return st;
    if (d->offset > d->end || d->size != d->end - d->offset)
        return snug_fail(err, SNUG_ECORRUPT,
                         "the central directory of %" PRIu64 " bytes at %" PRIu64
                         " does not end where the end record starts (%" PRIu64 ")",
                         d->size, d->offset, d->end);
    if (d->entries > d->size / CENTRAL_SIZE)
        return snug_fail(err, SNUG_ECORRUPT,
                         "%" PRIu64 " entries do not fit into a directory of %" PRIu64 " bytes",
                         d->entries, d->size);
    if (d->entries > CODEC_ZIP_ENTRIES_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%" PRIu64 " entries; the limit is %d", d->entries,
                         CODEC_ZIP_ENTRIES_MAX);
    return SNUG_OK;
}

/* ---- entries ---- */

static snug_status check_name(snug_slice name, snug_err *err)
{
    snug_slice rest = name, part;
    bool       bad = name.len == 0 || name.len > CODEC_ZIP_NAME_MAX || !snug_utf8_valid(name) ||
               name.ptr[0] == '/' || (name.len > 1 && name.ptr[1] == ':');
    for (size_t i = 0; i < name.len && !bad; i++)
        bad = (unsigned char)name.ptr[i] < 32 || name.ptr[i] == 127 || name.ptr[i] == '\\';
    while (!bad && snug_split(&rest, '/', &part))
        bad = snug_eq_str(part, "..") || snug_eq_str(part, ".") || (part.len == 0 && rest.len > 0);
    if (!bad) return SNUG_OK;
    return snug_fail(err, SNUG_ECORRUPT,
                     "an entry is named \"%.*s\", which is no plain relative path",
                     SNUG_SLICE(shown(name)));
}

/* Sizes of 64 bits: each stands in field 1 only if its short form is all ones. */
static snug_status read_extra(snug_slice extra, codec_zip_entry *e, snug_err *err)
{
    snug_rd r = snug_rd_init(extra);
    bool size = e->size == ALL_ONES, packed = e->packed == ALL_ONES, start = e->start == ALL_ONES,
         found = false;
    while (snug_rd_left(&r) >= 4 && !r.bad) {
        unsigned   id = snug_rd_u16le(&r);
        snug_slice field = snug_rd_bytes(&r, snug_rd_u16le(&r));
        if (id != 1 || r.bad) continue;
        if (found)
            return snug_fail(err, SNUG_ECORRUPT, "entry \"%.*s\" has two zip64 fields",
                             SNUG_SLICE(shown(e->name)));
        found = true;
        snug_rd f = snug_rd_init(field);
        if (size) e->size = snug_rd_u64le(&f);
        if (packed) e->packed = snug_rd_u64le(&f);
        if (start) e->start = snug_rd_u64le(&f);
        if (f.bad)
            return snug_fail(err, SNUG_ECORRUPT, "entry \"%.*s\" has a short zip64 field",
                             SNUG_SLICE(shown(e->name)));
    }
    if (r.bad)
        return snug_fail(err, SNUG_ECORRUPT, "entry \"%.*s\" has an extra field that is cut off",
                         SNUG_SLICE(shown(e->name)));
    return SNUG_OK;
}

static snug_status read_central(snug_rd *r, codec_zip_entry *e, unsigned *flags, snug_err *err)
{
    snug_slice magic = snug_rd_bytes(r, 4);
    (void)snug_rd_u32le(r); /* versions */
    *flags = snug_rd_u16le(r);
    e->method = snug_rd_u16le(r);
    (void)snug_rd_u32le(r); /* time and date */
    e->crc = snug_rd_u32le(r);
    e->packed = snug_rd_u32le(r);
    e->size = snug_rd_u32le(r);
    unsigned name = snug_rd_u16le(r), extra = snug_rd_u16le(r), comment = snug_rd_u16le(r),
             disk = snug_rd_u16le(r);
    (void)snug_rd_u16le(r);
    (void)snug_rd_u32le(r); /* attributes */
    e->start = snug_rd_u32le(r);
    e->name = snug_rd_bytes(r, name);
    snug_slice fields = snug_rd_bytes(r, extra);
    (void)snug_rd_bytes(r, comment);
    if (r->bad || !snug_eq_str(magic, "PK\1\2"))
        return snug_fail(err, SNUG_ECORRUPT, "the central directory is cut off or no directory");
    snug_status st = check_name(e->name, err);
    if (st == SNUG_OK) st = read_extra(fields, e, err);
    if (st != SNUG_OK) return st;
    if (disk != 0)
        return snug_fail(err, SNUG_EUNSUPPORTED, "the archive is spread over several disks");
    if (*flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED | FLAG_PATCH))
        return snug_fail(err, SNUG_EUNSUPPORTED, "entry \"%.*s\" is encrypted",
                         SNUG_SLICE(shown(e->name)));
    e->is_dir = e->name.ptr[e->name.len - 1] == '/';
    e->has_descriptor = (*flags & FLAG_DESCRIPTOR) != 0;
    return SNUG_OK;
}

static snug_status differs(const codec_zip_entry *e, const char *what, snug_err *err)
{
    return snug_fail(err, SNUG_ECORRUPT, "entry \"%.*s\" has another %s in its local header",
                     SNUG_SLICE(shown(e->name)), what);
}

/* A value of the local header: with a descriptor it may be left open as zero. */
static bool local_agrees(const codec_zip_entry *e, uint64_t local, uint64_t central)
{
    return local == central || (e->has_descriptor && local == 0);
}

static snug_status check_local(snug_slice file, codec_zip_entry *e, unsigned flags, snug_err *err)
{
    snug_rd         r = reader_at(file, e->start);
    codec_zip_entry local = {.name = e->name};
    snug_slice      magic = snug_rd_bytes(&r, 4);
    (void)snug_rd_u16le(&r);
    unsigned local_flags = snug_rd_u16le(&r), method = snug_rd_u16le(&r);
    (void)snug_rd_u32le(&r);
    local.crc = snug_rd_u32le(&r);
    local.packed = snug_rd_u32le(&r);
    local.size = snug_rd_u32le(&r);
    unsigned   name_len = snug_rd_u16le(&r), extra_len = snug_rd_u16le(&r);
    snug_slice name = snug_rd_bytes(&r, name_len), extra = snug_rd_bytes(&r, extra_len);
    if (r.bad || e->start >= file.len || !snug_eq_str(magic, "PK\3\4"))
        return snug_fail(err, SNUG_ECORRUPT, "entry \"%.*s\" has no local header at byte %" PRIu64,
                         SNUG_SLICE(shown(e->name)), e->start);
    snug_status st = read_extra(extra, &local, err);
    if (st != SNUG_OK) return st;
    unsigned important = FLAG_ENCRYPTED | FLAG_DESCRIPTOR | FLAG_STRONG | FLAG_MASKED;
    if (!snug_eq(name, e->name)) return differs(e, "name", err);
    if (method != e->method) return differs(e, "method", err);
    if ((local_flags ^ flags) & important) return differs(e, "set of flags", err);
    if (!local_agrees(e, local.crc, e->crc)) return differs(e, "checksum", err);
    if (!local_agrees(e, local.size, e->size) || !local_agrees(e, local.packed, e->packed))
        return differs(e, "size", err);
    e->offset = e->start + LOCAL_SIZE + name_len + extra_len;
    return SNUG_OK;
}

static snug_status check_sizes(const codec_zip_entry *e, snug_err *err)
{
    if (e->method == STORED && e->packed != e->size)
        return snug_fail(err, SNUG_ECORRUPT, "entry \"%.*s\" is stored, yet has two sizes",
                         SNUG_SLICE(shown(e->name)));
    if (e->is_dir && e->size != 0)
        return snug_fail(err, SNUG_ECORRUPT, "folder \"%.*s\" has bytes of its own",
                         SNUG_SLICE(shown(e->name)));
    if (e->packed < UINT64_MAX / CODEC_ZIP_RATIO_MAX &&
        e->size > (e->packed + 16) * CODEC_ZIP_RATIO_MAX)
        return snug_fail(err, SNUG_ELIMIT,
                         "entry \"%.*s\" claims to unpack to more than %d times its size",
                         SNUG_SLICE(shown(e->name)), CODEC_ZIP_RATIO_MAX);
    return SNUG_OK;
}

static int by_start(const void *x, const void *y)
{
    const codec_zip_entry *a = x, *b = y;
    return a->start < b->start ? -1 : a->start > b->start;
}

/* From byte 0 to the directory each byte belongs to one entry; a descriptor may stand between. */
static snug_status check_tiling(const codec_zip *z, const directory *d, snug_err *err)
{
    uint64_t at = 0, slack = 0;
    for (size_t i = 0; i <= z->count; i++) {
        uint64_t next = i < z->count ? z->entries[i].start : d->offset;
        if (next < at)
            return snug_fail(err, SNUG_ECORRUPT,
                             "byte %" PRIu64 " belongs to two entries, or to one and the directory",
                             next);
        if (next - at > slack)
            return snug_fail(err, SNUG_ECORRUPT,
                             "%" PRIu64 " bytes at %" PRIu64 " belong to no entry", next - at, at);
        if (i == z->count) break;
        const codec_zip_entry *e = &z->entries[i];
        if (e->offset > d->offset || e->packed > d->offset - e->offset)
            return snug_fail(err, SNUG_ECORRUPT,
                             "entry \"%.*s\" reaches into the central directory",
                             SNUG_SLICE(shown(e->name)));
        at = e->offset + e->packed;
        slack = e->has_descriptor ? DESCRIPTOR_MAX : 0;
    }
    return SNUG_OK;
}

typedef struct named {
    snug_slice name;
    uint32_t   index;
} named;

static int by_name(const void *x, const void *y)
{
    return snug_cmp(((const named *)x)->name, ((const named *)y)->name);
}

static snug_status index_names(snug_arena *a, codec_zip *z, snug_err *err)
{
    named    *list = snug_arena_array_try(a, z->count, sizeof *list);
    uint32_t *index = snug_arena_array_try(a, z->count, sizeof *index);
    if (z->count > 0 && (list == NULL || index == NULL))
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu entries", z->count);
    for (size_t i = 0; i < z->count; i++) list[i] = (named){z->entries[i].name, (uint32_t)i};
    if (z->count > 1) qsort(list, z->count, sizeof *list, by_name);
    for (size_t i = 0; i < z->count; i++) {
        index[i] = list[i].index;
        if (i > 0 && snug_eq(list[i].name, list[i - 1].name))
            return snug_fail(err, SNUG_ECORRUPT, "two entries are named \"%.*s\"",
                             SNUG_SLICE(shown(list[i].name)));
    }
    z->by_name = index;
    return SNUG_OK;
}

snug_status codec_zip_open(snug_arena *a, snug_slice file, codec_zip *out, snug_err *err)
{
    codec_zip   z = {.file = file};
    directory   d = {0};
    snug_status st = read_end(file, &d, err);
    if (st != SNUG_OK) return st;
    z.entries = snug_arena_array_try(a, d.entries, sizeof *z.entries);
    if (z.entries == NULL && d.entries > 0)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %" PRIu64 " entries", d.entries);
    snug_rd r = snug_rd_init(snug_sub(file, (size_t)d.offset, (size_t)d.size));
    for (; z.count < d.entries && st == SNUG_OK; z.count++) {
        codec_zip_entry *e = &z.entries[z.count];
        unsigned         flags = 0;
        st = read_central(&r, e, &flags, err);
        if (st == SNUG_OK) st = check_local(file, e, flags, err);
        if (st == SNUG_OK) st = check_sizes(e, err);
    }
    if (st == SNUG_OK && snug_rd_left(&r) > 0)
        st = snug_fail(err, SNUG_ECORRUPT, "%zu bytes of the central directory describe nothing",
                       snug_rd_left(&r));
    if (st == SNUG_OK && z.count > 1) qsort(z.entries, z.count, sizeof *z.entries, by_start);
    if (st == SNUG_OK) st = check_tiling(&z, &d, err);
    if (st == SNUG_OK) st = index_names(a, &z, err);
    if (st == SNUG_OK) *out = z;
    return st;
}

const codec_zip_entry *codec_zip_find(const codec_zip *z, snug_slice name)
{
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int    c = snug_cmp(name, z->entries[z->by_name[mid]].name);
        if (c == 0) return &z->entries[z->by_name[mid]];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

/* ---- data ---- */

bool codec_inflate(snug_arena *a, snug_slice in, codec_deflate kind, uint64_t max, snug_slice *out,
                   size_t *used)
{
    static const int bits[] = {
        [CODEC_DEFLATE_RAW] = -15, [CODEC_DEFLATE_ZLIB] = 15, [CODEC_DEFLATE_GZIP] = 31};
    SNUG_AUTO(snug_buf) b = snug_buf_init(max > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)max);
    z_stream      z = {0};
    unsigned char part[32 * 1024];
    int           rc = Z_OK;

    *out = SNUG_EMPTY;
    *used = 0;
    if (inflateInit2(&z, bits[kind]) != Z_OK) return false;
    while (rc == Z_OK && !b.full) {
        size_t left = in.len - *used;
        z.next_in = (z_const Bytef *)(uintptr_t)(in.ptr +
                                                 *used); /* zlib reads it, whatever its type says */
        z.avail_in = left > UINT32_MAX ? UINT32_MAX : (uInt)left;
        z.next_out = part;
        z.avail_out = sizeof part;
        uInt before = z.avail_in;
        rc = inflate(&z, Z_NO_FLUSH);
        *used += before - z.avail_in;
        snug_buf_put(&b, part, sizeof part - z.avail_out);
        if (rc == Z_BUF_ERROR) break; /* the input ended first */
    }
    (void)inflateEnd(&z);
    char *copy = snug_arena_alloc_try(a, b.len + 1);
    if (copy == NULL) return false;
    if (b.len > 0) memcpy(copy, b.ptr, b.len);
    *out = snug_slice_of(copy, b.len);
    return rc == Z_STREAM_END && !b.full;
}

static uint32_t crc_of(snug_slice s)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const Bytef *)s.ptr, s.len);
}

/* The size is known, so the bytes go straight to their place. */
static snug_status inflate_exactly(snug_arena *a, snug_slice in, const codec_zip_entry *e,
                                   snug_slice *out, snug_err *err)
{
    z_stream z = {0};
    int      rc = Z_OK;
    size_t   used = 0, done = 0, size = (size_t)e->size;
    char    *to = snug_arena_alloc_try(a, size + 1);
    if (to == NULL || inflateInit2(&z, -15) != Z_OK)
        return snug_fail(err, SNUG_ENOMEM, "no memory for the %zu bytes of \"%.*s\"", size,
                         SNUG_SLICE(shown(e->name)));
    while (rc == Z_OK) { /* one byte of room too much shows data that is longer than it claims */
        size_t left = in.len - used, room = size + 1 - done;
        z.next_in = (z_const Bytef *)(uintptr_t)(in.ptr + used);
        z.avail_in = left > UINT32_MAX ? UINT32_MAX : (uInt)left;
        z.next_out = (Bytef *)to + done;
        z.avail_out = room > UINT32_MAX ? UINT32_MAX : (uInt)room;
        uInt in_before = z.avail_in, out_before = z.avail_out;
        rc = inflate(&z, Z_NO_FLUSH);
        used += in_before - z.avail_in;
        done += out_before - z.avail_out;
        if (done > size) break;
    }
    (void)inflateEnd(&z);
    if (rc != Z_STREAM_END || done != size || used != in.len)
        return snug_fail(err, SNUG_ECORRUPT,
                         "the deflated bytes of \"%.*s\" are broken or of another length",
                         SNUG_SLICE(shown(e->name)));
    *out = snug_slice_of(to, size);
    return SNUG_OK;
}

snug_status codec_zip_read(snug_arena *a, const codec_zip *z, const codec_zip_entry *e,
                           uint64_t max, snug_slice *out, snug_err *err)
{
    snug_slice data = snug_sub(z->file, (size_t)e->offset, (size_t)e->packed), got = data;
    if (e->size > max || e->size >= SIZE_MAX)
        return snug_fail(err, SNUG_ELIMIT,
                         "entry \"%.*s\" has %" PRIu64 " bytes; the limit is %" PRIu64,
                         SNUG_SLICE(shown(e->name)), e->size, max);
    if (e->method != STORED && e->method != DEFLATED)
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "entry \"%.*s\" is packed by method %u; 0 and 8 are read",
                         SNUG_SLICE(shown(e->name)), e->method);
    snug_status st = e->method == STORED ? SNUG_OK : inflate_exactly(a, data, e, &got, err);
    if (st != SNUG_OK) return st;
    if (crc_of(got) != e->crc)
        return snug_fail(err, SNUG_ECORRUPT,
                         "the bytes of \"%.*s\" do not have the checksum it states",
                         SNUG_SLICE(shown(e->name)));
    *out = got;
    return SNUG_OK;
}
