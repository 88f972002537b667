/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/care_check.h - objects that came whole, and looks at what became of them. */
#ifndef SNUG_TEST_CARE_CHECK_H
#define SNUG_TEST_CARE_CHECK_H

#include "hub_check.h"

#include "../xet/xet_build.h"

/* As the LFS door does it. */
static inline snug_status upload(fixture *f, int64_t row, snug_slice data, blob_id *id,
                                 snug_err *err)
{
    blob_writer *w;
    *id = (blob_id){snug_sha256_of(data)};
    snug_status st = blob_put_begin(hub_blobs(f->h), &w, err);
    if (st == SNUG_OK) st = blob_put_write(w, data.ptr, data.len, err);
    if (st == SNUG_OK) st = hub_finish_lfs(f->h, row, w, id, data.len, err);
    return st;
}

static inline snug_status commit_lfs(fixture *f, const hub_actor *who, const hub_repo_id *id,
                                     const char *rev, const char *path, const blob_id *oid,
                                     snug_err *err)
{
    hub_draft        *d = draft(f, "add", "");
    hub_commit_result r;
    snug_status       st = hub_draft_lfs(d, snug_str(path), oid, NULL, err);
    if (st == SNUG_OK) st = hub_apply_draft(f->h, who, id, snug_str(rev), d, &r, err);
    hub_draft_free(d);
    return st;
}

static inline blob_id add_object(fixture *f, const hub_repo_info *repo, const char *path,
                                 snug_slice data)
{
    snug_err  err = {0};
    blob_id   id;
    hub_actor owner = person(1, repo->id.ns, false, HUB_ROLE_WRITE);
    must(upload(f, repo->row, data, &id, &err));
    must(commit_lfs(f, &owner, &repo->id, "main", path, &id, &err));
    return id;
}

static inline void check_bytes(fixture *f, int64_t row, const blob_id *id, snug_slice data)
{
    const uint64_t cuts[][2] = {{0, data.len},
                                {0, 1},
                                {data.len - 1, 1},
                                {data.len / 3, data.len / 2},
                                {data.len / 2, 100000}};
    hub_object     o;
    snug_err       err = {0};
    must(hub_find_object(f->h, row, id, f->a, &o, &err));
    assert_int_equal(o.size, data.len);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        hub_reader *r = hub_reader_new(f->h, &o, cuts[i][0], cuts[i][1]);
        uint64_t    at = cuts[i][0], end = at + cuts[i][1];
        snug_slice  piece;
        if (end > data.len) end = data.len;
        for (;;) {
            must(hub_reader_next(r, &piece, &err));
            if (piece.len == 0) break;
            assert_true(at + piece.len <= end);
            assert_memory_equal(piece.ptr, data.ptr + at, piece.len);
            at += piece.len;
        }
        assert_int_equal(at, end);
        hub_reader_free(r);
    }
}

/* One statement straight into the database. */
#define sql(f, text)                                                                               \
    do {                                                                                           \
        static const db_query q_ = {text};                                                         \
        db_txn               *tx_;                                                                 \
        assert_int_equal(db_begin(hub_db((f)->h), DB_WRITE, &tx_, NULL), SNUG_OK);                 \
        assert_int_equal(db_exec(tx_, q_, NULL, 0, NULL, NULL), SNUG_OK);                          \
        assert_int_equal(db_end(tx_, true, NULL), SNUG_OK);                                        \
    } while (0)

static inline void path_of(fixture *f, const blob_id *id, char out[256])
{
    char hex[65];
    blob_id_hex(id, hex);
    snprintf(out, 256, "%s/blobs/%.2s/%.2s/%s", f->dir, hex, hex + 2, hex);
}

static inline hub_gc_report collect(fixture *f, uint64_t grace_ms, bool dry)
{
    hub_gc_report r;
    snug_err      err = {0};
    hub_gc_opts   o = {.grace_ms = grace_ms, .dry_run = dry};
    must(hub_collect(f->h, &o, &r, &err));
    return r;
}

typedef struct finding {
    char kind[8], name[80], text[200];
    bool derived, repaired;
} finding;
typedef struct findings {
    finding list[32];
    size_t  count;
} findings;

static inline void take_finding(void *arg, const hub_fsck_item *i)
{
    findings *f = arg;
    if (f->count == 32) return;
    finding *x = &f->list[f->count++];
    snprintf(x->kind, sizeof x->kind, "%s", i->kind);
    snprintf(x->name, sizeof x->name, "%.*s", SNUG_SLICE(i->name));
    snprintf(x->text, sizeof x->text, "%.*s", SNUG_SLICE(i->text));
    x->derived = i->derived;
    x->repaired = i->repaired;
}

static inline hub_fsck_report check_all(fixture *f, bool repair, findings *out)
{
    hub_fsck_report r;
    snug_err        err = {0};
    hub_fsck_opts   o = {.repair = repair, .item = take_finding, .arg = out};
    out->count = 0;
    must(hub_fsck(f->h, &o, &r, &err));
    return r;
}

static inline void check_sound(fixture *f)
{
    findings        out;
    hub_fsck_report r = check_all(f, false, &out);
    if (r.damaged != 0) fail_msg("%s %s: %s", out.list[0].kind, out.list[0].name, out.list[0].text);
}

#endif
