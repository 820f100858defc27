"""What the list of steps promises: a fix first, one list in all media, commands that go on."""

from __future__ import annotations

import html
import re
import shlex

import pytest
from ftgate_testing.reference_case import write
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.statements import StepKind, StepRole
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.next_steps import step_command, step_text
from pytest_ftgate.results.run import read_run

RUN, SUITE = "run.json", "tickets.ftgate.yaml"
DROP = "{accuracy: {max_drop: 0.05}}"
FACES = (f"--ftgate-json={RUN}", "--ftgate-html=page.html", "--ftgate-markdown=comment.md")
#: A function whose replies are always the same, and wrong for a few cases.
SOME_WRONG = """\
def answer(case):
    return case.expected

def draft(case):
    return "other" if case.id < "t003" else case.expected
"""


def verdicts(desk, *args):
    """Judge the suites, and return the verdicts of the run record."""
    desk.run(*FACES, *args)
    return read_run(desk.path(RUN)).verdicts


def not_passed(desk, *args):
    """Return the only verdict that did not pass."""
    (verdict,) = (v for v in verdicts(desk, *args) if v.outcome is not Outcome.PASSED)
    return verdict


# Which steps there are --------------------------------------------------------------------------


@every_row(
    "gates, cases",
    [
        (DROP, {}),
        ("{accuracy: {min: 0.85}}", {}),
        ("{accuracy: {min: 0.85, max_drop: 0.05}}", {}),
        ("{accuracy: {max_drop: 0.05, evidence: point}}", {}),
        ("{accuracy: {metric: macro_f1, max_drop: 0.05}}", {}),
        ("{format: {max_drop: 0.05}}", {}),
        ("{accuracy: {min: 0.85, max_drop: none}}", {}),
        ("{accuracy: {min: 0.5, max_drop: none}}", {"must_pass": True}),
    ],
)
def test_a_failed_gate_has_a_fix_first_and_steps_in_the_order_of_their_roles(desk, gates, cases):
    desk.suite(gates, current=2)
    desk.replies("worse", wrong=30, said="none of these" if "format" in gates else None)
    names = ("current", "worse")
    desk.suite_of({name: f"{{provider: recorded, replies: {name}.jsonl}}" for name in names}, gates)
    rows = [
        {"id": f"t{n:03}", "input": f"Ticket {n}", "expected": desk.label(n)}
        | (cases if n == 20 else {})
        for n in range(desk.cases)
    ]
    desk.write_rows("tickets.cases.jsonl", rows)

    verdict = not_passed(desk)

    assert verdict.outcome is Outcome.FAILED
    roles = [step.role for step in verdict.next]
    assert roles[0] is StepRole.FIX
    assert roles == sorted(roles, key=[*StepRole].index)


def test_below_a_minimum_the_fix_names_the_cases_that_the_baseline_has_wrong_too(desk):
    desk.suite("{accuracy: {min: 0.85}}", current=40, same=40)
    path = desk.path(SUITE)
    path.write_text(
        path.read_text("utf-8").replace("{format: {choice: [billing, refund]}}", "{score: exact}")
    )

    (verdict,) = (v for v in verdicts(desk) if v.variant == "same")

    assert [flip.case for flip in verdict.flips][:2] == ["t000", "t001"]
    assert (verdict.next[0].kind, verdict.next[0].values["count"]) == (StepKind.FIX_CASES, 40)


@every_row(
    "gates, least, most",
    [
        (DROP, 0.0, 0.1),
        ("{accuracy: {min: 0.85}}", 0.7, 1.0),
        ("{format: {min: 0.85}}", 0.7, 1.0),
        ("{accuracy: {min: 0.85, max_drop: 0.1}}", 0.7, 0.2),
    ],
)
def test_no_limit_allows_more_than_twice_what_the_declared_one_does(desk, gates, least, most):
    proposed = set()
    # Few gates share a risk, as in most suites.
    for first in (4, 19):
        desk.suite(gates, current=2, **{f"v{n}": n for n in range(first, first + 15, 3)})

        for verdict in verdicts(desk):
            for step in verdict.next:
                setting = step.values.get("setting", "") if step.kind is StepKind.SET_LIMIT else ""
                limits = dict(one.split(": ") for one in setting.split(", ") if one)
                assert float(limits.get("min", 1)) >= least
                assert float(limits.get("max_drop", 0)) <= most
                proposed |= limits.keys()
    assert proposed or "max_drop" not in gates


def test_no_repeats_are_asked_of_functions_of_the_project(desk):
    desk.asking_suite(SOME_WRONG, gates=DROP, draft='{provider: python, function: "answers:draft"}')

    kinds = {step.kind for step in not_passed(desk).next}

    assert StepKind.ADD_CASES in kinds
    assert kinds.isdisjoint({StepKind.SETTLE, StepKind.REPEAT_BASELINE})


@pytest.mark.parametrize("red", [True, False])
def test_the_ladder_is_silent_beside_a_gate_that_did_not_pass(desk, red):
    write(desk.path(""), 5_000, ("{max_drop: 0.05}", f"{{min: {0.99 if red else 0.5}}}"))

    result = desk.run(*FACES)

    assert result.ret == int(red)
    assert read_run(desk.path(RUN)).advice
    for face in (result.stdout.str(), desk.path("comment.md").read_text("utf-8")):
        assert bool(re.search("^ladder", face, re.IGNORECASE | re.MULTILINE)) is not red


# One list in all media --------------------------------------------------------------------------


@every_row(
    "gates, worse",
    [(DROP, 30), (DROP, 5), ("{accuracy: {min: 0.85, max_drop: 0.05}}", 12)],
)
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
    found = re.findall(r"^- (fix|or|accept|see): (.*)$", text, re.MULTILINE)
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
        ("--ftgate-replies=recorded",),
        ("--ftgate-cache=own.sqlite",),
        ("--ftgate-max-usd=2",),
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
    desk.asking_suite(gates=DROP)

    result = desk.run("--ftgate-replies=recorded", "--ftgate-max-usd=2")

    command = next(line for line in result.outlines if line.startswith("    then"))
    assert {"--ftgate-replies=recorded", "--ftgate-max-usd=2"} <= {*command.split()}


def test_the_command_after_the_errors_of_a_suite_repeats_the_options_of_the_run(desk):
    desk.suite("{accuracy: {mx_drop: 0.05}}", current=2)

    result = desk.run("--ftgate-replies=recorded")

    result.stdout.fnmatch_lines([f"    then    pytest --ftgate --ftgate-replies=recorded {SUITE}"])


def test_a_step_that_requests_replies_again_replaces_the_mode_of_the_run(desk):
    desk.asking_suite(gates="{accuracy: {min: 0.5}, latency: {max_p95_ms: 5000}}")
    desk.run()

    latency = next(v for v in verdicts(desk, "--ftgate-replies=auto") if v.gate == "latency")

    (command,) = (step_command(step) for step in latency.next)
    assert "--ftgate-replies=fresh" in command
    assert "--ftgate-replies=auto" not in command
