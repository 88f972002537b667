/* SPDX-License-Identifier: Apache-2.0 */
/* http/guard.c - which addresses a call that an outsider asked for may reach.
 *
 * Our own network trusts us: a webhook's address must not lead to a printer, a database or a
 * cloud's metadata. What counts is the address a socket is about to connect to, not the name: a
 * name can be answered differently a moment later.
 *
 * For:     client.c, for calls with a guard; whoever wants to refuse an address early.
 * Owns:    the list of networks that are nobody's business.
 * Threads: any; a guard is read only once made. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/http_int.h"

enum { NETS_MAX = 64 };

typedef struct net {
    unsigned char b[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned      bits;
} net;

struct http_guard {
    net    allowed[NETS_MAX];
    size_t count;
};

static const char *const closed[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "::/128",        "::1/128",         "::/96",          "64:ff9b:1::/48", "100::/64",
    "2001::/23",     "2001:db8::/32",   "fc00::/7",       "fe80::/10",      "fec0::/10",
    "ff00::/8"};

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_address(const char *text, unsigned char out[16], bool *four)
{
    struct in_addr v4;
    *four = inet_pton(AF_INET, text, &v4) == 1;
    if (!*four) return inet_pton(AF_INET6, text, out) == 1;
    memcpy(out, mapped, 12);
    memcpy(out + 12, &v4, 4);
    return true;
}

/* "10.0.0.0/8", "fd00::/8", or one address. */
static bool parse_net(snug_slice s, net *out)
{
    char       text[64];
    snug_slice address;
    uint64_t   bits;
    bool       four, cut = snug_index(s, '/') != SIZE_MAX;
    (void)snug_split(&s, '/', &address);
    address = snug_trim(address);
    if (address.len >= sizeof text) return false;
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    if (!parse_address(text, out->b, &four)) return false;
    if (!cut)
        bits = four ? 32 : 128;
    else if (!snug_parse_u64(snug_trim(s), &bits) || bits > (four ? 32u : 128u))
        return false;
    out->bits = (unsigned)bits + (four ? 96 : 0);
    return true;
}

static bool in_net(const unsigned char a[16], const net *n)
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(a, n->b, whole) != 0) return false;
    return rest == 0 || (a[whole] ^ n->b[whole]) >> (8 - rest) == 0;
}

static bool is_closed(const unsigned char a[16])
{
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        net n;
        SNUG_ASSERT(parse_net(snug_str(closed[i]), &n));
        if (in_net(a, &n)) return true;
    }
    return false;
}

/* IPv4 addresses that travel inside others. */
static bool unwrap(const unsigned char a[16], unsigned char out[16])
{
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};
    memcpy(out, mapped, 12);
    if (memcmp(a, nat64, 12) == 0) { /* 64:ff9b::a.b.c.d */
        memcpy(out + 12, a + 12, 4);
        return true;
    }
    if (a[0] == 0x20 && a[1] == 0x02) { /* 2002:aabb:ccdd:: */
        memcpy(out + 12, a + 2, 4);
        return true;
    }
    return false;
}

static bool may_reach(const http_guard *g, const unsigned char a[16])
{
    unsigned char inner[16];
    for (size_t i = 0; i < g->count; i++) {
        if (in_net(a, &g->allowed[i])) return true;
    }
    return !is_closed(a) && !(unwrap(a, inner) && is_closed(inner));
}

snug_status http_guard_new(snug_slice allowed, http_guard **out, snug_err *err)
{
    http_guard *g = snug_zalloc(sizeof *g);
    snug_slice  one;
    while (allowed.len > 0 && snug_split(&allowed, ',', &one)) {
        one = snug_trim(one);
        if (one.len == 0) continue;
        if (g->count == NETS_MAX || !parse_net(one, &g->allowed[g->count])) {
            free(g);
            return snug_fail(err, SNUG_EINVAL, "\"%.*s\" is no network such as 10.0.0.0/8",
                             SNUG_SLICE(snug_sub(one, 0, 80)));
        }
        g->count++;
    }
    *out = g;
    return SNUG_OK;
}

void http_guard_free(http_guard *g) { free(g); }

bool http_guard_allows(const http_guard *g, const struct sockaddr *sa)
{
    unsigned char a[16];
    if (sa->sa_family == AF_INET) {
        memcpy(a, mapped, 12);
        memcpy(a + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(a, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    } else {
        return false;
    }
    return may_reach(g, a);
}

/* The host of an http address, without brackets; empty when this is none. */
static snug_slice host_of(snug_slice url, bool *has_user)
{
    snug_slice rest, host;
    size_t     at, end;
    if (snug_starts_with(url, "http://"))
        rest = snug_sub(url, 7, url.len);
    else if (snug_starts_with(url, "https://"))
        rest = snug_sub(url, 8, url.len);
    else
        return SNUG_EMPTY;
    for (end = 0; end < rest.len && strchr("/?#", rest.ptr[end]) == NULL;) end++;
    host = snug_sub(rest, 0, end);
    at = snug_rindex(host, '@');
    *has_user = at != SIZE_MAX;
    if (host.len > 0 && host.ptr[0] == '[') {
        end = snug_index(host, ']');
        return end == SIZE_MAX ? SNUG_EMPTY : snug_sub(host, 1, end - 1);
    }
    end = snug_index(host, ':');
    return end == SIZE_MAX ? host : snug_sub(host, 0, end);
}

snug_status http_guard_check_url(const http_guard *g, snug_slice url, snug_err *err)
{
    char          text[256];
    unsigned char a[16];
    bool          four, has_user = false;
    snug_slice    host = host_of(url, &has_user);

    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= 0x20 || (unsigned char)url.ptr[i] >= 0x7f)
            host = SNUG_EMPTY; /* what is not ASCII travels percent-encoded */
    }
    if (host.len == 0 || host.len >= sizeof text || url.len > 2048)
        return snug_fail(err, SNUG_EINVAL, "\"url\" must be an http or https address");
    if (has_user) return snug_fail(err, SNUG_EINVAL, "\"url\" must not hold a user or a password");
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (parse_address(text, a, &four) && !may_reach(g, a))
        return snug_fail(err, SNUG_EINVAL,
                         "\"url\" leads to a private address; the operator can allow its network "
                         "with webhook-allow");
    return SNUG_OK;
}
