"""An exception that nothing expects, anywhere in a run: exit code 3, and no report says passed."""

from __future__ import annotations

import json
import sqlite3
import sys
import xml.etree.ElementTree as ET
from asyncio import CancelledError
from contextlib import closing
from importlib import import_module

import pytest
from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate import evaluate
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cli.main import INTERNAL_ERROR
from pytest_ftgate.cli.main import main as run_verb
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.results import Results
from pytest_ftgate.client.scheduler import Scheduler
from pytest_ftgate.errors import EngineError
from pytest_ftgate.plugin.verdicts import GateVerdicts
from pytest_ftgate.runner.session import Session

LABELS = ("billing", "refund")
CASES = 12
GATES = "{accuracy: {min: 0.5}}"
REPORTS = ("--ftgate-json=run.json", "--ftgate-markdown=run.md", "--ftgate-html=run.html")
#: Quiet, and lenient with gates that lack evidence.
QUIET = ("-q", "--ftgate-inconclusive=warn", *REPORTS)


def raising(error, after=0, original=None):
    """Return a function that raises *error*; the first *after* calls go to *original*."""
    calls = iter(range(after))

    def raises(*args, **options):
        if original is not None and next(calls, None) is not None:
            return original(*args, **options)
        raise error

    return raises


def place(module, name):
    return import_module(f"pytest_ftgate.{module}"), name


@pytest.fixture
def served(desk):
    """A desk whose variant a server answers."""
    desk.cases = CASES

    def answer(request):
        number = int(request["messages"][-1]["content"].split()[1].strip(":"))
        return Said(LABELS[number % 2])

    with chat_server(answer) as server:
        address = f'provider: openai-compatible, model: m, base_url: "{server.url}/v1"'
        desk.suite_of({"current": f"{{{address}}}"}, GATES)
        yield desk, server


@pytest.fixture
def recorded(desk):
    desk.cases = CASES
    desk.suite(GATES, current=0, draft=0)
    return desk


def faces(desk):
    """Return the verdict of the run record, the first line of the Markdown, and JUnit's errors."""
    run = json.loads(desk.path("run.json").read_text("utf-8"))
    # The report that breaks is not written, and that of an earlier run is gone.
    markdown = desk.path("run.md").read_text("utf-8") if desk.path("run.md").exists() else "BLOCKED"
    return (
        run["verdict"],
        markdown.splitlines()[0],
        [*ET.parse(desk.path("junit.xml")).iter("error")],
    )


def assert_internal_error(desk, result, error):
    printed = f"{result.stdout}{result.stderr}"
    verdict, first, errors = faces(desk)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR, printed
    assert verdict == "blocked"
    assert "BLOCKED" in first
    assert errors
    assert "INCONCLUSIVE" not in printed
    assert "PASSED" not in printed
    # Each traceback is in a section of its own, behind a bar or a mark.
    assert not [line for line in printed.splitlines() if line.startswith("Traceback")]
    assert f"unexpected {type(error).__name__}" in " ".join(printed.split())


# The engine -----------------------------------------------------------------------------------

PARSE = place("providers.openai", "parse_completion")
BOOM = ZeroDivisionError("boom")
#: What a run calls for each reply, in a provider of the package, in the engine and in the cache,
#: after how many calls it breaks, and by what; tests/client/test_engine_failures.py has more.
ENGINE = {
    "parse": (*PARSE, 3, BOOM),
    "parse: sys.exit": (*PARSE, 3, SystemExit(0)),
    "parse: cancelled": (*PARSE, 3, CancelledError()),
    "parse: Ctrl-C by mistake": (*PARSE, 3, KeyboardInterrupt()),
    "parse: recursion": (*PARSE, 3, RecursionError("boom")),
    "redact": (*place("client.engine", "redact_reply"), 3, KeyError("boom")),
    "settle": (Results, "settle", 4, BOOM),
    "send": (Scheduler, "send_waiting", 2, BOOM),
    "begin": (Engine, "_unsettled", 0, BOOM),
    # Requests and replies that come together are claimed and stored by one call.
    "claim": (Cache, "claim_all", 0, RuntimeError("boom")),
    "store": (Cache, "store_all", 0, MemoryError("boom")),
    "finish": (Engine, "_finish", 0, BOOM),
}


@pytest.mark.parametrize("name", ENGINE)
def test_where_a_reply_is_lost_by_mistake_no_gate_lacks_evidence(served, name):
    desk, server = served
    owner, attribute, after, error = ENGINE[name]

    with pytest.MonkeyPatch.context() as patch:
        breaks = raising(error, after, original=getattr(owner, attribute))
        patch.setattr(owner, attribute, breaks)
        result = desk.run(*QUIET)

    assert_internal_error(desk, result, error)
    with closing(sqlite3.connect(desk.path(".ftgate/cache.sqlite"))) as cache:
        kept = {text for (text,) in cache.execute("SELECT fingerprint FROM replies")}
    sent = len(server.requests)
    assert desk.run("-q").ret == 0
    # What was kept is not paid for twice.
    assert len(server.requests) - sent == CASES - len(kept)


# The other rooms ------------------------------------------------------------------------------

ROOMS = {
    "collection": place("plugin.item", "check_feasibility"),
    "plan of requests": (Session, "submit"),
    "scoring": place("runner.scores", "score_replies"),
    "gates": place("runner.evaluate_gate", "kind_of"),
    "measured variants": place("plugin.item", "measure_ungated"),
    "saved requests": (Session, "count_saved_requests"),
    "cases of the reports": place("plugin.reporter", "collect_suite_runs"),
    "verdict of the run": (GateVerdicts, "add_interruption"),
    "Markdown": place("reporting.markdown", "markdown_report"),
    "page": place("reporting.html.page", "html_page"),
}


@pytest.mark.parametrize("room", ROOMS)
def test_what_breaks_in_any_room_ends_the_run_and_is_told(recorded, monkeypatch, room):
    error = KeyError("boom")
    monkeypatch.setattr(*ROOMS[room], raising(error))
    recorded.path("run.md").write_text("PASSED\n", "utf-8")

    result = recorded.run(*QUIET)

    assert_internal_error(recorded, result, error)


@pytest.mark.parametrize("room", ["scoring", "gates", "measured variants"])
def test_where_a_room_breaks_every_reply_is_kept(served, room):
    desk, server = served
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ROOMS[room], raising(KeyError("boom")))
        assert desk.run("-q").ret == pytest.ExitCode.INTERNAL_ERROR

    assert desk.run("-q").ret == pytest.ExitCode.OK
    assert len(server.requests) == CASES


@pytest.mark.parametrize("name", ["summary_lines", "unlisted_lines"])
def test_what_breaks_while_the_closing_section_is_printed(recorded, monkeypatch, name):
    monkeypatch.setattr(*place("reporting.summary", name), raising(KeyError("boom")))

    result = recorded.run(*QUIET)

    verdict, first, _ = faces(recorded)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert (verdict, "BLOCKED" in first) == ("blocked", True)
    result.stdout.fnmatch_lines(["INTERNALERROR> unexpected KeyError: 'boom' at *"])


@pytest.mark.parametrize(
    "hook", [(GateVerdicts, "add_report"), place("plugin.selection", "arrange_items")], ids=str
)
def test_an_internal_error_of_pytest_leaves_no_report_that_says_passed(recorded, monkeypatch, hook):
    monkeypatch.setattr(*hook, raising(KeyError("boom")))

    result = recorded.run(*QUIET)

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert faces(recorded)[0] == "blocked"


def test_a_report_that_breaks_keeps_no_other_from_being_written_and_no_gate_from_failing(
    desk, monkeypatch
):
    desk.suite(current=0, draft=40)
    monkeypatch.setattr(*place("reporting.writers", "run_json"), raising(MemoryError()))

    result = desk.run(*REPORTS)

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert desk.path("run.md").read_text("utf-8").startswith("### 🔴 BLOCKED")
    assert desk.path("run.html").is_file()
    assert "unexpected MemoryError" in desk.path("run.md").read_text("utf-8")
    told = ["BLOCKED  1 failed, 1 not evaluated *", "*✗ pytest*", "*✗ accuracy[[]draft]*"]
    result.stdout.fnmatch_lines(told)


# The ways of running --------------------------------------------------------------------------

RIGHT = "def test_it(case, reply):\n    assert reply.text == case.expected\n"
FIXTURE = """
def test_own(ftgate):
    verdict = ftgate.suite("tickets.ftgate.yaml").verdict("accuracy", "current")
    assert verdict.outcome == "passed"

def test_after():
    raise AssertionError("it runs although the run has ended")
"""


@pytest.mark.parametrize(
    "broken",
    [place("gates.rates", "evaluate_rate"), place("plugin.marked.item", "request_first_look")],
    ids=lambda broken: broken[1],
)
def test_a_marked_function(recorded, monkeypatch, broken):
    recorded.marked(RIGHT, mark="min=0.5")
    monkeypatch.setattr(*broken, raising(KeyError("boom")))

    result = recorded.run(*QUIET, "test_marked.py")

    assert_internal_error(recorded, result, KeyError())


def test_a_test_with_the_fixture(recorded, monkeypatch):
    recorded.path("test_own.py").write_text(FIXTURE, "utf-8")
    monkeypatch.setattr(*ROOMS["gates"], raising(KeyError("boom")))

    result = recorded.run(*QUIET, "test_own.py")

    assert_internal_error(recorded, result, KeyError())
    result.assert_outcomes(failed=1)


def test_a_single_case(recorded, monkeypatch):
    monkeypatch.setattr(*ROOMS["scoring"], raising(KeyError("boom")))

    result = recorded.run("--ftgate-case=t001")

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR


def test_evaluate_raises_and_has_no_result(recorded):
    for room in ("scoring", "gates"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*ROOMS[room], raising(KeyError("boom")))
            with pytest.raises(EngineError, match="unexpected KeyError: 'boom' at"):
                evaluate(recorded.path("tickets.ftgate.yaml"))


#: Breaks a process of pytest-xdist: while a gate is evaluated, at its end, or as it reports.
IN_WORKERS = """\
import os

import pytest_ftgate.client.engine
import pytest_ftgate.plugin.reporter
import pytest_ftgate.runner.evaluate_gate


def breaks(*_, **__):
    raise KeyError("boom")

FINISH = pytest_ftgate.client.engine.Engine._finish

async def breaks_later(*args):
    await FINISH(*args)
    breaks()

if "PYTEST_XDIST_WORKER" in os.environ:
    {}
"""
PROCESSES = {
    "a gate": "pytest_ftgate.runner.evaluate_gate.kind_of = breaks",
    "the end": "pytest_ftgate.client.engine.Engine._finish = breaks_later",
    "the results": "pytest_ftgate.plugin.reporter.send_part = breaks",
    "a hook": "pytest_ftgate.plugin.reporter.gate_status = breaks",
}


@pytest.mark.heavy
@pytest.mark.parametrize("what", PROCESSES)
def test_a_process_of_xdist(served, what):
    desk, _ = served
    desk.path("conftest.py").write_text(IN_WORKERS.format(PROCESSES[what]), "utf-8")
    junit = f"--junitxml={desk.path('junit.xml')}"
    options = ("-m", "pytest", "--ftgate", "-n", "1", junit, *QUIET)

    result = desk.pytester.run(sys.executable, *options)

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    verdict, first, errors = faces(desk)
    assert (verdict, "BLOCKED" in first, bool(errors)) == ("blocked", True, True)
    assert "KeyError: 'boom'" in result.stdout.str()


# Verbs ----------------------------------------------------------------------------------------

VERBS = {
    "compare": (("compare", "a.jsonl", "b.jsonl"), place("runner.file_suite", "score_replies")),
    "doctor": (("doctor",), place("cli.doctor", "gate_runs_of")),
    "power": (("power", "tickets.ftgate.yaml"), place("cli.suite", "power_estimates")),
    "data": (("data", "a.jsonl"), place("cli.suite", "check_training_data")),
    "report": (("report", "run.json"), place("reporting.summary", "summary_lines")),
    "cache check": (("cache", "check"), place("cli.cache", "cache_errors")),
}


def test_every_verb_ends_with_a_code_of_its_own(recorded, monkeypatch, capsys):
    rows = [{"id": n, "input": f"q{n}", "expected": "x", "reply": "x"} for n in range(100)]
    for name in ("a.jsonl", "b.jsonl"):
        recorded.write_rows(name, rows)
    recorded.run("--ftgate-json=run.json")
    capsys.readouterr()
    ended = {}

    for verb, (arguments, broken) in VERBS.items():
        for error in (KeyError("boom"), MemoryError(), SystemExit(0)):
            with monkeypatch.context() as patch:
                patch.setattr(*broken, raising(error))
                code = run_verb(arguments)
            head, *_, last = capsys.readouterr().err.splitlines()
            is_named = f"unexpected {type(error).__name__}" in last
            ended[verb, type(error)] = (code, head.startswith("Traceback"), is_named)

    assert ended == dict.fromkeys(ended, (INTERNAL_ERROR, True, True))
    assert len(ended) == 3 * len(VERBS)


def test_no_key_is_in_what_a_run_or_a_verb_says_of_it(served, monkeypatch, capsys):
    desk, _ = served
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")
    error = ValueError("no header may be sk-very-secret-0123456789")
    monkeypatch.setattr(*PARSE, raising(error))
    monkeypatch.setattr(*place("cli.record", "schema_text"), raising(error))

    result = desk.run(*REPORTS)
    capsys.readouterr()
    code = run_verb(["schema"])

    written = [desk.path(f"run.{name}").read_text("utf-8") for name in ("json", "md", "html")]
    printed = f"{result.stdout}{result.stderr}"
    said = capsys.readouterr()
    assert (result.ret, code) == (pytest.ExitCode.INTERNAL_ERROR, INTERNAL_ERROR)
    assert "no header may be" in printed
    assert "no header may be" in said.err
    assert "very-secret" not in "".join([printed, *written, said.out, said.err])


# Code of the user -----------------------------------------------------------------------------

#: What breaks is the user's: each is an error of its gate, which names it.
MARKS = """\
MISTAKES = {"one": KeyError, "two": MemoryError, "three": SystemExit}

def marks(case, reply):
    raise MISTAKES[reply.text]("mine")
"""


def test_what_a_scorer_of_the_user_raises_is_an_error_of_its_gate(desk):
    desk.cases, names = CASES, ("one", "two", "three")
    desk.path("answers.py").write_text(MARKS, "utf-8")
    # None is compared with a baseline, whose error would be that of all.
    desk.suite("{accuracy: {min: 0.5, max_drop: none}}", **dict.fromkeys(names, 0))
    for name in names:
        desk.replies(name, wrong=CASES, said=name)
    desk.edit("reply: {", 'reply: {score: {python: "answers:marks"}, ')

    result = desk.run(*QUIET)

    verdict, first, errors = faces(desk)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (verdict, "not evaluated" in first, len(errors)) == ("blocked", True, len(names))
    printed = result.stdout.str()
    for error in ("KeyError", "MemoryError", "SystemExit"):
        assert f"{error}: " in printed
    assert printed.count("mine") >= len(names)
    assert "unexpected" not in printed
