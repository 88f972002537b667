/* SPDX-License-Identifier: Apache-2.0 */
/* api/tree.c - what is in a commit: listings page by page, and single paths.
 *
 * A cursor is "<commit>:<path>": the pages of one listing speak of one commit, whatever happens to
 * the branch meanwhile.
 *
 * For:     routes.c. */
#include "api/api_int.h"

static void put_last(snug_json_out *o, const vcs_commit *last)
{
    snug_jo_key(o, "lastCommit");
    snug_jo_begin_object(o);
    api_jo_oid(o, "id", &last->id);
    snug_jo_kstr(o, "title", last->title);
    api_jo_time(o, "date", last->when_ms);
    snug_jo_end_object(o);
}

void api_put_entry(snug_json_out *o, const vcs_entry *e, const xet_hash *xet,
                   const vcs_commit *last)
{
    char hex[65];
    bool is_dir = e->kind == VCS_DIR || e->kind == VCS_SUBMODULE;
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", is_dir ? "directory" : "file");
    api_jo_oid(o, "oid", &e->oid);
    snug_jo_ku64(o, "size", is_dir ? 0 : e->size);
    if (e->lfs.is_lfs) {
        snug_hex(e->lfs.oid.b, sizeof e->lfs.oid.b, hex);
        snug_jo_key(o, "lfs");
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "oid", hex);
        snug_jo_ku64(o, "size", e->lfs.size);
        snug_jo_ku64(o, "pointerSize", e->lfs.pointer_size);
        snug_jo_end_object(o);
    }
    if (xet != NULL) {
        xet_hash_text(xet, hex);
        snug_jo_kcstr(o, "xetHash", hex);
    }
    snug_jo_kstr(o, "path", e->path);
    if (last != NULL) put_last(o, last);
    snug_jo_end_object(o);
}

/* An array of entries, with the commit that last touched each if asked. */
static snug_status put_entries(api_call *c, const vcs_oid *commit, const vcs_entry *list, size_t n,
                               bool expand, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_commit *last = NULL;

    if (expand && n > 0) {
        snug_slice *paths = snug_arena_array_try(c->a, n, sizeof *paths);
        last = snug_arena_array_try(c->a, n, sizeof *last);
        if (paths == NULL || last == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) paths[i] = list[i].path;
        SNUG_TRY(vcs_last_commits(c->git, commit, paths, n, c->a, last, err));
    }
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) {
        xet_hash xet;
        blob_id  oid = {list[i].lfs.oid};
        bool     has = list[i].lfs.is_lfs && list[i].lfs.size > 0 &&
                   hub_find_xet_hash(c->hub, c->info->row, &oid, &xet);
        api_put_entry(o, &list[i], has ? &xet : NULL, last != NULL ? &last[i] : NULL);
    }
    snug_jo_end_array(o);
done:
    return st;
}

/* Continues where the cursor stands; without one *after stays empty. */
static snug_status read_cursor(api_call *c, vcs_oid *commit, snug_slice *after, snug_err *err)
{
    snug_slice text = http_req_query(c->rq, "cursor", 0), hex;
    *after = SNUG_EMPTY;
    if (text.len == 0) return SNUG_OK;
    if (text.len > API_CURSOR_MAX || !snug_split(&text, ':', &hex) || text.len == 0 ||
        !vcs_oid_parse(hex, commit))
        return snug_fail(err, SNUG_EINVAL, "the cursor is not one of ours");
    *after = text;
    return SNUG_OK;
}

static void set_next_page(api_call *c, const vcs_oid *commit, snug_slice last)
{
    char hex[41];
    vcs_oid_hex(commit, hex);
    api_set_next(c, "cursor", snug_arena_printf(c->a, "%s:%.*s", hex, SNUG_SLICE(last)));
}

snug_status api_tree(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here, more = false;
    vcs_oid       commit;
    snug_slice    path, after;
    vcs_entry    *list = NULL;
    size_t        count = 0;
    uint64_t      limit;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    bool     expand = http_req_query_bool(rq, "expand", false);
    bool     recursive = http_req_query_bool(rq, "recursive", false);
    uint64_t most = expand ? API_TREE_PAGE_EXPAND : API_TREE_PAGE;
    SNUG_TRY(api_query_u64(&c, "limit", most, 1, most, &limit, err));
    SNUG_TRY(api_path_file(&c, &commit, &path, err));
    SNUG_TRY(read_cursor(&c, &commit, &after, err));
    SNUG_TRY(vcs_list_tree(c.git, &commit, path, recursive, after, (size_t)limit, c.a, &list,
                           &count, &more, err));
    SNUG_TRY(put_entries(&c, &commit, list, count, expand, &o, err));
    if (more && count > 0) set_next_page(&c, &commit, list[count - 1].path);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

/* ---- paths-info: form or JSON ---- */

typedef struct path_list {
    snug_slice paths[API_PATHS_MAX];
    size_t     count;
    bool       expand;
} path_list;

static snug_status add_path(path_list *l, snug_slice path, snug_err *err)
{
    if (l->count == API_PATHS_MAX)
        return snug_fail(err, SNUG_EINVAL, "at most %d paths at once", (int)API_PATHS_MAX);
    while (snug_ends_with(path, "/")) path.len--;
    l->paths[l->count++] = path;
    return SNUG_OK;
}

static bool is_yes(snug_slice s)
{
    return snug_eq_nocase(s, SNUG_LIT("true")) || snug_eq_str(s, "1");
}

static snug_status read_form(api_call *c, path_list *l, snug_err *err)
{
    snug_slice body = http_req_body(c->rq), pair, name, value;
    while (body.len > 0 && snug_split(&body, '&', &pair)) {
        size_t eq = snug_index(pair, '=');
        if (eq == SIZE_MAX) continue;
        if (!snug_percent_decode(c->a, snug_sub(pair, 0, eq), true, &name) ||
            !snug_percent_decode(c->a, snug_sub(pair, eq + 1, pair.len), true, &value))
            return snug_fail(err, SNUG_EINVAL, "the form has a malformed %% escape");
        if (snug_eq_str(name, "expand")) l->expand = is_yes(value);
        if (!snug_eq_str(name, "paths") && !snug_eq_str(name, "paths[]")) continue;
        snug_status st = add_path(l, value, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static snug_status read_json(api_call *c, path_list *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   doc, paths;
    snug_slice  one;

    SNUG_TRY(api_read_json(c, &doc, err));
    l->expand = snug_json_bool_or(doc, "expand", false);
    paths = snug_json_get(doc, "paths");
    if (snug_json_to_str(paths, &one)) return add_path(l, one, err);
    if (!snug_json_is(paths, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EINVAL, "\"paths\" must be an array");
    for (snug_json_iter it = snug_json_iter_of(paths); snug_json_next(&it);) {
        if (!snug_json_to_str(it.value, &one))
            SNUG_FAIL(err, SNUG_EINVAL, "\"paths\" must hold strings");
        SNUG_TRY(add_path(l, one, err));
    }
done:
    return st;
}

/* Those that are there, in the order they were asked for; the rest is silently left out. */
static snug_status find_entries(api_call *c, const vcs_oid *commit, const path_list *l,
                                vcs_entry **out, size_t *count, snug_err *err)
{
    *count = 0;
    *out = snug_arena_array_try(c->a, l->count + 1, sizeof **out);
    if (*out == NULL) return snug_fail(err, SNUG_ENOMEM, "out of memory");
    for (size_t i = 0; i < l->count; i++) {
        if (l->paths[i].len == 0) continue;
        snug_status st = vcs_find_entry(c->git, commit, l->paths[i], c->a, &(*out)[*count], err);
        if (st == SNUG_OK)
            ++*count;
        else if (st != SNUG_ENOTFOUND && st != SNUG_EPAYLOAD && st != SNUG_EINVAL)
            return st;
    }
    return SNUG_OK;
}

snug_status api_paths_info(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    vcs_oid       commit;
    snug_slice    rev;
    vcs_entry    *list = NULL;
    size_t        count = 0;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    path_list *l = SNUG_NEW(c.a, path_list);
    if (snug_starts_with(http_req_header(rq, "Content-Type"), "application/json")) {
        SNUG_TRY(read_json(&c, l, err));
    } else {
        SNUG_TRY(read_form(&c, l, err));
    }
    SNUG_TRY(api_path_rev(&c, &rev, err));
    SNUG_TRY(vcs_resolve_rev(c.git, rev, &commit, err));
    SNUG_TRY(find_entries(&c, &commit, l, &list, &count, err));
    SNUG_TRY(put_entries(&c, &commit, list, count, l->expand, &o, err));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}
