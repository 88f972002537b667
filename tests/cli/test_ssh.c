/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_ssh.c - the line a client sends, and the answers it gets back.
 * needs: hub */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/ssh.h"

static void commands(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ssh_verb    verb;
        hub_type    type;
    } good[] = {
        {"git-upload-pack '/ada/x.git'", SSH_FETCH, HUB_MODEL},
        {"git upload-pack 'ada/x'", SSH_FETCH, HUB_MODEL},
        {"git-receive-pack \"datasets/ada/x/\"", SSH_PUSH, HUB_DATASET},
        {"  git-receive-pack   //spaces/ada/x  ", SSH_PUSH, HUB_SPACE},
        {"git-lfs-authenticate ada/x.git upload", SSH_LFS_WRITE, HUB_MODEL},
        {"git-lfs-authenticate '/datasets/ada/x' download 00ff", SSH_LFS_READ, HUB_DATASET},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ssh_command c;
        snug_err    err = {0};
        assert_int_equal(ssh_parse_command(snug_str(good[i].text), &c, &err), SNUG_OK);
        assert_int_equal(c.verb, good[i].verb);
        assert_int_equal(c.repo.type, good[i].type);
        assert_string_equal(c.repo.ns, "ada");
        assert_string_equal(c.repo.name, "x");
    }
    static const char *const bad[] = {"",
                                      "id",
                                      "git-upload-pack",
                                      "git-upload-pack ada",
                                      "git-upload-pack 'ada/x'; id",
                                      "git",
                                      "git-upload-pack $(id)",
                                      "git-upload-pack ../../etc",
                                      "git-upload-pack /etc/../x",
                                      "git-upload-pack 'ada/x' --upload-pack=id",
                                      "git-upload-pack cars/ada/x",
                                      "git-upload-pack ada/x/y",
                                      "git-upload-archive ada/x",
                                      "git-lfs-transfer ada/x upload",
                                      "git-lfs-authenticate ada/x",
                                      "git-lfs-authenticate ada/x burn",
                                      "git-upload-pack -x/y",
                                      "git-upload-pack 'ada/x",
                                      "GIT-UPLOAD-PACK ada/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ssh_command c;
        snug_err    err = {0};
        assert_int_not_equal(ssh_parse_command(snug_str(bad[i]), &c, &err), SNUG_OK);
        assert_true(err.msg[0] != '\0');
    }
}

static snug_status collect(void *arg, snug_slice bytes, snug_err *err)
{
    (void)err;
    snug_buf_put_slice(arg, bytes);
    return SNUG_OK;
}

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"

/* Feeds `in` in pieces of each size and wants `out`. */
static void passes(ssh_ask ask, bool deepen, bool multi, const char *known, const char *in,
                   const char *out, const char *common_after)
{
    for (size_t step = 1; step <= strlen(in); step += 1 + step / 3) {
        SNUG_AUTO(snug_buf) common = snug_buf_init(4096);
        SNUG_AUTO(snug_buf) got = snug_buf_init(4096);
        snug_err   err = {0};
        ssh_filter f = {
            .deepen = deepen, .multi = multi, .common = &common, .write = collect, .arg = &got};
        f.held = snug_buf_init(4096);
        snug_buf_puts(&common, known);
        ssh_filter_begin(&f, ask);
        for (size_t i = 0; i < strlen(in); i += step)
            assert_int_equal(ssh_filter_feed(&f, snug_sub(snug_str(in), i, step), &err), SNUG_OK);
        assert_string_equal(snug_buf_cstr(&got), out);
        assert_string_equal(snug_buf_cstr(&common), common_after);
        snug_buf_deinit(&f.held);
    }
}

static void answers_lose_what_was_heard(void **state)
{
    (void)state;
    const char *list = "0035shallow " A "\n0000", *nak = "0008NAK\n";
    char        in[1024], out[1024];

    /* the list of a shallow fetch, once, without the NAK after it */
    (void)snprintf(in, sizeof in, "%s%s", list, nak);
    passes(SSH_ASK_SHALLOW, true, true, "", in, list, "");
    passes(SSH_ASK_HAVES, true, true, "", in, nak, "");
    /* what is new is told and remembered */
    passes(SSH_ASK_HAVES, false, true, "", "0038ACK " A " common\n0008NAK\n",
           "0038ACK " A " common\n0008NAK\n", "0032have " A "\n");
    /* what was told is not, but "ready" always is */
    passes(SSH_ASK_HAVES, false, true, "0032have " A "\n",
           "0038ACK " A " common\n0038ACK " B " common\n0037ACK " A " ready\n0008NAK\n",
           "0038ACK " B " common\n0037ACK " A " ready\n0008NAK\n",
           "0032have " A "\n0032have " B "\n");
    /* the last word, and the pack behind it, with and without side bands */
    passes(SSH_ASK_DONE, false, true, "0032have " A "\n",
           "0038ACK " A " common\n0031ACK " A "\n0009\1PACK0000", "0031ACK " A "\n0009\1PACK0000",
           "0032have " A "\n");
    (void)snprintf(in, sizeof in, "%s%sPACK and so on, 0038ACK " A " common\n", list, nak);
    (void)snprintf(out, sizeof out, "%sPACK and so on, 0038ACK " A " common\n", nak);
    passes(SSH_ASK_DONE, true, true, "0032have " A "\n", in, out, "0032have " A "\n");
    /* a client of the first days hears one ACK in all */
    passes(SSH_ASK_HAVES, false, false, "", "0031ACK " A "\n", "0031ACK " A "\n",
           "0032have " A "\n");
    passes(SSH_ASK_DONE, false, false, "0032have " A "\n", "0031ACK " A "\nPACKx", "PACKx",
           "0032have " A "\n");
    passes(SSH_ASK_HAVES, false, true, "", "000cERR nono", "000cERR nono", "");
}

static void keys(void **state)
{
    (void)state;
    const char *good =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFqFmLjey5HXM5M/ggosaecnb/dcaZ7XUasP59YboDcz a b";
    snug_slice kind, blob, comment;
    snug_err   err = {0};
    assert_int_equal(hub_parse_ssh_key(snug_str(good), &kind, &blob, &comment, &err), SNUG_OK);
    assert_true(snug_eq_str(kind, "ssh-ed25519") && snug_eq_str(comment, "a b"));
    for (size_t n = 0; n < strlen(good) - 5; n++) /* cut anywhere */
        assert_int_not_equal(
            hub_parse_ssh_key(snug_sub(snug_str(good), 0, n), &kind, &blob, &comment, &err),
            SNUG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands),
                                       cmocka_unit_test(answers_lose_what_was_heard),
                                       cmocka_unit_test(keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
