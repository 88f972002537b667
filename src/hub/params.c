/* SPDX-License-Identifier: Apache-2.0 */
/* hub/params.c - how many parameters a model has, from the headers of its safetensors files.
 *
 * For:     the row's content (lists sort and filter by it); the `safetensors` key of the API.
 * Owns:    nothing.
 * Threads: the caller's git handle and arena.
 * Truth:   counted tensor by tensor, never taken from a card. A file that is missing, too large or
 *          broken counts nothing, and then nothing is told at all: half a number misleads. */
#include "codec/codec.h"
#include "hub/hub_int.h"

enum { HEADER_MAX = 16 << 20, INDEX_MAX = 16 << 20, SHARDS_MAX = 512 };

typedef struct counter {
    hub           *h;
    int64_t        row;
    vcs_repo      *git;
    const vcs_oid *commit;
    snug_arena    *a;
    uint64_t      *by_type, total;
} counter;

static bool read_range(counter *c, const vcs_entry *e, snug_slice whole, uint64_t off, size_t n,
                       char *out)
{
    if (e->lfs.is_lfs) {
        blob_id    id = {e->lfs.oid};
        hub_object o;
        return hub_find_object(c->h, c->row, &id, c->a, &o, NULL) == SNUG_OK &&
               hub_read_object(c->h, &o, off, out, n, NULL) == SNUG_OK;
    }
    if (off > whole.len || n > whole.len - off) return false;
    memcpy(out, whole.ptr + off, n);
    return true;
}

static bool read_header(counter *c, snug_slice path, codec_safetensors *out)
{
    char       first[8], *head;
    uint64_t   size;
    vcs_entry  e;
    snug_slice whole = SNUG_EMPTY;
    if (vcs_find_entry(c->git, c->commit, path, c->a, &e, NULL) != SNUG_OK || e.kind != VCS_FILE)
        return false;
    if (!e.lfs.is_lfs && vcs_read_blob(c->git, &e.oid, HEADER_MAX, c->a, &whole, NULL) != SNUG_OK)
        return false;
    if (e.size < 8 || !read_range(c, &e, whole, 0, 8, first)) return false;
    if (codec_safetensors_header_size(snug_slice_of(first, 8), e.size, &size, NULL) != SNUG_OK)
        return false;
    if (size > HEADER_MAX || size + 8 > e.size) return false;
    head = snug_arena_alloc_try(c->a, (size_t)size + 8);
    return head != NULL && read_range(c, &e, whole, 0, (size_t)size + 8, head) &&
           codec_safetensors_parse(c->a, snug_slice_of(head, (size_t)size + 8), e.size, out,
                                   NULL) == SNUG_OK;
}

static bool count_file(counter *c, snug_slice path)
{
    codec_safetensors st;
    if (!read_header(c, path, &st)) return false;
    for (size_t i = 0; i < st.count; i++) {
        unsigned bits = codec_dtype_bits(st.tensors[i].dtype);
        uint64_t n = st.tensors[i].size * 8 / (bits == 0 ? 8 : bits);
        c->by_type[st.tensors[i].dtype] += n;
        c->total += n;
    }
    return true;
}

/* The files an index names, each once: their tensors stand beside each other, so the last one seen
 * is looked at first. */
static size_t list_shards(counter *c, snug_slice *out)
{
    vcs_entry  e;
    snug_slice text, name;
    snug_json  index, map;
    size_t     n = 0;
    if (vcs_find_entry(c->git, c->commit, SNUG_LIT("model.safetensors.index.json"), c->a, &e,
                       NULL) != SNUG_OK ||
        e.kind != VCS_FILE || e.lfs.is_lfs ||
        vcs_read_blob(c->git, &e.oid, INDEX_MAX, c->a, &text, NULL) != SNUG_OK ||
        snug_json_parse(c->a, text, NULL, &index, NULL) != SNUG_OK)
        return 0;
    map = snug_json_get(index, "weight_map");
    for (snug_json_iter it = snug_json_iter_of(map); snug_json_next(&it);) {
        bool seen = false;
        if (!snug_json_to_str(it.value, &name)) return 0;
        for (size_t k = n; k > 0 && !seen; k--) seen = snug_eq(out[k - 1], name);
        if (seen) continue;
        if (n == SHARDS_MAX) return 0;
        out[n++] = name;
    }
    return n;
}

bool hub_count_params(hub *h, int64_t row, vcs_repo *git, const vcs_oid *commit, snug_arena *a,
                      uint64_t by_type[HUB_DTYPES_MAX], uint64_t *total)
{
    _Static_assert(CODEC_DTYPE_COUNT <= (int)HUB_DTYPES_MAX, "one count for each");
    counter    c = {h, row, git, commit, a, by_type, 0};
    vcs_entry  e;
    snug_slice one = SNUG_LIT("model.safetensors");
    bool       ok = true;

    memset(by_type, 0, HUB_DTYPES_MAX * sizeof by_type[0]);
    if (vcs_find_entry(git, commit, one, a, &e, NULL) == SNUG_OK) {
        ok = count_file(&c, one);
    } else {
        snug_slice *shards = snug_arena_alloc(a, SHARDS_MAX * sizeof *shards);
        size_t      n = list_shards(&c, shards);
        for (size_t i = 0; ok && i < n; i++) ok = count_file(&c, shards[i]);
    }
    *total = ok ? c.total : 0;
    return *total > 0;
}
