/* SPDX-License-Identifier: Apache-2.0 */
/* hub/names.c - types and names: one parser, one sentence for every door.
 *
 * For:     everyone who turns text into a hub_repo_id.
 * Owns:    nothing.
 * Threads: plain values.
 * Truth:   a hub_repo_id holds two names that satisfy hub_check_name; it may or may not exist. */
#include "hub/hub_int.h"

static const struct {
    const char *name, *plural, *web;
} types[HUB_TYPE_COUNT] = {
    [HUB_MODEL] = {"model", "models", ""},
    [HUB_DATASET] = {"dataset", "datasets", "datasets/"},
    [HUB_SPACE] = {"space", "spaces", "spaces/"},
};

const char *hub_type_name(hub_type t) { return types[t].name; }
const char *hub_type_plural(hub_type t) { return types[t].plural; }
const char *hub_type_web(hub_type t) { return types[t].web; }

bool hub_type_parse(snug_slice s, hub_type *out)
{
    for (int t = 0; t < HUB_TYPE_COUNT; t++) {
        if (!snug_eq_str(s, types[t].name) && !snug_eq_str(s, types[t].plural)) continue;
        *out = (hub_type)t;
        return true;
    }
    return false;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool name_ok(snug_slice s, size_t max)
{
    if (s.len == 0 || s.len > max) return false;
    if (!is_word(s.ptr[0]) || !is_word(s.ptr[s.len - 1])) return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!is_word(c) && c != '-' && c != '.') return false;
        if (i > 0 && (c == '-' || c == '.') && s.ptr[i - 1] == c) return false;
    }
    return s.len < 4 || !snug_eq_nocase(snug_sub(s, s.len - 4, 4), SNUG_LIT(".git"));
}

snug_status hub_check_name(snug_slice name, const char *what, snug_err *err)
{
    if (name_ok(name, HUB_NAME_MAX)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL,
                     "The %s \"%.*s\" is not valid: use 1 to %d letters, digits, '-', '_' and '.', "
                     "beginning and ending with a letter, a digit or '_', without \"--\" or \"..\" "
                     "and not ending with \".git\"",
                     what, SNUG_SLICE(snug_sub(name, 0, 120)), HUB_NAME_MAX);
}

snug_status hub_parse_id(hub_type type, snug_slice ns, snug_slice name, hub_repo_id *out,
                         snug_err *err)
{
    snug_status st = SNUG_OK;
    *out = (hub_repo_id){.type = type};
    SNUG_TRY(hub_check_name(ns, "namespace", err));
    SNUG_TRY(hub_check_name(name, "repository name", err));
    memcpy(out->ns, ns.ptr, ns.len);
    memcpy(out->name, name.ptr, name.len);
done:
    return st;
}

/* First path segments that belong to the server, now or by the look of things. Sorted. */
/* clang-format off */
static const char *const reserved[] = {
    "about", "account", "accounts", "admin", "api", "app", "apps", "assets", "assistant", "audit",
    "auth", "blog", "bucket", "buckets", "cas", "chat", "collections", "compare", "compare-repos",
    "convert", "dataset", "datasets", "decisions", "docs", "download", "downloads", "embed",
    "enterprise", "errors", "events", "explore", "favicon.ico", "files", "fit", "git", "health",
    "healthz", "help", "hf-inference", "home", "huggingface", "index.html", "inbox", "info",
    "inference", "is-valid", "jobs", "join", "kernel", "kernels", "leaderboard", "leaderboards",
    "learn", "legal", "lfs", "license", "licenses", "login", "logout", "manifest.json", "me",
    "members", "metrics", "mirror", "model", "models", "new", "new-dataset", "new-model",
    "new-space", "notifications", "oauth", "openapi.json", "organizations", "orgs", "papers",
    "ping", "posts", "pricing", "privacy", "profile", "public", "raw", "ready", "register",
    "report", "repos", "reset", "resolve", "robots.txt", "root", "rows", "search", "security",
    "security.txt", "settings", "setup", "signin", "signout", "signup", "sitemap.xml",
    "space", "spaces", "ssh", "static", "status", "support", "sw.js", "system", "tasks", "teams",
    "terms", "token", "tokens", "trending", "user", "users", "v1", "v2", "webhooks", "well-known",
    "whoami", "xet",
};
/* clang-format on */

/* Second segments that legacy one-part ids use as actions ("/gpt2/resolve/main/x"). */
/* clang-format off */
static const char *const reserved_repo[] = {
    "blame", "blob", "commit", "commits", "compare", "delete", "discussions", "edit", "info",
    "preupload", "raw", "refs", "resolve", "revision", "settings", "tree", "upload",
};
/* clang-format on */

static bool in_table(const char *const *table, size_t n, snug_slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_nocase(name, snug_str(table[i]))) return true;
    }
    return false;
}

bool hub_name_reserved(snug_slice name)
{
    return in_table(reserved, sizeof reserved / sizeof reserved[0], name);
}

bool hub_repo_name_reserved(snug_slice name)
{
    return in_table(reserved_repo, sizeof reserved_repo / sizeof reserved_repo[0], name);
}

const char *hub_id_text(const hub_repo_id *id, char out[2 * HUB_NAME_MAX + 2])
{
    (void)snprintf(out, 2 * HUB_NAME_MAX + 2, "%s/%s", id->ns, id->name);
    return out;
}

snug_slice hub_key_of(snug_arena *a, const hub_repo_id *id)
{
    return store_repo_key(a, snug_str(id->ns), snug_str(id->name));
}
