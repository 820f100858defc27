"""Suites that are made of other tools' configurations run: every gate is evaluated."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from ftgate_testing.properties import examples
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate import evaluate
from pytest_ftgate.cli.main import main
from pytest_ftgate.suite.loader import load_suite

JUDGE = """\
import json


def grade(case):
    return json.dumps({"reason": "as the test says", "grade": "good"})
"""
#: Assertions of every kind that is carried over.
ASSERTIONS = (
    *({"type": kind, "value": "a.b"} for kind in ("equals", "contains", "icontains", "regex")),
    *({"type": f"not-{kind}", "value": "a.b"} for kind in ("equals", "contains", "icontains")),
    *({"type": f"{kind}-{of}", "value": ["a", "b c"]} for kind in ("contains", "icontains")
      for of in ("any", "all")),
    *({"type": kind, "value": ["a", "b c"]} for kind in ("not-contains-any", "not-icontains-any")),
    {"type": "not-regex", "value": r"\d+|x"},
    {"type": "starts-with", "value": "("},
    {"type": "equals", "value": {"a": [1, {"b": None}]}},
    {"type": "is-json"},
    {"type": "is-json", "value": {"type": "object", "required": ["a"]}},
    {"type": "contains-json", "value": {"type": "object"}},
    {"type": "word-count", "value": {"max": 5}},
    {"type": "javascript", "value": "output.length < 80 && !output.includes('x')"},
    {"type": "javascript", "value": "JSON.parse(output).a === 1"},
    {"type": "javascript", "value": "['a', 'b'].includes(JSON.parse(output).a)"},
    {"type": "python", "value": "len(output) > 2"},
    {"type": "python", "value": "import math\nreturn {'pass': True, 'score': math.pi}"},
    {"type": "llm-rubric", "value": "It is polite to {{ name }}"},
    {"type": "g-eval", "value": ["Polite", "Short"]},
    {"type": "factuality", "value": "Bonn"},
    {"type": "model-graded-closedqa", "value": "Short"},
    {"type": "contains", "value": "a", "weight": 2},
    {"type": "llm-rubric", "value": "Kind", "weight": 2},
    {"type": "assert-set", "threshold": 0.5, "assert": [{"type": "contains", "value": "a"},
                                                       {"type": "llm-rubric", "value": "Kind"}]},
    {"type": "latency", "threshold": 100},
)  # fmt: skip
REPLIES = ("a.b", '{"a": 1}', "(b c", "x 7", "")
TESTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(ASSERTIONS), max_size=3),
        st.sampled_from([None, 0.5]),
        st.sampled_from(REPLIES),
    ),
    min_size=1,
    max_size=6,
)


@examples(0.06)
@given(TESTS)
def test_every_gate_of_an_imported_suite_is_evaluated(tests):
    with TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        report = evaluated(folder, tests)
        cases = load_suite(folder / "a.ftgate.yaml", folder).cases

    assert [str(one) for one in report.not_evaluated] == []
    asserted = [any(one["type"] != "latency" for one in asserts) for asserts, *_ in tests]
    assert all(
        case.is_scorable or case.format
        for case, is_asserted in zip(cases, asserted, strict=True)
        if is_asserted
    )


def read_rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def judges_of(score):
    """Yield the judges of a score, which may be one of several."""
    if isinstance(score, list):
        yield from (one for part in score for one in judges_of(part))
    elif isinstance(score, dict):
        yield from [score["judge"]] if "judge" in score else judges_of([*score.values()])


def evaluated(folder, tests):
    """Return the record of the suite that is made of *tests*, with their replies and a judge."""
    written = [
        {"vars": {"name": f"n{n}"}, "assert": asserts, **({"threshold": least} if least else {})}
        for n, (asserts, least, _) in enumerate(tests)
    ]
    (folder / "a.json").write_text(json.dumps({"tests": written}), "utf-8")
    assert main(["import", "a.json", "--variant", "{provider: recorded, replies: r.jsonl}"]) == 1
    cases = read_rows(folder / "a.cases.jsonl")
    texts = [{"id": c["id"], "text": text} for c, (*_, text) in zip(cases, tests, strict=True)]
    (folder / "r.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in texts), "utf-8")
    (folder / "judges.py").write_text(JUDGE, "utf-8")
    suite = yaml.safe_load((folder / "a.ftgate.yaml").read_text("utf-8"))
    for judge in judges_of(suite.get("reply", {}).get("score")):
        judge["model"] = {"provider": "python", "function": "judges:grade"}
    (folder / "a.ftgate.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    return evaluate("a.ftgate.yaml", rootdir=str(folder)).report
