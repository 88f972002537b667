/* SPDX-License-Identifier: Apache-2.0 */
/* tests/infer/gguf_check.h - files of tensors, read and compared. */
#ifndef TESTS_INFER_GGUF_CHECK_H
#define TESTS_INFER_GGUF_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "infer/infer_int.h"

static const char *const ROOT = SNUG_SOURCE_DIR "/tests/golden/model";
static char              dir[] = "/tmp/snug-gguf-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return snug_remove_tree(dir, NULL) != SNUG_OK;
}

typedef struct loaded {
    snug_slice        file;
    codec_safetensors st;
} loaded;

static loaded load(snug_arena *a, const char *path)
{
    loaded   l;
    snug_err err;
    if (snug_read_file(a, path, 1u << 26, &l.file, &err) != SNUG_OK)
        fail_msg("%s %s", path, err.cause);
    if (codec_safetensors_parse(a, l.file, l.file.len, &l.st, &err) != SNUG_OK)
        fail_msg("%s", err.msg);
    return l;
}

static double value(const loaded *l, const codec_tensor *t, uint64_t i)
{
    return codec_dtype_read(t->dtype, l->file.ptr + l->st.data_offset + t->offset, i);
}

/* The largest difference of any output both files have, over the largest value. */
static double distance(const char *want_path, const char *got_path)
{
    snug_arena *a = snug_arena_new();
    loaded      want = load(a, want_path), got = load(a, got_path);
    double      worst = 0;
    size_t      compared = 0;
    for (size_t i = 0; i < want.st.count; i++) {
        const codec_tensor *w = &want.st.tensors[i], *g = codec_safetensors_find(&got.st, w->name);
        if (!snug_starts_with(w->name, "out.") || g == NULL) continue;
        double most = 0, diff = 0;
        assert_int_equal(g->size, w->size);
        for (size_t k = 0; k < w->size / 4; k++) {
            double x = value(&want, w, k), y = value(&got, g, k);
            most = fmax(most, fabs(x));
            diff = fmax(diff, isfinite(y) ? fabs(x - y) : INFINITY);
        }
        worst = fmax(worst, diff / most);
        compared++;
    }
    assert_true(compared > 0);
    snug_arena_free(a);
    return worst;
}

static void forward(const char *path, const char *in, const char *out)
{
    SNUG_AUTO(snug_buf) ids = snug_buf_init(1u << 20);
    snug_err err;
    if (infer_forward_files(path, NULL, in, out, (snug_json){NULL}, &ids, &err) != SNUG_OK)
        fail_msg("%s: %s", path, err.msg);
}

#endif
