/* SPDX-License-Identifier: Apache-2.0 */
/* tests/jinja/test_render.c - the families as recorded, the limits, what a template cannot reach,
 * and what mistakes are called. The language itself is compared with jinja2 by
 * tests/clients/test_template.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/base.h"
#include "jinja/jinja.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/jinja/"

static snug_json read_json(snug_arena *a, const char *text)
{
    snug_err  err = {0};
    snug_json v;
    if (snug_json_parse(a, snug_str(text), NULL, &v, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return v;
}

/* Compiles and renders with the chat settings; the text lives in `a`. */
static snug_status render(snug_arena *a, const char *text, const char *data, const jinja_env *env,
                          snug_slice *out, snug_err *err)
{
    snug_buf              b = snug_buf_init(64 << 20);
    const jinja_template *t;
    snug_status           st = jinja_compile(a, snug_str(text), &jinja_chat_opts, &t, err);
    if (st == SNUG_OK) st = jinja_render(t, read_json(a, data), env, &b, err);
    *out = snug_arena_dup(a, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    return st;
}

static void gives(const char *text, const char *data, const char *want)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_slice  got;
    if (render(a, text, data, NULL, &got, &err) != SNUG_OK) fail_msg("%s: %s", text, err.msg);
    if (!snug_eq_str(got, want)) fail_msg("%s gives \"%.*s\"", text, SNUG_SLICE(got));
    snug_arena_free(a);
}

static void refuses(const char *text, const jinja_env *env, snug_status status, const char *code,
                    const char *words)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_slice  got;
    snug_status st =
        render(a, text, "{\"l\":[1,2,3],\"d\":{\"a\":1},\"s\":\"abc\"}", env, &got, &err);
    if (st != status) fail_msg("%s: status %s (%s)", text, snug_status_name(st), err.msg);
    if (strstr(err.msg, words) == NULL) fail_msg("%s: \"%s\" lacks \"%s\"", text, err.msg, words);
    if (code != NULL) assert_string_equal(err.code, code);
    assert_int_equal(got.len, 0); /* a refusal writes nothing */
    snug_arena_free(a);
}

static snug_json load(snug_arena *a, const char *name, snug_slice *text)
{
    snug_err  err = {0};
    snug_json v = {NULL};
    if (snug_read_file(a, snug_arena_printf(a, GOLDEN "%s", name).ptr, 4 << 20, text, &err) !=
        SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    if (strstr(name, ".json") != NULL) v = read_json(a, text->ptr);
    return v;
}

/* The conversation with the members every model's tokenizer gives. */
static snug_json context_of(snug_arena *a, snug_json talk)
{
    snug_buf      b = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "bos_token", "<s>");
    snug_jo_kcstr(&o, "eos_token", "</s>");
    snug_jo_kcstr(&o, "date_string", "26 Jul 2026");
    for (snug_json_iter it = snug_json_iter_of(talk); snug_json_next(&it);) {
        snug_jo_key_slice(&o, it.key);
        snug_jo_value(&o, it.value);
    }
    snug_jo_end_object(&o);
    snug_slice text = snug_arena_dup(a, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    return read_json(a, text.ptr);
}

static void test_families_as_recorded(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_slice  text, name, talk, want;
    snug_json   talks = load(a, "conversations.json", &text);
    snug_json   cases = snug_json_get(load(a, "expected.json", &text), "cases");
    size_t      good = 0, refused = 0;
    (void)state;
    for (size_t i = 0; i < snug_json_count(cases); i++) {
        snug_json             row = snug_json_at(cases, i), data = {NULL};
        snug_err              err = {0};
        const jinja_template *t;
        snug_buf              out = snug_buf_init(1 << 20);
        assert_true(snug_json_to_str(snug_json_get(row, "template"), &name));
        assert_true(snug_json_to_str(snug_json_get(row, "conversation"), &talk));
        for (size_t k = 0; k < snug_json_count(talks); k++) {
            snug_json one = snug_json_at(talks, k);
            if (snug_eq(snug_json_str_or(one, "name", SNUG_EMPTY), talk))
                data = context_of(a, snug_json_get(one, "data"));
        }
        (void)load(a, snug_arena_printf(a, "%.*s.jinja", SNUG_SLICE(name)).ptr, &text);
        if (jinja_compile(a, text, &jinja_chat_opts, &t, &err) != SNUG_OK)
            fail_msg("%.*s: %s", SNUG_SLICE(name), err.msg);
        snug_status st = jinja_render(t, data, NULL, &out, &err);
        if (snug_json_to_str(snug_json_get(row, "ok"), &want)) {
            if (st != SNUG_OK || !snug_eq(snug_buf_slice(&out), want))
                fail_msg("%.*s, %.*s: %s\n%.*s", SNUG_SLICE(name), SNUG_SLICE(talk), err.msg,
                         SNUG_SLICE(snug_buf_slice(&out)));
            good++;
        } else {
            assert_int_not_equal(st, SNUG_OK);
            refused++;
        }
        snug_buf_deinit(&out);
    }
    assert_int_equal(good + refused, 140);
    assert_true(good > 100 && refused > 10);
    snug_arena_free(a);
}

static void test_limits_stop_it(void **state)
{
    jinja_env steps = {.limits = {.steps = 1000}}, output = {.limits = {.output = 1000}},
              memory = {.limits = {.memory = 1 << 20}}, depth = {.limits = {.depth = 50}};
    (void)state;
    refuses("{% for i in range(100000) %}{% endfor %}", &steps, SNUG_ELIMIT, NULL, "steps");
    refuses("{% for i in range(1000) %}abcdef{% endfor %}", &output, SNUG_ELIMIT, NULL,
            "1000 bytes");
    refuses("{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}"
            "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            &memory, SNUG_ELIMIT, NULL, "values take more than 1048576");
    refuses("{{ 'a' * 99999999999 }}", NULL, SNUG_ELIMIT, NULL, "beyond the limit");
    refuses("{{ [0] * 999999999 }}", NULL, SNUG_ELIMIT, NULL, "beyond the limit");
    refuses("{{ '%999999999d' % 1 }}", NULL, SNUG_ELIMIT, NULL, "");
    refuses("{{ range(100001)|list }}", NULL, SNUG_ELIMIT, NULL, "range");
    refuses("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", &depth, SNUG_ELIMIT, NULL,
            "deep");
    refuses("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", NULL, SNUG_ELIMIT, NULL,
            "deep");
}

/* Nested text is bounded before it costs stack. */
static void test_nesting_is_bounded(void **state)
{
    static const char *const kinds[] = {"(",    "[", "{% if 1 %}", "{% for a in l %}",
                                        "not ", "-", "{{ 1 + ("};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        snug_arena *a = snug_arena_new();
        snug_buf    b = snug_buf_init(8 << 20);
        snug_err    err = {0};
        snug_slice  out;
        if (kinds[i][0] != '{') snug_buf_puts(&b, "{{ ");
        for (int k = 0; k < 100000; k++) snug_buf_puts(&b, kinds[i]);
        snug_buf_puts(&b, "1");
        snug_slice text = snug_arena_dup(a, snug_buf_slice(&b));
        assert_int_not_equal(render(a, text.ptr, "{\"l\":[1]}", NULL, &out, &err), SNUG_OK);
        assert_true(err.msg[0] != '\0');
        snug_buf_deinit(&b);
        snug_arena_free(a);
    }
}

/* The ways out of Python's sandbox, and whatever resembles them: they lead to nothing. */
static void test_no_way_out(void **state)
{
    static const char *const dead[] = {"{{ ''.__class__ }}",
                                       "{{ s.__class__.__mro__ }}",
                                       "{{ l.__init__ }}",
                                       "{{ d.__getitem__ }}",
                                       "{{ self.__init__ }}",
                                       "{{ cycler.__init__ }}",
                                       "{{ s['__class__'] }}",
                                       "{{ s|attr('__class__') }}",
                                       "{{ (1).__class__ }}",
                                       "{{ namespace.__init__ }}",
                                       "{{ loop }}",
                                       "{{ d._private }}",
                                       "{{ ''.format.__globals__ }}",
                                       "{{ '{0.__class__}'.format(1) }}"};
    (void)state;
    for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++) {
        snug_arena *a = snug_arena_new();
        snug_err    err = {0};
        snug_slice  out;
        if (render(a, dead[i], "{\"l\":[],\"d\":{},\"s\":\"x\"}", NULL, &out, &err) == SNUG_OK)
            if (out.len != 0) fail_msg("%s gives \"%.*s\"", dead[i], SNUG_SLICE(out));
        snug_arena_free(a);
    }
    refuses("{{ l.append(4) }}", NULL, SNUG_EINVAL, "TemplateError", "");
    refuses("{{ d.update({'x': 1}) }}", NULL, SNUG_EINVAL, "TemplateError", "");
    refuses("{{ d.pop('a') }}", NULL, SNUG_EINVAL, "TemplateError", "");
    refuses("{% include 'other' %}", NULL, SNUG_EINVAL, NULL, "");
    refuses("{% set d.a = 2 %}", NULL, SNUG_EINVAL, NULL, "");
}

static void test_mistakes_name_their_line(void **state)
{
    (void)state;
    refuses("a\nb\n{% if %}", NULL, SNUG_EINVAL, "TemplateSyntax", "line 3");
    refuses("a\n{{ 1 +", NULL, SNUG_EINVAL, "TemplateSyntax", "line 2");
    refuses("{% for x in l %}", NULL, SNUG_EINVAL, "TemplateSyntax", "for");
    refuses("{% frobnicate %}", NULL, SNUG_EINVAL, "TemplateSyntax", "frobnicate");
    refuses("{{ s|frobnicate }}", NULL, SNUG_EINVAL, NULL, "frobnicate");
    refuses("\n\n{{ s + 1 }}", NULL, SNUG_EINVAL, "TemplateError", "line 3");
    refuses("{{ nobody.x }}", NULL, SNUG_EINVAL, "TemplateError", "nobody");
    refuses("{{ raise_exception('So nicht, äh!') }}", NULL, SNUG_EINVAL, "TemplateRaised",
            "So nicht, äh!");
}

static void test_settings(void **state)
{
    (void)state;
    gives("  {% if true %}\n a\n  {% endif %}\nb\n", "{}", " a\nb");
    gives("{% for k in [1,2,3] if k != 3 %}{{ k }}{{ ',' if not loop.last }}{% endfor %}", "{}",
          "1,2"); /* what the loop's if refused is not its next item */
    gives("{{ x|tojson }}", "{\"x\":{\"a\":[1,2.5,null,true,\"é<\"]}}",
          "{\"a\": [1, 2.5, null, true, \"é<\"]}");
}

typedef struct shelf {
    snug_arena *a;
    const char *base;
} shelf;

static snug_status find(void *arg, snug_slice name, const jinja_template **out, snug_err *err)
{
    shelf     *s = arg;
    jinja_opts o = {.name = name, .autoescape = true};
    if (!snug_eq_str(name, "base")) return snug_fail(err, SNUG_ENOTFOUND, "no template here");
    return jinja_compile(s->a, snug_str(s->base), &o, out, err);
}

static void test_pages_inherit_and_escape(void **state)
{
    static const char page[] = "{% extends 'base' %}{% block title %}{{ t }}{% endblock %}"
                               "{% block body %}{{ super() }}{{ t|safe }}{% endblock %}";
    snug_arena       *a = snug_arena_new();
    shelf s = {a, "<title>{% block title %}{% endblock %}</title>{% block body %}-{% endblock %}"};
    jinja_env             env = {.load = find, .load_arg = &s};
    jinja_opts            o = {.autoescape = true};
    snug_err              err = {0};
    snug_buf              b = snug_buf_init(1000);
    const jinja_template *t;
    (void)state;
    assert_int_equal(jinja_compile(a, snug_str(page), &o, &t, &err), SNUG_OK);
    assert_int_equal(jinja_render(t, read_json(a, "{\"t\":\"<&>\"}"), &env, &b, &err), SNUG_OK);
    assert_true(snug_eq_str(snug_buf_slice(&b), "<title>&lt;&amp;&gt;</title>-<&>"));
    s.base = "{% extends 'base' %}"; /* itself, without end */
    assert_int_equal(jinja_render(t, (snug_json){NULL}, &env, &b, &err), SNUG_ELIMIT);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_as_recorded),     cmocka_unit_test(test_limits_stop_it),
        cmocka_unit_test(test_nesting_is_bounded),       cmocka_unit_test(test_no_way_out),
        cmocka_unit_test(test_mistakes_name_their_line), cmocka_unit_test(test_settings),
        cmocka_unit_test(test_pages_inherit_and_escape)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
