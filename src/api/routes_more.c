/* SPDX-License-Identifier: Apache-2.0 */
/* api/routes_more.c - searches and webhooks: the third page of routes.c, in the same form. */
#include "api/api_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A row is a line here, to be read down its columns. */
/* clang-format off */

#define P_END {NULL, NULL, NULL, NULL, false, false}
#define P_LIMIT {"limit", "query", "integer", "entries per page", false, false}
#define P_CURSOR {"cursor", "query", "string", "Link header of the page before", false, false}
#define P_WORDS {"q", "query", "string", "words; \"two words\" is a phrase", false, false}
#define P_TYPES {"type", "query", "string", "model, dataset or space; repeated: any; all", false, true}

static const http_param p_quick[] = {P_WORDS, P_TYPES, P_LIMIT, P_END};
static const http_param p_text[] = {
    P_WORDS, P_TYPES, P_LIMIT,
    {"filter", "query", "string", "tag; repeated: all of them", false, true},
    {"skip", "query", "integer", "results to leave out", false, false}, P_END};
static const http_param p_space[] = {
    P_WORDS,
    {"filter", "query", "string", "tag; repeated: all of them", false, true},
    {"sdk", "query", "string", "gradio, streamlit, docker or static", false, false},
    {"includeNonRunning", "query", "boolean", "nothing runs here: no difference", false, false},
    P_END};
static const http_param p_none[] = {P_END};
static const http_param p_hook[] = {
    {"id", "path", "string", "id of the webhook", true, false}, P_END};
static const http_param p_log[] = {
    {"id", "path", "string", "id of the webhook", true, false}, P_LIMIT, P_CURSOR, P_END};
static const http_param p_replay[] = {
    {"id", "path", "string", "id of the webhook", true, false},
    {"delivery", "path", "integer", "number of the delivery", true, false}, P_END};

static const char s_object[] = "{\"type\":\"object\"}";
static const char s_array[] = "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}";
static const char s_hook[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"watched\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"type\","
    "\"name\"],\"properties\":{\"type\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"}}}},"
    "\"url\":{\"type\":\"string\"},"
    "\"domains\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"secret\":{\"type\":\"string\"}}}";

static const http_doc d_quick = {
    "quickSearch", "search", "Repositories whose id contains the words, the most used first.",
    "", p_quick, NULL, s_object, NULL, 0, "400"};
static const http_doc d_text = {
    "textSearch", "search", "Repositories by words of their ids, tags and cards.",
    "", p_text, NULL, s_object, NULL, 0, "400"};
static const http_doc d_space = {
    "searchSpaces", "search", "Spaces by words of their ids, tags and cards, the best first.",
    "", p_space, NULL, s_array, NULL, 0, "400"};

static const http_doc d_hooks = {
    "listWebhooks", "webhooks", "The caller's webhooks.",
    "read", p_none, NULL, s_array, NULL, 0, "401"};
static const http_doc d_hook_new = {
    "createWebhook", "webhooks", "Makes a webhook.",
    "write", p_none, s_hook, s_object, NULL, 0, "400 401 403 404 501"};
static const http_doc d_hook_get = {
    "getWebhook", "webhooks", "A webhook.",
    "read", p_hook, NULL, s_object, NULL, 0, "401 404"};
static const http_doc d_hook_set = {
    "updateWebhook", "webhooks", "Changes a webhook.",
    "write", p_hook, s_hook, s_object, NULL, 0, "400 401 403 404"};
static const http_doc d_hook_drop = {
    "deleteWebhook", "webhooks", "Deletes a webhook.",
    "write", p_hook, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_hook_on = {
    "enableWebhook", "webhooks", "Switches a webhook on, also one that was off after failures.",
    "write", p_hook, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_hook_off = {
    "disableWebhook", "webhooks", "Switches a webhook off.",
    "write", p_hook, NULL, s_object, NULL, 0, "401 403 404"};
static const http_doc d_log = {
    "listDeliveries", "webhooks", "What was sent by a webhook and how it went, newest first.",
    "read", p_log, NULL, s_array, NULL, 0, "400 401 404"};
static const http_doc d_replay = {
    "replayDelivery", "webhooks", "Sends the same body again.",
    "write", p_replay, NULL, s_object, NULL, 0, "401 403 404 409"};

#define HOOKS "/api/settings/webhooks"

static const http_route search_routes[] = {
    {HTTP_GET, "/api/quicksearch", api_quick_search, 0, &d_quick, NULL},
    {HTTP_GET, "/api/search/full-text", api_text_search, 0, &d_text, NULL},
    {HTTP_GET, "/api/spaces/semantic-search", api_space_search, 0, &d_space, NULL},
};

static const http_route hook_routes[] = {
    {HTTP_GET, HOOKS, api_list_hooks, 0, &d_hooks, NULL},
    {HTTP_POST, HOOKS, api_create_hook, ROUTE_WRITE, &d_hook_new, NULL},
    {HTTP_GET, HOOKS "/{id}", api_get_hook, 0, &d_hook_get, NULL},
    {HTTP_POST, HOOKS "/{id}", api_edit_hook, ROUTE_WRITE, &d_hook_set, NULL},
    {HTTP_DELETE, HOOKS "/{id}", api_drop_hook, ROUTE_WRITE, &d_hook_drop, NULL},
    {HTTP_POST, HOOKS "/{id}/enable", api_enable_hook, ROUTE_WRITE, &d_hook_on, NULL},
    {HTTP_POST, HOOKS "/{id}/disable", api_disable_hook, ROUTE_WRITE, &d_hook_off, NULL},
    {HTTP_GET, HOOKS "/{id}/deliveries", api_list_deliveries, 0, &d_log, NULL},
    {HTTP_POST, HOOKS "/{id}/deliveries/{delivery}/replay",
     api_replay_delivery, ROUTE_WRITE, &d_replay, NULL},
};

/* clang-format on */

const api_table api_more_tables[] = {
    {search_routes, COUNT(search_routes)},
    {hook_routes, COUNT(hook_routes)},
    {NULL, 0},
};
