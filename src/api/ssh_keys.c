/* SPDX-License-Identifier: Apache-2.0 */
/* api/ssh_keys.c - the caller's SSH keys for git: list, add, remove. With their routes.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

#include <inttypes.h>

/* Keys open the door to everything their owner may write, so a read token does not touch them. */
static snug_status begin(api_call *c, http_req *rq, http_res *rs, bool write, snug_err *err)
{
    snug_status st = api_begin(c, rq, rs, err);
    if (st != SNUG_OK) return st;
    if (c->who.user_id == 0) return snug_fail(err, SNUG_EUNAUTH, "Invalid username or password.");
    if (write && c->who.scope < HUB_ROLE_WRITE)
        return snug_fail(err, SNUG_EFORBIDDEN, "This token can only read: a write token is needed");
    return SNUG_OK;
}

static void put_key(snug_json_out *o, const hub_ssh_key *k)
{
    snug_jo_begin_object(o);
    snug_jo_ki64(o, "id", k->id);
    snug_jo_kstr(o, "title", k->title);
    snug_jo_kstr(o, "type", k->kind);
    snug_jo_kstr(o, "fingerprint", k->fingerprint);
    api_jo_time(o, "createdAt", k->created_ms);
    if (k->last_used_ms > 0) api_jo_time(o, "lastUsedAt", k->last_used_ms);
    snug_jo_end_object(o);
}

static snug_status list_keys(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_ssh_key  *keys;
    size_t        count;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(begin(&c, rq, rs, false, err));
    SNUG_TRY(hub_list_ssh_keys(c.hub, c.who.user_id, c.a, &keys, &count, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_key(&o, &keys[i]);
    snug_jo_end_array(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status add_key(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    snug_json     body;
    snug_slice    line;
    hub_ssh_key   key;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(begin(&c, rq, rs, true, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(snug_json_need_str(body, "key", &line, err));
    SNUG_TRY(hub_add_ssh_key(c.hub, c.who.user_id, snug_json_str_or(body, "title", SNUG_EMPTY),
                             line, c.a, &key, err));
    put_key(&o, &key);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status remove_key(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    int64_t     id;

    SNUG_TRY(begin(&c, rq, rs, true, err));
    if (!snug_parse_i64(http_req_param(rq, "id"), &id))
        SNUG_FAIL(err, SNUG_EINVAL, "\"id\" must be a number");
    SNUG_TRY(hub_remove_ssh_key(c.hub, c.who.user_id, id, err));
    http_reply_empty(rs, 204);
done:
    return st;
}

static const http_param p_key[] = {{"id", "path", "integer", "number of the key", true, false},
                                   {0}};
#define KEY_SCHEMA                                                                                 \
    "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"},\"title\":{\"type\":"      \
    "\"string\"},\"type\":{\"type\":\"string\"},\"fingerprint\":{\"type\":\"string\"},"            \
    "\"createdAt\":{\"type\":\"string\"},\"lastUsedAt\":{\"type\":\"string\"}}}"
static const http_doc d_list = {"listSshKeys",
                                "account",
                                "The caller's SSH keys for git.",
                                "read",
                                NULL,
                                NULL,
                                "{\"type\":\"array\",\"items\":" KEY_SCHEMA "}",
                                NULL,
                                0,
                                "401"};
static const http_doc d_add = {
    "addSshKey",
    "account",
    "Adds an SSH public key.",
    "write",
    NULL,
    "{\"type\":\"object\",\"required\":[\"key\"],\"properties\":{\"key\":{\"type\":\"string\"},"
    "\"title\":{\"type\":\"string\"}}}",
    KEY_SCHEMA,
    NULL,
    64 << 10,
    "400 401 403 409"};
static const http_doc d_remove = {
    "removeSshKey", "account", "Removes an SSH key.", "write", p_key, NULL, NULL,
    NULL,           0,         "400 401 403 404"};

const http_route api_ssh_routes[API_SSH_ROUTES] = {
    {HTTP_GET, "/api/settings/ssh-keys", list_keys, 0, &d_list, NULL},
    {HTTP_POST, "/api/settings/ssh-keys", add_key, ROUTE_WRITE, &d_add, NULL},
    {HTTP_DELETE, "/api/settings/ssh-keys/{id}", remove_key, ROUTE_WRITE, &d_remove, NULL},
};
