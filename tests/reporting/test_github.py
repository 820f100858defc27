"""Workflow commands: at the gate's line, at most ten, and none that a reply could forge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports import HOSTILE, judged, open_verdict, report, unjudged

from pytest_ftgate.reporting.github import commands


def test_a_failed_gate_is_marked_at_its_line():
    first, *_ = commands(judged())

    assert first.startswith(
        "::error file=suite.ftgate.yaml,line=7,title=accuracy[new] failed::accuracy 98 %25 → 60 %25"
    )


def test_files_are_named_from_the_root_of_the_repository():
    assert next(commands(judged(), "llm/tests")).startswith("::error file=llm/tests/suite.")
    assert next(commands(judged(), ".")).startswith("::error file=suite.ftgate.yaml,")


def test_ten_at_the_most_and_the_most_important_first():
    failed, passed = judged().verdicts[0], judged().verdicts[3]
    many = [passed, *(open_verdict(n) for n in range(1, 9)), *[failed] * 6]

    told = list(commands(report(*many, unjudged=(unjudged(),))))

    assert ["failed" in one for one in told[:6]] == [True] * 6
    assert "not judged" in told[6]
    assert ["inconclusive" in one for one in told[7:10]] == [True] * 3
    assert told[10:] == ["… and 5 more"]


def test_a_gate_that_cannot_tell_warns_where_it_does_not_block():
    assert next(commands(report(open_verdict(), lenient=True))).startswith("::warning ")


@pytest.mark.parametrize("nasty", HOSTILE)
def test_foreign_words_stay_within_their_command(nasty):
    verdict = replace(judged().verdicts[0], headline=HOSTILE[nasty], variant=HOSTILE[nasty][:60])

    told = list(commands(report(verdict, unjudged=(unjudged(HOSTILE[nasty]),))))

    assert len(told) == 2
    for one in told:
        assert "\n" not in one
        assert "\r" not in one
        assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85"} & set(one)
        assert len(one) < 4_096
        assert len(one.split("::")[1].split(",")) == 3
