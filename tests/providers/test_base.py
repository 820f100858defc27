"""Providers of plugins: what they may be, and the error that each broken one becomes."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftgate import ConfigurationError, Provider, ProviderRejected, Reply, RequestRejected
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.providers.base import open_provider
from pytest_ftgate.requests.request import Adapter


class House(Provider):
    """The least that a provider can be: all but *generate* is inherited."""

    async def generate(self, request):
        return Reply(text=f"{request.model}: {request.messages[-1][1]}")


@pytest.fixture
def ask(cache, call, request):
    """Send requests to the provider *house*, three if none are given, and return the results."""

    def asked(opens, calls=None) -> list:
        engine = Engine(cache, {}, plugin_providers={"house": opens})
        request.addfinalizer(engine.close)
        calls = calls or [call(text, provider="house") for text in "abc"]
        found = engine.wait(calls)
        return [found[one.fingerprint] for one in calls]

    return asked


def house(**parts) -> type[Provider]:
    return type("House", (House,), parts)


def returning(value) -> type[Provider]:
    async def generate(self, request):
        return value

    return house(generate=generate)


def raising(error: BaseException, *texts: str) -> type[Provider]:
    """Return a provider that raises *error* for the requests with these texts, or for all."""

    async def generate(self, request):
        if request.messages[-1][1] in texts or not texts:
            raise error
        return Reply(text="fine")

    return house(generate=generate)


def test_a_provider_needs_generate_alone(ask):
    assert [reply.text for reply in ask(House)] == ["m: a", "m: b", "m: c"]


def test_a_function_that_opens_a_provider_gets_the_requests_and_the_environment(ask):
    seen = []

    def opens(requests, environ):
        seen.append(([request.messages[-1][1] for request in requests], environ))
        return House(requests, environ)

    assert [reply.text for reply in ask(opens)] == ["m: a", "m: b", "m: c"]
    assert seen == [(["a", "b", "c"], {})]


NOT_ASYNC = house(generate=lambda self, request: Reply(text="billing"))
NO_REPLIES = [("billing", "str"), (None, "NoneType"), ({"text": "billing"}, "dict")]
NO_REPLIES += [(Reply(text=None), "a Reply without text")]


@pytest.mark.parametrize(
    ("opens", "told"),
    [
        *(
            (returning(value), f" returned {kind}; it must return a Reply with text")
            for value, kind in NO_REPLIES
        ),
        (NOT_ASYNC, ": generate is not async; write async def generate"),
    ],
)
def test_what_is_no_reply_is_an_error_that_names_the_provider(ask, opens, told):
    answers = ask(opens)

    assert {type(answer) for answer in answers} == {ProviderRejected}
    assert str(answers[0]) == f"provider house{told}"


@pytest.mark.parametrize(
    "error", [RequestRejected("no"), ProviderRejected("no key"), ConfigurationError("no package")]
)
def test_an_error_of_ours_is_handed_on(ask, error):
    assert ask(raising(error)) == [error] * 3


@pytest.mark.parametrize(
    ("error", "told"), [(KeyError("text"), "KeyError: 'text'"), (SystemExit(3), "SystemExit: 3")]
)
def test_any_other_error_concerns_its_request_alone(ask, error, told):
    first, broken, last = ask(raising(error, "b"))

    assert (first.text, last.text) == ("fine", "fine")
    assert (type(broken), str(broken)) == (RequestRejected, f"provider house raised {told}")


class Bare:
    """A class that is not derived from ours, and has only *generate*."""

    def __init__(self, requests, environ) -> None:
        """Take what every provider is given."""

    generate = House.generate


def sizeless(size) -> type[Provider]:
    async def generate_many(self, requests):
        return []

    return type("Sizeless", (Provider,), {"batch_size": size, "generate_many": generate_many})


WHOLE = "write a whole number from 1 up"
UNFIT = {
    "what lacks a part": (Bare, "Bare has no serves; derive it from pytest_ftgate.Provider"),
    "what is nothing": (
        lambda *given: None,
        "NoneType has no generate; derive it from pytest_ftgate.Provider",
    ),
    "no room for a request": (house(concurrency=0), f"concurrency is 0; {WHOLE}"),
    "one that serves nothing": (
        house(serves=lambda self, request: False),
        "it does not serve the request that it was opened for",
    ),
    "one that misses a key": (
        lambda requests, environ: environ["HOUSE_KEY"],
        "cannot be opened: KeyError: 'HOUSE_KEY'",
    ),
    "one that exits": (
        lambda *given: sys.exit("no licence"),
        "cannot be opened: SystemExit: no licence",
    ),
    **{
        f"batches of {size!r}": (sizeless(size), f"batch_size is {size}; {WHOLE}")
        for size in (0, -1, "16", None)
    },
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_could_never_answer_is_refused_when_it_is_opened(ask, what):
    opens, told = UNFIT[what]

    answers = ask(opens)

    assert {type(answer) for answer in answers} == {ConfigurationError}
    separator = " " if told.startswith("cannot") else ": "
    assert str(answers[0]) == f"provider house{separator}{told}"


# Batches of requests that wait -----------------------------------------------------------------


class Batched(Provider):
    """Notes the texts of each batch; *answers* makes the results of one."""

    batch_size = 4
    batches: list[list[str]]

    def __init__(self, requests, environ):
        type(self).batches = []

    async def generate_many(self, requests):
        self.batches.append([request.messages[-1][1] for request in requests])
        # As while a model computes: the next requests arrive.
        await asyncio.sleep(0)
        return self.answers(requests)

    def answers(self, requests):
        return [Reply(text=f"to {request.messages[-1][1]}") for request in requests]


def answering(answers) -> type[Batched]:
    return type("Answering", (Batched,), {"answers": lambda _, requests: answers(requests)})


@pytest.fixture
def ten(call):
    return [call(f"{n}", provider="house") for n in range(10)]


def test_waiting_requests_are_sent_in_full_batches_in_their_order(ask, ten):
    assert [reply.text for reply in ask(Batched, ten)] == [f"to {n}" for n in range(10)]
    assert Batched.batches == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


def test_a_batch_has_requests_of_similar_length_so_that_little_is_padding(ask, call):
    lengths = [8, 1, 3, 6, 2, 7, 4, 5]

    replies = ask(Batched, [call("x" * n, provider="house") for n in lengths])

    assert [len(reply.text) for reply in replies] == [len("to ") + n for n in lengths]
    # The request that waits longest is among the first.
    assert [[*map(len, batch)] for batch in Batched.batches] == [[5, 6, 7, 8], [1, 2, 3, 4]]


def test_a_batch_has_requests_of_one_adapter_alone(ask, ten):
    adapter = Adapter(path=Path("a"), scale=1.0, sha256="a")
    mixed = [replace(one, adapter=adapter if n % 2 else None) for n, one in enumerate(ten)]

    ask(Batched, mixed)

    assert Batched.batches[0] == ["0", "2", "4", "6"]
    assert {len({int(text) % 2 for text in batch}) for batch in Batched.batches} == {1}


def test_an_error_in_the_list_is_that_of_one_request(ask, ten):
    rejected = RequestRejected("too long")
    provider = answering(lambda them: [rejected, *Batched.answers(None, them[1:])])

    results = ask(provider, ten[:4])

    assert results[0] is rejected
    assert [result.text for result in results[1:]] == ["to 1", "to 2", "to 3"]


def test_an_exception_is_that_of_all_requests(ask, ten):
    def fail(requests):
        raise ProviderRejected("no such model")

    assert {str(result) for result in ask(answering(fail), ten)} == {"no such model"}


@pytest.mark.parametrize("wrong", [lambda _: [], lambda _: "text", lambda _: sys.exit(3)])
def test_a_wrong_list_is_an_error_and_not_a_hang(ask, ten, wrong):
    assert all(isinstance(result, ProviderRejected) for result in ask(answering(wrong), ten))


def test_without_torch_the_provider_of_transformers_names_what_to_install(call, monkeypatch):
    # The rest of it is in tests/nightly.
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pytest_ftgate.providers.transformers", raising=False)

    with pytest.raises(ConfigurationError, match=r'pip install "pytest-ftgate\[transformers\]"'):
        open_provider([call(provider="transformers", model="org/base")], {}, {})
