/* SPDX-License-Identifier: Apache-2.0 */
/* infer/chat.c - a conversation as a folder's chat template writes it.
 *
 * For:     text.c and `snug run --chat`.
 * Owns:    nothing.
 * Threads: as the context.
 * Truth:   the template is looked up in chat_template.jinja, additional_chat_templates/NAME.jinja,
 *          tokenizer_config.json, chat_template.json and processor_config.json, in this order; the
 *          tokenizer's special tokens are variables. */
#include <unistd.h>

#include "infer/infer_int.h"
#include "jinja/jinja.h"

enum { CONTEXT_MAX = 64 << 20 };

bool infer_is_chat(snug_json v)
{
    return snug_json_is(v, SNUG_JSON_ARRAY) &&
           !snug_json_is(snug_json_get(snug_json_at(v, 0), "role"), SNUG_JSON_ABSENT);
}

/* ---- the template ---- */

/* A chat_template member: a text, or a list of {name, template}. */
static void from_member(snug_json v, const char *name, snug_slice *out)
{
    if (snug_json_is(v, SNUG_JSON_STRING) && strcmp(name, "default") == 0)
        (void)snug_json_to_str(v, out);
    if (!snug_json_is(v, SNUG_JSON_ARRAY)) return;
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);)
        if (snug_eq_str(snug_json_str_or(it.value, "name", SNUG_EMPTY), name))
            (void)snug_json_to_str(snug_json_get(it.value, "template"), out);
}

static snug_status find_named(const infer_ctx *c, snug_arena *a, const char *name, snug_slice *out,
                              snug_err *err)
{
    static const char *const configs[] = {"chat_template.json", "processor_config.json"};
    snug_slice               path =
        strcmp(name, "default") == 0
                          ? snug_arena_printf(a, "%s/chat_template.jinja", c->dir)
                          : snug_arena_printf(a, "%s/additional_chat_templates/%s.jinja", c->dir, name);
    *out = SNUG_EMPTY;
    if (access(path.ptr, R_OK) == 0) return snug_read_file(a, path.ptr, JINJA_SOURCE_MAX, out, err);
    from_member(snug_json_get(c->tok_config, "chat_template"), name, out);
    for (size_t i = 0; out->ptr == NULL && i < sizeof configs / sizeof *configs; i++) {
        snug_json   config;
        snug_status st = infer_read_json(a, c->dir, configs[i], &config, err);
        if (st != SNUG_OK) return st;
        from_member(snug_json_get(config, "chat_template"), name, out);
    }
    return SNUG_OK;
}

static snug_status find_template(const infer_ctx *c, snug_arena *a, bool tools, snug_slice *out,
                                 snug_err *err)
{
    *out = SNUG_EMPTY;
    snug_status st = tools ? find_named(c, a, "tool_use", out, err) : SNUG_OK;
    if (st == SNUG_OK && out->ptr == NULL) st = find_named(c, a, "default", out, err);
    return st;
}

bool infer_has_chat(infer_ctx *c)
{
    snug_arena *a = snug_arena_new();
    snug_slice  text;
    bool        has = find_template(c, a, false, &text, NULL) == SNUG_OK && text.ptr != NULL;
    snug_arena_free(a);
    return has;
}

/* ---- what it sees ---- */

static bool token_text(snug_json v, snug_slice *out)
{
    if (snug_json_is(v, SNUG_JSON_OBJECT)) v = snug_json_get(v, "content");
    return snug_json_to_str(v, out);
}

/* Every ..._token of the configuration, and the list of additional ones. */
static void put_tokens(snug_json_out *o, snug_json config)
{
    snug_slice text;
    for (snug_json_iter it = snug_json_iter_of(config); snug_json_next(&it);) {
        if (snug_ends_with(it.key, "_token") && token_text(it.value, &text)) {
            snug_jo_key_slice(o, it.key);
            snug_jo_str(o, text);
        }
        if (!snug_eq_str(it.key, "additional_special_tokens") ||
            !snug_json_is(it.value, SNUG_JSON_ARRAY))
            continue;
        snug_jo_key_slice(o, it.key);
        snug_jo_begin_array(o);
        for (snug_json_iter in = snug_json_iter_of(it.value); snug_json_next(&in);)
            if (token_text(in.value, &text)) snug_jo_str(o, text);
        snug_jo_end_array(o);
    }
}

static snug_status make_context(const infer_ctx *c, snug_arena *a, snug_json messages,
                                snug_json params, snug_json *out, snug_err *err)
{
    static const char *const lists[] = {"tools", "documents"};
    snug_buf                 b = snug_buf_init(CONTEXT_MAX);
    snug_json_out            o = snug_json_out_init(&b);
    size_t                   n = snug_json_count(messages);
    snug_json                last = snug_json_at(messages, n == 0 ? 0 : n - 1);
    bool continues = snug_eq_str(snug_json_str_or(last, "role", SNUG_EMPTY), "assistant");
    snug_jo_begin_object(&o);
    put_tokens(&o, c->special_map);
    put_tokens(&o, c->tok_config);
    snug_jo_key(&o, "messages");
    snug_jo_value(&o, messages);
    for (size_t i = 0; i < 2; i++) {
        snug_jo_key(&o, lists[i]);
        if (task_given(snug_json_get(params, lists[i])))
            snug_jo_value(&o, snug_json_get(params, lists[i]));
        else
            snug_jo_null(&o);
    }
    snug_jo_kbool(&o, "add_generation_prompt",
                  snug_json_bool_or(params, "add_generation_prompt", !continues));
    snug_json more = snug_json_get(params, "chat_template_kwargs");
    for (snug_json_iter it = snug_json_iter_of(more); snug_json_next(&it);) {
        snug_jo_key_slice(&o, it.key);
        snug_jo_value(&o, it.value);
    }
    snug_jo_end_object(&o);
    snug_status st = snug_buf_check(&b, "the conversation", err);
    if (st == SNUG_OK)
        st = snug_json_parse(a, snug_buf_slice(&b), &(snug_json_opts){.flags = SNUG_JSON_NONFINITE},
                             out, err);
    snug_buf_deinit(&b);
    return st;
}

snug_status chat_render(infer_ctx *c, snug_json messages, snug_json params, snug_buf *out,
                        snug_err *err)
{
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    snug_slice            text;
    snug_json             context;
    const jinja_template *t;
    if (!infer_is_chat(messages))
        SNUG_FAIL(err, SNUG_EINVAL,
                  "a conversation must be a list of messages with \"role\" and \"content\"");
    SNUG_TRY(find_template(c, a, task_given(snug_json_get(params, "tools")), &text, err));
    if (text.ptr == NULL)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "this model has no chat template: it continues texts, not conversations");
    SNUG_TRY(make_context(c, a, messages, params, &context, err));
    SNUG_TRY(jinja_compile(a, text, &jinja_chat_opts, &t, err));
    SNUG_TRY(jinja_render(t, context, NULL, out, err));
done:
    snug_arena_free(a);
    return st;
}
