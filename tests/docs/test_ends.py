"""The page of all ends shows what the code prints, leaves none out, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from ftgate_testing.ends import ENDS, PAGE, page

from pytest_ftgate.gates.statements import StatementKind, StepKind
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.results.run import Report

ROOT = Path(__file__).parents[2]
#: What a verdict states of variants without gates, in no screen of a gate.
UNGATED = {StatementKind.UNGATED, StatementKind.NOT_SENT}
#: The step of the line "see", and that of a skill beside more cases.
BESIDE = {StepKind.SHOW_REGRESSED}


def verdicts():
    for end in ENDS:
        made = end.made()
        yield from made.verdicts if isinstance(made, Report) else [made]


def test_the_page_is_what_the_code_prints():
    # After a change: PYTHONPATH=tests python -m ftgate_testing.ends
    assert PAGE.read_text("utf-8") == page()


def test_the_verdict_of_every_end_is_what_its_heading_says():
    made = [(end, end.made()) for end in ENDS]
    gates = [(end, one) for end, one in made if not isinstance(one, Report)]

    assert [(end.reason, str(one.outcome)) for end, one in gates] == [
        (end.reason, end.outcome) for end, _ in gates
    ]


def test_every_test_of_an_end_exists():
    assert [name for end in ENDS for name in end.tests if not is_test(name)] == []


def is_test(node: str) -> bool:
    path, _, name = node.partition("::")
    return bool(re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE))


def test_every_check_that_can_fail_has_an_end():
    failed = {str(v.check.kind) for v in verdicts() if v.check and v.outcome is Outcome.FAILED}

    assert failed == {str(kind) for kind in CheckKind}


def test_every_statement_and_every_step_has_an_end():
    assert {*StatementKind} - {verdict.statement.kind for verdict in verdicts()} == UNGATED
    assert {*StepKind} - {step.kind for one in verdicts() for step in one.next} <= BESIDE | {
        # Made from the whole run; the end shows it.
        StepKind.SHIP_OTHER
    }
