"""Providers of plugins: what they may be, and the error that each broken one becomes."""

from __future__ import annotations

import sys

import pytest

from pytest_ftgate import ConfigurationError, Provider, ProviderRejected, Reply, RequestRejected
from pytest_ftgate.client.engine import Engine


class House(Provider):
    """The least that a provider can be: all but *generate* is inherited."""

    async def generate(self, request):
        return Reply(text=f"{request.model}: {request.messages[-1][1]}")


@pytest.fixture
def ask(cache, call, request):
    """Send three requests to the provider *house*, and return the results."""

    def asked(opens) -> list:
        engine = Engine(cache, {}, plugin_providers={"house": opens})
        request.addfinalizer(engine.close)
        calls = [call(text, provider="house") for text in "abc"]
        found = engine.wait(calls)
        return [found[one.fingerprint] for one in calls]

    return asked


def house(**parts) -> type[Provider]:
    return type("House", (House,), parts)


def returning(value) -> type[Provider]:
    async def generate(self, request):
        return value

    return house(generate=generate)


def raising(error: BaseException) -> type[Provider]:
    async def generate(self, request):
        raise error

    return house(generate=generate)


def test_a_provider_needs_generate_alone(ask):
    assert [reply.text for reply in ask(House)] == ["m: a", "m: b", "m: c"]


def test_a_function_may_open_a_provider(ask):
    def opens(requests, environ):
        return House(requests, environ)

    assert [reply.text for reply in ask(opens)] == ["m: a", "m: b", "m: c"]


def test_a_provider_gets_the_requests_and_the_environment(ask):
    seen = []

    def opens(requests, environ):
        seen.append(([request.messages[-1][1] for request in requests], environ))
        return House(requests, environ)

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

    assert {type(answer) for answer in answers} == {ProviderRejected}
    assert str(answers[0]) == (f"provider house returned {kind}; it must return a Reply with text")


def test_a_generate_that_is_not_async_is_an_error_that_says_so(ask):
    answers = ask(house(generate=lambda self, request: Reply(text="billing")))

    assert {type(answer) for answer in answers} == {ProviderRejected}
    assert str(answers[0]) == "provider house: generate is not async; write async def generate"


@pytest.mark.parametrize(
    "error", [RequestRejected("no"), ProviderRejected("no key"), ConfigurationError("no package")]
)
def test_an_error_of_ours_is_handed_on(ask, error):
    assert ask(raising(error)) == [error] * 3


def test_any_other_error_concerns_its_request_alone(ask):
    answers = ask(raising(KeyError("text")))

    assert [(type(answer), str(answer)) for answer in answers] == [
        (RequestRejected, "provider house raised KeyError: 'text'")
    ] * 3


def test_a_provider_that_wants_to_end_the_run_is_refused(ask):
    answers = ask(raising(SystemExit(3)))

    assert {type(answer) for answer in answers} == {RequestRejected}
    assert str(answers[0]) == "provider house raised SystemExit: 3"


class Bare:
    """A class that is not derived from ours, and has only *generate*."""

    def __init__(self, requests, environ) -> None:
        """Take what every provider is given."""

    generate = House.generate


UNFIT = {
    "what lacks a part": (Bare, "Bare has no serves; derive it from pytest_ftgate.Provider"),
    "what is nothing": (
        lambda *given: None,
        "NoneType has no generate; derive it from pytest_ftgate.Provider",
    ),
    "no room for a request": (
        house(concurrency=0),
        "concurrency is 0; write a whole number from 1 up",
    ),
    "one that serves nothing": (
        house(serves=lambda self, request: False),
        "it does not serve the request that it was opened for",
    ),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_could_never_answer_is_refused_when_it_is_opened(ask, what):
    opens, told = UNFIT[what]

    answers = ask(opens)

    assert {type(answer) for answer in answers} == {ConfigurationError}
    assert str(answers[0]) == f"provider house: {told}"


@pytest.mark.parametrize(
    ("opens", "told"),
    [
        (lambda requests, environ: environ["HOUSE_KEY"], "KeyError: 'HOUSE_KEY'"),
        (lambda *given: sys.exit("no licence"), "SystemExit: no licence"),
    ],
)
def test_a_provider_that_breaks_while_it_is_opened_says_why(ask, opens, told):
    answers = ask(opens)

    assert {type(answer) for answer in answers} == {ConfigurationError}
    assert str(answers[0]) == f"provider house cannot be opened: {told}"


def test_one_that_breaks_between_two_requests_leaves_no_gate_waiting(ask):
    served = []

    def serves(self, request):
        served.append(request)
        return len(served) < 3 or 1 / 0

    answers = ask(house(serves=serves, concurrency=1))

    assert answers[0].text == "m: a"
    assert str(answers[-1]).endswith("ZeroDivisionError: division by zero")


def test_one_that_cannot_close_does_not_break_the_end_of_the_run(cache, call):
    async def close(self):
        raise OSError("gone")

    engine = Engine(cache, {}, plugin_providers={"house": house(close=close)})
    engine.wait([call("a", provider="house")])

    engine.close()

    assert engine.progress.received == 1
