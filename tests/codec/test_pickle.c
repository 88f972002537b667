/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_pickle.c - verdicts over the golden pickles and the crafted ones (whose names
 * say what they must be), what exactly is reported, and limits. */
#include <dirent.h>
#include <inttypes.h>

#include "codec/pickle_int.h"
#include "golden.h"

static codec_scan scan(snug_arena *a, snug_slice bytes)
{
    codec_scan s;
    codec_scan_bytes(a, bytes, &s);
    return s;
}

static bool listed(snug_json list, const char *name)
{
    snug_slice s;
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        if (snug_json_to_str(it.value, &s) && snug_eq_str(s, name)) return true;
    }
    return false;
}

static void goldens(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   want;
    size_t      seen = 0;
    (void)state;
    assert_int_equal(snug_json_parse(a, load(a, "pickles/expected.json"), NULL, &want, &err),
                     SNUG_OK);
    DIR *d = opendir(GOLDEN "pickles");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!snug_ends_with(snug_str(e->d_name), ".pkl") &&
            !snug_ends_with(snug_str(e->d_name), ".bin"))
            continue;
        codec_scan s = scan(a, load(a, snug_arena_printf(a, "pickles/%s", e->d_name).ptr));
        bool       dangerous = listed(snug_json_get(want, "dangerous"), e->d_name);
        if (s.verdict != (dangerous ? CODEC_DANGEROUS : CODEC_SAFE))
            fail_msg("%s is %s", e->d_name, codec_verdict_name(s.verdict));
        seen++;
    }
    (void)closedir(d);
    assert_int_equal(seen, 14);
    codec_scan s = scan(a, load(a, "state_dict.bin"));
    assert_int_equal(s.verdict, CODEC_SAFE);
    assert_string_equal(s.format, "torch zip");
    assert_int_equal(s.import_count, 4);
    snug_arena_free(a);
}

static void crafted(void **state)
{
    snug_arena *a = snug_arena_new();
    size_t      seen = 0;
    (void)state;
    DIR *d = opendir(GOLDEN "pickles/made");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t dash = snug_index(snug_str(e->d_name), '-');
        if (dash == SIZE_MAX) continue;
        codec_scan  s = scan(a, load(a, snug_arena_printf(a, "pickles/made/%s", e->d_name).ptr));
        const char *got = codec_verdict_name(s.verdict);
        if (strlen(got) != dash || memcmp(got, e->d_name, dash) != 0)
            fail_msg("%s is %s", e->d_name, got);
        if (s.verdict != CODEC_SAFE && s.import_count + s.remark_count == 0)
            fail_msg("%s: no reason", e->d_name);
        seen++;
    }
    (void)closedir(d);
    assert_int_equal(seen, 52);
    snug_arena_free(a);
}

static void reports(void **state)
{
    snug_arena *a = snug_arena_new();
    (void)state;
    codec_scan s = scan(a, load(a, "pickles/made/dangerous-put-get"));
    assert_int_equal(s.import_count, 1);
    assert_true(snug_eq_str(s.imports[0].module, "posix"));
    assert_true(snug_eq_str(s.imports[0].name, "system"));
    assert_string_equal(s.imports[0].how, "STACK_GLOBAL");
    assert_int_equal(s.imports[0].offset, 41);
    assert_int_equal(s.imports[0].calls, 1);
    assert_int_equal(s.imports[0].part.len, 0);
    s = scan(a, load(a, "pickles/made/dangerous-import-only"));
    assert_int_equal(s.imports[0].calls, 0);
    s = scan(a, load(a, "pickles/made/dangerous-zip-in-zip"));
    assert_int_equal(s.import_count, 1);
    assert_true(snug_eq_str(s.imports[0].part, "inner.zip: x/data.pkl"));
    assert_int_equal(s.imports[0].offset, 2);
    s = scan(a, load(a, "pickles/made/dangerous-cut"));
    assert_int_equal(s.remark_count, 1);
    assert_true(snug_starts_with(s.remarks[0].text, "the pickle cannot be followed past byte 26"));
    s = scan(a, load(a, "pickles/made/unknown-import"));
    assert_true(snug_eq_str(s.imports[0].module, "sklearn.svm"));
    assert_int_equal(s.imports[0].verdict, CODEC_UNKNOWN);
    s = scan(a, load(a, "pickles/made/safe-ordered-dict"));
    assert_int_equal(s.imports[0].verdict, CODEC_SAFE);
    assert_int_equal(s.imports[0].count, 1);
    snug_arena_free(a);
}

static codec_verdict judge(const char *module, const char *name)
{
    return codec_judge_import(snug_str(module), snug_str(name));
}

static void lists(void **state)
{
    (void)state;
    assert_int_equal(judge("collections", "OrderedDict"), CODEC_SAFE);
    assert_int_equal(judge("torch._utils", "_rebuild_tensor_v2"), CODEC_SAFE);
    assert_int_equal(judge("torch", "BFloat16Storage"), CODEC_SAFE);
    assert_int_equal(judge("numpy._core.multiarray", "_reconstruct"), CODEC_SAFE);
    assert_int_equal(judge("collections", "namedtuple"), CODEC_UNKNOWN);
    assert_int_equal(judge("collections.OrderedDict", ""), CODEC_UNKNOWN);
    assert_int_equal(judge("mypackage.models", "Net"), CODEC_UNKNOWN);
    assert_int_equal(judge("osgeo", "gdal"), CODEC_UNKNOWN); /* no prefix of "os" */
    assert_int_equal(judge("os", "system"), CODEC_DANGEROUS);
    assert_int_equal(judge("os.path", "join"), CODEC_DANGEROUS);
    assert_int_equal(judge("nt", "system"), CODEC_DANGEROUS);
    assert_int_equal(judge("subprocess", "Popen"), CODEC_DANGEROUS);
    assert_int_equal(judge("builtins", "eval"), CODEC_DANGEROUS);
    assert_int_equal(judge("builtins", "getattr"), CODEC_DANGEROUS);
    assert_int_equal(judge("builtins", "getattr.__call__"), CODEC_DANGEROUS);
    assert_int_equal(judge("__builtin__", "execfile"), CODEC_DANGEROUS);
    assert_int_equal(judge("importlib", "import_module"), CODEC_DANGEROUS);
    assert_int_equal(judge("operator", "methodcaller"), CODEC_DANGEROUS);
    assert_int_equal(judge("functools", "partial"), CODEC_DANGEROUS);
    assert_int_equal(judge("torch", "load"), CODEC_DANGEROUS);
    assert_int_equal(judge("torch.hub", "load"), CODEC_DANGEROUS);
    assert_int_equal(judge("numpy.testing._private.utils", "runstring"), CODEC_DANGEROUS);
    assert_int_equal(judge("torch", "serialization.os.system"), CODEC_DANGEROUS);
    assert_int_equal(judge("collections", "OrderedDict.__init__.__globals__"), CODEC_DANGEROUS);
    assert_int_equal(judge("", ""), CODEC_UNKNOWN);
}

static pickle_end run_bytes(snug_slice in, pickle **out)
{
    *out = pickle_new(in);
    return pickle_run(*out);
}

static void the_machine_reads_values(void **state)
{
    static const char in[] = "\x80\x04}(\x8c\x01"
                             "a\x8a\x02\xff\xffX\x01\0\0\0b("
                             "I01\nG\x3f\xf8\0\0\0\0\0\0N\x8a\x09\x01\0\0\0\0\0\0\0\x01tu.";
    pickle           *p;
    int64_t           v;
    (void)state;
    assert_int_equal(run_bytes(snug_slice_of(in, sizeof in - 1), &p), PICKLE_DONE);
    uint32_t top = pickle_top(p);
    assert_true(pickle_is_mapping(p, top));
    assert_true(pickle_to_i64(p, pickle_member(p, top, "a"), &v));
    assert_int_equal(v, -1);
    uint32_t t = pickle_member(p, top, "b");
    assert_int_equal(pickle_get(p, t)->kind, PICKLE_TUPLE);
    assert_int_equal(pickle_get(p, t)->n, 4);
    assert_int_equal(pickle_get(p, pickle_item(p, t, 0))->kind, PICKLE_BOOL);
    assert_true(pickle_get(p, pickle_item(p, t, 1))->v.f == 1.5);
    assert_int_equal(pickle_get(p, pickle_item(p, t, 2))->kind, PICKLE_NONE);
    assert_int_equal(pickle_get(p, pickle_item(p, t, 3))->kind, PICKLE_LONG);
    assert_int_equal(pickle_item(p, t, 4), 0);
    assert_int_equal(pickle_at(p), sizeof in - 1);
    assert_int_equal(pickle_run(p), PICKLE_EMPTY);
    pickle_free(p);
}

/* Every prefix of a pickle is cut or malformed, never whole. */
static void prefixes_are_not_whole(void **state)
{
    snug_arena *a = snug_arena_new();
    const char *names[] = {"pickles/p0-plain.pkl", "pickles/p2-plain.pkl", "pickles/p4-plain.pkl",
                           "pickles/made/safe-protocol5", "pickles/made/safe-set-of-ints"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snug_slice whole = load(a, names[i]);
        pickle    *p;
        for (size_t n = 0; n <= whole.len; n++) {
            pickle_end end = run_bytes(snug_sub(whole, 0, n), &p);
            if ((end == PICKLE_DONE) != (n == whole.len))
                fail_msg("%s: %zu of %zu bytes", names[i], n, whole.len);
            if (end != PICKLE_DONE) assert_true(pickle_why(p)[0] != '\0');
            pickle_free(p);
        }
    }
    snug_arena_free(a);
}

static void limits_hold(void **state)
{
    snug_arena *a = snug_arena_new();
    size_t      n = 20u << 20;
    char       *many = malloc(n);
    (void)state;
    memset(many, ']', n); /* more values than are kept */
    many[0] = '\x80';
    many[1] = 2;
    codec_scan s = scan(a, snug_slice_of(many, n));
    assert_int_equal(s.verdict, CODEC_UNKNOWN);
    memset(many + 2, '(', n - 2);
    assert_int_equal(scan(a, snug_slice_of(many, n)).verdict, CODEC_UNKNOWN);
    free(many);

    snug_buf b = snug_buf_init(1 << 24); /* more imports than are listed: still judged */
    snug_buf_puts(&b, "\x80\x02");
    for (unsigned i = 0; i < 12000; i++) snug_buf_printf(&b, "cm\nn%u\n0", i);
    snug_buf_puts(&b, "N.");
    s = scan(a, snug_buf_slice(&b));
    assert_int_equal(s.verdict, CODEC_UNKNOWN);
    assert_int_equal(s.import_count, PICKLE_IMPORTS_MAX);
    snug_buf_clear(&b);
    for (unsigned i = 0; i < 20000; i++) snug_buf_puts(&b, "N.");
    s = scan(a, snug_buf_slice(&b));
    assert_int_equal(s.verdict, CODEC_UNKNOWN);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

static void other_formats(void **state)
{
    snug_arena *a = snug_arena_new();
    (void)state;
    assert_string_equal(scan(a, load(a, "dtypes.safetensors")).format, "safetensors");
    assert_int_equal(scan(a, load(a, "dtypes.safetensors")).verdict, CODEC_SAFE);
    assert_int_equal(scan(a, load(a, "bad/hole.safetensors")).verdict, CODEC_UNKNOWN);
    assert_string_equal(scan(a, load(a, "gguf/random-0.gguf")).format, "gguf");
    assert_string_equal(scan(a, load(a, "array.npy")).format, "npy");
    assert_string_equal(scan(a, SNUG_LIT("# A README\n")).format, "text");
    assert_int_equal(scan(a, SNUG_EMPTY).verdict, CODEC_SAFE);
    codec_scan s = scan(a, SNUG_LIT("\0\1\2\3 something else"));
    assert_string_equal(s.format, "other");
    assert_int_equal(s.verdict, CODEC_UNKNOWN);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),
        cmocka_unit_test(crafted),
        cmocka_unit_test(reports),
        cmocka_unit_test(lists),
        cmocka_unit_test(the_machine_reads_values),
        cmocka_unit_test(prefixes_are_not_whole),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(other_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
