/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ssh_filter.c - makes the answers of stateless upload-pack fit a stateful conversation.
 *
 * Over SSH, git's protocol 0 and 1 is one long conversation; the hub serves it as over HTTP, where
 * each question repeats what was said before (the wants, and what is known to be common). So each
 * answer repeats itself too, and this takes out what the client has heard:
 *
 *     question                      answer, and what is left of it
 *     wants, deepen                 shallow list 0000 [NAK]        the list, once
 *     wants, common, haves 0000     [list] ACK... NAK              no list, no ACK heard before
 *     wants, common, haves, done    [list] ACK... ACK|NAK pack     the same, then all the rest
 *
 * (Documentation/gitprotocol-pack of git describes the packets.) Protocol 2 has no memory anywhere
 * and needs none of this.
 *
 * For:     ssh_bridge.c; fuzzed.
 * Threads: one per filter. */
#include "cli/ssh.h"

#include <inttypes.h>

enum { IN_LIST, IN_ACKS, IN_REST, IN_NOTHING };
enum { HEX = 40 };

int ssh_packet_size(snug_slice s)
{
    unsigned char b[2];
    if (s.len < 4) return 0;
    if (!snug_unhex(snug_sub(s, 0, 4), b, 2)) return -1;
    size_t n = (size_t)b[0] << 8 | b[1];
    if (n < 4) return n == 3 ? -1 : 4;
    return s.len < n ? 0 : (int)n;
}

void ssh_filter_begin(ssh_filter *f, ssh_ask ask)
{
    f->ask = ask;
    f->state = f->deepen ? IN_LIST : IN_ACKS;
    snug_buf_clear(&f->held);
}

static bool is_known(const ssh_filter *f, snug_slice oid)
{
    return snug_find(snug_buf_slice(f->common), oid) != SIZE_MAX;
}

/* "ACK <oid>[ common| continue| ready]". *heard: it says nothing new. */
static void take_ack(ssh_filter *f, snug_slice line, bool *heard)
{
    snug_slice oid = snug_sub(line, 4, HEX), how = snug_trim(snug_sub(line, 4 + HEX, SIZE_MAX));
    bool       shared = snug_eq_str(how, "common") || snug_eq_str(how, "continue");
    *heard = false;
    if (oid.len != HEX || (!shared && (f->multi || how.len > 0))) return;
    *heard = is_known(f, oid);
    if (!*heard) snug_buf_printf(f->common, "0032have %.*s\n", SNUG_SLICE(oid));
}

/* One whole packet. */
static snug_status take(ssh_filter *f, snug_slice packet, snug_err *err)
{
    snug_slice line = snug_sub(packet, 4, SIZE_MAX);
    bool       heard = false;

    if (f->state == IN_LIST) {
        if (packet.len == 4) f->state = f->ask == SSH_ASK_SHALLOW ? IN_NOTHING : IN_ACKS;
        return f->ask == SSH_ASK_SHALLOW ? f->write(f->arg, packet, err) : SNUG_OK;
    }
    if (snug_starts_with(line, "ACK ")) {
        take_ack(f, line, &heard);
        if (f->common->full)
            return snug_fail(err, SNUG_ELIMIT, "this fetch takes too many rounds: clone anew");
    } else if (!snug_starts_with(line, "NAK")) {
        f->state = IN_REST;
    }
    return heard ? SNUG_OK : f->write(f->arg, packet, err);
}

snug_status ssh_filter_feed(ssh_filter *f, snug_slice bytes, snug_err *err)
{
    snug_status st = SNUG_OK;

    if (f->state == IN_REST && f->held.len == 0) return f->write(f->arg, bytes, err);
    if (f->state == IN_NOTHING) return SNUG_OK;
    snug_buf_put_slice(&f->held, bytes);
    SNUG_TRY(snug_buf_check(&f->held, "the answer", err));
    snug_slice rest = snug_buf_slice(&f->held);
    while (rest.len > 0 && (f->state == IN_LIST || f->state == IN_ACKS)) {
        int n = ssh_packet_size(rest);
        if (n == 0) break;
        if (n < 0) { /* a pack without side bands */
            f->state = IN_REST;
            break;
        }
        SNUG_TRY(take(f, snug_sub(rest, 0, (size_t)n), err));
        rest = snug_sub(rest, (size_t)n, SIZE_MAX);
    }
    if (f->state == IN_REST && rest.len > 0) {
        SNUG_TRY(f->write(f->arg, rest, err));
        rest = SNUG_EMPTY;
    }
    if (f->state == IN_NOTHING) rest = SNUG_EMPTY;
    snug_slice kept = rest; /* lies at the end of the same buffer */
    memmove(f->held.ptr, kept.ptr != NULL ? kept.ptr : f->held.ptr, kept.len);
    f->held.len = kept.len;
done:
    return st;
}
