/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_transfer.c - snug upload, snug download. */
#include "cli/bar.h"
#include "cli/net.h"

enum { RESULT_MAX = 64 * 1024, SEGMENTS_MAX = 16 };

/* ---- upload ---- */

/* --create: the repository and, when asked for by name, the branch. */
static snug_status make_target(cli *c, const cli_args *a, remote *r, remote_repo id, snug_err *err)
{
    snug_json   v;
    const char *branch = cli_flag_value(a, "revision");
    snug_status st =
        remote_create_repo(r, id, cli_flag_given(a, "private"), true, c->arena, &v, err);
    if (st != SNUG_OK || branch == NULL || strcmp(branch, "main") == 0) return st;
    SNUG_AUTO(snug_buf) path = snug_buf_init(RESULT_MAX);
    snug_buf_printf(&path, "/api/%ss/%.*s/branch/", id.type, SNUG_SLICE(id.id));
    snug_percent_put(&path, snug_str(branch), false);
    st = remote_call(r, "POST", snug_buf_cstr(&path), SNUG_LIT("{}"), c->arena, &v, err);
    return st == SNUG_ECONFLICT ? SNUG_OK : st;
}

static void tell_upload(const cli *c, remote_repo id, const remote_uploaded *u)
{
    char size[16];
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(RESULT_MAX);
        snug_json_out j = snug_json_out_init(&b);
        snug_jo_begin_object(&j);
        snug_jo_kstr(&j, "repo", id.id);
        snug_jo_kcstr(&j, "type", id.type);
        snug_jo_kstr(&j, "commit", u->commit_oid);
        snug_jo_kstr(&j, "url", u->commit_url);
        snug_jo_ku64(&j, "files", u->files);
        snug_jo_ku64(&j, "skipped", u->skipped);
        snug_jo_ku64(&j, "bytes_sent", u->bytes_sent);
        snug_jo_end_object(&j);
        cli_print_json(&b);
        return;
    }
    snug_size_human(u->bytes_sent, size);
    if (u->files == 0)
        cli_say(c, "%.*s: nothing changed (%zu files)\n", SNUG_SLICE(id.id), u->skipped);
    else
        cli_say(c, "%.*s: %zu files, %s sent, %zu unchanged, commit %.*s\n", SNUG_SLICE(id.id),
                u->files, size, u->skipped, SNUG_SLICE(snug_sub(u->commit_oid, 0, 12)));
}

static snug_status run_upload(cli *c, const cli_args *a, snug_err *err)
{
    snug_status     st = SNUG_OK;
    remote         *r = NULL;
    cli_bar         bar = cli_bar_new(c);
    remote_uploaded done;
    remote_upload   u = {.path = cli_pos(a, 1),
                         .in_repo = cli_pos(a, 2),
                         .revision = cli_flag_value(a, "revision"),
                         .message = cli_flag_value(a, "message"),
                         .progress = cli_bar_show,
                         .progress_arg = &bar,
                         .cancel = cli_watch_interrupt()};
    SNUG_TRY(cli_repo_arg(a, 0, &u.repo, err));
    SNUG_TRY(cli_open_remote(a, &r, err));
    if (cli_flag_given(a, "create")) SNUG_TRY(make_target(c, a, r, u.repo, err));
    SNUG_TRY(remote_do_upload(r, &u, c->arena, &done, err));
    cli_bar_end(&bar);
    tell_upload(c, u.repo, &done);
done:
    cli_bar_end(&bar);
    if (st != SNUG_OK && r != NULL) snug_note(err, "%.*s", SNUG_SLICE(u.repo.id));
    remote_close(r);
    return st;
}

static const cli_flag upload_flags[] = {
    {"type", "TYPE", cli_type_help},
    {"revision", "BRANCH", "the branch to commit to (default main)"},
    {"message", "TEXT", "the commit message; a first line, then more if you like"},
    {"create", NULL, "make the repository, and the branch of --revision, when missing"},
    {"private", NULL, "with --create: only you may see it"},
    {"no-xet", NULL, cli_no_xet_help},
    {NULL, NULL, NULL}};
static const char *const upload_examples[] = {
    "snug upload ada/my-model ./folder --create", "publish a folder",
    "snug upload datasets/ada/songs train.csv data/train.csv --message \"More songs\"",
    "put one file under a name", NULL};

const cli_command cli_cmd_upload = {
    .name = "upload",
    .args = "REPO PATH [IN_REPO]",
    .summary = "send a file or folder in one commit",
    .help = "Sends PATH, a file or a folder, to the repository in one commit. IN_REPO is the "
            "name (of a file) or the folder (of a folder) it gets there; without it a file keeps "
            "its name and a folder's content goes to the top.\n\n"
            "What the hub already holds is not sent again: interrupted uploads go on where they "
            "stopped, and when nothing changed there is no commit. Folders .git and "
            ".cache/huggingface stay here, and so does what .gitignore names.\n\n"
            "Large files go by Xet where the hub has it: in chunks, and only those it lacks. How "
            "many requests run at once is found out while they run. What was sent is noted below "
            "$HF_XET_CACHE (else $HF_HOME/xet).",
    .flags = upload_flags,
    .groups = CLI_REMOTE,
    .min = 2,
    .max = 3,
    .examples = upload_examples,
    .exits = "0 2 3 4 5 6 8 10 74 130",
    .run = run_upload,
};

/* ---- download ---- */

static void tell_download(const cli *c, remote_repo id, const remote_downloaded *d)
{
    if (!c->json) {
        cli_print("%.*s\n", SNUG_SLICE(d->path));
        return;
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(RESULT_MAX);
    snug_json_out j = snug_json_out_init(&b);
    snug_jo_begin_object(&j);
    snug_jo_kstr(&j, "repo", id.id);
    snug_jo_kcstr(&j, "type", id.type);
    snug_jo_kstr(&j, "commit", d->commit);
    snug_jo_kstr(&j, "path", d->path);
    snug_jo_ku64(&j, "files", d->files);
    snug_jo_ku64(&j, "bytes_fetched", d->bytes_fetched);
    snug_jo_kbool(&j, "from_cache", d->from_cache);
    snug_jo_end_object(&j);
    cli_print_json(&b);
}

static snug_status fill_download(cli *c, const cli_args *a, remote_download *d, snug_err *err)
{
    uint64_t    segments = 0;
    const char *text = cli_flag_value(a, "segments");
    snug_slice *files = snug_arena_zalloc(c->arena, (a->pos_count + 1) * sizeof *files);
    for (size_t i = 1; i < a->pos_count; i++) files[i - 1] = snug_str(a->pos[i]);
    d->files = files;
    d->file_count = a->pos_count - 1;
    d->include = cli_slices(c->arena, a, "include", &d->include_count);
    d->exclude = cli_slices(c->arena, a, "exclude", &d->exclude_count);
    d->revision = cli_flag_value(a, "revision");
    d->local_dir = cli_flag_value(a, "local-dir");
    if (d->file_count > 0 && d->include_count + d->exclude_count > 0) {
        return snug_fail(err, SNUG_EINVAL, "name files or use --include and --exclude, not both");
    }
    if (text != NULL &&
        (!snug_parse_u64(snug_str(text), &segments) || segments < 1 || segments > SEGMENTS_MAX)) {
        return snug_fail(err, SNUG_EINVAL, "--segments takes a number from 1 to %d", SEGMENTS_MAX);
    }
    d->segments = (unsigned)segments;
    return SNUG_OK;
}

static snug_status run_download(cli *c, const cli_args *a, snug_err *err)
{
    snug_status       st = SNUG_OK;
    remote           *r = NULL;
    cli_bar           bar = cli_bar_new(c);
    remote_downloaded done;
    remote_download   d = {
          .progress = cli_bar_show, .progress_arg = &bar, .cancel = cli_watch_interrupt()};
    SNUG_TRY(cli_repo_arg(a, 0, &d.repo, err));
    SNUG_TRY(fill_download(c, a, &d, err));
    SNUG_TRY(cli_open_remote(a, &r, err));
    SNUG_TRY(remote_do_download(r, &d, c->arena, &done, err));
    cli_bar_end(&bar);
    tell_download(c, d.repo, &done);
    if (done.from_cache)
        cli_note(c, "note: %s did not answer; this is what the cache has\n", remote_endpoint(r));
    if (done.files == 0) cli_note(c, "note: no file matched\n");
done:
    cli_bar_end(&bar);
    if (st != SNUG_OK && r != NULL) snug_note(err, "%.*s", SNUG_SLICE(d.repo.id));
    remote_close(r);
    return st;
}

static const cli_flag download_flags[] = {
    {"type", "TYPE", cli_type_help},
    {"revision", "REV", "branch, tag or commit (default main)"},
    {"local-dir", "DIR", "put the files there instead of into the shared cache"},
    {"include", "GLOB", "only files that match; may be repeated"},
    {"exclude", "GLOB", "no files that match; may be repeated"},
    {"segments", "N",
     "parallel ranges of one large file, 1 to 16 (default 4); by Xet the most there may be"},
    {"no-xet", NULL, cli_no_xet_help},
    {"cache-dir", "DIR", "the shared cache (default: $HF_HUB_CACHE, else $HF_HOME/hub)"},
    {NULL, NULL, NULL}};
static const char *const download_examples[] = {
    "snug download ada/my-model", "fetch everything into the cache and print the folder",
    "snug download ada/my-model --include '*.safetensors' --include 'config.json' --local-dir ./m",
    "fetch some files into a folder", NULL};

const cli_command cli_cmd_download = {
    .name = "download",
    .args = "REPO [FILE...]",
    .summary = "fetch a repository or some of its files",
    .help =
        "Fetches the whole repository, or the files named, and prints where they are: a "
        "folder, or the path of a single file. Files go to the cache that stock Hugging Face "
        "libraries share, or to --local-dir.\n\n"
        "An interrupted download goes on where it stopped. Every file is verified by its "
        "hash before it gets its name. With HF_HUB_OFFLINE=1, or when the hub cannot be "
        "reached, the cache answers alone.\n\n"
        "Large files come by Xet where the hub has it, as many parts at once as the link bears. "
        "Parts that came slowly are kept below $HF_XET_CACHE (else $HF_HOME/xet) for the next "
        "version of a file, at most $HF_XET_CHUNK_CACHE_SIZE_BYTES (default 1 GiB; 0: none).\n\n"
        "In a GLOB, * also matches /, and a GLOB that ends in / takes a folder.",
    .flags = download_flags,
    .groups = CLI_REMOTE,
    .min = 1,
    .max = UINT_MAX,
    .examples = download_examples,
    .exits = "0 2 3 4 7 8 10 74 130",
    .run = run_download,
};
