"""Regressed cases in the report: what differs is shown, and nothing of it can act."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ftgate_testing.reports import failing_run
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.figure import TaskScore
from pytest_ftgate.reporting.flips import example_texts, flip_lines, tool_call_lines, turn_text
from pytest_ftgate.reporting.text import cell_count

USES = [f"look({number}) -> {number}" for number in range(5)]


def test_three_uses_are_shown_behind_a_bar_and_all_where_all_is_asked_for():
    first, second = "      │ called    look(0) -> 0", "      │           look(1) -> 1"
    assert [*tool_call_lines([], 0)] == []
    assert [*tool_call_lines(USES[:2], 0)] == [first, second]
    for verbosity in (-1, 0, 1):
        assert [*tool_call_lines(USES, verbosity)] == [
            *(first, second, "      │           look(2) -> 2"),
            "      │           (2 more calls: -vv)",
        ]
    assert len([*tool_call_lines(USES, 2)]) == 5


def test_a_long_use_is_cut_to_its_line_unless_all_is_asked_for():
    long = f"look({'word ' * 40}) -> 7"

    (line,) = tool_call_lines([long], 0)
    assert (len(line), line[-1]) == (80, "…")
    assert list(tool_call_lines([long], 2))[-1].endswith("-> 7")


@every_row("verbosity", [0, 2])
def test_what_a_tool_returned_cannot_act(verbosity):
    hostile = "look() -> \x1b[31m\n::error::boo\u202e"

    lines = list(tool_call_lines([hostile], verbosity))

    assert all(line.startswith("      │ ") for line in lines)
    assert not {"\x1b", "\u202e", "\n"} & set("".join(lines))


def order(**fields):
    """Return an order of many fields as JSON, which differs from others in *fields* alone."""
    return json.dumps({f"field{number}": f"value {number}" for number in range(8)} | fields)


FAILED = failing_run().verdicts[0]
REGRESSED = next(flip for flip in FAILED.flips if flip.regressed)
ORDER = replace(
    REGRESSED, expected=order(urgent=False), before=order(urgent=False), now=order(urgent=True),
    wrong="",
)  # fmt: skip


def test_long_texts_that_begin_alike_are_shown_from_where_they_differ():
    texts = dict(example_texts(ORDER, "current", 56))

    assert texts["expected"] == texts["current"] == '…7", "urgent": false}'
    assert texts["now"] == '…7", "urgent": true}'


def test_what_the_score_knows_to_be_wrong_stands_in_place_of_a_long_reply_before():
    scored = replace(ORDER, wrong="urgent: expected false, got true")

    texts = dict(example_texts(scored, "current", 56))

    assert [*texts] == ["expected", "now", "wrong"]
    assert texts["wrong"] == "urgent: expected false, got true"


@every_row("now", ["refund", "refund " * 20])
def test_texts_that_begin_with_their_difference_are_shown_from_their_beginning(now):
    flip = replace(REGRESSED, expected="billing", before="billing " * 20, now=now, wrong="")

    texts = dict(example_texts(flip, "current", 56))

    assert not [text for text in texts.values() if text.startswith("…")]
    assert texts["now"] == now.strip()


def test_a_reply_that_ends_early_is_shown_at_its_end():
    texts = dict(example_texts(replace(ORDER, now=ORDER.now[:-10]), "current", 56))

    assert texts["now"] == '…"value 7", "urge'


def test_the_cases_of_a_failure_show_where_long_replies_differ():
    start = "\n".join(f"line {number}" for number in range(10))
    flip = replace(ORDER, expected="", before=f"{start}\ntotal 5", now=f"{start}\ntotal 6")

    lines = flip_lines(replace(FAILED, flips=(flip,)), 0, None, {})

    assert any("before" in line and line.endswith("total 5") for line in lines)
    assert any("now" in line and line.endswith("total 6") for line in lines)


def test_wide_characters_count_as_the_columns_that_they_take():
    flip = replace(ORDER, expected="", before="退" * 40 + "款", now="退" * 40 + "货")

    texts = dict(example_texts(flip, "current", 56))

    assert texts["now"].endswith("货")
    assert cell_count(texts["now"]) <= 56


def test_a_task_says_how_many_of_its_runs_were_right_before_and_now():
    flip = failing_run().verdicts[0].flips[0]
    whole = replace(flip, score_before=TaskScore(5.0, 5), score=TaskScore(2.0, 4))
    graded = replace(flip, score_before=TaskScore(2.5, 5), score=TaskScore(1.0, 3))

    assert turn_text(flip) == ""
    assert turn_text(whole) == "5 of 5 → 2 of 4"
    assert turn_text(graded) == "0.50 → 0.33"


def test_tasks_without_texts_take_a_line_each_and_more_are_told():
    verdict = failing_run().verdicts[0]
    flip = replace(
        verdict.flips[0], before="", now="", wrong="", called=(), expected="",
        score_before=TaskScore(5.0, 5), score=TaskScore(2.0, 5),
    )  # fmt: skip
    flips = tuple(replace(flip, case=f"task-{n}", shown=f"task-{n}") for n in range(7))

    lines = flip_lines(replace(verdict, flips=flips, regressed=7), 0, None, {})

    assert lines[1:3] == [
        "  went worse (5 of 7, -vv shows more)",
        "    task-0  5 of 5 → 2 of 5",
    ]
    assert len(lines) == 7


@pytest.mark.parametrize(("verbosity", "told"), [
    (0, "1 of 75, -vv shows more"), (1, "3 of 75, --ftgate-html=FILE shows all"),
    (2, "3 of 75, --ftgate-html=FILE shows all"),
])  # fmt: skip
def test_the_page_is_named_for_cases_that_the_verdict_does_not_carry(verbosity, told):
    verdict = failing_run().verdicts[0]
    flips = tuple(replace(verdict.flips[0], case=f"t{n}") for n in range(3))

    lines = flip_lines(replace(verdict, flips=flips, regressed=75), verbosity, None, {})

    assert lines[1] == f"  passed before, fails now ({told})"
