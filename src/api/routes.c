/* SPDX-License-Identifier: Apache-2.0 */
/* api/routes.c - every endpoint of the hub on one page, with what its documentation says.
 *
 * The tables are the router's input and the source of /openapi.json. A new endpoint also needs its
 * exchanges in tests/api.
 *
 * {rest...} is a revision, or a revision and a path: clients send it escaped or bare. */
#include "api/api_int.h"

#define MIB(n) ((uint64_t)(n) << 20)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off: a row is a line here, to be read down its columns */

/* ---- parameters ---- */

#define P_TYPE {"type", "path", "string", "models, datasets or spaces", true, false}
#define P_NS {"ns", "path", "string", "owner: a user or an organisation", true, false}
#define P_NAME {"name", "path", "string", "name of the repository", true, false}
#define P_REV {"rest", "path", "string", "revision: branch, tag, commit or refs/...", true, false}
#define P_FILE {"rest", "path", "string", "revision, then the path of a file", true, false}
#define P_LIMIT {"limit", "query", "integer", "entries per page", false, false}
#define P_CURSOR {"cursor", "query", "string", "Link header of the page before", false, false}
#define P_EXPAND {"expand", "query", "string", "only these keys", false, true}
#define P_END {NULL, NULL, NULL, NULL, false, false}

static const http_param p_none[] = {P_END};
static const http_param p_repo[] = {P_TYPE, P_NS, P_NAME, P_END};
static const http_param p_repo_rev[] = {P_TYPE, P_NS, P_NAME, P_REV, P_END};
static const http_param p_info[] = {
    P_TYPE, P_NS, P_NAME, P_EXPAND,
    {"blobs", "query", "boolean", "sizes and ids of the files", false, false},
    {"securityStatus", "query", "boolean", "state of the scans", false, false},
    P_END};
static const http_param p_info_rev[] = {
    P_TYPE, P_NS, P_NAME, P_REV, P_EXPAND,
    {"blobs", "query", "boolean", "sizes and ids of the files", false, false},
    {"securityStatus", "query", "boolean", "state of the scans", false, false},
    P_END};
static const http_param p_list[] = {
    P_TYPE,
    {"author", "query", "string", "owner", false, false},
    {"search", "query", "string", "part of the id, or word of tags or card; repeated: all of them",
     false, true},
    {"filter", "query", "string", "tag; repeated: all of them", false, true},
    {"pipeline_tag", "query", "string", "task of a model", false, false},
    {"sort", "query", "string",
     "createdAt, lastModified, downloads, likes, trendingScore, num_parameters or id",
     false, false},
    {"num_parameters", "query", "string", "models: min:6B,max:128B, either part", false, false},
    {"apps", "query", "string", "models: a program that can open them", false, true},
    {"inference", "query", "string", "models: warm (none here) or cold", false, false},
    {"inference_provider", "query", "string", "models: a provider (none here)", false, true},
    {"trained_dataset", "query", "string", "models: a data set they were trained on", false, true},
    {"models", "query", "string", "spaces: a model they use", false, true},
    {"datasets", "query", "string", "spaces: a data set they use", false, true},
    {"linked", "query", "boolean", "spaces: also which models and data sets they use", false, false},
    {"full", "query", "boolean", "also sha, siblings, author", false, false},
    {"cardData", "query", "boolean", "also the card's metadata", false, false},
    {"config", "query", "boolean", "also parts of config.json", false, false},
    {"gated", "query", "boolean", "only gated, or only others", false, false},
    P_EXPAND, P_LIMIT, P_CURSOR, P_END};
static const http_param p_tree[] = {
    P_TYPE, P_NS, P_NAME, P_FILE,
    {"recursive", "query", "boolean", "folders below as well", false, false},
    {"expand", "query", "boolean", "the last commit of each entry; smaller pages", false, false},
    P_LIMIT, P_CURSOR, P_END};
static const http_param p_refs[] = {
    P_TYPE, P_NS, P_NAME,
    {"include_prs", "query", "boolean", "refs of pull requests", false, false},
    P_END};
static const http_param p_commits[] = {
    P_TYPE, P_NS, P_NAME, P_REV, P_LIMIT,
    {"p", "query", "integer", "page, from 0", false, false},
    {"expand", "query", "string", "formatted: title and message as HTML", false, true},
    P_END};
static const http_param p_commit[] = {
    P_TYPE, P_NS, P_NAME, {"rest", "path", "string", "branch", true, false}, P_END};
static const http_param p_file[] = {
    P_NS, P_NAME, P_FILE,
    {"download", "query", "boolean", "as an attachment", false, false},
    {"Range", "header", "string", "bytes=first-last", false, false},
    P_END};
static const http_param p_typed_file[] = {
    {"type", "path", "string", "datasets or spaces", true, false}, P_NS, P_NAME, P_FILE,
    {"download", "query", "boolean", "as an attachment", false, false},
    {"Range", "header", "string", "bytes=first-last", false, false},
    P_END};
static const http_param p_web_repo[] = {P_NS, P_NAME, P_END};
static const http_param p_git[] = {
    P_NS, P_NAME,
    {"service", "query", "string", "git-upload-pack or git-receive-pack", true, false},
    {"Git-Protocol", "header", "string", "version=2", false, false},
    P_END};
static const http_param p_git_typed[] = {
    {"type", "path", "string", "datasets or spaces", true, false}, P_NS, P_NAME,
    {"service", "query", "string", "git-upload-pack or git-receive-pack", true, false},
    {"Git-Protocol", "header", "string", "version=2", false, false},
    P_END};
#define P_LOCKS                                                                                    \
    {"path", "query", "string", "only this path", false, false},                                   \
        {"id", "query", "string", "only this lock", false, false}
#define P_LOCK {"id", "path", "integer", "number of the lock", true, false}
static const http_param p_locks[] = {P_NS, P_NAME, P_LOCKS, P_LIMIT, P_CURSOR, P_END};
static const http_param p_locks_typed[] = {
    {"type", "path", "string", "datasets or spaces", true, false}, P_NS, P_NAME, P_LOCKS,
    P_LIMIT, P_CURSOR, P_END};
static const http_param p_lock[] = {P_NS, P_NAME, P_LOCK, P_END};
static const http_param p_lock_typed[] = {
    {"type", "path", "string", "datasets or spaces", true, false}, P_NS, P_NAME, P_LOCK, P_END};
static const http_param p_rest[] = {{"rest", "path", "string", "anything", true, false}, P_END};
#define P_REALM {"realm", "path", "string", "part of casUrl", true, false}
#define P_PREFIX {"prefix", "path", "string", "default", true, false}
static const http_param p_cas[] = {P_REALM, P_END};
static const http_param p_cas_file[] = {
    P_REALM, {"hash", "path", "string", "file", true, false},
    {"Range", "header", "string", "bytes=first-last", false, false},
    P_END};
static const http_param p_cas_many[] = {
    P_REALM, {"file_id", "query", "string", "file", false, true}, P_END};
static const http_param p_cas_hash[] = {
    P_REALM, P_PREFIX, {"hash", "path", "string", "64 hexadecimal digits", true, false}, P_END};
static const http_param p_blob[] = {
    {"row", "path", "integer", "repository", true, false},
    {"oid", "path", "string", "SHA-256", true, false},
    P_END};

/* ---- bodies ---- */

static const char s_object[] = "{\"type\":\"object\"}";
static const char s_array[] = "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}";
static const char s_create[] =
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},"
    "\"organization\":{\"type\":[\"string\",\"null\"]},\"type\":{\"enum\":[\"model\","
    "\"dataset\",\"space\"]},"
    "\"visibility\":{\"enum\":[\"public\",\"private\",\"internal\"]},"
    "\"private\":{\"type\":\"boolean\"},"
    "\"sdk\":{\"enum\":[\"gradio\",\"streamlit\",\"docker\",\"static\"]},"
    "\"license\":{\"type\":\"string\"}}}";
static const char s_created[] =
    "{\"type\":\"object\",\"required\":[\"url\"],\"properties\":{\"url\":{\"type\":\"string\"},"
    "\"name\":{\"type\":\"string\"},\"id\":{\"type\":\"string\"}}}";
static const char s_delete[] =
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},"
    "\"organization\":{\"type\":[\"string\",\"null\"]},\"type\":{\"enum\":[\"model\","
    "\"dataset\",\"space\"]}}}";
static const char s_move[] =
    "{\"type\":\"object\",\"required\":[\"fromRepo\",\"toRepo\"],"
    "\"properties\":{\"fromRepo\":{\"type\":\"string\"},"
    "\"toRepo\":{\"type\":\"string\"},\"type\":{\"enum\":[\"model\",\"dataset\",\"space\"]}}}";
static const char s_settings[] =
    "{\"type\":\"object\",\"properties\":{\"visibility\":{\"enum\":[\"public\",\"private\","
    "\"internal\"]},"
    "\"private\":{\"type\":\"boolean\"}}}";
static const char s_paths[] =
    "{\"type\":\"object\",\"required\":[\"paths\"],\"properties\":{\"paths\":{\"type\":\"array\","
    "\"items\":{\"type\":\"string\"}},\"expand\":{\"type\":\"boolean\"}}}";
static const char s_branch[] =
    "{\"type\":\"object\",\"properties\":{\"startingPoint\":{\"type\":\"string\"},"
    "\"overwrite\":{\"type\":\"boolean\"}}}";
static const char s_tag[] =
    "{\"type\":\"object\",\"required\":[\"tag\"],\"properties\":{\"tag\":{\"type\":\"string\"},"
    "\"message\":{\"type\":\"string\"}}}";
static const char s_preupload[] =
    "{\"type\":\"object\",\"required\":[\"files\"],"
    "\"properties\":{\"files\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"object\",\"required\":[\"path\",\"size\"],"
    "\"properties\":{\"path\":{\"type\":\"string\"},"
    "\"size\":{\"type\":\"integer\"},\"sample\":{\"type\":\"string\"}}}},"
    "\"gitAttributes\":{\"type\":\"string\"},"
    "\"gitIgnore\":{\"type\":\"string\"}}}";
static const char s_commit[] =
    "{\"type\":\"object\",\"required\":[\"key\",\"value\"],"
    "\"properties\":{\"key\":{\"enum\":[\"header\",\"file\","
    "\"lfsFile\",\"deletedFile\",\"deletedFolder\",\"copyFile\"]},"
    "\"value\":{\"type\":\"object\"}}}";
static const char s_committed[] =
    "{\"type\":\"object\",\"required\":[\"commitOid\",\"commitUrl\"],"
    "\"properties\":{\"success\":{\"type\":\"boolean\"},"
    "\"commitOid\":{\"type\":\"string\"},\"commitUrl\":{\"type\":\"string\"},"
    "\"hookOutput\":{\"type\":\"string\"}}}";
static const char s_card[] =
    "{\"type\":\"object\",\"required\":[\"content\"],"
    "\"properties\":{\"content\":{\"type\":\"string\"},"
    "\"repoType\":{\"enum\":[\"model\",\"dataset\",\"space\"]}}}";
static const char s_batch[] =
    "{\"type\":\"object\",\"required\":[\"operation\",\"objects\"],"
    "\"properties\":{\"operation\":{\"enum\":[\"upload\","
    "\"download\"]},\"transfers\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"objects\":{\"type\":\"array\","
    "\"items\":{\"type\":\"object\",\"required\":[\"oid\",\"size\"],"
    "\"properties\":{\"oid\":{\"type\":\"string\"},"
    "\"size\":{\"type\":\"integer\"}}}}}}";
static const char s_lock[] =
    "{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{\"path\":{\"type\":\"string\"},"
    "\"ref\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}}}}}";
static const char s_pointer[] =
    "{\"type\":\"object\",\"required\":[\"oid\",\"size\"],"
    "\"properties\":{\"oid\":{\"type\":\"string\"},"
    "\"size\":{\"type\":\"integer\"}}}";

/* ---- documents: id, tag, summary, scope, params, request, response, media, body_max,
    errors ---- */

static const http_doc d_whoami = {
    "whoami", "identity", "The account and token of the caller.",
    "read", p_none, NULL, s_object, NULL, 0, "401"};
static const http_doc d_auth = {
    "authCheck", "identity", "Whether the caller may read the repository.",
    "read", p_repo, NULL, s_object, NULL, 0, "401 404"};
static const http_doc d_auth_write = {
    "authCheckWrite", "identity", "Whether the caller may write to the repository.",
    "write", p_repo, NULL, s_object, NULL, 0, "401 403 404"};

static const http_doc d_create = {
    "createRepo", "repos", "Makes a repository with its first commit.",
    "write", p_none, s_create, s_created, NULL, MIB(32), "400 401 403 409"};
static const http_doc d_delete = {
    "deleteRepo", "repos", "Deletes a repository for good.",
    "write", p_none, s_delete, NULL, NULL, 0, "400 401 403 404"};
static const http_doc d_move = {
    "moveRepo", "repos", "Renames a repository; the old address redirects.",
    "write", p_none, s_move, s_created, NULL, 0, "400 401 403 404 409"};
static const http_doc d_settings = {
    "putSettings", "repos", "Changes who may see a repository.",
    "write", p_repo, s_settings, s_object, NULL, 0, "400 401 403 404 501"};
static const http_doc d_info = {
    "getRepo", "repos", "A repository's facts, files and card.",
    "", p_info, NULL, s_object, NULL, 0, "400 401 404"};
static const http_doc d_info_rev = {
    "getRepoAt", "repos", "The same at a revision.",
    "", p_info_rev, NULL, s_object, NULL, 0, "400 401 404"};
static const http_doc d_list = {
    "listRepos", "repos", "Repositories the caller may read, page by page.",
    "", p_list, NULL, s_array, NULL, 0, "400"};

static const http_doc d_tree = {
    "listTree", "files", "Files and folders of a revision, page by page.",
    "", p_tree, NULL, s_array, NULL, 0, "400 401 404"};
static const http_doc d_paths = {
    "pathsInfo", "files", "Entries of some paths; missing ones are left out.",
    "", p_repo_rev, s_paths, s_array, NULL, MIB(8), "400 401 404"};
static const http_doc d_resolve = {
    "resolve", "files", "The content of a file.",
    "", p_file, NULL, NULL, NULL, 0, "401 403 404 416"};
static const http_doc d_resolve_typed = {
    "resolveTyped", "files", "The content of a file of a dataset or space.",
    "", p_typed_file, NULL, NULL, NULL, 0, "401 403 404 416"};
static const http_doc d_raw = {
    "raw", "files", "What git stores for a file: a pointer for large ones.",
    "", p_file, NULL, NULL, NULL, 0, "401 404 416"};
static const http_doc d_raw_typed = {
    "rawTyped", "files", "The same for a dataset or space.",
    "", p_typed_file, NULL, NULL, NULL, 0, "401 404 416"};

static const http_doc d_refs = {
    "listRefs", "history", "Branches, tags and converted refs.",
    "", p_refs, NULL, s_object, NULL, 0, "401 404"};
static const http_doc d_commits = {
    "listCommits", "history", "Commits, newest first, page by page.",
    "", p_commits, NULL, s_array, NULL, 0, "400 401 404"};
static const http_doc d_branch = {
    "createBranch", "history", "Makes a branch.",
    "write", p_repo_rev, s_branch, s_object, NULL, 0, "400 401 403 404 409"};
static const http_doc d_branch_del = {
    "deleteBranch", "history", "Deletes a branch.",
    "write", p_repo_rev, NULL, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_tag = {
    "createTag", "history", "Tags a revision.",
    "write", p_repo_rev, s_tag, s_object, NULL, 0, "400 401 403 404 409"};
static const http_doc d_tag_del = {
    "deleteTag", "history", "Deletes a tag.",
    "write", p_repo_rev, NULL, s_object, NULL, 0, "401 403 404"};

static const http_doc d_preupload = {
    "preupload", "commits", "How each file of a coming commit should travel.",
    "write", p_commit, s_preupload, s_object, NULL, MIB(16), "400 401 403 404 422"};
static const http_doc d_commit = {
    "commit", "commits", "Makes a commit from one JSON object per line.",
    "write", p_commit, s_commit, s_committed, "application/x-ndjson", API_COMMIT_BODY_MAX,
    "400 401 403 404 409 412 413 422 501"};
static const http_doc d_yaml = {
    "validateYaml", "commits", "Checks the metadata of a README.",
    "", p_none, s_card, s_object, NULL, MIB(8), "400"};

static const http_doc d_batch = {
    "lfsBatch", "lfs", "Where to send or fetch large objects.",
    "", p_web_repo, s_batch, s_object, "application/vnd.git-lfs+json", MIB(2), "401 403 404 413 422"};
static const http_doc d_batch_typed = {
    "lfsBatchTyped", "lfs", "The same for a dataset or space.",
    "", p_repo, s_batch, s_object, "application/vnd.git-lfs+json", MIB(2), "401 403 404 413 422"};
static const http_doc d_verify = {
    "lfsVerify", "lfs", "Whether an uploaded object arrived whole.",
    "read", p_web_repo, s_pointer, s_object, "application/vnd.git-lfs+json", 0, "401 404 422"};
static const http_doc d_verify_typed = {
    "lfsVerifyTyped", "lfs", "The same for a dataset or space.",
    "read", p_repo, s_pointer, s_object, "application/vnd.git-lfs+json", 0, "401 404 422"};
static const http_doc d_locks = {
    "lfsLocks", "lfs", "File locks of a repository.",
    "", p_locks, NULL, s_object, "application/vnd.git-lfs+json", 0, "400 401 404"};
static const http_doc d_locks_typed = {
    "lfsLocksTyped", "lfs", "The same for a dataset or space.",
    "", p_locks_typed, NULL, s_object, "application/vnd.git-lfs+json", 0, "400 401 404"};
static const http_doc d_lock_add = {
    "lfsLock", "lfs", "Locks a file; 409 with the lock there is.",
    "write", p_web_repo, s_lock, s_object, "application/vnd.git-lfs+json", 0, "400 401 403 404 409 422"};
static const http_doc d_lock_add_typed = {
    "lfsLockTyped", "lfs", "The same for a dataset or space.",
    "write", p_repo, s_lock, s_object, "application/vnd.git-lfs+json", 0, "400 401 403 404 409 422"};
static const http_doc d_lock_verify = {
    "lfsVerifyLocks", "lfs", "Own locks and those of others, before a push.",
    "write", p_web_repo, s_object, s_object, "application/vnd.git-lfs+json", 0, "400 401 403 404"};
static const http_doc d_lock_verify_typed = {
    "lfsVerifyLocksTyped", "lfs", "The same for a dataset or space.",
    "write", p_repo, s_object, s_object, "application/vnd.git-lfs+json", 0, "400 401 403 404"};
static const http_doc d_lock_del = {
    "lfsUnlock", "lfs", "Removes a lock.",
    "write", p_lock, s_object, s_object, "application/vnd.git-lfs+json", 0, "400 401 403 404"};
static const http_doc d_lock_del_typed = {
    "lfsUnlockTyped", "lfs", "The same for a dataset or space.",
    "write", p_lock_typed, s_object, s_object, "application/vnd.git-lfs+json", 0, "400 401 403 404"};
static const http_doc d_lfs_put = {
    "lfsPut", "lfs", "Stores an object by a signed address.",
    "", p_blob, NULL, NULL, "application/octet-stream", API_LFS_OBJECT_MAX, "403 422"};
static const http_doc d_lfs_part = {
    "lfsPutPart", "lfs", "Stores a part of an object by a signed address.",
    "", p_blob, NULL, NULL, "application/octet-stream", API_LFS_OBJECT_MAX, "403 422"};
static const http_doc d_lfs_done = {
    "lfsComplete", "lfs", "Puts the parts of an object together.",
    "", p_blob, s_object, s_object, NULL, MIB(16), "400 403 422"};
static const http_doc d_lfs_get = {
    "lfsGet", "lfs", "Fetches an object by a signed address.",
    "", p_blob, NULL, NULL, NULL, 0, "403 404 416"};

static const http_doc d_xet_read = {
    "xetReadToken", "xet", "A token and address for fetching chunks.",
    "", p_repo_rev, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_xet_write = {
    "xetWriteToken", "xet", "A token and address for bringing chunks.",
    "write", p_repo_rev, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_xorb = {
    "putXorb", "xet", "Stores a container of chunks; every hash is checked.",
    "write", p_cas_hash, NULL, s_object, "application/octet-stream", XET_XORB_BODY_MAX,
    "400 401 403 413"};
static const http_doc d_xorb_head = {
    "headXorb", "xet", "The stored size of a container of chunks.",
    "read", p_cas_hash, NULL, NULL, NULL, 0, "400 401 404"};
static const http_doc d_chunk = {
    "findChunk", "xet", "A shard that says where this chunk is stored.",
    "read", p_cas_hash, NULL, NULL, NULL, 0, "400 401 404"};
static const http_doc d_shard = {
    "putShard", "xet", "Registers which files are made of which chunks.",
    "write", p_cas, NULL, s_object, "application/octet-stream", XET_SHARD_MAX, "400 401 403 413"};
static const http_doc d_shard2 = {
    "putShardStreamed", "xet", "The same; progress comes line by line.",
    "write", p_cas, NULL, s_object, "application/octet-stream", XET_SHARD_MAX, "400 401 403 413"};
static const http_doc d_rec1 = {
    "reconstructV1", "xet", "Which stored bytes make up a file.",
    "read", p_cas_file, NULL, s_object, NULL, 0, "400 401 404 416"};
static const http_doc d_rec2 = {
    "reconstruct", "xet", "Which stored bytes make up a file, newer shape.",
    "read", p_cas_file, NULL, s_object, NULL, 0, "400 401 404 416"};
static const http_doc d_rec_many = {
    "reconstructMany", "xet", "The same for several files.",
    "read", p_cas_many, NULL, s_object, NULL, 0, "400 401 404"};
static const http_doc d_cas_file = {
    "headFile", "xet", "The size of a file.",
    "read", p_cas_file, NULL, NULL, NULL, 0, "400 401 404"};
static const http_doc d_cas_bytes = {
    "xorbBytes", "xet", "Part of a container of chunks by a signed address.",
    "", p_cas_file, NULL, NULL, NULL, 0, "403 404 416"};
static const http_doc d_cas_telemetry = {
    "casTelemetry", "xet", "Accepted and forgotten.",
    "", p_cas, NULL, NULL, NULL, MIB(1), ""};

static const http_doc d_git_refs = {
    "gitRefs", "git", "git's smart HTTP: the refs, for git-upload-pack or git-receive-pack.",
    "", p_git, NULL, NULL, NULL, 0, "400 401 403 404"};
static const http_doc d_git_refs_typed = {
    "gitRefsTyped", "git", "The same for a dataset or space.",
    "", p_git_typed, NULL, NULL, NULL, 0, "400 401 403 404"};
static const http_doc d_git_fetch = {
    "gitUploadPack", "git", "What `git clone` and `git fetch` ask for.",
    "", p_web_repo, NULL, NULL, "application/x-git-upload-pack-request", API_FETCH_BODY_MAX,
    "400 401 404 413"};
static const http_doc d_git_fetch_typed = {
    "gitUploadPackTyped", "git", "The same for a dataset or space.",
    "", p_repo, NULL, NULL, "application/x-git-upload-pack-request", API_FETCH_BODY_MAX,
    "400 401 404 413"};
static const http_doc d_git_push = {
    "gitReceivePack", "git", "What `git push` brings.",
    "write", p_web_repo, NULL, NULL, "application/x-git-receive-pack-request", API_PACK_MAX,
    "400 401 403 404 413"};
static const http_doc d_git_push_typed = {
    "gitReceivePackTyped", "git", "The same for a dataset or space.",
    "write", p_repo, NULL, NULL, "application/x-git-receive-pack-request", API_PACK_MAX,
    "400 401 403 404 413"};

static const http_doc d_health = {
    "health", "server", "Whether the server answers.",
    "", p_none, NULL, s_object, NULL, 0, ""};
static const http_doc d_metrics = {
    "metrics", "server", "Counters in Prometheus text.",
    "", p_none, NULL, NULL, NULL, 0, ""};
static const http_doc d_openapi = {
    "openapi", "server", "This document.",
    "", p_none, NULL, s_object, NULL, 0, ""};
static const http_doc d_telemetry = {
    "telemetry", "server", "Accepted and forgotten.",
    "", p_rest, NULL, NULL, NULL, 0, ""};
static const http_doc d_harnesses = {
    "agentHarnesses", "server", "Nothing to announce.",
    "", p_none, NULL, s_object, NULL, 0, ""};
static const http_doc d_tasks = {
    "tasks", "server", "Models for inference tasks: none yet.",
    "", p_none, NULL, s_object, NULL, 0, ""};

#define T "{type:models|datasets|spaces}"
#define W "{type:datasets|spaces}"

static const http_route identity_routes[] = {
    {HTTP_GET, "/api/whoami-v2", api_whoami, 0, &d_whoami, NULL},
    {HTTP_GET, "/api/" T "/{ns}/{name}/auth-check", api_auth_check, 0, &d_auth, NULL},
    {HTTP_GET, "/api/" T "/{ns}/{name}/auth-check/write",
     api_auth_check_write, 0, &d_auth_write, NULL},
};

static const http_route repo_routes[] = {
    {HTTP_GET, "/api/" T, api_list, 0, &d_list, NULL},
    {HTTP_GET, "/api/" T "/{ns}/{name}", api_info, 0, &d_info, api_info_fast},
    {HTTP_GET, "/api/" T "/{ns}/{name}/revision/{rest...}",
     api_info_rev, 0, &d_info_rev, api_info_fast},
    {HTTP_POST, "/api/repos/create", api_create_repo, ROUTE_WRITE, &d_create, NULL},
    {HTTP_DELETE, "/api/repos/delete", api_delete_repo, ROUTE_WRITE, &d_delete, NULL},
    {HTTP_POST, "/api/repos/move", api_move_repo, ROUTE_WRITE, &d_move, NULL},
    {HTTP_PUT, "/api/" T "/{ns}/{name}/settings", api_put_settings, ROUTE_WRITE, &d_settings, NULL},
};

static const http_route file_routes[] = {
    {HTTP_GET, "/api/" T "/{ns}/{name}/tree/{rest...}", api_tree, 0, &d_tree, NULL},
    {HTTP_POST, "/api/" T "/{ns}/{name}/paths-info/{rest...}", api_paths_info, 0, &d_paths, NULL},
    {HTTP_GET, "/{ns}/{name}/resolve/{rest...}", api_resolve, 0, &d_resolve, NULL},
    {HTTP_GET, "/" W "/{ns}/{name}/resolve/{rest...}", api_resolve, 0, &d_resolve_typed, NULL},
    {HTTP_GET, "/{ns}/{name}/raw/{rest...}", api_raw, 0, &d_raw, NULL},
    {HTTP_GET, "/" W "/{ns}/{name}/raw/{rest...}", api_raw, 0, &d_raw_typed, NULL},
};

static const http_route history_routes[] = {
    {HTTP_GET, "/api/" T "/{ns}/{name}/refs", api_refs, 0, &d_refs, NULL},
    {HTTP_GET, "/api/" T "/{ns}/{name}/commits/{rest...}", api_commits, 0, &d_commits, NULL},
    {HTTP_POST, "/api/" T "/{ns}/{name}/branch/{rest...}",
     api_create_branch, ROUTE_WRITE, &d_branch, NULL},
    {HTTP_DELETE, "/api/" T "/{ns}/{name}/branch/{rest...}",
     api_delete_branch, ROUTE_WRITE, &d_branch_del, NULL},
    {HTTP_POST, "/api/" T "/{ns}/{name}/tag/{rest...}", api_create_tag, ROUTE_WRITE, &d_tag, NULL},
    {HTTP_DELETE, "/api/" T "/{ns}/{name}/tag/{rest...}",
     api_delete_tag, ROUTE_WRITE, &d_tag_del, NULL},
};

static const http_route commit_routes[] = {
    {HTTP_POST, "/api/" T "/{ns}/{name}/preupload/{rest...}", api_preupload, 0, &d_preupload, NULL},
    {HTTP_POST, "/api/" T "/{ns}/{name}/commit/{rest...}",
     api_commit, ROUTE_WRITE | ROUTE_STREAM_BODY, &d_commit, NULL},
    {HTTP_POST, "/api/validate-yaml", api_validate_yaml, 0, &d_yaml, NULL},
};

static const http_route lfs_routes[] = {
    {HTTP_POST, "/{ns}/{name}/info/lfs/objects/batch", api_lfs_batch, 0, &d_batch, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/info/lfs/objects/batch",
     api_lfs_batch, 0, &d_batch_typed, NULL},
    {HTTP_POST, "/{ns}/{name}/info/lfs/objects/verify", api_lfs_verify, 0, &d_verify, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/info/lfs/objects/verify",
     api_lfs_verify, 0, &d_verify_typed, NULL},
    {HTTP_GET, "/{ns}/{name}/info/lfs/locks",
     api_lock_list, 0, &d_locks, NULL},
    {HTTP_GET, "/" W "/{ns}/{name}/info/lfs/locks",
     api_lock_list, 0, &d_locks_typed, NULL},
    {HTTP_POST, "/{ns}/{name}/info/lfs/locks",
     api_lock_create, ROUTE_WRITE, &d_lock_add, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/info/lfs/locks",
     api_lock_create, ROUTE_WRITE, &d_lock_add_typed, NULL},
    {HTTP_POST, "/{ns}/{name}/info/lfs/locks/verify",
     api_lock_verify, 0, &d_lock_verify, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/info/lfs/locks/verify",
     api_lock_verify, 0, &d_lock_verify_typed, NULL},
    {HTTP_POST, "/{ns}/{name}/info/lfs/locks/{id}/unlock",
     api_lock_remove, ROUTE_WRITE, &d_lock_del, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/info/lfs/locks/{id}/unlock",
     api_lock_remove, ROUTE_WRITE, &d_lock_del_typed, NULL},
    {HTTP_PUT, "/api/lfs/put/{row}/{oid}",
     api_lfs_put, ROUTE_WRITE | ROUTE_STREAM_BODY | ROUTE_HIDDEN, &d_lfs_put, NULL},
    {HTTP_PUT, "/api/lfs/part/{row}/{oid}/{part}",
     api_lfs_put_part, ROUTE_WRITE | ROUTE_STREAM_BODY | ROUTE_HIDDEN, &d_lfs_part, NULL},
    {HTTP_POST, "/api/lfs/complete/{row}/{oid}",
     api_lfs_complete, ROUTE_WRITE | ROUTE_HIDDEN, &d_lfs_done, NULL},
    {HTTP_GET, "/api/lfs/get/{row}/{oid}", api_lfs_get, ROUTE_HIDDEN, &d_lfs_get, NULL},
};

#define CAS "/api/xet/{realm}"
#define UP (ROUTE_WRITE | ROUTE_STREAM_BODY)
/* Without a version, in the plural and in the singular: clients before September 2025. */
#define XORB(path, flags) \
    {HTTP_POST, CAS path "/{prefix}/{hash}", api_xorb_post, UP | (flags), &d_xorb, NULL}, \
    {HTTP_PUT, CAS path "/{prefix}/{hash}", api_xorb_post, UP | ROUTE_HIDDEN, &d_xorb, NULL}, \
    {HTTP_GET, CAS path "/{prefix}/{hash}", api_xorb_head, (flags), &d_xorb_head, NULL}
#define SHARD(path, flags) \
    {HTTP_POST, CAS path "/{prefix}/{hash}", api_shard_post, UP | (flags), &d_shard, NULL}, \
    {HTTP_PUT, CAS path "/{prefix}/{hash}", api_shard_post, UP | ROUTE_HIDDEN, &d_shard, NULL}

static const http_route xet_routes[] = {
    {HTTP_GET, "/api/" T "/{ns}/{name}/xet-read-token/{rest...}",
     api_xet_read_token, 0, &d_xet_read, NULL},
    {HTTP_GET, "/api/" T "/{ns}/{name}/xet-write-token/{rest...}",
     api_xet_write_token, 0, &d_xet_write, NULL},
    XORB("/v1/xorbs", 0),
    XORB("/xorbs", ROUTE_HIDDEN),
    XORB("/xorb", ROUTE_HIDDEN),
    {HTTP_POST, CAS "/v1/shards", api_shard_post, UP, &d_shard, NULL},
    {HTTP_POST, CAS "/v2/shards", api_shard_post_v2, UP, &d_shard2, NULL},
    {HTTP_POST, CAS "/shards", api_shard_post, UP | ROUTE_HIDDEN, &d_shard, NULL},
    SHARD("/shards", ROUTE_HIDDEN),
    SHARD("/shard", ROUTE_HIDDEN),
    {HTTP_GET, CAS "/v1/chunks/{prefix}/{hash}", api_chunk_get, 0, &d_chunk, NULL},
    {HTTP_GET, CAS "/chunks/{prefix}/{hash}", api_chunk_get, ROUTE_HIDDEN, &d_chunk, NULL},
    {HTTP_GET, CAS "/chunk/{prefix}/{hash}", api_chunk_get, ROUTE_HIDDEN, &d_chunk, NULL},
    {HTTP_GET, CAS "/v2/reconstructions/{hash}", api_reconstruct_v2, 0, &d_rec2, NULL},
    {HTTP_GET, CAS "/v1/reconstructions/{hash}", api_reconstruct_v1, 0, &d_rec1, NULL},
    {HTTP_GET, CAS "/reconstructions/{hash}", api_reconstruct_v1, ROUTE_HIDDEN, &d_rec1, NULL},
    {HTTP_GET, CAS "/reconstruction/{hash}", api_reconstruct_v1, ROUTE_HIDDEN, &d_rec1, NULL},
    {HTTP_GET, CAS "/v1/reconstructions", api_reconstruct_many, 0, &d_rec_many, NULL},
    {HTTP_POST, CAS "/v1/reconstructions", api_reconstruct_many, ROUTE_HIDDEN, &d_rec_many, NULL},
    {HTTP_GET, CAS "/v1/files/{hash}", api_xet_file_head, 0, &d_cas_file, NULL},
    {HTTP_GET, CAS "/files/{hash}", api_xet_file_head, ROUTE_HIDDEN, &d_cas_file, NULL},
    {HTTP_GET, CAS "/bytes/{hash}", api_xorb_bytes, ROUTE_HIDDEN, &d_cas_bytes, NULL},
    {HTTP_POST, CAS "/v1/telemetry", api_telemetry, ROUTE_HIDDEN, &d_cas_telemetry, NULL},
};

static const http_route git_routes[] = {
    {HTTP_GET, "/{ns}/{name}/info/refs", api_git_refs, 0, &d_git_refs, NULL},
    {HTTP_GET, "/" W "/{ns}/{name}/info/refs", api_git_refs, 0, &d_git_refs_typed, NULL},
    {HTTP_POST, "/{ns}/{name}/git-upload-pack", api_git_fetch, 0, &d_git_fetch, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/git-upload-pack", api_git_fetch, 0, &d_git_fetch_typed, NULL},
    {HTTP_POST, "/{ns}/{name}/git-receive-pack",
     api_git_push, ROUTE_WRITE | ROUTE_STREAM_BODY, &d_git_push, NULL},
    {HTTP_POST, "/" W "/{ns}/{name}/git-receive-pack",
     api_git_push, ROUTE_WRITE | ROUTE_STREAM_BODY, &d_git_push_typed, NULL},
};

static const http_route server_routes[] = {
    {HTTP_GET, "/healthz", api_health, ROUTE_INLINE, &d_health, NULL},
    {HTTP_GET, "/metrics", api_metrics, ROUTE_INLINE, &d_metrics, NULL},
    {HTTP_GET, "/openapi.json", api_openapi, 0, &d_openapi, NULL},
    {HTTP_GET, "/api/telemetry/{rest...}",
     api_telemetry, ROUTE_INLINE | ROUTE_HIDDEN, &d_telemetry, NULL},
    {HTTP_GET, "/api/agent-harnesses",
     api_agent_harnesses, ROUTE_INLINE | ROUTE_HIDDEN, &d_harnesses, NULL},
    {HTTP_GET, "/api/tasks", api_tasks, ROUTE_INLINE | ROUTE_HIDDEN, &d_tasks, NULL},
};

/* ---- known to clients, not built here: one answer,
    never a 404 that looks like a missing repo ---- */

#define NOT_HERE(name, what) \
    static const http_doc name = {"", "", what, "", p_none, NULL, NULL, NULL, 0, "501"}
NOT_HERE(n_compare, "comparing revisions");
NOT_HERE(n_space, "running Spaces");
NOT_HERE(n_boards, "leaderboards");
NOT_HERE(n_people, "profiles of users and organisations");
NOT_HERE(n_settings, "account settings");
NOT_HERE(n_jobs, "jobs");
NOT_HERE(n_buckets, "buckets");
NOT_HERE(n_kernels, "kernel repositories");
NOT_HERE(n_papers, "papers");
NOT_HERE(n_oauth, "OAuth");

#define NO(verb, pattern, doc) {verb, pattern, api_not_here, ROUTE_INLINE | ROUTE_HIDDEN, &doc, \
    NULL}
/* Not inline: with a body, which has to be read first. */
#define NO_BODY(verb, pattern, doc) {verb, pattern, api_not_here, ROUTE_HIDDEN, &doc, NULL}
#define NO_ALL(pattern, doc)                                                                       \
    NO(HTTP_GET, pattern, doc), NO_BODY(HTTP_POST, pattern, doc), NO_BODY(HTTP_PUT, pattern, doc), \
        NO_BODY(HTTP_PATCH, pattern, doc), NO_BODY(HTTP_DELETE, pattern, doc)
#define R "/api/" T "/{ns}/{name}/"

static const http_route not_here_routes[] = {
    NO_ALL(R "compare/{rest...}", n_compare),
    NO_ALL(R "secrets/{rest...}", n_space),
    NO_ALL(R "variables/{rest...}", n_space),
    NO_ALL(R "hardware/{rest...}", n_space),
    NO_ALL(R "sleeptime/{rest...}", n_space),
    NO_ALL(R "pause/{rest...}", n_space),
    NO_ALL(R "restart/{rest...}", n_space),
    NO_ALL(R "storage/{rest...}", n_space),
    NO_ALL(R "runtime/{rest...}", n_space),
    NO_ALL(R "volumes/{rest...}", n_space),
    NO_ALL(R "logs/{rest...}", n_space),
    NO_ALL(R "dev-mode/{rest...}", n_space),
    NO_ALL(R "leaderboard/{rest...}", n_boards),
    NO_ALL("/api/users/{rest...}", n_people),
    NO_ALL("/api/organizations/{rest...}", n_people),
    NO_ALL("/api/settings/{rest...}", n_settings),
    NO_ALL("/api/jobs/{rest...}", n_jobs),
    NO_ALL("/api/scheduled-jobs/{rest...}", n_jobs),
    NO_ALL("/api/buckets/{rest...}", n_buckets),
    NO_ALL("/api/kernels/{rest...}", n_kernels),
    NO_ALL("/api/papers/{rest...}", n_papers),
    NO_ALL("/api/daily_papers/{rest...}", n_papers),
    NO_ALL("/oauth/{rest...}", n_oauth),
    NO(HTTP_GET, "/.well-known/openid-configuration", n_oauth),
    NO(HTTP_GET, "/api/spaces/hardware", n_space),
    NO(HTTP_GET, "/api/spaces/templates", n_space),
};

/* clang-format on */

enum { TABLES_MAX = 32 };

static const api_table own_tables[] = {
    {identity_routes, COUNT(identity_routes)},
    {repo_routes, COUNT(repo_routes)},
    {file_routes, COUNT(file_routes)},
    {history_routes, COUNT(history_routes)},
    {commit_routes, COUNT(commit_routes)},
    {lfs_routes, COUNT(lfs_routes)},
    {xet_routes, COUNT(xet_routes)},
    {git_routes, COUNT(git_routes)},
    {server_routes, COUNT(server_routes)},
    {not_here_routes, COUNT(not_here_routes)},
    {NULL, 0},
};

void api_tables(const http_route *const **tables, const size_t **sizes)
{
    static const http_route *all[TABLES_MAX + 1];
    static size_t            counts[TABLES_MAX];
    size_t                   n = 0;

    for (const api_table *t = own_tables; t->rows != NULL; t++, n++) {
        SNUG_ASSERT(n < TABLES_MAX);
        all[n] = t->rows;
        counts[n] = t->count;
    }
    for (const api_table *t = api_community_tables; t->rows != NULL; t++, n++) {
        SNUG_ASSERT(n < TABLES_MAX);
        all[n] = t->rows;
        counts[n] = t->count;
    }
    for (const api_table *t = api_more_tables; t->rows != NULL; t++, n++) {
        SNUG_ASSERT(n < TABLES_MAX);
        all[n] = t->rows;
        counts[n] = t->count;
    }
    *tables = all;
    *sizes = counts;
}
