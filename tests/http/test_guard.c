/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "http/http.h"

static http_guard *guard(const char *allowed)
{
    http_guard *g = NULL;
    snug_err    err = {0};
    if (http_guard_new(snug_str(allowed), &g, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return g;
}

static bool reaches(const http_guard *g, const char *text)
{
    struct sockaddr_in  v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return http_guard_allows(g, (const struct sockaddr *)&v4);
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1) fail_msg("%s is no address", text);
    return http_guard_allows(g, (const struct sockaddr *)&v6);
}

static void test_closed(void **state)
{
    static const char *const no[] = {
        "0.0.0.0",         "0.1.2.3",       "10.0.0.1",      "10.255.255.255",  "100.64.0.1",
        "100.127.255.255", "127.0.0.1",     "127.9.9.9",     "169.254.169.254", "172.16.0.1",
        "172.31.255.255",  "192.168.0.1",   "198.18.0.1",    "198.19.255.255",  "224.0.0.1",
        "255.255.255.255", "240.0.0.1",     "::",            "::1",             "::7f00:1",
        "::ffff:10.0.0.1", "fc00::1",       "fdff::1",       "fe80::1",         "fec0::1",
        "ff02::1",         "64:ff9b::a00:1", "2002:a00:1::", "2002:7f00:1::",   "2001:db8::1",
        "100::1",          "2001::1"};
    static const char *const yes[] = {"1.1.1.1",        "9.255.255.255", "11.0.0.0",
                                      "100.63.255.255", "100.128.0.0",   "172.15.255.255",
                                      "172.32.0.0",     "192.167.255.255", "192.169.0.0",
                                      "223.255.255.255", "2606:4700::1111", "64:ff9b::101:101",
                                      "2002:101:101::", "::ffff:1.1.1.1"};
    http_guard              *g = guard("");
    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (reaches(g, no[i])) fail_msg("%s is reached", no[i]);
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!reaches(g, yes[i])) fail_msg("%s is refused", yes[i]);
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(http_guard_allows(g, &other));
    http_guard_free(g);
}

static void test_allowed(void **state)
{
    http_guard *g = guard(" 10.1.0.0/16,fd00::/8 , 127.0.0.1,, 192.168.4.0/23");
    (void)state;
    assert_true(reaches(g, "10.1.255.255"));
    assert_false(reaches(g, "10.2.0.0"));
    assert_false(reaches(g, "10.0.255.255"));
    assert_true(reaches(g, "127.0.0.1"));
    assert_true(reaches(g, "::ffff:127.0.0.1"));
    assert_false(reaches(g, "127.0.0.2"));
    assert_true(reaches(g, "fd12::1"));
    assert_false(reaches(g, "fc12::1"));
    assert_true(reaches(g, "192.168.5.255"));
    assert_false(reaches(g, "192.168.6.0"));
    http_guard_free(g);
}

static void test_bad_networks(void **state)
{
    static const char *const bad[] = {"x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1",
                                      "10.0.0/8", "10.0.0.0/8/8", "1.2.3.4,y",
                                      "1111111111111111111111111111111111111111111111111111111111"
                                      "1111111111"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        http_guard *g = NULL;
        snug_err    err = {0};
        if (http_guard_new(snug_str(bad[i]), &g, &err) != SNUG_EINVAL) fail_msg("%s", bad[i]);
        assert_null(g);
    }
}

static void test_urls(void **state)
{
    static const char *const bad[] = {"",
                                      "ftp://example.org/",
                                      "HTTP//x",
                                      "http://",
                                      "http:///x",
                                      "http://user@example.org/",
                                      "http://u:p@example.org/",
                                      "http://127.0.0.1/",
                                      "http://127.0.0.1:80/x",
                                      "https://[::1]:1/",
                                      "http://[::ffff:10.0.0.1]/",
                                      "http://[::1/",
                                      "http://10.0.0.1?x",
                                      "http://10.0.0.1#x",
                                      "http://exa mple.org/",
                                      "http://example.org/\n",
                                      "http://ex\xc3\xa4mple.org/"};
    static const char *const good[] = {"http://example.org", "https://example.org:8443/a?b=c@d#e",
                                       "http://1.1.1.1/", "http://[2606:4700::1111]:80/",
                                       "http://localhost.example.org/"};
    http_guard              *g = guard("");
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snug_err err = {0};
        if (http_guard_check_url(g, snug_str(bad[i]), &err) != SNUG_EINVAL) fail_msg("%s", bad[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snug_err err = {0};
        if (http_guard_check_url(g, snug_str(good[i]), &err) != SNUG_OK) fail_msg("%s", good[i]);
    }
    http_guard_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_bad_networks),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
