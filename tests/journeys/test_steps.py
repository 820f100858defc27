"""What the list of steps promises: one list in all media, and commands that go on."""

from __future__ import annotations

import html
import re
import shlex

import pytest
from ftgate_testing.reference_case import write
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.next_steps import step_command, step_text
from pytest_ftgate.results.run import read_run

RUN, SUITE = "run.json", "tickets.ftgate.yaml"
DROP = "{accuracy: {max_drop: 0.05}}"
FACES = (f"--ftgate-json={RUN}", "--ftgate-html=page.html", "--ftgate-markdown=comment.md")


@pytest.mark.parametrize("red", [True, False])
def test_the_ladder_is_silent_beside_a_gate_that_did_not_pass(desk, red):
    write(desk.path(""), 5_000, ("{max_drop: 0.05}", f"{{min: {0.99 if red else 0.5}}}"))

    result = desk.run(*FACES)

    assert result.ret == int(red)
    assert read_run(desk.path(RUN)).advice
    for face in (result.stdout.str(), desk.path("comment.md").read_text("utf-8")):
        assert bool(re.search("^ladder", face, re.IGNORECASE | re.MULTILINE)) is not red


# One list in all media --------------------------------------------------------------------------


@every_row("gates, worse", [(DROP, 30), (DROP, 5), ("{accuracy: {min: 0.85, max_drop: 0.05}}", 12)])
def test_the_terminal_the_comment_the_page_and_the_record_have_the_same_steps(desk, gates, worse):
    desk.suite(gates, current=2, worse=worse)

    result = desk.run(*FACES)

    (verdict,) = (v for v in read_run(desk.path(RUN)).verdicts if v.outcome is not Outcome.PASSED)
    steps = [(str(step.role), step_text(step), step_command(step)) for step in verdict.next]
    assert len(steps) > 2
    assert terminal_steps(result.outlines) == [
        (role, words(command or text)) for role, text, command in steps
    ]
    assert comment_steps(desk.path("comment.md").read_text("utf-8")) == [
        (role, f"{text}: {command}" if command else text) for role, text, command in steps
    ]
    assert page_steps(desk.path("page.html").read_text("utf-8")) == steps


def words(text):
    """Return the first word of a step, or its command: what is the same in each layout."""
    return text if text.startswith("pytest") else text.split()[0].strip(",:")


def terminal_steps(lines):
    """Return the role, and the command or the first word, of each step of the closing section."""
    closing = lines[next(n for n, line in enumerate(lines) if re.fullmatch("=+ ftgate =+", line)) :]
    found = []
    for line in closing:
        if step := re.match(r" {4}(fix|or|accept|see) +(.*)", line):
            found.append((step[1], words(step[2])))
        elif found and line.startswith(" " * 14 + "pytest"):
            found[-1] = (found[-1][0], line.strip())
    return found


def comment_steps(text):
    """Return the role and the text of each step in the fold of a comment."""
    found = re.findall(r"^- \*\*(fix|or|accept|see)\*\* (.*)$", text, re.MULTILINE)
    return [(role, html.unescape(re.sub("</?code>", "", said))) for role, said in found]


def page_steps(text):
    """Return the role, the text and the command of each step of a page."""
    details = text.partition("<details")[2]
    found = re.findall(r'<p class="next"><strong>(\w+)</strong>(.*?)</p>', details)
    parts = [
        (role, *re.match(r"(.*?)(?:: <code.*?>(.*)</code>)?$", said).groups(""))
        for role, said in found
    ]
    return [tuple(html.unescape(re.sub("<.*?>", "", part)) for part in step) for step in parts]


# Commands that go on ----------------------------------------------------------------------------


@every_row(
    "options",
    [
        ("--ftgate-safe", "--ftgate-cache=../own.sqlite"),
        ("--ftgate-replies=recorded", "--ftgate-cache=own.sqlite", "--ftgate-max-usd=2"),
    ],
)
def test_each_command_of_a_step_repeats_the_options_of_the_run(desk, options):
    desk.suite(DROP, current=0)
    desk.run("--ftgate-accept", *options)
    desk.replies("current", wrong=30)

    result = desk.run(*options)

    commands = [shlex.split(found) for found in printed_commands(result.outlines)]
    # Those of the two steps, and the one that runs a case by itself.
    assert len(commands) == 3
    assert all({*options} <= {*command} for command in commands)


def printed_commands(lines):
    """Return the commands that evaluate gates, wherever they were printed."""
    found = (re.search(r"  (pytest --ftgate .*)", line) for line in lines)
    return [match[1] for match in found if match]


def test_the_command_that_goes_on_after_an_error_repeats_the_options_of_the_run(desk):
    typed = "    then    pytest --ftgate --ftgate-replies=recorded"
    desk.asking_suite(gates=DROP)
    unanswered = desk.run("--ftgate-replies=recorded", "--ftgate-max-usd=2")
    desk.suite("{accuracy: {mx_drop: 0.05}}", current=2)
    unread = desk.run("--ftgate-replies=recorded")

    unanswered.stdout.fnmatch_lines([f"{typed} --ftgate-max-usd=2*"])
    unread.stdout.fnmatch_lines([f"{typed} {SUITE}"])
