# SPDX-License-Identifier: Apache-2.0
"""Small templates for test_template.py: one per line, grouped by what they show."""

DATA = {
    "s": "hello world", "e": "", "u": "Straße ÄÖ ﬁn Σας İ 日本語 😀", "nl": "one\n two\r\nthree\n\n four\n",
    "q": "it's \"q\" \\ \t\x07 \u00ad\u200b", "html": "<a href=\"x\">T&amp;'</a>",
    "i": 7, "neg": -3, "z": 0, "big": 9007199254740993, "f": 2.5, "tiny": 1e-7, "huge": 1e22, "wide": 18446744073709551615,
    "t": True, "fa": False, "n": None, "l": [3, 1, 2], "le": [], "ls": ["b", "A", "c", "a", "B"],
    "nest": [[1, [2, [3]]], {"a": [1, {"b": None}]}, "x'y"],
    "d": {"b": 2, "a": 1, "C": 3, "items": 9, "_p": 5, "nested": {"x": {"y": "deep"}}}, "de": {},
    "users": [{"name": "Ann", "age": 30, "tags": ["x", "y"], "admin": True}, {"name": "bob", "age": 25, "tags": []},
              {"name": "Cid", "age": 30, "tags": ["z"], "admin": False}],
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi <b> "},
                 {"role": "assistant", "content": "Hello\n", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "é": [1.0, None, True]}}}]},
                 {"role": "tool", "content": "{\"r\": 1}"}, {"role": "user", "content": [{"type": "text", "text": "bye"}, {"type": "image"}]}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True,
}

CASES = r"""
# printing
{{ 1 }} {{ -1 }} {{ 1.0 }} {{ 1.5e10 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789012345680.0 }} {{ 1e-5 }} {{ 0.0001 }} {{ -0.0 }}
{{ true }} {{ false }} {{ none }} {{ True }} {{ None }} {{ undefinedname }}|{{ n }}|{{ t }}
{{ s }} {{ e }} {{ u }} {{ l }} {{ d }} {{ nest }} {{ (1,) }} {{ () }} {{ (1, 2) }} {{ [] }} {{ {} }}
{{ [s, q, u] }} {{ [html] }} {{ ["a'b", 'a"b', "a'\"b"] }} {{ ["\n\t\\\x00\x7f\xa0\u2028\U0001F600"] }}
{{ f }} {{ tiny }} {{ huge }} {{ big }} {{ wide }} {{ [f, tiny, huge, 1e300, 0.1, 1/3] }}
{{ {1: 2, "a": none, 1.5: true, none: [], (1, 2): "t", true: 0} }}
{{ [undefinedname] }} {{ {"a": undefinedname} }} {{ (undefinedname,) }}
{{ 1, 2 }} {{ 1, }} {{ (1) }}
{{ range(3) }} {{ range(1, 10, 3) }} {{ range(5, 0, -2)|list }} {{ range(0) }}
{{ d.keys() }} {{ d.values() }} {{ d.items() }}
{{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5_0 }} {{ 0xFF_FF }} {{ 00 }} {{ 1e5 }} {{ 1E-3 }} {{ 1_0e1_0 }}
{{ "a" "b" 'c' }} {{ "x" 'y' ~ "z" }}
{{ "\x41\u00e9\n\\n\q\'\"" }} {{ '\101' }} {{ '\U0001F600' }}
# arithmetic
{{ 1 + 2 }} {{ 1 - 2 }} {{ 2 * 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7 % -3 }}
{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ (-2) ** 2 }}
{{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ 10 - 2 - 3 }} {{ 100 / 10 / 2 }} {{ 2 * 3 % 4 }} {{ 1 - -1 }} {{ - - 1 }} {{ +3 }} {{ -+-3 }}
{{ 1 + 1.0 }} {{ 1.5 + 1 }} {{ true + true }} {{ true * 3 }} {{ -true }} {{ +false }} {{ 3 - true }} {{ true / 2 }} {{ 1 // true }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 0 ** -1 }}
{{ 0 / -5 }} {{ 0 // -5 }} {{ 0 % -5 }} {{ 0.0 // -5 }} {{ -0.0 % 5 }}
{{ "a" + "b" }} {{ "ab" * 3 }} {{ 3 * "ab" }} {{ "ab" * 0 }} {{ "ab" * -1 }} {{ [1] + [2] }} {{ [1, 2] * 2 }} {{ (1,) + (2,) }} {{ 2 * (1,) }} {{ true * "x" }}
{{ "a" + 1 }}
{{ 1 + "a" }}
{{ [1] + (2,) }}
{{ none + 1 }}
{{ "a" - "b" }}
{{ "a" * "b" }}
{{ 1.5 * "a" }}
{{ undefinedname + 1 }}
{{ 1 + undefinedname }}
{{ -undefinedname }}
{{ -"a" }}
{{ {} + {} }}
{{ big / 3 }} {{ big / big }} {{ 1 / 3 }} {{ 2 / 3 }} {{ 9007199254740993 / 1 }} {{ 9223372036854775807 / 2 }}
{{ 9223372036854775807 + 1 }} {{ 18446744073709551615 - 1 }} {{ wide // 2 }} {{ wide % 10 }} {{ wide > big }} {{ -9223372036854775808 }}
{{ 1 ~ 2 }} {{ "a" ~ none ~ 1.5 ~ true ~ [1] ~ undefinedname }} {{ 2 * 3 ~ 4 }}
{{ 1 ~ 2 + 3 }}
{{ 1 + 2 ~ 3 }}
# comparison
{{ 1 == 1.0 }} {{ 1 == true }} {{ "1" == 1 }} {{ [1] == [1.0] }} {{ {"a": 1} == {"a": 1.0} }} {{ none == none }} {{ undefinedname == undefinedname2 }} {{ undefinedname == none }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 != 1 }} {{ 1 == 1 == true }} {{ 1 < 2 == true }} {{ "a" < "b" }} {{ "Z" < "a" }} {{ "é" > "z" }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 0) }}
{{ 1 < "a" }}
{{ none < 1 }}
{{ [1] < (2,) }}
{{ {} < {} }}
{{ undefinedname < 1 }}
{{ [1, "a"] < [2, 1] }} {{ [1, "a"] == [1, 1] }}
{{ [1, "a"] < [1, 1] }}
{{ 1 != 2 }} {{ "a" != "a" }} {{ not 1 == 2 }} {{ not not 1 }} {{ 1 in [1, 2] }} {{ 3 not in [1, 2] }} {{ "a" in "abc" }} {{ "" in "" }} {{ "a" in {"a": 1} }} {{ 1 in {"a": 1} }} {{ 1.0 in [1] }} {{ 1 in (1,) }}
{{ 1 in "abc" }}
{{ 1 in 5 }}
{{ 1 in none }}
{{ undefinedname in [1] }} {{ 1 in undefinedname }} {{ none in [none] }} {{ [] in [[]] }} {{ 5 in range(10) }} {{ 5 in range(0, 10, 2) }} {{ "x" in d.keys() }} {{ 2 in d.values() }} {{ ("a", 1) in d.items() }}
{{ [] in {} }}
{{ range(3) == range(0, 3, 1) }} {{ range(0) == range(5, 5) }} {{ d.keys() == d.keys() }} {{ 2**53 == 2.0**53 }} {{ 9007199254740993 == 9007199254740992.0 }} {{ big > 9007199254740992.0 }}
# logic
{{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or "x" }} {{ "" or [] }} {{ none or false }} {{ 1 or 1/0 }} {{ not "" }} {{ not undefinedname }} {{ undefinedname or "d" }} {{ 1 and undefinedname }}
{{ 1 if true else 2 }} {{ 1 if false else 2 }} {{ 1 if false }} {{ "a" if 0 else "b" if 0 else "c" }} {{ (1 if 0) is defined }} {{ 1 if 1 if 0 else 5 }}
{{ (1 if false).x }}
{{ not 1 in [1] }} {{ not (1 in [2]) }} {{ 1 if 2 in l else 3 }} {{ 1 and not 0 }} {{ 1 == 1 and 2 == 2 or 3 == 4 }}
# items, attributes, slices
{{ l[0] }} {{ l[-1] }} {{ l[5] }} {{ l["x"] }} {{ l.0 }} {{ d.a }} {{ d["a"] }} {{ d.missing }} {{ d["missing"] }} {{ d._p }} {{ d["_p"] }} {{ s[0] }} {{ s[-1] }} {{ u[3] }} {{ u[-1] }} {{ s[99] }} {{ l[true] }} {{ l[1.0] }}
{{ d.nested.x.y }} {{ d["nested"]["x"]["y"] }}
{{ d["items"] }} {{ d.get("a") }} {{ d.get("zz") }} {{ d.get("zz", 5) }} {{ d.nested.x.get("q") is none }}
{{ d.missing.x }}
{{ undefinedname.x }}
{{ undefinedname["x"] }}
{{ undefinedname[0] }}
{{ n.x }} {{ n["x"] }} {{ i.x }} {{ s.x }} {{ n[0] }} {{ i[0] }} {{ t.x }}
{{ n.x.y }}
{{ d[[]] }} {{ d[{}] }} {{ l[[]] }} {{ {1: 2}[1] }} {{ {1: 2}[true] }} {{ {1: 2}[1.0] }} {{ {"a": {"b": [10, 20]}}.a.b[1] }}
{{ {"keys": 1}["keys"] }} {{ d.__class__ }} {{ s.__class__ }} {{ s["__class__"] }} {{ l.__len__ }}
{{ "".__class__.__mro__ is defined }}
{{ l[1:] }} {{ l[:1] }} {{ l[:] }} {{ l[::-1] }} {{ l[::2] }} {{ l[-2:] }} {{ l[5:] }} {{ l[-99:99] }} {{ l[2:0:-1] }} {{ l[none:2] }} {{ s[1:4] }} {{ s[::-1] }} {{ u[::-1] }} {{ u[2:9:3] }} {{ u[-3:] }} {{ (1, 2, 3)[1:] }} {{ range(10)[2:8:2] }} {{ range(10)[::-3] }} {{ range(10)[-1] }} {{ l[::-2] }} {{ e[1:] }} {{ l[true:] }}
{{ l[::0] }}
{{ l["a":] }}
{{ d[1:] }}
{{ undefinedname[1:] }}
{{ n[1:] }}
{{ l[1, 2] }}
{{ l.append }}|{{ l.append is defined }} {{ d.update is defined }} {{ d.pop is defined }} {{ l.index is defined }} {{ d.get is callable }} {{ s.upper is callable }}
{{ l.append(1) }}
{{ l.extend([1]) }}
{{ l.insert(0, 1) }}
{{ l.pop() }}
{{ l.sort() }}
{{ l.reverse() }}
{{ l.clear() }}
{{ l.remove(1) }}
{{ d.update({"x": 1}) }}
{{ d.pop("a") }}
{{ d.setdefault("a", 1) }}
{{ d.popitem() }}
{{ d.clear() }}
{% set x = l.append(4) %}{{ l }}
{{ i.real }} {{ i.imag }} {{ f.real }} {{ f.imag }} {{ i.numerator }} {{ i.denominator }} {{ f.is_integer() }} {{ i.bit_length() }} {{ (2.0).is_integer() }}
# statements
{% if t %}yes{% endif %}{% if fa %}no{% else %}else{% endif %}{% if fa %}1{% elif t %}2{% else %}3{% endif %}{% if fa %}1{% elif fa %}2{% elif n %}3{% endif %}
{% if 1, 2 %}tuple{% endif %}{% if e %}x{% elif le %}y{% elif de %}z{% else %}none{% endif %}
{% for x in l %}{{ x }},{% endfor %}{% for x in le %}x{% else %}empty{% endfor %}{% for x in undefinedname %}x{% else %}undef{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}{% if not loop.last %},{% endif %}{% endfor %}{% for x in l if x > 9 %}a{% else %}none{% endfor %}
{% for x in l %}{{ loop.index }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.length }} {{ loop.depth }} {{ loop.depth0 }} {{ loop.previtem }} {{ loop.nextitem }} {{ loop.cycle("a", "b") }} {{ loop.changed(x > 1) }};{% endfor %}
{% for x in l|select %}{{ loop.length }}{{ loop.revindex }}{{ loop.last }}{{ x }};{% endfor %}{% for x in l if x != 1 %}{{ loop.length }}/{{ loop.index }}/{{ loop.nextitem }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for k, v in d|items %}{{ k }}{{ v }}{% endfor %}{% for k, v in d|dictsort %}{{ k }}{{ v }};{% endfor %}
{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }};{% endfor %}{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for a, b in [1] %}{{ a }}{% endfor %}
{% for a, b in ["xy", "zw"] %}{{ a }}-{{ b }};{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for x in "añ😀" %}{{ x }}|{{ loop.nextitem }}{% endfor %}{% for x in range(3) %}{{ x }}{% endfor %}{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2, 3 %}{{ x }}{% endfor %}
{% for x in l %}{% for y in ls %}{% if loop.index > 2 %}{% break %}{% endif %}{{ x }}{{ y }}{% endfor %};{% endfor %}{% for x in range(6) %}{% if x is odd %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% break %}{% else %}else{% endfor %}|{% for x in l %}{% continue %}{% else %}else{% endfor %}|{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{% else %}else{% endfor %}
{% for x in [[1, [2, [3]]]] recursive %}{{ loop.depth }}:{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}
{% for x in nest recursive %}{% if x is mapping %}M{% elif x is string %}{{ x }}{% elif x is iterable %}[{{ loop(x) }}]{% else %}{{ x }}@{{ loop.depth0 }}{% endif %}{% else %}-{% endfor %}
{% for x in l %}{{ loop(x) }}{% endfor %}
{% for x in l %}{% set y = x %}{% endfor %}[{{ y }}]{% set y = 1 %}{% for x in l %}{{ y }}{% set y = y + 1 %}{% endfor %}{{ y }}
{% set a = 1 %}{{ a }}{% set a, b = 2, 3 %}{{ a }}{{ b }}{% set (a, b) = [4, 5] %}{{ a }}{{ b }}{% set a = 1, 2 %}{{ a }}
{% set a, = [9] %}{{ a }}
{% set ns = namespace(x=0, y=[]) %}{% for v in l %}{% set ns.x = ns.x + v %}{% set ns.y = ns.y + [v] %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns }}{{ ns.missing }}
{% set ns = namespace({"a": 1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns.a, ns.b = ns.b, ns.a %}{{ ns.a }}{{ ns.b }}{{ ns._q }}{% set ns.c = 1 %}{{ ns.c }}
{% set d.x = 1 %}
{% set undefinedname.x = 1 %}
{% set s %}block {{ i }}{% endset %}[{{ s }}]{% set s | upper %}up {{ i }}{% endset %}[{{ s }}]{% set s | trim | length %}  abc {% endset %}{{ s + 1 }}
{% set x %}{% for a in l %}{{ a }}{% endfor %}{% endset %}{{ x }}{{ x is string }}{{ x|length }}
{% if t %}{% set q = "in" %}{% endif %}{{ q }}{% if fa %}{% set zz = 1 %}{% endif %}[{{ zz }}]{% if fa %}{% set s = 1 %}{% endif %}{{ s }}
{% if fa %}{% set s = 1 %}{% elif fa %}{% set s = 2 %}{% else %}{{ s }}{% set s = 3 %}{% endif %}{{ s }}
{{ s }}{% set s = 1 %}{{ s }}{% for x in [1] %}{{ s }}{% set s = 2 %}{{ s }}{% endfor %}{{ s }}
{% macro m() %}[{{ xx }}]{% endmacro %}{{ m() }}{% set xx = 1 %}{{ m() }}{% for xx in [5] %}{{ m() }}{% endfor %}
{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=5) }} {{ m(b=1, a=2) }} {{ m() }} {{ m(none) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4, y=5) }}{{ m() }}{{ m(*[1, 2], **{"k": 3}) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro m(a, b) %}{{ a is defined }}{{ b is defined }}{{ b }}{% endmacro %}{{ m(1) }}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m }}
{% macro m(a, b) %}{{ b.x }}{% endmacro %}{{ m(1) }}
{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro outer() %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ inner(1) }}{{ inner(2) }}{% endmacro %}{{ outer() }}{{ inner is defined }}
{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body {{ i }}{% endcall %}
{% macro m(l) %}{% for x in l %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(a, b) m(l) %}({{ a }}:{{ b }}){% endcall %}{% call(a, b=7) m(l) %}{{ a }}{{ b }}{% endcall %}
{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}
{% macro m(caller=none) %}{{ caller() if caller else "no" }}{% endmacro %}{{ m() }}{% call m() %}yes{% endcall %}
{% macro m(caller) %}{{ caller() }}{% endmacro %}
{% call range(3) %}x{% endcall %}
{% call "a".upper() %}x{% endcall %}
{% macro m() %}{% set q = 1 %}{{ q }}{{ s }}{% set s = 2 %}{{ s }}{% endmacro %}{{ m() }}{{ s }}{{ q }}
{% for x in [1, 2] %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}
{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace("a", "b") | indent(2) %}aa{{ nl }}{% endfilter %}{% filter trim %}  x  {% endfilter %}
{% filter length %}abc{% endfilter %}
{% with %}{% set w = 1 %}{{ w }}{% endwith %}{{ w }}{% with a=1, b=2 %}{{ a + b }}{% endwith %}{% with a=s, s=1 %}{{ a }}{{ s }}{% endwith %}{{ s }}{% with a=1, b=a %}[{{ b }}]{% endwith %}{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}
{% raw %}{{ not }} {% if %} {# c #}{% endraw %}|{%- raw -%}  x  {%- endraw -%} |{% raw %}{% endraw %}
{% generation %}gen {{ i }}{% endgeneration %}{% set gg = 1 %}{% generation %}{{ gg }}{% set gg = 2 %}{{ gg }}{% endgeneration %}{{ gg }}
{% autoescape true %}{{ html }}{{ html|safe }}{{ "<b>"|e }}{{ ["<"]|join(">") }}{{ "<" ~ "b"|safe }}{% endautoescape %}{{ html }}
{% autoescape t %}{{ html }}{% autoescape false %}{{ html }}{% endautoescape %}{{ html }}{% endautoescape %}{% autoescape true %}{% set x %}<i>{{ html }}</i>{% endset %}{{ x }}{% macro m(a) %}<u>{{ a }}</u>{% endmacro %}{{ m("<") }}{{ m(m("&")) }}{{ x|upper }}{{ x|string|length }}{{ x is escaped }}{% endautoescape %}{{ x is escaped }}
{% autoescape true %}{{ "<%s>"|safe % "<" }}{{ ("<{}>"|safe).format("<") }}{{ "a<b"|replace("<", "&") }}{{ ("<a>"|safe)|replace("a", "<") }}{{ ("<a>"|safe) + "<" }}{{ "<" + ("<a>"|safe) }}{{ ("<"|safe).join(["<", "b"]) }}{{ "<a>"|safe|trim }}{{ ("<a>"|safe)[0] }}{{ "<a>"|upper }}{{ "<"|forceescape }}{{ ("<"|safe)|forceescape }}{{ 1 }}{{ none }}{{ ["<"] }}{% endautoescape %}
{{ ("<a>"|safe) + "<" }}{{ "<" ~ (html|safe) }}{{ html|e ~ "<" }}{{ [("<"|safe)] }}{{ "<"|e|e }}{{ "<"|forceescape|forceescape }}{{ "a"|safe is escaped }}
{% block b %}block {{ s }}{% endblock %}{% block c scoped %}c{% endblock c %}{{ self.b() }}{% for x in l %}{% block loopb scoped %}{{ x }}{% endblock %}{% endfor %}{% set topvar = 1 %}{% block d %}{{ topvar }}{% endblock %}
{% for x in l %}{% block e %}[{{ x }}]{% endblock %}{% endfor %}
{% block b required %}  {% endblock %}
{% include "x" %}
{% print 1 %}{% print s, 2 %}
{% if x is defined and x %}a{% endif %}{% if not (fa or e) %}b{% endif %}{% if i > 5 and i < 10 %}c{% endif %}
{% set x = [1, 2, 3] %}{% set x = x + [4] %}{{ x }}{% set y = {"a": 1} %}{{ y.a }}{% set y = dict(y, b=2) %}{{ y }}
{% for m in messages %}{% if m.role == "user" %}{{ m.content }}{% elif m.role == "assistant" %}{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments | tojson }}{% endif %}{% endif %}{% endfor %}
{% for m in messages[1:] %}{{ loop.index0 }}{{ m["role"] }}{% if (m.role == "user") != (loop.index0 % 2 == 0) %}!{% endif %}{% endfor %}
{% for k in [1, 2, 3] if k != 3 %}{{ k }}{{ ',' if not loop.last }}{% endfor %}|{% for k in l if k > 9 %}{{ loop.last }}{% else %}none{% endfor %}
{% for k in [1, 2, 3, 4, 5] if k is odd and k < 5 %}{{ loop.index }}/{{ loop.length }}{{ loop.nextitem }}{{ loop.previtem }}{{ loop.revindex }}{{ loop.last }} {% endfor %}
{% for k, v in d.items() if k is lower %}{{ k }}={{ v }}{{ '' if loop.last else ';' }}{% endfor %}
{% for u in users if u.admin is defined recursive %}{{ u.name }}{{ loop.last }}{{ loop.nextitem.name }}{% endfor %}
# white space control
a  {%- if t -%}  b  {%- endif -%}  c
{{- s -}}   x {{ s -}}
 y {{- s }}
  {#- c -#}  x  {# d #}
   {% set x = 1 %}   {% set y = 2 %}
{{ "-" }}{{ -1 }}{{- 1 }}{{ 1 -}}   {{- " " -}} |
  {% if t %}  a {%- endif +%}  b  {%+ if t %} c {% endif %}
# tests
{{ x is defined }} {{ s is defined }} {{ d.zz is defined }} {{ d.a is defined }} {{ x is undefined }} {{ n is none }} {{ x is none }} {{ s is string }} {{ i is string }} {{ d is mapping }} {{ l is mapping }}
{{ l is iterable }} {{ s is iterable }} {{ i is iterable }} {{ d is iterable }} {{ x is iterable }} {{ n is iterable }} {{ range(3) is iterable }} {{ (l|map("abs")) is iterable }} {{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ i is sequence }} {{ x is sequence }} {{ (1,) is sequence }} {{ range(3) is sequence }} {{ (l|select) is sequence }} {{ d.keys() is sequence }}
{{ i is number }} {{ f is number }} {{ t is number }} {{ s is number }} {{ i is integer }} {{ t is integer }} {{ f is integer }} {{ f is float }} {{ i is float }} {{ t is boolean }} {{ i is boolean }} {{ t is true }} {{ i is true }} {{ fa is false }} {{ 1 is true }}
{{ 3 is odd }} {{ 4 is even }} {{ 3 is even }} {{ 2.0 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ "a" is lower }} {{ "aB" is lower }} {{ "A1" is upper }} {{ "1" is upper }} {{ u is upper }}
{{ "a" is odd }}
{{ 3 is divisibleby 0 }}
{{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is gt 2 }} {{ 1 is le 1 }} {{ 1 is ge 2 }} {{ 1 is greaterthan 0 }} {{ 1 is lessthan 0 }} {{ 1 is in [1] }} {{ 2 is in [1] }} {{ "a" is in "abc" }} {{ 1 is sameas 1 }} {{ n is sameas none }} {{ t is sameas true }}
{{ 1 is not none }} {{ x is not defined }} {{ s is not string }} {{ not s is string }} {{ 3 is not odd }} {{ s is string and i is number }} {{ (s is string) == true }} {{ "upper" is filter }} {{ "nofilter" is filter }} {{ "defined" is test }} {{ s is callable }} {{ range is callable }} {{ x is callable }} {{ "x"|e is escaped }}
{{ 1 is string is defined }}
{{ 1 is nosuch }}
{{ 1|nosuch }}
{% if fa %}{{ 1|nosuch }}{% endif %}ok
{% if t %}{{ 1|nosuch }}{% endif %}
{{ 1|nosuch if fa else 2 }}
{% for x in l %}{{ x|nosuch }}{% endfor %}
{{ 1 is nosuch if fa else "ok" }}
# filters: text
{{ s|upper }} {{ s|capitalize }} {{ s|title }} {{ "HELLO"|lower }} {{ "it's a-test (x)[y]{z}<w"|title }} {{ u|upper }} {{ u|lower }} {{ u|title }} {{ u|capitalize }} {{ i|upper }} {{ none|upper }} {{ x|upper }}|
{{ "  a b  "|trim }}| {{ "xxaxx"|trim("x") }}| {{ "\u00a0\u2003a\u3000"|trim }}| {{ 5|trim }}| {{ x|trim }}| {{ "a"|trim(none) }}
{{ s|replace("l", "L") }} {{ s|replace("l", "L", 2) }} {{ s|replace("", "-") }} {{ s|replace("", "-", 3) }} {{ s|replace("zz", "y") }} {{ 123|replace(2, 5) }} {{ s|replace("o", "") }} {{ e|replace("", "x") }} {{ u|replace("", ".") }}
{{ "abc"|center(11) }}| {{ "abcd"|center(11) }}| {{ "abc"|center(10) }}| {{ "abcd"|center(9) }}| {{ "é"|center(4) }}|
{{ nl|indent }}| {{ nl|indent(2, true) }}| {{ nl|indent(2, first=true, blank=true) }}| {{ nl|indent("> ") }}| {{ "a"|indent(0) }}| {{ ""|indent }}| {{ "a\n\nb"|indent(width=1) }}|
{{ 5|indent }}
{{ x|indent }}
{{ s|truncate(5) }} {{ s|truncate(5, true) }} {{ s|truncate(8, false, "..") }} {{ s|truncate(9) }} {{ s|truncate(5, true, "", 0) }} {{ "foo bar baz qux"|truncate(9) }} {{ "foo bar baz qux"|truncate(9, true) }} {{ "foo bar baz qux"|truncate(11) }} {{ "foo bar baz qux"|truncate(11, false, "...", 0) }} {{ u|truncate(6, true, "…", 0) }}
{{ s|truncate(2) }}
{{ s|wordcount }} {{ "a-b c_d  é1"|wordcount }} {{ e|wordcount }} {{ html|escape }} {{ html|e|upper }} {{ html|string }} {{ 5|string ~ "x" }} {{ html|forceescape }} {{ html|safe }}
{{ "%s-%d"|format("a", 5) }} {{ "%(a)s"|format(a=1) }} {{ "x"|format }} {{ "%s"|format(l) }}
{{ "%s %s"|format(1) }}
{{ "%s"|format(1, 2) }}
{{ "a b/c?d=é&"|urlencode }} {{ {"a b": "c/d", "e": 1}|urlencode }} {{ [("x", "y z")]|urlencode }} {{ 5|urlencode }}
{{ {"class": "a<b", "id": none, "x": 1, "y": undefinedname}|xmlattr }}| {{ {}|xmlattr }}| {{ {"a": 1}|xmlattr(false) }}
{{ 1|filesizeformat }} {{ 999|filesizeformat }} {{ 1000|filesizeformat }} {{ 1500000|filesizeformat }} {{ 1500000|filesizeformat(true) }} {{ 1024|filesizeformat(binary=true) }} {{ "300"|filesizeformat }} {{ 1e20|filesizeformat }} {{ 0|filesizeformat }}
# filters: lists
{{ l|first }} {{ l|last }} {{ le|first }} {{ le|last }} {{ s|first }} {{ s|last }} {{ d|first }} {{ range(5)|last }} {{ x|first }} {{ u|last }} {{ d|last }}
{{ 5|first }}
{{ (l|map("abs"))|last }}
{{ l|length }} {{ s|length }} {{ u|length }} {{ d|length }} {{ d|count }} {{ x|length }} {{ range(5)|length }} {{ d.items()|length }} {{ ""|length }}
{{ 5|length }}
{{ n|length }}
{{ (l|map("abs"))|length }}
{{ l|list }} {{ s|list }} {{ d|list }} {{ range(3)|list }} {{ x|list }} {{ d.items()|list }} {{ u|list }}
{{ 5|list }}
{{ l|reverse|list }} {{ s|reverse }} {{ u|reverse }} {{ range(4)|reverse|list }} {{ d|reverse|list }} {{ (l|select)|reverse }} {{ d.items()|reverse|list }} {{ x|reverse|list }} {{ (1, 2)|reverse|list }}
{{ 5|reverse }}
{{ l|join }} {{ l|join(", ") }} {{ ls|join("-") }} {{ users|join(", ", attribute="name") }} {{ [1, none, true, 1.5, [1]]|join("|") }} {{ x|join(",") }} {{ "abc"|join(",") }} {{ l|join(1) }} {{ d|join(",") }} {{ users|join(",", "age") }}
{{ l|sort }} {{ ls|sort }} {{ ls|sort(case_sensitive=true) }} {{ l|sort(reverse=true) }} {{ ls|sort(true) }} {{ users|sort(attribute="age")|map(attribute="name")|list }} {{ users|sort(attribute="age,name", reverse=true)|map(attribute="name")|list }} {{ users|sort(attribute="name")|map(attribute="name")|join }} {{ [(2, "a"), (1, "b"), (1, "a")]|sort }} {{ [[2], [1]]|sort(attribute=0) }} {{ "hello"|sort }} {{ [1, 1.0, true]|sort }} {{ [none, none]|sort }}
{{ [1, "a"]|sort }}
{{ [none, 1]|sort }}
{{ users|sort }}
{{ users|sort(attribute="zz") }}
{{ ls|unique|list }} {{ ls|unique(true)|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ users|unique(attribute="age")|map(attribute="name")|list }} {{ "abcAB"|unique|join }}
{{ [[]]|unique|list }}
{{ l|min }} {{ l|max }} {{ ls|min }} {{ ls|max }} {{ ls|max(case_sensitive=true) }} {{ users|min(attribute="age") }} {{ le|min }} {{ le|max is defined }} {{ "hello"|max }} {{ x|min }} {{ [1, 1.0]|min }} {{ [1.0, 1]|max }}
{{ [1, "a"]|min }}
{{ l|sum }} {{ users|sum(attribute="age") }} {{ l|sum(start=10) }} {{ [1.5, 2]|sum }} {{ [[1], [2]]|sum(start=[]) }} {{ le|sum }} {{ x|sum }} {{ l|sum(none, 5) }}
{{ ls|sum }}
{{ [none]|sum }}
{{ l|map("string")|list }} {{ ls|map("upper")|join }} {{ users|map(attribute="name")|list }} {{ users|map(attribute="admin", default="-")|list }} {{ users|map(attribute="tags.0", default=0)|list }} {{ ls|map("replace", "a", "X")|list }} {{ l|map("round", 1)|list }} {{ x|map("upper")|list }} {{ [[3, 1]]|map("sort")|list }} {{ [[1, 2]]|map(attribute=1)|list }} {{ [[1, 2]]|map("first")|list }} {{ users|map(attribute="zz")|list }} {{ [{"a": 1}]|map(attribute="a")|first }}
{{ l|map|list }}
{{ l|map("nosuch")|list }}
{{ [1]|map(attribute="a", foo=1)|list }}
{{ users|map(attribute="zz.y")|list }}
{{ l|map("nosuch") is defined }} {{ ["a"]|map("abs") is iterable }} {{ ([1, "a"]|map("abs"))|first }}
{{ l|select|list }} {{ l|select("odd")|list }} {{ l|reject("odd")|list }} {{ [0, 1, "", none]|select|list }} {{ [0, 1, "", none]|reject|list }} {{ l|select("greaterthan", 1)|list }} {{ l|select("in", [1, 2])|list }} {{ [1, none]|select("none")|list }} {{ l|select(">", 1)|list }} {{ x|select|list }} {{ l|reject("equalto", 2)|join(",") }}
{{ users|selectattr("admin")|map(attribute="name")|list }} {{ users|rejectattr("admin")|map(attribute="name")|list }} {{ users|selectattr("age", "equalto", 30)|map(attribute="name")|list }} {{ users|selectattr("admin", "defined")|list|length }} {{ users|rejectattr("age", "gt", 26)|map(attribute="name")|list }} {{ messages|selectattr("role", "equalto", "user")|list|length }} {{ (messages|rejectattr("role", "equalto", "system")|first).role }} {{ users|selectattr("tags.0", "defined")|list|length }} {{ messages|selectattr("role", "in", ["user", "tool"])|map(attribute="role")|list }}
{{ l|select("nosuch")|list }}
{{ users|selectattr|list }}
{{ [1, 2]|selectattr("x")|list }}
{{ [none]|selectattr("x.y")|list }}
{% set g = l|select %}{{ g|list }}{{ g|list }}{% set g = l|map("abs") %}{% for x in g %}{{ x }}{% break %}{% endfor %}{{ g|list }}{{ g|first }}|
{{ range(7)|batch(3)|list }} {{ range(7)|batch(3, "x")|list }} {{ le|batch(2)|list }} {{ range(3)|batch(0)|list }} {{ range(7)|slice(3)|list }} {{ range(7)|slice(3, "x")|list }} {{ range(2)|slice(3)|list }} {{ range(2)|slice(3, 0)|list }} {{ "abcde"|batch(2)|map("join")|list }}
{{ range(3)|slice(0)|list }}
{{ users|groupby("age")|map(attribute="grouper")|list }}{% for g in users|groupby("age") %}{{ g.grouper }}:{{ g.list|length }}{{ g[0] }}{% endfor %}{% for k, v in users|groupby("age") %}{{ k }}{{ v|map(attribute="name")|join(",") }};{% endfor %}{% for k, v in users|groupby("admin", default=false) %}{{ k }}{{ v|length }}{% endfor %}{{ ["a", "B", "A", "b"]|groupby("0")|list }} {{ [{"x": "a"}, {"x": "A"}]|groupby("x") }} {{ [{"x": "a"}, {"x": "A"}]|groupby("x", case_sensitive=true) }}
{{ d|dictsort(by="key") }}
{{ {"b": 1, "A": 2, "c": 0}|dictsort }} {{ {"b": 1, "A": 2, "c": 0}|dictsort(true) }} {{ {"b": 1, "A": 2, "c": 0}|dictsort(false, "value") }} {{ {"b": 1, "A": 2}|dictsort(reverse=true) }} {{ {}|dictsort }}
{{ {"b": 1}|dictsort(by="x") }}
{{ l|dictsort }}
{{ d|items|list }} {{ x|items|list }} {{ {}|items|list }}
{{ l|items|list }}
# filters: rest
{{ x|default }}|{{ x|default("a") }}|{{ x|d(5) }}|{{ e|default("a") }}|{{ e|default("a", true) }}|{{ n|default("a") }}|{{ n|default("a", true) }}|{{ 0|d(1, boolean=true) }}|{{ d.zz|default(x)|default("y") }}|{{ x|default(default_value="k") }}|{{ fa|d }}|{{ (1 if fa)|d("inline") }}
{{ x.y|default("a") }}
{{ -5|abs }} {{ (-5)|abs }} {{ neg|abs }} {{ (-2.5)|abs }} {{ true|abs }}
{{ "a"|abs }}
{{ "42"|int }} {{ "42.9"|int }} {{ " 42 "|int }} {{ "abc"|int }} {{ "abc"|int(7) }} {{ "0x1A"|int(0, 16) }} {{ "0b11"|int(base=2) }} {{ "0x1A"|int }} {{ "0x1A"|int(base=0) }} {{ 3.9|int }} {{ -3.9|int }} {{ none|int }} {{ true|int }} {{ [1]|int(3) }} {{ "1_000"|int }} {{ "1e3"|int }} {{ "inf"|int(5) }} {{ "-7"|int }} {{ "+7"|int }} {{ ""|int }} {{ "٣"|int(9) if false else "" }}
{{ x|int }}
{{ "1.5"|float }} {{ "abc"|float }} {{ "abc"|float(2) }} {{ 3|float }} {{ none|float }} {{ "1e3"|float }} {{ " 1.5 "|float }} {{ "inf"|float }} {{ "-nan"|float }} {{ "1_0.5"|float }} {{ ".5"|float }} {{ "5."|float }} {{ true|float }} {{ [1]|float(1.5) }} {{ "infinity"|float }}
{{ x|float }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.567|round(1, "floor") }} {{ 2.511|round(1, "ceil") }} {{ 42|round }} {{ 42.55|round(1, "floor") }} {{ 1234|round(-2) }} {{ 1250|round(-2) }} {{ 1350|round(-2) }} {{ 1234.5|round(-2) }} {{ 2.675|round(2) }} {{ 0.5|round }} {{ 1.5|round }} {{ -2.5|round }} {{ 5|round(2) }} {{ 5|round(0, "ceil") }} {{ 1e16|round(2) }} {{ 15.0|round(-1) }} {{ 25.0|round(-1) }} {{ 123.456|round(-3) }} {{ 2.5|round(precision=0) }} {{ true|round }} {{ 1.005|round(2) }}
{{ 2.5|round(method="x") }}
{{ "a"|round }}
{{ d|attr("a") }}|{{ d|attr("get") is callable }} {{ s|attr("upper") is callable }} {{ i|attr("real") }} {{ n|attr("x") }}|{% set ns = namespace(a=1) %}{{ ns|attr("a") }}
{{ x|attr("y") }}
{{ d|tojson }} {{ l|tojson }} {{ u|tojson }} {{ q|tojson }} {{ html|tojson }} {{ none|tojson }} {{ t|tojson }} {{ f|tojson }} {{ huge|tojson }} {{ (1, 2)|tojson }} {{ ""|tojson }} {{ nest|tojson }} {{ wide|tojson }} {{ {"k": undefinedname is defined}|tojson }}
{{ d|tojson(indent=2) }} {{ le|tojson(indent=2) }} {{ de|tojson(indent=2) }} {{ nest|tojson(indent=4) }} {{ d|tojson(indent=0) }} {{ l|tojson(indent="--") }} {{ l|tojson(indent=none) }} {{ nest|tojson(indent=1, separators=(",", ":")) }}
{{ u|tojson(ensure_ascii=true) }} {{ "\x7f\U0001F600"|tojson(ensure_ascii=true) }} {{ "\x7f"|tojson }} {{ d|tojson(separators=(",", ":")) }} {{ d|tojson(sort_keys=true) }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ {"b": {"d": 1, "c": 2}, "a": 1}|tojson(sort_keys=true, indent=2) }} {{ u|tojson(true) }} {{ 1e400|tojson }} {{ "\u2028</script>"|tojson }}
{{ undefinedname|tojson }}
{{ {"a": undefinedname}|tojson }}
{{ range(3)|tojson }}
{{ (l|map("abs"))|tojson }}
{{ {(1, 2): 3}|tojson }}
{{ {"a": 1, 2: 3}|tojson(sort_keys=true) }}
{{ namespace()|tojson }}
{{ 1|default(2, 3, 4) }}
{{ s|upper(1) }}
{{ s|replace("a") }}
{{ s|replace(old="l", new="L") }} {{ s|replace("l", new="1", count=1) }}
{{ s|replace("a", "b", foo=1) }}
# string methods
{{ "  x ".strip() }}| {{ "xxaxx".strip("x") }} {{ "xyaxy".lstrip("xy") }} {{ "axyx".rstrip("yx") }} {{ "  a".lstrip() }} {{ "a  ".rstrip() }}| {{ "a\n".rstrip("\n") }} {{ "ñañ".strip("ñ") }} {{ "".strip() }}| {{ "aa".strip("a") }}|
{{ "a,b,c".split(",") }} {{ "a,b,c".split(",", 1) }} {{ "a  b c ".split() }} {{ " a  b ".split(" ") }} {{ "a b  c".split(none, 1) }} {{ "".split() }} {{ "".split(",") }} {{ "abc".split("x") }} {{ "a--b".split("--") }} {{ "a,b".split(sep=",") }} {{ "a b c".split(maxsplit=1) }} {{ "a b c  ".split(none, 2) }} {{ "  a b".split(none, 0) }}
{{ "a".split("") }}
{{ "a,b,c".rsplit(",", 1) }} {{ "a b c".rsplit() }} {{ " a b  c ".rsplit(none, 1) }} {{ "abc".rsplit(",") }} {{ "a--b--c".rsplit("--", 1) }}
{{ "a</think>b".split("</think>")[-1].lstrip("\n") }} {{ "a</think>b".split("</think>")[0].rstrip("\n").split("<think>")[-1] }}
{{ s.startswith("he") }} {{ s.startswith("x") }} {{ s.startswith(("x", "he")) }} {{ s.endswith("ld") }} {{ s.endswith(("a",)) }} {{ s.startswith("w", 6) }} {{ s.endswith("o", 0, 5) }} {{ s.startswith("") }} {{ "".endswith("") }} {{ s.startswith("", 99) }}
{{ s.startswith(1) }}
{{ s.startswith(["h"]) }}
{{ s.replace("l", "L") }} {{ s.replace("l", "L", 1) }} {{ s.replace("", "-") }} {{ s.replace("l", "") }} {{ "aaa".replace("aa", "b") }} {{ "abc".replace("b", "b") }}
{{ s.replace("l", 1) }}
{{ s.upper() }} {{ s.title() }} {{ s.capitalize() }} {{ "ÀÉ".lower() }} {{ "Hello".swapcase() }} {{ "Straße".casefold() }} {{ "it's".title() }} {{ u.swapcase() }} {{ u.casefold() }} {{ u.title() }} {{ "ΑΣ Σ ΑΣΑ".lower() }} {{ "ŉ ǆ ﬃ".upper() }} {{ "ǆ".title() }} {{ "İ".lower()|length }}
{{ ",".join(["a", "b"]) }} {{ "".join([]) }} {{ "-".join("abc") }} {{ ", ".join(d) }} {{ ",".join(ls|map("upper")) }}
{{ ",".join([1]) }}
{{ s.find("o") }} {{ s.find("z") }} {{ s.find("o", 5) }} {{ s.rfind("o") }} {{ s.find("") }} {{ s.find("", 99) }} {{ s.index("w") }} {{ u.find("日") }} {{ u.rfind("語") }} {{ s.count("l") }} {{ s.count("") }} {{ "aaaa".count("aa") }} {{ s.count("l", 3, 5) }} {{ s.find("l", -3) }} {{ s.rfind("l", 0, 3) }} {{ s.rindex("l") }} {{ s.rfind("") }} {{ u.count("") }}
{{ s.index("z") }}
{{ "abc".removeprefix("a") }} {{ "abc".removeprefix("x") }} {{ "abc".removesuffix("c") }} {{ "abc".removesuffix("") }} {{ "a".removeprefix("abc") }}
{{ "12".isdigit() }} {{ "1a".isdigit() }} {{ "".isdigit() }} {{ "²".isdigit() }} {{ "²".isdecimal() }} {{ "½".isnumeric() }} {{ "ab".isalpha() }} {{ "a1".isalnum() }} {{ " \n".isspace() }} {{ "".isspace() }} {{ "AB".isupper() }} {{ "Ab".isupper() }} {{ "ab1".islower() }} {{ "Ab Cd".istitle() }} {{ "AB".istitle() }} {{ "é".isascii() }} {{ "".isascii() }} {{ "a\n".isprintable() }} {{ "a1".isidentifier() }} {{ "1a".isidentifier() }} {{ "三".isnumeric() }} {{ "".isprintable() }} {{ "ⅳ".islower() }}
{{ nl.splitlines() }} {{ nl.splitlines(true) }} {{ "a\x0bb\x0cc\x1cd\x85e\u2028f".splitlines() }} {{ "".splitlines() }} {{ "a\n".splitlines() }} {{ "\n".splitlines() }} {{ "a\r\nb".splitlines(keepends=true) }}
{{ "a=b=c".partition("=") }} {{ "abc".partition("=") }} {{ "a=b=c".rpartition("=") }} {{ "abc".rpartition("=") }}
{{ "abc".center(8, "*") }} {{ "abc".ljust(5) }}| {{ "abc".rjust(5, "0") }} {{ "42".zfill(5) }} {{ "-42".zfill(5) }} {{ "a\tb".expandtabs() }} {{ "a\tb\n\tc".expandtabs(4) }} {{ "é".rjust(3, "ñ") }} {{ "abc".center(2) }}
{{ "abc".center(8, "**") }}
{{ s.nosuch() }}
{{ s.upper(1) }}
{{ s.encode }}|{{ none.upper() }}
{{ (1).upper() }}
# % and format
{{ "%s %s" % (1, "a") }} {{ "%d" % 5 }} {{ "%5d|%-5d|%05d|%+d|% d" % (5, 5, 5, 5, 5) }} {{ "%s" % none }} {{ "%r" % "a'b" }} {{ "%x %X %o %#x %#o" % (255, 255, 8, 255, 8) }} {{ "%c%c" % ("a", 98) }} {{ "%%" % () }} {{ "%5s|%-5s|%.2s" % ("ab", "ab", "abc") }} {{ "%a" % "é" }} {{ "%i %u" % (3, 4) }} {{ "%.5d" % 42 }} {{ "%08.3f" % 3.14159 }} {{ "%+08d" % 42 }} {{ "%#010x" % 255 }}
{{ "%f %.2f %e %g %G %.3e %#.0f %g" % (1.5, 2.345, 12345.678, 0.00001, 1e20, 1.5, 2, 100000) }} {{ "%5.1f|%-8.2f|%08.2f" % (1.25, 1.5, -1.5) }} {{ "%d" % 3.9 }} {{ "%(a)s %(b)05d" % {"a": 1, "b": 2} }} {{ "%s" % [1] }} {{ "%s" % {"a": 1} }} {{ "abc" % {} }} {{ "abc" % [1] }} {{ "%*d|%.*f" % (5, 3, 2, 1.5) }} {{ "%s" % (undefinedname,) }} {{ "%f" % true }} {{ "%e" % 1e400 }} {{ "%5.1f%%" % 12.34 }}
{{ "%d" % "a" }}
{{ "%s" % (1, 2) }}
{{ "%s %s" % 1 }}
{{ "%z" % 1 }}
{{ "abc" % 1 }}
{{ "%(a)s" % 1 }}
{{ "%(a)s" % {"b": 1} }}
{{ "%" % 1 }}
{{ "%c" % "ab" }}
{{ "%x" % 1.5 }}
{{ "%d" % none }}
{{ "%s" % undefinedname }}
{{ "{} {}".format(1, "a") }} {{ "{0}{1}{0}".format("a", "b") }} {{ "{a} {b}".format(a=1, b=2) }} {{ "{{}} {}".format(1) }} {{ "{!r} {!s}".format("a", "b") }} {{ "{:>5}|{:<5}|{:^5}|{:*^5}".format("a", "b", "c", "d") }} {{ "{:5d}|{:<5d}|{:05d}|{:+d}|{: d}".format(1, 2, 3, 4, 5) }} {{ "{:.2f} {:8.3f} {:e} {:g} {:%}".format(1.234, 2.5, 12345.6, 0.1, 0.25) }} {{ "{:x} {:X} {:#x} {:b} {:o} {:#b} {:c}".format(255, 255, 255, 5, 8, 5, 65) }} {{ "{:,} {:_} {:,.2f} {:010,}".format(1234567, 1234567, 12345.678, 1234) }} {{ "{:.2} {:5}|".format("abc", "x") }} {{ "{0[a]} {0[b][0]}".format({"a": 1, "b": [2]}) }} {{ "{:{}}|{:>{w}}".format("a", 5, "b", w=3) }} {{ "{}".format(none) }} {{ "{} {}".format(true, [1]) }} {{ "{:d}".format(true) }} {{ "{:5}|{:<5}|".format(1, 2) }} {{ "{:5}|".format(1.5) }} {{ "{:.3}".format(1.5) }} {{ "{:.0f} {:.1f}".format(2.5, 0.25) }} {{ "{a.x}".format(a={"x": 1}) }} {{ "{:06.1f} {:+.1f} {:=+6d}".format(-1.55, 1.0, 5) }} {{ "{!a}".format("é") }} {{ "{:é^5}".format("x") }}
{{ "{}".format() }}
{{ "{a}".format(b=1) }}
{{ "{".format(1) }}
{{ "}".format(1) }}
{{ "{:d}".format("a") }}
{{ "{:s}".format(1) }}
{{ "{:5}".format([1]) }}
{{ "{:5}".format(none) }}
{{ "{0.__class__}|".format("a") }}
{{ "{0} {}".format(1, 2) }}
{{ "{:.2d}".format(1) }}
{{ "{a}{b}".format_map({"a": 1, "b": 2}) }}
# dict and list methods, globals
{{ d.keys()|list }} {{ d.values()|list }} {{ d.items()|list }} {{ d.copy() == d }} {{ l.index(1) }} {{ l.count(3) }} {{ l.copy() }} {{ (1, 2, 1).count(1) }} {{ (1, 2).index(2) }} {{ l.index(2, 1) }} {{ range(5).index(3) }} {{ range(5).count(9) }}
{{ d.get("a", default=1) is defined }}
{{ d.get() }}
{{ d.get([]) }}
{{ l.index(99) }}
{{ range(10)|list }} {{ range(2, 5)|list }} {{ range(0, 10, 3)|list }} {{ range(5, 0, -1)|list }} {{ range(true)|list }} {{ range(3).stop }}
{{ range() }}
{{ range(1.5) }}
{{ range("a") }}
{{ range(1, 2, 0) }}
{{ range(100001) }}
{{ range(10**12) }}
{{ range(100000)|length }}
{{ dict(a=1, b=2) }} {{ dict([("a", 1)]) }} {{ dict({"x": 1}, y=2) }} {{ dict() }} {{ dict(d.items()) == d }} {{ dict(["ab", "cd"]) }}
{{ dict([1]) }}
{{ dict(1, 2) }}
{% set c = cycler("a", "b") %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}{% set j = joiner(", ") %}{{ j() }}a{{ j() }}b{{ j() }}c{% set k = joiner() %}{{ k() }}{{ k() }}
{{ cycler() }}
{{ raise_exception("no way") }}
{% if fa %}{{ raise_exception("never") }}{% endif %}fine
{{ strftime_now("%Y-%m-%d") }} {{ strftime_now("%d %b %Y %H:%M:%S %A %j %%") }} {{ strftime_now("") }}|
{{ namespace(a=1).a }} {{ namespace() }}
{{ undefinedfunc() }}
{{ s() }}
{{ l[0]() }}
{{ d.get(*["a"]) }} {{ d.get(*["zz"], **{}) }} {{ dict(**{"a": 1}) }} {{ range(*[1, 4])|list }}
{{ dict(a=1, **{"a": 2}) }}
{{ d.get(**5) }}
{{ d.get(*5) }}
# syntax errors
{{ }}
{{ 1 + }}
{{ (1 }}
{{ [1 }}
{{ 1) }}
{{ {1} }}
{{ "abc }}
{% if %}{% endif %}
{% if 1 %}
{% endif %}
{% for x %}{% endfor %}
{% for x in %}{% endfor %}
{% for in l %}{% endfor %}
{% nosuchtag %}
{% set %}
{% set 1 = 2 %}
{% set x.y.z = 1 %}
{% set "a" = 1 %}
{% set true = 1 %}
{% macro %}{% endmacro %}
{% macro m %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(a, a) %}{% endmacro %}
{% call 1 %}{% endcall %}
{% endfor %}
{% if 1 %}{% endfor %}
{% else %}
{{ a b }}
{{ 1 2 }}
{{ a..b }}
{{ a. }}
{{ a[ }}
{{ a| }}
{{ a is }}
{{ f(a=1, 2) }}
{{ f(**a, *b) }}
{{ f(a=1, a=2) }}
{{ 012 }}
{{ 1__0 }}
{{ 0x }}
{{ $ }}
{{ a ? b }}
{{ a = 1 }}
{{ not }}
{{ 1 if }}
{{ "\x4" }}
{{ "\u12" }}
{# no end
{% raw %} no end
{% break %}
{% continue %}
{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{% for loop in l %}{% endfor %}
{% for x in l %}{% set loop = 1 %}{% endfor %}
{% block a %}{% endblock %}{% block a %}{% endblock %}
{% block a-b %}{% endblock %}
{% block a required %}x{% endblock %}
{% if 1 %}{% extends "x" %}{% endif %}{% for x in l %}{% extends "y" %}{% endfor %}
{% from "x" import _a %}
{% import "x" %}
{% do 1 %}
{{ {"a": 1, } }} {{ [1, ] }} {{ (1, ) }} {{ dict(a=1, ) }} {{ l[-1:] }}
{{ [,] }}
{{ {,} }}
{{ l[] }}
{{ l[:, 1] }}
{{ "a"|upper|lower }} {{ "a"|upper() }}
{{ ("a"|upper)() }}
{% set x = 5 -%}   {{ x }}
{%set x=1%}{{x}}{%if x==1%}a{%endif%}
{% if: 1 %}{% endif %}
{% for x in l: %}{{ x }}{% endfor: %}
{{ 1if 1else 2 }} {{ 1and 2 }} {{ l[0]if 1 }}
{{ {"a":{"b":{"c":1}}}.a.b.c }} {{ {}}} {{ "}}" }} {{ "{{" }} {{ '%}' }}
{% if "%}" == '%}' %}ok{% endif %}
{{ a.b is defined }}
{{ d.b is defined and d.zz is not defined }}
{{ 5 is divisibleby 5 and 1 }} {{ 5 is odd or fa }} {{ i is eq 7 }} {{ [] is eq [] }} {{ d is eq {} }}
{{ 1.real }} {{ 1.5.real }}
{{ 1.__class__ }}|
""".strip("\n")

# Several lines each: separated by a line of ---
LONG = r"""
  {% if t %}
    yes
  {% endif %}
end
---
a {%+ if t +%}
b {%+ endif +%}
c
---
{%- for x in l %}
{{ x }}
{%- endfor %}

after
---
   {% set x = 1 %}   {% set y = 2 %}
z {% set k = 3 %}
  y
---
<TAB>{% if t %}<TAB>tab
<TAB>{% endif %}
a
---
a
  {%- raw %}
  r {{ }}
  {% endraw +%}
b
---
a
  {% raw %}
  r {{ }}
  {% endraw %}
b
---
x {# c #}
  {# c #}
  {#- d -#}
  y {#+ e +#}
z
---
{% if t -%}

  x

{%- endif %}

y

---
  {{ s }}
  {%- if t %}
  {{ s }}
  {% endif -%}
  end
---
{{ s
}}
{{
 i }}{% set
 q = 1
%}{{ q }}
---
{% for m in messages %}
{% if loop.first and m['role'] != 'system' %}
{{ 'sys' }}
{% endif %}
{{ '<|im_start|>' + m['role'] + '\n' + (m['content'] if m['content'] is string else m['content']|tojson) + '<|im_end|>' + '\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\n' }}
{% endif %}
---
{%- macro render(x, depth=0) -%}
{%- if x is mapping -%}
{{ '{' }}{%- for k, v in x|dictsort %}{{ k }}:{{ render(v, depth + 1) }}{% if not loop.last %}, {% endif %}{% endfor %}{{ '}' }}
{%- elif x is string -%}
"{{ x }}"@{{ depth }}
{%- elif x is iterable -%}
[{% for v in x %}{{ render(v, depth + 1) }}{{ ', ' if not loop.last else '' }}{% endfor %}]
{%- else -%}
{{ x|tojson }}
{%- endif -%}
{%- endmacro -%}
{{ render(messages) }}
---
{%- set ns = namespace(found=false, last=-1, out="") -%}
{%- for m in messages[::-1] -%}
  {%- set index = (messages|length - 1) - loop.index0 -%}
  {%- if not ns.found and m.role == "user" and not (m.content is string and m.content.startswith("<tool")) -%}
    {%- set ns.found = true -%}
    {%- set ns.last = index -%}
  {%- endif -%}
  {%- set ns.out = ns.out ~ index ~ ":" ~ m.role ~ ";" -%}
{%- endfor -%}
{{ ns.last }} {{ ns.out }}
---
{% macro a(x) %}
A{{ x }}
{% endmacro %}
{% macro b(x) -%}
B{{ a(x) }}
{%- endmacro %}
{{ b(1) }}{{ a(2) }}
---
{{ "a\
b" }}
---
a{# comment #}b{#- c -#} d {#
 multi {{ x }} #}e
---
line one {% if t %}inline{% endif %} rest
{%  if t  %}<SP><SP>
spaces after tag<SP><SP>
{%  endif  %}<SP><SP>
---
{% set text %}
  body
{% endset %}
[{{ text }}]
{% filter upper %}
  fil {{ i }}
{% endfilter %}
.
---
{% for x in l -%}
  {{ x }}
{% else -%}
  none
{% endfor %}
---
{% for x in [1, 2, 3] %}
  {% set y = x * 2 %}
  {% if y > 2 %}
    {% set z = y %}
  {% endif %}
  {{ y }} {{ z }}
{% endfor %}
{{ z }}
---
{% for item in [{"n": 1, "c": [{"n": 2, "c": []}, {"n": 3, "c": [{"n": 4, "c": []}]}]}] recursive %}
{{ "  " * loop.depth0 }}- {{ item.n }} ({{ loop.index }}/{{ loop.length }}, {{ loop.depth }})
{% if item.c %}{{ loop(item.c) }}{% endif %}
{% endfor %}
---
{% for x in l %}{{ x }}{% set outer = loop %}{% for y in ls %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}
---
{%- for i in range(3) -%}
  {%- for j in range(3) -%}
    {%- if j == 1 %}{% continue %}{% endif -%}
    {%- if i == 2 %}{% break %}{% endif -%}
    {{ i }}{{ j }};
  {%- endfor -%}
{%- endfor -%}
---
{% macro field(name, value='', type='text') -%}
<input type="{{ type }}" name="{{ name }}" value="{{ value|e }}">
{%- endmacro -%}
{{ field('user') }}
{{ field('pw', '<&>', type='password') }}
---
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{{ loop.index0 }}={{ content }}{% endfor %}
""".strip("\n").replace("<TAB>", "\t").replace("<SP>", " ")

# (template, templates it may use)
FAMILY = {
    "base": "<{% block title %}base {{ s }}{% endblock %}|{% block body %}base body{% endblock %}|{% block tail %}tail{% endblock %}>{% set basevar = 1 %}",
    "mid": "{% extends 'base' %}{% block title %}mid+{{ super() }}{% endblock %}{% block body %}[{% block inner %}inner{% endblock %}]{% endblock %}",
    "macros": "{% macro hi(x, y=2) %}hi {{ x }} {{ y }} {{ s }}{% endmacro %}{% set const = 42 %}{% set _private = 1 %}text{% macro _p() %}{% endmacro %}",
    "part": "part({{ s }},{{ x }},{{ loopvar }}){% set leaked = 1 %}",
    "self": "{% block a %}A{% endblock %}{{ self.a() }}{{ self.a()|lower }}{{ self['a']() }}",
    "again": "{% include 'again' %}",
    "ext_self": "{% extends 'ext_self' %}",
    "ctx": "{{ i }}{{ q1 }}",
}
FAMILY_CASES = [
    "{% extends 'base' %}{% block title %}child{% endblock %} ignored {{ 1 / 0 }}",
    "{% extends 'base' %}{% block title %}{{ super() }}!{% endblock %}{% block body %}{{ self.title() }}{% endblock %}",
    "{% extends 'mid' %}{% block title %}top+{{ super() }}{% endblock %}{% block inner %}I{{ super() }}{% endblock %}",
    "{% extends 'mid' %}{% block body %}{{ super.super() }}{{ super() }}{% endblock %}",
    "before {% extends 'base' %} after",
    "{% extends 'base' %}{% set v = 5 %}{% block body %}{{ v }}{% endblock %}",
    "{% extends 'base' %}{% if t %}{% block tail %}{{ s }}{% endblock %}{% endif %}",
    "{% if t %}{% extends 'base' %}{% else %}{% extends 'mid' %}{% endif %}{% block tail %}x{% endblock %}",
    "{% extends 'base' %}{% extends 'mid' %}",
    "{% extends nosuch %}", "{% extends 'nosuch' %}", "{% extends 5 %}",
    "{% extends 'base' %}{% block body %}{% for x in l %}{% block item scoped %}{{ x }}{% endblock %}{% endfor %}{% endblock %}",
    "{% extends 'base' %}{% macro m() %}M{% endmacro %}{% block body %}{{ m() }}{% endblock %}",
    "{% extends 'base' %}{% from 'macros' import hi %}{% block body %}{{ hi(1) }}{% endblock %}",
    "{% block a %}{{ super() }}{% endblock %}",
    "{% block title %}x{% endblock %}{{ self.nosuch() }}",
    "{% include 'part' %}{{ leaked }}",
    "{% set x = 3 %}{% include 'part' %}{% for loopvar in l %}{% include 'part' %}{% endfor %}",
    "{% set x = 3 %}{% include 'part' without context %}",
    "{% include 'nosuch' %}", "{% include 'nosuch' ignore missing %}ok", "{% include ['nosuch', 'part'] %}", "{% include ['nosuch'] %}",
    "{% include ['nosuch', 'nosuch2'] ignore missing %}ok", "{% include nosuch %}",
    "{% set n1 = 'part' %}{% include n1 %}{% include 'pa' ~ 'rt' %}",
    "{% macro m(x) %}{% include 'part' %}{% endmacro %}{{ m(9) }}",
    "{% include 'self' %}",
    "{% include 'mid' %}",
    "{% import 'macros' as m %}{{ m.hi(1) }}|{{ m.const }}|{{ m._private }}|{{ m.nosuch }}|{{ m }}|{{ m is defined }}",
    "{% import 'macros' as m with context %}{{ m.hi(1) }}|{{ m.const }}",
    "{% from 'macros' import hi, const as c %}{{ hi(1, y=5) }}{{ c }}",
    "{% from 'macros' import hi with context %}{{ hi(1) }}",
    "{% from 'macros' import nosuch %}{{ nosuch is defined }}", "{% from 'macros' import nosuch %}{{ nosuch() }}",
    "{% from 'macros' import hi %}{% call hi(1) %}{% endcall %}",
    "{% for x in l %}{% import 'macros' as m %}{{ m.const }}{% endfor %}{{ m is defined }}",
    "{% from 'macros' import hi as h %}{% macro w() %}{{ h(0) }}{% endmacro %}{{ w() }}",
    "{% import 'nosuch' as m %}",
    "{% set q1 = 1 %}{% include 'ctx' %}{% with q1 = 2 %}{% include 'ctx' %}{% endwith %}{% for q1 in [7] %}{% include 'ctx' %}{% endfor %}",
    "{% set x %}{% include 'part' %}{% endset %}[{{ x }}]",
    "{% filter upper %}{% include 'part' %}{% endfilter %}",
    "{% block b required %}{% endblock %}",
    "{% for x in l %}{% include 'part' %}{% if x == 1 %}{% break %}{% endif %}{% endfor %}",
]
