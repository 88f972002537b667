/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/draft.c - editing a tree in memory and making a commit of it.
 *
 * The draft is a tree of nodes. A folder's children are read when a path first leads into it; what
 * no edit touches stays an id. A folder goes with its last file (git has no empty folders). At the
 * end the touched folders are written bottom-up, and the commit is made over the new root.
 *
 *   node: id only --- a path leads in ---> children loaded --- an edit below ---> dirty
 *
 * Threads: the one that holds the handle.
 * Truth:   nothing here is visible to anyone before vcs_update_ref. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

enum { MODE_TREE = 0040000, MODE_FILE = 0100644, MODE_EXEC = 0100755, MODE_TYPE = 0170000 };
enum { TREE_BYTES_MAX = 1 << 30, MESSAGE_MAX = 16 << 20 };

typedef struct dir dir;
typedef struct node {
    snug_slice name;
    unsigned   mode; /* 0: removed */
    git_oid    id;
    dir       *dir; /* children, once loaded */
} node;

struct dir {
    node    **v; /* unsorted; removed ones stay, for their slot */
    size_t    count, cap;
    uint32_t *index; /* open addressing over v: position + 1 */
    size_t    mask, live;
    bool      dirty; /* differs from its id, here or below */
    dir      *next;  /* all dirs of the draft, for freeing */
};

struct vcs_draft {
    vcs_repo   *r;
    snug_arena *a;
    dir        *dirs, *root;
    bool        has_base, has_other;
    git_oid     base, base_tree, other; /* other: the second parent of a merge */
    unsigned    losses;                 /* of the handle, when the draft began */
};

/* ---- a folder: names to nodes ---- */

static size_t name_hash(snug_slice name)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < name.len; i++) h = (h ^ (unsigned char)name.ptr[i]) * 1099511628211u;
    return (size_t)(h ^ (h >> 32));
}

static dir *new_dir(vcs_draft *d)
{
    dir *f = snug_zalloc(sizeof *f);
    f->next = d->dirs;
    d->dirs = f;
    return f;
}

static node *find_node(const dir *f, snug_slice name)
{
    if (f->count == 0) return NULL;
    for (size_t i = name_hash(name) & f->mask; f->index[i] != 0; i = (i + 1) & f->mask) {
        node *n = f->v[f->index[i] - 1];
        if (snug_eq(n->name, name)) return n;
    }
    return NULL;
}

static void insert_index(dir *f, uint32_t at)
{
    size_t i = name_hash(f->v[at]->name) & f->mask;
    while (f->index[i] != 0) i = (i + 1) & f->mask;
    f->index[i] = at + 1;
}

static node *add_node(vcs_draft *d, dir *f, snug_slice name)
{
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 16 : f->cap * 2;
        f->v = snug_realloc(f->v, f->cap * sizeof *f->v);
        free(f->index);
        f->mask = f->cap * 2 - 1;
        f->index = snug_zalloc((f->mask + 1) * sizeof *f->index);
        for (size_t i = 0; i < f->count; i++) insert_index(f, (uint32_t)i);
    }
    node *n = SNUG_NEW(d->a, node);
    n->name = snug_arena_dup(d->a, name);
    f->v[f->count] = n;
    insert_index(f, (uint32_t)f->count);
    f->count++;
    return n;
}

static snug_status load_dir(vcs_draft *d, const git_oid *id, dir **out, snug_err *err)
{
    git_tree *tree = NULL;
    if (git_tree_lookup(&tree, d->r->git, id) != 0) return vcs_fail_git(err, "reading a tree");
    dir   *f = new_dir(d);
    size_t n = git_tree_entrycount(tree);
    for (size_t i = 0; i < n; i++) {
        const git_tree_entry *e = git_tree_entry_byindex(tree, i);
        snug_slice            name = snug_str(git_tree_entry_name(e));
        node                 *c = find_node(f, name); /* a broken tree may name one twice */
        if (c == NULL) c = add_node(d, f, name);
        if (c->mode == 0) f->live++;
        c->mode = (unsigned)git_tree_entry_filemode_raw(e);
        c->id = *git_tree_entry_id(e);
    }
    git_tree_free(tree);
    *out = f;
    return SNUG_OK;
}

static bool is_dir(const node *n) { return (n->mode & MODE_TYPE) == MODE_TREE; }

static snug_status open_dir(vcs_draft *d, node *n, dir **out, snug_err *err)
{
    snug_status st = n->dir != NULL ? SNUG_OK : load_dir(d, &n->id, &n->dir, err);
    *out = n->dir;
    return st;
}

/* A removed node takes its folder along when it was the last one in it: there are no empty
 * folders. */
typedef struct step {
    dir  *folder;
    node *n;
} step;

static void remove_last(step *way, size_t depth)
{
    while (depth > 0) {
        step *s = &way[--depth];
        s->n->mode = 0;
        s->n->dir = NULL;
        s->folder->live--;
        s->folder->dirty = true;
        if (s->folder->live > 0) break;
    }
    while (depth > 0) way[--depth].folder->dirty = true;
}

/* ---- the draft ---- */

snug_status vcs_draft_new(vcs_repo *r, const vcs_oid *base_or_null, vcs_draft **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_tree   *tree = NULL;
    vcs_draft  *d = snug_zalloc(sizeof *d);

    d->r = r;
    d->losses = r->losses;
    d->a = snug_arena_new();
    if (base_or_null == NULL) {
        d->root = new_dir(d);
    } else {
        SNUG_TRY(vcs_open_root(r, base_or_null, &tree, err));
        d->has_base = true;
        d->base = *vcs_git_oid(base_or_null);
        d->base_tree = *git_tree_id(tree);
        SNUG_TRY(load_dir(d, &d->base_tree, &d->root, err));
    }
    *out = d;
    d = NULL; /* moved to the caller */
done:
    git_tree_free(tree);
    vcs_draft_free(d);
    return st;
}

void vcs_draft_free(vcs_draft *d)
{
    if (d == NULL) return;
    while (d->dirs != NULL) {
        dir *f = d->dirs;
        d->dirs = f->next;
        free(f->v);
        free(f->index);
        free(f);
    }
    snug_arena_free(d->a);
    free(d);
}

static snug_status conflict(snug_slice path, snug_slice file, snug_err *err)
{
    return snug_fail(err, SNUG_EPAYLOAD, "\"%.*s\" is a file, so there is no room for \"%.*s\"",
                     (int)(file.len > 150 ? 150 : file.len), file.ptr,
                     (int)(path.len > 150 ? 150 : path.len), path.ptr);
}

/* The child folder `name` of f, made if it is not there. `head` is its path, for the sentence. */
static snug_status enter_dir(vcs_draft *d, dir *f, snug_slice name, snug_slice path,
                             snug_slice head, dir **out, snug_err *err)
{
    node *n = find_node(f, name);
    if (n != NULL && n->mode != 0 && !is_dir(n)) return conflict(path, head, err);
    if (n == NULL) n = add_node(d, f, name);
    if (n->mode == 0) {
        n->mode = MODE_TREE;
        n->dir = new_dir(d);
        f->live++;
    }
    f->dirty = true;
    return open_dir(d, n, out, err);
}

/* Would the path meet a file on its way? Looked up before anything is changed. */
static snug_status check_way(vcs_draft *d, snug_slice path, snug_err *err)
{
    dir       *f = d->root;
    snug_slice rest = path, part;
    while (snug_split(&rest, '/', &part)) {
        node *n = find_node(f, part);
        if (n == NULL || n->mode == 0) return SNUG_OK;
        snug_slice head = snug_slice_of(path.ptr, (size_t)(part.ptr + part.len - path.ptr));
        if (rest.ptr == NULL) {
            if (!is_dir(n)) return SNUG_OK;
            return snug_fail(err, SNUG_EPAYLOAD,
                             "\"%.*s\" is a folder, so there can be no file of that name",
                             path.len > 300 ? 300 : (int)path.len, path.ptr);
        }
        if (!is_dir(n)) return conflict(path, head, err);
        snug_status st = open_dir(d, n, &f, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

snug_status vcs_draft_put(vcs_draft *d, snug_slice path, const vcs_oid *blob, snug_err *err)
{
    snug_status  st = SNUG_OK;
    git_object_t type;
    uint64_t     size;

    SNUG_TRY(vcs_check_path(path, err));
    SNUG_TRY(vcs_object_header(d->r, vcs_git_oid(blob), &type, &size, err));
    if (type != GIT_OBJECT_BLOB) SNUG_FAIL(err, SNUG_EINTERNAL, "only blobs are put into drafts");
    SNUG_TRY(vcs_draft_put_as(d, path, vcs_git_oid(blob), 0, err));
done:
    return st;
}

snug_status vcs_draft_put_as(vcs_draft *d, snug_slice path, const git_oid *id, unsigned mode,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    dir        *f = d->root;
    snug_slice  rest = path, part;

    SNUG_TRY(vcs_check_path(path, err));
    SNUG_TRY(check_way(d, path, err));
    while (snug_split(&rest, '/', &part) && rest.ptr != NULL) {
        snug_slice head = snug_slice_of(path.ptr, (size_t)(part.ptr + part.len - path.ptr));
        SNUG_TRY(enter_dir(d, f, part, path, head, &f, err));
    }
    node *n = find_node(f, part);
    if (n == NULL) n = add_node(d, f, part);
    if (n->mode == 0) f->live++;
    if (mode == 0) /* new content, same permissions */
        mode = n->mode == MODE_EXEC ? MODE_EXEC : MODE_FILE;
    n->mode = mode;
    n->id = *id;
    n->dir = NULL;
    f->dirty = true;
done:
    return st;
}

/* Follows a path without changing anything; *depth 0 when it is not there. A path deeper than any
 * we write is not found either: writing folders back recurses. */
static snug_status follow(vcs_draft *d, snug_slice path, step way[VCS_PART_COUNT_MAX],
                          size_t *depth, snug_err *err)
{
    dir       *f = d->root;
    snug_slice rest = path, part;
    size_t     n = 0;
    *depth = 0;
    while (n < VCS_PART_COUNT_MAX && snug_split(&rest, '/', &part)) {
        node *c = find_node(f, part);
        if (c == NULL || c->mode == 0) return SNUG_OK;
        way[n++] = (step){f, c};
        if (rest.ptr == NULL) {
            *depth = n;
            return SNUG_OK;
        }
        if (!is_dir(c)) return SNUG_OK;
        snug_status st = open_dir(d, c, &f, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

snug_status vcs_draft_remove(vcs_draft *d, snug_slice path, snug_err *err)
{
    step       way[VCS_PART_COUNT_MAX];
    size_t     depth = 0;
    snug_slice want = path;
    bool       folder = want.len > 0 && want.ptr[want.len - 1] == '/';

    if (folder) want.len--;
    snug_status st = follow(d, want, way, &depth, err);
    if (st != SNUG_OK) return st;
    if (depth == 0 || (folder && !is_dir(way[depth - 1].n))) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound",
                              "A file with this name doesn't exist: %.*s",
                              path.len > 300 ? 300 : (int)path.len, path.ptr);
    }
    remove_last(way, depth);
    return SNUG_OK;
}

static snug_status write_dir(vcs_draft *d, dir *f, git_oid *out, snug_err *err);

snug_status vcs_draft_find(vcs_draft *d, snug_slice path, snug_arena *a, vcs_entry *out,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    step        way[VCS_PART_COUNT_MAX];
    size_t      depth = 0;

    SNUG_TRY(follow(d, path, way, &depth, err));
    if (depth == 0) {
        st = snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "Entry not found: \"%.*s\"",
                            path.len > 300 ? 300 : (int)path.len, path.ptr);
        goto done;
    }
    node *n = way[depth - 1].n;
    if (is_dir(n) && n->dir != NULL && n->dir->dirty) { /* the id of the folder as it is now */
        SNUG_TRY(write_dir(d, n->dir, &n->id, err));
    }
    SNUG_TRY(vcs_fill_entry(d->r, &n->id, n->mode, out, err));
    out->path = snug_arena_dup(a, path);
done:
    return st;
}

/* ---- writing trees ---- */

/* git's order: a folder's name counts with a '/' behind it. */
static int by_git_order(const void *a, const void *b)
{
    const node *x = *(node *const *)a, *y = *(node *const *)b;
    size_t      n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int         c = memcmp(x->name.ptr, y->name.ptr, n);
    if (c != 0) return c;
    unsigned char p = x->name.len > n ? (unsigned char)x->name.ptr[n] : is_dir(x) ? '/' : 0;
    unsigned char q = y->name.len > n ? (unsigned char)y->name.ptr[n] : is_dir(y) ? '/' : 0;
    return p < q ? -1 : p > q;
}

/* Depth: folders are loaded only along paths that were checked, so at most VCS_PART_COUNT_MAX. */
static snug_status write_dir(vcs_draft *d, dir *f, git_oid *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_AUTO(snug_buf) b = snug_buf_init(TREE_BYTES_MAX);
    node **sorted = snug_alloc((f->count + 1) * sizeof *sorted);
    size_t n = 0;

    for (size_t i = 0; i < f->count; i++) {
        node *c = f->v[i];
        if (c->mode == 0) continue;
        if (is_dir(c) && c->dir != NULL && c->dir->dirty) {
            SNUG_TRY(write_dir(d, c->dir, &c->id, err));
        }
        sorted[n++] = c;
    }
    qsort(sorted, n, sizeof *sorted, by_git_order);
    for (size_t i = 0; i < n; i++) {
        snug_buf_printf(&b, "%o ", sorted[i]->mode);
        snug_buf_put_slice(&b, sorted[i]->name);
        snug_buf_putc(&b, '\0');
        snug_buf_put(&b, sorted[i]->id.id, sizeof sorted[i]->id.id);
    }
    SNUG_TRY(snug_buf_check(&b, "folder", err));
    SNUG_TRY(vcs_write_object(d->r, GIT_OBJECT_TREE, snug_buf_slice(&b), out, err));
    f->dirty = false; /* its id is what it holds again */
done:
    free(sorted);
    return st;
}

/* ---- commits and tags as text ---- */

/* A name with angle brackets or line ends would break the line it stands in; git drops them, and
 * dots, commas and blanks at its ends. */
static void put_clean(snug_buf *b, snug_slice s, const char *fallback)
{
    static const char crud[] = " \t.,:;\"'\\";
    size_t            start = b->len;
    while (s.len > 0 && strchr(crud, s.ptr[0]) != NULL) s = snug_sub(s, 1, s.len);
    while (s.len > 0 && strchr(crud, s.ptr[s.len - 1]) != NULL) s.len--;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != 0x7f && c != '<' && c != '>') snug_buf_putc(b, s.ptr[i]);
    }
    if (b->len == start) snug_buf_puts(b, fallback);
}

void vcs_put_signature(snug_buf *b, const vcs_who *who)
{
    int64_t seconds = who->when_ms > 0 ? who->when_ms / 1000 : 0;
    put_clean(b, who->name, "unknown");
    snug_buf_puts(b, " <");
    put_clean(b, who->email, "unknown@localhost");
    snug_buf_printf(b, "> %lld +0000", (long long)seconds);
}

void vcs_put_message(snug_buf *b, snug_slice message)
{
    for (size_t i = 0; i < message.len; i++) {
        snug_buf_putc(b, message.ptr[i] == '\0' ? ' ' : message.ptr[i]);
    }
    if (message.len > 0 && message.ptr[message.len - 1] != '\n') snug_buf_putc(b, '\n');
}

void vcs_draft_add_parent(vcs_draft *d, const vcs_oid *other)
{
    d->has_other = true;
    d->other = *vcs_git_oid(other);
}

snug_status vcs_write_commit(vcs_repo *r, const git_oid *tree, const git_oid *parents, size_t n,
                             snug_slice message, const vcs_who *who, vcs_oid *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_oid     id;
    char        hex[41];
    SNUG_AUTO(snug_buf) b = snug_buf_init(MESSAGE_MAX);

    snug_hex(tree->id, sizeof tree->id, hex);
    snug_buf_printf(&b, "tree %s\n", hex);
    for (size_t i = 0; i < n; i++) {
        snug_hex(parents[i].id, sizeof parents[i].id, hex);
        snug_buf_printf(&b, "parent %s\n", hex);
    }
    snug_buf_puts(&b, "author ");
    vcs_put_signature(&b, who);
    snug_buf_puts(&b, "\ncommitter ");
    vcs_put_signature(&b, who);
    snug_buf_puts(&b, "\n\n");
    vcs_put_message(&b, message);
    SNUG_TRY(snug_buf_check(&b, "commit message", err));
    SNUG_TRY(vcs_write_object(r, GIT_OBJECT_COMMIT, snug_buf_slice(&b), &id, err));
    SNUG_TRY(vcs_flush_objects(r, err));
    *out = vcs_oid_of(&id);
done:
    return st;
}

snug_status vcs_draft_commit(vcs_draft *d, snug_slice message, const vcs_who *who, vcs_oid *out,
                             bool *unchanged, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_oid     tree, parents[2] = {d->base, d->other};

    if (d->losses != d->r->losses) {
        SNUG_FAIL(err, SNUG_EINTERNAL, "the objects of this draft were lost by an earlier failure");
    }
    tree = d->base_tree;
    if (d->root->dirty || !d->has_base) SNUG_TRY(write_dir(d, d->root, &tree, err));
    SNUG_TRY(vcs_write_commit(d->r, &tree, parents, d->has_base ? d->has_other ? 2 : 1 : 0, message,
                              who, out, err));
    *unchanged = d->has_base && git_oid_equal(&tree, &d->base_tree);
done:
    return st;
}
