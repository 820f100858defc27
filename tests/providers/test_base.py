"""Providers from elsewhere: what they may be, and how each broken one is told from a reply."""

from __future__ import annotations

import sys

import pytest

from pytest_ftgate import Denied, Provider, Refused, Reply, Unavailable
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import ReplyError


class House(Provider):
    """The least that a provider can be: all but *ask* is inherited."""

    async def ask(self, call):
        return Reply(text=f"{call.model}: {call.messages[-1][1]}")


@pytest.fixture
def ask(ledger, call, request):
    """Ask three calls of the provider *house*, and return what became of them."""

    def asked(opens) -> list:
        engine = Engine(ledger, {}, others={"house": opens})
        request.addfinalizer(engine.close)
        calls = [call(text, provider="house") for text in "abc"]
        found = engine.wait(calls)
        return [found[one.fingerprint] for one in calls]

    return asked


def house(**parts) -> type[Provider]:
    return type("House", (House,), parts)


def returning(value) -> type[Provider]:
    async def ask(self, call):
        return value

    return house(ask=ask)


def raising(error: BaseException) -> type[Provider]:
    async def ask(self, call):
        raise error

    return house(ask=ask)


def test_a_provider_needs_to_say_no_more_than_how_it_asks(ask):
    assert [reply.text for reply in ask(House)] == ["m: a", "m: b", "m: c"]


def test_a_function_may_open_a_provider(ask):
    def opens(calls, environ):
        return House(calls, environ)

    assert [reply.text for reply in ask(opens)] == ["m: a", "m: b", "m: c"]


def test_a_provider_is_told_the_calls_and_the_environment(ask):
    seen = []

    def opens(calls, environ):
        seen.append(([call.messages[-1][1] for call in calls], environ))
        return House(calls, environ)

    ask(opens)

    assert seen == [(["a", "b", "c"], {})]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("billing", "str"),
        (None, "NoneType"),
        ({"text": "billing"}, "dict"),
        (Reply(text=None), "a Reply without text"),
    ],
)
def test_what_is_no_reply_is_an_error_that_names_the_provider(ask, value, kind):
    answers = ask(returning(value))

    assert {type(answer) for answer in answers} == {Denied}
    assert str(answers[0]) == (f"provider house returned {kind}; it must return a Reply with text")


def test_an_ask_that_is_not_async_is_an_error_that_says_so(ask):
    answers = ask(house(ask=lambda self, call: Reply(text="billing")))

    assert {type(answer) for answer in answers} == {Denied}
    assert str(answers[0]) == "provider house: ask is not async; write async def ask"


@pytest.mark.parametrize("error", [Refused("no"), Denied("no key"), Unavailable("no package")])
def test_an_error_of_ours_is_handed_on(ask, error):
    assert ask(raising(error)) == [error] * 3


def test_any_other_error_is_one_of_its_call(ask):
    answers = ask(raising(KeyError("text")))

    assert [(type(answer), str(answer)) for answer in answers] == [
        (ReplyError, "KeyError: 'text'")
    ] * 3


def test_a_provider_that_wants_to_end_the_run_is_refused(ask):
    answers = ask(raising(SystemExit(3)))

    assert {type(answer) for answer in answers} == {Refused}
    assert str(answers[0]) == "provider house raised SystemExit: 3"


class Bare:
    """A class that is not derived from ours, and has only *ask*."""

    def __init__(self, calls, environ) -> None:
        """Take what every provider is given."""

    ask = House.ask


UNFIT = {
    "what lacks a part": (Bare, "Bare has no serves; derive it from pytest_ftgate.Provider"),
    "what is nothing": (
        lambda *given: None,
        "NoneType has no ask; derive it from pytest_ftgate.Provider",
    ),
    "no room for a call": (
        house(concurrency=0),
        "concurrency is 0; write a whole number from 1 up",
    ),
    "one that serves nothing": (
        house(serves=lambda self, call: False),
        "it does not serve the call that it was opened for",
    ),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_could_never_answer_is_refused_when_it_is_opened(ask, what):
    opens, told = UNFIT[what]

    answers = ask(opens)

    assert {type(answer) for answer in answers} == {Unavailable}
    assert str(answers[0]) == f"provider house: {told}"


@pytest.mark.parametrize(
    ("opens", "told"),
    [
        (lambda calls, environ: environ["HOUSE_KEY"], "KeyError: 'HOUSE_KEY'"),
        (lambda *given: sys.exit("no licence"), "SystemExit: no licence"),
    ],
)
def test_a_provider_that_breaks_while_it_is_opened_says_why(ask, opens, told):
    answers = ask(opens)

    assert {type(answer) for answer in answers} == {Unavailable}
    assert str(answers[0]) == f"provider house cannot be opened: {told}"


def test_one_that_breaks_between_two_calls_leaves_no_gate_waiting(ask):
    served = []

    def serves(self, call):
        served.append(call)
        return len(served) < 3 or 1 / 0

    answers = ask(house(serves=serves, concurrency=1))

    assert answers[0].text == "m: a"
    assert str(answers[-1]).endswith("ZeroDivisionError: division by zero")


def test_one_that_cannot_close_does_not_break_the_end_of_the_run(ledger, call):
    async def close(self):
        raise OSError("gone")

    engine = Engine(ledger, {}, others={"house": house(close=close)})
    engine.wait([call("a", provider="house")])

    engine.close()

    assert engine.progress.asked == 1
