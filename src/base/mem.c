/* SPDX-License-Identifier: Apache-2.0 */
/* base/mem.c - arenas in growing blocks, buffers with a maximum.
 *
 * Truth: an arena block is never moved, so slices into it live until the arena ends. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/slice.h"

static _Noreturn void out_of_memory(size_t n)
{
    (void)fprintf(stderr, "snug: out of memory asking for %zu bytes\n", n);
    abort();
}

void *snug_alloc_try(size_t n) { return malloc(n == 0 ? 1 : n); }

void *snug_alloc(size_t n)
{
    void *p = snug_alloc_try(n);
    if (p == NULL) out_of_memory(n);
    return p;
}

void *snug_zalloc(size_t n)
{
    void *p = calloc(1, n == 0 ? 1 : n);
    if (p == NULL) out_of_memory(n);
    return p;
}

void *snug_realloc(void *p, size_t n)
{
    void *q = realloc(p, n == 0 ? 1 : n);
    if (q == NULL) out_of_memory(n);
    return q;
}

char *snug_strdup(snug_slice s)
{
    char *p = snug_alloc(s.len + 1);
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

/* ---- arena ---- */

enum { ARENA_FIRST = 4096, ARENA_BLOCK_MAX = 1 << 20, ARENA_ALIGN = 16 };

typedef struct arena_block {
    struct arena_block *next;
    size_t              size, used; /* of data[] */
    _Alignas(ARENA_ALIGN) char data[];
} arena_block;

typedef struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *);
    void *arg;
} arena_cleanup;

struct snug_arena {
    arena_block   *head;
    arena_cleanup *cleanups;
    size_t         used, grow;
};

static arena_block *new_block(size_t size)
{
    arena_block *b = malloc(sizeof *b + size);
    if (b == NULL) return NULL;
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

snug_arena *snug_arena_new(void) { return snug_zalloc(sizeof(snug_arena)); }

static void run_cleanups(snug_arena *a)
{
    while (a->cleanups != NULL) {
        arena_cleanup *c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->arg);
    }
}

static void free_blocks(arena_block *b)
{
    while (b != NULL) {
        arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void snug_arena_free(snug_arena *a)
{
    if (a == NULL) return;
    run_cleanups(a);
    free_blocks(a->head);
    free(a);
}

void snug_arena_reset(snug_arena *a)
{
    run_cleanups(a);
    if (a->head != NULL) {
        arena_block *keep = a->head;
        free_blocks(keep->next);
        keep->next = NULL;
        keep->used = 0;
    }
    a->used = 0;
}

void *snug_arena_alloc_try(snug_arena *a, size_t n)
{
    if (n > SIZE_MAX - ARENA_ALIGN - sizeof(arena_block)) return NULL;
    size_t need = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (need == 0) need = ARENA_ALIGN;
    arena_block *b = a->head;
    if (b == NULL || b->size - b->used < need) {
        if (a->grow == 0) a->grow = ARENA_FIRST;
        size_t size = need > a->grow ? need : a->grow;
        if (a->grow < ARENA_BLOCK_MAX) a->grow *= 2;
        arena_block *fresh = new_block(size);
        if (fresh == NULL) return NULL;
        /* A block made for one large object goes behind the head, which still has room. */
        if (b != NULL && b->size - b->used > fresh->size - need) {
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->head = fresh;
        }
        b = fresh;
    }
    void *p = b->data + b->used;
    b->used += need;
    a->used += need;
    return p;
}

void *snug_arena_alloc(snug_arena *a, size_t n)
{
    void *p = snug_arena_alloc_try(a, n);
    if (p == NULL) out_of_memory(n);
    return p;
}

void *snug_arena_zalloc(snug_arena *a, size_t n)
{
    void *p = snug_arena_alloc(a, n);
    memset(p, 0, n);
    return p;
}

void *snug_arena_array_try(snug_arena *a, size_t n, size_t size)
{
    size_t total;
    if (snug_mul(n, size, &total)) return NULL;
    void *p = snug_arena_alloc_try(a, total);
    if (p != NULL) memset(p, 0, total);
    return p;
}

snug_slice snug_arena_dup(snug_arena *a, snug_slice s)
{
    char *p = snug_arena_alloc(a, s.len + 1);
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return (snug_slice){p, s.len};
}

char *snug_arena_cstr(snug_arena *a, snug_slice s)
{
    char *p = snug_arena_alloc(a, s.len + 1);
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

snug_slice snug_arena_printf(snug_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    SNUG_ASSERT(n >= 0);
    char *p = snug_arena_alloc(a, (size_t)n + 1);
    (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (snug_slice){p, (size_t)n};
}

void snug_arena_on_free(snug_arena *a, void (*fn)(void *), void *arg)
{
    arena_cleanup *c = SNUG_NEW(a, arena_cleanup);
    *c = (arena_cleanup){a->cleanups, fn, arg};
    a->cleanups = c;
}

size_t snug_arena_used(const snug_arena *a) { return a->used; }

/* ---- buffer ---- */

snug_buf snug_buf_init(size_t max) { return (snug_buf){.max = max}; }

void snug_buf_deinit(snug_buf *b)
{
    free(b->ptr);
    b->ptr = NULL;
    b->len = b->cap = 0;
}

void snug_buf_clear(snug_buf *b)
{
    b->len = 0;
    b->full = false;
}

bool snug_buf_reserve(snug_buf *b, size_t extra)
{
    if (b->full || extra > b->max - b->len) {
        b->full = true;
        return false;
    }
    size_t need = b->len + extra + 1; /* room for a NUL */
    if (need <= b->cap) return true;
    size_t cap = b->cap < 128 ? 128 : b->cap + b->cap / 2;
    if (cap < need) cap = need;
    b->ptr = snug_realloc(b->ptr, cap);
    b->cap = cap;
    return true;
}

void snug_buf_put(snug_buf *b, const void *p, size_t n)
{
    if (n == 0 || !snug_buf_reserve(b, n)) return;
    memcpy(b->ptr + b->len, p, n);
    b->len += n;
}

void snug_buf_putc(snug_buf *b, char c)
{
    if (b->len + 1 < b->cap && b->len < b->max && !b->full) {
        b->ptr[b->len++] = c;
        return;
    }
    snug_buf_put(b, &c, 1);
}

void snug_buf_puts(snug_buf *b, const char *s) { snug_buf_put(b, s, strlen(s)); }

void snug_buf_put_slice(snug_buf *b, snug_slice s) { snug_buf_put(b, s.ptr, s.len); }

void snug_buf_printf(snug_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    SNUG_ASSERT(n >= 0);
    if (snug_buf_reserve(b, (size_t)n)) {
        (void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

snug_slice snug_buf_slice(const snug_buf *b) { return (snug_slice){b->ptr, b->len}; }

const char *snug_buf_cstr(snug_buf *b)
{
    if (b->ptr == NULL) return "";
    b->ptr[b->len] = '\0'; /* reserve() always keeps one byte over */
    return b->ptr;
}

snug_status snug_buf_check(const snug_buf *b, const char *what, snug_err *err)
{
    if (!b->full) return SNUG_OK;
    return snug_fail(err, SNUG_ELIMIT, "%s is larger than the limit of %zu bytes", what, b->max);
}
