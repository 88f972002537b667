/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/pkt.c - the pieces git's protocol is cut into.
 *
 *   "0009abcd\n"   four hex digits: the length with themselves, at most 65,520; then the bytes
 *   "0000"         flush; "0001" and "0002" are marks of protocol 2; "0003" is nothing at all
 *
 * For:     push.c.
 * Threads: one per input. */
#include "vcs/vcs_int.h"

/* Makes `want` bytes stand at in->at, or as many as there are. */
static snug_status fill(vcs_pkt_in *in, size_t want, snug_err *err)
{
    if (in->at > 0) {
        memmove(in->buf, in->buf + in->at, in->len - in->at);
        in->len -= in->at;
        in->at = 0;
    }
    while (in->len < want && !in->ended) {
        size_t      got = 0;
        snug_status st =
            in->io->pull(in->io->arg, in->buf + in->len, sizeof in->buf - in->len, &got, err);
        if (st != SNUG_OK) return st;
        in->len += got;
        in->ended = got == 0;
    }
    return SNUG_OK;
}

static bool parse_length(const char *p, size_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int  digit = c >= '0' && c <= '9'   ? c - '0'
                     : c >= 'a' && c <= 'f' ? c - 'a' + 10
                     : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                            : -1;
        if (digit < 0) return false;
        *out = *out * 16 + (size_t)digit;
    }
    return true;
}

snug_status vcs_pkt_read(vcs_pkt_in *in, vcs_pkt *kind, snug_slice *data, snug_err *err)
{
    size_t      n;
    snug_status st = in->len - in->at >= 4 ? SNUG_OK : fill(in, 4, err);
    if (st != SNUG_OK) return st;
    *data = SNUG_EMPTY;
    *kind = VCS_PKT_END;
    if (in->len == in->at) return SNUG_OK;
    if (in->len - in->at < 4)
        return snug_fail(err, SNUG_EINVAL, "the request ends inside a pkt-line");
    if (!parse_length(in->buf + in->at, &n) || n == 3 || n > VCS_PKT_MAX)
        return snug_fail(err, SNUG_EINVAL,
                         "a pkt-line begins with four hexadecimal digits, "
                         "0004 to fff0");
    if (n < 4) {
        in->at += 4;
        *kind = n == 0 ? VCS_PKT_FLUSH : VCS_PKT_OTHER;
        return SNUG_OK;
    }
    if (in->len - in->at < n) st = fill(in, n, err);
    if (st != SNUG_OK) return st;
    if (in->len - in->at < n)
        return snug_fail(err, SNUG_EINVAL, "the request ends inside a pkt-line");
    *data = snug_slice_of(in->buf + in->at + 4, n - 4);
    in->at += n;
    *kind = VCS_PKT_DATA;
    return SNUG_OK;
}

snug_status vcs_pkt_rest(vcs_pkt_in *in, void *p, size_t n, size_t *got, snug_err *err)
{
    *got = in->len - in->at < n ? in->len - in->at : n;
    if (*got > 0) {
        memcpy(p, in->buf + in->at, *got);
        in->at += *got;
        return SNUG_OK;
    }
    if (in->ended || n == 0) return SNUG_OK;
    snug_status st = in->io->pull(in->io->arg, p, n, got, err);
    in->ended = st == SNUG_OK && *got == 0;
    return st;
}

/* ---- writing ---- */

void vcs_pkt_put(snug_buf *b, snug_slice data)
{
    SNUG_ASSERT(data.len <= VCS_PKT_MAX - 4);
    snug_buf_printf(b, "%04zx", data.len + 4);
    snug_buf_put_slice(b, data);
}

void vcs_pkt_putf(snug_buf *b, const char *fmt, ...)
{
    char    text[2 * VCS_REF_MAX + 1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    SNUG_ASSERT(n >= 0);
    vcs_pkt_put(b, snug_slice_of(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

void vcs_pkt_flush(snug_buf *b) { snug_buf_puts(b, "0000"); }

void vcs_pkt_band(snug_buf *b, char band, snug_slice data)
{
    while (data.len > 0) {
        snug_slice part = snug_sub(data, 0, VCS_PKT_MAX - 5);
        snug_buf_printf(b, "%04zx%c", part.len + 5, band);
        snug_buf_put_slice(b, part);
        data = snug_sub(data, part.len, data.len);
    }
}
