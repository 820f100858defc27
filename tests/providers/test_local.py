"""A team's own function as a provider."""

from __future__ import annotations

import sys

import pytest

from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import ConfigurationError, ProviderRejected, RequestRejected
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SOURCE = """
import asyncio, sys, time
import pytest

running = most = 0

def shout(case):
    return case.input.upper()

async def together(case):
    global running, most
    running += 1
    most = max(most, running)
    for _ in range(2000):
        if most < 4:
            await asyncio.sleep(0.001)
    running -= 1
    return str(most)

def alone(case):
    global running, most
    running += 1
    most = max(most, running)
    time.sleep(0.001)
    running -= 1
    return str(most)

def several(cases):
    return [f"{case.input} of {len(cases)}" for case in cases]

async def several_async(cases):
    return several(cases)

def too_few(cases):
    return ["one"]

def breaks_for_all(cases):
    raise KeyError("price")

def number(case):
    return 7

def breaks(case):
    raise KeyError("price")

def exits(case):
    sys.exit("bye")

def fails(case):
    pytest.fail("not so")
"""


@pytest.fixture
def asked(call, tmp_path, cache, request):
    """Ask a function of a module that lies beside the suite, through the engine."""
    # One name a test: what Python has imported once it does not read again.
    module = f"pipeline_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{module}.py").write_text(SOURCE)

    def ask(name: str, *inputs: str) -> list:
        cases = [Case(id=i, location="c:1", input=i, score=Rule("exact")) for i in inputs]
        calls = [call(case=c, function=f"{module}:{name}", folder=tmp_path) for c in cases]
        engine = Engine(cache, {})
        answers = engine.wait(calls)
        engine.close()
        return [answers[c.fingerprint] for c in calls]

    return ask


def test_the_function_is_given_the_case_and_its_text_is_the_reply(asked):
    replies = asked("shout", "one", "two")
    assert [reply.text for reply in replies] == ["ONE", "TWO"]


def test_an_async_function_answers_several_cases_at_once(asked):
    assert [reply.text for reply in asked("together", *"abcd")] == ["4"] * 4


def test_a_plain_function_never_runs_twice_at_once(asked):
    assert [reply.text for reply in asked("alone", *"abcdefgh")] == ["1"] * 8


@pytest.mark.parametrize("name", ["several", "several_async"])
def test_a_function_that_takes_cases_gets_several_at_once(asked, name):
    assert [reply.text for reply in asked(name, *"abc")] == ["a of 3", "b of 3", "c of 3"]


def test_a_function_that_takes_cases_must_answer_each_of_them(asked):
    answers = asked("too_few", "one", "two")
    assert answers[0] is answers[1]
    assert isinstance(answers[0], ProviderRejected)
    assert "it must return a list with a text for each of them" in str(answers[0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks", "KeyError: 'price'"),
        ("breaks_for_all", "KeyError: 'price'"),
        ("exits", "SystemExit: bye"),
        ("fails", "Failed: not so"),
    ],
)
def test_whatever_a_function_raises_refuses_its_request(asked, name, said):
    answers = asked(name, "one", "two")
    assert [type(answer) for answer in answers] == [RequestRejected, RequestRejected]
    assert f":{name} raised {said}" in str(answers[0])


def test_a_function_that_a_test_replaces_in_its_module_is_the_one_that_is_called(
    call, tmp_path, cache, monkeypatch
):
    (tmp_path / "replaced_here.py").write_text("def answer(case):\n    return 'real'\n")
    calls = [call(n, function="replaced_here:answer", folder=tmp_path) for n in ("a", "b", "c")]
    engine = Engine(cache, {})

    replies = [engine.wait(calls[:1])]
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["replaced_here"], "answer", lambda case: "fake")
        replies.append(engine.wait(calls[1:2]))
    replies.append(engine.wait(calls[2:]))
    engine.close()

    texts = [results[one.fingerprint].text for one, results in zip(calls, replies, strict=True)]
    assert texts == ["real", "fake", "real"]


def test_a_function_that_returns_no_text_ends_the_variant(asked):
    answers = asked("number", "one", "two")
    assert answers[0] is answers[1]
    assert isinstance(answers[0], ProviderRejected)
    assert "number returned int; it must return text" in str(answers[0])


def test_a_function_that_is_not_there_is_unavailable_with_the_near_name(asked):
    (answer,) = asked("shuot", "one")
    assert isinstance(answer, ConfigurationError)
    assert 'did you mean "shout"?' in str(answer)


def test_the_time_that_the_function_took_is_reported(asked):
    (reply,) = asked("alone", "one")
    assert isinstance(reply, Reply)
    assert reply.seconds >= 0.001
