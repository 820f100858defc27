from __future__ import annotations

import pytest

import pytest_ftgate
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.reporting.next_steps import step_command, step_line, step_text

#: A value for each key that any kind of step has.
VALUES = {
    "cause": "remove scale",
    "suite": "s.ftgate.yaml", "where": "s.ftgate.yaml:6", "node": "s.ftgate.yaml::forgetting[new]",
    "n": 20, "missing": 3, "needed": 40, "cases": "case", "setting": "max_drop: 0.1", "repeats": 3,
    "passes": 0.92, "now": 0.75, "anchor": False, "variant": "new", "gates": 2, "for": "worse",
    "is_baseline": False, "claims": "adapter", "skill": "facts", "margin": 0.1, "low": -0.2,
    "high": 0.1, "replies": 7, "format_error": "fenced", "repeated": True, "remedy": "add rows",
    "requested": 5, "file": "new.jsonl", "label": "refund", "taken_for": "billing",
}  # fmt: skip


@pytest.mark.parametrize("kind", StepKind)
def test_every_kind_of_step_has_a_sentence(kind):
    assert step_text(NextStep(kind, VALUES))


def test_a_command_stands_after_its_sentence():
    step = NextStep(StepKind.SHOW_REGRESSED, {"node": VALUES["node"]})

    assert step_command(step) == f'pytest --ftgate -vv "{VALUES["node"]}"'
    assert step_line(step) == f"{step_text(step)}: {step_command(step)}"
    assert pytest_ftgate.step_line(step) == step_line(step)


@pytest.mark.parametrize(
    ("kind", "changed", "expected"),
    [
        (
            StepKind.SET_LIMIT,
            {},
            "set max_drop: 0.1 (these replies pass it), in s.ftgate.yaml:6",
        ),
        (
            StepKind.ADD_CASES,
            {},
            "add about 40 cases (settles it 9 times in 10, if they behave like these)",
        ),
        (
            StepKind.REPEAT_BASELINE,
            {"repeats": 10, "where": "s.ftgate.yaml"},
            (
                "add repeats: {baseline: 10} (requested once; an unchanged variant then passes in "
                "92 % of runs, now 75 %), in s.ftgate.yaml"
            ),
        ),
        (
            StepKind.SHIP_OTHER,
            {},
            (
                "ship new: it passes its 2 gates in this run (set gated: false for worse), in "
                "s.ftgate.yaml:6"
            ),
        ),
        (
            StepKind.SHIP_OTHER,
            {"is_baseline": True, "gates": 1, "where": ""},
            "keep new: it passes its gate (set gated: false for worse)",
        ),
    ],
)
def test_an_edit_says_what_it_brings_and_where(kind, changed, expected):
    assert step_text(NextStep(kind, VALUES | changed)) == expected


@pytest.mark.parametrize(
    ("kind", "changed", "expected"),
    [
        (StepKind.RUN_AGAIN, {}, "pytest --ftgate s.ftgate.yaml"),
        (
            StepKind.RUN_AGAIN,
            {"option": "--ftgate-max-usd 2"},
            "pytest --ftgate --ftgate-max-usd 2 s.ftgate.yaml",
        ),
        (
            StepKind.ACCEPT_RUN,
            {},
            "pytest --ftgate --ftgate-accept --ftgate-accept-failed s.ftgate.yaml",
        ),
        (
            StepKind.ACCEPT_RUN,
            {"anchor": True, "suite": "my s.ftgate.yaml"},
            'pytest --ftgate --ftgate-accept-anchor --ftgate-accept-failed "my s.ftgate.yaml"',
        ),
        (
            StepKind.REQUEST_BOTH_AGAIN,
            {},
            "pytest --ftgate --ftgate-replies=fresh s.ftgate.yaml",
        ),
    ],
)
def test_a_command_names_the_suite(kind, changed, expected):
    assert step_command(NextStep(kind, VALUES | changed)) == expected


def test_an_unknown_format_error_leads_to_the_prompt():
    values = {"format_error": "house style", "replies": 2}

    text = step_text(NextStep(StepKind.FIX_FORMAT, values))

    assert text == "change the prompt (the most common format error is “house style”: 2 replies)"
