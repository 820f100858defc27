"""Scorers, formats and skills of plugins, and plugins that are told of what happens."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row, heavy

from pytest_ftgate.results.run import read_run

CONFTEST = """\
from pathlib import Path

def close(case, reply, letters=1):
    return reply.text[:letters] == case.expected[:letters]

def short(case, reply, most=10):
    return len(reply.text) <= most

def pytest_ftgate_scorers():
    return {"close": close}

def pytest_ftgate_formats():
    return {"short": short}

def pytest_ftgate_skills():
    return {"places": Path(__file__).with_name("places.jsonl")}
"""
GATES = "{accuracy: {min: 0.5}}"


@pytest.fixture
def offering(desk):
    desk.path("conftest.py").write_text(CONFTEST)
    desk.path("places.jsonl").write_text('{"id": "p1", "input": "Where?", "expected": "here"}\n')
    desk.suite(current=20, gates=GATES)
    return desk


def reply(desk, written):
    """Write *written* in place of the suite's rules for replies."""
    suite = desk.path("tickets.ftgate.yaml")
    before, rules, after = suite.read_text().partition(
        "reply: {format: {choice: [billing, refund]}}"
    )
    assert rules
    suite.write_text(f"{before}{written}{after}")


def rate(desk, gate="accuracy"):
    return desk.verdicts()[f"{gate}[current]"]["checks"][0]["after"]


@every_row(
    "score, expected",
    [
        ("close", 0.8),
        ("{close: {letters: 1}}", 0.8),
        ("[exact, close]", 0.8),
        ("[{exact: {}, weight: 3}, {close: {letters: 0}, weight: 1}]", 0.85),
    ],
)
def test_a_scorer_may_be_named_alone_with_options_and_in_a_list(offering, score, expected):
    offering.suite(current=20, gates=GATES)
    reply(offering, f"reply: {{score: {score}}}")

    offering.run()

    assert rate(offering) == pytest.approx(expected)


def test_a_case_may_name_a_scorer_and_a_format(offering):
    reply(offering, "reply: {format: {short: {most: 3}}}")
    rows = [
        {"id": f"t{n:03}", "input": f"hi {n}", "expected": "b", "score": {"close": {"letters": 0}}}
        | ({"format": "short"} if n % 2 else {})
        for n in range(100)
    ]
    offering.write_rows("tickets.cases.jsonl", rows)
    suite = offering.path("tickets.ftgate.yaml")
    suite.write_text(suite.read_text().replace(GATES, "{accuracy: {min: 0.5}, format: {min: 0.3}}"))

    offering.run()

    assert (rate(offering), rate(offering, "format")) == (1.0, 0.5)


REFUSED = {
    'return {"exact": close}': 'scorer "exact" comes with the package; offer yours under another *',
    'return {"near": "close"}': 'scorer "near" is str; offer a function that takes a case and *',
    "return [close]": "pytest_ftgate_scorers returned list; return a mapping of names to scorers",
    'return {"choice": short}': 'format "choice" comes with the package; offer yours under *',
    'return {"reading": __file__}': 'skill "reading" comes with the package; offer yours under *',
    'return {"places": "/no/such.jsonl"}': 'skill "places" is /no/such.jsonl; offer the path *',
    'return {"anthropic": close}': 'provider "anthropic" comes with the package; offer yours *',
    'return {"house": "House"}': 'provider "house" is str; offer a class derived from *',
}


@every_row("offers", REFUSED)
def test_what_cannot_be_offered_is_refused_before_anything_is_asked(offering, offers):
    told = REFUSED[offers]
    kind = told.split()[0].removeprefix("pytest_ftgate_").removesuffix("s")
    # The later one of two functions counts.
    later = f"\ndef pytest_ftgate_{kind}s():\n    {offers}\n"
    offering.path("conftest.py").write_text(CONFTEST + later)

    result = offering.run()

    result.stdout.fnmatch_lines([f"  conftest.py: {told}"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_broken_file_of_a_skill_is_told_with_its_line(offering):
    offering.path("places.jsonl").write_text('{"id": "p1"}\n')
    offering.suite_of(
        {"current": "{provider: anthropic, model: m, base: b}"}, "{forgetting: {skills: places}}"
    )

    result = offering.run()

    result.stdout.fnmatch_lines(['  *places.jsonl:1: a case needs "input" or "messages"'])


def test_another_version_of_a_scorer_must_be_accepted_again(offering):
    reply(offering, "reply: {score: close}")
    suite = offering.path("tickets.ftgate.yaml")
    suite.write_text(suite.read_text().replace(GATES, "{accuracy: {max_drop: 0.1}}"))
    offering.run("--ftgate-accept")
    offering.path("conftest.py").write_text(CONFTEST + "# another version\n")

    result = offering.run("-v")

    result.stdout.fnmatch_lines(["*100 of 100 accepted cases have changed*"])


# Being told -----------------------------------------------------------------------------------

TOLD = """\
def note(text):
    with open("told.txt", "a") as log:
        print(text, file=log)

def pytest_ftgate_verdict(verdict, nodeid):
    note(f"{nodeid} {verdict.outcome}")

def pytest_ftgate_report(report, config):
    note(f"{len(report.verdicts)} in all, {report.verdict}")
"""


@pytest.mark.parametrize("processes", [(), heavy(("-n", "2"))])
def test_plugins_are_told_of_each_verdict_and_of_the_run_once(desk, processes):
    desk.suite(current=0, worse=30, gates="{accuracy: {max_drop: 0.05}}")
    desk.path("conftest.py").write_text(TOLD)

    desk.run(*processes)

    *verdicts, last = desk.path("told.txt").read_text().splitlines()
    assert sorted(verdicts) == [
        "tickets.ftgate.yaml::accuracy[current] passed",
        "tickets.ftgate.yaml::accuracy[worse] failed",
    ]
    assert last == "2 in all, blocked"


RECORDED = """\
def pytest_ftgate_report(report, config):
    (config.rootpath / "told.txt").write_text(repr(report))
"""


def test_the_report_that_a_plugin_gets_is_the_run_record(desk):
    desk.suite(current=0, worse=30, gates="{accuracy: {max_drop: 0.05}}")
    desk.path("conftest.py").write_text(RECORDED)

    desk.run(f"--ftgate-json={desk.path('run.json')}")

    written = read_run(desk.path("run.json"))
    assert desk.path("told.txt").read_text() == repr(written)
    assert written.suites


def test_a_plugin_that_breaks_on_a_verdict_is_told_of_and_changes_nothing(desk):
    desk.suite(current=0, gates=GATES)
    desk.path("conftest.py").write_text(
        "def pytest_ftgate_verdict(verdict): 1 / 0\n"
        "def pytest_ftgate_report(report): raise OSError('no room')\n"
    )

    result = desk.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "pytest_ftgate_verdict of conftest.py broke: ZeroDivisionError: division by zero",
            "pytest_ftgate_report of conftest.py broke: OSError: no room",
        ]
    )
    assert result.ret == 0


@every_row("hook", ["scorers()", "prices(provider, model)", "plan_modifyitems(items)"])
def test_a_hook_that_breaks_is_told_of_with_its_line(desk, hook):
    desk.asking_suite(gates=GATES)
    desk.path("conftest.py").write_text(
        f"import json\n\ndef pytest_ftgate_{hook}:\n    return json.loads('no')\n"
    )

    result = desk.run()

    name = hook.partition("(")[0]
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*conftest.py:4: pytest_ftgate_{name} broke: JSONDecodeError: Expecting value: *"]
    )
    assert "_pytest" not in result.stdout.str()


def test_a_call_that_is_taken_out_of_the_plan_is_asked_when_it_is_needed(desk):
    desk.asking_suite(gates=GATES)
    desk.path("conftest.py").write_text(
        "def pytest_ftgate_plan_modifyitems(items): del items[:50]\n"
    )

    desk.run().assert_outcomes(passed=1)

    # The gate waits for all of them, so that those come first.
    assert {"t000", "t001"} <= {*desk.asked()[:60]}
    assert len({*desk.asked()}) == len(desk.asked()) == desk.cases


def test_a_call_that_nobody_asks_cannot_be_put_into_the_plan(desk):
    desk.asking_suite(gates=GATES)
    desk.path("conftest.py").write_text(
        "from dataclasses import replace\n"
        "def pytest_ftgate_plan_modifyitems(items):\n"
        "    items[0] = replace(items[0], max_tokens=1)\n"
    )

    result = desk.run()

    result.assert_outcomes(errors=1)
    told = "current: pytest_ftgate_plan_modifyitems may order requests, not add or change any"
    result.stdout.fnmatch_lines([told])
    assert desk.asked() == []
