/* SPDX-License-Identifier: Apache-2.0 */
/* api/resolve.c - the bytes of a file.
 *
 *      resolve: what the file is   (an LFS pointer becomes its object)   etag: SHA-256 or git blob
 * id raw:     what git stores    (the pointer's own text)              etag: git blob id
 *
 * Whatever a user uploaded is only data to a browser: a type that runs nothing, nosniff, and a
 * sandbox without an origin.
 *
 * For:     routes.c. */
#include "api/api_int.h"

#include <inttypes.h>

/* Types a browser may show; everything else is bytes. Text of any kind is plain text. */
static const struct {
    const char *ending, *media;
} media_types[] = {
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".avif", "image/avif"},
    {".bmp", "image/bmp"},
    {".ico", "image/x-icon"},
    {".wav", "audio/wav"},
    {".mp3", "audio/mpeg"},
    {".flac", "audio/flac"},
    {".ogg", "audio/ogg"},
    {".opus", "audio/ogg"},
    {".m4a", "audio/mp4"},
    {".mp4", "video/mp4"},
    {".webm", "video/webm"},
    {".json", "application/json"},
    {".jsonl", "text/plain"},
    {".txt", "text/plain"},
    {".md", "text/plain"},
    {".csv", "text/plain"},
    {".tsv", "text/plain"},
    {".yaml", "text/plain"},
    {".yml", "text/plain"},
    {".toml", "text/plain"},
    {".py", "text/plain"},
    {".ipynb", "text/plain"},
    {".html", "text/plain"},
    {".htm", "text/plain"},
    {".xml", "text/plain"},
    {".svg", "text/plain"},
    {".js", "text/plain"},
    {".css", "text/plain"},
    {".c", "text/plain"},
    {".h", "text/plain"},
    {".cpp", "text/plain"},
    {".sh", "text/plain"},
    {".rst", "text/plain"},
    {".log", "text/plain"},
    {".jinja", "text/plain"},
    {".gitattributes", "text/plain"},
    {".gitignore", "text/plain"},
    {"LICENSE", "text/plain"},
    {"Dockerfile", "text/plain"},
};

static snug_slice media_of(snug_slice path)
{
    for (size_t i = 0; i < sizeof media_types / sizeof media_types[0]; i++) {
        snug_slice ending = snug_str(media_types[i].ending);
        if (path.len < ending.len ||
            !snug_eq_nocase(snug_sub(path, path.len - ending.len, ending.len), ending))
            continue;
        return snug_eq_str(snug_str(media_types[i].media), "text/plain")
                   ? SNUG_LIT("text/plain; charset=utf-8")
                   : snug_str(media_types[i].media);
    }
    return SNUG_LIT("application/octet-stream");
}

static snug_slice base_name(snug_slice path)
{
    size_t slash = snug_rindex(path, '/');
    return slash == SIZE_MAX ? path : snug_sub(path, slash + 1, path.len);
}

/* Both forms: the plain one is what people see, the starred one what is right. */
static void set_disposition(api_call *c, snug_slice path)
{
    if (http_req_query_bool(c->rq, "noContentDisposition", false)) return;
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    snug_slice name = base_name(path);
    snug_buf_puts(&b, http_req_query_bool(c->rq, "download", false) ? "attachment" : "inline");
    snug_buf_puts(&b, "; filename*=UTF-8''");
    snug_percent_put(&b, name, false);
    snug_buf_puts(&b, "; filename=\"");
    for (size_t i = 0; i < name.len; i++) {
        unsigned char ch = (unsigned char)name.ptr[i];
        snug_buf_putc(&b, ch < 0x20 || ch >= 0x7f || ch == '"' || ch == '\\' ? '_' : (char)ch);
    }
    snug_buf_puts(&b, "\";");
    if (!b.full) http_set_header(c->rs, "Content-Disposition", snug_buf_slice(&b));
}

static void set_safety(http_res *rs)
{
    http_set_header(rs, "X-Content-Type-Options", SNUG_LIT("nosniff"));
    http_set_header(rs, "Content-Security-Policy", SNUG_LIT("default-src 'none'; sandbox"));
    http_set_header(rs, "Cross-Origin-Resource-Policy", SNUG_LIT("cross-origin"));
}

snug_status api_need_open_gate(api_call *c, snug_err *err)
{
    const hub_repo_id *id = &c->info->id;
    bool               open;
    hub_access_request mine = {.status = HUB_ACCESS_NONE};
    snug_status        st = hub_may_pass_gate(c->hub, &c->who, c->info, &open, err);
    if (st != SNUG_OK || open) return st;
    if (c->who.user_id == 0)
        return snug_fail_code(
            err, SNUG_EUNAUTH, "GatedRepo",
            "Access to %s %s/%s is restricted. You must have access to it and be authenticated to "
            "access it. Please log in.",
            hub_type_name(id->type), id->ns, id->name);
    st = hub_find_access(c->hub, &c->who, c->info, c->a, &mine, err);
    if (st != SNUG_OK) return st;
    if (mine.status == HUB_ACCESS_PENDING) {
        char since[25];
        snug_time_iso(mine.created_ms, since);
        return snug_fail_code(
            err, SNUG_EFORBIDDEN, "GatedRepo",
            "Your request to access %s %s/%s is pending since %s: its authors have "
            "not answered yet. Visit %.*s",
            hub_type_name(id->type), id->ns, id->name, since, SNUG_SLICE(api_repo_url(c, id)));
    }
    if (mine.status == HUB_ACCESS_REJECTED)
        return snug_fail_code(err, SNUG_EFORBIDDEN, "GatedRepo",
                              "Your request to access %s %s/%s was rejected by its authors%s%.*s",
                              hub_type_name(id->type), id->ns, id->name,
                              mine.reason.len > 0 ? ": " : "", SNUG_SLICE(mine.reason));
    return snug_fail_code(err, SNUG_EFORBIDDEN, "GatedRepo",
                          "Access to %s %s/%s is restricted and you are not in the authorized "
                          "list. Visit %.*s to ask "
                          "for access.",
                          hub_type_name(id->type), id->ns, id->name,
                          SNUG_SLICE(api_repo_url(c, id)));
}

/* A client that fetches chunks itself asks for the name of the file in place of its bytes. */
static bool wants_file_info(http_req *rq)
{
    return snug_find(http_req_header(rq, "Accept"),
                     SNUG_LIT("application/vnd.xet-fileinfo+json")) != SIZE_MAX;
}

static void reply_file_info(api_call *c, snug_slice commit, const hub_object *o, const char *etag)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(API_CURSOR_MAX);
    snug_json_out j = snug_json_out_init(&b);
    api_xet_names names;
    api_name_xet(c, commit, &o->file, &names);
    snug_jo_begin_object(&j);
    snug_jo_kcstr(&j, "hash", names.hash);
    snug_jo_kstr(&j, "refreshUrl", names.refresh);
    snug_jo_kstr(&j, "reconstructionUrl", names.reconstruction);
    snug_jo_key(&j, "etag");
    snug_jo_strf(&j, "\"%s\"", etag);
    snug_jo_ku64(&j, "size", o->size);
    snug_jo_end_object(&j);
    http_set_headerf(c->rs, "ETag", "\"%s\"", etag);
    http_reply_bytes(c->rs, SNUG_LIT("application/vnd.xet-fileinfo+json"), &b);
}

static snug_status reply_object(api_call *c, const vcs_entry *e, snug_slice commit, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_object  o;
    blob_id     id = {e->lfs.oid};
    char        hex[65];

    blob_id_hex(&id, hex);
    st = hub_find_object(c->hub, c->info->row, &id, c->a, &o, err);
    if (st == SNUG_ENOTFOUND)
        return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound",
                              "The object %s of this file is not stored here", hex);
    if (st != SNUG_OK) return st;
    http_set_headerf(c->rs, "X-Linked-Etag", "\"%s\"", hex);
    http_set_headerf(c->rs, "X-Linked-Size", "%" PRIu64, o.size);
    if (o.is_named && o.size > 0) {
        api_set_xet_links(c, commit, &o.file);
        http_set_header(c->rs, "Vary", SNUG_LIT("Accept"));
        if (wants_file_info(c->rq)) {
            reply_file_info(c, commit, &o, hex);
            return SNUG_OK;
        }
    }
    return api_send_object(c->app, c->rq, c->rs, &o, media_of(e->path), err);
}

static snug_status reply_git_blob(api_call *c, const vcs_entry *e, snug_slice media, snug_err *err)
{
    char        hex[41];
    snug_slice  bytes;
    snug_buf    b = snug_buf_init(API_GIT_BLOB_MAX);
    snug_status st = vcs_read_blob(c->git, &e->oid, API_GIT_BLOB_MAX, c->a, &bytes, err);
    if (st != SNUG_OK) return st;
    snug_buf_put_slice(&b, bytes);
    vcs_oid_hex(&e->oid, hex);
    snug_slice etag = snug_arena_printf(c->a, "\"%s\"", hex);
    http_reply_content(c->rq, c->rs, media, etag, -1, &b, bytes.len);
    snug_buf_deinit(&b);
    return SNUG_OK;
}

static snug_status serve(http_req *rq, http_res *rs, bool raw, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    vcs_oid     commit;
    vcs_entry   e;
    snug_slice  path;
    char        hex[41];

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_need_open_gate(&c, err));
    SNUG_TRY(api_path_file(&c, &commit, &path, err));
    vcs_oid_hex(&commit, hex);
    http_set_header(rs, "X-Repo-Commit",
                    snug_str(hex)); /* also on "no such file": clients remember it */
    SNUG_TRY(vcs_find_entry(c.git, &commit, path, c.a, &e, err));
    if (e.kind != VCS_FILE && e.kind != VCS_SYMLINK)
        SNUG_TRY(snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "%.*s is a folder",
                                SNUG_SLICE(snug_sub(path, 0, 300))));
    set_disposition(&c, path);
    set_safety(rs);
    /* A commit's file never changes; a branch's may, and the etag tells. Private bytes stay out of
     * shared caches. */
    http_set_header(rs, "Cache-Control",
                    c.info->visibility == HUB_PUBLIC
                        ? SNUG_LIT("public, max-age=0, must-revalidate")
                        : SNUG_LIT("private, no-cache"));
    if (e.lfs.is_lfs && !raw)
        SNUG_TRY(reply_object(&c, &e, snug_str(hex), err));
    else
        SNUG_TRY(reply_git_blob(&c, &e,
                                raw ? SNUG_LIT("text/plain; charset=utf-8") : media_of(path), err));
    if (!raw) hub_count_file(c.hub, c.info, path, http_req_remote(rq), snug_now_ms());
done:
    api_done(&c);
    return st;
}

snug_status api_resolve(http_req *rq, http_res *rs, snug_err *err)
{
    return serve(rq, rs, false, err);
}
snug_status api_raw(http_req *rq, http_res *rs, snug_err *err) { return serve(rq, rs, true, err); }
