/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/hub_check.h - a hub in a temporary folder with three people in it. */
#ifndef SNUG_TEST_HUB_CHECK_H
#define SNUG_TEST_HUB_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "hub/hub.h"

#define must(call)                                                                                 \
    do {                                                                                           \
        snug_status st_ = (call);                                                                  \
        if (st_ != SNUG_OK)                                                                        \
            fail_msg("%s:%d %s: %s: %s (%s)", __FILE__, __LINE__, #call, snug_status_name(st_),    \
                     err.msg, err.cause);                                                          \
    } while (0)

/* The call fails with this status, code (NULL: none) and a sentence holding `part`. */
#define must_fail(call, want, want_code, part)                                                     \
    do {                                                                                           \
        snug_err_clear(&err);                                                                      \
        snug_status st_ = (call);                                                                  \
        if (st_ != (want) || strstr(err.msg, (part)) == NULL ||                                    \
            strcmp(err.code == NULL ? "" : err.code, (want_code) == NULL ? "" : (want_code)) != 0) \
            fail_msg("%s:%d %s: %s [%s] \"%s\" (%s)", __FILE__, __LINE__, #call,                   \
                     snug_status_name(st_), err.code == NULL ? "" : err.code, err.msg, err.cause); \
    } while (0)

typedef struct fixture {
    char        dir[64];
    hub        *h;
    snug_arena *a;
    hub_actor   alice, bob, root, alice_reads; /* owner, stranger, admin, read-only token */
} fixture;

/* glibc guards its time zone with a lock of its own that the race detector does not see. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:tzset_internal\n"; }

static const hub_actor nobody = {0};

static inline hub_actor person(int64_t id, const char *name, bool admin, hub_role scope)
{
    return (hub_actor){.user_id = id,
                       .name = snug_str(name),
                       .fullname = snug_str(name),
                       .is_admin = admin,
                       .scope = scope};
}

static inline void open_hub(fixture *f)
{
    snug_err err = {0};
    hub_opts o = {.data_dir = f->dir};
    must(hub_open(&o, &f->h, &err));
}

static inline fixture *make_fixture(void)
{
    fixture      *f = snug_zalloc(sizeof *f);
    snug_log_opts quiet = {.level = SNUG_LOG_OFF, .fd = 2};
    snug_log_setup(&quiet);
    /* Killing a process loses nothing a page cache holds, so memory does as well as a disk. */
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(f->dir, sizeof f->dir, "%s/snug-test-hub-XXXXXX", tmp);
    assert_non_null(mkdtemp(f->dir));
    f->a = snug_arena_new();
    f->alice = person(1, "Alice", false, HUB_ROLE_WRITE);
    f->alice_reads = person(1, "Alice", false, HUB_ROLE_READ);
    f->bob = person(2, "bob", false, HUB_ROLE_WRITE);
    f->root = person(3, "root-user", true, HUB_ROLE_WRITE);
    return f;
}

static inline int setup(void **state)
{
    fixture *f = make_fixture();
    open_hub(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    hub_close(f->h);
    snug_arena_free(f->a);
    assert_int_equal(snug_remove_tree(f->dir, NULL), SNUG_OK);
    free(f);
    return 0;
}

static inline hub_repo_id id_of(hub_type type, const char *ns, const char *name)
{
    hub_repo_id id;
    snug_err    err = {0};
    must(hub_parse_id(type, snug_str(ns), snug_str(name), &id, &err));
    return id;
}

static inline hub_repo_info create(fixture *f, const hub_actor *who, hub_type type, const char *ns,
                                   const char *name, hub_visibility v)
{
    hub_new_repo  want = {.id = id_of(type, ns, name), .visibility = v};
    hub_repo_info info;
    snug_err      err = {0};
    if (type == HUB_SPACE) want.sdk = SNUG_LIT("static");
    must(hub_create_repo(f->h, who, &want, f->a, &info, &err));
    return info;
}

/* The bytes of a file at a revision, or a NULL slice. */
static inline snug_slice file_at(fixture *f, const hub_actor *who, const hub_repo_id *id,
                                 const char *rev, const char *path)
{
    hub_repo  *r;
    vcs_oid    commit;
    vcs_entry  e;
    snug_slice out = {NULL, 0};
    snug_err   err = {0};
    must(hub_open_repo(f->h, who, id, HUB_ROLE_READ, f->a, &r, &err));
    must(vcs_resolve_rev(hub_repo_vcs(r), snug_str(rev), &commit, &err));
    if (vcs_find_entry(hub_repo_vcs(r), &commit, snug_str(path), f->a, &e, &err) == SNUG_OK)
        must(vcs_read_blob(hub_repo_vcs(r), &e.oid, 64 << 20, f->a, &out, &err));
    hub_close_repo(r);
    return out;
}

static inline hub_draft *draft(fixture *f, const char *summary, const char *parent)
{
    hub_draft *d;
    snug_err   err = {0};
    must(hub_draft_new(f->h, &d, &err));
    must(hub_draft_header(d, snug_str(summary), SNUG_EMPTY, snug_str(parent), &err));
    return d;
}

/* One file on main; frees the draft. */
static inline snug_status put(fixture *f, const hub_actor *who, const hub_repo_id *id,
                              const char *path, const char *text, const char *parent, vcs_oid *oid,
                              snug_err *err)
{
    hub_draft        *d = draft(f, "put a file", parent);
    hub_commit_result r = {.unchanged = false};
    snug_status       st = hub_draft_file(d, snug_str(path), snug_str(text), err);
    if (st == SNUG_OK) st = hub_apply_draft(f->h, who, id, SNUG_LIT("main"), d, &r, err);
    hub_draft_free(d);
    if (oid != NULL) *oid = r.oid;
    return st;
}

/* Stores bytes as a blob without linking them anywhere. */
static inline blob_id put_blob(fixture *f, const void *p, size_t n)
{
    blob_writer *w;
    blob_id      id;
    snug_err     err = {0};
    must(blob_put_begin(hub_blobs(f->h), &w, &err));
    must(blob_put_write(w, p, n, &err));
    must(blob_put_commit(w, NULL, UINT64_MAX, &id, &err));
    return id;
}

#endif
