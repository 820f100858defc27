"""The section of a gate that blocks, and the closing one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports import HOSTILE, judged, open_verdict, report

from pytest_ftgate.gate.verdict import Flip
from pytest_ftgate.report.closing import summary, tinted
from pytest_ftgate.report.terminal import section

FAILED, FENCED, FORGOT, GOOD = judged().verdicts


def test_likely_texts_are_compared_word_by_word():
    flip = Flip(
        case="c1", where="c.jsonl:1", lost=True, shown="What is it?", before="12",
        expected="the total is 12 USD", now="the total is 13 USD",
    )  # fmt: skip

    lines = section(replace(FAILED, flips=(flip,))).split("\n")

    assert "      │ differs   the total is [-12-] {+13+} USD" in lines


@pytest.mark.parametrize("verdict", [FAILED, FENCED, FORGOT], ids=lambda one: one.gate)
@pytest.mark.parametrize("verbosity", [-1, 0, 1, 2])
def test_a_section_says_what_fell_how_surely_and_what_to_do(verdict, verbosity):
    text = section(verdict, verbosity)

    assert text.startswith(verdict.headline[:40])
    assert "lost" in text.split("\n\n")[0]
    assert "  next: " in text
    assert ("It fails if" in text) == (verbosity > 0)
    assert ("pytest-ftgate explain" in text) == (verbosity <= 0)


@pytest.mark.parametrize("nasty", HOSTILE)
def test_no_line_of_a_section_acts(nasty):
    text = section(judged([HOSTILE[nasty]]).verdicts[0], 2)

    assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85"} & set(text)
    assert not [one for one in text.split("\n") if one.lstrip().startswith("::")]


@pytest.mark.parametrize("verdict", [FAILED, FENCED, FORGOT], ids=lambda one: one.gate)
def test_lines_keep_within_80_columns_but_for_a_command(verdict):
    lines = section(verdict, 1).split("\n")

    assert [one for one in lines if len(one) > 80 and "pytest" not in one] == []


def test_the_verdict_is_the_first_line():
    assert summary(judged())[0].startswith("BLOCKED  3 failed of 4 gates · 300 replies, 100 asked")
    assert summary(report(GOOD))[0].startswith("PASSED  1 gate · ")


def test_in_quiet_a_gate_that_did_not_pass_is_a_line_and_others_are_none():
    _, heads, *rows = summary(judged(), -1)

    assert heads.split()[0] == "variant"
    assert ["FAILED" in row for row in rows] == [True] * 3


def test_a_gate_that_cannot_tell_says_what_would_settle_it():
    text = "\n".join(summary(report(open_verdict())))

    assert "cannot rule out a drop of 5 points" in text


def test_what_else_was_told_comes_after_the_verdict():
    assert summary(report(GOOD, told=("batch b goes on",)))[-1] == "batch b goes on"


def test_a_word_is_tinted_where_it_stands_alone():
    parts = dict(tinted("  new  accuracy  FAILED  UNFAILED"))

    assert parts == {
        "  new  accuracy  ": {}, "FAILED": {"red": True}, "  UNFAILED": {}
    }  # fmt: skip
