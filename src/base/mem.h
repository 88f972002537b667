/* SPDX-License-Identifier: Apache-2.0 */
/* base/mem.h - arenas, growing buffers with a maximum, and scope clean-up. */
#ifndef SNUG_BASE_MEM_H
#define SNUG_BASE_MEM_H

#include <snug/snug.h>
#include <stdio.h>

/* Frees a local of type T with T_deinit when the scope ends: SNUG_AUTO(snug_buf) b = ... */
#define SNUG_AUTO(T) __attribute__((cleanup(T##_deinit))) T

/* Heap blocks of a size we chose ourselves; out of memory stops the process with a message. */
void *snug_alloc(size_t n) __attribute__((malloc));
void *snug_zalloc(size_t n) __attribute__((malloc));
void *snug_realloc(void *p, size_t n);
char *snug_strdup(snug_slice s); /* NUL-terminated copy: free() */
/* A size that came from outside: compare it with a named limit first; NULL when there is none. */
void *snug_alloc_try(size_t n) __attribute__((malloc));

/* An arena: many allocations, one end. Not thread-safe; one per request, job or model load. */
typedef struct snug_arena snug_arena;

snug_arena *snug_arena_new(void);
void        snug_arena_free(snug_arena *a); /* runs the clean-ups in reverse; NULL is fine */
void        snug_arena_reset(snug_arena *a); /* as free and new, keeping the first block */
void       *snug_arena_alloc(snug_arena *a, size_t n); /* 16-byte aligned, not cleared */
void       *snug_arena_zalloc(snug_arena *a, size_t n);
void       *snug_arena_alloc_try(snug_arena *a, size_t n); /* NULL when out of memory */
/* n items of `size` bytes; overflow and lack of memory give NULL. Cleared. */
void      *snug_arena_array_try(snug_arena *a, size_t n, size_t size);
snug_slice snug_arena_dup(snug_arena *a, snug_slice s);  /* copies; a NUL follows the copy */
char      *snug_arena_cstr(snug_arena *a, snug_slice s); /* the same as a C string */
snug_slice snug_arena_printf(snug_arena *a, const char *fmt, ...) SNUG_PRINTF(2, 3);
void       snug_arena_on_free(snug_arena *a, void (*fn)(void *), void *arg);
size_t     snug_arena_used(const snug_arena *a); /* bytes handed out */

#define SNUG_NEW(arena, T) ((T *)snug_arena_zalloc((arena), sizeof(T)))

/* A growing byte buffer that never exceeds `max`. A write past it sets `full`, keeps what fitted
 * before that write and drops all later ones, so a writer checks once, at the end. */
typedef struct snug_buf {
    char  *ptr;
    size_t len, cap, max;
    bool   full;
} snug_buf;

snug_buf   snug_buf_init(size_t max);
void       snug_buf_deinit(snug_buf *b);
void       snug_buf_clear(snug_buf *b);                      /* keeps the memory */
bool       snug_buf_reserve(snug_buf *b, size_t extra);      /* false: would exceed max */
void       snug_buf_put(snug_buf *b, const void *p, size_t n);
void       snug_buf_putc(snug_buf *b, char c);
void       snug_buf_puts(snug_buf *b, const char *s);
void       snug_buf_put_slice(snug_buf *b, snug_slice s);
void       snug_buf_printf(snug_buf *b, const char *fmt, ...) SNUG_PRINTF(2, 3);
snug_slice snug_buf_slice(const snug_buf *b);
const char *snug_buf_cstr(snug_buf *b); /* NUL-terminated view, valid until the next write */
/* SNUG_ELIMIT naming `what` when the buffer overflowed. */
snug_status snug_buf_check(const snug_buf *b, const char *what, snug_err *err) SNUG_MUST_USE;

#endif
