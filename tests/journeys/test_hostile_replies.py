"""A model says what it likes; none of it may act on the terminal or on the build server.

`tests/hostile` has more replies, and all reports of them.
"""

from __future__ import annotations

import pytest

ESCAPES = "\x1b[2J\x1b]0;owned\x07 all cleared"
COMMANDS = "::error::owned\n::set-output name=x::y"
DIRECTIONS = "\u202egnillib\u202c \u2066x\u2069"
ACTING = ("\x1b", "\x07", "\u202e", "\u202c", "\u2066", "\u2069", "\u2028", "\x85", "##[")

RAISING = """\
def answer(case):
    raise RuntimeError("\\x1b[31mred\\n::error::owned")
"""


def acts(result):
    """Return the lines of a run's output that a terminal or a build server would obey."""
    lines = result.stdout.str().split("\n")
    return [
        line[:80]
        for line in lines
        if line.lstrip().startswith("::") or any(mark in line for mark in ACTING)
    ]


def test_github_obeys_only_the_annotations_of_the_run(desk, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    desk.suite(current=0, worse=0)
    desk.replies("worse", wrong=30, said=COMMANDS)

    result = desk.run("--color=no")

    lines = result.outlines
    marks = [n for n, line in enumerate(lines) if line.startswith("::stop-commands::")]
    token = lines[marks[0]].rpartition("::")[2]
    obeyed = [line for line in lines[lines.index(f"::{token}::") + 1 :] if line.startswith("::")]
    assert len(marks) == 1
    assert len(token) == 32
    assert marks[0] < next(n for n, line in enumerate(lines) if "FAILURES" in line)
    assert "= FAILURES =" not in "".join(lines[lines.index(f"::{token}::") :])
    assert [line.partition(" file=")[0] for line in obeyed] == ["::error"]
    assert "owned" not in "".join(line for line in obeyed if "accuracy" not in line)


def test_what_a_provider_said_with_its_error_does_not_act(desk):
    desk.asking_suite(RAISING)

    result = desk.run("--color=no")

    result.assert_outcomes(errors=1)
    assert acts(result) == []


def test_neither_a_case_nor_the_reason_for_its_score_acts(desk):
    desk.suite(current=0, worse=0)
    desk.edit("format: {choice: [billing, refund]}", "score: code")
    desk.replies("current", wrong=100, said="x = 1")
    desk.replies("worse", wrong=100, said="raise ValueError('\x1b[2J\\n::error::gone')")
    inputs = (ESCAPES, COMMANDS, DIRECTIONS)
    rows = [
        {"id": f"t{n:03}", "input": f"{inputs[n % 3]}{n}", "expected": "pass"} for n in range(100)
    ]
    desk.write_rows("tickets.cases.jsonl", rows)

    result = desk.run("--color=no", "-vv")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["      │ wrong     *", "*ValueError: ?x1b*"])
    assert acts(result) == []


#: Half of a character, as JSON escapes one; a model that is cut off may leave it.
HALF = "\ud83d"
BOTH = "{accuracy: {min: 0.5}, format: {min: 0.5}}"
SCORER = """\
import json

def broken(case, reply):
    return "" if reply.text == case.expected else "not " + json.loads('"' + chr(92) + 'ud83d"')
"""


@pytest.mark.parametrize("where", ["reply", "input", "id", "a scorer's words"])
def test_half_an_emoji_changes_no_verdict(desk, where):
    desk.suite(current=0, gates=BOTH)
    desk.replies("current", wrong=10, said=f"x {HALF}" if where == "reply" else None)
    for name in ("tickets.cases.jsonl", "current.jsonl"):
        text = desk.path(name).read_text()
        # The first ticket is one of those with a wrong reply.
        text = text.replace("Ticket 0:", "Ticket \\ud83d") if where == "input" else text
        desk.path(name).write_text(text.replace("t000", "t\\ud83d") if where == "id" else text)
    if where == "a scorer's words":
        desk.path("checks.py").write_text(SCORER)
        desk.edit("{choice: [billing, refund]}", '{python: "checks:broken"}')
    reports = ("--ftgate-json=r.json", "--ftgate-html=r.html", "--ftgate-markdown=r.md")

    result = desk.run(*reports)

    result.assert_outcomes(passed=2)
    told = desk.verdicts()
    right = {"accuracy": 0.9, "format": 0.9 if where in ("reply", "a scorer's words") else 1.0}
    assert {name: told[f"{name}[current]"]["checks"][0]["after"] for name in right} == right
    assert all(desk.path(name).read_text("utf-8") for name in ("r.json", "r.html", "r.md"))


def test_half_an_emoji_in_an_error_of_a_provider_is_reported(desk):
    desk.asking_suite("def answer(case):\n    raise RuntimeError('half \\ud83d')\n", gates=BOTH)

    result = desk.run("--ftgate-json=r.json")

    result.assert_outcomes(errors=2)
    assert "half" in desk.path("r.json").read_text("utf-8")
