/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: vcs
 * fuzz/fuzz_push.c - any bytes as the head of a push: framing, commands, capabilities. What is
 * accepted has names by git's rules or a reason, and its report can be read back piece by piece. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    snug_slice left;
    size_t     step; /* how many come at once */
} bytes;

static snug_status pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    bytes     *b = arg;
    snug_slice part = snug_sub(b->left, 0, n < b->step ? n : b->step);
    (void)err;
    if (part.len > 0) memcpy(p, part.ptr, part.len);
    b->left = snug_sub(b->left, part.len, b->left.len);
    *got = part.len;
    return SNUG_OK;
}

static vcs *v;
static char dir[] = "/tmp/snug-fuzz-push-XXXXXX";

static void clean_up(void)
{
    vcs_close(v);
    if (snug_remove_tree(dir, NULL) != SNUG_OK) (void)fprintf(stderr, "%s stays behind\n", dir);
}

/* One empty repository for all inputs: nothing is ever received into it. */
static vcs *repository(void)
{
    snug_err err = {0};
    if (v != NULL) return v;
    SNUG_ASSERT(mkdtemp(dir) != NULL);
    SNUG_ASSERT(vcs_open(dir, &v, &err) == SNUG_OK);
    SNUG_ASSERT(vcs_create_repo(v, SNUG_LIT("fuzzfuzz"), &err) == SNUG_OK);
    (void)atexit(clean_up);
    return v;
}

static void read_report(vcs_push *p, size_t count)
{
    SNUG_AUTO(snug_buf) out = snug_buf_init(32 << 20);
    vcs_push_refuse(p, NULL, "not today");
    vcs_push_say(p, "a line with a \x1b and %s", "words");
    vcs_push_report(p, &out);
    SNUG_ASSERT(!out.full);
    bytes       b = {snug_buf_slice(&out), 4096};
    vcs_pipe    io = {.pull = pull, .arg = &b};
    vcs_pkt_in *in = calloc(1, sizeof *in);
    vcs_pkt     kind = VCS_PKT_DATA;
    snug_slice  piece;
    size_t      pieces = 0;
    SNUG_ASSERT(in != NULL);
    in->io = &io;
    while (kind != VCS_PKT_END) {
        SNUG_ASSERT(vcs_pkt_read(in, &kind, &piece, NULL) == SNUG_OK);
        SNUG_ASSERT(kind != VCS_PKT_OTHER);
        pieces++;
    }
    SNUG_ASSERT(pieces <= count + 16);
    free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_err  err = {0};
    vcs_push *p;
    size_t    count;
    bytes     b = {snug_slice_of(data, size), size % 7 == 0 ? 3 : 1 << 16};
    vcs_pipe  io = {.pull = pull, .arg = &b};

    SNUG_ASSERT(vcs_push_open(repository(), SNUG_LIT("fuzzfuzz"), &p, &err) == SNUG_OK);
    if (vcs_push_read(p, &io, &err) == SNUG_OK) {
        vcs_push_ref *refs = vcs_push_refs(p, &count);
        for (size_t i = 0; i < count; i++) {
            SNUG_ASSERT(refs[i].refused.ptr != NULL || vcs_ref_name_ok(refs[i].ref));
            SNUG_ASSERT(refs[i].refused.ptr != NULL || refs[i].has_old || refs[i].has_new);
        }
        if (count > 0) read_report(p, count);
    } else {
        SNUG_ASSERT(err.msg[0] != '\0');
    }
    vcs_push_close(p);
    return 0;
}
