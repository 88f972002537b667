/* SPDX-License-Identifier: Apache-2.0 */
/* tools/source.h - C source split into code, comments and strings, for the small checkers here.
 *
 * Not a compiler: it knows comments, string and character literals, and line splices, which is
 * enough to tell a call from a mention of it. */
#ifndef SNUG_TOOLS_SOURCE_H
#define SNUG_TOOLS_SOURCE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { SOURCE_BYTES_MAX = 16 << 20 };

typedef struct source {
    snug_slice text;     /* as it is */
    char      *code;     /* the same size: comments and literals are blanks; new lines stay */
    char      *comments; /* the same size: only what comments say */
} source;

typedef enum source_state { IN_CODE, IN_BLOCK, IN_LINE, IN_STRING, IN_CHAR } source_state;

/* The state behind the byte at i, and how many bytes it took to get there. */
static inline source_state source_step(snug_slice t, size_t i, source_state s, size_t *taken)
{
    char c = t.ptr[i], next = i + 1 < t.len ? t.ptr[i + 1] : '\0';
    *taken = 1;
    if (s != IN_BLOCK && s != IN_CODE && c == '\\' && next != '\0') {
        *taken = 2;
        return s;
    }
    switch (s) {
    case IN_CODE:
        if (c == '/' && (next == '*' || next == '/')) {
            *taken = 2;
            return next == '*' ? IN_BLOCK : IN_LINE;
        }
        if (c == '"') return IN_STRING;
        /* 1'000 is no literal in C17, but L'x' and 'x' are */
        return c == '\'' ? IN_CHAR : IN_CODE;
    case IN_BLOCK:
        if (c != '*' || next != '/') return s;
        *taken = 2;
        return IN_CODE;
    case IN_LINE: return c == '\n' ? IN_CODE : s;
    case IN_STRING: return c == '"' || c == '\n' ? IN_CODE : s;
    case IN_CHAR: return c == '\'' || c == '\n' ? IN_CODE : s;
    }
    return IN_CODE;
}

/* Fills code and comments, which live in the arena with a NUL behind them. */
static inline void source_split(source *s, snug_arena *a)
{
    s->code = snug_arena_cstr(a, s->text);
    s->comments = snug_arena_cstr(a, s->text);
    source_state state = IN_CODE;
    for (size_t i = 0; i < s->text.len;) {
        size_t       taken;
        source_state after = source_step(s->text, i, state, &taken);
        for (size_t k = i; k < i + taken; k++) {
            bool comment = state == IN_BLOCK || state == IN_LINE;
            if (s->text.ptr[k] == '\n') continue;
            if (state != IN_CODE || after != IN_CODE) s->code[k] = ' ';
            if (!comment) s->comments[k] = ' ';
        }
        i += taken;
        state = after;
    }
}

static inline bool source_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Reads a file or ends the program with status 2. */
static inline snug_slice source_read(snug_arena *a, const char *path)
{
    snug_slice text;
    snug_err   err;
    if (snug_read_file(a, path, SOURCE_BYTES_MAX, &text, &err) != SNUG_OK) {
        (void)fprintf(stderr, "%s: %s %s\n", path, err.msg, err.cause);
        exit(2);
    }
    return text;
}

#endif
