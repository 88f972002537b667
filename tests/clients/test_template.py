# SPDX-License-Identifier: Apache-2.0
"""`snug template` against Python's jinja2 with the settings transformers uses: for every template both
give the same text, or both refuse it."""

import copy
import json
import random
from datetime import datetime
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

import template_cases
from harness import ROOT, snug

GOLDEN = ROOT / "tests" / "golden" / "jinja"
NOW = 1_790_000_000


class Generation(Extension):
    """{% generation %}: the body is what the model is to write."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    @staticmethod
    def _body(caller):
        return caller()


def raise_exception(message):
    raise jinja2.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(case):
    env = ImmutableSandboxedEnvironment(
        trim_blocks=case.get("trim_blocks", True), lstrip_blocks=case.get("lstrip_blocks", True),
        keep_trailing_newline=case.get("keep_trailing_newline", False), autoescape=case.get("autoescape", False),
        extensions=[jinja2.ext.loopcontrols, Generation], loader=jinja2.DictLoader(case.get("templates", {})))
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.fromtimestamp(NOW).strftime(f)
    return env


def by_python(case):
    try:
        return {"ok": environment(case).from_string(case["template"]).render(**copy.deepcopy(case.get("data", {})))}
    except Exception as e:  # whatever a template can make Python raise
        return {"error": f"{type(e).__name__}: {e}"}


def by_snug(cases):
    lines = "".join(json.dumps(c) + "\n" for c in cases)
    out = snug("template", "--now", str(NOW), "--batch", "-", input=lines).stdout.rstrip("\n").split("\n")
    assert len(out) == len(cases)
    return [json.loads(line) for line in out]


def differences(cases):
    wrong = []
    for case, ours in zip(cases, by_snug(cases)):
        theirs = by_python(case)
        if ours.get("ok") != theirs.get("ok"):
            wrong.append(f"{case['template']!r}\n  python: {theirs}\n  snug:   {ours}")
    return wrong


def check(cases):
    wrong = differences(cases)
    assert not wrong, f"{len(wrong)} of {len(cases)} differ:\n" + "\n".join(wrong[:40])


def small_templates():
    lines = [x for x in template_cases.CASES.split("\n") if x and not x.startswith("# ")]
    return lines + template_cases.LONG.split("\n---\n")


@pytest.mark.parametrize("options", [
    {}, {"trim_blocks": False, "lstrip_blocks": False}, {"keep_trailing_newline": True, "lstrip_blocks": False},
    {"trim_blocks": False}], ids=["chat", "no-trim", "keep-newline", "lstrip-only"])
def test_small_templates(options):
    check([dict(options, template=t, data=template_cases.DATA) for t in small_templates()])


def test_small_templates_escaped():
    """Under autoescape; tojson then writes for HTML, which is ours alone."""
    check([{"template": t, "data": template_cases.DATA, "autoescape": True} for t in small_templates() if "tojson" not in t])


def test_templates_of_templates():
    for autoescape in (False, True):
        check([{"template": t, "templates": template_cases.FAMILY, "data": template_cases.DATA, "autoescape": autoescape}
               for t in template_cases.FAMILY_CASES])
    for name in ("again", "ext_self"):
        got = by_snug([{"template": "{% include '" + name + "' %}", "templates": template_cases.FAMILY}])
        assert "error" in got[0]


# ---- the well-known families ----

def family_cases():
    """Every template of tests/golden/jinja with every conversation."""
    talks = json.loads((GOLDEN / "conversations.json").read_text(encoding="utf-8"))
    for path in sorted(GOLDEN.glob("*.jinja")):
        for talk in talks:
            data = dict({"bos_token": "<s>", "eos_token": "</s>", "date_string": "26 Jul 2026"}, **talk["data"])
            yield {"name": path.stem, "conversation": talk["name"], "template": path.read_text(encoding="utf-8"), "data": data}


def test_families():
    cases = list(family_cases())
    assert len(cases) == 10 * 14
    check(cases)
    check([dict(c, trim_blocks=False, lstrip_blocks=False) for c in cases])
    answers = by_snug(cases)
    assert sum("ok" in a for a in answers) > 100
    assert {a["error"] for a in answers if a.get("code") == "TemplateRaised"} >= {
        "turn 2 is out of order", "one call at a time, not 2", 'a tool call needs an id of 9 characters, got "short"'}


def test_families_as_recorded():
    """The recording that tests/jinja reads is what this jinja2 gives."""
    for case, row in zip(family_cases(), json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))["cases"], strict=True):
        assert (row["template"], row["conversation"]) == (case["name"], case["conversation"])
        assert by_python(case).get("ok") == row.get("ok")


# ---- a model's folder and a repository ----

def make_model(folder, template):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": {"content": "</s>", "special": True}, "chat_template": template}))
    return folder


def test_messages_of_a_folder_and_a_repository(server, tmp_path):
    template = (GOLDEN / "qwen-tools.jinja").read_text()
    talk = next(c for c in family_cases() if c["name"] == "qwen-tools" and c["conversation"] == "tool-round")
    (tmp_path / "m.json").write_text(json.dumps(talk["data"]["messages"]))
    (tmp_path / "t.json").write_text(json.dumps(talk["data"]["tools"]))
    folder = make_model(tmp_path / "model", template)
    words = ["--messages", str(tmp_path / "m.json"), "--tools", str(tmp_path / "t.json"), "--add-generation-prompt"]
    want = by_python(talk)["ok"]
    assert snug("template", str(folder), *words).stdout == want
    env = {"HF_ENDPOINT": server.url, "HF_TOKEN": server.ada}
    snug("upload", "ada/talker", str(folder), "--create", "--private", env=env)
    assert snug("template", "ada/talker", *words, env=env).stdout == want
    assert snug("template", "ada/talker", *words, "--json", env=env).stdout == json.dumps({"text": want}, ensure_ascii=False, separators=(",", ":")) + "\n"


# ---- random expressions ----

class Maker:
    """Expressions of any values with any operators, filters, tests and methods. Every literal holds a name, since Python
    sometimes folds constants into something else than what it computes at run time."""

    NAMES = ["s", "e", "u", "i", "neg", "z", "f", "t", "fa", "n", "l", "le", "ls", "d", "de", "users", "missing", "nest"]
    LITERALS = ["zero", "one", "two", "minus", "half", "float1", "a", "ab", "empty", "spaced", "digit", "accent", "t", "fa",
                "n", "le", "[one, 2, 3]", "[a, 'b']", "(one, 2)", "de", "{'a': one}", "{'b': [one], 'a': 2}"]
    VALUES = {"zero": 0, "one": 1, "two": 2, "minus": -1, "half": 0.5, "float1": 1.0, "a": "a", "ab": "ab", "empty": "",
              "spaced": " x ", "digit": "1", "accent": "é"}
    BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
    FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "first", "last", "list", "string", "int", "float",
               "abs", "round", "tojson", "sort", "unique|list", "reverse|list", "join", "join(',')", "sum", "min", "max",
               "default(1)", "default('x', true)", "map('string')|list", "map('upper')|join(' ')", "select|list", "reject|list",
               "select('odd')|list", "select('string')|list", "reject('none')|list", "items|list", "dictsort", "batch(2)|list",
               "slice(2)|list", "indent(2)", "replace('a', 'b')", "center(7)", "wordcount", "e", "truncate(4)", "urlencode",
               "map(attribute='a')|list", "selectattr('name')|list", "groupby('age')|list", "sort(reverse=true)",
               "round(1)", "int(5)", "float(1.5)", "tojson(indent=1)", "map('length')|list", "select('in', [1, 'a'])|list"]
    TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable", "sequence",
             "odd", "even", "true", "false", "lower", "upper", "in [1, 'a']", "eq 1", "lt 2", "divisibleby 2", "callable", "sameas none"]
    METHODS = ["upper()", "lower()", "strip()", "split()", "split('a')", "startswith('a')", "endswith('b')", "find('a')",
               "replace('a', 'zz')", "title()", "count('a')", "keys()|list", "values()|list", "items()|list", "get('a')",
               "get('zz', 3)", "index(1)", "count(1)", "join(['x', 'y'])", "isdigit()", "splitlines()", "partition('a')",
               "zfill(4)", "rjust(4, '.')", "removeprefix('a')", "swapcase()", "rsplit('a', 1)", "format(1, 2)"]
    TAILS = ["[0]", "[-1]", "[1:]", "[:2]", "[::-1]", ".a", "['a']", ".name", ".missing", "[0:2]", "[5]", "[-2:]", "['zz']"]
    FORMATS = ["'%s'", "'%5s|'", "'%r'", "'%d'", "'%.2f'", "'%s %s'"]

    def __init__(self, seed):
        self.r = random.Random(seed)

    def make(self, depth):
        r = self.r
        if depth == 0 or r.random() < 0.12:
            return r.choice(self.NAMES) if r.random() < 0.6 else r.choice(self.LITERALS)
        kind = r.randrange(14)
        if kind < 4:
            return f"({self.make(depth - 1)} {r.choice(self.BINARY)} {self.make(depth - 1)})"
        if kind < 7:
            return f"({self.make(depth - 1)})|{r.choice(self.FILTERS)}"
        if kind == 7:
            return f"(({self.make(depth - 1)}) is {r.choice(['', 'not '])}{r.choice(self.TESTS)})"
        if kind == 8:
            return f"({self.make(depth - 1)}).{r.choice(self.METHODS)}"
        if kind == 9:
            return f"({self.make(depth - 1)}){r.choice(self.TAILS)}"
        if kind == 10:
            return f"({self.make(depth - 1)} if {self.make(depth - 1)} else {self.make(depth - 1)})"
        if kind == 11:
            return r.choice(["(not {})", "(-({}))", "[{}, 1]", "({}, )", "{{'k': {}}}"]).format(self.make(depth - 1))
        if kind == 12:
            return f"({r.choice(self.FORMATS)} % ({self.make(depth - 1)}))"
        return f"({self.make(depth - 1)} {r.choice(['<', '==', '<='])} {self.make(depth - 1)} {r.choice(['<', '!=', '>'])} {self.make(depth - 1)})"


def printable(answer):
    """Addresses and the names Python gives functions are nobody's business."""
    return " at 0x" not in answer.get("ok", "") and "<function" not in answer.get("ok", "")


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("seed", range(4))
def test_random_expressions(seed):
    maker = Maker(seed)
    cases = [{"template": "{{ " + maker.make(1 + k % 4) + " }}", "data": dict(template_cases.DATA, **maker.VALUES)}
             for k in range(1500)]
    wrong, agreed = [], 0
    for case, ours in zip(cases, by_snug(cases)):
        theirs = by_python(case)
        if not printable(theirs) or ours.get("code") == "TemplateLimit":
            continue
        if ours.get("ok") != theirs.get("ok"):
            wrong.append(f"{case['template']}\n  python: {theirs}\n  snug:   {ours}")
        agreed += "ok" in theirs
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:40])
    assert agreed > 400, "most expressions fail: the comparison says little"
