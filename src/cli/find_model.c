/* SPDX-License-Identifier: Apache-2.0 */
/* cli/find_model.c - a folder, a GGUF file, or a repository through the cache.
 *
 * For:     snug run, forward, quantize and merge-adapter.
 * Owns:    nothing.
 * Threads: the main thread. */
#include "cli/find_model.h"

#include <sys/stat.h>

#ifdef SNUG_HAVE_HUB
#include "cli/net.h"
#include "cli/pick_gguf.h"
#endif

static bool is_here(const char *path)
{
    struct stat sb;
    if (stat(path, &sb) != 0) return false;
    return S_ISDIR(sb.st_mode) || (S_ISREG(sb.st_mode) && snug_ends_with(snug_str(path), ".gguf"));
}

#ifdef SNUG_HAVE_HUB
typedef struct choice {
    snug_arena *a;
    snug_slice  type, picked;
} choice;

static snug_status choose(void *arg, const snug_slice *paths, size_t n, bool *keep, snug_err *err)
{
    choice     *c = arg;
    snug_status st = cli_pick_gguf(c->type, paths, n, keep, &c->picked, err);
    c->picked = snug_arena_dup(c->a, c->picked);
    return st;
}

/* "ORG/NAME:Q8_0" in two. */
static snug_slice cut_type(snug_slice *name)
{
    size_t     colon = snug_index(*name, ':');
    snug_slice type = colon == SIZE_MAX ? SNUG_EMPTY : snug_sub(*name, colon + 1, SIZE_MAX);
    *name = snug_sub(*name, 0, colon);
    return type;
}
#endif

snug_status cli_find_model(cli *c, const cli_args *a, const char **path, snug_err *err)
{
    return cli_find_named(c, a, cli_pos(a, 0), path, err);
}

snug_status cli_find_named(cli *c, const cli_args *a, const char *name, const char **path,
                           snug_err *err)
{
    *path = name;
    if (is_here(name)) return SNUG_OK;
    if (snug_ends_with(snug_str(name), ".gguf") && strchr(name, ':') == NULL)
        return snug_fail(err, SNUG_ENOTFOUND, "there is no file %s", name);
#ifdef SNUG_HAVE_HUB
    snug_slice      repo = snug_str(name);
    choice          picks = {.a = c->arena, .type = cut_type(&repo)};
    remote_download d = {.choose = choose, .choose_arg = &picks};
    snug_status     st = cli_fetch_model(c, a, repo, name, &d, path, err);
    if (st == SNUG_OK && picks.picked.len > 0)
        *path = snug_arena_printf(c->arena, "%s/%.*s", *path, SNUG_SLICE(picks.picked)).ptr;
    return st;
#else
    (void)c, (void)a;
    return snug_fail(err, SNUG_ENOTFOUND,
                     "there is no folder %s (this program was built without the hub)", name);
#endif
}
