/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_accounts.c - users, passwords, tokens, signatures. */
#include "hub_check.h"

#define PASSWORD SNUG_LIT("correct horse")

static void test_users(void **state)
{
    fixture  *f = *state;
    snug_err  err = {0};
    hub_user  u;
    hub_actor who;
    uint64_t  n;

    must(
        hub_add_user(f->h, SNUG_LIT("Carol"), PASSWORD, SNUG_LIT("c@example.org"), true, &u, &err));
    assert_true(u.is_admin && u.id > 0 && snug_eq_str(u.name, "Carol"));
    must_fail(hub_add_user(f->h, SNUG_LIT("cAROL"), PASSWORD, SNUG_EMPTY, false, &u, &err),
              SNUG_ECONFLICT, NULL, "is taken");
    must_fail(hub_add_user(f->h, SNUG_LIT("x"), PASSWORD, SNUG_EMPTY, false, &u, &err), SNUG_EINVAL,
              NULL, "2 to 42");
    must_fail(hub_add_user(f->h, SNUG_LIT("dora"), SNUG_LIT("short"), SNUG_EMPTY, false, &u, &err),
              SNUG_EINVAL, NULL, "password");
    must_fail(hub_add_user(f->h, SNUG_LIT("dora"), PASSWORD, SNUG_LIT("no <at>"), false, &u, &err),
              SNUG_EINVAL, NULL, "e-mail");
    must(hub_count_users(f->h, &n, &err));
    assert_int_equal(n, 1);
    must(hub_find_user(f->h, SNUG_LIT("CAROL"), f->a, &u, &err));
    assert_true(snug_eq_str(u.email, "c@example.org"));
    must_fail(hub_find_user(f->h, SNUG_LIT("dora"), f->a, &u, &err), SNUG_ENOTFOUND, NULL,
              "no user");

    must(hub_check_password(f->h, SNUG_LIT("carol"), PASSWORD, f->a, &who, &err));
    assert_true(who.user_id == u.id && who.is_admin && who.scope == HUB_ROLE_WRITE);
    must_fail(hub_check_password(f->h, SNUG_LIT("carol"), SNUG_LIT("wrong"), f->a, &who, &err),
              SNUG_EUNAUTH, NULL, "Invalid username or password.");
    must_fail(hub_check_password(f->h, SNUG_LIT("nobody"), PASSWORD, f->a, &who, &err),
              SNUG_EUNAUTH, NULL, "Invalid username or password.");
    must(hub_set_password(f->h, SNUG_LIT("carol"), SNUG_LIT("another one"), &err));
    assert_int_equal(hub_check_password(f->h, SNUG_LIT("carol"), PASSWORD, f->a, &who, &err),
                     SNUG_EUNAUTH);
    must(hub_check_password(f->h, SNUG_LIT("carol"), SNUG_LIT("another one"), f->a, &who, &err));
}

static void test_guessing_slows_down(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    hub_actor   who;
    snug_status st = SNUG_OK;
    int         tries = 0;
    while (tries < 20 && (st = hub_check_password(f->h, SNUG_LIT("ghost"), SNUG_LIT("guess"), f->a,
                                                  &who, &err)) == SNUG_EUNAUTH)
        tries++;
    assert_int_equal(st, SNUG_ERATE);
    assert_int_equal(tries, 8);
    /* another name is not slowed */
    assert_int_equal(
        hub_check_password(f->h, SNUG_LIT("ghost2"), SNUG_LIT("guess"), f->a, &who, &err),
        SNUG_EUNAUTH);
}

static void test_namespace_in_use(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    (void)create(f, &f->root, HUB_MODEL, "google", "bert", HUB_PUBLIC);
    must_fail(hub_add_user(f->h, SNUG_LIT("Google"), PASSWORD, SNUG_EMPTY, false, NULL, &err),
              SNUG_ECONFLICT, NULL, "repositories live");
}

static void test_tokens(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    hub_user   u;
    hub_actor  who;
    hub_token *list;
    size_t     n;
    char       rd[40], wr[40];

    must(hub_add_user(f->h, SNUG_LIT("Carol"), PASSWORD, SNUG_EMPTY, false, &u, &err));
    must(hub_create_token(f->h, SNUG_LIT("carol"), SNUG_LIT("reader"), HUB_ROLE_READ, rd, &err));
    must(hub_create_token(f->h, SNUG_LIT("carol"), SNUG_LIT("writer"), HUB_ROLE_WRITE, wr, &err));
    must_fail(
        hub_create_token(f->h, SNUG_LIT("carol"), SNUG_LIT("writer"), HUB_ROLE_WRITE, wr + 0, &err),
        SNUG_ECONFLICT, NULL, "already has a token");
    must(hub_create_token(f->h, SNUG_LIT("carol"), SNUG_LIT("third"), HUB_ROLE_WRITE, wr, &err));
    assert_int_equal(strlen(rd), 37);
    assert_memory_equal(rd, "hf_", 3);
    assert_string_not_equal(rd, wr);

    for (int i = 0; i < 3; i++) { /* the first from the database, then from memory */
        must(hub_identify(f->h, snug_str(rd), f->a, &who, &err));
        assert_true(who.user_id == u.id && who.scope == HUB_ROLE_READ);
        assert_true(snug_eq_str(who.name, "Carol") && snug_eq_str(who.token_name, "reader"));
    }
    must(hub_identify(f->h, snug_str(wr), f->a, &who, &err));
    assert_int_equal(who.scope, HUB_ROLE_WRITE);
    must(hub_identify(f->h, SNUG_EMPTY, f->a, &who, &err));
    assert_int_equal(who.user_id, 0);

    static const char *const bad[] = {"hf_", "hf_short", "HF_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                      "hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        must_fail(hub_identify(f->h, snug_str(bad[i]), f->a, &who, &err), SNUG_EUNAUTH, NULL,
                  "Invalid credentials in Authorization header");

    must(hub_list_tokens(f->h, SNUG_LIT("carol"), f->a, &list, &n, &err));
    assert_int_equal(n, 3);
    assert_true(snug_eq_str(list[0].name, "reader") && list[0].role == HUB_ROLE_READ);
    assert_true(list[0].last_used_ms >= list[0].created_ms);
    assert_int_equal(list[1].last_used_ms, 0);

    must(hub_revoke_token(f->h, SNUG_LIT("carol"), SNUG_LIT("reader"), &err));
    assert_int_equal(hub_identify(f->h, snug_str(rd), f->a, &who, &err), SNUG_EUNAUTH);
    must_fail(hub_revoke_token(f->h, SNUG_LIT("carol"), SNUG_LIT("reader"), &err), SNUG_ENOTFOUND,
              NULL, "no token");
    must_fail(hub_create_token(f->h, SNUG_LIT("carol"), SNUG_LIT("x"), HUB_ROLE_ADMIN, rd, &err),
              SNUG_EINVAL, NULL, "read or write");
}

/* A command beside the running server: it sees and changes accounts, and leaves the rest alone. */
static void test_admin_tool(void **state)
{
    fixture  *f = *state;
    snug_err  err = {0};
    hub      *tool;
    hub_opts  o = {.data_dir = f->dir, .admin_tool = true};
    hub_user *users;
    hub_actor who;
    size_t    n;
    char      token[40];

    (void)create(f, &f->alice, HUB_MODEL, "alice", "x", HUB_PUBLIC);
    must(hub_open(&o, &tool, &err));
    must(hub_add_user(tool, SNUG_LIT("zoe"), PASSWORD, SNUG_EMPTY, false, NULL, &err));
    must(hub_add_user(tool, SNUG_LIT("Ann"), PASSWORD, SNUG_LIT("a@b"), true, NULL, &err));
    must(hub_create_token(tool, SNUG_LIT("zoe"), SNUG_LIT("t"), HUB_ROLE_READ, token, &err));
    must(hub_list_users(tool, f->a, &users, &n, &err));
    hub_close(tool);
    assert_int_equal(n, 2);
    assert_true(snug_eq_str(users[0].name, "Ann") && users[0].is_admin);
    assert_true(snug_eq_str(users[1].name, "zoe") && !users[1].is_admin);
    must(hub_identify(f->h, snug_str(token), f->a, &who, &err));
    assert_true(snug_eq_str(who.name, "zoe"));
}

/* The database file holds neither the password nor the token. */
static void test_nothing_in_the_clear(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    char       token[40], path[128];
    snug_slice bytes;

    must(hub_add_user(f->h, SNUG_LIT("Carol"), PASSWORD, SNUG_EMPTY, false, NULL, &err));
    must(hub_create_token(f->h, SNUG_LIT("carol"), SNUG_LIT("t"), HUB_ROLE_READ, token, &err));
    hub_close(f->h);
    f->h = NULL;
    snprintf(path, sizeof path, "%s/snug.db", f->dir);
    must(snug_read_file(f->a, path, 64 << 20, &bytes, &err));
    assert_true(snug_find(bytes, SNUG_LIT("$argon2id$")) != SIZE_MAX);
    assert_true(snug_find(bytes, PASSWORD) == SIZE_MAX);
    assert_true(snug_find(bytes, snug_str(token)) == SIZE_MAX);
    assert_true(snug_find(bytes, snug_str(token + 3)) == SIZE_MAX);
}

static void test_signatures(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    char     sig[65];
    int64_t  soon = snug_now_ms() + 60000;

    must(hub_sign(f->h, SNUG_LIT("GET o1"), soon, sig, &err));
    assert_true(hub_sign_ok(f->h, SNUG_LIT("GET o1"), soon, snug_str(sig)));
    assert_false(hub_sign_ok(f->h, SNUG_LIT("PUT o1"), soon, snug_str(sig)));
    assert_false(hub_sign_ok(f->h, SNUG_LIT("GET o1"), soon + 1, snug_str(sig)));
    assert_false(hub_sign_ok(f->h, SNUG_LIT("GET o1"), soon, SNUG_EMPTY));
    hub_close(f->h);
    open_hub(f); /* the secret outlives a restart */
    assert_true(hub_sign_ok(f->h, SNUG_LIT("GET o1"), soon, snug_str(sig)));
    sig[10] = sig[10] == 'a' ? 'b' : 'a';
    assert_false(hub_sign_ok(f->h, SNUG_LIT("GET o1"), soon, snug_str(sig)));
    must(hub_sign(f->h, SNUG_LIT("GET o1"), snug_now_ms() - 1, sig, &err));
    assert_false(hub_sign_ok(f->h, SNUG_LIT("GET o1"), snug_now_ms() - 1, snug_str(sig)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guessing_slows_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_namespace_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_admin_tool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_in_the_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signatures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
