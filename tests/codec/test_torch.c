/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_torch.c - checkpoints give exactly the tensors torch 2.15.0 and numpy 2.4.6 put
 * there (the .safetensors beside each), and only safe ones give any. */
#include <inttypes.h>

#include "golden.h"

static void same_tensors(const char *name, const char *twin, size_t want_count)
{
    snug_arena       *a = snug_arena_new();
    snug_err          err = {0};
    codec_checkpoint  c;
    codec_safetensors st;
    uint64_t          count;
    snug_slice        file = load(a, snug_arena_printf(a, "checkpoints/%s", name).ptr),
               want = load(a, snug_arena_printf(a, "checkpoints/%s", twin).ptr);
    assert_int_equal(codec_safetensors_parse(a, want, want.len, &st, &err), SNUG_OK);
    if (codec_checkpoint_open(a, file, &c, &err) != SNUG_OK) fail_msg("%s: %s", name, err.msg);
    assert_int_equal(c.count, want_count);
    assert_int_equal(st.count, want_count);
    for (size_t i = 0; i < c.count; i++) {
        const codec_view   *v = &c.tensors[i];
        const codec_tensor *t = codec_safetensors_find(&st, v->tensor.name);
        if (t == NULL) fail_msg("%s: no %.*s", name, SNUG_SLICE(v->tensor.name));
        assert_int_equal(v->tensor.dtype, t->dtype);
        assert_int_equal(v->tensor.rank, t->rank);
        assert_memory_equal(v->tensor.shape, t->shape, t->rank * sizeof *t->shape);
        assert_int_equal(codec_view_check(v, &count, &err), SNUG_OK);
        char *got = malloc(t->size + 1);
        codec_view_copy(v, 0, count, got);
        if (memcmp(got, want.ptr + st.data_offset + t->offset, t->size) != 0)
            fail_msg("%s: %.*s differs", name, SNUG_SLICE(t->name));
        free(got);
    }
    snug_arena_free(a);
}

static void torch_files(void **state)
{
    (void)state;
    same_tensors("new.pt", "new.pt.safetensors", 21);
    same_tensors("old.pt", "old.pt.safetensors", 17);
    same_tensors("nested.pt", "nested.pt.safetensors", 3);
    same_tensors("trained.pt", "trained.pt.safetensors", 1);
    same_tensors("single.pt", "single.pt.safetensors", 1);
}

static void numpy_files(void **state)
{
    const char *names[] = {"numpy-0.pkl", "numpy-1.pkl", "numpy-2.pkl",
                           "numpy-3.pkl", "numpy-4.pkl", "numpy-5.pkl"};
    (void)state;
    for (size_t i = 0; i < 6; i++) same_tensors(names[i], "numpy.safetensors", 6);
    same_tensors("arrays.npz", "arrays.npz.safetensors", 2);
}

static void what_was_left_out(void **state)
{
    snug_arena      *a = snug_arena_new();
    snug_err         err = {0};
    codec_checkpoint c;
    (void)state;
    assert_int_equal(codec_checkpoint_open(a, load(a, "checkpoints/nested.pt"), &c, &err), SNUG_OK);
    assert_int_equal(c.skipped, 2);
    assert_int_equal(c.root.len, 0);
    assert_string_equal(c.format, "torch zip");
    assert_int_equal(codec_checkpoint_open(a, load(a, "checkpoints/trained.pt"), &c, &err),
                     SNUG_OK);
    assert_true(snug_eq_str(c.root, "state_dict"));
    assert_int_equal(codec_checkpoint_open(a, load(a, "checkpoints/old.pt"), &c, &err), SNUG_OK);
    assert_string_equal(c.format, "torch");
    snug_arena_free(a);
}

static void refused(const char *name, snug_status want, const char *words)
{
    snug_arena      *a = snug_arena_new();
    snug_err         err = {0};
    codec_checkpoint c;
    snug_status      st = codec_checkpoint_open(a, load(a, name), &c, &err);
    if (st != want) fail_msg("%s: %s, not %s", name, snug_status_name(st), snug_status_name(want));
    says(&err, words);
    snug_arena_free(a);
}

static void only_safe_files(void **state)
{
    (void)state;
    refused("pickles/evil-checkpoint.bin", SNUG_ECORRUPT,
            "loading it would import posix.system (dangerous, byte 13 of archive/data.pkl)");
    refused("pickles/made/unknown-import", SNUG_EUNSUPPORTED,
            "would import sklearn.svm.SVC (unknown, byte 2)");
    refused("pickles/made/unknown-cut", SNUG_EUNSUPPORTED, "cannot be followed past byte");
    refused("pickles/p4-plain.pkl", SNUG_EUNSUPPORTED, "no tensors");
    refused("dtypes.safetensors", SNUG_EUNSUPPORTED, "a safetensors file is no checkpoint");
    refused("checkpoints/sparse.pt", SNUG_EUNSUPPORTED, "s: a tensor that is sparse");
}

/* Old files cut anywhere: never a tensor outside its bytes, never a crash. */
static void cut_files(void **state)
{
    snug_arena      *a = snug_arena_new();
    snug_err         err = {0};
    codec_checkpoint c;
    snug_slice       file = load(a, "checkpoints/old.pt");
    (void)state;
    for (size_t n = 0; n < file.len; n += 3)
        assert_int_not_equal(codec_checkpoint_open(a, snug_sub(file, 0, n), &c, &err), SNUG_OK);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_files),       cmocka_unit_test(numpy_files),
        cmocka_unit_test(what_was_left_out), cmocka_unit_test(only_safe_files),
        cmocka_unit_test(cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
