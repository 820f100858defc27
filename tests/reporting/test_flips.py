"""Uses of tools in the report: a line each, few of them, and none that can act."""

from __future__ import annotations

import pytest

from pytest_ftgate.reporting.flips import tool_call_lines

USES = [f"look({number}) -> {number}" for number in range(5)]


def test_a_use_is_a_line_behind_a_bar():
    assert list(tool_call_lines(USES[:2], 0)) == [
        "      │ called    look(0) -> 0",
        "      │           look(1) -> 1",
    ]


def test_no_use_is_no_line():
    assert list(tool_call_lines([], 0)) == []


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_three_uses_are_shown_and_how_many_there_are_more(verbosity):
    *shown, more = tool_call_lines(USES, verbosity)

    assert [line.split()[-1] for line in shown] == ["0", "1", "2"]
    assert more == "      │           (2 more calls: -vv)"


def test_all_uses_are_shown_where_all_is_asked_for():
    assert len(list(tool_call_lines(USES, 2))) == 5


def test_a_long_use_is_cut_to_its_line_unless_all_is_asked_for():
    long = f"look({'word ' * 40}) -> 7"

    (line,) = tool_call_lines([long], 0)
    assert (len(line), line[-1]) == (80, "…")
    assert list(tool_call_lines([long], 2))[-1].endswith("-> 7")


@pytest.mark.parametrize("verbosity", [0, 2])
def test_what_a_tool_returned_cannot_act(verbosity):
    hostile = "look() -> \x1b[31m\n::error::boo\u202e"

    lines = list(tool_call_lines([hostile], verbosity))

    assert all(line.startswith("      │ ") for line in lines)
    assert not {"\x1b", "\u202e", "\n"} & set("".join(lines))
