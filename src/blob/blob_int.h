/* SPDX-License-Identifier: Apache-2.0 */
/* blob/blob_int.h - what blob.c, fs.c, sink.c and part.c share.
 *
 * For:     this folder only. */
#ifndef SNUG_BLOB_BLOB_INT_H
#define SNUG_BLOB_BLOB_INT_H

#include "blob/blob.h"

/* A driver's structs begin with these. */
struct blob_store {
    const blob_driver *driver;
};
struct blob_writer {
    const blob_driver *driver;
};

enum {
    BLOB_PATH_MAX = 4096, /* of the store's folder, and of every path below it */
    SINK_BUFFER = 1 << 20,
    SINK_BUFFERS = 4
};

/* ---- fs.c: a folder ---- */
typedef struct fs_store {
    struct blob_store    base;
    char                *dir;               /* no final slash */
    snug_pool           *pool;              /* writes full buffers while their owner hashes on */
    atomic_uint_fast64_t known[65536 / 64]; /* blobs/aa/bb made durable by us: a bit each */
} fs_store;

/* "<dir>/<fmt...>"; SNUG_EINVAL when it does not fit. */
snug_status fs_path(const fs_store *s, char out[BLOB_PATH_MAX], snug_err *err, const char *fmt, ...)
    SNUG_PRINTF(4, 5);
/* Gives a complete, durable file its final name and makes the name durable. `path` is gone then. */
snug_status fs_name_blob(fs_store *s, const char *path, const blob_id *id, snug_err *err);

/* ---- sink.c: bytes -> hash and file, at once ---- */
typedef struct sink sink;
/* Writes to fd (borrowed) from `off` on. */
sink       *sink_new(snug_pool *pool, int fd, uint64_t off);
snug_status sink_write(sink *k, const void *p, size_t n, snug_err *err);
/* Writes what is left, waits for all of it, gives the hash. The file is not synced yet. */
snug_status sink_finish(sink *k, snug_sha256 *out, snug_err *err);
uint64_t    sink_size(const sink *k);
void        sink_free(sink *k); /* waits for writes under way; NULL is fine */

/* ---- part.c ---- */
snug_status fs_part_put(blob_store *s, snug_slice token, unsigned part, uint64_t off,
                        blob_pull *pull, void *arg, uint64_t size, snug_sha256 *etag,
                        snug_err *err);
snug_status fs_part_finish(blob_store *s, snug_slice token, const blob_id *expect, uint64_t size,
                           snug_err *err);
void        fs_part_drop(blob_store *s, snug_slice token);
/* Removes a session folder that nobody holds and nobody touched for age_ms (dry: would). True:
 * removed. *bytes grows by what it held. */
bool fs_part_sweep(fs_store *s, const char *name, uint64_t age_ms, bool dry, uint64_t *bytes);
/* SHA-256 and length of an open file from its start. */
snug_status fs_hash_fd(int fd, snug_sha256 *out, uint64_t *size, snug_err *err);

#endif
