/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_cache.c - ranges of xorbs on this disk, so that the next version of a file fetches
 * only what is new.
 *
 *     <HF_XET_CACHE>/snug-chunks/<realm>/<xorb>.<start>-<end>
 *
 *     0  8  "SNUGCHNK"     8  4  version (1)     12  4  first chunk     16  4  count
 *    20 36  for each chunk: its hash, and where its record ends (u32) in what follows
 *     .  8  first bytes of the SHA-256 of everything before
 *     .     the records, as the store sent them
 *
 * For:     xet_download.c.
 * Owns:    the folder, together with other processes: an entry appears by rename and goes by
 * unlink, and a lock file lets only one tidy up at a time. Threads: any. Truth:   each chunk is
 * decoded and hashed when it is read; an entry that proves false is removed. No entry is larger
 * than a sixteenth of the bound. The bound is HF_XET_CHUNK_CACHE_SIZE_BYTES (1 GiB unless set, 0:
 * no cache); what was used least recently goes first.
 *
 * What a fast link brings is fetched again sooner than it is written twice: unless the bound was
 * set by hand, only what came slower than KEEP_BELOW is kept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { HEAD_SIZE = 20, ENTRY_SIZE = 36, CHECK_SIZE = 8, VERSION = 1 };
#define SIZE_DEFAULT (1ull << 30)
#define KEEP_BELOW 100000u /* bytes a millisecond */
static const char size_key[] = "HF_XET_CHUNK_CACHE_SIZE_BYTES";

struct remote_chunks {
    int              dir;
    uint64_t         max;
    bool             always;
    _Atomic uint64_t fresh; /* bytes kept since the folder was tidied */
};

/* ---- opening ---- */

static bool wanted_size(uint64_t *max)
{
    const char *v = getenv(size_key);
    *max = SIZE_DEFAULT;
    return v != NULL && snug_parse_size(snug_str(v), max);
}

remote_chunks *remote_chunks_open(const char *realm)
{
    uint64_t max;
    bool     always = wanted_size(&max);
    if (max == 0) return NULL;
    char       *home = remote_env_xet();
    snug_sha256 h = snug_sha256_of(snug_str(realm));
    char        name[33];
    snug_hex(h.b, 16, name);
    snug_arena *a = snug_arena_new();
    const char *path = snug_arena_printf(a, "%s/snug-chunks/%s", home, name).ptr;
    int         dir = snug_mkdirs(path, 0777, NULL) == SNUG_OK
                          ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                          : -1;
    snug_arena_free(a);
    free(home);
    if (dir < 0) return NULL; /* a cache that cannot be is no reason to fail */
    remote_chunks *k = snug_zalloc(sizeof *k);
    *k = (remote_chunks){.dir = dir, .max = max, .always = always, .fresh = max};
    return k;
}

void remote_chunks_close(remote_chunks *k)
{
    if (k == NULL) return;
    (void)close(k->dir);
    free(k);
}

bool remote_chunks_wants(const remote_chunks *k, uint64_t bytes, uint64_t ms)
{
    return k != NULL && bytes <= k->max / 16 && (k->always || bytes / (ms + 1) < KEEP_BELOW);
}

/* ---- the format ---- */

snug_status remote_kept_read(snug_slice bytes, remote_kept *out, snug_err *err)
{
    snug_rd r = snug_rd_init(bytes);
    bool    ok = snug_eq_str(snug_rd_bytes(&r, 8), "SNUGCHNK") && snug_rd_u32le(&r) == VERSION;
    out->start = snug_rd_u32le(&r);
    out->count = snug_rd_u32le(&r);
    ok = ok && !r.bad && out->count > 0 && out->count <= REMOTE_CHUNKS_ASKED_MAX &&
         out->start <= REMOTE_CHUNKS_ASKED_MAX;
    if (ok) out->table = snug_rd_bytes(&r, (uint64_t)out->count * ENTRY_SIZE);
    snug_slice check = ok ? snug_rd_bytes(&r, CHECK_SIZE) : SNUG_EMPTY;
    ok = ok && !r.bad;
    if (ok) {
        size_t      head = HEAD_SIZE + out->table.len;
        snug_sha256 sum = snug_sha256_of(snug_sub(bytes, 0, head));
        ok = memcmp(sum.b, check.ptr, CHECK_SIZE) == 0;
        out->records = snug_sub(bytes, head + CHECK_SIZE, SIZE_MAX);
    }
    return ok ? SNUG_OK : snug_fail(err, SNUG_ECORRUPT, "an entry of the chunk cache is damaged");
}

static uint32_t u32_at(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void put_u32(snug_buf *b, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) snug_buf_putc(b, (char)(v >> (8 * i)));
}

/* ---- reading ---- */

/* "<64 hex>.<start>-<end>" */
static bool read_name(const char *name, const char *xorb, uint32_t *start, uint32_t *end)
{
    uint64_t   a, b;
    snug_slice rest = snug_str(name), first;
    if (strncmp(name, xorb, 64) != 0 || name[64] != '.') return false;
    rest = snug_sub(rest, 65, SIZE_MAX);
    if (!snug_split(&rest, '-', &first) || !snug_parse_u64(first, &a) ||
        !snug_parse_u64(rest, &b) || a >= b || b > UINT32_MAX)
        return false;
    *start = (uint32_t)a;
    *end = (uint32_t)b;
    return true;
}

/* The entry with `start` that reaches farthest; name empty: none. */
static uint32_t find_entry(remote_chunks *k, const char *xorb, uint32_t start, char name[128])
{
    uint32_t best = 0, a, b;
    int      fd = openat(k->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR     *d = fd < 0 ? NULL : fdopendir(fd);
    name[0] = '\0';
    if (d == NULL && fd >= 0) (void)close(fd);
    if (d == NULL) return 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strlen(e->d_name) >= 128 || !read_name(e->d_name, xorb, &a, &b)) continue;
        if (a > start || b <= start || b <= best) continue;
        best = b;
        (void)snprintf(name, 128, "%.127s", e->d_name);
    }
    (void)closedir(d);
    return best;
}

/* Walks the records of an entry; false when one of them is not what the table says. */
static bool walk(const remote_kept *e, uint32_t end, uint32_t *next, remote_chunk_fn *put,
                 void *arg, snug_status *st, snug_err *err)
{
    unsigned char *raw = snug_alloc(XET_CHUNK_MAX);
    bool           sound = true;
    for (uint32_t i = *next - e->start; sound && *st == SNUG_OK && i < e->count && *next < end;
         i++) {
        const char *row = e->table.ptr + (size_t)i * ENTRY_SIZE;
        uint32_t    from = i == 0 ? 0 : u32_at(row - 4), to = u32_at(row + 32), size, stored;
        xet_hash    want, have;
        memcpy(want.b, row, sizeof want.b);
        sound = from < to && to <= e->records.len &&
                xet_record_decode(snug_sub(e->records, from, to - from), raw, &size, &stored,
                                  NULL) == SNUG_OK;
        if (!sound) break;
        have = xet_chunk_hash(snug_slice_of(raw, size));
        sound = xet_hash_eq(&have, &want);
        if (!sound) break;
        *st = put(arg, *next, snug_slice_of(raw, size), err);
        if (*st == SNUG_OK) ++*next;
    }
    free(raw);
    return sound;
}

snug_status remote_chunks_get(remote_chunks *k, const xet_hash *xorb, uint32_t start, uint32_t end,
                              remote_chunk_fn *put, void *arg, uint32_t *next, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        text[65], name[128];
    *next = start;
    if (k == NULL) return SNUG_OK;
    xet_hash_text(xorb, text);
    while (*next < end && st == SNUG_OK && find_entry(k, text, *next, name) > *next) {
        uint32_t    before = *next;
        int         fd = openat(k->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        struct stat sb;
        remote_kept e;
        snug_arena *a = snug_arena_new();
        if (fd < 0 || fstat(fd, &sb) != 0 || sb.st_size > 2 * (off_t)XET_XORB_BODY_MAX) {
            if (fd >= 0) (void)close(fd);
            snug_arena_free(a);
            break;
        }
        size_t size = (size_t)sb.st_size;
        char  *bytes = snug_alloc_try(size + 1);
        bool   sound = bytes != NULL && snug_pread_all(fd, bytes, size, 0, NULL) == SNUG_OK &&
                     remote_kept_read(snug_slice_of(bytes, size), &e, NULL) == SNUG_OK &&
                     e.start <= *next && walk(&e, end, next, put, arg, &st, err);
        if (sound)
            (void)futimens(fd, NULL); /* used now */
        else
            (void)unlinkat(k->dir, name, 0);
        free(bytes);
        (void)close(fd);
        snug_arena_free(a);
        if (*next == before) break;
    }
    return st;
}

/* ---- keeping ---- */

typedef struct kept_file {
    char            name[128];
    struct timespec used;
    uint64_t        size;
} kept_file;

static int by_use(const void *pa, const void *pb)
{
    const kept_file *a = pa, *b = pb;
    if (a->used.tv_sec != b->used.tv_sec) return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
    return a->used.tv_nsec < b->used.tv_nsec ? -1 : a->used.tv_nsec > b->used.tv_nsec;
}

static size_t list_kept(int dir, kept_file **out, uint64_t *bytes)
{
    size_t n = 0, cap = 0;
    int    fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR   *d = fd < 0 ? NULL : fdopendir(fd);
    *out = NULL;
    *bytes = 0;
    if (d == NULL && fd >= 0) (void)close(fd);
    if (d == NULL) return 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat sb;
        if (strcmp(e->d_name, ".lock") == 0 || strlen(e->d_name) >= sizeof(*out)->name ||
            fstatat(dir, e->d_name, &sb, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(sb.st_mode))
            continue;
        if (n == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            *out = snug_realloc(*out, cap * sizeof **out);
        }
        kept_file *f = &(*out)[n++];
        (void)snprintf(f->name, sizeof f->name, "%.127s", e->d_name);
        f->used = sb.st_mtim;
        f->size = (uint64_t)sb.st_size;
        *bytes += f->size;
    }
    (void)closedir(d);
    return n;
}

/* Runs for each sixteenth of the bound that was written, and leaves room for the next one. */
static void tidy(remote_chunks *k)
{
    kept_file *files;
    uint64_t   bytes;
    int        lock = openat(k->dir, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (lock < 0) return;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) { /* else somebody is at it */
        size_t n = list_kept(k->dir, &files, &bytes);
        if (n > 0) qsort(files, n, sizeof *files, by_use);
        for (size_t i = 0; i < n && bytes > k->max - k->max / 8; i++) {
            if (unlinkat(k->dir, files[i].name, 0) == 0) bytes -= files[i].size;
        }
        free(files);
    }
    (void)close(lock);
}

void remote_chunks_put(remote_chunks *k, const xet_hash *xorb, uint32_t start, uint32_t count,
                       const xet_hash *hashes, const uint32_t *stored_ends, snug_slice records)
{
    char text[65], name[128], tmp[40];
    if (k == NULL || count == 0 || records.len > k->max / 16) return;
    SNUG_AUTO(snug_buf) b = snug_buf_init(HEAD_SIZE + (size_t)count * ENTRY_SIZE + CHECK_SIZE);
    snug_buf_puts(&b, "SNUGCHNK");
    put_u32(&b, VERSION);
    put_u32(&b, start);
    put_u32(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        snug_buf_put(&b, hashes[i].b, sizeof hashes[i].b);
        put_u32(&b, stored_ends[i]);
    }
    snug_sha256 sum = snug_sha256_of(snug_buf_slice(&b));
    snug_buf_put(&b, sum.b, CHECK_SIZE);
    xet_hash_text(xorb, text);
    (void)snprintf(name, sizeof name, "%s.%u-%u", text, start, start + count);
    (void)snprintf(tmp, sizeof tmp, ".put.%016" PRIx64, snug_random_u64());
    int fd = openat(k->dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return;
    bool ok = snug_write_all(fd, b.ptr, b.len, NULL) == SNUG_OK &&
              snug_write_all(fd, records.ptr, records.len, NULL) == SNUG_OK;
    (void)close(fd);
    if (!ok || renameat(k->dir, tmp, k->dir, name) != 0) (void)unlinkat(k->dir, tmp, 0);
    if (atomic_fetch_add(&k->fresh, records.len) < k->max / 16 && ok) return;
    atomic_store(&k->fresh, 0);
    tidy(k);
}
