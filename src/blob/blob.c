/* SPDX-License-Identifier: Apache-2.0 */
/* blob/blob.c - ids, and the public functions over the driver table.
 *
 * For:     everyone above; drivers are only reached through here.
 * Truth:   an id is lowercase hex in text and 32 bytes inside, never anything else. */
#include "blob/blob_int.h"

#include <stdlib.h>

bool blob_id_parse(snug_slice hex, blob_id *out)
{
    for (size_t i = 0; i < hex.len; i++) {
        if (hex.ptr[i] >= 'A' && hex.ptr[i] <= 'F') return false;
    }
    return snug_unhex(hex, out->sha256.b, sizeof out->sha256.b);
}

void blob_id_hex(const blob_id *id, char out[65])
{
    snug_hex(id->sha256.b, sizeof id->sha256.b, out);
}

void blob_close(blob_store *s)
{
    if (s != NULL) s->driver->close(s);
}

snug_status blob_put_begin(blob_store *s, blob_writer **out, snug_err *err)
{
    *out = NULL;
    return s->driver->put_begin(s, out, err);
}

snug_status blob_put_write(blob_writer *w, const void *p, size_t n, snug_err *err)
{
    return w->driver->put_write(w, p, n, err);
}

uint64_t blob_put_size(const blob_writer *w) { return w->driver->put_size(w); }

snug_status blob_put_seal(blob_writer *w, blob_id *out, snug_err *err)
{
    return w->driver->put_seal(w, out, err);
}

snug_status blob_put_commit(blob_writer *w, const blob_id *expect, uint64_t size, blob_id *out,
                            snug_err *err)
{
    uint64_t    bytes = w->driver->put_size(w);
    blob_id     id;
    snug_status st = w->driver->put_commit(w, expect, size, &id, err);
    if (st == SNUG_OK) {
        snug_metric_add(SNUG_M_BLOBS_WRITTEN, 1);
        snug_metric_add(SNUG_M_BLOB_BYTES_WRITTEN, (int64_t)bytes);
        if (out != NULL) *out = id;
    } else if (st == SNUG_ECORRUPT) {
        snug_metric_add(SNUG_M_BLOBS_REJECTED, 1);
    }
    return st;
}

void blob_put_abort(blob_writer *w)
{
    if (w != NULL) w->driver->put_abort(w);
}

bool blob_exists(blob_store *s, const blob_id *id, uint64_t *size)
{
    uint64_t n;
    if (s->driver->stat(s, id, &n, NULL) != SNUG_OK) return false;
    if (size != NULL) *size = n;
    return true;
}

snug_status blob_read_at(blob_store *s, const blob_id *id, uint64_t off, void *buf, size_t n,
                         snug_err *err)
{
    return s->driver->read_at(s, id, off, buf, n, err);
}

int blob_open_fd(blob_store *s, const blob_id *id) { return s->driver->open_fd(s, id); }

snug_status blob_remove(blob_store *s, const blob_id *id, snug_err *err)
{
    return s->driver->remove(s, id, err);
}

snug_status blob_verify(blob_store *s, const blob_id *id, snug_err *err)
{
    snug_status    st = SNUG_OK;
    uint64_t       size = 0;
    snug_sha256    got;
    char           hex[65];
    unsigned char *buf = NULL;
    snug_hasher   *h = snug_hasher_new(SNUG_HASH_SHA256);

    blob_id_hex(id, hex);
    SNUG_TRY(s->driver->stat(s, id, &size, err));
    buf = snug_alloc(SINK_BUFFER);
    for (uint64_t off = 0; off < size;) {
        size_t n = size - off < SINK_BUFFER ? (size_t)(size - off) : SINK_BUFFER;
        SNUG_TRY(s->driver->read_at(s, id, off, buf, n, err));
        snug_hasher_update(h, buf, n);
        off += n;
    }
    snug_hasher_finish(h, got.b);
    if (memcmp(&got, &id->sha256, sizeof got) != 0)
        SNUG_FAIL(err, SNUG_ECORRUPT, "object %s is damaged: its bytes have another hash", hex);
done:
    free(buf);
    snug_hasher_free(h);
    return st;
}

snug_status blob_each(blob_store *s, blob_visit *fn, void *arg, snug_err *err)
{
    return s->driver->each(s, fn, arg, err);
}

static snug_status check_token(snug_slice token, snug_err *err)
{
    bool ok = token.len >= 16 && token.len <= 64;
    for (size_t i = 0; ok && i < token.len; i++) {
        char c = token.ptr[i];
        ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    }
    return ok ? SNUG_OK : snug_fail(err, SNUG_EINVAL, "bad upload token");
}

snug_status blob_part_put(blob_store *s, snug_slice token, unsigned part, uint64_t off,
                          blob_pull *pull, void *arg, uint64_t size, snug_sha256 *etag,
                          snug_err *err)
{
    snug_status st = check_token(token, err);
    if (st != SNUG_OK) return st;
    if (part == 0 || size == 0 || off > INT64_MAX || size > INT64_MAX - off)
        return snug_fail(err, SNUG_EINVAL, "part %u does not fit into any object", part);
    return s->driver->part_put(s, token, part, off, pull, arg, size, etag, err);
}

snug_status blob_part_finish(blob_store *s, snug_slice token, const blob_id *expect, uint64_t size,
                             snug_err *err)
{
    snug_status st = check_token(token, err);
    return st != SNUG_OK ? st : s->driver->part_finish(s, token, expect, size, err);
}

void blob_part_drop(blob_store *s, snug_slice token)
{
    if (check_token(token, NULL) == SNUG_OK) s->driver->part_drop(s, token);
}

size_t blob_sweep_tmp(blob_store *s, uint64_t age_ms, bool dry, uint64_t *bytes)
{
    return s->driver->sweep_tmp(s, age_ms, dry, bytes);
}
