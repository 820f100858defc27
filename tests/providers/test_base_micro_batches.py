"""Requests that wait are sent together to a provider that answers many at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftgate import Provider, ProviderRejected, Reply, RequestRejected
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.requests.request import Adapter


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
def ask(cache, call, request):
    def asked(provider, calls) -> list:
        engine = Engine(cache, {}, plugin_providers={"house": provider})
        request.addfinalizer(engine.close)
        found = engine.wait(calls)
        return [found[one.fingerprint] for one in calls]

    return asked


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


@pytest.mark.parametrize("wrong", [lambda _: [], lambda _: "text", lambda _: sys_exit()])
def test_a_wrong_list_is_an_error_and_not_a_hang(ask, ten, wrong):
    assert all(isinstance(result, ProviderRejected) for result in ask(answering(wrong), ten))


def sys_exit():
    raise SystemExit(3)
