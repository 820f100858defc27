"""An error in a suite ends with the address at which the reference explains its key."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.settings import DOCS_URL
from pytest_ftgate.suite.loader import key_address, load_suite

PAGE = f"{DOCS_URL}reference/suite-keys/"
SUITE = """\
prompt: {prompt}
cases:
  - {{input: a, expected: b{case}}}
reply:
  score: {score}
variants:
  now: {{provider: python, function: "answers:answer"{variant}}}
gates:
  accuracy: {{{gate}}}
{rest}
"""


def addresses(folder, **parts):
    defaults = {"prompt": "p.md", "case": "", "score": "exact", "variant": "", "rest": ""}
    (folder / "p.md").write_text("Hello")
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.format(**{**defaults, "gate": "min: 0.5", **parts}))
    with pytest.raises(SuiteError) as caught:
        load_suite(path, folder)
    return [error.address.removeprefix(PAGE) for error in caught.value.errors]


@every_row(
    ("parts", "anchor"),
    [
        ({"prompt": "none.md"}, "#suite-prompt"),
        ({"case": ", difficulty: 9"}, "#case-difficulty"),
        ({"case": ", tgs: [x]"}, "#suite-cases"),
        ({"score": "{numeric: {tolerance: wide}}"}, "#score-numeric"),
        ({"variant": ", temperature: hot"}, "#variant-temperature"),
        ({"rest": "economics: {calls_per_day: 0}"}, "#economics-calls_per_day"),
        ({"gate": "max_drop: 5"}, "#accuracy-max_drop"),
        ({"gate": "mn: 0.5"}, "#gates-accuracy"),
        ({"rest": "baseline: old"}, "#suite-baseline"),
        ({"rest": "bseline: old"}, ""),
    ],
)
def test_the_address_of_an_error_is_that_of_its_key(tmp_path, parts, anchor):
    assert addresses(tmp_path, **parts) == [anchor]


def test_a_missing_key_has_the_address_of_its_own_entry(tmp_path):
    path = tmp_path / "s.ftgate.yaml"
    path.write_text("variants: {now: {provider: anthropic}}\ngates: {accuracy: {min: 0.5}}\n")

    with pytest.raises(SuiteError) as caught:
        load_suite(path, tmp_path)

    assert f'"cases" is missing ({PAGE}#suite-cases)' in str(caught.value)


def test_an_error_in_another_file_has_no_address(tmp_path):
    rest = "cases: c.jsonl\nvariants: {now: {provider: python, function: 'a:b'}}\n"
    (tmp_path / "c.jsonl").write_text("{broken\n")
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(rest + "gates: {accuracy: {min: 0.5}}\n")

    with pytest.raises(SuiteError) as caught:
        load_suite(path, tmp_path)

    assert [(error.path, error.address) for error in caught.value.errors] == [("c.jsonl", "")]


def test_names_and_numbers_are_no_part_of_an_address():
    assert key_address("variants", "tuned", "base", "model") == f"{PAGE}#base-model"
    assert key_address("cases", 3, "expected") == f"{PAGE}#case-expected"
    assert key_address("reply", "format", 0, "length", "max") == f"{PAGE}#format-length"
    assert key_address("gates", "format", "thoughts", "max_rise") == f"{PAGE}#thoughts-max_rise"
    assert key_address("economics", "variants", "now", "cached") == f"{PAGE}#spend-cached"
