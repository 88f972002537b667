/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: remote - what a Xet store answers and what older uploads and downloads left on the disk. */
#include <stdint.h>
#include <stdlib.h>

#include "remote/xet_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_recon(snug_slice s)
{
    snug_arena  *a = snug_arena_new();
    snug_json    v;
    remote_recon r;
    if (snug_json_parse(a, s, NULL, &v, NULL) == SNUG_OK &&
        remote_recon_read(v, a, 100, false, &r, NULL) == SNUG_OK) {
        for (size_t i = 0; i < r.term_count; i++) {
            const remote_span *p = &r.spans[r.terms[i].span];
            SNUG_ASSERT(p->start <= r.terms[i].start && r.terms[i].end <= p->end &&
                        p->from < p->to);
        }
    }
    snug_arena_free(a);
}

static void fuzz_ticket(snug_slice s)
{
    snug_arena   *a = snug_arena_new();
    snug_json     v;
    remote_ticket t;
    if (snug_json_parse(a, s, NULL, &v, NULL) == SNUG_OK &&
        remote_ticket_read(v, false, &t, NULL) == SNUG_OK)
        SNUG_ASSERT(snug_index(t.token, '\n') == SIZE_MAX && t.cas.len > 0);
    snug_arena_free(a);
}

static void fuzz_log(snug_slice s)
{
    remote_seen seen;
    size_t      chunks = 0;
    for (snug_slice rest = s; remote_seen_next(&rest, &seen);) chunks += seen.count;
    SNUG_ASSERT(chunks <= s.len / 36);
}

static void fuzz_answer(snug_slice s)
{
    (void)setenv("HF_XET_CACHE", "/proc/nowhere", 1); /* nothing is written */
    remote_known *k = remote_known_open("fuzz", false);
    remote_place  at;
    xet_hash      h = xet_chunk_hash(s);
    if (remote_known_answer(k, s, NULL) == SNUG_OK) (void)remote_known_find(k, &h, &at);
    remote_known_close(k);
}

static void fuzz_blocks(snug_slice s)
{
    xet_hash      file = {{0}};
    remote_blocks b;
    remote_blocks_plan(&b, SNUG_LIT("e"), &file, 3ull * REMOTE_XET_BLOCK);
    snug_status st = remote_blocks_read(s, &b, NULL);
    (void)st;
    free(b.done);
}

static void fuzz_kept(snug_slice s)
{
    remote_kept e;
    if (remote_kept_read(s, &e, NULL) == SNUG_OK)
        SNUG_ASSERT(e.table.len == (size_t)e.count * 36 && e.records.len <= s.len);
}

static void fuzz_line(snug_slice s)
{
    bool        end, retry;
    snug_status st = pack_read_line(s, &end, &retry, NULL);
    SNUG_ASSERT(st != SNUG_OK || !retry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(snug_slice) = {fuzz_recon,  fuzz_ticket, fuzz_log, fuzz_answer,
                                                  fuzz_blocks, fuzz_kept,   fuzz_line};
    if (size > 0)
        targets[data[0] % (sizeof targets / sizeof *targets)](snug_slice_of(data + 1, size - 1));
    return 0;
}
