/* SPDX-License-Identifier: Apache-2.0 */
/* bench_blob_put.c - storing an object against hashing the same bytes and doing nothing else.
 *
 *      bench_blob_put [FOLDER] [MEGABYTES]        default: $TMPDIR or /tmp, 1024
 *
 * The bytes are random, so that no disk compresses them; the hash is measured before and after,
 * and the better one counts. One JSON object on standard output. */
#include "blob/blob.h"

#include <stdlib.h>

enum { PIECE = 256 << 10, MB = 1 << 20 };

static double hash_mb_s(const unsigned char *src, size_t megabytes)
{
    snug_hasher  *h = snug_hasher_new(SNUG_HASH_SHA256);
    unsigned char out[32];
    uint64_t      t0 = snug_mono_ns();
    for (size_t i = 0; i < megabytes; i++) {
        for (size_t off = 0; off < MB; off += PIECE)
            snug_hasher_update(h, src + (i % 64) * MB + off, PIECE);
    }
    snug_hasher_finish(h, out);
    snug_hasher_free(h);
    return (double)megabytes * 1e9 / (double)(snug_mono_ns() - t0);
}

static snug_status put_mb_s(blob_store *s, const unsigned char *src, size_t megabytes, double *out,
                            snug_err *err)
{
    snug_status  st = SNUG_OK;
    blob_writer *w = NULL;
    blob_id      id;
    uint64_t     t0 = snug_mono_ns();

    SNUG_TRY(blob_put_begin(s, &w, err));
    for (size_t i = 0; i < megabytes; i++) {
        for (size_t off = 0; off < MB; off += PIECE)
            SNUG_TRY(blob_put_write(w, src + (i % 64) * MB + off, PIECE, err));
    }
    st = blob_put_commit(w, NULL, (uint64_t)megabytes * MB, &id, err);
    w = NULL;
    *out = (double)megabytes * 1e9 / (double)(snug_mono_ns() - t0);
    if (st == SNUG_OK) st = blob_remove(s, &id, err);
done:
    blob_put_abort(w);
    return st;
}

int main(int argc, char **argv)
{
    const char    *base = argc > 1 ? argv[1] : getenv("TMPDIR");
    uint64_t       megabytes = 1024;
    char           dir[512];
    snug_err       err = {0};
    blob_store    *s = NULL;
    double         best = 0, put[3];
    unsigned char *src = snug_alloc((size_t)64 * MB);

    if (argc > 2 && !snug_parse_u64(snug_str(argv[2]), &megabytes)) return 2;
    (void)snprintf(dir, sizeof dir, "%s/snug-bench-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir) == NULL) return 1;
    snug_random(src, (size_t)64 * MB);
    snug_status st = blob_open_fs(dir, &s, &err);
    best = hash_mb_s(src, (size_t)megabytes);
    for (size_t i = 0; st == SNUG_OK && i < 3; i++)
        st = put_mb_s(s, src, (size_t)megabytes, &put[i], &err);
    double again = hash_mb_s(src, (size_t)megabytes);
    if (again > best) best = again;
    blob_close(s);
    (void)!snug_remove_tree(dir, NULL);
    free(src);
    if (st != SNUG_OK) {
        (void)fprintf(stderr, "bench_blob_put: %s (%s)\n", err.msg, err.cause);
        return 1;
    }
    double mean = (put[0] + put[1] + put[2]) / 3;
    printf("{\"bench\":\"blob_put\",\"megabytes\":%llu,\"sha256_mib_s\":%.0f,\"put_mib_s\":[%.0f,%."
           "0f,%.0f],"
           "\"ratio\":%.3f}\n",
           (unsigned long long)megabytes, best, put[0], put[1], put[2], mean / best);
    return 0;
}
