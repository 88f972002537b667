/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: jinja - any text as a template over fixed data: it compiles or says why, and a rendering
 * ends within its limits. The first byte chooses the settings; a text after the first NUL byte is
 * what include, import and extends find. */
#include "jinja/jinja.h"

#include "base/err.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 20000, OUTPUT = 64 << 10, MEMORY = 2 << 20, TEXT_MAX = 16 << 10 };

static const char context[] =
    "{\"s\":\"a <b> \\u00e9\\ud83d\\ude00\",\"i\":3,\"f\":2.5,\"n\":null,\"t\":true,\"l\":[3,1,2],"
    "\"d\":{\"a\":1,\"items\":2,\"k\":{\"x\":\"y\"}},\"messages\":[{\"role\":\"user\",\"content\":"
    "\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\",\"tool_calls\":[{\"id\":\"1\"}]}],"
    "\"bos_token\":\"<s>\",\"add_generation_prompt\":true}";

static snug_status load(void *arg, snug_slice name, const jinja_template **out, snug_err *err)
{
    (void)name;
    *out = *(const jinja_template *const *)arg;
    return *out != NULL ? SNUG_OK : snug_fail(err, SNUG_ENOTFOUND, "none");
}

static int64_t now(void *arg)
{
    (void)arg;
    return 1790000000;
}

static void mark(void *arg, size_t from, size_t to)
{
    (void)arg;
    SNUG_ASSERT(from <= to && to <= OUTPUT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > TEXT_MAX) return 0;
    snug_arena           *a = snug_arena_new();
    snug_slice            text = snug_slice_of(data + 1, size - 1), other = SNUG_EMPTY;
    const char           *nul = memchr(text.ptr, '\0', text.len);
    const jinja_template *t = NULL, *second = NULL;
    snug_json             ctx;
    snug_err              err = {0};
    snug_buf              out = snug_buf_init(2 * OUTPUT);
    jinja_opts            opts = {.trim_blocks = data[0] & 1,
                                  .lstrip_blocks = data[0] & 2,
                                  .keep_trailing_newline = data[0] & 4,
                                  .autoescape = data[0] & 8};
    jinja_env             env = {.limits = {STEPS, OUTPUT, MEMORY, 0},
                                 .load = load,
                                 .load_arg = &second,
                                 .now = now,
                                 .on_generation = mark};
    if (nul != NULL) {
        other = snug_sub(text, (size_t)(nul - text.ptr) + 1, SIZE_MAX);
        text.len = (size_t)(nul - text.ptr);
    }
    SNUG_ASSERT(snug_json_parse(a, snug_str(context), NULL, &ctx, &err) == SNUG_OK);
    if (nul != NULL && jinja_compile(a, other, &opts, &second, &err) != SNUG_OK) second = NULL;
    snug_err_clear(&err);
    if (jinja_compile(a, text, &opts, &t, &err) != SNUG_OK) {
        SNUG_ASSERT(err.msg[0] != '\0');
    } else {
        snug_buf_puts(&out, "kept");
        if (jinja_render(t, ctx, &env, &out, &err) != SNUG_OK)
            SNUG_ASSERT(err.msg[0] != '\0' && out.len == 4);
        SNUG_ASSERT(out.len >= 4 && memcmp(out.ptr, "kept", 4) == 0 && out.len <= OUTPUT + 4);
    }
    snug_buf_deinit(&out);
    snug_arena_free(a);
    return 0;
}
