"""A marked function may drive a conversation: each of its turns is a call like any other."""

from __future__ import annotations

import pytest

#: Remembers the order that was named first; *worse* forgets it after a turn.
TALKS = """\
from pathlib import Path

ASKED = Path(__file__).with_name("asked.txt")

def said(case):
    turns = list(case.messages) or [("user", case.input)]
    with ASKED.open("a") as stream:
        stream.write(f"{case.id} {len(turns)}\\n")
    return turns

def answer(case):
    return f"I have noted: {said(case)[0][1]}"

def worse(case):
    turns = said(case)
    return f"I have noted: {turns[-1 if int(case.id[1:]) < 30 else 0][1]}"
"""
BODY = """\
def test_it(case, ask):
    first = ask(f"My order is {case.id}")
    assert case.id in first.text
    again = ask("Which order was it?")
    assert case.id in again.text
"""


@pytest.fixture
def talking(desk):
    desk.asking_suite(TALKS, worse='{provider: python, function: "answers:worse"}')
    desk.marked(BODY)
    return desk


def run(desk, *args):
    return desk.run("test_marked.py", *args)


def test_a_variant_that_forgets_between_two_turns_fails_and_each_turn_is_asked_once(talking):
    result = run(talking)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "it: down 30 points * limit 5: current 100 % → worse 70 %",
            "    t000  Ticket 0: help",
            "      │ said      My order is t000",
            "      │ replied   I have noted: My order is t000",
            "      │ said      Which order was it?",
            "      │ replied   I have noted: Which order was it?",
            "      │ test_marked.py:8: in test_it",
        ]
    )
    assert len(talking.asked()) == 2 * 2 * talking.cases
    run(talking, "--ftgate-replies=recorded").assert_outcomes(passed=1, failed=1)
    assert len(talking.asked()) == 2 * 2 * talking.cases


def test_a_conversation_may_go_on_from_the_reply(talking):
    talking.marked(
        "def test_it(case, reply, ask):\n"
        "    assert case.input in reply.text\n"
        "    assert case.input in ask('What was it?').text\n",
        "min=0.9",
    )

    run(talking).assert_outcomes(passed=1, failed=1)

    assert sorted({one.split()[1] for one in talking.asked()}) == ["1", "3"]


def test_turns_of_all_cases_are_asked_together(desk):
    desk.asking_suite(
        "import asyncio\n"
        "flying = most = 0\n"
        "async def answer(case):\n"
        "    global flying, most\n"
        "    flying += 1\n"
        "    most = max(most, flying)\n"
        "    await asyncio.sleep(0.01)\n"
        "    flying -= 1\n"
        "    return str(most)\n"
    )
    desk.marked(
        "def test_it(ask):\n    ask('hello')\n    return int(ask('and?').text) > 1\n", "min=0.8"
    )

    run(desk).assert_outcomes(passed=1)


def test_a_turn_without_a_reply_is_missing_and_no_zero(desk):
    desk.asking_suite(
        "def answer(case):\n"
        "    if case.id == 't007' and len(case.messages) > 1: raise OSError('line is dead')\n"
        "    return 'yes'\n"
    )
    desk.marked(
        "def test_it(ask):\n    ask('hello')\n    assert ask('sure?').text == 'yes'\n", "min=0.8"
    )

    run(desk).assert_outcomes(passed=1)

    verdict = desk.verdicts()["test_it[current]"]
    assert (verdict["checks"][0]["n"], verdict["checks"][0]["missing"]) == (99, 1)
    assert any("line is dead" in note for note in verdict["notes"])


def test_what_has_one_reply_to_each_case_cannot_converse(desk):
    desk.suite(current=2)
    desk.marked(BODY)

    result = run(desk)

    result.assert_outcomes(errors=1)
    told = "current: provider recorded has one reply to each case, so it cannot converse"
    result.stdout.fnmatch_lines([told])


@pytest.mark.heavy
def test_a_function_that_says_something_else_each_time_is_told_so(talking):
    talking.marked(
        "def test_it(ask):\n    ask(f'number {next(numbers)}')\n\n"
        "import itertools\nnumbers = itertools.count()\n"
    )

    result = run(talking, "-k", "current")

    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(['current: the conversation about case "t000" (*) has not ended *'])
