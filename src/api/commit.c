/* SPDX-License-Identifier: Apache-2.0 */
/* api/commit.c - writing: preupload, the commit itself, checks of a card.
 *
 * For:     routes.c. */
#include "api/api_int.h"

#include <stdlib.h>

enum { READ_BYTES = 256 << 10, SAMPLE_MAX = 4096 };

/* ---- commit ---- */

static snug_status take_op(void *arg, const api_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_draft  *d = arg;
    bool        renames = op->old_path.len > 0 && !snug_eq(op->old_path, op->path);

    switch (op->kind) {
    case API_OP_HEADER: return hub_draft_header(d, op->summary, op->description, op->parent, err);
    case API_OP_DELETE_FILE: return hub_draft_delete(d, op->path, false, err);
    case API_OP_DELETE_FOLDER: return hub_draft_delete(d, op->path, true, err);
    case API_OP_COPY: return hub_draft_copy(d, op->src_path, op->src_rev, op->path, err);
    case API_OP_FILE:
        if (op->content.ptr == NULL) return hub_draft_move(d, op->old_path, op->path, err);
        if (renames) SNUG_TRY(hub_draft_delete(d, op->old_path, false, err));
        return hub_draft_file(d, op->path, op->content, err);
    case API_OP_LFS:
        if (renames) SNUG_TRY(hub_draft_delete(d, op->old_path, false, err));
        return hub_draft_lfs(d, op->path, &op->oid, op->has_size ? &op->size : NULL, err);
    }
done:
    return st;
}

static snug_status read_ops(api_call *c, hub_draft *d, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_lines   lines = api_lines_init(c->app->commit_line_max, take_op, d);
    char       *piece = snug_alloc(READ_BYTES);
    size_t      got = 0;

    do {
        SNUG_TRY(http_req_read(c->rq, piece, READ_BYTES, &got, err));
        SNUG_TRY(api_lines_feed(&lines, snug_slice_of(piece, got), err));
    } while (got > 0);
    SNUG_TRY(api_lines_end(&lines, err));
done:
    free(piece);
    api_lines_deinit(&lines);
    return st;
}

static bool proposes(const api_call *c) { return http_req_query_bool(c->rq, "create_pr", false); }

static snug_status land(api_call *c, hub_draft *d, snug_slice rev, int64_t *num,
                        hub_commit_result *made, snug_err *err)
{
    if (proposes(c))
        return hub_propose_draft(c->hub, &c->who, &c->info->id, rev, d, num, made, err);
    return hub_apply_draft(c->hub, &c->who, &c->info->id, rev, d, made, err);
}

snug_status api_commit(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status       st = SNUG_OK;
    api_call          c;
    bool              here;
    snug_slice        rev;
    hub_draft        *d = NULL;
    hub_commit_result made;
    int64_t           num = 0;
    char              hex[41];
    snug_buf          b = snug_buf_init(API_JSON_MAX);
    snug_json_out     o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_path_rev(&c, &rev, err));
    SNUG_TRY(hub_check_upload(c.hub, &c.who, c.info, rev, proposes(&c), err));
    api_close_repo(&c); /* the body may take minutes */
    SNUG_TRY(hub_draft_new(c.hub, &d, err));
    SNUG_TRY(read_ops(&c, d, err));
    SNUG_TRY(land(&c, d, rev, &num, &made, err));
    vcs_oid_hex(&made.oid, hex);
    snug_jo_begin_object(&o);
    snug_jo_kbool(&o, "success", true);
    snug_jo_kcstr(&o, "commitOid", hex);
    snug_jo_key(&o, "commitUrl");
    snug_jo_strf(&o, "%.*s/commit/%s", SNUG_SLICE(api_repo_url(&c, &c.info->id)), hex);
    if (num > 0) {
        snug_jo_key(&o, "pullRequestUrl");
        snug_jo_strf(&o, "%.*s/discussions/%lld", SNUG_SLICE(api_repo_url(&c, &c.info->id)),
                     (long long)num);
    }
    snug_jo_kcstr(&o, "hookOutput", "");
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    hub_draft_free(d);
    snug_buf_deinit(&b);
    return st;
}

/* ---- preupload ---- */

static snug_status read_wish(api_call *c, snug_json v, hub_preupload_file *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf   *sample = SNUG_NEW(c->a, snug_buf);
    snug_slice  coded = snug_json_str_or(v, "sample", SNUG_EMPTY);

    SNUG_TRY(snug_json_need_str(v, "path", &f->path, err));
    SNUG_TRY(snug_json_need_u64(v, "size", &f->size, err));
    if (coded.len == 0) goto done;
    *sample = snug_buf_init(SAMPLE_MAX);
    st = snug_base64_decode(coded, sample, err);
    f->sample =
        snug_arena_dup(c->a, snug_buf_slice(sample)); /* a long one is cut: it is a sample */
    snug_buf_deinit(sample);
done:
    return st;
}

static snug_status read_wishes(api_call *c, snug_json body, hub_preupload_file **out, size_t *n,
                               snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   files = snug_json_get(body, "files");

    if (!snug_json_is(files, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EINVAL, "\"files\" must be an array");
    if (snug_json_count(files) > API_PREUPLOAD_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "at most %d files at once", (int)API_PREUPLOAD_MAX);
    *out = snug_arena_array_try(c->a, snug_json_count(files) + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    *n = 0;
    for (snug_json_iter it = snug_json_iter_of(files); snug_json_next(&it);)
        SNUG_TRY(read_wish(c, it.value, &(*out)[(*n)++], err));
done:
    return st;
}

static void put_answers(snug_json_out *o, const hub_preupload_file *files, size_t n,
                        const vcs_oid *commit)
{
    snug_jo_begin_object(o);
    snug_jo_key(o, "files");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) {
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "path", files[i].path);
        snug_jo_kcstr(o, "uploadMode", files[i].lfs ? "lfs" : "regular");
        snug_jo_kbool(o, "shouldIgnore", files[i].ignore);
        if (files[i].has_oid) snug_jo_kcstr(o, "oid", files[i].oid);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
    api_jo_oid(o, "commitOid", commit);
    snug_jo_end_object(o);
}

snug_status api_preupload(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status         st = SNUG_OK;
    api_call            c;
    bool                here;
    snug_json           body;
    snug_slice          rev;
    hub_preupload_file *files = NULL;
    size_t              n = 0;
    vcs_oid             commit;
    snug_buf            b = snug_buf_init(API_JSON_MAX);
    snug_json_out       o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_path_rev(&c, &rev, err));
    SNUG_TRY(hub_check_upload(c.hub, &c.who, c.info, rev, proposes(&c), err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(read_wishes(&c, body, &files, &n, err));
    SNUG_TRY(hub_preupload(c.repo, rev, snug_json_str_or(body, "gitAttributes", SNUG_EMPTY),
                           snug_json_str_or(body, "gitIgnore", SNUG_EMPTY), files, n, &commit,
                           err));
    put_answers(&o, files, n, &commit);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

/* ---- card checks ---- */

typedef struct findings {
    snug_buf text[2]; /* warnings, errors: arrays without their brackets */
    size_t   count[2];
} findings;

static void take_finding(void *arg, bool is_error, const char *text)
{
    findings     *f = arg;
    snug_buf     *b = &f->text[is_error];
    snug_json_out o = snug_json_out_init(b);
    if (f->count[is_error]++ > 0) snug_buf_putc(b, ',');
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "message", text);
    snug_jo_end_object(&o);
}

snug_status api_validate_yaml(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c = {
           .rq = rq, .rs = rs, .a = http_req_arena(rq)}; /* anyone may ask; nothing is looked up */
    snug_json  body;
    snug_slice content;
    hub_type   type = HUB_MODEL;
    findings   f = {.text = {snug_buf_init(1 << 20), snug_buf_init(1 << 20)}};
    snug_buf   b = snug_buf_init(3 << 20);

    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(snug_json_need_str(body, "content", &content, err));
    (void)hub_type_parse(snug_json_str_or(body, "repoType", SNUG_LIT("model")), &type);
    hub_check_card(content, type, take_finding, &f);
    snug_buf_printf(&b, "{\"warnings\":[%s],\"errors\":[%s]}", snug_buf_cstr(&f.text[0]),
                    snug_buf_cstr(&f.text[1]));
    if (f.count[1] > 0) http_set_status(rs, 400);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&f.text[0]);
    snug_buf_deinit(&f.text[1]);
    snug_buf_deinit(&b);
    return st;
}
