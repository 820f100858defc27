"""Whatever a model replies, no report is broken by it and nothing in it acts."""

from __future__ import annotations

import json
import unicodedata
from functools import cache

from ftgate_testing.properties import examples
from ftgate_testing.reports import HOSTILE, failing_run
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.reporting.markdown import markdown_report, workflow_commands
from pytest_ftgate.reporting.summary import detail_lines, summary_lines
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.reporting.writers import run_json

#: Parts of replies: what breaks out of some report, and any other text.
PARTS = st.one_of(
    st.sampled_from([text for name, text in HOSTILE.items() if name != "huge"]),
    st.sampled_from(["`", "```", "~~~", "\n", "\r", "\n\n", "<", "</", "|", "::", "##[", "##vso["]),
    st.text(max_size=20),
)
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


@cache
def plain_tags() -> list[int]:
    """Return how often each tag stands in a page without any of these replies."""
    return tags(html_page(failing_run()))


@every_row("nasty", HOSTILE)
def test_no_line_of_the_terminal_acts_on_a_text_that_breaks_out_of_some_report(nasty):
    assert_is_inert_in_a_terminal(failing_run([HOSTILE[nasty]]))


@given(REPLIES)
@examples(0.05)
def test_no_line_of_the_terminal_acts(replies):
    assert_is_inert_in_a_terminal(failing_run(replies))


def assert_is_inert_in_a_terminal(record):
    sections = [verdict_section(verdict, 2) for verdict in record.verdicts]
    lines = [*sections, *detail_lines(record, 2), *summary_lines(record)]

    assert acting("\n".join(lines)) == []
    assert all(line.startswith("::error ") for line in workflow_commands(record))
    assert not [line for line in workflow_commands(record) if "\n" in line or "\r" in line]


@given(REPLIES)
@examples(0.05)
def test_the_reports_hold_each_reply_and_it_acts_in_none(replies):
    record = failing_run(replies)

    (suite,) = json.loads(run_json(record))["suites"]
    said = {answer["text"] for case in suite["cases"] for answer in case["answers"].values()}

    assert {*replies} <= said
    assert acting(markdown_report(record)) == []
    assert tags(html_page(record)) == plain_tags()
