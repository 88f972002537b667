/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_tokenize.c - snug tokenize: JSON lines of texts in, JSON lines of tokens out.
 *
 * For:     people and scripts that compare tokenizers or count tokens.
 * Owns:    the loaded tokenizer.
 * Threads: the main thread. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tok/tok.h"
#ifdef SNUG_HAVE_HUB
#include "cli/net.h"
#endif
#include "cli/cli_int.h"

enum { LINE_MAX_BYTES = 64 * 1024 * 1024, ANSWER_MAX = 1024 * 1024 * 1024, READ_SIZE = 64 * 1024 };

typedef struct job {
    tok        *t;
    snug_arena *a; /* of one line */
    tok_ids     ids;
    snug_buf    answer, decoded;
    uint64_t    line; /* first is 1 */
} job;

/* ---- the tokenizer: a file, a folder, or a repository through the cache ---- */

#ifdef SNUG_HAVE_HUB
static snug_status fetch(cli *c, const cli_args *a, const char *name, const char **path,
                         snug_err *err)
{
    static const snug_slice wanted[] = {{"tokenizer*", 10},
                                        {"*.model", 7},
                                        {"vocab.*", 7},
                                        {"merges.txt", 10},
                                        {"special_tokens_map.json", 23},
                                        {"*.tiktoken", 10},
                                        {"tekken.json", 11},
                                        {"config.json", 11}};
    remote_download d = {.include = wanted, .include_count = sizeof wanted / sizeof wanted[0]};
    return cli_fetch_model(c, a, snug_str(name), name, &d, path, err);
}
#endif

snug_status cli_find_tokenizer(cli *c, const cli_args *a, const char *flag, const char **path,
                               snug_err *err)
{
    struct stat sb;
    *path = cli_flag_value(a, flag);
    if (*path == NULL) return snug_fail(err, SNUG_EINVAL, "tokenize needs --%s PATH_OR_REPO", flag);
    if (stat(*path, &sb) == 0) return SNUG_OK;
#ifdef SNUG_HAVE_HUB
    return fetch(c, a, *path, path, err);
#else
    (void)c;
    return snug_fail(err, SNUG_ENOTFOUND,
                     "there is no file %s (this program was built without the hub)", *path);
#endif
}

static snug_status open_tokenizer(cli *c, const cli_args *a, tok **out, snug_err *err)
{
    const char *path;
    snug_status st = cli_find_tokenizer(c, a, "tokenizer", &path, err);
    return st == SNUG_OK ? tok_open(path, out, err) : st;
}

/* ---- one line ---- */

static void put_numbers(snug_json_out *o, const char *key, const uint32_t *v, size_t n)
{
    snug_jo_key(o, key);
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) snug_jo_u64(o, v[i]);
    snug_jo_end_array(o);
}

static void put_flags(snug_json_out *o, const char *key, const uint8_t *v, size_t n)
{
    snug_jo_key(o, key);
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) snug_jo_u64(o, v[i]);
    snug_jo_end_array(o);
}

static snug_status put_decoded(job *j, snug_json_out *o, const char *key, bool skip, snug_err *err)
{
    snug_buf_clear(&j->decoded);
    snug_status st = tok_decode(j->t, j->ids.ids, j->ids.count, skip, &j->decoded, err);
    if (st == SNUG_OK) st = snug_buf_check(&j->decoded, "the decoded text", err);
    if (st == SNUG_OK) snug_jo_kstr(o, key, snug_buf_slice(&j->decoded));
    return st;
}

static snug_status put_answer(job *j, snug_err *err)
{
    snug_json_out  o = snug_json_out_init(&j->answer);
    const tok_ids *t = &j->ids;
    snug_status    st = SNUG_OK;
    snug_jo_begin_object(&o);
    put_numbers(&o, "ids", t->ids, t->count);
    snug_jo_key(&o, "tokens");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < t->count; i++) snug_jo_str(&o, tok_ids_text(t, i));
    snug_jo_end_array(&o);
    snug_jo_key(&o, "offsets");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < t->count; i++) {
        snug_jo_begin_array(&o);
        snug_jo_u64(&o, t->begin[i]);
        snug_jo_u64(&o, t->end[i]);
        snug_jo_end_array(&o);
    }
    snug_jo_end_array(&o);
    put_numbers(&o, "type_ids", t->type_ids, t->count);
    put_flags(&o, "attention_mask", t->attention, t->count);
    put_flags(&o, "special_mask", t->special, t->count);
    SNUG_TRY(put_decoded(j, &o, "decoded", true, err));
    SNUG_TRY(put_decoded(j, &o, "decoded_keep_special", false, err));
    snug_jo_end_object(&o);
    snug_buf_putc(&j->answer, '\n');
    st = snug_buf_check(&j->answer, "the answer", err);
done:
    return st;
}

static snug_status read_line(job *j, snug_slice line, snug_err *err)
{
    snug_json   v, pair;
    snug_slice  text, second = SNUG_EMPTY;
    unsigned    flags = TOK_KEEP_TEXTS;
    snug_status st = SNUG_OK;
    SNUG_TRY(snug_json_parse(j->a, line, &(snug_json_opts){.flags = SNUG_JSON_BORROW}, &v, err));
    SNUG_TRY(snug_json_need_str(v, "text", &text, err));
    pair = snug_json_get(v, "pair");
    if (snug_json_bool_or(v, "add_special", true)) flags |= TOK_ADD_SPECIAL;
    if (snug_json_is(pair, SNUG_JSON_ABSENT) || snug_json_is(pair, SNUG_JSON_NULL)) {
        SNUG_TRY(tok_encode(j->t, text, flags, &j->ids, err));
    } else {
        SNUG_TRY(snug_json_need_str(v, "pair", &second, err));
        SNUG_TRY(tok_encode_pair(j->t, text, second, flags, &j->ids, err));
    }
    snug_buf_clear(&j->answer);
    SNUG_TRY(put_answer(j, err));
    (void)fwrite(j->answer.ptr, 1, j->answer.len, stdout); /* cli_flush tells of errors */
done:
    return st;
}

static snug_status take_line(job *j, snug_slice line, snug_err *err)
{
    snug_status st = SNUG_OK;
    j->line++;
    if (snug_trim(line).len == 0) return SNUG_OK;
    st = read_line(j, line, err);
    snug_arena_reset(j->a);
    if (st != SNUG_OK) snug_note(err, "line %" PRIu64, j->line);
    return st;
}

/* ---- all lines: what came with one read is answered before the next, so a pipe can talk ---- */

static snug_status run_lines(job *j, snug_err *err)
{
    snug_buf    in = snug_buf_init(LINE_MAX_BYTES);
    snug_status st = SNUG_OK;
    size_t      seen = 0; /* bytes of `in` that hold no line end */
    ssize_t     n = 1;
    while (n > 0) {
        if (!snug_buf_reserve(&in, READ_SIZE))
            SNUG_FAIL(err, SNUG_ELIMIT, "line %" PRIu64 " is longer than %d bytes", j->line + 1,
                      LINE_MAX_BYTES);
        n = read(STDIN_FILENO, in.ptr + in.len, READ_SIZE);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n < 0) SNUG_FAIL(err, SNUG_EIO, "standard input cannot be read: %s", strerror(errno));
        in.len += (size_t)n;
        size_t from = 0;
        for (const char *e; (e = memchr(in.ptr + seen, '\n', in.len - seen)) != NULL;) {
            size_t end = (size_t)(e - in.ptr);
            SNUG_TRY(take_line(j, snug_slice_of(in.ptr + from, end - from), err));
            from = seen = end + 1;
        }
        memmove(in.ptr, in.ptr + from, in.len - from);
        in.len -= from;
        seen = in.len;
        SNUG_TRY(cli_flush(err));
    }
    SNUG_TRY(take_line(j, snug_buf_slice(&in), err));
    SNUG_TRY(cli_flush(err));
done:
    snug_buf_deinit(&in);
    return st;
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    job j = {.a = snug_arena_new(),
             .answer = snug_buf_init(ANSWER_MAX),
             .decoded = snug_buf_init(LINE_MAX_BYTES)};
    /* Doubts about the file are for whoever compares tokens. */
    snug_log_setup(&(snug_log_opts){.level = SNUG_WARN, .fd = STDERR_FILENO});
    snug_status st = open_tokenizer(c, a, &j.t, err);
    if (st == SNUG_OK) st = run_lines(&j, err);
    tok_free(j.t);
    tok_ids_deinit(&j.ids);
    snug_buf_deinit(&j.answer);
    snug_buf_deinit(&j.decoded);
    snug_arena_free(j.a);
    return st;
}

static const cli_flag flags[] = {
    {"tokenizer", "PATH_OR_REPO", "a tokenizer file, a folder that holds one, or a repository"},
    {"revision", "REV", "branch, tag or commit of the repository (default: main)"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "echo '{\"text\": \"Hello, world\"}' | snug tokenize --tokenizer ./model",
    "ids, tokens, offsets, masks and what they decode to",
    "snug tokenize --tokenizer org/model < texts.jsonl > tokens.jsonl",
    "with the tokenizer of a repository", NULL};

const cli_command cli_cmd_tokenize = {
    .name = "tokenize",
    .args = "",
    .summary = "turn texts into tokens, line by line",
    .help =
        "Reads one JSON object a line from standard input: {\"text\": ...}, with \"pair\" for a "
        "second text and \"add_special\": false to leave out special tokens. Writes one JSON "
        "object a line: ids, tokens, offsets in code points, type_ids, attention_mask, "
        "special_mask, and the decoded text without and with special tokens.\n\n"
        "Truncation and padding that a tokenizer file may ask for are not applied.",
    .flags = flags,
    .groups = CLI_TOKENIZER_GROUPS,
    .min = 0,
    .max = 0,
    .examples = examples,
    .exits = "0 2 3 4 5 6 7 9 74",
    .run = run,
};
