/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_zip.c - archives as others write them, and each trick that shows two readers two
 * different archives. */
#include <zlib.h>

#include "golden.h"

/* ---- archives by hand, with one thing wrong at a time ---- */

typedef struct item {
    const char *name, *local_name; /* local_name NULL: the same */
    const char *data;
    unsigned    flags, local_flags, method, local_method;
    uint32_t    crc_off, size_off, local_size_off, start_off; /* added to what is true */
    unsigned    gap;                                          /* bytes before its local header */
    const char *extra;                                        /* of the central entry */
    unsigned    extra_len;
} item;

typedef struct tail {
    uint32_t    offset_off, count_off, size_off;
    const char *comment, *before, *after;
} tail;

static void put_fields(snug_buf *b, const item *i, unsigned flags, unsigned method,
                       uint32_t size_off, const char *name)
{
    uint32_t n = (uint32_t)strlen(i->data),
             crc = (uint32_t)crc32(0, (const Bytef *)i->data, n) + i->crc_off;
    put_int(b, 20, 2);
    put_int(b, flags, 2);
    put_int(b, method, 2);
    put_int(b, 0, 4);
    put_int(b, crc, 4);
    put_int(b, n + size_off, 4);
    put_int(b, n + size_off, 4);
    put_int(b, strlen(name), 2);
}

static snug_buf archive(const item *items, size_t n, tail t)
{
    snug_buf b = snug_buf_init(1 << 20);
    uint32_t starts[8];
    if (t.before != NULL) snug_buf_puts(&b, t.before);
    for (size_t i = 0; i < n; i++) {
        const char *name = items[i].local_name != NULL ? items[i].local_name : items[i].name;
        for (unsigned g = 0; g < items[i].gap; g++) snug_buf_putc(&b, 'g');
        starts[i] = (uint32_t)b.len;
        snug_buf_puts(&b, "PK\3\4");
        put_fields(&b, &items[i], items[i].flags ^ items[i].local_flags,
                   items[i].method ^ items[i].local_method,
                   items[i].size_off + items[i].local_size_off, name);
        put_int(&b, 0, 2);
        snug_buf_puts(&b, name);
        snug_buf_puts(&b, items[i].data);
    }
    size_t directory = b.len;
    for (size_t i = 0; i < n; i++) {
        snug_buf_puts(&b, "PK\1\2");
        put_int(&b, 20, 2);
        put_fields(&b, &items[i], items[i].flags, items[i].method, items[i].size_off,
                   items[i].name);
        put_int(&b, items[i].extra_len, 2);
        put_int(&b, 0, 2);
        put_int(&b, 0, 4);
        put_int(&b, 0, 4);
        put_int(&b, starts[i] + items[i].start_off, 4);
        snug_buf_puts(&b, items[i].name);
        snug_buf_put(&b, items[i].extra, items[i].extra_len);
    }
    size_t size = b.len - directory;
    if (t.after != NULL) snug_buf_puts(&b, t.after);
    snug_buf_puts(&b, "PK\5\6");
    put_int(&b, 0, 4);
    put_int(&b, n + t.count_off, 2);
    put_int(&b, n + t.count_off, 2);
    put_int(&b, size + t.size_off, 4);
    put_int(&b, directory + t.offset_off, 4);
    put_int(&b, t.comment == NULL ? 0 : strlen(t.comment), 2);
    if (t.comment != NULL) snug_buf_puts(&b, t.comment);
    return b;
}

static void refused(const item *items, size_t n, tail t, snug_status want, const char *words)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_zip   z;
    snug_buf    b = archive(items, n, t);
    snug_status st = codec_zip_open(a, snug_buf_slice(&b), &z, &err);
    if (st != want)
        fail_msg("%s, not %s: %s", snug_status_name(st), snug_status_name(want), err.msg);
    says(&err, words);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

#define ONE(...)                                                                                   \
    (const item[]){{.name = "a", .data = "hello", __VA_ARGS__}}, 1, (tail) { 0 }
#define TWO(...)                                                                                   \
    (const item[]){{.name = "a", .data = "hello"}, {.name = "b", .data = "world", __VA_ARGS__}},   \
        2, (tail)                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

static void good(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_zip   z;
    snug_slice  bytes;
    (void)state;
    snug_buf b =
        archive((const item[]){{.name = "b/c", .data = "hello"}, {.name = "a", .data = ""}}, 2,
                (tail){.comment = "PK\5\6 is also a comment of a length that could fool a reader"});
    assert_int_equal(codec_zip_open(a, snug_buf_slice(&b), &z, &err), SNUG_OK);
    assert_int_equal(z.count, 2);
    const codec_zip_entry *e = codec_zip_find(&z, SNUG_LIT("b/c"));
    assert_ptr_equal(e, &z.entries[0]);
    assert_int_equal(codec_zip_read(a, &z, e, 5, &bytes, &err), SNUG_OK);
    assert_true(snug_eq_str(bytes, "hello"));
    assert_ptr_equal(bytes.ptr, b.ptr + e->offset); /* stored: not copied */
    assert_int_equal(codec_zip_read(a, &z, e, 4, &bytes, &err), SNUG_ELIMIT);
    assert_null(codec_zip_find(&z, SNUG_LIT("c")));
    snug_buf_deinit(&b);
    b = archive(NULL, 0, (tail){0});
    assert_int_equal(codec_zip_open(a, snug_buf_slice(&b), &z, &err), SNUG_OK);
    assert_int_equal(z.count, 0);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

static void local_headers_must_agree(void **state)
{
    (void)state;
    refused(ONE(.local_name = "b"), SNUG_ECORRUPT, "another name");
    refused(ONE(.local_method = 8), SNUG_ECORRUPT, "another method");
    refused(ONE(.local_flags = 8), SNUG_ECORRUPT, "another set of flags");
    refused(ONE(.local_size_off = 1), SNUG_ECORRUPT, "another size");
    refused(ONE(.start_off = 1), SNUG_ECORRUPT, "no local header");
    refused(ONE(.start_off = 1u << 30), SNUG_ECORRUPT, "no local header");
}

static void bytes_have_one_owner(void **state)
{
    (void)state;
    refused(TWO(.start_off = (uint32_t)-36, .local_name = "b"), SNUG_ECORRUPT, "another name");
    refused((const item[]){{.name = "a", .data = "hello"}, {.name = "a", .data = "hello"}}, 2,
            (tail){0}, SNUG_ECORRUPT, "two entries are named \"a\"");
    refused((const item[]){{.name = "a", .data = "hello"},
                           {.name = "a", .data = "hello", .start_off = (uint32_t)-36}},
            2, (tail){0}, SNUG_ECORRUPT, "belongs to two entries");
    refused(TWO(.gap = 3), SNUG_ECORRUPT, "3 bytes at 36 belong to no entry");
    refused(ONE(.gap = 1), SNUG_ECORRUPT, "belong to no entry");
    refused(ONE(.size_off = 1), SNUG_ECORRUPT, "reaches into the central directory");
    refused((const item[]){{.name = "a", .data = "x"}}, 1, (tail){.before = "MZ"}, SNUG_ECORRUPT,
            "belong to no entry");
    refused((const item[]){{.name = "a", .data = "x"}}, 1, (tail){.after = "?"}, SNUG_ECORRUPT,
            "does not end where");
}

static void the_end_record(void **state)
{
    const item one = {.name = "a", .data = "x"};
    (void)state;
    refused(&one, 1, (tail){.offset_off = 1}, SNUG_ECORRUPT, "does not end where");
    refused(&one, 1, (tail){.count_off = 1}, SNUG_ECORRUPT, "do not fit");
    refused(&one, 1, (tail){.count_off = (uint32_t)-1}, SNUG_ECORRUPT, "describe nothing");
    refused(&one, 1, (tail){.count_off = 60000}, SNUG_ECORRUPT, "60001 entries do not fit");
    snug_err    err = {0};
    snug_arena *a = snug_arena_new();
    codec_zip   z;
    assert_int_equal(codec_zip_open(a, SNUG_LIT("PK\3\4"), &z, &err), SNUG_ECORRUPT);
    says(&err, "no end record");
    snug_buf b = archive(&one, 1, (tail){0});
    for (size_t n = 0; n < b.len; n++) /* cut anywhere, it is refused */
        assert_int_equal(codec_zip_open(a, snug_sub(snug_buf_slice(&b), 0, n), &z, &err),
                         SNUG_ECORRUPT);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

static void names(void **state)
{
    const char *bad[] = {"../a", "a/../b", "/a",   "a\\b", "C:a", "a//b",
                         "./a",  "a\nb",   "\xff", "",     "a/.."};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused((const item[]){{.name = bad[i], .data = "x"}}, 1, (tail){0}, SNUG_ECORRUPT,
                "plain relative path");
    refused((const item[]){{.name = "a/", .data = "x"}}, 1, (tail){0}, SNUG_ECORRUPT,
            "has bytes of its own");
}

static void sizes_and_methods(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    codec_zip   z;
    snug_slice  bytes;
    (void)state;
    refused(ONE(.flags = 1), SNUG_EUNSUPPORTED, "encrypted");
    refused(ONE(.extra = "\1\0\x08\0\1\2\3\4\5\6\7\x08\1\0\0\0", .extra_len = 16), SNUG_ECORRUPT,
            "two zip64 fields");
    snug_buf b =
        archive((const item[]){{.name = "a", .data = "hello", .method = 12}}, 1, (tail){0});
    assert_int_equal(codec_zip_open(a, snug_buf_slice(&b), &z, &err), SNUG_OK);
    assert_int_equal(codec_zip_read(a, &z, z.entries, 100, &bytes, &err), SNUG_EUNSUPPORTED);
    says(&err, "method 12");
    snug_buf_deinit(&b);
    b = archive((const item[]){{.name = "a", .data = "hello", .crc_off = 1}}, 1, (tail){0});
    assert_int_equal(codec_zip_open(a, snug_buf_slice(&b), &z, &err), SNUG_OK);
    assert_int_equal(codec_zip_read(a, &z, z.entries, 100, &bytes, &err), SNUG_ECORRUPT);
    says(&err, "checksum");
    snug_buf_deinit(&b);
    b = archive((const item[]){{.name = "a", .data = "hello", .method = 8}}, 1, (tail){0});
    assert_int_equal(codec_zip_open(a, snug_buf_slice(&b), &z, &err), SNUG_OK);
    assert_int_equal(codec_zip_read(a, &z, z.entries, 100, &bytes, &err), SNUG_ECORRUPT);
    says(&err, "broken or of another length");
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

/* One deflated entry that claims another size than it has. */
static snug_status read_deflated(uint32_t claim, snug_err *err)
{
    snug_arena   *a = snug_arena_new();
    codec_zip     z;
    snug_slice    bytes;
    unsigned char zeros[5000] = {0}, packed[256];
    z_stream      d = {
             .next_in = zeros, .avail_in = sizeof zeros, .next_out = packed, .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&d, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&d, Z_FINISH), Z_STREAM_END);
    uint32_t n = (uint32_t)d.total_out, crc = (uint32_t)crc32(0, zeros, sizeof zeros);
    (void)deflateEnd(&d);
    snug_buf b = snug_buf_init(4096);
    for (unsigned central = 0; central < 2; central++) {
        snug_buf_puts(&b, central ? "PK\1\2" : "PK\3\4");
        if (central) put_int(&b, 20, 2);
        put_int(&b, 20, 2);
        put_int(&b, 0, 2);
        put_int(&b, 8, 2);
        put_int(&b, 0, 4);
        put_int(&b, crc, 4);
        put_int(&b, n, 4);
        put_int(&b, claim, 4);
        put_int(&b, 1, 2);
        put_int(&b, 0, central ? 16 : 2);
        snug_buf_puts(&b, "z");
        if (!central) snug_buf_put(&b, packed, n);
    }
    size_t directory = 31 + n;
    snug_buf_puts(&b, "PK\5\6");
    put_int(&b, 0, 4);
    put_int(&b, 1, 2);
    put_int(&b, 1, 2);
    put_int(&b, 47, 4);
    put_int(&b, directory, 4);
    put_int(&b, 0, 2);
    snug_status st = codec_zip_open(a, snug_buf_slice(&b), &z, err);
    if (st == SNUG_OK) st = codec_zip_read(a, &z, z.entries, 1 << 24, &bytes, err);
    if (st == SNUG_OK) assert_int_equal(bytes.len, 5000);
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return st;
}

static void bombs(void **state)
{
    snug_err err = {0};
    (void)state;
    assert_int_equal(read_deflated(5000, &err), SNUG_OK);
    assert_int_equal(read_deflated(4999, &err), SNUG_ECORRUPT);
    says(&err, "another length");
    assert_int_equal(read_deflated(5001, &err), SNUG_ECORRUPT);
    assert_int_equal(read_deflated(10000000, &err), SNUG_ELIMIT);
    says(&err, "more than 1100 times");
}

/* From Python's zipfile and numpy 2.4.6: see fuzz/corpus/zip. */
static void archives_of_others(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_slice  file, bytes;
    codec_zip   z;
    static const struct {
        const char *file, *entry;
        size_t      count, size;
    } want[] = {{"dirs.zip", "a/b.txt", 3, 5},     {"dirs.zip", "c", 3, 200},
                {"streamed.zip", "s", 1, 8},       {"zip64.zip", "big", 1, 5},
                {"deflated.npz", "a.npy", 2, 428}, {"state_dict.bin", "state_dict/data/0", 9, 24}};
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *path =
            snug_arena_printf(a, SNUG_SOURCE_DIR "/fuzz/corpus/zip/%s", want[i].file).ptr;
        assert_int_equal(snug_read_file(a, path, 1 << 20, &file, &err), SNUG_OK);
        if (codec_zip_open(a, file, &z, &err) != SNUG_OK) fail_msg("%s: %s", want[i].file, err.msg);
        const codec_zip_entry *e = codec_zip_find(&z, snug_str(want[i].entry));
        if (z.count != want[i].count || e == NULL)
            fail_msg("%s has %zu entries", want[i].file, z.count);
        assert_int_equal(codec_zip_read(a, &z, e, 1 << 20, &bytes, &err), SNUG_OK);
        assert_int_equal(bytes.len, want[i].size);
    }
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(local_headers_must_agree),
        cmocka_unit_test(bytes_have_one_owner),
        cmocka_unit_test(the_end_record),
        cmocka_unit_test(names),
        cmocka_unit_test(sizes_and_methods),
        cmocka_unit_test(bombs),
        cmocka_unit_test(archives_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
