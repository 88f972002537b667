# SPDX-License-Identifier: Apache-2.0
"""Writes expected.json: what Python's jinja2 makes of every template here with every conversation.

    python tests/golden/jinja/make_expected.py        (needs jinja2; the version is written down)
"""
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE.parents[1] / "clients"))
import jinja2  # noqa: E402
from test_template import by_python, family_cases  # noqa: E402

cases = [dict(case, **by_python(case)) for case in family_cases()]
rows = [{"template": c["name"], "conversation": c["conversation"], **({"ok": c["ok"]} if "ok" in c else {"error": True})}
        for c in cases]
head = json.dumps({"made_by": f"jinja2 {jinja2.__version__}"})[:-1]
lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
(HERE / "expected.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")
print(f"{len(rows)} cases, {sum('error' in r for r in rows)} refusals")
