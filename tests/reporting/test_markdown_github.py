"""Workflow commands: at the gate's line, at most ten, and none that a reply could forge."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.reports import (
    HOSTILE,
    failed_test,
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    invalid,
    report,
)
from ftgate_testing.tables import every_row

from pytest_ftgate.plugin.verdicts import PASSED_XFAIL
from pytest_ftgate.reporting.markdown import workflow_commands


def test_a_failed_gate_is_marked_at_its_line():
    _, second, *_ = workflow_commands(failing_run())

    assert second.startswith(
        "::error file=suite.ftgate.yaml,line=7,title=accuracy[new] failed::accuracy down 38 points"
    )


def test_files_are_named_from_the_root_of_the_repository():
    assert next(workflow_commands(failing_run(), "llm/tests")).startswith(
        "::error file=llm/tests/suite."
    )
    assert next(workflow_commands(failing_run(), ".")).startswith("::error file=suite.ftgate.yaml,")


def test_ten_at_the_most_and_the_most_important_first():
    failed, passed = failing_run().verdicts[0], failing_run().verdicts[3]
    many = [passed, *(inconclusive_verdict(n) for n in range(1, 9)), *[failed] * 6]

    told = list(workflow_commands(report(*many, not_evaluated=(gate_not_evaluated(),))))

    assert ["failed" in one for one in told[:6]] == [True] * 6
    assert "not evaluated" in told[6]
    assert ["inconclusive" in one for one in told[7:10]] == [True] * 3
    assert told[10:] == ["… and 5 more"]


def test_a_failed_test_of_a_gate_that_passed_is_an_error_of_its_file():
    (told,) = workflow_commands(report(failing_run().verdicts[3], failed_tests=(failed_test(),)))

    assert told.startswith("::error file=test_it.py,line=1,title=test_it[current] failed test::")
    assert told.endswith(PASSED_XFAIL)


def test_an_inconclusive_gate_warns_where_it_does_not_block():
    assert next(workflow_commands(report(inconclusive_verdict(), lenient=True))).startswith(
        "::warning "
    )


@every_row("nasty", HOSTILE)
def test_foreign_words_stay_within_their_command(nasty):
    verdict = replace(
        failing_run().verdicts[0], statement=invalid(HOSTILE[nasty]), variant=HOSTILE[nasty][:60]
    )

    told = list(
        workflow_commands(report(verdict, not_evaluated=(gate_not_evaluated(HOSTILE[nasty]),)))
    )

    assert len(told) == 2
    for one in told:
        assert "\n" not in one
        assert "\r" not in one
        assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85"} & set(one)
        assert len(one) < 4_096
        assert len(one.split("::")[1].split(",")) == 3
