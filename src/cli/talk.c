/* SPDX-License-Identifier: Apache-2.0 */
/* cli/talk.c - texts that appear as they are made, and conversations.
 *
 * For:     snug run.
 * Owns:    the conversation while it goes on.
 * Threads: the main thread. */
#include "cli/talk.h"

#include <stdlib.h>

enum { TALK_MAX = 64 << 20 };

/* ---- a conversation from flags ---- */

static void put_message(snug_json_out *o, const char *role, snug_slice text)
{
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "role", role);
    snug_jo_kstr(o, "content", text);
    snug_jo_end_object(o);
}

static snug_status put_file(cli *c, const char *path, snug_json_out *o, snug_err *err)
{
    snug_slice  text;
    snug_json   v;
    snug_status st = strcmp(path, "-") == 0 ? cli_read_stdin(c->arena, TALK_MAX, &text, err)
                                            : snug_read_file(c->arena, path, TALK_MAX, &text, err);
    if (st == SNUG_OK) st = snug_json_parse(c->arena, text, NULL, &v, err);
    if (st == SNUG_OK && !snug_json_is(v, SNUG_JSON_ARRAY))
        st = snug_fail(err, SNUG_EINVAL, "a list of messages is wanted");
    if (st != SNUG_OK) {
        snug_note(err, "%s", path);
        return st;
    }
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) snug_jo_value(o, it.value);
    return SNUG_OK;
}

static snug_status end_list(cli *c, snug_buf *b, snug_json_out *o, snug_json *out, snug_err *err)
{
    snug_jo_end_array(o);
    snug_status st = snug_buf_check(b, "the conversation", err);
    if (st != SNUG_OK) return st;
    return snug_json_parse(c->arena, snug_buf_slice(b), NULL, out, err);
}

snug_status cli_talk_read(cli *c, const cli_args *a, snug_slice said, snug_json *out, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(TALK_MAX);
    snug_json_out o = snug_json_out_init(&b);
    const char   *file = cli_flag_value(a, "messages"), *system = cli_flag_value(a, "system");
    snug_status   st = SNUG_OK;
    *out = (snug_json){NULL};
    if (file == NULL && system == NULL && !cli_flag_given(a, "chat")) return SNUG_OK;
    snug_jo_begin_array(&o);
    if (system != NULL) put_message(&o, "system", snug_str(system));
    if (file != NULL) st = put_file(c, file, &o, err);
    if (said.len > 0) put_message(&o, "user", said);
    return st == SNUG_OK ? end_list(c, &b, &o, out, err) : st;
}

/* ---- showing ---- */

typedef struct stream {
    const atomic_bool *stop;
    bool               ended_line;
    snug_buf          *said;
} stream;

static bool show_piece(void *arg, snug_slice piece)
{
    stream *s = arg;
    (void)fwrite(piece.ptr, 1, piece.len, stdout);
    if (piece.len > 0) s->ended_line = piece.ptr[piece.len - 1] == '\n';
    if (s->said != NULL) snug_buf_put_slice(s->said, piece);
    return fflush(stdout) == 0 && !atomic_load(s->stop);
}

static double rate(size_t n, double seconds) { return seconds > 0 ? (double)n / seconds : 0; }

/* The first token belongs to the prompt's time, so one less is counted for the rest. */
static void show_stats(const infer_stats *s)
{
    size_t rest = s->generated_tokens > 0 ? s->generated_tokens - 1 : 0;
    (void)fprintf(stderr,
                  "prompt: %zu tokens in %.3f s (%.1f tokens/s); text: %zu tokens in %.3f s (%.1f "
                  "tokens/s)%s\n",
                  s->prompt_tokens, s->prompt_s, rate(s->prompt_tokens, s->prompt_s),
                  s->generated_tokens, s->generate_s, rate(rest, s->generate_s),
                  s->cut ? "; ended by its length" : "");
}

snug_status cli_talk_show(const cli_talk *t, snug_slice prompt, snug_json messages, snug_buf *said,
                          snug_err *err)
{
    stream      s = {.stop = cli_watch_interrupt(), .said = said};
    infer_stats stats;
    infer_text  what = {.prompt = prompt,
                        .messages = messages,
                        .parameters = t->params,
                        .fn = show_piece,
                        .arg = &s,
                        .stats = &stats};
    snug_status st = infer_stream(t->model, &what, err);
    if (st != SNUG_OK) return st;
    if (!s.ended_line) cli_print("\n");
    (void)fflush(stdout);
    if (t->stats) show_stats(&stats);
    return atomic_load(s.stop) ? snug_fail(err, SNUG_ECANCELED, "interrupted") : SNUG_OK;
}

/* ---- going on ---- */

static snug_status longer(const cli_talk *t, snug_json messages, const char *role, snug_slice text,
                          snug_json *out, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(TALK_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_array(&o);
    for (snug_json_iter it = snug_json_iter_of(messages); snug_json_next(&it);)
        snug_jo_value(&o, it.value);
    put_message(&o, role, text);
    return end_list(t->c, &b, &o, out, err);
}

static snug_status answer(const cli_talk *t, bool chat, snug_slice line, snug_json *messages,
                          snug_err *err)
{
    SNUG_AUTO(snug_buf) said = snug_buf_init(TALK_MAX);
    snug_status st = SNUG_OK;
    if (!chat) return cli_talk_show(t, line, (snug_json){NULL}, NULL, err);
    SNUG_TRY(longer(t, *messages, "user", line, messages, err));
    SNUG_TRY(cli_talk_show(t, SNUG_EMPTY, *messages, &said, err));
    SNUG_TRY(longer(t, *messages, "assistant", snug_buf_slice(&said), messages, err));
done:
    return st;
}

snug_status cli_talk_on(const cli_talk *t, snug_json messages, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        chat = infer_has_chat(t->model);
    char       *line = NULL;
    size_t      cap = 0;
    cli_note(t->c, "%s Ctrl-D ends.\n",
             chat ? "A conversation: say something." : "Each line is continued.");
    while (st == SNUG_OK) {
        if (!t->c->quiet) (void)fprintf(stderr, "> ");
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0) break;
        snug_slice said = snug_trim(snug_slice_of(line, (size_t)n));
        if (said.len > 0) st = answer(t, chat, said, &messages, err);
    }
    free(line);
    return st;
}
