"""What could not be asked is an error, and never a wrong answer or a skip."""

from __future__ import annotations

import pytest

from pytest_ftgate import evaluate
from pytest_ftgate.results.run import read_run

#: Raises for every case, until a file says that it has been mended.
BROKEN = """\
from pathlib import Path

def answer(case):
    if not Path(__file__).with_name("mended").exists():
        raise RuntimeError("the tunnel is down")
    return case.expected
"""


def test_a_variant_without_most_of_its_replies_is_an_error(desk):
    desk.suite(current=0)
    desk.replies("current", missing=60)

    result = desk.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["current: 60 of 100 requests got no reply; the first: *"])
    # The selection is not to blame.
    result.stdout.no_fnmatch_line("no gate was evaluated; name a suite, or check -k *")


def test_a_function_that_is_nowhere_is_an_error_of_its_variant_alone_and_is_told_once(desk):
    desk.asking_suite(gone='{provider: python, function: "missing:answer"}')

    result = desk.run("-ra")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["gone: missing:answer: *; put missing.py beside the suite, *"])
    result.stdout.no_fnmatch_line("PASSED *")
    result.stdout.no_fnmatch_line("During handling of the above exception*")


def test_an_error_is_asked_again_in_the_next_run(desk):
    desk.replies("kept", wrong=2)
    kept = "{provider: recorded, replies: kept.jsonl}"
    desk.asking_suite(BROKEN, first="kept", kept=kept)

    result = desk.run()

    # It is one of its variant alone, and says what was raised.
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*answers:answer raised RuntimeError: the tunnel is down"])
    result.stdout.no_fnmatch_line("*Traceback*")
    desk.path("mended").touch()
    desk.run().assert_outcomes(passed=2)


@pytest.mark.heavy
def test_a_missing_key_is_an_error_that_says_what_to_set(desk, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(desk.pytester.path))
    desk.suite_of({"current": "{provider: anthropic, model: claude-haiku-5-5}"})
    at_once = "import pytest_ftgate.plugin.progress as shown\nshown._FIRST_INTERVAL = 0.0\n"
    desk.pytester.makeconftest(at_once)

    # In a process of its own: the SDK must not be imported into this one.
    result = desk.pytester.runpytest_subprocess("--ftgate")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*set ANTHROPIC_API_KEY*"])
    # No request can be sent, so there is no progress to show.
    result.stdout.no_fnmatch_line("*requests (*")


def test_a_table_without_a_column_of_replies_is_one_error_with_its_remedy(desk):
    desk.path("r.csv").write_text("id,said by it\nt000,billing\n", "utf-8")
    desk.suite_of({"current": "{provider: recorded, replies: r.csv}"})

    result = desk.run()

    result.assert_outcomes(errors=1)
    told = " ".join(result.stdout.str().split())
    assert "r.csv: no column is known to hold replies or scores; name one with --reply or " in told
    assert "in a suite with columns: {reply: COLUMN} (columns: id, said by it)" in told
    assert "Traceback" not in told + result.stderr.str()


def test_an_error_that_hits_every_gate_is_shown_once_and_referred_to(desk):
    desk.suite("{accuracy: {min: 0.7}, format: {min: 0.7}}", current=0)
    desk.path("notes.txt").write_text("no cache")

    result = desk.run("--ftgate-cache=notes.txt", "--ftgate-json=run.json")

    result.assert_outcomes(errors=2)
    shown = result.stdout.str().partition("short test summary")[0]
    assert shown.count("notes.txt cannot be used") == 1
    assert shown.count("current: the same error as ") == 1
    first, second = read_run(desk.path("run.json")).not_evaluated
    assert (first.same_as, second.same_as) == ("", first.node)
    assert "notes.txt cannot be used" in first.reason
    assert (second.reason, second.variant) == (first.reason, "current")


def test_the_error_of_a_gate_is_the_same_from_pytest_and_from_python(desk, monkeypatch):
    desk.asking_suite(BROKEN)
    monkeypatch.chdir(desk.path(""))

    desk.run("--ftgate-json=run.json").assert_outcomes(errors=1)

    (error,) = read_run(desk.path("run.json")).not_evaluated
    assert evaluate("tickets.ftgate.yaml").not_evaluated == (error,)
