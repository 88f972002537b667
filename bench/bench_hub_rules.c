/* SPDX-License-Identifier: Apache-2.0 */
/* bench_hub_rules.c - what the rules cost: opening, listing, committing, creating, a start.
 *
 *      bench_hub_rules [REPOSITORIES]        default: 1000
 *
 * Everything lies in a folder under $TMPDIR or /tmp that is removed. One JSON object on standard
 * output; commits and creations include their fsyncs. */
#include <stdlib.h>

#include "hub/hub.h"

static hub_actor who = {.user_id = 1, .name = {"bench", 5}, .scope = HUB_ROLE_WRITE};

static void check(snug_status st, const snug_err *err)
{
    if (st == SNUG_OK) return;
    (void)fprintf(stderr, "%s (%s)\n", err->msg, err->cause);
    exit(1);
}

static double since_us(uint64_t t0, size_t n)
{
    return (double)(snug_mono_ns() - t0) / 1e3 / (double)n;
}

static hub_repo_id name_of(size_t i)
{
    hub_repo_id id;
    snug_err    err = {0};
    char        name[32];
    (void)snprintf(name, sizeof name, "model-%05zu", i);
    check(hub_parse_id(HUB_MODEL, who.name, snug_str(name), &id, &err), &err);
    return id;
}

static double create_us(hub *h, size_t n)
{
    snug_err err = {0};
    uint64_t t0 = snug_mono_ns();
    for (size_t i = 0; i < n; i++) {
        snug_arena   *a = snug_arena_new();
        hub_new_repo  want = {.id = name_of(i)};
        hub_repo_info info;
        check(hub_create_repo(h, &who, &want, a, &info, &err), &err);
        snug_arena_free(a);
    }
    return since_us(t0, n);
}

static double open_us(hub *h, size_t spread, size_t rounds)
{
    snug_err err = {0};
    uint64_t t0 = snug_mono_ns();
    for (size_t i = 0; i < rounds; i++) {
        snug_arena *a = snug_arena_new();
        hub_repo_id id = name_of(i % spread);
        hub_repo   *r;
        check(hub_open_repo(h, &who, &id, HUB_ROLE_READ, a, &r, &err), &err);
        hub_close_repo(r);
        snug_arena_free(a);
    }
    return since_us(t0, rounds);
}

static double list_us(hub *h, const char *sort, size_t rounds)
{
    snug_err err = {0};
    uint64_t t0 = snug_mono_ns();
    for (size_t i = 0; i < rounds; i++) {
        snug_arena    *a = snug_arena_new();
        hub_list_query q = {.type = HUB_MODEL, .sort = snug_str(sort), .limit = 30};
        hub_repo_info *rows;
        size_t         n;
        snug_slice     next;
        check(hub_list_repos(h, &who, &q, a, &rows, &n, &next, &err), &err);
        snug_arena_free(a);
    }
    return since_us(t0, rounds);
}

static double commit_us(hub *h, size_t rounds)
{
    snug_err    err = {0};
    hub_repo_id id = name_of(0);
    uint64_t    t0 = snug_mono_ns();
    for (size_t i = 0; i < rounds; i++) {
        hub_draft        *d;
        hub_commit_result r;
        char              text[32];
        (void)snprintf(text, sizeof text, "round %zu", i);
        check(hub_draft_new(h, &d, &err), &err);
        check(hub_draft_header(d, SNUG_LIT("bench"), SNUG_EMPTY, SNUG_EMPTY, &err), &err);
        check(hub_draft_file(d, SNUG_LIT("a.txt"), snug_str(text), &err), &err);
        check(hub_apply_draft(h, &who, &id, SNUG_LIT("main"), d, &r, &err), &err);
        hub_draft_free(d);
    }
    return since_us(t0, rounds);
}

int main(int argc, char **argv)
{
    uint64_t    n = 1000;
    const char *base = getenv("TMPDIR");
    char        dir[512];
    hub        *h;
    snug_err    err = {0};
    hub_opts    o = {.data_dir = dir};
    SNUG_AUTO(snug_buf) text = snug_buf_init(4096);
    snug_json_out out = snug_json_out_init(&text);

    if (argc > 1 && (!snug_parse_u64(snug_str(argv[1]), &n) || n < 1 || n > 100000)) return 2;
    (void)snprintf(dir, sizeof dir, "%s/snug-bench-XXXXXX",
                   base != NULL && strlen(base) < 400 ? base : "/tmp");
    if (mkdtemp(dir) == NULL) return 1;
    check(hub_open(&o, &h, &err), &err);
    snug_jo_begin_object(&out);
    snug_jo_kcstr(&out, "bench", "hub_rules");
    snug_jo_ku64(&out, "repositories", n);
    snug_jo_kf64(&out, "create_us", create_us(h, n));
    snug_jo_kf64(&out, "open_one_us", open_us(h, 1, 20000));
    snug_jo_kf64(&out, "open_spread_us", open_us(h, n, 20000));
    snug_jo_kf64(&out, "list_30_modified_us", list_us(h, "lastModified", 500));
    snug_jo_kf64(&out, "list_30_id_us", list_us(h, "id", 500));
    snug_jo_kf64(&out, "commit_us", commit_us(h, 100));
    hub_close(h);
    uint64_t t0 = snug_mono_ns();
    check(hub_open(&o, &h, &err), &err);
    snug_jo_kf64(&out, "start_us_per_repository", since_us(t0, n));
    hub_close(h);
    snug_jo_end_object(&out);
    (void)puts(snug_buf_cstr(&text));
    return snug_remove_tree(dir, NULL) == SNUG_OK ? 0 : 1;
}
