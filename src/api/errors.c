/* SPDX-License-Identifier: Apache-2.0 */
/* api/errors.c - failures in the words and headers stock clients act on.
 *
 * A client looks at X-Error-Code first, so it is sent whenever hub/ or vcs/ named one; on HEAD
 * there is no body and X-Error-Message is all a person gets to see.
 *
 * For:     the server's on_error and on_reply. */
#include "api/api_int.h"

enum { ERROR_BODY_MAX = 4096 };

/* Header text is ASCII; anything else becomes '?'. */
static void set_message(http_res *rs, const char *msg)
{
    char   text[SNUG_ERR_MSG_MAX];
    size_t n = strlen(msg);
    if (n >= sizeof text) n = sizeof text - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)msg[i];
        text[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    text[n] = '\0';
    http_set_header(rs, "X-Error-Message", snug_str(text));
}

static bool is_lfs(http_req *rq)
{
    return snug_find(http_req_path(rq), SNUG_LIT("/info/lfs/")) != SIZE_MAX;
}

static void set_challenge(http_req *rq, http_res *rs)
{
    if (api_is_git(rq)) { /* git knows no Bearer */
        http_set_header(rs, "WWW-Authenticate",
                        SNUG_LIT("Basic realm=\"Authentication required\", charset=\"UTF-8\""));
        return;
    }
    if (is_lfs(rq)) {
        http_set_header(rs, "LFS-Authenticate", SNUG_LIT("Basic realm=\"Git LFS\""));
        http_set_header(rs, "WWW-Authenticate",
                        SNUG_LIT("Basic realm=\"Authentication required\", charset=\"UTF-8\""));
        return;
    }
    http_set_header(rs, "WWW-Authenticate",
                    SNUG_LIT("Bearer realm=\"Authentication required\", charset=\"UTF-8\""));
}

/* Somebody typed a password: an account's does not work here. */
static const char *git_login(http_req *rq, const char *msg)
{
    if (http_req_header(rq, "Authorization").ptr == NULL) return msg;
    return "These credentials are not valid here. Give an access token as the password (the user "
           "name does not matter); the password of an account is not accepted.";
}

void api_on_error(http_req *rq, http_res *rs, const snug_err *err)
{
    snug_buf      b = snug_buf_init(ERROR_BODY_MAX);
    snug_json_out o = snug_json_out_init(&b);
    int           status = snug_status_http(err->status);
    const char   *msg = err->msg[0] != '\0' ? err->msg : snug_status_name(err->status);

    http_set_status(rs, status);
    set_message(rs, msg);
    const char *code = err->code;
    if (code == NULL && err->status == SNUG_EUNSUPPORTED) code = "NotImplemented";
    if (code != NULL) http_set_header(rs, "X-Error-Code", snug_str(code));
    if (status == 401) set_challenge(rq, rs);
    if (err->status == SNUG_EBUSY || err->status == SNUG_ERATE)
        http_set_header(rs, "Retry-After", SNUG_LIT("1"));

    if (api_is_git(rq)) { /* git shows it behind "remote:" */
        http_reply_text(rs, status, status == 401 ? git_login(rq, msg) : msg);
        goto done;
    }
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "error", msg);
    if (is_lfs(rq)) { /* what git-lfs prints */
        snug_jo_kcstr(&o, "message", msg);
        snug_jo_kcstr(&o, "request_id", http_req_id(rq));
    }
    snug_jo_end_object(&o);
    if (is_lfs(rq))
        http_reply_bytes(rs, SNUG_LIT("application/vnd.git-lfs+json"), &b);
    else
        http_reply_json(rs, &b);
done:
    snug_buf_deinit(&b);
}

void api_on_reply(http_req *rq, http_res *rs)
{
    /* Tokens travel in a header that scripts must set themselves, never in a cookie, so any origin
     * may ask. Without Origin it is no browser, and the bytes are saved. */
    if (http_req_header(rq, "Origin").ptr == NULL) return;
    http_set_header(rs, "Access-Control-Allow-Origin", SNUG_LIT("*"));
    http_set_header(
        rs, "Access-Control-Expose-Headers",
        SNUG_LIT("X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,"
                 "Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash"));
}

/* Endpoints clients know and this server does not have yet. Never a 404, which they would take for
 * a missing repository. */
snug_status api_not_here(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rs;
    const http_doc *doc = http_req_route(rq)->doc;
    return snug_fail_code(err, SNUG_EUNSUPPORTED, "NotImplemented", "not implemented here: %s",
                          doc->summary);
}
