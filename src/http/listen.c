/* SPDX-License-Identifier: Apache-2.0 */
/* http/listen.c - from "127.0.0.1:8421", "[::1]:0" or "unix:/path" to a listening descriptor.
 *
 * For:     server.c.
 * Threads: the one that starts the server.
 * Truth:   a unix socket is readable and writable by its owner alone before it accepts anyone. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/http_int.h"

enum { LISTEN_BACKLOG = 1024, SOCKET_FLAGS = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC };

static struct sockaddr *generic(void *sa) { return (struct sockaddr *)sa; }

/* A socket file nobody answers on is left over from a crash. */
static void remove_stale(const struct sockaddr_un *sa)
{
    struct stat sb;
    if (lstat(sa->sun_path, &sb) != 0 || !S_ISSOCK(sb.st_mode)) return;
    int  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof *sa) != 0 &&
                errno == ECONNREFUSED;
    if (fd >= 0) (void)close(fd);
    if (dead) (void)unlink(sa->sun_path);
}

static snug_status listen_unix(http_server *s, const char *path, snug_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t             n = strlen(path);
    if (n == 0 || n >= sizeof sa.sun_path)
        return snug_fail(err, SNUG_EINVAL, "a socket path has 1 to %zu bytes: %s",
                         sizeof sa.sun_path - 1, path);
    memcpy(sa.sun_path, path, n + 1);
    remove_stale(&sa);
    s->listen_fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (s->listen_fd < 0) return snug_fail_sys(err, errno, "socket");
    /* Between bind and listen nobody can connect, so the mode is right before it matters. */
    if (bind(s->listen_fd, generic(&sa), sizeof sa) != 0)
        return snug_fail(err, SNUG_EINVAL, "cannot listen on unix:%s: %s", path, strerror(errno));
    s->unix_path = snug_strdup(snug_str(path));
    if (chmod(path, 0600) != 0 || listen(s->listen_fd, LISTEN_BACKLOG) != 0)
        return snug_fail_sys(err, errno, "listening on %s", path);
    s->listen_url = snug_strdup(SNUG_LIT("http://localhost"));
    return SNUG_OK;
}

/* "host:port", "[v6]:port", ":port" and "*:port". */
static bool split_host(const char *where, char host[256], char port[16])
{
    const char *colon = strrchr(where, ':');
    if (colon == NULL) return false;
    size_t n = (size_t)(colon - where);
    if (n >= 2 && where[0] == '[' && where[n - 1] == ']') {
        where++;
        n -= 2;
    } else if (memchr(where, ':', n) != NULL) {
        return false; /* an IPv6 address without its brackets */
    }
    uint64_t number;
    if (n >= 256 || strlen(colon + 1) >= 16 || !snug_parse_u64(snug_str(colon + 1), &number) ||
        number > 65535)
        return false;
    (void)snprintf(host, 256, "%.*s", (int)n, where);
    (void)snprintf(port, 16, "%s", colon + 1);
    if (strcmp(host, "*") == 0) host[0] = '\0';
    return true;
}

static int try_bind(const struct addrinfo *ai)
{
    int one = 1, zero = 0;
    int fd = socket(ai->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0) return fd;
    int keep = errno;
    (void)close(fd);
    errno = keep;
    return -1;
}

static snug_status note_address(http_server *s, const char *host, snug_err *err)
{
    struct sockaddr_storage sa;
    socklen_t               n = sizeof sa;
    memset(&sa, 0, sizeof sa);
    if (getsockname(s->listen_fd, generic(&sa), &n) != 0)
        return snug_fail_sys(err, errno, "getsockname");
    bool v6 = sa.ss_family == AF_INET6;
    s->port = ntohs(v6 ? ((struct sockaddr_in6 *)(void *)&sa)->sin6_port
                       : ((struct sockaddr_in *)(void *)&sa)->sin_port);
    bool anywhere = host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    char url[320];
    bool bracket = !anywhere && strchr(host, ':') != NULL;
    (void)snprintf(url, sizeof url, "http://%s%s%s:%u", bracket ? "[" : "",
                   anywhere ? "localhost" : host, bracket ? "]" : "", (unsigned)s->port);
    s->listen_url = snug_strdup(snug_str(url));
    return SNUG_OK;
}

snug_status http_listen(http_server *s, const char *where, snug_err *err)
{
    char host[256], port[16];
    if (strncmp(where, "unix:", 5) == 0) return listen_unix(s, where + 5, err);
    if (!split_host(where, host, port))
        return snug_fail(err, SNUG_EINVAL,
                         "%s is no address to listen on; write host:port or unix:/path", where);
    struct addrinfo  hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int              rc = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &list);
    if (rc != 0)
        return snug_fail(err, SNUG_EINVAL, "cannot listen on %s: %s", where, gai_strerror(rc));
    for (const struct addrinfo *ai = list; ai != NULL && s->listen_fd < 0; ai = ai->ai_next)
        s->listen_fd = try_bind(ai);
    int errnum = errno;
    freeaddrinfo(list);
    if (s->listen_fd < 0)
        return snug_fail(err, SNUG_EINVAL, "cannot listen on %s: %s", where, strerror(errnum));
    return note_address(s, host, err);
}
