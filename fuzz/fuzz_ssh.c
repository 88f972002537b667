/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: cli - what comes in by SSH: the command line, a public key, and the packets of an answer.
 * needs: hub */
#include <stdlib.h>

#include "cli/ssh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that comes out of the filter was part of what went in, and in the same order. */
typedef struct sink {
    snug_slice whole;
    size_t     at;
} sink;

static snug_status take(void *arg, snug_slice bytes, snug_err *err)
{
    sink *s = arg;
    (void)err;
    if (bytes.len == 0) return SNUG_OK;
    size_t found = snug_find(snug_sub(s->whole, s->at, SIZE_MAX), bytes);
    SNUG_ASSERT(found != SIZE_MAX);
    s->at += found + bytes.len;
    return SNUG_OK;
}

static void feed(snug_slice text, ssh_ask ask, bool deepen, bool multi, size_t step)
{
    SNUG_AUTO(snug_buf) common = snug_buf_init(1 << 20);
    sink       s = {text, 0};
    ssh_filter f = {.deepen = deepen, .multi = multi, .common = &common, .write = take, .arg = &s};
    snug_err   err = {0};
    f.held = snug_buf_init(1 << 20);
    ssh_filter_begin(&f, ask);
    for (size_t i = 0; i < text.len; i += step) {
        if (ssh_filter_feed(&f, snug_sub(text, i, step), &err) != SNUG_OK) break;
    }
    snug_buf_deinit(&f.held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice  text = snug_slice_of(data, size), kind, blob, comment;
    ssh_command cmd;
    snug_err    err = {0};

    if (ssh_parse_command(text, &cmd, &err) == SNUG_OK) {
        hub_repo_id again;
        SNUG_ASSERT(hub_parse_id(cmd.repo.type, snug_str(cmd.repo.ns), snug_str(cmd.repo.name),
                                 &again, &err) == SNUG_OK);
    }
    if (hub_parse_ssh_key(text, &kind, &blob, &comment, &err) == SNUG_OK)
        SNUG_ASSERT(kind.ptr >= text.ptr && blob.ptr > kind.ptr &&
                    snug_index(blob, '"') == SIZE_MAX);
    for (unsigned i = 0; size > 0 && i < 12; i++)
        feed(text, (ssh_ask)(i % 3), i & 1, i & 2, i < 6 ? size : 1 + data[0] % 7u);
    return 0;
}
