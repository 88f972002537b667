/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: remote - what a server or an old run left us: journals, notes, listings, links, globs. */
#include <stdint.h>
#include <stdlib.h>

#include "remote/remote_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_tree(snug_slice s)
{
    snug_arena  *a = snug_arena_new();
    remote_files f = {0};
    snug_json    v;
    snug_err     err = {0};
    if (snug_json_parse(a, s, NULL, &v, &err) == SNUG_OK &&
        remote_add_tree(v, a, &f, &err) == SNUG_OK) {
        for (size_t i = 0; i < f.count; i++) {
            SNUG_ASSERT(remote_check_path(f.v[i].path, NULL) == SNUG_OK);
            SNUG_ASSERT(remote_check_etag(f.v[i].etag, NULL) == SNUG_OK);
        }
    }
    free(f.v);
    snug_arena_free(a);
}

static void fuzz_journal(snug_slice s)
{
    remote_journal j;
    if (s.len < 8) return;
    uint64_t size = 0;
    for (unsigned i = 0; i < 8; i++) size = size << 8 | (unsigned char)s.ptr[i];
    if (remote_journal_read(snug_sub(s, 8, SIZE_MAX), SNUG_LIT("e"), size, &j, NULL) == SNUG_OK) {
        SNUG_ASSERT(remote_journal_done(&j) <= size);
    }
}

static void fuzz_glob(snug_slice s)
{
    snug_slice pattern;
    if (snug_split(&s, '\n', &pattern) && s.ptr != NULL && pattern.len < 200 && s.len < 2000)
        (void)remote_glob(pattern, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    snug_slice  s = snug_slice_of(data + 1, size - 1);
    remote_note note;
    remote_repo repo;
    switch (data[0] % 6) {
    case 0:
        fuzz_tree(s);
        break;
    case 1:
        fuzz_journal(s);
        break;
    case 2:
        (void)remote_note_parse(s, &note);
        break;
    case 3:
        (void)remote_next_link(s);
        break;
    case 4:
        fuzz_glob(s);
        break;
    default: {
        snug_status st = remote_parse_repo(s, NULL, &repo, NULL);
        (void)st;
    }
    }
    return 0;
}
