/* SPDX-License-Identifier: Apache-2.0 */
/* api/call.c - what every endpoint does first and last: who asks, which repository, which
 * revision; links, JSON bodies.
 *
 * For:     the families in this folder.
 * Threads: a call belongs to the worker that runs its handler. */
#include "api/api_int.h"

#include <stdlib.h>

/* ---- who asks ---- */

static void free_secret(void *arg)
{
    snug_buf *b = arg;
    if (b->ptr != NULL) snug_secret_wipe(b->ptr, b->len);
    snug_buf_deinit(b);
}

/* "user:token" in base64, as git sends it. The name is for people; the token says who. */
static snug_status read_basic(snug_arena *a, snug_slice coded, snug_slice *token, snug_err *err)
{
    snug_buf *plain = SNUG_NEW(a, snug_buf);
    *plain = snug_buf_init(1024);
    snug_arena_on_free(a, free_secret, plain);
    snug_status st = snug_base64_decode(coded, plain, err);
    if (st != SNUG_OK || plain->full) return SNUG_EINVAL;
    snug_slice rest = snug_buf_slice(plain), user;
    if (!snug_split(&rest, ':', &user) || rest.ptr == NULL) return SNUG_EINVAL;
    *token = rest.len > 0 ? rest : user; /* some tools put the token where the name goes */
    return SNUG_OK;
}

static snug_status read_token(http_req *rq, snug_arena *a, snug_slice *token, snug_err *err)
{
    snug_slice rest = http_req_header(rq, "Authorization"), scheme;
    *token = SNUG_EMPTY;
    if (rest.ptr == NULL) return SNUG_OK;
    rest = snug_trim(rest);
    if (snug_split(&rest, ' ', &scheme)) {
        rest = snug_trim(rest);
        if (snug_eq_nocase(scheme, SNUG_LIT("Bearer")) && rest.len > 0) {
            *token = rest;
            return SNUG_OK;
        }
        if (snug_eq_nocase(scheme, SNUG_LIT("Basic")) &&
            read_basic(a, rest, token, err) == SNUG_OK && token->len > 0)
            return SNUG_OK;
    }
    return snug_fail(err, SNUG_EUNAUTH, "Invalid credentials in Authorization header");
}

/* What was logged in by SSH speaks git and LFS, to one repository, and nothing else. */
static bool is_git_or_lfs(http_req *rq)
{
    snug_slice name = http_req_param(rq, "name");
    return name.len > 0 && !snug_starts_with(http_req_path(rq), "/api/") &&
           (api_is_git(rq) || snug_find(http_req_path(rq), SNUG_LIT("/info/lfs/")) != SIZE_MAX);
}

snug_status api_begin(api_call *c, http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  token;
    *c = (api_call){.rq = rq, .rs = rs, .app = http_req_app(rq), .a = http_req_arena(rq)};
    c->hub = c->app->hub;
    SNUG_TRY(read_token(rq, c->a, &token, err));
    if (hub_is_ssh_ticket(token) && is_git_or_lfs(rq))
        SNUG_TRY(hub_ssh_ticket_read(c->hub, token, c->a, &c->who, &c->only_row, err));
    else
        SNUG_TRY(hub_identify(c->hub, token, c->a, &c->who, err));
done:
    return st;
}

/* ---- which repository ---- */

snug_status api_fail_absent(const api_call *c, snug_err *err)
{
    if (c->who.user_id == 0)
        return snug_fail_code(err, SNUG_EUNAUTH, "RepoNotFound", "Invalid username or password.");
    return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound", "Repository not found");
}

static snug_slice without_git(snug_slice name)
{
    return snug_ends_with(name, ".git") ? snug_sub(name, 0, name.len - 4) : name;
}

/* Index of the namespace among the path's segments: /api/models/NS, /datasets/NS, /NS. */
static size_t ns_index(http_req *rq)
{
    if (http_req_param(rq, "type").len == 0) return 0;
    return snug_starts_with(http_req_path(rq), "/api/") ? 2 : 1;
}

/* The same address with the namespace and the name replaced: relative, as clients want it. */
static void reply_moved(api_call *c, const hub_repo_id *now)
{
    snug_buf   b = snug_buf_init(API_CURSOR_MAX);
    snug_slice rest = snug_sub(http_req_target(c->rq), 1, SIZE_MAX), part;
    snug_slice query = SNUG_EMPTY;
    size_t     mark = snug_index(rest, '?');
    if (mark != SIZE_MAX) {
        query = snug_sub(rest, mark, rest.len);
        rest.len = mark;
    }
    size_t ns = ns_index(c->rq);
    for (size_t i = 0; snug_split(&rest, '/', &part); i++) {
        snug_buf_putc(&b, '/');
        if (i == ns)
            snug_buf_puts(&b, now->ns);
        else if (i == ns + 1)
            snug_buf_printf(&b, "%s%s", now->name, snug_ends_with(part, ".git") ? ".git" : "");
        else
            snug_buf_put_slice(&b, part);
    }
    snug_buf_put_slice(&b, query);
    http_reply_redirect(c->rs, 307, snug_buf_slice(&b));
    snug_buf_deinit(&b);
}

static bool same_spelling(const hub_repo_id *a, const hub_repo_id *b)
{
    return strcmp(a->ns, b->ns) == 0 && strcmp(a->name, b->name) == 0;
}

static snug_status find_or_redirect(api_call *c, hub_role need, bool *here, snug_err *err)
{
    hub_repo_id now;
    bool        moved = false;
    snug_status st = hub_open_repo(c->hub, &c->who, &c->id, need, c->a, &c->repo, err);

    if (st == SNUG_OK && same_spelling(&hub_repo_get_info(c->repo)->id, &c->id)) return SNUG_OK;
    if (st == SNUG_OK) { /* the same repository in another case: send them to its own name */
        now = hub_repo_get_info(c->repo)->id;
        moved = true;
    } else if (st == SNUG_ENOTFOUND || st == SNUG_EUNAUTH) {
        if (hub_find_moved(c->hub, &c->who, &c->id, &now, &moved, NULL) != SNUG_OK) moved = false;
    }
    if (!moved) return st;
    api_close_repo(c);
    reply_moved(c, &now);
    *here = false;
    return SNUG_OK;
}

snug_status api_open(api_call *c, http_req *rq, http_res *rs, hub_role need, bool *here,
                     snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_type    type = HUB_MODEL;
    snug_slice  type_text = http_req_param(rq, "type");

    *here = true;
    SNUG_TRY(api_begin(c, rq, rs, err));
    if (type_text.len > 0 && !hub_type_parse(type_text, &type)) SNUG_TRY(api_fail_absent(c, err));
    if (hub_parse_id(type, http_req_param(rq, "ns"), without_git(http_req_param(rq, "name")),
                     &c->id, err) != SNUG_OK)
        SNUG_TRY(api_fail_absent(c, err)); /* no such name can exist */
    SNUG_TRY(find_or_redirect(c, need, here, err));
    if (!*here) goto done;
    c->info = hub_repo_get_info(c->repo);
    if (c->only_row != 0 && c->only_row != c->info->row) SNUG_TRY(api_fail_absent(c, err));
    c->git = hub_repo_vcs(c->repo);
    hub_repo_info *kept = SNUG_NEW(c->a, hub_repo_info);
    *kept = *c->info; /* its slices live in the arena already */
    c->info = kept;
    if (kept->disabled) SNUG_FAIL(err, SNUG_EFORBIDDEN, "Access to this resource is disabled.");
done:
    return st;
}

void api_close_repo(api_call *c)
{
    hub_close_repo(c->repo);
    c->repo = NULL;
    c->git = NULL;
}

void api_done(api_call *c) { api_close_repo(c); }

/* ---- which revision ---- */

static snug_slice raw_rest(http_req *rq)
{
    snug_slice rest = http_req_param_raw(rq, "rest");
    while (snug_starts_with(rest, "/")) rest = snug_sub(rest, 1, rest.len);
    return rest;
}

static snug_status decode(api_call *c, snug_slice raw, snug_slice *out, snug_err *err)
{
    if (snug_percent_decode(c->a, raw, false, out)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "the address has a malformed %% escape");
}

snug_status api_path_rev(api_call *c, snug_slice *rev, snug_err *err)
{
    snug_slice raw = raw_rest(c->rq);
    while (snug_ends_with(raw, "/")) raw.len--;
    return decode(c, raw, rev, err);
}

/* Splits off the first n segments; false when there are fewer. */
static bool cut_segments(snug_slice raw, size_t n, snug_slice *head, snug_slice *tail)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (at > raw.len || (at == raw.len && i > 0)) return false;
        size_t slash = snug_index(snug_sub(raw, at, raw.len), '/');
        at = slash == SIZE_MAX ? raw.len : at + slash;
        if (i + 1 < n) at++;
    }
    *head = snug_sub(raw, 0, at);
    *tail = snug_sub(raw, at + 1, raw.len);
    return true;
}

/* A revision is one segment, unless a client left its slashes bare: refs/pr/1/dir/file. Then the
 * first prefix that names a revision is it; "refs" alone never does. */
snug_status api_path_file(api_call *c, vcs_oid *commit, snug_slice *path, snug_err *err)
{
    enum { SEGMENTS_MAX = 6 };
    snug_slice  raw = raw_rest(c->rq), head, tail, rev;
    snug_status st = SNUG_ENOTFOUND;
    size_t      first = snug_starts_with(raw, "refs/") ? 3 : 1;
    snug_err    again = {0};

    if (!cut_segments(raw, first, &head, &tail)) {
        head = raw;
        tail = SNUG_EMPTY;
    }
    for (size_t n = first;; n++) {
        snug_status bad = decode(c, head, &rev, err);
        if (bad != SNUG_OK) return bad;
        st = vcs_resolve_rev(c->git, rev, commit, n == first ? err : &again);
        if (st != SNUG_ENOTFOUND) break;
        if (n == SEGMENTS_MAX || !cut_segments(raw, n + 1, &head, &tail)) break;
    }
    if (st != SNUG_OK) return st; /* err speaks of the first try */
    while (snug_ends_with(tail, "/")) tail.len--;
    return decode(c, tail, path, err);
}

/* ---- bodies and links ---- */

snug_status api_read_json(api_call *c, snug_json *out, snug_err *err)
{
    snug_json_opts opts = {.flags = SNUG_JSON_BORROW, .depth_max = 32};
    snug_status    st = snug_json_parse(c->a, http_req_body(c->rq), &opts, out, err);
    if (st != SNUG_OK) {
        snug_note(err, "the body is not JSON");
        return st;
    }
    if (!snug_json_is(*out, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "the body must be a JSON object");
    return SNUG_OK;
}

snug_slice api_repo_url(api_call *c, const hub_repo_id *id)
{
    return snug_arena_printf(c->a, "%.*s/%s%s/%s", SNUG_SLICE(http_req_base_url(c->rq)),
                             hub_type_web(id->type), id->ns, id->name);
}

/* What would end the <...> of a Link early has no business in an address. */
static void put_safe_url(snug_buf *b, snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch <= ' ' || ch == '<' || ch == '>' || ch == '"' || ch >= 0x7f)
            snug_buf_printf(b, "%%%02X", ch);
        else
            snug_buf_putc(b, (char)ch);
    }
}

void api_set_next(api_call *c, const char *key, snug_slice value)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(4 * API_CURSOR_MAX);
    snug_slice target = http_req_target(c->rq), query = SNUG_EMPTY, pair;
    size_t     mark = snug_index(target, '?');
    if (mark != SIZE_MAX) query = snug_sub(target, mark + 1, target.len);

    snug_buf_putc(&b, '<');
    snug_buf_put_slice(&b, http_req_base_url(c->rq));
    put_safe_url(&b, http_req_path(c->rq));
    char sep = '?';
    while (query.len > 0 && snug_split(&query, '&', &pair)) {
        size_t     eq = snug_index(pair, '=');
        snug_slice name = eq == SIZE_MAX ? pair : snug_sub(pair, 0, eq);
        if (pair.len == 0 || snug_eq_str(name, key)) continue;
        snug_buf_putc(&b, sep);
        put_safe_url(&b, pair);
        sep = '&';
    }
    snug_buf_printf(&b, "%c%s=", sep, key);
    snug_percent_put(&b, value, false);
    snug_buf_puts(&b, ">; rel=\"next\"");
    if (!b.full) http_set_header(c->rs, "Link", snug_buf_slice(&b));
}

snug_status api_reply_json(api_call *c, snug_buf *buf, snug_err *err)
{
    snug_status st = snug_buf_check(buf, "the answer", err);
    if (st == SNUG_OK) http_reply_json(c->rs, buf);
    return st;
}

snug_status api_query_u64(api_call *c, const char *name, uint64_t dflt, uint64_t min, uint64_t max,
                          uint64_t *out, snug_err *err)
{
    snug_slice text = http_req_query(c->rq, name, 0);
    *out = dflt;
    if (text.len == 0) return SNUG_OK;
    if (!snug_parse_u64(text, out) || *out < min)
        return snug_fail(err, SNUG_EINVAL, "\"%s\" must be a number from %llu", name,
                         (unsigned long long)min);
    if (*out > max) *out = max; /* more than we give at once is not wrong, only long */
    return SNUG_OK;
}

void api_jo_time(snug_json_out *o, const char *key, int64_t ms)
{
    char text[25];
    snug_time_iso(ms, text);
    snug_jo_kcstr(o, key, text);
}

void api_jo_oid(snug_json_out *o, const char *key, const vcs_oid *oid)
{
    char hex[41];
    vcs_oid_hex(oid, hex);
    snug_jo_kcstr(o, key, hex);
}
