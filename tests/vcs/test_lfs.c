/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_lfs.c - what is a Git LFS pointer and what is not. */
#include "fixture.h"

#define HASH "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define V1 "version https://git-lfs.github.com/spec/v1\n"
#define OID "oid sha256:" HASH "\n"

static const struct {
    const char *text;
    uint64_t    size;
} good[] = {
    {V1 OID "size 12345\n", 12345},
    {V1 OID "size 0\n", 0},
    {V1 OID "size 9223372036854775807\n", INT64_MAX},
    {"version https://hawser.github.com/spec/v1\n" OID "size 7\n", 7},
    {"version http://git-media.io/v/2\n" OID "size 7\n", 7},
    {V1 "ext-0-foo sha256:" HASH "\n" OID "size 1\n", 1},
    {V1 "ext-0-foo sha256:" HASH "\next-1-bar-2 sha256:" HASH "\next-9-z sha256:" HASH "\n" OID
        "size 1\n",
     1},
};

static const char *const bad[] = {
    "",
    "\n",
    V1,
    V1 OID,
    OID "size 1\n",
    V1 "size 1\n",
    V1 "size 1\n" OID,
    V1      OID "size 1",
    V1      OID "size 1\r\n",
    V1      OID "size 1\n\n",
    V1      OID "size 1\nx y\n",
    "\n" V1 OID "size 1\n",
    " " V1  OID "size 1\n",
    V1 "\n" OID "size 1\n",
    V1 OID "size -1\n",
    V1 OID "size +1\n",
    V1 OID "size  1\n",
    V1 OID "size 1 \n",
    V1 OID "size 01\n",
    V1 OID "size \n",
    V1 OID "size\n",
    V1 OID "size 1x\n",
    V1 OID "size 0x1\n",
    V1 OID "size 9223372036854775808\n",
    V1 OID "size 99999999999999999999999\n",
    "version https://git-lfs.github.com/spec/v2\n" OID "size 1\n",
    "version https://git-lfs.github.com/spec/v1 \n" OID "size 1\n",
    "version  https://git-lfs.github.com/spec/v1\n" OID "size 1\n",
    "Version https://git-lfs.github.com/spec/v1\n" OID "size 1\n",
    V1 "oid sha256:4D7A214614AB2935C943F9E0FF69D22EADBB8F32B1258DAAA5E2CA24D17E2393\nsize 1\n",
    V1 "oid sha256:4d7a\nsize 1\n",
    V1 "oid sha1:" HASH "\nsize 1\n",
    V1 "oid " HASH "\nsize 1\n",
    V1 "oid sha256:" HASH "0\nsize 1\n",
    V1 "oid sha256:" HASH " \nsize 1\n",
    V1 "oid sha256: " HASH "\nsize 1\n",
    V1 "oid  sha256:" HASH "\nsize 1\n",
    V1 "ext-1-a sha256:" HASH "\next-0-b sha256:" HASH "\n" OID "size 1\n", /* not sorted */
    V1 "ext-0-a sha256:" HASH "\next-0-b sha256:" HASH "\n" OID "size 1\n", /* same priority */
    V1 "ext-x-a sha256:" HASH "\n" OID "size 1\n",
    V1 "ext-10-a sha256:" HASH "\n" OID "size 1\n",
    V1 "ext-0- sha256:" HASH "\n" OID "size 1\n",
    V1 "ext-0 sha256:" HASH "\n" OID "size 1\n",
    V1 "ext-0-a b sha256:" HASH "\n" OID "size 1\n",
    V1 "ext-0-a sha256:x\n" OID "size 1\n",
    V1 OID "ext-0-a sha256:" HASH "\nsize 1\n",
    V1 "ext-0-a sha256:" HASH "\n",
    V1 "aaa b\n" OID "size 1\n",
    V1 OID OID "size 1\n",
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snug_sha256 oid;
        uint64_t    size = 99;
        if (!vcs_lfs_parse(snug_str(good[i].text), &oid, &size))
            fail_msg("refused:\n%s", good[i].text);
        char hex[65];
        snug_hex(oid.b, 32, hex);
        assert_string_equal(hex, HASH);
        assert_int_equal(size, good[i].size);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snug_sha256 oid;
        uint64_t    size;
        if (vcs_lfs_parse(snug_str(bad[i]), &oid, &size)) fail_msg("accepted:\n%s", bad[i]);
    }
}

static void test_size_limit(void **state)
{
    (void)state;
    /* Extensions fill a pointer up to the limit; each line is 7 + name + 72 bytes. */
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    snug_sha256 oid;
    uint64_t    size;
    snug_buf_puts(&b, V1);
    for (int i = 0; i < 9; i++) snug_buf_printf(&b, "ext-%d-abcdefgh sha256:" HASH "\n", i);
    size_t tail = strlen(OID "size 1\n"), used = b.len + tail + strlen("ext-9- sha256:" HASH "\n");
    snug_buf_puts(&b, "ext-9-");
    for (size_t i = used; i < 1023; i++) snug_buf_putc(&b, 'n');
    snug_buf_puts(&b, " sha256:" HASH "\n" OID "size 1\n");
    assert_int_equal(b.len, 1023);
    assert_true(vcs_lfs_parse(snug_buf_slice(&b), &oid, &size));
    b.len -= 2;
    snug_buf_puts(&b, "12\n");
    assert_int_equal(b.len, 1024);
    assert_false(vcs_lfs_parse(snug_buf_slice(&b), &oid, &size));
}

static void test_format(void **state)
{
    (void)state;
    snug_sha256 oid, back;
    uint64_t    size;
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    assert_true(snug_unhex(SNUG_LIT(HASH), oid.b, 32));
    vcs_lfs_format(&oid, 12345, &b);
    assert_string_equal(snug_buf_cstr(&b), good[0].text);
    assert_true(vcs_lfs_parse(snug_buf_slice(&b), &back, &size));
    assert_memory_equal(&back, &oid, sizeof oid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
