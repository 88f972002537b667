/* SPDX-License-Identifier: Apache-2.0 */
/* api/routes_community.c - what people say, like, group and subscribe to: the second page of
 * routes.c, in the same form. */
#include "api/api_int.h"

#define MIB(n) ((uint64_t)(n) << 20)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A row is a line here, to be read down its columns. */
/* clang-format off */

#define P_TYPE {"type", "path", "string", "models, datasets or spaces", true, false}
#define P_NS {"ns", "path", "string", "owner: a user or an organisation", true, false}
#define P_NAME {"name", "path", "string", "name of the repository", true, false}
#define P_NUM {"num", "path", "integer", "number of the discussion", true, false}
#define P_END {NULL, NULL, NULL, NULL, false, false}

static const http_param p_talks[] = {
    P_TYPE, P_NS, P_NAME,
    {"type", "query", "string", "all, discussion or pull_request", false, false},
    {"status", "query", "string", "all, open or closed", false, false},
    {"author", "query", "string", "who opened it", false, false},
    {"p", "query", "integer", "page, from 0", false, false},
    P_END};
static const http_param p_repo[] = {P_TYPE, P_NS, P_NAME, P_END};
static const http_param p_talk[] = {
    P_TYPE, P_NS, P_NAME, P_NUM,
    {"diff", "query", "boolean", "also what a pull request changes", false, false},
    P_END};
static const http_param p_num[] = {P_TYPE, P_NS, P_NAME, P_NUM, P_END};
static const http_param p_comment[] = {
    P_TYPE, P_NS, P_NAME, P_NUM,
    {"comment", "path", "string", "id of the comment", true, false}, P_END};

#define P_LIMIT {"limit", "query", "integer", "entries per page", false, false}
#define P_CURSOR {"cursor", "query", "string", "Link header of the page before", false, false}
static const http_param p_repo_page[] = {P_TYPE, P_NS, P_NAME, P_LIMIT, P_CURSOR, P_END};
static const http_param p_access[] = {
    P_TYPE, P_NS, P_NAME,
    {"status", "path", "string", "pending, accepted or rejected", true, false},
    P_LIMIT, P_CURSOR, P_END};
static const http_param p_repo_rev[] = {
    P_TYPE, P_NS, P_NAME,
    {"rest", "path", "string", "branch", true, false}, P_END};
static const http_param p_none[] = {P_END};
static const http_param p_page[] = {P_LIMIT, P_CURSOR, P_END};
#define P_SLUG_NS {"ns", "path", "string", "owner of the collection", true, false}
#define P_SLUG {"slug", "path", "string", "title and id of the collection", true, false}
static const http_param p_collections[] = {
    {"owner", "query", "string", "a user or an organization", false, true},
    {"item", "query", "string", "models/ns/name, papers/id, ...", false, true},
    {"sort", "query", "string", "lastModified, trending or upvotes", false, false},
    {"q", "query", "string", "part of the title", false, false},
    P_LIMIT, P_CURSOR, P_END};
static const http_param p_slug[] = {P_SLUG_NS, P_SLUG, P_END};
static const http_param p_slug_item[] = {
    P_SLUG_NS, P_SLUG, {"item", "path", "string", "id of the item", true, false}, P_END};
static const http_param p_user[] = {
    {"user", "path", "string", "name of a user", true, false}, P_END};
static const http_param p_user_page[] = {
    {"user", "path", "string", "name of a user", true, false}, P_LIMIT, P_CURSOR, P_END};
static const http_param p_org[] = {
    {"org", "path", "string", "name of an organization", true, false}, P_END};
static const http_param p_org_page[] = {
    {"org", "path", "string", "name of an organization", true, false}, P_LIMIT, P_CURSOR, P_END};
static const http_param p_avatar[] = {
    {"name", "path", "string", "a user or an organization", true, false}, P_END};

static const char s_object[] = "{\"type\":\"object\"}";
static const char s_array[] = "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}";
static const char s_open[] =
    "{\"type\":\"object\",\"required\":[\"title\"],\"properties\":{\"title\":{\"type\":\"string\"},"
    "\"description\":{\"type\":\"string\"},\"pullRequest\":{\"type\":\"boolean\"}}}";
static const char s_comment[] =
    "{\"type\":\"object\",\"required\":[\"comment\"],"
    "\"properties\":{\"comment\":{\"type\":\"string\"}}}";
static const char s_edit[] =
    "{\"type\":\"object\",\"required\":[\"content\"],"
    "\"properties\":{\"content\":{\"type\":\"string\"}}}";
static const char s_title[] =
    "{\"type\":\"object\",\"required\":[\"title\"],"
    "\"properties\":{\"title\":{\"type\":\"string\"}}}";
static const char s_status[] =
    "{\"type\":\"object\",\"required\":[\"status\"],"
    "\"properties\":{\"status\":{\"enum\":[\"open\",\"closed\"]},"
    "\"comment\":{\"type\":\"string\"}}}";
static const char s_merge[] =
    "{\"type\":[\"object\",\"null\"],\"properties\":{\"comment\":{\"type\":\"string\"}}}";

static const char s_handle[] =
    "{\"type\":\"object\",\"required\":[\"user\",\"status\"],"
    "\"properties\":{\"user\":{\"type\":\"string\"},"
    "\"status\":{\"enum\":[\"pending\",\"accepted\",\"rejected\"]},"
    "\"rejectionReason\":{\"type\":\"string\"}}}";
static const char s_grant[] =
    "{\"type\":\"object\",\"required\":[\"user\"],"
    "\"properties\":{\"user\":{\"type\":\"string\"}}}";

static const char s_squash[] =
    "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"}}}";
static const char s_duplicate[] =
    "{\"type\":\"object\",\"required\":[\"repository\"],"
    "\"properties\":{\"repository\":{\"type\":\"string\"},"
    "\"visibility\":{\"enum\":[\"public\",\"private\",\"internal\"]}}}";
static const char s_lfs_batch[] =
    "{\"type\":\"object\",\"required\":[\"deletions\"],"
    "\"properties\":{\"deletions\":{\"type\":\"object\","
    "\"properties\":{\"sha\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"rewriteHistory\":{\"type\":\"boolean\"}}}}}";
static const char s_lfs_share[] =
    "{\"type\":\"object\",\"required\":[\"target\",\"files\"],"
    "\"properties\":{\"target\":{\"type\":\"object\"},"
    "\"files\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}";

static const char s_collection[] =
    "{\"type\":\"object\",\"required\":[\"title\"],"
    "\"properties\":{\"title\":{\"type\":\"string\"},\"namespace\":{\"type\":\"string\"},"
    "\"description\":{\"type\":\"string\"},\"private\":{\"type\":\"boolean\"}}}";
static const char s_collection_edit[] =
    "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},"
    "\"description\":{\"type\":\"string\"},\"private\":{\"type\":\"boolean\"},"
    "\"position\":{\"type\":\"integer\"},\"theme\":{\"enum\":[\"orange\",\"blue\","
    "\"green\",\"purple\",\"pink\",\"indigo\"]}}}";
static const char s_item[] =
    "{\"type\":\"object\",\"required\":[\"item\"],\"properties\":{\"item\":{"
    "\"type\":\"object\",\"required\":[\"id\",\"type\"],\"properties\":{"
    "\"id\":{\"type\":\"string\"},\"type\":{\"enum\":[\"model\",\"dataset\",\"space\","
    "\"paper\",\"collection\"]}}},\"note\":{\"type\":\"string\"}}}";
static const char s_item_edit[] =
    "{\"type\":\"object\",\"properties\":{\"position\":{\"type\":\"integer\"},"
    "\"note\":{\"type\":\"string\"}}}";

static const http_doc d_talks = {
    "listDiscussions", "discussions", "Discussions and pull requests, newest first.",
    "", p_talks, NULL, s_object, NULL, 0, "400 401 404"};
static const http_doc d_talk = {
    "getDiscussion", "discussions", "A discussion with all that happened in it.",
    "", p_talk, NULL, s_object, NULL, 0, "401 404"};
static const http_doc d_open = {
    "openDiscussion", "discussions", "Opens a discussion or a draft pull request.",
    "write", p_repo, s_open, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_comment = {
    "comment", "discussions", "Adds a comment.",
    "write", p_num, s_comment, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_edit = {
    "editComment", "discussions", "Changes a comment; what it said before stays in its history.",
    "write", p_comment, s_edit, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_hide = {
    "hideComment", "discussions", "Hides a comment for good.",
    "write", p_comment, s_object, s_object, NULL, 0, "401 403 404"};
static const http_doc d_rename = {
    "renameDiscussion", "discussions", "Changes the title.",
    "write", p_num, s_title, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_status = {
    "setDiscussionStatus", "discussions", "Opens or closes.",
    "write", p_num, s_status, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_merge = {
    "mergePullRequest", "discussions", "Merges a pull request into its branch.",
    "write", p_num, s_merge, s_object, NULL, 0, "400 401 403 404 409"};

static const http_doc d_like = {
    "like", "social", "Likes a repository; twice is once.",
    "write", p_repo, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_unlike = {
    "unlike", "social", "Takes a like back.",
    "write", p_repo, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_likers = {
    "listLikers", "social", "Who likes a repository, latest first.",
    "", p_repo_page, NULL, s_array, NULL, 0, "400 401 404"};
static const http_doc d_likes = {
    "listLikes", "social", "What a user likes, latest first.",
    "", p_user_page, NULL, s_array, NULL, 0, "400 404"};
static const http_doc d_user = {
    "getUser", "social", "A user and the numbers around him.",
    "", p_user, NULL, s_object, NULL, 0, "404"};
static const http_doc d_followers = {
    "listFollowers", "social", "Who follows a user.",
    "", p_user_page, NULL, s_array, NULL, 0, "400 404"};
static const http_doc d_following = {
    "listFollowing", "social", "Whom a user follows.",
    "", p_user_page, NULL, s_array, NULL, 0, "400 404"};
static const http_doc d_follow = {
    "follow", "social", "Follows a user.",
    "write", p_user, NULL, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_unfollow = {
    "unfollow", "social", "Stops following a user.",
    "write", p_user, NULL, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_org = {
    "getOrganization", "social", "An organization and the numbers around it.",
    "", p_org, NULL, s_object, NULL, 0, "404"};
static const http_doc d_org_followers = {
    "listOrganizationFollowers", "social", "Who follows an organization.",
    "", p_org_page, NULL, s_array, NULL, 0, "400 404"};
static const http_doc d_org_members = {
    "listOrganizationMembers", "social", "Who belongs to an organization.",
    "", p_org_page, NULL, s_array, NULL, 0, "400 404"};
static const http_doc d_org_follow = {
    "followOrganization", "social", "Follows an organization.",
    "write", p_org, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_org_unfollow = {
    "unfollowOrganization", "social", "Stops following an organization.",
    "write", p_org, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_avatar = {
    "avatar", "social", "A picture made of the name's first letter.",
    "", p_avatar, NULL, NULL, NULL, 0, "404"};

static const http_doc d_access = {
    "listAccessRequests", "gating", "Who asked to read a gated repository.",
    "write", p_access, NULL, s_array, NULL, 0, "400 401 403 404"};
static const http_doc d_handle = {
    "handleAccessRequest", "gating", "Accepts, rejects or reopens a request.",
    "write", p_repo, s_handle, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_grant = {
    "grantAccess", "gating", "Lets a user in who did not ask.",
    "write", p_repo, s_grant, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_ask = {
    "askAccess", "gating", "Asks to read a gated repository.",
    "write", p_repo, s_object, s_object, NULL, 0, "400 401 403 404"};

static const http_doc d_squash = {
    "superSquash", "history", "Leaves one commit on a branch.",
    "write", p_repo_rev, s_squash, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_duplicate = {
    "duplicateRepo", "repos", "Makes a repository with the files of another.",
    "write", p_repo, s_duplicate, s_object, NULL, 0, "400 401 403 404 409"};
static const http_doc d_storage = {
    "getRepoStorage", "lfs", "What large objects take, and which repositories share their chunks.",
    "read", p_repo, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_server_storage = {
    "getServerStorage", "lfs", "What all large objects take; for administrators.",
    "read", p_none, NULL, s_object, NULL, 0, "401 403"};
static const http_doc d_lfs_files = {
    "listLfsFiles", "lfs", "Large objects of a repository, page by page.",
    "write", p_repo_page, NULL, s_array, NULL, 0, "400 401 403 404"};
static const http_doc d_lfs_files_batch = {
    "deleteLfsFiles", "lfs", "Takes large objects out of a repository.",
    "write", p_repo, s_lfs_batch, s_object, NULL, 0, "400 401 403 404 501"};
static const http_doc d_lfs_files_share = {
    "shareLfsFiles", "lfs", "Puts large objects into another repository, without sending them.",
    "write", p_repo, s_lfs_share, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_own = {
    "listOwnRepos", "repos", "The caller's repositories and what they occupy.",
    "read", p_page, NULL, s_array, NULL, 0, "400 401"};
static const http_doc d_org_own = {
    "listOrganizationRepos", "repos", "An organization's repositories, for its members.",
    "read", p_org_page, NULL, s_array, NULL, 0, "400 401 403"};
static const http_doc d_tags = {
    "listTags", "repos", "Tags in use, by kind.",
    "", p_none, NULL, s_object, NULL, 0, ""};

static const http_doc d_collections = {
    "listCollections", "collections", "Collections, latest change first.",
    "", p_collections, NULL, s_array, NULL, 0, "400"};
static const http_doc d_collection = {
    "getCollection", "collections", "A collection with its items.",
    "", p_slug, NULL, s_object, NULL, 0, "404"};
static const http_doc d_collection_new = {
    "createCollection", "collections", "Makes a collection.",
    "write", p_none, s_collection, s_object, NULL, 0, "400 401 403 409"};
static const http_doc d_collection_edit = {
    "editCollection", "collections", "Changes what a collection says of itself.",
    "write", p_slug, s_collection_edit, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_collection_drop = {
    "deleteCollection", "collections", "Deletes a collection.",
    "write", p_slug, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_collection_group = {
    "setCollectionGroup", "collections", "Resource groups: there are none, so only null is taken.",
    "write", p_slug, s_object, s_object, NULL, 0, "400 401 403 404 501"};
static const http_doc d_item = {
    "addItem", "collections", "Puts an item at the end of a collection.",
    "write", p_slug, s_item, s_object, NULL, 0, "400 401 403 404 409"};
static const http_doc d_item_edit = {
    "editItem", "collections", "Moves an item or changes its note.",
    "write", p_slug_item, s_item_edit, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_item_drop = {
    "dropItem", "collections", "Takes an item out.",
    "write", p_slug_item, NULL, s_object, NULL, 0, "401 403 404"};

#define T "{type:models|datasets|spaces}"
#define R "/api/" T "/{ns}/{name}/"

static const http_route talk_routes[] = {
    {HTTP_GET, R "discussions", api_list_discussions, 0, &d_talks, NULL},
    {HTTP_POST, R "discussions", api_open_discussion, ROUTE_WRITE, &d_open, NULL},
    {HTTP_GET, R "discussions/{num}", api_get_discussion, 0, &d_talk, NULL},
    {HTTP_POST, R "discussions/{num}/comment", api_comment, ROUTE_WRITE, &d_comment, NULL},
    {HTTP_POST, R "discussions/{num}/title", api_rename_discussion, ROUTE_WRITE, &d_rename, NULL},
    {HTTP_POST, R "discussions/{num}/status", api_discussion_status, ROUTE_WRITE, &d_status, NULL},
    {HTTP_POST, R "discussions/{num}/merge", api_merge_pull, ROUTE_WRITE, &d_merge, NULL},
    {HTTP_POST, R "discussions/{num}/comment/{comment}/edit",
     api_edit_comment, ROUTE_WRITE, &d_edit, NULL},
    {HTTP_POST, R "discussions/{num}/comment/{comment}/hide",
     api_hide_comment, ROUTE_WRITE, &d_hide, NULL},
};

static const http_route social_routes[] = {
    {HTTP_POST, R "like", api_like, ROUTE_WRITE, &d_like, NULL},
    {HTTP_DELETE, R "like", api_like, ROUTE_WRITE, &d_unlike, NULL},
    {HTTP_GET, R "likers", api_likers, 0, &d_likers, NULL},
    {HTTP_GET, "/api/users/{user}/likes", api_user_likes, 0, &d_likes, NULL},
    {HTTP_GET, "/api/users/{user}/overview", api_user_overview, 0, &d_user, NULL},
    {HTTP_GET, "/api/users/{user}/followers", api_followers, 0, &d_followers, NULL},
    {HTTP_GET, "/api/users/{user}/following", api_following, 0, &d_following, NULL},
    {HTTP_POST, "/api/users/{user}/follow", api_follow, ROUTE_WRITE, &d_follow, NULL},
    {HTTP_DELETE, "/api/users/{user}/follow", api_follow, ROUTE_WRITE, &d_unfollow, NULL},
    {HTTP_GET, "/api/organizations/{org}/overview", api_org_overview, 0, &d_org, NULL},
    {HTTP_GET, "/api/organizations/{org}/followers",
     api_org_followers, 0, &d_org_followers, NULL},
    {HTTP_GET, "/api/organizations/{org}/members", api_org_members, 0, &d_org_members, NULL},
    {HTTP_POST, "/api/organizations/{org}/follow", api_follow, ROUTE_WRITE, &d_org_follow, NULL},
    {HTTP_DELETE, "/api/organizations/{org}/follow",
     api_follow, ROUTE_WRITE, &d_org_unfollow, NULL},
    {HTTP_GET, "/api/avatars/{name}", api_avatar, 0, &d_avatar, NULL},
};

static const http_route gating_routes[] = {
    {HTTP_GET, R "user-access-request/{status}", api_list_access, 0, &d_access, NULL},
    {HTTP_POST, R "user-access-request/handle", api_handle_access, ROUTE_WRITE, &d_handle, NULL},
    {HTTP_POST, R "user-access-request/grant", api_grant_access, ROUTE_WRITE, &d_grant, NULL},
    {HTTP_POST, R "ask-access", api_ask_access, ROUTE_WRITE, &d_ask, NULL},
};

static const http_route upkeep_routes[] = {
    {HTTP_POST, R "super-squash/{rest...}", api_super_squash, ROUTE_WRITE, &d_squash, NULL},
    {HTTP_POST, R "duplicate", api_duplicate, ROUTE_WRITE, &d_duplicate, NULL},
    {HTTP_GET, R "storage", api_repo_storage, 0, &d_storage, NULL},
    {HTTP_GET, "/api/admin/storage", api_server_storage, 0, &d_server_storage, NULL},
    {HTTP_GET, R "lfs-files", api_lfs_files, 0, &d_lfs_files, NULL},
    {HTTP_POST, R "lfs-files/batch",
     api_lfs_files_batch, ROUTE_WRITE, &d_lfs_files_batch, NULL},
    {HTTP_POST, R "lfs-files/duplicate",
     api_lfs_files_share, ROUTE_WRITE, &d_lfs_files_share, NULL},
    {HTTP_GET, "/api/settings/repositories", api_own_repos, 0, &d_own, NULL},
    {HTTP_GET, "/api/organizations/{org}/settings/repositories",
     api_own_repos, 0, &d_org_own, NULL},
    {HTTP_GET, "/api/models-tags-by-type", api_tags_by_type, 0, &d_tags, NULL},
    {HTTP_GET, "/api/datasets-tags-by-type", api_tags_by_type, 0, &d_tags, NULL},
};

#define SLUG "/api/collections/{ns}/{slug}"
static const http_route collection_routes[] = {
    {HTTP_GET, "/api/collections", api_list_collections, 0, &d_collections, NULL},
    {HTTP_POST, "/api/collections", api_create_collection, ROUTE_WRITE, &d_collection_new, NULL},
    {HTTP_GET, SLUG, api_get_collection, 0, &d_collection, NULL},
    {HTTP_PATCH, SLUG, api_edit_collection, ROUTE_WRITE, &d_collection_edit, NULL},
    {HTTP_DELETE, SLUG, api_drop_collection, ROUTE_WRITE, &d_collection_drop, NULL},
    {HTTP_POST, SLUG "/resource-group",
     api_collection_group, ROUTE_WRITE, &d_collection_group, NULL},
    {HTTP_POST, SLUG "/items", api_add_item, ROUTE_WRITE, &d_item, NULL},
    {HTTP_PATCH, SLUG "/items/{item}", api_edit_item, ROUTE_WRITE, &d_item_edit, NULL},
    {HTTP_DELETE, SLUG "/items/{item}", api_drop_item, ROUTE_WRITE, &d_item_drop, NULL},
};

/* clang-format on */

const api_table api_community_tables[] = {
    {talk_routes, COUNT(talk_routes)},
    {social_routes, COUNT(social_routes)},
    {gating_routes, COUNT(gating_routes)},
    {upkeep_routes, COUNT(upkeep_routes)},
    {collection_routes, COUNT(collection_routes)},
    {api_ssh_routes, API_SSH_ROUTES},
    {NULL, 0},
};
