/* SPDX-License-Identifier: Apache-2.0 */
/* bench_hub_talks.c - pages of the discussions of one repository, near and far.
 *
 *      bench_hub_talks [DISCUSSIONS]        default: 50000
 *
 * One JSON object: milliseconds of the first ten pages of 50, of ten in the middle and of the last
 * ten, without a filter, of the open ones, of one author among a thousand and of the few closed. */
#include "store/store.h"

#include <stdlib.h>
#include <time.h>

enum { PAGE = 50, TEN = 10, ROUNDS = 9 };

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(snug_status st, const snug_err *err)
{
    if (st == SNUG_OK) return;
    fprintf(stderr, "%s (%s)\n", err->msg, err->cause);
    exit(1);
}

static void seed(db *d, int64_t n)
{
    snug_err err = {0};
    db_txn  *tx;
    char     name[16];
    must(db_begin(d, DB_WRITE, &tx, &err), &err);
    for (int64_t i = 1; i <= n; i++) {
        int64_t id, num;
        (void)snprintf(name, sizeof name, "user%lld", (long long)(i * 7919 % 1000));
        store_discussion t = {.repo_id = 1,
                              .is_pull = i % 3 == 0,
                              .status = i % 1000 == 0 ? STORE_TALK_CLOSED : STORE_TALK_OPEN,
                              .author_id = i % 1000,
                              .author = snug_str(name),
                              .title = SNUG_LIT("What a discussion of usual length is called")};
        must(store_add_discussion(tx, &t, &id, &num, &err), &err);
    }
    must(db_end(tx, true, &err), &err);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the time one of ten pages from `first` takes. */
static double ten_pages(db *d, store_talk_query q, uint64_t first)
{
    double took[ROUNDS * TEN];
    size_t n = 0;
    for (int r = 0; r < ROUNDS; r++) {
        for (uint64_t p = 0; p < TEN; p++) {
            snug_err          err = {0};
            db_txn           *tx;
            snug_arena       *a = snug_arena_new();
            store_discussion *list;
            size_t            count;
            uint64_t          total;
            double            start = now_ms();
            q.skip = (first + p) * PAGE;
            must(db_begin(d, DB_READ, &tx, &err), &err);
            must(store_list_discussions(tx, a, &q, &list, &count, &total, &err), &err);
            db_rollback(tx);
            took[n++] = now_ms() - start;
            snug_arena_free(a);
        }
    }
    qsort(took, n, sizeof *took, compare);
    return took[n / 2];
}

int main(int argc, char **argv)
{
    uint64_t n = 50000;
    snug_err err = {0};
    db      *d;
    char     dir[] = "/tmp/snug-bench-XXXXXX", path[80];

    if (argc > 1 && (!snug_parse_u64(snug_str(argv[1]), &n) || n < 2000)) return 2;
    if (mkdtemp(dir) == NULL) return 1;
    (void)snprintf(path, sizeof path, "sqlite:%s/x.db", dir);
    must(db_open(snug_str(path), &d, &err), &err);
    must(store_migrate(d, &err), &err);
    seed(d, (int64_t)n);
    const struct {
        const char      *name;
        store_talk_query q;
        uint64_t         pages;
    } kinds[] = {
        {"all", {.repo = 1, .kind = -1, .limit = PAGE}, n / PAGE},
        {"open", {.repo = 1, .kind = -1, .status = STORE_TALKS_OPEN, .limit = PAGE}, n / PAGE},
        {"author", {.repo = 1, .kind = -1, .author = SNUG_LIT("user7"), .limit = PAGE}, 1},
        {"closed", {.repo = 1, .kind = -1, .status = STORE_TALKS_CLOSED, .limit = PAGE}, 1},
    };
    printf("{\"discussions\":%llu", (unsigned long long)n);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t last = kinds[i].pages > TEN ? kinds[i].pages - TEN - 2 : 0;
        printf(",\"%s\":{\"first_ms\":%.3f,\"middle_ms\":%.3f,\"last_ms\":%.3f}", kinds[i].name,
               ten_pages(d, kinds[i].q, 0), ten_pages(d, kinds[i].q, last / 2),
               ten_pages(d, kinds[i].q, last));
    }
    printf("}\n");
    db_close(d);
    return snug_remove_tree(dir, &err) == SNUG_OK ? 0 : 1;
}
