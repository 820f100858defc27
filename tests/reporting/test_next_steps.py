from __future__ import annotations

import pytest

import pytest_ftgate
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.reporting.next_steps import step_command, step_line, step_text

#: A value for each key that any kind of step has.
VALUES = {
    "n": 20, "limit": 0.05, "certifiable": 0.2, "missing": 3, "needed": 40, "setting": "settle: ",
    "repeats": 3, "skill": "facts", "margin": 0.1, "low": -0.2, "high": 0.1, "replies": 7,
    "format_error": "fenced", "repeated": True, "node": "s.ftgate.yaml::forgetting[new]",
    "variant": "new", "remedy": "add rows", "requested": 5,
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
    ("keys", "expected"),
    [
        ("", "more cases are needed"),
        ("missing", "run again for the missing replies, or record them"),
        ("needed", "about 40 more cases would settle it"),
        (
            "needed setting repeats",
            "settle: 3 settles it, since replies vary; or about 40 more cases would settle it",
        ),
        (
            "missing n limit certifiable",
            (
                "run again for the missing replies, or record them; "
                "20 cases cannot rule out a drop of 5 points (they can show 20: max_drop: 0.2)"
            ),
        ),
    ],
)
def test_a_step_says_what_would_settle_the_gate(keys, expected):
    values = {key: VALUES[key] for key in keys.split()}

    assert step_text(NextStep(StepKind.SETTLE, values)) == expected


def test_an_unknown_format_error_leads_to_the_prompt():
    values = {"format_error": "house style", "replies": 2}

    assert step_text(NextStep(StepKind.FIX_FORMAT, values)).endswith(
        "(2 replies); change the prompt"
    )
