/* SPDX-License-Identifier: Apache-2.0 */
/* api/api_int.h - what the families of endpoints share.
 *
 * For:     this folder, its tests and fuzz targets. */
#ifndef SNUG_API_API_INT_H
#define SNUG_API_API_INT_H

#include "api/api.h"

#define ZLIB_CONST
#include <zlib.h>

enum {
    API_JSON_MAX = 64 << 20, /* bytes of one JSON answer */
    API_CURSOR_MAX = 8192,
    API_TREE_PAGE = 1000,
    API_TREE_PAGE_EXPAND = 50, /* a page with lastCommit walks history */
    API_PATHS_MAX = 1000,
    API_PREUPLOAD_MAX = 1000,
    API_LFS_BATCH_MAX = 1000,
    API_COMMIT_LINE_MAX = 32 << 20,
    API_XET_LINK_S = 2 * 3600,
    API_FETCHES_MAX = 16,          /* git fetches served at a time ... */
    API_FETCHES_WAIT_MAX = 256,    /* ... and waiting for their turn */
    API_FETCH_BODY_MAX = 16 << 20, /* what a fetch asks, as sent ... */
    API_FETCH_ASK_MAX = 64 << 20,  /* ... and inflated */
    API_REFS_MAX = 64 << 20,       /* bytes of one list of refs */
    API_GIT_BLOB_MAX = 64 << 20    /* a file kept in git itself, served from memory */
};
#define API_COMMIT_BODY_MAX (UINT64_C(4) << 30)
#define API_LFS_OBJECT_MAX (UINT64_C(1) << 40)
#define API_PACK_MAX (UINT64_C(8) << 30) /* one push */

/* ---- call.c: one request ---- */
typedef struct api_call {
    http_req            *rq;
    http_res            *rs;
    api_app             *app;
    hub                 *hub;
    snug_arena          *a;
    hub_actor            who;
    int64_t              only_row; /* logged in by SSH for this repository; 0: for all */
    hub_repo_id          id;
    hub_repo            *repo; /* api_done() closes it */
    const hub_repo_info *info; /* in the request's arena: survives api_close_repo */
    vcs_repo            *git;
} api_call;

/* Fills the call and finds out who asks. */
snug_status api_begin(api_call *c, http_req *rq, http_res *rs, snug_err *err) SNUG_MUST_USE;
/* api_begin, then the repository named by the path. *here is false when the answer was already
 * given: a redirect to where the repository lives now. */
snug_status api_open(api_call *c, http_req *rq, http_res *rs, hub_role need, bool *here,
                     snug_err *err) SNUG_MUST_USE;
/* Gives the git handle back early: before a long upload or download. */
void api_close_repo(api_call *c);
void api_done(api_call *c);
/* Absent or not to be seen, in the words stock clients know. */
snug_status api_fail_absent(const api_call *c, snug_err *err);

snug_status api_read_json(api_call *c, snug_json *out, snug_err *err) SNUG_MUST_USE;
/* The rest of the path as a revision ("refs%2Fpr%2F1" and "refs/pr/1" alike), resolved. */
snug_status api_path_rev(api_call *c, snug_slice *rev, snug_err *err) SNUG_MUST_USE;
/* The rest of the path as revision, commit and path inside it. */
snug_status api_path_file(api_call *c, vcs_oid *commit, snug_slice *path,
                          snug_err *err) SNUG_MUST_USE;
/* "https://host/datasets/ns/name" */
snug_slice api_repo_url(api_call *c, const hub_repo_id *id);
/* Link: <this URL with key=value>; rel="next" */
void        api_set_next(api_call *c, const char *key, snug_slice value);
snug_status api_reply_json(api_call *c, snug_buf *buf,
                           snug_err *err) SNUG_MUST_USE; /* takes buf's bytes */
/* A query value as a bounded number. */
snug_status api_query_u64(api_call *c, const char *name, uint64_t dflt, uint64_t min, uint64_t max,
                          uint64_t *out, snug_err *err) SNUG_MUST_USE;
void        api_jo_time(snug_json_out *o, const char *key, int64_t ms);
void        api_jo_oid(snug_json_out *o, const char *key, const vcs_oid *oid);

/* ---- lines.c: the operations of a commit, line by line ---- */
typedef enum api_op_kind {
    API_OP_HEADER,
    API_OP_FILE,
    API_OP_LFS,
    API_OP_DELETE_FILE,
    API_OP_DELETE_FOLDER,
    API_OP_COPY
} api_op_kind;

typedef struct api_op {
    api_op_kind kind;
    snug_slice  path, old_path;
    snug_slice  summary, description, parent; /* header */
    snug_slice  content;                      /* file: decoded; ptr NULL: a mere rename */
    blob_id     oid;                          /* lfs */
    uint64_t    size;
    bool        has_size;
    snug_slice  src_path, src_rev; /* copy */
} api_op;

/* Called once per line; slices end with the call. */
typedef snug_status api_op_fn(void *arg, const api_op *op, snug_err *err);

typedef struct api_lines {
    snug_buf    line, content;
    snug_arena *a;
    uint64_t    number; /* of the line being read, from 1 */
    bool        has_header;
    api_op_fn  *take;
    void       *arg;
} api_lines;

api_lines api_lines_init(size_t line_max, api_op_fn *take, void *arg);
void      api_lines_deinit(api_lines *l);
/* Bytes in any cut. Errors of the text are SNUG_EINVAL "line 3: ..."; those of `take` pass as they
 * are. */
snug_status api_lines_feed(api_lines *l, snug_slice bytes, snug_err *err) SNUG_MUST_USE;
snug_status api_lines_end(api_lines *l, snug_err *err) SNUG_MUST_USE;

/* ---- gunzip.c: a request body that may be compressed ---- */
typedef struct api_gunzip {
    snug_status (*pull)(void *arg, void *p, size_t n, size_t *got, snug_err *err);
    void         *arg;
    z_stream      z;
    bool          on, ended;
    uint64_t      left; /* bytes that may still come out */
    unsigned char in[16 << 10];
} api_gunzip;
/* `encoding` is the Content-Encoding header: gzip, or nothing. At most `max` bytes come out. */
snug_status api_gunzip_init(api_gunzip *g, snug_slice encoding, uint64_t max,
                            snug_status (*pull)(void *, void *, size_t, size_t *, snug_err *),
                            void *arg, snug_err *err) SNUG_MUST_USE;
void        api_gunzip_deinit(api_gunzip *g);
/* The same shape as its source. SNUG_EINVAL for broken data, SNUG_ELIMIT for too much of it. */
snug_status api_gunzip_read(void *gunzip, void *p, size_t n, size_t *got,
                            snug_err *err) SNUG_MUST_USE;

/* ---- git.c ---- */
bool api_is_git(http_req *rq); /* a path of git's own protocol: errors are plain text */

/* ---- render.c: a repository as JSON ---- */
enum {
    API_SHAPE_INFO = 1u,
    API_SHAPE_LIST = 2u,
    API_SHAPE_FULL = 4u,
    API_SHAPE_CARD = 8u,
    API_SHAPE_CONFIG = 16u,
    API_SHAPE_LINKED = 32u
};

typedef struct api_render {
    hub                 *hub;
    snug_arena          *a;
    const hub_repo_info *info;
    vcs_repo            *git;    /* NULL: keys that need files are left out */
    vcs_oid              commit; /* what `sha` and siblings speak of */
    bool                 blobs, security;
    unsigned             shape;  /* API_SHAPE_*, 0 with expand */
    uint64_t             expand; /* bit per key of the table, 0: the shape decides */
} api_render;

/* Reads expand=...; SNUG_EINVAL naming the valid ones. */
snug_status api_parse_expand(http_req *rq, hub_type type, uint64_t *out,
                             snug_err *err) SNUG_MUST_USE;
bool        api_render_needs_git(const api_render *r);
snug_status api_put_repo(api_render *r, snug_json_out *o, snug_err *err) SNUG_MUST_USE;

/* ---- cache.c ---- */
api_cache *api_cache_new(void);
void       api_cache_free(api_cache *c);
/* Copies the answer rendered at this epoch into `out`. */
bool api_cache_get(api_cache *c, snug_slice key, uint64_t epoch, snug_buf *out);
void api_cache_put(api_cache *c, snug_slice key, uint64_t epoch, snug_slice body);

/* ---- tree.c ---- */
/* xet NULL: the entry has no Xet name. */
void api_put_entry(snug_json_out *o, const vcs_entry *e, const xet_hash *xet,
                   const vcs_commit *last);

/* ---- send.c ---- */
api_jobs *api_jobs_new(void);
void      api_jobs_free(api_jobs *j); /* waits for them: stop the server first */
/* Runs it in a thread of its own; false when too many are running. */
bool api_jobs_start(api_jobs *j, void (*run)(void *), void *arg) SNUG_MUST_USE;
/* The object as an answer, with Range, HEAD and conditions; its tag is the SHA-256. */
snug_status api_send_object(api_app *app, http_req *rq, http_res *rs, const hub_object *o,
                            snug_slice media, snug_err *err) SNUG_MUST_USE;

/* ---- resolve.c ---- */
/* Files of a gated repository are for those let in. */
snug_status api_need_open_gate(api_call *c, snug_err *err) SNUG_MUST_USE;

/* ---- xet.c ---- */
typedef struct api_ticket {
    snug_slice cas_url, token, expires, refresh; /* expires: unix seconds */
} api_ticket;
/* rev empty: for a pull request about to be opened. */
snug_status api_new_ticket(api_call *c, hub_role scope, snug_slice rev, api_ticket *out,
                           snug_err *err) SNUG_MUST_USE;
snug_slice  api_cas_url(api_call *c);
typedef struct api_xet_names {
    char       hash[65];
    snug_slice refresh, reconstruction; /* addresses */
} api_xet_names;
void api_name_xet(api_call *c, snug_slice commit, const xet_hash *file, api_xet_names *out);
/* X-Xet-Hash and the links by which a client fetches the chunks itself. */
void        api_set_xet_links(api_call *c, snug_slice commit, const xet_hash *file);
snug_status api_read_ticket(http_req *rq, hub_role need, snug_arena *a, hub_ticket *out,
                            snug_err *err) SNUG_MUST_USE;
/* The ticket, and {hash} of the path unless NULL. */
snug_status api_xet_begin(http_req *rq, hub_role need, hub_ticket *t, xet_hash *hash,
                          snug_err *err) SNUG_MUST_USE;

/* "<" becomes "&lt;" and so on. */
void api_html_escape(snug_buf *b, snug_slice s);

/* ---- routes_community.c ---- */
typedef struct api_table {
    const http_route *rows; /* NULL: the end */
    size_t            count;
} api_table;
extern const api_table api_community_tables[], api_more_tables[];

http_handler api_list_discussions, api_open_discussion, api_get_discussion, api_comment;
http_handler api_rename_discussion, api_discussion_status, api_merge_pull;
http_handler api_edit_comment, api_hide_comment;
http_handler api_like, api_likers, api_user_likes, api_user_overview, api_followers, api_following;
http_handler api_org_overview, api_org_followers, api_org_members, api_follow, api_avatar;

http_handler api_list_access, api_handle_access, api_grant_access, api_ask_access;

http_handler api_super_squash, api_duplicate, api_lfs_files, api_lfs_files_batch;
http_handler api_lfs_files_share, api_own_repos, api_tags_by_type;
http_handler api_repo_storage, api_server_storage;

http_handler api_list_collections, api_create_collection, api_get_collection, api_edit_collection;
http_handler api_drop_collection, api_collection_group, api_add_item, api_edit_item, api_drop_item;

/* ---- ssh_keys.c ---- */
enum { API_SSH_ROUTES = 3 };
extern const http_route api_ssh_routes[API_SSH_ROUTES];

/* ---- repos.c ---- */
/* "ns/name" of a body. */
snug_status api_need_full_id(snug_json body, const char *key, hub_type type, hub_repo_id *out,
                             snug_err *err) SNUG_MUST_USE;
/* `visibility` wins over the older `private`; neither given: the default. */
snug_status api_read_visibility(snug_json body, hub_visibility dflt, hub_visibility *out,
                                snug_err *err) SNUG_MUST_USE;
/* The answer to making a repository, and to finding it there already. */
snug_status api_reply_created(api_call *c, const hub_repo_info *made, snug_err *err) SNUG_MUST_USE;
snug_status api_reply_exists(api_call *c, hub_repo_id id, const snug_err *err) SNUG_MUST_USE;

/* ---- social.c ---- */
void api_put_avatar(api_call *c, snug_json_out *o, snug_slice name);

/* ---- handlers; what each answers is in routes.c ---- */
http_handler api_whoami, api_auth_check, api_auth_check_write;
http_handler api_create_repo, api_delete_repo, api_move_repo, api_put_settings;
http_handler api_info, api_info_fast, api_info_rev, api_list;
http_handler api_list_hooks, api_create_hook, api_get_hook, api_edit_hook, api_drop_hook;
http_handler api_enable_hook, api_disable_hook, api_list_deliveries, api_replay_delivery;
http_handler api_quick_search, api_text_search, api_space_search;
http_handler api_tree, api_paths_info, api_refs, api_commits;
http_handler api_create_branch, api_delete_branch, api_create_tag, api_delete_tag;
http_handler api_preupload, api_commit, api_validate_yaml;
http_handler api_resolve, api_raw;
http_handler api_lfs_batch, api_lfs_verify;
http_handler api_lock_create, api_lock_list, api_lock_verify, api_lock_remove;
http_handler api_lfs_put, api_lfs_put_part, api_lfs_complete, api_lfs_get;
http_handler api_xet_read_token, api_xet_write_token, api_xorb_post, api_xorb_head;
http_handler api_xet_file_head, api_chunk_get, api_shard_post, api_shard_post_v2;
http_handler api_reconstruct_v1, api_reconstruct_v2, api_reconstruct_many, api_xorb_bytes;
http_handler api_git_refs, api_git_fetch, api_git_push;
http_handler api_health, api_metrics, api_openapi, api_telemetry, api_agent_harnesses, api_tasks;
http_handler api_not_here;

#endif
