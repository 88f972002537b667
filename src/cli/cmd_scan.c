/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_scan.c - snug scan: what loading a file would import, and whether that is safe. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/cli_int.h"
#include "codec/codec.h"

enum { JSON_MAX = 64 * 1024 * 1024, DEPTH_MAX = 32 };

typedef struct tally {
    bool   all;
    size_t files, unknown, dangerous;
} tally;

static void put_json(const char *path, const codec_scan *s)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "file", path);
    snug_jo_kcstr(&o, "format", s->format);
    snug_jo_kcstr(&o, "verdict", codec_verdict_name(s->verdict));
    snug_jo_key(&o, "imports");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < s->import_count; i++) {
        const codec_scan_import *m = &s->imports[i];
        snug_jo_begin_object(&o);
        snug_jo_kstr(&o, "module", m->module);
        snug_jo_kstr(&o, "name", m->name);
        snug_jo_kcstr(&o, "verdict", codec_verdict_name(m->verdict));
        snug_jo_kstr(&o, "part", m->part);
        snug_jo_ku64(&o, "offset", m->offset);
        snug_jo_kcstr(&o, "opcode", m->how);
        snug_jo_ku64(&o, "count", m->count);
        snug_jo_ku64(&o, "calls", m->calls);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    snug_jo_key(&o, "reasons");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < s->remark_count; i++) {
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "verdict", codec_verdict_name(s->remarks[i].verdict));
        snug_jo_kstr(&o, "part", s->remarks[i].part);
        snug_jo_kstr(&o, "text", s->remarks[i].text);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    cli_print_json(&b);
}

/* Names come from the file: control characters would speak to the terminal. */
static snug_slice printable(snug_arena *a, snug_slice s)
{
    char *copy = snug_arena_cstr(a, s);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)copy[i];
        if (c < 32 || c == 127 || (c >= 128 && !snug_utf8_valid(s))) copy[i] = '?';
    }
    return snug_slice_of(copy, s.len);
}

static const char *color_of(const cli *c, codec_verdict v)
{
    if (!c->color) return "";
    return v == CODEC_DANGEROUS ? "\033[31m" : v == CODEC_UNKNOWN ? "\033[33m" : "\033[32m";
}

static void put_human(const cli *c, const char *path, const codec_scan *s, bool all)
{
    const char *end = c->color ? "\033[0m" : "";
    size_t      safe = 0;
    cli_print("%s: %s%s%s (%s)\n", path, color_of(c, s->verdict), codec_verdict_name(s->verdict),
              end, s->format);
    for (size_t i = 0; i < s->import_count; i++) {
        const codec_scan_import *m = &s->imports[i];
        safe += m->verdict == CODEC_SAFE;
        if (m->verdict == CODEC_SAFE && !all) continue;
        snug_slice module = printable(c->arena, m->module), name = printable(c->arena, m->name),
                   part = printable(c->arena, m->part);
        cli_print("  %s%-9s%s  %.*s.%.*s  %s at byte %" PRIu64 "%s%.*s, %s\n",
                  color_of(c, m->verdict), codec_verdict_name(m->verdict), end, SNUG_SLICE(module),
                  SNUG_SLICE(name), m->how, m->offset, part.len > 0 ? " of " : "", SNUG_SLICE(part),
                  m->calls > 0 ? "called" : "not called");
    }
    for (size_t i = 0; i < s->remark_count; i++) {
        const codec_scan_remark *r = &s->remarks[i];
        snug_slice part = printable(c->arena, r->part), text = printable(c->arena, r->text);
        cli_print("  %s%-9s%s  %.*s%s%.*s\n", color_of(c, r->verdict),
                  codec_verdict_name(r->verdict), end, SNUG_SLICE(part), part.len > 0 ? ": " : "",
                  SNUG_SLICE(text));
    }
    if (safe > 0 && !all) cli_say(c, "  and %zu safe import%s\n", safe, safe == 1 ? "" : "s");
}

static snug_status scan_path(cli *c, tally *t, const char *path, unsigned depth, snug_err *err);

static snug_status scan_dir(cli *c, tally *t, const char *path, unsigned depth, snug_err *err)
{
    struct dirent **names;
    snug_status     st = SNUG_OK;
    if (depth > DEPTH_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%s: folders nest deeper than %d", path, DEPTH_MAX);
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) return snug_fail(err, SNUG_EIO, "%s cannot be read: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        struct stat s;
        const char *name = names[i]->d_name;
        char *child = snug_arena_cstr(c->arena, snug_arena_printf(c->arena, "%s/%s", path, name));
        bool  skip = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0;
        /* Links are followed to files (a download cache is made of them), never to folders. */
        if (st == SNUG_OK && !skip && stat(child, &s) == 0 &&
            (S_ISREG(s.st_mode) || (S_ISDIR(s.st_mode) && names[i]->d_type != DT_LNK)))
            st = scan_path(c, t, child, depth + 1, err);
        free(names[i]);
    }
    free(names);
    return st;
}

static snug_status scan_path(cli *c, tally *t, const char *path, unsigned depth, snug_err *err)
{
    SNUG_AUTO(snug_map) map = {0};
    struct stat s;
    codec_scan  found;
    if (stat(path, &s) != 0)
        return snug_fail(err, errno == ENOENT ? SNUG_ENOTFOUND : SNUG_EIO, "%s: %s", path,
                         strerror(errno));
    if (S_ISDIR(s.st_mode)) return scan_dir(c, t, path, depth, err);
    if (!S_ISREG(s.st_mode)) return snug_fail(err, SNUG_EINVAL, "%s is no file", path);
    if (s.st_size > 0) {
        snug_status st = snug_map_open(path, &map, err);
        if (st != SNUG_OK) return st;
    }
    snug_arena *a = snug_arena_new();
    codec_scan_bytes(a, snug_slice_of(map.ptr, map.len), &found);
    t->files++;
    t->unknown += found.verdict == CODEC_UNKNOWN;
    t->dangerous += found.verdict == CODEC_DANGEROUS;
    if (c->json)
        put_json(path, &found);
    else
        put_human(c, path, &found, t->all);
    snug_arena_free(a);
    return SNUG_OK;
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    tally       t = {.all = cli_flag_given(a, "all")};
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < a->pos_count && st == SNUG_OK; i++)
        st = scan_path(c, &t, cli_pos(a, i), 0, err);
    if (st != SNUG_OK) return st;
    const char *plural = t.files == 1 ? "" : "s";
    if (t.dangerous > 0)
        return snug_fail(err, SNUG_ECORRUPT, "%zu of %zu file%s %s dangerous: do not load",
                         t.dangerous, t.files, plural, t.dangerous == 1 ? "is" : "are");
    if (t.unknown > 0 && cli_flag_given(a, "strict"))
        return snug_fail(err, SNUG_EUNSUPPORTED, "%zu of %zu file%s %s not known to be safe",
                         t.unknown, t.files, plural, t.unknown == 1 ? "is" : "are");
    return SNUG_OK;
}

static const cli_flag    flags[] = {{"all", NULL, "list safe imports too"},
                                    {"strict", NULL, "end with 9 when a file is not known to be safe"},
                                    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug scan pytorch_model.bin", "say what loading this checkpoint would import",
    "snug scan --json ./model", "scan every file of a folder; a JSON object for each, one a line",
    NULL};

const cli_command cli_cmd_scan = {
    .name = "scan",
    .args = "FILE...",
    .summary = "say what loading a file would run, without loading it",
    .help =
        "Looks for pickles in checkpoints, archives, numpy files and inside each other, follows "
        "every "
        "instruction of them without executing any, and lists what they would import and call.\n\n"
        "safe: only names that build data. dangerous: a name that can run code, start programs or "
        "reach files or the net. unknown: anything else, and files that cannot be followed to the "
        "end. A dangerous file ends the command with 7.",
    .flags = flags,
    .min = 1,
    .max = UINT_MAX,
    .examples = examples,
    .exits = "0 2 3 6 7 9 74",
    .run = run,
};
