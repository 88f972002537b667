/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_xet.c - the deduplicating store's rules: what is registered, what is refused
 * whole, and what nobody is told. */
#include "hub_check.h"

#include "../xet/xet_build.h"

typedef struct stage {
    fixture      *f;
    snug_arena   *a;
    hub_repo_info repo; /* Alice's, public */
    hub_ticket    alice;
    snug_slice    data;
    built_xorb    one, two; /* the halves of data */
    snug_sha256   sha;
} stage;

static hub_ticket ticket(fixture *f, const hub_actor *who, int64_t row, hub_role scope)
{
    snug_slice text;
    int64_t    until;
    hub_ticket t;
    snug_err   err = {0};
    must(hub_ticket_new(f->h, who, row, scope, SNUG_LIT("main"), f->a, &text, &until, &err));
    assert_true(until > snug_now_ms() + 14 * 60000 && until <= snug_now_ms() + 15 * 60000);
    must(hub_ticket_read(f->h, text, scope, f->a, &t, &err));
    assert_int_equal(t.expires_ms, until);
    return t;
}

static snug_status send_xorb(fixture *f, const hub_ticket *t, snug_slice body, const xet_hash *name,
                             bool *have, snug_err *err)
{
    hub_xorb_in *in;
    snug_status  st = hub_xorb_begin(f->h, t, name, &in, have, err);
    if (st != SNUG_OK) return st;
    for (size_t at = 0; at < body.len && st == SNUG_OK; at += 1000)
        st = hub_xorb_write(in, snug_sub(body, at, 1000), err);
    if (st == SNUG_OK) return hub_xorb_commit(in, err);
    hub_xorb_abort(in);
    return st;
}

static snug_status send_shard(fixture *f, const hub_ticket *t, const xet_shard *s, bool *fresh,
                              snug_err *err)
{
    return hub_register_shard(f->h, t, write_shard(f->a, s), NULL, NULL, fresh, err);
}

static bool count_one(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms)
{
    (void)id, (void)size, (void)mtime_ms;
    ++*(size_t *)arg;
    return true;
}

static size_t count_blobs(fixture *f)
{
    size_t   n = 0;
    snug_err err = {0};
    must(blob_each(hub_blobs(f->h), count_one, &n, &err));
    return n;
}

static stage set_up(void **state, hub_visibility v)
{
    stage    s = {.f = *state};
    snug_err err = {0};
    bool     have;
    s.a = s.f->a;
    s.repo = create(s.f, &s.f->alice, HUB_MODEL, "Alice", "chunks", v);
    s.alice = ticket(s.f, &s.f->alice, s.repo.row, HUB_ROLE_WRITE);
    s.data = noise_of(s.a, 150000, 7);
    s.sha = snug_sha256_of(s.data);
    s.one = build_xorb(s.a, snug_sub(s.data, 0, 90000), 30000);
    s.two = build_xorb(s.a, snug_sub(s.data, 90000, 60000), 20000);
    must(send_xorb(s.f, &s.alice, s.one.body, &s.one.x.hash, &have, &err));
    assert_false(have);
    must(send_xorb(s.f, &s.alice, s.two.body, &s.two.x.hash, &have, &err));
    assert_false(have);
    return s;
}

static xet_shard whole_shard(stage *s)
{
    const built_xorb *both[] = {&s->one, &s->two};
    xet_shard_file   *f = SNUG_NEW(s->a, xet_shard_file);
    xet_shard_xorb   *x = snug_arena_zalloc(s->a, 2 * sizeof *x);
    *f = build_file(s->a, both, 2, &s->sha);
    x[0] = build_block(s->a, &s->one);
    x[1] = build_block(s->a, &s->two);
    return (xet_shard){.files = f, .file_count = 1, .xorbs = x, .xorb_count = 2};
}

static void register_whole(stage *s)
{
    snug_err  err = {0};
    bool      fresh;
    xet_shard shard = whole_shard(s);
    must(send_shard(s->f, &s->alice, &shard, &fresh, &err));
    assert_true(fresh);
}

/* ---- xorbs ---- */

static void test_xorbs(void **state)
{
    stage    s = set_up(state, HUB_PUBLIC);
    snug_err err = {0};
    bool     have;
    uint64_t size;
    size_t   before = count_blobs(s.f);
    assert_int_equal(before, 2);

    /* The same again: told so, and nothing is written. */
    must(send_xorb(s.f, &s.alice, s.one.body, &s.one.x.hash, &have, &err));
    assert_true(have);
    must(hub_xorb_size(s.f->h, &s.alice, &s.one.x.hash, &size, &err));
    assert_int_equal(size, s.one.body.len);

    /* A footer is checked and left out. */
    snug_buf   b = snug_buf_init(1 << 20);
    snug_slice fresh_data = noise_of(s.a, 50000, 99);
    built_xorb third = build_xorb(s.a, fresh_data, 25000);
    snug_buf_put_slice(&b, third.body);
    xet_footer_put(&b, &third.x);
    must(send_xorb(s.f, &s.alice, snug_buf_slice(&b), &third.x.hash, &have, &err));
    must(hub_xorb_size(s.f->h, &s.alice, &third.x.hash, &size, &err));
    assert_int_equal(size, third.body.len);
    snug_buf_deinit(&b);

    /* Another name, a cut, a flipped byte, nothing at all: refused, and no blob more. */
    before = count_blobs(s.f);
    xet_hash   other = {{1}};
    built_xorb bad = build_xorb(s.a, noise_of(s.a, 40000, 3), 20000);
    char      *flipped = snug_arena_cstr(s.a, bad.body);
    flipped[30000] ^= 1;
    must_fail(send_xorb(s.f, &s.alice, bad.body, &other, &have, &err), SNUG_EINVAL, NULL,
              "has the hash");
    must_fail(
        send_xorb(s.f, &s.alice, snug_sub(bad.body, 0, bad.body.len - 1), &bad.x.hash, &have, &err),
        SNUG_EINVAL, NULL, "cut off");
    must_fail(
        send_xorb(s.f, &s.alice, snug_slice_of(flipped, bad.body.len), &bad.x.hash, &have, &err),
        SNUG_EINVAL, NULL, "");
    must_fail(send_xorb(s.f, &s.alice, SNUG_EMPTY, &bad.x.hash, &have, &err), SNUG_EINVAL, NULL,
              "at least one chunk");
    assert_int_equal(count_blobs(s.f), before);
    must_fail(hub_xorb_size(s.f->h, &s.alice, &bad.x.hash, &size, &err), SNUG_ENOTFOUND, NULL, "");
}

/* ---- files ---- */

static void check_reads(stage *s, int64_t row)
{
    static const struct {
        uint64_t first, len;
    } cuts[] = {{0, 150000},    {0, 1},         {149999, 1},  {89999, 2},
                {29999, 60002}, {90000, 60000}, {100, 149000}};
    hub_object o;
    blob_id    id = {s->sha};
    snug_err   err = {0};
    must(hub_find_object(s->f->h, row, &id, s->a, &o, &err));
    assert_true(o.is_xet);
    assert_false(o.is_blob);
    assert_int_equal(o.size, s->data.len);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        hub_reader *r = hub_reader_new(s->f->h, &o, cuts[i].first, cuts[i].len);
        uint64_t    at = cuts[i].first;
        snug_slice  piece;
        for (;;) {
            must(hub_reader_next(r, &piece, &err));
            if (piece.len == 0) break;
            assert_true(at + piece.len <= s->data.len);
            assert_memory_equal(piece.ptr, s->data.ptr + at, piece.len);
            at += piece.len;
        }
        assert_int_equal(at, cuts[i].first + cuts[i].len);
        hub_reader_free(r);
    }
}

static void test_files(void **state)
{
    stage     s = set_up(state, HUB_PUBLIC);
    snug_err  err = {0};
    blob_id   id = {s.sha};
    bool      fresh;
    xet_hash  name;
    xet_shard shard = whole_shard(&s);

    register_whole(&s);
    check_reads(&s, s.repo.row);
    assert_true(hub_find_xet_hash(s.f->h, s.repo.row, &id, &name));
    assert_true(xet_hash_eq(&name, &shard.files[0].hash));

    /* Known: nothing fresh; and a second repository gets a right of its own. */
    must(send_shard(s.f, &s.alice, &shard, &fresh, &err));
    assert_false(fresh);
    hub_repo_info second = create(s.f, &s.f->alice, HUB_MODEL, "Alice", "second", HUB_PUBLIC);
    hub_object    o;
    must_fail(hub_find_object(s.f->h, second.row, &id, s.a, &o, &err), SNUG_ENOTFOUND, NULL, "");
    hub_ticket t2 = ticket(s.f, &s.f->alice, second.row, HUB_ROLE_WRITE);
    shard.xorb_count = 0; /* all of it was known to the client */
    must(send_shard(s.f, &t2, &shard, &fresh, &err));
    assert_false(fresh);
    check_reads(&s, second.row);

    /* A commit finds it by its SHA-256. */
    hub_draft        *d = draft(s.f, "add", "");
    hub_commit_result r;
    must(hub_draft_lfs(d, SNUG_LIT("model.bin"), &id, NULL, &err));
    must(hub_apply_draft(s.f->h, &s.f->alice, &second.id, SNUG_LIT("main"), d, &r, &err));
    hub_draft_free(d);
    snug_slice pointer = file_at(s.f, &s.f->alice, &second.id, "main", "model.bin");
    assert_true(snug_find(pointer, SNUG_LIT("size 150000\n")) != SIZE_MAX);

    /* Survives a restart. */
    hub_close(s.f->h);
    open_hub(s.f);
    check_reads(&s, second.row);
}

static void test_empty_file(void **state)
{
    stage          s = set_up(state, HUB_PUBLIC);
    snug_err       err = {0};
    bool           fresh;
    xet_shard_file f = {.count = 0};
    xet_shard      shard = {.files = &f, .file_count = 1};
    hub_object     o;
    blob_id        id = {snug_sha256_of(SNUG_EMPTY)};
    must(send_shard(s.f, &s.alice, &shard, &fresh, &err));
    must(hub_find_object(s.f->h, s.repo.row, &id, s.a, &o, &err));
    assert_int_equal(o.size, 0);
    f.hash.b[3] = 1;
    must_fail(send_shard(s.f, &s.alice, &shard, &fresh, &err), SNUG_EINVAL, NULL, "make another");
}

/* ---- hostile shards: each is refused, and the good file beside the bad one is not there either
 * ---- */

typedef void spoil_fn(stage *s, xet_shard *shard, xet_shard_file *bad);

static void no_proofs(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->has_proofs = false;
}
static void wrong_proof(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->terms[1].range_hash.b[9] ^= 1;
}
static void stolen_proof(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d;
    b->terms[0].range_hash = b->terms[1].range_hash;
}
static void empty_range(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->terms[0].end = b->terms[0].start;
}
static void backward_range(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d;
    b->terms[0].start = 2;
    b->terms[0].end = 1;
}
static void long_range(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->terms[0].end = UINT32_MAX;
}
static void false_size(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->terms[0].raw_size--;
}
static void unknown_xorb(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->terms[0].xorb.b[0] ^= 1;
}
static void another_name(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->hash.b[0] ^= 1;
}
static void false_sha(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->sha256.b[0] ^= 1;
}
static void overlap(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d; /* chunk 1 twice: right ranges, another file */
    b->terms[0] = build_term(&s->one, 0, 2);
    b->terms[1] = build_term(&s->one, 1, 3);
}
static void swapped_terms(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d;
    xet_term t = b->terms[0];
    b->terms[0] = b->terms[1];
    b->terms[1] = t;
}
static void file_as_xorb(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)d, b->terms[0].xorb = b->hash;
}
static void xorb_of_itself(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)b;
    d->xorbs[0].hash = d->xorbs[0].chunks[0].hash;
}
static void false_chunk_hash(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)b, d->xorbs[1].chunks[2].hash.b[5] ^= 1;
}
static void overlapping_chunks(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)b, d->xorbs[0].chunks[1].raw_offset = 0;
}
static void missing_chunk(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)b, d->xorbs[0].count--;
}
static void false_chunk_size(stage *s, xet_shard *d, xet_shard_file *b)
{
    (void)s, (void)b, d->xorbs[0].chunks[2].raw_size++;
}

static void test_hostile_shards(void **state)
{
    static spoil_fn *const spoils[] = {no_proofs,          wrong_proof,    stolen_proof,
                                       empty_range,        backward_range, long_range,
                                       false_size,         unknown_xorb,   another_name,
                                       false_sha,          overlap,        swapped_terms,
                                       file_as_xorb,       xorb_of_itself, false_chunk_hash,
                                       overlapping_chunks, missing_chunk,  false_chunk_size};
    stage                  s = set_up(state, HUB_PUBLIC);
    const built_xorb      *both[] = {&s.one, &s.two}, *single[] = {&s.two};
    snug_sha256            good_sha = snug_sha256_of(snug_sub(s.data, 90000, 60000));
    blob_id                bad_id = {s.sha}, good_id = {good_sha};
    hub_object             o;
    snug_err               err = {0};
    bool                   fresh;

    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        xet_shard_file files[2] = {build_file(s.a, single, 1, &good_sha),
                                   build_file(s.a, both, 2, &s.sha)};
        xet_shard      shard = whole_shard(&s);
        shard.files = files;
        shard.file_count = 2;
        spoils[i](&s, &shard, &files[1]);
        snug_err_clear(&err);
        snug_status st = send_shard(s.f, &s.alice, &shard, &fresh, &err);
        if (st != SNUG_EINVAL) fail_msg("case %zu: %s %s", i, snug_status_name(st), err.msg);
        assert_int_equal(hub_find_object(s.f->h, s.repo.row, &bad_id, s.a, &o, &err),
                         SNUG_ENOTFOUND);
        assert_int_equal(hub_find_object(s.f->h, s.repo.row, &good_id, s.a, &o, &err),
                         SNUG_ENOTFOUND);
    }
    must_fail(hub_register_shard(s.f->h, &s.alice, SNUG_LIT("no shard"), NULL, NULL, &fresh, &err),
              SNUG_EINVAL, NULL, "not a shard");
    register_whole(&s); /* and unspoilt it is fine */
}

/* ---- what nobody is told ---- */

static void test_private_xorbs_do_not_exist(void **state)
{
    stage         s = set_up(state, HUB_PRIVATE);
    snug_err      err = {0};
    bool          have, fresh;
    uint64_t      size;
    snug_buf      b = snug_buf_init(1 << 20);
    xet_shard     shard = whole_shard(&s);
    hub_repo_info bobs = create(s.f, &s.f->bob, HUB_MODEL, "bob", "mine", HUB_PRIVATE);
    hub_ticket    bob = ticket(s.f, &s.f->bob, bobs.row, HUB_ROLE_WRITE);
    xet_hash      first = s.one.x.chunks[0].hash;

    register_whole(&s);
    must(hub_find_chunk(s.f->h, &s.alice, &first, &b, &err));
    assert_true(b.len > 0);
    snug_buf_clear(&b);
    must_fail(hub_find_chunk(s.f->h, &bob, &first, &b, &err), SNUG_ENOTFOUND, NULL,
              "no such chunk");
    assert_int_equal(b.len, 0);
    must_fail(hub_xorb_size(s.f->h, &bob, &s.one.x.hash, &size, &err), SNUG_ENOTFOUND, NULL, "");
    /* Even with every proof right: for him it is not stored. */
    must_fail(send_shard(s.f, &bob, &shard, &fresh, &err), SNUG_EINVAL, NULL, "is not stored");
    /* He brings the bytes: accepted as if new, and then it is his too. */
    must(send_xorb(s.f, &bob, s.one.body, &s.one.x.hash, &have, &err));
    assert_false(have);
    must(send_xorb(s.f, &bob, s.two.body, &s.two.x.hash, &have, &err));
    assert_false(have);
    must(send_shard(s.f, &bob, &shard, &fresh, &err));
    check_reads(&s, bobs.row);
    assert_int_equal(count_blobs(s.f), 2); /* stored once */
    must(hub_find_chunk(s.f->h, &bob, &first, &b, &err));
    snug_buf_deinit(&b);
}

/* Bob has a file that Alice keeps in private, cut the same way but packed in his own xorb. Nothing
 * he is shown differs from a hub where she never was. */
static void test_same_file_in_private(void **state)
{
    stage         s = set_up(state, HUB_PRIVATE);
    snug_err      err = {0};
    bool          have, fresh;
    uint64_t      size;
    xet_plan      p;
    hub_object    o;
    xet_hash      name;
    blob_id       id = {s.sha};
    hub_repo_info bobs = create(s.f, &s.f->bob, HUB_MODEL, "bob", "mine", HUB_PUBLIC);
    hub_ticket    bob = ticket(s.f, &s.f->bob, bobs.row, HUB_ROLE_WRITE);

    register_whole(&s);
    /* He sends it by LFS: stored, and no sign of another form. */
    assert_true(blob_id_eq(&(blob_id){put_blob(s.f, s.data.ptr, s.data.len).sha256}, &id));
    must(hub_link_lfs(s.f->h, bobs.row, &id, s.data.len, &err));
    must(hub_find_object(s.f->h, bobs.row, &id, s.a, &o, &err));
    assert_false(o.is_named);
    assert_false(hub_find_xet_hash(s.f->h, bobs.row, &id, &name));

    snug_buf body = snug_buf_init(1 << 20);
    snug_buf_put_slice(&body, s.one.body);
    snug_buf_put_slice(&body, s.two.body);
    built_xorb all = {.body = snug_buf_slice(&body)};
    must(xet_xorb_check(s.a, all.body, NULL, &all.x, &err));
    must(send_xorb(s.f, &bob, all.body, &all.x.hash, &have, &err));
    assert_false(have);
    const built_xorb *only[] = {&all};
    xet_shard_file    f = build_file(s.a, only, 1, &s.sha);
    xet_shard         shard = {.files = &f, .file_count = 1};
    assert_true(xet_hash_eq(&f.hash, &whole_shard(&s).files[0].hash));
    must(send_shard(s.f, &bob, &shard, &fresh, &err));
    assert_true(fresh);
    must(hub_plan_file(s.f->h, &bob, &f.hash, 0, UINT64_MAX - 1, s.a, &p, &size, &err));
    assert_int_equal(p.term_count, 1);
    assert_true(xet_hash_eq(&p.terms[0].xorb, &all.x.hash));
    must(hub_plan_file(s.f->h, &s.alice, &f.hash, 0, UINT64_MAX - 1, s.a, &p, &size, &err));
    assert_int_equal(p.term_count, 2);
    assert_true(hub_find_xet_hash(s.f->h, bobs.row, &id, &name));
    snug_buf_deinit(&body);
}

static void test_public_chunks_are_told(void **state)
{
    stage         s = set_up(state, HUB_PUBLIC);
    snug_err      err = {0};
    snug_buf      b = snug_buf_init(1 << 20);
    hub_repo_info bobs = create(s.f, &s.f->bob, HUB_MODEL, "bob", "mine", HUB_PRIVATE);
    hub_ticket    bob = ticket(s.f, &s.f->bob, bobs.row, HUB_ROLE_WRITE);
    xet_hash      first = s.one.x.chunks[0].hash, inner = s.one.x.chunks[1].hash;
    xet_shard     told;

    must_fail(hub_find_chunk(s.f->h, &bob, &first, &b, &err), SNUG_ENOTFOUND, NULL, "");
    register_whole(&s);
    must(hub_find_chunk(s.f->h, &bob, &first, &b, &err));
    must(xet_shard_parse(s.a, snug_buf_slice(&b), &told, &err));
    assert_int_equal(told.file_count, 0);
    assert_int_equal(told.xorb_count, 2); /* the rest of the file comes along */
    assert_true(xet_hash_eq(&told.xorbs[0].hash, &s.one.x.hash));
    assert_true(xet_hash_eq(&told.xorbs[1].hash, &s.two.x.hash));
    assert_int_equal(told.xorbs[0].count, 3);
    /* Chunk hashes are under the answer's own key. */
    const unsigned char *key = (const unsigned char *)b.ptr + b.len - 200 + 72;
    for (uint32_t i = 0; i < 3; i++) {
        xet_hash want = xet_hmac(key, &s.one.x.chunks[i].hash);
        assert_true(xet_hash_eq(&told.xorbs[0].chunks[i].hash, &want));
    }
    assert_true(told.xorbs[0].chunks[0].dedup);
    snug_buf_clear(&b);
    must_fail(hub_find_chunk(s.f->h, &bob, &inner, &b, &err), SNUG_ENOTFOUND, NULL, "");

    /* No longer public, no longer told; Bob's repository is no way around. */
    must(hub_set_visibility(s.f->h, &s.f->alice, &s.repo.id, HUB_PRIVATE, &err));
    must_fail(hub_find_chunk(s.f->h, &bob, &first, &b, &err), SNUG_ENOTFOUND, NULL, "");
    /* Deleted: still hers to build on, for she brought it. */
    must(hub_delete_repo(s.f->h, &s.f->alice, &s.repo.id, &err));
    hub_repo_info again = create(s.f, &s.f->alice, HUB_MODEL, "Alice", "again", HUB_PUBLIC);
    hub_ticket    t = ticket(s.f, &s.f->alice, again.row, HUB_ROLE_WRITE);
    bool          fresh;
    xet_shard     shard = whole_shard(&s);
    must(send_shard(s.f, &t, &shard, &fresh, &err));
    check_reads(&s, again.row);
    must_fail(hub_find_chunk(s.f->h, &bob, &first, &b, &err), SNUG_ENOTFOUND, NULL, "");
    snug_buf_deinit(&b);
}

static void test_plans(void **state)
{
    stage     s = set_up(state, HUB_PUBLIC);
    snug_err  err = {0};
    xet_plan  p;
    uint64_t  size;
    xet_shard shard = whole_shard(&s);
    xet_hash  name = shard.files[0].hash;

    register_whole(&s);
    hub_ticket reader = ticket(s.f, &nobody, s.repo.row, HUB_ROLE_READ);
    must(hub_plan_file(s.f->h, &reader, &name, 95000, UINT64_MAX - 1, s.a, &p, &size, &err));
    assert_int_equal(size, 150000);
    assert_int_equal(p.term_count, 1);
    assert_int_equal(p.skip, 5000);
    assert_int_equal(p.length, 55000);
    assert_int_equal(p.spans[0].to - p.spans[0].from, s.two.body.len);
    must_fail(hub_plan_file(s.f->h, &reader, &name, 150000, 150001, s.a, &p, &size, &err),
              SNUG_ERANGE, NULL, "150000 bytes");
    /* Through another repository the file is not there. */
    hub_repo_info other = create(s.f, &s.f->alice, HUB_MODEL, "Alice", "other", HUB_PUBLIC);
    hub_ticket    t = ticket(s.f, &s.f->alice, other.row, HUB_ROLE_WRITE);
    must_fail(hub_plan_file(s.f->h, &t, &name, 0, 9, s.a, &p, &size, &err), SNUG_ENOTFOUND, NULL,
              "in this repository");
}

/* A member works in the organization's private repository, until he leaves. */
static void test_members(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    hub_user   user;
    hub_org    org;
    snug_slice text;
    int64_t    until;
    bool       have;
    hub_ticket t;
    must(hub_add_user(f->h, SNUG_LIT("carol"), SNUG_LIT("correct horse"), SNUG_EMPTY, false, &user,
                      &err));
    must(hub_add_org(f->h, SNUG_LIT("acme"), SNUG_LIT("Acme"), &org, &err));
    must(hub_set_member(f->h, SNUG_LIT("acme"), SNUG_LIT("carol"), HUB_ROLE_WRITE, &err));
    hub_repo_info repo = create(f, &f->root, HUB_MODEL, "acme", "m", HUB_PRIVATE);
    hub_actor     carol = person(user.id, "carol", false, HUB_ROLE_WRITE);
    must(hub_ticket_new(f->h, &carol, repo.row, HUB_ROLE_WRITE, SNUG_LIT("main"), f->a, &text,
                        &until, &err));
    must(hub_ticket_read(f->h, text, HUB_ROLE_WRITE, f->a, &t, &err));
    built_xorb b = build_xorb(f->a, noise_of(f->a, 40000, 5), 20000);
    must(send_xorb(f, &t, b.body, &b.x.hash, &have, &err));
    must(hub_set_member(f->h, SNUG_LIT("acme"), SNUG_LIT("carol"), HUB_ROLE_NONE, &err));
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_WRITE, f->a, &t, &err), SNUG_EUNAUTH, NULL,
              "gone");
}

/* What lies behind a gate is told, and a ticket for it good, only to who was let in. */
static void test_gate(void **state)
{
    stage         s = set_up(state, HUB_PUBLIC);
    fixture      *f = s.f;
    snug_err      err = {0};
    snug_buf      b = snug_buf_init(1 << 20);
    hub_user      user;
    hub_access    status;
    uint64_t      size;
    xet_hash      first = s.one.x.chunks[0].hash;
    snug_slice    text;
    int64_t       until;
    hub_ticket    t;
    hub_repo_info info;

    register_whole(&s);
    for (const char *const *n = (const char *const[]){"u1", "u2", "u3", NULL}; *n != NULL; n++)
        must(hub_add_user(f->h, snug_str(*n), SNUG_LIT("correct horse"), SNUG_EMPTY, false, &user,
                          &err)); /* so that Carol has a number of her own */
    must(hub_set_gate(f->h, &f->alice, &s.repo.id, HUB_GATE_MANUAL, &err));
    must(hub_add_user(f->h, SNUG_LIT("carol"), SNUG_LIT("correct horse"), SNUG_EMPTY, false, &user,
                      &err));
    hub_actor     carol = person(user.id, "carol", false, HUB_ROLE_WRITE);
    hub_repo_info hers = create(f, &f->root, HUB_MODEL, "carol", "own", HUB_PRIVATE);
    hub_ticket    own = ticket(f, &carol, hers.row, HUB_ROLE_WRITE);
    must(hub_ticket_new(f->h, &carol, s.repo.row, HUB_ROLE_READ, SNUG_LIT("main"), f->a, &text,
                        &until, &err));

    /* She sees the repository, and asked to be let in. */
    hub_repo *open;
    must(hub_open_repo(f->h, &carol, &s.repo.id, HUB_ROLE_READ, f->a, &open, &err));
    info = *hub_repo_get_info(open);
    hub_close_repo(open);
    must(hub_ask_access(f->h, &carol, &info, SNUG_LIT("{}"), &status, &err));
    assert_int_equal(status, HUB_ACCESS_PENDING);
    must_fail(hub_find_chunk(f->h, &own, &first, &b, &err), SNUG_ENOTFOUND, NULL, "");
    must_fail(hub_xorb_size(f->h, &own, &s.one.x.hash, &size, &err), SNUG_ENOTFOUND, NULL, "");
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err), SNUG_EFORBIDDEN, NULL,
              "restricted");
    hub_ticket nobodys = {.who = nobody, .repo_row = hers.row, .scope = HUB_ROLE_READ};
    must_fail(hub_find_chunk(f->h, &nobodys, &first, &b, &err), SNUG_ENOTFOUND, NULL, "");

    must(hub_handle_access(f->h, &f->alice, &info, SNUG_LIT("carol"), 0, HUB_ACCESS_ACCEPTED,
                           SNUG_EMPTY, &err));
    must(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err));
    must(hub_find_chunk(f->h, &own, &first, &b, &err));
    must(hub_xorb_size(f->h, &own, &s.one.x.hash, &size, &err));
    snug_buf_clear(&b);
    must(hub_handle_access(f->h, &f->alice, &info, SNUG_LIT("carol"), 0, HUB_ACCESS_REJECTED,
                           SNUG_EMPTY, &err));
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err), SNUG_EFORBIDDEN, NULL,
              "restricted");
    must_fail(hub_find_chunk(f->h, &own, &first, &b, &err), SNUG_ENOTFOUND, NULL, "");
    snug_buf_deinit(&b);
}

/* ---- tickets ---- */

static void test_tickets(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    hub_repo_info repo = create(f, &f->alice, HUB_MODEL, "Alice", "t", HUB_PUBLIC);
    snug_slice    text;
    int64_t       until;
    hub_ticket    t;
    char          sig[65];

    must(hub_ticket_new(f->h, &f->alice, repo.row, HUB_ROLE_READ, SNUG_LIT("refs/pr/1"), f->a,
                        &text, &until, &err));
    must(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err));
    assert_int_equal(t.who.user_id, 1);
    assert_true(snug_eq_str(t.who.name, "Alice"));
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_WRITE, f->a, &t, &err), SNUG_EFORBIDDEN, NULL,
              "only read");
    for (size_t i = 0; i < text.len; i++) { /* no byte of it may change */
        char *changed = snug_arena_cstr(f->a, text);
        changed[i] = changed[i] == '1' ? '2' : '1';
        must_fail(hub_ticket_read(f->h, snug_str(changed), HUB_ROLE_READ, f->a, &t, &err),
                  SNUG_EUNAUTH, NULL, "");
    }
    must_fail(hub_ticket_read(f->h, SNUG_EMPTY, HUB_ROLE_READ, f->a, &t, &err), SNUG_EUNAUTH, NULL,
              "");
    must_fail(hub_ticket_read(f->h, SNUG_LIT("xet........"), HUB_ROLE_READ, f->a, &t, &err),
              SNUG_EUNAUTH, NULL, "");

    /* Properly signed, but for yesterday. */
    int64_t    past = snug_now_ms() - 1000;
    snug_slice claim =
        snug_arena_printf(f->a, "xet-ticket w 1 0 %lld 416c696365 6d61696e", (long long)repo.row);
    must(hub_sign(f->h, claim, past, sig, &err));
    text = snug_arena_printf(f->a, "xet.w.1.0.%lld.%lld.416c696365.6d61696e.%s",
                             (long long)repo.row, (long long)past, sig);
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err), SNUG_EUNAUTH, NULL,
              "expired");
    int64_t soon = snug_now_ms() +
                   60000; /* the same text for tomorrow is good, so the test above says something */
    must(hub_sign(f->h, claim, soon, sig, &err));
    text = snug_arena_printf(f->a, "xet.w.1.0.%lld.%lld.416c696365.6d61696e.%s",
                             (long long)repo.row, (long long)soon, sig);
    must(hub_ticket_read(f->h, text, HUB_ROLE_WRITE, f->a, &t, &err));

    /* What was allowed then is asked again now. */
    must(hub_ticket_new(f->h, &f->bob, repo.row, HUB_ROLE_READ, SNUG_LIT("main"), f->a, &text,
                        &until, &err));
    must(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err));
    must(hub_set_visibility(f->h, &f->alice, &repo.id, HUB_PRIVATE, &err));
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_READ, f->a, &t, &err), SNUG_EUNAUTH, NULL,
              "gone");
    must(hub_ticket_new(f->h, &f->bob, repo.row, HUB_ROLE_WRITE, SNUG_LIT("main"), f->a, &text,
                        &until, &err));
    must_fail(hub_ticket_read(f->h, text, HUB_ROLE_WRITE, f->a, &t, &err), SNUG_EUNAUTH, NULL, "");

    char one[HUB_XET_REALM + 1], two[HUB_XET_REALM + 1], again[HUB_XET_REALM + 1];
    hub_xet_realm(f->h, &f->alice, one);
    hub_xet_realm(f->h, &f->bob, two);
    hub_xet_realm(f->h, &f->alice, again);
    assert_string_equal(one, again);
    assert_string_not_equal(one, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_xorbs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_shards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_private_xorbs_do_not_exist, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_file_in_private, setup, teardown),
        cmocka_unit_test_setup_teardown(test_public_chunks_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tickets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
