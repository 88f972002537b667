/* SPDX-License-Identifier: Apache-2.0 */
/* api/social.c - likes, followers, what there is to know about users and organizations.
 *
 * Lists go on behind a key in `cursor`; the Link header holds it.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

enum { PEOPLE_PAGE = 500, PEOPLE_MAX = 1000 };

/* ---- who is named in the address ---- */

static snug_status fail_nobody(const char *what, snug_slice name, snug_err *err)
{
    return snug_fail(err, SNUG_ENOTFOUND, "There is no %s \"%.*s\"", what,
                     SNUG_SLICE(snug_sub(name, 0, HUB_NAME_MAX)));
}

static snug_status find_user(api_call *c, hub_user *out, snug_err *err)
{
    snug_slice  name = http_req_param(c->rq, "user");
    snug_status st = hub_find_user(c->hub, name, c->a, out, err);
    return st == SNUG_ENOTFOUND ? fail_nobody("user", name, err) : st;
}

static snug_status find_org(api_call *c, hub_org *out, snug_err *err)
{
    return hub_find_org(c->hub, http_req_param(c->rq, "org"), c->a, out, err);
}

/* ---- rendering ---- */

void api_put_avatar(api_call *c, snug_json_out *o, snug_slice name)
{
    snug_jo_key(o, "avatarUrl");
    snug_jo_strf(o, "%.*s/api/avatars/%.*s", SNUG_SLICE(http_req_base_url(c->rq)),
                 SNUG_SLICE(name));
}

static void put_person(api_call *c, snug_json_out *o, const hub_person *p, bool member)
{
    static const char *const roles[] = {"none", "read", "write", "admin"};
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "user");
    snug_jo_kstr(o, "user", p->name);
    snug_jo_kstr(o, "fullname", p->fullname);
    api_put_avatar(c, o, p->name);
    snug_jo_kbool(o, "isPro", false);
    if (member) snug_jo_kcstr(o, "role", roles[p->role]);
    snug_jo_end_object(o);
}

static void put_org_head(api_call *c, snug_json_out *o, const hub_org *org)
{
    snug_jo_kcstr(o, "type", "org");
    snug_jo_kstr(o, "name", org->name);
    snug_jo_kstr(o, "fullname", org->fullname);
    api_put_avatar(c, o, org->name);
    snug_jo_kstr(o, "details", org->details);
    snug_jo_kbool(o, "isVerified", false);
}

static void put_counts(snug_json_out *o, const hub_counts *n)
{
    snug_jo_kbool(o, "isFollowing", n->is_following);
    snug_jo_ku64(o, "numModels", n->models);
    snug_jo_ku64(o, "numDatasets", n->datasets);
    snug_jo_ku64(o, "numSpaces", n->spaces);
    snug_jo_ku64(o, "numFollowers", n->followers);
    snug_jo_ku64(o, "numPapers", 0);
}

/* ---- pages ---- */

static snug_status read_page(api_call *c, uint64_t *after, uint64_t *limit, snug_err *err)
{
    snug_status st = api_query_u64(c, "limit", PEOPLE_PAGE, 1, PEOPLE_MAX, limit, err);
    if (st != SNUG_OK) return st;
    return api_query_u64(c, "cursor", 0, 0, INT32_MAX, after, err);
}

static void set_next(api_call *c, size_t count, uint64_t limit, int64_t key)
{
    if (count == limit) api_set_next(c, "cursor", snug_arena_printf(c->a, "%lld", (long long)key));
}

static snug_status reply_people(api_call *c, hub_people kind, int64_t of, snug_err *err)
{
    snug_status   st = SNUG_OK;
    uint64_t      after, limit;
    hub_person   *list;
    size_t        count;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(read_page(c, &after, &limit, err));
    SNUG_TRY(
        hub_list_people(c->hub, kind, of, (int64_t)after, (size_t)limit, c->a, &list, &count, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_person(c, &o, &list[i], kind == HUB_ORG_MEMBERS);
    snug_jo_end_array(&o);
    if (count > 0) set_next(c, count, limit, list[count - 1].key);
    SNUG_TRY(api_reply_json(c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_likers(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (here) SNUG_TRY(reply_people(&c, HUB_LIKERS, c.info->row, err));
done:
    api_done(&c);
    return st;
}

static snug_status user_people(http_req *rq, http_res *rs, hub_people kind, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    hub_user    user;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(find_user(&c, &user, err));
    SNUG_TRY(reply_people(&c, kind, user.id, err));
done:
    return st;
}

static snug_status org_people(http_req *rq, http_res *rs, hub_people kind, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    hub_org     org;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(find_org(&c, &org, err));
    SNUG_TRY(reply_people(&c, kind, org.id, err));
done:
    return st;
}

snug_status api_followers(http_req *rq, http_res *rs, snug_err *err)
{
    return user_people(rq, rs, HUB_FOLLOWERS, err);
}

snug_status api_following(http_req *rq, http_res *rs, snug_err *err)
{
    return user_people(rq, rs, HUB_FOLLOWING, err);
}

snug_status api_org_followers(http_req *rq, http_res *rs, snug_err *err)
{
    return org_people(rq, rs, HUB_ORG_FOLLOWERS, err);
}

snug_status api_org_members(http_req *rq, http_res *rs, snug_err *err)
{
    return org_people(rq, rs, HUB_ORG_MEMBERS, err);
}

snug_status api_user_likes(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    hub_user       user;
    uint64_t       after, limit;
    hub_like_item *list;
    size_t         count;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(find_user(&c, &user, err));
    SNUG_TRY(read_page(&c, &after, &limit, err));
    SNUG_TRY(hub_list_likes(c.hub, &c.who, user.id, (int64_t)after, (size_t)limit, c.a, &list,
                            &count, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
        snug_jo_begin_object(&o);
        api_jo_time(&o, "createdAt", list[i].created_ms);
        snug_jo_key(&o, "repo");
        snug_jo_begin_object(&o);
        snug_jo_key(&o, "name");
        snug_jo_strf(&o, "%.*s/%.*s", SNUG_SLICE(list[i].ns), SNUG_SLICE(list[i].name));
        snug_jo_kcstr(&o, "type", hub_type_name(list[i].type));
        snug_jo_end_object(&o);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    if (count > 0) set_next(&c, count, limit, list[count - 1].key);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- overviews ---- */

static snug_status put_orgs_of(api_call *c, snug_json_out *o, int64_t user, snug_err *err)
{
    hub_org    *orgs;
    size_t      count;
    snug_status st = hub_list_orgs(c->hub, user, c->a, &orgs, &count, err);
    if (st != SNUG_OK) return st;
    snug_jo_key(o, "orgs");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < count; i++) {
        snug_jo_begin_object(o);
        put_org_head(c, o, &orgs[i]);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
    return SNUG_OK;
}

snug_status api_user_overview(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_user      user;
    hub_counts    n;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(find_user(&c, &user, err));
    SNUG_TRY(hub_count_around(c.hub, &c.who, false, user.id, user.name, &n, err));
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "user");
    snug_jo_kstr(&o, "user", user.name);
    snug_jo_kstr(&o, "fullname", user.fullname.len > 0 ? user.fullname : user.name);
    api_put_avatar(&c, &o, user.name);
    snug_jo_kbool(&o, "isPro", false);
    put_counts(&o, &n);
    snug_jo_ku64(&o, "numDiscussions", n.discussions);
    snug_jo_ku64(&o, "numUpvotes", 0);
    snug_jo_ku64(&o, "numLikes", n.likes);
    snug_jo_ku64(&o, "numFollowing", n.following);
    api_jo_time(&o, "createdAt", user.created_ms);
    SNUG_TRY(put_orgs_of(&c, &o, user.id, err));
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_org_overview(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_org       org;
    hub_counts    n;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(find_org(&c, &org, err));
    SNUG_TRY(hub_count_around(c.hub, &c.who, true, org.id, org.name, &n, err));
    snug_jo_begin_object(&o);
    put_org_head(&c, &o, &org);
    put_counts(&o, &n);
    snug_jo_ku64(&o, "numUsers", n.members);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- changes ---- */

static snug_status reply_done(http_res *rs)
{
    http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                      SNUG_LIT("{\"success\":true}"));
    return SNUG_OK;
}

snug_status api_like(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(hub_like(c.hub, &c.who, c.info, http_req_verb(rq) == HTTP_POST, err));
    SNUG_TRY(reply_done(rs));
done:
    api_done(&c);
    return st;
}

snug_status api_follow(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    hub_user    user;
    hub_org     org;
    bool        is_org = http_req_param(rq, "org").len > 0;

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (is_org)
        SNUG_TRY(find_org(&c, &org, err));
    else
        SNUG_TRY(find_user(&c, &user, err));
    SNUG_TRY(hub_follow(c.hub, &c.who, is_org, is_org ? org.id : user.id,
                        http_req_verb(rq) == HTTP_POST, err));
    SNUG_TRY(reply_done(rs));
done:
    return st;
}

/* ---- a picture for everyone: the first letter on a colour of the name's own ---- */

snug_status api_avatar(http_req *rq, http_res *rs, snug_err *err)
{
    snug_slice  name = http_req_param(rq, "name");
    snug_buf    b = snug_buf_init(1024);
    snug_sha256 hash = snug_sha256_of(name);
    char        letter = name.len > 0 ? name.ptr[0] : '?';

    if (hub_check_name(name, "name", err) != SNUG_OK) {
        snug_buf_deinit(&b);
        return fail_nobody("user", name, err);
    }
    if (letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
    snug_buf_printf(
        &b,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\"><rect "
        "width=\"64\" height=\"64\" fill=\"hsl(%d,45%%,45%%)\"/><text x=\"32\" y=\"43\" "
        "font-family=\"sans-serif\" font-size=\"32\" fill=\"#fff\" "
        "text-anchor=\"middle\">%c</text></svg>",
        hash.b[0] * 360 / 256, letter);
    http_set_header(rs, "Cache-Control", SNUG_LIT("public, max-age=86400"));
    http_set_header(rs, "Content-Security-Policy", SNUG_LIT("default-src 'none'; sandbox"));
    http_reply_bytes(rs, SNUG_LIT("image/svg+xml"), &b);
    return SNUG_OK;
}
