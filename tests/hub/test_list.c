/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_list.c - lists show what their reader may see; cursors; download counts. */
#include "hub/hub_int.h"
#include "hub_check.h"

enum { REPOS = 12 };

static const char *const sorts[] = {
    "", "createdAt", "lastModified", "downloads", "likes", "trendingScore", "id"};

static void fill(fixture *f)
{
    for (int i = 0; i < REPOS; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%02d", i);
        (void)create(f, i % 2 ? &f->bob : &f->alice, HUB_MODEL, i % 2 ? "bob" : "alice", name,
                     i % 3 == 0   ? HUB_PRIVATE
                     : i % 3 == 1 ? HUB_INTERNAL
                                  : HUB_PUBLIC);
    }
}

/* All names over all pages, in order. */
static size_t walk(fixture *f, const hub_actor *who, hub_list_query q, char names[][16])
{
    size_t   total = 0;
    snug_err err = {0};
    do {
        hub_repo_info *rows;
        size_t         n;
        must(hub_list_repos(f->h, who, &q, f->a, &rows, &n, &q.cursor, &err));
        for (size_t i = 0; i < n && names != NULL; i++)
            snprintf(names[total + i], 16, "%.15s", rows[i].id.name);
        total += n;
        assert_true(total <= 100);
    } while (q.cursor.len > 0);
    return total;
}

static void test_permission_true(void **state)
{
    fixture *f = *state;
    fill(f);
    for (size_t s = 0; s < sizeof sorts / sizeof sorts[0]; s++) {
        for (size_t limit = 1; limit <= 13; limit += 3) {
            hub_list_query q = {.type = HUB_MODEL, .sort = snug_str(sorts[s]), .limit = limit};
            assert_int_equal(walk(f, &nobody, q, NULL), 4);
            assert_int_equal(walk(f, NULL, q, NULL), 4);
            assert_int_equal(walk(f, &f->alice, q, NULL), 10); /* 4 public, 4 internal, 2 own */
            assert_int_equal(walk(f, &f->root, q, NULL), 12);
            q.author = SNUG_LIT("BOB");
            assert_int_equal(walk(f, &f->alice, q, NULL), 4);
            q.author = SNUG_EMPTY;
            q.search = SNUG_LIT("M0");
            assert_int_equal(walk(f, &f->root, q, NULL), 10);
        }
    }
    hub_list_query d = {.type = HUB_DATASET, .limit = 5};
    assert_int_equal(walk(f, &f->root, d, NULL), 0);
}

static void test_filters_and_order(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    char       names[100][16];
    snug_slice mit[] = {SNUG_LIT("license:MIT"), SNUG_LIT("en")};
    fill(f);
    hub_repo_id one = id_of(HUB_MODEL, "alice", "m02"), two = id_of(HUB_MODEL, "alice", "m04");
    must(put(f, &f->alice, &one, "README.md", "---\nlicense: mit\nlanguage: en\n---\n", "", NULL,
             &err));
    must(put(f, &f->alice, &two, "README.md", "---\nlicense: mit\n---\n", "", NULL, &err));
    hub_list_query q = {.type = HUB_MODEL,
                        .limit = 1,
                        .filters = mit,
                        .filter_count = 1,
                        .sort = SNUG_LIT("lastModified")};
    assert_int_equal(walk(f, &f->root, q, names), 2);
    assert_string_equal(names[0], "m04");
    assert_string_equal(names[1], "m02");
    q.filter_count = 2;
    assert_int_equal(walk(f, &f->root, q, names), 1);
    assert_string_equal(names[0], "m02");
    q = (hub_list_query){.type = HUB_MODEL, .limit = 5, .sort = SNUG_LIT("id")};
    assert_int_equal(walk(f, &f->root, q, names), 12);
    assert_string_equal(names[0], "m11"); /* bob's before alice's: always descending */
    assert_string_equal(names[11], "m00");
}

static void test_bad_queries(void **state)
{
    fixture       *f = *state;
    snug_err       err = {0};
    hub_repo_info *rows;
    size_t         n;
    snug_slice     next, filters[33];
    fill(f);
    for (size_t i = 0; i < 33; i++) filters[i] = SNUG_LIT("x");
    struct {
        hub_list_query q;
        const char    *want;
    } cases[] = {
        {{.limit = 0}, "limit"},
        {{.limit = 1001}, "limit"},
        {{.limit = 1, .sort = SNUG_LIT("name")}, "\"sort\" must be one of [createdAt"},
        {{.limit = 1, .cursor = SNUG_LIT("zz")}, "cursor"},
        {{.limit = 1, .cursor = SNUG_LIT("3")}, "cursor"},
        {{.limit = 1, .cursor = SNUG_LIT("30203120")}, "cursor"},
        {{.limit = 1, .filters = filters, .filter_count = 33}, "filters"},
        {{.limit = 1, .search = SNUG_LIT("\xff")}, "search"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        must_fail(hub_list_repos(f->h, &nobody, &cases[i].q, f->a, &rows, &n, &next, &err),
                  SNUG_EINVAL, NULL, cases[i].want);
    hub_list_query q = {.limit = 2, .sort = SNUG_LIT("likes")};
    must(hub_list_repos(f->h, &nobody, &q, f->a, &rows, &n, &next, &err));
    q.cursor = next;
    q.sort = SNUG_LIT("downloads"); /* a cursor of another order */
    must_fail(hub_list_repos(f->h, &nobody, &q, f->a, &rows, &n, &next, &err), SNUG_EINVAL, NULL,
              "cursor");
}

static void test_downloads_are_counted(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    char     names[100][16];
    fill(f);
    hub_repo_id id = id_of(HUB_MODEL, "alice", "m02");
    hub_repo   *r;
    must(hub_open_repo(f->h, &nobody, &id, HUB_ROLE_READ, f->a, &r, &err));
    for (int i = 0; i < 5; i++) hub_count_download(f->h, hub_repo_get_info(r)->row);
    hub_close_repo(r);
    hub_close(f->h); /* closing writes what is pending */
    open_hub(f);
    must(hub_open_repo(f->h, &nobody, &id, HUB_ROLE_READ, f->a, &r, &err));
    assert_int_equal(hub_repo_get_info(r)->downloads, 5);
    assert_int_equal(hub_repo_get_info(r)->downloads_all, 5);
    hub_close_repo(r);
    hub_list_query q = {.type = HUB_MODEL, .limit = 3, .sort = SNUG_LIT("downloads")};
    assert_int_equal(walk(f, &nobody, q, names), 4);
    assert_string_equal(names[0], "m02");
}

static void test_what_counts(void **state)
{
    static const struct {
        const char *library, *path;
        bool        counts;
    } cases[] = {
        {"transformers", "config.json", true},
        {"", "config.json", true},
        {"", "params.json", true},
        {"", "sub/config.json", false},
        {"", "model.safetensors", false},
        {"peft", "adapter_config.json", true},
        {"peft", "config.json", false},
        {"nemo", "a/b.nemo", true},
        {"timm", "model.safetensors", true},
        {"timm", "config.json", false},
        {"spacy", "en_core-any.whl", true},
        {"diffusers", "model_index.json", true},
        {"diffusers", "unet/x.safetensors", false},
        {"diffusers", "x.safetensors", true},
        {"diffusers", "unet/config.json", false},
        {"diffusers", "config.json", false},
        {"transformers", "q4/part-1-of-2.gguf", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(hub_is_query_file(snug_str(cases[i].library), snug_str(cases[i].path)) ==
                    cases[i].counts);
}

/* 500 files of a data set within five minutes are one download; a minute after that, another. */
static void test_data_set_windows(void **state)
{
    fixture       *f = *state;
    hub_repo_info  info = create(f, &f->alice, HUB_DATASET, "alice", "d", HUB_PUBLIC);
    hub_list_query q = {.type = HUB_DATASET, .limit = 5};
    hub_repo_info *rows;
    size_t         n;
    snug_slice     next;
    snug_err       err = {0};
    int64_t        t = 1000000000;
    for (int i = 0; i < 500; i++)
        hub_count_file(f->h, &info, SNUG_LIT("x.csv"), SNUG_LIT("10.0.0.1"), t + i * 100);
    hub_count_file(f->h, &info, SNUG_LIT("x.csv"), SNUG_LIT("10.0.0.2"), t);
    hub_count_file(f->h, &info, SNUG_LIT("x.csv"), SNUG_LIT("10.0.0.1"), t + 6 * 60000);
    hub_stats_flush(f->h);
    must(hub_list_repos(f->h, &f->root, &q, f->a, &rows, &n, &next, &err));
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].downloads, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_permission_true, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filters_and_order, setup, teardown),
        cmocka_unit_test(test_what_counts),
        cmocka_unit_test_setup_teardown(test_data_set_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_queries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_downloads_are_counted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
