/* SPDX-License-Identifier: Apache-2.0 */
/* hub/check_card.c - the rules of card metadata, with a sentence for each broken one.
 *
 * For:     validate-yaml, the editor, strict repositories.
 * Owns:    the rules. card.c only takes what fits; here it is said what does not.
 * Threads: any.
 * Truth:   unknown keys are nobody's business: they pass without a word. */
#include "codec/codec.h"
#include "hub/hub_int.h"

#include <stdarg.h>

typedef struct checker {
    void (*fn)(void *arg, bool is_error, const char *text);
    void     *arg;
    hub_type  type;
    snug_json card;
} checker;

static void say(const checker *c, bool is_error, const char *fmt, ...) SNUG_PRINTF(3, 4);
static void say(const checker *c, bool is_error, const char *fmt, ...)
{
    char    text[SNUG_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->fn(c->arg, is_error, text);
}

#define SHOW(s) SNUG_SLICE(snug_sub((s), 0, 100))

static bool is_url(snug_slice s)
{
    return snug_starts_with(s, "http://") || snug_starts_with(s, "https://");
}

static bool one_of(snug_slice s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_str(s, list[i])) return true;
    }
    return false;
}

/* ---- value checks: one function per kind, named in the table below ---- */

static bool absent(snug_json v)
{
    return snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL);
}

static void check_string(const checker *c, const char *key, snug_json v)
{
    if (!snug_json_is(v, SNUG_JSON_STRING)) say(c, true, "\"%s\" must be a string", key);
}

/* A string or a list of strings; calls `each` for the strings. */
static void each_string(const checker *c, const char *key, snug_json v,
                        void (*each)(const checker *c, const char *key, snug_slice s))
{
    snug_slice s;
    if (snug_json_to_str(v, &s)) {
        each(c, key, s);
        return;
    }
    if (!snug_json_is(v, SNUG_JSON_ARRAY)) {
        say(c, true, "\"%s\" must be a string or a list of strings", key);
        return;
    }
    size_t index = 0;
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it); index++) {
        if (snug_json_to_str(it.value, &s))
            each(c, key, s);
        else
            say(c, true, "\"%s[%zu]\" must be a string", key, index);
    }
}

static void each_language(const checker *c, const char *key, snug_slice s)
{
    size_t n = 0;
    if (snug_eq_str(s, "multilingual") || snug_eq_str(s, "code")) return;
    while (n < s.len && s.ptr[n] >= 'a' && s.ptr[n] <= 'z') n++;
    if ((n == 2 || n == 3) && (n == s.len || s.ptr[n] == '-')) return;
    say(c, false, "\"%s\" holds \"%.*s\", which is no ISO 639 code (such as en or deu)", key,
        SHOW(s));
}

static void each_tag(const checker *c, const char *key, snug_slice s)
{
    if (s.len == 0)
        say(c, false, "\"%s\" holds an empty entry", key);
    else if (s.len > HUB_TAG_MAX)
        say(c, false, "\"%s\" holds an entry of more than %d bytes", key, HUB_TAG_MAX);
}

static void each_repo(const checker *c, const char *key, snug_slice s)
{
    snug_slice name = s, ns = SNUG_EMPTY;
    size_t     slash = snug_index(s, '/');
    if (slash != SIZE_MAX) {
        ns = snug_sub(s, 0, slash);
        name = snug_sub(s, slash + 1, s.len);
    }
    if (hub_check_name(name, "", NULL) == SNUG_OK &&
        (slash == SIZE_MAX || hub_check_name(ns, "", NULL) == SNUG_OK))
        return;
    say(c, false, "\"%s\" holds \"%.*s\", which is no repository id", key, SHOW(s));
}

static void check_languages(const checker *c, const char *key, snug_json v)
{
    each_string(c, key, v, each_language);
}
static void check_tags(const checker *c, const char *key, snug_json v)
{
    each_string(c, key, v, each_tag);
}
static void check_repos(const checker *c, const char *key, snug_json v)
{
    each_string(c, key, v, each_repo);
}

static void each_license(const checker *c, const char *key, snug_slice s)
{
    if (!hub_license_known(s))
        say(c, true,
            "\"%s\" is \"%.*s\", which is not a known license id; use \"other\" with "
            "\"license_name\" and \"license_link\"",
            key, SHOW(s));
    else if (hub_license_is_family(s))
        say(c, false, "\"%s: %.*s\" is a family: name the version", key, SHOW(s));
    if (!snug_eq_str(s, "other")) return;
    if (absent(snug_json_get(c->card, "license_name")))
        say(c, true, "\"license: other\" needs \"license_name\"");
    if (absent(snug_json_get(c->card, "license_link")))
        say(c, true, "\"license: other\" needs \"license_link\"");
}

static void check_license(const checker *c, const char *key, snug_json v)
{
    if (c->type == HUB_DATASET)
        each_string(c, key, v, each_license);
    else if (snug_json_is(v, SNUG_JSON_STRING))
        each_string(c, key, v, each_license);
    else
        say(c, true, "\"%s\" must be a string", key);
}

static void check_license_name(const checker *c, const char *key, snug_json v)
{
    snug_slice s;
    bool       ok = snug_json_to_str(v, &s) && s.len > 0;
    for (size_t i = 0; ok && i < s.len; i++) {
        char ch = s.ptr[i];
        ok = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' ||
             ch == '_' || ch == '+';
    }
    if (!ok)
        say(c, true, "\"%s\" must be a short name of lower-case letters, digits, '-', '.' and '_'",
            key);
}

static void check_license_link(const checker *c, const char *key, snug_json v)
{
    snug_slice s;
    if (snug_json_to_str(v, &s) &&
        (is_url(s) || snug_eq_str(s, "LICENSE") || snug_eq_str(s, "LICENSE.md")))
        return;
    say(c, true, "\"%s\" must be LICENSE, LICENSE.md or a URL", key);
}

static void check_pipeline(const checker *c, const char *key, snug_json v)
{
    snug_slice s;
    if (!snug_json_to_str(v, &s))
        say(c, true, "\"%s\" must be a string", key);
    else if (!hub_task_known(s))
        say(c, true, "\"%s\" is \"%.*s\", which is no known task", key, SHOW(s));
}

static void check_relation(const checker *c, const char *key, snug_json v)
{
    static const char *const known[] = {"finetune", "adapter", "quantized", "merge"};
    snug_slice               s;
    if (snug_json_to_str(v, &s) && one_of(s, known, 4)) return;
    say(c, true, "\"%s\" must be one of finetune, adapter, quantized and merge", key);
}

static void check_co2(const checker *c, const char *key, snug_json v)
{
    double f;
    if (snug_json_to_f64(v, &f)) return;
    if (!snug_json_is(v, SNUG_JSON_OBJECT)) {
        say(c, true, "\"%s\" must be a number of grams or an object with \"emissions\"", key);
        return;
    }
    if (!snug_json_to_f64(snug_json_get(v, "emissions"), &f))
        say(c, true, "\"%s.emissions\" must be a number", key);
}

static bool has_string(snug_json v, const char *key)
{
    snug_slice s;
    return snug_json_to_str(snug_json_get(v, key), &s) && s.len > 0;
}

static void check_metric(const checker *c, size_t model, size_t result, size_t index, snug_json m)
{
    if (!has_string(m, "type"))
        say(c, true, "\"model-index[%zu].results[%zu].metrics[%zu].type\" is required", model,
            result, index);
    if (absent(snug_json_get(m, "value")))
        say(c, true, "\"model-index[%zu].results[%zu].metrics[%zu].value\" is required", model,
            result, index);
}

static void check_result(const checker *c, size_t model, size_t index, snug_json r)
{
    snug_json metrics = snug_json_get(r, "metrics"), source = snug_json_get(r, "source");
    snug_json dataset = snug_json_get(r, "dataset");
    if (!has_string(snug_json_get(r, "task"), "type"))
        say(c, true, "\"model-index[%zu].results[%zu].task.type\" is required", model, index);
    if (!has_string(dataset, "type"))
        say(c, true, "\"model-index[%zu].results[%zu].dataset.type\" is required", model, index);
    if (!has_string(dataset, "name"))
        say(c, true, "\"model-index[%zu].results[%zu].dataset.name\" is required", model, index);
    if (!absent(source) && !has_string(source, "url"))
        say(c, true, "\"model-index[%zu].results[%zu].source.url\" is required", model, index);
    if (!snug_json_is(metrics, SNUG_JSON_ARRAY)) {
        say(c, true, "\"model-index[%zu].results[%zu].metrics\" must be a list", model, index);
        return;
    }
    size_t k = 0;
    for (snug_json_iter it = snug_json_iter_of(metrics); snug_json_next(&it); k++)
        check_metric(c, model, index, k, it.value);
}

static void check_model_index(const checker *c, const char *key, snug_json v)
{
    size_t model = 0;
    if (!snug_json_is(v, SNUG_JSON_ARRAY)) {
        say(c, true, "\"%s\" must be a list", key);
        return;
    }
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it); model++) {
        snug_json results = snug_json_get(it.value, "results");
        size_t    index = 0;
        if (!snug_json_is(results, SNUG_JSON_ARRAY)) {
            say(c, true, "\"model-index[%zu].results\" must be a list", model);
            continue;
        }
        for (snug_json_iter r = snug_json_iter_of(results); snug_json_next(&r); index++)
            check_result(c, model, index, r.value);
    }
}

static void check_gated_fields(const checker *c, const char *key, snug_json v)
{
    static const char *const kinds[] = {"text",    "checkbox",    "date_picker",
                                        "country", "ip_location", "select"};
    if (!snug_json_is(v, SNUG_JSON_OBJECT)) {
        say(c, true, "\"%s\" must be a mapping of names to field types", key);
        return;
    }
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        snug_slice kind = SNUG_EMPTY;
        bool       object = snug_json_is(it.value, SNUG_JSON_OBJECT);
        (void)snug_json_to_str(object ? snug_json_get(it.value, "type") : it.value, &kind);
        if (!one_of(kind, kinds, 6))
            say(c, true,
                "\"%s.%.*s\" must be text, checkbox, date_picker, country, ip_location or a select",
                key, SHOW(it.key));
        else if (snug_eq_str(kind, "select") &&
                 !snug_json_is(snug_json_get(it.value, "options"), SNUG_JSON_ARRAY))
            say(c, true, "\"%s.%.*s\" is a select and needs \"options\"", key, SHOW(it.key));
    }
}

static void check_bool(const checker *c, const char *key, snug_json v)
{
    if (!snug_json_is(v, SNUG_JSON_BOOL)) say(c, true, "\"%s\" must be true or false", key);
}

static void check_configs(const checker *c, const char *key, snug_json v)
{
    size_t index = 0;
    if (!snug_json_is(v, SNUG_JSON_ARRAY)) {
        say(c, true, "\"%s\" must be a list", key);
        return;
    }
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it); index++) {
        if (!has_string(it.value, "config_name"))
            say(c, true, "\"%s[%zu].config_name\" is required", key, index);
    }
}

static void check_sdk(const checker *c, const char *key, snug_json v)
{
    static const char *const known[] = {"gradio", "streamlit", "docker", "static"};
    snug_slice               s;
    if (snug_json_to_str(v, &s) && one_of(s, known, 4)) return;
    say(c, true, "\"%s\" must be one of gradio, streamlit, docker and static", key);
}

static void check_color(const checker *c, const char *key, snug_json v)
{
    static const char *const known[] = {"red",    "yellow", "green", "blue",
                                        "indigo", "purple", "pink",  "gray"};
    snug_slice               s;
    if (snug_json_to_str(v, &s) && one_of(s, known, 8)) return;
    say(c, true, "\"%s\" must be one of red, yellow, green, blue, indigo, purple, pink and gray",
        key);
}

/* ---- the table: one row per field ---- */

enum { M = 1 << HUB_MODEL, D = 1 << HUB_DATASET, S = 1 << HUB_SPACE, ALL = M | D | S };
static const struct {
    const char *key;
    unsigned    types;
    void (*check)(const checker *c, const char *key, snug_json v);
} fields[] = {
    {"license", ALL, check_license},
    {"license_name", ALL, check_license_name},
    {"license_link", ALL, check_license_link},
    {"language", ALL, check_languages},
    {"library_name", M, check_string},
    {"pipeline_tag", M, check_pipeline},
    {"tags", ALL, check_tags},
    {"base_model", M, check_repos},
    {"base_model_relation", M, check_relation},
    {"new_version", M, check_string},
    {"datasets", M | S, check_repos},
    {"models", S, check_repos},
    {"metrics", M, check_tags},
    {"model-index", M, check_model_index},
    {"co2_eq_emissions", M, check_co2},
    {"instance_prompt", M, check_string},
    {"mask_token", M, check_string},
    {"thumbnail", ALL, check_string},
    {"extra_gated_prompt", M | D, check_string},
    {"extra_gated_heading", M | D, check_string},
    {"extra_gated_description", M | D, check_string},
    {"extra_gated_button_content", M | D, check_string},
    {"extra_gated_eu_disallowed", M | D, check_bool},
    {"extra_gated_fields", M | D, check_gated_fields},
    {"pretty_name", D, check_string},
    {"size_categories", D, check_tags},
    {"source_datasets", D, check_tags},
    {"task_categories", D, check_tags},
    {"task_ids", D, check_tags},
    {"annotations_creators", D, check_tags},
    {"language_creators", D, check_tags},
    {"multilinguality", D, check_tags},
    {"configs", D, check_configs},
    {"viewer", D, check_bool},
    {"title", S, check_string},
    {"sdk", S, check_sdk},
    {"colorFrom", S, check_color},
    {"colorTo", S, check_color},
    {"pinned", S, check_bool},
};

void hub_check_card(snug_slice readme, hub_type                                   type,
                    void (*fn)(void *arg, bool is_error, const char *text), void *arg)
{
    checker     c = {.fn = fn, .arg = arg, .type = type};
    snug_arena *a = snug_arena_new();
    snug_slice  yaml, body;
    snug_err    err = {0};

    codec_card_split(readme, &yaml, &body);
    if (yaml.len > HUB_CARD_MAX) {
        say(&c, true, "the metadata holds %zu bytes, at most %d are read", yaml.len, HUB_CARD_MAX);
    } else if (codec_card_parse(a, readme, &c.card, &body, &err) != SNUG_OK) {
        say(&c, true, "the metadata is not valid YAML: %s", err.msg);
    } else if (absent(c.card)) {
        say(&c, false, "empty or missing yaml metadata in repo card");
    } else if (!snug_json_is(c.card, SNUG_JSON_OBJECT)) {
        say(&c, true, "the metadata must be a mapping of keys to values");
    } else {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            snug_json v = snug_json_get(c.card, fields[i].key);
            if ((fields[i].types & (1u << type)) != 0 && !absent(v))
                fields[i].check(&c, fields[i].key, v);
        }
    }
    snug_arena_free(a);
}
