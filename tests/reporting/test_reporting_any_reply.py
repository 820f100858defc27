"""Whatever a model replies, no report is broken by it and nothing in it acts."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import pytest
from ftgate_testing.properties import examples
from ftgate_testing.reports import (
    HOSTILE,
    HOSTILE_NAMES,
    failing_run,
    gate_not_evaluated,
    invalid,
    outside_of_code,
    report,
)
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.recommend.advice import Advice
from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.reporting.markdown import markdown_report, workflow_commands
from pytest_ftgate.reporting.summary import detail_lines, summary_lines
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.reporting.writers import run_json
from pytest_ftgate.results.run import FileChange, FileChanges, Report

#: Parts of replies: what breaks out of some report, and any other text.
PARTS = st.one_of(
    st.sampled_from([text for name, text in HOSTILE.items() if name != "huge"]),
    st.sampled_from(["`", "```", "~~~", "\n", "\r", "\n\n", "<", "</", "|", "::", "##[", "##vso["]),
    st.text(max_size=20),
)
MARKS = ("<script", "<img", "<svg", "</details><", "| a |", "](", " @e", " #1", "<!--")
TAGS = ("<script", "<style", "<img", "<svg onload", "<iframe", "</details><")
REPLIES = st.lists(st.lists(PARTS, max_size=8).map("".join), min_size=1, max_size=4)


def acting(text: str) -> list[str]:
    """Return the lines of *text* that a terminal or a build server would obey."""
    return [
        line
        for line in text.split("\n")
        if any(unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") for sign in line)
        or line.lstrip().startswith("::")
        or "##[" in line
    ]


def tags(page: str) -> list[int]:
    return [page.count(tag) for tag in TAGS]


def said_in(place: str, said: str, advice: Advice) -> Report:
    """Return a run in which foreign words stand in one place of its reports."""
    verdict = failing_run().verdicts[0]
    case = replace(verdict.flips[0], shown=said, before=said, expected=said)
    notes = (text_note(said),)
    changed = FileChange(name=said, change="changed")
    return {
        "reply": lambda: failing_run([said]),
        "case": lambda: report(replace(verdict, flips=(case,))),
        "headline": lambda: report(replace(verdict, statement=invalid(said), notes=notes)),
        "variant": lambda: report(replace(verdict, variant=said[:60])),
        "advice": lambda: report(
            advice=(replace(advice, suite=f"s {said}", subject=said, notes=notes),)
        ),
        "error": lambda: report(not_evaluated=(gate_not_evaluated(said),)),
        "fact": lambda: report(verdict, facts={"model": said}),
        "told": lambda: report(verdict, notes=(said,)),
        "file": lambda: report(verdict, file_changes=FileChanges(branch="b", files=(changed,))),
    }[place]()


PLACES = ("reply", "case", "headline", "variant", "advice", "error", "fact", "told", "file")
#: Without what acts, but fenced or not, as a model fences its replies.
PLAIN = ("no", "```")
NASTY = {**HOSTILE_NAMES, "line": "p.md\n::error::owned"}


@pytest.mark.slow
@every_row("place", PLACES)
def test_foreign_words_are_text_wherever_they_stand(place, advice):
    whole = place == "reply"
    plain = [acting_parts(said_in(place, text, advice), whole=whole) for text in PLAIN]
    for nasty, said in NASTY.items():
        record = said_in(place, said, advice)

        if place != "variant":  # a name is one line
            assert_is_inert_in_a_terminal(record)
        assert_are_single_commands(workflow_commands(record))
        assert acting_parts(record, whole=whole) == plain[said.startswith("```")], nasty


def acting_parts(record: Report, *, whole: bool) -> tuple[object, ...]:
    """Return how often what acts stands in a comment, where it is no code, and in a page.

    Replies stand in code alone, so that the *whole* text around it is the same for each of them.
    """
    comment, page = markdown_report(record, 9_000_000), html_page(record)
    assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85"} & {*page, *comment}
    text = outside_of_code(comment)
    return text if whole else [*map(text.count, MARKS)], tags(page), acting(text)


@given(REPLIES)
@examples(0.05)
def test_no_line_of_the_terminal_acts(replies):
    record = failing_run(replies)

    assert_is_inert_in_a_terminal(record)
    assert_are_single_commands(workflow_commands(record))


def assert_is_inert_in_a_terminal(record: Report) -> None:
    sections = [verdict_section(verdict, 2) for verdict in record.verdicts]
    details = detail_lines(record, 2, full_ladder=True)

    assert acting("\n".join([*sections, *details, *summary_lines(record)])) == []


def assert_are_single_commands(commands: Iterable[str]) -> None:
    for command in commands:
        assert command.startswith("::error ")
        assert acting(command.removeprefix("::error ")) == []
        assert not {"\n", "\r"} & {*command}
        assert len(command) < 4_096
        assert len(command.split("::")[1].split(",")) == 3


@given(REPLIES)
@examples(0.05)
def test_the_reports_hold_each_reply_and_it_acts_in_none(replies):
    record = failing_run(replies)

    (suite,) = json.loads(run_json(record))["suites"]
    said = {answer["text"] for case in suite["cases"] for answer in case["answers"].values()}

    assert {*replies} <= said
    assert acting(markdown_report(record)) == []
    assert tags(html_page(record)) == tags(html_page(failing_run()))
