/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hub/test_card.c - card metadata: what is complained about, and what becomes tags. */
#include "hub_check.h"

#include "hub/hub_int.h"

typedef struct findings {
    char   text[4096];
    size_t errors, warnings;
} findings;

static void note(void *arg, bool is_error, const char *text)
{
    findings *f = arg;
    size_t    n = strlen(f->text);
    if (is_error)
        f->errors++;
    else
        f->warnings++;
    snprintf(f->text + n, sizeof f->text - n, "%c %s\n", is_error ? 'E' : 'W', text);
}

static findings check(const char *readme, hub_type type)
{
    findings f = {.errors = 0};
    hub_check_card(snug_str(readme), type, note, &f);
    return f;
}

static void test_findings(void **state)
{
    static const struct {
        hub_type    type;
        const char *yaml, *want;
    } cases[] = {
        {HUB_MODEL, "license: mit\nlanguage: en\npipeline_tag: fill-mask\n", ""},
        {HUB_MODEL, "license: MIT\n", "E \"license\" is \"MIT\", which is not a known license id"},
        {HUB_MODEL, "license: [mit]\n", "E \"license\" must be a string"},
        {HUB_DATASET, "license: [mit, cc-by-4.0]\n", ""},
        {HUB_DATASET, "license: [mit, nope]\n", "E \"license\" is \"nope\""},
        {HUB_MODEL, "license: gpl\n", "W \"license: gpl\" is a family"},
        {HUB_MODEL, "license: other\n",
         "E \"license: other\" needs \"license_name\"\nE \"license: other\" needs "
         "\"license_link\"\n"},
        {HUB_MODEL, "license: other\nlicense_name: my-own\nlicense_link: LICENSE\n", ""},
        {HUB_MODEL, "license: other\nlicense_name: My Own\nlicense_link: file.txt\n",
         "E \"license_name\" must be a short name"},
        {HUB_MODEL, "language: english\n", "W \"language\" holds \"english\""},
        {HUB_MODEL, "language: [en, zh-Hant, multilingual, code, gsw]\n", ""},
        {HUB_MODEL, "language: {a: b}\n", "E \"language\" must be a string or a list of strings"},
        {HUB_MODEL, "pipeline_tag: text-generatio\n", "E \"pipeline_tag\" is \"text-generatio\""},
        {HUB_MODEL, "pipeline_tag: [fill-mask]\n", "E \"pipeline_tag\" must be a string"},
        {HUB_MODEL, "library_name: 3\n", "E \"library_name\" must be a string"},
        {HUB_MODEL, "tags: [a, 3]\n", "E \"tags[1]\" must be a string"},
        {HUB_MODEL, "tags: ['']\n", "W \"tags\" holds an empty entry"},
        {HUB_MODEL, "base_model: a/b/c\n", "W \"base_model\" holds \"a/b/c\""},
        {HUB_MODEL, "base_model: [a/b, gpt2]\nbase_model_relation: merge\n", ""},
        {HUB_MODEL, "base_model_relation: child\n", "E \"base_model_relation\" must be one of"},
        {HUB_MODEL, "co2_eq_emissions: {emissions: many}\n",
         "E \"co2_eq_emissions.emissions\" must be a number"},
        {HUB_MODEL, "co2_eq_emissions: 12.5\n", ""},
        {HUB_MODEL,
         "model-index:\n- name: x\n  results:\n  - task: {type: t}\n    dataset: {type: d, name: "
         "n}\n    metrics: [{type: acc, value: 1}]\n",
         ""},
        {HUB_MODEL,
         "model-index:\n- name: x\n  results:\n  - dataset: {type: d}\n    metrics: [{type: "
         "acc}]\n    source: {name: y}\n",
         "E \"model-index[0].results[0].task.type\" is required\nE "
         "\"model-index[0].results[0].dataset.name\" is required\n"
         "E \"model-index[0].results[0].source.url\" is required\nE "
         "\"model-index[0].results[0].metrics[0].value\" is required\n"},
        {HUB_MODEL, "model-index: 3\n", "E \"model-index\" must be a list"},
        {HUB_MODEL, "extra_gated_fields: {Name: text, Use: {type: select, options: [a]}}\n", ""},
        {HUB_MODEL, "extra_gated_fields: {Name: string, Use: {type: select}}\n",
         "E \"extra_gated_fields.Name\" must be text, checkbox, date_picker, country, ip_location "
         "or a select\n"
         "E \"extra_gated_fields.Use\" is a select and needs \"options\"\n"},
        {HUB_DATASET, "configs: [{data_files: x.csv}]\n",
         "E \"configs[0].config_name\" is required"},
        {HUB_DATASET, "viewer: maybe\n", "E \"viewer\" must be true or false"},
        {HUB_SPACE, "sdk: flask\ncolorFrom: black\n", "E \"sdk\" must be one of"},
        {HUB_SPACE, "sdk: gradio\ncolorFrom: red\ntitle: Hi\n", ""},
        {HUB_MODEL, "unknown_key: {a: [1, 2]}\n", ""},
        {HUB_MODEL, "- a\n- b\n", "E the metadata must be a mapping"},
        {HUB_MODEL, "a: [\n", "E the metadata is not valid YAML: line "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char readme[1024];
        snprintf(readme, sizeof readme, "---\n%s---\nText\n", cases[i].yaml);
        findings f = check(readme, cases[i].type);
        if (cases[i].want[0] == '\0' ? f.text[0] != '\0'
                                     : strncmp(f.text, cases[i].want, strlen(cases[i].want)) != 0)
            fail_msg("%s gives\n%s", cases[i].yaml, f.text);
    }
}

static void test_missing_is_a_warning(void **state)
{
    static const char *const readmes[] = {"", "# Title\n", "---\n---\ntext", "--- \n\n---\n"};
    (void)state;
    for (size_t i = 0; i < sizeof readmes / sizeof readmes[0]; i++) {
        findings f = check(readmes[i], HUB_MODEL);
        assert_string_equal(f.text, "W empty or missing yaml metadata in repo card\n");
    }
}

static void test_lists_match_the_spec(void **state)
{
    (void)state;
    assert_true(hub_license_known(SNUG_LIT("openrail++")) && hub_license_known(SNUG_LIT("other")));
    assert_true(hub_license_known(SNUG_LIT("cc-by-nc-nd-3.0")) &&
                hub_license_known(SNUG_LIT("wtfpl")));
    assert_false(hub_license_known(SNUG_LIT("")) || hub_license_known(SNUG_LIT("Apache-2.0")));
    assert_true(hub_task_known(SNUG_LIT("any-to-any")) &&
                !hub_task_known(SNUG_LIT("text2text-generation")));
}

static hub_content content(snug_arena *a, const char *readme, hub_type type, const hub_found *found)
{
    static const hub_found none = {.format_count = 0};
    hub_content            c;
    hub_card_content(snug_str(readme), type, SNUG_LIT("gradio"), a, found != NULL ? found : &none,
                     &c);
    return c;
}

static bool has_key(const hub_content *c, const char *key)
{
    for (size_t i = 0; i < c->key_count; i++) {
        if (snug_eq_str(c->keys[i], key)) return true;
    }
    return false;
}

static void test_tags(void **state)
{
    snug_arena *a = snug_arena_new();
    hub_found   found = {.pipeline_tag = SNUG_LIT("fill-mask"),
                         .library_name = SNUG_LIT("transformers"),
                         .formats = {"safetensors"},
                         .format_count = 1};
    (void)state;
    hub_content c = content(a, "no card", HUB_MODEL, &found);
    assert_true(
        snug_eq_str(c.tags_json, "[\"transformers\",\"fill-mask\",\"safetensors\",\"region:us\"]"));
    assert_true(has_key(&c, "library:transformers") && has_key(&c, "pipeline_tag:fill-mask"));

    c = content(a,
                "---\npipeline_tag: nonsense\nlibrary_name: \"a\\u0007b\"\ntags: [x, x, "
                "'']\nlanguage: en\nbase_model: [a/b, c/d]\n---\n",
                HUB_MODEL, &found);
    assert_true(snug_eq_str(c.pipeline_tag, "fill-mask") &&
                snug_eq_str(c.library_name, "transformers"));
    assert_true(snug_eq_str(
        c.tags_json,
        "[\"transformers\",\"fill-mask\",\"x\",\"en\",\"base_model:a/b\",\"base_model:c/d\","
        "\"base_model:merge:a/b\",\"base_model:merge:c/d\",\"safetensors\",\"region:us\"]"));
    assert_true(has_key(&c, "language:en"));

    c = content(a,
                "---\ntask_categories: [text-classification]\nlanguage: [en]\nlicense: "
                "mit\nsize_categories: n<1K\n---\n"
                "https://arxiv.org/pdf/1706.03762v5 https://huggingface.co/papers/2401.00001 "
                "arxiv.org/abs/hep-th/1",
                HUB_DATASET, NULL);
    assert_true(snug_eq_str(c.tags_json,
                            "[\"task_categories:text-classification\",\"language:en\",\"license:"
                            "mit\",\"size_categories:n<1K\","
                            "\"arxiv:1706.03762\",\"arxiv:2401.00001\",\"region:us\"]"));
    c = content(a, "---\nsdk: docker\nmodels: [a/b]\n---\n", HUB_SPACE, NULL);
    assert_true(snug_eq_str(c.sdk, "docker"));
    assert_true(snug_eq_str(c.tags_json, "[\"docker\",\"region:us\"]"));
    assert_true(has_key(&c, "model:a/b"));

    char *many = snug_zalloc(1 << 16); /* more tags than anyone needs are left out, not an error */
    snprintf(many, 32, "---\ntags:\n");
    for (int i = 0; i < 2000; i++) snprintf(many + strlen(many), 32, "- tag-%d\n", i);
    snprintf(many + strlen(many), 8, "---\n");
    c = content(a, many, HUB_MODEL, NULL);
    assert_true(c.key_count <= HUB_TAGS_MAX && c.key_count > 500);
    free(many);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_missing_is_a_warning),
        cmocka_unit_test(test_lists_match_the_spec),
        cmocka_unit_test(test_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
