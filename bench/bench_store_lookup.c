/* SPDX-License-Identifier: Apache-2.0 */
/* bench_store_lookup.c - asking for a chunk among ten million.
 *
 *      bench_store_lookup [CHUNKS]       default: 10000000, in a database under $TMPDIR or /tmp
 *
 * One JSON object: microseconds of a look-up that finds and of one that does not, each in a read
 * transaction of its own as the server does it, and the size of the database. */
#include "store/store.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PER_XORB = 1000, BATCH = 100000, ASKED = 20000 };

static uint64_t key_of(uint64_t i) /* a fixed shuffle of 64 bits */
{
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static snug_status fill(db *d, uint64_t count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    int64_t    *keys = snug_alloc(count * sizeof *keys), id;
    bool        added;
    char        hash[65];

    for (uint64_t i = 0; i < count; i++) keys[i] = (int64_t)key_of(i);
    qsort(keys, count, sizeof *keys, by_value); /* only filling is faster in order */
    SNUG_TRY(db_begin(d, DB_WRITE, &tx, err));
    for (uint64_t x = 0; x <= count / PER_XORB; x++) {
        (void)snprintf(hash, sizeof hash, "%064llx", (unsigned long long)x);
        store_xorb row = {.hash = snug_str(hash), .blob = snug_str(hash), .chunks = SNUG_LIT("x")};
        SNUG_TRY(store_add_xorb(tx, &row, &id, &added, err));
        SNUG_TRY(store_link_xorb(tx, id, 1, 1, 0, err));
    }
    for (uint64_t i = 0; i < count; i++) {
        SNUG_TRY(store_add_lookup(tx, keys[i], 1 + (int64_t)(i / PER_XORB),
                                  (uint32_t)(i % PER_XORB), SNUG_LIT(""), err));
        if (i % BATCH != BATCH - 1) continue;
        st = db_end(tx, true, err);
        tx = NULL;
        if (st == SNUG_OK) st = db_begin(d, DB_WRITE, &tx, err);
        if (st != SNUG_OK) goto done;
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    free(keys);
    return st;
}

static snug_status ask(db *d, uint64_t from, uint64_t count, bool there, double *us, snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    db_txn      *tx = NULL;
    store_reader who = {0, SNUG_EMPTY, 1};
    store_lookup out[STORE_LOOKUP_MAX];
    size_t       n;
    uint64_t     t0 = snug_mono_ns();

    for (uint64_t i = 0; i < ASKED; i++) {
        uint64_t which = from + key_of(i * 7919) % count;
        SNUG_TRY(db_begin(d, DB_READ, &tx, err));
        SNUG_TRY(store_find_lookup(tx, a, (int64_t)key_of(which), &who, out, &n, err));
        db_rollback(tx);
        tx = NULL;
        SNUG_ASSERT((n > 0) == there);
        snug_arena_reset(a);
    }
    *us = (double)(snug_mono_ns() - t0) / 1e3 / ASKED;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

int main(int argc, char **argv)
{
    uint64_t    count = 10000000;
    const char *base = getenv("TMPDIR");
    char        dir[512], url[600];
    snug_err    err = {0};
    snug_status st = SNUG_OK;
    db         *d = NULL;
    double      hit = 0, miss = 0;
    struct stat sb = {.st_size = 0};

    if (argc > 1 && !snug_parse_u64(snug_str(argv[1]), &count)) return 2;
    (void)snprintf(dir, sizeof dir, "%s/snug-bench-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(dir) == NULL) return 1;
    (void)snprintf(url, sizeof url, "sqlite:%s/x.db", dir);
    SNUG_TRY(db_open(snug_str(url), &d, &err));
    SNUG_TRY(store_migrate(d, &err));
    SNUG_TRY(fill(d, count, &err));
    SNUG_TRY(ask(d, 0, count, true, &hit, &err));
    SNUG_TRY(ask(d, count + 1, count, false, &miss, &err));
    (void)stat(url + sizeof "sqlite:" - 1, &sb);
    printf("{\"chunks\": %llu, \"found_us\": %.1f, \"absent_us\": %.1f, \"database_mb\": %.0f}\n",
           (unsigned long long)count, hit, miss, (double)sb.st_size / 1e6);
done:
    if (st != SNUG_OK) fprintf(stderr, "%s (%s)\n", err.msg, err.cause);
    db_close(d);
    (void)!snug_remove_tree(dir, NULL);
    return st == SNUG_OK ? 0 : 1;
}
