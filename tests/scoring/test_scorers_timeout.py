"""A scorer that takes too long is an error of its case, and never a wrong answer."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.scoring import scorers
from pytest_ftgate.scoring.scores import score_replies
from pytest_ftgate.suite.function_references import load_function
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

MARKS = """
import re, time

def asleep(case, reply): time.sleep(600)

def busy(case, reply):
    while True: pass

def stubborn(case, reply):
    while True:
        try:
            time.sleep(600)
        except Exception:
            pass

def swallowing(case, reply):
    for _ in range(3):
        try:
            time.sleep(600)
        except:
            pass
    return 1

def searching(case, reply): return bool(re.match("(x+x+)+y", "x" * 60))
def quick(case, reply): return 1
"""


@pytest.fixture
def column(tmp_path, monkeypatch):
    monkeypatch.setattr(scorers, "SCORER_SECONDS", 0.2)
    monkeypatch.setattr(scorers, "_CHECK_SECONDS", 0.05)
    (tmp_path / "slow_marks.py").write_text(MARKS, "utf-8")
    # The first import may take longer than that.
    load_function("slow_marks:quick", tmp_path)

    def made(rule, form=()):
        case = Case(id="a", location="c.jsonl:7", input="q", score=rule, format=form, expected="x")
        call = Request(
            fingerprint="f", provider="p", model="m", messages=(), max_tokens=1, sampling={}
        )
        return score_replies("v", [CaseRequest(case, 0, call)], {"f": Reply(text="x")}, tmp_path)

    return made


BUSY = Rule("python", "slow_marks:busy")
#: A plugin's function has options of its own.
OFFERED = Rule("offered", "slow", {"seconds": "few"}, lambda case, reply: time.sleep(600))


@pytest.mark.slow
@every_row(
    ("score", "form", "told"),
    [
        *(
            (Rule("python", f"slow_marks:{name}"), (), r"^score: python took longer than 0\.2 s on")
            for name in ("busy", "asleep", "stubborn", "searching", "swallowing")
        ),
        (Rule("exact"), (BUSY,), "^score: exact, format: python took longer"),
        (replace(BUSY, options={"seconds": 0.1}), (), r"took longer than 0\.3 s"),
        (OFFERED, (), r"^score: slow took longer than 0\.2 s"),
    ],
)
def test_a_function_that_does_not_come_to_an_end_is_stopped(column, score, form, told):
    with pytest.raises(ScorerError, match=told) as raised:
        column(score, form)

    assert 'case "a" (c.jsonl:7); make it quicker' in str(raised.value)


def test_outside_of_the_main_thread_scores_are_the_same(column):
    def score(found):
        found.append(column(Rule("python", "slow_marks:quick")).results["a"].correct)

    found = []
    thread = threading.Thread(target=score, args=(found,))
    thread.start()
    thread.join()
    score(found)

    assert found == [1, 1]


def test_the_error_names_the_rules_and_what_to_change(column):
    offered = Rule("offered", "slow", {"seconds": 9}, lambda case, reply: 1.0)
    means = Rule("mean", ((Rule("exact"), 1.0), (offered, 1.0)))
    busy = Rule("python", "slow_marks:busy", {"seconds": 0.1})

    with pytest.raises(ScorerError) as raised:
        column(means, (Rule("regex", "."), busy))

    assert str(raised.value) == (
        "score: exact, score: slow, format: regex, format: python took longer than 0.3 s on case "
        '"a" (c.jsonl:7); make it quicker, or give a function more: '
        "{python: {function: ..., seconds: 60}}"
    )
    assert raised.value.__cause__ is None


CASE = Case(id="a", location="c.jsonl:7", score=Rule("exact"))


def ring():
    """Stand in for the time: the alarm comes now."""
    signal.raise_signal(signal.SIGALRM)
    return "rung"


def test_an_alarm_between_two_replies_stops_nothing(monkeypatch):
    monkeypatch.setattr(scorers, "SCORER_SECONDS", 0.0)
    with scorers.TimeLimit() as limit:
        ring()
        assert limit.run(CASE, lambda: 1) == 1
        ring()
        with pytest.raises(ScorerError):
            limit.run(CASE, ring)
        ring()
        assert limit.run(CASE, lambda: 2) == 2
        with pytest.raises(ZeroDivisionError):
            limit.run(CASE, lambda: 1 / 0)
        ring()


@pytest.fixture
def now(monkeypatch):
    """A clock that the test sets, in a list of one number."""
    clock = [100.0]
    monkeypatch.setattr(scorers.time, "monotonic", lambda: clock[0])
    return clock


@every_row(
    ("score", "form", "allowed"),
    [
        (Rule("exact"), (), 0.0),
        (Rule("code"), (), 5.0),
        (Rule("code", None, {"seconds": 2}), (), 2.0),
        (Rule("python", "m:f", {"seconds": 1.5}), (Rule("python", "m:g", {"seconds": 2}),), 3.5),
        (Rule("mean", ((Rule("code"), 1), (Rule("code"), 1))), (), 10.0),
    ],
)
def test_rules_add_the_seconds_that_they_declare(monkeypatch, now, score, form, allowed):
    monkeypatch.setattr(scorers, "SCORER_SECONDS", 0.25)
    one = Case(id="a", location="c.jsonl:7", score=score, format=form)

    def after(seconds):
        def scorer():
            now[0] += seconds
            return ring()

        return scorer

    with scorers.TimeLimit() as limit:
        assert limit.run(one, after(allowed + 0.25)) == "rung"
        with pytest.raises(ScorerError, match=f"took longer than {allowed + 0.25:g} s"):
            limit.run(one, after(allowed + 0.5))


@pytest.fixture
def rang():
    """An alarm that rings after 1000 seconds, and then every seven, into this list."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    signal.setitimer(signal.ITIMER_REAL, 1000.0, 7.0)
    yield rung
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_previous_alarm_keeps_its_rest_and_its_interval(now, rang):
    handler = signal.getsignal(signal.SIGALRM)
    with scorers.TimeLimit():
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 0.5
        now[0] += 400.0

    rest, interval = signal.getitimer(signal.ITIMER_REAL)
    assert (rest, interval) == (pytest.approx(600.0, abs=30.0), 7.0)
    assert signal.getsignal(signal.SIGALRM) == handler
    assert not rang


def test_a_previous_alarm_that_is_due_rings_at_once(now, rang):
    with scorers.TimeLimit():
        now[0] += 2000.0
    rest = signal.getitimer(signal.ITIMER_REAL)[0]

    assert rest <= 0.001 or rang


def test_without_a_previous_alarm_none_is_left():
    with scorers.TimeLimit():
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 0.5

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
