/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_template.c - snug template: renders a template over JSON, or a conversation as a model
 * would be given it.
 *
 * For:     people who write templates, and comparisons with other implementations.
 * Threads: the main thread.
 * Truth:   standard output gets exactly what the template writes. */
#include <stdlib.h>
#include <sys/stat.h>

#include "jinja/jinja.h"
#ifdef SNUG_HAVE_HUB
#include "cli/net.h"
#else
#include "cli/cli_int.h"
#endif

enum {
    DATA_MAX = 64 << 20,
    BATCH_MAX = 256 << 20,
    CONFIG_MAX = 32 << 20,
    OUT_MAX = 256 << 20,
    NAME_MAX_BYTES = 128
};

typedef struct job {
    cli            *c;
    const cli_args *a;
    const char     *dir; /* a model's folder; NULL: a template file */
    jinja_env       env;
    int64_t         now;
} job;

static int64_t fixed_now(void *arg) { return ((const job *)arg)->now; }

/* ---- reading ---- */

static snug_status read_text(const job *j, const char *path, size_t max, snug_slice *out,
                             snug_err *err)
{
    if (strcmp(path, "-") == 0) return cli_read_stdin(j->c->arena, max, out, err);
    snug_status st = snug_read_file(j->c->arena, path, max, out, err);
    if (st != SNUG_OK) snug_note(err, "%s", path);
    return st;
}

/* NaN and Infinity are what Python's json writes, so they are read too. */
static snug_status parse_json(snug_arena *a, snug_slice text, const char *what, snug_json *out,
                              snug_err *err)
{
    static const snug_json_opts opts = {.flags = SNUG_JSON_NONFINITE};
    snug_status                 st = snug_json_parse(a, text, &opts, out, err);
    if (st != SNUG_OK) snug_note(err, "%s", what);
    return st;
}

static snug_status read_json(const job *j, const char *path, size_t max, snug_json *out,
                             snug_err *err)
{
    snug_slice  text;
    snug_status st = read_text(j, path, max, &text, err);
    return st != SNUG_OK ? st : parse_json(j->c->arena, text, path, out, err);
}

static bool is_kind(const char *path, mode_t kind)
{
    struct stat sb;
    return stat(path, &sb) == 0 && (sb.st_mode & S_IFMT) == kind;
}

static const char *in_dir(const job *j, const char *name)
{
    return snug_arena_printf(j->c->arena, "%s/%s", j->dir, name).ptr;
}

/* A file of the folder as JSON; absent when there is none. */
static snug_status read_config(const job *j, const char *name, snug_json *out, snug_err *err)
{
    const char *path = in_dir(j, name);
    *out = (snug_json){NULL};
    return is_kind(path, S_IFREG) ? read_json(j, path, CONFIG_MAX, out, err) : SNUG_OK;
}

/* ---- the model's folder ---- */

#ifdef SNUG_HAVE_HUB
/* Fetches what a chat template may stand in, and nothing else of the model. */
static snug_status fetch_model(const job *j, const char *name, const char **dir, snug_err *err)
{
    static const snug_slice wanted[] = {
        {"chat_template.jinja", 19},   {"additional_chat_templates/*", 27},
        {"tokenizer_config.json", 21}, {"special_tokens_map.json", 23},
        {"chat_template.json", 18},    {"processor_config.json", 21}};
    remote_download d = {.include = wanted, .include_count = sizeof wanted / sizeof *wanted};
    return cli_fetch_model(j->c, j->a, snug_str(name), name, &d, dir, err);
}
#else
static snug_status fetch_model(const job *j, const char *name, const char **dir, snug_err *err)
{
    (void)j;
    (void)dir;
    return snug_fail(err, SNUG_ENOTFOUND,
                     "there is no file or folder %s (this program was built without the hub)",
                     name);
}
#endif

/* ---- which template of the folder ---- */

static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strlen(name) < NAME_MAX_BYTES;
}

/* chat_template.jinja for the default, additional_chat_templates/NAME.jinja for the others. */
static snug_status from_file(const job *j, const char *name, snug_slice *out, snug_err *err)
{
    const char *path =
        strcmp(name, "default") == 0
            ? in_dir(j, "chat_template.jinja")
            : snug_arena_printf(j->c->arena, "%s/additional_chat_templates/%s.jinja", j->dir, name)
                  .ptr;
    return is_kind(path, S_IFREG) ? read_text(j, path, CONFIG_MAX, out, err) : SNUG_OK;
}

/* A chat_template member: a text, or a list of {name, template}. */
static void from_member(snug_json v, const char *name, snug_slice *out)
{
    if (snug_json_is(v, SNUG_JSON_STRING)) {
        if (strcmp(name, "default") == 0) (void)snug_json_to_str(v, out);
        return;
    }
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        if (snug_eq_str(snug_json_str_or(it.value, "name", SNUG_EMPTY), name))
            (void)snug_json_to_str(snug_json_get(it.value, "template"), out);
    }
}

static snug_status find_named(const job *j, const char *name, snug_slice *out, snug_err *err)
{
    static const char *const configs[] = {"tokenizer_config.json", "chat_template.json",
                                          "processor_config.json"};
    *out = SNUG_EMPTY;
    snug_status st = from_file(j, name, out, err);
    for (size_t i = 0; st == SNUG_OK && out->ptr == NULL && i < sizeof configs / sizeof *configs;
         i++) {
        snug_json config;
        st = read_config(j, configs[i], &config, err);
        if (st == SNUG_OK) from_member(snug_json_get(config, "chat_template"), name, out);
    }
    return st;
}

/* The named template; without a name tool_use when tools are given and there is one, else default.
 */
static snug_status find_chat_template(const job *j, bool tools, snug_slice *out, snug_err *err)
{
    const char *name = cli_flag_value(j->a, "name");
    snug_status st;
    *out = SNUG_EMPTY;
    if (name != NULL && !is_plain_name(name))
        return snug_fail(err, SNUG_EINVAL, "\"%s\" is no name of a template", name);
    if (name == NULL && tools) {
        st = find_named(j, "tool_use", out, err);
        if (st != SNUG_OK || out->ptr != NULL) return st;
    }
    st = find_named(j, name == NULL ? "default" : name, out, err);
    if (st != SNUG_OK || out->ptr != NULL) return st;
    return snug_fail(err, SNUG_ENOTFOUND, "%s has no chat template%s%s", j->dir,
                     name == NULL ? "" : " named ", name == NULL ? "" : name);
}

/* ---- what the template sees ---- */

/* "<s>" or {"content": "<s>", ...} */
static bool token_text(snug_json v, snug_slice *out)
{
    if (snug_json_is(v, SNUG_JSON_OBJECT)) v = snug_json_get(v, "content");
    return snug_json_to_str(v, out);
}

static void put_token_list(snug_json_out *o, snug_json list)
{
    snug_slice text;
    snug_jo_begin_array(o);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        if (token_text(it.value, &text)) snug_jo_str(o, text);
    }
    snug_jo_end_array(o);
}

/* Every ..._token of the configuration, and the list of additional ones. */
static void put_tokens(snug_json_out *o, snug_json config)
{
    snug_slice text;
    for (snug_json_iter it = snug_json_iter_of(config); snug_json_next(&it);) {
        if (snug_ends_with(it.key, "_token") && token_text(it.value, &text)) {
            snug_jo_key_slice(o, it.key);
            snug_jo_str(o, text);
        } else if (snug_eq_str(it.key, "additional_special_tokens") &&
                   snug_json_is(it.value, SNUG_JSON_ARRAY)) {
            snug_jo_key_slice(o, it.key);
            put_token_list(o, it.value);
        }
    }
}

/* --param KEY=VALUE: JSON if it parses as JSON, else a string. */
static snug_status put_params(const job *j, snug_json_out *o, snug_err *err)
{
    for (size_t i = 0; cli_flag_nth(j->a, "param", i) != NULL; i++) {
        snug_slice text = snug_str(cli_flag_nth(j->a, "param", i));
        size_t     eq = snug_index(text, '=');
        snug_json  v;
        if (eq == SIZE_MAX || eq == 0)
            return snug_fail(err, SNUG_EINVAL, "--param takes KEY=VALUE, not \"%.*s\"",
                             SNUG_SLICE(text));
        snug_jo_key_slice(o, snug_sub(text, 0, eq));
        snug_slice value = snug_sub(text, eq + 1, SIZE_MAX);
        if (snug_json_parse(j->c->arena, value, NULL, &v, NULL) == SNUG_OK)
            snug_jo_value(o, v);
        else
            snug_jo_str(o, value);
    }
    return SNUG_OK;
}

static snug_status put_file(const job *j, snug_json_out *o, const char *flag, snug_err *err)
{
    const char *path = cli_flag_value(j->a, flag);
    snug_json   v;
    snug_jo_key(o, flag);
    if (path == NULL) {
        snug_jo_null(o);
        return SNUG_OK;
    }
    snug_status st = read_json(j, path, DATA_MAX, &v, err);
    if (st == SNUG_OK && !snug_json_is(v, SNUG_JSON_ARRAY))
        st = snug_fail(err, SNUG_EINVAL, "%s: a list is wanted for --%s", path, flag);
    if (st == SNUG_OK) snug_jo_value(o, v);
    return st;
}

/* The context of a conversation, as transformers makes it. */
static snug_status make_chat(const job *j, snug_json *out, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_buf      b = snug_buf_init(BATCH_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_json     config = {NULL}, map = {NULL};
    if (j->dir != NULL) {
        SNUG_TRY(read_config(j, "special_tokens_map.json", &map, err));
        SNUG_TRY(read_config(j, "tokenizer_config.json", &config, err));
    }
    snug_jo_begin_object(&o);
    put_tokens(&o, map);
    put_tokens(&o, config);
    SNUG_TRY(put_file(j, &o, "messages", err));
    SNUG_TRY(put_file(j, &o, "tools", err));
    SNUG_TRY(put_file(j, &o, "documents", err));
    snug_jo_kbool(&o, "add_generation_prompt", cli_flag_given(j->a, "add-generation-prompt"));
    SNUG_TRY(put_params(j, &o, err));
    snug_jo_end_object(&o);
    SNUG_TRY(snug_buf_check(&b, "the conversation", err));
    st = parse_json(j->c->arena, snug_buf_slice(&b), "the conversation", out, err);
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status make_context(const job *j, snug_json *out, snug_err *err)
{
    const char *data = cli_flag_value(j->a, "data"), *messages = cli_flag_value(j->a, "messages");
    if ((data == NULL) == (messages == NULL))
        return snug_fail(err, SNUG_EINVAL,
                         "template needs --data FILE or --messages FILE, one of them");
    return data != NULL ? read_json(j, data, DATA_MAX, out, err) : make_chat(j, out, err);
}

/* ---- one template ---- */

static snug_status write_result(const cli *c, const snug_buf *text, snug_err *err)
{
    if (!c->json) {
        (void)fwrite(text->ptr == NULL ? "" : text->ptr, 1, text->len, stdout);
        return SNUG_OK;
    }
    snug_buf      b = snug_buf_init(2 * (size_t)OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "text");
    snug_jo_str(&o, snug_buf_slice(text));
    snug_jo_end_object(&o);
    snug_status st = snug_buf_check(&b, "the result", err);
    if (st == SNUG_OK) cli_print_json(&b);
    snug_buf_deinit(&b);
    return st;
}

static snug_status run_one(job *j, snug_err *err)
{
    const char *what = cli_pos(j->a, 0);
    bool        trim = !cli_flag_given(j->a, "no-trim"), tools = cli_flag_given(j->a, "tools");
    snug_status st = SNUG_OK;
    snug_slice  text;
    snug_json   context;
    snug_buf    out = snug_buf_init(OUT_MAX);
    const jinja_template *t;
    if (what == NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "template needs a file, a folder or a repository (or --batch)");
    if (is_kind(what, S_IFDIR))
        j->dir = what;
    else if (!is_kind(what, S_IFREG))
        SNUG_TRY(fetch_model(j, what, &j->dir, err));
    SNUG_TRY(make_context(j, &context, err));
    if (j->dir != NULL)
        SNUG_TRY(find_chat_template(j, tools, &text, err));
    else
        SNUG_TRY(read_text(j, what, JINJA_SOURCE_MAX, &text, err));
    jinja_opts opts = {.name = j->dir == NULL ? snug_str(what) : SNUG_LIT("chat_template"),
                       .trim_blocks = trim,
                       .lstrip_blocks = trim};
    SNUG_TRY(jinja_compile(j->c->arena, text, &opts, &t, err));
    SNUG_TRY(jinja_render(t, context, &j->env, &out, err));
    st = write_result(j->c, &out, err);
done:
    snug_buf_deinit(&out);
    return st;
}

/* ---- many: a JSON object per line in, one per line out ---- */

typedef struct line { /* what a line's own templates are looked up in */
    snug_arena *arena;
    snug_json   templates;
    jinja_opts  opts;
} line;

static snug_status load_other(void *arg, snug_slice name, const jinja_template **out, snug_err *err)
{
    const line *l = arg;
    snug_slice  text;
    jinja_opts  opts = l->opts;
    opts.name = name;
    if (!snug_json_to_str(snug_json_get_slice(l->templates, name), &text))
        return snug_fail(err, SNUG_ENOTFOUND, "there is no template \"%.*s\"",
                         name.len > 80 ? 80 : (int)name.len, name.ptr);
    return jinja_compile(l->arena, text, &opts, out, err);
}

static snug_status render_line(const job *j, snug_arena *a, snug_slice text, snug_buf *out,
                               snug_err *err)
{
    line                  l = {.arena = a};
    jinja_env             env = j->env;
    snug_slice            source;
    snug_json             v;
    const jinja_template *t;
    bool                  trim = !cli_flag_given(j->a, "no-trim");
    snug_status           st = parse_json(a, text, "a line", &v, err);
    if (st == SNUG_OK) st = snug_json_need_str(v, "template", &source, err);
    if (st != SNUG_OK) return st;
    l.opts =
        (jinja_opts){.name = snug_json_str_or(v, "name", SNUG_EMPTY),
                     .trim_blocks = snug_json_bool_or(v, "trim_blocks", trim),
                     .lstrip_blocks = snug_json_bool_or(v, "lstrip_blocks", trim),
                     .keep_trailing_newline = snug_json_bool_or(v, "keep_trailing_newline", false),
                     .autoescape = snug_json_bool_or(v, "autoescape", false)};
    l.templates = snug_json_get(v, "templates");
    if (snug_json_is(l.templates, SNUG_JSON_OBJECT)) {
        env.load = load_other;
        env.load_arg = &l;
    }
    st = jinja_compile(a, source, &l.opts, &t, err);
    return st != SNUG_OK ? st : jinja_render(t, snug_json_get(v, "data"), &env, out, err);
}

static snug_status batch_line(const job *j, snug_slice text, snug_err *err)
{
    snug_arena   *a = snug_arena_new();
    snug_buf      out = snug_buf_init(OUT_MAX), b = snug_buf_init(2 * (size_t)OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_err      own = {0};
    snug_status   st = render_line(j, a, text, &out, &own);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, st == SNUG_OK ? "ok" : "error");
    if (st == SNUG_OK)
        snug_jo_str(&o, snug_buf_slice(&out));
    else
        snug_jo_cstr(&o, own.msg);
    if (st != SNUG_OK && own.code != NULL) snug_jo_kcstr(&o, "code", own.code);
    snug_jo_end_object(&o);
    st = snug_buf_check(&b, "a result", err);
    if (st == SNUG_OK) cli_print_json(&b);
    snug_buf_deinit(&out);
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return st;
}

static snug_status run_batch(const job *j, const char *path, snug_err *err)
{
    snug_slice  rest, text;
    snug_status st;
    if (j->a->pos_count > 0)
        return snug_fail(err, SNUG_EINVAL, "--batch takes the templates from its lines");
    st = read_text(j, path, BATCH_MAX, &rest, err);
    while (st == SNUG_OK && snug_split(&rest, '\n', &text)) {
        if (snug_trim(text).len > 0) st = batch_line(j, text, err);
    }
    return st;
}

/* ---- the command ---- */

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    job         j = {.c = c, .a = a};
    const char *batch = cli_flag_value(a, "batch"), *now = cli_flag_value(a, "now");
    if (now != NULL) {
        if (!snug_parse_i64(snug_str(now), &j.now))
            return snug_fail(err, SNUG_EINVAL, "--now takes seconds since 1970, not \"%s\"", now);
        j.env.now = fixed_now;
        j.env.now_arg = &j;
    }
    return batch != NULL ? run_batch(&j, batch, err) : run_one(&j, err);
}

static const cli_flag flags[] = {
    {"data", "FILE", "JSON object the template sees (- is standard input)"},
    {"messages", "FILE", "a conversation, as a JSON list of messages (- is standard input)"},
    {"tools", "FILE", "JSON list of the tools the model may call"},
    {"documents", "FILE", "JSON list of documents"},
    {"add-generation-prompt", NULL, "end with what makes the model answer"},
    {"param", "KEY=VALUE", "one more variable for a conversation; may be repeated"},
    {"name", "NAME",
     "which of the model's templates (default: tool_use with --tools, else default)"},
    {"revision", "REV", "branch, tag or commit (default: main)"},
    {"no-trim", NULL, "leave the white space around block tags as it is"},
    {"now", "SECONDS", "the time strftime_now() tells, in seconds since 1970"},
    {"batch", "FILE",
     "many at once: a line {\"template\", \"data\"} in, {\"ok\"} or {\"error\"} out"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug template page.jinja --data page.json",
    "render a file",
    "snug template org/model --messages chat.json --add-generation-prompt",
    "what a model is given for a conversation",
    "snug template ./model --messages chat.json --tools tools.json --param enable_thinking=false",
    "the same with tools and a variable",
    "snug template --batch lines.jsonl",
    "many templates in one run",
    NULL};
const cli_command cli_cmd_template = {
    "template",
    "[FILE|DIR|REPO]",
    "render a template or a conversation",
    "Renders a Jinja template with the settings chat templates are written for: newlines behind "
    "block "
    "tags and white space before them go (--no-trim keeps them), nothing is escaped. The result is "
    "written exactly as it is.\n\nFor a model's folder or repository the chat template is looked "
    "up in "
    "chat_template.jinja, additional_chat_templates/, tokenizer_config.json, chat_template.json "
    "and "
    "processor_config.json, in this order, and the special tokens of the tokenizer are "
    "variables.\n\n"
    "A line of --batch may also have templates (an object of others it can include), autoescape, "
    "trim_blocks, lstrip_blocks, keep_trailing_newline and name.",
    flags,
#ifdef SNUG_HAVE_HUB
    CLI_REMOTE,
#else
    0,
#endif
    0,
    1,
    examples,
    "0 2 3 4 6 7 8 10 74",
    run};
