/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_known.c - chunks a store has: those of this upload, of earlier ones, and those it
 * answered about.
 *
 *     <HF_XET_CACHE>/snug-known/<store>.log       records, one for each xorb we stored there
 *       0  8  "SNUGXORB"    8  4  count    12  4  zero    16  8  time (unix seconds)
 *      24 32  xorb hash    56 36  for each chunk: hash, size (u32)      .  8  check (SHA-256)
 *
 * For:     xet_upload.c.
 * Owns:    the log, together with other processes: records are appended under a lock, a reader
 *          stops at a torn one, and a log that grew too large is replaced by its newer half.
 * Threads: any; one lock over everything.
 * Truth:   the log is what was true once: the store confirms each old xorb before it is used. A
 *          record is written after the store accepted the xorb, so a killed upload goes on with
 *          what had arrived. Answers hide their hashes under a key; ours are hidden the same way to
 *          compare them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { HEAD_SIZE = 56, ROW = 36, CHECK_SIZE = 8, ANSWERS_MAX = 64, CHUNKS_MAX = 4 << 20 };
enum { LOG_MAX = 64 << 20, KEEP_DAYS = 21 };

typedef struct known_xorb {
    xet_hash             name;
    unsigned char       *own;  /* rows on the heap; NULL: in the mapping */
    const char          *rows; /* count of ROW bytes */
    uint32_t             count, cap;
    const unsigned char *key; /* of an answer that hides its hashes; NULL: plain */
    bool                 old, confirmed, gone;
} known_xorb;

typedef struct slot {
    uint64_t key;
    uint32_t xorb, chunk; /* xorb + 1; 0: free */
} slot;

typedef struct table {
    slot  *slots;
    size_t cap, used;
} table;

typedef struct answer {
    unsigned char key[32];
    table         t;
    uint32_t      first, count; /* its xorbs */
} answer;

struct remote_known {
    snug_mutex  lock; /* rank 865: guards everything */
    known_xorb *x;
    uint32_t    n, cap;
    table       plain;
    answer     *answers[ANSWERS_MAX];
    unsigned    answer_count, answer_next;
    char       *path; /* NULL: nothing is remembered */
    snug_map    log;
};

/* ---- tables: open addressing on the first eight bytes of a hash ---- */

static uint64_t key_of(const unsigned char *hash)
{
    uint64_t v = 0;
    for (unsigned i = 8; i-- > 0;) v = v << 8 | hash[i];
    return v;
}

static void insert(table *t, slot s)
{
    size_t i = (size_t)(s.key * 0x9E3779B97F4A7C15u) & (t->cap - 1);
    while (t->slots[i].xorb != 0) i = (i + 1) & (t->cap - 1);
    t->slots[i] = s;
    t->used++;
}

static void add_slot(table *t, const unsigned char *hash, uint32_t xorb, uint32_t chunk)
{
    if (t->used >= CHUNKS_MAX) return; /* found again by nobody: sent twice at worst */
    if (2 * (t->used + 1) > t->cap) {
        table old = *t;
        *t = (table){.cap = old.cap == 0 ? 1024 : 2 * old.cap};
        t->slots = snug_zalloc(t->cap * sizeof *t->slots);
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i].xorb != 0) insert(t, old.slots[i]);
        free(old.slots);
    }
    insert(t, (slot){key_of(hash), xorb + 1, chunk});
}

static bool row_is(const known_xorb *x, uint32_t chunk, const unsigned char *hash)
{
    return chunk < x->count && memcmp(x->rows + (size_t)chunk * ROW, hash, 32) == 0;
}

static bool find_slot(const remote_known *k, const table *t, const unsigned char *hash,
                      remote_place *out)
{
    uint64_t key = key_of(hash);
    if (t->cap == 0) return false;
    for (size_t i = (size_t)(key * 0x9E3779B97F4A7C15u) & (t->cap - 1); t->slots[i].xorb != 0;
         i = (i + 1) & (t->cap - 1)) {
        const slot *s = &t->slots[i];
        if (s->key != key) continue;
        const known_xorb *x = &k->x[s->xorb - 1];
        if (x->gone || !row_is(x, s->chunk, hash)) continue;
        *out = (remote_place){s->xorb - 1, s->chunk};
        return true;
    }
    return false;
}

static uint32_t add_xorb(remote_known *k, known_xorb x)
{
    if (k->n == k->cap) {
        k->cap = k->cap == 0 ? 64 : 2 * k->cap;
        k->x = snug_realloc(k->x, k->cap * sizeof *k->x);
    }
    k->x[k->n] = x;
    return k->n++;
}

/* ---- the log ---- */

static void put_u(snug_buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) snug_buf_putc(b, (char)(v >> (8 * i)));
}

bool remote_seen_next(snug_slice *rest, remote_seen *out)
{
    snug_rd r = snug_rd_init(*rest);
    bool    ok = snug_eq_str(snug_rd_bytes(&r, 8), "SNUGXORB");
    out->count = snug_rd_u32le(&r);
    (void)snug_rd_u32le(&r);
    out->time_s = snug_rd_u64le(&r);
    snug_slice name = snug_rd_bytes(&r, 32);
    if (!ok || r.bad || out->count == 0 || out->count > XET_XORB_CHUNKS_MAX) return false;
    out->chunks = snug_rd_bytes(&r, (uint64_t)out->count * ROW);
    snug_slice check = snug_rd_bytes(&r, CHECK_SIZE);
    if (r.bad) return false;
    size_t      size = HEAD_SIZE + out->chunks.len;
    snug_sha256 sum = snug_sha256_of(snug_sub(*rest, 0, size));
    if (memcmp(sum.b, check.ptr, CHECK_SIZE) != 0) return false;
    memcpy(out->xorb.b, name.ptr, 32);
    *rest = snug_sub(*rest, size + CHECK_SIZE, SIZE_MAX);
    return true;
}

static int lock_log(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* Cuts off a torn record at the end, which would hide all that is appended behind it. The newer
 * half of a log that grew too large takes its place; whoever had it open reads on. */
static void mend(const char *path)
{
    snug_map    map = {NULL, 0};
    remote_seen seen;
    int         fd = lock_log(path);
    if (fd >= 0 && snug_map_open(path, &map, NULL) == SNUG_OK) {
        snug_slice rest = snug_slice_of(map.ptr, map.len), newer = SNUG_EMPTY;
        while (remote_seen_next(&rest, &seen))
            if (newer.ptr == NULL && rest.len <= LOG_MAX / 2) newer = rest;
        bool ok = rest.len == 0 || ftruncate(fd, (off_t)(map.len - rest.len)) == 0;
        if (ok && map.len > LOG_MAX && newer.ptr != NULL)
            ok = snug_write_file_atomic(path, snug_sub(newer, 0, newer.len - rest.len), 0600,
                                        NULL) == SNUG_OK;
        if (!ok) snug_log(SNUG_DEBUG, "remote.known", "path=%s cannot be mended", path);
        snug_map_deinit(&map);
    }
    if (fd >= 0) (void)close(fd);
}

static void read_log(remote_known *k)
{
    remote_seen seen;
    uint64_t    now = (uint64_t)snug_now_ms() / 1000, life = (uint64_t)KEEP_DAYS * 86400;
    struct stat sb;
    if (stat(k->path, &sb) != 0 || sb.st_size == 0) return;
    mend(k->path);
    if (snug_map_open(k->path, &k->log, NULL) != SNUG_OK) {
        k->log = (snug_map){NULL, 0};
        return;
    }
    for (snug_slice rest = snug_slice_of(k->log.ptr, k->log.len); remote_seen_next(&rest, &seen);) {
        if (seen.time_s + life < now) continue;
        uint32_t id = add_xorb(
            k, (known_xorb){
                   .name = seen.xorb, .rows = seen.chunks.ptr, .count = seen.count, .old = true});
        for (uint32_t i = 0; i < seen.count; i++)
            add_slot(&k->plain, (const unsigned char *)seen.chunks.ptr + (size_t)i * ROW, id, i);
    }
}

remote_known *remote_known_open(const char *realm, bool forget)
{
    remote_known *k = snug_zalloc(sizeof *k);
    char         *home = remote_env_xet();
    snug_arena   *a = snug_arena_new();
    snug_sha256   h = snug_sha256_of(snug_str(realm));
    char          name[33];
    snug_mutex_init(&k->lock, "remote.known", 865);
    snug_hex(h.b, 16, name);
    snug_slice dir = snug_arena_printf(a, "%s/snug-known", home);
    if (snug_mkdirs(dir.ptr, 0777, NULL) == SNUG_OK)
        k->path = snug_strdup(snug_arena_printf(a, "%s/%s.log", dir.ptr, name));
    if (k->path != NULL && forget) (void)unlink(k->path);
    if (k->path != NULL) read_log(k);
    snug_arena_free(a);
    free(home);
    return k;
}

static void free_answer(answer *w)
{
    if (w == NULL) return;
    free(w->t.slots);
    free(w);
}

void remote_known_close(remote_known *k)
{
    if (k == NULL) return;
    for (uint32_t i = 0; i < k->n; i++) free(k->x[i].own);
    for (unsigned i = 0; i < k->answer_count; i++) free_answer(k->answers[i]);
    free(k->x);
    free(k->plain.slots);
    free(k->path);
    snug_map_deinit(&k->log);
    snug_mutex_deinit(&k->lock);
    free(k);
}

/* ---- looking up ---- */

bool remote_known_find(remote_known *k, const xet_hash *chunk, remote_place *out)
{
    snug_lock(&k->lock);
    bool found = find_slot(k, &k->plain, chunk->b, out);
    for (unsigned i = 0; !found && i < k->answer_count; i++) {
        xet_hash hidden = xet_hmac(k->answers[i]->key, chunk);
        found = find_slot(k, &k->answers[i]->t, hidden.b, out);
    }
    snug_unlock(&k->lock);
    return found;
}

bool remote_known_follows(remote_known *k, remote_place at, const xet_hash *chunk)
{
    snug_lock(&k->lock);
    const known_xorb *x = &k->x[at.xorb];
    bool              yes = !x->gone && at.chunk + 1 < x->count;
    if (yes && x->key != NULL) {
        xet_hash hidden = xet_hmac(x->key, chunk);
        yes = row_is(x, at.chunk + 1, hidden.b);
    } else if (yes) {
        yes = row_is(x, at.chunk + 1, chunk->b);
    }
    snug_unlock(&k->lock);
    return yes;
}

bool remote_known_is_old(remote_known *k, uint32_t xorb)
{
    snug_lock(&k->lock);
    bool old = k->x[xorb].old && !k->x[xorb].confirmed;
    snug_unlock(&k->lock);
    return old;
}

void remote_known_confirm(remote_known *k, uint32_t xorb, bool there)
{
    snug_lock(&k->lock);
    k->x[xorb].confirmed = there;
    k->x[xorb].gone = !there;
    snug_unlock(&k->lock);
}

/* ---- xorbs of this upload ---- */

uint32_t remote_known_new_xorb(remote_known *k)
{
    snug_lock(&k->lock);
    uint32_t id = add_xorb(k, (known_xorb){.count = 0});
    snug_unlock(&k->lock);
    return id;
}

void remote_known_add(remote_known *k, uint32_t xorb, const xet_hash *chunk, uint32_t size)
{
    snug_lock(&k->lock);
    known_xorb *x = &k->x[xorb];
    if (x->count == x->cap) {
        x->cap = x->cap == 0 ? 64 : 2 * x->cap;
        x->own = snug_realloc(x->own, (size_t)x->cap * ROW);
        x->rows = (const char *)x->own;
    }
    unsigned char *row = x->own + (size_t)x->count * ROW;
    memcpy(row, chunk->b, 32);
    for (unsigned i = 0; i < 4; i++) row[32 + i] = (unsigned char)(size >> (8 * i));
    add_slot(&k->plain, chunk->b, xorb, x->count++);
    snug_unlock(&k->lock);
}

void remote_known_name(remote_known *k, uint32_t xorb, const xet_hash *name)
{
    snug_lock(&k->lock);
    k->x[xorb].name = *name;
    snug_unlock(&k->lock);
}

xet_hash remote_known_hash(remote_known *k, uint32_t xorb)
{
    snug_lock(&k->lock);
    xet_hash h = k->x[xorb].name;
    snug_unlock(&k->lock);
    return h;
}

uint32_t remote_known_count(remote_known *k, uint32_t xorb)
{
    snug_lock(&k->lock);
    uint32_t n = k->x[xorb].count;
    snug_unlock(&k->lock);
    return n;
}

void remote_known_chunk(remote_known *k, uint32_t xorb, uint32_t i, xet_hash *hash, uint32_t *size)
{
    snug_lock(&k->lock);
    const unsigned char *row = (const unsigned char *)k->x[xorb].rows + (size_t)i * ROW;
    memcpy(hash->b, row, 32);
    *size = (uint32_t)row[32] | (uint32_t)row[33] << 8 | (uint32_t)row[34] << 16 |
            (uint32_t)row[35] << 24;
    snug_unlock(&k->lock);
}

void remote_known_keep(remote_known *k, uint32_t xorb)
{
    if (k->path == NULL) return;
    SNUG_AUTO(snug_buf) b = snug_buf_init(HEAD_SIZE + XET_XORB_CHUNKS_MAX * ROW + CHECK_SIZE);
    snug_lock(&k->lock);
    const known_xorb *x = &k->x[xorb];
    snug_buf_puts(&b, "SNUGXORB");
    put_u(&b, x->count, 4);
    put_u(&b, 0, 4);
    put_u(&b, (uint64_t)snug_now_ms() / 1000, 8);
    snug_buf_put(&b, x->name.b, 32);
    snug_buf_put(&b, x->rows, (size_t)x->count * ROW);
    snug_unlock(&k->lock);
    snug_sha256 sum = snug_sha256_of(snug_buf_slice(&b));
    snug_buf_put(&b, sum.b, CHECK_SIZE);
    int fd = lock_log(k->path);
    if (fd < 0) return;
    struct stat before;
    bool        ok = fstat(fd, &before) == 0;
    if (ok && snug_write_all(fd, b.ptr, b.len, NULL) != SNUG_OK)
        ok = ftruncate(fd, before.st_size) == 0; /* costs a later look-up, nothing else */
    if (!ok) snug_log(SNUG_DEBUG, "remote.known", "path=%s errno=%d", k->path, errno);
    (void)close(fd);
}

/* ---- answers of the store ---- */

static void forget_answer(remote_known *k, answer *w)
{
    for (uint32_t i = w->first; i < w->first + w->count; i++) {
        free(k->x[i].own);
        k->x[i] = (known_xorb){.name = k->x[i].name, .gone = true};
    }
    free_answer(w);
}

static void take_xorb(remote_known *k, answer *w, const xet_shard_xorb *s, bool hidden)
{
    known_xorb x = {.name = s->hash, .count = s->count, .key = hidden ? w->key : NULL};
    x.own = snug_zalloc((size_t)s->count * ROW + 1);
    x.rows = (const char *)x.own;
    uint32_t id = add_xorb(k, x);
    for (uint32_t i = 0; i < s->count; i++) {
        memcpy(x.own + (size_t)i * ROW, s->chunks[i].hash.b, 32);
        add_slot(hidden ? &w->t : &k->plain, s->chunks[i].hash.b, id, i);
    }
}

/* The footer is found from the end: 200 bytes, of which the last eight say where it begins. */
static bool read_key(snug_slice shard, unsigned char key[32], bool *hidden)
{
    static const unsigned char zeros[32];
    enum { FOOTER = 200, KEY_AT = 72, START_AT = 192, EXPIRES_AT = 112 };
    if (shard.len < 48 + FOOTER) return false;
    snug_slice foot = snug_sub(shard, shard.len - FOOTER, FOOTER);
    snug_rd    start = snug_rd_init(snug_sub(foot, START_AT, 8)), size;
    snug_rd    expires = snug_rd_init(snug_sub(foot, EXPIRES_AT, 8));
    size = snug_rd_init(snug_sub(shard, 40, 8)); /* of the header: footer size */
    if (snug_rd_u64le(&size) != FOOTER || snug_rd_u64le(&start) != shard.len - FOOTER) return false;
    uint64_t until = snug_rd_u64le(&expires);
    if (until != 0 && until < (uint64_t)snug_now_ms() / 1000) return false;
    memcpy(key, foot.ptr + KEY_AT, 32);
    *hidden = memcmp(key, zeros, 32) != 0;
    return true;
}

snug_status remote_known_answer(remote_known *k, snug_slice shard, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    xet_shard   s;
    bool        hidden;
    answer     *w = snug_zalloc(sizeof *w);
    if (!read_key(shard, w->key, &hidden))
        SNUG_FAIL(err, SNUG_ECORRUPT, "the store's answer about a chunk has no sound footer");
    SNUG_TRY(xet_shard_parse(a, shard, &s, err));
    for (size_t i = 0; i < s.xorb_count; i++) {
        if (s.xorbs[i].count > REMOTE_CHUNKS_ASKED_MAX)
            SNUG_FAIL(err, SNUG_ECORRUPT, "the store's answer names a xorb of too many chunks");
    }
    snug_lock(&k->lock);
    answer **at = &k->answers[k->answer_next];
    if (k->answer_count == ANSWERS_MAX) forget_answer(k, *at);
    if (k->answer_count < ANSWERS_MAX) k->answer_count++;
    k->answer_next = (k->answer_next + 1) % ANSWERS_MAX;
    w->first = k->n;
    w->count = (uint32_t)s.xorb_count;
    for (size_t i = 0; i < s.xorb_count; i++) take_xorb(k, w, &s.xorbs[i], hidden);
    *at = w;
    w = NULL;
    snug_unlock(&k->lock);
done:
    free_answer(w);
    snug_arena_free(a);
    return st;
}
