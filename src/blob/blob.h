/* SPDX-License-Identifier: Apache-2.0 */
/* blob/blob.h - content-addressed bytes: verified before they are named, durable before the
 * name is told to anyone, never changed after. The id is the SHA-256 of the content. */
#ifndef SNUG_BLOB_BLOB_H
#define SNUG_BLOB_BLOB_H

#include "base/base.h"

typedef struct blob_id { snug_sha256 sha256; } blob_id;
bool blob_id_parse(snug_slice hex, blob_id *out); /* 64 lowercase hex digits, nothing else */
void blob_id_hex(const blob_id *id, char out[65]);
static inline bool blob_id_eq(const blob_id *a, const blob_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

typedef struct blob_store blob_store;
typedef struct blob_writer blob_writer;

/* Bytes pulled from a request: *got 0 is the end. */
typedef snug_status blob_pull(void *arg, void *p, size_t n, size_t *got, snug_err *err);
typedef bool blob_visit(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms);

/* What a place for bytes must do; the functions below say what each row means. */
typedef struct blob_driver {
    snug_status (*put_begin)(blob_store *s, blob_writer **out, snug_err *err);
    snug_status (*put_write)(blob_writer *w, const void *p, size_t n, snug_err *err); /* hashes as it goes */
    uint64_t    (*put_size)(const blob_writer *w);
    snug_status (*put_seal)(blob_writer *w, blob_id *out, snug_err *err);
    snug_status (*put_commit)(blob_writer *w, const blob_id *expect, uint64_t size, blob_id *out,
                              snug_err *err);
    void        (*put_abort)(blob_writer *w);
    snug_status (*stat)(blob_store *s, const blob_id *id, uint64_t *size, snug_err *err);
    snug_status (*read_at)(blob_store *s, const blob_id *id, uint64_t off, void *buf, size_t n,
                           snug_err *err);
    snug_status (*remove)(blob_store *s, const blob_id *id, snug_err *err); /* only the collector calls it */
    int         (*open_fd)(blob_store *s, const blob_id *id);               /* -1: not a local file */
    snug_status (*presign)(blob_store *s, const blob_id *id, snug_buf *url, snug_err *err); /* may be NULL */
    snug_status (*each)(blob_store *s, blob_visit *fn, void *arg, snug_err *err);
    snug_status (*part_put)(blob_store *s, snug_slice token, unsigned part, uint64_t off, blob_pull *pull,
                            void *arg, uint64_t size, snug_sha256 *etag, snug_err *err);
    snug_status (*part_finish)(blob_store *s, snug_slice token, const blob_id *expect, uint64_t size,
                               snug_err *err);
    void        (*part_drop)(blob_store *s, snug_slice token);
    size_t      (*sweep_tmp)(blob_store *s, uint64_t age_ms, bool dry, uint64_t *bytes);
    void        (*close)(blob_store *s);
} blob_driver;

/* Opens <dir>/blobs and <dir>/tmp, made when missing; temporary files whose writer is gone are
 * removed, multipart sessions stay. Several processes may have one folder open. */
snug_status blob_open_fs(const char *dir, blob_store **out, snug_err *err) SNUG_MUST_USE;
void        blob_close(blob_store *s); /* NULL is fine; no writer may be open */

/* A write in progress; other readers see nothing until blob_put_commit returns. One thread each. */
snug_status blob_put_begin(blob_store *s, blob_writer **out, snug_err *err) SNUG_MUST_USE;
snug_status blob_put_write(blob_writer *w, const void *p, size_t n, snug_err *err) SNUG_MUST_USE;
uint64_t    blob_put_size(const blob_writer *w); /* bytes so far */
/* The id of what was written; nothing may be written after. It has no name before the commit. */
snug_status blob_put_seal(blob_writer *w, blob_id *out, snug_err *err) SNUG_MUST_USE;
/* Verifies against `expect` (NULL: any) and `size` (UINT64_MAX: any), makes it durable, names it;
 * *out (may be NULL) is its id. SNUG_ECORRUPT when the bytes are not what was promised. Frees the
 * writer in every case. Bytes stored already are stored once: the fresh copy takes their place. */
snug_status blob_put_commit(blob_writer *w, const blob_id *expect, uint64_t size, blob_id *out,
                            snug_err *err) SNUG_MUST_USE;
void        blob_put_abort(blob_writer *w); /* NULL is fine */

bool        blob_exists(blob_store *s, const blob_id *id, uint64_t *size); /* size may be NULL */
/* Exactly n bytes at off; SNUG_ENOTFOUND, or SNUG_ECORRUPT when the object is shorter. */
snug_status blob_read_at(blob_store *s, const blob_id *id, uint64_t off, void *buf, size_t n,
                         snug_err *err) SNUG_MUST_USE;
int         blob_open_fd(blob_store *s, const blob_id *id); /* the caller closes it; -1: none */
snug_status blob_remove(blob_store *s, const blob_id *id, snug_err *err) SNUG_MUST_USE; /* absent is fine */
/* Re-reads one object and compares its hash: SNUG_ECORRUPT on damage. */
snug_status blob_verify(blob_store *s, const blob_id *id, snug_err *err) SNUG_MUST_USE;
/* Calls fn for every stored id; stops when fn returns false. */
snug_status blob_each(blob_store *s, blob_visit *fn, void *arg, snug_err *err) SNUG_MUST_USE;

/* Multipart upload sessions: parts (from 1) of one object in <dir>/tmp/mp-<token>, written in any
 * order, again and again, also after a restart; assembled and verified once. `token` is
 * [a-z0-9]{16,64}. A part needs exactly `size` bytes; *etag is their SHA-256. */
snug_status blob_part_put(blob_store *s, snug_slice token, unsigned part, uint64_t off, blob_pull *pull,
                          void *arg, uint64_t size, snug_sha256 *etag, snug_err *err) SNUG_MUST_USE;
/* SNUG_EINVAL when parts are missing, SNUG_ECORRUPT when the whole is not `expect` (the session is
 * then dropped), SNUG_EBUSY while a part is being written. Safe to repeat after success. */
snug_status blob_part_finish(blob_store *s, snug_slice token, const blob_id *expect, uint64_t size,
                             snug_err *err) SNUG_MUST_USE;
void        blob_part_drop(blob_store *s, snug_slice token);
/* Removes temporary files and sessions untouched for age_ms and in nobody's hands; how many, and
 * (NULL: not asked) the bytes they held. `dry`: only counts. */
size_t      blob_sweep_tmp(blob_store *s, uint64_t age_ms, bool dry, uint64_t *bytes);

#endif
