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

static const char s_object[] = "{\"type\":\"object\"}";
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

/* clang-format on */

const api_table api_community_tables[] = {
    {talk_routes, COUNT(talk_routes)},
    {NULL, 0},
};
