/* SPDX-License-Identifier: Apache-2.0 */
/* api/status.c - the table of routes as a page people read: what is built, and what answers that it
 * is not.
 *
 * For:     snug openapi --markdown, which makes docs/api-status.md.
 * Truth:   it is the router's own table, so it cannot say more than the server does. */
#include "api/api_int.h"

static const char *const verbs[HTTP_VERB_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

static bool is_here(const http_route *r) { return r->run != api_not_here; }

/* "{type:models|datasets|spaces}" -> "{type}", "/{rest...}" of what is not built -> "/..." */
static void put_pattern(const char *pattern, bool here, snug_buf *b)
{
    bool in_choice = false;
    for (const char *p = pattern; *p != '\0'; p++) {
        if (!here && strcmp(p, "{rest...}") == 0) {
            snug_buf_puts(b, "...");
            return;
        }
        if (*p == ':') in_choice = true;
        if (*p == '}') in_choice = false;
        if (!in_choice) snug_buf_putc(b, *p);
    }
}

/* The routes that follow with the same pattern and document are one row with several verbs. */
static size_t same_row(const http_route *r, size_t left)
{
    size_t n = 1;
    while (n < left && strcmp(r[n].pattern, r->pattern) == 0 && r[n].doc == r->doc) n++;
    return n;
}

static void put_row(const http_route *r, size_t n, snug_buf *b)
{
    bool here = is_here(r);
    snug_buf_puts(b, "| ");
    for (size_t i = 0; i < n; i++) snug_buf_printf(b, "%s%s", i > 0 ? ", " : "", verbs[r[i].verb]);
    snug_buf_puts(b, " | `");
    put_pattern(r->pattern, here, b);
    snug_buf_printf(b, "` | %s | %s |\n", r->doc->summary, here ? "built" : "answers 501");
}

static void put_table(bool here, snug_buf *b)
{
    const http_route *const *tables;
    const size_t            *sizes;

    api_tables(&tables, &sizes);
    snug_buf_puts(b, "| Method | Path | What | State |\n|---|---|---|---|\n");
    for (size_t t = 0; tables[t] != NULL; t++) {
        for (size_t i = 0; i < sizes[t];) {
            const http_route *r = &tables[t][i];
            size_t            n = same_row(r, sizes[t] - i);
            if (is_here(r) == here) put_row(r, n, b);
            i += n;
        }
    }
}

void api_status_put(snug_buf *b)
{
    snug_buf_puts(b,
                  "# The hub's endpoints and their state\n\n"
                  "Made from the route table by `make docs`; `snug openapi` prints the same table "
                  "with all parameters and bodies.\n`{type}` is models, datasets or spaces.\n\n"
                  "## Built\n\n");
    put_table(true, b);
    snug_buf_puts(b, "\n## Known to clients, not built here\n\n"
                     "These answer 501 with `X-Error-Code: NotImplemented` and a sentence, never a "
                     "404 that looks like a missing\nrepository.\n\n");
    put_table(false, b);
}
