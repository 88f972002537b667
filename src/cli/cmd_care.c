/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_care.c - snug gc, snug fsck, snug storage, snug dedup: keeping the byte store, straight
 * in the data folder.
 *
 * For:     the operator, with or without a running server. */
#include <unistd.h>

#include "cli/data.h"

enum { OUT_MAX = 64 * 1024 * 1024, SAY_EVERY_MS = 500 };

/* Only what says where the data is: --grace here is no setting of the server's. */
static cli_args data_flags_of(const cli_args *a, snug_arena *arena)
{
    cli_args out = {.given = snug_arena_alloc(arena, (a->given_count + 1) * sizeof *out.given)};
    for (size_t i = 0; i < a->given_count; i++) {
        for (const cli_flag *f = cli_data_flags; f->name != NULL; f++)
            if (strcmp(a->given[i].flag->name, f->name) == 0)
                out.given[out.given_count++] = a->given[i];
    }
    return out;
}

/* Blobs and git too: more than cli_open_hub needs. Works beside a running server. */
static snug_status open_all(cli *c, const cli_args *a, config *conf, hub **out, snug_err *err)
{
    cli_args    where = data_flags_of(a, c->arena);
    snug_status st = config_load(c->arena, &where, conf, err);
    if (st != SNUG_OK) return st;
    snug_log_opts quiet = {.level = SNUG_WARN, .fd = STDERR_FILENO};
    snug_log_setup(&quiet);
    hub_opts o = {.data_dir = config_text(conf, CONFIG_ID_data),
                  .db_url = config_text(conf, CONFIG_ID_db)};
    if (access(o.data_dir, F_OK) != 0)
        return snug_fail(err, SNUG_ENOTFOUND, "there is no data folder %s", o.data_dir);
    st = hub_open(&o, out, err);
    if (st != SNUG_OK) snug_note(err, "data folder %s", o.data_dir);
    return st;
}

static bool was_interrupted(void *arg)
{
    (void)arg;
    return atomic_load(cli_watch_interrupt());
}

/* ---- gc ---- */

typedef struct gc_out {
    cli           *c;
    snug_json_out *o;
    bool           dry;
} gc_out;

static void print_gc_item(void *arg, const hub_gc_item *i)
{
    gc_out *g = arg;
    char    size[16];
    if (g->c->json) {
        snug_jo_begin_object(g->o);
        snug_jo_kcstr(g->o, "kind", hub_gc_name(i->kind));
        snug_jo_kstr(g->o, "name", i->name);
        if (i->repo.len > 0) snug_jo_kstr(g->o, "repo", i->repo);
        snug_jo_ku64(g->o, "bytes", i->bytes);
        snug_jo_kcstr(g->o, "state", !i->due ? "waiting" : g->dry ? "due" : "removed");
        snug_jo_ki64(g->o, "since_ms", i->since_ms);
        snug_jo_end_object(g->o);
        return;
    }
    if (!i->due && !g->dry) return;
    snug_size_human(i->bytes, size);
    cli_say(g->c, "%-8s %-7s %10s  %.*s%s%.*s\n",
            !i->due  ? "waits"
            : g->dry ? "due"
                     : "removed",
            hub_gc_name(i->kind), size, SNUG_SLICE(i->name), i->repo.len > 0 ? "  of " : "",
            SNUG_SLICE(i->repo));
}

static bool parse_grace(const char *text, uint64_t *ms)
{
    static const struct {
        char     unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    snug_slice s = snug_str(text);
    uint64_t   n, unit = 1000;
    for (size_t i = 0; i < sizeof units / sizeof *units && s.len > 0; i++) {
        if (s.ptr[s.len - 1] != units[i].unit) continue;
        unit = units[i].ms;
        s.len--;
        break;
    }
    if (!snug_parse_u64(s, &n) || n > UINT64_C(100000000)) return false;
    *ms = n * unit;
    return true;
}

static void put_gc_sums(cli *c, snug_json_out *o, const hub_gc_report *r, bool dry)
{
    uint64_t things = 0, bytes = 0, waiting = 0;
    char     size[16];
    for (hub_gc_kind k = 0; k < HUB_GC_KINDS; k++) {
        things += r->of[k].due;
        waiting += r->of[k].waiting;
        if (k == HUB_GC_BLOB || k == HUB_GC_UPLOAD) bytes += r->of[k].due_bytes;
    }
    if (c->json) {
        snug_jo_ku64(o, dry ? "due" : "removed", things);
        snug_jo_ku64(o, "freed_bytes", bytes);
        snug_jo_ku64(o, "waiting", waiting);
        snug_jo_ku64(o, "unreadable_repos", r->skipped);
        return;
    }
    snug_size_human(bytes, size);
    cli_say(c, "%s %llu things and %s; %llu wait for the grace period to end\n",
            dry ? "Would remove" : "Removed", (unsigned long long)things, size,
            (unsigned long long)waiting);
    if (r->skipped > 0)
        cli_note(c, "%llu repositories could not be read and keep all they have: run snug fsck\n",
                 (unsigned long long)r->skipped);
}

static snug_status tidy_git(cli *c, hub *h, uint64_t grace_ms, snug_json_out *o, snug_err *err)
{
    hub_tidy_report r;
    hub_tidy_opts   opts = {.grace_ms = grace_ms, .stop = was_interrupted};
    snug_status     st = hub_tidy(h, &opts, &r, err);
    if (st != SNUG_OK) return st;
    if (c->json) {
        snug_jo_key(o, "git");
        snug_jo_begin_object(o);
        snug_jo_ku64(o, "repositories", r.repos);
        snug_jo_ku64(o, "removed", r.dropped);
        snug_jo_ku64(o, "waiting", r.young);
        snug_jo_ku64(o, "skipped", r.skipped);
        snug_jo_end_object(o);
    } else {
        cli_note(c,
                 "git: %llu repositories packed anew, %llu objects removed, %llu wait for the "
                 "grace period\n",
                 (unsigned long long)r.repos, (unsigned long long)r.dropped,
                 (unsigned long long)r.young);
    }
    return SNUG_OK;
}

static snug_status run_gc(cli *c, const cli_args *a, snug_err *err)
{
    snug_status   st = SNUG_OK;
    hub          *h = NULL;
    config        conf;
    hub_gc_report r;
    const char   *grace = cli_flag_value(a, "grace");
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);
    gc_out        out = {c, &o, cli_flag_given(a, "dry-run")};
    hub_gc_opts   opts = {
          .dry_run = out.dry, .item = print_gc_item, .stop = was_interrupted, .arg = &out};

    if (grace != NULL && !parse_grace(grace, &opts.grace_ms))
        SNUG_FAIL(err, SNUG_EINVAL, "--grace takes a time such as 24h, 30m or 0, not \"%s\"",
                  grace);
    SNUG_TRY(open_all(c, a, &conf, &h, err));
    if (grace == NULL) opts.grace_ms = 1000 * config_number(&conf, CONFIG_ID_gc_grace);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "items");
    snug_jo_begin_array(&o);
    SNUG_TRY(hub_collect(h, &opts, &r, err));
    snug_jo_end_array(&o);
    put_gc_sums(c, &o, &r, out.dry);
    if (!out.dry) SNUG_TRY(tidy_git(c, h, opts.grace_ms, &o, err));
    snug_jo_end_object(&o);
    if (c->json) SNUG_TRY(snug_buf_check(&b, "the list", err));
    if (c->json) cli_print_json(&b);
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag gc_flags[] = {
    {"dry-run", NULL, "only list; changes nothing"},
    {"grace", "TIME", "how long a thing must have been unused: 24h, 30m, 0 (default: gc-grace)"},
    {NULL, NULL, NULL}};
static const char *const gc_examples[] = {
    "snug gc --dry-run", "what is unused, and what would be removed now",
    "snug gc --grace 0 --data /srv/snug", "remove all that is unused, while nobody uploads", NULL};

const cli_command cli_cmd_gc = {
    .name = "gc",
    .args = "",
    .summary = "remove stored bytes that nobody uses",
    .help =
        "Removes objects that no commit in the history of any branch, tag or pull request of their "
        "repository names, chunks that no file is made of, uploads nobody goes on with, and "
        "commits "
        "no branch, tag or pull request reaches; git's files are packed anew. A running server "
        "does the same by itself every six hours, and packs git's files once a day.\n\n"
        "What is found unused for the first time is marked; a later run removes it when it has "
        "been unused for the grace period ever since. Uploads and commits may go on meanwhile: "
        "what they use is kept. With --grace 0 all goes at once, also the objects of an upload "
        "that waits for its commit: such an upload then fails, and must be sent again.",
    .flags = gc_flags,
    .groups = CLI_DATA,
    .examples = gc_examples,
    .exits = "0 2 3 8 74",
    .run = run_gc,
};

/* ---- fsck ---- */

typedef struct fsck_out {
    cli           *c;
    snug_json_out *o;
    uint64_t       said_ms;
    bool           tty;
} fsck_out;

static void print_finding(void *arg, const hub_fsck_item *i)
{
    fsck_out   *f = arg;
    const char *state = i->repaired ? "repaired" : i->derived ? "repairable" : "damaged";
    if (f->c->json) {
        snug_jo_begin_object(f->o);
        snug_jo_kcstr(f->o, "kind", i->kind);
        snug_jo_kstr(f->o, "name", i->name);
        snug_jo_kcstr(f->o, "state", state);
        snug_jo_kstr(f->o, "text", i->text);
        snug_jo_end_object(f->o);
        return;
    }
    cli_print("%-10s %-5s %.*s: %.*s\n", state, i->kind, SNUG_SLICE(i->name), SNUG_SLICE(i->text));
}

static void say_progress(void *arg, const char *what, uint64_t done)
{
    fsck_out *f = arg;
    uint64_t  now = snug_mono_ms();
    if (!f->tty || f->c->json || now - f->said_ms < SAY_EVERY_MS) return;
    f->said_ms = now;
    cli_note(f->c, "\r\033[K%s: %llu", what, (unsigned long long)done);
}

static void put_fsck_sums(cli *c, snug_json_out *o, const hub_fsck_report *r)
{
    char size[16];
    if (c->json) {
        snug_jo_ku64(o, "blobs", r->blobs);
        snug_jo_ku64(o, "xorbs", r->xorbs);
        snug_jo_ku64(o, "files", r->files);
        snug_jo_ku64(o, "links", r->links);
        snug_jo_ku64(o, "repos", r->repos);
        snug_jo_ku64(o, "bytes_read", r->bytes_read);
        snug_jo_ku64(o, "damaged", r->damaged);
        snug_jo_ku64(o, "repaired", r->repaired);
        return;
    }
    snug_size_human(r->bytes_read, size);
    cli_say(c,
            "%llu whole objects, %llu xorbs, %llu chunked files, %llu links, %llu repositories; %s "
            "read\n",
            (unsigned long long)r->blobs, (unsigned long long)r->xorbs,
            (unsigned long long)r->files, (unsigned long long)r->links,
            (unsigned long long)r->repos, size);
    cli_say(c, "%llu damaged, %llu repaired\n", (unsigned long long)r->damaged,
            (unsigned long long)r->repaired);
}

static snug_status run_fsck(cli *c, const cli_args *a, snug_err *err)
{
    snug_status     st = SNUG_OK;
    hub            *h = NULL;
    config          conf;
    hub_fsck_report r;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);
    fsck_out      out = {.c = c, .o = &o, .tty = isatty(STDERR_FILENO) == 1};
    hub_fsck_opts opts = {.repair = cli_flag_given(a, "repair"),
                          .quick = cli_flag_given(a, "quick"),
                          .item = print_finding,
                          .progress = say_progress,
                          .stop = was_interrupted,
                          .arg = &out};

    SNUG_TRY(open_all(c, a, &conf, &h, err));
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "findings");
    snug_jo_begin_array(&o);
    st = hub_fsck(h, &opts, &r, err);
    if (out.said_ms != 0) cli_note(c, "\r\033[K");
    if (st != SNUG_OK) goto done;
    snug_jo_end_array(&o);
    put_fsck_sums(c, &o, &r);
    snug_jo_end_object(&o);
    if (c->json) SNUG_TRY(snug_buf_check(&b, "the list", err));
    if (c->json) cli_print_json(&b);
    if (r.damaged > 0)
        SNUG_FAIL(err, SNUG_ECORRUPT, "%llu findings: see above, and docs/storage.md",
                  (unsigned long long)r.damaged);
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag fsck_flags[] = {
    {"repair", NULL, "write rows anew that follow from bytes and commits; bytes are never changed"},
    {"quick", NULL, "rows, names and sizes only: does not read what is stored"},
    {NULL, NULL, NULL}};
static const char *const fsck_examples[] = {"snug fsck --data /srv/snug", "read and verify all",
                                            "snug fsck --json --quick | jq .findings",
                                            "a fast look, for a script", NULL};

const cli_command cli_cmd_fsck = {
    .name = "fsck",
    .args = "",
    .summary = "verify everything stored",
    .help =
        "Reads every stored object and compares it with its name: SHA-256 of whole files, every "
        "chunk of every xorb, both hashes of every file made of chunks, every git object, and "
        "that each pointer in the history of each repository has its object. One line for "
        "each finding: damaged, repairable (--repair mends it) or repaired. Works beside a "
        "running server. Ends with 7 when damage is left.",
    .flags = fsck_flags,
    .groups = CLI_DATA,
    .examples = fsck_examples,
    .exits = "0 2 3 7 74 130",
    .run = run_fsck,
};

/* ---- storage ---- */

static void put_repo(cli *c, snug_json_out *o, const hub_storage *s)
{
    char logical[16], stored[16], bytes[16];
    if (c->json) {
        snug_jo_begin_object(o);
        snug_jo_ku64(o, "objects", s->objects);
        snug_jo_ku64(o, "whole_objects", s->whole);
        snug_jo_ku64(o, "chunked_objects", s->packed);
        snug_jo_ku64(o, "logical_bytes", s->logical);
        snug_jo_ku64(o, "stored_bytes", s->stored);
        snug_jo_key(o, "shared_with");
        snug_jo_begin_array(o);
    } else {
        snug_size_human(s->logical, logical);
        snug_size_human(s->stored, stored);
        cli_say(c, "%llu large files of %s take %s (%.1f %% saved)\n",
                (unsigned long long)s->objects, logical, stored,
                s->logical > s->stored ? 100.0 * (1.0 - (double)s->stored / (double)s->logical)
                                       : 0.0);
    }
    for (size_t i = 0; i < s->sharer_count; i++) {
        const hub_sharer *r = &s->sharers[i];
        if (c->json) {
            snug_jo_begin_object(o);
            snug_jo_kcstr(o, "type", hub_type_name(r->id.type));
            snug_jo_key(o, "id");
            snug_jo_strf(o, "%s/%s", r->id.ns, r->id.name);
            snug_jo_ku64(o, "bytes", r->bytes);
            snug_jo_end_object(o);
        } else {
            snug_size_human(r->bytes, bytes);
            cli_say(c, "  %10s in common with %s%s/%s\n", bytes, hub_type_web(r->id.type), r->id.ns,
                    r->id.name);
        }
    }
    if (!c->json) return;
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

static void put_server(cli *c, snug_json_out *o, const hub_store_sums *s)
{
    char logical[16], stored[16], whole[16], xorbs[16];
    if (c->json) {
        snug_jo_begin_object(o);
        snug_jo_ku64(o, "objects", s->objects);
        snug_jo_ku64(o, "logical_bytes", s->logical);
        snug_jo_ku64(o, "stored_bytes", s->stored);
        snug_jo_ku64(o, "whole_objects", s->blobs);
        snug_jo_ku64(o, "whole_bytes", s->blob_bytes);
        snug_jo_ku64(o, "chunked_objects", s->files);
        snug_jo_ku64(o, "xorbs", s->xorbs);
        snug_jo_ku64(o, "xorb_bytes", s->xorb_bytes);
        snug_jo_ku64(o, "xorb_raw_bytes", s->xorb_raw);
        snug_jo_end_object(o);
        return;
    }
    snug_size_human(s->logical, logical);
    snug_size_human(s->stored, stored);
    snug_size_human(s->blob_bytes, whole);
    snug_size_human(s->xorb_bytes, xorbs);
    cli_say(c, "%llu large files of %s take %s (%.1f %% saved)\n", (unsigned long long)s->objects,
            logical, stored,
            s->logical > s->stored ? 100.0 * (1.0 - (double)s->stored / (double)s->logical) : 0.0);
    cli_say(c, "  %10s in %llu objects stored whole\n", whole, (unsigned long long)s->blobs);
    cli_say(c, "  %10s in %llu xorbs, of which %llu files are made\n", xorbs,
            (unsigned long long)s->xorbs, (unsigned long long)s->files);
}

/* "ns/name", "datasets/ns/name" */
static snug_status parse_repo(const char *text, hub_repo_id *id, snug_err *err)
{
    snug_slice rest = snug_str(text), first;
    hub_type   type = HUB_MODEL;
    size_t     slash = snug_index(rest, '/');
    if (slash != SIZE_MAX && hub_type_parse(snug_sub(rest, 0, slash), &type))
        rest = snug_sub(rest, slash + 1, rest.len);
    if (!snug_split(&rest, '/', &first) || rest.len == 0)
        return snug_fail(err, SNUG_EINVAL, "\"%s\" is no repository: ns/name is wanted", text);
    return hub_parse_id(type, first, rest, id, err);
}

static snug_status run_storage(cli *c, const cli_args *a, snug_err *err)
{
    static const hub_actor operator= {
        .user_id = INT64_MAX, .is_admin = true, .name = {"operator", 8}, .scope = HUB_ROLE_WRITE};
    snug_status    st = SNUG_OK;
    hub           *h = NULL;
    config         conf;
    hub_repo      *repo = NULL;
    hub_repo_id    id;
    hub_storage    s;
    hub_store_sums sums;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);

    if (cli_pos(a, 0) != NULL) SNUG_TRY(parse_repo(cli_pos(a, 0), &id, err));
    SNUG_TRY(open_all(c, a, &conf, &h, err));
    if (cli_pos(a, 0) != NULL) {
        SNUG_TRY(hub_open_repo(h, &operator, & id, HUB_ROLE_READ, c->arena, &repo, err));
        SNUG_TRY(hub_repo_storage(h, &operator, repo, c->arena, &s, err));
        put_repo(c, &o, &s);
    } else {
        SNUG_TRY(hub_server_storage(h, &sums, err));
        put_server(c, &o, &sums);
    }
    if (c->json) cli_print_json(&b);
done:
    hub_close_repo(repo);
    if (h != NULL) hub_close(h);
    return st;
}

static const char *const storage_examples[] = {"snug storage", "of the whole server",
                                               "snug storage ada/my-model --json",
                                               "of one repository, and with whom it shares", NULL};

const cli_command cli_cmd_storage = {
    .name = "storage",
    .args = "[REPO]",
    .summary = "tell what large files take on disk",
    .help =
        "Tells the sizes of large files added up, the bytes they take on disk and the saving by "
        "storing equal chunks once: of the server, or of one repository (ns/name, "
        "datasets/ns/name, spaces/ns/name) with the repositories it has chunks in common with.",
    .groups = CLI_DATA,
    .max = 1,
    .examples = storage_examples,
    .exits = "0 2 3 74",
    .run = run_storage,
};

/* ---- dedup ---- */

static snug_status chunk_page(cli *c, hub *h, const blob_id *ids, size_t n, hub_chunked *sum,
                              snug_err *err)
{
    for (size_t i = 0; i < n; i++) {
        hub_chunked r;
        snug_status st = hub_chunk_object(h, &ids[i], was_interrupted, NULL, &r, err);
        if (st != SNUG_OK) return st;
        sum->chunks += r.packed ? 1 : 0; /* files */
        sum->size += r.size;
        sum->stored += r.stored;
        char hex[65];
        blob_id_hex(&ids[i], hex);
        if (r.packed) cli_note(c, "%s\n", hex);
    }
    return SNUG_OK;
}

static snug_status run_dedup(cli *c, const cli_args *a, snug_err *err)
{
    enum { PAGE = 200 };
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    config      conf;
    hub_chunked sum = {0};
    blob_id     after = {{{0}}}, *ids;
    size_t      n;
    bool        more = true;
    char        size[16], stored[16];
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(open_all(c, a, &conf, &h, err));
    uint64_t least = config_number(&conf, CONFIG_ID_dedup_min);
    while (more) {
        SNUG_TRY(hub_list_whole(h, least, &after, PAGE, c->arena, &ids, &n, &more, err));
        SNUG_TRY(chunk_page(c, h, ids, n, &sum, err));
    }
    snug_size_human(sum.size, size);
    snug_size_human(sum.stored, stored);
    cli_say(c, "%llu files of %s are in chunks now; %s of them were new\n",
            (unsigned long long)sum.chunks, size, stored);
    if (c->json) {
        snug_jo_begin_object(&o);
        snug_jo_ku64(&o, "files", sum.chunks);
        snug_jo_ku64(&o, "bytes", sum.size);
        snug_jo_ku64(&o, "stored_bytes", sum.stored);
        snug_jo_end_object(&o);
        cli_print_json(&b);
    }
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const char *const dedup_examples[] = {
    "snug dedup --data /srv/snug", "cut what is still whole, now",
    "snug dedup --json | jq .stored_bytes", "how much of it was new", NULL};

const cli_command cli_cmd_dedup = {
    .name = "dedup",
    .args = "",
    .summary = "cut large files into chunks, each stored once",
    .help =
        "Does now what a running server does in the background: files of at least dedup-min that "
        "are stored whole are cut into chunks, chunks that are there already are not stored "
        "again, and the whole copy goes after the chunks were read back and gave the right "
        "SHA-256. May be stopped at any moment and run again.",
    .groups = CLI_DATA,
    .examples = dedup_examples,
    .exits = "0 2 3 7 8 74",
    .run = run_dedup,
};
