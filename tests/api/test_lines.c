/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/test_lines.c - the commit body's parser: every operation, every cut, every complaint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "api/api_int.h"

/* What arrived, as text that a test can compare. */
static snug_status note(void *arg, const api_op *op, snug_err *err)
{
    snug_buf *b = arg;
    char      hex[65];
    switch (op->kind) {
    case API_OP_HEADER:
        snug_buf_printf(b, "H(%.*s|%.*s|%.*s)", SNUG_SLICE(op->summary),
                        SNUG_SLICE(op->description), SNUG_SLICE(op->parent));
        break;
    case API_OP_FILE:
        snug_buf_printf(b, "F(%.*s<%.*s:%s%.*s)", SNUG_SLICE(op->path), SNUG_SLICE(op->old_path),
                        op->content.ptr == NULL ? "null" : "", SNUG_SLICE(op->content));
        break;
    case API_OP_LFS:
        blob_id_hex(&op->oid, hex);
        snug_buf_printf(b, "L(%.*s:%.4s:", SNUG_SLICE(op->path), hex);
        if (op->has_size)
            snug_buf_printf(b, "%llu)", (unsigned long long)op->size);
        else
            snug_buf_puts(b, "?)");
        break;
    case API_OP_DELETE_FILE:
        snug_buf_printf(b, "D(%.*s)", SNUG_SLICE(op->path));
        break;
    case API_OP_DELETE_FOLDER:
        snug_buf_printf(b, "R(%.*s)", SNUG_SLICE(op->path));
        break;
    case API_OP_COPY:
        snug_buf_printf(b, "C(%.*s@%.*s>%.*s)", SNUG_SLICE(op->src_path), SNUG_SLICE(op->src_rev),
                        SNUG_SLICE(op->path));
        break;
    }
    if (snug_eq_str(op->path, "refuse")) return snug_fail(err, SNUG_EPAYLOAD, "no such path");
    return SNUG_OK;
}

static snug_status run(snug_slice text, size_t step, size_t line_max, snug_buf *seen, snug_err *err)
{
    api_lines   l = api_lines_init(line_max, note, seen);
    snug_status st = SNUG_OK;
    for (size_t off = 0; off < text.len && st == SNUG_OK; off += step)
        st = api_lines_feed(&l, snug_sub(text, off, step), err);
    if (st == SNUG_OK) st = api_lines_end(&l, err);
    api_lines_deinit(&l);
    return st;
}

static void every_operation_in_every_cut(void **state)
{
    (void)state;
    static const char text[] =
        "{\"key\":\"header\",\"value\":{\"summary\":\"Add\",\"description\":\"Why\","
        "\"parentCommit\":\"abc\"}}\n"
        "{\"key\":\"file\",\"value\":{\"path\":\"a.txt\",\"content\":\"aGVsbG8=\",\"encoding\":"
        "\"base64\"}}\r\n"
        "\n"
        "{\"key\":\"file\",\"value\":{\"path\":\"b.txt\",\"content\":\"h\\u00e9\",\"encoding\":"
        "\"utf-8\",\"oldPath\":\"o.txt\"}}\n"
        "{\"key\":\"file\",\"value\":{\"path\":\"c\",\"content\":\"\",\"encoding\":\"base64\"}}\n"
        "{\"key\":\"file\",\"value\":{\"path\":\"new\",\"oldPath\":\"old\"}}\n"
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"m.bin\",\"algo\":\"sha256\",\"oid\":"
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"size\":123}}\n"
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"n.bin\",\"oid\":"
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}}\n"
        "{\"key\":\"deletedFile\",\"value\":{\"path\":\"d\"}}\n"
        "{\"key\":\"deletedFolder\",\"value\":{\"path\":\"e/\"}}\n"
        "{\"key\":\"copyFile\",\"value\":{\"srcPath\":\"x\",\"srcRevision\":\"v1\",\"path\":\"y\"}"
        "}"; /* no newline */
    for (size_t step = 1; step < sizeof text; step += step < 80 ? 1 : 97) {
        SNUG_AUTO(snug_buf) seen = snug_buf_init(1 << 20);
        snug_err err = {0};
        if (run(snug_str(text), step, 4096, &seen, &err) != SNUG_OK)
            fail_msg("step %zu: %s", step, err.msg);
        assert_string_equal(
            snug_buf_cstr(&seen),
            "H(Add|Why|abc)F(a.txt<:hello)F(b.txt<o.txt:h\xc3\xa9)F(c<:)F(new<old:null)"
            "L(m.bin:2cf2:123)L(n.bin:2cf2:?)D(d)R(e)C(x@v1>y)");
    }
}

#define HEADER "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"description\":\"\"}}\n"

static void complaints_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "the commit has no header line"},
        {"\n\n", "the commit has no header line"},
        {"{\"key\":\"deletedFile\",\"value\":{\"path\":\"d\"}}\n",
         "line 1: the first operation must be the header"},
        {HEADER HEADER, "line 2: a second header"},
        {HEADER "{\"key\":\"explode\",\"value\":{}}\n", "line 2: unknown operation \"explode\""},
        {HEADER "{\"key\":\"file\"}\n", "line 2: \"value\" must be an object"},
        {HEADER "\n{\"key\":\"deletedFile\",\"value\":{\"path\":\"\"}}\n",
         "line 3: \"path\" is empty"},
        {HEADER
         "{\"key\":\"file\",\"value\":{\"path\":\"a\",\"content\":\"x\",\"encoding\":\"rot13\"}}",
         "line 2: \"encoding\" must be \"base64\" or \"utf-8\""},
        {HEADER "{\"key\":\"lfsFile\",\"value\":{\"path\":\"a\",\"oid\":\"123\"}}",
         "line 2: \"oid\" must be 64 lowercase hexadecimal digits"},
        {HEADER "{\"key\":\"lfsFile\",\"value\":{\"path\":\"a\",\"algo\":\"md5\",\"oid\":\"123\"}}",
         "line 2: \"algo\" must be \"sha256\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SNUG_AUTO(snug_buf) seen = snug_buf_init(1 << 20);
        snug_err err = {0};
        assert_int_equal(run(snug_str(cases[i].text), 1000, 4096, &seen, &err), SNUG_EINVAL);
        assert_string_equal(err.msg, cases[i].want);
    }
    static const char *const begins[] = {
        "{\"key\":", "[1,2]", "hello",
        "{\"key\":\"file\",\"value\":{\"path\":\"a\",\"content\":\"@@\",\"encoding\":\"base64\"}}",
        "{\"key\":\"file\",\"value\":{\"path\":7}}"};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        SNUG_AUTO(snug_buf) seen = snug_buf_init(1 << 20);
        SNUG_AUTO(snug_buf) text = snug_buf_init(4096);
        snug_err err = {0};
        snug_buf_printf(&text, "%s%s", HEADER, begins[i]);
        assert_int_equal(run(snug_buf_slice(&text), 7, 4096, &seen, &err), SNUG_EINVAL);
        assert_memory_equal(err.msg, "line 2: ", 8);
    }
}

static void errors_of_the_taker_pass_as_they_are(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) seen = snug_buf_init(1 << 20);
    snug_err err = {0};
    assert_int_equal(
        run(SNUG_LIT(HEADER "{\"key\":\"deletedFile\",\"value\":{\"path\":\"refuse\"}}\n"), 9, 4096,
            &seen, &err),
        SNUG_EPAYLOAD);
    assert_string_equal(err.msg, "no such path");
}

static void a_long_line_is_refused_and_many_lines_are_not(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) seen = snug_buf_init(64 << 20);
    SNUG_AUTO(snug_buf) text = snug_buf_init(64 << 20);
    snug_err err = {0};
    snug_buf_puts(&text, HEADER);
    for (int i = 0; i < 50000; i++)
        snug_buf_printf(&text, "{\"key\":\"deletedFile\",\"value\":{\"path\":\"f%d\"}}\n", i);
    assert_int_equal(run(snug_buf_slice(&text), 65536, 256, &seen, &err), SNUG_OK);
    snug_buf_puts(
        &text, "{\"key\":\"file\",\"value\":{\"path\":\"a\",\"encoding\":\"utf-8\",\"content\":\"");
    for (int i = 0; i < 400; i++) snug_buf_putc(&text, 'x');
    assert_int_equal(run(snug_buf_slice(&text), 1000, 256, &seen, &err), SNUG_ELIMIT);
    assert_string_equal(err.msg,
                        "line 50002 is longer than 256 bytes; upload large files through LFS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_in_every_cut),
        cmocka_unit_test(complaints_name_the_line),
        cmocka_unit_test(errors_of_the_taker_pass_as_they_are),
        cmocka_unit_test(a_long_line_is_refused_and_many_lines_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
