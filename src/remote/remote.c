/* SPDX-License-Identifier: Apache-2.0 */
/* remote/remote.c - a connection to one hub: opening it, plain JSON calls, repository names.
 *
 * For:     cli/, and tests that play a client.
 * Owns:    the http client and the token in memory.
 * Threads: after remote_open everything here may be called from any thread. */
#include "remote/remote.h"

#include <stdlib.h>

#include "remote/remote_int.h"

enum { ANSWER_MAX = 64 * 1024 * 1024, ENDPOINT_MAX = 1024 };
static const char default_endpoint[] = "http://127.0.0.1:8421";

static snug_status set_endpoint(remote *r, const char *wanted, snug_err *err)
{
    const char *e = wanted != NULL ? wanted : getenv("HF_ENDPOINT");
    if (e == NULL || e[0] == '\0') e = default_endpoint;
    snug_slice s = snug_trim(snug_str(e));
    while (s.len > 0 && s.ptr[s.len - 1] == '/') s.len--;
    size_t scheme = snug_starts_with(s, "http://") ? 7 : snug_starts_with(s, "https://") ? 8 : 0;
    bool   odd = s.len > ENDPOINT_MAX || s.len == scheme;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] <= 0x20 || strchr("?#\"<>", s.ptr[i]) != NULL) odd = true;
    }
    if (scheme == 0 || odd) {
        return snug_fail(err, SNUG_EINVAL,
                         "\"%.*s\" is not an address of a hub: http://host:port is",
                         (int)(s.len > 200 ? 200 : s.len), s.ptr);
    }
    r->endpoint = snug_strdup(s);
    size_t slash = snug_index(snug_sub(s, scheme, SIZE_MAX), '/');
    r->origin_len = slash == SIZE_MAX ? s.len : scheme + slash;
    return SNUG_OK;
}

static bool token_is_clean(const char *t)
{
    for (; *t != '\0'; t++) {
        if ((unsigned char)*t <= 0x20 || *t == 0x7f) return false;
    }
    return true;
}

snug_status remote_open(const remote_opts *o, remote **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = snug_zalloc(sizeof *r);
    SNUG_TRY(set_endpoint(r, o->endpoint, err));
    if (o->token == NULL) {
        r->token = remote_env_token();
    } else if (o->token[0] != '\0') {
        if (!token_is_clean(o->token))
            SNUG_FAIL(err, SNUG_EINVAL, "a token holds no spaces or control characters");
        r->token = snug_strdup(snug_str(o->token));
    }
    r->cache_dir = o->cache_dir != NULL ? snug_strdup(snug_str(o->cache_dir)) : remote_env_cache();
    r->offline = o->offline || remote_env_true("HF_HUB_OFFLINE");
    r->no_xet = o->no_xet || remote_env_true("HF_HUB_DISABLE_XET");
    r->http = http_client_new("snug/" SNUG_VERSION);
    *out = r;
    r = NULL; /* moved to the caller */
done:
    remote_close(r);
    return st;
}

void remote_close(remote *r)
{
    if (r == NULL) return;
    if (r->http != NULL) http_client_free(r->http);
    if (r->token != NULL) snug_secret_wipe(r->token, strlen(r->token));
    free(r->token);
    free(r->endpoint);
    free(r->cache_dir);
    free(r);
}

const char *remote_endpoint(const remote *r) { return r->endpoint; }
const char *remote_cache_dir(const remote *r) { return r->cache_dir; }
bool        remote_has_token(const remote *r) { return r->token != NULL; }

static snug_status call(remote *r, const char *method, const char *path, snug_slice json_body,
                        snug_arena *a, snug_json *out, http_answer *ans, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf    body = snug_buf_init(ANSWER_MAX);
    *out = (snug_json){NULL};
    if (r->offline) {
        SNUG_FAIL(err, SNUG_EREMOTE, "offline mode is on (HF_HUB_OFFLINE): %s was not asked",
                  r->endpoint);
    }
    remote_ask q = {.method = method,
                    .url = snug_arena_printf(a, "%s%s", r->endpoint, path).ptr,
                    .accept = "application/json",
                    .body = json_body,
                    .media = json_body.len > 0 ? "application/json" : NULL,
                    .once = strcmp(method, "GET") != 0,
                    .into = &body};
    SNUG_TRY(remote_exchange(r, &q, a, ans, err));
    if (snug_starts_with(http_answer_header(ans, "Content-Type"), "application/json")) {
        SNUG_TRY(snug_json_parse(a, snug_buf_slice(&body), NULL, out, err));
    }
done:
    snug_buf_deinit(&body);
    return st;
}

snug_status remote_call(remote *r, const char *method, const char *path, snug_slice json_body,
                        snug_arena *a, snug_json *out, snug_err *err)
{
    http_answer ans;
    return call(r, method, path, json_body, a, out, &ans, err);
}

snug_status remote_call_page(remote *r, const char *path, snug_arena *a, snug_json *out,
                             const char **next, snug_err *err)
{
    http_answer ans;
    snug_status st = call(r, "GET", path, SNUG_EMPTY, a, out, &ans, err);
    *next = NULL;
    if (st != SNUG_OK) return st;
    snug_slice link = remote_next_link(http_answer_header(&ans, "Link"));
    if (link.len == 0) return SNUG_OK;
    const char *url = remote_home_url(r, a, link);
    size_t      n = strlen(r->endpoint);
    if (strncmp(url, r->endpoint, n) != 0 || url[n] != '/') {
        return snug_fail(err, SNUG_EREMOTE, "the next page is outside %s", r->endpoint);
    }
    *next = url + n;
    return SNUG_OK;
}

snug_status remote_whoami(remote *r, snug_arena *a, snug_json *out, snug_err *err)
{
    if (r->token == NULL) return snug_fail(err, SNUG_EUNAUTH, "not logged in: run snug login");
    return remote_call(r, "GET", "/api/whoami-v2", SNUG_EMPTY, a, out, err);
}

/* ---- repository names ---- */

static const char *const types[] = {"model", "dataset", "space"};

static const char *find_type(snug_slice word)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t n = strlen(types[i]);
        bool   same = snug_eq_str(word, types[i]) ||
                    (word.len == n + 1 && word.ptr[n] == 's' && memcmp(word.ptr, types[i], n) == 0);
        if (same) return types[i];
    }
    return NULL;
}

static bool name_ok(snug_slice s)
{
    if (s.len == 0 || s.len > 96) return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        bool edge = i == 0 || i + 1 == s.len;
        if (!word && (edge || (c != '-' && c != '.'))) return false;
    }
    return snug_find(s, SNUG_LIT("--")) == SIZE_MAX && snug_find(s, SNUG_LIT("..")) == SIZE_MAX &&
           !snug_ends_with(s, ".git");
}

snug_status remote_parse_repo(snug_slice text, const char *type_or_null, remote_repo *out,
                              snug_err *err)
{
    const char *type = NULL;
    snug_slice  rest = text, head;
    if (type_or_null != NULL && (type = find_type(snug_str(type_or_null))) == NULL) {
        return snug_fail(err, SNUG_EINVAL,
                         "\"%s\" is no repository type: model, dataset and space are",
                         type_or_null);
    }
    size_t slashes = 0;
    for (size_t i = 0; i < text.len; i++) slashes += text.ptr[i] == '/';
    if (slashes == 2 && snug_split(&rest, '/', &head)) {
        const char *named = find_type(head);
        if (named == NULL || (type != NULL && type != named)) {
            return snug_fail(err, SNUG_EINVAL, "\"%.*s\" is not a repository of type %s",
                             SNUG_SLICE(text), type == NULL ? "model, dataset or space" : type);
        }
        type = named;
        text = rest;
    }
    snug_slice id = text, part;
    bool       ok = text.len > 0 && slashes <= 2;
    while (ok && snug_split(&id, '/', &part)) ok = name_ok(part);
    if (!ok) {
        return snug_fail(
            err, SNUG_EINVAL,
            "\"%.*s\" is not a repository name: owner/name is, of letters, digits, - _ .",
            (int)(text.len > 200 ? 200 : text.len), text.ptr == NULL ? "" : text.ptr);
    }
    *out = (remote_repo){type == NULL ? "model" : type, text};
    return SNUG_OK;
}

snug_status remote_create_repo(remote *r, remote_repo id, bool is_private, bool exist_ok,
                               snug_arena *a, snug_json *out, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    snug_json_out o = snug_json_out_init(&b);
    size_t        slash = snug_index(id.id, '/');
    snug_jo_begin_object(&o);
    if (slash == SIZE_MAX) {
        snug_jo_kstr(&o, "name", id.id);
    } else {
        snug_jo_kstr(&o, "name", snug_sub(id.id, slash + 1, SIZE_MAX));
        snug_jo_kstr(&o, "organization", snug_sub(id.id, 0, slash));
    }
    snug_jo_kcstr(&o, "type", id.type);
    snug_jo_kcstr(&o, "visibility", is_private ? "private" : "public");
    if (strcmp(id.type, "space") == 0) snug_jo_kcstr(&o, "sdk", "static");
    snug_jo_end_object(&o);
    snug_err    mine = {0};
    snug_status st = remote_call(r, "POST", "/api/repos/create", snug_buf_slice(&b), a, out, &mine);
    if (st == SNUG_ECONFLICT && exist_ok) return SNUG_OK;
    if (st != SNUG_OK && err != NULL) *err = mine;
    return st;
}
