/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/jinja.h - bounded templates: chat templates of strangers, and our own pages.
 *
 * The language is Jinja as Python's jinja2 3.1 renders it in its immutable sandbox: same scoping,
 * same white space, same printing of values, same refusals. A template sees the JSON it was given
 * and nothing else: no attribute leads to code, no value can be changed but a namespace.
 *
 * A compiled template lives in the caller's arena and never changes: any number of threads may
 * render it. Rendering stops with a sentence at the first of its limits. */
#ifndef SNUG_JINJA_JINJA_H
#define SNUG_JINJA_JINJA_H

#include "base/json.h"
#include "base/mem.h"

enum {
    JINJA_SOURCE_MAX = 4 << 20,    /* bytes of template text */
    JINJA_NEST_MAX = 100,          /* brackets and blocks within each other in the text */
    JINJA_CHAIN_MAX = 250,         /* operators, filters and attributes behind one another */
    JINJA_STEPS_MAX = 20000000,    /* a step: an expression, a loop pass, 64 bytes handled */
    JINJA_OUTPUT_MAX = 32 << 20,   /* bytes a rendering may write */
    JINJA_MEMORY_MAX = 128 << 20,  /* bytes for all values of a rendering, dead ones included */
    JINJA_DEPTH_MAX = 600,         /* calls and values within each other; 256 KiB of stack at most */
    JINJA_RANGE_MAX = 100000       /* items of range() */
};

typedef struct jinja_template jinja_template;

/* How a text is read. */
typedef struct jinja_opts {
    snug_slice name;              /* for messages; empty: "template" */
    bool       trim_blocks;       /* the newline behind a block tag goes */
    bool       lstrip_blocks;     /* white space between a line's start and a block tag goes */
    bool       keep_trailing_newline;
    bool       autoescape;        /* what is printed is HTML-escaped unless marked safe */
} jinja_opts;

/* The settings transformers uses for chat templates: both trims, no escaping. */
extern const jinja_opts jinja_chat_opts;

/* Compiles a text into `a`, which also holds the template's name. Errors name the line:
 * SNUG_EINVAL (code TemplateSyntax), SNUG_ELIMIT. */
snug_status jinja_compile(snug_arena *a, snug_slice text, const jinja_opts *opts,
                          const jinja_template **out, snug_err *err) SNUG_MUST_USE;

typedef struct jinja_limits { /* 0: the constant above */
    uint64_t steps;
    size_t   output, memory;
    unsigned depth;
} jinja_limits;

/* What a rendering may reach beside its context; all zero is fine. */
typedef struct jinja_env {
    snug_json    globals; /* an object; the context's members win */
    jinja_limits limits;
    /* include, import and extends: finds a compiled template, which must outlive the rendering.
     * SNUG_ENOTFOUND when there is none of that name. NULL: these tags fail. */
    snug_status (*load)(void *arg, snug_slice name, const jinja_template **out, snug_err *err);
    void *load_arg;
    /* Seconds since 1970 for strftime_now, which shows them in local time. NULL: the clock. */
    int64_t (*now)(void *arg);
    void *now_arg;
    /* Called when a {% generation %} block has written out[from, to). NULL: not wanted. */
    void (*on_generation)(void *arg, size_t from, size_t to);
    void *generation_arg;
} jinja_env;

/* Appends the rendering to `out`, whose maximum holds too. `context` is an object (or absent);
 * `env` NULL: all zero. After a failure `out` is as it was.
 * Errors: SNUG_EINVAL with code TemplateRaised and exactly the template's sentence for
 * raise_exception(), SNUG_EINVAL with code TemplateError and the line for all other mistakes,
 * SNUG_ELIMIT, and what `load` returns. */
snug_status jinja_render(const jinja_template *t, snug_json context, const jinja_env *env,
                         snug_buf *out, snug_err *err) SNUG_MUST_USE;

#endif
