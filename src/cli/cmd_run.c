/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_run.c - snug run: a model on an input, here.
 *
 * For:     people and scripts; the same tasks as the inference API.
 * Owns:    the loaded model.
 * Threads: the main thread; the model uses threads of its own. */
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/find_model.h"
#include "cli/talk.h"
#include "infer/infer.h"

enum { INPUT_MAX = 64 * 1024 * 1024, ANSWER_MAX = 256 * 1024 * 1024, PARAMS_MAX = 1024 * 1024 };

typedef struct job {
    cli              *c;
    infer_ctx        *model;
    const infer_task *task;
    snug_json         params, messages; /* messages: a conversation instead of an input */
} job;

/* ---- parameters: --param k=v, where v is JSON if it parses as JSON, else a string ---- */

/* A value for --param or a flag that is a parameter. */
static void put_value(cli *c, snug_json_out *j, snug_slice value)
{
    snug_json v;
    if (snug_json_parse(c->arena, value, NULL, &v, NULL) == SNUG_OK)
        snug_jo_value(j, v);
    else
        snug_jo_str(j, value);
}

/* Flags with a name of their own; the last of a kind wins, over --param too. */
static void put_flags(cli *c, const cli_args *a, snug_json_out *j)
{
    static const char *const rows[][2] = {{"max-new-tokens", "max_new_tokens"},
                                          {"temperature", "temperature"},
                                          {"top-p", "top_p"},
                                          {"top-k", "top_k"},
                                          {"num-beams", "num_beams"},
                                          {"seed", "seed"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cli_flag_value(a, rows[i][0]) == NULL) continue;
        snug_jo_key(j, rows[i][1]);
        put_value(c, j, snug_str(cli_flag_value(a, rows[i][0])));
    }
    if (cli_flag_value(a, "stop") == NULL) return;
    snug_jo_key(j, "stop");
    snug_jo_begin_array(j);
    for (size_t i = 0; cli_flag_nth(a, "stop", i) != NULL; i++)
        snug_jo_cstr(j, cli_flag_nth(a, "stop", i));
    snug_jo_end_array(j);
}

static snug_status read_params(cli *c, const cli_args *a, snug_json *out, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(PARAMS_MAX);
    snug_json_out j = snug_json_out_init(&b);
    snug_jo_begin_object(&j);
    for (size_t i = 0; cli_flag_nth(a, "param", i) != NULL; i++) {
        snug_slice text = snug_str(cli_flag_nth(a, "param", i));
        size_t     eq = snug_index(text, '=');
        if (eq == SIZE_MAX || eq == 0)
            return snug_fail(err, SNUG_EINVAL, "--param takes KEY=VALUE, not \"%.*s\"",
                             SNUG_SLICE(text));
        snug_jo_key_slice(&j, snug_sub(text, 0, eq));
        put_value(c, &j, snug_sub(text, eq + 1, SIZE_MAX));
    }
    put_flags(c, a, &j);
    snug_jo_end_object(&j);
    snug_status st = snug_buf_check(&b, "the parameters", err);
    return st != SNUG_OK ? st : snug_json_parse(c->arena, snug_buf_slice(&b), NULL, out, err);
}

/* An input that is a JSON object goes in as it is ({"question": ...}); with "inputs" it is a whole
 * request. Anything else is text. */
static snug_status make_request(const job *jb, snug_slice input, snug_arena *a, snug_json *out,
                                snug_err *err)
{
    snug_buf      b = snug_buf_init(2 * (size_t)INPUT_MAX);
    snug_json_out j = snug_json_out_init(&b);
    snug_json     v = {NULL};
    snug_slice    t = snug_trim(input);
    bool object = t.len > 1 && t.ptr[0] == '{' && snug_json_parse(a, t, NULL, &v, NULL) == SNUG_OK;
    bool whole = object && !snug_json_is(snug_json_get(v, "inputs"), SNUG_JSON_ABSENT);
    snug_json own = snug_json_get(v, "parameters");
    snug_jo_begin_object(&j);
    snug_jo_key(&j, "inputs");
    if (!snug_json_is(jb->messages, SNUG_JSON_ABSENT))
        snug_jo_value(&j, jb->messages);
    else if (whole)
        snug_jo_value(&j, snug_json_get(v, "inputs"));
    else if (object)
        snug_jo_value(&j, v);
    else
        snug_jo_str(&j, input);
    snug_jo_key(&j, "parameters");
    snug_jo_value(&j, whole && snug_json_is(own, SNUG_JSON_OBJECT) ? own : jb->params);
    snug_jo_end_object(&j);
    snug_status st = snug_buf_check(&b, "the input", err);
    if (st == SNUG_OK) st = snug_json_parse(a, snug_buf_slice(&b), NULL, out, err);
    snug_buf_deinit(&b);
    return st;
}

/* ---- results ---- */

/* Labels with scores as a small table, a text as a text; the rest as JSON. */
static bool print_labels(snug_json v)
{
    snug_json list = snug_json_is(snug_json_at(v, 0), SNUG_JSON_ARRAY) ? snug_json_at(v, 0) : v;
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) == 0) return false;
    for (int pass = 0; pass < 2; pass++) {
        for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
            snug_slice label;
            double     score;
            if (!snug_json_to_str(snug_json_get(it.value, "label"), &label) ||
                !snug_json_to_f64(snug_json_get(it.value, "score"), &score))
                return false;
            if (pass == 1) cli_print("%-24.*s %.4f\n", SNUG_SLICE(label), score);
        }
    }
    return true;
}

/* Of an answered conversation the last message. */
static bool find_text(snug_json row, snug_slice *out)
{
    static const char *const keys[] = {"generated_text", "summary_text", "translation_text"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snug_json v = snug_json_get(row, keys[i]);
        size_t    n = snug_json_count(v);
        if (snug_json_is(v, SNUG_JSON_ARRAY) && n > 0)
            v = snug_json_get(snug_json_at(v, n - 1), "content");
        if (snug_json_to_str(v, out)) return true;
    }
    return false;
}

/* Several texts for one input stand with an empty line between them. */
static bool print_text(snug_json v)
{
    size_t     n = snug_json_is(v, SNUG_JSON_ARRAY) ? snug_json_count(v) : 1;
    snug_slice text;
    for (size_t i = 0; i < n; i++) {
        if (!find_text(snug_json_is(v, SNUG_JSON_ARRAY) ? snug_json_at(v, i) : v, &text))
            return false;
        cli_print("%s%.*s\n", i > 0 ? "\n" : "", SNUG_SLICE(text));
    }
    return n > 0;
}

/* Rows of a score and what it is of: the words a mask may stand for, named parts, answers, ranks.
 */
static bool print_scored(snug_json v)
{
    static const struct {
        const char *text, *kind;
    } forms[] = {{"sequence", NULL}, {"word", "entity_group"}, {"word", "entity"},
                 {"answer", NULL},   {"text", NULL},           {"index", NULL}};
    snug_json list = v, first = snug_json_is(v, SNUG_JSON_ARRAY) ? snug_json_at(v, 0) : v;
    double    score;
    if (!snug_json_to_f64(snug_json_get(first, "score"), &score)) return false;
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (snug_json_is(snug_json_get(first, forms[f].text), SNUG_JSON_ABSENT)) continue;
        if (forms[f].kind != NULL &&
            snug_json_is(snug_json_get(first, forms[f].kind), SNUG_JSON_ABSENT))
            continue;
        size_t n = snug_json_is(list, SNUG_JSON_ARRAY) ? snug_json_count(list) : 1;
        for (size_t i = 0; i < n; i++) {
            snug_json  row = snug_json_is(list, SNUG_JSON_ARRAY) ? snug_json_at(list, i) : list;
            snug_slice text = SNUG_EMPTY, kind = SNUG_EMPTY;
            if (forms[f].kind != NULL) kind = snug_json_str_or(row, forms[f].kind, SNUG_EMPTY);
            (void)snug_json_to_f64(snug_json_get(row, "score"), &score);
            cli_print("%.4f  ", score);
            if (kind.len > 0) cli_print("%-12.*s ", SNUG_SLICE(kind));
            if (snug_json_to_str(snug_json_get(row, forms[f].text), &text))
                cli_print("%.*s\n", SNUG_SLICE(text));
            else
                cli_print("%lld\n", (long long)snug_json_i64_or(row, forms[f].text, 0));
        }
        return true;
    }
    return false;
}

static snug_status run_one(const job *jb, snug_slice input, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    snug_buf      answer = snug_buf_init(ANSWER_MAX);
    snug_json_out j = snug_json_out_init(&answer);
    snug_json     request, v;
    SNUG_TRY(make_request(jb, input, a, &request, err));
    SNUG_TRY(jb->task->run(jb->model, request, &j, err));
    SNUG_TRY(snug_buf_check(&answer, "the answer", err));
    if (jb->c->json) {
        cli_print_json(&answer);
        goto done;
    }
    SNUG_TRY(snug_json_parse(a, snug_buf_slice(&answer), NULL, &v, err));
    if (!print_labels(v) && !print_text(v) && !print_scored(v)) cli_print_json(&answer);
done:
    snug_buf_deinit(&answer);
    snug_arena_free(a);
    return st;
}

/* ---- many inputs ---- */

static snug_status run_batch(const job *jb, FILE *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *line = NULL;
    size_t      cap = 0;
    ssize_t     n;
    for (size_t number = 1; st == SNUG_OK && (n = getline(&line, &cap, f)) >= 0; number++) {
        if (n > INPUT_MAX) {
            st = snug_fail(err, SNUG_ELIMIT, "line %zu is longer than %d bytes", number, INPUT_MAX);
            break;
        }
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
        if (n == 0) continue;
        st = run_one(jb, snug_slice_of(line, (size_t)n), err);
        if (st == SNUG_OK)
            st = cli_flush(err);
        else
            snug_note(err, "line %zu", number);
    }
    free(line);
    return st;
}

static snug_status open_batch(const char *path, FILE **f, snug_err *err)
{
    *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    return *f != NULL ? SNUG_OK : snug_fail(err, SNUG_ENOTFOUND, "there is no file %s", path);
}

/* ---- the command ---- */

static snug_status pick_task(job *jb, const cli_args *a, snug_err *err)
{
    const char *name = cli_flag_value(a, "task");
    jb->task = name == NULL ? infer_default_task(jb->model) : infer_find_task(snug_str(name));
    if (jb->task != NULL) return SNUG_OK;
    if (name == NULL)
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "this model has no task of its own: name one with --task");
    return snug_fail(err, SNUG_EUNSUPPORTED, "the task \"%s\" is not built in", name);
}

static snug_status read_input(cli *c, const cli_args *a, snug_slice *out, snug_err *err)
{
    const char *text = cli_pos(a, 1);
    if (text == NULL && (cli_flag_given(a, "messages") || isatty(STDIN_FILENO) == 1))
        return SNUG_OK; /* the conversation is the input, or a person will type it */
    if (text != NULL && strcmp(text, "-") != 0) {
        *out = snug_str(text);
        return SNUG_OK;
    }
    snug_status st = cli_read_stdin(c->arena, INPUT_MAX, out, err);
    while (out->len > 0 && out->ptr[out->len - 1] == '\n') out->len--;
    return st;
}

/* Several texts cannot appear side by side as they are made. */
static bool is_single(snug_json params)
{
    return snug_json_i64_or(params, "num_return_sequences", 1) == 1 &&
           snug_json_i64_or(params, "best_of", 1) == 1;
}

static bool nobody_typed(const cli_args *a)
{
    return cli_pos(a, 1) == NULL && !cli_flag_given(a, "messages") && isatty(STDIN_FILENO) == 1;
}

static snug_status run_input(job *jb, const cli_args *a, snug_slice input, snug_err *err)
{
    bool       text = strcmp(jb->task->name, "text-generation") == 0;
    bool       chat = !snug_json_is(jb->messages, SNUG_JSON_ABSENT);
    snug_slice t = snug_trim(input);
    cli_talk   talk = {jb->c, jb->model, jb->params, cli_flag_given(a, "stats")};
    if (chat && !text)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s takes no conversation", jb->task->name);
    if (nobody_typed(a)) {
        if (text && !jb->c->json) return cli_talk_on(&talk, jb->messages, err);
        return snug_fail(err, SNUG_EINVAL, "run needs an input: snug run %s \"some text\"",
                         cli_pos(a, 0));
    }
    snug_json v;
    bool      request = !chat && snug_starts_with(t, "{") &&
                   snug_json_parse(jb->c->arena, t, NULL, &v, NULL) == SNUG_OK &&
                   !snug_json_is(snug_json_get(v, "inputs"), SNUG_JSON_ABSENT);
    if (!text || jb->c->json || request || !is_single(jb->params)) return run_one(jb, input, err);
    return cli_talk_show(&talk, input, jb->messages, NULL, err);
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    job         jb = {.c = c};
    const char *dir, *batch = cli_flag_value(a, "batch");
    FILE       *lines = NULL;
    snug_slice  input = SNUG_EMPTY;
    if (batch != NULL && cli_pos(a, 1) != NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "an INPUT or --batch, not both");
    if (batch != NULL &&
        (cli_flag_given(a, "chat") || cli_flag_given(a, "messages") || cli_flag_given(a, "system")))
        SNUG_FAIL(err, SNUG_EINVAL, "a conversation or --batch, not both");
    if (batch != NULL) {
        SNUG_TRY(open_batch(batch, &lines, err));
    } else {
        SNUG_TRY(read_input(c, a, &input, err));
        SNUG_TRY(cli_talk_read(c, a, input, &jb.messages, err));
    }
    SNUG_TRY(read_params(c, a, &jb.params, err));
    SNUG_TRY(cli_find_model(c, a, &dir, err));
    const char *adapter = cli_flag_value(a, "adapter");
    if (adapter != NULL) SNUG_TRY(cli_find_named(c, a, adapter, &adapter, err));
    SNUG_TRY(infer_open_adapted(dir, adapter, &jb.model, err));
    SNUG_TRY(pick_task(&jb, a, err));
    st = lines != NULL ? run_batch(&jb, lines, err) : run_input(&jb, a, input, err);
done:
    if (lines != NULL && lines != stdin) (void)fclose(lines);
    infer_close(jb.model);
    return st;
}

static const cli_flag flags[] = {
    {"task", "TASK", "one of those below (default: what the model is made for)"},
    {"batch", "FILE", "one input a line from FILE, - for standard input"},
    {"param", "KEY=VALUE", "a parameter of the task, such as max_new_tokens=64; may be repeated"},
    {"chat", NULL, "INPUT is what a user says: the model's chat template is put around it"},
    {"system", "TEXT", "what the model is told first; the same as --chat beside that"},
    {"messages", "FILE", "a conversation, as a JSON list of messages (- is standard input)"},
    {"max-new-tokens", "N", "how many tokens a text may get"},
    {"stop", "TEXT", "ends a text where it says this; may be repeated"},
    {"seed", "N", "the same seed gives the same text"},
    {"temperature", "X", "above 0: by chance, the higher the wilder; 0: always the likeliest"},
    {"top-k", "N", "by chance among the N likeliest tokens"},
    {"top-p", "X", "by chance among the likeliest tokens that make up this share"},
    {"num-beams", "N", "the best of N continuations that are followed together"},
    {"stats", NULL, "tokens and seconds of a generated text, on standard error"},
    {"adapter", "ADAPTER", "a LoRA, rsLoRA or DoRA over the weights: a folder or a repository"},
    {"revision", "REV", "of a repository: branch, tag or commit (default main)"},
    {NULL, NULL, NULL}};
static const char zero_shot[] =
    "snug run ada/nli \"The match was a draw.\" --task zero-shot-classification "
    "--param 'candidate_labels=[\"sport\",\"science\"]'";
static const char several[] =
    "snug run ada/qa '{\"question\": \"Who?\", \"context\": \"Ada wrote it.\"}'";
static const char *const examples[] = {"snug run ada/sentiment-tiny \"What a lovely film.\"",
                                       "fetch the model once and classify a sentence",
                                       "snug run ./sentiment --batch - --json < lines.txt",
                                       "one JSON result a line for each input line",
                                       zero_shot,
                                       "labels of your own",
                                       several,
                                       "an input of several parts",
                                       "snug run ./chat-model --system \"Be brief.\" \"Who wrote "
                                       "Emma?\" --max-new-tokens 64",
                                       "ask a chat model",
                                       "snug run model-Q4_K_M.gguf \"Once upon a time\"",
                                       "a quantized model in one file",
                                       "snug run ada/my-model-GGUF:Q8_0 \"Once upon a time\"",
                                       "one file of a repository with many",
                                       NULL};

const cli_command cli_cmd_run = {
    .name = "run",
    .args = "MODEL [INPUT]",
    .summary = "run a model on an input",
    .help =
        "MODEL is a folder, a GGUF file, or a repository that is fetched into the cache first. Of "
        "a repository with GGUF files in several types, ORG/NAME:TYPE fetches one; without a type "
        "it is Q4_K_M, else the first. INPUT is a text, a JSON object as the task wants it, or - "
        "for standard input.\n\n"
        "Tasks: text-classification, zero-shot-classification, token-classification, "
        "question-answering, fill-mask, feature-extraction, sentence-similarity, text-ranking, "
        "text-generation, text2text-generation, summarization, translation.\n\n"
        "Generated text appears as it is made. Without INPUT at a terminal a model that generates "
        "text answers line by line, as a conversation when it has a chat template. With --json the "
        "answer is the one of the inference API.",
    .flags = flags,
    .groups = CLI_FIND_MODEL_GROUPS,
    .min = 1,
    .max = 2,
    .examples = examples,
    .exits = "0 2 3 4 7 8 9 10 130",
    .run = run,
};
