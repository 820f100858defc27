"""How a suite declares JavaScript: what is refused with its line, and what the exam holds of it."""

from __future__ import annotations

import os
from collections import ChainMap
from shutil import which

import pytest
from ftgate_testing.suite_files import Like, errors_of, load_text, suite_text, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.javascript import source_name
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.safe_mode import check_safe

needs_node = pytest.mark.skipif(which("node") is None, reason="there is no node on the PATH")
FILES = {
    "checks.mjs": "import {most} from './lib/most.mjs';\nimport fs from 'fs';\nexport default 1;",
    "lib/most.mjs": "const {n} = require('./n');\nexport * from '../checks.mjs';",
    "lib/n.js": "module.exports = {n: 7};",
    "lib/cases.jsonl": '{"input": "y", "expected": "b", "format": {"javascript": '
    '{"file": "own.cjs"}}}',
    "lib/own.cjs": "module.exports = () => true;",
    "../outside.mjs": "export default 1;",
}


def text(rule, key="score", **parts):
    return suite_text(
        "current: {provider: openai-compatible, model: m}",
        head=f"reply: {{{key}: {rule}}}\n",
        **parts,
    )


def load(folder, rule, files=FILES, **parts):
    root = folder / "root"
    root.mkdir(exist_ok=True)
    return load_text(root, text(rule, **parts), files)


WHAT = '{javascript: "output.length < 200"}, or {javascript: {file: checks.mjs}}'
#: A rule, and what is wrong with it.
REFUSED = [
    ("javascript", f"javascript needs code or a file: {WHAT}"),
    ("{javascript: 7}", f"javascript needs code or a file: {WHAT}"),
    ("{javascript: [a]}", f"javascript needs code or a file: {WHAT}"),
    ('{javascript: " "}', f"javascript is empty; write {WHAT}"),
    ("{javascript: {}}", f"javascript needs code or file, one of them: {WHAT}"),
    ("{javascript: {code: a, file: checks.mjs}}",
     f"javascript needs code or file, one of them: {WHAT}"),
    ("{javascript: {code: a, function: f}}",
     "javascript: function is one of a file; leave it out beside code"),
    ("{javascript: {code: a, treshold: 1}}",
     'javascript: unknown key "treshold"; did you mean "threshold"?'),
    ("{javascript: {code: a, seconds: 0}}", "javascript: seconds is 0, but must be greater than 0"),
    ("{javascript: {code: a, threshold: .nan}}", "javascript: threshold is nan, but must be a ..."),
    ("{javascript: {code: a, throws: right}}", 'javascript: throws is "right", but must be ...'),
    ("{javascript: {file: no.mjs}}", "javascript: file: no.mjs does not exist (looked in ./)"),
    ("{javascript: {file: lib}}", "javascript: file: lib is a folder; name a file in it"),
    ("{javascript: {file: ../outside.mjs}}", "javascript: file: ../outside.mjs lies outside ..."),
]  # fmt: skip


@needs_node
@every_row(("rule", "message"), REFUSED)
def test_what_is_no_javascript_is_refused_with_its_line_in_a_score_and_a_format(
    tmp_path, rule, message
):
    for key in ("score", "format"):
        with pytest.raises(SuiteError) as raised:
            load(tmp_path, rule, key=key)
        first = raised.value.errors[0]
        assert (first.line, first.message) == (1, Like(message))


def test_without_node_javascript_is_refused_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", ChainMap({"PATH": ""}, os.environ))
    (told,) = errors_of(load, tmp_path, "{javascript: 'true'}")

    assert told == Like(
        "1: javascript: it needs Node.js ... or later on the PATH: https://nodejs.org"
    )


@needs_node
def test_a_rule_is_the_code_with_the_options_that_are_written(tmp_path):
    suite = load(tmp_path, "{javascript: {code: 'output', threshold: 1, config: {a: [1]}}}")
    (case,) = suite.cases

    options = {"threshold": 1.0, "config": {"a": [1]}}
    assert case.score == Rule("javascript", "output", options)
    assert [case.score.is_graded, Rule("javascript", "1").is_graded] == [False, True]
    assert case.is_scorable


@needs_node
def test_a_case_is_scored_without_an_expected_answer(tmp_path):
    suite = load(tmp_path, "{javascript: 'true'}", cases="[{input: x}, {input: y, expected: [1]}]")

    assert [case.is_scorable for case in suite.cases] == [True, True]


@needs_node
def test_a_file_is_found_beside_the_file_that_names_it(tmp_path):
    suite = load(tmp_path, "{javascript: {file: checks.mjs}}", cases="lib/cases.jsonl")
    (case,) = suite.cases
    root = tmp_path.resolve() / "root"

    assert case.score.path == root / "checks.mjs"
    assert case.format[0].path == root / "lib/own.cjs"
    assert {root / name for name in FILES if name.endswith("js")} <= {
        *suite.files,
        root / "../outside.mjs",
    }


@needs_node
@every_row(
    ("changed", "is_other"),
    [("checks.mjs", True), ("lib/most.mjs", True), ("lib/n.js", True), ("lib/own.cjs", False)],
)
def test_a_case_has_another_exam_once_a_file_that_decides_it_changes(tmp_path, changed, is_other):
    rule = "{javascript: {file: checks.mjs}}"
    (before,) = load(tmp_path, rule).cases
    (same,) = load(tmp_path, rule).cases
    (after,) = load(tmp_path, rule, {**FILES, changed: FILES[changed] + "\n"}).cases

    assert same.digest == before.digest
    assert (after.digest != before.digest, after.score.key != before.score.key) == (is_other,) * 2


@needs_node
def test_safe_mode_runs_no_javascript_and_reads_no_further_file(tmp_path):
    write_files(tmp_path, {**FILES, "s.ftgate.yaml": text("{javascript: {file: checks.mjs}}")})
    suite = load_suite(tmp_path / "s.ftgate.yaml", tmp_path, safe=True)

    with pytest.raises(SuiteError) as raised:
        check_safe(suite, tmp_path)
    assert str(raised.value.errors[0]) == Like(
        "...: javascript: checks.mjs is code that would run here; --ftgate-safe does not allow it"
    )
    assert tmp_path.resolve() / "lib/most.mjs" not in suite.files


@every_row(
    ("rule", "name"),
    [
        (Rule("javascript", "output"), "output"),
        (Rule("javascript", "\n if (output)\n return 1"), "if (output)…"),
        (Rule("javascript", "x" * 61), "x" * 60 + "…"),
        (Rule("javascript", {}, {"file": "a/b.mjs"}), "a/b.mjs"),
        (Rule("javascript", {}, {"file": "b.mjs", "function": "f"}), "b.mjs:f"),
    ],
)
def test_messages_name_the_first_line_of_the_code_or_the_file(rule, name):
    assert source_name(rule) == name
