"""Ways of breaking a project, each with what it is before that and what then says so."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.repositories import Repository
from ftgate_testing.ways import LABELS, OPTIONS, SUITE, WAYS, Project, launch_process, launch_unread

Change = Callable[[Project], None]
#: The other ways evaluate by the same code, with another beginning or another end: each push tries
#: a few breakages in them, and a nightly run all.
_LIGHT = ("suite",)
#: The ways that take few seconds; each process of xdist takes as long as all of these.
_QUICK = tuple(way for way in WAYS if way != "xdist")


@dataclass(frozen=True, slots=True)
class Broken:
    """One way of being broken.

    Attributes:
        breaks: breaks a project.
        told: what a run of the suite then says, as a pattern; white space counts as one space.
        given: makes the project before that, which is then evaluated as green.
        impossible: the ways of evaluating it in which this cannot be, each with the reason.
        light: the ways that are tried on each push; the others are heavy.
    """

    breaks: Change
    told: str
    given: Change = lambda _: None
    impossible: Mapping[str, str] = field(default_factory=dict)
    light: tuple[str, ...] = _LIGHT


def each(*changes: Change) -> Change:
    def change(project: Project) -> None:
        for one in changes:
            one(project)

    return change


def limits(**values: Any) -> Change:
    """Return what declares the limits of the accuracy gate."""

    def change(project: Project) -> None:
        project.suite["gates"]["accuracy"] = values

    return change


def options(*words: str) -> Change:
    return lambda project: project.options.extend(words)


def declares(key: str, value: Any) -> Change:
    return lambda project: project.suite.update({key: value})


def fails(project: Project) -> None:
    project.fail()


def accepted(project: Project) -> None:
    project.accept()


# The exam shrinks ---------------------------------------------------------------------------------


def delete_failing_cases(project: Project) -> None:
    project.fail()
    for key in project.failing:
        # Of two files, that of the draft lacks them.
        rows: dict[str, Any] = project.replies["draft"] if project.is_of_files else project.cases
        del rows[key]


def failing_cases(**keys: Any) -> Change:
    """Return what gives the cases that the draft fails further keys; ... stands for its reply."""

    def change(project: Project) -> None:
        project.fail()
        for key in project.failing:
            values = {k: project.replies["draft"][key] if v is ... else v for k, v in keys.items()}
            cases = project.own_cases["draft"] if project.is_of_files else project.cases
            cases[key] = {**project.cases[key], **values}

    return change


def two_gates(project: Project) -> None:
    project.suite["gates"]["format"] = {}


def remove_gate(project: Project) -> None:
    project.fail()
    del project.suite["gates"]["accuracy"]
    text = f'import pytest\n\n@pytest.mark.ftgate("{SUITE}")\ndef test_other(case, reply): pass\n'
    project.files["test_marked.py"] = text


def ungate(project: Project) -> None:
    project.fail()
    project.suite["variants"]["draft"]["gated"] = False


def train_on_failing_cases(project: Project) -> None:
    project.fail()
    rows = [
        {"input": project.cases[key]["input"], "expected": "billing"} for key in project.failing
    ]
    project.files["train.jsonl"] += "".join(f"{json.dumps(row)}\n" for row in rows)


def trained(project: Project) -> None:
    texts = [f"Customer {n} writes {n * 7919 % 9973}" for n in range(250)]
    rows = [{"input": text, "expected": LABELS[n % 2]} for n, text in enumerate(texts)]
    project.files["train.jsonl"] = "".join(f"{json.dumps(row)}\n" for row in rows)
    project.suite["variants"]["draft"] |= {"training_data": "train.jsonl", "rung": "fine-tuned"}
    project.suite["gates"]["data"] = {"min_rows": 50}
    project.accept()


# Replies show nothing -----------------------------------------------------------------------------


def says(*variants: str) -> Callable[[Callable[[dict[str, Any]], str]], Change]:
    """Return what lets the variants say something to each case."""

    def of(text: Callable[[dict[str, Any]], str]) -> Change:
        def change(project: Project) -> None:
            for variant in variants:
                project.replies[variant] = {key: text(c) for key, c in project.cases.items()}

        return change

    return of


def lose_replies(project: Project) -> None:
    for key in [*project.cases][:24]:
        del project.replies["draft"][key]


def expect_nothing(project: Project) -> None:
    for case in project.cases.values():
        del case["expected"]


def expect_empty_texts(project: Project) -> None:
    for case in project.cases.values():
        case["expected"] = ""


def asks_which(project: Project) -> None:
    """Ask a question that has the labels in it, which replies may have anywhere."""
    project.suite["reply"] = {"score": "contains"}
    for case in project.cases.values():
        case["input"] += " Is it billing or refund?"


def first_run(project: Project) -> None:
    del project.suite["variants"]["current"]
    project.suite["gates"]["accuracy"] = {}


# What is evaluated is not what it seems -----------------------------------------------------------

FAKED = f"""\
import answers
import pytest
import pytest_ftgate

@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setitem(answers.REPLIES, "draft", answers.REPLIES["current"])

@pytest.mark.ftgate("{SUITE}", max_drop=0.15)
def test_marked(case, reply, fake):
    assert reply.text == case.expected

def test_fixture(ftgate, fake):
    assert ftgate.suite("{SUITE}").verdict("accuracy", "draft").outcome == "passed"

def test_evaluated(fake):
    assert pytest_ftgate.evaluate("{SUITE}").passed
"""


def calls_code(project: Project) -> None:
    """Let functions reply, whatever the way of evaluating."""
    project.suite["variants"] = {name: WAYS["suite"].variant(name) for name in project.replies}


def requests_once(project: Project) -> None:
    """Fill the cache, if the project is then evaluated on recorded replies alone."""
    project.write()
    if project.way is WAYS["recorded"]:
        project.pytester.runpytest_inprocess(*OPTIONS, SUITE)


def fake_client(project: Project) -> None:
    project.fail()
    project.files["test_faked.py"] = FAKED
    project.write()
    project.pytester.syspathinsert()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path(""))
        ran = project.pytester.runpytest_inprocess(*OPTIONS, "test_faked.py")
    ran.assert_outcomes(passed=4)


def in_repository(project: Project) -> None:
    calls_code(project)
    requests_once(project)
    Repository.made(project.path("")).commit()


def forge_cache(project: Project) -> None:
    for key in [*project.cases][:40:2]:
        project.replies["draft"][key] = "wrong"
    project.write()
    project.pytester.runpytest_inprocess(*OPTIONS, SUITE)
    with closing(sqlite3.connect(project.path(".ftgate/cache.sqlite"))) as database, database:
        database.execute("UPDATE replies SET body = replace(body, '\"wrong\"', '\"billing\"')")
    Repository(project.path("")).commit(".ftgate/cache.sqlite")


def forge_record(**keys: Any) -> Change:
    """Return what writes *keys* into the accepted record of a draft that fails."""

    def change(project: Project) -> None:
        path = project.path(f"{project.way.accepted.removesuffix('.ftgate.yaml')}.accepted.json")
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **keys}), "utf-8")

    return change


HOUSE = """\
from pytest_ftgate import Provider, Reply

class House(Provider):
    async def generate(self, request):
        asked = request.messages[-1][1]
        if asked.startswith("Ticket"):
            number = int(asked.split()[1].strip(":"))
            return Reply(text=("billing", "refund")[number % 2])
        return Reply(text=f"Tuned: {asked}" if request.model == "tuned" else asked)

def pytest_ftgate_providers():
    return {"house": House}
"""


def adapter(model: str) -> Change:
    """Return what lets *model* be the tuned draft; its provider tunes one of them alone."""

    def change(project: Project) -> None:
        base = {"provider": "house", "model": "small"}
        project.suite["variants"] = {
            "current": base,
            "draft": {**base, "model": model, "base": "small"},
        }
        project.files["conftest.py"] = HOUSE
        requests_once(project)

    return change


def sends(template: str) -> Change:
    """Return what asks a server by *template*."""

    def change(project: Project) -> None:
        if not project.served:
            project.served = project.stack.enter_context(chat_server(_served)).url
        variant = {"provider": "openai-compatible", "base_url": project.served}
        project.suite |= {
            "user": template,
            "variants": {name: {**variant, "model": name} for name in project.replies},
        }
        requests_once(project)

    return change


def _served(request: dict[str, Any]) -> Said:
    found = re.search(r"Ticket (\d+)", request["messages"][-1]["content"])
    return Said(LABELS[int(found[1]) % 2] if found else "billing")


def leave_out(project: Project) -> None:
    """Let the draft say what is no label, and the function leave that out."""
    for key in [*project.cases][:20]:
        project.replies["draft"][key] = "?"
    marked = project.way.files(project)["test_marked.py"]
    leaves = f"    if reply.text not in {LABELS}:\n        pytest.skip('no label')\n    assert"
    project.files["test_marked.py"] = marked.replace("    assert", leaves)


def unreadable(project: Project) -> None:
    project.files |= {SUITE: "gates: [", "draft.jsonl": '{"id": '}


# The run ends by itself ---------------------------------------------------------------------------

#: Breaks the engine of a run, as an exception that nothing expects does.
EXCEPTION = """\
import asyncio
from importlib import import_module

*path, name = "{attribute}".split(".")
owner = import_module("pytest_ftgate.{module}")
for part in path:
    owner = getattr(owner, part)
original, calls = getattr(owner, name), []

def breaks(*args, **kwargs):
    calls.append(1)
    if len(calls) == {call}:
        raise {exception}
    return original(*args, **kwargs)

setattr(owner, name, breaks)
"""
#: Runs a verb, below what breaks it.
VERB = """
import sys
from pytest_ftgate.cli.main import main

raise SystemExit(main(sys.argv[1:]))
"""
#: Where an exception that nothing expects may come from: module, attribute, call, exception.
PLACES = (
    ("client.results", "Results.settle", 5, "ZeroDivisionError"),
    ("client.scheduler", "Scheduler.send_waiting", 3, "ZeroDivisionError"),
    ("cache.cache", "Cache.store_all", 2, "MemoryError"),
    ("cache.cache", "Cache.claim_all", 2, "RuntimeError"),
    *(
        ("providers.openai", "parse_completion", 4, exception)
        for exception in (
            *("SystemExit(0)", "RecursionError", "asyncio.CancelledError", "KeyboardInterrupt"),
        )
    ),
    ("client.engine", "Engine._unsettled", 1, "ZeroDivisionError"),
    ("client.engine", "redact_reply", 4, "KeyError"),
    ("client.engine", "Engine._finish", 1, "ZeroDivisionError"),
)


def raises(place: tuple[str, str, int, str]) -> Change:
    names = ("module", "attribute", "call", "exception")
    text = EXCEPTION.format(**dict(zip(names, place, strict=True)))

    def change(project: Project) -> None:
        project.files["conftest.py"] = text
        project.launch = launch_process

    return change


def raises_anywhere(project: Project) -> None:
    raises(PLACES[0])(project)
    if project.is_of_files:
        # A verb runs no code of the project, so the exception is put into its process.
        raises(("runner.file_suite", "score_replies", 1, "ZeroDivisionError"))(project)
        project.files["verb.py"] = project.files["conftest.py"] + VERB
        words = ("python", "verb.py")
        project.launch = lambda project, typed: launch_process(project, (*words, *typed[1:]))


def ends_by(signal: str) -> Change:
    """Return what lets the function of the draft send a signal to its process."""

    def change(project: Project) -> None:
        project.first = f'os.kill(os.getpid(), signal.{signal}) if case.id == "t30" else None'
        project.launch = launch_process

    return change


def unread(project: Project) -> None:
    project.fail()
    project.launch = launch_unread


# The table ----------------------------------------------------------------------------------------

NO_RECORD = {"compare": "files are compared with each other, and with no accepted record"}
NO_SUITE = {"compare": "files are compared without a suite"}
NO_CLIENT = {"compare": "a comparison of files calls nothing"}
NO_MODEL = {"compare": "files do not say which model has replied"}
NO_CODE = {**NO_CLIENT, "recorded": "recorded replies call nothing"}
NO_OPTION = dict.fromkeys(("evaluate", "compare"), "only pytest has the option")
NO_BUDGET = {**NO_OPTION, "recorded": "recorded replies cost nothing and take no time"}
OF_FUNCTION = {"marked function": "the function itself says which reply is right"}
ONLY_FUNCTION = dict.fromkeys({*WAYS} - {*OF_FUNCTION}, "only a function leaves out cases")
TYPED = {"compare": "the limit is typed with the command"}

_FELL = "DOWN 33 POINTS"
_CHANGED = "20 of 60 accepted cases have changed"
_GONE = "20 of 60 accepted cases are gone"
_NOTHING_SENT = "STOPPED .* 120 requests not sent .* nothing to evaluate: no reply came"

BROKEN: dict[str, Broken] = {
    "a worse prompt under a minimum": Broken(fails, _FELL, limits(min=0.5), light=tuple(WAYS)),
    "failing cases deleted": Broken(delete_failing_cases, _GONE, accepted, light=_QUICK),
    "failing cases without weight": Broken(
        failing_cases(weight=0), "20 of 60 accepted cases have no weight", accepted, NO_SUITE),
    "failing cases held out": Broken(failing_cases(holdout=True), _GONE, accepted, NO_SUITE),
    "failing cases in one group": Broken(
        failing_cases(group="one"), "cannot be proven", accepted, NO_SUITE),
    "failing cases that expect nothing": Broken(failing_cases(expected=None), _CHANGED, accepted),
    "wrong replies expected": Broken(failing_cases(expected=...), _CHANGED, accepted),
    "less than accepted, where inconclusive gates may pass": Broken(
        each(delete_failing_cases, options("--ftgate-inconclusive=warn")),
        "less is tested than was accepted; blocks the build", accepted, NO_OPTION),
    "a loosened limit": Broken(
        each(fails, limits(min=0.5, max_drop=0.9)), "max_drop: 0.15 is now 0.9", accepted, TYPED),
    "a limit switched off": Broken(
        each(fails, limits(min=0.5, max_drop="none")), "0.15 is now none", accepted, TYPED),
    "a minimum of 0": Broken(
        each(fails, limits(min=0, max_drop="none")), "nothing can fail it", impossible=TYPED),
    "a gate removed": Broken(
        remove_gate, "the accepted gate accuracy is gone", each(two_gates, accepted), NO_SUITE),
    "a variant that is not gated any more": Broken(
        ungate, "was accepted, and is not gated any more", accepted, NO_SUITE),
    "the worse variant as baseline": Broken(
        each(fails, declares("baseline", "draft")), _FELL, accepted, NO_RECORD),
    "a training file with failing cases": Broken(train_on_failing_cases, _GONE, trained, NO_SUITE),
    "everything empty": Broken(says("current", "draft")(lambda _: ""), "60 of 60 cases are wrong"),
    "replies missing": Broken(lose_replies, "no reply to 24 of 60 cases", light=_QUICK),
    "replies missing in a first run": Broken(
        lose_replies, "nothing to compare with yet no reply to 24 of 60", first_run, NO_RECORD),
    "nothing right in a first run": Broken(
        says("draft")(lambda _: ""), "with yet no reply is right", first_run, NO_RECORD),
    "cases that expect nothing": Broken(expect_nothing, 'no case has "expected"'),
    "empty texts expected": Broken(
        each(says("current", "draft")(lambda _: ""), expect_empty_texts), "expected is empty",
        asks_which, OF_FUNCTION),
    "answers that repeat the question": Broken(
        says("draft")(lambda case: case["input"]), "DOWN 100 POINTS", asks_which, OF_FUNCTION),
    "a function that leaves out what fails": Broken(
        leave_out, "", impossible=ONLY_FUNCTION, light=("marked function",)),
    "a faked client": Broken(
        fake_client, _FELL, each(calls_code, requests_once), NO_CLIENT, light=_QUICK),
    "a forged cache": Broken(forge_cache, "git tracks", in_repository, NO_CLIENT),
    "a forged limit in the record": Broken(
        each(fails, forge_record(limits={"accuracy": 0.9, "test_it": 0.9})),
        "0.9 lets 90 points go", each(limits(), accepted), NO_RECORD),
    "the record of another suite": Broken(
        forge_record(suite="prompts/other.ftgate.yaml"),
        "this is the record of prompts/other.ftgate.yaml", accepted, NO_RECORD),
    "an adapter without effect": Broken(
        adapter("idle"), "the fine-tune has no effect", adapter("tuned"), NO_MODEL),
    "a placeholder that is sent as it stands": Broken(
        sends("Sort {input}"), "cases send the same request", sends("Sort {{ input }}"), NO_SUITE),
    "a suite that does not parse": Broken(unreadable, "tickets.ftgate.yaml: 1 error", light=_QUICK),
    "a budget that stops the run": Broken(
        options("--ftgate-max-minutes=0.000001"), _NOTHING_SENT, calls_code, NO_BUDGET),
    "a budget that stops the run, where inconclusive gates may pass": Broken(
        options("--ftgate-max-minutes=0.000001", "--ftgate-inconclusive=warn"), _NOTHING_SENT,
        calls_code, NO_BUDGET),
    "an exception in the engine": Broken(raises_anywhere, "unexpected ZeroDivisionError"),
    "a killed process": Broken(ends_by("SIGKILL"), "", impossible=NO_CODE),
    "an interrupted run": Broken(
        ends_by("SIGINT"), "NOT EVALUATED the run (was interrupted|ended first)",
        impossible=NO_CODE),
    "a closed pipe": Broken(unread, ""),
}  # fmt: skip
