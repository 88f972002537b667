/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_formats.c - snug scan and snug convert: what they print, write and end with. */
#include "shell.h"

#include "codec/codec.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/codec/"

static int setup(void **state)
{
    place *p;
    if (open_place(&p) != 0) return -1;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    close_place(*state);
    return 0;
}

static void scan_for_people(void **state)
{
    place *p = *state;
    result r = RUN("scan", GOLDEN "pickles/p4-os-system.pkl");
    EXPECT(r, 7);
    assert_string_equal(r.out,
                        GOLDEN "pickles/p4-os-system.pkl: dangerous (pickle)\n"
                               "  dangerous  posix.system  STACK_GLOBAL at byte 28, called\n");
    assert_string_equal(r.err, "snug: 1 of 1 file is dangerous: do not load\n");
    r = RUN("scan", GOLDEN "state_dict.bin");
    EXPECT(r, 0);
    assert_string_equal(r.out, GOLDEN "state_dict.bin: safe (torch zip)\n  and 4 safe imports\n");
    assert_string_equal(r.err, "");
    r = RUN("scan", "--all", GOLDEN "state_dict.bin");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "  safe       torch._utils._rebuild_tensor_v2  GLOBAL at byte 14 "
                                  "of state_dict/data.pkl, called\n"));
    r = RUN("scan", GOLDEN "pickles/made/unknown-import", GOLDEN "array.npy");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "  unknown    sklearn.svm.SVC  GLOBAL at byte 2, called\n"));
    r = RUN("scan", "--strict", GOLDEN "pickles/made/unknown-import", GOLDEN "array.npy");
    EXPECT(r, 9);
    assert_string_equal(r.err, "snug: 1 of 2 files is not known to be safe\n");
    EXPECT(RUN("scan", "/nonexistent/file"), 3);
    EXPECT(RUN("scan"), 2);
}

static void scan_for_programs(void **state)
{
    place     *p = *state;
    result     r = RUN("scan", "--json", GOLDEN "pickles/evil-checkpoint.bin",
                       GOLDEN "pickles/made/unknown-cut");
    snug_slice rest = snug_str(r.out), line;
    EXPECT(r, 7);
    assert_true(snug_split(&rest, '\n', &line));
    snug_json v = json_of(p, snug_arena_cstr(p->a, line)),
              m = snug_json_at(snug_json_get(v, "imports"), 0);
    assert_true(snug_eq_str(snug_json_str_or(v, "verdict", SNUG_EMPTY), "dangerous"));
    assert_true(snug_eq_str(snug_json_str_or(v, "format", SNUG_EMPTY), "torch zip"));
    assert_int_equal(snug_json_count(snug_json_get(v, "imports")), 1);
    assert_true(snug_eq_str(snug_json_str_or(m, "module", SNUG_EMPTY), "posix"));
    assert_true(snug_eq_str(snug_json_str_or(m, "name", SNUG_EMPTY), "system"));
    assert_true(snug_eq_str(snug_json_str_or(m, "part", SNUG_EMPTY), "archive/data.pkl"));
    assert_int_equal(snug_json_i64_or(m, "offset", -1), 13);
    assert_true(snug_split(&rest, '\n', &line));
    v = json_of(p, snug_arena_cstr(p->a, line));
    assert_true(snug_eq_str(snug_json_str_or(v, "verdict", SNUG_EMPTY), "unknown"));
    assert_int_equal(snug_json_count(snug_json_get(v, "reasons")), 1);
    assert_int_equal(rest.len, 0);
}

static void scan_a_folder(void **state)
{
    place *p = *state;
    result r = RUN("scan", GOLDEN "pickles", "--json");
    EXPECT(r, 7);
    assert_string_equal(
        r.err,
        "{\"error\":\"47 of 69 files are dangerous: do not load\",\"status\":\"corrupt\"}\n");
}

static void convert_files(void **state)
{
    place            *p = *state;
    snug_err          err = {0};
    codec_safetensors st;
    snug_slice        file;
    const char       *out = at(p, "out.safetensors");
    result            r = RUN("convert", GOLDEN "checkpoints/new.pt", "-o", out);
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "out.safetensors: 21 tensors, "));
    assert_string_equal(r.err, "");
    assert_int_equal(snug_read_file(p->a, out, 1 << 20, &file, &err), SNUG_OK);
    assert_int_equal(codec_safetensors_parse(p->a, file, file.len, &st, &err), SNUG_OK);
    assert_int_equal(st.count, 21);
    assert_true(snug_eq_str(snug_json_str_or(st.metadata, "format", SNUG_EMPTY), "pt"));
    const codec_tensor *t = codec_safetensors_find(&st, SNUG_LIT("transposed"));
    assert_int_equal(t->dtype, CODEC_F32);
    assert_int_equal(t->shape[0], 6);
    for (unsigned i = 0; i < 24; i++) /* base is 0..23 in rows of six */
        assert_true(codec_dtype_read(CODEC_F32, file.ptr + st.data_offset + t->offset, i) ==
                    i % 4 * 6 + i / 4);
    r = RUN("convert", GOLDEN "checkpoints/nested.pt", "--out", out, "--json");
    EXPECT(r, 0);
    snug_json v = json_of(p, r.out);
    assert_int_equal(snug_json_i64_or(v, "tensors", -1), 3);
    assert_int_equal(snug_json_i64_or(v, "skipped", -1), 2);
}

static void copy(place *p, const char *from, const char *to)
{
    snug_err   err = {0};
    snug_slice bytes;
    assert_int_equal(snug_read_file(p->a, from, 1 << 20, &bytes, &err), SNUG_OK);
    assert_int_equal(snug_write_file_atomic(at(p, to), bytes, 0644, &err), SNUG_OK);
}

static void convert_folders(void **state)
{
    place   *p = *state;
    snug_err err = {0};
    assert_int_equal(snug_mkdirs(at(p, "m"), 0700, &err), SNUG_OK);
    EXPECT(RUN("convert", at(p, "m"), "-o", at(p, "o")), 3);
    copy(p, GOLDEN "state_dict.bin", "m/pytorch_model-00001-of-00002.bin");
    copy(p, GOLDEN "checkpoints/single.pt", "m/pytorch_model-00002-of-00002.bin");
    copy(p, GOLDEN "pickles/evil-checkpoint.bin",
         "m/training_args.bin"); /* no weights: not touched */
    result r = RUN("convert", at(p, "m"), "-o", at(p, "o"));
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, ": 4 tensors, "));
    const char *index = "{\"weight_map\":{\"w\":\"pytorch_model-00001-of-00002.bin\",\"b\":"
                        "\"pytorch_model-00001-of-00002.bin\"}}";
    assert_int_equal(snug_write_file_atomic(at(p, "m/pytorch_model.bin.index.json"),
                                            snug_str(index), 0644, &err),
                     SNUG_OK);
    r = RUN("convert", at(p, "m"), "-o", at(p, "o"));
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, ": 3 tensors, "));
    index = "{\"weight_map\":{\"w\":\"../pytorch_model.bin\"}}";
    assert_int_equal(snug_write_file_atomic(at(p, "m/pytorch_model.bin.index.json"),
                                            snug_str(index), 0644, &err),
                     SNUG_OK);
    r = RUN("convert", at(p, "m"), "-o", at(p, "o2"));
    EXPECT(r, 7);
    assert_non_null(strstr(r.err, "names a file outside its folder"));
    assert_int_not_equal(access(at(p, "o2"), F_OK), 0);
}

/* Every tensor is in the file the index names, none larger than asked but by one tensor alone. */
static void convert_to_several_files(void **state)
{
    place     *p = *state;
    snug_err   err = {0};
    snug_slice text, name;
    snug_json  index;
    size_t     found = 0;
    result     r = RUN("convert", GOLDEN "checkpoints/new.pt", "-o", at(p, "m.safetensors"),
                       "--max-shard-size", "200", "--json");
    EXPECT(r, 0);
    assert_int_equal(snug_json_i64_or(json_of(p, r.out), "tensors", -1), 21);
    assert_true(snug_json_i64_or(json_of(p, r.out), "files", -1) > 2);
    assert_int_not_equal(access(at(p, "m.safetensors"), F_OK), 0);
    assert_int_equal(snug_read_file(p->a, at(p, "m.safetensors.index.json"), 1 << 20, &text, &err),
                     SNUG_OK);
    index = snug_json_get(json_of(p, text.ptr), "weight_map");
    for (snug_json_iter it = snug_json_iter_of(index); snug_json_next(&it); found++) {
        codec_safetensors st;
        snug_slice        file;
        assert_true(snug_json_to_str(it.value, &name));
        assert_int_equal(
            snug_read_file(p->a, at(p, snug_arena_cstr(p->a, name)), 1 << 20, &file, &err),
            SNUG_OK);
        assert_int_equal(codec_safetensors_parse(p->a, file, file.len, &st, &err), SNUG_OK);
        assert_non_null(codec_safetensors_find(&st, it.key));
        assert_true(st.data_size <= 200 || st.count == 1);
    }
    assert_int_equal(found, 21);
    EXPECT(RUN("convert", GOLDEN "checkpoints/new.pt", "-o", at(p, "x"), "--max-shard-size", "big"),
           2);
}

static void convert_refuses(void **state)
{
    place *p = *state;
    result r = RUN("convert", GOLDEN "pickles/evil-checkpoint.bin", "-o", at(p, "no"));
    EXPECT(r, 7);
    assert_string_equal(r.err, "snug: " GOLDEN
                               "pickles/evil-checkpoint.bin: loading it would import posix.system "
                               "(dangerous, byte 13 of archive/data.pkl)\n");
    r = RUN("convert", GOLDEN "pickles/made/unknown-import", "-o", at(p, "no"));
    EXPECT(r, 9);
    assert_non_null(strstr(r.err, "sklearn.svm.SVC (unknown"));
    EXPECT(RUN("convert", GOLDEN "state_dict.bin"), 2);
    EXPECT(RUN("convert", "/nonexistent", "-o", at(p, "no")), 3);
    assert_int_not_equal(access(at(p, "no"), F_OK), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(scan_for_people), TEST(scan_for_programs),
                                       TEST(scan_a_folder),   TEST(convert_files),
                                       TEST(convert_folders), TEST(convert_to_several_files),
                                       TEST(convert_refuses)};
    return find_program() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
