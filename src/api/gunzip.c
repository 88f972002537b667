/* SPDX-License-Identifier: Apache-2.0 */
/* api/gunzip.c - a compressed request body as it comes, never more of it than is wanted.
 *
 * git compresses what it asks (Content-Encoding: gzip). The bytes that come out are counted, so
 * a small body that inflates without end is cut off at the limit and not at the memory's.
 *
 * For:     git.c. */
#include "api/api_int.h"

snug_status api_gunzip_init(api_gunzip *g, snug_slice encoding, uint64_t max,
                            snug_status (*pull)(void *, void *, size_t, size_t *, snug_err *),
                            void *arg, snug_err *err)
{
    memset(g, 0, offsetof(api_gunzip, in));
    g->pull = pull;
    g->arg = arg;
    g->left = max;
    encoding = snug_trim(encoding);
    if (encoding.len == 0 || snug_eq_nocase(encoding, SNUG_LIT("identity"))) return SNUG_OK;
    if (!snug_eq_nocase(encoding, SNUG_LIT("gzip")) &&
        !snug_eq_nocase(encoding, SNUG_LIT("x-gzip")))
        return snug_fail(err, SNUG_EINVAL, "the Content-Encoding is not gzip");
    if (inflateInit2(&g->z, 15 + 16) != Z_OK) return snug_fail(err, SNUG_ENOMEM, "out of memory");
    g->on = true;
    return SNUG_OK;
}

void api_gunzip_deinit(api_gunzip *g)
{
    if (g->on) (void)inflateEnd(&g->z);
    g->on = false;
}

static snug_status count(api_gunzip *g, size_t got, snug_err *err)
{
    if (got > g->left)
        return snug_fail(err, SNUG_ELIMIT, "the request body is too large when inflated");
    g->left -= got;
    return SNUG_OK;
}

static snug_status refill(api_gunzip *g, snug_err *err)
{
    size_t      got = 0;
    snug_status st = g->pull(g->arg, g->in, sizeof g->in, &got, err);
    if (st != SNUG_OK) return st;
    if (got == 0) return snug_fail(err, SNUG_EINVAL, "the compressed body is cut off");
    g->z.next_in = g->in;
    g->z.avail_in = (uInt)got;
    return SNUG_OK;
}

snug_status api_gunzip_read(void *gunzip, void *p, size_t n, size_t *got, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_gunzip *g = gunzip;

    *got = 0;
    if (n > (1u << 30)) n = 1u << 30;
    if (!g->on) {
        SNUG_TRY(g->pull(g->arg, p, n, got, err));
        return count(g, *got, err);
    }
    g->z.next_out = p;
    g->z.avail_out = (uInt)n;
    while (!g->ended && g->z.avail_out == n) {
        if (g->z.avail_in == 0) SNUG_TRY(refill(g, err));
        int rc = inflate(&g->z, Z_NO_FLUSH);
        g->ended = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_STREAM_END)
            SNUG_FAIL(err, SNUG_EINVAL, "the compressed body is broken");
    }
    *got = n - g->z.avail_out;
    SNUG_TRY(count(g, *got, err));
    if (*got == 0 && g->z.avail_in > 0)
        SNUG_FAIL(err, SNUG_EINVAL, "there is something behind the compressed body");
done:
    return st;
}
