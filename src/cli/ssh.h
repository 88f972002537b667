/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ssh.h - git over SSH, between sshd's pipes and the running hub. Private to cli/, its tests
 * and fuzz targets. */
#ifndef SNUG_CLI_SSH_H
#define SNUG_CLI_SSH_H

#include "http/http.h"
#include "hub/hub.h"

/* ---- ssh_command.c: what the client asked for ---- */
typedef enum ssh_verb { SSH_FETCH, SSH_PUSH, SSH_LFS_READ, SSH_LFS_WRITE } ssh_verb;
typedef struct ssh_command {
    ssh_verb    verb;
    hub_repo_id repo;
} ssh_command;
/* SSH_ORIGINAL_COMMAND. Nothing of it is ever given to a shell: a word is a verb of ours and a path
 * is the name of a repository, or the whole is refused with a sentence. */
snug_status ssh_parse_command(snug_slice text, ssh_command *out, snug_err *err) SNUG_MUST_USE;

/* ---- ssh_filter.c: the answers of a server without memory, as one that remembers gives them ----
 * See there. */
typedef enum ssh_ask { SSH_ASK_SHALLOW, SSH_ASK_HAVES, SSH_ASK_DONE } ssh_ask;
typedef struct ssh_filter {
    ssh_ask   ask;
    bool      deepen, multi; /* of the whole fetch: set once */
    snug_buf *common;        /* "have <oid>" packets of what both sides have, grows */
    snug_status (*write)(void *arg, snug_slice bytes, snug_err *err);
    void    *arg;
    snug_buf held; /* a packet that is not whole yet */
    int      state;
} ssh_filter;
void        ssh_filter_begin(ssh_filter *f, ssh_ask ask); /* the next answer */
snug_status ssh_filter_feed(ssh_filter *f, snug_slice bytes, snug_err *err) SNUG_MUST_USE;
/* Length of the packet at the front of `s` (4 for flush and its like); 0: not whole, -1: no packet.
 */
int ssh_packet_size(snug_slice s);

/* ---- ssh_bridge.c ---- */
typedef struct ssh_bridge {
    http_client *http;
    snug_arena  *a;
    const char  *url;      /* of the repository */
    snug_slice   ticket;   /* for the Authorization header */
    snug_slice   protocol; /* GIT_PROTOCOL as the client sent it, checked; may be empty */
    int          in, out;
} ssh_bridge;
/* Serve one session; SNUG_OK when the client left satisfied. */
snug_status ssh_serve_fetch(ssh_bridge *b, snug_err *err) SNUG_MUST_USE;
snug_status ssh_serve_push(ssh_bridge *b, snug_err *err) SNUG_MUST_USE;

#endif
