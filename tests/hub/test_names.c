/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_names.c - which names are accepted, and the one sentence for the rest. */
#include "hub_check.h"

static void test_accepted(void **state)
{
    static const char *const good[] = {"a",   "A",        "0",    "_",          "a-b",     "a.b",
                                       "a_b", "__init__", "a-.b", "Qwen2.5-7B", "x.git.y", "git"};
    snug_err                 err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        must(hub_check_name(snug_str(good[i]), "repository name", &err));
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",     "-a",   "a-",    ".a",    "a.",
                                      "a--b", "a..b", "a.git", "A.GIT", ".git",
                                      "a/b",  "a b",  "a\\b",  "a:b",   "\xc3\xa9t\xc3\xa9",
                                      "a\n",  "..",   ".",     "-",     "a%2fb"};
    snug_err                 err = {0};
    hub_repo_id              id;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        must_fail(hub_check_name(snug_str(bad[i]), "repository name", &err), SNUG_EINVAL, NULL,
                  "beginning and ending with a letter");
        char sentence[SNUG_ERR_MSG_MAX];
        memcpy(sentence, err.msg, sizeof sentence);
        must_fail(hub_parse_id(HUB_MODEL, SNUG_LIT("ok"), snug_str(bad[i]), &id, &err), SNUG_EINVAL,
                  NULL, sentence);
        must_fail(hub_parse_id(HUB_MODEL, snug_str(bad[i]), SNUG_LIT("ok"), &id, &err), SNUG_EINVAL,
                  NULL, "namespace");
    }
    assert_int_equal(hub_check_name(snug_slice_of("a\0b", 3), "name", &err), SNUG_EINVAL);
}

static void test_longest(void **state)
{
    char     name[HUB_NAME_MAX + 1];
    snug_err err = {0};
    (void)state;
    memset(name, 'a', sizeof name);
    must(hub_check_name(snug_slice_of(name, HUB_NAME_MAX), "name", &err));
    must_fail(hub_check_name(snug_slice_of(name, HUB_NAME_MAX + 1), "name", &err), SNUG_EINVAL,
              NULL, "use 1 to 96 letters");
}

static void test_types(void **state)
{
    hub_type t;
    (void)state;
    assert_true(hub_type_parse(SNUG_LIT("datasets"), &t) && t == HUB_DATASET);
    assert_true(hub_type_parse(SNUG_LIT("space"), &t) && t == HUB_SPACE);
    assert_false(hub_type_parse(SNUG_LIT("Model"), &t));
    assert_string_equal(hub_type_web(HUB_MODEL), "");
    assert_string_equal(hub_type_web(HUB_SPACE), "spaces/");
    assert_string_equal(hub_type_plural(HUB_DATASET), "datasets");
}

static void test_reserved(void **state)
{
    fixture                 *f = *state;
    snug_err                 err = {0};
    hub_repo_info            info;
    static const char *const namespaces[] = {"api",   "Datasets", "SPACES",
                                             "login", "v1",       "robots.txt"};
    static const char *const names[] = {"resolve", "tree", "Settings", "discussions"};
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++) {
        hub_new_repo want = {.id = id_of(HUB_MODEL, namespaces[i], "x")};
        must_fail(hub_create_repo(f->h, &f->root, &want, f->a, &info, &err), SNUG_EINVAL, NULL,
                  "is reserved");
        must_fail(hub_add_user(f->h, snug_str(namespaces[i]), SNUG_LIT("password"), SNUG_EMPTY,
                               false, NULL, &err),
                  SNUG_EINVAL, NULL, "is reserved");
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        hub_new_repo want = {.id = id_of(HUB_MODEL, "Alice", names[i])};
        must_fail(hub_create_repo(f->h, &f->alice, &want, f->a, &info, &err), SNUG_EINVAL, NULL,
                  "is reserved");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_types),
        cmocka_unit_test_setup_teardown(test_reserved, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
