/* SPDX-License-Identifier: Apache-2.0 */
/* api/identity.c - who am I, and what may I do here.
 *
 * For:     routes.c. */
#include "api/api_int.h"

static snug_status put_orgs(api_call *c, snug_json_out *o, snug_err *err)
{
    static const char *const roles[] = {"none", "read", "write", "admin"};
    hub_org                 *orgs;
    size_t                   count;
    snug_status              st = hub_list_orgs(c->hub, c->who.user_id, c->a, &orgs, &count, err);
    if (st != SNUG_OK) return st;
    snug_jo_key(o, "orgs");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < count; i++) {
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "type", "org");
        snug_jo_key(o, "id");
        snug_jo_strf(o, "%024llx", (unsigned long long)orgs[i].id);
        snug_jo_kstr(o, "name", orgs[i].name);
        snug_jo_kstr(o, "fullname", orgs[i].fullname);
        snug_jo_kbool(o, "isEnterprise", false);
        snug_jo_kcstr(o, "roleInOrg", roles[orgs[i].role]);
        api_put_avatar(c, o, orgs[i].name);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
    return SNUG_OK;
}

snug_status api_whoami(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (c.who.user_id == 0) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "user");
    snug_jo_key(&o, "id");
    snug_jo_strf(&o, "%024llx", (unsigned long long)c.who.user_id);
    snug_jo_kstr(&o, "name", c.who.name);
    snug_jo_kstr(&o, "fullname", c.who.fullname.len > 0 ? c.who.fullname : c.who.name);
    if (c.who.email.len > 0) snug_jo_kstr(&o, "email", c.who.email);
    snug_jo_kbool(&o, "emailVerified", c.who.email.len > 0);
    snug_jo_kbool(&o, "canPay", false);
    snug_jo_kbool(&o, "isPro", false);
    snug_jo_kbool(&o, "isAdmin", c.who.is_admin);
    api_put_avatar(&c, &o, c.who.name);
    SNUG_TRY(put_orgs(&c, &o, err));
    snug_jo_key(&o, "auth");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "access_token");
    snug_jo_key(&o, "accessToken");
    snug_jo_begin_object(&o);
    snug_jo_kstr(&o, "displayName", c.who.token_name);
    snug_jo_kcstr(&o, "role", c.who.scope >= HUB_ROLE_WRITE ? "write" : "read");
    api_jo_time(&o, "createdAt", c.who.token_created_ms);
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    http_set_header(rs, "Cache-Control", SNUG_LIT("no-store"));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status check(http_req *rq, http_res *rs, hub_role need, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    SNUG_TRY(api_open(&c, rq, rs, need, &here, err));
    if (here)
        http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                          SNUG_LIT("{\"ok\":true}"));
done:
    api_done(&c);
    return st;
}

snug_status api_auth_check(http_req *rq, http_res *rs, snug_err *err)
{
    return check(rq, rs, HUB_ROLE_READ, err);
}

snug_status api_auth_check_write(http_req *rq, http_res *rs, snug_err *err)
{
    return check(rq, rs, HUB_ROLE_WRITE, err);
}
