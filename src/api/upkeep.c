/* SPDX-License-Identifier: Apache-2.0 */
/* api/upkeep.c - repositories as wholes: squash, duplicate, large objects, what one owns; tags.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

enum { OWN_PAGE = 100, LFS_PAGE = 100, PAGE_MAX = 1000, DROP_MAX = 1000, SHARE_MAX = 500 };

static void reply_done(http_res *rs)
{
    http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                      SNUG_LIT("{\"success\":true}"));
}

snug_status api_super_squash(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_slice  rev;
    snug_json   body = {NULL};

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_WRITE, &here, err));
    if (!here) goto done;
    if (http_req_body(rq).len > 0) SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(api_path_rev(&c, &rev, err));
    SNUG_TRY(hub_squash_branch(c.hub, &c.who, c.repo, rev,
                               snug_json_str_or(body, "message", SNUG_EMPTY), err));
    reply_done(rs);
done:
    api_done(&c);
    return st;
}

snug_status api_duplicate(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    snug_json     body;
    hub_repo_info made;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_need_open_gate(&c, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    hub_new_repo want = {.visibility = c.info->visibility, .sdk = c.info->sdk, .from = c.repo};
    SNUG_TRY(api_need_full_id(body, "repository", c.id.type, &want.id, err));
    SNUG_TRY(api_read_visibility(body, c.info->visibility, &want.visibility, err));
    st = hub_create_repo(c.hub, &c.who, &want, c.a, &made, err);
    if (st == SNUG_ECONFLICT) {
        st = api_reply_exists(&c, want.id, err);
        goto done;
    }
    if (st != SNUG_OK) goto done;
    SNUG_TRY(api_reply_created(&c, &made, err));
done:
    api_done(&c);
    return st;
}

/* ---- large objects ---- */

snug_status api_lfs_files(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    uint64_t      limit;
    hub_lfs_file *list;
    size_t        count;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_slice    after = http_req_query(rq, "cursor", 0);
    blob_id       place;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_query_u64(&c, "limit", LFS_PAGE, 1, PAGE_MAX, &limit, err));
    if (after.len > 0 && !blob_id_parse(after, &place))
        SNUG_FAIL(err, SNUG_EINVAL, "\"cursor\" does not belong to this list");
    SNUG_TRY(hub_list_lfs(c.hub, &c.who, c.repo, after, (size_t)limit, c.a, &list, &count, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
        snug_jo_begin_object(&o);
        snug_jo_kstr(&o, "fileOid", list[i].oid);
        snug_jo_kstr(&o, "filename", list[i].path.len > 0 ? list[i].path : list[i].oid);
        snug_jo_kstr(&o, "oid", list[i].oid);
        api_jo_time(&o, "pushedAt", list[i].created_ms);
        snug_jo_ku64(&o, "size", list[i].size);
        if (list[i].path.len > 0) snug_jo_kcstr(&o, "ref", "main");
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    if (count == limit) api_set_next(&c, "cursor", list[count - 1].oid);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

snug_status api_lfs_files_batch(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_json   body;
    size_t      n = 0;
    blob_id    *oids;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_WRITE, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_read_json(&c, &body, err));
    snug_json deletions = snug_json_get(body, "deletions"), list = snug_json_get(deletions, "sha");
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) > DROP_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "\"deletions.sha\" must be an array of at most %d",
                  (int)DROP_MAX);
    oids = snug_arena_alloc(c.a, (snug_json_count(list) + 1) * sizeof *oids);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        snug_slice text;
        if (!snug_json_to_str(it.value, &text) || !blob_id_parse(text, &oids[n++]))
            SNUG_FAIL(err, SNUG_EINVAL, "\"deletions.sha\" must hold SHA-256 as hex");
    }
    SNUG_TRY(hub_drop_lfs(c.hub, &c.who, c.repo, oids, n,
                          snug_json_bool_or(deletions, "rewriteHistory", false), err));
    reply_done(rs);
done:
    api_done(&c);
    return st;
}

static snug_status share_one(api_call *c, const hub_repo_id *to, snug_json file, snug_json_out *o,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text;
    blob_id     oid;
    bool        ok = false;

    SNUG_TRY(snug_json_need_str(file, "sha256", &text, err));
    if (!blob_id_parse(text, &oid)) SNUG_FAIL(err, SNUG_EINVAL, "\"sha256\" must be 64 hex digits");
    if (hub_has_lfs(c->hub, c->info->row, &oid, NULL))
        SNUG_TRY(hub_share_lfs(c->hub, &c->who, to, &oid, &ok, err));
    if (ok) goto done;
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "sha256", text);
    snug_jo_kcstr(o, "error", "There is no such file here");
    snug_jo_end_object(o);
done:
    return st;
}

snug_status api_lfs_files_share(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    snug_json     body;
    hub_repo_id   to;
    hub_type      type;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_need_open_gate(&c, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    snug_json target = snug_json_get(body, "target"), files = snug_json_get(body, "files");
    if (!hub_type_parse(snug_json_str_or(target, "type", SNUG_LIT("model")), &type))
        SNUG_FAIL(err, SNUG_EINVAL, "\"target.type\" must be model, dataset or space");
    SNUG_TRY(api_need_full_id(target, "name", type, &to, err));
    if (!snug_json_is(files, SNUG_JSON_ARRAY) || snug_json_count(files) > SHARE_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "\"files\" must be an array of at most %d", (int)SHARE_MAX);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "failed");
    snug_jo_begin_array(&o);
    for (snug_json_iter it = snug_json_iter_of(files); snug_json_next(&it);)
        SNUG_TRY(share_one(&c, &to, it.value, &o, err));
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

/* ---- what one owns ---- */

snug_status api_own_repos(http_req *rq, http_res *rs, snug_err *err)
{
    static const char *const visible[] = {"public", "private", "internal"};
    snug_status              st = SNUG_OK;
    api_call                 c;
    uint64_t                 after, limit;
    hub_repo_info           *list;
    size_t                   count;
    snug_buf                 b = snug_buf_init(API_JSON_MAX);
    snug_json_out            o = snug_json_out_init(&b);
    snug_slice               ns = http_req_param(rq, "org");

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (ns.len == 0) ns = c.who.name;
    SNUG_TRY(api_query_u64(&c, "limit", OWN_PAGE, 1, PAGE_MAX, &limit, err));
    SNUG_TRY(api_query_u64(&c, "cursor", 0, 0, INT32_MAX, &after, err));
    SNUG_TRY(
        hub_list_owned(c.hub, &c.who, ns, (int64_t)after, (size_t)limit, c.a, &list, &count, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
        snug_jo_begin_object(&o);
        snug_jo_key(&o, "id");
        snug_jo_strf(&o, "%s/%s", list[i].id.ns, list[i].id.name);
        snug_jo_kcstr(&o, "type", hub_type_name(list[i].id.type));
        api_jo_time(&o, "updatedAt", list[i].modified_ms);
        snug_jo_kcstr(&o, "visibility", visible[list[i].visibility]);
        snug_jo_ku64(&o, "storage", list[i].used_storage);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    if (count == limit)
        api_set_next(&c, "cursor", snug_arena_printf(c.a, "%lld", (long long)list[count - 1].row));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- tags by kind ---- */

static bool is_one_of(snug_slice s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_str(s, list[i])) return true;
    }
    return false;
}

static snug_slice kind_of(snug_slice tag, hub_type type)
{
    static const char *const prefixes[] = {"license",
                                           "language",
                                           "dataset",
                                           "region",
                                           "base_model",
                                           "task_categories",
                                           "task_ids",
                                           "size_categories",
                                           "format",
                                           "modality",
                                           "multilinguality",
                                           "annotations_creators",
                                           "language_creators",
                                           "source_datasets",
                                           "library",
                                           "benchmark",
                                           "arxiv",
                                           "doi"};
    static const char *const libraries[] = {
        "transformers", "diffusers", "safetensors", "gguf",    "onnx",
        "pytorch",      "tf",        "jax",         "keras",   "timm",
        "peft",         "spacy",     "flair",       "mlx",     "fastai",
        "nemo",         "openvino",  "joblib",      "sklearn", "sentence-transformers"};
    size_t colon = snug_index(tag, ':');
    if (colon != SIZE_MAX) {
        snug_slice head = snug_sub(tag, 0, colon);
        if (is_one_of(head, prefixes, sizeof prefixes / sizeof prefixes[0])) return head;
    }
    if (type == HUB_MODEL && hub_task_known(tag)) return SNUG_LIT("pipeline_tag");
    if (is_one_of(tag, libraries, sizeof libraries / sizeof libraries[0]))
        return SNUG_LIT("library");
    return SNUG_LIT("other");
}

static void put_kind(snug_json_out *o, snug_slice kind, const hub_tag *tags, size_t n,
                     hub_type type)
{
    snug_jo_key_slice(o, kind);
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) {
        if (!snug_eq(kind_of(tags[i].tag, type), kind)) continue;
        size_t     colon = snug_index(tags[i].tag, ':');
        snug_slice label = colon == SIZE_MAX || snug_eq_str(kind, "other")
                               ? tags[i].tag
                               : snug_sub(tags[i].tag, colon + 1, tags[i].tag.len);
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "id", tags[i].tag);
        snug_jo_kstr(o, "label", label);
        snug_jo_kstr(o, "type", kind);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
}

snug_status api_tags_by_type(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c = {.rq = rq, .rs = rs, .app = http_req_app(rq), .a = http_req_arena(rq)};
    hub_type type = snug_starts_with(http_req_path(rq), "/api/datasets") ? HUB_DATASET : HUB_MODEL;
    hub_tag *tags;
    size_t   count, kinds = 0;
    snug_slice    seen[32];
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    c.hub = c.app->hub; /* anyone may ask, and nobody is told more than anyone */
    SNUG_TRY(hub_list_tags(c.hub, type, c.a, &tags, &count, err));
    snug_jo_begin_object(&o);
    for (size_t i = 0; i < count; i++) {
        snug_slice kind = kind_of(tags[i].tag, type);
        bool       known = false;
        for (size_t k = 0; k < kinds; k++) known = known || snug_eq(seen[k], kind);
        if (known || kinds == sizeof seen / sizeof seen[0]) continue;
        seen[kinds++] = kind;
        put_kind(&o, kind, tags, count, type);
    }
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}
