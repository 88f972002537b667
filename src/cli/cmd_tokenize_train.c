/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_tokenize_train.c - snug tokenize train: texts in, a tokenizer.json out.
 *
 * For:     people who make a tokenizer for their own language, code or domain.
 * Owns:    the trainer.
 * Threads: the main thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli_int.h"
#include "tok/tok.h"

enum { READ_BYTES = 256 * 1024, SPECIALS_MAX = 100000, ALPHABET_MAX = 4 * 1024 * 1024 };

typedef struct job {
    cli            *c;
    const cli_args *a;
    tok_trainer    *t;
    snug_slice      like;
    uint64_t        lines, bytes;
} job;

/* ---- what is asked for ---- */

static const struct {
    const char *flag, *model;
    const char *specials[6]; /* where neither --special nor --like says */
    const char *unk;
} models[] = {
    {"bpe", "BPE", {"<|endoftext|>"}, ""},
    {"wordpiece", "WordPiece", {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, "[UNK]"},
    {"unigram", "Unigram", {"<unk>", "<s>", "</s>"}, "<unk>"},
    {"wordlevel", "WordLevel", {"<unk>"}, "<unk>"},
};

static snug_status read_number(const cli_args *a, const char *flag, uint64_t max, uint64_t *out,
                               snug_err *err)
{
    const char *v = cli_flag_value(a, flag);
    char       *end;
    if (v == NULL) return SNUG_OK;
    errno = 0;
    unsigned long long n = strtoull(v, &end, 10);
    if (errno != 0 || v[0] < '0' || v[0] > '9' || *end != '\0' || n > max)
        return snug_fail(err, SNUG_EINVAL, "--%s must be a number of at most %" PRIu64, flag, max);
    *out = n;
    return SNUG_OK;
}

static snug_status read_small(const cli_args *a, const char *flag, uint32_t *out, snug_err *err)
{
    uint64_t    n = *out;
    snug_status st = read_number(a, flag, UINT32_MAX, &n, err);
    *out = (uint32_t)n;
    return st;
}

static snug_slice text_flag(const cli_args *a, const char *flag, snug_slice dflt)
{
    const char *v = cli_flag_value(a, flag);
    return v != NULL ? snug_str(v) : dflt;
}

static snug_status read_specials(job *j, size_t row, tok_train *o, snug_err *err)
{
    const cli_args *a = j->a;
    size_t          n = 0;
    bool            usual =
        !cli_flag_given(a, "special") && j->like.len == 0 && !cli_flag_given(a, "no-special");
    while (n < SPECIALS_MAX && cli_flag_nth(a, "special", n) != NULL) n++;
    if (n == SPECIALS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d special tokens", SPECIALS_MAX);
    tok_special *list = snug_arena_zalloc(j->c->arena, (n + 8) * sizeof *list);
    for (size_t i = 0; i < n; i++) list[i].content = snug_str(cli_flag_nth(a, "special", i));
    while (usual && n < 6 && models[row].specials[n] != NULL) {
        list[n].content = snug_str(models[row].specials[n]);
        n++;
    }
    o->specials = list;
    o->special_count = n;
    if (o->unk.len == 0 && j->like.len == 0) o->unk = snug_str(models[row].unk);
    return SNUG_OK;
}

static snug_status read_options(job *j, tok_train *o, snug_err *err)
{
    const cli_args *a = j->a;
    const char     *name = cli_flag_value(a, "model"), *factor = cli_flag_value(a, "shrinking");
    size_t          row = 0, rows = sizeof models / sizeof models[0];
    snug_status     st = SNUG_OK;
    while (name != NULL && row < rows && strcmp(models[row].flag, name) != 0) row++;
    if (row == rows)
        SNUG_FAIL(err, SNUG_EINVAL, "--model must be bpe, wordpiece, unigram or wordlevel");
    *o = tok_train_defaults(name == NULL && j->like.len > 0 ? NULL : models[row].model);
    o->like = j->like;
    SNUG_TRY(read_small(a, "vocab-size", &o->vocab_size, err));
    SNUG_TRY(read_number(a, "min-frequency", INT64_MAX, &o->min_frequency, err));
    SNUG_TRY(read_small(a, "limit-alphabet", &o->limit_alphabet, err));
    SNUG_TRY(read_small(a, "max-token-length", &o->max_token_length, err));
    SNUG_TRY(read_small(a, "sub-iterations", &o->sub_iterations, err));
    SNUG_TRY(read_small(a, "max-piece-length", &o->max_piece_length, err));
    SNUG_TRY(read_small(a, "seed-size", &o->seed_size, err));
    if (factor != NULL) o->shrinking_factor = strtod(factor, NULL);
    o->prefix = text_flag(a, "prefix", o->prefix);
    o->suffix = text_flag(a, "suffix", o->suffix);
    o->unk = text_flag(a, "unk", o->unk);
    o->alphabet = text_flag(a, "alphabet", o->alphabet);
    o->byte_fallback = cli_flag_given(a, "byte-fallback");
    SNUG_TRY(read_specials(j, row, o, err));
done:
    return st;
}

/* ---- texts: a line, with its end, is a sequence ---- */

static snug_status feed(job *j, snug_slice line, snug_err *err)
{
    j->lines++;
    j->bytes += line.len;
    snug_status st = tok_trainer_feed(j->t, line, err);
    if (st != SNUG_OK) snug_note(err, "line %" PRIu64, j->lines);
    return st;
}

static snug_status feed_lines(job *j, int fd, snug_buf *in, snug_err *err)
{
    snug_status st = SNUG_OK;
    ssize_t     n = 1;
    while (n > 0) {
        size_t seen = in->len, from = 0;
        if (!snug_buf_reserve(in, READ_BYTES))
            SNUG_FAIL(err, SNUG_ELIMIT, "line %" PRIu64 " is longer than %d bytes", j->lines + 1,
                      TOK_TEXT_MAX);
        n = read(fd, in->ptr + in->len, READ_BYTES);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n < 0) SNUG_FAIL(err, SNUG_EIO, "it cannot be read: %s", strerror(errno));
        in->len += (size_t)n;
        for (const char *e; (e = memchr(in->ptr + seen, '\n', in->len - seen)) != NULL;) {
            size_t end = (size_t)(e - in->ptr) + 1;
            SNUG_TRY(feed(j, snug_slice_of(in->ptr + from, end - from), err));
            from = seen = end;
        }
        memmove(in->ptr, in->ptr + from, in->len - from);
        in->len -= from;
    }
    if (in->len > 0) SNUG_TRY(feed(j, snug_buf_slice(in), err));
done:
    return st;
}

static snug_status feed_file(job *j, const char *path, snug_err *err)
{
    SNUG_AUTO(snug_buf) in = snug_buf_init((size_t)TOK_TEXT_MAX + READ_BYTES);
    bool std = strcmp(path, "-") == 0;
    int  fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    j->lines = 0;
    if (fd < 0) return snug_fail(err, SNUG_ENOTFOUND, "%s: %s", path, strerror(errno));
    snug_status st = feed_lines(j, fd, &in, err);
    if (!std) (void)close(fd);
    if (st != SNUG_OK) snug_note(err, "%s", std ? "standard input" : path);
    return st;
}

/* ---- the command ---- */

static snug_status put_result(job *j, snug_slice document, snug_err *err)
{
    const char *path = cli_flag_value(j->a, "out");
    if (path == NULL) {
        (void)fwrite(document.ptr, 1, document.len, stdout); /* cli_flush tells of errors */
        (void)fputc('\n', stdout);
        return cli_flush(err);
    }
    return snug_write_file_atomic(path, document, 0644, err);
}

static snug_status train(job *j, snug_err *err)
{
    SNUG_AUTO(snug_buf) document = snug_buf_init(TOK_JSON_MAX);
    tok_train   o;
    snug_status st = SNUG_OK;
    SNUG_TRY(read_options(j, &o, err));
    SNUG_TRY(tok_trainer_new(&o, &j->t, err));
    if (j->a->pos_count == 0) SNUG_TRY(feed_file(j, "-", err));
    for (size_t i = 0; i < j->a->pos_count; i++) SNUG_TRY(feed_file(j, j->a->pos[i], err));
    SNUG_TRY(tok_trainer_finish(j->t, &document, err));
    SNUG_TRY(put_result(j, snug_buf_slice(&document), err));
    cli_note(j->c, "Trained on %zu different words in %" PRIu64 " bytes\n", tok_trainer_words(j->t),
             j->bytes);
done:
    tok_trainer_free(j->t);
    return st;
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    SNUG_AUTO(snug_buf) like = snug_buf_init(TOK_JSON_MAX);
    job         j = {.c = c, .a = a};
    snug_status st = SNUG_OK;
    const char *path = NULL;
    if (cli_flag_given(a, "like")) {
        SNUG_TRY(cli_find_tokenizer(c, a, "like", &path, err));
        SNUG_TRY(tok_open_document(path, &like, err));
        j.like = snug_buf_slice(&like);
    }
    SNUG_TRY(train(&j, err));
done:
    return st;
}

static const cli_flag flags[] = {
    {"model", "NAME", "bpe (default), wordpiece, unigram or wordlevel; with --like, its own"},
    {"vocab-size", "N", "tokens, special ones included (default: 30000; unigram 8000)"},
    {"out", "FILE", "where to write the tokenizer.json (default: standard output)"},
    {"like", "PATH_OR_REPO", "keep the parts and special tokens of this tokenizer"},
    {"revision", "REV", "branch, tag or commit of that repository (default: main)"},
    {"special", "TOKEN", "a special token; may be given many times, in the order of ids"},
    {"no-special", NULL, "no special tokens but those given"},
    {"unk", "TOKEN", "the unknown token"},
    {"min-frequency", "N", "leave out pairs and words that come less often (default: 0)"},
    {"alphabet", "CHARS", "characters that become tokens even if the text lacks them"},
    {"limit-alphabet", "N", "bpe, wordpiece: keep the N most frequent characters"},
    {"max-token-length", "N", "bpe, wordpiece: characters of a token at most"},
    {"prefix", "TEXT", "bpe, wordpiece: in front of symbols inside a word (wordpiece: ##)"},
    {"suffix", "TEXT", "bpe: behind the last symbol of a word, as in </w>"},
    {"byte-fallback", NULL, "bpe, unigram: 256 tokens <0x00> to <0xFF> for unknown characters"},
    {"shrinking", "F", "unigram: pieces that survive a round (default: 0.75)"},
    {"sub-iterations", "N", "unigram: times counts are estimated in a round (default: 2)"},
    {"max-piece-length", "N", "unigram: characters of a piece at most (default: 16)"},
    {"seed-size", "N", "unigram: pieces to start from (default: 1000000)"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug tokenize train --vocab-size 32000 --out tokenizer.json corpus.txt",
    "byte-level BPE, as GPT-2 has it",
    "snug tokenize train --model unigram --special '<pad>' --special '</s>' --special '<unk>' "
    "--unk '<unk>' *.txt > tokenizer.json",
    "pieces with scores, as T5 has them",
    "snug tokenize train --like org/model --vocab-size 50000 --out tokenizer.json code.txt",
    "the same kind of tokenizer for another text",
    NULL};

const cli_command cli_cmd_tokenize_train = {
    .name = "tokenize train",
    .args = "[FILE...]",
    .summary = "make a tokenizer.json from text",
    .help = "Reads text (standard input without a FILE, or for -), a sequence a line, and writes "
            "a tokenizer.json that the `tokenizers` and `transformers` libraries load. Without "
            "--like the parts are the usual ones: bytes for bpe, BERT's for wordpiece, spaces as "
            "\xe2\x96\x81 for unigram, words and punctuation for wordlevel.\n\n"
            "The same text gives the same file: words are looked at by count and then by bytes, "
            "and equally frequent pairs by their ids. Memory grows with the words that differ, not "
            "with the text.\n\n"
            "Special tokens in the text are text like any other. Without --special and --like "
            "there are <|endoftext|> for bpe; [PAD] [UNK] [CLS] [SEP] [MASK] for wordpiece; "
            "<unk> <s> </s> for unigram; <unk> for wordlevel.",
    .flags = flags,
    .groups = CLI_TOKENIZER_GROUPS,
    .min = 0,
    .max = UINT_MAX,
    .examples = examples,
    .exits = "0 2 3 4 5 6 7 9 74",
    .run = run,
};
